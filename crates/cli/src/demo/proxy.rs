//! A TCP line that counts what passes and can be cut: what stands between the two devices of the demo.
//!
//! As a process of its own it is driven over its standard input, one word per line, and answers with one line of JSON
//! each: `cut`, `heal`, `count`, `to HOST:PORT`. It ends when its input ends, so it cannot outlive its parent.

use crate::exit::{Exit, Failure};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes moved at a time, per direction: the usual size of a socket's buffer, so that counting costs no speed.
const CHUNK_BYTES: usize = 64 * 1024;

/// What has passed since the proxy began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections passed on.
    pub connections: u64,
    /// Connections refused because the line was cut or the other side did not listen.
    pub refused: u64,
    /// Connections open now.
    pub open: u64,
    /// Bytes from who connected to who listens.
    pub bytes_there: u64,
    /// Bytes back.
    pub bytes_back: u64,
}

#[derive(Default)]
struct Shared {
    connections: AtomicU64,
    refused: AtomicU64,
    open: AtomicU64,
    bytes_there: AtomicU64,
    bytes_back: AtomicU64,
}

/// The state of the line. Every change of `epoch` closes what is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    whole: bool,
    to: SocketAddr,
    epoch: u64,
}

/// A running proxy. It ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on `listen` and passes every connection on to `to`.
    ///
    /// Errors: the address cannot be listened on.
    pub async fn start(listen: SocketAddr, to: SocketAddr) -> Result<Proxy, Failure> {
        let listening = |error: io::Error| Failure::io(format_args!("listen on {listen}"), &error);
        let listener = TcpListener::bind(listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let (line, state) = watch::channel(Line { whole: true, to, epoch: 0 });
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(listener, state, Arc::clone(&shared)));
        Ok(Proxy { address, line, shared, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection, and refuses new ones until [`Proxy::heal`].
    pub fn cut(&self) {
        self.line.send_modify(|line| {
            line.whole = false;
            line.epoch += 1;
        });
    }

    /// Passes connections on again.
    pub fn heal(&self) {
        self.line.send_modify(|line| line.whole = true);
    }

    /// Passes new connections on to another address; those that are open stay.
    pub fn redirect(&self, to: SocketAddr) {
        self.line.send_modify(|line| line.to = to);
    }

    /// What has passed so far.
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Counters {
            connections: read(&self.shared.connections),
            refused: read(&self.shared.refused),
            open: read(&self.shared.open),
            bytes_there: read(&self.shared.bytes_there),
            bytes_back: read(&self.shared.bytes_back),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort(); // the sender of the line goes too, which closes what is open
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<Line>, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            // The port stays bound while the line is cut, so that nobody else can take it; closing at once is what
            // a dialler sees of a refusal.
            Ok((stream, _)) => {
                tokio::spawn(pass_on(stream, state.clone(), Arc::clone(&shared)));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await, // out of file descriptors
        }
    }
}

async fn pass_on(near: TcpStream, mut state: watch::Receiver<Line>, shared: Arc<Shared>) {
    let line = *state.borrow_and_update();
    let far = match line.whole {
        true => TcpStream::connect(line.to).await.ok(),
        false => None,
    };
    let Some(far) = far else {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true)); // a delay would be counted as the protocol's
    shared.connections.fetch_add(1, Ordering::SeqCst);
    shared.open.fetch_add(1, Ordering::SeqCst);
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let there = pump(near_read, far_write, &shared.bytes_there);
    let back = pump(far_read, near_write, &shared.bytes_back);
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        _ = state.wait_for(|now| now.epoch != line.epoch) => {} // also when the proxy is dropped
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

/// Moves bytes one way until either side ends, then tells the other side.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counter: &AtomicU64) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(got) => {
                // Counted before it is passed on: who has received a byte can see it counted.
                counter.fetch_add(got as u64, Ordering::SeqCst);
                if to.write_all(&buffer[..got]).await.is_err() {
                    break;
                }
            }
        }
    }
    let _ = to.shutdown().await;
}

/// What the proxy process says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// The first line: where it listens.
    Listening(SocketAddr),
    /// The answer to every order that was understood.
    Counters(Counters),
    /// The answer to one that was not.
    Unknown(String),
}

/// Runs a proxy as a process of its own: orders from `input`, answers to `output`, until the input ends.
///
/// Errors: the address cannot be listened on; the output is gone.
pub async fn run(
    listen: SocketAddr,
    to: SocketAddr,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), Failure> {
    let proxy = Proxy::start(listen, to).await?;
    say(&mut output, &Said::Listening(proxy.address())).await?;
    let mut orders = input.lines();
    while let Some(order) =
        orders.next_line().await.map_err(|error| Failure::io("read the orders of the proxy", &error))?
    {
        let redirected = order.strip_prefix("to ").and_then(|address| address.trim().parse().ok());
        match (order.trim(), redirected) {
            ("cut", _) => proxy.cut(),
            ("heal", _) => proxy.heal(),
            ("count", _) => {}
            (_, Some(address)) => proxy.redirect(address),
            _ => {
                say(&mut output, &Said::Unknown(order)).await?;
                continue;
            }
        }
        say(&mut output, &Said::Counters(proxy.counters())).await?;
    }
    Ok(())
}

async fn say(output: &mut (impl AsyncWrite + Unpin), said: &Said) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(said)
        .map_err(|error| Failure::new(Exit::General, format!("cannot write the proxy's answer: {error}")))?;
    line.push(b'\n');
    let written = async {
        output.write_all(&line).await?;
        output.flush().await
    };
    written.await.map_err(|error| Failure::io("answer as the proxy", &error))
}
