//! Whose entries are applied next, and opened next: so that a peer that floods does not hold up one that writes little.
//!
//! A space is *lively* for a while after somebody has written a little in it: here, or on a peer, live. Then large entries go on
//! to the disk some at a time, so that no small one waits behind many of them there; and they are applied one at a
//! time, with a rest after each, and small ones in between. When the space is not lively, and on a device that has yet to be in
//! sync with any other (it comes back, or is new, and wants all of it), large entries are stored and applied as fast as they can be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::rest::Resting;
use super::space::{Arrived, Collection, Space};
use crate::id::{CollectionTag, JournalId, Position};
use crate::job::Content;
use crate::limits::{
    APPLY_BYTES, BULK_REST_TIMES, LIVELY_APPLY_BYTES, LIVELY_MS, OPEN_BYTES, OPEN_ENTRIES, REST_MS, SMALL_ENTRY_BYTES,
};
use crate::payload::ItemBody;

impl Space {
    /// Somebody has written a little.
    pub(super) fn enliven(&mut self, now_ms: u64) {
        self.lively_until_ms = now_ms + LIVELY_MS;
    }

    pub(super) fn is_lively(&self, now_ms: u64) -> bool {
        self.settled && now_ms < self.lively_until_ms
    }
}

impl Collection {
    /// In a lively space, large entries rest after large ones were applied.
    pub(super) fn rest_from_bulk(&mut self, now_ms: u64) {
        let took_ms = now_ms.saturating_sub(self.resting.begun_ms);
        if self.applies_large && took_ms > 0 {
            self.resting.bulk_until_ms = Some(now_ms + (took_ms * BULK_REST_TIMES).min(REST_MS));
        }
    }
}

/// Entries that can be applied now, in an order in which they can, and whether a large one is among them.
pub(super) fn pick(
    space: &Space,
    collection: CollectionTag,
    unchecked: bool,
    now_ms: u64,
) -> (Vec<(JournalId, Position)>, bool) {
    let Some(work) = space.collections.get(&collection) else { return (Vec::new(), false) };
    let budget = if space.is_lively(now_ms) { LIVELY_APPLY_BYTES } else { APPLY_BYTES };
    let mut applied: BTreeMap<JournalId, u64> = BTreeMap::new();
    let mut picked = Vec::new();
    let (mut bytes, mut large) = (0, false);
    // First one entry of each journal, the small ones before all.
    let mut one_each = true;
    let mut order: Vec<JournalId> = work.unapplied.iter().copied().collect();
    order.sort_by_cached_key(|id| next_bytes(space, id));
    loop {
        let before = picked.len();
        for id in &order {
            let Some(journal) =
                space.journals.get(id).filter(|journal| !journal.state.closed && journal.lacks.is_none())
            else {
                continue;
            };
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
                large |= size > SMALL_ENTRY_BYTES;
                applied.insert(*id, next);
                picked.push((*id, opened.position));
                if one_each {
                    break;
                }
            }
        }
        if picked.len() == before || bytes >= budget {
            return (picked, large);
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

/// Payload bytes of the next entry of a journal, if it is in memory.
fn next_bytes(space: &Space, id: &JournalId) -> usize {
    let next = space.journals.get(id).and_then(|journal| journal.opened.get(&(journal.state.applied + 1)));
    match next.map(|opened| &opened.content) {
        Some(Content::Items(_, bytes)) => *bytes,
        _ => 0,
    }
}

/// Takes what one job is to open: small entries of journals that have nothing before them first, then, unless there are large
/// ones on their way to the disk that are waited for, a job's worth in the order in which they came. Each journal's entries
/// stay in order.
pub(super) fn take_unopened(space: &mut Space, now_ms: u64) -> Vec<Arrived> {
    let holds = space.large_storing > 0 && space.is_lively(now_ms);
    let unopened = &mut space.unopened;
    let (mut taken, mut later, mut behind) = (Vec::new(), VecDeque::new(), BTreeSet::new());
    for arrived in unopened.drain(..) {
        let small = arrived.entry.as_bytes().len() <= SMALL_ENTRY_BYTES;
        if small && taken.len() < OPEN_ENTRIES && !behind.contains(&arrived.entry.header.journal) {
            taken.push(arrived);
        } else {
            behind.insert(arrived.entry.header.journal);
            later.push_back(arrived);
        }
    }
    let mut bytes = 0;
    while !holds
        && taken.len() < OPEN_ENTRIES
        && bytes < OPEN_BYTES
        && let Some(arrived) = later.pop_front()
    {
        bytes += arrived.entry.as_bytes().len();
        taken.push(arrived);
    }
    *unopened = later;
    taken
}
