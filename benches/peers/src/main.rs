//! samod 0.16 as a device of farshore-bench: its documented file storage, its TCP transport, its default share policy (every
//! document is announced to every peer), and nothing tuned.
//!
//! What it acknowledges is in its memory; files are written behind, without a flush. So the times that the driver calls durable
//! are those at which the documents are there.

mod counted;
mod documents;
mod edits;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use farshore_bench_device::clock::now_ns;
use farshore_bench_device::{Answer, Command, Device, Traffic, serve};
use samod::storage::TokioFilesystemStorage;
use samod::{BackoffConfig, DialerHandle, DocHandle, DocumentId, Repo};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use counted::{CountedDialer, Counters, transport};

/// How long the documents' find is waited with when the peer has not said yet that it has one.
const AGAIN: Duration = Duration::from_millis(20);
/// How long nothing may pass before a device counts as in sync: samod has no word for it.
const QUIET_MS: u64 = 1_000;

struct SamodDevice {
    runtime: Runtime,
    state: State,
}

#[derive(Default)]
struct State {
    repo: Option<Repo>,
    address: String,
    peer: String,
    dialer: Option<DialerHandle>,
    handles: BTreeMap<String, DocHandle>,
    watched: Option<DocHandle>,
    counters: Arc<Counters>,
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    serve(SamodDevice { runtime, state: State::default() })
}

impl Device for SamodDevice {
    fn run(&mut self, command: Command) -> Result<Answer, String> {
        self.runtime.block_on(self.state.run(command))
    }

    fn traffic(&mut self) -> Traffic {
        self.state.counters.traffic()
    }
}

impl State {
    async fn run(&mut self, command: Command) -> Result<Answer, String> {
        match command {
            Command::Open { path, network, read } => self.open(&path, network.is_some(), read).await,
            Command::Found => Ok(Answer::Done),
            Command::Invite => Ok(Answer::Text(self.address.clone())),
            Command::Join(address) => {
                self.peer = address;
                self.connect(false).await.map(|_| Answer::Done)
            }
            Command::Disconnect => {
                if let Some(dialer) = self.dialer.take() {
                    dialer.close();
                }
                Ok(Answer::Done)
            }
            Command::Connect { in_sync } => self.connect(in_sync).await,
            Command::Fill { from, count } => self.fill(from, count).await,
            Command::Text { changes } => self.text(changes).await,
            Command::Await(documents) => self.await_documents(&documents).await,
            Command::AwaitNumber { documents, number } => self.await_number(&documents, number).await,
            Command::SetNumbers { documents, number } => self.set_numbers(&documents, number).await,
            Command::Watch(document) => {
                self.watched = Some(self.handle(&document).await?);
                Ok(Answer::Done)
            }
            Command::Observe { from, count } => self.observe(from, count).await,
            Command::Count { document, from, count, every_us, .. } => {
                self.count(&document, from, count, every_us).await
            }
            Command::Settle { quiet_ms } => Ok(Answer::At(self.settle(quiet_ms).await)),
            Command::TextLength(document) => {
                let handle = self.handle(&document).await?;
                Ok(Answer::Number(documents::progress(&handle)))
            }
            Command::Close => {
                if let Some(repo) = self.repo.take() {
                    repo.stop().await;
                }
                Ok(Answer::Done)
            }
            other => Err(format!("not for this engine: {other:?}")),
        }
    }

    async fn open(&mut self, path: &Path, network: bool, read: Option<String>) -> Result<Answer, String> {
        let began_ns = now_ns();
        let repo = Repo::build_tokio().with_storage(TokioFilesystemStorage::new(path)).load().await;
        let open_ns = now_ns();
        if network {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(text)?;
            self.address = format!("tcp://{}", listener.local_addr().map_err(text)?);
            let acceptor = repo.make_acceptor(self.address.parse().map_err(text)?).map_err(text)?;
            let counters = Arc::clone(&self.counters);
            tokio::spawn(async move {
                while let Ok((io, _)) = listener.accept().await {
                    if acceptor.accept(transport(io, &counters)).is_err() {
                        return;
                    }
                }
            });
        }
        self.repo = Some(repo);
        let read_ns = match read {
            None => None,
            Some(document) => {
                documents::progress(&self.handle(&document).await?);
                Some(now_ns())
            }
        };
        Ok(Answer::Opened { began_ns, open_ns, read_ns })
    }

    async fn connect(&mut self, in_sync: bool) -> Result<Answer, String> {
        let dialer = CountedDialer { url: self.peer.parse().map_err(text)?, counters: Arc::clone(&self.counters) };
        let dialer = self.repo()?.dial(BackoffConfig::default(), Arc::new(dialer)).map_err(text)?;
        dialer.established().await.map_err(text)?;
        self.dialer = Some(dialer);
        Ok(Answer::At(if in_sync { self.settle(QUIET_MS).await } else { now_ns() }))
    }

    /// Waits for silence; the time of the last message.
    async fn settle(&self, quiet_ms: u64) -> u64 {
        let since_ns = now_ns();
        loop {
            let last_ns = self.counters.last_ns().max(since_ns);
            let quiet_ns = now_ns() - last_ns;
            if quiet_ns >= quiet_ms * 1_000_000 {
                return self.counters.last_ns();
            }
            tokio::time::sleep(Duration::from_nanos(quiet_ms * 1_000_000 - quiet_ns)).await;
        }
    }

    fn repo(&self) -> Result<&Repo, String> {
        self.repo.as_ref().ok_or_else(|| "no store is open".to_owned())
    }

    /// A document's handle, from here or from the peer.
    async fn handle(&mut self, document: &str) -> Result<DocHandle, String> {
        if let Some(handle) = self.handles.get(document) {
            return Ok(handle.clone());
        }
        let handle = find(self.repo()?.clone(), id(document)?).await?;
        self.handles.insert(document.to_owned(), handle.clone());
        Ok(handle)
    }
}

async fn find(repo: Repo, id: DocumentId) -> Result<DocHandle, String> {
    loop {
        if let Some(handle) = repo.find(id.clone()).await.map_err(text)? {
            return Ok(handle);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn id(document: &str) -> Result<DocumentId, String> {
    document.parse().map_err(|_| format!("{document} is no document's id"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
