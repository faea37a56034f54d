//! The results that requests answer with: what an executor fills in, a command shows, and `--json` prints.
//!
//! Ids, devices and hashes are in their text forms. Times are milliseconds since 1970, as their author claimed them.

use super::message::{Priority, Role};
use super::watch_item::{LatencyItem, ProgressItem};
use crate::exit::{Exit, Failure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpaceItem {
    /// Its id.
    pub id: String,
    /// Its name; none while its key has not arrived.
    pub name: Option<String>,
    /// This device's role in it.
    pub role: Option<Role>,
    /// How many devices are members.
    pub members: u64,
    /// How many collections it has.
    pub collections: u64,
    /// Set while nothing of it is exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseItem>,
    /// How urgently this device wants collections, by pattern; all others normally.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<(String, Priority)>,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseItem {
    /// Who paused.
    pub by: String,
    /// Since when.
    pub since_ms: i64,
    /// Whether it is the pause of all spaces.
    pub all: bool,
}

/// A member of a space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberItem {
    /// The device.
    pub device: String,
    /// What it calls itself.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it is this device.
    pub here: bool,
}

/// A collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionItem {
    /// Its name; none while its definition has not arrived.
    pub name: Option<String>,
    /// Its tag.
    pub tag: String,
    /// How urgently this device wants it.
    pub priority: Priority,
    /// Whether what others write in it comes here now.
    pub kept_up: bool,
    /// How many documents it has here.
    pub documents: u64,
    /// How many entries are held.
    pub entries: u64,
    /// How many of them are not in the documents yet.
    pub unapplied: u64,
    /// Why the next of those waits.
    pub waiting: Option<String>,
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicketItem {
    /// Its text. It is a secret until it is used.
    pub ticket: String,
    /// The space's name.
    pub space: String,
    /// What its bearer will be allowed.
    pub role: Role,
    /// When it ends.
    pub expires_ms: i64,
}

/// What a check of the store found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckItem {
    /// Documents.
    pub documents: u64,
    /// Deleted documents.
    pub deleted: u64,
    /// Journals held.
    pub journals: u64,
    /// Entries held.
    pub entries: u64,
    /// What is wrong.
    pub problems: Vec<ProblemItem>,
    /// Problems beyond those described.
    pub problems_left_off: u64,
}

/// One thing that is wrong with a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProblemItem {
    /// The table.
    pub table: String,
    /// The key, in hexadecimal, or the name.
    pub key: String,
    /// What does not fit.
    pub what: String,
}

/// A write that is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WrittenItem {
    /// The document's id.
    pub id: String,
    /// Its key, if it was named by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether anything changed.
    pub changed: bool,
}

/// A document, or the part of one that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentItem {
    /// Its id.
    pub id: String,
    /// Its content: plain JSON, or tagged for an export.
    pub value: Value,
    /// False where its collection is not kept up here, so that it may be old; left out where it is.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub kept_up: bool,
    /// Where devices wrote at the same time; left out unless asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<Vec<ConflictItem>>,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

/// A field with more than one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictItem {
    /// Where.
    pub path: String,
    /// The one that the document shows.
    pub shown: Value,
    /// The others.
    pub others: Vec<Value>,
}

/// How an import ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedItem {
    /// Rows that are durable.
    pub rows: u64,
}

/// A document that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeItem {
    /// The document's id; none where so much changed that everything should be looked at again.
    pub id: Option<String>,
    /// Its content; none if it was deleted.
    pub value: Option<Value>,
}

/// How far a space is from being the same everywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpaceSync {
    /// The space's name or id.
    pub space: String,
    /// Set while nothing of it is exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseItem>,
    /// Collections that are not kept up here, by name or tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_kept_up: Vec<String>,
    /// Entries held and not in the documents yet.
    pub unapplied: u64,
    /// Why the next of those waits.
    pub waiting: Option<String>,
    /// Documents that merges have made too large for local edits, as many as are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oversize: Vec<String>,
    /// Devices by name or id that signed two entries at one place of a journal, and the place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<(String, u64)>,
    /// For each other device by name or id: entries of this device that it is not known to hold.
    pub pending: Vec<(String, u64)>,
}

/// The state of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusItem {
    /// The device.
    pub device: String,
    /// What it calls itself.
    pub name: String,
    /// The process that runs it; none where the command opened the store itself.
    pub pid: Option<u32>,
    /// The store file.
    pub store: String,
    /// The network's state, in a word or a sentence.
    pub network: String,
    /// Where it can be dialled.
    pub listening: Vec<String>,
    /// What does not work, and what to do.
    pub problems: Vec<String>,
    /// How many peers are connected.
    pub peers: u64,
    /// Its spaces.
    pub spaces: Vec<SpaceSync>,
    /// How far synchronization is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressItem>,
    /// How long things have taken since the device began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyItem>,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerItem {
    /// Its device, once authenticated.
    pub device: Option<String>,
    /// What it calls itself, if it is a member of a space of ours.
    pub name: Option<String>,
    /// Where it is.
    pub address: String,
    /// What the link is doing.
    pub phase: String,
    /// Entries asked of it and not yet here.
    pub wanted: u64,
    /// Bytes of frames sent on this link, before the transport encrypts them.
    pub sent_bytes: u64,
    /// Frames sent on this link.
    pub sent_frames: u64,
    /// Bytes of frames received on this link.
    pub received_bytes: u64,
    /// Frames received on this link.
    pub received_frames: u64,
}

/// An entry of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogItem {
    /// When its author says it was made.
    pub time_ms: i64,
    /// Who made it.
    pub device: String,
    /// What the author calls itself.
    pub name: Option<String>,
    /// The collection's name or tag.
    pub collection: String,
    /// Its place in the author's journal.
    pub seq: u64,
    /// How many bytes it has, sealed.
    pub bytes: u64,
    /// Its hash, which names it.
    pub hash: String,
    /// Whether its edits are in the documents here.
    pub applied: bool,
}

/// A checkpoint that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointItem {
    /// Documents in it, deleted ones too; one that was deleted and made again counts twice.
    pub documents: u64,
    /// What it takes, in bytes.
    pub bytes: u64,
    /// What the entries take that it stands for, in bytes.
    pub entry_bytes: u64,
}

/// A collection's fingerprints: two devices that hold the same documents have the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestItem {
    /// How many documents there are.
    pub documents: u64,
    /// Over every document's heads: the whole history.
    pub heads: String,
    /// Over every document's view: what reads show.
    pub views: String,
}

/// A store that was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitItem {
    /// The new device.
    pub device: String,
    /// What it calls itself.
    pub name: String,
    /// The store file.
    pub store: String,
    /// The file with its key.
    pub key: String,
}

/// A device that began to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpItem {
    /// The process that runs it.
    pub pid: u32,
    /// The device.
    pub device: String,
    /// The store file.
    pub store: String,
    /// Where it can be dialled.
    pub listening: Vec<String>,
    /// What does not work, and what to do.
    pub problems: Vec<String>,
}

/// An item as it stands in a reply, for the executor.
///
/// Errors: none in practice; a value that JSON cannot hold would be our fault.
pub(crate) fn encode(item: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(item).map_err(|error| Failure::new(Exit::General, format!("cannot write a result: {error}")))
}

/// An item as a command reads it.
///
/// Errors: the device is of another version.
pub(crate) fn decode<T: DeserializeOwned>(item: Value) -> Result<T, Failure> {
    serde_json::from_value(item).map_err(|error| {
        Failure::new(Exit::Unavailable, format!("the device answered with something else than was asked for: {error}"))
            .remedy("restart `farshore up` with the version of this command")
    })
}
