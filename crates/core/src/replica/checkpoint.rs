//! Making a checkpoint, and keeping it.
//!
//! First the journals are surveyed up to where they are applied at that moment, from the last checkpoint on if there is one; then the
//! documents are packed, cut back to that frontier. Edits go on meanwhile. Each step is a load and a job; chunks are kept as they
//! are made, and count from the batch on that holds the manifest.

use std::collections::{BTreeMap, VecDeque};

use super::durable::Effect;
use super::{JobPurpose, LoadPurpose, Replica};
use crate::batch::{Load, Slot, StoreOp};
use crate::bytes::{DecodeError, Reader, Writer};
use crate::checkpoint::pack::Filling;
use crate::checkpoint::survey::Survey;
use crate::checkpoint::{Attestation, ChunkInfo, Contents, Draft, Manifest, SignedHead, Statement};
use crate::entry::Entry;
use crate::id::{CollectionTag, EpochId, JournalId, OpHash, Position, SpaceId};
use crate::input::RequestId;
use crate::job::{CheckpointJob, CheckpointStep, Job, LifeId, OpenTask, SealedChunk};
use crate::limits::{
    ATTESTATIONS, CHECKPOINT_BYTES, CHECKPOINT_CHUNKS, CHECKPOINT_ENTRY_BYTES, CHECKPOINT_TIMES, LEAST_ENTRY_BYTES,
    MANIFEST_HEAD_BYTES, SURVEY_BYTES,
};
use crate::output::{CheckpointMade, Event, Reply, RequestError};
use crate::role::Role;
use crate::seal::{self, EpochKey};

/// A checkpoint that is in this device's store, whole.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) slot: Slot,
    pub(super) signed: SignedHead,
    pub(super) attestations: Vec<Attestation>,
    /// Entries that it stands for.
    pub(super) entries: u64,
}

/// What a store keeps of a checkpoint.
#[derive(Debug)]
pub(super) enum Kept {
    Whole(Held),
    /// Parts that came, from the first on.
    Coming(Held, u32),
    /// Begun, and never finished.
    Made,
}

const RECORD_VERSION: u8 = 1;
const WHOLE: u8 = 1;
const COMING: u8 = 2;
const MADE: u8 = 3;

impl Held {
    pub(super) fn whole(&self) -> Vec<u8> {
        self.record(WHOLE, 0)
    }

    pub(super) fn coming(&self, parts: u32) -> Vec<u8> {
        self.record(COMING, parts)
    }

    fn record(&self, state: u8, parts: u32) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(RECORD_VERSION).u8(state).u32(parts).u64(self.entries).bytes(self.signed.as_bytes());
        w.count(self.attestations.len());
        self.attestations.iter().for_each(|attestation| attestation.write(&mut w));
        w.finish()
    }
}

impl Kept {
    pub(super) fn read(slot: Slot, bytes: &[u8]) -> Result<Kept, DecodeError> {
        let mut r = Reader::new(bytes);
        if r.u8("checkpoint record version")? != RECORD_VERSION {
            return Err(DecodeError::Invalid { field: "checkpoint record version" });
        }
        let state = r.u8("state")?;
        if state == MADE {
            return Ok(Kept::Made);
        }
        let (parts, entries) = (r.u32("parts")?, r.u64("entries")?);
        let signed = SignedHead::decode(r.bytes(MANIFEST_HEAD_BYTES, "manifest head")?)?;
        let mut attestations = Vec::new();
        for _ in 0..r.count(ATTESTATIONS, Attestation::BYTES, "attestations")? {
            attestations.push(Attestation::read(&mut r)?);
        }
        r.end()?;
        let held = Held { slot, signed, attestations, entries };
        match state {
            WHOLE => Ok(Kept::Whole(held)),
            COMING => Ok(Kept::Coming(held, parts)),
            _ => Err(DecodeError::Invalid { field: "state" }),
        }
    }
}

/// The checkpoint that a survey goes on from.
#[derive(Debug)]
struct Base {
    slot: Slot,
    statement: Statement,
    key: EpochKey,
    journals: Vec<JournalId>,
    /// The next chunk to take over, of so many.
    next: u32,
    chunks: u32,
}

/// A checkpoint being made.
#[derive(Debug)]
pub(super) struct Making {
    slot: Slot,
    /// Who asked for it.
    requests: Vec<RequestId>,
    epoch: EpochId,
    key: EpochKey,
    roster_heads: Vec<OpHash>,
    base: Option<Base>,
    /// What is left to survey: journals, the next entry and the last.
    ranges: VecDeque<(JournalId, u64, u64)>,
    /// With the job, while one runs.
    survey: Option<Box<Survey>>,
    statement: Option<Statement>,
    filling: Filling,
    /// The last life that was packed.
    packed: Option<LifeId>,
    /// Whether all lives were handed to a job.
    last: bool,
    chunks: Vec<ChunkInfo>,
    /// Set if it is somebody else's, to be compared and not made.
    claimed: Option<Statement>,
}

impl Making {
    /// At its beginning: nothing is surveyed, and nobody has asked.
    fn new(
        slot: Slot,
        (epoch, key): (EpochId, EpochKey),
        roster_heads: Vec<OpHash>,
        ranges: VecDeque<(JournalId, u64, u64)>,
        survey: Survey,
    ) -> Making {
        Making {
            slot,
            requests: Vec::new(),
            epoch,
            key,
            roster_heads,
            base: None,
            ranges,
            survey: Some(Box::new(survey)),
            statement: None,
            filling: Filling::default(),
            packed: None,
            last: false,
            chunks: Vec::new(),
            claimed: None,
        }
    }
}

impl Replica {
    /// The app asks for a checkpoint.
    pub(super) fn ask_checkpoint(
        &mut self,
        id: RequestId,
        space: SpaceId,
        collection: CollectionTag,
    ) -> Result<(), RequestError> {
        self.require(space, Role::Writer, "make a checkpoint", Role::can_write)?;
        let known = self.space_mut(space)?;
        if !known.catalogue.contains_key(&collection) {
            return Err(RequestError::UnknownCollection(collection.to_string()));
        }
        if known.loading.contains_key(&collection) {
            return Err(RequestError::Invalid("a checkpoint of this collection is just coming in from a peer".into()));
        }
        if let Some(making) = known.making.get_mut(&collection) {
            making.requests.push(id);
            return Ok(());
        }
        self.begin_checkpoint(space, collection, vec![id])
    }

    /// Begins a checkpoint of what is durably applied now.
    fn begin_checkpoint(
        &mut self,
        space: SpaceId,
        collection: CollectionTag,
        requests: Vec<RequestId>,
    ) -> Result<(), RequestError> {
        let slot = self.entropy.array();
        let known = self.space_mut(space)?;
        let (epoch, key) = known.sealing_key().ok_or(RequestError::NoKey)?;
        let of_it = known.journals.iter().filter(|(id, _)| id.collection == collection);
        let applied = of_it.map(|(id, journal)| (*id, journal.durable_applied, journal.state.floor));
        let applied: Vec<_> = applied.filter(|(_, to, _)| *to > 0).collect();
        if applied.is_empty() {
            return Err(RequestError::Invalid(
                "the collection holds nothing yet: there is nothing to checkpoint".into(),
            ));
        }
        let held = known.checkpoints.get(&collection).cloned();
        let below_floor = applied.iter().any(|(_, _, floor)| *floor > 0);
        let base = match &held {
            Some(held) => known.keys.get(&held.signed.head.epoch).map(|key| (held.clone(), key.clone())),
            None => None,
        };
        if below_floor && base.is_none() {
            return Err(RequestError::Invalid(
                "this device began with a checkpoint that it does not have any more; ask another member".into(),
            ));
        }
        let journals = applied.iter().map(|(id, ..)| *id).collect();
        let survey = Survey::new(space, collection, journals).map_err(RequestError::Invalid)?;
        let ranges = applied.iter().map(|(id, to, _)| (*id, 1, *to)).collect();
        let making = Making { requests, ..Making::new(slot, (epoch, key), known.roster.heads(), ranges, survey) };
        known.making.insert(collection, making);
        match base {
            None => self.make_on(space, collection),
            Some((held, key)) => {
                let purpose = LoadPurpose::BaseManifest { space, collection, slot, held: Box::new(held.clone()), key };
                self.load(Load::Part { slot: held.slot, part: 0 }, purpose);
            }
        }
        Ok(())
    }

    /// Surveys the journals up to the frontier of somebody else's checkpoint.
    pub(super) fn begin_attesting(
        &mut self,
        space: SpaceId,
        collection: CollectionTag,
        frontier: BTreeMap<JournalId, u64>,
        claimed: Statement,
    ) {
        let slot = self.entropy.array();
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some((epoch, key)) = known.sealing_key() else { return };
        let Ok(survey) = Survey::new(space, collection, frontier.keys().copied().collect()) else { return };
        let ranges = frontier.into_iter().map(|(id, to)| (id, 1, to)).collect();
        let heads = claimed.roster_heads.clone();
        let making = Making { claimed: Some(claimed), ..Making::new(slot, (epoch, key), heads, ranges, survey) };
        known.making.insert(collection, making);
        self.make_on(space, collection);
    }

    /// The comparison is done. Who asked for a checkpoint meanwhile gets one.
    fn end_attesting(&mut self, space: SpaceId, collection: CollectionTag) {
        let making = self.spaces.get_mut(&space).and_then(|known| known.making.remove(&collection));
        let requests = making.map(|making| making.requests).unwrap_or_default();
        if requests.is_empty() {
            return;
        }
        if let Err(error) = self.begin_checkpoint(space, collection, requests.clone()) {
            requests.into_iter().for_each(|id| self.reply(id, Err(error.clone())));
        }
    }

    /// The manifest of the checkpoint to go on from was read.
    pub(super) fn on_base(
        &mut self,
        (space, collection, slot): (SpaceId, CollectionTag, Slot),
        held: &Held,
        key: EpochKey,
        manifest: Option<Vec<u8>>,
    ) {
        let content_key = seal::content_key(&key, &collection);
        let read = manifest.ok_or("its manifest is missing".to_owned()).and_then(|bytes| {
            let manifest = Manifest::decode(&bytes).map_err(|error| error.to_string())?;
            manifest.open(&content_key).map_err(|error| error.to_string())
        });
        let seeded = read.and_then(|contents| self.seed_journals((space, collection, slot), held, key, &contents));
        match seeded {
            Ok(()) => self.make_on(space, collection),
            Err(reason) => self.fail_checkpoint(space, collection, &format!("the checkpoint before it: {reason}")),
        }
    }

    fn seed_journals(
        &mut self,
        (space, collection, slot): (SpaceId, CollectionTag, Slot),
        held: &Held,
        key: EpochKey,
        contents: &Contents,
    ) -> Result<(), String> {
        let making = self.making(space, collection, slot).ok_or("it was given up")?;
        let survey = making.survey.as_mut().ok_or("its survey is lost")?;
        survey.seed_journals(contents, held.signed.head.entry_bytes)?;
        for closing in &contents.closings {
            let position = closing.position();
            for (id, next, to) in &mut making.ranges {
                if *id == closing.header.journal {
                    if *to < position.seq {
                        return Err("it is ahead of what is applied".into());
                    }
                    *next = position.seq + 1;
                }
            }
        }
        making.base = Some(Base {
            slot: held.slot,
            statement: held.signed.head.statement.clone(),
            key,
            journals: contents.journals(),
            next: 1,
            chunks: held.signed.head.chunks,
        });
        Ok(())
    }

    fn making(&mut self, space: SpaceId, collection: CollectionTag, slot: Slot) -> Option<&mut Making> {
        self.spaces.get_mut(&space)?.making.get_mut(&collection).filter(|making| making.slot == slot)
    }

    /// Takes the next step.
    pub(super) fn make_on(&mut self, space: SpaceId, collection: CollectionTag) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(making) = known.making.get_mut(&collection) else { return };
        let slot = making.slot;
        if let Some(base) = making.base.as_ref().filter(|base| base.next <= base.chunks) {
            let load = Load::Part { slot: base.slot, part: base.next };
            return self.load(load, LoadPurpose::BaseChunk { space, collection, slot });
        }
        while making.ranges.front().is_some_and(|(_, next, to)| next > to) {
            making.ranges.pop_front();
        }
        if let Some((journal, from, to)) = making.ranges.front().copied() {
            let skip = known.journals.get(&journal).map_or(Position::START, |journal| journal.state.fork);
            let load = Load::Entries { space, journal, from, to, limit_bytes: SURVEY_BYTES, skip };
            return self.load(load, LoadPurpose::Survey { space, collection, slot });
        }
        if making.statement.is_none() {
            let (Some(survey), roster_heads) = (making.survey.take(), making.roster_heads.clone()) else { return };
            return self.checkpoint_job((space, collection, slot), CheckpointJob::State { survey, roster_heads });
        }
        if making.last {
            return self.finish_checkpoint(space, collection);
        }
        let Some(survey) = making.survey.as_ref() else { return };
        let lives = survey.lives_from(making.packed, SURVEY_BYTES as u64);
        making.last = lives.last().is_none_or(|last| survey.lives_from(Some(*last), 0).is_empty());
        making.packed = lives.last().copied().or(making.packed);
        let key = |(document, generation): &LifeId| {
            (crate::id::DocKey { space, collection, document: *document }, *generation)
        };
        let load = Load::Lives(lives.iter().map(key).collect());
        self.load(load, LoadPurpose::Pack { space, collection, slot, lives });
    }

    fn checkpoint_job(&mut self, (space, collection, slot): (SpaceId, CollectionTag, Slot), job: CheckpointJob) {
        self.job(Job::Checkpoint(Box::new(job)), JobPurpose::Checkpoint { space, collection, slot });
    }

    pub(super) fn on_base_chunk(&mut self, at: (SpaceId, CollectionTag, Slot), sealed: Option<Vec<u8>>) {
        let (space, collection, slot) = at;
        let Some(making) = self.making(space, collection, slot) else { return };
        let (Some(base), Some(survey)) = (making.base.as_mut(), making.survey.take()) else { return };
        let Some(sealed) = sealed else {
            return self.fail_checkpoint(space, collection, "a chunk of the checkpoint before it is missing");
        };
        let key = seal::content_key(&base.key, &collection);
        let chunk = SealedChunk { key, statement: base.statement.clone(), index: base.next - 1, sealed };
        base.next += 1;
        let journals = base.journals.clone();
        self.checkpoint_job(at, CheckpointJob::Seed { survey, chunk, journals });
    }

    pub(super) fn on_surveyed_entries(
        &mut self,
        at: (SpaceId, CollectionTag, Slot),
        entries: Vec<(Position, Vec<u8>)>,
    ) {
        let (space, collection, slot) = at;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(making) = known.making.get_mut(&collection).filter(|making| making.slot == slot) else { return };
        let mut tasks = Vec::with_capacity(entries.len());
        for (position, bytes) in entries {
            let Some(range) = making.ranges.front_mut().filter(|range| range.1 == position.seq) else { break };
            let Ok(entry) = Entry::decode(bytes) else { break };
            range.1 += 1;
            let key = known.keys.get(&entry.header.epoch).cloned();
            tasks.push(OpenTask { entry: std::sync::Arc::new(entry), verify: false, key });
        }
        let Some(survey) = making.survey.take().filter(|_| !tasks.is_empty()) else {
            return self.fail_checkpoint(space, collection, "entries that the store should hold are not there");
        };
        self.checkpoint_job(at, CheckpointJob::Survey { survey, entries: tasks });
    }

    pub(super) fn on_lives(
        &mut self,
        at: (SpaceId, CollectionTag, Slot),
        lives: Vec<LifeId>,
        found: Vec<Option<crate::batch::StoredDocument>>,
    ) {
        let (space, collection, slot) = at;
        let Some(making) = self.making(space, collection, slot) else { return };
        let (Some(survey), Some(statement)) = (making.survey.take(), making.statement.clone()) else { return };
        let (filling, next, last) = (std::mem::take(&mut making.filling), making.chunks.len() as u32, making.last);
        let key = seal::content_key(&making.key, &collection);
        let documents = lives.into_iter().zip(found).collect();
        self.checkpoint_job(at, CheckpointJob::Pack { survey, filling, documents, statement, next, key, last });
    }

    pub(super) fn on_checkpoint_step(&mut self, at: (SpaceId, CollectionTag, Slot), step: CheckpointStep) {
        let (space, collection, slot) = at;
        match step {
            CheckpointStep::Opened(contents) => self.on_opened_manifest(at, contents),
            CheckpointStep::Checked(checker, lives) => self.on_checked(at, checker, lives),
            CheckpointStep::Surveyed(survey, taken) => {
                let Some(making) = self.making(space, collection, slot) else { return };
                making.survey = Some(survey);
                match taken {
                    Ok(()) => self.make_on(space, collection),
                    Err(reason) => self.fail_checkpoint(space, collection, &reason),
                }
            }
            CheckpointStep::Stated(survey, statement) => {
                let Some(making) = self.making(space, collection, slot) else { return };
                making.survey = Some(survey);
                match statement {
                    Ok(statement) => match making.claimed.take() {
                        Some(claimed) => {
                            self.attest(space, collection, &claimed, &statement);
                            self.end_attesting(space, collection);
                        }
                        None => {
                            making.statement = Some(statement);
                            self.make_on(space, collection);
                        }
                    },
                    Err(reason) => self.fail_checkpoint(space, collection, &reason),
                }
            }
            CheckpointStep::Packed(survey, filling, chunks) => {
                let Some(making) = self.making(space, collection, slot) else { return };
                (making.survey, making.filling) = (Some(survey), filling);
                match chunks {
                    Ok(chunks) => self.keep_chunks(at, chunks),
                    Err(reason) => self.fail_checkpoint(space, collection, &reason),
                }
            }
        }
    }

    /// Chunks were made: they are kept before the next are.
    fn keep_chunks(&mut self, (space, collection, slot): (SpaceId, CollectionTag, Slot), chunks: Vec<Vec<u8>>) {
        let Some(making) = self.making(space, collection, slot) else { return };
        if chunks.is_empty() {
            return self.make_on(space, collection);
        }
        let mut ops = Vec::new();
        if making.chunks.is_empty() {
            ops.push(StoreOp::PutCheckpoint { space, collection, slot, record: vec![RECORD_VERSION, MADE] });
        }
        for bytes in chunks {
            making.chunks.push(ChunkInfo { hash: *blake3::hash(&bytes).as_bytes(), length: bytes.len() as u32 });
            ops.push(StoreOp::PutPart { slot, part: making.chunks.len() as u32, bytes });
        }
        if making.chunks.len() > CHECKPOINT_CHUNKS {
            return self.fail_checkpoint(space, collection, "it would have more chunks than a checkpoint may");
        }
        self.store(ops, vec![Effect::ChunksKept { space, collection, slot }]);
    }

    pub(super) fn chunks_kept(&mut self, space: SpaceId, collection: CollectionTag, slot: Slot) {
        if self.making(space, collection, slot).is_some() {
            self.make_on(space, collection);
        }
    }

    /// Everything is packed: manifest and word, and from the batch on that holds them it counts.
    fn finish_checkpoint(&mut self, space: SpaceId, collection: CollectionTag) {
        let (keys, time) = (self.keys(), self.clock.tick(self.now.wall_ms));
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(making) = known.making.get(&collection) else { return };
        let (Some(survey), Some(statement)) = (making.survey.as_ref(), making.statement.clone()) else { return };
        let made = survey.closings().and_then(|closings| {
            let entries = closings.iter().map(|closing| closing.header.seq).sum();
            let contents = Contents { closings, chunks: making.chunks.clone() };
            let (epoch, entry_bytes) = (making.epoch, survey.entry_bytes());
            let draft = Draft { statement: statement.clone(), epoch, time, entry_bytes };
            let manifest = Manifest::make(draft, &contents, &seal::content_key(&making.key, &collection), &keys);
            Ok((entries, manifest.map_err(|error| error.to_string())?))
        });
        let (entries, manifest) = match made {
            Ok(made) => made,
            Err(reason) => return self.fail_checkpoint(space, collection, &reason),
        };
        let Some(making) = known.making.remove(&collection) else { return };
        let attestations = vec![Attestation::sign(&statement, &keys)];
        let held = Held { slot: making.slot, signed: manifest.signed.clone(), attestations, entries };
        let part = StoreOp::PutPart { slot: held.slot, part: 0, bytes: manifest.as_bytes().to_vec() };
        let mut effects = vec![Effect::CheckpointHeld { space, collection, held: Box::new(held.clone()) }];
        let head = &held.signed.head;
        let made = CheckpointMade {
            lives: statement.lives,
            chunks: head.chunks,
            bytes: head.chunk_bytes + held.signed.manifest_bytes(),
            entry_bytes: head.entry_bytes,
        };
        effects.extend(making.requests.iter().map(|id| Effect::Reply(*id, Reply::Checkpoint(made))));
        effects.push(Effect::Notify(Event::CheckpointMade { space, collection, made }));
        let mut ops = vec![part];
        ops.extend(self.hold_ops(space, collection, &held));
        self.store(ops, effects);
    }

    /// What the store must do so that a checkpoint takes the place of the one before.
    pub(super) fn hold_ops(&self, space: SpaceId, collection: CollectionTag, held: &Held) -> Vec<StoreOp> {
        let mut ops = vec![StoreOp::PutCheckpoint { space, collection, slot: held.slot, record: held.whole() }];
        let before = self.spaces.get(&space).and_then(|known| known.checkpoints.get(&collection));
        ops.extend(before.map(|before| StoreOp::DropCheckpoint { space, collection, slot: before.slot }));
        ops
    }

    /// A checkpoint is durable and whole: it may be offered.
    pub(super) fn checkpoint_held(&mut self, space: SpaceId, collection: CollectionTag, held: Held) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        known.checkpoints.insert(collection, held);
        if let Some(work) = known.collections.get_mut(&collection) {
            work.bytes_since = 0;
        }
        if self.seeks_attestation(space) {
            let links: Vec<_> = self.shared_spaces().into_iter().filter(|(_, of)| *of == space).collect();
            links.into_iter().for_each(|(link, space)| self.send_offers(link, space));
        }
    }

    /// Gives a checkpoint up that is being made.
    pub(super) fn fail_checkpoint(&mut self, space: SpaceId, collection: CollectionTag, reason: &str) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(making) = known.making.remove(&collection) else { return };
        if !making.chunks.is_empty() {
            self.store(vec![StoreOp::DropCheckpoint { space, collection, slot: making.slot }], Vec::new());
        }
        for id in making.requests {
            let reason = format!("no checkpoint was made: {reason}");
            self.reply(id, Err(RequestError::Invalid(reason)));
        }
    }

    /// A step was lost with its job.
    pub(super) fn on_checkpoint_panicked(&mut self, (space, collection, slot): (SpaceId, CollectionTag, Slot)) {
        match self.making(space, collection, slot).is_some() {
            true => self.fail_checkpoint(space, collection, "it failed inside; please report this"),
            false => self.refuse_checkpoint(space, collection, slot, "it could not be checked"),
        }
    }

    /// Counts entries that came, and makes a checkpoint when one is due and this device is the one to make it.
    pub(super) fn checkpoint_due(&mut self, space: SpaceId, collection: CollectionTag) {
        let me = self.device();
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(work) = known.collections.get_mut(&collection) else { return };
        if work.bytes_unlooked < crate::limits::CHECKPOINT_LOOK_BYTES {
            return;
        }
        work.bytes_unlooked = 0;
        let bytes_since = work.bytes_since;
        if known.making.contains_key(&collection) || known.loading.contains_key(&collection) {
            return;
        }
        let held = known.checkpoints.get(&collection);
        let journals = known.journals.iter().filter(|(id, _)| id.collection == collection);
        let entries: u64 = journals.map(|(_, journal)| journal.durable.seq).sum();
        let since = entries.saturating_sub(held.map_or(0, |held| held.entries));
        let last = held.map_or(0, |held| held.signed.head.chunk_bytes);
        let due = bytes_since.max(since * LEAST_ENTRY_BYTES) >= CHECKPOINT_BYTES.max(CHECKPOINT_TIMES * last)
            && bytes_since <= since * CHECKPOINT_ENTRY_BYTES;
        // One makes it: else each admin's device would make its own.
        let first = |known: &super::space::Space| {
            known.roster.members().into_iter().find(|member| member.role.can_administer()).map(|member| member.device)
        };
        if due && first(known) == Some(me) {
            // If it cannot be made, the next entries ask again.
            let _ = self.begin_checkpoint(space, collection, Vec::new());
        }
    }
}
