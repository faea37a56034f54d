//! A store from creation to close: files, locks, keys, identity, and the guard around redb.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use farshore_core::batch::{Boot, Load, Loaded, StoreIdentity};
use farshore_core::id::StoreId;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction};

use crate::crypt::{Crypt, HEADER_BYTES};
use crate::error::{Holder, OpenError, Source, StoreError};
use crate::header;
use crate::holder::HolderRecord;
use crate::key::{StoreKey, beside, publish};
use crate::migrate;
use crate::place::Place;
use crate::reader::Reader;
use crate::tables::{STORE, key, row};
use crate::value::{Row, Tags, Writable};

/// Memory that redb may use for pages, in bytes. A phone has little to spare; 100,000 task documents are about 100 MB of
/// pages, of which a working set fits. Half of it buffers a transaction's writes.
const CACHE_BYTES: usize = 64 << 20;

/// Processes in a row that died in a write, from which on a store is opened only after all of its pages were verified. One may
/// be killed in the middle of a write, and an opening should not grow with the store for that; two are rarely chance.
const DEATHS_BEFORE_VERIFYING: u32 = 2;

/// An open store. Dropping it (and every [`Reader`] of it) closes the file.
#[derive(Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// What a store and its readers share.
pub(crate) struct Inner {
    /// Removed before the lock that it names is released, so that it never names a former holder.
    record: Option<HolderRecord>,
    pub(crate) database: Open,
    pub(crate) tags: Tags,
    id: StoreId,
    place: Place,
    copied: AtomicBool,
    stopped: AtomicBool,
    repaired: bool,
}

/// A database that can be closed whatever is in its file: redb commits once more when it is dropped, and panics there when
/// the pages make no sense. `None` only while it is being dropped.
pub(crate) struct Open(Option<Database>);

impl std::ops::Deref for Open {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is taken in drop alone")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let database = self.0.take();
        if let Err(error) = guarded(|| {
            drop(database);
            Ok(())
        }) {
            tracing::error!(%error, "the store could not be closed cleanly; everything acknowledged was durable before");
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("id", &self.id).field("record", &self.record).finish_non_exhaustive()
    }
}

/// How much is verified while opening.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verify {
    /// What is needed to begin: independent of the store's size, also after a crash.
    Start,
    /// The checksum of every page.
    Pages,
}

impl Store {
    /// Creates a store file at `path`, which must not exist, and opens it.
    ///
    /// The file gets its name when it is complete, so a crash leaves either a whole empty store or none (and at most a
    /// `.new-PID` file, which may be deleted).
    ///
    /// # Errors
    /// [`OpenError::Exists`], [`OpenError::NoDirectory`], [`OpenError::Full`] and others: caller or disk.
    pub fn create(path: &Path, key: &StoreKey, id: StoreId) -> Result<Store, OpenError> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(OpenError::Exists(path.to_path_buf()));
        }
        let temporary = beside(path, &format!(".new-{}", std::process::id()));
        let created = Self::create_as(&temporary, path, key, id);
        let _ = fs::remove_file(&temporary);
        created
    }

    fn create_as(temporary: &Path, path: &Path, key: &StoreKey, id: StoreId) -> Result<Store, OpenError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::NoDirectory(path.to_path_buf()),
            _ => OpenError::from_io(path, error),
        };
        let _ = fs::remove_file(temporary); // a crash may have left one under our process id
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(temporary).map_err(failed)?;
        let place = Place::of(&file);
        let source = Source::File(path.to_path_buf());
        let backend = FileBackend::new(file).map_err(|error| from_database(&source, error, Holder::Unknown))?;
        let mut inner = create_inner(Box::new(backend), key, id, place, &source)?;
        publish(temporary, path).map_err(|error| OpenError::from_io(path, error))?;
        inner.record = Some(HolderRecord::write(path, 0));
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Opens the store at `path`, bringing an older schema up to date.
    ///
    /// # Errors
    /// See [`OpenError`]: each tells whose fault it is and what to do.
    ///
    /// # Cost
    /// Independent of the store's size, also after a crash: a few pages, and 64 kB for each GB of store (redb's allocator state).
    /// After two processes in a row that died in the middle of a write it reads the whole file, as [`Store::open_verified`]
    /// does: a damaged file may be what ended them.
    pub fn open(path: &Path, key: &StoreKey) -> Result<Store, OpenError> {
        Self::open_file(path, key, Verify::Start)
    }

    /// Opens the store at `path` after verifying the checksum of every page: finds damage that tags cannot show, such as
    /// rows that are gone.
    ///
    /// # Errors
    /// As for [`Store::open`].
    ///
    /// # Cost
    /// Reads the whole file.
    pub fn open_verified(path: &Path, key: &StoreKey) -> Result<Store, OpenError> {
        Self::open_file(path, key, Verify::Pages)
    }

    fn open_file(path: &Path, key: &StoreKey, verify: Verify) -> Result<Store, OpenError> {
        // Whether damage is what ends the processes that have this store open is found out before it ends this one too.
        let deaths = HolderRecord::deaths(path);
        let verify = if deaths < DEATHS_BEFORE_VERIFYING { verify } else { Verify::Pages };
        let failed = |error| OpenError::from_io(path, error);
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(OpenError::IsDirectory(path.to_path_buf()));
        }
        // Reading from a pipe or a device may never return.
        if !metadata.is_file() {
            return Err(OpenError::NotAStore(Source::File(path.to_path_buf()), "it is no regular file"));
        }
        // An administrator may write a read-only file; that it was made read-only still means something.
        if metadata.permissions().readonly() {
            return Err(OpenError::ReadOnly(path.to_path_buf()));
        }
        let source = Source::File(path.to_path_buf());
        let mut page = Vec::new();
        file.by_ref().take(HEADER_BYTES).read_to_end(&mut page).map_err(failed)?;
        let id = read_header(&page, key, &source)?;
        let place = Place::of(&file);
        let backend = FileBackend::new(file).map_err(|error| from_database(&source, error, Holder::Unknown))?;
        let mut inner = open_inner(Box::new(backend), key, id, place, &source, verify)?;
        let verified = verify == Verify::Pages;
        inner.record = Some(HolderRecord::write(path, if verified { 0 } else { deaths }));
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Creates a store in an empty backend. The encryption wraps whatever backend it is: memory, or one that fails on purpose.
    ///
    /// # Errors
    /// As for [`Store::create`].
    pub fn create_backend(
        backend: impl StorageBackend,
        key: &StoreKey,
        id: StoreId,
        place: Place,
    ) -> Result<Store, OpenError> {
        let inner = create_inner(Box::new(backend), key, id, place, &Source::Backend)?;
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Opens the store in a backend.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_backend(backend: impl StorageBackend, key: &StoreKey, place: Place) -> Result<Store, OpenError> {
        let source = Source::Backend;
        let failed = |error| OpenError::Io { store: source.clone(), error };
        let length = backend.len().map_err(failed)?.min(HEADER_BYTES);
        let mut page = vec![0; length as usize];
        backend.read(0, &mut page).map_err(failed)?;
        let id = read_header(&page, key, &source)?;
        let inner = open_inner(Box::new(backend), key, id, place, &source, Verify::Start)?;
        Ok(Store { inner: Arc::new(inner) })
    }

    /// The store's id, and whether this file seems to be a copy or a restored backup: then the core must start a new
    /// incarnation, and [`Store::accept_identity`] follows.
    pub fn identity(&self) -> StoreIdentity {
        StoreIdentity { store: self.inner.id, copied: self.inner.copied.load(Ordering::Acquire) }
    }

    /// Records that this file is now the store. Call it after the batch with the new incarnation is durable: a crash in
    /// between only starts one incarnation more.
    ///
    /// # Errors
    /// As for [`Store::apply`].
    pub fn accept_identity(&self) -> Result<(), StoreError> {
        self.inner.write(|txn| put_own(txn, &self.inner.tags, &[(row::PLACE, self.inner.place.encode())]))?;
        self.inner.copied.store(false, Ordering::Release);
        Ok(())
    }

    /// Whether opening had to walk the whole file. It never has to after a crash, since every commit saves what a
    /// repair would compute; `open_verified` does it on purpose, and a damaged file may need it.
    pub fn repaired(&self) -> bool {
        self.inner.repaired
    }

    /// Everything a replica needs at start.
    ///
    /// # Errors
    /// Disk.
    ///
    /// # Cost
    /// Follows spaces, roster operations, journals and peers; never documents or entries.
    pub fn boot(&self) -> Result<Boot, StoreError> {
        self.reader().boot()
    }

    /// Answers a load of the core.
    ///
    /// # Errors
    /// Disk.
    pub fn load(&self, load: &Load) -> Result<Loaded, StoreError> {
        self.reader().load(load)
    }

    /// A handle for reading from any thread. It sees every batch whose `apply` has returned, and never waits for the writer.
    /// The file stays open, and locked, while one lives.
    pub fn reader(&self) -> Reader {
        Reader { inner: Arc::clone(&self.inner) }
    }
}

impl Inner {
    /// Runs `work` in one read transaction.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.guarded(|| work(&self.database.begin_read()?))
    }

    /// Runs `work` in one write transaction and makes it durable, or leaves the store as it was.
    pub(crate) fn write(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(StoreError::Stopped);
        }
        let mark = |writing| self.record.iter().for_each(|record| record.mark(writing));
        mark(true);
        let result = self.guarded(|| write_database(&self.database, work));
        mark(false);
        // redb latches failed I/O itself; a commit that failed half-way must not be followed by another in any case.
        if result.as_ref().is_err_and(StoreError::is_fatal) {
            self.stopped.store(true, Ordering::Release);
        }
        result
    }

    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let result = guarded(work);
        if matches!(result, Err(StoreError::Damaged(_))) {
            self.stopped.store(true, Ordering::Release);
        }
        result
    }
}

/// Turns a panic of redb into an error. redb trusts the pages of a file that it opens quickly, and may panic on one that
/// was altered since; a damaged file must not take the process down.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(StoreError::Damaged(format!("its pages make no sense: {text}")))
    })
}

/// One durable transaction: 2 syncs, of which the second makes it count.
pub(crate) fn write_database(
    database: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut txn = database.begin_write()?; // its default durability is `Immediate`
    // The allocator state is saved with each commit, so that opening after a crash does not walk the file.
    txn.set_quick_repair(true);
    work(&txn)?;
    Ok(txn.commit()?)
}

/// Writes rows of the store's own table.
pub(crate) fn put_own(txn: &WriteTransaction, tags: &Tags, rows: &[(&str, Vec<u8>)]) -> Result<(), StoreError> {
    let mut table = Writable::open(txn, STORE, tags)?;
    for (name, content) in rows {
        table.put(&own_key(name)?, content)?;
    }
    Ok(())
}

/// The key of one of the store's own rows.
pub(crate) fn own_key(name: &str) -> Result<[u8; crate::tables::NAME], StoreError> {
    key::name(name).ok_or_else(|| StoreError::Fault(format!("`{name}` is too long for a name")))
}

fn builder(verify: Verify) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(verify == Verify::Pages);
    builder
}

fn create_inner(
    backend: Box<dyn StorageBackend>,
    key: &StoreKey,
    id: StoreId,
    place: Place,
    source: &Source,
) -> Result<Inner, OpenError> {
    let failed = |error: io::Error| match source {
        Source::File(path) => OpenError::from_io(path, error),
        Source::Backend => OpenError::from_store(source, redb::Error::Io(error).into()),
    };
    if backend.len().map_err(failed)? != 0 {
        return Err(OpenError::NotAStore(source.clone(), "it is not empty"));
    }
    backend.set_len(HEADER_BYTES).map_err(failed)?;
    backend.write(0, &header::encode(id, key)).map_err(failed)?;
    backend.sync_data().map_err(failed)?;
    let tags = Tags::new(key.tag_key());
    let made = guarded(|| {
        let crypt = Crypt::new(backend, key.xts());
        let database = Open(Some(builder(Verify::Start).create_with_backend(crypt).map_err(redb::Error::from)?));
        write_database(&database, |txn| migrate::create(txn, &tags, id, &place))?;
        Ok(database)
    });
    let database = made.map_err(|error| OpenError::from_store(source, error))?;
    Ok(Inner { record: None, database, tags, id, place, copied: false.into(), stopped: false.into(), repaired: false })
}

fn open_inner(
    backend: Box<dyn StorageBackend>,
    key: &StoreKey,
    id: StoreId,
    place: Place,
    source: &Source,
    verify: Verify,
) -> Result<Inner, OpenError> {
    let damaged = |detail: &str| OpenError::Damaged { store: source.clone(), detail: detail.to_owned() };
    let holder = || match source {
        Source::File(path) => HolderRecord::read(path),
        Source::Backend => Holder::Unknown,
    };
    let crypt = Crypt::new(backend, key.xts());
    match StorageBackend::len(&crypt) {
        // redb would begin a new, empty database.
        Ok(0) => return Err(damaged("nothing follows its header page: it was cut short")),
        Ok(_) => {}
        Err(error) => return Err(OpenError::Io { store: source.clone(), error }),
    }
    let mut refused = None;
    let repaired = Arc::new(AtomicBool::new(false));
    let opened = guarded(|| {
        let noted = Arc::clone(&repaired);
        let mut builder = builder(verify);
        builder.set_repair_callback(move |_| noted.store(true, Ordering::Release));
        builder.create_with_backend(crypt).map(Some).or_else(|error| {
            refused = Some(from_database(source, error, holder()));
            Ok(None)
        })
    });
    let database = match (opened, refused) {
        (_, Some(error)) => return Err(error),
        (Ok(Some(database)), None) => Open(Some(database)),
        (Ok(None), None) => return Err(damaged("it cannot be opened")),
        (Err(error), None) => return Err(OpenError::from_store(source, error)),
    };
    let tags = Tags::new(key.tag_key());
    let recorded = migrate::read_own(&database, &tags, source, id)?;
    let repaired = repaired.load(Ordering::Acquire);
    let copied = recorded.differs(&place);
    Ok(Inner { record: None, database, tags, id, place, copied: copied.into(), stopped: false.into(), repaired })
}

fn read_header(page: &[u8], key: &StoreKey, source: &Source) -> Result<StoreId, OpenError> {
    if page.is_empty() {
        return Err(OpenError::NotAStore(source.clone(), "it is empty"));
    }
    let mut whole = [0; HEADER_BYTES as usize];
    whole[..page.len()].copy_from_slice(page);
    if page.len() < whole.len() && header::begins(page) {
        let detail = format!("it is only {} bytes long: it was cut short", page.len());
        return Err(OpenError::Damaged { store: source.clone(), detail });
    }
    header::decode(&whole, key, source)
}

fn from_database(source: &Source, error: DatabaseError, holder: Holder) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { store: source.clone(), holder },
        DatabaseError::UpgradeRequired(version) => {
            OpenError::Newer { store: source.clone(), what: "page format", found: version.into(), known: 3 }
        }
        // redb's word for bytes that are not its own: behind our header page they were, once.
        DatabaseError::Storage(redb::StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            OpenError::Damaged { store: source.clone(), detail: error.to_string() }
        }
        other => OpenError::from_store(source, redb::Error::from(other).into()),
    }
}
