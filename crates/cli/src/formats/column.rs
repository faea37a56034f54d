//! The types of columns: declared on the command line, or inferred strictly, so that no value loses a digit.

use super::typed::Typed;
use crate::exit::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What the values of a column, or of a top-level field of JSON, are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Text that is replaced as a whole.
    String,
    /// Text for concurrent editing.
    Text,
    /// An integer of 64 bits.
    Int,
    /// A number, always as a float.
    Float,
    /// An integer where it is written as one, and a float otherwise.
    Number,
    /// `true` or `false`, also `1` and `0`.
    Bool,
    /// A counter.
    Counter,
    /// RFC 3339, or milliseconds since 1970.
    Timestamp,
    /// Base64.
    Bytes,
    /// JSON text: lists, maps, anything.
    Json,
}

impl ColumnType {
    const NAMES: [(&'static str, ColumnType); 10] = [
        ("string", ColumnType::String),
        ("text", ColumnType::Text),
        ("int", ColumnType::Int),
        ("float", ColumnType::Float),
        ("number", ColumnType::Number),
        ("bool", ColumnType::Bool),
        ("counter", ColumnType::Counter),
        ("timestamp", ColumnType::Timestamp),
        ("bytes", ColumnType::Bytes),
        ("json", ColumnType::Json),
    ];

    /// Reads one cell as this type.
    ///
    /// Errors: what the cell should have been, for the message of its row.
    pub fn parse(self, cell: &str) -> Result<Typed, String> {
        let wrong = |what: &str| Err(format!("is not {what}"));
        match self {
            ColumnType::String => Ok(Typed::String(cell.to_owned())),
            ColumnType::Text => Ok(Typed::Text(cell.to_owned())),
            ColumnType::Int => integer(cell).map_or_else(|| wrong("an integer of 64 bits"), Ok),
            ColumnType::Float => match cell.parse::<f64>() {
                // Rust reads "nan" and "inf" too; a file that holds them means a missing value.
                Ok(value) if value.is_finite() => Ok(Typed::Float(value)),
                _ => wrong("a number"),
            },
            ColumnType::Number => integer(cell).map_or_else(|| ColumnType::Float.parse(cell), Ok),
            ColumnType::Bool => match cell {
                "true" | "True" | "TRUE" | "1" => Ok(Typed::Bool(true)),
                "false" | "False" | "FALSE" | "0" => Ok(Typed::Bool(false)),
                _ => wrong("true or false"),
            },
            ColumnType::Counter => cell
                .parse::<i64>()
                .map_or_else(|_| wrong("an integer of 64 bits, as a counter needs"), |value| Ok(Typed::Counter(value))),
            ColumnType::Timestamp => {
                timestamp(cell).map_or_else(|| wrong("a timestamp (2026-05-01T12:00:00Z, or milliseconds)"), Ok)
            }
            ColumnType::Bytes => BASE64.decode(cell).map_or_else(|_| wrong("base64"), |bytes| Ok(Typed::Bytes(bytes))),
            ColumnType::Json => {
                super::json_text::value(cell.as_bytes(), false).map_err(|error| format!("is not JSON: {error}"))
            }
        }
    }

    /// Turns a value that came as JSON into this type. Null stays null under every type.
    ///
    /// Errors: what the value should have been.
    pub fn coerce(self, value: Typed) -> Result<Typed, String> {
        match (self, value) {
            (_, Typed::Null) => Ok(Typed::Null),
            (ColumnType::Json, value) => Ok(value),
            (ColumnType::String, Typed::String(text) | Typed::Text(text)) => Ok(Typed::String(text)),
            (ColumnType::Text, Typed::String(text) | Typed::Text(text)) => Ok(Typed::Text(text)),
            (ColumnType::Int, value @ (Typed::Int(_) | Typed::Uint(_))) => Ok(value),
            (ColumnType::Float | ColumnType::Number, value @ Typed::Float(_)) => Ok(value),
            (ColumnType::Number, value @ (Typed::Int(_) | Typed::Uint(_))) => Ok(value),
            (ColumnType::Float, Typed::Int(value)) if value.unsigned_abs() <= EXACT_IN_FLOAT => {
                Ok(Typed::Float(value as f64))
            }
            (ColumnType::Bool, value @ Typed::Bool(_)) => Ok(value),
            (ColumnType::Counter, Typed::Int(value) | Typed::Counter(value)) => Ok(Typed::Counter(value)),
            (ColumnType::Timestamp, Typed::Int(ms) | Typed::Timestamp(ms)) => Ok(Typed::Timestamp(ms)),
            (ColumnType::Bytes, value @ Typed::Bytes(_)) => Ok(value),
            (ColumnType::Timestamp | ColumnType::Bytes, Typed::String(text)) => self.parse(&text),
            (_, value) => Err(format!("is {}, not {self}", value.kind())),
        }
    }
}

/// Integers up to 2^53 are floats without loss.
const EXACT_IN_FLOAT: u64 = 1 << 53;

fn integer(cell: &str) -> Option<Typed> {
    match cell.parse::<i64>() {
        Ok(value) => Some(Typed::Int(value)),
        Err(_) => cell.parse::<u64>().ok().map(Typed::Uint),
    }
}

fn timestamp(cell: &str) -> Option<Typed> {
    if let Ok(ms) = cell.parse::<i64>() {
        return Some(Typed::Timestamp(ms));
    }
    cell.parse::<jiff::Timestamp>().ok().map(|time| Typed::Timestamp(time.as_millisecond()))
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ColumnType::NAMES.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ColumnType::NAMES.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<&str> = ColumnType::NAMES.iter().map(|(name, _)| *name).collect();
            format!("there is no column type {text:?}; there are {}", names.join(", "))
        })
    }
}

/// The declared types, by column or field name: `icao:string,elevation:int`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Types {
    by_name: BTreeMap<String, ColumnType>,
}

impl Types {
    /// The declared type of a column.
    pub fn get(&self, name: &str) -> Option<ColumnType> {
        self.by_name.get(name).copied()
    }

    /// Refuses a declaration for a column that is not among `columns`: it is a slip of the finger more often than not.
    ///
    /// Errors: usage, naming the columns that exist.
    pub fn check_names(&self, columns: &[String]) -> Result<(), Failure> {
        match self.by_name.keys().find(|name| !columns.contains(name)) {
            Some(name) => Err(Failure::usage(format!("--types names a column {name:?} that the file does not have"))
                .remedy(format!("it has {}", super::list_names(columns)))),
            None => Ok(()),
        }
    }
}

impl FromStr for Types {
    type Err = String;

    /// Reads `name:type,name:type`. A name may hold colons; the last one divides.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut types = Types::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, kind) = part
                .rsplit_once(':')
                .ok_or_else(|| format!("{part:?} has no type; write {part}:string, for example"))?;
            if name.is_empty() {
                return Err(format!("{part:?} has no column name before the colon"));
            }
            if types.by_name.insert(name.to_owned(), kind.parse()?).is_some() {
                return Err(format!("the column {name:?} is declared twice"));
            }
        }
        Ok(types)
    }
}

/// What all values of one column have in common so far.
///
/// A column is narrowed only where writing the value again gives the same characters: `00123`, `+5`, `1.50` and
/// integers beyond 64 bits keep a column a string, so that no article number loses its zeros. Integers among floats
/// stay integers, as they do in JSON.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inference {
    ints: bool,
    floats: bool,
    bools: bool,
    others: bool,
}

impl Inference {
    /// Takes one more value that is not empty (or is, where empty stands for a string).
    pub(super) fn see(&mut self, cell: &str) {
        if self.others {
            return; // nothing can narrow it any more
        }
        if matches!(cell, "true" | "false") {
            self.bools = true;
        } else if is_canonical_int(cell) {
            self.ints = true;
        } else if is_canonical_float(cell) {
            self.floats = true;
        } else {
            self.others = true;
        }
    }

    /// The narrowest type that holds them all; string for a column without a value.
    pub(super) fn result(self) -> ColumnType {
        match self {
            Inference { others: true, .. } => ColumnType::String,
            Inference { bools: true, ints: false, floats: false, .. } => ColumnType::Bool,
            Inference { bools: false, ints: true, floats: false, .. } => ColumnType::Int,
            Inference { bools: false, ints: false, floats: true, .. } => ColumnType::Float,
            Inference { bools: false, ints: true, floats: true, .. } => ColumnType::Number,
            _ => ColumnType::String,
        }
    }
}

fn is_canonical_int(cell: &str) -> bool {
    match integer(cell) {
        Some(Typed::Int(value)) => value.to_string() == cell,
        Some(Typed::Uint(value)) => value.to_string() == cell,
        _ => false,
    }
}

fn is_canonical_float(cell: &str) -> bool {
    // The first character keeps "NaN" and "inf" out before the costly part.
    let numeric = cell.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'-');
    numeric && cell.parse::<f64>().is_ok_and(|value| value.is_finite() && float_text(value) == cell)
}

/// A float as CSV has it: the shortest digits that read back as the same number, and never those of an integer.
pub(super) fn float_text(value: f64) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infer(cells: &[&str]) -> ColumnType {
        let mut column = Inference::default();
        cells.iter().for_each(|cell| column.see(cell));
        column.result()
    }

    #[test]
    fn a_column_is_narrowed_only_where_no_character_is_lost() {
        assert_eq!(infer(&["0", "-5", "9223372036854775807"]), ColumnType::Int);
        assert_eq!(infer(&["18446744073709551615"]), ColumnType::Int);
        assert_eq!(infer(&["1", "00123"]), ColumnType::String);
        assert_eq!(infer(&["+5"]), ColumnType::String);
        assert_eq!(infer(&["-0"]), ColumnType::String);
        assert_eq!(infer(&[" 5"]), ColumnType::String);
        assert_eq!(infer(&["123456789012345678901234"]), ColumnType::String);
        assert_eq!(infer(&["66.0", "38.704022", "-0.0"]), ColumnType::Float);
        assert_eq!(infer(&["1", "38.704022"]), ColumnType::Number);
        assert_eq!(infer(&["1", "true", "1.5"]), ColumnType::String);
        assert_eq!(infer(&["1.10"]), ColumnType::String);
        assert_eq!(infer(&["1e5"]), ColumnType::String);
        assert_eq!(infer(&["NaN"]), ColumnType::String);
        assert_eq!(infer(&["inf"]), ColumnType::String);
        assert_eq!(infer(&["true", "false"]), ColumnType::Bool);
        assert_eq!(infer(&["true", "1"]), ColumnType::String);
        assert_eq!(infer(&["True"]), ColumnType::String);
        assert_eq!(infer(&[""]), ColumnType::String);
        assert_eq!(infer(&[]), ColumnType::String);
    }

    #[test]
    fn declared_types_accept_what_people_write_and_say_what_they_wanted() {
        assert_eq!(ColumnType::Int.parse("00123"), Ok(Typed::Int(123)));
        assert_eq!(ColumnType::Float.parse("1.50"), Ok(Typed::Float(1.5)));
        assert_eq!(ColumnType::Bool.parse("TRUE"), Ok(Typed::Bool(true)));
        assert_eq!(ColumnType::Timestamp.parse("1970-01-01T00:00:01.5Z"), Ok(Typed::Timestamp(1500)));
        assert_eq!(ColumnType::Timestamp.parse("1500"), Ok(Typed::Timestamp(1500)));
        assert_eq!(ColumnType::Json.parse("[1,{\"a\":null}]").unwrap().kind(), "a list");
        for (kind, cell) in [
            (ColumnType::Int, "12.5"),
            (ColumnType::Float, "nan"),
            (ColumnType::Float, "1,5"),
            (ColumnType::Bool, "yes"),
            (ColumnType::Counter, "18446744073709551615"),
            (ColumnType::Timestamp, "yesterday"),
            (ColumnType::Bytes, "!"),
            (ColumnType::Json, "{a:1}"),
        ] {
            assert!(kind.parse(cell).unwrap_err().starts_with("is not"), "{kind} accepted {cell}");
        }
    }

    #[test]
    fn a_wrong_declaration_is_explained() {
        assert!("a:string,b".parse::<Types>().unwrap_err().contains("\"b\" has no type"));
        assert!("a:numeric".parse::<Types>().unwrap_err().contains("there are string, text, int"));
        assert!("a:int,a:int".parse::<Types>().unwrap_err().contains("twice"));
        assert!(":int".parse::<Types>().unwrap_err().contains("no column name"));
        let types: Types = "geo:lat:float,b:json".parse().unwrap();
        assert_eq!(types.get("geo:lat"), Some(ColumnType::Float));
        let failure = types.check_names(&["b".to_owned()]).unwrap_err();
        assert!(failure.message.contains("geo:lat") && failure.remedy.unwrap().contains("\"b\""));
    }

    #[test]
    fn json_values_are_converted_only_where_nothing_is_lost() {
        assert_eq!(ColumnType::Text.coerce(Typed::String("a".into())), Ok(Typed::Text("a".into())));
        assert_eq!(ColumnType::Counter.coerce(Typed::Int(3)), Ok(Typed::Counter(3)));
        assert_eq!(ColumnType::Float.coerce(Typed::Int(3)), Ok(Typed::Float(3.0)));
        assert_eq!(ColumnType::Int.coerce(Typed::Null), Ok(Typed::Null));
        assert!(ColumnType::Float.coerce(Typed::Int(i64::MAX)).is_err());
        assert_eq!(ColumnType::Int.coerce(Typed::Float(3.5)).unwrap_err(), "is a number, not int");
        assert_eq!(ColumnType::String.coerce(Typed::Int(3)).unwrap_err(), "is an integer, not string");
    }
}
