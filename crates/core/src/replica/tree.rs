//! How far the journals of a space are held, as a 16-ary hash tree: two devices that differ in a few of many journals find
//! those few in as many messages as the tree has levels, and say only those.
//!
//! A journal's path is the first 16 nibbles of the hash of its id, so that the tree is balanced whatever the ids are. A place
//! with more than [`TREE_BUCKET`] journals below it is a branch, any other a bucket: the shape follows from the journals alone,
//! never from the order in which they came. Digests are computed when they are asked for, of the places that have changed.

use crate::id::{JournalId, Position};
use crate::limits::TREE_BUCKET;
use crate::wire::{TREE_DEPTH, TreePath};

const BRANCH_LABEL: &str = "farshore 2026 frontier branch v1";
const BUCKET_LABEL: &str = "farshore 2026 frontier bucket v1";

/// Digest of a place below which nothing is.
const EMPTY: [u8; 32] = [0; 32];

/// Digests of the 16 places below a branch, cut to what travels.
pub(super) type Children = [[u8; 16]; 16];

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    root: Place,
    journals: usize,
    /// Places whose digest was computed, since the start: what its cost is counted in.
    hashed: u64,
}

#[derive(Debug)]
enum Place {
    Bucket(Vec<(u64, JournalId, Position)>, Option<[u8; 32]>),
    Branch(Box<[Place; 16]>, Option<[u8; 32]>),
}

impl Default for Place {
    fn default() -> Place {
        Place::Bucket(Vec::new(), None)
    }
}

impl Tree {
    /// Sets how far a journal is held. Cost: one step for each level; nothing is hashed but the id.
    pub(super) fn set(&mut self, journal: JournalId, position: Position) {
        let fresh = self.root.set(0, (path_of(&journal), journal, position));
        self.journals += usize::from(fresh);
    }

    pub(super) fn journals(&self) -> usize {
        self.journals
    }

    #[cfg(test)]
    pub(super) fn hashed(&self) -> u64 {
        self.hashed
    }

    /// Equal digests mean that the same journals are held equally far. Cost: the places changed since it was last asked for.
    pub(super) fn digest(&mut self) -> [u8; 32] {
        self.root.digest(&mut self.hashed)
    }

    /// Digests below a place; `None` if it is no branch here.
    pub(super) fn children(&mut self, at: TreePath) -> Option<Children> {
        let Place::Branch(places, _) = self.root.find(at)? else { return None };
        let mut out = [[0; 16]; 16];
        for (place, digest) in places.iter_mut().zip(&mut out) {
            digest.copy_from_slice(&place.digest(&mut self.hashed)[..16]);
        }
        Some(out)
    }

    /// The journals below a place, and how far they are held.
    pub(super) fn under(&mut self, at: TreePath) -> Vec<(JournalId, Position)> {
        let mut out = Vec::new();
        match self.root.find(at) {
            Some(place) => place.list(&mut out),
            None => {
                // The place is within a bucket.
                let mut above = at;
                while let Some(parent) = above.parent() {
                    above = parent;
                    if let Some(place) = self.root.find(above) {
                        place.list(&mut out);
                        out.retain(|(journal, _)| at.holds(path_of(journal)));
                        break;
                    }
                }
            }
        }
        out
    }
}

impl Place {
    /// Says whether the journal is new.
    fn set(&mut self, depth: u8, item: (u64, JournalId, Position)) -> bool {
        match self {
            Place::Branch(places, digest) => {
                *digest = None;
                places[nibble(item.0, depth)].set(depth + 1, item)
            }
            Place::Bucket(items, digest) => {
                *digest = None;
                let found = items.binary_search_by_key(&(item.0, item.1), |(path, id, _)| (*path, *id));
                match found {
                    Ok(index) => items[index] = item,
                    Err(index) => items.insert(index, item),
                }
                if items.len() > TREE_BUCKET && depth < TREE_DEPTH {
                    let items = std::mem::take(items);
                    let mut places: Box<[Place; 16]> = Box::default();
                    for item in items {
                        places[nibble(item.0, depth)].set(depth + 1, item);
                    }
                    *self = Place::Branch(places, None);
                }
                found.is_err()
            }
        }
    }

    fn find(&mut self, at: TreePath) -> Option<&mut Place> {
        let mut place = self;
        for depth in 0..at.depth() {
            let Place::Branch(places, _) = place else { return None };
            place = &mut places[nibble(at.nibbles(), depth)];
        }
        Some(place)
    }

    fn digest(&mut self, hashed: &mut u64) -> [u8; 32] {
        match self {
            Place::Bucket(items, _) if items.is_empty() => EMPTY,
            Place::Bucket(_, Some(digest)) | Place::Branch(_, Some(digest)) => *digest,
            Place::Bucket(items, digest) => {
                let mut hasher = blake3::Hasher::new_derive_key(BUCKET_LABEL);
                for (_, id, position) in items {
                    hasher.update(&id.to_bytes()).update(&position.seq.to_be_bytes()).update(&position.hash.0);
                }
                *hashed += 1;
                *digest.insert(*hasher.finalize().as_bytes())
            }
            Place::Branch(places, digest) => {
                let mut hasher = blake3::Hasher::new_derive_key(BRANCH_LABEL);
                for place in places.iter_mut() {
                    hasher.update(&place.digest(hashed));
                }
                *hashed += 1;
                *digest.insert(*hasher.finalize().as_bytes())
            }
        }
    }

    fn list(&self, out: &mut Vec<(JournalId, Position)>) {
        match self {
            Place::Bucket(items, _) => out.extend(items.iter().map(|(_, id, position)| (*id, *position))),
            Place::Branch(places, _) => places.iter().for_each(|place| place.list(out)),
        }
    }
}

fn path_of(journal: &JournalId) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(&journal.to_bytes()).as_bytes()[..8]);
    u64::from_be_bytes(first)
}

fn nibble(path: u64, depth: u8) -> usize {
    (path >> (60 - 4 * u32::from(depth)) & 15) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{CollectionTag, DeviceId, EntryHash, Incarnation};

    fn journal(index: u32) -> JournalId {
        let mut device = [0; 32];
        device[..4].copy_from_slice(&index.to_be_bytes());
        JournalId { collection: CollectionTag([7; 16]), device: DeviceId(device), incarnation: Incarnation([9; 16]) }
    }

    fn position(seq: u64) -> Position {
        Position { seq, hash: EntryHash([seq as u8; 32]) }
    }

    fn tree(order: impl Iterator<Item = u32>) -> Tree {
        let mut tree = Tree::default();
        order.for_each(|index| tree.set(journal(index), position(1)));
        tree
    }

    #[test]
    fn digests_are_those_that_were_pinned() {
        for line in include_str!("../../tests/vectors/tree.txt").lines() {
            let (count, pinned) = line.split_once(' ').unwrap();
            let mut tree = Tree::default();
            for index in 0..count.parse().unwrap() {
                let hash = EntryHash([index as u8; 32]);
                tree.set(journal(index), Position { seq: u64::from(index % 7) + 1, hash });
            }
            let digest = tree.digest().iter().fold(String::new(), |out, byte| format!("{out}{byte:02x}"));
            assert_eq!(digest, pinned, "{count} journals");
        }
    }

    #[test]
    fn the_digest_depends_on_the_journals_and_not_on_the_order_in_which_they_came() {
        let mut first = tree(0..3_000);
        let mut second = tree((0..3_000).rev().map(|index| (index * 7) % 3_000));
        assert_eq!((first.digest(), first.journals()), (second.digest(), 3_000));
        second.set(journal(5), position(2));
        assert_ne!(first.digest(), second.digest());
        second.set(journal(5), position(1));
        assert_eq!(first.digest(), second.digest());
    }

    #[test]
    fn a_digest_costs_the_levels_above_what_changed_and_nothing_if_nothing_changed() {
        let mut tree = tree(0..10_000);
        tree.digest();
        let before = tree.hashed();
        tree.digest();
        assert_eq!(tree.hashed(), before);
        for changed in 0..10 {
            tree.set(journal(changed), position(2));
            let before = tree.hashed();
            tree.digest();
            assert!(tree.hashed() - before <= 5, "{} places hashed after one change", tree.hashed() - before);
        }
    }

    #[test]
    fn the_places_below_a_branch_hold_all_that_it_holds_and_nothing_twice() {
        let mut tree = tree(0..2_000);
        let mut found: Vec<JournalId> = Vec::new();
        for child in 0..16 {
            let below = TreePath::ROOT.child(child);
            assert!(tree.children(below).is_some());
            for grandchild in 0..16 {
                // Some of these places are within a bucket on other devices, and all can be listed.
                let listed = tree.under(below.child(grandchild).child(3));
                assert!(listed.len() <= tree.under(below.child(grandchild)).len());
            }
            found.extend(tree.under(below).into_iter().map(|(id, _)| id));
        }
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 2_000);
    }
}
