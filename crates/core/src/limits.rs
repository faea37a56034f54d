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

// Roster, catalogue and tickets.

/// Largest device certificate, in bytes: its fixed fields and a name of [`NAME_BYTES`].
pub const CERTIFICATE_BYTES: usize = 1 + 32 * 3 + 4 + NAME_BYTES + 64 * 2;
/// Wraps in one key epoch: what fits into [`ROSTER_OP_BYTES`]. Further devices get the key by key shares.
pub const EPOCH_WRAPS: usize = 512;
/// Parent epochs of one key epoch: more concurrent epochs than roster heads cannot be seen at once.
pub const EPOCH_PARENTS: usize = ROSTER_HEADS;
/// Journals that one removal, revocation or demotion names: what fits into [`ROSTER_OP_BYTES`] at 104 bytes each.
pub const RETAINED_JOURNALS: usize = 512;
/// Devices that one user may ever add to a space, so that a single member cannot fill the roster with them.
pub const USER_DEVICES: usize = 64;
/// Operations of one device that is not an admin's: key shares and epochs for decades, an eighth of [`ROSTER_OPS`].
pub const ROSTER_OPS_NON_ADMIN: u64 = 8_192;
/// Evaluated roster states kept in memory. Entries cite few different heads at a time; each state holds every member once.
pub const ROSTER_STATES: usize = 16;
/// Body of a reserved roster operation, in bytes: what is left of [`ROSTER_OP_BYTES`] under the largest header.
pub const ROSTER_BODY_BYTES: usize = ROSTER_OP_BYTES - 1024;

/// Steps in a collection's schema: containers that keyed documents share. A hundred is a large record.
pub const SCHEMA_STEPS: usize = 256;
/// Keys in the path of a schema step.
pub const SCHEMA_DEPTH: usize = 16;
/// One key in the path of a schema step, in bytes of UTF-8.
pub const SCHEMA_KEY_BYTES: usize = 256;
/// An encoded collection definition, in bytes: fits a roster operation with room to spare.
pub const DEFINITION_BYTES: usize = 48 << 10;

/// A transport peer id in a ticket, in bytes: libp2p's are 38.
pub const PEER_ID_BYTES: usize = 64;
/// Addresses in a ticket: more would not fit a QR code that a phone reads.
pub const TICKET_ADDRESSES: usize = 16;
/// One address in a ticket, in bytes of its text.
pub const TICKET_ADDRESS_BYTES: usize = 256;
/// A pasted ticket, in characters, white space included; the longest possible one is under 8,000 without it.
pub const TICKET_TEXT_BYTES: usize = 16 << 10;
