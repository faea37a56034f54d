//! Between the simulator's plain data and the core's values and edits.

use farshore_core::document::{Edit as CoreEdit, Path, Step as CoreStep};
use farshore_core::input::DocOp;
use farshore_core::value::Value;

use crate::plain::{Edit, Op, Plain, Step};

/// A value as the core knows it.
pub fn value_of(plain: &Plain) -> Value {
    match plain {
        Plain::Null => Value::Null,
        Plain::Bool(value) => Value::Bool(*value),
        Plain::Int(value) => Value::Int(*value),
        Plain::Uint(value) => Value::Uint(*value),
        Plain::FloatBits(bits) => Value::Float(f64::from_bits(*bits)),
        Plain::Str(text) => Value::Str(text.clone()),
        Plain::Text(text) => Value::Text(text.clone()),
        Plain::Counter(value) => Value::Counter(*value),
        Plain::Timestamp(value) => Value::Timestamp(*value),
        Plain::Bytes(bytes) => Value::Bytes(bytes.clone()),
        Plain::List(list) => Value::List(list.iter().map(value_of).collect()),
        Plain::Map(map) => Value::Map(map.iter().map(|(key, value)| (key.clone(), value_of(value))).collect()),
    }
}

/// A value as oracles and apps know it.
pub fn plain_of(value: &Value) -> Plain {
    match value {
        Value::Null => Plain::Null,
        Value::Bool(value) => Plain::Bool(*value),
        Value::Int(value) => Plain::Int(*value),
        Value::Uint(value) => Plain::Uint(*value),
        Value::Float(value) => Plain::FloatBits(value.to_bits()),
        Value::Str(text) => Plain::Str(text.clone()),
        Value::Text(text) => Plain::Text(text.clone()),
        Value::Counter(value) => Plain::Counter(*value),
        Value::Timestamp(value) => Plain::Timestamp(*value),
        Value::Bytes(bytes) => Plain::Bytes(bytes.clone()),
        Value::List(list) => Plain::List(list.iter().map(plain_of).collect()),
        Value::Map(map) => Plain::Map(map.iter().map(|(key, value)| (key.clone(), plain_of(value))).collect()),
    }
}

fn path_of(path: &[Step]) -> Path {
    let step = |step: &Step| match step {
        Step::Key(key) => CoreStep::Key(key.clone()),
        Step::Index(index) => CoreStep::Index(*index),
    };
    path.iter().map(step).collect()
}

/// What is done to a document, as the core is asked for it.
pub fn op_of(op: &Op) -> DocOp {
    match op {
        Op::Create(value) => DocOp::Create(value_of(value)),
        Op::Upsert(value) => DocOp::Upsert(value_of(value)),
        Op::Edit(edits) => DocOp::Edit(edits.iter().map(edit_of).collect()),
        Op::Delete => DocOp::Delete,
    }
}

fn edit_of(edit: &Edit) -> CoreEdit {
    match edit {
        Edit::Put { path, value } => CoreEdit::put(path_of(path), value_of(value)),
        Edit::Insert { path, value } => CoreEdit::Insert { path: path_of(path), value: value_of(value) },
        Edit::Splice { path, at, delete, insert } => {
            CoreEdit::Splice { path: path_of(path), at: *at, delete: *delete, insert: insert.clone() }
        }
        Edit::Increment { path, by } => CoreEdit::Increment { path: path_of(path), by: *by },
        Edit::Delete { path } => CoreEdit::Delete { path: path_of(path) },
    }
}
