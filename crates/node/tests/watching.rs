//! What a node tells those who watch: events, progress, latencies. By counts and values on two real nodes.

mod together;

use std::path::Path;
use std::time::Duration;

use farshore::{Collection, Edit, EventKind, EventStream, Measure, Node, Obstacle, Role, SyncResult, Trouble, Value};
use together::{converged, notes, open, pair, put, within};

/// Takes events until one fits, and gives what it says. Those before it are kept in `seen`.
async fn until<T>(
    what: &str,
    events: &mut EventStream,
    seen: &mut Vec<EventKind>,
    fits: impl Fn(&EventKind) -> Option<T>,
) -> T {
    within(what, async {
        loop {
            let event = events.next().await.expect("the node runs");
            assert!(event.at_ms > 1_600_000_000_000, "{event:?}");
            seen.push(event.kind.clone());
            if let Some(found) = fits(&event.kind) {
                return found;
            }
        }
    })
    .await
}

/// Ada and Ben, linked, with one document that both hold.
async fn agreed(dir: &Path) -> ((Node, Collection<Value>), (Node, Collection<Value>)) {
    let (ada, ben) = (open(dir, "ada").await, open(dir, "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Writer).await;
    let (hers, his) = (notes(&hers).await, notes(&his).await);
    hers.insert(put("body", "shared")).await.unwrap();
    converged(&hers, &his, 1).await;
    ((ada, hers), (ben, his))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edits_way_is_told_on_both_sides_with_its_counts_and_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Writer).await;
    let (hers, his) = (notes(&hers).await, notes(&his).await);
    hers.insert(put("body", "first")).await.unwrap();
    converged(&hers, &his, 1).await;
    let (ada_id, ben_id) = (ada.device().await.unwrap(), ben.device().await.unwrap());
    let (mut at_ada, mut at_ben) = (ada.events().unwrap(), ben.events().unwrap());
    let (mut ada_saw, mut ben_saw) = (Vec::new(), Vec::new());
    ada.reset_latency();
    ben.reset_latency();
    let note = hers.insert(put("body", "second")).await.unwrap();

    let written = until("the write", &mut at_ada, &mut ada_saw, |kind| match kind {
        EventKind::LocalWrite { documents, .. } => Some(documents.to_vec()),
        _ => None,
    });
    assert_eq!(written.await, [note.id()]);
    let received = until("its coming", &mut at_ben, &mut ben_saw, |kind| match kind {
        EventKind::Received { author, from, entries, bytes, .. } => Some((*author, *from, *entries, *bytes)),
        _ => None,
    });
    let (author, from, entries, bytes) = received.await;
    assert_eq!((author, from, entries), (ada_id, Some(ada_id), 1));
    assert!(bytes > 300, "{bytes}");
    let merged = until("its being visible", &mut at_ben, &mut ben_saw, |kind| match kind {
        EventKind::Merged { documents, .. } => Some(documents.to_vec()),
        _ => None,
    });
    assert_eq!(merged.await, [note.id()]);
    assert_eq!(his.value(note.id()).await.unwrap(), Some(put("body", "second")), "what is told is there");
    let receipt = until("its receipt", &mut at_ada, &mut ada_saw, |kind| match kind {
        EventKind::Receipted { device, seq, .. } => Some((*device, *seq)),
        _ => None,
    });
    assert_eq!(receipt.await, (ben_id, note.last_entry().unwrap().1.seq));

    let (at_ada, at_ben) = (ada.latency(), ben.latency());
    assert_eq!((at_ada.write_to_durable.count, at_ada.durable_to_receipt.count), (1, 1), "{at_ada:?}");
    assert_eq!((at_ben.received_to_visible.count, at_ben.claimed_to_visible.count), (1, 1), "{at_ben:?}");
    assert_eq!((at_ada.received_to_visible.count, at_ben.write_to_durable.count), (0, 0));
    assert_eq!((at_ada.unmeasured, at_ben.unmeasured), (0, 0));
    for kind in ada_saw.iter().chain(&ben_saw) {
        assert!(!matches!(kind, EventKind::Error(_) | EventKind::Conflict { .. }), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_is_told_as_peer_up_and_a_sync_that_ends_with_what_came() {
    let dir = tempfile::tempdir().unwrap();
    let ((ada, hers), (ben, his)) = agreed(dir.path()).await;
    let ada_id = ada.device().await.unwrap();
    let mut events = ben.events().unwrap();
    let mut seen = Vec::new();
    within("suspending", ben.suspend()).await.unwrap();
    let reason = until("the peer's going", &mut events, &mut seen, |kind| match kind {
        EventKind::PeerDown { device, reason } if *device == ada_id => Some(reason.clone()),
        _ => None,
    });
    assert!(!reason.await.is_empty());
    for number in 0..5 {
        hers.insert(put("body", &format!("while away {number}"))).await.unwrap();
    }
    his.insert(put("body", "alone")).await.unwrap();
    seen.clear();
    ben.resume().await.unwrap();
    let counts = until("the end of the sync", &mut events, &mut seen, |kind| match kind {
        EventKind::SyncEnded { device, result: SyncResult::InSync, counts, .. } if *device == ada_id => Some(*counts),
        _ => None,
    })
    .await;
    assert_eq!(counts.received_entries, 5, "{counts:?}");
    // The four after the first came without the 136 bytes that they have in common with the one before.
    assert!(counts.received_bytes > 5 * 300 && counts.bytes_in + 4 * 136 > counts.received_bytes, "{counts:?}");
    assert_eq!(counts.receipted_entries, 1, "{counts:?}");
    assert!(counts.frames_in >= 5 && counts.frames_out >= 1 && counts.bytes_out > 300, "{counts:?}");
    let order: Vec<&EventKind> = seen
        .iter()
        .filter(|kind| {
            matches!(kind, EventKind::PeerUp { .. } | EventKind::SyncBegan { .. } | EventKind::SyncEnded { .. })
        })
        .collect();
    assert!(matches!(order[..2], [EventKind::PeerUp { .. }, EventKind::SyncBegan { .. }]), "{order:?}");
    let (began, ended) = order.iter().fold((0, 0), |(began, ended), kind| match kind {
        EventKind::SyncBegan { .. } => (began + 1, ended),
        EventKind::SyncEnded { .. } => (began, ended + 1),
        _ => (began, ended),
    });
    assert_eq!(began, ended, "every attempt that began has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_told_once_with_its_document_path_and_both_values() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Writer).await;
    let (hers, his) = (notes(&hers).await, notes(&his).await);
    let note = hers.insert(put("title", "old")).await.unwrap();
    converged(&hers, &his, 1).await;
    within("suspending", ben.suspend()).await.unwrap();
    let set = |to: &str| vec![Edit::Put { path: vec!["title".into()], value: to.into(), create_parents: false }];
    note.edit(set("hers")).await.unwrap();
    his.document(note.id()).edit(set("his")).await.unwrap();
    let (mut events, mut seen) = (ben.events().unwrap(), Vec::new());
    ben.resume().await.unwrap();
    let (document, conflicts) = until("the conflict", &mut events, &mut seen, |kind| match kind {
        EventKind::Conflict { document, conflicts, .. } => Some((*document, conflicts.to_vec())),
        _ => None,
    })
    .await;
    assert_eq!(document, note.id());
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].path, vec!["title".into()]);
    let mut values: Vec<Value> = conflicts[0].values.iter().map(|candidate| candidate.value.clone()).collect();
    values.sort_by_key(|value| format!("{value:?}"));
    assert_eq!(values, [Value::from("hers"), Value::from("his")]);
    // Another edit elsewhere in the document leaves the conflict as it is: it is not told again.
    seen.clear();
    let other = Edit::Put { path: vec!["other".into()], value: 1.into(), create_parents: false };
    note.edit(vec![other]).await.unwrap();
    let next = hers.insert(put("title", "next")).await.unwrap();
    until("what came after", &mut events, &mut seen, |kind| match kind {
        EventKind::Merged { documents, .. } => documents.contains(&next.id()).then_some(()),
        _ => None,
    })
    .await;
    his.document(note.id()).edit(set("settled")).await.unwrap();
    until("the settling", &mut events, &mut seen, |kind| match kind {
        EventKind::LocalWrite { documents, .. } => documents.contains(&note.id()).then_some(()),
        _ => None,
    })
    .await;
    assert!(!seen.iter().any(|kind| matches!(kind, EventKind::Conflict { .. })), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_does_not_read_is_told_how_much_it_missed_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let ada = open(dir.path(), "ada").await;
    let space = ada.create_space("mine").await.unwrap();
    let notes = space.collection::<Value>("notes").await.unwrap();
    let mut sleeping = ada.events().unwrap();
    const WRITES: u64 = 1_500;
    let mut last = None;
    for number in 0..WRITES {
        last = Some(notes.insert(put("n", &number.to_string())).await.unwrap().id());
    }
    let first = within("the first event", sleeping.next()).await.unwrap();
    let EventKind::Lagged(lost) = first.kind else { panic!("{first:?}") };
    let mut kept = 0;
    within("the rest", async {
        loop {
            let event = sleeping.next().await.unwrap();
            let EventKind::LocalWrite { documents, .. } = event.kind else { panic!("{event:?}") };
            kept += 1;
            if last.is_some_and(|last| documents.contains(&last)) {
                break;
            }
        }
    })
    .await;
    // What the collection's making told may be among the lost.
    assert!((WRITES..WRITES + 4).contains(&(lost + kept)), "{lost} lost, {kept} kept");
    // The last of them may come while the first are read.
    assert!((1_024..1_040).contains(&kept), "as many as the queue holds, not {kept}");
    ada.shutdown().await;
    assert_eq!(sleeping.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_is_told_typed_and_says_whether_it_may_pass() {
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = "12D3KooWRBhwfeP2Y4TCx1SM6s9rUoHhR5STiGwxBhgFRcw3UERE";
    let builder = Node::builder(dir.path().join("ada")).mdns(false).quic(false).listen("/ip4/127.0.0.1/tcp/0");
    let ada = builder.dial(format!("/ip4/127.0.0.1/tcp/{free}/p2p/{nobody}")).open().await.unwrap();
    let (mut events, mut seen) = (ada.events().unwrap(), Vec::new());
    let trouble = until("a failed dial", &mut events, &mut seen, |kind| match kind {
        EventKind::Error(trouble) => Some(trouble.clone()),
        _ => None,
    })
    .await;
    assert!(trouble.is_retryable());
    let Trouble::Dial { peer, cause } = trouble else { panic!("{trouble:?}") };
    assert_eq!(peer, nobody);
    assert!(!cause.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_counts_what_is_to_go_says_why_it_does_not_and_comes_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ((ada, hers), (ben, his)) = agreed(dir.path()).await;
    let ben_id = ben.device().await.unwrap();
    within("suspending", ben.suspend()).await.unwrap();
    let mut watch = ada.progress().unwrap();
    within("noticing", watch.until(|progress| !progress.peers[0].linked)).await.unwrap();
    for number in 0..7 {
        hers.insert(put("body", &format!("{number}"))).await.unwrap();
    }
    let progress =
        within("counting", watch.until(|progress| progress.peers[0].outgoing.to_go.entries == 7)).await.unwrap();
    let peer = &progress.peers[0];
    assert_eq!((peer.device, peer.linked, peer.outgoing.to_go.measure), (ben_id, false, Measure::Exact));
    assert!(matches!(peer.obstacles[..], [Obstacle::NoLink { .. }]), "{peer:?}");
    let bytes: usize =
        ada.log(hers.space().id(), Some(hers.tag()), 7).await.unwrap().iter().map(|entry| entry.bytes).sum();
    assert_eq!(peer.outgoing.to_go.bytes, bytes as u64, "what is at hand is counted exactly");
    assert_eq!(peer.collections.len(), 1);
    assert_eq!(peer.collections[0].name.as_deref(), Some("notes"));
    let own = &progress.own[0];
    assert_eq!((own.last, own.nobody_from()), (8, Some(2)), "{own:?}");
    assert_eq!(own.held_by, [(ben_id, 1)]);
    let at_ben = within("Ben's own", ben.progress().unwrap().until(|_| true)).await.unwrap();
    assert_eq!(at_ben.obstacles, [Obstacle::Suspended]);

    ben.resume().await.unwrap();
    let done = within("nothing to go", watch.until(|progress| progress.is_settled() && progress.peers[0].linked)).await;
    let peer = done.unwrap().peers[0].clone();
    assert_eq!((peer.outgoing.to_go.entries, peer.outgoing.done), (0, 7), "{peer:?}");
    converged(&hers, &his, 8).await;
    let settled = within("Ben's", ben.progress().unwrap().until(|progress| progress.is_settled())).await.unwrap();
    assert!(settled.own.is_empty() && settled.held_up.is_empty(), "{settled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transfer_is_seen_going_down_on_the_side_that_receives() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let space = ada.create_space("shared").await.unwrap();
    let hers = space.collection::<Value>("notes").await.unwrap();
    let filler = "lorem ipsum ".repeat(400);
    for round in 0..40 {
        let many = (0..20).map(|number| put("body", &format!("{round} {number} {filler}")));
        hers.insert_many(many).await.unwrap();
    }
    let entries = hers.log(1).await.unwrap()[0].position.seq;
    let ticket = space.invite(Role::Writer).open().await.unwrap();
    let mut watch = ben.progress().unwrap();
    ben.join(&ticket, Duration::from_secs(60)).await.unwrap();
    let mut most = 0;
    let done = within(
        "the transfer",
        watch.until(|progress| {
            let Some(peer) = progress.peers.first() else { return false };
            let flow = peer.incoming;
            if flow.to_go.entries > 0 {
                most = most.max(flow.to_go.entries + flow.done);
            }
            assert!(flow.to_go.entries + flow.done <= entries, "{flow:?}");
            peer.compared && flow.to_go.entries == 0 && progress.held_up.is_empty()
        }),
    )
    .await
    .unwrap();
    let flow = done.peers[0].incoming;
    assert!(flow.done <= entries && most <= entries, "{flow:?} of {entries}");
    converged(&hers, &notes(&ben.space("shared").await.unwrap()).await, 800).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_is_told_at_once_though_nothing_happens_and_the_stream_ends_with_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let ada = open(dir.path(), "ada").await;
    let notes = ada.create_space("mine").await.unwrap().collection::<Value>("notes").await.unwrap();
    let mut watch = ada.progress().unwrap();
    within("the first", watch.next()).await.unwrap();
    let mut second = ada.progress().unwrap();
    within("the first of a second", second.next()).await.unwrap();
    drop((watch, second));
    for number in 0..50 {
        notes.insert(put("n", &number.to_string())).await.unwrap();
    }
    let mut late = ada.progress().unwrap();
    let progress = within("one who comes late", late.next()).await.unwrap();
    assert!(progress.peers.is_empty() && progress.is_settled(), "{progress:?}");
    ada.shutdown().await;
    assert!(late.next().await.is_none());
}
