//! Requests about documents.

use super::convert;
use super::executor::{Device, id_of, no_document};
use crate::control::{
    Batch, Batches, ChangeItem, CheckpointItem, ConflictItem, DigestItem, DocumentItem, DocumentName, Edit, Filter,
    ImportedItem, Place, ReplySink, WrittenItem,
};
use crate::exit::{Exit, Failure};
use crate::formats::Fields;
use crate::limits::BATCHES_UNACKNOWLEDGED_MAX;
use crate::path::Path;
use farshore::{Changes, Collection, DocumentId, Value};
use futures::{TryStreamExt as _, stream};

impl Device {
    pub(super) async fn put(
        &self,
        place: &Place,
        document: Option<DocumentName>,
        fields: Fields,
        replace: bool,
        replies: &ReplySink,
    ) -> Result<(), Failure> {
        let content = convert::map(fields);
        let collection = match &document {
            Some(DocumentName::Id(_)) => self.collection(place).await?,
            _ => self.collection_or_new(place).await?,
        };
        let update = |value: Value| match replace {
            true => vec![farshore::Edit::Replace { value }],
            false => vec![farshore::Edit::Merge { value }],
        };
        let (written, changed) = match &document {
            None => (collection.insert(content).await?, true),
            Some(name @ DocumentName::Id(_)) => {
                let there = collection.document(id_of(&collection, name).await?);
                if there.value().await?.is_none() {
                    return Err(no_document(&collection, name));
                }
                let changed = there.edit(update(content)).await?;
                (there, changed)
            }
            Some(DocumentName::Key(key)) => {
                let there = collection.document(collection.id_of(key).await?);
                if replace && there.value().await?.is_some() {
                    let changed = there.edit(update(content)).await?;
                    (there, changed)
                } else {
                    let written = collection.upsert(key, content).await?;
                    let changed = written.last_entry().is_some();
                    (written, changed)
                }
            }
        };
        replies.item(&WrittenItem { id: written.id().to_string(), key: key_of(document), changed }).await
    }

    pub(super) async fn get(
        &self,
        place: &Place,
        name: &DocumentName,
        path: Option<&Path>,
        conflicts: bool,
        replies: &ReplySink,
    ) -> Result<(), Failure> {
        let collection = self.collection(place).await?;
        let document = collection.document(id_of(&collection, name).await?);
        let content = document.value().await?.ok_or_else(|| no_document(&collection, name))?;
        let shown = match path {
            None => &content,
            Some(path) => convert::part(&content, path).ok_or_else(|| {
                Failure::new(Exit::NotFound, format!("the document {name} has nothing at {path}"))
                    .remedy("without a path `farshore get` shows all of it")
            })?,
        };
        let conflicts = match conflicts {
            false => None,
            true => {
                let all = document.conflicts().await?;
                let wanted = all.iter().filter(|conflict| path.is_none_or(|path| convert::lies_in(conflict, path)));
                Some(wanted.map(conflict_item).collect())
            }
        };
        let kept_up = self.kept_up(place).await?;
        let item = DocumentItem { id: document.id().to_string(), value: convert::json(shown), kept_up, conflicts };
        replies.item(&item).await
    }

    pub(super) async fn edit(
        &self,
        place: &Place,
        name: DocumentName,
        edits: Vec<Edit>,
        replies: &ReplySink,
    ) -> Result<(), Failure> {
        let collection = self.collection(place).await?;
        let document = collection.document(id_of(&collection, &name).await?);
        let content = document.value().await?.ok_or_else(|| no_document(&collection, &name))?;
        let edits = edits.into_iter().map(|edit| convert::edit(edit, &content)).collect::<Result<_, _>>()?;
        let changed = document.edit(edits).await?;
        replies.item(&WrittenItem { id: document.id().to_string(), key: key_of(Some(name)), changed }).await
    }

    /// Deletes documents one by one; one that is not there is no failure, for what was wanted holds.
    pub(super) async fn remove(
        &self,
        place: &Place,
        documents: Vec<DocumentName>,
        replies: &ReplySink,
    ) -> Result<(), Failure> {
        let collection = self.collection(place).await?;
        let mut ids = Vec::with_capacity(documents.len());
        for name in documents {
            ids.push((id_of(&collection, &name).await?, name)); // a mistyped id is told before anything is deleted
        }
        for (id, name) in ids {
            let changed = match collection.delete(id).await {
                Ok(()) => true,
                Err(farshore::Error::Write(farshore::WriteError::Missing(_))) => false,
                Err(error) => return Err(error.into()),
            };
            replies.item(&WrittenItem { id: id.to_string(), key: key_of(Some(name)), changed }).await?;
        }
        Ok(())
    }

    pub(super) async fn list(
        &self,
        place: &Place,
        filters: Vec<Filter>,
        limit: Option<u64>,
        replies: &ReplySink,
    ) -> Result<(), Failure> {
        let collection = self.collection(place).await?;
        let kept_up = self.kept_up(place).await?;
        let conditions: Vec<_> = filters.into_iter().map(convert::condition).collect();
        let mut left = limit.unwrap_or(u64::MAX);
        let mut all = std::pin::pin!(collection.all_values());
        while left > 0 {
            let Some((id, content)) = all.try_next().await? else { break };
            if conditions.iter().all(|holds| holds(&content)) {
                left -= 1;
                let value = convert::json(&content);
                let item = DocumentItem { id: id.to_string(), value, kept_up, conflicts: None };
                replies.item(&item).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn export(&self, place: &Place, replies: &ReplySink) -> Result<(), Failure> {
        let collection = self.collection(place).await?;
        let mut all = std::pin::pin!(collection.all_values());
        while let Some((id, content)) = all.try_next().await? {
            let value = convert::typed(&content).to_tagged();
            let item = DocumentItem { id: id.to_string(), value, kept_up: true, conflicts: None };
            replies.item(&item).await?;
        }
        Ok(())
    }

    /// Stores batches as they come, a few at a time so that signing and the disk overlap, and acknowledges them in order.
    pub(super) async fn import(
        &self,
        place: &Place,
        keyed: bool,
        rows: u64,
        batches: Batches,
        replies: &ReplySink,
    ) -> Result<(), Failure> {
        let collection = self.collection_or_new(place).await?;
        let received = stream::try_unfold(batches, |mut batches| async move {
            Ok::<_, Failure>(batches.next().await?.map(|batch| (batch, batches)))
        });
        let collection = &collection;
        let written = received.map_ok(|batch| write_batch(collection, batch, keyed));
        let mut written = std::pin::pin!(written.try_buffered(BATCHES_UNACKNOWLEDGED_MAX));
        let mut durable = 0;
        while let Some((batch, count)) = written.try_next().await? {
            durable += count;
            replies.ack(&batch, durable).await?;
            replies.progress(durable, Some(rows), "documents");
        }
        replies.item(&ImportedItem { rows: durable }).await
    }

    pub(super) async fn watch(
        &self,
        place: &Place,
        document: Option<DocumentName>,
        initial: bool,
        replies: &ReplySink,
    ) -> Result<(), Failure> {
        self.must_run("watch")?;
        let collection = self.collection(place).await?;
        let only = match &document {
            Some(name) => Some(id_of(&collection, name).await?),
            None => None,
        };
        // Before the first look, so that no change falls in between.
        let mut watcher = match only {
            Some(id) => collection.document(id).watch(),
            None => collection.watch(),
        };
        match (initial, only) {
            (true, Some(id)) => tell(&collection, id, replies).await?,
            (true, None) => {
                let mut all = std::pin::pin!(collection.all_values());
                while let Some((id, content)) = all.try_next().await? {
                    let value = Some(convert::json(&content));
                    replies.item(&ChangeItem { id: Some(id.to_string()), value }).await?;
                }
            }
            (false, _) => {}
        }
        while let Some(changes) = watcher.next().await {
            match changes {
                Changes::Documents(documents) => {
                    for id in documents {
                        tell(&collection, id, replies).await?;
                    }
                }
                _ => replies.item(&ChangeItem { id: None, value: None }).await?,
            }
        }
        Ok(())
    }

    pub(super) async fn checkpoint(&self, place: &Place, replies: &ReplySink) -> Result<(), Failure> {
        let made = self.collection(place).await?.checkpoint().await?;
        let item = CheckpointItem { documents: made.lives, bytes: made.bytes, entry_bytes: made.entry_bytes };
        replies.item(&item).await
    }

    pub(super) async fn digest(&self, place: &Place, replies: &ReplySink) -> Result<(), Failure> {
        let digest = self.collection(place).await?.digest().await?;
        let hex = |bytes: &[u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let item = DigestItem { documents: digest.documents, heads: hex(&digest.heads), views: hex(&digest.views) };
        replies.item(&item).await
    }

    /// Refuses what would wait for ever: while a command has the store for itself, nothing else can happen to it.
    /// Whether what others write in a collection comes here now.
    async fn kept_up(&self, place: &Place) -> Result<bool, Failure> {
        let collections = self.space(place.space.as_deref()).await?.collections().await?;
        let found = collections.iter().find(|found| found.name.as_deref() == Some(place.collection.as_str()));
        Ok(found.is_none_or(|found| found.kept_up))
    }

    pub(super) fn must_run(&self, what: &str) -> Result<(), Failure> {
        match self.pid {
            Some(_) => Ok(()),
            None => {
                Err(Failure::new(Exit::Unavailable, format!("there is nothing to {what}: the device does not run"))
                    .remedy("start it with `farshore up` in another terminal"))
            }
        }
    }
}

async fn tell(collection: &Collection<Value>, id: DocumentId, replies: &ReplySink) -> Result<(), Failure> {
    let value = collection.value(id).await?.as_ref().map(convert::json);
    replies.item(&ChangeItem { id: Some(id.to_string()), value }).await
}

async fn write_batch(collection: &Collection<Value>, mut batch: Batch, keyed: bool) -> Result<(Batch, u64), Failure> {
    let rows = std::mem::take(&mut batch.rows);
    let count = rows.len() as u64;
    if keyed {
        let mut contents = Vec::with_capacity(rows.len());
        for row in rows {
            let missing = || Failure::data(format!("line {}: the row has no key", row.line));
            contents.push((row.key.clone().ok_or_else(missing)?, convert::map(row.fields)));
        }
        collection.upsert_many(contents).await?;
    } else {
        collection.insert_many(rows.into_iter().map(|row| convert::map(row.fields))).await?;
    }
    Ok((batch, count))
}

pub(super) fn conflict_item(conflict: &farshore::Conflict) -> ConflictItem {
    let shown = conflict.values.get(conflict.winner);
    let others = conflict.values.iter().enumerate().filter(|(at, _)| *at != conflict.winner);
    ConflictItem {
        path: convert::conflict_path(conflict),
        shown: shown.map_or(serde_json::Value::Null, |candidate| convert::json(&candidate.value)),
        others: others.map(|(_, candidate)| convert::json(&candidate.value)).collect(),
    }
}

fn key_of(document: Option<DocumentName>) -> Option<String> {
    match document {
        Some(DocumentName::Key(key)) => Some(key),
        _ => None,
    }
}
