//! The side of a command: a request to the running device, or to one in this process, with the same words.

use super::endpoint::Endpoint;
use super::exchange::{Batches, Exchange, Executor, ReplySink};
use super::item::{ImportedItem, decode};
use super::line::{LineError, LineReader};
use super::message::{Batch, CONTROL_VERSION, ClientLine, Greeting, Reply, Request};
use crate::exit::{Exit, Failure};
use crate::formats::Row;
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_ROWS_MAX, BATCHES_UNACKNOWLEDGED_MAX, GREETING_WAIT, REPLIES_QUEUED_MAX,
    REPLY_LINE_LIMIT_BYTES, REQUEST_LINE_LIMIT_BYTES,
};
use serde::de::DeserializeOwned;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A connection to the running device.
pub struct Client {
    lines: LineReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    greeting: Greeting,
}

impl Client {
    /// Connects to the device of this endpoint; `None` if none runs.
    ///
    /// Errors: a socket that is not the caller's; a device of another version; one that does not answer.
    pub async fn connect(endpoint: &Endpoint) -> Result<Option<Client>, Failure> {
        endpoint.check_owner(false)?;
        let stream = match UnixStream::connect(endpoint.socket()).await {
            Ok(stream) => stream,
            Err(error) if means_that_none_runs(&error) => return Ok(None),
            Err(error) => {
                return Err(Failure::io(format_args!("reach the device at {}", endpoint.socket().display()), &error));
            }
        };
        let (read, write) = stream.into_split();
        let mut lines = LineReader::new(read, REPLY_LINE_LIMIT_BYTES);
        let greeting = match tokio::time::timeout(GREETING_WAIT, lines.next()).await {
            Ok(Ok(Some(line))) => serde_json::from_slice::<Greeting>(&line).map_err(|_| not_farshore(endpoint))?,
            // It was stopped between the two.
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(_)) => return Err(not_farshore(endpoint)),
            Err(_) => {
                return Err(Failure::new(
                    Exit::Unavailable,
                    format!(
                        "the device at {} does not answer within {} seconds",
                        endpoint.socket().display(),
                        GREETING_WAIT.as_secs()
                    ),
                )
                .remedy("if it hangs, stop it and start `farshore up` again"));
            }
        };
        if greeting.control != CONTROL_VERSION {
            return Err(Failure::new(
                Exit::Unavailable,
                format!(
                    "the running device (process {}, {}) speaks version {} of the control socket, and this command {CONTROL_VERSION}",
                    greeting.pid, greeting.version, greeting.control
                ),
            )
            .remedy("stop it and start `farshore up` of the same version as this command"));
        }
        Ok(Some(Client { lines, write, greeting }))
    }

    /// What the device said of itself.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    async fn send(&mut self, line: &ClientLine) -> Result<(), Failure> {
        let mut text = serde_json::to_vec(line)
            .map_err(|error| Failure::new(Exit::General, format!("cannot write a request: {error}")))?;
        if text.len() > REQUEST_LINE_LIMIT_BYTES {
            return Err(Failure::data(format!(
                "a request of {} bytes is larger than the {REQUEST_LINE_LIMIT_BYTES} bytes of one line",
                text.len()
            ))
            .remedy("give the document in parts"));
        }
        text.push(b'\n');
        match self.write.write_all(&text).await {
            Ok(()) => Ok(()),
            // It may have said why before it closed.
            Err(error) => loop {
                match self.receive().await {
                    Ok(Reply::Error(failure)) => return Err(failure),
                    Ok(_) => {}
                    Err(_) => return Err(self.lost(&error.to_string())),
                }
            },
        }
    }

    async fn receive(&mut self) -> Result<Reply, Failure> {
        match self.lines.next().await {
            Ok(Some(line)) => serde_json::from_slice(&line)
                .map_err(|error| self.lost(&format!("it sent something that is not a reply: {error}"))),
            Ok(None) | Err(LineError::Half) => Err(self.lost("the connection ended")),
            Err(LineError::TooLong(limit)) => Err(self.lost(&format!("it sent a line of more than {limit} bytes"))),
            Err(LineError::Io(error)) => Err(self.lost(&error.to_string())),
        }
    }

    fn lost(&self, why: &str) -> Failure {
        Failure::new(
            Exit::Unavailable,
            format!("the running device (process {}) went away before it had answered: {why}", self.greeting.pid),
        )
        .remedy("what was reported as done is kept; look whether the device still runs, then try again")
    }
}

/// No socket, one that a killed device left, or a path on which there can be none: whoever opens the store tells what is wrong.
fn means_that_none_runs(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotFound | Kind::NotADirectory | Kind::ConnectionRefused)
}

fn not_farshore(endpoint: &Endpoint) -> Failure {
    Failure::new(Exit::Unavailable, format!("what listens at {} is not a Farshore device", endpoint.socket().display()))
        .remedy("stop it, or use another --store")
}

/// Where requests go: to the running device, or to an executor in this process.
pub enum Session {
    /// A device runs and answers.
    Remote(Client),
    /// None runs, so this process opened the store itself.
    Local(Arc<dyn Executor>),
}

impl Session {
    /// Sends a request.
    ///
    /// Errors: the device cannot be reached any more.
    pub async fn request(&mut self, request: Request) -> Result<Replies<'_>, Failure> {
        match self {
            Session::Remote(client) => {
                client.send(&ClientLine::Request(request)).await?;
                Ok(Replies { way: Way::Remote(client), ended: false })
            }
            Session::Local(executor) => {
                let (sender, replies) = mpsc::channel(REPLIES_QUEUED_MAX);
                let (feed, receiver) = mpsc::channel(BATCHES_UNACKNOWLEDGED_MAX);
                let exchange = Exchange { replies: ReplySink { sender }, batches: Batches { receiver } };
                let executor = Arc::clone(executor);
                let work = tokio::spawn(async move { executor.execute(request, exchange).await });
                Ok(Replies { way: Way::Local(Local { replies, feed, work }), ended: false })
            }
        }
    }

    /// Ends the session in order. A store that this process opened is closed; a running device goes on.
    pub async fn close(&self) {
        if let Session::Local(executor) = self {
            executor.close().await;
        }
    }

    /// Sends a request and gives the one item that it answers with.
    ///
    /// Errors: the request's own; an answer without an item.
    pub async fn ask<T: DeserializeOwned>(&mut self, request: Request) -> Result<T, Failure> {
        let mut replies = self.request(request).await?;
        let mut found = None;
        while let Some(item) = replies.item().await? {
            found = Some(item);
        }
        found.ok_or_else(|| Failure::new(Exit::General, "the device answered without a result"))
    }

    /// Sends a request that takes rows; the rows follow.
    ///
    /// Errors: the device cannot be reached any more.
    pub async fn import(&mut self, request: Request) -> Result<Import<'_>, Failure> {
        let replies = self.request(request).await?;
        Ok(Import { replies, batch: Vec::new(), batch_bytes: 0, sent: 0, acknowledged: 0, rows: 0 })
    }
}

/// The replies to one request. Dropped early, the request is cancelled on a local executor; on a running device it is
/// when the [`Session`] is dropped.
pub struct Replies<'a> {
    way: Way<'a>,
    ended: bool,
}

enum Way<'a> {
    Remote(&'a mut Client),
    Local(Local),
}

struct Local {
    replies: mpsc::Receiver<Reply>,
    feed: mpsc::Sender<Option<Batch>>,
    work: JoinHandle<Result<(), Failure>>,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Replies<'_> {
    /// The next reply; `None` when the request is done. Never [`Reply::Done`] or [`Reply::Error`].
    ///
    /// Errors: the request failed, or the device went away.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Reply>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let reply = match &mut self.way {
            Way::Remote(client) => client.receive().await?,
            Way::Local(local) => match local.replies.recv().await {
                Some(reply) => reply,
                None => match (&mut local.work).await {
                    Ok(Ok(())) => Reply::Done {},
                    Ok(Err(failure)) => Reply::Error(failure),
                    Err(_) => {
                        Reply::Error(Failure::new(Exit::General, "the request failed by a fault of Farshore's own"))
                    }
                },
            },
        };
        self.ended = matches!(reply, Reply::Done {} | Reply::Error(_));
        match reply {
            Reply::Done {} => Ok(None),
            Reply::Error(failure) => Err(failure),
            other => Ok(Some(other)),
        }
    }

    /// The next result, read as its type; progress is passed over. `None` when the request is done.
    ///
    /// Errors: as for [`Replies::next`]; a result of another type.
    pub async fn item<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        while let Some(reply) = self.next().await? {
            if let Reply::Item(item) = reply {
                return decode(item).map(Some);
            }
        }
        Ok(None)
    }

    async fn feed(&mut self, batch: Option<Batch>) -> Result<(), Failure> {
        match &mut self.way {
            Way::Remote(client) => {
                let line = batch.map_or(ClientLine::End {}, ClientLine::Rows);
                client.send(&line).await
            }
            // A closed feed means that the executor has ended; its reply tells why.
            Way::Local(local) => local.feed.send(batch).await.or(Ok(())),
        }
    }
}

/// An import under way: rows are gathered into batches, and only a few batches are on the way at a time.
pub struct Import<'a> {
    replies: Replies<'a>,
    batch: Vec<Row>,
    batch_bytes: usize,
    sent: u64,
    acknowledged: u64,
    rows: u64,
}

impl Import<'_> {
    /// Gives one row; may send a batch, and then waits while too many are unacknowledged.
    ///
    /// Errors: the import failed; rows up to [`Import::durable_rows`] are kept.
    pub async fn row(&mut self, row: Row) -> Result<(), Failure> {
        let bytes = weight(&row);
        let full = self.batch.len() >= BATCH_ROWS_MAX || self.batch_bytes + bytes > BATCH_BYTES_MAX;
        if full && !self.batch.is_empty() {
            self.send().await?;
        }
        self.batch.push(row);
        self.batch_bytes += bytes;
        Ok(())
    }

    /// Rows that are durable by now.
    pub fn durable_rows(&self) -> u64 {
        self.rows
    }

    /// Sends what is left, waits until all is durable, and gives the request's item.
    ///
    /// Errors: as for [`Import::row`].
    pub async fn finish(mut self) -> Result<ImportedItem, Failure> {
        if !self.batch.is_empty() {
            self.send().await?;
        }
        self.replies.feed(None).await?;
        let mut item = None;
        while let Some(reply) = self.replies.next().await? {
            match reply {
                Reply::Item(found) => item = Some(decode(found)?),
                other => self.note(&other),
            }
        }
        item.ok_or_else(|| Failure::new(Exit::General, "the device answered without a result"))
    }

    async fn send(&mut self) -> Result<(), Failure> {
        while self.sent - self.acknowledged >= BATCHES_UNACKNOWLEDGED_MAX as u64 {
            match self.replies.next().await? {
                Some(reply) => self.note(&reply),
                None => return Err(Failure::new(Exit::General, "the device ended the import before its end")),
            }
        }
        self.sent += 1;
        self.batch_bytes = 0;
        let batch = Batch { number: self.sent, rows: std::mem::take(&mut self.batch) };
        self.replies.feed(Some(batch)).await
    }

    fn note(&mut self, reply: &Reply) {
        if let Reply::Ack { batch, rows } = reply {
            self.acknowledged = self.acknowledged.max((*batch).min(self.sent));
            self.rows = *rows;
        }
    }
}

/// About how many bytes a row takes on the socket.
fn weight(row: &Row) -> usize {
    use crate::formats::Typed;
    fn of(value: &Typed) -> usize {
        match value {
            Typed::String(text) | Typed::Text(text) => text.len() + 12,
            Typed::Bytes(bytes) => bytes.len() * 4 / 3 + 16,
            Typed::List(items) => items.iter().map(of).sum::<usize>() + 2,
            Typed::Map(fields) => fields.iter().map(|(name, value)| name.len() + 4 + of(value)).sum::<usize>() + 2,
            _ => 24,
        }
    }
    32 + row.fields.iter().map(|(name, value)| name.len() + 6 + of(value)).sum::<usize>()
}
