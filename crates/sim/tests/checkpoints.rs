//! A newcomer begins with a checkpoint instead of every entry: what it saves, and that nothing differs but the way.

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::batch::{CollectionKey, Load, Loaded};
use farshore_core::document::{Edit, Step};
use farshore_core::entropy::Entropy;
use farshore_core::id::{DocKey, DocumentId};
use farshore_core::input::{DocEdit, DocOp, LinkId, Request};
use farshore_core::output::{CheckpointMade, Event, Reply};
use farshore_core::record::DocRecord;
use farshore_core::role::Role;
use farshore_core::subscription::Priority;
use farshore_core::value::Value;
use farshore_sim::World;

fn map(fields: &[(&str, Value)]) -> Value {
    Value::Map(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

fn try_edit(world: &mut World, device: usize, key: CollectionKey, document: u8, keyed: bool, op: DocOp) -> bool {
    let edits = vec![DocEdit { document: DocumentId([document; 16]), keyed, op }];
    world.edit(device, key, edits).iter().all(Result::is_ok)
}

fn edit(world: &mut World, device: usize, key: CollectionKey, document: u8, keyed: bool, op: DocOp) {
    assert!(try_edit(world, device, key, document, keyed, op), "an edit was refused");
}

fn checkpoint(world: &mut World, device: usize, key: CollectionKey) -> CheckpointMade {
    let now = world.now();
    let request = Request::Checkpoint { space: key.space, collection: key.collection };
    let Reply::Checkpoint(made) = world.devices[device].ask(now, request) else { panic!("a checkpoint is made") };
    made
}

fn meet(world: &mut World, a: usize, b: usize) -> u64 {
    let before = world.devices[a].counts.bytes;
    let link = world.link(a, b);
    world.run();
    world.cut(link);
    world.devices[a].counts.bytes - before
}

/// Entries that a checkpoint spared a device.
fn spared(world: &World, device: usize) -> u64 {
    let loaded = world.devices[device].events.iter().filter_map(|event| match event {
        Event::CheckpointLoaded { entries, .. } => Some(*entries),
        _ => None,
    });
    loaded.sum()
}

/// Everything that I4 says: heads, tombstones and where they stand, views, and the changes themselves; of every life.
fn assert_same(world: &World, key: CollectionKey, a: usize, b: usize) {
    assert_eq!(world.views(a, key), world.views(b, key), "views");
    let documents = |device: usize| world.devices[device].store.documents(key.space, key.collection);
    let (first, second) = (documents(a), documents(b));
    assert!(first.keys().eq(second.keys()), "documents");
    for (document, present) in &first {
        for generation in 1..=present.generation {
            let of = |device: usize| {
                let key = DocKey { space: key.space, collection: key.collection, document: *document };
                let stored = world.devices[device].store.life(&key, generation)?;
                let record = DocRecord::decode(&stored.record).unwrap();
                let tail: Vec<&[u8]> = stored.tail.iter().map(Vec::as_slice).collect();
                let loaded = farshore_core::document::Document::load(stored.snapshot.as_deref(), &tail).unwrap();
                let changes: BTreeSet<Vec<u8>> = loaded.changes().iter().map(|c| c.raw_bytes().to_vec()).collect();
                let conflicts = loaded.conflicts();
                Some((
                    record.heads,
                    record.tombstone,
                    record.conflicts,
                    record.ops,
                    record.change_bytes,
                    changes,
                    conflicts,
                ))
            };
            assert_eq!(of(a), of(b), "document {document}, life {generation}");
        }
    }
}

fn assert_peaceful(world: &World) {
    for device in &world.devices {
        assert_eq!(device.closed, Vec::<String>::new());
        let refused = device.events.iter().find(|event| matches!(event, Event::CheckpointRefused { .. }));
        assert_eq!(refused, None);
        for size in device.replica.sizes() {
            assert!(size.size <= size.limit, "{size:?}");
        }
    }
}

/// Types into one text, an entry for each stroke, as a person does.
fn type_text(world: &mut World, device: usize, key: CollectionKey, document: u8, strokes: u64) {
    for at in 0..strokes {
        let path = vec![Step::Key("text".into())];
        let op = Edit::Splice { path, at, delete: 0, insert: "x".into() };
        edit(world, device, key, document, false, DocOp::Edit(vec![op]));
    }
}

/// A world in which device 0 has typed a lot, and device 2 has met nobody since it joined.
fn typed(seed: u64, strokes: u64) -> (World, CollectionKey) {
    let mut world = World::new(seed, 3);
    let key = world.found("world", "texts", Role::Writer);
    edit(&mut world, 0, key, 1, false, DocOp::Create(map(&[("text", Value::Text(String::new()))])));
    type_text(&mut world, 0, key, 1, strokes);
    (world, key)
}

#[test]
fn a_newcomer_to_a_long_history_receives_a_fortieth_of_what_the_entries_are() {
    const STROKES: u64 = 1_000;
    let (mut world, key) = typed(60, STROKES);
    let by_entries = meet(&mut world, 0, 1);
    let made = checkpoint(&mut world, 0, key);
    assert_eq!((made.lives, made.entry_bytes > STROKES * 400), (1, true));
    type_text(&mut world, 0, key, 1, 3);
    let by_checkpoint = meet(&mut world, 0, 2);
    assert_eq!(spared(&world, 2), STROKES + 1);
    let suffix = 3 * 600;
    println!("{made:?}: {by_checkpoint} bytes sent, {by_entries} by entries");
    assert!(by_checkpoint <= made.bytes + suffix + 4_000, "{by_checkpoint} bytes for a checkpoint of {}", made.bytes);
    assert!(by_checkpoint * 40 <= made.entry_bytes, "{by_checkpoint} bytes for entries of {}", made.entry_bytes);
    assert!(by_checkpoint * 30 <= by_entries, "{by_checkpoint} bytes instead of {by_entries}");
    meet(&mut world, 0, 1);
    assert_same(&world, key, 0, 2);
    assert_same(&world, key, 1, 2);
    assert_peaceful(&world);
}

#[test]
fn who_began_with_a_checkpoint_edits_serves_it_makes_the_next_and_restarts_like_anybody() {
    let (mut world, key) = typed(61, 300);
    checkpoint(&mut world, 0, key);
    meet(&mut world, 0, 2);
    world.restart(2, 61);
    // Device 2 serves the checkpoint to device 1, which then has it all without ever meeting device 0 again.
    type_text(&mut world, 2, key, 1, 5);
    meet(&mut world, 2, 1);
    assert_eq!(spared(&world, 1), 301);
    assert_same(&world, key, 1, 2);
    // The next checkpoint goes on from the one before, below which device 2 has no entries.
    let made = checkpoint(&mut world, 2, key);
    assert!(made.entry_bytes > 300 * 400, "entries below the floor are counted: {made:?}");
    meet(&mut world, 2, 0);
    meet(&mut world, 0, 1);
    assert_same(&world, key, 0, 1);
    let own = checkpoint(&mut world, 0, key);
    assert_eq!(own.lives, made.lives);
    assert_peaceful(&world);
}

#[test]
fn random_histories_are_the_same_by_checkpoint_as_by_entries() {
    let mut loaded = 0;
    for seed in 0..24_u64 {
        let mut world = World::new(600 + seed, 5);
        let key = world.found("world", "things", Role::Writer);
        let mut dice = Entropy::from_seed(&[seed as u8; 32], "history");
        let mut draw = |below: u64| u64::from_be_bytes(dice.array()) % below;
        let history = |world: &mut World, draw: &mut dyn FnMut(u64) -> u64, acts: u64| {
            for _ in 0..acts {
                let (device, document) = (draw(3) as usize, draw(8) as u8);
                // Half of the documents have keys, so that several devices make them.
                let keyed = document < 4;
                let text = vec![Step::Key("notes".into())];
                let op = match draw(10) {
                    0..3 => DocOp::Upsert(map(&[
                        ("notes", Value::Text("abc".into())),
                        ("list", Value::List(vec![Value::Int(draw(9) as i64)])),
                        ("n", Value::Int(draw(100) as i64)),
                    ])),
                    3..6 => DocOp::Edit(vec![Edit::Splice { path: text, at: 0, delete: 0, insert: "é".into() }]),
                    6 => DocOp::Edit(vec![Edit::put(vec![Step::Key("n".into())], Value::Int(draw(100) as i64))]),
                    7 => DocOp::Delete,
                    _ => {
                        let (a, b) = (draw(3) as usize, draw(3) as usize);
                        if a != b {
                            meet(world, a, b);
                        }
                        continue;
                    }
                };
                if matches!(op, DocOp::Upsert(_))
                    && !keyed
                    && world.views(device, key).contains_key(&DocumentId([document; 16]))
                {
                    continue;
                }
                // A random id is made once only; after that it is edited.
                let made_before = (0..3).any(|device| {
                    let documents = world.devices[device].store.documents(key.space, key.collection);
                    documents.contains_key(&DocumentId([document; 16]))
                });
                let here = world.devices[device].store.documents(key.space, key.collection);
                if !keyed && made_before && !here.contains_key(&DocumentId([document; 16])) {
                    continue;
                }
                try_edit(world, device, key, document, keyed, op);
            }
        };
        history(&mut world, &mut draw, 60);
        // Device 0 knows a part of what the others did.
        meet(&mut world, 0, 1);
        edit(&mut world, 0, key, 200, false, DocOp::Create(map(&[("pad", Value::Str("0123456789".repeat(3_000)))])));
        checkpoint(&mut world, 0, key);
        history(&mut world, &mut draw, 20);
        if draw(2) == 0 {
            checkpoint(&mut world, 0, key);
        }
        // Device 3 begins with the checkpoint, device 4 with the entries of device 1 and 2, which have none.
        meet(&mut world, 0, 3);
        loaded += u64::from(spared(&world, 3) > 0);
        for pair in [(0, 1), (1, 2), (0, 2), (0, 1), (1, 4), (2, 4), (3, 0), (3, 4), (3, 1), (0, 4), (2, 3)] {
            meet(&mut world, pair.0, pair.1);
        }
        assert_eq!(spared(&world, 4), 0, "device 4 is the one that took the entries");
        for device in 1..5 {
            assert_same(&world, key, 0, device);
        }
        assert_peaceful(&world);
    }
    assert!(loaded >= 12, "only {loaded} newcomers took a checkpoint");
}

/// A collection whose checkpoint has many chunks that nothing compresses.
fn many_chunks(seed: u64) -> (World, CollectionKey, CheckpointMade) {
    let mut world = World::new(seed, 4);
    let key = world.found("world", "blobs", Role::Writer);
    for document in 0..10 {
        let mut bytes = vec![0; 200 << 10];
        Entropy::from_seed(&[document; 32], "blob").fill(&mut bytes);
        edit(&mut world, 0, key, document, false, DocOp::Create(map(&[("data", Value::Bytes(bytes))])));
        // Some history, so that the entries are more than the checkpoint.
        for n in 0..40 {
            let put = Edit::put(vec![Step::Key("n".into())], Value::Int(n));
            edit(&mut world, 0, key, document, false, DocOp::Edit(vec![put]));
        }
    }
    let made = checkpoint(&mut world, 0, key);
    assert!(made.chunks >= 10, "{made:?}");
    (world, key, made)
}

/// Runs a meeting until a device has committed `parts` parts of a checkpoint, then cuts it.
fn until_parts(world: &mut World, from: usize, to: usize, parts: usize) -> LinkId {
    let link = world.link(from, to);
    while world.devices[to].store.parts() < parts {
        assert!(world.step(), "the parts never came");
    }
    link
}

/// Bytes of the checkpoint's parts that a device's disk holds.
fn committed(world: &World, device: usize) -> u64 {
    let store = &world.devices[device].store;
    let boot = store.boot();
    let slots = boot.spaces.iter().flat_map(|space| &space.checkpoints).map(|(_, slot, _)| *slot);
    let part = |slot, part| match store.load(&Load::Part { slot, part }) {
        Loaded::Part(bytes) => bytes.map_or(0, |bytes| bytes.len() as u64),
        other => panic!("{other:?}"),
    };
    slots.flat_map(|slot| (0..64).map(move |number| (slot, number))).map(|(slot, number)| part(slot, number)).sum()
}

#[test]
fn cut_at_every_chunk_nothing_that_was_committed_is_sent_again_and_another_peer_goes_on() {
    let (mut world, key, made) = many_chunks(62);
    meet(&mut world, 0, 3);
    assert_eq!(spared(&world, 3), 410, "device 3 holds the checkpoint too");
    for parts in 1..=made.chunks as usize {
        // Whoever comes, the transfer goes on.
        let (from, other) = if parts % 2 == 0 { (0, 3) } else { (3, 0) };
        let link = until_parts(&mut world, from, 2, parts);
        world.cut(link);
        let held = committed(&world, 2);
        assert!(held > 0 && held < made.bytes);
        let disk = world.devices[2].store.clone();
        let sent = meet(&mut world, other, 2);
        // What is left, and the frames' own fields: 61 bytes for each 64 KiB, and the meeting itself.
        assert!(sent <= made.bytes - held + 6_000, "{sent} bytes, though {held} of {} were there", made.bytes);
        assert_eq!(spared(&world, 2), 410);
        assert_same(&world, key, 0, 2);
        assert_peaceful(&world);
        // On as if that last meeting had not been.
        let now = world.now();
        world.devices[2] = farshore_sim::Device::start(disk, [parts as u8; 32], now).unwrap();
    }
}

#[test]
fn killed_at_every_step_of_the_way_a_newcomer_goes_on_from_what_is_durable() {
    let (mut world, key, made) = many_chunks(64);
    for parts in 1..=made.chunks as usize + 1 {
        let link = until_parts(&mut world, 0, 2, parts);
        world.cut(link);
        let held = world.devices[2].store.parts();
        world.restart(2, 64 + parts as u64);
        assert!(world.devices[2].store.parts() >= held || held == made.chunks as usize + 1);
    }
    meet(&mut world, 0, 2);
    assert_eq!(world.views(2, key), world.views(0, key));
    assert_same(&world, key, 0, 2);
    assert_peaceful(&world);
}

#[test]
fn a_device_makes_one_checkpoint_at_a_time_keeps_one_and_goes_on_after_a_kill() {
    let (mut world, key) = typed(65, 100);
    let first = checkpoint(&mut world, 0, key);
    let parts = world.devices[0].store.parts();
    assert_eq!(parts, first.chunks as usize + 1);
    type_text(&mut world, 0, key, 1, 10);
    let second = checkpoint(&mut world, 0, key);
    assert_eq!(world.devices[0].store.parts(), second.chunks as usize + 1, "the one before is gone");
    world.restart(0, 65);
    meet(&mut world, 0, 2);
    assert_eq!(spared(&world, 2), 111);
    assert_same(&world, key, 0, 2);
}

#[test]
fn an_admins_device_makes_one_by_itself_when_the_entries_outweigh_the_last() {
    let mut world = World::new(66, 3);
    let key = world.found("world", "blobs", Role::Writer);
    let count = |world: &World, device: usize| {
        let made = world.devices[device].events.iter().filter(|e| matches!(e, Event::CheckpointMade { .. }));
        made.count()
    };
    world.link(0, 1);
    let write = |world: &mut World, from: u32, to: u32| {
        for number in from..to {
            blob(world, key, number, 7 << 10);
        }
        world.run();
    };
    write(&mut world, 0, 2_100);
    assert_eq!(count(&world, 0), 0, "below 16 MiB of entries");
    write(&mut world, 2_100, 2_600);
    assert_eq!(count(&world, 0), 1, "at 16 MiB of entries");
    write(&mut world, 2_600, 3_200);
    assert_eq!(count(&world, 0), 1, "not before they are four times the last");
    assert_eq!(count(&world, 1), 0, "it is for the first admin's device to make it");
    meet(&mut world, 0, 2);
    assert_same(&world, key, 0, 2);
    assert!(spared(&world, 2) >= 2_100);
}

/// An entry by device 1 of so many bytes that cannot be made smaller.
fn blob(world: &mut World, key: CollectionKey, number: u32, size: usize) {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    let mut bytes = vec![0; size];
    Entropy::from_seed(&seed, "blob").fill(&mut bytes);
    edit(world, 1, key, (number % 256) as u8, true, DocOp::Upsert(map(&[("data", Value::Bytes(bytes))])));
    world.run();
}

#[test]
fn of_entries_that_are_large_none_is_made_unasked_because_it_would_save_nothing() {
    let mut world = World::new(68, 2);
    let key = world.found("world", "photos", Role::Writer);
    world.link(0, 1);
    for number in 0..40 {
        blob(&mut world, key, number, 900 << 10);
    }
    assert!(world.devices.iter().flat_map(|d| &d.events).all(|e| !matches!(e, Event::CheckpointMade { .. })));
}

#[test]
fn documents_are_compacted_when_their_tail_outgrows_them_and_not_at_every_edit() {
    let (mut world, key) = typed(67, 0);
    let document = DocKey { space: key.space, collection: key.collection, document: DocumentId([1; 16]) };
    let mut before = 0;
    let mut compactions = 0;
    for _ in 0..1_000 {
        let strokes = world.devices[0].store.document(&document).unwrap();
        let tail: usize = strokes.tail.iter().map(Vec::len).sum();
        let snapshot = strokes.snapshot.as_ref().map_or(0, Vec::len);
        assert!(tail <= (16 << 10).max(2 * snapshot), "a tail of {tail} bytes beside a snapshot of {snapshot}");
        compactions += u64::from(tail < before);
        before = tail;
        let path = vec![Step::Key("text".into())];
        let op = Edit::Splice { path, at: 0, delete: 0, insert: "x".into() };
        edit(&mut world, 0, key, 1, false, DocOp::Edit(vec![op]));
    }
    // About 115 bytes a change: every 140 or so while the snapshot is small.
    assert!((5..=10).contains(&compactions), "{compactions} compactions in 1,000 edits");
}

#[test]
fn a_checkpoint_of_a_reader_or_of_nothing_is_refused_with_the_reason() {
    let mut world = World::new(68, 2);
    let key = world.found("world", "texts", Role::Reader);
    let refused = |world: &mut World, device: usize| {
        let now = world.now();
        let request = Request::Checkpoint { space: key.space, collection: key.collection };
        let id = world.devices[device].request(now, request);
        world.devices[device].reply(id).unwrap().unwrap_err().to_string()
    };
    assert!(refused(&mut world, 0).contains("nothing"), "{}", refused(&mut world, 0));
    assert!(refused(&mut world, 1).contains("make a checkpoint"), "{}", refused(&mut world, 1));
    let part = world.devices[0].store.load(&Load::Part { slot: [0; 16], part: 0 });
    assert_eq!(part, Loaded::Part(None));
}

#[test]
fn a_writers_checkpoint_is_not_believed_alone() {
    let (mut world, key) = typed(69, 200);
    meet(&mut world, 0, 1);
    checkpoint(&mut world, 1, key);
    meet(&mut world, 1, 2);
    assert_eq!(spared(&world, 2), 0);
    assert_same(&world, key, 1, 2);
    assert_peaceful(&world);
}

#[test]
fn a_writers_checkpoint_counts_once_a_member_of_another_user_has_computed_the_same_also_when_it_has_gone_further() {
    let mut world = World::new(71, 4);
    let key = world.found("world", "texts", Role::Writer);
    edit(&mut world, 1, key, 1, false, DocOp::Create(map(&[("text", Value::Text(String::new()))])));
    type_text(&mut world, 1, key, 1, 200);
    meet(&mut world, 1, 3);
    checkpoint(&mut world, 1, key);
    // Device 3, a writer too, has gone past that frontier before it hears of the checkpoint.
    type_text(&mut world, 3, key, 1, 10);
    let attested = |world: &World| {
        let events = world.devices[1].events.iter();
        events.filter(|event| matches!(event, Event::CheckpointAttested { .. })).count()
    };
    assert_eq!(attested(&world), 0);
    meet(&mut world, 3, 1);
    assert_eq!(attested(&world), 1);
    world.restart(1, 71);
    meet(&mut world, 1, 2);
    assert_eq!(spared(&world, 2), 201);
    assert_same(&world, key, 1, 2);
    assert_same(&world, key, 3, 2);
    // It is asked for no more: a meeting with nothing changed is one of digests again.
    let frames = world.devices[1].counts.frames;
    meet(&mut world, 1, 2);
    assert_eq!(world.devices[1].counts.frames - frames, 4);
    assert_peaceful(&world);
}

#[test]
fn who_is_linked_with_a_newcomer_gets_what_the_newcomer_began_with_and_what_follows() {
    let (mut world, key) = typed(74, 150);
    checkpoint(&mut world, 0, key);
    world.link(1, 2);
    world.run();
    world.link(0, 1);
    world.run();
    for device in [1, 2] {
        assert_eq!(spared(&world, device), 151, "device {device}");
        assert_same(&world, key, 0, device);
    }
    type_text(&mut world, 0, key, 1, 3);
    world.run();
    assert_same(&world, key, 0, 2);
    assert_peaceful(&world);
}

#[test]
fn checkpoints_of_several_collections_come_one_after_another_from_one_peer() {
    let (mut world, key) = typed(72, 150);
    let mut keys = vec![key];
    for name in ["more", "still more"] {
        let now = world.now();
        let definition = farshore_core::catalogue::CollectionDefinition::new(name);
        let request = Request::DefineCollection { space: key.space, definition };
        let Reply::Collection(collection) = world.devices[0].ask(now, request) else { panic!("defined") };
        keys.push(CollectionKey { collection, ..key });
    }
    for key in &keys[1..] {
        edit(&mut world, 0, *key, 1, false, DocOp::Create(map(&[("text", Value::Text(String::new()))])));
        type_text(&mut world, 0, *key, 1, 150);
    }
    for key in &keys {
        checkpoint(&mut world, 0, *key);
    }
    meet(&mut world, 0, 2);
    assert_eq!(spared(&world, 2), 3 * 151);
    keys.iter().for_each(|key| assert_same(&world, *key, 0, 2));
    assert_peaceful(&world);
}

#[test]
fn edits_made_while_a_checkpoint_comes_in_are_kept_beside_it() {
    let (mut world, key, made) = many_chunks(70);
    let link = until_parts(&mut world, 0, 2, made.chunks as usize / 2);
    edit(&mut world, 2, key, 3, true, DocOp::Upsert(map(&[("mine", Value::Int(7))])));
    edit(&mut world, 2, key, 99, true, DocOp::Upsert(map(&[("new", Value::Int(8))])));
    world.run();
    world.cut(link);
    meet(&mut world, 2, 0);
    meet(&mut world, 2, 0);
    assert_same(&world, key, 0, 2);
    let views: BTreeMap<_, _> = world.views(2, key);
    let mine = Value::decode(&views[&DocumentId([3; 16])]).unwrap();
    assert_eq!(mine.get("mine"), Some(&Value::Int(7)));
    assert!(views.contains_key(&DocumentId([99; 16])));
    assert_peaceful(&world);
}

#[test]
fn a_checkpoint_that_is_no_longer_wanted_stops_coming_and_goes_on_when_it_is_wanted_again() {
    let (mut world, key, made) = many_chunks(72);
    until_parts(&mut world, 0, 2, 3);
    let choose = |world: &mut World, priority| {
        world.clock_ms += 1_100; // Peers are told at most once a second.
        let request = Request::Subscribe { space: key.space, pattern: "blobs".into(), priority };
        let now = world.now();
        world.devices[2].ask(now, request);
    };
    choose(&mut world, Some(Priority::Manual));
    let before = world.devices[0].counts.bytes;
    world.run();
    world.pass(60_000);
    let (sent, held) = (world.devices[0].counts.bytes - before, committed(&world, 2));
    assert!(held > 0 && held < made.bytes, "{held} of {}", made.bytes);
    assert!(sent <= 1 << 20, "{sent} bytes: more than was under way when it said that it does not want it");
    let before = world.devices[0].counts.bytes;
    choose(&mut world, None);
    world.run();
    let sent = world.devices[0].counts.bytes - before;
    assert!(sent <= made.bytes - held + 6_000, "{sent} bytes, though {held} of {} were there", made.bytes);
    assert_eq!(spared(&world, 2), 410);
    assert_same(&world, key, 0, 2);
    assert_peaceful(&world);
}
