//! Chance, from a seed or from the bytes of a fuzzer.

use farshore_store::testing::Random;

/// Where choices come from. Equal sources give equal choices on every machine.
#[derive(Debug, Clone)]
pub struct Dice<'a>(Source<'a>);

#[derive(Debug, Clone)]
enum Source<'a> {
    Seed(Random),
    /// Once they are used up every choice is the first one, so that a shorter input is a simpler run.
    Bytes(&'a [u8]),
}

impl Dice<'_> {
    /// Choices from a seed.
    pub fn seeded(seed: u64) -> Dice<'static> {
        Dice(Source::Seed(Random::new(seed)))
    }

    /// Choices from bytes, as a fuzzer makes them.
    pub fn bytes(bytes: &[u8]) -> Dice<'_> {
        Dice(Source::Bytes(bytes))
    }

    /// 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(random) => random.next_u64(),
            Source::Bytes(bytes) => {
                let (now, rest) = bytes.split_at(bytes.len().min(8));
                *bytes = rest;
                let mut out = [0; 8];
                out[..now.len()].copy_from_slice(now);
                u64::from_le_bytes(out)
            }
        }
    }

    /// A number under `end`; 0 when `end` is 0. Takes as few of a fuzzer's bytes as will do.
    pub fn below(&mut self, end: u64) -> u64 {
        if let Source::Bytes(bytes) = &mut self.0 {
            let take = if end <= 1 { 0 } else { (64 - (end - 1).leading_zeros()).div_ceil(8) as usize };
            let (now, rest) = bytes.split_at(bytes.len().min(take));
            *bytes = rest;
            return now.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)).checked_rem(end).unwrap_or_default();
        }
        self.next_u64().checked_rem(end).unwrap_or_default()
    }

    /// An index under `end`; 0 when `end` is 0.
    pub fn index(&mut self, end: usize) -> usize {
        self.below(end as u64) as usize
    }

    /// A number from `first` to `last`.
    pub fn range(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first).saturating_add(1))
    }

    /// A number from `first` (at least 1) to `last`, small ones as likely as large ones: each doubling has the same chance.
    pub fn magnitude(&mut self, first: u64, last: u64) -> u64 {
        let mut end = first.max(1);
        let doublings = (last / end).max(1).ilog2() + 1;
        end = end.saturating_mul(1 << self.below(u64::from(doublings)));
        self.range(end, end.saturating_mul(2).min(last).max(end))
    }

    /// True in `of` of a hundred cases.
    pub fn percent(&mut self, of: u64) -> bool {
        self.below(100) < of
    }

    /// One of these; `None` of nothing.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> Option<&'t T> {
        let index = self.index(from.len());
        from.get(index)
    }

    /// One of these, as often as its weight says; `None` when all weights are 0.
    pub fn weighted<T: Copy>(&mut self, from: &[(u32, T)]) -> Option<T> {
        let total: u64 = from.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut at = self.below(total);
        for (weight, item) in from {
            if at < u64::from(*weight) {
                return Some(*item);
            }
            at -= u64::from(*weight);
        }
        None
    }

    /// A short word of letters, some of them beyond ASCII.
    pub fn word(&mut self) -> String {
        const LETTERS: [char; 16] = ['a', 'e', 'i', 'o', 'n', 'r', 's', 't', 'l', 'd', 'm', ' ', 'ä', 'ß', '語', '🦀'];
        (0..self.range(1, 8)).map(|_| LETTERS[self.index(LETTERS.len())]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_used_up_choose_the_first_of_everything() {
        let mut dice = Dice::bytes(&[5]);
        assert_eq!(dice.below(10), 5);
        assert_eq!((dice.below(10), dice.next_u64(), dice.range(3, 9)), (0, 0, 3));
        assert_eq!(dice.weighted(&[(0, 'a'), (2, 'b')]), Some('b'));
    }

    #[test]
    fn magnitudes_stay_within_their_bounds() {
        let mut dice = Dice::seeded(1);
        for _ in 0..10_000 {
            let number = dice.magnitude(10, 5_000);
            assert!((10..=5_000).contains(&number), "{number}");
        }
        assert_eq!(dice.magnitude(7, 7), 7);
    }
}
