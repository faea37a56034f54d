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
use super::frontier::Reach;
use super::mesh::Elsewhere;
use super::offer::Fetching;
use super::scope::{Scopes, tree_of};
use crate::checkpoint::{Attestation, SignedHead};
use crate::id::{CollectionTag, DeviceId, EntryHash, JournalId, Position, SpaceId, StoreId};
use crate::input::LinkId;
use crate::limits::FRAME_POSITIONS;
use crate::output::Event;
use crate::wire::{Attest, Fetch, Frame, Frontier, Handle, Held, Offer, RosterPosition, State};

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
    pub(super) sent: Option<Sent>,
    pub(super) theirs: Option<State>,
    /// Whether the last frontier we sent was only what changed.
    pub(super) sent_delta: bool,
    /// Set when what changed was not all that differs: arrival numbers do not count until the two agree.
    pub(super) no_cursor: bool,
    pub(super) scopes: Scopes,
    pub(super) descent: Descent,
    pub(super) in_sync: bool,
    pub(super) roster_busy: bool,
    pub(super) roster_rounds: u8,
    pub(super) roster_in: Vec<RosterPosition>,
    pub(super) frontier_in: Vec<Held>,
    pub(super) want_in: usize,
    /// Whether their answer to our frontier asked for nothing.
    pub(super) they_lack_nothing: bool,
    /// Their frontier came: its arrival number, which becomes our cursor when nothing of it is lacking.
    pub(super) cursor: Option<u64>,
    pub(super) lacking: BTreeSet<JournalId>,
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
    /// What is not sent because the peer has it from elsewhere.
    pub(super) elsewhere: Elsewhere,
    /// Entries that it asked for by hash.
    pub(super) by_hash: BTreeSet<(JournalId, Position)>,
    /// Entries whose rest it was asked for: it may send it although it has come from elsewhere meanwhile.
    pub(super) rests: BTreeSet<EntryHash>,
    /// The journal that was served last.
    pub(super) turn: Option<JournalId>,
    pub(super) owed: BTreeMap<JournalId, u64>,
    /// Entries that were sent and not yet receipted, nor shown to be there.
    pub(super) unreceipted: BTreeMap<JournalId, u64>,
    pub(super) spent: Spent,
}

/// What a peer has made this device do, which starts anew with no new beginning of an exchange.
#[derive(Debug, Clone, Default)]
pub(super) struct Spent {
    /// Bytes of roster operations sent in answer, over the life of the link.
    pub(super) roster_bytes: usize,
    /// Bytes of frontiers sent since this time in milliseconds.
    pub(super) frontier_bytes: (u64, usize),
    /// Scopes heard since this time in milliseconds.
    pub(super) scopes: (u64, u32),
    /// Number of the last scope that was said.
    pub(super) scope: u8,
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
pub(super) struct Sent {
    pub(super) roster: [u8; 32],
    pub(super) frontier: [u8; 32],
    pub(super) few: bool,
    pub(super) arrival: u64,
    /// Up to which of the peer's arrival numbers we have everything.
    pub(super) seen: Option<u64>,
    pub(super) own: Vec<(CollectionTag, u64)>,
}

impl SpaceLink {
    pub(super) fn new(space: SpaceId, scopes: Scopes, spent: Spent) -> SpaceLink {
        SpaceLink {
            space,
            phase: Phase::Comparing,
            sent: None,
            theirs: None,
            sent_delta: false,
            no_cursor: false,
            scopes,
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
            elsewhere: Elsewhere::default(),
            by_hash: BTreeSet::new(),
            rests: BTreeSet::new(),
            turn: None,
            owed: BTreeMap::new(),
            unreceipted: BTreeMap::new(),
            spent,
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

    /// An entry became durable after our last state or frontier; whether it is held back.
    pub(super) fn new_entry(&mut self, journal: JournalId, seq: u64) -> bool {
        let new = self.receipted.get(&journal).is_none_or(|held| *held < seq);
        if self.sent.is_some() && new && self.scopes.agreed(&journal) {
            if !self.todo.contains_key(&journal) && self.elsewhere.holds_back(journal) {
                return true;
            }
            self.todo.entry(journal).or_insert(Outgoing { next: seq, wanted_to: 0, last_bulk: 0, rest: None });
        }
        false
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
        let tree = tree_of(shared, known);
        let (frontier, few) = (tree.digest(), tree.journals() <= FRAME_POSITIONS);
        let own = known
            .journals
            .iter()
            .filter(|(id, _)| id.device == me && id.incarnation == incarnation && shared.scopes.agreed(id))
            .map(|(id, journal)| (id.collection, journal.durable.seq));
        let peer = known.peers.get(&device).filter(|_| !shared.no_cursor);
        let sent = Sent {
            roster: known.roster.digest(),
            frontier,
            few,
            arrival: known.durable_arrival,
            seen: peer.and_then(|peer| peer.seen(store, shared.scopes.digest())),
            own: own.collect(),
        };
        let frame = Frame::State(State {
            handle,
            fresh,
            scope: shared.scopes.heard,
            roster: sent.roster,
            frontier: sent.frontier,
            few: sent.few,
            arrival: sent.arrival,
            seen_store: if sent.seen.is_some() { store } else { StoreId([0; 16]) },
            seen: sent.seen.unwrap_or(0),
        });
        if shared.phase == Phase::Comparing {
            shared.todo.clear();
            shared.elsewhere.all_settled();
        }
        let begins = shared.sent.replace(sent).is_none();
        self.send(link, &frame);
        if begins {
            self.notify(Event::SyncStarted { space, device });
        }
        self.compare(link, space);
    }

    /// Every space on every link that shares it.
    pub(super) fn shared_spaces(&self) -> Vec<(LinkId, SpaceId)> {
        let links = self.links.iter();
        links.flat_map(|(link, state)| state.spaces.values().map(|shared| (*link, shared.space))).collect()
    }

    /// What was asked on this link before the exchange starts anew is asked again by it: the other side forgets.
    pub(super) fn forget_asked(&mut self, link: LinkId, space: SpaceId) {
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
            | Frame::Scope { handle, .. }
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
            Frame::Scope { number, more, rest, ranks, .. } => self.on_scope(link, space, number, more, (rest, ranks)),
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

    pub(super) fn on_state(&mut self, link: LinkId, space: SpaceId, theirs: State) {
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        if theirs.scope != shared.scopes.number {
            return; // It does not know yet what this side wants, and will say another one when it does.
        }
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
    pub(super) fn compare(&mut self, link: LinkId, space: SpaceId) {
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
            shared.streaming = known.is_some_and(|known| known.admits(Some(device)));
            shared.phase = Phase::Streaming;
            shared.lacking.clear();
            self.now_in_sync(link, space, device, store, &sent, theirs.arrival);
            return self.serve(link);
        }
        match shared.phase {
            Phase::Comparing => self.start_exchange(link, space, &sent, &theirs),
            Phase::Streaming => self.compare_after(link, space, theirs.frontier),
            Phase::Descending | Phase::Exchanging => {}
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

    /// The states differ after what was offered is here.
    fn compare_after(&mut self, link: LinkId, space: SpaceId, theirs: [u8; 32]) {
        let said_it_all = self.said_it_all(link, space);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        if said_it_all {
            if shared.sent_delta {
                // What changed was exchanged and the digests still differ: what changed was not all.
                self.compare_whole(link, space);
            }
        } else if tree_of(shared, known).digest() == theirs {
            self.send_state(link, space, false); // Entries have come since, and made the two equal.
        }
    }

    /// Starts again without regard to arrival numbers: they do not tell all that differs.
    pub(super) fn compare_whole(&mut self, link: LinkId, space: SpaceId) {
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
        let Some(shared) = self.links.get(&link).and_then(|state| state.space(space)) else { return };
        let (agreed, theirs) = (shared.scopes.digest(), shared.scopes.theirs.clone());
        self.peer_wants(device, space, theirs);
        // Whoever has a key and is no member can echo a state: nothing is kept of it, and it brings nobody into sync.
        let Some(known) = self.spaces.get_mut(&space).filter(|known| known.admits(Some(device))) else { return };
        known.settled = true;
        let peer = known.peers.entry(device).or_default();
        let before = peer.clone();
        peer.has_seen(store, agreed, arrival);
        let mut grown = Vec::new();
        for (collection, seq) in &sent.own {
            let receipt = peer.receipts.entry(*collection).or_default();
            if *receipt < *seq {
                grown.push((*collection, *seq, *seq - *receipt));
                *receipt = *seq;
            }
        }
        peer.dirty |= before != *peer;
        if peer.dirty {
            self.peer_changed();
        }
        for (collection, seq, newly) in grown {
            self.notify(Event::Receipted { space, device, collection, seq, newly });
        }
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        shared.no_cursor = false;
        if !std::mem::replace(&mut shared.in_sync, true) {
            self.notify(Event::InSync { space, device });
            if self.seeks_attestation(space) {
                self.send_offers(link, space);
            }
            for collection in self.one_sided(link, space) {
                self.ask_what_it_builds_on(space, collection);
            }
            self.end_manual(space);
        }
    }
}
