//! The store key, the keys derived from it, and the owner-only file that holds it for now.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use farshore_core::id::{hex, unhex};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::{KeyError, KeyOrigin};
use crate::xts::Xts;

/// First words of a key file, before its version.
const KEY_FILE_MAGIC: &str = "farshore-key";
/// The version this build writes and reads. Passphrase protection will be version 2; the store file does not change with it.
const KEY_FILE_VERSION: u32 = 1;
/// A key file is about 700 bytes; anything longer is something else.
const KEY_FILE_BYTES: u64 = 4096;

/// 64 secret bytes from which all keys of one store are derived. Zeroized on drop; its `Debug` shows nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StoreKey {
    bytes: [u8; 64],
    #[zeroize(skip)]
    origin: KeyOrigin,
}

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreKey(secret, {})", self.origin)
    }
}

impl StoreKey {
    /// Takes 64 uniformly random bytes.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        StoreKey { bytes, origin: KeyOrigin::Given }
    }

    /// Where the key came from, for messages.
    pub fn origin(&self) -> &KeyOrigin {
        &self.origin
    }

    fn derive(&self, context: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(context, &self.bytes))
    }

    /// The cipher of the file. Two derived keys, so that no input makes them equal (XTS is weak when they are).
    pub(crate) fn xts(&self) -> Xts {
        Xts::new(&self.derive("farshore store v1 xts data key"), &self.derive("farshore store v1 xts tweak key"))
    }

    /// The key of the tags on values.
    pub(crate) fn tag_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive("farshore store v1 value tag key")
    }

    /// The key that the header page is checked with: says whether a key belongs to a store, and nothing else.
    pub(crate) fn check_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive("farshore store v1 header check key")
    }
}

/// Where the key file of a store is: beside it, with `.key` appended to its name.
pub fn key_path(store: &Path) -> PathBuf {
    beside(store, ".key")
}

/// `store` with `suffix` appended to its last component.
pub(crate) fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = store.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads the key file beside `store`, or creates it with `fresh` random bytes when there is neither key nor store.
///
/// `fresh` fills 64 bytes from the operating system's randomness; the store itself reads none.
///
/// # Errors
/// [`KeyError::Missing`] when the store exists without its key; [`KeyError::Exposed`] when others may read the file;
/// see the other variants. An existing file is never overwritten.
pub fn load_or_create_key_file(
    store: &Path,
    fresh: impl FnOnce(&mut [u8; 64]) -> io::Result<()>,
) -> Result<StoreKey, KeyError> {
    let path = key_path(store);
    match load_key_file(&path) {
        Err(KeyError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    if fs::symlink_metadata(store).is_ok() {
        return Err(KeyError::Missing { key: path, store: store.to_path_buf() });
    }
    let mut bytes = Zeroizing::new([0; 64]);
    fresh(&mut bytes).map_err(|error| KeyError::Io { path: path.clone(), error })?;
    write_key_file(&path, &bytes).map_err(|error| KeyError::Io { path: path.clone(), error })?;
    // Read back what is on disk: two processes may have raced for the name, and only one key is in the file.
    load_key_file(&path)
}

/// Reads a key file.
///
/// # Errors
/// See [`KeyError`]; a missing file is [`KeyError::Io`] of kind `NotFound`.
pub fn load_key_file(path: &Path) -> Result<StoreKey, KeyError> {
    let failed = |error| KeyError::Io { path: path.to_path_buf(), error };
    let file = File::open(path).map_err(failed)?;
    refuse_exposed(path, &file.metadata().map_err(failed)?)?;
    let mut text = Zeroizing::new(Vec::new());
    file.take(KEY_FILE_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    parse(path, &text)
}

fn parse(path: &Path, text: &[u8]) -> Result<StoreKey, KeyError> {
    let malformed = |detail| KeyError::Malformed { path: path.to_path_buf(), detail };
    if text.len() as u64 > KEY_FILE_BYTES {
        return Err(malformed("it is too long"));
    }
    let text = std::str::from_utf8(text).map_err(|_| malformed("it is not text"))?;
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let first = lines.next().ok_or_else(|| malformed("it is empty"))?;
    let version = first
        .strip_prefix(KEY_FILE_MAGIC)
        .and_then(|rest| rest.trim().parse::<u32>().ok())
        .ok_or_else(|| malformed("its first line is not `farshore-key` and a version"))?;
    if version != KEY_FILE_VERSION {
        return Err(KeyError::Newer { path: path.to_path_buf(), found: version });
    }
    let digits =
        lines.next().and_then(|line| line.strip_prefix("key ")).ok_or_else(|| malformed("it has no `key` line"))?;
    let check =
        lines.next().and_then(|line| line.strip_prefix("check ")).ok_or_else(|| malformed("it has no `check` line"))?;
    if lines.next().is_some() {
        return Err(malformed("something follows the key"));
    }
    let mut key = StoreKey { bytes: [0; 64], origin: KeyOrigin::File(path.to_path_buf()) };
    unhex(digits.trim(), &mut key.bytes).map_err(|_| malformed("the key is not 128 hexadecimal digits"))?;
    if check.trim() != checksum(&key.bytes) {
        return Err(malformed("the key does not match its check line"));
    }
    Ok(key)
}

/// 8 hexadecimal digits that catch a mistyped key; they tell nothing of use about 512 random bits.
fn checksum(bytes: &[u8; 64]) -> String {
    hex(&blake3::derive_key("farshore store v1 key file check line", bytes)[..4])
}

/// Writes a new key file, or leaves the one that another process has just written.
fn write_key_file(path: &Path, bytes: &[u8; 64]) -> io::Result<()> {
    let mut text = Zeroizing::new(format!(
        "{KEY_FILE_MAGIC} {KEY_FILE_VERSION}\n\
         # The key of the Farshore store beside this file (same name without `.key`).\n\
         # It protects the store's content when the store file alone is copied, lost or thrown away with its disk.\n\
         # It does NOT protect against whoever can read this file too: another program run by the same user, the\n\
         # system's administrator, or a thief of a disk that is not encrypted itself.\n\
         # Keep a copy elsewhere: without this key the store cannot be read. Never edit it; never give it to anybody.\n"
    ));
    let digits = Zeroizing::new(hex(bytes));
    text.push_str(&format!("key {}\ncheck {}\n", digits.as_str(), checksum(bytes)));
    // Written whole under another name first: a crash must not leave half a key under the right one.
    let temporary = beside(path, &format!(".new-{}", std::process::id()));
    let written = (|| {
        let _ = fs::remove_file(&temporary); // a crash may have left one under our process id
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        publish(&temporary, path)
    })();
    let _ = fs::remove_file(&temporary);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Gives a finished file its name, unless the name is taken, and makes the name durable.
pub(crate) fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // File systems without hard links: the check and the rename are not one step there.
        Err(_) if fs::symlink_metadata(path).is_ok() => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(temporary, path)?,
    }
    sync_directory(path)
}

/// Makes a new name in the directory of `path` durable. Not every system lets a directory be opened; then its own order holds.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match File::open(parent) {
        Ok(directory) if cfg!(unix) => directory.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_path_buf(), mode });
    }
    Ok(())
}

/// Other systems inherit the directory's access list.
#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}
