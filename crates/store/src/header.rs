//! The header page: the only plaintext of a store file, written once at creation and never again.
//!
//! ```text
//!  offset  bytes
//!       0      8  "farshore"
//!       8      4  0D 0A 1A 0A   (a transfer that mends line ends, or ends at ^Z, breaks it)
//!      12      2  container version, big-endian: 1
//!      14      2  suite, big-endian: 1 = AES-256-XTS, 4096-byte sectors, blake3 tags
//!      16     16  store id
//!      32     16  key check: keyed blake3 of bytes 0 .. 32, first 16 bytes
//!      48     16  checksum: blake3 of bytes 0 .. 48, first 16 bytes
//!      64   4032  zeros
//! ```
//!
//! The checksum tells a damaged page from a wrong key; the key check tells a wrong key from a right one before a single
//! block is decrypted. Neither holds anything of the content.

use farshore_core::id::StoreId;

use crate::crypt::HEADER_BYTES;
use crate::error::{OpenError, Source};
use crate::key::StoreKey;

const MAGIC: &[u8; 12] = b"farshore\r\n\x1a\n";
/// Layout of this page and of what follows it.
const CONTAINER_VERSION: u16 = 1;
/// Ciphers and hashes.
const SUITE: u16 = 1;
const PAGE: usize = HEADER_BYTES as usize;

/// The header page of a new store.
pub(crate) fn encode(store: StoreId, key: &StoreKey) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    page[..12].copy_from_slice(MAGIC);
    page[12..14].copy_from_slice(&CONTAINER_VERSION.to_be_bytes());
    page[14..16].copy_from_slice(&SUITE.to_be_bytes());
    page[16..32].copy_from_slice(&store.0);
    let check = key_check(&page, key);
    page[32..48].copy_from_slice(&check);
    let sum = checksum(&page);
    page[48..64].copy_from_slice(&sum);
    page
}

/// Reads a header page and checks that `key` belongs to the store.
///
/// # Errors
/// [`OpenError::NotAStore`], [`OpenError::Newer`], [`OpenError::Damaged`] or [`OpenError::WrongKey`].
pub(crate) fn decode(page: &[u8; PAGE], key: &StoreKey, source: &Source) -> Result<StoreId, OpenError> {
    if page[..12] != MAGIC[..] {
        return Err(OpenError::NotAStore(source.clone(), "it does not begin like one"));
    }
    let newer = |what, found: u16, known: u16| OpenError::Newer {
        store: source.clone(),
        what,
        found: found.into(),
        known: known.into(),
    };
    let damaged = |detail: &str| OpenError::Damaged { store: source.clone(), detail: detail.to_owned() };
    let version = u16::from_be_bytes([page[12], page[13]]);
    // A future version may keep its checksum elsewhere, so this comes first.
    if version > CONTAINER_VERSION {
        return Err(newer("container", version, CONTAINER_VERSION));
    }
    if page[48..64] != checksum(page) || page[64..].iter().any(|byte| *byte != 0) {
        return Err(damaged("its header page was altered"));
    }
    let suite = u16::from_be_bytes([page[14], page[15]]);
    if version != CONTAINER_VERSION || suite != SUITE {
        return Err(newer("cipher suite", suite, SUITE));
    }
    if page[32..48] != key_check(page, key) {
        return Err(OpenError::WrongKey { store: source.clone(), key: key.origin().clone() });
    }
    let mut store = StoreId([0; 16]);
    store.0.copy_from_slice(&page[16..32]);
    Ok(store)
}

fn key_check(page: &[u8; PAGE], key: &StoreKey) -> [u8; 16] {
    first16(&blake3::keyed_hash(&key.check_key(), &page[..32]))
}

fn checksum(page: &[u8; PAGE]) -> [u8; 16] {
    first16(&blake3::hash(&page[..48]))
}

fn first16(hash: &blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.as_bytes()[..16]);
    out
}

/// Whether a file that is too short for a header page begins like one.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    let shown = bytes.len().min(MAGIC.len());
    shown >= 8 && bytes[..shown] == MAGIC[..shown]
}
