//! `farshore demo`: two devices, real data, an unreliable line between them, and the proof that they agree.

mod child;
mod data;
mod edits;
mod line;
pub mod proxy;
mod report;
mod scenario;

pub use data::{AIRPORTS_CSV_GZ, AIRPORTS_LICENSE, airports};

use crate::control::Reply;
use crate::exit::{Exit, Failure};
use crate::print::Printer;
use std::path::Path;

/// Runs the demo in `keep`, or in a temporary directory that is removed, with that many of the airports.
///
/// Errors: [`Exit::Differs`] when the devices do not agree in the end; whatever else goes wrong on the way.
pub async fn run(keep: Option<&Path>, documents: Option<u64>, printer: &mut Printer) -> Result<(), Failure> {
    let temporary;
    let base = match keep {
        Some(directory) => {
            std::fs::create_dir(directory).map_err(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    Failure::new(Exit::Refused, format!("{} exists already", directory.display()))
                        .remedy("name a directory that does not, so that nothing of yours is mixed with the demo")
                }
                _ => Failure::io(format_args!("create {}", directory.display()), &error),
            })?;
            directory
        }
        None => {
            let made = tempfile::Builder::new().prefix("farshore-demo-").tempdir();
            temporary = made.map_err(|error| Failure::io("create a temporary directory", &error))?;
            temporary.path()
        }
    };
    let report = scenario::play(base, documents, printer).await?;
    if printer.is_json() {
        printer.envelope(&Reply::Item(crate::control::encode(&report)?))?;
    } else {
        report.show(printer)?;
        if let Some(directory) = keep {
            let directory = crate::print::clean(&directory.display().to_string());
            printer.note(&format!("The stores are kept: farshore --store {directory}/ada/store.fsh list airports"));
        }
    }
    if let Some(difference) = report.difference() {
        return Err(Failure::new(Exit::Differs, difference)
            .remedy("run it with --keep DIRECTORY and report it with what is in there"));
    }
    if printer.is_json() { printer.envelope(&Reply::Done {}) } else { Ok(()) }
}
