//! One signed roster operation and its bytes.
//!
//! Layout, all integers big-endian: version 1 · suite 1 · space 32 (zero in genesis) · parents (u16 count, then 32 each,
//! ascending) · author 32 · seq u64 · prev 32 · claimed time u64 · kind u8 · body (u32 length) · signature 64 over all before.

use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{CollectionTag, DeviceId, EntryHash, EpochId, JournalId, OpHash, Position, SpaceId, UserId};
use crate::keys::{DeviceCertificate, DeviceKeys, verify, version};
use crate::limits::{
    CERTIFICATE_BYTES, DEFINITION_BYTES, EPOCH_PARENTS, EPOCH_WRAPS, NAME_BYTES, RETAINED_JOURNALS, ROSTER_BODY_BYTES,
    ROSTER_HEADS, ROSTER_OP_BYTES,
};
use crate::role::Role;
use crate::roster::OpRefused;
use crate::seal::{SEAL_OVERHEAD, SEALED_KEY_BYTES, WRAP_BYTES};

const VERSION: u8 = 1;
/// Ed25519, X25519, blake3, XChaCha20-Poly1305. 2 is reserved for the post-quantum hybrid (X-Wing).
const SUITE: u8 = 1;
const SIGNATURE_LABEL: &str = "roster operation";
const HASH_CONTEXT: &str = "farshore v1 roster operation";
const SIGNATURE_BYTES: usize = 64;
/// Sealed names carry a format version and a length.
const SEALED_NAME_BYTES: usize = NAME_BYTES + 5 + SEAL_OVERHEAD;
const NEWEST_KIND: u8 = 15;

/// A journal's prefix that stays valid after its device lost the right to write.
pub type Retained = (JournalId, Position);

/// One operation, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterOp {
    /// The space; all zero in a genesis, whose hash becomes the space's id.
    pub space: SpaceId,
    /// The roster's heads as the author knew them, ascending; empty in a genesis only.
    pub parents: Vec<OpHash>,
    /// The device that signs.
    pub author: DeviceId,
    /// 1 for the author's first operation in this space.
    pub seq: u64,
    /// The author's operation before this one; all zero for the first.
    pub prev: OpHash,
    /// When, in milliseconds since 1970, by the author's clock: a claim that decides nothing.
    pub claimed_ms: u64,
    /// What it does.
    pub body: OpBody,
}

/// A parent epoch's key, sealed under its child's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentEpoch {
    /// The parent.
    pub epoch: EpochId,
    /// See [`crate::seal::seal_parent_key`].
    pub sealed: [u8; SEALED_KEY_BYTES],
}

/// An epoch key wrapped for one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochWrap {
    /// For whom.
    pub device: DeviceId,
    /// See [`crate::seal::wrap`].
    pub wrap: [u8; WRAP_BYTES],
}

/// What an operation does. The number in brackets is its kind on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpBody {
    /// (1) Founds the space with its creator as admin. The name follows as [`OpBody::SpaceInfo`]: relays may not read it, and
    /// the first key is made by the operation after this one.
    Genesis {
        /// Makes two spaces of one creator differ.
        nonce: [u8; 32],
        /// The creator's device.
        creator: DeviceCertificate,
    },
    /// (2) Makes a user a member.
    AddUser {
        /// Who.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// (3) Adds a device of a member.
    AddDevice {
        /// Whose and which.
        certificate: DeviceCertificate,
    },
    /// (4) Changes a member's role.
    SetRole {
        /// Who.
        user: UserId,
        /// From now on.
        role: Role,
        /// When it takes away the right to write: the prefixes that stay valid.
        retain: Vec<Retained>,
    },
    /// (5) Removes a member with all his devices.
    RemoveUser {
        /// Who.
        user: UserId,
        /// The prefixes that stay valid.
        retain: Vec<Retained>,
    },
    /// (6) Revokes one device for good.
    RevokeDevice {
        /// Which.
        device: DeviceId,
        /// The prefixes that stay valid.
        retain: Vec<Retained>,
    },
    /// (7) Starts a key epoch.
    KeyEpoch {
        /// Commitment to the key.
        epoch: EpochId,
        /// The epochs before it, with their keys sealed under this one's; ascending. Empty in the space's first only.
        parents: Vec<ParentEpoch>,
        /// The key for each device that may read, ascending by device.
        wraps: Vec<EpochWrap>,
    },
    /// (8) Gives an epoch's key to one more device.
    KeyShare {
        /// Which epoch.
        epoch: EpochId,
        /// For whom.
        wrap: EpochWrap,
    },
    /// (9) Defines a collection.
    Catalogue {
        /// Which.
        collection: CollectionTag,
        /// Under whose key the definition is sealed.
        epoch: EpochId,
        /// A [`crate::catalogue::CollectionDefinition`].
        sealed: Vec<u8>,
    },
    /// (10) Names the space.
    SpaceInfo {
        /// Under whose key the name is sealed.
        epoch: EpochId,
        /// The name.
        sealed: Vec<u8>,
    },
    /// (11 to 15) Kinds whose numbers and authority are fixed and whose effect comes later: stored and forwarded, without
    /// effect in this version.
    Reserved {
        /// Which.
        kind: ReservedKind,
        /// Not looked at.
        body: Vec<u8>,
    },
}

/// A kind of operation that is only reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservedKind {
    /// (11) Makes a checkpoint final.
    Settle,
    /// (12) Admits a longer prefix of a cut journal.
    Adopt,
    /// (13) Orders content to be destroyed.
    Purge,
    /// (14) Sets the space's policy.
    Policy,
    /// (15) Starts the space anew from a checkpoint.
    Refound,
}

impl ReservedKind {
    const ALL: [(ReservedKind, u8); 5] = [
        (ReservedKind::Settle, 11),
        (ReservedKind::Adopt, 12),
        (ReservedKind::Purge, 13),
        (ReservedKind::Policy, 14),
        (ReservedKind::Refound, 15),
    ];
}

impl OpBody {
    /// The number on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            OpBody::Genesis { .. } => 1,
            OpBody::AddUser { .. } => 2,
            OpBody::AddDevice { .. } => 3,
            OpBody::SetRole { .. } => 4,
            OpBody::RemoveUser { .. } => 5,
            OpBody::RevokeDevice { .. } => 6,
            OpBody::KeyEpoch { .. } => 7,
            OpBody::KeyShare { .. } => 8,
            OpBody::Catalogue { .. } => 9,
            OpBody::SpaceInfo { .. } => 10,
            OpBody::Reserved { kind, .. } => {
                ReservedKind::ALL.iter().find(|(k, _)| k == kind).map_or(NEWEST_KIND, |(_, number)| *number)
            }
        }
    }

    /// What it does, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            OpBody::Genesis { .. } => "found a space",
            OpBody::AddUser { .. } => "add a user",
            OpBody::AddDevice { .. } => "add a device",
            OpBody::SetRole { .. } => "set a role",
            OpBody::RemoveUser { .. } => "remove a user",
            OpBody::RevokeDevice { .. } => "revoke a device",
            OpBody::KeyEpoch { .. } => "start a key epoch",
            OpBody::KeyShare { .. } => "share a key",
            OpBody::Catalogue { .. } => "define a collection",
            OpBody::SpaceInfo { .. } => "name the space",
            OpBody::Reserved { .. } => "do what this version does not know yet",
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            OpBody::Genesis { nonce, creator } => {
                writer.raw(nonce).bytes(&creator.encode());
            }
            OpBody::AddUser { user, role } => {
                writer.raw(&user.0).u8(role.code());
            }
            OpBody::AddDevice { certificate } => {
                writer.bytes(&certificate.encode());
            }
            OpBody::SetRole { user, role, retain } => {
                writer.raw(&user.0).u8(role.code());
                encode_retain(&mut writer, retain);
            }
            OpBody::RemoveUser { user, retain } => {
                writer.raw(&user.0);
                encode_retain(&mut writer, retain);
            }
            OpBody::RevokeDevice { device, retain } => {
                writer.raw(&device.0);
                encode_retain(&mut writer, retain);
            }
            OpBody::KeyEpoch { epoch, parents, wraps } => {
                writer.raw(&epoch.0).count(parents.len());
                for parent in parents {
                    writer.raw(&parent.epoch.0).raw(&parent.sealed);
                }
                writer.count(wraps.len());
                for wrap in wraps {
                    writer.raw(&wrap.device.0).raw(&wrap.wrap);
                }
            }
            OpBody::KeyShare { epoch, wrap } => {
                writer.raw(&epoch.0).raw(&wrap.device.0).raw(&wrap.wrap);
            }
            OpBody::Catalogue { collection, epoch, sealed } => {
                writer.raw(&collection.0).raw(&epoch.0).bytes(sealed);
            }
            OpBody::SpaceInfo { epoch, sealed } => {
                writer.raw(&epoch.0).bytes(sealed);
            }
            OpBody::Reserved { body, .. } => {
                writer.raw(body);
            }
        }
        writer.finish()
    }

    fn decode(kind: u8, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let r = &mut reader;
        let body = match kind {
            1 => OpBody::Genesis { nonce: r.array("genesis nonce")?, creator: certificate(r)? },
            2 => OpBody::AddUser { user: UserId(r.array("user")?), role: Role::decode(r)? },
            3 => OpBody::AddDevice { certificate: certificate(r)? },
            4 => OpBody::SetRole { user: UserId(r.array("user")?), role: Role::decode(r)?, retain: decode_retain(r)? },
            5 => OpBody::RemoveUser { user: UserId(r.array("user")?), retain: decode_retain(r)? },
            6 => decode_revoke(r)?,
            7 => decode_epoch(r)?,
            8 => OpBody::KeyShare { epoch: EpochId(r.array("epoch")?), wrap: decode_wrap(r)? },
            9 => OpBody::Catalogue {
                collection: CollectionTag(r.array("collection tag")?),
                epoch: EpochId(r.array("epoch")?),
                sealed: sealed(r, DEFINITION_BYTES + SEAL_OVERHEAD, "sealed definition")?,
            },
            10 => OpBody::SpaceInfo {
                epoch: EpochId(r.array("epoch")?),
                sealed: sealed(r, SEALED_NAME_BYTES, "sealed name")?,
            },
            0 => return Err(DecodeError::Invalid { field: "operation kind" }),
            newer if newer > NEWEST_KIND => {
                let (found, known) = (u32::from(newer), u32::from(NEWEST_KIND));
                return Err(DecodeError::Version { field: "operation kind", found, known });
            }
            reserved => decode_reserved(r, reserved)?,
        };
        reader.end()?;
        Ok(body)
    }
}

fn certificate(reader: &mut Reader<'_>) -> Result<DeviceCertificate, DecodeError> {
    DeviceCertificate::decode_unverified(reader.bytes(CERTIFICATE_BYTES, "device certificate")?)
}

fn sealed(reader: &mut Reader<'_>, limit: usize, field: &'static str) -> Result<Vec<u8>, DecodeError> {
    let bytes = reader.bytes(limit, field)?;
    if bytes.len() < SEAL_OVERHEAD { Err(DecodeError::Truncated { field }) } else { Ok(bytes.to_vec()) }
}

fn encode_retain(writer: &mut Writer, retain: &[Retained]) {
    writer.count(retain.len());
    for (journal, position) in retain {
        writer.raw(&journal.to_bytes()).u64(position.seq).raw(&position.hash.0);
    }
}

fn decode_retain(reader: &mut Reader<'_>) -> Result<Vec<Retained>, DecodeError> {
    let count = reader.count(RETAINED_JOURNALS, JournalId::LEN + 40, "retained journals")?;
    let mut retain: Vec<Retained> = Vec::with_capacity(count);
    for _ in 0..count {
        let journal = JournalId::from_bytes(&reader.array("retained journal")?);
        let position =
            Position { seq: reader.u64("retained seq")?, hash: EntryHash(reader.array("retained entry hash")?) };
        // An empty prefix is said by leaving the journal out.
        if position.seq == 0 || retain.last().is_some_and(|(last, _)| *last >= journal) {
            return Err(DecodeError::Invalid { field: "retained journals" });
        }
        retain.push((journal, position));
    }
    Ok(retain)
}

fn decode_revoke(reader: &mut Reader<'_>) -> Result<OpBody, DecodeError> {
    let device = DeviceId(reader.array("revoked device")?);
    let retain = decode_retain(reader)?;
    if retain.iter().any(|(journal, _)| journal.device != device) {
        return Err(DecodeError::Invalid { field: "retained journals" });
    }
    Ok(OpBody::RevokeDevice { device, retain })
}

fn decode_wrap(reader: &mut Reader<'_>) -> Result<EpochWrap, DecodeError> {
    Ok(EpochWrap { device: DeviceId(reader.array("wrapped-for device")?), wrap: reader.array("wrapped key")? })
}

fn decode_epoch(reader: &mut Reader<'_>) -> Result<OpBody, DecodeError> {
    let epoch = EpochId(reader.array("epoch")?);
    let count = reader.count(EPOCH_PARENTS, 32 + SEALED_KEY_BYTES, "parent epochs")?;
    let mut parents: Vec<ParentEpoch> = Vec::with_capacity(count);
    for _ in 0..count {
        let parent =
            ParentEpoch { epoch: EpochId(reader.array("parent epoch")?), sealed: reader.array("sealed parent key")? };
        if parent.epoch == epoch || parents.last().is_some_and(|last| last.epoch >= parent.epoch) {
            return Err(DecodeError::Invalid { field: "parent epochs" });
        }
        parents.push(parent);
    }
    let count = reader.count(EPOCH_WRAPS, 32 + WRAP_BYTES, "wrapped keys")?;
    let mut wraps: Vec<EpochWrap> = Vec::with_capacity(count);
    for _ in 0..count {
        let wrap = decode_wrap(reader)?;
        if wraps.last().is_some_and(|last| last.device >= wrap.device) {
            return Err(DecodeError::Invalid { field: "wrapped keys" });
        }
        wraps.push(wrap);
    }
    Ok(OpBody::KeyEpoch { epoch, parents, wraps })
}

fn decode_reserved(reader: &mut Reader<'_>, number: u8) -> Result<OpBody, DecodeError> {
    let found = ReservedKind::ALL.iter().find(|(_, n)| *n == number);
    let (kind, _) = found.ok_or(DecodeError::Invalid { field: "operation kind" })?;
    let length = reader.remaining();
    if length > ROSTER_BODY_BYTES {
        let (value, limit) = (length as u64, ROSTER_BODY_BYTES as u64);
        return Err(DecodeError::OverLimit { field: "reserved body", value, limit });
    }
    Ok(OpBody::Reserved { kind: *kind, body: reader.take(length, "reserved body")?.to_vec() })
}

impl RosterOp {
    /// Encodes and signs. Whether the result is within [`ROSTER_OP_BYTES`] is for the caller's lists to keep.
    pub fn sign(&self, keys: &DeviceKeys) -> Vec<u8> {
        let mut bytes = self.encode_unsigned();
        let signature = keys.sign(SIGNATURE_LABEL, &bytes);
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// Reads an operation and checks its form, not its signatures and not whether it may stand in a roster.
    ///
    /// # Errors
    /// The sender's: not in canonical form, over a limit, or from a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > ROSTER_OP_BYTES {
            let (value, limit) = (bytes.len() as u64, ROSTER_OP_BYTES as u64);
            return Err(DecodeError::OverLimit { field: "roster operation", value, limit });
        }
        let mut reader = Reader::new(bytes);
        version(reader.u8("roster operation version")?, VERSION, "roster operation version")?;
        version(reader.u8("roster operation suite")?, SUITE, "roster operation suite")?;
        let space = SpaceId(reader.array("operation space")?);
        let count = reader.count(ROSTER_HEADS, OpHash::LEN, "operation parents")?;
        let mut parents: Vec<OpHash> = Vec::with_capacity(count);
        for _ in 0..count {
            let parent = OpHash(reader.array("operation parent")?);
            if parents.last().is_some_and(|last| *last >= parent) {
                return Err(DecodeError::Invalid { field: "operation parents" });
            }
            parents.push(parent);
        }
        let author = DeviceId(reader.array("operation author")?);
        let seq = reader.u64("operation seq")?;
        let prev = OpHash(reader.array("operation prev")?);
        let claimed_ms = reader.u64("operation time")?;
        let kind = reader.u8("operation kind")?;
        let body = OpBody::decode(kind, reader.bytes(ROSTER_OP_BYTES, "operation body")?)?;
        reader.take(SIGNATURE_BYTES, "operation signature")?;
        reader.end()?;
        let op = RosterOp { space, parents, author, seq, prev, claimed_ms, body };
        op.check_place()?;
        Ok(op)
    }

    /// A genesis stands alone at the start; everything else stands on something, in its author's chain.
    fn check_place(&self) -> Result<(), DecodeError> {
        let invalid = |wrong: bool, field| if wrong { Err(DecodeError::Invalid { field }) } else { Ok(()) };
        let zero_prev = self.prev == OpHash([0; 32]);
        invalid(self.seq == 0 || zero_prev != (self.seq == 1), "operation prev")?;
        let OpBody::Genesis { creator, .. } = &self.body else {
            invalid(self.space == SpaceId([0; 32]), "operation space")?;
            return invalid(self.parents.is_empty(), "operation parents");
        };
        invalid(self.space != SpaceId([0; 32]), "operation space")?;
        invalid(!self.parents.is_empty(), "operation parents")?;
        invalid(self.seq != 1, "operation seq")?;
        invalid(creator.device != self.author, "operation author")
    }

    fn encode_unsigned(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(VERSION).u8(SUITE).raw(&self.space.0).count(self.parents.len());
        for parent in &self.parents {
            writer.raw(&parent.0);
        }
        writer.raw(&self.author.0).u64(self.seq).raw(&self.prev.0).u64(self.claimed_ms);
        writer.u8(self.body.kind()).bytes(&self.body.encode());
        writer.finish()
    }
}

/// The hash of an operation: blake3 (`derive_key`, its own context) of everything before the signature.
///
/// Without the signature, because one message has many valid Ed25519 signatures by its own signer: with it, one act could be
/// given any number of identities, each of which every peer would have to keep.
pub fn op_hash(bytes: &[u8]) -> OpHash {
    OpHash(blake3::derive_key(HASH_CONTEXT, &bytes[..bytes.len().saturating_sub(SIGNATURE_BYTES)]))
}

/// Checks an operation's signature, and those of the certificate in it. `bytes` must have been decoded to `op`.
///
/// # Errors
/// The sender's: a signature does not fit.
pub(super) fn verify_op(op: &RosterOp, bytes: &[u8]) -> Result<(), OpRefused> {
    let Some((signed, signature)) = bytes.split_last_chunk::<SIGNATURE_BYTES>() else {
        return Err(OpRefused::Signature(op.author));
    };
    if !verify(&op.author.0, SIGNATURE_LABEL, signed, signature) {
        return Err(OpRefused::Signature(op.author));
    }
    match &op.body {
        OpBody::Genesis { creator: certificate, .. } | OpBody::AddDevice { certificate } => Ok(certificate.verify()?),
        _ => Ok(()),
    }
}
