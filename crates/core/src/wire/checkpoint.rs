//! Frames about checkpoints: offering one, asking for it from a byte on, its bytes, and a device's word for it.

use super::Handle;
use super::codec::{handle, list, rest};
use crate::bytes::{DecodeError, Reader, Writer};
use crate::checkpoint::Attestation;
use crate::id::{CheckpointId, CollectionTag};
use crate::limits::{ATTESTATIONS, CHECKPOINT_CHUNKS, MANIFEST_HEAD_BYTES, SEALED_CHUNK_BYTES};

/// The sender holds a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The space.
    pub handle: Handle,
    /// Head of the manifest and its maker's signature; see [`crate::checkpoint::SignedHead`].
    pub head: Vec<u8>,
    /// Who gives his word for it.
    pub attestations: Vec<Attestation>,
}

/// Asks for a checkpoint from here on, piece after piece, to the end of the part `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The space.
    pub handle: Handle,
    /// The checkpoint.
    pub id: CheckpointId,
    /// The first part wanted: 0 is the manifest, then come the chunks.
    pub part: u32,
    /// The first byte wanted of it.
    pub offset: u32,
    /// The last part wanted.
    pub last: u32,
}

/// Bytes of one part of a checkpoint. Pieces follow one another without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointPiece {
    /// The space.
    pub handle: Handle,
    /// The checkpoint.
    pub id: CheckpointId,
    /// Which part.
    pub part: u32,
    /// Its length in bytes.
    pub total: u32,
    /// Where this piece starts.
    pub offset: u32,
    /// The piece.
    pub bytes: Vec<u8>,
}

/// A device computed the same as a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attest {
    /// The space.
    pub handle: Handle,
    /// The collection.
    pub collection: CollectionTag,
    /// Hash of the statement.
    pub statement: [u8; 32],
    /// The device's word.
    pub attestation: Attestation,
}

impl Offer {
    pub(super) fn write(&self, w: &mut Writer) {
        w.raw(&self.handle.0).bytes(&self.head).count(self.attestations.len());
        self.attestations.iter().for_each(|attestation| attestation.write(w));
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Offer, DecodeError> {
        Ok(Offer {
            handle: handle(r)?,
            head: r.bytes(MANIFEST_HEAD_BYTES, "manifest head")?.to_vec(),
            attestations: list(r, ATTESTATIONS, Attestation::BYTES, "attestations", Attestation::read)?,
        })
    }
}

impl Fetch {
    pub(super) fn write(&self, w: &mut Writer) {
        w.raw(&self.handle.0).raw(&self.id.0).u32(self.part).u32(self.offset).u32(self.last);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Fetch, DecodeError> {
        let (handle, id) = (handle(r)?, CheckpointId(r.array("checkpoint")?));
        let fetch = Fetch { handle, id, part: r.u32("part")?, offset: r.u32("offset")?, last: r.u32("last part")? };
        let sound = fetch.part <= fetch.last
            && fetch.last as usize <= CHECKPOINT_CHUNKS
            && (fetch.offset as usize) < SEALED_CHUNK_BYTES;
        if sound { Ok(fetch) } else { Err(DecodeError::Invalid { field: "part" }) }
    }
}

impl CheckpointPiece {
    pub(super) fn write(&self, w: &mut Writer) {
        w.raw(&self.handle.0).raw(&self.id.0).u32(self.part).u32(self.total).u32(self.offset).raw(&self.bytes);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<CheckpointPiece, DecodeError> {
        Ok(CheckpointPiece {
            handle: handle(r)?,
            id: CheckpointId(r.array("checkpoint")?),
            part: r.u32("part")?,
            total: r.u32("total")?,
            offset: r.u32("offset")?,
            bytes: rest(r)?,
        })
    }
}

impl Attest {
    pub(super) fn write(&self, w: &mut Writer) {
        w.raw(&self.handle.0).raw(&self.collection.0).raw(&self.statement);
        self.attestation.write(w);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Attest, DecodeError> {
        Ok(Attest {
            handle: handle(r)?,
            collection: CollectionTag(r.array("collection")?),
            statement: r.array("statement hash")?,
            attestation: Attestation::read(r)?,
        })
    }
}
