//! Commits that are put off: what is durable in virtual time and not yet in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use farshore_core::batch::{Batch, Load, StoreOp, ViewOp};
use farshore_core::id::{DocKey, JournalId};
use farshore_store::testing::Disk;
use farshore_store::{Store, StoreError};

use super::files::op_bytes;
use super::helper::Helper;

/// Batches in the order in which they became durable, and what of it somebody may ask for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    batches: Vec<Batch>,
    bytes: usize,
    /// The documents in it, with the batch and operation that put or removed a view last, if one did.
    documents: BTreeMap<DocKey, Option<(usize, usize)>>,
    /// The journals whose entries are in it.
    journals: BTreeSet<JournalId>,
}

impl Waiting {
    pub(super) fn add(&mut self, group: Vec<Batch>) {
        for batch in group {
            for (place, op) in batch.ops.iter().enumerate() {
                self.bytes += op_bytes(op);
                match op {
                    StoreOp::PutDocument { key, view, .. } => {
                        let last = self.documents.entry(*key).or_default();
                        if *view != ViewOp::Keep {
                            *last = Some((self.batches.len(), place));
                        }
                    }
                    StoreOp::PutEntry { journal, .. } => {
                        self.journals.insert(*journal);
                    }
                    _ => {}
                }
            }
            self.batches.push(batch);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// About what it takes on a disk.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a document's view will be once all of it is written; `None` if that says nothing about it.
    pub(super) fn view(&self, key: &DocKey) -> Option<Option<Vec<u8>>> {
        let (batch, place) = (*self.documents.get(key)?)?;
        match self.batches.get(batch)?.ops.get(place)? {
            StoreOp::PutDocument { view: ViewOp::Put(bytes), .. } => Some(Some(bytes.clone())),
            _ => Some(None),
        }
    }

    /// Whether what is asked for is in it.
    pub(super) fn holds(&self, load: &Load) -> bool {
        match load {
            Load::Documents(keys) => keys.iter().any(|key| self.documents.contains_key(key)),
            Load::Lives(lives) => lives.iter().any(|(key, _)| self.documents.contains_key(key)),
            Load::Entry { journal, .. } | Load::Entries { journal, .. } => self.journals.contains(journal),
            // Checkpoints are rare: whatever waits is written first.
            Load::Part { .. } => !self.is_empty(),
            Load::Hashes { places, .. } => places.iter().any(|(journal, _)| self.journals.contains(journal)),
        }
    }
}

/// What is being written by the second thread while the world goes on. Whoever needs the store waits for it: a reader beside
/// a commit would keep pages from being used again, and the disk would depend on which of the two was faster.
pub(super) struct Behind {
    what: Arc<Waiting>,
    done: Receiver<(Result<(), StoreError>, u64)>,
}

impl Behind {
    /// Begins to write `what` to the store on `live`; `shadow` does what that disk does.
    pub(super) fn begin(helper: &Helper, what: Waiting, store: Arc<Store>, live: Disk, shadow: Disk) -> Behind {
        let what = Arc::new(what);
        let written = Arc::clone(&what);
        let (sender, done) = channel();
        helper.give(move || {
            live.record();
            let result = store.apply(written.batches());
            let ops = live.take_recording();
            let count = ops.len() as u64;
            ops.into_iter().for_each(|op| shadow.follow(op));
            // The store is closed by whoever has it last, which must be the world.
            drop(store);
            // Nobody waits any more if the run was broken off.
            let _ = sender.send((result, count));
        });
        Behind { what, done }
    }

    /// See [`Waiting::view`].
    pub(super) fn view(&self, key: &DocKey) -> Option<Option<Vec<u8>>> {
        self.what.view(key)
    }

    /// Waits until it is written: why it was not, and the operations of the disk.
    pub(super) fn end(self) -> (Result<(), String>, u64) {
        match self.done.recv() {
            Ok((result, ops)) => (result.map_err(|error| error.to_string()), ops),
            Err(_) => (Err("the thread that wrote to the store panicked".into()), 0),
        }
    }
}
