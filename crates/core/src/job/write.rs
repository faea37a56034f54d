//! Local edits: from the app's wishes to Automerge changes, and to the signed and sealed entry that holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{LifeChange, WorkedDocument, WriteError, WriteJob, Written};
use crate::batch::ViewOp;
use crate::change::{self, compact};
use crate::document::{Edit, GenesisScope, NewChange, derived_actor};
use crate::entry::{Dep, Entry, Header};
use crate::id::{DocKey, DocumentId, EntryHash, Position};
use crate::input::{DocEdit, DocOp};
use crate::limits::{EDIT_BYTES, ENTRY_DEPS};
use crate::payload::{self, Item, ItemBody, PackedChange};
use crate::record::{OpenDocument, Place};
use crate::seal;
use crate::value::Value;

/// One document on the desk.
struct Slot {
    /// Its present life.
    life: Result<Life, String>,
    /// Lives that ended on this desk.
    former: Vec<Life>,
    /// Whether it exists, deleted or not.
    known: bool,
    /// Whether this job made it.
    new: bool,
    /// What it was built on before this job.
    places: Vec<Place>,
}

/// One life of a document.
struct Life {
    open: Box<OpenDocument>,
    /// Whether its view may be in the store.
    had_view: bool,
    chunks: Vec<Vec<u8>>,
    brought: BTreeMap<[u8; 32], Place>,
    changed: bool,
}

impl Life {
    fn new(open: OpenDocument, had_view: bool) -> Life {
        Life { open: Box::new(open), had_view, chunks: Vec::new(), brought: BTreeMap::new(), changed: false }
    }

    /// Notes where its changes stand, now that the entry has a hash.
    fn settle(&mut self, provisional: Place, place: Place) {
        self.brought.values_mut().for_each(|noted| *noted = place);
        self.open.record.set_heads(&self.open.document.heads(), &self.brought);
        self.open.record.settle(provisional, place);
    }
}

/// Everything that one write works on.
struct Desk {
    header: Header,
    edit_wins: bool,
    /// Stands for the entry until it has a hash.
    provisional: Place,
    slots: BTreeMap<DocKey, Slot>,
    items: Vec<Item>,
}

pub(super) fn run(job: WriteJob) -> Written {
    let WriteJob { header, keys, key, edit_wins, edits, documents } = job;
    let mut desk = Desk::new(header, edit_wins, &edits, documents);
    let mut results: Vec<Result<bool, WriteError>> = edits.iter().map(|edit| desk.edit(edit)).collect();
    // A fault of ours may have left a document with an edit that no item holds: then nothing of this job counts.
    let fault = results.iter().find_map(|result| match result {
        Err(fault @ WriteError::Internal(_)) => Some(fault.clone()),
        _ => None,
    });
    if fault.is_none() && desk.items.is_empty() {
        return Written { entry: None, results, documents: desk.clear(None) };
    }
    match fault.map_or_else(|| desk.seal(&keys, &key), Err) {
        Ok(entry) => {
            let place = desk.place(entry.position());
            Written { documents: desk.clear(Some(place)), entry: Some(entry), results }
        }
        Err(error) => {
            for result in results.iter_mut().filter(|result| matches!(result, Ok(true))) {
                *result = Err(error.clone());
            }
            // The documents hold edits that no entry will: forget them, the store still has what is true.
            Written { entry: None, results, documents: desk.slots.into_keys().map(WorkedDocument::lost).collect() }
        }
    }
}

impl Desk {
    fn new(header: Header, edit_wins: bool, edits: &[DocEdit], documents: Vec<(DocKey, super::DocSource)>) -> Desk {
        let keyed: BTreeMap<DocumentId, bool> = edits.iter().map(|edit| (edit.document, edit.keyed)).collect();
        let slots = documents
            .into_iter()
            .map(|(key, source)| {
                let known = !matches!(source, super::DocSource::Absent);
                let open = source.open(keyed.get(&key.document).copied().unwrap_or(false));
                let places = open.as_ref().map(|open| open.record.places().copied().collect()).unwrap_or_default();
                let life = open.map(|open| Life::new(open, known));
                (key, Slot { life, former: Vec::new(), known, new: !known, places })
            })
            .collect();
        let provisional = Place {
            device: header.journal.device,
            incarnation: header.journal.incarnation,
            position: Position { seq: header.seq, hash: EntryHash([0; 32]) },
        };
        Desk { header, edit_wins, provisional, slots, items: Vec::new() }
    }

    /// Carries out one document's edits and notes the item for them.
    fn edit(&mut self, edit: &DocEdit) -> Result<bool, WriteError> {
        let id = edit.document;
        let bytes = op_bytes(&edit.op);
        if bytes > EDIT_BYTES {
            return Err(WriteError::TooLarge { bytes, limit: EDIT_BYTES });
        }
        let key = DocKey { space: self.header.space, collection: self.header.journal.collection, document: id };
        let slot = self.slots.get_mut(&key).ok_or_else(|| WriteError::Internal("a document was not loaded".into()))?;
        let life = match &mut slot.life {
            Ok(life) => life,
            Err(reason) => return Err(WriteError::Damaged { document: id, reason: reason.clone() }),
        };
        let there = slot.known && !life.open.record.deleted(self.edit_wins);
        let edits = match &edit.op {
            DocOp::Create(_) if there => return Err(WriteError::Exists(id)),
            DocOp::Edit(_) | DocOp::EditAt { .. } | DocOp::Delete if !there => return Err(WriteError::Missing(id)),
            DocOp::EditAt { heads, .. } if *heads != sorted_heads(&life.open) => return Err(WriteError::Changed(id)),
            DocOp::Delete => {
                let heads = sorted_heads(&life.open);
                life.open.record.entomb(&heads, self.provisional);
                life.changed = true;
                let generation = life.open.record.generation;
                self.items.push(Item { document: id, generation, body: ItemBody::Tombstone { heads } });
                return Ok(true);
            }
            DocOp::Create(value) => vec![Edit::Replace { value: value.clone() }],
            DocOp::Upsert(value) => vec![Edit::Merge { value: value.clone() }],
            DocOp::Edit(edits) | DocOp::EditAt { edits, .. } => edits.clone(),
        };
        // The next life of a deleted document takes the place of the one before only if the edit succeeds.
        let mut next = match slot.known && !there {
            false => None,
            true => Some(next_life(&life.open)?),
        };
        let open = match &mut next {
            Some(next) => &mut next.open,
            None => &mut life.open,
        };
        let made = make_changes(&self.header, id, open, edit.keyed, &edits)?;
        if made.is_empty() && there {
            return Ok(false);
        }
        if let Some(next) = next {
            slot.former.push(std::mem::replace(life, next));
        }
        slot.known = true;
        life.changed = true;
        self.items.push(pack(id, life.open.record.generation, &made)?);
        for change in made {
            life.brought.insert(change.hash.0, self.provisional);
            life.open.record.count_change(change.ops, change.bytes.len());
            life.chunks.push(change.bytes);
        }
        Ok(true)
    }

    /// Completes the header, seals the items and signs.
    fn seal(&mut self, keys: &crate::keys::DeviceKeys, key: &seal::EpochKey) -> Result<Entry, WriteError> {
        let mut deps: BTreeMap<_, Position> = BTreeMap::new();
        for place in self.slots.values().filter(|slot| slot.changed()).flat_map(|slot| &slot.places) {
            if (place.device, place.incarnation) != (self.provisional.device, self.provisional.incarnation) {
                let newest = deps.entry((place.device, place.incarnation)).or_insert(place.position);
                *newest = (*newest).max(place.position);
            }
        }
        if deps.len() > ENTRY_DEPS {
            return Err(WriteError::TooLarge { bytes: deps.len(), limit: ENTRY_DEPS });
        }
        self.header.deps =
            deps.into_iter().map(|((device, incarnation), position)| Dep { device, incarnation, position }).collect();
        let plain = payload::encode(&self.items).map_err(|error| WriteError::Internal(error.to_string()))?;
        let content_key = seal::content_key(key, &self.header.journal.collection);
        let sealed = seal::seal(&content_key, &self.header.bound_bytes(), &plain);
        let room = crate::limits::ENTRY_BYTES - (1 << 10) - self.header.deps.len() * 88;
        if sealed.len() > room {
            return Err(WriteError::TooLarge { bytes: sealed.len(), limit: room });
        }
        Ok(Entry::sign(self.header.clone(), &sealed, keys))
    }

    fn place(&self, position: Position) -> Place {
        Place { position, ..self.provisional }
    }

    /// Takes the documents off the desk, with what the store must do about each.
    fn clear(self, place: Option<Place>) -> Vec<WorkedDocument> {
        let (provisional, edit_wins) = (self.provisional, self.edit_wins);
        let keep_new = super::keeps_new(self.slots.values().filter(|slot| slot.new).count());
        self.slots
            .into_iter()
            .map(|(key, slot)| {
                let (true, Ok(mut life)) = (slot.known, slot.life) else { return WorkedDocument::lost(key) };
                let keep = keep_new || !slot.new;
                let mut changes = Vec::new();
                if let Some(place) = place {
                    for mut former in slot.former {
                        former.settle(provisional, place);
                        changes.push(finish_former(&mut former.open, former.chunks, former.had_view));
                    }
                    if life.changed {
                        life.settle(provisional, place);
                        changes.push(finish(&mut life.open, life.chunks, edit_wins));
                    }
                }
                WorkedDocument::new(key, life.open, changes, edit_wins, keep)
            })
            .collect()
    }
}

impl Slot {
    fn changed(&self) -> bool {
        self.life.as_ref().is_ok_and(|life| life.changed)
    }
}

/// The life after a deleted one.
fn next_life(deleted: &OpenDocument) -> Result<Life, WriteError> {
    let generation = deleted.record.generation.checked_add(1);
    let generation =
        generation.ok_or_else(|| WriteError::Internal("the document was deleted four billion times".into()))?;
    Ok(Life::new(OpenDocument::fresh(generation, deleted.record.keyed), false))
}

/// What the store must do about a document whose present life has changed.
pub(super) fn finish(open: &mut OpenDocument, chunks: Vec<Vec<u8>>, edit_wins: bool) -> LifeChange {
    let content = open.content_op(chunks);
    let view = if open.record.deleted(edit_wins) {
        open.record.conflicts = false;
        ViewOp::Remove
    } else {
        let view = open.document.view();
        open.record.conflicts = view.has_conflicts;
        ViewOp::Put(view.value.encode())
    };
    LifeChange { generation: open.record.generation, record: open.record.encode(), content, view }
}

/// What the store must do about a former life that has changed, or that was the present one until now: it has no view.
pub(super) fn finish_former(open: &mut OpenDocument, chunks: Vec<Vec<u8>>, had_view: bool) -> LifeChange {
    let content = open.content_op(chunks);
    open.record.conflicts = false;
    let view = if had_view { ViewOp::Remove } else { ViewOp::Keep };
    LifeChange { generation: open.record.generation, record: open.record.encode(), content, view }
}

fn sorted_heads(open: &OpenDocument) -> Vec<[u8; 32]> {
    let mut heads: Vec<[u8; 32]> = open.document.heads().iter().map(|head| head.0).collect();
    heads.sort_unstable();
    heads
}

fn make_changes(
    header: &Header,
    id: DocumentId,
    open: &mut OpenDocument,
    keyed: bool,
    edits: &[Edit],
) -> Result<Vec<NewChange>, WriteError> {
    let generation = open.record.generation;
    let journal = header.journal;
    let actor = derived_actor(header.space, journal.collection, journal.device, id, generation, journal.incarnation);
    let scope = if keyed || open.record.keyed {
        GenesisScope::Keyed { document: id, generation }
    } else {
        GenesisScope::Ordinary
    };
    let made = open.document.edit_within(open.record.room(), actor, scope, edits)?.changes;
    if let Some(index) = &mut open.index {
        let index = Arc::make_mut(index);
        for change in &made {
            // If our own encoder and validator disagree, nothing has left this device yet: refuse the edit.
            change::decode(&change.bytes)
                .and_then(|decoded| index.admit(&decoded))
                .map_err(|error| WriteError::Internal(format!("own change refused: {error}")))?;
        }
    }
    Ok(made)
}

/// The item that holds one edit's changes.
fn pack(document: DocumentId, generation: u32, made: &[NewChange]) -> Result<Item, WriteError> {
    let internal = |error: &dyn std::fmt::Display| WriteError::Internal(format!("own change refused: {error}"));
    let mut previous = None;
    let mut packed = Vec::with_capacity(made.len());
    for change in made {
        let (hash, bytes) = compact::strip(&change.bytes, previous).map_err(|error| internal(&error))?;
        previous = Some(hash);
        packed.push(if change.genesis {
            let decoded = change::decode(&change.bytes).map_err(|error| internal(&error))?;
            let actor = decoded.actor().try_into().map_err(|error| internal(&error))?;
            PackedChange::Genesis { actor, change: bytes }
        } else {
            PackedChange::Derived(bytes)
        });
    }
    Ok(Item { document, generation, body: ItemBody::Changes(packed) })
}

/// About what an edit takes in an entry.
pub(crate) fn op_bytes(op: &DocOp) -> usize {
    match op {
        DocOp::Create(value) | DocOp::Upsert(value) => value_bytes(value),
        DocOp::Edit(edits) | DocOp::EditAt { edits, .. } => edits.iter().map(one_edit_bytes).sum(),
        DocOp::Delete => 64,
    }
}

fn one_edit_bytes(edit: &Edit) -> usize {
    /// An operation's columns, and a path of ordinary length.
    const FIXED: usize = 32;
    FIXED
        + match edit {
            Edit::Put { value, .. } | Edit::Insert { value, .. } | Edit::Mark { value, .. } => value_bytes(value),
            Edit::Replace { value } | Edit::Merge { value } => value_bytes(value),
            Edit::Splice { insert: text, .. } | Edit::UpdateText { to: text, .. } => text.len(),
            _ => 0,
        }
}

fn value_bytes(value: &Value) -> usize {
    const FIXED: usize = 8;
    FIXED
        + match value {
            Value::Str(text) | Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(items) => items.iter().map(value_bytes).sum(),
            Value::Map(fields) => fields.iter().map(|(key, value)| key.len() + value_bytes(value)).sum(),
            _ => 0,
        }
}
