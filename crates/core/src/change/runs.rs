//! What each known operation made: the values that can be superseded, the elements of lists and their order.
//!
//! Kept in runs per actor, so that a typed sentence is one entry. Only what a later operation may name is kept: deletions and
//! increments supersede, but nothing supersedes them.

use std::collections::BTreeMap;

use super::graph::{ActorNumber, Graph};

/// An operation of the document. Counter 0 is the root map where an object is meant, the head where an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OpId {
    pub(super) ctr: u32,
    pub(super) actor: ActorNumber,
}

/// The root map, or the head of a list.
pub(super) const ROOT: OpId = OpId { ctr: 0, actor: 0 };

/// What operations go into an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Map,
    List,
    Text,
}

/// An object that operations go into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) kind: ObjectKind,
    /// How many objects it stands in; the root in none.
    pub(super) depth: u32,
}

/// Where an operation puts its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Under the map key with this number.
    Key(u32),
    /// Over an element of a list.
    Over(OpId),
    /// In an element of its own, behind another.
    Behind(OpId),
}

/// A run's place among its actor's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RunRef {
    actor: ActorNumber,
    place: u32,
}

/// Where a run of inserted elements hangs in its list's tree.
#[derive(Debug, Clone, Copy)]
struct Branch {
    /// What its first element was inserted behind; every other one is behind the element before it.
    parent: OpId,
    /// The run of the parent; meaningless at the head.
    parent_run: RunRef,
    /// A run further up, for climbing in logarithmic steps; itself at depth 0.
    jump: RunRef,
    /// Runs above this one.
    depth: u32,
}

/// What an operation leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// A value other than a counter, or an object.
    Value,
    /// What increments need.
    Counter,
    /// A mark's begin or end: an element that others may stand behind, but no value.
    Mark,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Key(u32),
    Over(OpId),
    Insert(Branch),
}

#[derive(Debug, Clone, Copy)]
struct Run {
    start: u32,
    len: u32,
    object: OpId,
    made: Made,
    slot: Slot,
}

/// The operations of one document that later ones may name.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    of_actor: Vec<Vec<Run>>,
    objects: BTreeMap<OpId, Object>,
    keys: BTreeMap<Box<str>, u32>,
}

/// What to undo when a change is refused half-way.
#[derive(Debug)]
pub(super) struct Savepoint {
    actor: ActorNumber,
    runs: usize,
    last_len: u32,
    objects: Vec<OpId>,
    keys: Vec<Box<str>>,
}

impl Runs {
    /// Begin adding operations of one actor.
    pub(super) fn savepoint(&mut self, actor: ActorNumber) -> Savepoint {
        if self.of_actor.len() <= actor as usize {
            self.of_actor.resize_with(actor as usize + 1, Vec::new);
        }
        let runs = &self.of_actor[actor as usize];
        let last_len = runs.last().map_or(0, |run| run.len);
        Savepoint { actor, runs: runs.len(), last_len, objects: Vec::new(), keys: Vec::new() }
    }

    /// Forget all that was added since.
    pub(super) fn undo(&mut self, savepoint: Savepoint) {
        let runs = &mut self.of_actor[savepoint.actor as usize];
        runs.truncate(savepoint.runs);
        if let Some(last) = runs.last_mut() {
            last.len = savepoint.last_len;
        }
        for object in savepoint.objects {
            self.objects.remove(&object);
        }
        for key in savepoint.keys {
            self.keys.remove(&key);
        }
    }

    /// The object with this id, if there is one.
    pub(super) fn object(&self, id: OpId) -> Option<Object> {
        if id == ROOT { Some(Object { kind: ObjectKind::Map, depth: 0 }) } else { self.objects.get(&id).copied() }
    }

    pub(super) fn add_object(&mut self, savepoint: &mut Savepoint, id: OpId, object: Object) {
        self.objects.insert(id, object);
        savepoint.objects.push(id);
    }

    /// The number of a map key, if it was ever used.
    pub(super) fn key_number(&self, key: &str) -> Option<u32> {
        self.keys.get(key).copied()
    }

    pub(super) fn add_key(&mut self, savepoint: &mut Savepoint, key: &str) -> u32 {
        if let Some(number) = self.key_number(key) {
            return number;
        }
        let number = self.keys.len() as u32; // every key has an operation, and those are numbered in 31 bits
        self.keys.insert(key.into(), number);
        savepoint.keys.push(key.into());
        number
    }

    fn find(&self, id: OpId) -> Option<(RunRef, &Run)> {
        let runs = self.of_actor.get(id.actor as usize)?;
        let place = runs.partition_point(|run| run.start <= id.ctr).checked_sub(1)?;
        let run = &runs[place];
        (id.ctr - run.start < run.len).then_some((RunRef { actor: id.actor, place: place as u32 }, run))
    }

    /// Whether the operation inserted an element into this list.
    pub(super) fn is_element(&self, id: OpId, object: OpId) -> bool {
        matches!(self.find(id), Some((_, Run { object: of, slot: Slot::Insert(_), .. })) if *of == object)
    }

    /// What the operation made in this object under the same key or over the same element, if it made a value there.
    pub(super) fn value_at(&self, id: OpId, object: OpId, place: Place) -> Option<Made> {
        let (_, run) = self.find(id)?;
        let same = match (run.slot, place) {
            (Slot::Key(key), Place::Key(wanted)) => key == wanted,
            (Slot::Over(element), Place::Over(wanted)) => element == wanted,
            (Slot::Insert(_), Place::Over(wanted)) => id == wanted,
            _ => false,
        };
        (same && run.object == object && run.made != Made::Mark).then_some(run.made)
    }

    /// Keep what this operation made. Its counter is above all of its actor's, and what it is behind exists.
    pub(super) fn add(&mut self, id: OpId, object: OpId, place: Place, made: Made) {
        let slot = match place {
            Place::Key(key) => Slot::Key(key),
            Place::Over(element) => Slot::Over(element),
            Place::Behind(parent) => {
                if made == Made::Value && self.extend(id, object, parent) {
                    return;
                }
                Slot::Insert(self.branch(id, parent))
            }
        };
        self.of_actor[id.actor as usize].push(Run { start: id.ctr, len: 1, object, made, slot });
    }

    /// Lengthen the actor's last run if the element continues it.
    fn extend(&mut self, id: OpId, object: OpId, parent: OpId) -> bool {
        let Some(run) = self.of_actor[id.actor as usize].last_mut() else { return false };
        let last = run.start + run.len - 1;
        let continues = run.object == object
            && run.made == Made::Value
            && matches!(run.slot, Slot::Insert(_))
            && parent == OpId { ctr: last, actor: id.actor }
            && id.ctr == last + 1;
        if continues {
            run.len += 1;
        }
        continues
    }

    /// Jump pointers as in Myers, "An applicative random-access stack" (1983): a run jumps twice as far as its parent if the
    /// parent's jump and the one after it are equally long.
    fn branch(&self, id: OpId, parent: OpId) -> Branch {
        let own = RunRef { actor: id.actor, place: self.of_actor[id.actor as usize].len() as u32 };
        let Some((parent_run, above)) = self.find(parent).and_then(|(place, run)| Some((place, run.branch()?))) else {
            return Branch { parent: ROOT, parent_run: own, jump: own, depth: 0 };
        };
        let far = self.at(above.jump);
        let jump = match far {
            Some(far) => {
                let farther = self.at(far.jump).map_or(0, |run| run.depth);
                if above.depth - far.depth == far.depth - farther { far.jump } else { parent_run }
            }
            None => parent_run,
        };
        Branch { parent, parent_run, jump, depth: above.depth + 1 }
    }

    fn at(&self, run: RunRef) -> Option<&Branch> {
        self.of_actor.get(run.actor as usize)?.get(run.place as usize)?.branch()
    }

    fn first(&self, run: RunRef) -> OpId {
        OpId { ctr: self.of_actor[run.actor as usize][run.place as usize].start, actor: run.actor }
    }

    /// Whether element `a` stands before element `b` of the same list; they differ and both exist.
    ///
    /// A list is a tree: every element hangs from the one it was inserted behind, siblings are ordered latest first, and the
    /// list is that tree read parent first. The order of two elements is therefore fixed once both exist.
    ///
    /// Cost: logarithmic in the runs between the elements and the head.
    pub(super) fn precedes(&self, graph: &Graph, a: OpId, b: OpId) -> Option<bool> {
        let (mut left, mut right) = (self.find(a)?.0, self.find(b)?.0);
        // Where each side's path meets the common run, and the element through which it came.
        let (mut at_left, mut at_right) = ((a, None), (b, None));
        if left != right {
            let (depth_left, depth_right) = (self.at(left)?.depth, self.at(right)?.depth);
            if depth_left > depth_right {
                left = self.climb(left, depth_right + 1)?;
                at_left = (self.at(left)?.parent, Some(self.first(left)));
                left = self.at(left)?.parent_run;
            } else if depth_right > depth_left {
                right = self.climb(right, depth_left + 1)?;
                at_right = (self.at(right)?.parent, Some(self.first(right)));
                right = self.at(right)?.parent_run;
            }
        }
        while left != right {
            let (above_left, above_right) = (self.at(left)?, self.at(right)?);
            if above_left.depth > 0 && above_left.jump != above_right.jump {
                (left, right) = (above_left.jump, above_right.jump);
                continue;
            }
            at_left = (above_left.parent, Some(self.first(left)));
            at_right = (above_right.parent, Some(self.first(right)));
            if above_left.depth == 0 {
                break;
            }
            (left, right) = (above_left.parent_run, above_right.parent_run);
        }
        Some(self.meets_before(graph, at_left, at_right))
    }

    /// The run above `from` at this depth.
    fn climb(&self, mut from: RunRef, depth: u32) -> Option<RunRef> {
        loop {
            let run = self.at(from)?;
            if run.depth == depth {
                return Some(from);
            }
            from = if self.at(run.jump)?.depth >= depth { run.jump } else { run.parent_run };
        }
    }

    /// Order of two paths that reach a common run (or the head) at these elements, through these children.
    fn meets_before(&self, graph: &Graph, left: (OpId, Option<OpId>), right: (OpId, Option<OpId>)) -> bool {
        // The path to the later element of the run leads through the element after the earlier one.
        let next = |of: OpId| OpId { ctr: of.ctr + 1, actor: of.actor };
        let (through_left, through_right) = match left.0.ctr.cmp(&right.0.ctr) {
            std::cmp::Ordering::Equal => (left.1, right.1),
            std::cmp::Ordering::Less => (left.1, Some(next(left.0))),
            std::cmp::Ordering::Greater => (Some(next(right.0)), right.1),
        };
        match (through_left, through_right) {
            (None, _) => true,
            (_, None) => false,
            (Some(left), Some(right)) => {
                let rank = |id: OpId| (id.ctr, graph.actor_bytes(id.actor));
                rank(left) > rank(right)
            }
        }
    }
}

impl Run {
    fn branch(&self) -> Option<&Branch> {
        match &self.slot {
            Slot::Insert(branch) => Some(branch),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: OpId = OpId { ctr: 1, actor: 0 };

    /// The list by its definition: the tree read parent first, siblings latest first.
    fn read(children: &BTreeMap<OpId, Vec<OpId>>, from: OpId, graph: &Graph, out: &mut Vec<OpId>) {
        let mut stack = vec![from];
        while let Some(id) = stack.pop() {
            if id != ROOT {
                out.push(id);
            }
            let mut below = children.get(&id).cloned().unwrap_or_default();
            below.sort_by_key(|id| (id.ctr, graph.actor_bytes(id.actor).to_vec()));
            stack.extend(below);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Each step: the actor, which element to insert behind (most often its own last one), and a gap in its counters.
        #[test]
        fn the_order_of_elements_is_that_of_the_tree(
            plan in proptest::collection::vec((0_u32..4, any::<u16>(), 0_u32..3, 0_u8..8), 2..300),
            pairs in proptest::collection::vec((any::<usize>(), any::<usize>()), 200),
        ) {
            let mut graph = Graph::default();
            // Numbers by arrival are not the order by bytes.
            for actor in [[9], [3], [7], [1]] {
                graph.add_actor(&actor);
            }
            let mut runs = Runs::default();
            for actor in 0..4 {
                runs.savepoint(actor);
            }
            let mut elements = vec![ROOT];
            let mut last = [LIST.ctr; 4];
            let mut children: BTreeMap<OpId, Vec<OpId>> = BTreeMap::new();
            for (actor, behind, gap, kind) in plan {
                let own = OpId { ctr: last[actor as usize], actor };
                let parent = match kind {
                    0..5 if elements.contains(&own) => own,
                    _ => elements[behind as usize % elements.len()],
                };
                let gap = if kind < 4 { 0 } else { gap };
                let id = OpId { ctr: own.ctr.max(parent.ctr) + 1 + gap, actor };
                last[actor as usize] = id.ctr;
                let made = if kind == 7 { Made::Mark } else { Made::Value };
                runs.add(id, LIST, Place::Behind(parent), made);
                children.entry(parent).or_default().push(id);
                elements.push(id);
            }
            let mut order = Vec::new();
            read(&children, ROOT, &graph, &mut order);
            prop_assert_eq!(order.len(), elements.len() - 1);
            for (a, b) in pairs {
                let (a, b) = (a % order.len(), b % order.len());
                if a != b {
                    prop_assert_eq!(runs.precedes(&graph, order[a], order[b]), Some(a < b));
                }
            }
        }
    }

    #[test]
    fn typed_text_is_one_run() {
        let mut runs = Runs::default();
        runs.savepoint(0);
        let mut parent = ROOT;
        for ctr in 2..1000 {
            let id = OpId { ctr, actor: 0 };
            runs.add(id, LIST, Place::Behind(parent), Made::Value);
            parent = id;
        }
        assert_eq!(runs.of_actor[0].len(), 1);
        assert!(runs.is_element(OpId { ctr: 500, actor: 0 }, LIST));
        assert!(!runs.is_element(OpId { ctr: 1000, actor: 0 }, LIST));
    }
}
