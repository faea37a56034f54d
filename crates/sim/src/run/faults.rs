//! What goes wrong, done. A fault counts as fired when it strikes something: a changed road when a frame, a dial or a heartbeat
//! meets it, a bad disk when an operation fails or is slowed down, a process that ends or sleeps when it runs, and a changed
//! clock always, because it stays changed.

use farshore_store::testing::{Fault as DiskFault, Loss};

use super::host::{Crash, Engine};
use super::path::{FaultNo, Road, Until};
use super::{Event, Run};
use crate::fault::{Fault, FaultKind};
use crate::limits::DISCOVERY_MS;
use crate::observe::{DeviceNo, What};

const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;

impl Run<'_> {
    pub(super) fn fault(&mut self, fault: &Fault) {
        match fault {
            Fault::SlowLink { a, b, latency_ms, for_ms } => {
                let (no, end_ms) = (self.roads.new_fault(*a, fault.kind()), self.now_ms + for_ms);
                self.both_roads(*a, *b, |road| road.latency_ms = Until::new(*latency_ms, end_ms, no));
            }
            Fault::ThinLink { a, b, bytes_per_s, for_ms } => {
                let (no, end_ms) = (self.roads.new_fault(*a, fault.kind()), self.now_ms + for_ms);
                self.both_roads(*a, *b, |road| road.bytes_per_s = Until::new(*bytes_per_s, end_ms, no));
            }
            Fault::Reorder { a, b, jitter_ms, for_ms } => {
                let (no, end_ms) = (self.roads.new_fault(*a, fault.kind()), self.now_ms + for_ms);
                self.both_roads(*a, *b, |road| road.jitter_ms = Until::new(*jitter_ms, end_ms, no));
            }
            Fault::Cut { a, b, for_ms } => {
                let no = self.roads.new_fault(*a, fault.kind());
                self.cut_link(*a, *b, *for_ms, no);
            }
            Fault::Flap { a, b, times, period_ms } => {
                let no = self.roads.new_fault(*a, fault.kind());
                self.flap([*a, *b], *times, *period_ms, no);
            }
            Fault::Partition { group, for_ms } => self.partition(group, *for_ms),
            Fault::OneWay { from, to, for_ms } => {
                let no = self.roads.new_fault(*from, fault.kind());
                self.close_road(*from, *to, *for_ms, no);
            }
            Fault::Duplicate { from, to } => self.roads.of(*from, *to).duplicate = true,
            Fault::Truncate { from, to, bytes } => self.roads.of(*from, *to).truncate = Some((*bytes).max(1)),
            Fault::StopReading { device, from, for_ms } => {
                let (no, end_ms) = (self.roads.new_fault(*device, fault.kind()), self.now_ms + for_ms);
                self.roads.of(*from, *device).unread = Until::new((), end_ms, no);
            }
            Fault::AddressChange { device } => self.move_device(*device),
            Fault::Sleep { device, for_ms } => self.sleep(*device, *for_ms),
            _ => self.machine_fault(fault),
        }
    }

    /// Faults of one device's disk, process and clock.
    fn machine_fault(&mut self, fault: &Fault) {
        match fault {
            Fault::PowerCut { device, after_operations, within_ms, for_ms } => {
                let crash = Crash { operations: *after_operations, power: true, for_ms: *for_ms };
                self.plan_crash(*device, crash, *within_ms);
            }
            Fault::Kill { device, after_operations, within_ms, for_ms } => {
                let crash = Crash { operations: *after_operations, power: false, for_ms: *for_ms };
                self.plan_crash(*device, crash, *within_ms);
            }
            Fault::Restart { device, for_ms } => self.restart(*device, *for_ms),
            Fault::DiskError { device, after_operations, for_ms } => {
                self.break_disk(*device, *after_operations, (DiskFault::Broken, fault.kind()), *for_ms);
            }
            Fault::DiskFull { device, after_operations, for_ms } => {
                self.break_disk(*device, *after_operations, (DiskFault::Full, fault.kind()), *for_ms);
            }
            Fault::SlowDisk { device, sync_ms, for_ms } => {
                self.hosts[*device].disk.slow_sync_ms = Some(*sync_ms);
                self.hosts[*device].idle_slowness = true;
                self.in_ms(*for_ms, Event::SpeedUpDisk { device: *device });
            }
            Fault::ClockSkew { device, by_ms } => self.set_clock(*device, fault.kind(), *by_ms),
            Fault::ClockJump { device, by_ms } => {
                let off_ms = self.hosts[*device].wall_off_ms.saturating_add(*by_ms);
                self.set_clock(*device, fault.kind(), off_ms);
            }
            Fault::ClockYearsBack { device, years } => {
                let off_ms = self.hosts[*device].wall_off_ms.saturating_sub(*years as i64 * YEAR_MS);
                self.set_clock(*device, fault.kind(), off_ms);
            }
            _ => {}
        }
    }

    fn both_roads(&mut self, a: DeviceNo, b: DeviceNo, set: impl Fn(&mut Road)) {
        set(self.roads.of(a, b));
        set(self.roads.of(b, a));
    }

    /// Nothing gets from one device to another for a while, and nobody is told.
    fn close_road(&mut self, from: DeviceNo, to: DeviceNo, for_ms: u64, no: FaultNo) {
        self.roads.close(from, to, self.now_ms, self.now_ms + for_ms, no);
        self.suspect_all(from, Some(to));
    }

    fn partition(&mut self, group: &[DeviceNo], for_ms: u64) {
        let count = self.hosts.len();
        if group.is_empty() || group.len() >= count {
            return;
        }
        let no = self.roads.new_fault(group[0], FaultKind::Partition);
        for a in 0..count {
            for b in (0..count).filter(|b| group.contains(&a) != group.contains(b)) {
                self.close_road(a, b, for_ms, no);
            }
        }
    }

    /// Ends a link at once, at both ends.
    pub(super) fn cut_link(&mut self, a: DeviceNo, b: DeviceNo, for_ms: u64, no: FaultNo) {
        for (from, to) in [(a, b), (b, a)] {
            self.roads.close(from, to, self.now_ms, self.now_ms + for_ms, no);
        }
        for (me, other) in [(a, b), (b, a)] {
            if let Some(link) = self.links.between(me, other) {
                self.roads.strike(no);
                self.end_of(link, me);
            }
        }
    }

    pub(super) fn flap(&mut self, [a, b]: [DeviceNo; 2], left: u32, period_ms: u64, no: FaultNo) {
        if left == 0 || self.healed {
            return;
        }
        self.cut_link(a, b, period_ms / 2, no);
        // The network says that it is back, so both ends dial at once.
        for (me, other) in [(a, b), (b, a)] {
            if let Some(dial) = self.hosts[me].dials.get_mut(&other) {
                (dial.failures, dial.next_ms) = (0, None);
                self.plan_dial(me, other, period_ms / 2 + 1);
            }
        }
        self.in_ms(period_ms, Event::Flap { ends: [a, b], left: left - 1, period_ms, no });
    }

    fn move_device(&mut self, device: DeviceNo) {
        let host = &mut self.hosts[device];
        host.address += 1;
        let address = host.address(device);
        for link in self.links.of(device) {
            let Some(known) = self.links.links.get_mut(&link) else { continue };
            known.dead = true;
            let side = known.side(device).unwrap_or(0);
            self.suspect(link, 1 - side);
        }
        if self.hosts[device].asleep.is_none() {
            self.check_links(device);
            self.feed(device, farshore_core::input::Input::Addresses(vec![address]));
        }
        let wait_ms = self.dice.range(DISCOVERY_MS.0, DISCOVERY_MS.1);
        self.in_ms(wait_ms, Event::Discover { device });
        self.fired(device, FaultKind::AddressChange);
    }

    fn sleep(&mut self, device: DeviceNo, for_ms: u64) {
        if self.hosts[device].asleep.is_some() || !self.hosts[device].runs() {
            return;
        }
        self.hosts[device].asleep = Some((self.now_ms, self.now_ms + for_ms));
        self.suspect_all(device, None);
        self.in_ms(for_ms, Event::Awake { device });
        self.fired(device, FaultKind::Sleep);
    }

    pub(super) fn awake(&mut self, device: DeviceNo) {
        if self.hosts[device].asleep.is_none_or(|(_, until_ms)| until_ms > self.now_ms) {
            return;
        }
        self.hosts[device].woke(self.now_ms);
        self.check_links(device);
        let address = self.hosts[device].address(device);
        self.feed(device, farshore_core::input::Input::Addresses(vec![address]));
        self.redial_all(device);
        self.drain(device);
    }

    /// The network is another one: every peer that is wanted is dialled at once.
    pub(super) fn redial_all(&mut self, device: DeviceNo) {
        let peers: Vec<DeviceNo> = self.hosts[device].dials.keys().copied().collect();
        for peer in peers {
            if let Some(dial) = self.hosts[device].dials.get_mut(&peer) {
                (dial.failures, dial.next_ms) = (0, None);
            }
            let wait_ms = if device < peer { 10 } else { 500 };
            self.plan_dial(device, peer, wait_ms);
        }
    }

    fn plan_crash(&mut self, device: DeviceNo, crash: Crash, within_ms: u64) {
        let host = &mut self.hosts[device];
        if host.crash.is_some() || !host.runs() {
            return;
        }
        host.crash = Some(crash);
        self.in_ms(within_ms, Event::Crash { device, at_operation: None });
    }

    pub(super) fn crash(&mut self, device: DeviceNo, at_operation: Option<u64>) {
        let Some(crash) = self.hosts[device].crash.take() else { return };
        if self.healed || !self.hosts[device].runs() {
            return;
        }
        let loss = if crash.power { Loss::Power } else { Loss::Kill };
        self.fired(device, if crash.power { FaultKind::PowerCut } else { FaultKind::Kill });
        let seed = self.dice.next_u64();
        self.stop(device, crash.power, crash.for_ms);
        self.hosts[device].disk.cut(self.now_ms, at_operation, loss, seed);
    }

    fn restart(&mut self, device: DeviceNo, for_ms: u64) {
        if !self.hosts[device].runs() || self.hosts[device].asleep.is_some() {
            return;
        }
        self.fired(device, FaultKind::Restart);
        // In order means: what was handed to the disk is finished, and what waits for it is answered by nobody.
        while let Some(finished) = self.hosts[device].disk.finish() {
            self.hosts[device].disk.begin(self.now_ms, &self.plan.setup.disk, false, &mut self.dice);
            drop(finished);
        }
        self.stop(device, false, for_ms);
        self.hosts[device].disk.close();
    }

    /// The process is no more.
    fn stop(&mut self, device: DeviceNo, power: bool, for_ms: u64) {
        self.hosts[device].woke(self.now_ms);
        self.end_life(device);
        self.see(device, What::Killed { power });
        self.close_links(device, power);
        self.hosts[device].engine = Engine::Off;
        self.in_ms(for_ms, Event::Boot { device });
    }

    fn break_disk(&mut self, device: DeviceNo, more: u64, (fault, kind): (DiskFault, FaultKind), for_ms: u64) {
        self.hosts[device].disk.fail_after(more, fault);
        self.hosts[device].idle_fault = Some(kind);
        self.in_ms(for_ms, Event::HealDisk { device });
    }

    pub(super) fn heal_disk(&mut self, device: DeviceNo) {
        self.hosts[device].disk.heal();
        self.hosts[device].idle_fault = None;
    }

    /// An operation of a device's disk failed: by the fault that waited for it.
    pub(super) fn disk_struck(&mut self, device: DeviceNo) {
        if let Some(kind) = self.hosts[device].idle_fault.take() {
            self.fired(device, kind);
        }
    }

    pub(super) fn speed_up_disk(&mut self, device: DeviceNo) {
        self.hosts[device].disk.slow_sync_ms = None;
        self.hosts[device].idle_slowness = false;
    }

    fn set_clock(&mut self, device: DeviceNo, kind: FaultKind, off_ms: i64) {
        // Twenty years back and more than once: a clock before 1970 is none.
        self.hosts[device].wall_off_ms = off_ms.max(-50 * YEAR_MS);
        self.fired(device, kind);
    }
}
