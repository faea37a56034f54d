//! The only owner of the replica: one task that turns what happens into inputs, and outputs into work for others.
//!
//! It never blocks: the disk, the workers and the network have threads and tasks of their own, and it waits for all of them
//! at once. When the store fails it drops the replica and starts a new one from what is durable.

mod effects;
mod flight;
mod observe;
mod span;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use farshore_core::batch::Boot;
use farshore_core::entry::Entry;
use farshore_core::id::{DeviceId, SpaceId};
use farshore_core::input::{Input, LinkId, Now, Request, RequestId};
use farshore_core::job::OpenTask;
use farshore_core::output::Reply;
use farshore_core::replica::Replica;
use farshore_net::Status as TransportStatus;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::disk::{Answer, Disk, DiskFailure};
use crate::error::Error;
use crate::limits::{
    DISK_BACK_OFF_FIRST, DISK_BACK_OFF_MOST, REQUESTS_IN_FLIGHT, SHUTDOWN_WAIT, STATUS_INTERVAL_MS, SUSPEND_WAIT,
};
use crate::net::{NetEvent, Network};
use crate::os::{self, Clock};
use crate::since::Marker;
use crate::status::{DiskStatus, NodeStatus, Status};
use crate::watch::Watchers;
use crate::work::Workers;

use flight::Flight;
pub(crate) use observe::Observer;

/// What an app asked for, and where the answer goes.
pub(crate) struct Ask {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Result<Reply, Error>>,
}

/// What is not a request to the engine. Taken in at any time, however full the queues are.
pub(crate) enum Control {
    /// Answers with the status as it is now.
    Status(oneshot::Sender<Result<NodeStatus, Error>>),
    /// Dials an address once.
    Dial { address: String, reply: oneshot::Sender<Result<(), Error>> },
    /// Answers with what the transport is doing.
    Transport(oneshot::Sender<Result<TransportStatus, Error>>),
    /// The operating system says that the network is another one.
    NetworkChanged,
    /// Closes all links, after what is under way became durable.
    Suspend(oneshot::Sender<()>),
    /// Opens the network again.
    Resume,
    /// Somebody began to watch the status.
    Refresh,
    /// Somebody began to watch the progress.
    RefreshProgress,
    /// Answers with where the time online that is told of begins.
    LastOnline(oneshot::Sender<Marker>),
    /// Sets one of the app's markers.
    Mark { name: String, reply: oneshot::Sender<Result<(), Error>> },
    /// Answers with tasks that open entries of the store, with their keys.
    Reading { space: SpaceId, entries: Vec<Entry>, reply: oneshot::Sender<Result<Vec<OpenTask>, Error>> },
    /// Ends everything in order.
    Shutdown(oneshot::Sender<()>),
}

/// Who waits for a reply of the replica.
enum Waiter {
    App(oneshot::Sender<Result<Reply, Error>>),
    Status(oneshot::Sender<Result<NodeStatus, Error>>),
    /// The driver itself: for the watched status.
    Watch,
}

/// The replica, or why there is none.
enum Engine {
    Up(Box<Replica>),
    /// The store failed; it is tried again at this time, and then waited for.
    Down {
        failure: DiskFailure,
        retry: Option<Instant>,
    },
}

/// What the driver needs from those who start it.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) replica: Replica,
    pub(crate) disk: Disk,
    pub(crate) workers: Workers,
    pub(crate) network: Network,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) controls: mpsc::Receiver<Control>,
    pub(crate) answers: mpsc::UnboundedReceiver<Answer>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) observer: Observer,
    pub(crate) status: Arc<watch::Sender<Option<NodeStatus>>>,
}

/// The task's state.
pub(crate) struct Driver {
    clock: Clock,
    engine: Engine,
    /// Counts the replicas: answers to an earlier one are ignored.
    life: u64,
    disk: Disk,
    workers: Workers,
    network: Network,
    /// Whose device is behind a link, for the log.
    peers: BTreeMap<LinkId, DeviceId>,
    flight: Flight,
    waiters: BTreeMap<u64, Waiter>,
    next_request: u64,
    asks: mpsc::Receiver<Ask>,
    controls: mpsc::Receiver<Control>,
    answers: mpsc::UnboundedReceiver<Answer>,
    watchers: Arc<Watchers>,
    observer: Observer,
    status: Arc<watch::Sender<Option<NodeStatus>>>,
    last_status: Option<Arc<Status>>,
    /// Whether the watched status is older than something that happened.
    stale: bool,
    renewed_ms: u64,
    /// Whether a status for those who watch is under way.
    asked_status: bool,
    /// What the app last said of the network, for the next replica.
    metered: bool,
    /// How long to wait after the next failure of the disk. Only a batch that became durable shows that it works again.
    disk_wait: Duration,
}

/// What woke the driver.
enum Woken {
    Answer(Answer),
    Net(NetEvent),
    Ask(Option<Ask>),
    Control(Option<Control>),
    Time,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        Driver {
            clock: parts.clock,
            engine: Engine::Up(Box::new(parts.replica)),
            life: 1,
            disk: parts.disk,
            workers: parts.workers,
            network: parts.network,
            peers: BTreeMap::new(),
            flight: Flight::default(),
            waiters: BTreeMap::new(),
            next_request: 1,
            asks: parts.asks,
            controls: parts.controls,
            answers: parts.answers,
            watchers: parts.watchers,
            observer: parts.observer,
            status: parts.status,
            last_status: None,
            stale: true,
            renewed_ms: 0,
            asked_status: false,
            metered: false,
            disk_wait: DISK_BACK_OFF_FIRST,
        }
    }

    /// Runs until it is told to shut down, or until the last handle of the node is gone.
    pub(crate) async fn run(mut self) {
        self.network.start();
        self.effects();
        self.settle_session();
        let done = loop {
            let woken = self.wait().await;
            if !matches!(woken, Woken::Time) {
                self.progress_stale();
            }
            match woken {
                Woken::Answer(answer) => self.answer(answer),
                Woken::Net(event) => self.net_event(event),
                Woken::Ask(Some(ask)) => self.ask(ask),
                Woken::Control(Some(Control::Shutdown(done))) => break Some(done),
                Woken::Control(Some(control)) => self.control(control).await,
                Woken::Ask(None) | Woken::Control(None) => break None,
                Woken::Time => self.time(),
            }
            self.lost_links();
            self.observe_network_state();
            self.renew_status();
            self.renew_progress();
        };
        self.shut_down().await;
        let Driver { disk, workers, .. } = self;
        // The threads end by themselves; waiting for them is what makes the store free for the next one to open it.
        let ended = tokio::task::spawn_blocking(move || {
            disk.join();
            workers.join();
        });
        if tokio::time::timeout(SHUTDOWN_WAIT, ended).await.is_err() {
            tracing::warn!("the store is still busy; it closes by itself when it is done");
        }
        if let Some(done) = done {
            let _ = done.send(()); // Whoever asked may have stopped waiting.
        }
    }

    async fn wait(&mut self) -> Woken {
        let room = self.flight.has_room();
        let asks = room && self.waiters.len() < REQUESTS_IN_FLIGHT;
        let wake = self.wake();
        tokio::select! {
            Some(answer) = self.answers.recv() => Woken::Answer(answer),
            event = self.network.next(), if room => Woken::Net(event),
            ask = self.asks.recv(), if asks => Woken::Ask(ask),
            control = self.controls.recv() => Woken::Control(control),
            () = sleep_until(wake) => Woken::Time,
        }
    }

    /// The earliest thing that the clock brings.
    fn wake(&self) -> Instant {
        let engine = match &self.engine {
            Engine::Up(replica) => replica.poll_timeout().map(|(mono_ms, _)| self.instant(mono_ms)),
            Engine::Down { retry, .. } => *retry,
        };
        let status = self.wants_status().then(|| self.instant(self.renewed_ms + STATUS_INTERVAL_MS));
        let progress = self.progress_due().map(|due| self.instant(due));
        let never = self.instant(u64::MAX);
        engine.unwrap_or(never).min(status.unwrap_or(never)).min(progress.unwrap_or(never))
    }

    fn instant(&self, mono_ms: u64) -> Instant {
        Instant::from_std(self.clock.instant(mono_ms))
    }

    fn in_time(&self, time: Duration) -> Instant {
        self.instant(self.now().mono_ms) + time
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    /// Gives the replica an input and does what it asks for. Without a replica the input is of no use to anybody.
    fn handle(&mut self, input: Input) {
        let now = self.now();
        if let Engine::Up(replica) = &mut self.engine {
            let span = span::of(&input, &self.peers);
            let _entered = span.enter();
            self.observer.input(&input, &mut self.peers);
            replica.handle(now, input);
            self.effects();
        }
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Stored { life, batch } if life == self.life => {
                self.flight.stored(batch);
                self.disk_wait = DISK_BACK_OFF_FIRST;
                if !self.observer.stored(batch) {
                    self.handle(Input::Stored { batch });
                }
            }
            Answer::Loaded { life, id, loaded } if life == self.life => {
                self.flight.done();
                self.handle(Input::Loaded { load: id, loaded });
            }
            Answer::JobDone { life, id, result } if life == self.life => {
                self.flight.done();
                self.handle(Input::JobDone { job: id, result });
            }
            Answer::Failed { life, failure } if life == self.life => self.fail(failure),
            Answer::Opened { life, boot, copied } if life == self.life => self.open(*boot, copied),
            _ => {} // An answer to a replica that is gone.
        }
        self.stale = true;
    }

    fn net_event(&mut self, event: NetEvent) {
        self.stale = true;
        self.observe_network(&event);
        match (self.network.translate(event), &self.engine) {
            // A link that no replica hears of would stay for nothing.
            (Some(Input::LinkUp { link, .. }), Engine::Down { .. }) => {
                self.network.close(link, "the device's store failed")
            }
            (Some(input), _) => self.handle(input),
            (None, _) => {}
        }
    }

    fn ask(&mut self, ask: Ask) {
        if let Request::SetMetered(metered) = ask.request {
            self.metered = metered;
        }
        self.request(ask.request, Waiter::App(ask.reply));
    }

    fn request(&mut self, request: Request, waiter: Waiter) {
        if let Engine::Down { failure, .. } = &self.engine {
            let failure = failure.clone();
            return self.reply(waiter, Err(failure.into()));
        }
        let id = self.next_request;
        self.next_request += 1;
        self.asked_status |= matches!(waiter, Waiter::Watch);
        self.waiters.insert(id, waiter);
        self.observer.asked(id, &request, self.clock.now_us());
        self.handle(Input::Request { id: RequestId(id), request });
    }

    /// Tells the replica something that needs no answer.
    fn tell(&mut self, request: Request) {
        let id = self.next_request;
        self.next_request += 1;
        self.handle(Input::Request { id: RequestId(id), request });
    }

    /// Tells a waiter. That it may have stopped waiting changes nothing: what was asked for is done.
    fn reply(&mut self, waiter: Waiter, result: Result<Reply, Error>) {
        match waiter {
            Waiter::App(reply) => {
                let _ = reply.send(result);
            }
            Waiter::Status(reply) => {
                let _ = reply.send(self.node_status(result));
            }
            Waiter::Watch => {
                self.asked_status = false;
                if let Ok(status) = self.node_status(result) {
                    self.status.send_replace(Some(status));
                }
            }
        }
    }

    /// The replica's status with the network's and the disk's. While the store has failed, the last one known.
    fn node_status(&mut self, result: Result<Reply, Error>) -> Result<NodeStatus, Error> {
        let disk = match &self.engine {
            Engine::Up(_) => DiskStatus::Ok,
            Engine::Down { failure, .. } => DiskStatus::Failing { message: failure.message.clone() },
        };
        let engine = match (result, &self.last_status) {
            (Ok(Reply::Status(status)), _) => Arc::from(status),
            (Ok(_), _) => return Err(Error::Internal("a status request was answered by something else".into())),
            (Err(_), Some(last)) => Arc::clone(last),
            (Err(error), None) => return Err(error),
        };
        self.last_status = Some(Arc::clone(&engine));
        Ok(NodeStatus { engine, network: self.network.status(), disk })
    }

    async fn control(&mut self, control: Control) {
        self.stale = true;
        match control {
            Control::Status(reply) => self.request(Request::Status, Waiter::Status(reply)),
            Control::Dial { address, reply } => self.network.dial(&address, reply),
            Control::Transport(reply) => self.network.transport(reply),
            Control::NetworkChanged => self.network.changed(),
            Control::Resume => {
                self.tell(Request::SetSuspended(false));
                self.network.start();
                self.effects();
            }
            Control::Suspend(done) => {
                self.suspend().await;
                let _ = done.send(()); // Whoever asked may have stopped waiting.
            }
            Control::Refresh => self.renewed_ms = 0,
            Control::RefreshProgress => self.refresh_progress(),
            Control::LastOnline(reply) => {
                let _ = reply.send(self.observer.session.base().clone()); // Whoever asked may have stopped waiting.
            }
            Control::Mark { name, reply } => self.mark(&name, reply),
            Control::Reading { space, entries, reply } => {
                let tasks = match &self.engine {
                    Engine::Up(replica) => Ok(replica.reading(&space, entries)),
                    Engine::Down { failure, .. } => Err(failure.clone().into()),
                };
                let _ = reply.send(tasks); // Whoever asked may have stopped waiting.
            }
            Control::Shutdown(_) => {} // `run` has taken it out.
        }
    }

    fn time(&mut self) {
        let now = self.in_time(Duration::ZERO);
        match &self.engine {
            Engine::Up(_) => self.handle(Input::Wake),
            Engine::Down { retry: Some(at), .. } if *at <= now => self.try_disk(),
            Engine::Down { .. } => {}
        }
    }

    fn wants_status(&self) -> bool {
        self.stale && !self.asked_status && self.status.receiver_count() > 0
    }

    fn renew_status(&mut self) {
        let now_ms = self.now().mono_ms;
        if self.wants_status() && now_ms >= self.renewed_ms + STATUS_INTERVAL_MS {
            self.stale = false;
            self.renewed_ms = now_ms;
            self.request(Request::Status, Waiter::Watch);
        }
    }

    /// The store failed: the replica's life is over, and with it every link and every request under way.
    fn fail(&mut self, failure: DiskFailure) {
        tracing::warn!(life = self.life, cause = %failure.message, "the replica is dropped; links close");
        let wait = self.disk_wait;
        self.disk_wait = wait.saturating_mul(2).min(DISK_BACK_OFF_MOST);
        self.life += 1;
        self.flight = Flight::default();
        self.network.close_all("the device's store failed");
        self.observe_failure(&failure);
        self.peers.clear();
        self.engine = Engine::Down { failure: failure.clone(), retry: Some(self.in_time(wait)) };
        for (_, waiter) in std::mem::take(&mut self.waiters) {
            self.reply(waiter, Err(failure.clone().into()));
        }
    }

    fn try_disk(&mut self) {
        if let Engine::Down { retry, .. } = &mut self.engine {
            *retry = None;
            self.disk.open(self.life);
        }
    }

    fn open(&mut self, boot: Boot, copied: bool) {
        let opened = os::random().and_then(|seed| {
            Replica::open(boot, copied, seed, self.now()).map_err(|error| Error::Internal(error.to_string()))
        });
        match opened {
            Ok(replica) => {
                tracing::info!(life = self.life, "the store works again");
                self.engine = Engine::Up(Box::new(replica));
                self.watchers.everything();
                self.effects();
                self.settle_session();
                self.tell(Request::SetMetered(self.metered));
                self.handle(self.network.addresses());
                self.network.changed();
            }
            Err(error) => self.fail(DiskFailure { message: error.to_string(), retryable: false }),
        }
    }

    /// Lets what is under way become durable until `until`; takes in nothing new.
    async fn settle(&mut self, until: Instant) {
        while !self.flight.is_empty() {
            match timeout_at(until, self.answers.recv()).await {
                Ok(Some(answer)) => self.answer(answer),
                Ok(None) | Err(_) => return,
            }
        }
    }

    async fn suspend(&mut self) {
        let until = self.in_time(SUSPEND_WAIT);
        self.tell(Request::SetSuspended(true));
        let closed = self.network.stop(crate::status::NetworkState::Suspended);
        self.lost_links();
        self.settle(until).await;
        // The links' goodbyes are written by the network's own task; waiting for it longer would keep the app in front.
        let _ = timeout_at(until, closed).await;
    }

    /// Tells the replica of links that ended here. Its answer may end others, which is why this is a loop.
    fn lost_links(&mut self) {
        loop {
            let lost = self.network.take_lost();
            if lost.is_empty() {
                return;
            }
            lost.into_iter().for_each(|input| self.handle(input));
        }
    }

    async fn shut_down(&mut self) {
        let until = self.in_time(SHUTDOWN_WAIT);
        self.asks.close();
        while let Ok(ask) = self.asks.try_recv() {
            let _ = ask.reply.send(Err(Error::Closed));
        }
        let closed = self.network.stop(crate::status::NetworkState::Off);
        self.settle(until).await;
        let _ = timeout_at(until, closed).await;
        for (_, waiter) in std::mem::take(&mut self.waiters) {
            self.reply(waiter, Err(Error::Closed));
        }
        self.watchers.end();
    }
}
