//! What must be true of every run, judged from outside.
//!
//! An oracle watches [`Observed`] events as they happen and looks at every device once the run is at rest. It knows ids and
//! plain data only, and Automerge itself: nothing of the code that it judges.

mod authorized;
mod bounded;
mod converged;
mod durable;
mod kept;
mod live;
mod quiet;
mod reads_itself;
mod receipted;
#[cfg(test)]
mod scene;
mod visible;

pub use authorized::Authorized;
pub use bounded::Bounded;
pub use converged::Converged;
pub use durable::Durable;
pub use kept::Kept;
pub use live::Live;
pub use quiet::Quiet;
pub use reads_itself::ReadsItself;
pub use receipted::Receipted;
pub use visible::Visible;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::model::content::Content;
use crate::observe::{DeviceNo, DocumentSnapshot, Observed, Snapshot};

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

    /// Faults are over and nothing is under way any more.
    ///
    /// # Errors
    /// The guarantee is broken.
    fn at_rest(&mut self, rest: &Rest<'_>) -> Result<(), Violation> {
        let _ = rest;
        Ok(())
    }
}

/// What the run itself watches, by name: it shows without looking at any content.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("answers", "every request gets exactly one answer, of its kind, and whoever was invited is let in"),
    ("app", "what the app's own rules say of its documents holds"),
    ("opens", "a store opens after any crash, and a sound disk never fails"),
    ("panics", "nothing panics"),
    ("rests", "a healed world falls silent"),
];

/// Every oracle, fresh for one run.
pub fn all() -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(Converged::default()),
        Box::new(Durable::default()),
        Box::new(Visible::default()),
        Box::new(Authorized::default()),
        Box::new(Bounded),
        Box::new(Quiet::default()),
        Box::new(Live::default()),
        Box::new(ReadsItself::default()),
        Box::new(Receipted::default()),
        Box::new(Kept::default()),
    ]
}

/// A document as plain Automerge reads it, or why it cannot.
type Read = Rc<Result<Content, String>>;

/// The world at rest: every honest device, in order, and its documents as plain Automerge reads them.
#[derive(Debug)]
pub struct Rest<'a> {
    /// The devices.
    pub snapshots: &'a [Snapshot],
    /// By blake3 of the stored bytes: most devices hold the same.
    read: RefCell<BTreeMap<[u8; 32], Read>>,
}

impl<'a> Rest<'a> {
    /// Of these devices.
    pub fn new(snapshots: &'a [Snapshot]) -> Rest<'a> {
        Rest { snapshots, read: RefCell::default() }
    }

    /// What a document's bytes hold. Cost: loads the document, the first time.
    pub fn content(&self, stored: &DocumentSnapshot) -> Read {
        let mut hasher = blake3::Hasher::new();
        let snapshot = stored.snapshot.as_deref().unwrap_or_default();
        hasher.update(&(snapshot.len() as u64).to_le_bytes()).update(snapshot);
        stored.tail.iter().for_each(|chunk| {
            hasher.update(chunk);
        });
        let key = *hasher.finalize().as_bytes();
        let mut read = self.read.borrow_mut();
        Rc::clone(read.entry(key).or_insert_with(|| Rc::new(Content::read(stored))))
    }
}

/// A violation on a device.
fn broken(oracle: &'static str, at_ms: u64, device: DeviceNo, what: impl Into<String>) -> Result<(), Violation> {
    Err(Violation { oracle, at_ms, device: Some(device), what: what.into() })
}

#[cfg(test)]
mod tests {
    /// An oracle that used the core's own functions would find its mistakes right.
    #[test]
    fn model_and_oracles_know_nothing_of_the_core_but_ids() {
        let sources = [
            ("model/mod.rs", include_str!("../model/mod.rs")),
            ("model/actor.rs", include_str!("../model/actor.rs")),
            ("model/content.rs", include_str!("../model/content.rs")),
            ("model/promises.rs", include_str!("../model/promises.rs")),
            ("oracle/authorized.rs", include_str!("authorized.rs")),
            ("oracle/bounded.rs", include_str!("bounded.rs")),
            ("oracle/converged.rs", include_str!("converged.rs")),
            ("oracle/durable.rs", include_str!("durable.rs")),
            ("oracle/kept.rs", include_str!("kept.rs")),
            ("oracle/live.rs", include_str!("live.rs")),
            ("oracle/quiet.rs", include_str!("quiet.rs")),
            ("oracle/reads_itself.rs", include_str!("reads_itself.rs")),
            ("oracle/receipted.rs", include_str!("receipted.rs")),
            ("oracle/visible.rs", include_str!("visible.rs")),
        ];
        let listed = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/oracle")).unwrap().count()
            + std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/model")).unwrap().count();
        // This file, and the scene that only tests use.
        assert_eq!(sources.len() + 2, listed, "a file is not looked at");
        for (name, source) in sources {
            for line in source.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let core = line.contains("farshore_core") && !line.trim_start().starts_with("use farshore_core::id::");
                let store = line.contains("farshore_store");
                let own = ["crate::run", "crate::convert", "crate::device", "crate::world", "crate::memory"];
                let run = own.iter().any(|module| line.contains(module));
                assert!(!core && !store && !run, "{name} must not use this: {line}");
            }
        }
    }
}
