//! Roster operations that are not allowed, and rosters that are not known.

use std::collections::BTreeMap;

use farshore_core::catalogue::CollectionDefinition;
use farshore_core::entropy::Entropy;
use farshore_core::id::OpHash;
use farshore_core::input::{Class, DocEdit, DocOp, Input, Request, RequestId};
use farshore_core::job::WriteError;
use farshore_core::keys::DeviceCertificate;
use farshore_core::output::{Event, Reply};
use farshore_core::role::Role;
use farshore_core::roster::Roster;
use farshore_core::value::Value;
use farshore_core::wire::{Frame, Of, Range, RosterPosition};

use crate::content::{document, sound};
use crate::peer::{InWorld, RawPeer, steal};
use crate::rig::{ADA, BEN, Rig};

/// The roster as Ada holds it.
fn roster(rig: &Rig) -> Roster {
    let boot = rig.world.devices[ADA].store.boot();
    Roster::restore(boot.spaces[0].roster.iter().map(Vec::as_slice)).unwrap()
}

#[test]
fn a_roster_operation_that_its_author_may_not_make_costs_its_sender_the_link() {
    let mut rig = Rig::new(90);
    let mallory = rig.mallory();
    let before = roster(&rig).digest();
    // Made with an admin's eyes closed: Mallory, a writer, lets a friend in.
    let admin = steal(&rig.world.devices[ADA], rig.key);
    let friend = DeviceCertificate::decode(&RawPeer::stranger(91).certificate).unwrap();
    let ring = roster(&rig).unlock(&admin.keys);
    let mut entropy = Entropy::from_seed(&[9; 32], "roster");
    let ops = roster(&rig).add_member(&admin.keys, &ring, &friend, Role::Admin, 1, &mut entropy).unwrap();
    let genuine = farshore_core::roster::RosterOp::decode(&ops[0]).unwrap();
    let by_mallory =
        farshore_core::roster::RosterOp { author: mallory.id(), seq: 1, prev: OpHash([0; 32]), ..genuine.clone() };
    let mut forged_signature = ops[0].clone();
    *forged_signature.last_mut().unwrap() ^= 1;
    for (bytes, words) in [
        (by_mallory.sign(&mallory.keys), "may not"),
        (forged_signature, "roster operation"),
        (genuine.sign(&mallory.keys), "roster operation"),
        (vec![1, 1, 3], "roster operation"),
        (Vec::new(), "roster operation"),
    ] {
        let line = rig.mallory().meet(&mut rig.world, ADA);
        line.send(&mut rig.world, &Frame::RosterOp { handle: line.handle, bytes });
        rig.assert_faulted(&line, words);
        assert_eq!(roster(&rig).digest(), before);
    }
    rig.assert_undisturbed();
}

#[test]
fn an_entry_that_cites_a_roster_which_comes_later_is_asked_for_again() {
    // Mallory is a second admin here, and defines a collection that Ada has not heard of.
    let mut rig = Rig::with_role(93, Role::Admin);
    let mut mallory = rig.mallory();
    let known = roster(&rig);
    mallory.access.as_mut().unwrap().roster = known.clone();
    let ring = known.unlock(&mallory.keys);
    let definition = CollectionDefinition::new("later");
    let ops = known.define_collection(&mallory.keys, &ring, &definition, 1).unwrap();
    for op in &ops {
        mallory.access.as_mut().unwrap().roster.insert(op).unwrap();
    }
    let line = mallory.meet(&mut rig.world, ADA);
    line.received(&mut rig.world);
    let entry = mallory.entry(&[sound(&mallory, document(9), "hello")]);
    line.send_entry(&mut rig.world, &entry);
    assert_eq!(rig.value(ADA, document(9)), None);
    rig.assert_open(&line);
    let asked = line.received(&mut rig.world);
    assert!(asked.iter().any(|frame| matches!(frame, Frame::RosterHave { .. })), "{asked:?}");
    for bytes in ops {
        line.send(&mut rig.world, &Frame::RosterOp { handle: line.handle, bytes });
    }
    line.send(&mut rig.world, &Frame::RosterEnd { handle: line.handle });
    let want = Frame::Want {
        handle: line.handle,
        more: false,
        ranges: vec![Range { journal: mallory.journal(), from: 1, to: 1, of: Of::Shown }],
    };
    let asked = line.received(&mut rig.world);
    assert!(asked.contains(&want), "{asked:?}");
    line.send_entry(&mut rig.world, &entry);
    for device in [ADA, BEN] {
        let title = rig.value(device, document(9)).and_then(|value| value.get("title").cloned());
        assert_eq!(title, Some(Value::Str("hello".into())));
    }
    rig.assert_undisturbed();
}

#[test]
fn whoever_has_the_key_but_is_no_member_is_sent_no_entries() {
    let mut rig = Rig::new(94);
    let mut stranger = RawPeer::stranger(94);
    stranger.access = rig.mallory().access;
    let line = stranger.meet(&mut rig.world, ADA);
    let journals = rig.world.devices[ADA].store.journals(rig.key.space);
    let ranges = journals.keys().map(|journal| Range { journal: *journal, from: 1, to: 9, of: Of::Shown }).collect();
    line.send(&mut rig.world, &Frame::Want { handle: line.handle, more: false, ranges });
    rig.assert_faulted(&line, "of which it is not a member");
    // Nor is anything pushed to it that is written while it is there.
    let line = stranger.meet(&mut rig.world, ADA);
    line.send(&mut rig.world, &Frame::State(stranger.state_on(&line, true)));
    rig.write(ADA);
    let frames = line.received(&mut rig.world);
    assert!(!frames.iter().any(|frame| matches!(frame, Frame::Entry { .. } | Frame::Part { .. })), "{frames:?}");
    rig.assert_undisturbed();
}

#[test]
fn a_stranger_with_the_key_that_claims_to_hold_everything_is_sent_no_entries() {
    let mut rig = Rig::new(95);
    let mut stranger = RawPeer::stranger(95);
    stranger.access = rig.mallory().access;
    // What a member would see in Ada's own state is echoed: equal digests start the stream.
    let line = stranger.meet(&mut rig.world, ADA);
    let frames = line.received(&mut rig.world);
    let state = frames.into_iter().find_map(|frame| if let Frame::State(state) = frame { Some(state) } else { None });
    line.send(&mut rig.world, &Frame::State(state.unwrap()));
    rig.write(ADA);
    let frames = line.received(&mut rig.world);
    assert!(!frames.iter().any(|frame| matches!(frame, Frame::Entry { .. } | Frame::Part { .. })), "{frames:?}");
    rig.assert_undisturbed();
}

#[test]
fn a_roster_frontier_of_lies_changes_nothing() {
    let mut rig = Rig::new(96);
    let before = roster(&rig).digest();
    let line = rig.mallory().meet(&mut rig.world, ADA);
    let ada = rig.world.devices[ADA].replica.identity().device;
    let lie = |seq| RosterPosition { author: ada, seq, hash: OpHash([5; 32]) };
    for positions in [vec![lie(u64::MAX)], vec![lie(0)], vec![lie(1), lie(1)], (0..200).map(lie).collect()] {
        line.send(&mut rig.world, &Frame::RosterHave { handle: line.handle, more: false, positions });
        line.send(&mut rig.world, &Frame::RosterEnd { handle: line.handle });
    }
    rig.assert_open(&line);
    assert_eq!(roster(&rig).digest(), before);
    rig.assert_undisturbed();
}

#[test]
fn a_roster_operation_of_a_newer_build_costs_whoever_forwards_it_nothing() {
    let mut rig = Rig::new(96);
    let before = roster(&rig).digest();
    let mut newer = roster(&rig).ops().last().unwrap().to_vec();
    newer[0] += 1;
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.send(&mut rig.world, &Frame::RosterOp { handle: line.handle, bytes: newer });
    rig.assert_open(&line);
    assert_eq!(roster(&rig).digest(), before);
    rig.assert_undisturbed();
}

#[test]
fn the_end_of_a_roster_that_nobody_asked_for_costs_nothing() {
    let mut rig = Rig::new(97);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    rig.status(ADA);
    let before = rig.world.devices[ADA].counts;
    for _ in 0..500 {
        line.send(&mut rig.world, &Frame::RosterEnd { handle: line.handle });
    }
    rig.assert_open(&line);
    let after = rig.world.devices[ADA].counts;
    assert_eq!((after.commits, after.frames), (before.commits, before.frames));
    rig.assert_undisturbed();
}

/// Edits that wait their turn are answered when this device loses its role meanwhile. They were neither made nor refused, and
/// nothing else of the collection went on.
#[test]
fn edits_that_wait_are_answered_when_the_role_is_lost_meanwhile() {
    let mut rig = Rig::with_role(98, Role::Admin);
    let (mallory, ada) = (rig.mallory(), rig.world.devices[ADA].replica.identity().user);
    let demoted = roster(&rig).set_role(&mallory.keys, &ada, Role::Reader, Vec::new(), 1).unwrap();
    let line = rig.mallory().meet(&mut rig.world, ADA);
    let now = rig.world.now();
    let device = &mut rig.world.devices[ADA];
    let edit = |byte: u8| {
        let op = DocOp::Create(Value::Map(BTreeMap::new()));
        let edits = vec![DocEdit { document: document(byte), keyed: false, op }];
        Request::Edit { space: rig.key.space, collection: rig.key.collection, edits }
    };
    // Nothing that the replica asks for is done yet: the first edit is at work, the second waits.
    for number in [1, 2] {
        let id = RequestId(1_000_000 + number);
        device.replica.handle(now, Input::Request { id, request: edit(number as u8) });
    }
    for bytes in demoted {
        let bytes = Frame::RosterOp { handle: line.handle, bytes }.encode();
        device.replica.handle(now, Input::Frame { link: line.link, class: Class::Live, bytes });
    }
    device.input(now, Input::Addresses(Vec::new())); // From here on it is done.
    rig.world.run();
    let answer = |rig: &mut Rig, number: u64| match rig.world.devices[ADA].reply(RequestId(1_000_000 + number)) {
        Some(Ok(Reply::Edited(results))) => results[0].clone(),
        other => panic!("{other:?}"),
    };
    answer(&mut rig, 1).expect("what was at work is made");
    let barred = answer(&mut rig, 2).expect_err("the other may not be made any more");
    assert!(matches!(barred, WriteError::Barred { .. }), "{barred}");
    assert!(rig.value(ADA, document(2)).is_none());
}

#[test]
fn nothing_is_kept_of_a_device_that_has_the_key_and_is_no_member() {
    let mut rig = Rig::new(99);
    for seed in 0..20 {
        let mut stranger = RawPeer::stranger(200 + seed);
        stranger.access = rig.mallory().access;
        let line = stranger.meet(&mut rig.world, ADA);
        // It says what Ada says, so the two seem to hold the same.
        let echo = |frame: Frame| match frame {
            Frame::State(state) => Some(state),
            _ => None,
        };
        for mut state in line.received(&mut rig.world).into_iter().filter_map(echo).collect::<Vec<_>>() {
            state.handle = line.handle;
            line.send(&mut rig.world, &Frame::State(state));
        }
    }
    rig.world.pass(5_000);
    rig.world.run();
    let boot = rig.world.devices[ADA].store.boot();
    let members = roster(&rig);
    let strangers = boot.spaces[0].peers.iter().filter(|(device, _)| members.role_of(device).is_none()).count();
    assert_eq!(strangers, 0);
    assert!(
        !rig.world.devices[ADA]
            .events
            .iter()
            .any(|event| { matches!(event, Event::InSync { device, .. } if members.role_of(device).is_none()) })
    );
    rig.assert_undisturbed();
}
