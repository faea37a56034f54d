//! What a device's disk keeps: the real store on a disk in memory, or a model of it.
//!
//! The real store does its work either at once, commit by commit, or puts commits off: what is durable in virtual time waits,
//! and is written in one transaction when much waits, somebody looks at the disk, or something strikes it. A commit that is
//! cut, or that meets a failing disk, is always the store's own, operation by operation.

use std::sync::Arc;

use farshore_core::batch::{Batch, Boot, ContentOp, Load, Loaded, StoreOp, ViewOp};
use farshore_core::id::{CollectionTag, DocKey, DocumentId, SpaceId, StoreId};
use farshore_store::testing::{Disk, Fault, Loss, Op, Random};
use farshore_store::{Place, Store, StoreKey};

use super::helper::Helper;
use super::waiting::{Behind, Waiting};
use crate::limits::PUT_OFF_BYTES;
use crate::memory::MemoryStore;
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

/// Why a disk could not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// A fault of the plan is why; else it is a defect.
    pub(super) on_purpose: bool,
}

/// What came of a commit.
#[derive(Debug)]
pub(super) enum Commit {
    /// It was done by these disk operations.
    Done(Vec<Op>),
    /// It is put off: nobody can tell the difference so far.
    PutOff,
    /// It failed after these disk operations.
    Failed(Failure, Vec<Op>),
}

#[derive(Debug)]
pub(super) enum Files {
    Real(Real),
    Memory(ModelDisk),
}

impl Files {
    /// A new store that holds these operations. What was put off is written by the `helper`, if there is one.
    ///
    /// # Errors
    /// The store's, which on a disk without faults is a defect.
    pub(super) fn create(
        medium: Medium,
        helper: Option<Arc<Helper>>,
        seed: u64,
        id: StoreId,
        ops: Vec<StoreOp>,
    ) -> Result<Files, String> {
        let first = Batch { id: 0, ops };
        match medium {
            Medium::Memory => {
                let mut model = ModelDisk::default();
                model.store.apply(&first);
                Ok(Files::Memory(model))
            }
            Medium::Disk => Real::create(helper, seed, id, first).map(Files::Real),
        }
    }

    pub(super) fn open(&mut self) -> Result<Boot, Failure> {
        match self {
            Files::Memory(model) if model.fails() => Err(ModelDisk::failure()),
            Files::Memory(model) => Ok(model.store.boot()),
            Files::Real(real) => real.open(),
        }
    }

    /// Makes a group of batches durable; put off only if that `may` be.
    pub(super) fn commit(&mut self, group: &[Batch], may_put_off: bool) -> Commit {
        match self {
            Files::Memory(model) => {
                model.operations += 1;
                match model.fails_from.is_some_and(|from| model.operations > from) {
                    true => Commit::Failed(ModelDisk::failure(), Vec::new()),
                    false => Commit::Done(vec![Op::Sync]),
                }
            }
            Files::Real(real) if may_put_off && real.may_put_off() => Commit::PutOff,
            Files::Real(real) => match real.settle() {
                Ok(()) => real.commit(group),
                Err(failure) => Commit::Failed(failure, Vec::new()),
            },
        }
    }

    /// The commit's time is over; why it failed, if it did.
    pub(super) fn committed(&mut self, group: Vec<Batch>, how: Commit) -> Result<(), Failure> {
        match (self, how) {
            (Files::Memory(_), Commit::Failed(failure, _)) => return Err(failure),
            (Files::Memory(model), _) => group.iter().for_each(|batch| model.store.apply(batch)),
            (Files::Real(real), Commit::Done(ops)) => real.follow(ops),
            (Files::Real(real), Commit::PutOff) => real.put_off(group),
            (Files::Real(real), Commit::Failed(failure, ops)) => {
                real.follow(ops);
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Something strikes the disk while a commit is under way that was put off: it is done after all.
    pub(super) fn catch_up(&mut self, group: &[Batch]) -> Commit {
        self.commit(group, false)
    }

    pub(super) fn load(&mut self, load: &Load) -> Result<Loaded, Failure> {
        match self {
            Files::Memory(model) => Ok(model.store.load(load)),
            Files::Real(real) if real.waiting.holds(load) => real.read(|store| store.load(load)),
            Files::Real(real) => real.stored(|store| store.load(load)),
        }
    }

    pub(super) fn boot(&mut self) -> Result<Boot, Failure> {
        match self {
            Files::Memory(model) => Ok(model.store.boot()),
            Files::Real(real) => real.read(|store| store.boot()),
        }
    }

    pub(super) fn documents(&mut self, space: SpaceId, collection: CollectionTag) -> Result<Vec<DocumentId>, Failure> {
        match self {
            Files::Memory(model) => Ok(model.store.documents(space, collection).into_keys().collect()),
            Files::Real(real) => real.read(|store| store.reader().documents(&space, &collection)),
        }
    }

    pub(super) fn view(&mut self, key: &DocKey) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Files::Memory(model) => Ok(model.store.view(key).map(<[u8]>::to_vec)),
            Files::Real(real) => match real.put_off_view(key) {
                Some(view) => Ok(view),
                None => real.stored(|store| store.reader().view(key)),
            },
        }
    }

    /// Lets operations fail from some point on. What was put off counts as done before.
    pub(super) fn fail_after(&mut self, more: u64, fault: Fault) {
        match self {
            // A commit of the model is one operation, where the store has about ten.
            Files::Memory(model) => model.fails_from = Some(model.operations + more / 10),
            Files::Real(real) => {
                real.settle_anyhow();
                real.live.fail_after(more, fault);
                real.failing = true;
            }
        }
    }

    /// Lets operations succeed again.
    pub(super) fn heal(&mut self) {
        match self {
            Files::Memory(model) => model.fails_from = None,
            Files::Real(real) => {
                real.live.heal();
                real.failing = false;
            }
        }
    }

    /// Keeps everything that the disk does from now on; the store must be closed.
    pub(super) fn keep_history(&mut self) {
        if let Files::Real(real) = self {
            let (key, image) = (real.key.clone(), real.shadow.image());
            real.history = Some(History { key, image, ops: Vec::new(), promises: Vec::new() });
        }
    }

    /// What was kept.
    pub(super) fn history(&mut self) -> Option<&mut History> {
        match self {
            Files::Real(real) => real.history.as_mut(),
            Files::Memory(_) => None,
        }
    }

    /// The process is gone after these operations of the commit under way.
    pub(super) fn cut(&mut self, done: Vec<Op>, loss: Loss, seed: u64) {
        if let Files::Real(real) = self {
            real.settle_anyhow();
            real.cut(done, loss, seed);
        }
    }

    /// Disk operations so far.
    pub(super) fn writes(&mut self) -> u64 {
        match self {
            Files::Memory(model) => model.operations,
            Files::Real(real) => {
                real.catch_up();
                real.writes
            }
        }
    }

    /// Closes the store in order.
    pub(super) fn close(&mut self) {
        if let Files::Real(real) = self {
            real.settle_anyhow();
            real.close();
        }
    }
}

/// The model: a commit is one operation that happens or not.
#[derive(Debug, Default)]
pub(super) struct ModelDisk {
    store: MemoryStore,
    operations: u64,
    fails_from: Option<u64>,
}

impl ModelDisk {
    fn fails(&self) -> bool {
        self.fails_from.is_some_and(|from| self.operations >= from)
    }

    fn failure() -> Failure {
        Failure { reason: "the disk fails, on purpose".into(), on_purpose: true }
    }
}

/// The real store. `live` is what the process sees; `shadow` follows in virtual time, so that a cut can fall anywhere.
pub(super) struct Real {
    key: StoreKey,
    live: Disk,
    shadow: Disk,
    store: Option<Arc<Store>>,
    /// Everything that the shadow did, if it is to be kept.
    history: Option<History>,
    /// Operations may fail on purpose just now.
    failing: bool,
    /// Operations that the shadow has done.
    writes: u64,
    /// What is durable in virtual time and not yet in the store.
    waiting: Waiting,
    /// Writes what was put off.
    helper: Option<Arc<Helper>>,
    /// What was put off before, and is on its way into the store.
    behind: Option<Behind>,
    /// What was put off could not be written.
    broken: Option<Failure>,
}

impl std::fmt::Debug for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Real").field("open", &self.store.is_some()).field("waiting", &self.waiting.bytes()).finish()
    }
}

impl Real {
    fn create(helper: Option<Arc<Helper>>, seed: u64, id: StoreId, first: Batch) -> Result<Real, String> {
        let (live, mut random) = (Disk::live(Vec::new()), Random::new(seed));
        let key = StoreKey::from_bytes(random.array());
        let store = Store::create_backend(live.backend(), &key, id, Place::default()).map_err(|e| e.to_string())?;
        store.apply(&[first]).map_err(|error| error.to_string())?;
        drop(store);
        Ok(Real {
            key,
            shadow: Disk::durable(live.image()),
            live,
            store: None,
            history: None,
            failing: false,
            writes: 0,
            waiting: Waiting::default(),
            helper,
            behind: None,
            broken: None,
        })
    }

    fn open(&mut self) -> Result<Boot, Failure> {
        self.close();
        self.live.forget_failures();
        let opened = self.recorded(|real| {
            let store = Store::open_backend(real.live.backend(), &real.key, Place::default())
                .map_err(|error| error.to_string())?;
            let boot = store.boot().map_err(|error| error.to_string())?;
            real.store = Some(Arc::new(store));
            Ok(boot)
        });
        opened.map_err(|reason| self.failure(reason))
    }

    /// Closes the store; what it still writes is on the disk.
    fn close(&mut self) {
        self.catch_up();
        if let Some(store) = self.store.take() {
            self.recorded(|_| drop(store));
        }
    }

    fn may_put_off(&self) -> bool {
        !self.failing && self.history.is_none() && self.store.is_some() && self.broken.is_none()
    }

    fn put_off(&mut self, group: Vec<Batch>) {
        self.waiting.add(group);
        if self.waiting.bytes() <= PUT_OFF_BYTES {
            return;
        }
        let Some(helper) = self.helper.clone() else { return self.settle_anyhow() };
        self.catch_up();
        if let Some(store) = self.store.clone().filter(|_| self.broken.is_none()) {
            let what = std::mem::take(&mut self.waiting);
            self.behind = Some(Behind::begin(&helper, what, store, self.live.clone(), self.shadow.clone()));
        }
    }

    /// What a document's view will be once everything that was put off is written; `None` if that says nothing about it.
    fn put_off_view(&self, key: &DocKey) -> Option<Option<Vec<u8>>> {
        self.waiting.view(key).or_else(|| self.behind.as_ref()?.view(key))
    }

    /// Waits until what is on its way into the store is there. Where nobody can be told of a failure, whoever asks next is.
    fn catch_up(&mut self) {
        let Some((result, ops)) = self.behind.take().map(Behind::end) else { return };
        self.writes += ops;
        if let Err(reason) = result {
            self.broken = Some(self.failure(reason));
        }
    }

    /// Writes what was put off.
    fn settle(&mut self) -> Result<(), Failure> {
        self.catch_up();
        if let Some(failure) = &self.broken {
            return Err(failure.clone());
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        match self.commit(waiting.batches()) {
            Commit::Failed(failure, ops) => {
                self.follow(ops);
                Err(failure)
            }
            Commit::Done(ops) => {
                self.follow(ops);
                Ok(())
            }
            Commit::PutOff => Ok(()),
        }
    }

    /// The same, where nobody can be told of a failure: whoever asks next is.
    fn settle_anyhow(&mut self) {
        if let Err(failure) = self.settle() {
            self.broken = Some(failure);
        }
    }

    /// The store's own commit, on the live disk only.
    fn commit(&mut self, group: &[Batch]) -> Commit {
        let Some(store) = &self.store else { return Commit::Failed(self.closed(), Vec::new()) };
        self.live.record();
        let result = store.apply(group);
        let ops = self.live.take_recording();
        match result {
            Ok(()) => Commit::Done(ops),
            Err(error) => Commit::Failed(self.failure(error.to_string()), ops),
        }
    }

    /// Reads from the store, once all that is durable is in it.
    fn read<T>(&mut self, work: impl FnOnce(&Store) -> Result<T, farshore_store::StoreError>) -> Result<T, Failure> {
        self.settle()?;
        self.stored(work)
    }

    /// Reads from the store, once what is on its way there has come.
    fn stored<T>(&mut self, work: impl FnOnce(&Store) -> Result<T, farshore_store::StoreError>) -> Result<T, Failure> {
        self.catch_up();
        if let Some(failure) = &self.broken {
            return Err(failure.clone());
        }
        let store = self.store.as_ref().ok_or_else(|| self.closed())?;
        work(store).map_err(|error| self.failure(error.to_string()))
    }

    fn failure(&self, reason: String) -> Failure {
        Failure { reason, on_purpose: self.live.has_failed() }
    }

    /// Nobody works with a store that did not open, unless it was closed by a failure.
    fn closed(&self) -> Failure {
        self.failure("the store is closed".into())
    }

    /// The process is gone, and the disk is as a cut leaves it after these operations.
    fn cut(&mut self, done: Vec<Op>, loss: Loss, seed: u64) {
        self.follow(done);
        let image = self.shadow.image_after(loss, &mut Random::new(seed));
        // What the store does while it is dropped must not matter to anybody.
        self.live.fail_after(0, Fault::Broken);
        self.store = None;
        self.shadow = Disk::durable(image.clone());
        self.live = Disk::live(image);
        self.failing = false;
    }

    /// The shadow does what the live disk has done.
    fn follow(&mut self, ops: Vec<Op>) {
        self.writes += ops.len() as u64;
        for op in ops {
            if let Some(history) = &mut self.history {
                history.ops.push(op.clone());
            }
            self.shadow.follow(op);
        }
    }

    /// Lets the shadow follow what was done in no virtual time.
    fn recorded<T>(&mut self, work: impl FnOnce(&mut Real) -> T) -> T {
        self.live.record();
        let done = work(self);
        let ops = self.live.take_recording();
        self.follow(ops);
        done
    }
}

/// About what an operation writes, without the pages around it.
pub(super) fn op_bytes(op: &StoreOp) -> usize {
    /// A row's key, tag and place in its page.
    const ROW: usize = 64;
    ROW + match op {
        StoreOp::PutMeta { value: bytes, .. }
        | StoreOp::PutRosterOp { bytes, .. }
        | StoreOp::PutSpace { record: bytes, .. }
        | StoreOp::PutEntry { bytes, .. }
        | StoreOp::PutPeer { record: bytes, .. }
        | StoreOp::PutCheckpoint { record: bytes, .. }
        | StoreOp::PutPart { bytes, .. }
        | StoreOp::PutInvitation { record: bytes, .. } => bytes.len(),
        StoreOp::DropCheckpoint { .. } => 0,
        StoreOp::PutJournal { .. } => 160,
        StoreOp::PutRejected { reason, .. } => reason.len(),
        StoreOp::PutDocument { record, content, view, .. } => {
            let content = match content {
                ContentOp::Keep => 0,
                ContentOp::Append(chunks) => chunks.iter().map(Vec::len).sum(),
                ContentOp::Replace(snapshot) => snapshot.len(),
            };
            let view = if let ViewOp::Put(bytes) = view { bytes.len() } else { 0 };
            record.len() + content + view
        }
    }
}
