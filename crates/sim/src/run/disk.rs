//! A device's disk in virtual time: group commit as the node does it, on the real store or on a model of it.
//!
//! The store does its work at once, at the virtual moment at which it begins; its disk operations are recorded, and count as
//! done one after another until the virtual moment at which it ends. A cut in between leaves the ones before it, torn and
//! lost as `farshore_store::testing::Disk` does it.

use std::collections::VecDeque;

use farshore_core::batch::{Batch, Boot, Load, Loaded, StoreOp, ViewOp};
use farshore_core::id::{CollectionTag, DocKey, DocumentId, JournalId, Position, SpaceId, StoreId};
use farshore_store::testing::{Disk, Fault, Loss, Op, Random};
use farshore_store::{Place, Store, StoreKey};

use crate::dice::Dice;
use crate::limits::GROUP_BATCHES;
use crate::memory::MemoryStore;
use crate::observe::{ViewMark, ViewWritten, Written};
use crate::plan::DiskOptions;
use crate::powercut::History;

/// What devices keep their data on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Medium {
    /// The real store on a disk in memory, encrypted as always.
    #[default]
    Disk,
    /// Maps: faster, and the model that the store is compared with.
    Memory,
}

/// What the disk does, in this order.
#[derive(Debug)]
pub(super) enum Task {
    Batch(Batch),
    Load { id: u64, load: Load },
}

/// What came of a task.
#[derive(Debug)]
pub(super) enum Finished {
    Committed(Vec<Batch>),
    Loaded { id: u64, loaded: Loaded },
    Failed(String),
}

#[derive(Debug)]
struct Busy {
    begun_ms: u64,
    ends_ms: u64,
    ops: Vec<Op>,
    finished: Finished,
}

/// A disk and the thread that owns the store on it.
#[derive(Debug)]
pub(super) struct HostDisk {
    files: Files,
    queue: VecDeque<Task>,
    busy: Option<Busy>,
    /// What a sync takes while the disk is slow.
    pub(super) slow_sync_ms: Option<u64>,
}

#[derive(Debug)]
enum Files {
    Real(Real),
    Memory(ModelDisk),
}

/// The real store. `live` is what the process sees; `shadow` follows in virtual time, so that a cut can fall anywhere.
struct Real {
    key: StoreKey,
    live: Disk,
    shadow: Disk,
    store: Option<Store>,
    /// Everything that the shadow did, if it is to be kept.
    history: Option<History>,
}

impl std::fmt::Debug for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Real").field("open", &self.store.is_some()).finish_non_exhaustive()
    }
}

/// The model: a commit is one operation that happens or not.
#[derive(Debug, Default)]
struct ModelDisk {
    store: MemoryStore,
    operations: u64,
    fails_from: Option<u64>,
}

impl HostDisk {
    /// A new store that holds these operations.
    ///
    /// # Errors
    /// The store's, which on a disk without faults is a defect.
    pub(super) fn create(medium: Medium, seed: u64, id: StoreId, ops: Vec<StoreOp>) -> Result<HostDisk, String> {
        let first = Batch { id: 0, ops };
        let files = match medium {
            Medium::Memory => {
                let mut model = ModelDisk::default();
                model.store.apply(&first);
                Files::Memory(model)
            }
            Medium::Disk => {
                let (live, mut random) = (Disk::live(Vec::new()), Random::new(seed));
                let key = StoreKey::from_bytes(random.array());
                let store = Store::create_backend(live.backend(), &key, id, Place::default()).map_err(text)?;
                store.apply(&[first]).map_err(text)?;
                drop(store);
                Files::Real(Real { key, shadow: Disk::durable(live.image()), live, store: None, history: None })
            }
        };
        Ok(HostDisk { files, queue: VecDeque::new(), busy: None, slow_sync_ms: None })
    }

    /// Opens the store and reads what a replica starts from.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn open(&mut self) -> Result<Boot, String> {
        match &mut self.files {
            Files::Memory(model) => {
                if model.fails_from.is_some_and(|from| model.operations >= from) {
                    return Err("the disk fails, on purpose".into());
                }
                Ok(model.store.boot())
            }
            Files::Real(real) => {
                real.close();
                real.recorded(|real| {
                    let store = Store::open_backend(real.live.backend(), &real.key, Place::default()).map_err(text)?;
                    let boot = store.boot().map_err(text)?;
                    real.store = Some(store);
                    Ok(boot)
                })
            }
        }
    }

    /// Closes the store in order.
    pub(super) fn close(&mut self) {
        self.queue.clear();
        self.busy = None;
        if let Files::Real(real) = &mut self.files {
            real.close();
        }
    }

    /// The machine or the process stops now. What of the work under way reached the disk is there when it opens again, as far
    /// as `loss` and chance allow; with `at_operation` the cut falls after so many operations of it.
    pub(super) fn cut(&mut self, now_ms: u64, at_operation: Option<u64>, loss: Loss, seed: u64) {
        self.queue.clear();
        let busy = self.busy.take();
        match &mut self.files {
            Files::Memory(model) => {
                // The one operation of the model happens at the very end of its time.
                let done = busy.as_ref().is_some_and(|busy| now_ms >= busy.ends_ms);
                if let (true, Some(Busy { finished: Finished::Committed(group), .. })) = (done, &busy) {
                    group.iter().for_each(|batch| model.store.apply(batch));
                }
            }
            Files::Real(real) => {
                busy.into_iter().flat_map(|busy| busy.done(now_ms, at_operation)).for_each(|op| real.follow(op));
                let found = real.shadow.after(loss, &mut Random::new(seed));
                // The process is gone: what its store does while it is dropped must not matter to anybody.
                real.live.fail_after(0, Fault::Broken);
                real.store = None;
                let image = found.image();
                real.shadow = Disk::durable(image.clone());
                real.live = Disk::live(image);
            }
        }
    }

    /// Keeps everything that the disk does from now on; the store must be closed.
    pub(super) fn keep_history(&mut self) {
        if let Files::Real(real) = &mut self.files {
            let (key, image) = (real.key.clone(), real.shadow.image());
            real.history = Some(History { key, image, ops: Vec::new(), promises: Vec::new() });
        }
    }

    /// What was kept.
    pub(super) fn history(&mut self) -> Option<&mut History> {
        match &mut self.files {
            Files::Real(real) => real.history.as_mut(),
            Files::Memory(_) => None,
        }
    }

    /// Lets operations fail from some point on.
    pub(super) fn fail_after(&mut self, more: u64, fault: Fault) {
        match &mut self.files {
            Files::Memory(model) => model.fails_from = Some(model.operations + more / 10),
            Files::Real(real) => real.live.fail_after(more, fault),
        }
    }

    /// Lets operations succeed again.
    pub(super) fn heal(&mut self) {
        match &mut self.files {
            Files::Memory(model) => model.fails_from = None,
            Files::Real(real) => real.live.heal(),
        }
    }

    pub(super) fn push(&mut self, task: Task) {
        self.queue.push_back(task);
    }

    /// Begins the next work if none is under way; says when it ends, and how many disk operations it takes.
    pub(super) fn begin(&mut self, now_ms: u64, options: &DiskOptions, dice: &mut Dice<'_>) -> Option<(u64, u64)> {
        if self.busy.is_some() {
            return None;
        }
        let (finished, ops, took_ms) = match self.queue.pop_front()? {
            Task::Batch(first) => {
                let mut group = vec![first];
                while group.len() < GROUP_BATCHES && matches!(self.queue.front(), Some(Task::Batch(_))) {
                    let Some(Task::Batch(batch)) = self.queue.pop_front() else { break };
                    group.push(batch);
                }
                let (result, ops) = self.files.apply(&group);
                let bytes: u64 = ops.iter().map(op_bytes).sum();
                let (least, most) = options.sync_ms;
                let sync_ms = self.slow_sync_ms.unwrap_or_else(|| dice.range(least, most));
                let took_ms = 2 * sync_ms + bytes * 1_000 / options.bytes_per_s.max(1);
                (result.map_or_else(Finished::Failed, |()| Finished::Committed(group)), ops, took_ms)
            }
            Task::Load { id, load } => {
                let loaded = self.files.load(&load);
                let took_ms = self.slow_sync_ms.unwrap_or_else(|| dice.range(options.read_ms.0, options.read_ms.1));
                (loaded.map_or_else(Finished::Failed, |loaded| Finished::Loaded { id, loaded }), Vec::new(), took_ms)
            }
        };
        let ends_ms = now_ms + took_ms;
        let count = ops.len() as u64;
        self.busy = Some(Busy { begun_ms: now_ms, ends_ms, ops, finished });
        Some((ends_ms, count))
    }

    /// The work under way is done.
    pub(super) fn finish(&mut self) -> Option<Finished> {
        let busy = self.busy.take()?;
        match &mut self.files {
            Files::Real(real) => busy.ops.into_iter().for_each(|op| real.follow(op)),
            Files::Memory(model) => {
                if let Finished::Committed(group) = &busy.finished {
                    group.iter().for_each(|batch| model.store.apply(batch));
                }
            }
        }
        if matches!(busy.finished, Finished::Failed(_)) {
            self.queue.clear();
        }
        Some(busy.finished)
    }

    /// Every document of a collection, deleted ones too.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn documents(&self, space: SpaceId, collection: CollectionTag) -> Result<Vec<DocumentId>, String> {
        match &self.files {
            Files::Memory(model) => Ok(model.store.documents(space, collection).into_keys().collect()),
            Files::Real(real) => real.reader()?.documents(&space, &collection).map_err(text),
        }
    }

    /// A document's view.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn view(&self, key: &DocKey) -> Result<Option<Vec<u8>>, String> {
        match &self.files {
            Files::Memory(model) => Ok(model.store.view(key).map(<[u8]>::to_vec)),
            Files::Real(real) => real.reader()?.view(key).map_err(text),
        }
    }

    /// Whether a commit under way writes this document. The store has it already, because it works at once; a program that
    /// reads sees it only when the commit is over.
    pub(super) fn is_writing(&self, key: &DocKey) -> bool {
        let Some(Busy { finished: Finished::Committed(group), .. }) = &self.busy else { return false };
        let writes = |op: &StoreOp| matches!(op, StoreOp::PutDocument { key: written, .. } if written == key);
        group.iter().any(|batch| batch.ops.iter().any(writes))
    }

    /// Reads as the core does.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn load(&self, load: &Load) -> Result<Loaded, String> {
        self.files.load(load)
    }

    /// What a replica would start from now.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn boot(&self) -> Result<Boot, String> {
        match &self.files {
            Files::Memory(model) => Ok(model.store.boot()),
            Files::Real(real) => real.reader()?.boot().map_err(text),
        }
    }
}

impl Busy {
    /// The operations that were done when it was cut.
    fn done(mut self, now_ms: u64, at_operation: Option<u64>) -> Vec<Op> {
        let all = self.ops.len() as u64;
        let by_time = || {
            let (past, whole) = (now_ms.saturating_sub(self.begun_ms), self.ends_ms - self.begun_ms);
            (all * past.min(whole)).checked_div(whole).unwrap_or(0)
        };
        let done = at_operation.unwrap_or_else(by_time).min(all) as usize;
        self.ops.truncate(done);
        self.ops
    }
}

impl Files {
    fn apply(&mut self, group: &[Batch]) -> (Result<(), String>, Vec<Op>) {
        match self {
            Files::Memory(model) => {
                model.operations += 1;
                let fails = model.fails_from.is_some_and(|from| model.operations > from);
                (if fails { Err("the disk fails, on purpose".into()) } else { Ok(()) }, vec![Op::Sync])
            }
            Files::Real(real) => {
                let Some(store) = &real.store else { return (Err("the store is closed".into()), Vec::new()) };
                real.live.record();
                let result = store.apply(group).map_err(text);
                (result, real.live.take_recording())
            }
        }
    }

    fn load(&self, load: &Load) -> Result<Loaded, String> {
        match self {
            Files::Memory(model) => Ok(model.store.load(load)),
            Files::Real(real) => real.store.as_ref().ok_or("the store is closed")?.load(load).map_err(text),
        }
    }
}

impl Real {
    fn reader(&self) -> Result<farshore_store::Reader, String> {
        Ok(self.store.as_ref().ok_or("the store is closed")?.reader())
    }

    /// The shadow does what the live disk has done.
    fn follow(&mut self, op: Op) {
        if let Some(history) = &mut self.history {
            history.ops.push(op.clone());
        }
        self.shadow.follow(op);
    }

    /// Closes the store; what it still writes is on the disk.
    fn close(&mut self) {
        if let Some(store) = self.store.take() {
            self.recorded(|_| drop(store));
        }
    }

    /// Lets the shadow follow what was done in no virtual time.
    fn recorded<T>(&mut self, work: impl FnOnce(&mut Real) -> T) -> T {
        self.live.record();
        let done = work(self);
        self.live.take_recording().into_iter().for_each(|op| self.follow(op));
        done
    }
}

/// The entries that a batch holds.
pub(super) fn entries(batch: &Batch) -> Vec<(JournalId, Position)> {
    let ops = batch.ops.iter();
    let entries = ops.filter_map(|op| match op {
        StoreOp::PutEntry { journal, position, .. } => Some((*journal, *position)),
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

fn op_bytes(op: &Op) -> u64 {
    match op {
        Op::Write(_, data) => data.len() as u64,
        Op::SetLen(_) | Op::Sync => 0,
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
