//! Requests about the device itself: status, peers, the log.

use super::convert;
use super::executor::{Device, title};
use crate::control::{LogItem, PeerItem, ReplySink, SpaceSync, StatusItem};
use crate::exit::{Exit, Failure};
use farshore::{
    CollectionStatus, DeviceId, DiskStatus, NetworkState, NetworkStatus, NodeStatus, Paused, Space, SpaceStatus,
    Traffic,
};

impl Device {
    pub(super) fn status_item(&self, status: &NodeStatus) -> StatusItem {
        let engine = &status.engine;
        let mut problems: Vec<String> =
            status.network.problems.iter().map(|(place, problem)| format!("{place}: {problem}")).collect();
        for (peer, cause) in &status.network.unreachable {
            problems.push(format!("peer {peer} was not reached: {cause}"));
        }
        if let DiskStatus::Failing { message } = &status.disk {
            problems.push(format!("nothing can be written: {message}"));
        }
        StatusItem {
            device: engine.device.to_string(),
            name: engine.name.clone(),
            pid: self.pid,
            store: self.node.path().display().to_string(),
            network: network_word(&status.network),
            listening: addresses(&status.network),
            problems,
            peers: engine.links.iter().filter(|link| link.device.is_some()).count() as u64,
            spaces: engine.spaces.iter().map(|space| space_sync(space, engine.paused.as_ref())).collect(),
            progress: None,
            latency: None,
        }
    }

    /// How far a space is from being the same everywhere, or each.
    pub(super) async fn space_syncs(&self, only: Option<&Space>, replies: &ReplySink) -> Result<(), Failure> {
        let status = self.node.status().await?;
        for space in &status.engine.spaces {
            if only.is_none_or(|only| only.id() == space.space) {
                replies.item(&space_sync(space, status.engine.paused.as_ref())).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn peers(&self, replies: &ReplySink) -> Result<(), Failure> {
        let status = self.node.status().await?;
        // Without a network there are no links, so nothing is missed.
        let carried = self.node.transport().await.map(|transport| transport.links).unwrap_or_default();
        for link in &status.engine.links {
            let traffic = carried.iter().find(|carried| carried.link.0 == link.link.0).map(|carried| carried.traffic);
            let Traffic { sent, received } = traffic.unwrap_or_default();
            let item = PeerItem {
                device: link.device.map(|device| device.to_string()),
                name: link.device.and_then(|device| member_name(&status.engine.spaces, device)),
                address: link.address.clone(),
                phase: link.phase.clone(),
                wanted: link.wanted,
                sent_bytes: sent.iter().map(|flow| flow.bytes).sum(),
                sent_frames: sent.iter().map(|flow| flow.frames).sum(),
                received_bytes: received.iter().map(|flow| flow.bytes).sum(),
                received_frames: received.iter().map(|flow| flow.frames).sum(),
            };
            replies.item(&item).await?;
        }
        Ok(())
    }

    pub(super) async fn log(
        &self,
        space: Option<&str>,
        collection: Option<&str>,
        limit: u64,
        replies: &ReplySink,
    ) -> Result<(), Failure> {
        let space = self.space(space).await?;
        let status = space.status().await?;
        let tag = match collection {
            None => None,
            Some(name) => {
                let found = status.collections.iter().find(|collection| collection.name.as_deref() == Some(name));
                Some(found.ok_or_else(|| no_collection(&title(&space), name))?.collection)
            }
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        for entry in self.node.log(space.id(), tag, limit).await? {
            let collection =
                status.collections.iter().find(|collection| collection.collection == entry.journal.collection);
            let named = collection.and_then(|collection| collection.name.clone());
            let item = LogItem {
                time_ms: i64::try_from(entry.claimed_ms).unwrap_or(i64::MAX),
                device: entry.journal.device.to_string(),
                name: member_name(std::slice::from_ref(&status), entry.journal.device),
                collection: named.unwrap_or_else(|| entry.journal.collection.to_string()),
                seq: entry.position.seq,
                bytes: entry.bytes as u64,
                hash: entry.position.hash.to_string(),
                applied: entry.applied,
            };
            replies.item(&item).await?;
        }
        Ok(())
    }
}

fn no_collection(space: &str, name: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("the space {space} has no collection {name:?}"))
        .remedy("`farshore collection list` shows those it has")
}

fn network_word(network: &NetworkStatus) -> String {
    match &network.state {
        NetworkState::Off => "offline".to_owned(),
        NetworkState::Up if network.listening.is_empty() => "up, reachable at no address".to_owned(),
        NetworkState::Up => "up".to_owned(),
        NetworkState::Suspended => "suspended".to_owned(),
        NetworkState::Failed(cause) => format!("failed: {cause}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Where the device can be dialled: each address with the peer id, as `--peer` of another device takes it.
pub(super) fn addresses(network: &NetworkStatus) -> Vec<String> {
    network.listening.iter().map(|address| format!("{address}/p2p/{}", network.peer)).collect()
}

fn member_name(spaces: &[SpaceStatus], device: DeviceId) -> Option<String> {
    let mut members = spaces.iter().flat_map(|space| &space.members);
    members.find(|member| member.device == device).map(|member| member.name.clone())
}

fn collection_name(collection: &CollectionStatus) -> String {
    collection.name.clone().unwrap_or_else(|| collection.collection.to_string())
}

fn space_sync(space: &SpaceStatus, all: Option<&Paused>) -> SpaceSync {
    let name = |device: &DeviceId| member_name(std::slice::from_ref(space), *device).unwrap_or_else(|| device.short());
    let collections = || space.collections.iter();
    SpaceSync {
        space: space.name.clone().unwrap_or_else(|| space.space.to_string()),
        paused: match (all, &space.paused) {
            (Some(all), _) => Some(convert::pause(all, true)),
            (None, paused) => paused.as_ref().map(|paused| convert::pause(paused, false)),
        },
        not_kept_up: collections().filter(|collection| !collection.kept_up).map(collection_name).collect(),
        unapplied: collections().map(|collection| collection.unapplied).sum(),
        waiting: collections().find_map(|collection| collection.waiting.clone()),
        oversize: collections().flat_map(|collection| &collection.oversize).map(ToString::to_string).collect(),
        forks: collections().flat_map(|c| &c.forks).map(|(journal, seq)| (name(&journal.device), *seq)).collect(),
        pending: space.pending.iter().map(|(device, entries)| (name(device), *entries)).collect(),
    }
}
