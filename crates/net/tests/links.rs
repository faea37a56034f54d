//! What a link promises: frames arrive, there is one link a peer, and it comes back.

mod common;

use common::{Node, config, exchange, linked, quic, tcp};
use farshore_net::{Class, Config, DialError, Direction, DownReason, Event, Flow, SendError, Traffic, Transport};

#[tokio::test]
async fn frames_of_every_class_arrive_both_ways_over_tcp() {
    let (mut one, at_one, mut other, at_other) =
        linked(Node::start(config(1, vec![tcp()])), Node::start(config(2, vec![tcp()]))).await;
    exchange(&mut one, at_one, &mut other, at_other).await;
    let status = one.net.status().await.unwrap();
    assert_eq!(status.links[0].transport, Transport::Tcp);
    assert_eq!(status.links[0].direction, Direction::Out);
    assert_eq!(status.links[0].peer, other.peer());
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn frames_of_every_class_arrive_both_ways_over_quic() {
    let (mut one, at_one, mut other, at_other) =
        linked(Node::start(config(1, vec![quic()])), Node::start(config(2, vec![quic()]))).await;
    exchange(&mut one, at_one, &mut other, at_other).await;
    assert_eq!(other.net.status().await.unwrap().links[0].transport, Transport::Quic);
}

#[tokio::test]
async fn a_node_without_quic_links_over_tcp_and_says_so_for_quic_addresses() {
    let mut one = Node::start(Config { quic: false, ..config(1, vec![quic(), tcp()]) });
    let failed = one.wait(|event| match event {
        Event::ListenFailed { address, error } => Some((address.clone(), error.clone())),
        _ => None,
    });
    let (address, error) = failed.await;
    assert_eq!(address, quic());
    assert!(error.to_string().contains("no transport"), "{error}");
    let (mut one, at_one, mut other, at_other) = linked(one, Node::start(config(2, vec![tcp()]))).await;
    exchange(&mut one, at_one, &mut other, at_other).await;
}

/// What each class of [`exchange`] costs each way: the longest payload, behind its length, and on `ctl` behind a kind byte too.
fn exchanged() -> [Flow; 3] {
    let headers = [5, 4, 4];
    Class::ALL.map(|class| Flow { frames: 1, bytes: class.frame_limit() as u64 + headers[class as usize] })
}

#[tokio::test]
async fn the_status_counts_frames_and_bytes_of_each_class_over_all_links_to_a_peer() {
    let (mut one, mut at_one, mut other, mut at_other) =
        linked(Node::start(config(1, vec![tcp()])), Node::start(config(2, vec![tcp()]))).await;
    one.net.want_peer(other.peer(), vec![], true);
    let mut wanted = Traffic::default();
    for _ in 0..3 {
        exchange(&mut one, at_one, &mut other, at_other).await;
        let once = Traffic { sent: exchanged(), received: exchanged() };
        wanted += once;
        let status = one.net.status().await.unwrap();
        assert_eq!((status.links[0].traffic, status.peers[0].traffic), (once, wanted));
        assert_eq!(other.net.status().await.unwrap().links[0].traffic, once);
        // The peer is wanted, and its address is known: it is dialled again.
        let address = other.net.status().await.unwrap().listening[0].clone();
        one.net.close(at_one, "the test asked for it");
        one.down(at_one).await;
        other.down(at_other).await;
        assert_eq!(one.net.status().await.unwrap().peers[0].traffic, wanted);
        one.net.dial(Some(other.peer()), vec![address]).await.unwrap();
        (at_one, at_other) = (one.up().await.0, other.up().await.0);
    }
    assert_eq!(wanted.total().frames, 18);
}

#[tokio::test]
async fn many_small_frames_keep_their_order() {
    let (one, at_one, mut other, at_other) =
        linked(Node::start(config(1, vec![tcp()])), Node::start(config(2, vec![tcp()]))).await;
    let mut next = 0u32;
    for number in 0..20_000u32 {
        while let Err(error) = one.net.send(at_one, Class::Live, number.to_be_bytes().to_vec()) {
            assert!(matches!(error, SendError::Full { .. }), "{error}");
            assert_eq!(other.frame(at_other).await.1, next.to_be_bytes());
            next += 1;
        }
    }
    while next < 20_000 {
        assert_eq!(other.frame(at_other).await.1, next.to_be_bytes());
        next += 1;
    }
}

#[tokio::test]
async fn a_simultaneous_dial_ends_in_exactly_one_link_at_both_ends() {
    for round in 0..20u8 {
        let listen = if round % 2 == 0 || cfg!(not(feature = "quic")) { tcp() } else { quic() };
        let mut one = Node::start(config(10 + round, vec![listen.clone()]));
        let mut other = Node::start(config(100 + round, vec![listen]));
        let (to_one, to_other) = (one.address().await, other.address().await);
        let (there, back) = tokio::join!(
            one.net.dial(Some(other.peer()), vec![to_other]),
            other.net.dial(Some(one.peer()), vec![to_one]),
        );
        assert_eq!((there, back), (Ok(other.peer()), Ok(one.peer())));
        // Both ends settle on one connection; until then a link may go down for a better one.
        loop {
            let (one, other) = (one.net.status().await.unwrap(), other.net.status().await.unwrap());
            if [&one, &other].iter().all(|status| status.established == 1 && status.links.len() == 1)
                && one.links[0].direction != other.links[0].direction
            {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let at_one = one.net.status().await.unwrap().links[0].link;
        let at_other = other.net.status().await.unwrap().links[0].link;
        exchange(&mut one, at_one, &mut other, at_other).await;
        for node in [&mut one, &mut other] {
            let mut up = None;
            while let Some(event) = node.passed.pop_front() {
                match event {
                    Event::LinkUp { link, .. } => assert_eq!(up.replace(link), None, "two links at once"),
                    Event::LinkDown { link, .. } => assert_eq!(up.take(), Some(link)),
                    _ => {}
                }
            }
            assert!(up.is_some(), "round {round}: no link at the end");
        }
    }
}

#[tokio::test]
async fn dialling_a_linked_peer_answers_at_once_and_makes_no_second_link() {
    let (one, _, other, _) = linked(Node::start(config(1, vec![tcp()])), Node::start(config(2, vec![tcp()]))).await;
    assert_eq!(one.net.dial(Some(other.peer()), vec![]).await, Ok(other.peer()));
    assert_eq!(one.net.status().await.unwrap().established, 1);
}

#[tokio::test]
async fn a_wanted_peer_is_linked_again_after_it_restarts() {
    let mut one = Node::start(config(1, vec![tcp()]));
    let mut other = Node::start(config(2, vec![tcp()]));
    let address = other.address().await;
    one.net.want_peer(other.peer(), vec![address.clone()], true);
    let (first, _) = one.up().await;
    other.net.shutdown().await;
    assert_eq!(one.down(first).await, DownReason::Closed, "the goodbye is heard");
    let mut other = Node::start(config(2, vec![address]));
    let (second, peer) = one.up().await;
    assert_eq!(peer, other.peer());
    let (at_other, _) = other.up().await;
    exchange(&mut one, second, &mut other, at_other).await;
}

#[tokio::test]
async fn a_peer_no_longer_wanted_is_not_dialled_again() {
    let mut one = Node::start(config(1, vec![tcp()]));
    let mut other = Node::start(config(2, vec![tcp()]));
    let address = other.address().await;
    one.net.want_peer(other.peer(), vec![address], true);
    let (link, _) = one.up().await;
    one.net.want_peer(other.peer(), vec![], false);
    one.net.close(link, "not wanted");
    assert_eq!(one.down(link).await, DownReason::Local("not wanted".to_owned()));
    assert!(one.net.status().await.unwrap().peers.is_empty());
    let (link, _) = other.up().await;
    assert_eq!(other.down(link).await, DownReason::Closed);
}

async fn goodbye_arrives_over(listen: farshore_net::Multiaddr) {
    for _ in 0..20 {
        let (mut one, at_one, mut other, at_other) =
            linked(Node::start(config(1, vec![listen.clone()])), Node::start(config(2, vec![listen.clone()]))).await;
        let last = Class::ALL.map(|class| (class, vec![5; class.frame_limit()]));
        for (class, frame) in &last {
            one.net.send(at_one, *class, frame.clone()).unwrap();
        }
        one.net.close(at_one, "done");
        for (class, frame) in last {
            let arrived = other.wait(|event| match event {
                Event::Frame { class: of, bytes, .. } if *of == class => Some(bytes.clone()),
                _ => None,
            });
            assert_eq!(arrived.await, frame);
        }
        assert_eq!(other.down(at_other).await, DownReason::Closed);
        assert_eq!(one.down(at_one).await, DownReason::Local("done".to_owned()));
        assert_eq!(one.net.send(at_one, Class::Ctl, b"late".to_vec()), Err(SendError::Down));
    }
}

#[tokio::test]
async fn what_is_queued_before_a_close_arrives_over_tcp() {
    goodbye_arrives_over(tcp()).await;
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn what_is_queued_before_a_close_arrives_over_quic() {
    goodbye_arrives_over(quic()).await;
}

#[tokio::test]
async fn another_peer_at_the_address_is_named_in_the_error() {
    let one = Node::start(config(1, vec![tcp()]));
    let mut other = Node::start(config(2, vec![tcp()]));
    let address = other.address().await;
    let expected = farshore_net::Peer::of_seed(&[3; 32]).unwrap();
    let error = one.net.dial(Some(expected), vec![address.clone()]).await.unwrap_err();
    assert_eq!(error, DialError::WrongPeer { expected, found: other.peer(), address });
    let text = error.to_string();
    assert!(text.contains(&expected.to_string()) && text.contains("ask the peer for a fresh address"), "{text}");
}

#[tokio::test]
async fn an_address_is_enough_to_dial_and_the_peer_at_it_is_told() {
    let one = Node::start(config(1, vec![]));
    let mut other = Node::start(config(2, vec![tcp()]));
    let address = other.address().await;
    assert_eq!(one.net.dial(None, vec![address]).await, Ok(other.peer()));
}

#[tokio::test]
async fn a_name_is_resolved_before_it_is_dialled() {
    let one = Node::start(config(1, vec![]));
    let mut other = Node::start(config(2, vec![tcp()]));
    let address = other.address().await.to_string().replace("/ip4/127.0.0.1/", "/dns4/localhost/");
    assert_eq!(one.net.dial(Some(other.peer()), vec![address.parse().unwrap()]).await, Ok(other.peer()));
}

#[tokio::test]
async fn a_dial_without_an_address_and_one_to_a_dead_port_fail_clearly() {
    let one = Node::start(config(1, vec![]));
    let nobody = farshore_net::Peer::of_seed(&[3; 32]).unwrap();
    assert_eq!(one.net.dial(Some(nobody), vec![]).await, Err(DialError::NoAddress));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
    let error = one.net.dial(Some(nobody), vec![dead]).await.unwrap_err();
    assert!(matches!(&error, DialError::Unreachable(cause) if cause.contains(&free.to_string())), "{error}");
}

#[tokio::test]
async fn the_network_ends_when_its_handle_is_dropped_and_peers_hear_it() {
    let (one, _, mut other, at_other) =
        linked(Node::start(config(1, vec![tcp()])), Node::start(config(2, vec![tcp()]))).await;
    let Node { net, task, events: _events, .. } = one;
    drop(net);
    task.await.unwrap();
    assert_eq!(other.down(at_other).await, DownReason::Closed);
}

#[tokio::test]
async fn a_change_of_network_dials_at_once_instead_of_waiting() {
    let mut one = Node::start(config(1, vec![tcp()]));
    let peer = farshore_net::Peer::of_seed(&[2; 32]).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address: farshore_net::Multiaddr = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
    one.net.want_peer(peer, vec![address.clone()], true);
    for _ in 0..3 {
        one.wait(|event| matches!(event, Event::DialFailed { .. }).then_some(())).await;
        one.net.network_changed();
    }
    let mut other = Node::start(config(2, vec![address]));
    other.address().await;
    one.net.network_changed();
    assert_eq!(one.up().await.1, peer);
}
