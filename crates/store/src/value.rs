//! Values: the tag that binds each to its table and key, and the fixed rows that the store itself reads.

use farshore_core::batch::JournalState;
use farshore_core::bytes::{DecodeError, Reader, Writer};
use farshore_core::id::{EntryHash, OpHash, Position, hex};
use farshore_core::limits::ROSTER_HEADS;
use redb::{ReadableTable, Table, WriteTransaction};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::tables::TableSpec;

/// Bytes of a tag: a forger who can write the file but has no key succeeds once in 2^128 tries.
const TAG_BYTES: usize = 16;

/// Makes and checks tags.
pub(crate) struct Tags {
    key: Zeroizing<[u8; 32]>,
}

impl Tags {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Tags { key }
    }

    fn tag(&self, table: u8, key: &[u8], content: &[u8]) -> [u8; TAG_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // Keys are at most 108 bytes long: their length fits.
        hasher.update(&[table, key.len() as u8]).update(key).update(content);
        let mut out = [0; TAG_BYTES];
        out.copy_from_slice(&hasher.finalize().as_bytes()[..TAG_BYTES]);
        out
    }

    /// The content of a stored value.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the tag does not fit.
    pub(crate) fn open<'v, const N: usize>(
        &self,
        spec: &TableSpec<N>,
        key: &[u8; N],
        value: &'v [u8],
    ) -> Result<&'v [u8], StoreError> {
        let Some((tag, content)) = value.split_first_chunk::<TAG_BYTES>() else {
            return Err(corrupt(spec, key, "the value is too short"));
        };
        // Not secret-dependent in a way that helps: whoever can time this has the file and lacks the key.
        if *tag != self.tag(spec.number, key, content) {
            return Err(corrupt(spec, key, "the value was altered"));
        }
        Ok(content)
    }

    /// Reads one row.
    pub(crate) fn get<const N: usize>(
        &self,
        spec: &TableSpec<N>,
        table: &impl ReadableTable<&'static [u8; N], &'static [u8]>,
        key: &[u8; N],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match table.get(key)? {
            Some(value) => Ok(Some(self.open(spec, key, value.value())?.to_vec())),
            None => Ok(None),
        }
    }

    /// Reads one row that another row says is there.
    pub(crate) fn expect<const N: usize>(
        &self,
        spec: &TableSpec<N>,
        table: &impl ReadableTable<&'static [u8; N], &'static [u8]>,
        key: &[u8; N],
    ) -> Result<Vec<u8>, StoreError> {
        self.get(spec, table, key)?.ok_or_else(|| corrupt(spec, key, "the row is missing"))
    }
}

/// A table within a write transaction.
pub(crate) struct Writable<'t, const N: usize> {
    spec: TableSpec<N>,
    table: Table<'t, &'static [u8; N], &'static [u8]>,
    tags: &'t Tags,
}

impl<'t, const N: usize> Writable<'t, N> {
    pub(crate) fn open(txn: &'t WriteTransaction, spec: TableSpec<N>, tags: &'t Tags) -> Result<Self, StoreError> {
        let table = txn.open_table(spec.definition())?;
        Ok(Writable { spec, table, tags })
    }

    pub(crate) fn get(&self, key: &[u8; N]) -> Result<Option<Vec<u8>>, StoreError> {
        self.tags.get(&self.spec, &self.table, key)
    }

    pub(crate) fn put(&mut self, key: &[u8; N], content: &[u8]) -> Result<(), StoreError> {
        let tag = self.tags.tag(self.spec.number, key, content);
        let mut place = self.table.insert_reserve(key, TAG_BYTES + content.len())?;
        let value = place.as_mut();
        value[..TAG_BYTES].copy_from_slice(&tag);
        value[TAG_BYTES..].copy_from_slice(content);
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: &[u8; N]) -> Result<(), StoreError> {
        self.table.remove(key)?;
        Ok(())
    }

    /// The last key within `first ..= last`.
    pub(crate) fn last_key(&self, first: &[u8; N], last: &[u8; N]) -> Result<Option<[u8; N]>, StoreError> {
        match self.table.range::<&[u8; N]>(first..=last)?.next_back() {
            Some(row) => Ok(Some(*row?.0.value())),
            None => Ok(None),
        }
    }

    /// The error of a row whose tag is right and whose content is not.
    pub(crate) fn malformed(&self, key: &[u8; N]) -> StoreError {
        corrupt(&self.spec, key, "the row has another form than this version writes")
    }
}

/// Names a damaged row.
pub(crate) fn corrupt<const N: usize>(spec: &TableSpec<N>, key: &[u8; N], detail: &'static str) -> StoreError {
    StoreError::Corrupt { table: spec.name, key: hex(key), detail }
}

/// A row with a form of its own.
pub(crate) trait Row: Sized {
    fn encode(&self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;

    /// Decodes a row that was found under `key`.
    fn read<const N: usize>(spec: &TableSpec<N>, key: &[u8; N], bytes: &[u8]) -> Result<Self, StoreError> {
        Self::decode(bytes).map_err(|_| corrupt(spec, key, "the row has another form than this version writes"))
    }
}

/// Next free numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) space: u32,
    pub(crate) collection: u32,
    pub(crate) journal: u32,
    pub(crate) document: u64,
}

impl Row for Counters {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u32(self.space).u32(self.collection).u32(self.journal).u64(self.document);
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(bytes);
        let counters = Counters {
            space: from.u32("space")?,
            collection: from.u32("collection")?,
            journal: from.u32("journal")?,
            document: from.u64("document")?,
        };
        from.end()?;
        Ok(counters)
    }
}

/// A row of `spaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpaceRow {
    pub(crate) number: u32,
    /// `None` until the core first put one.
    pub(crate) record: Option<Vec<u8>>,
}

impl Row for SpaceRow {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u32(self.number).bool(self.record.is_some()).raw(self.record.as_deref().unwrap_or_default());
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(bytes);
        let number = from.u32("number")?;
        let record = match from.bool("present")? {
            true => Some(from.take(from.remaining(), "record")?.to_vec()),
            false => None,
        };
        from.end()?;
        Ok(SpaceRow { number, record })
    }
}

/// A row of `collections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CollectionRow {
    pub(crate) number: u32,
    /// Documents that have a view.
    pub(crate) count: u64,
}

impl Row for CollectionRow {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u32(self.number).u64(self.count);
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(bytes);
        let row = CollectionRow { number: from.u32("number")?, count: from.u64("count")? };
        from.end()?;
        Ok(row)
    }
}

/// A row of `journals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JournalRow {
    pub(crate) number: u32,
    /// `None` while only single entries of it are kept (the proof of a fork).
    pub(crate) state: Option<JournalState>,
}

impl Row for JournalRow {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u32(self.number).bool(self.state.is_some());
        let empty = JournalState::EMPTY;
        let state = self.state.as_ref().unwrap_or(&empty);
        out.u64(state.held.seq).raw(&state.held.hash.0).u64(state.applied).u64(state.arrival).bool(state.closed);
        out.u64(state.fork.seq).raw(&state.fork.hash.0).count(state.cites.len());
        for head in &state.cites {
            out.raw(&head.0);
        }
        if state.floor > 0 {
            out.u64(state.floor);
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(bytes);
        let number = from.u32("number")?;
        let present = from.bool("present")?;
        let mut state = JournalState {
            held: Position { seq: from.u64("seq")?, hash: EntryHash(from.array("hash")?) },
            applied: from.u64("applied")?,
            arrival: from.u64("arrival")?,
            closed: from.bool("closed")?,
            fork: Position { seq: from.u64("fork seq")?, hash: EntryHash(from.array("fork hash")?) },
            cites: Vec::new(),
            floor: 0,
        };
        for _ in 0..from.count(ROSTER_HEADS, 32, "roster heads")? {
            state.cites.push(OpHash(from.array("roster head")?));
        }
        if from.remaining() > 0 {
            state.floor = from.u64("floor")?;
            if state.floor == 0 {
                return Err(DecodeError::Invalid { field: "floor" });
            }
        }
        from.end()?;
        Ok(JournalRow { number, state: present.then_some(state) })
    }
}

const FLAG_VIEW: u8 = 1;
const FLAG_SNAPSHOT: u8 = 2;

/// A row of `documents`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DocumentRow {
    pub(crate) number: u64,
    pub(crate) has_view: bool,
    pub(crate) has_snapshot: bool,
    /// Chunks in the tail: rows 0 .. of `tails`.
    pub(crate) tail: u32,
    /// The core's.
    pub(crate) record: Vec<u8>,
}

impl Row for DocumentRow {
    fn encode(&self) -> Vec<u8> {
        let flags = u8::from(self.has_view) * FLAG_VIEW + u8::from(self.has_snapshot) * FLAG_SNAPSHOT;
        let mut out = Writer::new();
        out.u8(flags).u64(self.number).u32(self.tail).raw(&self.record);
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(bytes);
        let flags = from.u8("flags")?;
        if flags & !(FLAG_VIEW | FLAG_SNAPSHOT) != 0 {
            return Err(DecodeError::Invalid { field: "flags" });
        }
        Ok(DocumentRow {
            number: from.u64("number")?,
            has_view: flags & FLAG_VIEW != 0,
            has_snapshot: flags & FLAG_SNAPSHOT != 0,
            tail: from.u32("tail")?,
            record: from.take(from.remaining(), "record")?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{SNAPSHOTS, VIEWS};

    #[test]
    fn a_value_under_another_key_or_in_another_table_does_not_verify() {
        let tags = Tags::new(Zeroizing::new([3; 32]));
        let mut value = tags.tag(VIEWS.number, &[1; 8], b"content").to_vec();
        value.extend_from_slice(b"content");
        assert_eq!(tags.open(&VIEWS, &[1; 8], &value).unwrap(), b"content");
        assert!(tags.open(&VIEWS, &[2; 8], &value).is_err());
        assert!(tags.open(&SNAPSHOTS, &[1; 8], &value).is_err());
        assert!(Tags::new(Zeroizing::new([4; 32])).open(&VIEWS, &[1; 8], &value).is_err());
        value.push(0);
        assert!(tags.open(&VIEWS, &[1; 8], &value).is_err());
        assert!(tags.open(&VIEWS, &[1; 8], &[0; 15]).is_err());
    }

    #[test]
    fn rows_read_back_what_they_write_and_refuse_what_is_left_over() {
        fn both<R: Row + PartialEq + std::fmt::Debug>(row: R, open_ended: bool) {
            let mut bytes = row.encode();
            assert_eq!(R::decode(&bytes).unwrap(), row);
            bytes.push(0);
            assert_eq!(R::decode(&bytes).is_err(), !open_ended);
            assert!(R::decode(&bytes[..3]).is_err());
        }
        both(Counters { space: 1, collection: 2, journal: 3, document: 4 }, false);
        both(SpaceRow { number: 1, record: None }, false);
        both(SpaceRow { number: 1, record: Some(vec![1, 2]) }, true);
        both(CollectionRow { number: 7, count: 9 }, false);
        let state = JournalState {
            held: Position { seq: 1, hash: EntryHash([2; 32]) },
            applied: 1,
            arrival: 9,
            closed: true,
            cites: vec![OpHash([3; 32]), OpHash([4; 32])],
            fork: Position { seq: 1, hash: EntryHash([5; 32]) },
            floor: 0,
        };
        both(JournalRow { number: 1, state: Some(JournalState { floor: 1, ..state.clone() }) }, false);
        both(JournalRow { number: 1, state: Some(state) }, false);
        both(JournalRow { number: 1, state: None }, false);
        both(DocumentRow { number: 1, has_view: true, has_snapshot: false, tail: 3, record: vec![5] }, true);
    }
}
