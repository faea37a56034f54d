//! What must be true of every run, judged from outside.
//!
//! An oracle watches [`Observed`] events as they happen and looks at every device once the run is at rest. It knows ids and
//! plain data only, and Automerge itself: nothing of the code that it judges.

mod converged;

pub use converged::Converged;

use std::fmt;

use crate::observe::{DeviceNo, Observed, Snapshot};

/// A guarantee that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The oracle that says so.
    pub oracle: &'static str,
    /// Virtual milliseconds since the start of the run.
    pub at_ms: u64,
    /// On which device, if it is one.
    pub device: Option<DeviceNo>,
    /// What is wrong, for a person.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms", self.oracle, self.at_ms)?;
        if let Some(device) = self.device {
            write!(f, ", device {device}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// One guarantee, watched over one run.
pub trait Oracle: fmt::Debug {
    /// Its name, as commands and violations show it.
    fn name(&self) -> &'static str;

    /// What it promises, in one sentence.
    fn promise(&self) -> &'static str;

    /// Something happened.
    ///
    /// # Errors
    /// It broke the guarantee.
    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        let _ = observed;
        Ok(())
    }

    /// Faults are over and nothing is under way any more; the snapshots are of every device, in order.
    ///
    /// # Errors
    /// The guarantee is broken.
    fn at_rest(&mut self, snapshots: &[Snapshot]) -> Result<(), Violation> {
        let _ = snapshots;
        Ok(())
    }
}

/// What the run itself watches, by name: it shows without looking at any content.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("answers", "every request gets exactly one answer, of its kind"),
    ("app", "what the app's own rules say of its documents holds"),
    ("opens", "a store opens after any crash, and a sound disk never fails"),
    ("panics", "nothing panics"),
    ("rests", "a healed world falls silent"),
];

/// Every oracle, fresh for one run.
pub fn all() -> Vec<Box<dyn Oracle>> {
    vec![Box::new(Converged)]
}
