//! Late words about a former life of a document: judged alike by who knows the later life and by who does not.

use automerge::ChangeHash;
use farshore_core::entry::Entry;
use farshore_core::id::{DocKey, DocumentId};
use farshore_core::input::DocOp;
use farshore_core::payload::{Item, ItemBody};
use farshore_core::record::DocRecord;
use farshore_core::value::Value;

use crate::content::{document, item, sound, then};
use crate::peer::{InWorld, RawPeer};
use crate::raw::{Op, RawChange};
use crate::rig::{ADA, BEN, Rig, fields};

/// A document that both had, and that Ben alone deleted and made anew; the two are apart.
fn two_lives(seed: u64) -> (Rig, DocumentId) {
    let mut rig = Rig::new(seed);
    let target = rig.write(BEN);
    rig.world.run();
    rig.world.cut(rig.honest);
    rig.write_to(BEN, target, DocOp::Delete);
    rig.write_to(BEN, target, DocOp::Create(fields(&[("second", Value::Int(2))])));
    assert_ne!(rig.value(ADA, target), rig.value(BEN, target));
    (rig, target)
}

fn key(rig: &Rig, document: DocumentId) -> DocKey {
    DocKey { space: rig.key.space, collection: rig.key.collection, document }
}

/// The changes of the first life, as a device keeps them.
fn first_life(rig: &Rig, device: usize, target: DocumentId) -> Vec<Vec<u8>> {
    rig.world.devices[device].store.life(&key(rig, target), 1).unwrap().tail.clone()
}

/// Mallory's change on top of the first life, whatever of it the caller alters.
fn late(rig: &Rig, mallory: &RawPeer, target: DocumentId, alter: impl FnOnce(&mut RawChange)) -> Item {
    let last = RawChange::parse(first_life(rig, ADA, target).last().unwrap());
    let ops = vec![Op::put("late", "by mallory")];
    let mut change = RawChange { actor: mallory.actor(target, 1).to_vec(), seq: 1, ..last.then(ops) };
    alter(&mut change);
    item(target, &[change])
}

fn send_to_both(rig: &mut Rig, entries: &[farshore_core::entry::Entry]) {
    [ADA, BEN].into_iter().for_each(|device| rig.send_entries(device, entries));
}

/// Both keep the same of both lives, and show the second.
fn assert_same_lives(rig: &Rig, target: DocumentId) {
    let second = Some(fields(&[("second", Value::Int(2))]));
    for device in [ADA, BEN] {
        assert_eq!(rig.value(device, target), second, "device {device}");
    }
    for generation in [1, 2] {
        let of = |device: usize| {
            let store = &rig.world.devices[device].store;
            let life = store.life(&key(rig, target), generation).unwrap();
            let record = DocRecord::decode(&life.record).unwrap();
            let mut changes = life.tail.clone();
            changes.sort();
            (record.heads, record.tombstone, changes)
        };
        assert_eq!(of(ADA), of(BEN), "generation {generation}");
    }
}

#[test]
fn a_malformed_change_of_a_former_life_closes_its_journal_at_the_same_place_on_every_member() {
    let (mut rig, target) = two_lives(70);
    let mut mallory = rig.mallory();
    let good = mallory.entry(&[sound(&mallory, document(20), "good")]);
    let bad = mallory.entry(&[late(&rig, &mallory, target, |change| change.seq = 7)]);
    let after = mallory.entry(&[sound(&mallory, document(21), "after")]);
    send_to_both(&mut rig, &[good, bad, after]);
    let reason = rig.assert_rejected(mallory.journal(), 2);
    assert!(reason.contains("sequence number"), "{reason}");
    rig.meet();
    for device in [ADA, BEN] {
        assert!(rig.value(device, document(20)).is_some());
        assert_eq!(rig.value(device, document(21)), None);
    }
    assert_same_lives(&rig, target);
    rig.assert_undisturbed();
}

#[test]
fn a_late_edit_of_a_former_life_is_kept_and_never_comes_back() {
    let (mut rig, target) = two_lives(71);
    let mut mallory = rig.mallory();
    let edit = mallory.entry(&[late(&rig, &mallory, target, |_| {})]);
    send_to_both(&mut rig, &[edit]);
    rig.meet();
    assert_eq!((rig.collection(ADA).unapplied, rig.collection(BEN).unapplied), (0, 0));
    assert_eq!(first_life(&rig, BEN, target).len(), 2, "the late edit is kept with the life that it is of");
    assert_same_lives(&rig, target);
    // Nor after a restart, when more of the former life comes: another edit, and a deletion.
    rig.world.restart(BEN, 71);
    rig.world.restart(ADA, 72);
    rig.meet();
    let last = RawChange::parse(first_life(&rig, ADA, target).last().unwrap());
    let more = item(target, &[then(&last, vec![Op::put("later", "still")])]);
    let body = ItemBody::Tombstone { heads: vec![[1; 32]] };
    let entry = mallory.entry(&[more, Item { document: target, generation: 1, body }]);
    let line = rig.mallory().meet(&mut rig.world, BEN);
    line.send_entry(&mut rig.world, &entry);
    line.hang_up(&mut rig.world);
    assert_eq!(first_life(&rig, ADA, target).len(), 3);
    assert_same_lives(&rig, target);
    assert!(rig.rejected(ADA).is_empty() && rig.rejected(BEN).is_empty());
    rig.assert_undisturbed();
}

#[test]
fn a_change_of_a_former_life_that_hides_what_it_builds_on_waits_on_every_member_alike() {
    let (mut rig, target) = two_lives(72);
    let mut mallory = rig.mallory();
    let missing = RawChange::parse(first_life(&rig, ADA, target).last().unwrap());
    let mut other = rig.mallory();
    other.new_journal();
    let missing =
        RawChange { actor: other.actor(target, 1).to_vec(), seq: 1, ..missing.then(vec![Op::put("the", "dep")]) };
    let hidden = ChangeHash(farshore_core::change::decode(&missing.chunk()).unwrap().hash().0);
    let edit = mallory.entry(&[late(&rig, &mallory, target, |change| {
        change.deps = vec![hidden];
        change.start_op += 1;
    })]);
    send_to_both(&mut rig, &[edit]);
    assert_eq!((rig.collection(ADA).unapplied, rig.collection(BEN).unapplied), (1, 1));
    assert_eq!((rig.rejected(ADA), rig.rejected(BEN)), (Vec::new(), Vec::new()));
    let dep = other.entry(&[item(target, &[missing])]);
    send_to_both(&mut rig, &[dep]);
    assert_eq!((rig.collection(ADA).unapplied, rig.collection(BEN).unapplied), (0, 0));
    rig.meet();
    assert_eq!(first_life(&rig, BEN, target).len(), 3);
    assert_same_lives(&rig, target);
    rig.assert_undisturbed();
}

#[test]
fn a_refused_insert_after_a_delete_leaves_the_document_deleted() {
    use farshore_core::document::{Edit, Path};
    use farshore_core::input::{DocEdit, Request};
    use farshore_core::output::Reply;
    let mut rig = Rig::new(73);
    let target = rig.write(BEN);
    rig.write_to(BEN, target, DocOp::Delete);
    let ask = |rig: &mut Rig, op: DocOp| {
        let now = rig.world.now();
        let edits = vec![DocEdit { document: target, keyed: false, op }];
        let request = Request::Edit { space: rig.key.space, collection: rig.key.collection, edits };
        let Reply::Edited(results) = rig.world.devices[BEN].ask(now, request) else { panic!("an answer") };
        rig.world.run();
        results[0].clone()
    };
    // A root must be a map.
    assert!(ask(&mut rig, DocOp::Create(Value::Int(1))).is_err());
    let nowhere = Edit::Delete { path: Path::new() };
    assert!(ask(&mut rig, DocOp::Edit(vec![nowhere])).is_err());
    ask(&mut rig, DocOp::Create(fields(&[("second", Value::Int(2))]))).unwrap();
    assert_eq!(rig.value(ADA, target), Some(fields(&[("second", Value::Int(2))])));
    rig.assert_undisturbed();
}

/// Every deletion names heads, and nobody can know which of them there will be: a writer who names any stops nobody.
#[test]
fn deletions_that_name_heads_of_nothing_stop_no_collection() {
    let mut rig = Rig::new(171);
    let mut mallory = rig.mallory();
    let entries: Vec<Entry> = (0..11_u32)
        .map(|number| {
            let head = |index: u32| *blake3::hash(&(number << 16 | index).to_be_bytes()).as_bytes();
            let mut heads: Vec<[u8; 32]> = (0..1_000).map(head).collect();
            heads.sort_unstable();
            let body = ItemBody::Tombstone { heads };
            mallory.entry(&[Item { document: document(9), generation: 1, body }])
        })
        .collect();
    rig.send_entries(ADA, &entries[..10]);
    // After a restart the record is read from the store, for the next one.
    rig.world.restart(ADA, 5);
    rig.meet();
    rig.send_entries(ADA, &entries[10..]);
    for device in [ADA, BEN] {
        let collection = rig.collection(device);
        assert_eq!((collection.unapplied, collection.waiting), (0, None));
    }
    rig.write_to(BEN, document(9), DocOp::Create(fields(&[("title", Value::Str("again".into()))])));
    assert!(rig.value(ADA, document(9)).is_some());
    rig.assert_undisturbed();
}
