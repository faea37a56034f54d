//! What devices will ask about an entry, found out by a second thread while the world goes on.
//!
//! Whoever writes an entry knows what its readers will ask: whether the signature is right, what the entry holds, and what it makes
//! of documents that are as the author's were before. Answers are functions of the question (I2), so it does not
//! matter who finds them, or when: whoever asks before the second thread has begun finds them itself, and waits if it has.
//! Readers whose documents differ ask something else.

use std::hint::spin_loop;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use farshore_core::entry::Entry;
use farshore_core::job::{ApplyJob, Content, Job, JobResult, OpenTask};
use farshore_core::seal::EpochKey;

use super::answers::Answer;
use super::helper::Helper;
use crate::limits::ANSWER_SPINS;

/// An answer that is there or will be.
#[derive(Debug)]
pub(super) struct Soon<T> {
    /// `None` if whoever asks has to find it in its own way.
    answer: Arc<OnceLock<Option<T>>>,
    /// What finds it, until somebody begins.
    work: Option<Arc<Mutex<Option<Question>>>>,
}

impl<T> Soon<T> {
    /// One that is there.
    pub(super) fn found(answer: T) -> Soon<T> {
        Soon { answer: Arc::new(OnceLock::from(Some(answer))), work: None }
    }

    /// The answer, as soon as it is there.
    pub(super) fn get(&self) -> Option<&T> {
        if self.answer.get().is_none() {
            self.work.as_deref().map(begin);
        }
        for _ in 0..ANSWER_SPINS {
            match self.answer.get() {
                Some(answer) => return answer.as_ref(),
                None => spin_loop(),
            }
        }
        self.answer.wait().as_ref()
    }
}

/// Finds an answer, unless somebody else has begun to.
fn begin(work: &Mutex<Option<Question>>) {
    let question = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(question) = question {
        question.find();
    }
}

/// The duty to give an answer. Dropped without one, also by a panic, it says that there is none, so that nobody waits for ever.
#[derive(Debug)]
struct Promise<T>(Arc<OnceLock<Option<T>>>);

impl<T> Promise<T> {
    fn keep(self, answer: T) {
        // Nobody else sets it: a promise is not cloned.
        let _ = self.0.set(Some(answer));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.0.get_or_init(|| None);
    }
}

/// What to find out about one entry.
#[derive(Debug)]
struct Question {
    entry: Arc<Entry>,
    key: EpochKey,
    /// With the entry's place, and without what it holds.
    job: Box<ApplyJob>,
    opened: Promise<Content>,
    applied: Promise<Answer>,
}

impl Question {
    fn find(mut self) {
        let open = OpenTask { entry: self.entry, verify: true, key: Some(self.key) };
        let JobResult::Opened(mut opened) = Job::Open(vec![open]).run() else { return };
        let Some(opened) = opened.pop().filter(|opened| opened.genuine) else { return };
        let Content::Items(items, _) = &opened.content else { return };
        self.job.entries[0].items = Ok(items.clone());
        self.opened.keep(opened.content);
        if let Some(answer) = Answer::find(self.job) {
            self.applied.keep(answer);
        }
    }
}

/// Begins to open `entry` with its epoch's `key` and to apply it to the documents in `job`, whose one entry it is.
pub(super) fn find(
    helper: &Helper,
    entry: Arc<Entry>,
    key: EpochKey,
    job: Box<ApplyJob>,
) -> (Soon<Content>, Soon<Answer>) {
    let (opened, applied) = (Arc::default(), Arc::default());
    let (open, apply) = (Promise(Arc::clone(&opened)), Promise(Arc::clone(&applied)));
    let question = Question { entry, key, job, opened: open, applied: apply };
    let work = Arc::new(Mutex::new(Some(question)));
    let given = Arc::clone(&work);
    helper.give(move || begin(&given));
    (Soon { answer: opened, work: Some(Arc::clone(&work)) }, Soon { answer: applied, work: Some(work) })
}
