//! What can go wrong, by whose fault: the caller's, the disk's, the network's, or ours.

use std::sync::Arc;
use std::time::Duration;

use farshore_core::id::{DocumentId, ParseIdError};
use farshore_core::job::WriteError;
use farshore_core::output::RequestError;
use farshore_core::value::Value;
use farshore_store::{KeyError, OpenError, StoreError};

use crate::disk::DiskFailure;
use crate::typed::TypeError;

/// Why a call failed. Nothing of what it asked for was done, unless the variant says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store could not be opened or created.
    #[error(transparent)]
    Open(Arc<OpenError>),
    /// The store's key could not be used.
    #[error(transparent)]
    Key(Arc<KeyError>),
    /// The store was opened and what is in it is not a device that this build can run.
    #[error("the store opens, but its records do not make a device: {0}")]
    Replica(String),
    /// A choice of the builder is out of bounds.
    #[error("{0}")]
    Invalid(String),
    /// The store failed while the node was running. Reads may go on; writes go on as soon as the disk does.
    ///
    /// For a write, whether it became durable is unknown: read the document to find out.
    #[error("the store failed: {message}")]
    Disk {
        /// Cause and remedy.
        message: String,
        /// Whether the same may succeed later: true for a full disk.
        retryable: bool,
    },
    /// A record of the store does not read back. Other records are not affected.
    #[error("the store's record of {what} is damaged: {cause}; `farshore check` lists what is affected")]
    Damaged {
        /// Which record.
        what: String,
        /// What was wrong with it.
        cause: String,
    },
    /// The engine refused the request.
    #[error(transparent)]
    Refused(#[from] RequestError),
    /// The edits of a document were refused; it is as it was.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// There is no such document, or it was deleted.
    #[error("there is no document {0} in the collection; it may have been deleted")]
    NoDocument(DocumentId),
    /// No space on this device has this id or name.
    #[error("no space `{0}` on this device: join it with a ticket, or create it")]
    NoSpace(String),
    /// Several spaces on this device have this name.
    #[error("{count} spaces are called `{name}`: use the id")]
    AmbiguousSpace {
        /// The name.
        name: String,
        /// How many have it.
        count: usize,
    },
    /// The document and the app's type do not fit.
    #[error("the document and the type {to} do not fit: {cause}")]
    Type {
        /// The app's type.
        to: &'static str,
        /// Where they differ.
        cause: TypeError,
    },
    /// A text is not an identifier.
    #[error(transparent)]
    Id(#[from] ParseIdError),
    /// The time that the caller allowed is over. A request may still be carried out.
    #[error("{what} took longer than {} s{hint}", .after.as_secs())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
        /// What stood in the way, if known; starts with a separator.
        hint: String,
    },
    /// An address is not one that can be dialled, or nobody answered there.
    #[error("cannot reach {address}: {cause}")]
    Dial {
        /// The address.
        address: String,
        /// Why, and what to do.
        cause: String,
    },
    /// The node runs without a network, or it could not be started.
    #[error("this node has no network: {0}")]
    NoNetwork(String),
    /// The node has been shut down.
    #[error("the node has been shut down: open it again")]
    Closed,
    /// [`Node::open`](crate::Node::open) was called outside a tokio runtime.
    #[error("the node needs a tokio runtime with time and I/O enabled: call it from inside one")]
    NoRuntime,
    /// The operating system has no randomness to give.
    #[error("the operating system gives no randomness: {cause}")]
    Randomness {
        /// What it said.
        cause: String,
    },
    /// The operating system refused a thread.
    #[error("the operating system refused to start a thread: {0}; end other programs and try again")]
    Thread(String),
    /// A fault of ours. Please report it.
    #[error("an internal fault: {0}; please report this")]
    Internal(String),
}

impl Error {
    /// Whether the same call may succeed later without the caller changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Disk { retryable, .. } => *retryable,
            Error::Open(error) => {
                matches!(**error, OpenError::InUse { .. } | OpenError::Full(_) | OpenError::Io { .. })
            }
            Error::Timeout { .. } | Error::Dial { .. } | Error::Thread(_) => true,
            Error::Write(WriteError::Changed(_)) => true,
            Error::Refused(RequestError::NoKey | RequestError::Cancelled) => true,
            _ => false,
        }
    }

    pub(crate) fn thread(cause: std::io::Error) -> Self {
        Error::Thread(cause.to_string())
    }

    pub(crate) fn not_a_map<T>(found: &Value) -> Self {
        Self::mistyped::<T>(TypeError::new(format!(
            "a document is a map of fields, and this is {}; use a struct or a map",
            found.kind()
        )))
    }

    pub(crate) fn mistyped<T>(cause: TypeError) -> Self {
        Error::Type { to: std::any::type_name::<T>(), cause }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Error::Open(Arc::new(error))
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Error::Key(Arc::new(error))
    }
}

impl From<DiskFailure> for Error {
    fn from(failure: DiskFailure) -> Self {
        Error::Disk { message: failure.message, retryable: failure.retryable }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        DiskFailure::from(error).into()
    }
}
