//! The first phase of an import: every row is looked at, nothing is stored.

use super::column::{ColumnType, Inference};
use super::rows::{Layout, RowReader};
use super::source::Source;
use super::{Format, ImportOptions, excerpt};
use crate::exit::Failure;
use crate::limits::{KEYED_ROWS_MAX, PROBLEMS_SHOWN_MAX, PROGRESS_EVERY_ROWS};
use serde::Serialize;
use std::fmt;

/// What is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line on which the row begins, from 1.
    pub line: u64,
    /// What is wrong, as the rest of a sentence that begins with "the row".
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// What a check found, and how the good rows are to be read.
#[derive(Debug)]
pub struct Checked {
    /// Rows that can be imported.
    pub good_rows: u64,
    /// Rows that cannot.
    pub bad_rows: u64,
    /// The first of them, by line; at most [`PROBLEMS_SHOWN_MAX`].
    pub problems: Vec<Problem>,
    /// Which rows are bad, counted from 0, ascending.
    pub(super) bad: Vec<u64>,
    pub(super) layout: Layout,
}

impl Checked {
    /// The columns of a CSV file with their types, declared or inferred; empty for JSON.
    pub fn columns(&self) -> Vec<(&str, ColumnType)> {
        let types = self.layout.types.iter().map(|kind| kind.unwrap_or(ColumnType::String));
        self.layout.columns.iter().map(String::as_str).zip(types).collect()
    }

    /// Everything wrong in one failure, for an import that must not skip; `None` if all rows are good.
    pub fn failure(&self, source: &Source) -> Option<Failure> {
        if self.bad_rows == 0 {
            return None;
        }
        let rows = self.bad_rows + self.good_rows;
        let mut message =
            format!("{} of {rows} rows of {} cannot be imported, so none was:", self.bad_rows, source.name());
        for problem in &self.problems {
            message.push_str(&format!("\n  {problem}"));
        }
        let unnamed = self.bad_rows - self.problems.len() as u64;
        if unnamed > 0 {
            message.push_str(&format!("\n  and {unnamed} more"));
        }
        Some(Failure::data(message).remedy("mend the rows, or import the others with --skip-bad"))
    }
}

/// A key that a good row has: 32 bytes.
struct KeySeen {
    /// Enough of blake3 that no two keys of a file share it by chance.
    hash: u128,
    ordinal: u64,
    line: u64,
}

#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    bad: Vec<u64>,
}

impl Findings {
    fn add(&mut self, ordinal: u64, line: u64, message: String) {
        self.bad.push(ordinal);
        if self.problems.len() < PROBLEMS_SHOWN_MAX {
            self.problems.push(Problem { line, message });
        }
    }
}

/// Reads the whole source and tells what an import of it would meet. `progress` gets the rows and bytes so far.
///
/// Errors: the source cannot be read or divided into rows, or the options name what it does not have. Malformed rows
/// are not an error here; they are in the result.
///
/// Cost: one pass; with a key 32 bytes of memory for each row.
pub fn check(source: &Source, options: &ImportOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<Checked, Failure> {
    let mut reader = RowReader::open(source, options)?;
    let mut inferred: Vec<Inference> = vec![Inference::default(); reader.layout.columns.len()];
    let mut findings = Findings::default();
    let mut keys: Vec<KeySeen> = Vec::new();
    let mut ordinal = 0;
    while let Some(found) = reader.next()? {
        match found.row {
            Err(problem) => findings.add(ordinal, found.line, problem),
            Ok(row) => {
                if let Some(key) = row.key {
                    if keys.len() >= KEYED_ROWS_MAX {
                        return Err(Failure::data(format!(
                            "{} has more than {KEYED_ROWS_MAX} rows, the limit for comparing keys in memory",
                            source.name()
                        ))
                        .remedy("divide the file"));
                    }
                    keys.push(KeySeen { hash: hash(&key), ordinal, line: row.line });
                }
                infer(&reader, &mut inferred);
            }
        }
        ordinal += 1;
        if ordinal % PROGRESS_EVERY_ROWS == 0 {
            progress(ordinal, reader.position_bytes());
        }
    }
    progress(ordinal, reader.position_bytes());
    add_duplicates(keys, options, &mut findings);
    let mut layout = reader.layout;
    settle_types(&mut layout, &inferred);
    let bad_rows = findings.bad.len() as u64;
    Ok(Checked { good_rows: ordinal - bad_rows, bad_rows, problems: findings.problems, bad: findings.bad, layout })
}

fn infer(reader: &RowReader<'_>, inferred: &mut [Inference]) {
    let Some(record) = reader.record() else { return };
    let empty_counts = reader.layout.options.empty == super::Empty::String;
    for (index, column) in inferred.iter_mut().enumerate() {
        // The row was good, so its cells are UTF-8.
        if let (None, Ok(cell)) = (reader.layout.types[index], std::str::from_utf8(record.cell(index)))
            && (empty_counts || !cell.is_empty())
        {
            column.see(cell);
        }
    }
}

fn settle_types(layout: &mut Layout, inferred: &[Inference]) {
    if layout.options.format != Format::Csv {
        return;
    }
    for (index, column) in inferred.iter().enumerate() {
        if layout.types[index].is_none() {
            let kind = match column.result() {
                // A key is a string or an integer: "1.5" and "true" are keys as they are written.
                ColumnType::Float | ColumnType::Number | ColumnType::Bool if layout.is_key(index) => ColumnType::String,
                kind => kind,
            };
            layout.types[index] = Some(kind);
        }
    }
}

fn hash(key: &str) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
    u128::from_le_bytes(bytes)
}

/// Adds every row whose key an earlier good row has.
fn add_duplicates(mut keys: Vec<KeySeen>, options: &ImportOptions, findings: &mut Findings) {
    keys.sort_unstable_by_key(|key| (key.hash, key.ordinal));
    let mut duplicates: Vec<(u64, u64, u64)> = Vec::new();
    for same in keys.chunk_by(|a, b| a.hash == b.hash) {
        let (first, others) = (&same[0], &same[1..]);
        duplicates.extend(others.iter().map(|other| (other.ordinal, other.line, first.line)));
    }
    if duplicates.is_empty() {
        return;
    }
    duplicates.sort_unstable();
    findings.bad.extend(duplicates.iter().map(|(ordinal, _, _)| *ordinal));
    findings.bad.sort_unstable();
    let column = excerpt(options.key.as_deref().unwrap_or_default());
    let shown = duplicates.iter().take(PROBLEMS_SHOWN_MAX);
    findings.problems.extend(shown.map(|(_, line, first)| Problem {
        line: *line,
        message: format!("has the same {column:?} as the row on line {first}"),
    }));
    findings.problems.sort_by_key(|problem| problem.line);
    findings.problems.truncate(PROBLEMS_SHOWN_MAX);
}
