//! The log of a collection: which device wrote when, in the order of the claimed times.

use farshore_core::batch::{Load, Loaded};
use farshore_core::entry::Entry;
use farshore_core::id::{JournalId, Position};

use crate::collection::Collection;
use crate::error::Error;
use crate::limits::LOG_BYTES;

/// One entry of a journal: an atomic batch of edits by one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// Whose journal.
    pub journal: JournalId,
    /// Where in it.
    pub position: Position,
    /// When, in milliseconds since 1970, as its author claims.
    pub claimed_ms: u64,
    /// How many bytes it takes, sealed.
    pub bytes: usize,
    /// Whether it is in the documents yet.
    pub applied: bool,
}

impl<T> Collection<T> {
    /// The last `limit` entries of the collection, newest first, by their authors' claimed times.
    ///
    /// # Errors
    /// [`Error::Disk`]; [`Error::Damaged`] when an entry does not read.
    ///
    /// # Cost
    /// Reads the last `limit` entries of each of the collection's journals, at most 8 MiB of each.
    pub async fn log(&self, limit: usize) -> Result<Vec<LogEntry>, Error> {
        let (space, tag) = (self.space().id(), self.tag());
        self.read(move |reader| {
            let boot = reader.boot()?;
            let journals =
                boot.spaces.into_iter().filter(|known| known.space == space).flat_map(|known| known.journals);
            let mut log = Vec::new();
            for (journal, state) in journals.filter(|(journal, _)| journal.collection == tag) {
                let (to, from) = (state.held.seq, state.held.seq.saturating_sub(limit as u64) + 1);
                let load = Load::Entries { space, journal, from, to, limit_bytes: LOG_BYTES };
                let Loaded::Entries(entries) = reader.load(&load)? else {
                    return Err(Error::Internal("the store answered a load with something else".into()));
                };
                for (position, bytes) in entries {
                    log.push(read(journal, position, bytes, state.applied)?);
                }
            }
            log.sort_by_key(|entry| std::cmp::Reverse((entry.claimed_ms, entry.journal, entry.position)));
            log.truncate(limit);
            Ok(log)
        })
        .await
    }
}

fn read(journal: JournalId, position: Position, bytes: Vec<u8>, applied: u64) -> Result<LogEntry, Error> {
    let length = bytes.len();
    let entry = Entry::decode(bytes).map_err(|error| Error::Damaged {
        what: format!("entry {} of the journal of device {}", position.seq, journal.device.short()),
        cause: error.to_string(),
    })?;
    Ok(LogEntry {
        journal,
        position,
        claimed_ms: entry.header.time.unix_ms(),
        bytes: length,
        applied: position.seq <= applied,
    })
}
