//! What may be done to a document, as data, and why it was refused.

use std::collections::BTreeMap;

use thiserror::Error;

use super::path::{Path, Shown};
use crate::value::Value;

/// One edit of a document. Edits of a batch apply in order, each to what those before it left.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// Writes a map's key or overwrites a list's element. A map, list or text is created with all its content, in the place
    /// of what was there; to change what is there, and merge with others who do, use the other edits.
    Put {
        /// Where. Its last step must exist only if it is an index.
        path: Path,
        /// What.
        value: Value,
        /// Creates the maps that are missing on the way.
        create_parents: bool,
    },
    /// Inserts an element into a list, before the one at the position that the path ends in, or at the list's end.
    Insert {
        /// The list, then the position.
        path: Path,
        /// The new element.
        value: Value,
    },
    /// Deletes and inserts characters of a text. Positions count Unicode scalar values.
    Splice {
        /// The text.
        path: Path,
        /// Where.
        at: u64,
        /// How many characters go.
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
    /// Removes a map's key or a list's element.
    Delete {
        /// What.
        path: Path,
    },
    /// Marks a range of a text, for example as bold. Positions count Unicode scalar values.
    Mark {
        /// The text.
        path: Path,
        /// The first marked character.
        start: u64,
        /// The one after the last.
        end: u64,
        /// The mark's name.
        name: String,
        /// Its value: any scalar but null.
        value: Value,
        /// Whether text inserted at its ends is marked too.
        expand: Expand,
    },
    /// Removes marks of one name from a range of a text.
    Unmark {
        /// The text.
        path: Path,
        /// The first character.
        start: u64,
        /// The one after the last.
        end: u64,
        /// The mark's name.
        name: String,
        /// As in [`Edit::Mark`].
        expand: Expand,
    },
    /// Makes the whole document equal to a map by few edits, so that concurrent edits elsewhere in it stay. Plain values
    /// take the kind that is there: see [`diff`](super::diff::diff).
    Replace {
        /// A map.
        value: Value,
    },
    /// Makes the root's fields that the map names equal to it, as [`Edit::Replace`] does, and leaves the others alone.
    Merge {
        /// A map.
        value: Value,
    },
    /// Makes a text equal to another by few splices.
    UpdateText {
        /// The text.
        path: Path,
        /// Its new content.
        to: String,
    },
}

/// Whether text inserted at the ends of a mark is marked too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expand {
    /// At neither end, as for a link.
    None,
    /// Before the first character.
    Before,
    /// After the last character, as for bold.
    #[default]
    After,
    /// At both ends.
    Both,
}

impl Edit {
    /// Writes `value` at `path`, whose parents must be there.
    pub fn put(path: Path, value: impl Into<Value>) -> Edit {
        Edit::Put { path, value: value.into(), create_parents: false }
    }

    /// Makes the whole document equal to `fields`.
    pub fn replace(fields: BTreeMap<String, Value>) -> Edit {
        Edit::Replace { value: Value::Map(fields) }
    }
}

/// Why a batch of edits was refused. Nothing of it was applied. The caller's fault, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EditError {
    /// A step of the path does not exist.
    #[error("no such path: {} ends at {}; create it first, or ask for missing parents to be created", Shown(.path), Shown(.missing))]
    NoSuchPath {
        /// The path that was given.
        path: Path,
        /// The path up to and with the first step that is missing.
        missing: Path,
    },
    /// What is there does not take this edit.
    #[error("{} is {found}; this edit takes {needed}", Shown(.path))]
    WrongKind {
        /// Where.
        path: Path,
        /// What is there.
        found: &'static str,
        /// What it takes.
        needed: &'static str,
    },
    /// A position is beyond the end.
    #[error("position {position} is beyond the end of {}, which has {length} {unit}", Shown(.path))]
    OutOfRange {
        /// The list or text.
        path: Path,
        /// The position.
        position: u64,
        /// How long it is.
        length: u64,
        /// What it is made of.
        unit: &'static str,
    },
    /// A range to mark is empty or ends before it begins.
    #[error("the range {start}..{end} of {} is empty; its end must be after its start", Shown(.path))]
    EmptyRange {
        /// The text.
        path: Path,
        /// The range's start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// A mark's value is not a scalar, or is null, which would remove marks.
    #[error("the mark on {} has {found} as its value; give a string, number, boolean or bytes, or unmark the range", Shown(.path))]
    MarkValue {
        /// The text.
        path: Path,
        /// What was given.
        found: &'static str,
    },
    /// The edit is about the root, which is always a map and cannot be put, deleted or overwritten.
    #[error("the document itself cannot be {what}; give the path of a field, or replace the whole document by a map")]
    Root {
        /// What was asked.
        what: &'static str,
    },
    /// Maps and lists would nest too deep.
    #[error("{} would nest maps and lists deeper than {limit} levels; flatten the value", Shown(.path))]
    TooDeep {
        /// The first container below the limit.
        path: Path,
        /// The limit.
        limit: usize,
    },
    /// A value is too large.
    #[error("the value at {} has {bytes} bytes, over the limit of {limit}; split it", Shown(.path))]
    TooLarge {
        /// Where it would be.
        path: Path,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A map key is too long.
    #[error("a key in {} has {bytes} bytes, over the limit of {limit}; shorten it", Shown(.path))]
    KeyTooLong {
        /// The map.
        path: Path,
        /// The key's size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A counter is written, or added to, with a number that peers do not take.
    #[error("{by} is too much for the counter at {}; write or add at most {limit} either way", Shown(.path))]
    CounterStep {
        /// The counter.
        path: Path,
        /// What was to be written or added.
        by: i64,
        /// The limit.
        limit: i64,
    },
    /// A counter would leave the range of 64 bits.
    #[error("the counter at {} is {value}; adding {by} leaves the range of 64 bits", Shown(.path))]
    CounterRange {
        /// The counter.
        path: Path,
        /// Its value.
        value: i64,
        /// What was to be added.
        by: i64,
    },
    /// The batch makes a larger change than peers take.
    #[error("the batch makes a change of {size} {unit}, over the limit of {limit}; split it into several batches")]
    BatchTooLarge {
        /// How large.
        size: usize,
        /// In what.
        unit: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The edit would make the document larger than edits may, or others have made it so already.
    #[error(
        "the document has no room for this edit: it may have {limit} {unit} and is read-only beyond; delete it, or copy what is needed to a new one"
    )]
    Oversize {
        /// In what.
        unit: &'static str,
        /// The limit of the whole document.
        limit: u64,
    },
    /// The document has used up its operation numbers.
    #[error("the document has had {limit} operations, which is all it can have; copy its content to a new document")]
    Full {
        /// The limit.
        limit: u64,
    },
    /// A fault of ours: Automerge refused what was checked.
    #[error("an edit that was checked was refused inside: {0}; nothing was changed; please report this")]
    Internal(String),
}
