//! [`Node`]: the handle that an app holds.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use farshore_core::id::{DeviceId, SpaceId};
use farshore_core::input::Request;
use farshore_core::output::{Reply, SpaceStatus};
use farshore_core::role::Role;
use farshore_core::ticket::Ticket;
use farshore_net::Status as TransportStatus;
use tokio::sync::{Mutex, broadcast, mpsc, oneshot, watch};

use crate::config::Builder;
use crate::disk::ReaderSlot;
use crate::driver::{Ask, Control};
use crate::error::Error;
use crate::events::{Event, EventStream};
use crate::invite::Invitation;
use crate::latency::{Latencies, Latency};
use crate::limits::CHANGE_LOCKS;
use crate::progress::{Progress, ProgressWatch};
use crate::space::Space;
use crate::status::{LinkStatus, NetworkState, NetworkStatus, NodeStatus, StatusWatch};
use crate::watch::Watchers;

/// A device: one open store, and the network around it. Cheap to clone; the last clone that is dropped ends it.
///
/// Nothing that was acknowledged is lost when it is dropped without [`Node::shutdown`]; peers only notice later.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
}

/// What all handles of a node share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) path: PathBuf,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) controls: mpsc::Sender<Control>,
    pub(crate) reader: ReaderSlot,
    pub(crate) watchers: Arc<Watchers>,
    /// Weak, so that streams end with the driver and not with the last handle.
    pub(crate) events: broadcast::WeakSender<Event>,
    pub(crate) latencies: Arc<Latencies>,
    pub(crate) progress: Weak<watch::Sender<Option<Arc<Progress>>>>,
    pub(crate) status: Weak<watch::Sender<Option<NodeStatus>>>,
    pub(crate) network: watch::Receiver<NetworkStatus>,
    pub(crate) change_locks: [Mutex<()>; CHANGE_LOCKS],
}

impl Node {
    /// Opens the store at `path`, or creates it, and starts the network with the defaults of [`Node::builder`].
    ///
    /// # Errors
    /// As for [`Builder::open`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Node, Error> {
        Node::builder(path).open().await
    }

    /// Opens a node with other choices than the defaults.
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder::new(path.into())
    }

    /// Founds a space with this device's user as its admin.
    ///
    /// # Errors
    /// The caller's: the name is empty or too long. The disk's.
    pub async fn create_space(&self, name: &str) -> Result<Space, Error> {
        match self.ask(Request::CreateSpace { name: name.to_owned() }).await? {
            Reply::Space(id) => self.space_by_id(id).await,
            other => Err(unexpected(&other)),
        }
    }

    /// The spaces of this device.
    ///
    /// # Errors
    /// The disk's, before the first status was known; [`Error::Closed`].
    pub async fn spaces(&self) -> Result<Vec<Space>, Error> {
        let status = self.status().await?;
        Ok(status.engine.spaces.iter().map(|space| Space::new(self.clone(), space)).collect())
    }

    /// A space by its name, or by its id in hexadecimal.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::AmbiguousSpace`].
    pub async fn space(&self, name_or_id: &str) -> Result<Space, Error> {
        let status = self.status().await?;
        let mut found = find_spaces(&status.engine.spaces, name_or_id);
        match (found.pop(), found.len()) {
            (Some(space), 0) => Ok(Space::new(self.clone(), space)),
            (Some(_), more) => Err(Error::AmbiguousSpace { name: name_or_id.to_owned(), count: more + 1 }),
            (None, _) => Err(Error::NoSpace(name_or_id.to_owned())),
        }
    }

    /// A space by its id.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub async fn space_by_id(&self, id: SpaceId) -> Result<Space, Error> {
        let status = self.status().await?;
        let space = status.engine.spaces.iter().find(|space| space.space == id);
        space.map(|space| Space::new(self.clone(), space)).ok_or_else(|| Error::NoSpace(id.to_string()))
    }

    /// Prepares an invitation: a text that one other device can join with, once, before it expires.
    pub fn invite(&self, space: &Space, role: Role) -> Invitation {
        Invitation::new(self.clone(), space.id(), role)
    }

    /// Joins a space with the text of an invitation, and waits at most `timeout` for the inviter to answer.
    ///
    /// Line breaks and spaces from pasting do no harm. When it is given up, by the time or by dropping the future, the
    /// ticket can be used again.
    ///
    /// # Errors
    /// [`Error::Refused`] when the ticket is altered, foreign, used or expired; [`Error::Timeout`], with what stood in the
    /// way, when the inviter was not reached.
    pub async fn join(&self, ticket: &str, timeout: Duration) -> Result<Space, Error> {
        let parsed = Ticket::parse(ticket)
            .map_err(|error| Error::Refused(farshore_core::output::RequestError::Ticket(error.to_string())))?;
        let joining = Joining { node: self.clone(), ticket: ticket.to_owned(), done: false };
        let asked = self.ask(Request::Join { ticket: ticket.to_owned() });
        match tokio::time::timeout(timeout, asked).await {
            Ok(reply) => {
                joining.finish();
                match reply? {
                    Reply::Space(id) => self.space_by_id(id).await,
                    other => Err(unexpected(&other)),
                }
            }
            Err(_) => Err(Error::Timeout { what: "joining", after: timeout, hint: self.why_unreachable(&parsed.peer) }),
        }
    }

    /// What the network last said about a peer, worded as the end of a sentence.
    fn why_unreachable(&self, peer: &[u8]) -> String {
        let network = self.inner.network.borrow();
        let name = crate::net::peer_name(peer);
        match (&network.state, network.unreachable.get(&name)) {
            (NetworkState::Failed(cause), _) => format!(": this device has no network ({cause})"),
            (NetworkState::Off | NetworkState::Suspended, _) => ": this device is offline".into(),
            (NetworkState::Up, Some(cause)) => {
                format!(
                    ": the inviter was not reached ({cause}); make sure that it is running and on a network that this device can reach"
                )
            }
            (NetworkState::Up, None) => ": the inviter did not answer; make sure that it is running".into(),
        }
    }

    /// The state of everything, now.
    ///
    /// # Errors
    /// The disk's, before the first status was known; [`Error::Closed`].
    pub async fn status(&self) -> Result<NodeStatus, Error> {
        let (reply, answer) = oneshot::channel();
        self.control(Control::Status(reply)).await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// The state of everything, as it changes.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn status_watch(&self) -> Result<StatusWatch, Error> {
        let sender = self.inner.status.upgrade().ok_or(Error::Closed)?;
        let receiver = sender.subscribe();
        // A watcher that comes when nothing happens would otherwise wait for the next thing that does.
        let _ = self.inner.controls.try_send(Control::Refresh);
        Ok(StatusWatch { receiver })
    }

    /// What happens, as it happens, from now on. Dropping the stream unsubscribes; one that is not read misses the oldest of
    /// more than 1,024 events, and is told how many. The node never waits for it.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn events(&self) -> Result<EventStream, Error> {
        self.inner.events.upgrade().map(|sender| EventStream::new(sender.subscribe())).ok_or(Error::Closed)
    }

    /// How far synchronization is with every peer, how fast it goes, how long it will take, and why it does not move. Taken
    /// stock of only while somebody watches.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn progress(&self) -> Result<ProgressWatch, Error> {
        let sender = self.inner.progress.upgrade().ok_or(Error::Closed)?;
        let receiver = sender.subscribe();
        // When this does not fit, the driver has much to do, and looks soon anyway.
        let _ = self.inner.controls.try_send(Control::RefreshProgress);
        Ok(ProgressWatch { receiver })
    }

    /// How long things have taken, since the node was opened or since [`Node::reset_latency`].
    pub fn latency(&self) -> Latency {
        self.inner.latencies.read()
    }

    /// Begins to count latencies anew.
    pub fn reset_latency(&self) {
        self.inner.latencies.reset();
    }

    /// The links of this device, and who is behind them.
    ///
    /// # Errors
    /// As for [`Node::status`].
    pub async fn peers(&self) -> Result<Vec<LinkStatus>, Error> {
        Ok(self.status().await?.engine.links.clone())
    }

    /// This device's id.
    ///
    /// # Errors
    /// As for [`Node::status`].
    pub async fn device(&self) -> Result<DeviceId, Error> {
        Ok(self.status().await?.engine.device)
    }

    /// Dials a multiaddr once. It returns when a link is up, or when it is clear that none will be.
    ///
    /// # Errors
    /// [`Error::Dial`], [`Error::NoNetwork`].
    pub async fn dial(&self, address: &str) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.control(Control::Dial { address: address.to_owned(), reply }).await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Compares with every linked peer again, now, and takes in once what is subscribed to by hand only
    /// ([`Priority::Manual`](crate::Priority)).
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn sync_now(&self) -> Result<(), Error> {
        self.ask(Request::SyncNow { space: None }).await.map(|_| ())
    }

    /// Tries again what is stuck, in all spaces: what failed to apply, and peers that could not be reached.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn retry(&self) -> Result<(), Error> {
        self.control(Control::NetworkChanged).await?;
        self.ask(Request::Retry { space: None }).await.map(|_| ())
    }

    /// Exchanges nothing of any space until [`Node::end_pause`], also after a restart. Links stay up. `by` is told in the
    /// status: a person, or a part of the app.
    ///
    /// # Errors
    /// The caller's: `by` is empty or too long. The disk's.
    pub async fn pause(&self, by: &str) -> Result<(), Error> {
        self.ask(Request::Pause { space: None, by: by.to_owned() }).await.map(|_| ())
    }

    /// Ends [`Node::pause`]. Spaces that were paused by themselves stay so.
    ///
    /// # Errors
    /// The disk's.
    pub async fn end_pause(&self) -> Result<(), Error> {
        self.ask(Request::Resume { space: None }).await.map(|_| ())
    }

    /// Says whether the network costs money by the byte, where the platform says so: then nothing that is subscribed to
    /// lazily comes. Default: it does not. Forgotten when the node is closed.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn set_metered(&self, metered: bool) -> Result<(), Error> {
        self.ask(Request::SetMetered(metered)).await.map(|_| ())
    }

    /// Changes how this device calls itself in spaces that it joins or founds from now on.
    ///
    /// # Errors
    /// The caller's: the name is empty or too long. The disk's.
    pub async fn set_name(&self, name: &str) -> Result<(), Error> {
        self.ask(Request::SetName { name: name.to_owned() }).await.map(|_| ())
    }

    /// Tells the node that the device is on another network, where the platform says so: links are checked and dialled anew
    /// at once instead of after seconds.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn network_changed(&self) -> Result<(), Error> {
        self.control(Control::NetworkChanged).await
    }

    /// Comes to rest, for an app that goes to the background: nothing that others wrote is applied any more, what is under way
    /// becomes durable, and links are closed with a word, which peers take for no fault. It takes at most 200 ms; local work
    /// goes on.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn suspend(&self) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        self.control(Control::Suspend(done)).await?;
        answer.await.map_err(|_| Error::Closed)
    }

    /// Opens the network again after [`Node::suspend`], or after it could not be started, and dials all peers at once.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn resume(&self) -> Result<(), Error> {
        self.control(Control::Resume).await
    }

    /// Ends the node in order: requests under way are finished, links are closed with a goodbye, the store is closed.
    /// Every handle of the node answers [`Error::Closed`] from then on. Calling it again does nothing.
    pub async fn shutdown(&self) {
        let (done, answer) = oneshot::channel();
        if self.control(Control::Shutdown(done)).await.is_ok() {
            let _ = answer.await; // The driver may have ended for another reason meanwhile: the result is the same.
        }
    }

    /// Where the store is.
    pub fn path(&self) -> &std::path::Path {
        &self.inner.path
    }

    /// How this device can be reached, now.
    pub fn network(&self) -> NetworkStatus {
        self.inner.network.borrow().clone()
    }

    /// What the transport is doing: connections, dials and discovery, and why a peer is not linked.
    ///
    /// # Errors
    /// [`Error::NoNetwork`], [`Error::Closed`].
    pub async fn transport(&self) -> Result<TransportStatus, Error> {
        let (reply, answer) = oneshot::channel();
        self.control(Control::Transport(reply)).await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Sends any request of the engine: what the other methods are made of.
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, Error> {
        let (reply, answer) = oneshot::channel();
        self.inner.asks.send(Ask { request, reply }).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    pub(crate) async fn control(&self, control: Control) -> Result<(), Error> {
        self.inner.controls.send(control).await.map_err(|_| Error::Closed)
    }
}

fn find_spaces<'a>(spaces: &'a [SpaceStatus], name_or_id: &str) -> Vec<&'a SpaceStatus> {
    match name_or_id.parse::<SpaceId>() {
        Ok(id) => spaces.iter().filter(|space| space.space == id).collect(),
        Err(_) => spaces.iter().filter(|space| space.name.as_deref() == Some(name_or_id)).collect(),
    }
}

pub(crate) fn unexpected(reply: &Reply) -> Error {
    Error::Internal(format!("the engine answered {reply:?}"))
}

/// A join under way: gives it up when the future is dropped or the time is over.
struct Joining {
    node: Node,
    ticket: String,
    done: bool,
}

impl Joining {
    fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        if !self.done {
            let (reply, _) = oneshot::channel();
            // Dropped futures cannot wait. When the queue is full the join stays open until the node is closed.
            let request = Request::CancelJoin { ticket: std::mem::take(&mut self.ticket) };
            let _ = self.node.inner.asks.try_send(Ask { request, reply });
        }
    }
}
