//! What the tests of the change validator share: a builder of arbitrarily wrong changes, a lenient reader of right ones, a
//! random workload of plain Automerge, and the real traces.
#![allow(dead_code, reason = "every test binary uses its own part")]

pub(crate) mod raw;
pub(crate) mod seen;
pub(crate) mod trace;
pub(crate) mod workload;

use automerge::{Automerge, Change, ChangeHash};
use farshore_core::change::{AncestorIndex, decode};

/// All changes of a document as chunks, in an order that respects dependencies.
pub(crate) fn chunks(document: &Automerge) -> Vec<Vec<u8>> {
    document.get_changes(&[]).iter().map(|change| change.raw_bytes().to_vec()).collect()
}

/// Pass every change through both stages; the index afterwards.
pub(crate) fn accept_all(chunks: &[Vec<u8>]) -> AncestorIndex {
    let mut index = AncestorIndex::new();
    for (place, chunk) in chunks.iter().enumerate() {
        let change = decode(chunk).unwrap_or_else(|refusal| panic!("change {place} does not decode: {refusal}"));
        index.admit(&change).unwrap_or_else(|refusal| panic!("change {place} is not admitted: {refusal}"));
    }
    index
}

/// Apply chunks to a new document in one batch.
pub(crate) fn replay(chunks: &[Vec<u8>]) -> Automerge {
    let mut document = Automerge::new();
    let changes: Vec<Change> = chunks.iter().map(|chunk| Change::from_bytes(chunk.clone()).unwrap()).collect();
    document.apply_changes(changes).unwrap();
    document
}

/// Heads, ascending.
pub(crate) fn sorted(heads: impl IntoIterator<Item = ChangeHash>) -> Vec<ChangeHash> {
    let mut heads: Vec<_> = heads.into_iter().collect();
    heads.sort();
    heads
}
