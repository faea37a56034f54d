//! Too much, too little, over and over: what one peer can make a device hold, send or wait for.

use farshore_core::document::{Edit, Step};
use farshore_core::id::{EntryHash, Incarnation, JournalId, Position};
use farshore_core::input::{Class, DocOp};
use farshore_core::limits::{BULK_WINDOW_BYTES, CREDIT_PORTIONS, ENTRY_BYTES, LIVE_WINDOW_BYTES};
use farshore_core::value::Value;
use farshore_core::wire::{Frame, Frontier, Of, Range, State};

use crate::content::{document, sound};
use crate::peer::{InWorld, Line, RawPeer};
use crate::raw::Op;
use crate::rig::{ADA, BEN, Rig, fields, incompressible};

/// What parts name that are of no entry at all.
const NO_ENTRY: EntryHash = EntryHash([9; 32]);

/// Bytes that Ada sent on a line since the last call, by stream: ctl, live, bulk.
fn sent(rig: &mut Rig, line: &Line) -> [usize; 3] {
    let mut bytes = [0; 3];
    for (class, frame) in std::mem::take(&mut rig.world.outside(line.link).unwrap().frames) {
        bytes[class as usize] += frame.len();
    }
    bytes
}

/// A line on which Ada streams: the peer has said that it has everything that she has.
fn streaming(rig: &mut Rig, peer: &mut RawPeer) -> Line {
    let line = peer.meet(&mut rig.world, ADA);
    let frames = line.received(&mut rig.world);
    let state = frames.into_iter().find_map(|frame| if let Frame::State(state) = frame { Some(state) } else { None });
    line.send(&mut rig.world, &Frame::State(State { fresh: false, ..state.unwrap() }));
    line.received(&mut rig.world);
    line
}

#[test]
fn a_peer_that_stops_reading_holds_up_nobody_and_is_owed_no_more_than_its_windows() {
    let mut rig = Rig::new(100);
    let mut mallory = rig.mallory();
    let line = streaming(&mut rig, &mut mallory);
    let text = rig.write(ADA);
    let mut total = [0; 3];
    for round in 0..240_u64 {
        // Text that does not deflate.
        let noise: String =
            (0..200).map(|n| format!("{:016x}", (n + round * 1_000).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let insert = Edit::put(vec![Step::Key("t".into())], Value::Str(noise));
        rig.write_to(ADA, text, DocOp::Edit(vec![insert]));
        let more = sent(&mut rig, &line);
        total.iter_mut().zip(more).for_each(|(total, more)| *total += more);
    }
    let written: usize = (1..=300)
        .filter_map(|seq| {
            let identity = rig.world.devices[ADA].replica.identity();
            let collection = rig.key.collection;
            let journal = JournalId { collection, device: identity.device, incarnation: identity.incarnation };
            rig.world.devices[ADA].store.entry(rig.key.space, journal, seq).map(<[u8]>::len)
        })
        .sum();
    let windows = LIVE_WINDOW_BYTES as usize + BULK_WINDOW_BYTES as usize;
    assert!(written > 2 * LIVE_WINDOW_BYTES as usize, "only {written} bytes were written: too few to tell");
    // One entry may go over its window's end, and parts have heads.
    assert!(total[1] + total[2] <= windows + windows / 50 + ENTRY_BYTES, "{total:?} of {written} bytes");
    assert!(total[1] <= LIVE_WINDOW_BYTES as usize + (64 << 10), "{total:?}");
    assert!(total[0] < 64 << 10, "{total:?}");
    rig.assert_open(&line);
    rig.assert_undisturbed();
}

#[test]
fn credit_comes_back_in_portions_and_all_of_it() {
    let mut rig = Rig::new(104);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    line.received(&mut rig.world);
    let portion = u64::from(LIVE_WINDOW_BYTES) / CREDIT_PORTIONS;
    let (mut sent, mut back) = (0, 0);
    for id in 0..200 {
        let entry = mallory.entry(&[sound(&mallory, document(id), &"long ".repeat(400 + usize::from(id)))]);
        line.send_entry(&mut rig.world, &entry);
        sent += entry.as_bytes().len() as u64;
        for frame in line.received(&mut rig.world) {
            if let Frame::Credit { bytes, class: Class::Live } = frame {
                assert!(u64::from(bytes) >= portion, "{bytes} bytes were worth a frame");
                back += u64::from(bytes);
            }
        }
        assert!(sent - back < portion, "{} bytes are due", sent - back);
    }
    assert!(back > 0, "only {sent} bytes were sent: too few to tell");
    rig.assert_undisturbed();
}

#[test]
fn an_entry_larger_than_the_window_goes_while_some_credit_is_due() {
    let mut rig = Rig::new(105);
    // Bulk has a window of 1 MiB, and so has a value its limit.
    for (id, length) in [(1, 100_000), (2, 100_000), (3, 900_000), (4, 100_000), (5, 900_000)] {
        let data = || incompressible(length);
        rig.write_to(BEN, document(id), DocOp::Create(fields(&[("a", data()), ("b", data()), ("c", data())])));
        assert!(rig.value(ADA, document(id)).is_some(), "document {id} did not come");
    }
    rig.assert_undisturbed();
}

#[test]
fn credit_that_nobody_gave_buys_no_more_than_the_window() {
    let mut rig = Rig::new(101);
    let mut mallory = rig.mallory();
    for _ in 0..200 {
        let noise = Value::Str((0..100_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect());
        let document = rig.write(ADA);
        rig.write_to(ADA, document, DocOp::Edit(vec![Edit::put(vec![Step::Key("x".into())], noise)]));
    }
    let line = mallory.meet(&mut rig.world, ADA);
    for class in [Class::Live, Class::Bulk] {
        for _ in 0..50 {
            line.send(&mut rig.world, &Frame::Credit { class, bytes: u32::MAX });
        }
    }
    rig.assert_open(&line);
    sent(&mut rig, &line);
    let journals = rig.world.devices[ADA].store.journals(rig.key.space);
    let ranges: Vec<_> =
        journals.keys().map(|journal| Range { journal: *journal, from: 1, to: u64::MAX, of: Of::Shown }).collect();
    // Asked for again and again without a receipt: sent again, but only as far as credit goes.
    for _ in 0..100 {
        line.send(&mut rig.world, &Frame::Want { handle: line.handle, more: false, ranges: ranges.clone() });
    }
    let bytes = sent(&mut rig, &line);
    assert!(bytes[2] <= BULK_WINDOW_BYTES as usize + BULK_WINDOW_BYTES as usize / 10, "{bytes:?}");
    rig.assert_undisturbed();
}

#[test]
fn a_peer_that_sends_more_than_it_was_granted_is_disconnected() {
    let mut rig = Rig::new(102);
    for class in [Class::Live, Class::Bulk] {
        let line = rig.mallory().meet(&mut rig.world, ADA);
        // Beginnings of entries that never end: nothing of them is ever committed, so no credit comes back.
        let total = ENTRY_BYTES as u32;
        let mut frames = 0;
        while line.closed(&mut rig.world).is_none() {
            let part = Frame::Part { handle: line.handle, hash: NO_ENTRY, total, offset: 0, bytes: vec![1; 60_000] };
            line.send_bytes(&mut rig.world, class, part.encode());
            frames += 1;
            assert!(frames < 80, "{class:?} takes without end");
        }
        rig.assert_faulted(&line, "sent more than it was granted");
    }
    rig.assert_undisturbed();
}

#[test]
fn parts_that_overlap_exceed_or_begin_in_the_middle_are_refused() {
    let mut rig = Rig::new(103);
    let part = |total: u32, offset: u32, bytes: usize| (total, offset, vec![1_u8; bytes]);
    for parts in [
        vec![part(100, 0, 101)],
        vec![part(100, 0, 50), part(100, 40, 20)],
        vec![part(100, 0, 50), part(100, 50, 51)],
        vec![part(100, 0, 50), part(101, 50, 10)],
        vec![part(100, 0, 50), part(100, 60, 10)],
        vec![part(100, 0, 0)],
        vec![part(0, 0, 1)],
        vec![part(ENTRY_BYTES as u32 + 1, 0, 10)],
        vec![part(u32::MAX, 0, 10)],
        vec![part(100, u32::MAX, 10)],
    ] {
        let line = rig.mallory().meet(&mut rig.world, ADA);
        for (total, offset, bytes) in parts {
            let part = Frame::Part { handle: line.handle, hash: NO_ENTRY, total, offset, bytes };
            line.send_bytes(&mut rig.world, Class::Bulk, part.encode());
        }
        let reason = line.closed(&mut rig.world).expect("the link is closed");
        assert!(reason.contains("do not fit together") || reason.contains("without its beginning"), "{reason}");
    }
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.send_bytes(
        &mut rig.world,
        Class::Bulk,
        Frame::Part { handle: line.handle, hash: NO_ENTRY, total: 9, offset: 3, bytes: vec![1] }.encode(),
    );
    rig.assert_faulted(&line, "the middle of an entry without its beginning");
    rig.assert_undisturbed();
}

#[test]
fn an_entry_in_parts_is_taken_like_any_other() {
    let mut rig = Rig::new(104);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let noise: String = (0..40_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let entry = mallory.entry(&[sound(&mallory, document(9), &noise)]);
    assert!(entry.as_bytes().len() > 200_000);
    line.send_entry(&mut rig.world, &entry);
    for device in [ADA, BEN] {
        let title = rig.value(device, document(9)).and_then(|value| value.get("title").cloned());
        assert_eq!(title, Some(Value::Str(noise.clone())));
    }
    rig.assert_undisturbed();
}

#[test]
fn states_over_and_over_cost_the_sender_as_much_as_the_answers_cost() {
    let mut rig = Rig::new(105);
    // A space with many journals, so that a frontier is long.
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    for n in 0..300_u32 {
        mallory.new_journal();
        mallory.incarnation = Incarnation([0; 16]);
        mallory.incarnation.0[..4].copy_from_slice(&n.to_be_bytes());
        let item =
            crate::content::item(document(9), &[crate::content::first(&mallory, document(9), vec![Op::put("k", "v")])]);
        let entry = mallory.entry(&[item]);
        line.send_entry(&mut rig.world, &entry);
    }
    line.hang_up(&mut rig.world);
    let line = mallory.meet(&mut rig.world, ADA);
    sent(&mut rig, &line);
    let mut answered = 0;
    let mut asked = 0;
    for _ in 0..2_000 {
        let frame = Frame::State(mallory.state_on(&line, true));
        asked += frame.encode().len();
        line.send(&mut rig.world, &frame);
        answered += sent(&mut rig, &line).iter().sum::<usize>();
        if line.closed(&mut rig.world).is_some() {
            break;
        }
    }
    assert!(answered < 8 << 20, "{answered} bytes for {asked}");
    rig.assert_undisturbed();
}

#[test]
fn roster_questions_over_and_over_are_not_answered_without_end() {
    let mut rig = Rig::new(106);
    let mallory = rig.mallory();
    let line = rig.mallory().meet(&mut rig.world, ADA);
    assert!(mallory.access().roster.len() > 3);
    sent(&mut rig, &line);
    let mut answered = 0;
    for _ in 0..5_000 {
        line.send(&mut rig.world, &Frame::RosterHave { handle: line.handle, more: false, positions: Vec::new() });
        answered += sent(&mut rig, &line).iter().sum::<usize>();
        if line.closed(&mut rig.world).is_some() {
            break;
        }
    }
    assert!(answered < 4 << 20, "{answered} bytes");
    rig.assert_undisturbed();
}

#[test]
fn what_a_peer_offers_and_never_sends_is_got_from_another() {
    let mut rig = Rig::new(107);
    rig.world.cut(rig.honest);
    let documents: Vec<_> = (0..5).map(|_| rig.write(BEN)).collect();
    let identity = rig.world.devices[BEN].replica.identity();
    let collection = rig.key.collection;
    let journal = JournalId { collection, device: identity.device, incarnation: identity.incarnation };
    // Mallory is there first and says that she has Ben's journal, and more of it than he has.
    let mallory = rig.mallory();
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.send(&mut rig.world, &Frame::State(mallory.state_on(&line, true)));
    let position = Position { seq: 1_000_000, hash: EntryHash([1; 32]) };
    let (handle, positions) = (line.handle, vec![(journal, position).into()]);
    line.send(&mut rig.world, &Frame::Frontier(Frontier { handle, answer: true, more: false, arrival: 1, positions }));
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    // Nobody waits for her for ever.
    for _ in 0..10 {
        rig.world.pass(10_000);
    }
    for document in documents {
        assert!(rig.value(ADA, document).is_some(), "Ada still waits for what only Mallory promised");
    }
    rig.assert_undisturbed();
}

#[test]
fn journals_and_receipts_of_nobody_fill_no_memory_and_change_nothing() {
    let mut rig = Rig::new(108);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    let mut n = 0_u64;
    let mut fresh = || {
        n += 1;
        let mut bytes = [0; JournalId::LEN];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        JournalId::from_bytes(&bytes)
    };
    for _ in 0..100 {
        let positions = (0..200).map(|_| (fresh(), u64::MAX)).collect();
        line.send(&mut rig.world, &Frame::Receipt { handle: line.handle, positions });
    }
    rig.assert_open(&line);
    let mut rounds = 0;
    while line.closed(&mut rig.world).is_none() {
        let positions = (0..150).map(|_| (fresh(), Position { seq: 1, hash: EntryHash([1; 32]) }).into()).collect();
        let frame = Frontier { handle: line.handle, answer: false, more: false, arrival: 1, positions };
        line.send(&mut rig.world, &Frame::Frontier(frame));
        rounds += 1;
        assert!(rounds < 1_000, "journals are offered without end");
    }
    rig.assert_faulted(&line, "offered more journals than a space may have");
    rig.assert_undisturbed();
}

#[test]
fn the_same_scene_gives_the_same_bytes() {
    let play = || {
        let mut rig = Rig::new(109);
        let mut mallory = rig.mallory();
        let line = mallory.meet(&mut rig.world, ADA);
        let good = mallory.entry(&[sound(&mallory, document(9), "hello")]);
        line.send_entry(&mut rig.world, &good);
        rig.write_to(BEN, document(10), DocOp::Create(fields(&[("a", Value::Text("b".into()))])));
        line.send(&mut rig.world, &Frame::State(mallory.state_on(&line, true)));
        line.send_bytes(&mut rig.world, Class::Ctl, vec![0xff; 10]);
        rig.assert_undisturbed();
        let heard: Vec<(Class, Vec<u8>)> = std::mem::take(&mut rig.world.outside(line.link).unwrap().frames);
        let stores: Vec<_> = rig.world.devices.iter().map(|device| device.store.clone()).collect();
        let counts: Vec<_> = rig.world.devices.iter().map(|device| device.counts).collect();
        (heard, stores, counts)
    };
    let (first, second) = (play(), play());
    assert!(first.0.len() > 5);
    assert!(first.0 == second.0, "the frames differ");
    assert!(first.1 == second.1, "the stores differ");
    assert_eq!(first.2, second.2);
}
