//! Blocks of bytes, deflated where that makes them smaller.
//!
//! Layout: inflated length `u32`, codec `u8`, block. Deflate (zlib-rs) because it is already in Automerge's tree and pure Rust; the
//! codec byte leaves room for another (`docs/decisions/005-deflate.md`).

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::bytes::{DecodeError, Reader, Writer};
use crate::limits::PAYLOAD_BYTES;
use crate::payload::over;

const CODEC_PLAIN: u8 = 0;
const CODEC_DEFLATE: u8 = 1;
/// Below this many bytes deflate rarely gains anything.
const FROM_BYTES: usize = 64;
/// Inflated bytes are made room for as they come, from this many on: what is declared is believed when it is there.
const ROOM_BYTES: usize = 4 << 10;

thread_local! {
    // To make one takes longer than to deflate an edit: 300 KiB of zeroed memory. After a reset it is as good as new.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// A block with its length and codec; what it holds is capped by the caller at [`PAYLOAD_BYTES`].
pub(crate) fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.u32(u32::try_from(plain.len()).expect("a payload is capped at 16 MiB before this"));
    match (plain.len() >= FROM_BYTES).then(|| smaller(plain)).flatten() {
        Some(block) => w.u8(CODEC_DEFLATE).raw(&block),
        None => w.u8(CODEC_PLAIN).raw(plain),
    };
    w.finish()
}

/// The bytes deflated, if that makes them fewer.
fn smaller(plain: &[u8]) -> Option<Vec<u8>> {
    DEFLATE.with_borrow_mut(|codec| {
        codec.reset();
        let mut block = Vec::with_capacity(plain.len() - 1);
        // It fits into less than there was, or it is not wanted.
        let status = codec.compress_vec(plain, &mut block, FlushCompress::Finish).ok()?;
        (status == Status::StreamEnd).then_some(block)
    })
}

/// What [`deflate`] packed, at most [`PAYLOAD_BYTES`].
pub(crate) fn inflate(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut r = Reader::new(bytes);
    let declared = r.u32("payload length")? as usize;
    let codec = r.u8("payload codec")?;
    if codec > CODEC_DEFLATE {
        // Before anything else is judged: a newer codec may have other limits.
        let (found, known) = (codec.into(), CODEC_DEFLATE.into());
        return Err(DecodeError::Version { field: "payload codec", found, known });
    }
    over("payload length", declared, PAYLOAD_BYTES)?;
    let block = r.take(r.remaining(), "payload")?;
    let plain = match codec {
        CODEC_PLAIN => block.to_vec(),
        _ => larger(block, declared).ok_or(DecodeError::Invalid { field: "payload" })?,
    };
    if plain.len() != declared {
        return Err(DecodeError::Invalid { field: "payload length" });
    }
    Ok(plain)
}

/// The bytes inflated, or one more of them than there may be; `None` if they are no deflated bytes to their end.
fn larger(block: &[u8], most: usize) -> Option<Vec<u8>> {
    INFLATE.with_borrow_mut(|codec| {
        codec.reset(false);
        let mut plain = Vec::new();
        loop {
            // One byte more than declared is enough to notice a lie, so a bomb costs no more than an honest payload.
            plain.reserve_exact((most + 1 - plain.len()).min(plain.len().max(ROOM_BYTES)));
            let (read, written) = (codec.total_in() as usize, plain.len());
            let status = codec.decompress_vec(&block[read..], &mut plain, FlushDecompress::None).ok()?;
            match status {
                Status::StreamEnd => return Some(plain),
                _ if plain.len() > most => return Some(plain),
                // The rest is missing.
                _ if plain.len() == written && codec.total_in() as usize == read => return None,
                _ => {}
            }
        }
    })
}
