//! What is seen of a run from outside: the events that oracles watch and the picture of a device at rest.
//!
//! Plain data. Of the core only ids appear here, so that an oracle cannot repeat a mistake of the code that it judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use farshore_core::id::{CollectionTag, DeviceId, DocumentId, Incarnation, JournalId, Position, SpaceId, StoreId};

use crate::byzantine::ByzantineKind;
use crate::fault::FaultKind;
use crate::plain::{Op, Plain};

/// A device's number in its world, from 0. Device 0 founds the space.
pub type DeviceNo = usize;

/// One thing that happened on, or to, a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Virtual milliseconds since the start of the run.
    pub at_ms: u64,
    /// On which device; for what happens to a pair of devices, the first of them.
    pub device: DeviceNo,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The device's role in the space became known to the world: it founded it or was let in.
    Joined {
        /// The space.
        space: SpaceId,
        /// The device's own id, as it stands in journals.
        id: DeviceId,
        /// Whether its role lets it write.
        may_write: bool,
    },
    /// A collection was defined: every member applies deletions in it by this policy.
    Defined {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// Whether a concurrent edit beats a deletion.
        edit_wins: bool,
    },
    /// The app asked for edits of one collection.
    Submitted {
        /// Numbered through the whole run; the answer names it again.
        request: u64,
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// One for each document.
        edits: Vec<Intended>,
    },
    /// The app was told that the edits are durable.
    Acknowledged {
        /// Which request.
        request: u64,
        /// In the order of its edits: the entry that holds it, `Ok(None)` when it changed nothing, or why it was refused.
        results: Vec<Result<Option<(JournalId, Position)>, String>>,
    },
    /// The app was told that the whole request was refused.
    Refused {
        /// Which request.
        request: u64,
        /// Why.
        reason: String,
    },
    /// The device died before it answered: its edits may be there or not, each document's wholly.
    Unanswered {
        /// Which request.
        request: u64,
    },
    /// The app was told that these documents have new views.
    Changed {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// Which, sorted.
        documents: Vec<DocumentId>,
        /// Whether they came from a peer.
        remote: bool,
    },
    /// The app read a document: what it was shown. `None`: not there.
    Read {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// The document.
        document: DocumentId,
        /// What was shown.
        view: Option<Arc<Plain>>,
        /// Which bytes were read; `None` with `view`.
        mark: Option<ViewMark>,
    },
    /// A frame left the device.
    Sent {
        /// On this link.
        link: u64,
        /// To this device.
        to: DeviceNo,
        /// On this stream.
        class: Stream,
        /// What kind of frame.
        kind: FrameKind,
        /// Its length.
        bytes: usize,
        /// The entry that it holds whole, if it is one.
        entry: Option<(JournalId, Position)>,
        /// How far it says, or shows by what it holds, that its sender has these journals.
        shows: Vec<(JournalId, u64)>,
    },
    /// A batch was handed to the disk. It is not durable yet.
    Handed {
        /// Its number in this life of the replica.
        batch: u64,
        /// The documents that it writes.
        documents: Vec<(CollectionTag, DocumentId)>,
    },
    /// A batch became durable.
    Stored {
        /// Its number in this life of the replica.
        batch: u64,
        /// The entries that it holds.
        entries: Vec<(JournalId, Position)>,
        /// The documents that it writes.
        documents: Vec<Written>,
    },
    /// A peer said that it holds this much of one of this device's own journals.
    Receipted {
        /// The space.
        space: SpaceId,
        /// The peer.
        peer: DeviceId,
        /// The collection.
        collection: CollectionTag,
        /// Up to here.
        seq: u64,
    },
    /// The device and a peer found that they hold the same.
    InSync {
        /// The space.
        space: SpaceId,
        /// The peer.
        peer: DeviceId,
    },
    /// The process ended. Requests that were open have been reported as unanswered.
    Killed {
        /// Whether the machine lost its power with it.
        power: bool,
    },
    /// The process is up again, on what its disk held.
    Restarted {
        /// What it is.
        id: DeviceId,
        /// This life of its store.
        incarnation: Incarnation,
        /// How far it holds every journal.
        frontier: BTreeMap<(SpaceId, JournalId), Position>,
    },
    /// The store failed; the replica was dropped, and a new one starts when the store opens again.
    DiskFailed {
        /// Why.
        reason: String,
    },
    /// A link came up, as this device sees it.
    LinkUp {
        /// Its number.
        link: u64,
        /// Who is at its other end.
        peer: DeviceNo,
    },
    /// A link went down, as this device sees it.
    LinkDown {
        /// Its number.
        link: u64,
        /// Who was at its other end.
        peer: DeviceNo,
    },
    /// The device closed a link because its peer broke the protocol.
    PeerFault {
        /// The link.
        link: u64,
        /// Who was at its other end.
        peer: DeviceNo,
        /// What it did.
        fault: String,
    },
    /// The device closed a journal: its author broke the rules.
    JournalRejected {
        /// The journal.
        journal: JournalId,
        /// The first entry that does not count.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// The device is in bad hands from here on: what it did before may be lost, and what it does is no honest device's fault.
    Turned {
        /// How it misbehaves.
        kind: ByzantineKind,
    },
    /// The device found its own journal forked and began a new life of its store.
    NewIncarnation {
        /// The new one.
        incarnation: Incarnation,
        /// Why.
        reason: String,
    },
    /// A fault of the plan took effect.
    Fired {
        /// Which.
        fault: FaultKind,
    },
    /// All faults are over and every path is open; what is still under way comes to rest from here on.
    Healed,
}

/// A document in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Its collection.
    pub collection: CollectionTag,
    /// The document.
    pub document: DocumentId,
    /// What the batch does to its view.
    pub view: ViewWritten,
}

/// What a batch does to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewWritten {
    /// Nothing.
    Kept,
    /// Sets it to these bytes.
    Put(ViewMark),
    /// Removes it.
    Removed,
}

/// Stands for a view's bytes: the first 8 bytes of their blake3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewMark(pub u64);

impl ViewMark {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> ViewMark {
        let mut out = [0; 8];
        out.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
        ViewMark(u64::from_le_bytes(out))
    }
}

/// One document's edits, as the app meant them.
#[derive(Debug, Clone, PartialEq)]
pub struct Intended {
    /// The document.
    pub document: DocumentId,
    /// Whether its id stands for a key that every device may use.
    pub keyed: bool,
    /// What is done to it.
    pub op: Op,
}

/// Which of a link's three streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Greetings, digests, frontiers, credit.
    Ctl,
    /// Entries as they are made.
    Live,
    /// Entries that a peer catches up on.
    Bulk,
}

/// What a frame is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    /// Greeting and proof of the device.
    Handshake,
    /// Which spaces a device has.
    Spaces,
    /// A reason for closing.
    Goodbye,
    /// Bytes that may be sent again.
    Credit,
    /// Digests of roster and frontier.
    State,
    /// Roster positions and operations.
    Roster,
    /// How far journals are held, in positions or in digests.
    Frontier,
    /// Which collections are wanted.
    Scope,
    /// What is asked for.
    Want,
    /// How far journals are durable.
    Receipt,
    /// Where members are.
    Peers,
    /// Joining a space.
    Pairing,
    /// A whole entry.
    Entry,
    /// A part of a large entry.
    Part,
    /// None that this simulator knows.
    Unknown,
}

impl FrameKind {
    /// Reads the kind off a frame's first byte (`docs/protocol.md`).
    pub fn of(frame: &[u8]) -> FrameKind {
        match frame.first() {
            Some(0x01 | 0x02) => FrameKind::Handshake,
            Some(0x03) => FrameKind::Spaces,
            Some(0x04) => FrameKind::Goodbye,
            Some(0x05) => FrameKind::Credit,
            Some(0x10) => FrameKind::State,
            Some(0x11..=0x13) => FrameKind::Roster,
            Some(0x14 | 0x18) => FrameKind::Frontier,
            Some(0x19) => FrameKind::Scope,
            Some(0x15) => FrameKind::Want,
            Some(0x16) => FrameKind::Receipt,
            Some(0x17) => FrameKind::Peers,
            Some(0x20..=0x23) => FrameKind::Pairing,
            Some(0x30 | 0x32) => FrameKind::Entry,
            Some(0x31) => FrameKind::Part,
            _ => FrameKind::Unknown,
        }
    }
}

/// A device at rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Virtual milliseconds since the start of the run.
    pub at_ms: u64,
    /// Its number.
    pub device: DeviceNo,
    /// Its id.
    pub id: DeviceId,
    /// Its store.
    pub store: StoreId,
    /// This life of its store.
    pub incarnation: Incarnation,
    /// What it holds of each space.
    pub spaces: BTreeMap<SpaceId, SpaceSnapshot>,
    /// Queues and memory against their limits.
    pub sizes: Vec<Sized>,
}

/// A space on a device at rest.
#[derive(Debug, Clone, PartialEq)]
pub struct SpaceSnapshot {
    /// Digest of the roster: equal rosters have equal digests.
    pub roster: [u8; 32],
    /// How far every journal is held.
    pub journals: BTreeMap<JournalId, JournalSnapshot>,
    /// Every document, deleted ones too.
    pub documents: BTreeMap<(CollectionTag, DocumentId), DocumentSnapshot>,
    /// Own entries that each other member has not receipted.
    pub pending: BTreeMap<DeviceId, u64>,
}

/// A journal on a device at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSnapshot {
    /// The last entry held.
    pub held: Position,
    /// Entries up to here are in the documents.
    pub applied: u64,
    /// Whether its author broke the rules, so that nothing more of it counts.
    pub closed: bool,
}

/// A document on a device at rest.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentSnapshot {
    /// Which life of the id, from 1.
    pub generation: u32,
    /// Whether its id stands for a key.
    pub keyed: bool,
    /// Whether somebody deleted this generation, and which heads they had seen.
    pub tombstone: Option<BTreeSet<[u8; 32]>>,
    /// Automerge's heads, as recorded.
    pub heads: BTreeSet<[u8; 32]>,
    /// Whether the record says that some field has several values.
    pub conflicts: bool,
    /// The stored Automerge bytes: a saved document, if it was compacted, and then raw change chunks in causal order.
    pub snapshot: Option<Vec<u8>>,
    /// See [`DocumentSnapshot::snapshot`].
    pub tail: Vec<Vec<u8>>,
    /// The stored view; `None` when it is deleted.
    pub view: Option<Plain>,
}

/// One bounded thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sized {
    /// What.
    pub what: &'static str,
    /// How large it is now, or was at most since the last look.
    pub size: u64,
    /// What it must not pass.
    pub limit: u64,
}
