//! A link whose peer has gone silent ends, also where TCP itself would wait for a quarter of an hour.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Node, config, exchange, tcp};
use farshore_net::limits::{HEARTBEAT_MISSES, QUIC_IDLE};
use farshore_net::{Config, DownReason, Multiaddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A TCP cable in user space that can be made to swallow everything, without closing anything.
struct Cable {
    address: Multiaddr,
    cut: Arc<watch::Sender<bool>>,
}

impl Cable {
    async fn lay(to: &Multiaddr) -> Cable {
        let port = to.to_string().rsplit('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let cut = Arc::new(watch::Sender::new(false));
        let reader = cut.subscribe();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(carry(near_in, far_out, reader.clone()));
                tokio::spawn(carry(far_in, near_out, reader.clone()));
            }
        });
        Cable { address, cut }
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: watch::Receiver<bool>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        if !*cut.borrow() && to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
    if *cut.borrow() {
        // A cut cable does not say that it is cut.
        std::future::pending::<()>().await;
    }
}

async fn over_a_cable(heartbeat: Duration) -> (Node, farshore_net::LinkId, Node, farshore_net::LinkId, Cable) {
    let mut one = Node::start(Config { heartbeat, ..config(1, vec![]) });
    let mut other = Node::start(Config { heartbeat, ..config(2, vec![tcp()]) });
    let cable = Cable::lay(&other.address().await).await;
    one.net.dial(Some(other.peer()), vec![cable.address.clone()]).await.unwrap();
    let (at_one, at_other) = (one.up().await.0, other.up().await.0);
    exchange(&mut one, at_one, &mut other, at_other).await;
    (one, at_one, other, at_other, cable)
}

#[tokio::test]
async fn a_blackholed_tcp_link_ends_at_both_ends_by_the_heartbeat() {
    let (mut one, at_one, mut other, at_other, cable) = over_a_cable(Duration::from_millis(200)).await;
    cable.cut.send_replace(true);
    assert_eq!(one.down(at_one).await, DownReason::Silent);
    assert_eq!(other.down(at_other).await, DownReason::Silent);
}

/// What is promised of the defaults: the heartbeat that finds silence may come a whole one after the silence began.
#[test]
fn silence_costs_a_link_10_to_15_s_by_default() {
    let heartbeat = config(1, vec![]).heartbeat;
    assert_eq!(heartbeat * HEARTBEAT_MISSES, Duration::from_secs(10));
    assert_eq!(heartbeat * (HEARTBEAT_MISSES + 1), Duration::from_secs(15));
    assert_eq!(QUIC_IDLE, Duration::from_secs(10));
}

#[tokio::test]
async fn a_change_of_network_finds_a_dead_link_long_before_the_heartbeat_does() {
    let (mut one, at_one, _other, _, cable) = over_a_cable(Duration::from_secs(3600)).await;
    one.net.network_changed();
    cable.cut.send_replace(true);
    one.net.network_changed();
    assert_eq!(one.down(at_one).await, DownReason::Silent);
}

#[tokio::test]
async fn an_idle_link_lives_on_by_its_pings_and_knows_its_round_trip() {
    let (mut one, at_one, mut other, at_other, _cable) = over_a_cable(Duration::from_millis(50)).await;
    tokio::time::sleep(Duration::from_millis(500)).await; // ten heartbeats
    exchange(&mut one, at_one, &mut other, at_other).await;
    assert!(one.net.status().await.unwrap().links[0].rtt.is_some());
}

#[tokio::test]
async fn a_killed_peer_that_comes_back_takes_its_link_over_from_the_dead_one() {
    // The seeds are such that the dead connection is the better one by the rule: it was dialled by the smaller id.
    let (small, large) = {
        let peer = |seed| farshore_net::Peer::of_seed(&[seed; 32]).unwrap();
        if peer(1) < peer(2) { (1, 2) } else { (2, 1) }
    };
    let slow = Duration::from_secs(3600);
    let mut one = Node::start(Config { heartbeat: slow, ..config(small, vec![tcp()]) });
    let mut killed = Node::start(Config { heartbeat: slow, ..config(large, vec![tcp()]) });
    let to_one = one.address().await;
    let cable = Cable::lay(&killed.address().await).await;
    one.net.dial(Some(killed.peer()), vec![cable.address.clone()]).await.unwrap();
    let (dead, _) = one.up().await;
    cable.cut.send_replace(true); // as a power cut: not a word arrives
    killed.net.shutdown().await;
    let mut back = Node::start(Config { heartbeat: slow, ..config(large, vec![]) });
    back.net.dial(Some(one.peer()), vec![to_one]).await.unwrap();
    let (at_back, _) = back.up().await;
    assert_eq!(one.down(dead).await, DownReason::Silent);
    let (at_one, _) = one.up().await;
    exchange(&mut one, at_one, &mut back, at_back).await;
}
