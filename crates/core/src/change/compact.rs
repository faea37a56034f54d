//! A change inside an entry: without what the receiver can recompute.
//!
//! ```text
//! flags 1 | deps, unless "after the previous" | seq and all that follows the actor in the chunk
//! ```
//! Magic bytes, checksum, type and length follow from the rest; the actor is derived by the receiver. A change that depends
//! on exactly the change before it in the same item, the common case, says so with one bit instead of 33 bytes.

use automerge::ChangeHash;

use super::layout::{self, CHANGE_CHUNK, FIXED_HEADER_BYTES, MAGIC};
use super::limits::{ACTOR_BYTES, CHANGE_BYTES, CHANGE_DEPS};
use super::reader::{Reader, write_unsigned};
use super::refusal::{Part, Refusal};

/// The one flag: the dependencies are exactly the previous change.
const AFTER_PREVIOUS: u8 = 1;

/// Whether a compact change has flags that only a newer version knows.
pub fn is_newer(compact: &[u8]) -> bool {
    compact.first().is_some_and(|flags| *flags > AFTER_PREVIOUS)
}

/// Bytes of a derived actor id.
pub const ACTOR_LEN: usize = 16;

/// Why a compact change cannot be restored. The peer's fault: the entry's author made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The change would be longer than allowed.
    #[error("the change would have {bytes} bytes, more than the {max} allowed here")]
    Size {
        /// Bytes it would have.
        bytes: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// Flags from a newer version, or damage.
    #[error("unknown flags {0:#04x} on a change: written by a newer version?")]
    Flags(u8),
    /// It builds on the change before it, and is the first.
    #[error("the first change of an item builds on the one before it")]
    NoPrevious,
    /// The dependencies are cut short, overlong or too many.
    #[error("the change's dependencies are malformed: {0}")]
    Deps(Refusal),
    /// The one dependency is spelled out where a flag says it.
    #[error("the change spells out that it builds on the one before it")]
    NotCompact,
}

/// Why a chunk cannot be made compact. Ours: only validated changes by derived actors are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StripError {
    /// Not a sound change chunk.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The actor is not a derived one.
    #[error("the change's actor has {0} bytes where {ACTOR_LEN} are expected")]
    Actor(usize),
}

/// Give a change's hash and compact form; `previous` is the hash of the change before it in the same item.
///
/// Errors: [`StripError`] if the chunk's header, checksum, dependencies or actor are not in order; the rest is copied as it is.
/// Cost: one SHA-256 and one copy.
pub fn strip(chunk: &[u8], previous: Option<ChangeHash>) -> Result<(ChangeHash, Vec<u8>), StripError> {
    let (body, hash) = layout::open(chunk)?;
    let mut reader = Reader::new(body, Part::Deps);
    skip_deps(&mut reader)?;
    let deps = &body[..body.len() - reader.remaining()];
    reader.enter(Part::Actor);
    let actor = reader.bytes(ACTOR_BYTES)?;
    if actor.len() != ACTOR_LEN {
        return Err(StripError::Actor(actor.len()));
    }
    let rest = reader.take(reader.remaining())?;
    let after_previous = is_only(deps, previous);
    let mut out = Vec::with_capacity(1 + rest.len() + if after_previous { 0 } else { deps.len() });
    if after_previous {
        out.push(AFTER_PREVIOUS);
    } else {
        out.push(0);
        out.extend_from_slice(deps);
    }
    out.extend_from_slice(rest);
    Ok((hash, out))
}

/// Give a change's hash and chunk back; `previous` as for [`strip`], `max` the most bytes that the chunk may have.
///
/// The chunk is well framed and no more; [`decode`](super::decode()) it before use. Every chunk has one compact form only.
///
/// Errors: [`RestoreError`]. Panics: never. Cost: allocates the chunk once, after its length was compared with `max` and
/// [`CHANGE_BYTES`]; one SHA-256.
pub fn restore(
    compact: &[u8],
    actor: &[u8; ACTOR_LEN],
    previous: Option<ChangeHash>,
    max: usize,
) -> Result<(ChangeHash, Vec<u8>), RestoreError> {
    let mut reader = Reader::new(compact, Part::Deps);
    let [flags] = reader.array().map_err(RestoreError::Deps)?;
    let mut spelled_out = [0; 33];
    let deps: &[u8] = match flags {
        AFTER_PREVIOUS => {
            spelled_out[0] = 1;
            spelled_out[1..].copy_from_slice(&previous.ok_or(RestoreError::NoPrevious)?.0);
            &spelled_out
        }
        0 => {
            skip_deps(&mut reader).map_err(RestoreError::Deps)?;
            let deps = &compact[1..compact.len() - reader.remaining()];
            if is_only(deps, previous) {
                return Err(RestoreError::NotCompact);
            }
            deps
        }
        other => return Err(RestoreError::Flags(other)),
    };
    let rest = &compact[compact.len() - reader.remaining()..];

    let body_len = deps.len() + 1 + ACTOR_LEN + rest.len();
    let mut length = Vec::with_capacity(10);
    write_unsigned(&mut length, body_len as u64);
    let head_len = FIXED_HEADER_BYTES + length.len();
    let max = max.min(CHANGE_BYTES);
    if head_len + body_len > max {
        return Err(RestoreError::Size { bytes: head_len + body_len, max });
    }
    let mut chunk = Vec::with_capacity(head_len + body_len);
    chunk.extend_from_slice(&MAGIC);
    chunk.extend_from_slice(&[0; 4]); // the checksum, filled in below
    chunk.push(CHANGE_CHUNK);
    chunk.extend_from_slice(&length);
    chunk.extend_from_slice(deps);
    chunk.push(ACTOR_LEN as u8);
    chunk.extend_from_slice(actor);
    chunk.extend_from_slice(rest);
    let hash = layout::hash_body(&chunk[head_len..]);
    chunk[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&hash.0[..4]);
    Ok((hash, chunk))
}

/// Go past the dependencies.
fn skip_deps(reader: &mut Reader<'_>) -> Result<(), Refusal> {
    let count = reader.at_most(CHANGE_DEPS)?;
    reader.take(count as usize * 32)?; // at most CHANGE_DEPS
    Ok(())
}

/// Whether encoded dependencies are exactly this one change.
fn is_only(deps: &[u8], previous: Option<ChangeHash>) -> bool {
    previous.is_some_and(|previous| deps.split_first().is_some_and(|(count, hash)| *count == 1 && *hash == previous.0))
}
