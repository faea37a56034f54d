//! How far synchronization is, how fast it goes, how long it will take, and why it does not move.
//!
//! The engine says what is to go; here that becomes rates and times, from one look to the next. Nobody looks while nobody
//! watches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use farshore_core::id::{CollectionTag, DeviceId, SpaceId};
use farshore_core::progress as core;
pub use farshore_core::progress::{HeldUp, Measure, OwnEntries, ToGo, Waiting};
use tokio::sync::watch;

use crate::limits::{PROGRESS_INTERVAL_MS, PROGRESS_RATE_MS, PROGRESS_SHARE, PROGRESS_STILL_MS};
use crate::net::peer_name;
use crate::status::{DiskStatus, NetworkState, NetworkStatus};

/// All that is to go, at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// One for each other member of each space.
    pub peers: Vec<PeerProgress>,
    /// Collections of which entries are held that are not in the documents yet, or whose documents take no edits.
    pub held_up: Vec<HeldUp>,
    /// Collections of which some member lacks entries of this device: who has how many, and which nobody has.
    pub own: Vec<OwnEntries>,
    /// What stops everything: the disk, the network.
    pub obstacles: Vec<Obstacle>,
}

impl Progress {
    /// Whether nothing is to go to or from any peer that is linked, and nothing is held up: all that can be known is here.
    pub fn is_settled(&self) -> bool {
        let linked = || self.peers.iter().filter(|peer| peer.linked);
        linked().all(|peer| peer.compared && peer.incoming.to_go.is_empty() && peer.outgoing.to_go.is_empty())
            && self.held_up.iter().all(|held| held.entries == 0)
    }

    /// Whether something is to go or held up.
    fn moves(&self) -> bool {
        let mut peers = self.peers.iter();
        peers.any(|peer| peer.linked && !(peer.incoming.to_go.is_empty() && peer.outgoing.to_go.is_empty()))
            || self.held_up.iter().any(|held| held.entries > 0)
    }
}

/// What is to go between this device and another one, in one space.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PeerProgress {
    /// The space.
    pub space: SpaceId,
    /// The other device.
    pub device: DeviceId,
    /// Whether there is a link that shares the space.
    pub linked: bool,
    /// Whether the two have told each other what they hold. Before, it is not known what is to come.
    pub compared: bool,
    /// To this device.
    pub incoming: Flow,
    /// From this device.
    pub outgoing: Flow,
    /// The collections of which something is to go; of all others nothing is.
    pub collections: Vec<CollectionProgress>,
    /// Why nothing moves, if that is known.
    pub obstacles: Vec<Obstacle>,
}

/// The part of one collection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CollectionProgress {
    /// The collection.
    pub collection: CollectionTag,
    /// Its name; `None` while its definition is unknown.
    pub name: Option<String>,
    /// To this device.
    pub incoming: Flow,
    /// From this device.
    pub outgoing: Flow,
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Flow {
    /// What is to go.
    pub to_go: ToGo,
    /// Entries that went since somebody began to watch; with those to go, the whole of a bar. What comes and goes between two
    /// looks is not among them.
    pub done: u64,
    /// Entries a second, averaged over the last few seconds.
    pub per_second: f64,
}

impl Flow {
    /// How long the rest takes if it goes on like this; `None` when nothing moves or nothing is to go.
    pub fn time_left(&self) -> Option<Duration> {
        let rest = self.to_go.entries as f64 / self.per_second;
        (self.to_go.entries > 0 && rest.is_finite()).then(|| Duration::from_secs_f64(rest.min(MOST_LEFT_S)))
    }

    /// Bytes a second, if the size of what is to go is known or estimated.
    pub fn bytes_per_second(&self) -> Option<f64> {
        let known = self.to_go.entries > 0 && self.to_go.measure != Measure::Unknown;
        known.then(|| self.per_second * self.to_go.bytes as f64 / self.to_go.entries as f64)
    }
}

/// A century: what is longer is no estimate.
const MOST_LEFT_S: f64 = 100.0 * 365.0 * 86_400.0;

/// Why nothing moves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The space, or this device, is paused.
    Paused,
    /// There is no link to the device.
    NoLink {
        /// Why the last dial failed, if one did.
        cause: Option<String>,
    },
    /// There is a link, and the other side has not shown that it has the space.
    NotShared,
    /// Who is a member is being settled first.
    Roster,
    /// The other side takes no more until what it has is on its disk.
    OutOfCredit,
    /// The node was opened offline, or closed its network.
    Offline,
    /// `suspend` closed the network; `resume` opens it.
    Suspended,
    /// The network could not be started.
    NetworkFailed {
        /// Why.
        cause: String,
    },
    /// Nothing can be written.
    Disk {
        /// Why, and what to do.
        message: String,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Paused => write!(f, "{}", core::Stuck::Paused),
            Obstacle::NoLink { cause: None } => write!(f, "{}", core::Stuck::NoLink),
            Obstacle::NoLink { cause: Some(cause) } => write!(f, "{}: {cause}", core::Stuck::NoLink),
            Obstacle::NotShared => write!(f, "{}", core::Stuck::NotShared),
            Obstacle::Roster => write!(f, "{}", core::Stuck::Roster),
            Obstacle::OutOfCredit => write!(f, "{}", core::Stuck::Credit(farshore_core::input::Class::Bulk)),
            Obstacle::Offline => f.write_str("this device is offline"),
            Obstacle::Suspended => f.write_str("this device is suspended"),
            Obstacle::NetworkFailed { cause } => write!(f, "this device has no network: {cause}"),
            Obstacle::Disk { message } => write!(f, "nothing can be written: {message}"),
        }
    }
}

/// Progress that is renewed as things move, at most ten times a second. Dropping it ends the renewing.
#[derive(Debug)]
pub struct ProgressWatch {
    pub(crate) receiver: watch::Receiver<Option<Arc<Progress>>>,
}

impl ProgressWatch {
    /// Waits for the next progress; `None` after the node was shut down. The first is there almost at once. States in between
    /// may be skipped. While something is to go there is one each second though nothing moves, because rates fall.
    pub async fn next(&mut self) -> Option<Arc<Progress>> {
        loop {
            self.receiver.changed().await.ok()?;
            if let Some(progress) = self.receiver.borrow_and_update().clone() {
                return Some(progress);
            }
        }
    }

    /// Waits until a progress fulfils a condition; `None` after the node was shut down.
    pub async fn until(&mut self, mut fulfils: impl FnMut(&Progress) -> bool) -> Option<Arc<Progress>> {
        loop {
            let progress = self.next().await?;
            if fulfils(&progress) {
                return Some(progress);
            }
        }
    }
}

/// Which number is followed: a peer's, or of one of its collections; to this device or from it.
type Key = (SpaceId, DeviceId, Option<CollectionTag>, bool);

/// Makes rates of one look after another.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    meters: BTreeMap<Key, Meter>,
    at_ms: u64,
    /// Whether at the last look something was to go.
    pub(crate) moving: bool,
}

/// One number that goes down.
#[derive(Debug, Clone, Copy)]
struct Meter {
    to_go: u64,
    done: u64,
    per_second: f64,
}

impl Meter {
    /// What has gone since is what there is less of now; what was added meanwhile hides as much, so a rate is never too high.
    fn renew(&mut self, to_go: u64, elapsed_ms: u64) {
        let gone = self.to_go.saturating_sub(to_go);
        self.to_go = to_go;
        self.done += gone;
        if elapsed_ms > 0 {
            let now = gone as f64 * 1000.0 / elapsed_ms as f64;
            let weight = 1.0 - (-(elapsed_ms as f64) / PROGRESS_RATE_MS).exp();
            self.per_second += (now - self.per_second) * weight;
            if self.per_second < 0.01 {
                self.per_second = 0.0; // Of one entry in minutes no time left can be told.
            }
        }
    }
}

impl Tracker {
    /// Forgets what was: nobody watched in between.
    pub(crate) fn forget(&mut self) {
        *self = Tracker::default();
    }

    /// Takes a look.
    pub(crate) fn look(
        &mut self,
        now_ms: u64,
        engine: core::Progress,
        network: &NetworkStatus,
        disk: &DiskStatus,
    ) -> Progress {
        let elapsed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = now_ms;
        let mut meters = BTreeMap::new();
        let mut flow = |key: Key, to_go: ToGo| {
            let new = Meter { to_go: to_go.entries, done: 0, per_second: 0.0 };
            let meter = meters.entry(key).or_insert_with(|| {
                let mut meter = self.meters.get(&key).copied().unwrap_or(new);
                meter.renew(to_go.entries, elapsed_ms);
                meter
            });
            Flow { to_go, done: meter.done, per_second: meter.per_second }
        };
        let peers = engine.peers.into_iter().map(|peer| {
            let (space, device) = (peer.space, peer.device);
            let incoming = flow((space, device, None, true), peer.incoming);
            let outgoing = flow((space, device, None, false), peer.outgoing);
            let collections = peer.collections.into_iter().map(|collection| CollectionProgress {
                collection: collection.collection,
                incoming: flow((space, device, Some(collection.collection), true), collection.incoming),
                outgoing: flow((space, device, Some(collection.collection), false), collection.outgoing),
                name: collection.name,
            });
            let collections = collections.collect();
            let reasons = peer.stuck.iter();
            let obstacles = reasons.filter_map(|stuck| obstacle(stuck, &peer.transport, network, &outgoing)).collect();
            let linked = peer.link.is_some();
            PeerProgress { space, device, linked, compared: peer.compared, incoming, outgoing, collections, obstacles }
        });
        let peers = peers.collect();
        self.meters = meters;
        let obstacles = general(network, disk);
        let progress = Progress { peers, held_up: engine.held_up, own: engine.own, obstacles };
        self.moving = progress.moves();
        progress
    }
}

/// How long after a look the next is due, in milliseconds; `None` when there is nothing to be seen.
pub(crate) fn wait_ms(stale: bool, moving: bool, cost_ms: u64) -> Option<u64> {
    let shortest = PROGRESS_INTERVAL_MS.max(cost_ms.saturating_mul(PROGRESS_SHARE));
    match (stale, moving) {
        (true, _) => Some(shortest),
        (false, true) => Some(shortest.max(PROGRESS_STILL_MS)),
        (false, false) => None,
    }
}

/// What stops everything.
fn general(network: &NetworkStatus, disk: &DiskStatus) -> Vec<Obstacle> {
    let disk = match disk {
        DiskStatus::Ok => None,
        DiskStatus::Failing { message } => Some(Obstacle::Disk { message: message.clone() }),
    };
    let network = match &network.state {
        NetworkState::Up => None,
        NetworkState::Off => Some(Obstacle::Offline),
        NetworkState::Suspended => Some(Obstacle::Suspended),
        NetworkState::Failed(cause) => Some(Obstacle::NetworkFailed { cause: cause.clone() }),
    };
    disk.into_iter().chain(network).collect()
}

/// What the engine's reason means with what the network knows.
fn obstacle(stuck: &core::Stuck, transport: &[u8], network: &NetworkStatus, outgoing: &Flow) -> Option<Obstacle> {
    match stuck {
        // While entries go, credit comes and goes with them.
        core::Stuck::Credit(_) => (outgoing.per_second == 0.0).then_some(Obstacle::OutOfCredit),
        core::Stuck::NotShared => Some(Obstacle::NotShared),
        core::Stuck::Roster => Some(Obstacle::Roster),
        core::Stuck::Paused => Some(Obstacle::Paused),
        _ => Some(Obstacle::NoLink { cause: network.unreachable.get(&peer_name(transport)).cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: SpaceId = SpaceId([1; 32]);
    const PEER: DeviceId = DeviceId([2; 32]);

    fn engine(entries: u64, stuck: Vec<core::Stuck>) -> core::Progress {
        let to_go = ToGo { entries, bytes: entries * 500, measure: Measure::Estimated };
        let collection = core::CollectionProgress {
            collection: CollectionTag([3; 16]),
            name: Some("todos".into()),
            incoming: to_go,
            outgoing: ToGo::default(),
        };
        let peer = core::PeerProgress {
            space: SPACE,
            device: PEER,
            transport: Vec::new(),
            link: None,
            compared: true,
            incoming: to_go,
            outgoing: ToGo::default(),
            collections: if entries > 0 { vec![collection] } else { vec![] },
            stuck,
        };
        core::Progress { peers: vec![peer], ..core::Progress::default() }
    }

    fn look(tracker: &mut Tracker, now_ms: u64, entries: u64) -> PeerProgress {
        let network = NetworkStatus { state: NetworkState::Up, ..NetworkStatus::default() };
        tracker.look(now_ms, engine(entries, vec![]), &network, &DiskStatus::Ok).peers.remove(0)
    }

    #[test]
    fn a_steady_flow_is_told_with_its_rate_and_the_time_left() {
        let mut tracker = Tracker::default();
        assert_eq!(look(&mut tracker, 1_000, 10_000).incoming.time_left(), None, "one look tells no rate");
        let mut last = PeerProgress { incoming: Flow::default(), ..look(&mut tracker, 1_000, 10_000) };
        for step in 1..=200 {
            last = look(&mut tracker, 1_000 + step * 100, 10_000 - step * 40);
        }
        let flow = last.incoming;
        assert_eq!((flow.done, flow.to_go.entries), (8_000, 2_000));
        assert!((flow.per_second - 400.0).abs() < 4.0, "{flow:?}");
        assert!((flow.bytes_per_second().unwrap() - 200_000.0).abs() < 2_000.0, "{flow:?}");
        let left = flow.time_left().unwrap().as_secs_f64();
        assert!((left - 5.0).abs() < 0.1, "{left}");
        assert_eq!(last.collections[0].incoming, flow, "the collection is all of the peer's");
    }

    #[test]
    fn a_flow_that_stops_falls_to_no_rate_and_no_time_and_goes_on_counting_later() {
        let mut tracker = Tracker::default();
        look(&mut tracker, 0, 1_000);
        look(&mut tracker, 1_000, 500);
        let mut flow = Flow::default();
        for second in 2..60 {
            flow = look(&mut tracker, second * 1_000, 500).incoming;
        }
        assert_eq!((flow.per_second, flow.time_left(), flow.done), (0.0, None, 500));
        assert!(look(&mut tracker, 61_000, 800).incoming.per_second == 0.0, "what is added is no progress");
        assert_eq!(look(&mut tracker, 62_000, 0).incoming.done, 1_300);
        tracker.forget();
        assert_eq!(look(&mut tracker, 63_000, 10).incoming.done, 0);
    }

    #[test]
    fn looks_are_at_most_ten_a_second_and_a_twentieth_of_the_time_and_none_when_there_is_nothing_to_see() {
        assert_eq!(wait_ms(true, true, 0), Some(100));
        assert_eq!(wait_ms(true, false, 50), Some(1_000));
        assert_eq!(wait_ms(false, true, 0), Some(1_000));
        assert_eq!(wait_ms(false, true, 500), Some(10_000));
        assert_eq!(wait_ms(false, false, 0), None);
    }

    #[test]
    fn why_nothing_moves_is_told_by_what_the_network_knows() {
        let mut tracker = Tracker::default();
        let peer = farshore_net::Peer::of_seed(&[3; 32]).unwrap();
        let mut network = NetworkStatus { state: NetworkState::Up, ..NetworkStatus::default() };
        network.unreachable.insert(peer.to_string(), "nobody answers".into());
        let credit = core::Stuck::Credit(farshore_core::input::Class::Bulk);
        let mut engine = engine(5, vec![core::Stuck::NoLink, credit, core::Stuck::Paused]);
        engine.peers[0].transport = peer.to_bytes();
        let disk = DiskStatus::Failing { message: "full".into() };
        let progress = tracker.look(0, engine, &network, &disk);
        let expected =
            [Obstacle::NoLink { cause: Some("nobody answers".into()) }, Obstacle::OutOfCredit, Obstacle::Paused];
        assert_eq!(progress.peers[0].obstacles, expected);
        assert_eq!(progress.obstacles, [Obstacle::Disk { message: "full".into() }]);
        assert_eq!(progress.peers[0].obstacles[0].to_string(), "no link: nobody answers");
        network.state = NetworkState::Suspended;
        let progress = tracker.look(1, core::Progress::default(), &network, &DiskStatus::Ok);
        assert_eq!(progress.obstacles, [Obstacle::Suspended]);
    }
}
