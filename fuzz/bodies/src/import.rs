//! Files to import.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use farshore_cli::formats::{
    Checked, Empty, ExportOptions, Exporter, Format, ImportOptions, Row, Rows, Source, Target, Typed, Types, check,
};
use farshore_cli::limits::PROBLEMS_SHOWN_MAX;

use crate::Outcome;

/// Declared types of the inputs that have any: every kind, on the names that the seeds use.
const TYPES: &str = "a:int,b:float,c:text,d:counter,e:timestamp,f:bytes,g:json,h:bool,i:number,j:string";

/// The first byte picks format and options, the others are the file.
///
/// Checked: both phases agree on which rows are good. What is good is exported, imported again without a problem, and exported
/// to the same bytes. Where the types are told again, by tags or by declared columns, the values are the same, too.
pub fn import(data: &[u8]) -> Outcome {
    let Some((choice, text)) = data.split_first() else { return Outcome::Refused };
    let options = options(*choice);
    let Some((checked, rows)) = looked_at(text, &options) else { return Outcome::Refused };
    assert_eq!(checked.problems.len() as u64, checked.bad_rows.min(PROBLEMS_SHOWN_MAX as u64), "problems");
    if rows.is_empty() {
        return Outcome::Refused;
    }
    let columns = (options.format == Format::Csv)
        .then(|| checked.columns().into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>());
    let first = exported(&rows, &options, columns.clone());
    let plain = ImportOptions { types: Default::default(), key: None, ..options.clone() };
    let (again, read) = looked_at(&first, &plain).expect("an export is imported again");
    assert_eq!((again.bad_rows, read.len()), (0, rows.len()), "{:?}", again.problems);
    let second = exported(&read, &options, columns);
    assert!(first == second, "{} became {}", String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
    if options.tagged {
        assert!(rows.iter().map(|row| &row.fields).eq(read.iter().map(|row| &row.fields)), "{rows:?} became {read:?}");
    }
    if options.format == Format::Csv
        && let Some(types) = declared(&checked)
    {
        let (_, read) = looked_at(&first, &ImportOptions { types, ..plain }).expect("an export is imported again");
        assert_eq!(said(&rows), said(&read), "{}", String::from_utf8_lossy(&first));
    }
    Outcome::Accepted
}

/// The types of a file's columns, if they can be declared: by names without the characters that divide declarations.
fn declared(checked: &Checked) -> Option<Types> {
    let columns = checked.columns();
    let plain = |name: &str| !name.is_empty() && !name.contains([',', ':']);
    let all = columns.iter().all(|(name, _)| plain(name));
    let text: Vec<String> = columns.iter().map(|(name, kind)| format!("{name}:{kind}")).collect();
    all.then(|| text.join(",").parse().expect("these are names of types"))
}

/// What rows say, without what an empty cell stands for: null, nothing, or a text without characters.
fn said(rows: &[Row]) -> Vec<Vec<&(String, Typed)>> {
    let empty = |value: &Typed| match value {
        Typed::Null => true,
        Typed::String(text) | Typed::Text(text) => text.is_empty(),
        _ => false,
    };
    rows.iter().map(|row| row.fields.iter().filter(|(_, value)| !empty(value)).collect()).collect()
}

fn options(choice: u8) -> ImportOptions {
    let format = [Format::Ndjson, Format::Json, Format::Csv][usize::from(choice % 3)];
    let bit = |at: u8| ((choice / 3) >> at) & 1 == 1;
    let mut options = ImportOptions::new(format);
    options.empty = [Empty::Null, Empty::String, Empty::Skip][usize::from(choice / 3 % 3)];
    options.tagged = format != Format::Csv && bit(2);
    if format == Format::Csv && bit(3) {
        options.delimiter = b';';
    }
    if bit(4) {
        options.key = Some("a".to_owned());
    }
    if bit(5) {
        options.types = TYPES.parse().expect("the types are known");
    }
    options
}

/// Both phases; `None` where the file as a whole is refused.
fn looked_at(text: &[u8], options: &ImportOptions) -> Option<(Checked, Vec<Row>)> {
    let source = Source::spool(text, "input", 64 << 20).expect("it fits");
    let checked = check(&source, options, &mut |_, _| {}).ok()?;
    let mut rows = Rows::open(&source, &checked).expect("the second phase begins as the first did");
    let mut good = Vec::new();
    while let Some(row) = rows.next_row().expect("both phases agree") {
        assert!(row.key.is_some() == options.key.is_some() && row.line > 0);
        good.push(row);
    }
    assert_eq!(good.len() as u64, checked.good_rows);
    assert_eq!(checked.failure(&source).is_some(), checked.bad_rows > 0);
    Some((checked, good))
}

/// A writer whose bytes can be looked at afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn exported(rows: &[Row], options: &ImportOptions, columns: Option<Vec<String>>) -> Vec<u8> {
    let ImportOptions { format, delimiter, tagged, .. } = *options;
    let out = Shared::default();
    let to = Target::writer(out.clone(), "test");
    let mut exporter = Exporter::new(to, ExportOptions { format, columns, delimiter, tagged }).expect("it begins");
    rows.iter().for_each(|row| exporter.row(&row.fields).expect("a good row is exported"));
    assert_eq!(exporter.finish().expect("it ends"), rows.len() as u64);
    let bytes = out.0.lock().unwrap_or_else(PoisonError::into_inner);
    bytes.clone()
}
