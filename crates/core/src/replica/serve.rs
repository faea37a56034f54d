//! Sending entries: within credit, the most urgent collections first, their journals in turn, live before bulk.

use std::ops::Bound;
use std::sync::Arc;

use super::exchange::{Outgoing, SpaceLink};
use super::link::Credit;
use super::space::Source;
use super::{LoadPurpose, Replica};
use crate::batch::Load;
use crate::breakage::Breakage;
use crate::entry::Entry;
use crate::id::{EntryHash, JournalId, Position, SpaceId};
use crate::input::{Class, LinkId};
use crate::limits::{ANNOUNCE_BYTES, FRAME_POSITIONS, LIVE_FRAME_BYTES};
use crate::wire::{self, Frame, Frontier, Handle, Held, Rank};

/// A handle and the frame's own fields, in bytes.
const ENTRY_OVERHEAD: usize = 1 + 8;
const PART_OVERHEAD: usize = 1 + 8 + 32 + 4 + 4;

/// What to do next for a link.
enum Next {
    Send { space: SpaceId, journal: JournalId, seq: u64 },
    Load { space: SpaceId, journal: JournalId, from: u64, to: u64 },
    LoadOne { space: SpaceId, journal: JournalId, position: Position },
    Nothing,
}

/// Whether something less urgent may use a stream.
struct Open {
    live: bool,
    bulk: bool,
}

impl Open {
    fn of(&mut self, class: Class) -> &mut bool {
        match class {
            Class::Bulk => &mut self.bulk,
            Class::Live | Class::Ctl => &mut self.live,
        }
    }
}

impl Replica {
    /// Sends what a link's peer lacks, as far as its credit goes.
    pub(super) fn serve(&mut self, link: LinkId) {
        loop {
            match self.next_for(link) {
                Next::Nothing => return self.serve_checkpoint(link),
                Next::Send { space, journal, seq } => {
                    let Some(entry) = self.recent.get(space, journal, seq) else { return };
                    let bytes = Arc::clone(&entry);
                    if !self.send_entry(link, space, journal, entry.position(), bytes.as_bytes()) {
                        return;
                    }
                }
                Next::Load { space, journal, from, to } => {
                    let Some(state) = self.links.get_mut(&link) else { return };
                    state.loading = true;
                    let limit_bytes = usize::try_from(state.credit.bulk).unwrap_or(usize::MAX).clamp(1, 256 << 10);
                    let journals = self.spaces.get(&space).map(|known| &known.journals);
                    let skip = journals.and_then(|all| all.get(&journal)).map_or(Position::START, |j| j.state.fork);
                    let load = Load::Entries { space, journal, from, to, limit_bytes, skip };
                    return self.load(load, LoadPurpose::Serve { link, space, journal });
                }
                Next::LoadOne { space, journal, position } => {
                    let Some(state) = self.links.get_mut(&link) else { return };
                    state.loading = true;
                    let load = Load::Entry { space, journal, position };
                    return self.load(load, LoadPurpose::ServeOne { link, space, journal, position });
                }
            }
        }
    }

    pub(super) fn serve_loaded(
        &mut self,
        link: LinkId,
        space: SpaceId,
        journal: JournalId,
        entries: Vec<(Position, Vec<u8>)>,
    ) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.loading = false;
        if entries.is_empty()
            && let Some(shared) = state.space_mut(space)
        {
            // A damaged store: what it has lost cannot be sent, and asking it again would never end.
            shared.todo.remove(&journal);
        }
        for (position, bytes) in entries {
            // Our own store's bytes: the header says which journal they are of.
            let Ok(entry) = Entry::decode(bytes) else { break };
            let journal = entry.header.journal;
            let due = self.links.get(&link).and_then(|state| state.space(space)).and_then(|s| s.todo.get(&journal));
            if due.is_none_or(|out| out.next != position.seq) {
                continue;
            }
            if !self.send_entry(link, space, journal, position, entry.as_bytes()) {
                self.recent.put(space, Arc::new(entry));
                return;
            }
        }
        self.serve(link);
    }

    /// Sends an entry that was asked for by its hash, if it is here and credit allows; else it is tried again when credit comes.
    pub(super) fn serve_one(
        &mut self,
        link: LinkId,
        space: SpaceId,
        journal: JournalId,
        position: Position,
        entries: Vec<(Position, Vec<u8>)>,
    ) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.loading = false;
        let Some(handle) = state.handle(space) else { return };
        for (_, bytes) in entries {
            if !self.charge(link, Class::Bulk, bytes.len()) {
                return;
            }
            self.transmit(link, handle, Class::Bulk, position.hash, &bytes, 0);
        }
        if let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) {
            shared.by_hash.remove(&(journal, position));
        }
        self.serve(link);
    }

    /// Finds the next entry to send, journals of equally urgent collections taking turns; those asked for by hash come first.
    fn next_for(&mut self, link: LinkId) -> Next {
        let Some(state) = self.links.get_mut(&link) else { return Next::Nothing };
        if state.loading {
            return Next::Nothing;
        }
        let asked =
            |shared: &SpaceLink| shared.by_hash.first().map(|(journal, position)| (shared.space, *journal, *position));
        if state.credit.bulk >= Credit::window(Class::Bulk) / 2
            && let Some((space, journal, position)) = state.spaces.values().find_map(asked)
        {
            return Next::LoadOne { space, journal, position };
        }
        // The most urgent first, of whatever space. What waits for credit is not overtaken by what is less urgent.
        let mut open = Open { live: true, bulk: true };
        for rank in Rank::ALL {
            let (next, announce) = self.next_of_rank(link, rank, &mut open);
            for (space, id) in announce {
                self.announce(link, space, &[id]);
            }
            if !matches!(next, Next::Nothing) {
                return next;
            }
        }
        Next::Nothing
    }

    /// The next entry of the collections of one rank, and what is to be announced of them instead.
    fn next_of_rank(&mut self, link: LinkId, rank: Rank, open: &mut Open) -> (Next, Vec<(SpaceId, JournalId)>) {
        let me = self.identity.device;
        let mut announce: Vec<(SpaceId, JournalId)> = Vec::new();
        let Some(state) = self.links.get_mut(&link) else { return (Next::Nothing, announce) };
        let mut waits = Open { live: false, bulk: false };
        for shared in state.spaces.values_mut().filter(|shared| shared.streaming) {
            let Some(known) = self.spaces.get(&shared.space) else { continue };
            let turn = shared.turn;
            let after = shared.todo.range((turn.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
            let of_rank = |id: &&JournalId| shared.scopes.rank(&id.collection) == rank;
            let order: Vec<JournalId> =
                after.chain(shared.todo.iter()).map(|(id, _)| id).filter(of_rank).copied().collect();
            for id in order {
                let Some(out) = shared.todo.get_mut(&id) else { continue };
                let (durable, floor) =
                    known.journals.get(&id).map_or((0, 0), |journal| (journal.shown().seq, journal.state.floor));
                let held = shared.receipted.get(&id).copied().unwrap_or(0);
                out.next = out.next.max(held + 1);
                if out.next > durable || out.next <= floor {
                    shared.todo.remove(&id);
                    continue;
                }
                let recent = self.recent.get(shared.space, id, out.next);
                let small = recent.as_ref().is_some_and(|entry| entry.as_bytes().len() <= ANNOUNCE_BYTES);
                if id.device != me && out.next > out.wanted_to && !small {
                    announce.push((shared.space, id));
                    shared.todo.remove(&id);
                    continue;
                }
                let class = class_of(out, held, recent.as_ref().map(|entry| entry.as_bytes().len()));
                let length = recent.as_ref().map_or(1, |entry| entry.as_bytes().len() as u64);
                let credit = *state.credit.of(class);
                if (credit < length && credit < Credit::full(class)) || !*open.of(class) {
                    *waits.of(class) = true;
                    continue;
                }
                shared.turn = Some(id);
                let next = match recent {
                    Some(_) => Next::Send { space: shared.space, journal: id, seq: out.next },
                    None => Next::Load { space: shared.space, journal: id, from: out.next, to: durable },
                };
                return (next, announce);
            }
        }
        (open.live, open.bulk) = (open.live && !waits.live, open.bulk && !waits.bulk);
        (Next::Nothing, announce)
    }

    /// Says how far journals are held, instead of sending what the peer may have from elsewhere.
    pub(super) fn announce(&mut self, link: LinkId, space: SpaceId, journals: &[JournalId]) {
        let (Some(known), Some(state)) = (self.spaces.get(&space), self.links.get(&link)) else { return };
        let Some(handle) = state.handle(space) else { return };
        let (floors, arrival) = (state.takes_checkpoints(), known.durable_arrival);
        let held = journals.iter().filter_map(|id| Some(known.held(*id, known.journals.get(id)?.shown(), floors)));
        let held: Vec<Held> = held.collect();
        for positions in held.chunks(FRAME_POSITIONS) {
            let positions = positions.to_vec();
            self.send(link, &Frame::Frontier(Frontier { handle, answer: false, more: false, arrival, positions }));
        }
    }

    /// Sends one entry, or what the peer lacks of it, if credit allows, and moves on to the next of its journal.
    fn send_entry(&mut self, link: LinkId, space: SpaceId, journal: JournalId, at: Position, bytes: &[u8]) -> bool {
        let Some(state) = self.links.get_mut(&link) else { return false };
        let Some(handle) = state.handle(space) else { return false };
        let Some(shared) = state.space_mut(space) else { return false };
        let held = shared.receipted.get(&journal).copied().unwrap_or(0);
        let Some(out) = shared.todo.get_mut(&journal) else { return false };
        let class = class_of(out, held, Some(bytes.len()));
        let rest = out.rest.filter(|(hash, offset)| *hash == at.hash && (*offset as usize) < bytes.len());
        let offset = rest.map_or(0, |(_, offset)| offset as usize);
        if !self.charge(link, class, bytes.len() - offset) {
            return false;
        }
        let shared = self.links.get_mut(&link).and_then(|state| state.space_mut(space));
        if let Some(shared) = shared
            && let Some(out) = shared.todo.get_mut(&journal)
        {
            (out.next, out.rest) = (at.seq + 1, None);
            if class == Class::Bulk {
                out.last_bulk = at.seq;
            }
            shared.unreceipted.insert(journal, at.seq);
        }
        if self.breaks(Breakage::DropFrame) && class == Class::Live && at.seq.is_multiple_of(5) {
            return true;
        }
        self.transmit(link, handle, class, at.hash, bytes, offset);
        true
    }

    /// Takes what an entry costs from the credit, if there is enough, or all that there can be.
    pub(super) fn charge(&mut self, link: LinkId, class: Class, length: usize) -> bool {
        let Some(state) = self.links.get_mut(&link) else { return false };
        let length = length as u64;
        let credit = state.credit.of(class);
        if *credit < length && *credit < Credit::full(class) {
            return false;
        }
        *credit = credit.saturating_sub(length);
        true
    }

    /// Puts an entry on its stream, whole or in parts, or what of it begins at an offset.
    fn transmit(&mut self, link: LinkId, handle: Handle, class: Class, hash: EntryHash, bytes: &[u8], from: usize) {
        if from == 0 && bytes.len() + ENTRY_OVERHEAD <= wire::cap(class) {
            let Some(state) = self.links.get_mut(&link) else { return };
            let takes_next = state.takes(wire::feature::NEXT);
            let sent = state.sent.entry(class).or_default();
            let short = if takes_next { sent.shorten(bytes) } else { None };
            sent.went(bytes, hash);
            let frame = match short {
                Some((after, rest)) => Frame::Next { handle, after, rest },
                None => Frame::Entry { handle, bytes: bytes.to_vec() },
            };
            return self.send_on(link, class, &frame);
        }
        let total = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut offset = from as u32;
        for part in bytes[from..].chunks(wire::cap(class) - PART_OVERHEAD) {
            self.send_on(link, class, &Frame::Part { handle, hash, total, offset, bytes: part.to_vec() });
            offset += part.len() as u32;
        }
    }

    pub(super) fn on_entry_frame(&mut self, link: LinkId, class: Class, handle: Handle, bytes: Vec<u8>) {
        let source = Source::new(link, class, bytes.len(), self.now.mono_ms);
        if !self.count_received(source) {
            return;
        }
        let entry = match Entry::decode(bytes) {
            Ok(entry) => entry,
            Err(error) => return self.fault(link, &format!("sent a malformed entry: {error}")),
        };
        if let Some(state) = self.links.get_mut(&link) {
            state.came.entry(class).or_default().went(entry.as_bytes(), entry.hash);
        }
        match self.shared_space(link, handle) {
            Some(space) => self.on_entry(space, source, entry),
            None => self.give_back_credit(source),
        }
    }

    /// Takes an entry that goes without what it has in common with the one before it.
    pub(super) fn on_next(&mut self, link: LinkId, class: Class, handle: Handle, after: [u8; 4], rest: &[u8]) {
        let came = self.links.get(&link).and_then(|state| state.came.get(&class));
        match came.and_then(|came| came.restore(after, rest)) {
            Some(bytes) => self.on_entry_frame(link, class, handle, bytes),
            // Not to be dropped: its sender takes it for received, and if none followed it nobody would ever miss it.
            None => self.fault(link, "sent an entry that follows none of those it sent lately"),
        }
    }
}

/// Entries that a peer catches up on go on the bulk stream; a journal changes over to live only when its last bulk entry is
/// receipted, because streams overtake one another.
pub(super) fn class_of(out: &Outgoing, receipted: u64, length: Option<usize>) -> Class {
    let small = length.is_some_and(|length| length + ENTRY_OVERHEAD <= LIVE_FRAME_BYTES);
    if small && out.next > out.wanted_to && out.last_bulk <= receipted { Class::Live } else { Class::Bulk }
}
