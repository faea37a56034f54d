//! `export`: documents as they come, into a file or a pipe.

use crate::control::{DocumentItem, Reply, Request, Session};
use crate::exit::{Exit, Failure};
use crate::formats::{Exporter, Target, Typed};
use crate::print::{Printer, clean, count};
use crate::progress::{Progress, Unit};
use crate::settings::Export;
use serde_json::json;
use std::path::Path;

/// Exports a collection.
///
/// Errors: the device's own; the file cannot be written, and then there is none.
pub async fn export(export: &Export, session: &mut Session, printer: &mut Printer) -> Result<(), Failure> {
    let target = if export.file == Path::new("-") {
        Target::writer(std::io::stdout(), "standard output")
    } else {
        Target::file(&export.file)?
    };
    let mut exporter = Exporter::new(target, export.options.clone())?;
    let mut progress = Progress::start(printer, "exporting", None, Unit::Things("documents"));
    let mut replies = session.request(Request::Export { place: export.place.clone() }).await?;
    let mut rows = 0;
    while let Some(item) = replies.item::<DocumentItem>().await? {
        let value = Typed::from_tagged(item.value).map_err(|error| {
            Failure::new(Exit::General, format!("the document {} cannot be read: {error}", clean(&item.id)))
        })?;
        let Typed::Map(mut fields) = value else {
            return Err(Failure::new(Exit::General, format!("the document {} is not a map", clean(&item.id))));
        };
        if let Some(name) = &export.with_id {
            fields.retain(|(field, _)| field != name);
            fields.insert(0, (name.clone(), Typed::String(item.id)));
        }
        exporter.row(&fields)?;
        rows += 1;
        progress.set(rows);
    }
    let rows = exporter.finish()?;
    progress.finish(rows);
    if printer.is_json() {
        printer.envelope(&Reply::Item(json!({ "exported": rows })))?;
        return printer.envelope(&Reply::Done {});
    }
    printer.note(&format!("exported {} documents", count(rows)));
    Ok(())
}
