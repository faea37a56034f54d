//! The operations of a change, row by row, each checked as far as the change's own bytes go.

use super::column::{Bool, Delta, Rle};
use super::layout::{Columns, Layout};
use super::limits::{CHANGE_OPS, CHANGE_PREDS};
use super::op::{Action, Key, LocalId, Row, ValueKind, check_row, check_value, value_len};
use super::reader::Reader;
use super::refusal::{OpFault, Part, Refusal};

/// A column that Automerge leaves out when it has nothing but nulls.
#[derive(Debug)]
struct Sparse<C> {
    column: Option<C>,
    /// Whether a value was seen.
    used: bool,
}

impl<C> Sparse<C> {
    fn new(bytes: &[u8], column: C) -> Self {
        Self { column: (!bytes.is_empty()).then_some(column), used: false }
    }

    /// The next row by `read`; null if the column is absent.
    fn next<T>(
        &mut self,
        part: Part,
        read: impl FnOnce(&mut C) -> Result<Option<Option<T>>, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let Some(column) = &mut self.column else { return Ok(None) };
        let value = read(column)?.ok_or(Refusal::Rows(part))?;
        self.used |= value.is_some();
        Ok(value)
    }

    /// No rows may be left, and one must have held a value.
    fn finish<T>(
        &mut self,
        part: Part,
        read: impl FnOnce(&mut C) -> Result<Option<Option<T>>, Refusal>,
    ) -> Result<(), Refusal> {
        let Some(column) = &mut self.column else { return Ok(()) };
        if !self.used {
            return Err(Refusal::Encoding(part));
        }
        // Not with `?`: rustc 1.95 makes a wrong move of that in the fuzzers' build (fuzz/README.md, "Found").
        match read(column) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(Refusal::Rows(part)),
            Err(refusal) => Err(refusal),
        }
    }
}

/// Reads a change's rows. Give it the chunk and its layout; call [`Rows::next`] until it gives `None`.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    obj_actor: Sparse<Rle<'a, u64>>,
    obj_ctr: Sparse<Rle<'a, u64>>,
    key_actor: Sparse<Rle<'a, u64>>,
    key_ctr: Sparse<Delta<'a>>,
    key_str: Sparse<Rle<'a, &'a str>>,
    insert: Bool<'a>,
    action: Rle<'a, u64>,
    value_meta: Rle<'a, u64>,
    value: Reader<'a>,
    pred_count: Rle<'a, u64>,
    pred_actor: Rle<'a, u64>,
    pred_ctr: Delta<'a>,
    expand: Sparse<Bool<'a>>,
    mark_name: Sparse<Rle<'a, &'a str>>,
    start_op: u64,
    index: u64,
    /// Which actors were referred to, by position; the author's place is not used.
    referred: Vec<bool>,
    /// How many other actors sort before the author.
    author_rank: u32,
    /// The operation before this one began a mark in this object.
    open_mark: Option<Option<LocalId>>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(chunk: &'a [u8], layout: &Layout) -> Self {
        let columns: &Columns = &layout.columns;
        let bytes = |range: &std::ops::Range<usize>| &chunk[range.clone()];
        let numbers = |range, part| Sparse::new(bytes(range), Rle::new(bytes(range), part, CHANGE_OPS));
        let texts = |range, part| Sparse::new(bytes(range), Rle::new(bytes(range), part, CHANGE_OPS));
        let author = bytes(&layout.actor);
        Self {
            obj_actor: numbers(&columns.obj_actor, Part::Object),
            obj_ctr: numbers(&columns.obj_ctr, Part::Object),
            key_actor: numbers(&columns.key_actor, Part::Key),
            key_ctr: Sparse::new(bytes(&columns.key_ctr), Delta::new(bytes(&columns.key_ctr), Part::Key, CHANGE_OPS)),
            key_str: texts(&columns.key_str, Part::Key),
            insert: Bool::new(bytes(&columns.insert), Part::Insert, CHANGE_OPS),
            action: Rle::new(bytes(&columns.action), Part::Action, CHANGE_OPS),
            value_meta: Rle::new(bytes(&columns.value_meta), Part::Value, CHANGE_OPS),
            value: Reader::new(bytes(&columns.value), Part::Value),
            pred_count: Rle::new(bytes(&columns.pred_count), Part::Pred, CHANGE_OPS),
            pred_actor: Rle::new(bytes(&columns.pred_actor), Part::Pred, CHANGE_PREDS),
            pred_ctr: Delta::new(bytes(&columns.pred_ctr), Part::Pred, CHANGE_PREDS),
            expand: Sparse::new(bytes(&columns.expand), Bool::new(bytes(&columns.expand), Part::Expand, CHANGE_OPS)),
            mark_name: texts(&columns.mark_name, Part::MarkName),
            start_op: layout.start_op,
            index: 0,
            referred: vec![false; layout.other_actors.len() + 1],
            author_rank: layout.other_actors.partition_point(|other| bytes(other) < author) as u32,
            open_mark: None,
        }
    }

    /// The next operation; its predecessors replace what is in `preds`.
    pub(super) fn next(&mut self, preds: &mut Vec<LocalId>) -> Result<Option<Row<'a>>, Refusal> {
        let Some(code) = self.action.next_value()? else {
            self.finish()?;
            return Ok(None);
        };
        let index = self.index as u32; // the action column has at most CHANGE_OPS rows
        let fault = |fault| Refusal::Op { index, fault };
        let object = self.object()?;
        let key = self.key()?;
        let insert = self.insert.next()?.ok_or(Refusal::Rows(Part::Insert))?;
        let action = Action::from_code(code).map_err(fault)?;
        let (value, raw) = self.value()?;
        self.preds(preds)?;
        let expand = self.expand.next(Part::Expand, some_if_true)?.is_some();
        let mark_name = self.mark_name.next(Part::MarkName, Rle::next)?;

        let row = Row { index, object, key, insert, action, value, expand, mark_name };
        check_row(&row, raw, preds.len()).map_err(fault)?;
        self.check_mark(&row).map_err(fault)?;
        self.index += 1;
        Ok(Some(row))
    }

    /// This operation's own counter.
    fn counter(&self) -> u64 {
        self.start_op + self.index
    }

    fn fault<T>(&self, fault: OpFault) -> Result<T, Refusal> {
        Err(Refusal::Op { index: self.index as u32, fault })
    }

    /// An id that names an actor of the change and an operation older than the present one.
    ///
    /// Everything among the ancestors is older, since a change starts beyond its ancestors' largest counter; so is every
    /// earlier operation of the change, by its author.
    fn older(&mut self, actor: u64, ctr: u64, fault: OpFault) -> Result<LocalId, Refusal> {
        let limit = if actor == 0 { self.counter() } else { self.start_op };
        match usize::try_from(actor).ok().and_then(|actor| self.referred.get_mut(actor)) {
            Some(referred) if ctr > 0 && ctr < limit => {
                *referred = true;
                Ok(LocalId { ctr: ctr as u32, actor: actor as u32 }) // both below 2^31
            }
            _ => self.fault(fault),
        }
    }

    fn object(&mut self) -> Result<Option<LocalId>, Refusal> {
        let actor = self.obj_actor.next(Part::Object, Rle::next)?;
        let ctr = self.obj_ctr.next(Part::Object, Rle::next)?;
        match (actor, ctr) {
            (None, None) => Ok(None),
            (Some(actor), Some(ctr)) => self.older(actor, ctr, OpFault::ObjectId).map(Some),
            _ => self.fault(OpFault::ObjectId),
        }
    }

    fn key(&mut self) -> Result<Key<'a>, Refusal> {
        let actor = self.key_actor.next(Part::Key, Rle::next)?;
        let ctr = self.key_ctr.next(Part::Key, Delta::next)?;
        let text = self.key_str.next(Part::Key, Rle::next)?;
        match (actor, ctr, text) {
            (None, None, Some(text)) => Ok(Key::Map(text)),
            (None, Some(0), None) => Ok(Key::Head),
            (Some(actor), Some(ctr), None) => self.older(actor, ctr, OpFault::ElementId).map(Key::Element),
            _ => self.fault(OpFault::Key),
        }
    }

    fn value(&mut self) -> Result<(ValueKind, &'a [u8]), Refusal> {
        let meta = self.value_meta.next_value()?.ok_or(Refusal::Rows(Part::Value))?;
        let raw = self.value.take(value_len(meta)?)?;
        match check_value(meta, raw) {
            Ok(kind) => Ok((kind, raw)),
            Err(fault) => self.fault(fault),
        }
    }

    fn preds(&mut self, preds: &mut Vec<LocalId>) -> Result<(), Refusal> {
        preds.clear();
        let count = self.pred_count.next_value()?.ok_or(Refusal::Rows(Part::Pred))?;
        // The count is not believed: the loop ends with the rows of the other two columns, which are capped.
        for _ in 0..count {
            let actor = self.pred_actor.next_value()?.ok_or(Refusal::Rows(Part::Pred))?;
            let ctr = self.pred_ctr.next_value()?.ok_or(Refusal::Rows(Part::Pred))?;
            let pred = self.older(actor, ctr, OpFault::PredId)?;
            if preds.last().is_some_and(|last| self.rank(*last) >= self.rank(pred)) {
                return self.fault(OpFault::PredOrder);
            }
            preds.push(pred);
        }
        Ok(())
    }

    /// Sort key of an id: counter, then the actor's place among all actors of the change by their bytes.
    fn rank(&self, id: LocalId) -> (u32, u32) {
        let place = match id.actor {
            0 => self.author_rank,
            actor if actor <= self.author_rank => actor - 1,
            actor => actor,
        };
        (id.ctr, place)
    }

    /// A mark's end finds its beginning by being the very next operation, in the same object; Automerge has no other link.
    fn check_mark(&mut self, row: &Row<'_>) -> Result<(), OpFault> {
        match (self.open_mark.take(), row.action, row.mark_name) {
            (None, Action::Mark, Some(_)) => {
                self.open_mark = Some(row.object);
                Ok(())
            }
            (Some(object), Action::Mark, None) if object == row.object => Ok(()),
            (None, action, None) if action != Action::Mark => Ok(()),
            _ => Err(OpFault::Mark),
        }
    }

    /// Every column must end with the actions, and nothing may be left open or unused.
    fn finish(&mut self) -> Result<(), Refusal> {
        let end = |ended: bool, part| if ended { Ok(()) } else { Err(Refusal::Rows(part)) };
        self.obj_actor.finish(Part::Object, Rle::next)?;
        self.obj_ctr.finish(Part::Object, Rle::next)?;
        self.key_actor.finish(Part::Key, Rle::next)?;
        self.key_ctr.finish(Part::Key, Delta::next)?;
        self.key_str.finish(Part::Key, Rle::next)?;
        end(self.insert.next()?.is_none(), Part::Insert)?;
        end(self.value_meta.next()?.is_none(), Part::Value)?;
        end(self.pred_count.next()?.is_none(), Part::Pred)?;
        end(self.pred_actor.next()?.is_none(), Part::Pred)?;
        end(self.pred_ctr.next()?.is_none(), Part::Pred)?;
        self.expand.finish(Part::Expand, some_if_true)?;
        self.mark_name.finish(Part::MarkName, Rle::next)?;
        if !self.value.is_empty() {
            return Err(Refusal::Leftover(Part::Value));
        }
        if self.open_mark.is_some() {
            let index = (self.index as u32).saturating_sub(1);
            return Err(Refusal::Op { index, fault: OpFault::Mark });
        }
        if self.referred.iter().skip(1).any(|referred| !referred) {
            return Err(Refusal::IdleActor);
        }
        Ok(())
    }
}

/// A boolean as an optional value, so that "all false" counts as unused.
fn some_if_true(column: &mut Bool<'_>) -> Result<Option<Option<()>>, Refusal> {
    Ok(column.next()?.map(|value| value.then_some(())))
}
