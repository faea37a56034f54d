//! What the journals up to a frontier say, read from the entries alone: which entry brought each change, every life's heads and
//! tombstone, and so the state root.
//!
//! A survey asks no document and no moment: entries do not change, so whoever holds them computes the same at any later time,
//! while edits go on. A device that loaded a checkpoint itself has no entries below it, and begins with what that checkpoint says.

use std::collections::{BTreeMap, BTreeSet};

use super::chunk::{Segment, Spot};
use super::root::{RootBuilder, leaf};
use super::{Contents, Statement, frontier_digest};
use crate::change::{self, compact};
use crate::document::derived_actor;
use crate::entry::{Closing, Entry};
use crate::id::{CollectionTag, DocumentId, JournalId, OpHash, Position, SpaceId};
use crate::limits::{CHANGE_BYTES, CHECKPOINT_JOURNALS, CHECKPOINT_LIVES, CHECKPOINT_RUNS, RECORD_HEADS};
use crate::payload::{Item, ItemBody, PackedChange};
use crate::record::{DocRecord, Place, Tombstone};
use crate::time::HybridTime;

/// Changes in a row by one device in one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemRun {
    pub(super) seq: u64,
    pub(super) item: u16,
    pub(super) index: u16,
    pub(super) count: u16,
    pub(super) time: HybridTime,
    /// Changes of this device in this life up to the last of the run.
    pub(super) end: u64,
}

/// Where a change stands that may stand in several journals: in the first of them by journal and `seq`.
#[derive(Debug, Clone, Copy)]
pub(super) struct GenesisPlace {
    pub(super) spot: Spot,
    pub(super) item: u16,
    pub(super) index: u16,
    pub(super) time: HybridTime,
}

/// One life of a document.
#[derive(Debug, Default)]
pub(super) struct LifeTable {
    /// By journal.
    pub(super) runs: BTreeMap<u16, Vec<ItemRun>>,
    pub(super) genesis: BTreeMap<[u8; 32], GenesisPlace>,
    heads: BTreeMap<[u8; 32], Spot>,
    /// What a change builds on that was met before it: it is no head.
    built_on: BTreeSet<[u8; 32]>,
    tombstone: Option<(BTreeSet<[u8; 32]>, BTreeSet<Spot>)>,
    /// Bytes of its changes, compact.
    pub(super) bytes: u64,
}

/// A survey under way, or done.
#[derive(Debug)]
pub struct Survey {
    space: SpaceId,
    collection: CollectionTag,
    journals: Vec<JournalId>,
    closings: Vec<Option<Closing>>,
    pub(super) lives: BTreeMap<(DocumentId, u32), LifeTable>,
    runs: usize,
    entry_bytes: u64,
}

impl Survey {
    /// Begins a survey of these journals, ascending.
    ///
    /// # Errors
    /// There are more than a checkpoint may have.
    pub fn new(space: SpaceId, collection: CollectionTag, journals: Vec<JournalId>) -> Result<Survey, String> {
        if journals.len() > CHECKPOINT_JOURNALS {
            return Err(format!("{} journals; a checkpoint has at most {CHECKPOINT_JOURNALS}", journals.len()));
        }
        let closings = vec![None; journals.len()];
        Ok(Survey { space, collection, journals, closings, lives: BTreeMap::new(), runs: 0, entry_bytes: 0 })
    }

    /// Goes on from a checkpoint: takes over its closing headers. Its chunks follow by [`Survey::seed`].
    ///
    /// # Errors
    /// It closes a journal that is not surveyed.
    pub fn seed_journals(&mut self, contents: &Contents, entry_bytes: u64) -> Result<(), String> {
        for closing in &contents.closings {
            let journal = self.number(&closing.header.journal)?;
            self.closings[usize::from(journal)] = Some(closing.clone());
        }
        self.entry_bytes += entry_bytes;
        Ok(())
    }

    /// Takes over one life, or a part of it, of the checkpoint that it goes on from. `journals` are those of that checkpoint.
    ///
    /// # Errors
    /// A fault of ours: chunks are checked before they are kept.
    pub fn seed(&mut self, segment: &Segment, journals: &[JournalId]) -> Result<(), String> {
        let numbers = journals.iter().map(|journal| self.number(journal)).collect::<Result<Vec<u16>, _>>()?;
        let number = |journal: u16| numbers.get(usize::from(journal)).copied().ok_or("a chunk names no journal");
        self.make_room(segment.runs.len())?;
        let key = (segment.document, segment.generation);
        let (space, collection) = (self.space, self.collection);
        let life = self.lives.entry(key).or_default();
        let (mut previous, mut changes) = (None, segment.changes.iter());
        for run in &segment.runs {
            let journal = number(run.journal)?;
            let of = journals[usize::from(run.journal)];
            let actor = derived_actor(space, collection, of.device, key.0, key.1, of.incarnation);
            // Hashes of entries are known of heads only, below.
            let spot = Spot { journal, seq: run.seq, hash: Position::START.hash };
            for (offset, packed) in changes.by_ref().take(run.count.into()).enumerate() {
                let met = Met { spot, item: run.item, index: run.index + offset as u16, time: run.time };
                previous = Some(life.take(packed, &actor, previous, met)?);
            }
        }
        let Some(end) = &segment.end else { return Ok(()) };
        for (spot, hash) in life.heads.values_mut().zip(&end.heads) {
            spot.hash = *hash;
        }
        for (head, place) in &mut life.genesis {
            if let Some(spot) = life.heads.get(head) {
                place.spot.hash = spot.hash;
            }
        }
        if let Some((heads, places)) = &end.tombstone {
            let tombstone = life.tombstone.get_or_insert_default();
            tombstone.0.extend(heads);
            for place in places {
                tombstone.1.insert(Spot { journal: number(place.journal)?, ..*place });
            }
        }
        self.check_lives()
    }

    /// Takes the next entry of its journal. Journals may be taken in any order.
    ///
    /// # Errors
    /// A fault of ours, since only applied entries are surveyed; or the collection is too large for a checkpoint.
    pub fn add(&mut self, entry: &Entry, items: &[Item]) -> Result<(), String> {
        let id = entry.header.journal;
        let journal = self.number(&id)?;
        let spot = Spot { journal, seq: entry.header.seq, hash: entry.hash };
        for (number, item) in items.iter().enumerate() {
            self.make_room(1)?;
            let life = self.lives.entry((item.document, item.generation)).or_default();
            match &item.body {
                ItemBody::Changes(changes) => {
                    let (document, generation) = (item.document, item.generation);
                    let actor =
                        derived_actor(self.space, self.collection, id.device, document, generation, id.incarnation);
                    let mut previous = None;
                    for (index, packed) in changes.iter().enumerate() {
                        let (item, index) = (number as u16, index as u16);
                        let met = Met { spot, item, index, time: entry.header.time };
                        previous = Some(life.take(packed, &actor, previous, met)?);
                    }
                }
                ItemBody::Tombstone { heads } => {
                    let tombstone = life.tombstone.get_or_insert_default();
                    tombstone.0.extend(heads);
                    tombstone.1.insert(spot);
                }
                ItemBody::Unknown { kind, .. } => return Err(format!("item kind {kind} was applied")),
            }
        }
        self.entry_bytes += entry.as_bytes().len() as u64;
        self.closings[usize::from(journal)] = Some(Closing::of(entry));
        self.check_lives()
    }

    fn number(&self, journal: &JournalId) -> Result<u16, String> {
        let found = self.journals.binary_search(journal).map_err(|_| format!("journal {journal:?} is not surveyed"))?;
        Ok(found as u16)
    }

    fn make_room(&mut self, runs: usize) -> Result<(), String> {
        self.runs += runs;
        match self.runs > CHECKPOINT_RUNS {
            true => Err(format!("its entries have over {CHECKPOINT_RUNS} items, which no checkpoint can list")),
            false => Ok(()),
        }
    }

    fn check_lives(&self) -> Result<(), String> {
        match self.lives.len() > CHECKPOINT_LIVES {
            true => Err(format!("it has over {CHECKPOINT_LIVES} documents, more than a checkpoint may have")),
            false => Ok(()),
        }
    }

    /// Bytes of the entries that were taken, those below the checkpoint that it went on from included.
    pub fn entry_bytes(&self) -> u64 {
        self.entry_bytes
    }

    /// Header and signature of the last entry of each journal.
    ///
    /// # Errors
    /// A journal has no entry: it must not be surveyed.
    pub fn closings(&self) -> Result<Vec<Closing>, String> {
        let closings = self.closings.iter().map(|closing| closing.clone().ok_or("a journal is empty".to_owned()));
        closings.collect()
    }

    /// What the survey found: to be called when all entries were taken.
    ///
    /// # Errors
    /// A document has more heads than a record may have; or a journal has no entry.
    pub fn statement(&self, roster_heads: Vec<OpHash>) -> Result<Statement, String> {
        let closings = self.closings()?;
        let frontier: Vec<_> = closings.iter().map(|closing| (closing.header.journal, closing.position())).collect();
        let mut root = RootBuilder::default();
        for ((document, generation), life) in &self.lives {
            let record = self.record(*generation, life)?;
            root.push(leaf(document, &record));
        }
        let (space, collection) = (self.space, self.collection);
        Ok(Statement {
            space,
            collection,
            roster_heads,
            journals: frontier.len() as u32,
            frontier: frontier_digest(&frontier),
            lives: root.leaves(),
            root: root.root(&space, &collection),
        })
    }

    fn record(&self, generation: u32, life: &LifeTable) -> Result<DocRecord, String> {
        let place = |spot: &Spot| {
            let journal = &self.journals[usize::from(spot.journal)];
            let position = Position { seq: spot.seq, hash: spot.hash };
            Place { device: journal.device, incarnation: journal.incarnation, position }
        };
        let heads: BTreeMap<_, _> = life.heads().map(|(head, spot)| (*head, place(spot))).collect();
        let tombstone = life.tombstone.as_ref().map(|(heads, places)| {
            let mut places: Vec<Place> = places.iter().map(place).collect();
            places.sort_unstable();
            Tombstone { heads: heads.iter().copied().collect(), places }
        });
        let listed = tombstone.as_ref().map_or(0, |tombstone| tombstone.heads.len().max(tombstone.places.len()));
        if heads.len().max(listed) > RECORD_HEADS {
            return Err(format!("a document has over {RECORD_HEADS} heads"));
        }
        Ok(DocRecord { generation, heads, tombstone, ..DocRecord::default() })
    }

    /// The lives from a place on, with the bytes of their changes, until they pass `limit_bytes` (at least one).
    pub fn lives_from(&self, after: Option<(DocumentId, u32)>, limit_bytes: u64) -> Vec<(DocumentId, u32)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut bytes = 0;
        let mut out = Vec::new();
        for (key, life) in self.lives.range((from, std::ops::Bound::Unbounded)) {
            if bytes > limit_bytes {
                break;
            }
            // A life without a change costs a look-up, too.
            bytes += life.bytes.max(64);
            out.push(*key);
        }
        out
    }

    pub(super) fn journal(&self, number: u16) -> Option<&JournalId> {
        self.journals.get(usize::from(number))
    }

    pub(super) fn place(&self) -> (SpaceId, CollectionTag) {
        (self.space, self.collection)
    }
}

/// Where a change was met.
struct Met {
    spot: Spot,
    item: u16,
    index: u16,
    time: HybridTime,
}

impl LifeTable {
    /// Takes a change, unless it was met before; gives its hash.
    fn take(
        &mut self,
        packed: &PackedChange,
        derived: &[u8; 16],
        previous: Option<automerge::ChangeHash>,
        met: Met,
    ) -> Result<automerge::ChangeHash, String> {
        let (actor, bytes) = match packed {
            PackedChange::Derived(bytes) => (derived, bytes),
            PackedChange::Genesis { actor, change } => (actor, change),
        };
        let (hash, chunk) =
            compact::restore(bytes, actor, previous, CHANGE_BYTES).map_err(|error| error.to_string())?;
        let decoded = change::decode(&chunk).map_err(|error| error.to_string())?;
        let new = match packed {
            PackedChange::Derived(_) => self.run(decoded.seq(), &met)?,
            PackedChange::Genesis { .. } => self.met_genesis(hash.0, &met),
        };
        if !new {
            return Ok(hash);
        }
        self.bytes += bytes.len() as u64;
        for dep in decoded.deps() {
            if self.heads.remove(&dep.0).is_none() {
                self.built_on.insert(dep.0);
            }
        }
        if !self.built_on.contains(&hash.0) {
            self.heads.insert(hash.0, met.spot);
        }
        Ok(hash)
    }

    /// Notes a device's own change; says whether it is new. An author may have put one into two entries.
    fn run(&mut self, seq: u64, met: &Met) -> Result<bool, String> {
        let runs = self.runs.entry(met.spot.journal).or_default();
        let done = runs.last().map_or(0, |run| run.end);
        if seq <= done {
            return Ok(false);
        }
        if seq != done + 1 {
            return Err(format!("change {} of an actor is missing", done + 1));
        }
        match runs.last_mut() {
            Some(run)
                if (run.seq, run.item) == (met.spot.seq, met.item)
                    && u32::from(run.index) + u32::from(run.count) == met.index.into() =>
            {
                run.count += 1;
                run.end = seq;
            }
            _ => runs.push(ItemRun {
                seq: met.spot.seq,
                item: met.item,
                index: met.index,
                count: 1,
                time: met.time,
                end: seq,
            }),
        }
        Ok(true)
    }

    /// Notes a genesis change, at its first place by journal and `seq`; says whether it is new.
    fn met_genesis(&mut self, hash: [u8; 32], met: &Met) -> bool {
        let place = GenesisPlace { spot: met.spot, item: met.item, index: met.index, time: met.time };
        let known = self.genesis.get(&hash).copied();
        let rank = |place: &GenesisPlace| (place.spot.journal, place.spot.seq, place.item, place.index);
        if known.is_none_or(|known| rank(&place) < rank(&known)) {
            self.genesis.insert(hash, place);
        }
        known.is_none()
    }

    /// The heads, each with the entry that brought it.
    pub(super) fn heads(&self) -> impl Iterator<Item = (&[u8; 32], &Spot)> {
        self.heads.iter().map(|(head, spot)| (head, self.genesis.get(head).map_or(spot, |genesis| &genesis.spot)))
    }

    /// What the deleters had seen, and their entries.
    pub(super) fn tombstone(&self) -> Option<(Vec<[u8; 32]>, Vec<Spot>)> {
        let (heads, places) = self.tombstone.as_ref()?;
        Some((heads.iter().copied().collect(), places.iter().copied().collect()))
    }

    /// Where a device's change with this number stands.
    pub(super) fn run_of(&self, journal: u16, number: u64) -> Option<ItemRun> {
        let runs = self.runs.get(&journal)?;
        runs.get(runs.partition_point(|run| run.end < number)).copied()
    }

    /// How many changes it has.
    pub(super) fn changes(&self) -> u64 {
        let derived: u64 = self.runs.values().filter_map(|runs| runs.last()).map(|run| run.end).sum();
        derived + self.genesis.len() as u64
    }
}
