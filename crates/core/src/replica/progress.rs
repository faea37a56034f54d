//! Takes stock of what is to go: reads, and changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Replica;
use super::exchange::{Phase, SpaceLink};
use super::link::{Credit, Link};
use super::serve::class_of;
use super::space::Space;
use crate::entry::Entry;
use crate::id::{CollectionTag, DeviceId, JournalId, SpaceId};
use crate::input::{Class, LinkId};
use crate::job::OpenTask;
use crate::limits::PROGRESS_COUNTED_ENTRIES;
use crate::progress::{CollectionProgress, HeldUp, Measure, OwnEntries, PeerProgress, Progress, Stuck, ToGo};

/// Entries and bytes by collection: what sizes are estimated from.
type Sizes = BTreeMap<(SpaceId, CollectionTag), (u64, u64)>;

/// What is to go by collection: to this device, and from it.
type Flows = BTreeMap<CollectionTag, (ToGo, ToGo)>;

impl Replica {
    /// What is still to go between this device and every other one. Cost: grows with members times own journals, and with the
    /// journals that are under way; nothing is read from the store.
    pub fn progress(&self) -> Progress {
        let sizes = self.sizes_of_recent();
        let mut progress = Progress::default();
        for space in self.spaces.values() {
            for member in space.roster.members().into_iter().filter(|member| member.device != self.identity.device) {
                progress.peers.push(self.peer_progress(space, member.device, &sizes));
            }
            progress.held_up.extend(held_up(space));
            progress.own.extend(self.own_entries(space));
        }
        progress
    }

    /// How far every journal of every space is durably in the documents.
    pub fn applied(&self) -> Vec<(SpaceId, JournalId, u64)> {
        let spaces = self.spaces.values();
        let journals = spaces.flat_map(|space| space.journals.iter().map(|(id, journal)| (space.id, *id, journal)));
        journals.filter(|(.., j)| j.durable_applied > 0).map(|(space, id, j)| (space, id, j.durable_applied)).collect()
    }

    /// Tasks that open entries of this device's own store, with the keys that are here: for who wants to know what is in them.
    pub fn reading(&self, space: &SpaceId, entries: Vec<Entry>) -> Vec<OpenTask> {
        let keys = self.spaces.get(space).map(|space| &space.keys);
        let key = |entry: &Entry| keys.and_then(|keys| keys.get(&entry.header.epoch)).cloned();
        let task = |entry: Entry| OpenTask { key: key(&entry), entry: Arc::new(entry), verify: false };
        entries.into_iter().map(task).collect()
    }

    fn sizes_of_recent(&self) -> Sizes {
        let mut sizes = Sizes::new();
        for (space, journal, bytes) in self.recent.sizes() {
            let (entries, sum) = sizes.entry((space, journal.collection)).or_default();
            *entries += 1;
            *sum += bytes as u64;
        }
        sizes
    }

    /// The link to a device that shares the space, or else any link to it.
    fn link_to(&self, device: DeviceId, space: SpaceId) -> Option<(LinkId, &Link)> {
        let links = || self.links.iter().filter(|(_, link)| link.device == Some(device)).map(|(id, link)| (*id, link));
        links().find(|(_, link)| link.space(space).is_some()).or_else(|| links().next())
    }

    fn peer_progress(&self, space: &Space, device: DeviceId, sizes: &Sizes) -> PeerProgress {
        let linked = self.link_to(device, space.id);
        let shared = linked.and_then(|(link, state)| Some((link, state, state.space(space.id)?)));
        let mut flows = Flows::new();
        self.own_to_go(space, device, shared.map(|(.., shared)| shared), sizes, &mut flows);
        let mut stuck = Vec::new();
        match (shared, linked) {
            (Some((_, state, shared)), _) => {
                self.others_to_go(space, shared, sizes, &mut flows);
                to_come(space, shared, sizes, &mut flows);
                stuck.extend(shared.roster_busy.then_some(Stuck::Roster));
                stuck.extend(self.out_of_credit(space, state, shared).map(Stuck::Credit));
            }
            (None, _) if !self.offers(space.id) => stuck.push(Stuck::Paused),
            (None, Some(_)) => stuck.push(Stuck::NotShared),
            (None, None) => stuck.push(Stuck::NoLink),
        }
        let (mut incoming, mut outgoing) = (ToGo::default(), ToGo::default());
        let mut collections = Vec::new();
        for (collection, (to_here, from_here)) in flows {
            incoming.add(to_here);
            outgoing.add(from_here);
            if !(to_here.is_empty() && from_here.is_empty()) {
                let name = name_of(space, collection);
                collections.push(CollectionProgress { collection, name, incoming: to_here, outgoing: from_here });
            }
        }
        let compared = shared.is_some_and(|(.., shared)| {
            matches!(shared.phase, Phase::Streaming) || (shared.phase == Phase::Exchanging && shared.streaming)
        });
        let link = shared.map(|(link, ..)| link);
        let transport = space.peers.get(&device).map(|peer| peer.peer_id.clone()).unwrap_or_default();
        PeerProgress { space: space.id, device, transport, link, compared, incoming, outgoing, collections, stuck }
    }

    /// This device's present journals: to go is what was not receipted.
    fn own_to_go(&self, space: &Space, device: DeviceId, shared: Option<&SpaceLink>, sizes: &Sizes, flows: &mut Flows) {
        for (id, journal) in space.journals.iter().filter(|(id, _)| self.is_own(id) && wants(space, device, id)) {
            let receipt = receipt(space, device, id.collection);
            let held = shared.map_or(receipt, |shared| receipt.max(shown_to_hold(shared, id)));
            let to_go = self.measure(space, *id, held, journal.durable.seq, sizes);
            flows.entry(id.collection).or_default().1.add(to_go);
        }
    }

    /// Journals of others: to go is what is queued for the link and not sent yet.
    fn others_to_go(&self, space: &Space, shared: &SpaceLink, sizes: &Sizes, flows: &mut Flows) {
        for (id, out) in shared.todo.iter().filter(|(id, _)| !self.is_own(id)) {
            let shown = space.journals.get(id).map_or(0, |journal| journal.shown().seq);
            let held = shown_to_hold(shared, id).max(out.next.saturating_sub(1));
            let to_go = self.measure(space, *id, held, shown, sizes);
            flows.entry(id.collection).or_default().1.add(to_go);
        }
    }

    /// Entries of a journal after `held` up to `last`. Only a few are looked up, so that a long way to go costs no more.
    fn measure(&self, space: &Space, journal: JournalId, held: u64, last: u64, sizes: &Sizes) -> ToGo {
        let entries = last.saturating_sub(held);
        if entries > 0 && entries <= PROGRESS_COUNTED_ENTRIES {
            let each = (held + 1..=last).map(|seq| self.recent.get(space.id, journal, seq));
            let bytes: Option<u64> = each.map(|entry| Some(entry?.as_bytes().len() as u64)).sum();
            if let Some(bytes) = bytes {
                return ToGo { entries, bytes, measure: Measure::Exact };
            }
        }
        estimate(space.id, journal.collection, entries, sizes)
    }

    /// The stream that holds up what is to be sent, if all of it waits for credit.
    fn out_of_credit(&self, space: &Space, state: &Link, shared: &SpaceLink) -> Option<Class> {
        let mut blocked = None;
        for (id, out) in shared.todo.iter().filter(|_| shared.streaming) {
            if out.next > space.journals.get(id).map_or(0, |journal| journal.shown().seq) {
                continue;
            }
            let length = self.recent.get(space.id, *id, out.next).map(|entry| entry.as_bytes().len());
            let class = class_of(out, shown_to_hold(shared, id), length);
            let credit = match class {
                Class::Bulk => state.credit.bulk,
                Class::Live | Class::Ctl => state.credit.live,
            };
            let needed = length.map_or(1, |length| length as u64).min(Credit::window(class));
            if credit >= needed {
                return None;
            }
            blocked = Some(class);
        }
        blocked
    }

    fn own_entries(&self, space: &Space) -> Vec<OwnEntries> {
        let others = || space.roster.members().into_iter().filter(|member| member.device != self.identity.device);
        let own = space.journals.iter().filter(|(id, journal)| self.is_own(id) && journal.durable.seq > 0);
        let entries = own.map(|(id, journal)| {
            let who = others().filter(|member| wants(space, member.device, id));
            let held_by = who.map(|member| (member.device, receipt(space, member.device, id.collection)));
            OwnEntries {
                space: space.id,
                collection: id.collection,
                name: name_of(space, id.collection),
                last: journal.durable.seq,
                held_by: held_by.collect(),
            }
        });
        entries.filter(|own| own.held_by.iter().any(|(_, seq)| *seq < own.last)).collect()
    }

    /// Whether a journal is this device's in this life of its store.
    pub(super) fn is_own(&self, id: &JournalId) -> bool {
        (id.device, id.incarnation) == (self.identity.device, self.identity.incarnation)
    }
}

/// What a peer has shown that it holds and that is not durable here.
fn to_come(space: &Space, shared: &SpaceLink, sizes: &Sizes, flows: &mut Flows) {
    for (id, offered) in shared.offered.iter().filter(|(id, _)| shared.scopes.accepts(id)) {
        let journal = space.journals.get(id);
        if journal.is_some_and(|journal| journal.state.closed) {
            continue; // Nothing after its end counts, and nothing of it is asked for.
        }
        let durable = journal.map_or(0, |journal| journal.durable.seq);
        if *offered > durable {
            let to_go = estimate(space.id, id.collection, offered - durable, sizes);
            flows.entry(id.collection).or_default().0.add(to_go);
        }
    }
}

fn estimate(space: SpaceId, collection: CollectionTag, entries: u64, sizes: &Sizes) -> ToGo {
    match sizes.get(&(space, collection)) {
        _ if entries == 0 => ToGo::default(),
        Some((known, bytes)) if *known > 0 => {
            ToGo { entries, bytes: entries.saturating_mul(bytes / known), measure: Measure::Estimated }
        }
        _ => ToGo { entries, bytes: 0, measure: Measure::Unknown },
    }
}

/// Whether a device is not known to do without a journal's collection.
fn wants(space: &Space, device: DeviceId, journal: &JournalId) -> bool {
    space.peers.get(&device).is_none_or(|peer| peer.wants.wants(&journal.collection))
}

fn receipt(space: &Space, device: DeviceId, collection: CollectionTag) -> u64 {
    space.peers.get(&device).and_then(|peer| peer.receipts.get(&collection)).copied().unwrap_or(0)
}

/// How far the peer of a link is known to hold a journal, by what it offered and receipted.
fn shown_to_hold(shared: &SpaceLink, id: &JournalId) -> u64 {
    let offered = shared.offered.get(id).copied().unwrap_or(0);
    offered.max(shared.receipted.get(id).copied().unwrap_or(0))
}

fn name_of(space: &Space, collection: CollectionTag) -> Option<String> {
    space.catalogue.get(&collection).map(|definition| definition.name.clone())
}

/// The collections of a space in which something waits.
fn held_up(space: &Space) -> Vec<HeldUp> {
    let mut found: BTreeMap<CollectionTag, HeldUp> = BTreeMap::new();
    let empty = |collection| HeldUp {
        space: space.id,
        collection,
        name: name_of(space, collection),
        entries: 0,
        waiting: None,
        oversize: 0,
    };
    for (id, journal) in space.journals.iter().filter(|(_, journal)| !journal.durable_closed) {
        let entries = journal.durable.seq.saturating_sub(journal.durable_applied);
        if entries > 0 {
            found.entry(id.collection).or_insert_with(|| empty(id.collection)).entries += entries;
        }
    }
    for (collection, _) in &space.local.oversize {
        found.entry(*collection).or_insert_with(|| empty(*collection)).oversize += 1;
    }
    for (collection, held) in &mut found {
        held.waiting = space.collections.get(collection).and_then(|work| work.waiting.clone());
    }
    found.into_values().collect()
}
