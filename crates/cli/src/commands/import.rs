//! `import`: first everything is checked, then everything is stored.

use crate::control::{Reply, Request, Session};
use crate::exit::{Exit, Failure};
use crate::formats::{Checked, Row, Rows, Source, check};
use crate::limits::IMPORT_ROWS_AHEAD;
use crate::print::{Printer, count};
use crate::progress::{Progress, Unit};
use crate::settings::Import;
use futures::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Opens the way to a device. An import asks for it only when its file is known to be good.
pub type Opened<'a> = BoxFuture<'a, Result<Session, Failure>>;

/// Imports a file.
///
/// Errors: unreadable, malformed (and then nothing was stored), or the device's own; a failure in the middle tells how
/// many rows are durable.
pub async fn import(import: &Import, session: Opened<'_>, printer: &mut Printer) -> Result<(), Failure> {
    let (source, checked) = look(import, printer).await?;
    if !import.skip_bad
        && let Some(failure) = checked.failure(&source)
    {
        return Err(failure);
    }
    tell_problems(&checked, printer)?;
    if import.dry_run {
        return tell_check(&checked, printer);
    }
    let mut session = session.await?;
    let stored = store(import, &source, &checked, &mut session, printer).await;
    session.close().await;
    let rows = stored?;
    if printer.is_json() {
        printer.envelope(&Reply::Item(json!({ "imported": rows, "skipped": checked.bad_rows })))?;
        return printer.envelope(&Reply::Done {});
    }
    Ok(())
}

/// Reads the whole input on a thread that may block, with progress.
async fn look(import: &Import, printer: &Printer) -> Result<(Arc<Source>, Arc<Checked>), Failure> {
    let (file, options) = (import.file.clone(), import.options.clone());
    let opening = tokio::task::spawn_blocking(move || Source::open(&file));
    let source = Arc::new(opening.await.map_err(our_fault)??);
    let mut progress = Progress::start(printer, "checking", Some(source.size_bytes()), Unit::Bytes);
    let read = Arc::clone(&source);
    let checking = tokio::task::spawn_blocking(move || {
        let mut at = 0;
        let checked = check(&read, &options, &mut |_, bytes| {
            at = bytes;
            progress.set(bytes);
        });
        progress.finish(at);
        checked
    });
    Ok((source, Arc::new(checking.await.map_err(our_fault)??)))
}

fn tell_problems(checked: &Checked, printer: &mut Printer) -> Result<(), Failure> {
    for problem in &checked.problems {
        if printer.is_json() {
            printer.envelope(&Reply::Item(json!({ "skipped": problem })))?;
        } else {
            printer.warning(&format!("skipped {}", crate::print::clean(&problem.to_string())));
        }
    }
    let unnamed = checked.bad_rows - checked.problems.len() as u64;
    if unnamed > 0 && !printer.is_json() {
        printer.warning(&format!("and {} more rows skipped", count(unnamed)));
    }
    Ok(())
}

fn tell_check(checked: &Checked, printer: &mut Printer) -> Result<(), Failure> {
    let columns: Vec<String> = checked.columns().iter().map(|(name, kind)| format!("{name}:{kind}")).collect();
    if printer.is_json() {
        let item = json!({ "good_rows": checked.good_rows, "bad_rows": checked.bad_rows, "types": columns });
        printer.envelope(&Reply::Item(item))?;
        return printer.envelope(&Reply::Done {});
    }
    let (good, bad) = (count(checked.good_rows), count(checked.bad_rows));
    printer.line(&format!("{good} rows can be imported, {bad} cannot. Nothing was stored."))?;
    if !columns.is_empty() {
        printer.line(&format!("--types {}", crate::print::clean(&columns.join(","))))?;
    }
    Ok(())
}

/// Streams the good rows; gives how many are durable, which is all of them.
async fn store(
    import: &Import,
    source: &Arc<Source>,
    checked: &Arc<Checked>,
    session: &mut Session,
    printer: &mut Printer,
) -> Result<u64, Failure> {
    let total = checked.good_rows;
    let request = Request::Import { place: import.place.clone(), keyed: import.options.key.is_some(), rows: total };
    let mut progress = Progress::start(printer, "importing", Some(total), Unit::Things("documents"));
    let mut rows = read_ahead(Arc::clone(source), Arc::clone(checked));
    let mut sending = session.import(request).await?;
    let mut sent = async || {
        while let Some(row) = rows.recv().await {
            sending.row(row?).await?;
            progress.set(sending.durable_rows());
        }
        Ok(())
    };
    let sent: Result<(), Failure> = sent().await;
    let durable = sending.durable_rows();
    let finished = match sent {
        Ok(()) => sending.finish().await,
        Err(failure) => Err(failure),
    };
    match finished {
        Ok(item) => {
            let seconds = progress.finish(item.rows).as_secs_f64();
            let rate = (item.rows as f64 / seconds.max(0.001)) as u64;
            printer.note(&format!(
                "imported {} documents in {seconds:.1} s ({} a second)",
                count(item.rows),
                count(rate)
            ));
            Ok(item.rows)
        }
        Err(mut failure) => {
            progress.finish(durable);
            failure.message = format!(
                "the import stopped; {} of {} rows are known to be stored: {}",
                count(durable),
                count(total),
                failure.message
            );
            if import.options.key.is_some() {
                failure.remedy.get_or_insert_with(|| {
                    "import again when the cause is gone: rows that are there already are only updated".to_owned()
                });
            }
            Err(failure)
        }
    }
}

/// Reads rows on a thread of its own, a few ahead of what is being sent.
fn read_ahead(source: Arc<Source>, checked: Arc<Checked>) -> mpsc::Receiver<Result<Row, Failure>> {
    let (sender, receiver) = mpsc::channel(IMPORT_ROWS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut rows = match Rows::open(&source, &checked) {
            Ok(rows) => rows,
            Err(failure) => {
                let _ = sender.blocking_send(Err(failure)); // a receiver that has gone needs no answer
                return;
            }
        };
        while let Some(next) = rows.next_row().transpose() {
            let failed = next.is_err();
            if sender.blocking_send(next).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

fn our_fault(error: tokio::task::JoinError) -> Failure {
    Failure::new(Exit::General, format!("reading the file failed by a fault of Farshore's own: {error}"))
}
