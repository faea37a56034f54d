//! Two nodes find each other by multicast. That would leave the loopback interface, so it runs in a network namespace
//! of its own:
//! ```sh
//! unshare -rn sh -c 'ip link set lo up; ip link add lan type veth peer name nal; ip addr add 10.9.0.1/24 dev lan;
//!   ip link set lan up; ip link set nal up; ip route add 224.0.0.0/4 dev lan;
//!   cargo test -p farshore-net --test mdns -- --ignored'
//! ```
#![cfg(feature = "mdns")]

mod common;

use common::{Node, config, exchange};
use farshore_net::{Config, Event, Health, Multiaddr, Peer};
use tokio::sync::Mutex;

/// One test at a time: there is one network.
static LAN: Mutex<()> = Mutex::const_new(());

fn on_the_lan(seed: u8) -> Config {
    let listen: Vec<Multiaddr> = vec!["/ip4/10.9.0.1/tcp/0".parse().unwrap()];
    Config { mdns: true, ..config(seed, listen) }
}

#[tokio::test]
#[ignore = "needs multicast: see the head of the file"]
async fn wanted_peers_find_each_other_without_an_address_and_strangers_are_only_reported() {
    let _lan = LAN.lock().await;
    let peer = |seed| Peer::of_seed(&[seed; 32]).unwrap();
    let mut one = Node::start(on_the_lan(1));
    one.address().await;
    one.net.want_peer(peer(2), vec![], true);
    let mut other = Node::start(on_the_lan(2));
    other.address().await;
    let stranger = Node::start(on_the_lan(3));

    let (at_one, found) = one.up().await;
    assert_eq!(found, peer(2));
    let (at_other, _) = other.up().await;
    exchange(&mut one, at_one, &mut other, at_other).await;
    let heard = one.wait(|event| matches!(event, Event::Discovered { peer: of, .. } if *of == peer(3)).then_some(()));
    heard.await;
    let status = one.net.status().await.unwrap();
    assert_eq!((status.mdns[0].clone(), status.links.len()), (Health::On, 1), "the stranger is not dialled");

    // After a restart of discovery everybody is found anew.
    one.net.network_changed();
    let heard = one.wait(|event| matches!(event, Event::Discovered { peer: of, .. } if *of == peer(3)).then_some(()));
    heard.await;

    // An open invitation dials whoever is there.
    one.net.dial_unknown(true);
    one.wait(|event| matches!(event, Event::LinkUp { peer: of, .. } if *of == peer(3)).then_some(())).await;
    drop(stranger);
}

#[tokio::test]
#[ignore = "needs multicast: see the head of the file"]
async fn a_node_that_was_shut_down_answers_no_more() {
    let _lan = LAN.lock().await;
    let mut gone = Node::start(on_the_lan(4));
    gone.address().await;
    let mut asker = Node::start(on_the_lan(5));
    asker.address().await;
    asker.wait(|event| matches!(event, Event::Discovered { peer: of, .. } if *of == gone.peer()).then_some(())).await;
    gone.net.shutdown().await;
    let mut late = Node::start(on_the_lan(6));
    late.address().await;
    let is = |event: &Event, who: Peer| matches!(event, Event::Discovered { peer, .. } if *peer == who);
    late.wait(|event| is(event, asker.peer()).then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await; // its queries go out at 0.5, 1 and 2 s
    while let Ok(event) = late.events.try_recv() {
        late.passed.push_back(event);
    }
    assert!(!late.passed.iter().any(|event| is(event, gone.peer())), "a ghost answers");
}
