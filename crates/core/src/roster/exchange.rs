//! How two copies of a roster become equal.

use std::collections::BTreeMap;

use crate::id::{DeviceId, OpHash};
use crate::roster::Roster;
use crate::roster::dag::{Chain, Index};

/// How far a copy knows each author: the highest `seq` and the operation there. For an author that signed two operations of
/// one `seq`, the hash is one over all its operations instead, so that it only equals that of a copy with the same ones.
pub type Frontier = BTreeMap<DeviceId, (u64, OpHash)>;

impl Roster {
    /// Equal if and only if two copies hold the same operations.
    ///
    /// Source: blake3 over the ascending heads; each head stands for all that is before it.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("farshore v1 roster digest");
        for head in &self.dag.heads {
            hasher.update(&head.0);
        }
        *hasher.finalize().as_bytes()
    }

    /// See [`Frontier`].
    pub fn frontier(&self) -> Frontier {
        self.dag.chains.iter().filter_map(|(author, chain)| Some((*author, end_of(chain)?))).collect()
    }

    /// The operations that a copy with frontier `theirs` lacks, in an order in which it can insert them.
    ///
    /// Where the copies differ about an author at a `seq` that both have, its whole chain goes. About what only they have
    /// nothing is known here: they find out the same way, and one more exchange ends with equal digests.
    pub fn ops_missing_from(&self, theirs: &Frontier) -> Vec<&[u8]> {
        let mut missing: Vec<Index> = Vec::new();
        for (author, chain) in &self.dag.chains {
            let from = match theirs.get(author) {
                None => 1,
                Some(end) if end_of(chain) == Some(*end) => continue,
                Some((seq, hash)) => {
                    let agreed = chain.forked_at.is_none() && chain.ops.contains_key(&(*seq, *hash));
                    let beyond = chain.ops.keys().next_back().is_none_or(|(last, _)| seq > last);
                    match (agreed, beyond && chain.forked_at.is_none()) {
                        (true, _) => seq.saturating_add(1),
                        (false, true) => continue,
                        (false, false) => 1,
                    }
                }
            };
            missing.extend(chain.ops.range((from, OpHash([0; 32]))..).map(|(_, at)| *at));
        }
        self.dag.sort(&mut missing);
        missing.into_iter().map(|at| self.dag.node(at).bytes.as_slice()).collect()
    }

    /// Devices that signed two operations with one `seq`, and the lowest such `seq`: a copied or restored device, or one whose
    /// key is in other hands. Both operations count; admins should look.
    pub fn forks(&self) -> Vec<(DeviceId, u64)> {
        self.dag.chains.iter().filter_map(|(author, chain)| Some((*author, chain.forked_at?))).collect()
    }
}

fn end_of(chain: &Chain) -> Option<(u64, OpHash)> {
    let (last, _) = chain.ops.last_key_value()?;
    if chain.forked_at.is_none() {
        return Some(*last);
    }
    let mut hasher = blake3::Hasher::new_derive_key("farshore v1 roster fork");
    for (_, hash) in chain.ops.keys() {
        hasher.update(&hash.0);
    }
    Some((last.0, OpHash(*hasher.finalize().as_bytes())))
}
