//! Forks: an author who signed two entries at one place of a journal, by malice or because his store was copied.
//!
//! What a peer claims to hold is compared with what is held here. A claim proves nothing: the entry is asked for, and its
//! author's signature decides. Of one's own present journal the proof begins a new incarnation. Of any journal the first proof
//! is kept beside what is held, and shown; which branch counts does not change here: the one that came first stays.

use std::sync::Arc;

use super::durable::Effect;
use super::ingest::FORGED;
use super::space::Source;
use super::{JobPurpose, LoadPurpose, Replica};
use crate::batch::{Load, StoreOp};
use crate::entry::Entry;
use crate::id::{EntryHash, JournalId, Position, SpaceId};
use crate::input::LinkId;
use crate::job::{Job, OpenTask, Opened};
use crate::limits::FORK_CHECKS;
use crate::output::Event;
use crate::wire::{Frame, Of, Range};

impl Replica {
    /// Compares the ends that a peer's frontier names with what is held there.
    pub(super) fn compare_branches(&mut self, link: LinkId, space: SpaceId, positions: &[(JournalId, Position)]) {
        let Some(known) = self.spaces.get(&space) else { return };
        let (mut differ, mut look_up) = (Vec::new(), Vec::new());
        for (id, position) in positions {
            let Some(journal) = known.journals.get(id) else { continue };
            // A journal that was closed ends in a zero hash; of a forked one the proof is here already.
            let known_fork = journal.state.closed || journal.state.fork != Position::START;
            if known_fork || position.hash == Position::START.hash || position.seq > journal.durable.seq {
                continue;
            }
            if position.seq == journal.durable.seq {
                if position.hash != journal.durable.hash {
                    differ.push((*id, *position));
                }
            } else if self.recent.get(space, *id, position.seq).is_none_or(|held| held.hash != position.hash) {
                look_up.push((*id, *position));
            }
        }
        self.ask_proofs(link, space, &differ);
        look_up.truncate(FORK_CHECKS);
        if !look_up.is_empty() {
            let places = look_up.iter().map(|(id, position)| (*id, position.seq)).collect();
            self.load(Load::Hashes { space, places }, LoadPurpose::Compare { link, space, claims: look_up });
        }
    }

    pub(super) fn on_compared(
        &mut self,
        link: LinkId,
        space: SpaceId,
        claims: &[(JournalId, Position)],
        hashes: &[Vec<EntryHash>],
    ) {
        let held = claims.iter().zip(hashes);
        let differ = held.filter(|((_, position), here)| !here.is_empty() && !here.contains(&position.hash));
        let differ: Vec<_> = differ.map(|(claim, _)| *claim).collect();
        self.ask_proofs(link, space, &differ);
    }

    /// Asks a peer for entries of other branches, by their hashes.
    pub(super) fn ask_proofs(&mut self, link: LinkId, space: SpaceId, claims: &[(JournalId, Position)]) {
        let Some(known) = self.spaces.get(&space) else { return };
        let Some(handle) = self.links.get(&link).and_then(|state| state.handle(space)) else { return };
        let forked = |id: &JournalId| known.journals.get(id).is_none_or(|j| j.state.fork != Position::START);
        let unproved = claims.iter().filter(|(id, position)| position.seq > 0 && !forked(id));
        let ranges: Vec<Range> = unproved
            .take(FORK_CHECKS)
            .map(|(journal, at)| Range { journal: *journal, from: at.seq, to: at.seq, of: Of::Entry(at.hash) })
            .collect();
        if !ranges.is_empty() {
            self.send(link, &Frame::Want { handle, more: false, ranges });
        }
    }

    /// An entry came whose place was passed: looks up whether it is the one that is held there.
    pub(super) fn compare_entry(&mut self, space: SpaceId, source: Source, entry: Arc<Entry>) {
        let (id, position) = (entry.header.journal, entry.position());
        let recent = self.recent.get(space, id, position.seq).is_some_and(|held| held.hash == position.hash);
        if recent || self.fork_known(space, &id) {
            return self.not_a_fork(space, source, &entry);
        }
        let load = Load::Hashes { space, places: vec![(id, position.seq)] };
        self.load(load, LoadPurpose::CompareEntry { space, source, entry });
    }

    pub(super) fn on_compared_entry(
        &mut self,
        space: SpaceId,
        source: Source,
        entry: Arc<Entry>,
        hashes: &[Vec<EntryHash>],
    ) {
        // What is being checked or stored at this moment is not found; if it differs, another meeting shows it.
        let differs = hashes.first().is_some_and(|here| !here.is_empty() && !here.contains(&entry.hash));
        match differs {
            true => self.check_proof(space, source, entry),
            false => self.not_a_fork(space, source, &entry),
        }
    }

    fn not_a_fork(&mut self, space: SpaceId, source: Source, entry: &Entry) {
        self.peer_holds(source.link, space, (entry.header.journal, entry.header.seq));
        self.give_back_credit(source);
    }

    fn fork_known(&self, space: SpaceId, journal: &JournalId) -> bool {
        let journals = self.spaces.get(&space).map(|known| &known.journals);
        journals.and_then(|all| all.get(journal)).is_some_and(|journal| journal.state.fork != Position::START)
    }

    /// An entry stands where another is held: its signature decides whether that proves a fork.
    pub(super) fn check_proof(&mut self, space: SpaceId, source: Source, entry: Arc<Entry>) {
        if self.fork_known(space, &entry.header.journal) {
            return self.give_back_credit(source);
        }
        let task = OpenTask { entry, verify: true, key: None };
        self.job(Job::Open(vec![task]), JobPurpose::Proof { space, source });
    }

    pub(super) fn on_proof(&mut self, space: SpaceId, source: Source, opened: Vec<Opened>) {
        for Opened { entry, genuine, .. } in opened {
            match genuine {
                true => self.fork_proved(space, source, &entry),
                false if source.resumed => self.give_back_credit(source),
                false => self.fault(source.link, FORGED),
            }
        }
    }

    fn fork_proved(&mut self, space: SpaceId, source: Source, entry: &Entry) {
        let (journal, position) = (entry.header.journal, entry.position());
        if self.fork_known(space, &journal) {
            return self.give_back_credit(source);
        }
        // The journal's state speaks of entries that may not be in a batch yet: they come first.
        self.flush(space, journal.collection);
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(state) = known.journals.get_mut(&journal) else { return };
        state.state.fork = position;
        let mut ops = vec![StoreOp::PutEntry { space, journal, position, bytes: entry.as_bytes().to_vec() }];
        ops.extend(known.journal_op(journal));
        let event = Event::ForkDetected { space, journal, seq: position.seq };
        self.store(ops, vec![Effect::Notify(event), Effect::Credit(source)]);
        if (journal.device, journal.incarnation) == (self.device(), self.identity.incarnation) {
            self.own_journal_ahead(space, "a peer holds another entry of this device than its store does");
        }
    }
}
