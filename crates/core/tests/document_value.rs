//! A value comes back as it was from its canonical bytes and from its tagged form.

mod generate;

use farshore_core::value::{Tagged, Value};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_value_reads_back_from_its_canonical_bytes(value in generate::value()) {
        prop_assert_eq!(Value::decode(&value.encode()).unwrap(), value);
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(prop_oneof![0u8..14, any::<u8>()], 0..40)) {
        if let Ok(value) = Value::decode(&bytes) {
            prop_assert_eq!(value.encode(), bytes);
        }
    }

    #[test]
    fn a_value_reads_back_from_its_tagged_json(value in generate::value()) {
        let json = serde_json::to_string(&Tagged(&value)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value, "{}", json);
    }
}

fn read(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn plain_json_is_for_reading() {
    let value = Value::from([
        ("bytes", Value::Bytes(vec![1, 2, 3])),
        ("count", Value::Counter(5)),
        ("text", Value::Text("hello".into())),
        ("when", Value::Timestamp(1_700_000_000_000)),
        ("$odd", Value::Null),
    ]);
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(json, r#"{"$odd":null,"bytes":"AQID","count":5,"text":"hello","when":1700000000000}"#);
}

#[test]
fn plain_json_reads_as_it_stands() {
    assert_eq!(read(r#"{"$ref":"x"}"#).unwrap(), Value::from([("$ref", Value::from("x"))]));
    let two = Value::from([("$text", Value::from("x")), ("b", Value::Int(1))]);
    assert_eq!(read(r#"{"$text":"x","b":1}"#).unwrap(), two);
    assert_eq!(read("18446744073709551615").unwrap(), Value::Uint(u64::MAX));
    assert_eq!(read("[1, 1.0, null]").unwrap(), Value::List(vec![Value::Int(1), Value::Float(1.0), Value::Null]));
}

#[test]
fn a_wrong_tag_is_refused_with_the_remedy() {
    let error = read(r#"{"$counter":"five"}"#).unwrap_err();
    assert!(error.contains("`$counter` needs an integer of 64 bits") && error.contains("`$$counter`"), "{error}");
    assert!(read(r#"{"$bytes":"???"}"#).is_err());
    assert!(read(r#"{"$f64":"+ff8000000000000"}"#).is_err());
    assert!(read(r#"{"$uint":-1}"#).is_err());
}

#[test]
fn ambiguous_and_deep_json_is_refused() {
    assert!(read(r#"{"a":1,"a":2}"#).is_err());
    assert!(read(r#"{"$x":1,"$$x":2}"#).is_err());
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&deep(100)).is_ok());
    assert!(read(&deep(101)).unwrap_err().contains("deeper than 100"));
}
