//! A device's own journal, shown ahead of its store: true after a restore, false out of a liar's mouth.

use farshore_core::entry::Entry;
use farshore_core::id::{EntryHash, JournalId, Position};
use farshore_core::output::Event;
use farshore_core::wire::{Frame, Frontier};
use farshore_sim::Device;

use crate::content::{document, sound};
use crate::peer::InWorld;
use crate::rig::{ADA, BEN, Rig};

fn lives(rig: &Rig, device: usize) -> usize {
    rig.world.devices[device].events.iter().filter(|event| matches!(event, Event::NewIncarnation { .. })).count()
}

/// Ada's own journal as she writes it now.
fn own(rig: &Rig) -> (JournalId, Position) {
    let identity = rig.world.devices[ADA].replica.identity();
    let journals = rig.world.devices[ADA].store.journals(rig.key.space);
    let own = |id: &JournalId| id.device == identity.device && id.incarnation == identity.incarnation;
    let (journal, state) = journals.into_iter().find(|(id, _)| own(id)).unwrap();
    (journal, state.held)
}

#[test]
fn a_restored_store_starts_a_new_life_and_its_edits_go_on_and_converge() {
    let mut rig = Rig::new(60);
    let backup = rig.world.devices[ADA].store.clone();
    let mut lost = Vec::new();
    for _ in 0..5 {
        lost.push(rig.write(ADA));
    }
    let before = rig.world.devices[ADA].replica.identity().incarnation;
    rig.world.cut(rig.honest);
    let now = rig.world.now();
    rig.world.devices[ADA] = Device::start(backup, [61; 32], now).unwrap();
    assert_eq!(rig.world.devices[ADA].replica.identity().incarnation, before);
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    assert_eq!(lives(&rig, ADA), 1);
    assert_ne!(rig.world.devices[ADA].replica.identity().incarnation, before);
    for document in lost {
        assert!(rig.value(ADA, document).is_some(), "what was written before the restore is not back");
    }
    rig.assert_undisturbed();
    // And once is enough.
    rig.world.cut(rig.honest);
    rig.honest = rig.world.link(BEN, ADA);
    rig.world.run();
    assert_eq!(lives(&rig, ADA), 1);
    rig.assert_undisturbed();
}

#[test]
fn a_restored_store_that_wrote_before_it_met_anybody_starts_a_new_life_and_disturbs_nobody() {
    let mut rig = Rig::new(62);
    let backup = rig.world.devices[ADA].store.clone();
    rig.write(ADA);
    rig.world.cut(rig.honest);
    let now = rig.world.now();
    rig.world.devices[ADA] = Device::start(backup, [63; 32], now).unwrap();
    // The same place in the same journal, with other content: a fork.
    rig.write(ADA);
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    assert_eq!(lives(&rig, ADA), 1);
    // What does not build on the forked entries travels in the new life, both ways.
    let (one, two) = (rig.write(ADA), rig.write(BEN));
    assert!(rig.value(BEN, one).is_some() && rig.value(ADA, two).is_some());
    assert!(rig.rejected(ADA).is_empty() && rig.rejected(BEN).is_empty());
    assert!(rig.world.devices[ADA].closed.is_empty());
}

#[test]
fn nobody_makes_a_device_start_a_new_life_by_claiming_its_journal_ahead() {
    let mut rig = Rig::new(64);
    rig.write(ADA);
    let mallory = rig.mallory();
    let line = rig.mallory().meet(&mut rig.world, ADA);
    for round in 0..20_u64 {
        let (journal, end) = own(&rig);
        for position in [
            Position { seq: end.seq + 1 + round, hash: EntryHash([1; 32]) },
            Position { seq: end.seq, hash: EntryHash([2; 32]) },
        ] {
            let answer = round % 2 == 0;
            let (handle, positions) = (line.handle, vec![(journal, position).into()]);
            line.send(
                &mut rig.world,
                &Frame::Frontier(Frontier { handle, answer, more: false, arrival: 9, positions }),
            );
        }
    }
    assert_eq!(lives(&rig, ADA), 0);
    rig.assert_open(&line);
    // She is asked for the entries, and has none that bear Ada's signature.
    let (journal, end) = own(&rig);
    for (seq, prev) in [(end.seq + 1, end.hash), (end.seq + 1, EntryHash([1; 32])), (end.seq, EntryHash([3; 32]))] {
        let mut liar = rig.mallory();
        let line = liar.meet(&mut rig.world, ADA);
        let mut header = mallory.header();
        (header.journal, header.seq, header.prev) = (journal, seq, prev);
        header.group.first = seq;
        header.roster_heads = rig.roster(ADA).heads();
        let entry: Entry =
            liar.sign(header, &farshore_core::payload::encode(&[sound(&mallory, document(9), "x")]).unwrap());
        line.send_entry(&mut rig.world, &entry);
        rig.assert_faulted(&line, "signature or hash is wrong");
    }
    assert_eq!(lives(&rig, ADA), 0);
    rig.assert_undisturbed();
}
