//! Entries from peers, from the frame to the batch.
//!
//! In order: form, place in the journal, roster heads and role (here, cheap); signature, unsealing (a job); then the store. An
//! entry that does not follow the last one is refused and asked for again, never buffered.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::space::{Arrived, Asked, Journal, Source, Space, Unstored};
use super::turn::take_unopened;
use super::work::remember;
use super::{JobPurpose, Replica};
use crate::breakage::Breakage;
use crate::entry::Entry;
use crate::id::{CollectionTag, JournalId, Position, SpaceId};
use crate::input::LinkId;
use crate::job::{Job, OpenTask, Opened};
use crate::limits::{ASK_MS, JOURNALS, ONE_COMMIT_BYTES, OPENED_BYTES};
use crate::wire::Frame;

pub(super) const FORGED: &str = "sent an entry whose signature or hash is wrong";

/// What is to be done with an entry that came.
enum Verdict {
    Accept,
    /// Held already, or being checked: harmless.
    Duplicate,
    /// At the place of the last entry held, and another one: if its signature is right, the journal is forked.
    Fork,
    /// At an earlier place: harmless if it is what is held there.
    Earlier,
    /// At the next place, and it follows another entry than the last one held: of another branch.
    Stray,
    /// Does not follow what is held: ask for what lies between.
    Gap,
    /// This device has yet to learn the roster that it cites.
    UnknownRoster,
    /// The journal is closed: nothing after its end counts.
    Closed,
    /// Its sender broke a rule that every honest peer checks.
    Fault(String),
}

impl Replica {
    /// Takes a whole entry from a link.
    pub(super) fn on_entry(&mut self, space: SpaceId, source: Source, entry: Entry) {
        let shared = self.links.get(&source.link).and_then(|state| state.space(space));
        if shared.is_some_and(|shared| !shared.scopes.accepts(&entry.header.journal)) {
            // It was under way when this device said that it no longer wants it.
            return self.give_back_credit(source);
        }
        let own = (entry.header.journal.device, entry.header.journal.incarnation)
            == (self.device(), self.identity.incarnation);
        let Some(known) = self.spaces.get(&space) else { return };
        let (journal, seq) = (entry.header.journal, entry.header.seq);
        let held_by_peer = (journal, seq);
        let verdict = match judge(known, &entry) {
            Verdict::Fault(_) if self.breaks(Breakage::SkipRoleCheck) => Verdict::Accept,
            verdict => verdict,
        };
        if own && matches!(verdict, Verdict::Accept | Verdict::Closed | Verdict::Stray) {
            // Somebody holds an entry of this very life of the store that the store does not: it was copied or rolled back.
            // Only this device's own signature proves it: on a mere claim anybody could make it start new lives without end.
            if !entry.verify() {
                return self.fault(source.link, FORGED);
            }
            self.own_journal_ahead(space, "a peer holds entries of this device that its store does not");
        }
        let Some(known) = self.spaces.get_mut(&space) else { return };
        match verdict {
            Verdict::Fault(fault) => self.fault(source.link, &fault),
            Verdict::Accept => {
                let state = known.journals.entry(journal).or_insert_with(Journal::empty);
                (state.receiving, state.from) = (entry.position(), Some(source.link));
                state.cites.clone_from(&entry.header.roster_heads);
                if let Some(asked) = known.asked.get_mut(&journal) {
                    asked.since_ms = self.now.mono_ms;
                }
                known.partials.remove(&journal);
                known.unopened.push_back(Arrived { entry: Arc::new(entry), source });
                self.peer_holds(source.link, space, held_by_peer);
                self.open_next(space);
            }
            Verdict::Duplicate => {
                self.peer_holds(source.link, space, held_by_peer);
                self.came_again(source.link, space, journal);
                self.give_back_credit(source);
            }
            Verdict::Gap => {
                self.give_back_credit(source);
                self.offered(source.link, space, journal, seq);
                self.ask(space, journal);
            }
            Verdict::UnknownRoster => {
                self.give_back_credit(source);
                self.offered(source.link, space, journal, seq);
                self.start_roster_exchange(source.link, space);
            }
            Verdict::Fork => self.check_proof(space, source, Arc::new(entry)),
            Verdict::Earlier => {
                self.came_again(source.link, space, journal);
                self.compare_entry(space, source, Arc::new(entry));
            }
            Verdict::Stray => {
                self.give_back_credit(source);
                // What it follows, and was not kept here, is the proof.
                let before = Position { seq: seq - 1, hash: entry.header.prev };
                self.ask_proofs(source.link, space, &[(journal, before)]);
            }
            Verdict::Closed => self.give_back_credit(source),
        }
    }

    /// Starts the next open job of a space, if none runs.
    pub(super) fn open_next(&mut self, space: SpaceId) {
        let now_ms = self.now.mono_ms;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        if known.opening || known.unopened.is_empty() {
            return;
        }
        known.opening = true;
        let taken = take_unopened(known, now_ms);
        if taken.is_empty() {
            known.opening = false;
            return;
        }
        let mut tasks = Vec::with_capacity(taken.len());
        let mut sources = Vec::with_capacity(taken.len());
        for Arrived { entry, source } in taken {
            let key = known.keys.get(&entry.header.epoch).cloned();
            tasks.push(OpenTask { entry, verify: true, key });
            sources.push(source);
        }
        self.job(Job::Open(tasks), JobPurpose::Ingest { space, sources });
    }

    pub(super) fn on_ingested(&mut self, space: SpaceId, sources: Vec<Source>, opened: Vec<Opened>) {
        let (now_ms, wall_ms) = (self.now.mono_ms, self.now.wall_ms);
        let early = self.breaks(Breakage::ReceiptBeforeCommit);
        let mut touched: BTreeSet<CollectionTag> = BTreeSet::new();
        let mut bytes = 0;
        let mut forged = Vec::new();
        for (opened, source) in opened.into_iter().zip(sources) {
            let Some(known) = self.spaces.get_mut(&space) else { return };
            let entry = Arc::clone(&opened.entry);
            let id = entry.header.journal;
            if !opened.genuine {
                forged.push((source, id));
                continue;
            }
            if !known.journals.get(&id).is_some_and(|journal| follows(&journal.state.held, &entry)) {
                self.give_back_credit(source);
                continue; // An entry before it was forged; the link that brought the forgery is closed below.
            }
            let arrival = known.next_arrival();
            if let Some(journal) = known.journals.get_mut(&id) {
                journal.state.held = entry.position();
                journal.state.arrival = arrival;
                journal.state.cites.clone_from(&entry.header.roster_heads);
            }
            self.clock.observe(entry.header.time, wall_ms);
            bytes += entry.as_bytes().len();
            // It is sent to nobody before it is durable; but who sends it again shall not cost a look into the store.
            self.recent.put(space, Arc::clone(&entry));
            remember(known, opened, OPENED_BYTES);
            known.entry_opened(&entry, source.class, now_ms);
            let work = known.collections.entry(id.collection).or_default();
            work.unapplied.insert(id);
            work.count_entry(entry.as_bytes().len());
            let (link, seq) = (source.link, entry.header.seq);
            work.unstored.push(Unstored { entry, arrival, source });
            touched.insert(id.collection);
            if early {
                self.owe_receipt(link, space, id, seq);
                self.send_receipts();
            }
        }
        for (source, journal) in forged {
            self.reset_receiving(space, journal);
            match source.resumed {
                true => self.give_back_credit(source), // Whose bytes are wrong is not known: it was asked for anew, whole.
                false => self.fault(source.link, FORGED),
            }
        }
        if let Some(known) = self.spaces.get_mut(&space) {
            known.opening = false;
        }
        for collection in touched {
            if bytes > ONE_COMMIT_BYTES {
                // Bulk: durable, credited and receipted at once; applied when its turn comes.
                self.flush(space, collection);
            }
            self.pump(space, collection);
        }
        self.open_next(space);
    }

    pub(super) fn on_ingest_panicked(&mut self, space: SpaceId, sources: &[Source]) {
        let links: BTreeSet<LinkId> = sources.iter().map(|source| source.link).collect();
        if let Some(known) = self.spaces.get_mut(&space) {
            known.opening = false;
            known.unopened.clear();
            known.journals.values_mut().for_each(Journal::reset_receiving);
        }
        for link in links {
            self.fault(link, "sent entries that could not be opened");
        }
    }

    /// What follows a forgery in its journal, and is still waiting, follows nothing.
    fn reset_receiving(&mut self, space: SpaceId, id: JournalId) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        if let Some(journal) = known.journals.get_mut(&id) {
            journal.reset_receiving();
            if journal.state.held == Position::START {
                // Nobody wrote in it: forged journals must not count towards what a space may have.
                known.journals.remove(&id);
            }
        }
        let (dropped, kept): (Vec<_>, Vec<_>) =
            known.unopened.drain(..).partition(|arrived| arrived.entry.header.journal == id);
        known.unopened.extend(kept);
        known.asked.remove(&id);
        for arrived in dropped {
            self.give_back_credit(arrived.source);
        }
        self.ask(space, id);
    }

    /// Asks one linked peer that holds more of a journal than this device for what is missing.
    pub(super) fn ask(&mut self, space: SpaceId, journal: JournalId) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let from = known.journals.get(&journal).map_or(0, |journal| journal.receiving.seq) + 1;
        if known.journals.get(&journal).is_some_and(|journal| journal.state.closed)
            || known.checkpoint_brings(&journal.collection)
        {
            return;
        }
        if let Some(asked) = known.asked.get(&journal) {
            if asked.to >= from && self.links.contains_key(&asked.link) {
                return;
            }
            known.asked.remove(&journal);
        }
        let best = self
            .links
            .iter()
            .filter_map(|(link, state)| Some((*link, state.space(space)?.offers_from(&journal, from)?)))
            .max_by_key(|(link, to)| (*to, std::cmp::Reverse(*link)));
        let Some((link, to)) = best else { return };
        self.ask_of(link, space, journal, from, to);
    }

    fn ask_of(&mut self, link: LinkId, space: SpaceId, journal: JournalId, from: u64, to: u64) {
        let since_ms = self.now.mono_ms;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        known.asked.insert(journal, Asked { link, to, since_ms });
        self.check_asked_at.get_or_insert(since_ms + ASK_MS);
        let Some(handle) = self.links.get(&link).and_then(|state| state.handle(space)) else { return };
        let ranges = vec![known.range(journal, from, to)];
        self.note_asked(link, space, &ranges);
        self.send(link, &Frame::Want { handle, more: false, ranges });
    }

    /// What a peer was asked for and did not send in time is asked of another that offers it, or of the same one if there is no
    /// other. What the first may still send is a duplicate, which is harmless.
    pub(super) fn ask_elsewhere(&mut self) {
        let now_ms = self.now.mono_ms;
        self.check_asked_at = None;
        let late = |asked: &Asked| asked.since_ms + ASK_MS <= now_ms;
        let due: Vec<(SpaceId, JournalId, LinkId)> = self
            .spaces
            .values()
            .flat_map(|space| {
                space.asked.iter().filter(|(_, asked)| late(asked)).map(|(id, a)| (space.id, *id, a.link))
            })
            .collect();
        for (space, journal, slow) in due {
            let Some(known) = self.spaces.get(&space) else { continue };
            let from = known.journals.get(&journal).map_or(0, |journal| journal.receiving.seq) + 1;
            let links = self.links.iter();
            let offers =
                links.filter_map(|(link, state)| Some((*link, state.space(space)?.offers_from(&journal, from)?)));
            if let Some((link, to)) = offers.max_by_key(|(link, to)| (*link != slow, *to)) {
                self.ask_of(link, space, journal, from, to);
            }
        }
        let loading = self.check_loading();
        if loading || self.spaces.values().any(|space| !space.asked.is_empty()) {
            self.check_asked_at = Some(now_ms + ASK_MS);
        }
        let (late, repeats) = (self.breaks(Breakage::AskLate), self.breaks(Breakage::RepeatFrontiers));
        for (link, space) in if late || repeats { self.shared_spaces() } else { Vec::new() } {
            if repeats {
                self.send_frontier(link, space, super::frontier::Reach::Since(0));
                self.check_asked_at = Some(now_ms + ASK_MS);
            }
            let shared = self.links.get(&link).and_then(|state| state.space(space)).filter(|_| late);
            for journal in shared.map(|shared| shared.lacking_journals()).unwrap_or_default() {
                self.ask(space, journal);
            }
        }
    }

    /// A peer shows this device's present journal ahead of the store, or different: this store is a copy or was restored.
    pub(super) fn own_journal_ahead(&mut self, space: SpaceId, reason: &str) {
        self.start_incarnation(reason);
        let collections: Vec<_> =
            self.spaces.get(&space).map(|s| s.collections.keys().copied().collect()).unwrap_or_default();
        for collection in collections {
            self.pump(space, collection);
        }
    }
}

fn follows(held: &Position, entry: &Entry) -> bool {
    entry.header.seq == held.seq + 1 && entry.header.prev == held.hash
}

/// Everything that can be said of an entry without a key and without its signature.
fn judge(space: &Space, entry: &Entry) -> Verdict {
    let header = &entry.header;
    if header.space != space.id {
        return Verdict::Fault("sent an entry of another space".into());
    }
    if let Some(journal) = space.journals.get(&header.journal) {
        if journal.state.closed {
            return Verdict::Closed;
        }
        if header.seq <= journal.receiving.seq {
            return match header.seq == journal.receiving.seq {
                true if entry.hash == journal.receiving.hash => Verdict::Duplicate,
                // What came first has yet to be checked: a forgery is no evidence against the author. Its sender is closed
                // over it then, and this one is asked for again.
                true if journal.state.held.seq < header.seq => Verdict::Gap,
                true => Verdict::Fork,
                false => Verdict::Earlier,
            };
        }
        if header.seq > journal.receiving.seq + 1 {
            return Verdict::Gap;
        }
        if !follows(&journal.receiving, entry) {
            return Verdict::Stray; // The branch that came first stays.
        }
    } else if space.journals.len() >= JOURNALS {
        return Verdict::Fault(format!("opened more than {JOURNALS} journals in the space"));
    } else if header.seq != 1 {
        return Verdict::Gap;
    }
    match space.roster.role_at(&header.roster_heads, &header.journal.device) {
        Err(_) => Verdict::UnknownRoster,
        Ok(Some(role)) if role.can_write() => {
            let before = space.journals.get(&header.journal).map_or(&[][..], |journal| &journal.cites);
            match before == header.roster_heads || space.roster.is_at_or_after(&header.roster_heads, before) == Ok(true)
            {
                true => Verdict::Accept,
                false => Verdict::Fault("sent an entry that cites less of the roster than the one before it".into()),
            }
        }
        Ok(Some(role)) => {
            Verdict::Fault(format!("sent an entry by a device whose role is {role}, which may not write"))
        }
        Ok(None) => Verdict::Fault("sent an entry by a device that is not a member of the space".into()),
    }
}
