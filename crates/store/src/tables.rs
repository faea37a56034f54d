//! All tables of the store: this file is the file format. Prose and assumptions: `docs/file-format.md`.
//!
//! ```text
//!  file     | header page | redb, encrypted: pages of 4096 bytes, copy-on-write B+trees ...
//!
//!  every value of every table:  | tag 16 | content |
//!                                 tag = first 16 bytes of keyed blake3(table number 1 | key length 1 | key | content)
//!
//!  no table         key (bytes)                                    content
//!   0 store         name 65                                        the store's own: schema, store, place, counters
//!   1 meta          name 65                                        the core's value
//!   2 spaces        space id 32                                    space no. 4, record present 1, record
//!   3 roster        space no. 4, n 4                               roster operation
//!   4 roster_seen   space no. 4, operation hash 32                 n 4
//!   5 collections   space no. 4, collection tag 16                 collection no. 4, documents with a view 8
//!   6 journals      space no. 4, journal id 64                     journal no. 4, present 1, held seq 8, held hash 32,
//!                                                                  applied 8, arrival 8, closed 1, fork seq 8,
//!                                                                  fork hash 32, roster heads that the last entry cites:
//!                                                                  count 2, 32 each; floor 8, if there is one
//!   7 entries       journal no. 4, seq 8, entry hash 32            sealed entry
//!   8 documents     collection no. 4, document id 16, generation 4 flags 1, document no. 8, tail length 4, record
//!   9 snapshots     document no. 8                                 Automerge snapshot
//!  10 tails         document no. 8, n 4                            Automerge change chunk
//!  11 views         document no. 8                                 view
//!  12 peers         space no. 4, device 32                         record
//!  13 invitations   ticket 16                                      record
//!  14 rejected      space no. 4, journal id 64, seq 8, hash 32     reason
//!  15 checkpoints   space no. 4, collection tag 16, slot 16        record
//!  16 parts         slot 16, n 4                                   sealed manifest or chunk of a checkpoint
//! ```
//!
//! Integers are big-endian, so that keys sort as numbers do. A name is its length in one byte and 64 bytes, filled with zeros.
//! Numbers (`no.`) are given out in order from 0 and never again, from the row `counters` of `store`: space, collection,
//! journal, document. They keep keys small, and rows of one import lie side by side however random the document ids are:
//! with 16-byte ids instead of numbers an import writes three random leaves a document instead of one.
//!
//! Document flags: 1 = has a view, 2 = has a snapshot; others must be zero. A row of `documents` is one life of a document;
//! the greatest generation is the present one, and the only one that may have a view. Former lives stay, because changes of
//! them may still come and are judged by them.

use redb::TableDefinition;

/// The version of this layout. A change of any table raises it and adds a step to `migrate.rs`.
pub(crate) const SCHEMA: u32 = 2;

/// A table of tagged values with keys of `N` bytes.
#[derive(Debug)]
pub(crate) struct TableSpec<const N: usize> {
    /// Bound into every tag: a value moved between tables does not verify.
    pub(crate) number: u8,
    /// redb's name.
    pub(crate) name: &'static str,
}

/// redb's view of a table.
pub(crate) type Definition<const N: usize> = TableDefinition<'static, &'static [u8; N], &'static [u8]>;

impl<const N: usize> TableSpec<N> {
    const fn new(number: u8, name: &'static str) -> Self {
        TableSpec { number, name }
    }

    /// The redb definition.
    pub(crate) const fn definition(&self) -> Definition<N> {
        TableDefinition::new(self.name)
    }
}

/// Longest name in `meta` and `store`, in bytes: fixed names of ours, of one or two words.
pub const META_NAME_BYTES: usize = 64;
/// Bytes of a name as a key.
pub(crate) const NAME: usize = 1 + META_NAME_BYTES;

pub(crate) const STORE: TableSpec<NAME> = TableSpec::new(0, "store");
pub(crate) const META: TableSpec<NAME> = TableSpec::new(1, "meta");
pub(crate) const SPACES: TableSpec<32> = TableSpec::new(2, "spaces");
pub(crate) const ROSTER: TableSpec<8> = TableSpec::new(3, "roster");
pub(crate) const ROSTER_SEEN: TableSpec<36> = TableSpec::new(4, "roster_seen");
pub(crate) const COLLECTIONS: TableSpec<20> = TableSpec::new(5, "collections");
pub(crate) const JOURNALS: TableSpec<68> = TableSpec::new(6, "journals");
pub(crate) const ENTRIES: TableSpec<44> = TableSpec::new(7, "entries");
pub(crate) const DOCUMENTS: TableSpec<24> = TableSpec::new(8, "documents");
pub(crate) const SNAPSHOTS: TableSpec<8> = TableSpec::new(9, "snapshots");
pub(crate) const TAILS: TableSpec<12> = TableSpec::new(10, "tails");
pub(crate) const VIEWS: TableSpec<8> = TableSpec::new(11, "views");
pub(crate) const PEERS: TableSpec<36> = TableSpec::new(12, "peers");
pub(crate) const INVITATIONS: TableSpec<16> = TableSpec::new(13, "invitations");
pub(crate) const REJECTED: TableSpec<108> = TableSpec::new(14, "rejected");
pub(crate) const CHECKPOINTS: TableSpec<36> = TableSpec::new(15, "checkpoints");
pub(crate) const PARTS: TableSpec<20> = TableSpec::new(16, "parts");

/// The names of all tables.
pub(crate) const NAMES: [&str; 17] = [
    STORE.name,
    META.name,
    SPACES.name,
    ROSTER.name,
    ROSTER_SEEN.name,
    COLLECTIONS.name,
    JOURNALS.name,
    ENTRIES.name,
    DOCUMENTS.name,
    SNAPSHOTS.name,
    TAILS.name,
    VIEWS.name,
    PEERS.name,
    INVITATIONS.name,
    REJECTED.name,
    CHECKPOINTS.name,
    PARTS.name,
];

/// Rows of `store`.
pub(crate) mod row {
    /// Schema version, 4 bytes. Its place and form stay the same in every version.
    pub(crate) const SCHEMA: &str = "schema";
    /// Store id, 16 bytes, the same as in the header page.
    pub(crate) const STORE: &str = "store";
    /// Where the file was when its identity was last accepted.
    pub(crate) const PLACE: &str = "place";
    /// Next numbers.
    pub(crate) const COUNTERS: &str = "counters";
}

/// Joins the parts of a key. The lengths of the parts must add up to `N`, which every caller below does by its types.
fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let mut at = 0;
    for part in parts {
        out[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    debug_assert_eq!(at, N);
    out
}

/// Keys, by table.
pub(crate) mod key {
    use farshore_core::batch::Slot;
    use farshore_core::id::{CollectionTag, DeviceId, DocumentId, EntryHash, JournalId, OpHash, Position, SpaceId};

    use super::{META_NAME_BYTES, NAME, join};

    /// A name; `None` when it is too long.
    pub(crate) fn name(text: &str) -> Option<[u8; NAME]> {
        let length = u8::try_from(text.len()).ok().filter(|length| usize::from(*length) <= META_NAME_BYTES)?;
        let mut out = [0; NAME];
        out[0] = length;
        out[1..1 + text.len()].copy_from_slice(text.as_bytes());
        Some(out)
    }

    /// The name in a key; `None` when it is none.
    pub(crate) fn read_name(key: &[u8; NAME]) -> Option<&str> {
        std::str::from_utf8(key.get(1..1 + usize::from(key[0]))?).ok()
    }

    pub(crate) fn roster(space: u32, n: u32) -> [u8; 8] {
        join(&[&space.to_be_bytes(), &n.to_be_bytes()])
    }

    pub(crate) fn roster_seen(space: u32, hash: &OpHash) -> [u8; 36] {
        join(&[&space.to_be_bytes(), &hash.0])
    }

    pub(crate) fn collection(space: u32, tag: &CollectionTag) -> [u8; 20] {
        join(&[&space.to_be_bytes(), &tag.0])
    }

    pub(crate) fn journal(space: u32, journal: &JournalId) -> [u8; 68] {
        join(&[&space.to_be_bytes(), &journal.to_bytes()])
    }

    pub(crate) fn entry(journal: u32, position: &Position) -> [u8; 44] {
        join(&[&journal.to_be_bytes(), &position.seq.to_be_bytes(), &position.hash.0])
    }

    pub(crate) fn document(collection: u32, document: &DocumentId, generation: u32) -> [u8; 24] {
        join(&[&collection.to_be_bytes(), &document.0, &generation.to_be_bytes()])
    }

    /// First and last possible key of a document's lives.
    pub(crate) fn lives(collection: u32, document: &DocumentId) -> ([u8; 24], [u8; 24]) {
        (self::document(collection, document, 0), self::document(collection, document, u32::MAX))
    }

    pub(crate) fn tail(document: u64, n: u32) -> [u8; 12] {
        join(&[&document.to_be_bytes(), &n.to_be_bytes()])
    }

    pub(crate) fn peer(space: u32, device: &DeviceId) -> [u8; 36] {
        join(&[&space.to_be_bytes(), &device.0])
    }

    pub(crate) fn rejected(space: u32, journal: &JournalId, position: &Position) -> [u8; 108] {
        join(&[&space.to_be_bytes(), &journal.to_bytes(), &position.seq.to_be_bytes(), &position.hash.0])
    }

    pub(crate) fn checkpoint(space: u32, tag: &CollectionTag, slot: &Slot) -> [u8; 36] {
        join(&[&space.to_be_bytes(), &tag.0, slot])
    }

    pub(crate) fn part_of(slot: &Slot, n: u32) -> [u8; 20] {
        join(&[slot, &n.to_be_bytes()])
    }

    /// The part of a key from `at` on, of `M` bytes. A constant slice of a fixed array: it always fits.
    pub(crate) fn part<const M: usize, const N: usize>(key: &[u8; N], at: usize) -> [u8; M] {
        let mut out = [0; M];
        out.copy_from_slice(&key[at..at + M]);
        out
    }

    /// The place that an entry's key names.
    pub(crate) fn read_position(key: &[u8; 44]) -> Position {
        Position { seq: u64::from_be_bytes(part(key, 4)), hash: EntryHash(part(key, 12)) }
    }

    /// The journal and place that a rejected item's key names.
    pub(crate) fn read_rejected(key: &[u8; 108]) -> (JournalId, Position) {
        let position = Position { seq: u64::from_be_bytes(part(key, 68)), hash: EntryHash(part(key, 76)) };
        (JournalId::from_bytes(&part(key, 4)), position)
    }

    /// The journal that a journal's key names.
    pub(crate) fn read_journal(key: &[u8; 68]) -> JournalId {
        JournalId::from_bytes(&part(key, 4))
    }

    /// First and last possible key that begin with `prefix`.
    pub(crate) fn range<const N: usize>(prefix: &[u8]) -> ([u8; N], [u8; N]) {
        let (mut first, mut last) = ([0; N], [0xff; N]);
        first[..prefix.len()].copy_from_slice(prefix);
        last[..prefix.len()].copy_from_slice(prefix);
        (first, last)
    }

    /// The space that a `spaces` key names.
    pub(crate) fn read_space(key: &[u8; 32]) -> SpaceId {
        SpaceId(*key)
    }
}
