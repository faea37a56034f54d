//! What kind of runs to draw: sizes, lengths and how much goes wrong.

use std::fmt;
use std::str::FromStr;

/// A kind of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// 2 to 24 devices, hundreds of edits, dozens of faults of a random half of the kinds.
    Mixed,
    /// 5 to 8 devices, one or two of them in bad hands from some time on, and the faults of a mixed world, but fewer.
    Byzantine,
    /// The world of [`Profile::Mixed`], all of whose devices reach one another, with users who change what their devices keep up
    /// and pause them.
    Selective,
    /// The world of [`Profile::Mixed`], in which many devices join late, and users ask for checkpoints to begin with.
    Checkpoints,
    /// The same world as [`Profile::Mixed`] without faults.
    Quiet,
    /// 30 devices, one edit per 10 minutes each, a week long, with the faults of a week.
    Week,
    /// 10 devices, one edit a second each, ten minutes long, no faults: what speed is measured with.
    Busy,
    /// 2 to 4 devices, at most 40 edits and 12 faults in two minutes, sometimes a device in bad hands: for fuzzers, which need
    /// many short runs.
    Small,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 8] = [
        Profile::Mixed,
        Profile::Byzantine,
        Profile::Selective,
        Profile::Checkpoints,
        Profile::Quiet,
        Profile::Week,
        Profile::Busy,
        Profile::Small,
    ];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Mixed => "mixed",
            Profile::Byzantine => "byzantine",
            Profile::Selective => "selective",
            Profile::Checkpoints => "checkpoints",
            Profile::Quiet => "quiet",
            Profile::Week => "week",
            Profile::Busy => "busy",
            Profile::Small => "small",
        }
    }

    /// What it is, in one line, for whoever chooses one.
    pub fn describe(self) -> &'static str {
        match self {
            Profile::Mixed => "2 to 24 devices, hundreds of edits, dozens of faults",
            Profile::Byzantine => "5 to 8 devices, one or two of them in bad hands, fewer faults",
            Profile::Selective => "as mixed; users change what their devices keep up, and pause them",
            Profile::Checkpoints => "as mixed; many devices join late, and begin with checkpoints",
            Profile::Quiet => "as mixed, without faults",
            Profile::Week => "30 devices, an edit in 10 minutes each, for a week, with faults: takes minutes",
            Profile::Busy => "10 devices, an edit a second each, for 10 minutes, without faults: measures speed",
            Profile::Small => "2 to 4 devices, 40 edits, 12 faults: short runs, for fuzzers",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Profile::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
            format!("no profile `{text}`; there are {}", names.join(", "))
        })
    }
}
