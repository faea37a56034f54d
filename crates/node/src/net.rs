//! Between the network and the core: events become inputs, outputs become calls, and what the network has no room for
//! waits here, bounded, or costs its link.
//!
//! A network that does not start is a line in the status, never a reason to stop working locally.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;

use farshore_core::input::{Class, Input, LinkId};
use farshore_core::output::PeerAddress;
use farshore_net::{self as transport, Direction, Net, SendError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::NetworkConfig;
use crate::error::Error;
use crate::limits::{DIAL_FAILURES, FRAME_OVERHEAD, LINK_OVERFLOW_BYTES};
use crate::status::{NetworkState, NetworkStatus};

/// Events that wait between the network's task and the driver: enough that neither waits for the other's every step.
const EVENTS: usize = 256;

/// The network as the driver sees it.
pub(crate) struct Network {
    config: NetworkConfig,
    seed: [u8; 32],
    running: Option<Running>,
    links: BTreeMap<LinkId, Link>,
    kept: BTreeMap<Vec<u8>, Vec<String>>,
    /// Peers that the app asked for: inviters of open joins, and addresses from the configuration.
    asked: BTreeMap<Vec<u8>, Vec<String>>,
    status: watch::Sender<NetworkStatus>,
}

struct Running {
    net: Net,
    events: mpsc::Receiver<transport::Event>,
}

/// One live link, and the frames that the network had no room for.
#[derive(Default)]
struct Link {
    waiting: [VecDeque<Vec<u8>>; 3],
    waiting_bytes: usize,
}
