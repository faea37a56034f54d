//! [`Net`]: the handle to the network, and its [`Config`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use libp2p::Multiaddr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::Peer;
use crate::book::Book;
use crate::dials::Dials;
use crate::discovery::{Discovery, Health};
use crate::error::{DialError, DownReason, Error, SendError};
use crate::event::{Event, LinkId};
use crate::frame::Class;
use crate::limits::HEARTBEAT;
use crate::links::{LinkTable, Links};
use crate::listen::default_addresses;
use crate::peer::keypair;
use crate::status::Status;
use crate::task::{Command, Task, down};
use crate::transport;

/// How the network is set up. The limits are constants, in [`crate::limits`].
#[derive(Clone)]
pub struct Config {
    /// Seed of the Ed25519 transport key. Wiped when dropped, never printed.
    pub seed: Zeroizing<[u8; 32]>,
    /// Where to listen; empty listens nowhere, and only dials.
    pub listen: Vec<Multiaddr>,
    /// Whether to look for peers on the local network, and be found there.
    pub mdns: bool,
    /// Whether to use QUIC beside TCP, in a build that has it.
    pub quic: bool,
    /// Whether to dial discovered peers that are not wanted: while an invitation is open to anybody nearby.
    pub dial_unknown: bool,
    /// Time between two pings of a link.
    pub heartbeat: Duration,
}

impl Config {
    /// Everything on: QUIC and TCP over IPv4 and IPv6 on `port`, or for 0 on ports that the system chooses; mDNS.
    pub fn new(seed: [u8; 32], port: u16) -> Self {
        Config {
            seed: Zeroizing::new(seed),
            listen: default_addresses(port),
            mdns: true,
            quic: true,
            dial_unknown: false,
            heartbeat: HEARTBEAT,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("mdns", &self.mdns)
            .field("quic", &self.quic)
            .field("dial_unknown", &self.dial_unknown)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}

/// A handle to the network. Cheap to clone; when the last one is dropped, the network shuts down.
#[derive(Clone)]
pub struct Net {
    local: Peer,
    links: LinkTable,
    /// Unbounded, but the task takes commands whatever else it waits for, and only our own owner gives any.
    commands: mpsc::UnboundedSender<Command>,
}

impl Net {
    /// Starts the network on the current tokio runtime. What happens arrives at `events`: give it room for some
    /// hundred events, of which each may be a frame of up to 64 KiB. While it is full, streams are not read and peers
    /// feel it. When its receiver is dropped, the network shuts down.
    ///
    /// The task that is returned ends after a shutdown; it never has an error.
    ///
    /// # Errors
    /// [`Error::NoRuntime`], [`Error::Key`], [`Error::Transport`]. What cannot be listened on is no error here but an
    /// [`Event::ListenFailed`].
    pub fn spawn(config: Config, events: mpsc::Sender<Event>) -> Result<(Net, JoinHandle<()>), Error> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let keypair = keypair(&config.seed)?;
        let local = keypair.public().to_peer_id();
        let swarm = transport::swarm(&keypair, config.quic)?;
        let (commands, command_inbox) = mpsc::unbounded_channel();
        // A link reports its end twice, and each check it passes: bounded by the links.
        let (reports, report_inbox) = mpsc::unbounded_channel();
        let (discovery, mdns, found) = discovery(&config, local);
        let links = Links::new(local, events.clone(), reports, config.heartbeat);
        let net = Net { local: Peer(local), links: links.table(), commands };
        let task = Task {
            swarm,
            listen: config.listen,
            warm_quic: config.quic,
            commands: command_inbox,
            reports: report_inbox,
            found,
            events,
            discovery,
            mdns,
            book: Book::new(local, config.dial_unknown),
            links,
            dials: Dials::new(),
            waiting: VecDeque::new(),
            listen_failures: Vec::new(),
        };
        Ok((net, runtime.spawn(task.run())))
    }

    /// Who we are.
    pub fn local_peer(&self) -> Peer {
        self.local
    }

    /// Dials a peer now, at these addresses and those already known, and waits until a link is up; at once if one is.
    /// Without a peer, addresses may end in `/p2p/...`; an address without takes whoever answers.
    /// Names (`/dns/...`) are resolved by the operating system.
    ///
    /// # Errors
    /// [`DialError`], within some 30 s.
    pub async fn dial(&self, peer: Option<Peer>, addresses: Vec<Multiaddr>) -> Result<Peer, DialError> {
        let (reply, answer) = oneshot::channel();
        let peer = peer.map(|peer| peer.0);
        self.commands.send(Command::Dial { peer, addresses, reply }).map_err(down)?;
        answer.await.map_err(down)?
    }

    /// Keeps a link to a peer, or no longer does. It is dialled at once, and again after each loss, with growing
    /// waits. `addresses` replace those given before, unless there are none. Ending it closes no link:
    /// see [`Net::close`].
    pub fn want_peer(&self, peer: Peer, addresses: Vec<Multiaddr>, want: bool) {
        let peer = peer.0;
        self.command(if want { Command::Want { peer, addresses } } else { Command::Unwant(peer) });
    }

    /// Whether to dial discovered peers that are not wanted.
    pub fn dial_unknown(&self, on: bool) {
        self.command(Command::DialUnknown(on));
    }

    /// Queues a frame. Never waits.
    ///
    /// # Errors
    /// [`SendError`]; a full queue gives the frame back and says [`Event::Writable`] when half of it is free.
    pub fn send(&self, link: LinkId, class: Class, frame: Vec<u8>) -> Result<(), SendError> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        links.get(&link).ok_or(SendError::Down)?.send(class, frame)
    }

    /// Closes a link. What is queued has 150 ms to leave; its [`Event::LinkDown`] follows. If the peer is wanted it
    /// will be dialled again.
    pub fn close(&self, link: LinkId, reason: impl Into<String>) {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = links.get(&link) {
            shared.end(DownReason::Local(reason.into()));
        }
    }

    /// The network may have changed, or the machine woke up: all links are checked, waits between dials start over,
    /// and discovery begins anew.
    pub fn network_changed(&self) {
        self.command(Command::NetworkChanged);
    }

    /// What the network is doing.
    ///
    /// # Errors
    /// [`Error::Down`] after a shutdown.
    pub async fn status(&self) -> Result<Status, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Status(reply)).map_err(|_| Error::Down)?;
        answer.await.map_err(|_| Error::Down)
    }

    /// Closes all links and connections, and ends the network. Takes at most 200 ms.
    pub async fn shutdown(&self) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).is_ok() {
            // An error means that it has ended already.
            let _ = ended.await;
        }
    }

    fn command(&self, command: Command) {
        // After a shutdown there is nothing left to command.
        let _ = self.commands.send(command);
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("local", &self.local).finish_non_exhaustive()
    }
}

fn discovery(
    config: &Config,
    local: libp2p::PeerId,
) -> (Discovery, [Health; 2], mpsc::Receiver<crate::discovery::Found>) {
    let (found, found_inbox) = mpsc::channel(64);
    let (discovery, why) =
        if !config.mdns { (Discovery::off(), "switched off") } else { start_discovery(local, found) };
    (discovery, [Health::off(why), Health::off(why)], found_inbox)
}

#[cfg(feature = "mdns")]
fn start_discovery(local: libp2p::PeerId, found: mpsc::Sender<crate::discovery::Found>) -> (Discovery, &'static str) {
    match Discovery::start(local, found) {
        Ok(discovery) => (discovery, "starting"),
        Err(error) => {
            tracing::warn!(%error, "mDNS is off: no thread for it");
            (Discovery::off(), "no thread for it")
        }
    }
}

#[cfg(not(feature = "mdns"))]
fn start_discovery(_: libp2p::PeerId, _: mpsc::Sender<crate::discovery::Found>) -> (Discovery, &'static str) {
    (Discovery::off(), "not in this build")
}
