//! In a mesh every member has an entry from its author; nobody need pass it on to those who have it already.
//!
//! Each device passes on what it has got from others, so that a line of devices works. Where all are linked to all, that would
//! carry each entry once for each pair. So a device that is sent again what it holds says so, once for each author and link,
//! with an announcement; and whoever sees that a peer has an author's entries from elsewhere holds them back for that
//! peer. What is held back is announced after [`HOLD_BACK_MS`], unless the peer has shown by then that it holds it: should the
//! other way have failed, the peer asks, is sent what it lacks, and for [`EAGER_MS`] has that author's entries at once again.
//!
//! One's own entries are never held back. Nothing here decides what is sent in the end, only when and after what question.

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use crate::id::{DeviceId, JournalId, Position, SpaceId};
use crate::input::LinkId;
use crate::limits::{EAGER_MS, HOLD_BACK_MS};

/// What is known of the other ways by which a peer gets entries of a space. Bounded: by the members that have written, and by
/// the journals of the space.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Authors whose entries the peer has from elsewhere.
    has: BTreeSet<DeviceId>,
    /// Authors of whom it lacked something after all: not held back again before this time.
    eager_until: BTreeMap<DeviceId, u64>,
    /// Journals that have grown and were not sent for that reason.
    held_back: BTreeSet<JournalId>,
    /// Authors of whom the peer was told that this device has their entries from elsewhere.
    told: BTreeSet<DeviceId>,
}

impl Elsewhere {
    /// Takes in that a journal has grown; whether it is held back.
    pub(super) fn holds_back(&mut self, journal: JournalId) -> bool {
        let holds = self.has.contains(&journal.device);
        if holds {
            self.held_back.insert(journal);
        }
        holds
    }

    /// The peer is told of everything in another way.
    pub(super) fn all_settled(&mut self) {
        self.held_back.clear();
    }

    /// This device asks the peer for entries of an author: it may send them again at once.
    pub(super) fn asked(&mut self, author: &DeviceId) {
        self.told.remove(author);
    }

    /// The peer asks for entries of an author: it does not have them all from elsewhere.
    pub(super) fn lacks(&mut self, author: DeviceId, now_ms: u64) {
        if self.has.remove(&author) {
            self.eager_until.insert(author, now_ms + EAGER_MS);
        }
    }
}

impl Replica {
    /// A peer sent what another one brought before: each says to the other that it has it from elsewhere.
    pub(super) fn came_again(&mut self, link: LinkId, space: SpaceId, journal: JournalId) {
        let held = self.spaces.get(&space).and_then(|known| known.journals.get(&journal));
        // A peer may send something twice, and a link that is gone brings nothing any more.
        let other = held.and_then(|held| held.from).filter(|from| *from != link && self.links.contains_key(from));
        let shown = held.is_some_and(|held| held.shown().seq > 0);
        if other.is_none() || !self.has_elsewhere(link, space, journal) {
            return;
        }
        let shared = self.links.get_mut(&link).and_then(|state| state.space_mut(space)).filter(|_| shown);
        if shared.is_some_and(|shared| shared.elsewhere.told.insert(journal.device)) {
            self.announce(link, space, &[journal]);
        }
    }

    /// A peer has shown that it has an author's entries from elsewhere; whether it is taken at its word.
    pub(super) fn has_elsewhere(&mut self, link: LinkId, space: SpaceId, journal: JournalId) -> bool {
        let (me, now_ms) = (self.device(), self.now.mono_ms);
        let Some(state) = self.links.get_mut(&link) else { return false };
        if journal.device == me || state.device == Some(journal.device) {
            return false;
        }
        let Some(shared) = state.space_mut(space).filter(|shared| shared.streaming) else { return false };
        let elsewhere = &mut shared.elsewhere;
        if elsewhere.eager_until.get(&journal.device).is_some_and(|until| *until > now_ms) {
            return false;
        }
        elsewhere.eager_until.remove(&journal.device);
        elsewhere.has.insert(journal.device);
        true
    }

    /// A peer announces what is here already, and did not send it: it has it from elsewhere.
    pub(super) fn holds_already(&mut self, link: LinkId, space: SpaceId, positions: &[(JournalId, Position)]) {
        for (journal, position) in positions {
            let Some(known) = self.spaces.get(&space) else { return };
            let durable = known.journals.get(journal).map(|held| held.durable);
            let recent = self.recent.get(space, *journal, position.seq);
            if durable == Some(*position) || recent.is_some_and(|held| held.hash == position.hash) {
                self.peer_holds(link, space, (*journal, position.seq));
                self.has_elsewhere(link, space, *journal);
            }
        }
    }

    /// A device is no longer linked to this one, and perhaps not to others either: its entries are passed on again.
    pub(super) fn author_left(&mut self, author: DeviceId) {
        for shared in self.links.values_mut().flat_map(|state| state.spaces.values_mut()) {
            shared.elsewhere.has.remove(&author);
            shared.elsewhere.told.remove(&author);
        }
    }

    /// Sets the time at which what is held back is announced, if there is none yet.
    pub(super) fn hold_back(&mut self) {
        self.held_back_at.get_or_insert(self.now.mono_ms + HOLD_BACK_MS);
    }

    /// Announces what was held back, and of what the peers have not shown that they hold it.
    pub(super) fn announce_held_back(&mut self) {
        self.held_back_at = None;
        let mut due = Vec::new();
        for (link, shared) in
            self.links.iter_mut().flat_map(|(link, state)| state.spaces.values_mut().map(|s| (*link, s)))
        {
            let held_back = std::mem::take(&mut shared.elsewhere.held_back);
            let Some(known) = self.spaces.get(&shared.space) else { continue };
            let lacks = |journal: &JournalId| {
                let held = shared.receipted.get(journal).copied().unwrap_or(0);
                known.journals.get(journal).is_some_and(|here| here.shown().seq > held)
            };
            let news = held_back.into_iter().filter(|journal| shared.scopes.agreed(journal) && lacks(journal));
            due.push((link, shared.space, news.collect::<Vec<_>>()));
        }
        for (link, space, journals) in due {
            self.announce(link, space, &journals);
        }
    }
}
