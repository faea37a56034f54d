//! Looks for conflicts in documents that edits of others have changed, for whoever subscribes to events.
//!
//! It reads from the store, beside everything else: the driver hands over what changed and never waits. Nobody subscribed:
//! nothing is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use farshore_core::batch::{Load, Loaded};
use farshore_core::document::Conflict;
use farshore_core::id::{CollectionTag, DocKey, DocumentId, SpaceId};
use farshore_core::record::{DocRecord, OpenDocument};
use farshore_store::Reader;
use tokio::sync::{broadcast, mpsc};

use crate::disk::ReaderSlot;
use crate::error::Error;
use crate::events::{Event, EventKind};
use crate::limits::{CONFLICTS_REMEMBERED, CONFLICTS_WAITING};
use crate::os;

/// Documents of one collection that have changed.
pub(crate) struct Changed {
    pub(crate) space: SpaceId,
    pub(crate) collection: CollectionTag,
    pub(crate) documents: Arc<[DocumentId]>,
}

/// Where the driver puts what changed.
pub(crate) type Queue = mpsc::Sender<Changed>;

/// Starts looking, on a task that ends with the queue.
pub(crate) fn start(reader: ReaderSlot, events: broadcast::WeakSender<Event>) -> Queue {
    let (queue, mut changed) = mpsc::channel::<Changed>(CONFLICTS_WAITING);
    tokio::spawn(async move {
        let mut told = Told::default();
        while let Some(changed) = changed.recv().await {
            let Ok(reader) = reader.get() else { continue }; // The store is being opened again.
            let looked = tokio::task::spawn_blocking(move || {
                let found = look(&reader, &changed, &mut told);
                (told, found)
            });
            let Ok((remembered, found)) = looked.await else { return };
            told = remembered;
            let Some(events) = events.upgrade() else { return };
            for kind in found {
                let _ = events.send(Event { at_ms: os::wall_ms(), kind }); // Nobody may be listening.
            }
        }
    });
    queue
}

/// What was told of each document, as a fingerprint. When there are too many it begins anew, and some are told again.
#[derive(Debug, Default)]
struct Told(BTreeMap<DocKey, [u8; 32]>);

impl Told {
    /// Notes what a document has; says whether it is news.
    fn is_news(&mut self, key: DocKey, conflicts: &[Conflict]) -> bool {
        if conflicts.is_empty() {
            self.0.remove(&key);
            return false;
        }
        let mut hasher = blake3::Hasher::new();
        for conflict in conflicts {
            hasher.update(format!("{:?}", conflict.path).as_bytes());
            for value in &conflict.values {
                hasher.update(value.op.as_bytes()).update(&[0]);
            }
        }
        let now = *hasher.finalize().as_bytes();
        if self.0.len() >= CONFLICTS_REMEMBERED && !self.0.contains_key(&key) {
            self.0.clear();
        }
        self.0.insert(key, now) != Some(now)
    }
}

/// Looks at each document. One that does not read is left out: whoever reads it is told why.
fn look(reader: &Reader, changed: &Changed, told: &mut Told) -> Vec<EventKind> {
    let (space, collection) = (changed.space, changed.collection);
    let mut found = Vec::new();
    for document in changed.documents.iter().copied() {
        let key = DocKey { space, collection, document };
        match conflicts(reader, key) {
            Ok(conflicts) if told.is_news(key, &conflicts) => {
                found.push(EventKind::Conflict { space, collection, document, conflicts: conflicts.into() });
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%document, %error, "cannot look for conflicts"),
        }
    }
    found
}

/// Every place of a document where several values are kept; empty for one that is not there.
///
/// # Errors
/// The store's record is damaged, or the disk fails.
///
/// Cost: one read; where there are conflicts the document is loaded.
pub(crate) fn conflicts(reader: &Reader, key: DocKey) -> Result<Vec<Conflict>, Error> {
    let damaged = |cause: String| Error::Damaged { what: format!("document {}", key.document), cause };
    let Some(record) = reader.record(&key)? else { return Ok(Vec::new()) };
    let record = DocRecord::decode(&record).map_err(|error| damaged(error.to_string()))?;
    if !record.conflicts || reader.view(&key)?.is_none() {
        return Ok(Vec::new());
    }
    let Loaded::Documents(mut documents) = reader.load(&Load::Documents(vec![key]))? else {
        return Err(Error::Internal("the store answered a load with something else".into()));
    };
    let Some(stored) = documents.pop().flatten() else { return Ok(Vec::new()) };
    Ok(OpenDocument::load(&stored).map_err(damaged)?.document.conflicts())
}

#[cfg(test)]
mod tests {
    use super::*;
    use farshore_core::document::Candidate;

    fn conflict(op: &str) -> Vec<Conflict> {
        let candidate = |op: &str| Candidate { value: 1.into(), actor: [0; 16], op: op.into() };
        vec![Conflict { path: vec!["a".into()], values: vec![candidate(op), candidate("9@x")], winner: 1 }]
    }

    #[test]
    fn a_conflict_is_told_once_and_again_when_it_changes_or_comes_back() {
        let mut told = Told::default();
        let key = |number| DocKey {
            space: SpaceId([1; 32]),
            collection: CollectionTag([2; 16]),
            document: DocumentId([number; 16]),
        };
        assert!(told.is_news(key(1), &conflict("1@a")) && !told.is_news(key(1), &conflict("1@a")));
        assert!(told.is_news(key(2), &conflict("1@a")));
        assert!(told.is_news(key(1), &conflict("2@a")));
        assert!(!told.is_news(key(1), &[]) && told.is_news(key(1), &conflict("2@a")));
    }
}
