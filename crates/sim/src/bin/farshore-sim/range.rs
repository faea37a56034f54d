//! A range of seeds, recorded and summed up.

use farshore_sim::sweep::{Report, Summary, judge, plan_of, summarize};

use crate::args::Run;
use crate::long::{self, Progress};

/// Seeds between two lines of progress.
const PROGRESS: u64 = 100;

pub(crate) fn run(args: &Run) -> Result<bool, String> {
    let seeds = args.seed.map_or(args.seeds.clone(), |seed| seed..seed + 1);
    let one = |seed| {
        let plan = plan_of(seed, args.how.profile);
        Report::new(seed, &judge(&plan, &plan.setup.workload, args.how.options(false, args.long.jobs)))
    };
    let count = long::run(&args.long, seeds, one, |report, progress| tell_one(args, report, progress))?;
    let summary = summarize(count.all.values(), args.how.profile);
    tell(args, &summary, count.fresh, count.took_s);
    if count.unfinished && !args.json {
        say!("  the time was up before all seeds had run: go on with the same command");
    }
    Ok(summary.is_good())
}

fn tell_one(args: &Run, report: &Report, progress: &Progress<'_, Report>) {
    if args.json {
        return say!("{}", serde_json::to_string(report).unwrap_or_default());
    }
    if args.seed.is_some() {
        say!("trace {}", report.trace);
    }
    if !report.violations.is_empty() {
        say!("seed {} is broken; see it again with:", report.seed);
        say!("  farshore-sim run --seed {}{}", report.seed, args.how.typed());
        report.violations.iter().for_each(|violation| say!("  {violation}"));
    }
    let Progress { all, fresh, left, each_s } = progress;
    if fresh.is_multiple_of(PROGRESS) {
        let broken = all.values().filter(|report| !report.violations.is_empty()).count();
        let left_s = *left as f64 * each_s;
        eprintln!("{} seeds, {broken} broken, {each_s:.3} s each, {left_s:.0} s to go", all.len() + 1);
    }
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
