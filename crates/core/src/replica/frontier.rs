//! Saying how far journals are held, and asking for what is not here.

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use super::exchange::{Outgoing, Phase};
use super::link::Link;
use super::scope::tree_of;
use crate::breakage::Breakage;
use crate::id::{JournalId, Position, SpaceId};
use crate::input::LinkId;
use crate::limits::{
    ASK_MS, FORK_CHECKS, FRAME_POSITIONS, FRAME_RANGES, FRONTIER_BUDGET_BYTES, FRONTIER_BUDGET_MS,
    FRONTIER_BUDGET_TIMES, JOURNALS, RESTS_ASKED,
};
use crate::wire::{Frame, Frontier, Held, Of, Range, TreePath};

/// A journal and a position in a frontier frame.
const POSITION_BYTES: usize = 105;

/// Which journals a frontier names.
#[derive(Debug)]
pub(super) enum Reach {
    /// Those that have grown since this arrival number; all for 0.
    Since(u64),
    /// Those below these places of the hash tree, and those that have grown since our state was sent.
    Under(BTreeSet<TreePath>),
}

impl Replica {
    /// Counts what a peer makes this device send in comparing; one that goes on without end is faulted.
    pub(super) fn charge_comparing(&mut self, link: LinkId, space: SpaceId, bytes: usize) -> bool {
        let Some(known) = self.spaces.get(&space) else { return false };
        let now_ms = self.now.mono_ms;
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return false };
        let (since_ms, sent) = &mut shared.spent.frontier_bytes;
        if now_ms.saturating_sub(*since_ms) >= FRONTIER_BUDGET_MS {
            (*since_ms, *sent) = (now_ms, 0);
        }
        *sent += bytes;
        let allowed = FRONTIER_BUDGET_BYTES + known.journals.len() * POSITION_BYTES * FRONTIER_BUDGET_TIMES;
        if *sent > allowed {
            self.fault(link, "compared over and over without taking what it lacks");
            return false;
        }
        true
    }

    pub(super) fn send_frontier(&mut self, link: LinkId, space: SpaceId, reach: Reach) {
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        let said_arrival = shared.sent.as_ref().map_or(0, |sent| sent.arrival);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let (positions, delta) = match reach {
            Reach::Since(since) => (known.frontier_since(since, &shared.scopes), since > 0),
            Reach::Under(places) => {
                let mut all: BTreeMap<_, _> = known.frontier_since(said_arrival, &shared.scopes).into_iter().collect();
                places.into_iter().for_each(|place| all.extend(tree_of(shared, known).under(place)));
                (all.into_iter().collect(), false)
            }
        };
        let arrival = known.durable_arrival;
        if !self.charge_comparing(link, space, positions.len() * POSITION_BYTES) {
            return;
        }
        let floors = self.links.get(&link).is_some_and(Link::takes_checkpoints);
        let Some(known) = self.spaces.get(&space) else { return };
        let positions: Vec<Held> = positions.into_iter().map(|(id, at)| known.held(id, at, floors)).collect();
        if !delta || positions.iter().any(|held| held.floor > 0) {
            self.send_offers(link, space);
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(handle) = state.handle(space) else { return };
        if let Some(shared) = state.space_mut(space) {
            shared.sent_delta = delta;
            shared.they_lack_nothing = false;
            // The frontier says everything there is; what comes later is noted from here on.
            shared.todo.retain(|_, out| out.next <= out.wanted_to);
            shared.elsewhere.all_settled();
        }
        let frames = positions.len().div_ceil(FRAME_POSITIONS).max(1);
        for index in 0..frames {
            let chunk = positions.iter().skip(index * FRAME_POSITIONS).take(FRAME_POSITIONS).copied().collect();
            let more = index + 1 < frames;
            self.send(link, &Frame::Frontier(Frontier { handle, answer: true, more, arrival, positions: chunk }));
        }
    }

    pub(super) fn on_frontier(&mut self, link: LinkId, space: SpaceId, frontier: Frontier) {
        let (me, incarnation) = (self.device(), self.identity.incarnation);
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        shared.frontier_in.extend(frontier.positions);
        if shared.frontier_in.len() > JOURNALS {
            return self.fault(link, "offered more journals than a space may have");
        }
        if frontier.more {
            return;
        }
        // It was said before the two agreed on what is compared; a state follows, and after it what counts.
        if frontier.answer && shared.theirs.is_none() && (shared.scopes.number, shared.scopes.heard) != (0, 0) {
            return shared.frontier_in.clear();
        }
        // Of further branches this build keeps nothing but the proof; what is not wanted is not looked at.
        let held = std::mem::take(&mut shared.frontier_in).into_iter();
        let held: Vec<Held> =
            held.filter(|held| held.branch.is_none() && shared.scopes.agreed(&held.journal)).collect();
        for held in &held {
            match held.floor {
                0 => shared.floors.remove(&held.journal),
                floor => shared.floors.insert(held.journal, floor),
            };
        }
        let positions: Vec<(JournalId, Position)> =
            held.into_iter().map(|held| (held.journal, held.position)).collect();
        let Some(known) = self.spaces.get(&space) else { return };
        let mut receipts = Vec::new();
        for (journal, position) in &positions {
            let mine = known.journals.get(journal);
            let durable = mine.map_or(0, |journal| journal.durable.seq);
            // A frontier shows what is durable there: of one's own journal it is a receipt, which may have come no other way.
            if journal.device == me
                && journal.incarnation == incarnation
                && mine.is_some_and(|mine| position.seq < durable || *position == mine.durable)
            {
                receipts.push((*journal, position.seq));
            }
            if mine.is_some_and(|journal| journal.state.closed) {
                continue;
            }
            shared.offered.entry(*journal).and_modify(|seq| *seq = (*seq).max(position.seq)).or_insert(position.seq);
            if position.seq > durable {
                shared.lacking.insert(*journal);
            }
        }
        if frontier.answer {
            shared.cursor = Some(frontier.arrival);
        }
        // The two counted different states, and the other side went on without a tree: then this one lists all, too.
        let list = frontier.answer && shared.phase == Phase::Descending;
        if list {
            shared.phase = Phase::Exchanging;
        }
        if shared.offered.len() > JOURNALS {
            return self.fault(link, "offered more journals than a space may have");
        }
        if list {
            self.send_frontier(link, space, Reach::Since(0));
        }
        self.consider_offers(link, space);
        if !frontier.answer {
            self.holds_already(link, space, &positions);
        }
        let journals: Vec<JournalId> = positions.iter().map(|(journal, _)| *journal).collect();
        self.want(link, space, &journals, frontier.answer);
        self.compare_branches(link, space, &positions);
        self.on_receipt(link, space, receipts);
        self.check_caught_up(link, space);
    }

    /// Asks for what a peer offered and nobody was asked for yet; with `answer` even an empty question is sent.
    pub(super) fn want(&mut self, link: LinkId, space: SpaceId, journals: &[JournalId], answer: bool) {
        let mut ranges = Vec::new();
        let now_ms = self.now.mono_ms;
        let late = self.breaks(Breakage::AskLate);
        if late {
            self.check_asked_at.get_or_insert(now_ms + 2 * ASK_MS);
        }
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(state) = self.links.get(&link) else { return };
        let (Some(handle), Some(shared)) = (state.handle(space), state.space(space)) else { return };
        for journal in journals.iter().filter(|_| !late) {
            let from = known.journals.get(journal).map_or(0, |journal| journal.receiving.seq) + 1;
            let Some(to) = shared.offers_from(journal, from) else { continue };
            if known.checkpoint_brings(&journal.collection) {
                continue;
            }
            let asked = known.asked.get(journal);
            if asked.is_some_and(|asked| asked.to >= from && self.links.contains_key(&asked.link)) {
                continue;
            }
            known.asked.insert(*journal, super::space::Asked { link, to, since_ms: now_ms });
            self.check_asked_at.get_or_insert(now_ms + ASK_MS);
            ranges.push(known.range(*journal, from, to));
        }
        if ranges.is_empty() && !answer {
            return;
        }
        self.note_asked(link, space, &ranges);
        let frames = ranges.len().div_ceil(FRAME_RANGES).max(1);
        for index in 0..frames {
            let chunk = ranges.iter().skip(index * FRAME_RANGES).take(FRAME_RANGES).copied().collect();
            self.send(link, &Frame::Want { handle, more: index + 1 < frames, ranges: chunk });
        }
    }

    /// Remembers what a peer is asked for: whose entries, and whose rest.
    pub(super) fn note_asked(&mut self, link: LinkId, space: SpaceId, ranges: &[Range]) {
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        for range in ranges {
            shared.elsewhere.asked(&range.journal.device);
            if let Of::Rest { hash, .. } = range.of
                && shared.rests.len() < RESTS_ASKED
            {
                shared.rests.insert(hash);
            }
        }
    }

    pub(super) fn on_want(&mut self, link: LinkId, space: SpaceId, more: bool, ranges: Vec<Range>) {
        let Some(known) = self.spaces.get(&space) else { return };
        let Some(state) = self.links.get_mut(&link) else { return };
        if !known.admits(state.device) {
            return self.fault(link, "asked for entries of a space of which it is not a member");
        }
        let Some(shared) = state.space_mut(space) else { return };
        let by_hash = ranges.iter().filter_map(|range| match range.of {
            Of::Entry(hash) => Some((range.journal, Position { seq: range.from, hash })),
            _ => None,
        });
        let room = FORK_CHECKS.saturating_sub(shared.by_hash.len());
        shared.by_hash.extend(by_hash.take(room));
        if !more && !ranges.is_empty() && ranges.iter().all(|range| matches!(range.of, Of::Entry(_))) {
            return self.serve(link); // A question by itself: it answers no frontier.
        }
        shared.want_in += ranges.len();
        if shared.want_in > JOURNALS {
            return self.fault(link, "asked for more journals than a space may have");
        }
        for range in ranges {
            let rest = match range.of {
                Of::Shown => None,
                Of::Rest { hash, offset } => Some((hash, offset)),
                Of::Branch(_) | Of::Entry(_) => continue,
            };
            let (durable, floor) =
                known.journals.get(&range.journal).map_or((0, 0), |journal| (journal.shown().seq, journal.state.floor));
            shared.elsewhere.lacks(range.journal.device, self.now.mono_ms);
            if range.from <= durable && range.from > floor {
                let wanted_to = range.to.min(durable);
                shared.todo.insert(range.journal, Outgoing { next: range.from, wanted_to, last_bulk: 0, rest });
            }
        }
        if !more {
            shared.they_lack_nothing = shared.want_in == 0;
            shared.want_in = 0;
            shared.streaming = true;
            self.serve(link);
            self.check_stuck(link, space);
        }
    }
}
