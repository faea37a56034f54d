//! The fewest insertions and deletions between two sequences, within a bound.

use std::ops::Range;

/// A run of the old sequence that is replaced by a run of the new one. Between hunks the sequences are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// What goes.
    pub(crate) old: Range<usize>,
    /// What comes.
    pub(crate) new: Range<usize>,
}

/// Compares sequences of `old` and `new` elements, of which `same(i, j)` says whether old element `i` is new element `j`.
///
/// Common ends are cut off first. Then the result is minimal, if it has at most `limit` insertions and deletions; otherwise
/// the whole middle is one hunk.
///
/// Cost: at most `limit` comparisons for each element, and `4 × limit²` bytes.
///
/// Source: E. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986, the greedy algorithm.
pub(crate) fn hunks(old: usize, new: usize, limit: usize, same: impl Fn(usize, usize) -> bool) -> Vec<Hunk> {
    let shorter = old.min(new);
    let head = (0..shorter).take_while(|&i| same(i, i)).count();
    let tail = (0..shorter - head).take_while(|&i| same(old - 1 - i, new - 1 - i)).count();
    let (old_middle, new_middle) = (head..old - tail, head..new - tail);
    if old_middle.is_empty() && new_middle.is_empty() {
        return Vec::new();
    }
    let whole = || vec![Hunk { old: old_middle.clone(), new: new_middle.clone() }];
    if old_middle.is_empty() || new_middle.is_empty() {
        return whole();
    }
    match matches(old_middle.len(), new_middle.len(), limit, |i, j| same(head + i, head + j)) {
        Some(matched) => between(&matched, head, &old_middle, &new_middle),
        None => whole(),
    }
}

/// The gaps between matched pairs.
fn between(matched: &[(usize, usize)], offset: usize, old: &Range<usize>, new: &Range<usize>) -> Vec<Hunk> {
    let mut out = Vec::new();
    let (mut i, mut j) = (old.start, new.start);
    let pairs = matched.iter().map(|&(a, b)| (a + offset, b + offset)).chain([(old.end, new.end)]);
    for (a, b) in pairs {
        if i < a || j < b {
            out.push(Hunk { old: i..a, new: j..b });
        }
        (i, j) = (a + 1, b + 1);
    }
    out
}

/// The pairs of a longest common subsequence; `None` if it takes more than `limit` insertions and deletions.
fn matches(n: usize, m: usize, limit: usize, same: impl Fn(usize, usize) -> bool) -> Option<Vec<(usize, usize)>> {
    let limit = limit.min(n + m);
    // furthest[k + zero] is how far in old the best path on diagonal k = x - y reaches. Diagonals are shifted by `zero`.
    let zero = limit + 1;
    let mut furthest = vec![0u32; 2 * limit + 3];
    let mut steps: Vec<Vec<u32>> = Vec::new();
    for d in 0..=limit {
        steps.push(furthest[zero - d..=zero + d].to_vec());
        for diagonal in (zero - d..=zero + d).step_by(2) {
            let mut x = match comes_down(&furthest, diagonal, zero, d) {
                true => furthest[diagonal + 1],
                false => furthest[diagonal - 1] + 1,
            } as usize;
            let mut y = x + zero - diagonal;
            while x < n && y < m && same(x, y) {
                (x, y) = (x + 1, y + 1);
            }
            furthest[diagonal] = x as u32;
            if x == n && y == m {
                return Some(walk_back(&steps, n, m));
            }
        }
    }
    None
}

/// Whether the best path on this diagonal comes by an insertion from the diagonal above, not by a deletion from below.
fn comes_down(furthest: &[u32], diagonal: usize, zero: usize, d: usize) -> bool {
    diagonal == zero - d || (diagonal != zero + d && furthest[diagonal - 1] < furthest[diagonal + 1])
}

/// Follows the path back from the end; `steps[d]` holds `furthest` around the zero diagonal as it was before step `d`.
fn walk_back(steps: &[Vec<u32>], n: usize, m: usize) -> Vec<(usize, usize)> {
    let mut matched = Vec::new();
    let (mut x, mut y) = (n, m);
    for (d, furthest) in steps.iter().enumerate().rev() {
        // `furthest[d]` is the zero diagonal here. Step d reads at most diagonals -d..=d of it.
        let diagonal = x + d - y;
        let from = match d {
            0 => (0, 0),
            _ => {
                let from_diagonal = if comes_down(furthest, diagonal, d, d) { diagonal + 1 } else { diagonal - 1 };
                let from_x = furthest[from_diagonal] as usize;
                (from_x, from_x + d - from_diagonal)
            }
        };
        while x > from.0 && y > from.1 {
            (x, y) = (x - 1, y - 1);
            matched.push((x, y));
        }
        (x, y) = from;
    }
    matched.reverse();
    matched
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(old: &[u8], new: &[u8], limit: usize) -> Vec<Hunk> {
        hunks(old.len(), new.len(), limit, |i, j| old[i] == new[j])
    }

    /// Length of a longest common subsequence, by the textbook table.
    fn common(old: &[u8], new: &[u8]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for a in old {
            let mut diagonal = 0;
            for (j, b) in new.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if a == b { diagonal + 1 } else { above.max(row[j]) };
                diagonal = above;
            }
        }
        row[new.len()]
    }

    fn apply(old: &[u8], new: &[u8], hunks: &[Hunk]) -> Vec<u8> {
        let mut out = old.to_vec();
        for hunk in hunks.iter().rev() {
            out.splice(hunk.old.clone(), new[hunk.new.clone()].iter().copied());
        }
        out
    }

    proptest! {
        #[test]
        fn hunks_turn_old_into_new_with_the_fewest_edits(
            old in prop::collection::vec(0u8..4, 0..24),
            new in prop::collection::vec(0u8..4, 0..24),
        ) {
            let hunks = run(&old, &new, 1000);
            prop_assert_eq!(apply(&old, &new, &hunks), new.clone());
            let edits: usize = hunks.iter().map(|hunk| hunk.old.len() + hunk.new.len()).sum();
            prop_assert_eq!(edits, old.len() + new.len() - 2 * common(&old, &new));
        }

        #[test]
        fn a_bounded_search_is_still_right(
            old in prop::collection::vec(0u8..4, 0..24),
            new in prop::collection::vec(0u8..4, 0..24),
            limit in 0usize..8,
        ) {
            prop_assert_eq!(apply(&old, &new, &run(&old, &new, limit)), new);
        }
    }

    #[test]
    fn equal_sequences_have_no_hunks() {
        assert_eq!(run(b"abc", b"abc", 1000), []);
        assert_eq!(run(b"", b"", 1000), []);
    }
}
