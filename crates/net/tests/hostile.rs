//! A peer's fault costs that peer its connection, and nobody else anything.

mod common;

use common::raw::Raw;
use common::{Node, config, exchange, linked, tcp};
use farshore_net::{Class, DownReason, LinkId, PeerFault};

/// A node with a well-behaved peer, and the address at which a hostile one finds it.
async fn scene() -> (Node, LinkId, Node, LinkId, farshore_net::Multiaddr) {
    let mut node = Node::start(config(1, vec![tcp()]));
    let address = node.address().await;
    let other = Node::start(config(2, vec![]));
    other.net.dial(None, vec![address.clone()]).await.unwrap();
    let (mut node, mut other) = (node, other);
    let at_node = node.up().await.0;
    let at_other = other.up().await.0;
    (node, at_node, other, at_other, address)
}

/// Says bytes on one of the three streams and expects the link to end by this fault, and the other to live on.
async fn says(stream: usize, bytes: &[u8], fault: PeerFault) {
    let (mut node, at_node, mut other, at_other, address) = scene().await;
    let (raw, mut streams) = Raw::farshore(66, &address).await;
    let (hostile, _) = node.up().await;
    streams[stream].say(bytes).await;
    assert_eq!(node.down(hostile).await, DownReason::Fault(fault));
    raw.closed().await;
    exchange(&mut node, at_node, &mut other, at_other).await;
}

#[tokio::test]
async fn a_length_over_the_limit_ends_the_link_of_who_sent_it() {
    let fault = |class, bytes, limit| PeerFault::TooLong { class, bytes, limit };
    says(0, &16386u32.to_be_bytes(), fault(Class::Ctl, 16386, 16385)).await;
    says(1, &65537u32.to_be_bytes(), fault(Class::Live, 65537, 65536)).await;
    says(2, &[0xff; 4], fault(Class::Bulk, u32::MAX, 65536)).await;
}

#[tokio::test]
async fn an_empty_frame_ends_the_link_of_who_sent_it() {
    says(0, &[0; 4], PeerFault::Empty { class: Class::Ctl }).await;
    says(1, &[0; 4], PeerFault::Empty { class: Class::Live }).await;
    says(2, &[0; 4], PeerFault::Empty { class: Class::Bulk }).await;
}

#[tokio::test]
async fn an_unknown_kind_and_a_malformed_ping_end_the_link_of_who_sent_them() {
    says(0, &[0, 0, 0, 9, 77], PeerFault::UnknownKind(77)).await;
    says(0, &[0, 0, 0, 3, 1, 0, 0], PeerFault::BadPing(3)).await;
}

#[tokio::test]
async fn random_bytes_end_the_link_and_leave_another_peer_alone() {
    let (mut node, at_node, mut other, at_other, address) = scene().await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..30 {
        let (raw, mut streams) = Raw::farshore(60 + round, &address).await;
        let (hostile, _) = node.up().await;
        let noise: Vec<u8> = (0..4096)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as u8 | 0x80 // a length that is over every limit, sooner or later
            })
            .collect();
        streams[usize::from(round % 3)].say(&noise).await;
        assert!(matches!(node.down(hostile).await, DownReason::Fault(_)));
        raw.closed().await;
    }
    exchange(&mut node, at_node, &mut other, at_other).await;
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_with_bounded_memory_and_disturbs_nobody() {
    let (mut node, at_node, mut other, at_other, address) = scene().await;
    let (_raw, mut streams) = Raw::farshore(66, &address).await;
    let (hostile, _) = node.up().await;
    let ping = [0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 7];
    streams[0].say(&ping.repeat(20_000)).await; // and never reads a pong
    exchange(&mut node, at_node, &mut other, at_other).await;
    let status = node.net.status().await.unwrap();
    let link = status.links.iter().find(|status| status.link == hostile).unwrap();
    assert_eq!(link.waiting_bytes, [0; 3]);
}

#[tokio::test]
async fn a_second_stream_of_a_class_ends_the_connection() {
    let (mut node, at_node, mut other, at_other, address) = scene().await;
    let protocols = ["/farshore/ctl/1", "/farshore/live/1", "/farshore/bulk/1", "/farshore/live/1"];
    let (raw, _streams) = Raw::connect(66, &address, &protocols).await;
    raw.closed().await;
    exchange(&mut node, at_node, &mut other, at_other).await;
}

#[tokio::test]
async fn a_peer_that_never_reads_is_owed_bounded_bytes_and_another_peer_is_not_disturbed() {
    let (mut node, at_node, mut other, at_other, address) = scene().await;
    let (_raw, _streams) = Raw::farshore(66, &address).await;
    let (deaf, _) = node.up().await;
    for class in Class::ALL {
        let mut accepted = 0usize;
        // The streams take what their windows hold; then the queue fills; then it is over. Yielding lets the link
        // write all it can before the next attempt, so that this is the state that lasts.
        let mut refusals = 0;
        while refusals < 100 {
            match node.net.send(deaf, class, vec![7; class.frame_limit()]) {
                Ok(()) => accepted += class.frame_limit(),
                Err(farshore_net::SendError::Full { .. }) => refusals += 1,
                Err(error) => panic!("{error}"),
            }
            tokio::task::yield_now().await;
        }
        assert!(accepted < 4 * 1024 * 1024, "{class}: {accepted} bytes");
    }
    exchange(&mut node, at_node, &mut other, at_other).await;
    node.net.close(deaf, "does not read");
    assert_eq!(node.down(deaf).await, DownReason::Local("does not read".to_owned()));
}

#[tokio::test]
async fn a_slow_consumer_loses_nothing_and_its_peer_is_told_when_there_is_room() {
    let one = Node::start(config(1, vec![tcp()]));
    let other = Node::with_room(config(2, vec![tcp()]), 4);
    let (mut one, at_one, mut other, at_other) = linked(one, other).await;
    // The other end's owner reads nothing: everything between the two fills up.
    let mut sent = 0u32;
    let mut refusals = 0;
    while refusals < 200 {
        let mut frame = vec![0; 60_000];
        frame[..4].copy_from_slice(&sent.to_be_bytes());
        match one.net.send(at_one, Class::Bulk, frame) {
            Ok(()) => sent += 1,
            Err(_) => refusals += 1,
        }
        tokio::task::yield_now().await;
    }
    for number in 0..sent {
        let (class, frame) = other.frame(at_other).await;
        assert_eq!((class, &frame[..4]), (Class::Bulk, &number.to_be_bytes()[..]));
    }
    assert_eq!(one.writable(at_one).await, Class::Bulk);
    exchange(&mut one, at_one, &mut other, at_other).await;
}
