//! Heavy pure work that leaves the replica as data and comes back as data.
//!
//! A job reads nothing but itself, so the node runs it on any worker and the simulator runs it inline, with the same result.

mod apply;
mod checkpoint;
mod open;
mod write;

pub use checkpoint::{CheckpointJob, CheckpointStep, LifeId, SealedChunk};
pub(crate) use write::op_bytes as edit_bytes;

use std::collections::BTreeSet;
use std::sync::Arc;

use thiserror::Error;

use crate::batch::{ContentOp, StoredDocument, ViewOp};
use crate::checkpoint::check::Reading;
use crate::document::EditError;
use crate::entry::{Entry, Header};
use crate::id::{CollectionTag, DocKey, DocumentId, JournalId, Position, SpaceId};
use crate::input::DocEdit;
use crate::keys::DeviceKeys;
use crate::limits::{NEW_DOCUMENTS_KEPT, SMALL_DOCUMENT_OPS, SMALL_ENTRY_BYTES};
use crate::payload::Item;
use crate::record::OpenDocument;
use crate::seal::EpochKey;

/// Whether the new documents of one job stay in memory: those that a person just made do, those of an import or of a first sync
/// would only push out what is used, at 17 KiB each, and be pushed out by the next ones.
fn keeps_new(new: usize) -> bool {
    new <= NEW_DOCUMENTS_KEPT
}

/// One piece of work.
#[derive(Debug)]
pub enum Job {
    /// Checks and unseals entries.
    Open(Vec<OpenTask>),
    /// Makes local edits and the entry that holds them.
    Write(Box<WriteJob>),
    /// Applies entries of others to documents.
    Apply(Box<ApplyJob>),
    /// One step of making or checking a checkpoint.
    Checkpoint(Box<CheckpointJob>),
    /// Brings chunks of a checked checkpoint into documents.
    Restore(Box<RestoreJob>),
}

/// What a [`Job`] gave.
#[derive(Debug)]
pub enum JobResult {
    /// In the order asked.
    Opened(Vec<Opened>),
    /// See [`Written`].
    Written(Box<Written>),
    /// See [`Applied`].
    Applied(Box<Applied>),
    /// See [`CheckpointStep`].
    Checkpoint(Box<CheckpointStep>),
    /// See [`Restored`].
    Restored(Box<Restored>),
    /// The job panicked: a fault of ours, or a hostile document that got through. What it held is lost from memory, not from
    /// the store.
    Panicked(String),
}

impl Job {
    /// Does the work. Cost: from 50 us to seconds, by size; never waits for anything.
    pub fn run(self) -> JobResult {
        match self {
            Job::Open(tasks) => JobResult::Opened(open::run(tasks)),
            Job::Write(job) => JobResult::Written(Box::new(write::run(*job))),
            Job::Apply(job) => JobResult::Applied(Box::new(apply::run(*job))),
            Job::Checkpoint(job) => JobResult::Checkpoint(Box::new(checkpoint::run(*job))),
            Job::Restore(job) => JobResult::Restored(Box::new(apply::restore(*job))),
        }
    }

    /// Whether the work takes some 200 us at most: one small entry, or one small edit, of small documents that are in memory.
    pub fn is_small(&self) -> bool {
        let small = |documents: &[(DocKey, DocSource)]| documents.iter().all(|(_, source)| source.is_small());
        match self {
            Job::Open(tasks) => matches!(&tasks[..], [task] if task.entry.is_small()),
            Job::Write(job) => {
                matches!(&job.edits[..], [edit] if edit_bytes(&edit.op) <= SMALL_ENTRY_BYTES) && small(&job.documents)
            }
            Job::Apply(job) => match &job.entries[..] {
                [entry] => entry.is_small() && job.former.is_empty() && small(&job.documents),
                _ => false,
            },
            Job::Checkpoint(_) | Job::Restore(_) => false,
        }
    }

    /// What kind of work, for a log.
    pub fn name(&self) -> &'static str {
        match self {
            Job::Open(_) => "open",
            Job::Write(_) => "write",
            Job::Apply(_) => "apply",
            Job::Checkpoint(_) => "checkpoint",
            Job::Restore(_) => "restore",
        }
    }
}

/// An entry to check and unseal.
#[derive(Debug)]
pub struct OpenTask {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Whether the signature must be checked; not for what this device's own store gave back.
    pub verify: bool,
    /// The key of its epoch, if it is here.
    pub key: Option<EpochKey>,
}

/// An entry that was checked.
#[derive(Debug)]
pub struct Opened {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Whether signature and hash are right; true when nobody asked.
    pub genuine: bool,
    /// What it holds.
    pub content: Content,
}

/// What is known of an entry's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The key is not here yet.
    NoKey,
    /// The author sealed something that no honest author seals: every member finds the same.
    Broken(String),
    /// Written by a newer version, in a form that this build does not know.
    Newer,
    /// The items and how many bytes they take.
    Items(Vec<Item>, usize),
    /// Not looked at, because entries before it filled the job: it is read again from the store.
    Unread,
}

/// A document to work on, from wherever it is. A clone of one from the cache costs little: see [`OpenDocument`].
#[derive(Debug, Clone)]
pub enum DocSource {
    /// From the cache.
    Open(Box<OpenDocument>),
    /// From the store.
    Stored(StoredDocument),
    /// Nowhere: it does not exist.
    Absent,
}

impl DocSource {
    /// What a store gave.
    pub(crate) fn stored(found: Option<StoredDocument>) -> DocSource {
        found.map_or(DocSource::Absent, DocSource::Stored)
    }

    /// Whether work on it takes little: nothing is to be loaded, and not much is there.
    fn is_small(&self) -> bool {
        match self {
            DocSource::Open(open) => open.record.ops <= SMALL_DOCUMENT_OPS,
            DocSource::Stored(_) => false,
            DocSource::Absent => true,
        }
    }

    /// Which life it is; 0 for none.
    pub(crate) fn generation(&self) -> u32 {
        match self {
            DocSource::Open(open) => open.record.generation,
            DocSource::Stored(stored) => stored.generation,
            DocSource::Absent => 0,
        }
    }

    fn open(self, keyed: bool) -> Result<OpenDocument, String> {
        match self {
            DocSource::Open(document) => Ok(*document),
            DocSource::Stored(stored) => OpenDocument::load(&stored),
            DocSource::Absent => Ok(OpenDocument::fresh(1, keyed)),
        }
    }
}

/// Local edits of one collection that will share an entry.
#[derive(Debug)]
pub struct WriteJob {
    /// The header as far as it is known: deps and the ciphertext's length and hash are filled in.
    pub header: Header,
    /// Who signs.
    pub keys: Arc<DeviceKeys>,
    /// What to seal under.
    pub key: EpochKey,
    /// Whether a concurrent edit beats a deletion in this collection.
    pub edit_wins: bool,
    /// The edits, in order.
    pub edits: Vec<DocEdit>,
    /// The present life of every document that they touch.
    pub documents: Vec<(DocKey, DocSource)>,
}

/// What local edits became.
#[derive(Debug)]
pub struct Written {
    /// The entry; `None` when no edit changed anything.
    pub entry: Option<Entry>,
    /// One for each edit: whether it changed something.
    pub results: Vec<Result<bool, WriteError>>,
    /// Every document, changed or not.
    pub documents: Vec<WorkedDocument>,
}

/// A document after work on it.
#[derive(Debug, Clone)]
pub struct WorkedDocument {
    /// Which.
    pub key: DocKey,
    /// Its present life; `None` if it does not exist still, could not be loaded, or is one of many new ones
    /// ([`NEW_DOCUMENTS_KEPT`]).
    pub document: Option<Box<OpenDocument>>,
    /// What the store must do, life by life, former ones first.
    pub changes: Vec<LifeChange>,
    /// Whether its present life is larger than local edits may make it.
    pub oversize: bool,
}

impl WorkedDocument {
    /// With `keep`, the document stays in memory; else it is dropped here, on the worker.
    fn new(
        key: DocKey,
        open: Box<OpenDocument>,
        changes: Vec<LifeChange>,
        edit_wins: bool,
        keep: bool,
    ) -> WorkedDocument {
        let oversize = open.record.oversize() && !open.record.deleted(edit_wins);
        WorkedDocument { key, document: keep.then_some(open), changes, oversize }
    }

    /// A document whose work came to nothing: the store still has what is true.
    fn lost(key: DocKey) -> WorkedDocument {
        WorkedDocument { key, document: None, changes: Vec::new(), oversize: false }
    }
}

/// What the store must do about one life of a document.
#[derive(Debug, Clone)]
pub struct LifeChange {
    /// Which life.
    pub generation: u32,
    /// The encoded record.
    pub record: Vec<u8>,
    /// Its Automerge bytes.
    pub content: ContentOp,
    /// Its view.
    pub view: ViewOp,
}

/// Entries of others whose deps are all applied, in an order in which they can be.
#[derive(Debug)]
pub struct ApplyJob {
    /// The space.
    pub space: SpaceId,
    /// The entries' places, headers and items.
    pub entries: Vec<ApplyEntry>,
    /// Whether a concurrent edit beats a deletion in this collection.
    pub edit_wins: bool,
    /// The present life of every document that they touch.
    pub documents: Vec<(DocKey, DocSource)>,
    /// The former lives that they touch, by document and generation.
    pub former: Vec<(DocKey, u32, DocSource)>,
}

/// One entry to apply.
#[derive(Debug)]
pub struct ApplyEntry {
    /// The journal.
    pub journal: JournalId,
    /// Where in it.
    pub position: Position,
    /// What it holds, or why it cannot be read.
    pub items: Result<Vec<Item>, String>,
}

impl ApplyEntry {
    fn is_small(&self) -> bool {
        let bytes = |items: &Vec<Item>| items.iter().map(|item| open::item_bytes(&item.body)).sum::<usize>();
        self.items.as_ref().is_ok_and(|items| bytes(items) <= SMALL_ENTRY_BYTES)
    }
}

/// What application gave.
#[derive(Debug, Clone)]
pub struct Applied {
    /// How many of the entries, from the front, are in the documents.
    pub count: usize,
    /// Why the one after them can never be: its author broke the rules.
    pub rejected: Option<String>,
    /// What the one after them builds on and is not here, though all that its header names is.
    pub lacks: Option<Lacking>,
    /// Hashes of the changes that were applied.
    pub brought: BTreeSet<[u8; 32]>,
    /// A damaged document of this device's own store, or a fault of ours: nothing was applied.
    pub failed: Option<String>,
    /// Every document, changed or not.
    pub documents: Vec<WorkedDocument>,
}

/// Chunks of a checkpoint that was checked whole: as many as it takes until no document goes on in the next.
#[derive(Debug)]
pub struct RestoreJob {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// The chunks.
    pub chunks: Vec<SealedChunk>,
    /// How to read them.
    pub reading: Reading,
    /// Whether a concurrent edit beats a deletion in this collection.
    pub edit_wins: bool,
    /// The present life of every document in them.
    pub documents: Vec<(DocKey, DocSource)>,
    /// The former lives in them.
    pub former: Vec<(DocKey, u32, DocSource)>,
}

/// What became of the chunks.
#[derive(Debug)]
pub struct Restored {
    /// Hashes of the changes that were applied.
    pub brought: BTreeSet<[u8; 32]>,
    /// A damaged document of this device's own store, or a fault of ours: nothing was applied.
    pub failed: Option<String>,
    /// Every document, changed or not.
    pub documents: Vec<WorkedDocument>,
}

/// A change that an entry builds on without naming the entry that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacking {
    /// Of this document.
    pub document: DocumentId,
    /// Its hash.
    pub change: [u8; 32],
}

/// Why an edit of a document was refused. The document is as it was.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It is there already.
    #[error("document {0} exists already; edit it, or put it with its key to overwrite fields")]
    Exists(DocumentId),
    /// It is not there.
    #[error("no document {0} here: it was deleted, never made, or has yet to sync")]
    Missing(DocumentId),
    /// It has changed since the app saw it.
    #[error("document {0} has changed since it was read; read it again and repeat the edit")]
    Changed(DocumentId),
    /// It is too large for one entry.
    #[error("the edit takes {bytes} bytes, over the limit of {limit}: split it")]
    TooLarge {
        /// About what it takes.
        bytes: usize,
        /// What fits.
        limit: usize,
    },
    /// The edit does not fit the document.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The store's bytes of this document are damaged.
    #[error("document {document} cannot be read from this device's store ({reason}); other devices may have it whole")]
    Damaged {
        /// The document.
        document: DocumentId,
        /// What is wrong with it.
        reason: String,
    },
    /// It waited to be made, and meanwhile this device was told that it may not.
    #[error("the edit was not made: {reason}")]
    Barred {
        /// Why.
        reason: &'static str,
    },
    /// A fault of ours.
    #[error("the edit failed inside ({0}) and was not made; please report this")]
    Internal(String),
}
