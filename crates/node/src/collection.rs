//! [`Collection`]: documents of one kind, inserted, put by key, read, listed, watched.

use std::any::Any;
use std::borrow::Borrow;
use std::marker::PhantomData;

use farshore_core::id::{CollectionTag, DocKey, DocumentId};
use farshore_core::input::{DocEdit, DocOp, Request};
use farshore_core::job::WriteError;
use farshore_core::output::{CheckpointMade, Edited, Reply};
use farshore_core::value::Value;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::document::Document;
use crate::error::Error;
use crate::limits::{IMPORT_DOCUMENTS, IMPORT_REQUESTS, PAGE_DOCUMENTS};
use crate::node::{Node, unexpected};
use crate::os;
use crate::query::Query;
use crate::space::Space;
use crate::typed::{from_value, to_value};
use crate::watch::Watcher;

/// A collection, as documents of the app's type `T`. Cheap to clone.
///
/// `T` is any serde type that serializes to a map: a struct, say. [`Value`] is one too, and the only one that keeps every
/// kind of content apart.
#[derive(Debug)]
pub struct Collection<T> {
    space: Space,
    tag: CollectionTag,
    name: String,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Collection { space: self.space.clone(), tag: self.tag, name: self.name.clone(), of: PhantomData }
    }
}

impl<T> Collection<T> {
    pub(crate) fn new(space: Space, tag: CollectionTag, name: &str) -> Self {
        Collection { space, tag, name: name.to_owned(), of: PhantomData }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id as it appears outside the space.
    pub fn tag(&self) -> CollectionTag {
        self.tag
    }

    /// The space that it is in.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The same collection with documents of another type.
    pub fn typed<U>(&self) -> Collection<U> {
        Collection::new(self.space.clone(), self.tag, &self.name)
    }

    pub(crate) fn node(&self) -> &Node {
        self.space.node()
    }

    pub(crate) fn key(&self, document: DocumentId) -> DocKey {
        DocKey { space: self.space.id(), collection: self.tag, document }
    }

    /// The id of the document with this key: the same on every device.
    ///
    /// # Errors
    /// [`Error::Refused`] when the key is empty or too long, or the space's key is not here yet.
    pub async fn id_of(&self, key: &str) -> Result<DocumentId, Error> {
        let ids = self.ids_of(vec![key.to_owned()]).await?;
        ids.first().copied().ok_or_else(|| Error::Internal("the engine gave no id for a key".into()))
    }

    /// The ids of the documents with these keys, in the same order.
    ///
    /// # Errors
    /// As for [`Collection::id_of`].
    pub async fn ids_of(&self, keys: Vec<String>) -> Result<Vec<DocumentId>, Error> {
        let request = Request::DocumentIds { space: self.space.id(), collection: self.tag, keys };
        match self.node().ask(request).await? {
            Reply::DocumentIds(ids) => Ok(ids),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes a checkpoint of the collection as it is now, from which devices that join later begin instead of taking every
    /// entry. Edits go on meanwhile. It returns when the checkpoint is durable.
    ///
    /// # Errors
    /// [`Error::Refused`] when this device may not write, the collection holds nothing, or it is too large for one.
    ///
    /// Cost: all entries since the last checkpoint are read and unsealed, and every document is loaded once.
    pub async fn checkpoint(&self) -> Result<CheckpointMade, Error> {
        let request = Request::Checkpoint { space: self.space.id(), collection: self.tag };
        match self.node().ask(request).await? {
            Reply::Checkpoint(made) => Ok(made),
            other => Err(unexpected(&other)),
        }
    }

    /// A handle to a document, whether it is there or not.
    pub fn document(&self, id: DocumentId) -> Document<T> {
        Document::new(self.clone(), id)
    }

    /// Carries out edits of any documents of the collection as one request: what the other writing methods are made of. It
    /// returns when those that were accepted are durable. Requests that are under way at the same time are carried out in any
    /// order: who needs one after another awaits it, or puts both into one request.
    ///
    /// # Errors
    /// When nothing was done; what was refused for one document is in its own result, in the order of `edits`.
    pub async fn apply(&self, edits: Vec<DocEdit>) -> Result<Vec<Result<Edited, WriteError>>, Error> {
        let request = Request::Edit { space: self.space.id(), collection: self.tag, edits };
        match self.node().ask(request).await? {
            Reply::Edited(results) => Ok(results),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn apply_one(&self, edit: DocEdit) -> Result<Edited, Error> {
        match self.apply(vec![edit]).await?.pop() {
            Some(result) => Ok(result?),
            None => Err(Error::Internal("the engine answered an edit with nothing".into())),
        }
    }

    /// Deletes a document. Inserting it again under its key starts a new life that the old one's late edits cannot reach.
    ///
    /// # Errors
    /// [`Error::Write`] when it is not there; [`Error::Refused`]; [`Error::Disk`].
    pub async fn delete(&self, id: DocumentId) -> Result<(), Error> {
        self.apply_one(DocEdit { document: id, keyed: false, op: DocOp::Delete }).await.map(|_| ())
    }

    /// A document's content as a plain value; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`].
    pub async fn value(&self, id: DocumentId) -> Result<Option<Value>, Error> {
        let key = self.key(id);
        let view = self.read(move |reader| Ok(reader.view(&key)?)).await?;
        view.map(|bytes| decode(id, &bytes)).transpose()
    }

    /// Up to `limit` documents as plain values, in the order of their ids, from the first one after `after`.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`].
    pub async fn values(&self, after: Option<DocumentId>, limit: usize) -> Result<Vec<(DocumentId, Value)>, Error> {
        let (space, tag) = (self.space.id(), self.tag);
        let page = self.read(move |reader| Ok(reader.list(&space, &tag, after, limit)?)).await?;
        page.into_iter().map(|(id, bytes)| Ok((id, decode(id, &bytes)?))).collect()
    }

    /// All documents as plain values, in the order of their ids. Documents that come or go meanwhile may be among them or not.
    pub fn all_values(&self) -> impl Stream<Item = Result<(DocumentId, Value), Error>> + Send + use<T> {
        let this = self.typed::<Value>();
        let pages = stream::try_unfold(Some(None), move |after: Option<Option<DocumentId>>| {
            let this = this.clone();
            async move {
                let Some(after) = after else { return Ok(None) };
                let page = this.values(after, PAGE_DOCUMENTS).await?;
                let next = if page.len() < PAGE_DOCUMENTS { None } else { page.last().map(|(id, _)| Some(*id)) };
                Ok::<_, Error>(Some((stream::iter(page.into_iter().map(Ok)), next)))
            }
        });
        pages.try_flatten()
    }

    /// How many documents there are.
    ///
    /// # Errors
    /// [`Error::Disk`].
    ///
    /// # Cost
    /// Two lookups, whatever the size.
    pub async fn count(&self) -> Result<u64, Error> {
        let (space, tag) = (self.space.id(), self.tag);
        self.read(move |reader| Ok(reader.count(&space, &tag)?)).await
    }

    /// Which documents change from now on, here or from peers. Dropping the stream unsubscribes.
    pub fn watch(&self) -> Watcher {
        self.node().inner.watchers.watch(self.space.id(), self.tag, None)
    }

    /// Starts a query over the documents' content.
    pub fn query(&self) -> Query<T> {
        Query::new(self.clone())
    }

    /// Reads from the store on a thread that may block.
    pub(crate) async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&farshore_store::Reader) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let reader = self.node().inner.reader.get()?;
        let read = tokio::task::spawn_blocking(move || read(&reader)).await;
        read.map_err(|error| Error::Internal(format!("reading panicked: {error}")))?
    }

    /// Writes many documents: whole requests, several under way at a time, so that signing and the disk overlap.
    async fn write_many(&self, writes: impl Iterator<Item = Result<Write, Error>>) -> Result<Vec<DocumentId>, Error> {
        let requests = stream::iter(Chunks(writes)).map(|chunk| async move {
            let results = self.apply(self.edits(chunk?).await?).await?;
            results.into_iter().map(|result| Ok(result?.document)).collect::<Result<Vec<_>, Error>>()
        });
        requests.buffered(IMPORT_REQUESTS).try_concat().await
    }

    /// The edits of writes: those by key need their ids first.
    async fn edits(&self, writes: Vec<Write>) -> Result<Vec<DocEdit>, Error> {
        let keys: Vec<String> = writes.iter().filter_map(|write| write.key.clone()).collect();
        let mut ids = if keys.is_empty() { Vec::new() } else { self.ids_of(keys).await? }.into_iter();
        let edit = |write: Write| match write.key {
            None => Ok(DocEdit { document: DocumentId(os::random()?), keyed: false, op: DocOp::Create(write.content) }),
            Some(_) => {
                let missing = || Error::Internal("the engine gave fewer ids than keys".into());
                let document = ids.next().ok_or_else(missing)?;
                Ok(DocEdit { document, keyed: true, op: DocOp::Upsert(write.content) })
            }
        };
        writes.into_iter().map(edit).collect()
    }
}

/// One document to write, under its key or a new random id.
struct Write {
    key: Option<String>,
    content: Value,
}

/// Groups writes into requests; an error ends them.
struct Chunks<I>(I);

impl<I: Iterator<Item = Result<Write, Error>>> Iterator for Chunks<I> {
    type Item = Result<Vec<Write>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk: Result<Vec<Write>, Error> = self.0.by_ref().take(IMPORT_DOCUMENTS).collect();
        match chunk {
            Ok(writes) if writes.is_empty() => None,
            other => Some(other),
        }
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Collection<T> {
    /// Inserts a document under a new random id. It is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Type`] when `T` does not serialize to a map; [`Error::Refused`] when this device may not write;
    /// [`Error::Disk`].
    pub async fn insert(&self, content: impl Borrow<T>) -> Result<Document<T>, Error> {
        self.write(Write { key: None, content: content_of(content.borrow())? }).await
    }

    /// Inserts many documents, and returns their ids in the same order. Fast: they share entries, signatures and commits.
    ///
    /// # Errors
    /// As for [`Collection::insert`]. Documents before the one at fault may have been inserted: this is an import, not a
    /// transaction.
    pub async fn insert_many<D: Borrow<T>>(
        &self,
        contents: impl IntoIterator<Item = D>,
    ) -> Result<Vec<DocumentId>, Error> {
        let write = |content: D| Ok(Write { key: None, content: content_of(content.borrow())? });
        self.write_many(contents.into_iter().map(write)).await
    }

    /// Creates the document with this key, or makes its fields those of `content`, leaving fields alone that `content` does
    /// not have. Devices that do so at the same time for one key write one document, and lose nothing of either.
    ///
    /// # Errors
    /// As for [`Collection::insert`].
    pub async fn upsert(&self, key: &str, content: impl Borrow<T>) -> Result<Document<T>, Error> {
        self.write(Write { key: Some(key.to_owned()), content: content_of(content.borrow())? }).await
    }

    /// Upserts many documents by key, and returns their ids in the same order.
    ///
    /// # Errors
    /// As for [`Collection::insert_many`].
    pub async fn upsert_many<K: AsRef<str>, D: Borrow<T>>(
        &self,
        contents: impl IntoIterator<Item = (K, D)>,
    ) -> Result<Vec<DocumentId>, Error> {
        let write = |(key, content): (K, D)| {
            Ok(Write { key: Some(key.as_ref().to_owned()), content: content_of(content.borrow())? })
        };
        self.write_many(contents.into_iter().map(write)).await
    }

    async fn write(&self, write: Write) -> Result<Document<T>, Error> {
        let mut edits = self.edits(vec![write]).await?;
        let edit = edits.pop().ok_or_else(|| Error::Internal("a write made no edit".into()))?;
        let document = self.document(edit.document);
        document.written(&self.apply_one(edit).await?);
        Ok(document)
    }

    /// A document's content; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Type`] when it does not have `T`'s shape; [`Error::Disk`]; [`Error::Damaged`].
    pub async fn get(&self, id: DocumentId) -> Result<Option<T>, Error> {
        self.value(id).await?.map(typed).transpose()
    }

    /// The content of the document with this key; `None` if it is not there.
    ///
    /// # Errors
    /// As for [`Collection::get`].
    pub async fn get_by_key(&self, key: &str) -> Result<Option<T>, Error> {
        self.get(self.id_of(key).await?).await
    }

    /// Up to `limit` documents in the order of their ids, from the first one after `after`.
    ///
    /// # Errors
    /// As for [`Collection::get`].
    pub async fn list(&self, after: Option<DocumentId>, limit: usize) -> Result<Vec<(DocumentId, T)>, Error> {
        self.values(after, limit).await?.into_iter().map(|(id, value)| Ok((id, typed(value)?))).collect()
    }
}

pub(crate) fn decode(id: DocumentId, bytes: &[u8]) -> Result<Value, Error> {
    Value::decode(bytes)
        .map_err(|error| Error::Damaged { what: format!("the view of document {id}"), cause: error.to_string() })
}

/// The content of an app's value. A [`Value`] goes through as it is: serde would flatten its kinds.
pub(crate) fn content_of<T: Serialize + 'static>(content: &T) -> Result<Value, Error> {
    let value = match (content as &dyn Any).downcast_ref::<Value>() {
        Some(value) => value.clone(),
        None => to_value(content).map_err(Error::mistyped::<T>)?,
    };
    match value {
        Value::Map(_) => Ok(value),
        other => Err(Error::not_a_map::<T>(&other)),
    }
}

/// The app's value of a content.
pub(crate) fn typed<T: DeserializeOwned + 'static>(value: Value) -> Result<T, Error> {
    let mut value = Some(value);
    // The same detour as in `content_of`, by value: an `Option<T>` that is an `Option<Value>` takes it.
    let mut out: Option<T> = None;
    if let Some(slot) = (&mut out as &mut dyn Any).downcast_mut::<Option<Value>>() {
        *slot = value.take();
    }
    match (out, value) {
        (Some(out), _) => Ok(out),
        (None, Some(value)) => from_value(&value).map_err(Error::mistyped::<T>),
        (None, None) => Err(Error::Internal("a value was lost".into())),
    }
}
