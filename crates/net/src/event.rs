//! [`Event`]: everything that the network tells its owner.

use std::fmt;

use libp2p::Multiaddr;

use crate::Peer;
use crate::discovery::Health;
use crate::error::{DialError, DownReason, ListenError};
use crate::frame::Class;

/// One life of a link. Never reused within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who made the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// We dialled.
    Out,
    /// The peer dialled.
    In,
}

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// QUIC over UDP.
    Quic,
    /// TCP with Noise and Yamux.
    Tcp,
}

/// What happened. For one link the order is `LinkUp`, then frames and `Writable`, then `LinkDown`, and nothing after it.
#[derive(Debug)]
pub enum Event {
    /// A link is up: the three streams of the chosen connection are open. At most one link a peer at a time.
    LinkUp {
        /// The link.
        link: LinkId,
        /// Who is at the other end; the transport has proven it.
        peer: Peer,
        /// The peer's address on this connection.
        address: Multiaddr,
        /// Who dialled.
        direction: Direction,
        /// Whether a circuit relay is in between.
        relayed: bool,
        /// What carries it.
        transport: Transport,
    },
    /// A frame arrived. Order holds within a class, not between classes.
    Frame {
        /// The link.
        link: LinkId,
        /// The class.
        class: Class,
        /// The payload: 1 byte up to the class's limit.
        bytes: Vec<u8>,
    },
    /// A class that refused a frame has half of its queue free again.
    Writable {
        /// The link.
        link: LinkId,
        /// The class.
        class: Class,
    },
    /// The link is gone. What was queued and not written is lost; what was written may be.
    LinkDown {
        /// The link.
        link: LinkId,
        /// Who was at the other end.
        peer: Peer,
        /// Why.
        reason: DownReason,
    },
    /// Listening on an address: peers can dial it.
    Listening(Multiaddr),
    /// No longer listening on an address.
    ListenExpired(Multiaddr),
    /// An address could not be listened on. The others go on.
    ListenFailed {
        /// The address.
        address: Multiaddr,
        /// Why, and what to do.
        error: ListenError,
    },
    /// mDNS heard of a peer, or of new addresses of one. A hint, never proof.
    Discovered {
        /// Who it claims to be.
        peer: Peer,
        /// Where.
        addresses: Vec<Multiaddr>,
    },
    /// Whether mDNS works, told each time that it begins. Without it peers are found by address alone.
    Discovery {
        /// Over IPv4.
        v4: Health,
        /// Over IPv6.
        v6: Health,
    },
    /// A dial of a wanted peer failed; the next one comes by itself.
    DialFailed {
        /// The peer.
        peer: Peer,
        /// Why.
        error: DialError,
    },
    /// The machine woke from sleep, or its clock was set: links are being checked. Nothing needs doing.
    Resumed,
}
