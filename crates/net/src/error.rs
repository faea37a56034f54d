//! What can go wrong, by whose fault: ours or the caller's ([`Error`], [`SendError`]), the network's or a wrong
//! address's ([`DialError`], [`ListenError`]), or the peer's ([`PeerFault`], inside [`DownReason`]).

use std::fmt;

use libp2p::Multiaddr;

use crate::Peer;
use crate::frame::Class;

/// Why the network could not start, or a call cannot be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text or bytes that are not a peer id.
    #[error("not a peer id: {0}")]
    Peer(String),
    /// A seed that is not an Ed25519 key.
    #[error("the transport key is unusable: {0}")]
    Key(String),
    /// The transports could not be set up.
    #[error("the transports could not be set up: {0}")]
    Transport(String),
    /// [`crate::Net::spawn`] was called outside a tokio runtime.
    #[error("the network needs a tokio runtime: call it from inside one")]
    NoRuntime,
    /// The network task has ended.
    #[error("the network has been shut down")]
    Down,
}

/// Why a frame was not queued.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The link is gone, or never was: its `LinkDown` is on its way, or was already handed out.
    #[error("link is down")]
    Down,
    /// The class's queue is full: the peer reads more slowly than we write. The frame comes back; an
    /// [`crate::Event::Writable`] says when there is room.
    #[error("the {class} queue is full: wait for Event::Writable")]
    Full {
        /// The class whose queue is full.
        class: Class,
        /// The frame that was not queued.
        frame: Vec<u8>,
    },
    /// A frame over the class's limit. Chunk it.
    #[error("a {class} frame of {bytes} bytes is over the limit of {limit}: split it")]
    TooLong {
        /// The class of the frame.
        class: Class,
        /// Its length.
        bytes: usize,
        /// The longest that is allowed.
        limit: usize,
    },
    /// A frame without a byte: it would say nothing, and the peer would close the connection for it.
    #[error("a frame must not be empty")]
    Empty,
}

/// Why a peer could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Neither the caller nor discovery has an address for the peer.
    #[error("no address is known: give one, or wait until the peer is discovered")]
    NoAddress,
    /// Another key answered at the address.
    #[error(
        "{address} is the address of {found}, not of {expected}: the address was given to another node, or the peer has a new key; ask the peer for a fresh address or ticket"
    )]
    WrongPeer {
        /// Who was dialled.
        expected: Peer,
        /// Who answered.
        found: Peer,
        /// Where.
        address: Multiaddr,
    },
    /// The peer is ourselves.
    #[error("{address} leads back to this node: dial another peer")]
    Ourselves {
        /// The address that was dialled; empty if none was given.
        address: Multiaddr,
    },
    /// No address answered; what each of them said.
    #[error("no address answered: {0}")]
    Unreachable(String),
    /// The other end runs libp2p, but not this protocol.
    #[error("the peer was reached but does not speak Farshore's protocol: {0}")]
    NotFarshore(String),
    /// One of our own limits was in the way.
    #[error("not dialled: {0}")]
    Limit(String),
    /// The connection ended before the link was up.
    #[error("the connection was lost before the link was up: {0}")]
    Lost(String),
    /// The network was shut down.
    #[error("the network has been shut down")]
    Down,
}

/// Why an address could not be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Somebody has the port already.
    #[error(
        "{transport} port {port} is in use by another program, perhaps a second Farshore node: stop it, or choose another port"
    )]
    PortInUse {
        /// `TCP` or `UDP`.
        transport: &'static str,
        /// The port.
        port: u16,
    },
    /// The port needs rights that this process does not have.
    #[error("{transport} port {port} needs rights that this process does not have: choose a port above 1023")]
    Refused {
        /// `TCP` or `UDP`.
        transport: &'static str,
        /// The port.
        port: u16,
    },
    /// This machine does not have the address, or not the protocol: IPv6 switched off is the usual case.
    #[error("this machine does not have the address or its protocol (is IPv6 off?): {0}")]
    NotHere(String),
    /// This build has no transport for the address.
    #[error("this build has no transport for the address: {0}")]
    NotSupported(String),
    /// Anything else that the operating system said.
    #[error("{0}")]
    Other(String),
}

/// What a peer did that it must not do. It costs the peer its connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// A length prefix over the class's limit.
    #[error("a {class} frame claims {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// The class.
        class: Class,
        /// The length claimed.
        bytes: u32,
        /// The limit, prefix bytes included.
        limit: usize,
    },
    /// A frame without a byte.
    #[error("an empty {class} frame")]
    Empty {
        /// The class.
        class: Class,
    },
    /// A `ctl` frame of a kind that does not exist.
    #[error("a ctl frame of unknown kind {0}")]
    UnknownKind(u8),
    /// A ping or pong of a wrong length.
    #[error("a ping of {0} bytes")]
    BadPing(usize),
    /// A second stream of a class.
    #[error("a second {class} stream")]
    SecondStream {
        /// The class.
        class: Class,
    },
    /// The peer refused one of our streams.
    #[error("the {class} stream was refused: {cause}")]
    StreamRefused {
        /// The class.
        class: Class,
        /// What the negotiation said.
        cause: String,
    },
    /// The three streams were not open in time.
    #[error("the streams were not open within {0} seconds")]
    SetupTooSlow(u64),
}

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer closed, or the connection broke in a way that looks the same.
    Closed,
    /// Reading or writing failed.
    Io(String),
    /// Nothing was heard for too long.
    Silent,
    /// The peer broke the protocol.
    Fault(PeerFault),
    /// A better connection to the same peer takes over; its `LinkUp` follows.
    Replaced,
    /// The caller closed it, for this reason.
    Local(String),
    /// The network is shutting down.
    Shutdown,
}

impl DownReason {
    /// Whether the end is ours, and what is queued deserves to be written first.
    pub(crate) fn is_graceful(&self) -> bool {
        matches!(self, DownReason::Local(_) | DownReason::Shutdown)
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownReason::Closed => f.write_str("closed by the peer"),
            DownReason::Io(cause) => write!(f, "the connection failed: {cause}"),
            DownReason::Silent => f.write_str("nothing was heard from the peer for too long"),
            DownReason::Fault(fault) => write!(f, "the peer broke the protocol: {fault}"),
            DownReason::Replaced => f.write_str("a better connection takes over"),
            DownReason::Local(reason) => write!(f, "closed here: {reason}"),
            DownReason::Shutdown => f.write_str("the network is shutting down"),
        }
    }
}
