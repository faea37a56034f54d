//! How far a long command is: a bar on a terminal, a line every few seconds elsewhere, silence where it would disturb.

use crate::limits::PROGRESS_LINE_EVERY;
use crate::print::{self, Printer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What is being counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of a file.
    Bytes,
    /// Documents, rows, entries: the word for them.
    Things(&'static str),
}

/// The progress of one step of a command.
///
/// Shape: reports go to standard error, so that standard output stays what was asked for.
pub struct Progress {
    way: Way,
    label: String,
    unit: Unit,
    total: Option<u64>,
    started: Instant,
}

enum Way {
    Silent,
    Bar(ProgressBar),
    Lines { out: Box<dyn io::Write + Send>, last: Duration },
}

#[expect(clippy::disallowed_methods, reason = "the speed shown to a person decides nothing")]
fn now() -> Instant {
    Instant::now()
}

impl Progress {
    /// Begins to report on `label` ("checking", "importing") with the total, if it is known.
    pub fn start(printer: &Printer, label: &str, total: Option<u64>, unit: Unit) -> Self {
        let way = if printer.is_json() || printer.is_quiet() {
            Way::Silent
        } else if io::stderr().is_terminal() {
            Way::Bar(bar(label, total, unit))
        } else {
            Way::Lines { out: Box::new(anstream::stderr()), last: Duration::ZERO }
        };
        Progress { way, label: label.to_owned(), unit, total, started: now() }
    }

    /// Tells how much is done. Cost: nothing where no report is due, so it may be called for every batch.
    pub fn set(&mut self, done: u64) {
        let elapsed = self.started.elapsed();
        match &mut self.way {
            Way::Silent => {}
            Way::Bar(bar) => bar.set_position(done),
            Way::Lines { out, last } => {
                if elapsed.saturating_sub(*last) >= PROGRESS_LINE_EVERY {
                    *last = elapsed;
                    let line = describe(&self.label, self.unit, done, self.total, elapsed);
                    let _ = writeln!(out, "{line}"); // progress is no reason to fail
                }
            }
        }
    }

    /// Changes the total: more may come while it goes on.
    pub fn set_total(&mut self, total: Option<u64>) {
        self.total = total;
        if let (Way::Bar(bar), Some(total)) = (&self.way, total) {
            bar.set_length(total);
        }
    }

    /// Ends the report where there is nothing to sum up.
    pub fn clear(self) {
        if let Way::Bar(bar) = self.way {
            bar.finish_and_clear();
        }
    }

    /// Ends the report: the bar vanishes, or a last line is written if there was one before. Gives the time it took.
    pub fn finish(self, done: u64) -> Duration {
        let elapsed = self.started.elapsed();
        match self.way {
            Way::Silent => {}
            Way::Bar(bar) => bar.finish_and_clear(),
            Way::Lines { mut out, last } => {
                if last > Duration::ZERO {
                    let line = describe(&self.label, self.unit, done, self.total, elapsed);
                    let _ = writeln!(out, "{line}");
                }
            }
        }
        elapsed
    }
}

fn bar(label: &str, total: Option<u64>, unit: Unit) -> ProgressBar {
    let (position, rate) = match (unit, total) {
        (Unit::Bytes, Some(_)) => ("{decimal_bytes}/{decimal_total_bytes}", "{decimal_bytes_per_sec}"),
        (Unit::Bytes, None) => ("{decimal_bytes}", "{decimal_bytes_per_sec}"),
        (Unit::Things(_), Some(_)) => ("{human_pos}/{human_len}", "{per_sec}"),
        (Unit::Things(_), None) => ("{human_pos}", "{per_sec}"),
    };
    let template = match total {
        Some(_) => format!("{{prefix}} [{{bar:30}}] {position} {{msg}} {rate} {{eta}} left"),
        None => format!("{{prefix}} {{spinner}} {position} {{msg}} {rate}"),
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(label.to_owned());
    if let Unit::Things(word) = unit {
        bar.set_message(word);
    }
    bar
}

/// One line of progress: `importing: 12,000 of 28,298 documents (42 %), 6,000 a second, 3 s left`.
fn describe(label: &str, unit: Unit, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let amount = |number: u64| match unit {
        Unit::Bytes => print::bytes(number),
        Unit::Things(_) => print::count(number),
    };
    let word = match unit {
        Unit::Bytes => String::new(),
        Unit::Things(word) => format!(" {word}"),
    };
    let mut line = match total {
        Some(total) => format!("{label}: {} of {}{word}", amount(done), amount(total)),
        None => format!("{label}: {}{word}", amount(done)),
    };
    if let Some(total) = total.filter(|total| *total > 0) {
        line.push_str(&format!(" ({} %)", u128::from(done.min(total)) * 100 / u128::from(total)));
    }
    let seconds = elapsed.as_secs_f64();
    if seconds >= 0.001 && done > 0 {
        let rate = done as f64 / seconds;
        line.push_str(&format!(", {} a second", amount(rate as u64)));
        if let Some(left) = total.map(|total| total.saturating_sub(done)).filter(|left| *left > 0) {
            line.push_str(&format!(", {} left", duration((left as f64 / rate).ceil() as u64)));
        }
    }
    line
}

/// Seconds for a person: `5 s`, `2 min 3 s`, `1 h 12 min`.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_amount_share_rate_and_time_left() {
        let line = describe("importing", Unit::Things("documents"), 12_000, Some(28_298), Duration::from_secs(2));
        assert_eq!(line, "importing: 12,000 of 28,298 documents (42 %), 6,000 a second, 3 s left");
        let line = describe("checking", Unit::Bytes, 1_500_000, None, Duration::from_secs(1));
        assert_eq!(line, "checking: 1.5 MB, 1.5 MB a second");
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(describe("x", Unit::Bytes, 0, Some(0), Duration::ZERO), "x: 0 B of 0 B");
        assert_eq!(describe("x", Unit::Bytes, 0, Some(5), Duration::from_secs(9)), "x: 0 B of 5 B (0 %)");
        assert_eq!(describe("x", Unit::Things("rows"), 9, Some(5), Duration::ZERO), "x: 9 of 5 rows (100 %)");
    }

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(
            (duration(59), duration(123), duration(4320)),
            ("59 s".into(), "2 min 3 s".into(), "1 h 12 min".into())
        );
    }
}
