//! A document's current state as a plain value: where values conflict, the winner.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ObjId, ObjType, ReadDoc, ScalarValue, ScalarValueRef, ValueRef};

use crate::limits::VALUE_DEPTH;
use crate::value::Value;

/// Objects to be left out of a view, because the batch of edits that makes them has not come to it yet.
pub(crate) type Hidden = BTreeSet<ObjId>;

/// A document's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The root map.
    pub value: Value,
    /// Whether some key or element has other values beside the one shown.
    pub has_conflicts: bool,
}

/// Reads the whole document.
///
/// Cost: one pass over its visible operations.
pub(crate) fn view(doc: &impl ReadDoc, hidden: &Hidden) -> View {
    let mut has_conflicts = false;
    let value = object(doc, &automerge::ROOT, ObjType::Map, 1, hidden, &mut has_conflicts);
    View { value, has_conflicts }
}

/// Reads one object and what is in it. `level` is 1 for the root; what is below [`VALUE_DEPTH`] reads as null, on every
/// device alike.
pub(crate) fn object(
    doc: &impl ReadDoc,
    id: &ObjId,
    kind: ObjType,
    level: usize,
    hidden: &Hidden,
    conflict: &mut bool,
) -> Value {
    if kind == ObjType::Text {
        return Value::Text(doc.text(id).unwrap_or_default());
    }
    if level > VALUE_DEPTH {
        return Value::Null;
    }
    let mut read = |value: ValueRef<'_>, id: &dyn Fn() -> ObjId| match value {
        ValueRef::Scalar(scalar) => Some(scalar_ref(scalar)),
        ValueRef::Object(kind) => {
            let id = id();
            (!hidden.contains(&id)).then(|| object(doc, &id, kind, level + 1, hidden, conflict))
        }
    };
    if kind == ObjType::List {
        let mut list = Vec::new();
        let mut flag = false;
        for item in doc.list_range(id, ..) {
            flag |= item.conflict;
            list.extend(read(item.value.clone(), &|| item.id()));
        }
        *conflict |= flag;
        return Value::List(list);
    }
    let mut map = BTreeMap::new();
    let mut flag = false;
    for item in doc.map_range(id, ..) {
        if let Some(value) = read(item.value.clone(), &|| item.id()) {
            flag |= item.conflict;
            map.insert(item.key.clone().into_owned(), value);
        }
    }
    *conflict |= flag;
    Value::Map(map)
}

fn scalar_ref(scalar: ScalarValueRef<'_>) -> Value {
    match scalar {
        ScalarValueRef::Null => Value::Null,
        ScalarValueRef::Boolean(value) => Value::Bool(value),
        ScalarValueRef::Int(value) => Value::Int(value),
        ScalarValueRef::Uint(value) => Value::Uint(value),
        ScalarValueRef::F64(value) => Value::Float(value),
        ScalarValueRef::Str(text) => Value::Str(text.into_owned()),
        ScalarValueRef::Counter(value) => Value::Counter(value),
        ScalarValueRef::Timestamp(value) => Value::Timestamp(value),
        ScalarValueRef::Bytes(bytes) => Value::Bytes(bytes.into_owned()),
        ScalarValueRef::Unknown { bytes, .. } => Value::Bytes(bytes.into_owned()),
    }
}

/// An Automerge scalar as a value. A kind from a future Automerge reads as its bytes.
pub(crate) fn scalar(scalar: &ScalarValue) -> Value {
    match scalar {
        ScalarValue::Null => Value::Null,
        ScalarValue::Boolean(value) => Value::Bool(*value),
        ScalarValue::Int(value) => Value::Int(*value),
        ScalarValue::Uint(value) => Value::Uint(*value),
        ScalarValue::F64(value) => Value::Float(*value),
        ScalarValue::Str(text) => Value::Str(text.to_string()),
        ScalarValue::Counter(counter) => Value::Counter(counter.into()),
        ScalarValue::Timestamp(value) => Value::Timestamp(*value),
        ScalarValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
        ScalarValue::Unknown { bytes, .. } => Value::Bytes(bytes.clone()),
    }
}
