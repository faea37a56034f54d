//! Discovery by mDNS: who is on this network. A hint only: nothing here is proven.
//!
//! libp2p's mDNS behaviours run on a thread and a runtime of their own, outside the swarm. They spawn a task for each
//! interface that outlives the behaviour: after a restart, or a shutdown of the node, the old ones would go on answering
//! for it. Dropping their runtime is what ends them. And a flood of answers cannot slow the links down.

use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

/// What was heard.
#[cfg_attr(not(feature = "mdns"), allow(dead_code, reason = "without mDNS nothing is"))]
#[derive(Debug)]
pub(crate) enum Found {
    /// New addresses of peers.
    Discovered(Vec<(PeerId, Multiaddr)>),
    /// Addresses whose time is up.
    Expired(Vec<(PeerId, Multiaddr)>),
    /// What works, for the status: IPv4, then IPv6.
    Health { v4: Health, v6: Health },
}

/// Whether mDNS works for one of the two protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It asks and answers.
    On,
    /// It does not, and why. Links, and dials by address, work all the same.
    Off(String),
}

impl Health {
    pub(crate) fn off(why: &str) -> Self {
        Health::Off(why.to_owned())
    }
}

/// What the network task tells discovery.
#[cfg_attr(not(feature = "mdns"), allow(dead_code, reason = "without mDNS nobody reads them"))]
#[derive(Debug)]
enum Order {
    Listening(ListenerId, Multiaddr),
    ListenExpired(ListenerId, Multiaddr),
    Restart,
}

/// The handle to discovery's thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Discovery {
    orders: Option<mpsc::UnboundedSender<Order>>,
}

impl Discovery {
    /// Without mDNS, by configuration or by build.
    pub(crate) fn off() -> Self {
        Discovery { orders: None }
    }

    /// Starts to ask and answer. What is heard goes to `found`.
    #[cfg(feature = "mdns")]
    pub(crate) fn start(local: PeerId, found: mpsc::Sender<Found>) -> std::io::Result<Self> {
        // Unbounded, but fed only by changes of our own addresses and restarts.
        let (orders, inbox) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("farshore-mdns".to_owned()).spawn(move || mdns::run(local, inbox, found))?;
        Ok(Discovery { orders: Some(orders) })
    }

    /// An address that answers should name.
    pub(crate) fn listening(&self, listener: ListenerId, address: &Multiaddr) {
        self.order(Order::Listening(listener, address.clone()));
    }

    /// An address that answers should name no longer.
    pub(crate) fn listen_expired(&self, listener: ListenerId, address: &Multiaddr) {
        self.order(Order::ListenExpired(listener, address.clone()));
    }

    /// Forgets everything and asks anew: after sleep or a change of network the old sockets may be deaf.
    pub(crate) fn restart(&self) {
        self.order(Order::Restart);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The thread is gone only if it could not be set up, which its last Health said.
            let _ = orders.send(order);
        }
    }
}

#[cfg(feature = "mdns")]
mod mdns {
    use std::collections::BTreeSet;
    use std::future::poll_fn;
    use std::io;
    use std::net::Ipv4Addr;
    use std::task::Poll;

    use libp2p::core::transport::ListenerId;
    use libp2p::mdns::{Config, Event, tokio::Behaviour};
    use libp2p::multiaddr::Protocol;
    use libp2p::swarm::behaviour::{ExpiredListenAddr, NewListenAddr};
    use libp2p::swarm::{FromSwarm, NetworkBehaviour, ToSwarm};
    use libp2p::{Multiaddr, PeerId};
    use tokio::sync::mpsc;
    use tokio::time::sleep;
    use tracing::{info, warn};

    use super::{Found, Health, Order};
    use crate::limits::{
        MDNS_EAGER, MDNS_EAGER_INTERVAL, MDNS_FLOOD_PAUSE, MDNS_PATIENCE, MDNS_QUERY_INTERVAL, MDNS_TABLE_LIMIT,
        MDNS_TTL,
    };

    /// Why one life of the behaviours ended.
    enum End {
        /// Everything may be different: ask eagerly again.
        Restart,
        /// The eager time is over.
        Settled,
        Flooded,
        Stop,
    }

    /// What outlives the behaviours.
    struct Mdns {
        local: PeerId,
        orders: mpsc::UnboundedReceiver<Order>,
        found: mpsc::Sender<Found>,
        /// Our own addresses.
        addresses: Vec<(ListenerId, Multiaddr)>,
        /// Others' addresses that were reported, and have not expired. At most two lives' tables.
        known: BTreeSet<(PeerId, Multiaddr)>,
    }

    pub(super) fn run(local: PeerId, orders: mpsc::UnboundedReceiver<Order>, found: mpsc::Sender<Found>) {
        let mut mdns = Mdns { local, orders, found, addresses: Vec::new(), known: BTreeSet::new() };
        let mut eager = true;
        loop {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    warn!(%error, "mDNS is off: no runtime for it");
                    return;
                }
            };
            let end = runtime.block_on(live(&mut mdns, eager));
            drop(runtime); // ends the interface tasks and closes their sockets
            eager = !matches!(end, End::Settled);
            match end {
                End::Restart | End::Settled => {}
                End::Stop => return,
                End::Flooded => {
                    warn!(pause_s = MDNS_FLOOD_PAUSE.as_secs(), "mDNS is flooded: off for a while");
                    std::thread::sleep(MDNS_FLOOD_PAUSE);
                }
            }
        }
    }

    /// Waits until there is an address to answer with. libp2p's mDNS stops asking as soon as it hears any answer, also
    /// one to somebody else; if we had no address at that moment, nobody would hear of us before the next query.
    async fn first_address(mdns: &mut Mdns) -> Option<End> {
        let wait = sleep(MDNS_PATIENCE);
        tokio::pin!(wait);
        while mdns.addresses.is_empty() {
            tokio::select! {
                () = &mut wait => return None,
                order = mdns.orders.recv() => match order {
                    None => return Some(End::Stop),
                    Some(Order::Listening(listener, address)) => mdns.addresses.push((listener, address)),
                    Some(Order::ListenExpired(..) | Order::Restart) => {}
                }
            }
        }
        None
    }

    /// One life of the behaviours.
    async fn live(mdns: &mut Mdns, eager: bool) -> End {
        if let Some(end) = first_address(mdns).await {
            return end;
        }
        let Some(mut behaviours) = start(mdns, eager).await else { return End::Stop };
        // The new behaviours know nobody. Who is not heard of again has gone.
        let mut unconfirmed = mdns.known.clone();
        let (settled, gone) = (sleep(MDNS_EAGER), sleep(MDNS_TTL));
        tokio::pin!(settled, gone);
        loop {
            tokio::select! {
                () = &mut settled, if eager => return End::Settled,
                () = &mut gone, if !unconfirmed.is_empty() => {
                    let gone = std::mem::take(&mut unconfirmed).into_iter().collect();
                    if !report_expired(mdns, gone).await {
                        return End::Stop;
                    }
                }
                order = mdns.orders.recv() => match order {
                    None => return End::Stop,
                    Some(Order::Restart) => return End::Restart,
                    Some(Order::Listening(listener_id, addr)) => {
                        tell(&mut behaviours, FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr: &addr }));
                        mdns.addresses.push((listener_id, addr));
                    }
                    Some(Order::ListenExpired(listener_id, addr)) => {
                        let expired = ExpiredListenAddr { listener_id, addr: &addr };
                        tell(&mut behaviours, FromSwarm::ExpiredListenAddr(expired));
                        mdns.addresses.retain(|known| *known != (listener_id, addr.clone()));
                    }
                },
                event = next(&mut behaviours) => {
                    let told = match event {
                        Event::Discovered(peers) => {
                            let peers = usable(peers);
                            unconfirmed.retain(|known| !peers.contains(known));
                            mdns.known.extend(peers.iter().cloned());
                            mdns.found.send(Found::Discovered(peers)).await.is_ok()
                        }
                        Event::Expired(peers) => report_expired(mdns, usable(peers)).await,
                    };
                    if !told {
                        return End::Stop;
                    }
                    // The behaviours' tables also hold what we do not take up.
                    if behaviours.iter().any(|behaviour| behaviour.discovered_nodes().len() > MDNS_TABLE_LIMIT) {
                        let all = mdns.known.iter().cloned().collect();
                        return if report_expired(mdns, all).await { End::Flooded } else { End::Stop };
                    }
                }
            }
        }
    }

    /// False if nobody listens any more.
    async fn report_expired(mdns: &mut Mdns, peers: Vec<(PeerId, Multiaddr)>) -> bool {
        for peer in &peers {
            mdns.known.remove(peer);
        }
        mdns.found.send(Found::Expired(peers)).await.is_ok()
    }

    /// Starts the behaviours that can be started, and reports which. None if nobody listens any more.
    async fn start(mdns: &Mdns, eager: bool) -> Option<Vec<Behaviour>> {
        let mut behaviours = Vec::new();
        let v4 = start_one(mdns.local, eager, false, &mut behaviours);
        let v6 = start_one(mdns.local, eager, true, &mut behaviours);
        info!(?v4, ?v6, eager, "mDNS");
        mdns.found.send(Found::Health { v4, v6 }).await.ok()?;
        for (listener_id, addr) in &mdns.addresses {
            tell(&mut behaviours, FromSwarm::NewListenAddr(NewListenAddr { listener_id: *listener_id, addr }));
        }
        Some(behaviours)
    }

    /// `enable_ipv6` means IPv6 *instead of* IPv4, hence two behaviours.
    fn start_one(local: PeerId, eager: bool, enable_ipv6: bool, behaviours: &mut Vec<Behaviour>) -> Health {
        if let Err(error) = multicast_works(enable_ipv6) {
            return Health::Off(format!("no multicast: {error}"));
        }
        let query_interval = if eager { MDNS_EAGER_INTERVAL } else { MDNS_QUERY_INTERVAL };
        let config = Config { ttl: MDNS_TTL, query_interval, enable_ipv6 };
        match Behaviour::new(config, local) {
            Ok(behaviour) => {
                behaviours.push(behaviour);
                Health::On
            }
            Err(error) => Health::Off(error.to_string()),
        }
    }

    /// Whether the port and the group can be had. The behaviour itself would only log that they cannot.
    fn multicast_works(ipv6: bool) -> io::Result<()> {
        use libp2p::mdns::{IPV4_MDNS_MULTICAST_ADDRESS, IPV6_MDNS_MULTICAST_ADDRESS};
        use socket2::{Domain, Socket, Type};
        use std::net::{Ipv6Addr, SocketAddr};
        let socket = Socket::new(if ipv6 { Domain::IPV6 } else { Domain::IPV4 }, Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
        if ipv6 {
            socket.set_only_v6(true)?;
            socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 5353)).into())?;
            return socket.join_multicast_v6(&IPV6_MDNS_MULTICAST_ADDRESS, 0);
        }
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5353)).into())?;
        socket.join_multicast_v4(&IPV4_MDNS_MULTICAST_ADDRESS, &Ipv4Addr::UNSPECIFIED)
    }

    fn tell(behaviours: &mut [Behaviour], event: FromSwarm<'_>) {
        for behaviour in behaviours {
            behaviour.on_swarm_event(event);
        }
    }

    async fn next(behaviours: &mut [Behaviour]) -> Event {
        poll_fn(|cx| {
            for behaviour in behaviours.iter_mut() {
                // It also asks to pass addresses on to other behaviours; there are none.
                while let Poll::Ready(event) = behaviour.poll(cx) {
                    if let ToSwarm::GenerateEvent(event) = event {
                        return Poll::Ready(event);
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Without the link-local IPv6 addresses: a multiaddress has no scope, so a dial of one runs into its time-out.
    fn usable(peers: Vec<(PeerId, Multiaddr)>) -> Vec<(PeerId, Multiaddr)> {
        let scoped = |address: &Multiaddr| matches!(address.iter().next(), Some(Protocol::Ip6(ip)) if ip.is_unicast_link_local());
        peers.into_iter().filter(|(_, address)| !scoped(address)).collect()
    }
}
