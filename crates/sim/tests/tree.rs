//! Two devices that have never agreed and differ in little find what differs by the hash tree of journals: counted in bytes and
//! in messages that wait for one another.

use std::collections::BTreeMap;

use farshore_core::batch::{Batch, CollectionKey, JournalState, StoreOp};
use farshore_core::bytes::Writer;
use farshore_core::catalogue::CollectionDefinition;
use farshore_core::id::{
    CollectionTag, DeviceId, DocumentId, EntryHash, Incarnation, JournalId, OpHash, Position, SpaceId,
};
use farshore_core::input::{DocEdit, DocOp, Request};
use farshore_core::output::Reply;
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

/// Journals that both devices hold: their entries are never asked for, so none needs to be there.
fn common(count: u32) -> Vec<(JournalId, JournalState)> {
    let journal = |index: u32| {
        let mut device = [0; 32];
        device[..4].copy_from_slice(&index.to_be_bytes());
        let (collection, incarnation) = (CollectionTag([3; 16]), Incarnation([4; 16]));
        let held = Position { seq: 1 + u64::from(index % 7), hash: EntryHash([index as u8; 32]) };
        let state = JournalState {
            floor: 0,
            held,
            applied: held.seq,
            arrival: 1 + u64::from(index),
            closed: false,
            cites: vec![OpHash([5; 32])],
            fork: Position::START,
        };
        (JournalId { collection, device: DeviceId(device), incarnation }, state)
    };
    (0..count).map(journal).collect()
}

/// A record that remembers nothing of a peer.
fn forgotten() -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(1).bool(false).raw(&[0; 16]).raw(&[0; 32]).count(0).u8(2).u32(0).bytes(&[]).count(0).u32(0);
    w.finish()
}

/// Gives both devices these journals, and lets them forget how far they had agreed.
fn seed(world: &mut World, space: SpaceId, journals: &[(JournalId, JournalState)]) {
    let ids: Vec<DeviceId> = world.devices.iter().map(|device| device.replica.identity().device).collect();
    for (index, device) in world.devices.iter_mut().enumerate() {
        let put = |(journal, state): &(JournalId, JournalState)| StoreOp::PutJournal {
            space,
            journal: *journal,
            state: state.clone(),
        };
        let mut ops: Vec<StoreOp> = journals.iter().map(put).collect();
        let others = ids.iter().enumerate().filter(|(other, _)| *other != index);
        ops.extend(others.map(|(_, id)| StoreOp::PutPeer { space, device: *id, record: forgotten() }));
        device.store.apply(&Batch { id: 0, ops });
    }
    for device in 0..world.devices.len() {
        world.restart(device, 7);
    }
}

fn define(world: &mut World, space: SpaceId, name: &str) -> CollectionKey {
    let now = world.now();
    let definition = CollectionDefinition::new(name);
    let Reply::Collection(collection) = world.devices[0].ask(now, Request::DefineCollection { space, definition })
    else {
        panic!("a collection is defined")
    };
    CollectionKey { space, collection }
}

fn write(world: &mut World, device: usize, key: CollectionKey, document: u8) {
    let fields = BTreeMap::from([("n".to_owned(), Value::Int(document.into()))]);
    let document = DocumentId([document; 16]);
    let edit = DocEdit { document, keyed: true, op: DocOp::Upsert(Value::Map(fields)) };
    world.write(device, key, vec![edit]);
}

/// Bytes of both, and milliseconds at one a message, from the moment of connecting until silence.
fn meeting(world: &mut World) -> (u64, u64) {
    let before: u64 = world.devices.iter().map(|device| device.counts.bytes).sum();
    let start = world.clock_ms;
    let link = world.link(0, 1);
    world.run();
    let spent = (world.devices.iter().map(|device| device.counts.bytes).sum::<u64>() - before, world.clock_ms - start);
    world.cut(link);
    assert!(world.devices.iter().all(|device| device.closed.is_empty()));
    spent
}

#[test]
fn of_ten_thousand_journals_three_that_differ_are_found_in_12_kb_and_20_messages_without_a_cursor() {
    let mut world = World::new(40, 2);
    let first = world.found("world", "a", Role::Writer);
    let keys = [first, define(&mut world, first.space, "b"), define(&mut world, first.space, "c")];
    meeting(&mut world); // The catalogue.
    for key in keys {
        write(&mut world, 0, key, 1);
    }
    seed(&mut world, first.space, &common(9_997));
    let (bytes, messages) = meeting(&mut world);
    for key in keys {
        assert_eq!(world.views(0, key), world.views(1, key));
        assert_eq!(world.views(1, key).len(), 1);
    }
    // All positions of both would be 2.1 MB. Hello, states and tags are 2 kB of this, the three entries another.
    assert!(bytes <= 12_000, "{bytes} bytes");
    assert!(messages <= 20, "{messages} messages one after the other");
    // They have agreed: now the cursors tell, and unchanged is one exchange of digests.
    let (unchanged, messages) = meeting(&mut world);
    assert!(unchanged <= 1_000 && messages <= 5, "{unchanged} bytes, {messages} messages with nothing changed");
}

#[test]
fn trees_that_differ_everywhere_are_settled_by_listing_within_the_bytes_of_the_list() {
    let mut world = World::new(41, 2);
    let key = world.found("world", "a", Role::Writer);
    meeting(&mut world);
    let journals = common(6_000);
    seed(&mut world, key.space, &journals);
    // The other device holds every journal one entry short; what it lacks cannot be served, so only the comparison counts.
    let shorter = journals.into_iter().filter(|(_, state)| state.held.seq > 1).map(|(journal, mut state)| {
        state.held = Position { seq: state.held.seq - 1, hash: EntryHash([9; 32]) };
        state.applied = state.held.seq;
        StoreOp::PutJournal { space: key.space, journal, state }
    });
    let ops = shorter.collect();
    world.devices[1].store.apply(&Batch { id: 0, ops });
    world.restart(1, 8);
    let (bytes, _) = meeting(&mut world);
    let listed: u64 = 2 * 6_000 * 105;
    assert!(bytes <= listed * 2, "{bytes} bytes, where the lists alone are {listed}");
}

#[test]
fn a_few_journals_are_listed_at_once_without_a_tree() {
    let mut world = World::new(42, 2);
    let key = world.found("world", "a", Role::Writer);
    meeting(&mut world);
    write(&mut world, 0, key, 1);
    seed(&mut world, key.space, &common(100));
    let (bytes, messages) = meeting(&mut world);
    assert_eq!(world.views(0, key), world.views(1, key));
    assert!(bytes <= 2 * 101 * 105 + 4_000, "{bytes} bytes");
    assert!(messages <= 12, "{messages} messages one after the other");
}
