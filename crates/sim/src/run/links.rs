//! Links as devices live them: dialled, carrying, found dead.

use farshore_core::input::{Class, Input, LinkId};
use farshore_core::output::PeerAddress;

use super::net::Accepted;
use super::{Event, Run};
use crate::fault::FaultKind;
use crate::limits::{CHECK_MS, CONNECT_MS, HEARTBEAT_MS, STABLE_LINK_MS};
use crate::observe::{DeviceNo, What};

const CLASSES: [Class; 3] = [Class::Ctl, Class::Live, Class::Bulk];

impl Run<'_> {
    /// The peers that a device wants to be linked with are now these.
    pub(super) fn keep_peers(&mut self, device: DeviceNo, peers: Vec<PeerAddress>) {
        let wanted: Vec<(DeviceNo, Vec<String>)> = peers
            .into_iter()
            .filter_map(|peer| Some((*self.directory.get(&peer.peer)?, peer.addresses)))
            .filter(|(peer, _)| *peer != device)
            .collect();
        self.hosts[device].dials.retain(|peer, _| wanted.iter().any(|(other, _)| other == peer));
        for (peer, addresses) in wanted {
            let fresh = !self.hosts[device].dials.contains_key(&peer);
            self.hosts[device].dials.entry(peer).or_default().addresses = addresses;
            if fresh {
                // The larger number leaves the first dial to the smaller one, as discovery does it.
                let wait_ms = if device < peer { self.dice.below(50) } else { 2_000 + self.dice.below(1_000) };
                self.plan_dial(device, peer, wait_ms);
            }
        }
    }

    /// Plans to dial a peer in a while, if none is planned and no link is up.
    pub(super) fn plan_dial(&mut self, device: DeviceNo, peer: DeviceNo, wait_ms: u64) {
        let (at_ms, life) = (self.now_ms + wait_ms, self.hosts[device].life);
        let reaches = self.reaches(device, peer);
        let Some(dial) = self.hosts[device].dials.get_mut(&peer).filter(|dial| reaches && dial.next_ms.is_none())
        else {
            return;
        };
        dial.next_ms = Some(at_ms);
        self.at(at_ms, Event::Dial { device, life, peer });
    }

    /// Whether there is a way at all. Whoever is let in meets the one who invites, wherever they live afterwards.
    pub(super) fn reaches(&self, device: DeviceNo, peer: DeviceNo) -> bool {
        let pairing = peer == 0 && !self.hosts[device].settled;
        pairing || self.plan.setup.topology.joins(device, peer, self.hosts.len())
    }

    pub(super) fn dial(&mut self, device: DeviceNo, life: u64, peer: DeviceNo) {
        if self.hosts[device].life != life {
            return;
        }
        let Some(Event::Dial { .. }) = self.asleep(device, Event::Dial { device, life, peer }) else { return };
        let Some(dial) = self.hosts[device].dials.get_mut(&peer).filter(|dial| dial.next_ms.is_some()) else { return };
        dial.next_ms = None;
        if self.links.between(device, peer).is_some() {
            return;
        }
        let ms = if self.answers(device, peer) {
            // A handshake takes two round trips.
            2 * (self.latency_ms(device, peer) + self.latency_ms(peer, device))
        } else if self.hosts[peer].reachable() && self.knows_address(device, peer) {
            CONNECT_MS
        } else {
            self.latency_ms(device, peer) * 2
        };
        self.in_ms(ms, Event::Connect { device, life, peer });
    }

    fn latency_ms(&mut self, from: DeviceNo, to: DeviceNo) -> u64 {
        self.roads.latency_ms(from, to, self.now_ms, &mut self.dice)
    }

    fn knows_address(&self, device: DeviceNo, peer: DeviceNo) -> bool {
        let (me, other) = (&self.hosts[device], &self.hosts[peer]);
        let address = other.address(peer);
        let told = me.dials.get(&peer).is_some_and(|dial| dial.addresses.contains(&address));
        told || other.discovered == other.address
    }

    fn answers(&mut self, device: DeviceNo, peer: DeviceNo) -> bool {
        if !self.hosts[peer].reachable() || !self.knows_address(device, peer) {
            return false;
        }
        let mut open = |from, to| self.roads.closed(from, to, self.now_ms).is_none();
        open(device, peer) && open(peer, device)
    }

    /// The handshake of a dial is over, well or badly.
    pub(super) fn connect(&mut self, device: DeviceNo, life: u64, peer: DeviceNo) {
        if self.hosts[device].life != life || !self.hosts[device].reachable() {
            return;
        }
        let Some(mut dial) = self.hosts[device].dials.remove(&peer) else { return };
        let linked = self.links.between(device, peer).is_some();
        let answers = self.answers(device, peer);
        let random = self.dice.next_u64();
        let wait_ms = if linked || answers { None } else { Some(dial.back_off_ms(random)) };
        self.hosts[device].dials.insert(peer, dial);
        match wait_ms {
            Some(wait_ms) => self.plan_dial(device, peer, wait_ms),
            None if linked => {}
            None => self.link_up(device, peer),
        }
    }

    fn link_up(&mut self, device: DeviceNo, peer: DeviceNo) {
        // The peer may still believe in a link that this device knows to be gone: the new one replaces it.
        if let Some(old) = self.links.between(peer, device) {
            self.end_of(old, peer);
        }
        let lives = [self.hosts[device].life, self.hosts[peer].life];
        let link = self.links.open([device, peer], lives, self.now_ms);
        self.active_ms = self.now_ms;
        for (me, other, dialled) in [(device, peer, true), (peer, device, false)] {
            self.see(me, What::LinkUp { link, peer: other });
            let address = if dialled { self.hosts[other].address(other) } else { String::new() };
            let peer = self.hosts[other].peer.clone();
            self.feed(me, Input::LinkUp { link: LinkId(link), peer, address, dialled });
        }
    }

    /// Puts a frame on its way.
    pub(super) fn put(&mut self, device: DeviceNo, link: u64, side: usize, class: usize, frame: Vec<u8>) {
        let Some(known) = self.links.links.get_mut(&link) else { return };
        match known.ways[side].accept(class, frame) {
            Accepted::Lane => self.transmit(link, side),
            Accepted::Overflow => {
                let bytes = known.ways[side].overflow_bytes() as u64;
                self.hosts[device].measured("link overflow bytes", bytes, crate::limits::LINK_OVERFLOW_BYTES as u64);
            }
            // The core did not ask for this end, so it is told of it, after what it is doing now.
            Accepted::Full => self.at(self.now_ms, Event::Fin { link, side }),
        }
    }

    /// Puts on the wire what can be.
    fn transmit(&mut self, link: u64, way: usize) {
        while let Some(known) = self.links.links.get_mut(&link) {
            let (from, to) = (known.ends[way], known.ends[1 - way]);
            if known.ways[way].sending.is_some() {
                return;
            }
            let Some(class) = known.ways[way].urgent() else { return };
            match self.roads.bytes_per_s(from, to, self.now_ms) {
                None => self.fly(link, way, class),
                Some(limit) => {
                    let bytes = known.ways[way].lanes[class].queue.front().map_or(0, Vec::len) as u64;
                    known.ways[way].sending = Some(class);
                    self.in_ms((bytes * 1_000).div_ceil(limit), Event::Sent { link, way });
                    return;
                }
            }
        }
    }

    pub(super) fn sent(&mut self, link: u64, way: usize) {
        let Some(class) = self.links.links.get_mut(&link).and_then(|known| known.ways[way].sending.take()) else {
            return;
        };
        self.fly(link, way, class);
        self.transmit(link, way);
    }

    /// The front frame of a stream leaves; it arrives after those before it in the same stream.
    fn fly(&mut self, link: u64, way: usize, class: usize) {
        let Some(known) = self.links.links.get_mut(&link) else { return };
        let (from, to) = (known.ends[way], known.ends[1 - way]);
        let latency_ms = self.roads.latency_ms(from, to, self.now_ms, &mut self.dice);
        let lane = &mut known.ways[way].lanes[class];
        let Some(frame) = lane.queue.pop_front() else { return };
        lane.flight.push_back(frame);
        lane.last_ms = lane.last_ms.max(self.now_ms + latency_ms);
        let at_ms = lane.last_ms;
        self.at(at_ms, Event::Arrive { link, way, class });
    }

    pub(super) fn arrive(&mut self, link: u64, way: usize, class: usize) {
        let event = Event::Arrive { link, way, class };
        let Some(known) = self.links.links.get(&link) else { return };
        let (from, to, heard) = (known.ends[way], known.ends[1 - way], known.known[1 - way]);
        if !heard || known.dead {
            return;
        }
        if let Some((_, end_ms)) = self.roads.closed(from, to, self.now_ms) {
            return self.at(end_ms, event);
        }
        if let Some(end_ms) = self.roads.unread(from, to, self.now_ms) {
            return self.at(end_ms, event);
        }
        let Some(_) = self.asleep(to, event) else { return };
        let Some(known) = self.links.links.get_mut(&link) else { return };
        let Some(frame) = known.ways[way].lanes[class].flight.pop_front() else { return };
        let writable = known.ways[way].read(class, &frame);
        let sender_knows = known.known[way];
        self.active_ms = self.now_ms;
        self.deliver(link, (from, to), class, frame);
        if writable {
            self.transmit(link, way);
            if sender_knows {
                self.feed(from, Input::Writable { link: LinkId(link) });
            }
        }
    }

    fn deliver(&mut self, link: u64, (from, to): (DeviceNo, DeviceNo), class: usize, mut bytes: Vec<u8>) {
        let road = self.roads.of(from, to);
        let (twice, cut) = (std::mem::take(&mut road.duplicate), road.truncate.take());
        if let Some(cut) = cut {
            let left = bytes.len().saturating_sub(cut as usize).max(1);
            bytes.truncate(left);
            self.fired(to, FaultKind::Truncate);
        }
        let class = CLASSES[class];
        if twice {
            self.fired(to, FaultKind::Duplicate);
            self.feed(to, Input::Frame { link: LinkId(link), class, bytes: bytes.clone() });
        }
        self.feed(to, Input::Frame { link: LinkId(link), class, bytes });
    }

    /// A device closes a link; what it has sent still arrives, and the close behind it.
    pub(super) fn close(&mut self, device: DeviceNo, link: u64, _reason: &str) {
        let Some(known) = self.links.links.get_mut(&link) else { return };
        let Some(side) = known.side(device).filter(|side| known.known[*side]) else { return };
        known.known[side] = false;
        let peer = known.ends[1 - side];
        let after_ms = known.ways[side].lanes.iter().map(|lane| lane.last_ms).max().unwrap_or(0);
        let since_ms = known.since_ms;
        let at_ms = after_ms.max(self.now_ms + self.latency_ms(device, peer));
        self.see(device, What::LinkDown { link, peer });
        self.redial(device, peer, since_ms);
        self.at(at_ms, Event::Fin { link, side: 1 - side });
    }

    /// A link's end comes to one of its sides.
    pub(super) fn fin(&mut self, link: u64, side: usize) {
        let Some(known) = self.links.links.get(&link) else { return };
        let (me, other) = (known.ends[side], known.ends[1 - side]);
        if !known.known[side] || known.lives[side] != self.hosts[me].life {
            return self.forget(link);
        }
        if known.known[1 - side] {
            return self.end_of(link, me); // This side's own node gave the link up.
        }
        if known.dead {
            return self.suspect(link, side);
        }
        if let Some((_, end_ms)) = self.roads.closed(other, me, self.now_ms) {
            // The close is lost like everything else; heartbeats find out, unless the road opens before.
            self.suspect(link, side);
            return self.at(end_ms, Event::Fin { link, side });
        }
        let Some(_) = self.asleep(me, Event::Fin { link, side }) else { return };
        self.end_of(link, me);
    }

    /// A device learns that a link is gone.
    pub(super) fn end_of(&mut self, link: u64, device: DeviceNo) {
        let Some(known) = self.links.links.get_mut(&link) else { return };
        let Some(side) = known.side(device).filter(|side| known.known[*side]) else { return };
        known.known[side] = false;
        let (peer, since_ms, theirs) = (known.ends[1 - side], known.since_ms, known.known[1 - side]);
        if theirs {
            let wait_ms = self.latency_ms(device, peer);
            self.in_ms(wait_ms, Event::Fin { link, side: 1 - side });
        }
        self.active_ms = self.now_ms;
        self.see(device, What::LinkDown { link, peer });
        self.redial(device, peer, since_ms);
        self.feed(device, Input::LinkDown { link: LinkId(link) });
        self.forget(link);
    }

    /// A link that neither side believes in is no more.
    fn forget(&mut self, link: u64) {
        if self.links.links.get(&link).is_some_and(|known| known.known == [false; 2]) {
            self.links.links.remove(&link);
        }
    }

    /// Plans the dial that follows the end of a link.
    fn redial(&mut self, device: DeviceNo, peer: DeviceNo, since_ms: u64) {
        let random = self.dice.next_u64();
        let Some(dial) = self.hosts[device].dials.get_mut(&peer) else { return };
        if self.now_ms >= since_ms + STABLE_LINK_MS {
            dial.failures = 0;
        }
        let wait_ms = dial.back_off_ms(random);
        self.plan_dial(device, peer, wait_ms);
    }

    /// A side may hear nothing any more: it finds out when two heartbeats are missing.
    pub(super) fn suspect(&mut self, link: u64, side: usize) {
        let wait_ms = self.dice.range(HEARTBEAT_MS.0, HEARTBEAT_MS.1);
        self.in_ms(wait_ms, Event::Heartbeat { link, side });
    }

    /// Every side that hears from `device` through a link may hear nothing any more.
    pub(super) fn suspect_all(&mut self, device: DeviceNo, to: Option<DeviceNo>) {
        for link in self.links.of(device) {
            let Some(known) = self.links.links.get(&link) else { continue };
            let Some(side) = known.side(device) else { continue };
            if to.is_none_or(|to| known.ends[1 - side] == to) {
                self.suspect(link, 1 - side);
            }
        }
    }

    pub(super) fn heartbeat(&mut self, link: u64, side: usize) {
        let Some(known) = self.links.links.get(&link) else { return };
        let (me, other) = (known.ends[side], known.ends[1 - side]);
        let alive =
            self.hosts[other].runs() && known.lives[1 - side] == self.hosts[other].life && known.known[1 - side];
        let silent_ms = |since_ms: u64| self.now_ms - since_ms >= HEARTBEAT_MS.0;
        let closed = self.roads.closed(other, me, self.now_ms).is_some_and(|(since_ms, _)| silent_ms(since_ms));
        let sleeps = self.hosts[other].asleep.is_some_and(|(since_ms, _)| silent_ms(since_ms));
        if known.known[side] && self.hosts[me].asleep.is_none() && (!alive || closed || sleeps || known.dead) {
            self.end_of(link, me);
        }
    }

    /// A device's process is gone, or its store: its side of every link is. With `silent` nobody hears of it.
    pub(super) fn close_links(&mut self, device: DeviceNo, silent: bool) {
        for link in self.links.of(device) {
            let Some(known) = self.links.links.get_mut(&link) else { continue };
            let Some(side) = known.side(device) else { continue };
            known.known[side] = false;
            let peer = known.ends[1 - side];
            self.see(device, What::LinkDown { link, peer });
            if silent {
                self.suspect(link, 1 - side);
            } else {
                let wait_ms = self.latency_ms(device, peer);
                self.in_ms(wait_ms, Event::Fin { link, side: 1 - side });
            }
        }
    }

    /// A device wakes up: it checks its links, and those that the peer gave up meanwhile end.
    pub(super) fn check_links(&mut self, device: DeviceNo) {
        for link in self.links.of(device) {
            let Some(known) = self.links.links.get(&link) else { continue };
            let Some(side) = known.side(device) else { continue };
            if !known.known[1 - side] || known.dead {
                let wait_ms = self.dice.range(1, CHECK_MS);
                self.in_ms(wait_ms, Event::Heartbeat { link, side });
            }
        }
    }

    pub(super) fn discover(&mut self, device: DeviceNo) {
        self.hosts[device].discovered = self.hosts[device].address;
        for peer in 0..self.hosts.len() {
            if let Some(dial) = self.hosts[peer].dials.get_mut(&device).filter(|dial| dial.failures > 0) {
                dial.failures = 0;
                dial.next_ms = None;
                self.plan_dial(peer, device, 100);
            }
        }
    }
}
