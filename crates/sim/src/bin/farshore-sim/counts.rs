//! What the long counts have come to, over all commits: a table in the docs, and a small file beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use farshore_sim::plan::Profile;
use farshore_sim::powercut::Sweep;
use farshore_sim::sweep::{Report, Summary, summarize};

use crate::args::Counts;
use crate::record::{Counted, Line, named, read};

const BEGIN: &str = "<!-- counts -->";
const END: &str = "<!-- end of counts -->";

/// One row of the small file: what ran on one state of the sources.
#[derive(Debug, Default)]
struct Ran {
    commits: BTreeSet<String>,
    machines: BTreeSet<String>,
    seeds: BTreeSet<u64>,
    broken: BTreeSet<u64>,
    cpu_ms: u64,
}

/// Rows by the sources' hash.
fn ran<T: Counted>(lines: &BTreeMap<u64, Line<T>>) -> BTreeMap<String, Ran> {
    let mut rows: BTreeMap<String, Ran> = BTreeMap::new();
    for (seed, line) in lines {
        let row = rows.entry(line.stamp.sources.clone()).or_default();
        row.commits.insert(line.stamp.commit.clone());
        row.machines.insert(line.stamp.machine.clone());
        row.seeds.insert(*seed);
        row.cpu_ms += line.stamp.cpu_ms;
        if line.of.broken() {
            row.broken.insert(*seed);
        }
    }
    rows
}

/// Numbers as ranges, as in `0..=99 200`.
fn ranges(seeds: &BTreeSet<u64>) -> String {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for seed in seeds {
        match ranges.last_mut() {
            Some(last) if *last.end() + 1 == *seed => *last = *last.start()..=*seed,
            _ => ranges.push(*seed..=*seed),
        }
    }
    let shown = ranges.iter().map(|range| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}..={}", range.start(), range.end()),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn joined(words: &BTreeSet<String>) -> String {
    words.iter().map(|word| if word.is_empty() { "unnamed" } else { word }).collect::<Vec<_>>().join(" ")
}

fn rows(count: &str, ran: &BTreeMap<String, Ran>, out: &mut String) {
    for (sources, row) in ran {
        let (commits, machines) = (joined(&row.commits), joined(&row.machines));
        let _ = writeln!(
            out,
            "{count}\t{sources}\t{commits}\t{}\t{}\t{}\t{:.0}\t{machines}",
            row.seeds.len(),
            ranges(&row.seeds),
            ranges(&row.broken),
            row.cpu_ms as f64 / 1_000.0
        );
    }
}

/// One line of the table of counts.
fn total(what: &str, goal: usize, ran: &BTreeMap<String, Ran>) -> String {
    let sum = |of: fn(&Ran) -> usize| ran.values().map(of).sum::<usize>();
    let commits: BTreeSet<String> = ran.values().flat_map(|row| row.commits.iter().cloned()).collect();
    let machines: BTreeSet<String> = ran.values().flat_map(|row| row.machines.iter().cloned()).collect();
    let (done, broken, cpu_ms) =
        (sum(|row| row.seeds.len()), sum(|row| row.broken.len()), ran.values().map(|r| r.cpu_ms));
    let cpu_s = cpu_ms.sum::<u64>() as f64 / 1_000.0;
    format!("| {what} | {done} of {goal} | {broken} | {cpu_s:.0} | {} | {} |\n", joined(&commits), joined(&machines))
}

fn medians(summary: &Summary) -> String {
    format!(
        "{} devices, {} edits, {} faults; at rest after {} round trips in the median, {} at most; {} of {} edits acknowledged",
        summary.median_devices,
        summary.median_edits,
        summary.median_faults,
        summary.median_round_trips,
        summary.most_round_trips,
        summary.acknowledged,
        summary.edits
    )
}

fn shares<'a>(of: &str, kinds: impl Iterator<Item = (&'a str, usize)>, seeds: usize) -> String {
    let mut out = format!("| {of} | share of the seeds |\n|---|---:|\n");
    for (kind, fired) in kinds {
        let _ = writeln!(out, "| {kind} | {:.1} % |", fired as f64 * 100.0 / seeds.max(1) as f64);
    }
    out
}

fn reports(lines: &BTreeMap<u64, Line<Report>>) -> impl Iterator<Item = &Report> {
    lines.values().map(|line| &line.of)
}

pub(crate) fn run(args: &Counts) -> Result<bool, String> {
    let seeds = read::<Report>(&args.dir.join("seeds.jsonl"))?;
    let byzantine = read::<Report>(&args.dir.join("byzantine.jsonl"))?;
    let powercuts = read::<Sweep>(&args.dir.join("powercuts.jsonl"))?;
    let (mixed, hostile) = (ran(&seeds), ran(&byzantine));
    let cut = ran(&powercuts);

    let mut small = String::from("count\tsources\tcommits\tdone\tseeds\tbroken\tcpu_s\tmachine\n");
    rows("seeds", &mixed, &mut small);
    rows("byzantine", &hostile, &mut small);
    rows("powercuts", &cut, &mut small);
    fs::write(&args.out, &small).map_err(|error| named(&args.out, &error))?;

    let cuts: usize = powercuts.values().map(|line| line.of.cuts).sum();
    let mut table =
        String::from("| count | done | broken | CPU s | commits | machine |\n|---|---:|---:|---:|---|---|\n");
    table += &total("seeds of mixed faults", 20_000, &mixed);
    table += &total("seeds with devices in bad hands", 5_000, &hostile);
    table += &total(&format!("workloads cut at every boundary: {cuts} power cuts"), 50, &cut);
    let summary = summarize(reports(&seeds), Profile::Mixed);
    let mut shortfalls = summary.shortfalls.clone();
    if !seeds.is_empty() {
        let fired = summary.fired.iter().map(|(kind, seeds)| (kind.name(), *seeds));
        let _ = write!(table, "\nMixed, medians: {}.\n\n", medians(&summary));
        table += &shares("fault that fired", fired, summary.seeds);
    }
    if !byzantine.is_empty() {
        let summary = summarize(reports(&byzantine), Profile::Byzantine);
        shortfalls.extend(summary.shortfalls.iter().cloned());
        let mut acted: BTreeMap<String, usize> = BTreeMap::new();
        for (kind, misdeeds) in reports(&byzantine).flat_map(|report| &report.misdeeds) {
            *acted.entry(kind.to_string()).or_default() += usize::from(*misdeeds > 0);
        }
        let _ = write!(table, "\nByzantine, medians: {}.\n\n", medians(&summary));
        table +=
            &shares("kind that misbehaved", acted.iter().map(|(kind, seeds)| (kind.as_str(), *seeds)), summary.seeds);
    }
    for shortfall in &shortfalls {
        let _ = writeln!(table, "\nNot covered: {shortfall}.");
    }
    if !powercuts.is_empty() {
        let operations: Vec<usize> = powercuts.values().map(|line| line.of.operations).collect();
        let kept: usize = powercuts.values().map(|line| line.of.kept_unacknowledged).sum();
        let (least, most) = (operations.iter().min().unwrap_or(&0), operations.iter().max().unwrap_or(&0));
        let _ = writeln!(
            table,
            "\nA power-cut workload has {least} to {most} disk operations, {} in the mean; {kept} of the cuts kept a commit that \
             nobody had been promised.",
            operations.iter().sum::<usize>() / operations.len().max(1)
        );
    }
    insert(&args.into, &table)?;
    say!("{table}");
    let broken = [&mixed, &hostile, &cut].into_iter().flat_map(BTreeMap::values).any(|row| !row.broken.is_empty());
    Ok(!broken && shortfalls.is_empty())
}

/// Puts a table between the marks of a document.
fn insert(path: &Path, table: &str) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| named(path, &error))?;
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        return Err(format!("`{}` has no lines `{BEGIN}` and `{END}`", path.display()));
    };
    let text = format!("{}\n{}{}", &text[..begin + BEGIN.len()], table, &text[end..]);
    fs::write(path, text).map_err(|error| named(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_in_a_row_are_told_as_a_range() {
        let seeds = BTreeSet::from([0, 1, 2, 5, 7, 8]);
        assert_eq!(ranges(&seeds), "0..=2 5 7..=8");
        assert_eq!(ranges(&BTreeSet::new()), "");
    }
}
