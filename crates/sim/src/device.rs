//! One device: a replica on a store, and the app's side of it.

use std::collections::BTreeMap;

use farshore_core::batch::{Batch, Loaded};
use farshore_core::input::{Class, Input, LinkId, Now, Request, RequestId};
use farshore_core::job::Job;
use farshore_core::output::{Event, Output, Reply, RequestError};
use farshore_core::replica::{NewIdentity, OpenError, Replica};

use crate::memory::MemoryStore;

/// A frame that is to be sent, or a link that is to be closed.
#[derive(Debug)]
pub enum Transmission {
    /// Send this.
    Frame {
        /// On this link.
        link: LinkId,
        /// On this stream.
        class: Class,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// Close this.
    Close {
        /// The link.
        link: LinkId,
        /// Why.
        reason: String,
    },
}

/// Counts of what a device asked for: what guards compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches made durable.
    pub commits: u64,
    /// Loads asked of the store.
    pub loads: u64,
    /// Documents that they gave: each becomes an Automerge document, at 50 us and 17 KiB.
    pub documents: u64,
    /// Jobs run.
    pub jobs: u64,
    /// Of these, applications of others' entries to documents.
    pub applies: u64,
    /// Frames sent.
    pub frames: u64,
    /// Of these, on the streams for entries, live and bulk.
    pub entry_frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A device of the simulated world.
#[derive(Debug)]
pub struct Device {
    /// The replica, while the device runs.
    pub replica: Replica,
    /// Its disk.
    pub store: MemoryStore,
    /// What the app was told.
    pub events: Vec<Event>,
    /// Why links were closed by this device.
    pub closed: Vec<String>,
    /// What it cost.
    pub counts: Counts,
    /// What an application of others' entries takes, in ms of virtual time.
    pub apply_ms: u64,
    /// When the last one that took time was done.
    applied_at_ms: u64,
    replies: BTreeMap<RequestId, Result<Reply, RequestError>>,
    last_request: u64,
    transmissions: Vec<Transmission>,
}

impl Device {
    /// Creates a device with an empty store.
    ///
    /// # Panics
    /// When the name is empty or too long: a scenario's mistake.
    pub fn create(seed: [u8; 32], name: &str, now: Now) -> Device {
        let identity = NewIdentity::create(seed, name).expect("a scenario names its devices");
        let mut store = MemoryStore::default();
        store.apply(&Batch { id: 0, ops: identity.ops });
        let mut life = seed;
        life[0] ^= 0x5a;
        Device::start(store, life, now).expect("a store that was just created opens")
    }

    /// Starts a device on what its disk holds.
    ///
    /// # Errors
    /// What the replica says of the store.
    pub fn start(store: MemoryStore, seed: [u8; 32], now: Now) -> Result<Device, OpenError> {
        let replica = Replica::open(store.boot(), false, seed, now)?;
        let mut device = Device {
            replica,
            store,
            events: Vec::new(),
            closed: Vec::new(),
            counts: Counts::default(),
            apply_ms: 0,
            applied_at_ms: 0,
            replies: BTreeMap::new(),
            last_request: 0,
            transmissions: Vec::new(),
        };
        device.drain(now);
        Ok(device)
    }

    /// Kills the process and starts it again: what was not durable is gone.
    ///
    /// # Errors
    /// What the replica says of the store.
    pub fn restart(self, seed: [u8; 32], now: Now) -> Result<Device, OpenError> {
        Device::start(self.store, seed, now)
    }

    /// Asks for something; the reply may come later.
    pub fn request(&mut self, now: Now, request: Request) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.input(now, Input::Request { id, request });
        id
    }

    /// Takes the reply to a request, if it is here.
    pub fn reply(&mut self, id: RequestId) -> Option<Result<Reply, RequestError>> {
        self.replies.remove(&id)
    }

    /// Asks for something local, which is answered at once.
    ///
    /// # Panics
    /// When it is refused or waits for somebody: a scenario's mistake.
    pub fn ask(&mut self, now: Now, request: Request) -> Reply {
        let id = self.request(now, request);
        self.reply(id).expect("a local request is answered at once").expect("the request is allowed")
    }

    /// Hands in what happened, and does what is asked for.
    pub fn input(&mut self, now: Now, input: Input) {
        self.replica.handle(now, input);
        self.drain(now);
    }

    /// Takes what is to be transmitted.
    pub fn transmissions(&mut self) -> Vec<Transmission> {
        std::mem::take(&mut self.transmissions)
    }

    fn drain(&mut self, now: Now) {
        while let Some(output) = self.replica.poll_output() {
            match output {
                Output::Store(batch) => {
                    self.store.apply(&batch);
                    self.counts.commits += 1;
                    self.replica.handle(now, Input::Stored { batch: batch.id });
                }
                Output::Load { id, load } => {
                    self.counts.loads += 1;
                    let loaded = self.store.load(&load);
                    if let Loaded::Documents(documents) = &loaded {
                        self.counts.documents += documents.iter().flatten().count() as u64;
                    }
                    self.replica.handle(now, Input::Loaded { load: id, loaded });
                }
                Output::Job { id, job } => {
                    self.counts.jobs += 1;
                    let mut done = now;
                    if matches!(job, Job::Apply(_)) {
                        self.counts.applies += 1;
                        done.mono_ms = self.applied_at_ms.max(now.mono_ms) + self.apply_ms;
                        self.applied_at_ms = done.mono_ms;
                    }
                    self.replica.handle(done, Input::JobDone { job: id, result: job.run() });
                }
                Output::Send { link, class, frame: bytes } => {
                    self.counts.frames += 1;
                    self.counts.entry_frames += u64::from(class != Class::Ctl);
                    self.counts.bytes += bytes.len() as u64;
                    self.transmissions.push(Transmission::Frame { link, class, bytes });
                }
                Output::Close { link, reason } => {
                    self.closed.push(reason.clone());
                    self.transmissions.push(Transmission::Close { link, reason });
                }
                Output::Reply { id, result } => {
                    self.replies.insert(id, result);
                }
                Output::Notify(event) => self.events.push(event),
                Output::KeepPeers(_) => {}
            }
        }
    }
}
