//! A link: its handshake, its credit, and which spaces it shares.

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use super::exchange::{SpaceLink, Spent};
use super::parts::Piece;
use super::scope::Scopes;
use super::space::{Source, Space};
use crate::id::{DeviceId, EntryHash, JournalId, SpaceId};
use crate::input::{Class, LinkId};
use crate::keys;
use crate::limits::*;
use crate::output::{Event, Output};
use crate::seal;
use crate::wire::{self, Frame, Handle, Hello, PROTOCOL_VERSION, Recent};

const AUTH_LABEL: &str = "farshore hello v1";

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: Vec<u8>,
    pub(super) address: String,
    pub(super) dialled: bool,
    mine: Hello,
    theirs: Option<Hello>,
    /// Set when the device key is proved.
    pub(super) device: Option<DeviceId>,
    deadline: u64,
    sent_tags: Option<Vec<[u8; 16]>>,
    their_tags: BTreeSet<[u8; 16]>,
    pub(super) spaces: BTreeMap<Handle, SpaceLink>,
    handles: BTreeMap<SpaceId, Handle>,
    /// Of spaces that were shared and may be again.
    pub(super) spent: BTreeMap<SpaceId, Spent>,
    /// Whether a space was ever shared: then what still comes of one that was withdrawn is no stranger's.
    met: bool,
    /// What this side may still send, and what the other side has sent that was not given back, by class.
    pub(super) credit: Credit,
    received: Credit,
    /// Of `received`, what may be sent again and was not said yet.
    owed: Credit,
    /// The last entries that went, by class, which the next ones of their journals need not repeat; and those that came.
    pub(super) sent: BTreeMap<Class, Recent>,
    pub(super) came: BTreeMap<Class, Recent>,
    /// An entry that comes in parts, by class.
    pub(super) parts: BTreeMap<Class, Parts>,
    /// Whether entries to be sent are being loaded.
    pub(super) loading: bool,
    /// Ctl bytes from a device that shares nothing.
    stranger_bytes: usize,
}

/// Bytes by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credit {
    pub(super) live: u64,
    pub(super) bulk: u64,
}

impl Credit {
    pub(super) fn of(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Bulk => &mut self.bulk,
            Class::Live | Class::Ctl => &mut self.live,
        }
    }

    /// The window that both sides start with.
    pub(super) fn window(class: Class) -> u64 {
        match class {
            Class::Bulk => BULK_WINDOW_BYTES.into(),
            Class::Live | Class::Ctl => LIVE_WINDOW_BYTES.into(),
        }
    }

    /// Credit is given back from this many bytes on: a frame for each entry would double the frames of a mesh.
    pub(super) fn portion(class: Class) -> u64 {
        Credit::window(class) / CREDIT_PORTIONS
    }

    /// What a sender has at least, of whose bytes the receiver has kept all: an entry of any size may go.
    pub(super) fn full(class: Class) -> u64 {
        Credit::window(class) - Credit::portion(class)
    }
}

/// An entry of which some parts are here.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) handle: Handle,
    pub(super) hash: EntryHash,
    pub(super) total: usize,
    pub(super) bytes: Vec<u8>,
    /// How many of them came before, on another link.
    pub(super) before: usize,
    /// Whose entry it is, once enough of it is here to tell.
    pub(super) place: Option<(JournalId, u64)>,
}

impl Link {
    pub(super) fn hello_deadline(&self) -> Option<u64> {
        self.device.is_none().then_some(self.deadline)
    }

    pub(super) fn space(&self, space: SpaceId) -> Option<&SpaceLink> {
        self.spaces.get(self.handles.get(&space)?)
    }

    pub(super) fn space_mut(&mut self, space: SpaceId) -> Option<&mut SpaceLink> {
        self.spaces.get_mut(self.handles.get(&space)?)
    }

    pub(super) fn handle(&self, space: SpaceId) -> Option<Handle> {
        self.handles.get(&space).copied()
    }

    /// Forgets a space; gives what is to be remembered if it is shared again.
    pub(super) fn forget_space(&mut self, space: SpaceId) -> Option<Spent> {
        let handle = self.handles.remove(&space)?;
        let shared = self.spaces.remove(&handle)?;
        Some(Spent { scope: shared.scopes.number, ..shared.spent })
    }

    /// An entry became durable: this peer may need it. Whether it is held back.
    pub(super) fn new_entry(&mut self, space: SpaceId, journal: JournalId, seq: u64) -> bool {
        self.space_mut(space).is_some_and(|shared| shared.new_entry(journal, seq))
    }

    /// Whether the peer knows frames about checkpoints, and floors.
    pub(super) fn takes_checkpoints(&self) -> bool {
        self.takes(wire::feature::CHECKPOINTS)
    }

    /// Whether the peer has said that it knows a feature.
    pub(super) fn takes(&self, feature: u64) -> bool {
        self.theirs.as_ref().is_some_and(|hello| hello.features & feature != 0)
    }

    pub(super) fn their_store(&self) -> Option<crate::id::StoreId> {
        self.theirs.as_ref().map(|hello| hello.store)
    }

    /// What the link is doing, for a person.
    pub(super) fn phase(&self) -> String {
        match (&self.device, self.spaces.len()) {
            (None, _) => "proving devices".into(),
            (Some(_), 0) => "no space in common".into(),
            (Some(_), _) if self.spaces.values().all(SpaceLink::quiet) => "in sync".into(),
            _ => "syncing".into(),
        }
    }

    pub(super) fn nonces(&self) -> Option<([u8; 32], [u8; 32])> {
        Some((self.mine.nonce, self.theirs.as_ref()?.nonce))
    }
}

impl Replica {
    pub(super) fn on_link_up(&mut self, link: LinkId, peer: Vec<u8>, address: String, dialled: bool) {
        if self.links.len() >= LINKS {
            let reason = format!("{LINKS} links are open already");
            self.outputs.push_back(Output::Close { link, reason });
            return;
        }
        let mine = Hello {
            min_version: PROTOCOL_VERSION,
            max_version: PROTOCOL_VERSION,
            features: wire::feature::ALL,
            nonce: self.entropy.array(),
            store: self.identity.store,
            device: self.identity.device,
        };
        let hello = Frame::Hello(mine.clone());
        let window = Credit { live: LIVE_WINDOW_BYTES.into(), bulk: BULK_WINDOW_BYTES.into() };
        let state = Link {
            peer,
            address,
            dialled,
            mine,
            theirs: None,
            device: None,
            deadline: self.now.mono_ms + HELLO_MS,
            sent_tags: None,
            their_tags: BTreeSet::new(),
            spaces: BTreeMap::new(),
            handles: BTreeMap::new(),
            spent: BTreeMap::new(),
            met: false,
            credit: window,
            received: Credit { live: 0, bulk: 0 },
            owed: Credit { live: 0, bulk: 0 },
            sent: BTreeMap::new(),
            came: BTreeMap::new(),
            parts: BTreeMap::new(),
            loading: false,
            stranger_bytes: 0,
        };
        self.links.insert(link, state);
        self.send(link, &hello);
    }

    pub(super) fn on_link_down(&mut self, link: LinkId) {
        let Some(mut state) = self.links.remove(&link) else { return };
        for parts in std::mem::take(&mut state.parts).into_values() {
            if let Some(shared) = state.spaces.get(&parts.handle) {
                self.keep_parts(shared.space, parts);
            }
        }
        if let Some(device) = state.device
            && !state.spaces.is_empty()
            && !self.links.values().any(|other| other.device == Some(device) && !other.spaces.is_empty())
        {
            self.author_left(device);
            self.notify(Event::PeerDown { device });
        }
        for join in self.joins.values_mut() {
            join.link_down(link);
        }
        self.ask_others(link, None);
    }

    /// What was asked of a peer, in one space or in all, is asked of another.
    pub(super) fn ask_others(&mut self, link: LinkId, only: Option<SpaceId>) {
        let mut again = Vec::new();
        for space in self.spaces.values_mut().filter(|space| only.is_none_or(|only| only == space.id)) {
            let lost: Vec<JournalId> =
                space.asked.iter().filter(|(_, asked)| asked.link == link).map(|(journal, _)| *journal).collect();
            for journal in lost {
                space.asked.remove(&journal);
                again.push((space.id, journal));
            }
        }
        for (space, journal) in again {
            self.ask(space, journal);
        }
        self.attesting_link_down(link);
        self.checkpoint_link_down(link);
    }

    /// A peer broke the protocol: its link is closed and nobody else's (I6).
    pub(super) fn fault(&mut self, link: LinkId, fault: &str) {
        if !self.links.contains_key(&link) {
            return;
        }
        self.send(link, &Frame::Goodbye { reason: fault.to_owned() });
        self.outputs.push_back(Output::Close { link, reason: fault.to_owned() });
        self.notify(Event::PeerFault { link, fault: fault.to_owned() });
        self.on_link_down(link);
    }

    pub(super) fn send(&mut self, link: LinkId, frame: &Frame) {
        let class = match frame {
            Frame::RosterOp { .. } | Frame::RosterEnd { .. } | Frame::Grant { .. } => Class::Live,
            _ => Class::Ctl,
        };
        self.send_on(link, class, frame);
    }

    pub(super) fn send_on(&mut self, link: LinkId, class: Class, frame: &Frame) {
        self.outputs.push_back(Output::Send { link, class, frame: frame.encode() });
    }

    pub(super) fn on_frame(&mut self, link: LinkId, class: Class, bytes: &[u8]) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if !state.met {
            state.stranger_bytes += bytes.len();
        }
        let frame = match Frame::decode(class, bytes) {
            Ok(frame) => frame,
            Err(error) => return self.fault(link, &format!("sent a malformed frame: {error}")),
        };
        let proved = state.device.is_some();
        let stranger = !state.met && state.stranger_bytes > STRANGER_BYTES;
        match frame {
            Frame::Hello(hello) => self.on_hello(link, hello),
            Frame::Auth { signature } => self.on_auth(link, &signature),
            Frame::Goodbye { reason } => {
                let reason = format!("the peer said goodbye: {reason}");
                self.outputs.push_back(Output::Close { link, reason });
                self.on_link_down(link);
            }
            _ if !proved => self.fault(link, "sent a frame before it proved its device"),
            _ if stranger && !self.is_joining(link) => self.fault(link, "shares no space and sent too much"),
            Frame::Spaces { tags } => self.on_spaces(link, tags),
            Frame::Credit { class, bytes } => self.on_credit(link, class, bytes),
            Frame::Join { ticket, certificate, mac } => self.on_join(link, ticket, &certificate, &mac),
            Frame::Welcome { ticket, space, mac } => self.on_welcome(link, ticket, space, &mac),
            Frame::Refuse { ticket, reason } => self.on_refuse(link, ticket, &reason),
            Frame::Grant { ticket, last, bytes } => self.on_grant(link, ticket, last, bytes),
            Frame::Entry { handle, bytes } => self.on_entry_frame(link, class, handle, bytes),
            Frame::Next { handle, after, rest } => self.on_next(link, class, handle, after, &rest),
            Frame::Part { handle, hash, total, offset, bytes } => {
                let piece = Piece { handle, hash, total: total as usize, offset: offset as usize };
                self.on_part(link, class, piece, &bytes);
            }
            Frame::CheckpointPiece(piece) => self.on_piece(link, piece),
            other => self.on_space_frame(link, other),
        }
    }

    fn on_hello(&mut self, link: LinkId, hello: Hello) {
        let me = self.identity.transport_peer();
        let keys = self.keys();
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.theirs.is_some() {
            return self.fault(link, "said hello twice");
        }
        if hello.min_version > PROTOCOL_VERSION || hello.max_version < PROTOCOL_VERSION {
            let theirs = format!("{} to {}", hello.min_version, hello.max_version);
            return self.fault(
                link,
                &format!("speaks protocol {theirs}, this device {PROTOCOL_VERSION}: update the older one"),
            );
        }
        if hello.device == state.mine.device {
            return self.fault(
                link,
                "is this very device: its store was copied; delete the copy or run `farshore init` there",
            );
        }
        let message = wire::auth_message(&me, &state.peer, &state.mine, &hello);
        state.theirs = Some(hello);
        let signature = keys.sign(AUTH_LABEL, &message);
        self.send(link, &Frame::Auth { signature });
    }

    fn on_auth(&mut self, link: LinkId, signature: &[u8; 64]) {
        let me = self.identity.transport_peer();
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(theirs) = state.theirs.as_ref().filter(|_| state.device.is_none()) else {
            return self.fault(link, "proved its device out of turn");
        };
        let message = wire::auth_message(&state.peer, &me, theirs, &state.mine);
        if !keys::verify(&theirs.device.0, AUTH_LABEL, &message, signature) {
            return self.fault(link, "could not prove the device that it claims to be");
        }
        let device = theirs.device;
        state.device = Some(device);
        let (peer, address) = (state.peer.clone(), if state.dialled { state.address.clone() } else { String::new() });
        let mut new = false;
        for space in self.spaces.values_mut().filter(|space| space.roster.role_of(&device).is_some()) {
            let known = space.peers.entry(device).or_default();
            known.dirty |= known.peer_id != peer;
            known.peer_id.clone_from(&peer);
            new |= known.met_at(&address);
        }
        self.peers_met(new);
        self.keep_peers();
        self.send_tags(link);
        self.joins_on_link(link, device);
    }

    /// Says which spaces this device has, in tags that only those who have them too can read.
    pub(super) fn send_tags(&mut self, link: LinkId) {
        let Some(nonces) = self.links.get(&link).filter(|state| state.device.is_some()).and_then(Link::nonces) else {
            return;
        };
        let (mine, theirs) = nonces;
        let offered = self.spaces.values().filter(|space| self.offers(space.id));
        let keys = offered.flat_map(|space| space.keys.values());
        let mut tags: Vec<[u8; 16]> = keys.map(|key| seal::discovery_tag(key, &mine, &theirs)).collect();
        tags.sort_unstable();
        tags.truncate(SPACE_TAGS);
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.sent_tags.as_ref() != Some(&tags) {
            state.sent_tags = Some(tags.clone());
            self.send(link, &Frame::Spaces { tags });
        }
        self.match_spaces(link);
    }

    fn on_spaces(&mut self, link: LinkId, tags: Vec<[u8; 16]>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.their_tags = tags.into_iter().collect();
        let Some((mine, theirs)) = state.nonces() else { return };
        // What the peer no longer offers is no longer shared.
        let offered = |space: &SpaceId| {
            let mut keys = self.spaces.get(space).into_iter().flat_map(|known| known.keys.values());
            keys.any(|key| state.their_tags.contains(&seal::discovery_tag(key, &theirs, &mine)))
        };
        let gone: Vec<SpaceId> = state.handles.keys().copied().filter(|space| !offered(space)).collect();
        for space in gone {
            self.withdraw(link, space);
        }
        self.match_spaces(link);
    }

    /// Finds the spaces that both sides have and starts the exchange of those that are new on this link.
    fn match_spaces(&mut self, link: LinkId) {
        let Some(state) = self.links.get(&link) else { return };
        let (Some(nonces), Some(device)) = (state.nonces(), state.device) else { return };
        let (mine, theirs) = nonces;
        let mut fresh = Vec::new();
        let new = |space: &&Space| !state.handles.contains_key(&space.id) && self.offers(space.id);
        for space in self.spaces.values().filter(new) {
            let common =
                space.keys.values().filter(|key| state.their_tags.contains(&seal::discovery_tag(key, &theirs, &mine)));
            // Both sides find the same epochs in common, and name the space by the least of the same tags.
            let tags = common.map(|key| seal::discovery_tag(key, &mine.min(theirs), &mine.max(theirs)));
            if let Some(tag) = tags.min() {
                let mut handle = [0; 8];
                handle.copy_from_slice(&tag[..8]);
                fresh.push((Handle(handle), space.id));
            }
        }
        if state.spaces.is_empty() && !fresh.is_empty() {
            self.notify(Event::PeerUp { device, link });
        }
        for (handle, space) in fresh {
            let me = self.device();
            if let Some(state) = self.links.get_mut(&link) {
                let spent = state.spent.remove(&space).unwrap_or_default();
                let scopes = Scopes::new(me, device, spent.scope);
                state.handles.insert(space, handle);
                state.spaces.insert(handle, SpaceLink::new(space, scopes, spent));
                state.met = true;
            }
            if !self.say_scope(link, space) {
                self.send_state(link, space, true);
            }
        }
    }

    fn on_credit(&mut self, link: LinkId, class: Class, bytes: u32) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let credit = state.credit.of(class);
        *credit = (*credit + u64::from(bytes)).min(Credit::window(class));
        self.serve(link);
    }

    /// Counts what came against the window; a peer that sends more than it was granted is faulted.
    pub(super) fn count_received(&mut self, source: Source) -> bool {
        let Some(state) = self.links.get_mut(&source.link) else { return false };
        let received = state.received.of(source.class);
        *received += u64::from(source.bytes);
        // One entry larger than the window may be under way when nothing else is, but what was not given back yet.
        let largest = ENTRY_BYTES as u64 + Credit::portion(source.class);
        if *received > Credit::window(source.class).max(largest) {
            self.fault(source.link, "sent more than it was granted");
            return false;
        }
        true
    }

    /// Lets the peer send as many bytes again: said when it is enough to be worth a frame.
    pub(super) fn give_back_credit(&mut self, source: Source) {
        let Some(state) = self.links.get_mut(&source.link) else { return };
        let owed = state.owed.of(source.class);
        *owed += u64::from(source.bytes);
        if *owed < Credit::portion(source.class) {
            return;
        }
        let bytes = std::mem::take(owed);
        let received = state.received.of(source.class);
        *received = received.saturating_sub(bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.send(source.link, &Frame::Credit { class: source.class, bytes });
    }
}
