//! *durable*: what was acknowledged survives (I5). The entry that an acknowledgement names is held by its author ever after,
//! restarts and power cuts included, and its effect is among the document's changes; and whatever a disk once reported as
//! durable is there when the device starts again.

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::id::{CollectionTag, DocumentId, JournalId, Position, SpaceId};

use crate::model::actor;
use crate::model::promises::writes_under_own_actor;
use crate::observe::{DeviceNo, Intended, Observed, What};
use crate::oracle::{Oracle, Rest, Violation, broken};

/// See the module.
#[derive(Debug, Default)]
pub struct Durable {
    asked: BTreeMap<u64, (SpaceId, CollectionTag, Vec<Intended>)>,
    devices: BTreeMap<DeviceNo, Promised>,
}

/// What a device may not lose any more.
#[derive(Debug, Default)]
struct Promised {
    /// The last entry of each journal that was reported as stored.
    stored: BTreeMap<JournalId, Position>,
    /// The last entry of each journal that an acknowledgement named.
    acknowledged: BTreeMap<(SpaceId, JournalId), Position>,
    /// Entries that changed a document under this device's own actor: the last one, and how many there were.
    changes: BTreeMap<(SpaceId, CollectionTag, DocumentId, JournalId), (u64, usize)>,
}

impl Promised {
    fn acknowledge(&mut self, space: SpaceId, edit: &Intended, journal: JournalId, position: Position) {
        let last = self.acknowledged.entry((space, journal)).or_insert(position);
        *last = (*last).max(position);
        if writes_under_own_actor(&edit.op) {
            let key = (space, journal.collection, edit.document, journal);
            let (seq, count) = self.changes.entry(key).or_default();
            // Several edits of one entry may be one change.
            *count += usize::from(*seq != position.seq);
            *seq = position.seq;
        }
    }

    /// The first promise that is broken by a store that holds this much.
    fn lost(&self, held: impl Fn(&JournalId) -> Option<Position>) -> Option<String> {
        let acknowledged = self.acknowledged.iter().map(|((_, journal), position)| ("acknowledged", journal, position));
        let stored = self.stored.iter().map(|(journal, position)| ("stored", journal, position));
        for (how, journal, position) in acknowledged.chain(stored) {
            let held = held(journal);
            let lost =
                held.is_none_or(|held| held.seq < position.seq || (held.seq == position.seq && held != *position));
            if lost {
                return Some(format!("{journal:?}: entry {position:?} was {how}, and {held:?} is held"));
            }
        }
        None
    }
}

impl Oracle for Durable {
    fn name(&self) -> &'static str {
        "durable"
    }

    fn promise(&self) -> &'static str {
        "what was acknowledged or stored is there ever after, and its effect in the documents"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        let device = observed.device;
        match &observed.what {
            What::Submitted { request, space, collection, edits } => {
                self.asked.insert(*request, (*space, *collection, edits.clone()));
            }
            What::Refused { request, .. } | What::Unanswered { request } => {
                self.asked.remove(request);
            }
            What::Acknowledged { request, results } => {
                let Some((space, _, edits)) = self.asked.remove(request) else { return Ok(()) };
                let promised = self.devices.entry(device).or_default();
                for (edit, result) in edits.iter().zip(results) {
                    if let Ok(Some((journal, position))) = result {
                        promised.acknowledge(space, edit, *journal, *position);
                    }
                }
            }
            What::Stored { entries, .. } => {
                let stored = &mut self.devices.entry(device).or_default().stored;
                for (journal, position) in entries {
                    // A second entry at one place proves a fork, and is kept beside the first, which counts.
                    let last = stored.entry(*journal).or_insert(*position);
                    if last.seq < position.seq {
                        *last = *position;
                    }
                }
            }
            What::Restarted { frontier, .. } => {
                let Some(promised) = self.devices.get(&device) else { return Ok(()) };
                let held: BTreeMap<JournalId, Position> = frontier.iter().map(|((_, id), at)| (*id, *at)).collect();
                if let Some(what) = promised.lost(|journal| held.get(journal).copied()) {
                    return broken(self.name(), observed.at_ms, device, format!("after a restart, {what}"));
                }
            }
            What::Turned { .. } => {
                self.devices.remove(&device);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, rest: &Rest<'_>) -> Result<(), Violation> {
        for snapshot in rest.snapshots {
            let Some(promised) = self.devices.get(&snapshot.device) else { continue };
            let spaces = || snapshot.spaces.values();
            let held = |id: &JournalId| spaces().find_map(|space| space.journals.get(id)).map(|journal| journal.held);
            if let Some(what) = promised.lost(held) {
                return broken(self.name(), snapshot.at_ms, snapshot.device, format!("at rest, {what}"));
            }
            for ((space, collection, document, journal), (_, least)) in &promised.changes {
                let stored = snapshot.spaces.get(space).and_then(|s| s.documents.get(&(*collection, *document)));
                // Of a document that was deleted and made anew, the earlier life's changes are gone, as they should.
                if stored.is_some_and(|stored| stored.generation != 1) {
                    continue;
                }
                let own = actor::of_journal(*space, journal, *document, 1);
                let content = stored.map(|stored| rest.content(stored));
                let made: BTreeSet<&[u8; 32]> = match content.as_deref() {
                    Some(Ok(content)) => {
                        content.changes.iter().filter(|(_, made)| made.actor == own).map(|(hash, _)| hash).collect()
                    }
                    Some(Err(_)) => continue, // What cannot be read is found by *reads-itself*.
                    None => BTreeSet::new(),
                };
                if made.len() < *least {
                    let what = format!(
                        "{document:?} was changed by {least} acknowledged entries, and {} changes are in it",
                        made.len()
                    );
                    return broken(self.name(), snapshot.at_ms, snapshot.device, what);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::scene::{
        acknowledged, at_rest, device, document, history, restarted, stored_entry, submitted, title,
    };

    fn written() -> Vec<(DeviceNo, What)> {
        vec![submitted(0, 1, title("a")), stored_entry(0, 1, 0, 1, 7), acknowledged(0, 1, 1)]
    }

    #[test]
    fn an_acknowledged_entry_that_a_restart_does_not_find_is_lost() {
        let with = |held: &[(DeviceNo, u64)]| [written(), vec![restarted(0, held)]].concat();
        assert_eq!(history(&mut Durable::default(), &with(&[(0, 1)])), None);
        assert_eq!(history(&mut Durable::default(), &with(&[(0, 2)])), None);
        assert!(history(&mut Durable::default(), &with(&[])).unwrap().contains("acknowledged"));
    }

    #[test]
    fn what_a_disk_reported_as_stored_is_there_after_a_restart() {
        let received = |held| [stored_entry(0, 1, 1, 5, 7), restarted(0, &[(1, held)])];
        assert_eq!(history(&mut Durable::default(), &received(5)), None);
        assert!(history(&mut Durable::default(), &received(4)).unwrap().contains("stored"));
    }

    #[test]
    fn an_acknowledged_edit_is_in_the_documents_changes_at_rest() {
        let judge = |snapshot| {
            let mut oracle = Durable::default();
            assert_eq!(history(&mut oracle, &written()), None);
            at_rest(&mut oracle, &[snapshot])
        };
        assert_eq!(judge(device(0).with_journal(0, 1).with_document(document(&[(0, "a")]))), None);
        let others = device(0).with_journal(0, 1).with_document(document(&[(1, "a")]));
        assert!(judge(others).unwrap().contains("0 changes are in it"));
        assert!(judge(device(0).with_journal(0, 1)).unwrap().contains("0 changes are in it"));
        assert!(judge(device(0)).unwrap().contains("at rest"));
    }
}
