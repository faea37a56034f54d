//! Changes from a peer, before they reach Automerge.

use farshore_core::change::limits::{CHANGE_BYTES, CHANGE_DEPS, CHANGE_OPS, OP_COUNTER, OTHER_ACTORS};
use farshore_core::change::{compact, decode};

use crate::Outcome;
use crate::raw;

/// The first byte picks what the others are: a chunk, or the body of one that gets its header and checksum.
///
/// Checked: an accepted change is kept byte for byte and within its limits, and its compact form gives it back.
pub fn change(data: &[u8]) -> Outcome {
    let Some((kind, bytes)) = data.split_first() else { return Outcome::Refused };
    let chunk = if kind % 2 == 0 { bytes.to_vec() } else { raw::seal(bytes) };
    let Ok(change) = decode(&chunk) else { return Outcome::Refused };
    assert_eq!(change.bytes(), chunk);
    assert!(chunk.len() <= CHANGE_BYTES);
    assert!(u64::from(change.op_count()) <= CHANGE_OPS && change.max_op() < OP_COUNTER);
    assert!(change.deps().len() as u64 <= CHANGE_DEPS && change.other_actors().len() as u64 <= OTHER_ACTORS);
    assert!(change.deps().windows(2).all(|pair| pair[0] < pair[1]), "dependencies ascend");
    assert!(change.other_actors().all(|actor| actor != change.actor()), "the author is among the others");
    if let Ok(actor) = change.actor().try_into() {
        for previous in [None, change.deps().first().copied()] {
            let (hash, form) = compact::strip(&chunk, previous).expect("an accepted change has a compact form");
            assert_eq!(hash, change.hash());
            assert_eq!(compact::restore(&form, &actor, previous, CHANGE_BYTES), Ok((hash, chunk.clone())));
        }
    }
    Outcome::Accepted
}
