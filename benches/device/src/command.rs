//! What the driver asks, and what a device answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the driver asks of a device. One at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Opens or creates the store, and with `network` listens on loopback. With `read`, reads one document at once.
    /// [`Answer::Opened`].
    Open {
        /// A file or directory of the device's own.
        path: PathBuf,
        /// `tcp` or `quic`; none: no network.
        network: Option<String>,
        /// A document to read as soon as the store is open.
        read: Option<String>,
    },
    /// Begins a shared set of documents, if the engine has such a thing. [`Answer::Done`].
    Found,
    /// What another device needs to take part. [`Answer::Text`].
    Invite,
    /// Takes part, and connects. It returns when the device could write, or would be sent documents. [`Answer::Done`].
    Join(String),
    /// Ends the connection. [`Answer::Done`].
    Disconnect,
    /// Connects again. With `in_sync` it returns when the device knows that it and its peer hold the same.
    /// [`Answer::At`].
    Connect {
        /// Whether to wait.
        in_sync: bool,
    },
    /// Writes this many task documents, with numbers from `from`, as fast as the engine can, and returns when they are
    /// acknowledged. [`Answer::Documents`].
    Fill {
        /// The number of the first.
        from: u32,
        /// How many.
        count: u32,
    },
    /// Writes one document with a text in which each character was inserted by a change of its own. [`Answer::Documents`].
    Text {
        /// How many changes.
        changes: u32,
    },
    /// Waits until all these documents are durable here, and then until the content of each was read. [`Answer::Arrived`].
    Await(Vec<String>),
    /// Waits until the numbers of all these documents are at least this. [`Answer::At`].
    AwaitNumber {
        /// The documents.
        documents: Vec<String>,
        /// What is waited for.
        number: u64,
    },
    /// Sets the number of each of these documents, one after another. [`Answer::At`].
    SetNumbers {
        /// The documents.
        documents: Vec<String>,
        /// The number.
        number: u64,
    },
    /// Begins to watch a document. [`Answer::Done`].
    Watch(String),
    /// Notes when the watched document first showed each count from `from + 1` to `from + count`: its number, or the length
    /// of its text. [`Answer::Times`] with one time each.
    Observe {
        /// Where it stands.
        from: u64,
        /// How many steps.
        count: u64,
    },
    /// Counts a document up from `from + 1` to `from + count`: sets its number, or adds a character to its text, one edit
    /// each. [`Answer::Times`]: when each began; and the last time when the last was acknowledged.
    Count {
        /// The document.
        document: String,
        /// Where it stands.
        from: u64,
        /// How many edits.
        count: u64,
        /// Time from one to the next, in microseconds; 0: as fast as it goes.
        every_us: u64,
        /// Edits that may be unacknowledged at a time.
        in_flight: usize,
    },
    /// Counts many documents up at the same time, each by an own writer that waits for each of its edits.
    /// [`Answer::At`].
    CountMany {
        /// The documents.
        documents: Vec<String>,
        /// Edits of each.
        each: u64,
    },
    /// Waits until nothing was sent or received for this long. [`Answer::At`]: the time of the last frame, or about.
    Settle {
        /// In milliseconds.
        quiet_ms: u64,
    },
    /// What it has cost so far. [`Answer::Usage`].
    Usage,
    /// The length of a document's text, as read from the store. [`Answer::Number`].
    TextLength(String),
    /// Types a recorded trace into a new document. [`Answer::Documents`]; engines may refuse.
    Trace {
        /// The file.
        path: PathBuf,
        /// Edits to leave out at the end.
        leave: usize,
    },
    /// Goes on with the trace's last edits. [`Answer::Times`] as for `Count`.
    TraceRest {
        /// The document.
        document: String,
        /// The file.
        path: PathBuf,
        /// Edits at the end.
        rest: usize,
        /// As in `Count`.
        every_us: u64,
        /// As in `Count`.
        in_flight: usize,
    },
    /// Waits until the document's text is the trace's end. [`Answer::At`].
    AwaitTrace {
        /// The document.
        document: String,
        /// The file.
        path: PathBuf,
        /// Edits left out at the end.
        leave: usize,
    },
    /// Closes the store in order, and ends. [`Answer::Done`].
    Close,
}

/// What a device answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Done, and when.
    Done,
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// A time.
    At(u64),
    /// When opening began, when it was done, and when the first read was, if one was asked for.
    Opened {
        /// Before.
        began_ns: u64,
        /// After.
        open_ns: u64,
        /// After the read.
        read_ns: Option<u64>,
    },
    /// Documents were written.
    Documents {
        /// Their ids, in order.
        ids: Vec<String>,
        /// Before the first.
        began_ns: u64,
        /// After the last was acknowledged.
        done_ns: u64,
    },
    /// Documents arrived.
    Arrived {
        /// All are durable, as far as the engine's storage goes.
        durable_ns: u64,
        /// All were read.
        readable_ns: u64,
    },
    /// Times, in order.
    Times(Vec<u64>),
    /// What it has cost.
    Usage(Usage),
    /// It could not.
    Failed(String),
}

/// What a device has cost since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory now, in bytes.
    pub memory_bytes: u64,
    /// Resident memory at its highest, in bytes.
    pub peak_bytes: u64,
    /// What was sent and received.
    pub traffic: Traffic,
}

/// Frames of the engine's own protocol, and their bytes with their lengths, before any encryption of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Frames sent.
    pub sent_frames: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames received.
    pub received_frames: u64,
    /// Their bytes.
    pub received_bytes: u64,
}
