//! Nodes on loopback for the tests, and a peer made by hand that keeps to no rule.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses a part of it")]

pub mod raw;

use std::collections::VecDeque;
use std::time::Duration;

use farshore_net::{Class, Config, DownReason, Event, LinkId, Multiaddr, Net, Peer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A bound on hanging, not an expectation: nothing here is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Node {
    pub net: Net,
    pub task: JoinHandle<()>,
    pub events: mpsc::Receiver<Event>,
    /// Events that were passed over while another was waited for.
    pub passed: VecDeque<Event>,
}

pub fn tcp() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().unwrap()
}

pub fn quic() -> Multiaddr {
    "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()
}

/// Loopback only, no mDNS.
pub fn config(seed: u8, listen: Vec<Multiaddr>) -> Config {
    Config { listen, mdns: false, ..Config::new([seed; 32], 0) }
}

impl Node {
    pub fn start(config: Config) -> Node {
        Node::with_room(config, 256)
    }

    pub fn with_room(config: Config, events: usize) -> Node {
        let (sender, events) = mpsc::channel(events);
        let (net, task) = Net::spawn(config, sender).unwrap();
        Node { net, task, events, passed: VecDeque::new() }
    }

    pub fn peer(&self) -> Peer {
        self.net.local_peer()
    }

    pub async fn next(&mut self) -> Event {
        match timeout(PATIENCE, self.events.recv()).await {
            Ok(event) => event.expect("a running network"),
            Err(_) => panic!("nothing more happens; passed over: {:?}\n{:#?}", self.passed, self.net.status().await),
        }
    }

    /// The first event, of those passed over and those to come, that `pick` picks.
    pub async fn wait<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> T {
        for index in 0..self.passed.len() {
            if let Some(found) = pick(&self.passed[index]) {
                self.passed.remove(index);
                return found;
            }
        }
        loop {
            let event = self.next().await;
            if let Some(found) = pick(&event) {
                return found;
            }
            self.passed.push_back(event);
        }
    }

    pub async fn address(&mut self) -> Multiaddr {
        self.wait(|event| if let Event::Listening(address) = event { Some(address.clone()) } else { None }).await
    }

    pub async fn up(&mut self) -> (LinkId, Peer) {
        self.wait(|event| if let Event::LinkUp { link, peer, .. } = event { Some((*link, *peer)) } else { None }).await
    }

    pub async fn down(&mut self, link: LinkId) -> DownReason {
        self.wait(|event| match event {
            Event::LinkDown { link: of, reason, .. } if *of == link => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    pub async fn frame(&mut self, link: LinkId) -> (Class, Vec<u8>) {
        self.wait(|event| match event {
            Event::Frame { link: of, class, bytes } if *of == link => Some((*class, bytes.clone())),
            _ => None,
        })
        .await
    }

    pub async fn writable(&mut self, link: LinkId) -> Class {
        self.wait(|event| match event {
            Event::Writable { link: of, class } if *of == link => Some(*class),
            _ => None,
        })
        .await
    }
}

/// Two nodes with a link, the first having dialled; and the link's id at each.
pub async fn linked(mut one: Node, mut other: Node) -> (Node, LinkId, Node, LinkId) {
    let address = other.address().await;
    one.net.dial(Some(other.peer()), vec![address]).await.unwrap();
    let (at_one, peer) = one.up().await;
    assert_eq!(peer, other.peer());
    let (at_other, peer) = other.up().await;
    assert_eq!(peer, one.peer());
    (one, at_one, other, at_other)
}

/// One frame each way on every class, the longest allowed.
pub async fn exchange(one: &mut Node, at_one: LinkId, other: &mut Node, at_other: LinkId) {
    for class in Class::ALL {
        let there = vec![1; class.frame_limit()];
        let back = vec![2; class.frame_limit()];
        one.net.send(at_one, class, there.clone()).unwrap();
        assert_eq!(other.frame(at_other).await, (class, there));
        other.net.send(at_other, class, back.clone()).unwrap();
        assert_eq!(one.frame(at_one).await, (class, back));
    }
}
