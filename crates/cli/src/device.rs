//! The device behind the commands: opened in this process, or run for the others by `farshore up`.

use crate::control::{Client, Endpoint, Executor, Server, ServerOptions, Session};
use crate::exit::{Exit, Failure};
use crate::print::{Printer, clean};
use crate::settings::{Settings, Up};
use std::future::Future;
use std::sync::Arc;

// LEAD: the one place where the node is connected. `network` is `None` where a command opens the store for itself
// (`Node::builder(path).create(Create::Never).offline(true)`), and what `farshore up` was told otherwise.
/// Opens the store of these settings as something that runs requests.
///
/// Errors: no store there, damaged, in use, or from a newer version.
pub async fn open(settings: &Settings, network: Option<&Up>) -> Result<Arc<dyn Executor>, Failure> {
    let _ = network;
    Err(Failure::new(Exit::General, format!("cannot open {}: this build has no engine", settings.store.display())))
}

/// The way to the device of these settings: to the one that runs, or else to the store itself.
///
/// Errors: as for [`open`]; a running device that does not answer.
pub async fn session(settings: &Settings) -> Result<Session, Failure> {
    let endpoint = Endpoint::for_store(&settings.store)?;
    match Client::connect(&endpoint).await? {
        Some(client) => Ok(Session::Remote(client)),
        None => open(settings, None).await.map(Session::Local),
    }
}

/// Runs the device until `shutdown` is ready.
///
/// Errors: another one runs on the store ([`Exit::Busy`], naming its process); as for [`open`].
pub async fn up(
    settings: &Settings,
    up: &Up,
    shutdown: impl Future<Output = ()>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let endpoint = Endpoint::for_store(&settings.store)?;
    let claim = endpoint.claim()?; // before the store is opened, so that a second `up` is told who holds it
    let executor = open(settings, Some(up)).await?;
    let store = clean(&endpoint.store().display().to_string());
    printer.note(&format!("running on {store}; Ctrl-C stops it. Try `farshore status` in another terminal."));
    Server::new(claim, executor, crate::version::text(), ServerOptions::default()).run(shutdown).await;
    printer.note("stopped");
    Ok(())
}
