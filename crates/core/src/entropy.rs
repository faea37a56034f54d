//! Randomness as data: one 32-byte seed from outside becomes every random byte that a step of the core needs.
//!
//! The core may not ask the operating system for randomness (I2), and the primitives want a generator. This one is blake3's
//! extendable output, keyed with the seed: as strong as the seed, and the same seed gives the same bytes on every machine,
//! which is what lets the simulator replay a run.

use std::convert::Infallible;
use std::fmt;

use hpke::rand_core::{TryCryptoRng, TryRng};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const CONTEXT: &str = "farshore v1 entropy";

/// A deterministic, cryptographically strong generator. Not `Clone`: a copy would repeat its bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Entropy {
    key: [u8; 32],
    position: u64,
}

impl Entropy {
    /// Starts from a seed of 32 random bytes that is used for nothing else. `label` says what for, so that one seed used
    /// under two labels by mistake still gives unrelated bytes.
    ///
    /// Source: key = blake3 `derive_key("farshore v1 entropy", seed ‖ label)`; output = the XOF of blake3 keyed with it.
    pub fn from_seed(seed: &[u8; 32], label: &'static str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(seed).update(label.as_bytes());
        Entropy { key: *hasher.finalize().as_bytes(), position: 0 }
    }

    /// Takes 32 bytes as the seed of a child of its own, so that how much the child draws does not shift what follows here.
    pub fn fork(&mut self, label: &'static str) -> Entropy {
        let seed = self.seed();
        Entropy::from_seed(&seed, label)
    }

    /// Takes a 32-byte seed.
    pub fn seed(&mut self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        self.fill(seed.as_mut_slice());
        seed
    }

    /// Takes `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        let mut stream = blake3::Hasher::new_keyed(&self.key).finalize_xof();
        stream.set_position(self.position);
        stream.fill(out);
        self.position += out.len() as u64;
    }
}

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_however_they_are_taken() {
        let mut at_once = Entropy::from_seed(&[7; 32], "test");
        let mut in_pieces = Entropy::from_seed(&[7; 32], "test");
        let whole: [u8; 150] = at_once.array();
        let mut pieces = Vec::new();
        for length in [1, 63, 64, 22] {
            let mut piece = vec![0; length];
            in_pieces.fill(&mut piece);
            pieces.extend(piece);
        }
        assert_eq!(whole.as_slice(), pieces);
    }

    #[test]
    fn labels_and_forks_give_unrelated_bytes() {
        let mut one = Entropy::from_seed(&[7; 32], "one");
        let mut two = Entropy::from_seed(&[7; 32], "two");
        assert_ne!(one.array::<32>(), two.array::<32>());
        let (mut first, mut second) = (one.fork("child"), one.fork("child"));
        assert_ne!(first.array::<32>(), second.array::<32>());
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert_eq!(format!("{:?}", Entropy::from_seed(&[7; 32], "test")), "Entropy(..)");
    }
}
