//! Every kind of fault that a run may meet, by name. What each does, and its units, stands beside it in [`Fault`].
//!
//! Why no more: a link of ours is one TCP or QUIC connection, so bytes inside a stream are neither lost nor reordered; whatever
//! a network does to packets shows as delay or as the end of the connection. What a disk may do is said at
//! `farshore_store::testing::Disk`. Clones, restores and membership changes come with the features that they test.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::observe::DeviceNo;

/// Declares kinds with the name that commands and reports use, and the line that describes them.
macro_rules! kinds {
    ($(#[doc = $doc:literal] $name:ident = $text:literal),+ $(,)?) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FaultKind { $(#[doc = $doc] $name),+ }

        impl FaultKind {
            /// All of them.
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$name),+];

            /// The name that people type.
            pub fn name(self) -> &'static str {
                match self { $(FaultKind::$name => $text),+ }
            }

            /// What it does, in a line.
            pub fn describe(self) -> &'static str {
                match self { $(FaultKind::$name => $doc.trim_ascii()),+ }
            }
        }
    };
}

kinds! {
    /// A link's latency rises for a while.
    SlowLink = "slow-link",
    /// A link carries only so many bytes a second for a while.
    ThinLink = "thin-link",
    /// A link is cut: both ends know at once, and cannot dial for a while.
    Cut = "cut",
    /// The devices fall into two groups that do not hear of each other; nobody is told, heartbeats find out.
    Partition = "partition",
    /// Frames from one device to another vanish, the other way they arrive; heartbeats find out.
    OneWay = "one-way",
    /// A link is cut and comes back, again and again.
    Flap = "flap",
    /// The streams of a link overtake one another for a while.
    Reorder = "reorder",
    /// One frame arrives twice: only a broken peer does that, and the link may end for it.
    Duplicate = "duplicate",
    /// One frame arrives cut short: only a broken peer does that, and it costs the link.
    Truncate = "truncate",
    /// A device stops reading from a link for a while.
    StopReading = "stop-reading",
    /// A device gets another address; its links are dead, and nobody is told.
    AddressChange = "address-change",
    /// A device sleeps for minutes to hours.
    Sleep = "sleep",
    /// The power fails, also in the middle of a commit: unsynced sectors are lost, kept or torn by chance.
    PowerCut = "power-cut",
    /// From some disk operation on everything fails, for a while.
    DiskError = "disk-error",
    /// From some disk operation on there is no room, for a while.
    DiskFull = "disk-full",
    /// Commits and reads take long for a while.
    SlowDisk = "slow-disk",
    /// The process is killed, also in the middle of a commit: the system still writes what it was given.
    Kill = "kill",
    /// The process ends in order and starts again.
    Restart = "restart",
    /// The wall clock runs seconds to minutes off from here on.
    ClockSkew = "clock-skew",
    /// The wall clock jumps by hours or days, either way.
    ClockJump = "clock-jump",
    /// The wall clock goes back by years.
    ClockYearsBack = "clock-years-back",
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = FaultKind::ALL.iter().copied().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("no fault `{text}`; `farshore-sim list-faults` names them"))
    }
}

/// One fault of a plan, with its measures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// See [`FaultKind::SlowLink`].
    SlowLink {
        /// One end.
        a: DeviceNo,
        /// The other.
        b: DeviceNo,
        /// Shortest and longest one-way delay meanwhile.
        latency_ms: (u64, u64),
        /// How long.
        for_ms: u64,
    },
    /// See [`FaultKind::ThinLink`].
    ThinLink {
        /// One end.
        a: DeviceNo,
        /// The other.
        b: DeviceNo,
        /// Each way.
        bytes_per_s: u64,
        /// How long.
        for_ms: u64,
    },
    /// See [`FaultKind::Cut`].
    Cut {
        /// One end.
        a: DeviceNo,
        /// The other.
        b: DeviceNo,
        /// How long no dial succeeds.
        for_ms: u64,
    },
    /// See [`FaultKind::Partition`].
    Partition {
        /// One group; all others are the other one.
        group: Vec<DeviceNo>,
        /// How long.
        for_ms: u64,
    },
    /// See [`FaultKind::OneWay`].
    OneWay {
        /// Frames from this device
        from: DeviceNo,
        /// to this one vanish.
        to: DeviceNo,
        /// How long.
        for_ms: u64,
    },
    /// See [`FaultKind::Flap`].
    Flap {
        /// One end.
        a: DeviceNo,
        /// The other.
        b: DeviceNo,
        /// How often it is cut.
        times: u32,
        /// From cut to cut; half of it the path is closed.
        period_ms: u64,
    },
    /// See [`FaultKind::Reorder`].
    Reorder {
        /// One end.
        a: DeviceNo,
        /// The other.
        b: DeviceNo,
        /// How much later a stream may be than another.
        jitter_ms: u64,
        /// How long.
        for_ms: u64,
    },
    /// See [`FaultKind::Duplicate`].
    Duplicate {
        /// The next frame from this device
        from: DeviceNo,
        /// to this one.
        to: DeviceNo,
    },
    /// See [`FaultKind::Truncate`].
    Truncate {
        /// The next frame from this device
        from: DeviceNo,
        /// to this one.
        to: DeviceNo,
        /// This many bytes at its end are missing, at most all but one.
        bytes: u64,
    },
    /// See [`FaultKind::StopReading`].
    StopReading {
        /// Who stops.
        device: DeviceNo,
        /// Reading from whom.
        from: DeviceNo,
        /// How long.
        for_ms: u64,
    },
    /// See [`FaultKind::AddressChange`].
    AddressChange {
        /// Who moves.
        device: DeviceNo,
    },
    /// See [`FaultKind::Sleep`].
    Sleep {
        /// Who sleeps.
        device: DeviceNo,
        /// How long.
        for_ms: u64,
    },
    /// See [`FaultKind::PowerCut`].
    PowerCut {
        /// Whose power.
        device: DeviceNo,
        /// After this many disk operations from the moment of the fault, or after `within_ms` without so many.
        after_operations: u64,
        /// See `after_operations`.
        within_ms: u64,
        /// How long it is off.
        for_ms: u64,
    },
    /// See [`FaultKind::DiskError`].
    DiskError {
        /// Whose disk.
        device: DeviceNo,
        /// This many more operations succeed.
        after_operations: u64,
        /// How long until it works again.
        for_ms: u64,
    },
    /// See [`FaultKind::DiskFull`].
    DiskFull {
        /// Whose disk.
        device: DeviceNo,
        /// This many more operations succeed.
        after_operations: u64,
        /// How long until there is room.
        for_ms: u64,
    },
    /// See [`FaultKind::SlowDisk`].
    SlowDisk {
        /// Whose disk.
        device: DeviceNo,
        /// What each sync takes meanwhile.
        sync_ms: u64,
        /// How long.
        for_ms: u64,
    },
    /// See [`FaultKind::Kill`].
    Kill {
        /// Which process.
        device: DeviceNo,
        /// After this many disk operations from the moment of the fault, or after `within_ms` without so many.
        after_operations: u64,
        /// See `after_operations`.
        within_ms: u64,
        /// How long until it starts again.
        for_ms: u64,
    },
    /// See [`FaultKind::Restart`].
    Restart {
        /// Which process.
        device: DeviceNo,
        /// How long until it starts again.
        for_ms: u64,
    },
    /// See [`FaultKind::ClockSkew`].
    ClockSkew {
        /// Whose clock.
        device: DeviceNo,
        /// How far it is off from true time, from here on.
        by_ms: i64,
    },
    /// See [`FaultKind::ClockJump`].
    ClockJump {
        /// Whose clock.
        device: DeviceNo,
        /// From where it stands.
        by_ms: i64,
    },
    /// See [`FaultKind::ClockYearsBack`].
    ClockYearsBack {
        /// Whose clock.
        device: DeviceNo,
        /// From where it stands.
        years: u64,
    },
}

impl Fault {
    /// Its kind.
    pub fn kind(&self) -> FaultKind {
        match self {
            Fault::SlowLink { .. } => FaultKind::SlowLink,
            Fault::ThinLink { .. } => FaultKind::ThinLink,
            Fault::Cut { .. } => FaultKind::Cut,
            Fault::Partition { .. } => FaultKind::Partition,
            Fault::OneWay { .. } => FaultKind::OneWay,
            Fault::Flap { .. } => FaultKind::Flap,
            Fault::Reorder { .. } => FaultKind::Reorder,
            Fault::Duplicate { .. } => FaultKind::Duplicate,
            Fault::Truncate { .. } => FaultKind::Truncate,
            Fault::StopReading { .. } => FaultKind::StopReading,
            Fault::AddressChange { .. } => FaultKind::AddressChange,
            Fault::Sleep { .. } => FaultKind::Sleep,
            Fault::PowerCut { .. } => FaultKind::PowerCut,
            Fault::DiskError { .. } => FaultKind::DiskError,
            Fault::DiskFull { .. } => FaultKind::DiskFull,
            Fault::SlowDisk { .. } => FaultKind::SlowDisk,
            Fault::Kill { .. } => FaultKind::Kill,
            Fault::Restart { .. } => FaultKind::Restart,
            Fault::ClockSkew { .. } => FaultKind::ClockSkew,
            Fault::ClockJump { .. } => FaultKind::ClockJump,
            Fault::ClockYearsBack { .. } => FaultKind::ClockYearsBack,
        }
    }
    /// The devices that it names.
    pub fn devices(&self) -> Vec<DeviceNo> {
        match self {
            Fault::SlowLink { a, b, .. }
            | Fault::ThinLink { a, b, .. }
            | Fault::Cut { a, b, .. }
            | Fault::Flap { a, b, .. }
            | Fault::Reorder { a, b, .. } => vec![*a, *b],
            Fault::OneWay { from, to, .. } | Fault::Duplicate { from, to } | Fault::Truncate { from, to, .. } => {
                vec![*from, *to]
            }
            Fault::Partition { group, .. } => group.clone(),
            Fault::StopReading { device, from, .. } => vec![*device, *from],
            Fault::AddressChange { device }
            | Fault::Sleep { device, .. }
            | Fault::PowerCut { device, .. }
            | Fault::DiskError { device, .. }
            | Fault::DiskFull { device, .. }
            | Fault::SlowDisk { device, .. }
            | Fault::Kill { device, .. }
            | Fault::Restart { device, .. }
            | Fault::ClockSkew { device, .. }
            | Fault::ClockJump { device, .. }
            | Fault::ClockYearsBack { device, .. } => vec![*device],
        }
    }
}
