//! A device's disk in virtual time: group commit as the node does it, on the real store or on a model of it.
//!
//! What the store does it does at once, at the virtual moment at which it begins; its disk operations are recorded, and count as
//! done one after another until the virtual moment at which it ends. A cut in between leaves the ones before it, torn and
//! lost as `farshore_store::testing::Disk` does it. How long it takes follows from the batches, not from the operations: so a
//! run is the same whether commits are put off (`files`) or not.

use std::collections::VecDeque;
use std::sync::Arc;

use farshore_core::batch::{Batch, Boot, Load, Loaded, StoreOp, ViewOp};
use farshore_core::id::{CollectionTag, DocKey, DocumentId, JournalId, Position, SpaceId, StoreId};
use farshore_store::testing::{Fault, Loss, Op};

pub use super::files::Medium;
use super::files::{Commit, Failure, Files, op_bytes};
use super::helper::Helper;
use crate::dice::Dice;
use crate::limits::{COMMIT_BYTES, GROUP_BATCHES};
use crate::observe::{ViewMark, ViewWritten, Written};
use crate::plan::DiskOptions;
use crate::powercut::History;

/// What the disk does, in this order.
#[derive(Debug)]
pub(super) enum Task {
    Batch(Batch),
    Load { id: u64, load: Load },
}

/// What came of a task.
#[derive(Debug)]
pub(super) enum Finished {
    Committed(Vec<Stored>),
    Loaded { id: u64, loaded: Loaded },
    Failed(Failure),
}

/// A batch that is durable.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) batch: u64,
    pub(super) entries: Vec<(JournalId, Position)>,
    pub(super) documents: Vec<Written>,
}

/// Work that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) ends_ms: u64,
    /// Batches that it makes durable.
    pub(super) batches: u64,
    /// Disk operations that it takes; not known of a commit that is put off.
    pub(super) operations: u64,
}

#[derive(Debug)]
enum Work {
    Commit { group: Vec<Batch>, how: Commit },
    Load { id: u64, loaded: Result<Loaded, Failure> },
}

/// How commits come onto the disk.
#[derive(Debug, Clone)]
pub(super) struct Writing {
    /// Each as it comes: none is put off.
    pub(super) exact: bool,
    /// Writes those that were put off.
    pub(super) helper: Option<Arc<Helper>>,
}

#[derive(Debug)]
struct Busy {
    begun_ms: u64,
    ends_ms: u64,
    work: Work,
}

/// A disk and the thread that owns the store on it.
#[derive(Debug)]
pub(super) struct HostDisk {
    files: Files,
    /// Every commit is done as it comes.
    exact: bool,
    queue: VecDeque<Task>,
    busy: Option<Busy>,
    /// What a sync takes while the disk is slow.
    pub(super) slow_sync_ms: Option<u64>,
}

impl HostDisk {
    /// A new store that holds these operations.
    ///
    /// # Errors
    /// The store's, which on a disk without faults is a defect.
    pub(super) fn create(
        medium: Medium,
        writing: Writing,
        seed: u64,
        id: StoreId,
        ops: Vec<StoreOp>,
    ) -> Result<HostDisk, String> {
        let Writing { exact, helper } = writing;
        let files = Files::create(medium, helper, seed, id, ops)?;
        Ok(HostDisk { files, exact, queue: VecDeque::new(), busy: None, slow_sync_ms: None })
    }

    /// Opens the store and reads what a replica starts from.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn open(&mut self) -> Result<Boot, Failure> {
        self.files.open()
    }

    /// Closes the store in order.
    pub(super) fn close(&mut self) {
        self.queue.clear();
        self.busy = None;
        self.files.close();
    }

    /// The machine or the process stops now. What of the work under way reached the disk is there when it opens again, as far
    /// as `loss` and chance allow; with `at_operation` the cut falls after so many operations of it.
    pub(super) fn cut(&mut self, now_ms: u64, at_operation: Option<u64>, loss: Loss, seed: u64) {
        self.strike();
        self.queue.clear();
        let done = match (self.busy.take(), &mut self.files) {
            (None, _) => Vec::new(),
            // The one operation of the model happens at the very end of its time.
            (Some(busy), Files::Memory(_)) => {
                if let (true, Work::Commit { group, how }) = (now_ms >= busy.ends_ms, busy.work) {
                    // A commit that failed leaves the model as it was.
                    let _ = self.files.committed(group, how);
                }
                Vec::new()
            }
            (Some(busy), Files::Real(_)) => busy.done(now_ms, at_operation),
        };
        self.files.cut(done, loss, seed);
    }

    /// Keeps everything that the disk does from now on; the store must be closed.
    pub(super) fn keep_history(&mut self) {
        self.files.keep_history();
    }

    /// What was kept.
    pub(super) fn history(&mut self) -> Option<&mut History> {
        self.files.history()
    }

    /// Lets operations fail from some point on.
    pub(super) fn fail_after(&mut self, more: u64, fault: Fault) {
        self.strike();
        self.files.fail_after(more, fault);
    }

    /// Lets operations succeed again.
    pub(super) fn heal(&mut self) {
        self.files.heal();
    }

    /// What is about to happen must find the commit under way on the disk, as far as it has come.
    fn strike(&mut self) {
        if let Some(Busy { work: Work::Commit { group, how: how @ Commit::PutOff }, .. }) = &mut self.busy {
            *how = self.files.catch_up(group);
        }
    }

    pub(super) fn push(&mut self, task: Task) {
        self.queue.push_back(task);
    }

    /// Begins the next work if none is under way. If its operations are `counted`, a commit is not put off.
    pub(super) fn begin(
        &mut self,
        now_ms: u64,
        options: &DiskOptions,
        counted: bool,
        dice: &mut Dice<'_>,
    ) -> Option<Begun> {
        if self.busy.is_some() {
            return None;
        }
        let (work, took_ms) = match self.queue.pop_front()? {
            Task::Batch(first) => {
                let group = self.group(first);
                let how = self.files.commit(&group, !self.exact && !counted);
                let (least, most) = options.sync_ms;
                let sync_ms = self.slow_sync_ms.unwrap_or_else(|| dice.range(least, most));
                let took_ms = 2 * sync_ms + written_bytes(&group) * 1_000 / options.bytes_per_s.max(1);
                (Work::Commit { group, how }, took_ms)
            }
            Task::Load { id, load } => {
                let loaded = self.files.load(&load);
                let took_ms = self.slow_sync_ms.unwrap_or_else(|| dice.range(options.read_ms.0, options.read_ms.1));
                (Work::Load { id, loaded }, took_ms)
            }
        };
        let (batches, operations) = match &work {
            Work::Commit { group, how: Commit::Done(ops) | Commit::Failed(_, ops) } => (group.len(), ops.len()),
            Work::Commit { group, how: Commit::PutOff } => (group.len(), 0),
            Work::Load { .. } => (0, 0),
        };
        let ends_ms = now_ms + took_ms;
        self.busy = Some(Busy { begun_ms: now_ms, ends_ms, work });
        Some(Begun { ends_ms, batches: batches as u64, operations: operations as u64 })
    }

    /// The batches that the next commit makes durable.
    fn group(&mut self, first: Batch) -> Vec<Batch> {
        let mut group = vec![first];
        while group.len() < GROUP_BATCHES && matches!(self.queue.front(), Some(Task::Batch(_))) {
            let Some(Task::Batch(batch)) = self.queue.pop_front() else { break };
            group.push(batch);
        }
        group
    }

    /// The work under way is done.
    pub(super) fn finish(&mut self) -> Option<Finished> {
        let finished = match self.busy.take()?.work {
            Work::Load { id, loaded } => loaded.map_or_else(Finished::Failed, |loaded| Finished::Loaded { id, loaded }),
            Work::Commit { group, how } => {
                let stored = group.iter().map(|batch| Stored {
                    batch: batch.id,
                    entries: entries(batch),
                    documents: written(batch),
                });
                let stored = stored.collect();
                match self.files.committed(group, how) {
                    Ok(()) => Finished::Committed(stored),
                    Err(failure) => Finished::Failed(failure),
                }
            }
        };
        if matches!(finished, Finished::Failed(_)) {
            self.queue.clear();
        }
        Some(finished)
    }

    /// Disk operations so far.
    pub(super) fn writes(&mut self) -> u64 {
        self.files.writes()
    }

    /// Every document of a collection, deleted ones too.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn documents(&mut self, space: SpaceId, collection: CollectionTag) -> Result<Vec<DocumentId>, Failure> {
        self.files.documents(space, collection)
    }

    /// A document's view.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn view(&mut self, key: &DocKey) -> Result<Option<Vec<u8>>, Failure> {
        self.files.view(key)
    }

    /// Whether a commit under way writes this document. The store may have it already, because it works at once; a program
    /// that reads sees it only when the commit is over.
    pub(super) fn is_writing(&self, key: &DocKey) -> bool {
        let Some(Busy { work: Work::Commit { group, .. }, .. }) = &self.busy else { return false };
        let writes = |op: &StoreOp| matches!(op, StoreOp::PutDocument { key: written, .. } if written == key);
        group.iter().any(|batch| batch.ops.iter().any(writes))
    }

    /// Reads as the core does.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn load(&mut self, load: &Load) -> Result<Loaded, Failure> {
        self.files.load(load)
    }

    /// What a replica would start from now.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn boot(&mut self) -> Result<Boot, Failure> {
        self.files.boot()
    }
}

impl Busy {
    /// The operations that were done when it was cut.
    fn done(self, now_ms: u64, at_operation: Option<u64>) -> Vec<Op> {
        let Work::Commit { how: Commit::Done(mut ops) | Commit::Failed(_, mut ops), .. } = self.work else {
            return Vec::new();
        };
        let all = ops.len() as u64;
        let by_time = || {
            let (past, whole) = (now_ms.saturating_sub(self.begun_ms), self.ends_ms - self.begun_ms);
            (all * past.min(whole)).checked_div(whole).unwrap_or(0)
        };
        ops.truncate(at_operation.unwrap_or_else(by_time).min(all) as usize);
        ops
    }
}

/// About what a commit writes: the pages that every one touches, and its rows with the pages above them.
fn written_bytes(group: &[Batch]) -> u64 {
    let rows: usize = group.iter().flat_map(|batch| &batch.ops).map(op_bytes).sum();
    COMMIT_BYTES + 2 * rows as u64
}

/// The entries that a batch holds, and those at the ends to which it brings journals by a checkpoint.
pub(super) fn entries(batch: &Batch) -> Vec<(JournalId, Position)> {
    let ops = batch.ops.iter();
    let entries = ops.filter_map(|op| match op {
        StoreOp::PutEntry { journal, position, .. } => Some((*journal, *position)),
        StoreOp::PutJournal { journal, state, .. } if state.floor > 0 && state.floor == state.held.seq => {
            Some((*journal, state.held))
        }
        _ => None,
    });
    entries.collect()
}

/// The documents that a batch writes.
pub(super) fn documents(batch: &Batch) -> Vec<(CollectionTag, DocumentId)> {
    let ops = batch.ops.iter();
    let documents = ops.filter_map(|op| match op {
        StoreOp::PutDocument { key, .. } => Some((key.collection, key.document)),
        _ => None,
    });
    documents.collect()
}

/// The same, with what happens to their views.
pub(super) fn written(batch: &Batch) -> Vec<Written> {
    let ops = batch.ops.iter();
    let written = ops.filter_map(|op| match op {
        StoreOp::PutDocument { key, view, .. } => {
            let view = match view {
                ViewOp::Keep => ViewWritten::Kept,
                ViewOp::Put(bytes) => ViewWritten::Put(ViewMark::of(bytes)),
                ViewOp::Remove => ViewWritten::Removed,
            };
            Some(Written { collection: key.collection, document: key.document, view })
        }
        _ => None,
    });
    written.collect()
}
