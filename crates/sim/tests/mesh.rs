//! A mesh carries an entry once to each member, and a line passes it on at once; a way that fails costs one wait.

use std::collections::BTreeMap;

use farshore_core::batch::CollectionKey;
use farshore_core::id::DocumentId;
use farshore_core::input::{DocEdit, DocOp, LinkId};
use farshore_core::limits::HOLD_BACK_MS;
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

fn write(world: &mut World, device: usize, key: CollectionKey, number: u8) {
    let title = Value::Map([("title".to_owned(), Value::Str(format!("{device} wrote {number}")))].into());
    let document = DocumentId([[number; 8], [device as u8; 8]].concat().try_into().unwrap());
    world.write(device, key, vec![DocEdit { document, keyed: false, op: DocOp::Create(title) }]);
}

fn entry_frames(world: &World) -> u64 {
    world.devices.iter().map(|device| device.counts.entry_frames).sum()
}

fn frames(world: &World) -> u64 {
    world.devices.iter().map(|device| device.counts.frames).sum()
}

fn linked(world: &mut World, pairs: &[(usize, usize)]) -> BTreeMap<(usize, usize), LinkId> {
    let links = pairs.iter().map(|(a, b)| ((*a, *b), world.link(*a, *b))).collect();
    world.run();
    links
}

fn mesh(count: usize) -> (World, CollectionKey, BTreeMap<(usize, usize), LinkId>) {
    let mut world = World::new(77, count);
    let key = world.found("home", "notes", Role::Writer);
    let pairs: Vec<_> = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect();
    let links = linked(&mut world, &pairs);
    for device in 0..count {
        write(&mut world, device, key, 0);
        world.run();
        world.pass(1);
    }
    world.pass(HOLD_BACK_MS);
    (world, key, links)
}

#[test]
fn in_a_mesh_an_entry_travels_once_to_each_member() {
    let (mut world, key, _) = mesh(8);
    for number in 1..4 {
        for device in 0..8 {
            let before = entry_frames(&world);
            write(&mut world, device, key, number);
            world.run();
            assert_eq!(entry_frames(&world) - before, 7, "device {device} wrote, for the {number}. time");
        }
    }
    let views = world.views(0, key);
    assert_eq!(views.len(), 32);
    assert!((1..8).all(|device| world.views(device, key) == views));
    // What was not sent is announced once for each pair, all authors in one frame, and then nothing more is said.
    let before = frames(&world);
    world.pass(HOLD_BACK_MS);
    let said = frames(&world) - before;
    assert!((1..=8 * 7).contains(&said), "{said} frames");
    world.pass(10 * HOLD_BACK_MS);
    assert!(frames(&world) - before <= 8 * 7, "announced again and again");
}

#[test]
fn a_line_passes_entries_on_at_once() {
    let mut world = World::new(78, 5);
    let key = world.found("home", "notes", Role::Writer);
    linked(&mut world, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
    for number in 0..4 {
        for device in 0..5 {
            let before = entry_frames(&world);
            write(&mut world, device, key, number);
            world.run(); // Only frames under way: no timer fires.
            assert_eq!(entry_frames(&world) - before, 4);
        }
    }
    assert!((0..5).all(|device| world.views(device, key).len() == 20));
}

#[test]
fn when_the_way_from_the_author_fails_one_entry_waits_and_those_after_it_do_not() {
    let (mut world, key, links) = mesh(4);
    world.cut(links[&(0, 1)]); // Devices 2 and 3 cannot know.
    let held = |world: &World| world.views(1, key).len();
    let before = held(&world);
    write(&mut world, 0, key, 1);
    world.run();
    assert_eq!(held(&world), before, "held back by both");
    world.pass(HOLD_BACK_MS);
    assert_eq!(held(&world), before + 1, "announced, asked for and sent");
    for number in 2..8 {
        write(&mut world, 0, key, number);
        world.run();
        assert_eq!(held(&world), before + usize::from(number), "at once, since it had to ask");
    }
    // The other authors' entries go on as they did.
    let frames = entry_frames(&world);
    write(&mut world, 2, key, 1);
    world.run();
    assert_eq!(entry_frames(&world) - frames, 3);
}

#[test]
fn what_was_held_back_when_a_link_ends_is_told_by_the_next_one() {
    let (mut world, key, links) = mesh(3);
    world.cut(links[&(0, 1)]);
    write(&mut world, 0, key, 1);
    world.run();
    world.cut(links[&(1, 2)]);
    world.link(1, 2);
    world.run();
    assert_eq!(world.views(1, key), world.views(0, key));
}
