//! A space as one device holds it: roster and keys, journals, collections and what is known of peers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::attest::Attesting;
use super::checkpoint::{Held, Kept, Making};
use super::local::Local;
use super::rest::Resting;
use super::restore::Loading;
use super::scope::{Scope, Scopes};
use super::tree::Tree;
use crate::batch::{JournalState, Slot, StoreOp};
use crate::bytes::{DecodeError, Reader, Writer};
use crate::catalogue::{CollectionDefinition, DeletePolicy};
use crate::entry::{Dep, Entry};
use crate::id::{
    CollectionTag, DeviceId, DocumentId, EntryHash, EpochId, JournalId, OpHash, Position, SpaceId, StoreId,
};
use crate::input::{Class, DocEdit, LinkId, RequestId};
use crate::job::{Content, Lacking, LifeId};
use crate::keys::DeviceKeys;
use crate::limits::{CURSORS, PARTIAL_ENTRIES, PEER_ADDRESSES, PEER_ID_BYTES};
use crate::progress::Waiting;
use crate::roster::{Keyring, Roster};
use crate::seal::{self, EpochKey, TagKey};
use crate::wire::{self, Of, PeerHint, Range};

/// One space.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) id: SpaceId,
    pub(super) roster: Roster,
    /// Keys that this device can unlock, and what follows from them.
    pub(super) keys: Keyring,
    pub(super) tag_key: Option<TagKey>,
    pub(super) name: Option<String>,
    pub(super) catalogue: BTreeMap<CollectionTag, CollectionDefinition>,
    pub(super) journals: BTreeMap<JournalId, Journal>,
    /// How far they are shown, in digests.
    pub(super) tree: Tree,
    pub(super) collections: BTreeMap<CollectionTag, Collection>,
    /// Arrival number of the last entry handed to the store, and of the last that is durable.
    pub(super) arrival: u64,
    pub(super) durable_arrival: u64,
    pub(super) peers: BTreeMap<DeviceId, Peer>,
    /// Entries that came and wait for an open job, in order of arrival; one job at a time, so that order is kept.
    pub(super) unopened: VecDeque<Arrived>,
    /// Who has written a little lately, and until when somebody may be waiting for more of it.
    pub(super) lively: BTreeMap<DeviceId, u64>,
    /// Whether this device has been in sync with any other since it started.
    pub(super) settled: bool,
    /// Large entries that are opened and not durable.
    pub(super) large_storing: usize,
    pub(super) opening: bool,
    /// Decoded payload bytes kept in `Journal::opened`.
    pub(super) opened_bytes: usize,
    /// Collections with an entry that could be applied if there were room for it in memory.
    pub(super) starved: BTreeSet<CollectionTag>,
    /// Entries asked of a link: never of two at once.
    pub(super) asked: BTreeMap<JournalId, Asked>,
    /// Beginnings of entries, by journal: the rest is asked for.
    pub(super) partials: BTreeMap<JournalId, Partial>,
    pub(super) local: Local,
    /// What this device wants now, as its peers are told.
    pub(super) scope: Scope,
    /// Whether what is wanted by hand only was asked for.
    pub(super) manual_asked: bool,
    /// Checkpoints: those that are here, being made, and on their way into documents; and statements that were found false.
    pub(super) checkpoints: BTreeMap<CollectionTag, Held>,
    pub(super) making: BTreeMap<CollectionTag, Making>,
    pub(super) loading: BTreeMap<CollectionTag, Loading>,
    pub(super) attesting: BTreeMap<CollectionTag, Attesting>,
    pub(super) refused: BTreeSet<[u8; 32]>,
    /// Checkpoints of which the store holds parts and that nobody will finish.
    pub(super) abandoned: Vec<(CollectionTag, Slot)>,
}

/// An outstanding `Want`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) link: LinkId,
    pub(super) to: u64,
    /// When it was asked, or an entry of it last came.
    pub(super) since_ms: u64,
}

/// An entry from a peer.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) entry: Arc<Entry>,
    pub(super) source: Source,
}

/// Which link is owed credit and a receipt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) link: LinkId,
    pub(super) class: Class,
    pub(super) bytes: u32,
    /// Whether its first bytes came before, from whomever: then this link does not answer for what is wrong with it.
    pub(super) resumed: bool,
    /// When it had come, on the monotonic clock.
    pub(super) at_ms: u64,
}

impl Source {
    /// Bytes that came whole on this link at that moment.
    pub(super) fn new(link: LinkId, class: Class, bytes: usize, at_ms: u64) -> Source {
        Source { link, class, bytes: bytes as u32, resumed: false, at_ms }
    }
}

/// The beginning of an entry whose link was cut.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) seq: u64,
    pub(super) hash: EntryHash,
    pub(super) total: usize,
    pub(super) bytes: Vec<u8>,
}

/// One journal.
#[derive(Debug)]
pub(super) struct Journal {
    /// As it will be when every batch under way is durable.
    pub(super) state: JournalState,
    /// The last entry accepted for checking; what comes next must follow it.
    pub(super) receiving: Position,
    /// The roster heads that entry cites: what comes next must cite them too, or what builds on them.
    pub(super) cites: Vec<OpHash>,
    /// The last entry that is durable, and its arrival number: what others may know of.
    pub(super) durable: Position,
    pub(super) durable_arrival: u64,
    /// Up to where it is durably applied, and whether it is durably closed: what may be told of it.
    pub(super) durable_applied: u64,
    pub(super) durable_closed: bool,
    /// Entries after `state.applied` whose content is in memory.
    pub(super) opened: BTreeMap<u64, OpenedEntry>,
    /// What its next entry builds on, while that is not here and there was no room for the entry in memory.
    pub(super) blocked: Option<(JournalId, u64)>,
    /// What its next entry builds on without saying so: it is not tried again before that comes.
    pub(super) lacks: Option<Lacking>,
    /// The link that brought the last entry accepted for checking.
    pub(super) from: Option<LinkId>,
}

/// An entry that waits to be applied.
#[derive(Debug)]
pub(super) struct OpenedEntry {
    pub(super) position: Position,
    pub(super) deps: Vec<Dep>,
    pub(super) content: Content,
}

impl Journal {
    pub(super) fn new(state: JournalState) -> Journal {
        let durable = state.held;
        Journal {
            receiving: durable,
            cites: state.cites.clone(),
            durable,
            durable_arrival: state.arrival,
            durable_applied: state.applied,
            durable_closed: state.closed,
            state,
            opened: BTreeMap::new(),
            blocked: None,
            lacks: None,
            from: None,
        }
    }

    /// Forgets what was accepted for checking and did not pass.
    pub(super) fn reset_receiving(&mut self) {
        self.receiving = self.state.held;
        self.cites.clone_from(&self.state.cites);
    }

    /// How far others are told that it is held, and sent it: to its durable end. Of a journal whose author broke the rules,
    /// every member shows the first entry that is not valid and nothing after it, so that all show the same.
    pub(super) fn shown(&self) -> Position {
        if self.durable_closed && self.durable_applied < self.durable.seq {
            return Position { seq: self.durable_applied + 1, hash: Position::START.hash };
        }
        self.durable
    }

    pub(super) fn empty() -> Journal {
        Journal::new(JournalState::EMPTY)
    }
}

/// One collection's work.
#[derive(Debug, Default)]
pub(super) struct Collection {
    /// Local edits that wait for their entry.
    pub(super) edits: VecDeque<QueuedEdit>,
    /// The one work on documents under way.
    pub(super) busy: Busy,
    /// Batches of local edits not yet durable.
    pub(super) writes_in_flight: usize,
    /// Journals with entries held and not applied.
    pub(super) unapplied: BTreeSet<JournalId>,
    /// Entries checked and held back so that one commit stores and applies them.
    pub(super) unstored: Vec<Unstored>,
    /// Whether entries are being read back from the store.
    pub(super) fetching: bool,
    /// Bytes of entries since the last checkpoint, as far as this process has seen them come, and since it was last looked at.
    pub(super) bytes_since: u64,
    pub(super) bytes_unlooked: u64,
    /// Why the next entry cannot be applied, if something is missing.
    pub(super) waiting: Option<Waiting>,
    /// Set when applying failed for a reason that is not the author's: nothing more is applied until the next start.
    pub(super) stuck: bool,
    /// Large documents that are not applied to for a while.
    pub(super) resting: Resting,
}

impl Collection {
    /// Counts an entry towards the next checkpoint.
    pub(super) fn count_entry(&mut self, bytes: usize) {
        self.bytes_since += bytes as u64;
        self.bytes_unlooked += bytes as u64;
    }
}

/// What a collection's documents are being used for.
#[derive(Debug, Default)]
pub(super) enum Busy {
    #[default]
    Idle,
    /// Documents are being loaded, or a job runs, for these local edits.
    Writing(Vec<QueuedEdit>),
    /// The same for these entries.
    Applying(Vec<(JournalId, Position)>),
    /// The same for these lives of a checkpoint.
    Restoring(BTreeSet<LifeId>),
}

/// A local edit and who asked.
#[derive(Debug)]
pub(super) struct QueuedEdit {
    pub(super) request: RequestId,
    pub(super) index: usize,
    pub(super) edit: DocEdit,
    pub(super) bytes: usize,
}

/// An entry that is checked but not yet in a batch.
#[derive(Debug)]
pub(super) struct Unstored {
    pub(super) entry: Arc<Entry>,
    pub(super) arrival: u64,
    pub(super) source: Source,
}

/// What is known of another device's store, for this space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Peer {
    pub(super) store: Option<StoreId>,
    /// Up to which of that store's arrival numbers we have everything of what was agreed on, by the digest of that agreement,
    /// the newest first.
    pub(super) seen: Vec<([u8; 16], u64)>,
    /// Which collections it wants, as it said last.
    pub(super) wants: Scope,
    /// For each collection: up to which entry of this device's present journal it has receipted.
    pub(super) receipts: BTreeMap<CollectionTag, u64>,
    /// Where it was last met.
    pub(super) peer_id: Vec<u8>,
    pub(super) addresses: Vec<String>,
    /// Digest of the hints that it was last given.
    pub(super) told: [u8; 32],
    /// Differs from the store.
    pub(super) dirty: bool,
}

impl Peer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(1).bool(self.store.is_some());
        w.raw(&self.store.unwrap_or(StoreId([0; 16])).0).raw(&self.told).count(self.seen.len());
        for (agreed, seen) in &self.seen {
            w.raw(agreed).u64(*seen);
        }
        self.wants.encode(&mut w);
        w.bytes(&self.peer_id).count(self.addresses.len());
        for address in &self.addresses {
            w.text(address);
        }
        w.u32(self.receipts.len() as u32);
        for (collection, seq) in &self.receipts {
            w.raw(&collection.0).u64(*seq);
        }
        w.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Peer, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut peer = Peer::default();
        if r.u8("peer record version")? != 1 {
            return Err(DecodeError::Invalid { field: "peer record version" });
        }
        let known = r.bool("has store")?;
        let store = StoreId(r.array("store")?);
        peer.store = known.then_some(store);
        peer.told = r.array("told")?;
        for _ in 0..r.count(CURSORS, 24, "cursors")? {
            peer.seen.push((r.array("agreement")?, r.u64("seen")?));
        }
        peer.wants = Scope::decode(&mut r)?;
        peer.peer_id = r.bytes(PEER_ID_BYTES, "peer id")?.to_vec();
        for _ in 0..r.count(PEER_ADDRESSES, 4, "addresses")? {
            peer.addresses.push(r.text(crate::limits::ADDRESS_BYTES, "address")?.to_owned());
        }
        for _ in 0..r.u32("receipts")? {
            let collection = CollectionTag(r.array("collection")?);
            peer.receipts.insert(collection, r.u64("receipt")?);
        }
        r.end()?;
        Ok(peer)
    }

    /// Up to which of this store's arrival numbers we have everything of what is agreed on, if that is known.
    pub(super) fn seen(&self, store: StoreId, agreed: [u8; 16]) -> Option<u64> {
        let cursors = self.seen.iter().filter(|_| self.store == Some(store));
        cursors.filter(|(of, _)| *of == agreed).map(|(_, seen)| *seen).next()
    }

    /// Notes it; the oldest over the limit goes. Says whether anything changed.
    pub(super) fn has_seen(&mut self, store: StoreId, agreed: [u8; 16], seen: u64) -> bool {
        if self.store == Some(store) && self.seen.first() == Some(&(agreed, seen)) {
            return false;
        }
        if self.store != Some(store) {
            self.seen.clear();
        }
        self.store = Some(store);
        self.seen.retain(|(of, _)| *of != agreed);
        self.seen.insert(0, (agreed, seen));
        self.seen.truncate(CURSORS);
        true
    }

    /// Notes an address at the front; the oldest over the limit goes. Says whether it is the first.
    pub(super) fn met_at(&mut self, address: &str) -> bool {
        if self.addresses.first().is_some_and(|first| first == address) || address.is_empty() {
            return false;
        }
        let first = self.addresses.is_empty();
        self.addresses.retain(|known| known != address);
        self.addresses.insert(0, address.to_owned());
        self.addresses.truncate(PEER_ADDRESSES);
        self.dirty = true;
        first
    }

    pub(super) fn hint(&self, device: DeviceId) -> PeerHint {
        PeerHint { device, peer: self.peer_id.clone(), addresses: self.addresses.clone() }
    }
}

impl Space {
    pub(super) fn new(id: SpaceId, roster: Roster, keys: &DeviceKeys) -> Space {
        let mut space = Space {
            id,
            roster,
            keys: Keyring::new(),
            tag_key: None,
            name: None,
            catalogue: BTreeMap::new(),
            journals: BTreeMap::new(),
            tree: Tree::default(),
            collections: BTreeMap::new(),
            arrival: 0,
            durable_arrival: 0,
            peers: BTreeMap::new(),
            unopened: VecDeque::new(),
            lively: BTreeMap::new(),
            settled: false,
            large_storing: 0,
            opening: false,
            opened_bytes: 0,
            starved: BTreeSet::new(),
            asked: BTreeMap::new(),
            partials: BTreeMap::new(),
            local: Local::default(),
            scope: Scope::default(),
            manual_asked: false,
            checkpoints: BTreeMap::new(),
            making: BTreeMap::new(),
            loading: BTreeMap::new(),
            attesting: BTreeMap::new(),
            refused: BTreeSet::new(),
            abandoned: Vec::new(),
        };
        space.read_roster(keys);
        space
    }

    /// Recomputes what follows from the roster. Cost: grows with the roster, never with documents.
    pub(super) fn read_roster(&mut self, keys: &DeviceKeys) {
        self.keys = self.roster.unlock(keys);
        self.tag_key = self.roster.first_epoch().and_then(|epoch| self.keys.get(&epoch)).map(seal::tag_key);
        self.catalogue = self.roster.catalogue(&self.keys);
        self.name = self.roster.space_name(&self.keys);
        // What waited for a key may have it now: it is read again from the store.
        for journal in self.journals.values_mut() {
            journal.opened.retain(|_, entry| entry.content != Content::NoKey);
        }
    }

    /// What is shown of a journal may have changed: the hash tree follows.
    pub(super) fn shown_changed(&mut self, id: JournalId) {
        if let Some(shown) = self.shown(&id) {
            self.tree.set(id, shown);
        }
    }

    /// Takes over what the store keeps of a checkpoint.
    pub(super) fn boot_checkpoint(&mut self, collection: CollectionTag, slot: Slot, kept: Kept) {
        match kept {
            Kept::Whole(held) => {
                // Two are there only if a crash came between batches, which hold both: the newer stays.
                if let Some(before) = self.checkpoints.insert(collection, held) {
                    self.abandoned.push((collection, before.slot));
                }
            }
            Kept::Coming(held, parts) => {
                self.collections.entry(collection).or_default();
                self.loading.insert(collection, Loading::new(held, parts));
            }
            Kept::Made => self.abandoned.push((collection, slot)),
        }
    }

    /// Whether who is at the other end of a link has proved to be a member.
    pub(super) fn admits(&self, device: Option<DeviceId>) -> bool {
        device.is_some_and(|device| self.roster.role_of(&device).is_some())
    }

    /// Whether a checkpoint brings this collection's entries, so that they are not asked for.
    pub(super) fn checkpoint_brings(&self, collection: &CollectionTag) -> bool {
        self.loading.get(collection).is_some_and(Loading::is_coming)
    }

    /// How far a journal is held, as a frontier says it.
    pub(super) fn held(&self, id: JournalId, position: Position, floors: bool) -> wire::Held {
        let floor = self.journals.get(&id).map_or(0, |journal| journal.state.floor);
        wire::Held { floor: if floors { floor.min(position.seq) } else { 0 }, ..(id, position).into() }
    }

    /// How far a journal is shown, if it is.
    pub(super) fn shown(&self, id: &JournalId) -> Option<Position> {
        self.journals.get(id).filter(|journal| journal.durable.seq > 0).map(Journal::shown)
    }

    /// Of the journals that two sides compare, those whose durable end has an arrival number over `after`.
    pub(super) fn frontier_since(&self, after: u64, scopes: &Scopes) -> Vec<(JournalId, Position)> {
        let journals = self.journals.iter().filter(|(id, _)| scopes.agreed(id));
        let newer = journals.filter(|(_, journal)| journal.durable.seq > 0 && journal.durable_arrival > after);
        newer.map(|(id, journal)| (*id, journal.shown())).collect()
    }

    /// Keeps the beginning of a journal's next entry. Of more than there is room for, the longest stay.
    pub(super) fn keep_partial(&mut self, journal: JournalId, partial: Partial) {
        let next = self.journals.get(&journal).map_or(0, |journal| journal.receiving.seq) + 1;
        if partial.seq != next || partial.bytes.is_empty() {
            return;
        }
        self.partials.insert(journal, partial);
        if self.partials.len() > PARTIAL_ENTRIES {
            let least = self.partials.iter().min_by_key(|(_, partial)| partial.bytes.len()).map(|(id, _)| *id);
            least.and_then(|id| self.partials.remove(&id));
        }
    }

    /// What to ask of a journal: of its next entry only what is not here yet.
    pub(super) fn range(&self, journal: JournalId, from: u64, to: u64) -> Range {
        let partial = self.partials.get(&journal).filter(|partial| partial.seq == from);
        let of = match partial {
            Some(partial) => Of::Rest { hash: partial.hash, offset: partial.bytes.len() as u32 },
            None => Of::Shown,
        };
        Range { journal, from, to, of }
    }

    pub(super) fn edit_wins(&self, collection: &CollectionTag) -> bool {
        self.catalogue.get(collection).is_some_and(|definition| definition.delete_policy == DeletePolicy::EditWins)
    }

    /// The epoch to seal under, and its key; `None` until a key is here.
    pub(super) fn sealing_key(&self) -> Option<(EpochId, EpochKey)> {
        let epoch = self.roster.current_epoch(&self.keys)?;
        Some((epoch, self.keys.get(&epoch)?.clone()))
    }

    pub(super) fn next_arrival(&mut self) -> u64 {
        self.arrival += 1;
        self.arrival
    }

    /// The store operation that keeps the space's own record.
    pub(super) fn record_op(&self) -> StoreOp {
        StoreOp::PutSpace { space: self.id, record: self.local.encode() }
    }

    /// The store operation that sets a journal to its present state.
    pub(super) fn journal_op(&self, journal: JournalId) -> Option<StoreOp> {
        let state = self.journals.get(&journal)?.state.clone();
        Some(StoreOp::PutJournal { space: self.id, journal, state })
    }

    /// Drops the decoded content of an entry.
    pub(super) fn forget_opened(&mut self, journal: &JournalId, seq: u64) -> Option<OpenedEntry> {
        let opened = self.journals.get_mut(journal)?.opened.remove(&seq)?;
        if let Content::Items(_, bytes) = &opened.content {
            self.opened_bytes = self.opened_bytes.saturating_sub(*bytes);
        }
        Some(opened)
    }

    /// Drops the decoded content of all entries of a journal.
    pub(super) fn forget_all_opened(&mut self, journal: &JournalId) {
        let opened = self.journals.get(journal).map(|journal| journal.opened.keys().copied().collect());
        let opened: Vec<u64> = opened.unwrap_or_default();
        for seq in opened {
            self.forget_opened(journal, seq);
        }
    }

    /// Up to where a journal is applied.
    pub(super) fn applied(&self, journal: &JournalId) -> u64 {
        self.journals.get(journal).map_or(0, |journal| journal.state.applied)
    }

    /// What the next entry of a journal is known to wait for, though it is not in memory.
    pub(super) fn blocked(&self, journal: &Journal) -> Option<(JournalId, u64)> {
        journal.blocked.filter(|(id, seq)| self.applied(id) < *seq)
    }

    /// Document ids that an opened entry touches.
    pub(super) fn touched(opened: &OpenedEntry) -> BTreeSet<DocumentId> {
        match &opened.content {
            Content::Items(items, _) => items.iter().map(|item| item.document).collect(),
            _ => BTreeSet::new(),
        }
    }
}
