//! A store in maps: the meaning of a batch in a page of code, without a disk.

use std::collections::BTreeMap;

use farshore_core::batch::{
    Batch, Boot, BootSpace, ContentOp, JournalState, Load, Loaded, Slot, StoreOp, StoredDocument, ViewOp,
};
use farshore_core::id::{CollectionTag, DeviceId, DocKey, DocumentId, EntryHash, JournalId, OpHash, Position, SpaceId};

/// What a device's disk holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    meta: BTreeMap<String, Vec<u8>>,
    spaces: BTreeMap<SpaceId, SpaceRows>,
    entries: BTreeMap<(SpaceId, JournalId, Position), Vec<u8>>,
    /// By document and generation.
    documents: BTreeMap<(DocKey, u32), StoredDocument>,
    views: BTreeMap<(DocKey, u32), Vec<u8>>,
    invitations: BTreeMap<[u8; 16], Vec<u8>>,
    parts: BTreeMap<(Slot, u32), Vec<u8>>,
    /// Items that no member may see, kept for their author.
    pub rejected: Vec<(SpaceId, JournalId, Position, String)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct SpaceRows {
    record: Vec<u8>,
    roster: Vec<(OpHash, Vec<u8>)>,
    journals: BTreeMap<JournalId, JournalState>,
    peers: BTreeMap<DeviceId, Vec<u8>>,
    checkpoints: BTreeMap<(CollectionTag, Slot), Vec<u8>>,
}

impl MemoryStore {
    /// Makes a batch durable.
    pub fn apply(&mut self, batch: &Batch) {
        for op in &batch.ops {
            self.apply_op(op.clone());
        }
    }

    fn apply_op(&mut self, op: StoreOp) {
        match op {
            StoreOp::PutMeta { name, value } => {
                self.meta.insert(name, value);
            }
            StoreOp::PutRosterOp { space, hash, bytes } => {
                let roster = &mut self.spaces.entry(space).or_default().roster;
                if !roster.iter().any(|(known, _)| *known == hash) {
                    roster.push((hash, bytes));
                }
            }
            StoreOp::PutSpace { space, record } => self.spaces.entry(space).or_default().record = record,
            StoreOp::PutEntry { space, journal, position, bytes } => {
                self.entries.insert((space, journal, position), bytes);
            }
            StoreOp::PutJournal { space, journal, state } => {
                self.spaces.entry(space).or_default().journals.insert(journal, state);
            }
            StoreOp::PutDocument { key, generation, record, content, view } => {
                self.put_document((key, generation), record, content, view);
            }
            StoreOp::PutPeer { space, device, record } => {
                self.spaces.entry(space).or_default().peers.insert(device, record);
            }
            StoreOp::PutInvitation { ticket, record } => {
                self.invitations.insert(ticket, record);
            }
            StoreOp::PutRejected { space, journal, position, reason } => {
                self.rejected.push((space, journal, position, reason));
            }
            StoreOp::PutCheckpoint { space, collection, slot, record } => {
                self.spaces.entry(space).or_default().checkpoints.insert((collection, slot), record);
            }
            StoreOp::PutPart { slot, part, bytes } => {
                self.parts.insert((slot, part), bytes);
            }
            StoreOp::DropCheckpoint { space, collection, slot } => {
                self.spaces.entry(space).or_default().checkpoints.remove(&(collection, slot));
                self.parts.retain(|(of, _), _| *of != slot);
            }
        }
    }

    fn put_document(&mut self, key: (DocKey, u32), record: Vec<u8>, content: ContentOp, view: ViewOp) {
        let empty = StoredDocument { generation: key.1, record: Vec::new(), snapshot: None, tail: Vec::new() };
        let document = self.documents.entry(key).or_insert(empty);
        document.record = record;
        match content {
            ContentOp::Keep => {}
            ContentOp::Append(changes) => document.tail.extend(changes),
            ContentOp::Replace(snapshot) => (document.snapshot, document.tail) = (Some(snapshot), Vec::new()),
        }
        match view {
            ViewOp::Keep => {}
            ViewOp::Put(bytes) => {
                self.views.insert(key, bytes);
            }
            ViewOp::Remove => {
                self.views.remove(&key);
            }
        }
    }

    /// Answers a load.
    pub fn load(&self, load: &Load) -> Loaded {
        match load {
            Load::Documents(keys) => Loaded::Documents(keys.iter().map(|key| self.document(key).cloned()).collect()),
            Load::Lives(lives) => {
                Loaded::Documents(lives.iter().map(|life| self.documents.get(life).cloned()).collect())
            }
            Load::Entry { space, journal, position } => {
                let bytes = self.entries.get(&(*space, *journal, *position));
                Loaded::Entries(bytes.map(|bytes| (*position, bytes.clone())).into_iter().collect())
            }
            Load::Hashes { space, places } => {
                let hashes = |(journal, seq): &(JournalId, u64)| {
                    self.at(*space, *journal, *seq, *seq).map(|(position, _)| position.hash).collect()
                };
                Loaded::Hashes(places.iter().map(hashes).collect())
            }
            Load::Part { slot, part } => Loaded::Part(self.parts.get(&(*slot, *part)).cloned()),
            Load::Entries { space, journal, from, to, limit_bytes, skip } => {
                let mut bytes = 0;
                let entries = self.at(*space, *journal, *from, *to).filter(|(position, _)| position != skip);
                let entries = entries.map(|(position, bytes)| (position, bytes.clone()));
                let entries = entries.take_while(|(_, entry)| {
                    let fits = bytes == 0 || bytes + entry.len() <= *limit_bytes;
                    bytes += entry.len();
                    fits
                });
                Loaded::Entries(entries.collect())
            }
        }
    }

    /// What a replica starts from.
    pub fn boot(&self) -> Boot {
        Boot {
            meta: self.meta.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            spaces: self
                .spaces
                .iter()
                .map(|(space, rows)| BootSpace {
                    space: *space,
                    record: rows.record.clone(),
                    roster: rows.roster.iter().map(|(_, bytes)| bytes.clone()).collect(),
                    journals: rows.journals.iter().map(|(id, state)| (*id, state.clone())).collect(),
                    peers: rows.peers.iter().map(|(device, record)| (*device, record.clone())).collect(),
                    checkpoints: rows.checkpoints.iter().map(|((tag, slot), r)| (*tag, *slot, r.clone())).collect(),
                })
                .collect(),
            invitations: self.invitations.iter().map(|(ticket, record)| (*ticket, record.clone())).collect(),
        }
    }

    /// Entries of a journal from one `seq` to another, both sides of a fork.
    fn at(&self, space: SpaceId, journal: JournalId, from: u64, to: u64) -> impl Iterator<Item = (Position, &Vec<u8>)> {
        let first = (space, journal, Position { seq: from, hash: EntryHash([0; 32]) });
        let last = (space, journal, Position { seq: to, hash: EntryHash([255; 32]) });
        self.entries.range(first..=last).map(|((_, _, position), bytes)| (*position, bytes))
    }

    /// How many parts of checkpoints are kept.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// A document's view.
    pub fn view(&self, key: &DocKey) -> Option<&[u8]> {
        let (generation, _) = self.present(key)?;
        self.views.get(&(*key, generation)).map(Vec::as_slice)
    }

    /// All views of a collection, by document.
    pub fn views(&self, space: SpaceId, collection: CollectionTag) -> BTreeMap<DocumentId, Vec<u8>> {
        let views = self.views.iter().filter(|((key, _), _)| key.space == space && key.collection == collection);
        views.map(|((key, _), view)| (key.document, view.clone())).collect()
    }

    fn present(&self, key: &DocKey) -> Option<(u32, &StoredDocument)> {
        let lives = self.documents.range((*key, 0)..=(*key, u32::MAX));
        lives.last().map(|((_, generation), document)| (*generation, document))
    }

    /// The present life of a document as it is kept.
    pub fn document(&self, key: &DocKey) -> Option<&StoredDocument> {
        self.present(key).map(|(_, document)| document)
    }

    /// One life of a document as it is kept.
    pub fn life(&self, key: &DocKey, generation: u32) -> Option<&StoredDocument> {
        self.documents.get(&(*key, generation))
    }

    /// The present life of every document of a collection, deleted ones too.
    pub fn documents(&self, space: SpaceId, collection: CollectionTag) -> BTreeMap<DocumentId, StoredDocument> {
        let all = self.documents.iter().filter(|((key, _), _)| key.space == space && key.collection == collection);
        all.map(|((key, _), document)| (key.document, document.clone())).collect()
    }

    /// How far every journal of a space is held.
    pub fn journals(&self, space: SpaceId) -> BTreeMap<JournalId, JournalState> {
        self.spaces.get(&space).map(|rows| rows.journals.clone()).unwrap_or_default()
    }

    /// The bytes of one entry; of the lowest hash, if the journal is forked there.
    pub fn entry(&self, space: SpaceId, journal: JournalId, seq: u64) -> Option<&[u8]> {
        self.at(space, journal, seq, seq).next().map(|(_, bytes)| bytes.as_slice())
    }
}
