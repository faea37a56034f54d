//! AES-256-XTS (IEEE 1619) over any run of whole 16-byte blocks of a 4096-byte sector.
//!
//! Written here because a crash-safe backend must be able to encrypt the blocks it was asked to write and no others, which
//! starts in the middle of a sector; see `docs/decisions/003-xts.md`. Ciphertext stealing is left out: lengths are whole blocks.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, consts::U16};

/// Bytes in a cipher block: the unit in which a write may be torn without harm to its neighbours.
pub(crate) const BLOCK_BYTES: usize = 16;
/// Bytes under one tweak. redb's page size, so that a page is one sector.
pub(crate) const SECTOR_BYTES: usize = 4096;
/// Blocks handled at a time: 4 KiB of tweaks on the stack, and long enough to keep 8 AES pipelines busy.
const RUN_BLOCKS: usize = SECTOR_BYTES / BLOCK_BYTES;

type Block = Array<u8, U16>;

/// Two expanded AES-256 keys. Both key schedules are zeroized on drop.
pub(crate) struct Xts {
    data: Aes256,
    tweak: Aes256,
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Encrypt,
    Decrypt,
}

impl Xts {
    /// Expands both keys.
    pub(crate) fn new(data_key: &[u8; 32], tweak_key: &[u8; 32]) -> Self {
        Xts { data: Aes256::new(data_key.into()), tweak: Aes256::new(tweak_key.into()) }
    }

    /// Encrypts `bytes` in place, which start at byte `offset` of the storage.
    ///
    /// # Errors
    /// [`Unaligned`] unless `offset` and the length are whole blocks; the backend aligns before it calls.
    pub(crate) fn encrypt(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unaligned> {
        self.run(offset, bytes, Way::Encrypt)
    }

    /// Decrypts `bytes` in place; an all-zero block stays as it is, see [`crate::crypt`].
    ///
    /// # Errors
    /// As for [`Xts::encrypt`].
    pub(crate) fn decrypt(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unaligned> {
        self.run(offset, bytes, Way::Decrypt)
    }

    fn run(&self, offset: u64, bytes: &mut [u8], way: Way) -> Result<(), Unaligned> {
        let (blocks, rest) = Block::slice_as_chunks_mut(bytes);
        if !offset.is_multiple_of(BLOCK_BYTES as u64) || !rest.is_empty() {
            return Err(Unaligned);
        }
        let mut at = offset;
        let mut blocks = blocks;
        while !blocks.is_empty() {
            let first = (at % SECTOR_BYTES as u64) as usize / BLOCK_BYTES;
            let count = blocks.len().min(RUN_BLOCKS - first);
            let (run, later) = blocks.split_at_mut(count);
            self.sector(at / SECTOR_BYTES as u64, first, run, way);
            blocks = later;
            at += (count * BLOCK_BYTES) as u64;
        }
        Ok(())
    }

    /// The one block that encrypts to zeros at the start of `sector`.
    #[cfg(test)]
    pub(crate) fn preimage_of_zero(&self, sector: u64) -> [u8; BLOCK_BYTES] {
        let mut tweak = Array(u128::from(sector).to_le_bytes());
        self.tweak.encrypt_block(&mut tweak);
        let mut block = tweak;
        self.data.decrypt_block(&mut block);
        (u128::from_le_bytes(block.0) ^ u128::from_le_bytes(tweak.0)).to_le_bytes()
    }

    /// Blocks `first ..` of one sector.
    fn sector(&self, sector: u64, first: usize, blocks: &mut [Block], way: Way) {
        let mut start = Array(u128::from(sector).to_le_bytes());
        self.tweak.encrypt_block(&mut start);
        let mut tweak = u128::from_le_bytes(start.0);
        for _ in 0..first {
            tweak = double(tweak);
        }
        let mut tweaks = [0_u128; RUN_BLOCKS];
        let mut zero = [false; RUN_BLOCKS];
        for (index, block) in blocks.iter_mut().enumerate() {
            let value = u128::from_le_bytes(block.0);
            zero[index] = value == 0;
            tweaks[index] = tweak;
            block.0 = (value ^ tweak).to_le_bytes();
            tweak = double(tweak);
        }
        match way {
            Way::Encrypt => self.data.encrypt_blocks(blocks),
            Way::Decrypt => self.data.decrypt_blocks(blocks),
        }
        for (index, block) in blocks.iter_mut().enumerate() {
            let value = u128::from_le_bytes(block.0) ^ tweaks[index];
            let unwritten = way == Way::Decrypt && zero[index];
            block.0 = if unwritten { [0; BLOCK_BYTES] } else { value.to_le_bytes() };
        }
    }
}

/// Multiplies by x in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1, in the byte order of IEEE 1619.
fn double(tweak: u128) -> u128 {
    let carry = 0_u128.wrapping_sub(tweak >> 127); // all ones when the top bit falls out: no branch on a secret
    (tweak << 1) ^ (carry & 0x87)
}

/// An offset or a length is not a multiple of 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unaligned;

#[cfg(test)]
mod tests {
    use super::*;
    use farshore_core::id::{hex, unhex};
    use proptest::prelude::*;

    fn key(text: &str) -> [u8; 32] {
        let mut out = [0; 32];
        unhex(text, &mut out).unwrap();
        out
    }

    /// IEEE 1619-2007 annex B, vector 10 (XTS-AES-256, data unit 0xff, 512 bytes): keys are e and pi in hexadecimal digits
    /// as the standard prints them, plaintext is 00 01 .. ff twice. A data unit there is shorter than our sector, which
    /// changes nothing before its end.
    #[test]
    fn xts_agrees_with_the_standards_vector() {
        let xts = Xts::new(
            &key("2718281828459045235360287471352662497757247093699959574966967627"),
            &key("3141592653589793238462643383279502884197169399375105820974944592"),
        );
        let plain: Vec<u8> = (0..512).map(|i| (i % 256) as u8).collect();
        let mut bytes = plain.clone();
        xts.encrypt(0xff * SECTOR_BYTES as u64, &mut bytes).unwrap();
        assert_eq!(
            hex(&bytes[..64]),
            "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b\
             5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd"
        );
        xts.decrypt(0xff * SECTOR_BYTES as u64, &mut bytes).unwrap();
        assert_eq!(bytes, plain);
    }

    #[test]
    fn offsets_and_lengths_that_are_not_whole_blocks_are_refused() {
        let xts = Xts::new(&[1; 32], &[2; 32]);
        assert_eq!(xts.encrypt(8, &mut [0; 16]), Err(Unaligned));
        assert_eq!(xts.decrypt(16, &mut [0; 15]), Err(Unaligned));
    }

    proptest! {
        /// Another implementation agrees on whole sectors, and a run from the middle gives the same blocks as the whole.
        #[test]
        fn xts_agrees_with_xts_mode_wherever_a_run_starts(
            keys in any::<([u8; 32], [u8; 32])>(),
            sector in 0_u64..1 << 40,
            plain in proptest::collection::vec(any::<u8>(), SECTOR_BYTES..=SECTOR_BYTES),
            cut in (0_usize..256, 0_usize..256),
        ) {
            let ours = Xts::new(&keys.0, &keys.1);
            let theirs = xts_mode::Xts128::new(Aes256::new((&keys.0).into()), Aes256::new((&keys.1).into()));
            let mut expected = plain.clone();
            theirs.encrypt_sector(&mut expected, Array(u128::from(sector).to_le_bytes()));
            let mut whole = plain.clone();
            let start = sector * SECTOR_BYTES as u64;
            ours.encrypt(start, &mut whole).unwrap();
            prop_assert_eq!(&whole, &expected);
            let (from, to) = (cut.0.min(cut.1) * 16, cut.0.max(cut.1) * 16);
            let mut part = plain[from..to].to_vec();
            ours.encrypt(start + from as u64, &mut part).unwrap();
            prop_assert_eq!(&part, &expected[from..to]);
            ours.decrypt(start + from as u64, &mut part).unwrap();
            prop_assert_eq!(&part, &plain[from..to]);
        }
    }
}
