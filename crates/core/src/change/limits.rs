//! Limits of a single Automerge change. [`crate::limits`] has the two that the rest of the core needs as well.

/// Largest change chunk, in bytes.
pub use crate::limits::CHANGE_BYTES;
/// Largest single value, in bytes.
pub use crate::limits::VALUE_BYTES;

/// Operations in one change. A pasted text of 24,000 characters is 24,001; a run-length column can claim 2^63 in ten bytes.
pub const CHANGE_OPS: u64 = 1_000_000;
/// Predecessors in one change, over all its operations: two for each operation at the cap, so that a mass edit of
/// conflicting values still fits.
pub const CHANGE_PREDS: u64 = 2 * CHANGE_OPS;
/// Exclusive upper bound of an operation's counter. Automerge keeps counters in 32 bits, some of them signed.
pub const OP_COUNTER: u64 = 1 << 31;
/// How far a change may start beyond the largest operation of its ancestors. Editing at old heads leaves such gaps; without
/// a bound one change could use up [`OP_COUNTER`] and no one could ever edit the document again. With this one it takes as
/// many changes as it would take to use it up honestly.
pub const OP_GAP: u64 = CHANGE_OPS;
/// Changes by one actor. Automerge keeps the number in 32 bits.
pub const SEQ: u64 = OP_COUNTER;
/// Dependencies of one change: one for each branch that its author merged.
pub const CHANGE_DEPS: u64 = 4096;
/// Other actors that one change refers to: clearing a list may refer to everybody who ever wrote into it.
pub const OTHER_ACTORS: u64 = 16_384;
/// Longest actor id, in bytes. Derived actors have 16; foreign ones (carried by a gateway) may have more.
pub const ACTOR_BYTES: u64 = 64;
/// Longest commit message, in bytes of UTF-8.
pub const MESSAGE_BYTES: u64 = 4096;
/// Longest key of a map or name of a mark, in bytes of UTF-8. Every index and view repeats it.
pub const KEY_BYTES: u64 = 64 << 10;
/// Latest claimed time, in whichever unit: the end of the year 9999 in milliseconds. Earliest: 0.
pub const TIME: i64 = 253_402_300_799_999;
/// Largest magnitude of a counter's first value and of one increment: what a JSON number holds exactly. Automerge adds them
/// up unchecked; from here it takes 1,024 to overflow.
pub const COUNTER: i64 = (1 << 53) - 1;
/// How deep objects may stand inside one another; the root is 0. Automerge and everything after it (values, patches, views,
/// JSON) go down by recursion, and a stack that overflows ends the process. 128 is where `serde_json` stops, too.
pub const DEPTH: u32 = 128;
