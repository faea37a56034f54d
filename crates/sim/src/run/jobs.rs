//! Jobs, run inline. What several devices would find out about one entry is found out once, if so asked.

use std::collections::BTreeMap;

use farshore_core::job::{Content, Job, JobResult, OpenTask, Opened};

/// Runs jobs; remembers what checked entries hold.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    memoize: bool,
    /// By blake3 of the whole entry, signature and ciphertext included: what a genuine entry holds.
    opened: BTreeMap<[u8; 32], Content>,
    /// Signatures checked, and those that had been checked before.
    pub(super) verified: u64,
    /// See `verified`.
    pub(super) remembered: u64,
}

impl Jobs {
    pub(super) fn new(memoize: bool) -> Jobs {
        Jobs { memoize, ..Jobs::default() }
    }

    pub(super) fn run(&mut self, job: Job) -> JobResult {
        match job {
            Job::Open(tasks) if self.memoize => JobResult::Opened(tasks.into_iter().map(|t| self.open(t)).collect()),
            Job::Open(tasks) => {
                self.verified += tasks.iter().filter(|task| task.verify).count() as u64;
                Job::Open(tasks).run()
            }
            job => job.run(),
        }
    }

    /// Whether a device has the key decides what it sees, so only entries that were opened with one are remembered.
    fn open(&mut self, task: OpenTask) -> Opened {
        let hash = *blake3::hash(task.entry.as_bytes()).as_bytes();
        if let (Some(content), Some(_)) = (self.opened.get(&hash), &task.key) {
            self.remembered += 1;
            return Opened { entry: task.entry, genuine: true, content: content.clone() };
        }
        self.verified += u64::from(task.verify);
        let checked = task.verify && task.key.is_some();
        let JobResult::Opened(mut opened) = Job::Open(vec![task]).run() else { unreachable!("an open job opens") };
        let opened = opened.remove(0);
        if checked && opened.genuine && matches!(opened.content, Content::Items(..)) {
            self.opened.insert(hash, opened.content.clone());
        }
        opened
    }
}
