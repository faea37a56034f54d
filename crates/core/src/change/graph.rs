//! Which changes are known, and which of them are ancestors of which.
//!
//! A change's ancestors are described by a clock: how many changes of each actor they hold. That suffices because every
//! change descends from its author's previous one. Clocks of all changes would cost changes × actors; instead every change
//! counts how far a walk from it to stored clocks may go, and stores its own when that gets long.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use automerge::ChangeHash;

use super::refusal::Refusal;

/// Changes that a walk may visit before it meets stored clocks. Larger: less memory, slower checks of concurrent changes.
const WALK: u32 = 64;

/// An actor's number in one document, by order of arrival.
pub(super) type ActorNumber = u32;

#[derive(Debug, Clone)]
struct Node {
    hash: ChangeHash,
    actor: ActorNumber,
    seq: u32,
    max_op: u32,
    /// Bound on the changes between this one and stored clocks; 0 if it stores its own.
    walk: u32,
    /// Where its parents' numbers end in `Graph::parents`; they begin where those of the node before it end.
    parents_end: u32,
}

/// The known changes of one document.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    parents: Vec<u32>,
    by_hash: BTreeMap<ChangeHash, u32>,
    actors: Vec<Box<[u8]>>,
    by_actor: BTreeMap<Box<[u8]>, ActorNumber>,
    /// Each actor's changes by sequence number - 1.
    changes_of: Vec<Vec<u32>>,
    heads: BTreeSet<u32>,
    clocks: BTreeMap<u32, Box<[u32]>>,
    max_op: u32,
}

/// The ancestors of a change that builds on given dependencies.
#[derive(Debug)]
pub(super) struct Past {
    /// Changes by each actor; `None` when the past is everything known.
    clock: Option<Vec<u32>>,
    pub(super) max_op: u32,
    parents: Vec<u32>,
}

/// A change to add.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewNode {
    pub(super) hash: ChangeHash,
    pub(super) actor: ActorNumber,
    pub(super) seq: u32,
    pub(super) max_op: u32,
}

impl Graph {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether one more change with this many dependencies can still be numbered.
    pub(super) fn has_room(&self, deps: usize) -> bool {
        u32::try_from(self.nodes.len() + 1).is_ok() && u32::try_from(self.parents.len() + deps).is_ok()
    }

    pub(super) fn contains(&self, hash: &ChangeHash) -> bool {
        self.by_hash.contains_key(hash)
    }

    pub(super) fn heads(&self) -> impl Iterator<Item = ChangeHash> {
        self.heads.iter().map(|node| self.nodes[*node as usize].hash)
    }

    pub(super) fn max_op(&self) -> u32 {
        self.max_op
    }

    pub(super) fn actor_number(&self, actor: &[u8]) -> Option<ActorNumber> {
        self.by_actor.get(actor).copied()
    }

    pub(super) fn actor_bytes(&self, actor: ActorNumber) -> &[u8] {
        &self.actors[actor as usize]
    }

    /// The number of this actor, a new one if need be.
    pub(super) fn add_actor(&mut self, actor: &[u8]) -> ActorNumber {
        if let Some(number) = self.actor_number(actor) {
            return number;
        }
        let number = self.actors.len() as u32; // every actor has a change, and changes are numbered in 32 bits
        self.actors.push(actor.into());
        self.by_actor.insert(actor.into(), number);
        self.changes_of.push(Vec::new());
        number
    }

    /// Forget the actor added last if it has no changes.
    pub(super) fn drop_idle_actor(&mut self) {
        if self.changes_of.last().is_some_and(Vec::is_empty) {
            self.changes_of.pop();
            if let Some(actor) = self.actors.pop() {
                self.by_actor.remove(&actor);
            }
        }
    }

    /// How many changes by this actor are known.
    pub(super) fn seq(&self, actor: ActorNumber) -> u32 {
        self.changes_of[actor as usize].len() as u32
    }

    /// The change of this actor with this sequence number, from 1.
    pub(super) fn change_of(&self, actor: ActorNumber, seq: u64) -> Option<ChangeHash> {
        let place = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.changes_of.get(actor as usize)?.get(place).map(|node| self.nodes[*node as usize].hash)
    }

    /// How many of this actor's changes are in the past.
    pub(super) fn seq_in(&self, past: &Past, actor: ActorNumber) -> u32 {
        match &past.clock {
            None => self.seq(actor),
            Some(clock) => clock.get(actor as usize).copied().unwrap_or(0),
        }
    }

    /// Largest operation counter of this actor's changes in the past; 0 if there are none.
    pub(super) fn max_op_in(&self, past: &Past, actor: ActorNumber) -> u32 {
        match self.seq_in(past, actor) {
            0 => 0,
            seq => self.nodes[self.changes_of[actor as usize][seq as usize - 1] as usize].max_op,
        }
    }

    /// The ancestors of a change with these dependencies.
    ///
    /// Errors: a dependency is not known. Cost: one look-up a dependency, and nothing more if they are the heads; otherwise
    /// a walk over at most [`WALK`] changes a dependency and one pass over the actors for each stored clock met.
    pub(super) fn past(&self, deps: &[ChangeHash]) -> Result<Past, Refusal> {
        let mut parents = Vec::with_capacity(deps.len());
        let mut max_op = 0;
        for dep in deps {
            let node = *self.by_hash.get(dep).ok_or(Refusal::MissingDependency(*dep))?;
            // A change starts beyond its ancestors, so the largest counters are those of the dependencies themselves.
            max_op = max_op.max(self.nodes[node as usize].max_op);
            parents.push(node);
        }
        // Dependencies differ from one another, so they can be counted.
        let all = parents.iter().filter(|parent| self.heads.contains(parent)).count() == self.heads.len();
        let clock = (!all).then(|| self.clock(&parents));
        Ok(Past { clock, max_op, parents })
    }

    fn clock(&self, from: &[u32]) -> Vec<u32> {
        let mut clock = vec![0; self.actors.len()];
        // What stored clocks said, which is complete: whatever they cover, they cover with all its ancestors.
        let mut covered = clock.clone();
        let mut to_visit: BinaryHeap<u32> = from.iter().copied().collect();
        let mut last = None;
        while let Some(number) = to_visit.pop() {
            let node = &self.nodes[number as usize];
            let actor = node.actor as usize;
            if covered[actor] >= node.seq || last.replace(number) == Some(number) {
                continue;
            }
            clock[actor] = clock[actor].max(node.seq);
            if let Some(stored) = self.clocks.get(&number) {
                for (mine, theirs) in covered.iter_mut().zip(stored) {
                    *mine = (*mine).max(*theirs);
                }
            } else {
                to_visit.extend(self.parents_of(number));
            }
        }
        for (mine, theirs) in clock.iter_mut().zip(covered) {
            *mine = theirs.max(*mine);
        }
        clock
    }

    fn parents_of(&self, number: u32) -> &[u32] {
        let start = match number {
            0 => 0,
            _ => self.nodes[number as usize - 1].parents_end,
        };
        &self.parents[start as usize..self.nodes[number as usize].parents_end as usize]
    }

    /// Add a change whose past was looked up with nothing added since.
    pub(super) fn push(&mut self, new: NewNode, past: Past) {
        let number = self.nodes.len() as u32; // the caller asked has_room
        let walk = past.parents.iter().fold(1_u32, |sum, parent| sum.saturating_add(self.nodes[*parent as usize].walk));
        for parent in &past.parents {
            self.heads.remove(parent);
        }
        self.heads.insert(number);
        self.parents.extend(&past.parents);
        let NewNode { hash, actor, seq, max_op } = new;
        let parents_end = self.parents.len() as u32;
        self.nodes.push(Node { hash, actor, seq, max_op, walk, parents_end });
        self.by_hash.insert(hash, number);
        self.changes_of[actor as usize].push(number);
        self.max_op = self.max_op.max(max_op);
        if walk > WALK {
            let clock = self.clock(&[number]);
            self.clocks.insert(number, clock.into());
            self.nodes[number as usize].walk = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each element: (actor, numbers of two earlier changes to build on beside the author's last).
    fn build(plan: &[(u8, usize, usize)]) -> (Graph, Vec<BTreeSet<u32>>) {
        let mut graph = Graph::default();
        let mut ancestors: Vec<BTreeSet<u32>> = Vec::new();
        for (number, (actor, left, right)) in plan.iter().enumerate() {
            let author = graph.add_actor(&[*actor]);
            let mut deps = BTreeSet::new();
            if number > 0 {
                deps.extend([left % number, right % number]);
            }
            deps.extend(graph.changes_of[author as usize].last().map(|node| *node as usize));
            let hashes: Vec<_> = deps.iter().map(|dep| graph.nodes[*dep].hash).collect();
            let past = graph.past(&hashes).unwrap();
            let mut mine: BTreeSet<u32> = BTreeSet::from([number as u32]);
            for dep in deps {
                mine.extend(&ancestors[dep]);
            }
            ancestors.push(mine);
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&(number as u64).to_le_bytes());
            let seq = graph.seq(author) + 1;
            graph.push(NewNode { hash: ChangeHash(hash), actor: author, seq, max_op: number as u32 + 1 }, past);
        }
        (graph, ancestors)
    }

    proptest! {
        #[test]
        fn a_past_holds_exactly_the_ancestors(
            plan in proptest::collection::vec((0_u8..5, any::<usize>(), any::<usize>()), 1..400),
        ) {
            let (graph, ancestors) = build(&plan);
            for (number, expected) in ancestors.iter().enumerate() {
                let past = graph.past(&[graph.nodes[number].hash]).unwrap();
                let held: BTreeSet<u32> = (0..graph.actors.len() as u32)
                    .flat_map(|actor| graph.changes_of[actor as usize][..graph.seq_in(&past, actor) as usize].to_vec())
                    .collect();
                prop_assert_eq!(&held, expected);
            }
        }
    }

    #[test]
    fn clocks_are_stored_often_enough_and_not_at_every_change() {
        let plan: Vec<_> = (0..1000_usize).map(|n| ((n % 3) as u8, n.wrapping_sub(1), n.wrapping_sub(1))).collect();
        let (graph, _) = build(&plan);
        assert!(graph.nodes.iter().all(|node| node.walk <= WALK));
        assert!(graph.clocks.len() < 500, "{} clocks", graph.clocks.len());
    }
}
