//! Roster operations: making them, sending them, taking them in. They come before entries, because entries cite them.

use super::Replica;
use super::durable::Effect;
use super::exchange::SpaceLink;
use crate::batch::StoreOp;
use crate::bytes::Writer;
use crate::id::{DeviceId, OpHash, SpaceId};
use crate::input::LinkId;
use crate::limits::{
    FRAME_PEERS, FRAME_ROSTER_POSITIONS, PEER_ADDRESSES, PEER_ID_BYTES, ROSTER_ANSWER_BYTES, ROSTER_ANSWER_TIMES,
    ROSTER_OPS, ROSTER_ROUND_BYTES, ROSTER_ROUNDS,
};
use crate::output::{Event, Output, PeerAddress, RequestError};
use crate::roster::{Inserted, OpRefused, Roster};
use crate::wire::{Frame, PeerHint, RosterPosition};

/// Builds a roster from operations in an order in which parents come first, with what the store must keep.
pub(super) fn build(ops: &[Vec<u8>]) -> Result<(Roster, Vec<StoreOp>), String> {
    let (genesis, rest) = ops.split_first().ok_or("a roster without a genesis")?;
    let mut roster = Roster::found(genesis).map_err(|error| error.to_string())?;
    let space = roster.space();
    let mut store = vec![
        StoreOp::PutSpace { space, record: super::local::Local::default().encode() },
        StoreOp::PutRosterOp { space, hash: OpHash(space.0), bytes: genesis.clone() },
    ];
    for op in rest {
        let (Inserted::New(hash) | Inserted::Known(hash)) = roster.insert(op).map_err(|error| error.to_string())?;
        store.push(StoreOp::PutRosterOp { space, hash, bytes: op.clone() });
    }
    Ok((roster, store))
}

impl Replica {
    /// Adds operations of this device's own making; `effects` come true when they are durable.
    pub(super) fn insert_own_ops(
        &mut self,
        space: SpaceId,
        ops: Vec<Vec<u8>>,
        mut effects: Vec<Effect>,
    ) -> Result<(), RequestError> {
        let keys = self.keys();
        let known = self.space_mut(space)?;
        let mut store = Vec::with_capacity(ops.len());
        for bytes in ops {
            let inserted = known.roster.insert(&bytes).map_err(|error| RequestError::Internal(error.to_string()))?;
            let (Inserted::New(hash) | Inserted::Known(hash)) = inserted;
            store.push(StoreOp::PutRosterOp { space, hash, bytes });
        }
        known.read_roster(&keys);
        effects.push(Effect::RosterDurable(space));
        self.store(store, effects);
        Ok(())
    }

    /// The roster has grown durably: tell the app, and compare again with whoever was shown an older one.
    pub(super) fn roster_durable(&mut self, space: SpaceId, except: Option<LinkId>) {
        let Some(known) = self.spaces.get(&space) else { return };
        let digest = known.roster.digest();
        let collections: Vec<_> = known.collections.keys().copied().collect();
        self.notify(Event::RosterChanged { space });
        self.rescope(space);
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, state)| state.device.is_some()).map(|(link, _)| *link).collect();
        for link in links {
            self.send_tags(link);
            let behind = |shared: &SpaceLink| !shared.roster_busy && shared.said_roster() != Some(digest);
            if Some(link) != except && self.links.get(&link).and_then(|s| s.space(space)).is_some_and(behind) {
                self.restart_exchange(link, space);
            }
        }
        self.keep_peers();
        for collection in collections {
            self.pump(space, collection);
        }
    }

    /// Asks for the roster operations that this device lacks.
    pub(super) fn start_roster_exchange(&mut self, link: LinkId, space: SpaceId) {
        let Some(known) = self.spaces.get(&space) else { return };
        let frontier: Vec<RosterPosition> = known
            .roster
            .frontier()
            .iter()
            .map(|(author, (seq, hash))| RosterPosition { author: *author, seq: *seq, hash: *hash })
            .collect();
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(handle) = state.handle(space) else { return };
        let Some(shared) = state.space_mut(space) else { return };
        if shared.roster_busy || shared.roster_rounds >= ROSTER_ROUNDS {
            return;
        }
        shared.roster_busy = true;
        shared.roster_rounds += 1;
        let frames = frontier.chunks(FRAME_ROSTER_POSITIONS).count();
        for (index, chunk) in frontier.chunks(FRAME_ROSTER_POSITIONS).enumerate() {
            self.send(link, &Frame::RosterHave { handle, more: index + 1 < frames, positions: chunk.to_vec() });
        }
    }

    pub(super) fn on_roster_have(&mut self, link: LinkId, space: SpaceId, more: bool, positions: Vec<RosterPosition>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(handle) = state.handle(space) else { return };
        let Some(shared) = state.space_mut(space) else { return };
        shared.roster_in.extend(positions);
        if shared.roster_in.len() > ROSTER_OPS {
            return self.fault(link, "named more roster authors than a space may have");
        }
        if more {
            return;
        }
        let theirs = std::mem::take(&mut shared.roster_in);
        let Some(known) = self.spaces.get(&space) else { return };
        let frontier = theirs.iter().map(|p| (p.author, (p.seq, p.hash))).collect();
        let mut frames = Vec::new();
        let mut bytes = 0;
        for op in known.roster.ops_missing_from(&frontier) {
            bytes += op.len();
            if bytes > ROSTER_ROUND_BYTES {
                break; // The rest in the next round: both sides compare again after this one.
            }
            frames.push(Frame::RosterOp { handle, bytes: op.to_vec() });
        }
        frames.push(Frame::RosterEnd { handle });
        let mine = known.roster.frontier();
        let behind = theirs.iter().any(|p| mine.get(&p.author).is_none_or(|(seq, _)| *seq < p.seq));
        let whole: usize = known.roster.ops().map(<[u8]>::len).sum();
        shared.spent.roster_bytes += bytes;
        if shared.spent.roster_bytes > ROSTER_ANSWER_BYTES + ROSTER_ANSWER_TIMES * whole {
            return self.fault(link, "asked for the roster over and over without taking it in");
        }
        for frame in frames {
            self.send(link, &frame);
        }
        if behind {
            self.start_roster_exchange(link, space);
        }
    }

    pub(super) fn on_roster_op(&mut self, link: LinkId, space: SpaceId, bytes: &[u8]) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        match known.roster.insert(bytes) {
            Ok(Inserted::New(hash)) => {
                let op = StoreOp::PutRosterOp { space, hash, bytes: bytes.to_vec() };
                self.store(vec![op], Vec::new());
            }
            // What lacks a parent comes again with its parent, in the next round.
            Ok(Inserted::Known(_)) | Err(OpRefused::MissingParents(_)) => {}
            // A newer build's, or one too many: whoever forwards it did nothing wrong, and all else goes on.
            Err(error) if !error.is_peer_fault() => {
                tracing::warn!(%space, %error, "a roster operation is left out");
            }
            Err(error) => self.fault(link, &format!("sent a roster operation that is refused: {error}")),
        }
    }

    pub(super) fn on_roster_end(&mut self, link: LinkId, space: SpaceId) {
        let shared = self.links.get(&link).and_then(|state| state.space(space));
        if !shared.is_some_and(|shared| shared.roster_busy) {
            return; // Nothing was asked for, and reading the whole roster for it costs.
        }
        let keys = self.keys();
        let Some(known) = self.spaces.get_mut(&space) else { return };
        known.read_roster(&keys);
        self.store(Vec::new(), vec![Effect::RosterEnd(space, link)]);
    }

    /// The peer's operations are durable here: compare again, and let others know.
    pub(super) fn roster_ended(&mut self, link: LinkId, space: SpaceId) {
        let Some(digest) = self.spaces.get(&space).map(|known| known.roster.digest()) else { return };
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        shared.roster_busy = false;
        let changed = shared.said_roster() != Some(digest);
        let lacking = shared.lacking_journals();
        self.send_state(link, space, false);
        // An entry that cited what was not known yet was dropped: it can be judged now. It answered a question that is still
        // noted as open, so that is forgotten first.
        if let Some(known) = self.spaces.get_mut(&space).filter(|_| changed) {
            known.asked.retain(|journal, asked| asked.link != link || !lacking.contains(journal));
        }
        for journal in lacking {
            self.ask(space, journal);
        }
        if changed {
            self.roster_durable(space, Some(link));
        }
    }

    pub(super) fn on_addresses(&mut self, addresses: Vec<String>) {
        self.addresses = addresses;
        for (link, space) in self.shared_spaces() {
            self.send_hints(link, space);
        }
    }

    /// Tells a peer where members are, itself included, unless it was told the same before. Only a peer whose roster is equal:
    /// it keeps nothing of devices that it does not know as members yet.
    pub(super) fn send_hints(&mut self, link: LinkId, space: SpaceId) {
        let me = self.identity.transport_peer();
        let own = PeerHint { device: self.device(), peer: me, addresses: self.addresses.clone() };
        let Some(state) = self.links.get(&link) else { return };
        let (Some(device), Some(handle)) = (state.device, state.handle(space)) else { return };
        // Whoever has the key and is no member can echo a state: where members are is for members.
        let Some(known) = self.spaces.get_mut(&space).filter(|known| known.admits(Some(device))) else { return };
        let others = known.peers.iter().filter(|(id, peer)| **id != device && !peer.peer_id.is_empty());
        let mut peers: Vec<PeerHint> = others.map(|(id, peer)| peer.hint(*id)).chain([own]).collect();
        peers.sort();
        peers.iter_mut().for_each(|hint| hint.addresses.truncate(PEER_ADDRESSES));
        let mut w = Writer::new();
        let fits = peers.iter().take_while(|hint| {
            hint.encode(&mut w);
            w.len() < crate::limits::CTL_FRAME_BYTES - 1024
        });
        let count = fits.count().min(FRAME_PEERS);
        peers.truncate(count);
        let digest = *blake3::hash(w.as_slice()).as_bytes();
        let peer = known.peers.entry(device).or_default();
        if peer.told != digest {
            (peer.told, peer.dirty) = (digest, true);
            self.peer_changed();
            self.send(link, &Frame::Peers { handle, peers });
        }
    }

    pub(super) fn on_hints(&mut self, link: LinkId, space: SpaceId, peers: Vec<PeerHint>) {
        let me = self.device();
        let sender = self.links.get(&link).and_then(|state| state.device);
        let mut new = false;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        for hint in peers {
            // Only members are remembered, so a hostile peer cannot fill the table or send us dialling strangers.
            if hint.device == me || hint.peer.is_empty() || known.roster.role_of(&hint.device).is_none() {
                continue;
            }
            let peer = known.peers.entry(hint.device).or_default();
            // What a device says of itself is newer than what others remember of it.
            if Some(hint.device) == sender || peer.peer_id.is_empty() {
                new |= peer.addresses.is_empty() && !hint.addresses.is_empty();
                peer.dirty |= peer.peer_id != hint.peer || peer.addresses != hint.addresses;
                (peer.peer_id, peer.addresses) = (hint.peer, hint.addresses);
            }
        }
        self.peers_met(new);
        self.keep_peers();
    }

    /// Says whom this device wants to be linked with, if that has changed.
    pub(super) fn keep_peers(&mut self) {
        let me = self.device();
        let mut wanted: Vec<PeerAddress> = Vec::new();
        let mut add = |peer: &[u8], addresses: &[String]| {
            if peer.is_empty() {
                return;
            }
            match wanted.iter_mut().find(|known| known.peer == peer) {
                Some(known) => {
                    let new = addresses.iter().filter(|address| !known.addresses.contains(address));
                    let new: Vec<String> = new.cloned().collect();
                    known.addresses.extend(new);
                    known.addresses.truncate(PEER_ADDRESSES);
                }
                None => wanted.push(PeerAddress { peer: peer.to_vec(), addresses: addresses.to_vec() }),
            }
        };
        for space in self.spaces.values() {
            let is_member = |device: &DeviceId| *device != me && space.roster.role_of(device).is_some();
            for (_, peer) in space.peers.iter().filter(|(device, _)| is_member(device)) {
                add(&peer.peer_id, &peer.addresses);
            }
        }
        for join in self.joins.values() {
            add(join.peer(), join.addresses());
        }
        wanted.retain(|known| known.peer.len() <= PEER_ID_BYTES);
        wanted.sort();
        if wanted != self.kept_peers {
            self.kept_peers.clone_from(&wanted);
            self.outputs.push_back(Output::KeepPeers(wanted));
        }
    }
}
