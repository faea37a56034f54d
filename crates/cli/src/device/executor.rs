//! The node as something that runs requests.

use super::convert;
use crate::control::{
    CollectionItem, DocumentName, Exchange, Executor, MemberItem, Place, ReplySink, Request, SpaceItem, TicketItem,
};
use crate::exit::{Exit, Failure};
use farshore::{Collection, DocumentId, Node, RequestError, Space, SpaceStatus, Value};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::time::Duration;

/// Who pauses, as the status tells it.
const PAUSED_BY: &str = "farshore pause";

/// Runs requests on a node.
pub(super) struct Device {
    pub(super) node: Node,
    /// The process, where it runs the device for others; none where a command opened the store for itself.
    pub(super) pid: Option<u32>,
}

impl Executor for Device {
    fn execute(&self, request: Request, exchange: Exchange) -> BoxFuture<'_, Result<(), Failure>> {
        self.run(request, exchange).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.node.shutdown().boxed()
    }
}

impl Device {
    async fn run(&self, request: Request, exchange: Exchange) -> Result<(), Failure> {
        let Exchange { replies, batches } = exchange;
        match request {
            Request::SpaceCreate { name } => {
                let space = self.node.create_space(&name).await?;
                replies.item(&space_item(&space.status().await?)).await
            }
            Request::SpaceList {} => {
                for space in &self.node.status().await?.engine.spaces {
                    replies.item(&space_item(space)).await?;
                }
                Ok(())
            }
            Request::Subscribe { space, pattern, priority } => {
                let space = self.space(Some(&space)).await?;
                space.subscribe(&pattern, convert::priority_for_node(priority)).await?;
                self.space_syncs(Some(&space), &replies).await
            }
            Request::Pause { space } => {
                let space = self.maybe_space(space.as_deref()).await?;
                match &space {
                    Some(space) => space.pause(PAUSED_BY).await?,
                    None => self.node.pause(PAUSED_BY).await?,
                }
                self.space_syncs(space.as_ref(), &replies).await
            }
            Request::Resume { space } => {
                let space = self.maybe_space(space.as_deref()).await?;
                match &space {
                    Some(space) => space.resume().await?,
                    None => self.node.end_pause().await?,
                }
                self.space_syncs(space.as_ref(), &replies).await
            }
            Request::Sync { space } => {
                self.must_run("sync with")?;
                let space = self.maybe_space(space.as_deref()).await?;
                match &space {
                    Some(space) => {
                        space.retry().await?;
                        space.sync_now().await?;
                    }
                    None => {
                        self.node.retry().await?;
                        self.node.sync_now().await?;
                    }
                }
                self.space_syncs(space.as_ref(), &replies).await
            }
            Request::SpaceMembers { space } => self.members(space.as_deref(), &replies).await,
            Request::CollectionCreate { space, name, on_delete, containers } => {
                let space = self.space(space.as_deref()).await?;
                let tag = space.create_collection(convert::definition(&name, on_delete, containers)).await?;
                let status = space.status().await?;
                let found = status.collections.iter().find(|found| found.collection == tag);
                let created = found.ok_or_else(|| Failure::new(Exit::General, "the new collection is not there"))?;
                replies.item(&self.collection_item(&space, created).await?).await
            }
            Request::CollectionList { space } => {
                let space = self.space(space.as_deref()).await?;
                for collection in space.collections().await? {
                    replies.item(&self.collection_item(&space, &collection).await?).await?;
                }
                Ok(())
            }
            Request::Invite { space, role, valid_ms, addresses } => {
                let space = self.space(space.as_deref()).await?;
                let mut invitation = space.invite(convert::role_for_node(role));
                invitation = invitation.expires_in(Duration::from_millis(valid_ms));
                for address in addresses {
                    invitation = invitation.address(address);
                }
                let ticket = invitation.open().await?;
                let expires_ms = now_ms().saturating_add(i64::try_from(valid_ms).unwrap_or(i64::MAX));
                replies.item(&TicketItem { ticket, space: title(&space), role, expires_ms }).await
            }
            Request::Join { ticket, wait_ms, sync } => {
                let space = self.node.join(&ticket, Duration::from_millis(wait_ms)).await?;
                if sync {
                    self.first_sync(space.id(), &replies).await?;
                }
                replies.item(&space_item(&space.status().await?)).await
            }
            Request::Put { place, document, fields, replace } => {
                self.put(&place, document, fields, replace, &replies).await
            }
            Request::Get { place, document, path, conflicts } => {
                self.get(&place, &document, path.as_ref(), conflicts, &replies).await
            }
            Request::Edit { place, document, edits } => self.edit(&place, document, edits, &replies).await,
            Request::Remove { place, documents } => self.remove(&place, documents, &replies).await,
            Request::List { place, filters, limit } => self.list(&place, filters, limit, &replies).await,
            Request::Import { place, keyed, rows } => self.import(&place, keyed, rows, batches, &replies).await,
            Request::Export { place } => self.export(&place, &replies).await,
            Request::Watch { place, document, initial } => self.watch(&place, document, initial, &replies).await,
            Request::Status { watch } => self.status(watch, &replies).await,
            Request::Events {} => self.events(&replies).await,
            Request::Since { marker, moving } => self.since(marker.as_deref(), moving, &replies).await,
            Request::Peers {} => self.peers(&replies).await,
            Request::Log { space, collection, limit } => {
                self.log(space.as_deref(), collection.as_deref(), limit, &replies).await
            }
            Request::Checkpoint { place } => self.checkpoint(&place, &replies).await,
            Request::Digest { place } => self.digest(&place, &replies).await,
        }
    }

    async fn members(&self, space: Option<&str>, replies: &ReplySink) -> Result<(), Failure> {
        let here = self.node.device().await?;
        for member in self.space(space).await?.members().await? {
            let item = MemberItem {
                device: member.device.to_string(),
                name: member.name,
                role: convert::role(member.role),
                here: member.device == here,
            };
            replies.item(&item).await?;
        }
        Ok(())
    }

    async fn collection_item(
        &self,
        space: &Space,
        status: &farshore::CollectionStatus,
    ) -> Result<CollectionItem, Failure> {
        let documents = match &status.name {
            Some(name) => space.existing_collection(name).await?.count().await?,
            None => 0, // an entry that cannot be opened yet is in no document
        };
        Ok(CollectionItem {
            name: status.name.clone(),
            tag: status.collection.to_string(),
            priority: convert::priority(status.priority),
            kept_up: status.kept_up,
            documents,
            entries: status.entries,
            unapplied: status.unapplied,
            waiting: status.waiting.clone(),
        })
    }

    async fn maybe_space(&self, named: Option<&str>) -> Result<Option<Space>, Failure> {
        match named {
            Some(name) => Ok(Some(self.node.space(name).await?)),
            None => Ok(None),
        }
    }

    /// The space of this name or id, or else the only one.
    pub(super) async fn space(&self, named: Option<&str>) -> Result<Space, Failure> {
        if let Some(name) = named {
            return Ok(self.node.space(name).await?);
        }
        let mut spaces = self.node.spaces().await?;
        match (spaces.pop(), spaces.len()) {
            (Some(space), 0) => Ok(space),
            (Some(last), _) => {
                let names: Vec<String> = spaces.iter().chain([&last]).map(title).collect();
                Err(Failure::usage(format!("there are {} spaces: {}", names.len(), names.join(", ")))
                    .remedy("name one with --space"))
            }
            (None, _) => Err(Failure::new(Exit::NotFound, "this device is in no space yet")
                .remedy("create one with `farshore space create NAME`, or join one with `farshore join TICKET`")),
        }
    }

    /// A collection that must be there.
    pub(super) async fn collection(&self, place: &Place) -> Result<Collection<Value>, Failure> {
        let space = self.space(place.space.as_deref()).await?;
        let missing = match space.existing_collection(&place.collection).await {
            Ok(collection) => return Ok(collection),
            Err(farshore::Error::Refused(RequestError::UnknownCollection(_))) => {
                format!("the space {} has no collection {:?}", title(&space), place.collection)
            }
            Err(error) => return Err(error.into()),
        };
        let names: Vec<String> = space.collections().await?.into_iter().filter_map(|found| found.name).collect();
        Err(Failure::new(Exit::NotFound, missing).remedy(match names.is_empty() {
            true => "it has none yet: `farshore put` and `farshore import` create them on an admin's device".to_owned(),
            false => format!("it has {}; others may come with the next sync", names.join(", ")),
        }))
    }

    /// A collection, created if it is not there and this device may.
    pub(super) async fn collection_or_new(&self, place: &Place) -> Result<Collection<Value>, Failure> {
        Ok(self.space(place.space.as_deref()).await?.collection(&place.collection).await?)
    }
}

/// The document of a name.
pub(super) async fn id_of(collection: &Collection<Value>, document: &DocumentName) -> Result<DocumentId, Failure> {
    match document {
        DocumentName::Key(key) => Ok(collection.id_of(key).await?),
        DocumentName::Id(id) => id.parse().map_err(|error: farshore::ParseIdError| Failure::usage(error.to_string())),
    }
}

/// The failure of a document that is not there.
pub(super) fn no_document(collection: &Collection<Value>, document: &DocumentName) -> Failure {
    let what = match document {
        DocumentName::Key(key) => format!("with the key {key:?}"),
        DocumentName::Id(id) => id.clone(),
    };
    Failure::new(Exit::NotFound, format!("{} has no document {what}", collection.name()))
        .remedy("it may have been deleted, or not have arrived yet; `farshore list` shows what is there")
}

/// What a person calls a space.
pub(super) fn title(space: &Space) -> String {
    space.name().map_or_else(|| space.id().to_string(), str::to_owned)
}

fn space_item(space: &SpaceStatus) -> SpaceItem {
    SpaceItem {
        id: space.space.to_string(),
        name: space.name.clone(),
        role: space.role.map(convert::role),
        members: space.members.len() as u64,
        collections: space.collections.len() as u64,
        paused: space.paused.as_ref().map(|paused| convert::pause(paused, false)),
        subscriptions: space
            .subscriptions
            .iter()
            .map(|(of, wanted)| (of.clone(), convert::priority(*wanted)))
            .collect(),
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
