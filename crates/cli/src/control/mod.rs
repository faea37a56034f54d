//! The control socket: how a command reaches the device that `farshore up` runs.
//!
//! One line of JSON is one message. The server greets; then the client sends a request and reads replies until `done`
//! or `error`, as often as it likes. An import sends its rows in numbered batches behind the request and reads an
//! acknowledgement for each when it is durable. Closing the connection ends the request that runs.
//!
//! The same requests run in the command's own process where no device runs: see [`Session`].

mod client;
mod endpoint;
mod exchange;
mod item;
mod line;
mod message;
mod server;
mod watch_item;

pub use client::{Client, Import, Replies, Session};
pub use endpoint::{Claim, Endpoint};
pub use exchange::{Batches, Exchange, Executor, ReplySink};
pub use item::{
    ChangeItem, CheckItem, CheckpointItem, CollectionItem, ConflictItem, DigestItem, DocumentItem, ImportedItem,
    InitItem, LogItem, MemberItem, PauseItem, PeerItem, ProblemItem, SpaceItem, SpaceSync, StatusItem, TicketItem,
    UpItem, WrittenItem,
};
pub(crate) use item::{decode, encode};
pub use message::{
    Batch, CONTROL_VERSION, ClientLine, Comparison, Container, DeletePolicy, DocumentName, Edit, Filter, Greeting,
    Place, Priority, Reply, Request, Role,
};
pub use server::{Server, ServerOptions};
pub use watch_item::{
    CameItem, CollectionProgressItem, DistributionItem, EventItem, FlowItem, HeldUpItem, LatencyItem, LossItem,
    OwnItem, PeerProgressItem, ProgressItem, SinceItem, TouchedItem,
};
