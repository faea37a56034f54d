//! Carries out edits in one Automerge transaction.

use automerge::hydrate;
use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::{Transactable, Transaction};
use automerge::{AutomergeError, ObjId, ObjType, Prop, ReadDoc, ScalarValue, TextEncoding};

use super::diff::{diff, diff_fields};
use super::edit::{Edit, EditError, Expand};
use super::genesis::ContainerKind;
use super::path::{Path, Step};
use super::place::{Container, Found, Places, container, prop};
use super::sequence::hunks;
use super::view::{Hidden, view};
use crate::limits::DIFF_EDITS;
use crate::value::Value;

/// One batch being applied.
pub(crate) struct Writer<'t, 'd> {
    tx: &'t mut Transaction<'d>,
    /// Genesis containers that are in the document already, for edits of this batch that have yet to make them. Until then
    /// nothing is at their place.
    unborn: Hidden,
}

impl From<AutomergeError> for EditError {
    fn from(error: AutomergeError) -> Self {
        EditError::Internal(error.to_string())
    }
}

impl<'t, 'd> Writer<'t, 'd> {
    pub(crate) fn new(tx: &'t mut Transaction<'d>, unborn: Hidden) -> Self {
        Writer { tx, unborn }
    }

    /// Applies one edit. After an error the transaction must be rolled back.
    pub(crate) fn apply(&mut self, edit: &Edit) -> Result<(), EditError> {
        match edit {
            Edit::Put { path, value, create_parents } => self.put(path, value, *create_parents),
            Edit::Insert { path, value } => self.insert(path, value),
            Edit::Splice { path, at, delete, insert } => self.splice(path, *at, *delete, insert),
            Edit::Increment { path, by } => self.increment(path, *by),
            Edit::Delete { path } => self.delete(path),
            Edit::Mark { path, start, end, name, value, expand } => {
                self.mark(path, *start..*end, name, scalar_of(value).unwrap_or(ScalarValue::Null), *expand)
            }
            Edit::Unmark { path, start, end, name, expand } => {
                self.mark(path, *start..*end, name, ScalarValue::Null, *expand)
            }
            Edit::Replace { value } => self.bring_to(value, diff),
            Edit::Merge { value } => self.bring_to(value, diff_fields),
            Edit::UpdateText { path, to } => self.update_text(path, to),
        }
    }

    /// How many operations the batch made so far.
    pub(crate) fn ops(&self) -> usize {
        self.tx.pending_ops()
    }

    fn places(&self) -> Places<'_, Transaction<'d>> {
        Places { doc: self.tx, hidden: &self.unborn }
    }

    fn put(&mut self, path: &Path, value: &Value, create_parents: bool) -> Result<(), EditError> {
        let last = path.last().ok_or(EditError::Root { what: "put" })?;
        let parent = if create_parents { self.make_parents(path)? } else { self.places().parent(path)? };
        let prop = match last {
            Step::Key(key) => {
                expect(&parent, ObjType::Map, path, "a map, to put a key into")?;
                Prop::Map(key.clone())
            }
            Step::Index(index) => {
                expect(&parent, ObjType::List, path, "a list, to overwrite a position")?;
                Prop::Seq(self.position(&parent, path, *index, 0)?)
            }
        };
        self.write(&parent.id, prop, value, false)
    }

    fn insert(&mut self, path: &Path, value: &Value) -> Result<(), EditError> {
        let last = path.last().ok_or(EditError::Root { what: "inserted" })?;
        let parent = self.places().parent(path)?;
        expect(&parent, ObjType::List, path, "a list, to insert into")?;
        let Step::Index(index) = last else {
            let path = path[..path.len() - 1].to_vec();
            return Err(EditError::WrongKind { path, found: parent.name(), needed: "a map, to find a key in" });
        };
        let index = self.position(&parent, path, *index, 1)?;
        self.write(&parent.id, Prop::Seq(index), value, true)
    }

    fn delete(&mut self, path: &Path) -> Result<(), EditError> {
        let last = path.last().ok_or(EditError::Root { what: "deleted" })?;
        let parent = self.places().parent(path)?;
        self.places().step(&parent, path, path.len() - 1)?;
        Ok(self.tx.delete(&parent.id, prop(last))?)
    }

    fn increment(&mut self, path: &Path, by: i64) -> Result<(), EditError> {
        let found = self.places().find(path)?;
        let (Some(last), Found::Scalar(ScalarValue::Counter(counter))) = (path.last(), &found) else {
            return Err(EditError::WrongKind { path: path.clone(), found: found.name(), needed: "a counter" });
        };
        let value = i64::from(counter);
        if value.checked_add(by).is_none() {
            return Err(EditError::CounterRange { path: path.clone(), value, by });
        }
        let parent = self.places().parent(path)?;
        match by {
            0 => Ok(()),
            _ => Ok(self.tx.increment(&parent.id, prop(last), by)?),
        }
    }

    fn splice(&mut self, path: &Path, at: u64, delete: u64, insert: &str) -> Result<(), EditError> {
        let text = self.places().text(path)?;
        let length = self.tx.length(&text) as u64;
        let end = at.saturating_add(delete);
        if end > length {
            let position = if at > length { at } else { end };
            return Err(EditError::OutOfRange { path: path.clone(), position, length, unit: "characters" });
        }
        Ok(self.tx.splice_text(&text, at as usize, delete as isize, insert)?)
    }

    fn update_text(&mut self, path: &Path, to: &str) -> Result<(), EditError> {
        let text = self.places().text(path)?;
        let old: Vec<char> = self.tx.text(&text)?.chars().collect();
        let new: Vec<char> = to.chars().collect();
        // Back to front, so that the positions of those to come stay as they are.
        for hunk in hunks(old.len(), new.len(), DIFF_EDITS, |i, j| old[i] == new[j]).into_iter().rev() {
            let insert: String = new[hunk.new].iter().collect();
            self.tx.splice_text(&text, hunk.old.start, hunk.old.len() as isize, &insert)?;
        }
        Ok(())
    }

    fn mark(
        &mut self,
        path: &Path,
        range: std::ops::Range<u64>,
        name: &str,
        value: ScalarValue,
        expand: Expand,
    ) -> Result<(), EditError> {
        let text = self.places().text(path)?;
        let length = self.tx.length(&text) as u64;
        if range.is_empty() {
            return Err(EditError::EmptyRange { path: path.clone(), start: range.start, end: range.end });
        }
        if range.end > length {
            let position = range.end;
            return Err(EditError::OutOfRange { path: path.clone(), position, length, unit: "characters" });
        }
        let expand = match expand {
            Expand::None => ExpandMark::None,
            Expand::Before => ExpandMark::Before,
            Expand::After => ExpandMark::After,
            Expand::Both => ExpandMark::Both,
        };
        let mark = Mark::new(name.to_owned(), value, range.start as usize, range.end as usize);
        Ok(self.tx.mark(&text, mark, expand)?)
    }

    fn bring_to(&mut self, to: &Value, diff: fn(&Value, &Value) -> Vec<Edit>) -> Result<(), EditError> {
        let Value::Map(fields) = to else {
            let needed = "a map as its whole value";
            return Err(EditError::WrongKind { path: Path::new(), found: to.kind(), needed });
        };
        if self.tx.stats().num_ops == 0 {
            // A new document in one piece: a quarter of the cost of writing field by field.
            return Ok(self.tx.init_root_from_hydrate(&hydrated_map(fields))?);
        }
        let now = view(&*self.tx, &self.unborn).value;
        match now.as_map().is_some_and(|fields| fields.is_empty()) {
            true => fields.iter().try_for_each(|(key, value)| self.write(&automerge::ROOT, key.into(), value, false)),
            false => diff(&now, to).iter().try_for_each(|edit| self.apply(edit)),
        }
    }

    /// Writes a value to a key, over an element, or as a new element.
    fn write(&mut self, parent: &ObjId, prop: Prop, value: &Value, insert: bool) -> Result<(), EditError> {
        if let Some(scalar) = scalar_of(value) {
            return match (insert, prop) {
                (true, Prop::Seq(index)) => Ok(self.tx.insert(parent, index, scalar)?),
                (_, prop) => self.write_scalar(parent, prop, scalar),
            };
        }
        if !insert && let Some(id) = self.born(parent, &prop, value)? {
            return self.fill(&id, value);
        }
        self.tx.batch_create_object(parent, prop, &hydrated(value), insert)?;
        Ok(())
    }

    /// Writes a scalar where Automerge would take some that differ for the same and write nothing: a zero of the other
    /// sign, and a counter that began at the number which is written now.
    fn write_scalar(&mut self, parent: &ObjId, prop: Prop, new: ScalarValue) -> Result<(), EditError> {
        let before = match &new {
            ScalarValue::F64(_) | ScalarValue::Counter(_) => self.tx.get(parent, prop.clone())?,
            _ => None,
        };
        if let Some((automerge::Value::Scalar(old), _)) = before {
            let misleading = match (old.as_ref(), &new) {
                (ScalarValue::F64(old), ScalarValue::F64(new)) => old == new && old.to_bits() != new.to_bits(),
                (ScalarValue::Counter(old), ScalarValue::Counter(new)) => i64::from(old) != i64::from(new),
                _ => false,
            };
            if misleading {
                self.tx.put(parent, prop.clone(), ScalarValue::Null)?;
            }
        }
        Ok(self.tx.put(parent, prop, new)?)
    }

    /// The genesis container at a key, if it waits there for this very value to be written.
    fn born(&mut self, parent: &ObjId, prop: &Prop, value: &Value) -> Result<Option<ObjId>, EditError> {
        if self.unborn.is_empty() || !matches!(prop, Prop::Map(_)) {
            return Ok(None);
        }
        let kind = ContainerKind::of(value).map(ContainerKind::object);
        match self.tx.get(parent, prop.clone())? {
            Some((automerge::Value::Object(there), id)) if Some(there) == kind && self.unborn.remove(&id) => {
                Ok(Some(id))
            }
            _ => Ok(None),
        }
    }

    /// Writes a container's content into a new, empty one.
    fn fill(&mut self, id: &ObjId, value: &Value) -> Result<(), EditError> {
        match value {
            Value::Map(map) => map.iter().try_for_each(|(key, value)| self.write(id, key.into(), value, false)),
            Value::List(list) => Ok(self.tx.splice(id, 0, 0, list.iter().map(hydrated))?),
            Value::Text(text) => Ok(self.tx.splice_text(id, 0, 0, text)?),
            _ => Ok(()),
        }
    }

    /// The container that holds the last step of `path`, with the maps on the way to it made where they are missing.
    fn make_parents(&mut self, path: &Path) -> Result<Container, EditError> {
        let mut at = Container::ROOT;
        for (depth, step) in path[..path.len() - 1].iter().enumerate() {
            if let (ObjType::Map, Step::Key(key)) = (at.kind, step)
                && self.places().get(&at, step)?.is_none()
            {
                self.write(&at.id, key.into(), &Value::map(), false)?;
            }
            at = container(self.places().step(&at, path, depth)?, path, depth + 1)?;
        }
        Ok(at)
    }

    /// A position in a list, which may also be `beyond` the last element by this much.
    fn position(&self, list: &Container, path: &Path, index: u64, beyond: u64) -> Result<usize, EditError> {
        let length = self.tx.length(&list.id) as u64;
        match usize::try_from(index) {
            Ok(position) if index < length + beyond => Ok(position),
            _ => {
                let path = path[..path.len() - 1].to_vec();
                Err(EditError::OutOfRange { path, position: index, length, unit: "elements" })
            }
        }
    }
}

/// Refuses a parent of the wrong kind.
fn expect(parent: &Container, kind: ObjType, path: &Path, needed: &'static str) -> Result<(), EditError> {
    match parent.kind == kind {
        true => Ok(()),
        false => Err(EditError::WrongKind { path: path[..path.len() - 1].to_vec(), found: parent.name(), needed }),
    }
}

/// The scalar that a value is, if it is one.
fn scalar_of(value: &Value) -> Option<ScalarValue> {
    Some(match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(value) => ScalarValue::Boolean(*value),
        Value::Int(value) => ScalarValue::Int(*value),
        Value::Uint(value) => ScalarValue::Uint(*value),
        Value::Float(value) => ScalarValue::F64(*value),
        Value::Str(text) => ScalarValue::Str(text.as_str().into()),
        Value::Counter(value) => ScalarValue::Counter(value.into()),
        Value::Timestamp(value) => ScalarValue::Timestamp(*value),
        Value::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
        Value::Text(_) | Value::List(_) | Value::Map(_) => return None,
    })
}

/// A value in the form in which Automerge takes whole trees. Its maps are hash maps, but it makes their operations in the
/// order of the keys.
fn hydrated(value: &Value) -> hydrate::Value {
    match value {
        Value::Text(text) => hydrate::Value::text(TextEncoding::UnicodeCodePoint, text),
        Value::List(list) => hydrate::Value::List(list.iter().map(hydrated).collect::<Vec<_>>().into()),
        Value::Map(map) => hydrate::Value::Map(hydrated_map(map)),
        other => hydrate::Value::Scalar(scalar_of(other).unwrap_or(ScalarValue::Null)),
    }
}

/// See [`hydrated`].
pub(crate) fn hydrated_map(map: &std::collections::BTreeMap<String, Value>) -> hydrate::Map {
    let mut out = hydrate::Map::default();
    for (key, value) in map {
        out.insert(key.clone(), hydrate::MapValue { value: hydrated(value), conflict: false });
    }
    out
}
