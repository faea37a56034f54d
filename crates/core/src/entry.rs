//! The entry: one signed, sealed record in a journal.
//!
//! Layout: header, Ed25519 signature over the header, ciphertext. The header holds the ciphertext's length and hash, so the
//! signature covers everything, and a relay without keys can check it. The exact bytes are in `docs/protocol.md`.
//!
//! Every later version of the entry keeps this layout, signature and hash, and puts what is new into the flags, the extension
//! and the payload: so an older build can still check where an entry stands and who signed it, store it and forward it.

use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{CollectionTag, DeviceId, EntryHash, EpochId, Incarnation, JournalId, OpHash, Position, SpaceId};
use crate::keys::{self, DeviceKeys};
use crate::limits::{ENTRY_BYTES, ENTRY_DEPS, ENTRY_EXTENSION_BYTES, ROSTER_HEADS, SMALL_ENTRY_BYTES};
use crate::time::HybridTime;

/// The entry format's version. What is newer is kept and forwarded, and waits for an upgrade.
pub const ENTRY_VERSION: u8 = 1;
/// Ed25519, XChaCha20-Poly1305, blake3.
pub const SUITE: u8 = 1;
/// Signature length in bytes.
pub const SIGNATURE_BYTES: usize = 64;

const SIGN_LABEL: &str = "farshore entry v1";
const HASH_CONTEXT: &str = "farshore 2026 entry hash v1";

/// What everybody can read of an entry, members and relays alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The space.
    pub space: SpaceId,
    /// The journal: collection, author's device, incarnation.
    pub journal: JournalId,
    /// Place in the journal, from 1.
    pub seq: u64,
    /// Hash of the entry before it; zero for the first.
    pub prev: EntryHash,
    /// Entries that belong together are consecutive: the first one's `seq`, and how many they are.
    pub group: Group,
    /// The key that the payload is sealed under.
    pub epoch: EpochId,
    /// When the author claims to have written it.
    pub time: HybridTime,
    /// The roster that the author knew: sorted, without repetition, at least one.
    pub roster_heads: Vec<OpHash>,
    /// In other journals of the collection: the entries that hold what this one builds on. Sorted by journal, one each.
    pub deps: Vec<Dep>,
    /// Length of the ciphertext in bytes.
    pub sealed_len: u32,
    /// blake3 of the ciphertext.
    pub sealed_hash: [u8; 32],
}

/// A batch that needed more than one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// `seq` of its first entry.
    pub first: u64,
    /// How many entries it has; 1 for an entry on its own.
    pub count: u16,
}

/// A position in another journal of the same collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dep {
    /// Author.
    pub device: DeviceId,
    /// Author's incarnation.
    pub incarnation: Incarnation,
    /// The entry.
    pub position: Position,
}

impl Dep {
    const BYTES: usize = 32 + 16 + 8 + 32;

    /// The journal, in the collection of the entry that holds this.
    pub fn journal(&self, collection: CollectionTag) -> JournalId {
        JournalId { collection, device: self.device, incarnation: self.incarnation }
    }
}

/// A whole entry, taken apart. Its bytes are kept as they came, because they are forwarded as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The header.
    pub header: Header,
    /// Its hash, which names the entry.
    pub hash: EntryHash,
    /// The version of its format.
    pub version: u8,
    bytes: Vec<u8>,
    header_len: usize,
}

/// Header and signature of an entry without its ciphertext: what its author signed at that place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The header.
    pub header: Header,
    /// Its hash, which names the entry.
    pub hash: EntryHash,
    bytes: Vec<u8>,
}

impl Closing {
    /// Of a whole entry.
    pub fn of(entry: &Entry) -> Closing {
        let bytes = entry.bytes[..entry.header_len + SIGNATURE_BYTES].to_vec();
        Closing { header: entry.header.clone(), hash: entry.hash, bytes }
    }

    /// Takes header and signature apart; see [`Closing::verify`].
    ///
    /// # Errors
    /// The sender's fault: not the one canonical form.
    pub fn decode(bytes: &[u8]) -> Result<Closing, DecodeError> {
        let mut r = Reader::new(bytes);
        let (header, _) = Header::decode(&mut r)?;
        let hash = hash_header(&bytes[..bytes.len() - r.remaining()]);
        r.take(SIGNATURE_BYTES, "signature")?;
        r.end()?;
        Ok(Closing { header, hash, bytes: bytes.to_vec() })
    }

    /// Whether the header is signed by the device that it names. Cost: about 52 us.
    pub fn verify(&self) -> bool {
        let (header, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE_BYTES);
        let Ok(signature) = <[u8; SIGNATURE_BYTES]>::try_from(signature) else { return false };
        keys::verify(&self.header.journal.device.0, SIGN_LABEL, header, &signature)
    }

    /// Header and signature, as they stand in the entry.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the entry stands in its journal.
    pub fn position(&self) -> Position {
        self.header.position(self.hash)
    }
}

impl Header {
    /// Everything before the ciphertext's length: what the sealing is bound to.
    fn write_bound(&self) -> Writer {
        let mut w = Writer::new();
        w.u8(ENTRY_VERSION).u8(SUITE).u16(0);
        w.raw(&self.space.0).raw(&self.journal.collection.0).raw(&self.journal.device.0);
        w.raw(&self.journal.incarnation.0).u64(self.seq).raw(&self.prev.0);
        w.u64(self.group.first).u16(self.group.count).raw(&self.epoch.0).u64(self.time.0);
        w.count(self.roster_heads.len());
        for head in &self.roster_heads {
            w.raw(&head.0);
        }
        w.count(self.deps.len());
        for dep in &self.deps {
            w.raw(&dep.device.0).raw(&dep.incarnation.0).u64(dep.position.seq).raw(&dep.position.hash.0);
        }
        w.u16(0); // No extension: version 1 has no fields beyond these.
        w
    }

    /// The associated data for sealing this entry's payload.
    pub fn bound_bytes(&self) -> Vec<u8> {
        self.write_bound().finish()
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = self.write_bound();
        w.u32(self.sealed_len).raw(&self.sealed_hash);
        w.finish()
    }

    /// Reads a header and the version of its format.
    fn decode(r: &mut Reader<'_>) -> Result<(Header, u8), DecodeError> {
        let version = r.u8("entry version")?;
        require(version >= 1, "entry version")?;
        let newer = version > ENTRY_VERSION;
        // Without its suite nobody can check a signature, and what is not checked is not kept.
        suite(r.u8("entry suite")?)?;
        require(r.u16("entry flags")? == 0 || newer, "entry flags")?;
        let space = SpaceId(r.array("space")?);
        let journal = JournalId {
            collection: CollectionTag(r.array("collection")?),
            device: DeviceId(r.array("device")?),
            incarnation: Incarnation(r.array("incarnation")?),
        };
        let seq = r.u64("seq")?;
        let prev = EntryHash(r.array("prev")?);
        require(seq >= 1 && (seq == 1) == (prev == Position::START.hash), "seq")?;
        let group = Group { first: r.u64("group first")?, count: r.u16("group count")? };
        let end = group.first.checked_add(u64::from(group.count));
        require(group.first >= 1 && group.first <= seq && end.is_some_and(|end| seq < end), "group")?;
        let epoch = EpochId(r.array("epoch")?);
        let time = HybridTime(r.u64("time")?);
        let mut roster_heads = Vec::new();
        for _ in 0..r.count(ROSTER_HEADS, 32, "roster heads")? {
            roster_heads.push(OpHash(r.array("roster head")?));
        }
        require(!roster_heads.is_empty() && strictly_sorted(&roster_heads, |h| *h), "roster heads")?;
        let mut deps = Vec::new();
        for _ in 0..r.count(ENTRY_DEPS, Dep::BYTES, "deps")? {
            let device = DeviceId(r.array("dep device")?);
            let incarnation = Incarnation(r.array("dep incarnation")?);
            let position = Position { seq: r.u64("dep seq")?, hash: EntryHash(r.array("dep hash")?) };
            require(position.seq >= 1, "dep seq")?;
            deps.push(Dep { device, incarnation, position });
        }
        require(strictly_sorted(&deps, |d| (d.device, d.incarnation)), "deps")?;
        require(deps.iter().all(|d| d.journal(journal.collection) != journal), "deps")?;
        let extension = r.count(ENTRY_EXTENSION_BYTES, 1, "entry extension")?;
        require(extension == 0 || newer, "entry extension")?;
        r.take(extension, "entry extension")?;
        let sealed_len = r.u32("sealed length")?;
        let sealed_hash = r.array("sealed hash")?;
        let header =
            Header { space, journal, seq, prev, group, epoch, time, roster_heads, deps, sealed_len, sealed_hash };
        Ok((header, version))
    }

    /// This entry's place, given its hash.
    pub fn position(&self, hash: EntryHash) -> Position {
        Position { seq: self.seq, hash }
    }
}

impl Entry {
    /// Seals nothing itself: takes the ciphertext that was sealed with [`Header::bound_bytes`], completes the header and signs it.
    pub fn sign(mut header: Header, sealed: &[u8], keys: &DeviceKeys) -> Entry {
        header.sealed_len = u32::try_from(sealed.len()).expect("a sealed payload is capped at 4 MiB before this");
        header.sealed_hash = *blake3::hash(sealed).as_bytes();
        let mut bytes = header.encode();
        let header_len = bytes.len();
        let signature = keys.sign(SIGN_LABEL, &bytes);
        bytes.extend_from_slice(&signature);
        bytes.extend_from_slice(sealed);
        Entry { hash: hash_header(&bytes[..header_len]), version: ENTRY_VERSION, header, bytes, header_len }
    }

    /// Reads the header of an entry of which only the beginning is here, and its hash; `None` if more is needed or it is
    /// malformed.
    pub fn peek(bytes: &[u8]) -> Option<(Header, EntryHash)> {
        let mut r = Reader::new(bytes);
        let (header, _) = Header::decode(&mut r).ok()?;
        Some((header, hash_header(&bytes[..bytes.len() - r.remaining()])))
    }

    /// Whether it is what a person writes at a time, and not part of an import.
    pub fn is_small(&self) -> bool {
        self.bytes.len() <= SMALL_ENTRY_BYTES
    }

    /// Whether its payload follows a format that this build does not know.
    pub fn is_newer(&self) -> bool {
        self.version > ENTRY_VERSION
    }

    /// Takes an entry apart. Nothing is verified but its form; see [`Entry::verify`].
    ///
    /// # Errors
    /// The sender's fault: not the one canonical form, over a limit, or under a suite that this build does not know.
    pub fn decode(bytes: Vec<u8>) -> Result<Entry, DecodeError> {
        if bytes.len() > ENTRY_BYTES {
            let (value, limit) = (bytes.len() as u64, ENTRY_BYTES as u64);
            return Err(DecodeError::OverLimit { field: "entry length", value, limit });
        }
        let mut r = Reader::new(&bytes);
        let (header, version) = Header::decode(&mut r)?;
        let header_len = bytes.len() - r.remaining();
        r.take(SIGNATURE_BYTES, "signature")?;
        r.take(header.sealed_len as usize, "ciphertext")?;
        r.end()?;
        Ok(Entry { hash: hash_header(&bytes[..header_len]), version, header, bytes, header_len })
    }

    /// Whether the ciphertext is the one that the header names and the header is signed by the device it names.
    ///
    /// Cost: one hash of the ciphertext and about 52 us for the signature.
    pub fn verify(&self) -> bool {
        let signature = &self.bytes[self.header_len..self.header_len + SIGNATURE_BYTES];
        let Ok(signature) = <[u8; SIGNATURE_BYTES]>::try_from(signature) else { return false };
        *blake3::hash(self.sealed()).as_bytes() == self.header.sealed_hash
            && keys::verify(&self.header.journal.device.0, SIGN_LABEL, &self.bytes[..self.header_len], &signature)
    }

    /// The ciphertext.
    pub fn sealed(&self) -> &[u8] {
        &self.bytes[self.header_len + SIGNATURE_BYTES..]
    }

    /// The entry as it is kept and forwarded.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the entry as it is kept and forwarded.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Where it stands in its journal.
    pub fn position(&self) -> Position {
        self.header.position(self.hash)
    }
}

fn hash_header(header: &[u8]) -> EntryHash {
    EntryHash(blake3::derive_key(HASH_CONTEXT, header))
}

fn suite(found: u8) -> Result<(), DecodeError> {
    let field = "entry suite";
    match found {
        SUITE => Ok(()),
        0 => Err(DecodeError::Invalid { field }),
        _ => Err(DecodeError::Version { field, found: found.into(), known: SUITE.into() }),
    }
}

pub(crate) fn require(holds: bool, field: &'static str) -> Result<(), DecodeError> {
    if holds { Ok(()) } else { Err(DecodeError::Invalid { field }) }
}

fn strictly_sorted<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> bool {
    items.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]))
}
