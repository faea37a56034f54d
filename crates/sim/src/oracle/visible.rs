//! *visible*: nothing is seen before it is durable (I1): nothing is acknowledged, reported as changed, read, sent as an entry,
//! offered in a frontier or receipted before the commit that holds it was over. Also an answer "changed nothing" may rest on
//! durable state alone.

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::id::{CollectionTag, DeviceId, DocumentId, EntryHash, JournalId, Position};

use crate::observe::{DeviceNo, Observed, ViewMark, ViewWritten, What};
use crate::oracle::{Oracle, Violation, broken};

/// Hashes remembered of each journal: acknowledgements and pushes name recent entries.
const RECENT: usize = 256;

type Document = (CollectionTag, DocumentId);

/// See the module.
#[derive(Debug, Default)]
pub struct Visible {
    devices: BTreeMap<DeviceNo, Disk>,
    numbers: BTreeMap<DeviceId, DeviceNo>,
    turned: BTreeSet<DeviceNo>,
    /// Requests that are open: which documents, and how many batches the device had handed over before.
    asked: BTreeMap<u64, (Vec<Document>, u64)>,
}

/// What is durable on a device, and what is on its way there.
#[derive(Debug, Default)]
struct Disk {
    held: BTreeMap<JournalId, Held>,
    /// Batches handed over and not stored, in order, with their number in the device's whole life.
    under_way: BTreeMap<u64, (u64, Vec<Document>)>,
    handed: u64,
    /// Documents that durable batches changed, and how many of those no event has told of yet.
    news: BTreeMap<Document, u64>,
    /// The views as they are durable, as far as they are known.
    views: BTreeMap<Document, Option<ViewMark>>,
}

#[derive(Debug, Default)]
struct Held {
    seq: u64,
    /// Where it ended when the device started: which entries stand before that is not known.
    began: u64,
    /// Two entries at one place are both kept: they prove a fork.
    recent: BTreeSet<(u64, EntryHash)>,
}

impl Held {
    /// As it is found on a disk.
    fn found(position: Position) -> Held {
        Held { seq: position.seq, began: position.seq, recent: BTreeSet::from([(position.seq, position.hash)]) }
    }

    fn store(&mut self, position: Position) {
        self.seq = self.seq.max(position.seq);
        self.recent.insert((position.seq, position.hash));
        if self.recent.len() > RECENT {
            self.recent.pop_first();
        }
    }

    /// Whether this very entry is durable, as far as its hash is remembered.
    fn has(&self, position: Position) -> bool {
        let (least, most) = (EntryHash([0; 32]), EntryHash([255; 32]));
        let mut there = self.recent.range((position.seq, least)..=(position.seq, most)).peekable();
        let unknown = position.seq < self.began || there.peek().is_none();
        position.seq <= self.seq && (unknown || there.any(|(_, hash)| *hash == position.hash))
    }
}

impl Disk {
    fn has(&self, journal: &JournalId, position: Position) -> bool {
        self.held.get(journal).is_some_and(|held| held.has(position))
    }

    fn reaches(&self, journal: &JournalId, seq: u64) -> bool {
        seq == 0 || self.held.get(journal).is_some_and(|held| seq <= held.seq)
    }

    fn start_again(&mut self, frontier: impl Iterator<Item = (JournalId, Position)>) {
        self.under_way.clear();
        self.news.clear();
        self.views.clear();
        self.held.clear();
        self.held.extend(frontier.map(|(journal, position)| (journal, Held::found(position))));
    }
}

impl Oracle for Visible {
    fn name(&self) -> &'static str {
        "visible"
    }

    fn promise(&self) -> &'static str {
        "nothing is acknowledged, shown, sent or receipted before it is durable"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        let device = observed.device;
        if let What::Joined { id, .. } | What::Restarted { id, .. } = &observed.what {
            self.numbers.insert(*id, device);
        }
        let early = match &observed.what {
            What::Submitted { request, collection, edits, .. } => {
                let documents = edits.iter().map(|edit| (*collection, edit.document)).collect();
                let handed = self.devices.entry(device).or_default().handed;
                self.asked.insert(*request, (documents, handed));
                None
            }
            What::Acknowledged { request, results } => self.acknowledged(device, *request, results),
            What::Receipted { peer, collection, seq, .. } => self.receipted(device, peer, *collection, *seq),
            What::Turned { .. } => {
                self.turned.insert(device);
                None
            }
            what => self.devices.entry(device).or_default().observe(what),
        };
        match early {
            Some(what) => broken(self.name(), observed.at_ms, device, what),
            None => Ok(()),
        }
    }
}

impl Disk {
    /// Takes note of an event of this device; says what came too early.
    fn observe(&mut self, what: &What) -> Option<String> {
        match what {
            What::Handed { batch, documents } => {
                self.handed += 1;
                self.under_way.insert(*batch, (self.handed, documents.clone()));
            }
            What::Stored { batch, entries, documents } => {
                self.under_way.remove(batch);
                entries.iter().for_each(|(journal, position)| self.held.entry(*journal).or_default().store(*position));
                for written in documents {
                    let document = (written.collection, written.document);
                    *self.news.entry(document).or_default() += 1;
                    match written.view {
                        ViewWritten::Kept => {}
                        ViewWritten::Put(mark) => drop(self.views.insert(document, Some(mark))),
                        ViewWritten::Removed => drop(self.views.insert(document, None)),
                    }
                }
            }
            What::Restarted { frontier, .. } => self.start_again(frontier.iter().map(|((_, id), at)| (*id, *at))),
            What::Changed { collection, documents, .. } => {
                for document in documents {
                    let untold = self.news.entry((*collection, *document)).or_default();
                    if *untold == 0 {
                        return Some(format!("{document:?} was reported as changed, and no durable batch changes it"));
                    }
                    *untold -= 1;
                }
            }
            What::Read { collection, document, mark, .. } => {
                let durable = *self.views.entry((*collection, *document)).or_insert(*mark);
                if durable != *mark {
                    return Some(format!("{document:?} was read as {mark:?}, and {durable:?} is durable"));
                }
            }
            What::Sent { entry, shows, kind, .. } => {
                let entry = entry.filter(|(journal, position)| !self.has(journal, *position));
                let shown = shows.iter().find(|(journal, seq)| !self.reaches(journal, *seq));
                let early = entry.map(|(journal, position)| (journal, position.seq)).or(shown.copied());
                return early
                    .map(|(id, seq)| format!("a {kind:?} frame shows entry {seq} of {id:?}, which is not durable"));
            }
            _ => {}
        }
        None
    }
}

impl Visible {
    fn acknowledged(
        &mut self,
        device: DeviceNo,
        request: u64,
        results: &[Result<Option<(JournalId, Position)>, String>],
    ) -> Option<String> {
        let (documents, before) = self.asked.remove(&request)?;
        let disk = self.devices.entry(device).or_default();
        for (document, result) in documents.iter().zip(results) {
            match result {
                Ok(Some((journal, position))) if !disk.has(journal, *position) => {
                    return Some(format!(
                        "request {request} was acknowledged, and its entry {position:?} is not durable"
                    ));
                }
                Ok(None) => {
                    let mut rests_on = disk.under_way.values().filter(|(number, _)| *number <= before);
                    if rests_on.any(|(_, written)| written.contains(document)) {
                        let document = document.1;
                        return Some(format!(
                            "request {request} was told that it changes nothing of {document:?}, of which a change is not durable"
                        ));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// A peer's receipt reached the device: the peer must have it on its disk.
    fn receipted(&self, device: DeviceNo, peer: &DeviceId, collection: CollectionTag, seq: u64) -> Option<String> {
        let (number, mine) = (self.numbers.get(peer)?, self.numbers.iter().find(|(_, no)| **no == device)?.0);
        if self.turned.contains(number) {
            return None;
        }
        let disk = self.devices.get(number)?;
        let reached =
            disk.held.iter().any(|(id, held)| id.device == *mine && id.collection == collection && held.seq >= seq);
        (!reached)
            .then(|| format!("device {number} receipted entry {seq} of {collection:?}, which is not durable there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::FrameKind;
    use crate::oracle::scene::{
        DOCUMENT, NOTES, SPACE, acknowledged, handed, history, id, joined, journal, restarted, sent, stored_entry,
        submitted, title, unchanged,
    };

    fn verdict(events: &[(DeviceNo, What)]) -> Option<String> {
        history(&mut Visible::default(), events)
    }

    #[test]
    fn an_acknowledgement_before_the_commit_is_early() {
        let (asked, stored, told) = (submitted(0, 1, title("a")), stored_entry(0, 1, 0, 1, 7), acknowledged(0, 1, 1));
        assert_eq!(verdict(&[asked.clone(), handed(0, 1), stored, told.clone()]), None);
        assert!(verdict(&[asked, handed(0, 1), told]).unwrap().contains("acknowledged"));
    }

    #[test]
    fn nothing_changed_is_said_of_durable_state_only() {
        let asked = submitted(0, 2, title("a"));
        let stored = stored_entry(0, 1, 0, 1, 7);
        assert_eq!(verdict(&[handed(0, 1), asked.clone(), stored, unchanged(0, 2)]), None);
        // What was handed over after the question may be of another edit, which came later.
        assert_eq!(verdict(&[asked.clone(), handed(0, 1), unchanged(0, 2)]), None);
        assert!(verdict(&[handed(0, 1), asked, unchanged(0, 2)]).unwrap().contains("changes nothing"));
    }

    #[test]
    fn a_change_that_no_commit_holds_is_not_reported() {
        let documents = vec![DOCUMENT];
        let changed = (0, What::Changed { space: SPACE, collection: NOTES, documents, remote: true });
        assert_eq!(verdict(&[stored_entry(0, 1, 1, 1, 7), changed.clone()]), None);
        assert!(verdict(&[handed(0, 1), changed.clone()]).unwrap().contains("reported as changed"));
        // One commit, one report.
        let twice = [stored_entry(0, 1, 1, 1, 7), changed.clone(), changed];
        assert!(verdict(&twice).unwrap().contains("reported as changed"));
    }

    #[test]
    fn a_read_shows_the_view_that_is_durable() {
        let read = |mark| {
            let view = None;
            (0, What::Read { space: SPACE, collection: NOTES, document: DOCUMENT, view, mark: Some(ViewMark(mark)) })
        };
        assert_eq!(verdict(&[stored_entry(0, 1, 0, 1, 7), read(7)]), None);
        assert!(verdict(&[stored_entry(0, 1, 0, 1, 7), read(8)]).unwrap().contains("was read"));
        // After a restart the disk may hold what it had not reported.
        assert_eq!(verdict(&[stored_entry(0, 1, 0, 1, 7), restarted(0, &[(0, 2)]), read(8), read(8)]), None);
    }

    #[test]
    fn entries_frontiers_and_receipts_show_what_is_durable() {
        for kind in [FrameKind::Entry, FrameKind::Part, FrameKind::Frontier, FrameKind::Receipt] {
            assert_eq!(verdict(&[stored_entry(0, 1, 1, 1, 7), sent(0, 1, kind, 1, 1)]), None);
            assert!(verdict(&[handed(0, 1), sent(0, 1, kind, 1, 1)]).unwrap().contains("not durable"));
            assert_eq!(verdict(&[restarted(0, &[(1, 1)]), sent(0, 1, kind, 1, 1)]), None);
        }
    }

    /// Seed 3471 of devices in bad hands: a branch that is kept as the proof of a fork says nothing of what else stands there.
    #[test]
    fn an_entry_from_before_a_restart_may_be_sent_though_another_branch_was_stored_since() {
        let of_fork = |seq| {
            let position = Position { seq, hash: EntryHash([99; 32]) };
            (0, What::Stored { batch: 9, entries: vec![(journal(1), position)], documents: Vec::new() })
        };
        let proof = of_fork(1);
        let again = [restarted(0, &[(1, 3)]), proof, sent(0, 1, FrameKind::Entry, 1, 1)];
        assert_eq!(verdict(&again), None);
        let (device, stored) = stored_entry(0, 1, 1, 1, 7);
        let fresh = [restarted(0, &[]), (device, stored), of_fork(2), sent(0, 1, FrameKind::Entry, 1, 2)];
        assert!(verdict(&fresh).unwrap().contains("not durable"));
    }

    #[test]
    fn a_receipt_that_arrives_is_kept_by_its_senders_disk() {
        let receipted = (0, What::Receipted { space: SPACE, peer: id(1), collection: NOTES, seq: 1 });
        let both = [joined(0, true), joined(1, true)];
        let good = [&both[..], &[stored_entry(1, 1, 0, 1, 7), receipted.clone()]].concat();
        assert_eq!(verdict(&good), None);
        assert!(verdict(&[&both[..], &[receipted]].concat()).unwrap().contains("receipted"));
    }
}
