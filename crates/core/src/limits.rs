//! Every limit of the core, with its unit and its reason. Nothing that grows with what a peer sends is without one.

/// Largest sealed entry, header included, in bytes. A value may be 1 MiB and a change 4 MiB; a batch never needs more.
pub const ENTRY_BYTES: usize = 4 << 20;
/// Largest payload after inflation, in bytes: four times a sealed entry, so that a bomb gains little.
pub const PAYLOAD_BYTES: usize = 16 << 20;
/// Items in one entry. An import puts 256 documents into one.
pub const ENTRY_ITEMS: usize = 1024;
/// Positions in an entry's `deps`: one for each other journal that its documents build on.
pub const ENTRY_DEPS: usize = 1024;
/// Roster heads in an entry and parents of a roster operation. More concurrent administrators than this are merged first.
pub const ROSTER_HEADS: usize = 16;
/// A local batch closes at this many documents or bytes, so that an import makes entries of a good size for compression.
pub const BATCH_DOCUMENTS: usize = 256;
/// See [`BATCH_DOCUMENTS`]; bytes of edits.
pub const BATCH_BYTES: usize = 256 << 10;

/// Largest change chunk, in bytes (`security.md` section 5).
pub const CHANGE_BYTES: usize = 4 << 20;
/// Largest single value in a document, in bytes.
pub const VALUE_BYTES: usize = 1 << 20;

/// A space's, user's, device's or collection's name, in bytes of UTF-8.
pub const NAME_BYTES: usize = 256;
/// A document key in a keyed collection, in bytes of UTF-8.
pub const KEY_BYTES: usize = 1024;

/// Largest roster operation, in bytes: a key epoch wrapped for 500 devices.
pub const ROSTER_OP_BYTES: usize = 60 << 10;
/// Roster operations in a space. At one membership change a day this is 179 years; a hostile admin is stopped here.
pub const ROSTER_OPS: usize = 65_535;

/// Frame caps by class, in bytes (`network.md` 4.4).
pub const CTL_FRAME_BYTES: usize = 16 << 10;
/// See [`CTL_FRAME_BYTES`].
pub const LIVE_FRAME_BYTES: usize = 64 << 10;
/// See [`CTL_FRAME_BYTES`].
pub const BULK_FRAME_BYTES: usize = 64 << 10;

/// How far ahead of the local clock a remote hybrid time may pull ours, in milliseconds: 24 hours.
pub const CLOCK_AHEAD_MS: u64 = 24 * 60 * 60 * 1000;

// Documents and values.

/// Levels of maps and lists in a view or an encoded value, the root included: deep enough for any document that our own
/// [`EDIT_DEPTH`] allows, shallow enough that reading recursively is safe on any thread's stack. What a peer nests deeper
/// reads as null.
pub const VALUE_DEPTH: usize = 100;
/// Levels of maps and lists that a local edit may make, the root included. Below [`VALUE_DEPTH`], so that what is written
/// can be read.
pub const EDIT_DEPTH: usize = 64;
/// A key of a map in a document, in bytes of UTF-8.
pub const FIELD_KEY_BYTES: usize = 1024;
/// Operations in one local change; a pasted text is one operation a character (`security.md` section 5).
pub const EDIT_OPS: usize = 1_000_000;
/// Largest magnitude of a counter that is written and of one increment: what a JSON number holds exactly. Automerge adds them
/// up unchecked; from here it takes 1,024 to overflow.
pub const COUNTER_STEP: i64 = (1 << 53) - 1;
/// Largest operation counter in a document (`security.md` section 5). Reached after 2^31 keystrokes in one document.
pub const OP_COUNTER: u64 = 1 << 31;
/// Insertions plus deletions up to which a difference of two texts or lists is minimal. The search takes this many steps
/// for each element, and the square of it in memory (4 MiB); beyond it the changed middle is replaced as a whole.
pub const DIFF_EDITS: usize = 1024;
