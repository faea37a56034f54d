//! Changes that a malicious member seals correctly and that do not fit.

use automerge::ChangeHash;
use farshore_core::change::compact;
use farshore_core::id::{DocKey, DocumentId};
use farshore_core::payload::{Item, ItemBody, PackedChange};
use farshore_core::value::Value;

use crate::content::{chunks, document, first, item, sound, then};
use crate::peer::{InWorld, RawPeer};
use crate::raw::{Id, Op, RawChange};
use crate::rig::{ADA, BEN, Rig};

const DOC: DocumentId = DocumentId([9; 16]);

/// Sends the items in an entry of a new journal that begins with a sound one, and expects that every member closes the
/// journal before it, for the same reason, which is returned.
fn refused(rig: &mut Rig, make: impl FnOnce(&RawPeer) -> Vec<Item>) -> String {
    let mut mallory = rig.mallory();
    mallory.new_journal();
    mallory.incarnation.0[0] = rig.rejected(ADA).len() as u8;
    let line = mallory.meet(&mut rig.world, ADA);
    let good = mallory.entry(&[sound(&mallory, document(200), "good")]);
    line.send_entry(&mut rig.world, &good);
    let items = make(&mallory);
    let bad = mallory.entry(&items);
    line.send_entry(&mut rig.world, &bad);
    rig.assert_open(&line);
    let reason = rig.assert_rejected(mallory.journal(), 2);
    assert!(reason.contains(&items[0].document.to_string()), "{reason} does not say in which document");
    line.hang_up(&mut rig.world);
    reason
}

fn one(peer: &RawPeer, alter: impl FnOnce(&mut RawChange)) -> Vec<Item> {
    let mut change = first(peer, DOC, vec![Op::put("title", "mine")]);
    alter(&mut change);
    vec![item(DOC, &[change])]
}

#[test]
fn a_change_whose_place_does_not_fit_closes_its_authors_journal_on_every_member_alike() {
    let mut rig = Rig::new(40);
    for (words, seq) in [("sequence number", 2), ("sequence number", 1 << 30), ("sequence number", 0)] {
        let reason = refused(&mut rig, |peer| one(peer, |change| change.seq = seq));
        assert!(reason.contains(words), "{reason}");
    }
    for start_op in [0, 1_000_002, u64::MAX, 1 << 31] {
        let reason = refused(&mut rig, |peer| one(peer, |change| change.start_op = start_op));
        assert!(reason.contains("operation"), "{reason}");
    }
    // The second change of an author: skips, repeats, goes back.
    for (seq, start_op, words) in [(3, 2, "sequence number"), (1, 2, "sequence number"), (2, 1, "operation")] {
        let reason = refused(&mut rig, |peer| {
            let a = first(peer, DOC, vec![Op::put("title", "mine")]);
            let b = RawChange { seq, start_op, ..then(&a, vec![Op::put("x", "y")]) };
            vec![item(DOC, &[a, b])]
        });
        assert!(reason.contains(words), "{reason}");
    }
    // Not built on the author's own change before.
    let reason = refused(&mut rig, |peer| {
        let a = first(peer, DOC, vec![Op::put("title", "mine")]);
        let b = RawChange { deps: Vec::new(), ..then(&a, vec![Op::put("x", "y")]) };
        vec![item(DOC, &[a, b])]
    });
    assert!(reason.contains("sequence number"), "{reason}");
    rig.assert_undisturbed();
}

#[test]
fn a_change_that_names_objects_elements_or_operations_that_are_not_there_is_refused_alike() {
    let mut rig = Rig::new(41);
    let nowhere = |peer: &RawPeer| Id { ctr: 1, actor: peer.actor(DOC, 1).to_vec() };
    let own = |op: Op| {
        move |peer: &RawPeer| {
            let ops = vec![Op::put("a", "b"), op.clone()];
            vec![item(DOC, &[first(peer, DOC, ops)])]
        }
    };
    // A scalar is no object.
    let reason = refused(&mut rig, |peer| own(Op { obj: Some(nowhere(peer)), ..Op::put("k", "v") })(peer));
    assert!(reason.contains("object"), "{reason}");
    // An element of a list that has none.
    let reason = refused(&mut rig, |peer| own(Op::insert(&nowhere(peer), None, "v"))(peer));
    assert!(reason.contains("object"), "{reason}");
    let reason = refused(&mut rig, |peer| {
        let list = nowhere(peer);
        let gone = Id { ctr: 1, actor: list.actor.clone() };
        vec![item(DOC, &[first(peer, DOC, vec![Op::make("list", 2), Op::insert(&list, Some(&gone), "v")])])]
    });
    assert!(reason.contains("element"), "{reason}");
    // A predecessor under another key.
    let reason = refused(&mut rig, |peer| own(Op::put("other", "v").with_preds(&[&nowhere(peer)]))(peer));
    assert!(reason.contains("predecessor"), "{reason}");
    // Operations of an actor that wrote nothing here.
    let foreign = Id { ctr: 1, actor: vec![0xaa; 16] };
    for op in [
        Op { obj: Some(foreign.clone()), ..Op::put("k", "v") },
        Op::put("k", "v").with_preds(&[&foreign]),
        Op::insert(&foreign, Some(&foreign), "v"),
    ] {
        // The change starts later than what it refers to, as if that were there.
        let reason =
            refused(&mut rig, |peer| vec![item(DOC, &[RawChange { start_op: 10, ..first(peer, DOC, vec![op]) }])]);
        assert!(reason.contains("an actor that has written nothing"), "{reason}");
    }
    // A deletion of nothing.
    let reason = refused(&mut rig, own(Op { action: 3, kind: 0, raw: Vec::new(), ..Op::put("k", "") }));
    assert!(reason.contains("supersede"), "{reason}");
    rig.assert_undisturbed();
}

#[test]
fn a_change_that_automerge_would_choke_on_never_reaches_it() {
    let mut rig = Rig::new(42);
    let with = |op: Op| move |peer: &RawPeer| vec![item(DOC, &[first(peer, DOC, vec![op])])];
    // Tables, unknown actions, malformed values, a mark without its end.
    for op in [
        Op::make("k", 6),
        Op { action: 9, ..Op::put("k", "v") },
        Op { kind: 15, ..Op::put("k", "v") },
        Op { kind: 5, raw: vec![0; 3], ..Op::put("k", "") },
        Op { kind: 6, raw: vec![0xff, 0xfe], ..Op::put("k", "") },
        Op { kind: 3, raw: vec![0x80; 20], ..Op::put("k", "") },
    ] {
        refused(&mut rig, with(op));
    }
    refused(&mut rig, |peer| {
        let text = Id { ctr: 1, actor: peer.actor(DOC, 1).to_vec() };
        vec![item(DOC, &[first(peer, DOC, vec![Op::make("t", 4), Op::mark(&text, None, Some("bold"))])])]
    });
    // Fields that Farshore's own writer never fills.
    refused(&mut rig, |peer| one(peer, |change| change.time = i64::MAX));
    refused(&mut rig, |peer| one(peer, |change| change.extra = vec![1, 2, 3]));
    refused(&mut rig, |peer| one(peer, |change| change.idle_actors = vec![vec![3; 16]]));
    refused(&mut rig, |peer| one(peer, |change| change.message = vec![0xff; 40]));
    // Columns that say they are longer than the change, or hold runs of billions.
    for (spec, column) in [
        (0x42, vec![0xff, 0xff, 0xff, 0xff, 0x07, 0x01]),
        (0x34, vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        (0x70, vec![0x7f, 0xff, 0xff, 0xff, 0xff, 0x07]),
        (0x57, vec![1; 100]),
        (0x43, vec![1]),
        (0x08, vec![1]),
    ] {
        refused(&mut rig, |peer| {
            let change = first(peer, DOC, vec![Op::put("title", "mine")]);
            vec![chunks(DOC, vec![change.chunk_with(spec, column)])]
        });
    }
    // Bytes that are no change at all.
    for bytes in [vec![], vec![0], vec![1], vec![1; 40], vec![0; 4_000], [vec![0], vec![0xff; 300]].concat()] {
        refused(&mut rig, |_| {
            let changes = ItemBody::Changes(vec![PackedChange::Derived(bytes)]);
            vec![Item { document: DOC, generation: 1, body: changes }]
        });
    }
    assert_eq!(rig.value(ADA, DOC), None);
    rig.assert_undisturbed();
}

#[test]
fn nobody_writes_under_another_members_name() {
    let mut rig = Rig::new(43);
    let target = rig.write(BEN);
    let ben = rig.world.devices[BEN].replica.identity();
    let actor = farshore_core::document::derived_actor(
        rig.key.space,
        rig.key.collection,
        ben.device,
        target,
        1,
        ben.incarnation,
    );
    // The one way to write out an actor is to call the change a genesis change.
    for with_history in [false, true] {
        let history = rig.world.devices[BEN]
            .store
            .document(&farshore_core::id::DocKey {
                space: rig.key.space,
                collection: rig.key.collection,
                document: target,
            })
            .unwrap()
            .tail
            .clone();
        let reason = refused(&mut rig, |_| {
            let last = RawChange::parse(history.last().unwrap());
            let forged = match with_history {
                true => RawChange { actor: actor.to_vec(), ..last.then(vec![Op::put("n", "forged")]) },
                false => RawChange { actor: vec![0xbe; 16], ..RawChange::first(0, vec![Op::put("n", "forged")]) },
            };
            let (_, change) = farshore_core::change::compact::strip(&forged.chunk(), None).unwrap();
            let genesis = PackedChange::Genesis { actor: forged.actor.clone().try_into().unwrap(), change };
            vec![Item { document: target, generation: 1, body: ItemBody::Changes(vec![genesis]) }]
        });
        assert!(reason.contains("genesis change and is none"), "{reason}");
    }
    // A change made for Ben's actor and sealed as one's own becomes one's own, by hash too: it is not Ben's.
    assert_eq!(rig.value(ADA, target).unwrap().get("n").map(|n| matches!(n, Value::Int(_))), Some(true));
    rig.assert_undisturbed();
}

#[test]
fn a_forged_genesis_change_is_refused() {
    let mut rig = Rig::new(44);
    for alter in [0, 1, 2, 3] {
        let reason = refused(&mut rig, |_| {
            // The true one of a list at `tags`, then another key, value, second operation or later start.
            let genuine = farshore_core::document::genesis::ContainerKind::List;
            assert_eq!(genuine as u8, 1);
            let mut change = RawChange { actor: vec![0x6e; 16], ..RawChange::first(0, vec![Op::make("tags", 2)]) };
            match alter {
                0 => {}
                1 => change.ops = vec![Op::put("tags", "a value")],
                2 => change.ops.push(Op::make("more", 2)),
                _ => change.start_op = 2,
            }
            let (_, packed) = farshore_core::change::compact::strip(&change.chunk(), None).unwrap();
            let genesis = PackedChange::Genesis { actor: [0x6e; 16], change: packed };
            vec![Item { document: DOC, generation: 1, body: ItemBody::Changes(vec![genesis]) }]
        });
        assert!(!reason.is_empty());
    }
    assert_eq!(rig.value(ADA, DOC), None);
    rig.assert_undisturbed();
}

#[test]
fn an_item_of_generation_zero_is_refused() {
    let mut rig = Rig::new(45);
    let reason = refused(&mut rig, |peer| vec![Item { generation: 0, ..sound(peer, DOC, "x") }]);
    assert!(reason.contains("generation 0"), "{reason}");
    let tombstone = ItemBody::Tombstone { heads: vec![[1; 32]] };
    let reason = refused(&mut rig, |_| vec![Item { document: DOC, generation: 0, body: tombstone }]);
    assert!(reason.contains("generation 0"), "{reason}");
    rig.assert_undisturbed();
}

#[test]
fn an_entry_counts_wholly_or_not_at_all() {
    let mut rig = Rig::new(46);
    refused(&mut rig, |peer| {
        // The bad item first, so that the reason names it; the good one must not count either.
        let bad = RawChange { seq: 7, ..first(peer, DOC, vec![Op::put("title", "bad")]) };
        vec![item(DOC, &[bad]), sound(peer, document(10), "good alone")]
    });
    refused(&mut rig, |peer| {
        let good = first(peer, document(11), vec![Op::put("title", "good")]);
        let bad = RawChange { seq: 7, ..then(&good, vec![Op::put("title", "bad")]) };
        vec![item(document(11), &[good, bad])]
    });
    for byte in [9, 10, 11] {
        assert_eq!(rig.value(ADA, document(byte)), None);
        assert_eq!(rig.value(BEN, document(byte)), None);
    }
    // What the same author wrote before it in the same journal still counts.
    assert!(rig.value(BEN, document(200)).is_some());
    rig.assert_undisturbed();
}

#[test]
fn a_change_that_builds_on_a_change_of_nobody_is_never_applied() {
    let mut rig = Rig::new(47);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let change =
        RawChange { deps: vec![ChangeHash([0xdd; 32])], ..first(&mallory, DOC, vec![Op::put("title", "mine")]) };
    let bad = mallory.entry(&[item(DOC, &[change])]);
    let later = mallory.entry(&[sound(&mallory, document(10), "later")]);
    line.send_entry(&mut rig.world, &bad);
    line.send_entry(&mut rig.world, &later);
    rig.assert_open(&line);
    for device in [ADA, BEN] {
        assert_eq!(rig.value(device, DOC), None);
        assert_eq!(rig.value(device, document(10)), None, "an entry was applied after one that was not");
    }
    assert_eq!(rig.rejected(ADA), rig.rejected(BEN));
    rig.assert_undisturbed();
}

#[test]
fn an_entry_that_hides_what_it_builds_on_means_the_same_to_whoever_gets_it_first() {
    let mut rig = Rig::new(48);
    rig.world.cut(rig.honest);
    // Ben writes, and only Ben holds it when Mallory's entry comes.
    let target = rig.write(BEN);
    let key = farshore_core::id::DocKey { space: rig.key.space, collection: rig.key.collection, document: target };
    let tail = rig.world.devices[BEN].store.document(&key).unwrap().tail.clone();
    let last = RawChange::parse(tail.last().unwrap());
    let mut mallory = rig.mallory();
    let change =
        RawChange { actor: mallory.actor(target, 1).to_vec(), seq: 1, ..last.then(vec![Op::put("by", "mallory")]) };
    // Her header names no deps.
    let entry = mallory.entry(&[item(target, &[change])]);
    for device in [ADA, BEN] {
        let line = rig.mallory().meet(&mut rig.world, device);
        line.send_entry(&mut rig.world, &entry);
        line.hang_up(&mut rig.world);
    }
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    assert_eq!(rig.rejected(ADA), rig.rejected(BEN));
    rig.assert_undisturbed();
}

#[test]
fn members_that_hold_more_and_less_of_a_closed_journal_are_still_in_sync() {
    let mut rig = Rig::new(49);
    rig.world.cut(rig.honest);
    rig.write(BEN);
    let device = rig.world.devices[BEN].replica.identity().device;
    let journals = rig.world.devices[BEN].store.journals(rig.key.space);
    let (journal, state) = journals.into_iter().find(|(journal, _)| journal.device == device).unwrap();
    let dep = farshore_core::entry::Dep { device, incarnation: journal.incarnation, position: state.held };
    let mut mallory = rig.mallory();
    let good = mallory.entry(&[sound(&mallory, document(20), "good")]);
    let change = RawChange { seq: 5, ..first(&mallory, DOC, vec![Op::put("title", "bad")]) };
    let bad = mallory.entry_with(&[item(DOC, &[change])], |header| header.deps = vec![dep]);
    let rest: Vec<_> = (30..40).map(|n| mallory.entry(&[sound(&mallory, document(n), "after")])).collect();
    // Ada cannot apply the bad one before Ben's entry comes, so she holds what follows it; Ben closes the journal at once.
    let line = rig.mallory().meet(&mut rig.world, BEN);
    line.send_entry(&mut rig.world, &good);
    line.send_entry(&mut rig.world, &bad);
    line.hang_up(&mut rig.world);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    for entry in [&good, &bad].into_iter().chain(&rest) {
        line.send_entry(&mut rig.world, entry);
    }
    line.hang_up(&mut rig.world);
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    rig.assert_rejected(mallory.journal(), 2);
    rig.assert_undisturbed();
    // Nor does a restart bring anything of it back.
    rig.world.restart(ADA, 49);
    rig.honest = rig.world.link(BEN, ADA);
    rig.world.run();
    assert_eq!(rig.value(ADA, document(30)), None);
    rig.assert_undisturbed();
}

#[test]
fn anothers_change_passed_off_as_a_genesis_change_is_broken_for_who_has_it_and_for_who_has_not() {
    let mut rig = Rig::new(48);
    rig.world.cut(rig.honest);
    let target = rig.write(BEN);
    let key = DocKey { space: rig.key.space, collection: rig.key.collection, document: target };
    let chunk = rig.world.devices[BEN].store.life(&key, 1).unwrap().tail[0].clone();
    let (_, change) = compact::strip(&chunk, None).unwrap();
    let actor = farshore_core::change::decode(&chunk).unwrap().actor().try_into().unwrap();
    let body = ItemBody::Changes(vec![PackedChange::Genesis { actor, change }]);
    let mut mallory = rig.mallory();
    let entry = mallory.entry(&[Item { document: target, generation: 1, body }]);
    for device in [ADA, BEN] {
        let line = rig.mallory().meet(&mut rig.world, device);
        line.send_entry(&mut rig.world, &entry);
        line.hang_up(&mut rig.world);
    }
    let reason = rig.assert_rejected(mallory.journal(), 1);
    assert!(reason.contains("genesis"), "{reason}");
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    rig.assert_undisturbed();
}
