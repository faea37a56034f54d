//! Which collections the two sides of a link want, and so what they compare and send.
//!
//! Each side says what it wants in a `Scope`, by tags, and says nothing while it wants everything alike. What is compared and
//! sent is what both want; and of a collection that one side wants, the journals of the other side's own device, because
//! nobody else may have them. Both sides compute the same set, so their digests can be compared; it has a hash tree of its own
//! while it is not everything (`docs/decisions/015-selection.md`).

use std::collections::BTreeMap;

use super::Replica;
use super::exchange::SpaceLink;
use super::space::Space;
use super::tree::Tree;
use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{CollectionTag, DeviceId, JournalId, SpaceId};
use crate::input::LinkId;
use crate::limits::{FRAME_SCOPES, SCOPE_MS, SCOPE_TAGS, SCOPES_HEARD, SCOPES_HEARD_MS, SCOPES_REMEMBERED};
use crate::subscription::Priority;
use crate::wire::{Frame, Rank};

const AGREED_LABEL: &str = "farshore 2026 agreed scopes v1";

/// What one side wants of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// Of all collections that are not named.
    pub(super) rest: Rank,
    pub(super) named: BTreeMap<CollectionTag, Rank>,
}

impl Default for Scope {
    fn default() -> Scope {
        Scope { rest: Rank::Normal, named: BTreeMap::new() }
    }
}

impl Scope {
    pub(super) fn rank(&self, tag: &CollectionTag) -> Rank {
        self.named.get(tag).copied().unwrap_or(self.rest)
    }

    pub(super) fn wants(&self, tag: &CollectionTag) -> bool {
        self.rank(tag) != Rank::None
    }

    fn wants_all(&self) -> bool {
        self.rest != Rank::None && self.named.values().all(|rank| *rank != Rank::None)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.u8(self.rest.number()).u32(self.named.len() as u32);
        for (tag, rank) in &self.named {
            w.raw(&tag.0).u8(rank.number());
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Scope, DecodeError> {
        let rest = Rank::of(r.u8("rank")?)?;
        let mut named = BTreeMap::new();
        for _ in 0..r.u32("collections")? {
            named.insert(CollectionTag(r.array("collection")?), Rank::of(r.u8("rank")?)?);
        }
        Ok(Scope { rest, named })
    }

    /// Which collections are wanted, without how urgently: that changes nothing of what is compared.
    fn hash_into(&self, hasher: &mut blake3::Hasher) {
        let rest = self.rest != Rank::None;
        let other: Vec<&CollectionTag> =
            self.named.iter().filter(|(_, rank)| (**rank != Rank::None) != rest).map(|(tag, _)| tag).collect();
        hasher.update(&[u8::from(rest)]).update(&(other.len() as u64).to_be_bytes());
        for tag in other {
            hasher.update(&tag.0);
        }
    }
}

/// What the two sides of a link have said that they want of a space.
#[derive(Debug)]
pub(super) struct Scopes {
    me: DeviceId,
    them: DeviceId,
    pub(super) said: Scope,
    pub(super) theirs: Scope,
    /// Numbers of the last scope of each side: a state tells which of the other's it takes into account, and one that crossed with
    /// a scope is known by it.
    pub(super) number: u8,
    pub(super) heard: u8,
    /// Set when the space was shared before on this link: a scope of then may still be under way, so one is said in any case.
    again: bool,
    said_ms: Option<u64>,
    /// A message of several frames.
    coming: Option<Scope>,
    /// The journals that are compared, while they are not all.
    pub(super) tree: Option<Tree>,
}

impl Scopes {
    pub(super) fn new(me: DeviceId, them: DeviceId, number: u8) -> Scopes {
        Scopes {
            me,
            them,
            said: Scope::default(),
            theirs: Scope::default(),
            number,
            heard: 0,
            again: number != 0,
            said_ms: None,
            coming: None,
            tree: None,
        }
    }

    /// Whether a journal is compared and sent on this link. Both sides answer alike.
    pub(super) fn agreed(&self, journal: &JournalId) -> bool {
        match (self.said.wants(&journal.collection), self.theirs.wants(&journal.collection)) {
            (true, true) => true,
            (false, true) => journal.device == self.me,
            (true, false) => journal.device == self.them,
            (false, false) => false,
        }
    }

    /// Whether entries of a journal are taken in: what was said to be wanted, and what a former life of this device wrote.
    pub(super) fn accepts(&self, journal: &JournalId) -> bool {
        journal.device == self.me || self.said.wants(&journal.collection)
    }

    /// Wanted here and not there: the other side sends only what its own device wrote.
    fn one_sided(&self, tag: &CollectionTag) -> bool {
        self.said.wants(tag) && !self.theirs.wants(tag)
    }

    /// How urgently a collection is sent: as the other side wants it, and what is eager here goes before what is normal there.
    pub(super) fn rank(&self, tag: &CollectionTag) -> Rank {
        match (self.theirs.rank(tag), self.said.rank(tag)) {
            (Rank::Normal, Rank::Eager) => Rank::Eager,
            (theirs, _) => theirs,
        }
    }

    fn all(&self) -> bool {
        self.said.wants_all() && self.theirs.wants_all()
    }

    /// Names what is compared, for the cursor: zero while it is everything.
    pub(super) fn digest(&self) -> [u8; 16] {
        let mut out = [0; 16];
        if !self.all() {
            let mut hasher = blake3::Hasher::new_derive_key(AGREED_LABEL);
            self.said.hash_into(&mut hasher);
            self.theirs.hash_into(&mut hasher);
            out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        }
        out
    }

    /// What is shown of a journal has changed.
    pub(super) fn shown_changed(&mut self, space: &Space, id: JournalId) {
        if self.tree.is_some()
            && self.agreed(&id)
            && let (Some(tree), Some(journal)) = (&mut self.tree, space.shown(&id))
        {
            tree.set(id, journal);
        }
    }

    /// Cost: grows with the journals of the space, while what is compared is not everything.
    fn rebuild_tree(&mut self, space: &Space) {
        self.tree = (!self.all()).then(|| {
            let mut tree = Tree::default();
            let shown =
                space.journals.keys().filter(|id| self.agreed(id)).filter_map(|id| Some((*id, space.shown(id)?)));
            shown.for_each(|(id, position)| tree.set(id, position));
            tree
        });
    }
}

/// The hash tree that a link compares.
pub(super) fn tree_of<'a>(shared: &'a mut SpaceLink, space: &'a mut Space) -> &'a mut Tree {
    shared.scopes.tree.as_mut().unwrap_or(&mut space.tree)
}

impl Space {
    /// What this device wants now, as its peers are told.
    pub(super) fn scope_now(&self, metered: bool) -> Scope {
        let rank = |priority: Priority| match priority {
            Priority::Eager => Rank::Eager,
            Priority::Normal => Rank::Normal,
            Priority::Lazy if !metered => Rank::Lazy,
            Priority::Manual if self.manual_asked => Rank::Normal,
            Priority::Lazy | Priority::Manual | Priority::None => Rank::None,
        };
        let subscriptions = &self.local.subscriptions;
        let rest = rank(subscriptions.rest());
        let named = self.catalogue.iter().map(|(tag, definition)| (*tag, rank(subscriptions.of(&definition.name))));
        Scope { rest, named: named.filter(|(_, rank)| *rank != rest).collect() }
    }
}

impl Replica {
    /// Subscriptions, the catalogue or the kind of network have changed: peers are told, if it means something to them.
    pub(super) fn rescope(&mut self, space: SpaceId) {
        let metered = self.metered;
        let Some(known) = self.spaces.get_mut(&space) else { return };
        known.scope = known.scope_now(metered);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.say_scope(link, space);
        }
    }

    /// Says what is wanted, if that is not what was said last, and starts to compare anew; not more often than every
    /// [`SCOPE_MS`]. Tells whether it did.
    pub(super) fn say_scope(&mut self, link: LinkId, space: SpaceId) -> bool {
        let now_ms = self.now.mono_ms;
        let Some(known) = self.spaces.get(&space) else { return false };
        let Some(state) = self.links.get_mut(&link) else { return false };
        let Some(handle) = state.handle(space) else { return false };
        let news = |shared: &&mut SpaceLink| shared.scopes.again || shared.scopes.said != known.scope;
        let Some(shared) = state.space_mut(space).filter(news) else { return false };
        let scopes = &mut shared.scopes;
        if let Some(due_ms) = scopes.said_ms.map(|at| at + SCOPE_MS).filter(|due_ms| *due_ms > now_ms) {
            let due_ms = self.scopes_due_at.map_or(due_ms, |at| at.min(due_ms));
            self.scopes_due_at = Some(due_ms);
            return false;
        }
        scopes.said = known.scope.clone();
        (scopes.said_ms, scopes.again) = (Some(now_ms), false);
        scopes.number = scopes.number.checked_add(1).unwrap_or(1);
        let number = scopes.number;
        let (rest, named): (Rank, Vec<_>) = (scopes.said.rest, scopes.said.named.clone().into_iter().collect());
        let frames = named.len().div_ceil(FRAME_SCOPES).max(1);
        for index in 0..frames {
            let ranks = named.iter().skip(index * FRAME_SCOPES).take(FRAME_SCOPES).copied().collect();
            self.send(link, &Frame::Scope { handle, number, more: index + 1 < frames, rest, ranks });
        }
        self.scopes_changed(link, space);
        true
    }

    /// What could not be said before is said now.
    pub(super) fn say_scopes(&mut self) {
        self.scopes_due_at = None;
        for (link, space) in self.shared_spaces() {
            self.say_scope(link, space);
        }
    }

    pub(super) fn on_scope(
        &mut self,
        link: LinkId,
        space: SpaceId,
        number: u8,
        more: bool,
        (rest, ranks): (Rank, Vec<(CollectionTag, Rank)>),
    ) {
        let now_ms = self.now.mono_ms;
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(device) = state.device else { return };
        let Some(shared) = state.space_mut(space) else { return };
        if shared.scopes.coming.is_none() {
            let (since_ms, count) = &mut shared.spent.scopes;
            if now_ms.saturating_sub(*since_ms) >= SCOPES_HEARD_MS {
                (*since_ms, *count) = (now_ms, 0);
            }
            *count += 1;
            if *count > SCOPES_HEARD {
                return self.fault(link, "changed what it wants over and over");
            }
        }
        let coming = shared.scopes.coming.get_or_insert_default();
        coming.rest = rest;
        coming.named.extend(ranks);
        if coming.named.len() > SCOPE_TAGS {
            return self.fault(link, "named more collections than a space may have");
        }
        if more {
            return;
        }
        shared.scopes.theirs = shared.scopes.coming.take().unwrap_or_default();
        shared.scopes.heard = number;
        let theirs = shared.scopes.theirs.clone();
        self.peer_wants(device, space, theirs);
        self.scopes_changed(link, space);
    }

    /// Remembers what a member wants: its own entries that others do not want do not count as pending for them.
    pub(super) fn peer_wants(&mut self, device: DeviceId, space: SpaceId, theirs: Scope) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let member = known.roster.role_of(&device).is_some();
        if !member || theirs.named.len() > SCOPES_REMEMBERED {
            return; // It is told again at the next meeting.
        }
        let peer = known.peers.entry(device).or_default();
        if peer.wants != theirs {
            (peer.wants, peer.dirty) = (theirs, true);
            self.peer_changed();
        }
    }

    /// What is compared on a link is another part of the space: it is compared anew, and what was asked for and is not wanted
    /// any more is forgotten.
    fn scopes_changed(&mut self, link: LinkId, space: SpaceId) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        let Some(shared) = self.links.get_mut(&link).and_then(|state| state.space_mut(space)) else { return };
        shared.scopes.rebuild_tree(known);
        let scopes = &shared.scopes;
        shared.todo.retain(|id, _| scopes.agreed(id));
        shared.lacking.retain(|id| scopes.agreed(id));
        shared.offered.retain(|id, _| scopes.agreed(id));
        shared.owed.retain(|id, _| scopes.accepts(id));
        shared.cursor = None;
        let wanted = known.scope.clone();
        known.partials.retain(|id, _| id.device == self.identity.device || wanted.wants(&id.collection));
        let asked: Vec<JournalId> =
            known.asked.iter().filter(|(_, asked)| asked.link == link).map(|(id, _)| *id).collect();
        self.stop_unwanted(link, space);
        self.restart_exchange(link, space);
        for journal in asked {
            self.ask(space, journal);
        }
    }

    /// What is shown of a journal has changed: the digests follow.
    pub(super) fn shown_changed(&mut self, space: SpaceId, id: JournalId) {
        let Some(known) = self.spaces.get_mut(&space) else { return };
        known.shown_changed(id);
        for shared in self.links.values_mut().filter_map(|state| state.space_mut(space)) {
            shared.scopes.shown_changed(known, id);
        }
    }

    /// A linked device wrote in a collection that it does not keep up, and built on what is not here: nobody has to have that
    /// but its author, so it is asked of him.
    pub(super) fn ask_what_it_builds_on(&mut self, space: SpaceId, collection: CollectionTag) {
        let Some(known) = self.spaces.get(&space) else { return };
        let Some(work) = known.collections.get(&collection) else { return };
        let mut missing: Vec<(DeviceId, JournalId, u64)> = Vec::new();
        for id in &work.unapplied {
            let Some(journal) = known.journals.get(id) else { continue };
            let opened = journal.opened.get(&(journal.state.applied + 1)).map(|opened| opened.deps.iter());
            let opened = opened.into_iter().flatten().map(|dep| (dep.journal(collection), dep.position.seq));
            let deps = opened.chain(known.blocked(journal)).map(|(dep, seq)| (id.device, dep, seq));
            missing.extend(deps.filter(|(_, dep, seq)| known.journals.get(dep).is_none_or(|j| j.receiving.seq < *seq)));
        }
        for (author, journal, seq) in missing {
            let of_author = self.links.iter().find(|(_, state)| {
                state.device == Some(author) && state.space(space).is_some_and(|s| s.scopes.one_sided(&collection))
            });
            if let Some(link) = of_author.map(|(link, _)| *link) {
                self.offered(link, space, journal, seq);
                self.ask(space, journal);
            }
        }
    }

    /// Collections with entries that wait to be applied, of which the other side of a link sends only what its device wrote.
    pub(super) fn one_sided(&self, link: LinkId, space: SpaceId) -> Vec<CollectionTag> {
        let Some(known) = self.spaces.get(&space) else { return Vec::new() };
        let Some(shared) = self.links.get(&link).and_then(|state| state.space(space)) else { return Vec::new() };
        let waiting = known.collections.iter().filter(|(_, work)| !work.unapplied.is_empty());
        waiting.map(|(tag, _)| *tag).filter(|tag| shared.scopes.one_sided(tag)).collect()
    }

    /// The linked devices hold what was asked for by hand: its collections are left alone again.
    pub(super) fn end_manual(&mut self, space: SpaceId) {
        let Some(known) = self.spaces.get_mut(&space).filter(|known| known.manual_asked) else { return };
        let mut links = self.links.values().filter_map(|state| state.space(space));
        if links.all(|shared| shared.in_sync && shared.scopes.said == known.scope) {
            known.manual_asked = false;
            self.rescope(space);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Incarnation;

    const ME: DeviceId = DeviceId([1; 32]);
    const THEM: DeviceId = DeviceId([2; 32]);

    fn journal(collection: u8, device: u8) -> JournalId {
        let (collection, device) = (CollectionTag([collection; 16]), DeviceId([device; 32]));
        JournalId { collection, device, incarnation: Incarnation([0; 16]) }
    }

    fn scope(rest: Rank, named: &[(u8, Rank)]) -> Scope {
        Scope { rest, named: named.iter().map(|(tag, rank)| (CollectionTag([*tag; 16]), *rank)).collect() }
    }

    #[test]
    fn both_sides_of_a_link_agree_on_the_same_journals() {
        let choices = [
            Scope::default(),
            scope(Rank::None, &[]),
            scope(Rank::None, &[(1, Rank::Eager)]),
            scope(Rank::Normal, &[(1, Rank::None), (2, Rank::Lazy)]),
        ];
        for mine in &choices {
            for theirs in &choices {
                let here = Scopes { said: mine.clone(), theirs: theirs.clone(), ..Scopes::new(ME, THEM, 0) };
                let there = Scopes { said: theirs.clone(), theirs: mine.clone(), ..Scopes::new(THEM, ME, 0) };
                for collection in 0..4 {
                    for device in 1..4 {
                        let id = journal(collection, device);
                        assert_eq!(here.agreed(&id), there.agreed(&id), "{mine:?} {theirs:?} {id:?}");
                        // Nothing comes that was not asked for, and all that a device wrote goes to who wants it.
                        assert!(!here.agreed(&id) || device == 1 || mine.wants(&id.collection));
                        assert!(here.agreed(&id) || device != 1 || !theirs.wants(&id.collection));
                    }
                }
            }
        }
    }

    #[test]
    fn how_urgent_something_is_does_not_change_what_is_compared() {
        let with = |said| Scopes { said, ..Scopes::new(ME, THEM, 0) };
        assert_eq!(with(scope(Rank::Lazy, &[(1, Rank::Eager)])).digest(), [0; 16]);
        let one = with(scope(Rank::None, &[(1, Rank::Eager), (2, Rank::Lazy)])).digest();
        assert_eq!(one, with(scope(Rank::None, &[(1, Rank::Lazy), (2, Rank::Normal)])).digest());
        assert_ne!(one, with(scope(Rank::None, &[(1, Rank::Lazy)])).digest());
        assert_ne!(one, with(scope(Rank::Normal, &[(1, Rank::None), (2, Rank::None)])).digest());
    }

    #[test]
    fn a_scope_reads_back() {
        let scope = scope(Rank::None, &[(1, Rank::Eager), (2, Rank::Lazy)]);
        let mut w = Writer::new();
        scope.encode(&mut w);
        let bytes = w.finish();
        assert_eq!(Scope::decode(&mut Reader::new(&bytes)).unwrap(), scope);
    }
}
