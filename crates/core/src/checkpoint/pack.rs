//! Packing: documents as they are stored now, cut back to the frontier, into chunks.

use std::collections::BTreeMap;

use super::chunk::{End, Run, Segment};
use super::survey::{LifeTable, Survey};
use crate::batch::StoredDocument;
use crate::change::compact;
use crate::document::{Document, derived_actor};
use crate::id::DocumentId;
use crate::limits::{CHUNK_BYTES, ITEM_CHANGES};
use crate::payload::PackedChange;

/// A guess at what a segment takes beside its changes, and a run.
const SEGMENT_BYTES: usize = 100;
const RUN_BYTES: usize = 25;

impl Survey {
    /// The segments of one life, of which the store holds these changes and maybe newer ones. Each segment but the last is full.
    ///
    /// # Errors
    /// The store holds something else than the journals say: a fault of ours, or damage.
    pub fn pack(&self, document: DocumentId, generation: u32, stored: &StoredDocument) -> Result<Vec<Segment>, String> {
        let life = self.lives.get(&(document, generation)).ok_or("no such life was surveyed")?;
        let tail: Vec<&[u8]> = stored.tail.iter().map(Vec::as_slice).collect();
        let loaded = Document::load(stored.snapshot.as_deref(), &tail).map_err(|error| error.to_string())?;
        let (space, collection) = self.place();
        let actor = |journal: &u16| {
            let id = self.journal(*journal)?;
            Some((derived_actor(space, collection, id.device, document, generation, id.incarnation), *journal))
        };
        let actors: BTreeMap<[u8; 16], u16> = life.runs.keys().filter_map(actor).collect();
        let mut packing = Packing { life, document, generation, segments: Vec::new(), previous: None, bytes: 0 };
        let mut changes = 0;
        for change in loaded.changes() {
            let Some(run) = run_of(life, &actors, &change) else { continue };
            packing.add(run, change.actor_id().to_bytes(), change.raw_bytes())?;
            changes += 1;
        }
        if changes != life.changes() {
            return Err(format!(
                "document {document} has {changes} changes where its journals have {}",
                life.changes()
            ));
        }
        Ok(packing.finish())
    }
}

/// Where a change stands; `None` if it is not within the frontier.
fn run_of(life: &LifeTable, actors: &BTreeMap<[u8; 16], u16>, change: &automerge::Change) -> Option<Run> {
    if let Some(place) = life.genesis.get(&change.hash().0) {
        let super::chunk::Spot { journal, seq, .. } = place.spot;
        return Some(Run {
            journal,
            genesis: true,
            seq,
            item: place.item,
            index: place.index,
            count: 1,
            time: place.time,
        });
    }
    let actor: [u8; 16] = change.actor_id().to_bytes().try_into().ok()?;
    let journal = *actors.get(&actor)?;
    let run = life.run_of(journal, change.seq())?;
    // The last change of the run has the last place.
    let index = run.index + run.count - 1 - (run.end - change.seq()) as u16;
    Some(Run { journal, genesis: false, seq: run.seq, item: run.item, index, count: 1, time: run.time })
}

struct Packing<'s> {
    life: &'s LifeTable,
    document: DocumentId,
    generation: u32,
    segments: Vec<Segment>,
    previous: Option<automerge::ChangeHash>,
    bytes: usize,
}

impl Packing<'_> {
    fn add(&mut self, run: Run, actor: &[u8], chunk: &[u8]) -> Result<(), String> {
        let full = self
            .segments
            .last()
            .is_none_or(|segment| self.bytes + chunk.len() > CHUNK_BYTES || segment.changes.len() >= ITEM_CHANGES);
        if full {
            self.begin();
        }
        let (hash, bytes) = compact::strip(chunk, self.previous).map_err(|error| error.to_string())?;
        self.previous = Some(hash);
        self.bytes += bytes.len() + 4;
        let Some(segment) = self.segments.last_mut() else { return Ok(()) };
        segment.changes.push(match run.genesis {
            false => PackedChange::Derived(bytes),
            true => {
                let actor = actor.try_into().map_err(|_| "a genesis actor of another length")?;
                PackedChange::Genesis { actor, change: bytes }
            }
        });
        match segment.runs.last_mut() {
            Some(last) if last.goes_on(&run) => last.count += 1,
            _ => {
                segment.runs.push(run);
                self.bytes += RUN_BYTES;
            }
        }
        Ok(())
    }

    fn begin(&mut self) {
        let (document, generation) = (self.document, self.generation);
        self.segments.push(Segment { document, generation, runs: Vec::new(), changes: Vec::new(), end: None });
        (self.previous, self.bytes) = (None, SEGMENT_BYTES);
    }

    fn finish(mut self) -> Vec<Segment> {
        if self.segments.is_empty() {
            self.begin();
        }
        if let Some(last) = self.segments.last_mut() {
            let heads = self.life.heads().map(|(_, spot)| spot.hash).collect();
            last.end = Some(End { heads, tombstone: self.life.tombstone() });
        }
        self.segments
    }
}

/// Segments that wait until a chunk is full.
#[derive(Debug, Default)]
pub struct Filling {
    segments: Vec<Segment>,
    bytes: usize,
}

impl Filling {
    /// Takes a segment; gives the chunk that it completes, or that must go before it.
    ///
    /// # Errors
    /// More than a chunk may hold: a fault of ours.
    pub fn add(&mut self, segment: Segment) -> Result<Option<Vec<u8>>, String> {
        let bytes = SEGMENT_BYTES
            + segment.runs.len() * RUN_BYTES
            + segment
                .changes
                .iter()
                .map(|change| match change {
                    PackedChange::Derived(bytes) => 4 + bytes.len(),
                    PackedChange::Genesis { change, .. } => 20 + change.len(),
                })
                .sum::<usize>();
        let full = self.bytes + bytes > CHUNK_BYTES || self.segments.len() >= crate::limits::CHUNK_SEGMENTS;
        let done = if full { self.finish()? } else { None };
        self.bytes += bytes;
        self.segments.push(segment);
        Ok(done)
    }

    /// The last chunk, if there is anything left.
    ///
    /// # Errors
    /// As [`Filling::add`].
    pub fn finish(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.bytes = 0;
        let segments = std::mem::take(&mut self.segments);
        if segments.is_empty() {
            return Ok(None);
        }
        super::chunk::encode(&segments).map(Some).map_err(|error| error.to_string())
    }
}
