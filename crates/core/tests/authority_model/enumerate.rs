//! Every small world, up to the names of incarnations and the order in which independent entries are written down.

use crate::roster::{Act, DEVICES, Op, Ops, Role, Roster, RosterRules, bits};
use crate::world::{Entries, World, members};

const A: u8 = 0b001;
const B: u8 = 0b010;
const C: u8 = 0b100;
const GENESIS: Op = Op { author: 0, act: Act::Set { who: A, role: Role::Admin }, past: 0 };

/// Operations whose authors, kinds and order of writing are given; what each had seen of the others, which positions it
/// names, and all entries are enumerated.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    user: [u8; DEVICES],
    /// In a chain, and cited by every entry.
    founding: Vec<(u8, Act)>,
    rest: Vec<(u8, Act)>,
    /// Entries up to which the ordinary run takes all worlds.
    pub(crate) entries: usize,
    /// Whether the ordinary run goes on to the narrow family of four entries.
    pub(crate) narrow_four: bool,
}

impl Scenario {
    /// Entries up to which the full run takes all worlds: 4, but 3 where three operations are left open.
    pub(crate) fn full_entries(&self) -> usize {
        if self.rest.len() > 2 { 3 } else { 4 }
    }
}

/// Which worlds of a size are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    All,
    /// With a fork; at most one dependency beside `prev`; cites cover those of what an entry builds on and of what its device
    /// wrote before, and what an admin names is closed under what it builds on: as honest software does it.
    Narrow,
}

impl Family {
    fn takes(self, world: &World<'_>, e: usize) -> bool {
        let entry = &world.entries[e];
        let own = (0..e).filter(|&o| world.entries[o].device == entry.device);
        let mut uncited = members(entry.deps).chain(own).filter(|&d| world.entries[d].cites & !entry.cites != 0);
        self == Family::All || (entry.deps.count_ones() <= 1 && uncited.next().is_none())
    }
}

fn set(who: u8, role: Role) -> Act {
    Act::Set { who, role }
}

/// The situations that the issue asks for, each with every choice left open in it.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let own = [0, 1, 2];
    // A founds; B is admin, junior to A; C writes.
    let two_admins = || vec![(0, set(B, Role::Admin)), (0, set(C, Role::Writer))];
    let only_b = || vec![(0, set(B, Role::Admin))];
    let make = |name: &'static str, user, founding, rest: &[(u8, Act)], entries| Scenario {
        name,
        user,
        founding,
        rest: rest.to_vec(),
        entries,
        narrow_four: [
            "demotion and new grant",
            "grant by one who is removed",
            "removal and adoption",
            "removal, then settlement",
        ]
        .contains(&name),
    };
    let remove = |author, who| (author, set(who, Role::Gone));
    let (adopt, settle) = (Act::Adopt, Act::Settle);
    vec![
        make("forks only", own, two_admins(), &[], 4),
        make("removal", own, two_admins(), &[remove(0, C)], 4),
        make("removal of a peer who vouched", own, two_admins(), &[remove(0, C), remove(0, B)], 3),
        make("two removals of one device", own, two_admins(), &[remove(0, C), remove(1, C)], 3),
        make("demotion and new grant", own, two_admins(), &[(0, set(C, Role::Reader)), (0, set(C, Role::Writer))], 3),
        make("grant by one who is removed", own, only_b(), &[(1, set(C, Role::Writer)), remove(0, B)], 3),
        make("removal and adoption", own, two_admins(), &[remove(0, C), (1, adopt)], 3),
        make("adoption by one who is removed", own, two_admins(), &[remove(0, B), (1, adopt)], 3),
        make("settlement, then removal", own, two_admins(), &[(1, settle), remove(0, C)], 3),
        make("removal, then settlement", own, two_admins(), &[remove(0, C), (1, settle)], 3),
        make("settlement by one who is removed", own, two_admins(), &[remove(0, B), (1, settle)], 3),
        make(
            "user demoted, revokes his own device",
            [0, 1, 1],
            two_admins(),
            &[(0, set(B | C, Role::Reader)), (1, Act::RevokeOwn { who: C })],
            3,
        ),
        make("user revokes his own device", [0, 1, 1], two_admins(), &[(1, Act::RevokeOwn { who: C })], 3),
        make("removal, adoption and settlement", own, two_admins(), &[remove(0, C), (1, adopt), (0, settle)], 2),
        make("two removals and a settlement", own, two_admins(), &[remove(0, C), remove(1, C), (1, settle)], 2),
    ]
}

/// What an enumeration went through, so that it cannot silently have been nothing.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) worlds: u64,
    pub(crate) with_fork: u64,
    pub(crate) with_removal: u64,
    pub(crate) with_adoption: u64,
    pub(crate) with_settlement: u64,
    pub(crate) with_four_entries: u64,
}

impl Counts {
    fn count(&mut self, world: &World<'_>) {
        let has = |kind: fn(Act) -> bool| u64::from(world.roster.ops.iter().any(|op| kind(op.act)));
        let lowers = |act| matches!(act, Act::Set { role: Role::Gone | Role::Reader, .. } | Act::RevokeOwn { .. });
        self.worlds += 1;
        self.with_fork += u64::from(world.forked(world.all()) != 0);
        self.with_removal += has(lowers);
        self.with_adoption += has(|act| act == Act::Adopt);
        self.with_settlement += has(|act| act == Act::Settle);
        self.with_four_entries += u64::from(world.len == 4);
    }

    pub(crate) fn add(&mut self, other: Counts) {
        self.worlds += other.worlds;
        self.with_fork += other.with_fork;
        self.with_removal += other.with_removal;
        self.with_adoption += other.with_adoption;
        self.with_settlement += other.with_settlement;
        self.with_four_entries += other.with_four_entries;
    }
}

/// Shows `visit` every world of the scenario with exactly `entries` entries; stops when it returns false.
pub(crate) fn worlds(
    scenario: &Scenario,
    entries: usize,
    family: Family,
    rules: RosterRules,
    visit: &mut dyn FnMut(&World<'_>) -> bool,
) -> Counts {
    let mut counts = Counts::default();
    for roster in rosters(scenario, rules) {
        let founding: Ops = (1 << (1 + scenario.founding.len())) - 1;
        let cites: Vec<Ops> = (0..=roster.all()).filter(|&s| s & founding == founding && roster.is_closed(s)).collect();
        let mut world = World::new(&roster);
        let mut go_on = true;
        grow(&mut world, entries, family, &cites, &mut |shape| {
            let wanted = family == Family::All || shape.forked(shape.all()) != 0;
            go_on = !wanted
                || name_positions(shape, 0, &mut |world| {
                    if family == Family::Narrow && world.named.iter().any(|&n| world.closure(n) != n) {
                        return true;
                    }
                    counts.count(world);
                    visit(world)
                });
            go_on
        });
        if !go_on {
            break;
        }
    }
    counts
}

/// The scenario's operations with every choice of what each had seen.
fn rosters(scenario: &Scenario, rules: RosterRules) -> Vec<Roster> {
    let mut chain = vec![GENESIS];
    for &(author, act) in &scenario.founding {
        let past = (1 << chain.len()) - 1;
        chain.push(Op { author, act, past });
    }
    let first = chain.len();
    let mut all = vec![chain];
    for &(author, act) in &scenario.rest {
        all = all.iter().flat_map(|ops| with_every_past(ops, first, author, act)).collect();
    }
    all.into_iter().map(|ops| Roster::new(ops, scenario.user, rules)).collect()
}

/// `ops` and one more operation, once for every closed set that it may have seen of those from `first` on.
pub(crate) fn with_every_past(ops: &[Op], first: usize, author: u8, act: Act) -> Vec<Vec<Op>> {
    let founding: Ops = (1 << first) - 1;
    let closed = |past: Ops| bits(past).all(|p| ops[p].past & !past == 0);
    let free = ops.len() - first;
    (0..1u16 << free)
        .map(|seen| founding | seen << first)
        .filter(|&past| closed(past))
        .map(|past| ops.iter().copied().chain([Op { author, act, past }]).collect())
        .collect()
}

/// Appends entries in every way until there are `len`; returns false as soon as `visit` does.
fn grow(
    world: &mut World<'_>,
    len: usize,
    family: Family,
    cites: &[Ops],
    visit: &mut dyn FnMut(&mut World<'_>) -> bool,
) -> bool {
    if world.len == len {
        return visit(world);
    }
    let here = world.len;
    for device in 0..DEVICES as u8 {
        // Independent neighbours are written down in the order of their devices, so that each world comes about once.
        let out_of_order = here > 0 && world.entries[here - 1].device > device;
        for (incarnation, prev) in places(world, device) {
            for deps in 0..=world.all() {
                if !minimal(world, prev, deps) {
                    continue;
                }
                for &cited in cites {
                    let e = world.append(device, incarnation, prev, deps, cited) as usize;
                    let independent = here > 0 && world.entries[e].up & (1 << (here - 1)) == 0;
                    let go_on = (out_of_order && independent)
                        || !world.acceptable(e)
                        || !family.takes(world, e)
                        || grow(world, len, family, cites, visit);
                    world.retract();
                    if !go_on {
                        return false;
                    }
                }
            }
        }
    }
    true
}

/// Where `device` can append: after any entry of its own (a fork, unless that is a tip), at the start of an incarnation it
/// has already begun (a fork at position 1), or in a new one. Two incarnations a device.
fn places(world: &World<'_>, device: u8) -> Vec<(u8, Option<u8>)> {
    let own: Vec<usize> = (0..world.len).filter(|&e| world.entries[e].device == device).collect();
    let begun = own.iter().map(|&e| world.entries[e].incarnation + 1).max().unwrap_or(0);
    let after = own.iter().map(|&e| (world.entries[e].incarnation, Some(e as u8)));
    after.chain((0..=begun.min(1)).map(|incarnation| (incarnation, None))).collect()
}

/// Whether no position of `deps` lies below another, or below `prev`.
fn minimal(world: &World<'_>, prev: Option<u8>, deps: Entries) -> bool {
    let by_prev = prev.map_or(0, |p| 1 << p | world.entries[p as usize].up);
    deps & by_prev == 0 && members(deps).all(|d| world.entries[d].up & deps == 0)
}

/// Gives every operation from `op` on every choice of positions that it may name.
fn name_positions(world: &mut World<'_>, op: usize, visit: &mut dyn FnMut(&World<'_>) -> bool) -> bool {
    if op == world.roster.ops.len() {
        return !world.hashes_are_acyclic() || visit(world);
    }
    let choices: Vec<Entries> = match world.roster.ops[op].act {
        Act::Set { who, role: Role::Gone | Role::Reader } | Act::RevokeOwn { who } => {
            one_position_a_journal(world, |device| who & (1 << device) != 0)
        }
        Act::Set { .. } => vec![0],
        Act::Adopt => (0..world.len).map(|e| 1 << e).collect(),
        Act::Settle => one_position_a_journal(world, |_| true),
    };
    for choice in choices {
        world.name(op, choice);
        if !name_positions(world, op + 1, visit) {
            return false;
        }
    }
    true
}

/// Every choice of at most one position in each journal of the devices picked.
fn one_position_a_journal(world: &World<'_>, picked: impl Fn(u8) -> bool) -> Vec<Entries> {
    let candidates = (0..world.len).filter(|&e| picked(world.entries[e].device)).fold(0, |set, e| set | 1 << e);
    let one_each = |choice: Entries| {
        members(choice).all(|e| members(choice).all(|f| e == f || !world.entries[e].same_journal(&world.entries[f])))
    };
    (0..=candidates).filter(|&choice| choice & !candidates == 0 && one_each(choice)).collect()
}
