//! Values as plain data: what scenarios write and what oracles compare, without a type of the core's documents.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A JSON-like value that keeps apart what merges differently. Ordered and comparable as it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plain {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// The bits of a floating-point number, so that it equals itself.
    FloatBits(u64),
    /// A string that is written as a whole.
    Str(String),
    /// A text whose characters merge one by one.
    Text(String),
    /// A number to which increments add up.
    Counter(i64),
    /// Milliseconds since 1970.
    Timestamp(i64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Plain>),
    /// A map.
    Map(BTreeMap<String, Plain>),
}

impl Plain {
    /// A map of these fields.
    pub fn map<const N: usize>(fields: [(&str, Plain); N]) -> Plain {
        Plain::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The value under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Plain> {
        match self {
            Plain::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// The characters, if this is a string or a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Plain::Str(text) | Plain::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is a signed integer or a counter.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Plain::Int(value) | Plain::Counter(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub fn as_list(&self) -> Option<&[Plain]> {
        match self {
            Plain::List(list) => Some(list),
            _ => None,
        }
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plain::Null => f.write_str("null"),
            Plain::Bool(value) => write!(f, "{value}"),
            Plain::Int(value) => write!(f, "{value}"),
            Plain::Uint(value) => write!(f, "{value}"),
            Plain::FloatBits(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Plain::Str(text) | Plain::Text(text) => write!(f, "{text:?}"),
            Plain::Counter(value) => write!(f, "counter {value}"),
            Plain::Timestamp(value) => write!(f, "time {value}"),
            Plain::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Plain::List(list) => f.debug_list().entries(list.iter().map(Shown)).finish(),
            Plain::Map(map) => f.debug_map().entries(map.iter().map(|(key, value)| (key, Shown(value)))).finish(),
        }
    }
}

/// Lets `debug_list` and `debug_map` print elements by `Display`.
struct Shown<'a>(&'a Plain);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

/// One step down from a map or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A key of a map.
    Key(String),
    /// A position in a list, from 0.
    Index(u64),
}

/// One edit within a document, with the positions that the app meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Writes a map's key or overwrites a list's element.
    Put {
        /// Where.
        path: Vec<Step>,
        /// What.
        value: Plain,
    },
    /// Inserts into a list, before the position that the path ends in.
    Insert {
        /// The list, then the position.
        path: Vec<Step>,
        /// What.
        value: Plain,
    },
    /// Deletes and inserts characters of a text, in Unicode scalar values.
    Splice {
        /// The text.
        path: Vec<Step>,
        /// Where.
        at: u64,
        /// How many go.
        delete: u64,
        /// What comes in their place.
        insert: String,
    },
    /// Adds to a counter.
    Increment {
        /// The counter.
        path: Vec<Step>,
        /// How much.
        by: i64,
    },
    /// Removes a map's key or a list's element.
    Delete {
        /// What.
        path: Vec<Step>,
    },
}

/// What is done to one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Creates it, under an id that nobody else uses.
    Create(Plain),
    /// Creates it or sets these fields.
    Upsert(Plain),
    /// Edits it.
    Edit(Vec<Edit>),
    /// Deletes it.
    Delete,
}

/// A path of map keys.
pub fn keys<const N: usize>(keys: [&str; N]) -> Vec<Step> {
    keys.map(|key| Step::Key(key.to_owned())).into()
}
