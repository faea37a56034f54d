//! Many seeds, several at a time, recorded: what a range of seeds and a sweep of power cuts have in common.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::args::Long;
use crate::record::{Counted, Record, cpu_ms, done, read};

/// What a count has come to.
pub(crate) struct Outcome<T> {
    /// Every seed of the range that has run, now or before.
    pub(crate) all: BTreeMap<u64, T>,
    /// How many of them ran now, and how long that took.
    pub(crate) fresh: u64,
    pub(crate) took_s: f64,
    /// Whether seeds are left, because time was up.
    pub(crate) unfinished: bool,
}

struct Shared<T> {
    all: BTreeMap<u64, T>,
    record: Option<Record>,
    error: Option<String>,
    fresh: u64,
}

/// How far a count is, for its lines of progress.
pub(crate) struct Progress<'a, T> {
    pub(crate) all: &'a BTreeMap<u64, T>,
    pub(crate) fresh: u64,
    pub(crate) left: u64,
    pub(crate) each_s: f64,
}

/// Runs what the record does not hold yet, until all is done or time is up. `tell` is called after each, one at a time.
///
/// # Errors
/// The record cannot be read or written.
pub(crate) fn run<T: Counted + Send + Sync>(
    long: &Long,
    seeds: Range<u64>,
    one: impl Fn(u64) -> T + Sync,
    tell: impl Fn(&T, &Progress<'_, T>) + Sync,
) -> Result<Outcome<T>, String> {
    let (mut all, mut record) = (BTreeMap::new(), None);
    if let Some(path) = &long.record {
        all = done::<T>(read(path)?, &long.sources);
        all.retain(|seed, _| seeds.contains(seed));
        record = Some(Record::open(path, &long.commit, &long.sources)?);
    }
    #[expect(clippy::disallowed_methods, reason = "only how long the runs took is read off a clock")]
    let begun = Instant::now();
    let deadline = long.for_s.map(Duration::from_secs);
    let next = AtomicU64::new(seeds.start);
    let shared = Mutex::new(Shared { all, record, error: None, fresh: 0 });
    let lock = || -> MutexGuard<'_, Shared<T>> { shared.lock().unwrap_or_else(PoisonError::into_inner) };
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let late = deadline.is_some_and(|deadline| begun.elapsed() >= deadline);
            if seed >= seeds.end || late || lock().error.is_some() {
                return;
            }
            if lock().all.contains_key(&seed) {
                continue;
            }
            let before_ms = cpu_ms();
            let found = one(seed);
            let spent_ms = cpu_ms() - before_ms;
            let mut shared = lock();
            if let Some(record) = &mut shared.record {
                let added = record.add(&found, spent_ms);
                shared.error = added.err();
            }
            shared.fresh += 1;
            let fresh = shared.fresh;
            let (left, each_s) = (seeds.end - seed - 1, begun.elapsed().as_secs_f64() / fresh as f64);
            tell(&found, &Progress { all: &shared.all, fresh, left, each_s });
            shared.all.insert(seed, found);
        }
    };
    std::thread::scope(|scope| {
        (0..long.jobs.max(1)).for_each(|_| drop(scope.spawn(work)));
    });
    let took_s = begun.elapsed().as_secs_f64();
    let Shared { all, error, fresh, .. } = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    match error {
        Some(error) => Err(error),
        None => Ok(Outcome { unfinished: (all.len() as u64) < seeds.end - seeds.start, all, fresh, took_s }),
    }
}
