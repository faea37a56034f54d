//! Values in serde's data model, in two forms.
//!
//! **Plain**, for reading: text as a string, counters and timestamps as integers, bytes as standard padded base64. Kinds
//! are lost; `null` stands for a float that is not a number in formats that have none.
//!
//! **Tagged**, for export and import without loss: what plain data would not bring back is a map of one entry.
//!
//! | written | means |
//! |---|---|
//! | `{"$text": "…"}` | a collaborative text |
//! | `{"$counter": 5}` | a counter |
//! | `{"$ts": 1700000000000}` | a timestamp, milliseconds since 1970 |
//! | `{"$bytes": "…"}` | bytes, in base64 |
//! | `{"$uint": 5}` | an unsigned integer that would also fit a signed one |
//! | `{"$f64": "7ff8000000000000"}` | a float that is infinite or not a number, by its bits |
//! | `{"$$text": …}` | a map with the key `$text`: a key that begins with `$` gets one more |
//!
//! Reading takes any other map as it stands, one key `$ref` included; so plain data from elsewhere can be read, and only a
//! map of exactly one entry under one of the six tags means something else.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Value;
use crate::limits::VALUE_DEPTH;

const TEXT: &str = "$text";
const COUNTER: &str = "$counter";
const TIMESTAMP: &str = "$ts";
const BYTES: &str = "$bytes";
const UINT: &str = "$uint";
const FLOAT: &str = "$f64";

/// The plain form.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) | Value::Counter(value) | Value::Timestamp(value) => serializer.serialize_i64(*value),
            Value::Uint(value) => serializer.serialize_u64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Str(text) | Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Value::List(list) => serializer.collect_seq(list),
            Value::Map(map) => serializer.collect_map(map),
        }
    }
}

/// Writes a value in the tagged form, which reads back without loss.
#[derive(Debug, Clone, Copy)]
pub struct Tagged<'a>(pub &'a Value);

impl Serialize for Tagged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Text(text) => tag(serializer, TEXT, text),
            Value::Counter(value) => tag(serializer, COUNTER, value),
            Value::Timestamp(value) => tag(serializer, TIMESTAMP, value),
            Value::Bytes(bytes) => tag(serializer, BYTES, &STANDARD.encode(bytes)),
            Value::Uint(value) if i64::try_from(*value).is_ok() => tag(serializer, UINT, value),
            Value::Float(value) if !value.is_finite() => tag(serializer, FLOAT, &format!("{:016x}", value.to_bits())),
            Value::List(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    out.serialize_element(&Tagged(value))?;
                }
                out.end()
            }
            Value::Map(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    match key.starts_with('$') {
                        true => out.serialize_entry(&format!("${key}"), &Tagged(value))?,
                        false => out.serialize_entry(key, &Tagged(value))?,
                    }
                }
                out.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

fn tag<S: Serializer, T: Serialize>(serializer: S, tag: &str, content: &T) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_map(Some(1))?;
    out.serialize_entry(tag, content)?;
    out.end()
}

/// Reads the tagged form, and plain data as it stands.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reading { depth: 0 }.deserialize(deserializer)
    }
}

/// One value being read; `depth` counts the containers around it.
#[derive(Clone, Copy)]
struct Reading {
    depth: usize,
}

impl Reading {
    fn inner<E: serde::de::Error>(self) -> Result<Reading, E> {
        match self.depth < VALUE_DEPTH {
            true => Ok(Reading { depth: self.depth + 1 }),
            false => Err(E::custom(format_args!("the value nests deeper than {VALUE_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reading {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-like value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Uint(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Str(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Str(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.to_owned()))
    }

    fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("the key {key:?} occurs twice in one map")));
            }
        }
        if let Some(value) = read_tag(&map)? {
            return Ok(value);
        }
        if !map.keys().any(|key| key.starts_with("$$")) {
            return Ok(Value::Map(map));
        }
        let mut plain = BTreeMap::new();
        for (key, value) in map {
            let key = if key.starts_with("$$") { key[1..].to_owned() } else { key };
            if let Some(twice) = plain.insert(key, value).map(|_| "a key occurs both as `$…` and as `$$…`") {
                return Err(A::Error::custom(twice));
            }
        }
        Ok(Value::Map(plain))
    }
}

/// What a map of one tagged entry means; `None` if it is an ordinary map.
fn read_tag<E: serde::de::Error>(map: &BTreeMap<String, Value>) -> Result<Option<Value>, E> {
    let Some((key, content)) = map.first_key_value().filter(|_| map.len() == 1) else {
        return Ok(None);
    };
    let value = match (key.as_str(), content) {
        (TEXT, Value::Str(text)) => Some(Value::Text(text.clone())),
        (COUNTER, Value::Int(value)) => Some(Value::Counter(*value)),
        (TIMESTAMP, Value::Int(value)) => Some(Value::Timestamp(*value)),
        (UINT, Value::Int(value)) => u64::try_from(*value).ok().map(Value::Uint),
        (BYTES, Value::Str(text)) => STANDARD.decode(text).ok().map(Value::Bytes),
        (FLOAT, Value::Str(text)) if text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u64::from_str_radix(text, 16).ok().map(|bits| Value::Float(f64::from_bits(bits)))
        }
        (TEXT | COUNTER | TIMESTAMP | UINT | BYTES | FLOAT, _) => None,
        _ => return Ok(None),
    };
    let needs = match key.as_str() {
        TEXT => "a string",
        BYTES => "base64 with padding",
        UINT => "an integer that is not negative",
        FLOAT => "16 hexadecimal digits",
        _ => "an integer of 64 bits",
    };
    let refuse = || E::custom(format_args!("`{key}` needs {needs}; a map with that key is written `${key}`"));
    value.map(Some).ok_or_else(refuse)
}
