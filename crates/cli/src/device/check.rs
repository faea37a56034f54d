//! `farshore check`: the store verified, and what was found.

use super::look;
use crate::control::{CheckItem, ProblemItem, Reply, encode};
use crate::exit::{Exit, Failure};
use crate::print::{Printer, clean, count};
use crate::settings::Settings;

/// Problems shown to a person; the rest are counted. `--json` gives all that the store describes.
const SHOWN: usize = 20;

/// Verifies the store of these settings.
///
/// Errors: [`Exit::Damaged`] when anything is wrong; [`Exit::Busy`] while a device runs on it.
pub async fn check(settings: &Settings, printer: &mut Printer) -> Result<(), Failure> {
    look(&settings.store)?;
    let store = settings.store.clone();
    let checked = tokio::task::spawn_blocking(move || farshore::check(store)).await;
    let report = checked.map_err(|error| Failure::new(Exit::General, format!("the check failed: {error}")))??;
    let problems: Vec<ProblemItem> = report.problems.iter().map(problem).collect();
    let found = problems.len() as u64 + report.problems_left_off;
    let item = CheckItem {
        documents: report.documents,
        deleted: report.deleted,
        journals: report.journals,
        entries: report.entries,
        problems,
        problems_left_off: report.problems_left_off,
    };
    if printer.is_json() {
        printer.envelope(&Reply::Item(encode(&item)?))?;
    } else {
        let (documents, deleted) = (count(item.documents), count(item.deleted));
        printer.line(&format!("documents  {documents}, and {deleted} deleted"))?;
        printer.line(&format!("entries    {} in {} journals", count(item.entries), count(item.journals)))?;
        for problem in item.problems.iter().take(SHOWN) {
            printer.line(&format!("{} {}: {}", problem.table, clean(&problem.key), clean(&problem.what)))?;
        }
    }
    if found > 0 {
        let store = settings.store.display();
        let message = format!("the store {store} is damaged: {} problems were found", count(found));
        return Err(Failure::new(Exit::Damaged, message)
            .remedy("keep a copy of it, export what can be read, and restore a backup or sync anew from a peer"));
    }
    printer.note("The store is sound.");
    if printer.is_json() { printer.envelope(&Reply::Done {}) } else { Ok(()) }
}

fn problem(problem: &farshore::Problem) -> ProblemItem {
    ProblemItem { table: problem.table.to_owned(), key: problem.key.clone(), what: problem.what.clone() }
}
