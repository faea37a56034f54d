//! Entries in parts: put together, kept over a cut, and gone on with from whomever holds them.
//!
//! Every part names its entry by its hash. When a link goes down, the beginning of an entry that it carried stays in memory; the
//! rest is asked for by hash and offset, of the same peer or of another. Whether the whole is right is told by its own hashes
//! and signature. If it is not, nobody knows whose bytes are wrong: it is asked for anew, whole, and then its sender answers for it.

use super::Replica;
use super::link::Parts;
use super::space::{Partial, Source};
use crate::entry::Entry;
use crate::id::{EntryHash, JournalId, SpaceId};
use crate::input::{Class, LinkId};
use crate::limits::ENTRY_BYTES;
use crate::wire::Handle;

/// What a part says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) handle: Handle,
    pub(super) hash: EntryHash,
    pub(super) total: usize,
    pub(super) offset: usize,
}

impl Replica {
    pub(super) fn on_part(&mut self, link: LinkId, class: Class, piece: Piece, bytes: &[u8]) {
        let source = Source::new(link, class, bytes.len(), self.now.mono_ms);
        if !self.count_received(source) {
            return;
        }
        if piece.offset == 0 {
            let Piece { handle, hash, total, .. } = piece;
            let parts = Parts { handle, hash, total, bytes: Vec::new(), before: 0, place: None };
            self.links.get_mut(&link).and_then(|state| state.parts.insert(class, parts));
        } else if !self.under_way(link, class, piece) && !self.resume(link, class, piece) {
            return match self.asked_rest(link, piece) {
                true => self.give_back_credit(source), // It came from elsewhere meanwhile.
                false => self.fault(link, "sent the middle of an entry without its beginning"),
            };
        }
        let Some(parts) = self.links.get_mut(&link).and_then(|state| state.parts.get_mut(&class)) else { return };
        let fits = parts.bytes.len() == piece.offset
            && (parts.handle, parts.hash, parts.total) == (piece.handle, piece.hash, piece.total)
            && piece.total <= ENTRY_BYTES
            && !bytes.is_empty()
            && parts.bytes.len() + bytes.len() <= piece.total;
        if !fits {
            return self.fault(link, "sent parts of an entry that do not fit together");
        }
        parts.bytes.extend_from_slice(bytes);
        if parts.place.is_none() {
            parts.place = place_of(&parts.bytes);
        }
        let (whole, place) = (parts.bytes.len() == parts.total, parts.place);
        match (whole, self.shared_space(link, piece.handle)) {
            (true, _) => self.put_together(link, class),
            (false, Some(space)) => self.still_coming(space, link, place),
            (false, None) => {}
        }
    }

    fn under_way(&self, link: LinkId, class: Class, piece: Piece) -> bool {
        let parts = self.links.get(&link).and_then(|state| state.parts.get(&class));
        parts.is_some_and(|parts| parts.hash == piece.hash)
    }

    fn asked_rest(&self, link: LinkId, piece: Piece) -> bool {
        let shared = self.links.get(&link).and_then(|state| state.spaces.get(&piece.handle));
        shared.is_some_and(|shared| shared.rests.contains(&piece.hash))
    }

    /// Goes on with an entry whose beginning is here, if it was asked for at this offset.
    fn resume(&mut self, link: LinkId, class: Class, piece: Piece) -> bool {
        if !self.asked_rest(link, piece) {
            return false;
        }
        let Some(space) = self.shared_space(link, piece.handle) else { return false };
        let Some(known) = self.spaces.get_mut(&space) else { return false };
        let is_it = |partial: &Partial| {
            (partial.hash, partial.total, partial.bytes.len()) == (piece.hash, piece.total, piece.offset)
        };
        let Some(journal) = known.partials.iter().find(|(_, partial)| is_it(partial)).map(|(id, _)| *id) else {
            return false;
        };
        let Some(Partial { seq, hash, total, bytes }) = known.partials.remove(&journal) else { return false };
        let (before, place) = (bytes.len(), Some((journal, seq)));
        let parts = Parts { handle: piece.handle, hash, total, bytes, before, place };
        self.links.get_mut(&link).and_then(|state| state.parts.insert(class, parts));
        true
    }

    /// An entry on its way in parts is no reason to ask elsewhere.
    fn still_coming(&mut self, space: SpaceId, link: LinkId, place: Option<(JournalId, u64)>) {
        let now_ms = self.now.mono_ms;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let asked = place.and_then(|(journal, _)| known.asked.get_mut(&journal));
        if let Some(asked) = asked.filter(|asked| asked.link == link) {
            asked.since_ms = now_ms;
        }
    }

    /// All parts of an entry are here.
    fn put_together(&mut self, link: LinkId, class: Class) {
        let Some(parts) = self.links.get_mut(&link).and_then(|state| state.parts.remove(&class)) else { return };
        let resumed = parts.before > 0;
        let source = Source::new(link, class, parts.total - parts.before, self.now.mono_ms);
        let source = Source { resumed, ..source };
        let Some(space) = self.shared_space(link, parts.handle) else { return self.give_back_credit(source) };
        if Entry::peek(&parts.bytes).is_none_or(|(_, hash)| hash != parts.hash) && !resumed {
            return self.fault(link, "sent parts of another entry than they name");
        }
        match Entry::decode(parts.bytes) {
            Ok(entry) if entry.hash == parts.hash => return self.on_entry(space, source, entry),
            Err(error) if !resumed => return self.fault(link, &format!("sent a malformed entry: {error}")),
            _ => {} // Whose bytes are wrong is not known.
        }
        self.give_back_credit(source);
        if let Some((journal, _)) = parts.place
            && let Some(known) = self.spaces.get_mut(&space)
        {
            known.asked.remove(&journal);
            self.ask(space, journal);
        }
    }

    /// A link is gone in the middle of an entry: what came of it is kept, if it is the next of its journal.
    pub(super) fn keep_parts(&mut self, space: SpaceId, parts: Parts) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Parts { hash, total, bytes, place, .. } = parts;
        if let Some((journal, seq)) = place {
            known.keep_partial(journal, Partial { seq, hash, total, bytes });
        }
    }
}

/// Whose entry begins with these bytes.
fn place_of(bytes: &[u8]) -> Option<(JournalId, u64)> {
    Entry::peek(bytes).map(|(header, _)| (header.journal, header.seq))
}
