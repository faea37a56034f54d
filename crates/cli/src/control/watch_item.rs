//! The results of requests that look at what the device does: progress, latencies, events, and what happened since.
//!
//! Ids, devices and collections are told by their names where they have any. Times are milliseconds since 1970.

use super::item::ConflictItem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far synchronization is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProgressItem {
    /// Whether nothing is to go to or from any linked device, and nothing waits to be seen.
    pub settled: bool,
    /// What stops everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<String>,
    /// One for each other device of each space.
    pub peers: Vec<PeerProgressItem>,
    /// Collections in which something waits here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_up: Vec<HeldUpItem>,
    /// Collections of which some device lacks entries of this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<OwnItem>,
}

/// What is to go between this device and another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerProgressItem {
    /// The space.
    pub space: String,
    /// What the other device calls itself.
    pub name: String,
    /// The other device.
    pub device: String,
    /// Whether there is a link that shares the space.
    pub linked: bool,
    /// Whether the two have told each other what they hold.
    pub compared: bool,
    /// To this device.
    pub incoming: FlowItem,
    /// From this device.
    pub outgoing: FlowItem,
    /// The collections of which something is to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<CollectionProgressItem>,
    /// Why nothing moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<String>,
}

/// The part of one collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionProgressItem {
    /// The collection.
    pub collection: String,
    /// To this device.
    pub incoming: FlowItem,
    /// From this device.
    pub outgoing: FlowItem,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowItem {
    /// Entries to go.
    pub entries: u64,
    /// Their bytes, if known or estimated.
    pub bytes: Option<u64>,
    /// Whether the bytes are an estimate.
    pub estimated: bool,
    /// Entries that went since somebody began to watch.
    pub done: u64,
    /// Entries a second.
    pub per_second: f64,
    /// Bytes a second, if known or estimated.
    pub bytes_per_second: Option<u64>,
    /// Seconds left, if something moves.
    pub left_s: Option<u64>,
}

/// A collection in which something waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldUpItem {
    /// The collection.
    pub collection: String,
    /// Entries held and not in the documents yet.
    pub entries: u64,
    /// Why the next of them waits.
    pub waiting: Option<String>,
    /// Documents that are too large for edits.
    pub oversize: u64,
}

/// How far this device's entries have come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnItem {
    /// The collection.
    pub collection: String,
    /// This device's last entry there.
    pub last: u64,
    /// The first entry that nobody else is known to have.
    pub nobody_from: Option<u64>,
    /// Up to which entry each other device is known to have them.
    pub held_by: Vec<(String, u64)>,
}

/// How long things have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyItem {
    /// From a write to its being durable.
    pub write_to_durable: DistributionItem,
    /// From an own entry's being durable to the first receipt of another device.
    pub durable_to_receipt: DistributionItem,
    /// From another's entry having come to its being visible here.
    pub received_to_visible: DistributionItem,
    /// From the time that its author claims to its being visible here.
    pub claimed_to_visible: DistributionItem,
    /// Entries that were not measured.
    pub unmeasured: u64,
}

/// A distribution of times, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributionItem {
    /// How many.
    pub count: u64,
    /// The least.
    pub min_us: u64,
    /// The median.
    pub p50_us: u64,
    /// Nine of ten take no longer.
    pub p90_us: u64,
    /// 99 of 100 take no longer.
    pub p99_us: u64,
    /// The most.
    pub max_us: u64,
}

/// Something that happened. What an event does not have is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventItem {
    /// When.
    pub time_ms: u64,
    /// Which kind: `local-write`, `received`, `merged`, `conflict`, `receipted`, `sync-began`, `sync-ended`, `peer-up`,
    /// `peer-down`, `roster-changed`, `joined`, `error`, `lagged`, `conflicts-not-looked-for`.
    pub kind: String,
    /// The space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// The collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The other device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<String>,
    /// The conflicts of the one document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ConflictItem>,
    /// How many entries, or what else is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What went over in an attempt to sync, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Value>,
    /// How it ended, what went wrong, or why, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether what went wrong may pass by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

/// What happened since a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinceItem {
    /// When that was; 0 for the store's beginning.
    pub since_ms: u64,
    /// What came, by author.
    pub came: Vec<CameItem>,
    /// How many documents others touched.
    pub documents_total: u64,
    /// The first of them.
    pub documents: Vec<TouchedItem>,
    /// How many documents both sides changed without knowing of each other.
    pub merged_total: u64,
    /// The first of them.
    pub merged: Vec<TouchedItem>,
    /// How many own writes are gone.
    pub overwritten_total: u64,
    /// The first of them.
    pub overwritten: Vec<LossItem>,
    /// How many own writes are one of several values kept.
    pub conflicts_total: u64,
    /// The first of them.
    pub conflicts: Vec<LossItem>,
    /// Entries that cannot be read here.
    pub unread: u64,
    /// Whether more documents were touched than are followed.
    pub incomplete: bool,
}

/// What one device wrote in one collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameItem {
    /// Who.
    pub by: String,
    /// The collection.
    pub collection: String,
    /// Entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents.
    pub documents: u64,
    /// When the first and the last claim to have been written.
    pub claimed_ms: (u64, u64),
}

/// A document that others touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchedItem {
    /// The collection.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// Who touched it.
    pub by: Vec<String>,
    /// Whether it was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Whether several values are kept somewhere in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conflicts: bool,
}

/// An own write that is not simply there any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossItem {
    /// The collection.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// Where; empty for the whole document.
    pub path: String,
    /// What became of it: `overwritten`, `deleted`, `conflict-shown`, `conflict-hidden`.
    pub outcome: String,
    /// What was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mine: Option<Value>,
    /// What is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Value>,
    /// Whose doing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When that device claims to have written to the document last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
}
