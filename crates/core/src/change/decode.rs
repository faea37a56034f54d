//! Stage 1: is this one change, by its bytes alone?

use automerge::ChangeHash;

use super::layout::{self, Layout};
use super::limits::OP_COUNTER;
use super::refusal::{Part, Refusal};
use super::rows::Rows;

/// One change whose bytes are sound: canonical, bounded, consistent in themselves. Whether what it refers to exists is for
/// [`AncestorIndex::admit`](super::AncestorIndex::admit) to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedChange {
    chunk: Vec<u8>,
    pub(super) layout: Layout,
    op_count: u32,
}

/// Decode one uncompressed change chunk.
///
/// Errors: [`Refusal`], always the maker's fault. Panics: never. Cost: linear in the bytes plus the operations, which are
/// capped before anything is allocated for them; allocates the chunk, its dependencies and places of actors, and one
/// operation's predecessors.
pub fn decode(chunk: &[u8]) -> Result<DecodedChange, Refusal> {
    let layout = layout::parse(chunk)?;
    let mut rows = Rows::new(chunk, &layout);
    let mut preds = Vec::new();
    let mut op_count = 0_u32;
    while rows.next(&mut preds)?.is_some() {
        op_count += 1; // at most CHANGE_OPS
    }
    let end = layout.start_op + u64::from(op_count);
    if end > OP_COUNTER {
        return Err(Refusal::Limit { part: Part::StartOp, value: end.into() });
    }
    Ok(DecodedChange { chunk: chunk.to_vec(), layout, op_count })
}

impl DecodedChange {
    /// The chunk, byte for byte as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.chunk
    }

    /// Give the chunk back.
    pub fn into_bytes(self) -> Vec<u8> {
        self.chunk
    }

    /// The change's hash, by which others depend on it.
    pub fn hash(&self) -> ChangeHash {
        self.layout.hash
    }

    /// The author's actor id. The caller compares it with the one it derives.
    pub fn actor(&self) -> &[u8] {
        &self.chunk[self.layout.actor.clone()]
    }

    /// The author's count of changes, from 1.
    pub fn seq(&self) -> u64 {
        self.layout.seq
    }

    /// Counter of the first operation.
    pub fn start_op(&self) -> u64 {
        self.layout.start_op
    }

    /// Number of operations; 0 for a change that only merges.
    pub fn op_count(&self) -> u32 {
        self.op_count
    }

    /// The claimed time, as its author gave it: 0 and up.
    pub fn time(&self) -> i64 {
        self.layout.time
    }

    /// The commit message, if there is one.
    pub fn message(&self) -> Option<&str> {
        std::str::from_utf8(&self.chunk[self.layout.message.clone()]).ok().filter(|message| !message.is_empty())
    }

    /// The changes that this one builds on, ascending.
    pub fn deps(&self) -> &[ChangeHash] {
        &self.layout.deps
    }

    /// The other actors that its operations refer to, ascending.
    pub fn other_actors(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.layout.other_actors.iter().map(|range| &self.chunk[range.clone()])
    }

    /// Largest operation counter; one less than the first for a change without operations.
    pub fn max_op(&self) -> u64 {
        self.layout.start_op + u64::from(self.op_count) - 1
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        Rows::new(&self.chunk, &self.layout)
    }
}
