//! Reading for the app and the tools: views, records, lists, counts, the log.

use std::ops::Bound;
use std::sync::Arc;

use farshore_core::batch::{Boot, Load, Loaded};
use farshore_core::id::{CollectionTag, DocKey, DocumentId, JournalId, Position, SpaceId};

use crate::check::{self, Report};
use crate::error::StoreError;
use crate::load::Snapshot;
use crate::store::Inner;
use crate::tables::{DOCUMENTS, META, REJECTED, VIEWS, key};
use crate::value::{DocumentRow, Row, corrupt};

/// A cheap handle for reading from any thread; see [`Store::reader`](crate::Store::reader).
///
/// Each call sees one consistent state: that after the last `apply` that had returned. All may fail with a disk error.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) inner: Arc<Inner>,
}

/// An item kept for its author only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The journal of the entry that held it.
    pub journal: JournalId,
    /// Where.
    pub position: Position,
    /// Why, for a person.
    pub reason: String,
}

impl Reader {
    fn with<T>(&self, work: impl FnOnce(Snapshot<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.inner.read(|txn| work(Snapshot { txn, tags: &self.inner.tags }))
    }

    /// A document's view; `None` when there is no such document or it is deleted.
    pub fn view(&self, key: &DocKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|snapshot| match snapshot.document(key)? {
            Some((_, row)) if row.has_view => {
                let views = snapshot.table(&VIEWS)?;
                snapshot.tags.expect(&VIEWS, &views, &row.number.to_be_bytes()).map(Some)
            }
            _ => Ok(None),
        })
    }

    /// The record of a document's present life, also of a deleted one.
    pub fn record(&self, key: &DocKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|snapshot| Ok(snapshot.document(key)?.map(|(_, row)| row.record)))
    }

    /// Ids and views of up to `limit` documents of a collection, in the order of their ids, from the first one after `after`.
    /// Deleted documents are left out.
    pub fn list(
        &self,
        space: &SpaceId,
        collection: &CollectionTag,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<(DocumentId, Vec<u8>)>, StoreError> {
        self.with(|snapshot| {
            let mut found = Vec::new();
            let Some(row) = snapshot.collection(space, collection)? else { return Ok(found) };
            let (documents, views) = (snapshot.table(&DOCUMENTS)?, snapshot.table(&VIEWS)?);
            let (first, last) = key::range::<24>(&row.number.to_be_bytes());
            let after = after.map(|after| key::document(row.number, &after, u32::MAX));
            let from = after.as_ref().map_or(Bound::Included(&first), Bound::Excluded);
            for document in documents.range::<&[u8; 24]>((from, Bound::Included(&last)))? {
                if found.len() >= limit {
                    break;
                }
                let (place, value) = document?;
                let content = snapshot.tags.open(&DOCUMENTS, place.value(), value.value())?;
                let row = DocumentRow::read(&DOCUMENTS, place.value(), content)?;
                if row.has_view {
                    let view = snapshot.tags.expect(&VIEWS, &views, &row.number.to_be_bytes())?;
                    found.push((DocumentId(key::part(place.value(), 4)), view));
                }
            }
            Ok(found)
        })
    }

    /// Ids of all documents of a collection, deleted ones too.
    pub fn documents(&self, space: &SpaceId, collection: &CollectionTag) -> Result<Vec<DocumentId>, StoreError> {
        self.with(|snapshot| {
            let mut found = Vec::new();
            let Some(row) = snapshot.collection(space, collection)? else { return Ok(found) };
            snapshot.walk(&DOCUMENTS, &key::range(&row.number.to_be_bytes()), |place, _| {
                found.push(DocumentId(key::part(place, 4)));
                Ok(true)
            })?;
            Ok(found)
        })
    }

    /// How many documents of a collection have a view.
    ///
    /// # Cost
    /// Two lookups: the count is kept with every write.
    pub fn count(&self, space: &SpaceId, collection: &CollectionTag) -> Result<u64, StoreError> {
        self.with(|snapshot| Ok(snapshot.collection(space, collection)?.map_or(0, |row| row.count)))
    }

    /// Answers a load of the core.
    pub fn load(&self, load: &Load) -> Result<Loaded, StoreError> {
        self.with(|snapshot| snapshot.load(load))
    }

    /// Everything a replica needs at start.
    pub fn boot(&self) -> Result<Boot, StoreError> {
        self.with(|snapshot| snapshot.boot())
    }

    /// The first `header_bytes` of up to `limit` entries of a journal, from seq `from` on: what a log shows needs no payload.
    /// Both sides of a fork are there, at the same seq.
    pub fn entry_headers(
        &self,
        space: &SpaceId,
        journal: &JournalId,
        from: u64,
        limit: usize,
        header_bytes: usize,
    ) -> Result<Vec<(Position, Vec<u8>)>, StoreError> {
        self.with(|snapshot| {
            let mut found = Vec::new();
            if limit > 0 {
                snapshot.entries(space, journal, from, u64::MAX, |position, bytes| {
                    found.push((position, bytes[..bytes.len().min(header_bytes)].to_vec()));
                    found.len() < limit
                })?;
            }
            Ok(found)
        })
    }

    /// The items of a space that are kept for their author only.
    pub fn rejected(&self, space: &SpaceId) -> Result<Vec<Rejected>, StoreError> {
        self.with(|snapshot| {
            let mut found = Vec::new();
            let Some(number) = snapshot.space(space)? else { return Ok(found) };
            snapshot.walk(&REJECTED, &key::range(&number.to_be_bytes()), |key, reason| {
                let (journal, position) = key::read_rejected(key);
                let reason = std::str::from_utf8(reason);
                let reason = reason.map_err(|_| corrupt(&REJECTED, key, "the reason is not text"))?.to_owned();
                found.push(Rejected { journal, position, reason });
                Ok(true)
            })?;
            Ok(found)
        })
    }

    /// A value by name.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match key::name(name) {
            Some(key) => self.with(|snapshot| snapshot.get(&META, &key)),
            None => Ok(None),
        }
    }

    /// Reads and verifies every row, and how the rows fit together. See [`Report`].
    ///
    /// # Errors
    /// Only when nothing can be read at all; whatever else is found is in the report.
    ///
    /// # Cost
    /// Reads every page that holds data. Writers are not held up.
    pub fn check(&self) -> Result<Report, StoreError> {
        self.with(|snapshot| Ok(check::check(snapshot)))
    }
}
