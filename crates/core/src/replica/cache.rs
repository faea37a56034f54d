//! What is kept in memory to save reading it again: Automerge documents and recent entries, both bounded in bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::entry::Entry;
use crate::id::{DocKey, JournalId, SpaceId};
use crate::limits::{CACHE_BYTES, RECENT_BYTES};
use crate::record::OpenDocument;

/// Documents by key; the longest unused go first.
#[derive(Debug, Default)]
pub(super) struct DocCache {
    documents: BTreeMap<DocKey, (Box<OpenDocument>, usize, u64)>,
    by_use: BTreeMap<u64, DocKey>,
    uses: u64,
    bytes: usize,
}

impl DocCache {
    /// Bytes held, as estimated.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a document out, to work on it.
    pub(super) fn take(&mut self, key: &DocKey) -> Option<Box<OpenDocument>> {
        let (document, bytes, used) = self.documents.remove(key)?;
        self.by_use.remove(&used);
        self.bytes -= bytes;
        Some(document)
    }

    /// Puts a document back, and drops the longest unused ones over the limit; unless it `hoards`, which only
    /// [`crate::breakage::Breakage::UnboundedCache`] does.
    pub(super) fn put(&mut self, key: DocKey, document: Box<OpenDocument>, hoards: bool) {
        self.take(&key);
        let bytes = document.memory_bytes();
        if hoards {
            self.bytes += bytes;
        }
        self.uses += 1;
        self.by_use.insert(self.uses, key);
        self.documents.insert(key, (document, bytes, self.uses));
        self.bytes += bytes;
        while self.bytes > CACHE_BYTES && !hoards {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some((_, bytes, _)) = self.documents.remove(&oldest) {
                self.bytes -= bytes;
            }
        }
    }
}

/// Entries that were just stored and that links are about to ask for.
#[derive(Debug, Default)]
pub(super) struct RecentEntries {
    entries: BTreeMap<(SpaceId, JournalId, u64), Arc<Entry>>,
    order: VecDeque<(SpaceId, JournalId, u64)>,
    bytes: usize,
}

impl RecentEntries {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, space: SpaceId, journal: JournalId, seq: u64) -> Option<Arc<Entry>> {
        self.entries.get(&(space, journal, seq)).cloned()
    }

    /// Of every entry its space, journal and bytes.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (SpaceId, JournalId, usize)> {
        self.entries.iter().map(|((space, journal, _), entry)| (*space, *journal, entry.as_bytes().len()))
    }

    pub(super) fn put(&mut self, space: SpaceId, entry: Arc<Entry>) {
        let key = (space, entry.header.journal, entry.header.seq);
        let bytes = entry.as_bytes().len();
        if self.entries.insert(key, entry).is_none() {
            self.order.push_back(key);
            self.bytes += bytes;
        }
        while self.bytes > RECENT_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.as_bytes().len();
            }
        }
    }
}
