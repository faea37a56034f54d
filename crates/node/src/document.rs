//! [`Document`]: one document, read, changed, watched, and followed to other devices.

use std::sync::{Arc, Mutex, PoisonError};

use farshore_core::document::diff::diff;
use farshore_core::document::{Conflict, Edit};
use farshore_core::id::{DeviceId, DocumentId, JournalId, Position};
use farshore_core::input::{DocEdit, DocOp};
use farshore_core::job::WriteError;
use farshore_core::output::Edited;
use farshore_core::record::DocRecord;
use farshore_core::value::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::collection::{Collection, content_of, decode, typed};
use crate::conflicts::conflicts;
use crate::error::Error;
use crate::limits::{CHANGE_LOCKS, CHANGE_TRIES};
use crate::typed::with_kinds_of;
use crate::watch::Watcher;

/// A handle to one document. Cheap to clone.
#[derive(Debug)]
pub struct Document<T> {
    collection: Collection<T>,
    id: DocumentId,
    last: Arc<Mutex<Option<(JournalId, Position)>>>,
}

impl<T> Clone for Document<T> {
    fn clone(&self) -> Self {
        Document { collection: self.collection.clone(), id: self.id, last: Arc::clone(&self.last) }
    }
}

/// Who must hold an edit before it counts as having reached them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// Any other device of the space.
    AnyPeer,
    /// This device.
    Peer(DeviceId),
}

impl<T> Document<T> {
    pub(crate) fn new(collection: Collection<T>, id: DocumentId) -> Self {
        Document { collection, id, last: Arc::default() }
    }

    /// Its id, the same on every device.
    pub fn id(&self) -> DocumentId {
        self.id
    }

    /// The collection that it is in.
    pub fn collection(&self) -> &Collection<T> {
        &self.collection
    }

    /// Where the last edit made through this handle stands: journal and position. `None` before the first.
    pub fn last_entry(&self) -> Option<(JournalId, Position)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn written(&self, edited: &Edited) {
        if edited.entry.is_some() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = edited.entry;
        }
    }

    /// Its content as a plain value; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`].
    pub async fn value(&self) -> Result<Option<Value>, Error> {
        self.collection.value(self.id).await
    }

    /// Its content together with the heads that it was read at; `None` if it is not there. What an editor needs to make edits
    /// whose positions mean what its user saw: see [`Document::edit_at`].
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`].
    pub async fn snapshot(&self) -> Result<Option<Snapshot>, Error> {
        let key = self.collection.key(self.id);
        let id = self.id;
        self.collection
            .read(move |reader| {
                // Record and view are two reads; what lies between two equal records belongs to both.
                let mut before = reader.record(&key)?;
                loop {
                    let view = reader.view(&key)?;
                    let after = reader.record(&key)?;
                    if before == after {
                        return after.zip(view).map(|(record, view)| Snapshot::read(id, &record, &view)).transpose();
                    }
                    before = after;
                }
            })
            .await
    }

    /// Carries out edits if the document's heads are still `heads`. `false` if they changed nothing.
    ///
    /// # Errors
    /// [`Error::Write`] with [`WriteError::Changed`] when the document has changed since: read it again and decide anew. And
    /// as for [`Document::edit`].
    pub async fn edit_at(&self, heads: Vec<[u8; 32]>, edits: Vec<Edit>) -> Result<bool, Error> {
        let edit = DocEdit { document: self.id, keyed: false, op: DocOp::EditAt { heads, edits } };
        let edited = self.collection.apply_one(edit).await?;
        self.written(&edited);
        Ok(edited.entry.is_some())
    }

    /// Carries out edits, all or none. They are durable when this returns. `false` if they changed nothing.
    ///
    /// # Errors
    /// [`Error::Write`] when they do not fit the document or it is not there; [`Error::Refused`]; [`Error::Disk`].
    pub async fn edit(&self, edits: Vec<Edit>) -> Result<bool, Error> {
        let edit = DocEdit { document: self.id, keyed: false, op: DocOp::Edit(edits) };
        let edited = self.collection.apply_one(edit).await?;
        self.written(&edited);
        Ok(edited.entry.is_some())
    }

    /// Deletes it.
    ///
    /// # Errors
    /// As for [`Collection::delete`].
    pub async fn delete(&self) -> Result<(), Error> {
        let edited = self.collection.apply_one(DocEdit { document: self.id, keyed: false, op: DocOp::Delete }).await?;
        self.written(&edited);
        Ok(())
    }

    /// Every place where several devices wrote different values at the same time, with all of them. Writing to a place
    /// settles it. Empty for a document that is not there.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`].
    ///
    /// # Cost
    /// Where there are any it loads the document's history; reading its content does not.
    pub async fn conflicts(&self) -> Result<Vec<Conflict>, Error> {
        let key = self.collection.key(self.id);
        self.collection.read(move |reader| conflicts(reader, key)).await
    }

    /// Yields each time that the document may have changed. Dropping the stream unsubscribes.
    pub fn watch(&self) -> Watcher {
        let collection = &self.collection;
        collection.node().inner.watchers.watch(collection.space().id(), collection.tag(), Some(self.id))
    }

    /// Waits until others durably hold everything that this device has written in the document's collection, the edits of this
    /// document among it. It never returns while they are away, or if they do not want the collection: put a time limit around it.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn reached(&self, reach: Reach) -> Result<(), Error> {
        let (space, tag) = (self.collection.space().id(), self.collection.tag());
        let mut watch = self.collection.node().status_watch()?;
        let arrived = watch.until(|status| {
            let unheld = status.unheld(space);
            match reach {
                Reach::AnyPeer => unheld.values().any(|collections| !collections.contains(&tag)),
                Reach::Peer(device) => unheld.get(&device).is_some_and(|collections| !collections.contains(&tag)),
            }
        });
        arrived.await.map(|_| ()).ok_or(Error::Closed)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Document<T> {
    /// Its content; `None` if it is not there.
    ///
    /// # Errors
    /// As for [`Collection::get`].
    pub async fn get(&self) -> Result<Option<T>, Error> {
        self.collection.get(self.id).await
    }

    /// Changes it: reads it, lets `change` alter the value, and makes the fewest edits that lead there, so that what others
    /// edit at the same time stays. Durable when it returns. `false` if nothing changed.
    ///
    /// When the document changes between reading and writing, `change` is called again on what is there then. Calls of this
    /// program for one document run one after another.
    ///
    /// # Errors
    /// [`Error::NoDocument`]; [`Error::Type`] when the content does not have `T`'s shape; [`Error::Write`] with
    /// [`WriteError::Changed`] when others keep changing it; and as for [`Document::edit`].
    pub async fn change(&self, mut change: impl FnMut(&mut T)) -> Result<bool, Error> {
        let locks = &self.collection.node().inner.change_locks;
        let _one_at_a_time = locks[usize::from(self.id.0[15]) % CHANGE_LOCKS].lock().await;
        let mut tries = CHANGE_TRIES;
        loop {
            let there = self.snapshot().await?.ok_or(Error::NoDocument(self.id))?;
            let mut content: T = typed(there.value.clone())?;
            // The difference is between what `T` said before and after: fields that it does not know are not touched. Kinds
            // are the document's.
            let before = with_kinds_of(&there.value, content_of(&content)?);
            change(&mut content);
            let edits = diff(&before, &content_of(&content)?);
            if edits.is_empty() {
                return Ok(false);
            }
            tries -= 1;
            match self.edit_at(there.heads, edits).await {
                Err(Error::Write(WriteError::Changed(_))) if tries > 0 => {}
                result => return result,
            }
        }
    }
}

/// A document as it was read at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its content.
    pub value: Value,
    /// Its Automerge heads, sorted.
    pub heads: Vec<[u8; 32]>,
    /// Whether some field has more than one value: see [`Document::conflicts`].
    pub conflicts: bool,
}

impl Snapshot {
    fn read(id: DocumentId, record: &[u8], view: &[u8]) -> Result<Snapshot, Error> {
        let record = DocRecord::decode(record).map_err(|error| Error::Damaged {
            what: format!("the record of document {id}"),
            cause: error.to_string(),
        })?;
        let heads = record.heads.into_keys().collect();
        Ok(Snapshot { value: decode(id, view)?, heads, conflicts: record.conflicts })
    }
}
