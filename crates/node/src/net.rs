//! Between the network and the core: events become inputs, outputs become calls, and what the network has no room for
//! waits here, bounded, or costs its link.
//!
//! A network that does not start is a line in the status, never a reason to stop working locally.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use farshore_core::input::{Class, Input, LinkId};
use farshore_core::output::PeerAddress;
use farshore_net::{self as transport, Direction, Health, Multiaddr, Net, Peer, SendError};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};
use zeroize::Zeroizing;

use crate::config::NetworkConfig;
use crate::error::Error;
use crate::limits::{DIAL_FAILURES, FRAME_OVERHEAD, LINK_OVERFLOW_BYTES, NETWORK_EVENTS};
use crate::status::{NetworkState, NetworkStatus};

/// What [`Network::next`] gives to [`Network::translate`].
pub(crate) type NetEvent = transport::Event;

/// The network as the driver sees it.
pub(crate) struct Network {
    config: NetworkConfig,
    seed: Zeroizing<[u8; 32]>,
    running: Option<Running>,
    links: BTreeMap<LinkId, Link>,
    /// Links whose end the core has yet to hear of.
    lost: Vec<LinkId>,
    /// Peers that the core wants to be linked with, and those that the configuration names.
    kept: BTreeMap<Vec<u8>, Vec<String>>,
    asked: BTreeMap<Vec<u8>, Vec<String>>,
    status: watch::Sender<NetworkStatus>,
}

struct Running {
    net: Net,
    events: mpsc::Receiver<transport::Event>,
}

/// One live link, and the frames that the network had no room for, by class.
#[derive(Default)]
struct Link {
    waiting: [VecDeque<Vec<u8>>; 3],
    waiting_bytes: usize,
}

/// What the status calls discovery by mDNS.
const DISCOVERY: &str = "mDNS";

/// All classes, most urgent first, with their place in [`Link::waiting`].
const CLASSES: [(Class, transport::Class); 3] =
    [(Class::Ctl, transport::Class::Ctl), (Class::Live, transport::Class::Live), (Class::Bulk, transport::Class::Bulk)];

fn to_transport(class: Class) -> (usize, transport::Class) {
    let at = CLASSES.iter().position(|(ours, _)| *ours == class).unwrap_or(0);
    (at, CLASSES[at].1)
}

fn from_transport(class: transport::Class) -> Class {
    CLASSES.iter().find(|(_, theirs)| *theirs == class).map_or(Class::Bulk, |(ours, _)| *ours)
}

impl Network {
    pub(crate) fn new(config: NetworkConfig, seed: [u8; 32]) -> (Self, watch::Receiver<NetworkStatus>) {
        let (status, watched) = watch::channel(NetworkStatus::default());
        let network = Network {
            config,
            seed: Zeroizing::new(seed),
            running: None,
            links: BTreeMap::new(),
            lost: Vec::new(),
            kept: BTreeMap::new(),
            asked: BTreeMap::new(),
            status,
        };
        (network, watched)
    }

    pub(crate) fn status(&self) -> NetworkStatus {
        self.status.borrow().clone()
    }

    /// Whether it should run and does not.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.status.borrow().state, NetworkState::Failed(_))
    }

    /// Starts the network, unless it runs or must not. What goes wrong is in the status.
    pub(crate) fn start(&mut self) {
        if self.config.offline || self.running.is_some() {
            return;
        }
        let (events, inbox) = mpsc::channel(NETWORK_EVENTS);
        let mut problems = BTreeMap::new();
        let config = self.transport_config(&mut problems);
        match Net::spawn(config, events) {
            Ok((net, _task)) => {
                let peer = net.local_peer().to_string();
                info!(%peer, "the network is up");
                self.status.send_replace(NetworkStatus {
                    state: NetworkState::Up,
                    peer,
                    problems,
                    ..NetworkStatus::default()
                });
                self.running = Some(Running { net, events: inbox });
                self.dial_configured();
                for peer in self.wanted().into_iter().collect::<Vec<_>>() {
                    self.apply(&peer);
                }
            }
            Err(error) => {
                warn!(%error, "the network could not be started; local work goes on");
                let state = NetworkState::Failed(error.to_string());
                self.status.send_replace(NetworkStatus { state, problems, ..NetworkStatus::default() });
            }
        }
    }

    fn transport_config(&self, problems: &mut BTreeMap<String, String>) -> transport::Config {
        let mut config = transport::Config::new(*self.seed, self.config.port);
        config.mdns = self.config.mdns;
        config.quic = self.config.quic;
        if !self.config.listen.is_empty() {
            config.listen = self.config.listen.iter().filter_map(|text| parse(text, problems)).collect();
        }
        if !self.config.quic {
            config.listen.retain(|address| !address.to_string().contains("/quic"));
        }
        config
    }

    fn dial_configured(&mut self) {
        for text in self.config.dial.clone() {
            match split_peer(&text) {
                Some((address, peer)) => self.want(peer, vec![address]),
                None => {
                    let (reply, _) = oneshot::channel();
                    self.dial(&text, reply);
                }
            }
        }
    }

    /// The next event. Waits for ever while there is no network.
    pub(crate) async fn next(&mut self) -> NetEvent {
        if let Some(running) = &mut self.running {
            if let Some(event) = running.events.recv().await {
                return event;
            }
            // The network's task has ended without being asked to: a fault, and no reason to spin.
            self.running = None;
            self.lose_links();
            self.problem(NetworkState::Failed(
                "the network's task ended unexpectedly; resume the node to start it again".into(),
            ));
        }
        std::future::pending().await
    }

    fn problem(&self, state: NetworkState) {
        self.status.send_modify(|status| {
            status.state = state;
            status.listening.clear();
        });
    }

    fn lose_links(&mut self) {
        self.lost.extend(std::mem::take(&mut self.links).into_keys());
    }

    /// What the core must hear of an event.
    pub(crate) fn translate(&mut self, event: NetEvent) -> Option<Input> {
        use transport::Event as E;
        match event {
            E::LinkUp { link, peer, address, direction, .. } => {
                let link = LinkId(link.0);
                self.links.insert(link, Link::default());
                self.status.send_modify(|status| {
                    status.unreachable.remove(&peer.to_string());
                });
                let dialled = direction == Direction::Out;
                Some(Input::LinkUp { link, peer: peer.to_bytes(), address: address.to_string(), dialled })
            }
            E::Frame { link, class, bytes } => {
                let link = LinkId(link.0);
                self.links.contains_key(&link).then(|| Input::Frame { link, class: from_transport(class), bytes })
            }
            E::Writable { link, class } => self.writable(LinkId(link.0), from_transport(class)),
            E::LinkDown { link, peer, reason } => {
                debug!(link = link.0, %peer, %reason, "link down");
                let link = LinkId(link.0);
                self.links.remove(&link).map(|_| Input::LinkDown { link })
            }
            E::Listening(address) => {
                info!(%address, "listening");
                self.listening(|listening| {
                    listening.insert(address.to_string());
                })
            }
            E::ListenExpired(address) => self.listening(|listening| {
                listening.remove(&address.to_string());
            }),
            E::ListenFailed { address, error } => {
                warn!(%address, %error, "cannot listen");
                self.status.send_modify(|status| {
                    status.problems.insert(address.to_string(), error.to_string());
                });
                None
            }
            E::DialFailed { peer, error } => {
                debug!(%peer, %error, "dial failed");
                self.unreachable(peer.to_string(), error.to_string());
                None
            }
            E::Discovered { peer, addresses } => {
                debug!(%peer, addresses = addresses.len(), "discovered");
                None
            }
            E::Discovery { v4, v6 } => {
                self.discovery(&v4, &v6);
                None
            }
            E::Resumed => None,
        }
    }

    /// Tells in the status when neighbours cannot find each other. One of the two protocols is enough.
    fn discovery(&self, v4: &Health, v6: &Health) {
        self.status.send_modify(|status| match (v4, v6) {
            (Health::Off(v4), Health::Off(v6)) => {
                let problem = format!(
                    "devices on this network are not found by themselves (IPv4: {v4}; IPv6: {v6}); a ticket or an address \
                     of the other device works all the same"
                );
                status.problems.insert(DISCOVERY.to_owned(), problem);
            }
            _ => drop(status.problems.remove(DISCOVERY)),
        });
    }

    fn listening(&self, change: impl FnOnce(&mut BTreeSet<String>)) -> Option<Input> {
        self.status.send_modify(|status| {
            let mut listening = status.listening.drain(..).collect();
            change(&mut listening);
            status.listening = listening.into_iter().collect();
        });
        Some(self.addresses())
    }

    /// What the core tells peers about where this device is.
    pub(crate) fn addresses(&self) -> Input {
        let announce = &self.config.announce;
        Input::Addresses(if announce.is_empty() { self.status.borrow().listening.clone() } else { announce.clone() })
    }

    fn unreachable(&self, peer: String, cause: String) {
        self.status.send_modify(|status| {
            if status.unreachable.len() >= DIAL_FAILURES && !status.unreachable.contains_key(&peer) {
                status.unreachable.pop_first();
            }
            status.unreachable.insert(peer, cause);
        });
    }

    /// Sends a frame, keeps it until there is room, or closes the link of a peer that does not read.
    pub(crate) fn send(&mut self, link: LinkId, class: Class, frame: Vec<u8>) {
        let (Some(running), Some(state)) = (&self.running, self.links.get_mut(&link)) else { return };
        let (at, theirs) = to_transport(class);
        let refused = if state.waiting[at].is_empty() {
            match running.net.send(transport::LinkId(link.0), theirs, frame) {
                Ok(()) | Err(SendError::Down) => return, // Its LinkDown is on its way.
                Err(SendError::Full { frame, .. }) => frame,
                Err(error) => return self.fault(link, &error.to_string()),
            }
        } else {
            frame
        };
        let bytes = refused.len() + FRAME_OVERHEAD;
        if state.waiting_bytes + bytes > LINK_OVERFLOW_BYTES {
            return self.fault(link, "the peer reads too slowly and its credit is used up");
        }
        state.waiting_bytes += bytes;
        state.waiting[at].push_back(refused);
    }

    /// Closes a link for a reason that the core does not know of yet.
    fn fault(&mut self, link: LinkId, reason: &str) {
        warn!(%link, reason, "closing a link");
        self.close(link, reason);
        self.lost.push(link);
    }

    /// Sends what waited. The core is told when nothing waits any more.
    fn writable(&mut self, link: LinkId, class: Class) -> Option<Input> {
        let running = self.running.as_ref()?;
        let state = self.links.get_mut(&link)?;
        let (at, theirs) = to_transport(class);
        while let Some(frame) = state.waiting[at].pop_front() {
            let bytes = frame.len() + FRAME_OVERHEAD;
            match running.net.send(transport::LinkId(link.0), theirs, frame) {
                Ok(()) => state.waiting_bytes -= bytes,
                Err(SendError::Full { frame, .. }) => {
                    state.waiting[at].push_front(frame);
                    break;
                }
                Err(_) => return None, // Its LinkDown is on its way.
            }
        }
        state.waiting.iter().all(VecDeque::is_empty).then_some(Input::Writable { link })
    }

    pub(crate) fn close(&mut self, link: LinkId, reason: &str) {
        if self.links.remove(&link).is_some()
            && let Some(running) = &self.running
        {
            running.net.close(transport::LinkId(link.0), reason);
        }
    }

    /// Closes every link; a replica that is gone need not hear of it.
    pub(crate) fn close_all(&mut self, reason: &str) {
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.close(link, reason);
        }
        self.lost.clear();
    }

    /// Links that ended here and whose end the core has yet to hear of.
    pub(crate) fn take_lost(&mut self) -> Vec<Input> {
        self.lost.drain(..).map(|link| Input::LinkDown { link }).collect()
    }

    /// Ends the network. What it takes to say goodbye is in the future; nothing waits for it here.
    pub(crate) fn stop(&mut self, state: NetworkState) -> impl Future<Output = ()> + use<> {
        self.lose_links();
        let running = self.running.take();
        if !self.config.offline {
            self.problem(state);
        }
        async move {
            if let Some(running) = running {
                running.net.shutdown().await;
            }
        }
    }

    /// The operating system says that the network is another one; also tries again what could not be started.
    pub(crate) fn changed(&mut self) {
        match &self.running {
            Some(running) => running.net.network_changed(),
            None if matches!(self.status.borrow().state, NetworkState::Failed(_)) => {}
            None => return,
        }
        self.start();
    }

    /// The peers that the core wants to be linked with, from now on.
    pub(crate) fn keep(&mut self, peers: Vec<PeerAddress>) {
        let before = std::mem::take(&mut self.kept);
        self.kept = peers.into_iter().map(|peer| (peer.peer, peer.addresses)).collect();
        let touched: BTreeSet<Vec<u8>> = before.keys().chain(self.kept.keys()).cloned().collect();
        for peer in touched {
            if before.get(&peer) != self.kept.get(&peer) {
                self.apply(&peer);
            }
        }
    }

    /// Wants a peer that the configuration names, whether the core knows it or not.
    fn want(&mut self, peer: Vec<u8>, addresses: Vec<String>) {
        self.asked.insert(peer.clone(), addresses);
        self.apply(&peer);
    }

    fn wanted(&self) -> BTreeSet<Vec<u8>> {
        self.kept.keys().chain(self.asked.keys()).cloned().collect()
    }

    /// Tells the network what is now wanted of a peer.
    fn apply(&self, peer: &[u8]) {
        let Some(running) = &self.running else { return };
        let Ok(id) = Peer::from_bytes(peer) else {
            return warn!("a peer id that is none cannot be dialled");
        };
        let (kept, asked) = (self.kept.get(peer), self.asked.get(peer));
        let mut ignored = BTreeMap::new();
        let addresses = kept.into_iter().chain(asked).flatten().filter_map(|text| parse(text, &mut ignored)).collect();
        running.net.want_peer(id, addresses, kept.is_some() || asked.is_some());
    }

    /// Dials an address once, on a task of its own.
    pub(crate) fn dial(&self, address: &str, reply: oneshot::Sender<Result<(), Error>>) {
        let (net, parsed) = match self.dialable(address) {
            Ok(dialable) => dialable,
            Err(error) => {
                let _ = reply.send(Err(error)); // Whoever asked may have stopped waiting.
                return;
            }
        };
        let address = address.to_owned();
        tokio::spawn(async move {
            let dialled = net.dial(None, vec![parsed]).await;
            if let Err(error) = &dialled {
                warn!(%address, %error, "dial failed");
            }
            let result = dialled.map(|_| ()).map_err(|error| Error::Dial { address, cause: error.to_string() });
            let _ = reply.send(result); // Whoever asked may have stopped waiting.
        });
    }

    /// Asks the network what it is doing, on a task of its own.
    pub(crate) fn transport(&self, reply: oneshot::Sender<Result<transport::Status, Error>>) {
        let net = self.running.as_ref().map(|running| running.net.clone());
        tokio::spawn(async move {
            let status = match net {
                Some(net) => net.status().await.map_err(|error| Error::NoNetwork(error.to_string())),
                None => Err(Error::NoNetwork("open it with a network, or resume it".into())),
            };
            let _ = reply.send(status); // Whoever asked may have stopped waiting.
        });
    }

    fn dialable(&self, address: &str) -> Result<(Net, Multiaddr), Error> {
        let running = self.running.as_ref();
        let running = running.ok_or_else(|| Error::NoNetwork("open it with a network, or resume it".into()))?;
        let parsed = address.parse().map_err(|error| {
            let cause = format!("it is not a multiaddr such as /ip4/192.0.2.7/tcp/4001 ({error})");
            Error::Dial { address: address.to_owned(), cause }
        })?;
        Ok((running.net.clone(), parsed))
    }
}

fn parse(text: &str, problems: &mut BTreeMap<String, String>) -> Option<Multiaddr> {
    match text.parse() {
        Ok(address) => Some(address),
        Err(error) => {
            let problem = format!("it is not a multiaddr such as /ip4/0.0.0.0/tcp/4001 ({error})");
            problems.insert(text.to_owned(), problem);
            None
        }
    }
}

/// Splits `/ip4/…/p2p/12D3…` into the address and the peer's bytes.
fn split_peer(text: &str) -> Option<(String, Vec<u8>)> {
    let (address, peer) = text.rsplit_once("/p2p/")?;
    let peer: Peer = peer.parse().ok()?;
    Some((address.to_owned(), peer.to_bytes()))
}

/// A peer id as people and logs see it.
pub(crate) fn peer_name(peer: &[u8]) -> String {
    Peer::from_bytes(peer).map(|peer| peer.to_string()).unwrap_or_default()
}

/// The bytes of a peer id as people see it.
pub(crate) fn peer_bytes(name: &str) -> Result<Vec<u8>, Error> {
    let peer: Peer = name.parse().map_err(|_| Error::NoNetwork("it has no peer id yet; try again".into()))?;
    Ok(peer.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_peer_id_is_split() {
        let peer = Peer::of_seed(&[3; 32]).unwrap();
        let text = format!("/ip4/127.0.0.1/tcp/4001/p2p/{peer}");
        assert_eq!(split_peer(&text), Some(("/ip4/127.0.0.1/tcp/4001".to_owned(), peer.to_bytes())));
        assert_eq!(split_peer("/ip4/127.0.0.1/tcp/4001"), None);
        assert_eq!(split_peer("/ip4/127.0.0.1/tcp/4001/p2p/nobody"), None);
        assert_eq!(peer_bytes(&peer_name(&peer.to_bytes())).unwrap(), peer.to_bytes());
    }
}
