//! Power cuts after every disk operation of small workloads.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use farshore_sim::powercut::{Sweep, sweep};

use crate::args::Powercuts;

pub(crate) fn run(args: &Powercuts) -> Result<bool, String> {
    let mut sweeps: BTreeMap<u64, Sweep> = BTreeMap::new();
    let mut record = None;
    if let Some(path) = &args.record {
        let named = |error: std::io::Error| format!("`{}`: {error}", path.display());
        if path.exists() {
            let text = fs::read_to_string(path).map_err(named)?;
            let found = text.lines().filter_map(|line| serde_json::from_str::<Sweep>(line).ok());
            sweeps.extend(found.filter(|sweep| args.workloads.contains(&sweep.seed)).map(|sweep| (sweep.seed, sweep)));
        }
        record = Some(OpenOptions::new().create(true).append(true).open(path).map_err(named)?);
    }
    let (next, done) = (AtomicU64::new(args.workloads.start), Mutex::new((sweeps, record, None)));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                let lock = || done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= args.workloads.end {
                        return;
                    }
                    if lock().0.contains_key(&seed) {
                        continue;
                    }
                    let swept = sweep(seed, usize::MAX);
                    let mut done = lock();
                    say!("workload {seed}: {} cuts, {} broken", swept.cuts, swept.broken.len());
                    swept.broken.iter().for_each(|what| say!("  {what}"));
                    let line = serde_json::to_string(&swept).unwrap_or_default();
                    if let Some(file) = &mut done.1
                        && let Err(error) = writeln!(file, "{line}")
                    {
                        done.2 = Some(format!("the record cannot be written: {error}"));
                    }
                    done.0.insert(seed, swept);
                }
            });
        }
    });
    let (sweeps, _, error) = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(error) = error {
        return Err(error);
    }
    let (cuts, broken): (usize, usize) =
        sweeps.values().fold((0, 0), |(cuts, broken), sweep| (cuts + sweep.cuts, broken + sweep.broken.len()));
    let kept: usize = sweeps.values().map(|sweep| sweep.kept_unacknowledged).sum();
    say!("{cuts} power cuts over {} workloads, every boundary of each: {broken} broken", sweeps.len());
    say!("  {kept} of them kept a commit that was not yet acknowledged");
    Ok(broken == 0)
}
