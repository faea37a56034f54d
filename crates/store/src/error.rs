//! What can go wrong with a store, by whose fault it is, each with what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a store could not be created or opened. Nothing was changed on disk, except by a `create` that had begun and is undone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Caller: nothing is there.
    #[error("there is no store at `{}`: create one with `farshore init`, or check the path for a typing error", .0.display())]
    Missing(PathBuf),
    /// Caller: a store must not be created over something.
    #[error("`{}` exists already: open it, or choose another path; nothing was overwritten", .0.display())]
    Exists(PathBuf),
    /// Caller: the directory of a new store is missing.
    #[error("the directory of `{}` does not exist: create it first", .0.display())]
    NoDirectory(PathBuf),
    /// Caller: a part of the path before its end is a file.
    #[error("a part of `{}` that should be a directory is a file: check the path", .0.display())]
    NotADirectory(PathBuf),
    /// Caller: the path names a directory.
    #[error("`{}` is a directory, not a store: name the file in it", .0.display())]
    IsDirectory(PathBuf),
    /// Caller: the system denies access.
    #[error("no permission to read and write `{}`: run as its owner, or correct its permissions and those of its directories", .0.display())]
    Denied(PathBuf),
    /// Caller: the file or its file system may not be written.
    #[error("`{}` is read-only, and a store must be written even to be read safely: make the file and its file system writable", .0.display())]
    ReadOnly(PathBuf),
    /// Caller: some other file.
    #[error("`{0}` is not a Farshore store ({1}): check the path; the file was not touched")]
    NotAStore(Source, &'static str),
    /// Caller: the key belongs to another store.
    #[error(
        "`{store}` was not encrypted with {key}: put the key file that was created with this store in its place; without it the content cannot be recovered"
    )]
    WrongKey {
        /// The store.
        store: Source,
        /// Where the key came from.
        key: KeyOrigin,
    },
    /// Caller: another process has it open, or this one twice.
    #[error(
        "`{store}` is in use by {holder}: stop that first, or let it do the work (`farshore` commands reach a running `farshore up` by themselves)"
    )]
    InUse {
        /// The store.
        store: Source,
        /// Who.
        holder: Holder,
    },
    /// Caller: written by a newer Farshore.
    #[error(
        "`{store}` has {what} version {found}; this build knows up to {known}: update Farshore on this device; the store was not changed"
    )]
    Newer {
        /// The store.
        store: Source,
        /// Which of the versions.
        what: &'static str,
        /// The version in the file.
        found: u64,
        /// The newest that this build reads.
        known: u64,
    },
    /// Disk: the file is shorter than it says, or its content makes no sense.
    #[error(
        "`{store}` is damaged ({detail}): keep a copy of the file, restore it from a backup, or create a new store and sync from a peer; check the disk"
    )]
    Damaged {
        /// The store.
        store: Source,
        /// What was found.
        detail: String,
    },
    /// Disk: no space.
    #[error("no space left for `{0}`: free some and try again; nothing was lost")]
    Full(Source),
    /// Disk: anything else.
    #[error("`{store}` cannot be used: {error}")]
    Io {
        /// The store.
        store: Source,
        /// As the system says it.
        #[source]
        error: io::Error,
    },
}

impl OpenError {
    /// Gives an I/O error of a path its meaning.
    pub(crate) fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::NotFound => OpenError::Missing(path),
            io::ErrorKind::AlreadyExists => OpenError::Exists(path),
            io::ErrorKind::NotADirectory => OpenError::NotADirectory(path),
            io::ErrorKind::IsADirectory => OpenError::IsDirectory(path),
            io::ErrorKind::PermissionDenied => OpenError::Denied(path),
            io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full(Source::File(path)),
            _ => OpenError::Io { store: Source::File(path), error },
        }
    }

    /// Gives an error met while reading a store's first records its meaning.
    pub(crate) fn from_store(store: &Source, error: StoreError) -> Self {
        let store = store.clone();
        match error {
            StoreError::Full => OpenError::Full(store),
            StoreError::Io(error) => OpenError::Io { store, error },
            other => OpenError::Damaged { store, detail: other.to_string() },
        }
    }
}

/// What holds a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A backend that the caller gave: memory, in tests and the simulator.
    Backend,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Backend => f.write_str("the given backend"),
        }
    }
}

/// Where a key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrigin {
    /// A key file.
    File(PathBuf),
    /// The caller's bytes.
    Given,
}

impl fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyOrigin::File(path) => write!(f, "the key in `{}`", path.display()),
            KeyOrigin::Given => f.write_str("the key that was given"),
        }
    }
}

/// The process that has a store open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// This very process.
    Ourselves,
    /// Another process.
    Process {
        /// Its process id.
        pid: u32,
        /// Its command line, where the system shows it.
        command: Option<String>,
    },
    /// It left no readable record (yet).
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Ourselves => f.write_str("this process itself"),
            Holder::Process { pid, command: Some(command) } => write!(f, "process {pid} (`{command}`)"),
            Holder::Process { pid, command: None } => write!(f, "process {pid}"),
            Holder::Unknown => f.write_str("another process"),
        }
    }
}

/// Why a key file could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Caller: the store is there, its key is not.
    #[error(
        "the key file `{}` of the store `{}` is missing: put it back from where it was kept; without it the store cannot be read", key.display(), store.display()
    )]
    Missing {
        /// The key file that was looked for.
        key: PathBuf,
        /// The store that needs it.
        store: PathBuf,
    },
    /// Caller: others may read the key.
    #[error(
        "the key file `{}` may be read by others (mode {mode:04o}): run `chmod 600 {}`, and consider the store's content known to whoever could read both", .path.display(), .path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Caller or disk: not a key file, or a damaged one.
    #[error("`{}` is not a Farshore key file ({detail}): restore it from a copy; it was not changed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// Caller: written by a newer Farshore.
    #[error("the key file `{}` has version {found}; this build knows 1: update Farshore on this device", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Disk or permissions.
    #[error("the key file `{}` cannot be used: {error}; check that its directory exists and is yours", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// As the system says it.
        #[source]
        error: io::Error,
    },
}

/// Why an open store could not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Disk: no space. Nothing of the call is stored; what was acknowledged before is safe. Free space and open the store again.
    #[error(
        "no space left on the disk: nothing of this write was stored, all earlier writes are safe; free some space and open the store again"
    )]
    Full,
    /// Disk: it refused to read, write or sync. A write in progress is stored wholly or not at all; open the store again to know.
    #[error("the disk failed: {0}; what was acknowledged is safe; check the disk and open the store again")]
    Io(#[source] io::Error),
    /// Disk: an earlier failure makes this store object unusable.
    #[error("the store stopped after an earlier failure: open it again")]
    Stopped,
    /// Disk: a value is not the one that was stored.
    #[error(
        "the store is damaged: table `{table}`, key {key}: {detail}; run `farshore check`, restore a backup or sync anew from a peer"
    )]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The key, in hexadecimal, or the name.
        key: String,
        /// What does not fit.
        detail: &'static str,
    },
    /// Disk: the file's structure makes no sense. Reported by redb, which may have panicked inside; nothing was written.
    #[error("the store file is damaged: {0}; restore a backup or sync anew from a peer, and check the disk")]
    Damaged(String),
    /// Caller: over a limit.
    #[error("{field} is {value}, over the limit of {limit}; nothing of this write was stored")]
    OverLimit {
        /// What.
        field: &'static str,
        /// How much.
        value: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// Ours: should not happen.
    #[error("a fault in the store, please report it: {0}")]
    Fault(String),
}

impl StoreError {
    /// Whether this store object can go on being used after the error.
    pub fn is_fatal(&self) -> bool {
        matches!(self, StoreError::Full | StoreError::Io(_) | StoreError::Stopped | StoreError::Damaged(_))
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        use redb::Error as E;
        match error {
            E::Io(error) if is_full(&error) => StoreError::Full,
            // Bytes that are not what they should be, by redb's word or ours (`crypt.rs`): no fault of the medium's that may pass.
            E::Io(error) if is_damage(&error) => StoreError::Damaged(error.to_string()),
            E::Io(error) => StoreError::Io(error),
            E::Backend(error) => StoreError::Io(io::Error::other(error)),
            E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_) => StoreError::Stopped,
            error @ (E::Corrupted(_)
            | E::TableDoesNotExist(_)
            | E::TableTypeMismatch { .. }
            | E::TableIsMultimap(_)
            | E::TypeDefinitionChanged { .. }
            | E::RepairAborted) => StoreError::Damaged(error.to_string()),
            error => StoreError::Fault(error.to_string()),
        }
    }
}

macro_rules! through_redb {
    ($($error:ty),+) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+};
}

through_redb!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError);

/// Whether bytes were read, and make no sense or end too early.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Whether the medium, or this user's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
