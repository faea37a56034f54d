//! Which entries are valid: the mended rules, the rules as they were first stated, and deliberate breakages.

use crate::roster::{Act, Ops, Role, bits};
use crate::world::{Entries, World, members};

/// Which rules judge the entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rules {
    Mended,
    /// The rules as first stated, to the letter, where they say anything.
    AsStated,
    /// An entry is judged alone: what it builds on stays behind when cut.
    NoClosure,
    /// Any stored entry vouches for what it builds on, one past a cut too.
    AnybodyVouches,
    /// Nobody vouches.
    NobodyVouches,
    /// A revocation cuts also what cites it (a re-promoted device's new entries).
    CutBindsTheInformed,
    /// Where revocations differ, the narrowest `retain` holds.
    NarrowestRetainHolds,
    /// `retain` does not protect against a later fork.
    ForkBeatsRetain,
    /// Of a fork the branch with the lowest hash is valid and the rest, with all that builds on it, is not.
    LowestBranchWins,
    /// Forks close nothing.
    ForksIgnored,
    /// A settlement protects only from revocations that had seen it.
    SettleClampsLaterOnly,
    /// An entry whose author's grant is void stands all the same.
    VoidedGrantStands,
    /// The `retain` of a user who revokes his own device readmits what an admin cut.
    OwnRetainReadmits,
    /// `retain` and the others name (journal, seq), without the hash.
    NamesWithoutHash,
    /// Of two valid branches the lower hash is the main one, settled or not.
    LowestHashIsMain,
}

impl Rules {
    /// The valid entries among `present`, given the operations `known`.
    pub(crate) fn valid(self, world: &World<'_>, present: Entries, known: Ops) -> Entries {
        match self {
            Rules::AsStated => as_stated(world, present, known),
            Rules::LowestBranchWins => lowest_branch(world, present, known),
            _ => {
                let vouchers = match self {
                    Rules::AnybodyVouches => complete(world, present),
                    _ => standing(self, world, present, known),
                };
                match self {
                    Rules::NoClosure => vouched_by_the_uninformed(world, vouchers, known),
                    Rules::NobodyVouches => vouchers,
                    _ => world.closure(vouchers),
                }
            }
        }
    }
}

/// Entries all of whose ancestors are here. The others are stored, but wait.
pub(crate) fn complete(world: &World<'_>, present: Entries) -> Entries {
    members(present).filter(|&e| world.entries[e].up & !present == 0).fold(0, |set, e| set | 1 << e)
}

/// The one branch of a journal that documents follow where several are valid: at each position what is settled (by the
/// settlement placed first), else the lowest hash. What is valid beside it goes to sibling documents.
pub(crate) fn main_line(rules: Rules, world: &World<'_>, valid: Entries, known: Ops, member: usize) -> Entries {
    let settled_by = |e: usize| {
        let settling = |o: &usize| world.roster.ops[*o].act == Act::Settle && world.named[*o] & (1 << e) != 0;
        let first = bits(world.roster.counted(known)).filter(settling).map(|o| world.roster.place(o)).min();
        if rules == Rules::LowestHashIsMain { u16::MAX } else { first.unwrap_or(u16::MAX) }
    };
    let journal = world.entries[member];
    let (mut line, mut tip) = (0, None);
    loop {
        let after = members(valid).filter(|&e| world.entries[e].same_journal(&journal) && world.entries[e].prev == tip);
        let Some(next) = after.min_by_key(|&e| (settled_by(e), e)) else { return line };
        line |= 1 << next;
        tip = Some(next as u8);
    }
}

fn standing(rules: Rules, world: &World<'_>, present: Entries, known: Ops) -> Entries {
    members(present).filter(|&e| stands(rules, world, e, present, known)).fold(0, |set, e| set | 1 << e)
}

/// The heart of the mended rules: whether `e` is valid in its own right. Valid is what stands, and all it was built on.
pub(crate) fn stands(rules: Rules, world: &World<'_>, e: usize, present: Entries, known: Ops) -> bool {
    let entry = &world.entries[e];
    if entry.up & !present != 0 {
        return false;
    }
    // 1. An admin put his name to it: a retain, an adoption or a settlement that counts.
    if is_named(rules, world, e, present, known) {
        return true;
    }
    // 2. The grant its author's role rests on counts.
    let roster = world.roster;
    let counted = roster.counted(known);
    let grant = roster.support(entry.cites, entry.device);
    if rules != Rules::VoidedGrantStands && grant.is_none_or(|g| counted & (1 << g) == 0) {
        return false;
    }
    // 3. No revocation or demotion of its author that it did not cite; save that his own user's spares what it retains.
    let mut cutters = world.cutters(e, known);
    if rules == Rules::CutBindsTheInformed {
        cutters |=
            bits(counted).filter(|&o| roster.ops[o].lowers(entry.device, Role::Writer)).fold(0, |set, o| set | 1 << o);
    }
    if bits(cutters).any(|o| roster.ops[o].pins() || world.named[o] & (1 << e) == 0) {
        return false;
    }
    // 4. Its journal is not forked at or before it.
    rules == Rules::ForksIgnored || !world.past_a_fork(e, present)
}

/// Whether a counted operation that pins names `e`, under the given rules' idea of naming.
fn is_named(rules: Rules, world: &World<'_>, e: usize, present: Entries, known: Ops) -> bool {
    let entry = &world.entries[e];
    let ops = &world.roster.ops;
    let cutters = world.cutters(e, known);
    let names = |o: usize| match rules {
        Rules::NamesWithoutHash => members(world.named[o]).any(|n| {
            let named = &world.entries[n];
            named.same_journal(entry) && named.seq == entry.seq
        }),
        _ => world.named[o] & (1 << e) != 0,
    };
    let is_retain = |o: usize| matches!(ops[o].act, Act::Set { .. });
    bits(world.roster.counted(known)).filter(|&o| names(o)).any(|o| match rules {
        Rules::OwnRetainReadmits => true,
        _ if !ops[o].pins() => false,
        Rules::NarrowestRetainHolds if is_retain(o) => {
            !bits(cutters).any(|c| is_retain(c) && world.named[c] & (1 << e) == 0)
        }
        Rules::ForkBeatsRetain if is_retain(o) => !world.past_a_fork(e, present),
        Rules::SettleClampsLaterOnly if ops[o].act == Act::Settle => bits(cutters).all(|c| ops[c].past & (1 << o) != 0),
        _ => true,
    })
}

/// The broken variant without closure, and vouching as first stated: a valid entry vouches for an ancestor only
/// against revocations that it did not cite itself.
fn vouched_by_the_uninformed(world: &World<'_>, standing: Entries, known: Ops) -> Entries {
    let mut valid = standing;
    loop {
        let before = valid;
        for e in members(world.closure(standing) & !valid) {
            let cutters = world.cutters(e, known);
            let spared = |o: usize| {
                members(valid).any(|f| world.entries[f].up & (1 << e) != 0 && world.entries[f].cites & (1 << o) == 0)
            };
            if bits(cutters).all(spared) {
                valid |= 1 << e;
            }
        }
        if valid == before {
            return valid;
        }
    }
}

/// "Cuts", "Entry valid" and "Forks" as first stated, as the least fixed point they describe. The roster below it
/// is the mended one, so that what fails here fails because of these paragraphs.
fn as_stated(world: &World<'_>, present: Entries, known: Ops) -> Entries {
    let ops = &world.roster.ops;
    let counted = world.roster.counted(known);
    let mut valid: Entries = 0;
    loop {
        let before = valid;
        for e in members(present & !valid) {
            let entry = &world.entries[e];
            let reached_by = |f: usize| world.entries[f].up & (1 << e) != 0;
            let within_cut = |v: usize| {
                let retained = world.named[v] & (1 << e) != 0;
                let vouched = members(valid).any(|f| reached_by(f) && world.entries[f].cites & (1 << v) == 0);
                let lifted = bits(counted).any(|o| {
                    let clamps = ops[o].act == Act::Settle && ops[v].past & (1 << o) != 0;
                    (ops[o].act == Act::Adopt || clamps) && world.named[o] & (1 << e) != 0
                });
                retained || vouched || lifted
            };
            let is_revocation = |v: usize| ops[v].lowers(entry.device, Role::Writer);
            let closed = world.past_a_fork(e, present)
                && !members(valid).any(|f| reached_by(f) && !world.entries[f].same_journal(entry));
            if !closed && bits(counted).filter(|&v| is_revocation(v)).all(within_cut) {
                valid |= 1 << e;
            }
        }
        if valid == before {
            return valid;
        }
    }
}

/// The tempting fork rule: one branch, by hash. It takes honest entries with the losing branch.
fn lowest_branch(world: &World<'_>, present: Entries, known: Ops) -> Entries {
    let loses = |e: usize| {
        members(present).take_while(|&f| f < e).any(|f| {
            let (lower, entry) = (&world.entries[f], &world.entries[e]);
            lower.same_journal(entry) && lower.seq == entry.seq
        })
    };
    let losers = members(present).filter(|&e| loses(e)).fold(0u8, |set, e| set | 1 << e);
    let fit = members(present)
        .filter(|&e| (1 << e | world.entries[e].up) & losers == 0)
        .filter(|&e| stands(Rules::ForksIgnored, world, e, present, known))
        .fold(0, |set, e| set | 1 << e);
    world.closure(fit)
}
