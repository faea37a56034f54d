//! The line between the two devices: a proxy in front of each, so that whoever dials is counted and can be cut off.

use super::proxy::{Counters, Proxy};
use crate::exit::Failure;
use std::net::SocketAddr;

/// Both directions of dialling.
pub(super) struct Line {
    ada: Proxy,
    ben: Proxy,
}

/// What has passed between the devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Passed {
    /// Connections made.
    pub(super) connections: u64,
    /// Connections refused while the line was cut.
    pub(super) refused: u64,
    /// Bytes from Ada to Ben.
    pub(super) to_ben: u64,
    /// Bytes from Ben to Ada.
    pub(super) to_ada: u64,
}

impl Line {
    /// Two proxies on loopback that lead nowhere yet.
    pub(super) async fn start() -> Result<Line, Failure> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Line { ada: Proxy::start(any, any).await?, ben: Proxy::start(any, any).await? })
    }

    /// Where Ada is found.
    pub(super) fn to_ada(&self) -> SocketAddr {
        self.ada.address()
    }

    /// Where Ben is found.
    pub(super) fn to_ben(&self) -> SocketAddr {
        self.ben.address()
    }

    /// Leads to where the devices listen now.
    pub(super) fn connect(&self, ada: SocketAddr, ben: SocketAddr) {
        self.ada.redirect(ada);
        self.ben.redirect(ben);
    }

    pub(super) fn cut(&self) {
        self.ada.cut();
        self.ben.cut();
    }

    pub(super) fn heal(&self) {
        self.ada.heal();
        self.ben.heal();
    }

    pub(super) fn passed(&self) -> Passed {
        let (ada, ben): (Counters, Counters) = (self.ada.counters(), self.ben.counters());
        Passed {
            connections: ada.connections + ben.connections,
            refused: ada.refused + ben.refused,
            to_ben: ada.bytes_back + ben.bytes_there,
            to_ada: ada.bytes_there + ben.bytes_back,
        }
    }
}

impl Passed {
    /// What has passed since an earlier look.
    pub(super) fn since(self, earlier: Passed) -> Passed {
        Passed {
            connections: self.connections - earlier.connections,
            refused: self.refused - earlier.refused,
            to_ben: self.to_ben - earlier.to_ben,
            to_ada: self.to_ada - earlier.to_ada,
        }
    }

    /// Bytes of both directions.
    pub(super) fn bytes(self) -> u64 {
        self.to_ben + self.to_ada
    }
}
