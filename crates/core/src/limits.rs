//! Every limit of the core, with its unit and its reason. Nothing that grows with what a peer sends is without one.

/// Largest sealed entry, header included, in bytes. A value may be 1 MiB and a change 4 MiB; a batch never needs more.
pub const ENTRY_BYTES: usize = 4 << 20;
/// Largest payload after inflation, in bytes: four times a sealed entry, so that a bomb gains little.
pub const PAYLOAD_BYTES: usize = 16 << 20;
/// Items in one entry. An import puts 256 documents into one.
pub const ENTRY_ITEMS: usize = 1024;
/// Positions in an entry's `deps`: one for each other journal that its documents build on.
pub const ENTRY_DEPS: usize = 1024;
/// Bytes in an entry's header for fields that newer versions add: a few positions and hashes.
pub const ENTRY_EXTENSION_BYTES: usize = 4 << 10;
/// Roster heads in an entry and parents of a roster operation. More concurrent administrators than this are merged first.
pub const ROSTER_HEADS: usize = 16;
/// A local batch closes at this many documents or bytes, so that an import makes entries of a good size for compression.
pub const BATCH_DOCUMENTS: usize = 256;
/// See [`BATCH_DOCUMENTS`]; bytes of edits.
pub const BATCH_BYTES: usize = 256 << 10;

/// Largest change chunk, in bytes (`docs/protocol.md`, section 21).
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
/// Bytes of the roster that a joiner keeps in memory until it has all of it: 1,000 epochs of a space of 500 devices.
pub const GRANT_BYTES: usize = 64 << 20;

/// Frame caps by class, in bytes (`docs/protocol.md`, section 21).
pub const CTL_FRAME_BYTES: usize = 16 << 10;
/// See [`CTL_FRAME_BYTES`].
pub const LIVE_FRAME_BYTES: usize = 64 << 10;
/// See [`CTL_FRAME_BYTES`].
pub const BULK_FRAME_BYTES: usize = 64 << 10;

/// How far ahead of the local clock a remote hybrid time may pull ours, in milliseconds: 24 hours.
pub const CLOCK_AHEAD_MS: u64 = 24 * 60 * 60 * 1000;

/// Changes in one item: what a fast typist makes in hours; longer histories are split over entries.
pub const ITEM_CHANGES: usize = 8192;
/// Heads that a tombstone names: concurrent branches of one document.
pub const TOMBSTONE_HEADS: usize = 1024;

/// Tags in one `Spaces` frame: what fits the ctl cap with room. A device offers its spaces, nine epochs each at most.
pub const SPACE_TAGS: usize = 1000;
/// Positions, ranges, receipts and roster positions in one frame: what fits the ctl cap.
pub const FRAME_POSITIONS: usize = 150;
/// See [`FRAME_POSITIONS`]; of ranges without a branch.
pub const FRAME_RANGES: usize = 190;
/// Entries that a link may have been asked for by hash and not yet sent, and places of one frontier that are compared with the
/// store: forks are rare, and what is left out is found at another meeting.
pub const FORK_CHECKS: usize = 64;
/// See [`FRAME_POSITIONS`].
pub const FRAME_RECEIPTS: usize = 200;
/// See [`FRAME_POSITIONS`].
pub const FRAME_ROSTER_POSITIONS: usize = 200;
/// Rules by which one device chooses among the collections of a space: more than a person keeps in mind, and prefixes stand for
/// any number of collections.
pub const SUBSCRIPTIONS: usize = 256;
/// Collections in one `Scope` frame: what fits the ctl cap at 17 bytes each.
pub const FRAME_SCOPES: usize = 900;
/// Collections that one side of a link may name in its scope: each takes a roster operation, so that there are no more.
pub const SCOPE_TAGS: usize = ROSTER_OPS;
/// A scope is said again on a link at most this often, in milliseconds: an app that creates many collections is told of once.
pub const SCOPE_MS: u64 = 1_000;
/// Scopes that a peer may say within [`SCOPES_HEARD_MS`]: twice what an honest one says. Each costs a comparison.
pub const SCOPES_HEARD: u32 = 120;
/// See [`SCOPES_HEARD`]; in milliseconds.
pub const SCOPES_HEARD_MS: u64 = 60_000;
/// Collections up to which a peer's scope is kept with what is known of it, 17 bytes each; a larger one is told anew.
pub const SCOPES_REMEMBERED: usize = 1_024;
/// Cursors kept of one peer's store, one for each agreement on what is compared: people go back and forth between a few.
pub const CURSORS: usize = 4;
/// A reason for a person, in bytes.
pub const REASON_BYTES: usize = 512;
/// Largest device certificate, in bytes: its fixed fields and a name of [`NAME_BYTES`].
pub const CERTIFICATE_BYTES: usize = 1 + 32 * 3 + 4 + NAME_BYTES + 64 * 2;
/// Bytes of entries that a peer may send before the first credit comes back, by class. Bulk is what keeps a fast link busy over
/// the time of a commit; both bound what an edit waits behind.
pub const LIVE_WINDOW_BYTES: u32 = 256 << 10;
/// See [`LIVE_WINDOW_BYTES`].
pub const BULK_WINDOW_BYTES: u32 = 1 << 20;
/// Journals of which a side of a stream remembers the last entry that went, 136 bytes each: as many as people type at a time.
pub const NEXT_JOURNALS: usize = 16;
/// Portions of a window in which credit is given back. Four: a sender that waits for credit waits for a quarter of the window at
/// most, and small edits need one frame of credit for hundreds of them.
pub const CREDIT_PORTIONS: u64 = 4;
/// Journals of one space on one device: 104 bytes each in memory several times over. A member who opens more is refused.
pub const JOURNALS: usize = 100_000;
/// Sealed bytes of recent entries kept in memory for passing on.
pub const RECENT_BYTES: usize = 8 << 20;
/// Decoded payload bytes that wait in memory to be applied, by space, and that one open job gives (and one entry more); more is
/// read again from the store.
pub const OPENED_BYTES: usize = 16 << 20;
/// Automerge documents kept in memory, in bytes as estimated.
pub const CACHE_BYTES: usize = 64 << 20;
/// New documents that one job leaves in memory; if it made more, none: they come from an import or a first sync, and a later edit
/// of one costs a load of 50 us.
pub const NEW_DOCUMENTS_KEPT: usize = 64;
/// One application to documents takes at most this many payload bytes (and one entry more), so that local edits get their turn
/// within some 100 ms: about 1,000 small documents, or thousands of changes of one, which is as good as more.
pub const APPLY_BYTES: usize = 256 << 10;
/// An entry up to this many bytes, sealed, or of payload, is what a person writes at a time, and not part of an import.
pub const SMALL_ENTRY_BYTES: usize = 4 << 10;
/// Operations of a document up to which work on it takes some 100 us: a record, a note.
pub const SMALL_DOCUMENT_OPS: u64 = 1_000;
/// Edits in one request up to which it is a person's.
pub const FEW_EDITS: usize = 16;
/// How long a space counts as lively after a small edit or entry, in milliseconds: longer than a pause in typing.
pub const LIVELY_MS: u64 = 2_000;
/// Payload bytes of one application in a lively space (and one entry more): small ones only, or one large.
pub const LIVELY_APPLY_BYTES: usize = 16 << 10;
/// How long large entries rest in a lively space, in times of what applying the last took: then eight of nine small ones find the
/// collection idle, and a flood is shown at a ninth of the speed while somebody writes. With four, the median edit beside a flood
/// took 1.9 to 3.0 times as long as in calm on two cores, with eight 0.9 to 1.2 times (docs/benchmarks.md).
pub const BULK_REST_TIMES: u64 = 8;
/// Payload bytes that wait in memory to be applied, of small entries beyond [`OPENED_BYTES`]: thousands of them.
pub const SMALL_RESERVE_BYTES: usize = 1 << 20;
/// Operations from which a document rests after others' entries were applied to it: an application to fewer takes some 3 ms,
/// which is not worth holding up a journal for.
pub const LARGE_DOCUMENT_OPS: u64 = 10_000;
/// Changes of others that are made again as their authors did, rather than applied in one call, per so many operations that the
/// document has: from there on it costs less, by `take_a_keystroke_into_a_text` of benches/benches/parts.rs.
pub const REPLAY_PER_OPS: u64 = 800;
/// See [`REPLAY_PER_OPS`]; and at most so many at a time: one application to a text of 100,000 operations costs as much.
pub const REPLAY_CHANGES: u64 = 32;
/// Operations of those changes: each deleted character is sought by itself.
pub const REPLAY_OPS: usize = 256;
/// How long a large document rests, in times of what the application took: it takes a fifth of a core at most.
pub const REST_TIMES: u64 = 4;
/// The longest rest, in milliseconds: what a clock that jumps, or a machine that slept, may cost.
pub const REST_MS: u64 = 10_000;
/// A small live batch is stored and applied in one commit up to this many bytes.
pub const ONE_COMMIT_BYTES: usize = 64 << 10;
/// Edits waiting in one collection for their entry; an app that asks for more in one request is refused.
pub const EDITS_PER_REQUEST: usize = 100_000;
/// Links at once; the transport allows 128 connections.
pub const LINKS: usize = 128;
/// Others' entries over this size are announced before they are sent, so that a mesh does not multiply traffic, in bytes.
pub const ANNOUNCE_BYTES: usize = 1024;
/// Entries that a peer has from elsewhere are announced to it after this time, in milliseconds, unless it has shown that it holds
/// them: as long as an edit may be late once when the other way fails. A frame about all journals then costs a tenth of theirs.
pub const HOLD_BACK_MS: u64 = 4_000;
/// A peer that had to ask for what was held back is sent that author's entries at once for so long, in milliseconds.
pub const EAGER_MS: u64 = 60_000;
/// An authenticated stranger (no shared space, no invitation taken up) may send this many ctl bytes, then is disconnected.
pub const STRANGER_BYTES: usize = 4 << 10;
/// A hello must be proved within this time, in milliseconds.
pub const HELLO_MS: u64 = 10_000;
/// Open invitations on one device.
pub const INVITATIONS: usize = 64;
/// Peers' cursors are saved at most this often, in milliseconds: losing one costs bytes, never data.
pub const SAVE_PEERS_MS: u64 = 1_000;
/// Heads and tombstone places of one document in a checkpoint: of a collection where one has more, none is made.
pub const RECORD_HEADS: usize = 4096;
/// Operations in one life of a document, beyond which no local edit is taken: four of the largest changes, or what one person
/// types in ten years. Merges may exceed it, and every member then finds the document oversize.
pub const DOCUMENT_OPS: u64 = 4_000_000;
/// The same in bytes of its changes, uncompressed: a document is loaded whole, at up to ten times this in memory.
pub const DOCUMENT_BYTES: u64 = 32 << 20;
/// Oversize documents that a space's status names; those beyond are refused edits all the same.
pub const OVERSIZE_LISTED: usize = 1024;
/// A document's tail of changes is compacted when it passes this many bytes and twice its snapshot.
pub const COMPACT_BYTES: u64 = 16 << 10;
/// One document's edits in one request, in bytes: they must fit a sealed entry.
pub const EDIT_BYTES: usize = 3 << 20;
/// Peers in one `Peers` frame; with the limits below a frame stays under the ctl cap only if most are short, so the sender counts.
pub const FRAME_PEERS: usize = 64;
/// A libp2p peer id, in bytes: 38 for Ed25519.
pub const PEER_ID_BYTES: usize = 64;
/// Addresses kept of one peer.
pub const PEER_ADDRESSES: usize = 8;
/// One multiaddr, in bytes of text.
pub const ADDRESS_BYTES: usize = 256;
/// Batches of one collection's local edits that may be on their way to the disk: one being committed, one being made. More would
/// only make entries smaller.
pub const WRITES_IN_FLIGHT: usize = 2;
/// Entries that one open job takes, so that the next can start while it runs.
pub const OPEN_ENTRIES: usize = 64;
/// Sealed bytes of large entries in one open job (and one entry more): some milliseconds, so that small ones get their turn.
pub const OPEN_BYTES: usize = 64 << 10;
/// An outstanding question is put to another peer that offers the same after this time without an entry, in milliseconds: long
/// enough for a slow link, and no peer can hold up a journal by offering what it does not have.
pub const ASK_MS: u64 = 30_000;
/// Roster bytes that one peer is sent over the life of a link beyond [`ROSTER_ANSWER_TIMES`] the whole roster.
pub const ROSTER_ANSWER_BYTES: usize = 1 << 20;
/// See [`ROSTER_ANSWER_BYTES`]: an honest peer asks for what it lacks, so for all of it once, and a little again.
pub const ROSTER_ANSWER_TIMES: usize = 4;
/// Bytes of frontiers that one peer can make this device send within [`FRONTIER_BUDGET_MS`], beyond
/// [`FRONTIER_BUDGET_TIMES`] its whole frontier: a state of 150 bytes asks for up to 10 MB.
pub const FRONTIER_BUDGET_BYTES: usize = 4 << 20;
/// See [`FRONTIER_BUDGET_BYTES`].
pub const FRONTIER_BUDGET_TIMES: usize = 16;
/// See [`FRONTIER_BUDGET_BYTES`]; in milliseconds.
pub const FRONTIER_BUDGET_MS: u64 = 60_000;
/// Journals below one place of the hash tree of journals up to which they are listed rather than divided: sixteen positions
/// cost little more than one more level of digests, and save a message.
pub const TREE_BUCKET: usize = 16;
/// Places in one `Tree` frame: what fits the ctl cap at 266 bytes each.
pub const FRAME_PLACES: usize = 60;
/// Places whose digests one message of the hash tree's comparison holds, 270 kB; where more differ their journals are listed.
pub const TREE_PLACES: usize = 1024;
/// Places that are settled by listing their journals; if there are more, all journals are listed.
pub const TREE_SETTLED: usize = 4096;
/// Entries of a space of which a cut left the first part here, kept in memory so that the rest is asked for: at most 16 MiB. A
/// link carries one such entry at a time, and the longest are kept.
pub const PARTIAL_ENTRIES: usize = 4;
/// Entries whose rest one link may be asked for over its life and be excused for sending when it came from elsewhere.
pub const RESTS_ASKED: usize = 64;
/// Rounds of roster exchange on one link; two suffice unless somebody adds operations meanwhile.
pub const ROSTER_ROUNDS: u8 = 16;
/// Roster bytes sent in one round of the exchange; what does not fit goes in the next.
pub const ROSTER_ROUND_BYTES: usize = 512 << 10;

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
/// Operations in one local change; a pasted text is one operation a character.
pub const EDIT_OPS: usize = 1_000_000;
/// Largest magnitude of a counter that is written and of one increment: what a JSON number holds exactly. Automerge adds them
/// up unchecked; from here it takes 1,024 to overflow.
pub const COUNTER_STEP: i64 = (1 << 53) - 1;
/// Largest operation counter in a document (`docs/protocol.md`, section 21). Reached after 2^31 keystrokes in one document.
pub const OP_COUNTER: u64 = 1 << 31;
/// Insertions plus deletions up to which a difference of two texts or lists is minimal. The search takes this many steps
/// for each element, and the square of it in memory (4 MiB); beyond it the changed middle is replaced as a whole.
pub const DIFF_EDITS: usize = 1024;

// Roster, catalogue and tickets.

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

/// Addresses in a ticket: more would not fit a QR code that a phone reads.
pub const TICKET_ADDRESSES: usize = 16;
/// One address in a ticket, in bytes of its text.
pub const TICKET_ADDRESS_BYTES: usize = 256;
/// A pasted ticket, in characters, white space included; the longest possible one is under 8,000 without it.
pub const TICKET_TEXT_BYTES: usize = 16 << 10;
/// Entries of one journal whose sizes progress looks up one by one; of more the bytes are estimated. It is taken stock of ten
/// times a second, and a person needs no more precision.
pub const PROGRESS_COUNTED_ENTRIES: u64 = 64;
/// While a peer is being caught up with, a journal's receipt is sent at its end and each time this many entries are durable.
pub const RECEIPT_ENTRIES: u64 = 16;

// Checkpoints.

/// Journals that a checkpoint closes: their closing headers, 400 bytes each in a small space, must fit one manifest.
pub const CHECKPOINT_JOURNALS: usize = 8192;
/// Largest manifest, in bytes: as an entry, so that it obeys the same credit.
pub const MANIFEST_BYTES: usize = ENTRY_BYTES;
/// A manifest's head, in bytes: its fixed fields and [`ROSTER_HEADS`] hashes, with a little room for newer versions.
pub const MANIFEST_HEAD_BYTES: usize = 1024;
/// Chunks of a checkpoint: 16 GiB at [`CHUNK_BYTES`] each, and 36 bytes each in the manifest.
pub const CHECKPOINT_CHUNKS: usize = 65_536;
/// A chunk closes at this many bytes, before they are deflated: a second document costs no chunk of its own, and a cut loses little.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Largest chunk, sealed, in bytes: as an entry, because one change may fill an entry.
pub const SEALED_CHUNK_BYTES: usize = ENTRY_BYTES;
/// Segments in one chunk: documents of the smallest size.
pub const CHUNK_SEGMENTS: usize = 8192;
/// Lives of documents in one checkpoint: 300 bytes each in memory while it is made.
pub const CHECKPOINT_LIVES: usize = 250_000;
/// Runs of changes in one checkpoint, each from one entry's item: 48 bytes each in memory while it is made.
pub const CHECKPOINT_RUNS: usize = 4_000_000;
/// Attestations that are kept and sent with a checkpoint; one or two suffice.
pub const ATTESTATIONS: usize = 8;
/// Checkpoints that one peer may offer in one space, and that it is offered at a meeting: collections worth one are few.
pub const OFFERS: usize = 64;
/// Bytes of entries that one step of a survey takes, and of changes that one step of packing takes: so that other work gets its turn.
pub const SURVEY_BYTES: usize = 1 << 20;
/// A checkpoint is made without being asked for when the entries since the last one pass this many bytes: what a newcomer takes in
/// well under a second is no reason to make one.
pub const CHECKPOINT_BYTES: u64 = 16 << 20;
/// See [`CHECKPOINT_BYTES`]; and this many times the last one, so that making them costs a fraction of writing what they stand for.
pub const CHECKPOINT_TIMES: u64 = 4;
/// A checkpoint is not made without being asked for where entries are larger than this on average, in bytes: it holds every change that they
/// hold, so that it would save little but their headers, take as much disk once more, and show a newcomer nothing until all of it is there.
pub const CHECKPOINT_ENTRY_BYTES: u64 = 8 << 10;
/// Whether a checkpoint is due is looked at each time this many bytes of entries came.
pub const CHECKPOINT_LOOK_BYTES: u64 = 1 << 20;
/// Fewest bytes of an entry: what entries are counted as that came before this process.
pub const LEAST_ENTRY_BYTES: u64 = 400;
/// Statements of a space that were found false, kept so that they are not taken again in this life of the process.
pub const REFUSED_STATEMENTS: usize = 64;
/// Bytes of checkpoints in memory on their way into one space's documents: a part that is coming in, or the chunks of one document, which
/// is at most this large when it is written by local edits alone.
pub const LOADING_BYTES: usize = 64 << 20;
