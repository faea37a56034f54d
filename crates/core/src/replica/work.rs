//! A collection's work on documents: one thing at a time, local edits before entries of others.
//!
//! While one job runs, what comes in gathers, and the next job takes it all: under load entries grow, and each pays for its
//! signature, commit and frame once. When nothing runs, an edit goes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use super::durable::Effect;
use super::restore::Loading;
use super::space::{Busy, Collection, Journal, QueuedEdit, Space, Unstored};
use super::turn::{pick, rests};
use super::{JobPurpose, LoadPurpose, Replica};
use crate::batch::{Load, StoreOp, ViewOp};
use crate::breakage::Breakage;
use crate::entry::{Group, Header};
use crate::id::{CollectionTag, DeviceId, DocKey, DocumentId, EpochId, JournalId, Position, SpaceId};
use crate::input::DocOp;
use crate::job::{
    Applied, ApplyEntry, ApplyJob, Content, DocSource, Job, OpenTask, Opened, WorkedDocument, WriteError, WriteJob,
    Written,
};
use crate::limits::{
    APPLY_BYTES, BATCH_BYTES, BATCH_DOCUMENTS, OPENED_BYTES, SMALL_ENTRY_BYTES, SMALL_RESERVE_BYTES, WRITES_IN_FLIGHT,
};
use crate::output::{Edited, Event};
use crate::payload::{Item, ItemBody};
use crate::progress::Waiting;
use crate::role::Role;
use crate::seal::EpochKey;

/// Payload bytes in memory, up to which an entry that is next in its journal is read back whatever its size: what is in memory may
/// all have to wait for it.
const FULL_BYTES: usize = OPENED_BYTES + SMALL_RESERVE_BYTES;

/// What became of worked documents.
pub(super) struct PutBack {
    pub(super) ops: Vec<StoreOp>,
    /// Documents whose views may have changed.
    pub(super) changed: Vec<DocumentId>,
}

impl Replica {
    /// Starts whatever can be started for a collection.
    pub(super) fn pump(&mut self, space: SpaceId, collection: CollectionTag) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(work) = known.collections.get_mut(&collection) else { return };
        if matches!(work.busy, Busy::Idle) {
            if !work.edits.is_empty() && work.writes_in_flight < WRITES_IN_FLIGHT {
                self.start_write(space, collection);
            } else if !self.suspended && known.loading.get(&collection).is_some_and(Loading::is_ready) {
                self.start_restore(space, collection);
            } else if !(work.unapplied.is_empty() || work.stuck || self.suspended) {
                self.start_apply(space, collection);
            }
        }
        self.flush_if_idle(space, collection);
    }

    fn start_write(&mut self, space: SpaceId, collection: CollectionTag) {
        let Some(work) = self.spaces.get_mut(&space).and_then(|s| s.collections.get_mut(&collection)) else { return };
        let mut batch: Vec<QueuedEdit> = Vec::new();
        let mut bytes = 0;
        while let Some(edit) = work.edits.front() {
            if !batch.is_empty() && (batch.len() >= BATCH_DOCUMENTS || bytes + edit.bytes > BATCH_BYTES) {
                break;
            }
            bytes += edit.bytes;
            batch.extend(work.edits.pop_front());
        }
        // A random id that is being created cannot be in the store: its 128 bits were drawn for this insert.
        let fresh: BTreeSet<DocumentId> = batch
            .iter()
            .filter(|queued| !queued.edit.keyed && matches!(queued.edit.op, DocOp::Create(_)))
            .map(|queued| queued.edit.document)
            .collect();
        let touched: BTreeSet<DocumentId> = batch.iter().map(|queued| queued.edit.document).collect();
        work.busy = Busy::Writing(batch);
        self.gather(space, collection, &touched, &fresh);
    }

    /// Answers the edits of a collection that were about to be made, and those that wait behind them.
    fn bar_edits(&mut self, space: SpaceId, collection: CollectionTag, reason: &'static str) {
        let Some(work) = self.spaces.get_mut(&space).and_then(|s| s.collections.get_mut(&collection)) else { return };
        let Busy::Writing(mut edits) = mem::take(&mut work.busy) else { return };
        edits.extend(work.edits.drain(..));
        let barred =
            |queued: QueuedEdit| Effect::Edited(queued.request, queued.index, Err(WriteError::Barred { reason }));
        // What says so may have arrived this moment: it is durable before it counts, like everything else.
        self.store(Vec::new(), edits.into_iter().map(barred).collect());
        self.pump(space, collection);
    }

    fn start_apply(&mut self, space: SpaceId, collection: CollectionTag) {
        let unchecked = self.breaks(Breakage::SkipDependencyCheck);
        let now_ms = self.now.mono_ms;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        if let Some(work) = known.collections.get_mut(&collection) {
            work.resting.awake(now_ms);
        }
        let picked = pick(known, collection, unchecked, now_ms);
        if picked.is_empty() {
            self.fetch_unapplied(space, collection);
            return;
        }
        let mut touched = BTreeSet::new();
        for (journal, position) in &picked {
            let opened = known.journals.get(journal).and_then(|journal| journal.opened.get(&position.seq));
            touched.extend(opened.map(Space::touched).unwrap_or_default());
        }
        if let Some(work) = known.collections.get_mut(&collection) {
            work.waiting = None;
            work.busy = Busy::Applying(picked);
        }
        self.gather(space, collection, &touched, &BTreeSet::new());
    }

    /// Collects documents from the cache, and asks the store for the rest.
    pub(super) fn gather(
        &mut self,
        space: SpaceId,
        collection: CollectionTag,
        touched: &BTreeSet<DocumentId>,
        fresh: &BTreeSet<DocumentId>,
    ) {
        let mut at_hand = Vec::new();
        let mut missing = Vec::new();
        for document in touched {
            let key = DocKey { space, collection, document: *document };
            match self.cache.take(&key) {
                Some(open) => at_hand.push((key, DocSource::Open(open))),
                None if fresh.contains(document) => at_hand.push((key, DocSource::Absent)),
                None => missing.push(key),
            }
        }
        if missing.is_empty() {
            self.gathered(space, collection, at_hand);
        } else {
            let load = Load::Documents(missing.clone());
            self.load(load, LoadPurpose::Work { space, collection, at_hand, missing });
        }
    }

    /// All documents are at hand. Entries that speak of former lives of them need these too: rare, and only now known.
    pub(super) fn gathered(&mut self, space: SpaceId, collection: CollectionTag, documents: Vec<(DocKey, DocSource)>) {
        let Some(known) = self.spaces.get(&space) else { return };
        let mut named: Vec<(DocumentId, u32)> = Vec::new();
        match known.collections.get(&collection).map(|work| &work.busy) {
            Some(Busy::Applying(picked)) => {
                for (journal, position) in picked {
                    let opened = known.journals.get(journal).and_then(|journal| journal.opened.get(&position.seq));
                    let Some(Content::Items(items, _)) = opened.map(|opened| &opened.content) else { continue };
                    named.extend(items.iter().map(|item| (item.document, item.generation)));
                }
            }
            Some(Busy::Restoring(lives)) => named.extend(lives),
            _ => return self.start_job(space, collection, documents, Vec::new()),
        }
        let present: BTreeMap<DocumentId, u32> =
            documents.iter().map(|(key, source)| (key.document, source.generation())).collect();
        let older = named.into_iter().filter(|(id, life)| *life < present.get(id).copied().unwrap_or(0));
        let former: BTreeSet<(DocKey, u32)> =
            older.map(|(document, life)| (DocKey { space, collection, document }, life)).collect();
        if former.is_empty() {
            return self.start_job(space, collection, documents, Vec::new());
        }
        let lives: Vec<(DocKey, u32)> = former.into_iter().collect();
        let load = Load::Lives(lives.clone());
        self.load(load, LoadPurpose::Former { space, collection, documents, lives });
    }

    /// Everything that the job works on is at hand: it can run.
    pub(super) fn start_job(
        &mut self,
        space: SpaceId,
        collection: CollectionTag,
        documents: Vec<(DocKey, DocSource)>,
        former: Vec<(DocKey, u32, DocSource)>,
    ) {
        let (keys, device, incarnation) = (self.keys(), self.device(), self.identity.incarnation);
        let time = self.clock.tick(self.now.wall_ms);
        let (forgets, unchecked) = (self.breaks(Breakage::ForgetTombstone), self.breaks(Breakage::SkipRoleCheck));
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let edit_wins = known.edit_wins(&collection);
        let Some(work) = known.collections.get(&collection) else { return };
        let job = match &work.busy {
            Busy::Idle => return,
            Busy::Restoring(_) => {
                // It needs what the checkpoint has, which is there as long as this work goes on.
                let Some(job) = self.restore_job(space, collection, documents, former) else { return };
                return self.job(job, JobPurpose::Work { space, collection });
            }
            Busy::Writing(edits) => {
                let (epoch, key) = match may_write(known, &device, unchecked) {
                    Ok(sealing) => sealing,
                    Err(reason) => {
                        self.put_back_unused(documents);
                        return self.bar_edits(space, collection, reason);
                    }
                };
                let edits = edits.iter().map(|queued| queued.edit.clone()).collect();
                let journal = JournalId { collection, device, incarnation };
                let held = known.journals.get(&journal).map_or(Position::START, |journal| journal.state.held);
                let header = Header {
                    space,
                    journal,
                    seq: held.seq + 1,
                    prev: held.hash,
                    group: Group { first: held.seq + 1, count: 1 },
                    epoch,
                    time,
                    roster_heads: known.roster.heads(),
                    deps: Vec::new(),
                    sealed_len: 0,
                    sealed_hash: [0; 32],
                };
                Job::Write(Box::new(WriteJob { header, keys, key, edit_wins, edits, documents }))
            }
            Busy::Applying(picked) => {
                let entries = picked.iter().map(|(journal, position)| apply_entry(known, *journal, *position));
                let entries = entries.map(|entry| if forgets { entry.map(without_tombstones) } else { entry });
                match entries.collect() {
                    Some(entries) => Job::Apply(Box::new(ApplyJob { space, entries, edit_wins, documents, former })),
                    // Content is only dropped once applied; were it otherwise, it would be read again.
                    None => return self.abandon_apply(space, collection, documents),
                }
            }
        };
        if let Some(work) = known.collections.get_mut(&collection) {
            work.resting.begun_ms = self.now.mono_ms;
        }
        self.job(job, JobPurpose::Work { space, collection });
    }

    fn abandon_apply(&mut self, space: SpaceId, collection: CollectionTag, documents: Vec<(DocKey, DocSource)>) {
        self.put_back_unused(documents);
        if let Some(work) = self.spaces.get_mut(&space).and_then(|s| s.collections.get_mut(&collection)) {
            work.busy = Busy::Idle;
        }
        self.fetch_unapplied(space, collection);
    }

    /// Documents that a job was to work on, and does not.
    fn put_back_unused(&mut self, documents: Vec<(DocKey, DocSource)>) {
        for (key, source) in documents {
            if let DocSource::Open(document) = source {
                self.cache.put(key, document, false);
            }
        }
    }

    pub(super) fn on_written(&mut self, space: SpaceId, collection: CollectionTag, written: Written) {
        let Some(work) = self.spaces.get_mut(&space).and_then(|s| s.collections.get_mut(&collection)) else { return };
        let Busy::Writing(edits) = mem::take(&mut work.busy) else { return };
        let Written { entry, results, documents } = written;
        if entry.as_ref().is_some_and(|entry| entry.header.journal.incarnation != self.identity.incarnation) {
            // A new incarnation began meanwhile: the edits are made again in its journal, on documents read afresh.
            edits.into_iter().rev().for_each(|edit| work.edits.push_front(edit));
            self.pump(space, collection);
            return;
        }
        let place = entry.as_ref().map(|entry| (entry.header.journal, entry.position()));
        let PutBack { mut ops, changed } = self.put_back(documents);
        let mut effects = Vec::new();
        let mut unchanged = Vec::new();
        let early = self.breaks(Breakage::AckBeforeCommit);
        for (queued, result) in edits.into_iter().zip(results) {
            let document = queued.edit.document;
            match result {
                Ok(true) if early => {
                    self.edit_done(queued.request, queued.index, Ok(Edited { document, entry: place }))
                }
                Ok(true) => {
                    let edited = Ok(Edited { document, entry: place });
                    effects.push(Effect::Edited(queued.request, queued.index, edited));
                }
                Ok(false) => unchanged.push((queued, Ok(Edited { document, entry: None }))),
                Err(error) => unchanged.push((queued, Err(error))),
            }
        }
        let send_early = self.breaks(Breakage::SendBeforeCommit);
        if let Some(entry) = entry {
            let Some(known) = self.spaces.get_mut(&space) else { return };
            let (journal, position) = (entry.header.journal, entry.position());
            let arrival = known.next_arrival();
            let own = known.journals.entry(journal).or_insert_with(Journal::empty);
            (own.state.held, own.state.applied, own.state.arrival) = (position, position.seq, arrival);
            own.state.cites.clone_from(&entry.header.roster_heads);
            own.reset_receiving();
            if let Some(work) = known.collections.get_mut(&collection) {
                work.count_entry(entry.as_bytes().len());
            }
            ops.push(StoreOp::PutEntry { space, journal, position, bytes: entry.as_bytes().to_vec() });
            ops.extend(known.journal_op(journal));
            effects.insert(0, Effect::EntryDurable { space, entry: Arc::new(entry), arrival, source: None });
            effects.push(Effect::Changed { space, collection, documents: changed, remote: false });
            effects.push(Effect::WriteLanded(space, collection));
            if let Some(work) = known.collections.get_mut(&collection) {
                work.writes_in_flight += 1;
            }
            if let (true, Some(Effect::EntryDurable { entry, .. })) = (send_early, effects.first()) {
                let entry = Arc::clone(entry);
                self.entry_durable(space, entry, arrival, None);
                let links: Vec<_> = self.links.keys().copied().collect();
                links.into_iter().for_each(|link| self.serve(link));
            }
            self.store(ops, effects);
        }
        for (queued, result) in unchanged {
            self.answer_when_durable(queued.request, queued.index, result);
        }
        self.pump(space, collection);
    }

    pub(super) fn on_applied(&mut self, space: SpaceId, collection: CollectionTag, applied: Applied) {
        let Applied { mut count, rejected, mut lacks, brought, failed, documents } = applied;
        self.let_rest(space, collection, &documents);
        let PutBack { mut ops, changed } = self.put_back(documents);
        if self.breaks(Breakage::SkipDependencyCheck) && lacks.take().is_some() {
            count += 1;
        }
        self.spoil(&mut ops);
        self.retry_lacking(space, collection, &brought);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(work) = known.collections.get_mut(&collection) else { return };
        let Busy::Applying(picked) = mem::take(&mut work.busy) else { return };
        if let Some(reason) = failed {
            self.stick(space, collection, reason);
            return;
        }
        let mut effects = Vec::new();
        let mut journals = BTreeSet::new();
        for (journal, position) in &picked[..count.min(picked.len())] {
            known.forget_opened(journal, position.seq);
            if let Some(known) = known.journals.get_mut(journal) {
                known.state.applied = position.seq;
            }
            journals.insert(*journal);
        }
        if let (Some(reason), Some((journal, position))) = (rejected, picked.get(count)) {
            if let Some(known) = known.journals.get_mut(journal) {
                known.state.closed = true;
            }
            known.forget_all_opened(journal);
            journals.insert(*journal);
            let event = Event::JournalRejected { space, journal: *journal, seq: position.seq, reason: reason.clone() };
            effects.push(Effect::Notify(event));
            ops.push(StoreOp::PutRejected { space, journal: *journal, position: *position, reason });
        }
        if let (Some(_), Some((journal, _))) = (lacks, picked.get(count))
            && let Some(known) = known.journals.get_mut(journal)
        {
            known.lacks = lacks;
        }
        for journal in &journals {
            let done =
                known.journals.get(journal).is_none_or(|j| j.state.closed || j.state.applied >= j.state.held.seq);
            if done && let Some(work) = known.collections.get_mut(&collection) {
                work.unapplied.remove(journal);
            }
        }
        let stored = self.take_unstored(space, collection, &mut ops, &mut effects);
        let Some(known) = self.spaces.get(&space) else { return };
        ops.extend(journals.union(&stored).filter_map(|journal| known.journal_op(*journal)));
        effects.push(Effect::Changed { space, collection, documents: changed, remote: true });
        self.store(ops, effects);
        self.pump(space, collection);
        self.feed_starved(space);
    }

    /// There is room again for entries of collections for which there was none.
    fn feed_starved(&mut self, space: SpaceId) {
        let Some(known) = self.spaces.get_mut(&space).filter(|known| known.opened_bytes <= FULL_BYTES) else {
            return;
        };
        for collection in mem::take(&mut known.starved) {
            self.pump(space, collection);
        }
    }

    /// Lets entries be tried again that lacked one of these changes.
    pub(super) fn retry_lacking(&mut self, space: SpaceId, collection: CollectionTag, brought: &BTreeSet<[u8; 32]>) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(work) = known.collections.get(&collection) else { return };
        for id in &work.unapplied {
            let Some(journal) = known.journals.get_mut(id) else { continue };
            if journal.lacks.is_some_and(|lacking| brought.contains(&lacking.change)) {
                journal.lacks = None;
            }
        }
    }

    /// Puts worked documents into the cache; returns what the store must do and which views changed.
    pub(super) fn put_back(&mut self, documents: Vec<WorkedDocument>) -> PutBack {
        let mut ops = Vec::new();
        let mut changed = Vec::new();
        let mut listed = BTreeSet::new();
        for WorkedDocument { key, document, changes, oversize } in documents {
            // One that could not be worked on says nothing about its size.
            if (document.is_some() || oversize)
                && let Some(known) = self.spaces.get_mut(&key.space)
                && known.local.list_oversize(key.collection, key.document, oversize)
            {
                listed.insert(key.space);
            }
            if let Some(document) = document {
                let hoards = self.breaks(Breakage::UnboundedCache);
                self.cache.put(key, document, hoards);
            }
            if changes.iter().any(|change| change.view != ViewOp::Keep) {
                changed.push(key.document);
            }
            ops.extend(changes.into_iter().map(|change| StoreOp::PutDocument {
                key,
                generation: change.generation,
                record: change.record,
                content: change.content,
                view: change.view,
            }));
        }
        ops.extend(listed.iter().filter_map(|space| self.spaces.get(space)).map(Space::record_op));
        PutBack { ops, changed }
    }

    /// Moves entries that were held back for one commit into the batch being made.
    pub(super) fn take_unstored(
        &mut self,
        space: SpaceId,
        collection: CollectionTag,
        ops: &mut Vec<StoreOp>,
        effects: &mut Vec<Effect>,
    ) -> BTreeSet<JournalId> {
        let mut journals = BTreeSet::new();
        let Some(work) = self.spaces.get_mut(&space).and_then(|s| s.collections.get_mut(&collection)) else {
            return journals;
        };
        for Unstored { entry, arrival, source } in work.unstored.drain(..) {
            let journal = entry.header.journal;
            journals.insert(journal);
            ops.push(StoreOp::PutEntry {
                space,
                journal,
                position: entry.position(),
                bytes: entry.as_bytes().to_vec(),
            });
            effects.push(Effect::EntryDurable { space, entry, arrival, source: Some(source) });
        }
        journals
    }

    /// Nothing is being applied, so nothing will store the entries that were held back: store them now.
    fn flush_if_idle(&mut self, space: SpaceId, collection: CollectionTag) {
        let Some(work) = self.spaces.get(&space).and_then(|s| s.collections.get(&collection)) else { return };
        if !work.unstored.is_empty() && !matches!(work.busy, Busy::Applying(_)) {
            self.flush(space, collection);
        }
    }

    /// Stores entries ahead of applying them.
    pub(super) fn flush(&mut self, space: SpaceId, collection: CollectionTag) {
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        let journals = self.take_unstored(space, collection, &mut ops, &mut effects);
        let Some(known) = self.spaces.get(&space) else { return };
        ops.extend(journals.iter().filter_map(|journal| known.journal_op(*journal)));
        if !ops.is_empty() {
            self.store(ops, effects);
        }
    }

    /// Reads the next entries that wait to be applied back from the store, if that is what is missing.
    fn fetch_unapplied(&mut self, space: SpaceId, collection: CollectionTag) {
        let Some(known) = self.spaces.get(&space) else { return };
        let Some(work) = known.collections.get(&collection) else { return };
        if work.fetching || (known.opened_bytes > FULL_BYTES && known.starved.contains(&collection)) {
            return;
        }
        let absent = work.unapplied.iter().find_map(|id| {
            let journal = known.journals.get(id)?;
            let next = journal.state.applied + 1;
            let absent =
                !journal.opened.contains_key(&next) && next <= journal.durable.seq && known.blocked(journal).is_none();
            absent.then_some((*id, next, journal.durable.seq, journal.state.fork))
        });
        let waiting = match absent {
            Some(_) => None,
            None => waits_for(known, work),
        };
        let waits = waiting.is_some();
        if let Some(work) = self.spaces.get_mut(&space).and_then(|s| s.collections.get_mut(&collection)) {
            work.waiting = waiting;
            work.fetching = absent.is_some();
        }
        if waits {
            self.ask_what_it_builds_on(space, collection);
        }
        if let Some((journal, from, to, skip)) = absent {
            let load = Load::Entries { space, journal, from, to, limit_bytes: APPLY_BYTES, skip };
            self.load(load, LoadPurpose::Unapplied { space, collection });
        }
    }

    pub(super) fn reopen(&mut self, space: SpaceId, collection: CollectionTag, entries: Vec<(Position, Vec<u8>)>) {
        let Some(known) = self.spaces.get(&space) else { return };
        let mut tasks = Vec::new();
        for (_, bytes) in entries {
            // The store checked its own tag; what does not decode was written by a newer build.
            let Ok(entry) = crate::entry::Entry::decode(bytes) else { break };
            let key = known.keys.get(&entry.header.epoch).cloned();
            tasks.push(OpenTask { entry: Arc::new(entry), verify: false, key });
        }
        if tasks.is_empty() {
            self.stick(
                space,
                collection,
                "entries that the store should hold are not there; run `farshore check`".into(),
            );
            return;
        }
        self.job(Job::Open(tasks), JobPurpose::Reopen { space, collection });
    }

    pub(super) fn on_reopened(&mut self, space: SpaceId, collection: CollectionTag, opened: Vec<Opened>) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        for opened in opened {
            remember_read_back(known, opened);
        }
        if let Some(work) = known.collections.get_mut(&collection) {
            work.fetching = false;
        }
        self.pump(space, collection);
    }

    /// Stops applying in a collection, visibly. Local edits and everything else go on.
    pub(super) fn stick(&mut self, space: SpaceId, collection: CollectionTag, reason: String) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(work) = known.collections.get_mut(&collection) else { return };
        work.stuck = true;
        work.fetching = false;
        work.waiting = Some(Waiting::Failed(reason));
        for journal in work.unapplied.clone() {
            known.forget_all_opened(&journal); // It must not take the room of others.
        }
        self.pump(space, collection);
        self.feed_starved(space);
    }

    pub(super) fn on_work_panicked(&mut self, space: SpaceId, collection: CollectionTag, why: &str) {
        let Some(work) = self.spaces.get_mut(&space).and_then(|s| s.collections.get_mut(&collection)) else { return };
        match mem::take(&mut work.busy) {
            Busy::Writing(edits) => {
                for queued in edits {
                    self.edit_done(queued.request, queued.index, Err(WriteError::Internal(why.to_owned())));
                }
                self.pump(space, collection);
            }
            Busy::Applying(_) => self.stick(space, collection, format!("applying entries failed inside: {why}")),
            Busy::Restoring(_) => {
                let loading = self.spaces.get(&space).and_then(|known| known.loading.get(&collection));
                if let Some(slot) = loading.map(Loading::slot) {
                    self.refuse_checkpoint(space, collection, slot, &format!("loading it failed inside: {why}"));
                }
                self.pump(space, collection);
            }
            Busy::Idle => {}
        }
    }
}

/// Keeps an entry that was read back from the store, if there is room for it. Of one that there is no room for it is noted what
/// it waits for, so that it is read again when that is here; if it waits for nothing, it is applied next, and may pass the budget:
/// one at a time, so that memory stays within it and one entry.
fn remember_read_back(space: &mut Space, opened: Opened) {
    let header = &opened.entry.header;
    let (id, collection) = (header.journal, header.journal.collection);
    let bytes = if let Content::Items(_, bytes) = &opened.content { *bytes } else { 0 };
    if space.opened_bytes + bytes <= OPENED_BYTES {
        return remember(space, opened, OPENED_BYTES);
    }
    if space.journals.get(&id).is_none_or(|journal| journal.state.applied + 1 != header.seq) {
        return; // It is read again when what comes before it is applied.
    }
    let deps = header.deps.iter().map(|dep| (dep.journal(collection), dep.position.seq));
    let blocked = deps.clone().find(|(id, seq)| space.applied(id) < *seq);
    if let (Some(_), Some(journal)) = (blocked, space.journals.get_mut(&id)) {
        journal.blocked = blocked;
    } else if space.opened_bytes <= FULL_BYTES {
        remember(space, opened, usize::MAX);
    } else {
        space.starved.insert(collection);
    }
}

/// Keeps an opened entry in memory until it is applied, within the budget.
pub(super) fn remember(space: &mut Space, opened: Opened, budget: usize) {
    let newer = |item: &Item| matches!(item.body, ItemBody::Unknown { .. });
    let (content, bytes) = match opened.content {
        // It waits for an upgrade, which reads it from the store again: a member that sends many of them must not fill memory.
        Content::Items(items, _) if items.iter().any(newer) => (Content::Newer, 0),
        Content::Items(items, bytes) => (Content::Items(items, bytes), bytes),
        Content::Unread => return, // As when memory is full, below.
        other => (other, 0),
    };
    // Small ones have some room of their own: else one that somebody waits for would be read again after all the large ones.
    let reserve = if bytes <= SMALL_ENTRY_BYTES { SMALL_RESERVE_BYTES } else { 0 };
    if space.opened_bytes.saturating_add(bytes) > budget.saturating_add(reserve) {
        return; // It is in the store, or will be: it is read again when its turn comes.
    }
    let header = &opened.entry.header;
    let Some(journal) = space.journals.get_mut(&header.journal) else { return };
    if header.seq <= journal.state.applied {
        return;
    }
    let position = opened.entry.position();
    let kept = super::space::OpenedEntry { position, deps: header.deps.clone(), content };
    if journal.opened.insert(header.seq, kept).is_none() {
        space.opened_bytes += bytes;
    }
}

/// Why the first entry that waits does, and will not go on by itself.
fn waits_for(space: &Space, work: &Collection) -> Option<Waiting> {
    for id in &work.unapplied {
        let Some(journal) = space.journals.get(id) else { continue };
        let Some(opened) = journal.opened.get(&(journal.state.applied + 1)) else {
            if space.blocked(journal).is_some() {
                return Some(Waiting::Dependencies);
            }
            continue;
        };
        if rests(&work.resting, &opened.content) {
            continue;
        }
        return Some(match &opened.content {
            Content::NoKey => Waiting::Key,
            Content::Newer => Waiting::Upgrade,
            Content::Items(items, _) if items.iter().any(|i| matches!(i.body, ItemBody::Unknown { .. })) => {
                Waiting::UnknownItem
            }
            _ => Waiting::Dependencies,
        });
    }
    None
}

/// See [`Breakage::ForgetTombstone`].
/// What an entry of this device is sealed with now, or why it may write none: its role and its keys may have changed since an edit
/// was taken in.
fn may_write(known: &Space, device: &DeviceId, unchecked: bool) -> Result<(EpochId, EpochKey), &'static str> {
    if !unchecked && !known.roster.role_of(device).is_some_and(Role::can_write) {
        return Err("this device may no longer write in the space; ask an admin");
    }
    let lost = "this device has no key for what is written now; it comes with the next sync with an admin's device";
    known.sealing_key().ok_or(lost)
}

fn without_tombstones(mut entry: ApplyEntry) -> ApplyEntry {
    if let Ok(items) = &mut entry.items {
        items.retain(|item| !matches!(item.body, ItemBody::Tombstone { .. }));
    }
    entry
}

fn apply_entry(space: &Space, journal: JournalId, position: Position) -> Option<ApplyEntry> {
    let items = match &space.journals.get(&journal)?.opened.get(&position.seq)?.content {
        Content::Items(items, _) => Ok(items.clone()),
        Content::Broken(reason) => Err(reason.clone()),
        Content::NoKey | Content::Newer | Content::Unread => return None,
    };
    Some(ApplyEntry { journal, position, items })
}
