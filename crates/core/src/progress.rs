//! What is still to go between this device and every other one, and why it does not move.
//!
//! Everything here follows from what the replica holds in memory: its own journals, what peers have shown that they hold, and
//! what they have receipted. Nothing is read from the store for it, so sizes that are not at hand are estimated and say so.

use std::fmt;

use crate::id::{CollectionTag, DeviceId, SpaceId};
use crate::input::{Class, LinkId};

/// All that is to go, for every other device of every space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// One for each other member of each space, in order.
    pub peers: Vec<PeerProgress>,
    /// Collections of which entries are held that are not in the documents yet, or whose documents take no edits.
    pub held_up: Vec<HeldUp>,
    /// Collections of which some member lacks entries of this device.
    pub own: Vec<OwnEntries>,
}

/// What is to go between this device and another one, in one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerProgress {
    /// The space.
    pub space: SpaceId,
    /// The other device.
    pub device: DeviceId,
    /// Its transport's peer id when it was last met; empty if it never was.
    pub transport: Vec<u8>,
    /// The link to it that shares the space, if there is one.
    pub link: Option<LinkId>,
    /// Whether the two have told each other what they hold: before, what is to come from it is not known.
    pub compared: bool,
    /// What this device lacks and the other has shown that it holds.
    pub incoming: ToGo,
    /// What the other lacks, as far as is known.
    pub outgoing: ToGo,
    /// The collections of which something is to go; of all others nothing is.
    pub collections: Vec<CollectionProgress>,
    /// Why nothing moves, if that is known.
    pub stuck: Vec<Stuck>,
}

/// The part of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionProgress {
    /// The collection.
    pub collection: CollectionTag,
    /// Its name; `None` while its definition is unknown.
    pub name: Option<String>,
    /// As in [`PeerProgress`].
    pub incoming: ToGo,
    /// As in [`PeerProgress`].
    pub outgoing: ToGo,
}

/// How much is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToGo {
    /// Entries.
    pub entries: u64,
    /// Their sealed bytes; what is not known counts for nothing.
    pub bytes: u64,
    /// What is known of the bytes.
    pub measure: Measure,
}

/// What is known of a number of bytes. The order is that of adding up: a sum is as good as its worst part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Measure {
    /// They are counted.
    #[default]
    Exact,
    /// Entries times the mean size of the collection's recent entries.
    Estimated,
    /// Of at least one entry no size is known.
    Unknown,
}

impl ToGo {
    /// Adds another amount.
    pub fn add(&mut self, other: ToGo) {
        self.entries = self.entries.saturating_add(other.entries);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.measure = self.measure.max(other.measure);
    }

    /// Whether nothing is to go.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
}

/// Why nothing moves between two devices.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stuck {
    /// The space, or this device, is paused.
    Paused,
    /// There is no link.
    NoLink,
    /// There is a link, and the other side does not share the space on it yet.
    NotShared,
    /// The two are still making their rosters equal: entries come after it.
    Roster,
    /// The other side has granted no more bytes on this stream: it is slow, or its disk is.
    Credit(Class),
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stuck::Paused => "paused here; `farshore resume` lets it sync again",
            Stuck::NoLink => "no link",
            Stuck::NotShared => "linked, and it has not shown that it has the space",
            Stuck::Roster => "waiting for roster: who is a member is being settled first",
            Stuck::Credit(_) => "out of credit: it takes no more until what it has is on its disk",
        })
    }
}

/// A collection in which entries wait, or that has documents which take no edits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldUp {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// Its name; `None` while its definition is unknown.
    pub name: Option<String>,
    /// Entries held and not in the documents yet.
    pub entries: u64,
    /// Why the next of them waits, if something is missing.
    pub waiting: Option<Waiting>,
    /// Documents that merges have made too large for edits, as many as are listed.
    pub oversize: usize,
}

/// Why an entry that is held is not in the documents.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Its key is not here.
    Key,
    /// It was written by a newer version.
    Upgrade,
    /// It holds what this build does not know.
    UnknownItem,
    /// What it builds on is not here.
    Dependencies,
    /// A fault of ours or of the disk.
    Failed(String),
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waiting::Key => "waiting for key: it comes from any member at the next sync",
            Waiting::Upgrade => "waiting for upgrade: an entry was written by a newer version of this program",
            Waiting::UnknownItem => "waiting for upgrade: an entry holds what this build does not know",
            Waiting::Dependencies => "waiting for entries of others that this one builds on",
            Waiting::Failed(reason) => reason,
        })
    }
}

/// How far this device's entries of one collection have come. Entries of earlier lives of the store are not among them:
/// nobody receipts those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEntries {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// Its name; `None` while its definition is unknown.
    pub name: Option<String>,
    /// The last entry.
    pub last: u64,
    /// Up to which entry each other member is known to hold them; 0 for none.
    pub held_by: Vec<(DeviceId, u64)>,
}

impl OwnEntries {
    /// The first entry that nobody else is known to hold; `None` when somebody holds all.
    pub fn nobody_from(&self) -> Option<u64> {
        let most = self.held_by.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        (most < self.last).then_some(most + 1)
    }
}
