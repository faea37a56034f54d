//! What is said when an address cannot be listened on, and that the rest goes on.

mod common;

use common::{Node, config, exchange, linked, tcp};
use farshore_net::{Event, ListenError, Multiaddr};

async fn failure(node: &mut Node) -> (Multiaddr, ListenError) {
    node.wait(|event| match event {
        Event::ListenFailed { address, error } => Some((address.clone(), error.clone())),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_tcp_port_in_use_is_named_with_a_remedy_also_when_a_second_node_has_it() {
    let mut one = Node::start(config(1, vec![tcp()]));
    let taken = one.address().await;
    let mut other = Node::start(config(2, vec![taken.clone(), tcp()]));
    let (address, error) = failure(&mut other).await;
    assert_eq!(address, taken);
    let ListenError::PortInUse { transport: "TCP", port } = error else { panic!("{error}") };
    assert!(taken.to_string().ends_with(&port.to_string()));
    assert!(error.to_string().contains("choose another port"), "{error}");
    // The second address is listened on all the same.
    other.address().await;
    assert_eq!(other.net.status().await.unwrap().listen_failures, [(address, error)]);
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn a_udp_port_in_use_is_named_with_a_remedy() {
    let mut one = Node::start(config(1, vec![common::quic()]));
    let taken = one.address().await;
    let mut other = Node::start(config(2, vec![taken.clone()]));
    let (address, error) = failure(&mut other).await;
    assert_eq!(address, taken);
    assert!(matches!(error, ListenError::PortInUse { transport: "UDP", .. }), "{error}");
}

#[tokio::test]
async fn without_ipv6_the_node_goes_on_over_ipv4() {
    // An IPv6 address that this machine does not have fails as one does on a machine without IPv6.
    let missing: Multiaddr = "/ip6/2001:db8::1/tcp/0".parse().unwrap();
    let mut one = Node::start(config(1, vec![missing.clone(), tcp()]));
    let (address, error) = failure(&mut one).await;
    assert_eq!(address, missing);
    assert!(matches!(error, ListenError::NotHere(_)), "{error}");
    assert!(error.to_string().contains("is IPv6 off?"), "{error}");
    let (mut one, at_one, mut other, at_other) = linked(one, Node::start(config(2, vec![tcp()]))).await;
    exchange(&mut one, at_one, &mut other, at_other).await;
}
