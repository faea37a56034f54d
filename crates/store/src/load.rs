//! Reading for the core: what it boots from, documents and entries.

use farshore_core::batch::{Boot, BootSpace, JournalState, Load, Loaded, StoredDocument};
use farshore_core::id::{CollectionTag, DeviceId, DocKey, EntryHash, JournalId, Position, SpaceId};
use redb::{ReadOnlyTable, ReadTransaction};

use crate::error::StoreError;
use crate::tables::{
    CHECKPOINTS, COLLECTIONS, DOCUMENTS, ENTRIES, INVITATIONS, JOURNALS, META, PARTS, PEERS, ROSTER, SNAPSHOTS, SPACES,
    TAILS, TableSpec, key,
};
use crate::value::{CollectionRow, DocumentRow, JournalRow, Row, SpaceRow, Tags, corrupt};

/// A table within a read transaction.
pub(crate) type Rows<const N: usize> = ReadOnlyTable<&'static [u8; N], &'static [u8]>;

/// A read transaction with the key of the tags.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot<'t> {
    pub(crate) txn: &'t ReadTransaction,
    pub(crate) tags: &'t Tags,
}

impl Snapshot<'_> {
    pub(crate) fn table<const N: usize>(&self, spec: &TableSpec<N>) -> Result<Rows<N>, StoreError> {
        Ok(self.txn.open_table(spec.definition())?)
    }

    /// Calls `each` with every key and verified content within `first ..= last`, in order, until it says `false`.
    pub(crate) fn walk<const N: usize>(
        &self,
        spec: &TableSpec<N>,
        (first, last): &([u8; N], [u8; N]),
        mut each: impl FnMut(&[u8; N], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.table(spec)?.range::<&[u8; N]>(first..=last)? {
            let (key, value) = row?;
            let content = self.tags.open(spec, key.value(), value.value())?;
            if !each(key.value(), content)? {
                break;
            }
        }
        Ok(())
    }

    /// Walks a whole table.
    pub(crate) fn walk_all<const N: usize>(
        &self,
        spec: &TableSpec<N>,
        mut each: impl FnMut(&[u8; N], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.walk(spec, &key::range(&[]), |key, content| each(key, content).map(|()| true))
    }

    pub(crate) fn get<const N: usize>(
        &self,
        spec: &TableSpec<N>,
        key: &[u8; N],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.tags.get(spec, &self.table(spec)?, key)
    }

    /// The number of a space, if this store knows it.
    pub(crate) fn space(&self, space: &SpaceId) -> Result<Option<u32>, StoreError> {
        match self.get(&SPACES, &space.0)? {
            Some(bytes) => Ok(Some(SpaceRow::read(&SPACES, &space.0, &bytes)?.number)),
            None => Ok(None),
        }
    }

    /// The row of a collection, if this store knows it.
    pub(crate) fn collection(
        &self,
        space: &SpaceId,
        tag: &farshore_core::id::CollectionTag,
    ) -> Result<Option<CollectionRow>, StoreError> {
        let Some(space) = self.space(space)? else { return Ok(None) };
        let key = key::collection(space, tag);
        match self.get(&COLLECTIONS, &key)? {
            Some(bytes) => Ok(Some(CollectionRow::read(&COLLECTIONS, &key, &bytes)?)),
            None => Ok(None),
        }
    }

    /// The number of a journal, if this store knows it.
    pub(crate) fn journal(&self, space: &SpaceId, journal: &JournalId) -> Result<Option<u32>, StoreError> {
        let Some(space) = self.space(space)? else { return Ok(None) };
        let key = key::journal(space, journal);
        match self.get(&JOURNALS, &key)? {
            Some(bytes) => Ok(Some(JournalRow::read(&JOURNALS, &key, &bytes)?.number)),
            None => Ok(None),
        }
    }

    /// The row of a document's present life, and its generation, if there is one.
    pub(crate) fn document(&self, key: &DocKey) -> Result<Option<(u32, DocumentRow)>, StoreError> {
        let Some(collection) = self.collection(&key.space, &key.collection)? else { return Ok(None) };
        let (first, last) = key::lives(collection.number, &key.document);
        let table = self.table(&DOCUMENTS)?;
        let Some(row) = table.range::<&[u8; 24]>(&first..=&last)?.next_back() else { return Ok(None) };
        let (place, value) = row?;
        let content = self.tags.open(&DOCUMENTS, place.value(), value.value())?;
        let generation = u32::from_be_bytes(key::part(place.value(), 20));
        Ok(Some((generation, DocumentRow::read(&DOCUMENTS, place.value(), content)?)))
    }

    /// The row of one life of a document, if there is one.
    fn life(&self, key: &DocKey, generation: u32) -> Result<Option<(u32, DocumentRow)>, StoreError> {
        let Some(collection) = self.collection(&key.space, &key.collection)? else { return Ok(None) };
        let place = key::document(collection.number, &key.document, generation);
        match self.get(&DOCUMENTS, &place)? {
            Some(bytes) => Ok(Some((generation, DocumentRow::read(&DOCUMENTS, &place, &bytes)?))),
            None => Ok(None),
        }
    }

    /// Hashes of the entries kept at one place. Reads keys only.
    fn hashes(&self, space: &SpaceId, journal: &JournalId, seq: u64) -> Result<Vec<EntryHash>, StoreError> {
        let Some(number) = self.journal(space, journal)? else { return Ok(Vec::new()) };
        let (first, last) = key::range::<44>(&[number.to_be_bytes().as_slice(), &seq.to_be_bytes()].concat());
        let rows = self.table(&ENTRIES)?;
        let keys = rows.range::<&[u8; 44]>(&first..=&last)?;
        keys.map(|row| Ok(key::read_position(row?.0.value()).hash)).collect()
    }

    pub(crate) fn load(&self, load: &Load) -> Result<Loaded, StoreError> {
        match load {
            Load::Documents(keys) => {
                keys.iter().map(|key| self.stored(self.document(key)?)).collect::<Result<_, _>>().map(Loaded::Documents)
            }
            Load::Lives(lives) => {
                let stored = lives.iter().map(|(key, generation)| self.stored(self.life(key, *generation)?));
                stored.collect::<Result<_, _>>().map(Loaded::Documents)
            }
            Load::Entry { space, journal, position } => {
                let Some(number) = self.journal(space, journal)? else { return Ok(Loaded::Entries(Vec::new())) };
                let bytes = self.get(&ENTRIES, &key::entry(number, position))?;
                Ok(Loaded::Entries(bytes.map(|bytes| (*position, bytes)).into_iter().collect()))
            }
            Load::Hashes { space, places } => {
                let hashes = places.iter().map(|(journal, seq)| self.hashes(space, journal, *seq));
                hashes.collect::<Result<_, _>>().map(Loaded::Hashes)
            }
            Load::Part { slot, part } => Ok(Loaded::Part(self.get(&PARTS, &key::part_of(slot, *part))?)),
            Load::Entries { space, journal, from, to, limit_bytes, skip } => {
                let mut entries: Vec<(Position, Vec<u8>)> = Vec::new();
                let mut total = 0;
                self.entries(space, journal, *from, *to, |position, bytes| {
                    if position == *skip {
                        return true;
                    }
                    entries.push((position, bytes.to_vec()));
                    total += bytes.len();
                    total < *limit_bytes
                })?;
                Ok(Loaded::Entries(entries))
            }
        }
    }

    /// Calls `each` with entries of a journal, in order of seq and then hash, until it says `false`.
    pub(crate) fn entries(
        &self,
        space: &SpaceId,
        journal: &JournalId,
        from: u64,
        to: u64,
        mut each: impl FnMut(Position, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let Some(number) = self.journal(space, journal)? else { return Ok(()) };
        if from > to {
            return Ok(());
        }
        let first = key::range(&[number.to_be_bytes().as_slice(), &from.to_be_bytes()].concat()).0;
        let last = key::range(&[number.to_be_bytes().as_slice(), &to.to_be_bytes()].concat()).1;
        self.walk(&ENTRIES, &(first, last), |key, bytes| Ok(each(key::read_position(key), bytes)))
    }

    fn stored(&self, row: Option<(u32, DocumentRow)>) -> Result<Option<StoredDocument>, StoreError> {
        let Some((generation, row)) = row else { return Ok(None) };
        let number = row.number.to_be_bytes();
        let snapshot = match row.has_snapshot {
            true => Some(self.tags.expect(&SNAPSHOTS, &self.table(&SNAPSHOTS)?, &number)?),
            false => None,
        };
        let mut tail = Vec::new();
        self.walk(&TAILS, &key::range(&number), |key, chunk| {
            if key::part::<4, 12>(key, 8) != (tail.len() as u32).to_be_bytes() {
                return Err(corrupt(&TAILS, key, "a row before this one is missing"));
            }
            tail.push(chunk.to_vec());
            Ok(true)
        })?;
        if tail.len() as u64 != u64::from(row.tail) {
            return Err(corrupt(&TAILS, &key::tail(row.number, row.tail), "the tail has another length than recorded"));
        }
        Ok(Some(StoredDocument { generation, record: row.record, snapshot, tail }))
    }

    pub(crate) fn boot(&self) -> Result<Boot, StoreError> {
        let mut boot = Boot::default();
        self.walk_all(&META, |key, value| {
            let name = key::read_name(key).ok_or_else(|| corrupt(&META, key, "the key is not a name"))?;
            boot.meta.push((name.to_owned(), value.to_vec()));
            Ok(())
        })?;
        // Names sort by their length byte first; a reader of `Boot` should not have to know.
        boot.meta.sort();
        let mut spaces = Vec::new();
        self.walk_all(&SPACES, |key, bytes| {
            spaces.push((key::read_space(key), SpaceRow::read(&SPACES, key, bytes)?));
            Ok(())
        })?;
        for (space, row) in spaces {
            boot.spaces.push(self.boot_space(space, row)?);
        }
        self.walk_all(&INVITATIONS, |key, record| {
            boot.invitations.push((*key, record.to_vec()));
            Ok(())
        })?;
        Ok(boot)
    }

    fn boot_space(&self, space: SpaceId, row: SpaceRow) -> Result<BootSpace, StoreError> {
        let prefix = row.number.to_be_bytes();
        let mut roster = Vec::new();
        self.walk(&ROSTER, &key::range(&prefix), |_, bytes| {
            roster.push(bytes.to_vec());
            Ok(true)
        })?;
        let mut journals: Vec<(JournalId, JournalState)> = Vec::new();
        self.walk(&JOURNALS, &key::range(&prefix), |key, bytes| {
            if let Some(state) = JournalRow::read(&JOURNALS, key, bytes)?.state {
                journals.push((key::read_journal(key), state));
            }
            Ok(true)
        })?;
        let mut peers = Vec::new();
        self.walk(&PEERS, &key::range(&prefix), |key, record| {
            peers.push((DeviceId(key::part(key, 4)), record.to_vec()));
            Ok(true)
        })?;
        let mut checkpoints = Vec::new();
        self.walk(&CHECKPOINTS, &key::range(&prefix), |key, record| {
            checkpoints.push((CollectionTag(key::part(key, 4)), key::part(key, 20), record.to_vec()));
            Ok(true)
        })?;
        Ok(BootSpace { space, record: row.record.unwrap_or_default(), roster, journals, peers, checkpoints })
    }
}
