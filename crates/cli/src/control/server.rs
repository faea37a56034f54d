//! The side of the control socket that `farshore up` runs.

use super::endpoint::Claim;
use super::exchange::{Batches, Exchange, Executor, ReplySink};
use super::line::{LineError, LineReader};
use super::message::{Batch, CONTROL_VERSION, ClientLine, Greeting, Reply, Request};
use crate::exit::{Exit, Failure};
use crate::limits::{
    BATCHES_UNACKNOWLEDGED_MAX, CLIENTS_END_WAIT, CLIENTS_MAX, REPLIES_QUEUED_MAX, REPLY_LINE_LIMIT_BYTES,
    REPLY_WRITE_WAIT, REQUEST_LINE_LIMIT_BYTES, REQUEST_WAIT,
};
use futures::FutureExt as _;
use serde::Serialize;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What a server allows its clients. The defaults are the constants of [`crate::limits`].
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Clients at a time.
    pub clients_max: usize,
    /// How long a client may take for a request line.
    pub request_wait: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions { clients_max: CLIENTS_MAX, request_wait: REQUEST_WAIT }
    }
}

/// Serves the control socket of one device.
pub struct Server {
    claim: Claim,
    executor: Arc<dyn Executor>,
    greeting: Greeting,
    options: ServerOptions,
}

impl Server {
    /// A server on a claimed socket. `version` is told to clients.
    pub fn new(claim: Claim, executor: Arc<dyn Executor>, version: &str, options: ServerOptions) -> Self {
        let greeting = Greeting { control: CONTROL_VERSION, pid: std::process::id(), version: version.to_owned() };
        Server { claim, executor, greeting, options }
    }

    /// Serves until `shutdown` is ready; then ends every running request with an error and waits for the clients to
    /// have been told. The socket is gone when this returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = clients.join_next() => {} // a client's end, even by a panic, is its own affair
                accepted = self.claim.listener.accept() => match accepted {
                    Ok((stream, _)) if clients.len() < self.options.clients_max => {
                        let connection = Connection {
                            executor: Arc::clone(&self.executor),
                            greeting: self.greeting.clone(),
                            options: self.options,
                            stopped: stopped.clone(),
                        };
                        clients.spawn(connection.serve(stream));
                    }
                    Ok((stream, _)) => {
                        clients.spawn(turn_away(stream, self.greeting.clone(), self.options.clients_max));
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: serve those who are here, then try again.
                        tracing::warn!(%error, "the control socket accepts nobody for now");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
        let _ = stop.send(true);
        // A client that does not read (`farshore watch | less`) must not keep the device from ending in order.
        let ended = async { while clients.join_next().await.is_some() {} };
        if tokio::time::timeout(CLIENTS_END_WAIT, ended).await.is_err() {
            tracing::info!(left = clients.len(), "clients that do not read are left");
            clients.abort_all();
        }
    }
}

async fn turn_away(stream: UnixStream, greeting: Greeting, clients_max: usize) {
    let failure = Failure::new(Exit::Busy, format!("{clients_max} commands are connected to the device already"))
        .remedy("wait for one to end; `farshore watch` and `farshore status --watch` stay connected");
    let (_read, mut write) = stream.into_split();
    let told = async {
        write_line(&mut write, &greeting).await?;
        write_line(&mut write, &Reply::Error(failure)).await
    };
    // A few bytes fit into the socket's buffer, so this does not wait for the client; and if it does, not for long.
    let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
}

struct Connection {
    executor: Arc<dyn Executor>,
    greeting: Greeting,
    options: ServerOptions,
    stopped: watch::Receiver<bool>,
}

type Lines = LineReader<OwnedReadHalf>;

/// How a request ended for the connection.
enum Ended {
    /// With this result, and the connection goes on.
    Answered(Result<(), Failure>),
    /// With this failure, and the connection ends: the other side cannot be followed.
    Closing(Failure),
    /// The client has gone away.
    Gone,
}

impl Connection {
    async fn serve(mut self, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        if write_line(&mut write, &self.greeting).await.is_err() {
            return;
        }
        let (replies, queue) = mpsc::channel(REPLIES_QUEUED_MAX);
        let writer = tokio::spawn(write_replies(queue, write));
        let mut lines = LineReader::new(read, REQUEST_LINE_LIMIT_BYTES);
        self.converse(&mut lines, &replies).await;
        drop(replies);
        let _ = writer.await; // so that the last reply is written before the socket closes
    }

    async fn converse(&mut self, lines: &mut Lines, replies: &mpsc::Sender<Reply>) {
        loop {
            let line = tokio::select! {
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
                line = tokio::time::timeout(self.options.request_wait, lines.next()) => line,
            };
            let request = match line {
                Err(_) => {
                    let wait = self.options.request_wait.as_secs();
                    let failure = Failure::new(Exit::Timeout, format!("no request within {wait} seconds"));
                    let _ = replies.send(Reply::Error(failure)).await;
                    return;
                }
                Ok(line) => match understand(line) {
                    Ok(Some(ClientLine::Request(request))) => request,
                    // What was under way when an import failed.
                    Ok(Some(ClientLine::Rows(_) | ClientLine::End {})) => continue,
                    Ok(None) => return,
                    Err(failure) => {
                        let _ = replies.send(Reply::Error(failure)).await;
                        return;
                    }
                },
            };
            let (last, go_on) = match self.answer(request, lines, replies).await {
                Ended::Answered(Ok(())) => (Reply::Done {}, true),
                Ended::Answered(Err(failure)) => (Reply::Error(failure), true),
                Ended::Closing(failure) => (Reply::Error(failure), false),
                Ended::Gone => return,
            };
            if replies.send(last).await.is_err() || !go_on {
                return;
            }
        }
    }

    /// Runs one request, feeding it the batches that follow. Dropping the executor's future cancels it.
    async fn answer(&mut self, request: Request, lines: &mut Lines, replies: &mpsc::Sender<Reply>) -> Ended {
        let (feed, receiver) = mpsc::channel::<Option<Batch>>(BATCHES_UNACKNOWLEDGED_MAX);
        let takes_rows = request.takes_rows();
        let exchange = Exchange { replies: ReplySink { sender: replies.clone() }, batches: Batches { receiver } };
        let executor = Arc::clone(&self.executor);
        let work = AssertUnwindSafe(async move { executor.execute(request, exchange).await }).catch_unwind();
        tokio::pin!(work);
        let mut waiting: Option<Option<Batch>> = None;
        let mut all_sent = !takes_rows;
        loop {
            tokio::select! {
                biased;
                result = &mut work => {
                    return Ended::Answered(result.unwrap_or_else(|_| Err(our_fault())));
                }
                _ = self.stopped.wait_for(|stopped| *stopped) => return Ended::Closing(stopping()),
                () = replies.closed() => return Ended::Gone,
                // An executor that takes no more rows will end, so a closed feed only means: wait for that.
                Ok(permit) = feed.reserve(), if waiting.is_some() => {
                    if let Some(batch) = waiting.take() {
                        permit.send(batch);
                    }
                }
                line = lines.next(), if waiting.is_none() => match understand(line) {
                    Ok(Some(ClientLine::Rows(batch))) if !all_sent => waiting = Some(Some(batch)),
                    Ok(Some(ClientLine::End {})) if !all_sent => {
                        all_sent = true;
                        waiting = Some(None);
                    }
                    Ok(Some(_)) => return Ended::Closing(Failure::usage("one request at a time on one connection")),
                    Ok(None) => return Ended::Gone,
                    Err(failure) => return Ended::Closing(failure),
                },
            }
        }
    }
}

/// A line as a message; `None` where the client has ended.
fn understand(line: Result<Option<Vec<u8>>, LineError>) -> Result<Option<ClientLine>, Failure> {
    let text = match line {
        Ok(Some(text)) => text,
        Ok(None) | Err(LineError::Half) => return Ok(None),
        Err(LineError::Io(error)) => return Err(Failure::io("read from the control socket", &error)),
        Err(LineError::TooLong(limit)) => {
            return Err(Failure::data(format!("a line on the control socket is longer than {limit} bytes")));
        }
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Failure::usage(format!("the device does not understand this request: {error}"))
            .remedy("if farshore was upgraded, restart `farshore up`")
    })
}

fn stopping() -> Failure {
    Failure::new(Exit::Unavailable, "the device is being stopped")
        .remedy("what was reported as done is kept; try again")
}

fn our_fault() -> Failure {
    Failure::new(Exit::General, "the request failed by a fault of Farshore's own; the device goes on")
        .remedy("its log tells where; please report it")
}

async fn write_replies(mut queue: mpsc::Receiver<Reply>, mut write: OwnedWriteHalf) {
    while let Some(reply) = queue.recv().await {
        match tokio::time::timeout(REPLY_WRITE_WAIT, write_line(&mut write, &reply)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let failure = Failure::data(error.to_string()).remedy("read it in parts, by path");
                let _ = write_line(&mut write, &Reply::Error(failure)).await;
                return;
            }
            // The client has gone, or reads nothing: dropping the queue tells the connection.
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

async fn write_line(write: &mut OwnedWriteHalf, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    if line.len() > REPLY_LINE_LIMIT_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a result of {} bytes is larger than the {REPLY_LINE_LIMIT_BYTES} bytes of one reply", line.len()),
        ));
    }
    line.push(b'\n');
    write.write_all(&line).await
}
