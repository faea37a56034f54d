//! What a store keeps of a document beside its Automerge bytes, and a document as it is held in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use automerge::ChangeHash;

use crate::batch::{ContentOp, StoredDocument};
use crate::bytes::{DecodeError, Reader, Writer};
use crate::change::AncestorIndex;
use crate::document::{Document, Room};
use crate::id::{DeviceId, EntryHash, Incarnation, Position};
use crate::limits::{COMPACT_BYTES, DOCUMENT_BYTES, DOCUMENT_OPS};

/// Version 1 had 16 bits for how many heads and places there are. They come from others, and what others may write has no
/// limit over all entries, so that a record could be written that did not read back.
const RECORD_VERSION: u8 = 2;

/// A position in a journal of the document's own collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Author.
    pub device: DeviceId,
    /// Author's incarnation.
    pub incarnation: Incarnation,
    /// Where.
    pub position: Position,
}

/// A deletion: the heads that the deleters had seen, and where their tombstones stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tombstone {
    /// Union of the heads that concurrent deleters named.
    pub heads: Vec<[u8; 32]>,
    /// Their entries.
    pub places: Vec<Place>,
}

/// What is kept of one life of a document, present or former.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DocRecord {
    /// Which life of the id: 1 for the first.
    pub generation: u32,
    /// Automerge heads, each with the entry that brought it.
    pub heads: BTreeMap<[u8; 32], Place>,
    /// Set when somebody deleted this generation.
    pub tombstone: Option<Tombstone>,
    /// Whether some field has more than one value.
    pub conflicts: bool,
    /// Whether the id was derived from a key.
    pub keyed: bool,
    /// Operations of all its changes.
    pub ops: u64,
    /// Bytes of all its changes, uncompressed. Both follow from the set of changes alone, unlike the size of a snapshot, so
    /// that every member with the same changes finds the same.
    pub change_bytes: u64,
    /// Bytes of the last snapshot.
    pub snapshot_bytes: u64,
    /// Bytes of the changes since.
    pub tail_bytes: u64,
}

impl DocRecord {
    /// Encodes the record for the store.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(RECORD_VERSION).u32(self.generation).bool(self.conflicts).bool(self.keyed);
        w.u64(self.ops).u64(self.change_bytes).u64(self.snapshot_bytes).u64(self.tail_bytes);
        w.long_count(self.heads.len());
        for (head, place) in &self.heads {
            w.raw(head);
            write_place(&mut w, place);
        }
        w.bool(self.tombstone.is_some());
        if let Some(tombstone) = &self.tombstone {
            w.long_count(tombstone.heads.len());
            for head in &tombstone.heads {
                w.raw(head);
            }
            w.long_count(tombstone.places.len());
            for place in &tombstone.places {
                write_place(&mut w, place);
            }
        }
        w.finish()
    }

    /// Decodes what [`DocRecord::encode`] wrote.
    ///
    /// # Errors
    /// The store's bytes are damaged or from a newer build.
    pub fn decode(bytes: &[u8]) -> Result<DocRecord, DecodeError> {
        let mut r = Reader::new(bytes);
        let found = r.u8("record version")?;
        if !(1..=RECORD_VERSION).contains(&found) {
            let known = RECORD_VERSION.into();
            return Err(DecodeError::Version { field: "record version", found: found.into(), known });
        }
        let mut record = DocRecord {
            generation: r.u32("generation")?,
            conflicts: r.bool("conflicts")?,
            keyed: r.bool("keyed")?,
            ops: r.u64("operations")?,
            change_bytes: r.u64("bytes of changes")?,
            snapshot_bytes: r.u64("snapshot bytes")?,
            tail_bytes: r.u64("tail bytes")?,
            ..DocRecord::default()
        };
        let count = |r: &mut Reader<'_>, bytes, field| match found {
            1 => r.count(usize::from(u16::MAX), bytes, field),
            _ => r.long_count(bytes, field),
        };
        for _ in 0..count(&mut r, 32 + Place::BYTES, "heads")? {
            let head = r.array("head")?;
            record.heads.insert(head, read_place(&mut r)?);
        }
        if r.bool("tombstone")? {
            let mut tombstone = Tombstone::default();
            for _ in 0..count(&mut r, 32, "tombstone heads")? {
                tombstone.heads.push(r.array("tombstone head")?);
            }
            for _ in 0..count(&mut r, Place::BYTES, "tombstone places")? {
                tombstone.places.push(read_place(&mut r)?);
            }
            record.tombstone = Some(tombstone);
        }
        r.end()?;
        Ok(record)
    }

    /// Whether merges have made it larger than local edits may: no local edit is taken any more.
    pub fn oversize(&self) -> bool {
        self.ops > DOCUMENT_OPS || self.change_bytes > DOCUMENT_BYTES
    }

    /// What local edits may still add.
    pub fn room(&self) -> Room {
        Room { ops: DOCUMENT_OPS.saturating_sub(self.ops), bytes: DOCUMENT_BYTES.saturating_sub(self.change_bytes) }
    }

    /// Counts a change that was added.
    pub(crate) fn count_change(&mut self, ops: u64, bytes: usize) {
        self.ops = self.ops.saturating_add(ops);
        self.change_bytes = self.change_bytes.saturating_add(bytes as u64);
    }

    /// Whether this generation is deleted, by the collection's policy.
    ///
    /// With `edit_wins` a deletion holds only while its authors had seen every current head.
    pub fn deleted(&self, edit_wins: bool) -> bool {
        match &self.tombstone {
            None => false,
            Some(tombstone) => !edit_wins || self.heads.keys().all(|head| tombstone.heads.contains(head)),
        }
    }

    /// Everything that an edit made now builds on.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.heads.values().chain(self.tombstone.iter().flat_map(|t| t.places.iter()))
    }

    /// Notes a deletion. Concurrent ones add up, in whatever order they come.
    pub fn entomb(&mut self, heads: &[[u8; 32]], place: Place) {
        let tombstone = self.tombstone.get_or_insert_default();
        tombstone.heads.extend_from_slice(heads);
        tombstone.heads.sort_unstable();
        tombstone.heads.dedup();
        tombstone.places.push(place);
        tombstone.places.sort_unstable();
        tombstone.places.dedup();
    }

    /// Replaces a place that was noted before its entry had a hash.
    pub fn settle(&mut self, provisional: Place, place: Place) {
        let tombstone = self.tombstone.iter_mut().flat_map(|t| t.places.iter_mut());
        for noted in self.heads.values_mut().chain(tombstone) {
            if *noted == provisional {
                *noted = place;
            }
        }
    }

    /// Takes over Automerge's current heads; `brought` says which entry brought each new change.
    pub fn set_heads(&mut self, heads: &[ChangeHash], brought: &BTreeMap<[u8; 32], Place>) {
        let old = std::mem::take(&mut self.heads);
        for head in heads {
            if let Some(place) = old.get(&head.0).or_else(|| brought.get(&head.0)) {
                self.heads.insert(head.0, *place);
            }
        }
    }
}

impl Place {
    const BYTES: usize = 32 + 16 + 8 + 32;
}

fn write_place(w: &mut Writer, place: &Place) {
    w.raw(&place.device.0).raw(&place.incarnation.0).u64(place.position.seq).raw(&place.position.hash.0);
}

fn read_place(r: &mut Reader<'_>) -> Result<Place, DecodeError> {
    Ok(Place {
        device: DeviceId(r.array("device")?),
        incarnation: Incarnation(r.array("incarnation")?),
        position: Position { seq: r.u64("seq")?, hash: EntryHash(r.array("hash")?) },
    })
}

/// One life of a document in memory: what the store keeps, loaded. A clone costs little: see [`Document`].
#[derive(Debug, Clone)]
pub struct OpenDocument {
    /// As in the store, or ahead of it by batches under way.
    pub record: DocRecord,
    /// The Automerge document of this life.
    pub document: Document,
    /// What changes of others may refer to; built when the first one comes.
    pub index: Option<Arc<AncestorIndex>>,
}

impl OpenDocument {
    /// A life that nobody has yet: nothing of another one is in it.
    pub fn fresh(generation: u32, keyed: bool) -> OpenDocument {
        let record = DocRecord { generation, keyed, ..DocRecord::default() };
        OpenDocument { record, document: Document::empty(), index: None }
    }

    /// Loads what the store keeps.
    ///
    /// # Errors
    /// The store's bytes are damaged: said as text, because the remedy is the same for every damage.
    pub fn load(stored: &StoredDocument) -> Result<OpenDocument, String> {
        let record = DocRecord::decode(&stored.record).map_err(|e| format!("document record: {e}"))?;
        let tail: Vec<&[u8]> = stored.tail.iter().map(Vec::as_slice).collect();
        let document = Document::load(stored.snapshot.as_deref(), &tail).map_err(|e| format!("document: {e}"))?;
        Ok(OpenDocument { record, document, index: None })
    }

    /// What the store must do about the content, given the change chunks that are new. Compacts when the tail has grown past
    /// twice the snapshot: the cost of loading stays within a factor of the document.
    pub fn content_op(&mut self, new_chunks: Vec<Vec<u8>>) -> ContentOp {
        let new_bytes: u64 = new_chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.record.tail_bytes += new_bytes;
        if self.record.tail_bytes > COMPACT_BYTES.max(2 * self.record.snapshot_bytes) {
            let snapshot = self.document.save();
            self.record.snapshot_bytes = snapshot.len() as u64;
            self.record.tail_bytes = 0;
            return ContentOp::Replace(snapshot);
        }
        match new_chunks.is_empty() {
            true => ContentOp::Keep,
            false => ContentOp::Append(new_chunks),
        }
    }

    /// A guess at the memory it takes: Automerge keeps about ten bytes for one on disk, and 17 KiB for the smallest document.
    pub fn memory_bytes(&self) -> usize {
        let on_disk = (self.record.snapshot_bytes + self.record.tail_bytes) as usize;
        (17 << 10) + on_disk.saturating_mul(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64) -> Place {
        let position = Position { seq: number + 1, hash: EntryHash([number as u8; 32]) };
        Place { device: DeviceId([1; 32]), incarnation: Incarnation([2; 16]), position }
    }

    fn hash(number: u32) -> [u8; 32] {
        *blake3::hash(&number.to_be_bytes()).as_bytes()
    }

    #[test]
    fn a_record_reads_back_however_many_heads_others_have_named() {
        let mut record = DocRecord { generation: 3, ..DocRecord::default() };
        for number in 0..70_u32 {
            let heads: Vec<[u8; 32]> = (0..1_000).map(|head| hash(number * 1_000 + head)).collect();
            record.entomb(&heads, place(number.into()));
        }
        record.heads = (0..5_000).map(|head| (hash(head), place(head.into()))).collect();
        assert_eq!(record.tombstone.as_ref().unwrap().heads.len(), 70_000);
        assert_eq!(DocRecord::decode(&record.encode()).unwrap(), record);
    }

    #[test]
    fn a_record_of_version_1_is_read() {
        let mut w = Writer::new();
        w.u8(1).u32(2).bool(true).bool(false).u64(3).u64(4).u64(5).u64(6);
        w.count(1).raw(&hash(0));
        write_place(&mut w, &place(7));
        w.bool(true).count(1).raw(&hash(1)).count(1);
        write_place(&mut w, &place(8));
        let record = DocRecord::decode(w.as_slice()).unwrap();
        assert_eq!((record.generation, record.conflicts, record.keyed), (2, true, false));
        assert_eq!(record.heads, BTreeMap::from([(hash(0), place(7))]));
        assert_eq!(record.tombstone, Some(Tombstone { heads: vec![hash(1)], places: vec![place(8)] }));
    }
}
