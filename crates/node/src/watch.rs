//! Watching a collection or a document: which documents have a new view, coalesced, bounded, and never lost.
//!
//! Each watcher has its own set of changed documents, so that a slow one costs a bounded amount of memory and holds up
//! nobody. When the set is full it is replaced by "look at everything", which is always true.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use farshore_core::id::{CollectionTag, DocumentId, SpaceId};
use futures::Stream;

use crate::limits::WATCHED_DOCUMENTS;

/// What has changed since the watcher was last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changes {
    /// These documents have a new view, or none any more.
    Documents(BTreeSet<DocumentId>),
    /// Any document may have changed: the watcher fell behind, or the store was opened anew.
    Everything,
}

impl Changes {
    /// Whether this document may have changed.
    pub fn concern(&self, document: DocumentId) -> bool {
        match self {
            Changes::Documents(documents) => documents.contains(&document),
            Changes::Everything => true,
        }
    }
}

/// A stream of changes. Dropping it unsubscribes; it ends when the node is shut down.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    only: Option<DocumentId>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    changes: Option<Changes>,
    waker: Option<Waker>,
    ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, documents: &[DocumentId]) {
        let mut state = self.state();
        match (&mut state.changes, self.only) {
            (Some(Changes::Everything), _) => return,
            (_, Some(only)) if !documents.contains(&only) => return,
            (Some(Changes::Documents(known)), Some(only)) => {
                known.insert(only);
            }
            (changes, Some(only)) => *changes = Some(Changes::Documents([only].into())),
            (Some(Changes::Documents(known)), None) => known.extend(documents),
            (changes, None) => *changes = Some(Changes::Documents(documents.iter().copied().collect())),
        }
        if matches!(&state.changes, Some(Changes::Documents(known)) if known.len() > WATCHED_DOCUMENTS) {
            state.changes = Some(Changes::Everything);
        }
        state.wake();
    }

    fn everything(&self) {
        let mut state = self.state();
        state.changes = Some(Changes::Everything);
        state.wake();
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Stream for Watcher {
    type Item = Changes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Changes>> {
        let mut state = self.shared.state();
        match state.changes.take() {
            Some(changes) => Poll::Ready(Some(changes)),
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Watcher {
    /// Waits for the next changes; `None` after the node was shut down.
    pub async fn next(&mut self) -> Option<Changes> {
        futures::StreamExt::next(self).await
    }
}

/// All watchers, by what they watch.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    by_collection: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    watchers: BTreeMap<(SpaceId, CollectionTag), Vec<Weak<Shared>>>,
    ended: bool,
}

impl Watchers {
    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.by_collection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a collection, or one document of it.
    pub(crate) fn watch(&self, space: SpaceId, collection: CollectionTag, only: Option<DocumentId>) -> Watcher {
        let mut registered = self.registered();
        let state = State { ended: registered.ended, ..State::default() };
        let shared = Arc::new(Shared { only, state: Mutex::new(state) });
        let watchers = registered.watchers.entry((space, collection)).or_default();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&shared));
        Watcher { shared }
    }

    /// Tells those who watch that these documents have changed.
    pub(crate) fn changed(&self, space: SpaceId, collection: CollectionTag, documents: &[DocumentId]) {
        let mut registered = self.registered();
        let Some(watchers) = registered.watchers.get_mut(&(space, collection)) else { return };
        watchers.retain(|watcher| match watcher.upgrade() {
            Some(watcher) => {
                watcher.add(documents);
                true
            }
            None => false,
        });
        if watchers.is_empty() {
            registered.watchers.remove(&(space, collection));
        }
    }

    /// Tells everybody to look at everything.
    pub(crate) fn everything(&self) {
        self.for_each(|watcher| watcher.everything());
    }

    /// Ends all streams, and those that are asked for from now on.
    pub(crate) fn end(&self) {
        self.registered().ended = true;
        self.for_each(|watcher| {
            let mut state = watcher.state();
            state.ended = true;
            state.wake();
        });
    }

    fn for_each(&self, tell: impl Fn(&Shared)) {
        for watcher in self.registered().watchers.values().flatten().filter_map(Weak::upgrade) {
            tell(&watcher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: SpaceId = SpaceId([1; 32]);
    const COLLECTION: CollectionTag = CollectionTag([2; 16]);

    fn id(number: u64) -> DocumentId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        DocumentId(id)
    }

    #[tokio::test]
    async fn changes_are_coalesced_and_none_is_lost() {
        let watchers = Watchers::default();
        let mut watcher = watchers.watch(SPACE, COLLECTION, None);
        watchers.changed(SPACE, COLLECTION, &[id(1), id(2)]);
        watchers.changed(SPACE, COLLECTION, &[id(2), id(3)]);
        watchers.changed(SPACE, CollectionTag([9; 16]), &[id(4)]);
        assert_eq!(watcher.next().await, Some(Changes::Documents([id(1), id(2), id(3)].into())));
        watchers.changed(SPACE, COLLECTION, &[id(1)]);
        watchers.end();
        assert_eq!(watcher.next().await, Some(Changes::Documents([id(1)].into())));
        assert_eq!(watcher.next().await, None);
        assert_eq!(watchers.watch(SPACE, COLLECTION, None).next().await, None);
    }

    #[tokio::test]
    async fn a_watcher_that_falls_behind_is_told_to_look_at_everything() {
        let watchers = Watchers::default();
        let mut watcher = watchers.watch(SPACE, COLLECTION, None);
        let many: Vec<DocumentId> = (0..=WATCHED_DOCUMENTS as u64).map(id).collect();
        watchers.changed(SPACE, COLLECTION, &many);
        watchers.changed(SPACE, COLLECTION, &[id(1)]);
        assert_eq!(watcher.next().await, Some(Changes::Everything));
    }

    #[tokio::test]
    async fn a_documents_watcher_hears_of_that_document_only() {
        let watchers = Watchers::default();
        let mut watcher = watchers.watch(SPACE, COLLECTION, Some(id(7)));
        watchers.changed(SPACE, COLLECTION, &[id(1)]);
        watchers.changed(SPACE, COLLECTION, &[id(6), id(7)]);
        assert_eq!(watcher.next().await, Some(Changes::Documents([id(7)].into())));
    }

    #[test]
    fn dropping_a_watcher_unsubscribes() {
        let watchers = Watchers::default();
        drop(watchers.watch(SPACE, COLLECTION, None));
        watchers.changed(SPACE, COLLECTION, &[id(1)]);
        assert!(watchers.registered().watchers.is_empty());
    }
}
