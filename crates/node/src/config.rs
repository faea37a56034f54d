//! How a node is opened: every choice with its default.

use std::path::PathBuf;

use crate::error::Error;
use crate::node::Node;

/// Whether a store is created when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Create {
    /// Opens the store, or creates it.
    #[default]
    IfMissing,
    /// Refuses to create: for a program that must not start over because of a mistyped path.
    Never,
    /// Refuses to open one that is there.
    New,
}

/// What the network does. The transport's port, addresses and discovery.
#[derive(Debug, Clone)]
pub(crate) struct NetworkConfig {
    pub(crate) offline: bool,
    /// Exact multiaddrs; empty: all interfaces, on `port`.
    pub(crate) listen: Vec<String>,
    /// 0: the one that the store remembers, or any free one, which the store then remembers.
    pub(crate) port: u16,
    /// What peers are told instead of the addresses listened on; empty: those.
    pub(crate) announce: Vec<String>,
    pub(crate) mdns: bool,
    pub(crate) quic: bool,
    /// Addresses that are dialled at start; with a peer id at their end they are kept.
    pub(crate) dial: Vec<String>,
}

/// Opens a [`Node`] with other choices than the defaults.
///
/// ```no_run
/// # async fn run() -> Result<(), farshore::Error> {
/// let node = farshore::Node::builder("todos.fsh").name("Ada's laptop").mdns(false).open().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct Builder {
    pub(crate) path: PathBuf,
    pub(crate) create: Create,
    pub(crate) name: String,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) network: NetworkConfig,
}

impl Builder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Builder {
            path,
            create: Create::default(),
            name: "device".into(),
            key_file: None,
            network: NetworkConfig {
                offline: false,
                listen: Vec::new(),
                port: 0,
                announce: Vec::new(),
                mdns: true,
                quic: true,
                dial: Vec::new(),
            },
        }
    }

    /// Whether the store is created when there is none. Default: [`Create::IfMissing`].
    pub fn create(mut self, create: Create) -> Self {
        self.create = create;
        self
    }

    /// What this device calls itself to other members, used when the store is created. Default: `device`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The file with the store's key. Default: the store's path with `.key` appended, created together with the store.
    ///
    /// A key file named here must exist already.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_file = Some(path.into());
        self
    }

    /// Runs without a network: nothing listens, nothing is dialled. Default: off.
    pub fn offline(mut self, offline: bool) -> Self {
        self.network.offline = offline;
        self
    }

    /// The port for TCP and QUIC on all interfaces. Default: 0, which means the port of last time, or any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.network.port = port;
        self
    }

    /// Listens on this multiaddr, for example `/ip4/127.0.0.1/tcp/0`, instead of on all interfaces. May be called several
    /// times.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.network.listen.push(address.into());
        self
    }

    /// Tells members this multiaddr instead of those at which this device listens: that of a forwarded port or of a proxy in
    /// front of it. May be called several times. Tickets have [`Invitation::address`](crate::Invitation::address).
    pub fn announce(mut self, address: impl Into<String>) -> Self {
        self.network.announce.push(address.into());
        self
    }

    /// Whether devices on the same network find each other by multicast DNS. Default: on, where it was compiled in.
    pub fn mdns(mut self, on: bool) -> Self {
        self.network.mdns = on;
        self
    }

    /// Whether QUIC is used beside TCP. Default: on, where it was compiled in.
    pub fn quic(mut self, on: bool) -> Self {
        self.network.quic = on;
        self
    }

    /// Dials this multiaddr at start. With a peer id at its end (`/p2p/…`) it is dialled again whenever the link is lost. May
    /// be called several times.
    pub fn dial(mut self, address: impl Into<String>) -> Self {
        self.network.dial.push(address.into());
        self
    }

    /// Opens the node. It returns when the store is open; the network comes up by itself.
    ///
    /// # Errors
    /// [`Error::Open`] and [`Error::Key`] when the store cannot be opened, each with its remedy; never for want of a network.
    ///
    /// # Cost
    /// Independent of the store's size.
    pub async fn open(self) -> Result<Node, Error> {
        Node::open_with(self).await
    }
}
