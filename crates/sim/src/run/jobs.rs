//! Jobs, run inline. What several devices would find out from the same input is found out once, if so asked.
//!
//! A job is a function of its input, so an answer to an equal input is the answer (I2). Inputs are told apart by hashes: of an
//! entry's bytes, of a document's record, which names the heads and with them every change. Only bytes
//! of a snapshot follow from more than that (two documents with equal heads may save differently): what made one is not kept.

use std::collections::{BTreeMap, VecDeque};

use farshore_core::batch::ContentOp;
use farshore_core::id::DocKey;
use farshore_core::job::{Applied, ApplyJob, Content, DocSource, Job, JobResult, OpenTask, Opened};

use crate::limits::{REMEMBERED_APPLIED, REMEMBERED_OPENED};

/// What is found out once for all devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Share {
    /// Nothing: every device does all of its own work.
    Nothing,
    /// What an entry holds, and what it makes of a document. Every device checks every signature itself.
    Work,
    /// That, and whether a signature is right.
    #[default]
    Checks,
}

type Key = [u8; 32];

/// Answers by the hash of the question; the oldest go first.
#[derive(Debug)]
struct Memo<T> {
    answers: BTreeMap<Key, T>,
    order: VecDeque<Key>,
    most: usize,
}

impl<T: Clone> Memo<T> {
    fn new(most: usize) -> Memo<T> {
        Memo { answers: BTreeMap::new(), order: VecDeque::new(), most }
    }

    fn get(&self, key: &Key) -> Option<T> {
        self.answers.get(key).cloned()
    }

    fn put(&mut self, key: Key, answer: T) {
        if self.answers.insert(key, answer).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.most {
            let Some(oldest) = self.order.pop_front() else { break };
            self.answers.remove(&oldest);
        }
    }
}

/// Runs jobs.
#[derive(Debug)]
pub(super) struct Jobs {
    share: Share,
    /// By the whole entry, signature and ciphertext included: what a genuine entry holds.
    opened: Memo<Content>,
    applied: Memo<Applied>,
    /// Signatures checked, and those that had been checked before.
    pub(super) verified: u64,
    /// See `verified`.
    pub(super) remembered: u64,
    /// Applications that had been done before.
    pub(super) shared: u64,
}

impl Jobs {
    pub(super) fn new(share: Share) -> Jobs {
        let (opened, applied) = (Memo::new(REMEMBERED_OPENED), Memo::new(REMEMBERED_APPLIED));
        Jobs { share, opened, applied, verified: 0, remembered: 0, shared: 0 }
    }

    pub(super) fn run(&mut self, job: Job) -> JobResult {
        match job {
            Job::Open(tasks) if self.share > Share::Nothing => {
                JobResult::Opened(tasks.into_iter().map(|task| self.open(task)).collect())
            }
            Job::Open(tasks) => {
                self.verified += tasks.iter().filter(|task| task.verify).count() as u64;
                Job::Open(tasks).run()
            }
            Job::Apply(job) if self.share > Share::Nothing => JobResult::Applied(Box::new(self.apply(job))),
            job => job.run(),
        }
    }

    /// Whether a device has the key decides what it sees, so only entries that were opened with one are remembered.
    fn open(&mut self, mut task: OpenTask) -> Opened {
        let key = *blake3::hash(task.entry.as_bytes()).as_bytes();
        let known = if task.key.is_some() { self.opened.get(&key) } else { None };
        if let Some(content) = known {
            let genuine = match self.share {
                Share::Checks => {
                    self.remembered += 1;
                    true
                }
                _ => {
                    self.verified += u64::from(task.verify);
                    !task.verify || task.entry.verify()
                }
            };
            assert!(genuine, "the same bytes were genuine before");
            return Opened { entry: task.entry, genuine, content };
        }
        self.verified += u64::from(task.verify);
        let genuine = !task.verify || task.entry.verify();
        if !genuine {
            return Opened { entry: task.entry, genuine, content: Content::NoKey };
        }
        let checked = std::mem::replace(&mut task.verify, false) && task.key.is_some();
        let JobResult::Opened(mut opened) = Job::Open(vec![task]).run() else { unreachable!("an open job opens") };
        let opened = opened.remove(0);
        if checked && matches!(opened.content, Content::Items(..)) {
            self.opened.put(key, opened.content.clone());
        }
        opened
    }

    fn apply(&mut self, job: Box<ApplyJob>) -> Applied {
        let key = question(&job);
        if let Some(applied) = self.applied.get(&key) {
            self.shared += 1;
            return applied;
        }
        let JobResult::Applied(applied) = Job::Apply(job).run() else { unreachable!("an apply job applies") };
        let mut changes = applied.documents.iter().flat_map(|document| &document.changes);
        if !changes.any(|change| matches!(change.content, ContentOp::Replace(_))) {
            self.applied.put(key, Applied::clone(&applied));
        }
        *applied
    }
}

/// Everything that the outcome of an application follows from.
fn question(job: &ApplyJob) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&job.space.0).update(&[u8::from(job.edit_wins)]);
    for entry in &job.entries {
        hasher.update(&entry.journal.to_bytes()).update(&entry.position.seq.to_le_bytes());
        // The hash binds the ciphertext, and so what it holds; what it does not bind is why it could not be read.
        hasher.update(&entry.position.hash.0);
        let fault = entry.items.as_ref().err().map_or("", String::as_str);
        hasher.update(&(fault.len() as u64).to_le_bytes()).update(fault.as_bytes());
    }
    let sources = job.documents.iter().map(|(key, source)| (key, 0, source));
    let former = job.former.iter().map(|(key, generation, source)| (key, *generation, source));
    for (key, generation, source) in sources.chain(former) {
        of_source(&mut hasher, key, generation, source);
    }
    *hasher.finalize().as_bytes()
}

fn of_source(hasher: &mut blake3::Hasher, key: &DocKey, generation: u32, source: &DocSource) {
    hasher.update(&key.collection.0).update(&key.document.0).update(&generation.to_le_bytes());
    match source {
        DocSource::Absent => {
            hasher.update(&[0]);
        }
        // The store checks what it gives, so the record tells of it as it tells of what is in memory.
        DocSource::Open(open) => {
            hasher.update(&[1]).update(&open.record.encode());
        }
        DocSource::Stored(stored) => {
            hasher.update(&[1]).update(&stored.record);
        }
    }
}
