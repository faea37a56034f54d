//! CSV as RFC 4180 has it, with the line of every record, and with bounds.
//!
//! A reader of our own, because the usual one has no limit on a record (an unclosed quote swallows the file), takes an
//! unclosed quote at the end and text behind a closing quote without a word, and says neither which line. A test
//! compares the two.

use super::json_text::Broken;
use crate::limits::{COLUMNS_MAX, ROW_LIMIT_BYTES};
use std::io::BufRead;

/// One record: its cells as bytes, the line on which it begins, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Record {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The line on which the record begins, from 1.
    pub(super) line: u64,
    /// Why the record cannot be used; the cells are then incomplete.
    pub(super) problem: Option<String>,
}

impl Record {
    /// The number of cells.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// One cell, unquoted; empty beyond the last.
    pub(super) fn cell(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(self.text.len()) };
        let end = self.ends.get(index).copied().unwrap_or(start);
        &self.text[start..end]
    }

    /// All cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.cell(index))
    }

    fn clear(&mut self, line: u64) {
        self.text.clear();
        self.ends.clear();
        self.line = line;
        self.problem = None;
    }

    fn push(&mut self, byte: u8) {
        if self.text.len() < ROW_LIMIT_BYTES {
            self.text.push(byte);
        } else if self.problem.is_none() {
            self.problem = Some(format!("is longer than {ROW_LIMIT_BYTES} bytes"));
        }
    }

    fn end_cell(&mut self) {
        if self.ends.len() < COLUMNS_MAX {
            self.ends.push(self.text.len());
        } else if self.problem.is_none() {
            self.problem = Some(format!("has more than {COLUMNS_MAX} columns"));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    RecordStart,
    CellStart,
    Bare,
    Quoted,
    /// Behind a quote inside a quoted cell: it closes the cell, or a second one follows.
    Quote,
    /// In a malformed record, up to the end of its line.
    Skipping,
}

/// Reads records from a stream. Lines end in LF, CR LF or CR; empty lines are passed over.
pub(super) struct CsvReader {
    delimiter: u8,
    line: u64,
    place: Place,
    after_cr: bool,
    quote_line: u64,
}

impl CsvReader {
    /// A reader for cells divided by `delimiter`.
    pub(super) fn new(delimiter: u8) -> Self {
        CsvReader { delimiter, line: 1, place: Place::RecordStart, after_cr: false, quote_line: 0 }
    }

    /// Reads the next record; false at the end.
    ///
    /// Errors: a failed read, and a quote that is never closed: nothing after it can be told apart.
    pub(super) fn next(&mut self, input: &mut dyn BufRead, record: &mut Record) -> Result<bool, Broken> {
        record.clear(self.line);
        loop {
            let buffer = input.fill_buf()?;
            if buffer.is_empty() {
                return self.at_end(record);
            }
            let mut used = 0;
            let mut complete = false;
            while used < buffer.len() && !complete {
                complete = self.step(buffer[used], record);
                used += 1;
            }
            input.consume(used);
            if complete {
                return Ok(true);
            }
        }
    }

    /// Takes one byte; true if it completed the record.
    fn step(&mut self, byte: u8, record: &mut Record) -> bool {
        if std::mem::take(&mut self.after_cr) && byte == b'\n' {
            if self.place == Place::Quoted {
                record.push(byte);
            }
            return false; // the line was counted at the CR
        }
        self.after_cr = byte == b'\r';
        let line_end = matches!(byte, b'\n' | b'\r');
        self.line += u64::from(line_end);
        match self.place {
            Place::Quoted if byte == b'"' => self.place = Place::Quote,
            Place::Quoted => record.push(byte),
            _ if line_end => return self.end_record(record),
            Place::Skipping => {}
            Place::RecordStart | Place::CellStart if byte == b'"' => {
                self.begin(record);
                self.place = Place::Quoted;
                self.quote_line = self.line;
            }
            _ if byte == self.delimiter => {
                self.begin(record);
                record.end_cell();
                self.place = Place::CellStart;
            }
            Place::Quote if byte == b'"' => {
                record.push(byte);
                self.place = Place::Quoted;
            }
            Place::Quote => {
                let column = record.len() + 1;
                record.problem.get_or_insert_with(|| {
                    format!(
                        "has text behind the closing quote of column {column}; a quote inside a cell is written twice"
                    )
                });
                self.place = Place::Skipping;
            }
            Place::RecordStart | Place::CellStart | Place::Bare => {
                self.begin(record);
                record.push(byte);
                self.place = Place::Bare;
            }
        }
        false
    }

    /// Sets the line of the record at its first byte: empty lines before it do not belong to it.
    fn begin(&mut self, record: &mut Record) {
        if self.place == Place::RecordStart {
            record.line = self.line;
        }
    }

    fn end_record(&mut self, record: &mut Record) -> bool {
        let empty_line = self.place == Place::RecordStart;
        self.place = Place::RecordStart;
        if !empty_line {
            record.end_cell();
        }
        !empty_line
    }

    fn at_end(&mut self, record: &mut Record) -> Result<bool, Broken> {
        match self.place {
            Place::Quoted => Err(Broken::At {
                line: self.quote_line,
                message: "the quote that is opened here is never closed".to_owned(),
            }),
            _ => Ok(self.end_record(record)),
        }
    }
}

/// Writes one cell, quoted where it must be. `alone` tells that it is the only cell of its record.
pub(super) fn write_cell(cell: &str, delimiter: u8, alone: bool, out: &mut Vec<u8>) {
    let special = |byte: u8| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    // An empty line would be passed over, and a byte order mark would vanish at the beginning of a file.
    let quoted = cell.bytes().any(special) || (alone && cell.is_empty()) || cell.starts_with('\u{feff}');
    if !quoted {
        out.extend_from_slice(cell.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in cell.bytes() {
        if byte == b'"' {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    type Found = Vec<(u64, Vec<String>, Option<String>)>;

    fn read(text: &[u8], chunk: usize) -> Result<Found, (u64, String)> {
        let mut input = BufReader::with_capacity(chunk, text);
        let (mut reader, mut record, mut found) = (CsvReader::new(b','), Record::default(), Vec::new());
        loop {
            match reader.next(&mut input, &mut record) {
                Ok(true) => {
                    let cells = record.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
                    found.push((record.line, cells, record.problem.clone()));
                }
                Ok(false) => return Ok(found),
                Err(Broken::At { line, message }) => return Err((line, message)),
                Err(Broken::Io(error)) => panic!("{error}"),
            }
        }
    }

    fn lines_and_cells(text: &str) -> Vec<(u64, Vec<String>)> {
        read(text.as_bytes(), 3).unwrap().into_iter().map(|(line, cells, _)| (line, cells)).collect()
    }

    fn cells(list: &[&str]) -> Vec<String> {
        list.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn records_have_the_line_on_which_they_begin() {
        let text = "a,b\r\n\r\n\"x\r\ny\",2\n\n\"q\"\"q\",\r3,4";
        assert_eq!(
            lines_and_cells(text),
            vec![
                (1, cells(&["a", "b"])),
                (3, cells(&["x\r\ny", "2"])),
                (6, cells(&["q\"q", ""])),
                (7, cells(&["3", "4"])),
            ]
        );
        assert_eq!(lines_and_cells("\"\"\n,\n"), vec![(1, cells(&[""])), (2, cells(&["", ""]))]);
        assert_eq!(lines_and_cells(""), vec![]);
    }

    #[test]
    fn text_behind_a_closing_quote_spoils_its_line_only() {
        let found = read(b"a,\"b\"c,\"d\n1,2\n", 4).unwrap();
        assert!(found[0].2.as_ref().unwrap().contains("column 2"));
        assert_eq!(found[1], (2, cells(&["1", "2"]), None));
    }

    #[test]
    fn an_unclosed_quote_is_reported_where_it_opens() {
        let (line, message) = read(b"a,b\n1,2\n3,\"4\n5,6\n", 4).unwrap_err();
        assert!(line == 3 && message.contains("never closed"), "{line}: {message}");
    }

    #[test]
    fn a_record_beyond_the_limits_is_cut_and_the_next_one_is_found() {
        let mut text = vec![b'x'; ROW_LIMIT_BYTES + 1];
        text.extend_from_slice(b"\n1\n");
        let found = read(&text, 4096).unwrap();
        assert!(found[0].2.as_ref().unwrap().contains("longer than"));
        assert_eq!(found[1], (2, cells(&["1"]), None));
        let mut text = vec![b','; COLUMNS_MAX];
        text.extend_from_slice(b"\n1\n");
        let found = read(&text, 4096).unwrap();
        assert!(found[0].2.as_ref().unwrap().contains("more than"));
        assert_eq!(found[1].2, None);
    }

    fn oracle(text: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        reader
            .byte_records()
            .map(|record| record.unwrap().iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())
            .collect()
    }

    proptest::proptest! {
        #[test]
        fn what_is_well_formed_reads_as_the_usual_reader_reads_it(text in "[ab,\"\r\n]{0,40}", chunk in 1usize..9) {
            if let Ok(found) = read(text.as_bytes(), chunk)
                && found.iter().all(|(_, _, problem)| problem.is_none())
            {
                let cells: Vec<Vec<String>> = found.into_iter().map(|(_, cells, _)| cells).collect();
                proptest::prop_assert_eq!(cells, oracle(text.as_bytes()));
            }
        }

        #[test]
        fn written_cells_read_back(rows in proptest::collection::vec(
            proptest::collection::vec("[a,\"\r\n\u{feff} é]{0,6}", 1..5), 0..5)
        ) {
            let mut text = Vec::new();
            for row in &rows {
                for (index, cell) in row.iter().enumerate() {
                    if index > 0 {
                        text.push(b',');
                    }
                    write_cell(cell, b',', row.len() == 1, &mut text);
                }
                text.push(b'\n');
            }
            let found: Vec<Vec<String>> = read(&text, 7).unwrap().into_iter().map(|(_, cells, _)| cells).collect();
            proptest::prop_assert_eq!(&found, &rows);
            proptest::prop_assert_eq!(&oracle(&text), &rows);
        }
    }
}
