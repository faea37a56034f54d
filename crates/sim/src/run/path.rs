//! What lies between two devices: how slow, how thin, and which way it is closed.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::fault::FaultKind;
use crate::observe::DeviceNo;
use crate::plan::NetworkOptions;

/// Which fault changed a road; 0 for none.
pub(super) type FaultNo = u64;

/// A value that holds until a moment, by some fault.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Until<T> {
    value: T,
    end_ms: u64,
    fault: FaultNo,
}

impl<T: Copy> Until<T> {
    pub(super) fn new(value: T, end_ms: u64, fault: FaultNo) -> Until<T> {
        Until { value, end_ms, fault }
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
    faults: FaultNo,
    /// Faults that have met no traveller yet.
    idle: BTreeMap<FaultNo, (DeviceNo, FaultKind)>,
    /// Faults that have, since this was last asked.
    struck: Vec<(DeviceNo, FaultKind)>,
}

impl Roads {
    pub(super) fn new(options: NetworkOptions) -> Roads {
        Roads { options, roads: BTreeMap::new(), faults: 0, idle: BTreeMap::new(), struck: Vec::new() }
    }

    /// A fault that is about to change roads. It has struck once a frame, a dial or a heartbeat meets one of them.
    pub(super) fn new_fault(&mut self, device: DeviceNo, kind: FaultKind) -> FaultNo {
        self.faults += 1;
        self.idle.insert(self.faults, (device, kind));
        self.faults
    }

    /// Something met this fault.
    pub(super) fn strike(&mut self, fault: FaultNo) {
        self.struck.extend(self.idle.remove(&fault));
    }

    /// The faults that struck since this was last asked, each once.
    pub(super) fn struck(&mut self) -> Vec<(DeviceNo, FaultKind)> {
        std::mem::take(&mut self.struck)
    }

    pub(super) fn of(&mut self, from: DeviceNo, to: DeviceNo) -> &mut Road {
        self.roads.entry((from, to)).or_default()
    }

    fn get(&self, from: DeviceNo, to: DeviceNo) -> Road {
        self.roads.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Closes a road until `end_ms`, or longer if it is closed for longer already.
    pub(super) fn close(&mut self, from: DeviceNo, to: DeviceNo, now_ms: u64, end_ms: u64, fault: FaultNo) {
        let road = self.of(from, to);
        let since = road.closed.at(now_ms).unwrap_or(now_ms);
        let fault = if fault == 0 { road.closed.fault } else { fault };
        road.closed = Until::new(since, end_ms.max(road.closed.end_ms), fault);
    }

    /// Since when and until when a road is closed, if it is.
    pub(super) fn closed(&mut self, from: DeviceNo, to: DeviceNo, now_ms: u64) -> Option<(u64, u64)> {
        let closed = self.get(from, to).closed;
        let since_ms = closed.at(now_ms)?;
        self.strike(closed.fault);
        Some((since_ms, closed.end_ms))
    }

    /// Until when the receiver reads nothing, if it does not.
    pub(super) fn unread(&mut self, from: DeviceNo, to: DeviceNo, now_ms: u64) -> Option<u64> {
        let unread = self.get(from, to).unread;
        unread.at(now_ms)?;
        self.strike(unread.fault);
        Some(unread.end_ms)
    }

    /// A one-way delay.
    pub(super) fn latency_ms(&mut self, from: DeviceNo, to: DeviceNo, now_ms: u64, dice: &mut Dice<'_>) -> u64 {
        let road = self.get(from, to);
        let (slow, jitter) = (road.latency_ms.at(now_ms), road.jitter_ms.at(now_ms));
        if slow.is_some() {
            self.strike(road.latency_ms.fault);
        }
        if jitter.is_some() {
            self.strike(road.jitter_ms.fault);
        }
        let (least, most) = slow.unwrap_or(self.options.latency_ms);
        let jitter = jitter.map_or(0, |most| dice.range(0, most));
        dice.range(least, most) + jitter
    }

    /// How many bytes a second; `None` for no limit.
    pub(super) fn bytes_per_s(&mut self, from: DeviceNo, to: DeviceNo, now_ms: u64) -> Option<u64> {
        let road = self.get(from, to).bytes_per_s;
        let thin = road.at(now_ms);
        if thin.is_some() {
            self.strike(road.fault);
        }
        let limit = thin.unwrap_or(self.options.bytes_per_s);
        (limit > 0).then_some(limit)
    }

    /// All faults are over.
    pub(super) fn heal(&mut self, options: NetworkOptions) {
        *self = Roads::new(options);
    }
}
