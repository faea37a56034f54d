//! Entries that go without what they have in common with the one before them.

use farshore_core::entry::Entry;
use farshore_core::input::Class;
use farshore_core::wire::{Frame, Of, Range, Recent, feature};

use crate::content::{document, sound};
use crate::peer::{InWorld, Line, RawPeer};
use crate::rig::{ADA, Rig};

/// Three entries of a journal, one after another.
fn three(peer: &mut RawPeer) -> Vec<Entry> {
    [1, 2, 3].map(|byte| peer.entry(&[sound(peer, document(byte), "hello")])).into()
}

fn whole(line: &Line, entry: &Entry) -> Frame {
    Frame::Entry { handle: line.handle, bytes: entry.as_bytes().to_vec() }
}

fn next(line: &Line, before: &Entry, entry: &Entry) -> Frame {
    let mut recent = Recent::default();
    recent.went(before.as_bytes(), before.hash);
    let (after, rest) = recent.shorten(entry.as_bytes()).expect("it follows");
    Frame::Next { handle: line.handle, after, rest }
}

#[test]
fn the_next_entry_of_a_journal_is_taken_without_its_place() {
    let mut rig = Rig::new(120);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let entries = three(&mut mallory);
    line.send(&mut rig.world, &whole(&line, &entries[0]));
    line.send(&mut rig.world, &next(&line, &entries[0], &entries[1]));
    line.send(&mut rig.world, &next(&line, &entries[1], &entries[2]));
    assert_eq!(rig.held(ADA, &mallory), entries[2].position());
    rig.assert_open(&line);
    rig.assert_undisturbed();
}

#[test]
fn one_that_follows_nothing_that_came_or_is_cut_short_costs_its_sender_the_link() {
    let mut rig = Rig::new(121);
    let mut mallory = rig.mallory();
    let entries = three(&mut mallory);
    let fault = "follows none of those";
    let line = mallory.meet(&mut rig.world, ADA);
    line.send(&mut rig.world, &next(&line, &entries[0], &entries[1]));
    rig.assert_faulted(&line, fault);
    // On another stream of the same link.
    let line = mallory.meet(&mut rig.world, ADA);
    line.send_bytes(&mut rig.world, Class::Bulk, whole(&line, &entries[0]).encode());
    line.send(&mut rig.world, &next(&line, &entries[0], &entries[1]));
    rig.assert_faulted(&line, fault);
    // Twice.
    let line = mallory.meet(&mut rig.world, ADA);
    line.send(&mut rig.world, &whole(&line, &entries[0]));
    line.send(&mut rig.world, &next(&line, &entries[0], &entries[1]));
    line.send(&mut rig.world, &next(&line, &entries[0], &entries[1]));
    rig.assert_faulted(&line, fault);
    assert_eq!(rig.held(ADA, &mallory), entries[1].position());
    // What was cut short and taken for nothing would never be missed, if it was the last: found by seed 4405 of the mixed faults.
    let whole_one = next(&mallory.meet(&mut rig.world, ADA), &entries[1], &entries[2]).encode().len();
    for cut in 1..whole_one {
        let line = mallory.meet(&mut rig.world, ADA);
        line.send(&mut rig.world, &whole(&line, &entries[1]));
        let mut bytes = next(&line, &entries[1], &entries[2]).encode();
        bytes.truncate(cut);
        line.send_bytes(&mut rig.world, Class::Live, bytes);
        assert!(line.closed(&mut rig.world).is_some(), "cut at {cut}");
    }
    assert_eq!(rig.held(ADA, &mallory), entries[1].position());
    rig.assert_undisturbed();
}

#[test]
fn one_that_is_put_together_wrongly_costs_its_sender_the_link_and_is_never_stored() {
    let mut rig = Rig::new(122);
    for at in (0..200).step_by(7) {
        let mut mallory = rig.mallory();
        let line = mallory.meet(&mut rig.world, ADA);
        let entries = three(&mut mallory);
        let Frame::Next { handle, after, mut rest } = next(&line, &entries[0], &entries[1]) else { panic!("made so") };
        rest[at] ^= 1;
        line.send(&mut rig.world, &whole(&line, &entries[0]));
        line.send(&mut rig.world, &Frame::Next { handle, after, rest });
        // It may cite a roster that Ada has yet to learn: she asks for that first.
        let cites = (56..88).contains(&at);
        assert_eq!(line.closed(&mut rig.world).is_some(), !cites, "byte {at}");
        assert_eq!(rig.held(ADA, &mallory), entries[0].position(), "byte {at}");
    }
    rig.assert_undisturbed();
}

#[test]
fn it_is_sent_to_those_who_know_it_only() {
    let mut rig = Rig::new(123);
    for (features, short) in [(0, 0), (feature::CHECKPOINTS, 0), (feature::ALL, 4)] {
        let mut mallory = rig.mallory();
        mallory.features = features;
        let line = mallory.meet(&mut rig.world, ADA);
        let handle = line.handle;
        let (journal, end) = {
            let journals = rig.world.devices[ADA].store.journals(rig.key.space);
            let own =
                journals.into_iter().find(|(id, _)| id.device == rig.world.devices[ADA].replica.identity().device);
            own.map(|(id, state)| (id, state.held.seq)).expect("Ada has written")
        };
        for _ in 0..5 {
            rig.write(ADA);
        }
        line.received(&mut rig.world);
        let ranges = vec![Range { journal, from: end + 1, to: end + 5, of: Of::Shown }];
        line.send(&mut rig.world, &Frame::Want { handle, more: false, ranges });
        let frames = line.received(&mut rig.world);
        let (mut recent, mut seen, mut nexts) = (Recent::default(), Vec::new(), 0);
        for frame in frames {
            let bytes = match frame {
                Frame::Entry { bytes, .. } => bytes,
                Frame::Next { after, rest, .. } => {
                    nexts += 1;
                    recent.restore(after, &rest).expect("it follows one that went")
                }
                _ => continue,
            };
            let entry = Entry::decode(bytes).expect("Ada's own");
            recent.went(entry.as_bytes(), entry.hash);
            assert!(entry.verify());
            seen.push(entry.header.seq);
        }
        assert_eq!(seen, (end + 1..=end + 5).collect::<Vec<_>>());
        assert_eq!(nexts, short, "with features {features}");
        line.hang_up(&mut rig.world);
    }
    rig.assert_undisturbed();
}
