//! A plan, run: one queue of events in the order of time, which jumps from each to the next.
//!
//! - `host`: a device's process, clocks and app; `disk`, `files`, `waiting`: its disk; `jobs`, `answers`, `ahead`: its workers; `helper`: a
//!   second thread.
//! - `net`, `path`: links and what lies between devices; `links`: how they come, carry and go.
//! - `outputs`: what replicas ask for, done; `users`: founding, joining, editing; `faults`: what goes wrong.
//! - `turn`: devices that fall into bad hands.
//! - `rest`: healing, coming to rest, and the picture of it.

mod ahead;
mod answers;
mod disk;
mod faults;
mod files;
mod helper;
mod host;
mod jobs;
mod links;
mod net;
mod outputs;
mod path;
mod rest;
mod turn;
mod users;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use farshore_core::id::{CollectionTag, DocumentId, JournalId, SpaceId};
use farshore_core::input::Input;
use farshore_core::job::JobResult;
use farshore_core::replica::{NewIdentity, Replica};

pub use disk::Medium;
use files::Failure;
use helper::Helper;
use host::{Engine, Host};
use jobs::Jobs;
pub use jobs::Share;
use net::Links;
use path::Roads;

use crate::app::App;
use crate::byzantine::ByzantineKind;
use crate::dice::Dice;
use crate::fault::FaultKind;
use crate::limits::{DISK_BACK_OFF_MS, EVENTS, EXACT_WORLDS};
use crate::observe::{DeviceNo, Observed, What};
use crate::oracle::{Oracle, Violation};
use crate::plan::{Action, Plan};
use crate::powercut::History;
use crate::trace::Trace;

/// How a plan is run. None of it changes what a core does, only what is checked and kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What devices keep their data on.
    pub medium: Medium,
    /// What is found out once for all devices.
    pub share: Share,
    /// Do every commit of every disk as it comes, and put none off.
    pub every_commit: bool,
    /// Let a second thread write the commits that were put off and find out what devices will ask about an entry, while the
    /// world goes on: faster where a core is free.
    pub second_thread: bool,
    /// Keep every observation, for a timeline.
    pub keep: bool,
    /// Keep every disk operation of this device, for power cuts.
    pub record_disk: Option<DeviceNo>,
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Over every input and output: equal on every run of one plan with one build.
    pub trace: [u8; 32],
    /// What was broken; empty is good.
    pub violations: Vec<Violation>,
    /// Faults that took effect, by kind.
    pub fired: BTreeMap<FaultKind, u64>,
    /// How many devices there were.
    pub devices: usize,
    /// What devices in bad hands did that honest ones do not, by kind.
    pub misdeeds: BTreeMap<ByzantineKind, u64>,
    /// Documents that users edited, and of those how many were acknowledged.
    pub edits: u64,
    /// See `edits`.
    pub acknowledged: u64,
    /// Acts that fell on a device that was off, asleep or no member.
    pub idle_acts: u64,
    /// Subscriptions and pauses that users changed.
    pub choices: u64,
    /// Checkpoints with which devices began.
    pub checkpoints_loaded: u64,
    /// Virtual milliseconds in all.
    pub virtual_ms: u64,
    /// From the end of the faults until everything had converged, in round trips of the healed network.
    pub rest_round_trips: u64,
    /// Events handled.
    pub events: u64,
    /// Inputs that replicas took.
    pub inputs: u64,
    /// Frames and their bytes.
    pub frames: u64,
    /// See `frames`.
    pub frame_bytes: u64,
    /// Commits of disks.
    pub commits: u64,
    /// Signatures checked, and checks that were remembered.
    pub verified: u64,
    /// See `verified`.
    pub remembered: u64,
    /// Applications of entries that another device had done.
    pub shared: u64,
    /// Operations of the disks behind the stores.
    pub disk_writes: u64,
    /// Every observation, if asked for.
    pub observed: Vec<Observed>,
    /// Every disk operation of one device, if asked for.
    pub history: Option<History>,
}

impl Outcome {
    /// Faults that took effect, of every kind.
    pub fn faults(&self) -> u64 {
        self.fired.values().sum()
    }
}

/// Runs a plan to its end and lets the oracles judge it.
pub fn run(plan: &Plan, app: &dyn App, oracles: Vec<Box<dyn Oracle>>, options: Options) -> Outcome {
    Run::new(plan, app, oracles, options).judged()
}

/// The same, with a mistake in every device that is made on purpose.
#[cfg(feature = "breakages")]
pub fn run_broken(
    plan: &Plan,
    app: &dyn App,
    oracles: Vec<Box<dyn Oracle>>,
    options: Options,
    breakage: farshore_core::breakage::Breakage,
) -> Outcome {
    let mut run = Run::new(plan, app, oracles, options);
    run.breakage = Some(breakage);
    run.judged()
}

/// Something that is to happen.
#[derive(Debug)]
enum Event {
    Act(usize),
    /// The disk has finished what it was doing.
    Disk {
        device: DeviceNo,
        life: u64,
    },
    Job {
        device: DeviceNo,
        life: u64,
        id: u64,
        result: Box<JobResult>,
    },
    Wake {
        device: DeviceNo,
        life: u64,
    },
    /// A frame is on the wire, and the next can follow.
    Sent {
        link: u64,
        way: usize,
    },
    /// The next frame of a stream arrives.
    Arrive {
        link: u64,
        way: usize,
        class: usize,
    },
    /// The other end's close arrives.
    Fin {
        link: u64,
        side: usize,
    },
    /// A side would have missed two heartbeats by now.
    Heartbeat {
        link: u64,
        side: usize,
    },
    Dial {
        device: DeviceNo,
        life: u64,
        peer: DeviceNo,
    },
    /// A dial's handshake ends.
    Connect {
        device: DeviceNo,
        life: u64,
        peer: DeviceNo,
    },
    Crash {
        device: DeviceNo,
        at_operation: Option<u64>,
    },
    /// The device is switched on.
    Boot {
        device: DeviceNo,
    },
    /// The process tries its failed store again.
    Reopen {
        device: DeviceNo,
        life: u64,
    },
    HealDisk {
        device: DeviceNo,
    },
    SpeedUpDisk {
        device: DeviceNo,
    },
    Awake {
        device: DeviceNo,
    },
    /// A flapping link is cut once more.
    Flap {
        ends: [DeviceNo; 2],
        left: u32,
        period_ms: u64,
        no: path::FaultNo,
    },
    /// Discovery finds a device that moved.
    Discover {
        device: DeviceNo,
    },
    /// The next collection is to be defined.
    Define,
    /// A device is to be invited.
    Invite {
        device: DeviceNo,
    },
    /// A device that was let in is on its own again.
    Part {
        device: DeviceNo,
    },
    /// A device is to use the ticket that it was given.
    Join {
        device: DeviceNo,
    },
}

/// The oracles, and what they have said.
#[derive(Debug)]
struct Watch {
    oracles: Vec<Box<dyn Oracle>>,
    silenced: BTreeSet<&'static str>,
    violations: Vec<Violation>,
    kept: Option<Vec<Observed>>,
    fired: BTreeMap<FaultKind, u64>,
}

impl Watch {
    fn see(&mut self, at_ms: u64, device: DeviceNo, what: What) {
        if let What::Fired { fault } = &what {
            *self.fired.entry(*fault).or_default() += 1;
        }
        let observed = Observed { at_ms, device, what };
        for oracle in &mut self.oracles {
            if self.silenced.contains(oracle.name()) {
                continue;
            }
            if let Err(violation) = oracle.observe(&observed) {
                self.silenced.insert(oracle.name());
                self.violations.push(violation);
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.push(observed);
        }
    }

    /// What the run itself finds broken.
    fn violate(&mut self, oracle: &'static str, at_ms: u64, device: Option<DeviceNo>, what: String) {
        if self.silenced.insert(oracle) {
            self.violations.push(Violation { oracle, at_ms, device, what });
        }
    }
}

/// The world while it runs.
struct Run<'a> {
    plan: &'a Plan,
    app: &'a dyn App,
    options: Options,
    #[cfg(feature = "breakages")]
    breakage: Option<farshore_core::breakage::Breakage>,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    hosts: Vec<Host>,
    directory: BTreeMap<Vec<u8>, DeviceNo>,
    links: Links,
    roads: Roads,
    jobs: Jobs,
    helper: Option<Arc<Helper>>,
    dice: Dice<'static>,
    watch: Watch,
    trace: Trace,
    outcome: Outcome,
    space: Option<SpaceId>,
    collections: Vec<CollectionTag>,
    keys: BTreeMap<(usize, String), DocumentId>,
    views: users::Views,
    /// Ids that acts drew, and how often one was drawn that there was already.
    drawn: BTreeSet<DocumentId>,
    drawn_again: u64,
    last_edit: u64,
    healed: bool,
    /// When something happened last that is more than a timer or a dial.
    active_ms: u64,
    /// When an entry or a view moved last.
    moved_ms: u64,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, app: &'a dyn App, oracles: Vec<Box<dyn Oracle>>, options: Options) -> Run<'a> {
        let setup = &plan.setup;
        let helper = options.second_thread.then(|| Arc::new(Helper::begin()));
        Run {
            plan,
            app,
            options,
            #[cfg(feature = "breakages")]
            breakage: None,
            now_ms: 0,
            queue: BTreeMap::new(),
            queued: 0,
            hosts: Vec::new(),
            directory: BTreeMap::new(),
            links: Links::default(),
            roads: Roads::new(setup.network),
            jobs: Jobs::new(options.share, helper.clone()),
            helper,
            dice: Dice::seeded(setup.seed ^ 0x5eed_0f0a_0000_0001),
            watch: Watch {
                oracles,
                silenced: BTreeSet::new(),
                violations: Vec::new(),
                kept: options.keep.then(Vec::new),
                fired: BTreeMap::new(),
            },
            trace: Trace::default(),
            outcome: Outcome { devices: setup.members.len(), ..Outcome::default() },
            space: None,
            collections: Vec::new(),
            keys: BTreeMap::new(),
            views: users::Views::default(),
            drawn: BTreeSet::new(),
            drawn_again: 0,
            last_edit: 0,
            healed: false,
            active_ms: 0,
            moved_ms: 0,
        }
    }

    fn judged(mut self) -> Outcome {
        match self.begin() {
            Ok(()) => self.play(),
            Err(what) => self.watch.violate("opens", self.now_ms, None, what),
        }
        self.finish()
    }

    /// Makes the devices and switches them on.
    fn begin(&mut self) -> Result<(), String> {
        for device in 0..self.plan.setup.members.len() {
            let seed = self.seed(device, 0);
            let identity = NewIdentity::create(seed, &format!("device {device}")).map_err(|error| error.to_string())?;
            let disk_seed = self.dice.next_u64();
            let writing = disk::Writing { exact: self.is_exact(device), helper: self.helper.clone() };
            let disk = disk::HostDisk::create(self.options.medium, writing, disk_seed, identity.store, identity.ops)?;
            self.hosts.push(Host::new(disk));
            if self.options.record_disk == Some(device) {
                self.hosts[device].disk.keep_history();
            }
        }
        for device in 0..self.hosts.len() {
            self.boot(device);
        }
        self.found();
        for (index, timed) in self.plan.actions.iter().enumerate() {
            self.queued += 1;
            self.queue.insert((timed.at_ms, self.queued), Event::Act(index));
        }
        Ok(())
    }

    /// Whether each commit of a device's disk is done as it comes. Where disks can be struck, some worlds have one such device:
    /// what many small commits leave on a disk differs from what few large ones do.
    fn is_exact(&self, device: DeviceNo) -> bool {
        let strikes = self.plan.actions.iter().any(|timed| matches!(timed.action, Action::Fault(_)));
        let (seed, devices) = (self.plan.setup.seed, self.plan.setup.members.len().max(1) as u64);
        let chosen = seed.is_multiple_of(EXACT_WORLDS) && seed / EXACT_WORLDS % devices == device as u64;
        self.options.every_commit || (strikes && chosen)
    }

    fn play(&mut self) {
        self.until(self.plan.setup.end_ms);
        self.rest();
    }

    /// Handles every event up to and with `end_ms`.
    fn until(&mut self, end_ms: u64) {
        while self.queue.first_key_value().is_some_and(|((at_ms, _), _)| *at_ms <= end_ms) {
            let Some(((at_ms, _), event)) = self.queue.pop_first() else { break };
            self.now_ms = self.now_ms.max(at_ms);
            self.outcome.events += 1;
            if self.outcome.events > EVENTS {
                self.watch.violate("rests", self.now_ms, None, format!("{EVENTS} events and no end"));
                return;
            }
            self.event(event);
        }
        self.now_ms = self.now_ms.max(end_ms);
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((at_ms, self.queued), event);
    }

    fn in_ms(&mut self, ms: u64, event: Event) {
        self.at(self.now_ms + ms, event);
    }

    fn see(&mut self, device: DeviceNo, what: What) {
        // What a device in bad hands does is no honest device's fault, and nobody promised anything of it.
        if self.hosts[device].turned && !matches!(what, What::Fired { .. }) {
            return;
        }
        if self.options.record_disk == Some(device)
            && let Some(history) = self.hosts[device].disk.history()
        {
            let done = history.ops.len();
            let promised = promised(&what).into_iter().map(|(journal, seq)| (done, journal, seq));
            history.promises.extend(promised);
        }
        self.watch.see(self.now_ms, device, what);
    }

    fn fired(&mut self, device: DeviceNo, fault: FaultKind) {
        self.see(device, What::Fired { fault });
    }

    /// Fresh bytes for a device's life.
    fn seed(&mut self, device: DeviceNo, life: u64) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.plan.setup.seed.to_le_bytes()).update(&(device as u64).to_le_bytes());
        *hasher.update(&life.to_le_bytes()).finalize().as_bytes()
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Act(index) => self.action(index),
            Event::Disk { device, life } => self.disk_done(device, life),
            Event::Job { device, life, id, result } => self.job_done(device, life, id, result),
            Event::Wake { device, life } => self.wake(device, life),
            Event::Sent { link, way } => self.sent(link, way),
            Event::Arrive { link, way, class } => self.arrive(link, way, class),
            Event::Fin { link, side } => self.fin(link, side),
            Event::Heartbeat { link, side } => self.heartbeat(link, side),
            Event::Dial { device, life, peer } => self.dial(device, life, peer),
            Event::Connect { device, life, peer } => self.connect(device, life, peer),
            Event::Crash { device, at_operation } => self.crash(device, at_operation),
            Event::Boot { device } => self.boot(device),
            Event::Reopen { device, life } => self.reopen(device, life),
            Event::HealDisk { device } => self.heal_disk(device),
            Event::SpeedUpDisk { device } => self.speed_up_disk(device),
            Event::Awake { device } => self.awake(device),
            Event::Flap { ends, left, period_ms, no } => self.flap(ends, left, period_ms, no),
            Event::Discover { device } => self.discover(device),
            Event::Define => self.define(),
            Event::Invite { device } => self.invite(device),
            Event::Part { device } => self.part(device),
            Event::Join { device } => self.join_again(device),
        }
        for (device, fault) in self.roads.struck() {
            self.fired(device, fault);
        }
    }

    fn action(&mut self, index: usize) {
        match &self.plan.actions[index].action {
            Action::Act { device, dice } => self.act(*device, *dice),
            Action::Edit { device, collection, edits } => self.recorded(*device, *collection, edits),
            Action::SyncNow { device } => self.sync_now(*device),
            Action::Subscribe { device, collection, priority } => self.choose(*device, *collection, *priority),
            Action::Pause { device, paused } => self.pause(*device, *paused),
            Action::Checkpoint { device, collection } => self.checkpoint(*device, *collection),
            Action::Fault(fault) => self.fault(fault),
            Action::Turn { device, kind } => self.turn(*device, *kind),
        }
    }

    /// If the device sleeps, what happens to it happens when it wakes up.
    fn asleep(&mut self, device: DeviceNo, event: Event) -> Option<Event> {
        match self.hosts[device].asleep {
            Some((_, until_ms)) => {
                self.at(until_ms, event);
                None
            }
            None => Some(event),
        }
    }

    /// Starts a device's process on what its disk holds.
    fn boot(&mut self, device: DeviceNo) {
        if self.hosts[device].runs() || self.hosts[device].turned {
            return;
        }
        self.open(device);
    }

    /// Opens the store and starts a replica; if that fails, it is tried again later, as the node does it.
    fn open(&mut self, device: DeviceNo) {
        let seed = self.seed(device, self.hosts[device].life + 1);
        let now = self.hosts[device].now(self.now_ms);
        let host = &mut self.hosts[device];
        let boot = match host.disk.open() {
            Ok(boot) => boot,
            Err(why) => return self.not_open(device, &why),
        };
        let frontier = boot
            .spaces
            .iter()
            .flat_map(|space| space.journals.iter().map(|(journal, state)| ((space.space, *journal), state.held)));
        let frontier = frontier.collect();
        let replica = match Replica::open(boot, false, seed, now) {
            Ok(replica) => replica,
            Err(error) => return self.watch.violate("opens", self.now_ms, Some(device), error.to_string()),
        };
        #[cfg(feature = "breakages")]
        let replica = {
            let mut replica = replica;
            if let Some(breakage) = self.breakage {
                replica.break_on_purpose(breakage);
            }
            replica
        };
        let identity = replica.identity();
        (host.id, host.peer) = (identity.device, identity.transport_peer());
        let (id, incarnation, peer) = (host.id, identity.incarnation, host.peer.clone());
        host.engine = Engine::Up(Box::new(replica));
        self.directory.insert(peer, device);
        if self.hosts[device].life > 0 {
            self.see(device, What::Restarted { id, incarnation, frontier });
        }
        self.hosts[device].life += 1;
        self.show_everything(device);
        let address = self.hosts[device].address(device);
        self.drain(device);
        self.feed(device, Input::Addresses(vec![address]));
        self.join_again(device);
        if self.healed {
            self.wants_everything(device);
        }
    }

    fn not_open(&mut self, device: DeviceNo, why: &Failure) {
        self.disk_struck(device);
        if self.healed || !why.on_purpose {
            self.watch.violate("opens", self.now_ms, Some(device), format!("on a sound disk: {}", why.reason));
        }
        let host = &mut self.hosts[device];
        host.engine = Engine::Failed;
        let (wait_ms, life) = (host.disk_wait_ms(), host.life);
        self.in_ms(wait_ms, Event::Reopen { device, life });
    }

    fn reopen(&mut self, device: DeviceNo, life: u64) {
        if matches!(self.hosts[device].engine, Engine::Failed) && self.hosts[device].life == life {
            let Some(Event::Reopen { .. }) = self.asleep(device, Event::Reopen { device, life }) else { return };
            self.open(device);
        }
    }

    /// The store failed: the replica's life is over, and with it every link and every request under way.
    fn disk_failed(&mut self, device: DeviceNo, failure: Failure) {
        self.disk_struck(device);
        let reason = failure.reason;
        if !failure.on_purpose {
            self.watch.violate("opens", self.now_ms, Some(device), format!("the store failed by itself: {reason}"));
        }
        self.see(device, What::DiskFailed { reason });
        self.end_life(device);
        self.close_links(device, false);
        let host = &mut self.hosts[device];
        host.engine = Engine::Failed;
        let (wait_ms, life) = (host.disk_wait_ms().max(DISK_BACK_OFF_MS.0), host.life);
        self.in_ms(wait_ms, Event::Reopen { device, life });
    }

    fn end_life(&mut self, device: DeviceNo) {
        for asked in self.hosts[device].end_life() {
            match asked {
                host::Asked::Edit(request) => self.see(device, What::Unanswered { request }),
                // Whoever got no ticket is invited again.
                host::Asked::Invite(guest) => self.in_ms(users::INVITE_AGAIN_MS, Event::Invite { device: guest }),
                _ => {}
            }
        }
    }

    fn finish(mut self) -> Outcome {
        let recorded = self.options.record_disk.and_then(|device| self.hosts.get_mut(device)?.disk.history().cloned());
        self.outcome.history = recorded;
        self.outcome.trace = self.trace.hash();
        self.outcome.violations = self.watch.violations;
        self.outcome.fired = self.watch.fired;
        self.outcome.virtual_ms = self.now_ms;
        self.outcome.verified = self.jobs.verified;
        self.outcome.remembered = self.jobs.remembered;
        self.outcome.shared = self.jobs.shared;
        self.outcome.disk_writes = self.hosts.iter_mut().map(|host| host.disk.writes()).sum();
        self.outcome.observed = self.watch.kept.unwrap_or_default();
        self.outcome
    }
}

/// How far this obliges the device to hold journals after any crash.
fn promised(what: &What) -> Vec<(JournalId, u64)> {
    match what {
        What::Acknowledged { results, .. } => {
            let places = results.iter().filter_map(|result| result.as_ref().ok().copied().flatten());
            places.map(|(journal, position)| (journal, position.seq)).collect()
        }
        What::Sent { shows, .. } => shows.clone(),
        _ => Vec::new(),
    }
}
