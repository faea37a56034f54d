//! *reads-itself*: what a store keeps beside a document's changes, its heads, view and conflict flag, is what plain Automerge
//! says of those changes.

use std::collections::BTreeMap;

use farshore_core::id::{CollectionTag, SpaceId};

use crate::model::content::Content;
use crate::observe::{DocumentSnapshot, Observed, What};
use crate::oracle::{Oracle, Rest, Violation, broken};

/// See the module.
#[derive(Debug, Default)]
pub struct ReadsItself {
    /// Collections in which an edit beats a concurrent deletion.
    edit_wins: BTreeMap<(SpaceId, CollectionTag), bool>,
}

/// What is wrong with a document's record or view.
fn wrong(stored: &DocumentSnapshot, content: &Content, edit_wins: bool) -> Option<&'static str> {
    let deleted = stored.tombstone.as_ref().is_some_and(|seen| !edit_wins || content.heads.is_subset(seen));
    if stored.heads != content.heads {
        return Some("the recorded heads are not those of its changes");
    }
    match &stored.view {
        Some(_) if deleted => Some("it is deleted and still shown"),
        None if !deleted => Some("it is not shown, and nobody deleted it"),
        Some(view) if *view != content.view => Some("the view is not what its changes say"),
        Some(_) if stored.conflicts != content.conflicts => Some("the conflict flag is not what its changes say"),
        None if stored.conflicts => Some("a deleted document has a conflict flag"),
        _ => None,
    }
}

impl Oracle for ReadsItself {
    fn name(&self) -> &'static str {
        "reads-itself"
    }

    fn promise(&self) -> &'static str {
        "heads, views and conflict flags are what plain Automerge says of the stored changes"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        if let What::Defined { space, collection, edit_wins } = &observed.what {
            self.edit_wins.insert((*space, *collection), *edit_wins);
        }
        Ok(())
    }

    fn at_rest(&mut self, rest: &Rest<'_>) -> Result<(), Violation> {
        for snapshot in rest.snapshots {
            for (space, held) in &snapshot.spaces {
                for ((collection, document), stored) in &held.documents {
                    let edit_wins = self.edit_wins.get(&(*space, *collection)).copied().unwrap_or(false);
                    let what = match &*rest.content(stored) {
                        Err(error) => Some(error.clone()),
                        Ok(content) => wrong(stored, content, edit_wins).map(|what| {
                            let (view, true_view) = (&stored.view, &content.view);
                            format!("{what}: stored {view:?}, read {true_view:?}")
                        }),
                    };
                    if let Some(what) = what {
                        return broken(self.name(), snapshot.at_ms, snapshot.device, format!("{document:?}: {what}"));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::scene::{NOTES, SPACE, at_rest, device, document, history};

    fn judge(edit_wins: bool, change: impl Fn(&mut DocumentSnapshot)) -> Option<String> {
        let mut oracle = ReadsItself::default();
        history(&mut oracle, &[(0, What::Defined { space: SPACE, collection: NOTES, edit_wins })]);
        let mut stored = document(&[(0, "a"), (1, "b")]);
        change(&mut stored);
        at_rest(&mut oracle, &[device(0).with_document(stored)])
    }

    #[test]
    fn records_that_differ_from_what_automerge_says_are_found() {
        assert_eq!(judge(false, |_| {}), None);
        let earlier = document(&[(0, "a")]);
        assert!(judge(false, |stored| stored.heads = earlier.heads.clone()).unwrap().contains("heads"));
        assert!(judge(false, |stored| stored.view = earlier.view.clone()).unwrap().contains("the view"));
        assert!(judge(false, |stored| stored.conflicts = true).unwrap().contains("conflict"));
        assert!(judge(false, |stored| stored.view = None).unwrap().contains("nobody deleted"));
        assert!(judge(false, |stored| drop(stored.tail.remove(0))).unwrap().contains("not stored"));
        assert!(judge(false, |stored| stored.tail[0].truncate(20)).is_some());
    }

    #[test]
    fn a_deleted_document_is_not_shown_unless_an_unseen_edit_wins() {
        let first = document(&[(0, "a")]).heads;
        let entombed = |stored: &mut DocumentSnapshot| stored.tombstone = Some(first.clone());
        assert!(judge(false, entombed).unwrap().contains("still shown"));
        assert_eq!(judge(false, |stored| (entombed(stored), stored.view = None).1), None);
        assert_eq!(judge(true, entombed), None);
        assert!(judge(true, |stored| (entombed(stored), stored.view = None).1).unwrap().contains("nobody deleted"));
        let seen = |stored: &mut DocumentSnapshot| stored.tombstone = Some(stored.heads.clone());
        assert!(judge(true, seen).unwrap().contains("still shown"));
    }
}
