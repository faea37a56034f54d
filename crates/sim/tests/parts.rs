//! An entry in parts whose link is cut goes on at the byte where it stopped, with the same peer or with another.

use std::collections::BTreeMap;

use farshore_core::batch::CollectionKey;
use farshore_core::entropy::Entropy;
use farshore_core::id::DocumentId;
use farshore_core::input::{DocEdit, DocOp};
use farshore_core::limits::BULK_FRAME_BYTES;
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

/// Bytes of each document: fifteen frames, within what may be sent before the first credit comes back.
const LARGE: usize = 900 << 10;

/// Writes a document of bytes that nothing compresses.
fn write(world: &mut World, key: CollectionKey, document: u8) {
    let mut bytes = vec![0; LARGE];
    Entropy::from_seed(&[document; 32], "large").fill(&mut bytes);
    let op = DocOp::Upsert(Value::Map(BTreeMap::from([("data".to_owned(), Value::Bytes(bytes))])));
    let edit = DocEdit { document: DocumentId([document; 16]), keyed: true, op };
    world.write(0, key, vec![edit]);
}

/// Connects device 0 with device 1, and cuts when the entry is on its way and `frames` more frames were delivered.
fn cut_after(world: &mut World, frames: usize) {
    let before = world.devices[0].counts.bytes;
    let link = world.link(0, 1);
    while world.devices[0].counts.bytes - before < LARGE as u64 {
        assert!(world.step(), "the entry was never sent");
    }
    for _ in 0..frames {
        world.step();
    }
    world.cut(link);
}

/// Connects two devices until silence; says how many bytes the first one sent.
fn meet(world: &mut World, from: usize, to: usize) -> u64 {
    let before = world.devices[from].counts.bytes;
    let link = world.link(from, to);
    world.run();
    world.cut(link);
    world.devices[from].counts.bytes - before
}

#[test]
fn no_part_that_came_before_a_cut_is_sent_again_wherever_the_cut_falls() {
    let mut world = World::new(50, 2);
    let key = world.found("world", "large", Role::Writer);
    meet(&mut world, 0, 1);
    let parts = LARGE.div_ceil(BULK_FRAME_BYTES);
    let mut resent = Vec::new();
    // Up to three frames of other kinds may be under way with the parts.
    for frames in 0..parts + 3 {
        let document = 1 + frames as u8;
        write(&mut world, key, document);
        cut_after(&mut world, frames);
        assert!(world.views(1, key).len() <= usize::from(document));
        resent.push(meet(&mut world, 0, 1));
        assert_eq!(world.views(0, key), world.views(1, key));
    }
    let part = BULK_FRAME_BYTES as u64;
    let mut kept = 0;
    for pair in resent.windows(2) {
        // One frame more delivered is one part less to send, to within the frames of the meeting itself.
        let saved = pair[0].saturating_sub(pair[1]);
        kept += u64::from(saved > part / 4);
        assert!(saved <= part + 1_000, "{resent:?}");
    }
    assert!(resent[0] >= LARGE as u64 && resent[0] <= LARGE as u64 + 8_000, "{resent:?}");
    assert!(kept >= parts as u64 - 1, "{kept} of {parts} parts were kept: {resent:?}");
    assert!(resent.last().is_some_and(|last| *last <= part), "{resent:?}");
    assert!(world.devices.iter().all(|device| device.closed.is_empty()));
}

#[test]
fn another_peer_goes_on_where_the_first_was_cut_off() {
    let mut world = World::new(51, 3);
    let key = world.found("world", "large", Role::Writer);
    meet(&mut world, 0, 1);
    write(&mut world, key, 1);
    meet(&mut world, 0, 2);
    assert_eq!(world.views(2, key).len(), 1);
    cut_after(&mut world, 10);
    assert_eq!(world.views(1, key).len(), 0);
    let sent = meet(&mut world, 2, 1);
    assert_eq!(world.views(1, key), world.views(0, key));
    assert!(sent <= (LARGE - 7 * BULK_FRAME_BYTES) as u64, "{sent} bytes, though seven parts at least were there");
}

#[test]
fn a_kill_forgets_at_most_the_one_entry_that_was_on_its_way() {
    let mut world = World::new(52, 2);
    let key = world.found("world", "large", Role::Writer);
    meet(&mut world, 0, 1);
    for document in 1..=3 {
        write(&mut world, key, document);
    }
    let link = world.link(0, 1);
    let before = world.devices[0].counts.bytes;
    while world.devices[0].counts.bytes - before < 2 * LARGE as u64 {
        assert!(world.step(), "the second entry was never sent");
    }
    world.cut(link);
    world.restart(1, 9);
    let held: u64 = world.devices[1].store.journals(key.space).values().map(|state| state.held.seq).sum();
    let sent = meet(&mut world, 0, 1);
    assert_eq!(world.views(0, key), world.views(1, key));
    let lacking = 3 - held;
    assert!(held >= 1, "nothing was durable");
    assert!(sent <= lacking * (LARGE as u64 + 4_000) + 8_000, "{sent} bytes for {lacking} entries");
}
