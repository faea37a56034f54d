//! Checking a checkpoint, chunk by chunk, before any of it reaches Automerge.
//!
//! Every change goes through the same decoder and the same look at its ancestors as a change in an entry, and must be by the
//! actor of the journal that it is said to come from. What is left to the word of those who attest it is that the journals
//! really hold these changes: that is what the state root says, and it is compared at the end.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Change, ChangeHash};

use super::chunk::{End, Run, Segment, Spot};
use super::root::{RootBuilder, leaf};
use super::{Contents, Statement};
use crate::change::{self, Admission, AncestorIndex, DecodedChange, compact};
use crate::document::{derived_actor, genesis};
use crate::id::{CollectionTag, DocumentId, JournalId, Position, SpaceId};
use crate::limits::CHANGE_BYTES;
use crate::payload::PackedChange;
use crate::record::{DocRecord, Place, Tombstone};

/// Reads segments against the journals of their manifest.
#[derive(Debug, Clone)]
pub struct Reading {
    space: SpaceId,
    collection: CollectionTag,
    /// The journals, and the last entry of each.
    frontier: Vec<(JournalId, Position)>,
}

/// A change of a segment, restored.
#[derive(Debug)]
pub struct Restored {
    /// The change, its bytes checked.
    pub change: DecodedChange,
    /// Where it stands; the entry's hash is not known.
    pub run: Run,
}

impl Reading {
    /// Of these contents.
    pub fn new(statement: &Statement, contents: &Contents) -> Reading {
        let (space, collection) = (statement.space, statement.collection);
        Reading { space, collection, frontier: contents.frontier() }
    }

    /// Restores the changes of a segment: the strict decoder, and the actor that each must have.
    ///
    /// # Errors
    /// The maker's fault.
    pub fn restore(&self, segment: &Segment) -> Result<Vec<Restored>, String> {
        let mut out = Vec::with_capacity(segment.changes.len());
        let (mut previous, mut changes) = (None, segment.changes.iter());
        for run in &segment.runs {
            let journal = self.journal(run.journal, run.seq)?;
            let (device, incarnation) = (journal.device, journal.incarnation);
            let (document, generation) = (segment.document, segment.generation);
            let derived = derived_actor(self.space, self.collection, device, document, generation, incarnation);
            for (packed, offset) in changes.by_ref().take(run.count.into()).zip(0..) {
                let (actor, bytes) = match packed {
                    PackedChange::Derived(bytes) => (&derived, bytes),
                    PackedChange::Genesis { actor, change } => (actor, change),
                };
                let (hash, chunk) = compact::restore(bytes, actor, previous, CHANGE_BYTES)
                    .map_err(|error| format!("document {document}: {error}"))?;
                previous = Some(hash);
                let change = change::decode(&chunk).map_err(|error| format!("document {document}: {error}"))?;
                out.push(Restored { change, run: Run { index: run.index + offset, count: 1, ..*run } });
            }
        }
        Ok(out)
    }

    fn journal(&self, number: u16, seq: u64) -> Result<&JournalId, String> {
        let (journal, position) =
            self.frontier.get(usize::from(number)).ok_or("it names a journal that is not there")?;
        match seq <= position.seq {
            true => Ok(journal),
            false => Err("it names an entry beyond the frontier".to_owned()),
        }
    }

    /// A place in full.
    ///
    /// # Errors
    /// The maker's fault: there is no such journal, or the entry is beyond the frontier.
    pub fn place(&self, spot: &Spot) -> Result<Place, String> {
        let journal = self.journal(spot.journal, spot.seq)?;
        let position = Position { seq: spot.seq, hash: spot.hash };
        Ok(Place { device: journal.device, incarnation: journal.incarnation, position })
    }
}

/// A life of which not all segments came yet.
#[derive(Debug)]
struct Partial {
    index: AncestorIndex,
    /// Where each change stands that may be a head.
    places: BTreeMap<[u8; 32], Run>,
    genesis: BTreeMap<ChangeHash, Change>,
}

/// Takes chunks in order; at the end the state root says whether they are what was attested.
#[derive(Debug)]
pub struct Checker {
    reading: Reading,
    root: RootBuilder,
    last: Option<(DocumentId, u32)>,
    partial: Option<Partial>,
}

impl Checker {
    /// Begins.
    pub fn new(reading: Reading) -> Checker {
        Checker { reading, root: RootBuilder::default(), last: None, partial: None }
    }

    /// Whether the last life that came goes on in the next chunk.
    pub fn goes_on(&self) -> bool {
        self.partial.is_some()
    }

    /// Takes the segments of the next chunk; gives the lives that they are of.
    ///
    /// # Errors
    /// The maker's fault, and with it that of all who attested it.
    ///
    /// Cost: as to apply the changes, without Automerge.
    pub fn take(&mut self, segments: &[Segment]) -> Result<BTreeSet<(DocumentId, u32)>, String> {
        let mut lives = BTreeSet::new();
        for segment in segments {
            let key = (segment.document, segment.generation);
            let goes_on = self.partial.is_some();
            let in_order = if goes_on { self.last == Some(key) } else { self.last.is_none_or(|last| last < key) };
            if !in_order {
                return Err("its documents are not in order".to_owned());
            }
            self.last = Some(key);
            lives.insert(key);
            self.segment(segment)?;
        }
        Ok(lives)
    }

    fn segment(&mut self, segment: &Segment) -> Result<(), String> {
        let mut life = self.partial.take().unwrap_or_else(|| Partial {
            index: AncestorIndex::new(),
            places: BTreeMap::new(),
            genesis: BTreeMap::new(),
        });
        for Restored { change, run } in self.reading.restore(segment)? {
            let admitted =
                life.index.admit(&change).map_err(|error| format!("document {}: {error}", segment.document))?;
            if admitted == Admission::Known {
                return Err(format!("document {} has a change twice", segment.document));
            }
            for dep in change.deps() {
                life.places.remove(&dep.0);
            }
            life.places.insert(change.hash().0, run);
            if run.genesis {
                let change = Change::from_bytes(change.into_bytes()).map_err(|error| error.to_string())?;
                let parent = |hash: &ChangeHash| life.genesis.get(hash).cloned();
                if !genesis::is_genesis(segment.document, segment.generation, &change, &parent) {
                    return Err("a change claims to be a genesis change and is none".to_owned());
                }
                life.genesis.insert(change.hash(), change);
            }
        }
        match &segment.end {
            None => self.partial = Some(life),
            Some(end) => {
                let record = record(&self.reading, segment.generation, &life, end)?;
                self.root.push(leaf(&segment.document, &record));
            }
        }
        Ok(())
    }

    /// Whether everything that came is what the statement says.
    ///
    /// # Errors
    /// The maker's fault, and with it that of all who attested it.
    pub fn finish(&self, statement: &Statement) -> Result<(), String> {
        if self.partial.is_some() {
            return Err("its last document does not end".to_owned());
        }
        let root = self.root.root(&statement.space, &statement.collection);
        match (root, self.root.leaves()) == (statement.root, statement.lives) {
            true => Ok(()),
            false => Err("its documents are not those of the state root".to_owned()),
        }
    }
}

fn record(reading: &Reading, generation: u32, life: &Partial, end: &End) -> Result<DocRecord, String> {
    let (heads, tombstone) = (heads(reading, &life.places, end)?, tombstone(reading, end)?);
    Ok(DocRecord { generation, heads, tombstone, ..DocRecord::default() })
}

/// The heads that end a life, each with the entry that brought it.
///
/// # Errors
/// The maker's fault: it names another number of entries than there are heads, or one that is not there.
pub fn heads(
    reading: &Reading,
    heads: &BTreeMap<[u8; 32], Run>,
    end: &End,
) -> Result<BTreeMap<[u8; 32], Place>, String> {
    if heads.len() != end.heads.len() {
        return Err("it names another number of heads than there are".to_owned());
    }
    let spots = heads.values().zip(&end.heads);
    let places = spots.map(|(run, hash)| reading.place(&Spot { journal: run.journal, seq: run.seq, hash: *hash }));
    heads.keys().zip(places).map(|(head, place)| Ok((*head, place?))).collect()
}

/// The deletion that ends a life, in full.
///
/// # Errors
/// The maker's fault: a place that is not there.
pub fn tombstone(reading: &Reading, end: &End) -> Result<Option<Tombstone>, String> {
    let Some((heads, spots)) = &end.tombstone else { return Ok(None) };
    let mut places = spots.iter().map(|spot| reading.place(spot)).collect::<Result<Vec<_>, _>>()?;
    places.sort_unstable();
    Ok(Some(Tombstone { heads: heads.clone(), places }))
}
