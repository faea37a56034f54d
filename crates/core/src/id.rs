//! Every identifier that crosses a border: who, where, which.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Declares a fixed-size identifier with ordering, hexadecimal debug output and byte access.
macro_rules! fixed_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first 8 hexadecimal digits: enough for a person to tell apart, not an identifier.
            pub fn short(&self) -> String {
                hex(&self.0[..4])
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex(&self.0[..8.min($len)]))
            }
        }
    };
}

fixed_id!(
    /// A device: its Ed25519 verifying key.
    DeviceId,
    32
);
fixed_id!(
    /// A user: the Ed25519 verifying key of the cold identity key that certifies devices.
    UserId,
    32
);
fixed_id!(
    /// 16 random bytes, new with every store creation, restore or detected copy.
    Incarnation,
    16
);
fixed_id!(
    /// A space: blake3 of its genesis operation.
    SpaceId,
    32
);
fixed_id!(
    /// A collection as it appears outside: blake3 of its name, keyed with a key that is stable for the space's life.
    CollectionTag,
    16
);
fixed_id!(
    /// A document within its collection: random, or derived from a key.
    DocumentId,
    16
);
fixed_id!(
    /// blake3 of an entry's header.
    EntryHash,
    32
);
fixed_id!(
    /// blake3 of a roster operation.
    OpHash,
    32
);
fixed_id!(
    /// A key epoch: blake3 commitment to its key.
    EpochId,
    32
);
fixed_id!(
    /// A checkpoint: blake3 of its manifest's head.
    CheckpointId,
    32
);
fixed_id!(
    /// A store file; new with every creation, so that a peer's cursor into another file's arrivals is never used.
    StoreId,
    16
);

/// The append-only chain of one device's entries in one collection, since one store creation. The space is the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId {
    /// The collection that all its entries belong to.
    pub collection: CollectionTag,
    /// The only device that may append.
    pub device: DeviceId,
    /// Which life of that device's store.
    pub incarnation: Incarnation,
}

impl JournalId {
    /// Length of the encoded form in bytes.
    pub const LEN: usize = CollectionTag::LEN + DeviceId::LEN + Incarnation::LEN;

    /// The encoded form: collection, device, incarnation.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..16].copy_from_slice(&self.collection.0);
        out[16..48].copy_from_slice(&self.device.0);
        out[48..].copy_from_slice(&self.incarnation.0);
        out
    }

    /// Reads the encoded form.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut id = JournalId {
            collection: CollectionTag([0; 16]),
            device: DeviceId([0; 32]),
            incarnation: Incarnation([0; 16]),
        };
        id.collection.0.copy_from_slice(&bytes[..16]);
        id.device.0.copy_from_slice(&bytes[16..48]);
        id.incarnation.0.copy_from_slice(&bytes[48..]);
        id
    }
}

/// A place in a journal: the entry with this `seq` and this hash. `seq` counts from 1; 0 with a zero hash is the empty journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// 1 for the first entry.
    pub seq: u64,
    /// Hash of that entry.
    pub hash: EntryHash,
}

impl Position {
    /// Before the first entry.
    pub const START: Position = Position { seq: 0, hash: EntryHash([0; 32]) };
}

/// A document's full address within a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocKey {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// The document.
    pub document: DocumentId,
}

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// Not base58 with a valid checksum.
    #[error(
        "`{0}` is not a document id: expected base58 with a checksum, as printed by `farshore list`; check for a missing or mistyped character"
    )]
    Document(String),
    /// Not hexadecimal of the right length.
    #[error("`{0}` is not an id: expected {1} hexadecimal digits")]
    Hex(String, usize),
}

impl fmt::Display for DocumentId {
    /// base58check, as in automerge-repo.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.0).with_check().into_string())
    }
}

impl FromStr for DocumentId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseIdError::Document(text.chars().take(64).collect());
        if text.len() > 64 {
            return Err(refuse());
        }
        let bytes = bs58::decode(text).with_check(None).into_vec().map_err(|_| refuse())?;
        Ok(DocumentId(bytes.try_into().map_err(|_| refuse())?))
    }
}

/// Declares hexadecimal `Display` and `FromStr` for an identifier.
macro_rules! hex_text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut out = [0; Self::LEN];
                unhex(text, &mut out)?;
                Ok($name(out))
            }
        }
    )+};
}

hex_text!(DeviceId, UserId, Incarnation, SpaceId, CollectionTag, EntryHash, OpHash, EpochId, StoreId);

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char]).collect()
}

/// Reads hexadecimal of exactly `out.len()` bytes.
pub fn unhex(text: &str, out: &mut [u8]) -> Result<(), ParseIdError> {
    let refuse = || ParseIdError::Hex(text.chars().take(80).collect(), out.len() * 2);
    if text.len() != out.len() * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(refuse());
    }
    let mut decoded = Vec::with_capacity(out.len());
    for pair in text.as_bytes().chunks_exact(2) {
        let pair = std::str::from_utf8(pair).map_err(|_| refuse())?;
        decoded.push(u8::from_str_radix(pair, 16).map_err(|_| refuse())?);
    }
    out.copy_from_slice(&decoded);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let document = DocumentId([7; 16]);
        assert_eq!(document.to_string().parse::<DocumentId>().unwrap(), document);
        let device = DeviceId([0xa5; 32]);
        assert_eq!(device.to_string().parse::<DeviceId>().unwrap(), device);
        let journal = JournalId { collection: CollectionTag([1; 16]), device, incarnation: Incarnation([2; 16]) };
        assert_eq!(JournalId::from_bytes(&journal.to_bytes()), journal);
    }

    #[test]
    fn a_mistyped_document_id_is_refused() {
        let text = DocumentId([7; 16]).to_string();
        let (first, rest) = text.split_at(1);
        let other = if first == "2" { "3" } else { "2" };
        assert!(format!("{other}{rest}").parse::<DocumentId>().is_err());
        assert!("".parse::<DocumentId>().is_err());
        assert!("+1".repeat(16).parse::<Incarnation>().is_err());
    }
}
