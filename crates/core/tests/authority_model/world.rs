//! A world: entries in journals, and the positions that roster operations name.
//!
//! A set of entries is a bit mask; entry `i` has only lower-numbered entries among its ancestors, and its number stands for
//! its hash: two entries at one (device, incarnation, seq) are a fork, and naming an entry names one branch.

use std::fmt::Write as _;

use crate::roster::{Act, DEVICES, MAX_OPS, Ops, Role, Roster, bits};

/// A set of entries, one bit each.
pub(crate) type Entries = u8;

/// Entries in a world at most: the enumeration's 4 (5 in full), and one that a property appends.
pub(crate) const MAX_ENTRIES: usize = 6;

/// An entry's header, abstractly. Payloads play no part in authority.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Entry {
    pub(crate) device: u8,
    pub(crate) incarnation: u8,
    pub(crate) seq: u8,
    pub(crate) prev: Option<u8>,
    /// The positions its changes build on, beside `prev`.
    pub(crate) deps: Entries,
    /// The roster heads it cites, as the closed set below them.
    pub(crate) cites: Ops,
    /// All its ancestors through `prev` and `deps`.
    pub(crate) up: Entries,
    /// Its ancestors in its own journal and itself.
    pub(crate) prefix: Entries,
    /// The entries of its journal at its position or before, on every branch; itself among them.
    not_after: Entries,
    /// The other entries at its position.
    twins: Entries,
    /// Operations that take its author's right to write and that it does not cite.
    unseen_cuts: Ops,
}

impl Entry {
    pub(crate) fn same_journal(&self, other: &Entry) -> bool {
        self.device == other.device && self.incarnation == other.incarnation
    }
}

#[derive(Clone, Copy)]
pub(crate) struct World<'r> {
    pub(crate) roster: &'r Roster,
    pub(crate) entries: [Entry; MAX_ENTRIES],
    pub(crate) len: usize,
    /// For each operation the entries at or below the positions it names: `retain`, adopted or settled.
    pub(crate) named: [Entries; MAX_OPS],
}

impl<'r> World<'r> {
    pub(crate) fn new(roster: &'r Roster) -> Self {
        Self { roster, entries: [Entry::default(); MAX_ENTRIES], len: 0, named: [0; MAX_OPS] }
    }

    /// Appends an entry after `prev`, or at the start of the journal of `incarnation`.
    pub(crate) fn append(&mut self, device: u8, incarnation: u8, prev: Option<u8>, deps: Entries, cites: Ops) -> u8 {
        let id = self.len as u8;
        let mut entry =
            Entry { device, incarnation, seq: 1, prev, deps, cites, up: deps, prefix: 1 << id, ..Entry::default() };
        for parent in members(deps).map(|d| d as u8).chain(prev) {
            entry.up |= 1 << parent | self.entries[parent as usize].up;
        }
        if let Some(prev) = prev {
            let before = self.entries[prev as usize];
            assert!(before.same_journal(&entry), "a journal has one device and one incarnation");
            entry.seq = before.seq + 1;
            entry.prefix |= before.prefix;
        }
        entry.not_after = 1 << id;
        for e in 0..self.len {
            let other = &mut self.entries[e];
            if other.same_journal(&entry) {
                entry.not_after |= if other.seq <= entry.seq { 1 << e } else { 0 };
                other.not_after |= if entry.seq <= other.seq { 1 << id } else { 0 };
                if other.seq == entry.seq {
                    entry.twins |= 1 << e;
                    other.twins |= 1 << id;
                }
            }
        }
        entry.unseen_cuts = bits(self.roster.all() & !cites)
            .filter(|&o| self.roster.ops[o].lowers(device, Role::Writer))
            .fold(0, |set, o| set | 1 << o);
        self.entries[id as usize] = entry;
        self.len += 1;
        id
    }

    /// Takes back the last `append`.
    pub(crate) fn retract(&mut self) {
        self.len -= 1;
        for other in &mut self.entries[..self.len] {
            other.not_after &= !(1 << self.len);
            other.twins &= !(1 << self.len);
        }
    }

    /// Makes operation `op` name the given positions.
    pub(crate) fn name(&mut self, op: usize, positions: Entries) {
        self.named[op] = members(positions).fold(0, |set, e| set | self.entries[e].prefix);
    }

    pub(crate) fn all(&self) -> Entries {
        ((1u16 << self.len) - 1) as Entries
    }

    /// `set` and everything its members were built on.
    pub(crate) fn closure(&self, set: Entries) -> Entries {
        members(set).fold(set, |all, e| all | self.entries[e].up)
    }

    /// Whether bytes could hash so: nothing an operation names, nor what that builds on, cites the operation.
    pub(crate) fn hashes_are_acyclic(&self) -> bool {
        // Elimination: an operation exists once its past and what it names exist, an entry once its ancestors and cites do.
        let (mut ops, mut entries): (Ops, Entries) = (0, 0);
        loop {
            let (ops_before, entries_before) = (ops, entries);
            for (o, op) in self.roster.ops.iter().enumerate() {
                if op.past & !ops == 0 && self.closure(self.named[o]) & !entries == 0 {
                    ops |= 1 << o;
                }
            }
            for e in 0..self.len {
                if self.entries[e].up & !entries == 0 && self.entries[e].cites & !ops == 0 {
                    entries |= 1 << e;
                }
            }
            if ops == self.roster.all() && entries == self.all() {
                return true;
            }
            if (ops, entries) == (ops_before, entries_before) {
                return false;
            }
        }
    }

    /// Whether a receiver that holds its journal's prefix stores entry `e` at all: writer at the heads it cites, by what
    /// those heads themselves have seen, and cites that never go back along the journal. Decided by bytes and ancestors.
    pub(crate) fn acceptable(&self, e: usize) -> bool {
        let entry = &self.entries[e];
        let forward = entry.prev.is_none_or(|p| self.entries[p as usize].cites & !entry.cites == 0);
        forward && self.roster.role(entry.cites, entry.device) >= Role::Writer
    }

    /// Counted operations that `known` holds and `e` did not cite, and that take its author's right to write.
    pub(crate) fn cutters(&self, e: usize, known: Ops) -> Ops {
        self.roster.counted(known) & self.entries[e].unseen_cuts
    }

    /// Positions of `present` that share their (journal, seq) with another.
    pub(crate) fn forked(&self, present: Entries) -> Entries {
        members(present).filter(|&e| self.entries[e].twins & present != 0).fold(0, |set, e| set | 1 << e)
    }

    /// Whether `e`'s journal is forked at or before `e`.
    pub(crate) fn past_a_fork(&self, e: usize, present: Entries) -> bool {
        members(self.entries[e].not_after & present).any(|f| self.entries[f].twins & present != 0)
    }

    /// The world as a few lines of text, for a failing test and for the decision's pictures.
    pub(crate) fn draw(&self) -> String {
        let mut text = String::new();
        for (o, op) in self.roster.ops.iter().enumerate() {
            let what = match op.act {
                Act::Set { who, role } => format!("sets {} to {role:?}", names(who)),
                Act::RevokeOwn { who } => format!("revokes his own {}", names(who)),
                Act::Adopt => "adopts".into(),
                Act::Settle => "settles".into(),
            };
            let seen: Vec<String> = bits(op.past).map(|p| format!("o{p}")).collect();
            let named: Vec<String> = members(self.named[o]).map(|e| format!("e{e}")).collect();
            let counts = if self.roster.counted(self.roster.all()) & (1 << o) != 0 { "" } else { "  (void)" };
            let _ = writeln!(
                text,
                "  o{o}: {} {what}, names [{}], saw [{}]{counts}",
                names(1 << op.author),
                named.join(" "),
                seen.join(" ")
            );
        }
        for (e, entry) in self.entries[..self.len].iter().enumerate() {
            let deps: Vec<String> = members(entry.deps).map(|d| format!("e{d}")).collect();
            let cites: Vec<String> = bits(entry.cites).map(|o| format!("o{o}")).collect();
            let _ = writeln!(
                text,
                "  e{e}: {}{}:{} prev {} deps [{}] cites [{}]",
                names(1 << entry.device),
                entry.incarnation + 1,
                entry.seq,
                entry.prev.map_or("-".into(), |p| format!("e{p}")),
                deps.join(" "),
                cites.join(" ")
            );
        }
        text
    }
}

/// The members of a set of entries, ascending.
pub(crate) fn members(set: Entries) -> impl Iterator<Item = usize> {
    bits(Ops::from(set))
}

fn names(devices: u8) -> String {
    (0..DEVICES).filter(|d| devices & (1 << d) != 0).map(|d| ["A", "B", "C"][d]).collect()
}
