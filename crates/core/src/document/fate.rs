//! What became of one's own writes: kept, in conflict with another's, overwritten, or deleted.
//!
//! A write is known by the operation that made it. The document as it was right after one's own last change is walked; each
//! value there that one wrote oneself is looked for among the values that the present document has at the same place. It
//! is the only one: kept. It is one of several: in conflict, and shown or not. It is none of them: somebody who saw it, or
//! who settled the conflict, wrote something else or deleted it.

use std::collections::{BTreeMap, BTreeSet};

use automerge::legacy::{OpId, OpType};
use automerge::{Automerge, Change, ChangeHash, ObjId, ObjType, ReadDoc};

use super::conflict::actor_bytes;
use super::path::{Path, child};
use super::view::{Hidden, object, scalar};
use super::{Document, settle};
use crate::limits::VALUE_DEPTH;
use crate::value::Value;

/// What became of the last changes of one actor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fate {
    /// Whether somebody else changed the document at the same time, without having seen one of these changes nor being seen.
    pub concurrent: bool,
    /// What is not simply there any more, by path.
    pub writes: Vec<OwnWrite>,
}

/// One own write that is not simply there.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnWrite {
    /// Where it was written; positions in lists are those of then.
    pub path: Path,
    /// What was written. Of a text, the characters that are gone.
    pub mine: Value,
    /// What became of it.
    pub outcome: Outcome,
    /// The actor that wrote what is there now, or deleted what was, or, in a conflict, the last of the others.
    pub by: Option<[u8; 16]>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Another value is there, and this one is not kept.
    Overwritten {
        /// What is there.
        now: Value,
    },
    /// Nothing is there, or what it was written into is gone.
    Deleted,
    /// Several values are kept until somebody writes there.
    Conflict {
        /// The one that the document shows.
        now: Value,
        /// Whether that is the own one.
        shown: bool,
        /// The others, in ascending order of their operations.
        others: Vec<Value>,
    },
}

/// The id of an operation.
type Op = (u64, [u8; 16]);

impl Document {
    /// What became of the last `count` changes of `actor` in this document.
    ///
    /// Cost: linear in the document's history and size; nothing more if nobody else has changed it.
    pub fn fate(&self, actor: [u8; 16], count: usize) -> Fate {
        let changes = self.inner.get_changes(&[]);
        let of_actor: Vec<&Change> = changes.iter().filter(|change| actor_bytes(change.actor_id()) == actor).collect();
        let own = &of_actor[of_actor.len().saturating_sub(count)..];
        let (Some(first), Some(last)) = (own.first(), own.last()) else { return Fate::default() };
        let hashes: Vec<ChangeHash> = own.iter().map(|change| change.hash()).collect();
        let concurrent = concurrent(&changes, &hashes, actor);
        if self.inner.get_heads() == [last.hash()] {
            return Fate { concurrent, writes: Vec::new() };
        }
        let Ok(then) = self.inner.fork_at(&[last.hash()]).map(settle) else { return Fate::default() };
        let mut walk = Walk {
            then: &then,
            now: &self.inner,
            after: After::read(&self.inner.get_changes(&[last.hash()])),
            actor,
            from: first.start_op().get(),
            writes: Vec::new(),
        };
        walk.object(&automerge::ROOT, ObjType::Map, &Path::new(), Below::Kept);
        walk.writes.sort_by(|a, b| a.path.cmp(&b.path));
        Fate { concurrent, writes: walk.writes }
    }
}

/// Whether some change of another actor neither saw all of `own` nor was seen by what came after those it did see.
///
/// Own changes of one actor follow each other, so a change saw the first so many of them (`saw`), and is seen by all from some
/// number on (`seen`). It is concurrent with those in between.
fn concurrent(changes: &[Change], own: &[ChangeHash], actor: [u8; 16]) -> bool {
    let number: BTreeMap<ChangeHash, usize> = own.iter().enumerate().map(|(at, hash)| (*hash, at + 1)).collect();
    let mut saw: BTreeMap<ChangeHash, usize> = BTreeMap::new();
    for change in changes {
        let through = change.deps().iter().filter_map(|dep| saw.get(dep)).copied().max().unwrap_or(0);
        saw.insert(change.hash(), number.get(&change.hash()).copied().unwrap_or(through));
    }
    let mut seen: BTreeMap<ChangeHash, usize> = BTreeMap::new();
    for change in changes.iter().rev() {
        let through = seen.get(&change.hash()).copied().unwrap_or(own.len() + 1);
        let through = number.get(&change.hash()).copied().unwrap_or(through);
        for dep in change.deps() {
            let known = seen.entry(*dep).or_insert(through);
            *known = (*known).min(through);
        }
    }
    let others = changes.iter().filter(|change| actor_bytes(change.actor_id()) != actor);
    let mut others = others.map(|change| change.hash());
    others.any(|hash| {
        let (saw, seen) = (saw.get(&hash).copied().unwrap_or(0), seen.get(&hash).copied().unwrap_or(own.len() + 1));
        seen.saturating_sub(saw) > 1
    })
}

/// What is known of what a place lies in.
#[derive(Debug, Clone, Copy)]
enum Below {
    /// It is still there.
    Kept,
    /// It is gone, and everything in it.
    Gone(Option<[u8; 16]>),
}

/// Which operations replaced which, in the changes made without or after the own ones.
struct After {
    by: BTreeMap<Op, Vec<Successor>>,
}

#[derive(Clone, Copy)]
struct Successor {
    op: Op,
    deletes: bool,
}

impl After {
    fn read(changes: &[Change]) -> After {
        let mut by: BTreeMap<Op, Vec<Successor>> = BTreeMap::new();
        for change in changes {
            let actor = actor_bytes(change.actor_id());
            for (counter, operation) in (change.start_op().get()..).zip(change.decode().operations) {
                if matches!(operation.action, OpType::Increment(_)) {
                    continue; // It adds to what it names, and replaces nothing.
                }
                let successor = Successor { op: (counter, actor), deletes: operation.action == OpType::Delete };
                for OpId(counter, actor) in operation.pred {
                    by.entry((counter, actor_bytes(&actor))).or_default().push(successor);
                }
            }
        }
        After { by }
    }

    /// Follows what replaced an operation until `found` knows one of them. Every step goes to a later operation.
    fn last<T>(&self, op: Op, found: impl Fn(Op) -> Option<T>) -> Option<T> {
        let (mut open, mut seen) = (vec![op], BTreeSet::new());
        while let Some(op) = open.pop() {
            if let Some(known) = found(op) {
                return Some(known);
            }
            let next = self.by.get(&op).into_iter().flatten().filter(|next| !next.deletes).map(|next| next.op);
            open.extend(next.filter(|next| seen.insert(*next)));
        }
        None
    }

    /// Who deleted what an operation wrote, or what came in its place.
    fn deleter(&self, op: Op) -> Option<[u8; 16]> {
        self.last(op, |op| self.by.get(&op)?.iter().find(|next| next.deletes).map(|next| next.op.1))
    }
}

struct Walk<'a> {
    then: &'a Automerge,
    now: &'a Automerge,
    after: After,
    actor: [u8; 16],
    /// The first operation that counts.
    from: u64,
    writes: Vec<OwnWrite>,
}

/// One value of the document as it was.
struct Item {
    id: ObjId,
    kind: Option<ObjType>,
    value: Value,
    path: Path,
}

impl Walk<'_> {
    /// Looks at everything in one object. Recursion is bounded by [`VALUE_DEPTH`].
    fn object(&mut self, id: &ObjId, kind: ObjType, path: &Path, below: Below) {
        if path.len() >= VALUE_DEPTH {
            return;
        }
        match kind {
            ObjType::Text => self.text(id, path, below),
            ObjType::List => self.list(id, path, below),
            ObjType::Map | ObjType::Table => self.map(id, path, below),
        }
    }

    fn map(&mut self, id: &ObjId, path: &Path, below: Below) {
        for item in self.then.map_range(id, ..) {
            let value: automerge::Value<'_> = item.value.clone().into();
            let item_path = child(path, item.key.as_ref());
            let there = self.now.get_all(id, item.key.as_ref()).unwrap_or_default();
            let read = self.item(&value, item.id(), item_path);
            self.place(read, &there, below);
        }
    }

    fn list(&mut self, id: &ObjId, path: &Path, below: Below) {
        let places = self.places(id);
        for item in self.then.list_range(id, ..) {
            let value: automerge::Value<'_> = item.value.clone().into();
            let item_path = child(path, item.index as u64);
            let at = op(&item.id()).and_then(|op| self.after.last(op, |op| places.get(&op).copied()));
            let there = at.map(|at| self.now.get_all(id, at).unwrap_or_default()).unwrap_or_default();
            let read = self.item(&value, item.id(), item_path);
            self.place(read, &there, below);
        }
    }

    /// Where in a list the values stand that are there now.
    fn places(&self, list: &ObjId) -> BTreeMap<Op, usize> {
        let mut places = BTreeMap::new();
        for item in self.now.list_range(list, ..) {
            places.extend(op(&item.id()).map(|op| (op, item.index)));
            if item.conflict {
                let all = self.now.get_all(list, item.index).unwrap_or_default();
                places.extend(all.iter().filter_map(|(_, id)| Some((op(id)?, item.index))));
            }
        }
        places
    }

    fn item(&self, value: &automerge::Value<'_>, id: ObjId, path: Path) -> Item {
        let mine = self.is_mine(&id);
        let (kind, value) = match value {
            // The content of what is not one's own is not told, so it need not be read.
            automerge::Value::Object(kind) if !mine => (Some(*kind), Value::Null),
            automerge::Value::Object(kind) => (Some(*kind), self.read(self.then, &id, *kind, path.len())),
            automerge::Value::Scalar(value) => (None, scalar(value)),
        };
        Item { id, kind, value, path }
    }

    fn read(&self, doc: &Automerge, id: &ObjId, kind: ObjType, level: usize) -> Value {
        object(doc, id, kind, level + 1, &Hidden::new(), &mut false)
    }

    fn value_now(&self, (value, id): &(automerge::Value<'_>, ObjId), level: usize) -> Value {
        match value {
            automerge::Value::Object(kind) => self.read(self.now, id, *kind, level),
            automerge::Value::Scalar(value) => scalar(value),
        }
    }

    /// Compares one value with those that are at its place now, and goes into it.
    fn place(&mut self, item: Item, there: &[(automerge::Value<'_>, ObjId)], below: Below) {
        let kept = there.iter().position(|(_, id)| op(id) == op(&item.id));
        let level = item.path.len();
        let winner = there.last();
        let mine = self.is_mine(&item.id);
        let inside = match (below, kept) {
            (Below::Gone(by), _) => Below::Gone(by),
            (Below::Kept, None) => Below::Gone(self.replacer(&item.id, winner)),
            (Below::Kept, Some(_)) => Below::Kept,
        };
        if mine {
            let found = match (below, kept, winner) {
                (Below::Gone(by), _, _) => Some((Outcome::Deleted, by)),
                (_, Some(_), _) if there.len() == 1 => None,
                (_, Some(kept), Some(winner)) => {
                    let others = there.iter().enumerate().filter(|(at, _)| *at != kept).map(|(_, other)| other);
                    let by = others.clone().next_back().and_then(|(_, id)| op(id)).map(|(_, actor)| actor);
                    let others = others.map(|other| self.value_now(other, level)).collect();
                    let shown = kept + 1 == there.len();
                    Some((Outcome::Conflict { now: self.value_now(winner, level), shown, others }, by))
                }
                (_, None, Some(now)) => {
                    let by = self.replacer(&item.id, winner);
                    Some((Outcome::Overwritten { now: self.value_now(now, level) }, by))
                }
                (_, _, None) => Some((Outcome::Deleted, self.replacer(&item.id, None))),
            };
            let told = found.is_some();
            if let Some((outcome, by)) = found {
                self.writes.push(OwnWrite { path: item.path.clone(), mine: item.value, outcome, by });
            }
            if told {
                return; // What one wrote into it has its fate.
            }
        }
        if let Some(kind) = item.kind {
            self.object(&item.id, kind, &item.path, inside);
        }
    }

    /// Who put something else in the place of a value, or deleted it.
    fn replacer(&self, id: &ObjId, winner: Option<&(automerge::Value<'_>, ObjId)>) -> Option<[u8; 16]> {
        match winner {
            Some((_, winner)) => op(winner).map(|(_, actor)| actor),
            None => self.after.deleter(op(id)?),
        }
    }

    /// Own characters of a text that are gone, run by run.
    fn text(&mut self, id: &ObjId, path: &Path, below: Below) {
        let mine: Vec<(String, Op)> = self
            .then
            .list_range(id, ..)
            .filter_map(|item| Some((item.value.clone().into(), op(&item.id())?)))
            .filter_map(|(value, op): (automerge::Value<'_>, Op)| Some((value.as_str()?.to_owned(), op)))
            .collect();
        if !mine.iter().any(|(_, op)| self.counts(op)) {
            return;
        }
        let there: BTreeSet<Op> = match below {
            Below::Kept => self.now.list_range(id, ..).filter_map(|item| op(&item.id())).collect(),
            Below::Gone(_) => BTreeSet::new(),
        };
        let mut run = (String::new(), None);
        for (character, op) in &mine {
            if !self.counts(op) || there.contains(op) {
                self.gone(&mut run, path);
                continue;
            }
            let by = match below {
                Below::Gone(by) => by,
                Below::Kept => self.after.deleter(*op),
            };
            if by != run.1 {
                self.gone(&mut run, path);
            }
            run.0.push_str(character);
            run.1 = by;
        }
        self.gone(&mut run, path);
    }

    /// Tells a run of characters, which one other deleted, and begins the next.
    fn gone(&mut self, run: &mut (String, Option<[u8; 16]>), path: &Path) {
        let (text, by) = std::mem::take(run);
        if !text.is_empty() {
            let mine = Value::Text(text);
            self.writes.push(OwnWrite { path: path.clone(), mine, outcome: Outcome::Deleted, by });
        }
    }

    fn is_mine(&self, id: &ObjId) -> bool {
        op(id).is_some_and(|op| self.counts(&op))
    }

    fn counts(&self, (counter, actor): &Op) -> bool {
        *actor == self.actor && *counter >= self.from
    }
}

fn op(id: &ObjId) -> Option<Op> {
    match id {
        ObjId::Root => None,
        ObjId::Id(counter, actor, _) => Some((*counter, actor_bytes(actor))),
    }
}
