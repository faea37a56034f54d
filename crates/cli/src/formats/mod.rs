//! NDJSON, JSON arrays and CSV, read and written as a stream of rows.
//!
//! Importing has two phases. [`check`] reads the whole input once: it finds every malformed row with its line, infers
//! the types of CSV columns, and compares the keys. [`Rows`] then reads it again and hands out the good rows. So a
//! file with one bad row imports nothing, unless the person chose to skip bad rows. Neither phase holds more than one
//! row in memory, apart from 32 bytes for each key.

mod check;
mod column;
mod csv_text;
mod export;
mod json_text;
mod rows;
mod source;
mod typed;

pub use check::{Checked, Problem, check};
pub use column::{ColumnType, Types};
pub use export::{ExportOptions, Exporter, Target};
pub use rows::{Row, Rows};
pub use source::Source;
pub use typed::{Fields, Typed};

use crate::exit::Failure;
use crate::limits::EXCERPT_CHARS;
use std::fmt;
use std::path::Path;

/// A file format of import and export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object per line.
    Ndjson,
    /// One JSON array of objects.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

impl Format {
    /// The format that a file name says, with or without `.gz`.
    pub fn of_path(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "csv" | "tsv" => Some(Format::Csv),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Ndjson => "NDJSON",
            Format::Json => "JSON",
            Format::Csv => "CSV",
        })
    }
}

/// What an empty CSV cell means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Empty {
    /// Null.
    #[default]
    Null,
    /// The empty string; a column of numbers with empty cells is then a column of strings.
    String,
    /// The document does not get the field.
    Skip,
}

/// How an input is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// The format.
    pub format: Format,
    /// Declared types, by column or top-level field.
    pub types: Types,
    /// What an empty CSV cell means.
    pub empty: Empty,
    /// The column or top-level field that is the document's key.
    pub key: Option<String>,
    /// The byte between two CSV cells.
    pub delimiter: u8,
    /// Whether JSON values are in the tagged form, as `export --tagged` writes it.
    pub tagged: bool,
}

impl ImportOptions {
    /// The defaults for a format: inferred types, empty is null, no key, commas.
    pub fn new(format: Format) -> Self {
        ImportOptions {
            format,
            types: Types::default(),
            empty: Empty::default(),
            key: None,
            delimiter: b',',
            tagged: false,
        }
    }
}

/// Reads one plain JSON value, such as from the command line.
///
/// Errors: what of it is not JSON, or would lose digits.
pub fn parse_json(text: &str) -> Result<Typed, String> {
    json_text::value(text.as_bytes(), false).map_err(|error| error.to_string())
}

/// A few names for a message, quoted.
fn list_names(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{:?}", excerpt(name))).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

/// The beginning of something that may be long.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The text of a key, as it stands in a message and as it is hashed: a string as it is, an integer in decimal.
fn key_text(value: &Typed) -> Result<String, &'static str> {
    match value {
        Typed::String(text) | Typed::Text(text) if !text.is_empty() => Ok(text.clone()),
        Typed::Int(value) => Ok(value.to_string()),
        Typed::Uint(value) => Ok(value.to_string()),
        Typed::Null | Typed::String(_) | Typed::Text(_) => Err("has no key"),
        _ => Err("has a key that is neither a string nor an integer"),
    }
}

fn invalid_utf8(at_byte: usize) -> String {
    format!("is not UTF-8 (byte {} of the row)", at_byte + 1)
}

fn key_missing_in_header(key: &str, columns: &[String]) -> Failure {
    let failure = Failure::usage(format!("--key names a column {key:?} that the file does not have"));
    match columns {
        [only] if only.contains([';', '\t', '|']) => failure.remedy(format!(
            "its header is a single column, {:?}: set --delimiter to the character between them",
            excerpt(only)
        )),
        _ => failure.remedy(format!("it has {}", list_names(columns))),
    }
}
