//! Which collections a device keeps up, and when: subscriptions, priorities, syncing by hand, pausing.

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::batch::CollectionKey;
use farshore_core::catalogue::CollectionDefinition;
use farshore_core::document::{Edit, Step};
use farshore_core::id::{CollectionTag, DocumentId, SpaceId};
use farshore_core::input::{DocEdit, DocOp, Request};
use farshore_core::output::{CollectionStatus, Event, Reply, RequestError, Status};
use farshore_core::role::Role;
use farshore_core::subscription::Priority;
use farshore_core::value::Value;
use farshore_sim::World;

/// A scope is said at most this often.
const SCOPE_MS: u64 = 1_000;

fn define(world: &mut World, space: SpaceId, name: &str) -> CollectionKey {
    let (now, definition) = (world.now(), CollectionDefinition::new(name));
    let reply = world.devices[0].ask(now, Request::DefineCollection { space, definition });
    let Reply::Collection(collection) = reply else { panic!("a collection is defined") };
    CollectionKey { space, collection }
}

/// A world with these collections, which every device knows.
fn world<const N: usize>(seed: u64, devices: usize, names: [&str; N]) -> (World, [CollectionKey; N]) {
    let mut world = World::new(seed, devices);
    let first = world.found("home", names[0], Role::Writer);
    let keys = std::array::from_fn(|at| if at == 0 { first } else { define(&mut world, first.space, names[at]) });
    for device in 1..devices {
        let link = world.link(0, device);
        world.run();
        world.cut(link);
    }
    (world, keys)
}

/// Text that does not compress.
fn noise(seed: u8, bytes: usize) -> String {
    let mut out = vec![0; bytes / 2];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
    out.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(world: &mut World, device: usize, key: CollectionKey, document: u8, bytes: usize) {
    let text = Value::Str(noise(document, bytes));
    let op = DocOp::Create(Value::Map(BTreeMap::from([("text".to_owned(), text)])));
    change(world, device, key, document, op);
}

fn change(world: &mut World, device: usize, key: CollectionKey, document: u8, op: DocOp) {
    world.write(device, key, vec![DocEdit { document: DocumentId([document; 16]), keyed: false, op }]);
}

fn subscribe(world: &mut World, device: usize, space: SpaceId, pattern: &str, priority: Option<Priority>) {
    let request = Request::Subscribe { space, pattern: pattern.into(), priority };
    let now = world.now();
    assert_eq!(world.devices[device].ask(now, request), Reply::Done);
    world.run();
    world.pass(SCOPE_MS);
}

fn ask(world: &mut World, device: usize, request: Request) {
    let now = world.now();
    assert_eq!(world.devices[device].ask(now, request), Reply::Done);
    world.run();
    // What is wanted by hand is said, and when it is here it is no longer.
    world.pass(SCOPE_MS);
    world.pass(SCOPE_MS);
}

fn status(world: &mut World, device: usize) -> Status {
    let now = world.now();
    let Reply::Status(status) = world.devices[device].ask(now, Request::Status) else { panic!("a status") };
    *status
}

fn collection(world: &mut World, device: usize, key: CollectionKey) -> CollectionStatus {
    let status = status(world, device);
    let space = status.spaces.into_iter().find(|space| space.space == key.space).unwrap();
    space.collections.into_iter().find(|collection| collection.collection == key.collection).unwrap()
}

fn held(world: &World, device: usize, key: CollectionKey) -> usize {
    world.views(device, key).len()
}

/// Entries of a collection on a device's disk.
fn entries(world: &World, device: usize, collection: CollectionTag) -> u64 {
    let spaces = world.devices[device].store.boot().spaces;
    let journals = spaces.into_iter().flat_map(|space| space.journals);
    journals.filter(|(id, _)| id.collection == collection).map(|(_, state)| state.held.seq).sum()
}

fn sent(world: &World) -> u64 {
    world.devices.iter().map(|device| device.counts.bytes).sum()
}

fn nobody_was_faulted(world: &World) {
    for device in &world.devices {
        assert_eq!(device.closed, Vec::<String>::new());
    }
}

fn in_sync(world: &World, device: usize) -> bool {
    world.devices[device].events.iter().any(|event| matches!(event, Event::InSync { .. }))
}

#[test]
fn devices_with_different_subscriptions_converge_on_what_each_wants() {
    let (mut world, [todos, orders, photos]) = world(1, 3, ["todos", "orders/north", "photos"]);
    let space = todos.space;
    subscribe(&mut world, 1, space, "photos", Some(Priority::None));
    subscribe(&mut world, 2, space, "*", Some(Priority::None));
    subscribe(&mut world, 2, space, "orders/", Some(Priority::Eager));
    for (at, key) in [todos, orders, photos].into_iter().enumerate() {
        for device in 0..3 {
            for document in 0..4 {
                write(&mut world, device, key, (at * 12 + device * 4) as u8 + document, 400);
            }
        }
    }
    for (a, b) in [(0, 1), (1, 2), (2, 0)] {
        world.link(a, b);
        world.run();
    }
    world.pass(SCOPE_MS);
    // All that anybody wrote, and of what is not wanted one's own.
    let expected = [[12, 12, 12], [12, 12, 4], [4, 12, 4]];
    for (device, expected) in expected.into_iter().enumerate() {
        assert_eq!([todos, orders, photos].map(|key| held(&world, device, key)), expected, "device {device}");
    }
    assert_eq!(world.views(0, orders), world.views(2, orders));
    assert_eq!(world.views(0, todos), world.views(1, todos));
    // And live, through whoever wants it.
    write(&mut world, 0, orders, 100, 2_000);
    write(&mut world, 1, photos, 101, 2_000);
    world.run();
    assert_eq!([held(&world, 2, orders), held(&world, 2, photos), held(&world, 0, photos)], [13, 4, 13]);
    nobody_was_faulted(&world);
    for device in 0..3 {
        assert!(in_sync(&world, device), "device {device}");
        let status = status(&mut world, device);
        assert!(status.links.iter().all(|link| link.phase == "in sync"), "{:?}", status.links);
        assert!(status.spaces[0].pending.values().all(|pending| *pending == 0), "{:?}", status.spaces[0].pending);
    }
    // Nothing is to go any more, and still the third device does not hold what it does not want.
    let ids = [0, 1, 2].map(|device: usize| world.devices[device].replica.identity().device);
    let unheld = status(&mut world, 1).spaces.remove(0).unheld;
    let lacking = BTreeSet::from([todos.collection, photos.collection]);
    assert_eq!(unheld, BTreeMap::from([(ids[0], BTreeSet::new()), (ids[2], lacking)]));
}

#[test]
fn a_collection_that_is_not_subscribed_costs_no_byte_on_the_link_and_on_the_disk() {
    let meet = |documents: u8| {
        let (mut world, [todos, photos]) = world(2, 2, ["todos", "photos"]);
        subscribe(&mut world, 1, todos.space, "photos", Some(Priority::None));
        write(&mut world, 0, todos, 200, 100);
        for document in 0..documents {
            write(&mut world, 0, photos, document, 3_000);
        }
        let before = sent(&world);
        let link = world.link(0, 1);
        world.run();
        // Live, too.
        for document in 0..documents {
            write(&mut world, 0, photos, 100 + document, 3_000);
            world.run();
        }
        write(&mut world, 0, todos, 201, 100);
        world.run();
        world.cut(link);
        world.link(0, 1);
        world.run();
        assert_eq!((held(&world, 1, todos), entries(&world, 1, photos.collection)), (2, 0));
        assert!(world.devices[1].store.views(photos.space, photos.collection).is_empty());
        nobody_was_faulted(&world);
        sent(&world) - before
    };
    assert_eq!(meet(0), meet(20));
}

#[test]
fn a_collection_that_is_subscribed_again_catches_up_from_where_it_was() {
    let (mut world, [todos, photos]) = world(3, 2, ["todos", "photos"]);
    world.link(0, 1);
    for document in 0..20 {
        write(&mut world, 0, photos, document, 2_000);
    }
    world.run();
    assert_eq!(held(&world, 1, photos), 20);
    subscribe(&mut world, 1, todos.space, "photos", Some(Priority::None));
    let status = collection(&mut world, 1, photos);
    assert_eq!((status.kept_up, status.priority), (false, Priority::None));
    for document in 20..30 {
        write(&mut world, 0, photos, document, 2_000);
    }
    write(&mut world, 0, todos, 100, 100);
    world.run();
    // What is held stays readable and is not kept up.
    assert_eq!((held(&world, 1, photos), held(&world, 1, todos)), (20, 1));
    let before = sent(&world);
    subscribe(&mut world, 1, todos.space, "photos", None);
    assert_eq!(held(&world, 1, photos), 30);
    assert!(collection(&mut world, 1, photos).kept_up);
    // Ten entries of 2,000 bytes that do not compress (half a byte each digit), and the comparison.
    let cost = sent(&world) - before;
    assert!(cost < 10 * 2_400 + 2_000, "{cost} bytes to catch up on ten entries");
    nobody_was_faulted(&world);
}

#[test]
fn a_cursor_says_nothing_about_what_was_not_wanted() {
    let (mut world, [todos, photos]) = world(4, 2, ["todos", "photos"]);
    subscribe(&mut world, 1, todos.space, "photos", Some(Priority::None));
    for document in 0..5 {
        write(&mut world, 0, photos, document, 300);
    }
    write(&mut world, 0, todos, 100, 100);
    let link = world.link(0, 1);
    world.run();
    write(&mut world, 0, todos, 101, 100);
    world.run();
    world.pass(SCOPE_MS);
    world.cut(link);
    // Apart, so that only what is remembered tells what to compare.
    subscribe(&mut world, 1, todos.space, "photos", Some(Priority::Lazy));
    world.restart(1, 4);
    world.link(0, 1);
    world.run();
    assert_eq!((held(&world, 1, photos), held(&world, 1, todos)), (5, 2));
}

#[test]
fn a_restart_keeps_subscriptions_and_pauses() {
    let (mut world, [todos, photos]) = world(5, 2, ["todos", "photos"]);
    subscribe(&mut world, 1, todos.space, "photos", Some(Priority::None));
    subscribe(&mut world, 1, todos.space, "orders/", Some(Priority::Eager));
    write(&mut world, 0, photos, 1, 100);
    world.restart(1, 5);
    world.link(0, 1);
    world.run();
    assert_eq!(held(&world, 1, photos), 0);
    let rules = status(&mut world, 1).spaces[0].subscriptions.clone();
    assert_eq!(rules, [("orders/".to_owned(), Priority::Eager), ("photos".to_owned(), Priority::None)]);
    ask(&mut world, 1, Request::Pause { space: Some(todos.space), by: "ada".into() });
    ask(&mut world, 1, Request::Pause { space: None, by: "the battery".into() });
    let paused = status(&mut world, 1);
    world.restart(1, 6);
    let after = status(&mut world, 1);
    assert_eq!((&after.paused, &after.spaces[0].paused), (&paused.paused, &paused.spaces[0].paused));
    assert_eq!(after.paused.unwrap().by, "the battery");
    assert_eq!(after.spaces[0].paused.as_ref().unwrap().by, "ada");
}

#[test]
fn a_prefix_takes_in_collections_that_are_created_later() {
    let (mut world, [todos, orders]) = world(6, 2, ["todos", "orders/north"]);
    subscribe(&mut world, 1, todos.space, "*", Some(Priority::None));
    subscribe(&mut world, 1, todos.space, "orders/", Some(Priority::Normal));
    world.link(0, 1);
    world.run();
    let keys = ["orders/south", "photos", "orders/east"].map(|name| define(&mut world, todos.space, name));
    for key in keys.into_iter().chain([todos, orders]) {
        write(&mut world, 0, key, 1, 100);
    }
    world.run();
    world.pass(SCOPE_MS);
    assert_eq!(keys.map(|key| held(&world, 1, key)), [1, 0, 1]);
    assert_eq!((held(&world, 1, todos), held(&world, 1, orders)), (0, 1));
    nobody_was_faulted(&world);
}

#[test]
fn many_new_collections_are_told_of_together() {
    let (mut world, [todos]) = world(7, 2, ["todos"]);
    subscribe(&mut world, 1, todos.space, "*", Some(Priority::None));
    subscribe(&mut world, 1, todos.space, "orders/", Some(Priority::Normal));
    world.link(0, 1);
    world.run();
    world.pass(SCOPE_MS);
    let before = world.devices[1].counts.frames;
    for index in 0..30 {
        define(&mut world, todos.space, &format!("orders/{index}"));
        world.run();
    }
    world.pass(SCOPE_MS);
    // Each new collection is a round of the roster (four frames); scopes and states come twice, not thirty times.
    let frames = world.devices[1].counts.frames - before;
    assert!(frames < 30 * 5 + 10, "{frames} frames");
    nobody_was_faulted(&world);
}

#[test]
fn what_a_device_writes_where_it_is_not_subscribed_reaches_those_who_are_with_what_it_builds_on() {
    // Cal writes, Ada has it of him, stops keeping it up, and builds on it; Ben meets only Ada.
    let (mut world, [todos, photos]) = world(8, 3, ["todos", "photos"]);
    let (ada, ben, cal) = (0, 1, 2);
    write(&mut world, cal, photos, 1, 100);
    let link = world.link(ada, cal);
    world.run();
    world.cut(link);
    write(&mut world, cal, photos, 2, 100); // Ada does not hold this.
    subscribe(&mut world, ada, todos.space, "photos", Some(Priority::None));
    let title = Edit::put(vec![Step::Key("title".into())], Value::Str("by Ada".into()));
    change(&mut world, ada, photos, 1, DocOp::Edit(vec![title]));
    let link = world.link(ada, ben);
    world.run();
    assert_eq!(held(&world, ben, photos), 1);
    assert_eq!(world.views(ada, photos), world.views(ben, photos));
    // Cut off in the middle it is asked for at the next meeting.
    world.cut(link);
    let done = Edit::put(vec![Step::Key("done".into())], Value::Bool(true));
    change(&mut world, ada, photos, 1, DocOp::Edit(vec![done]));
    world.link(ada, ben);
    world.run();
    assert_eq!(world.views(ada, photos), world.views(ben, photos));
    assert!(in_sync(&world, ada) && in_sync(&world, ben));
    nobody_was_faulted(&world);
}

#[test]
fn what_it_builds_on_is_asked_for_again_after_a_cut() {
    for steps in 0..40 {
        let (mut world, [todos, photos]) = world(9, 3, ["todos", "photos"]);
        write(&mut world, 2, photos, 1, 100);
        let link = world.link(0, 2);
        world.run();
        world.cut(link);
        subscribe(&mut world, 0, todos.space, "photos", Some(Priority::None));
        let title = Edit::put(vec![Step::Key("title".into())], Value::Str("by Ada".into()));
        change(&mut world, 0, photos, 1, DocOp::Edit(vec![title]));
        let link = world.link(0, 1);
        (0..steps).all(|_| world.step());
        world.cut(link);
        world.link(0, 1);
        world.run();
        assert_eq!(world.views(0, photos), world.views(1, photos), "cut after {steps} frames");
    }
}

#[test]
fn the_most_urgent_collections_come_first() {
    let (mut world, keys) = world(10, 2, ["a", "b", "c"]);
    let [a, b, c] = keys;
    subscribe(&mut world, 1, a.space, "a", Some(Priority::Lazy));
    subscribe(&mut world, 1, a.space, "c", Some(Priority::Eager));
    for document in 0..12 {
        for key in keys {
            write(&mut world, 0, key, document, 400_000);
        }
    }
    world.link(0, 1);
    let mut order = Vec::new();
    while world.step() {
        let counts = [a, b, c].map(|key| entries(&world, 1, key.collection));
        if order.last() != Some(&counts) {
            order.push(counts);
        }
    }
    assert_eq!(order.last(), Some(&[12, 12, 12]));
    for [lazy, normal, eager] in order {
        assert!(normal == 0 || eager == 12, "{normal} normal entries before the last of {eager} eager ones");
        assert!(lazy == 0 || normal == 12, "{lazy} lazy entries before the last of {normal} normal ones");
    }
}

#[test]
fn manual_moves_nothing_until_it_is_asked_for_and_again_nothing_after() {
    let (mut world, [todos, photos]) = world(11, 3, ["todos", "photos"]);
    subscribe(&mut world, 1, todos.space, "photos", Some(Priority::Manual));
    world.link(0, 1);
    world.link(1, 2);
    world.run();
    for document in 0..5 {
        write(&mut world, 0, photos, document, 3_000);
    }
    world.run();
    assert_eq!((held(&world, 1, photos), entries(&world, 1, photos.collection)), (0, 0));
    for round in 1..4 {
        ask(&mut world, 1, Request::SyncNow { space: Some(todos.space) });
        assert_eq!(held(&world, 1, photos), 4 + round);
        write(&mut world, 0, photos, 100 + round as u8, 3_000);
        world.run();
        world.pass(SCOPE_MS);
        assert_eq!(held(&world, 1, photos), 4 + round);
        assert!(!collection(&mut world, 1, photos).kept_up);
    }
    // Of all spaces, too.
    ask(&mut world, 1, Request::SyncNow { space: None });
    assert_eq!(held(&world, 1, photos), 8);
    nobody_was_faulted(&world);
}

#[test]
fn lazy_waits_while_the_network_is_metered() {
    let (mut world, [todos, photos]) = world(12, 2, ["todos", "photos"]);
    subscribe(&mut world, 1, todos.space, "photos", Some(Priority::Lazy));
    ask(&mut world, 1, Request::SetMetered(true));
    write(&mut world, 0, photos, 1, 3_000);
    world.link(0, 1);
    write(&mut world, 0, photos, 2, 3_000);
    write(&mut world, 0, todos, 3, 100);
    world.run();
    assert_eq!((held(&world, 1, photos), held(&world, 1, todos)), (0, 1));
    assert!(!collection(&mut world, 1, photos).kept_up);
    ask(&mut world, 1, Request::SetMetered(false));
    assert_eq!(held(&world, 1, photos), 2);
    assert!(collection(&mut world, 1, photos).kept_up);
}

#[test]
fn nothing_of_a_paused_space_is_exchanged_and_nobody_takes_it_for_a_fault() {
    let (mut world, [todos, photos]) = world(13, 2, ["todos", "photos"]);
    world.link(0, 1);
    world.run();
    for (device, space) in [(0, Some(todos.space)), (1, None)] {
        ask(&mut world, device, Request::Pause { space, by: "ada".into() });
        let before = sent(&world);
        write(&mut world, 0, todos, 1 + device as u8, 5_000);
        write(&mut world, 1, photos, 1 + device as u8, 5_000);
        world.run();
        world.pass(60_000);
        assert_eq!(sent(&world), before);
        assert_eq!(status(&mut world, device).links[0].phase, "no space in common");
        // Asking for it by hand is no way around it.
        let now = world.now();
        let request = world.devices[device].request(now, Request::SyncNow { space: Some(todos.space) });
        assert_eq!(world.devices[device].reply(request), Some(Err(RequestError::Paused)));
        ask(&mut world, device, Request::Resume { space });
        assert_eq!(world.views(0, todos), world.views(1, todos));
        assert_eq!(world.views(0, photos), world.views(1, photos));
    }
    nobody_was_faulted(&world);
}

#[test]
fn a_pause_at_any_moment_of_a_transfer_loses_nothing_and_resumes_without_what_was_committed() {
    let total = 10 * 50_000;
    for steps in (0..60).step_by(3) {
        let (mut world, [todos]) = world(14, 2, ["todos"]);
        for document in 0..10 {
            write(&mut world, 0, todos, document, 50_000);
        }
        world.link(0, 1);
        (0..steps).all(|_| world.step());
        ask(&mut world, 1, Request::Pause { space: None, by: "the app".into() });
        let committed = entries(&world, 1, todos.collection);
        let before = sent(&world);
        ask(&mut world, 1, Request::Resume { space: None });
        assert_eq!(held(&world, 1, todos), 10);
        let resent = sent(&world) - before;
        let left = (10 - committed) * (total / 10);
        assert!(resent < left + 10_000, "{resent} bytes after a pause after {steps} frames; {left} were left");
        nobody_was_faulted(&world);
    }
}

#[test]
fn states_that_cross_with_entries_are_said_again_until_both_know_that_they_are_in_sync() {
    for steps in 0..60 {
        let (mut world, [todos]) = world(15, 2, ["todos"]);
        write(&mut world, 0, todos, 1, 300);
        write(&mut world, 1, todos, 2, 300);
        world.devices.iter_mut().for_each(|device| device.events.clear());
        world.link(0, 1);
        (0..steps).all(|_| world.step());
        write(&mut world, 0, todos, 3, 300);
        write(&mut world, 1, todos, 4, 300);
        world.run();
        assert_eq!(world.views(0, todos), world.views(1, todos));
        assert!(in_sync(&world, 0) && in_sync(&world, 1), "edits after {steps} frames");
    }
}

#[test]
fn what_differs_in_a_part_of_many_collections_is_found_by_a_tree_of_that_part() {
    let (mut world, [first]) = world(16, 2, ["a/0"]);
    let mut keys = vec![first];
    keys.extend((1..180).map(|index| define(&mut world, first.space, &format!("a/{index}"))));
    keys.extend((0..20).map(|index| define(&mut world, first.space, &format!("b/{index}"))));
    for key in &keys {
        write(&mut world, 0, *key, 1, 60);
    }
    let link = world.link(0, 1);
    world.run();
    world.cut(link);
    subscribe(&mut world, 1, first.space, "b/", Some(Priority::None));
    write(&mut world, 0, keys[7], 2, 60);
    write(&mut world, 0, keys[190], 2, 60);
    let before = sent(&world);
    world.link(0, 1);
    world.run();
    assert_eq!([held(&world, 1, keys[7]), held(&world, 1, keys[190])], [2, 1]);
    // All of the part would be 180 positions of 105 bytes, from each side.
    let cost = sent(&world) - before;
    assert!(cost < 12_000, "{cost} bytes to find one of 180 journals");
    nobody_was_faulted(&world);
}

#[test]
fn a_suspension_at_any_moment_comes_to_rest_loses_nothing_and_is_no_fault() {
    for steps in (0..60).step_by(4) {
        let (mut world, [todos]) = world(17, 2, ["todos"]);
        for document in 0..10 {
            write(&mut world, 0, todos, document, 50_000);
        }
        world.link(0, 1);
        (0..steps).all(|_| world.step());
        let now = world.now();
        assert_eq!(world.devices[1].ask(now, Request::SetSuspended(true)), Reply::Done);
        world.run();
        let committed = entries(&world, 1, todos.collection);
        // Local work goes on.
        write(&mut world, 1, todos, 100, 100);
        assert!(status(&mut world, 1).links.is_empty() && status(&mut world, 0).links.is_empty());
        // The other side was told, and takes it for no fault.
        let other = &world.devices[0];
        assert!(!other.events.iter().any(|event| matches!(event, Event::PeerFault { .. })));
        assert!(other.closed.iter().all(|reason| reason.contains("background")), "{:?}", other.closed);
        ask(&mut world, 1, Request::SetSuspended(false));
        let before = sent(&world);
        world.link(1, 0);
        world.run();
        assert_eq!((held(&world, 1, todos), held(&world, 0, todos)), (11, 11));
        let (resent, left) = (sent(&world) - before, (10 - committed) * 50_000);
        assert!(resent < left + 5_000, "{resent} bytes after {steps} frames; {left} were left");
    }
}

#[test]
fn what_failed_to_apply_is_tried_again_when_it_is_asked_for() {
    let (mut world, [todos]) = world(18, 2, ["todos"]);
    world.link(0, 1);
    write(&mut world, 0, todos, 1, 100);
    world.run();
    let before = sent(&world);
    ask(&mut world, 1, Request::Retry { space: Some(todos.space) });
    // Both say once more where they stand.
    assert!(sent(&world) > before && sent(&world) - before < 400, "{} bytes", sent(&world) - before);
    assert_eq!(held(&world, 1, todos), 1);
}

#[test]
fn pauses_that_cross_with_scopes_at_any_moment_leave_both_sides_in_sync() {
    for steps in 0..24 {
        for between in 0..5 {
            let (mut world, [todos, photos]) = world(19, 2, ["todos", "photos"]);
            subscribe(&mut world, 1, todos.space, "photos", Some(Priority::None));
            write(&mut world, 0, todos, 1, 300);
            write(&mut world, 0, photos, 2, 300);
            write(&mut world, 1, todos, 3, 300);
            world.link(0, 1);
            (0..steps).all(|_| world.step());
            let space = Some(todos.space);
            for request in [Request::Pause { space, by: "ada".into() }, Request::Resume { space }] {
                let now = world.now();
                assert_eq!(world.devices[0].ask(now, request), Reply::Done);
                (0..between).all(|_| world.step());
            }
            world.run();
            world.pass(SCOPE_MS);
            assert_eq!(world.views(0, todos), world.views(1, todos));
            assert_eq!(held(&world, 1, photos), 0);
            for device in 0..2 {
                let links = status(&mut world, device).links;
                assert_eq!(links[0].phase, "in sync", "device {device}, {steps} frames, then {between}");
            }
            nobody_was_faulted(&world);
        }
    }
}
