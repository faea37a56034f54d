//! [`Limiter`]: how many connections there may be, pending and established, in all, for a peer and for an IP address.
//!
//! libp2p's own `connection-limits` keeps an entry for every peer id that ever connected; this one forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tokio::time::Instant;

use crate::limits::*;

/// Why a connection is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: the limit is {limit}")]
pub(crate) struct Refused {
    what: &'static str,
    limit: usize,
}

/// Counts connections by id. Generic in the ids only so that tests need no swarm.
#[derive(Debug)]
pub(crate) struct Limiter<C, P> {
    pending_in: BTreeSet<C>,
    pending_out: BTreeSet<C>,
    established: BTreeMap<C, P>,
    handshakes: BTreeMap<IpAddr, u32>,
    window_start: Option<Instant>,
}

impl<C: Copy + Ord, P: Copy + Eq> Limiter<C, P> {
    pub(crate) fn new() -> Self {
        Limiter {
            pending_in: BTreeSet::new(),
            pending_out: BTreeSet::new(),
            established: BTreeMap::new(),
            handshakes: BTreeMap::new(),
            window_start: None,
        }
    }

    /// A stranger knocks; its handshake has not begun.
    pub(crate) fn incoming(&mut self, id: C, from: Option<IpAddr>, now: Instant) -> Result<(), Refused> {
        check("incoming handshakes at a time", self.pending_in.len(), PENDING_INCOMING_LIMIT)?;
        if let Some(address) = from {
            self.count_handshake(address, now)?;
        }
        self.pending_in.insert(id);
        Ok(())
    }

    fn count_handshake(&mut self, address: IpAddr, now: Instant) -> Result<(), Refused> {
        let over = self.window_start.is_none_or(|start| now.duration_since(start) >= HANDSHAKE_WINDOW);
        if over || self.handshakes.len() >= HANDSHAKE_ADDRESSES_LIMIT {
            self.handshakes.clear();
            self.window_start = Some(now);
        }
        let count = self.handshakes.entry(network_of(address)).or_insert(0);
        *count += 1;
        check("handshakes a minute from one address", *count as usize - 1, HANDSHAKES_PER_ADDRESS_LIMIT as usize)
    }

    /// We are about to dial.
    pub(crate) fn outgoing(&mut self, id: C) -> Result<(), Refused> {
        check("outgoing handshakes at a time", self.pending_out.len(), PENDING_OUTGOING_LIMIT)?;
        self.pending_out.insert(id);
        Ok(())
    }

    /// A handshake is done: the peer is known.
    pub(crate) fn establish(&mut self, id: C, peer: P) -> Result<(), Refused> {
        self.pending_in.remove(&id);
        self.pending_out.remove(&id);
        check("connections", self.established.len(), ESTABLISHED_LIMIT)?;
        let of_peer = self.established.values().filter(|other| **other == peer).count();
        check("connections to one peer", of_peer, ESTABLISHED_PER_PEER_LIMIT)?;
        self.established.insert(id, peer);
        Ok(())
    }

    /// A connection, pending or established, is over.
    pub(crate) fn forget(&mut self, id: C) {
        self.pending_in.remove(&id);
        self.pending_out.remove(&id);
        self.established.remove(&id);
    }

    /// Incoming and outgoing handshakes, and established connections.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.pending_in.len(), self.pending_out.len(), self.established.len())
    }
}

fn check(what: &'static str, now: usize, limit: usize) -> Result<(), Refused> {
    if now >= limit { Err(Refused { what, limit }) } else { Ok(()) }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 host commands.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let high = u128::from(v6) >> 64 << 64;
            IpAddr::V6(high.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_peer_gets_four_connections_and_gives_them_back() {
        let mut limiter = Limiter::<u32, char>::new();
        for id in 0..4 {
            limiter.establish(id, 'a').unwrap();
        }
        assert!(limiter.establish(4, 'a').is_err());
        limiter.establish(5, 'b').unwrap();
        limiter.forget(0);
        limiter.establish(6, 'a').unwrap();
    }

    #[test]
    fn pending_connections_are_bounded_both_ways() {
        let now = Instant::now();
        let mut limiter = Limiter::<usize, char>::new();
        for id in 0..PENDING_INCOMING_LIMIT {
            limiter.incoming(id, None, now).unwrap();
        }
        assert!(limiter.incoming(1000, None, now).is_err());
        for id in 100..100 + PENDING_OUTGOING_LIMIT {
            limiter.outgoing(id).unwrap();
        }
        assert!(limiter.outgoing(1001).is_err());
        limiter.establish(0, 'a').unwrap();
        limiter.incoming(1000, None, now).unwrap();
        limiter.forget(100);
        limiter.outgoing(1001).unwrap();
    }

    #[test]
    fn one_address_cannot_keep_us_busy_with_handshakes() {
        let now = Instant::now();
        let mut limiter = Limiter::<u32, char>::new();
        let mut knock = |id: u32, text: &str, now| {
            let answer = limiter.incoming(id, Some(text.parse().unwrap()), now);
            limiter.forget(id);
            answer
        };
        for id in 0..HANDSHAKES_PER_ADDRESS_LIMIT {
            knock(id, &format!("2001:db8::{id:x}"), now).unwrap();
        }
        assert!(knock(9000, "2001:db8::ffff", now).is_err(), "one /64 is one source");
        knock(9001, "192.0.2.1", now).unwrap();
        knock(9002, "2001:db8::ffff", now + HANDSHAKE_WINDOW).unwrap();
        knock(9003, "2001:db8::ffff", now + HANDSHAKE_WINDOW + Duration::from_secs(1)).unwrap();
    }
}
