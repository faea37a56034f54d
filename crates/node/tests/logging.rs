//! Secrets are never logged. A test binary of its own: what is logged is caught for the whole process.

mod together;

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use farshore::{Role, Value};
use farshore_core::bytes::Reader;
use farshore_core::keys::{DeviceKeys, UserKey};
use farshore_core::ticket::Ticket;
use farshore_store::{Store, key_path, load_key_file};
use together::{PATIENCE, converged, notes, open, pair, put};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The secret keys of a device, as they lie in its store, and the key of the store.
fn secrets(store: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let key_file = std::fs::read_to_string(key_path(store)).unwrap();
    let hex = key_file.lines().find_map(|line| line.strip_prefix("key ")).unwrap().trim();
    let of_store = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    let store = Store::open(store, &load_key_file(&key_path(store)).unwrap()).unwrap();
    let boot = store.boot().unwrap();
    let (_, identity) = boot.meta.iter().find(|(name, _)| name == "identity").unwrap();
    let mut reader = Reader::new(identity);
    reader.u8("version").unwrap();
    reader.text(256, "name").unwrap();
    let user = reader.bytes(UserKey::SECRET_BYTES, "user key").unwrap()[1..].to_vec();
    let device = reader.bytes(DeviceKeys::SECRET_BYTES, "device keys").unwrap()[1..].to_vec();
    let transport = reader.array::<32>("transport key").unwrap().to_vec();
    vec![("store's key", of_store), ("user's key", user), ("device's keys", device), ("transport's key", transport)]
}

/// How eight bytes may come to stand in a log.
fn forms(bytes: &[u8]) -> [String; 3] {
    let each = |digits: fn(&u8) -> String, between: &str| bytes.iter().map(digits).collect::<Vec<_>>().join(between);
    [each(|b| format!("{b:02x}"), ""), each(|b| format!("{b:02X}"), ""), each(|b| b.to_string(), ", ")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_what_two_devices_log_while_one_joins() {
    let to_log = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::TRACE).with_writer(|| ToLog);
    to_log.init();
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben, Role::Writer).await;
    let (hers, his) = (notes(&hers).await, notes(&his).await);
    hers.insert(put("title", "what nobody else may read")).await.unwrap();
    converged(&hers, &his, 1).await;
    // A ticket that is refused, altered, and taken up.
    let ticket = hers.space().invite(Role::Reader).open().await.unwrap();
    assert!(ben.join(&ticket, PATIENCE).await.is_err());
    assert!(ben.join(&ticket[..ticket.len() - 1], PATIENCE).await.is_err());
    let carol = open(dir.path(), "carol").await;
    let space = carol.join(&ticket, PATIENCE).await.unwrap();
    space.wait_for_collection::<Value>("notes", PATIENCE).await.unwrap();
    drop(space);
    for node in [ada, ben, carol] {
        node.shutdown().await;
    }

    let log = String::from_utf8(std::mem::take(&mut *LOG.lock().unwrap())).unwrap();
    for line in ["in sync", "up", "frame"] {
        assert!(log.contains(line), "the log does not say {line:?}: {} bytes of it", log.len());
    }
    assert!(!log.contains("what nobody else may read"));
    let parts = ticket.as_bytes()[9..].chunks_exact(16).map(|part| std::str::from_utf8(part).unwrap());
    let in_log = parts.filter(|part| log.contains(part)).count();
    assert_eq!(in_log, 0, "the ticket's text was logged");
    let of_ticket = ("ticket's secret", Ticket::parse(&ticket).unwrap().secret.to_vec());
    let of_devices = ["ada", "ben", "carol"].map(|name| secrets(&dir.path().join(name)));
    for (what, secret) in of_devices.into_iter().flatten().chain([of_ticket]) {
        assert!(secret.len() >= 32);
        let logged = secret.chunks(8).flat_map(forms).find(|form| log.contains(form));
        assert_eq!(logged, None, "the {what} was logged");
    }
}
