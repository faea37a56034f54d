//! Whose entries are applied next, and opened next: so that a peer that floods does not hold up one that writes little.
//!
//! A space is *lively* for a while after somebody has written a little in it: here, or on a peer, live. Then large entries of
//! others than he go on to the disk some at a time, so that no small one waits behind many of them there; and they are applied one
//! at a time, with a rest after each, and small ones in between. Who types fast, and makes large entries by it, holds up nobody
//! but himself, and so does not rest for his own sake. When the space is not lively, and on a device that has yet to be in sync
//! with any other (it comes back, or is new, and wants all of it), large entries are stored and applied as fast as they can be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::rest::Resting;
use super::space::{Arrived, Busy, Space};
use crate::entry::Entry;
use crate::id::{CollectionTag, DeviceId, JournalId, Position};
use crate::input::Class;
use crate::job::Content;
use crate::limits::{
    APPLY_BYTES, BULK_REST_TIMES, LIVELY_APPLY_BYTES, LIVELY_MS, OPEN_BYTES, OPEN_ENTRIES, REST_MS, SMALL_ENTRY_BYTES,
};
use crate::payload::ItemBody;

impl Space {
    /// Somebody has written a little.
    pub(super) fn enliven(&mut self, device: DeviceId, now_ms: u64) {
        self.lively.retain(|_, until_ms| now_ms < *until_ms);
        self.lively.insert(device, now_ms + LIVELY_MS);
    }

    /// An entry from a peer is opened, and goes to the disk.
    pub(super) fn entry_opened(&mut self, entry: &Entry, class: Class, now_ms: u64) {
        if !entry.is_small() {
            self.large_storing += 1;
        } else if class == Class::Live {
            self.enliven(entry.header.journal.device, now_ms);
        }
    }

    /// An entry from a peer is durable; whether it was the last large one on its way to the disk.
    pub(super) fn last_large_stored(&mut self, entry: &Entry) -> bool {
        if entry.is_small() {
            return false;
        }
        self.large_storing = self.large_storing.saturating_sub(1);
        self.large_storing == 0
    }

    /// Whether others than the author write a little just now, beside whom his large entries are to rest.
    fn is_lively_beside(&self, author: DeviceId, now_ms: u64) -> bool {
        self.settled && self.lively.iter().any(|(device, until_ms)| *device != author && now_ms < *until_ms)
    }
}

/// Whether large entries are to rest after what a collection has just applied.
pub(super) fn tires(space: &Space, collection: CollectionTag, now_ms: u64) -> bool {
    let Some(Busy::Applying(picked)) = space.collections.get(&collection).map(|work| &work.busy) else { return false };
    let tires = |id: &JournalId, seq| {
        payload_bytes(space, id, seq) > SMALL_ENTRY_BYTES && space.is_lively_beside(id.device, now_ms)
    };
    picked.iter().any(|(id, at)| tires(id, at.seq))
}

impl Resting {
    /// Lets large entries rest after an application.
    pub(super) fn rest_from_bulk(&mut self, now_ms: u64) {
        let took_ms = now_ms.saturating_sub(self.begun_ms);
        if took_ms > 0 {
            self.bulk_until_ms = Some(now_ms + (took_ms * BULK_REST_TIMES).min(REST_MS));
        }
    }
}

/// Entries that can be applied now, in an order in which they can.
pub(super) fn pick(
    space: &Space,
    collection: CollectionTag,
    unchecked: bool,
    now_ms: u64,
) -> Vec<(JournalId, Position)> {
    let Some(work) = space.collections.get(&collection) else { return Vec::new() };
    let mut applied: BTreeMap<JournalId, u64> = BTreeMap::new();
    let mut picked = Vec::new();
    let mut bytes = 0;
    // First one entry of each journal, the small ones before all.
    let mut one_each = true;
    let mut order: Vec<JournalId> = work.unapplied.iter().copied().collect();
    order.sort_by_cached_key(|id| {
        let applied = space.journals.get(id).map_or(0, |journal| journal.state.applied);
        payload_bytes(space, id, applied + 1)
    });
    loop {
        let before = picked.len();
        for id in &order {
            let Some(journal) =
                space.journals.get(id).filter(|journal| !journal.state.closed && journal.lacks.is_none())
            else {
                continue;
            };
            let lively = space.is_lively_beside(id.device, now_ms);
            let budget = if lively { LIVELY_APPLY_BYTES } else { APPLY_BYTES };
            loop {
                let next = applied.get(id).copied().unwrap_or(journal.state.applied) + 1;
                let Some(opened) = journal.opened.get(&next) else { break };
                let size = match &opened.content {
                    Content::NoKey | Content::Newer | Content::Unread => break,
                    Content::Broken(_) => 0,
                    Content::Items(items, _) if items.iter().any(|i| matches!(i.body, ItemBody::Unknown { .. })) => {
                        break;
                    }
                    Content::Items(_, bytes) => *bytes,
                };
                let ready = opened.deps.iter().all(|dep| {
                    let journal = dep.journal(collection);
                    let stands = || space.journals.get(&journal).map_or(0, |journal| journal.state.applied);
                    applied.get(&journal).copied().unwrap_or_else(stands) >= dep.position.seq
                });
                if !(ready || unchecked)
                    || rests(&work.resting, &opened.content)
                    || (bytes > 0 && bytes + size > budget)
                {
                    break;
                }
                bytes += size;
                applied.insert(*id, next);
                picked.push((*id, opened.position));
                if one_each {
                    break;
                }
            }
        }
        if picked.len() == before || bytes >= APPLY_BYTES {
            return picked;
        }
        one_each = false;
    }
}

/// Whether an entry is not applied for a while, because it is large or speaks of large documents.
pub(super) fn rests(resting: &Resting, content: &Content) -> bool {
    let Content::Items(items, bytes) = content else { return false };
    let bulk_rests = resting.bulk_until_ms.is_some() && *bytes > SMALL_ENTRY_BYTES;
    bulk_rests || items.iter().any(|item| resting.rests(&item.document))
}

/// Payload bytes of an entry that waits to be applied, if it is in memory.
fn payload_bytes(space: &Space, id: &JournalId, seq: u64) -> usize {
    match space.journals.get(id).and_then(|journal| journal.opened.get(&seq)).map(|opened| &opened.content) {
        Some(Content::Items(_, bytes)) => *bytes,
        _ => 0,
    }
}

/// Takes what one job is to open: small entries of journals that have nothing before them first, then, unless there are large
/// ones on their way to the disk that are waited for, a job's worth in the order in which they came. Each journal's entries
/// stay in order.
pub(super) fn take_unopened(space: &mut Space, now_ms: u64) -> Vec<Arrived> {
    let (mut taken, mut later, mut behind) = (Vec::new(), VecDeque::new(), BTreeSet::new());
    while taken.len() < OPEN_ENTRIES
        && let Some(arrived) = space.unopened.pop_front()
    {
        let journal = arrived.entry.header.journal;
        if arrived.entry.is_small() && !behind.contains(&journal) {
            taken.push(arrived);
        } else {
            behind.insert(journal);
            later.push_back(arrived);
        }
    }
    let holds = |arrived: &Arrived| {
        space.large_storing > 0 && space.is_lively_beside(arrived.entry.header.journal.device, now_ms)
    };
    let mut bytes = 0;
    while taken.len() < OPEN_ENTRIES
        && bytes < OPEN_BYTES
        && later.front().is_some_and(|arrived| !holds(arrived))
        && let Some(arrived) = later.pop_front()
    {
        bytes += arrived.entry.as_bytes().len();
        taken.push(arrived);
    }
    later.into_iter().rev().for_each(|arrived| space.unopened.push_front(arrived));
    taken
}
