//! A document's content as a plain value: what reads, queries and mirrors see, without Automerge.
//!
//! A value keeps the kinds that merge differently apart (a collaborative text is not a string, a counter is not an integer), so
//! that a document written from a value and read back is the same value.

mod codec;
mod json;

use std::collections::BTreeMap;
use std::fmt;

pub use json::Tagged;

/// A JSON-like value with the kinds that documents have.
///
/// Two values are equal when their kinds and contents are; floats are compared by their bits, so that a value is always equal
/// to itself.
///
/// `Serialize` writes plain JSON-like data for reading; [`Tagged`] writes a form that `Deserialize` reads back without loss.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating-point number.
    Float(f64),
    /// A string that is written and conflicts as a whole.
    Str(String),
    /// A text whose characters are edited and merged one by one.
    Text(String),
    /// A number to which concurrent increments add up.
    Counter(i64),
    /// Milliseconds since 1970.
    Timestamp(i64),
    /// Raw bytes, written as a whole.
    Bytes(Vec<u8>),
    /// A list; concurrent insertions are all kept.
    List(Vec<Value>),
    /// A map; concurrent writes to different keys are all kept.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// The kind's name for a message to a person.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Uint(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Text(_) => "a text",
            Value::Counter(_) => "a counter",
            Value::Timestamp(_) => "a timestamp",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// An empty map.
    pub fn map() -> Value {
        Value::Map(BTreeMap::new())
    }

    /// The map's entries, if this is a map.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list's elements, if this is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The characters, if this is a string or a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) | Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Uint(a), Value::Uint(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Counter(a), Value::Counter(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

/// Plain JSON, for messages and logs of small values.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) | Value::Counter(value) | Value::Timestamp(value) => write!(f, "{value}"),
            Value::Uint(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value}"),
            Value::Str(text) | Value::Text(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Value::List(list) => f.debug_list().entries(list.iter().map(Shown)).finish(),
            Value::Map(map) => f.debug_map().entries(map.iter().map(|(key, value)| (key, Shown(value)))).finish(),
        }
    }
}

/// Lets `debug_list` and `debug_map` print elements by `Display`.
struct Shown<'a>(&'a Value);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Str(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Str(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Value::List(value)
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(value: BTreeMap<String, Value>) -> Self {
        Value::Map(value)
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Value {
    fn from(fields: [(&str, Value); N]) -> Self {
        Value::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}
