//! What a newer version writes waits for an upgrade: kept, forwarded, counted, and nobody's fault.

use farshore_core::entry::Entry;
use farshore_core::keys::DeviceKeys;
use farshore_core::payload::{self, Item, ItemBody, PackedChange};

use crate::content::{document, first, item, sound};
use crate::peer::{InWorld, Line, RawPeer};
use crate::raw::Op;
use crate::rig::{ADA, BEN, Rig};

/// Both keep the entry at `seq` byte for byte, wait at it, and count what follows it; nobody is at fault.
fn assert_waits(rig: &mut Rig, line: &Line, mallory: &RawPeer, seq: u64, bytes: &[u8]) {
    rig.assert_open(line);
    for device in [ADA, BEN] {
        let stored = rig.world.devices[device].store.entry(rig.key.space, mallory.journal(), seq);
        assert_eq!(stored, Some(bytes), "device {device}");
        assert!(rig.collection(device).waiting.unwrap().contains("waiting for upgrade"));
    }
    assert!(rig.rejected(ADA).is_empty() && rig.rejected(BEN).is_empty());
}

/// Sends a sound entry, the one in question and another sound one; expects that the second and third wait, a restart
/// included.
fn waits(seed: u64, make: impl FnOnce(&RawPeer) -> Entry) {
    let mut rig = Rig::new(seed);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let before = mallory.entry(&[sound(&mallory, document(20), "before")]);
    let newer = make(&mallory);
    mallory.end = newer.position();
    let after = mallory.entry(&[sound(&mallory, document(21), "after")]);
    for entry in [&before, &newer, &after] {
        line.send_entry(&mut rig.world, entry);
    }
    assert_waits(&mut rig, &line, &mallory, 2, newer.as_bytes());
    assert_eq!((rig.collection(ADA).unapplied, rig.collection(BEN).unapplied), (2, 2));
    rig.world.restart(BEN, seed);
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    assert_waits(&mut rig, &line, &mallory, 2, newer.as_bytes());
    assert!(rig.value(BEN, document(20)).is_some());
    assert_eq!(rig.value(BEN, document(21)), None);
    rig.assert_undisturbed();
}

#[test]
fn a_payload_under_a_newer_codec_waits_for_an_upgrade() {
    // Whatever it declares: a newer codec may have other limits.
    for (seed, declared) in [(100, 10_u32), (101, u32::MAX)] {
        waits(seed, |mallory| {
            let payload = [&declared.to_be_bytes()[..], &[2], &[7; 30]].concat();
            mallory.sign(mallory.header(), &payload)
        });
    }
}

#[test]
fn a_change_with_newer_flags_or_of_a_newer_kind_of_actor_waits_for_an_upgrade() {
    let packed = |mallory: &RawPeer| {
        let item = item(document(22), &[first(mallory, document(22), vec![Op::put("title", "new")])]);
        let ItemBody::Changes(mut changes) = item.body.clone() else { panic!("changes") };
        let Some(PackedChange::Derived(change)) = changes.pop() else { panic!("one change") };
        (item, change)
    };
    waits(102, |mallory| {
        let (item, mut change) = packed(mallory);
        change[0] = 2;
        let body = ItemBody::Changes(vec![PackedChange::Derived(change)]);
        mallory.sign(mallory.header(), &payload::encode(&[Item { body, ..item }]).unwrap())
    });
    waits(103, |mallory| {
        let (item, change) = packed(mallory);
        // A list of one change, by an actor of kind 2.
        let length = (change.len() as u32).to_be_bytes();
        let body = ItemBody::Unknown { kind: 1, bytes: [&[0, 1, 2][..], &length, &change].concat() };
        mallory.sign(mallory.header(), &payload::encode(&[Item { body, ..item }]).unwrap())
    });
}

#[test]
fn what_is_malformed_beside_something_newer_still_closes_the_journal() {
    let mut rig = Rig::new(104);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let newer = Item { body: ItemBody::Unknown { kind: 77, bytes: vec![1] }, ..sound(&mallory, document(20), "x") };
    let broken = Item { body: ItemBody::Tombstone { heads: vec![[2; 32], [1; 32]] }, ..newer.clone() };
    let entry = mallory.entry(&[newer, broken]);
    line.send_entry(&mut rig.world, &entry);
    assert!(rig.assert_rejected(mallory.journal(), 1).contains("tombstone heads"));
    rig.assert_undisturbed();
}

/// The entry as a later version might write it.
pub(crate) fn newer(entry: &Entry, keys: &DeviceKeys, suite: u8) -> Vec<u8> {
    let sealed = entry.sealed().to_vec();
    let header = &entry.as_bytes()[..entry.as_bytes().len() - 64 - sealed.len()];
    let (bound, rest) = header.split_at(header.len() - 36);
    let mut newer = [&bound[..bound.len() - 2], &[0, 4, 1, 2, 3, 4], rest].concat();
    (newer[0], newer[1], newer[2]) = (9, suite, 0x80);
    let signature = keys.sign("farshore entry v1", &newer);
    newer.extend_from_slice(&signature);
    newer.extend_from_slice(&sealed);
    newer
}

#[test]
fn an_entry_of_a_newer_version_is_kept_forwarded_and_waits_for_an_upgrade() {
    waits(105, |mallory| {
        let entry = mallory.sign(mallory.header(), &[0xff; 100]);
        Entry::decode(newer(&entry, &mallory.keys, 1)).unwrap()
    });
}

#[test]
fn an_entry_of_a_newer_version_is_checked_like_any_other() {
    let mut rig = Rig::new(106);
    let mallory = rig.mallory();
    let entry = mallory.sign(mallory.header(), &[0xff; 100]);
    // Another's signature; a suite under which nobody here can check one.
    for (bytes, words) in [
        (newer(&entry, &rig.rita().keys, 1), "signature or hash is wrong"),
        (newer(&entry, &mallory.keys, 2), "entry suite"),
    ] {
        let line = rig.mallory().meet(&mut rig.world, ADA);
        let frame = farshore_core::wire::Frame::Entry { handle: line.handle, bytes };
        line.send(&mut rig.world, &frame);
        rig.assert_faulted(&line, words);
    }
    // A reader may not write, in whatever version.
    let rita = rig.rita();
    let entry = rita.sign(rita.header(), &[0xff; 100]);
    let line = rig.rita().meet(&mut rig.world, ADA);
    let bytes = newer(&entry, &rita.keys, 1);
    line.send(&mut rig.world, &farshore_core::wire::Frame::Entry { handle: line.handle, bytes });
    rig.assert_faulted(&line, "may not write");
    rig.assert_undisturbed();
}
