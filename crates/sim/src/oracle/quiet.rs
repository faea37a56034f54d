//! *quiet*: once the world has converged, no link carries entries, frontiers, questions or receipts. Digests may be compared when
//! a link comes up, and heartbeats beat below what is seen here.

use std::collections::{BTreeMap, BTreeSet};

use crate::observe::{DeviceNo, FrameKind, Observed, What};
use crate::oracle::{Oracle, Rest, Violation, broken};

/// How long after the last entry was stored anywhere, or the link came up, a link may still carry such frames, in
/// milliseconds: the core asks another peer after 30 s without an answer, and the answer takes some round trips.
const SETTLED_MS: u64 = 35_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Quiet {
    healed: bool,
    /// When an entry was stored last, on any device.
    moved_ms: u64,
    /// When each link came up.
    links: BTreeMap<u64, u64>,
    /// The last frame about entries on each link, from each side.
    last: BTreeMap<(u64, DeviceNo), (u64, DeviceNo, FrameKind)>,
    turned: BTreeSet<DeviceNo>,
}

impl Oracle for Quiet {
    fn name(&self) -> &'static str {
        "quiet"
    }

    fn promise(&self) -> &'static str {
        "once converged, no entry, frontier, question or receipt is sent"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        let at_ms = observed.at_ms;
        match &observed.what {
            What::Healed => (self.healed, self.moved_ms) = (true, at_ms),
            What::Stored { entries, .. } if !entries.is_empty() => self.moved_ms = at_ms,
            What::LinkUp { link, .. } => {
                self.links.insert(*link, at_ms);
            }
            What::LinkDown { link, .. } => {
                self.links.remove(link);
            }
            What::Turned { .. } => {
                self.turned.insert(observed.device);
            }
            What::Sent { link, to, kind, .. } if self.healed && speaks_of_entries(*kind) => {
                self.last.insert((*link, observed.device), (at_ms, *to, *kind));
            }
            _ => {}
        }
        Ok(())
    }

    /// What moved last is known only now.
    fn at_rest(&mut self, _: &Rest<'_>) -> Result<(), Violation> {
        for ((link, device), (at_ms, to, kind)) in &self.last {
            let since_ms = self.moved_ms.max(self.links.get(link).copied().unwrap_or(*at_ms));
            if *at_ms > since_ms + SETTLED_MS && !self.turned.contains(to) {
                let what = format!("sent a {kind:?} frame to device {to}, {} ms after all was quiet", at_ms - since_ms);
                return broken(self.name(), *at_ms, *device, what);
            }
        }
        Ok(())
    }
}

fn speaks_of_entries(kind: FrameKind) -> bool {
    use FrameKind::{Entry, Frontier, Part, Receipt, Want};
    matches!(kind, Entry | Part | Frontier | Want | Receipt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::scene::{at_rest, sent, stored_entry, timed_history};

    fn judge(events: &[(u64, DeviceNo, What)]) -> Option<String> {
        let mut oracle = Quiet::default();
        assert_eq!(timed_history(&mut oracle, events), None);
        at_rest(&mut oracle, &[])
    }

    fn verdict(kind: FrameKind, at_ms: u64) -> Option<String> {
        let (device, stored) = stored_entry(0, 1, 0, 1, 7);
        let (_, frame) = sent(0, 1, kind, 0, 1);
        let up = What::LinkUp { link: 1, peer: 1 };
        let events = [(0, 0, up), (10, 0, What::Healed), (50, device, stored), (at_ms, 0, frame)];
        judge(&events)
    }

    #[test]
    fn frames_about_entries_long_after_the_last_entry_are_noise() {
        for kind in [FrameKind::Entry, FrameKind::Part, FrameKind::Frontier, FrameKind::Want, FrameKind::Receipt] {
            assert_eq!(verdict(kind, 50 + SETTLED_MS), None);
            assert!(verdict(kind, 51 + SETTLED_MS).unwrap().contains("after all was quiet"));
        }
        assert_eq!(verdict(FrameKind::State, 1_000_000), None);
    }

    #[test]
    fn before_the_world_is_healed_and_on_a_link_that_just_came_up_such_frames_belong() {
        let (_, frame) = sent(0, 1, FrameKind::Frontier, 0, 1);
        let late = (1_000_000, 0, frame);
        assert_eq!(judge(std::slice::from_ref(&late)), None);
        let up = (999_000, 0, What::LinkUp { link: 1, peer: 1 });
        assert_eq!(judge(&[(10, 0, What::Healed), up, late.clone()]), None);
        // What came late because it was asked for late is for *live* to say.
        let (device, stored) = stored_entry(1, 1, 0, 1, 7);
        let early_up = (0, 0, What::LinkUp { link: 1, peer: 1 });
        let moved = (1_000_100, device, stored);
        assert_eq!(judge(&[early_up, (10, 0, What::Healed), late, moved]), None);
    }
}
