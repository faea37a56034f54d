//! A cursor over foreign bytes that takes minimal LEB128 only.

use super::refusal::{Part, Refusal};

/// Reads numbers and slices of one part of a change from front to back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    part: Part,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], part: Part) -> Self {
        Self { rest: bytes, part }
    }

    /// Go on in another part, so that errors name it.
    pub(super) fn enter(&mut self, part: Part) {
        self.part = part;
    }

    pub(super) fn part(&self) -> Part {
        self.part
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Refusal> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Refusal::Truncated(self.part))?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Refusal::Truncated(self.part))?;
        self.rest = rest;
        Ok(*head)
    }

    /// An unsigned number in its shortest form.
    pub(super) fn unsigned(&mut self) -> Result<u64, Refusal> {
        let mut value = 0_u64;
        for position in 0..10_u32 {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if position == 9 && byte > 1 {
                return Err(Refusal::Number(self.part));
            }
            value |= bits << (7 * position);
            if byte & 0x80 == 0 {
                return if byte == 0 && position > 0 { Err(Refusal::Number(self.part)) } else { Ok(value) };
            }
        }
        Err(Refusal::Number(self.part))
    }

    /// A signed number in its shortest form.
    pub(super) fn signed(&mut self) -> Result<i64, Refusal> {
        let mut value = 0_i64;
        let mut previous = 0_u8;
        for position in 0..10_u32 {
            let [byte] = self.array()?;
            // The tenth byte has room for the sign only.
            if position == 9 && byte != 0 && byte != 0x7f {
                return Err(Refusal::Number(self.part));
            }
            value |= i64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                let sign_only = (byte == 0 && previous & 0x40 == 0) || (byte == 0x7f && previous & 0x40 != 0);
                if position > 0 && sign_only {
                    return Err(Refusal::Number(self.part));
                }
                if position < 9 && byte & 0x40 != 0 {
                    value |= -1_i64 << (7 * (position + 1));
                }
                return Ok(value);
            }
            previous = byte;
        }
        Err(Refusal::Number(self.part))
    }

    /// An unsigned number of at most `limit`.
    pub(super) fn at_most(&mut self, limit: u64) -> Result<u64, Refusal> {
        let value = self.unsigned()?;
        if value > limit { Err(Refusal::Limit { part: self.part, value: value.into() }) } else { Ok(value) }
    }

    /// Bytes behind their length, which is at most `limit`.
    pub(super) fn bytes(&mut self, limit: u64) -> Result<&'a [u8], Refusal> {
        // Cannot truncate: every limit fits a usize, and `take` compares with what is there.
        let len = self.at_most(limit)? as usize;
        self.take(len)
    }

    /// UTF-8 behind its length in bytes, which is at most `limit`.
    pub(super) fn text(&mut self, limit: u64) -> Result<&'a str, Refusal> {
        std::str::from_utf8(self.bytes(limit)?).map_err(|_| Refusal::Utf8(self.part))
    }
}

/// Append `value` in its shortest form.
pub(super) fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write_signed(out: &mut Vec<u8>, mut value: i64) {
        loop {
            let byte = value as u8 & 0x7f;
            value >>= 7;
            if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
                out.push(byte);
                return;
            }
            out.push(byte | 0x80);
        }
    }

    fn unsigned(bytes: &[u8]) -> Result<u64, Refusal> {
        Reader::new(bytes, Part::Seq).unsigned()
    }

    fn signed(bytes: &[u8]) -> Result<i64, Refusal> {
        Reader::new(bytes, Part::Seq).signed()
    }

    const BAD: Refusal = Refusal::Number(Part::Seq);

    #[test]
    fn overlong_and_oversized_unsigned_numbers_are_refused() {
        assert_eq!(unsigned(&[0]), Ok(0));
        assert_eq!(unsigned(&[0x80, 0]), Err(BAD));
        assert_eq!(unsigned(&[0x81, 0]), Err(BAD));
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Ok(u64::MAX));
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(BAD));
        assert_eq!(unsigned(&[0x80; 11]), Err(BAD));
        assert_eq!(unsigned(&[0x80]), Err(Refusal::Truncated(Part::Seq)));
    }

    #[test]
    fn overlong_and_oversized_signed_numbers_are_refused() {
        assert_eq!(signed(&[0x7f]), Ok(-1));
        assert_eq!(signed(&[0xff, 0x7f]), Err(BAD));
        assert_eq!(signed(&[0xbf, 0]), Err(BAD));
        assert_eq!(signed(&[0xc0, 0]), Ok(64));
        assert_eq!(signed(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]), Ok(i64::MAX));
        assert_eq!(signed(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f]), Ok(i64::MIN));
        assert_eq!(signed(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Err(BAD));
        assert_eq!(signed(&[0x80; 11]), Err(BAD));
    }

    proptest! {
        #[test]
        fn every_number_has_exactly_one_accepted_form(bytes in proptest::collection::vec(any::<u8>(), 1..11)) {
            if let Ok(value) = unsigned(&bytes) {
                let mut again = Vec::new();
                write_unsigned(&mut again, value);
                prop_assert_eq!(&bytes[..again.len()], &again[..]);
            }
            if let Ok(value) = signed(&bytes) {
                let mut again = Vec::new();
                write_signed(&mut again, value);
                prop_assert_eq!(&bytes[..again.len()], &again[..]);
            }
        }

        #[test]
        fn every_written_number_is_read_back(value in any::<u64>(), signed_value in any::<i64>(), shift in 0_u32..64) {
            let mut out = Vec::new();
            write_unsigned(&mut out, value >> shift);
            prop_assert_eq!(unsigned(&out), Ok(value >> shift));
            out.clear();
            write_signed(&mut out, signed_value >> shift);
            prop_assert_eq!(signed(&out), Ok(signed_value >> shift));
        }
    }
}
