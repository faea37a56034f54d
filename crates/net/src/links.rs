//! [`Links`]: all connections and the links that run on them. It turns what happens to connections into the decisions
//! of `choice.rs`, starts and ends the link tasks, and leaves what only the swarm can do as [`Order`]s.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Stream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::debug;

use crate::Peer;
use crate::book::without_peer;
use crate::choice::{Action, Choice};
use crate::error::{DialError, DownReason, PeerFault};
use crate::event::{Direction, Event, LinkId, Transport};
use crate::frame::Class;
use crate::limits::{CHECK_DEADLINE, SETUP_DEADLINE};
use crate::link::{self, LinkInfo, LinkShared, Report};
use crate::status::{LinkStatus, Traffic};

/// The links that take frames. The handle sends through it without going by the network task.
pub(crate) type LinkTable = Arc<RwLock<BTreeMap<LinkId, Arc<LinkShared>>>>;

/// What the network task must do or know.
#[derive(Debug)]
pub(crate) enum Order {
    OpenStreams {
        peer: PeerId,
        connection: ConnectionId,
    },
    Close {
        connection: ConnectionId,
    },
    /// A peer's link is coming up.
    Linked(PeerId),
    /// A peer's link has ended, and this is what it carried.
    Unlinked(PeerId, Traffic),
    /// No connection of a peer can become a link any more.
    Hopeless {
        peer: PeerId,
        cause: DialError,
    },
}

/// See the head of the file.
pub(crate) struct Links {
    local: PeerId,
    table: LinkTable,
    events: mpsc::Sender<Event>,
    reports: mpsc::UnboundedSender<Report>,
    heartbeat: Duration,
    connections: BTreeMap<ConnectionId, Connection>,
    choices: BTreeMap<PeerId, Choice<ConnectionId>>,
    /// Links from their start until their owner has heard of their end.
    carriers: BTreeMap<LinkId, (PeerId, ConnectionId)>,
    next_link: u64,
}

struct Connection {
    peer: PeerId,
    address: Multiaddr,
    direction: Direction,
    relayed: bool,
    transport: Transport,
    streams: [Option<Stream>; 3],
    /// When the streams must be open. None while it is not the connection's turn, and once they are.
    setup_until: Option<Instant>,
}

impl Links {
    /// `reports` is where the link tasks report to; whoever reads it calls [`Links::report`].
    pub(crate) fn new(
        local: PeerId,
        events: mpsc::Sender<Event>,
        reports: mpsc::UnboundedSender<Report>,
        heartbeat: Duration,
    ) -> Self {
        Links {
            local,
            table: LinkTable::default(),
            events,
            reports,
            heartbeat,
            connections: BTreeMap::new(),
            choices: BTreeMap::new(),
            carriers: BTreeMap::new(),
            next_link: 1,
        }
    }

    pub(crate) fn table(&self) -> LinkTable {
        self.table.clone()
    }

    pub(crate) fn established(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) -> Vec<Order> {
        let direction = if endpoint.is_dialer() { Direction::Out } else { Direction::In };
        let relayed = endpoint.is_relayed();
        let address = without_peer(endpoint.get_remote_address().clone());
        let transport = transport_of(&address);
        let setup_until = (direction == Direction::In).then(|| now + SETUP_DEADLINE);
        let streams = [None, None, None];
        self.connections.insert(id, Connection { peer, address, direction, relayed, transport, streams, setup_until });
        self.choose(peer, now, |choice| choice.established(id, direction, relayed))
    }

    pub(crate) fn stream(&mut self, id: ConnectionId, class: Class, stream: Stream, now: Instant) -> Vec<Order> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        connection.streams[class.index()] = Some(stream);
        if connection.streams.iter().any(Option::is_none) {
            return Vec::new();
        }
        connection.setup_until = None;
        let peer = connection.peer;
        self.choose(peer, now, |choice| choice.streams_ready(id))
    }

    /// The peer broke the rules on a connection. If a link runs on it, that ends.
    pub(crate) fn fault(&mut self, id: ConnectionId, fault: PeerFault, now: Instant) -> Vec<Order> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let peer = connection.peer;
        debug!(%peer, %fault, "connection at fault");
        if let Some(shared) = self.shared_of(id) {
            shared.end(DownReason::Fault(fault));
            return Vec::new();
        }
        let cause = match &fault {
            PeerFault::StreamRefused { .. } => DialError::NotFarshore(fault.to_string()),
            _ => DialError::Lost(fault.to_string()),
        };
        let mut orders = self.choose(peer, now, |choice| choice.give_up(id));
        orders.extend(self.hopeless(peer, cause));
        orders
    }

    /// Closes connections whose streams were not open in time.
    pub(crate) fn close_overdue(&mut self, now: Instant) -> Vec<Order> {
        let is_over = |connection: &Connection| connection.setup_until.is_some_and(|until| until <= now);
        let overdue: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, c)| is_over(c)).map(|(id, _)| *id).collect();
        let mut orders = Vec::new();
        for id in overdue {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.setup_until = None;
            }
            orders.extend(self.fault(id, PeerFault::SetupTooSlow(SETUP_DEADLINE.as_secs()), now));
        }
        orders
    }

    pub(crate) fn next_overdue(&self) -> Option<Instant> {
        self.connections.values().filter_map(|connection| connection.setup_until).min()
    }

    /// A connection is gone. A link on it reads what has arrived, and then ends by itself.
    pub(crate) fn closed(&mut self, id: ConnectionId, cause: Option<String>, now: Instant) -> Vec<Order> {
        let Some(connection) = self.connections.remove(&id) else { return Vec::new() };
        let peer = connection.peer;
        let mut orders = self.choose(peer, now, |choice| choice.closed(id));
        let cause = cause.unwrap_or_else(|| "closed by the peer".to_owned());
        orders.extend(self.hopeless(peer, DialError::Lost(cause)));
        self.tidy(peer);
        orders
    }

    /// Takes in what a link's task reports.
    pub(crate) fn report(&mut self, report: Report, now: Instant) -> Vec<Order> {
        match report {
            Report::Ended { link, reason } => {
                let shared = self.table.write().unwrap_or_else(PoisonError::into_inner).remove(&link);
                let Some(&(peer, id)) = self.carriers.get(&link) else { return Vec::new() };
                debug!(%link, %peer, %reason, "link ended");
                let mut orders = self.choose(peer, now, |choice| choice.link_ended(id));
                orders.push(Order::Unlinked(peer, shared.map(|shared| shared.traffic()).unwrap_or_default()));
                orders
            }
            Report::Gone { link } => {
                let Some((peer, _)) = self.carriers.remove(&link) else { return Vec::new() };
                let orders = self.choose(peer, now, Choice::link_gone);
                self.tidy(peer);
                orders
            }
            Report::Alive { link } => {
                let Some(&(peer, id)) = self.carriers.get(&link) else { return Vec::new() };
                self.choose(peer, now, |choice| if choice.active() == Some(id) { choice.alive() } else { Vec::new() })
            }
        }
    }

    /// Doubts every link: what does not answer soon is dead.
    pub(crate) fn check_all(&self) {
        for shared in self.table.read().unwrap_or_else(PoisonError::into_inner).values() {
            shared.check(CHECK_DEADLINE);
        }
    }

    /// Ends all links, and asks for the other connections to be closed.
    pub(crate) fn end_all(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        for id in self.connections.keys() {
            match self.shared_of(*id) {
                Some(shared) => shared.end(DownReason::Shutdown),
                None => orders.push(Order::Close { connection: *id }),
            }
        }
        orders
    }

    /// Whether all connections are gone.
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub(crate) fn is_linked(&self, peer: PeerId) -> bool {
        self.choices.get(&peer).is_some_and(|choice| choice.active().is_some())
    }

    /// Whether a connection of the peer is, or may become, a link.
    pub(crate) fn is_hopeful(&self, peer: PeerId) -> bool {
        self.choices.get(&peer).is_some_and(Choice::is_hopeful)
    }

    pub(crate) fn status(&self) -> Vec<LinkStatus> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let mut links: Vec<LinkStatus> = table
            .values()
            .map(|shared| {
                let LinkInfo { link, peer, address, direction, relayed, transport } = shared.info.clone();
                let (rtt, waiting_bytes, traffic) = (shared.rtt(), shared.waiting(), shared.traffic());
                LinkStatus { link, peer, address, direction, relayed, transport, rtt, waiting_bytes, traffic }
            })
            .collect();
        links.sort_by_key(|status| status.link);
        links
    }

    /// Lets the peer's choice take something in, and does what it decides.
    fn choose(
        &mut self,
        peer: PeerId,
        now: Instant,
        decide: impl FnOnce(&mut Choice<ConnectionId>) -> Vec<Action<ConnectionId>>,
    ) -> Vec<Order> {
        let smaller = self.local < peer;
        let actions = decide(self.choices.entry(peer).or_insert_with(|| Choice::new(smaller)));
        let mut orders = Vec::new();
        for action in actions {
            match action {
                Action::Open(connection) => {
                    if let Some(connection) = self.connections.get_mut(&connection) {
                        connection.setup_until = Some(now + SETUP_DEADLINE);
                    }
                    orders.push(Order::OpenStreams { peer, connection });
                }
                Action::Activate(id) => {
                    self.activate(id);
                    orders.push(Order::Linked(peer));
                }
                Action::Replace(id) => {
                    if let Some(shared) = self.shared_of(id) {
                        shared.end(DownReason::Replaced);
                    }
                }
                Action::Check(id) => {
                    if let Some(shared) = self.shared_of(id) {
                        shared.check(CHECK_DEADLINE);
                    }
                }
                Action::Close(id) => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.streams = [None, None, None];
                        connection.setup_until = None;
                    }
                    orders.push(Order::Close { connection: id });
                }
            }
        }
        orders
    }

    fn activate(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // `Choice` activates what has said that all its streams are open, and only once.
        let [Some(ctl), Some(live), Some(bulk)] = std::mem::take(&mut connection.streams) else { return };
        let link = LinkId(self.next_link);
        self.next_link += 1;
        let shared = LinkShared::new(LinkInfo {
            link,
            peer: Peer(connection.peer),
            address: connection.address.clone(),
            direction: connection.direction,
            relayed: connection.relayed,
            transport: connection.transport,
        });
        self.carriers.insert(link, (connection.peer, id));
        self.table.write().unwrap_or_else(PoisonError::into_inner).insert(link, shared.clone());
        let (events, reports) = (self.events.clone(), self.reports.clone());
        tokio::spawn(link::run(shared, [ctl, live, bulk], events, reports, self.heartbeat));
    }

    fn shared_of(&self, id: ConnectionId) -> Option<Arc<LinkShared>> {
        let (link, _) = self.carriers.iter().find(|(_, (_, carrier))| *carrier == id)?;
        self.table.read().unwrap_or_else(PoisonError::into_inner).get(link).cloned()
    }

    fn hopeless(&self, peer: PeerId, cause: DialError) -> Option<Order> {
        (!self.is_hopeful(peer)).then_some(Order::Hopeless { peer, cause })
    }

    fn tidy(&mut self, peer: PeerId) {
        if self.choices.get(&peer).is_some_and(Choice::is_empty) {
            self.choices.remove(&peer);
        }
    }
}

fn transport_of(address: &Multiaddr) -> Transport {
    let quic = address.iter().any(|part| matches!(part, Protocol::Quic | Protocol::QuicV1));
    if quic { Transport::Quic } else { Transport::Tcp }
}
