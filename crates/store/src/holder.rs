//! The record beside an open store that says who has it open: `STORE.lock`, a pid in text.
//!
//! The lock itself is redb's, on the store file, and ends with the process however it ends. This record only gives it a
//! name; one that outlived its process blocks nothing.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::error::Holder;
use crate::key::beside;

/// Longest command line shown, in characters: enough to recognize it in a message.
const COMMAND_CHARS: usize = 120;
/// A record is a number; anything longer is not ours.
const RECORD_BYTES: u64 = 64;

/// Keeps the record while the store is open, and removes it when dropped.
#[derive(Debug)]
pub(crate) struct HolderRecord {
    path: PathBuf,
}

impl HolderRecord {
    /// Writes this process's record. A failure costs a name in somebody's error message, so it is only logged.
    pub(crate) fn write(store: &Path) -> Self {
        let path = beside(store, ".lock");
        if let Err(error) = File::create(&path).and_then(|mut file| writeln!(file, "{}", std::process::id())) {
            tracing::debug!(path = %path.display(), %error, "cannot record who holds the store");
        }
        HolderRecord { path }
    }

    /// Who holds `store`, as far as its record and the system tell.
    pub(crate) fn read(store: &Path) -> Holder {
        let mut text = String::new();
        let read =
            File::open(beside(store, ".lock")).and_then(|file| file.take(RECORD_BYTES).read_to_string(&mut text));
        match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
            None => Holder::Unknown,
            Some(pid) if pid == std::process::id() => Holder::Ourselves,
            // A record of a dead process: the holder has not written its own yet.
            Some(pid) if Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists() => {
                Holder::Unknown
            }
            Some(pid) => Holder::Process { pid, command: command(pid) },
        }
    }
}

impl Drop for HolderRecord {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn command(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> =
        bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(String::from_utf8_lossy).collect();
    let shown: String = words.join(" ").chars().filter(|c| !c.is_control()).take(COMMAND_CHARS).collect();
    (!shown.is_empty()).then_some(shown)
}
