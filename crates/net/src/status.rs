//! [`Status`]: what the network is doing, for `status` and `peers`: enough to see why a peer is not linked.

use std::time::Duration;

use libp2p::Multiaddr;

use crate::Peer;
use crate::discovery::Health;
use crate::error::{DialError, ListenError};
use crate::event::{Direction, LinkId, Transport};

/// A snapshot.
#[derive(Debug, Clone)]
pub struct Status {
    /// Who we are.
    pub local_peer: Peer,
    /// Addresses that peers can dial.
    pub listening: Vec<Multiaddr>,
    /// Addresses that could not be listened on, and why.
    pub listen_failures: Vec<(Multiaddr, ListenError)>,
    /// Links that are up.
    pub links: Vec<LinkStatus>,
    /// Peers that are wanted or were discovered.
    pub peers: Vec<PeerStatus>,
    /// Whether discovery works over IPv4, and over IPv6.
    pub mdns: [Health; 2],
    /// Incoming handshakes under way.
    pub pending_incoming: usize,
    /// Outgoing handshakes under way.
    pub pending_outgoing: usize,
    /// Established connections, those without a link included.
    pub established: usize,
}

/// One link.
#[derive(Debug, Clone)]
pub struct LinkStatus {
    /// The link.
    pub link: LinkId,
    /// Who is at the other end.
    pub peer: Peer,
    /// Where.
    pub address: Multiaddr,
    /// Who dialled.
    pub direction: Direction,
    /// Whether a circuit relay is in between.
    pub relayed: bool,
    /// What carries it.
    pub transport: Transport,
    /// The last round trip; none before the first.
    pub rtt: Option<Duration>,
    /// Bytes that wait to be written, for ctl, live and bulk.
    pub waiting_bytes: [usize; 3],
    /// What it has carried.
    pub traffic: Traffic,
}

/// Frames and bytes of one class in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// Frames.
    pub frames: u64,
    /// Their bytes, with the length in front of each, before the transport encrypts them.
    pub bytes: u64,
}

/// What was sent and received, for ctl, live and bulk. Pings and pongs are not counted: they come with time, not with work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// From here to the peer: frames that were given to the transport.
    pub sent: [Flow; 3],
    /// From the peer.
    pub received: [Flow; 3],
}

impl Flow {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }
}

impl std::ops::AddAssign for Flow {
    fn add_assign(&mut self, other: Flow) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}

impl Traffic {
    /// Both directions of all classes together.
    pub fn total(&self) -> Flow {
        self.sent.iter().chain(&self.received).fold(Flow::default(), |mut sum, flow| {
            sum += *flow;
            sum
        })
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        let ours = self.sent.iter_mut().chain(&mut self.received);
        ours.zip(other.sent.iter().chain(&other.received)).for_each(|(ours, theirs)| *ours += *theirs);
    }
}

/// One peer that is wanted or was discovered.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// Who.
    pub peer: Peer,
    /// Whether we keep a link to it.
    pub wanted: bool,
    /// Addresses that the owner gave.
    pub given: Vec<Multiaddr>,
    /// Addresses that discovery heard of.
    pub discovered: Vec<Multiaddr>,
    /// What is being done about it.
    pub state: PeerState,
    /// Dials since it became known.
    pub dials: u64,
    /// Failures since the last success or reset.
    pub failures_in_a_row: u32,
    /// Why the last dial failed; none after a success.
    pub last_error: Option<DialError>,
    /// What all links to it have carried since it became known, the present one included.
    pub traffic: Traffic,
}

/// What is being done about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerState {
    /// A link is up.
    Linked,
    /// It is being dialled.
    Dialing,
    /// It will be dialled.
    BackOff {
        /// In how long.
        next_dial_in: Duration,
    },
    /// It would be dialled, but nobody knows where.
    NoAddress,
    /// It was discovered, but no space knows it.
    NotWanted,
}
