//! Seeded batches that use every operation, and the chance they are made with.

use std::collections::BTreeMap;

use farshore_core::batch::{Batch, ContentOp, JournalState, StoreOp, ViewOp};
use farshore_core::id::{
    CollectionTag, DeviceId, DocKey, DocumentId, EntryHash, Incarnation, JournalId, OpHash, Position, SpaceId,
};

/// Chance from a seed: splitmix64. The same seed gives the same numbers everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number under `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64().checked_rem(end).unwrap_or_default()
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| self.next_u64().to_le_bytes()).take(count).collect()
    }

    /// A random array.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes(N));
        out
    }
}

/// Names of the row that says how far a workload has come.
const STEP: &str = "workload step";

/// Makes batches as a replica would: journals without gaps, documents that are made, edited, compacted, deleted and begun anew.
#[derive(Debug, Clone)]
pub struct Workload {
    random: Random,
    step: u64,
    spaces: Vec<SpaceId>,
    collections: Vec<CollectionTag>,
    documents: Vec<DocumentId>,
    journals: Vec<JournalId>,
    states: BTreeMap<(SpaceId, JournalId), JournalState>,
    lives: BTreeMap<(SpaceId, CollectionTag, DocumentId), u32>,
    arrival: u64,
}

impl Workload {
    /// Two spaces, three collections, `documents` ids in each, four journals.
    pub fn new(seed: u64, documents: usize) -> Self {
        let mut random = Random::new(seed);
        let collections: Vec<_> = (0..3).map(|_| CollectionTag(random.array())).collect();
        let journals = (0..4).map(|i| JournalId {
            collection: collections[i % 3],
            device: DeviceId(random.array()),
            incarnation: Incarnation(random.array()),
        });
        let journals = journals.collect();
        Workload {
            spaces: (0..2).map(|_| SpaceId(random.array())).collect(),
            documents: (0..documents).map(|_| DocumentId(random.array())).collect(),
            collections,
            journals,
            random,
            step: 0,
            states: BTreeMap::new(),
            lives: BTreeMap::new(),
            arrival: 0,
        }
    }

    /// The name of the meta value that each batch sets to its number.
    pub fn step_name() -> &'static str {
        STEP
    }

    /// The next batch, of about `ops` operations.
    pub fn batch(&mut self, ops: u64) -> Batch {
        self.step += 1;
        let count = 1 + self.random.below(ops * 2);
        let mut out = vec![StoreOp::PutMeta { name: STEP.to_owned(), value: self.step.to_be_bytes().to_vec() }];
        for _ in 0..count {
            self.op(&mut out);
        }
        Batch { id: self.step, ops: out }
    }

    fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
        from[random.below(from.len() as u64) as usize]
    }

    /// Mostly small, sometimes over a page.
    fn content(&mut self) -> Vec<u8> {
        let size = match self.random.below(40) {
            0 => 9000,
            1..4 => 1500,
            _ => 200,
        };
        let size = self.random.below(size) as usize;
        self.random.bytes(size)
    }

    fn op(&mut self, out: &mut Vec<StoreOp>) {
        let space = Self::pick(&mut self.random, &self.spaces);
        match self.random.below(40) {
            0 => out.push(StoreOp::PutMeta { name: format!("name {}", self.random.below(5)), value: self.content() }),
            1 => {
                let hash = OpHash([self.random.below(30) as u8; 32]);
                out.push(StoreOp::PutRosterOp { space, hash, bytes: self.content() });
            }
            2 => out.push(StoreOp::PutSpace { space, record: self.content() }),
            3 => {
                let device = DeviceId([self.random.below(6) as u8; 32]);
                out.push(StoreOp::PutPeer { space, device, record: self.content() });
            }
            4 => {
                let ticket = [self.random.below(6) as u8; 16];
                out.push(StoreOp::PutInvitation { ticket, record: self.content() });
            }
            5 => {
                let (collection, slot) =
                    (Self::pick(&mut self.random, &self.collections), [self.random.below(3) as u8; 16]);
                if self.random.below(4) == 0 {
                    out.push(StoreOp::DropCheckpoint { space, collection, slot });
                } else {
                    out.push(StoreOp::PutCheckpoint { space, collection, slot, record: self.content() });
                    let part = self.random.below(4) as u32;
                    out.push(StoreOp::PutPart { slot, part, bytes: self.content() });
                }
            }
            6..13 => self.entry(space, out),
            _ => self.document(space, out),
        }
    }

    fn entry(&mut self, space: SpaceId, out: &mut Vec<StoreOp>) {
        let journal = Self::pick(&mut self.random, &self.journals);
        let mut state = self.states.get(&(space, journal)).cloned().unwrap_or(JournalState::EMPTY);
        if self.random.below(12) == 0 && state.held.seq > 0 {
            // A fork's proof: another entry at a place that is taken.
            let seq = 1 + self.random.below(state.held.seq);
            let position = Position { seq, hash: EntryHash(self.random.array()) };
            out.push(StoreOp::PutEntry { space, journal, position, bytes: self.content() });
            let reason = "the author had lost the right to write".to_owned();
            out.push(StoreOp::PutRejected { space, journal, position, reason });
            return;
        }
        self.arrival += 1;
        let position = Position { seq: state.held.seq + 1, hash: EntryHash(self.random.array()) };
        (state.held, state.arrival) = (position, self.arrival);
        state.cites = (0..1 + self.random.below(3)).map(|_| OpHash(self.random.array())).collect();
        state.applied = state.applied.max(self.random.below(position.seq + 1));
        self.states.insert((space, journal), state.clone());
        out.push(StoreOp::PutEntry { space, journal, position, bytes: self.content() });
        out.push(StoreOp::PutJournal { space, journal, state });
    }

    fn document(&mut self, space: SpaceId, out: &mut Vec<StoreOp>) {
        let key = DocKey {
            space,
            collection: Self::pick(&mut self.random, &self.collections),
            document: Self::pick(&mut self.random, &self.documents),
        };
        let present = *self.lives.entry((space, key.collection, key.document)).or_insert(1);
        let (generation, former) = match self.random.below(16) {
            // The next life begins; the view of the one before goes with the same batch.
            0 => (present + 1, false),
            1 if present > 1 => (1 + self.random.below(u64::from(present) - 1) as u32, true),
            _ => (present, false),
        };
        if generation > present {
            let (record, content, view) = (self.content(), ContentOp::Keep, ViewOp::Remove);
            out.push(StoreOp::PutDocument { key, generation: present, record, content, view });
            self.lives.insert((space, key.collection, key.document), generation);
        }
        let chunks = |this: &mut Self| (0..this.random.below(4)).map(|_| this.content()).collect();
        let content = match self.random.below(12) {
            0 => ContentOp::Keep,
            1 => ContentOp::Replace(self.content()),
            _ => ContentOp::Append(chunks(self)),
        };
        let view = match self.random.below(10) {
            _ if former => ViewOp::Keep,
            0 => ViewOp::Remove,
            1 | 2 => ViewOp::Keep,
            _ => ViewOp::Put(self.content()),
        };
        out.push(StoreOp::PutDocument { key, generation, record: self.content(), content, view });
    }
}
