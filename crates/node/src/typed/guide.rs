//! Kinds follow the document: an app's type says what a field is where nothing is there yet, and the document where it is.

use farshore_core::value::Value;

/// `value` with the kinds that `there` has wherever both hold the same in another kind: text or string, counter, timestamp or
/// integer. So a struct with a `String` edits a document's collaborative text as a text, and a JSON number a counter.
pub(crate) fn with_kinds_of(there: &Value, value: Value) -> Value {
    match (there, value) {
        (Value::Text(_), Value::Str(text)) => Value::Text(text),
        (Value::Str(_), Value::Text(text)) => Value::Str(text),
        (Value::Counter(_), Value::Int(number) | Value::Timestamp(number)) => Value::Counter(number),
        (Value::Timestamp(_), Value::Int(number) | Value::Counter(number)) => Value::Timestamp(number),
        (Value::Int(_), Value::Counter(number) | Value::Timestamp(number)) => Value::Int(number),
        (Value::Uint(_), Value::Int(number)) if number >= 0 => Value::Uint(number.unsigned_abs()),
        (Value::List(there), Value::List(list)) => Value::List(
            list.into_iter()
                .enumerate()
                .map(|(at, value)| match there.get(at) {
                    Some(there) => with_kinds_of(there, value),
                    None => value,
                })
                .collect(),
        ),
        (Value::Map(there), Value::Map(map)) => Value::Map(
            map.into_iter()
                .map(|(key, value)| {
                    let value = match there.get(&key) {
                        Some(there) => with_kinds_of(there, value),
                        None => value,
                    };
                    (key, value)
                })
                .collect(),
        ),
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_document_where_it_has_the_field() {
        let there = Value::from([
            ("body", Value::Text("old".into())),
            ("votes", Value::Counter(1)),
            ("tags", Value::List(vec![Value::Text("x".into())])),
        ]);
        let value = Value::from([
            ("body", Value::Str("new".into())),
            ("votes", Value::Int(2)),
            ("tags", Value::List(vec![Value::Str("y".into()), Value::Str("z".into())])),
            ("fresh", Value::Str("s".into())),
        ]);
        let expected = Value::from([
            ("body", Value::Text("new".into())),
            ("votes", Value::Counter(2)),
            ("tags", Value::List(vec![Value::Text("y".into()), Value::Str("z".into())])),
            ("fresh", Value::Str("s".into())),
        ]);
        assert_eq!(with_kinds_of(&there, value), expected);
    }
}
