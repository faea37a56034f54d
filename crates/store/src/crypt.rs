//! The encrypted storage below redb: everything after the header page is AES-256-XTS, byte for byte in place.
//!
//! ```text
//!   redb asks for      read(offset, 4096)            write(offset, 4096)          set_len(n)
//!                           |                              |                         |
//!   this file          + 4096, decrypt               encrypt, + 4096              + 4096
//!                           |                              |                         |
//!   inner backend      read(offset + 4096)           write(offset + 4096)         set_len(n + 4096)
//! ```
//!
//! Three properties carry redb's crash safety over to the ciphertext:
//!
//! - **Length-preserving, blocks independent.** A torn write leaves old and new blocks of 16 bytes, each of which decrypts to
//!   the old or new plaintext. Nothing outside the bytes that redb wrote is ever rewritten, except the rest of a first and last block
//!   when a write is not aligned to 16 (redb 4.6 makes none; they are read, changed and written back).
//! - **Unwritten space reads as zeros.** redb expects extended space to be zero. A file system extends with zero *cipher*text,
//!   so an all-zero ciphertext block is read as zeros. A block whose encryption happens to be zero would be misread;
//!   it comes once in 2^128 blocks, and is refused when written rather than lost.
//! - **Syncs and locks are the inner backend's own.** Locks are byte ranges that redb takes far beyond the data; passed through unchanged.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use redb::{BackendError, StorageBackend};

use crate::pages;
use crate::xts::{BLOCK_BYTES, Unaligned, Xts};

/// Bytes before redb's first: one page, so that redb's pages stay aligned with those of the medium.
pub(crate) const HEADER_BYTES: u64 = 4096;

/// A backend that encrypts what redb writes to `inner`.
pub(crate) struct Crypt {
    inner: Box<dyn StorageBackend>,
    xts: Xts,
    /// Held while a block is read, changed and written back: two neighbours may share it.
    unaligned: Mutex<()>,
}

impl fmt::Debug for Crypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crypt").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Crypt {
    /// Wraps `inner`, whose first [`HEADER_BYTES`] hold the header page.
    pub(crate) fn new(inner: Box<dyn StorageBackend>, xts: Xts) -> Self {
        Crypt { inner, xts, unaligned: Mutex::new(()) }
    }

    /// Reads and decrypts whole blocks.
    fn read_blocks(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(shifted(offset)?, out)?;
        self.xts.decrypt(offset, out).map_err(misaligned)
    }

    /// Refuses a page that would make redb allocate more than the file's size.
    fn examine(&self, page: &[u8]) -> io::Result<()> {
        match pages::names_too_large_a_page(page, StorageBackend::len(self)?) {
            true => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "a page names another that is larger than the file"))
            }
            false => Ok(()),
        }
    }

    /// Encrypts whole blocks and writes them.
    fn write_blocks(&self, offset: u64, mut bytes: Vec<u8>) -> io::Result<()> {
        self.xts.encrypt(offset, &mut bytes).map_err(misaligned)?;
        if bytes.chunks_exact(BLOCK_BYTES).any(|block| block.iter().all(|byte| *byte == 0)) {
            return Err(io::Error::other(
                "a block encrypts to zeros, which stand for unwritten space: nothing was written",
            ));
        }
        self.inner.write(shifted(offset)?, &bytes)
    }
}

fn shifted(offset: u64) -> io::Result<u64> {
    offset.checked_add(HEADER_BYTES).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "offset out of range"))
}

fn misaligned(_: Unaligned) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "offset or length is not a multiple of 16 bytes")
}

/// The whole blocks that hold `offset .. offset + length`: where they start, how many bytes before `offset`, how long.
fn enclosing(offset: u64, length: usize) -> io::Result<(u64, usize, usize)> {
    let before = (offset % BLOCK_BYTES as u64) as usize;
    let whole = before
        .checked_add(length)
        .and_then(|n| n.checked_next_multiple_of(BLOCK_BYTES))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "length out of range"))?;
    Ok((offset - before as u64, before, whole))
}

impl StorageBackend for Crypt {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner.len()?.saturating_sub(HEADER_BYTES))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (start, before, whole) = enclosing(offset, out.len())?;
        if before == 0 && whole == out.len() {
            self.read_blocks(offset, out)?;
        } else {
            let mut blocks = vec![0; whole];
            self.read_blocks(start, &mut blocks)?;
            out.copy_from_slice(&blocks[before..before + out.len()]);
        }
        self.examine(out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !len.is_multiple_of(BLOCK_BYTES as u64) {
            return Err(misaligned(Unaligned));
        }
        self.inner.set_len(shifted(len)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (start, before, whole) = enclosing(offset, data.len())?;
        if before == 0 && whole == data.len() {
            return self.write_blocks(offset, data.to_vec());
        }
        let _held = self.unaligned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = vec![0; whole];
        let last = whole - BLOCK_BYTES;
        self.read_blocks(start, &mut blocks[..BLOCK_BYTES])?;
        if last > 0 {
            self.read_blocks(start + last as u64, &mut blocks[last..])?;
        }
        blocks[before..before + data.len()].copy_from_slice(data);
        self.write_blocks(start, blocks)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use std::sync::Arc;

    #[derive(Debug, Clone)]
    struct Shared(Arc<InMemoryBackend>);

    impl StorageBackend for Shared {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.write(offset, data)
        }
    }

    fn pair() -> (Shared, Crypt) {
        let inner = Shared(Arc::new(InMemoryBackend::new()));
        (inner.clone(), Crypt::new(Box::new(inner), Xts::new(&[1; 32], &[2; 32])))
    }

    #[test]
    fn extended_space_reads_as_zeros_also_after_it_was_cut_off() {
        let (_, crypt) = pair();
        crypt.set_len(8192).unwrap();
        crypt.write(4096, &[7; 4096]).unwrap();
        crypt.set_len(4096).unwrap();
        crypt.set_len(8192).unwrap();
        let mut out = vec![1; 8192];
        crypt.read(0, &mut out).unwrap();
        assert!(out.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn zeros_that_are_written_do_not_show_as_zeros_on_the_medium() {
        let (inner, crypt) = pair();
        crypt.set_len(4096).unwrap();
        crypt.write(0, &[0; 4096]).unwrap();
        let mut raw = vec![0; 4096];
        inner.read(HEADER_BYTES, &mut raw).unwrap();
        assert!(raw.chunks(16).all(|block| block.iter().any(|byte| *byte != 0)));
    }

    #[test]
    fn a_plaintext_that_would_read_back_as_unwritten_is_refused() {
        let (_, crypt) = pair();
        crypt.set_len(4096).unwrap();
        // The one plaintext block of this place whose ciphertext is zero.
        let misread = Xts::new(&[1; 32], &[2; 32]).preimage_of_zero(0);
        assert!(crypt.write(0, &misread).is_err());
        assert!(crypt.write(16, &misread).is_ok());
    }

    #[test]
    fn a_write_leaves_every_block_that_it_does_not_touch() {
        let (inner, crypt) = pair();
        crypt.set_len(4096).unwrap();
        crypt.write(0, &[5; 4096]).unwrap();
        let mut before = vec![0; 4096];
        inner.read(HEADER_BYTES, &mut before).unwrap();
        crypt.write(100, &[6; 30]).unwrap();
        let mut after = vec![0; 4096];
        inner.read(HEADER_BYTES, &mut after).unwrap();
        let changed: Vec<usize> = (0..256).filter(|i| before[i * 16..][..16] != after[i * 16..][..16]).collect();
        assert_eq!(changed, [6, 7, 8]);
    }

    proptest! {
        #[test]
        fn any_reads_and_writes_behave_as_on_plain_storage(
            ops in proptest::collection::vec((0_u64..12_000, 0_usize..5000, any::<u8>()), 1..40)
        ) {
            let (_, crypt) = pair();
            crypt.set_len(16_384).unwrap();
            let mut plain = vec![0_u8; 16_384];
            for (offset, length, value) in ops {
                let length = length.min(16_384 - offset as usize);
                let data: Vec<u8> = (0..length).map(|i| value.wrapping_add(i as u8)).collect();
                crypt.write(offset, &data).unwrap();
                plain[offset as usize..][..length].copy_from_slice(&data);
                let mut out = vec![0; length];
                crypt.read(offset, &mut out).unwrap();
                prop_assert_eq!(&out, &data);
            }
            let mut out = vec![0; 16_384];
            crypt.read(0, &mut out).unwrap();
            prop_assert_eq!(out, plain);
        }
    }
}
