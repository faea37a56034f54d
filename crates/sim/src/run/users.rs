//! What people do: found the space, let devices in, edit, and look at what the app shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use farshore_core::catalogue::{CollectionDefinition, DeletePolicy};
use farshore_core::id::{DocKey, DocumentId};
use farshore_core::input::{DocEdit, Input, Request, RequestId};
use farshore_core::output::{Reply, RequestError};
use farshore_core::role::Role;
use farshore_core::subscription::Priority;
use farshore_core::value::Value;

use super::host::{Asked, Host};
use super::{Event, Run};
use crate::app::{Act, Target};
use crate::byzantine::is_forked_document;
use crate::convert::{op_of, plain_of};
use crate::dice::Dice;
use crate::limits::REMEMBERED_VIEWS;
use crate::observe::{DeviceNo, Intended, ViewMark, What};
use crate::plain::Plain;
use crate::plan::{Action, MemberRole, Recorded, Wish};

/// How long device 0 is waited for, when somebody is to be invited and it is not there or stopped over it, in milliseconds.
pub(super) const INVITE_AGAIN_MS: u64 = 1_000;
/// How long a new device stays with the one who let it in, at least, in milliseconds: hints and the first sync take less.
const PART_MS: u64 = 3_000;
/// Tickets last longer than any clock of a run goes astray, in seconds: 100 years.
const TICKET_S: u64 = 100 * 365 * 24 * 3_600;

impl Run<'_> {
    fn request(&mut self, device: DeviceNo, asked: Asked, request: Request) -> RequestId {
        let id = self.hosts[device].next_request(asked);
        self.feed(device, Input::Request { id, request });
        id
    }

    /// Device 0 founds the space; what follows comes with the replies.
    pub(super) fn found(&mut self) {
        self.request(0, Asked::Found, Request::CreateSpace { name: "simulated".into() });
    }

    /// Invites a device through device 0, as soon as that can do it.
    pub(super) fn invite(&mut self, device: DeviceNo) {
        let (Some(space), true) = (self.space, self.hosts[0].usable()) else {
            return self.in_ms(INVITE_AGAIN_MS, Event::Invite { device });
        };
        let role = match self.plan.setup.members[device].role {
            MemberRole::Admin => Role::Admin,
            MemberRole::Writer => Role::Writer,
            MemberRole::Reader => Role::Reader,
        };
        let expires_unix_s = self.hosts[0].now(self.now_ms).wall_ms / 1_000 + TICKET_S;
        let (peer, addresses) = (self.hosts[0].peer.clone(), vec![self.hosts[0].address(0)]);
        self.request(0, Asked::Invite(device), Request::Invite { space, role, expires_unix_s, peer, addresses });
    }

    /// A device that was given a ticket and is no member yet uses it: once its process runs, and again if it ended meanwhile.
    pub(super) fn join_again(&mut self, device: DeviceNo) {
        let host = &self.hosts[device];
        if host.replica().is_none() {
            return;
        }
        let waits = host.requests.values().any(|asked| *asked == Asked::Join);
        if let (false, false, Some(ticket)) = (host.member, waits, host.ticket.clone()) {
            self.request(device, Asked::Join, Request::Join { ticket });
        }
    }

    pub(super) fn reply(&mut self, device: DeviceNo, id: RequestId, result: Result<Reply, RequestError>) {
        let Some(asked) = self.hosts[device].requests.remove(&id) else {
            return self.watch.violate("answers", self.now_ms, Some(device), format!("a second answer to {id:?}"));
        };
        match (asked, result) {
            (Asked::Edit(request), Ok(Reply::Edited(results))) => {
                let results: Vec<_> = results
                    .into_iter()
                    .map(|result| result.map(|edited| edited.entry).map_err(|error| error.to_string()))
                    .collect();
                self.outcome.acknowledged += results.iter().filter(|result| result.is_ok()).count() as u64;
                self.see(device, What::Acknowledged { request, results });
            }
            (Asked::Edit(request), Err(error)) => {
                self.see(device, What::Refused { request, reason: error.to_string() })
            }
            (Asked::Found, Ok(Reply::Space(space))) => {
                self.space = Some(space);
                self.joined(device);
                self.at(self.now_ms, Event::Define);
            }
            (Asked::Define, Ok(Reply::Collection(tag))) => {
                let edit_wins = self.app.collections().get(self.collections.len()).is_some_and(|c| c.edit_wins);
                self.collections.push(tag);
                if let Some(space) = self.space {
                    self.see(device, What::Defined { space, collection: tag, edit_wins });
                }
                self.at(self.now_ms, Event::Define);
            }
            (Asked::Invite(guest), Ok(Reply::Ticket(ticket))) => {
                self.hosts[guest].ticket = Some(ticket);
                self.at(self.now_ms, Event::Join { device: guest });
            }
            (Asked::Invite(guest), Err(_)) => self.in_ms(INVITE_AGAIN_MS, Event::Invite { device: guest }),
            (Asked::Join, Ok(Reply::Space(_))) => self.joined(device),
            (Asked::Join, Err(error)) => self.join_refused(device, &error),
            (Asked::Ids, Ok(reply)) => self.hosts[device].ids = Some(reply),
            (Asked::SyncNow | Asked::Choose, Ok(_)) => {}
            // Refused where there is nothing to hold yet, or another one is being made; a reader's always.
            (Asked::Checkpoint, Ok(Reply::Checkpoint(_)) | Err(_)) => {}
            (asked, result) => {
                let what = format!("{asked:?} was answered by {result:?}");
                self.watch.violate("answers", self.now_ms, Some(device), what);
            }
        }
    }

    /// The process may have died after the device became a member and before the app heard of it.
    fn join_refused(&mut self, device: DeviceNo, error: &RequestError) {
        let member = self.space.is_some_and(|space| self.hosts[device].holds(space));
        if member {
            self.joined(device);
        } else {
            self.watch.violate("answers", self.now_ms, Some(device), format!("a good ticket was refused: {error}"));
        }
    }

    fn joined(&mut self, device: DeviceNo) {
        self.hosts[device].member = true;
        let may_write = self.plan.setup.members[device].role != MemberRole::Reader;
        if let Some(space) = self.space {
            let id = self.hosts[device].id;
            self.see(device, What::Joined { space, id, may_write });
        }
        if device != 0 && !self.plan.setup.topology.joins(device, 0, self.hosts.len()) {
            self.in_ms(PART_MS, Event::Part { device });
        }
    }

    /// A device that was let in leaves the one who did it, once it knows somebody else whom it can reach.
    pub(super) fn part(&mut self, device: DeviceNo) {
        let (topology, count) = (&self.plan.setup.topology, self.hosts.len());
        if self.hosts[device].dials.keys().any(|peer| topology.joins(device, *peer, count)) {
            self.hosts[device].settled = true;
            self.cut_link(device, 0, 0, 0);
        } else if !self.healed {
            self.in_ms(PART_MS, Event::Part { device });
        }
    }

    /// Defines the next collection; after the last one the others are let in.
    pub(super) fn define(&mut self) {
        let Some(space) = self.space else { return };
        let wanted = self.app.collections();
        match wanted.get(self.collections.len()) {
            Some(collection) => {
                let mut definition = CollectionDefinition::new(&collection.name);
                if collection.edit_wins {
                    definition.delete_policy = DeletePolicy::EditWins;
                }
                self.request(0, Asked::Define, Request::DefineCollection { space, definition });
            }
            None => {
                let members = self.plan.setup.members.iter().enumerate().skip(1);
                let joins: Vec<(DeviceNo, u64)> = members.map(|(device, member)| (device, member.joins_ms)).collect();
                for (device, joins_ms) in joins {
                    // One after another: a device has only so many open invitations.
                    self.at(self.now_ms.max(joins_ms) + device as u64 * 20, Event::Invite { device });
                }
            }
        }
    }

    /// A user does something.
    pub(super) fn act(&mut self, device: DeviceNo, dice: u64) {
        if !self.ready(device) {
            return;
        }
        self.look(device);
        let shown = std::mem::take(&mut self.hosts[device].shown);
        let mut act = Act::new(device, Dice::seeded(dice), &shown);
        self.app.act(&mut act);
        let (collection, edits) = act.finish();
        self.hosts[device].shown = shown;
        let edits = edits.into_iter().enumerate().filter_map(|(index, (target, op))| {
            let (document, keyed) = match target {
                Target::New => (self.fresh_id(device, dice, index), false),
                Target::Key(key) => (self.key(device, collection, &key)?, true),
                Target::Document(document) => (document, self.keys.values().any(|known| *known == document)),
            };
            Some(Intended { document, keyed, op })
        });
        let edits = edits.collect();
        self.edit(device, collection, edits);
    }

    pub(super) fn recorded(&mut self, device: DeviceNo, collection: usize, edits: &[Recorded]) {
        if !self.ready(device) {
            return;
        }
        let edits = edits.iter().filter_map(|edit| {
            let document = self.key(device, collection, &edit.key)?;
            Some(Intended { document, keyed: true, op: edit.op.clone() })
        });
        let edits = edits.collect();
        self.edit(device, collection, edits);
    }

    pub(super) fn sync_now(&mut self, device: DeviceNo) {
        if self.hosts[device].usable() {
            self.request(device, Asked::SyncNow, Request::SyncNow { space: None });
        }
    }

    pub(super) fn choose(&mut self, device: DeviceNo, collection: usize, wish: Wish) {
        let priority = match wish {
            Wish::Eager => Priority::Eager,
            Wish::Normal => Priority::Normal,
            Wish::Lazy => Priority::Lazy,
            Wish::Manual => Priority::Manual,
            Wish::None => Priority::None,
        };
        let name = self.app.collections().get(collection).map(|collection| collection.name.clone());
        let (Some(space), Some(pattern)) = (self.space, name) else { return };
        if self.hosts[device].usable() {
            self.outcome.choices += 1;
            self.request(device, Asked::Choose, Request::Subscribe { space, pattern, priority: Some(priority) });
        }
    }

    pub(super) fn pause(&mut self, device: DeviceNo, paused: bool) {
        let Some(space) = self.space.filter(|_| self.hosts[device].usable()) else { return };
        self.outcome.choices += 1;
        let request = match paused {
            true => Request::Pause { space: Some(space), by: "a user".into() },
            false => Request::Resume { space: Some(space) },
        };
        self.request(device, Asked::Choose, request);
    }

    pub(super) fn checkpoint(&mut self, device: DeviceNo, collection: usize) {
        let (Some(space), Some(tag)) = (self.space, self.collections.get(collection).copied()) else { return };
        if self.hosts[device].usable() {
            self.request(device, Asked::Checkpoint, Request::Checkpoint { space, collection: tag });
        }
    }

    /// Every device wants everything again, and none is paused: what they left out meanwhile must come now.
    pub(super) fn want_everything(&mut self) {
        (0..self.hosts.len()).for_each(|device| self.wants_everything(device));
    }

    /// The same of one device, which may have stopped over it.
    pub(super) fn wants_everything(&mut self, device: DeviceNo) {
        let chosen = |action: &Action| matches!(action, Action::Subscribe { .. } | Action::Pause { .. });
        let Some(space) = self.space.filter(|_| self.plan.actions.iter().any(|timed| chosen(&timed.action))) else {
            return;
        };
        if self.hosts[device].replica().is_none() || !self.hosts[device].holds(space) {
            return;
        }
        for collection in self.app.collections() {
            let pattern = collection.name;
            self.request(device, Asked::Choose, Request::Subscribe { space, pattern, priority: None });
        }
        self.request(device, Asked::Choose, Request::Resume { space: Some(space) });
    }

    fn ready(&mut self, device: DeviceNo) -> bool {
        let ready = self.hosts[device].usable() && self.collections.len() == self.app.collections().len();
        self.outcome.idle_acts += u64::from(!ready);
        ready
    }

    fn edit(&mut self, device: DeviceNo, collection: usize, edits: Vec<Intended>) {
        let (Some(space), Some(tag)) = (self.space, self.collections.get(collection).copied()) else { return };
        if edits.is_empty() {
            return;
        }
        self.last_edit += 1;
        self.outcome.edits += edits.len() as u64;
        let number = self.last_edit;
        let wanted =
            edits.iter().map(|edit| DocEdit { document: edit.document, keyed: edit.keyed, op: op_of(&edit.op) });
        let wanted: Vec<DocEdit> = wanted.collect();
        self.see(device, What::Submitted { request: number, space, collection: tag, edits });
        self.request(device, Asked::Edit(number), Request::Edit { space, collection: tag, edits: wanted });
    }

    /// An id that no other act makes, as an app draws one at random: also if a fuzzer gives two acts the same dice.
    fn fresh_id(&mut self, device: DeviceNo, dice: u64, index: usize) -> DocumentId {
        loop {
            let mut hasher = blake3::Hasher::new();
            for number in [self.plan.setup.seed, device as u64, dice, index as u64] {
                hasher.update(&number.to_le_bytes());
            }
            if self.drawn_again > 0 {
                hasher.update(&self.drawn_again.to_le_bytes());
            }
            let mut id = [0; 16];
            id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
            if self.drawn.insert(DocumentId(id)) {
                return DocumentId(id);
            }
            self.drawn_again += 1;
        }
    }

    /// The id of a key, which every member derives alike.
    fn key(&mut self, device: DeviceNo, collection: usize, key: &str) -> Option<DocumentId> {
        let known = (collection, key.to_owned());
        if let Some(id) = self.keys.get(&known) {
            return Some(*id);
        }
        let (space, tag) = (self.space?, *self.collections.get(collection)?);
        let ask = Request::DocumentIds { space, collection: tag, keys: vec![key.to_owned()] };
        self.request(device, Asked::Ids, ask);
        let Some(Reply::DocumentIds(ids)) = self.hosts[device].ids.take() else { return None };
        let id = *ids.first()?;
        self.keys.insert(known, id);
        Some(id)
    }

    /// The app reads what has changed since it last looked.
    pub(super) fn look(&mut self, device: DeviceNo) {
        let Some(space) = self.space else { return };
        let dirty = std::mem::take(&mut self.hosts[device].dirty);
        if dirty.is_empty() {
            return;
        }
        for (number, document) in dirty.into_iter().filter(|(_, document)| !is_forked_document(document)) {
            let Some(collection) = self.collections.get(number).copied() else { continue };
            let key = DocKey { space, collection, document };
            if self.hosts[device].disk.is_writing(&key) {
                self.hosts[device].dirty.insert((number, document));
                continue;
            }
            let bytes = match self.hosts[device].disk.view(&key) {
                Ok(bytes) => bytes,
                // The disk is broken: the app shows what it showed before, and looks again later.
                Err(_) => {
                    self.disk_struck(device);
                    self.hosts[device].dirty.insert((number, document));
                    continue;
                }
            };
            let mark = bytes.as_deref().map(ViewMark::of);
            let view = mark.zip(bytes).and_then(|(mark, bytes)| self.views.of(mark, &bytes));
            self.see(device, What::Read { space, collection, document, view: view.clone(), mark });
            self.hosts[device].show(number, document, view);
        }
        if let Err(what) = self.app.check(&self.hosts[device].shown) {
            self.watch.violate("app", self.now_ms, Some(device), what);
        }
    }

    /// A process has started: its app has everything to read.
    pub(super) fn show_everything(&mut self, device: DeviceNo) {
        self.hosts[device].shown = Default::default();
        self.hosts[device].dirty.clear();
        let Some(space) = self.space else { return };
        for (number, tag) in self.collections.iter().enumerate() {
            if let Ok(documents) = self.hosts[device].disk.documents(space, *tag) {
                self.hosts[device].dirty.extend(documents.into_iter().map(|document| (number, document)));
            }
        }
    }
}

impl Host {
    fn show(&mut self, collection: usize, document: DocumentId, view: Option<Arc<Plain>>) {
        let shown = &mut self.shown.collections;
        if shown.len() <= collection {
            shown.resize_with(collection + 1, Default::default);
        }
        match view {
            Some(view) => shown[collection].insert(document, view),
            None => shown[collection].remove(&document),
        };
    }

    fn holds(&self, space: farshore_core::id::SpaceId) -> bool {
        self.replica().is_some_and(|replica| replica.status().spaces.iter().any(|known| known.space == space))
    }
}

/// Views that were read of late, decoded: in a mesh all devices read the same.
#[derive(Debug, Default)]
pub(super) struct Views(BTreeMap<ViewMark, Arc<Plain>>);

impl Views {
    /// The view of these bytes, whose mark is this.
    fn of(&mut self, mark: ViewMark, bytes: &[u8]) -> Option<Arc<Plain>> {
        if let Some(view) = self.0.get(&mark) {
            return Some(Arc::clone(view));
        }
        let view = Arc::new(plain_of(&Value::decode(bytes).ok()?));
        if self.0.len() >= REMEMBERED_VIEWS {
            self.0.clear();
        }
        self.0.insert(mark, Arc::clone(&view));
        Some(view)
    }
}
