//! The network task: the only owner of the swarm. It waits for whatever happens next (a call, a connection, a link's
//! end, a discovery, a time), and lets the book, the links and the dials decide.

use std::collections::VecDeque;
use std::time::SystemTime;

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{debug, info, warn};

use crate::Peer;
use crate::backoff::random;
use crate::behaviour::{Behaviour, Wired};
use crate::book::Book;
use crate::dials::{BookFailure, Dials, Reply, Request};
use crate::discovery::{Discovery, Found, Health};
use crate::error::{DialError, ListenError};
use crate::event::Event;
use crate::limits::{CLOCK_JUMP, CLOCK_TICK, SHUTDOWN_GRACE, WAITING_EVENTS_LIMIT};
use crate::link::Report;
use crate::links::{Links, Order};
use crate::listen::listen_on;
use crate::status::Status;
use crate::transport::warm_up;

/// What the handle asks for.
pub(crate) enum Command {
    Dial { peer: Option<PeerId>, addresses: Vec<Multiaddr>, reply: Reply },
    Want { peer: PeerId, addresses: Vec<Multiaddr> },
    Unwant(PeerId),
    DialUnknown(bool),
    NetworkChanged,
    Status(oneshot::Sender<Status>),
    Shutdown(oneshot::Sender<()>),
}

/// See the head of the file.
pub(crate) struct Task {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) warm_quic: bool,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) found: mpsc::Receiver<Found>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) discovery: Discovery,
    pub(crate) mdns: [Health; 2],
    pub(crate) book: Book,
    pub(crate) links: Links,
    pub(crate) dials: Dials,
    /// Events for which the owner has no room yet.
    pub(crate) waiting: VecDeque<Event>,
    pub(crate) listen_failures: Vec<(Multiaddr, ListenError)>,
}

/// What happened.
enum Step {
    Command(Option<Command>),
    Report(Report),
    Found(Found),
    Resolved(Request),
    Swarm(SwarmEvent<Wired>),
    Room,
    Tick,
    Time,
    OwnerGone,
}

impl Task {
    /// Runs until it is shut down, or nobody holds the handle or the events any more.
    pub(crate) async fn run(mut self) {
        warm_up(self.warm_quic).await;
        self.listen();
        let mut clock = interval(CLOCK_TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_tick = wall_clock();
        loop {
            self.dial_due();
            match self.next_step(&mut clock).await {
                Step::Command(None) | Step::OwnerGone => break,
                Step::Command(Some(Command::Shutdown(done))) => {
                    self.wind_down().await;
                    let _ = done.send(());
                    return;
                }
                Step::Command(Some(command)) => self.command(command),
                Step::Report(report) => {
                    let orders = self.links.report(report, Instant::now());
                    self.perform(orders);
                }
                Step::Found(found) => self.found(found),
                Step::Resolved(request) => {
                    let failure = self.dials.start(&mut self.swarm, request);
                    self.book_failure(failure);
                }
                Step::Swarm(event) => self.swarm_event(event),
                Step::Room => {
                    if let Some(event) = self.waiting.pop_front() {
                        self.emit_first(event);
                    }
                }
                Step::Tick => {
                    let now = wall_clock();
                    // The tick is late by the wall clock: we, or the whole machine, were stopped in between. The
                    // monotonic clock may have stood still meanwhile, so no timer of ours has noticed.
                    if now.duration_since(last_tick).is_ok_and(|passed| passed > CLOCK_TICK + CLOCK_JUMP) {
                        info!("resumed after a pause: checking all links");
                        self.network_changed();
                        self.emit(Event::Resumed);
                    }
                    last_tick = now;
                }
                Step::Time => {
                    let orders = self.links.close_overdue(Instant::now());
                    self.perform(orders);
                }
            }
        }
        self.wind_down().await;
    }

    async fn next_step(&mut self, clock: &mut tokio::time::Interval) -> Step {
        let time = [self.book.next_due(), self.links.next_overdue()].into_iter().flatten().min();
        let Task { swarm, commands, reports, found, events, dials, waiting, .. } = self;
        tokio::select! {
            command = commands.recv() => Step::Command(command),
            Some(report) = reports.recv() => Step::Report(report),
            Some(found) = found.recv() => Step::Found(found),
            Some(request) = dials.resolving.next(), if !dials.resolving.is_empty() => Step::Resolved(request),
            room = events.reserve(), if !waiting.is_empty() => match room {
                Ok(_) => Step::Room,
                Err(_) => Step::OwnerGone,
            },
            () = events.closed() => Step::OwnerGone,
            // As long as the owner does not listen, nothing new is made: the links' own tasks go on.
            event = swarm.select_next_some(), if waiting.len() < WAITING_EVENTS_LIMIT => Step::Swarm(event),
            _ = clock.tick() => Step::Tick,
            () = sleep_until(time.unwrap_or_else(Instant::now)), if time.is_some() => Step::Time,
        }
    }

    fn listen(&mut self) {
        for address in std::mem::take(&mut self.listen) {
            if let Err(error) = listen_on(&mut self.swarm, &address) {
                warn!(%address, %error, "not listening");
                self.listen_failures.push((address.clone(), error.clone()));
                self.emit(Event::ListenFailed { address, error });
            }
        }
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Dial { peer, addresses, reply } => self.dial(peer, addresses, reply),
            Command::Want { peer, addresses } => {
                let linked = self.links.is_linked(peer);
                if !self.book.want(peer, addresses, linked, now) {
                    warn!(%peer, "not kept connected: it is this node, or too many peers are wanted");
                }
            }
            Command::Unwant(peer) => self.book.unwant(peer),
            Command::DialUnknown(on) => self.book.set_dial_unknown(on, now),
            Command::NetworkChanged => self.network_changed(),
            Command::Status(reply) => {
                // The caller may have gone; then nobody needs it.
                let _ = reply.send(self.status(now));
            }
            Command::Shutdown(_) => {} // taken by `run`
        }
    }

    fn dial(&mut self, peer: Option<PeerId>, mut addresses: Vec<Multiaddr>, reply: Reply) {
        if let Some(peer) = peer {
            if self.links.is_linked(peer) {
                let _ = reply.send(Ok(Peer(peer)));
                return;
            }
            if peer == *self.swarm.local_peer_id() {
                let address = addresses.into_iter().next().unwrap_or_else(Multiaddr::empty);
                let _ = reply.send(Err(DialError::Ourselves { address }));
                return;
            }
            addresses.extend(self.book.addresses(peer));
        }
        self.dials.ask(&mut self.swarm, peer, addresses, reply);
    }

    fn dial_due(&mut self) {
        let now = Instant::now();
        for (peer, addresses) in self.book.due(now) {
            if self.links.is_hopeful(peer) {
                // The peer was faster; what it began becomes a link, or is told as a failure.
                self.book.connected(peer);
                continue;
            }
            debug!(%peer, ?addresses, "dialling");
            let failure = self.dials.dial_wanted(&mut self.swarm, peer, addresses);
            self.book_failure(failure);
        }
    }

    fn book_failure(&mut self, failure: Option<BookFailure>) {
        let Some(BookFailure { peer, error }) = failure else { return };
        debug!(%peer, %error, "dial failed");
        self.book.failed(peer, error.clone(), Instant::now(), random());
        self.emit(Event::DialFailed { peer: Peer(peer), error });
    }

    fn network_changed(&mut self) {
        self.book.reset(Instant::now());
        self.links.check_all();
        self.discovery.restart();
    }

    fn found(&mut self, found: Found) {
        match found {
            Found::Health { v4, v6 } => {
                self.mdns = [v4.clone(), v6.clone()];
                self.emit(Event::Discovery { v4, v6 });
            }
            Found::Expired(addresses) => {
                for (peer, address) in addresses {
                    self.book.expired(peer, &address);
                }
            }
            Found::Discovered(addresses) => {
                let mut by_peer: Vec<(PeerId, Vec<Multiaddr>)> = Vec::new();
                for (peer, address) in addresses {
                    self.book.discovered(peer, address.clone(), Instant::now(), random());
                    match by_peer.iter_mut().find(|(known, _)| *known == peer) {
                        Some((_, addresses)) => addresses.push(address),
                        None => by_peer.push((peer, vec![address])),
                    }
                }
                for (peer, addresses) in by_peer {
                    self.emit(Event::Discovered { peer: Peer(peer), addresses });
                }
            }
        }
    }

    fn swarm_event(&mut self, event: SwarmEvent<Wired>) {
        let now = Instant::now();
        let orders = match event {
            SwarmEvent::Behaviour(Wired::Stream { connection, class, stream }) => {
                self.links.stream(connection, class, stream, now)
            }
            SwarmEvent::Behaviour(Wired::Fault { connection, fault }) => self.links.fault(connection, fault, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                debug!(peer = %peer_id, connection = %connection_id, ?endpoint, "connected");
                if self.dials.connected(connection_id, peer_id) {
                    self.book.connected(peer_id);
                }
                self.links.established(connection_id, peer_id, &endpoint, now)
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                debug!(peer = %peer_id, connection = %connection_id, ?cause, "disconnected");
                self.links.closed(connection_id, cause.map(|cause| cause.to_string()), now)
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let failure = self.dials.failed(connection_id, error);
                self.book_failure(failure);
                Vec::new()
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(address = %send_back_addr, %error, "incoming handshake failed");
                Vec::new()
            }
            SwarmEvent::NewListenAddr { listener_id, address } => {
                info!(%address, "listening");
                self.discovery.listening(listener_id, &address);
                self.book.reset(now);
                self.emit(Event::Listening(address));
                Vec::new()
            }
            SwarmEvent::ExpiredListenAddr { listener_id, address } => {
                self.listen_expired(listener_id, address);
                Vec::new()
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                if let Err(error) = reason {
                    warn!(%error, "a listener ended");
                }
                for address in addresses {
                    self.listen_expired(listener_id, address);
                }
                Vec::new()
            }
            SwarmEvent::ListenerError { error, .. } => {
                warn!(%error, "a listener has trouble");
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.perform(orders);
    }

    /// An address went away, and with it the connections over it: they only do not know yet.
    fn listen_expired(&mut self, listener: libp2p::core::transport::ListenerId, address: Multiaddr) {
        info!(%address, "no longer listening");
        self.discovery.listen_expired(listener, &address);
        self.book.reset(Instant::now());
        self.links.check_all();
        self.emit(Event::ListenExpired(address));
    }

    fn perform(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::OpenStreams { peer, connection } => self.swarm.behaviour_mut().open_streams(peer, connection),
                Order::Close { connection } => {
                    self.swarm.close_connection(connection);
                }
                Order::Linked(peer) => {
                    self.book.linked(peer, Instant::now());
                    self.dials.linked(peer);
                }
                Order::Unlinked(peer, carried) => self.book.unlinked(peer, carried, Instant::now(), random()),
                Order::Hopeless { peer, cause } => {
                    self.dials.hopeless(peer, &cause);
                    if self.book.is_stranded(peer) {
                        self.book_failure(Some(BookFailure { peer, error: cause }));
                    }
                }
            }
        }
    }

    fn emit(&mut self, event: Event) {
        self.waiting.push_back(event);
        if self.waiting.len() == 1
            && let Some(event) = self.waiting.pop_front()
        {
            self.emit_first(event);
        }
    }

    /// Hands an event to the owner, or puts it back in front of all others.
    fn emit_first(&mut self, event: Event) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            self.waiting.push_front(event);
        }
    }

    fn status(&self, now: Instant) -> Status {
        let (pending_incoming, pending_outgoing, established) = self.swarm.behaviour().counts();
        let links = self.links.status();
        let mut peers = self.book.status(now);
        for peer in &mut peers {
            links.iter().filter(|link| link.peer == peer.peer).for_each(|link| peer.traffic += link.traffic);
        }
        Status {
            local_peer: Peer(*self.swarm.local_peer_id()),
            listening: self.swarm.listeners().cloned().collect(),
            listen_failures: self.listen_failures.clone(),
            links,
            peers,
            mdns: self.mdns.clone(),
            pending_incoming,
            pending_outgoing,
            established,
        }
    }

    /// Says goodbye: ends the links, closes the connections, and waits a moment for both.
    async fn wind_down(&mut self) {
        self.discovery = Discovery::off();
        self.dials.end_all();
        let orders = self.links.end_all();
        self.close_ordered(orders);
        let grace = sleep(SHUTDOWN_GRACE);
        tokio::pin!(grace);
        while !self.links.is_empty() {
            let orders = tokio::select! {
                () = &mut grace => break,
                Some(report) = self.reports.recv() => self.links.report(report, Instant::now()),
                event = self.swarm.select_next_some() => match event {
                    SwarmEvent::ConnectionClosed { connection_id, .. } => {
                        self.links.closed(connection_id, None, Instant::now())
                    }
                    // Too late: nothing new begins.
                    SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                        self.swarm.close_connection(connection_id);
                        Vec::new()
                    }
                    _ => Vec::new(),
                },
            };
            self.close_ordered(orders);
        }
        debug!("the network is down");
    }

    fn close_ordered(&mut self, orders: Vec<Order>) {
        for order in orders {
            if let Order::Close { connection } = order {
                self.swarm.close_connection(connection);
            }
        }
    }
}

/// The wall clock, for one purpose: to notice that the monotonic one stood still.
#[expect(clippy::disallowed_methods, reason = "it decides only whether to check the links, never what is stored")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Why a dial that was asked for could not even be handed to the task.
pub(crate) fn down<T>(_: T) -> DialError {
    DialError::Down
}
