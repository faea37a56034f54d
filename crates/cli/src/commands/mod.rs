//! The commands: a request goes out, its results are shown.

mod export;
mod import;
mod live;
mod show;

use crate::control::{Reply, Request, Session, TicketItem};
use crate::exit::Failure;
use crate::print::Printer;
use crate::progress::{Progress, Unit};

pub use export::export;
pub use import::{Opened, import};

/// Sends a request and shows its results as they come.
///
/// Errors: the request's own; the output cannot be written.
pub async fn ask(request: Request, session: &mut Session, printer: &mut Printer) -> Result<(), Failure> {
    let mut view = show::View::of(&request, &[]);
    present(request, &mut view, session, printer).await
}

/// Lists documents as a table of these columns.
///
/// Errors: as for [`ask`].
pub async fn list(
    request: Request,
    columns: &[String],
    session: &mut Session,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let mut view = show::View::of(&request, columns);
    present(request, &mut view, session, printer).await
}

async fn present(
    request: Request,
    view: &mut show::View,
    session: &mut Session,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let mut replies = session.request(request).await?;
    let mut waiting: Option<Progress> = None;
    while let Some(reply) = replies.next().await? {
        let item = match reply {
            Reply::Item(item) => item,
            Reply::Progress { done, total, .. } => {
                let bar =
                    waiting.get_or_insert_with(|| Progress::start(printer, "syncing", total, Unit::Things("entries")));
                bar.set_total(total);
                bar.set(done);
                continue;
            }
            _ => continue,
        };
        if let Some(bar) = waiting.take() {
            bar.clear();
        }
        if printer.is_json() {
            printer.envelope(&Reply::Item(item))?;
        } else {
            view.item(item, printer)?;
        }
        printer.flush()?; // a watcher on a pipe sees each result as it comes
    }
    if printer.is_json() {
        return printer.envelope(&Reply::Done {});
    }
    view.end(printer)
}

/// Writes a ticket, as a QR code too if asked to.
///
/// Errors: as for [`ask`].
pub async fn invite(request: Request, qr: bool, session: &mut Session, printer: &mut Printer) -> Result<(), Failure> {
    if printer.is_json() {
        return ask(request, session, printer).await;
    }
    let ticket: TicketItem = session.ask(request).await?;
    let expires = show::time(ticket.expires_ms);
    printer.note(&format!(
        "Whoever has this ticket can join {} once as {}, until {expires}. Hand it over in private:",
        crate::print::clean(&ticket.space),
        show::role(ticket.role)
    ));
    printer.line(&crate::print::clean(&ticket.ticket))?;
    if qr {
        printer.line(&qr_code(&ticket.ticket)?)?;
    }
    printer.note("On the other device:  farshore join TICKET    (this one must be running: farshore up)");
    Ok(())
}

#[cfg(feature = "qr")]
fn qr_code(text: &str) -> Result<String, Failure> {
    let code = qrcode::QrCode::new(text.as_bytes())
        .map_err(|error| Failure::data(format!("the ticket does not fit into a QR code: {error}")))?;
    Ok(code.render::<qrcode::render::unicode::Dense1x2>().quiet_zone(true).build())
}

#[cfg(not(feature = "qr"))]
fn qr_code(_: &str) -> Result<String, Failure> {
    Err(Failure::usage("this farshore was built without QR codes").remedy("build it with the feature `qr`"))
}
