//! Stage 2: does a change fit its ancestors?

use super::decode::DecodedChange;
use super::graph::{ActorNumber, NewNode, Past};
use super::index::{Admission, AncestorIndex};
use super::limits::{DEPTH, OP_GAP};
use super::op::{Action, Key, LocalId, Row, ValueKind};
use super::refusal::{OpFault, Refusal};
use super::runs::{Made, Object, ObjectKind, OpId, Place, ROOT, Savepoint};

/// The actors of a change in the document's numbers.
#[derive(Debug)]
struct Actors {
    /// By the change's own numbering: the actor, and the largest counter that the change may name of it.
    known: Vec<(ActorNumber, u32)>,
    start_op: u32,
}

impl Actors {
    /// The operation in the document's numbers, if it is among the ancestors or earlier in the change.
    ///
    /// That it is earlier, if it is the change's own, was checked when the change was decoded.
    fn resolve(&self, id: LocalId) -> Option<OpId> {
        let (actor, limit) = *self.known.get(id.actor as usize)?;
        let own = id.actor == 0 && id.ctr >= self.start_op;
        (own || id.ctr <= limit).then_some(OpId { ctr: id.ctr, actor })
    }
}

impl AncestorIndex {
    pub(super) fn try_admit(&mut self, change: &DecodedChange, keep: bool) -> Result<Admission, Refusal> {
        if self.graph.contains(&change.hash()) {
            return Ok(Admission::Known);
        }
        if !self.graph.has_room(change.deps().len()) {
            return Err(Refusal::Full);
        }
        let past = self.graph.past(change.deps())?;
        self.check_place(change, &past)?;
        let others = self.other_actors(change, &past)?;

        let author = self.graph.add_actor(change.actor());
        let limit = self.graph.max_op_in(&past, author);
        let known = std::iter::once((author, limit)).chain(others).collect();
        let actors = Actors { known, start_op: change.start_op() as u32 }; // below OP_COUNTER
        let mut savepoint = self.runs.savepoint(author);
        let checked = self.add_operations(change, &actors, &mut savepoint);
        if checked.is_ok() && keep {
            let (seq, max_op) = (change.seq() as u32, change.max_op() as u32); // both below 2^31
            self.graph.push(NewNode { hash: change.hash(), actor: author, seq, max_op }, past);
        } else {
            self.runs.undo(savepoint);
            self.graph.drop_idle_actor();
        }
        checked.map(|()| Admission::New)
    }

    /// Sequence number and first operation.
    fn check_place(&self, change: &DecodedChange, past: &Past) -> Result<(), Refusal> {
        let author = self.graph.actor_number(change.actor());
        let expected = author.map_or(0, |author| u64::from(self.graph.seq_in(past, author))) + 1;
        let found = change.seq();
        if found != expected {
            return Err(Refusal::Sequence { expected, found });
        }
        if let Some(other) = author.and_then(|author| self.graph.change_of(author, found)) {
            return Err(Refusal::Equivocation { seq: found, other });
        }
        let (ancestors, found) = (u64::from(past.max_op), change.start_op());
        // Automerge finds the length of a change without operations by its gap to its dependencies when it loads: there
        // must be none.
        let gap = if change.op_count() == 0 { 0 } else { OP_GAP };
        if found <= ancestors || found - ancestors - 1 > gap {
            return Err(Refusal::StartOp { ancestors, found });
        }
        Ok(())
    }

    fn other_actors(&self, change: &DecodedChange, past: &Past) -> Result<Vec<(ActorNumber, u32)>, Refusal> {
        change
            .other_actors()
            .map(|bytes| {
                let actor = self.graph.actor_number(bytes).filter(|actor| self.graph.seq_in(past, *actor) > 0);
                let actor = actor.ok_or(Refusal::UnknownActor)?;
                Ok((actor, self.graph.max_op_in(past, actor)))
            })
            .collect()
    }

    fn add_operations(
        &mut self,
        change: &DecodedChange,
        actors: &Actors,
        savepoint: &mut Savepoint,
    ) -> Result<(), Refusal> {
        let mut rows = change.rows();
        let mut preds = Vec::new();
        let mut open_mark = None;
        while let Some(row) = rows.next(&mut preds)? {
            self.add_operation(&row, &preds, actors, savepoint, &mut open_mark)
                .map_err(|fault| Refusal::Op { index: row.index, fault })?;
        }
        Ok(())
    }

    fn add_operation(
        &mut self,
        row: &Row<'_>,
        preds: &[LocalId],
        actors: &Actors,
        savepoint: &mut Savepoint,
        open_mark: &mut Option<OpId>,
    ) -> Result<(), OpFault> {
        let (author, _) = actors.known[0];
        let id = OpId { ctr: actors.start_op + row.index, actor: author };
        let object = match row.object {
            None => ROOT,
            Some(object) => actors.resolve(object).ok_or(OpFault::NoObject)?,
        };
        let Object { kind, depth } = self.runs.object(object).ok_or(OpFault::NoObject)?;
        let place = self.place(row, object, kind, actors, savepoint)?;
        if kind == ObjectKind::Text && !row.insert && row.action != Action::Delete {
            return Err(OpFault::TextUpdate);
        }
        let mut over_counter = false;
        for pred in preds {
            let pred = actors.resolve(*pred).ok_or(OpFault::NoPredecessor)?;
            let made = self.runs.value_at(pred, object, place).ok_or(OpFault::NoPredecessor)?;
            over_counter |= made == Made::Counter;
        }
        if row.action == Action::Increment && !over_counter {
            return Err(OpFault::NoCounter);
        }
        let object_made = match row.action {
            Action::MakeMap => Some(ObjectKind::Map),
            Action::MakeList => Some(ObjectKind::List),
            Action::MakeText => Some(ObjectKind::Text),
            Action::Delete | Action::Increment => return Ok(()),
            Action::Set | Action::Mark => None,
        };
        if let Some(kind) = object_made {
            if depth >= DEPTH {
                return Err(OpFault::Depth);
            }
            self.runs.add_object(savepoint, id, Object { kind, depth: depth + 1 });
        }
        let made = match (row.action, row.value) {
            (Action::Mark, _) => Made::Mark,
            (_, ValueKind::Counter) => Made::Counter,
            _ => Made::Value,
        };
        self.runs.add(id, object, place, made);
        if made == Made::Mark {
            self.check_mark(id, kind, row.mark_name.is_some(), open_mark)?;
        }
        Ok(())
    }

    /// Where the operation puts its value; the key must fit the kind of object and the element must be in it.
    fn place(
        &mut self,
        row: &Row<'_>,
        object: OpId,
        kind: ObjectKind,
        actors: &Actors,
        savepoint: &mut Savepoint,
    ) -> Result<Place, OpFault> {
        let element = match (row.key, kind) {
            (Key::Map(key), ObjectKind::Map) => return Ok(Place::Key(self.runs.add_key(savepoint, key))),
            (Key::Head, ObjectKind::List | ObjectKind::Text) => return Ok(Place::Behind(ROOT)),
            (Key::Element(id), ObjectKind::List | ObjectKind::Text) => id,
            _ => return Err(OpFault::ObjectKind),
        };
        let element = actors.resolve(element).ok_or(OpFault::NoElement)?;
        if !self.runs.is_element(element, object) {
            return Err(OpFault::NoElement);
        }
        Ok(if row.insert { Place::Behind(element) } else { Place::Over(element) })
    }

    /// Marks stand in texts, and end behind where they begin: Automerge does not load a document where one does not.
    fn check_mark(
        &self,
        id: OpId,
        kind: ObjectKind,
        begins: bool,
        open_mark: &mut Option<OpId>,
    ) -> Result<(), OpFault> {
        if kind != ObjectKind::Text {
            return Err(OpFault::ObjectKind);
        }
        if begins {
            *open_mark = Some(id);
            return Ok(());
        }
        let ordered = open_mark.take().and_then(|begin| self.runs.precedes(&self.graph, begin, id));
        if ordered == Some(true) { Ok(()) } else { Err(OpFault::MarkOrder) }
    }
}
