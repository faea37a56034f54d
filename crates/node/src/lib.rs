//! Farshore: an offline-first document engine for apps. Edit offline, meet, converge.
//!
//! ```no_run
//! use farshore::{Error, Node, field};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Todo {
//!     title: String,
//!     done: bool,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let node = Node::open("todos.fsh").await?;
//!     let space = match node.space("household").await {
//!         Err(Error::NoSpace(_)) => node.create_space("household").await?, // on the second device: node.join(ticket, time)
//!         space => space?,
//!     };
//!     let todos = space.collection::<Todo>("todos").await?;
//!     let milk = todos.insert(Todo { title: "Milk".into(), done: false }).await?; // durable when it returns
//!     milk.change(|todo| todo.done = true).await?;
//!     let mut open = todos.query().filter(field("done").eq(false)).watch();
//!     println!("{:?}", open.next().await);
//!     node.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! A [`Node`] is one device: a store, and the network around it. It has [`Space`]s, which are shared with other devices by
//! tickets ([`Node::invite`], [`Node::join`]); a space has [`Collection`]s, and a collection [`Document`]s, which are any
//! serde type or a [`Value`]. Edits of the same document on several devices merge, whatever the order in which they meet.
//!
//! What to expect of every call:
//! - a write returns when it is durable on this device, and never waits for a network, a peer or a relay;
//! - reads come from the store and see every write that has returned;
//! - handles are cheap to clone, and work from any task; dropping a stream unsubscribes;
//! - errors name cause and remedy, and say whether trying again can help ([`Error::is_retryable`]).
//!
//! Inside, `driver` owns the engine (`farshore-core`), which decides everything and does nothing; `disk` is the thread that
//! makes its batches durable, `work` the threads for its heavy work, `net` its way to the network, and `os` the only reader
//! of clocks and randomness.

#![deny(missing_docs)]

mod check;
mod collection;
mod config;
mod conflicts;
mod digest;
mod disk;
mod document;
mod driver;
mod error;
mod events;
mod invite;
mod latency;
mod limits;
mod log;
mod net;
mod node;
mod os;
mod progress;
mod query;
mod since;
mod space;
mod start;
mod status;
mod typed;
mod watch;
mod work;

pub use check::check;
pub use collection::Collection;
pub use config::{Builder, Create};
pub use digest::Digest;
pub use document::{Document, Reach, Snapshot};
pub use error::Error;
pub use events::{Event, EventKind, EventStream, SyncCounts, SyncResult, Trouble};
pub use invite::Invitation;
pub use latency::{Distribution, Latency};
pub use log::LogEntry;
pub use node::Node;
pub use progress::{
    CollectionProgress, Flow, HeldUp, Measure, Obstacle, OwnEntries, PeerProgress, Progress, ProgressWatch, ToGo,
    Waiting,
};
pub use query::{Field, Filter, Query, QueryWatch, field};
pub use since::{Came, Listed, MergedDocument, OwnLoss, SinceReport, TouchedDocument};
pub use space::Space;
pub use status::{
    CollectionStatus, DiskStatus, LinkStatus, NetworkState, NetworkStatus, NodeStatus, SpaceStatus, Status, StatusWatch,
};
pub use typed::{Counter, Text, Timestamp, TypeError, from_value, to_value};
pub use watch::{Changes, Watcher};

pub use farshore_core::catalogue::{CollectionDefinition, ConflictPolicy, ContainerKind, DeletePolicy, SchemaStep};
pub use farshore_core::document::diff::diff;
pub use farshore_core::document::{Candidate, Conflict, Edit, EditError, Expand, Outcome, Path, Step};
pub use farshore_core::id::{
    CollectionTag, DeviceId, DocumentId, EntryHash, Incarnation, JournalId, ParseIdError, Position, SpaceId, UserId,
};
pub use farshore_core::input::{DocEdit, DocOp, MemberInfo};
pub use farshore_core::job::WriteError;
pub use farshore_core::output::{CheckpointMade, Edited, Paused, RequestError};
pub use farshore_core::role::Role;
pub use farshore_core::subscription::Priority;
pub use farshore_core::value::{Tagged, Value};
pub use farshore_net::{
    DialError, Flow as TransportFlow, Health, LinkStatus as TransportLink, PeerState, PeerStatus as TransportPeer,
    Status as TransportStatus, Traffic,
};
pub use farshore_store::{KeyError, OpenError, Problem, Rejected, Report};

/// The program of the README is compiled with the other examples of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The version of the store file that this build writes; it reads older ones and refuses newer ones.
pub const FILE_SCHEMA: u32 = farshore_store::SCHEMA_VERSION;
/// The version of the protocol that this build speaks with peers.
pub const PROTOCOL_VERSION: u32 = farshore_core::wire::PROTOCOL_VERSION as u32;
