//! The network behaviour: counts connections, gives each its handler, and passes on what the handlers negotiate.
//! Which connection carries the link is decided in `links.rs`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, DialFailure, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandlerInEvent, ToSwarm,
};
use libp2p::{PeerId, Stream};
use tracing::debug;

use crate::error::PeerFault;
use crate::frame::Class;
use crate::handler::{Handler, Negotiated, OpenStreams};
use crate::limiter::Limiter;

/// What the behaviour tells the network task.
#[derive(Debug)]
pub(crate) enum Wired {
    /// A stream of a connection is open.
    Stream { connection: ConnectionId, class: Class, stream: Stream },
    /// The peer broke the rules while streams were negotiated.
    Fault { connection: ConnectionId, fault: PeerFault },
}

/// See the head of the file.
pub(crate) struct Behaviour {
    limiter: Limiter<ConnectionId, PeerId>,
    /// Bounded by the handlers, each of which reports three streams and a few faults at most.
    queue: VecDeque<ToSwarm<Wired, OpenStreams>>,
}

impl Behaviour {
    pub(crate) fn new() -> Self {
        Behaviour { limiter: Limiter::new(), queue: VecDeque::new() }
    }

    /// Tells the handler of a connection that we dialled to open its streams.
    pub(crate) fn open_streams(&mut self, peer: PeerId, connection: ConnectionId) {
        let handler = NotifyHandler::One(connection);
        self.queue.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: OpenStreams });
    }

    /// Incoming and outgoing handshakes, and established connections.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        self.limiter.counts()
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Wired;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let now = tokio::time::Instant::now();
        self.limiter.incoming(connection, ip_of(remote), now).map_err(|refused| {
            debug!(%remote, %refused, "incoming connection refused");
            ConnectionDenied::new(refused)
        })
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        self.limiter.establish(connection, peer).map_err(ConnectionDenied::new)?;
        Ok(Handler::new(false))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.limiter.outgoing(connection).map_err(ConnectionDenied::new)?;
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        self.limiter.establish(connection, peer).map_err(ConnectionDenied::new)?;
        Ok(Handler::new(true))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.limiter.forget(connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, connection: ConnectionId, event: Negotiated) {
        self.queue.push_back(ToSwarm::GenerateEvent(match event {
            Negotiated::Stream { class, stream } => Wired::Stream { connection, class, stream },
            Negotiated::Fault(fault) => Wired::Fault { connection, fault },
        }));
    }

    // Nothing here needs a waker: the queue is filled by the swarm, or by the network task right before it polls.
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Wired, THandlerInEvent<Self>>> {
        self.queue.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The IP address in front of a multiaddress.
fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })
}
