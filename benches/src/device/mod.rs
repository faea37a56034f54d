//! Farshore's side: one node in a process of its own.

mod read;
mod trace;
mod write;

use std::path::Path;
use std::time::Duration;

use farshore::{Collection, EventStream, Node, Role, Space, Value, Watcher};
use farshore_bench_device::clock::now_ns;
use farshore_bench_device::{Answer, Command, Device, Traffic};
use tokio::runtime::Runtime;

/// The collection that all documents are in.
const COLLECTION: &str = "tasks";
/// How long a join may take: the inviter is on the same machine.
const JOIN_WAIT: Duration = Duration::from_secs(60);
/// How often the counters are looked at while waiting for silence.
const SETTLE_STEP: Duration = Duration::from_millis(20);

/// A node, driven by commands.
pub(crate) struct FarshoreDevice {
    runtime: Runtime,
    state: State,
}

#[derive(Default)]
struct State {
    node: Option<Node>,
    space: Option<Space>,
    tasks: Option<Collection<Value>>,
    watcher: Option<(Watcher, farshore::DocumentId)>,
    /// Events from the moment at which the device was told to connect.
    events: Option<EventStream>,
    /// What networks carried that are closed.
    carried: Traffic,
}

impl FarshoreDevice {
    pub(crate) fn new() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Ok(FarshoreDevice { runtime: runtime.map_err(text)?, state: State::default() })
    }
}

impl Device for FarshoreDevice {
    fn run(&mut self, command: Command) -> Result<Answer, String> {
        self.runtime.block_on(self.state.run(command))
    }

    fn traffic(&mut self) -> Traffic {
        self.runtime.block_on(self.state.traffic())
    }
}

impl State {
    async fn run(&mut self, command: Command) -> Result<Answer, String> {
        match command {
            Command::Open { path, network, read } => self.open(&path, network.as_deref(), read).await,
            Command::Found => {
                let space = self.node()?.create_space("bench").await.map_err(text)?;
                self.enter(space).await
            }
            Command::Invite => {
                let space = self.space.as_ref().ok_or("no space")?;
                self.node()?.invite(space, Role::Writer).open().await.map(Answer::Text).map_err(text)
            }
            Command::Join(ticket) => {
                let space = self.node()?.join(&ticket, JOIN_WAIT).await.map_err(text)?;
                self.enter(space).await
            }
            Command::Disconnect => {
                self.carried = self.traffic().await;
                self.node()?.suspend().await.map_err(text)?;
                Ok(Answer::Done)
            }
            Command::Connect { in_sync } => self.connect(in_sync).await,
            Command::Fill { from, count } => self.fill(from, count).await,
            Command::Text { changes } => self.text(changes).await,
            Command::Await(documents) => self.await_documents(&documents).await,
            Command::AwaitNumber { documents, number } => self.await_number(&documents, number).await,
            Command::SetNumbers { documents, number } => self.set_numbers(&documents, number).await,
            Command::Watch(document) => self.watch(&document),
            Command::Observe { from, count } => self.observe(from, count).await,
            Command::Count { document, from, count, every_us, in_flight } => {
                self.count(&document, from, count, every_us, in_flight).await
            }
            Command::CountMany { documents, each } => self.count_many(&documents, each).await,
            Command::Settle { quiet_ms } => self.settle(quiet_ms).await,
            Command::TextLength(document) => self.text_length(&document).await,
            Command::Trace { path, leave } => self.trace(&path, leave).await,
            Command::TraceRest { document, path, rest, every_us, in_flight } => {
                self.trace_rest(&document, &path, rest, every_us, in_flight).await
            }
            Command::AwaitTrace { document, path, leave } => self.await_trace(&document, &path, leave).await,
            Command::Usage => Err("the loop answers this itself".into()),
            Command::Close => {
                if let Some(node) = self.node.take() {
                    node.shutdown().await;
                }
                Ok(Answer::Done)
            }
        }
    }

    async fn open(&mut self, path: &Path, network: Option<&str>, read: Option<String>) -> Result<Answer, String> {
        let began_ns = now_ns();
        let builder = Node::builder(path.join("store.fsh")).mdns(false);
        let builder = match network {
            None => builder.offline(true),
            Some("tcp") => builder.quic(false).listen("/ip4/127.0.0.1/tcp/0"),
            Some("quic") => builder.listen("/ip4/127.0.0.1/udp/0/quic-v1"),
            Some(other) => return Err(format!("no transport {other}: tcp or quic")),
        };
        let node = builder.open().await.map_err(text)?;
        let open_ns = now_ns();
        let space = node.spaces().await.map_err(text)?.pop();
        self.node = Some(node);
        if let Some(space) = space {
            self.enter(space).await?;
        }
        let read_ns = match read {
            None => None,
            Some(document) => {
                let found = self.tasks()?.value(id(&document)?).await.map_err(text)?;
                found.ok_or("the document to read is not there")?;
                Some(now_ns())
            }
        };
        Ok(Answer::Opened { began_ns, open_ns, read_ns })
    }

    /// Makes a space the one that everything happens in, and its collection.
    async fn enter(&mut self, space: Space) -> Result<Answer, String> {
        self.tasks = Some(space.collection::<Value>(COLLECTION).await.map_err(text)?);
        self.space = Some(space);
        Ok(Answer::Done)
    }

    async fn connect(&mut self, in_sync: bool) -> Result<Answer, String> {
        let mut events = self.node()?.events().map_err(text)?;
        self.node()?.resume().await.map_err(text)?;
        if !in_sync {
            self.events = Some(events);
            return Ok(Answer::At(now_ns()));
        }
        read::in_sync(&mut events).await.map(Answer::At)
    }

    async fn settle(&self, quiet_ms: u64) -> Result<Answer, String> {
        let quiet_ns = quiet_ms * 1_000_000;
        let (mut last, mut since_ns) = (self.traffic().await, now_ns());
        while now_ns() < since_ns + quiet_ns {
            tokio::time::sleep(SETTLE_STEP).await;
            let now = self.traffic().await;
            if now != last {
                (last, since_ns) = (now, now_ns());
            }
        }
        Ok(Answer::At(since_ns))
    }

    async fn traffic(&self) -> Traffic {
        let mut sum = self.carried;
        let Some(node) = &self.node else { return sum };
        // While it is suspended there is no network, and `carried` has all.
        let Ok(status) = node.transport().await else { return sum };
        let strangers = status.links.iter().filter(|link| !status.peers.iter().any(|peer| peer.peer == link.peer));
        let peers = status.peers.iter().map(|peer| peer.traffic);
        for traffic in peers.chain(strangers.map(|link| link.traffic)) {
            for (flow, frames, bytes) in [
                (&traffic.sent, &mut sum.sent_frames, &mut sum.sent_bytes),
                (&traffic.received, &mut sum.received_frames, &mut sum.received_bytes),
            ] {
                *frames += flow.iter().map(|flow| flow.frames).sum::<u64>();
                *bytes += flow.iter().map(|flow| flow.bytes).sum::<u64>();
            }
        }
        sum
    }

    fn node(&self) -> Result<&Node, String> {
        self.node.as_ref().ok_or_else(|| "no store is open".to_owned())
    }

    fn tasks(&self) -> Result<&Collection<Value>, String> {
        self.tasks.as_ref().ok_or_else(|| "no space was founded or joined".to_owned())
    }
}

fn id(document: &str) -> Result<farshore::DocumentId, String> {
    document.parse().map_err(|_| format!("{document} is no document's id"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
