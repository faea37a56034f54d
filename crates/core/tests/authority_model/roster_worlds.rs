//! Every small roster, and what must hold of each: P7, apart from entries.

use crate::enumerate::with_every_past;
use crate::roster::{Act, DEVICES, Op, Ops, Role, Roster, RosterRules, bits};

const GIVEN: [Role; 3] = [Role::Gone, Role::Writer, Role::Admin];

/// The guarantees about the roster, all of them parts of P7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum RosterProperty {
    /// P7a: the rules determine what counts: there is exactly one answer, and it is the one computed.
    ExactlyOneVerdict,
    /// P7b: of two who lower each other concurrently, the senior stays.
    SeniorWins,
    /// P7c: an admin whom nobody touched, and whose grant nobody touched, is obeyed, whatever his operation came after.
    UntouchedIsObeyed,
    /// P7d: who was removed or demoted by his senior gains nothing by backdating.
    LoweredCannotBackdate,
    /// P7e: nothing counts on the strength of a voided grant.
    VoidGivesNothing,
    /// P7f: of concurrent role sets the lower holds.
    LowerRoleHolds,
    /// P6b: a settlement that all senior admins have acknowledged can never be voided.
    AcknowledgedSettlementStays,
}

pub(crate) const ALL: [RosterProperty; 7] = [
    RosterProperty::ExactlyOneVerdict,
    RosterProperty::SeniorWins,
    RosterProperty::UntouchedIsObeyed,
    RosterProperty::LoweredCannotBackdate,
    RosterProperty::VoidGivesNothing,
    RosterProperty::LowerRoleHolds,
    RosterProperty::AcknowledgedSettlementStays,
];

impl RosterProperty {
    pub(crate) fn holds(self, roster: &Roster) -> bool {
        let all = roster.all();
        let counted = roster.counted(all);
        match self {
            RosterProperty::ExactlyOneVerdict => roster.solutions(all) == [counted],
            RosterProperty::SeniorWins => pairs(roster).all(|(a, b)| {
                let mutual = is_lowered_by(roster, b, a) && is_lowered_by(roster, a, b);
                let senior = roster.seniority(a) < roster.seniority(b);
                !(mutual && senior && has(counted, a) && has(counted, b))
            }),
            RosterProperty::UntouchedIsObeyed => bits(all).filter(|&o| untouched(roster, o)).all(|o| has(counted, o)),
            RosterProperty::LoweredCannotBackdate => pairs(roster).all(|(r, o)| {
                let lowered = is_lowered_by(roster, o, r) && roster.seniority(r) < roster.seniority(o);
                !(lowered && has(counted, r) && has(counted, o))
            }),
            RosterProperty::VoidGivesNothing => bits(counted).filter(|&o| roster.ops[o].past != 0).all(|o| {
                let op = &roster.ops[o];
                roster.support(op.past, op.author).is_some_and(|g| has(counted, g as usize))
            }),
            RosterProperty::LowerRoleHolds => pairs(roster).all(|(a, b)| {
                (0..DEVICES as u8).all(|d| {
                    let role_of = |o: usize| match roster.ops[o].act {
                        Act::Set { who, role } if who & (1 << d) != 0 && has(counted, o) => Some(role),
                        _ => None,
                    };
                    let later = |o: usize| bits(counted).any(|l| has(roster.ops[l].past, o) && role_of(l).is_some());
                    match (role_of(a), role_of(b)) {
                        (Some(x), Some(y)) if !later(a) && !later(b) => roster.role(all, d) <= x.min(y),
                        _ => true,
                    }
                })
            }),
            RosterProperty::AcknowledgedSettlementStays => acknowledged_settlement_stays(roster),
        }
    }
}

fn has(set: Ops, op: usize) -> bool {
    set & (1 << op) != 0
}

/// All ordered pairs of concurrent operations.
fn pairs(roster: &Roster) -> impl Iterator<Item = (usize, usize)> + '_ {
    let n = roster.ops.len();
    (0..n).flat_map(move |a| (0..n).map(move |b| (a, b))).filter(|&(a, b)| roster.concurrent(a, b))
}

/// Whether `r` takes from the author of `o` the admin role that `o` needs.
fn is_lowered_by(roster: &Roster, o: usize, r: usize) -> bool {
    roster.ops[r].lowers(roster.ops[o].author, Role::Admin)
}

/// Whether nobody concurrently took a right from the author of `o`, nor from those to whom he owes it.
fn untouched(roster: &Roster, o: usize) -> bool {
    let op = &roster.ops[o];
    let granted = op.past == 0 || roster.support(op.past, op.author).is_some_and(|g| untouched(roster, g as usize));
    let lowered = (0..roster.ops.len()).any(|r| roster.concurrent(r, o) && is_lowered_by(roster, o, r));
    roster.seniority(o).is_some() && granted && !lowered
}

/// Takes the last operation as the newest, and all before it as what was known.
fn acknowledged_settlement_stays(roster: &Roster) -> bool {
    let last = roster.ops.len() - 1;
    let known = roster.all() & !(1 << last);
    let newest = &roster.ops[last];
    let mut own = bits(known).filter(|&o| roster.ops[o].author == newest.author);
    let forks_his_chain = own.any(|o| !has(newest.past, o));
    forks_his_chain
        || bits(roster.counted(known))
            .filter(|&s| roster.ops[s].act == Act::Settle && is_final(roster, known, s))
            .all(|s| has(roster.counted(roster.all()), s))
}

/// Whether every admin senior to the author of settlement `s` has, within `known`, written something after it.
pub(crate) fn is_final(roster: &Roster, known: Ops, s: usize) -> bool {
    let author = roster.ops[s].author;
    (0..DEVICES as u8).filter(|&d| d != author).all(|d| {
        let is_senior = bits(known).any(|g| match roster.ops[g].act {
            Act::Set { who, role: Role::Admin } => who & (1 << d) != 0 && Some(roster.place(g)) < roster.seniority(s),
            _ => false,
        });
        let acknowledged = bits(known)
            .any(|o| roster.ops[o].author == d && has(roster.ops[o].past, s) && roster.seniority(o).is_some());
        !is_senior || acknowledged
    })
}

/// Shows `visit` every roster of up to `more` operations after the founding ones, of which the author had the authority by
/// what he had seen (others are refused and inert). Returns how many; stops when `visit` returns false.
pub(crate) fn rosters(admins: usize, more: usize, rules: RosterRules, visit: &mut dyn FnMut(&Roster) -> bool) -> u64 {
    let founding: Vec<Op> = (0..admins)
        .map(|d| Op { author: 0, act: Act::Set { who: 1 << d, role: Role::Admin }, past: (1 << d) - 1 })
        .collect();
    let mut count = 0;
    extend(founding.clone(), founding.len(), more, rules, &mut |roster| {
        count += 1;
        visit(roster)
    });
    count
}

fn extend(ops: Vec<Op>, first: usize, more: usize, rules: RosterRules, visit: &mut dyn FnMut(&Roster) -> bool) -> bool {
    let roster = Roster::new(ops, [0, 1, 2], rules);
    let newest = roster.ops.len() - 1;
    if roster.seniority(newest).is_none() {
        return true;
    }
    if !visit(&roster) {
        return false;
    }
    let sets = (0..DEVICES).flat_map(|d| GIVEN.map(|role| Act::Set { who: 1 << d, role }));
    let acts: Vec<Act> = sets.chain([Act::Settle]).collect();
    more == 0
        || (0..DEVICES as u8).all(|author| {
            acts.iter().all(|&act| {
                with_every_past(&roster.ops, first, author, act)
                    .into_iter()
                    .all(|grown| extend(grown, first, more - 1, rules, visit))
            })
        })
}
