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
//!
//!   leaf page of the tree of tables (`LeafAccessor`, `InternalTableDefinition`)
//!   | type = 1 | - | pairs: u16 | ends of keys: pairs x u32 | ends of values: pairs x u32 | keys: names | values
//!   value: | type | rows: u64 | has a root: u8 | root: 8, as a child | ...
//! ```
//!
//! Leaves of other trees hold no pointers that redb follows by their size. A leaf is taken for one of the tree of tables if most
//! of its keys are names of tables: no other leaf has keys without a fixed length.

use crate::tables::NAMES;

/// redb's smallest page, in bytes.
const PAGE_BYTES: u64 = 4096;
/// The first byte of a branch page.
const BRANCH: u8 = 2;
/// Where a branch page's lists begin.
const LISTS_AT: usize = 8;
const CHECKSUM_BYTES: usize = 16;
const CHILD_BYTES: usize = 8;
const ORDER_SHIFT: u32 = 59;
/// The first byte of a leaf page, and where its lists begin.
const LEAF: u8 = 1;
const ENDS_AT: usize = 4;
/// Where a table's definition says whether it has a root, and the root.
const HAS_ROOT_AT: usize = 9;
const ROOT_AT: usize = 10;
/// redb's own tables.
const REDB_TABLES: [&str; 6] = [
    "allocator_state",
    "data_pages_allocated",
    "data_pages_unreachable",
    "next_savepoint_id",
    "persistent_savepoints",
    "system_pages_unreachable",
];

/// Whether `page` names a page larger than a file of `file_bytes`: as a branch a child, or as a leaf of the tree of tables the root
/// of a table. A page whose lists do not fit in it is left to redb, which notices.
pub(crate) fn names_too_large_a_page(page: &[u8], file_bytes: u64) -> bool {
    let too_large = |pointer: &[u8]| {
        let order = pointer.get(CHILD_BYTES - 1).map_or(0, |last| u32::from(*last) >> (ORDER_SHIFT - 56));
        PAGE_BYTES << order > file_bytes
    };
    let Some(count) = page.get(2..4).map(|count| usize::from(u16::from_le_bytes([count[0], count[1]]))) else {
        return false;
    };
    match page.first() {
        Some(&BRANCH) => children(page, count + 1).is_some_and(|mut children| children.any(too_large)),
        Some(&LEAF) => roots(page, count).into_iter().any(too_large),
        _ => false,
    }
}

fn children(page: &[u8], count: usize) -> Option<impl Iterator<Item = &[u8]>> {
    let from = LISTS_AT + count * CHECKSUM_BYTES;
    Some(page.get(from..from + count * CHILD_BYTES)?.chunks_exact(CHILD_BYTES))
}

/// The roots that a leaf of the tree of tables names; none if the page is another leaf.
fn roots(page: &[u8], pairs: usize) -> Vec<&[u8]> {
    let end = |index: usize| {
        let at = ENDS_AT + index * 4;
        page.get(at..at + 4).map(|end| u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize)
    };
    let keys_at = ENDS_AT + pairs * 8;
    // The ends of keys come first, then those of values; what each begins at is the end before it.
    let part = |index: usize| {
        let from = if index == 0 { Some(keys_at) } else { end(index - 1) };
        page.get(from?..end(index)?)
    };
    let known = (0..pairs).filter(|index| part(*index).is_some_and(is_table)).count();
    if known * 2 <= pairs {
        return Vec::new();
    }
    let definitions = (pairs..pairs * 2).filter_map(part);
    let rooted = definitions.filter(|definition| definition.get(HAS_ROOT_AT).is_some_and(|has| *has != 0));
    rooted.filter_map(|definition| definition.get(ROOT_AT..ROOT_AT + CHILD_BYTES)).collect()
}

fn is_table(name: &[u8]) -> bool {
    NAMES.iter().chain(&REDB_TABLES).any(|known| known.as_bytes() == name)
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
        assert!(!names_too_large_a_page(&branch(&[0, 3, 0]), 8 * PAGE_BYTES));
        assert!(names_too_large_a_page(&branch(&[0, 3, 0]), 8 * PAGE_BYTES - 1));
        assert!(names_too_large_a_page(&branch(&[31]), u64::from(u32::MAX)));
    }

    /// A leaf with these keys, each with a definition whose root has this order.
    fn leaf(keys: &[&str], order: u64) -> Vec<u8> {
        let definition = || {
            let mut value = vec![3, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            value.extend((order << ORDER_SHIFT | 7).to_le_bytes());
            value.resize(60, 0xff);
            value
        };
        let parts = keys.iter().map(|key| key.as_bytes().to_vec()).chain(keys.iter().map(|_| definition()));
        let parts: Vec<Vec<u8>> = parts.collect();
        let mut page = vec![LEAF, 0];
        page.extend((keys.len() as u16).to_le_bytes());
        let mut end = ENDS_AT + keys.len() * 8;
        for part in &parts {
            end += part.len();
            page.extend((end as u32).to_le_bytes());
        }
        page.extend(parts.concat());
        page.resize(4096, 0xff);
        page
    }

    #[test]
    fn the_root_of_a_table_may_be_as_large_as_the_file_and_no_larger() {
        for names in [&["entries", "views"][..], &["allocator_state"], &["entries", "damaged", "views"]] {
            assert!(!names_too_large_a_page(&leaf(names, 3), 8 * PAGE_BYTES));
            assert!(names_too_large_a_page(&leaf(names, 3), 8 * PAGE_BYTES - 1), "{names:?}");
        }
        assert!(!names_too_large_a_page(&leaf(&["a row", "another"], 31), PAGE_BYTES), "a value is no pointer");
        let whole = leaf(&["entries"], 31);
        for length in 0..ENDS_AT + 8 + "entries".len() {
            assert!(!names_too_large_a_page(&whole[..length], PAGE_BYTES), "{length}");
        }
    }

    #[test]
    fn whatever_is_no_whole_branch_page_is_left_to_redb() {
        let mut leaf = branch(&[31]);
        leaf[0] = 1;
        assert!(!names_too_large_a_page(&leaf, PAGE_BYTES));
        let whole = branch(&[31]);
        for length in 0..LISTS_AT + CHECKSUM_BYTES + CHILD_BYTES {
            assert!(!names_too_large_a_page(&whole[..length], PAGE_BYTES), "{length}");
        }
    }
}
