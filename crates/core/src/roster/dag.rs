//! The operations of one space and how they stand to each other: which came before which, whose they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{DeviceId, OpHash, UserId};
use crate::role::Role;
use crate::roster::op::RosterOp;

/// An operation's place in the canonical order: by its longest path from the genesis, then by hash. Ancestors come first, and
/// the place never changes, whatever else arrives. An earlier place is the senior one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seniority {
    /// Longest path from the genesis; 0 for the genesis.
    pub depth: u32,
    /// The operation.
    pub op: OpHash,
}

/// Who an author was by the operations before his own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    /// When the user was made a member.
    pub(super) user_since: Seniority,
    /// When the device was added.
    pub(super) device_since: Seniority,
    /// The author's user.
    pub(super) user: UserId,
    /// The least role that could have done it.
    pub(super) needs: Role,
}

/// Index of an operation in [`Dag::nodes`]: the order of arrival, so of no meaning to any result.
pub(super) type Index = usize;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Seniority,
    pub(super) parents: Vec<Index>,
    pub(super) op: RosterOp,
    pub(super) bytes: Vec<u8>,
    pub(super) standing: Standing,
}

/// A device's operations.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain {
    pub(super) ops: BTreeMap<(u64, OpHash), Index>,
    /// The lowest `seq` at which the device signed two operations.
    pub(super) forked_at: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Dag {
    pub(super) nodes: Vec<Node>,
    pub(super) by_hash: BTreeMap<OpHash, Index>,
    pub(super) chains: BTreeMap<DeviceId, Chain>,
    pub(super) by_user: BTreeMap<UserId, Vec<Index>>,
    pub(super) heads: BTreeSet<OpHash>,
    /// How many operations there are of each depth.
    width: Vec<u32>,
}

impl Dag {
    pub(super) fn node(&self, at: Index) -> &Node {
        &self.nodes[at]
    }

    pub(super) fn hash(&self, at: Index) -> OpHash {
        self.nodes[at].place.op
    }

    /// The depth of an operation with these parents.
    pub(super) fn depth_on(&self, parents: &[Index]) -> u32 {
        parents.iter().map(|parent| self.nodes[*parent].place.depth + 1).max().unwrap_or(0)
    }

    pub(super) fn push(&mut self, node: Node) -> Index {
        let at = self.nodes.len();
        let (hash, depth) = (node.place.op, node.place.depth as usize);
        self.by_hash.insert(hash, at);
        for parent in &node.parents {
            let parent = self.nodes[*parent].place.op;
            self.heads.remove(&parent);
        }
        self.heads.insert(hash);
        if self.width.len() <= depth {
            self.width.resize(depth + 1, 0);
        }
        self.width[depth] += 1;
        let chain = self.chains.entry(node.op.author).or_default();
        let seq = node.op.seq;
        let twice = chain.ops.range((seq, OpHash([0; 32]))..=(seq, OpHash([255; 32]))).next().is_some();
        if twice {
            chain.forked_at = Some(chain.forked_at.map_or(seq, |before| before.min(seq)));
        }
        chain.ops.insert((seq, hash), at);
        self.by_user.entry(node.standing.user).or_default().push(at);
        self.nodes.push(node);
        at
    }

    /// Whether `a` is `b` or an ancestor of it.
    ///
    /// Cost: constant where only one operation has `a`'s depth (every path to something deeper leads through it), else a walk
    /// back from `b` through the operations deeper than `a`.
    pub(super) fn is_at_or_before(&self, a: Index, b: Index) -> bool {
        let floor = self.nodes[a].place.depth;
        if a == b {
            return true;
        }
        if self.nodes[b].place.depth <= floor {
            return false;
        }
        if self.width[floor as usize] == 1 {
            return true;
        }
        let mut seen = BTreeSet::new();
        let mut open = vec![b];
        while let Some(at) = open.pop() {
            for parent in &self.nodes[at].parents {
                if *parent == a {
                    return true;
                }
                if self.nodes[*parent].place.depth > floor && seen.insert(*parent) {
                    open.push(*parent);
                }
            }
        }
        false
    }

    pub(super) fn are_concurrent(&self, a: Index, b: Index) -> bool {
        !self.is_at_or_before(a, b) && !self.is_at_or_before(b, a)
    }

    /// `heads` and all their ancestors, in canonical order.
    pub(super) fn past(&self, heads: &[Index]) -> Vec<Index> {
        let mut seen = vec![false; self.nodes.len()];
        let mut open: Vec<Index> = heads.to_vec();
        let mut out = Vec::new();
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                out.push(at);
                open.extend_from_slice(&self.nodes[at].parents);
            }
        }
        self.sort(&mut out);
        out
    }

    /// Puts operations into canonical order.
    pub(super) fn sort(&self, ops: &mut [Index]) {
        ops.sort_unstable_by_key(|at| self.nodes[*at].place);
    }

    /// Only those that no other one of them builds on.
    pub(super) fn maximal(&self, mut ops: Vec<Index>) -> Vec<Index> {
        self.sort(&mut ops);
        ops.dedup();
        let covered = |at: &Index| ops.iter().any(|other| other != at && self.is_at_or_before(*at, *other));
        ops.iter().copied().filter(|at| !covered(at)).collect()
    }
}
