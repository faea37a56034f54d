//! Loading a checkpoint from a peer: fetch it part by part, check all of it, and only then bring it into documents.
//!
//! Each part is kept as it comes, so that nothing is fetched twice, whatever is cut or killed, and whoever goes on. Nothing of it is in
//! a document before the state root is found right. The journals stand at the frontier from the batch on after the last document.

use std::collections::BTreeSet;

use super::checkpoint::Held;
use super::durable::Effect;
use super::link::Link;
use super::space::{Busy, Journal, Source};
use super::work::PutBack;
use super::{JobPurpose, LoadPurpose, Replica};
use crate::batch::{Load, Slot, StoreOp};
use crate::checkpoint::check::{Checker, Reading};
use crate::checkpoint::{Attestation, Contents, SignedHead, is_attested};
use crate::id::{CheckpointId, CollectionTag, DocumentId, JournalId, Position, SpaceId};
use crate::input::{Class, LinkId};
use crate::job::{CheckpointJob, DocSource, Job, LifeId, RestoreJob, Restored, SealedChunk};
use crate::limits::{ASK_MS, JOURNALS, REFUSED_STATEMENTS};
use crate::output::Event;
use crate::seal::{self, ContentKey};
use crate::wire::{CheckpointPiece, Fetch, Frame};

/// Chunks that end with a whole document, and the lives in them.
#[derive(Debug, Default)]
struct Group {
    first: u32,
    last: u32,
    lives: BTreeSet<LifeId>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fetching,
    /// The next chunk to check.
    Checking(u32),
    /// The next group to bring into documents.
    Restoring(usize),
}

/// A checkpoint on its way into the documents.
#[derive(Debug)]
pub(super) struct Loading {
    held: Held,
    /// Who is to send it, and whether it was asked to: a peer sends one checkpoint of a space at a time.
    link: Option<LinkId>,
    active: bool,
    /// When it was asked for, or a piece last came.
    since_ms: u64,
    stage: Stage,
    contents: Option<Box<Contents>>,
    /// Parts that are kept, or on their way to the disk.
    parts: u32,
    /// The beginning of the next part, and how much of it came on the present link.
    buffer: Vec<u8>,
    owed: u32,
    checker: Option<Box<Checker>>,
    groups: Vec<Group>,
    /// Chunks of the group that is next.
    ready: Vec<Vec<u8>>,
}

impl Loading {
    pub(super) fn new(held: Held, parts: u32) -> Loading {
        Loading {
            held,
            link: None,
            active: false,
            since_ms: 0,
            stage: Stage::Fetching,
            contents: None,
            parts,
            buffer: Vec::new(),
            owed: 0,
            checker: None,
            groups: Vec::new(),
            ready: Vec::new(),
        }
    }

    pub(super) fn slot(&self) -> Slot {
        self.held.slot
    }

    fn all_parts(&self) -> u32 {
        self.held.signed.head.chunks + 1
    }

    /// Whether entries of its journals should not be asked for, because it brings them.
    pub(super) fn is_coming(&self) -> bool {
        self.link.is_some() || self.parts == self.all_parts()
    }

    /// Bytes of it in memory.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len() + self.ready.iter().map(Vec::len).sum::<usize>()
    }

    /// Whether the documents of the next group can be worked on.
    pub(super) fn is_ready(&self) -> bool {
        let Stage::Restoring(next) = self.stage else { return false };
        let all = |group: &Group| self.ready.len() == (group.last - group.first + 1) as usize;
        self.groups.get(next).is_some_and(all)
    }
}

type At = (SpaceId, CollectionTag, Slot);

impl Replica {
    /// Goes on after a restart with what came whole, and drops what nobody will finish.
    pub(super) fn resume_checkpoints(&mut self) {
        let mut ops = Vec::new();
        for known in self.spaces.values_mut() {
            let space = known.id;
            let drop = |(collection, slot)| StoreOp::DropCheckpoint { space, collection, slot };
            ops.extend(std::mem::take(&mut known.abandoned).into_iter().map(drop));
        }
        if !ops.is_empty() {
            self.store(ops, Vec::new());
        }
        for (space, collection) in self.coming_on(|loading| loading.parts == loading.all_parts()) {
            self.load_on(space, collection);
        }
    }

    /// A peer has told how far it holds journals: takes the checkpoints that it offered, where that is the better way.
    pub(super) fn consider_offers(&mut self, link: LinkId, space: SpaceId) {
        let Some(shared) = self.links.get(&link).and_then(|state| state.space(space)) else { return };
        let offers: Vec<(SignedHead, Vec<Attestation>)> = shared.offers.values().cloned().collect();
        for (signed, attestations) in offers {
            if self.is_wanted(link, space, &signed) {
                self.take_offer(link, space, signed, attestations);
            }
        }
    }

    /// Nothing is held of the collection and the checkpoint is smaller than its entries; or the peer lacks entries that are lacking here.
    fn is_wanted(&self, link: LinkId, space: SpaceId, signed: &SignedHead) -> bool {
        let Some(known) = self.spaces.get(&space) else { return false };
        let Some(shared) = self.links.get(&link).and_then(|state| state.space(space)) else { return false };
        let collection = signed.head.statement.collection;
        let kept_up = shared.scopes.said.wants(&collection);
        if !kept_up || known.making.contains_key(&collection) || known.refused.contains(&signed.head.statement.hash()) {
            return false;
        }
        if let Some(loading) = known.loading.get(&collection) {
            return loading.link.is_none() && loading.parts < loading.all_parts();
        }
        let journals = || known.journals.iter().filter(|(id, _)| id.collection == collection);
        let empty = journals().all(|(id, journal)| id.device == self.device() || journal.durable.seq == 0);
        let smaller = signed.head.chunk_bytes + signed.manifest_bytes() < signed.head.entry_bytes;
        let held = |id: &JournalId| known.journals.get(id).map_or(0, |journal| journal.receiving.seq);
        let below = shared.floors.iter().any(|(id, floor)| id.collection == collection && held(id) < *floor);
        (empty && smaller) || below
    }

    fn take_offer(&mut self, link: LinkId, space: SpaceId, signed: SignedHead, attestations: Vec<Attestation>) {
        let (slot, now_ms) = (self.entropy.array(), self.now.mono_ms);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let statement = &signed.head.statement;
        let collection = statement.collection;
        if !signed.verify() || !attestations.iter().all(|attestation| attestation.verify(statement)) {
            return self.fault(link, "offered a checkpoint with a wrong signature");
        }
        // Not believed, or not readable yet: the journals do as well.
        let readable = known.keys.contains_key(&signed.head.epoch) && known.roster.knows(&statement.roster_heads);
        if !readable || !is_attested(&known.roster, &attestations) {
            return;
        }
        let mut dropped = None;
        match known.loading.get_mut(&collection) {
            Some(loading) if loading.held.signed.id == signed.id => {}
            before => {
                dropped = before.filter(|before| before.parts > 0).map(|before| before.held.slot);
                let held = Held { slot, signed, attestations, entries: 0 };
                known.loading.insert(collection, Loading::new(held, 0));
            }
        }
        if let Some(loading) = known.loading.get_mut(&collection) {
            (loading.link, loading.since_ms, loading.owed) = (Some(link), now_ms, 0);
        }
        known.collections.entry(collection).or_default(); // Its work, once documents are at hand.
        known.attesting.clear(); // A peer sends one thing at a time.
        self.check_asked_at.get_or_insert(now_ms + ASK_MS);
        if let Some(slot) = dropped {
            self.store(vec![StoreOp::DropCheckpoint { space, collection, slot }], Vec::new());
        }
        self.load_on(space, collection);
    }

    /// Takes the next step that needs no peer, or asks for the next part.
    pub(super) fn load_on(&mut self, space: SpaceId, collection: CollectionTag) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(loading) = known.loading.get_mut(&collection) else { return };
        let slot = loading.held.slot;
        let at = (space, collection, slot);
        if loading.contents.is_none() && loading.parts > 0 {
            return self.load(Load::Part { slot, part: 0 }, LoadPurpose::OwnPart { at, part: 0 });
        }
        if loading.stage == Stage::Fetching && loading.parts == loading.all_parts() {
            loading.stage = Stage::Checking(1);
            let statement = &loading.held.signed.head.statement;
            let reading = loading.contents.as_ref().map(|contents| Reading::new(statement, contents));
            loading.checker = reading.map(|reading| Box::new(Checker::new(reading)));
        }
        match loading.stage {
            Stage::Fetching => self.fetch(space, collection),
            Stage::Checking(next) if next < loading.all_parts() => {
                self.load(Load::Part { slot, part: next }, LoadPurpose::OwnPart { at, part: next });
            }
            Stage::Checking(_) => self.checked_all(at),
            Stage::Restoring(next) => match loading.groups.get(next) {
                None => self.finish_loading(space, collection),
                Some(group) if group.first + (loading.ready.len() as u32) <= group.last => {
                    let part = group.first + loading.ready.len() as u32;
                    self.load(Load::Part { slot, part }, LoadPurpose::OwnPart { at, part });
                }
                Some(_) => self.pump(space, collection),
            },
        }
    }

    fn loading(&mut self, (space, collection, slot): At) -> Option<&mut Loading> {
        self.spaces.get_mut(&space)?.loading.get_mut(&collection).filter(|loading| loading.held.slot == slot)
    }

    fn fetch(&mut self, space: SpaceId, collection: CollectionTag) {
        let now_ms = self.now.mono_ms;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some((link, slot)) =
            known.loading.get(&collection).and_then(|loading| Some((loading.link?, loading.slot())))
        else {
            return;
        };
        let is_other = |other: &Loading| other.active && other.link == Some(link) && other.slot() != slot;
        if known.loading.values().any(is_other) {
            return; // Its turn comes.
        }
        let Some(loading) = known.loading.get_mut(&collection).filter(|loading| loading.parts < loading.all_parts())
        else {
            return;
        };
        let Some(handle) = self.links.get(&link).and_then(|state| state.handle(space)) else { return };
        (loading.active, loading.since_ms) = (true, now_ms);
        let (part, offset) = (loading.parts, loading.buffer.len() as u32);
        // What chunks there are is in the manifest: it comes alone.
        let last = if loading.contents.is_some() { loading.held.signed.head.chunks } else { 0 };
        let id = loading.held.signed.id;
        self.send(link, &Frame::Fetch(Fetch { handle, id, part, offset, last }));
    }

    /// A peer has nothing to send any more of the checkpoint that it was asked for: the next one.
    fn fetch_next(&mut self, space: SpaceId, link: LinkId) {
        let Some(known) = self.spaces.get(&space) else { return };
        let waits = |loading: &Loading| {
            let readable = loading.contents.is_some() || loading.parts == 0;
            loading.link == Some(link) && !loading.active && readable && loading.parts < loading.all_parts()
        };
        let next = known.loading.iter().find(|(_, loading)| waits(loading)).map(|(collection, _)| *collection);
        if let Some(collection) = next {
            self.fetch(space, collection);
        }
    }

    pub(super) fn on_piece(&mut self, link: LinkId, piece: CheckpointPiece) {
        let source = Source::new(link, Class::Bulk, piece.bytes.len(), self.now.mono_ms);
        if !self.count_received(source) {
            return;
        }
        let now_ms = self.now.mono_ms;
        let space = self.shared_space(link, piece.handle);
        let is_it = |loading: &&mut Loading| loading.link == Some(link) && loading.held.signed.id == piece.id;
        if space.is_some_and(|space| self.attesting_piece(source, space, &piece)) {
            return;
        }
        let known = space.and_then(|space| self.spaces.get_mut(&space));
        let Some(loading) = known.and_then(|known| known.loading.values_mut().find(|loading| is_it(loading))) else {
            return self.give_back_credit(source); // It came from elsewhere meanwhile, or is not wanted any more.
        };
        let total = match piece.part {
            0 => Some(loading.held.signed.manifest_bytes()),
            part => {
                let contents = loading.contents.as_ref();
                contents.and_then(|contents| Some(u64::from(contents.chunks.get(part as usize - 1)?.length)))
            }
        };
        let ends = piece.offset as usize + piece.bytes.len();
        let fits = (piece.part, piece.offset as usize) == (loading.parts, loading.buffer.len())
            && !piece.bytes.is_empty()
            && total == Some(piece.total.into())
            && ends <= piece.total as usize;
        if !fits {
            // It was asked for once more from another place, and this was on its way. Who sends nothing else is left for another.
            return self.give_back_credit(source);
        }
        loading.since_ms = now_ms;
        loading.buffer.extend_from_slice(&piece.bytes);
        loading.owed += piece.bytes.len() as u32;
        if ends == piece.total as usize
            && let Some(space) = space
        {
            let collection = loading.held.signed.head.statement.collection;
            self.part_came(link, space, collection, piece.part);
        }
    }

    /// A part is here as a whole: it is kept if its hash is right.
    fn part_came(&mut self, link: LinkId, space: SpaceId, collection: CollectionTag, part: u32) {
        let Some(loading) = self.spaces.get_mut(&space).and_then(|known| known.loading.get_mut(&collection)) else {
            return;
        };
        let (bytes, owed) = (std::mem::take(&mut loading.buffer), std::mem::take(&mut loading.owed));
        let source = Source::new(link, Class::Bulk, owed as usize, self.now.mono_ms);
        let right = match (part, &loading.contents) {
            (0, _) => crate::checkpoint::Manifest::decode(&bytes).is_ok_and(|m| m.signed == loading.held.signed),
            (_, Some(contents)) => {
                let chunk = contents.chunks.get(part as usize - 1);
                chunk.is_some_and(|chunk| chunk.hash == *blake3::hash(&bytes).as_bytes())
            }
            (_, None) => false,
        };
        if !right {
            let mixed = bytes.len() > owed as usize;
            self.give_back_credit(source);
            return match mixed {
                true => self.fetch(space, collection), // Whose bytes are wrong is not known: anew, whole.
                false => self.fault(link, "sent another checkpoint than it offered"),
            };
        }
        loading.parts += 1;
        let whole = loading.parts == loading.all_parts();
        if whole {
            (loading.link, loading.active) = (None, false);
        }
        let (slot, record) = (loading.held.slot, loading.held.coming(loading.parts));
        let ops =
            vec![StoreOp::PutPart { slot, part, bytes }, StoreOp::PutCheckpoint { space, collection, slot, record }];
        let goes_on = loading.contents.is_none() || whole;
        let mut effects = vec![Effect::Credit(source)];
        if goes_on {
            effects.push(Effect::PartsKept { space, collection, slot });
        }
        self.store(ops, effects);
        if whole {
            self.fetch_next(space, link);
        }
    }

    pub(super) fn parts_kept(&mut self, at: At) {
        if self.loading(at).is_some() {
            self.load_on(at.0, at.1);
        }
    }

    /// A part was read back.
    pub(super) fn on_own_part(&mut self, at: At, part: u32, bytes: Option<Vec<u8>>) {
        let (space, collection, slot) = at;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(loading) = known.loading.get_mut(&collection).filter(|loading| loading.held.slot == slot) else {
            return;
        };
        let key = known.keys.get(&loading.held.signed.head.epoch).map(|key| seal::content_key(key, &collection));
        let (Some(bytes), Some(key)) = (bytes, key) else {
            return self.refuse_checkpoint(space, collection, slot, "a part of it is missing in the store");
        };
        match loading.stage {
            _ if part == 0 => self.checkpoint_step(at, CheckpointJob::Open { manifest: bytes, key }),
            Stage::Checking(_) => {
                let chunk = sealed_chunk(&loading.held, key, part, bytes);
                let Some(checker) = loading.checker.take() else { return };
                self.checkpoint_step(at, CheckpointJob::Check { checker, chunk });
            }
            Stage::Restoring(_) => {
                loading.ready.push(bytes);
                self.load_on(space, collection);
            }
            Stage::Fetching => {}
        }
    }

    fn checkpoint_step(&mut self, (space, collection, slot): At, job: CheckpointJob) {
        self.job(Job::Checkpoint(Box::new(job)), JobPurpose::Checkpoint { space, collection, slot });
    }

    pub(super) fn on_opened_manifest(&mut self, at: At, contents: Result<Box<Contents>, String>) {
        let (space, collection, slot) = at;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        if known.attesting.get(&collection).is_some_and(|attesting| attesting.slot() == slot) {
            return self.on_attested_manifest(at, contents);
        }
        let Some(loading) = known.loading.get_mut(&collection).filter(|loading| loading.held.slot == slot) else {
            return;
        };
        let contents = contents.and_then(|contents| {
            let may_write = |closing: &crate::entry::Closing| {
                let role = known.roster.role_at(&closing.header.roster_heads, &closing.header.journal.device);
                matches!(role, Ok(Some(role)) if role.can_write())
            };
            match contents.closings.iter().all(may_write) {
                true => Ok(contents),
                false => Err("it closes a journal of a device that may not write".to_owned()),
            }
        });
        match contents {
            Ok(contents) => {
                loading.held.entries = contents.closings.iter().map(|closing| closing.header.seq).sum();
                loading.contents = Some(contents);
                self.load_on(space, collection);
            }
            Err(reason) => self.refuse_checkpoint(space, collection, slot, &reason),
        }
    }

    pub(super) fn on_checked(&mut self, at: At, checker: Box<Checker>, lives: Result<BTreeSet<LifeId>, String>) {
        let (space, collection, slot) = at;
        let Some(loading) = self.loading(at) else { return };
        let Stage::Checking(part) = loading.stage else { return };
        let lives = match lives {
            Ok(lives) => lives,
            Err(reason) => return self.refuse_checkpoint(space, collection, slot, &reason),
        };
        if loading.groups.last().is_none_or(|group| group.last > 0) {
            loading.groups.push(Group { first: part, ..Group::default() });
        }
        if let Some(group) = loading.groups.last_mut() {
            group.lives.extend(lives);
            if !checker.goes_on() {
                group.last = part;
            }
        }
        loading.checker = Some(checker);
        loading.stage = Stage::Checking(part + 1);
        self.load_on(space, collection);
    }

    /// All chunks are checked: the state root decides.
    fn checked_all(&mut self, at: At) {
        let (space, collection, slot) = at;
        let Some(loading) = self.loading(at) else { return };
        let statement = loading.held.signed.head.statement.clone();
        let right = loading.checker.take().ok_or("it was not checked".to_owned());
        match right.and_then(|checker| checker.finish(&statement)) {
            Ok(()) => {
                loading.stage = Stage::Restoring(0);
                self.load_on(space, collection);
            }
            Err(reason) => self.refuse_checkpoint(space, collection, slot, &reason),
        }
    }

    /// The next documents are worked on; called when the collection is idle.
    pub(super) fn start_restore(&mut self, space: SpaceId, collection: CollectionTag) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(loading) = known.loading.get(&collection) else { return };
        let Stage::Restoring(next) = loading.stage else { return };
        let Some(group) = loading.groups.get(next) else { return };
        let touched: BTreeSet<DocumentId> = group.lives.iter().map(|(document, _)| *document).collect();
        let lives = group.lives.clone();
        if let Some(work) = known.collections.get_mut(&collection) {
            work.busy = Busy::Restoring(lives);
        }
        self.gather(space, collection, &touched, &BTreeSet::new());
    }

    /// The documents are at hand.
    pub(super) fn restore_job(
        &mut self,
        space: SpaceId,
        collection: CollectionTag,
        documents: Vec<(crate::id::DocKey, DocSource)>,
        former: Vec<(crate::id::DocKey, u32, DocSource)>,
    ) -> Option<Job> {
        let known = self.spaces.get_mut(&space)?;
        let edit_wins = known.edit_wins(&collection);
        let loading = known.loading.get_mut(&collection)?;
        let Stage::Restoring(next) = loading.stage else { return None };
        let first = loading.groups.get(next)?.first;
        let key = known.keys.get(&loading.held.signed.head.epoch).map(|key| seal::content_key(key, &collection))?;
        let reading = Reading::new(&loading.held.signed.head.statement, loading.contents.as_ref()?);
        let parts = std::mem::take(&mut loading.ready).into_iter().zip(first..);
        let chunks = parts.map(|(bytes, part)| sealed_chunk(&loading.held, key.clone(), part, bytes)).collect();
        let job = RestoreJob { space, collection, chunks, reading, edit_wins, documents, former };
        Some(Job::Restore(Box::new(job)))
    }

    pub(super) fn on_restored(&mut self, space: SpaceId, collection: CollectionTag, restored: Restored) {
        let Restored { brought, failed, documents } = restored;
        let PutBack { ops, changed } = self.put_back(documents);
        self.retry_lacking(space, collection, &brought);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        if let Some(work) = known.collections.get_mut(&collection) {
            work.busy = Busy::Idle;
        }
        let Some(loading) = known.loading.get_mut(&collection) else { return };
        let slot = loading.held.slot;
        if let Some(reason) = failed {
            self.refuse_checkpoint(space, collection, slot, &reason);
            return self.pump(space, collection);
        }
        if let Stage::Restoring(next) = &mut loading.stage {
            *next += 1;
        }
        let changed = Effect::Changed { space, collection, documents: changed, remote: true };
        self.store(ops, vec![changed, Effect::PartsKept { space, collection, slot }]);
        self.pump(space, collection);
    }

    /// Every document is here: the journals stand at the frontier, and what follows is asked for.
    fn finish_loading(&mut self, space: SpaceId, collection: CollectionTag) {
        // The journals' states may speak of entries that are not in a batch yet: they come first.
        self.flush(space, collection);
        let (me, incarnation) = (self.device(), self.identity.incarnation);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(loading) = known.loading.get(&collection) else { return };
        let (slot, held) = (loading.held.slot, loading.held.clone());
        let Some(contents) = loading.contents.as_ref() else { return };
        let closings = contents.closings.clone();
        let contradicts = closings.iter().any(|closing| {
            let mine = known.journals.get(&closing.header.journal);
            mine.is_some_and(|mine| mine.state.closed && mine.state.applied < closing.header.seq)
        });
        let new = closings.iter().filter(|closing| !known.journals.contains_key(&closing.header.journal)).count();
        if known.journals.len() + new > JOURNALS {
            return self.refuse_checkpoint(space, collection, slot, "the space would have too many journals");
        }
        if contradicts {
            return self.refuse_checkpoint(space, collection, slot, "it holds entries that broke the rules");
        }
        let (mut reached, mut ahead) = (Vec::new(), false);
        for closing in &closings {
            let (id, position) = (closing.header.journal, closing.position());
            let arrival = known.next_arrival();
            let journal = known.journals.entry(id).or_insert_with(Journal::empty);
            if journal.state.held.seq < position.seq {
                ahead |= (id.device, id.incarnation) == (me, incarnation);
                (journal.state.held, journal.state.floor, journal.state.arrival) = (position, position.seq, arrival);
                journal.state.cites.clone_from(&closing.header.roster_heads);
                if journal.receiving.seq < position.seq {
                    journal.reset_receiving();
                }
                reached.push((id, position, arrival));
            }
            journal.state.applied = journal.state.applied.max(position.seq);
            journal.lacks = None;
            let (applied, done) = (journal.state.applied, journal.state.applied >= journal.state.held.seq);
            let passed: Vec<u64> = journal.opened.range(..=applied).map(|(seq, _)| *seq).collect();
            passed.into_iter().for_each(|seq| drop(known.forget_opened(&id, seq)));
            known.partials.remove(&id);
            known.asked.remove(&id);
            if done && let Some(work) = known.collections.get_mut(&collection) {
                work.unapplied.remove(&id);
            }
        }
        known.loading.remove(&collection);
        let mut ops: Vec<StoreOp> =
            closings.iter().filter_map(|closing| known.journal_op(closing.header.journal)).collect();
        ops.extend(self.hold_ops(space, collection, &held));
        let loaded = Event::CheckpointLoaded { space, collection, entries: held.entries };
        let effects = vec![
            Effect::CheckpointHeld { space, collection, held: Box::new(held) },
            Effect::JournalsReached { space, collection, reached },
            Effect::Notify(loaded),
        ];
        if ahead {
            self.own_journal_ahead(space, "a checkpoint holds entries of this device that its store does not");
        }
        self.store(ops, effects);
    }

    /// Journals durably stand where a checkpoint has brought them.
    pub(super) fn journals_reached(
        &mut self,
        space: SpaceId,
        collection: CollectionTag,
        reached: Vec<(JournalId, Position, u64)>,
    ) {
        for (id, position, arrival) in &reached {
            let Some(known) = self.spaces.get_mut(&space) else { return };
            known.durable_arrival = known.durable_arrival.max(*arrival);
            if let Some(journal) = known.journals.get_mut(id).filter(|journal| journal.durable.seq < position.seq) {
                (journal.durable, journal.durable_arrival) = (*position, *arrival);
            }
            self.shown_changed(space, *id);
        }
        for (id, position, _) in &reached {
            let agreed = |state: &Link| state.space(space).is_some_and(|shared| shared.scopes.agreed(id));
            let links = self.links.iter().filter(|(_, state)| agreed(state));
            for link in links.map(|(link, _)| *link).collect::<Vec<LinkId>>() {
                self.owe_receipt(link, space, *id, position.seq);
            }
            self.caught_up(space, *id);
        }
        self.ask_collection(space, collection);
        self.tell_reached(space, collection);
        self.pump(space, collection);
    }

    /// Journals went further without an entry that could be pushed: compare anew with all but those who have the same checkpoint.
    fn tell_reached(&mut self, space: SpaceId, collection: CollectionTag) {
        let held = self.spaces.get(&space).and_then(|known| known.checkpoints.get(&collection));
        let Some(id) = held.map(|held| held.signed.id) else { return };
        let has_it = |link: &LinkId| {
            let shared = self.links.get(link).and_then(|state| state.space(space));
            shared.and_then(|shared| shared.offers.get(&collection)).is_some_and(|(signed, _)| signed.id == id)
        };
        let shared = self.shared_spaces().into_iter();
        let others: Vec<LinkId> =
            shared.filter(|(link, of)| *of == space && !has_it(link)).map(|(link, _)| link).collect();
        others.into_iter().for_each(|link| self.restart_exchange(link, space));
    }

    /// Asks for the entries of a collection's journals that others offer and that no checkpoint brings.
    fn ask_collection(&mut self, space: SpaceId, collection: CollectionTag) {
        let offered =
            self.links.values().filter_map(|state| state.space(space)).flat_map(|shared| shared.offered.keys());
        let journals: BTreeSet<JournalId> = offered.filter(|id| id.collection == collection).copied().collect();
        journals.into_iter().for_each(|journal| self.ask(space, journal));
    }

    /// A checkpoint is not what it should be: the journals are taken instead.
    pub(super) fn refuse_checkpoint(&mut self, space: SpaceId, collection: CollectionTag, slot: Slot, reason: &str) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        if known.loading.get(&collection).is_none_or(|loading| loading.slot() != slot) {
            return;
        }
        let Some(loading) = known.loading.remove(&collection) else { return };
        let head = &loading.held.signed.head;
        if known.refused.len() >= REFUSED_STATEMENTS {
            known.refused.pop_first();
        }
        known.refused.insert(head.statement.hash());
        let (maker, reason) = (head.maker, reason.to_owned());
        let event = Event::CheckpointRefused { space, collection, maker, reason };
        self.store(vec![StoreOp::DropCheckpoint { space, collection, slot }], vec![Effect::Notify(event)]);
        self.ask_collection(space, collection);
        if let Some(link) = loading.link {
            self.fetch_next(space, link);
        }
    }

    /// Goes on with another peer that offers the same, or without; called when a link is gone or too slow.
    pub(super) fn seek_checkpoint(&mut self, space: SpaceId, collection: CollectionTag, not: LinkId) {
        let now_ms = self.now.mono_ms;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(loading) = known.loading.get_mut(&collection) else { return };
        let id = loading.held.signed.id;
        let offers = |state: &super::link::Link| {
            state
                .space(space)
                .is_some_and(|shared| shared.offers.get(&collection).is_some_and(|(head, _)| head.id == id))
        };
        let other = self.links.iter().find(|(link, state)| **link != not && offers(state)).map(|(link, _)| *link);
        (loading.link, loading.active, loading.since_ms, loading.owed) = (other, false, now_ms, 0);
        match other {
            Some(_) if loading.contents.is_some() || loading.parts == 0 => self.fetch(space, collection),
            Some(_) => {}
            None => self.ask_collection(space, collection),
        }
        self.fetch_next(space, not);
    }

    /// A peer offers another checkpoint than the one that it was sending: that one is given up.
    pub(super) fn checkpoint_replaced(
        &mut self,
        link: LinkId,
        space: SpaceId,
        collection: CollectionTag,
        id: CheckpointId,
    ) -> bool {
        let Some(known) = self.spaces.get_mut(&space) else { return false };
        let Some(loading) = known.loading.get_mut(&collection) else { return false };
        let replaced = loading.link == Some(link) && loading.held.signed.id != id && loading.stage == Stage::Fetching;
        if replaced {
            (loading.link, loading.active) = (None, false);
        }
        replaced
    }

    /// What is compared on a link has changed: a checkpoint that is no longer wanted stops coming in, and going out. What is
    /// here of it stays, and it goes on from there when it is wanted again.
    pub(super) fn stop_unwanted(&mut self, link: LinkId, space: SpaceId) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        let of_slot = |slot: Slot| known.checkpoints.values().find(|held| held.slot == slot);
        let sent = shared.fetching.and_then(|fetching| of_slot(fetching.slot));
        if sent.is_some_and(|held| !shared.scopes.theirs.wants(&held.signed.head.statement.collection)) {
            shared.fetching = None;
        }
        let wanted = &known.scope;
        let unwanted = known.loading.iter_mut().filter(|(collection, loading)| {
            loading.link == Some(link) && loading.stage == Stage::Fetching && !wanted.wants(collection)
        });
        let mut owed = 0;
        for (_, loading) in unwanted {
            owed += std::mem::take(&mut loading.owed);
            (loading.link, loading.active) = (None, false);
        }
        if owed > 0 {
            self.give_back_credit(Source::new(link, Class::Bulk, owed as usize, self.now.mono_ms));
        }
        self.fetch_next(space, link);
    }

    /// Checkpoints that this link was sending.
    pub(super) fn checkpoint_link_down(&mut self, link: LinkId) {
        for (space, collection) in self.coming_on(|loading| loading.link == Some(link)) {
            self.seek_checkpoint(space, collection, link);
        }
    }

    /// Checkpoints of which nothing came for too long; says whether some are still coming.
    pub(super) fn check_loading(&mut self) -> bool {
        let now_ms = self.now.mono_ms;
        let late = |loading: &Loading| loading.active && loading.since_ms + ASK_MS <= now_ms;
        for (space, collection) in self.coming_on(late) {
            let loading = self.spaces.get(&space).and_then(|known| known.loading.get(&collection));
            let Some(link) = loading.and_then(|loading| loading.link) else { continue };
            if let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) {
                shared.offers.remove(&collection);
            }
            self.seek_checkpoint(space, collection, link);
        }
        !self.coming_on(|loading| loading.link.is_some() && loading.stage == Stage::Fetching).is_empty()
    }

    fn coming_on(&self, which: impl Fn(&Loading) -> bool) -> Vec<(SpaceId, CollectionTag)> {
        let spaces = self.spaces.values();
        let all = spaces.flat_map(|known| known.loading.iter().map(|(tag, loading)| (known.id, *tag, loading)));
        all.filter(|(.., loading)| which(loading)).map(|(space, collection, _)| (space, collection)).collect()
    }
}

fn sealed_chunk(held: &Held, key: ContentKey, part: u32, sealed: Vec<u8>) -> SealedChunk {
    SealedChunk { key, statement: held.signed.head.statement.clone(), index: part - 1, sealed }
}
