//! A second thread that does what the world need not wait for.

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use crate::limits::{HELPER_SPINS, HELPER_TASKS};

type Task = Box<dyn FnOnce() + Send>;

/// See the module. Tasks are done one after another, in the order in which they were given.
#[derive(Debug)]
pub(super) struct Helper {
    tasks: Option<SyncSender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    #[expect(clippy::disallowed_methods, reason = "what it finds does not depend on when, and whoever needs it waits")]
    pub(super) fn begin() -> Helper {
        let (sender, tasks) = sync_channel::<Task>(HELPER_TASKS);
        let thread = std::thread::spawn(move || {
            while let Some(task) = next(&tasks) {
                // Whoever waits for what it was to give finds that there is nothing.
                let _ = catch_unwind(AssertUnwindSafe(task));
            }
        });
        Helper { tasks: Some(sender), thread: Some(thread) }
    }

    /// Has this done some time. Waits if too much is to be done already.
    pub(super) fn give(&self, task: impl FnOnce() + Send + 'static) {
        // The thread ends with this handle only; were it gone, the task would be dropped, as if it had panicked.
        let _ = self.tasks.as_ref().map(|tasks| tasks.send(Box::new(task)));
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.tasks = None;
        // It catches every panic of its own.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The next task, once there is one; `None` if there will be none.
fn next(tasks: &Receiver<Task>) -> Option<Task> {
    for _ in 0..HELPER_SPINS {
        match tasks.try_recv() {
            Ok(task) => return Some(task),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => spin_loop(),
        }
    }
    tasks.recv().ok()
}
