//! Large documents rest between two applications of others' entries.
//!
//! Automerge's apply costs what the document holds, not what is applied: 35 ms for a text of 100,000 changes, for one
//! keystroke or for a thousand. Applied at each keystroke of a peer, one such text takes a third of a core. So a large
//! document rests after an application for four times as long as that took: what comes meanwhile gathers and is applied in
//! one call, and no document takes more than a fifth of a core. Entries are stored and receipted as they come all the same;
//! other journals, and local edits of the document itself, do not wait. What can be made again instead (`document/replay.rs`)
//! takes a tenth of the time, and the rest is as much shorter.
//!
//! How long an application took is told by the clock that inputs carry, so that it fits the machine it runs on. It decides
//! when something is applied, never whether (I4).

use std::collections::BTreeMap;

use super::Replica;
use super::turn::tires;
use crate::id::{CollectionTag, DocumentId, SpaceId};
use crate::job::WorkedDocument;
use crate::limits::{LARGE_DOCUMENT_OPS, REST_MS, REST_TIMES};

/// The large documents of a collection that rest, and until when by the monotonic clock. Bounded: documents enter it by an
/// application, one at a time in a collection, and leave it within [`REST_MS`].
#[derive(Debug, Default)]
pub(super) struct Resting {
    until_ms: BTreeMap<DocumentId, u64>,
    /// When the application under way was begun.
    pub(super) begun_ms: u64,
    /// Until when no large entry is applied.
    pub(super) bulk_until_ms: Option<u64>,
}

impl Resting {
    /// Lets a document rest, which has just been applied to.
    fn applied(&mut self, document: DocumentId, now_ms: u64) {
        let took_ms = now_ms.saturating_sub(self.begun_ms);
        if took_ms > 0 {
            self.until_ms.insert(document, now_ms + (took_ms * REST_TIMES).min(REST_MS));
        }
    }

    /// Forgets those that have rested.
    pub(super) fn awake(&mut self, now_ms: u64) {
        self.until_ms.retain(|_, until| *until > now_ms);
        self.bulk_until_ms = self.bulk_until_ms.filter(|until| *until > now_ms);
    }

    /// Whether a document rests.
    pub(super) fn rests(&self, document: &DocumentId) -> bool {
        self.until_ms.contains_key(document)
    }

    /// When the first of them, or what is large, has rested.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.until_ms.values().copied().chain(self.bulk_until_ms).min()
    }
}

impl Replica {
    /// Lets the large ones among documents that have just been applied to rest.
    pub(super) fn let_rest(&mut self, space: SpaceId, collection: CollectionTag, worked: &[WorkedDocument]) {
        let now_ms = self.now.mono_ms;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let tires = tires(known, collection, now_ms);
        let Some(work) = known.collections.get_mut(&collection) else { return };
        let changed = worked.iter().filter(|worked| !worked.changes.is_empty());
        for (key, open) in changed.filter_map(|worked| Some((worked.key, worked.document.as_ref()?))) {
            if open.record.ops >= LARGE_DOCUMENT_OPS {
                work.resting.applied(key.document, now_ms);
            }
        }
        if tires {
            work.resting.rest_from_bulk(now_ms);
        }
        if work.resting.next_ms().is_some() {
            self.resting.insert((space, collection));
        }
    }

    /// When the next document has rested.
    pub(super) fn rested_at(&self) -> Option<u64> {
        let works = self.resting.iter().filter_map(|(space, tag)| self.spaces.get(space)?.collections.get(tag));
        works.filter_map(|work| work.resting.next_ms()).min()
    }

    /// Goes on where documents have rested.
    pub(super) fn wake_rested(&mut self) {
        let now_ms = self.now.mono_ms;
        for (space, collection) in self.resting.clone() {
            let work = self.spaces.get_mut(&space).and_then(|known| known.collections.get_mut(&collection));
            let Some(resting) = work.map(|work| &mut work.resting) else { continue };
            if resting.next_ms().is_some_and(|at| at > now_ms) {
                continue;
            }
            resting.awake(now_ms);
            if resting.next_ms().is_none() {
                self.resting.remove(&(space, collection));
            }
            self.pump(space, collection);
        }
    }
}
