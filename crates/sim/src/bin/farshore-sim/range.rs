//! A range of seeds, several at a time, recorded, and summed up.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use farshore_sim::sweep::{Report, Summary, judge, plan_of, read_record, summarize};

use crate::args::Run;

/// Seeds between two lines of progress.
const PROGRESS: u64 = 100;

/// What the workers share.
struct Shared {
    next: AtomicU64,
    end: u64,
    done: Mutex<Done>,
}

struct Done {
    reports: BTreeMap<u64, Report>,
    record: Option<File>,
    error: Option<String>,
    fresh: u64,
}

pub(crate) fn run(args: &Run) -> Result<bool, String> {
    let seeds = args.seed.map_or(args.seeds.clone(), |seed| seed..seed + 1);
    let mut reports = BTreeMap::new();
    let record = match &args.record {
        Some(path) => {
            reports = before(path)?;
            reports.retain(|seed, _| seeds.contains(seed));
            Some(OpenOptions::new().create(true).append(true).open(path).map_err(|error| named(path, &error))?)
        }
        None => None,
    };
    let shared = Shared {
        next: AtomicU64::new(seeds.start),
        end: seeds.end,
        done: Mutex::new(Done { reports, record, error: None, fresh: 0 }),
    };
    #[expect(clippy::disallowed_methods, reason = "only how long the runs took is read off a clock")]
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| work(args, &shared, &begun));
        }
    });
    let done = shared.done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(error) = done.error {
        return Err(error);
    }
    let summary = summarize(done.reports.values(), args.how.profile);
    tell(args, &summary, done.fresh, begun.elapsed().as_secs_f64());
    Ok(summary.is_good())
}

fn before(path: &Path) -> Result<BTreeMap<u64, Report>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(read_record(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(named(path, &error)),
    }
}

fn named(path: &Path, error: &std::io::Error) -> String {
    format!("`{}`: {error}", path.display())
}

fn work(args: &Run, shared: &Shared, begun: &Instant) {
    let lock = || shared.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    loop {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= shared.end || lock().error.is_some() {
            return;
        }
        if lock().reports.contains_key(&seed) {
            continue;
        }
        let plan = plan_of(seed, args.how.profile);
        let outcome = judge(&plan, &plan.setup.workload, args.how.options(false));
        let report = Report::new(seed, &outcome);
        let mut done = lock();
        keep(args, &mut done, report);
        if done.fresh.is_multiple_of(PROGRESS) && !args.json {
            let each = begun.elapsed().as_secs_f64() / done.fresh as f64;
            let left = (shared.end - seed) as f64 * each;
            let broken = done.reports.values().filter(|report| !report.violations.is_empty()).count();
            eprintln!("{} seeds, {broken} broken, {each:.3} s each, {left:.0} s to go", done.reports.len());
        }
    }
}

fn keep(args: &Run, done: &mut Done, report: Report) {
    let line = serde_json::to_string(&report).unwrap_or_default();
    if let Some(file) = &mut done.record
        && let Err(error) = writeln!(file, "{line}")
    {
        done.error = Some(format!("the record cannot be written: {error}"));
    }
    if args.json {
        say!("{line}");
    } else if args.seed.is_some() {
        say!("trace {}", report.trace);
    }
    if !report.violations.is_empty() && !args.json {
        say!("seed {} is broken; see it again with:", report.seed);
        say!("  farshore-sim run --seed {}{}", report.seed, args.how.typed());
        report.violations.iter().for_each(|violation| say!("  {violation}"));
    }
    done.fresh += 1;
    done.reports.insert(report.seed, report);
}

fn tell(args: &Run, summary: &Summary, fresh: u64, took_s: f64) {
    if args.json {
        say!("{}", serde_json::json!({ "summary": summary, "fresh": fresh, "took_s": took_s }));
        return;
    }
    say!("{} seeds of profile {}, {} broken", summary.seeds, args.how.profile, summary.broken.len());
    say!(
        "  median: {} devices, {} edits, {} faults; {} of {} edits acknowledged",
        summary.median_devices,
        summary.median_edits,
        summary.median_faults,
        summary.acknowledged,
        summary.edits
    );
    say!(
        "  at rest after {} round trips in the median, {} at most",
        summary.median_round_trips,
        summary.most_round_trips
    );
    let events = summary.events as f64 * fresh as f64 / summary.seeds.max(1) as f64;
    let (each_s, virtual_s) = (fresh as f64 / summary.seeds.max(1) as f64, summary.virtual_ms as f64 / 1_000.0);
    say!(
        "  {fresh} of them run now, in {took_s:.1} s: {:.0} events a second, {:.0} times as fast as the clock",
        events / took_s.max(1e-9),
        each_s * virtual_s / took_s.max(1e-9)
    );
    if summary.fired.values().any(|seeds| *seeds > 0) {
        say!("  seeds in which each fault fired:");
        for (kind, seeds) in &summary.fired {
            say!("    {:<18}{:>5.1} %", kind.name(), *seeds as f64 * 100.0 / summary.seeds.max(1) as f64);
        }
    }
    summary.shortfalls.iter().for_each(|shortfall| say!("  not covered: {shortfall}"));
}
