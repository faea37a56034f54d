//! What happened in a demo, and whether the devices agree.

use super::line::Passed;
use crate::control::{ConflictItem, DigestItem};
use crate::exit::Failure;
use crate::print::{BAD, BOLD, Cell, DIM, GOOD, Printer, Table, bytes, clean, count};
use serde::Serialize;
use std::time::Duration;

/// One step.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    /// What was done.
    pub(super) what: String,
    /// Documents or edits that it was about.
    pub(super) documents: u64,
    /// How long it took.
    pub(super) milliseconds: u64,
    /// What went over the line meanwhile.
    pub(super) passed: Passed,
}

/// A field with more than one value, as both devices show it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Conflicting {
    /// The document's key.
    pub(super) key: String,
    /// The conflicts as Ada shows them.
    pub(super) ada: Vec<ConflictItem>,
    /// The conflicts as Ben shows them.
    pub(super) ben: Vec<ConflictItem>,
}

/// How the kill went.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Killed {
    /// The process that was killed.
    pub(super) pid: u32,
    /// The process that took over its store.
    pub(super) pid_after: u32,
    /// Entries that Ben held before the two met.
    pub(super) entries_before: u64,
    /// Entries that Ben held when it was killed, as the restarted process found them.
    pub(super) entries_kept: u64,
    /// Entries that both hold in the end.
    pub(super) entries_in_the_end: u64,
}

/// A collection on both devices.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Compared {
    /// Its name.
    pub(super) collection: String,
    /// Fingerprints that Ada's process computed.
    pub(super) ada: DigestItem,
    /// Fingerprints that Ben's process computed.
    pub(super) ben: DigestItem,
}

/// A demo.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// The steps in order.
    pub(super) steps: Vec<Step>,
    /// The kill.
    pub(super) killed: Killed,
    /// What both set to different values.
    pub(super) conflicts: Vec<Conflicting>,
    /// The text that both edited, as each shows it, and how often it was read.
    pub(super) text: [serde_json::Value; 2],
    /// Edits of Ben's that were acknowledged before the kill, and how many of them Ada has.
    pub(super) acknowledged: [u64; 2],
    /// All documents on both.
    pub(super) compared: Vec<Compared>,
    /// Entries that both hold.
    pub(super) entries: u64,
    /// Bytes and connections that the proxy has seen.
    pub(super) passed: Passed,
    /// From the first step to the last.
    pub(super) milliseconds: u64,
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(milliseconds: u64) -> String {
    format!("{:.2} s", milliseconds as f64 / 1000.0)
}

impl Report {
    /// What is not the same on both devices, if anything is not.
    pub(super) fn difference(&self) -> Option<String> {
        let mut found = Vec::new();
        for compared in self.compared.iter().filter(|compared| compared.ada != compared.ben) {
            found.push(format!("the documents of {} differ", compared.collection));
        }
        for conflict in self.conflicts.iter().filter(|conflict| conflict.ada != conflict.ben) {
            found.push(format!("the conflicts of {} differ", conflict.key));
        }
        if self.conflicts.iter().any(|conflict| conflict.ada.iter().all(|item| item.others.is_empty())) {
            found.push("a concurrent value was lost".to_owned());
        }
        if self.text[0] != self.text[1] {
            found.push("the text differs".to_owned());
        }
        if self.acknowledged[0] != self.acknowledged[1] {
            found.push(format!(
                "of {} edits that Ben had acknowledged, Ada has {}",
                self.acknowledged[0], self.acknowledged[1]
            ));
        }
        (!found.is_empty()).then(|| found.join("; "))
    }

    /// Shows it to a person.
    pub(super) fn show(&self, printer: &mut Printer) -> Result<(), Failure> {
        let mut steps = Table::new(&["STEP", ">DOCUMENTS", ">TIME", ">TO BEN", ">TO ADA", ">CONNECTIONS", ">REFUSED"]);
        for step in &self.steps {
            steps.row([
                Cell::from(step.what.clone()),
                Cell::from(if step.documents == 0 { String::new() } else { count(step.documents) }),
                Cell::from(seconds(step.milliseconds)),
                Cell::from(bytes(step.passed.to_ben)),
                Cell::from(bytes(step.passed.to_ada)),
                Cell::from(count(step.passed.connections)),
                Cell::from(count(step.passed.refused)),
            ]);
        }
        printer.line("")?;
        printer.table(&steps)?;
        printer.line(&format!(
            "\n{BOLD}The kill{BOLD:#}: process {} of Ben was killed in the middle of a sync, with {} of the {} entries that it \
             lacked; process {} went on from there.",
            self.killed.pid,
            count(self.killed.entries_kept.saturating_sub(self.killed.entries_before)),
            count(self.killed.entries_in_the_end.saturating_sub(self.killed.entries_before)),
            self.killed.pid_after
        ))?;
        printer.line(&format!(
            "Of {} edits that Ben had acknowledged before, Ada has {}.",
            count(self.acknowledged[0]),
            count(self.acknowledged[1])
        ))?;
        self.show_conflicts(printer)?;
        printer.line(&format!("\n{BOLD}The text{BOLD:#} that both edited: {}", clean(&self.text[0].to_string())))?;
        self.show_proof(printer)
    }

    fn show_conflicts(&self, printer: &mut Printer) -> Result<(), Failure> {
        printer.line(&format!(
            "\n{BOLD}Conflicts{BOLD:#}: {} fields were set to two values. Both are kept, and both devices show the same one:",
            count(self.conflicts.len() as u64)
        ))?;
        let mut table = Table::new(&["AIRPORT", "FIELD", "SHOWN", "ALSO"]);
        for conflict in &self.conflicts {
            for item in &conflict.ada {
                let others: Vec<String> = item.others.iter().map(ToString::to_string).collect();
                table.row([
                    Cell::from(conflict.key.clone()),
                    Cell::from(item.path.clone()),
                    Cell::from(item.shown.to_string()),
                    Cell::from(others.join(", ")),
                ]);
            }
        }
        printer.table(&table)
    }

    fn show_proof(&self, printer: &mut Printer) -> Result<(), Failure> {
        let mut table = Table::new(&["COLLECTION", "DEVICE", ">DOCUMENTS", "HEADS", "VIEWS"]);
        for compared in &self.compared {
            for (name, digest) in [("Ada", &compared.ada), ("Ben", &compared.ben)] {
                let short = |text: &str| text.chars().take(16).collect::<String>();
                table.row([
                    Cell::from(compared.collection.clone()),
                    Cell::styled(name, BOLD),
                    Cell::from(count(digest.documents)),
                    Cell::styled(short(&digest.heads), DIM),
                    Cell::styled(short(&digest.views), DIM),
                ]);
            }
        }
        printer.line(&format!(
            "\n{BOLD}The proof{BOLD:#}: fingerprints over the heads and over the views of every document, computed in each process:"
        ))?;
        printer.table(&table)?;
        let total = format!(
            "{} entries, {} over the line in {} connections, {}",
            count(self.entries),
            bytes(self.passed.bytes()),
            count(self.passed.connections),
            seconds(self.milliseconds)
        );
        match self.difference() {
            None => printer.line(&format!("\n{GOOD}Converged{GOOD:#}: both devices hold the same. {total}.")),
            Some(difference) => printer.line(&format!("\n{BAD}Not converged{BAD:#}: {difference}. {total}.")),
        }
    }
}
