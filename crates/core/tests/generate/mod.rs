//! Random values, for the properties of several test files.

#![allow(dead_code, reason = "each test file uses some of these")]

use std::collections::BTreeMap;

use farshore_core::value::Value;
use proptest::prelude::*;

/// Any scalar, odd floats included.
pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-3i64..3).prop_map(Value::Int),
        any::<u64>().prop_map(Value::Uint),
        (0u64..3).prop_map(Value::Uint),
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        prop::sample::select(vec![0.0, -0.0, 1.0, 2.0, f64::NAN, f64::INFINITY]).prop_map(Value::Float),
        "[a-c$é🦀]{0,4}".prop_map(Value::Str),
        (-1_000_000i64..1_000_000).prop_map(Value::Counter),
        any::<i64>().prop_map(Value::Timestamp),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
    ]
}

/// A map key, sometimes one that looks like a tag.
pub(crate) fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-e]",
        1 => prop::sample::select(vec!["", "$", "$$", "$text", "$counter", "$$text", "é", "a.b"]).prop_map(str::to_owned),
    ]
}

/// Any value, of a few levels.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => scalar(), 1 => "[a-c🦀\n]{0,12}".prop_map(Value::Text)];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map(key(), inner, 0..5).prop_map(Value::Map),
        ]
    })
}

/// Any map of values: what a document can hold.
pub(crate) fn document() -> impl Strategy<Value = BTreeMap<String, Value>> {
    prop::collection::btree_map(key(), value(), 0..6)
}
