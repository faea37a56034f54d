//! What lies between two devices: how slow, how thin, and which way it is closed.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::observe::DeviceNo;
use crate::plan::NetworkOptions;

/// A value that holds until a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Until<T> {
    value: T,
    end_ms: u64,
}

impl<T: Copy> Until<T> {
    pub(super) fn new(value: T, end_ms: u64) -> Until<T> {
        Until { value, end_ms }
    }

    pub(super) fn at(&self, now_ms: u64) -> Option<T> {
        (now_ms < self.end_ms).then_some(self.value)
    }
}

/// One way from a device to another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Road {
    /// Nothing gets through, since when and until when.
    pub(super) closed: Until<u64>,
    /// The receiver reads nothing until then.
    pub(super) unread: Until<()>,
    pub(super) latency_ms: Until<(u64, u64)>,
    pub(super) bytes_per_s: Until<u64>,
    pub(super) jitter_ms: Until<u64>,
    /// The next frame arrives twice.
    pub(super) duplicate: bool,
    /// The next frame arrives without so many bytes.
    pub(super) truncate: Option<u64>,
}

/// All roads, as faults have changed them.
#[derive(Debug)]
pub(super) struct Roads {
    options: NetworkOptions,
    roads: BTreeMap<(DeviceNo, DeviceNo), Road>,
}

impl Roads {
    pub(super) fn new(options: NetworkOptions) -> Roads {
        Roads { options, roads: BTreeMap::new() }
    }

    pub(super) fn of(&mut self, from: DeviceNo, to: DeviceNo) -> &mut Road {
        self.roads.entry((from, to)).or_default()
    }

    fn get(&self, from: DeviceNo, to: DeviceNo) -> Road {
        self.roads.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Closes a road until `end_ms`, or longer if it is closed for longer already.
    pub(super) fn close(&mut self, from: DeviceNo, to: DeviceNo, now_ms: u64, end_ms: u64) {
        let road = self.of(from, to);
        let since = road.closed.at(now_ms).unwrap_or(now_ms);
        road.closed = Until::new(since, end_ms.max(road.closed.end_ms));
    }

    /// Since when and until when a road is closed, if it is.
    pub(super) fn closed(&self, from: DeviceNo, to: DeviceNo, now_ms: u64) -> Option<(u64, u64)> {
        let closed = self.get(from, to).closed;
        closed.at(now_ms).map(|since| (since, closed.end_ms))
    }

    /// Until when the receiver reads nothing, if it does not.
    pub(super) fn unread(&self, from: DeviceNo, to: DeviceNo, now_ms: u64) -> Option<u64> {
        let unread = self.get(from, to).unread;
        unread.at(now_ms).map(|()| unread.end_ms)
    }

    /// A one-way delay.
    pub(super) fn latency_ms(&self, from: DeviceNo, to: DeviceNo, now_ms: u64, dice: &mut Dice<'_>) -> u64 {
        let road = self.get(from, to);
        let (least, most) = road.latency_ms.at(now_ms).unwrap_or(self.options.latency_ms);
        let jitter = road.jitter_ms.at(now_ms).map_or(0, |most| dice.range(0, most));
        dice.range(least, most) + jitter
    }

    /// How many bytes a second; `None` for no limit.
    pub(super) fn bytes_per_s(&self, from: DeviceNo, to: DeviceNo, now_ms: u64) -> Option<u64> {
        let limit = self.get(from, to).bytes_per_s.at(now_ms).unwrap_or(self.options.bytes_per_s);
        (limit > 0).then_some(limit)
    }

    /// All faults are over.
    pub(super) fn heal(&mut self, options: NetworkOptions) {
        *self = Roads::new(options);
    }
}
