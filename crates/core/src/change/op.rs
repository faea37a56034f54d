//! One operation of a change, and what its fields may be judged by the bytes of the change alone.

use super::limits::{COUNTER, VALUE_BYTES};
use super::reader::Reader;
use super::refusal::{OpFault, Part, Refusal};

/// An operation's id within a change: counter, then position in the change's list of actors, where 0 is the author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LocalId {
    pub(super) ctr: u32,
    pub(super) actor: u32,
}

/// What an operation changes within its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Map(&'a str),
    /// Before the first element of a list.
    Head,
    Element(LocalId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    MakeMap,
    Set,
    MakeList,
    Delete,
    MakeText,
    Increment,
    /// With a name it begins a mark, without one it ends the mark begun by the operation before it.
    Mark,
}

impl Action {
    /// Table (6) is left out: Automerge forgets such an object's type and panics at the first operation in it.
    pub(super) fn from_code(code: u64) -> Result<Self, OpFault> {
        Ok(match code {
            0 => Self::MakeMap,
            1 => Self::Set,
            2 => Self::MakeList,
            3 => Self::Delete,
            4 => Self::MakeText,
            5 => Self::Increment,
            7 => Self::Mark,
            _ => return Err(OpFault::Action(code)),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Null,
    Int,
    /// A float that is no number.
    Nan,
    Counter,
    Other,
}

/// One row of a change's columns. Its predecessors are handed out beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) index: u32,
    /// `None` is the root map.
    pub(super) object: Option<LocalId>,
    pub(super) key: Key<'a>,
    pub(super) insert: bool,
    pub(super) action: Action,
    pub(super) value: ValueKind,
    pub(super) expand: bool,
    pub(super) mark_name: Option<&'a str>,
}

/// Check a value's bytes against its metadata: `length × 16 + type`.
pub(super) fn check_value(meta: u64, raw: &[u8]) -> Result<ValueKind, OpFault> {
    let mut reader = Reader::new(raw, Part::Value);
    let whole =
        |read: Result<i64, Refusal>, rest: &Reader<'_>| read.ok().filter(|_| rest.is_empty()).ok_or(OpFault::Value);
    match meta & 15 {
        0 if raw.is_empty() => Ok(ValueKind::Null),
        1 | 2 if raw.is_empty() => Ok(ValueKind::Other),
        3 => whole(reader.unsigned().map(|_| 0), &reader).map(|_| ValueKind::Other),
        4 => {
            let read = reader.signed();
            whole(read, &reader).map(|_| ValueKind::Int)
        }
        5 => {
            let float =
                reader.array().ok().filter(|_| reader.is_empty()).map(f64::from_le_bytes).ok_or(OpFault::Value)?;
            Ok(if float.is_nan() { ValueKind::Nan } else { ValueKind::Other })
        }
        6 => std::str::from_utf8(raw).map(|_| ValueKind::Other).map_err(|_| OpFault::Value),
        7 => Ok(ValueKind::Other),
        8 => {
            let read = reader.signed();
            let value = whole(read, &reader)?;
            if value.unsigned_abs() > COUNTER.unsigned_abs() { Err(OpFault::Value) } else { Ok(ValueKind::Counter) }
        }
        9 => {
            let read = reader.signed();
            whole(read, &reader).map(|_| ValueKind::Other)
        }
        _ => Err(OpFault::Value),
    }
}

/// The length that a value's metadata gives.
pub(super) fn value_len(meta: u64) -> Result<usize, Refusal> {
    let len = meta >> 4;
    if len > VALUE_BYTES as u64 {
        return Err(Refusal::Limit { part: Part::Value, value: len.into() });
    }
    Ok(len as usize)
}

/// Whether the bytes of an increment's value are within the limit. They were checked to be a number.
fn small_increment(raw: &[u8]) -> bool {
    Reader::new(raw, Part::Value).signed().is_ok_and(|by| by.unsigned_abs() <= COUNTER.unsigned_abs())
}

/// Whether the fields of one operation fit each other.
pub(super) fn check_row(row: &Row<'_>, raw: &[u8], preds: usize) -> Result<(), OpFault> {
    let in_map = matches!(row.key, Key::Map(_));
    if row.insert {
        let inserts =
            matches!(row.action, Action::MakeMap | Action::MakeList | Action::MakeText | Action::Set | Action::Mark);
        if in_map || preds != 0 || !inserts {
            return Err(OpFault::Insert);
        }
    } else {
        if row.key == Key::Head {
            return Err(OpFault::Key);
        }
        if row.action == Action::Mark {
            return Err(OpFault::Mark);
        }
        // An element exists because something in it is visible, so an update of it supersedes that. Automerge keeps a
        // deletion only in what it deletes: one without predecessors would be gone after a reload, and its change broken.
        if preds == 0 && (!in_map || matches!(row.action, Action::Delete | Action::Increment)) {
            return Err(OpFault::NoPred);
        }
    }
    if row.action != Action::Mark && (row.expand || row.mark_name.is_some()) {
        return Err(OpFault::Mark);
    }
    let fits = match row.action {
        Action::Set => true,
        // Automerge compares the values of marks with themselves.
        Action::Mark if row.mark_name.is_some() => row.value != ValueKind::Nan,
        Action::Mark => row.value == ValueKind::Null,
        Action::Increment => row.value == ValueKind::Int && small_increment(raw),
        Action::MakeMap | Action::MakeList | Action::MakeText | Action::Delete => row.value == ValueKind::Null,
    };
    if fits { Ok(()) } else { Err(OpFault::Value) }
}
