//! A count's record: one file that goes on over commits, one line for each seed, with the sources that the seed ran on.
//!
//! A line is written by one call, so that a kill at any time loses at most the seeds that were running. What is no whole line
//! was being written, and is passed over.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use farshore_sim::powercut::Sweep;
use farshore_sim::sweep::Report;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::args::cores;

/// What ran, where, and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// The commit; with `+` if files were changed since. Empty where nobody said.
    #[serde(default)]
    pub(crate) commit: String,
    /// Hash of the sources of core, store and sim: equal ones ran the same, whatever else a commit changed.
    #[serde(default)]
    pub(crate) sources: String,
    /// The processor.
    #[serde(default)]
    pub(crate) machine: String,
    /// CPU time of this line, in milliseconds.
    #[serde(default)]
    pub(crate) cpu_ms: u64,
}

/// What one seed came to, however it is counted.
pub(crate) trait Counted: Serialize + DeserializeOwned {
    fn seed(&self) -> u64;
    fn broken(&self) -> bool;
}

impl Counted for Report {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }
}

impl Counted for Sweep {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn broken(&self) -> bool {
        !self.broken.is_empty()
    }
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line<T> {
    #[serde(flatten)]
    pub(crate) of: T,
    #[serde(flatten)]
    pub(crate) stamp: Stamp,
}

/// The last line of each seed.
///
/// # Errors
/// The file is there and cannot be read.
pub(crate) fn read<T: Counted>(path: &Path) -> Result<BTreeMap<u64, Line<T>>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(named(path, &error)),
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Line<T>>(line).ok());
    Ok(lines.map(|line| (line.of.seed(), line)).collect())
}

/// What a run goes on from: seeds that were broken on other sources may have been mended, and run again.
pub(crate) fn done<T: Counted>(lines: BTreeMap<u64, Line<T>>, sources: &str) -> BTreeMap<u64, T> {
    let counts = |line: &Line<T>| !line.of.broken() || line.stamp.sources == sources;
    lines.into_iter().filter(|(_, line)| counts(line)).map(|(seed, line)| (seed, line.of)).collect()
}

/// A record that is written.
#[derive(Debug)]
pub(crate) struct Record {
    file: File,
    stamp: Stamp,
}

impl Record {
    /// Opens a record to write at its end. What was cut off there in the middle of a line gets its end.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn open(path: &Path, commit: &str, sources: &str) -> Result<Record, String> {
        let whole = fs::read(path).map_or(true, |bytes| bytes.last().is_none_or(|last| *last == b'\n'));
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.map_err(|error| named(path, &error))?;
        if !whole {
            file.write_all(b"\n").map_err(|error| named(path, &error))?;
        }
        let stamp = Stamp { commit: commit.into(), sources: sources.into(), machine: machine(), cpu_ms: 0 };
        Ok(Record { file, stamp })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The disk's, or the line's own form.
    pub(crate) fn add<T: Serialize>(&mut self, of: T, cpu_ms: u64) -> Result<(), String> {
        let line = Line { of, stamp: Stamp { cpu_ms, ..self.stamp.clone() } };
        let mut text = serde_json::to_string(&line).map_err(|error| error.to_string())?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|error| format!("the record cannot be written: {error}"))
    }
}

/// CPU time of this thread so far, in milliseconds; 0 where the system does not tell.
pub(crate) fn cpu_ms() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0) / 1_000_000
}

/// The processor's name and how many threads it runs, as the system tells it.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let threads = cores();
    format!("{}, {threads} threads", name.map_or(std::env::consts::ARCH, |(_, name)| name.trim()))
}

pub(crate) fn named(path: &Path, error: &std::io::Error) -> String {
    format!("`{}`: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swept(seed: u64, broken: &[&str]) -> Sweep {
        let broken = broken.iter().map(|what| (*what).to_owned()).collect();
        Sweep { seed, cuts: 3, operations: 3, kept_unacknowledged: 1, broken }
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("farshore-sim-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn a_record_that_was_cut_off_in_a_line_goes_on_with_the_next_one_and_loses_no_other() {
        let path = scratch("cut-off");
        for (seed, commit) in [(1, "aaa"), (2, "bbb")] {
            Record::open(&path, commit, "s").unwrap().add(swept(seed, &[]), 5).unwrap();
        }
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        Record::open(&path, "ccc", "s").unwrap().add(swept(3, &[]), 5).unwrap();
        let lines = read::<Sweep>(&path).unwrap();
        let commits: Vec<(u64, &str)> = lines.values().map(|line| (line.of.seed, line.stamp.commit.as_str())).collect();
        assert_eq!(commits, [(1, "aaa"), (3, "ccc")]);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_seed_that_was_broken_runs_again_on_other_sources_and_no_other_seed_does() {
        let path = scratch("again");
        let mut record = Record::open(&path, "aaa", "old").unwrap();
        record.add(swept(1, &["lost"]), 5).unwrap();
        record.add(swept(2, &[]), 5).unwrap();
        let left = |sources| done(read::<Sweep>(&path).unwrap(), sources).into_keys().collect::<Vec<_>>();
        assert_eq!((left("old"), left("new")), (vec![1, 2], vec![2]));
        fs::remove_file(&path).unwrap();
    }
}
