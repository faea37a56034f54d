//! An app's types as documents: serde to [`Value`] and back, and the kinds that serde does not know.
//!
//! A document keeps a collaborative text, a counter and a point in time apart from a string and an integer, because they
//! merge differently. A struct says which it wants by the newtypes here; every other serializer (JSON, say) sees the plain
//! string or number inside.

mod de;
mod guide;
mod ser;

use std::fmt;
use std::ops::{Deref, DerefMut};

use farshore_core::value::Value;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use guide::with_kinds_of;

/// Why a value of the app is not a document's content, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(String);

impl TypeError {
    pub(crate) fn new(message: String) -> Self {
        TypeError(message)
    }
}

impl serde::ser::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        TypeError(message.to_string())
    }
}

impl serde::de::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        TypeError(message.to_string())
    }
}

/// Turns an app's value into a document's content.
///
/// Shape: integers become signed ones where they fit, `None` and units become null, unit variants their name, other variants a
/// map from their name to their content. [`Text`], [`Counter`] and [`Timestamp`] become the kinds of the same names.
///
/// # Errors
/// The caller's: integers over 64 bits, and map keys that are neither strings, integers, booleans nor characters.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, TypeError> {
    value.serialize(ser::ToValue)
}

/// Turns a document's content into an app's value; what [`to_value`] wrote is read back.
///
/// # Errors
/// When the content does not have the type's shape: another app, or another version of this one, wrote the document.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, TypeError> {
    T::deserialize(de::FromValue(value))
}

/// Names by which the serializer recognizes the newtypes below; no app's type has such a name.
pub(crate) const TEXT: &str = "$farshore::Text";
pub(crate) const COUNTER: &str = "$farshore::Counter";
pub(crate) const TIMESTAMP: &str = "$farshore::Timestamp";

/// A text whose characters are edited and merged one by one, where a `String` is written and conflicts as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub String);

/// A number to which concurrent increments add up, where of two concurrent integers one wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter(pub i64);

/// A point in time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(text)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Deref for Text {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

impl DerefMut for Text {
    fn deref_mut(&mut self) -> &mut String {
        &mut self.0
    }
}

impl Counter {
    /// Adds; concurrent additions of others add up with it.
    pub fn add(&mut self, amount: i64) {
        self.0 = self.0.saturating_add(amount);
    }
}

/// Declares a newtype's serde by the name that [`ser`] recognizes.
macro_rules! named_newtype {
    ($name:ident, $inner:ty, $tag:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct($tag, &self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$inner>::deserialize(deserializer).map($name)
            }
        }
    };
}

named_newtype!(Text, String, TEXT);
named_newtype!(Counter, i64, COUNTER);
named_newtype!(Timestamp, i64, TIMESTAMP);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Circle(u32),
        Box { width: i64, height: i64 },
        Line(i8, i8),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        title: String,
        body: Text,
        votes: Counter,
        at: Timestamp,
        done: bool,
        ratio: f64,
        small: u8,
        large: u64,
        nothing: Option<String>,
        something: Option<i32>,
        letter: char,
        tags: Vec<String>,
        pair: (i32, String),
        shapes: Vec<Shape>,
        by_name: BTreeMap<String, i64>,
        by_number: BTreeMap<u16, bool>,
        unit: (),
    }

    fn everything() -> Everything {
        Everything {
            title: "Milk".into(),
            body: "two litres".into(),
            votes: Counter(-3),
            at: Timestamp(1_700_000_000_000),
            done: true,
            ratio: 0.5,
            small: 255,
            large: u64::MAX,
            nothing: None,
            something: Some(-1),
            letter: 'å',
            tags: vec!["a".into(), "b".into()],
            pair: (1, "one".into()),
            shapes: vec![Shape::Point, Shape::Circle(7), Shape::Box { width: 1, height: 2 }, Shape::Line(3, -4)],
            by_name: [("x".to_owned(), 1)].into(),
            by_number: [(7, true)].into(),
            unit: (),
        }
    }

    #[test]
    fn a_typed_value_reads_back_as_it_was_written() {
        let value = to_value(&everything()).unwrap();
        assert_eq!(from_value::<Everything>(&value).unwrap(), everything());
    }

    #[test]
    fn the_newtypes_choose_the_kind() {
        let value = to_value(&everything()).unwrap();
        assert_eq!(value.get("title"), Some(&Value::Str("Milk".into())));
        assert_eq!(value.get("body"), Some(&Value::Text("two litres".into())));
        assert_eq!(value.get("votes"), Some(&Value::Counter(-3)));
        assert_eq!(value.get("at"), Some(&Value::Timestamp(1_700_000_000_000)));
        assert_eq!(value.get("small"), Some(&Value::Int(255)));
        assert_eq!(value.get("large"), Some(&Value::Uint(u64::MAX)));
        assert_eq!(serde_json::to_string(&Text::from("plain")).unwrap(), "\"plain\"");
    }

    #[test]
    fn a_document_of_another_shape_is_refused_with_a_reason() {
        let error = from_value::<Everything>(&Value::from([("title", Value::Int(1))])).unwrap_err();
        assert!(error.to_string().contains("expected a string"), "{error}");
        assert!(to_value(&[(vec![1], 2)].into_iter().collect::<BTreeMap<_, _>>()).is_err());
        assert!(to_value(&u128::MAX).is_err());
    }

    #[test]
    fn unknown_fields_are_left_to_newer_versions() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Title {
            title: String,
        }
        let value = to_value(&everything()).unwrap();
        assert_eq!(from_value::<Title>(&value).unwrap(), Title { title: "Milk".into() });
    }
}
