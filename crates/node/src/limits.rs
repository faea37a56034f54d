//! Every limit of the node: a number, its unit, and why it is that number.

use std::time::Duration;

// ---- Queues ------------------------------------------------------------------------------------

/// Requests of the app that wait for the driver. An app that asks faster waits in its own `await`.
pub(crate) const REQUESTS: usize = 256;
/// Control messages (dial, suspend, shut down) that wait for the driver: made by people, never in bulk.
pub(crate) const CONTROLS: usize = 64;
/// Requests that the replica works on at a time. Each holds its edits until its batch is durable.
pub(crate) const REQUESTS_IN_FLIGHT: usize = 512;
/// Batches asked for and not yet durable, above which the driver takes in neither requests nor frames. The queue to the
/// disk has no other bound: one input makes few batches, and none is taken in above this.
pub(crate) const BATCHES_IN_FLIGHT: usize = 256;
/// See [`BATCHES_IN_FLIGHT`], in bytes: with the driver's own overshoot of one input this keeps a phone below 64 MiB.
pub(crate) const BATCH_BYTES_IN_FLIGHT: usize = 32 << 20;
/// Jobs and loads handed to workers and not yet back, above which the driver takes in neither requests nor frames. An
/// entry inflates to at most 16 MiB but is 50 kB on average; 128 keep every worker busy.
pub(crate) const JOBS_IN_FLIGHT: usize = 128;
/// Events that wait for a listener that does not read; older ones are dropped, and it is told how many.
pub(crate) const EVENTS: usize = 1024;
/// Changed documents that one watcher may have waiting; above it the watcher is told to look at everything.
pub(crate) const WATCHED_DOCUMENTS: usize = 16_384;
/// Bytes that the network refused for lack of room and that are kept for one link. The core sends bulk within the peer's
/// credit (1 MiB) and the network's own queues take as much, so that a link that needs more does not keep to its credit.
pub(crate) const LINK_OVERFLOW_BYTES: usize = 2 << 20;
/// Bytes that a kept frame is counted for beside its payload.
pub(crate) const FRAME_OVERHEAD: usize = 64;
/// Events that wait between the network's task and the driver; each may be a frame of 64 KiB. While it is full, streams are
/// not read and peers feel it.
pub(crate) const NETWORK_EVENTS: usize = 256;
/// Failed dials that the status remembers, one for each peer.
pub(crate) const DIAL_FAILURES: usize = 64;
/// Addresses that a ticket names: what fits a QR code beside the secret.
pub(crate) const TICKET_ADDRESSES: usize = 8;

// ---- The disk ----------------------------------------------------------------------------------

/// Batches that one commit makes durable at most: enough that a sync costs a fraction of a disk flush for each batch.
pub(crate) const GROUP_BATCHES: usize = 64;
/// See [`GROUP_BATCHES`], in bytes: the first batch of a group waits at most about 50 ms for the rest on a slow disk.
pub(crate) const GROUP_BYTES: usize = 8 << 20;
/// First wait before a failed disk is tried again; it doubles up to [`DISK_BACK_OFF_MOST`].
pub(crate) const DISK_BACK_OFF_FIRST: Duration = Duration::from_millis(250);
/// Longest wait before a failed disk is tried again: a person who freed some space is not left waiting.
pub(crate) const DISK_BACK_OFF_MOST: Duration = Duration::from_secs(15);

// ---- Watching ----------------------------------------------------------------------------------

/// Shortest time between two looks at the progress, in milliseconds: ten a second look smooth to a person.
pub(crate) const PROGRESS_INTERVAL_MS: u64 = 100;
/// Longest time between two while something is to go and nothing moves: a rate that falls to nothing is news.
pub(crate) const PROGRESS_STILL_MS: u64 = 1_000;
/// Looks are at least so many times their own cost apart, so that they take at most a twentieth of the driver's time.
pub(crate) const PROGRESS_SHARE: u64 = 20;
/// Rates are averaged over about so long, in milliseconds: long enough to be calm, short enough to be of now.
pub(crate) const PROGRESS_RATE_MS: f64 = 3_000.0;
/// Batches of changed documents that wait to be looked at for conflicts; more are only counted.
pub(crate) const CONFLICTS_WAITING: usize = 256;
/// Documents of which it is remembered what was told of their conflicts, 64 bytes each.
pub(crate) const CONFLICTS_REMEMBERED: usize = 16_384;
/// Own entries that wait for their first receipt to be measured, 16 bytes each: hours of typing offline.
pub(crate) const LATENCY_OWN: usize = 16_384;
/// Entries of others that wait to be visible to be measured, 32 bytes each: several windows of the smallest entries.
pub(crate) const LATENCY_ARRIVED: usize = 65_536;
/// Longest time that is told apart, in microseconds: an hour. What is longer was not waited for by anybody.
pub(crate) const LATENCY_MOST_US: u64 = 3_600_000_000;
/// Digits to which times are exact: 1 in 100, at 25 kB a histogram.
pub(crate) const LATENCY_DIGITS: u8 = 2;

// ---- Since -------------------------------------------------------------------------------------

/// Items of each kind that a report lists. The totals are of all.
pub(crate) const SINCE_LISTED: usize = 1_000;
/// Documents that a report follows on each side, about 200 bytes each: 50 MB at most while it is made.
pub(crate) const SINCE_DOCUMENTS: usize = 262_144;
/// Bytes of entries that are read and opened at a time.
pub(crate) const SINCE_READ_BYTES: usize = 1 << 20;
/// Bytes of JSON of one value in a report: a screenful.
pub(crate) const SINCE_VALUE_BYTES: usize = 4 << 10;
/// Markers that an app may set: each is of the size of the frontier, and all are read when the store is opened.
pub(crate) const MARKERS: usize = 32;
/// Bytes of a marker's name: with what it begins with it fits a name of the store.
pub(crate) const MARKER_NAME_BYTES: usize = 48;

// ---- Import and pages --------------------------------------------------------------------------

/// Documents that one request of an import carries: what the core puts into one entry.
pub(crate) const IMPORT_DOCUMENTS: usize = farshore_core::limits::BATCH_DOCUMENTS;
/// Requests of one import under way at a time: while one is written, the next are encoded and signed.
pub(crate) const IMPORT_REQUESTS: usize = 8;
/// Documents that a scan reads under one lock of the store, so that a long scan holds no snapshot.
pub(crate) const PAGE_DOCUMENTS: usize = 1024;

// ---- Times -------------------------------------------------------------------------------------

/// Shortest time between two renewals of a watched status: a person reads no faster.
pub(crate) const STATUS_INTERVAL_MS: u64 = 100;
/// How long a shutdown waits for what is under way to become durable, before it gives up on replies.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);
/// How long `suspend` may take: what mobile systems leave an app on its way to the background, and some to spare.
pub(crate) const SUSPEND_WAIT: Duration = Duration::from_millis(200);
/// How long an invitation is open unless told otherwise.
pub(crate) const INVITATION_OPEN: Duration = Duration::from_secs(60 * 60);

/// Locks that serialize `change` calls of this process on one document; documents share them by their id.
pub(crate) const CHANGE_LOCKS: usize = 64;
/// How often `change` reads again when the document keeps changing under it: peers' edits come in commits, milliseconds apart.
pub(crate) const CHANGE_TRIES: u32 = 32;

/// Entries that one look at the log reads of each journal: more than a person reads, and at 50 kB each half a second's work.
pub(crate) const LOG_ENTRIES: usize = 10_000;
