//! Opening: from a path and a builder's choices to a running driver.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use farshore_core::batch::{Batch, Boot, StoreOp};
use farshore_core::replica::{NewIdentity, Replica};
use farshore_store::{OpenError, Store, StoreKey, load_key_file, load_or_create_key_file};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, broadcast, mpsc, watch};

use crate::config::{Builder, Create};
use crate::conflicts;
use crate::disk::{Disk, ReaderSlot, Reopen};
use crate::driver::{Driver, Observer, Parts};
use crate::error::Error;
use crate::latency::Latencies;
use crate::limits::{CONTROLS, EVENTS, REQUESTS};
use crate::net::Network;
use crate::node::{Inner, Node};
use crate::os::{self, Clock};
use crate::since::{MARKER_META, Marker, ONLINE_META, Session};
use crate::watch::Watchers;
use crate::work::Workers;

/// The port of last time, as two big-endian bytes. It is written together with the identity, so a store without it has none.
const PORT_META: &str = "node.port";

/// A store that is open and has an identity.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) boot: Boot,
    pub(crate) reopen: Reopen,
    /// The port that the store remembers.
    pub(crate) port: u16,
}

impl Node {
    pub(crate) async fn open_with(builder: Builder) -> Result<Node, Error> {
        let runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let of = builder.clone();
        let opened = runtime.spawn_blocking(move || open_store(&of)).await;
        let opened = opened.map_err(|error| Error::Internal(format!("opening the store panicked: {error}")))??;
        start(builder, opened)
    }
}

/// Starts threads and tasks around an open store.
pub(crate) fn start(mut builder: Builder, opened: Opened) -> Result<Node, Error> {
    let clock = Clock::new();
    let copied = opened.store.identity().copied;
    let kept: Vec<_> = opened.boot.meta.iter().filter(|(name, _)| is_session(name)).cloned().collect();
    let replica = Replica::open(opened.boot, copied, os::random()?, clock.now())
        .map_err(|error| Error::Replica(error.to_string()))?;
    if builder.network.port == 0 {
        builder.network.port = opened.port;
    }
    let (network, network_status) = Network::new(builder.network, *replica.identity().transport_seed());
    let reader = ReaderSlot::default();
    let (answers, answers_inbox) = mpsc::unbounded_channel();
    let workers = Workers::start(reader.clone(), answers.clone())?;
    let disk = Disk::start(opened.store, opened.reopen, reader.clone(), answers)?;
    let (asks, asks_inbox) = mpsc::channel(REQUESTS);
    let (controls, controls_inbox) = mpsc::channel(CONTROLS);
    let (events, _) = broadcast::channel(EVENTS);
    let (latencies, progress) = (Arc::new(Latencies::default()), Arc::new(watch::Sender::new(None)));
    let visible = Marker::new(os::wall_ms(), replica.applied());
    let session = Session::boot(&kept, replica.identity().device, visible);
    let conflicts = conflicts::start(reader.clone(), events.downgrade());
    let status = Arc::new(watch::Sender::new(None));
    let watchers = Arc::new(Watchers::default());
    let inner = Inner {
        path: builder.path,
        asks,
        controls,
        reader,
        watchers: Arc::clone(&watchers),
        events: events.downgrade(),
        latencies: Arc::clone(&latencies),
        progress: Arc::downgrade(&progress),
        status: Arc::downgrade(&status),
        network: network_status,
        change_locks: std::array::from_fn(|_| Mutex::new(())),
    };
    let driver = Driver::new(Parts {
        clock,
        replica,
        disk,
        workers,
        network,
        asks: asks_inbox,
        controls: controls_inbox,
        answers: answers_inbox,
        watchers,
        observer: Observer::new(events, latencies, conflicts, progress, session),
        status,
    });
    tokio::spawn(driver.run());
    Ok(Node { inner: Arc::new(inner) })
}

/// Whether a record of the store is about the times online or a marker of the app.
fn is_session(name: &str) -> bool {
    name == ONLINE_META || name.starts_with(MARKER_META)
}

/// Opens the store or creates it, as the builder says, and gives it an identity if it has none yet.
fn open_store(builder: &Builder) -> Result<Opened, Error> {
    let path = builder.path.clone();
    let there = std::fs::symlink_metadata(&path).is_ok();
    match (builder.create, there) {
        (Create::Never, false) => return Err(OpenError::Missing(path).into()),
        (Create::New, true) => return Err(OpenError::Exists(path).into()),
        _ => {}
    }
    let key = store_key(&path, builder.key_file.as_deref())?;
    let mut identity = None;
    let store = if there {
        Store::open(&path, &key)?
    } else {
        let new = identity.insert(new_identity(builder)?);
        Store::create(&path, &key, new.store)?
    };
    let reopen = Box::new(move || Store::open(&path, &key));
    prepare(store, reopen, builder, identity)
}

fn store_key(path: &Path, key_file: Option<&Path>) -> Result<StoreKey, Error> {
    match key_file {
        Some(key_file) => Ok(load_key_file(key_file)?),
        None => Ok(load_or_create_key_file(path, fresh_key)?),
    }
}

pub(crate) fn fresh_key(bytes: &mut [u8; 64]) -> std::io::Result<()> {
    *bytes = os::random().map_err(std::io::Error::other)?;
    Ok(())
}

fn new_identity(builder: &Builder) -> Result<NewIdentity, Error> {
    NewIdentity::create(os::random()?, &builder.name)
        .map_err(|error| Error::Invalid(format!("the device's name: {error}")))
}

/// Gives a store what it needs before its first replica: an identity, and a port that stays.
///
/// A crash after creation and before this leaves a store without identity; the next opening comes here again.
pub(crate) fn prepare(
    store: Store,
    reopen: Reopen,
    builder: &Builder,
    identity: Option<NewIdentity>,
) -> Result<Opened, Error> {
    let mut boot = store.boot()?;
    let saved = boot.meta.iter().find(|(name, _)| name == PORT_META);
    let saved = saved.and_then(|(_, value)| Some(u16::from_be_bytes(value.as_slice().try_into().ok()?)));
    let chosen = builder.network.offline || builder.network.port != 0 || !builder.network.listen.is_empty();
    let port = if chosen { saved.unwrap_or(0) } else { usable_port(saved) };
    let mut ops = Vec::new();
    if saved.is_none() {
        let identity = identity.map_or_else(|| new_identity(builder), Ok)?;
        ops.extend(identity.ops);
    }
    if saved != Some(port) {
        ops.push(StoreOp::PutMeta { name: PORT_META.to_owned(), value: port.to_be_bytes().to_vec() });
    }
    if !ops.is_empty() {
        store.apply(&[Batch { id: 0, ops }])?;
        boot = store.boot()?;
    }
    Ok(Opened { store, boot, reopen, port })
}

/// The saved port if it is free, else one that is, else 0: the system then chooses at each start, and peers that knew the old
/// address find this device by discovery only.
fn usable_port(saved: Option<u16>) -> u16 {
    let free = |port: u16| {
        let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?;
        let port = tcp.local_addr().ok()?.port();
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?;
        Some(port)
    };
    let saved = saved.filter(|port| *port != 0).and_then(free);
    // A port that is free for TCP may be taken for UDP; a few tries find one that is free for both.
    saved.or_else(|| (0..8).find_map(|_| free(0))).unwrap_or(0)
}

#[cfg(test)]
mod tests;
