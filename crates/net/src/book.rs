//! [`Book`]: which peers we want a link to, where they may be, and when to dial them next. Pure: time and random
//! bits come in.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::Peer;
use crate::backoff::{BackOff, spread};
use crate::error::DialError;
use crate::limits::{
    ADDRESSES_PER_PEER_LIMIT, CANDIDATES_LIMIT, DIALS_IN_FLIGHT_LIMIT, STABLE_LINK, WANTED_PEERS_LIMIT,
    YIELD_TO_SMALLER,
};
use crate::status::{PeerState, PeerStatus, Traffic};

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Book {
    local: PeerId,
    dial_unknown: bool,
    peers: BTreeMap<PeerId, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    wanted: bool,
    /// Addresses that the owner gave.
    given: Vec<Multiaddr>,
    /// Addresses that discovery heard of.
    heard: Vec<Multiaddr>,
    /// Addresses at which somebody else answered; not tried again before the next reset.
    wrong: Vec<Multiaddr>,
    back_off: BackOff,
    next: Option<Instant>,
    dialing: bool,
    linked_since: Option<Instant>,
    dials: u64,
    last_error: Option<DialError>,
    /// What its links that have ended carried.
    carried: Traffic,
}

impl Entry {
    fn addresses(&self) -> Vec<Multiaddr> {
        let all = || self.given.iter().chain(&self.heard);
        let mut addresses: Vec<Multiaddr> = all().filter(|a| !self.wrong.contains(a)).cloned().collect();
        if addresses.is_empty() {
            addresses = all().cloned().collect();
        }
        addresses.truncate(ADDRESSES_PER_PEER_LIMIT);
        addresses
    }

    fn has_address(&self) -> bool {
        !self.given.is_empty() || !self.heard.is_empty()
    }

    fn reset(&mut self, next: Instant) {
        self.back_off.reset();
        self.wrong.clear();
        self.next = Some(next);
    }
}

impl Book {
    pub(crate) fn new(local: PeerId, dial_unknown: bool) -> Self {
        Book { local, dial_unknown, peers: BTreeMap::new() }
    }

    /// Keeps a link to a peer from now on. False if there are too many already.
    pub(crate) fn want(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, linked: bool, now: Instant) -> bool {
        let known = self.peers.get(&peer).is_some_and(|entry| entry.wanted);
        if peer == self.local || (!known && self.count(true) >= WANTED_PEERS_LIMIT) {
            return false;
        }
        let entry = self.peers.entry(peer).or_default();
        entry.wanted = true;
        if linked {
            entry.linked_since.get_or_insert(now);
        }
        if !addresses.is_empty() {
            entry.given = distinct(addresses.into_iter().map(without_peer));
        }
        entry.reset(now);
        true
    }

    /// Lets a peer go. Its link, if there is one, stays: that is the owner's to close.
    pub(crate) fn unwant(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.wanted = false;
            entry.given.clear();
        }
        self.drop_empty(peer);
    }

    /// Notes an address that discovery heard of. `random` spreads the waits of many.
    pub(crate) fn discovered(&mut self, peer: PeerId, address: Multiaddr, now: Instant, random: u64) {
        if peer == self.local || (!self.peers.contains_key(&peer) && self.count(false) >= CANDIDATES_LIMIT) {
            return;
        }
        let smaller = self.local < peer;
        let entry = self.peers.entry(peer).or_default();
        let address = without_peer(address);
        if !entry.heard.contains(&address) && entry.heard.len() < ADDRESSES_PER_PEER_LIMIT {
            entry.heard.push(address);
        }
        if entry.linked_since.is_none() && !entry.dialing {
            // Both hear of each other at about the same time; one of the two dials.
            let (least, most) = YIELD_TO_SMALLER;
            entry.reset(if smaller { now } else { now + spread(least, most, random) });
        }
    }

    /// An address that discovery has not heard of for long.
    pub(crate) fn expired(&mut self, peer: PeerId, address: &Multiaddr) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            let address = without_peer(address.clone());
            entry.heard.retain(|heard| *heard != address);
        }
        self.drop_empty(peer);
    }

    /// The peers whose time has come, each with all its addresses. They count as being dialled from here on.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut room = DIALS_IN_FLIGHT_LIMIT.saturating_sub(self.in_flight());
        let dial_unknown = self.dial_unknown;
        let mut due = Vec::new();
        for (peer, entry) in &mut self.peers {
            if room == 0 {
                break;
            }
            if waits(entry, dial_unknown) && entry.next.is_some_and(|next| next <= now) {
                room -= 1;
                entry.dialing = true;
                entry.dials += 1;
                entry.next = None;
                due.push((*peer, entry.addresses()));
            }
        }
        due
    }

    /// When [`Book::due`] will have something, if nothing else happens.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        if self.in_flight() >= DIALS_IN_FLIGHT_LIMIT {
            return None;
        }
        let waiting = self.peers.values().filter(|entry| waits(entry, self.dial_unknown));
        waiting.filter_map(|entry| entry.next).min()
    }

    /// A dial of [`Book::due`] made a connection. It becomes a link, or [`Book::failed`] is told that it does not.
    pub(crate) fn connected(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.dialing = false;
        }
    }

    /// A dial of [`Book::due`] failed.
    pub(crate) fn failed(&mut self, peer: PeerId, error: DialError, now: Instant, random: u64) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            if let DialError::WrongPeer { address, .. } = &error {
                let address = without_peer(address.clone());
                if !entry.wrong.contains(&address) && entry.wrong.len() < 2 * ADDRESSES_PER_PEER_LIMIT {
                    entry.wrong.push(address);
                }
            }
            entry.dialing = false;
            entry.last_error = Some(error);
            entry.next = Some(now + entry.back_off.next(random));
        }
    }

    pub(crate) fn linked(&mut self, peer: PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.linked_since = Some(now);
            entry.next = None;
            entry.last_error = None;
        }
    }

    pub(crate) fn unlinked(&mut self, peer: PeerId, carried: Traffic, now: Instant, random: u64) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.carried += carried;
            if entry.linked_since.take().is_some_and(|since| now.duration_since(since) >= STABLE_LINK) {
                entry.back_off.reset();
            }
            entry.next = Some(now + entry.back_off.next(random));
        }
    }

    /// Everything may be different now: dial whoever is missing, at once.
    pub(crate) fn reset(&mut self, now: Instant) {
        for entry in self.peers.values_mut().filter(|entry| entry.linked_since.is_none()) {
            entry.reset(now);
        }
    }

    /// All addresses known for a peer.
    pub(crate) fn addresses(&self, peer: PeerId) -> Vec<Multiaddr> {
        self.peers.get(&peer).map(Entry::addresses).unwrap_or_default()
    }

    /// Whether a peer should be linked, is not, and nothing is under way or planned for it.
    pub(crate) fn is_stranded(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|entry| waits(entry, self.dial_unknown) && entry.next.is_none())
    }

    /// Whether to dial discovered peers that nobody wants.
    pub(crate) fn set_dial_unknown(&mut self, on: bool, now: Instant) {
        self.dial_unknown = on;
        if on {
            self.reset(now);
        }
    }

    /// All peers, with what their links carried that have ended.
    pub(crate) fn status(&self, now: Instant) -> Vec<PeerStatus> {
        let state = |entry: &Entry| match entry.next {
            _ if entry.linked_since.is_some() => PeerState::Linked,
            _ if entry.dialing => PeerState::Dialing,
            _ if !entry.wanted && !self.dial_unknown => PeerState::NotWanted,
            _ if !entry.has_address() => PeerState::NoAddress,
            Some(next) => PeerState::BackOff { next_dial_in: next.saturating_duration_since(now) },
            None => PeerState::BackOff { next_dial_in: Duration::ZERO },
        };
        let peers = self.peers.iter().map(|(peer, entry)| PeerStatus {
            peer: Peer(*peer),
            wanted: entry.wanted,
            given: entry.given.clone(),
            discovered: entry.heard.clone(),
            state: state(entry),
            dials: entry.dials,
            failures_in_a_row: entry.back_off.failures(),
            last_error: entry.last_error.clone(),
            traffic: entry.carried,
        });
        peers.collect()
    }

    fn count(&self, wanted: bool) -> usize {
        self.peers.values().filter(|entry| entry.wanted == wanted).count()
    }

    fn in_flight(&self) -> usize {
        self.peers.values().filter(|entry| entry.dialing).count()
    }

    fn drop_empty(&mut self, peer: PeerId) {
        // One that is being dialled stays until the dial has ended, and then until the next expiry: bounded anyway.
        if self.peers.get(&peer).is_some_and(|e| !e.wanted && e.heard.is_empty() && !e.dialing) {
            self.peers.remove(&peer);
        }
    }
}

/// Whether a peer should be linked and is not.
fn waits(entry: &Entry, dial_unknown: bool) -> bool {
    (entry.wanted || dial_unknown) && entry.linked_since.is_none() && !entry.dialing && entry.has_address()
}

fn distinct(addresses: impl Iterator<Item = Multiaddr>) -> Vec<Multiaddr> {
    let mut distinct = Vec::new();
    for address in addresses {
        if distinct.len() < ADDRESSES_PER_PEER_LIMIT && !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    distinct
}

/// An address without the `/p2p/...` at its end, so that one address is one, however it was written.
pub(crate) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u8) -> PeerId {
        Peer::of_seed(&[seed; 32]).unwrap().0
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()
    }

    /// Two peers, the smaller first.
    fn two() -> (PeerId, PeerId) {
        let (one, other) = (peer(1), peer(2));
        (one.min(other), one.max(other))
    }

    #[test]
    fn a_discovered_peer_is_dialled_only_if_it_is_wanted_and_by_the_smaller_first() {
        let (small, large) = two();
        let now = Instant::now();
        let mut book = Book::new(small, false);
        book.discovered(large, address(1), now, 0);
        assert!(book.due(now).is_empty() && book.next_due().is_none(), "nobody wants it");
        assert!(book.want(large, vec![], false, now));
        assert_eq!(book.due(now), [(large, vec![address(1)])]);

        let mut book = Book::new(large, false);
        book.want(small, vec![], false, now);
        book.discovered(small, address(1), now, u64::MAX / 2);
        assert!(book.due(now + Duration::from_millis(1900)).is_empty());
        assert_eq!(book.due(now + Duration::from_secs(3)).len(), 1);
    }

    #[test]
    fn an_open_invitation_dials_whoever_is_discovered() {
        let (small, large) = two();
        let now = Instant::now();
        let mut book = Book::new(small, true);
        book.discovered(large, address(1), now, 0);
        assert_eq!(book.due(now).len(), 1);
    }

    #[test]
    fn at_most_eight_dials_are_under_way_and_sixty_four_strangers_remembered() {
        let now = Instant::now();
        let mut book = Book::new(peer(0), false);
        for seed in 1..=200 {
            book.discovered(peer(seed), address(1), now, 0);
        }
        assert_eq!(book.status(now).len(), CANDIDATES_LIMIT);
        for seed in 1..=20 {
            assert!(book.want(peer(seed), vec![address(1)], false, now));
        }
        let dialled = book.due(now);
        assert_eq!(dialled.len(), DIALS_IN_FLIGHT_LIMIT);
        assert!(book.due(now).is_empty() && book.next_due().is_none());
        book.failed(dialled[0].0, DialError::NoAddress, now, 0);
        assert_eq!(book.due(now).len(), 1);
    }

    #[test]
    fn failures_back_off_and_a_change_of_network_starts_over() {
        let now = Instant::now();
        let (local, far) = two();
        let mut book = Book::new(local, false);
        book.want(far, vec![address(1)], false, now);
        for _ in 0..5 {
            let at = book.next_due().unwrap();
            assert_eq!(book.due(at).len(), 1);
            book.failed(far, DialError::NoAddress, at, u64::MAX / 2);
        }
        let last = book.next_due().unwrap();
        assert!(last > now + Duration::from_secs(16), "1 + 2 + 4 + 8 + 16 s");
        book.reset(now);
        assert_eq!(book.next_due(), Some(now));
        book.linked(far, now);
        assert_eq!(book.next_due(), None);
        book.unlinked(far, Traffic::default(), now + STABLE_LINK, 0);
        assert_eq!(book.next_due(), Some(now + STABLE_LINK + Duration::from_millis(500)));
    }

    #[test]
    fn an_address_where_somebody_else_answered_is_left_out_until_the_next_reset() {
        let now = Instant::now();
        let (local, far) = two();
        let mut book = Book::new(local, false);
        book.want(far, vec![address(1), address(2)], false, now);
        assert_eq!(book.due(now), [(far, vec![address(1), address(2)])]);
        let wrong = DialError::WrongPeer { expected: Peer(far), found: Peer(local), address: address(1) };
        book.failed(far, wrong, now, 0);
        assert_eq!(book.addresses(far), [address(2)]);
        book.reset(now);
        assert_eq!(book.addresses(far), [address(1), address(2)]);
    }

    #[test]
    fn a_peer_that_closes_every_link_at_once_is_dialled_ever_more_rarely() {
        let (local, far) = two();
        let mut book = Book::new(local, false);
        let mut now = Instant::now();
        book.want(far, vec![address(1)], false, now);
        let mut waits = Vec::new();
        for _ in 0..4 {
            let at = book.next_due().unwrap();
            waits.push((at - now).as_secs_f64().round());
            now = at;
            assert_eq!(book.due(now).len(), 1);
            book.connected(far);
            book.linked(far, now);
            book.unlinked(far, Traffic::default(), now, u64::MAX / 2);
        }
        assert_eq!(waits, [0.0, 1.0, 2.0, 4.0]);
    }

    #[test]
    fn a_peer_let_go_is_not_dialled_again() {
        let now = Instant::now();
        let (local, far) = two();
        let mut book = Book::new(local, false);
        book.want(far, vec![address(1)], false, now);
        book.unwant(far);
        assert!(book.due(now).is_empty());
        assert!(book.status(now).is_empty());
    }
}
