//! Comparing hash trees: the two sides take turns, each message one level further down, until it is known where they differ.
//!
//! The device with the lesser id begins with the digests below the root. Whoever receives digests compares them with its own,
//! and answers for every place that differs: with its own digests of what is below, or, where it has few journals, with the word
//! that the place is to be settled. A message without digests ends it. Both then know the same places, and list the journals
//! there in an ordinary `Frontier`.

use std::collections::BTreeSet;

use super::Replica;
use super::exchange::Phase;
use super::frontier::Reach;
use super::scope::tree_of;
use crate::id::SpaceId;
use crate::input::LinkId;
use crate::limits::{FRAME_PLACES, TREE_PLACES, TREE_SETTLED};
use crate::wire::{Frame, TREE_DEPTH, TreePath, TreePlace};

/// A place with digests, and one without, in a `Tree` frame.
const DIGESTS_BYTES: usize = 266;
const SETTLED_BYTES: usize = 10;

/// What a link knows of a comparison under way.
#[derive(Debug, Default)]
pub(super) struct Descent {
    /// What came of a message of several frames.
    places_in: Vec<TreePlace>,
    /// Where the two are known to differ, to be settled by listing journals.
    settled: BTreeSet<TreePath>,
    messages: u8,
}

impl Descent {
    /// One over the limit is enough to know that there are too many.
    fn settle(&mut self, path: TreePath) {
        if self.settled.len() <= TREE_SETTLED {
            self.settled.insert(path);
        }
    }

    /// Places held, of a message that is coming in and settled.
    pub(super) fn places(&self) -> usize {
        self.places_in.len() + self.settled.len()
    }

    /// The places to list: all, if there are too many to name.
    fn take_settled(&mut self) -> BTreeSet<TreePath> {
        let settled = std::mem::take(&mut self.settled);
        if settled.len() > TREE_SETTLED { BTreeSet::from([TreePath::ROOT]) } else { settled }
    }
}

impl Replica {
    pub(super) fn start_descent(&mut self, link: LinkId, space: SpaceId) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        let children = tree_of(shared, known).children(TreePath::ROOT).map(Box::new);
        let place = TreePlace { path: TreePath::ROOT, children };
        self.answer_tree(link, space, vec![place]);
    }

    pub(super) fn on_tree(&mut self, link: LinkId, space: SpaceId, more: bool, places: Vec<TreePlace>) {
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        if shared.phase != Phase::Descending {
            return; // The comparison was started anew meanwhile; the sender will learn of it.
        }
        shared.descent.places_in.extend(places);
        if shared.descent.places_in.len() > TREE_SETTLED + TREE_PLACES {
            return self.fault(link, "compared more places than a message may have");
        }
        if more {
            return;
        }
        let places = std::mem::take(&mut shared.descent.places_in);
        shared.descent.messages += 1;
        // Every message is one level further down, and each side sends every other one.
        if shared.descent.messages > TREE_DEPTH / 2 + 1 {
            return self.fault(link, "compared without coming to an end");
        }
        let ends = places.iter().all(|place| place.children.is_none());
        let answer = self.differing(link, space, places);
        match ends {
            true => self.end_descent(link, space),
            false => self.answer_tree(link, space, answer),
        }
    }

    /// What to answer for each place of which digests came: those below it that differ.
    fn differing(&mut self, link: LinkId, space: SpaceId, places: Vec<TreePlace>) -> Vec<TreePlace> {
        let Some(known) = self.spaces.get_mut(&space) else { return Vec::new() };
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else {
            return Vec::new();
        };
        let (mut answer, mut digests) = (Vec::new(), 0);
        for TreePlace { path, children } in places {
            let Some(theirs) = children else {
                shared.descent.settle(path);
                continue;
            };
            let Some(mine) = tree_of(shared, known).children(path) else {
                answer.push(TreePlace { path, children: None });
                continue;
            };
            for index in (0..16_u8).filter(|index| mine[usize::from(*index)] != theirs[usize::from(*index)]) {
                let path = path.child(index);
                let children =
                    if digests < TREE_PLACES { tree_of(shared, known).children(path).map(Box::new) } else { None };
                digests += usize::from(children.is_some());
                answer.push(TreePlace { path, children });
            }
        }
        answer
    }

    /// Sends a message; if it holds no digests, it is the last one.
    fn answer_tree(&mut self, link: LinkId, space: SpaceId, mut places: Vec<TreePlace>) {
        let settled = places.iter().filter(|place| place.children.is_none()).count();
        if settled > TREE_SETTLED {
            places = vec![TreePlace { path: TreePath::ROOT, children: None }];
        }
        let ends = places.iter().all(|place| place.children.is_none());
        let bytes: usize =
            places.iter().map(|place| if place.children.is_some() { DIGESTS_BYTES } else { SETTLED_BYTES }).sum();
        if !self.charge_comparing(link, space, bytes) {
            return;
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(handle) = state.handle(space) else { return };
        let Some(shared) = state.space_mut(space) else { return };
        for place in places.iter().filter(|place| place.children.is_none()) {
            shared.descent.settle(place.path);
        }
        let frames = places.len().div_ceil(FRAME_PLACES).max(1);
        for index in 0..frames {
            let chunk = places.iter().skip(index * FRAME_PLACES).take(FRAME_PLACES).cloned().collect();
            self.send(link, &Frame::Tree { handle, more: index + 1 < frames, places: chunk });
        }
        if ends {
            self.end_descent(link, space);
        }
    }

    fn end_descent(&mut self, link: LinkId, space: SpaceId) {
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        shared.phase = Phase::Exchanging;
        let settled = shared.descent.take_settled();
        self.send_frontier(link, space, Reach::Under(settled));
    }
}
