//! The task of one link: three readers, one writer, a heartbeat. It is the only one that speaks of the link to the
//! owner, so `LinkUp`, frames and `LinkDown` come in order without anybody sorting them.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::io::{ReadHalf, WriteHalf};
use futures::task::AtomicWaker;
use futures::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{Multiaddr, Stream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, trace};

use crate::Peer;
use crate::error::{DownReason, SendError};
use crate::event::{Direction, Event, LinkId, Transport};
use crate::frame::{Class, Incoming, read_frame};
use crate::limits::{CLOSE_FLUSH, END_DEADLINE, HEARTBEAT_MISSES, WRITER_TURNS};
use crate::outbox::Outbox;
use crate::status::{Flow, Traffic};

/// What a link is, as told in its `LinkUp`.
#[derive(Debug, Clone)]
pub(crate) struct LinkInfo {
    pub(crate) link: LinkId,
    pub(crate) peer: Peer,
    pub(crate) address: Multiaddr,
    pub(crate) direction: Direction,
    pub(crate) relayed: bool,
    pub(crate) transport: Transport,
}

/// What the link's task tells the network task.
#[derive(Debug)]
pub(crate) enum Report {
    /// The streams are done with: the connection may be closed.
    Ended { link: LinkId, reason: DownReason },
    /// The owner has been told as well: the peer's next link may come up.
    Gone { link: LinkId },
    /// A check was passed.
    Alive { link: LinkId },
}

/// What a link's task shares with the handle (which queues frames) and the network task (which checks and ends it).
#[derive(Debug)]
pub(crate) struct LinkShared {
    pub(crate) info: LinkInfo,
    outbox: Mutex<Outbox>,
    writer: AtomicWaker,
    writable: Notify,
    /// Bytes heard since the link came up.
    heard: AtomicU64,
    /// Frames received, and their bytes, by class.
    received: [[AtomicU64; 2]; 3],
    /// Readers that hold a frame that the owner has no room for: their silence is ours.
    held: AtomicU32,
    /// Last round trip in microseconds; 0 before the first.
    rtt_us: AtomicU64,
    orders: Mutex<Orders>,
    ordered: Notify,
    ponged: Notify,
}

#[derive(Debug, Default)]
struct Orders {
    end: Option<DownReason>,
    check: Option<Duration>,
}

impl LinkShared {
    pub(crate) fn new(info: LinkInfo) -> Arc<Self> {
        Arc::new(LinkShared {
            info,
            outbox: Mutex::default(),
            writer: AtomicWaker::new(),
            writable: Notify::new(),
            heard: AtomicU64::new(0),
            received: Default::default(),
            held: AtomicU32::new(0),
            rtt_us: AtomicU64::new(0),
            orders: Mutex::default(),
            ordered: Notify::new(),
            ponged: Notify::new(),
        })
    }

    pub(crate) fn send(&self, class: Class, frame: Vec<u8>) -> Result<(), SendError> {
        self.outbox().push(class, frame)?;
        self.writer.wake();
        Ok(())
    }

    /// Ends the link; the first reason stays.
    pub(crate) fn end(&self, reason: DownReason) {
        self.orders().end.get_or_insert(reason);
        self.ordered.notify_one();
    }

    /// Ends the link unless something is heard within `deadline`; else an [`Report::Alive`] follows.
    pub(crate) fn check(&self, deadline: Duration) {
        self.orders().check = Some(deadline);
        self.ordered.notify_one();
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        match self.rtt_us.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    pub(crate) fn waiting(&self) -> [usize; 3] {
        self.outbox().waiting()
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let received = self.received.each_ref().map(|counts| {
            let [frames, bytes] = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            Flow { frames, bytes }
        });
        Traffic { sent: self.outbox().taken(), received }
    }

    fn count_received(&self, class: Class, payload_bytes: usize) {
        let [frames, bytes] = &self.received[class.index()];
        frames.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add((payload_bytes + class.header_len()) as u64, Ordering::Relaxed);
    }

    fn ping(&self, nonce: u64) {
        self.outbox().ping(nonce);
        self.writer.wake();
    }

    // A poisoned lock means a panic between two lines that cannot panic; the data is whole all the same.
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a link to its end.
#[tracing::instrument(name = "link", level = "debug", skip_all, fields(link = %shared.info.link, peer = %shared.info.peer))]
pub(crate) async fn run(
    shared: Arc<LinkShared>,
    streams: [Stream; 3],
    events: mpsc::Sender<Event>,
    reports: mpsc::UnboundedSender<Report>,
    heartbeat_every: Duration,
) {
    let LinkInfo { link, peer, address, direction, relayed, transport } = shared.info.clone();
    debug!(%address, ?direction, ?transport, relayed, "up");
    let up = Event::LinkUp { link, peer, address, direction, relayed, transport };
    let reason = match events.send(up).await {
        Ok(()) => drive(&shared, streams, &events, &reports, heartbeat_every).await,
        Err(_) => DownReason::Shutdown,
    };
    shared.outbox().close();
    debug!(%reason, "down");
    // Nobody hears these only when the network task, or the owner, is gone already.
    let _ = reports.send(Report::Ended { link, reason: reason.clone() });
    let _ = events.send(Event::LinkDown { link, peer, reason }).await;
    let _ = reports.send(Report::Gone { link });
}

/// Reads, writes and beats until one of them ends. The streams are gone when it returns.
async fn drive(
    shared: &LinkShared,
    streams: [Stream; 3],
    events: &mpsc::Sender<Event>,
    reports: &mpsc::UnboundedSender<Report>,
    heartbeat_every: Duration,
) -> DownReason {
    let [(mut ctl, ctl_out), (mut live, live_out), (mut bulk, bulk_out)] = streams.map(|stream| stream.split());
    let beat = Heartbeat::new(shared, reports, heartbeat_every);
    let mut writer = Writer { shared, lanes: [ctl_out, live_out, bulk_out].map(Lane::new) };
    let ending = Ending::default();
    let reason = tokio::select! {
        reason = ending.reader(read(Class::Ctl, &mut ctl, shared, events, &beat)) => reason,
        reason = ending.reader(read(Class::Live, &mut live, shared, events, &beat)) => reason,
        reason = ending.reader(read(Class::Bulk, &mut bulk, shared, events, &beat)) => reason,
        reason = ending.writer(writer.run()) => reason,
        reason = ending.overdue(shared) => reason,
        reason = beat.run() => reason,
        () = tell_writable(shared, events) => DownReason::Shutdown,
    };
    shared.outbox().close();
    if reason.is_graceful() {
        // What was queued before the goodbye, the goodbye included, gets a moment to leave and to arrive: the peer
        // closes its streams in answer. QUIC throws away what is still under way when a connection is closed.
        let goodbye = async {
            if writer.finish().await.is_ok() {
                tokio::join!(drain(&mut ctl), drain(&mut live), drain(&mut bulk));
            }
        };
        let _ = timeout(CLOSE_FLUSH, goodbye).await;
    }
    reason
}

/// Reads to the end of a stream, and forgets what it reads.
async fn drain(stream: &mut ReadHalf<Stream>) {
    let mut buffer = [0; 1024];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

/// Puts the ends of the parts of a link together. When the peer closes, the three streams end one after another, and
/// writing fails perhaps before all that has arrived is read: the link ends when all readers have, or soon after.
#[derive(Default)]
struct Ending {
    ended_readers: AtomicU32,
    reason: Mutex<Option<DownReason>>,
    begun: Notify,
}

impl Ending {
    async fn reader(&self, read: impl Future<Output = DownReason>) -> DownReason {
        let reason = read.await;
        if !matches!(reason, DownReason::Closed | DownReason::Io(_)) {
            return reason;
        }
        let reason = self.begin(reason);
        if self.ended_readers.fetch_add(1, Ordering::Relaxed) + 1 == 3 {
            return reason;
        }
        std::future::pending().await
    }

    async fn writer(&self, write: impl Future<Output = io::Error>) -> DownReason {
        let error = write.await;
        trace!(%error, "cannot write any more");
        self.begun.notify_one();
        std::future::pending().await
    }

    /// The end of a link of which one part has ended long enough ago, and the others have not.
    async fn overdue(&self, shared: &LinkShared) -> DownReason {
        self.begun.notified().await;
        loop {
            sleep(END_DEADLINE).await;
            if shared.held.load(Ordering::Relaxed) == 0 {
                return self.begin(DownReason::Closed);
            }
        }
    }

    /// Notes why the end begins; the first reason stays.
    fn begin(&self, reason: DownReason) -> DownReason {
        self.begun.notify_one();
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason).clone()
    }
}

async fn read(
    class: Class,
    stream: &mut ReadHalf<Stream>,
    shared: &LinkShared,
    events: &mpsc::Sender<Event>,
    beat: &Heartbeat<'_>,
) -> DownReason {
    let link = shared.info.link;
    let heard = |bytes: usize| {
        shared.heard.fetch_add(bytes as u64, Ordering::Relaxed);
    };
    loop {
        // A stream that is never empty must not keep the link's other parts from their turn.
        tokio::task::consume_budget().await;
        match read_frame(stream, class, &heard).await {
            Ok(Incoming::Frame(bytes)) => {
                trace!(%class, bytes = bytes.len(), "frame");
                shared.count_received(class, bytes.len());
                if deliver(shared, events, Event::Frame { link, class, bytes }).await.is_err() {
                    return DownReason::Shutdown;
                }
            }
            Ok(Incoming::Ping(nonce)) => {
                shared.outbox().pong(nonce);
                shared.writer.wake();
            }
            Ok(Incoming::Pong(nonce)) => beat.pong(nonce),
            Err(reason) => return reason,
        }
    }
}

/// Hands a frame to the owner, however long he takes. Meanwhile this stream is not read: the peer feels it.
async fn deliver(shared: &LinkShared, events: &mpsc::Sender<Event>, event: Event) -> Result<(), ()> {
    match events.try_send(event) {
        Ok(()) => Ok(()),
        Err(mpsc::error::TrySendError::Closed(_)) => Err(()),
        Err(mpsc::error::TrySendError::Full(event)) => {
            shared.held.fetch_add(1, Ordering::Relaxed);
            let sent = events.send(event).await;
            shared.held.fetch_sub(1, Ordering::Relaxed);
            sent.map_err(|_| ())
        }
    }
}

/// Tells the owner of room, apart from the writer, which must not wait for him. Ends when he is gone.
async fn tell_writable(shared: &LinkShared, events: &mpsc::Sender<Event>) {
    let link = shared.info.link;
    loop {
        shared.writable.notified().await;
        let classes = shared.outbox().take_writable();
        for class in classes {
            if events.send(Event::Writable { link, class }).await.is_err() {
                return;
            }
        }
    }
}

/// Pings, and notices silence.
struct Heartbeat<'a> {
    shared: &'a LinkShared,
    reports: &'a mpsc::UnboundedSender<Report>,
    every: Duration,
    started: Instant,
}

impl<'a> Heartbeat<'a> {
    fn new(shared: &'a LinkShared, reports: &'a mpsc::UnboundedSender<Report>, every: Duration) -> Self {
        Heartbeat { shared, reports, every, started: Instant::now() }
    }

    /// The nonce of a ping is the time since the start in microseconds, so that a pong needs no table to be looked up in.
    fn ping(&self) {
        self.shared.ping(self.started.elapsed().as_micros() as u64);
    }

    fn pong(&self, nonce: u64) {
        // A peer may lie about the nonce; it spoils only what we show as its own round trip.
        let rtt = (self.started.elapsed().as_micros() as u64).saturating_sub(nonce);
        self.shared.rtt_us.store(rtt.max(1), Ordering::Relaxed);
        self.shared.ponged.notify_one();
    }

    /// Any byte of any class counts as life, so a peer busy sending bulk is not killed for a late pong. A reader that
    /// waits for our own owner hears nothing, and that is not the peer's doing either.
    fn mark(&self) -> Option<u64> {
        let held = self.shared.held.load(Ordering::Relaxed) > 0;
        (!held).then(|| self.shared.heard.load(Ordering::Relaxed))
    }

    async fn run(&self) -> DownReason {
        let mut last = None;
        let mut misses = 0;
        let mut next = Instant::now() + self.every;
        self.ping();
        loop {
            let (end, check) = {
                let mut orders = self.shared.orders();
                (orders.end.take(), orders.check.take())
            };
            if let Some(reason) = end {
                return reason;
            }
            if let Some(deadline) = check {
                if !self.check(deadline).await {
                    return DownReason::Silent;
                }
                let _ = self.reports.send(Report::Alive { link: self.shared.info.link });
                continue;
            }
            tokio::select! {
                () = self.shared.ordered.notified() => {}
                () = tokio::time::sleep_until(next) => {
                    let now = self.mark();
                    misses = if now.is_some() && now == last { misses + 1 } else { 0 };
                    if misses >= HEARTBEAT_MISSES {
                        return DownReason::Silent;
                    }
                    last = now;
                    self.ping();
                    next = Instant::now() + self.every;
                }
            }
        }
    }

    /// Whether a fresh ping is answered, or anything else heard, in time.
    async fn check(&self, deadline: Duration) -> bool {
        let before = self.mark();
        self.ping();
        let answered = async {
            loop {
                self.shared.ponged.notified().await;
                if self.mark() != before {
                    return;
                }
            }
        };
        tokio::select! {
            () = answered => true,
            () = sleep(deadline) => before.is_none() || self.mark() != before,
            () = self.ended() => true, // the loop sees to it
        }
    }

    async fn ended(&self) {
        loop {
            if self.shared.orders().end.is_some() {
                return;
            }
            self.shared.ordered.notified().await;
        }
    }
}

/// One class's way out.
struct Lane {
    stream: WriteHalf<Stream>,
    /// Encoded frames, gathered so that many small ones are one write. Without memory while idle.
    staging: Vec<u8>,
    written: usize,
    unflushed: bool,
}

impl Lane {
    fn new(stream: WriteHalf<Stream>) -> Self {
        Lane { stream, staging: Vec::new(), written: 0, unflushed: false }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.staging.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.staging[self.written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(bytes)) => self.written += bytes,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.unflushed |= self.written > 0;
        self.staging.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

/// Writes the outbox in strict order of class: as long as anything more urgent waits, even for the peer's window,
/// the muxer gets nothing less urgent, because what it has taken can no longer be overtaken.
struct Writer<'a> {
    shared: &'a LinkShared,
    lanes: [Lane; 3],
}

impl Writer<'_> {
    /// Writes for as long as the stream takes it.
    async fn run(&mut self) -> io::Error {
        let error = futures::future::poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        });
        error.await
    }

    /// Writes what is queued, and closes the streams in this direction.
    async fn finish(&mut self) -> io::Result<()> {
        futures::future::poll_fn(|cx| self.poll(cx)).await?;
        for lane in &mut self.lanes {
            lane.stream.close().await?;
        }
        Ok(())
    }

    /// Ready when everything is written and flushed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.writer.register(cx.waker());
        let mut turns = WRITER_TURNS;
        'urgent: loop {
            turns -= 1;
            if turns == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            for class in Class::ALL {
                let lane = &mut self.lanes[class.index()];
                if lane.staging.is_empty() && self.shared.outbox().stage(class, &mut lane.staging) {
                    self.shared.writable.notify_one();
                }
                if lane.staging.is_empty() {
                    continue;
                }
                match lane.poll_write(cx)? {
                    Poll::Ready(()) => continue 'urgent,
                    Poll::Pending => return Poll::Pending,
                }
            }
            break;
        }
        for lane in &mut self.lanes {
            if lane.unflushed {
                match Pin::new(&mut lane.stream).poll_flush(cx)? {
                    Poll::Ready(()) => lane.unflushed = false,
                    Poll::Pending => return Poll::Pending,
                }
            }
            lane.staging = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}
