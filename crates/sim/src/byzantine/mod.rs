//! Devices in bad hands: they hold a member's real keys, meet honest devices at times of the plan and misbehave, one way each.
//!
//! - [`peer`]: keys, frames and entries made by hand; the hostile tests use it too.
//! - `hand`: what a kind is given to act with. One file for each kind holds what it does.
//! - [`Byzantine`]: takes the place of a replica in a run: the same inputs, the same outputs.

mod bomber;
mod clock_liar;
mod equivocator;
mod flooder;
mod forger;
mod hand;
pub mod peer;
mod replayer;
mod scribe;
mod withholder;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use farshore_core::id::DocumentId;
use farshore_core::input::{Class, Input, LinkId};
use farshore_core::output::Output;
use farshore_core::wire::{Frame, Handle, Hello};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use hand::{Hand, Mischief};
use peer::RawPeer;

/// Documents whose branches differ between honest devices begin like this. Users leave them alone: what is built on one branch
/// only can be applied where that branch is, which is the known gap of `docs/protocol.md` section 23.
const FORKED_DOCUMENT: [u8; 6] = [0xf0, 0x4c, 0xf0, 0x4c, 0xf0, 0x4c];

/// Whether a document is one that only an equivocator writes.
pub(crate) fn is_forked_document(document: &DocumentId) -> bool {
    document.0.starts_with(&FORKED_DOCUMENT)
}

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

/// A device in bad hands, in the place of its replica.
pub(crate) struct Byzantine {
    kind: ByzantineKind,
    mischief: Box<dyn Mischief>,
    peer: RawPeer,
    lines: BTreeMap<LinkId, Line>,
    meetings: u64,
    dice: Dice<'static>,
    outputs: VecDeque<Output>,
    misdeeds: u64,
}

impl fmt::Debug for Byzantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Byzantine").field("kind", &self.kind).field("misdeeds", &self.misdeeds).finish_non_exhaustive()
    }
}

/// One link of it.
#[derive(Debug)]
struct Line {
    their_peer: Vec<u8>,
    mine: Hello,
    theirs: Option<Hello>,
    /// Set when the space was found on both sides.
    handle: Option<Handle>,
}

impl Byzantine {
    pub(crate) fn new(kind: ByzantineKind, peer: RawPeer, dice: Dice<'static>) -> Byzantine {
        let mischief: Box<dyn Mischief> = match kind {
            ByzantineKind::Equivocator => Box::<equivocator::Equivocator>::default(),
            ByzantineKind::Forger => Box::<forger::Forger>::default(),
            ByzantineKind::Flooder => Box::<flooder::Flooder>::default(),
            ByzantineKind::Bomber => Box::<bomber::Bomber>::default(),
            ByzantineKind::Scribe => Box::<scribe::Scribe>::default(),
            ByzantineKind::Withholder => Box::<withholder::Withholder>::default(),
            ByzantineKind::Replayer => Box::<replayer::Replayer>::default(),
            ByzantineKind::ClockLiar => Box::<clock_liar::ClockLiar>::default(),
        };
        let (lines, outputs) = (BTreeMap::new(), VecDeque::new());
        Byzantine { kind, mischief, peer, lines, meetings: 0, dice, outputs, misdeeds: 0 }
    }

    pub(crate) fn kind(&self) -> ByzantineKind {
        self.kind
    }

    /// How often it misbehaved since the last question.
    pub(crate) fn take_misdeeds(&mut self) -> u64 {
        std::mem::take(&mut self.misdeeds)
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn handle(&mut self, input: Input) {
        match input {
            Input::LinkUp { link, peer, .. } => {
                let mine = self.peer.hello();
                self.send(link, Class::Ctl, Frame::Hello(mine.clone()).encode());
                self.lines.insert(link, Line { their_peer: peer, mine, theirs: None, handle: None });
            }
            Input::LinkDown { link } => drop(self.lines.remove(&link)),
            Input::Frame { link, class, bytes } => self.hear(link, class, &bytes),
            _ => {}
        }
    }

    fn send(&mut self, link: LinkId, class: Class, frame: Vec<u8>) {
        self.outputs.push_back(Output::Send { link, class, frame });
    }

    /// Greets as an honest device does; what comes after that is the kind's.
    fn hear(&mut self, link: LinkId, class: Class, bytes: &[u8]) {
        let Some(line) = self.lines.get_mut(&link) else { return };
        match (Frame::decode(class, bytes), &line.theirs) {
            (Ok(Frame::Hello(hello)), None) => {
                let signature = self.peer.proof_for(&line.mine, &hello, &line.their_peer);
                line.theirs = Some(hello);
                self.send(link, Class::Ctl, Frame::Auth { signature }.encode());
            }
            (Ok(Frame::Spaces { .. }), Some(theirs)) if line.handle.is_none() => {
                let (tag, handle) = self.peer.tag_and_handle(&line.mine, theirs);
                line.handle = Some(handle);
                self.send(link, Class::Ctl, Frame::Spaces { tags: vec![tag] }.encode());
                self.meetings += 1;
                self.act(link, handle, |mischief, hand| mischief.met(hand));
            }
            (Ok(_), Some(_)) => {
                let Some(handle) = line.handle else { return };
                self.act(link, handle, |mischief, hand| mischief.heard(hand, class, bytes));
            }
            _ => {}
        }
    }

    fn act(&mut self, link: LinkId, handle: Handle, act: impl FnOnce(&mut dyn Mischief, &mut Hand<'_>)) {
        let (peer, dice, outputs, misdeeds) = (&mut self.peer, &mut self.dice, &mut self.outputs, &mut self.misdeeds);
        let mut hand = Hand { peer, link, handle, meeting: self.meetings, dice, outputs, misdeeds };
        act(self.mischief.as_mut(), &mut hand);
    }
}
