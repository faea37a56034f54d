//! What runs a request: the border between the socket and the node.

use super::item::encode;
use super::message::{Batch, Reply, Request};
use crate::exit::{Exit, Failure};
use futures::future::BoxFuture;
use serde::Serialize;
use tokio::sync::mpsc;

/// Runs requests: the device, or a fake of it in tests.
pub trait Executor: Send + Sync + 'static {
    /// Runs one request, giving its results to the exchange as they come.
    ///
    /// Dropping the future ends the request: its client has gone away or the device stops. What was acknowledged by
    /// then stays.
    ///
    /// Errors: go to the client as the last line; a panic does so too.
    fn execute(&self, request: Request, exchange: Exchange) -> BoxFuture<'_, Result<(), Failure>>;

    /// Ends in order what is behind it. Nothing acknowledged is lost without.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The two directions of one request.
pub struct Exchange {
    /// To the client.
    pub replies: ReplySink,
    /// From the client; empty unless the request [takes rows](Request::takes_rows).
    pub batches: Batches,
}

/// Where an executor puts results.
#[derive(Clone)]
pub struct ReplySink {
    pub(super) sender: mpsc::Sender<Reply>,
}

impl ReplySink {
    /// Gives one result, waiting for a slow reader. The types of results stand beside their [`Request`].
    ///
    /// Errors: the client has gone away; give up.
    pub async fn item(&self, item: &impl Serialize) -> Result<(), Failure> {
        let item = encode(item)?;
        self.sender.send(Reply::Item(item)).await.map_err(|_| gone())
    }

    /// Tells how far the request is; left out if the reader is slow.
    pub fn progress(&self, done: u64, total: Option<u64>, unit: &str) {
        let _ = self.sender.try_send(Reply::Progress { done, total, unit: unit.to_owned() });
    }

    /// Acknowledges a batch that is durable, with the rows of this import that are durable by now.
    ///
    /// Errors: the client has gone away; give up.
    pub async fn ack(&self, batch: &Batch, rows: u64) -> Result<(), Failure> {
        self.sender.send(Reply::Ack { batch: batch.number, rows }).await.map_err(|_| gone())
    }
}

/// The rows of an import as they arrive.
pub struct Batches {
    pub(super) receiver: mpsc::Receiver<Option<Batch>>,
}

impl Batches {
    /// The next batch; `None` when the client has sent all.
    ///
    /// Errors: the client has gone away before the end.
    pub async fn next(&mut self) -> Result<Option<Batch>, Failure> {
        self.receiver.recv().await.ok_or_else(gone)
    }
}

fn gone() -> Failure {
    Failure::new(Exit::Interrupted, "the command went away before its request was done")
}
