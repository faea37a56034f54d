//! A checkpoint: what a collection holds at a frontier, signed and sealed, so that a newcomer need not take every entry.
//!
//! - [`Statement`]: at this frontier the state is this. Every member there can check it; who did signs it ([`Attestation`]).
//! - [`Head`]: what a holder offers: the statement, who made the checkpoint, and how large it is.
//! - [`Manifest`]: the head, and sealed the closing header of every journal and the hash of every chunk.
//! - [`chunk`]: the documents' changes, and which entry brought each.
//! - [`survey`]: what the journals up to a frontier say: which entry brought each change, and the state root.
//! - [`check`]: everything that a chunk must fulfil before any of it reaches Automerge.
//! - [`root`]: the state root.
//!
//! The bytes are laid down in `docs/protocol.md`; why so is in `docs/decisions/016-checkpoints.md`.

pub mod check;
pub mod chunk;
pub mod pack;
pub mod root;
pub mod survey;

use std::collections::BTreeSet;

use crate::bytes::{DecodeError, Reader, Writer};
use crate::entry::{Closing, SIGNATURE_BYTES, require};
use crate::id::{CheckpointId, CollectionTag, DeviceId, EpochId, JournalId, OpHash, Position, SpaceId, UserId};
use crate::keys::{self, DeviceKeys};
use crate::limits::{
    CHECKPOINT_CHUNKS, CHECKPOINT_JOURNALS, CHECKPOINT_LIVES, MANIFEST_BYTES, MANIFEST_HEAD_BYTES, ROSTER_HEADS,
    SEALED_CHUNK_BYTES,
};
use crate::payload;
use crate::roster::Roster;
use crate::seal::{self, ContentKey};
use crate::time::HybridTime;

/// The format's version. A newer checkpoint is not taken: the journals are.
pub const CHECKPOINT_VERSION: u8 = 1;
const SUITE: u8 = 1;

const STATEMENT_LABEL: &str = "checkpoint statement";
const MANIFEST_LABEL: &str = "checkpoint manifest";
const STATEMENT_HASH: &str = "farshore 2026 checkpoint statement v1";
const MANIFEST_HASH: &str = "farshore 2026 checkpoint manifest v1";
const FRONTIER_HASH: &str = "farshore 2026 checkpoint frontier v1";

/// At this frontier, by this roster, the collection's state has this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: CollectionTag,
    /// The roster that it was evaluated at: ascending.
    pub roster_heads: Vec<OpHash>,
    /// How many journals the frontier has, and their digest: see [`frontier_digest`].
    pub journals: u32,
    /// See `journals`.
    pub frontier: [u8; 32],
    /// How many lives of documents there are, and their root: see [`root`].
    pub lives: u64,
    /// See `lives`.
    pub root: [u8; 32],
}

/// Digest of how far each journal goes; `positions` are ascending by journal.
pub fn frontier_digest<'a>(positions: impl IntoIterator<Item = &'a (JournalId, Position)>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(FRONTIER_HASH);
    for (journal, position) in positions {
        hasher.update(&journal.to_bytes()).update(&position.seq.to_be_bytes()).update(&position.hash.0);
    }
    *hasher.finalize().as_bytes()
}

impl Statement {
    fn write(&self, w: &mut Writer) {
        w.u8(CHECKPOINT_VERSION).u8(SUITE).raw(&self.space.0).raw(&self.collection.0).count(self.roster_heads.len());
        for head in &self.roster_heads {
            w.raw(&head.0);
        }
        w.u32(self.journals).raw(&self.frontier).u64(self.lives).raw(&self.root);
    }

    /// Encodes the statement.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.write(&mut w);
        w.finish()
    }

    fn read(r: &mut Reader<'_>) -> Result<Statement, DecodeError> {
        version(r, "checkpoint version", CHECKPOINT_VERSION)?;
        version(r, "checkpoint suite", SUITE)?;
        let (space, collection) = (SpaceId(r.array("space")?), CollectionTag(r.array("collection")?));
        let mut roster_heads = Vec::new();
        for _ in 0..r.count(ROSTER_HEADS, 32, "roster heads")? {
            roster_heads.push(OpHash(r.array("roster head")?));
        }
        require(!roster_heads.is_empty() && roster_heads.windows(2).all(|pair| pair[0] < pair[1]), "roster heads")?;
        let journals = r.u32("journals")?;
        within("journals", journals.into(), CHECKPOINT_JOURNALS)?;
        let frontier = r.array("frontier digest")?;
        let lives = r.u64("lives")?;
        within("lives", lives, CHECKPOINT_LIVES)?;
        Ok(Statement { space, collection, roster_heads, journals, frontier, lives, root: r.array("state root")? })
    }

    /// Names the statement.
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key(STATEMENT_HASH, &self.encode())
    }
}

/// A device's word that a statement is true: it computed the same root from journals of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attestation {
    /// The device.
    pub device: DeviceId,
    /// Over the statement.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Attestation {
    /// Bytes of one.
    pub const BYTES: usize = 32 + SIGNATURE_BYTES;

    /// Gives this device's word.
    pub fn sign(statement: &Statement, keys: &DeviceKeys) -> Attestation {
        Attestation { device: keys.id(), signature: keys.sign(STATEMENT_LABEL, &statement.encode()) }
    }

    /// Whether the device signed this statement. Cost: about 52 us.
    pub fn verify(&self, statement: &Statement) -> bool {
        keys::verify(&self.device.0, STATEMENT_LABEL, &statement.encode(), &self.signature)
    }

    /// Appends the attestation.
    pub fn write(&self, w: &mut Writer) {
        w.raw(&self.device.0).raw(&self.signature);
    }

    /// Reads one.
    ///
    /// # Errors
    /// The bytes end.
    pub fn read(r: &mut Reader<'_>) -> Result<Attestation, DecodeError> {
        Ok(Attestation { device: DeviceId(r.array("attester")?), signature: r.array("attestation")? })
    }
}

/// Whether a statement is attested well enough to be believed without computing it: by a device of an admin, or by devices of two
/// users who may write. Signatures must have been verified. Judged by the roster as it is known now: who was removed since does
/// not count.
pub fn is_attested(roster: &Roster, attestations: &[Attestation]) -> bool {
    let members = attestations.iter().filter_map(|attestation| roster.member(&attestation.device));
    let writers: Vec<_> = members.filter(|member| member.role.can_write()).collect();
    let users: BTreeSet<UserId> = writers.iter().map(|member| member.user).collect();
    users.len() >= 2 || writers.iter().any(|member| member.role.can_administer())
}

/// What a holder offers of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it says.
    pub statement: Statement,
    /// Who made it.
    pub maker: DeviceId,
    /// What manifest and chunks are sealed under.
    pub epoch: EpochId,
    /// When the maker claims to have made it.
    pub time: HybridTime,
    /// Bytes of the entries that it stands for, as the maker counted them.
    pub entry_bytes: u64,
    /// How many chunks there are.
    pub chunks: u32,
    /// Bytes of all chunks.
    pub chunk_bytes: u64,
    /// Length of the manifest's ciphertext.
    pub sealed_len: u32,
    /// blake3 of it.
    pub sealed_hash: [u8; 32],
}

impl Head {
    /// What the manifest's sealing is bound to.
    fn write_bound(&self) -> Writer {
        let mut w = Writer::new();
        w.u8(CHECKPOINT_VERSION).u8(SUITE).u16(0);
        self.statement.write(&mut w);
        w.raw(&self.maker.0).raw(&self.epoch.0).u64(self.time.0).u64(self.entry_bytes);
        w.u32(self.chunks).u64(self.chunk_bytes);
        w
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = self.write_bound();
        w.u32(self.sealed_len).raw(&self.sealed_hash);
        w.finish()
    }

    fn read(r: &mut Reader<'_>) -> Result<Head, DecodeError> {
        version(r, "manifest version", CHECKPOINT_VERSION)?;
        version(r, "manifest suite", SUITE)?;
        require(r.u16("manifest flags")? == 0, "manifest flags")?;
        let statement = Statement::read(r)?;
        let head = Head {
            statement,
            maker: DeviceId(r.array("maker")?),
            epoch: EpochId(r.array("epoch")?),
            time: HybridTime(r.u64("time")?),
            entry_bytes: r.u64("entry bytes")?,
            chunks: r.u32("chunks")?,
            chunk_bytes: r.u64("chunk bytes")?,
            sealed_len: r.u32("sealed length")?,
            sealed_hash: r.array("sealed hash")?,
        };
        within("chunks", head.chunks.into(), CHECKPOINT_CHUNKS)?;
        within("chunk bytes", head.chunk_bytes, head.chunks as usize * SEALED_CHUNK_BYTES)?;
        within("sealed length", head.sealed_len.into(), MANIFEST_BYTES - MANIFEST_HEAD_BYTES)?;
        Ok(head)
    }
}

/// A head with its maker's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// The head.
    pub head: Head,
    /// Its hash, which names the checkpoint.
    pub id: CheckpointId,
    bytes: Vec<u8>,
}

impl SignedHead {
    fn sign(head: Head, keys: &DeviceKeys) -> SignedHead {
        let mut bytes = head.encode();
        let id = CheckpointId(blake3::derive_key(MANIFEST_HASH, &bytes));
        let signature = keys.sign(MANIFEST_LABEL, &bytes);
        bytes.extend_from_slice(&signature);
        SignedHead { head, id, bytes }
    }

    fn read(r: &mut Reader<'_>, bytes: &[u8]) -> Result<SignedHead, DecodeError> {
        let head = Head::read(r)?;
        let id = CheckpointId(blake3::derive_key(MANIFEST_HASH, &bytes[..bytes.len() - r.remaining()]));
        r.take(SIGNATURE_BYTES, "signature")?;
        Ok(SignedHead { head, id, bytes: bytes[..bytes.len() - r.remaining()].to_vec() })
    }

    /// Takes a signed head apart; see [`SignedHead::verify`].
    ///
    /// # Errors
    /// The sender's fault: not the one canonical form; or [`DecodeError::Version`]: made by a newer version.
    pub fn decode(bytes: &[u8]) -> Result<SignedHead, DecodeError> {
        within("manifest head", bytes.len() as u64, MANIFEST_HEAD_BYTES)?;
        let mut r = Reader::new(bytes);
        let head = SignedHead::read(&mut r, bytes)?;
        r.end()?;
        Ok(head)
    }

    /// Whether its maker signed it. Cost: about 52 us.
    pub fn verify(&self) -> bool {
        let (head, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE_BYTES);
        let Ok(signature) = <[u8; SIGNATURE_BYTES]>::try_from(signature) else { return false };
        keys::verify(&self.head.maker.0, MANIFEST_LABEL, head, &signature)
    }

    /// Head and signature, as they are offered.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length of the whole manifest, and of it and all chunks.
    pub fn manifest_bytes(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.head.sealed_len)
    }
}

/// One chunk, as the manifest lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkInfo {
    /// blake3 of the sealed chunk.
    pub hash: [u8; 32],
    /// Its length in bytes.
    pub length: u32,
}

/// What a manifest seals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Header and signature of the last entry of each journal, ascending by journal. Chunks name journals by their place here.
    pub closings: Vec<Closing>,
    /// The chunks, in order.
    pub chunks: Vec<ChunkInfo>,
}

impl Contents {
    /// How far each journal goes.
    pub fn frontier(&self) -> Vec<(JournalId, Position)> {
        self.closings.iter().map(|closing| (closing.header.journal, closing.position())).collect()
    }

    /// The journals, as chunks name them.
    pub fn journals(&self) -> Vec<JournalId> {
        self.closings.iter().map(|closing| closing.header.journal).collect()
    }

    /// Encodes what is sealed.
    ///
    /// # Errors
    /// [`DecodeError::OverLimit`]: more journals or chunks than a checkpoint may have.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        within("journals", self.closings.len() as u64, CHECKPOINT_JOURNALS)?;
        within("chunks", self.chunks.len() as u64, CHECKPOINT_CHUNKS)?;
        let mut w = Writer::new();
        w.u32(self.closings.len() as u32);
        for closing in &self.closings {
            w.bytes(closing.as_bytes());
        }
        w.u32(self.chunks.len() as u32);
        for chunk in &self.chunks {
            w.raw(&chunk.hash).u32(chunk.length);
        }
        Ok(w.finish())
    }

    /// Decodes what was sealed.
    ///
    /// # Errors
    /// The maker's fault: not the one canonical form, or over a limit.
    pub fn decode(bytes: &[u8]) -> Result<Contents, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut closings: Vec<Closing> = Vec::new();
        for _ in 0..count(&mut r, CHECKPOINT_JOURNALS, 4 + 296, "journals")? {
            let closing = Closing::decode(r.bytes(MANIFEST_BYTES, "closing header")?)?;
            let follows = closings.last().is_none_or(|last| last.header.journal < closing.header.journal);
            require(follows, "closing headers")?;
            closings.push(closing);
        }
        let mut chunks = Vec::new();
        for _ in 0..count(&mut r, CHECKPOINT_CHUNKS, 36, "chunks")? {
            let chunk = ChunkInfo { hash: r.array("chunk hash")?, length: r.u32("chunk length")? };
            within("chunk length", chunk.length.into(), SEALED_CHUNK_BYTES)?;
            require(chunk.length > 0, "chunk length")?;
            chunks.push(chunk);
        }
        r.end()?;
        Ok(Contents { closings, chunks })
    }
}

/// A whole manifest. Its bytes are kept as they came, because they are passed on as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What is plain of it.
    pub signed: SignedHead,
    bytes: Vec<u8>,
}

/// What a maker knows of a checkpoint before the manifest is sealed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it says.
    pub statement: Statement,
    /// The key's epoch.
    pub epoch: EpochId,
    /// When it is made.
    pub time: HybridTime,
    /// Bytes of the entries that it stands for.
    pub entry_bytes: u64,
}

impl Manifest {
    /// Seals and signs a manifest.
    ///
    /// # Errors
    /// [`DecodeError::OverLimit`]: more journals or chunks than one may have.
    pub fn make(
        draft: Draft,
        contents: &Contents,
        key: &ContentKey,
        keys: &DeviceKeys,
    ) -> Result<Manifest, DecodeError> {
        let Draft { statement, epoch, time, entry_bytes } = draft;
        let plain = contents.encode()?;
        within("manifest", plain.len() as u64, crate::limits::PAYLOAD_BYTES)?;
        let mut head = Head {
            statement,
            maker: keys.id(),
            epoch,
            time,
            entry_bytes,
            chunks: contents.chunks.len() as u32,
            chunk_bytes: contents.chunks.iter().map(|chunk| u64::from(chunk.length)).sum(),
            sealed_len: 0,
            sealed_hash: [0; 32],
        };
        let sealed = seal::seal(key, head.write_bound().as_slice(), &payload::deflate(&plain));
        within("manifest", sealed.len() as u64, MANIFEST_BYTES - MANIFEST_HEAD_BYTES)?;
        (head.sealed_len, head.sealed_hash) = (sealed.len() as u32, *blake3::hash(&sealed).as_bytes());
        let signed = SignedHead::sign(head, keys);
        let bytes = [signed.as_bytes(), &sealed].concat();
        Ok(Manifest { signed, bytes })
    }

    /// Takes a manifest apart.
    ///
    /// # Errors
    /// The sender's fault: not the one canonical form, or the ciphertext is not the one that the head names.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, DecodeError> {
        within("manifest", bytes.len() as u64, MANIFEST_BYTES)?;
        let mut r = Reader::new(bytes);
        let signed = SignedHead::read(&mut r, bytes)?;
        let sealed = r.take(signed.head.sealed_len as usize, "sealed manifest")?;
        require(*blake3::hash(sealed).as_bytes() == signed.head.sealed_hash, "sealed manifest")?;
        r.end()?;
        Ok(Manifest { signed, bytes: bytes.to_vec() })
    }

    /// Unseals what it holds, and checks it against the head. Signatures of closing headers are not checked; see
    /// [`Closing::verify`].
    ///
    /// # Errors
    /// The maker's fault: it was not sealed under the key that it names, is malformed, or says something else than its head.
    pub fn open(&self, key: &ContentKey) -> Result<Contents, DecodeError> {
        let head = &self.signed.head;
        let sealed = &self.bytes[self.signed.as_bytes().len()..];
        let plain = seal::open(key, head.write_bound().as_slice(), sealed)
            .map_err(|_| DecodeError::Invalid { field: "sealed manifest" })?;
        let contents = Contents::decode(&payload::inflate(&plain)?)?;
        let bytes: u64 = contents.chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        require(contents.chunks.len() as u64 == u64::from(head.chunks) && bytes == head.chunk_bytes, "chunks")?;
        let Statement { space, collection, journals, frontier, .. } = &head.statement;
        require(contents.closings.len() as u64 == u64::from(*journals), "journals")?;
        require(frontier_digest(&contents.frontier()) == *frontier, "frontier digest")?;
        let of_here =
            |closing: &Closing| closing.header.space == *space && closing.header.journal.collection == *collection;
        require(contents.closings.iter().all(of_here), "closing headers")?;
        Ok(contents)
    }

    /// The manifest as it is kept and passed on.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Seals a chunk in its place.
pub fn seal_chunk(key: &ContentKey, statement: &Statement, index: u32, plain: &[u8]) -> Vec<u8> {
    seal::seal(key, &chunk_bound(statement, index), plain)
}

/// Opens a chunk.
///
/// # Errors
/// The maker's fault: it was not sealed for this place.
pub fn open_chunk(key: &ContentKey, statement: &Statement, index: u32, sealed: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let opened = seal::open(key, &chunk_bound(statement, index), sealed);
    opened.map_err(|_| DecodeError::Invalid { field: "sealed chunk" })
}

fn chunk_bound(statement: &Statement, index: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(b"farshore v1 checkpoint chunk").raw(&statement.hash()).u32(index);
    w.finish()
}

/// A count in four bytes, for lists that may be longer than 65,535.
fn count(r: &mut Reader<'_>, limit: usize, item_bytes: usize, field: &'static str) -> Result<usize, DecodeError> {
    let count = r.u32(field)? as usize;
    within(field, count as u64, limit)?;
    if count.saturating_mul(item_bytes) > r.remaining() {
        return Err(DecodeError::Truncated { field });
    }
    Ok(count)
}

fn version(r: &mut Reader<'_>, field: &'static str, known: u8) -> Result<(), DecodeError> {
    keys::version(r.u8(field)?, known, field)
}

fn within(field: &'static str, value: u64, limit: usize) -> Result<(), DecodeError> {
    if value <= limit as u64 {
        return Ok(());
    }
    Err(DecodeError::OverLimit { field, value, limit: limit as u64 })
}
