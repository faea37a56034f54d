//! What the core asks of a store, as data: batches to make durable, records to load, and what a store gives at start.
//!
//! A store applies a [`Batch`] wholly or not at all, and batches in the order in which they were asked for. It never looks
//! inside `record`, `view`, `snapshot` or `change` bytes: their encodings belong to the core.

use crate::id::{CollectionTag, DeviceId, DocKey, EntryHash, JournalId, OpHash, Position, SpaceId, StoreId};

/// One atomic unit of durability. The core shows, sends and acknowledges nothing of it before `Input::Stored(id)` (I1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Counts from 1 within one life of a replica.
    pub id: u64,
    /// Applied in this order.
    pub ops: Vec<StoreOp>,
}

/// One effect of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Keeps a small value under a fixed name: identity, incarnation, clock.
    PutMeta {
        /// The name, at most 64 bytes.
        name: String,
        /// The value.
        value: Vec<u8>,
    },
    /// Keeps a roster operation, after those already kept for this space.
    PutRosterOp {
        /// The space.
        space: SpaceId,
        /// The operation's hash; keeping one twice has no effect.
        hash: OpHash,
        /// The operation as it was signed.
        bytes: Vec<u8>,
    },
    /// Keeps a space's own small record (its local state; the shared state is the roster).
    PutSpace {
        /// The space.
        space: SpaceId,
        /// Opaque.
        record: Vec<u8>,
    },
    /// Keeps an entry byte for byte.
    PutEntry {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// Where in the journal. Two different entries at one `seq` are both kept (a fork's proof).
        position: Position,
        /// The sealed entry.
        bytes: Vec<u8>,
    },
    /// Sets how far a journal is held and applied.
    PutJournal {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// The new state.
        state: JournalState,
    },
    /// Changes one life of a document.
    PutDocument {
        /// The document.
        key: DocKey,
        /// Which of its lives, from 1: each has a record, content and view of its own. The greatest is the present one, and
        /// the only one that may have a view.
        generation: u32,
        /// Heads and flags; opaque.
        record: Vec<u8>,
        /// What happens to its Automerge bytes.
        content: ContentOp,
        /// What happens to its view.
        view: ViewOp,
    },
    /// Remembers what is known of a peer's store, for one space.
    PutPeer {
        /// The space.
        space: SpaceId,
        /// The peer's device.
        device: DeviceId,
        /// Opaque: its store, our cursor into it, its receipts.
        record: Vec<u8>,
    },
    /// Keeps an open invitation, or what became of it.
    PutInvitation {
        /// The ticket's public id.
        ticket: [u8; 16],
        /// Opaque.
        record: Vec<u8>,
    },
    /// Keeps an item that no member may see (its author lost the right to write it) for its author.
    PutRejected {
        /// The space.
        space: SpaceId,
        /// The entry that held it.
        journal: JournalId,
        /// Where.
        position: Position,
        /// Why, for a person.
        reason: String,
    },
    /// Keeps what is known of a checkpoint.
    PutCheckpoint {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// Names it in this store.
        slot: Slot,
        /// Opaque.
        record: Vec<u8>,
    },
    /// Keeps one part of a checkpoint: its manifest or a chunk.
    PutPart {
        /// Names the checkpoint in this store.
        slot: Slot,
        /// Which part.
        part: u32,
        /// Its bytes, sealed.
        bytes: Vec<u8>,
    },
    /// Removes a checkpoint with all its parts.
    DropCheckpoint {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// Names it in this store.
        slot: Slot,
    },
}

/// Names a checkpoint in one store: random, so that two with the same content never share parts.
pub type Slot = [u8; 16];

/// What a batch does to a document's Automerge bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentOp {
    /// Leaves them.
    Keep,
    /// Appends raw change chunks to the tail, in causal order.
    Append(Vec<Vec<u8>>),
    /// Replaces snapshot and tail by this snapshot.
    Replace(Vec<u8>),
}

/// What a batch does to a document's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewOp {
    /// Leaves it.
    Keep,
    /// Sets it: the document is listed and readable.
    Put(Vec<u8>),
    /// Removes it: the document is deleted.
    Remove,
}

/// How far one journal has come on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalState {
    /// The last entry held; all before it are held too.
    pub held: Position,
    /// Entries up to here are in the documents and views.
    pub applied: u64,
    /// This store's arrival number of the last entry held: grows by one with every entry of the space that is kept.
    pub arrival: u64,
    /// Set when its author broke the rules of changes: nothing after `applied` counts.
    pub closed: bool,
    /// The roster heads that the last entry held cites: those of the next must include them.
    pub cites: Vec<OpHash>,
    /// An entry of another branch that is kept beside the one held at the same `seq`: two signed entries at one place prove
    /// that the journal was forked. [`Position::START`] while none is known.
    pub fork: Position,
    /// Entries up to this `seq` are not kept here: a checkpoint stood for them. 0 if all are.
    pub floor: u64,
}

impl JournalState {
    /// A journal of which nothing is held.
    pub const EMPTY: JournalState = JournalState {
        held: Position::START,
        applied: 0,
        arrival: 0,
        closed: false,
        cites: Vec::new(),
        fork: Position::START,
        floor: 0,
    };
}

/// Something the core needs to read. It goes on when `Input::Loaded` brings the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// The present life of each of these documents.
    Documents(Vec<DocKey>),
    /// These lives of documents.
    Lives(Vec<(DocKey, u32)>),
    /// This one entry, if it is kept.
    Entry {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// Where, and which of those there.
        position: Position,
    },
    /// The hashes of all entries that are kept at these places.
    Hashes {
        /// The space.
        space: SpaceId,
        /// Journals, and a `seq` in each.
        places: Vec<(JournalId, u64)>,
    },
    /// One part of a checkpoint.
    Part {
        /// Names the checkpoint in this store.
        slot: Slot,
        /// Which part.
        part: u32,
    },
    /// Entries of one journal from `from` on, without `skip`, in order, until `limit_bytes` is passed (at least one, when there is one).
    Entries {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// The first `seq` wanted.
        from: u64,
        /// The last `seq` wanted.
        to: u64,
        /// Stop after this many bytes.
        limit_bytes: usize,
        /// An entry of another branch, which is kept as a fork's proof only.
        skip: Position,
    },
}

/// The answer to a [`Load`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// In the order asked, documents or lives; `None` where there is no such one.
    Documents(Vec<Option<StoredDocument>>),
    /// The entries, in order. If nothing is skipped, there are two at one `seq` of a forked journal.
    Entries(Vec<(Position, Vec<u8>)>),
    /// In the order asked, ascending.
    Hashes(Vec<Vec<EntryHash>>),
    /// The part, if it is kept.
    Part(Option<Vec<u8>>),
}

/// One life of a document as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// Which life.
    pub generation: u32,
    /// Heads and flags; opaque to the store.
    pub record: Vec<u8>,
    /// The last compaction, if there was one.
    pub snapshot: Option<Vec<u8>>,
    /// Raw change chunks since, in causal order.
    pub tail: Vec<Vec<u8>>,
}

/// Everything a replica needs at start. Its size follows spaces, members and journals, never documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boot {
    /// Values by name.
    pub meta: Vec<(String, Vec<u8>)>,
    /// One for each space.
    pub spaces: Vec<BootSpace>,
    /// Ticket id and record.
    pub invitations: Vec<([u8; 16], Vec<u8>)>,
}

/// A space at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSpace {
    /// The space.
    pub space: SpaceId,
    /// Its local record.
    pub record: Vec<u8>,
    /// Roster operations in the order in which they were kept.
    pub roster: Vec<Vec<u8>>,
    /// Every journal held, in order.
    pub journals: Vec<(JournalId, JournalState)>,
    /// What is known of peers.
    pub peers: Vec<(DeviceId, Vec<u8>)>,
    /// Checkpoints that are kept, on their way or being made: collection, slot and record.
    pub checkpoints: Vec<(CollectionTag, Slot, Vec<u8>)>,
}

/// Identity of the file that a batch goes to, and what a store reports when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Random, fixed at creation.
    pub store: StoreId,
    /// Whether this file seems to be a copy or a restored backup: a new incarnation must start.
    pub copied: bool,
}

/// A page of documents of one collection, for listing: the order is that of document ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectionKey {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
}
