//! Checkpoints from a peer: what is offered, the manifest, what it seals, and chunks.

use std::collections::BTreeMap;

use automerge::Change;
use farshore_core::checkpoint::check::{Checker, Reading};
use farshore_core::checkpoint::chunk::{self, Segment};
use farshore_core::checkpoint::{Contents, Manifest, SignedHead, Statement};
use farshore_core::document::Document;
use farshore_core::entropy::Entropy;
use farshore_core::entry::{Closing, Entry, Group, Header};
use farshore_core::id::{CollectionTag, DocumentId, EntryHash, EpochId, Incarnation, JournalId, OpHash, SpaceId};
use farshore_core::keys::DeviceKeys;
use farshore_core::limits::{
    CHECKPOINT_CHUNKS, CHECKPOINT_JOURNALS, CHUNK_SEGMENTS, ITEM_CHANGES, MANIFEST_BYTES, RECORD_HEADS,
};
use farshore_core::time::HybridTime;

use crate::Outcome;

/// The first byte picks what the others are: a manifest, its head, what it seals, or an opened chunk.
///
/// Checked: what is accepted has one encoding and keeps its limits. A chunk that passes all checks holds only changes that Automerge
/// applies, saves and loads, and their heads are those that the check has found.
pub fn checkpoint(data: &[u8]) -> Outcome {
    let Some((kind, bytes)) = data.split_first() else { return Outcome::Refused };
    match kind % 4 {
        0 => manifest(bytes),
        1 => head(bytes),
        2 => contents(bytes),
        _ => opened_chunk(bytes),
    }
}

fn manifest(bytes: &[u8]) -> Outcome {
    let Ok(manifest) = Manifest::decode(bytes) else { return Outcome::Refused };
    assert!(bytes.len() <= MANIFEST_BYTES, "a manifest over its limit was taken");
    assert_eq!(manifest.as_bytes(), bytes, "a manifest is passed on as it came");
    assert!(bytes.starts_with(manifest.signed.as_bytes()), "a head has two encodings");
    assert_eq!(SignedHead::decode(manifest.signed.as_bytes()).as_ref(), Ok(&manifest.signed));
    let _ = manifest.signed.verify(); // whatever the key and the signature are
    Outcome::Accepted
}

fn head(bytes: &[u8]) -> Outcome {
    let Ok(head) = SignedHead::decode(bytes) else { return Outcome::Refused };
    assert_eq!(head.as_bytes(), bytes, "a head is passed on as it came");
    assert!(head.head.statement.journals as usize <= CHECKPOINT_JOURNALS);
    let _ = head.verify();
    Outcome::Accepted
}

fn contents(bytes: &[u8]) -> Outcome {
    let Ok(contents) = Contents::decode(bytes) else { return Outcome::Refused };
    assert_eq!(contents.encode().as_deref(), Ok(bytes), "what a manifest seals has two encodings");
    assert!(contents.closings.len() <= CHECKPOINT_JOURNALS && contents.chunks.len() <= CHECKPOINT_CHUNKS);
    assert!(contents.journals().windows(2).all(|pair| pair[0] < pair[1]), "journals are not in order");
    Outcome::Accepted
}

/// The device of the pinned vectors, at the second entry of its journal.
fn closed() -> (Statement, Contents) {
    let keys = DeviceKeys::generate(&mut Entropy::from_seed(&[2; 32], "device"));
    let (space, collection) = (SpaceId([0x11; 32]), CollectionTag([0x21; 16]));
    let header = Header {
        space,
        journal: JournalId { collection, device: keys.id(), incarnation: Incarnation([0x12; 16]) },
        seq: 1_000,
        prev: EntryHash([1; 32]),
        group: Group { first: 1_000, count: 1 },
        epoch: EpochId([3; 32]),
        time: HybridTime(1),
        roster_heads: vec![OpHash([4; 32])],
        deps: Vec::new(),
        sealed_len: 0,
        sealed_hash: [0; 32],
    };
    let closings = vec![Closing::of(&Entry::sign(header, &[], &keys))];
    let roster_heads = vec![OpHash([4; 32])];
    let statement =
        Statement { space, collection, roster_heads, journals: 1, frontier: [0; 32], lives: 1, root: [0; 32] };
    (statement, Contents { closings, chunks: Vec::new() })
}

fn opened_chunk(bytes: &[u8]) -> Outcome {
    let Ok(segments) = chunk::decode(bytes) else { return Outcome::Refused };
    assert!((1..=CHUNK_SEGMENTS).contains(&segments.len()));
    let written = chunk::encode(&segments).expect("what was read can be written");
    assert_eq!(chunk::decode(&written).as_ref(), Ok(&segments), "a chunk reads back as something else");
    for segment in &segments {
        let counted: usize = segment.runs.iter().map(|run| usize::from(run.count)).sum();
        assert!(counted == segment.changes.len() && counted <= ITEM_CHANGES);
        assert!(segment.end.as_ref().is_none_or(|end| end.heads.len() <= RECORD_HEADS));
    }
    let (statement, contents) = closed();
    let reading = Reading::new(&statement, &contents);
    let mut checker = Checker::new(reading.clone());
    let Ok(lives) = checker.take(&segments) else { return Outcome::Refused };
    assert!(!lives.is_empty());
    applies(&reading, &segments);
    Outcome::Accepted
}

/// What passed the check, Automerge takes.
fn applies(reading: &Reading, segments: &[Segment]) {
    let mut documents: BTreeMap<(DocumentId, u32), Document> = BTreeMap::new();
    for segment in segments {
        let document = documents.entry((segment.document, segment.generation)).or_insert_with(Document::empty);
        let restored = reading.restore(segment).expect("it was checked");
        let change = |restored: farshore_core::checkpoint::check::Restored| {
            Change::from_bytes(restored.change.into_bytes()).expect("Automerge reads what was checked")
        };
        document.apply(restored.into_iter().map(change).collect()).expect("Automerge applies what was checked");
        let loaded = Document::load(Some(&document.save()), &[]).expect("what was applied is saved and loaded");
        assert_eq!(loaded.heads(), document.heads());
        if let Some(end) = &segment.end {
            assert_eq!(end.heads.len(), document.heads().len(), "the check counted other heads");
        }
    }
}
