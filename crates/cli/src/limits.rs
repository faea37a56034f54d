//! Every limit of the command line, with its unit and its reason.

use std::time::Duration;

// --- import and export ---

/// Longest row of an import, in bytes of its text. A sealed entry holds at most 4 MiB, so a longer row could not be
/// stored anyway; and an unclosed quote or bracket must not swallow a file of any size into memory.
pub const ROW_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Most columns of a CSV file. Each costs its name once per document; spreadsheets end at 16,384.
pub const COLUMNS_MAX: usize = 16_384;

/// Deepest nesting of an imported value, in levels. The JSON reader is recursive and stops at 128.
pub const NESTING_MAX: usize = 128;

/// Largest input taken from a pipe, in bytes as they arrive: it is checked as a whole before anything is imported,
/// so it must be kept, and a temporary directory is often small. A file named on the command line has no limit.
pub const SPOOL_LIMIT_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Most rows of one import whose keys are compared for duplicates: 16 bytes each, so 1 GiB of memory.
pub const KEYED_ROWS_MAX: usize = 64 * 1024 * 1024;

/// Malformed rows that are described one by one; the others are counted. More than a person reads.
pub const PROBLEMS_SHOWN_MAX: usize = 50;

/// Longest piece of a row quoted in a message, in characters.
pub const EXCERPT_CHARS: usize = 60;

/// Input buffer, in bytes: large enough that the cost of system calls vanishes.
pub const READ_BUFFER_BYTES: usize = 128 * 1024;

/// Rows between two reports of progress: under a millisecond of work.
pub const PROGRESS_EVERY_ROWS: u64 = 512;

// --- paths into documents ---

/// Most steps of a path, as deep as an imported value may be nested.
pub const PATH_STEPS_MAX: usize = NESTING_MAX;

/// Longest path, in bytes. Generous for 128 named steps; shorter than any shell's argument limit.
pub const PATH_LIMIT_BYTES: usize = 64 * 1024;

/// Rows read ahead of what is being sent: enough that neither side waits for the other, a few MiB of usual rows.
pub const IMPORT_ROWS_AHEAD: usize = 2048;

// --- words of the command line ---

/// Longest name of a space or a collection, in bytes. The core has the same limit; this one answers
/// sooner.
pub const NAME_LIMIT_BYTES: usize = 256;

/// Longest document given on standard input, in bytes: as long as an imported row.
pub const FIELDS_TEXT_LIMIT_BYTES: usize = ROW_LIMIT_BYTES;

/// Longest ticket given on standard input, in bytes. A real one has a few hundred.
pub const TICKET_TEXT_LIMIT_BYTES: usize = 64 * 1024;

// --- the control socket ---

/// Longest line a client may send, in bytes: a batch of an import with one row of [`ROW_LIMIT_BYTES`], escaped.
pub const REQUEST_LINE_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Longest line a client accepts, in bytes. Replies carry whole documents, and a document may have grown beyond the
/// size that local edits may reach.
pub const REPLY_LINE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Clients served at a time. Each may hold one line of [`REQUEST_LINE_LIMIT_BYTES`], so 256 MiB in the worst case.
pub const CLIENTS_MAX: usize = 32;

/// How long a client may take to begin, or to finish, a request line. A request that runs has no limit.
pub const REQUEST_WAIT: Duration = Duration::from_secs(60);

/// How long a command waits for the greeting of a running device before it calls the device unresponsive.
pub const GREETING_WAIT: Duration = Duration::from_secs(10);

/// How long one write to a client may take. A client that stops reading holds up a request of its own only, but it
/// must not do so for ever (`watch` with a stopped pager is let go).
pub const REPLY_WRITE_WAIT: Duration = Duration::from_secs(300);

/// How long clients are waited for when the device ends: what they are owed is written in a moment, if they read.
pub const CLIENTS_END_WAIT: Duration = Duration::from_secs(2);

/// Replies between the executor and the socket. A few, so that a slow client slows its own request down.
pub const REPLIES_QUEUED_MAX: usize = 64;

/// Rows in one batch of an import: an entry of the journal takes up to 256 documents, and four make one commit large
/// enough that its syncs do not count.
pub const BATCH_ROWS_MAX: usize = 1024;

/// Text of the rows in one batch, in bytes. A batch is sent when the next row would exceed it, so the line stays well
/// under [`REQUEST_LINE_LIMIT_BYTES`] unless a single row is larger.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Batches sent but not acknowledged: one at the disk, one being prepared, two on the way.
pub const BATCHES_UNACKNOWLEDGED_MAX: usize = 4;

/// Longest path of a Unix domain socket, in bytes without the closing zero: 104 on macOS and the BSDs, 108 on Linux.
pub const SOCKET_PATH_LIMIT_BYTES: usize = 103;

// --- the device ---

/// How long `up` waits to listen somewhere before it tells how things stand. Binding takes milliseconds.
pub const LISTENING_WAIT: Duration = Duration::from_secs(2);

// --- the terminal ---

/// Time between two lines of progress where there is no terminal: enough to see life in a CI log, not enough to fill it.
pub const PROGRESS_LINE_EVERY: Duration = Duration::from_secs(5);

/// Columns of a bar in `status --watch`: a twentieth is as fine as a person looks, and it fits beside the numbers.
pub const PROGRESS_BAR_COLUMNS: usize = 20;

/// Widest table cell on a terminal, in columns, before it is shortened.
pub const CELL_COLUMNS_MAX: usize = 60;

/// Documents of a list that are gathered before the first are shown, so that the columns fit: a few screens.
pub const LIST_ROWS_BUFFERED: usize = 500;

/// Most columns of a list that are shown without being asked for. More are unreadable on any terminal.
pub const LIST_COLUMNS_MAX: usize = 16;

// --- the demo ---

/// How long one step of the demo may take. All of it takes under 90 s on two cores.
pub const DEMO_PATIENCE: Duration = Duration::from_secs(120);

/// How often the demo asks the devices how far they are: often enough for a bar, seldom enough not to slow them down.
pub const DEMO_LOOK_EVERY: Duration = Duration::from_millis(50);

/// Bytes that Ben has received of a sync when it is killed: past the handshakes, before the end.
pub const DEMO_KILL_AFTER_BYTES: u64 = 48 * 1024;

/// How often the demo looks whether that point is reached: a transfer on loopback is over in a second.
pub const DEMO_KILL_LOOK_EVERY: Duration = Duration::from_millis(1);
