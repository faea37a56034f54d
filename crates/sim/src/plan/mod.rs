//! A run as data: everything that a seed decides, written down before it begins.
//!
//! A plan is JSON lines: its [`Setup`] first, then one [`Timed`] action a line, in the order of time. Running a plan is
//! deterministic, so a plan *is* a reproduction; shrinking one leaves lines out.

mod draw;
mod profile;

pub use draw::draw;
pub use profile::Profile;

use serde::{Deserialize, Serialize};

use crate::byzantine::ByzantineKind;
use crate::fault::Fault;
use crate::observe::DeviceNo;
use crate::workload::Workload;

/// The format of a plan. A build refuses another one: seeds mean something else in each.
pub const PLAN_VERSION: u32 = 1;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What stands before the first action.
    pub setup: Setup,
    /// In the order of time.
    pub actions: Vec<Timed>,
}

/// The world as it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// What it was drawn from; also the seed of every choice that is made while it runs (latencies, sizes of torn writes).
    pub seed: u64,
    /// What each device may do, by number. The first one founds the space and must be an admin.
    pub members: Vec<Member>,
    /// Which pairs can reach each other at all.
    pub topology: Topology,
    /// Every link, unless a fault says otherwise.
    pub network: NetworkOptions,
    /// Every disk, unless a fault says otherwise.
    pub disk: DiskOptions,
    /// Shortest and longest time that a job takes on a worker.
    pub job_ms: (u64, u64),
    /// The built-in workload's weights.
    pub workload: Workload,
    /// When faults end and the world is healed.
    pub end_ms: u64,
}

/// A device of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What the space lets it do.
    pub role: MemberRole,
    /// When it is invited by device 0 and tries to join.
    pub joins_ms: u64,
}

/// Roles, as a plan names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Reads and writes, and decides about members.
    Admin,
    /// Reads and writes.
    Writer,
    /// Reads. What it tries to write must be refused.
    Reader,
}

/// Which pairs of devices can reach each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// All.
    Mesh,
    /// Each the next one.
    Line,
    /// All the first one.
    Star,
    /// Each the next one, and the last the first.
    Ring,
    /// All the first one, and these.
    Pairs(Vec<(DeviceNo, DeviceNo)>),
}

impl Topology {
    /// Whether two of `count` devices can reach each other.
    pub fn joins(&self, a: DeviceNo, b: DeviceNo, count: usize) -> bool {
        let (a, b) = (a.min(b), a.max(b));
        match self {
            _ if a == b => false,
            Topology::Mesh => true,
            Topology::Line => b == a + 1,
            Topology::Star => a == 0,
            Topology::Ring => b == a + 1 || (a == 0 && b + 1 == count),
            Topology::Pairs(pairs) => a == 0 || pairs.contains(&(a, b)) || pairs.contains(&(b, a)),
        }
    }
}

/// A link as it is without faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOptions {
    /// Shortest and longest one-way delay.
    pub latency_ms: (u64, u64),
    /// Bytes a second each way; 0 for no limit.
    pub bytes_per_s: u64,
}

/// A disk as it is without faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskOptions {
    /// Shortest and longest time of a sync; a commit takes two.
    pub sync_ms: (u64, u64),
    /// Bytes a second.
    pub bytes_per_s: u64,
    /// Shortest and longest time of a read.
    pub read_ms: (u64, u64),
}

/// An action and when it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// Virtual milliseconds since the start of the run.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

/// One thing that is done to the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A user does something: the app decides what, with these dice and what the device shows then.
    Act {
        /// On which device.
        device: DeviceNo,
        /// Seed of the dice.
        dice: u64,
    },
    /// These very edits, as recorded elsewhere.
    Edit {
        /// On which device.
        device: DeviceNo,
        /// In which collection, by its place among the app's.
        collection: usize,
        /// What.
        edits: Vec<Recorded>,
    },
    /// A user asks for a comparison with every peer now.
    SyncNow {
        /// On which device.
        device: DeviceNo,
    },
    /// A user chooses how urgently a device wants a collection. When the world is healed, all want all again.
    Subscribe {
        /// On which device.
        device: DeviceNo,
        /// Which, by its place among the app's.
        collection: usize,
        /// How urgently.
        priority: Wish,
    },
    /// A user pauses the space on a device, or ends the pause. When the world is healed, nothing is paused.
    Pause {
        /// On which device.
        device: DeviceNo,
        /// Whether it is paused.
        paused: bool,
    },
    /// A user asks for a checkpoint of a collection, for those who join later.
    Checkpoint {
        /// On which device.
        device: DeviceNo,
        /// Which, by its place among the app's.
        collection: usize,
    },
    /// A fault begins.
    Fault(Fault),
    /// A device falls into bad hands.
    Turn {
        /// Which; never device 0.
        device: DeviceNo,
        /// How it misbehaves.
        kind: ByzantineKind,
    },
}

/// How urgently a collection is wanted, as a plan names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Before all others.
    Eager,
    /// Like most.
    Normal,
    /// When nothing else is on its way.
    Lazy,
    /// Only when a user asks.
    Manual,
    /// Not at all.
    None,
}

/// A recorded edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Names the document: equal keys are the same document on every device.
    pub key: String,
    /// What is done to it.
    pub op: crate::plain::Op,
}

impl Plan {
    /// The plan as JSON lines.
    pub fn to_lines(&self) -> String {
        let mut out = line(&self.setup);
        for action in &self.actions {
            out.push_str(&line(action));
        }
        out
    }

    /// Reads what [`Plan::to_lines`] wrote. Empty lines are left out, so that a plan can be edited by hand.
    ///
    /// # Errors
    /// Which line is wrong, and how.
    pub fn from_lines(text: &str) -> Result<Plan, String> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (number, first) = lines.next().ok_or("an empty file holds no plan")?;
        let setup: Setup = parse(number, first)?;
        if setup.version != PLAN_VERSION {
            return Err(format!("the plan has version {}; this build runs version {PLAN_VERSION}", setup.version));
        }
        let mut actions: Vec<Timed> = Vec::new();
        for (number, line) in lines {
            actions.push(parse(number, line)?);
        }
        actions.sort_by_key(|timed| timed.at_ms);
        let plan = Plan { setup, actions };
        plan.check()?;
        Ok(plan)
    }

    /// Whether every device that it names is there.
    ///
    /// # Errors
    /// What is not.
    pub fn check(&self) -> Result<(), String> {
        let count = self.setup.members.len();
        if !(2..=100).contains(&count) {
            return Err(format!("a world has 2 to 100 devices, not {count}"));
        }
        if self.setup.members[0].role != MemberRole::Admin {
            return Err("device 0 founds the space, so it is an admin".into());
        }
        for timed in &self.actions {
            let devices = match &timed.action {
                Action::Act { device, .. }
                | Action::Edit { device, .. }
                | Action::SyncNow { device }
                | Action::Subscribe { device, .. }
                | Action::Pause { device, .. }
                | Action::Checkpoint { device, .. }
                | Action::Turn { device, .. } => vec![*device],
                Action::Fault(fault) => fault.devices(),
            };
            if let Some(device) = devices.into_iter().find(|device| *device >= count) {
                return Err(format!("at {} ms: there is no device {device} among {count}", timed.at_ms));
            }
        }
        Ok(())
    }
}

fn line(value: &impl Serialize) -> String {
    // Plans hold strings, numbers and lists only: there is nothing in them that JSON could not say.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

fn parse<'a, T: Deserialize<'a>>(number: usize, line: &'a str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))
}
