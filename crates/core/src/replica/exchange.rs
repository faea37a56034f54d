//! The exchange of one space on one link: compare, ask, stream.
//!
//! 1. Both send `State`. Equal digests: done, in one round trip.
//! 2. Otherwise both send `Frontier`: what changed since the other last had everything. Without such a number, all of it if
//!    that is little, and else what differs by the hash tree of journals ([`super::descent`]).
//! 3. Both answer with `Want`, even if empty; from then on new entries are pushed as they become durable.
//! 4. Who has everything that was offered sends `State` once more; equal digests end the exchange.

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use super::descent::Descent;
use super::link::Link;
use super::offer::Fetching;
use crate::breakage::Breakage;
use crate::checkpoint::{Attestation, SignedHead};
use crate::id::{CollectionTag, DeviceId, EntryHash, JournalId, Position, SpaceId, StoreId};
use crate::input::LinkId;
use crate::limits::{
    ASK_MS, FORK_CHECKS, FRAME_POSITIONS, FRAME_RANGES, FRAME_RECEIPTS, FRONTIER_BUDGET_BYTES, FRONTIER_BUDGET_MS,
    FRONTIER_BUDGET_TIMES, JOURNALS, RECEIPT_ENTRIES, RESTS_ASKED,
};
use crate::output::Event;
use crate::wire::{Attest, Fetch, Frame, Frontier, Handle, Held, Of, Offer, Range, RosterPosition, State, TreePath};

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

/// Where the exchange stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// States are being compared.
    Comparing,
    /// States differ, and the hash trees are being compared.
    Descending,
    /// Frontiers differ and are being made equal.
    Exchanging,
    /// Everything offered is here; the digests were compared again, or will be when the other side is done too.
    Streaming,
}

/// A space on a link.
#[derive(Debug)]
pub(super) struct SpaceLink {
    pub(super) space: SpaceId,
    pub(super) phase: Phase,
    /// What our last state said.
    sent: Option<Sent>,
    theirs: Option<State>,
    /// Whether the last frontier we sent was only what changed.
    sent_delta: bool,
    /// Set when what changed was not all that differs: arrival numbers do not count until the two agree.
    no_cursor: bool,
    pub(super) descent: Descent,
    in_sync: bool,
    pub(super) roster_busy: bool,
    pub(super) roster_rounds: u8,
    pub(super) roster_in: Vec<RosterPosition>,
    frontier_in: Vec<Held>,
    want_in: usize,
    /// Whether their answer to our frontier asked for nothing.
    they_lack_nothing: bool,
    /// Their frontier came: its arrival number, which becomes our cursor when nothing of it is lacking.
    cursor: Option<u64>,
    lacking: BTreeSet<JournalId>,
    /// How far the peer is known to hold journals, as it offered or sent them.
    pub(super) offered: BTreeMap<JournalId, u64>,
    /// How far it has receipted ours.
    pub(super) receipted: BTreeMap<JournalId, u64>,
    /// Up to where it does not hold journals that it offered: a checkpoint stands for these entries.
    pub(super) floors: BTreeMap<JournalId, u64>,
    /// Checkpoints that it offered, and what it is being sent of one.
    pub(super) offers: BTreeMap<CollectionTag, (SignedHead, Vec<Attestation>)>,
    pub(super) fetching: Option<Fetching>,
    /// Whether the peer has said what it lacks, so that entries may be sent.
    pub(super) streaming: bool,
    pub(super) todo: BTreeMap<JournalId, Outgoing>,
    /// Entries that it asked for by hash.
    pub(super) by_hash: BTreeSet<(JournalId, Position)>,
    /// Entries whose rest it was asked for: it may send it although it has come from elsewhere meanwhile.
    pub(super) rests: BTreeSet<EntryHash>,
    /// The journal that was served last.
    pub(super) turn: Option<JournalId>,
    owed: BTreeMap<JournalId, u64>,
    /// Bytes of roster operations sent in answer, over the life of the link.
    pub(super) roster_sent: usize,
    /// Bytes of frontiers sent since this time in milliseconds.
    frontier_sent: (u64, usize),
}

/// What a peer is still to be sent of a journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing {
    pub(super) next: u64,
    /// Up to here it asked; beyond it is pushed.
    pub(super) wanted_to: u64,
    /// The last entry that went on the bulk stream: the next may only change streams when that one is receipted.
    pub(super) last_bulk: u64,
    /// Of the next entry, if it has this hash, the peer has the bytes before this offset.
    pub(super) rest: Option<(EntryHash, u32)>,
}

/// What was true when a state was sent.
#[derive(Debug, Clone)]
struct Sent {
    roster: [u8; 32],
    frontier: [u8; 32],
    few: bool,
    arrival: u64,
    /// Up to which of the peer's arrival numbers we have everything.
    seen: Option<u64>,
    own: Vec<(CollectionTag, u64)>,
}

impl SpaceLink {
    pub(super) fn new(space: SpaceId) -> SpaceLink {
        SpaceLink {
            space,
            phase: Phase::Comparing,
            sent: None,
            theirs: None,
            sent_delta: false,
            no_cursor: false,
            descent: Descent::default(),
            in_sync: false,
            roster_busy: false,
            roster_rounds: 0,
            roster_in: Vec::new(),
            frontier_in: Vec::new(),
            want_in: 0,
            they_lack_nothing: false,
            cursor: None,
            lacking: BTreeSet::new(),
            offered: BTreeMap::new(),
            receipted: BTreeMap::new(),
            floors: BTreeMap::new(),
            offers: BTreeMap::new(),
            fetching: None,
            streaming: false,
            todo: BTreeMap::new(),
            by_hash: BTreeSet::new(),
            rests: BTreeSet::new(),
            turn: None,
            owed: BTreeMap::new(),
            roster_sent: 0,
            frontier_sent: (0, 0),
        }
    }

    /// Starts comparing anew; what is being streamed goes on.
    fn restart(&mut self) {
        self.phase = Phase::Comparing;
        self.sent = None;
        self.theirs = None;
        self.in_sync = false;
        self.roster_busy = false;
        self.frontier_in.clear();
        self.descent = Descent::default();
    }

    /// An entry became durable after our last state or frontier.
    pub(super) fn new_entry(&mut self, journal: JournalId, seq: u64) {
        if self.sent.is_some() && self.receipted.get(&journal).is_none_or(|held| *held < seq) {
            self.todo.entry(journal).or_insert(Outgoing { next: seq, wanted_to: 0, last_bulk: 0, rest: None });
        }
    }

    pub(super) fn quiet(&self) -> bool {
        self.in_sync && self.todo.is_empty() && self.lacking.is_empty()
    }

    /// The roster digest that our last state showed.
    pub(super) fn said_roster(&self) -> Option<[u8; 32]> {
        self.sent.as_ref().map(|sent| sent.roster)
    }

    /// How far a journal can be asked for here from this entry on; `None` if not at all.
    pub(super) fn offers_from(&self, journal: &JournalId, from: u64) -> Option<u64> {
        let floor = self.floors.get(journal).copied().unwrap_or(0);
        self.offered.get(journal).copied().filter(|to| *to >= from && floor < from)
    }

    pub(super) fn lacking(&self) -> usize {
        self.lacking.len()
    }

    pub(super) fn lacking_journals(&self) -> Vec<JournalId> {
        self.lacking.iter().copied().collect()
    }
}

impl Replica {
    /// Says where this device stands; `fresh` asks the other side to say so too.
    pub(super) fn send_state(&mut self, link: LinkId, space: SpaceId, fresh: bool) {
        let (me, incarnation) = (self.device(), self.identity.incarnation);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(state) = self.links.get_mut(&link) else { return };
        let (Some(device), Some(handle)) = (state.device, state.handle(space)) else { return };
        let Some(store) = state.their_store() else { return };
        let Some(shared) = state.space_mut(space) else { return };
        let frontier = known.tree.digest();
        let own = known
            .journals
            .iter()
            .filter(|(id, _)| id.device == me && id.incarnation == incarnation)
            .map(|(id, journal)| (id.collection, journal.durable.seq));
        let peer = known.peers.get(&device).filter(|peer| peer.store == Some(store) && !shared.no_cursor);
        let sent = Sent {
            roster: known.roster.digest(),
            frontier,
            few: known.tree.journals() <= FRAME_POSITIONS,
            arrival: known.durable_arrival,
            seen: peer.map(|peer| peer.seen),
            own: own.collect(),
        };
        let frame = Frame::State(State {
            handle,
            fresh,
            roster: sent.roster,
            frontier: sent.frontier,
            few: sent.few,
            arrival: sent.arrival,
            seen_store: if sent.seen.is_some() { store } else { StoreId([0; 16]) },
            seen: sent.seen.unwrap_or(0),
        });
        if shared.phase == Phase::Comparing {
            shared.todo.clear();
        }
        shared.sent = Some(sent);
        self.send(link, &frame);
        self.compare(link, space);
    }

    /// Every space on every link that shares it.
    pub(super) fn shared_spaces(&self) -> Vec<(LinkId, SpaceId)> {
        let links = self.links.iter();
        links.flat_map(|(link, state)| state.spaces.values().map(|shared| (*link, shared.space))).collect()
    }

    /// Starts the exchange again on every link.
    pub(super) fn sync_now(&mut self) {
        for (link, space) in self.shared_spaces() {
            self.restart_exchange(link, space);
        }
    }

    /// What was asked on this link before the exchange starts anew is asked again by it: the other side forgets.
    fn forget_asked(&mut self, link: LinkId, space: SpaceId) {
        if let Some(known) = self.spaces.get_mut(&space) {
            known.asked.retain(|_, asked| asked.link != link);
        }
    }

    pub(super) fn restart_exchange(&mut self, link: LinkId, space: SpaceId) {
        self.forget_asked(link, space);
        if let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) {
            shared.restart();
            self.send_state(link, space, true);
        }
    }

    /// Frames about a space that both sides have found.
    pub(super) fn on_space_frame(&mut self, link: LinkId, frame: Frame) {
        let handle = match &frame {
            Frame::State(State { handle, .. })
            | Frame::Frontier(Frontier { handle, .. })
            | Frame::RosterHave { handle, .. }
            | Frame::RosterOp { handle, .. }
            | Frame::RosterEnd { handle }
            | Frame::Want { handle, .. }
            | Frame::Tree { handle, .. }
            | Frame::Receipt { handle, .. }
            | Frame::Checkpoint(Offer { handle, .. })
            | Frame::Fetch(Fetch { handle, .. })
            | Frame::Attest(Attest { handle, .. })
            | Frame::Peers { handle, .. } => *handle,
            _ => return self.fault(link, "sent a frame out of turn"),
        };
        let Some(space) = self.shared_space(link, handle) else {
            return; // The two found the space at different moments; the sender's next state starts again.
        };
        match frame {
            Frame::State(state) => self.on_state(link, space, state),
            Frame::Frontier(frontier) => self.on_frontier(link, space, frontier),
            Frame::RosterHave { more, positions, .. } => self.on_roster_have(link, space, more, positions),
            Frame::RosterOp { bytes, .. } => self.on_roster_op(link, space, &bytes),
            Frame::RosterEnd { .. } => self.on_roster_end(link, space),
            Frame::Want { more, ranges, .. } => self.on_want(link, space, more, ranges),
            Frame::Tree { more, places, .. } => self.on_tree(link, space, more, places),
            Frame::Receipt { positions, .. } => self.on_receipt(link, space, positions),
            Frame::Peers { peers, .. } => self.on_hints(link, space, peers),
            Frame::Checkpoint(offer) => self.on_offer(link, space, offer),
            Frame::Fetch(fetch) => self.on_fetch(link, space, fetch),
            Frame::Attest(attest) => self.on_attest(link, space, attest),
            _ => {}
        }
    }

    pub(super) fn shared_space(&self, link: LinkId, handle: Handle) -> Option<SpaceId> {
        Some(self.links.get(&link)?.spaces.get(&handle)?.space)
    }

    fn on_state(&mut self, link: LinkId, space: SpaceId, theirs: State) {
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        if theirs.fresh && shared.phase != Phase::Comparing {
            shared.restart();
            shared.theirs = Some(theirs);
            self.forget_asked(link, space);
            return self.send_state(link, space, false);
        }
        shared.theirs = Some(theirs);
        self.compare(link, space);
    }

    /// Both states are here: decides what is next.
    fn compare(&mut self, link: LinkId, space: SpaceId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let (Some(device), Some(store)) = (state.device, state.their_store()) else { return };
        let Some(shared) = state.space_mut(space) else { return };
        let (Some(sent), Some(theirs)) = (shared.sent.clone(), shared.theirs) else { return };
        if sent.roster != theirs.roster {
            return self.start_roster_exchange(link, space);
        }
        shared.roster_rounds = 0;
        self.send_hints(link, space);
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        if sent.frontier == theirs.frontier {
            // Whoever has the key and is no member can echo a state; entries are for members.
            let known = self.spaces.get(&space);
            shared.streaming = known.is_some_and(|known| known.roster.role_of(&device).is_some());
            shared.phase = Phase::Streaming;
            shared.lacking.clear();
            self.now_in_sync(link, space, device, store, &sent, theirs.arrival);
            return self.serve(link);
        }
        match shared.phase {
            Phase::Comparing => self.start_exchange(link, space, &sent, &theirs),
            // What changed was exchanged and the digests still differ: what changed was not all.
            Phase::Streaming if shared.sent_delta => self.compare_whole(link, space),
            Phase::Descending | Phase::Exchanging | Phase::Streaming => {}
        }
    }

    /// The frontiers differ. Both sides decide alike, from what the two states say.
    fn start_exchange(&mut self, link: LinkId, space: SpaceId, sent: &Sent, theirs: &State) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let first = state.device.is_some_and(|device| self.identity.device < device);
        let Some(shared) = state.space_mut(space) else { return };
        let seen_by_them = (theirs.seen_store == self.identity.store).then_some(theirs.seen);
        let usable = |seen: Option<u64>, arrival: u64| seen.is_some_and(|seen| 0 < seen && seen <= arrival);
        let cursors = usable(seen_by_them, sent.arrival) && usable(sent.seen, theirs.arrival);
        if cursors || sent.few || theirs.few {
            shared.phase = Phase::Exchanging;
            let since = if cursors { theirs.seen } else { 0 };
            return self.send_frontier(link, space, Reach::Since(since));
        }
        shared.phase = Phase::Descending;
        if first {
            self.start_descent(link, space);
        }
    }

    /// Starts again without regard to arrival numbers: they do not tell all that differs.
    fn compare_whole(&mut self, link: LinkId, space: SpaceId) {
        if let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) {
            (shared.no_cursor, shared.sent_delta) = (true, false);
        }
        self.restart_exchange(link, space);
    }

    fn now_in_sync(
        &mut self,
        link: LinkId,
        space: SpaceId,
        device: DeviceId,
        store: StoreId,
        sent: &Sent,
        arrival: u64,
    ) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let peer = known.peers.entry(device).or_default();
        let before = peer.clone();
        (peer.store, peer.seen) = (Some(store), arrival);
        for (collection, seq) in &sent.own {
            let receipt = peer.receipts.entry(*collection).or_default();
            *receipt = (*receipt).max(*seq);
        }
        peer.dirty |= before != *peer;
        if peer.dirty {
            self.peer_changed();
        }
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        shared.no_cursor = false;
        if !std::mem::replace(&mut shared.in_sync, true) {
            self.notify(Event::InSync { space, device });
            if self.seeks_attestation(space) {
                self.send_offers(link, space);
            }
        }
    }

    /// Counts what a peer makes this device send in comparing; one that goes on without end is faulted.
    pub(super) fn charge_comparing(&mut self, link: LinkId, space: SpaceId, bytes: usize) -> bool {
        let Some(known) = self.spaces.get(&space) else { return false };
        let now_ms = self.now.mono_ms;
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return false };
        if now_ms.saturating_sub(shared.frontier_sent.0) >= FRONTIER_BUDGET_MS {
            shared.frontier_sent = (now_ms, 0);
        }
        shared.frontier_sent.1 += bytes;
        let allowed = FRONTIER_BUDGET_BYTES + known.journals.len() * POSITION_BYTES * FRONTIER_BUDGET_TIMES;
        if shared.frontier_sent.1 > allowed {
            self.fault(link, "compared over and over without taking what it lacks");
            return false;
        }
        true
    }

    pub(super) fn send_frontier(&mut self, link: LinkId, space: SpaceId, reach: Reach) {
        let said = self.links.get(&link).and_then(|state| state.space(space)).and_then(|shared| shared.sent.as_ref());
        let said_arrival = said.map_or(0, |sent| sent.arrival);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let (positions, delta) = match reach {
            Reach::Since(since) => (known.frontier_since(since), since > 0),
            Reach::Under(places) => {
                let mut all: BTreeMap<_, _> = known.frontier_since(said_arrival).into_iter().collect();
                places.into_iter().for_each(|place| all.extend(known.tree.under(place)));
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
        }
        let frames = positions.len().div_ceil(FRAME_POSITIONS).max(1);
        for index in 0..frames {
            let chunk = positions.iter().skip(index * FRAME_POSITIONS).take(FRAME_POSITIONS).copied().collect();
            let more = index + 1 < frames;
            self.send(link, &Frame::Frontier(Frontier { handle, answer: true, more, arrival, positions: chunk }));
        }
    }

    fn on_frontier(&mut self, link: LinkId, space: SpaceId, frontier: Frontier) {
        let (me, incarnation) = (self.device(), self.identity.incarnation);
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        shared.frontier_in.extend(frontier.positions);
        if shared.frontier_in.len() > JOURNALS {
            return self.fault(link, "offered more journals than a space may have");
        }
        if frontier.more {
            return;
        }
        // Of further branches this build keeps nothing but the proof.
        let held: Vec<Held> =
            std::mem::take(&mut shared.frontier_in).into_iter().filter(|held| held.branch.is_none()).collect();
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
        let journals: Vec<JournalId> = positions.iter().map(|(journal, _)| *journal).collect();
        self.want(link, space, &journals, frontier.answer);
        self.compare_branches(link, space, &positions);
        self.on_receipt(link, space, receipts);
        self.check_caught_up(link, space);
    }

    /// Asks for what a peer offered and nobody was asked for yet; with `answer` even an empty question is sent.
    fn want(&mut self, link: LinkId, space: SpaceId, journals: &[JournalId], answer: bool) {
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
        self.note_rests(link, space, &ranges);
        let frames = ranges.len().div_ceil(FRAME_RANGES).max(1);
        for index in 0..frames {
            let chunk = ranges.iter().skip(index * FRAME_RANGES).take(FRAME_RANGES).copied().collect();
            self.send(link, &Frame::Want { handle, more: index + 1 < frames, ranges: chunk });
        }
    }

    /// Remembers whose rest a peer is asked for.
    pub(super) fn note_rests(&mut self, link: LinkId, space: SpaceId, ranges: &[Range]) {
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        for range in ranges {
            if let Of::Rest { hash, .. } = range.of
                && shared.rests.len() < RESTS_ASKED
            {
                shared.rests.insert(hash);
            }
        }
    }

    fn on_want(&mut self, link: LinkId, space: SpaceId, more: bool, ranges: Vec<Range>) {
        let Some(known) = self.spaces.get(&space) else { return };
        let Some(state) = self.links.get_mut(&link) else { return };
        let member = state.device.is_some_and(|device| known.roster.role_of(&device).is_some());
        if !member {
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
        }
    }

    /// Everything that a peer offered is here: the cursor moves, and the digests are compared once more.
    fn check_caught_up(&mut self, link: LinkId, space: SpaceId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let (Some(device), Some(store)) = (state.device, state.their_store()) else { return };
        let Some(shared) = state.space_mut(space) else { return };
        let Some(cursor) = shared.cursor.filter(|_| shared.lacking.is_empty()) else { return };
        shared.cursor = None;
        let first = shared.phase == Phase::Exchanging;
        shared.phase = Phase::Streaming;
        if let Some(known) = self.spaces.get_mut(&space) {
            let peer = known.peers.entry(device).or_default();
            if (peer.store, peer.seen) != (Some(store), cursor) {
                (peer.store, peer.seen, peer.dirty) = (Some(store), cursor, true);
                self.peer_changed();
            }
        }
        if first && !self.said_it_all(link, space) {
            return self.send_state(link, space, false);
        }
        self.check_stuck(link, space);
    }

    /// Whether our last state still says where this device stands: then there is no need to say it again.
    fn said_it_all(&mut self, link: LinkId, space: SpaceId) -> bool {
        let Some(known) = self.spaces.get_mut(&space) else { return true };
        let now = (known.tree.digest(), known.roster.digest());
        let sent = self.links.get(&link).and_then(|state| state.space(space)).and_then(|shared| shared.sent.as_ref());
        sent.is_some_and(|sent| (sent.frontier, sent.roster) == now)
    }

    /// Neither side lacks anything of what changed, and still the digests differ: what changed was not all. Once, all of it.
    fn check_stuck(&mut self, link: LinkId, space: SpaceId) {
        let Some(shared) = self.links.get(&link).and_then(|state| state.space(space)) else { return };
        let stuck =
            shared.phase == Phase::Streaming && shared.sent_delta && shared.they_lack_nothing && !shared.in_sync;
        if stuck && self.said_it_all(link, space) {
            self.compare_whole(link, space);
        }
    }

    fn on_receipt(&mut self, link: LinkId, space: SpaceId, positions: Vec<(JournalId, u64)>) {
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
            if journal.device == me && journal.incarnation == incarnation {
                let peer = known.peers.entry(device).or_default();
                let receipt = peer.receipts.entry(journal.collection).or_default();
                if *receipt < seq {
                    *receipt = seq;
                    peer.dirty = true;
                    self.peer_changed();
                    self.notify(Event::Receipted { space, device, collection: journal.collection, seq });
                }
            }
        }
        self.serve(link);
    }

    /// A peer holds a journal this far: it need not be sent.
    pub(super) fn peer_holds(&mut self, link: LinkId, space: SpaceId, (journal, seq): (JournalId, u64)) {
        if let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) {
            let known = shared.receipted.entry(journal).or_default();
            *known = (*known).max(seq);
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
