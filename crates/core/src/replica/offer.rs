//! Offering a checkpoint, and sending it: part after part, from where the peer says, within its credit and after all entries.

use super::durable::Effect;
use super::exchange::SpaceLink;
use super::link::Credit;
use super::{LoadPurpose, Replica};
use crate::batch::{Load, Slot, StoreOp};
use crate::bytes::DecodeError;
use crate::checkpoint::SignedHead;
use crate::id::SpaceId;
use crate::input::{Class, LinkId};
use crate::limits::{ATTESTATIONS, OFFERS};
use crate::output::Event;
use crate::role::Role;
use crate::wire::{self, Attest, CheckpointPiece, Fetch, Frame, Offer};

/// A piece frame's own fields, in bytes.
const PIECE_OVERHEAD: usize = 1 + 8 + 32 + 4 + 4 + 4;

/// A checkpoint that a peer is being sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetching {
    pub(super) slot: Slot,
    fetch: Fetch,
}

impl Replica {
    /// Tells a peer of the checkpoints that are here, before it asks for entries.
    pub(super) fn send_offers(&mut self, link: LinkId, space: SpaceId) {
        let Some(known) = self.spaces.get(&space) else { return };
        let Some(state) = self.links.get(&link).filter(|state| state.takes_checkpoints()) else { return };
        let Some(handle) = state.handle(space) else { return };
        if !known.admits(state.device) {
            return;
        }
        let Some(shared) = state.space(space) else { return };
        let wanted = known.checkpoints.iter().filter(|(tag, _)| shared.scopes.theirs.wants(tag));
        let mut held: Vec<_> = wanted.map(|(_, held)| held).collect();
        // Those that save most, if there are more than may be offered.
        held.sort_by_key(|held| {
            let head = &held.signed.head;
            std::cmp::Reverse(head.entry_bytes.saturating_sub(head.chunk_bytes))
        });
        let offers = held.into_iter().take(OFFERS).map(|held| Offer {
            handle,
            head: held.signed.as_bytes().to_vec(),
            attestations: held.attestations.clone(),
        });
        let offers: Vec<Offer> = offers.collect();
        for offer in offers {
            self.send(link, &Frame::Checkpoint(offer));
        }
    }

    pub(super) fn on_offer(&mut self, link: LinkId, space: SpaceId, offer: Offer) {
        let signed = match SignedHead::decode(&offer.head) {
            Ok(signed) => signed,
            Err(DecodeError::Version { .. }) => return, // The journals do as well.
            Err(error) => return self.fault(link, &format!("offered a malformed checkpoint: {error}")),
        };
        if signed.head.statement.space != space {
            return self.fault(link, "offered a checkpoint of another space");
        }
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        let collection = signed.head.statement.collection;
        if shared.offers.len() >= OFFERS && !shared.offers.contains_key(&collection) {
            return;
        }
        let id = signed.id;
        shared.offers.insert(collection, (signed, offer.attestations));
        // The one that this peer was sending is gone there.
        if self.checkpoint_replaced(link, space, collection, id) {
            self.consider_offers(link, space);
        }
        self.consider_attesting(link, space, collection);
    }

    /// A device gives its word for a checkpoint. It is kept beside the others and offered with them.
    pub(super) fn on_attest(&mut self, link: LinkId, space: SpaceId, attest: Attest) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let collection = attest.collection;
        let Some(held) = known.checkpoints.get_mut(&collection) else { return };
        let (statement, device) = (&held.signed.head.statement, attest.attestation.device);
        let writes = known.roster.role_of(&device).is_some_and(Role::can_write);
        let known_word = held.attestations.iter().any(|attestation| attestation.device == device);
        if statement.hash() != attest.statement || !writes || known_word || held.attestations.len() >= ATTESTATIONS {
            return; // Of a checkpoint that was replaced, or a word that changes nothing.
        }
        if !attest.attestation.verify(statement) {
            return self.fault(link, "sent an attestation with a wrong signature");
        }
        held.attestations.push(attest.attestation);
        let (slot, record) = (held.slot, held.whole());
        let attested = Effect::Notify(Event::CheckpointAttested { space, collection, device });
        self.store(vec![StoreOp::PutCheckpoint { space, collection, slot, record }], vec![attested]);
    }

    pub(super) fn on_fetch(&mut self, link: LinkId, space: SpaceId, fetch: Fetch) {
        let Some(known) = self.spaces.get(&space) else { return };
        let Some(state) = self.links.get_mut(&link) else { return };
        if !known.admits(state.device) {
            return self.fault(link, "asked for a checkpoint of a space of which it is not a member");
        }
        let held = known.checkpoints.values().find(|held| held.signed.id == fetch.id);
        let Some(shared) = state.space_mut(space) else { return };
        let Some(held) = held.filter(|held| fetch.last <= held.signed.head.chunks) else {
            shared.fetching = None;
            return self.send_offers(link, space); // It was replaced meanwhile.
        };
        shared.fetching = Some(Fetching { slot: held.slot, fetch });
        self.serve(link);
    }

    /// Reads the next part for a peer that fetches a checkpoint, if there is one and it may be sent about as much.
    pub(super) fn serve_checkpoint(&mut self, link: LinkId) {
        let Some(state) = self.links.get_mut(&link).filter(|state| !state.loading) else { return };
        if state.credit.bulk < Credit::window(Class::Bulk) / 2 {
            return;
        }
        let fetching = |shared: &SpaceLink| shared.fetching.map(|fetching| (shared.space, fetching));
        let Some((space, Fetching { slot, fetch })) = state.spaces.values().find_map(fetching) else { return };
        state.loading = true;
        self.load(
            Load::Part { slot, part: fetch.part },
            LoadPurpose::ServePart { link, space, slot, part: fetch.part },
        );
    }

    pub(super) fn serve_part(
        &mut self,
        link: LinkId,
        space: SpaceId,
        (slot, part): (Slot, u32),
        bytes: Option<Vec<u8>>,
    ) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.loading = false;
        let Some(shared) = state.space_mut(space) else { return };
        // Meanwhile it may have asked for something else.
        let fetching = shared.fetching.filter(|now| now.slot == slot && now.fetch.part == part);
        let Some(Fetching { fetch, .. }) = fetching else { return self.serve(link) };
        let Some(bytes) = bytes.filter(|bytes| (fetch.offset as usize) < bytes.len()) else {
            shared.fetching = None; // It was replaced meanwhile, or is damaged here.
            self.send_offers(link, space);
            return self.serve(link);
        };
        if !self.charge(link, Class::Bulk, bytes.len() - fetch.offset as usize) {
            return; // Tried again when credit comes.
        }
        let Fetch { handle, id, .. } = fetch;
        let (total, mut offset) = (bytes.len() as u32, fetch.offset);
        for piece in bytes[fetch.offset as usize..].chunks(wire::cap(Class::Bulk) - PIECE_OVERHEAD) {
            let piece = CheckpointPiece { handle, id, part, total, offset, bytes: piece.to_vec() };
            offset += piece.bytes.len() as u32;
            self.send_on(link, Class::Bulk, &Frame::CheckpointPiece(piece));
        }
        if let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) {
            let next = Fetch { part: part + 1, offset: 0, ..fetch };
            shared.fetching = (part < fetch.last).then_some(Fetching { slot, fetch: next });
        }
        self.serve(link);
    }
}
