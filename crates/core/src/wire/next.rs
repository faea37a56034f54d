//! What an entry has in common with the one before it in its journal, and need not travel again on the same stream.

use std::collections::VecDeque;
use std::ops::Range;

use crate::id::EntryHash;
use crate::limits::NEXT_JOURNALS;

/// Where space and journal stand in an entry, of whatever version,
const JOURNAL: Range<usize> = 4..100;
/// its `seq`,
const SEQ: Range<usize> = 100..108;
/// and the hash of the entry before it.
const PREV: Range<usize> = 108..140;
/// All of them.
const PLACE: Range<usize> = JOURNAL.start..PREV.end;
const PLACE_BYTES: usize = PLACE.end - PLACE.start;

/// The last entries that went over one stream of one link in whole, one of each journal. Both sides keep the same, because a
/// stream keeps its order.
#[derive(Debug, Default)]
pub struct Recent {
    /// What the entry after each of them has at its [`PLACE`]; the last to go is last.
    places: VecDeque<[u8; PLACE_BYTES]>,
}

impl Recent {
    /// Notes that an entry went, in `Entry` or `Next`.
    pub fn went(&mut self, entry: &[u8], hash: EntryHash) {
        let Some(mut place) = entry.get(PLACE).and_then(|place| <[u8; PLACE_BYTES]>::try_from(place).ok()) else {
            return;
        };
        let at = |range: Range<usize>| range.start - PLACE.start..range.end - PLACE.start;
        let Some(seq) = place[at(SEQ)].try_into().ok().and_then(|seq| u64::from_be_bytes(seq).checked_add(1)) else {
            return;
        };
        place[at(SEQ)].copy_from_slice(&seq.to_be_bytes());
        place[at(PREV)].copy_from_slice(&hash.0);
        self.places.retain(|other| other[at(JOURNAL)] != place[at(JOURNAL)]);
        if self.places.len() == NEXT_JOURNALS {
            self.places.pop_front();
        }
        self.places.push_back(place);
    }

    /// An entry without what follows from the one before it, and the beginning of that one's hash; if it went lately.
    pub fn shorten(&self, entry: &[u8]) -> Option<([u8; 4], Vec<u8>)> {
        let place = self.places.iter().find(|place| entry.get(PLACE) == Some(&place[..]))?;
        let after = after(place);
        // Both sides see it when two hashes begin alike; then the entry goes whole.
        self.only(after)?;
        Some((after, [&entry[..PLACE.start], &entry[PLACE.end..]].concat()))
    }

    /// The entry that [`Recent::shorten`] was given. `None` if the one before it did not go lately.
    pub fn restore(&self, after: [u8; 4], rest: &[u8]) -> Option<Vec<u8>> {
        let place = self.only(after)?;
        let (front, back) = rest.split_at_checked(PLACE.start)?;
        Some([front, place, back].concat())
    }

    fn only(&self, name: [u8; 4]) -> Option<&[u8; PLACE_BYTES]> {
        let mut named = self.places.iter().filter(|place| after(place) == name);
        named.next().filter(|_| named.next().is_none())
    }
}

/// Names the entry before, among the few that can be meant.
fn after(place: &[u8; PLACE_BYTES]) -> [u8; 4] {
    std::array::from_fn(|at| place[PREV.start - PLACE.start + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that have their place where entries do.
    fn entry(journal: u8, seq: u64, prev: [u8; 32], rest: u8) -> Vec<u8> {
        [&[1; 4][..], &[journal; 96], &seq.to_be_bytes(), &prev, &[rest; 50]].concat()
    }

    fn hash(first: u8, second: u8) -> EntryHash {
        let mut hash = [second; 32];
        hash[..4].fill(first);
        EntryHash(hash)
    }

    #[test]
    fn the_next_entry_of_a_journal_goes_without_its_place_and_is_put_together_again() {
        let (mut here, mut there) = (Recent::default(), Recent::default());
        let first = entry(1, 7, [0; 32], 3);
        assert_eq!(here.shorten(&first), None, "nothing went before it");
        for recent in [&mut here, &mut there] {
            recent.went(&first, hash(8, 8));
            recent.went(&entry(2, 1, [0; 32], 3), hash(9, 9));
        }
        let next = entry(1, 8, hash(8, 8).0, 4);
        let (after, rest) = here.shorten(&next).expect("it follows the first");
        assert_eq!((after, rest.len() + PLACE_BYTES), ([8; 4], next.len()));
        assert_eq!(there.restore(after, &rest), Some(next.clone()));
        there.went(&first, hash(8, 8));
        assert_eq!(there.restore(after, &rest), Some(next), "a frame that came twice changes nothing");
        for other in [entry(1, 9, hash(8, 8).0, 4), entry(1, 8, hash(7, 8).0, 4), entry(3, 8, hash(8, 8).0, 4)] {
            assert_eq!(here.shorten(&other), None);
        }
        assert_eq!(there.restore([7; 4], &rest), None);
        assert_eq!(there.restore(after, &rest[..3]), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_cannot_be_told_apart_goes_whole() {
        let mut recent = Recent::default();
        for journal in 0..=NEXT_JOURNALS as u8 {
            recent.went(&entry(journal, 1, [0; 32], 0), hash(journal, journal));
        }
        assert_eq!(recent.places.len(), NEXT_JOURNALS);
        assert_eq!(recent.shorten(&entry(0, 2, hash(0, 0).0, 0)), None, "the first to go is forgotten first");
        assert!(recent.shorten(&entry(1, 2, hash(1, 1).0, 0)).is_some());
        recent.went(&entry(0, 1, [0; 32], 0), hash(2, 9));
        assert_eq!(recent.shorten(&entry(2, 2, hash(2, 2).0, 0)), None, "two hashes begin alike");
        recent.went(&entry(7, u64::MAX, [0; 32], 0), hash(77, 77));
        assert_eq!(recent.restore([77; 4], &[0; 9]), None, "nothing follows the last of all numbers");
        recent.went(&[0; 139], hash(78, 78));
        assert_eq!(recent.restore([78; 4], &[0; 9]), None);
    }
}
