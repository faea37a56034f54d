//! What a malicious member puts into entries: changes encoded by hand, every field free to be wrong.

use automerge::ChangeHash;
use farshore_core::change::compact;
use farshore_core::id::DocumentId;
use farshore_core::payload::{Item, ItemBody, PackedChange};

use crate::peer::RawPeer;
use crate::raw::{Op, RawChange};

pub(crate) fn document(byte: u8) -> DocumentId {
    DocumentId([byte; 16])
}

/// A first change of a document by its rightful actor.
pub(crate) fn first(peer: &RawPeer, document: DocumentId, ops: Vec<Op>) -> RawChange {
    RawChange { actor: peer.actor(document, 1).to_vec(), ..RawChange::first(0, ops) }
}

/// The change that follows another of the same actor.
pub(crate) fn then(change: &RawChange, ops: Vec<Op>) -> RawChange {
    RawChange { actor: change.actor.clone(), ..change.then(ops) }
}

/// Changes as an entry holds them.
pub(crate) fn item(document: DocumentId, changes: &[RawChange]) -> Item {
    chunks(document, changes.iter().map(RawChange::chunk).collect())
}

pub(crate) fn chunks(document: DocumentId, chunks: Vec<Vec<u8>>) -> Item {
    let mut previous: Option<ChangeHash> = None;
    let mut packed = Vec::new();
    for chunk in chunks {
        let (hash, compact) = compact::strip(&chunk, previous).unwrap();
        previous = Some(hash);
        packed.push(PackedChange::Derived(compact));
    }
    Item { document, generation: 1, body: ItemBody::Changes(packed) }
}

/// A sound item: `title = text` in a new document.
pub(crate) fn sound(peer: &RawPeer, id: DocumentId, text: &str) -> Item {
    item(id, &[first(peer, id, vec![Op::put("title", text)])])
}
