//! Everything that is said over the control socket.

use crate::exit::Failure;
use crate::formats::{Fields, Row, Typed};
use crate::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The version of these messages. Both sides are normally one binary; after an upgrade the running one may be older.
pub const CONTROL_VERSION: u32 = 1;

/// A collection, in a space that may be left out where the store has only one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The space's name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// The collection's name.
    pub collection: String,
}

/// How a person names a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentName {
    /// By the key that its id is derived from.
    Key(String),
    /// By its id, in the text form.
    Id(String),
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocumentName::Key(name) | DocumentName::Id(name) => f.write_str(name),
        }
    }
}

/// What a member of a space may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads, writes, creates collections, and invites others.
    Admin,
    /// Reads and writes.
    Writer,
    /// Reads.
    Reader,
    /// Stores and forwards what it cannot read; it cannot serve yet.
    Relay,
}

/// How urgently a device wants a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Before all others.
    Eager,
    /// Like most.
    Normal,
    /// When nothing else is on its way, and never on a metered network.
    Lazy,
    /// Only at `farshore sync`.
    Manual,
    /// Never.
    None,
    /// As if no rule had this pattern.
    Default,
}

/// What becomes of an edit and a deletion that did not know of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DeletePolicy {
    /// The document is deleted.
    #[default]
    DeleteWins,
    /// The document stays.
    EditWins,
}

/// What a keyed document has from its beginning under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// A text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
}

/// One edit of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Edit {
    /// Puts a value at a place.
    Set {
        /// Where.
        path: Path,
        /// What.
        value: Typed,
    },
    /// Inserts a value into a list, before a position or at the end.
    Insert {
        /// The list's path with a position or `[]`.
        path: Path,
        /// What.
        value: Typed,
    },
    /// Replaces characters of a text.
    Splice {
        /// The text.
        path: Path,
        /// Before which character, from 0.
        position: u64,
        /// How many characters vanish.
        delete: u64,
        /// What comes in their place.
        insert: String,
    },
    /// Adds to a counter.
    Increment {
        /// The counter.
        path: Path,
        /// How much; may be negative.
        by: i64,
    },
    /// Removes a field or an element.
    Delete {
        /// Which.
        path: Path,
    },
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal, or missing.
    NotEqual,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

/// A condition on the documents of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What is compared.
    pub path: Path,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: Typed,
}

/// What a command asks of a device.
///
/// Shape: one variant per command that touches a node; its replies are named beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Creates a space. One [`SpaceItem`](super::SpaceItem).
    SpaceCreate {
        /// Its name, for people.
        name: String,
    },
    /// Lists the spaces. A [`SpaceItem`](super::SpaceItem) each.
    SpaceList {},
    /// Lists the members of a space. A [`MemberItem`](super::MemberItem) each.
    SpaceMembers {
        /// Which; the only one if left out.
        space: Option<String>,
    },
    /// Defines a collection. One [`CollectionItem`](super::CollectionItem).
    CollectionCreate {
        /// Which; the only one if left out.
        space: Option<String>,
        /// Its name.
        name: String,
        /// The policy for concurrent edit and deletion.
        on_delete: DeletePolicy,
        /// The containers that every keyed document has from its beginning.
        containers: Vec<(String, Container)>,
    },
    /// Lists the collections of a space. A [`CollectionItem`](super::CollectionItem) each.
    CollectionList {
        /// Which; the only one if left out.
        space: Option<String>,
    },
    /// Chooses how urgently collections are wanted. One [`SpaceSync`](super::SpaceSync).
    Subscribe {
        /// Which space.
        space: String,
        /// A name, a beginning of names that ends in a slash, or `*`.
        pattern: String,
        /// How urgently.
        priority: Priority,
    },
    /// Exchanges nothing until it is resumed. A [`SpaceSync`](super::SpaceSync) of each space it is about.
    Pause {
        /// Of this space; of all if left out.
        space: Option<String>,
    },
    /// Ends a pause. A [`SpaceSync`](super::SpaceSync) of each space it is about.
    Resume {
        /// Of this space; the pause of all if left out.
        space: Option<String>,
    },
    /// Compares with all peers now, takes in once what is wanted by hand only, and tries again what is stuck. A
    /// [`SpaceSync`](super::SpaceSync) of each space it is about.
    Sync {
        /// This space; all that are not paused if left out.
        space: Option<String>,
    },
    /// Writes a ticket. One [`TicketItem`](super::TicketItem).
    Invite {
        /// Which; the only one if left out.
        space: Option<String>,
        /// The role of who joins.
        role: Role,
        /// How long the ticket is good for, in milliseconds.
        valid_ms: u64,
        /// Addresses to write into the ticket in place of the device's own.
        addresses: Vec<String>,
    },
    /// Joins a space by a ticket. One [`SpaceItem`](super::SpaceItem).
    Join {
        /// The ticket's text.
        ticket: String,
        /// How long to wait for the inviter, in milliseconds.
        wait_ms: u64,
        /// Whether to wait, too, until everything that the inviter has is here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sync: bool,
    },
    /// Creates a document, or updates the one of this name. One [`WrittenItem`](super::WrittenItem).
    Put {
        /// Where.
        place: Place,
        /// Its name; a new random id if left out.
        document: Option<DocumentName>,
        /// Its fields. Those it has and that are not named stay.
        fields: Fields,
        /// Whether the fields that are not named go.
        replace: bool,
    },
    /// Reads a document, or a part of it. One [`DocumentItem`](super::DocumentItem).
    Get {
        /// Where.
        place: Place,
        /// Which.
        document: DocumentName,
        /// Which part; all of it if left out.
        path: Option<Path>,
        /// Whether to tell the other values where there is a conflict.
        conflicts: bool,
    },
    /// Edits a document, all edits or none. One [`WrittenItem`](super::WrittenItem).
    Edit {
        /// Where.
        place: Place,
        /// Which.
        document: DocumentName,
        /// The edits, in order.
        edits: Vec<Edit>,
    },
    /// Deletes documents. A [`WrittenItem`](super::WrittenItem) each.
    Remove {
        /// Where.
        place: Place,
        /// Which.
        documents: Vec<DocumentName>,
    },
    /// Lists documents. A [`DocumentItem`](super::DocumentItem) each.
    List {
        /// Where.
        place: Place,
        /// Conditions that all hold.
        filters: Vec<Filter>,
        /// How many at most; all if left out.
        limit: Option<u64>,
    },
    /// Takes rows in batches. An `ack` for each, then one [`ImportedItem`](super::ImportedItem).
    Import {
        /// Where; the collection is created if it does not exist.
        place: Place,
        /// Whether every row has a key, so that it updates the document of that key.
        keyed: bool,
        /// How many rows there will be.
        rows: u64,
    },
    /// Gives all documents, in the order of their ids. A [`DocumentItem`](super::DocumentItem) each, its value in the
    /// tagged form.
    Export {
        /// Where.
        place: Place,
    },
    /// Tells every change as it happens, without end. A [`ChangeItem`](super::ChangeItem) each.
    Watch {
        /// Where.
        place: Place,
        /// Which document; all if left out.
        document: Option<DocumentName>,
        /// Whether to tell first what there is.
        initial: bool,
    },
    /// Tells the state of the device. One [`StatusItem`](super::StatusItem), or one at every change.
    Status {
        /// Whether to go on.
        watch: bool,
    },
    /// Tells everything that happens, without end. An [`EventItem`](super::EventItem) each.
    Events {},
    /// Tells what happened since this device was last online, or since a marker. One [`SinceItem`](super::SinceItem), or
    /// none where the marker is moved for the first time.
    Since {
        /// The marker.
        marker: Option<String>,
        /// Whether to move the marker here afterwards.
        moving: bool,
    },
    /// Lists the peers. A [`PeerItem`](super::PeerItem) each.
    Peers {},
    /// Lists entries, the newest first. A [`LogItem`](super::LogItem) each.
    Log {
        /// Which space; the only one if left out.
        space: Option<String>,
        /// Which collection; all if left out.
        collection: Option<String>,
        /// How many at most.
        limit: u64,
    },
    /// Makes a checkpoint of a collection. One [`CheckpointItem`](super::CheckpointItem).
    Checkpoint {
        /// Where.
        place: Place,
    },
    /// Computes a collection's fingerprints. One [`DigestItem`](super::DigestItem).
    Digest {
        /// Where.
        place: Place,
    },
}

impl Request {
    /// Whether batches of rows follow.
    pub fn takes_rows(&self) -> bool {
        matches!(self, Request::Import { .. })
    }
}

/// Rows of an import, numbered from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The number.
    pub number: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A line from a client.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientLine {
    /// What it asks for.
    Request(Request),
    /// Rows of the import that it asked for.
    Rows(Batch),
    /// No more rows.
    End {},
}

/// The first line from a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// [`CONTROL_VERSION`] of the server.
    pub control: u32,
    /// Its process id.
    pub pid: u32,
    /// Its version, for people.
    pub version: String,
}

/// A line from a server after the greeting, and an envelope of `--json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// One result.
    Item(Value),
    /// How far the request is. May be left out where the reader is slow.
    Progress {
        /// How much is done.
        done: u64,
        /// Of how much, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// Of what.
        unit: String,
    },
    /// A batch of an import is durable.
    Ack {
        /// Its number.
        batch: u64,
        /// Rows of this import that are durable by now.
        rows: u64,
    },
    /// The request succeeded; the last line.
    Done {},
    /// The request failed; the last line.
    Error(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_one_line_with_its_kind_as_the_name() {
        let place = Place { space: None, collection: "airports".into() };
        let lines = [
            (ClientLine::Request(Request::SpaceList {}), r#"{"request":{"space-list":{}}}"#),
            (ClientLine::End {}, r#"{"end":{}}"#),
            (
                ClientLine::Request(Request::Edit {
                    place: place.clone(),
                    document: DocumentName::Key("KJFK".into()),
                    edits: vec![Edit::Increment { path: "visits".parse().unwrap(), by: -1 }],
                }),
                concat!(
                    r#"{"request":{"edit":{"place":{"collection":"airports"},"document":{"key":"KJFK"},"#,
                    r#""edits":[{"increment":{"path":["visits"],"by":-1}}]}}}"#
                ),
            ),
            (
                ClientLine::Rows(Batch {
                    number: 1,
                    rows: vec![Row { line: 2, key: Some("k".into()), fields: vec![("n".into(), Typed::Counter(1))] }],
                }),
                r#"{"rows":{"number":1,"rows":[{"line":2,"key":"k","fields":[["n",{"$counter":1}]]}]}}"#,
            ),
        ];
        for (line, text) in lines {
            assert_eq!(serde_json::to_string(&line).unwrap(), text);
            assert_eq!(serde_json::from_str::<ClientLine>(text).unwrap(), line);
        }
        assert_eq!(serde_json::to_string(&Reply::Done {}).unwrap(), r#"{"done":{}}"#);
    }

    #[test]
    fn a_request_of_a_newer_version_is_not_half_understood() {
        for text in [
            r#"{"request":{"space-list":{"also":1}}}"#,
            r#"{"request":{"export":{"place":{"collection":"a","where":"b"}}}}"#,
            r#"{"request":{"unheard-of":{}}}"#,
        ] {
            assert!(serde_json::from_str::<ClientLine>(text).is_err(), "{text}");
        }
    }
}
