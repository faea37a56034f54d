//! The only reader of clocks and of the operating system's randomness. Everything else gets both as data (invariant I2).
#![allow(clippy::disallowed_methods)] // This module is the exception that the ban names.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use farshore_core::input::Now;

use crate::error::Error;

/// Both clocks of this machine. Its monotonic zero is when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
    pub(crate) fn new() -> Self {
        Clock { start: Instant::now() }
    }

    /// Reads both clocks.
    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: to_ms(self.start.elapsed()), wall_ms: wall_ms() }
    }

    /// Microseconds on the monotonic clock, for measuring.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The instant at which [`Clock::now`] says `mono_ms`, for a timer.
    pub(crate) fn instant(&self, mono_ms: u64) -> Instant {
        // A timer of more than a century is none; adding it whole could overflow.
        self.start + Duration::from_millis(mono_ms.min(CENTURY_MS))
    }
}

const CENTURY_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// Milliseconds since 1970 on the wall clock; 0 on a machine whose clock stands before that.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(to_ms).unwrap_or(0)
}

fn to_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Random bytes fit for keys.
///
/// # Errors
/// When the operating system has none: nothing can be done safely then.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|cause| Error::Randomness { cause: cause.to_string() })?;
    Ok(out)
}
