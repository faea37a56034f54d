//! What a replica says of what is to go, against what really goes.

use farshore_core::batch::CollectionKey;
use farshore_core::id::DocumentId;
use farshore_core::input::{DocEdit, DocOp};
use farshore_core::output::Event;
use farshore_core::progress::{Measure, PeerProgress, Stuck};
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

/// Writes a document of about so many bytes that do not compress, in an entry of its own.
fn write(world: &mut World, device: usize, key: CollectionKey, number: u32, bytes: usize) {
    let mut state = u64::from(number) + 1;
    let noise = (0..bytes).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    });
    let content = Value::from([("noise", Value::Bytes(noise.collect()))]);
    let mut id = [device as u8; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let edits = vec![DocEdit { document: DocumentId(id), keyed: false, op: DocOp::Create(content) }];
    world.write(device, key, edits);
}

/// What a device says of the one other.
fn peer(world: &World, device: usize) -> PeerProgress {
    let progress = world.devices[device].replica.progress();
    assert_eq!(progress.peers.len(), 1);
    progress.peers[0].clone()
}

#[test]
fn what_is_to_go_is_what_was_written_and_goes_down_to_nothing_while_it_goes() {
    let mut world = World::new(41, 2);
    let key = world.found("home", "todos", Role::Writer);
    world.cut_all();
    for number in 0..30 {
        write(&mut world, 0, key, number, 2_000);
    }
    for number in 0..4 {
        write(&mut world, 1, key, number, 100);
    }
    let before = peer(&world, 0);
    assert_eq!((before.outgoing.entries, before.incoming.entries, before.compared), (30, 0, false));
    assert_eq!(before.outgoing.measure, Measure::Exact);
    assert!(before.outgoing.bytes > 30 * 2_000 && before.outgoing.bytes < 30 * 3_000, "{before:?}");
    assert_eq!((before.stuck, before.link), (vec![Stuck::NoLink], None));
    let own = &world.devices[0].replica.progress().own[0];
    assert_eq!((own.last, own.nobody_from(), own.held_by[0].1), (30, Some(1), 0));

    world.link(0, 1);
    let (mut last, mut seen) = (30, 0);
    while world.step() {
        let (from, to) = (peer(&world, 0), peer(&world, 1));
        assert!(from.outgoing.entries <= last, "nothing was written, and more is to go");
        last = from.outgoing.entries;
        assert!(from.incoming.entries <= 4 && to.incoming.entries <= 30 && to.outgoing.entries <= 4);
        seen = seen.max(to.incoming.entries);
        if to.incoming.entries > 0 {
            assert_eq!(to.collections[0].collection, key.collection);
        }
    }
    assert_eq!(seen, 30, "the other side has seen all that was to come");
    for device in 0..2 {
        let done = peer(&world, device);
        assert!(done.compared && done.link.is_some() && done.stuck.is_empty(), "{done:?}");
        assert!(done.incoming.is_empty() && done.outgoing.is_empty() && done.collections.is_empty(), "{done:?}");
        let progress = world.devices[device].replica.progress();
        assert!(progress.own.is_empty() && progress.held_up.is_empty(), "{progress:?}");
    }
}

#[test]
fn a_sender_that_waits_for_the_receivers_disk_says_so() {
    let mut world = World::new(42, 2);
    let key = world.found("home", "todos", Role::Writer);
    world.cut_all();
    for number in 0..60 {
        write(&mut world, 0, key, number, 50_000);
    }
    world.link(0, 1);
    let mut waited = 0;
    while world.step() {
        let credit = peer(&world, 0).stuck.iter().any(|stuck| matches!(stuck, Stuck::Credit(_)));
        waited += u32::from(credit);
    }
    assert!(waited > 0, "3 MB went through a window of 1 MiB");
    assert!(peer(&world, 0).stuck.is_empty());
}

#[test]
fn what_comes_is_told_before_what_follows_from_it_and_every_entry_once() {
    let mut world = World::new(43, 2);
    let key = world.found("home", "todos", Role::Writer);
    for number in 0..10 {
        write(&mut world, 0, key, number, 300);
    }
    let now_ms = world.now().mono_ms;
    world.link(0, 1);
    world.run();
    write(&mut world, 0, key, 10, 300);
    world.run();
    let (mut arrived, mut applied, mut changed) = (0, 0, 0);
    for event in &world.devices[1].events {
        match event {
            Event::Arrived { journal, entries, from, .. } => {
                assert_eq!(*from, Some(journal.device));
                for entry in entries {
                    arrived += 1;
                    assert_eq!(entry.seq, arrived, "each once, in order");
                    assert!(entry.bytes > 300 && entry.arrived_ms >= now_ms && entry.claimed_ms > 0);
                }
            }
            Event::Changed { remote: true, documents, .. } => {
                changed += documents.len() as u64;
                assert!(changed <= arrived, "a document is shown whose entry has not been told of");
            }
            Event::Applied { seq, .. } => {
                assert!(*seq <= arrived && *seq <= changed, "{seq} applied, {arrived} arrived, {changed} changed");
                applied = *seq;
            }
            _ => {}
        }
    }
    assert_eq!((arrived, applied, changed), (11, 11, 11));
    let receipted: u64 = world.devices[0]
        .events
        .iter()
        .map(|event| if let Event::Receipted { newly, .. } = event { *newly } else { 0 })
        .sum();
    assert_eq!(receipted, 11, "the new ones of all receipts add up to all");
    let about = world.devices[0]
        .events
        .iter()
        .filter(|event| matches!(event, Event::PeerUp { .. } | Event::SyncStarted { .. } | Event::InSync { .. }));
    let order: Vec<&Event> = about.collect();
    let up = order.iter().position(|event| matches!(event, Event::PeerUp { .. })).unwrap();
    let began = order[up..].iter().position(|event| matches!(event, Event::SyncStarted { .. })).unwrap();
    assert!(order[up + began..].iter().any(|event| matches!(event, Event::InSync { .. })), "{order:?}");
}

#[test]
fn a_peer_is_down_when_its_last_link_is() {
    let mut world = World::new(32, 2);
    world.found("home", "notes", Role::Writer);
    let (first, second) = (world.link(0, 1), world.link(1, 0));
    world.run();
    let downs = |world: &World| {
        world.devices.iter().map(|d| d.events.iter().filter(|e| matches!(e, Event::PeerDown { .. })).count()).collect()
    };
    let before: Vec<usize> = downs(&world);
    world.cut(first);
    world.run();
    assert_eq!(downs(&world), before);
    world.cut(second);
    assert_eq!(downs(&world), before.iter().map(|count| count + 1).collect::<Vec<_>>());
}
