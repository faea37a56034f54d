//! What a document's known changes are, as far as the next change may refer to it.

use automerge::ChangeHash;

use super::decode::{DecodedChange, decode};
use super::graph::Graph;
use super::refusal::Refusal;
use super::runs::Runs;

/// Everything about one document that [`AncestorIndex::admit`] asks for.
///
/// It holds exactly the changes admitted to it, so keep it beside the Automerge document: admit, then apply. If a batch
/// cannot be applied or committed after all, drop the index and build it again with [`AncestorIndex::from_document`].
///
/// Memory: about 150 bytes a change, 60 a run of typed text or a written value, 4 bytes × actors for at most every 64th change
/// of a sequential history, and each distinct map key once.
#[derive(Debug, Clone, Default)]
pub struct AncestorIndex {
    pub(super) graph: Graph,
    pub(super) runs: Runs,
}

/// What became of an admissible change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is new and is now in the index.
    New,
    /// It was there already.
    Known,
}

/// A document has a change that the validator refuses.
///
/// Ours, or made before a rule was tightened: every change of a Farshore document passed the validator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("change {hash} of the document does not pass the validator: {refusal}")]
pub struct RebuildError {
    /// The change.
    pub hash: ChangeHash,
    /// Why it does not pass.
    #[source]
    pub refusal: Refusal,
}

impl AncestorIndex {
    /// The index of a document without changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The index of a loaded document.
    ///
    /// Errors: a change of the document does not pass. Cost: linear in the document's history; Automerge encodes every change
    /// anew (and, with debug assertions, twice).
    pub fn from_document(document: &automerge::Automerge) -> Result<Self, RebuildError> {
        let mut index = Self::new();
        for change in document.get_changes(&[]) {
            let refused = |refusal| RebuildError { hash: change.hash(), refusal };
            let decoded = decode(change.raw_bytes()).map_err(refused)?;
            index.admit(&decoded).map_err(refused)?;
        }
        Ok(index)
    }

    /// Whether this change was admitted.
    pub fn contains(&self, hash: &ChangeHash) -> bool {
        self.graph.contains(hash)
    }

    /// Number of changes admitted.
    pub fn len(&self) -> usize {
        self.graph.len()
    }

    /// Whether no change was admitted yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The changes that no other one builds on, in order of admission: equal as a set to the document's heads.
    pub fn heads(&self) -> impl Iterator<Item = ChangeHash> {
        self.graph.heads()
    }

    /// Number of changes by this actor; its next one has this plus 1.
    pub fn seq(&self, actor: &[u8]) -> u64 {
        self.graph.actor_number(actor).map_or(0, |actor| self.graph.seq(actor).into())
    }

    /// This actor's change with this sequence number, from 1.
    pub fn change_of(&self, actor: &[u8], seq: u64) -> Option<ChangeHash> {
        self.graph.change_of(self.graph.actor_number(actor)?, seq)
    }

    /// Largest operation counter in the document; 0 if it has none.
    pub fn max_op(&self) -> u64 {
        self.graph.max_op().into()
    }

    /// Check a change against its ancestors without keeping it.
    ///
    /// Like [`AncestorIndex::admit`], but the index is as before. It borrows mutably because the change's own operations are
    /// in it meanwhile.
    pub fn check(&mut self, change: &DecodedChange) -> Result<Admission, Refusal> {
        self.try_admit(change, false)
    }

    /// Check a change against its ancestors and keep it.
    ///
    /// Checked: the dependencies are here; it follows its author's previous change; it starts beyond its ancestors; every
    /// actor, object, element and predecessor exists among the ancestors or earlier in the change, and fits.
    ///
    /// Errors: [`Refusal`]; then the index is as before. [`Refusal::MissingDependency`] alone may be cured by waiting, and
    /// [`Refusal::Equivocation`] is the one answer that depends on more than bytes and ancestors: the change is sound, but
    /// another one took its place first. Cost: linear in the operations, times the logarithm of the document's runs.
    pub fn admit(&mut self, change: &DecodedChange) -> Result<Admission, Refusal> {
        self.try_admit(change, true)
    }
}
