//! What a peer holds, what it is told that this device holds, and whether the two have caught up with each other.

use super::Replica;
use super::exchange::Phase;
use super::scope::tree_of;
use crate::breakage::Breakage;
use crate::id::{JournalId, SpaceId};
use crate::input::LinkId;
use crate::limits::{FRAME_RECEIPTS, JOURNALS, RECEIPT_ENTRIES};
use crate::output::Event;
use crate::wire::Frame;

impl Replica {
    /// A journal has grown durably: what was asked may be fulfilled, and more may be offered.
    pub(super) fn caught_up(&mut self, space: SpaceId, journal: JournalId) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let durable = known.journals.get(&journal).map_or(0, |journal| journal.durable.seq);
        if known.asked.get(&journal).is_some_and(|asked| asked.to <= durable) {
            known.asked.remove(&journal);
            self.ask(space, journal);
        }
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { continue };
            if shared.lacking.contains(&journal) && shared.offered.get(&journal).is_none_or(|to| *to <= durable) {
                shared.lacking.remove(&journal);
                self.check_caught_up(link, space);
            }
            self.check_settled(link, space);
        }
    }

    /// Everything that a peer offered is here: the cursor moves, and the digests are compared once more.
    pub(super) fn check_caught_up(&mut self, link: LinkId, space: SpaceId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let (Some(device), Some(store)) = (state.device, state.their_store()) else { return };
        let Some(shared) = state.space_mut(space) else { return };
        let Some(cursor) = shared.cursor.filter(|_| shared.lacking.is_empty()) else { return };
        shared.cursor = None;
        let agreed = shared.scopes.digest();
        // While states are still compared (rosters come first), a frontier of an earlier attempt brings what it offers; this side
        // has yet to say its own, so it goes on comparing: else the other waits for that for ever.
        let first = shared.phase == Phase::Exchanging;
        if first {
            shared.phase = Phase::Streaming;
        }
        if let Some(known) = self.spaces.get_mut(&space).filter(|known| known.admits(Some(device))) {
            let peer = known.peers.entry(device).or_default();
            if peer.has_seen(store, agreed, cursor) {
                peer.dirty = true;
                self.peer_changed();
            }
        }
        if first && !self.said_it_all(link, space) {
            return self.send_state(link, space, false);
        }
        self.check_stuck(link, space);
    }

    /// Whether our last state still says where this device stands: then there is no need to say it again.
    pub(super) fn said_it_all(&mut self, link: LinkId, space: SpaceId) -> bool {
        let Some(known) = self.spaces.get_mut(&space) else { return true };
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return true };
        let now = (tree_of(shared, known).digest(), known.roster.digest());
        shared.sent.as_ref().is_some_and(|sent| (sent.frontier, sent.roster) == now)
    }

    /// Each side holds all that the other sent, and the states that they exchanged do not say so, because they crossed with
    /// entries: then it is said once more. Else `InSync` would wait for the next meeting.
    pub(super) fn check_settled(&mut self, link: LinkId, space: SpaceId) {
        let Some(shared) = self.links.get(&link).and_then(|state| state.space(space)) else { return };
        let settled = shared.phase == Phase::Streaming
            && !(shared.in_sync || shared.roster_busy)
            && shared.todo.is_empty()
            && shared.lacking.is_empty()
            && shared.unreceipted.is_empty();
        if settled && !self.said_it_all(link, space) {
            self.send_state(link, space, false);
        }
    }

    /// Neither side lacks anything of what changed, and still the digests differ: what changed was not all. Once, all of it.
    pub(super) fn check_stuck(&mut self, link: LinkId, space: SpaceId) {
        let Some(shared) = self.links.get(&link).and_then(|state| state.space(space)) else { return };
        let stuck =
            shared.phase == Phase::Streaming && shared.sent_delta && shared.they_lack_nothing && !shared.in_sync;
        if stuck && self.said_it_all(link, space) {
            self.compare_whole(link, space);
        }
    }

    pub(super) fn on_receipt(&mut self, link: LinkId, space: SpaceId, positions: Vec<(JournalId, u64)>) {
        if self.breaks(Breakage::LoseReceipt) {
            return;
        }
        let (me, incarnation) = (self.device(), self.identity.incarnation);
        let Some(device) = self.links.get(&link).and_then(|state| state.device) else { return };
        for (journal, seq) in positions {
            let Some(known) = self.spaces.get_mut(&space) else { return };
            // A receipt counts no further than what there is, and for what there is: else a peer could fill memory with it.
            let Some(mine) = known.journals.get(&journal) else { continue };
            let seq = seq.min(mine.durable.seq);
            self.peer_holds(link, space, (journal, seq));
            let Some(known) = self.spaces.get_mut(&space) else { return };
            if known.admits(Some(device)) && journal.device == me && journal.incarnation == incarnation {
                let peer = known.peers.entry(device).or_default();
                let receipt = peer.receipts.entry(journal.collection).or_default();
                if *receipt < seq {
                    let newly = seq - *receipt;
                    *receipt = seq;
                    peer.dirty = true;
                    self.peer_changed();
                    self.notify(Event::Receipted { space, device, collection: journal.collection, seq, newly });
                }
            }
        }
        self.serve(link);
        self.check_settled(link, space);
    }

    /// A peer holds a journal this far: it need not be sent.
    pub(super) fn peer_holds(&mut self, link: LinkId, space: SpaceId, (journal, seq): (JournalId, u64)) {
        if let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) {
            let known = shared.receipted.entry(journal).or_default();
            *known = (*known).max(seq);
            if shared.unreceipted.get(&journal).is_some_and(|sent| *sent <= seq) {
                shared.unreceipted.remove(&journal);
            }
        }
    }

    /// A peer showed by what it sent that it holds a journal this far.
    pub(super) fn offered(&mut self, link: LinkId, space: SpaceId, journal: JournalId, seq: u64) {
        let shared = self.links.get_mut(&link).and_then(|state| state.space_mut(space));
        if let Some(shared) = shared.filter(|shared| shared.offered.len() < JOURNALS) {
            let known = shared.offered.entry(journal).or_default();
            *known = (*known).max(seq);
            shared.lacking.insert(journal);
        }
    }

    pub(super) fn owe_receipt(&mut self, link: LinkId, space: SpaceId, journal: JournalId, seq: u64) {
        if let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) {
            let owed = shared.owed.entry(journal).or_default();
            *owed = (*owed).max(seq);
        }
    }

    /// Sends the receipts that are owed, cumulative and together: of a journal that is being caught up on, now and then and at
    /// the end.
    pub(super) fn send_receipts(&mut self) {
        let mut frames = Vec::new();
        let early = self.breaks(Breakage::ReceiptBeforeCommit);
        for (link, state) in &mut self.links {
            for (handle, shared) in &mut state.spaces {
                let Some(known) = self.spaces.get(&shared.space) else { continue };
                let later = |journal: &JournalId, seq: u64| {
                    let asked = known.asked.get(journal);
                    let more = asked.is_some_and(|asked| asked.link == *link && asked.to > seq)
                        && !seq.is_multiple_of(RECEIPT_ENTRIES);
                    // What is owed may still be on its way to the disk.
                    more || (!early && known.journals.get(journal).is_none_or(|journal| journal.durable.seq < seq))
                };
                let (kept, owed): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut shared.owed).into_iter().partition(|(journal, seq)| later(journal, *seq));
                shared.owed = kept.into_iter().collect();
                let chunks = owed.chunks(FRAME_RECEIPTS);
                frames.extend(chunks.map(|c| (*link, Frame::Receipt { handle: *handle, positions: c.to_vec() })));
            }
        }
        for (link, frame) in frames {
            self.send(link, &frame);
        }
    }
}
