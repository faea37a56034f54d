//! Bringing a document to a value makes it that value, by few edits, and keeps kinds that plain data cannot say.

mod devices;
mod generate;

use std::collections::BTreeMap;

use devices::{KEYED, actor, copy, merge};
use farshore_core::document::diff::diff;
use farshore_core::document::path::keys;
use farshore_core::document::{Document, Edit, GenesisScope};
use farshore_core::limits::COUNTER_STEP;
use farshore_core::value::Value;
use proptest::prelude::*;

fn document(value: Value) -> Document {
    let mut doc = Document::empty();
    doc.edit(actor(0), GenesisScope::Ordinary, &[Edit::Replace { value }]).unwrap();
    doc
}

/// What `got` may be, when `wanted` was asked for: the same, but for kinds that plain data cannot say.
fn agrees(got: &Value, wanted: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Int(n) => Some(*n as f64),
        Value::Uint(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        _ => None,
    };
    match (got, wanted) {
        (Value::Map(got), Value::Map(wanted)) => {
            got.keys().eq(wanted.keys()) && got.iter().all(|(key, got)| agrees(got, &wanted[key]))
        }
        (Value::List(got), Value::List(wanted)) => {
            got.len() == wanted.len() && got.iter().zip(wanted).all(|(got, wanted)| agrees(got, wanted))
        }
        (Value::Text(got), Value::Str(wanted)) => got == wanted,
        (Value::Counter(got) | Value::Timestamp(got), Value::Int(wanted)) => got == wanted,
        (Value::Counter(got) | Value::Timestamp(got), Value::Uint(wanted)) => u64::try_from(*got) == Ok(*wanted),
        (Value::Bytes(_), Value::Str(text)) => serde_json::to_value(got).unwrap().as_str() == Some(text),
        _ => got == wanted || (number(got).is_some() && number(got) == number(wanted)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_difference_leads_from_old_to_new(old in generate::document(), new in generate::document(), keyed in any::<bool>()) {
        let (old, new) = (Value::Map(old), Value::Map(new));
        let scope = if keyed { KEYED } else { GenesisScope::Ordinary };
        let mut by_edits = document(old.clone());
        by_edits.edit(actor(1), scope, &diff(&old, &new)).unwrap();
        let got = by_edits.view().value;
        prop_assert!(agrees(&got, &new), "{:?} for {:?}", got, new);
        let mut by_replace = document(old);
        by_replace.edit(actor(1), scope, &[Edit::Replace { value: new.clone() }]).unwrap();
        prop_assert_eq!(&by_replace.view().value, &got);
        prop_assert_eq!(diff(&got, &new), vec![]);
    }

    #[test]
    fn nothing_leads_from_a_value_to_itself_or_its_plain_form(value in generate::document()) {
        let value = Value::Map(value);
        prop_assert_eq!(diff(&value, &value), vec![]);
        // Floats that JSON cannot say come back as null.
        let plain: Value = serde_json::from_value(escape(serde_json::to_value(&value).unwrap())).unwrap();
        let edits = diff(&value, &plain);
        let nulls = edits.iter().all(|edit| matches!(edit, Edit::Put { value: Value::Null, .. }));
        prop_assert!(nulls, "{:?}", edits);
    }

    #[test]
    fn kinds_that_plain_data_cannot_say_are_kept(by in -9i64..9, at in any::<i64>(), text in "[a-z🦀]{0,9}") {
        let old = Value::from([
            ("counter", Value::Counter(by)),
            ("text", Value::Text("abc🦀".into())),
            ("when", Value::Timestamp(7)),
        ]);
        let mut doc = document(old);
        let new = Value::from([("counter", Value::Int(5)), ("text", Value::Str(text.clone())), ("when", Value::Int(at))]);
        doc.edit(actor(1), GenesisScope::Ordinary, &[Edit::Replace { value: new }]).unwrap();
        let expected = [("counter", Value::Counter(5)), ("text", Value::Text(text)), ("when", Value::Timestamp(at))];
        prop_assert_eq!(doc.view().value, Value::from(expected));
    }
}

/// Plain data in the form in which `Deserialize` takes it for plain: keys that begin with `$` get one more.
fn escape(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Array(list) => list.into_iter().map(escape).collect(),
        serde_json::Value::Object(map) => {
            let entry =
                |(key, value): (String, _)| (if key.starts_with('$') { format!("${key}") } else { key }, escape(value));
            serde_json::Value::Object(map.into_iter().map(entry).collect())
        }
        scalar => scalar,
    }
}

fn list(items: &[&str]) -> Value {
    Value::from([("l", Value::List(items.iter().map(|item| (*item).into()).collect()))])
}

#[test]
fn lists_change_only_where_they_differ() {
    let at = |index: u64| vec!["l".into(), index.into()];
    let (old, new) = (list(&["a", "b", "c", "d"]), list(&["x", "a", "c", "D", "e"]));
    let expected = [
        Edit::Insert { path: at(0), value: "x".into() },
        Edit::Delete { path: at(2) },
        Edit::put(at(3), "D"),
        Edit::Insert { path: at(4), value: "e".into() },
    ];
    assert_eq!(diff(&old, &new), expected);
}

#[test]
fn records_in_lists_are_edited_in_place() {
    let record = |done| Value::from([("done", Value::Bool(done)), ("title", Value::Text("milk".into()))]);
    let todo = |items: Vec<Value>| Value::from([("todo", Value::List(items))]);
    let mut here = document(todo(vec![record(false), record(true)]));
    let mut there = copy(&here);
    let done = Edit::Replace { value: todo(vec![record(true), record(true)]) };
    here.edit(actor(1), GenesisScope::Ordinary, &[done]).unwrap();
    let title = vec!["todo".into(), 0.into(), "title".into()];
    let rename = Edit::UpdateText { path: title, to: "oat milk".into() };
    there.edit(actor(2), GenesisScope::Ordinary, &[rename]).unwrap();
    merge(&mut here, &there);
    let first = Value::from([("done", true.into()), ("title", Value::Text("oat milk".into()))]);
    assert_eq!(here.view().value.get("todo").unwrap().as_list().unwrap()[0], first);
}

#[test]
fn long_and_different_texts_and_lists_are_still_brought_over() {
    let items = |seed: u64, count: u64| -> Vec<Value> {
        (0..count).map(|i| Value::Int((i.wrapping_mul(seed) >> 3) as i64 % 50)).collect()
    };
    let text =
        |seed: u32| (0..20_000u32).map(|i| char::from(b'a' + (i.wrapping_mul(seed) >> 27) as u8)).collect::<String>();
    let value =
        |seed: u64| Value::from([("l", Value::List(items(seed, 4000))), ("t", Value::Text(text(seed as u32 | 1)))]);
    let (old, new) = (value(0x9e37_79b9_7f4a_7c15), value(0xc2b2_ae3d_27d4_eb4f));
    let mut doc = document(old);
    doc.edit(actor(1), GenesisScope::Ordinary, &[Edit::Replace { value: new.clone() }]).unwrap();
    assert_eq!(doc.view().value, new);
}

#[test]
fn a_counter_out_of_reach_is_overwritten() {
    let value = |n| Value::from([("n", Value::Counter(n))]);
    let mut doc = document(value(-COUNTER_STEP));
    doc.edit(actor(1), GenesisScope::Ordinary, &[Edit::Replace { value: value(COUNTER_STEP) }]).unwrap();
    assert_eq!(doc.view().value, value(COUNTER_STEP));
    assert_eq!(diff(&value(i64::MIN), &value(i64::MAX)), [Edit::put(keys(["n"]), Value::Counter(i64::MAX))]);
    assert_eq!(
        diff(&value(1), &Value::from(BTreeMap::from([("n".to_owned(), Value::Int(4))]))),
        [Edit::Increment { path: keys(["n"]), by: 3 }]
    );
}
