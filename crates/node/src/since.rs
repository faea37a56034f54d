//! What happened while one was away: what came from others, what merged, and what became of one's own writes.
//!
//! Everything is computed from what is durable, when it is asked for: entries since a marker tell which documents others and
//! this device touched, and the documents' histories tell what became of this device's writes. So it survives restarts and
//! costs nothing until somebody asks.

mod gather;
mod judge;
mod marker;

use farshore_core::document::{Outcome, Path};
use farshore_core::id::{CollectionTag, DeviceId, DocumentId, SpaceId};
use farshore_core::value::Value;
use tokio::sync::oneshot;

use crate::driver::Control;
use crate::error::Error;
use crate::limits::MARKER_NAME_BYTES;
use crate::node::Node;

pub(crate) use marker::{MARKER_META, Marker, ONLINE_META, Session};

/// What happened since a moment. Totals are exact, except where [`SinceReport::incomplete`] says otherwise; lists hold the first
/// 1,000 of each kind.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SinceReport {
    /// When that moment was, in milliseconds since 1970 by this device's clock then; 0 for the store's beginning.
    pub since_ms: u64,
    /// What came, by author: in entries, bytes and documents.
    pub came: Vec<Came>,
    /// Documents that others touched.
    pub documents: Listed<TouchedDocument>,
    /// Documents that others and this device changed without knowing of each other.
    pub merged: Listed<MergedDocument>,
    /// Own writes since that moment that are gone: another value is there, or nothing.
    pub overwritten: Listed<OwnLoss>,
    /// Own writes since that moment that are one of several values kept.
    pub conflicts: Listed<OwnLoss>,
    /// Entries that cannot be read: their key is not here, they wait for an upgrade, or only their effect is kept.
    pub unread: u64,
    /// Set when more documents were touched than are followed (262,144): then the numbers of documents are of those.
    pub incomplete: bool,
}

/// A number of things, and the first of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// How many there are.
    pub total: u64,
    /// The first of them, at most 1,000.
    pub items: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Listed { total: 0, items: Vec::new() }
    }
}

impl<T> Listed<T> {
    fn push(&mut self, item: T) {
        self.total += 1;
        if self.items.len() < crate::limits::SINCE_LISTED {
            self.items.push(item);
        }
    }
}

/// What one device wrote in one collection and came here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Came {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// Who wrote it.
    pub device: DeviceId,
    /// Entries.
    pub entries: u64,
    /// Their sealed bytes.
    pub bytes: u64,
    /// Documents that they touch.
    pub documents: u64,
    /// When their author claims to have written the first and the last, in milliseconds since 1970.
    pub claimed_ms: (u64, u64),
}

/// A document that others touched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TouchedDocument {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// The document.
    pub document: DocumentId,
    /// Who touched it, and when they claim to have done so last.
    pub by: Vec<(DeviceId, u64)>,
    /// Whether it is there, or was deleted.
    pub exists: bool,
    /// Whether it has places where several values are kept, whoever wrote them.
    pub conflicts: bool,
}

/// A document that both sides changed at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergedDocument {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// The document.
    pub document: DocumentId,
    /// Who else changed it.
    pub with: Vec<DeviceId>,
}

/// An own write that is not simply there any more.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OwnLoss {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// The document.
    pub document: DocumentId,
    /// Where it was written; empty when the whole document is gone.
    pub path: Path,
    /// What was written; of a text, the characters that are gone; `None` when the whole document is gone. What is longer than
    /// 4 KiB as JSON is cut, and is then a string.
    pub mine: Option<Value>,
    /// What became of it. Values in it are cut in the same way.
    pub outcome: Outcome,
    /// Whose doing it is, if that is known.
    pub by: Option<DeviceId>,
    /// When that device claims to have last written to the document.
    pub when_ms: Option<u64>,
}

impl Node {
    /// What happened since this device was last online: in the present time online, or, while no peer is linked, in the last
    /// one; own writes since the time online before it ended.
    ///
    /// A time online begins with the first linked peer that shares a space and ends with the last. Where the program was killed
    /// in one, it ended then.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`], [`Error::Closed`].
    ///
    /// # Cost
    /// Reads the entries since then, and loads each document that both sides touched.
    pub async fn since_last_online(&self) -> Result<SinceReport, Error> {
        let (reply, answer) = oneshot::channel();
        self.control(Control::LastOnline(reply)).await?;
        gather::report(self, answer.await.map_err(|_| Error::Closed)?).await
    }

    /// What happened since [`Node::set_marker`] was last called with this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it never was; and as for [`Node::since_last_online`].
    pub async fn since_marker(&self, name: &str) -> Result<SinceReport, Error> {
        let reader = self.inner.reader.get()?;
        let meta = marker_name(name)?;
        let read = tokio::task::spawn_blocking(move || reader.meta(&meta)).await;
        let bytes = read.map_err(|error| Error::Internal(format!("reading panicked: {error}")))??;
        let bytes = bytes.ok_or_else(|| Error::Invalid(format!("there is no marker `{name}`: set it first")))?;
        let marker = Marker::decode(&bytes)
            .map_err(|error| Error::Damaged { what: format!("the marker {name}"), cause: error.to_string() })?;
        gather::report(self, marker).await
    }

    /// Sets a marker at what is visible here now, or moves it here: an app does so when its user has seen everything. It is
    /// durable when this returns. A store keeps at most 32 of them, each of a few dozen bytes a journal.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the name is empty or longer than 48 bytes, or there are 32 others; [`Error::Disk`].
    pub async fn set_marker(&self, name: &str) -> Result<(), Error> {
        marker_name(name)?;
        let (reply, answer) = oneshot::channel();
        self.control(Control::Mark { name: name.to_owned(), reply }).await?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// The name under which the store keeps a marker.
fn marker_name(name: &str) -> Result<String, Error> {
    match name.len() {
        1..=MARKER_NAME_BYTES => Ok(format!("{MARKER_META}{name}")),
        bytes => {
            Err(Error::Invalid(format!("a marker's name has 1 to {MARKER_NAME_BYTES} bytes, and this one {bytes}")))
        }
    }
}
