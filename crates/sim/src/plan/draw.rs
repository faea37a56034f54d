//! From chance to a plan.
//!
//! Each plan enables a random subset of the kinds of faults ("swarm testing": Groce et al., 2012): a run in which everything
//! goes wrong at once never reaches what takes a long calm time, and a fault that always masks another hides its defects.

use super::{
    Action, DiskOptions, Member, MemberRole, NetworkOptions, PLAN_VERSION, Plan, Profile, Setup, Timed, Topology, Wish,
};
use crate::byzantine::ByzantineKind;
use crate::dice::Dice;
use crate::fault::{Fault, FaultKind};
use crate::workload::Workload;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Of how many kinds a plan with faults has at least some.
const LEAST_KINDS: usize = 4;

/// How long, how much.
struct Sizes {
    devices: usize,
    end_ms: u64,
    edits: usize,
    faults: usize,
}

/// Draws a plan. `seed` is what choices during the run start from, and what a person types to repeat it.
pub fn draw(dice: &mut Dice<'_>, seed: u64, profile: Profile) -> Plan {
    let sizes = sizes(dice, profile);
    let mut setup = setup(dice, seed, profile, &sizes);
    let mut actions = acts(dice, &setup, &sizes);
    if sizes.faults > 0 {
        let kinds = enabled(dice);
        faults(dice, &setup, &kinds, sizes.faults, &mut actions);
    }
    let turned = match profile {
        Profile::Byzantine => true,
        // Below three there would be nobody left to compare with.
        Profile::Small => sizes.devices > 2 && dice.below(4) == 1,
        _ => false,
    };
    if turned {
        turns(dice, &mut setup, &mut actions);
    }
    if profile == Profile::Selective {
        choices(dice, &mut setup, &mut actions);
    }
    if profile == Profile::Checkpoints {
        checkpoints(dice, &mut setup, &mut actions);
    }
    actions.sort_by_key(|timed| timed.at_ms);
    Plan { setup, actions }
}

fn sizes(dice: &mut Dice<'_>, profile: Profile) -> Sizes {
    match profile {
        Profile::Week => Sizes { devices: 30, end_ms: 7 * DAY_MS, edits: 30 * 7 * 144, faults: 2_000 },
        // An act edits 1.2 documents in the mean: on each device one document a second.
        Profile::Busy => Sizes { devices: 10, end_ms: 10 * MINUTE_MS, edits: 10 * 500, faults: 0 },
        Profile::Byzantine => Sizes {
            devices: dice.range(5, 8) as usize,
            end_ms: dice.magnitude(2 * MINUTE_MS, 10 * MINUTE_MS),
            edits: dice.range(120, 240) as usize,
            faults: dice.range(4, 16) as usize,
        },
        Profile::Small => Sizes {
            devices: dice.range(2, 4) as usize,
            end_ms: 2 * MINUTE_MS,
            edits: dice.range(1, 40) as usize,
            faults: dice.below(13) as usize,
        },
        Profile::Mixed | Profile::Selective | Profile::Checkpoints | Profile::Quiet => {
            let devices = match dice.below(100) {
                0..10 => dice.range(2, 4),
                10..75 => 5,
                75..92 => dice.range(6, 7),
                92..98 => dice.range(8, 12),
                _ => dice.range(13, 24),
            };
            let end_ms = dice.magnitude(2 * MINUTE_MS, 40 * MINUTE_MS);
            let faults = if profile != Profile::Quiet { dice.range(24, 60) as usize } else { 0 };
            Sizes { devices: devices as usize, end_ms, edits: dice.range(320, 400) as usize, faults }
        }
    }
}

fn setup(dice: &mut Dice<'_>, seed: u64, profile: Profile, sizes: &Sizes) -> Setup {
    let drawn = !matches!(profile, Profile::Week | Profile::Busy);
    let member = |number: usize, dice: &mut Dice<'_>| {
        let role = match (number, dice.below(10)) {
            (0, _) => MemberRole::Admin,
            (_, 0) if drawn => MemberRole::Reader,
            (_, 1) if drawn => MemberRole::Admin,
            _ => MemberRole::Writer,
        };
        let late = number > 1 && drawn && dice.percent(15);
        Member { role, joins_ms: if late { dice.below(sizes.end_ms / 2) } else { 0 } }
    };
    let latency_ms = match dice.below(4) {
        0 if drawn => (20, 120),
        1 if drawn => (5, 40),
        _ => (1, 3),
    };
    Setup {
        version: PLAN_VERSION,
        seed,
        members: (0..sizes.devices).map(|number| member(number, dice)).collect(),
        topology: if drawn { topology(dice, sizes.devices) } else { Topology::Mesh },
        network: NetworkOptions { latency_ms, bytes_per_s: 0 },
        disk: DiskOptions {
            sync_ms: if drawn && dice.percent(25) { (5, 30) } else { (1, 3) },
            bytes_per_s: 100_000_000,
            read_ms: (0, 2),
        },
        job_ms: (0, if drawn && dice.percent(25) { 20 } else { 2 }),
        workload: if drawn { Workload::draw(dice) } else { Workload::default() },
        end_ms: sizes.end_ms,
    }
}

fn topology(dice: &mut Dice<'_>, devices: usize) -> Topology {
    match dice.below(10) {
        0 => Topology::Line,
        1 => Topology::Star,
        2 => Topology::Ring,
        3 | 4 => {
            let pairs = (0..devices).map(|_| (dice.index(devices), dice.index(devices))).filter(|(a, b)| a != b);
            Topology::Pairs(pairs.collect())
        }
        _ => Topology::Mesh,
    }
}

/// The space and its members need a moment before there is anything to edit, or to break.
fn begin_ms(setup: &Setup) -> u64 {
    8 * SECOND_MS + setup.members.len() as u64 * 500
}

/// Users' acts: spread over time, in bursts, some devices busier than others.
fn acts(dice: &mut Dice<'_>, setup: &Setup, sizes: &Sizes) -> Vec<Timed> {
    let begin_ms = begin_ms(setup);
    let writers: Vec<(u32, usize)> = setup
        .members
        .iter()
        .enumerate()
        .map(|(number, member)| (if member.role == MemberRole::Reader { 1 } else { dice.range(4, 24) as u32 }, number))
        .collect();
    let mut actions = Vec::with_capacity(sizes.edits);
    while actions.len() < sizes.edits {
        let mut at_ms = dice.range(begin_ms, setup.end_ms.max(begin_ms + 1));
        let burst = if dice.percent(20) { dice.range(2, 8) } else { 1 };
        let device = dice.weighted(&writers).unwrap_or(0);
        for _ in 0..burst {
            actions.push(Timed { at_ms, action: Action::Act { device, dice: dice.next_u64() } });
            at_ms += dice.below(40);
        }
        if dice.percent(1) {
            actions.push(Timed { at_ms, action: Action::SyncNow { device } });
        }
    }
    actions
}

fn enabled(dice: &mut Dice<'_>) -> Vec<FaultKind> {
    loop {
        let kinds: Vec<FaultKind> = FaultKind::ALL.iter().copied().filter(|_| dice.percent(50)).collect();
        if kinds.len() >= LEAST_KINDS {
            return kinds;
        }
        // A fuzzer's bytes may be used up: then every choice is the first one, for ever.
        if dice.next_u64() == 0 {
            return FaultKind::ALL.to_vec();
        }
    }
}

fn faults(dice: &mut Dice<'_>, setup: &Setup, kinds: &[FaultKind], count: usize, actions: &mut Vec<Timed>) {
    for _ in 0..count {
        let Some(kind) = dice.pick(kinds).copied() else { return };
        let at_ms = dice.range(begin_ms(setup), setup.end_ms);
        let fault = fault(dice, setup, kind);
        actions.push(Timed { at_ms, action: Action::Fault(fault) });
    }
}

/// Collections that users choose among: those of the built-in workload. Choices about one that an app does not have do nothing.
const CHOSEN_COLLECTIONS: usize = 2;

/// Users who change what their devices keep up, ask for it by hand, and pause. All can reach all: what a device in the middle does
/// not want would otherwise not arrive, as it should be.
fn choices(dice: &mut Dice<'_>, setup: &mut Setup, actions: &mut Vec<Timed>) {
    setup.topology = Topology::Mesh;
    let count = setup.members.len();
    for _ in 0..dice.range(20, 60) {
        let (at_ms, device) = (dice.range(begin_ms(setup), setup.end_ms), dice.index(count));
        let action = match dice.below(10) {
            0 => Action::Pause { device, paused: true },
            1 | 2 => Action::Pause { device, paused: false },
            3 => Action::SyncNow { device },
            _ => {
                let wishes = [Wish::Eager, Wish::Normal, Wish::Lazy, Wish::Manual, Wish::None, Wish::None];
                let priority = dice.pick(&wishes).copied().unwrap_or(Wish::None);
                Action::Subscribe { device, collection: dice.index(CHOSEN_COLLECTIONS), priority }
            }
        };
        actions.push(Timed { at_ms, action });
    }
}

/// Checkpoints, and devices that join when there are some. All can reach all: one that has yet to join would break a line.
fn checkpoints(dice: &mut Dice<'_>, setup: &mut Setup, actions: &mut Vec<Timed>) {
    setup.topology = Topology::Mesh;
    let count = setup.members.len();
    for member in setup.members.iter_mut().skip(1) {
        if dice.percent(50) {
            member.joins_ms = dice.range(setup.end_ms / 3, setup.end_ms * 9 / 10);
        }
    }
    for _ in 0..dice.range(8, 24) {
        let at_ms = dice.range(begin_ms(setup), setup.end_ms);
        // An admin's is believed at once; of writers two must agree.
        let device = if dice.percent(50) { 0 } else { dice.index(count) };
        let collection = dice.index(CHOSEN_COLLECTIONS);
        actions.push(Timed { at_ms, action: Action::Checkpoint { device, collection } });
    }
}

/// Devices that fall into bad hands. The honest ones can reach one another without them: all can reach the first.
fn turns(dice: &mut Dice<'_>, setup: &mut Setup, actions: &mut Vec<Timed>) {
    let count = setup.members.len();
    if matches!(setup.topology, Topology::Line | Topology::Ring) {
        setup.topology = Topology::Mesh;
    }
    for number in 0..dice.range(1, 2) as usize {
        let device = 1 + (dice.index(count - 1) + number) % (count - 1);
        let Some(kind) = dice.pick(ByzantineKind::ALL).copied() else { return };
        setup.members[device].joins_ms = 0;
        setup.members[device].role = match kind {
            ByzantineKind::Scribe => MemberRole::Reader,
            _ => MemberRole::Writer,
        };
        // Now and then the device is off or asleep at the time: then it is tried again.
        let first_ms = dice.range(10 * SECOND_MS, setup.end_ms / 2);
        for again in 0..4 {
            actions.push(Timed { at_ms: first_ms + again * 15 * SECOND_MS, action: Action::Turn { device, kind } });
        }
    }
}

/// A pair of devices that can reach each other.
fn pair(dice: &mut Dice<'_>, setup: &Setup) -> (usize, usize) {
    let count = setup.members.len();
    for _ in 0..20 {
        let (a, b) = (dice.index(count), dice.index(count));
        if setup.topology.joins(a, b, count) {
            return (a, b);
        }
    }
    (0, 1)
}

fn fault(dice: &mut Dice<'_>, setup: &Setup, kind: FaultKind) -> Fault {
    let count = setup.members.len();
    let (a, b) = pair(dice, setup);
    let device = dice.index(count);
    let for_ms = dice.magnitude(SECOND_MS, 5 * MINUTE_MS);
    let short_ms = dice.magnitude(100, 20 * SECOND_MS);
    match kind {
        FaultKind::SlowLink => {
            let least = dice.range(50, 1_000);
            Fault::SlowLink { a, b, latency_ms: (least, least + dice.below(2_000)), for_ms }
        }
        FaultKind::ThinLink => Fault::ThinLink { a, b, bytes_per_s: dice.magnitude(500, 200_000), for_ms },
        FaultKind::Cut => Fault::Cut { a, b, for_ms },
        FaultKind::Partition => Fault::Partition { group: (0..count).filter(|_| dice.percent(50)).collect(), for_ms },
        FaultKind::OneWay => Fault::OneWay { from: a, to: b, for_ms },
        FaultKind::Flap => {
            Fault::Flap { a, b, times: dice.range(3, 10) as u32, period_ms: dice.magnitude(100, 10 * SECOND_MS) }
        }
        FaultKind::Reorder => Fault::Reorder { a, b, jitter_ms: dice.magnitude(5, 2_000), for_ms },
        FaultKind::Duplicate => Fault::Duplicate { from: a, to: b },
        FaultKind::Truncate => Fault::Truncate { from: a, to: b, bytes: dice.magnitude(1, 500) },
        FaultKind::StopReading => Fault::StopReading { device: a, from: b, for_ms },
        FaultKind::AddressChange => Fault::AddressChange { device },
        FaultKind::Sleep => {
            Fault::Sleep { device, for_ms: dice.magnitude(MINUTE_MS, 4 * HOUR_MS).min(setup.end_ms / 3) }
        }
        FaultKind::PowerCut => {
            Fault::PowerCut { device, after_operations: dice.below(60), within_ms: 4_000, for_ms: short_ms }
        }
        FaultKind::DiskError => Fault::DiskError { device, after_operations: dice.below(60), for_ms: short_ms },
        FaultKind::DiskFull => Fault::DiskFull { device, after_operations: dice.below(60), for_ms: short_ms },
        FaultKind::SlowDisk => Fault::SlowDisk { device, sync_ms: dice.magnitude(20, 2_000), for_ms },
        FaultKind::Kill => Fault::Kill { device, after_operations: dice.below(60), within_ms: 4_000, for_ms: short_ms },
        FaultKind::Restart => Fault::Restart { device, for_ms: short_ms },
        FaultKind::ClockSkew => Fault::ClockSkew { device, by_ms: signed(dice, 100, 10 * MINUTE_MS) },
        FaultKind::ClockJump => Fault::ClockJump { device, by_ms: signed(dice, HOUR_MS, 3 * DAY_MS) },
        FaultKind::ClockYearsBack => Fault::ClockYearsBack { device, years: dice.range(1, 20) },
    }
}

fn signed(dice: &mut Dice<'_>, least: u64, most: u64) -> i64 {
    let by = dice.magnitude(least, most) as i64;
    if dice.percent(50) { -by } else { by }
}
