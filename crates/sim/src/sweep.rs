//! Many seeds: one report each, and what they say together.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::byzantine::ByzantineKind;
use crate::dice::Dice;
use crate::fault::FaultKind;
use crate::oracle::{self, Violation};
use crate::plan::{Plan, Profile, draw};
use crate::run::{Options, Outcome, run};

/// Of a hundred seeds, in how many each kind of fault must fire at least, in a range of mixed seeds.
const LEAST_FIRED_PERCENT: usize = 1;
/// What the median mixed seed must have at least: devices, edits, faults.
const LEAST_MEDIANS: [u64; 3] = [5, 300, 20];
/// A range is judged by its coverage from this many seeds on: with fewer, a kind that fires in 1 % may be absent by chance.
const JUDGED_SEEDS: usize = 1_000;
/// What devices' keys and chance within a run come from where bytes choose all else: the same bytes do the same.
const BYTES_SEED: u64 = 1;

/// What one seed came to. One line of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The trace's hash, in hexadecimal.
    pub trace: String,
    /// How many devices there were.
    pub devices: u64,
    /// Documents that users edited.
    pub edits: u64,
    /// Of those, how many were acknowledged.
    pub acknowledged: u64,
    /// Faults that took effect, by kind.
    pub fired: BTreeMap<FaultKind, u64>,
    /// What devices in bad hands did, by kind.
    #[serde(default)]
    pub misdeeds: BTreeMap<ByzantineKind, u64>,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Round trips from the last fault until everything had converged.
    pub rest_round_trips: u64,
    /// Events handled.
    pub events: u64,
    /// What was broken.
    pub violations: Vec<String>,
}

impl Report {
    /// Of one outcome.
    pub fn new(seed: u64, outcome: &Outcome) -> Report {
        Report {
            seed,
            trace: farshore_core::id::hex(&outcome.trace),
            devices: outcome.devices as u64,
            edits: outcome.edits,
            acknowledged: outcome.acknowledged,
            fired: outcome.fired.clone(),
            misdeeds: outcome.misdeeds.clone(),
            virtual_ms: outcome.virtual_ms,
            rest_round_trips: outcome.rest_round_trips,
            events: outcome.events,
            violations: outcome.violations.iter().map(ToString::to_string).collect(),
        }
    }

    /// Faults that took effect, of every kind.
    pub fn faults(&self) -> u64 {
        self.fired.values().sum()
    }
}

/// The plan of a seed.
pub fn plan_of(seed: u64, profile: Profile) -> Plan {
    draw(&mut Dice::seeded(seed), seed, profile)
}

/// The plan that a fuzzer's bytes stand for: a small world, as a fuzzer needs many short runs. Any bytes are a plan; where they end,
/// every choice is the first one.
pub fn plan_of_bytes(data: &[u8]) -> Plan {
    draw(&mut Dice::bytes(data), BYTES_SEED, Profile::Small)
}

/// Runs a plan with every oracle; a panic is a violation too.
pub fn judge(plan: &Plan, app: &dyn App, options: Options) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(plan, app, oracle::all(), options))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let what = text.unwrap_or_else(|| "a panic without a message".into());
        let violation = Violation { oracle: "panics", at_ms: 0, device: None, what };
        Outcome { devices: plan.setup.members.len(), violations: vec![violation], ..Outcome::default() }
    })
}

/// What many reports say together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many seeds.
    pub seeds: usize,
    /// Seeds in which something was broken.
    pub broken: Vec<u64>,
    /// Medians of devices, edits, faults, and round trips to rest.
    pub median_devices: u64,
    /// See `median_devices`.
    pub median_edits: u64,
    /// See `median_devices`.
    pub median_faults: u64,
    /// See `median_devices`.
    pub median_round_trips: u64,
    /// The most round trips to rest.
    pub most_round_trips: u64,
    /// Edits in all, and of those how many were acknowledged.
    pub edits: u64,
    /// See `edits`.
    pub acknowledged: u64,
    /// Events in all.
    pub events: u64,
    /// Virtual milliseconds in all.
    pub virtual_ms: u64,
    /// In how many seeds each kind of fault fired.
    pub fired: BTreeMap<FaultKind, usize>,
    /// What the range fails to cover; empty is good.
    pub shortfalls: Vec<String>,
}

impl Summary {
    /// Whether nothing was broken and everything was covered.
    pub fn is_good(&self) -> bool {
        self.broken.is_empty() && self.shortfalls.is_empty()
    }
}

/// Takes stock of a range of seeds.
pub fn summarize<'a>(reports: impl IntoIterator<Item = &'a Report>, profile: Profile) -> Summary {
    let reports: Vec<&Report> = reports.into_iter().collect();
    let median = |of: fn(&Report) -> u64| {
        let mut numbers: Vec<u64> = reports.iter().map(|report| of(report)).collect();
        numbers.sort_unstable();
        numbers.get(numbers.len() / 2).copied().unwrap_or(0)
    };
    let mut fired: BTreeMap<FaultKind, usize> = FaultKind::ALL.iter().map(|kind| (*kind, 0)).collect();
    for kind in reports.iter().flat_map(|report| report.fired.keys()) {
        *fired.entry(*kind).or_default() += 1;
    }
    let mut summary = Summary {
        seeds: reports.len(),
        broken: reports.iter().filter(|report| !report.violations.is_empty()).map(|report| report.seed).collect(),
        median_devices: median(|report| report.devices),
        median_edits: median(|report| report.edits),
        median_faults: median(Report::faults),
        median_round_trips: median(|report| report.rest_round_trips),
        most_round_trips: reports.iter().map(|report| report.rest_round_trips).max().unwrap_or(0),
        edits: reports.iter().map(|report| report.edits).sum(),
        acknowledged: reports.iter().map(|report| report.acknowledged).sum(),
        events: reports.iter().map(|report| report.events).sum(),
        virtual_ms: reports.iter().map(|report| report.virtual_ms).sum(),
        fired,
        shortfalls: Vec::new(),
    };
    if profile == Profile::Mixed && reports.len() >= JUDGED_SEEDS {
        summary.shortfalls = shortfalls(&summary);
    }
    if profile == Profile::Byzantine && reports.len() >= JUDGED_SEEDS {
        summary.shortfalls = idle_kinds(&reports);
    }
    summary
}

/// Kinds of devices in bad hands that hardly ever did anything.
fn idle_kinds(reports: &[&Report]) -> Vec<String> {
    let acted = |kind: &ByzantineKind| {
        reports.iter().filter(|report| report.misdeeds.get(kind).is_some_and(|misdeeds| *misdeeds > 0)).count()
    };
    let counts = ByzantineKind::ALL.iter().map(|kind| (kind, acted(kind)));
    let idle = counts.filter(|(_, seeds)| seeds * 100 < reports.len() * LEAST_FIRED_PERCENT);
    idle.map(|(kind, seeds)| {
        format!("{kind} acted in {seeds} of {} seeds, under {LEAST_FIRED_PERCENT} %", reports.len())
    })
    .collect()
}

fn shortfalls(summary: &Summary) -> Vec<String> {
    let mut out = Vec::new();
    for (kind, seeds) in &summary.fired {
        if seeds * 100 < summary.seeds * LEAST_FIRED_PERCENT {
            out.push(format!("{kind} fired in {seeds} of {} seeds, under {LEAST_FIRED_PERCENT} %", summary.seeds));
        }
    }
    let medians = [summary.median_devices, summary.median_edits, summary.median_faults];
    for ((what, median), least) in ["devices", "edits", "faults"].into_iter().zip(medians).zip(LEAST_MEDIANS) {
        if median < least {
            out.push(format!("the median seed has {median} {what}; it must have {least}"));
        }
    }
    out
}

/// Runs an app on many seeds: what an app team calls in its tests.
///
/// # Errors
/// The first seed in which something was broken, what, and the call that shows it again.
pub fn check(app: &dyn App, seeds: std::ops::Range<u64>, profile: Profile) -> Result<Vec<Report>, String> {
    let one = |seed| {
        check_plan(app, &plan_of(seed, profile)).map_err(|what| {
            format!(
                "seed {seed} of profile {profile}: {what}; its timeline, and a small plan that breaks the same: \
                 `farshore_sim::reproduce(&app, {seed}, Profile::{profile:?})`"
            )
        })
    };
    seeds.map(one).collect()
}

/// Runs an app on the world that a fuzzer's bytes stand for: what an app team calls in its fuzz target.
///
/// # Errors
/// What was broken, and the call that shows it again.
pub fn check_bytes(app: &dyn App, data: &[u8]) -> Result<Report, String> {
    check_plan(app, &plan_of_bytes(data)).map_err(|what| {
        format!(
            "{} bytes: {what}; its timeline, and a small plan that breaks the same: \
             `farshore_sim::reproduce_plan(&app, &plan_of_bytes(data))`",
            data.len()
        )
    })
}

fn check_plan(app: &dyn App, plan: &Plan) -> Result<Report, String> {
    let outcome = judge(plan, app, Options::default());
    let Some(first) = outcome.violations.first() else { return Ok(Report::new(plan.setup.seed, &outcome)) };
    let names: BTreeSet<&str> = outcome.violations.iter().map(|violation| violation.oracle).collect();
    Err(format!("{first} (in all: {names:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(seed: u64, kinds: &[FaultKind]) -> Report {
        let fired = kinds.iter().map(|kind| (*kind, 30)).collect();
        let outcome = Outcome { devices: 6, edits: 400, fired, ..Outcome::default() };
        Report::new(seed, &outcome)
    }

    #[test]
    fn a_range_in_which_a_kind_of_device_in_bad_hands_hardly_acts_is_found_out() {
        let misdeeds: BTreeMap<ByzantineKind, u64> = ByzantineKind::ALL.iter().map(|kind| (*kind, 1)).collect();
        let mut reports: Vec<Report> =
            (0..1_000).map(|seed| Report { misdeeds: misdeeds.clone(), ..report(seed, &[]) }).collect();
        assert_eq!(summarize(&reports, Profile::Byzantine).shortfalls, Vec::<String>::new());
        for report in reports.iter_mut().skip(9) {
            report.misdeeds.insert(ByzantineKind::Replayer, 0);
        }
        let shortfalls = summarize(&reports, Profile::Byzantine).shortfalls;
        assert!(matches!(&shortfalls[..], [one] if one.starts_with("replayer acted in 9 of 1000")), "{shortfalls:?}");
    }

    #[test]
    fn a_range_in_which_a_kind_of_fault_hardly_fires_is_found_out() {
        let all = FaultKind::ALL;
        let mut reports: Vec<Report> = (0..1_000).map(|seed| report(seed, all)).collect();
        assert_eq!(summarize(&reports, Profile::Mixed).shortfalls, Vec::<String>::new());
        for report in reports.iter_mut().skip(9) {
            report.fired.remove(&FaultKind::DiskFull);
        }
        let shortfalls = summarize(&reports, Profile::Mixed).shortfalls;
        assert!(matches!(&shortfalls[..], [one] if one.starts_with("disk-full fired in 9 of 1000")), "{shortfalls:?}");
    }

    #[test]
    fn a_range_whose_median_seed_is_too_small_is_found_out() {
        let long = |seed: u64| report(seed, FaultKind::ALL);
        let short = |seed: u64| {
            let fired = BTreeMap::from([(FaultKind::Sleep, 19)]);
            Report::new(seed, &Outcome { devices: 4, edits: 299, fired, ..Outcome::default() })
        };
        // One seed more of the small ones than of the large ones, and the median is a small one.
        let reports: Vec<Report> = (0..501).map(short).chain((501..1_001).map(long)).collect();
        let shortfalls = summarize(&reports, Profile::Mixed).shortfalls;
        for what in ["4 devices; it must have 5", "299 edits; it must have 300", "19 faults; it must have 20"] {
            assert!(shortfalls.iter().any(|shortfall| shortfall.ends_with(what)), "{what}: {shortfalls:?}");
        }
        let reports: Vec<Report> = (0..500).map(short).chain((500..1_001).map(long)).collect();
        let shortfalls = summarize(&reports, Profile::Mixed).shortfalls;
        assert!(!shortfalls.iter().any(|shortfall| shortfall.contains("median")), "{shortfalls:?}");
    }
}
