//! Places in the hash tree of journals, as they travel.

use crate::bytes::{DecodeError, Reader, Writer};

/// Nibbles in a journal's path.
pub const TREE_DEPTH: u8 = 16;

/// A place in the hash tree: what the paths of all journals below it begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreePath {
    nibbles: u64,
    depth: u8,
}

impl TreePath {
    /// Where every path begins.
    pub const ROOT: TreePath = TreePath { nibbles: 0, depth: 0 };

    /// The nibbles, from the highest on; zero beyond the depth.
    pub fn nibbles(self) -> u64 {
        self.nibbles
    }

    /// How many of the nibbles count.
    pub fn depth(self) -> u8 {
        self.depth
    }

    /// The place below with this nibble; of the deepest place, itself.
    #[must_use]
    pub fn child(self, nibble: u8) -> TreePath {
        match self.depth < TREE_DEPTH {
            true => {
                let bits = u64::from(nibble & 15) << (60 - 4 * u32::from(self.depth));
                TreePath { nibbles: self.nibbles | bits, depth: self.depth + 1 }
            }
            false => self,
        }
    }

    /// The place above; `None` of the root.
    pub fn parent(self) -> Option<TreePath> {
        let depth = self.depth.checked_sub(1)?;
        Some(TreePath { nibbles: self.nibbles & mask(depth), depth })
    }

    /// Whether a journal with this path is below.
    pub fn holds(self, path: u64) -> bool {
        path & mask(self.depth) == self.nibbles
    }
}

/// The bits that the first `depth` nibbles take.
fn mask(depth: u8) -> u64 {
    match depth {
        0 => 0,
        depth => u64::MAX << (64 - 4 * u32::from(depth.min(TREE_DEPTH))),
    }
}

/// See [`Frame::Tree`](super::Frame::Tree).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreePlace {
    /// Where.
    pub path: TreePath,
    /// The first 16 bytes of the digests of the 16 places below; `None` if the difference is to be settled by saying how far
    /// the journals below are held.
    pub children: Option<Box<[[u8; 16]; 16]>>,
}

const SETTLE: u8 = 0;
const DIGESTS: u8 = 1;

pub(super) fn write_place(w: &mut Writer, place: &TreePlace) {
    w.u64(place.path.nibbles).u8(place.path.depth);
    match &place.children {
        None => {
            w.u8(SETTLE);
        }
        Some(children) => {
            w.u8(DIGESTS);
            children.iter().for_each(|digest| {
                w.raw(digest);
            });
        }
    }
}

pub(super) fn place(r: &mut Reader<'_>) -> Result<TreePlace, DecodeError> {
    let path = TreePath { nibbles: r.u64("path")?, depth: r.u8("depth")? };
    if path.depth > TREE_DEPTH || path.nibbles & !mask(path.depth) != 0 {
        return Err(DecodeError::Invalid { field: "path" });
    }
    let children = match r.u8("place flags")? {
        SETTLE => None,
        DIGESTS if path.depth < TREE_DEPTH => {
            let mut children = Box::new([[0; 16]; 16]);
            for digest in children.iter_mut() {
                *digest = r.array("digest of a place")?;
            }
            Some(children)
        }
        _ => return Err(DecodeError::Invalid { field: "place flags" }),
    };
    Ok(TreePlace { path, children })
}
