//! *converged*: members that can reach each other end with the same entries, roster, heads, views and conflicts (I4).

use std::collections::BTreeMap;
use std::fmt::Debug;

use farshore_core::id::Position;

use crate::observe::{DocumentSnapshot, JournalSnapshot, Snapshot, SpaceSnapshot};
use crate::oracle::{Oracle, Violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Converged;

impl Oracle for Converged {
    fn name(&self) -> &'static str {
        "converged"
    }

    fn promise(&self) -> &'static str {
        "at rest all members hold the same entries, roster, heads, views and conflicts"
    }

    fn at_rest(&mut self, snapshots: &[Snapshot]) -> Result<(), Violation> {
        for snapshot in snapshots {
            for (space, mine) in &snapshot.spaces {
                // Whoever is not in the space has nothing of it to compare.
                let Some(first) = snapshots.iter().find(|other| other.spaces.contains_key(space)) else { continue };
                if let Some(what) = difference(&first.spaces[space], mine) {
                    return Err(Violation {
                        oracle: "converged",
                        at_ms: snapshot.at_ms,
                        device: Some(snapshot.device),
                        what: format!("differs from device {}: {what}", first.device),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The first thing in which two devices differ.
fn difference(theirs: &SpaceSnapshot, mine: &SpaceSnapshot) -> Option<String> {
    if theirs.roster != mine.roster {
        return Some("the rosters".into());
    }
    let journals = differing("journal", &theirs.journals, &mine.journals, |a, b| shown_to(a) == shown_to(b));
    journals.or_else(|| differing("document", &theirs.documents, &mine.documents, same_document))
}

/// Of a journal whose author broke the rules, how much lies beyond the end that counts is each device's own affair.
fn shown_to(journal: &JournalSnapshot) -> (Option<Position>, u64, bool) {
    ((!journal.closed).then_some(journal.held), journal.applied, journal.closed)
}

/// How a document's bytes are split into snapshot and tail is each device's own affair too.
fn same_document(a: &DocumentSnapshot, b: &DocumentSnapshot) -> bool {
    (a.generation, a.conflicts, &a.heads, &a.tombstone, &a.view)
        == (b.generation, b.conflicts, &b.heads, &b.tombstone, &b.view)
}

fn differing<K: Ord + Debug, V: Debug>(
    what: &str,
    theirs: &BTreeMap<K, V>,
    mine: &BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> Option<String> {
    let equal = |key: &&K| match (theirs.get(*key), mine.get(*key)) {
        (Some(theirs), Some(mine)) => same(theirs, mine),
        _ => false,
    };
    let key = theirs.keys().chain(mine.keys()).find(|key| !equal(key))?;
    Some(format!("{what} {key:?}: there {:?}, here {:?}", theirs.get(key), mine.get(key)))
}
