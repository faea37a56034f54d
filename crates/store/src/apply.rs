//! Writing: many batches, one transaction.

use std::collections::BTreeMap;

use farshore_core::batch::{Batch, ContentOp, JournalState, Slot, StoreOp, ViewOp};
use farshore_core::id::{CollectionTag, DocKey, JournalId, OpHash, SpaceId};
use redb::WriteTransaction;

use crate::error::StoreError;
use crate::store::{Store, own_key};
use crate::tables::{
    CHECKPOINTS, COLLECTIONS, DOCUMENTS, ENTRIES, INVITATIONS, JOURNALS, META, META_NAME_BYTES, NAME, PARTS, PEERS,
    REJECTED, ROSTER, ROSTER_SEEN, SNAPSHOTS, SPACES, STORE, TAILS, VIEWS, key, row,
};
use crate::value::{CollectionRow, Counters, DocumentRow, JournalRow, Row, SpaceRow, Tags, Writable};

impl Store {
    /// Makes `batches` durable, in this order and all together: one transaction, 2 syncs, however many they are (group commit).
    /// When it returns, they survive a crash of the process, the system or its power.
    ///
    /// # Errors
    /// Nothing of any of the batches is stored after [`StoreError::OverLimit`], [`StoreError::Corrupt`] or
    /// [`StoreError::Fault`], and the store can be used further. After a [fatal](StoreError::is_fatal) error it must be opened
    /// again, and then holds all batches of the call or none.
    ///
    /// # Cost
    /// Two syncs, and for each row a walk down one tree. An import of 256 documents a call is measured in
    /// `docs/file-format.md`.
    pub fn apply(&self, batches: &[Batch]) -> Result<(), StoreError> {
        if batches.iter().all(|batch| batch.ops.is_empty()) {
            return Ok(());
        }
        self.inner.write(|txn| {
            let mut writer = Writer::open(txn, &self.inner.tags)?;
            for op in batches.iter().flat_map(|batch| &batch.ops) {
                writer.op(op)?;
            }
            writer.finish()
        })
    }
}

/// All tables, open for one transaction, and what was looked up in it so far.
///
/// Nothing is remembered between transactions: a number that was given out in one that failed must not be used in the next.
struct Writer<'t> {
    store: Writable<'t, NAME>,
    meta: Writable<'t, NAME>,
    spaces: Writable<'t, 32>,
    roster: Writable<'t, 8>,
    roster_seen: Writable<'t, 36>,
    collections: Writable<'t, 20>,
    journals: Writable<'t, 68>,
    entries: Writable<'t, 44>,
    documents: Writable<'t, 24>,
    snapshots: Writable<'t, 8>,
    tails: Writable<'t, 12>,
    views: Writable<'t, 8>,
    peers: Writable<'t, 36>,
    invitations: Writable<'t, 16>,
    rejected: Writable<'t, 108>,
    checkpoints: Writable<'t, 36>,
    parts: Writable<'t, 20>,
    counters: Counters,
    counters_before: Counters,
    known_spaces: BTreeMap<SpaceId, u32>,
    known_collections: BTreeMap<(u32, CollectionTag), Counted>,
    known_journals: BTreeMap<(u32, JournalId), u32>,
}

/// A collection's row, and whether it must be written back.
struct Counted {
    row: CollectionRow,
    changed: bool,
}

impl<'t> Writer<'t> {
    fn open(txn: &'t WriteTransaction, tags: &'t Tags) -> Result<Self, StoreError> {
        let store = Writable::open(txn, STORE, tags)?;
        let counters_key = own_key(row::COUNTERS)?;
        let counters = match store.get(&counters_key)? {
            Some(bytes) => Counters::read(&STORE, &counters_key, &bytes)?,
            // Starting again from 0 would give numbers out twice.
            None => return Err(store.malformed(&counters_key)),
        };
        Ok(Writer {
            store,
            meta: Writable::open(txn, META, tags)?,
            spaces: Writable::open(txn, SPACES, tags)?,
            roster: Writable::open(txn, ROSTER, tags)?,
            roster_seen: Writable::open(txn, ROSTER_SEEN, tags)?,
            collections: Writable::open(txn, COLLECTIONS, tags)?,
            journals: Writable::open(txn, JOURNALS, tags)?,
            entries: Writable::open(txn, ENTRIES, tags)?,
            documents: Writable::open(txn, DOCUMENTS, tags)?,
            snapshots: Writable::open(txn, SNAPSHOTS, tags)?,
            tails: Writable::open(txn, TAILS, tags)?,
            views: Writable::open(txn, VIEWS, tags)?,
            peers: Writable::open(txn, PEERS, tags)?,
            invitations: Writable::open(txn, INVITATIONS, tags)?,
            rejected: Writable::open(txn, REJECTED, tags)?,
            checkpoints: Writable::open(txn, CHECKPOINTS, tags)?,
            parts: Writable::open(txn, PARTS, tags)?,
            counters,
            counters_before: counters,
            known_spaces: BTreeMap::new(),
            known_collections: BTreeMap::new(),
            known_journals: BTreeMap::new(),
        })
    }

    fn op(&mut self, op: &StoreOp) -> Result<(), StoreError> {
        match op {
            StoreOp::PutMeta { name, value } => {
                let key = key::name(name).ok_or(StoreError::OverLimit {
                    field: "the length of a name in bytes",
                    value: name.len(),
                    limit: META_NAME_BYTES,
                })?;
                self.meta.put(&key, value)
            }
            StoreOp::PutRosterOp { space, hash, bytes } => self.put_roster_op(space, hash, bytes),
            StoreOp::PutSpace { space, record } => {
                let number = self.space(space)?;
                self.spaces.put(&space.0, &SpaceRow { number, record: Some(record.clone()) }.encode())
            }
            StoreOp::PutEntry { space, journal, position, bytes } => {
                let space = self.space(space)?;
                let journal = self.journal(space, journal)?;
                self.entries.put(&key::entry(journal, position), bytes)
            }
            StoreOp::PutJournal { space, journal, state } => self.put_journal(space, journal, state),
            StoreOp::PutDocument { key, generation, record, content, view } => {
                self.put_document(key, *generation, record, content, view)
            }
            StoreOp::PutPeer { space, device, record } => {
                let space = self.space(space)?;
                self.peers.put(&key::peer(space, device), record)
            }
            StoreOp::PutInvitation { ticket, record } => self.invitations.put(ticket, record),
            StoreOp::PutRejected { space, journal, position, reason } => {
                let space = self.space(space)?;
                self.rejected.put(&key::rejected(space, journal, position), reason.as_bytes())
            }
            StoreOp::PutCheckpoint { space, collection, slot, record } => {
                let space = self.space(space)?;
                self.checkpoints.put(&key::checkpoint(space, collection, slot), record)
            }
            StoreOp::PutPart { slot, part, bytes } => self.parts.put(&key::part_of(slot, *part), bytes),
            StoreOp::DropCheckpoint { space, collection, slot } => {
                let space = self.space(space)?;
                self.checkpoints.remove(&key::checkpoint(space, collection, slot))?;
                self.drop_parts(slot)
            }
        }
    }

    /// Writes what was gathered: collection counts and next numbers.
    fn finish(mut self) -> Result<(), StoreError> {
        for ((space, tag), counted) in &self.known_collections {
            if counted.changed {
                self.collections.put(&key::collection(*space, tag), &counted.row.encode())?;
            }
        }
        if self.counters != self.counters_before {
            self.store.put(&own_key(row::COUNTERS)?, &self.counters.encode())?;
        }
        Ok(())
    }

    fn put_roster_op(&mut self, space: &SpaceId, hash: &OpHash, bytes: &[u8]) -> Result<(), StoreError> {
        let space = self.space(space)?;
        let seen = key::roster_seen(space, hash);
        if self.roster_seen.get(&seen)?.is_some() {
            return Ok(());
        }
        let (first, last) = key::range(&space.to_be_bytes());
        let n = match self.roster.last_key(&first, &last)? {
            Some(key) => next_u32(u32::from_be_bytes(key::part(&key, 4)))?,
            None => 0,
        };
        self.roster.put(&key::roster(space, n), bytes)?;
        self.roster_seen.put(&seen, &n.to_be_bytes())
    }

    fn drop_parts(&mut self, slot: &Slot) -> Result<(), StoreError> {
        let (first, last) = key::range(slot);
        while let Some(key) = self.parts.last_key(&first, &last)? {
            self.parts.remove(&key)?;
        }
        Ok(())
    }

    fn put_journal(&mut self, space: &SpaceId, journal: &JournalId, state: &JournalState) -> Result<(), StoreError> {
        let space = self.space(space)?;
        let number = self.journal(space, journal)?;
        self.journals.put(&key::journal(space, journal), &JournalRow { number, state: Some(state.clone()) }.encode())
    }

    fn put_document(
        &mut self,
        key: &DocKey,
        generation: u32,
        record: &[u8],
        content: &ContentOp,
        view: &ViewOp,
    ) -> Result<(), StoreError> {
        let space = self.space(&key.space)?;
        let collection = self.collection(space, key.collection)?.row.number;
        let place = key::document(collection, &key.document, generation);
        let mut row = match self.documents.get(&place)? {
            Some(bytes) => DocumentRow::read(&DOCUMENTS, &place, &bytes)?,
            None => {
                let number = self.counters.document;
                self.counters.document = number.checked_add(1).ok_or_else(exhausted)?;
                DocumentRow { number, has_view: false, has_snapshot: false, tail: 0, record: Vec::new() }
            }
        };
        record.clone_into(&mut row.record);
        self.content(&mut row, content)?;
        let had_view = row.has_view;
        self.view(&mut row, view)?;
        if row.has_view != had_view {
            let counted = self.collection(space, key.collection)?;
            counted.changed = true;
            counted.row.count = match row.has_view {
                true => counted.row.count.saturating_add(1),
                false => counted.row.count.saturating_sub(1),
            };
        }
        self.documents.put(&place, &row.encode())
    }

    fn content(&mut self, row: &mut DocumentRow, content: &ContentOp) -> Result<(), StoreError> {
        match content {
            ContentOp::Keep => Ok(()),
            ContentOp::Append(chunks) => self.append(row, chunks),
            ContentOp::Replace(snapshot) => {
                self.clear_tail(row)?;
                row.has_snapshot = true;
                self.snapshots.put(&row.number.to_be_bytes(), snapshot)
            }
        }
    }

    fn append(&mut self, row: &mut DocumentRow, chunks: &[Vec<u8>]) -> Result<(), StoreError> {
        for chunk in chunks {
            self.tails.put(&key::tail(row.number, row.tail), chunk)?;
            row.tail = next_u32(row.tail)?;
        }
        Ok(())
    }

    fn clear_tail(&mut self, row: &mut DocumentRow) -> Result<(), StoreError> {
        for n in 0..row.tail {
            self.tails.remove(&key::tail(row.number, n))?;
        }
        row.tail = 0;
        Ok(())
    }

    fn view(&mut self, row: &mut DocumentRow, view: &ViewOp) -> Result<(), StoreError> {
        match view {
            ViewOp::Keep => Ok(()),
            ViewOp::Put(bytes) => {
                row.has_view = true;
                self.views.put(&row.number.to_be_bytes(), bytes)
            }
            ViewOp::Remove => {
                if row.has_view {
                    self.views.remove(&row.number.to_be_bytes())?;
                }
                row.has_view = false;
                Ok(())
            }
        }
    }

    /// The number of a space, given out now if it is new.
    fn space(&mut self, space: &SpaceId) -> Result<u32, StoreError> {
        if let Some(number) = self.known_spaces.get(space) {
            return Ok(*number);
        }
        let number = match self.spaces.get(&space.0)? {
            Some(bytes) => SpaceRow::read(&SPACES, &space.0, &bytes)?.number,
            None => {
                let number = self.counters.space;
                self.counters.space = next_u32(number)?;
                self.spaces.put(&space.0, &SpaceRow { number, record: None }.encode())?;
                number
            }
        };
        self.known_spaces.insert(*space, number);
        Ok(number)
    }

    /// The row of a collection, given out now if it is new.
    fn collection(&mut self, space: u32, tag: CollectionTag) -> Result<&mut Counted, StoreError> {
        use std::collections::btree_map::Entry;
        let vacant = match self.known_collections.entry((space, tag)) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let place = key::collection(space, &tag);
        let counted = match self.collections.get(&place)? {
            Some(bytes) => Counted { row: CollectionRow::read(&COLLECTIONS, &place, &bytes)?, changed: false },
            None => {
                let number = self.counters.collection;
                self.counters.collection = next_u32(number)?;
                Counted { row: CollectionRow { number, count: 0 }, changed: true }
            }
        };
        Ok(vacant.insert(counted))
    }

    /// The number of a journal, given out now if it is new.
    fn journal(&mut self, space: u32, journal: &JournalId) -> Result<u32, StoreError> {
        if let Some(number) = self.known_journals.get(&(space, *journal)) {
            return Ok(*number);
        }
        let place = key::journal(space, journal);
        let number = match self.journals.get(&place)? {
            Some(bytes) => JournalRow::read(&JOURNALS, &place, &bytes)?.number,
            None => {
                let number = self.counters.journal;
                self.counters.journal = next_u32(number)?;
                self.journals.put(&place, &JournalRow { number, state: None }.encode())?;
                number
            }
        };
        self.known_journals.insert((space, *journal), number);
        Ok(number)
    }
}

/// The number after `n`. Four thousand million of anything that is counted in 32 bits will not be reached honestly.
fn next_u32(n: u32) -> Result<u32, StoreError> {
    n.checked_add(1).ok_or_else(exhausted)
}

fn exhausted() -> StoreError {
    StoreError::Fault("the numbers of a table are used up".to_owned())
}
