//! Devices that fall into bad hands.

use farshore_core::batch::CollectionKey;

use super::host::Engine;
use super::{Event, Run};
use crate::byzantine::peer::RawPeer;
use crate::byzantine::{Byzantine, ByzantineKind};
use crate::dice::Dice;
use crate::limits::REST_LATENCY_MS;
use crate::observe::{DeviceNo, What};

impl Run<'_> {
    /// Somebody takes a member's keys off its disk, and its place.
    pub(super) fn turn(&mut self, device: DeviceNo, kind: ByzantineKind) {
        let (Some(space), Some(collection)) = (self.space, self.collections.first().copied()) else { return };
        let host = &mut self.hosts[device];
        // What is off, asleep or without its store is left alone, and whoever founds the space is needed.
        if device == 0 || self.healed || host.turned || !host.usable() {
            return;
        }
        let Ok(boot) = host.disk.boot() else { return };
        let Some(peer) = RawPeer::steal(&boot, host.peer.clone(), CollectionKey { space, collection }) else { return };
        self.end_life(device);
        self.see(device, What::Turned { kind });
        self.close_links(device, false);
        let dice = Dice::seeded(self.dice.next_u64());
        let host = &mut self.hosts[device];
        host.disk.close();
        host.turned = true;
        host.crash = None;
        host.engine = Engine::Byzantine(Box::new(Byzantine::new(kind, peer, dice)));
    }

    /// With the last fault, those in bad hands leave: what is asked at rest is whether the honest have come to terms. All
    /// hear of it, also those who woke with a link that was dead: to find that out takes heartbeats, whoever was there.
    pub(super) fn leave(&mut self) {
        for device in 0..self.hosts.len() {
            if !self.hosts[device].turned {
                continue;
            }
            if self.hosts[device].runs() {
                self.end_life(device);
                self.close_links(device, false);
                self.hosts[device].engine = Engine::Off;
            }
            for (link, side) in self.links.known_to_peers_of(device) {
                self.in_ms(REST_LATENCY_MS, Event::Heartbeat { link, side });
            }
        }
    }
}
