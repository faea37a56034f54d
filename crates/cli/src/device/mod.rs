//! The device behind the commands: opened in this process, or run for the others by `farshore up`.

mod check;
mod convert;
mod documents;
mod executor;
mod failure;
mod state;
mod watching;

use crate::control::{Client, Endpoint, Executor, InitItem, Reply, Server, ServerOptions, Session, UpItem};
use crate::exit::{Exit, Failure};
use crate::limits::LISTENING_WAIT;
use crate::print::{Printer, clean};
use crate::settings::{Settings, Up};
pub use check::check;
use executor::Device;
use farshore::{Builder, Create, NetworkState, Node, OpenError};
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Whether a command that opens the store for itself needs peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// It works on the store alone.
    Off,
    /// It talks to a peer, or must know where peers will find this device.
    On,
}

/// Opens the store of these settings for this command alone.
///
/// Errors: no store there, damaged, in use, or from a newer version.
async fn open(settings: &Settings, network: Network) -> Result<Arc<dyn Executor>, Failure> {
    let builder = Node::builder(&settings.store).create(Create::Never).offline(network == Network::Off);
    Ok(Arc::new(Device { node: builder.open().await?, pid: None }))
}

/// The way to the device of these settings: to the one that runs, or else to the store itself.
///
/// Errors: as the store gives them; a running device that does not answer.
pub async fn session(settings: &Settings, network: Network) -> Result<Session, Failure> {
    let endpoint = Endpoint::for_store(&settings.store)?;
    match Client::connect(&endpoint).await? {
        Some(client) => Ok(Session::Remote(client)),
        None => {
            look(&settings.store)?;
            open(settings, network).await.map(Session::Local)
        }
    }
}

/// Looks at a path before anything is made of it: a plain mistake gets its own answer, and leaves no traces.
fn look(store: &Path) -> Result<(), Failure> {
    let problem = match store.metadata() {
        Ok(meta) if meta.is_dir() => OpenError::IsDirectory(store.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => OpenError::Missing(store.to_owned()),
        // The store says the rest better.
        Ok(_) | Err(_) => return Ok(()),
    };
    Err(farshore::Error::from(problem).into())
}

/// Creates the store of these settings.
///
/// Errors: there is one already; the directory is missing or not writable.
pub async fn init(settings: &Settings, name: &str, printer: &mut Printer) -> Result<(), Failure> {
    if let (true, Some(directory)) = (settings.store_is_default, settings.store.parent()) {
        std::fs::create_dir_all(directory)
            .map_err(|error| Failure::io(format_args!("create {}", directory.display()), &error))?;
    }
    let parent = settings.store.parent().filter(|parent| !parent.as_os_str().is_empty());
    if parent.is_some_and(|parent| !parent.exists()) {
        return Err(farshore::Error::from(OpenError::NoDirectory(settings.store.clone())).into());
    }
    let node = Node::builder(&settings.store).create(Create::New).name(name).offline(true).open().await?;
    let device = node.device().await?.to_string();
    node.shutdown().await;
    let store = std::path::absolute(&settings.store).unwrap_or_else(|_| settings.store.clone());
    let key = store.display().to_string() + ".key";
    let item = InitItem { device, name: name.to_owned(), store: store.display().to_string(), key };
    if printer.is_json() {
        printer.envelope(&Reply::Item(crate::control::encode(&item)?))?;
        return printer.envelope(&Reply::Done {});
    }
    printer.line(&format!("{}  {}", clean(&item.name), item.device))?;
    printer.note(&format!("created {}; its key is {}", clean(&item.store), clean(&item.key)));
    printer.note("Next:  farshore space create NAME    or, with a ticket of another device:  farshore join TICKET");
    Ok(())
}

/// Runs the device until `shutdown` is ready.
///
/// Errors: another one runs on the store ([`Exit::Busy`], naming its process); the address that was asked for cannot be
/// listened on; and those of the store.
pub async fn up(
    settings: &Settings,
    up: &Up,
    shutdown: impl Future<Output = ()>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    look(&settings.store)?;
    let endpoint = Endpoint::for_store(&settings.store)?;
    let claim = endpoint.claim()?; // before the store is opened, so that a second `up` is told who holds it
    let node = builder(settings, up).open().await?;
    let device = Arc::new(Device { node: node.clone(), pid: Some(std::process::id()) });
    let listening = tell_addresses(&node, &device, up, printer).await;
    if let Err(failure) = listening {
        node.shutdown().await;
        return Err(failure);
    }
    Server::new(claim, device, crate::version::text(), ServerOptions::default()).run(shutdown).await;
    node.shutdown().await;
    printer.note("stopped");
    if printer.is_json() { printer.envelope(&Reply::Done {}) } else { Ok(()) }
}

fn builder(settings: &Settings, up: &Up) -> Builder {
    let mut builder =
        Node::builder(&settings.store).create(Create::Never).port(up.port.unwrap_or(0)).mdns(up.mdns).quic(up.quic);
    for address in &up.listen {
        builder = builder.listen(address);
    }
    for address in &up.announce {
        builder = builder.announce(address);
    }
    for address in &up.peers {
        builder = builder.dial(address);
    }
    builder
}

/// Waits until the device listens, which takes milliseconds where it works at all, and tells where.
///
/// Errors: addresses were asked for, and there is none.
async fn tell_addresses(node: &Node, device: &Device, up: &Up, printer: &mut Printer) -> Result<(), Failure> {
    let waiting = async {
        loop {
            let network = node.network();
            let failed = matches!(network.state, NetworkState::Failed(_));
            if failed || !network.listening.is_empty() || !network.problems.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // Listening on several addresses is several events.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let _ = tokio::time::timeout(LISTENING_WAIT, waiting).await; // what is not known by then is told as it is
    let status = device.status_item(&node.status().await?);
    let network = node.network();
    let listening = state::addresses(&network);
    if network.listening.is_empty() && (up.port.is_some() || !up.listen.is_empty()) {
        let why = match (&network.state, status.problems.is_empty()) {
            (NetworkState::Failed(cause), _) => cause.clone(),
            (_, false) => status.problems.join("\n  "),
            (_, true) => "nothing could be listened on".to_owned(),
        };
        return Err(Failure::new(Exit::Unavailable, format!("cannot listen where it was asked to: {why}"))
            .remedy("choose another --port or --listen, or leave both out for a free port"));
    }
    let pid = std::process::id();
    if printer.is_json() {
        let item = UpItem { pid, device: status.device, store: status.store, listening, problems: status.problems };
        printer.envelope(&Reply::Item(crate::control::encode(&item)?))?;
        return printer.flush();
    }
    printer.note(&format!("{} runs on {} (process {pid})", clean(&status.name), clean(&status.store)));
    for address in &listening {
        printer.note(&format!("  {}", clean(address)));
    }
    for problem in &status.problems {
        printer.warning(&clean(problem));
    }
    if listening.is_empty() {
        printer.warning("no peer can reach this device; it can still dial others");
    }
    printer.note("Ctrl-C stops it. Try `farshore status` in another terminal.");
    Ok(())
}
