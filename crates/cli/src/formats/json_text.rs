//! JSON text into values, and a JSON array into its elements without holding the array.

use super::typed::{Fields, Plain, Typed};
use crate::limits::ROW_LIMIT_BYTES;
use std::fmt;
use std::io::{self, BufRead};

/// Where and why a piece of JSON is wrong. Shape: line and column count from 1 and from the piece's beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonError {
    pub(super) message: String,
    pub(super) line: u64,
    pub(super) column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.column == 0 {
            f.write_str(&self.message)
        } else {
            write!(f, "{} (column {})", self.message, self.column)
        }
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = text.strip_suffix(&place).unwrap_or(&text).to_owned();
        JsonError { message, line: error.line().max(1) as u64, column: error.column() }
    }
}

fn plain_error(message: impl Into<String>) -> JsonError {
    JsonError { message: message.into(), line: 1, column: 0 }
}

/// Reads one value.
///
/// Errors: besides malformed JSON, a name that stands twice, an empty name, and an integer beyond 64 bits, which
/// would silently lose digits.
pub(super) fn value(text: &[u8], tagged: bool) -> Result<Typed, JsonError> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(plain_error(super::invalid_utf8(error.valid_up_to())));
    }
    let value = if tagged { serde_json::from_slice::<Typed>(text)? } else { serde_json::from_slice::<Plain>(text)?.0 };
    let mut seen = Seen::default();
    look_into(&value, &mut seen);
    if seen.empty_name {
        return Err(plain_error("a field has an empty name"));
    }
    if seen.large_float
        && let Some(digits) = oversized_integer(text)
    {
        return Err(plain_error(format!("the integer {digits} needs more than 64 bits; quote it to keep every digit")));
    }
    Ok(value)
}

/// Reads one object.
pub(super) fn object(text: &[u8], tagged: bool) -> Result<Fields, JsonError> {
    match value(text, tagged)? {
        Typed::Map(fields) => Ok(fields),
        other => Err(plain_error(format!("is {}, not an object", other.kind()))),
    }
}

#[derive(Default)]
struct Seen {
    empty_name: bool,
    large_float: bool,
}

fn look_into(value: &Typed, seen: &mut Seen) {
    match value {
        Typed::Float(number) => seen.large_float |= number.abs() >= 9.0e18,
        Typed::List(items) => items.iter().for_each(|item| look_into(item, seen)),
        Typed::Map(fields) => {
            for (name, value) in fields {
                seen.empty_name |= name.is_empty();
                look_into(value, seen);
            }
        }
        _ => {}
    }
}

/// An integer literal that neither `i64` nor `u64` holds. The text is valid JSON.
fn oversized_integer(text: &[u8]) -> Option<&str> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = at;
                while at < text.len() && matches!(text[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    at += 1;
                }
                let literal = std::str::from_utf8(&text[start..at]).ok()?;
                let integer = !literal.contains(['.', 'e', 'E']);
                if integer && literal.parse::<i64>().is_err() && literal.parse::<u64>().is_err() {
                    return Some(literal);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// One piece of a file that should be one JSON value.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) text: Vec<u8>,
    /// The line on which it begins.
    pub(super) line: u64,
    /// Longer than [`ROW_LIMIT_BYTES`]; the text is cut there.
    pub(super) too_long: bool,
}

impl Piece {
    fn clear(&mut self, line: u64) {
        self.text.clear();
        self.line = line;
        self.too_long = false;
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = ROW_LIMIT_BYTES - self.text.len();
        self.too_long |= bytes.len() > room;
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Why the pieces of a file cannot be told apart, and so nothing after that line can be read.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    At { line: u64, message: String },
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Broken::Io(error)
    }
}

/// Lines that are not blank.
pub(super) struct Lines {
    line: u64,
}

impl Lines {
    pub(super) fn new() -> Self {
        Lines { line: 1 }
    }

    /// Reads the next line that is not blank into `piece`; false at the end.
    pub(super) fn next(&mut self, input: &mut dyn BufRead, piece: &mut Piece) -> Result<bool, Broken> {
        loop {
            piece.clear(self.line);
            let mut any = false;
            loop {
                let buffer = input.fill_buf()?;
                if buffer.is_empty() {
                    break;
                }
                any = true;
                let end = buffer.iter().position(|byte| *byte == b'\n');
                piece.push(&buffer[..end.unwrap_or(buffer.len())]);
                let used = end.map_or(buffer.len(), |at| at + 1);
                input.consume(used);
                if end.is_some() {
                    self.line += 1;
                    break;
                }
            }
            if piece.text.last() == Some(&b'\r') {
                piece.text.pop();
            }
            if piece.too_long || !piece.text.iter().all(u8::is_ascii_whitespace) {
                return Ok(true);
            }
            if !any {
                return Ok(false);
            }
        }
    }
}

/// The elements of one JSON array, by counting brackets outside strings. What an element is, [`value`] decides.
pub(super) struct Elements {
    line: u64,
    place: Place,
    depth: u64,
    in_string: bool,
    escaped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    BeforeArray,
    BeforeFirst,
    BeforeElement,
    InElement,
    AfterElement,
    AfterArray,
}

enum Step {
    /// The byte stands between elements.
    Between,
    /// The byte is the first of an element.
    Begin,
    /// The byte belongs to the element.
    Inside,
    /// The byte is the last of the element.
    Last,
    /// The byte stands behind the element; look at it again.
    Behind,
}

impl Elements {
    pub(super) fn new() -> Self {
        Elements { line: 1, place: Place::BeforeArray, depth: 0, in_string: false, escaped: false }
    }

    /// Reads the next element into `piece`; false after the closing bracket and the end of the input.
    ///
    /// Errors: [`Broken`] where brackets and commas do not divide the file into elements.
    pub(super) fn next(&mut self, input: &mut dyn BufRead, piece: &mut Piece) -> Result<bool, Broken> {
        piece.clear(self.line);
        loop {
            let buffer = input.fill_buf()?;
            if buffer.is_empty() {
                return self.at_end(piece.line);
            }
            let mut at = 0;
            let mut run = (self.place == Place::InElement).then_some(0);
            let mut complete = false;
            while at < buffer.len() && !complete {
                let byte = buffer[at];
                match self.step(byte)? {
                    Step::Begin => {
                        piece.clear(self.line);
                        run = Some(at);
                    }
                    Step::Between | Step::Inside => self.line += u64::from(byte == b'\n'),
                    Step::Last => complete = true,
                    Step::Behind => {
                        complete = true;
                        continue; // without taking the byte
                    }
                }
                at += 1;
            }
            if let Some(start) = run {
                piece.push(&buffer[start..at]);
            }
            input.consume(at);
            if complete {
                return Ok(true);
            }
        }
    }

    fn step(&mut self, byte: u8) -> Result<Step, Broken> {
        if self.place == Place::InElement {
            return Ok(self.inside(byte));
        }
        if byte.is_ascii_whitespace() {
            return Ok(Step::Between);
        }
        self.place = match (self.place, byte) {
            (Place::BeforeArray, b'[') => Place::BeforeFirst,
            (Place::BeforeArray, b'{') => {
                return self.broken("the file holds objects, not an array of them; read it with --format ndjson");
            }
            (Place::BeforeArray, _) => return self.broken("the file does not begin with the [ of a JSON array"),
            (Place::BeforeFirst | Place::AfterElement, b']') => Place::AfterArray,
            (Place::AfterElement, b',') => Place::BeforeElement,
            (Place::AfterElement, _) => return self.broken("a comma or ] is missing after the element before"),
            (Place::AfterArray, _) => return self.broken("the file goes on after the ] that closes the array"),
            (Place::BeforeElement, b']') => return self.broken("there is a comma before the ] that closes the array"),
            (Place::BeforeFirst | Place::BeforeElement, b',' | b'}' | b':') => {
                return self.broken("an element is missing before this character");
            }
            (Place::BeforeFirst | Place::BeforeElement | Place::InElement, _) => {
                self.in_string = byte == b'"';
                self.escaped = false;
                self.depth = u64::from(matches!(byte, b'{' | b'['));
                self.place = Place::InElement;
                return Ok(Step::Begin);
            }
        };
        Ok(Step::Between)
    }

    fn inside(&mut self, byte: u8) -> Step {
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
                if self.depth == 0 {
                    self.place = Place::AfterElement;
                    return Step::Last;
                }
            }
            return Step::Inside;
        }
        if self.depth == 0 {
            if byte.is_ascii_whitespace() || matches!(byte, b',' | b']') {
                self.place = Place::AfterElement;
                return Step::Behind;
            }
            return Step::Inside;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.place = Place::AfterElement;
                    return Step::Last;
                }
            }
            _ => {}
        }
        Step::Inside
    }

    fn at_end(&self, element_line: u64) -> Result<bool, Broken> {
        match self.place {
            Place::AfterArray => Ok(false),
            Place::BeforeArray => self.broken("the file is empty; an empty array is []"),
            Place::InElement => Err(Broken::At {
                line: element_line,
                message: "the element that begins here is not closed before the end of the file".to_owned(),
            }),
            _ => self.broken("the array is not closed before the end of the file"),
        }
    }

    fn broken<T>(&self, message: &str) -> Result<T, Broken> {
        Err(Broken::At { line: self.line, message: message.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// Reads with a buffer of `chunk` bytes, so that every boundary falls somewhere.
    fn elements(text: &str, chunk: usize) -> Result<Vec<(u64, String)>, (u64, String)> {
        let mut input = BufReader::with_capacity(chunk, text.as_bytes());
        let mut elements = Elements::new();
        let mut piece = Piece::default();
        let mut found = Vec::new();
        loop {
            match elements.next(&mut input, &mut piece) {
                Ok(true) => found.push((piece.line, String::from_utf8(piece.text.clone()).unwrap())),
                Ok(false) => return Ok(found),
                Err(Broken::At { line, message }) => return Err((line, message)),
                Err(Broken::Io(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn elements_are_found_at_their_lines_whatever_the_buffer() {
        let text = "\n[ {\"a\": \"]},[\\\"\"},\n\n {\"b\":\n[1,{}]},5 ,\"x\\\\\",null]\n \n";
        let wanted = vec![
            (2, "{\"a\": \"]},[\\\"\"}".to_owned()),
            (4, "{\"b\":\n[1,{}]}".to_owned()),
            (5, "5".to_owned()),
            (5, "\"x\\\\\"".to_owned()),
            (5, "null".to_owned()),
        ];
        for chunk in 1..text.len() + 1 {
            assert_eq!(elements(text, chunk).unwrap(), wanted, "buffer of {chunk}");
        }
        assert_eq!(elements("[]", 1).unwrap(), vec![]);
    }

    #[test]
    fn a_broken_array_is_reported_with_its_line() {
        for (text, line, words) in [
            ("", 1, "empty"),
            ("\n{\"a\":1}\n", 2, "--format ndjson"),
            ("5", 1, "does not begin"),
            ("[\n1\n2]", 3, "comma or ] is missing"),
            ("[1,\n]", 2, "comma before"),
            ("[,1]", 1, "element is missing"),
            ("[1]\n\nx", 3, "goes on after"),
            ("[1,\n{\"a\":\n1", 2, "not closed"),
            ("[1", 1, "not closed"),
            ("[1,", 1, "array is not closed"),
            ("[\"a", 1, "not closed"),
        ] {
            let (at, message) = elements(text, 2).unwrap_err();
            assert!(at == line && message.contains(words), "{text:?}: line {at}: {message}");
        }
    }

    #[test]
    fn an_element_beyond_the_limit_is_cut_and_the_next_one_is_found() {
        let text = format!("[\"{}\",\n7]", "x".repeat(ROW_LIMIT_BYTES));
        let mut input = BufReader::new(text.as_bytes());
        let (mut elements, mut piece) = (Elements::new(), Piece::default());
        assert!(elements.next(&mut input, &mut piece).unwrap());
        assert!(piece.too_long && piece.text.len() == ROW_LIMIT_BYTES);
        assert!(elements.next(&mut input, &mut piece).unwrap());
        assert_eq!((piece.text.as_slice(), piece.line, piece.too_long), (&b"7"[..], 2, false));
    }

    #[test]
    fn lines_may_end_in_any_way_and_blank_ones_do_not_count() {
        let text = "\n1\r\n  \r\n2\n3";
        let mut input = BufReader::with_capacity(2, text.as_bytes());
        let (mut lines, mut piece, mut found) = (Lines::new(), Piece::default(), Vec::new());
        while lines.next(&mut input, &mut piece).unwrap() {
            found.push((piece.line, piece.text.clone()));
        }
        assert_eq!(found, vec![(2, b"1".to_vec()), (4, b"2".to_vec()), (5, b"3".to_vec())]);
    }

    #[test]
    fn an_integer_beyond_64_bits_is_refused_rather_than_rounded() {
        for text in ["[1, 123456789012345678901]", "{\"a\":\"1\\\"\",\"b\":-9223372036854775809}"] {
            assert!(value(text.as_bytes(), false).unwrap_err().message.contains("more than 64 bits"), "{text}");
        }
        for text in ["18446744073709551615", "-9223372036854775808", "1e300", "123456789012345678901.5"] {
            assert!(value(text.as_bytes(), false).is_ok(), "{text}");
        }
        assert!(value(b"[\"123456789012345678901234\", 1e40]", false).is_ok());
    }

    #[test]
    fn malformed_json_says_where() {
        assert_eq!(value(b"{\"a\":1,}", false).unwrap_err().column, 8);
        assert!(value(b"\"\xff\"", false).unwrap_err().message.contains("not UTF-8 (byte 2"));
        assert!(value(b"{\"\":1}", false).unwrap_err().message.contains("empty name"));
        assert!(value("[".repeat(300).as_bytes(), false).unwrap_err().message.contains("recursion"));
        assert!(object(b"[1]", false).unwrap_err().message.contains("is a list, not an object"));
    }
}
