//! Reads the entries since a marker: who touched which documents, how often, and when.

use std::collections::BTreeMap;

use farshore_core::batch::{Boot, BootSpace, JournalState, Load, Loaded};
use farshore_core::entry::Entry;
use farshore_core::id::{CollectionTag, DeviceId, DocKey, Incarnation, JournalId, SpaceId};
use farshore_core::job::{Content, Job, JobResult, Opened};
use farshore_core::payload::{Item, ItemBody, PackedChange};
use farshore_store::Reader;
use tokio::sync::oneshot;

use super::{Came, Marker, SinceReport, judge};
use crate::driver::Control;
use crate::error::Error;
use crate::limits::{SINCE_DOCUMENTS, SINCE_READ_BYTES};
use crate::node::Node;

/// What the entries tell.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) me: DeviceId,
    /// The present life of the store: what was written in an earlier one is not followed.
    pub(super) incarnation: Incarnation,
    came: BTreeMap<(SpaceId, CollectionTag, DeviceId), Came>,
    /// Documents that others touched: who, and their last claimed time.
    pub(super) theirs: BTreeMap<DocKey, BTreeMap<DeviceId, u64>>,
    /// Documents that this device wrote.
    pub(super) own: BTreeMap<DocKey, Own>,
    pub(super) journals: BTreeMap<(SpaceId, CollectionTag), Vec<JournalId>>,
    unread: u64,
    incomplete: bool,
}

/// What this device did to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) generation: u32,
    /// Own changes of this life.
    pub(super) changes: usize,
    /// Whether the last thing was to delete it.
    pub(super) deleted: bool,
}

/// Computes a report.
pub(super) async fn report(node: &Node, since: Marker) -> Result<SinceReport, Error> {
    let status = node.status().await?;
    let (me, incarnation) = (status.engine.device, status.engine.incarnation);
    let reader = node.inner.reader.get()?;
    let boot = read(&reader, |reader| reader.boot()).await?;
    let mut gathered = Gathered::new(me, incarnation);
    for (space, journal, state) in journals(boot) {
        gathered.journals.entry((space, journal.collection)).or_default().push(journal);
        let from = since.of(&space, &journal);
        if state.applied > from {
            gather(node, &reader, space, journal, &state, from, &mut gathered).await?;
        }
    }
    let since_ms = since.at_ms;
    read(&reader, move |reader| judge::judge(reader, gathered, since_ms)).await
}

fn journals(boot: Boot) -> impl Iterator<Item = (SpaceId, JournalId, JournalState)> {
    let of = |BootSpace { space, journals, .. }| journals.into_iter().map(move |(id, state)| (space, id, state));
    boot.spaces.into_iter().flat_map(of)
}

/// Reads from the store on a thread that may block.
async fn read<R: Send + 'static, E: Into<Error> + Send + 'static>(
    reader: &Reader,
    work: impl FnOnce(&Reader) -> Result<R, E> + Send + 'static,
) -> Result<R, Error> {
    let reader = reader.clone();
    let read = tokio::task::spawn_blocking(move || work(&reader)).await;
    read.map_err(|error| Error::Internal(format!("reading panicked: {error}")))?.map_err(Into::into)
}

/// Reads one journal's entries after `from` up to what is applied, a bounded amount at a time.
async fn gather(
    node: &Node,
    reader: &Reader,
    space: SpaceId,
    journal: JournalId,
    state: &JournalState,
    from: u64,
    gathered: &mut Gathered,
) -> Result<(), Error> {
    let (mut next, to, skip) = (from + 1, state.applied, state.fork);
    while next <= to {
        let load = Load::Entries { space, journal, from: next, to, limit_bytes: SINCE_READ_BYTES, skip };
        let loaded = read(reader, move |reader| reader.load(&load)).await?;
        let Loaded::Entries(entries) = loaded else {
            return Err(Error::Internal("the store answered a load with something else".into()));
        };
        let decoded = entries.into_iter().map(|(position, bytes)| {
            Entry::decode(bytes).map_err(|error| Error::Damaged {
                what: format!("entry {} of device {}", position.seq, journal.device),
                cause: error.to_string(),
            })
        });
        let decoded: Vec<Entry> = decoded.collect::<Result<_, _>>()?;
        let Some(last) = decoded.last().map(|entry| entry.header.seq) else {
            gathered.unread += to + 1 - next; // Only their effect is kept.
            return Ok(());
        };
        let gap = decoded.first().map_or(0, |entry| entry.header.seq.saturating_sub(next));
        gathered.unread += gap;
        let (reply, answer) = oneshot::channel();
        node.control(Control::Reading { space, entries: decoded, reply }).await?;
        let tasks = answer.await.map_err(|_| Error::Closed)??;
        let opened = tokio::task::spawn_blocking(move || Job::Open(tasks).run()).await;
        let Ok(JobResult::Opened(opened)) = opened else {
            return Err(Error::Internal("opening entries panicked".into()));
        };
        // One job opens only so much; the rest is read again.
        let unread = opened.iter().position(|opened| opened.content == Content::Unread);
        next = unread.map_or(last, |at| opened[at].entry.header.seq - 1) + 1;
        for opened in opened.into_iter().take(unread.unwrap_or(usize::MAX)) {
            gathered.add(space, opened);
        }
    }
    Ok(())
}

impl Gathered {
    fn new(me: DeviceId, incarnation: Incarnation) -> Self {
        Gathered {
            me,
            incarnation,
            came: BTreeMap::new(),
            theirs: BTreeMap::new(),
            own: BTreeMap::new(),
            journals: BTreeMap::new(),
            unread: 0,
            incomplete: false,
        }
    }

    fn add(&mut self, space: SpaceId, opened: Opened) {
        let me = self.me;
        let (header, bytes) = (&opened.entry.header, opened.entry.as_bytes().len() as u64);
        let (journal, claimed_ms) = (header.journal, header.time.unix_ms());
        if journal.device != me {
            let came = self.came.entry((space, journal.collection, journal.device)).or_insert(Came {
                space,
                collection: journal.collection,
                device: journal.device,
                entries: 0,
                bytes: 0,
                documents: 0,
                claimed_ms: (claimed_ms, claimed_ms),
            });
            came.entries += 1;
            came.bytes += bytes;
            came.claimed_ms = (came.claimed_ms.0.min(claimed_ms), came.claimed_ms.1.max(claimed_ms));
        }
        let Content::Items(items, _) = opened.content else {
            self.unread += 1;
            return;
        };
        for item in items {
            let key = DocKey { space, collection: journal.collection, document: item.document };
            match (journal.device == me, journal.incarnation == self.incarnation) {
                (true, true) => self.own_item(key, &item),
                (true, false) => {}
                (false, _) => self.their_item(key, journal.device, claimed_ms),
            }
        }
    }

    fn their_item(&mut self, key: DocKey, device: DeviceId, claimed_ms: u64) {
        if self.theirs.len() >= SINCE_DOCUMENTS && !self.theirs.contains_key(&key) {
            self.incomplete = true;
            return;
        }
        let last = self.theirs.entry(key).or_default().entry(device).or_default();
        *last = (*last).max(claimed_ms);
    }

    fn own_item(&mut self, key: DocKey, item: &Item) {
        if self.own.len() >= SINCE_DOCUMENTS && !self.own.contains_key(&key) {
            self.incomplete = true;
            return;
        }
        let new = Own { generation: item.generation, changes: 0, deleted: false };
        let own = self.own.entry(key).or_insert(new);
        if own.generation != item.generation {
            *own = new; // Of an earlier life of the document nothing can have become of it now.
        }
        own.deleted = matches!(item.body, ItemBody::Tombstone { .. });
        if let ItemBody::Changes(changes) = &item.body {
            own.changes += changes.iter().filter(|change| matches!(change, PackedChange::Derived(_))).count();
        }
    }

    /// The report without what only the documents tell.
    pub(super) fn report(&mut self, since_ms: u64) -> SinceReport {
        let mut came = std::mem::take(&mut self.came);
        for (key, devices) in &self.theirs {
            for device in devices.keys() {
                if let Some(came) = came.get_mut(&(key.space, key.collection, *device)) {
                    came.documents += 1;
                }
            }
        }
        SinceReport {
            since_ms,
            came: came.into_values().collect(),
            documents: super::Listed::default(),
            merged: super::Listed::default(),
            overwritten: super::Listed::default(),
            conflicts: super::Listed::default(),
            unread: self.unread,
            incomplete: self.incomplete,
        }
    }
}
