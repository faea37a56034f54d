//! The roster: a DAG of signed operations, and which of them count.
//!
//! A set of operations is a bit mask; operation `i` has only lower-numbered operations in its past. Signatures, hashes and
//! epochs are left out: an operation is who wrote it, what it does, and what it had seen. An operation's number stands for
//! its hash wherever a hash breaks a tie.

/// A set of operations, one bit each.
pub(crate) type Ops = u16;
/// A set of devices, one bit each.
pub(crate) type Devices = u8;

/// Devices in every world: A (0) founds the space, B (1), C (2).
pub(crate) const DEVICES: usize = 3;
/// Operations in a world, the founding ones included. Bounds the table of verdicts to 2^7.
pub(crate) const MAX_OPS: usize = 7;

/// What a device may do. `Gone` is final: a revoked key is never readmitted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Role {
    Gone,
    Reader,
    Writer,
    Admin,
}

/// What an operation does. The positions it names (`retain`, adopted, settled) are kept in the world: the roster's own
/// evaluation never looks at entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// Grant, demotion (below the role held) or removal (`Gone`).
    Set {
        who: Devices,
        role: Role,
    },
    /// A user revokes a device of his own; needs membership, not the admin role.
    RevokeOwn {
        who: Devices,
    },
    Adopt,
    Settle,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Op {
    pub(crate) author: u8,
    pub(crate) act: Act,
    /// Everything its author had seen, closed under "seen".
    pub(crate) past: Ops,
}

impl Op {
    fn needs(&self) -> Role {
        match self.act {
            Act::RevokeOwn { .. } => Role::Reader,
            _ => Role::Admin,
        }
    }

    /// Whether this operation leaves `device` with less than `needed`.
    pub(crate) fn lowers(&self, device: u8, needed: Role) -> bool {
        match self.act {
            Act::Set { who, role } => who & (1 << device) != 0 && role < needed,
            Act::RevokeOwn { who } => who & (1 << device) != 0,
            Act::Adopt | Act::Settle => false,
        }
    }

    /// The role this operation gives `device`, if it touches it.
    fn sets(&self, device: u8) -> Option<Role> {
        match self.act {
            Act::Set { who, role } if who & (1 << device) != 0 => Some(role),
            Act::RevokeOwn { who } if who & (1 << device) != 0 => Some(Role::Gone),
            _ => None,
        }
    }

    /// Whether positions named here stand whatever else happens: an admin put his name to them.
    pub(crate) fn pins(&self) -> bool {
        !matches!(self.act, Act::RevokeOwn { .. })
    }
}

/// Which rules decide what counts: the mended ones, or one deliberate deviation from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RosterRules {
    Mended,
    /// Rules (2) and (3) as first stated, to the letter: any removal voids concurrent operations of the removed, except that of two
    /// who remove each other the senior wins.
    AsStatedSeniority,
    /// Rule (2) as first stated, to the letter: removal voids, demotion does not.
    DemotionVoidsNothing,
    /// Rule (4) as first stated, read as causal descent: whatever comes after a voided operation is void.
    DescentFromVoidIsVoid,
    /// A voided grant goes on giving authority to what was built on it.
    VoidedGrantStillGives,
    /// Of concurrent role sets the higher wins.
    HigherRoleWins,
}

/// What a set of operations amounts to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) counted: Ops,
    role: [Role; DEVICES],
    /// The grant each device's role rests on; `None` for a device without one.
    support: [Option<u8>; DEVICES],
}

const NOBODY: Verdict = Verdict { counted: 0, role: [Role::Gone; DEVICES], support: [None; DEVICES] };

/// A DAG of operations with the verdict of each of its causally closed subsets.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    pub(crate) ops: Vec<Op>,
    user: [u8; DEVICES],
    rules: RosterRules,
    /// Seniority of each operation's author when he wrote it: the place of the grant his authority rests on. Smaller is
    /// senior. `None`: he had no authority by what he himself had seen, and the operation is refused for good.
    seniority: Vec<Option<u16>>,
    verdicts: Vec<Verdict>,
}

impl Roster {
    pub(crate) fn new(ops: Vec<Op>, user: [u8; DEVICES], rules: RosterRules) -> Self {
        assert!(ops.len() <= MAX_OPS, "a world holds at most {MAX_OPS} operations");
        let all = (1usize << ops.len()) - 1;
        let verdicts = vec![NOBODY; all + 1];
        let mut roster = Self { ops, user, rules, seniority: Vec::new(), verdicts };
        for o in 0..roster.ops.len() {
            // Every closed subset whose highest operation is `o`: all pasts within it are smaller numbers, judged already.
            roster.judge_author(o);
            for lower in 0..1u16 << o {
                let set = lower | 1 << o;
                if roster.is_closed(set) {
                    roster.verdicts[set as usize] = roster.judge(set);
                }
            }
        }
        roster
    }

    pub(crate) fn all(&self) -> Ops {
        ((1u32 << self.ops.len()) - 1) as Ops
    }

    pub(crate) fn is_closed(&self, set: Ops) -> bool {
        bits(set).all(|o| self.ops[o].past & !set == 0)
    }

    pub(crate) fn counted(&self, known: Ops) -> Ops {
        self.verdicts[known as usize].counted
    }

    pub(crate) fn role(&self, known: Ops, device: u8) -> Role {
        self.verdicts[known as usize].role[device as usize]
    }

    /// The grant that `device`'s role at `known` rests on.
    pub(crate) fn support(&self, known: Ops, device: u8) -> Option<u8> {
        self.verdicts[known as usize].support[device as usize]
    }

    pub(crate) fn seniority(&self, op: usize) -> Option<u16> {
        self.seniority[op]
    }

    pub(crate) fn concurrent(&self, a: usize, b: usize) -> bool {
        a != b && self.ops[a].past & (1 << b) == 0 && self.ops[b].past & (1 << a) == 0
    }

    /// Place of an operation in the DAG, a function of its ancestors alone: depth, then hash (here: number).
    pub(crate) fn place(&self, op: usize) -> u16 {
        self.depth(op) << 8 | op as u16
    }

    fn depth(&self, op: usize) -> u16 {
        bits(self.ops[op].past).map(|o| 1 + self.depth(o)).max().unwrap_or(0)
    }

    fn judge_author(&mut self, o: usize) {
        let op = self.ops[o];
        let seniority = if op.past == 0 {
            Some(0) // the genesis: authority comes from being hashed into the space id
        } else {
            let own = match op.act {
                Act::RevokeOwn { who } => devices(who).all(|d| self.user[d] == self.user[op.author as usize]),
                _ => true,
            };
            let may = own && self.role(op.past, op.author) >= op.needs();
            let rests_on = self.support(op.past, op.author);
            if may { rests_on.map(|g| self.place(g as usize)) } else { None }
        };
        self.seniority.push(seniority);
    }

    /// Whether `r`, if it counts, voids the concurrent `o`.
    pub(crate) fn voids(&self, r: usize, o: usize) -> bool {
        let (removal, op) = (&self.ops[r], &self.ops[o]);
        let hits = self.concurrent(r, o) && removal.lowers(op.author, op.needs());
        match self.rules {
            RosterRules::AsStatedSeniority => {
                let mutual = op.lowers(removal.author, removal.needs());
                hits && !(mutual && self.seniority[o] < self.seniority[r])
            }
            RosterRules::DemotionVoidsNothing => {
                hits && removal.lowers(op.author, Role::Reader) && self.seniority[r] < self.seniority[o]
            }
            _ => hits && self.seniority[r] < self.seniority[o],
        }
    }

    /// Whether `counted` agrees with the rules for `o`, given what it says of all others.
    fn should_count(&self, o: usize, set: Ops, counted: Ops) -> bool {
        if self.seniority[o].is_none() {
            return false;
        }
        let op = &self.ops[o];
        if op.past == 0 {
            return true;
        }
        let rests_on = self.support(op.past, op.author).expect("authority rests on a grant");
        let supported = self.rules == RosterRules::VoidedGrantStillGives || counted & (1 << rests_on) != 0;
        let descends = self.rules == RosterRules::DescentFromVoidIsVoid
            && bits(op.past & !counted).any(|p| self.seniority[p].is_some());
        supported && !descends && !bits(set & counted).any(|r| self.voids(r, o))
    }

    /// Every assignment of "counts" to `set` that agrees with the rules. More or fewer than one: the rules are no function.
    pub(crate) fn solutions(&self, set: Ops) -> Vec<Ops> {
        let mut found = Vec::new();
        let mut counted = set;
        loop {
            if bits(set).all(|o| self.should_count(o, set, counted) == (counted & (1 << o) != 0)) {
                found.push(counted);
            }
            if counted == 0 {
                return found;
            }
            counted = (counted - 1) & set;
        }
    }

    fn judge(&self, set: Ops) -> Verdict {
        let counted = match self.rules {
            // These two are not known to be well-founded; take the first agreeing assignment.
            RosterRules::AsStatedSeniority | RosterRules::DescentFromVoidIsVoid => {
                self.solutions(set).first().copied().unwrap_or(0)
            }
            // Senior authors first: a grant and a voiding removal are both by somebody senior to the author they bear on,
            // so everything that decides an operation is decided before it.
            _ => {
                let mut order: Vec<usize> = bits(set).filter(|&o| self.seniority[o].is_some()).collect();
                order.sort_by_key(|&o| (self.seniority[o], o));
                order.iter().fold(
                    0,
                    |counted, &o| {
                        if self.should_count(o, set, counted) { counted | 1 << o } else { counted }
                    },
                )
            }
        };
        let mut verdict = Verdict { counted, ..NOBODY };
        for device in 0..DEVICES {
            (verdict.role[device], verdict.support[device]) = self.role_of(counted, device as u8);
        }
        verdict
    }

    /// The lowest of the causally latest counted role sets; and the most senior of them, on which it rests.
    fn role_of(&self, counted: Ops, device: u8) -> (Role, Option<u8>) {
        let sets: Vec<(usize, Role)> =
            bits(counted).filter_map(|o| self.ops[o].sets(device).map(|role| (o, role))).collect();
        if sets.iter().any(|&(_, role)| role == Role::Gone) {
            return (Role::Gone, None);
        }
        let latest = |o: usize| !sets.iter().any(|&(later, _)| self.ops[later].past & (1 << o) != 0);
        let latest: Vec<(usize, Role)> = sets.iter().copied().filter(|&(o, _)| latest(o)).collect();
        let roles = latest.iter().map(|&(_, role)| role);
        let role = if self.rules == RosterRules::HigherRoleWins { roles.max() } else { roles.min() };
        let support = latest.iter().map(|&(o, _)| o).min_by_key(|&o| self.place(o));
        (role.unwrap_or(Role::Gone), support.map(|o| o as u8))
    }
}

/// The members of a set of operations, ascending.
pub(crate) fn bits(set: Ops) -> impl Iterator<Item = usize> {
    let mut left = set;
    std::iter::from_fn(move || {
        let lowest = (left != 0).then(|| left.trailing_zeros() as usize);
        left &= left.wrapping_sub(1);
        lowest
    })
}

/// The members of a set of devices, ascending.
pub(crate) fn devices(set: Devices) -> impl Iterator<Item = usize> {
    bits(Ops::from(set))
}
