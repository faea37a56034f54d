//! Making and checking checkpoints, step by step: each step takes what is under way and gives it back.

use std::collections::BTreeSet;

use super::open::unseal;
use super::{Content, OpenTask};
use crate::batch::StoredDocument;
use crate::checkpoint::check::Checker;
use crate::checkpoint::pack::Filling;
use crate::checkpoint::survey::Survey;
use crate::checkpoint::{Contents, Manifest, Statement, chunk, open_chunk, seal_chunk};
use crate::id::{DocumentId, JournalId, OpHash};
use crate::seal::ContentKey;

/// One life of a document.
pub type LifeId = (DocumentId, u32);

/// A sealed chunk of a checkpoint, and what it takes to open it.
#[derive(Debug)]
pub struct SealedChunk {
    /// The key of the checkpoint's epoch.
    pub key: ContentKey,
    /// What the checkpoint says.
    pub statement: Statement,
    /// Which chunk, from 0.
    pub index: u32,
    /// Its bytes.
    pub sealed: Vec<u8>,
}

impl SealedChunk {
    /// Opens it.
    ///
    /// # Errors
    /// The maker's fault.
    pub(crate) fn open(&self) -> Result<Vec<chunk::Segment>, String> {
        let plain = open_chunk(&self.key, &self.statement, self.index, &self.sealed);
        plain.and_then(|plain| chunk::decode(&plain)).map_err(|error| error.to_string())
    }
}

/// One step.
#[derive(Debug)]
pub enum CheckpointJob {
    /// Opens a manifest and checks the signatures of its closing headers.
    Open {
        /// The manifest.
        manifest: Vec<u8>,
        /// The key of its epoch.
        key: ContentKey,
    },
    /// Takes over a chunk of the checkpoint that a survey goes on from.
    Seed {
        /// The survey.
        survey: Box<Survey>,
        /// The chunk.
        chunk: SealedChunk,
        /// The journals of its manifest.
        journals: Vec<JournalId>,
    },
    /// Takes entries into a survey.
    Survey {
        /// The survey.
        survey: Box<Survey>,
        /// Entries of this device's own store.
        entries: Vec<OpenTask>,
    },
    /// Ends a survey.
    State {
        /// The survey.
        survey: Box<Survey>,
        /// The roster that it is evaluated at.
        roster_heads: Vec<OpHash>,
    },
    /// Packs documents into chunks.
    Pack {
        /// The survey.
        survey: Box<Survey>,
        /// What is left of the documents before.
        filling: Filling,
        /// Lives in order, as they are stored now.
        documents: Vec<(LifeId, Option<StoredDocument>)>,
        /// What the checkpoint says.
        statement: Statement,
        /// The number of the next chunk.
        next: u32,
        /// What to seal under.
        key: ContentKey,
        /// Whether these are the last lives.
        last: bool,
    },
    /// Checks a chunk of a checkpoint that came from others.
    Check {
        /// What the chunks before gave.
        checker: Box<Checker>,
        /// The chunk.
        chunk: SealedChunk,
    },
}

/// What a step gave.
#[derive(Debug)]
pub enum CheckpointStep {
    /// What the manifest holds, or why it is refused: its maker's fault.
    Opened(Result<Box<Contents>, String>),
    /// The survey with more in it.
    Surveyed(Box<Survey>, Result<(), String>),
    /// The statement.
    Stated(Box<Survey>, Result<Statement, String>),
    /// Sealed chunks, and what is left for the next.
    Packed(Box<Survey>, Filling, Result<Vec<Vec<u8>>, String>),
    /// The lives that the chunk is of, or why it is refused: its maker's fault.
    Checked(Box<Checker>, Result<BTreeSet<LifeId>, String>),
}

pub(super) fn run(job: CheckpointJob) -> CheckpointStep {
    match job {
        CheckpointJob::Open { manifest, key } => CheckpointStep::Opened(open(&manifest, &key).map(Box::new)),
        CheckpointJob::Seed { mut survey, chunk, journals } => {
            let segments = chunk.open();
            let taken = segments.and_then(|all| all.iter().try_for_each(|segment| survey.seed(segment, &journals)));
            CheckpointStep::Surveyed(survey, taken)
        }
        CheckpointJob::Survey { mut survey, entries } => {
            let taken = entries.into_iter().try_for_each(|task| take(&mut survey, &task));
            CheckpointStep::Surveyed(survey, taken)
        }
        CheckpointJob::State { survey, roster_heads } => {
            let statement = survey.statement(roster_heads);
            CheckpointStep::Stated(survey, statement)
        }
        CheckpointJob::Pack { survey, mut filling, documents, statement, next, key, last } => {
            let packed = pack(&survey, &mut filling, documents, last);
            let seal = |(plain, index): (Vec<u8>, u32)| seal_chunk(&key, &statement, next + index, &plain);
            let sealed = packed.map(|chunks| chunks.into_iter().zip(0..).map(seal).collect());
            CheckpointStep::Packed(survey, filling, sealed)
        }
        CheckpointJob::Check { mut checker, chunk } => {
            let lives = chunk.open().and_then(|segments| checker.take(&segments));
            CheckpointStep::Checked(checker, lives)
        }
    }
}

fn open(manifest: &[u8], key: &ContentKey) -> Result<Contents, String> {
    let contents = Manifest::decode(manifest).and_then(|manifest| manifest.open(key)).map_err(|e| e.to_string())?;
    match contents.closings.iter().all(|closing| closing.verify()) {
        true => Ok(contents),
        false => Err("a closing header is not signed by its author".to_owned()),
    }
}

fn take(survey: &mut Survey, task: &OpenTask) -> Result<(), String> {
    let key = task.key.as_ref().ok_or("the key of an entry that was applied is not here")?;
    match unseal(&task.entry, key) {
        Content::Items(items, _) => survey.add(&task.entry, &items),
        other => Err(format!("an entry that was applied does not open: {other:?}")),
    }
}

fn pack(
    survey: &Survey,
    filling: &mut Filling,
    documents: Vec<(LifeId, Option<StoredDocument>)>,
    last: bool,
) -> Result<Vec<Vec<u8>>, String> {
    let mut chunks = Vec::new();
    for ((document, generation), stored) in documents {
        let stored = stored.ok_or_else(|| format!("document {document} is not in the store"))?;
        for segment in survey.pack(document, generation, &stored)? {
            chunks.extend(filling.add(segment)?);
        }
    }
    if last {
        chunks.extend(filling.finish()?);
    }
    Ok(chunks)
}
