//! What becomes visible when a batch is durable, and not before (I1): replies, events, credit, receipts, live push.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Replica;
use super::checkpoint::Held;
use super::link::Link;
use super::space::Source;
use crate::batch::{Batch, Slot, StoreOp};
use crate::breakage::{Breakage, unordered};
use crate::entry::Entry;
use crate::id::{CollectionTag, DocumentId, JournalId, Position, SpaceId};
use crate::input::{LinkId, RequestId};
use crate::job::WriteError;
use crate::output::{ArrivedEntry, Edited, Event, Output, Reply};

/// One thing that a durable batch makes true.
#[derive(Debug)]
pub(super) enum Effect {
    Reply(RequestId, Reply),
    Edited(RequestId, usize, Result<Edited, WriteError>),
    /// A journal is durably applied up to here.
    Applied {
        space: SpaceId,
        journal: JournalId,
        applied: u64,
        closed: bool,
    },
    Notify(Event),
    /// Peers are to be told what this device wants.
    Rescope(SpaceId),
    /// Views have changed.
    Changed {
        space: SpaceId,
        collection: CollectionTag,
        documents: Vec<DocumentId>,
        remote: bool,
    },
    /// An entry may be served, announced and receipted.
    EntryDurable {
        space: SpaceId,
        entry: Arc<Entry>,
        arrival: u64,
        source: Option<Source>,
    },
    /// What a peer sent is kept: it may send as much again.
    Credit(Source),
    /// A batch of local edits no longer counts against the pipeline.
    WriteLanded(SpaceId, CollectionTag),
    /// The roster may be shown to peers.
    RosterDurable(SpaceId),
    /// All that a peer had of the roster is here: compare again.
    RosterEnd(SpaceId, LinkId),
    /// The other half of a batch, see [`crate::breakage::Breakage::HalfBatch`].
    Half(Vec<StoreOp>, Vec<Effect>),
    /// A joiner may be told that it is a member.
    Welcome {
        link: LinkId,
        ticket: [u8; 16],
        space: SpaceId,
        certificate: Vec<u8>,
    },
    /// This device is a member of a new space.
    Joined {
        space: SpaceId,
        ticket: [u8; 16],
    },
    /// Chunks of a checkpoint that is being made are kept: the next can be made.
    ChunksKept {
        space: SpaceId,
        collection: CollectionTag,
        slot: Slot,
    },
    /// Parts of a checkpoint that comes from a peer are kept, or documents of it.
    PartsKept {
        space: SpaceId,
        collection: CollectionTag,
        slot: Slot,
    },
    /// A checkpoint is whole.
    CheckpointHeld {
        space: SpaceId,
        collection: CollectionTag,
        held: Box<Held>,
    },
    /// A checkpoint has brought journals to its frontier.
    JournalsReached {
        space: SpaceId,
        collection: CollectionTag,
        reached: Vec<(JournalId, Position, u64)>,
    },
}

impl Replica {
    /// Answers a part of an edit that needs no batch of its own: it changed nothing, or was refused. What it was compared with
    /// may be on its way to the disk, and a crash may undo that: so the answer waits for what was asked of the store before.
    pub(super) fn answer_when_durable(&mut self, id: RequestId, index: usize, result: Result<Edited, WriteError>) {
        match self.batches.get_mut(&self.last_batch) {
            Some(effects) => effects.push(Effect::Edited(id, index, result)),
            None => self.edit_done(id, index, result),
        }
    }

    pub(super) fn on_stored(&mut self, batch: u64) {
        let Some(effects) = self.batches.remove(&batch) else { return };
        let mut serve = false;
        let mut pump: BTreeSet<(SpaceId, CollectionTag)> = BTreeSet::new();
        let mut applied_now: BTreeMap<(SpaceId, JournalId), u64> = BTreeMap::new();
        self.tell_arrived(&effects);
        for effect in effects {
            match effect {
                Effect::Reply(id, reply) => self.reply(id, Ok(reply)),
                Effect::Edited(id, index, result) => self.edit_done(id, index, result),
                Effect::Half(ops, effects) => self.store_half(ops, effects),
                Effect::Applied { space, journal, applied, closed } => {
                    let Some(known) = self.spaces.get_mut(&space) else { continue };
                    if let Some(state) = known.journals.get_mut(&journal) {
                        if state.durable_applied < applied {
                            applied_now.insert((space, journal), applied);
                        }
                        (state.durable_applied, state.durable_closed) = (applied, closed);
                    }
                    self.shown_changed(space, journal);
                }
                Effect::Notify(event) => self.notify(event),
                Effect::Rescope(space) => self.rescope(space),
                Effect::Credit(source) => self.give_back_credit(source),
                Effect::Changed { space, collection, mut documents, remote } => {
                    if !documents.is_empty() {
                        documents.sort_unstable();
                        self.notify(Event::Changed { space, collection, documents, remote });
                    }
                }
                Effect::EntryDurable { space, entry, arrival, source } => {
                    pump.insert((space, entry.header.journal.collection));
                    self.entry_durable(space, entry, arrival, source);
                    serve = true;
                }
                Effect::WriteLanded(space, collection) => {
                    if let Some(work) = self.spaces.get_mut(&space).and_then(|s| s.collections.get_mut(&collection)) {
                        work.writes_in_flight = work.writes_in_flight.saturating_sub(1);
                    }
                    pump.insert((space, collection));
                }
                Effect::RosterDurable(space) => self.roster_durable(space, None),
                Effect::RosterEnd(space, link) => self.roster_ended(link, space),
                Effect::Welcome { link, ticket, space, certificate } => self.welcome(link, ticket, space, &certificate),
                Effect::Joined { space, ticket } => self.joined(space, ticket),
                Effect::ChunksKept { space, collection, slot } => self.chunks_kept(space, collection, slot),
                Effect::PartsKept { space, collection, slot } => self.parts_kept((space, collection, slot)),
                Effect::CheckpointHeld { space, collection, held } => self.checkpoint_held(space, collection, *held),
                Effect::JournalsReached { space, collection, reached } => {
                    self.journals_reached(space, collection, reached);
                }
            }
        }
        for ((space, journal), seq) in applied_now {
            if !self.is_own(&journal) {
                self.notify(Event::Applied { space, journal, seq });
            }
        }
        self.send_receipts();
        if serve {
            let mut links: Vec<LinkId> = self.links.keys().copied().collect();
            if self.breaks(Breakage::UnorderedMap) {
                links = unordered(links);
            }
            links.into_iter().for_each(|link| self.serve(link));
        }
        for (space, collection) in pump {
            self.pump(space, collection);
            self.checkpoint_due(space, collection);
        }
    }

    /// Tells what came of others, once for each journal, before anything that follows from its being here.
    fn tell_arrived(&mut self, effects: &[Effect]) {
        let mut arrived: BTreeMap<(SpaceId, JournalId), (LinkId, Vec<ArrivedEntry>)> = BTreeMap::new();
        for effect in effects {
            let Effect::EntryDurable { space, entry, source: Some(source), .. } = effect else { continue };
            let of_journal = arrived.entry((*space, entry.header.journal)).or_insert((source.link, Vec::new()));
            of_journal.1.push(ArrivedEntry {
                seq: entry.header.seq,
                bytes: entry.as_bytes().len(),
                claimed_ms: entry.header.time.unix_ms(),
                arrived_ms: source.at_ms,
            });
        }
        for ((space, journal), (link, entries)) in arrived {
            let from = self.links.get(&link).and_then(|state| state.device);
            self.notify(Event::Arrived { space, journal, from, entries });
        }
    }

    fn store_half(&mut self, ops: Vec<StoreOp>, effects: Vec<Effect>) {
        self.last_batch += 1;
        self.batches.insert(self.last_batch, effects);
        self.outputs.push_back(Output::Store(Batch { id: self.last_batch, ops }));
    }

    pub(super) fn entry_durable(&mut self, space: SpaceId, entry: Arc<Entry>, arrival: u64, source: Option<Source>) {
        let id = entry.header.journal;
        let position = entry.position();
        if let Some(known) = self.spaces.get_mut(&space) {
            known.durable_arrival = known.durable_arrival.max(arrival);
            if let Some(journal) = known.journals.get_mut(&id) {
                journal.durable = position;
                journal.durable_arrival = arrival;
            }
        }
        self.shown_changed(space, id);
        self.recent.put(space, Arc::clone(&entry));
        if let Some(source) = source {
            if self.spaces.get_mut(&space).is_some_and(|known| known.last_large_stored(&entry)) {
                self.open_next(space);
            }
            self.give_back_credit(source);
            self.owe_receipt(source.link, space, id, position.seq);
        }
        // Its author waits for a receipt, too, though somebody else was faster in bringing it.
        let from = source.map(|source| source.link);
        let agreed = |state: &Link| state.space(space).is_some_and(|shared| shared.scopes.agreed(&id));
        let authors = self.links.iter().filter(|(_, state)| state.device == Some(id.device) && agreed(state));
        let authors = authors.filter(|(link, _)| Some(**link) != from);
        let authors: Vec<LinkId> = authors.map(|(link, _)| *link).collect();
        authors.into_iter().for_each(|link| self.owe_receipt(link, space, id, position.seq));
        let mut held_back = false;
        for (link, state) in &mut self.links {
            if source.is_none_or(|source| source.link != *link) {
                held_back |= state.new_entry(space, id, position.seq);
            }
        }
        if held_back {
            self.hold_back();
        }
        self.caught_up(space, id);
    }
}
