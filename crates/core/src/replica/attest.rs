//! Giving one's word for a checkpoint of somebody else: fetch its manifest, survey one's own journals up to the same frontier, compare.

use std::collections::BTreeMap;

use super::link::Link;
use super::space::Source;
use super::{JobPurpose, Replica};
use crate::batch::Slot;
use crate::checkpoint::{Attestation, Contents, SignedHead, Statement, is_attested};
use crate::id::{CollectionTag, JournalId, SpaceId};
use crate::input::LinkId;
use crate::job::{CheckpointJob, Job};
use crate::role::Role;
use crate::seal;
use crate::wire::{Attest, CheckpointPiece, Fetch, Frame};

/// A checkpoint that this device may give its word for.
#[derive(Debug)]
pub(super) struct Attesting {
    slot: Slot,
    signed: SignedHead,
    link: LinkId,
    /// The manifest, as far as it came.
    buffer: Vec<u8>,
}

impl Attesting {
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    /// Bytes of it in memory.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len()
    }
}

impl Replica {
    /// Whether a checkpoint that is held here is not believed yet, and should be shown to whoever could attest it.
    pub(super) fn seeks_attestation(&self, space: SpaceId) -> bool {
        let Some(known) = self.spaces.get(&space) else { return false };
        known.checkpoints.values().any(|held| !is_attested(&known.roster, &held.attestations))
    }

    /// A peer has offered a checkpoint: if it is not believed yet and this device's word could help, its manifest is fetched.
    pub(super) fn consider_attesting(&mut self, link: LinkId, space: SpaceId, collection: CollectionTag) {
        let (me, slot) = (self.device(), self.entropy.array());
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(state) = self.links.get(&link) else { return };
        let (Some(handle), Some(shared)) = (state.handle(space), state.space(space)) else { return };
        let Some((signed, attestations)) = shared.offers.get(&collection).cloned() else { return };
        let statement = &signed.head.statement;
        // One at a time, which bounds what is in memory of them; others are offered again at another meeting.
        let busy = known.making.contains_key(&collection) || !known.loading.is_empty() || !known.attesting.is_empty();
        let may = known.roster.role_of(&me).is_some_and(Role::can_write);
        let readable = known.keys.contains_key(&signed.head.epoch) && known.roster.knows(&statement.roster_heads);
        let given = attestations.iter().any(|attestation| attestation.device == me);
        if busy || !may || !readable || given || known.refused.contains(&statement.hash()) {
            return;
        }
        if is_attested(&known.roster, &attestations) || !signed.verify() {
            return;
        }
        let id = signed.id;
        known.attesting.insert(collection, Attesting { slot, signed, link, buffer: Vec::new() });
        self.send(link, &Frame::Fetch(Fetch { handle, id, part: 0, offset: 0, last: 0 }));
    }

    /// Takes a piece of a manifest that was fetched to be attested; says whether it was one.
    pub(super) fn attesting_piece(&mut self, source: Source, space: SpaceId, piece: &CheckpointPiece) -> bool {
        let Some(known) = self.spaces.get_mut(&space) else { return false };
        let is_it = |attesting: &Attesting| attesting.link == source.link && attesting.signed.id == piece.id;
        let found = known.attesting.iter_mut().find(|(_, attesting)| is_it(attesting));
        let Some((collection, attesting)) = found.map(|(collection, attesting)| (*collection, attesting)) else {
            return false;
        };
        let total = attesting.signed.manifest_bytes();
        let fits = piece.part == 0
            && piece.offset as usize == attesting.buffer.len()
            && u64::from(piece.total) == total
            && (attesting.buffer.len() + piece.bytes.len()) as u64 <= total;
        if fits {
            attesting.buffer.extend_from_slice(&piece.bytes);
        }
        if fits && attesting.buffer.len() as u64 == total {
            let (manifest, slot) = (std::mem::take(&mut attesting.buffer), attesting.slot);
            if let Some(key) = known.keys.get(&attesting.signed.head.epoch) {
                let key = seal::content_key(key, &collection);
                let job = CheckpointJob::Open { manifest, key };
                self.job(Job::Checkpoint(Box::new(job)), JobPurpose::Checkpoint { space, collection, slot });
            }
        }
        self.give_back_credit(source);
        true
    }

    /// The manifest is open: if this device holds all of its journals that far, it computes the same for itself.
    pub(super) fn on_attested_manifest(
        &mut self,
        (space, collection, slot): (SpaceId, CollectionTag, Slot),
        contents: Result<Box<Contents>, String>,
    ) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(attesting) = known.attesting.remove(&collection).filter(|attesting| attesting.slot == slot) else {
            return;
        };
        let Ok(contents) = contents else { return };
        let frontier: BTreeMap<JournalId, u64> =
            contents.frontier().into_iter().map(|(id, position)| (id, position.seq)).collect();
        let held = |id: &JournalId, to: u64| {
            known.journals.get(id).is_some_and(|journal| journal.durable_applied >= to && journal.state.floor == 0)
        };
        if frontier.iter().all(|(id, to)| held(id, *to)) {
            self.begin_attesting(space, collection, frontier, attesting.signed.head.statement);
        }
    }

    /// The survey gave what the statement says, or something else.
    pub(super) fn attest(&mut self, space: SpaceId, collection: CollectionTag, claimed: &Statement, found: &Statement) {
        if claimed != found {
            if let Some(known) = self.spaces.get_mut(&space)
                && known.refused.len() < crate::limits::REFUSED_STATEMENTS
            {
                known.refused.insert(claimed.hash());
            }
            return;
        }
        let attestation = Attestation::sign(claimed, &self.keys());
        let takes = |link: &LinkId| self.links.get(link).is_some_and(Link::takes_checkpoints);
        let links: Vec<LinkId> =
            self.shared_spaces().into_iter().filter(|(_, of)| *of == space).map(|(l, _)| l).collect();
        for link in links.into_iter().filter(takes).collect::<Vec<_>>() {
            let Some(handle) = self.links.get(&link).and_then(|state| state.handle(space)) else { continue };
            let statement = claimed.hash();
            self.send(link, &Frame::Attest(Attest { handle, collection, statement, attestation }));
        }
    }

    /// What a link was sending to be attested is given up with it.
    pub(super) fn attesting_link_down(&mut self, link: LinkId) {
        for known in self.spaces.values_mut() {
            known.attesting.retain(|_, attesting| attesting.link != link);
        }
    }
}
