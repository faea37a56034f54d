//! The only encoder and decoder of frames.
//!
//! A frame is one type byte and a body; the transport adds the length and keeps frames of one class in order. Bytes of every
//! frame are laid down in `docs/protocol.md`; the caps are in [`crate::limits`].

mod checkpoint;
mod codec;
mod next;
mod tree;

use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{CollectionTag, DeviceId, EntryHash, JournalId, OpHash, Position, SpaceId, StoreId};
use crate::input::Class;
use crate::limits::*;

pub use checkpoint::{Attest, CheckpointPiece, Fetch, Offer};
use codec::list;
pub use next::Recent;
pub use tree::{TREE_DEPTH, TreePath, TreePlace};

/// The protocol version that this build speaks; a hello states the range.
pub const PROTOCOL_VERSION: u16 = 1;

/// Bits of [`Hello::features`].
pub mod feature {
    /// Takes frames about checkpoints, and floors in frontiers.
    pub const CHECKPOINTS: u64 = 1;
    /// Takes [`Frame::Next`](super::Frame::Next).
    pub const NEXT: u64 = 2;
    /// All that this build knows.
    pub const ALL: u64 = CHECKPOINTS | NEXT;
}

/// Names a shared space on one link: the first 8 bytes of the tag under which the two found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub [u8; 8]);

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// First on a link, from both sides.
    Hello(Hello),
    /// Second, from both: proves the device key, bound to this very connection.
    Auth {
        /// Over [`auth_message`].
        signature: [u8; 64],
    },
    /// Tags of the spaces that the sender has, current and recent epochs; replaces the set sent before.
    Spaces {
        /// Sorted.
        tags: Vec<[u8; 16]>,
    },
    /// The sender closes the link and says why.
    Goodbye {
        /// For a person.
        reason: String,
    },
    /// The sender may be sent this many more bytes of entries; returned after the commit that holds what was sent.
    Credit {
        /// Of this class.
        class: Class,
        /// Bytes.
        bytes: u32,
    },
    /// A space in one glance: equal digests on both sides end the exchange.
    State(State),
    /// How far the sender knows each author's roster operations.
    RosterHave {
        /// The space.
        handle: Handle,
        /// Whether another such frame follows.
        more: bool,
        /// Sorted by author.
        positions: Vec<RosterPosition>,
    },
    /// One roster operation. Parents come before children.
    RosterOp {
        /// The space.
        handle: Handle,
        /// As signed.
        bytes: Vec<u8>,
    },
    /// All roster operations that the other side lacked were sent.
    RosterEnd {
        /// The space.
        handle: Handle,
    },
    /// What the sender wants of a space; replaces what it said before. Nothing is said by who wants all collections alike.
    Scope {
        /// The space.
        handle: Handle,
        /// Counts the sender's scopes of this space on this link, from 1, and after 255 from 1 again.
        number: u8,
        /// Whether another such frame follows.
        more: bool,
        /// Of all collections that are not named.
        rest: Rank,
        /// Sorted by collection.
        ranks: Vec<(CollectionTag, Rank)>,
    },
    /// How far the sender holds journals.
    Frontier(Frontier),
    /// Digests of places in the hash tree of journals, to find the few that differ.
    Tree {
        /// The space.
        handle: Handle,
        /// Whether another such frame follows.
        more: bool,
        /// Places at which the two sides are known to differ.
        places: Vec<TreePlace>,
    },
    /// Asks for entries; answers a complete `Frontier` even when empty.
    Want {
        /// The space.
        handle: Handle,
        /// Whether another such frame follows.
        more: bool,
        /// Sorted by journal.
        ranges: Vec<Range>,
    },
    /// The sender holds these journals durably up to these places.
    Receipt {
        /// The space.
        handle: Handle,
        /// Sorted by journal.
        positions: Vec<(JournalId, u64)>,
    },
    /// Where members' devices were last met, for those who have not met them.
    Peers {
        /// The space.
        handle: Handle,
        /// Sorted by device.
        peers: Vec<PeerHint>,
    },
    /// Takes up an invitation.
    Join {
        /// Public id of the ticket.
        ticket: [u8; 16],
        /// The joiner's device certificate.
        certificate: Vec<u8>,
        /// Proof of the ticket's secret.
        mac: [u8; 32],
    },
    /// The joiner is a member; roster operations follow.
    Welcome {
        /// Public id of the ticket.
        ticket: [u8; 16],
        /// The space.
        space: SpaceId,
        /// Proof of the ticket's secret.
        mac: [u8; 32],
    },
    /// The invitation cannot be taken up.
    Refuse {
        /// Public id of the ticket.
        ticket: [u8; 16],
        /// For a person.
        reason: String,
    },
    /// One roster operation for a joiner, who has no handle yet.
    Grant {
        /// Public id of the ticket.
        ticket: [u8; 16],
        /// Whether this is the last.
        last: bool,
        /// As signed.
        bytes: Vec<u8>,
    },
    /// One whole entry.
    Entry {
        /// The space.
        handle: Handle,
        /// As signed.
        bytes: Vec<u8>,
    },
    /// One whole entry, the next of its journal after one that `Entry` or `Next` brought lately on the same stream.
    Next {
        /// The space.
        handle: Handle,
        /// Begins the hash of the entry that it follows.
        after: [u8; 4],
        /// Without what follows from the entry before; see [`Recent`].
        rest: Vec<u8>,
    },
    /// A piece of an entry that is too large for a frame. Pieces of one entry follow one another on one stream.
    Part {
        /// The space.
        handle: Handle,
        /// Hash of the whole entry, so that a piece finds the pieces before it, which may have come on another link.
        hash: EntryHash,
        /// Length of the whole entry in bytes.
        total: u32,
        /// Where this piece starts.
        offset: u32,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// The sender holds a checkpoint. Comes before the `Frontier` of a peer that may lack everything.
    Checkpoint(Offer),
    /// Asks for a checkpoint's bytes.
    Fetch(Fetch),
    /// Bytes of a checkpoint.
    CheckpointPiece(CheckpointPiece),
    /// The sender's word for a checkpoint.
    Attest(Attest),
}

/// The first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Oldest protocol version spoken.
    pub min_version: u16,
    /// Newest protocol version spoken.
    pub max_version: u16,
    /// Bits for optional features; see [`feature`]. Unknown ones are ignored.
    pub features: u64,
    /// Fresh for this link.
    pub nonce: [u8; 32],
    /// Which file the sender's arrival numbers belong to.
    pub store: StoreId,
    /// The sender's device.
    pub device: DeviceId,
}

/// See [`Frame::State`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The space.
    pub handle: Handle,
    /// Whether the exchange starts anew: the other side answers with its own state.
    pub fresh: bool,
    /// Number of the last scope of the receiver that it takes into account; 0 if it heard none.
    pub scope: u8,
    /// Digest of the roster.
    pub roster: [u8; 32],
    /// Digest of the frontier.
    pub frontier: [u8; 32],
    /// Whether so few journals are in that digest that they are listed rather than compared by their hash tree.
    pub few: bool,
    /// The sender's newest arrival number.
    pub arrival: u64,
    /// The receiver's store, if the sender has synced with it before.
    pub seen_store: StoreId,
    /// Up to which of the receiver's arrival numbers the sender has everything.
    pub seen: u64,
}

/// See [`Frame::Frontier`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    /// The space.
    pub handle: Handle,
    /// Whether a `Want` must answer, which starts the stream: set in an exchange, not in an announcement.
    pub answer: bool,
    /// Whether another such frame follows.
    pub more: bool,
    /// The sender's arrival number at this moment.
    pub arrival: u64,
    /// Journals and how far they are held. Sorted by journal.
    pub positions: Vec<Held>,
}

/// How far a journal, or one branch of it, is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The journal.
    pub journal: JournalId,
    /// The last entry held.
    pub position: Position,
    /// Of a forked journal, the branch. This build keeps one branch, names none, and ignores what is said of others.
    pub branch: Option<Branch>,
    /// Entries up to this `seq` are not held any more, or never were: a checkpoint stands for them. 0 if all are held.
    pub floor: u64,
}

/// One branch of a forked journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Its first entry, at the position where the journal forks.
    pub first: EntryHash,
    /// The `seq` before that: what all branches have in common.
    pub common: u64,
}

impl From<(JournalId, Position)> for Held {
    fn from((journal, position): (JournalId, Position)) -> Held {
        Held { journal, position, branch: None, floor: 0 }
    }
}

/// Entries `from..=to` of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The journal.
    pub journal: JournalId,
    /// First `seq`.
    pub from: u64,
    /// Last `seq`.
    pub to: u64,
    /// Which of them, if the journal is forked.
    pub of: Of,
}

/// Which entries of a journal are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Those that the other side shows in its frontier.
    Shown,
    /// The same; of the first of them, if it has this hash, only the bytes from this offset on: the others came before a cut.
    Rest {
        /// Of the entry at `from`.
        hash: EntryHash,
        /// In bytes, at least 1.
        offset: u32,
    },
    /// Those of the branch that begins with this entry. This build answers nothing to it.
    Branch(EntryHash),
    /// The one entry with this hash, whatever branch it is on; `from` and `to` are its `seq`.
    Entry(EntryHash),
}

/// How urgently a side of a link wants entries of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Not at all.
    None,
    /// When nothing else is to be sent.
    Lazy,
    /// Like most.
    Normal,
    /// Before all others.
    Eager,
}

impl Rank {
    /// All of them, the most urgent first.
    pub(crate) const ALL: [Rank; 4] = [Rank::Eager, Rank::Normal, Rank::Lazy, Rank::None];

    /// As it is written.
    pub(crate) fn number(self) -> u8 {
        match self {
            Rank::None => 0,
            Rank::Lazy => 1,
            Rank::Normal => 2,
            Rank::Eager => 3,
        }
    }

    /// Reads what [`Rank::number`] gave.
    pub(crate) fn of(number: u8) -> Result<Rank, DecodeError> {
        Rank::ALL.into_iter().find(|rank| rank.number() == number).ok_or(DecodeError::Invalid { field: "rank" })
    }
}

/// An author's roster chain, up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RosterPosition {
    /// The author.
    pub author: DeviceId,
    /// Operations so far.
    pub seq: u64,
    /// Hash of the last.
    pub hash: OpHash,
}

/// A hint, not a proof: whoever is found there still has to prove its device key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerHint {
    /// The device.
    pub device: DeviceId,
    /// Its transport peer id.
    pub peer: Vec<u8>,
    /// Multiaddrs.
    pub addresses: Vec<String>,
}

impl PeerHint {
    /// Appends the hint; as a record of the store it has the same form.
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.raw(&self.device.0).bytes(&self.peer).count(self.addresses.len());
        self.addresses.iter().for_each(|address| {
            w.text(address);
        });
    }

    /// Reads what [`PeerHint::encode`] wrote.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<PeerHint, DecodeError> {
        Ok(PeerHint {
            device: DeviceId(r.array("device")?),
            peer: r.bytes(PEER_ID_BYTES, "peer id")?.to_vec(),
            addresses: list(r, PEER_ADDRESSES, 4, "addresses", |r| Ok(r.text(ADDRESS_BYTES, "address")?.to_owned()))?,
        })
    }
}

/// The largest frame of a class in bytes.
pub fn cap(class: Class) -> usize {
    match class {
        Class::Ctl => CTL_FRAME_BYTES,
        Class::Live => LIVE_FRAME_BYTES,
        Class::Bulk => BULK_FRAME_BYTES,
    }
}

/// What a device signs to prove itself on a link: both transport peer ids and both nonces bind it to this connection.
pub fn auth_message(my_peer: &[u8], their_peer: &[u8], mine: &Hello, theirs: &Hello) -> Vec<u8> {
    let mut w = Writer::new();
    w.bytes(my_peer).bytes(their_peer);
    w.raw(&mine.nonce).raw(&theirs.nonce).raw(&mine.device.0).raw(&theirs.device.0);
    w.finish()
}
