//! Devices in bad hands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares kinds with the name that commands and reports use, and the line that describes them.
macro_rules! kinds {
    ($(#[doc = $doc:literal] $name:ident = $text:literal),+ $(,)?) => {
        /// How a device in bad hands misbehaves. It holds the real keys of a member.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ByzantineKind { $(#[doc = $doc] $name),+ }

        impl ByzantineKind {
            /// All of them.
            pub const ALL: &'static [ByzantineKind] = &[$(ByzantineKind::$name),+];

            /// The name that people type.
            pub fn name(self) -> &'static str {
                match self { $(ByzantineKind::$name => $text),+ }
            }

            /// What it does, for a person.
            pub fn description(self) -> &'static str {
                match self { $(ByzantineKind::$name => $doc),+ }
            }
        }
    };
}

kinds! {
    #[doc = " Shows different members different entries at one place of its journal."]
    Equivocator = "equivocator",
    #[doc = " Signs entries that name another member as their author, and changes under another's actor."]
    Forger = "forger",
    #[doc = " Sends as much as it can of everything, far beyond its credit."]
    Flooder = "flooder",
    #[doc = " Sends well-formed entries that are dear to open or apply."]
    Bomber = "bomber",
    #[doc = " Writes entries though its role is that of a reader."]
    Scribe = "writing-reader",
    #[doc = " Offers what others lack and sends none of it."]
    Withholder = "withholder",
    #[doc = " Sends again what it has heard, to others and later."]
    Replayer = "replayer",
    #[doc = " Claims to have written its entries at the end of time."]
    ClockLiar = "clock-liar",
}

impl fmt::Display for ByzantineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ByzantineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = ByzantineKind::ALL.iter().copied().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("no kind `{text}`; `farshore-sim list-faults` names them"))
    }
}
