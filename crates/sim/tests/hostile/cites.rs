//! What an entry cites of the roster never goes back along its journal.

use farshore_core::catalogue::CollectionDefinition;
use farshore_core::entry::Entry;
use farshore_core::id::{OpHash, Position};
use farshore_core::input::Request;

use crate::content::{document, sound};
use crate::peer::{InWorld, RawPeer};
use crate::rig::{ADA, BEN, Rig};

/// Lets the roster grow; returns its heads before and after.
fn grow(rig: &mut Rig, name: &str) -> (Vec<OpHash>, Vec<OpHash>) {
    let before = rig.roster(ADA).heads();
    let now = rig.world.now();
    let define = Request::DefineCollection { space: rig.key.space, definition: CollectionDefinition::new(name) };
    rig.world.devices[ADA].ask(now, define);
    rig.world.run();
    (before, rig.roster(BEN).heads())
}

fn citing(mallory: &mut RawPeer, id: u8, heads: &[OpHash]) -> Entry {
    let item = sound(mallory, document(id), "text");
    mallory.entry_with(&[item], |header| header.roster_heads = heads.to_vec())
}

#[test]
fn an_entry_that_cites_less_of_the_roster_than_the_one_before_it_costs_its_sender_the_link() {
    let mut rig = Rig::new(80);
    let (old, new) = grow(&mut rig, "more");
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let first = citing(&mut mallory, 20, &new);
    line.send_entry(&mut rig.world, &first);
    let end = mallory.end;
    let back = citing(&mut mallory, 21, &old);
    line.send_entry(&mut rig.world, &back);
    rig.assert_faulted(&line, "cites less of the roster");
    assert_eq!((rig.held(ADA, &mallory).seq, rig.held(BEN, &mallory).seq), (1, 1));
    // The same after a restart, and when both come together.
    rig.world.restart(ADA, 81);
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    let line = mallory.meet(&mut rig.world, ADA);
    line.send_entry(&mut rig.world, &back);
    rig.assert_faulted(&line, "cites less of the roster");
    assert_eq!(rig.held(ADA, &mallory).seq, 1);
    // Who goes on as the rules say is heard.
    mallory.end = end;
    let line = mallory.meet(&mut rig.world, ADA);
    let good = citing(&mut mallory, 22, &new);
    line.send_entry(&mut rig.world, &good);
    rig.assert_open(&line);
    assert_eq!((rig.held(ADA, &mallory).seq, rig.held(BEN, &mallory).seq), (2, 2));
    // More heads than before are as good as later ones: the old ones are among what they build on.
    let (_, newest) = grow(&mut rig, "even more");
    let later = citing(&mut mallory, 23, &newest);
    line.send_entry(&mut rig.world, &later);
    assert_eq!(rig.held(BEN, &mallory).seq, 3);
    rig.assert_undisturbed();
}

#[test]
fn a_journal_that_begins_with_an_old_roster_may_go_on_with_a_newer_one_only() {
    let mut rig = Rig::new(82);
    let (old, new) = grow(&mut rig, "more");
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, BEN);
    for (id, heads) in [(20, &old), (21, &old), (22, &new)] {
        let entry = citing(&mut mallory, id, heads);
        line.send_entry(&mut rig.world, &entry);
        rig.assert_open(&line);
    }
    assert_eq!(rig.held(ADA, &mallory).seq, 3);
    let entry = citing(&mut mallory, 23, &old);
    line.send_entry(&mut rig.world, &entry);
    assert_eq!(rig.held(BEN, &mallory).seq, 3);
    // A new journal of the same device is another matter.
    mallory.new_journal();
    assert_eq!(mallory.end, Position::START);
    let line = mallory.meet(&mut rig.world, BEN);
    let entry = citing(&mut mallory, 24, &old);
    line.send_entry(&mut rig.world, &entry);
    assert_eq!(rig.held(ADA, &mallory).seq, 1);
}

#[test]
fn what_a_device_writes_itself_never_cites_less_than_before() {
    let mut rig = Rig::new(83);
    for round in 0..4_u64 {
        rig.write(ADA);
        grow(&mut rig, &format!("collection {round}"));
        if round == 2 {
            rig.world.restart(ADA, 84);
            rig.honest = rig.world.link(ADA, BEN);
            rig.world.run();
        }
    }
    let store = &rig.world.devices[ADA].store;
    let me = rig.world.devices[ADA].replica.identity().device;
    let roster = rig.roster(ADA);
    for (journal, state) in store.journals(rig.key.space).into_iter().filter(|(id, _)| id.device == me) {
        assert!(state.held.seq >= 4);
        let entry = |seq| Entry::decode(store.entry(rig.key.space, journal, seq).unwrap().to_vec()).unwrap().header;
        for seq in 2..=state.held.seq {
            let (before, after) = (entry(seq - 1).roster_heads, entry(seq).roster_heads);
            assert_eq!(roster.is_at_or_after(&after, &before), Ok(true), "entry {seq}");
        }
        assert_eq!(state.cites, entry(state.held.seq).roster_heads);
    }
}
