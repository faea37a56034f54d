//! *authorized*: no journal is kept of a device that may not write, and no document holds a change under an actor that is not
//! its author's.

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::id::{CollectionTag, DeviceId, DocumentId, JournalId, SpaceId};

use crate::model::actor;
use crate::observe::{DocumentSnapshot, Observed, Snapshot, What};
use crate::oracle::{Oracle, Rest, Violation, broken};

/// See the module.
#[derive(Debug, Default)]
pub struct Authorized {
    /// Every member, and whether it may write.
    members: BTreeMap<DeviceId, bool>,
    /// What has been looked at already, by heads: every device holds the same documents.
    sound: BTreeSet<(CollectionTag, DocumentId, u32, BTreeSet<[u8; 32]>)>,
}

impl Authorized {
    fn may_write(&self, device: &DeviceId) -> bool {
        self.members.get(device).copied().unwrap_or(false)
    }

    fn journal(&self, journal: &JournalId) -> Result<(), String> {
        if self.may_write(&journal.device) {
            return Ok(());
        }
        Err(format!("an entry of {:?} is kept, who may not write", journal.device))
    }

    /// The first change that nobody may have made.
    fn document(
        &self,
        rest: &Rest<'_>,
        (space, journals): (SpaceId, &[JournalId]),
        document: DocumentId,
        stored: &DocumentSnapshot,
    ) -> Result<(), String> {
        let content = rest.content(stored);
        let Ok(content) = &*content else { return Ok(()) }; // What cannot be read is found by *reads-itself*.
        let writers = journals.iter().filter(|journal| self.may_write(&journal.device));
        let allowed: BTreeSet<[u8; 16]> =
            writers.map(|journal| actor::of_journal(space, journal, document, stored.generation)).collect();
        for made in content.changes.values() {
            let own = <[u8; 16]>::try_from(made.actor.as_slice()).is_ok_and(|actor| allowed.contains(&actor));
            if !own && !content.is_container(made, document, stored.generation) {
                return Err(format!(
                    "{document:?} holds a change under an actor that is nobody's: {:02x?}",
                    made.actor
                ));
            }
        }
        Ok(())
    }

    fn snapshot(&mut self, rest: &Rest<'_>, snapshot: &Snapshot) -> Result<(), String> {
        for (space, held) in &snapshot.spaces {
            held.journals.iter().filter(|(_, state)| state.held.seq > 0).try_for_each(|(id, _)| self.journal(id))?;
            for ((collection, document), stored) in &held.documents {
                let key = (*collection, *document, stored.generation, stored.heads.clone());
                if self.sound.contains(&key) {
                    continue;
                }
                let journals = held.journals.keys().filter(|id| id.collection == *collection);
                let journals: Vec<JournalId> = journals.copied().collect();
                self.document(rest, (*space, &journals), *document, stored)?;
                self.sound.insert(key);
            }
        }
        Ok(())
    }
}

impl Oracle for Authorized {
    fn name(&self) -> &'static str {
        "authorized"
    }

    fn promise(&self) -> &'static str {
        "no change by a device that may not write, or under another's name, is in any journal or document"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        match &observed.what {
            What::Joined { id, may_write, .. } => {
                self.members.insert(*id, *may_write);
                Ok(())
            }
            What::Stored { entries, .. } => {
                let unauthorized = entries.iter().find_map(|(journal, _)| self.journal(journal).err());
                unauthorized.map_or(Ok(()), |what| broken(self.name(), observed.at_ms, observed.device, what))
            }
            _ => Ok(()),
        }
    }

    fn at_rest(&mut self, rest: &Rest<'_>) -> Result<(), Violation> {
        for snapshot in rest.snapshots {
            if let Err(what) = self.snapshot(rest, snapshot) {
                return broken(self.name(), snapshot.at_ms, snapshot.device, what);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use automerge::transaction::Transactable;
    use automerge::{ActorId, AutoCommit, ObjType};

    use super::*;
    use crate::oracle::scene::{
        DOCUMENT, at_rest, device, document, foreign_document, history, joined, stored, stored_entry,
    };

    #[test]
    fn an_entry_of_a_reader_or_a_stranger_is_found_when_it_is_stored() {
        let known = [joined(0, true), joined(1, false)];
        let with = |of| [&known[..], &[stored_entry(0, 1, of, 1, 7)]].concat();
        assert_eq!(history(&mut Authorized::default(), &with(0)), None);
        for other in [1, 2] {
            assert!(history(&mut Authorized::default(), &with(other)).unwrap().contains("who may not write"));
        }
    }

    fn judge(stored: DocumentSnapshot) -> Option<String> {
        let mut oracle = Authorized::default();
        assert_eq!(history(&mut oracle, &[joined(0, true), joined(1, false)]), None);
        at_rest(&mut oracle, &[device(0).with_journal(0, 1).with_document(stored)])
    }

    #[test]
    fn a_change_under_an_actor_that_is_no_writers_is_found() {
        assert_eq!(judge(document(&[(0, "a"), (0, "b")])), None);
        assert!(judge(document(&[(0, "a"), (1, "b")])).unwrap().contains("nobody's"));
        assert!(judge(foreign_document()).unwrap().contains("nobody's"));
    }

    #[test]
    fn a_container_of_a_keyed_document_stands_under_the_one_actor_that_it_has() {
        let with_actor = |actor: [u8; 16], generation| {
            let mut doc = AutoCommit::new();
            doc.set_actor(ActorId::from(actor));
            doc.put_object(automerge::ROOT, "body", ObjType::Text).unwrap();
            doc.commit_with(automerge::transaction::CommitOptions::default().with_time(0));
            DocumentSnapshot { generation, ..stored(&mut doc) }
        };
        let right = actor::of_container(DOCUMENT, 1, &["body"], 3);
        assert_eq!(judge(with_actor(right, 1)), None);
        assert!(judge(with_actor(right, 2)).unwrap().contains("nobody's"));
        assert!(judge(with_actor(actor::of_container(DOCUMENT, 1, &["tags"], 3), 1)).is_some());
    }
}
