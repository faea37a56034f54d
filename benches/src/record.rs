//! What a run gave, and what many runs gave together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Figures by name. Units are the last word of the name.
pub(crate) type Values = BTreeMap<String, f64>;

/// One run of one case of one scenario with one engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// `p1` and so on.
    pub(crate) scenario: String,
    /// Whose devices.
    pub(crate) engine: String,
    /// Documents, changes or whatever the scenario varies.
    pub(crate) case: u32,
    /// From 1.
    pub(crate) run: u32,
    /// What the nodes talked over.
    pub(crate) network: String,
    /// Whether strace counted flushes: times then mean nothing.
    pub(crate) flushes: bool,
    /// The commit that was built, if git knows.
    pub(crate) commit: String,
    /// The machine, in words.
    pub(crate) machine: String,
    /// The figures.
    pub(crate) values: Values,
}

/// Median, least and most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) runs: usize,
}

/// `None` without values.
pub(crate) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    Some(Spread { median: percentile(&values, 50), least, most, runs: values.len() })
}

/// Of sorted values; 0 of none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    if percent == 50 && sorted.len().is_multiple_of(2) && !sorted.is_empty() {
        let middle = sorted.len() / 2;
        return f64::midpoint(sorted[middle - 1], sorted[middle]);
    }
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0.0)
}

/// Cases in their order, each with its figures over all runs.
pub(crate) type Summary = BTreeMap<(String, u32, String), BTreeMap<String, Spread>>;

/// Medians by scenario, case and engine. Of runs under strace only the flushes count, and flushes only of those.
pub(crate) fn summary(records: &[Record]) -> Summary {
    let mut gathered: BTreeMap<(String, u32, String), BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for record in records {
        let case = gathered.entry((record.scenario.clone(), record.case, record.engine.clone())).or_default();
        for (name, value) in &record.values {
            if name.ends_with("flushes") == record.flushes {
                case.entry(name.clone()).or_default().push(*value);
            }
        }
    }
    let spreads = |values: BTreeMap<String, Vec<f64>>| {
        values.into_iter().filter_map(|(name, values)| Some((name, spread(values)?))).collect()
    };
    gathered.into_iter().map(|(case, values)| (case, spreads(values))).collect()
}

/// Prints medians, and for two engines how many times more the other takes.
pub(crate) fn print(records: &[Record]) {
    let summary = summary(records);
    for ((scenario, case, engine), values) in &summary {
        println!("{scenario} {case} {engine}");
        for (name, spread) in values {
            let ours = summary.get(&(scenario.clone(), *case, "farshore".to_owned())).and_then(|ours| ours.get(name));
            let ratio = match ours {
                Some(ours) if engine != "farshore" && ours.median > 0.0 => {
                    format!("   {:.2} times farshore's", spread.median / ours.median)
                }
                _ => String::new(),
            };
            let Spread { median, least, most, runs } = spread;
            println!("  {name:34} {median:>14.3}   ({least:.3} to {most:.3}, {runs} runs){ratio}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_those_of_the_textbook() {
        assert_eq!(spread(vec![]), None);
        let of = spread(vec![3.0, 1.0, 2.0, 10.0]).unwrap();
        assert_eq!((of.median, of.least, of.most, of.runs), (2.5, 1.0, 10.0, 4));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (50.5, 99.0));
    }

    #[test]
    fn times_of_runs_under_strace_do_not_count_and_flushes_of_others_neither() {
        let record = |flushes, value: f64| Record {
            scenario: "p1".into(),
            engine: "farshore".into(),
            case: 1,
            run: 1,
            network: "tcp".into(),
            flushes,
            commit: String::new(),
            machine: String::new(),
            values: [("durable_ms".to_owned(), value), ("a_flushes".to_owned(), value)].into(),
        };
        let summary = summary(&[record(false, 1.0), record(true, 2.0)]);
        let values = summary.values().next().unwrap();
        assert_eq!((values["durable_ms"].median, values["a_flushes"].median), (1.0, 2.0));
    }
}
