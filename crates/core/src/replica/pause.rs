//! Pausing a space or the whole device, syncing by hand, and trying again what is stuck.
//!
//! A space that is paused is withdrawn from every link: its tags are no longer among those that the device offers, so that
//! peers know it as little as one that it never had. Links stay up, for other spaces and for joining.

use super::durable::Effect;
use super::identity::check_name;
use super::local::{encode_paused, read_paused};
use super::{OpenError, Replica};
use crate::batch::StoreOp;
use crate::bytes::Reader;
use crate::id::{CollectionTag, SpaceId};
use crate::input::{LinkId, RequestId};
use crate::output::{Event, Output, Paused, Reply, RequestError};
use crate::subscription::Priority;
use crate::wire::Frame;

/// Told to peers when links close.
const SUSPENDED: &str = "the device goes to the background";
const META_PAUSED: &str = "paused";

/// Whether the store says that the whole device is paused.
pub(super) fn read_meta(meta: &[(String, Vec<u8>)]) -> Result<Option<Paused>, OpenError> {
    let Some((_, value)) = meta.iter().find(|(name, _)| name == META_PAUSED) else { return Ok(None) };
    let mut r = Reader::new(value);
    read_paused(&mut r).map_err(|error| OpenError::Damaged { what: "pause", error })
}

impl Replica {
    /// Stops the exchange of a space, or of all, until it is resumed; a restart changes nothing.
    pub(super) fn pause(&mut self, id: RequestId, space: Option<SpaceId>, by: &str) -> Result<(), RequestError> {
        check_name(by).map_err(|error| RequestError::Invalid(format!("who pauses: {error}")))?;
        let paused = Paused { by: by.to_owned(), since_unix_ms: self.now.wall_ms };
        self.set_paused(id, space, Some(paused))
    }

    pub(super) fn end_pause(&mut self, id: RequestId, space: Option<SpaceId>) -> Result<(), RequestError> {
        self.set_paused(id, space, None)
    }

    fn set_paused(&mut self, id: RequestId, space: Option<SpaceId>, to: Option<Paused>) -> Result<(), RequestError> {
        let held = match space {
            Some(space) => &mut self.space_mut(space)?.local.paused,
            None => &mut self.paused,
        };
        // Who paused first, and when, is what a person wants to know.
        *held = to.map(|new| held.take().unwrap_or(new));
        let op = match space {
            Some(space) => self.space(space)?.record_op(),
            None => StoreOp::PutMeta { name: META_PAUSED.into(), value: encode_paused(self.paused.as_ref()) },
        };
        self.store(vec![op], vec![Effect::Reply(id, Reply::Done)]);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            let shared = self.links.get(&link).map(|state| state.spaces.values().map(|shared| shared.space).collect());
            let shared: Vec<SpaceId> = shared.unwrap_or_default();
            for space in shared {
                if !self.offers(space) {
                    self.withdraw(link, space);
                }
            }
            self.send_tags(link);
        }
        Ok(())
    }

    /// Whether peers may know of a space.
    pub(super) fn offers(&self, space: SpaceId) -> bool {
        self.paused.is_none() && self.spaces.get(&space).is_some_and(|known| known.local.paused.is_none())
    }

    /// Forgets that a space is shared on a link; what was asked there is asked elsewhere.
    pub(super) fn withdraw(&mut self, link: LinkId, space: SpaceId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(spent) = state.forget_space(space) else { return };
        state.spent.insert(space, spent);
        let last = state.device.filter(|_| state.spaces.is_empty());
        if let Some(device) = last {
            self.notify(Event::PeerDown { device });
        }
        self.ask_others(link, Some(space));
    }

    /// Compares again with every linked device, and takes in once what is wanted by hand only.
    pub(super) fn sync_now(&mut self, id: RequestId, space: Option<SpaceId>) -> Result<(), RequestError> {
        for space in self.unpaused(space)? {
            let Some(known) = self.spaces.get_mut(&space) else { continue };
            known.manual_asked = known.local.subscriptions.rules().any(|(_, priority)| priority == Priority::Manual);
            self.rescope(space);
            self.restart_everywhere(space);
        }
        self.reply(id, Ok(Reply::Done));
        Ok(())
    }

    /// Tries again what failed for a reason that may have gone, and forgets that peers were asked too often.
    pub(super) fn retry(&mut self, id: RequestId, space: Option<SpaceId>) -> Result<(), RequestError> {
        for space in self.unpaused(space)? {
            let Some(known) = self.spaces.get_mut(&space) else { continue };
            known.collections.values_mut().for_each(|work| work.stuck = false);
            for journal in known.journals.values_mut() {
                journal.lacks = None;
            }
            let collections: Vec<CollectionTag> = known.collections.keys().copied().collect();
            for shared in self.links.values_mut().filter_map(|state| state.space_mut(space)) {
                shared.roster_rounds = 0;
            }
            for collection in collections {
                self.pump(space, collection);
            }
            self.restart_everywhere(space);
        }
        self.reply(id, Ok(Reply::Done));
        Ok(())
    }

    /// The space that was named, or all that are not paused.
    fn unpaused(&self, space: Option<SpaceId>) -> Result<Vec<SpaceId>, RequestError> {
        let Some(space) = space else {
            return Ok(self.spaces.keys().copied().filter(|space| self.offers(*space)).collect());
        };
        self.space(space)?;
        match self.offers(space) {
            true => Ok(vec![space]),
            false => Err(RequestError::Paused),
        }
    }

    fn restart_everywhere(&mut self, space: SpaceId) {
        for (link, shared) in self.shared_spaces() {
            if shared == space {
                self.restart_exchange(link, space);
            }
        }
    }

    /// The app goes to the background or comes back.
    pub(super) fn set_suspended(&mut self, suspended: bool) {
        self.suspended = suspended;
        if !suspended {
            for (space, collection) in self.all_collections() {
                self.pump(space, collection);
            }
            return;
        }
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.send(link, &Frame::Goodbye { reason: SUSPENDED.to_owned() });
            self.outputs.push_back(Output::Close { link, reason: SUSPENDED.to_owned() });
            self.on_link_down(link);
        }
    }

    /// The app says whether the network costs money by the byte.
    pub(super) fn set_metered(&mut self, metered: bool) {
        self.metered = metered;
        let spaces: Vec<SpaceId> = self.spaces.keys().copied().collect();
        spaces.into_iter().for_each(|space| self.rescope(space));
    }

    pub(super) fn subscribe(
        &mut self,
        id: RequestId,
        space: SpaceId,
        pattern: &str,
        priority: Option<Priority>,
    ) -> Result<(), RequestError> {
        let known = self.space_mut(space)?;
        known.local.subscriptions.set(pattern, priority).map_err(RequestError::Invalid)?;
        let op = known.record_op();
        self.store(vec![op], vec![Effect::Reply(id, Reply::Done), Effect::Rescope(space)]);
        Ok(())
    }
}
