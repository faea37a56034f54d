//! *converged*: members that can reach each other end with the same entries, roster, heads, views and conflicts (I4).
//!
//! One exception, as narrow as it can be (`docs/protocol.md` section 23): of a journal that is *proved* forked, because two
//! honest devices stored different entries at one place of it, each keeps the branch that it met first. In that journal, and
//! in changes under that journal's actors, they may differ; in nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use farshore_core::id::{CollectionTag, DocumentId, EntryHash, JournalId, Position, SpaceId};

use crate::model::actor;
use crate::model::content::Content;
use crate::observe::{DocumentSnapshot, JournalSnapshot, Observed, SpaceSnapshot, What};
use crate::oracle::{Oracle, Rest, Violation, broken};

/// See the module.
#[derive(Debug, Default)]
pub struct Converged {
    /// The entry that was first stored at each place, by anybody.
    first: BTreeMap<(JournalId, u64), EntryHash>,
    forked: BTreeSet<JournalId>,
}

impl Converged {
    fn meet(&mut self, journal: JournalId, position: Position) {
        let first = *self.first.entry((journal, position.seq)).or_insert(position.hash);
        if first != position.hash {
            self.forked.insert(journal);
        }
    }

    /// Whether two versions of a document differ in nothing but changes of forked journals.
    fn excused(
        &self,
        rest: &Rest<'_>,
        space: SpaceId,
        document: DocumentId,
        versions: [Option<&DocumentSnapshot>; 2],
    ) -> bool {
        let mut changes: [BTreeMap<[u8; 32], Vec<u8>>; 2] = Default::default();
        let mut generation = 0;
        for (version, changes) in versions.iter().zip(&mut changes) {
            let Some(version) = version else { continue };
            generation = generation.max(version.generation);
            let Ok(content) = &*rest.content(version) else { return false };
            *changes = content.changes.iter().map(|(hash, made)| (*hash, made.actor.clone())).collect();
        }
        let allowed: Vec<[u8; 16]> =
            self.forked.iter().map(|journal| actor::of_journal(space, journal, document, generation)).collect();
        let [theirs, mine] = changes;
        let only = |these: &BTreeMap<[u8; 32], Vec<u8>>, those: &BTreeMap<[u8; 32], Vec<u8>>| {
            let mut alone = these.iter().filter(|(hash, _)| !those.contains_key(*hash));
            alone.all(|(_, actor)| allowed.iter().any(|allowed| actor == allowed))
        };
        theirs != mine && only(&theirs, &mine) && only(&mine, &theirs)
    }
}

impl Oracle for Converged {
    fn name(&self) -> &'static str {
        "converged"
    }

    fn promise(&self) -> &'static str {
        "at rest all members hold the same entries, roster, heads, views and conflicts"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        match &observed.what {
            What::Stored { entries, .. } => {
                entries.iter().for_each(|(journal, position)| self.meet(*journal, *position))
            }
            // What a cut left on the disk without a word is seen here.
            What::Restarted { frontier, .. } => {
                frontier.iter().filter(|(_, p)| p.seq > 0).for_each(|((_, id), position)| self.meet(*id, *position));
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, rest: &Rest<'_>) -> Result<(), Violation> {
        for snapshot in rest.snapshots {
            for (space, mine) in &snapshot.spaces {
                // Whoever is not in the space has nothing of it to compare.
                let Some(first) = rest.snapshots.iter().find(|other| other.spaces.contains_key(space)) else {
                    continue;
                };
                if let Some(what) = self.difference(rest, *space, &first.spaces[space], mine) {
                    let what = format!("differs from device {}: {what}", first.device);
                    return broken(self.name(), snapshot.at_ms, snapshot.device, what);
                }
            }
        }
        Ok(())
    }
}

impl Converged {
    /// The first thing in which two devices differ.
    fn difference(
        &self,
        rest: &Rest<'_>,
        space: SpaceId,
        theirs: &SpaceSnapshot,
        mine: &SpaceSnapshot,
    ) -> Option<String> {
        if theirs.roster != mine.roster {
            return Some("the rosters".into());
        }
        let same_journal = |id: &JournalId, a: Option<&JournalSnapshot>, b: Option<&JournalSnapshot>| {
            self.forked.contains(id) || a.map(shown_to) == b.map(shown_to)
        };
        // A record or view that is not what its bytes say is for *reads-itself* to find; the bytes are compared here.
        let same_document =
            |key: &(CollectionTag, DocumentId), a: Option<&DocumentSnapshot>, b: Option<&DocumentSnapshot>| {
                a.map(recorded) == b.map(recorded)
                    || a.zip(b).is_some_and(|(a, b)| same_but_misread(rest, a, b))
                    || (!self.forked.is_empty() && self.excused(rest, space, key.1, [a, b]))
            };
        differing("journal", &theirs.journals, &mine.journals, same_journal)
            .or_else(|| differing("document", &theirs.documents, &mine.documents, same_document))
    }
}

/// Of a journal whose author broke the rules, how much lies beyond the end that counts is each device's own affair.
fn shown_to(journal: &JournalSnapshot) -> (Option<Position>, u64, bool) {
    ((!journal.closed).then_some(journal.held), journal.applied, journal.closed)
}

/// How a document's bytes are split into snapshot and tail is each device's own affair too.
fn recorded(document: &DocumentSnapshot) -> impl PartialEq {
    (document.generation, document.conflicts, &document.heads, &document.tombstone, &document.view)
}

/// Whether two versions hold the same changes and deletions, and one of the devices recorded or shows them wrongly.
fn same_but_misread(rest: &Rest<'_>, a: &DocumentSnapshot, b: &DocumentSnapshot) -> bool {
    let (read_a, read_b) = (rest.content(a), rest.content(b));
    let (Ok(of_a), Ok(of_b)) = (&*read_a, &*read_b) else { return false };
    let misread = |stored: &DocumentSnapshot, content: &Content| {
        stored.heads != content.heads
            || stored.view.as_ref().is_none_or(|view| *view != content.view || stored.conflicts != content.conflicts)
    };
    (a.generation, &a.tombstone, &of_a.heads) == (b.generation, &b.tombstone, &of_b.heads)
        && (misread(a, of_a) || misread(b, of_b))
}

fn differing<K: Ord + Debug, V: Debug>(
    what: &str,
    theirs: &BTreeMap<K, V>,
    mine: &BTreeMap<K, V>,
    same: impl Fn(&K, Option<&V>, Option<&V>) -> bool,
) -> Option<String> {
    let mut keys = theirs.keys().chain(mine.keys());
    let key = keys.find(|key| !same(key, theirs.get(*key), mine.get(*key)))?;
    Some(format!("{what} {key:?}: there {:?}, here {:?}", theirs.get(key), mine.get(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Snapshot;
    use crate::oracle::scene::{at_rest, device, document, foreign_document, history, journal, position};

    fn stored(device: usize, of: usize, position: Position) -> (usize, What) {
        (device, What::Stored { batch: 1, entries: vec![(journal(of), position)], documents: Vec::new() })
    }

    fn pair(change: impl Fn(&mut Snapshot)) -> [Snapshot; 2] {
        let whole = |no| device(no).with_journal(0, 2).with_document(document(&[(0, "a"), (1, "b")]));
        let mut second = whole(1);
        change(&mut second);
        [whole(0), second]
    }

    #[test]
    fn devices_that_differ_in_anything_are_found() {
        let mut oracle = Converged::default();
        assert_eq!(at_rest(&mut oracle, &pair(|_| {})), None);
        let found = |change: &dyn Fn(&mut Snapshot)| at_rest(&mut Converged::default(), &pair(change)).unwrap();
        assert!(found(&|two| two.space().roster = [9; 32]).contains("rosters"));
        assert!(found(&|two| *two = two.clone().with_journal(0, 1)).contains("journal"));
        assert!(found(&|two| *two = two.clone().with_document(document(&[(0, "a")]))).contains("document"));
        assert!(found(&|two| two.space().documents.clear()).contains("document"));
        let entombed = |two: &mut Snapshot| {
            two.space().documents.values_mut().for_each(|document| document.tombstone = Some(document.heads.clone()));
        };
        assert!(found(&entombed).contains("document"));
    }

    #[test]
    fn a_view_or_record_that_is_wrong_by_itself_is_left_to_the_oracle_for_it() {
        let misread = |change: &dyn Fn(&mut DocumentSnapshot)| {
            at_rest(&mut Converged::default(), &pair(|two| two.space().documents.values_mut().for_each(change)))
        };
        assert_eq!(misread(&|stored| stored.conflicts = true), None);
        assert_eq!(misread(&|stored| stored.view = None), None);
        assert_eq!(misread(&|stored| stored.heads.clear()), None);
        // A change is missing on one side, and its record speaks of it still.
        assert_eq!(misread(&|stored| drop(stored.tail.pop())), None);
    }

    #[test]
    fn beyond_the_end_of_a_closed_journal_devices_may_hold_more_or_less() {
        let closed = |no, seq| {
            let mut snapshot = device(no).with_journal(0, seq);
            snapshot.space().journals.values_mut().for_each(|journal| (journal.closed, journal.applied) = (true, 1));
            snapshot
        };
        assert_eq!(at_rest(&mut Converged::default(), &[closed(0, 3), closed(1, 5)]), None);
    }

    #[test]
    fn branches_of_a_journal_that_is_proved_forked_may_differ_and_nothing_else_may() {
        let other = Position { seq: 1, hash: EntryHash([99; 32]) };
        let fork = [stored(0, 0, position(1)), stored(1, 0, other)];
        let branch = |no: usize, title, at: Position| {
            let mut snapshot = device(no).with_journal(0, 1).with_document(document(&[(0, title)]));
            snapshot.space().journals.values_mut().for_each(|journal| journal.held = at);
            snapshot
        };
        let branches = || [branch(0, "a", position(1)), branch(1, "b", other)];
        // Without proof it is a difference.
        assert!(at_rest(&mut Converged::default(), &branches()).unwrap().contains("journal"));
        let mut oracle = Converged::default();
        assert_eq!(history(&mut oracle, &fork), None);
        assert_eq!(at_rest(&mut oracle, &branches()), None);
        // The proof excuses no change of anybody else, nor a version that the bytes do not explain.
        let [one, two] = branches();
        let mixed = [one.clone(), two.with_document(foreign_document())];
        assert!(at_rest(&mut oracle, &mixed).unwrap().contains("document"));
        let mut older = one.clone();
        older.space().documents.values_mut().for_each(|document| document.generation = 2);
        assert!(at_rest(&mut oracle, &[one, older]).unwrap().contains("document"));
    }
}
