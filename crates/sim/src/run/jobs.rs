//! Jobs, run inline. What several devices would find out from the same input is found out once, if so asked, and ahead of them.
//!
use std::sync::Arc;

use farshore_core::job::{Applied, ApplyEntry, ApplyJob, Content, Job, JobResult, OpenTask, Opened, WriteJob, Written};

use super::ahead::{self, Soon};
use super::answers::{Answer, Memo, question};
use super::helper::Helper;
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

/// Runs jobs.
#[derive(Debug)]
pub(super) struct Jobs {
    share: Share,
    /// Finds out ahead what devices will ask.
    helper: Option<Arc<Helper>>,
    /// By the whole entry, signature and ciphertext included: what a genuine entry holds.
    opened: Memo<Content>,
    applied: Memo<Answer>,
    /// Signatures checked, and those that had been checked before.
    pub(super) verified: u64,
    /// See `verified`.
    pub(super) remembered: u64,
    /// Applications that had been done before.
    pub(super) shared: u64,
}

impl Jobs {
    pub(super) fn new(share: Share, helper: Option<Arc<Helper>>) -> Jobs {
        let (opened, applied) = (Memo::new(REMEMBERED_OPENED), Memo::new(REMEMBERED_APPLIED));
        let helper = helper.filter(|_| share > Share::Nothing);
        Jobs { share, helper, opened, applied, verified: 0, remembered: 0, shared: 0 }
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
            Job::Write(job) if self.helper.is_some() => JobResult::Written(Box::new(self.write(job))),
            job => job.run(),
        }
    }

    /// Writes, and lets the second thread begin with what readers of the entry will ask.
    fn write(&mut self, job: Box<WriteJob>) -> Written {
        let (space, journal, key, edit_wins) = (job.header.space, job.header.journal, job.key.clone(), job.edit_wins);
        let documents = job.documents.clone();
        let JobResult::Written(written) = Job::Write(job).run() else { unreachable!("a write job writes") };
        if let (Some(helper), Some(entry)) = (&self.helper, &written.entry) {
            let place = ApplyEntry { journal, position: entry.position(), items: Ok(Vec::new()) };
            let asked = ApplyJob { space, entries: vec![place], edit_wins, documents, former: Vec::new() };
            let keys = (*blake3::hash(entry.as_bytes()).as_bytes(), question(&asked));
            let (opened, applied) = ahead::find(helper, Arc::new(entry.clone()), key, Box::new(asked));
            self.verified += u64::from(self.share == Share::Checks);
            self.opened.put(keys.0, opened);
            self.applied.put(keys.1, applied);
        }
        *written
    }

    /// Whether a device has the key decides what it sees, so only entries that were opened with one are remembered.
    fn open(&mut self, mut task: OpenTask) -> Opened {
        let key = *blake3::hash(task.entry.as_bytes()).as_bytes();
        let known = if task.key.is_some() { self.opened.get(&key).cloned() } else { None };
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
            self.opened.put(key, Soon::found(opened.content.clone()));
        }
        opened
    }

    fn apply(&mut self, job: Box<ApplyJob>) -> Applied {
        let key = question(&job);
        if let Some(applied) = self.applied.get(&key).and_then(|answer| answer.to(&job)) {
            self.shared += 1;
            if let Some(helper) = &self.helper {
                // Whoever has the last of an old document frees its many parts, which takes longer than what is done with the new.
                helper.give(move || drop(job));
            }
            return applied;
        }
        let Some(answer) = Answer::find(job) else { unreachable!("an apply job applies") };
        let applied = answer.applied().clone();
        self.applied.put(key, Soon::found(answer));
        applied
    }
}
