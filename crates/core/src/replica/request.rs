//! What the app asks. Everything local is answered without a peer (I7).

use super::Replica;
use super::durable::Effect;
use super::identity::check_name;
use super::space::{QueuedEdit, Space};
use crate::breakage::Breakage;
use crate::catalogue::CollectionDefinition;
use crate::id::{CollectionTag, SpaceId};
use crate::input::{DocEdit, DocOp, Request, RequestId};
use crate::job::WriteError;
use crate::limits::{EDITS_PER_REQUEST, FEW_EDITS, KEY_BYTES};
use crate::output::{Edited, Reply, RequestError};
use crate::role::Role;
use crate::roster::author;
use crate::seal::document_id_from_key;

/// An edit request whose parts are on their way.
#[derive(Debug)]
pub(super) struct EditRequest {
    results: Vec<Option<Result<Edited, WriteError>>>,
    open: usize,
}

impl Replica {
    pub(super) fn on_request(&mut self, id: RequestId, request: Request) {
        let result = match request {
            Request::CreateSpace { name } => self.create_space(id, &name),
            Request::DefineCollection { space, definition } => self.define_collection(id, space, definition),
            Request::Edit { space, collection, edits } => self.edit(id, space, collection, edits),
            Request::DocumentIds { space, collection, keys } => self.document_ids(id, space, &collection, &keys),
            Request::Invite { space, role, expires_unix_s, peer, addresses } => {
                self.invite(id, space, role, expires_unix_s, peer, addresses)
            }
            Request::Join { ticket } => self.join(id, &ticket),
            Request::Checkpoint { space, collection } => self.ask_checkpoint(id, space, collection),
            Request::CancelJoin { ticket } => self.cancel_join(id, &ticket),
            Request::SetName { name } => self.set_name(id, &name),
            Request::Status => {
                let status = Box::new(self.status());
                self.reply(id, Ok(Reply::Status(status)));
                Ok(())
            }
            Request::SyncNow { space } => self.sync_now(id, space),
            Request::Retry { space } => self.retry(id, space),
            Request::Subscribe { space, pattern, priority } => self.subscribe(id, space, &pattern, priority),
            Request::Pause { space, by } => self.pause(id, space, &by),
            Request::Resume { space } => self.end_pause(id, space),
            Request::SetSuspended(suspended) => {
                self.set_suspended(suspended);
                self.reply(id, Ok(Reply::Done));
                Ok(())
            }
            Request::SetMetered(metered) => {
                self.set_metered(metered);
                self.reply(id, Ok(Reply::Done));
                Ok(())
            }
        };
        if let Err(error) = result {
            self.reply(id, Err(error));
        }
    }

    fn create_space(&mut self, id: RequestId, name: &str) -> Result<(), RequestError> {
        check_name(name).map_err(|error| RequestError::Invalid(format!("the space's name: {error}")))?;
        let (identity, entropy) = (&self.identity, &mut self.entropy);
        let (_, ops) = author::found_space(&identity.certificate, &identity.keys, name, self.now.wall_ms, entropy)
            .map_err(|error| RequestError::Invalid(error.to_string()))?;
        let (roster, store) = super::roster_sync::build(&ops).map_err(RequestError::Internal)?;
        let space = Space::new(roster.space(), roster, &self.identity.keys);
        let space_id = space.id;
        self.spaces.insert(space_id, space);
        let effects = vec![Effect::Reply(id, Reply::Space(space_id)), Effect::RosterDurable(space_id)];
        self.store(store, effects);
        Ok(())
    }

    fn define_collection(
        &mut self,
        id: RequestId,
        space: SpaceId,
        definition: CollectionDefinition,
    ) -> Result<(), RequestError> {
        check_name(&definition.name)
            .map_err(|error| RequestError::Invalid(format!("the collection's name: {error}")))?;
        self.require(space, Role::Admin, "define a collection", Role::can_administer)?;
        let (keys, wall_ms) = (self.keys(), self.now.wall_ms);
        let known = self.space(space)?;
        let tag = known.roster.collection_tag(&known.keys, &definition.name).ok_or(RequestError::NoKey)?;
        let ops = known
            .roster
            .define_collection(&keys, &known.keys, &definition, wall_ms)
            .map_err(|error| RequestError::Invalid(error.to_string()))?;
        let effects = vec![Effect::Reply(id, Reply::Collection(tag))];
        self.insert_own_ops(space, ops, effects)
    }

    fn edit(
        &mut self,
        id: RequestId,
        space: SpaceId,
        collection: CollectionTag,
        edits: Vec<DocEdit>,
    ) -> Result<(), RequestError> {
        if !self.breaks(Breakage::SkipRoleCheck) {
            self.require(space, Role::Writer, "write", Role::can_write)?;
        }
        let (me, drops, now_ms) = (self.device(), self.breaks(Breakage::DropDelete), self.now.mono_ms);
        let known = self.space_mut(space)?;
        if !known.catalogue.contains_key(&collection) {
            return Err(RequestError::UnknownCollection(collection.to_string()));
        }
        if known.sealing_key().is_none() {
            return Err(RequestError::NoKey);
        }
        if edits.len() > EDITS_PER_REQUEST {
            let message = format!("{} edits in one request; at most {EDITS_PER_REQUEST}: split it", edits.len());
            return Err(RequestError::Invalid(message));
        }
        if edits.is_empty() {
            self.reply(id, Ok(Reply::Edited(Vec::new())));
            return Ok(());
        }
        if edits.len() <= FEW_EDITS {
            known.enliven(me, now_ms);
        }
        let work = known.collections.entry(collection).or_default();
        let count = edits.len();
        for (index, mut edit) in edits.into_iter().enumerate() {
            if drops && edit.op == DocOp::Delete {
                edit.op = DocOp::Edit(Vec::new());
            }
            let bytes = crate::job::edit_bytes(&edit.op);
            work.edits.push_back(QueuedEdit { request: id, index, edit, bytes });
        }
        self.requests.insert(id, EditRequest { results: vec![None; count], open: count });
        self.pump(space, collection);
        Ok(())
    }

    fn document_ids(
        &mut self,
        id: RequestId,
        space: SpaceId,
        collection: &CollectionTag,
        keys: &[String],
    ) -> Result<(), RequestError> {
        if let Some(long) = keys.iter().find(|key| key.is_empty() || key.len() > KEY_BYTES) {
            let message = format!("a key has {} bytes; it must have 1 to {KEY_BYTES}: choose another one", long.len());
            return Err(RequestError::Invalid(message));
        }
        let tag_key = self.space(space)?.tag_key.as_ref().ok_or(RequestError::NoKey)?;
        let ids = keys.iter().map(|key| document_id_from_key(tag_key, collection, key)).collect();
        self.reply(id, Ok(Reply::DocumentIds(ids)));
        Ok(())
    }

    fn set_name(&mut self, id: RequestId, name: &str) -> Result<(), RequestError> {
        let answer = vec![Effect::Reply(id, Reply::Done)];
        self.rename(name, answer).map_err(|error| RequestError::Invalid(format!("the device's name: {error}")))
    }

    /// Answers one part of an edit request; the last part sends the reply.
    pub(super) fn edit_done(&mut self, id: RequestId, index: usize, result: Result<Edited, WriteError>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if let Some(slot) = request.results.get_mut(index)
            && slot.is_none()
        {
            *slot = Some(result);
            request.open -= 1;
        }
        if request.open == 0
            && let Some(request) = self.requests.remove(&id)
        {
            let results = request.results.into_iter().flatten().collect();
            self.reply(id, Ok(Reply::Edited(results)));
        }
    }

    pub(super) fn space(&self, space: SpaceId) -> Result<&Space, RequestError> {
        self.spaces.get(&space).ok_or(RequestError::UnknownSpace(space))
    }

    pub(super) fn space_mut(&mut self, space: SpaceId) -> Result<&mut Space, RequestError> {
        self.spaces.get_mut(&space).ok_or(RequestError::UnknownSpace(space))
    }

    /// Refuses what this device's role does not allow, before anything is done.
    pub(super) fn require(
        &self,
        space: SpaceId,
        need: Role,
        what: &'static str,
        allows: impl Fn(Role) -> bool,
    ) -> Result<(), RequestError> {
        match self.space(space)?.roster.role_of(&self.device()) {
            Some(role) if allows(role) => Ok(()),
            role => {
                let have = role.map_or_else(|| "not a member".to_owned(), |role| format!("a {role}"));
                Err(RequestError::NotAllowed { what, have, need })
            }
        }
    }
}
