//! Every limit of the simulator: a number, its unit, and why it is that number. The first ones are the node's and the
//! network's own, repeated here because the simulated node must meet the same bounds.

/// Batches that one commit makes durable at most (`node::limits::GROUP_BATCHES`).
pub(crate) const GROUP_BATCHES: usize = 64;
/// Batches under way above which neither requests nor frames are taken in (`node::limits::BATCHES_IN_FLIGHT`).
pub(crate) const BATCHES_IN_FLIGHT: usize = 256;
/// Jobs and loads under way above which neither is (`node::limits::JOBS_IN_FLIGHT`).
pub(crate) const JOBS_IN_FLIGHT: usize = 128;
/// First and longest wait before a failed disk is tried again, in milliseconds (`node::limits::DISK_BACK_OFF_*`).
pub(crate) const DISK_BACK_OFF_MS: (u64, u64) = (250, 15_000);
/// Bytes that the node keeps for one link beyond the network's queues (`node::limits::LINK_OVERFLOW_BYTES`).
pub(crate) const LINK_OVERFLOW_BYTES: usize = 2 << 20;
/// Bytes on their way in one stream of one link: the network's queue (`net::limits`) and what the two sockets hold, 256 KiB.
pub(crate) const LANE_BYTES: [usize; 3] = [(256 + 256) << 10, (512 + 256) << 10, (1024 + 256) << 10];
/// Bytes that a queued frame is counted for beside its payload (`node::limits::FRAME_OVERHEAD`).
pub(crate) const FRAME_OVERHEAD: usize = 64;
/// Silence after which a link is dead, in milliseconds: two heartbeats of 5 s, and where in the first the silence began.
pub(crate) const HEARTBEAT_MS: (u64, u64) = (10_000, 15_000);
/// How long a link has to answer after its device woke up, in milliseconds (`net::limits::CHECK_DEADLINE`).
pub(crate) const CHECK_MS: u64 = 2_000;
/// How long a dial that gets no answer takes to fail, in milliseconds (`net::limits::CONNECT_DEADLINE`).
pub(crate) const CONNECT_MS: u64 = 10_000;
/// First and longest wait before a dial is tried again, in milliseconds (`net::limits::BACK_OFF_*`).
pub(crate) const BACK_OFF_MS: (u64, u64) = (1_000, 60_000);
/// A link that lasted this long was a success, in milliseconds (`net::limits::STABLE_LINK`).
pub(crate) const STABLE_LINK_MS: u64 = 30_000;
/// How long mDNS takes to find a device that moved, in milliseconds: from the next eager query to the next ordinary one.
pub(crate) const DISCOVERY_MS: (u64, u64) = (500, 45_000);

/// Silence after which a healed world is at rest, in milliseconds: twice the longest timer of the core (`ASK_MS`), and some.
pub(crate) const QUIET_MS: u64 = 65_000;
/// Of so many worlds, one is watched at rest for longer: a timer that nobody knows of may be longer than those of the core.
pub(crate) const LONG_QUIET_WORLDS: u64 = 16;
/// How long that one is watched, in milliseconds: several times anything that a core or a node does regularly.
pub(crate) const LONG_QUIET_MS: u64 = 10 * 60_000;
/// A healed world that is not silent after this time, in milliseconds, never will be: links are up after one handshake,
/// and everything that a core waits for it waits for 30 s.
pub(crate) const REST_MS: u64 = 20 * 60_000;
/// One-way delay of every link once the world is healed, in milliseconds: round trips are counted in it.
pub(crate) const REST_LATENCY_MS: u64 = 20;
/// Events of one run above which it is given up: a hundred times what the longest profile takes.
pub(crate) const EVENTS: u64 = 500_000_000;
/// How often queues and caches are measured, in inputs of one device: often enough to see any that stay full.
pub(crate) const MEASURE_INPUTS: u64 = 64;
/// What a commit writes beside its rows, in bytes: about 20 pages of trees, allocator state and header (measured, see
/// `docs/decisions/013-simulator-speed.md`).
pub(crate) const COMMIT_BYTES: u64 = 80 << 10;
/// Batches that are durable in virtual time and wait to be written, in bytes: then a long calm time does not fill memory.
pub(crate) const PUT_OFF_BYTES: usize = 1 << 20;
/// Of so many worlds in which disks can be struck, one has a device that does every commit as it comes.
pub(crate) const EXACT_WORLDS: u64 = 4;
/// What entries hold, remembered for the devices that have yet to open them, in entries: more than are ever on their way.
pub(crate) const REMEMBERED_OPENED: usize = 16_384;
/// What entries made of documents, remembered in the same way, in applications: each holds a document, of 20 kB at least.
pub(crate) const REMEMBERED_APPLIED: usize = 512;
/// Tasks of the second thread that wait: it is never far behind, and what it is to find out is asked soon.
pub(crate) const HELPER_TASKS: usize = 64;
/// How often the second thread looks for a task before it sleeps: about a millisecond, for to be woken costs the other 10 us, and
/// tasks come at that distance when a world is busy.
pub(crate) const HELPER_SPINS: u32 = 20_000;
/// How often whoever waits for an answer looks again before it sleeps: about 50 us, as long as it takes to find one.
pub(crate) const ANSWER_SPINS: u32 = 2_000;
/// What a trace gathers before it is hashed, in bytes: enough for the parallel form of blake3, and it stays in the cache.
pub(crate) const NOTED_BYTES: usize = 64 << 10;
/// Views remembered in the form that apps see, in views of a few kilobytes: more than change between two looks of one device.
pub(crate) const REMEMBERED_VIEWS: usize = 512;
