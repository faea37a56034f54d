//! The state of everything, for people and programs.

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use super::attest::Attesting;
use super::restore::Loading;
use super::space::{Peer, Space};
use crate::id::{CollectionTag, DeviceId, Position, SpaceId};
use crate::input::MemberInfo;
use crate::limits::{
    BULK_WINDOW_BYTES, CACHE_BYTES, JOURNALS, LINKS, LIVE_WINDOW_BYTES, LOADING_BYTES, OFFERS, OPENED_BYTES,
    PARTIAL_ENTRIES, PAYLOAD_BYTES, RECENT_BYTES, SCOPE_TAGS, TREE_PLACES, TREE_SETTLED,
};
use crate::output::{CollectionStatus, LinkStatus, SpaceStatus, Status};

/// Entries of others that wait to be checked, in one space: each costs its peer credit, so that all windows of all links
/// filled with the smallest entries (about 400 bytes) bound them.
const UNOPENED_ENTRIES: usize = LINKS * (LIVE_WINDOW_BYTES + BULK_WINDOW_BYTES) as usize / 400;

/// One bounded thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// What.
    pub what: &'static str,
    /// How large it is now.
    pub size: u64,
    /// What it must not pass.
    pub limit: u64,
}

impl Replica {
    /// Takes stock. Cost: grows with journals and members, never with documents.
    pub fn status(&self) -> Status {
        let links = self.links.iter().map(|(link, state)| LinkStatus {
            link: *link,
            device: state.device,
            address: state.address.clone(),
            phase: state.phase(),
            wanted: state.spaces.values().map(|shared| shared.lacking() as u64).sum(),
        });
        Status {
            device: self.identity.device,
            user: self.identity.user,
            name: self.identity.name.clone(),
            incarnation: self.identity.incarnation,
            spaces: self.spaces.values().map(|space| self.space_status(space)).collect(),
            links: links.collect(),
            unstored_batches: self.batches.len() as u64,
            paused: self.paused.clone(),
            metered: self.metered,
        }
    }

    /// Queues and memory against their limits, for tests and for whoever watches a process. Cost: grows with journals and links.
    pub fn sizes(&self) -> Vec<Size> {
        let spaces = || self.spaces.values();
        let most = |sizes: &mut dyn Iterator<Item = usize>| sizes.max().unwrap_or(0) as u64;
        let shared = || self.links.values().flat_map(|state| state.spaces.values());
        let size = |what, size, limit: usize| Size { what, size, limit: limit as u64 };
        vec![
            size("links", self.links.len() as u64, LINKS),
            size("cached document bytes", self.cache.bytes() as u64, CACHE_BYTES),
            size("recent entry bytes", self.recent.bytes() as u64, RECENT_BYTES),
            size(
                "opened payload bytes of a space",
                most(&mut spaces().map(|space| space.opened_bytes)),
                OPENED_BYTES + PAYLOAD_BYTES,
            ),
            size(
                "unopened entries of a space",
                most(&mut spaces().map(|space| space.unopened.len())),
                UNOPENED_ENTRIES,
            ),
            size("journals of a space", most(&mut spaces().map(|space| space.journals.len())), JOURNALS),
            size(
                "beginnings of entries of a space",
                most(&mut spaces().map(|space| space.partials.len())),
                PARTIAL_ENTRIES,
            ),
            size(
                "places of a link's hash tree",
                most(&mut shared().map(|space| space.descent.places())),
                2 * (TREE_SETTLED + TREE_PLACES),
            ),
            size(
                "collections that a link's peer names",
                most(&mut shared().map(|space| space.scopes.theirs.named.len())),
                SCOPE_TAGS,
            ),
            size(
                "bytes of checkpoints on their way into a space",
                most(&mut spaces().map(|space| {
                    let attesting: usize = space.attesting.values().map(Attesting::bytes).sum();
                    attesting + space.loading.values().map(Loading::bytes).sum::<usize>()
                })),
                LOADING_BYTES,
            ),
            size("checkpoints offered on a link", most(&mut shared().map(|space| space.offers.len())), OFFERS),
            size("offered journals of a link", most(&mut shared().map(|space| space.offered.len())), JOURNALS),
        ]
    }

    /// Digest of a space's roster: equal for equal sets of operations.
    pub fn roster_digest(&self, space: &SpaceId) -> Option<[u8; 32]> {
        self.spaces.get(space).map(|space| space.roster.digest())
    }

    fn space_status(&self, space: &Space) -> SpaceStatus {
        let members: Vec<MemberInfo> = space
            .roster
            .members()
            .into_iter()
            .map(|member| MemberInfo { device: member.device, name: member.name, role: member.role })
            .collect();
        let tags = space.catalogue.keys().chain(space.collections.keys());
        let tags: BTreeSet<CollectionTag> = tags.copied().collect();
        let own = self.own_ends(space);
        SpaceStatus {
            space: space.id,
            name: space.name.clone(),
            role: space.roster.role_of(&self.identity.device),
            pending: self.pending(space, &members, &own),
            unheld: self.unheld(space, &members, &own),
            members,
            paused: space.local.paused.clone(),
            subscriptions: space.local.subscriptions.rules().map(|(of, priority)| (of.to_owned(), priority)).collect(),
            collections: tags.into_iter().map(|tag| collection_status(space, tag)).collect(),
        }
    }

    /// For each other member: how many of this device's own entries it has not receipted.
    fn pending(&self, space: &Space, members: &[MemberInfo], own: &[(CollectionTag, u64)]) -> BTreeMap<DeviceId, u64> {
        let lacks = |member: &MemberInfo| {
            let peer = space.peers.get(&member.device);
            let wanted = own.iter().filter(|(tag, _)| peer.is_none_or(|peer| peer.wants.wants(tag)));
            wanted.map(|end| lacking(peer, end)).sum()
        };
        self.others(members).map(|member| (member.device, lacks(member))).collect()
    }

    /// For each other member: collections of which it has not receipted all of this device's own entries.
    fn unheld(
        &self,
        space: &Space,
        members: &[MemberInfo],
        own: &[(CollectionTag, u64)],
    ) -> BTreeMap<DeviceId, BTreeSet<CollectionTag>> {
        let lacks = |member: &MemberInfo| {
            let peer = space.peers.get(&member.device);
            own.iter().filter(|end| lacking(peer, end) > 0).map(|(tag, _)| *tag).collect()
        };
        self.others(members).map(|member| (member.device, lacks(member))).collect()
    }

    fn others<'a>(&self, members: &'a [MemberInfo]) -> impl Iterator<Item = &'a MemberInfo> {
        let me = self.identity.device;
        members.iter().filter(move |member| member.device != me)
    }

    /// How far this device's present journals go durably.
    fn own_ends(&self, space: &Space) -> Vec<(CollectionTag, u64)> {
        let own = space.journals.iter().filter(|(id, _)| self.is_own(id));
        own.map(|(id, journal)| (id.collection, journal.durable.seq)).collect()
    }
}

/// How many entries of a journal a peer has not receipted.
fn lacking(peer: Option<&Peer>, (tag, seq): &(CollectionTag, u64)) -> u64 {
    seq.saturating_sub(peer.and_then(|peer| peer.receipts.get(tag)).copied().unwrap_or(0))
}

fn collection_status(space: &Space, tag: CollectionTag) -> CollectionStatus {
    let journals: Vec<_> = space.journals.iter().filter(|(id, _)| id.collection == tag).map(|(_, j)| j).collect();
    let forks = space.journals.iter().filter(|(id, j)| id.collection == tag && j.state.fork != Position::START);
    let name = space.catalogue.get(&tag).map(|definition| definition.name.clone());
    CollectionStatus {
        collection: tag,
        priority: match &name {
            Some(name) => space.local.subscriptions.of(name),
            None => space.local.subscriptions.rest(),
        },
        kept_up: space.scope.wants(&tag),
        name,
        entries: journals.iter().map(|journal| journal.durable.seq).sum(),
        unapplied: journals.iter().map(|journal| journal.durable.seq.saturating_sub(journal.durable_applied)).sum(),
        waiting: space.collections.get(&tag).and_then(|work| work.waiting.as_ref()).map(ToString::to_string),
        journals: journals.len(),
        oversize: space.local.oversize.iter().filter(|(of, _)| *of == tag).map(|(_, document)| *document).collect(),
        forks: forks.map(|(id, journal)| (*id, journal.state.fork.seq)).collect(),
    }
}
