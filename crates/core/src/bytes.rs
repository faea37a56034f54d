//! The one reader and the one writer of canonical bytes: entries, roster operations, payloads and frames are all made of
//! these few shapes. Integers are big-endian and fixed in width, lists carry their count first, and nothing follows the end.
//!
//! Fixed widths cost a few bytes against varints and buy that every value has exactly one encoding.

use thiserror::Error;

/// Why bytes from outside were refused. Always the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("the bytes end inside `{field}`")]
    Truncated {
        /// The field that was being read.
        field: &'static str,
    },
    /// Bytes remain after the last field.
    #[error("{extra} bytes follow the end")]
    Trailing {
        /// How many bytes remain.
        extra: usize,
    },
    /// A length or a count is over its limit; nothing was allocated for it.
    #[error("`{field}` is {value}, over the limit of {limit}")]
    OverLimit {
        /// The field that holds the length or count.
        field: &'static str,
        /// What it said.
        value: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A field holds a value that no encoder of this version writes.
    #[error("`{field}` holds a value that is not allowed")]
    Invalid {
        /// The field.
        field: &'static str,
    },
    /// The format's version or suite is not known to this build.
    #[error("`{field}` is version {found}; this build knows {known}: update this device")]
    Version {
        /// What carries the version.
        field: &'static str,
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
}

/// Reads canonical bytes front to back; every read says what it is for, so that an error names the field.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes `count` bytes.
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        if count > self.rest.len() {
            return Err(DecodeError::Truncated { field });
        }
        let (head, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(head)
    }

    /// Takes a fixed-size array.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, field)?);
        Ok(out)
    }

    /// Takes one byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// Takes one byte that must be 0 or 1.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid { field }),
        }
    }

    /// Takes a big-endian `u16`.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Takes a big-endian `u32`.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    /// Takes a big-endian `u64`.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    /// Takes a `u16` count and checks it against `limit`, and against the bytes left when each item takes at least `item_bytes`.
    pub fn count(&mut self, limit: usize, item_bytes: usize, field: &'static str) -> Result<usize, DecodeError> {
        let count = usize::from(self.u16(field)?);
        if count > limit {
            return Err(DecodeError::OverLimit { field, value: count as u64, limit: limit as u64 });
        }
        if count.saturating_mul(item_bytes) > self.rest.len() {
            return Err(DecodeError::Truncated { field });
        }
        Ok(count)
    }

    /// Takes a `u32` count and checks it against the bytes left, when each item takes at least `item_bytes`.
    pub fn long_count(&mut self, item_bytes: usize, field: &'static str) -> Result<usize, DecodeError> {
        let count = self.u32(field)? as usize;
        match count.saturating_mul(item_bytes) > self.rest.len() {
            true => Err(DecodeError::Truncated { field }),
            false => Ok(count),
        }
    }

    /// Takes a byte string: a `u32` length, checked against `limit`, then that many bytes.
    pub fn bytes(&mut self, limit: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.u32(field)? as usize;
        if length > limit {
            return Err(DecodeError::OverLimit { field, value: length as u64, limit: limit as u64 });
        }
        self.take(length, field)
    }

    /// Takes a UTF-8 string, encoded like a byte string.
    pub fn text(&mut self, limit: usize, field: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(limit, field)?).map_err(|_| DecodeError::Invalid { field })
    }

    /// Refuses anything that follows the last field.
    pub fn end(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { extra }),
        }
    }
}

/// Writes what [`Reader`] reads.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Starts empty.
    pub fn new() -> Self {
        Writer::default()
    }

    /// Appends raw bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// Appends a bool as 0 or 1.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    /// Appends a big-endian `u16`.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a big-endian `u32`.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a big-endian `u64`.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a `u16` count.
    ///
    /// # Panics
    /// When the count does not fit: every list that is written has a limit under 65,536, so this is a bug of ours.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.u16(u16::try_from(count).expect("lists are capped below 65,536 before they are written"))
    }

    /// Appends a `u32` count.
    ///
    /// # Panics
    /// When the count does not fit: its items would take more memory than any device has.
    pub fn long_count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("a list of 4 billion items does not fit in memory"))
    }

    /// Appends a `u32` length and the bytes.
    ///
    /// # Panics
    /// When the length does not fit in 32 bits: callers cap what they write far below, so this is a bug of ours.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).expect("byte strings are capped below 4 GiB before they are written"))
            .raw(bytes)
    }

    /// Appends a string like a byte string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// How many bytes were written so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.out
    }

    /// Takes what was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}
