//! *live*: when faults have stopped and every path is open, the world converges within a stated number of round trips.

use std::collections::BTreeSet;

use crate::observe::{DeviceNo, Observed, What};
use crate::oracle::{Oracle, Rest, Violation, broken};

/// One round trip of a healed network, in milliseconds (`limits::REST_LATENCY_MS`, twice).
const ROUND_TRIP_MS: u64 = 40;
/// Round trips until links are up and have compared what their ends hold: all dial within half a second, which is 13, shake
/// hands, and exchange rosters in up to 16 rounds.
const MEETING: u64 = 100;
/// Round trips for each device that news may have to pass: asking, streaming, two commits on a slow disk.
const HOP: u64 = 25;

/// See the module.
#[derive(Debug, Default)]
pub struct Live {
    healed_ms: Option<u64>,
    /// When a document changed last, and where.
    moved: Option<(u64, DeviceNo)>,
    devices: BTreeSet<DeviceNo>,
}

impl Oracle for Live {
    fn name(&self) -> &'static str {
        "live"
    }

    fn promise(&self) -> &'static str {
        "after the last fault all converges within 100 round trips, and 25 for each device"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        match &observed.what {
            What::Healed => self.healed_ms = Some(observed.at_ms),
            What::Stored { entries, .. } if !entries.is_empty() => self.moved = Some((observed.at_ms, observed.device)),
            What::Changed { .. } => self.moved = Some((observed.at_ms, observed.device)),
            What::Joined { .. } => {
                self.devices.insert(observed.device);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, _: &Rest<'_>) -> Result<(), Violation> {
        let (Some(healed_ms), Some((moved_ms, device))) = (self.healed_ms, self.moved) else { return Ok(()) };
        let took = moved_ms.saturating_sub(healed_ms).div_ceil(ROUND_TRIP_MS);
        let limit = MEETING + HOP * self.devices.len() as u64;
        if took > limit {
            let what = format!("the last change came {took} round trips after the last fault; {limit} are allowed");
            return broken(self.name(), moved_ms, device, what);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::scene::{at_rest, joined, stored_entry, timed_history};

    fn verdict(moved_ms: u64) -> Option<String> {
        let mut oracle = Live::default();
        let members = [joined(0, true), joined(1, true)].map(|(device, what)| (0, device, what));
        let (device, stored) = stored_entry(1, 1, 0, 1, 7);
        let events = [&members[..], &[(1_000, 0, What::Healed), (moved_ms, device, stored)]].concat();
        assert_eq!(timed_history(&mut oracle, &events), None);
        at_rest(&mut oracle, &[])
    }

    #[test]
    fn what_moves_long_after_the_last_fault_is_late() {
        let limit_ms = (MEETING + 2 * HOP) * ROUND_TRIP_MS;
        assert_eq!(verdict(1_000 + limit_ms), None);
        assert!(verdict(1_001 + limit_ms).unwrap().contains("round trips after the last fault"));
    }
}
