//! Which operations are void: removals against what their subjects did meanwhile, and removals against each other.
//!
//! A removal in force voids every operation of its subject that is concurrent with it, and everything that then lacks
//! authority. A setting of a role counts as a removal from all that the role does not allow: else a demoted admin could go on
//! for ever by building on what was before his demotion. Removals that would void each other, directly or through what depends on them, form a knot. Those that nobody
//! voids are in force first; in a knot that nothing outside can untie, the removal whose author is the senior stands, and
//! those of the same knot that would void it fall. Grants made in the dark do not help: whoever was added by a voided
//! operation is no senior, and what he did is void with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::roster::dag::{Dag, Index};
use crate::roster::evaluate::State;
use crate::roster::op::OpBody;

type Set = BTreeSet<Index>;

/// The void ones among `order`, which is closed under ancestors and in canonical order.
///
/// Cost: where no subject of a removal did anything concurrently with it, one look at its operations for each removal. Else
/// a pass over `order` for each removal that voids something, times the length of the longest chain of such removals.
pub(super) fn void_ops(dag: &Dag, order: &[Index]) -> Set {
    let removals = Removals::of(dag, order);
    if removals.voids.values().all(Set::is_empty) {
        return Set::new();
    }
    // A removal may be in force against each of several others alone and yet fall to all of them together. It then falls for
    // good, and the rest is settled without it; each round fells one, so this ends.
    let mut fallen = Set::new();
    loop {
        let (in_force, void) = removals.settle(fallen.clone());
        match in_force.intersection(&void).next() {
            None => return void,
            Some(removal) => {
                fallen.insert(*removal);
            }
        }
    }
}

struct Removals<'a> {
    dag: &'a Dag,
    order: &'a [Index],
    /// Each removal with the operations of its subject that it voids: those that are concurrent with it.
    voids: BTreeMap<Index, Set>,
}

impl<'a> Removals<'a> {
    fn of(dag: &'a Dag, order: &'a [Index]) -> Self {
        let members: Set = order.iter().copied().collect();
        let mut voids = BTreeMap::new();
        for at in order {
            let node = dag.node(*at);
            let by_subject: Vec<Index> = match &node.op.body {
                OpBody::RemoveUser { user, .. } => dag.by_user.get(user).cloned().unwrap_or_default(),
                OpBody::SetRole { user, role, .. } => {
                    let beyond = |op: &&Index| dag.node(**op).standing.needs > *role;
                    dag.by_user.get(user).map(|ops| ops.iter().filter(beyond).copied().collect()).unwrap_or_default()
                }
                OpBody::RevokeDevice { device, .. } => {
                    dag.chains.get(device).map(|chain| chain.ops.values().copied().collect()).unwrap_or_default()
                }
                _ => continue,
            };
            let concurrent = |op: &Index| members.contains(op) && dag.are_concurrent(*op, *at);
            voids.insert(*at, by_subject.into_iter().filter(concurrent).collect());
        }
        Removals { dag, order, voids }
    }

    /// Decides which removals are in force, given that those in `lost` are not; and what is void then.
    fn settle(&self, mut lost: Set) -> (Set, Set) {
        let mut in_force = Set::new();
        loop {
            let void = self.cascade(&in_force, &lost);
            let open: Set =
                self.voids.keys().copied().filter(|at| !in_force.contains(at) && !void.contains(at)).collect();
            if open.is_empty() {
                return (in_force, void);
            }
            let attacks = self.attacks(&open, &in_force, &lost);
            let attacked: Set = attacks.values().flatten().copied().collect();
            let free: Set = open.difference(&attacked).copied().collect();
            if free.is_empty() {
                let (stands, falls) = self.untie(&open, &attacks);
                in_force.insert(stands);
                lost.extend(falls);
            } else {
                in_force.extend(free);
            }
        }
    }

    /// For each open removal, the other open ones that would be void if it were in force.
    fn attacks(&self, open: &Set, in_force: &Set, lost: &Set) -> BTreeMap<Index, Set> {
        let mut attacks = BTreeMap::new();
        for at in open {
            let mut victims = Set::new();
            if !self.voids[at].is_empty() {
                let mut with = in_force.clone();
                with.insert(*at);
                victims = self.cascade(&with, lost).intersection(open).copied().collect();
                victims.remove(at);
            }
            attacks.insert(*at, victims);
        }
        attacks
    }

    /// Picks the removal that stands in a knot where each open removal is attacked, and those that fall to it.
    fn untie(&self, open: &Set, attacks: &BTreeMap<Index, Set>) -> (Index, Set) {
        let mut reach = attacks.clone();
        for via in open {
            let onward = reach[via].clone();
            for set in reach.values_mut() {
                if set.contains(via) {
                    set.extend(&onward);
                }
            }
        }
        let same_knot = |a: &Index, b: &Index| reach[a].contains(b) && reach[b].contains(a);
        // Only knots that no removal outside them attacks: what such a one would void must not decide anything.
        let outermost = |at: &&Index| open.iter().all(|other| !reach[other].contains(at) || same_knot(other, at));
        let rank = |at: &&Index| {
            let node = self.dag.node(**at);
            (node.standing, node.place)
        };
        let stands = open.iter().filter(outermost).min_by_key(rank).or_else(|| open.iter().min_by_key(rank));
        let stands = *stands.expect("untie is asked for at least one open removal");
        let falls = open.iter().filter(|at| attacks[at].contains(&stands) && same_knot(at, &stands)).copied().collect();
        (stands, falls)
    }

    /// Everything that is void if exactly these removals are in force and those are lost.
    fn cascade(&self, in_force: &Set, lost: &Set) -> Set {
        let mut void = lost.clone();
        for at in in_force {
            void.extend(&self.voids[at]);
        }
        if void.is_empty() {
            return void;
        }
        for at in self.order {
            let node = self.dag.node(*at);
            if void.contains(at) || !void.iter().any(|gone| self.dag.is_at_or_before(*gone, *at)) {
                continue;
            }
            let before = self.dag.past(&node.parents);
            let state = State::fold(self.dag, before.into_iter().filter(|op| !void.contains(op)));
            if state.authorize(self.dag, &node.op).is_err() {
                void.insert(*at);
            }
        }
        void
    }
}
