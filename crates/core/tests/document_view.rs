//! The view and the conflicts are what Automerge says when it is asked key by key.

mod devices;
mod generate;

use std::collections::BTreeMap;

use automerge::transaction::Transactable;
use automerge::{Automerge, ObjId, ObjType, Prop, ROOT, ReadDoc, ScalarValue};
use devices::{KEYED, actions, merge, play};
use farshore_core::document::{Document, GenesisScope, Path, Step};
use farshore_core::limits::VALUE_DEPTH;
use farshore_core::value::Value;
use proptest::prelude::*;

/// Reads an object through `get` alone, and notes where `get_all` gives several values.
fn read(doc: &Automerge, id: &ObjId, kind: ObjType, path: &Path, conflicts: &mut Vec<(Path, usize)>) -> Value {
    let mut one = |prop: Prop, step: Step| {
        let path: Path = path.iter().cloned().chain([step]).collect();
        let all = doc.get_all(id, prop.clone()).unwrap();
        if all.len() > 1 {
            conflicts.push((path.clone(), all.len()));
        }
        let (value, inner) = doc.get(id, prop).unwrap().unwrap();
        match value {
            automerge::Value::Object(kind) => read(doc, &inner, kind, &path, conflicts),
            automerge::Value::Scalar(scalar) => match scalar.as_ref() {
                ScalarValue::Null => Value::Null,
                ScalarValue::Boolean(value) => Value::Bool(*value),
                ScalarValue::Int(value) => Value::Int(*value),
                ScalarValue::Uint(value) => Value::Uint(*value),
                ScalarValue::F64(value) => Value::Float(*value),
                ScalarValue::Str(text) => Value::Str(text.to_string()),
                ScalarValue::Counter(counter) => Value::Counter(counter.into()),
                ScalarValue::Timestamp(value) => Value::Timestamp(*value),
                ScalarValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
                ScalarValue::Unknown { .. } => panic!("nobody writes such"),
            },
        }
    };
    match kind {
        ObjType::Text => Value::Text(doc.text(id).unwrap()),
        ObjType::List => Value::List((0..doc.length(id)).map(|i| one(i.into(), Step::Index(i as u64))).collect()),
        _ => {
            let keys: Vec<String> = doc.keys(id).collect();
            let entries = keys.into_iter().map(|key| (key.clone(), one(key.as_str().into(), Step::Key(key))));
            Value::Map(entries.collect::<BTreeMap<_, _>>())
        }
    }
}

#[test]
fn what_a_peer_nests_too_deep_reads_as_null() {
    let mut plain = Automerge::new();
    let mut tx = plain.transaction();
    let mut inner = ROOT;
    for _ in 0..300 {
        inner = tx.put_object(&inner, "k", ObjType::Map).unwrap();
    }
    tx.commit();
    let mut doc = Document::empty();
    doc.apply(plain.get_changes(&[])).unwrap();
    let view = doc.view().value;
    assert_eq!(Value::decode(&view.encode()).unwrap(), view);
    let (mut levels, mut at) = (0, &view);
    while let Some(inner) = at.get("k") {
        (levels, at) = (levels + 1, inner);
    }
    assert_eq!((levels, at), (VALUE_DEPTH, &Value::Null));
    assert_eq!(doc.conflicts(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_view_is_what_automerge_says(actions in actions(3, 24), keyed in any::<bool>()) {
        let scope = if keyed { KEYED } else { GenesisScope::Ordinary };
        let (docs, _) = play(3, scope, &actions);
        let mut merged = Document::empty();
        for doc in &docs {
            merge(&mut merged, doc);
        }
        // Once as it was merged, and once loaded from its saved form.
        let loaded = Document::load(Some(&merged.save()), &[]).unwrap();
        for doc in docs.iter().chain([&merged, &loaded]) {
            let mut plain = Automerge::new();
            plain.apply_changes(doc.changes()).unwrap();
            let mut conflicts = Vec::new();
            let expected = read(&plain, &ROOT, ObjType::Map, &Path::new(), &mut conflicts);
            conflicts.sort();
            let view = doc.view();
            prop_assert_eq!(&view.value, &expected);
            prop_assert_eq!(view.has_conflicts, !conflicts.is_empty());
            let found: Vec<_> = doc.conflicts().iter().map(|conflict| (conflict.path.clone(), conflict.values.len())).collect();
            prop_assert_eq!(found, conflicts);
            prop_assert_eq!(Value::decode(&view.value.encode()).unwrap(), view.value);
        }
    }
}
