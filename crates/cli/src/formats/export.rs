//! Rows into text: the same formats that an import reads, byte for byte the same for the same rows.

use super::column::float_text;
use super::csv_text::write_cell;
use super::typed::{Fields, Typed, timestamp_text};
use super::{Format, excerpt};
use crate::exit::{Exit, Failure};
use crate::limits::{COLUMNS_MAX, READ_BUFFER_BYTES};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// The format.
    pub format: Format,
    /// The columns of CSV, in this order; none stands for all there are, by name. For JSON: the fields, in this order.
    pub columns: Option<Vec<String>>,
    /// The byte between two CSV cells.
    pub delimiter: u8,
    /// Whether JSON keeps the types that it lacks, in the tagged form.
    pub tagged: bool,
}

/// Where an export goes.
pub struct Target {
    out: Box<dyn Write + Send>,
    name: String,
    file: Option<(tempfile::NamedTempFile, PathBuf)>,
}

impl Target {
    /// Any writer, such as standard output.
    pub fn writer(out: impl Write + Send + 'static, name: &str) -> Self {
        Target { out: Box::new(BufWriter::with_capacity(READ_BUFFER_BYTES, out)), name: name.to_owned(), file: None }
    }

    /// A file, which appears under its name only when it is complete; compressed if the name ends in `.gz`.
    ///
    /// Errors: the directory cannot be written.
    pub fn file(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let failed = |error: io::Error| Failure::io(format_args!("write {name}"), &error);
        let file = tempfile::Builder::new().prefix(".farshore-export-").tempfile_in(directory).map_err(failed)?;
        let handle = file.as_file().try_clone().map_err(failed)?;
        let out = BufWriter::with_capacity(READ_BUFFER_BYTES, handle);
        let out: Box<dyn Write + Send> = if path.extension().is_some_and(|extension| extension == "gz") {
            Box::new(Packed(Some(GzEncoder::new(out, Compression::default()))))
        } else {
            Box::new(out)
        };
        Ok(Target { out, name, file: Some((file, path.to_owned())) })
    }

    fn failed(&self, error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::new(Exit::Ok, "the reader of the output has gone away"); // as `… | head` does
        }
        Failure::io(format_args!("write {}", self.name), error)
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| self.failed(&error))?;
        let Some((file, path)) = self.file.take() else { return Ok(()) };
        file.as_file().sync_all().map_err(|error| self.failed(&error))?;
        readable_as_new_files_are(file.as_file()).map_err(|error| self.failed(&error))?;
        file.persist(&path).map_err(|error| self.failed(&error.error))?;
        Ok(())
    }
}

/// A temporary file is readable by its owner only; an export is an ordinary file, so it follows the umask.
fn readable_as_new_files_are(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let probe = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o666)).tempfile()?;
    file.set_permissions(probe.as_file().metadata()?.permissions())
}

/// A gzip stream whose end is written by the flush that ends an export.
struct Packed<W: Write>(Option<GzEncoder<W>>);

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Some(encoder) => encoder.write(bytes),
            None => Err(io::Error::other("the export was ended already")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.take() {
            Some(encoder) => encoder.finish()?.flush(),
            None => Ok(()),
        }
    }
}

/// Writes rows one by one.
///
/// Cost: JSON is written as it comes. CSV without declared columns is kept in a temporary file first, because the
/// header needs the names of all fields.
pub struct Exporter {
    target: Target,
    options: ExportOptions,
    rows: u64,
    spool: Option<Spool>,
    line: Vec<u8>,
}

struct Spool {
    file: BufWriter<File>,
    columns: BTreeSet<String>,
}

impl Exporter {
    /// Begins an export.
    ///
    /// Errors: the target cannot be written; no temporary file.
    pub fn new(target: Target, options: ExportOptions) -> Result<Self, Failure> {
        let mut exporter = Exporter { target, options, rows: 0, spool: None, line: Vec::new() };
        match (exporter.options.format, &exporter.options.columns) {
            (Format::Csv, None) => {
                let file = tempfile::tempfile().map_err(|error| spool_failure(&error))?;
                exporter.spool = Some(Spool { file: BufWriter::new(file), columns: BTreeSet::new() });
            }
            (Format::Csv, Some(columns)) => {
                let columns = columns.clone();
                exporter.write_header(&columns)?;
            }
            (Format::Json, _) => exporter.write(b"[")?,
            (Format::Ndjson, _) => {}
        }
        Ok(exporter)
    }

    /// Writes one row.
    ///
    /// Errors: the target cannot be written; more columns than CSV may have.
    pub fn row(&mut self, fields: &Fields) -> Result<(), Failure> {
        self.rows += 1;
        match (self.options.format, &mut self.spool) {
            (Format::Csv, Some(spool)) => spool.keep(fields),
            (Format::Csv, None) => {
                let columns = self.options.columns.take().unwrap_or_default();
                let written = self.write_record(&columns, fields);
                self.options.columns = Some(columns);
                written
            }
            (Format::Ndjson, _) => {
                self.put_json(fields);
                self.line.push(b'\n');
                self.write_line()
            }
            (Format::Json, _) => {
                self.line.extend_from_slice(if self.rows == 1 { b"\n" } else { b",\n" });
                self.put_json(fields);
                self.write_line()
            }
        }
    }

    /// Ends the export and gives the number of rows. A file appears under its name now.
    ///
    /// Errors: the target cannot be written.
    pub fn finish(mut self) -> Result<u64, Failure> {
        if let Some(spool) = self.spool.take() {
            let columns: Vec<String> = spool.columns.iter().cloned().collect();
            if self.rows > 0 {
                self.write_header(&columns)?;
            }
            let mut rows = spool.rows()?;
            while let Some(fields) = rows.next_row()? {
                self.write_record(&columns, &fields)?;
            }
        }
        if self.options.format == Format::Json {
            self.write(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        self.target.finish()?;
        Ok(self.rows)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.target.out.write_all(bytes).map_err(|error| self.target.failed(&error))
    }

    fn write_line(&mut self) -> Result<(), Failure> {
        let written = self.target.out.write_all(&self.line).map_err(|error| self.target.failed(&error));
        self.line.clear();
        written
    }

    fn put_json(&mut self, fields: &Fields) {
        let chosen: Fields = match &self.options.columns {
            None => fields.clone(),
            Some(columns) => {
                columns.iter().filter_map(|column| fields.iter().find(|(name, _)| name == column)).cloned().collect()
            }
        };
        let json = if self.options.tagged { Typed::Map(chosen).to_tagged() } else { Typed::Map(chosen).to_json() };
        self.line.extend_from_slice(json.to_string().as_bytes());
    }

    fn write_header(&mut self, columns: &[String]) -> Result<(), Failure> {
        if columns.len() > COLUMNS_MAX {
            return Err(Failure::new(Exit::Data, format!("the documents have more than {COLUMNS_MAX} fields in all"))
                .remedy("choose some with --columns, or export NDJSON"));
        }
        let names: Fields = columns.iter().map(|name| (name.clone(), Typed::String(name.clone()))).collect();
        self.write_record(columns, &names)
    }

    fn write_record(&mut self, columns: &[String], fields: &Fields) -> Result<(), Failure> {
        let by_name: BTreeMap<&str, &Typed> = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                self.line.push(self.options.delimiter);
            }
            let cell = by_name.get(column.as_str()).map_or_else(String::new, |value| cell_text(value));
            write_cell(&cell, self.options.delimiter, columns.len() == 1, &mut self.line);
        }
        self.line.push(b'\n');
        self.write_line()
    }
}

impl Spool {
    fn keep(&mut self, fields: &Fields) -> Result<(), Failure> {
        for (name, _) in fields {
            if !self.columns.contains(name) {
                if self.columns.len() >= COLUMNS_MAX {
                    return Err(Failure::new(
                        Exit::Data,
                        format!("the documents have more than {COLUMNS_MAX} fields in all; one is {:?}", excerpt(name)),
                    )
                    .remedy("choose some with --columns, or export NDJSON"));
                }
                self.columns.insert(name.clone());
            }
        }
        // As pairs: a map with a single field could be taken for a tag.
        serde_json::to_writer(&mut self.file, fields).map_err(|error| spool_failure(&error.into()))?;
        self.file.write_all(b"\n").map_err(|error| spool_failure(&error))
    }

    fn rows(self) -> Result<SpooledRows, Failure> {
        let mut file = self.file.into_inner().map_err(|error| spool_failure(error.error()))?;
        file.seek(SeekFrom::Start(0)).map_err(|error| spool_failure(&error))?;
        Ok(SpooledRows { file: BufReader::with_capacity(READ_BUFFER_BYTES, file), line: String::new() })
    }
}

struct SpooledRows {
    file: BufReader<File>,
    line: String,
}

impl SpooledRows {
    fn next_row(&mut self) -> Result<Option<Fields>, Failure> {
        self.line.clear();
        if self.file.read_line(&mut self.line).map_err(|error| spool_failure(&error))? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&self.line).map(Some).map_err(|error| spool_failure(&error.into()))
    }
}

fn spool_failure(error: &io::Error) -> Failure {
    let directory = std::env::temp_dir();
    Failure::io(format_args!("keep the rows in {} until the header is known", directory.display()), error)
        .remedy("name the columns with --columns: then no temporary file is needed")
}

/// A value as one CSV cell. Null and a missing field are an empty cell; lists and maps are JSON.
fn cell_text(value: &Typed) -> String {
    match value {
        Typed::Null => String::new(),
        Typed::Bool(value) => value.to_string(),
        Typed::Int(value) | Typed::Counter(value) => value.to_string(),
        Typed::Uint(value) => value.to_string(),
        Typed::Float(value) => float_text(*value),
        Typed::String(text) | Typed::Text(text) => text.clone(),
        Typed::Timestamp(ms) => timestamp_text(*ms).unwrap_or_else(|| ms.to_string()),
        Typed::Bytes(_) => match value.to_json() {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        },
        Typed::List(_) | Typed::Map(_) => value.to_json().to_string(),
    }
}
