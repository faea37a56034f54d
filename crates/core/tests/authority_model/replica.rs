//! A member or blind relay that learns one thing at a time and keeps its verdict up to date, instead of judging afresh.

use crate::roster::Ops;
use crate::rules::{Rules, stands};
use crate::world::{Entries, World, members};

/// How a replica keeps its verdict: rightly, or with a shortcut that depends on the order of arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upkeep {
    Mended,
    /// Keeps the branch that came first.
    FirstBranchSeenWins,
    /// After a roster operation judges each entry alone, forgetting who built on it.
    ForgetsVouchersOnRosterChange,
    /// Judges an entry once, when it arrives, though its ancestors may come later.
    JudgesOnArrivalOnly,
}

/// What a replica holds, and what it makes of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Replica {
    pub(crate) present: Entries,
    pub(crate) known: Ops,
    standing: Entries,
    pub(crate) valid: Entries,
}

impl Replica {
    /// A replica that holds nothing but these operations.
    pub(crate) fn with_ops(known: Ops) -> Self {
        Self { known, ..Self::default() }
    }

    /// Whether entry `e` would be stored now: its journal reaches up to it and the heads it cites are here. Ancestors in
    /// other journals may still be missing.
    pub(crate) fn takes_entry(&self, world: &World<'_>, e: usize) -> bool {
        let entry = &world.entries[e];
        let contiguous = entry.prev.is_none_or(|p| self.present & (1 << p) != 0);
        self.present & (1 << e) == 0 && contiguous && entry.cites & !self.known == 0
    }

    pub(crate) fn takes_op(&self, world: &World<'_>, o: usize) -> bool {
        self.known & (1 << o) == 0 && world.roster.ops[o].past & !self.known == 0
    }

    pub(crate) fn add_entry(&mut self, upkeep: Upkeep, world: &World<'_>, e: usize) {
        self.present |= 1 << e;
        let entry = world.entries[e];
        let forks = members(self.present & !(1 << e))
            .any(|f| world.entries[f].same_journal(&entry) && world.entries[f].seq == entry.seq);
        if forks && upkeep != Upkeep::FirstBranchSeenWins {
            // What stood at or after the fork may stand no more; what it alone held up falls with it.
            let closed = members(self.standing).filter(|&f| world.entries[f].same_journal(&entry));
            let fallen = closed
                .filter(|&f| !stands(Rules::Mended, world, f, self.present, self.known))
                .fold(0, |set, f| set | 1 << f);
            self.standing &= !fallen;
            if fallen != 0 {
                self.valid = world.closure(self.standing);
            }
        }
        let waited = |c: usize| world.entries[c].up & (1 << e) != 0 && upkeep != Upkeep::JudgesOnArrivalOnly;
        for c in members(self.present).filter(|&c| c == e || waited(c)) {
            if stands(Rules::Mended, world, c, self.present, self.known) {
                self.standing |= 1 << c;
                self.valid |= 1 << c | world.entries[c].up;
            }
        }
    }

    pub(crate) fn add_op(&mut self, upkeep: Upkeep, world: &World<'_>, o: usize) {
        self.known |= 1 << o;
        self.standing = members(self.present)
            .filter(|&e| stands(Rules::Mended, world, e, self.present, self.known))
            .fold(0, |set, e| set | 1 << e);
        self.valid = match upkeep {
            Upkeep::ForgetsVouchersOnRosterChange => self.standing,
            _ => world.closure(self.standing),
        };
    }
}

/// The valid set by walking down from what stands, entries taken in the given order, as an implementation would.
pub(crate) fn valid_by_walking(world: &World<'_>, present: Entries, known: Ops, order: &[usize]) -> Entries {
    let mut valid: Entries = 0;
    for &e in order {
        let mut walk = if stands(Rules::Mended, world, e, present, known) { vec![e] } else { Vec::new() };
        while let Some(at) = walk.pop() {
            if valid & (1 << at) == 0 {
                valid |= 1 << at;
                let entry = &world.entries[at];
                walk.extend(members(entry.deps).chain(entry.prev.map(usize::from)));
            }
        }
    }
    valid
}
