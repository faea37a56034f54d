//! What people and programs see: lines, tables and envelopes on standard output, notes and errors on standard error.

use crate::control::Reply;
use crate::exit::{Exit, Failure};
use crate::limits::CELL_COLUMNS_MAX;
use anstyle::{AnsiColor, Style};
use serde_json::Value;
use std::io::{self, IsTerminal as _, Write as _};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Everything else.
pub const PLAIN: Style = Style::new();
/// Names, headings.
pub const BOLD: Style = Style::new().bold();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();
/// Done, connected, equal.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Waiting, differing, needs attention.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// Failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a command speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voice {
    /// One JSON envelope per line instead of text.
    pub json: bool,
    /// No notes and no progress.
    pub quiet: bool,
}

/// The outputs of one command.
pub struct Printer {
    out: Box<dyn io::Write + Send>,
    err: Box<dyn io::Write + Send>,
    json: bool,
    quiet: bool,
    /// The width of the terminal that `out` is, in columns.
    columns: Option<usize>,
    /// Lines that the next [`Printer::redraw`] takes back.
    drawn: usize,
}

/// A line in one style.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    text: String,
    style: Style,
}

impl Line {
    /// A line of text that is already safe, see [`clean`].
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Line { text: text.into(), style }
    }

    fn render(&self, columns: usize) -> String {
        let style = self.style;
        format!("{style}{}{style:#}", shorten(&self.text, columns))
    }
}

impl Printer {
    /// Standard output and standard error.
    pub fn stdio(style: Voice, color: Color) -> Self {
        match color {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
        let columns = io::stdout()
            .is_terminal()
            .then(|| terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)));
        Printer {
            out: Box::new(io::BufWriter::new(anstream::stdout())),
            err: Box::new(anstream::stderr()),
            json: style.json,
            quiet: style.quiet,
            columns,
            drawn: 0,
        }
    }

    /// Any two writers, for tests and for the demo's children.
    pub fn new(out: Box<dyn io::Write + Send>, err: Box<dyn io::Write + Send>, style: Voice) -> Self {
        Printer { out, err, json: style.json, quiet: style.quiet, columns: None, drawn: 0 }
    }

    /// Whether envelopes are wanted instead of text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether notes and progress are unwanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints one line of text, the command's answer to a person. The text is already safe: see [`clean`].
    ///
    /// Errors: the reader has gone away ([`Exit::Ok`], by convention), or the disk is full.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error| output_failure(&error))
    }

    /// Whether lines can be taken back: on a terminal that takes commands.
    pub fn can_redraw(&self) -> bool {
        self.columns.is_some() && anstream::stdout().current_choice() != anstream::ColorChoice::Never
    }

    /// Prints lines in the place of those that the call before printed. Each is cut to one row of the terminal, and of more
    /// than fit on it only the first are shown, because a row that has scrolled away cannot be taken back.
    ///
    /// Errors: as for [`Printer::line`].
    pub fn redraw(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let rows = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
        let lines = &lines[..lines.len().min(rows.saturating_sub(1).max(1))];
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}A\r\u{1b}[J", self.drawn));
        }
        for line in lines {
            text.push_str(&line.render(self.columns.unwrap_or(80)));
            text.push('\n');
        }
        self.drawn = lines.len();
        self.out.write_all(text.as_bytes()).map_err(|error| output_failure(&error))
    }

    /// Prints one line in its style.
    ///
    /// Errors: as for [`Printer::line`].
    pub fn styled(&mut self, line: &Line) -> Result<(), Failure> {
        self.line(&line.render(usize::MAX))
    }

    /// Prints one envelope: a reply as the control socket has it, as one line of JSON.
    ///
    /// Errors: as for [`Printer::line`].
    pub fn envelope(&mut self, reply: &Reply) -> Result<(), Failure> {
        let text = serde_json::to_string(reply)
            .map_err(|error| Failure::new(Exit::General, format!("cannot write a reply as JSON: {error}")))?;
        self.line(&text)
    }

    /// Prints one result: as an envelope, or else as `text` says.
    ///
    /// Errors: as for [`Printer::line`].
    pub fn item(&mut self, item: Value, text: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        if self.json {
            return self.envelope(&Reply::Item(item));
        }
        let text = text(&item);
        self.line(&text)
    }

    /// Prints content of a document: as it is into a file or a pipe, and safe for a terminal on one.
    ///
    /// Errors: as for [`Printer::line`].
    pub fn content(&mut self, text: &str) -> Result<(), Failure> {
        if self.columns.is_some() { self.line(&clean_lines(text)) } else { self.line(text) }
    }

    /// Prints a table; nothing for one without rows.
    ///
    /// Errors: as for [`Printer::line`].
    pub fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let text = table.render(self.columns);
        self.out.write_all(text.as_bytes()).map_err(|error| output_failure(&error))
    }

    /// Tells a person something beside the answer, unless they want quiet or envelopes.
    pub fn note(&mut self, text: &str) {
        if !self.quiet && !self.json {
            let _ = self.out.flush(); // so that the two streams keep their order on a terminal
            let _ = writeln!(self.err, "{text}"); // there is nowhere left to complain
        }
    }

    /// Tells of something that is not as it should be although the command goes on; also when quiet.
    pub fn warning(&mut self, text: &str) {
        let _ = writeln!(self.err, "{WARNING}warning:{WARNING:#} {text}");
    }

    /// Tells why the command failed: on standard error, or as the last envelope.
    pub fn failure(&mut self, failure: &Failure) {
        if failure.code == Exit::Ok {
            return; // the reader of our output has gone away
        }
        if failure.code == Exit::Interrupted && !self.json {
            let _ = self.out.flush(); // who pressed Ctrl-C knows
            return;
        }
        if self.json {
            let _ = self.envelope(&Reply::Error(failure.clone()));
        } else {
            let _ = self.out.flush();
            let _ = writeln!(self.err, "{BAD}error:{BAD:#} {}", clean_lines(&failure.message));
            if let Some(remedy) = &failure.remedy {
                let _ = writeln!(self.err, "  {}", clean_lines(remedy));
            }
        }
        let _ = self.out.flush();
    }

    /// Passes on what is still buffered.
    ///
    /// Errors: as for [`Printer::line`].
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| output_failure(&error))
    }
}

/// A closed pipe is how `farshore list | head` ends: no failure.
fn output_failure(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new(Exit::Ok, "the reader of the output has gone away");
    }
    Failure::io("write the output", error)
}

/// Text from documents and peers made safe for a terminal: control characters, which could move the cursor or change
/// the title, are written as escapes.
pub fn clean(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            // The bidirectional overrides can make one text look like another.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                safe.extend(c.escape_unicode());
            }
            c => safe.push(c),
        }
    }
    safe
}

fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// A JSON value for a person: a string as itself, everything else as JSON, all of it safe for a terminal.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        Value::Null => String::new(),
        other => clean(&other.to_string()),
    }
}

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A table with a heading line.
pub struct Table {
    headings: Vec<(String, Align)>,
    headed: bool,
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// A table with these headings; one that begins with `>` stands to the right, for numbers.
    pub fn new(headings: &[&str]) -> Self {
        let headings = headings.iter().map(|heading| match heading.strip_prefix('>') {
            Some(heading) => (heading.to_owned(), Align::Right),
            None => ((*heading).to_owned(), Align::Left),
        });
        Table { headings: headings.collect(), headed: true, rows: Vec::new() }
    }

    /// The same table without its rows, and without its headings when it is printed: for the rest of a long one.
    pub fn continued(self) -> Self {
        Table { headed: false, rows: Vec::new(), ..self }
    }

    /// Adds a row. Its cells are made safe for a terminal here.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().map(|cell| {
            let Cell(text, style) = cell.into();
            (clean(&text), style)
        });
        self.rows.push(cells.collect());
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; on a terminal of `columns` columns long cells are shortened.
    fn render(&self, columns: Option<usize>) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let limit = columns.map_or(usize::MAX, |_| CELL_COLUMNS_MAX);
        let mut widths: Vec<usize> = self.headings.iter().map(|(heading, _)| heading.width()).collect();
        for row in &self.rows {
            for (width, (cell, _)) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width().min(limit));
            }
        }
        if let Some(columns) = columns {
            fit(&mut widths, columns);
        }
        let mut text = String::new();
        let heading = self.headings.iter().map(|(heading, _)| (heading.as_str(), BOLD));
        if self.headed {
            self.render_row(heading, &widths, &mut text);
        }
        for row in &self.rows {
            self.render_row(row.iter().map(|(cell, style)| (cell.as_str(), *style)), &widths, &mut text);
        }
        text
    }

    fn render_row<'a>(&self, cells: impl Iterator<Item = (&'a str, Style)>, widths: &[usize], text: &mut String) {
        let start = text.len();
        for (index, ((cell, style), width)) in cells.zip(widths).enumerate() {
            if index > 0 {
                text.push_str("  ");
            }
            let cell = shorten(cell, *width);
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            let right = self.headings.get(index).is_some_and(|(_, align)| *align == Align::Right);
            let (before, after) = if right { (padding.as_str(), "") } else { ("", padding.as_str()) };
            text.push_str(&format!("{before}{style}{cell}{style:#}{after}"));
        }
        text.truncate(start + text[start..].trim_end_matches(' ').len());
        text.push('\n');
    }
}

/// Narrows the widest columns until a row fits into the terminal; none becomes narrower than 8.
fn fit(widths: &mut [usize], columns: usize) {
    const NARROWEST: usize = 8;
    let gaps = 2 * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => return,
        }
    }
}

fn shorten(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1; // for the mark
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > columns {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

/// One cell of a table with its style.
pub struct Cell(String, Style);

impl Cell {
    /// Text in a style.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Cell(text.into(), style)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell(text.into(), Style::new())
    }
}

/// A number of bytes for a person: `1.4 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A whole number with its thousands apart: `28,298`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn text(&self) -> String {
            anstream::adapter::strip_str(std::str::from_utf8(&self.0.lock().unwrap()).unwrap()).to_string()
        }
    }

    fn printer(style: Voice) -> (Printer, Shared, Shared) {
        let (out, err) = (Shared::default(), Shared::default());
        (Printer::new(Box::new(out.clone()), Box::new(err.clone()), style), out, err)
    }

    fn plain_table(table: &Table, columns: Option<usize>) -> String {
        anstream::adapter::strip_str(&table.render(columns)).to_string()
    }

    #[test]
    fn a_table_is_aligned_by_what_a_terminal_shows() {
        let mut table = Table::new(&["NAME", ">SIZE"]);
        table.row(["漢字", "5"]);
        table.row(["b", "1,234"]);
        assert_eq!(plain_table(&table, None), "NAME   SIZE\n漢字      5\nb     1,234\n");
        assert_eq!(plain_table(&Table::new(&["A"]), None), "");
    }

    #[test]
    fn a_table_is_cut_on_a_terminal_only() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["x".repeat(100), "y".to_owned()]);
        assert!(plain_table(&table, None).contains(&"x".repeat(100)));
        let lines = plain_table(&table, Some(20));
        assert!(lines.lines().all(|line| line.width() <= 20), "{lines}");
        assert!(lines.contains('…'));
    }

    #[test]
    fn nothing_from_a_document_reaches_the_terminal_as_a_command() {
        assert_eq!(clean("a\u{1b}[2Jb\n\u{7}\u{202e}"), "a\\u{1b}[2Jb\\n\\u{7}\\u{202e}");
        let mut table = Table::new(&["A"]);
        table.row(["\u{1b}]0;title\u{7}"]);
        assert!(!plain_table(&table, None).contains('\u{7}'));
        let (mut printer, _, err) = printer(Voice::default());
        printer.failure(&Failure::data("bad row:\n  \u{1b}[31m"));
        assert_eq!(err.text(), "error: bad row:\n  \\u{1b}[31m\n");
    }

    #[test]
    fn with_json_everything_is_an_envelope_on_standard_output() {
        let (mut printer, out, err) = printer(Voice { json: true, quiet: false });
        printer.note("not seen");
        printer.item(serde_json::json!({"a": 1}), |_| unreachable!()).unwrap();
        printer.failure(&Failure::new(Exit::NotFound, "no such space").remedy("look"));
        assert_eq!(
            out.text(),
            "{\"item\":{\"a\":1}}\n{\"error\":{\"code\":\"not-found\",\"message\":\"no such space\",\"remedy\":\"look\"}}\n"
        );
        assert_eq!(err.text(), "");
    }

    #[test]
    fn quiet_silences_notes_but_not_answers_and_errors() {
        let (mut printer, out, err) = printer(Voice { json: false, quiet: true });
        printer.note("not seen");
        printer.item(serde_json::json!("x"), plain).unwrap();
        printer.failure(&Failure::new(Exit::Busy, "busy"));
        assert_eq!((out.text().as_str(), err.text().as_str()), ("x\n", "error: busy\n"));
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure() {
        let failure = output_failure(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.code, Exit::Ok);
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!((count(0), count(999), count(28_298)), ("0".into(), "999".into(), "28,298".into()));
        assert_eq!((bytes(999), bytes(1_449_999), bytes(999_999)), ("999 B".into(), "1.4 MB".into(), "1.0 MB".into()));
    }
}
