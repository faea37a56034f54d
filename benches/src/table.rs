//! Results of runs as the table of `docs/benchmarks.md`, between its markers.

mod lines;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::record::{Record, Spread, Summary, summary};
use lines::{Figure, Goal, LINES, Line};

const BEGIN: &str = "<!-- results: written by `farshore-bench doc` -->";
const END: &str = "<!-- end of results -->";

/// Replaces what stands between the markers of `document`.
pub(crate) fn write(document: &Path, results: &[PathBuf]) -> Result<(), String> {
    let mut records = Vec::new();
    for path in results {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let record: Record = serde_json::from_str(line).map_err(|error| format!("{}: {error}", path.display()))?;
            records.push(record);
        }
    }
    let text = std::fs::read_to_string(document).map_err(|error| format!("{}: {error}", document.display()))?;
    let text =
        replaced(&text, &table(&records)).ok_or_else(|| format!("no markers {BEGIN} and {END} in the document"))?;
    std::fs::write(document, text).map_err(|error| format!("{}: {error}", document.display()))
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

fn table(records: &[Record]) -> String {
    let summary = summary(records);
    let distinct = |of: fn(&Record) -> &str| {
        let all: BTreeSet<&str> = records.iter().map(of).collect();
        all.into_iter().collect::<Vec<_>>().join("; ")
    };
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(
        out,
        "Machine: {}. Commit: {}. Over {}. Medians, in brackets the least and the most.\n",
        distinct(|record| &record.machine),
        distinct(|record| &record.commit),
        distinct(|record| &record.network),
    );
    out.push_str("| # | what | Farshore | samod 0.16 | samod / Farshore | limit of the parts | goal | reached |\n");
    out.push_str("|---|---|---|---|---|---|---|---|\n");
    for line in LINES {
        let [ours, theirs] = ["farshore", "samod"].map(|engine| figure(&summary, line, engine));
        let ratio = match (&ours, &theirs) {
            (Some(ours), Some(theirs)) if ours.median > 0.0 => format!("{:.1}", theirs.median / ours.median),
            _ => "-".to_owned(),
        };
        let reached = match (&ours, &line.reached) {
            (Some(ours), Goal::AtMost(most)) => yes(ours.median <= *most),
            (Some(ours), Goal::AtLeast(least)) => yes(ours.median >= *least),
            _ => "-",
        };
        let [ours, theirs] = [ours, theirs].map(|spread| shown(spread, line.unit));
        let Line { row, what, limit, goal, .. } = line;
        let _ = writeln!(out, "| {row} | {what} | {ours} | {theirs} | {ratio} | {limit} | {goal} | {reached} |");
    }
    out
}

fn figure(summary: &Summary, line: &Line, engine: &str) -> Option<Spread> {
    let of = |case: u32, name: &str| {
        summary.get(&(line.scenario.to_owned(), case, engine.to_owned())).and_then(|values| values.get(name)).copied()
    };
    match line.figure {
        Figure::Of(name) => of(line.case, name),
        Figure::Over(case, name) => {
            let (over, under) = (of(line.case, name)?, of(case, name)?);
            let median = over.median / under.median;
            Some(Spread { median, least: median, most: median, runs: over.runs.min(under.runs) })
        }
    }
}

fn yes(reached: bool) -> &'static str {
    if reached { "yes" } else { "**no**" }
}

fn shown(spread: Option<Spread>, unit: &str) -> String {
    let Some(Spread { median, least, most, .. }) = spread else { return "-".to_owned() };
    if least == most {
        return format!("{} {unit}", number(median)).trim().to_owned();
    }
    format!("{} {unit} ({} to {})", number(median), number(least), number(most))
}

/// Three figures, and thousands apart.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match rest {
        Some(rest) => format!("{grouped}.{rest}"),
        None => grouped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_figures_and_thousands_apart() {
        let numbers = [0.0, 0.1234, 1.236, 12.34, 123.4, 1234.0, 1_234_567.0].map(number);
        assert_eq!(numbers, ["0", "0.123", "1.24", "12.3", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        assert_eq!(replaced(&text, "new\n"), Some(format!("before\n{BEGIN}\nnew\n{END}\nafter\n")));
        assert_eq!(replaced("no markers", "new"), None);
    }

    #[test]
    fn a_missed_goal_is_said_and_a_figure_that_nobody_measured_is_a_dash() {
        let record = Record {
            scenario: "p1".into(),
            engine: "farshore".into(),
            case: 10_000,
            run: 1,
            network: "tcp".into(),
            flushes: false,
            commit: "c".into(),
            machine: "m".into(),
            values: [("durable_ms".to_owned(), 301.0)].into(),
        };
        let table = table(&[record]);
        let line = table.lines().find(|line| line.contains("301 ms")).unwrap();
        assert!(line.ends_with("| **no** |"), "{line}");
        assert!(table.lines().any(|line| line.starts_with("| P12") && line.contains("| - | - |")));
    }
}
