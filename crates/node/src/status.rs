//! What the node knows about itself: the engine's status, the network's, and the disk's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use farshore_core::id::{CollectionTag, DeviceId, SpaceId};
pub use farshore_core::output::{CollectionStatus, LinkStatus, SpaceStatus, Status};
use tokio::sync::watch;

/// The state of the whole node at one moment. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Spaces, collections, links, and what waits for whom. While the store has failed, the last known one.
    pub engine: Arc<Status>,
    /// Where this device listens and why it may not be reached.
    pub network: NetworkStatus,
    /// Why writes fail, if they do.
    pub disk: DiskStatus,
}

impl NodeStatus {
    /// Own entries of a space that this many other devices are known to miss: each device counted by itself.
    pub fn pending(&self, space: SpaceId) -> BTreeMap<DeviceId, u64> {
        let space = self.engine.spaces.iter().find(|status| status.space == space);
        space.map(|status| status.pending.clone()).unwrap_or_default()
    }

    /// For each other device of a space: the collections of which it does not hold all that this device has written.
    pub fn unheld(&self, space: SpaceId) -> BTreeMap<DeviceId, BTreeSet<CollectionTag>> {
        let space = self.engine.spaces.iter().find(|status| status.space == space);
        space.map(|status| status.unheld.clone()).unwrap_or_default()
    }
}

/// Whether writes are made durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DiskStatus {
    /// They are.
    #[default]
    Ok,
    /// They are refused until the disk works again. Reads go on where they can.
    Failing {
        /// Cause and remedy.
        message: String,
    },
}

/// How this device can be reached. A node without a network works locally all the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NetworkStatus {
    /// Whether the network runs.
    pub state: NetworkState,
    /// This device's transport peer id; empty until the network runs.
    pub peer: String,
    /// Multiaddrs at which peers can dial this device.
    pub listening: Vec<String>,
    /// What does not work and what to do, by the address or the part that it is about.
    pub problems: BTreeMap<String, String>,
    /// For each peer that this device wants to reach and could not: why the last dial failed.
    pub unreachable: BTreeMap<String, String>,
}

/// Whether the network runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum NetworkState {
    /// The node was opened offline.
    #[default]
    Off,
    /// It runs.
    Up,
    /// `suspend` closed it; `resume` opens it again.
    Suspended,
    /// It could not be started. `network_changed` or `resume` tries again.
    Failed(String),
}

/// A status that is renewed as things change. Dropping it ends the renewing.
#[derive(Debug)]
pub struct StatusWatch {
    pub(crate) receiver: watch::Receiver<Option<NodeStatus>>,
}

impl StatusWatch {
    /// Waits for the next status; `None` after the node was shut down. The first is there almost at once.
    ///
    /// States in between may be skipped: what comes is never older than 100 ms.
    pub async fn next(&mut self) -> Option<NodeStatus> {
        loop {
            self.receiver.changed().await.ok()?;
            if let Some(status) = self.receiver.borrow_and_update().clone() {
                return Some(status);
            }
        }
    }

    /// Waits until a status fulfils a condition; `None` after the node was shut down.
    pub async fn until(&mut self, mut fulfils: impl FnMut(&NodeStatus) -> bool) -> Option<NodeStatus> {
        loop {
            let status = self.next().await?;
            if fulfils(&status) {
                return Some(status);
            }
        }
    }
}
