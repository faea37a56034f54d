//! Two entries at one place of a journal: noticed when members meet, proved by the author's own signature, kept and shown.

use farshore_core::batch::{Load, Loaded};
use farshore_core::entry::Entry;
use farshore_core::id::{EntryHash, JournalId, Position};
use farshore_core::input::{Class, Input};
use farshore_core::output::Event;
use farshore_core::wire::{Branch, Frame, Frontier, Held, Of, Range};
use farshore_sim::Device;

use crate::content::{document, sound};
use crate::peer::{InWorld, RawPeer};
use crate::rig::{ADA, BEN, Rig};

/// Forks that a device told its app of.
fn told(rig: &Rig, device: usize) -> Vec<(JournalId, u64)> {
    let events = rig.world.devices[device].events.iter();
    let forks = events.filter_map(|event| match event {
        Event::ForkDetected { journal, seq, .. } => Some((*journal, *seq)),
        _ => None,
    });
    forks.collect()
}

/// Hashes of what a device keeps at one place.
fn kept(rig: &Rig, device: usize, journal: JournalId, seq: u64) -> Vec<EntryHash> {
    let load = Load::Hashes { space: rig.key.space, places: vec![(journal, seq)] };
    let Loaded::Hashes(mut hashes) = rig.world.devices[device].store.load(&load) else { panic!("hashes") };
    hashes.remove(0)
}

fn lives(rig: &Rig, device: usize) -> usize {
    rig.world.devices[device].events.iter().filter(|event| matches!(event, Event::NewIncarnation { .. })).count()
}

fn branch(mallory: &mut RawPeer, from: Position, ids: &[u8]) -> Vec<Entry> {
    mallory.end = from;
    ids.iter().map(|id| mallory.entry(&[sound(mallory, document(*id), &format!("branch {id}"))])).collect()
}

/// Ada holds `ada` branches of a journal, Ben another one, from its second entry on. Returns the journal.
fn forked(rig: &mut Rig, ada: &[u8], ben: &[u8]) -> JournalId {
    rig.world.cut(rig.honest);
    let mut mallory = rig.mallory();
    let common = branch(&mut mallory, Position::START, &[20]);
    let end = mallory.end;
    let (one, two) = (branch(&mut mallory, end, ada), branch(&mut mallory, end, ben));
    rig.send_entries(ADA, &[&common[..], &one].concat());
    rig.send_entries(BEN, &[&common[..], &two].concat());
    rig.meet();
    mallory.journal()
}

#[test]
fn members_that_met_different_branches_notice_the_fork_and_keep_its_proof() {
    // Equal ends, one longer than the other, and the other way round.
    for (seed, ada, ben) in
        [(90, &[30, 31][..], &[40, 41][..]), (91, &[30, 31, 32], &[40]), (92, &[30], &[40, 41, 42, 43])]
    {
        let mut rig = Rig::new(seed);
        let journal = forked(&mut rig, ada, ben);
        for device in [ADA, BEN] {
            let told = told(&rig, device);
            let [(at, seq)] = told[..] else { panic!("device {device} told of {} forks", told.len()) };
            assert_eq!(at, journal);
            assert_eq!(
                kept(&rig, device, journal, seq).len(),
                2,
                "seed {seed}, device {device}: both entries are kept"
            );
            assert_eq!(rig.collection(device).forks, [(journal, seq)]);
        }
        // It stays known after a restart, is told once, and what came first still shows.
        rig.world.restart(ADA, seed);
        rig.meet();
        assert_eq!(rig.collection(ADA).forks.len(), 1);
        assert_eq!(told(&rig, BEN).len(), 1);
        assert!(rig.value(ADA, document(ada[0])).is_some() && rig.value(BEN, document(ben[0])).is_some());
        assert!(rig.rejected(ADA).is_empty() && rig.rejected(BEN).is_empty());
        let (one, two) = (rig.write(ADA), rig.write(BEN));
        assert!(rig.value(BEN, one).is_some() && rig.value(ADA, two).is_some());
    }
}

#[test]
fn what_is_applied_and_served_of_a_forked_journal_is_the_branch_that_came_first() {
    let mut rig = Rig::new(93);
    let journal = forked(&mut rig, &[30, 31], &[40, 41]);
    // A third device gets from Ada what Ada holds, and nothing of the proof that she keeps beside it.
    let honest = rig.world.link(ADA, crate::rig::RITA);
    rig.world.run();
    rig.world.cut(honest);
    let states = rig.world.devices[crate::rig::RITA].store.journals(rig.key.space);
    let ada = rig.world.devices[ADA].store.journals(rig.key.space)[&journal].held;
    assert_eq!(states[&journal].held, ada);
    assert!(rig.value(crate::rig::RITA, document(31)).is_some());
    assert_eq!(rig.value(crate::rig::RITA, document(41)), None);
}

#[test]
fn a_claim_of_another_branch_without_its_entry_changes_nothing() {
    let mut rig = Rig::new(94);
    rig.write(BEN);
    rig.write(BEN);
    let ben = rig.world.devices[BEN].replica.identity().device;
    let journals = rig.world.devices[ADA].store.journals(rig.key.space);
    let (journal, state) = journals.into_iter().find(|(id, _)| id.device == ben).unwrap();
    let mallory = rig.mallory();
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.received(&mut rig.world);
    for seq in [state.held.seq, state.held.seq - 1] {
        let positions = vec![(journal, Position { seq, hash: EntryHash([9; 32]) }).into()];
        let frontier = Frontier { handle: line.handle, answer: false, more: false, arrival: 9, positions };
        line.send(&mut rig.world, &Frame::Frontier(frontier));
        // She asks for that very entry.
        let range = Range { journal, from: seq, to: seq, of: Of::Entry(EntryHash([9; 32])) };
        let asked = Frame::Want { handle: line.handle, more: false, ranges: vec![range] };
        assert!(line.received(&mut rig.world).contains(&asked), "seq {seq}");
    }
    // An entry there that Ben has not signed costs its sender the link.
    let mut header = mallory.header();
    (header.journal, header.seq, header.prev) = (journal, state.held.seq - 1, EntryHash([7; 32]));
    header.group.first = header.seq;
    let payload = farshore_core::payload::encode(&[sound(&mallory, document(9), "x")]).unwrap();
    line.send_entry(&mut rig.world, &mallory.sign(header, &payload));
    rig.assert_faulted(&line, "signature or hash is wrong");
    assert!(told(&rig, ADA).is_empty() && rig.collection(ADA).forks.is_empty());
    assert_eq!(kept(&rig, ADA, journal, state.held.seq - 1).len(), 1);
    rig.assert_undisturbed();
}

#[test]
fn a_copy_of_ones_own_journal_that_ends_below_it_begins_a_new_life() {
    let mut rig = Rig::new(95);
    rig.write(ADA);
    rig.world.cut(rig.honest);
    let copy = rig.world.devices[ADA].store.clone();
    // The original goes on by itself ...
    let mine: Vec<_> = (0..3).map(|_| rig.write(ADA)).collect();
    let now = rig.world.now();
    let original = std::mem::replace(&mut rig.world.devices[ADA], Device::start(copy, [96; 32], now).unwrap());
    // ... while the copy writes once, and meets Ben.
    let copied = rig.write(ADA);
    rig.meet();
    assert!(rig.value(BEN, copied).is_some());
    rig.world.cut(rig.honest);
    rig.world.devices[ADA] = original;
    assert_eq!(lives(&rig, ADA), 0);
    rig.meet();
    assert_eq!(lives(&rig, ADA), 1, "Ben's copy of the journal ends below Ada's, with another hash");
    assert_eq!((told(&rig, ADA).len(), told(&rig, BEN).len()), (1, 1));
    // What Ada writes from now on reaches Ben; what she wrote before is hers still.
    let (one, two) = (rig.write(ADA), rig.write(BEN));
    assert!(rig.value(BEN, one).is_some() && rig.value(ADA, two).is_some());
    assert!(mine.iter().all(|document| rig.value(ADA, *document).is_some()));
    // Once is enough.
    rig.world.cut(rig.honest);
    rig.meet();
    assert_eq!(lives(&rig, ADA), 1);
    assert!(rig.world.devices[ADA].closed.is_empty() && rig.world.devices[BEN].closed.is_empty());
}

#[test]
fn what_is_said_and_asked_of_further_branches_is_taken_and_ignored() {
    let mut rig = Rig::new(97);
    rig.write(ADA);
    let journals = rig.world.devices[ADA].store.journals(rig.key.space);
    let (journal, state) = journals.into_iter().find(|(_, state)| state.held.seq > 1).unwrap();
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.received(&mut rig.world);
    let (handle, hash) = (line.handle, EntryHash([9; 32]));
    let branch = Some(Branch { first: hash, common: state.held.seq });
    let position = Position { seq: state.held.seq + 5, hash };
    let positions = vec![Held { journal, position, branch, floor: 0 }];
    line.send(&mut rig.world, &Frame::Frontier(Frontier { handle, answer: false, more: false, arrival: 1, positions }));
    for of in [Of::Branch(hash), Of::Entry(hash)] {
        let ranges = vec![Range { journal, from: 1, to: 1, of }];
        line.send(&mut rig.world, &Frame::Want { handle, more: false, ranges });
    }
    rig.assert_open(&line);
    assert_eq!(line.received(&mut rig.world), Vec::new(), "nothing is asked, and nothing is sent");
    // By its hash an entry that is here is sent, once, however often it was sent before.
    let space = rig.key.space;
    let first = Entry::decode(rig.world.devices[ADA].store.entry(space, journal, 1).unwrap().to_vec()).unwrap();
    for _ in 0..2 {
        let ranges = vec![Range { journal, from: 1, to: 1, of: Of::Entry(first.hash) }];
        line.send(&mut rig.world, &Frame::Want { handle, more: false, ranges });
        assert_eq!(line.received(&mut rig.world), [Frame::Entry { handle, bytes: first.as_bytes().to_vec() }]);
    }
    rig.assert_undisturbed();
}

/// An entry is forged by a member who has the genuine one, and sends that right behind it, before anybody could check the first.
#[test]
fn a_forgery_that_comes_first_makes_no_fork_of_the_genuine_entry() {
    let mut rig = Rig::new(170);
    let mut mallory = rig.mallory();
    let first = mallory.entry(&[sound(&mallory, document(8), "first")]);
    rig.send_entries(ADA, &[first]);
    let genuine = mallory.entry(&[sound(&mallory, document(9), "hello")]);
    let mut forged = genuine.as_bytes().to_vec();
    // The claimed time is one of the last fixed fields of the header; any other value of it is as well formed.
    let time = genuine.header.time.0.to_be_bytes();
    let at = forged.windows(8).position(|bytes| bytes == time).unwrap();
    forged[at + 7] ^= 1;
    let line = mallory.meet(&mut rig.world, ADA);
    let now = rig.world.now();
    for bytes in [forged, genuine.as_bytes().to_vec()] {
        let bytes = Frame::Entry { handle: line.handle, bytes }.encode();
        let input = Input::Frame { link: line.link, class: Class::Live, bytes };
        rig.world.devices[ADA].replica.handle(now, input);
    }
    rig.world.devices[ADA].input(now, Input::Addresses(Vec::new()));
    rig.world.run();
    assert!(line.closed(&mut rig.world).is_some(), "a forgery costs its sender the link");
    assert_eq!(told(&rig, ADA), [], "the author of the genuine entry is said to have forked");
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.send_entry(&mut rig.world, &genuine);
    assert!(rig.value(BEN, document(9)).is_some(), "the genuine entry is not taken any more");
    rig.assert_undisturbed();
}
