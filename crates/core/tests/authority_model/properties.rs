//! What must hold of every world, whatever the rules say. Each property is written without the rules' own terms.

use crate::replica::{Replica, Upkeep, valid_by_walking};
use crate::roster::{Act, DEVICES, Ops, Role, bits};
use crate::rules::{Rules, complete, main_line};
use crate::world::{Entries, MAX_ENTRIES, World, members};

/// The guarantees about entries; those about the roster alone are in `roster_worlds.rs`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Property {
    /// P1: every order of arrival ends in the same valid set, and passes through the same ones.
    OrderDoesNotMatter,
    /// P2: what a valid entry was built on is valid: prefixes of journals, and no dangling dependency.
    ValidIsClosed,
    /// P3a: what an admin's revocation retains stays valid, whatever else happens.
    RetainedIsKept,
    /// P3b: an entry past the cut, that neither an admin nor a device still in good standing put his name to, is invalid.
    LateEntriesStayOut,
    /// P3c: what an admin adopts is valid.
    AdoptedIsKept,
    /// P4: no order of evaluation makes a difference.
    EvaluationOrderDoesNotMatter,
    /// P5: past a fork only that is valid which somebody outside that incarnation built on, or an admin named.
    ForkedTailsStayOut,
    /// P5b: of several valid branches of a journal one is the main one, and what is settled is on it.
    SettledBranchIsMain,
    /// P6: what is settled stays valid.
    SettledIsFinal,
    /// P8: a writer who has seen the whole roster and starts a fresh incarnation is heard.
    InformedWriterIsHeard,
    /// P9: an entry that arrives never invalidates one in good standing of another incarnation: the author has not been cut
    /// there, and did not fork there.
    NobodyTakesFromOthers,
}

pub(crate) const ALL: [Property; 11] = [
    Property::OrderDoesNotMatter,
    Property::ValidIsClosed,
    Property::RetainedIsKept,
    Property::LateEntriesStayOut,
    Property::AdoptedIsKept,
    Property::EvaluationOrderDoesNotMatter,
    Property::ForkedTailsStayOut,
    Property::SettledBranchIsMain,
    Property::SettledIsFinal,
    Property::InformedWriterIsHeard,
    Property::NobodyTakesFromOthers,
];

impl Property {
    /// Whether the property holds of `world` under `rules`.
    pub(crate) fn holds(self, rules: Rules, upkeep: Upkeep, world: &World<'_>) -> bool {
        let (present, known) = (world.all(), world.roster.all());
        let valid = || rules.valid(world, present, known);
        match self {
            Property::OrderDoesNotMatter => order_does_not_matter(rules, upkeep, world),
            Property::ValidIsClosed => world.closure(valid()) == valid(),
            Property::RetainedIsKept => named_is_kept(world, valid(), |act| matches!(act, Act::Set { .. })),
            Property::AdoptedIsKept => named_is_kept(world, valid(), |act| act == Act::Adopt),
            Property::SettledIsFinal => named_is_kept(world, valid(), |act| act == Act::Settle),
            Property::LateEntriesStayOut => late_entries_stay_out(world, valid()),
            Property::EvaluationOrderDoesNotMatter => evaluation_order_does_not_matter(rules, world),
            Property::ForkedTailsStayOut => forked_tails_stay_out(world, valid()),
            Property::SettledBranchIsMain => settled_branch_is_main(rules, world, valid()),
            Property::InformedWriterIsHeard => informed_writer_is_heard(rules, world),
            Property::NobodyTakesFromOthers => nobody_takes_from_others(rules, world),
        }
    }
}

/// Walks every reachable combination of entries and operations held, and from each takes every next step. If each step
/// from a right verdict leads to a right verdict, then by induction every order of arrival does.
fn order_does_not_matter(rules: Rules, upkeep: Upkeep, world: &World<'_>) -> bool {
    let founding = founding(world);
    let shift = founding.count_ones() as usize; // founding operations are the lowest bits
    let slot = |r: &Replica| (r.known as usize >> shift) << world.len | r.present as usize;
    let mut reached: Vec<Option<Replica>> = vec![None; 1 << (world.len + world.roster.ops.len() - shift)];
    let mut todo = vec![Replica::with_ops(founding)];
    while let Some(from) = todo.pop() {
        match reached[slot(&from)] {
            Some(same) if same != from => return false,
            Some(_) => continue,
            None => reached[slot(&from)] = Some(from),
        }
        if from.valid != rules.valid(world, from.present, from.known) {
            return false;
        }
        for e in (0..world.len).filter(|&e| from.takes_entry(world, e)) {
            let mut to = from;
            to.add_entry(upkeep, world, e);
            todo.push(to);
        }
        for o in (0..world.roster.ops.len()).filter(|&o| from.takes_op(world, o)) {
            let mut to = from;
            to.add_op(upkeep, world, o);
            todo.push(to);
        }
    }
    true
}

/// The founding operations: the chain that everything later had seen.
fn founding(world: &World<'_>) -> Ops {
    let ops = &world.roster.ops;
    let chain = |o: usize| ops[o..].iter().enumerate().all(|(i, op)| i == 0 || op.past & (1 << o) != 0);
    let cited = |o: usize| world.entries[..world.len].iter().all(|e| e.cites & (1 << o) != 0);
    (0..ops.len()).take_while(|&o| chain(o) && cited(o)).fold(0, |set, o| set | 1 << o)
}

fn named_is_kept(world: &World<'_>, valid: Entries, kind: impl Fn(Act) -> bool) -> bool {
    let counted = world.roster.counted(world.roster.all());
    bits(counted)
        .filter(|&o| kind(world.roster.ops[o].act))
        .all(|o| world.named[o] & complete(world, world.all()) & !valid == 0)
}

fn late_entries_stay_out(world: &World<'_>, valid: Entries) -> bool {
    let late = late_entries(world);
    let backed = world.closure(world.all() & !late);
    late & !backed & valid == 0
}

/// Entries whose author had lost the right to write, or never rightly had it, unknown to the entry, and which no admin named.
fn late_entries(world: &World<'_>) -> Entries {
    let roster = world.roster;
    let counted = roster.counted(roster.all());
    let by_admin = bits(counted).filter(|&o| roster.ops[o].pins()).fold(0, |set, o| set | world.named[o]);
    let late = |e: usize| {
        let entry = &world.entries[e];
        let granted = bits(counted & entry.cites)
            .any(|o| matches!(roster.ops[o].act, Act::Set { who, role } if who & (1 << entry.device) != 0 && role >= Role::Writer));
        let unseen = bits(counted & !entry.cites).filter(|&o| roster.ops[o].lowers(entry.device, Role::Writer));
        let mut unspared = unseen.filter(|&o| roster.ops[o].pins() || world.named[o] & (1 << e) == 0);
        by_admin & (1 << e) == 0 && (!granted || unspared.next().is_some())
    };
    members(world.all()).filter(|&e| late(e)).fold(0, |set, e| set | 1 << e)
}

fn evaluation_order_does_not_matter(rules: Rules, world: &World<'_>) -> bool {
    let (present, known) = (world.all(), world.roster.all());
    let expected = rules.valid(world, present, known);
    let mut order: Vec<usize> = (0..world.len).collect();
    let mut agrees = |order: &[usize]| valid_by_walking(world, present, known, order) == expected;
    if world.len <= 3 {
        return permute(&mut order, world.len, &mut agrees);
    }
    // Beyond 3 entries the rotations, forwards and backwards: all 24 orders took half the run and found nothing.
    (0..2 * world.len).all(|turn| {
        order.rotate_left(1);
        if turn == world.len {
            order.reverse();
        }
        agrees(&order)
    })
}

/// Heap's algorithm; stops at the first order that `check` refuses.
fn permute(order: &mut [usize], left: usize, check: &mut dyn FnMut(&[usize]) -> bool) -> bool {
    if left <= 1 {
        return check(order);
    }
    for i in 0..left {
        if !permute(order, left - 1, check) {
            return false;
        }
        order.swap(if left.is_multiple_of(2) { i } else { 0 }, left - 1);
    }
    true
}

fn forked_tails_stay_out(world: &World<'_>, valid: Entries) -> bool {
    let roster = world.roster;
    let by_admin =
        bits(roster.counted(roster.all())).filter(|&o| roster.ops[o].pins()).fold(0, |set, o| set | world.named[o]);
    members(valid).filter(|&e| world.past_a_fork(e, world.all())).all(|e| {
        let reached = |f: usize| {
            let other = &world.entries[f];
            other.up & (1 << e) != 0 && !other.same_journal(&world.entries[e])
        };
        world.closure(by_admin) & (1 << e) != 0 || members(valid).any(reached)
    })
}

fn settled_branch_is_main(rules: Rules, world: &World<'_>, valid: Entries) -> bool {
    let known = world.roster.all();
    let settled = bits(world.roster.counted(known))
        .filter(|&o| world.roster.ops[o].act == Act::Settle)
        .fold(0, |set, o| set | world.named[o]);
    members(valid).all(|e| {
        let line = main_line(rules, world, valid, known, e);
        let rivals = members(line).filter(|&f| world.entries[f].seq == world.entries[e].seq).count();
        rivals <= 1 && (settled & (1 << e) == 0 || line & (1 << e) != 0)
    })
}

fn informed_writer_is_heard(rules: Rules, world: &World<'_>) -> bool {
    let known = world.roster.all();
    if world.len == MAX_ENTRIES {
        return true;
    }
    (0..DEVICES as u8).filter(|&d| world.roster.role(known, d) >= Role::Writer).all(|device| {
        let mut grown = *world;
        let incarnation = u8::MAX; // one that no enumeration uses
        let e = grown.append(device, incarnation, None, 0, known);
        rules.valid(&grown, grown.all(), known) & (1 << e) != 0
    })
}

fn nobody_takes_from_others(rules: Rules, world: &World<'_>) -> bool {
    let known = world.roster.all();
    let late = late_entries(world);
    let held = |set: Entries| members(set).all(|e| world.entries[e].prev.is_none_or(|p| set & (1 << p) != 0));
    (0..=world.all()).filter(|&set| held(set)).all(|set| {
        let before = rules.valid(world, set, known);
        members(world.all() & !set).filter(|&e| held(set | 1 << e)).all(|e| {
            let after = rules.valid(world, set | 1 << e, known);
            members(before & !after & !late)
                .all(|lost| world.entries[lost].same_journal(&world.entries[e]) || world.past_a_fork(lost, set))
        })
    })
}
