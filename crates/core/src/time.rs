//! The hybrid logical clock: claimed times that respect cause and effect and stay near the wall clock.
//!
//! A time is 48 bits of milliseconds since 1970 and 16 bits of counter. It is a claim for people and audits; validity and
//! merging never depend on it (I4). Source: Kulkarni et al., "Logical Physical Clocks", 2014.

use crate::limits::CLOCK_AHEAD_MS;

/// A claimed time: `milliseconds << 16 | counter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HybridTime(pub u64);

impl HybridTime {
    /// Milliseconds since 1970.
    pub fn unix_ms(self) -> u64 {
        self.0 >> 16
    }
}

/// This device's clock. It never repeats a time and never goes back, whatever the wall clock does.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    last: HybridTime,
}

impl Clock {
    /// Goes on from the last time used before a restart.
    pub fn resume(last: HybridTime) -> Self {
        Clock { last }
    }

    /// The last time given or seen.
    pub fn last(&self) -> HybridTime {
        self.last
    }

    /// A time later than every time given or accepted before, at or after `wall_ms`.
    pub fn tick(&mut self, wall_ms: u64) -> HybridTime {
        let wall = HybridTime(wall_ms.min((1 << 48) - 1) << 16);
        self.last = wall.max(HybridTime(self.last.0.saturating_add(1)));
        self.last
    }

    /// Takes notice of a peer's time. One that is over 24 hours ahead of `wall_ms` is kept as that peer's claim only: a liar
    /// must not drag everybody's clock along.
    pub fn observe(&mut self, remote: HybridTime, wall_ms: u64) {
        if remote.unix_ms() <= wall_ms.saturating_add(CLOCK_AHEAD_MS) {
            self.last = self.last.max(remote);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_never_repeat_or_go_back_when_the_wall_clock_does() {
        let mut clock = Clock::default();
        let first = clock.tick(1_000);
        let second = clock.tick(1_000);
        let third = clock.tick(10);
        assert!(first < second && second < third);
        assert_eq!(third.unix_ms(), 1_000);
    }

    #[test]
    fn a_peer_a_year_ahead_does_not_move_the_clock() {
        let mut clock = Clock::default();
        clock.observe(HybridTime((365 * 24 * 3_600_000) << 16), 1_000);
        assert_eq!(clock.tick(1_000).unix_ms(), 1_000);
        clock.observe(HybridTime(5_000 << 16), 1_000);
        assert!(clock.tick(1_000) > HybridTime(5_000 << 16));
    }
}
