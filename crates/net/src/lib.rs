//! Links between Farshore nodes, over libp2p. This crate moves opaque frames; it knows nothing of documents.
//!
//! A **link** is one live, authenticated, ordered connection to a peer, of which there is at most one. It has three
//! classes of frames ([`Class`]), each with a stream, a bounded queue and a limit of its own, written in strict order of
//! urgency. Start with [`Net::spawn`]; everything that happens comes out as an [`Event`].
//!
//! ```text
//!   Net (handle) ──commands──▶ Task ── owns the Swarm ── Behaviour ── Handler   one a connection: opens 3 streams
//!     │                         │ ├─ Book       who is wanted, where, when to dial next
//!     │                         │ ├─ Dials      what is being dialled, and who waits for it
//!     │                         │ ├─ Links ── Choice   which connection of a peer carries the link
//!     │                         │ └─ Discovery  mDNS, on a thread of its own
//!     └──frames──▶ Outbox ──▶ link::run   one task a link: 3 readers, 1 writer, heartbeat
//!                                  └──LinkUp, Frame, Writable, LinkDown──▶ events
//! ```
//! Frames never pass through the task that owns the swarm; a peer that stalls holds up its own link's task and no other.
//! What each end must do is told by one rule in `choice.rs`, so no agreement is needed on the wire.
//!
//! Reading order: [`limits`], `frame.rs`, `link.rs`, `choice.rs`, `links.rs`, `task.rs`.

mod backoff;
mod behaviour;
mod book;
mod choice;
mod dials;
mod discovery;
mod error;
mod event;
mod frame;
mod handler;
mod limiter;
pub mod limits;
mod link;
mod links;
mod listen;
mod net;
mod outbox;
mod peer;
mod resolve;
mod status;
mod task;
mod transport;

pub use discovery::Health;
pub use error::{DialError, DownReason, Error, ListenError, PeerFault, SendError};
pub use event::{Direction, Event, LinkId, Transport};
pub use frame::Class;
pub use libp2p::Multiaddr;
pub use listen::default_addresses;
pub use net::{Config, Net};
pub use peer::Peer;
pub use status::{Flow, LinkStatus, PeerState, PeerStatus, Status, Traffic};
