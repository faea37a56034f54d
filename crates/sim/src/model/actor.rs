//! The actors under which changes may stand (`docs/protocol.md`, "Actors"), written a second time on purpose: were the core's
//! own function used, a mistake in it would look right.

use farshore_core::id::{DocumentId, JournalId, SpaceId};

/// The actor of the changes that a journal may hold for one generation of a document.
pub fn of_journal(space: SpaceId, journal: &JournalId, document: DocumentId, generation: u32) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"farshore actor").update(&space.0).update(&journal.collection.0).update(&journal.device.0);
    hasher.update(&document.0).update(&generation.to_be_bytes()).update(&journal.incarnation.0);
    first_half(&hasher.finalize())
}

/// The actor of the change that makes nothing but one container of a keyed document. `kind`: 1 map, 2 list, 3 text.
pub fn of_container(document: DocumentId, generation: u32, path: &[&str], kind: u8) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"farshore genesis").update(&document.0).update(&generation.to_be_bytes());
    hasher.update(&(path.len() as u32).to_be_bytes());
    for key in path {
        hasher.update(&(key.len() as u32).to_be_bytes()).update(key.as_bytes());
    }
    first_half(&hasher.update(&[kind]).finalize())
}

fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.as_bytes()[..16]);
    out
}
