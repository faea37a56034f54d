//! Answers that were found once, for whoever asks the same.
//!
//! A job is a function of its input, so an answer to an equal input is the answer (I2). Inputs are told apart by hashes: of an
//! entry's bytes, of a document's record, which names the heads and with them every change. Only bytes
//! of a snapshot follow from more than that (two documents with equal heads may save differently): such an answer is one
//! for documents only that are the same in memory.

use std::collections::{BTreeMap, VecDeque};

use farshore_core::batch::ContentOp;
use farshore_core::id::DocKey;
use farshore_core::job::{Applied, ApplyJob, DocSource, Job, JobResult};
use farshore_core::record::DocRecord;

use super::ahead::Soon;

/// The hash of a question.
pub(super) type Key = [u8; 32];

/// Answers by the hash of the question; the oldest go first.
#[derive(Debug)]
pub(super) struct Memo<T> {
    answers: BTreeMap<Key, Soon<T>>,
    order: VecDeque<Key>,
    most: usize,
}

impl<T> Memo<T> {
    pub(super) fn new(most: usize) -> Memo<T> {
        Memo { answers: BTreeMap::new(), order: VecDeque::new(), most }
    }

    /// The answer, once it is there.
    pub(super) fn get(&self, key: &Key) -> Option<&T> {
        self.answers.get(key)?.get()
    }

    pub(super) fn put(&mut self, key: Key, answer: Soon<T>) {
        if self.answers.insert(key, answer).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.most {
            let Some(oldest) = self.order.pop_front() else { break };
            self.answers.remove(&oldest);
        }
    }
}

/// What entries make of documents.
#[derive(Debug)]
pub(super) struct Answer {
    applied: Applied,
    /// The documents before, where it matters which they were in memory.
    on: Option<Vec<(DocKey, DocSource)>>,
}

impl Answer {
    /// Does the job; `None` if that is no answer.
    pub(super) fn find(job: Box<ApplyJob>) -> Option<Answer> {
        let documents = job.documents.clone();
        let JobResult::Applied(applied) = Job::Apply(job).run() else { return None };
        let mut changes = applied.documents.iter().flat_map(|document| &document.changes);
        let on = changes.any(|change| matches!(change.content, ContentOp::Replace(_))).then_some(documents);
        Some(Answer { applied: *applied, on })
    }

    /// The answer to the question that it was found for.
    pub(super) fn applied(&self) -> &Applied {
        &self.applied
    }

    /// The answer to this question, whose hash is that of the one that was asked, if it is one.
    pub(super) fn to(&self, job: &ApplyJob) -> Option<Applied> {
        let same = |((_, mine), (_, theirs)): (&(DocKey, DocSource), &(DocKey, DocSource))| match (mine, theirs) {
            (DocSource::Open(mine), DocSource::Open(theirs)) => mine.document.is_same(&theirs.document),
            (DocSource::Stored(mine), DocSource::Stored(theirs)) => mine == theirs,
            (DocSource::Absent, DocSource::Absent) => true,
            _ => false,
        };
        if let Some(on) = &self.on
            && !on.iter().zip(&job.documents).all(same)
        {
            return None;
        }
        let mut applied = self.applied.clone();
        if !job.former.is_empty() {
            return Some(applied);
        }
        for worked in &mut applied.documents {
            let asked = job.documents.iter().find(|(key, _)| *key == worked.key);
            let keyed = asked.is_some_and(|(_, source)| is_keyed(source));
            if worked.document.as_ref().is_some_and(|open| open.record.keyed == keyed) {
                continue;
            }
            if let Some(open) = &mut worked.document {
                open.record.keyed = keyed;
            }
            for change in &mut worked.changes {
                let record = DocRecord::decode(&change.record).ok()?;
                change.record = DocRecord { keyed, ..record }.encode();
            }
        }
        Some(applied)
    }
}

/// Whether a device knows that a document has a key. It says nothing about what entries make of the document, and all of its
/// lives in the answer are told as much; so devices that differ in it share answers.
fn is_keyed(source: &DocSource) -> bool {
    match source {
        DocSource::Open(open) => open.record.keyed,
        DocSource::Stored(stored) => DocRecord::decode(&stored.record).is_ok_and(|record| record.keyed),
        DocSource::Absent => false,
    }
}

/// Everything that the outcome of an application follows from, but for what [`Answer::to`] looks at.
pub(super) fn question(job: &ApplyJob) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&job.space.0).update(&[u8::from(job.edit_wins)]);
    for entry in &job.entries {
        hasher.update(&entry.journal.to_bytes()).update(&entry.position.seq.to_le_bytes());
        // The hash binds the ciphertext, and so what it holds; what it does not bind is why it could not be read.
        hasher.update(&entry.position.hash.0);
        let fault = entry.items.as_ref().err().map_or("", String::as_str);
        hasher.update(&(fault.len() as u64).to_le_bytes()).update(fault.as_bytes());
    }
    for (key, source) in &job.documents {
        of_source(&mut hasher, key, 0, source, job.former.is_empty());
    }
    for (key, generation, source) in &job.former {
        of_source(&mut hasher, key, *generation, source, false);
    }
    *hasher.finalize().as_bytes()
}

/// If `any_key`, a document that is known to have a key is like one that is not.
fn of_source(hasher: &mut blake3::Hasher, key: &DocKey, generation: u32, source: &DocSource, any_key: bool) {
    hasher.update(&key.collection.0).update(&key.document.0).update(&generation.to_le_bytes());
    // The store checks what it gives, so the record tells of it as it tells of what is in memory.
    let record = match source {
        DocSource::Absent => {
            hasher.update(&[0]);
            return;
        }
        DocSource::Open(open) => Ok(open.record.clone()),
        DocSource::Stored(stored) => DocRecord::decode(&stored.record),
    };
    match record {
        Ok(mut record) => {
            record.keyed &= !any_key;
            hasher.update(&[1]).update(&record.encode())
        }
        // Nobody can work on it, for the same reason everywhere.
        Err(error) => hasher.update(&[2]).update(error.to_string().as_bytes()),
    };
}

#[cfg(test)]
mod tests {
    use automerge::transaction::{CommitOptions, Transactable};
    use automerge::{ActorId, AutoCommit};
    use farshore_core::change::compact;
    use farshore_core::document::{Document, derived_actor};
    use farshore_core::id::{
        CollectionTag, DeviceId, DocumentId, EntryHash, Incarnation, JournalId, Position, SpaceId,
    };
    use farshore_core::job::ApplyEntry;
    use farshore_core::payload::{Item, ItemBody, PackedChange};
    use farshore_core::record::OpenDocument;

    use super::*;

    const KEY: DocKey =
        DocKey { space: SpaceId([1; 32]), collection: CollectionTag([2; 16]), document: DocumentId([3; 16]) };
    const JOURNAL: JournalId =
        JournalId { collection: KEY.collection, device: DeviceId([4; 32]), incarnation: Incarnation([5; 16]) };

    /// The job that applies the author's `seq`th change to a document.
    fn job(author: &mut AutoCommit, seq: u64, source: DocSource) -> Box<ApplyJob> {
        author.put(automerge::ROOT, "title", format!("title {seq}")).unwrap();
        author.commit_with(CommitOptions::default().with_time(0));
        let change = author.get_last_local_change().unwrap();
        let (_, packed) = compact::strip(change.raw_bytes(), None).unwrap();
        let body = ItemBody::Changes(vec![PackedChange::Derived(packed)]);
        let items = Ok(vec![Item { document: KEY.document, generation: 1, body }]);
        let entry =
            ApplyEntry { journal: JOURNAL, position: Position { seq, hash: EntryHash([seq as u8; 32]) }, items };
        let (space, documents) = (KEY.space, vec![(KEY, source)]);
        Box::new(ApplyJob { space, entries: vec![entry], edit_wins: false, documents, former: Vec::new() })
    }

    fn asked_of(job: &ApplyJob, open: &OpenDocument) -> Box<ApplyJob> {
        let entries = job.entries.iter();
        let entries = entries.map(|entry| ApplyEntry { items: entry.items.clone(), ..*entry });
        let documents = vec![(KEY, DocSource::Open(Box::new(open.clone())))];
        Box::new(ApplyJob { entries: entries.collect(), documents, former: Vec::new(), ..*job })
    }

    /// A document of one change, and the job that applies the next.
    fn begun() -> (OpenDocument, Box<ApplyJob>) {
        let actor = derived_actor(KEY.space, KEY.collection, JOURNAL.device, KEY.document, 1, JOURNAL.incarnation);
        let mut author = AutoCommit::new().with_actor(ActorId::from(actor));
        let first = Answer::find(job(&mut author, 1, DocSource::Absent)).unwrap();
        let open = first.applied().documents[0].document.clone().unwrap();
        let next = job(&mut author, 2, DocSource::Open(open.clone()));
        (*open, next)
    }

    #[test]
    fn devices_that_do_and_do_not_know_that_a_document_has_a_key_share_answers_and_keep_their_knowledge() {
        let (mut open, next) = begun();
        assert!(!open.record.keyed);
        open.record.keyed = true;
        let with_key = asked_of(&next, &open);
        assert_eq!(question(&next), question(&with_key));
        let shared = Answer::find(next).unwrap().to(&with_key).unwrap();
        let own = Answer::find(with_key).unwrap();
        let record = |applied: &Applied| applied.documents[0].document.as_ref().unwrap().record.clone();
        assert_eq!(record(&shared), record(own.applied()));
        assert!(record(&shared).keyed);
        assert_eq!(shared.documents[0].changes[0].record, own.applied().documents[0].changes[0].record);
    }

    #[test]
    fn the_bytes_of_a_snapshot_are_an_answer_for_the_same_document_in_memory_only() {
        let (mut open, next) = begun();
        open.record.tail_bytes = 1 << 30; // It is time for a snapshot.
        let (mine, same) = (asked_of(&next, &open), asked_of(&next, &open));
        open.document = Document::load(Some(&open.document.save()), &[]).unwrap();
        let loaded = asked_of(&next, &open);
        assert_eq!(question(&mine), question(&loaded));
        let answer = Answer::find(mine).unwrap();
        assert!(matches!(answer.applied().documents[0].changes[0].content, ContentOp::Replace(_)));
        assert!(answer.to(&same).is_some() && answer.to(&loaded).is_none());
    }

    #[test]
    fn answers_about_changes_alone_are_for_every_device() {
        let (mut open, next) = begun();
        open.document = Document::load(Some(&open.document.save()), &[]).unwrap();
        let loaded = asked_of(&next, &open);
        assert!(Answer::find(next).unwrap().to(&loaded).is_some());
    }
}
