//! Why a change is refused.

use automerge::ChangeHash;

/// Why bytes are not a change that Farshore takes.
///
/// Whose fault: always that of whoever made the change. Relaying it is no fault: relays cannot read changes. What to do:
/// refuse the entry that holds it; asking again gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The chunk is longer than a change may be.
    #[error("the change has {bytes} bytes, more than the {limit} allowed: split the edit", limit = super::limits::CHANGE_BYTES)]
    Size {
        /// Bytes of the chunk.
        bytes: usize,
    },
    /// The first four bytes are not Automerge's.
    #[error("not an Automerge chunk: wrong magic bytes")]
    Magic,
    /// A document, a compressed change or a bundle; Automerge's own decoders of these are not safe on foreign bytes.
    #[error("chunk type {0} where only an uncompressed change (1) is taken: send plain changes")]
    ChunkType(u8),
    /// The chunk's declared length is not the length of what follows.
    #[error("the chunk declares {declared} bytes and has {actual}")]
    Length {
        /// Length in the chunk's header.
        declared: u64,
        /// Length of what follows the header.
        actual: usize,
    },
    /// The chunk's checksum is not that of its contents.
    #[error("the chunk's checksum is wrong: the bytes were damaged on the way")]
    Checksum,
    /// The bytes end within this part.
    #[error("the change ends within its {0}")]
    Truncated(Part),
    /// Bytes follow where this part must end. After the columns: an author footer or unknown extension.
    #[error("the change has bytes left over after its {0}")]
    Leftover(Part),
    /// A number of this part is overlong or does not fit 64 bits.
    #[error("a number in the change's {0} is not minimal LEB128")]
    Number(Part),
    /// A number or length of this part is outside its limits.
    #[error("the change's {part} has {value}, outside its limits")]
    Limit {
        /// Where.
        part: Part,
        /// The value, or its saturation.
        value: i128,
    },
    /// This part must be strictly ascending and is not.
    #[error("the change's {0} are not strictly ascending")]
    Order(Part),
    /// This part is not UTF-8.
    #[error("the change's {0} is not UTF-8")]
    Utf8(Part),
    /// A column that plain Automerge does not write, or a compressed one.
    #[error("column {0} is unknown or compressed")]
    UnknownColumn(u64),
    /// A column is encoded otherwise than Automerge encodes the same values, so that a reload would change its hash.
    #[error("the change's {0} column is not encoded canonically")]
    Encoding(Part),
    /// A column has fewer or more rows than the action column.
    #[error("the change's {0} column has another number of rows than its actions")]
    Rows(Part),
    /// An actor is listed without being referred to, or the author is listed among the others.
    #[error("the change lists an actor that it does not refer to")]
    IdleActor,
    /// One operation is wrong.
    #[error("operation {index} of the change is wrong: {fault}")]
    Op {
        /// Position within the change, from 0.
        index: u32,
        /// What is wrong with it.
        fault: OpFault,
    },
    /// A dependency is not among the known changes.
    #[error("the change depends on {0}, which is not here yet")]
    MissingDependency(ChangeHash),
    /// An actor that the change refers to has no change among its ancestors.
    #[error("the change refers to an actor that has written nothing among its ancestors")]
    UnknownActor,
    /// The change does not directly follow its author's previous one.
    #[error("the change has sequence number {found} where its author's history asks for {expected}")]
    Sequence {
        /// One more than the author's changes among the ancestors.
        expected: u64,
        /// What the change says.
        found: u64,
    },
    /// Its author made two changes with one sequence number.
    #[error("{other} already has the author and sequence number {seq} of this change")]
    Equivocation {
        /// The number used twice.
        seq: u64,
        /// The change that was there first.
        other: ChangeHash,
    },
    /// The first operation's counter is too low or too far ahead.
    #[error("the change starts at operation {found}; its ancestors end at {ancestors}")]
    StartOp {
        /// Largest operation counter among the ancestors.
        ancestors: u64,
        /// What the change says.
        found: u64,
    },
    /// The index holds as many changes or actors as it can number.
    #[error("the document has more changes than can be numbered")]
    Full,
}

/// A part of a change, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Magic bytes, checksum, type and length.
    Header,
    /// Hashes of the changes that this one builds on.
    Deps,
    /// The author's actor id.
    Actor,
    /// The author's count of changes.
    Seq,
    /// Counter of the first operation.
    StartOp,
    /// Claimed time.
    Time,
    /// Commit message.
    Message,
    /// Other actors referred to.
    OtherActors,
    /// The list of columns and their lengths.
    Columns,
    /// Object that an operation changes.
    Object,
    /// Map key or list element that an operation changes.
    Key,
    /// Whether a list element is inserted.
    Insert,
    /// What an operation does.
    Action,
    /// Its value.
    Value,
    /// The operations that it supersedes.
    Pred,
    /// Whether a mark grows with the text beside it.
    Expand,
    /// Name of a mark.
    MarkName,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Deps => "dependencies",
            Self::Actor => "actor",
            Self::Seq => "sequence number",
            Self::StartOp => "first operation",
            Self::Time => "time",
            Self::Message => "message",
            Self::OtherActors => "other actors",
            Self::Columns => "columns",
            Self::Object => "object",
            Self::Key => "key",
            Self::Insert => "insert",
            Self::Action => "action",
            Self::Value => "value",
            Self::Pred => "predecessors",
            Self::Expand => "expand",
            Self::MarkName => "mark name",
        })
    }
}

/// What is wrong with one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpFault {
    /// An action that plain Automerge does not make. Tables (6) are among them: operations inside one crash Automerge.
    #[error("unknown action {0}")]
    Action(u64),
    /// The object id is half given, names no actor of the change, or is not older than the operation.
    #[error("the object id is no older operation")]
    ObjectId,
    /// The key is neither exactly one map key nor exactly one list element.
    #[error("the key is neither one map key nor one list element")]
    Key,
    /// The element id names no actor of the change or is not older than the operation.
    #[error("the element id is no older operation")]
    ElementId,
    /// An insertion that is keyed by string, deletes, increments or has predecessors.
    #[error("an insertion that inserts nothing new into a list")]
    Insert,
    /// A predecessor names no actor of the change or is not older than the operation.
    #[error("a predecessor is no older operation")]
    PredId,
    /// The predecessors are not strictly ascending by counter, then actor.
    #[error("the predecessors are not strictly ascending")]
    PredOrder,
    /// A deletion, an increment or an update of a list element that supersedes nothing.
    #[error("it must supersede something")]
    NoPred,
    /// The value's type, length or bytes are wrong, or do not fit the action.
    #[error("the value is malformed or does not fit the action")]
    Value,
    /// A mark outside pairs of begin and end, or mark fields on another operation.
    #[error("a mark without its other half, or mark fields on no mark")]
    Mark,
    /// The object is not among the ancestors, or is no object.
    #[error("the object does not exist among the ancestors")]
    NoObject,
    /// The object would stand inside more than [`DEPTH`](super::limits::DEPTH) others.
    #[error("the object is nested too deeply")]
    Depth,
    /// A map key in a list, a list element in a map, or a mark outside a text.
    #[error("the key or mark does not fit the kind of object")]
    ObjectKind,
    /// The element is not among the ancestors, or belongs to another object.
    #[error("the list element does not exist in that object among the ancestors")]
    NoElement,
    /// A predecessor is not among the ancestors, or belongs to another object or key, or cannot be superseded.
    #[error("a predecessor is no value of the same object and key among the ancestors")]
    NoPredecessor,
    /// A new value or increment over an element of a text. Where two such values conflict and the older is deleted, Automerge
    /// panics while it logs patches; where a counter in a text was incremented, it panics when it reads the text. Texts are
    /// edited by deletion and insertion.
    #[error("it changes an element of a text in place")]
    TextUpdate,
    /// An increment that supersedes no counter: Automerge panics when it shows such a change.
    #[error("it increments what is no counter")]
    NoCounter,
    /// The mark ends before it begins.
    #[error("the mark ends before it begins")]
    MarkOrder,
}
