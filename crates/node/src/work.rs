//! The threads that run the core's heavy pure work: verifying, sealing, inflating, loading and applying.
//!
//! A job that panics (a hostile document that hit a bug below us) costs that job, never the process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use farshore_core::batch::Load;
use farshore_core::job::{Job, JobResult};
use tokio::sync::mpsc::UnboundedSender;

use crate::disk::{Answer, DiskFailure, ReaderSlot};
use crate::error::Error;

/// What a worker does. `life` counts the replicas that this node has had: an answer to an earlier one is ignored.
enum Work {
    Job { life: u64, id: u64, job: Job },
    Load { life: u64, id: u64, load: Load },
}

/// The workers. Dropping it lets them finish what was handed over, and end.
pub(crate) struct Workers {
    queue: Sender<Work>,
    answers: UnboundedSender<Answer>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts one thread for each core of the machine.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub(crate) fn start(reader: ReaderSlot, answers: UnboundedSender<Answer>) -> Result<Self, Error> {
        let (queue, work) = channel();
        let work = Arc::new(Mutex::new(work));
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let (work, reader, answers) = (Arc::clone(&work), reader.clone(), answers.clone());
            let thread = thread::Builder::new()
                .name(format!("farshore-work-{number}"))
                .spawn(move || run(&work, &reader, &answers))
                .map_err(Error::thread)?;
            threads.push(thread);
        }
        Ok(Workers { queue, answers, threads })
    }

    /// Hands a job over. Jobs may finish in any order.
    pub(crate) fn job(&self, life: u64, id: u64, job: Job) {
        // The workers outlive this sender: they end only when it is dropped.
        let _ = self.queue.send(Work::Job { life, id, job });
    }

    /// Does a job on the caller's thread; the answer comes like any other.
    pub(crate) fn job_here(&self, life: u64, id: u64, job: Job) {
        let _ = self.answers.send(Answer::JobDone { life, id, result: run_job(id, job) });
    }

    /// Hands over a load that has no batch before it.
    pub(crate) fn load(&self, life: u64, id: u64, load: Load) {
        let _ = self.queue.send(Work::Load { life, id, load });
    }

    /// Ends the threads and waits for them. Blocks for as long as the jobs handed over take.
    pub(crate) fn join(self) {
        drop(self.queue);
        for thread in self.threads {
            let _ = thread.join(); // A worker catches its jobs' panics, so there is none to pass on.
        }
    }
}

fn run(work: &Mutex<Receiver<Work>>, reader: &ReaderSlot, answers: &UnboundedSender<Answer>) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let answer = match next {
            Ok(Work::Job { life, id, job }) => Answer::JobDone { life, id, result: run_job(id, job) },
            Ok(Work::Load { life, id, load }) => {
                match reader.get().and_then(|reader| reader.load(&load).map_err(DiskFailure::from)) {
                    Ok(loaded) => Answer::Loaded { life, id, loaded },
                    Err(failure) => Answer::Failed { life, failure },
                }
            }
            Err(_) => return,
        };
        if answers.send(answer).is_err() {
            return; // The driver is gone: nobody waits for answers.
        }
    }
}

fn run_job(id: u64, job: Job) -> JobResult {
    catch_unwind(AssertUnwindSafe(|| job.run())).unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        tracing::error!(job = id, %message, "a job panicked; please report this");
        JobResult::Panicked(message)
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
