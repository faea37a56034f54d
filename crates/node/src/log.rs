//! The log of a space: which device wrote what and when, from the headers of its entries.
//!
//! The time is what the author's clock said, so the order across devices is a claim; within one device it is a fact.

use farshore_core::entry::Entry;
use farshore_core::id::{CollectionTag, JournalId, Position, SpaceId};

use crate::collection::Collection;
use crate::error::Error;
use crate::limits::LOG_ENTRIES;
use crate::node::Node;

/// One entry of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// The journal: author's device and incarnation, and the collection.
    pub journal: JournalId,
    /// Its place there.
    pub position: Position,
    /// When its author claims to have written it, in milliseconds since 1970.
    pub claimed_ms: u64,
    /// Its size in bytes, sealed.
    pub bytes: usize,
    /// Whether its edits are in the documents.
    pub applied: bool,
}

impl<T> Collection<T> {
    /// The newest entries of the collection, the newest first.
    ///
    /// # Errors
    /// As for [`Node::log`].
    pub async fn log(&self, limit: usize) -> Result<Vec<LogEntry>, Error> {
        self.node().log(self.space().id(), Some(self.tag()), limit).await
    }
}

impl Node {
    /// The newest entries of a space, or of one of its collections, the newest first.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`].
    ///
    /// # Cost
    /// Reads up to `limit` entries of every journal; `limit` is at most 10,000.
    pub async fn log(
        &self,
        space: SpaceId,
        collection: Option<CollectionTag>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Error> {
        let reader = self.inner.reader.get()?;
        let read = move || read(&reader, space, collection, limit.min(LOG_ENTRIES));
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| Error::Internal(format!("reading panicked: {error}")))?
    }
}

fn read(
    reader: &farshore_store::Reader,
    space: SpaceId,
    collection: Option<CollectionTag>,
    limit: usize,
) -> Result<Vec<LogEntry>, Error> {
    let boot = reader.boot()?;
    let journals = boot.spaces.into_iter().filter(|boot| boot.space == space).flat_map(|boot| boot.journals);
    let mut found = Vec::new();
    for (journal, state) in journals.filter(|(journal, _)| collection.is_none_or(|tag| journal.collection == tag)) {
        let from = state.held.seq.saturating_sub(limit as u64) + 1;
        for (position, bytes) in reader.entry_headers(&space, &journal, from, limit, usize::MAX)? {
            let size = bytes.len();
            let entry = Entry::decode(bytes).map_err(|error| Error::Damaged {
                what: format!("entry {} of device {}", position.seq, journal.device),
                cause: error.to_string(),
            })?;
            found.push(LogEntry {
                journal,
                position,
                claimed_ms: entry.header.time.unix_ms(),
                bytes: size,
                applied: position.seq <= state.applied,
            });
        }
        // Kept short as it grows, so that many journals do not add up.
        newest(&mut found, limit);
    }
    Ok(found)
}

fn newest(entries: &mut Vec<LogEntry>, limit: usize) {
    entries.sort_by(|one, other| {
        (other.claimed_ms, other.journal, other.position).cmp(&(one.claimed_ms, one.journal, one.position))
    });
    entries.truncate(limit);
}
