//! A chunk: changes of documents, and which entry brought each, column by column.
//!
//! A life of a document is one segment, or several in a row if it is large. Within a segment runs come first: a run is some
//! changes in a row that stood in a row in one item of one entry. Journals are named by their place in the manifest.

use super::{count, require, version, within};
use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{DocumentId, EntryHash};
use crate::limits::{
    CHANGE_BYTES, CHECKPOINT_JOURNALS, CHUNK_SEGMENTS, ENTRY_ITEMS, ITEM_CHANGES, PAYLOAD_BYTES, RECORD_HEADS,
};
use crate::payload::{self, PackedChange};
use crate::time::HybridTime;

const CHUNK_VERSION: u8 = 1;
const ENDS: u8 = 1;
const TOMBSTONE: u8 = 2;

/// Some changes in a row, and where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The journal, by its place in the manifest.
    pub journal: u16,
    /// Whether they are genesis changes.
    pub genesis: bool,
    /// The entry.
    pub seq: u64,
    /// Which of its items.
    pub item: u16,
    /// Place of the first of them among the item's changes.
    pub index: u16,
    /// How many.
    pub count: u16,
    /// When the entry's author claims to have written it.
    pub time: HybridTime,
}

impl Run {
    /// Whether `next` only goes on with this run: then the two are one.
    pub fn goes_on(&self, next: &Run) -> bool {
        let place = |run: &Run| (run.journal, run.genesis, run.seq, run.item, run.time);
        let follows = u32::from(self.index) + u32::from(self.count) == u32::from(next.index);
        place(self) == place(next) && follows && u32::from(self.count) + u32::from(next.count) <= u16::MAX.into()
    }
}

/// An entry, by its journal's place in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The journal.
    pub journal: u16,
    /// The entry.
    pub seq: u64,
    /// Its hash.
    pub hash: EntryHash,
}

/// What follows the last change of a life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct End {
    /// Hash of the entry that brought each head, in the order of the heads.
    pub heads: Vec<EntryHash>,
    /// The deletion, if there was one: the heads that the deleters had seen, and their entries. Both ascending.
    pub tombstone: Option<(Vec<[u8; 32]>, Vec<Spot>)>,
}

/// A life of a document, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The document.
    pub document: DocumentId,
    /// Which life.
    pub generation: u32,
    /// Where the changes stand.
    pub runs: Vec<Run>,
    /// The changes in causal order; what "the one before" means in a compact change begins anew with each segment.
    pub changes: Vec<PackedChange>,
    /// Set in the last segment of a life.
    pub end: Option<End>,
}

/// Encodes and deflates segments.
///
/// # Errors
/// [`DecodeError::OverLimit`]: more than a chunk may hold. Ours.
pub fn encode(segments: &[Segment]) -> Result<Vec<u8>, DecodeError> {
    within("segments", segments.len() as u64, CHUNK_SEGMENTS)?;
    let mut w = Writer::new();
    w.u8(CHUNK_VERSION).u32(segments.len() as u32);
    for segment in segments {
        within("changes of a segment", segment.changes.len() as u64, ITEM_CHANGES)?;
        write(&mut w, segment);
    }
    within("chunk", w.len() as u64, PAYLOAD_BYTES)?;
    Ok(payload::deflate(w.as_slice()))
}

fn write(w: &mut Writer, segment: &Segment) {
    let tombstone = segment.end.as_ref().and_then(|end| end.tombstone.as_ref());
    let flags = if segment.end.is_some() { ENDS } else { 0 } | if tombstone.is_some() { TOMBSTONE } else { 0 };
    w.raw(&segment.document.0).u32(segment.generation).u8(flags);
    let runs = &segment.runs;
    w.u32(runs.len() as u32);
    for run in runs {
        w.u16(run.journal);
    }
    for run in runs {
        w.bool(run.genesis);
    }
    let mut before = 0;
    for run in runs {
        w.u64(run.seq.wrapping_sub(before));
        before = run.seq;
    }
    for run in runs {
        w.u16(run.item);
    }
    for run in runs {
        w.u16(run.index);
    }
    for run in runs {
        w.u16(run.count);
    }
    before = 0;
    for run in runs {
        w.u64(run.time.0.wrapping_sub(before));
        before = run.time.0;
    }
    for change in &segment.changes {
        match change {
            PackedChange::Derived(bytes) => w.bytes(bytes),
            PackedChange::Genesis { actor, change } => w.raw(actor).bytes(change),
        };
    }
    let Some(end) = &segment.end else { return };
    w.count(end.heads.len());
    for hash in &end.heads {
        w.raw(&hash.0);
    }
    if let Some((heads, places)) = tombstone {
        w.count(heads.len());
        for head in heads {
            w.raw(head);
        }
        w.count(places.len());
        for spot in places {
            w.u16(spot.journal).u64(spot.seq).raw(&spot.hash.0);
        }
    }
}

/// Inflates and takes apart a chunk. What the changes hold is not looked at.
///
/// # Errors
/// The maker's fault: malformed, over a limit, or longer than it declares.
pub fn decode(bytes: &[u8]) -> Result<Vec<Segment>, DecodeError> {
    let plain = payload::inflate(bytes)?;
    let mut r = Reader::new(&plain);
    version(&mut r, "chunk version", CHUNK_VERSION)?;
    let mut segments = Vec::new();
    for _ in 0..count(&mut r, CHUNK_SEGMENTS, 25, "segments")? {
        segments.push(read(&mut r)?);
    }
    r.end()?;
    require(!segments.is_empty(), "segments")?;
    Ok(segments)
}

fn read(r: &mut Reader<'_>) -> Result<Segment, DecodeError> {
    let (document, generation) = (DocumentId(r.array("document")?), r.u32("generation")?);
    let flags = r.u8("segment flags")?;
    require(generation > 0, "generation")?;
    require(matches!(flags, 0 | ENDS) || flags == ENDS | TOMBSTONE, "segment flags")?;
    let runs = read_runs(r)?;
    let mut changes = Vec::new();
    for run in &runs {
        for _ in 0..run.count {
            let actor = if run.genesis { Some(r.array("genesis actor")?) } else { None };
            let change = r.bytes(CHANGE_BYTES, "change")?.to_vec();
            changes.push(match actor {
                None => PackedChange::Derived(change),
                Some(actor) => PackedChange::Genesis { actor, change },
            });
        }
    }
    // A segment that neither says something nor ends a life has another encoding: none.
    require(flags != 0 || !changes.is_empty(), "segment")?;
    let end = if flags & ENDS != 0 { Some(read_end(r, flags & TOMBSTONE != 0)?) } else { None };
    Ok(Segment { document, generation, runs, changes, end })
}

fn read_runs(r: &mut Reader<'_>) -> Result<Vec<Run>, DecodeError> {
    const RUN_BYTES: usize = 2 + 1 + 8 + 2 + 2 + 2 + 8;
    let count = count(r, ITEM_CHANGES, RUN_BYTES, "runs")?;
    let nothing = Run { journal: 0, genesis: false, seq: 0, item: 0, index: 0, count: 0, time: HybridTime(0) };
    let mut runs = vec![nothing; count];
    for run in &mut runs {
        run.journal = r.u16("journal")?;
        within("journal", run.journal.into(), CHECKPOINT_JOURNALS - 1)?;
    }
    for run in &mut runs {
        run.genesis = r.bool("genesis")?;
    }
    let mut before: u64 = 0;
    for run in &mut runs {
        before = before.wrapping_add(r.u64("seq")?);
        run.seq = before;
        require(run.seq > 0, "seq")?;
    }
    for run in &mut runs {
        run.item = r.u16("item")?;
        within("item", run.item.into(), ENTRY_ITEMS - 1)?;
    }
    for run in &mut runs {
        run.index = r.u16("index")?;
    }
    let mut changes = 0;
    for run in &mut runs {
        run.count = r.u16("count")?;
        changes += usize::from(run.count);
        require(run.count > 0, "count")?;
        within("index", u64::from(run.index) + u64::from(run.count), ITEM_CHANGES)?;
        within("changes of a segment", changes as u64, ITEM_CHANGES)?;
    }
    before = 0;
    for run in &mut runs {
        before = before.wrapping_add(r.u64("time")?);
        run.time = HybridTime(before);
    }
    require(runs.windows(2).all(|pair| !pair[0].goes_on(&pair[1])), "runs")?;
    Ok(runs)
}

fn read_end(r: &mut Reader<'_>, tombstone: bool) -> Result<End, DecodeError> {
    let mut end = End::default();
    for _ in 0..r.count(RECORD_HEADS, 32, "heads")? {
        end.heads.push(EntryHash(r.array("entry hash")?));
    }
    if tombstone {
        let (mut heads, mut places): (Vec<[u8; 32]>, Vec<Spot>) = (Vec::new(), Vec::new());
        for _ in 0..r.count(RECORD_HEADS, 32, "tombstone heads")? {
            heads.push(r.array("tombstone head")?);
        }
        for _ in 0..r.count(RECORD_HEADS, 2 + 8 + 32, "tombstone places")? {
            let (journal, seq) = (r.u16("journal")?, r.u64("seq")?);
            within("journal", journal.into(), CHECKPOINT_JOURNALS - 1)?;
            places.push(Spot { journal, seq, hash: EntryHash(r.array("entry hash")?) });
        }
        require(heads.windows(2).all(|pair| pair[0] < pair[1]), "tombstone heads")?;
        require(places.windows(2).all(|pair| pair[0] < pair[1]) && !places.is_empty(), "tombstone places")?;
        require(places.iter().all(|spot| spot.seq > 0), "seq")?;
        end.tombstone = Some((heads, places));
    }
    Ok(end)
}
