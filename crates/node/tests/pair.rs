//! Two devices over loopback: tickets, convergence, going away and coming back.

mod together;

use std::time::Duration;

use farshore::{Collection, Error, NetworkState, Node, Reach, Role, Value};
use together::{PATIENCE, notes, open, pair, within};

/// Waits until both hold the same documents, and returns them.
async fn converged(one: &Collection<Value>, other: &Collection<Value>) -> Vec<(farshore::DocumentId, Value)> {
    within("converging", async {
        let mut changes = (one.watch(), other.watch());
        loop {
            let (a, b) = (one.values(None, 10_000).await.unwrap(), other.values(None, 10_000).await.unwrap());
            if a == b && !a.is_empty() {
                return a;
            }
            tokio::select! {
                _ = changes.0.next() => {}
                _ = changes.1.next() => {}
            }
        }
    })
    .await
}

fn text(text: &str) -> Value {
    Value::from([("body", Value::Text(text.into()))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_makes_a_member_and_both_converge() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Writer).await;
    assert_eq!(his.name(), Some("shared"));
    let (hers, his) = (notes(&hers).await, notes(&his).await);
    let first = hers.insert(text("hello")).await.unwrap();
    his.insert(text("from Ben")).await.unwrap();
    within("reaching Ben", first.reached(Reach::AnyPeer)).await.unwrap();
    // A receipt says that Ben holds the entry durably; that it is in his documents may come a moment later.
    let at_ben = his.document(first.id());
    let mut watch = at_ben.watch();
    within("Ben reading it", async {
        while his.value(first.id()).await.unwrap() != Some(text("hello")) {
            watch.next().await;
        }
    })
    .await;
    within("two documents", async { while converged(&hers, &his).await.len() < 2 {} }).await;
    his.document(first.id())
        .edit(vec![farshore::Edit::Splice { path: vec!["body".into()], at: 5, delete: 0, insert: ", Ada".into() }])
        .await
        .unwrap();
    within("Ben's edit", async {
        let mut watch = first.watch();
        while first.value().await.unwrap() != Some(text("hello, Ada")) {
            watch.next().await;
        }
    })
    .await;
    let transport = ada.transport().await.unwrap();
    assert_eq!(transport.links.len(), 1);
    assert!(transport.peers.iter().any(|peer| peer.wanted), "{transport:?}");
    let members = ada.space("shared").await.unwrap().members().await.unwrap();
    assert_eq!(members.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_is_waited_for_until_it_is_known_or_the_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Writer).await;
    let late = his.wait_for_collection::<Value>("lists", Duration::from_millis(1)).await.unwrap_err();
    assert!(matches!(late, Error::Timeout { .. }) && late.is_retryable(), "{late}");
    assert!(late.to_string().contains("told of `lists`; an admin's device creates it"), "{late}");
    let waiting = his.wait_for_collection::<Value>("lists", PATIENCE);
    let (known, created) = tokio::join!(waiting, hers.collection::<Value>("lists"));
    assert_eq!(known.unwrap().tag(), created.unwrap().tag());
    // What is known already is there at once.
    assert_eq!(his.wait_for_collection::<Value>("lists", PATIENCE).await.unwrap().name(), "lists");
    ben.shutdown().await;
    assert!(matches!(his.wait_for_collection::<Value>("other", PATIENCE).await, Err(Error::Closed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_made_while_apart_merge_when_the_devices_meet_again() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Writer).await;
    let (hers, his) = (notes(&hers).await, notes(&his).await);
    let shared = hers.insert(text("abc")).await.unwrap();
    converged(&hers, &his).await;

    within("suspending", ben.suspend()).await.unwrap();
    assert_eq!(ben.network().state, NetworkState::Suspended);
    let splice = |at, insert: &str| {
        vec![farshore::Edit::Splice { path: vec!["body".into()], at, delete: 0, insert: insert.into() }]
    };
    shared.edit(splice(0, "Ada ")).await.unwrap();
    his.document(shared.id()).edit(splice(3, " Ben")).await.unwrap();
    his.insert(text("made alone")).await.unwrap();
    ben.resume().await.unwrap();
    within("merging", async { while converged(&hers, &his).await.len() < 2 {} }).await;
    within("one text", async {
        let mut watch = shared.watch();
        while shared.value().await.unwrap() != Some(text("Ada abc Ben")) {
            watch.next().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_device_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Writer).await;
    let hers = notes(&hers).await;
    notes(&his).await;
    let address = within("listening", async {
        loop {
            let network = ada.network();
            if let Some(address) = network.listening.first() {
                return format!("{address}/p2p/{}", network.peer);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    drop(his);
    ben.shutdown().await;
    hers.insert_many((0..700).map(|n| text(&format!("note {n}")))).await.unwrap();
    let builder = Node::builder(dir.path().join("ben")).mdns(false).quic(false).listen("/ip4/127.0.0.1/tcp/0");
    let ben = builder.dial(address).open().await.unwrap();
    let his = notes(&ben.space("shared").await.unwrap()).await;
    within("catching up", async { while converged(&hers, &his).await.len() < 700 {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_reads_and_may_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Reader).await;
    let (hers, his) = (notes(&hers).await, notes(&his).await);
    hers.insert(text("for all")).await.unwrap();
    converged(&hers, &his).await;
    let refused = his.insert(text("mine")).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)) && refused.to_string().contains("reader"), "{refused}");
    assert!(his.space().invite(Role::Reader).open().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_are_used_once_and_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let space = ada.create_space("shared").await.unwrap();
    let ticket = space.invite(Role::Writer).open().await.unwrap();
    let pasted: String =
        ticket.as_bytes().chunks(20).map(|line| format!("  {}\r\n", String::from_utf8_lossy(line))).collect();
    ben.join(&pasted, PATIENCE).await.unwrap();
    let carl = open(dir.path(), "carl").await;
    let used = carl.join(&ticket, PATIENCE).await.unwrap_err();
    assert!(matches!(used, Error::Refused(_)), "{used}");
    let own = ada.join(&ticket, PATIENCE).await.unwrap_err();
    assert!(matches!(own, Error::Refused(_)), "{own}");
    let middle = ticket.len() / 2;
    let other = if ticket.as_bytes()[middle] == b'a' { "b" } else { "a" };
    let mut altered = ticket.clone();
    altered.replace_range(middle..=middle, other);
    let refused = carl.join(&altered, PATIENCE).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_while_the_inviter_is_away_says_so_and_works_later() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let space = ada.create_space("shared").await.unwrap();
    let ticket = space.invite(Role::Writer).open().await.unwrap();
    let address = ada.network().listening[0].clone();
    ada.shutdown().await;
    let away = ben.join(&ticket, Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(away, Error::Timeout { .. }) && away.is_retryable(), "{away}");
    assert!(away.to_string().contains("inviter"), "{away}");
    let again = Node::builder(dir.path().join("ada")).mdns(false).quic(false).listen(address);
    let _ada = again.open().await.unwrap();
    within("joining", ben.join(&ticket, PATIENCE)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_a_problem_in_the_status_and_local_work_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let builder = Node::builder(dir.path().join("ada")).mdns(false).quic(false).listen(&address).listen("nonsense");
    let node = builder.open().await.unwrap();
    let space = node.create_space("s").await.unwrap();
    space.collection::<Value>("c").await.unwrap().insert(text("works")).await.unwrap();
    within("the problem", async {
        while node.network().problems.len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let problems = node.network().problems;
    assert!(problems[&address].contains("in use"), "{problems:?}");
    assert!(problems["nonsense"].contains("multiaddr"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialling_nobody_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let ada = open(dir.path(), "ada").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = within("dialling", ada.dial(&format!("/ip4/127.0.0.1/tcp/{free}"))).await.unwrap_err();
    assert!(matches!(nobody, Error::Dial { .. }), "{nobody}");
    assert!(matches!(ada.dial("not an address").await, Err(Error::Dial { .. })));
}
