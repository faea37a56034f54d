//! A document: an Automerge document behind a wrapper that makes it deterministic, atomic and free of surprises.
//!
//! Automerge picks random actors when a document is made, loaded or forked. Here every edit names its actor, every committed
//! change is asserted to carry it, and times are always 0 (the entry's header has the claimed time): the same calls give the
//! same bytes. Nothing here catches panics or bounds time: a worker does.

mod actor;
mod check;
mod conflict;
pub mod diff;
mod edit;
mod fate;
pub mod genesis;
pub mod path;
mod place;
mod replay;
mod sequence;
mod view;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use automerge::transaction::{CommitOptions, Transaction};
use automerge::{ActorId, Automerge, AutomergeError, Change, ChangeHash, LoadOptions, ReadDoc, TextEncoding};
use thiserror::Error;

pub use actor::derived_actor;
pub use conflict::{Candidate, Conflict};
pub use edit::{Edit, EditError, Expand};
pub use fate::{Fate, Outcome, OwnWrite};
pub use genesis::GenesisScope;
pub use path::{Path, Step};
pub use view::View;

use crate::change::{AncestorIndex, RebuildError};
use crate::limits::{CHANGE_BYTES, DOCUMENT_BYTES, DOCUMENT_OPS, EDIT_OPS, OP_COUNTER};
use crate::value::Value;
use place::Places;
use view::Hidden;
use write::Writer;

/// Positions in texts count Unicode scalar values, whatever features of Automerge a build has turned on.
const ENCODING: TextEncoding = TextEncoding::UnicodeCodePoint;

/// One document: its changes, and what they make.
///
/// Clones share it until one of them changes, which then pays for the copy: a simulator keeps the same document on many devices.
#[derive(Debug, Clone)]
pub struct Document {
    inner: Arc<Automerge>,
}

/// What a batch of edits committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The new changes in causal order: genesis changes first, then at most one of the actor. Empty if the batch changed
    /// nothing of a document that has changes.
    pub changes: Vec<NewChange>,
}

impl Committed {
    /// Refuses what does not fit.
    fn fit(self, room: Room) -> Result<Committed, EditError> {
        if self.changes.iter().map(|change| change.ops).sum::<u64>() > room.ops {
            return Err(EditError::Oversize { unit: "operations", limit: DOCUMENT_OPS });
        }
        if self.changes.iter().map(|change| change.bytes.len() as u64).sum::<u64>() > room.bytes {
            return Err(EditError::Oversize { unit: "bytes of changes", limit: DOCUMENT_BYTES });
        }
        Ok(self)
    }
}

/// A change as it goes into an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChange {
    /// Its hash.
    pub hash: ChangeHash,
    /// The change chunk, never compressed.
    pub bytes: Vec<u8>,
    /// How many operations it has.
    pub ops: u64,
    /// Whether it is a genesis change, which other devices may have made too.
    pub genesis: bool,
}

/// What applying changes did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// How many of the changes were new.
    pub new: usize,
}

/// How much a document holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Changes in its history.
    pub changes: u64,
    /// Operations in its history; each takes a few bytes of memory, and a few tens when values are long.
    pub ops: u64,
}

/// What a batch of edits may add to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Operations.
    pub ops: u64,
    /// Bytes of changes, uncompressed.
    pub bytes: u64,
}

impl Room {
    /// As much as one change may hold.
    pub const UNBOUNDED: Room = Room { ops: u64::MAX, bytes: u64::MAX };
}

/// A marked range of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedRange {
    /// The first marked character, counted in Unicode scalar values.
    pub start: u64,
    /// The one after the last.
    pub end: u64,
    /// The mark's name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// Why a stored document cannot be loaded: the disk's fault, or ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The snapshot does not read.
    #[error("the snapshot does not load: {0}; rebuild the document from its journals")]
    Snapshot(String),
    /// A change of the tail does not read.
    #[error("change {index} of the tail does not load: {reason}; rebuild the document from its journals")]
    Change {
        /// Which, from 0.
        index: usize,
        /// Why.
        reason: String,
    },
    /// The changes of the tail do not apply.
    #[error("the tail does not apply: {0}; rebuild the document from its journals")]
    Tail(#[from] ApplyError),
}

/// Why changes were not applied. Unless said otherwise, the document is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A change builds on one that is neither here nor in the batch: ours, whoever applies waits for what changes build on.
    #[error("change {change} builds on {dep}, which is not here")]
    MissingDep {
        /// The change.
        change: ChangeHash,
        /// What is missing.
        dep: ChangeHash,
    },
    /// Another change already has this actor and sequence number: the author's fault.
    #[error("actor {actor} has another change number {seq}")]
    Equivocation {
        /// The actor, in hexadecimal.
        actor: String,
        /// The number.
        seq: u64,
    },
    /// Automerge refused what was validated, or kept some of it back: ours. The document must be discarded and loaded again.
    #[error("validated changes were not applied: {0}; discard the document and load it again")]
    Internal(String),
}

impl Default for Document {
    fn default() -> Document {
        Document::empty()
    }
}

impl Document {
    /// A document without changes.
    pub fn empty() -> Document {
        Document { inner: Arc::new(blank()) }
    }

    /// Whether the two are one in memory: clones, of which neither has changed since. Then also what they save to is equal, which
    /// does not follow from equal heads.
    pub fn is_same(&self, other: &Document) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Loads what was saved.
    ///
    /// Shape: `snapshot` is what [`Document::save`] gave, `tail` the chunks of later changes in causal order. Both must come
    /// from our own store: Automerge's decoders are not safe on bytes from strangers.
    ///
    /// # Errors
    /// When the bytes do not read, or the tail builds on changes that are not there.
    pub fn load(snapshot: Option<&[u8]>, tail: &[&[u8]]) -> Result<Document, LoadError> {
        let mut inner = match snapshot {
            None => blank(),
            Some(bytes) => {
                let options = LoadOptions::new().text_encoding(ENCODING);
                let loaded = Automerge::load_with_options(bytes, options);
                settle(loaded.map_err(|error| LoadError::Snapshot(error.to_string()))?)
            }
        };
        let read = |(index, bytes): (usize, &&[u8])| {
            Change::try_from(*bytes).map_err(|error| LoadError::Change { index, reason: error.to_string() })
        };
        let changes = tail.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        apply(&mut inner, changes)?;
        Ok(Document { inner: Arc::new(inner) })
    }

    /// Applies a batch of edits as one change of `actor`, with the genesis changes that it needs before it; or, after an
    /// error, nothing.
    ///
    /// `actor` must be this device's own for this document (see [`derived_actor`]).
    ///
    /// # Errors
    /// See [`EditError`].
    ///
    /// Cost: what the edits touch; a refused batch that had committed genesis changes, or that made a change too large for
    /// peers, costs a rebuild of the document.
    pub fn edit(&mut self, actor: [u8; 16], scope: GenesisScope, edits: &[Edit]) -> Result<Committed, EditError> {
        self.edit_within(Room::UNBOUNDED, actor, scope, edits)
    }

    /// The same, if the changes fit into `room`.
    ///
    /// # Errors
    /// See [`EditError`]; [`EditError::Oversize`] when they do not fit.
    pub fn edit_within(
        &mut self,
        room: Room,
        actor: [u8; 16],
        scope: GenesisScope,
        edits: &[Edit],
    ) -> Result<Committed, EditError> {
        check::check(edits)?;
        let before = self.inner.get_heads();
        let result = self.commit(actor, scope, edits).and_then(|committed| committed.fit(room));
        if result.is_err() && self.inner.get_heads() != before {
            self.inner = Arc::new(settle(self.inner.fork_at(&before)?));
        }
        result
    }

    /// Edits without a way back once something is committed.
    fn commit(&mut self, actor: [u8; 16], scope: GenesisScope, edits: &[Edit]) -> Result<Committed, EditError> {
        let needed = genesis::needed(&self.inner, scope, edits);
        let unborn: Hidden = needed.iter().map(|needed| needed.object.clone()).collect();
        let mut changes: Vec<NewChange> = needed.iter().map(|needed| new_change(&needed.change, true)).collect();
        let inner = Arc::make_mut(&mut self.inner);
        if !needed.is_empty() {
            inner.apply_changes(needed.into_iter().map(|needed| needed.change).collect::<Vec<_>>())?;
        }
        changes.extend(run(inner, actor, edits, unborn)?);
        Ok(Committed { changes })
    }

    /// Applies changes of others, in one call to Automerge. Changes that are here already are skipped.
    ///
    /// The changes must have passed the validator.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply(&mut self, changes: Vec<Change>) -> Result<Applied, ApplyError> {
        apply(Arc::make_mut(&mut self.inner), changes)
    }

    /// Makes a change of another device again, as its author made it, if it can be: it types in texts, and builds on exactly what
    /// is here. `false` if not; the document is as it was then. [`Document::apply`] does this where it costs less than applying.
    ///
    /// The change must have passed the validator, and is not here yet.
    ///
    /// # Errors
    /// See [`ApplyError::Internal`].
    pub fn replay(&mut self, change: &Change) -> Result<bool, ApplyError> {
        replay::replay(Arc::make_mut(&mut self.inner), change)
    }

    /// The hashes of the changes that no other builds on, ascending. Equal heads mean equal documents.
    pub fn heads(&self) -> Vec<ChangeHash> {
        self.inner.get_heads()
    }

    /// The highest operation number; 0 in an empty document.
    pub fn max_op(&self) -> u64 {
        max_op(&self.inner)
    }

    /// Whether a change is here.
    pub fn has_change(&self, hash: &ChangeHash) -> bool {
        has_change(&self.inner, hash)
    }

    /// A change that is here.
    pub fn change(&self, hash: &ChangeHash) -> Option<Change> {
        self.inner.get_change_by_hash(hash)
    }

    /// All changes, in causal order.
    pub fn changes(&self) -> Vec<Change> {
        self.inner.get_changes(&[])
    }

    /// The changes that `heads` do not build on, in causal order. Heads that are not here count for nothing.
    pub fn changes_since(&self, heads: &[ChangeHash]) -> Vec<Change> {
        self.inner.get_changes(heads)
    }

    /// What changes of others may refer to: the index of everything that this document holds.
    ///
    /// # Errors
    /// The document holds a change that the validator refuses. Cost: linear in its history.
    pub fn ancestors(&self) -> Result<AncestorIndex, RebuildError> {
        AncestorIndex::from_document(&self.inner)
    }

    /// The whole history in Automerge's compact form, for our own store. Documents with equal heads may give different
    /// bytes: compare heads, never these.
    pub fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    /// The Automerge document, for reading: the validator builds its index of ancestors from it.
    pub fn as_automerge(&self) -> &Automerge {
        &self.inner
    }

    /// How much it holds.
    pub fn size(&self) -> Size {
        let stats = self.inner.stats();
        Size { changes: stats.num_changes, ops: stats.num_ops }
    }

    /// The current state as a plain value, and whether there are conflicts. Maps and lists nested deeper than
    /// [`VALUE_DEPTH`](crate::limits::VALUE_DEPTH), which only a peer's changes can make, read as null.
    pub fn view(&self) -> View {
        view::view(&*self.inner, &Hidden::new())
    }

    /// Everything in the view that has other values beside the one shown.
    ///
    /// Cost: one pass over the document; ask [`Document::view`] first whether there are any.
    pub fn conflicts(&self) -> Vec<Conflict> {
        conflict::conflicts(&*self.inner)
    }

    /// The marks of the text at `path`, by name, then by position.
    ///
    /// # Errors
    /// When there is no text.
    pub fn marks(&self, path: &Path) -> Result<Vec<MarkedRange>, EditError> {
        let text = Places { doc: &*self.inner, hidden: &Hidden::new() }.text(path)?;
        let range = |mark: automerge::marks::Mark| MarkedRange {
            start: mark.start as u64,
            end: mark.end as u64,
            name: mark.name.to_string(),
            value: view::scalar(&mark.value),
        };
        Ok(self.inner.marks(&text)?.into_iter().map(range).collect())
    }
}

/// Runs a batch in one transaction; gives its change, if it changed anything. When an edit is refused the document is as it
/// was; when the change turns out too large it is not.
fn run(doc: &mut Automerge, actor: [u8; 16], edits: &[Edit], unborn: Hidden) -> Result<Option<NewChange>, EditError> {
    let actor = ActorId::from(actor);
    doc.set_actor(actor.clone());
    let mut tx = doc.transaction();
    if let Err(error) = write_all(&mut tx, edits, unborn) {
        tx.rollback();
        return Err(error);
    }
    let options = || CommitOptions::default().with_time(0);
    let hash = match tx.commit_with(options()).0 {
        Some(hash) => hash,
        // What has no change cannot be sent: a document that begins empty has one without operations.
        None if doc.get_heads().is_empty() => doc.empty_commit(options()),
        None => return Ok(None),
    };
    let change = doc.get_change_by_hash(&hash).expect("a change that was just committed is there");
    assert_eq!(*change.actor_id(), actor, "Automerge committed under another actor");
    assert_eq!(change.timestamp(), 0, "Automerge put a time into a change");
    let size = change.raw_bytes().len();
    if size > CHANGE_BYTES {
        return Err(EditError::BatchTooLarge { size, unit: "bytes", limit: CHANGE_BYTES });
    }
    if change.max_op() >= OP_COUNTER {
        return Err(EditError::Full { limit: OP_COUNTER });
    }
    Ok(Some(new_change(&change, false)))
}

fn write_all(tx: &mut Transaction<'_>, edits: &[Edit], unborn: Hidden) -> Result<(), EditError> {
    let mut writer = Writer::new(tx, unborn);
    for edit in edits {
        writer.apply(edit)?;
        let size = writer.ops();
        if size > EDIT_OPS {
            return Err(EditError::BatchTooLarge { size, unit: "operations", limit: EDIT_OPS });
        }
    }
    Ok(())
}

fn apply(doc: &mut Automerge, changes: Vec<Change>) -> Result<Applied, ApplyError> {
    let mut seen = BTreeSet::new();
    let mut new: Vec<Change> =
        changes.into_iter().filter(|change| !has_change(doc, &change.hash()) && seen.insert(change.hash())).collect();
    for change in &new {
        if let Some(dep) = change.deps().iter().find(|dep| !seen.contains(dep) && !has_change(doc, dep)) {
            return Err(ApplyError::MissingDep { change: change.hash(), dep: *dep });
        }
    }
    let applied = Applied { new: new.len() };
    if replay::worth_it(doc, &new) {
        let mut made = 0;
        while made < new.len() && replay::replay(doc, &new[made])? {
            made += 1;
        }
        new.drain(..made);
    }
    if !new.is_empty() {
        doc.apply_changes(new).map_err(|error| match error {
            AutomergeError::DuplicateSeqNumber(seq, actor) => {
                ApplyError::Equivocation { actor: actor.to_hex_string(), seq }
            }
            other => ApplyError::Internal(other.to_string()),
        })?;
        let missing = doc.get_missing_deps(&[]);
        if !missing.is_empty() {
            return Err(ApplyError::Internal(format!("{} changes are missing", missing.len())));
        }
    }
    Ok(applied)
}

fn new_change(change: &Change, genesis: bool) -> NewChange {
    // `raw_bytes`, unlike `bytes`, never compresses.
    NewChange { hash: change.hash(), bytes: change.raw_bytes().to_vec(), ops: change.len() as u64, genesis }
}

/// An Automerge document without changes and without a random actor.
fn blank() -> Automerge {
    settle(Automerge::new_with_encoding(ENCODING))
}

/// Puts a fixed actor in the place of the random one. Nothing is ever committed under it.
fn settle(mut doc: Automerge) -> Automerge {
    doc.set_actor(ActorId::from([0; 16]));
    doc
}

fn max_op(doc: &Automerge) -> u64 {
    let of = |hash: &ChangeHash| doc.get_change_meta_by_hash(hash).map_or(0, |change| change.max_op);
    // Every change numbers its operations above those it builds on.
    doc.get_heads().iter().map(of).max().unwrap_or(0)
}

/// Whether a change is in the document. Automerge offers no more direct way, and the documents here hold nothing back.
fn has_change(doc: &Automerge, hash: &ChangeHash) -> bool {
    doc.get_missing_deps(std::slice::from_ref(hash)).is_empty()
}
