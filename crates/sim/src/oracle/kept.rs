//! *kept*: what apps were told is what all devices show in the end: acknowledged increments add up, acknowledged insertions are
//! there, acknowledged deletions hold, and every request was answered. See [`crate::model::promises`].

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::id::{CollectionTag, DocumentId, SpaceId};

use crate::model::promises::{Fate, Promises};
use crate::observe::{DeviceNo, DocumentSnapshot, Intended, Observed, What};
use crate::oracle::{Oracle, Rest, Violation, broken};

type Key = (SpaceId, CollectionTag, DocumentId);

/// See the module.
#[derive(Debug, Default)]
pub struct Kept {
    events: u64,
    open: BTreeMap<u64, Asked>,
    documents: BTreeMap<Key, Promises>,
    edit_wins: BTreeMap<(SpaceId, CollectionTag), bool>,
    /// What devices were told that are in bad hands since: it may be gone with them.
    told: BTreeMap<DeviceNo, BTreeSet<Key>>,
    excused: BTreeSet<Key>,
    turned: BTreeSet<DeviceNo>,
}

#[derive(Debug)]
struct Asked {
    device: DeviceNo,
    at: u64,
    space: SpaceId,
    collection: CollectionTag,
    edits: Vec<Intended>,
}

impl Kept {
    fn note(&mut self, asked: &Asked, edit: &Intended, fate: Fate) {
        let key = (asked.space, asked.collection, edit.document);
        self.told.entry(asked.device).or_default().insert(key);
        self.documents.entry(key).or_default().note(&edit.op, fate, asked.at, self.events);
    }
}

impl Oracle for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }

    fn promise(&self) -> &'static str {
        "what apps were told is what all devices show in the end"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        self.events += 1;
        match &observed.what {
            What::Defined { space, collection, edit_wins } => {
                self.edit_wins.insert((*space, *collection), *edit_wins);
            }
            What::Submitted { request, space, collection, edits } => {
                let (device, at) = (observed.device, self.events);
                let asked = Asked { device, at, space: *space, collection: *collection, edits: edits.clone() };
                self.open.insert(*request, asked);
            }
            What::Refused { request, .. } => drop(self.open.remove(request)),
            What::Unanswered { request } => {
                let Some(asked) = self.open.remove(request) else { return Ok(()) };
                asked.edits.iter().for_each(|edit| self.note(&asked, edit, Fate::Unknown));
            }
            What::Acknowledged { request, results } => {
                let Some(asked) = self.open.remove(request) else {
                    let what = format!("request {request} was answered and is not open");
                    return broken(self.name(), observed.at_ms, observed.device, what);
                };
                for (edit, result) in asked.edits.iter().zip(results) {
                    match result {
                        Ok(Some(_)) => self.note(&asked, edit, Fate::Done),
                        // A deletion that "changes nothing" promises that the document is gone.
                        Ok(None) if edit.op == crate::plain::Op::Delete => self.note(&asked, edit, Fate::Done),
                        Ok(None) | Err(_) => {}
                    }
                }
            }
            What::Turned { .. } => {
                self.turned.insert(observed.device);
                self.excused.extend(self.told.remove(&observed.device).unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, rest: &Rest<'_>) -> Result<(), Violation> {
        let Some(first) = rest.snapshots.first() else { return Ok(()) };
        if let Some((request, asked)) = self.open.iter().find(|(_, asked)| !self.turned.contains(&asked.device)) {
            let what = format!("request {request} was never answered");
            return broken(self.name(), first.at_ms, asked.device, what);
        }
        for (key, promises) in self.documents.iter().filter(|(key, _)| !self.excused.contains(*key)) {
            let (space, collection, document) = *key;
            let holders = rest.snapshots.iter().filter_map(|snapshot| snapshot.spaces.get(&space));
            let mut shown = holders.map(|held| {
                held.documents.get(&(collection, document)).and_then(|stored: &DocumentSnapshot| stored.view.as_ref())
            });
            let Some(view) = shown.next() else { continue };
            if shown.any(|other| other != view) {
                continue; // Devices differ: that is for *converged* to say.
            }
            let edit_wins = self.edit_wins.get(&(space, collection)).copied().unwrap_or(false);
            if let Some(what) = promises.broken(view, edit_wins) {
                return broken(self.name(), first.at_ms, first.device, format!("{document:?}: {what}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Snapshot;
    use crate::oracle::scene::{acknowledged, at_rest, device, document, history, submitted, title, unchanged};
    use crate::plain::Op;

    fn verdict(events: &[(DeviceNo, What)], snapshots: &[Snapshot]) -> Option<String> {
        let mut oracle = Kept::default();
        assert_eq!(history(&mut oracle, events), None);
        at_rest(&mut oracle, snapshots)
    }

    fn showing(titles: &[(DeviceNo, &str)]) -> Vec<Snapshot> {
        vec![device(0).with_document(document(titles)), device(1).with_document(document(titles))]
    }

    #[test]
    fn a_title_that_was_acknowledged_is_shown() {
        let told = [submitted(0, 1, title("a")), acknowledged(0, 1, 1)];
        assert_eq!(verdict(&told, &showing(&[(0, "a")])), None);
        assert!(verdict(&told, &showing(&[(0, "b")])).unwrap().contains("title"));
        assert!(verdict(&told, &[device(0), device(1)]).unwrap().contains("not shown"));
        // Devices that differ are not this oracle's affair.
        assert_eq!(verdict(&told, &[device(0), showing(&[(0, "a")]).remove(1)]), None);
        let refused = [told[0].clone(), (0, What::Refused { request: 1, reason: "no".into() })];
        assert_eq!(verdict(&refused, &[device(0)]), None);
        let unanswered = [told[0].clone(), (0, What::Unanswered { request: 1 })];
        assert_eq!(verdict(&unanswered, &[device(0)]), None);
    }

    #[test]
    fn a_deletion_that_was_acknowledged_holds_whatever_it_is_said_to_have_changed() {
        for answer in [acknowledged(0, 2, 2), unchanged(0, 2)] {
            let told = [submitted(0, 1, title("a")), acknowledged(0, 1, 1), submitted(0, 2, Op::Delete), answer];
            assert!(verdict(&told, &showing(&[(0, "a")])).unwrap().contains("deleted"));
            assert_eq!(verdict(&told, &[device(0)]), None);
        }
    }

    #[test]
    fn a_request_without_an_answer_is_found() {
        assert!(verdict(&[submitted(0, 1, title("a"))], &[device(0)]).unwrap().contains("never answered"));
        let mut oracle = Kept::default();
        let twice = [submitted(0, 1, title("a")), acknowledged(0, 1, 1), acknowledged(0, 1, 1)];
        assert!(history(&mut oracle, &twice).unwrap().contains("is not open"));
    }

    #[test]
    fn what_a_device_in_bad_hands_was_told_is_not_promised() {
        let turned = (0, What::Turned { kind: crate::byzantine::ByzantineKind::Flooder });
        let told = [submitted(0, 1, title("a")), acknowledged(0, 1, 1), turned];
        assert_eq!(verdict(&told, &[device(1)]), None);
    }
}
