//! The record beside an open store: `STORE.lock`, which says who has it open, and whether that process is writing just now.
//!
//! ```text
//!   4711      the process
//!   w 1       `w` while a write is under way, else `-`; how many processes in a row before this one died in a write
//! ```
//!
//! The lock itself is redb's, on the store file, and ends with the process however it ends. This record only gives it a
//! name; one that outlived its process blocks nothing.
//!
//! The second line is for damaged files. redb may panic on pages that make no sense, which is caught, and may panic again while
//! it unwinds, which ends the process. Such a file would end it at every start anew. So a store whose last processes died in a
//! write is opened after all of its pages were verified, which refuses it in words. The mark costs two writes of one byte to the
//! system's cache for each commit; it need not be synced, since it tells of the end of a process, not of the system.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Holder;
use crate::key::beside;

/// Longest command line shown, in characters: enough to recognize it in a message.
const COMMAND_CHARS: usize = 120;
/// A record is two short lines; anything longer is not ours.
const RECORD_BYTES: u64 = 64;
const WRITING: u8 = b'w';
const IDLE: u8 = b'-';

/// Keeps the record while the store is open, and removes it when dropped.
#[derive(Debug)]
pub(crate) struct HolderRecord {
    path: PathBuf,
    file: Option<File>,
    /// Where the mark is.
    mark_at: u64,
}

impl HolderRecord {
    /// Writes this process's record, after `deaths` processes in a row that died in a write. A failure costs a name in
    /// somebody's error message, so it is only logged.
    pub(crate) fn write(store: &Path, deaths: u32) -> Self {
        let path = beside(store, ".lock");
        let first = format!("{}\n", std::process::id());
        let text = format!("{first}{} {deaths}\n", char::from(IDLE));
        let written = File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file));
        if let Err(error) = &written {
            tracing::debug!(path = %path.display(), %error, "cannot record who holds the store");
        }
        HolderRecord { path, file: written.ok(), mark_at: first.len() as u64 }
    }

    /// Marks that a write begins or is over.
    pub(crate) fn mark(&self, writing: bool) {
        if let Some(mut file) = self.file.as_ref() {
            let mark = if writing { WRITING } else { IDLE };
            // A failure, as on a full disk, costs the mark and nothing else.
            let _ = file.seek(SeekFrom::Start(self.mark_at)).and_then(|_| file.write_all(&[mark]));
        }
    }

    /// How many processes in a row died in a write of `store`, the last that had it open included.
    pub(crate) fn deaths(store: &Path) -> u32 {
        let text = text(store).unwrap_or_default();
        let mark = text.lines().nth(1).and_then(|line| line.split_once(' '));
        match mark {
            Some((mark, before)) if mark.as_bytes() == [WRITING] => before.parse().unwrap_or(0_u32).saturating_add(1),
            _ => 0,
        }
    }

    /// Who holds `store`, as far as its record and the system tell.
    pub(crate) fn read(store: &Path) -> Holder {
        match text(store).and_then(|text| text.lines().next()?.trim().parse::<u32>().ok()) {
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

fn text(store: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(beside(store, ".lock")).ok()?.take(RECORD_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn command(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> =
        bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(String::from_utf8_lossy).collect();
    let shown: String = words.join(" ").chars().filter(|c| !c.is_control()).take(COMMAND_CHARS).collect();
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_in_a_write_are_counted_in_a_row() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("a.fsh");
        assert_eq!(HolderRecord::deaths(&store), 0);
        // A process that dies leaves its record as it is; forgetting it does the same.
        for lives in 0..3 {
            let record = HolderRecord::write(&store, HolderRecord::deaths(&store));
            record.mark(true);
            assert_eq!(HolderRecord::read(&store), Holder::Ourselves);
            std::mem::forget(record);
            assert_eq!(HolderRecord::deaths(&store), lives + 1);
        }
        let record = HolderRecord::write(&store, HolderRecord::deaths(&store));
        record.mark(true);
        record.mark(false);
        assert_eq!(HolderRecord::deaths(&store), 0, "a write that is over is none that it died in");
        drop(record);
        assert_eq!((HolderRecord::deaths(&store), HolderRecord::read(&store)), (0, Holder::Unknown));
    }
}
