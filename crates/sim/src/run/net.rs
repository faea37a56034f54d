//! Links: pairs of devices, three streams each way, and what is under way on them.
//!
//! Inside a stream nothing is lost, doubled or reordered while the link lives, as in TCP and QUIC; streams overtake one another.
//! A frame that cannot get through waits, until the link ends.

use std::collections::{BTreeMap, VecDeque};

use farshore_core::input::Class;
use farshore_core::wire::Recent;

use crate::limits::{FRAME_OVERHEAD, LANE_BYTES, LINK_OVERFLOW_BYTES};
use crate::observe::DeviceNo;

/// A link. Side 0 dialled.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) ends: [DeviceNo; 2],
    /// Which replica of each end it belongs to.
    pub(super) lives: [u64; 2],
    /// Whether each end believes that it is up.
    pub(super) known: [bool; 2],
    pub(super) since_ms: u64,
    /// Nothing gets through any more, and nobody was told.
    pub(super) dead: bool,
    /// Way `n` leads away from side `n`.
    pub(super) ways: [Way; 2],
}

/// One direction of a link.
#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) lanes: [Lane; 3],
    /// Whether a frame is being put on the wire, where the road is thin.
    pub(super) sending: Option<usize>,
    /// Frames that the network had no room for: the node keeps them.
    overflow: VecDeque<(usize, Vec<u8>)>,
    overflow_bytes: usize,
    /// Entries that went, by class: the frames after them lean on them.
    pub(super) recent: BTreeMap<Class, Recent>,
}

/// One stream of one direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Not yet on the wire.
    pub(super) queue: VecDeque<Vec<u8>>,
    /// On the wire, or read by nobody yet.
    pub(super) flight: VecDeque<Vec<u8>>,
    /// When the last of them arrives.
    pub(super) last_ms: u64,
    bytes: usize,
}

/// What became of a frame that was to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is in its lane.
    Lane,
    /// It waits in the node.
    Overflow,
    /// The peer reads too slowly: the link ends.
    Full,
}

impl Way {
    /// Takes a frame in.
    pub(super) fn accept(&mut self, class: usize, frame: Vec<u8>) -> Accepted {
        let bytes = frame.len() + FRAME_OVERHEAD;
        let waits = self.overflow.iter().any(|(other, _)| *other == class);
        let lane = &mut self.lanes[class];
        if !waits && lane.bytes + bytes <= LANE_BYTES[class] {
            lane.bytes += bytes;
            lane.queue.push_back(frame);
            return Accepted::Lane;
        }
        if self.overflow_bytes + bytes > LINK_OVERFLOW_BYTES {
            return Accepted::Full;
        }
        self.overflow_bytes += bytes;
        self.overflow.push_back((class, frame));
        Accepted::Overflow
    }

    /// The next frame to put on the wire: the most urgent stream first.
    pub(super) fn urgent(&self) -> Option<usize> {
        self.lanes.iter().position(|lane| !lane.queue.is_empty())
    }

    /// A frame was read at the other end. True when what had waited in the node has found room.
    pub(super) fn read(&mut self, class: usize, frame: &[u8]) -> bool {
        let lane = &mut self.lanes[class];
        lane.bytes = lane.bytes.saturating_sub(frame.len() + FRAME_OVERHEAD);
        if self.overflow.is_empty() {
            return false;
        }
        for (class, frame) in std::mem::take(&mut self.overflow) {
            self.overflow_bytes -= frame.len() + FRAME_OVERHEAD;
            // What fits no longer than before goes back in the same order.
            self.accept(class, frame);
        }
        self.overflow.is_empty()
    }

    /// Bytes that wait in the node.
    pub(super) fn overflow_bytes(&self) -> usize {
        self.overflow_bytes
    }
}

/// All links.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) links: BTreeMap<u64, Link>,
    last: u64,
}

impl Links {
    pub(super) fn open(&mut self, ends: [DeviceNo; 2], lives: [u64; 2], since_ms: u64) -> u64 {
        self.last += 1;
        let ways = [Way::default(), Way::default()];
        self.links.insert(self.last, Link { ends, lives, known: [true; 2], since_ms, dead: false, ways });
        self.last
    }

    /// The link that `device` believes to have with `peer`.
    pub(super) fn between(&self, device: DeviceNo, peer: DeviceNo) -> Option<u64> {
        let mut links = self.links.iter();
        let found = links
            .find(|(_, link)| link.side(device).is_some_and(|side| link.known[side] && link.ends[1 - side] == peer));
        found.map(|(link, _)| *link)
    }

    /// The links that a device believes to have.
    pub(super) fn of(&self, device: DeviceNo) -> Vec<u64> {
        let mine = self.links.iter().filter(|(_, link)| link.side(device).is_some_and(|side| link.known[side]));
        mine.map(|(link, _)| *link).collect()
    }

    /// The links that somebody else believes to have with a device, and on which side he is.
    pub(super) fn known_to_peers_of(&self, device: DeviceNo) -> Vec<(u64, usize)> {
        let theirs = self.links.iter().filter_map(|(link, known)| Some((*link, known, 1 - known.side(device)?)));
        theirs.filter(|(_, known, side)| known.known[*side]).map(|(link, _, side)| (link, side)).collect()
    }
}

impl Link {
    /// Which side a device is on.
    pub(super) fn side(&self, device: DeviceNo) -> Option<usize> {
        self.ends.iter().position(|end| *end == device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_does_not_read_is_bounded_and_then_costs_the_link() {
        let mut way = Way::default();
        let mut accepted = 0;
        while way.accept(1, vec![0; 60_000]) != Accepted::Full {
            accepted += 60_000 + FRAME_OVERHEAD;
        }
        assert!(accepted <= LANE_BYTES[1] + LINK_OVERFLOW_BYTES);
        assert!(accepted > LINK_OVERFLOW_BYTES);
    }

    #[test]
    fn what_waited_moves_up_in_order_when_the_peer_reads() {
        let mut way = Way::default();
        let mut sent = 0_u8;
        while way.accept(0, vec![sent; 100_000]) == Accepted::Lane {
            sent += 1;
        }
        let first = way.lanes[0].queue.pop_front().unwrap();
        assert!(way.read(0, &first));
        let order: Vec<u8> = way.lanes[0].queue.iter().map(|frame| frame[0]).collect();
        assert_eq!(order, (1..=sent).collect::<Vec<_>>());
    }
}
