//! Everything that can happen to a replica.
//!
//! The contract, in the manner of a sans-I/O protocol: call [`Replica::handle`](crate::replica::Replica::handle) with one
//! [`Input`], then take [`Output`](crate::output::Output)s until there are none, then ask for the next timeout. Nothing is
//! decided outside `handle`, so a recorded list of inputs replays to the same bytes.

use std::fmt;

use crate::batch::Loaded;
use crate::catalogue::CollectionDefinition;
use crate::document::Edit;
use crate::id::{CollectionTag, DeviceId, DocumentId, SpaceId};
use crate::job::JobResult;
use crate::role::Role;
use crate::subscription::Priority;
use crate::value::Value;

/// The time, as data. Both clocks are read by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Milliseconds on a clock that never goes back; its zero is anywhere.
    pub mono_ms: u64,
    /// Milliseconds since 1970 on the wall clock, which may be wrong and may jump.
    pub wall_ms: u64,
}

/// A live connection to a peer, numbered by the caller and never used twice in one life of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A request of the app, numbered by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Which of a link's three streams: strict priority from first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Hello, digests, frontiers, credit.
    Ctl,
    /// Entries as they are made.
    Live,
    /// Entries that a peer catches up on.
    Bulk,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// The app asks for something; exactly one `Output::Reply` with this id follows.
    Request {
        /// Comes back in the reply.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// The batch is durable. Batches become durable in the order in which they were asked for.
    Stored {
        /// Its id.
        batch: u64,
    },
    /// A load is answered.
    Loaded {
        /// Its id.
        load: u64,
        /// The answer.
        loaded: Loaded,
    },
    /// A job is done.
    JobDone {
        /// Its id.
        job: u64,
        /// What it gave.
        result: JobResult,
    },
    /// An authenticated transport connection is up.
    LinkUp {
        /// Its number.
        link: LinkId,
        /// The transport's peer id of the other side, as authenticated by the transport.
        peer: Vec<u8>,
        /// Where it is, for a later dial; empty when unknown.
        address: String,
        /// Whether this side dialled.
        dialled: bool,
    },
    /// A whole frame arrived.
    Frame {
        /// On this link.
        link: LinkId,
        /// On this stream.
        class: Class,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The multiaddrs under which this device can be dialled now; replaces those said before.
    Addresses(Vec<String>),
    /// A link that had no room for a frame has room again.
    Writable {
        /// The link.
        link: LinkId,
    },
    /// The link is gone. Nothing that was sent on it counts as received.
    LinkDown {
        /// The link.
        link: LinkId,
    },
    /// The time that `poll_timeout` named has come. Early or late is harmless.
    Wake,
}

/// What an app, a command or an operator can ask.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Founds a space with this device's user as its admin.
    CreateSpace {
        /// For people; sealed.
        name: String,
    },
    /// Adds or changes a collection's definition.
    DefineCollection {
        /// The space.
        space: SpaceId,
        /// Name, policies, schema.
        definition: CollectionDefinition,
    },
    /// Edits documents of one collection. Each document's edits are applied wholly or not at all; those of one request that
    /// reach one entry are atomic together for every reader.
    Edit {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// One for each document.
        edits: Vec<DocEdit>,
    },
    /// Asks for the ids of documents with these keys: they are derived with a secret of the space, so that an id tells
    /// nothing of its key to those outside.
    DocumentIds {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
        /// The keys.
        keys: Vec<String>,
    },
    /// Opens an invitation.
    Invite {
        /// To this space.
        space: SpaceId,
        /// With this role.
        role: Role,
        /// Until this wall-clock second since 1970.
        expires_unix_s: u64,
        /// The transport peer id of this device.
        peer: Vec<u8>,
        /// Multiaddrs under which this device can be dialled.
        addresses: Vec<String>,
    },
    /// Takes up an invitation over a link to its inviter, now or when one comes up. The reply comes when this device is a
    /// member and holds the key, or when the inviter refused.
    Join {
        /// The ticket's text.
        ticket: String,
    },
    /// Makes a checkpoint of a collection as it is now, from which newcomers start.
    Checkpoint {
        /// The space.
        space: SpaceId,
        /// The collection.
        collection: CollectionTag,
    },
    /// Gives up a join that was not answered.
    CancelJoin {
        /// The ticket's text.
        ticket: String,
    },
    /// Changes how this device calls itself to the members of spaces that it joins from now on.
    SetName {
        /// For people.
        name: String,
    },
    /// Asks for the state of everything.
    Status,
    /// Compares with every linked peer again, now; and takes in what is wanted by hand only, until the linked devices hold the
    /// same.
    SyncNow {
        /// This space, or all that are not paused.
        space: Option<SpaceId>,
    },
    /// Tries again what is stuck: applying that failed, and questions that were asked too often.
    Retry {
        /// This space, or all that are not paused.
        space: Option<SpaceId>,
    },
    /// Chooses how urgently this device wants collections, from now on.
    Subscribe {
        /// The space.
        space: SpaceId,
        /// Which collections: see [`Subscriptions`](crate::subscription::Subscriptions).
        pattern: String,
        /// How urgently; `None` removes the rule of this pattern.
        priority: Option<Priority>,
    },
    /// Exchanges nothing until it is resumed, also after a restart.
    Pause {
        /// Of this space, or of all.
        space: Option<SpaceId>,
        /// Who wants it so, for people.
        by: String,
    },
    /// Ends a pause: of one space, or the one of all; each by itself.
    Resume {
        /// Of this space, or of all.
        space: Option<SpaceId>,
    },
    /// The app goes to the background, or comes back. Meanwhile nothing of what others wrote is applied, so that the device comes
    /// to rest; links are closed with a word, which peers take for no fault. What is asked for locally is done all the same.
    SetSuspended(
        /// Whether it goes.
        bool,
    ),
    /// Says whether the network costs money by the byte: then nothing lazy is exchanged. Forgotten when the replica ends.
    SetMetered(
        /// Whether it does.
        bool,
    ),
}

/// The edits of one document.
#[derive(Debug, Clone, PartialEq)]
pub struct DocEdit {
    /// The document.
    pub document: DocumentId,
    /// Whether its id was derived from a key, so that others may create it too.
    pub keyed: bool,
    /// What happens to it.
    pub op: DocOp,
}

/// What happens to a document.
#[derive(Debug, Clone, PartialEq)]
pub enum DocOp {
    /// Creates it. With `keyed` it is refused if it is there. Without, the id must be new: 128 bits drawn at random for this
    /// very insert, as the node does. It is not looked up, and an id that was used before would make this device contradict
    /// itself, so that others take nothing more of it.
    Create(Value),
    /// Creates it, or makes the fields of the given map what they are there, leaving other fields alone.
    Upsert(Value),
    /// Edits it; refused if it is not there.
    Edit(Vec<Edit>),
    /// Edits it if its heads are still these, sorted: positions in texts and lists then mean what the app saw. Refused with
    /// [`WriteError::Changed`](crate::job::WriteError::Changed) otherwise; the app reads again and decides anew.
    EditAt {
        /// Automerge heads of what the app saw.
        heads: Vec<[u8; 32]>,
        /// The edits.
        edits: Vec<Edit>,
    },
    /// Deletes it; refused if it is not there.
    Delete,
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A member's device as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// The device.
    pub device: DeviceId,
    /// What it calls itself: a claim.
    pub name: String,
    /// Its role now.
    pub role: Role,
}
