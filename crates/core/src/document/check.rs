//! What can be said against a batch of edits without looking at the document: the limits.

use super::edit::{Edit, EditError};
use super::path::{Path, Step};
use crate::limits::{COUNTER_STEP, EDIT_DEPTH, FIELD_KEY_BYTES, NAME_BYTES, VALUE_BYTES};
use crate::value::Value;

/// Checks depths, sizes and keys.
pub(crate) fn check(edits: &[Edit]) -> Result<(), EditError> {
    for edit in edits {
        match edit {
            Edit::Put { path, value, .. } | Edit::Insert { path, value } => {
                check_path(path)?;
                check_value(value, &Trail::Path(path), path.len())?;
            }
            Edit::Replace { value } | Edit::Merge { value } => check_value(value, &Trail::Path(&[]), 0)?,
            Edit::Splice { path, insert: text, .. } | Edit::UpdateText { path, to: text } => {
                check_size(text.len(), &Trail::Path(path))?;
            }
            Edit::Mark { path, name, value, .. } => {
                check_mark(path, name)?;
                match value {
                    Value::Null | Value::List(_) | Value::Map(_) | Value::Text(_) => {
                        return Err(EditError::MarkValue { path: path.clone(), found: value.kind() });
                    }
                    scalar => check_value(scalar, &Trail::Path(path), path.len())?,
                }
            }
            Edit::Unmark { path, name, .. } => check_mark(path, name)?,
            Edit::Increment { path, by } => check_counter(*by, &Trail::Path(path))?,
            Edit::Delete { .. } => {}
        }
    }
    Ok(())
}

/// Checks the keys of a path that an edit may create. What is below the path is checked with the value.
fn check_path(path: &Path) -> Result<(), EditError> {
    if path.len() > EDIT_DEPTH {
        return Err(EditError::TooDeep { path: path[..EDIT_DEPTH].to_vec(), limit: EDIT_DEPTH });
    }
    for (depth, step) in path.iter().enumerate() {
        if let Step::Key(key) = step {
            check_key(key, &Trail::Path(&path[..depth]))?;
        }
    }
    Ok(())
}

fn check_mark(path: &Path, name: &str) -> Result<(), EditError> {
    match name.len() <= NAME_BYTES {
        true => Ok(()),
        false => Err(EditError::KeyTooLong { path: path.clone(), bytes: name.len(), limit: NAME_BYTES }),
    }
}

fn check_key(key: &str, map: &Trail<'_>) -> Result<(), EditError> {
    match key.len() <= FIELD_KEY_BYTES {
        true => Ok(()),
        false => Err(EditError::KeyTooLong { path: map.path(), bytes: key.len(), limit: FIELD_KEY_BYTES }),
    }
}

fn check_size(bytes: usize, at: &Trail<'_>) -> Result<(), EditError> {
    match bytes <= VALUE_BYTES {
        true => Ok(()),
        false => Err(EditError::TooLarge { path: at.path(), bytes, limit: VALUE_BYTES }),
    }
}

fn check_counter(by: i64, at: &Trail<'_>) -> Result<(), EditError> {
    match by.unsigned_abs() <= COUNTER_STEP.unsigned_abs() {
        true => Ok(()),
        false => Err(EditError::CounterStep { path: at.path(), by, limit: COUNTER_STEP }),
    }
}

/// `depth` counts the steps to the value. Never recurses below the limit, however deep the value is.
fn check_value(value: &Value, at: &Trail<'_>, depth: usize) -> Result<(), EditError> {
    let too_deep = || EditError::TooDeep { path: at.path(), limit: EDIT_DEPTH };
    match value {
        Value::Str(text) | Value::Text(text) => check_size(text.len(), at),
        Value::Bytes(bytes) => check_size(bytes.len(), at),
        Value::Counter(value) => check_counter(*value, at),
        Value::List(_) | Value::Map(_) if depth >= EDIT_DEPTH => Err(too_deep()),
        Value::List(list) => {
            let check = |(index, value)| check_value(value, &Trail::Index(at, index), depth + 1);
            list.iter().enumerate().try_for_each(check)
        }
        Value::Map(map) => map.iter().try_for_each(|(key, value)| {
            check_key(key, at)?;
            check_value(value, &Trail::Key(at, key), depth + 1)
        }),
        _ => Ok(()),
    }
}

/// The way to a value while it is checked; a path is made of it only for an error.
enum Trail<'a> {
    Path(&'a [Step]),
    Key(&'a Trail<'a>, &'a str),
    Index(&'a Trail<'a>, usize),
}

impl Trail<'_> {
    fn path(&self) -> Path {
        let mut path = Path::new();
        let mut at = self;
        loop {
            match at {
                Trail::Path(start) => {
                    path.extend(start.iter().rev().cloned());
                    path.reverse();
                    return path;
                }
                Trail::Key(above, key) => {
                    path.push(Step::Key((*key).to_owned()));
                    at = above;
                }
                Trail::Index(above, index) => {
                    path.push(Step::Index(*index as u64));
                    at = above;
                }
            }
        }
    }
}
