//! Power cuts at every boundary: one run of a small world records every disk operation of one device and every promise that
//! it makes; then the power is cut after each operation in turn, and what is found must keep every promise made by then.
//!
//! A promise is an acknowledged edit, an entry shown to a peer, or a receipt (I1, I5).

use std::collections::BTreeMap;
use std::fmt;

use farshore_core::id::JournalId;
use farshore_core::input::Now;
use farshore_core::replica::Replica;
use farshore_store::testing::{Disk, Image, Loss, Op, Random};
use farshore_store::{Place, Store, StoreKey};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::observe::DeviceNo;
use crate::plan::{Plan, Profile, draw};
use crate::run::{Options, run};
use crate::world::START_UNIX_MS;

/// The device whose power is cut: it writes, receives and passes on.
const DEVICE: DeviceNo = 1;
/// A workload's size: small, so that every boundary can be tried; large enough for documents to be compacted.
const DEVICES: usize = 3;
/// See [`DEVICES`].
const EDITS: usize = 70;
/// Violations of one workload that are told; one boundary that is broken is seldom alone.
const TOLD: usize = 5;

/// Everything that a device's disk was asked to do, and what the device promised meanwhile.
#[derive(Clone)]
pub struct History {
    pub(crate) key: StoreKey,
    /// The disk before the first operation.
    pub(crate) image: Image,
    /// Every operation, in order.
    pub(crate) ops: Vec<Op>,
    /// Made when so many operations were done: this journal is held at least up to here.
    pub(crate) promises: Vec<(usize, JournalId, u64)>,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({} operations, {} promises)", self.ops.len(), self.promises.len())
    }
}

/// What the cuts of one workload came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// The workload.
    pub seed: u64,
    /// Operations of the disk: where a cut can fall.
    #[serde(default)]
    pub operations: usize,
    /// How often the power was cut.
    pub cuts: usize,
    /// Cuts that left a commit which nobody had been promised.
    pub kept_unacknowledged: usize,
    /// What was broken.
    pub broken: Vec<String>,
}

/// The world of a workload.
pub fn workload(seed: u64) -> Plan {
    let mut plan = draw(&mut Dice::seeded(seed ^ 0x00c0_ffee), seed, Profile::Quiet);
    plan.setup.members.truncate(DEVICES);
    let first = plan.setup.members[0];
    plan.setup.members.resize(DEVICES, first);
    plan.setup.members.iter_mut().for_each(|member| (member.role, member.joins_ms) = (first.role, 0));
    plan.setup.topology = crate::plan::Topology::Line;
    plan.actions.retain(|timed| matches!(timed.action, crate::plan::Action::Act { .. }));
    plan.actions.truncate(EDITS);
    for (index, timed) in plan.actions.iter_mut().enumerate() {
        if let crate::plan::Action::Act { device, .. } = &mut timed.action {
            *device = index % DEVICES;
        }
    }
    plan.setup.end_ms = plan.actions.last().map_or(10_000, |timed| timed.at_ms + 5_000);
    plan
}

/// Records a workload and cuts the power after each of its operations, or after `most` of them spread evenly.
pub fn sweep(seed: u64, most: usize) -> Sweep {
    let plan = workload(seed);
    let options = Options { record_disk: Some(DEVICE), ..Options::default() };
    let mut outcome = run(&plan, &plan.setup.workload, crate::oracle::all(), options);
    let mut broken: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    let Some(history) = outcome.history.take() else {
        broken.push("the disk's operations were not recorded".into());
        return Sweep { seed, operations: 0, cuts: 0, kept_unacknowledged: 0, broken };
    };
    let swept = cut_everywhere(seed, &history, most);
    broken.extend(swept.broken);
    Sweep { broken, ..swept }
}

/// Cuts the power after each operation of a history.
pub(crate) fn cut_everywhere(seed: u64, history: &History, most: usize) -> Sweep {
    let disk = Disk::from_image(history.image.clone());
    let mut random = Random::new(seed);
    let step = history.ops.len().div_ceil(most.max(1)).max(1);
    let mut promised: BTreeMap<JournalId, u64> = BTreeMap::new();
    let mut promises = history.promises.iter().peekable();
    let mut swept = Sweep { seed, operations: history.ops.len(), cuts: 0, kept_unacknowledged: 0, broken: Vec::new() };
    for (index, op) in history.ops.iter().enumerate() {
        disk.perform(op);
        let done = index + 1;
        while let Some((_, journal, seq)) = promises.next_if(|(at, _, _)| *at <= done) {
            let known = promised.entry(*journal).or_default();
            *known = (*known).max(*seq);
        }
        if !index.is_multiple_of(step) {
            continue;
        }
        swept.cuts += 1;
        match found(&Disk::live(disk.image_after(Loss::Power, &mut random)), &history.key, &promised) {
            Ok(more) => swept.kept_unacknowledged += usize::from(more),
            Err(what) if swept.broken.len() < TOLD => {
                swept.broken.push(format!("workload {seed}, cut after operation {done} ({op:?}): {what}"));
            }
            Err(_) => {}
        }
    }
    swept
}

/// Opens a disk as it was found, and compares it with what was promised. True if it holds more.
fn found(disk: &Disk, key: &StoreKey, promised: &BTreeMap<JournalId, u64>) -> Result<bool, String> {
    let store = Store::open_backend(disk.backend(), key, Place::default()).map_err(|error| error.to_string())?;
    if store.repaired() {
        return Err("opening had to walk the whole file".into());
    }
    let report = store.reader().check().map_err(|error| error.to_string())?;
    if !report.is_sound() {
        return Err(format!("the store is not sound: {report:?}"));
    }
    let boot = store.boot().map_err(|error| error.to_string())?;
    let journals = boot.spaces.iter().flat_map(|space| space.journals.iter());
    let held: BTreeMap<JournalId, u64> = journals.map(|(journal, state)| (*journal, state.held.seq)).collect();
    for (journal, seq) in promised {
        let have = held.get(journal).copied().unwrap_or(0);
        if have < *seq {
            return Err(format!("entry {seq} of {journal:?} was promised, and {have} is the last one there"));
        }
    }
    let now = Now { mono_ms: 0, wall_ms: START_UNIX_MS };
    Replica::open(boot, false, [7; 32], now).map_err(|error| error.to_string())?;
    Ok(held.iter().any(|(journal, seq)| promised.get(journal).copied().unwrap_or(0) < *seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rig has teeth: promises that are made before their commit is durable are found broken.
    #[test]
    fn a_promise_made_too_early_is_found_out() {
        let plan = workload(1);
        let options = Options { record_disk: Some(DEVICE), ..Options::default() };
        let mut history = run(&plan, &plan.setup.workload, Vec::new(), options).history.unwrap();
        assert!(history.promises.len() > 50, "{history:?}");
        assert_eq!(cut_everywhere(1, &history, 200).broken, Vec::<String>::new());
        for (done, _, _) in &mut history.promises {
            *done = done.saturating_sub(4);
        }
        let broken = cut_everywhere(1, &history, usize::MAX).broken;
        assert!(broken.iter().any(|what| what.contains("was promised")), "{broken:?}");
    }
}
