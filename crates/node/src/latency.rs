//! How long things take: histograms of the four ways that an app's user waits.
//!
//! Counting is always on: a few additions for each entry. What an entry is measured from is remembered until it is measured,
//! within limits; what does not fit is counted as not measured.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use farshore_core::id::{CollectionTag, JournalId, SpaceId};
use farshore_core::output::ArrivedEntry;
use hdrhistogram::Histogram;

use crate::limits::{LATENCY_ARRIVED, LATENCY_DIGITS, LATENCY_MOST_US, LATENCY_OWN};

/// How long things took, since the node was opened or since they were last reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Latency {
    /// From a write request to its being durable, which is when it returns: one for each request that wrote something.
    pub write_to_durable: Distribution,
    /// From an own entry's being durable to the first receipt of another device: also of what was written offline.
    pub durable_to_receipt: Distribution,
    /// From an entry of another device having come whole to its being in the documents that reads and watchers see.
    pub received_to_visible: Distribution,
    /// From the time at which its author claims to have written an entry to its being visible here. Two clocks are compared:
    /// it is as true as both are right. One that would be negative counts as 0.
    pub claimed_to_visible: Distribution,
    /// Entries that were not measured, because too many waited to be.
    pub unmeasured: u64,
}

/// A distribution of times, in microseconds, each exact to two digits. All 0 while nothing was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Distribution {
    /// How many.
    pub count: u64,
    /// The least.
    pub min_us: u64,
    /// Half take no longer.
    pub p50_us: u64,
    /// Nine of ten take no longer.
    pub p90_us: u64,
    /// 99 of 100 take no longer.
    pub p99_us: u64,
    /// The most. Times over an hour count as an hour.
    pub max_us: u64,
}

impl Distribution {
    fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Distribution::default();
        }
        Distribution {
            count: histogram.len(),
            min_us: histogram.min(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

/// The histograms and what waits to be measured. Shared by the driver, which records, and the handles, which read.
#[derive(Debug)]
pub(crate) struct Latencies(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    write: Histogram<u64>,
    receipt: Histogram<u64>,
    visible: Histogram<u64>,
    claimed: Histogram<u64>,
    unmeasured: u64,
    /// Own entries that are durable and that nobody has receipted: place and time.
    own: BTreeMap<(SpaceId, CollectionTag), VecDeque<(u64, u64)>>,
    own_count: usize,
    /// Entries of others that have come and are not visible.
    arrived: BTreeMap<(SpaceId, JournalId), VecDeque<ArrivedEntry>>,
    arrived_count: usize,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MOST_US, LATENCY_DIGITS).expect("the bounds are constants that it accepts")
}

fn record(histogram: &mut Histogram<u64>, micros: u64) {
    histogram.saturating_record(micros.clamp(1, LATENCY_MOST_US));
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies(Mutex::new(Inner {
            write: histogram(),
            receipt: histogram(),
            visible: histogram(),
            claimed: histogram(),
            unmeasured: 0,
            own: BTreeMap::new(),
            own_count: 0,
            arrived: BTreeMap::new(),
            arrived_count: 0,
        }))
    }
}

impl Latencies {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> Latency {
        let inner = self.inner();
        Latency {
            write_to_durable: Distribution::of(&inner.write),
            durable_to_receipt: Distribution::of(&inner.receipt),
            received_to_visible: Distribution::of(&inner.visible),
            claimed_to_visible: Distribution::of(&inner.claimed),
            unmeasured: inner.unmeasured,
        }
    }

    /// Counts anew. What waits to be measured still is, and counts from now on.
    pub(crate) fn reset(&self) {
        let mut inner = self.inner();
        for histogram in [histogram(), histogram(), histogram(), histogram()].into_iter().zip(inner.all()) {
            *histogram.1 = histogram.0;
        }
        inner.unmeasured = 0;
    }

    /// A write request is durable after so long.
    pub(crate) fn written(&self, micros: u64) {
        record(&mut self.inner().write, micros);
    }

    /// An own entry became durable at this time.
    pub(crate) fn durable(&self, space: SpaceId, collection: CollectionTag, seq: u64, now_us: u64) {
        let mut inner = self.inner();
        let last = inner.own.get(&(space, collection)).and_then(|waiting| waiting.back()).map_or(0, |(last, _)| *last);
        if last >= seq {
            return; // Several requests share an entry: the first that is told counts it.
        }
        if inner.own_count >= LATENCY_OWN {
            inner.unmeasured += 1;
            return;
        }
        inner.own.entry((space, collection)).or_default().push_back((seq, now_us));
        inner.own_count += 1;
    }

    /// Somebody holds own entries up to here.
    pub(crate) fn receipted(&self, space: SpaceId, collection: CollectionTag, seq: u64, now_us: u64) {
        let mut inner = self.inner();
        let Some(mut waiting) = inner.own.remove(&(space, collection)) else { return };
        while let Some((_, at)) = pop_if(&mut waiting, |(known, _)| *known <= seq) {
            record(&mut inner.receipt, now_us.saturating_sub(at));
            inner.own_count -= 1;
        }
        if !waiting.is_empty() {
            inner.own.insert((space, collection), waiting);
        }
    }

    /// Entries of others have come.
    pub(crate) fn arrived(&self, space: SpaceId, journal: JournalId, entries: &[ArrivedEntry]) {
        let mut inner = self.inner();
        let room = LATENCY_ARRIVED.saturating_sub(inner.arrived_count).min(entries.len());
        inner.unmeasured += (entries.len() - room) as u64;
        inner.arrived_count += room;
        if room > 0 {
            inner.arrived.entry((space, journal)).or_default().extend(&entries[..room]);
        }
    }

    /// Entries of others are visible, up to here.
    pub(crate) fn visible(&self, space: SpaceId, journal: JournalId, seq: u64, mono_ms: u64, wall_ms: u64) {
        let mut inner = self.inner();
        let Some(mut waiting) = inner.arrived.remove(&(space, journal)) else { return };
        while let Some(entry) = pop_if(&mut waiting, |entry| entry.seq <= seq) {
            record(&mut inner.visible, mono_ms.saturating_sub(entry.arrived_ms).saturating_mul(1000));
            record(&mut inner.claimed, wall_ms.saturating_sub(entry.claimed_ms).saturating_mul(1000));
            inner.arrived_count -= 1;
        }
        if !waiting.is_empty() {
            inner.arrived.insert((space, journal), waiting);
        }
    }

    /// The replica began a new life: nothing that waited will be told of.
    pub(crate) fn forget_waiting(&self) {
        let mut inner = self.inner();
        inner.unmeasured += (inner.own_count + inner.arrived_count) as u64;
        (inner.own_count, inner.arrived_count) = (0, 0);
        inner.own.clear();
        inner.arrived.clear();
    }
}

fn pop_if<T>(queue: &mut VecDeque<T>, due: impl Fn(&T) -> bool) -> Option<T> {
    if due(queue.front()?) { queue.pop_front() } else { None }
}

impl Inner {
    fn all(&mut self) -> [&mut Histogram<u64>; 4] {
        [&mut self.write, &mut self.receipt, &mut self.visible, &mut self.claimed]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farshore_core::id::{DeviceId, Incarnation};

    const SPACE: SpaceId = SpaceId([1; 32]);
    const COLLECTION: CollectionTag = CollectionTag([2; 16]);
    const JOURNAL: JournalId =
        JournalId { collection: COLLECTION, device: DeviceId([3; 32]), incarnation: Incarnation([4; 16]) };

    fn entry(seq: u64, arrived_ms: u64, claimed_ms: u64) -> ArrivedEntry {
        ArrivedEntry { seq, bytes: 400, claimed_ms, arrived_ms }
    }

    /// Within the two digits that a histogram keeps.
    fn about(value: u64, expected: u64) -> bool {
        value.abs_diff(expected) * 50 <= expected
    }

    #[test]
    fn each_entry_is_measured_once_from_when_it_was_durable_to_its_first_receipt() {
        let latencies = Latencies::default();
        latencies.durable(SPACE, COLLECTION, 1, 1_000);
        latencies.durable(SPACE, COLLECTION, 1, 2_000); // Another request in the same entry.
        latencies.durable(SPACE, COLLECTION, 2, 5_000);
        latencies.receipted(SPACE, COLLECTION, 1, 11_000);
        assert_eq!(latencies.read().durable_to_receipt.count, 1);
        latencies.receipted(SPACE, COLLECTION, 2, 105_000);
        latencies.receipted(SPACE, COLLECTION, 2, 999_000); // From a second device.
        let receipts = latencies.read().durable_to_receipt;
        assert_eq!(receipts.count, 2);
        assert!(about(receipts.min_us, 10_000) && about(receipts.max_us, 100_000), "{receipts:?}");
    }

    #[test]
    fn an_entry_of_another_is_measured_when_it_is_visible_and_a_clock_ahead_counts_as_no_time() {
        let latencies = Latencies::default();
        latencies.arrived(SPACE, JOURNAL, &[entry(1, 100, 5_000), entry(2, 150, 9_000)]);
        latencies.visible(SPACE, JOURNAL, 1, 140, 7_000);
        let read = latencies.read();
        assert_eq!((read.received_to_visible.count, read.claimed_to_visible.count), (1, 1));
        assert!(about(read.received_to_visible.max_us, 40_000), "{read:?}");
        assert!(about(read.claimed_to_visible.max_us, 2_000_000), "{read:?}");
        latencies.visible(SPACE, JOURNAL, 2, 150, 8_000);
        let read = latencies.read();
        assert_eq!((read.claimed_to_visible.count, read.claimed_to_visible.min_us), (2, 1));
    }

    #[test]
    fn what_waits_is_bounded_and_what_does_not_fit_is_counted() {
        let latencies = Latencies::default();
        for seq in 1..=(LATENCY_OWN as u64 + 3) {
            latencies.durable(SPACE, COLLECTION, seq, 0);
        }
        let entries: Vec<_> = (1..=LATENCY_ARRIVED as u64 + 4).map(|seq| entry(seq, 0, 0)).collect();
        latencies.arrived(SPACE, JOURNAL, &entries);
        assert_eq!(latencies.read().unmeasured, 7);
        latencies.receipted(SPACE, COLLECTION, u64::MAX, 1);
        latencies.visible(SPACE, JOURNAL, u64::MAX, 1, 1);
        let read = latencies.read();
        assert_eq!(read.durable_to_receipt.count, LATENCY_OWN as u64);
        assert_eq!(read.received_to_visible.count, LATENCY_ARRIVED as u64);
        latencies.durable(SPACE, COLLECTION, u64::MAX, 1);
        assert_eq!(latencies.read().unmeasured, 7, "there is room again");
    }

    #[test]
    fn a_reset_forgets_what_was_counted_and_not_what_waits() {
        let latencies = Latencies::default();
        latencies.written(10);
        latencies.durable(SPACE, COLLECTION, 1, 0);
        latencies.reset();
        assert_eq!(latencies.read(), Latency::default());
        latencies.receipted(SPACE, COLLECTION, 1, 10);
        assert_eq!(latencies.read().durable_to_receipt.count, 1);
    }
}
