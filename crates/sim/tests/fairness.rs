//! Whoever writes much does not hold up who writes little.

use farshore_core::batch::CollectionKey;
use farshore_core::id::DocumentId;
use farshore_core::input::{DocEdit, DocOp, Request};
use farshore_core::limits::BULK_REST_TIMES;
use farshore_core::output::{Event, Reply};
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

/// Documents of an entry each.
fn write(world: &mut World, device: usize, key: CollectionKey, documents: u32) -> Vec<DocumentId> {
    let written = (0..documents).map(|number| {
        let mut id = [device as u8; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let content = Value::Map([("text".to_owned(), Value::Str("x".repeat(200)))].into());
        let edit = DocEdit { document: DocumentId(id), keyed: false, op: DocOp::Create(content) };
        world.write(device, key, vec![edit]);
        DocumentId(id)
    });
    written.collect()
}

/// One document of many, with a sentence in it.
fn sentence(number: u8, at: u8) -> DocEdit {
    let content = Value::Map([("text".to_owned(), Value::Str("y".repeat(100)))].into());
    let document = DocumentId([[number; 8], [at; 8]].concat().try_into().unwrap());
    DocEdit { document, keyed: false, op: DocOp::Create(content) }
}

/// What makes a large entry.
fn large(number: u8) -> Vec<DocEdit> {
    (0..250).map(|at| sentence(number, at)).collect()
}

/// Entries of two authors wait to be applied: thousands of documents of one, and one of the other. Authors have no order among
/// themselves that would help: each of the two is the one that writes little, in its turn.
#[test]
fn among_entries_that_wait_the_small_ones_of_every_author_come_first() {
    for (much, little) in [(0, 1), (1, 0)] {
        let mut world = World::new(91, 3);
        let key = world.found("home", "notes", Role::Writer);
        let suspended = |world: &mut World, suspended| {
            let now = world.now();
            assert_eq!(world.devices[2].ask(now, Request::SetSuspended(suspended)), Reply::Done);
        };
        suspended(&mut world, true);
        let flood = write(&mut world, much, key, 3_000);
        let one = write(&mut world, little, key, 1);
        world.link(0, 2);
        world.link(1, 2);
        world.run();
        world.devices[2].events.clear();
        suspended(&mut world, false);
        world.run();
        let changed = world.devices[2].events.iter().filter_map(|event| match event {
            Event::Changed { documents, .. } => Some(documents.clone()),
            _ => None,
        });
        let turns: Vec<Vec<DocumentId>> = changed.collect();
        assert!(turns.len() > 1, "all in one turn: nobody waited for anybody");
        assert!(turns[0].contains(&one[0]), "the one that writes little waited for {} turns", turns.len());
        assert_eq!(turns.iter().map(Vec::len).sum::<usize>(), flood.len() + 1);
    }
}

/// A flood of large entries comes while somebody writes a little: his entries are shown each before the next of the flood, and
/// in the end all is there.
#[test]
fn beside_a_flood_small_entries_are_applied_at_once_and_large_ones_with_rests() {
    let mut world = World::new(92, 3);
    let key = world.found("home", "notes", Role::Writer);
    for peer in [0, 1] {
        world.link(peer, 2);
    }
    write(&mut world, 0, key, 1);
    world.run();
    world.devices[2].apply_ms = 20;
    write(&mut world, 1, key, 1); // Somebody writes a little: the space is lively.
    world.run();
    for number in 100..120 {
        world.write(0, key, large(number));
    }
    world.run();
    let shown = |world: &World| world.views(2, key).len();
    let before = shown(&world);
    assert!(before < 2 + 20 * 250, "the flood was applied without a rest");
    for number in 0..5 {
        let held = shown(&world);
        let one = DocEdit {
            document: DocumentId([200 + number; 16]),
            keyed: false,
            op: DocOp::Create(Value::Map([("text".to_owned(), Value::Str("z".into()))].into())),
        };
        world.write(1, key, vec![one]);
        world.run(); // No timer: nothing that rests goes on.
        assert!(world.views(2, key).contains_key(&DocumentId([200 + number; 16])), "the small one waits for the flood");
        assert!(shown(&world) <= held + 1 + 250, "more than one large entry without a rest");
        world.pass(20 * BULK_REST_TIMES);
    }
    for _ in 0..40 {
        world.pass(20 * BULK_REST_TIMES);
    }
    assert_eq!(world.views(2, key), world.views(0, key));
}

/// Who types fast makes small entries and large ones. Nobody else writes, so nothing of it rests.
#[test]
fn who_writes_alone_does_not_rest_for_his_own_small_entries() {
    let mut world = World::new(93, 2);
    let key = world.found("home", "notes", Role::Writer);
    world.link(0, 1);
    write(&mut world, 0, key, 1);
    world.run();
    world.devices[1].apply_ms = 20;
    for number in 100..110 {
        world.write(0, key, vec![sentence(number, 255)]);
        world.write(0, key, large(number));
    }
    world.run(); // No timer: what rests does not go on.
    assert_eq!(world.views(1, key).len(), 1 + 10 * 251);
}
