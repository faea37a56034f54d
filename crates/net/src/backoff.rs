//! [`BackOff`]: how long to wait before the next dial of a peer.

use std::time::Duration;

use crate::limits::{BACK_OFF_FIRST, BACK_OFF_MOST};

/// Waits of 1, 2, 4 ... 60 s, each spread by half of itself either way.
///
/// The spread is what keeps two nodes, or a thousand, that lost each other at the same moment from dialling in step.
#[derive(Debug, Clone, Default)]
pub(crate) struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The next wait; `random` is any 64 random bits.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let base = BACK_OFF_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACK_OFF_MOST);
        self.failures = self.failures.saturating_add(1);
        spread(base / 2, base + base / 2, random)
    }

    /// Starts over: something happened that makes success likely.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Dials that failed since the last reset.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

/// A duration between two, chosen by 64 random bits.
pub(crate) fn spread(least: Duration, most: Duration, random: u64) -> Duration {
    let width = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
    least + Duration::from_micros(((u128::from(random) * u128::from(width)) >> 64) as u64)
}

/// 64 random bits for jitter. Without a working OS source all nodes would wait equally long, which is safe.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_over() {
        let mut back_off = BackOff::default();
        let middle = u64::MAX / 2;
        let waits: Vec<u64> = (0..9).map(|_| back_off.next(middle).as_secs_f64().round() as u64).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        back_off.reset();
        assert_eq!(back_off.next(middle).as_secs_f64().round() as u64, 1);
    }

    #[test]
    fn jitter_stays_within_half_either_way() {
        for random in [0, 1, u64::MAX / 3, u64::MAX] {
            let wait = BackOff { failures: 20 }.next(random);
            assert!(wait >= Duration::from_secs(30) && wait <= Duration::from_secs(90), "{wait:?}");
        }
    }
}
