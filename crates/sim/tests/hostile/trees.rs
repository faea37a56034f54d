//! Hash trees that come out of turn, repeat themselves and never end.

use farshore_core::limits::{FRAME_PLACES, FRAME_POSITIONS, TREE_PLACES, TREE_SETTLED};
use farshore_core::wire::{Frame, State, TreePath, TreePlace};

use crate::content::{document, sound};
use crate::peer::{InWorld, Line};
use crate::rig::{ADA, Rig};

/// Places with digests that are right nowhere.
fn places(count: usize) -> Vec<TreePlace> {
    let path = |index: usize| (0..3).fold(TreePath::ROOT, |path, level| path.child((index >> (4 * level)) as u8));
    (0..count).map(|index| TreePlace { path: path(index), children: Some(Box::new([[7; 16]; 16])) }).collect()
}

/// A line on which Ada believes that both sides have many journals that differ.
fn descending(rig: &mut Rig) -> Line {
    let mut peer = rig.mallory();
    let line = peer.meet(&mut rig.world, ADA);
    let frames = line.received(&mut rig.world);
    let state = frames.into_iter().find_map(|frame| if let Frame::State(state) = frame { Some(state) } else { None });
    let state = State { fresh: true, frontier: [9; 32], few: false, seen: 0, ..state.unwrap() };
    line.send(&mut rig.world, &Frame::State(state));
    line.received(&mut rig.world);
    line
}

/// Gives Ada so many journals that she compares trees.
fn fill(rig: &mut Rig) {
    let mut peer = rig.mallory();
    let line = peer.meet(&mut rig.world, ADA);
    for index in 0..=FRAME_POSITIONS {
        let item = sound(&peer, document(index as u8), "x");
        let entry = peer.entry(&[item]);
        line.send_entry(&mut rig.world, &entry);
        peer.new_journal();
    }
    assert_eq!(line.closed(&mut rig.world), None);
    line.hang_up(&mut rig.world);
}

#[test]
fn a_tree_out_of_turn_is_not_answered() {
    let mut rig = Rig::new(130);
    let line = descending(&mut rig); // Her few journals were listed at once.
    line.received(&mut rig.world);
    for _ in 0..20 {
        line.send(&mut rig.world, &Frame::Tree { handle: line.handle, more: false, places: places(FRAME_PLACES) });
    }
    let answers = line.received(&mut rig.world);
    assert!(answers.is_empty(), "{answers:?}");
    rig.assert_undisturbed();
}

#[test]
fn a_tree_message_of_more_places_than_a_comparison_can_have_costs_its_sender_the_link() {
    let mut rig = Rig::new(131);
    fill(&mut rig);
    let line = descending(&mut rig);
    let mut frames = 0;
    while line.closed(&mut rig.world).is_none() {
        line.send(&mut rig.world, &Frame::Tree { handle: line.handle, more: true, places: places(FRAME_PLACES) });
        frames += 1;
        assert!(frames <= (TREE_SETTLED + TREE_PLACES) / FRAME_PLACES + 2, "places are taken in without end");
    }
    rig.assert_faulted(&line, "more places than a message may have");
    rig.assert_undisturbed();
}

#[test]
fn a_comparison_that_is_repeated_is_answered_once() {
    let mut rig = Rig::new(132);
    fill(&mut rig);
    let line = descending(&mut rig);
    for _ in 0..40 {
        let root = TreePlace { path: TreePath::ROOT, children: Some(Box::new([[7; 16]; 16])) };
        line.send(&mut rig.world, &Frame::Tree { handle: line.handle, more: false, places: vec![root] });
    }
    // The places below the root are buckets: her answer settles all of them, and she lists what is there.
    let bytes: usize = line.received(&mut rig.world).iter().map(|frame| frame.encode().len()).sum();
    assert!((FRAME_POSITIONS * 105..FRAME_POSITIONS * 105 * 2).contains(&bytes), "{bytes} bytes");
    rig.assert_undisturbed();
}
