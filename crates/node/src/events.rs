//! What happens, typed and with its time, for apps and tests.
//!
//! Every subscriber has its own place in one bounded queue. One that reads too slowly misses the oldest events and is told how
//! many; nobody waits for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use farshore_core::document::Conflict;
use farshore_core::id::{CollectionTag, DeviceId, DocumentId, JournalId, SpaceId};
use futures::Stream;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// Something that happened. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// When, in milliseconds since 1970 by this device's clock.
    pub at_ms: u64,
    /// What.
    pub kind: EventKind,
}

/// What happened. What is told is durable.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// Documents were written here. Writes that became durable together are one event.
    LocalWrite {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// The documents, sorted.
        documents: Arc<[DocumentId]>,
    },
    /// Entries of another device came and are kept. Their edits are visible when [`EventKind::Merged`] says so.
    Received {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// Who wrote them.
        author: DeviceId,
        /// Who brought them; `None` if its link is gone already.
        from: Option<DeviceId>,
        /// How many.
        entries: u64,
        /// Their sealed bytes.
        bytes: u64,
    },
    /// Edits of others are in these documents: reads and watchers see them.
    Merged {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// The documents, sorted.
        documents: Arc<[DocumentId]>,
    },
    /// Edits of others left a document with places where several values are kept. It is told again when they change.
    Conflict {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// The document.
        document: DocumentId,
        /// Every such place, with all values and the one shown.
        conflicts: Arc<[Conflict]>,
    },
    /// So many documents changed faster than they could be looked at for conflicts: [`Document::conflicts`] tells of each.
    ///
    /// [`Document::conflicts`]: crate::Document::conflicts
    ConflictsNotLookedFor {
        /// How many.
        documents: u64,
    },
    /// A peer holds more of what was written here.
    Receipted {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// The peer.
        device: DeviceId,
        /// Up to which entry of this device's present journal.
        seq: u64,
    },
    /// This device and a peer begin to compare what they hold of a space.
    SyncBegan {
        /// The space.
        space: SpaceId,
        /// The peer.
        device: DeviceId,
    },
    /// That ended.
    SyncEnded {
        /// The space.
        space: SpaceId,
        /// The peer.
        device: DeviceId,
        /// How.
        result: SyncResult,
        /// What went over meanwhile.
        counts: SyncCounts,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// A device that shares a space was authenticated on a link, and there was none with it before.
    PeerUp {
        /// The device.
        device: DeviceId,
    },
    /// Its last link is gone.
    PeerDown {
        /// The device.
        device: DeviceId,
        /// Why, for a person.
        reason: String,
    },
    /// Members, roles or collections of a space changed.
    RosterChanged {
        /// The space.
        space: SpaceId,
    },
    /// A device took up an invitation of this one.
    Joined {
        /// The space.
        space: SpaceId,
        /// The new device.
        device: DeviceId,
        /// What it calls itself.
        name: String,
    },
    /// Something went wrong.
    Error(Trouble),
    /// This subscriber read too slowly: so many events before this one are lost to it.
    Lagged(u64),
}

/// How an attempt to sync ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncResult {
    /// Both hold the same.
    InSync,
    /// They began anew before they were done.
    Restarted,
    /// The link was lost. What came is kept, and the next attempt goes on from there.
    Interrupted {
        /// Why, for a person.
        reason: String,
    },
}

/// What went over in an attempt to sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SyncCounts {
    /// Entries of the space that came and are kept.
    pub received_entries: u64,
    /// Their sealed bytes.
    pub received_bytes: u64,
    /// Own entries of the space that the peer has newly receipted.
    pub receipted_entries: u64,
    /// Frames that came on the link, of all spaces.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Frames that went out on the link, of all spaces.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// A peer broke the protocol; its link was closed.
    Peer {
        /// The device, if it had proved which it is.
        device: Option<DeviceId>,
        /// What it did.
        fault: String,
    },
    /// A peer could not be dialled. It is dialled again by itself.
    Dial {
        /// The transport's peer id.
        peer: String,
        /// Why.
        cause: String,
    },
    /// The network does not run.
    Network {
        /// Why.
        cause: String,
    },
    /// The store fails; it is tried again by itself.
    Disk {
        /// Why, and what to do.
        message: String,
        /// Whether the same may succeed later.
        retryable: bool,
    },
    /// The author of a journal broke the rules of changes: the journal counts up to before this entry.
    Journal {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// The first entry that does not count.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// An author signed two entries at one place.
    Fork {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// The place.
        seq: u64,
    },
    /// This store is a copy or was restored: it began a new life.
    NewIncarnation {
        /// Why.
        reason: String,
    },
}

impl Trouble {
    /// Whether it may pass without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Trouble::Dial { .. } => true,
            Trouble::Disk { retryable, .. } => *retryable,
            Trouble::Peer { .. }
            | Trouble::Network { .. }
            | Trouble::Journal { .. }
            | Trouble::Fork { .. }
            | Trouble::NewIncarnation { .. } => false,
        }
    }
}

/// A stream of events from when it was asked for. Dropping it unsubscribes; it ends when the node is shut down.
#[derive(Debug)]
pub struct EventStream {
    inner: BroadcastStream<Event>,
}

impl EventStream {
    pub(crate) fn new(receiver: tokio::sync::broadcast::Receiver<Event>) -> Self {
        EventStream { inner: BroadcastStream::new(receiver) }
    }

    /// Waits for the next event; `None` after the node was shut down.
    pub async fn next(&mut self) -> Option<Event> {
        futures::StreamExt::next(self).await
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        Pin::new(&mut self.inner).poll_next(context).map(|next| {
            next.map(|event| match event {
                Ok(event) => event,
                Err(BroadcastStreamRecvError::Lagged(lost)) => {
                    Event { at_ms: crate::os::wall_ms(), kind: EventKind::Lagged(lost) }
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast;

    #[tokio::test]
    async fn a_slow_subscriber_is_told_how_many_events_it_missed_and_others_miss_none() {
        let (sender, receiver) = broadcast::channel(4);
        let (mut slow, mut quick) = (EventStream::new(receiver), EventStream::new(sender.subscribe()));
        let event = |number: u8| Event { at_ms: 1, kind: EventKind::PeerUp { device: DeviceId([number; 32]) } };
        for number in 0..10 {
            sender.send(event(number)).unwrap();
            assert_eq!(quick.next().await, Some(event(number)));
        }
        assert_eq!(slow.next().await.map(|event| event.kind), Some(EventKind::Lagged(6)));
        for number in 6..10 {
            assert_eq!(slow.next().await, Some(event(number)));
        }
        drop(sender);
        assert_eq!(slow.next().await, None);
    }
}
