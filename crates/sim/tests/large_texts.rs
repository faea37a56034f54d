//! A large text that is typed in costs its readers a fifth of a core at most, and holds nobody else up.

use std::collections::BTreeMap;

use farshore_core::batch::CollectionKey;
use farshore_core::document::{Edit, Step};
use farshore_core::id::DocumentId;
use farshore_core::input::{DocEdit, DocOp, Request};
use farshore_core::output::Reply;
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

const TEXT: DocumentId = DocumentId([1; 16]);
const SMALL: DocumentId = DocumentId([2; 16]);
/// What one application to a text of 100,000 changes takes.
const APPLY_MS: u64 = 35;

fn write(world: &mut World, device: usize, key: CollectionKey, document: DocumentId, op: DocOp) {
    world.write(device, key, vec![DocEdit { document, keyed: false, op }]);
}

fn field(name: &str, value: Value) -> Value {
    Value::Map(BTreeMap::from([(name.to_owned(), value)]))
}

fn typed(at: usize) -> DocOp {
    let path = vec![Step::Key("text".into())];
    DocOp::Edit(vec![Edit::Splice { path, at: at as u64, delete: 0, insert: "x".into() }])
}

/// Characters of the text as a device shows it.
fn shown(world: &World, device: usize, key: CollectionKey) -> usize {
    let views = world.views(device, key);
    let Some(view) = views.get(&TEXT) else { return 0 };
    match Value::decode(view).unwrap().get("text") {
        Some(Value::Text(text)) => text.len(),
        other => panic!("{other:?}"),
    }
}

/// Three linked devices that hold a text of so many characters; an application takes [`APPLY_MS`] at the second.
fn with_text(characters: usize) -> (World, CollectionKey) {
    let mut world = World::new(7, 3);
    let key = world.found("world", "notes", Role::Writer);
    world.link(0, 1);
    world.link(1, 2);
    world.run();
    write(&mut world, 0, key, TEXT, DocOp::Create(field("text", Value::Text("a".repeat(characters)))));
    world.run();
    assert_eq!(shown(&world, 1, key), characters);
    world.devices[1].apply_ms = APPLY_MS;
    (world, key)
}

#[test]
fn a_large_text_typed_in_takes_a_fifth_of_its_readers_time_and_lags_by_175_ms() {
    let (mut world, key) = with_text(12_000);
    let before = world.devices[1].counts;
    let (mut length, mut lengths) = (12_000, Vec::new());
    for step in 0..1_000_u64 {
        if step.is_multiple_of(10) {
            write(&mut world, 0, key, TEXT, typed(length));
            length += 1;
        }
        lengths.push(length);
        world.pass(10);
        // An application takes 35 ms and the rest after it 140; steps of 10 ms see it up to two steps later.
        let due = lengths.len().checked_sub(20).map_or(0, |earlier| lengths[earlier]);
        assert!(shown(&world, 1, key) >= due, "at {} ms", step * 10);
    }
    world.pass(200);
    assert_eq!(shown(&world, 1, key), length);
    let after = world.devices[1].counts;
    let applies = after.applies - before.applies;
    assert!(applies * APPLY_MS * 5 <= 10_200 + APPLY_MS * 5, "{applies} applications of {APPLY_MS} ms in 10 s");
    assert!(applies >= 40, "{applies}: it waited longer than it had to");
}

#[test]
fn what_another_device_writes_elsewhere_does_not_wait_for_a_text_that_rests() {
    let (mut world, key) = with_text(12_000);
    write(&mut world, 0, key, TEXT, typed(0));
    world.run();
    write(&mut world, 0, key, TEXT, typed(0));
    world.run();
    assert_eq!(shown(&world, 1, key), 12_001, "the text rests");
    write(&mut world, 2, key, SMALL, DocOp::Create(field("n", Value::Int(1))));
    world.run();
    assert!(world.views(1, key).contains_key(&SMALL), "a small document is shown at once");
    write(&mut world, 1, key, TEXT, typed(0));
    world.run();
    assert_eq!(shown(&world, 1, key), 12_002, "so is an edit of one's own in the text itself");
    world.pass(200);
    assert_eq!(shown(&world, 1, key), 12_003);
}

#[test]
fn entries_for_a_text_that_rests_are_durable_and_receipted_at_once() {
    let (mut world, key) = with_text(12_000);
    for _ in 0..3 {
        write(&mut world, 0, key, TEXT, typed(0));
        world.run();
    }
    assert_eq!(shown(&world, 1, key), 12_001);
    let now = world.now();
    let Reply::Status(status) = world.devices[0].ask(now, Request::Status) else { panic!("a status") };
    let second = world.devices[1].replica.identity().device;
    assert_eq!(status.spaces[0].pending[&second], 0);
    world.restart(1, 9);
    assert_eq!(shown(&world, 1, key), 12_003, "they were on the disk, and a restart applies them");
}

#[test]
fn small_documents_never_rest() {
    let (mut world, key) = with_text(100);
    for _ in 0..20 {
        write(&mut world, 0, key, TEXT, typed(0));
        world.run();
    }
    assert_eq!(shown(&world, 1, key), 120);
}
