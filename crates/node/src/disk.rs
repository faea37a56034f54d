//! The thread that owns the store: group commit, loads in their order, and opening the store anew after a failure.
//!
//! Crash-only: when a commit fails, everything that was asked for after it is dropped unanswered, and the driver opens a new
//! replica from what the store holds. Nothing of what is dropped was ever acknowledged or shown (invariant I1).

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use farshore_core::batch::{Batch, Boot, ContentOp, Load, Loaded, StoreOp, ViewOp};
use farshore_core::job::JobResult;
use farshore_store::{OpenError, Reader, Store, StoreError};
use tokio::sync::mpsc::UnboundedSender;

use crate::error::Error;
use crate::limits::{GROUP_BATCHES, GROUP_BYTES};

/// What comes back to the driver, from the disk's thread and from the workers. `life` counts the replicas that this node has
/// had: an answer to an earlier one is ignored.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A batch is durable.
    Stored { life: u64, batch: u64 },
    /// A load is answered.
    Loaded { life: u64, id: u64, loaded: Loaded },
    /// A job is done.
    JobDone { life: u64, id: u64, result: JobResult },
    /// The store cannot go on: that replica's life is over.
    Failed { life: u64, failure: DiskFailure },
    /// The store was opened anew, for this life.
    Opened { life: u64, boot: Box<Boot>, copied: bool },
}

/// Why the store could not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiskFailure {
    /// What happened and what to do, for a person.
    pub(crate) message: String,
    /// Whether the same may succeed later without anybody changing the program or the file.
    pub(crate) retryable: bool,
}

impl From<StoreError> for DiskFailure {
    fn from(error: StoreError) -> Self {
        let retryable = matches!(error, StoreError::Full | StoreError::Io(_) | StoreError::Stopped);
        DiskFailure { message: error.to_string(), retryable }
    }
}

impl From<OpenError> for DiskFailure {
    fn from(error: OpenError) -> Self {
        let retryable = matches!(error, OpenError::InUse { .. } | OpenError::Full(_) | OpenError::Io { .. });
        DiskFailure { message: error.to_string(), retryable }
    }
}

/// Where reads find the store: empty while it is being opened anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReaderSlot(Arc<RwLock<Option<Reader>>>);

impl ReaderSlot {
    /// The reader, if the store is open.
    pub(crate) fn get(&self) -> Result<Reader, DiskFailure> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| DiskFailure {
            message: "the store is being opened again after a failure; try again shortly".into(),
            retryable: true,
        })
    }

    fn set(&self, reader: Option<Reader>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = reader;
    }
}

/// How to open the store again; called on the disk's thread.
pub(crate) type Reopen = Box<dyn FnMut() -> Result<Store, OpenError> + Send>;

/// What the thread does, in this order.
enum Task {
    Batch { life: u64, batch: Batch, bytes: usize },
    Load { life: u64, id: u64, load: Load },
    Open { life: u64 },
}

/// The disk's thread. Dropping it lets the thread finish what was handed over, close the store, and end.
#[derive(Debug)]
pub(crate) struct Disk {
    queue: Sender<Task>,
    thread: JoinHandle<()>,
}

impl Disk {
    /// Starts the thread with an open store.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub(crate) fn start(
        store: Store,
        reopen: Reopen,
        reader: ReaderSlot,
        answers: UnboundedSender<Answer>,
    ) -> Result<Self, Error> {
        reader.set(Some(store.reader()));
        let (queue, tasks) = channel();
        let owner = Owner { store: Some(store), reopen, reader, answers, over: 0 };
        let thread = thread::Builder::new()
            .name("farshore-disk".into())
            .spawn(move || owner.run(&tasks))
            .map_err(Error::thread)?;
        Ok(Disk { queue, thread })
    }

    /// Asks for a batch to be made durable after all before it.
    pub(crate) fn batch(&self, life: u64, batch: Batch, bytes: usize) {
        // The thread ends only when this sender is dropped; should it have died, no answer comes and nothing is acknowledged.
        let _ = self.queue.send(Task::Batch { life, batch, bytes });
    }

    /// Asks for a load after all batches before it.
    pub(crate) fn load(&self, life: u64, id: u64, load: Load) {
        let _ = self.queue.send(Task::Load { life, id, load });
    }

    /// Opens the store anew for another life, after a failure.
    pub(crate) fn open(&self, life: u64) {
        let _ = self.queue.send(Task::Open { life });
    }

    /// Finishes what was handed over, closes the store and waits for both.
    pub(crate) fn join(self) {
        drop(self.queue);
        if self.thread.join().is_err() {
            tracing::error!("the disk's thread panicked; please report this");
        }
    }
}

/// What the thread holds.
struct Owner {
    store: Option<Store>,
    reopen: Reopen,
    reader: ReaderSlot,
    answers: UnboundedSender<Answer>,
    /// Lives up to here are over: what they asked for and is still queued is dropped.
    over: u64,
}

impl Owner {
    fn run(mut self, tasks: &Receiver<Task>) {
        let mut held = None;
        while let Some(task) = held.take().or_else(|| tasks.recv().ok()) {
            match task {
                Task::Batch { life, batch, bytes } => held = self.group(tasks, life, batch, bytes),
                Task::Load { life, id, load } => self.load(life, id, &load),
                Task::Open { life } => self.open(life),
            }
        }
        // The store closes before the reader's slot is emptied by its last owner: reads of a closing node may still end.
        self.reader.set(None);
    }

    /// Commits this batch together with those queued right behind it. Gives back the first task that is none of them.
    fn group(&mut self, tasks: &Receiver<Task>, life: u64, first: Batch, bytes: usize) -> Option<Task> {
        let mut group = vec![first];
        let mut total = bytes;
        let mut next = None;
        while group.len() < GROUP_BATCHES && total < GROUP_BYTES {
            match tasks.try_recv() {
                Ok(Task::Batch { life: same, batch, bytes }) if same == life => {
                    group.push(batch);
                    total += bytes;
                }
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(life, &group, total);
        next
    }

    fn commit(&mut self, life: u64, group: &[Batch], bytes: usize) {
        if life <= self.over {
            return;
        }
        let span = tracing::debug_span!("commit", batches = group.len(), bytes);
        let _entered = span.enter();
        let applied = match &self.store {
            Some(store) => store.apply(group).and_then(|()| accept(store)).map_err(DiskFailure::from),
            None => Err(closed()),
        };
        match applied {
            Ok(()) => {
                for batch in group {
                    self.answer(Answer::Stored { life, batch: batch.id });
                }
            }
            Err(failure) => self.fail(life, failure),
        }
    }

    fn load(&mut self, life: u64, id: u64, load: &Load) {
        if life <= self.over {
            return;
        }
        let loaded = match &self.store {
            Some(store) => store.load(load).map_err(DiskFailure::from),
            None => Err(closed()),
        };
        match loaded {
            Ok(loaded) => self.answer(Answer::Loaded { life, id, loaded }),
            Err(failure) => self.fail(life, failure),
        }
    }

    fn fail(&mut self, life: u64, failure: DiskFailure) {
        tracing::error!(cause = %failure.message, retryable = failure.retryable, "the store failed");
        self.over = life;
        self.answer(Answer::Failed { life, failure });
    }

    /// A store that failed once answers nothing more until it is opened again, so that is what happens first.
    fn open(&mut self, life: u64) {
        self.over = life.saturating_sub(1);
        self.reader.set(None);
        self.store = None;
        let opened = (self.reopen)().map_err(DiskFailure::from).and_then(|store| {
            let boot = store.boot()?;
            Ok((store, boot))
        });
        match opened {
            Ok((store, boot)) => {
                self.reader.set(Some(store.reader()));
                let copied = store.identity().copied;
                self.store = Some(store);
                self.answer(Answer::Opened { life, boot: Box::new(boot), copied });
            }
            Err(failure) => self.fail(life, failure),
        }
    }

    fn answer(&self, answer: Answer) {
        let _ = self.answers.send(answer); // Without a driver nobody waits, and the queue ends next.
    }
}

/// The first batch of a replica that was told of a copy holds the new incarnation: from then on this file is the store.
fn accept(store: &Store) -> Result<(), StoreError> {
    if store.identity().copied { store.accept_identity() } else { Ok(()) }
}

fn closed() -> DiskFailure {
    DiskFailure { message: "the store is closed after a failure".into(), retryable: true }
}

/// About how many bytes a batch makes the store write; for bounds, not for accounts.
pub(crate) fn batch_bytes(batch: &Batch) -> usize {
    /// What a record costs beside its bytes.
    const RECORD: usize = 128;
    let op = |op: &StoreOp| match op {
        StoreOp::PutMeta { value, .. } => value.len(),
        StoreOp::PutRosterOp { bytes, .. } | StoreOp::PutEntry { bytes, .. } => bytes.len(),
        StoreOp::PutSpace { record, .. } | StoreOp::PutPeer { record, .. } | StoreOp::PutInvitation { record, .. } => {
            record.len()
        }
        StoreOp::PutJournal { .. } => 0,
        StoreOp::PutDocument { record, content, view, .. } => {
            let content = match content {
                ContentOp::Keep => 0,
                ContentOp::Append(changes) => changes.iter().map(Vec::len).sum(),
                ContentOp::Replace(snapshot) => snapshot.len(),
            };
            let view = match view {
                ViewOp::Put(view) => view.len(),
                ViewOp::Keep | ViewOp::Remove => 0,
            };
            record.len() + content + view
        }
        StoreOp::PutRejected { reason, .. } => reason.len(),
        StoreOp::PutCheckpoint { record, .. } => record.len(),
        StoreOp::PutPart { bytes, .. } => bytes.len(),
        StoreOp::DropCheckpoint { .. } => 0,
    };
    batch.ops.iter().map(|this| RECORD + op(this)).sum()
}
