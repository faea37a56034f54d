//! [`Space`]: who shares, and what collections there are.

use std::time::Duration;

use farshore_core::catalogue::CollectionDefinition;
use farshore_core::id::{CollectionTag, SpaceId};
use farshore_core::input::{MemberInfo, Request};
use farshore_core::output::{CollectionStatus, Reply, RequestError, SpaceStatus};
use farshore_core::role::Role;
use farshore_core::subscription::Priority;
use farshore_core::value::Value;
use farshore_store::Rejected;

use crate::collection::Collection;
use crate::error::Error;
use crate::invite::Invitation;
use crate::node::{Node, unexpected};

/// A space on this device. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Space {
    node: Node,
    id: SpaceId,
    name: Option<String>,
}

impl Space {
    pub(crate) fn new(node: Node, status: &SpaceStatus) -> Self {
        Space { node, id: status.space, name: status.name.clone() }
    }

    /// The space's id: the same on every device.
    pub fn id(&self) -> SpaceId {
        self.id
    }

    /// What its founder called it; `None` while its key was not here yet when this handle was made.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The node that it is on.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The state of the space, now.
    ///
    /// # Errors
    /// As for [`Node::status`]; [`Error::NoSpace`].
    pub async fn status(&self) -> Result<SpaceStatus, Error> {
        let status = self.node.status().await?;
        let space = status.engine.spaces.iter().find(|space| space.space == self.id);
        space.cloned().ok_or_else(|| Error::NoSpace(self.id.to_string()))
    }

    /// Its members' devices.
    ///
    /// # Errors
    /// As for [`Space::status`].
    pub async fn members(&self) -> Result<Vec<MemberInfo>, Error> {
        Ok(self.status().await?.members)
    }

    /// Its collections.
    ///
    /// # Errors
    /// As for [`Space::status`].
    pub async fn collections(&self) -> Result<Vec<CollectionStatus>, Error> {
        Ok(self.status().await?.collections)
    }

    /// Chooses how urgently this device wants collections, from now on: durable when it returns, and told to linked peers at
    /// once. The pattern is a collection's name, the beginning of names up to and with a slash (`orders/`), or `*`; of those
    /// that fit a name the longest counts. `None` removes the rule. By default all collections are
    /// [`Priority::Normal`].
    ///
    /// Of a collection that is not subscribed to nothing comes, and what this device writes in it still goes to those who
    /// want it. What is here stays readable; [`CollectionStatus::kept_up`] says that it may be old.
    ///
    /// # Errors
    /// The caller's: the pattern is empty or too long, or there are too many rules. The disk's.
    pub async fn subscribe(&self, pattern: &str, priority: Option<Priority>) -> Result<(), Error> {
        let request = Request::Subscribe { space: self.id, pattern: pattern.to_owned(), priority };
        self.node.ask(request).await.map(|_| ())
    }

    /// Exchanges nothing of this space until [`Space::resume`], also after a restart. `by` is told in the status.
    ///
    /// # Errors
    /// The caller's: `by` is empty or too long. The disk's.
    pub async fn pause(&self, by: &str) -> Result<(), Error> {
        self.node.ask(Request::Pause { space: Some(self.id), by: by.to_owned() }).await.map(|_| ())
    }

    /// Ends [`Space::pause`].
    ///
    /// # Errors
    /// The disk's.
    pub async fn resume(&self) -> Result<(), Error> {
        self.node.ask(Request::Resume { space: Some(self.id) }).await.map(|_| ())
    }

    /// Compares with every linked peer again, now, and takes in once what is subscribed to by hand only.
    ///
    /// # Errors
    /// [`Error::Refused`] while it is paused.
    pub async fn sync_now(&self) -> Result<(), Error> {
        self.node.ask(Request::SyncNow { space: Some(self.id) }).await.map(|_| ())
    }

    /// Tries again what is stuck: what failed to apply, and what peers were asked for too often.
    ///
    /// # Errors
    /// [`Error::Refused`] while it is paused.
    pub async fn retry(&self) -> Result<(), Error> {
        self.node.ask(Request::Retry { space: Some(self.id) }).await.map(|_| ())
    }

    /// Edits of this device that no member may see, because it had lost the right to make them: kept for their author.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub async fn rejected(&self) -> Result<Vec<Rejected>, Error> {
        let (reader, id) = (self.node.inner.reader.get()?, self.id);
        let read = tokio::task::spawn_blocking(move || reader.rejected(&id)).await;
        Ok(read.map_err(|error| Error::Internal(format!("reading panicked: {error}")))??)
    }

    /// Prepares an invitation: see [`Node::invite`].
    pub fn invite(&self, role: Role) -> Invitation {
        self.node.invite(self, role)
    }

    /// Adds a collection with other policies than the defaults, or changes one. Every member learns of it.
    ///
    /// # Errors
    /// [`Error::Refused`] when this device is no admin of the space, or when the definition is out of bounds.
    pub async fn create_collection(&self, definition: CollectionDefinition) -> Result<CollectionTag, Error> {
        match self.node.ask(Request::DefineCollection { space: self.id, definition }).await? {
            Reply::Collection(tag) => Ok(tag),
            other => Err(unexpected(&other)),
        }
    }

    /// A collection by its name, with documents of an app's type. An admin's device creates it, with the default policies,
    /// when there is none.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none of this name and this device is no admin: an admin must create it, or this
    /// device has yet to sync. See [`Space::wait_for_collection`].
    pub async fn collection<T>(&self, name: &str) -> Result<Collection<T>, Error> {
        let status = self.status().await?;
        if let Some(tag) = tag_of(&status, name) {
            return Ok(Collection::new(self.clone(), tag, name));
        }
        if status.role != Some(Role::Admin) {
            return Err(RequestError::UnknownCollection(name.to_owned()).into());
        }
        let tag = self.create_collection(CollectionDefinition::new(name)).await?;
        Ok(Collection::new(self.clone(), tag, name))
    }

    /// A collection that another device has created, as soon as this one knows of it: a device that has just joined learns of
    /// collections with its first sync.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it is not known after `timeout`; [`Error::Closed`].
    pub async fn wait_for_collection<T>(&self, name: &str, timeout: Duration) -> Result<Collection<T>, Error> {
        let mut watch = self.node.status_watch()?;
        let mut found = None;
        let known = watch.until(|status| {
            let space = status.engine.spaces.iter().find(|space| space.space == self.id);
            found = space.and_then(|space| tag_of(space, name));
            found.is_some()
        });
        let waited = tokio::time::timeout(timeout, known).await;
        match (waited, found) {
            (_, Some(tag)) => Ok(Collection::new(self.clone(), tag, name)),
            (Ok(_), None) => Err(Error::Closed),
            (Err(_), None) => Err(Error::Timeout {
                what: "waiting for the collection",
                after: timeout,
                hint: format!(": no device that this one has met has told of `{name}`; an admin's device creates it"),
            }),
        }
    }

    /// A collection that must exist, with documents as plain values.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none of this name.
    pub async fn existing_collection(&self, name: &str) -> Result<Collection<Value>, Error> {
        let status = self.status().await?;
        match tag_of(&status, name) {
            Some(tag) => Ok(Collection::new(self.clone(), tag, name)),
            None => Err(RequestError::UnknownCollection(name.to_owned()).into()),
        }
    }
}

fn tag_of(status: &SpaceStatus, name: &str) -> Option<CollectionTag> {
    status.collections.iter().find(|collection| collection.name.as_deref() == Some(name)).map(|found| found.collection)
}
