//! What the driver tells those who watch: events, latencies, progress, and where a time online began and ended.
//!
//! Nothing here decides anything. What costs more than an addition is done only while somebody watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use farshore_core::batch::{Batch, StoreOp};
use farshore_core::id::{DeviceId, SpaceId};
use farshore_core::input::{Input, LinkId, Request};
use farshore_core::output::{Event as CoreEvent, Reply};
use farshore_net::Event as NetEvent;
use tokio::sync::{broadcast, oneshot, watch};

use super::{Driver, Engine};
use crate::conflicts::{Changed, Queue};
use crate::disk::{DiskFailure, batch_bytes};
use crate::error::Error;
use crate::events::{Event, EventKind, SyncCounts, SyncResult, Trouble};
use crate::latency::Latencies;
use crate::limits::MARKERS;
use crate::os;
use crate::progress::{Progress, Tracker, wait_ms};
use crate::since::{MARKER_META, Marker, Session};
use crate::status::{DiskStatus, NetworkState};

/// What the driver keeps for those who watch.
pub(crate) struct Observer {
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) latencies: Arc<Latencies>,
    pub(crate) conflicts: Queue,
    pub(crate) progress: Arc<watch::Sender<Option<Arc<Progress>>>>,
    pub(crate) session: Session,
    tracker: Tracker,
    /// When progress was last looked at, how long that took, and whether something has happened since.
    looked_ms: u64,
    look_cost_ms: u64,
    stale: bool,
    /// Frames and bytes of each link.
    traffic: BTreeMap<LinkId, Traffic>,
    attempts: BTreeMap<(SpaceId, DeviceId), Attempt>,
    /// Whose link went down, and why, until the engine says so.
    gone: Option<(LinkId, DeviceId, String)>,
    /// Why the transport says that a link went down.
    down: Option<(LinkId, String)>,
    /// Write requests under way: when they came, and of which space.
    writes: BTreeMap<u64, (u64, SpaceId)>,
    /// Markers on their way to the disk.
    marks: BTreeMap<u64, oneshot::Sender<Result<(), Error>>>,
    /// Batches of our own count down from here: the engine's count up.
    next_batch: u64,
    network_failed: bool,
    /// Whether a time online ended with a failure of the disk, and is to be kept when that works again.
    ended_unkept: bool,
}

/// What went over a link.
#[derive(Debug, Clone, Copy, Default)]
struct Traffic {
    frames_in: u64,
    bytes_in: u64,
    frames_out: u64,
    bytes_out: u64,
}

/// An attempt to sync one space with one device.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    began_ms: u64,
    link: Option<LinkId>,
    /// What the link had carried by then.
    before: Traffic,
    counts: SyncCounts,
}

impl Observer {
    pub(crate) fn new(
        events: broadcast::Sender<Event>,
        latencies: Arc<Latencies>,
        conflicts: Queue,
        progress: Arc<watch::Sender<Option<Arc<Progress>>>>,
        session: Session,
    ) -> Self {
        Observer {
            events,
            latencies,
            conflicts,
            progress,
            session,
            tracker: Tracker::default(),
            looked_ms: 0,
            look_cost_ms: 0,
            stale: true,
            traffic: BTreeMap::new(),
            attempts: BTreeMap::new(),
            gone: None,
            down: None,
            writes: BTreeMap::new(),
            marks: BTreeMap::new(),
            next_batch: u64::MAX,
            network_failed: false,
            ended_unkept: false,
        }
    }

    fn tell(&self, kind: EventKind) {
        if self.events.receiver_count() > 0 {
            let _ = self.events.send(Event { at_ms: os::wall_ms(), kind }); // The last one may just have gone.
        }
    }

    /// Notes what goes into the engine.
    pub(super) fn input(&mut self, input: &Input, peers: &mut BTreeMap<LinkId, DeviceId>) {
        match input {
            Input::LinkUp { link, .. } => drop(self.traffic.insert(*link, Traffic::default())),
            Input::Frame { link, bytes, .. } => {
                let traffic = self.traffic.entry(*link).or_default();
                traffic.frames_in += 1;
                traffic.bytes_in += bytes.len() as u64;
            }
            Input::LinkDown { link } => {
                let reason = self.down.take().filter(|(down, _)| down == link).map(|(_, reason)| reason);
                self.link_gone(*link, peers.remove(link), reason.as_deref().unwrap_or("this device closed it"));
            }
            _ => {}
        }
    }

    pub(super) fn sent(&mut self, link: LinkId, bytes: usize) {
        if let Some(traffic) = self.traffic.get_mut(&link) {
            traffic.frames_out += 1;
            traffic.bytes_out += bytes as u64;
        }
    }

    /// A link is no more. What it carried for attempts under way is final; the engine says next what ended with it.
    pub(super) fn link_gone(&mut self, link: LinkId, device: Option<DeviceId>, reason: &str) {
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.link == Some(link)) {
            attempt.counts = attempt.counts(&self.traffic);
            attempt.link = None;
        }
        self.traffic.remove(&link);
        self.gone = device.map(|device| (link, device, reason.to_owned())).or_else(|| self.gone.take());
    }

    /// A write request came in.
    pub(super) fn asked(&mut self, id: u64, request: &Request, now_us: u64) {
        if let Request::Edit { space, .. } = request {
            self.writes.insert(id, (now_us, *space));
        }
    }

    /// A request is answered.
    pub(super) fn answered<E>(&mut self, id: u64, result: &Result<Reply, E>, now_us: u64) {
        let Some((began_us, space)) = self.writes.remove(&id) else { return };
        let Ok(Reply::Edited(results)) = result else { return };
        let mut last = None;
        for (journal, position) in results.iter().flatten().filter_map(|edited| edited.entry) {
            if last != Some((journal, position.seq)) {
                self.latencies.durable(space, journal.collection, position.seq, now_us);
            }
            last = Some((journal, position.seq));
        }
        if last.is_some() {
            self.latencies.written(now_us.saturating_sub(began_us));
        }
    }

    /// A batch is durable; says whether it was one of ours, of which the engine knows nothing.
    pub(super) fn stored(&mut self, batch: u64) -> bool {
        if let Some(reply) = self.marks.remove(&batch) {
            let _ = reply.send(Ok(())); // Whoever asked may have stopped waiting.
        }
        batch > self.next_batch
    }

    fn began(&mut self, space: SpaceId, device: DeviceId, link: Option<LinkId>, now_ms: u64) {
        self.ended(space, device, SyncResult::Restarted, now_ms);
        let before = link.and_then(|link| self.traffic.get(&link)).copied().unwrap_or_default();
        let attempt = Attempt { began_ms: now_ms, link, before, counts: SyncCounts::default() };
        self.attempts.insert((space, device), attempt);
        self.tell(EventKind::SyncBegan { space, device });
    }

    fn ended(&mut self, space: SpaceId, device: DeviceId, result: SyncResult, now_ms: u64) {
        let Some(attempt) = self.attempts.remove(&(space, device)) else { return };
        let (counts, took_ms) = (attempt.counts(&self.traffic), now_ms.saturating_sub(attempt.began_ms));
        self.tell(EventKind::SyncEnded { space, device, result, counts, took_ms });
    }

    fn peer_down(&mut self, device: DeviceId, reason: &str, now_ms: u64) {
        let spaces: Vec<SpaceId> =
            self.attempts.keys().filter(|(_, with)| *with == device).map(|(space, _)| *space).collect();
        for space in spaces {
            self.ended(space, device, SyncResult::Interrupted { reason: reason.to_owned() }, now_ms);
        }
        self.tell(EventKind::PeerDown { device, reason: reason.to_owned() });
    }

    fn counts(&mut self, space: SpaceId, device: Option<DeviceId>) -> Option<&mut SyncCounts> {
        self.attempts.get_mut(&(space, device?)).map(|attempt| &mut attempt.counts)
    }

    /// Hands over documents to be looked at for conflicts, if anybody would hear of them.
    fn look_for_conflicts(&self, changed: Changed) {
        if self.events.receiver_count() > 0
            && let Err(refused) = self.conflicts.try_send(changed)
        {
            let documents = refused.into_inner().documents.len() as u64;
            self.tell(EventKind::ConflictsNotLookedFor { documents });
        }
    }
}

impl Attempt {
    fn counts(&self, traffic: &BTreeMap<LinkId, Traffic>) -> SyncCounts {
        let Some(now) = self.link.and_then(|link| traffic.get(&link)) else { return self.counts };
        SyncCounts {
            frames_in: now.frames_in - self.before.frames_in,
            bytes_in: now.bytes_in - self.before.bytes_in,
            frames_out: now.frames_out - self.before.frames_out,
            bytes_out: now.bytes_out - self.before.bytes_out,
            ..self.counts
        }
    }
}

impl Driver {
    /// Tells those who watch of something that the engine says.
    pub(super) fn observe(&mut self, event: CoreEvent) {
        let now_ms = self.now().mono_ms;
        let observer = &mut self.observer;
        match event {
            CoreEvent::Changed { space, collection, documents, remote: false } => {
                observer.tell(EventKind::LocalWrite { space, collection, documents: documents.into() });
            }
            CoreEvent::Changed { space, collection, documents, remote: true } => {
                let documents: Arc<[_]> = documents.into();
                observer.tell(EventKind::Merged { space, collection, documents: Arc::clone(&documents) });
                observer.look_for_conflicts(Changed { space, collection, documents });
            }
            CoreEvent::RosterChanged { space } => observer.tell(EventKind::RosterChanged { space }),
            CoreEvent::Invited { space, device, name } => observer.tell(EventKind::Joined { space, device, name }),
            CoreEvent::PeerUp { device, .. } => {
                if self.peers.len() == 1 {
                    observer.session.online();
                }
                // A second link, which takes over from the first, is no news.
                if self.peers.values().filter(|linked| **linked == device).count() == 1 {
                    observer.tell(EventKind::PeerUp { device });
                }
            }
            CoreEvent::PeerDown { device } => {
                let gone = observer.gone.take().filter(|(_, whose, _)| *whose == device);
                let reason = gone.map_or_else(|| "the link is gone".to_owned(), |(.., reason)| reason);
                observer.peer_down(device, &reason, now_ms);
                if self.peers.is_empty() {
                    self.offline();
                }
            }
            CoreEvent::SyncStarted { space, device } => {
                let link = self.peers.iter().find(|(_, peer)| **peer == device).map(|(link, _)| *link);
                observer.began(space, device, link, now_ms);
            }
            CoreEvent::InSync { space, device } => observer.ended(space, device, SyncResult::InSync, now_ms),
            CoreEvent::Arrived { space, journal, from, entries } => {
                observer.latencies.arrived(space, journal, &entries);
                let (count, bytes) = (entries.len() as u64, entries.iter().map(|entry| entry.bytes as u64).sum());
                if let Some(counts) = observer.counts(space, from) {
                    counts.received_entries += count;
                    counts.received_bytes += bytes;
                }
                let (collection, author) = (journal.collection, journal.device);
                observer.tell(EventKind::Received { space, collection, author, from, entries: count, bytes });
            }
            CoreEvent::Applied { space, journal, seq } => {
                let wall_ms = os::wall_ms();
                observer.latencies.visible(space, journal, seq, now_ms, wall_ms);
            }
            CoreEvent::Receipted { space, device, collection, seq, newly } => {
                observer.latencies.receipted(space, collection, seq, self.clock.now_us());
                if let Some(counts) = observer.counts(space, Some(device)) {
                    counts.receipted_entries += newly;
                }
                observer.tell(EventKind::Receipted { space, collection, device, seq });
            }
            other => self.observe_trouble(other),
        }
    }

    fn observe_trouble(&mut self, event: CoreEvent) {
        let trouble = match event {
            CoreEvent::PeerFault { link, fault } => {
                let gone = self.observer.gone.as_ref().filter(|(gone, ..)| *gone == link);
                let device = gone.map(|(_, device, _)| *device).or_else(|| self.peers.get(&link).copied());
                Trouble::Peer { device, fault }
            }
            CoreEvent::JournalRejected { space, journal, seq, reason } => {
                Trouble::Journal { space, journal, seq, reason }
            }
            CoreEvent::ForkDetected { space, journal, seq } => Trouble::Fork { space, journal, seq },
            CoreEvent::NewIncarnation { reason, .. } => {
                self.observer.latencies.forget_waiting();
                Trouble::NewIncarnation { reason }
            }
            _ => return,
        };
        self.observer.tell(EventKind::Error(trouble));
    }

    /// Notes what the network says that the engine does not hear of.
    pub(super) fn observe_network(&mut self, event: &NetEvent) {
        match event {
            NetEvent::DialFailed { peer, error } => {
                let (peer, cause) = (peer.to_string(), error.to_string());
                self.observer.tell(EventKind::Error(Trouble::Dial { peer, cause }));
            }
            NetEvent::LinkDown { link, reason, .. } => {
                self.observer.down = Some((LinkId(link.0), reason.to_string()));
            }
            _ => {}
        }
    }

    /// Tells when the network has failed, once.
    pub(super) fn observe_network_state(&mut self) {
        let failed = self.network.has_failed();
        if failed
            && !self.observer.network_failed
            && let NetworkState::Failed(cause) = self.network.status().state
        {
            self.observer.tell(EventKind::Error(Trouble::Network { cause }));
        }
        self.observer.network_failed = failed;
    }

    /// The store failed, and with it ended every link.
    pub(super) fn observe_failure(&mut self, failure: &DiskFailure) {
        let now_ms = self.now().mono_ms;
        let observer = &mut self.observer;
        let devices: std::collections::BTreeSet<DeviceId> = self.peers.values().copied().collect();
        observer.ended_unkept |= !devices.is_empty();
        for device in devices {
            observer.peer_down(device, "this device's store failed", now_ms);
        }
        observer.traffic.clear();
        observer.writes.clear();
        observer.latencies.forget_waiting();
        for (_, reply) in std::mem::take(&mut observer.marks) {
            let _ = reply.send(Err(failure.clone().into())); // Whoever asked may have stopped waiting.
        }
        let (message, retryable) = (failure.message.clone(), failure.retryable);
        observer.tell(EventKind::Error(Trouble::Disk { message, retryable }));
    }

    /// Keeps what a start or a failure left unkept about the times online.
    pub(super) fn settle_session(&mut self) {
        if std::mem::take(&mut self.observer.ended_unkept) {
            self.offline();
        } else if std::mem::take(&mut self.observer.session.unkept) {
            self.keep_session();
        }
    }

    /// The last peer is gone.
    fn offline(&mut self) {
        if let Some(marker) = self.marker() {
            self.observer.session.offline(marker);
            self.keep_session();
        }
    }

    fn keep_session(&mut self) {
        if let Some(op) = self.observer.session.op() {
            self.keep(op);
        }
    }

    /// Where everything that is visible stands.
    fn marker(&self) -> Option<Marker> {
        match &self.engine {
            Engine::Up(replica) => Some(Marker::new(os::wall_ms(), replica.applied())),
            Engine::Down { .. } => None,
        }
    }

    /// Makes a record of our own durable, after everything asked for so far.
    fn keep(&mut self, op: StoreOp) -> u64 {
        let id = self.observer.next_batch;
        self.observer.next_batch -= 1;
        let batch = Batch { id, ops: vec![op] };
        let bytes = batch_bytes(&batch);
        self.flight.batch(id, bytes);
        self.disk.batch(self.life, batch, bytes);
        id
    }

    /// Sets one of the app's markers.
    pub(super) fn mark(&mut self, name: &str, reply: oneshot::Sender<Result<(), Error>>) {
        let names = &self.observer.session.names;
        let refused = match (&self.engine, names.contains(name) || names.len() < MARKERS) {
            (Engine::Down { failure, .. }, _) => Some(failure.clone().into()),
            (_, false) => Some(Error::Invalid(format!("there are {MARKERS} markers already: move one of them"))),
            (_, true) => None,
        };
        match (refused, self.marker()) {
            (None, Some(marker)) => {
                let value = marker.encode();
                let batch = self.keep(StoreOp::PutMeta { name: format!("{MARKER_META}{name}"), value });
                self.observer.session.names.insert(name.to_owned());
                self.observer.marks.insert(batch, reply);
            }
            (refused, _) => {
                let _ = reply.send(Err(refused.unwrap_or(Error::Closed))); // Whoever asked may have stopped waiting.
            }
        }
    }

    /// When progress is to be looked at again, in monotonic milliseconds; `None` while nobody watches or nothing has changed.
    pub(super) fn progress_due(&self) -> Option<u64> {
        let observer = &self.observer;
        if observer.progress.receiver_count() == 0 {
            return None;
        }
        let wait_ms = wait_ms(observer.stale, observer.tracker.moving, observer.look_cost_ms)?;
        Some(observer.looked_ms + wait_ms)
    }

    /// Something happened that may be seen in the progress.
    pub(super) fn progress_stale(&mut self) {
        self.observer.stale = true;
    }

    /// Somebody began to watch: what is there is told anew, at once.
    pub(super) fn refresh_progress(&mut self) {
        if self.observer.progress.receiver_count() <= 1 {
            self.observer.tracker.forget();
        }
        (self.observer.stale, self.observer.looked_ms, self.observer.look_cost_ms) = (true, 0, 0);
        self.observer.progress.send_replace(None);
    }

    pub(super) fn renew_progress(&mut self) {
        let now = self.now();
        if self.progress_due().is_none_or(|due| now.mono_ms < due) {
            return;
        }
        let began_us = self.clock.now_us();
        let (engine, disk) = match &self.engine {
            Engine::Up(replica) => (replica.progress(), DiskStatus::Ok),
            Engine::Down { failure, .. } => {
                (Default::default(), DiskStatus::Failing { message: failure.message.clone() })
            }
        };
        let network = self.network.status();
        let observer = &mut self.observer;
        let progress = observer.tracker.look(now.mono_ms, engine, &network, &disk);
        observer.progress.send_if_modified(|last| {
            let news = last.as_ref().is_none_or(|last| **last != progress);
            if news {
                *last = Some(Arc::new(progress));
            }
            news
        });
        observer.stale = false;
        observer.looked_ms = now.mono_ms;
        observer.look_cost_ms = self.clock.now_us().saturating_sub(began_us) / 1000;
    }
}
