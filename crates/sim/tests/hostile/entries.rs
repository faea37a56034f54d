//! Entries that their sender or their author must not send.

use farshore_core::batch::CollectionKey;
use farshore_core::entry::{Dep, Entry, Group};
use farshore_core::id::{CollectionTag, EntryHash, EpochId, Incarnation, OpHash, Position};
use farshore_core::limits::OPENED_BYTES;
use farshore_core::payload::{self, Item, ItemBody};
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_core::wire::{Frame, Of, Range};

use crate::content::{document, first, item, sound};
use crate::peer::{InWorld, Line, RawPeer, device_keys};
use crate::raw::Op;
use crate::rig::{ADA, BEN, MALLORY, Rig};

fn send_raw(rig: &mut Rig, line: &Line, bytes: Vec<u8>) {
    line.send(&mut rig.world, &Frame::Entry { handle: line.handle, bytes });
}

fn title(rig: &Rig, device: usize, byte: u8) -> Option<Value> {
    rig.value(device, document(byte)).and_then(|value| value.get("title").cloned())
}

#[test]
fn a_sound_entry_of_a_hand_written_peer_is_taken_and_passed_on() {
    // Without this, every refusal below could be for the wrong reason.
    let mut rig = Rig::new(20);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let entry = mallory.entry(&[sound(&mallory, document(9), "hello")]);
    line.send_entry(&mut rig.world, &entry);
    rig.assert_open(&line);
    for device in [ADA, BEN] {
        assert_eq!(title(&rig, device, 9), Some(Value::Str("hello".into())));
    }
    let frames = line.received(&mut rig.world);
    let receipt = Frame::Receipt { handle: line.handle, positions: vec![(mallory.journal(), 1)] };
    assert!(frames.contains(&receipt), "{frames:?}");
    rig.assert_undisturbed();
}

#[test]
fn an_entry_that_is_cut_or_altered_anywhere_is_never_stored() {
    let mut rig = Rig::new(21);
    let mut mallory = rig.mallory();
    let sound_one = mallory.entry(&[sound(&mallory, document(9), "hello")]);
    let bytes = sound_one.as_bytes();
    for at in (0..bytes.len()).step_by(3) {
        for cut in [true, false] {
            let line = rig.mallory().meet(&mut rig.world, ADA);
            let mut wrong = bytes.to_vec();
            if cut {
                wrong.truncate(at);
            } else {
                wrong[at] ^= 0x20;
            }
            send_raw(&mut rig, &line, wrong);
            assert_eq!(rig.held(ADA, &mallory).seq, 0, "stored though altered at {at}");
            line.hang_up(&mut rig.world);
        }
    }
    // Nothing that was refused stands in the way of the right one.
    let line = rig.mallory().meet(&mut rig.world, ADA);
    send_raw(&mut rig, &line, bytes.to_vec());
    assert_eq!(title(&rig, BEN, 9), Some(Value::Str("hello".into())));
    assert_eq!(rig.status(ADA).spaces[0].collections[0].journals, 3, "phantom journals remain");
    rig.assert_undisturbed();
}

#[test]
fn an_entry_with_a_wrong_signature_costs_its_sender_the_link() {
    let mut rig = Rig::new(22);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let entry = mallory.entry(&[sound(&mallory, document(9), "hello")]);
    let mut bytes = entry.as_bytes().to_vec();
    let signature = bytes.len() - entry.sealed().len() - 64;
    bytes[signature + 10] ^= 1;
    send_raw(&mut rig, &line, bytes);
    rig.assert_faulted(&line, "signature or hash is wrong");
    assert_eq!(rig.held(ADA, &mallory).seq, 0);
    rig.assert_undisturbed();
}

#[test]
fn an_entry_whose_sealed_bytes_are_not_those_it_names_costs_its_sender_the_link() {
    let mut rig = Rig::new(23);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let mut bytes = mallory.entry(&[sound(&mallory, document(9), "hello")]).into_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    send_raw(&mut rig, &line, bytes);
    rig.assert_faulted(&line, "signature or hash is wrong");
    rig.assert_undisturbed();
}

#[test]
fn an_entry_of_somebody_who_is_not_a_member_is_refused() {
    let mut rig = Rig::new(24);
    let mallory = rig.mallory();
    let mut stranger = RawPeer::stranger(24);
    // He got hold of the key and of a member's link, and is still nobody.
    stranger.access = mallory.access;
    let entry = stranger.entry(&[sound(&stranger, document(9), "hello")]);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.send_entry(&mut rig.world, &entry);
    rig.assert_faulted(&line, "not a member of the space");
    assert_eq!(rig.held(ADA, &stranger).seq, 0);
    rig.assert_undisturbed();
}

#[test]
fn an_entry_of_a_reader_is_refused_whoever_brings_it() {
    let mut rig = Rig::new(25);
    let mut rita = rig.rita();
    let entry = rita.entry(&[sound(&rita, document(9), "hello")]);
    let lines = [rig.rita().meet(&mut rig.world, ADA), rig.mallory().meet(&mut rig.world, BEN)];
    for line in lines {
        line.send_entry(&mut rig.world, &entry);
        rig.assert_faulted(&line, "whose role is reader, which may not write");
    }
    assert_eq!((rig.held(ADA, &rita).seq, rig.held(BEN, &rita).seq), (0, 0));
    rig.assert_undisturbed();
}

#[test]
fn a_relay_that_writes_is_refused() {
    let mut rig = Rig::with_role(26, Role::Relay);
    // A relay has no key; it got one from a reader.
    let mut relay = RawPeer::stranger(26);
    (relay.keys, relay.access) = (device_keys(&rig.world.devices[MALLORY]), rig.rita().access);
    let entry = relay.entry(&[sound(&relay, document(9), "hello")]);
    let line = relay.meet(&mut rig.world, ADA);
    line.send_entry(&mut rig.world, &entry);
    rig.assert_faulted(&line, "whose role is relay, which may not write");
    rig.assert_undisturbed();
}

#[test]
fn a_gap_is_asked_for_again_and_never_buffered() {
    let mut rig = Rig::new(27);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let entries: Vec<Entry> = (0..4).map(|n| mallory.entry(&[sound(&mallory, document(30 + n), "hello")])).collect();
    line.send_entry(&mut rig.world, &entries[0]);
    line.received(&mut rig.world);
    line.send_entry(&mut rig.world, &entries[3]);
    rig.assert_open(&line);
    assert_eq!(rig.held(ADA, &mallory).seq, 1);
    let want = Frame::Want {
        handle: line.handle,
        more: false,
        ranges: vec![Range { journal: mallory.journal(), from: 2, to: 4, of: Of::Shown }],
    };
    assert!(line.received(&mut rig.world).contains(&want));
    // Sent again and again, it is still no reason to ask twice.
    line.send_entry(&mut rig.world, &entries[3]);
    assert!(!line.received(&mut rig.world).contains(&want));
    for entry in &entries[1..] {
        line.send_entry(&mut rig.world, entry);
    }
    assert_eq!((rig.held(ADA, &mallory).seq, rig.held(BEN, &mallory).seq), (4, 4));
    rig.assert_open(&line);
    rig.assert_undisturbed();
}

#[test]
fn duplicate_and_reordered_entries_are_harmless() {
    let mut rig = Rig::new(28);
    let mut mallory = rig.mallory();
    let lines = [mallory.meet(&mut rig.world, ADA), rig.mallory().meet(&mut rig.world, BEN)];
    let entries: Vec<Entry> = (0..5).map(|n| mallory.entry(&[sound(&mallory, document(30 + n), "hello")])).collect();
    for at in [0, 0, 2, 1, 4, 0, 1, 3, 2, 4, 3, 2, 1, 0, 4, 3, 4, 4] {
        for line in &lines {
            line.send_entry(&mut rig.world, &entries[at]);
            rig.assert_open(line);
        }
    }
    assert_eq!((rig.held(ADA, &mallory).seq, rig.held(BEN, &mallory).seq), (5, 5));
    assert_eq!(rig.collection(ADA).unapplied, 0);
    rig.assert_undisturbed();
}

#[test]
fn an_entry_that_names_another_members_journal_is_refused() {
    let mut rig = Rig::new(29);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let ben = rig.world.devices[BEN].replica.identity();
    let (device, incarnation) = (ben.device, ben.incarnation);
    let journals = rig.world.devices[ADA].store.journals(rig.key.space);
    let (journal, state) = journals.into_iter().find(|(journal, _)| journal.device == device).unwrap();
    assert_eq!(journal.incarnation, incarnation);
    let item = sound(&mallory, document(9), "hello");
    let heads = rig.roster(ADA).heads();
    let entry = mallory.entry_with(&[item], |header| {
        (header.journal, header.seq, header.prev) = (journal, state.held.seq + 1, state.held.hash);
        header.roster_heads = heads;
        header.group = Group { first: header.seq, count: 1 };
    });
    line.send_entry(&mut rig.world, &entry);
    rig.assert_faulted(&line, "signature or hash is wrong");
    assert_eq!(rig.value(ADA, document(9)), None);
    // Ben's journal goes on as if nothing had been.
    rig.assert_undisturbed();
}

#[test]
fn forged_journals_leave_nothing_behind() {
    let mut rig = Rig::new(30);
    let before = rig.collection(ADA).journals;
    for n in 0..40 {
        let mut mallory = rig.mallory();
        let line = mallory.meet(&mut rig.world, ADA);
        let item = sound(&mallory, document(9), "hello");
        let ben = rig.world.devices[BEN].replica.identity().device;
        let entry = mallory.entry_with(&[item], |header| {
            (header.journal.device, header.journal.incarnation) = (ben, Incarnation([n; 16]));
        });
        line.send_entry(&mut rig.world, &entry);
        rig.assert_faulted(&line, "signature or hash is wrong");
    }
    assert_eq!(rig.collection(ADA).journals, before);
    rig.assert_undisturbed();
}

#[test]
fn an_entry_of_another_space_is_refused() {
    let mut rig = Rig::new(31);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let item = sound(&mallory, document(9), "hello");
    let entry = mallory.entry_with(&[item], |header| header.space.0[0] ^= 1);
    line.send_entry(&mut rig.world, &entry);
    rig.assert_faulted(&line, "of another space");
    rig.assert_undisturbed();
}

#[test]
fn the_second_branch_of_a_fork_is_not_taken_and_costs_no_link() {
    let mut rig = Rig::new(32);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let first = mallory.entry(&[sound(&mallory, document(9), "one")]);
    line.send_entry(&mut rig.world, &first);
    mallory.end = Position::START;
    let second = mallory.entry(&[sound(&mallory, document(9), "two")]);
    let third = mallory.entry(&[sound(&mallory, document(10), "three")]);
    line.send_entry(&mut rig.world, &second);
    line.send_entry(&mut rig.world, &third);
    rig.assert_open(&line);
    assert_eq!(title(&rig, ADA, 9), Some(Value::Str("one".into())));
    assert_eq!(rig.value(ADA, document(10)), None);
    rig.assert_undisturbed();
}

#[test]
fn an_entry_under_a_key_that_nobody_has_waits_and_holds_nothing_up() {
    let mut rig = Rig::new(33);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let item = sound(&mallory, document(9), "hello");
    let entry = mallory.entry_with(&[item], |header| header.epoch = EpochId([9; 32]));
    line.send_entry(&mut rig.world, &entry);
    rig.assert_open(&line);
    for device in [ADA, BEN] {
        let status = rig.collection(device);
        assert_eq!(status.unapplied, 1);
        assert!(status.waiting.unwrap().contains("waiting for key"));
        assert_eq!(rig.held(device, &mallory).seq, 1);
    }
    rig.assert_undisturbed();
}

#[test]
fn an_entry_that_was_not_sealed_under_its_key_closes_the_journal_on_every_member_alike() {
    let mut rig = Rig::new(34);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let header = mallory.header();
    let entry = Entry::sign(header, &[5; 100], &mallory.keys);
    line.send_entry(&mut rig.world, &entry);
    rig.assert_open(&line);
    assert!(rig.assert_rejected(mallory.journal(), 1).contains("not sealed under the key"));
    rig.assert_undisturbed();
}

/// Payloads as a malicious member makes them: what they declare and what they hold.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let payload = |declared: u32, codec: u8, block: &[u8]| [&declared.to_be_bytes()[..], &[codec], block].concat();
    // A stored deflate block of 65,535 zeros repeated is far from the worst; 16 MiB of zeros packed is 16 kB.
    let zeros = {
        let many = Item {
            document: document(9),
            generation: 1,
            body: ItemBody::Unknown { kind: 77, bytes: vec![0; 15 << 20] },
        };
        payload::encode(&[many]).unwrap()
    };
    let mut lies_low = zeros.clone();
    lies_low[..4].copy_from_slice(&100_u32.to_be_bytes());
    let mut lies_high = zeros.clone();
    lies_high[..4].copy_from_slice(&(16_u32 << 20).to_be_bytes());
    let mut over = zeros.clone();
    over[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    let counted = |count: u16| payload(2, 0, &count.to_be_bytes());
    vec![
        ("payload length", lies_low),
        ("payload length", lies_high),
        ("payload length", over),
        ("payload", payload(10, 1, &[0xff; 50])),
        ("payload length", vec![0, 0]),
        ("items", counted(0)),
        ("items", counted(1025)),
        ("items", counted(1024)),
    ]
}

#[test]
fn a_payload_that_is_more_or_less_than_it_declares_closes_the_journal_on_every_member_alike() {
    let mut rig = Rig::new(35);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    for (words, payload) in bombs() {
        mallory.new_journal();
        let entry = mallory.sign(mallory.header(), &payload);
        line.send_entry(&mut rig.world, &entry);
        rig.assert_open(&line);
        let reason = rig.assert_rejected(mallory.journal(), 1);
        assert!(reason.contains("payload is malformed") && reason.contains(words), "{reason}");
        // Nothing more of that journal is taken.
        mallory.end = entry.position();
        line.send_entry(&mut rig.world, &mallory.entry(&[sound(&mallory, document(9), "more")]));
        assert_eq!(rig.held(ADA, &mallory).seq.max(1), 1);
    }
    assert_eq!(rig.value(BEN, document(9)), None);
    rig.assert_undisturbed();
}

#[test]
fn an_item_of_a_kind_that_this_build_does_not_know_is_kept_and_nothing_is_lost() {
    let mut rig = Rig::new(36);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let before = mallory.entry(&[sound(&mallory, document(9), "before")]);
    let future = ItemBody::Unknown { kind: 77, bytes: vec![1, 2, 3] };
    let unknown = mallory.entry(&[Item { document: document(10), generation: 1, body: future }]);
    let after = mallory.entry(&[sound(&mallory, document(11), "after")]);
    for entry in [&before, &unknown, &after] {
        line.send_entry(&mut rig.world, entry);
    }
    rig.assert_open(&line);
    for device in [ADA, BEN] {
        let status = rig.collection(device);
        assert_eq!(status.unapplied, 2);
        assert!(status.waiting.unwrap().contains("waiting for upgrade"));
        // Kept byte for byte, for the build that knows it.
        let stored = rig.world.devices[device].store.entry(rig.key.space, mallory.journal(), 2);
        assert_eq!(stored, Some(unknown.as_bytes()));
        assert_eq!(title(&rig, device, 9), Some(Value::Str("before".into())));
        assert_eq!(rig.value(device, document(11)), None);
    }
    assert!(rig.rejected(ADA).is_empty() && rig.rejected(BEN).is_empty());
    rig.assert_undisturbed();
}

#[test]
fn an_entry_of_a_collection_that_nobody_defined_is_kept() {
    let mut rig = Rig::new(37);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let collection = CollectionTag([0xcc; 16]);
    mallory.access.as_mut().unwrap().key = CollectionKey { collection, ..rig.key };
    let entry = mallory.entry(&[sound(&mallory, document(9), "hello")]);
    line.send_entry(&mut rig.world, &entry);
    rig.assert_open(&line);
    for device in [ADA, BEN] {
        let stored = rig.world.devices[device].store.entry(rig.key.space, mallory.journal(), 1);
        assert_eq!(stored, Some(entry.as_bytes()));
        let status = rig.status(device);
        let unknown = status.spaces[0].collections.iter().find(|c| c.collection == collection).unwrap();
        assert_eq!((unknown.name.as_ref(), unknown.entries), (None, 1));
    }
    rig.assert_undisturbed();
}

#[test]
fn an_entry_that_builds_on_what_never_comes_waits_and_holds_nothing_up() {
    let mut rig = Rig::new(38);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let item = sound(&mallory, document(9), "hello");
    let device = rig.world.devices[BEN].replica.identity().device;
    let position = Position { seq: 1_000_000, hash: EntryHash([1; 32]) };
    let entry = mallory.entry_with(&[item], |header| {
        header.deps = vec![Dep { device, incarnation: Incarnation([0; 16]), position }];
    });
    line.send_entry(&mut rig.world, &entry);
    rig.assert_open(&line);
    for device in [ADA, BEN] {
        assert!(rig.collection(device).waiting.unwrap().contains("waiting for entries of others"));
    }
    rig.assert_undisturbed();
}

/// Three fields of a million bytes each.
fn large(peer: &RawPeer, byte: u8) -> Item {
    let ops = ["title", "second", "third"].map(|field| Op::put(field, "x".repeat(1_000_000).as_str()));
    item(document(byte), &[first(peer, document(byte), ops.to_vec())])
}

#[test]
fn large_entries_that_wait_for_what_never_comes_fill_no_memory_and_hold_nothing_up() {
    let mut rig = Rig::new(0x5c10);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let device = rig.world.devices[BEN].replica.identity().device;
    let position = Position { seq: 1_000_000, hash: EntryHash([1; 32]) };
    for index in 0..14_u8 {
        // Three megabytes of operations each, in a journal each: 42 together.
        let item = large(&mallory, index);
        let entry = mallory.entry_with(&[item], |header| {
            header.deps = vec![Dep { device, incarnation: Incarnation([0; 16]), position }];
        });
        line.send_entry(&mut rig.world, &entry);
        mallory.new_journal();
    }
    let opened = |rig: &Rig| {
        let sizes = rig.world.devices[ADA].replica.sizes();
        *sizes.iter().find(|size| size.what.starts_with("opened payload")).unwrap()
    };
    assert!(opened(&rig).size > 9_000_000 && opened(&rig).size <= OPENED_BYTES as u64, "{:?}", opened(&rig));
    // After a restart all of them are read from the store.
    rig.world.restart(ADA, 0x5c10);
    rig.world.run();
    assert!(opened(&rig).size > 9_000_000 && opened(&rig).size <= OPENED_BYTES as u64, "{:?}", opened(&rig));
    // What waits for nothing passes, however large it is.
    let line = mallory.meet(&mut rig.world, ADA);
    let entry = mallory.entry(&[large(&mallory, 99)]);
    line.send_entry(&mut rig.world, &entry);
    assert_eq!(title(&rig, ADA, 99).and_then(|title| title.as_str().map(str::len)), Some(1_000_000));
    assert!(rig.collection(ADA).waiting.unwrap().contains("waiting for entries of others"));
}

#[test]
fn an_entry_that_cites_a_roster_nobody_knows_is_refused_without_a_fault() {
    let mut rig = Rig::new(39);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let item = sound(&mallory, document(9), "hello");
    let entry = mallory.entry_with(&[item], |header| header.roster_heads = vec![OpHash([9; 32])]);
    line.received(&mut rig.world);
    for _ in 0..100 {
        line.send_entry(&mut rig.world, &entry);
    }
    rig.assert_open(&line);
    assert_eq!(rig.held(ADA, &mallory).seq, 0);
    let frames = line.received(&mut rig.world);
    let asked = frames.iter().filter(|frame| matches!(frame, Frame::RosterHave { .. })).count();
    assert_eq!(asked, 1, "one question is open at a time");
    rig.assert_undisturbed();
}
