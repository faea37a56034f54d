//! The canonical bytes of a value: one encoding for each value. Views are kept in the store in this form.
//!
//! A kind byte, then: nothing, a big-endian integer, a length and bytes, or a `u32` count and the members. A map's keys
//! ascend strictly by their bytes.

use std::collections::BTreeMap;

use super::Value;
use crate::bytes::{DecodeError, Reader, Writer};
use crate::limits::VALUE_DEPTH;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const UINT: u8 = 4;
const FLOAT: u8 = 5;
const STR: u8 = 6;
const TEXT: u8 = 7;
const COUNTER: u8 = 8;
const TIMESTAMP: u8 = 9;
const BYTES: u8 = 10;
const LIST: u8 = 11;
const MAP: u8 = 12;

/// The fewest bytes that a map entry takes: the key's length and the value's kind.
const ENTRY_MIN_BYTES: usize = 5;

impl Value {
    /// The canonical bytes.
    ///
    /// # Panics
    /// When a list, map or string has 2^32 members or bytes: more than a document can hold.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.write(&mut out);
        out.finish()
    }

    /// Appends the canonical bytes to what is being written; see [`Value::encode`].
    pub fn write(&self, out: &mut Writer) {
        match self {
            Value::Null => out.u8(NULL),
            Value::Bool(false) => out.u8(FALSE),
            Value::Bool(true) => out.u8(TRUE),
            Value::Int(value) => out.u8(INT).u64(value.cast_unsigned()),
            Value::Uint(value) => out.u8(UINT).u64(*value),
            Value::Float(value) => out.u8(FLOAT).u64(value.to_bits()),
            Value::Str(text) => out.u8(STR).text(text),
            Value::Text(text) => out.u8(TEXT).text(text),
            Value::Counter(value) => out.u8(COUNTER).u64(value.cast_unsigned()),
            Value::Timestamp(value) => out.u8(TIMESTAMP).u64(value.cast_unsigned()),
            Value::Bytes(bytes) => out.u8(BYTES).bytes(bytes),
            Value::List(list) => {
                write_count(out.u8(LIST), list.len());
                list.iter().for_each(|value| value.write(out));
                out
            }
            Value::Map(map) => {
                write_count(out.u8(MAP), map.len());
                for (key, value) in map {
                    out.text(key);
                    value.write(out);
                }
                out
            }
        };
    }

    /// Reads the canonical bytes of one value, and nothing after it.
    ///
    /// # Errors
    /// When the bytes are not what [`Value::encode`] writes, or nest deeper than [`VALUE_DEPTH`].
    pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Value::read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// Reads one value from the front of what is left; see [`Value::decode`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Value, DecodeError> {
        read(reader, 0)
    }
}

fn write_count(out: &mut Writer, count: usize) {
    out.u32(u32::try_from(count).expect("a document holds fewer than 2^32 values"));
}

/// `depth` counts the containers around the value.
fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Value, DecodeError> {
    let limit = reader.remaining();
    Ok(match reader.u8("value kind")? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => Value::Int(reader.u64("integer")?.cast_signed()),
        UINT => Value::Uint(reader.u64("integer")?),
        FLOAT => Value::Float(f64::from_bits(reader.u64("float")?)),
        STR => Value::Str(reader.text(limit, "string")?.to_owned()),
        TEXT => Value::Text(reader.text(limit, "text")?.to_owned()),
        COUNTER => Value::Counter(reader.u64("counter")?.cast_signed()),
        TIMESTAMP => Value::Timestamp(reader.u64("timestamp")?.cast_signed()),
        BYTES => Value::Bytes(reader.bytes(limit, "bytes")?.to_owned()),
        LIST => {
            let count = count(reader, depth, 1, "list")?;
            let mut list = Vec::new();
            for _ in 0..count {
                list.push(read(reader, depth + 1)?);
            }
            Value::List(list)
        }
        MAP => {
            let count = count(reader, depth, ENTRY_MIN_BYTES, "map")?;
            let mut map = BTreeMap::new();
            for _ in 0..count {
                let key = reader.text(limit, "map key")?.to_owned();
                if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                    return Err(DecodeError::Invalid { field: "map key order" });
                }
                let value = read(reader, depth + 1)?;
                map.insert(key, value);
            }
            Value::Map(map)
        }
        _ => return Err(DecodeError::Invalid { field: "value kind" }),
    })
}

/// Reads a container's count, after checking that the container may be here and that its members fit in what is left.
fn count(
    reader: &mut Reader<'_>,
    depth: usize,
    member_bytes: usize,
    field: &'static str,
) -> Result<usize, DecodeError> {
    if depth >= VALUE_DEPTH {
        let limit = VALUE_DEPTH as u64;
        return Err(DecodeError::OverLimit { field: "value depth", value: depth as u64 + 1, limit });
    }
    let count = reader.u32(field)? as usize;
    if count.saturating_mul(member_bytes) > reader.remaining() {
        return Err(DecodeError::Truncated { field });
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]))
    }

    #[test]
    fn depth_is_bounded_while_decoding() {
        let allowed = nested(VALUE_DEPTH);
        assert_eq!(Value::decode(&allowed.encode()).unwrap(), allowed);
        let refused = Value::decode(&nested(VALUE_DEPTH + 1).encode());
        assert_eq!(refused, Err(DecodeError::OverLimit { field: "value depth", value: 101, limit: 100 }));
        // A million opening brackets neither overflow the stack nor are allocated for.
        let hostile = [LIST, 0, 0, 0, 1].repeat(1_000_000);
        assert!(Value::decode(&hostile).is_err());
    }

    #[test]
    fn only_canonical_maps_are_read() {
        let entry = |key: u8| [0, 0, 0, 1, key, NULL];
        let ascending = [&[MAP, 0, 0, 0, 2][..], &entry(b'a'), &entry(b'b')].concat();
        assert!(Value::decode(&ascending).is_ok());
        let descending = [&[MAP, 0, 0, 0, 2][..], &entry(b'b'), &entry(b'a')].concat();
        assert_eq!(Value::decode(&descending), Err(DecodeError::Invalid { field: "map key order" }));
        let twice = [&[MAP, 0, 0, 0, 2][..], &entry(b'a'), &entry(b'a')].concat();
        assert_eq!(Value::decode(&twice), Err(DecodeError::Invalid { field: "map key order" }));
    }

    #[test]
    fn counts_and_lengths_beyond_the_bytes_are_refused() {
        assert_eq!(Value::decode(&[LIST, 255, 255, 255, 255]), Err(DecodeError::Truncated { field: "list" }));
        assert_eq!(Value::decode(&[MAP, 0, 0, 0, 1, 0, 0, 0, 0]), Err(DecodeError::Truncated { field: "map" }));
        assert!(Value::decode(&[STR, 255, 255, 255, 255]).is_err());
        assert!(Value::decode(&[13]).is_err());
        assert!(Value::decode(&[NULL, NULL]).is_err());
        assert!(Value::decode(&[STR, 0, 0, 0, 1, 0xff]).is_err());
    }
}
