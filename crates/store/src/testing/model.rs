//! What a store should hold: the contract of `farshore_core::batch`, in ordinary maps.

use std::collections::BTreeMap;
use std::fmt::Debug;

use farshore_core::batch::{
    Batch, Boot, BootSpace, ContentOp, JournalState, Load, Loaded, Slot, StoreOp, StoredDocument, ViewOp,
};
use farshore_core::id::{CollectionTag, DeviceId, DocKey, DocumentId, EntryHash, JournalId, OpHash, Position, SpaceId};

use crate::Reader;

/// Documents asked for in one page of a list: small, so that paging is exercised.
const PAGE: usize = 7;
/// Bytes of an entry taken for its header.
const HEADER_BYTES: usize = 40;

/// The truth to compare a store with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    meta: BTreeMap<String, Vec<u8>>,
    spaces: BTreeMap<SpaceId, Space>,
    invitations: BTreeMap<[u8; 16], Vec<u8>>,
    parts: BTreeMap<(Slot, u32), Vec<u8>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Space {
    record: Vec<u8>,
    roster: Vec<(OpHash, Vec<u8>)>,
    journals: BTreeMap<JournalId, JournalState>,
    entries: BTreeMap<JournalId, BTreeMap<(u64, EntryHash), Vec<u8>>>,
    documents: BTreeMap<CollectionTag, BTreeMap<DocumentId, BTreeMap<u32, Document>>>,
    peers: BTreeMap<DeviceId, Vec<u8>>,
    checkpoints: BTreeMap<(CollectionTag, Slot), Vec<u8>>,
    rejected: BTreeMap<(JournalId, u64, EntryHash), String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Document {
    record: Vec<u8>,
    snapshot: Option<Vec<u8>>,
    tail: Vec<Vec<u8>>,
    view: Option<Vec<u8>>,
}

impl Model {
    /// Does what the store should do.
    pub fn apply(&mut self, batch: &Batch) {
        for op in &batch.ops {
            self.op(op.clone());
        }
    }

    /// A value by name.
    pub fn meta(&self, name: &str) -> Option<&[u8]> {
        self.meta.get(name).map(Vec::as_slice)
    }

    fn op(&mut self, op: StoreOp) {
        match op {
            StoreOp::PutMeta { name, value } => {
                self.meta.insert(name, value);
            }
            StoreOp::PutRosterOp { space, hash, bytes } => {
                let roster = &mut self.space(space).roster;
                if roster.iter().all(|(known, _)| *known != hash) {
                    roster.push((hash, bytes));
                }
            }
            StoreOp::PutSpace { space, record } => self.space(space).record = record,
            StoreOp::PutEntry { space, journal, position, bytes } => {
                let entries = self.space(space).entries.entry(journal).or_default();
                entries.insert((position.seq, position.hash), bytes);
            }
            StoreOp::PutJournal { space, journal, state } => {
                self.space(space).journals.insert(journal, state);
            }
            StoreOp::PutDocument { key, generation, record, content, view } => {
                let documents = self.space(key.space).documents.entry(key.collection).or_default();
                let document = documents.entry(key.document).or_default().entry(generation).or_default();
                document.record = record;
                match content {
                    ContentOp::Keep => {}
                    ContentOp::Append(chunks) => document.tail.extend(chunks),
                    ContentOp::Replace(snapshot) => (document.snapshot, document.tail) = (Some(snapshot), Vec::new()),
                }
                match view {
                    ViewOp::Keep => {}
                    ViewOp::Put(bytes) => document.view = Some(bytes),
                    ViewOp::Remove => document.view = None,
                }
            }
            StoreOp::PutPeer { space, device, record } => {
                self.space(space).peers.insert(device, record);
            }
            StoreOp::PutInvitation { ticket, record } => {
                self.invitations.insert(ticket, record);
            }
            StoreOp::PutRejected { space, journal, position, reason } => {
                self.space(space).rejected.insert((journal, position.seq, position.hash), reason);
            }
            StoreOp::PutCheckpoint { space, collection, slot, record } => {
                self.space(space).checkpoints.insert((collection, slot), record);
            }
            StoreOp::PutPart { slot, part, bytes } => {
                self.parts.insert((slot, part), bytes);
            }
            StoreOp::DropCheckpoint { space, collection, slot } => {
                self.space(space).checkpoints.remove(&(collection, slot));
                self.parts.retain(|(of, _), _| *of != slot);
            }
        }
    }

    fn space(&mut self, space: SpaceId) -> &mut Space {
        self.spaces.entry(space).or_default()
    }

    /// Compares every answer that a reader gives with this model's.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn compare(&self, reader: &Reader) -> Result<(), String> {
        same("boot", &reader.boot().map_err(|error| error.to_string())?, &self.boot())?;
        for ((slot, part), bytes) in &self.parts {
            let load = Load::Part { slot: *slot, part: *part };
            let found = reader.load(&load).map_err(|error| error.to_string())?;
            same("part", &found, &Loaded::Part(Some(bytes.clone())))?;
        }
        for (id, space) in &self.spaces {
            for (collection, documents) in &space.documents {
                compare_collection(reader, *id, *collection, documents)?;
            }
            for (journal, entries) in &space.entries {
                compare_journal(reader, *id, *journal, entries)?;
            }
            let rejected = reader.rejected(id).map_err(|error| error.to_string())?;
            let rejected: BTreeMap<_, _> = rejected
                .into_iter()
                .map(|item| ((item.journal, item.position.seq, item.position.hash), item.reason))
                .collect();
            same("rejected", &rejected, &space.rejected)?;
        }
        Ok(())
    }

    /// Asks a damaged store for each document's view and record, and counts the answers.
    ///
    /// # Errors
    /// An answer that was never stored. Errors of the store, and absence, are no answers.
    pub fn answers_within(&self, reader: &Reader) -> Result<u64, String> {
        let mut answers = 0;
        for (id, space) in &self.spaces {
            for (collection, documents) in &space.documents {
                for (document, lives) in documents {
                    let Some(expected) = lives.values().next_back() else { continue };
                    let key = DocKey { space: *id, collection: *collection, document: *document };
                    if let Ok(Some(view)) = reader.view(&key) {
                        same("view", &Some(view), &expected.view)?;
                        answers += 1;
                    }
                    if let Ok(Some(record)) = reader.record(&key) {
                        // Damage may hide the present life, like any other row; what is answered then is a former one, unaltered.
                        if lives.values().all(|life| life.record != record) {
                            same("record", &record, &expected.record)?;
                        }
                        answers += 1;
                    }
                }
            }
        }
        Ok(answers)
    }

    fn boot(&self) -> Boot {
        let spaces = self.spaces.iter().map(|(space, kept)| BootSpace {
            space: *space,
            record: kept.record.clone(),
            roster: kept.roster.iter().map(|(_, bytes)| bytes.clone()).collect(),
            journals: kept.journals.iter().map(|(journal, state)| (*journal, state.clone())).collect(),
            peers: kept.peers.iter().map(|(device, record)| (*device, record.clone())).collect(),
            checkpoints: kept.checkpoints.iter().map(|((tag, slot), record)| (*tag, *slot, record.clone())).collect(),
        });
        Boot {
            meta: self.meta.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            spaces: spaces.collect(),
            invitations: self.invitations.iter().map(|(ticket, record)| (*ticket, record.clone())).collect(),
        }
    }
}

fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let cut = |value: &T| format!("{value:?}").chars().take(2000).collect::<String>();
    Err(format!("{what}: the store has {}, expected {}", cut(found), cut(expected)))
}

fn compare_collection(
    reader: &Reader,
    space: SpaceId,
    collection: CollectionTag,
    documents: &BTreeMap<DocumentId, BTreeMap<u32, Document>>,
) -> Result<(), String> {
    let failed = |error: crate::StoreError| error.to_string();
    let keys: Vec<_> = documents.keys().map(|document| DocKey { space, collection, document: *document }).collect();
    let stored = |(generation, document): (&u32, &Document)| {
        Some(StoredDocument {
            generation: *generation,
            record: document.record.clone(),
            snapshot: document.snapshot.clone(),
            tail: document.tail.clone(),
        })
    };
    let present: Vec<_> = documents.values().filter_map(BTreeMap::last_key_value).collect();
    let loaded = reader.load(&Load::Documents(keys.clone())).map_err(failed)?;
    same("documents", &loaded, &Loaded::Documents(present.iter().copied().map(stored).collect()))?;
    let mut lives = Vec::new();
    for (key, document) in keys.iter().zip(documents.values()) {
        lives.extend(document.keys().map(|generation| (*key, *generation)));
    }
    let expected = documents.values().flatten().map(stored).collect();
    same("lives", &reader.load(&Load::Lives(lives)).map_err(failed)?, &Loaded::Documents(expected))?;
    for (key, (_, document)) in keys.iter().zip(&present) {
        same("view", &reader.view(key).map_err(failed)?, &document.view)?;
        same("record", &reader.record(key).map_err(failed)?, &Some(document.record.clone()))?;
    }
    let expected: Vec<_> =
        keys.iter().zip(&present).filter_map(|(key, (_, d))| Some((key.document, d.view.clone()?))).collect();
    let mut listed: Vec<(DocumentId, Vec<u8>)> = Vec::new();
    loop {
        let after = listed.last().map(|(id, _)| *id);
        let page = reader.list(&space, &collection, after, PAGE).map_err(failed)?;
        let last = page.len() < PAGE;
        listed.extend(page);
        if last {
            break;
        }
    }
    same("list", &listed, &expected)?;
    same("count", &reader.count(&space, &collection).map_err(failed)?, &(expected.len() as u64))
}

fn compare_journal(
    reader: &Reader,
    space: SpaceId,
    journal: JournalId,
    entries: &BTreeMap<(u64, EntryHash), Vec<u8>>,
) -> Result<(), String> {
    let failed = |error: crate::StoreError| error.to_string();
    let at = |(seq, hash): &(u64, EntryHash)| Position { seq: *seq, hash: *hash };
    let expected: Vec<_> = entries.iter().map(|(key, bytes)| (at(key), bytes.clone())).collect();
    let everything =
        Load::Entries { space, journal, from: 0, to: u64::MAX, limit_bytes: usize::MAX, skip: Position::START };
    same("entries", &reader.load(&everything).map_err(failed)?, &Loaded::Entries(expected.clone()))?;
    for ((seq, hash), bytes) in entries {
        let position = at(&(*seq, *hash));
        let load = Load::Entry { space, journal, position };
        same("entry", &reader.load(&load).map_err(failed)?, &Loaded::Entries(vec![(position, bytes.clone())]))?;
        let hashes = entries.range((*seq, EntryHash([0; 32]))..=(*seq, EntryHash([255; 32])));
        let hashes = hashes.map(|((_, hash), _)| *hash).collect();
        let load = Load::Hashes { space, places: vec![(journal, *seq)] };
        same("hashes", &reader.load(&load).map_err(failed)?, &Loaded::Hashes(vec![hashes]))?;
    }
    let headers = reader.entry_headers(&space, &journal, 2, 3, HEADER_BYTES).map_err(failed)?;
    let expected = expected.into_iter().filter(|(position, _)| position.seq >= 2).take(3);
    let expected: Vec<_> =
        expected.map(|(position, bytes)| (position, bytes[..bytes.len().min(HEADER_BYTES)].to_vec())).collect();
    same("entry headers", &headers, &expected)
}
