//! Every limit of the network layer: a number, its unit, and why it is that number.

use std::time::Duration;

// ---- Frames ------------------------------------------------------------------------------------

/// Longest `ctl` frame, in bytes of payload. Digests, frontiers and credit fit; a longer one would delay the ping behind it.
pub const CTL_FRAME_LIMIT: usize = 16 * 1024;
/// Longest `live` frame, in bytes of payload. An entry that is larger travels chunked in `bulk`.
pub const LIVE_FRAME_LIMIT: usize = 64 * 1024;
/// Longest `bulk` frame, in bytes of payload. At 10 Mbit/s it holds an edit up for 52 ms: longer would be felt.
pub const BULK_FRAME_LIMIT: usize = 64 * 1024;

// ---- Memory of one link ------------------------------------------------------------------------

/// Bytes of `ctl` that may wait to be written on one link: 16 frames of the longest kind.
pub const CTL_QUEUE_LIMIT: usize = 256 * 1024;
/// Bytes of `live` that may wait on one link: 8 of the longest frames; more would be stale before it left.
pub const LIVE_QUEUE_LIMIT: usize = 512 * 1024;
/// Bytes of `bulk` that may wait on one link: the credit a peer ever grants (1 MiB), so the queue is never the bottleneck.
pub const BULK_QUEUE_LIMIT: usize = 1024 * 1024;
/// Bytes that a queued frame is counted for beside its payload, so that a million one-byte frames are not free.
pub const FRAME_OVERHEAD: usize = 64;
/// Bytes that are gathered before a stream is written: as much as the longest frame, so no frame is ever split.
pub const STAGING_LIMIT: usize = BULK_FRAME_LIMIT + 8;

/// Writes in a row (of up to [`STAGING_LIMIT`]) after which a link's readers and heartbeat get their turn: 2 MiB, some 2 ms.
pub const WRITER_TURNS: u32 = 32;

// ---- Liveness ----------------------------------------------------------------------------------

/// Time between two pings of a link. TCP and relayed connections say nothing by themselves when the other end is gone.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Heartbeats without a single received byte after which a link is dead: one lost packet must not be enough.
pub const HEARTBEAT_MISSES: u32 = 2;
/// How long a link has to answer when its life is in doubt (the network changed, or the peer dialled anew).
pub const CHECK_DEADLINE: Duration = Duration::from_secs(2);
/// How long a fresh connection has to open its three streams. A stranger that only connects costs no longer than this.
pub const SETUP_DEADLINE: Duration = Duration::from_secs(10);
/// How long a transport's handshakes may take together.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a substream's protocol negotiation may take.
pub const NEGOTIATION_DEADLINE: Duration = Duration::from_secs(10);
/// Time after which libp2p closes a connection without streams. Ours hold their streams; this sweeps up the rest.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(60);
/// How long the other streams of a link may go on when one has ended: what has arrived on them is still read.
pub const END_DEADLINE: Duration = Duration::from_secs(1);
/// How long frames queued before a `close` have to be written and to arrive.
pub const CLOSE_FLUSH: Duration = Duration::from_millis(150);
/// How long a whole shutdown may take: peers that hear the goodbye save themselves 10 to 15 s of waiting.
pub const SHUTDOWN_GRACE: Duration = Duration::from_millis(200);
/// How long a closing connection may wait for the peer to take its last bytes; else a peer that does not read keeps the socket.
pub const MUXER_CLOSE: Duration = Duration::from_secs(1);
/// A wall clock that runs this far ahead of the monotonic one means that the machine slept.
pub const CLOCK_JUMP: Duration = Duration::from_secs(5);
/// How often the two clocks are compared.
pub const CLOCK_TICK: Duration = Duration::from_secs(1);

// ---- Connections -------------------------------------------------------------------------------

/// Incoming connections whose handshake is not done: each costs 1 to 1.5 ms of CPU, so 32 are 50 ms.
pub const PENDING_INCOMING_LIMIT: usize = 32;
/// Outgoing connections whose handshake is not done.
pub const PENDING_OUTGOING_LIMIT: usize = 16;
/// Established connections: at 23 kB (TCP) to 140 kB (QUIC) each, under 20 MB.
pub const ESTABLISHED_LIMIT: usize = 128;
/// Established connections to one peer. Never 1: a hole punch holds a relayed and two direct ones for a moment.
pub const ESTABLISHED_PER_PEER_LIMIT: usize = 4;
/// Handshakes that one IP address may start within [`HANDSHAKE_WINDOW`]. An office behind one NAT stays below it.
pub const HANDSHAKES_PER_ADDRESS_LIMIT: u32 = 240;
/// The window of [`HANDSHAKES_PER_ADDRESS_LIMIT`].
pub const HANDSHAKE_WINDOW: Duration = Duration::from_secs(60);
/// IP addresses whose handshakes are counted at a time; beyond it the counts start afresh.
pub const HANDSHAKE_ADDRESSES_LIMIT: usize = 4096;
/// Inbound substreams of one connection in negotiation: three are ours, the rest is slack.
pub const NEGOTIATING_STREAMS_LIMIT: usize = 16;
/// Yamux substreams of a connection. Not for the streams, of which there are three: yamux lets windows grow to
/// 1 GiB less 256 KiB for each of these, so this number leaves 16 MiB (yamux `flow_control.rs`).
pub const YAMUX_STREAMS_LIMIT: usize = 4032;
/// QUIC streams that the peer may have open.
pub const QUIC_STREAMS_LIMIT: u32 = 32;
/// Unread bytes of one QUIC stream.
pub const QUIC_STREAM_DATA: u32 = 2 * 1024 * 1024;
/// Unread bytes of one QUIC connection: above what our three streams can leave unread, so none starves another.
pub const QUIC_CONNECTION_DATA: u32 = 16 * 1024 * 1024;
/// Silence after which QUIC gives a connection up.
pub const QUIC_IDLE: Duration = Duration::from_secs(10);
/// Silence after which QUIC sends a keep-alive: three fit into [`QUIC_IDLE`].
pub const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(3);
/// How long a QUIC handshake may take.
pub const QUIC_HANDSHAKE: Duration = Duration::from_secs(5);

// ---- Dialling ----------------------------------------------------------------------------------

/// First wait before a dial is tried again; it doubles up to [`BACK_OFF_MOST`].
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
/// Longest wait before a dial is tried again.
pub const BACK_OFF_MOST: Duration = Duration::from_secs(60);
/// A link that lasted this long was a success, and its end starts the back-off afresh. A peer that takes our connection
/// only to close it at once (it does not know us yet) is dialled ever more rarely.
pub const STABLE_LINK: Duration = Duration::from_secs(30);
/// Dials of wanted peers under way at a time, so that a thousand peers do not dial in one breath.
pub const DIALS_IN_FLIGHT_LIMIT: usize = 8;
/// Addresses kept and dialled for one peer.
pub const ADDRESSES_PER_PEER_LIMIT: usize = 16;
/// Peers that may be wanted at a time.
pub const WANTED_PEERS_LIMIT: usize = 4096;
/// Discovered peers that nobody wants (yet) and that are remembered all the same.
pub const CANDIDATES_LIMIT: usize = 64;
/// How long after a discovery the peer with the larger id leaves the dial to the other: shortest and longest wait.
pub const YIELD_TO_SMALLER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));
/// How long the resolver may take for a DNS name.
pub const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

// ---- Discovery ---------------------------------------------------------------------------------

/// Time between two mDNS queries: carrier loss is invisible to mDNS, so the next query is what finds a peer again.
pub const MDNS_QUERY_INTERVAL: Duration = Duration::from_secs(45);
/// Time between two mDNS queries right after a start or a change of network. libp2p stops probing at the first answer it
/// hears, so two nodes that start within the same half second can miss each other until the next query.
pub const MDNS_EAGER_INTERVAL: Duration = Duration::from_secs(2);
/// How long the eager queries go on.
pub const MDNS_EAGER: Duration = Duration::from_secs(10);
/// Life of an mDNS answer: more than twice the query interval, so that one lost packet expires nobody.
pub const MDNS_TTL: Duration = Duration::from_secs(170);
/// How long discovery waits for an address of our own to answer with, before it asks all the same.
pub const MDNS_PATIENCE: Duration = Duration::from_secs(2);
/// Records that libp2p's mDNS table may hold before we drop it: the table itself has no bound.
pub const MDNS_TABLE_LIMIT: usize = 1024;
/// How long discovery stays off after its table was flooded.
pub const MDNS_FLOOD_PAUSE: Duration = Duration::from_secs(60);

// ---- The task ----------------------------------------------------------------------------------

/// Events that may wait for the consumer inside the network task; beyond it the task stops making new ones.
pub const WAITING_EVENTS_LIMIT: usize = 256;
