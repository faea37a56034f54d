//! The state of everything, for people and programs.

use std::collections::BTreeMap;

use super::Replica;
use super::space::Space;
use crate::id::{CollectionTag, DeviceId, Position};
use crate::input::MemberInfo;
use crate::output::{CollectionStatus, LinkStatus, SpaceStatus, Status};

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
        }
    }

    fn space_status(&self, space: &Space) -> SpaceStatus {
        let members: Vec<MemberInfo> = space
            .roster
            .members()
            .into_iter()
            .map(|member| MemberInfo { device: member.device, name: member.name, role: member.role })
            .collect();
        let tags = space.catalogue.keys().chain(space.collections.keys());
        let tags: std::collections::BTreeSet<CollectionTag> = tags.copied().collect();
        SpaceStatus {
            space: space.id,
            name: space.name.clone(),
            role: space.roster.role_of(&self.identity.device),
            pending: self.pending(space, &members),
            members,
            collections: tags.into_iter().map(|tag| collection_status(space, tag)).collect(),
        }
    }

    /// For each other member: how many of this device's own entries it has not receipted.
    fn pending(&self, space: &Space, members: &[MemberInfo]) -> BTreeMap<DeviceId, u64> {
        let me = &self.identity;
        let own: Vec<(CollectionTag, u64)> = space
            .journals
            .iter()
            .filter(|(id, _)| id.device == me.device && id.incarnation == me.incarnation)
            .map(|(id, journal)| (id.collection, journal.durable.seq))
            .collect();
        let others = members.iter().filter(|member| member.device != me.device);
        others
            .map(|member| {
                let receipts = space.peers.get(&member.device).map(|peer| &peer.receipts);
                let lacks = |(tag, seq): &(CollectionTag, u64)| {
                    seq.saturating_sub(receipts.and_then(|r| r.get(tag)).copied().unwrap_or(0))
                };
                (member.device, own.iter().map(lacks).sum())
            })
            .collect()
    }
}

fn collection_status(space: &Space, tag: CollectionTag) -> CollectionStatus {
    let journals: Vec<_> = space.journals.iter().filter(|(id, _)| id.collection == tag).map(|(_, j)| j).collect();
    let forks = space.journals.iter().filter(|(id, j)| id.collection == tag && j.state.fork != Position::START);
    CollectionStatus {
        collection: tag,
        name: space.catalogue.get(&tag).map(|definition| definition.name.clone()),
        entries: journals.iter().map(|journal| journal.durable.seq).sum(),
        unapplied: journals.iter().map(|journal| journal.durable.seq.saturating_sub(journal.durable_applied)).sum(),
        waiting: space.collections.get(&tag).and_then(|work| work.waiting.clone()),
        journals: journals.len(),
        oversize: space.oversize.iter().filter(|(of, _)| *of == tag).map(|(_, document)| *document).collect(),
        forks: forks.map(|(id, journal)| (*id, journal.state.fork.seq)).collect(),
    }
}
