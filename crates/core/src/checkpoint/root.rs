//! The state root: one hash for everything that a collection holds at a frontier, which every member there can recompute.
//!
//! A leaf is one life of a document: its heads with the entries that brought them, and its tombstone. Leaves are in order of
//! document and generation, under a binary tree in the shape of RFC 6962 (of `n` leaves, the left side has the greatest power of
//! two below `n`), so that the root follows from the leaves alone and is computed leaf by leaf in memory that grows with the
//! logarithm of their number.

use crate::bytes::Writer;
use crate::id::{CollectionTag, DocumentId, SpaceId};
use crate::record::{DocRecord, Place, Tombstone};

const LEAF_LABEL: &str = "farshore 2026 checkpoint leaf v1";
const NODE_LABEL: &str = "farshore 2026 checkpoint node v1";
const ROOT_LABEL: &str = "farshore 2026 checkpoint state v1";

/// Hash of one life of a document. Only heads and tombstone of the record count.
pub fn leaf(document: &DocumentId, record: &DocRecord) -> [u8; 32] {
    let mut w = Writer::new();
    w.raw(&document.0).u32(record.generation).count(record.heads.len());
    for (head, place) in &record.heads {
        w.raw(head);
        write_place(&mut w, place);
    }
    w.bool(record.tombstone.is_some());
    if let Some(Tombstone { heads, places }) = &record.tombstone {
        w.count(heads.len());
        for head in heads {
            w.raw(head);
        }
        w.count(places.len());
        places.iter().for_each(|place| write_place(&mut w, place));
    }
    blake3::derive_key(LEAF_LABEL, w.as_slice())
}

fn write_place(w: &mut Writer, place: &Place) {
    w.raw(&place.device.0).raw(&place.incarnation.0).u64(place.position.seq).raw(&place.position.hash.0);
}

/// Takes leaves in order.
#[derive(Debug, Clone, Default)]
pub struct RootBuilder {
    /// Roots of full trees, with the logarithm of their number of leaves: descending.
    full: Vec<(u8, [u8; 32])>,
    leaves: u64,
}

impl RootBuilder {
    /// Appends a leaf.
    pub fn push(&mut self, leaf: [u8; 32]) {
        let mut top = (0, leaf);
        while let Some((height, left)) = self.full.last().copied().filter(|(height, _)| *height == top.0) {
            self.full.pop();
            top = (height + 1, node(&left, &top.1));
        }
        self.full.push(top);
        self.leaves += 1;
    }

    /// How many leaves came.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root over all leaves that came.
    pub fn root(&self, space: &SpaceId, collection: &CollectionTag) -> [u8; 32] {
        let over = self.full.iter().rev().map(|(_, hash)| *hash).reduce(|right, left| node(&left, &right));
        let mut w = Writer::new();
        w.raw(&space.0).raw(&collection.0).u64(self.leaves).raw(&over.unwrap_or_default());
        blake3::derive_key(ROOT_LABEL, w.as_slice())
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(NODE_LABEL);
    hasher.update(left).update(right);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as RFC 6962 defines it.
    fn defined(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => [0; 32],
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(&defined(left), &defined(right))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_tree_however_many_leaves_there_are() {
        let (space, collection) = (SpaceId([1; 32]), CollectionTag([2; 16]));
        let mut seen = std::collections::BTreeSet::new();
        for count in 0..70_u8 {
            let leaves: Vec<[u8; 32]> = (0..count).map(|index| [index; 32]).collect();
            let mut builder = RootBuilder::default();
            leaves.iter().for_each(|leaf| builder.push(*leaf));
            let mut w = Writer::new();
            w.raw(&space.0).raw(&collection.0).u64(count.into()).raw(&defined(&leaves));
            let root = builder.root(&space, &collection);
            assert_eq!(root, blake3::derive_key(ROOT_LABEL, w.as_slice()));
            assert!(seen.insert(root) && builder.full.len() <= 7);
        }
    }
}
