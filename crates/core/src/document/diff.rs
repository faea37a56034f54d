//! The few edits that bring one value to another.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::edit::Edit;
use super::path::{Path, Step};
use super::sequence::hunks;
use crate::limits::{COUNTER_STEP, DIFF_EDITS};
use crate::value::Value;

/// The edits that bring a document whose view is `old` to `new`; both are maps.
///
/// Typed apps hand in plain data, so what plain data cannot say is kept as it is in `old`:
/// - a text stays a text when a string comes, and is edited by splices;
/// - a counter stays a counter when an integer comes, and is incremented by the difference (beyond [`COUNTER_STEP`] it is
///   written anew);
/// - a timestamp stays a timestamp when an integer comes;
/// - bytes stay bytes when their base64 comes;
/// - a number stays as it is when an equal number of another kind comes.
///
/// Lists are matched by equal elements; what differs in between is matched by position and edited in place. Beyond
/// [`DIFF_EDITS`] differences, all of the changed middle is.
pub fn diff(old: &Value, new: &Value) -> Vec<Edit> {
    run(old, new, true)
}

/// As [`diff`], but leaves alone the root's fields that `new` does not have.
pub(crate) fn diff_fields(old: &Value, new: &Value) -> Vec<Edit> {
    run(old, new, false)
}

fn run(old: &Value, new: &Value, delete_fields: bool) -> Vec<Edit> {
    let mut differ = Differ { path: Path::new(), edits: Vec::new() };
    match (old, new) {
        (Value::Map(old), Value::Map(new)) => differ.map(old, new, delete_fields),
        _ if same(old, new) => {}
        // Refused when it is applied, with the reason.
        _ => differ.edits.push(Edit::Replace { value: new.clone() }),
    }
    differ.edits
}

struct Differ {
    path: Path,
    edits: Vec<Edit>,
}

impl Differ {
    fn at(&mut self, step: Step, work: impl FnOnce(&mut Self)) {
        self.path.push(step);
        work(self);
        self.path.pop();
    }

    fn map(&mut self, old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>, delete_fields: bool) {
        for key in old.keys().filter(|key| delete_fields && !new.contains_key(*key)) {
            self.at(Step::Key(key.clone()), |differ| differ.edits.push(Edit::Delete { path: differ.path.clone() }));
        }
        for (key, value) in new {
            match old.get(key) {
                Some(old) if same(old, value) => {}
                Some(old) => self.at(Step::Key(key.clone()), |differ| differ.value(old, value)),
                None => self.at(Step::Key(key.clone()), |differ| differ.put(value.clone())),
            }
        }
    }

    /// Edits one value that is not the same.
    fn value(&mut self, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Map(old), Value::Map(new)) => self.map(old, new, true),
            (Value::List(old), Value::List(new)) => self.list(old, new),
            (Value::Text(_), Value::Text(to) | Value::Str(to)) => {
                self.edits.push(Edit::UpdateText { path: self.path.clone(), to: to.clone() });
            }
            (Value::Counter(old), plain) => match counter(plain) {
                Some(new) => {
                    match new.checked_sub(*old).filter(|by| by.unsigned_abs() <= COUNTER_STEP.unsigned_abs()) {
                        Some(by) => self.edits.push(Edit::Increment { path: self.path.clone(), by }),
                        None if new.unsigned_abs() <= COUNTER_STEP.unsigned_abs() => self.put(Value::Counter(new)),
                        // No counter may hold it: as a plain integer it can be kept.
                        None => self.put(plain.clone()),
                    }
                }
                None => self.put(plain.clone()),
            },
            (Value::Timestamp(_), new) => self.put(integer(new).map_or_else(|| new.clone(), Value::Timestamp)),
            (Value::Bytes(_), Value::Str(text)) => self.put(base64(text).map_or_else(|| new.clone(), Value::Bytes)),
            (_, new) => self.put(new.clone()),
        }
    }

    fn list(&mut self, old: &[Value], new: &[Value]) {
        for hunk in hunks(old.len(), new.len(), DIFF_EDITS, |i, j| same(&old[i], &new[j])) {
            // The edits so far made everything before this hunk equal to the new list, so it begins where it does there.
            let both = hunk.old.len().min(hunk.new.len());
            for (i, j) in hunk.old.clone().zip(hunk.new.clone()) {
                if !same(&old[i], &new[j]) {
                    self.at(Step::Index(j as u64), |differ| differ.value(&old[i], &new[j]));
                }
            }
            let rest = hunk.new.start + both;
            for _ in both..hunk.old.len() {
                self.at(Step::Index(rest as u64), |differ| {
                    differ.edits.push(Edit::Delete { path: differ.path.clone() })
                });
            }
            for (j, value) in new[..hunk.new.end].iter().enumerate().skip(rest) {
                self.at(Step::Index(j as u64), |differ| {
                    differ.edits.push(Edit::Insert { path: differ.path.clone(), value: value.clone() });
                });
            }
        }
    }

    fn put(&mut self, value: Value) {
        self.edits.push(Edit::Put { path: self.path.clone(), value, create_parents: false });
    }
}

/// Whether `new` asks for nothing that `old` is not already: equal, or the plain form of it.
fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Map(old), Value::Map(new)) => {
            old.len() == new.len() && old.iter().all(|(key, old)| new.get(key).is_some_and(|new| same(old, new)))
        }
        (Value::List(old), Value::List(new)) => old.len() == new.len() && old.iter().zip(new).all(|(a, b)| same(a, b)),
        (Value::Text(old), Value::Str(new)) => old == new,
        (Value::Counter(old), new) => counter(new) == Some(*old),
        (Value::Timestamp(old), Value::Int(_) | Value::Uint(_)) => integer(new) == Some(*old),
        (Value::Bytes(old), Value::Str(text)) => base64(text).as_ref() == Some(old),
        (Value::Int(_) | Value::Uint(_) | Value::Float(_), Value::Int(_) | Value::Uint(_) | Value::Float(_)) => {
            old == new || (!both_floats(old, new) && number(old).is_some() && number(old) == number(new))
        }
        _ => old == new,
    }
}

/// Two floats differ when their bits do: a zero of the other sign was meant.
fn both_floats(old: &Value, new: &Value) -> bool {
    matches!((old, new), (Value::Float(_), Value::Float(_)))
}

/// A number as an exact integer, if it is one.
fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        // Whole floats up to 2^64, beyond which no integer kind goes, convert exactly.
        Value::Float(value) if value.fract() == 0.0 && value.abs() <= 18_446_744_073_709_551_616.0 => {
            Some(*value as i128)
        }
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Uint(value) => i64::try_from(*value).ok(),
        _ => None,
    }
}

fn counter(value: &Value) -> Option<i64> {
    match value {
        Value::Counter(value) => Some(*value),
        plain => integer(plain),
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
