//! A look at a page before redb follows it: bounds what a damaged page can make redb allocate.
//!
//! redb takes a child's size from the pointer to it, and allocates and zeroes that much before it reads. A pointer that rotted
//! may ask for 4 GiB, which ends the process on a phone, at every start anew. No page is larger than the file that holds it,
//! so a pointer that says so is damage, and is answered as such before redb sees it.
//!
//! ```text
//!   branch page (redb 4.6, `RawBranchBuilder`), little endian
//!   | type = 2 | - | keys: u16 | - 4 bytes | checksums: (keys + 1) x 16 | children: (keys + 1) x 8 | ...
//!   child: bits 59..64 order, and the page is 4096 << order bytes
//! ```
//!
//! Pointers in leaves, which are those to the roots of tables, are not looked at: telling them from values takes knowledge of
//! where the roots are. They are some 30 in a file of any size (`docs/decisions/010-damaged-files.md`).

/// redb's smallest page, in bytes.
const PAGE_BYTES: u64 = 4096;
/// The first byte of a branch page.
const BRANCH: u8 = 2;
/// Where a branch page's lists begin.
const LISTS_AT: usize = 8;
const CHECKSUM_BYTES: usize = 16;
const CHILD_BYTES: usize = 8;
const ORDER_SHIFT: u32 = 59;

/// Whether `page` is a branch page that names a child larger than a file of `file_bytes`. A page whose lists do not fit in it is
/// left to redb, which notices.
pub(crate) fn names_too_large_a_child(page: &[u8], file_bytes: u64) -> bool {
    let (Some(&BRANCH), Some(keys)) = (page.first(), page.get(2..4)) else { return false };
    let children = usize::from(u16::from_le_bytes([keys[0], keys[1]])) + 1;
    let from = LISTS_AT + children * CHECKSUM_BYTES;
    let Some(children) = page.get(from..from + children * CHILD_BYTES) else { return false };
    children.chunks_exact(CHILD_BYTES).any(|child| {
        let order = u32::from(child[CHILD_BYTES - 1]) >> (ORDER_SHIFT - 56);
        PAGE_BYTES << order > file_bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(orders: &[u64]) -> Vec<u8> {
        let mut page = vec![BRANCH, 0];
        page.extend(((orders.len() - 1) as u16).to_le_bytes());
        page.extend([0; 4]);
        page.extend(vec![0xff; orders.len() * CHECKSUM_BYTES]);
        page.extend(orders.iter().flat_map(|order| (order << ORDER_SHIFT | 7).to_le_bytes()));
        page.resize(4096, 0xff);
        page
    }

    #[test]
    fn a_child_may_be_as_large_as_the_file_and_no_larger() {
        assert!(!names_too_large_a_child(&branch(&[0, 3, 0]), 8 * PAGE_BYTES));
        assert!(names_too_large_a_child(&branch(&[0, 3, 0]), 8 * PAGE_BYTES - 1));
        assert!(names_too_large_a_child(&branch(&[31]), u64::from(u32::MAX)));
    }

    #[test]
    fn whatever_is_no_whole_branch_page_is_left_to_redb() {
        let mut leaf = branch(&[31]);
        leaf[0] = 1;
        assert!(!names_too_large_a_child(&leaf, PAGE_BYTES));
        let whole = branch(&[31]);
        for length in 0..LISTS_AT + CHECKSUM_BYTES + CHILD_BYTES {
            assert!(!names_too_large_a_child(&whole[..length], PAGE_BYTES), "{length}");
        }
    }
}
