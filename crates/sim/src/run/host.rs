//! One device of a run: process, disk, clocks, dials, and the app on top.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use farshore_core::id::{DeviceId, DocumentId};
use farshore_core::input::{Input, Now, RequestId};
use farshore_core::output::Reply;
use farshore_core::replica::Replica;

use super::disk::HostDisk;
use crate::app::Shown;
use crate::byzantine::Byzantine;
use crate::fault::FaultKind;
use crate::limits::{BACK_OFF_MS, BATCHES_IN_FLIGHT, DISK_BACK_OFF_MS, JOBS_IN_FLIGHT};
use crate::observe::DeviceNo;
use crate::world::START_UNIX_MS;

/// The process on a device.
#[derive(Debug)]
pub(super) enum Engine {
    /// It does not run.
    Off,
    /// It runs, and its store failed: it waits to open it again.
    Failed,
    /// It runs.
    Up(Box<Replica>),
    /// Somebody else runs in its place.
    Byzantine(Box<Byzantine>),
}

/// Why a request was made, and so what its answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Found,
    Define,
    Invite(DeviceNo),
    Join,
    /// Edits, with the number under which oracles know them.
    Edit(u64),
    Ids,
    SyncNow,
    /// A subscription or a pause.
    Choose,
    Checkpoint,
}

/// A peer that the core wants to be linked with.
#[derive(Debug, Clone, Default)]
pub(super) struct Dial {
    pub(super) addresses: Vec<String>,
    pub(super) failures: u32,
    /// When it is dialled next, if that is planned.
    pub(super) next_ms: Option<u64>,
}

/// A cut of power or a kill that is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crash {
    /// Disk operations until then.
    pub(super) operations: u64,
    /// Whether power fails with it.
    pub(super) power: bool,
    /// How long the device is off.
    pub(super) for_ms: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) engine: Engine,
    /// Counts the replicas: what belongs to an earlier one is ignored.
    pub(super) life: u64,
    pub(super) disk: HostDisk,
    pub(super) id: DeviceId,
    /// The transport's peer id.
    pub(super) peer: Vec<u8>,
    /// Batches, and jobs and loads, that are under way.
    pub(super) batches: usize,
    pub(super) calls: usize,
    /// What waits until there is room.
    pub(super) inbox: VecDeque<Input>,
    pub(super) requests: BTreeMap<RequestId, Asked>,
    /// The answer to the last question for ids of keys.
    pub(super) ids: Option<Reply>,
    last_request: u64,
    pub(super) dials: BTreeMap<DeviceNo, Dial>,
    /// How long it slept in all, and since when and until when it sleeps now.
    slept_ms: u64,
    pub(super) asleep: Option<(u64, u64)>,
    /// How far the wall clock is off.
    pub(super) wall_off_ms: i64,
    /// Counts its addresses, and the one that discovery has found.
    pub(super) address: u64,
    pub(super) discovered: u64,
    pub(super) wake_ms: Option<u64>,
    pub(super) shown: Shown,
    pub(super) dirty: BTreeSet<(usize, DocumentId)>,
    pub(super) member: bool,
    /// It is in bad hands, and never honest again.
    pub(super) turned: bool,
    /// It knows others than the one who let it in, and lives where the topology says.
    pub(super) settled: bool,
    pub(super) ticket: Option<String>,
    pub(super) crash: Option<Crash>,
    /// What its disk is to fail by, as long as no operation has, and whether its disk is slow and nobody has noticed.
    pub(super) idle_fault: Option<FaultKind>,
    pub(super) idle_slowness: bool,
    disk_wait_ms: u64,
    pub(super) inputs: u64,
    /// The largest that each bounded thing has been, and its limit.
    pub(super) sizes: BTreeMap<&'static str, (u64, u64)>,
}

impl Host {
    pub(super) fn new(disk: HostDisk) -> Host {
        Host {
            engine: Engine::Off,
            life: 0,
            disk,
            id: DeviceId([0; 32]),
            peer: Vec::new(),
            batches: 0,
            calls: 0,
            inbox: VecDeque::new(),
            requests: BTreeMap::new(),
            ids: None,
            last_request: 0,
            dials: BTreeMap::new(),
            slept_ms: 0,
            asleep: None,
            wall_off_ms: 0,
            address: 0,
            discovered: 0,
            wake_ms: None,
            shown: Shown::default(),
            dirty: BTreeSet::new(),
            member: false,
            turned: false,
            settled: false,
            ticket: None,
            crash: None,
            idle_fault: None,
            idle_slowness: false,
            disk_wait_ms: DISK_BACK_OFF_MS.0,
            inputs: 0,
            sizes: BTreeMap::new(),
        }
    }

    /// Its two clocks. The monotonic one stands still while it sleeps.
    pub(super) fn now(&self, world_ms: u64) -> Now {
        let wall_ms = (START_UNIX_MS + world_ms).saturating_add_signed(self.wall_off_ms);
        // What still reaches a sleeping device does not let its monotonic clock go on: it would stand still after it woke.
        let awake_ms = self.asleep.map_or(world_ms, |(since_ms, _)| world_ms.min(since_ms));
        Now { mono_ms: awake_ms - self.slept_ms, wall_ms }
    }

    /// The world's time of a moment on its monotonic clock.
    pub(super) fn world_ms(&self, mono_ms: u64) -> u64 {
        mono_ms.saturating_add(self.slept_ms)
    }

    pub(super) fn replica(&self) -> Option<&Replica> {
        match &self.engine {
            Engine::Up(replica) => Some(replica),
            Engine::Off | Engine::Failed | Engine::Byzantine(_) => None,
        }
    }

    /// Whether the process runs, with or without a store.
    pub(super) fn runs(&self) -> bool {
        !matches!(self.engine, Engine::Off)
    }

    /// Whether a user can do something on it.
    pub(super) fn usable(&self) -> bool {
        self.asleep.is_none() && self.member && self.replica().is_some()
    }

    /// Whether it answers on the network: its process may have lost its store, then it takes no links.
    pub(super) fn reachable(&self) -> bool {
        self.asleep.is_none() && matches!(self.engine, Engine::Up(_) | Engine::Byzantine(_))
    }

    /// Whether requests and frames are taken in (`node/src/driver/flight.rs`).
    pub(super) fn has_room(&self) -> bool {
        self.batches < BATCHES_IN_FLIGHT && self.calls < JOBS_IN_FLIGHT
    }

    pub(super) fn next_request(&mut self, asked: Asked) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.requests.insert(id, asked);
        id
    }

    /// The address under which it can be dialled now.
    pub(super) fn address(&self, number: DeviceNo) -> String {
        format!("/sim/{number}/{}", self.address)
    }

    /// Everything that ends with a replica.
    pub(super) fn end_life(&mut self) -> Vec<Asked> {
        self.life += 1;
        self.batches = 0;
        self.calls = 0;
        self.inbox.clear();
        self.dials.clear();
        self.wake_ms = None;
        self.ids = None;
        std::mem::take(&mut self.requests).into_values().collect()
    }

    pub(super) fn woke(&mut self, now_ms: u64) {
        if let Some((since_ms, _)) = self.asleep.take() {
            self.slept_ms += now_ms - since_ms;
        }
    }

    /// How long to wait before a failed disk is tried again.
    pub(super) fn disk_wait_ms(&mut self) -> u64 {
        let wait = self.disk_wait_ms;
        self.disk_wait_ms = (wait * 2).min(DISK_BACK_OFF_MS.1);
        wait
    }

    pub(super) fn disk_works(&mut self) {
        self.disk_wait_ms = DISK_BACK_OFF_MS.0;
    }

    pub(super) fn measured(&mut self, what: &'static str, size: u64, limit: u64) {
        let most = self.sizes.entry(what).or_insert((0, limit));
        most.0 = most.0.max(size);
    }
}

impl Dial {
    /// The next wait: doubling, and spread by half of itself either way (`net/src/backoff.rs`).
    pub(super) fn back_off_ms(&mut self, random: u64) -> u64 {
        let (first, most) = BACK_OFF_MS;
        let base = (first << self.failures.min(16)).min(most);
        self.failures += 1;
        base / 2 + random % base
    }
}
