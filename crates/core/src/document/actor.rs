//! The actor under which a device edits a document.

use crate::id::{CollectionTag, DeviceId, DocumentId, Incarnation, SpaceId};

const LABEL: &[u8] = b"farshore actor";

/// The actor of a device's own changes to one generation of a document, in one life of its store. Receivers compute it too,
/// so that nobody can write under another's name.
///
/// Shape: the first 16 bytes of blake3 of a label and the arguments in their order, all of fixed width.
pub fn derived_actor(
    space: SpaceId,
    collection: CollectionTag,
    device: DeviceId,
    document: DocumentId,
    generation: u32,
    incarnation: Incarnation,
) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(LABEL).update(space.as_bytes()).update(collection.as_bytes()).update(device.as_bytes());
    hasher.update(document.as_bytes()).update(&generation.to_be_bytes()).update(incarnation.as_bytes());
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_makes_another_actor() {
        let actor = |space, collection, device, document, generation, incarnation| {
            let (space, collection) = (SpaceId([space; 32]), CollectionTag([collection; 16]));
            let (device, document) = (DeviceId([device; 32]), DocumentId([document; 16]));
            derived_actor(space, collection, device, document, generation, Incarnation([incarnation; 16]))
        };
        let actors = [
            actor(0, 0, 0, 0, 0, 0),
            actor(1, 0, 0, 0, 0, 0),
            actor(0, 1, 0, 0, 0, 0),
            actor(0, 0, 1, 0, 0, 0),
            actor(0, 0, 0, 1, 0, 0),
            actor(0, 0, 0, 0, 1, 0),
            actor(0, 0, 0, 0, 0, 1),
        ];
        let distinct: std::collections::BTreeSet<_> = actors.iter().collect();
        assert_eq!(distinct.len(), actors.len());
        // Pinned: every device must compute the same, in every version.
        assert_eq!(crate::id::hex(&actors[0]), "efe77ee87ed348148a979851aa0c0f34");
    }
}
