//! A few devices that edit the same document at random and merge at random.

#![allow(dead_code, reason = "each test file uses some of these")]

use std::collections::BTreeMap;

use automerge::Change;
use farshore_core::document::{Document, Edit, EditError, GenesisScope, Path, Step};
use farshore_core::id::DocumentId;
use farshore_core::value::Value;
use proptest::prelude::*;

use crate::generate;

/// The scope of a keyed document.
pub(crate) const KEYED: GenesisScope = GenesisScope::Keyed { document: DocumentId([9; 16]), generation: 1 };

/// The actor of a device.
pub(crate) fn actor(device: usize) -> [u8; 16] {
    [device as u8 + 1; 16]
}

/// A document that holds all changes of another.
pub(crate) fn copy(doc: &Document) -> Document {
    let mut copy = Document::empty();
    copy.apply(doc.changes()).unwrap();
    copy
}

/// Brings everything from one document into another.
pub(crate) fn merge(into: &mut Document, from: &Document) {
    into.apply(from.changes()).unwrap();
}

/// Something that a device does. Numbers choose among what is there.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Replace(BTreeMap<String, Value>),
    Put(u16, String, Value),
    Insert(u16, Value),
    Splice(u16, u16, u16, String),
    Increment(u16, i64),
    Delete(u16),
    Mark(u16, u16),
    Merge(u16),
}

pub(crate) fn actions(devices: usize, count: usize) -> impl Strategy<Value = Vec<(usize, Action)>> {
    let action = prop_oneof![
        1 => generate::document().prop_map(Action::Replace),
        4 => (any::<u16>(), generate::key(), generate::value()).prop_map(|(at, key, value)| Action::Put(at, key, value)),
        3 => (any::<u16>(), generate::value()).prop_map(|(at, value)| Action::Insert(at, value)),
        3 => (any::<u16>(), any::<u16>(), any::<u16>(), "[x-z🦀]{0,3}")
            .prop_map(|(at, from, count, text)| Action::Splice(at, from, count, text)),
        2 => (any::<u16>(), -5i64..5).prop_map(|(at, by)| Action::Increment(at, by)),
        2 => any::<u16>().prop_map(Action::Delete),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(at, from)| Action::Mark(at, from)),
        3 => any::<u16>().prop_map(Action::Merge),
    ];
    prop::collection::vec((0..devices, action), 0..count)
}

/// Every place in a value, the value itself first.
pub(crate) fn places(value: &Value) -> Vec<(Path, Value)> {
    let mut out = vec![(Path::new(), value.clone())];
    let mut done = 0;
    while let Some((path, value)) = out.get(done).cloned() {
        done += 1;
        let mut add = |step: Step, inner: &Value| {
            let path = path.iter().cloned().chain([step]).collect();
            out.push((path, inner.clone()));
        };
        match &value {
            Value::Map(map) => map.iter().for_each(|(key, inner)| add(Step::Key(key.clone()), inner)),
            Value::List(list) => list.iter().enumerate().for_each(|(i, inner)| add(Step::Index(i as u64), inner)),
            _ => {}
        }
    }
    out
}

/// Carries out what is not a merge, if there is a place for it.
pub(crate) fn edit(doc: &mut Document, device: usize, scope: GenesisScope, action: &Action) -> Vec<Change> {
    let places = places(&doc.view().value);
    let pick = |at: u16, fits: fn(&Value) -> bool| {
        let fitting: Vec<_> = places.iter().filter(|(path, value)| !path.is_empty() && fits(value)).collect();
        (!fitting.is_empty()).then(|| fitting[usize::from(at) % fitting.len()].clone())
    };
    let maps: Vec<_> = places.iter().filter(|(_, value)| matches!(value, Value::Map(_))).collect();
    let edit = match action {
        Action::Replace(fields) => Some(Edit::replace(fields.clone())),
        Action::Put(at, key, value) => {
            let path = maps[usize::from(*at) % maps.len()].0.iter().cloned().chain([Step::Key(key.clone())]).collect();
            Some(Edit::put(path, value.clone()))
        }
        Action::Insert(at, value) => pick(*at, |value| matches!(value, Value::List(_))).map(|(mut path, list)| {
            path.push(Step::Index(u64::from(*at) % (list.as_list().unwrap().len() as u64 + 1)));
            Edit::Insert { path, value: value.clone() }
        }),
        Action::Splice(at, from, count, insert) => {
            pick(*at, |value| matches!(value, Value::Text(_))).map(|(path, text)| {
                let length = text.as_str().unwrap().chars().count() as u64;
                let at = u64::from(*from) % (length + 1);
                Edit::Splice { path, at, delete: u64::from(*count) % (length - at + 1), insert: insert.clone() }
            })
        }
        Action::Increment(at, by) => {
            pick(*at, |value| matches!(value, Value::Counter(_))).map(|(path, _)| Edit::Increment { path, by: *by })
        }
        Action::Delete(at) => pick(*at, |_| true).map(|(path, _)| Edit::Delete { path }),
        Action::Mark(at, from) => {
            pick(*at, |value| matches!(value, Value::Text(text) if !text.is_empty())).map(|(path, text)| {
                let length = text.as_str().unwrap().chars().count() as u64;
                let start = u64::from(*from) % length;
                let (name, expand) = ("bold".to_owned(), Default::default());
                Edit::Mark { path, start, end: length, name, value: Value::Bool(true), expand }
            })
        }
        Action::Merge(_) => None,
    };
    let Some(edit) = edit else {
        return Vec::new();
    };
    match doc.edit(actor(device), scope, &[edit]) {
        Ok(committed) => committed.changes.iter().map(|change| Change::try_from(&change.bytes[..]).unwrap()).collect(),
        Err(EditError::CounterRange { .. }) => Vec::new(),
        Err(error) => panic!("{action:?} was refused: {error}"),
    }
}

/// Lets devices act, and gives their documents and all changes in the order in which they were made.
pub(crate) fn play(devices: usize, scope: GenesisScope, actions: &[(usize, Action)]) -> (Vec<Document>, Vec<Change>) {
    let mut docs = vec![Document::empty(); devices];
    let mut made: Vec<Change> = Vec::new();
    for (device, action) in actions {
        if let Action::Merge(other) = action {
            let from = docs[usize::from(*other) % devices].clone();
            merge(&mut docs[*device], &from);
        } else {
            made.extend(edit(&mut docs[*device], *device, scope, action));
        }
    }
    (docs, made)
}
