//! Where the control socket of a store lies, and who may have it.
//!
//! Beside the store file `todos.fsh` stands the directory `todos.fsh.run`, for its owner only, with `sock` and `lock`.
//! The lock file is locked by the running device for as long as it lives, however it ends: so a socket without a lock
//! is a leftover, and a lock names its holder. Where the path would be too long for a socket, the directory stands in
//! the user's runtime directory instead, under a name derived from the store's path.

use crate::exit::{Exit, Failure};
use crate::limits::SOCKET_PATH_LIMIT_BYTES;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// The place of a store's control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    store: PathBuf,
    /// The directories to create, outermost first; the last one holds the socket.
    directories: Vec<PathBuf>,
    socket: PathBuf,
    lock: PathBuf,
}

/// A socket that is held: it listens, and nobody else can until this is dropped.
#[derive(Debug)]
pub struct Claim {
    pub(super) listener: UnixListener,
    socket: PathBuf,
    _lock: File,
}

impl Endpoint {
    /// The place for a store, whether or not it exists.
    ///
    /// Errors: no place with a path short enough.
    pub fn for_store(store: &Path) -> Result<Self, Failure> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        Endpoint::locate(store, runtime.as_deref(), &std::env::temp_dir())
    }

    fn locate(store: &Path, runtime: Option<&Path>, temporary: &Path) -> Result<Self, Failure> {
        let store = resolve(store)?;
        let mut name = OsString::from(&store);
        name.push(".run");
        let mut directories = vec![PathBuf::from(name)];
        if too_long(&directories) {
            let base = match runtime {
                Some(runtime) => runtime.join("farshore"),
                None => temporary.join(format!("farshore-{}", own_user())),
            };
            let hash = blake3::hash(store.as_os_str().as_bytes()).to_hex();
            directories = vec![base.clone(), base.join(&hash[..16])];
            if too_long(&directories) {
                return Err(Failure::new(
                    Exit::General,
                    format!(
                        "no place for the control socket of {}: its path may have {SOCKET_PATH_LIMIT_BYTES} bytes",
                        store.display()
                    ),
                )
                .remedy("set XDG_RUNTIME_DIR to a directory of yours with a short path"));
            }
        }
        let directory = directories[directories.len() - 1].clone();
        Ok(Endpoint { store, directories, socket: directory.join("sock"), lock: directory.join("lock") })
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The store's path, absolute.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Takes the place for this process and listens. A socket that a killed process left is replaced.
    ///
    /// Errors: [`Exit::Busy`] with the holder's process id; a directory that is not the caller's own.
    pub fn claim(&self) -> Result<Claim, Failure> {
        for directory in &self.directories {
            match DirBuilder::new().mode(0o700).create(directory) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::io(format_args!("create {}", directory.display()), &error)),
            }
        }
        self.check_owner(true)?;
        let lock = self.take_lock()?;
        match fs::remove_file(&self.socket) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::io(format_args!("remove the old {}", self.socket.display()), &error)),
        }
        let listening = |error: io::Error| {
            Failure::io(format_args!("listen on the control socket {}", self.socket.display()), &error)
        };
        let listener = UnixListener::bind(&self.socket).map_err(listening)?;
        fs::set_permissions(&self.socket, fs::Permissions::from_mode(0o600)).map_err(listening)?;
        Ok(Claim { listener, socket: self.socket.clone(), _lock: lock })
    }

    fn take_lock(&self) -> Result<File, Failure> {
        let failed = |error: io::Error| Failure::io(format_args!("lock {}", self.lock.display()), &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.lock)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.held(&mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(file)
    }

    fn held(&self, lock: &mut File) -> Failure {
        let mut text = String::new();
        let holder = match lock.take(32).read_to_string(&mut text) {
            // Read before the holder has written it: there is a holder all the same.
            Ok(_) if text.trim().parse::<u32>().is_ok() => format!("by process {}", text.trim()),
            _ => "by another process".to_owned(),
        };
        Failure::new(Exit::Busy, format!("a device runs on {} already: it is held {holder}", self.store.display()))
            .remedy("use it: other commands reach it by themselves. To run another device, give it --store ANOTHER.fsh")
    }

    /// Refuses a directory that somebody else could put a socket into. `mend` narrows permissions of one's own.
    pub(super) fn check_owner(&self, mend: bool) -> Result<(), Failure> {
        let user = own_user();
        for directory in &self.directories {
            let failed = |error: io::Error| Failure::io(format_args!("look at {}", directory.display()), &error);
            let meta = match fs::symlink_metadata(directory) {
                // Nobody listens there; what is wrong with the path itself is told by who opens the store.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Ok(());
                }
                other => other.map_err(failed)?,
            };
            let foreign = meta.uid() != user && user != 0;
            if !meta.is_dir() || foreign {
                return Err(Failure::new(
                    Exit::Refused,
                    format!(
                        "{} is not a directory of this user, so it cannot hold the control socket",
                        directory.display()
                    ),
                )
                .remedy("remove it if you know where it comes from, or run the command as its owner"));
            }
            if meta.mode() & 0o077 != 0 {
                if !mend {
                    return Err(Failure::new(
                        Exit::Refused,
                        format!(
                            "others can open {}, so what listens there may not be your device",
                            directory.display()
                        ),
                    )
                    .remedy(format!("chmod 700 {}", directory.display())));
                }
                fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed)?;
            }
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The lock file stays: unlinking it would let two processes hold two locks of one name.
        let _ = fs::remove_file(&self.socket);
    }
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn too_long(directories: &[PathBuf]) -> bool {
    directories.last().is_some_and(|last| last.as_os_str().len() + "/sock".len() > SOCKET_PATH_LIMIT_BYTES)
}

/// One absolute path for a store, however it is named: links are followed, also where the file does not exist yet.
fn resolve(store: &Path) -> Result<PathBuf, Failure> {
    if let Ok(path) = fs::canonicalize(store) {
        return Ok(path);
    }
    let failed = |error: io::Error| Failure::io(format_args!("find {}", store.display()), &error);
    let absolute = std::path::absolute(store).map_err(failed)?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Failure::usage(format!("{} cannot be a store: it names no file", store.display())));
    };
    // Without its directory the store cannot exist, and the command will say so itself.
    Ok(fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned()).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_only_even_where_the_directory_was_not() {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::locate(&directory.path().join("a.fsh"), None, directory.path()).unwrap();
        fs::create_dir(&endpoint.directories[0]).unwrap();
        fs::set_permissions(&endpoint.directories[0], fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(endpoint.check_owner(false).unwrap_err().code, Exit::Refused);
        let claim = endpoint.claim().unwrap();
        assert_eq!((mode(&endpoint.directories[0]), mode(endpoint.socket())), (0o700, 0o600));
        assert_eq!(mode(&endpoint.lock), 0o600);
        drop(claim);
        assert!(!endpoint.socket().exists());
    }

    #[tokio::test]
    async fn a_second_device_is_refused_naming_the_holder_until_the_first_ends() {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::locate(&directory.path().join("a.fsh"), None, directory.path()).unwrap();
        let claim = endpoint.claim().unwrap();
        let failure = endpoint.claim().unwrap_err();
        assert_eq!(failure.code, Exit::Busy);
        assert!(failure.message.contains(&format!("process {}", std::process::id())), "{failure}");
        drop(claim);
        endpoint.claim().unwrap();
    }

    #[tokio::test]
    async fn a_long_path_moves_the_socket_to_a_short_one_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let runtime = tempfile::tempdir().unwrap();
        let at = |name: &str| Endpoint::locate(&deep.join(name), Some(runtime.path()), directory.path()).unwrap();
        assert!(at("a.fsh").socket().starts_with(runtime.path()));
        assert_ne!(at("a.fsh").socket(), at("b.fsh").socket());
        let (_a, _b) = (at("a.fsh").claim().unwrap(), at("b.fsh").claim().unwrap());
        assert_eq!(mode(&runtime.path().join("farshore")), 0o700);
        let failure = Endpoint::locate(&deep.join("a.fsh"), Some(&deep), directory.path()).unwrap_err();
        assert!(failure.remedy.unwrap().contains("XDG_RUNTIME_DIR"));
    }

    #[test]
    fn one_store_has_one_socket_however_it_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("real")).unwrap();
        std::os::unix::fs::symlink(directory.path().join("real"), directory.path().join("link")).unwrap();
        let at = |path: &str| Endpoint::locate(&directory.path().join(path), None, directory.path()).unwrap();
        assert_eq!(at("real/a.fsh"), at("link/a.fsh"));
        assert_eq!(at("real/a.fsh"), at("real/../link/./a.fsh"));
        let before = at("real/a.fsh");
        fs::write(directory.path().join("real/a.fsh"), "").unwrap();
        assert_eq!(before, at("link/a.fsh"));
    }

    #[tokio::test]
    async fn a_directory_that_is_a_link_or_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::locate(&directory.path().join("a.fsh"), None, directory.path()).unwrap();
        std::os::unix::fs::symlink("/tmp", &endpoint.directories[0]).unwrap();
        assert_eq!(endpoint.claim().unwrap_err().code, Exit::Refused);
        fs::remove_file(&endpoint.directories[0]).unwrap();
        fs::write(&endpoint.directories[0], "").unwrap();
        assert_eq!(endpoint.claim().unwrap_err().code, Exit::Refused);
    }
}
