//! The three encodings of a change's columns, decoded row by row and only in the form that Automerge writes.
//!
//! A change's hash is that of its bytes, but Automerge keeps values, not bytes, and encodes them anew whenever it is asked
//! for a change or loads a document. Bytes that say the same in another way would come back with another hash, and the saved
//! document would not load. So every sequence of values has exactly one accepted encoding, the one of `hexane`, which
//! Automerge 0.12 writes with: equal neighbours are one run, everything between runs and nulls is one literal.
//!
//! Nothing is allocated, and no length that the bytes claim is believed before it is compared with the row cap.

use super::reader::Reader;
use super::refusal::{Part, Refusal};

/// A value that a run-length column can hold.
pub(super) trait Cell<'a>: Copy + PartialEq {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal>;
}

impl<'a> Cell<'a> for u64 {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        reader.unsigned()
    }
}

impl<'a> Cell<'a> for i64 {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        reader.signed()
    }
}

impl<'a> Cell<'a> for &'a str {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        reader.text(super::limits::KEY_BYTES)
    }
}

/// What the current run repeats.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Run<T> {
    /// Nothing was read yet.
    Start,
    Null,
    Repeat(T),
    /// A literal; its last value so far, if one was read.
    Literal(Option<T>),
}

/// Run-length encoded optional values: `(n, value)`, `(-n, n values)` or `(0, n)` for nulls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rle<'a, T> {
    reader: Reader<'a>,
    run: Run<T>,
    left: u64,
    /// Rows that may still be claimed.
    room: u64,
    /// The value before the current run, if the run must differ from it.
    before: Option<T>,
}

impl<'a, T: Cell<'a>> Rle<'a, T> {
    /// A column of at most `rows` rows.
    pub(super) fn new(bytes: &'a [u8], part: Part, rows: u64) -> Self {
        Self { reader: Reader::new(bytes, part), run: Run::Start, left: 0, room: rows, before: None }
    }

    fn wrong<V>(&self) -> Result<V, Refusal> {
        Err(Refusal::Encoding(self.reader.part()))
    }

    /// The next row: `None` at the end, `Some(None)` for null.
    pub(super) fn next(&mut self) -> Result<Option<Option<T>>, Refusal> {
        if self.left == 0 {
            if self.reader.is_empty() {
                return Ok(None);
            }
            self.start_run()?;
        }
        self.left -= 1;
        match &mut self.run {
            Run::Start | Run::Null => Ok(Some(None)),
            Run::Repeat(value) => Ok(Some(Some(*value))),
            Run::Literal(last) => {
                let value = T::read(&mut self.reader)?;
                if last.or(self.before.take()) == Some(value) {
                    return self.wrong();
                }
                *last = Some(value);
                Ok(Some(Some(value)))
            }
        }
    }

    fn start_run(&mut self) -> Result<(), Refusal> {
        let header = self.reader.signed()?;
        let next = match header {
            0 if self.run != Run::Null => Run::Null,
            2.. => {
                let value = T::read(&mut self.reader)?;
                match self.run {
                    Run::Repeat(last) | Run::Literal(Some(last)) if last == value => return self.wrong(),
                    _ => Run::Repeat(value),
                }
            }
            ..0 => match self.run {
                Run::Literal(_) => return self.wrong(),
                Run::Repeat(value) => {
                    self.before = Some(value);
                    Run::Literal(None)
                }
                Run::Start | Run::Null => Run::Literal(None),
            },
            // A run of one, or nulls after nulls.
            _ => return self.wrong(),
        };
        let rows = if header == 0 { self.reader.unsigned()? } else { header.unsigned_abs() };
        if rows == 0 {
            return self.wrong();
        }
        self.room =
            self.room.checked_sub(rows).ok_or(Refusal::Limit { part: self.reader.part(), value: rows.into() })?;
        self.left = rows;
        self.run = next;
        Ok(())
    }

    /// The next row of a column without nulls.
    pub(super) fn next_value(&mut self) -> Result<Option<T>, Refusal> {
        match self.next()? {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => self.wrong(),
        }
    }
}

/// Differences between successive values that are not null, run-length encoded; all values are operation counters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delta<'a> {
    inner: Rle<'a, i64>,
    value: i64,
}

impl<'a> Delta<'a> {
    pub(super) fn new(bytes: &'a [u8], part: Part, rows: u64) -> Self {
        Self { inner: Rle::new(bytes, part, rows), value: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Option<Option<u64>>, Refusal> {
        match self.inner.next()? {
            None => Ok(None),
            Some(None) => Ok(Some(None)),
            Some(Some(delta)) => {
                let sum = i128::from(self.value) + i128::from(delta);
                let value = u64::try_from(sum)
                    .ok()
                    .filter(|value| *value < super::limits::OP_COUNTER)
                    .ok_or(Refusal::Limit { part: self.inner.reader.part(), value: sum })?;
                self.value = value as i64; // below 2^31
                Ok(Some(Some(value)))
            }
        }
    }

    pub(super) fn next_value(&mut self) -> Result<Option<u64>, Refusal> {
        match self.next()? {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => self.inner.wrong(),
        }
    }
}

/// Lengths of alternating runs of false and true; only the first, of false, may be empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bool<'a> {
    reader: Reader<'a>,
    value: bool,
    started: bool,
    left: u64,
    room: u64,
}

impl<'a> Bool<'a> {
    pub(super) fn new(bytes: &'a [u8], part: Part, rows: u64) -> Self {
        Self { reader: Reader::new(bytes, part), value: true, started: false, left: 0, room: rows }
    }

    pub(super) fn next(&mut self) -> Result<Option<bool>, Refusal> {
        while self.left == 0 {
            if self.reader.is_empty() {
                return Ok(None);
            }
            let rows = self.reader.unsigned()?;
            if rows == 0 && (self.started || self.reader.is_empty()) {
                return Err(Refusal::Encoding(self.reader.part()));
            }
            self.room =
                self.room.checked_sub(rows).ok_or(Refusal::Limit { part: self.reader.part(), value: rows.into() })?;
            self.left = rows;
            self.value = !self.value;
            self.started = true;
        }
        self.left -= 1;
        Ok(Some(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bytes: &[u8]) -> Result<Vec<Option<u64>>, Refusal> {
        let mut column = Rle::<u64>::new(bytes, Part::Key, 100);
        let mut rows = Vec::new();
        while let Some(row) = column.next()? {
            rows.push(row);
        }
        Ok(rows)
    }

    const WRONG: Refusal = Refusal::Encoding(Part::Key);

    #[test]
    fn runs_literals_and_nulls_are_decoded() {
        assert_eq!(
            numbers(&[3, 7, 0x7e, 1, 2, 0, 2, 2, 2]),
            Ok(vec![Some(7), Some(7), Some(7), Some(1), Some(2), None, None, Some(2), Some(2)])
        );
    }

    #[test]
    fn every_second_encoding_of_the_same_values_is_refused() {
        assert_eq!(numbers(&[1, 7]), Err(WRONG), "a run of one");
        assert_eq!(numbers(&[2, 7, 2, 7]), Err(WRONG), "two runs of one value");
        assert_eq!(numbers(&[0x7f, 1, 0x7f, 2]), Err(WRONG), "two literals in a row");
        assert_eq!(numbers(&[0x7e, 1, 1]), Err(WRONG), "a repetition in a literal");
        assert_eq!(numbers(&[0x7e, 1, 2, 2, 2]), Err(WRONG), "a literal that ends with the run's value");
        assert_eq!(numbers(&[2, 1, 0x7f, 1]), Err(WRONG), "a literal that begins with the run's value");
        assert_eq!(numbers(&[0, 1, 0, 1]), Err(WRONG), "two runs of nulls");
        assert_eq!(numbers(&[0, 0]), Err(WRONG), "no nulls");
    }

    #[test]
    fn a_claim_of_more_rows_than_allowed_is_refused_before_it_is_followed() {
        let limit = Err(Refusal::Limit { part: Part::Key, value: 101 });
        assert_eq!(numbers(&[0xe5, 0, 7]), limit);
        assert_eq!(numbers(&[0, 101]), limit);
        assert_eq!(numbers(&[0x9b, 0x7f, 1]), limit);
        assert!(matches!(numbers(&[2, 1, 0, 99]), Err(Refusal::Limit { .. })), "the cap counts over all runs");
    }

    #[test]
    fn booleans_have_one_encoding() {
        let read = |bytes: &[u8]| {
            let mut column = Bool::new(bytes, Part::Insert, 100);
            let mut rows = Vec::new();
            while let Some(row) = column.next()? {
                rows.push(row);
            }
            Ok::<_, Refusal>(rows)
        };
        let wrong = Err(Refusal::Encoding(Part::Insert));
        assert_eq!(read(&[0, 2, 1]), Ok(vec![true, true, false]));
        assert_eq!(read(&[2]), Ok(vec![false, false]));
        assert_eq!(read(&[0]), wrong);
        assert_eq!(read(&[1, 0]), wrong);
        assert_eq!(read(&[1, 0, 1]), wrong);
        assert!(matches!(read(&[101]), Err(Refusal::Limit { .. })));
    }

    #[test]
    fn deltas_stay_within_operation_counters() {
        let mut column = Delta::new(&[0x7e, 5, 0x7a], Part::Key, 10);
        assert_eq!(column.next(), Ok(Some(Some(5))));
        assert_eq!(column.next(), Err(Refusal::Limit { part: Part::Key, value: -1 }));
        let mut column = Delta::new(&[0x7f, 0x80, 0x80, 0x80, 0x80, 0x08], Part::Key, 10);
        assert_eq!(column.next(), Err(Refusal::Limit { part: Part::Key, value: 1 << 31 }));
    }
}
