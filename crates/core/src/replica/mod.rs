//! The one loop: a device's whole behaviour as a state machine.
//!
//! - [`identity`]: who this device is; creating one.
//! - [`request`]: what the app asks; local edits queue up by collection.
//! - [`work`]: a collection's documents are worked on by one job at a time, for local edits or for entries of others.
//! - [`ingest`]: entries from peers: checked, stored, opened, applied.
//! - [`durable`]: what becomes visible when a batch is durable, and not before.
//! - [`fork`]: two entries at one place of a journal: noticed, proved, kept.
//! - [`link`], [`exchange`], [`descent`], [`frontier`], [`receipt`], [`serve`], [`pair`]: the frames.
//! - [`scope`]: which collections the two sides of a link want; [`pause`]: when nothing is exchanged.
//! - [`parts`]: entries too large for a frame, also over a cut.
//! - [`tree`]: how far journals are held, in digests.
//! - [`status`], [`progress`]: what people and programs are told; they change nothing.
//! - [`checkpoint`], [`offer`], [`restore`], [`attest`]: checkpoints: making, sending, loading, giving one's word.

mod attest;
mod cache;
mod checkpoint;
mod descent;
mod durable;
mod exchange;
mod fork;
mod frontier;
mod identity;
mod ingest;
mod link;
mod local;
mod mesh;
mod offer;
mod pair;
mod parts;
mod pause;
mod progress;
mod receipt;
mod request;
mod rest;
mod restore;
mod roster_sync;
mod scope;
mod serve;
mod space;
mod status;
mod tree;
mod turn;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use thiserror::Error;

use crate::batch::{Batch, Boot, BootSpace, Load, Loaded, Slot, StoreOp, ViewOp};
use crate::breakage::Breakage;
use crate::bytes::DecodeError;
use crate::entropy::Entropy;
use crate::entry::Entry;
use crate::id::{CollectionTag, DeviceId, DocKey, JournalId, Position, SpaceId};
use crate::input::{Input, LinkId, Now, RequestId};
use crate::job::{DocSource, Job, JobResult, LifeId};
use crate::limits::SAVE_PEERS_MS;
use crate::output::{Event, Output, Paused, Reply, RequestError};
use crate::record::DocRecord;
use crate::roster::Roster;
use crate::seal::EpochKey;
use crate::time::{Clock, HybridTime};

use cache::{DocCache, RecentEntries};
use checkpoint::{Held, Kept};
use durable::Effect;
pub use identity::{Identity, NewIdentity};
use link::Link;
use local::Local;
use pair::{Invitation, PendingJoin};
use request::EditRequest;
use space::{Journal, Peer, Space};
pub use status::Size;

/// A device: everything it knows, and everything it does next.
#[derive(Debug)]
pub struct Replica {
    identity: Identity,
    now: Now,
    clock: Clock,
    entropy: Entropy,
    spaces: BTreeMap<SpaceId, Space>,
    links: BTreeMap<LinkId, Link>,
    invitations: BTreeMap<[u8; 16], Invitation>,
    joins: BTreeMap<[u8; 16], PendingJoin>,
    /// Addresses of this device, for those it meets.
    addresses: Vec<String>,
    requests: BTreeMap<RequestId, EditRequest>,
    cache: DocCache,
    recent: RecentEntries,
    outputs: VecDeque<Output>,
    last_batch: u64,
    last_call: u64,
    /// What becomes true when a batch is durable.
    batches: BTreeMap<u64, Vec<Effect>>,
    loads: BTreeMap<u64, LoadPurpose>,
    jobs: BTreeMap<u64, JobPurpose>,
    /// When changed peer records are due to be saved.
    save_peers_at: Option<u64>,
    /// When questions that got no answer are put to others.
    check_asked_at: Option<u64>,
    /// When what is held back because peers have it from elsewhere is announced.
    held_back_at: Option<u64>,
    /// Collections with large documents that rest.
    resting: BTreeSet<(SpaceId, CollectionTag)>,
    /// When a scope that was held back is due to be said.
    scopes_due_at: Option<u64>,
    kept_peers: Vec<crate::output::PeerAddress>,
    /// Set while no space is exchanged.
    paused: Option<Paused>,
    /// Whether the network costs money by the byte.
    metered: bool,
    /// While the app is in the background nothing of what others wrote is applied.
    suspended: bool,
    #[cfg(feature = "breakages")]
    broken: Option<Breakage>,
}

/// Why a load was asked for.
#[derive(Debug)]
enum LoadPurpose {
    /// For a collection's work: documents already at hand, and the keys being loaded.
    Work { space: SpaceId, collection: CollectionTag, at_hand: Vec<(DocKey, DocSource)>, missing: Vec<DocKey> },
    /// For the same: former lives, after the documents.
    Former { space: SpaceId, collection: CollectionTag, documents: Vec<(DocKey, DocSource)>, lives: Vec<(DocKey, u32)> },
    /// Entries that wait to be applied and are not in memory.
    Unapplied { space: SpaceId, collection: CollectionTag },
    /// Entries that a link is to be sent.
    Serve { link: LinkId, space: SpaceId, journal: JournalId },
    /// One entry that a link asked for by its hash.
    ServeOne { link: LinkId, space: SpaceId, journal: JournalId, position: Position },
    /// What is held at places of which a peer names an entry.
    Compare { link: LinkId, space: SpaceId, claims: Vec<(JournalId, Position)> },
    /// What is held at the place of an entry that came.
    CompareEntry { space: SpaceId, source: space::Source, entry: Arc<Entry> },
    /// The manifest, and then the chunks, of the checkpoint that a new one goes on from.
    BaseManifest { space: SpaceId, collection: CollectionTag, slot: Slot, held: Box<Held>, key: EpochKey },
    /// See `BaseManifest`.
    BaseChunk { space: SpaceId, collection: CollectionTag, slot: Slot },
    /// Entries to survey for a checkpoint.
    Survey { space: SpaceId, collection: CollectionTag, slot: Slot },
    /// Lives of documents to pack into one.
    Pack { space: SpaceId, collection: CollectionTag, slot: Slot, lives: Vec<LifeId> },
    /// A part of a checkpoint that came from a peer.
    OwnPart { at: (SpaceId, CollectionTag, Slot), part: u32 },
    /// A part of a checkpoint that a link is to be sent.
    ServePart { link: LinkId, space: SpaceId, slot: Slot, part: u32 },
}

/// Why a job runs.
#[derive(Debug)]
enum JobPurpose {
    /// Entries from peers.
    Ingest { space: SpaceId, sources: Vec<space::Source> },
    /// Entries read back from the own store.
    Reopen { space: SpaceId, collection: CollectionTag },
    /// A collection's work.
    Work { space: SpaceId, collection: CollectionTag },
    /// An entry that would prove a fork, if its signature is right.
    Proof { space: SpaceId, source: space::Source },
    /// A step of making or checking a checkpoint.
    Checkpoint { space: SpaceId, collection: CollectionTag, slot: Slot },
}

/// A reason to wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A link has not proved its device in time.
    Hello,
    /// Changed peer records are due to be saved.
    SavePeers,
    /// A question to a peer may have got no answer.
    Asked,
    /// Entries that were not sent, because peers have them from elsewhere, are due to be announced.
    HeldBack,
    /// A large document has rested, and entries wait to be applied to it.
    Rested,
    /// What this device wants has changed since it last told its peers.
    Scopes,
}

/// Why a replica cannot start from what the store gave.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store was never given an identity.
    #[error(
        "the store holds no device identity: it was not created by `farshore init` or Node::open, or creation was cut short"
    )]
    NoIdentity,
    /// The store's bytes are damaged or newer.
    #[error("the store's {what} cannot be read: {error}")]
    Damaged {
        /// Which record.
        what: &'static str,
        /// What is wrong.
        error: DecodeError,
    },
    /// A roster operation that was accepted once is refused now.
    #[error("the roster of space {space} cannot be rebuilt: {error}; restore the store from a backup or join again")]
    Roster {
        /// The space.
        space: SpaceId,
        /// What is wrong.
        error: String,
    },
}

impl Replica {
    /// Starts from what the store holds. `seed` is fresh randomness for this life; with `copied` a new incarnation is started.
    ///
    /// # Errors
    /// The store is damaged, newer, or was never given an identity.
    pub fn open(boot: Boot, copied: bool, seed: [u8; 32], now: Now) -> Result<Replica, OpenError> {
        let entropy = Entropy::from_seed(&seed, "farshore v1 replica");
        let identity = Identity::read(&boot.meta)?;
        let mut replica = Replica {
            clock: Clock::resume(HybridTime(identity::read_clock(&boot.meta))),
            identity,
            now,
            entropy,
            spaces: BTreeMap::new(),
            links: BTreeMap::new(),
            invitations: BTreeMap::new(),
            joins: BTreeMap::new(),
            addresses: Vec::new(),
            requests: BTreeMap::new(),
            cache: DocCache::default(),
            recent: RecentEntries::default(),
            outputs: VecDeque::new(),
            last_batch: 0,
            last_call: 0,
            batches: BTreeMap::new(),
            loads: BTreeMap::new(),
            jobs: BTreeMap::new(),
            save_peers_at: None,
            check_asked_at: None,
            held_back_at: None,
            resting: BTreeSet::new(),
            scopes_due_at: None,
            paused: pause::read_meta(&boot.meta)?,
            metered: false,
            suspended: false,
            kept_peers: Vec::new(),
            #[cfg(feature = "breakages")]
            broken: None,
        };
        for space in boot.spaces {
            let space = replica.boot_space(space)?;
            replica.spaces.insert(space.id, space);
        }
        for (ticket, record) in boot.invitations {
            let invitation =
                Invitation::decode(&record).map_err(|error| OpenError::Damaged { what: "invitation", error })?;
            replica.invitations.insert(ticket, invitation);
        }
        if copied {
            replica.start_incarnation("the store file is a copy or was restored");
        }
        replica.keep_peers();
        for (space, collection) in replica.all_collections() {
            replica.pump(space, collection);
        }
        replica.resume_checkpoints();
        Ok(replica)
    }

    fn boot_space(&self, boot: BootSpace) -> Result<Space, OpenError> {
        let refuse = |error: String| OpenError::Roster { space: boot.space, error };
        let mut ops = boot.roster.iter();
        let genesis = ops.next().ok_or_else(|| refuse("it is empty".into()))?;
        let mut roster = Roster::found(genesis).map_err(|error| refuse(error.to_string()))?;
        for op in ops {
            roster.insert(op).map_err(|error| refuse(error.to_string()))?;
        }
        let mut space = Space::new(boot.space, roster, &self.identity.keys);
        space.local =
            Local::decode(&boot.record).map_err(|error| OpenError::Damaged { what: "space record", error })?;
        space.scope = space.scope_now(false);
        for (id, state) in boot.journals {
            space.arrival = space.arrival.max(state.arrival);
            let collection = space.collections.entry(id.collection).or_default();
            if state.applied < state.held.seq && !state.closed {
                collection.unapplied.insert(id);
            }
            space.journals.insert(id, Journal::new(state));
            space.shown_changed(id);
        }
        space.durable_arrival = space.arrival;
        for (device, record) in boot.peers {
            let peer = Peer::decode(&record).map_err(|error| OpenError::Damaged { what: "peer record", error })?;
            space.peers.insert(device, peer);
        }
        for (collection, slot, record) in boot.checkpoints {
            let damaged = |error| OpenError::Damaged { what: "checkpoint record", error };
            space.boot_checkpoint(collection, slot, Kept::read(slot, &record).map_err(damaged)?);
        }
        Ok(space)
    }

    /// Takes in one thing that happened. Cost: bounded by the input; everything heavy leaves as a job.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = Now { mono_ms: now.mono_ms.max(self.now.mono_ms), wall_ms: now.wall_ms };
        match input {
            Input::Request { id, request } => self.on_request(id, request),
            Input::Stored { batch } => self.on_stored(batch),
            Input::Loaded { load, loaded } => self.on_loaded(load, loaded),
            Input::JobDone { job, result } => self.on_job(job, result),
            Input::LinkUp { link, peer, address, dialled } => self.on_link_up(link, peer, address, dialled),
            Input::Frame { link, class, bytes } => self.on_frame(link, class, &bytes),
            Input::Writable { link } => self.serve(link),
            Input::Addresses(addresses) => self.on_addresses(addresses),
            Input::LinkDown { link } => self.on_link_down(link),
            Input::Wake => self.on_wake(),
        }
    }

    /// The next thing to do, in order; `None` until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to say `Input::Wake`, in the caller's monotonic milliseconds, and why.
    pub fn poll_timeout(&self) -> Option<(u64, Reason)> {
        let hello = self.links.values().filter_map(Link::hello_deadline).min().map(|at| (at, Reason::Hello));
        let save = self.save_peers_at.map(|at| (at, Reason::SavePeers));
        let asked = self.check_asked_at.map(|at| (at, Reason::Asked));
        let held_back = self.held_back_at.map(|at| (at, Reason::HeldBack));
        let rested = self.rested_at().map(|at| (at, Reason::Rested));
        let scopes = self.scopes_due_at.map(|at| (at, Reason::Scopes));
        [hello, save, asked, held_back, rested, scopes].into_iter().flatten().min()
    }

    /// Who this device is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    fn on_wake(&mut self) {
        let late: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.hello_deadline().is_some_and(|at| at <= self.now.mono_ms))
            .map(|(id, _)| *id)
            .collect();
        for link in late {
            self.fault(link, "did not prove its device in time");
        }
        if self.save_peers_at.is_some_and(|at| at <= self.now.mono_ms) {
            self.save_peers();
        }
        if self.check_asked_at.is_some_and(|at| at <= self.now.mono_ms) {
            self.ask_elsewhere();
        }
        if self.held_back_at.is_some_and(|at| at <= self.now.mono_ms) {
            self.announce_held_back();
        }
        self.wake_rested();
        if self.scopes_due_at.is_some_and(|at| at <= self.now.mono_ms) {
            self.say_scopes();
        }
    }

    fn on_loaded(&mut self, load: u64, loaded: Loaded) {
        match (self.loads.remove(&load), loaded) {
            (Some(LoadPurpose::Work { space, collection, mut at_hand, missing }), Loaded::Documents(found)) => {
                at_hand.extend(missing.into_iter().zip(found.into_iter().map(DocSource::stored)));
                self.gathered(space, collection, at_hand);
            }
            (Some(LoadPurpose::Former { space, collection, documents, lives }), Loaded::Documents(found)) => {
                let found = lives.into_iter().zip(found);
                let former = found.map(|((key, life), stored)| (key, life, DocSource::stored(stored))).collect();
                self.start_job(space, collection, documents, former);
            }
            (Some(LoadPurpose::Unapplied { space, collection }), Loaded::Entries(entries)) => {
                self.reopen(space, collection, entries);
            }
            (Some(LoadPurpose::Serve { link, space, journal }), Loaded::Entries(entries)) => {
                self.serve_loaded(link, space, journal, entries);
            }
            (Some(LoadPurpose::ServeOne { link, space, journal, position }), Loaded::Entries(entries)) => {
                self.serve_one(link, space, journal, position, entries);
            }
            (Some(LoadPurpose::Compare { link, space, claims }), Loaded::Hashes(hashes)) => {
                self.on_compared(link, space, &claims, &hashes);
            }
            (Some(LoadPurpose::CompareEntry { space, source, entry }), Loaded::Hashes(hashes)) => {
                self.on_compared_entry(space, source, entry, &hashes);
            }
            (Some(purpose), loaded) => self.on_loaded_checkpoint(purpose, loaded),
            _ => {}
        }
    }

    fn on_loaded_checkpoint(&mut self, purpose: LoadPurpose, loaded: Loaded) {
        match (purpose, loaded) {
            (LoadPurpose::BaseManifest { space, collection, slot, held, key }, Loaded::Part(bytes)) => {
                self.on_base((space, collection, slot), &held, key, bytes);
            }
            (LoadPurpose::BaseChunk { space, collection, slot }, Loaded::Part(bytes)) => {
                self.on_base_chunk((space, collection, slot), bytes);
            }
            (LoadPurpose::Survey { space, collection, slot }, Loaded::Entries(entries)) => {
                self.on_surveyed_entries((space, collection, slot), entries);
            }
            (LoadPurpose::Pack { space, collection, slot, lives }, Loaded::Documents(found)) => {
                self.on_lives((space, collection, slot), lives, found);
            }
            (LoadPurpose::OwnPart { at, part }, Loaded::Part(bytes)) => self.on_own_part(at, part, bytes),
            (LoadPurpose::ServePart { link, space, slot, part }, Loaded::Part(bytes)) => {
                self.serve_part(link, space, (slot, part), bytes);
            }
            _ => {}
        }
    }

    fn on_job(&mut self, job: u64, result: JobResult) {
        match (self.jobs.remove(&job), result) {
            (Some(JobPurpose::Ingest { space, sources }), JobResult::Opened(opened)) => {
                self.on_ingested(space, sources, opened);
            }
            (Some(JobPurpose::Ingest { space, sources }), _) => self.on_ingest_panicked(space, &sources),
            (Some(JobPurpose::Proof { space, source }), JobResult::Opened(opened)) => {
                self.on_proof(space, source, opened);
            }
            (Some(JobPurpose::Proof { source, .. }), _) => self.give_back_credit(source),
            (Some(JobPurpose::Reopen { space, collection }), JobResult::Opened(opened)) => {
                self.on_reopened(space, collection, opened);
            }
            (Some(JobPurpose::Reopen { space, collection }), _) => {
                self.stick(space, collection, "reading entries back failed inside".into());
            }
            (Some(JobPurpose::Work { space, collection }), JobResult::Written(written)) => {
                self.on_written(space, collection, *written);
            }
            (Some(JobPurpose::Work { space, collection }), JobResult::Applied(applied)) => {
                self.on_applied(space, collection, *applied);
            }
            (Some(JobPurpose::Work { space, collection }), JobResult::Restored(restored)) => {
                self.on_restored(space, collection, *restored);
            }
            (Some(JobPurpose::Work { space, collection }), JobResult::Panicked(why)) => {
                self.on_work_panicked(space, collection, &why);
            }
            (Some(JobPurpose::Checkpoint { space, collection, slot }), JobResult::Checkpoint(step)) => {
                self.on_checkpoint_step((space, collection, slot), *step);
            }
            (Some(JobPurpose::Checkpoint { space, collection, slot }), _) => {
                self.on_checkpoint_panicked((space, collection, slot));
            }
            _ => {}
        }
    }

    fn store(&mut self, mut ops: Vec<StoreOp>, effects: Vec<Effect>) {
        let applied = ops.iter().filter_map(|op| match op {
            StoreOp::PutJournal { space, journal, state } => {
                Some(Effect::Applied { space: *space, journal: *journal, applied: state.applied, closed: state.closed })
            }
            _ => None,
        });
        let mut effects: Vec<Effect> = applied.chain(effects).collect(); // First, since what follows tells others where journals stand.
        ops.push(identity::clock_op(self.clock.last()));
        if self.breaks(Breakage::HalfBatch) {
            let rest = ops.split_off(ops.len() / 2);
            effects = vec![Effect::Half(rest, effects)];
        }
        self.last_batch += 1;
        self.batches.insert(self.last_batch, effects);
        self.outputs.push_back(Output::Store(Batch { id: self.last_batch, ops }));
    }

    /// Lets this replica make a mistake from here on.
    #[cfg(feature = "breakages")]
    pub fn break_on_purpose(&mut self, breakage: Breakage) {
        self.broken = Some(breakage);
    }

    #[cfg(feature = "breakages")]
    fn breaks(&self, breakage: Breakage) -> bool {
        self.broken == Some(breakage)
    }

    #[cfg(not(feature = "breakages"))]
    const fn breaks(&self, _: Breakage) -> bool {
        false
    }

    /// Puts away wrongly what others changed, if that is asked for.
    fn spoil(&self, ops: &mut [StoreOp]) {
        let (views, heads) = (self.breaks(Breakage::StaleView), self.breaks(Breakage::StaleHead));
        for op in ops {
            let StoreOp::PutDocument { key, record, view, .. } = op else { continue };
            if views && key.document.0[0].is_multiple_of(3) {
                *view = ViewOp::Keep;
            }
            if let (true, Ok(mut decoded)) = (heads, DocRecord::decode(record))
                && decoded.heads.len() > 1
            {
                decoded.heads.pop_last();
                *record = decoded.encode();
            }
        }
    }

    fn load(&mut self, load: Load, purpose: LoadPurpose) {
        self.last_call += 1;
        self.loads.insert(self.last_call, purpose);
        self.outputs.push_back(Output::Load { id: self.last_call, load });
    }

    fn job(&mut self, job: Job, purpose: JobPurpose) {
        self.last_call += 1;
        self.jobs.insert(self.last_call, purpose);
        self.outputs.push_back(Output::Job { id: self.last_call, job });
    }

    fn reply(&mut self, id: RequestId, result: Result<Reply, RequestError>) {
        self.outputs.push_back(Output::Reply { id, result });
    }

    fn notify(&mut self, event: Event) {
        self.outputs.push_back(Output::Notify(event));
    }

    fn all_collections(&self) -> Vec<(SpaceId, CollectionTag)> {
        let spaces = self.spaces.values();
        spaces.flat_map(|space| space.collections.keys().map(|tag| (space.id, *tag))).collect()
    }

    fn peer_changed(&mut self) {
        self.save_peers_at.get_or_insert(self.now.mono_ms + SAVE_PEERS_MS);
    }

    /// Peers were met. The first address of one is saved at once: a device that stops right after it joined must find the
    /// others again.
    fn peers_met(&mut self, new: bool) {
        self.peer_changed();
        if new {
            self.save_peers_at = Some(self.now.mono_ms);
        }
    }

    /// Saves what changed in peer records. Losing them costs bytes at the next meeting, so they never hold anything up.
    fn save_peers(&mut self) {
        self.save_peers_at = None;
        let mut ops = Vec::new();
        for space in self.spaces.values_mut() {
            for (device, peer) in space.peers.iter_mut().filter(|(_, peer)| peer.dirty) {
                peer.dirty = false;
                ops.push(StoreOp::PutPeer { space: space.id, device: *device, record: peer.encode() });
            }
        }
        if !ops.is_empty() {
            self.store(ops, Vec::new());
        }
    }

    fn device(&self) -> DeviceId {
        self.identity.device
    }

    fn keys(&self) -> Arc<crate::keys::DeviceKeys> {
        Arc::clone(&self.identity.keys)
    }
}
