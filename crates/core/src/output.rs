//! Everything a replica can ask for, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::batch::{Batch, Load};
use crate::id::{CollectionTag, DeviceId, DocumentId, Incarnation, JournalId, Position, SpaceId, UserId};
use crate::input::{Class, LinkId, MemberInfo, RequestId};
use crate::job::{Job, WriteError};
use crate::role::Role;
use crate::subscription::Priority;

/// One thing to do.
#[derive(Debug)]
pub enum Output {
    /// Make this durable, after all batches before it, then say `Input::Stored`. If that fails, drop the replica and open a
    /// new one from the store: everything not yet acknowledged was never shown to anybody.
    Store(Batch),
    /// Read this, then say `Input::Loaded`. A load sees every batch asked for before it.
    Load {
        /// Comes back with the answer.
        id: u64,
        /// What to read.
        load: Load,
    },
    /// Run this on any thread, then say `Input::JobDone`. Jobs may finish in any order.
    Job {
        /// Comes back with the result.
        id: u64,
        /// What to run.
        job: Job,
    },
    /// Send this frame. Frames of one link and class arrive in order or not at all.
    Send {
        /// On this link.
        link: LinkId,
        /// On this stream.
        class: Class,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Close this link; `LinkDown` may or may not follow.
    Close {
        /// The link.
        link: LinkId,
        /// Why, for a log and for the status.
        reason: String,
    },
    /// Answers a request.
    Reply {
        /// Which.
        id: RequestId,
        /// The answer.
        result: Result<Reply, RequestError>,
    },
    /// Tells whoever listens.
    Notify(Event),
    /// Keep trying to be linked with these peers: it replaces the set given before.
    KeepPeers(Vec<PeerAddress>),
}

/// Where a member's device was last met.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress {
    /// The transport's peer id.
    pub peer: Vec<u8>,
    /// Multiaddrs, newest first.
    pub addresses: Vec<String>,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// A space was founded or joined, durably.
    Space(SpaceId),
    /// A collection is defined, durably.
    Collection(CollectionTag),
    /// The edits that were accepted are durable; one result for each document, in the order asked.
    Edited(Vec<Result<Edited, WriteError>>),
    /// In the order of the keys asked for.
    DocumentIds(Vec<DocumentId>),
    /// The invitation is open, durably; the text to hand over.
    Ticket(String),
    /// The checkpoint is made, durably.
    Checkpoint(CheckpointMade),
    /// The state of everything.
    Status(Box<Status>),
    /// Nothing to say.
    Done,
}

/// What a checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointMade {
    /// Lives of documents, deleted ones too.
    pub lives: u64,
    /// Chunks.
    pub chunks: u32,
    /// Bytes of all, sealed.
    pub bytes: u64,
    /// Bytes of the entries that it stands for.
    pub entry_bytes: u64,
}

/// Where an accepted edit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edited {
    /// The document.
    pub document: DocumentId,
    /// The journal and the place in it that hold the edit; `None` if the edit changed nothing.
    pub entry: Option<(JournalId, Position)>,
}

/// Why a request was refused. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No such space on this device.
    #[error("no space {0} on this device; `farshore space list` shows those it has")]
    UnknownSpace(SpaceId),
    /// No such collection in the space.
    #[error(
        "the space has no collection {0} that this device knows; an admin must create it, or this device has yet to sync"
    )]
    UnknownCollection(String),
    /// This device's role does not allow it.
    #[error("this device is {have} in the space, which does not allow to {what}; ask an admin for the role {need}")]
    NotAllowed {
        /// What was asked.
        what: &'static str,
        /// The role that it has.
        have: String,
        /// The role that it takes.
        need: Role,
    },
    /// The key that it takes has not arrived.
    #[error("the space's key has not reached this device yet; it comes with the next sync with a member")]
    NoKey,
    /// What was asked for needs an exchange.
    #[error("the space is paused; `farshore resume` lets it sync again")]
    Paused,
    /// A name or value is out of bounds.
    #[error("{0}")]
    Invalid(String),
    /// The ticket cannot be used.
    #[error("the ticket was refused: {0}")]
    Ticket(String),
    /// The request was given up before it was answered.
    #[error("the request was given up before it was answered")]
    Cancelled,
    /// A fault of ours: a worker's job failed.
    #[error("an internal job failed: {0}; the request was not carried out; please report this")]
    Internal(String),
}

/// Something that happened, durably, for whoever listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Documents have new views.
    Changed {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// The documents, sorted.
        documents: Vec<DocumentId>,
        /// Whether they came from a peer.
        remote: bool,
    },
    /// The roster or catalogue changed.
    RosterChanged {
        /// The space.
        space: SpaceId,
    },
    /// A device was authenticated on a link and shares a space.
    PeerUp {
        /// The device.
        device: DeviceId,
        /// The link.
        link: LinkId,
    },
    /// The last link with a device that shares a space went down.
    PeerDown {
        /// The device.
        device: DeviceId,
    },
    /// A peer and this device begin to compare what they hold of a space.
    SyncStarted {
        /// The space.
        space: SpaceId,
        /// The peer's device.
        device: DeviceId,
    },
    /// Entries of others are durable here.
    Arrived {
        /// The space.
        space: SpaceId,
        /// Their journal.
        journal: JournalId,
        /// The device that brought them; `None` if its link is gone already.
        from: Option<DeviceId>,
        /// In their order.
        entries: Vec<ArrivedEntry>,
    },
    /// Entries of another device are durably in the documents and views, up to here.
    Applied {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// The last of them.
        seq: u64,
    },
    /// A peer and this device hold the same of a space.
    InSync {
        /// The space.
        space: SpaceId,
        /// The peer's device.
        device: DeviceId,
    },
    /// A peer holds more of this device's own entries.
    Receipted {
        /// The space.
        space: SpaceId,
        /// The peer's device.
        device: DeviceId,
        /// The collection.
        collection: CollectionTag,
        /// It holds this device's present journal up to here.
        seq: u64,
        /// How many of these entries it was not known to hold before.
        newly: u64,
    },
    /// An invitation was taken up.
    Invited {
        /// The space.
        space: SpaceId,
        /// The new device.
        device: DeviceId,
        /// What it calls itself.
        name: String,
    },
    /// A peer broke the protocol; its link was closed.
    PeerFault {
        /// The link.
        link: LinkId,
        /// What it did.
        fault: String,
    },
    /// An entry's author broke the rules of changes: its journal is closed before it.
    JournalRejected {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// The first entry that is not applied.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// An author signed two entries at one place of a journal: by malice, or because his store was copied. Both are kept as the
    /// proof; the one that came first counts here.
    ForkDetected {
        /// The space.
        space: SpaceId,
        /// The journal.
        journal: JournalId,
        /// The place.
        seq: u64,
    },
    /// A checkpoint was made on this device.
    CheckpointMade {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// What it holds.
        made: CheckpointMade,
    },
    /// A member has computed the same as a checkpoint that is held here says.
    CheckpointAttested {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// Whose word it is.
        device: DeviceId,
    },
    /// A checkpoint of a peer is in the documents, and stands for so many entries.
    CheckpointLoaded {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// Entries that need not come.
        entries: u64,
    },
    /// A checkpoint was not what those said who gave their word for it. Nothing of it was used; the journals are taken.
    CheckpointRefused {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// Who made it.
        maker: DeviceId,
        /// Why.
        reason: String,
    },
    /// One's own journal was found forked (a copied or restored store): a new incarnation was started.
    NewIncarnation {
        /// The new one.
        incarnation: Incarnation,
        /// Why.
        reason: String,
    },
}

/// An entry of another device that became durable here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrivedEntry {
    /// Its place in its journal.
    pub seq: u64,
    /// Its sealed size.
    pub bytes: usize,
    /// When its author claims to have written it, in milliseconds since 1970.
    pub claimed_ms: u64,
    /// When the whole of it had come, in the caller's monotonic milliseconds.
    pub arrived_ms: u64,
}

/// The state of everything, for people and programs.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// This device.
    pub device: DeviceId,
    /// This device's user.
    pub user: UserId,
    /// What it calls itself.
    pub name: String,
    /// This life of the store.
    pub incarnation: Incarnation,
    /// One for each space.
    pub spaces: Vec<SpaceStatus>,
    /// Links and who is behind them.
    pub links: Vec<LinkStatus>,
    /// Batches asked for and not yet durable.
    pub unstored_batches: u64,
    /// Set while nothing of any space is exchanged.
    pub paused: Option<Paused>,
    /// Whether the app said that the network costs money by the byte.
    pub metered: bool,
}

/// Who paused, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// For people.
    pub by: String,
    /// Milliseconds since 1970, by this device's clock.
    pub since_unix_ms: u64,
}

/// The state of one space.
#[derive(Debug, Clone, PartialEq)]
pub struct SpaceStatus {
    /// The space.
    pub space: SpaceId,
    /// Its name, once its key is here.
    pub name: Option<String>,
    /// This device's role.
    pub role: Option<Role>,
    /// Its members' devices.
    pub members: Vec<MemberInfo>,
    /// Its collections.
    pub collections: Vec<CollectionStatus>,
    /// For each member's device: own entries it has not receipted, of collections that it is not known to do without.
    pub pending: BTreeMap<DeviceId, u64>,
    /// For each member's device: collections with own entries that it has not receipted, whether it wants them or not. What is in
    /// none of them is durable there, too.
    pub unheld: BTreeMap<DeviceId, BTreeSet<CollectionTag>>,
    /// Set while nothing of it is exchanged.
    pub paused: Option<Paused>,
    /// How urgently this device wants collections, by pattern; all others normally.
    pub subscriptions: Vec<(String, Priority)>,
}

/// The state of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionStatus {
    /// The collection.
    pub collection: CollectionTag,
    /// Its name; `None` while its definition is unknown.
    pub name: Option<String>,
    /// How urgently this device wants it.
    pub priority: Priority,
    /// Whether what others write in it comes here now. If not, what is here stays readable and may be old.
    pub kept_up: bool,
    /// Entries held.
    pub entries: u64,
    /// Entries held and not yet in the views.
    pub unapplied: u64,
    /// Why the next of them waits, if something is missing.
    pub waiting: Option<String>,
    /// Journals.
    pub journals: usize,
    /// Documents that merges have made larger than edits may: they are read-only here as everywhere, until deleted.
    pub oversize: Vec<DocumentId>,
    /// Journals of which two signed entries at one place are known, and the `seq` of that place: their author signed both, or
    /// his store was copied.
    pub forks: Vec<(JournalId, u64)>,
}

/// The state of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// The link.
    pub link: LinkId,
    /// The device, once authenticated.
    pub device: Option<DeviceId>,
    /// Where it is.
    pub address: String,
    /// What it is doing, for a person.
    pub phase: String,
    /// Entries asked of the peer and not yet here.
    pub wanted: u64,
}
