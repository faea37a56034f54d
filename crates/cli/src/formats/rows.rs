//! From the text of a source to rows: the one place where a format becomes fields.

use super::column::ColumnType;
use super::csv_text::{CsvReader, Record};
use super::json_text::{self, Broken, Elements, Lines, Piece};
use super::source::{Position, Source};
use super::typed::{Fields, Typed};
use super::{Checked, Empty, Format, ImportOptions, excerpt, invalid_utf8, key_missing_in_header, key_text};
use crate::exit::Failure;
use crate::limits::ROW_LIMIT_BYTES;
use serde::{Deserialize, Serialize};
use std::io::BufRead;
use std::sync::atomic::Ordering;

/// One good row of an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The document's key, if the import has one: a string as it is, an integer in decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The fields in the order of the file, the key among them.
    pub fields: Fields,
}

/// How rows become fields, once the header is known and the types are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) options: ImportOptions,
    /// The columns of a CSV file; empty for JSON.
    pub(super) columns: Vec<String>,
    /// Their types; `None` while they are being inferred.
    pub(super) types: Vec<Option<ColumnType>>,
    key_column: Option<usize>,
}

/// A row as the reader found it: good, or wrong for a reason.
pub(super) struct Found {
    pub(super) line: u64,
    pub(super) row: Result<Row, String>,
}

enum Text {
    Csv(CsvReader, Record),
    Ndjson(Lines, Piece),
    Json(Elements, Piece),
}

/// Reads all rows of a source, good and bad.
pub(super) struct RowReader<'a> {
    source: &'a Source,
    input: Box<dyn BufRead + Send>,
    position: Position,
    text: Text,
    pub(super) layout: Layout,
}

impl<'a> RowReader<'a> {
    /// Begins at the start, reading the header of a CSV file.
    ///
    /// Errors: unreadable; a header that cannot be used; `--key` or `--types` naming what it lacks.
    pub(super) fn open(source: &'a Source, options: &ImportOptions) -> Result<Self, Failure> {
        let (input, position) = source.read()?;
        let text = match options.format {
            Format::Csv => Text::Csv(CsvReader::new(options.delimiter), Record::default()),
            Format::Ndjson => Text::Ndjson(Lines::new(), Piece::default()),
            Format::Json => Text::Json(Elements::new(), Piece::default()),
        };
        let layout = Layout { options: options.clone(), columns: Vec::new(), types: Vec::new(), key_column: None };
        let mut reader = RowReader { source, input, position, text, layout };
        reader.read_header()?;
        Ok(reader)
    }

    /// How many bytes of the source have been read.
    pub(super) fn position_bytes(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// The cells of the CSV record that the last row came from.
    pub(super) fn record(&self) -> Option<&Record> {
        match &self.text {
            Text::Csv(_, record) => Some(record),
            _ => None,
        }
    }

    /// The next row; `None` at the end.
    ///
    /// Errors: only what ends the reading: a failed read, or text that cannot be divided into rows any more.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Failure> {
        let input = self.input.as_mut();
        let found = match &mut self.text {
            Text::Csv(reader, record) => reader
                .next(input, record)
                .map(|more| more.then(|| Found { line: record.line, row: self.layout.csv_row(record) })),
            Text::Ndjson(lines, piece) => lines
                .next(input, piece)
                .map(|more| more.then(|| Found { line: piece.line, row: self.layout.json_row(piece) })),
            Text::Json(elements, piece) => elements
                .next(input, piece)
                .map(|more| more.then(|| Found { line: piece.line, row: self.layout.json_row(piece) })),
        };
        found.map_err(|broken| self.broken(broken))
    }

    fn broken(&self, broken: Broken) -> Failure {
        match broken {
            Broken::Io(error) => self.source.unreadable(&error),
            Broken::At { line, message } => Failure::data(format!("{}, line {line}: {message}", self.source.name()))
                .remedy("what follows cannot be divided into rows, so not even --skip-bad helps: mend the file"),
        }
    }

    fn read_header(&mut self) -> Result<(), Failure> {
        let Text::Csv(reader, record) = &mut self.text else { return Ok(()) };
        let name = self.source.name();
        let more = match reader.next(self.input.as_mut(), record) {
            Ok(more) => more,
            Err(broken) => return Err(self.broken(broken)),
        };
        if !more {
            return Err(Failure::data(format!("{name} is empty; a CSV file begins with the names of its columns")));
        }
        let wrong = |what: String| Failure::data(format!("{name}, line {}: the header {what}", record.line));
        if let Some(problem) = &record.problem {
            return Err(wrong(problem.clone()));
        }
        let mut columns: Vec<String> = Vec::with_capacity(record.len());
        for (index, cell) in record.cells().enumerate() {
            let text = std::str::from_utf8(cell).map_err(|error| wrong(invalid_utf8(error.valid_up_to())))?;
            if text.is_empty() {
                return Err(wrong(format!("has no name for column {}", index + 1))
                    .remedy("give it a name in the file's first line"));
            }
            if let Some(earlier) = columns.iter().position(|column| column == text) {
                return Err(wrong(format!("names columns {} and {} both {:?}", earlier + 1, index + 1, excerpt(text)))
                    .remedy("a field has one value: rename one of the columns"));
            }
            columns.push(text.to_owned());
        }
        let options = &self.layout.options;
        if let Some(key) = &options.key {
            let at = columns.iter().position(|column| column == key);
            self.layout.key_column = Some(at.ok_or_else(|| key_missing_in_header(key, &columns))?);
        }
        options.types.check_names(&columns)?;
        self.layout.types = columns.iter().map(|column| options.types.get(column)).collect();
        self.layout.columns = columns;
        Ok(())
    }
}

impl Layout {
    pub(super) fn is_key(&self, column: usize) -> bool {
        self.key_column == Some(column)
    }

    fn csv_row(&self, record: &Record) -> Result<Row, String> {
        if let Some(problem) = &record.problem {
            return Err(problem.clone());
        }
        if record.len() != self.columns.len() {
            return Err(format!("has {} cells where the header has {}", record.len(), self.columns.len()));
        }
        let mut fields = Fields::with_capacity(self.columns.len());
        let mut key = None;
        for (index, (column, cell)) in self.columns.iter().zip(record.cells()).enumerate() {
            let cell = std::str::from_utf8(cell)
                .map_err(|error| format!("column {:?} {}", excerpt(column), invalid_utf8_cell(error.valid_up_to())))?;
            let value = match self.cell(index, cell) {
                Ok(value) => value,
                Err(what) => return Err(format!("column {:?}: {:?} {what}", excerpt(column), excerpt(cell))),
            };
            if self.is_key(index) {
                key = Some(key_text(value.as_ref().unwrap_or(&Typed::Null))?);
            }
            if let Some(value) = value {
                fields.push((column.clone(), value));
            }
        }
        Ok(Row { line: record.line, key, fields })
    }

    /// The value of one cell; `None` if the field is left out.
    fn cell(&self, column: usize, cell: &str) -> Result<Option<Typed>, String> {
        if cell.is_empty() {
            match self.options.empty {
                Empty::Null => return Ok(Some(Typed::Null)),
                Empty::Skip => return Ok(None),
                Empty::String => {}
            }
        }
        let kind = self.types.get(column).copied().flatten().unwrap_or(ColumnType::String);
        kind.parse(cell).map(Some)
    }

    fn json_row(&self, piece: &Piece) -> Result<Row, String> {
        if piece.too_long {
            return Err(format!("is longer than {ROW_LIMIT_BYTES} bytes"));
        }
        let mut fields = json_text::object(&piece.text, self.options.tagged).map_err(|error| match error.line {
            1 => error.to_string(),
            inner => format!("line {}: {error}", piece.line + inner - 1),
        })?;
        for (name, value) in &mut fields {
            if let Some(kind) = self.options.types.get(name) {
                let taken = std::mem::replace(value, Typed::Null);
                *value = kind.coerce(taken).map_err(|what| format!("field {:?} {what}", excerpt(name)))?;
            }
        }
        let key = match &self.options.key {
            None => None,
            Some(name) => {
                let value = fields.iter().find(|(field, _)| field == name).map_or(&Typed::Null, |(_, value)| value);
                Some(key_text(value)?)
            }
        };
        Ok(Row { line: piece.line, key, fields })
    }
}

fn invalid_utf8_cell(at_byte: usize) -> String {
    format!("is not UTF-8 (byte {} of the cell)", at_byte + 1)
}

/// The good rows of a source that was checked: the second phase of an import.
pub struct Rows<'a> {
    reader: RowReader<'a>,
    bad: std::iter::Peekable<std::slice::Iter<'a, u64>>,
    ordinal: u64,
}

impl<'a> Rows<'a> {
    /// Begins to read the rows that `checked` found good.
    ///
    /// Errors: the source cannot be read again, or has changed.
    pub fn open(source: &'a Source, checked: &'a Checked) -> Result<Self, Failure> {
        let mut reader = RowReader::open(source, &checked.layout.options)?;
        if reader.layout.columns != checked.layout.columns {
            return Err(source.changed());
        }
        reader.layout.types.clone_from(&checked.layout.types);
        Ok(Rows { reader, bad: checked.bad.iter().peekable(), ordinal: 0 })
    }

    /// The next good row; `None` at the end.
    ///
    /// Errors: a failed read; a source that is no longer what was checked.
    pub fn next_row(&mut self) -> Result<Option<Row>, Failure> {
        while let Some(found) = self.reader.next()? {
            let ordinal = self.ordinal;
            self.ordinal += 1;
            if self.bad.next_if(|bad| **bad == ordinal).is_some() {
                continue;
            }
            return found.row.map(Some).map_err(|_| self.reader.source.changed());
        }
        Ok(None)
    }
}
