//! Progress, events and what happened since, as a person sees them.

use crate::control::{EventItem, FlowItem, LossItem, PeerProgressItem, ProgressItem, SinceItem, StatusItem, decode};
use crate::exit::Failure;
use crate::limits::{PROGRESS_BAR_COLUMNS, PROGRESS_LINE_EVERY};
use crate::print::{BOLD, DIM, GOOD, Line, Printer, WARNING, bytes, clean, count, plain};
use crate::progress::duration;
use serde_json::Value;
use std::time::{Duration, Instant};

use super::show;

/// A status that is shown again and again: in place on a terminal, elsewhere as lines where something is new.
#[derive(Default)]
pub(super) struct Live {
    last: Option<StatusItem>,
    shown: Option<Duration>,
    started: Option<Instant>,
}

#[expect(clippy::disallowed_methods, reason = "when a person is shown a line decides nothing")]
fn now() -> Instant {
    Instant::now()
}

impl Live {
    pub(super) fn item(&mut self, item: Value, printer: &mut Printer) -> Result<(), Failure> {
        let status: StatusItem = decode(item)?;
        if printer.can_redraw() {
            let mut lines = show::status_lines(&status);
            lines.extend(status.progress.iter().flat_map(progress_lines));
            return printer.redraw(&lines);
        }
        let elapsed = self.started.get_or_insert_with(now).elapsed();
        self.lines(status, elapsed, printer)
    }

    /// Where lines cannot be taken back: all of it when the state is another one, and how far it is now and then.
    fn lines(&mut self, status: StatusItem, elapsed: Duration, printer: &mut Printer) -> Result<(), Failure> {
        let news = self.last.as_ref().is_none_or(|last| coarse(last) != coarse(&status));
        let due = self.shown.is_none_or(|shown| elapsed.saturating_sub(shown) >= PROGRESS_LINE_EVERY);
        if news || due {
            self.shown = Some(elapsed);
            if news {
                show::status_lines(&status).iter().try_for_each(|line| printer.styled(line))?;
            }
            let progress = status.progress.iter().flat_map(progress_lines);
            progress.into_iter().try_for_each(|line| printer.styled(&line))?;
        }
        self.last = Some(status);
        Ok(())
    }
}

/// A status without what moves by itself.
fn coarse(status: &StatusItem) -> StatusItem {
    let mut coarse = StatusItem { latency: None, progress: None, ..status.clone() };
    for space in &mut coarse.spaces {
        space.unapplied = space.unapplied.min(1);
        space.pending.iter_mut().for_each(|(_, entries)| *entries = (*entries).min(1));
    }
    coarse
}

/// One line for each thing that is to go, and why it does not.
pub(super) fn progress_lines(progress: &ProgressItem) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(progress.obstacles.iter().map(|obstacle| Line::new(format!("stuck    {}", clean(obstacle)), WARNING)));
    for peer in &progress.peers {
        peer_lines(peer, &mut lines);
    }
    for held in progress.held_up.iter().filter(|held| held.entries > 0) {
        let why = held.waiting.as_deref().map_or_else(String::new, |why| format!(": {}", clean(why)));
        let (collection, entries) = (clean(&held.collection), count(held.entries));
        lines.push(Line::new(
            format!("waiting  {collection}: {entries} entries not in the documents yet{why}"),
            WARNING,
        ));
    }
    for own in &progress.own {
        let Some(from) = own.nobody_from else { continue };
        let (collection, last) = (clean(&own.collection), count(own.last));
        let text = match from == own.last {
            true => format!("only here  {collection}: entry {last} of this device"),
            false => format!("only here  {collection}: entries {} to {last} of this device", count(from)),
        };
        lines.push(Line::new(text, WARNING));
    }
    lines
}

fn peer_lines(peer: &PeerProgressItem, lines: &mut Vec<Line>) {
    let title = format!("{} in {}", clean(&peer.name), clean(&peer.space));
    let idle = peer.incoming.entries == 0 && peer.outgoing.entries == 0;
    let why: Vec<String> = peer.obstacles.iter().map(|obstacle| clean(obstacle)).collect();
    match (idle, peer.linked, peer.compared, why.is_empty()) {
        (true, true, true, true) => lines.push(Line::new(format!("peer     {title}: nothing to go"), GOOD)),
        (true, true, false, true) => lines.push(Line::new(format!("peer     {title}: comparing"), DIM)),
        (_, _, _, true) => lines.push(Line::new(format!("peer     {title}"), BOLD)),
        (_, _, _, false) => lines.push(Line::new(format!("peer     {title}: {}", why.join("; ")), WARNING)),
    }
    for (name, incoming, outgoing) in
        peer.collections.iter().map(|collection| (&collection.collection, collection.incoming, collection.outgoing))
    {
        for (flow, way) in [(incoming, "to come"), (outgoing, "to go")] {
            if flow.entries > 0 {
                lines.push(Line::new(format!("         {}: {}", clean(name), flow_text(&flow, way)), DIM));
            }
        }
    }
}

/// One direction: `[=====>     ] 400 of 1,000 entries to come (about 1.2 MB), 40 a second, 15 s left`.
fn flow_text(flow: &FlowItem, way: &str) -> String {
    let whole = flow.done + flow.entries;
    let mut text = match flow.done {
        0 => format!("{} entries {way}", count(flow.entries)),
        done => format!("{} {} of {} entries {way}", bar(done, whole), count(flow.entries), count(whole)),
    };
    if let Some(size) = flow.bytes {
        let about = if flow.estimated { "about " } else { "" };
        text.push_str(&format!(" ({about}{})", bytes(size)));
    }
    if flow.per_second > 0.0 {
        text.push_str(&format!(", {} a second", count(flow.per_second.round().max(1.0) as u64)));
    }
    if let Some(left) = flow.left_s {
        text.push_str(&format!(", {} left", duration(left)));
    }
    text
}

/// A bar of fixed width.
fn bar(done: u64, whole: u64) -> String {
    let full = (u128::from(done) * PROGRESS_BAR_COLUMNS as u128 / u128::from(whole.max(1))) as usize;
    let full = full.min(PROGRESS_BAR_COLUMNS);
    let head = if full < PROGRESS_BAR_COLUMNS { ">" } else { "" };
    format!("[{:<width$}]", "=".repeat(full) + head, width = PROGRESS_BAR_COLUMNS)
}

/// One line for an event.
pub(super) fn event(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let event: EventItem = decode(item)?;
    let time = show::time(i64::try_from(event.time_ms).unwrap_or(i64::MAX));
    let mut parts = vec![format!("{DIM}{time}{DIM:#} {BOLD}{}{BOLD:#}", clean(&event.kind))];
    let place = [&event.space, &event.collection];
    let place: Vec<String> = place.into_iter().flatten().map(|part| clean(part)).collect();
    if !place.is_empty() {
        parts.push(place.join("/"));
    }
    parts.extend(event.device.as_deref().map(clean));
    match event.documents.as_slice() {
        [] => {}
        [one] => parts.push(clean(one)),
        [first, ..] => parts.push(format!("{} and {} more", clean(first), count(event.documents.len() as u64 - 1))),
    }
    parts.extend(event.count.map(|number| match event.kind.as_str() {
        "received" => format!("{} entries", count(number)),
        "receipted" => format!("up to entry {}", count(number)),
        "lagged" => format!("{} events missed", count(number)),
        _ => count(number),
    }));
    parts.extend(event.bytes.map(bytes));
    for conflict in &event.conflicts {
        let others: Vec<String> = conflict.others.iter().map(|value| clean(&value.to_string())).collect();
        let shown = clean(&conflict.shown.to_string());
        parts.push(format!("{WARNING}{}: {shown}, also {}{WARNING:#}", clean(&conflict.path), others.join(", ")));
    }
    parts.extend(event.message.as_deref().map(clean));
    if let Some(counts) = &event.counts {
        let number = |name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (received, sent) = (count(number("received_entries")), count(number("receipted_entries")));
        parts.push(format!(
            "{received} entries came, {sent} own ones receipted, {} in, {} out, {} ms",
            bytes(number("bytes_in")),
            bytes(number("bytes_out")),
            count(number("took_ms"))
        ));
    }
    printer.line(&parts.join("  "))
}

/// What happened since.
pub(super) fn since(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let since: SinceItem = decode(item)?;
    let begin = match since.since_ms {
        0 => "the beginning".to_owned(),
        ms => show::time(i64::try_from(ms).unwrap_or(i64::MAX)),
    };
    printer.line(&format!("{BOLD}since {begin}{BOLD:#}"))?;
    if since.came.is_empty() {
        printer.line("nothing came from others")?;
    }
    for came in &since.came {
        printer.line(&format!(
            "{} wrote to {}: {} documents, {} entries, {}, last {}",
            clean(&came.by),
            clean(&came.collection),
            count(came.documents),
            count(came.entries),
            bytes(came.bytes),
            show::time(i64::try_from(came.claimed_ms.1).unwrap_or(i64::MAX))
        ))?;
    }
    if since.unread > 0 {
        printer.line(&format!("{WARNING}{} entries cannot be read here{WARNING:#}", count(since.unread)))?;
    }
    if since.incomplete {
        printer.line(&format!("{WARNING}more documents were touched than are followed{WARNING:#}"))?;
    }
    heading("merged: both sides changed them at the same time", since.merged_total, printer)?;
    for merged in &since.merged {
        let with: Vec<String> = merged.by.iter().map(|name| clean(name)).collect();
        printer.line(&format!("  {} {}  with {}", clean(&merged.collection), clean(&merged.id), with.join(", ")))?;
    }
    more(since.merged.len(), since.merged_total, printer)?;
    heading("conflicts with what you wrote", since.conflicts_total, printer)?;
    since.conflicts.iter().try_for_each(|lost| loss(lost, printer))?;
    more(since.conflicts.len(), since.conflicts_total, printer)?;
    heading("yours, and gone", since.overwritten_total, printer)?;
    since.overwritten.iter().try_for_each(|lost| loss(lost, printer))?;
    more(since.overwritten.len(), since.overwritten_total, printer)
}

fn heading(what: &str, total: u64, printer: &mut Printer) -> Result<(), Failure> {
    if total == 0 { Ok(()) } else { printer.line(&format!("{BOLD}{what}{BOLD:#}: {}", count(total))) }
}

fn more(listed: usize, total: u64, printer: &mut Printer) -> Result<(), Failure> {
    match total.saturating_sub(listed as u64) {
        0 => Ok(()),
        more => printer.line(&format!("  and {} more", count(more))),
    }
}

fn loss(loss: &LossItem, printer: &mut Printer) -> Result<(), Failure> {
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "it".to_owned(), plain_or_json);
    let what = match loss.outcome.as_str() {
        "deleted" => format!("{} was deleted", value(&loss.mine)),
        "conflict-shown" => format!("{} is shown, also {}", value(&loss.mine), value(&loss.now)),
        "conflict-hidden" => format!("{} is hidden by {}", value(&loss.mine), value(&loss.now)),
        _ => format!("{} became {}", value(&loss.mine), value(&loss.now)),
    };
    let by = loss.by.as_deref().map_or_else(String::new, |by| format!(", by {}", clean(by)));
    let when =
        loss.time_ms.map_or_else(String::new, |ms| format!(", {}", show::time(i64::try_from(ms).unwrap_or(i64::MAX))));
    printer.line(&format!("  {} {}  {}: {what}{by}{when}", clean(&loss.collection), clean(&loss.id), clean(&loss.path)))
}

/// A text in quotes, so that an empty one is seen, and everything else as JSON.
fn plain_or_json(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", clean(text)),
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::Voice;
    use serde_json::json;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn said(show: impl FnOnce(&mut Printer)) -> String {
        let out = Shared::default();
        let mut printer = Printer::new(Box::new(out.clone()), Box::new(std::io::sink()), Voice::default());
        show(&mut printer);
        let bytes = out.0.lock().unwrap().clone();
        anstream::adapter::strip_str(&String::from_utf8(bytes).unwrap()).to_string()
    }

    fn flow(entries: u64, done: u64) -> FlowItem {
        FlowItem { entries, done, bytes: Some(entries * 500), estimated: true, ..FlowItem::default() }
    }

    #[test]
    fn a_flow_is_told_with_a_bar_a_rate_and_the_time_left() {
        let half = FlowItem { per_second: 40.0, left_s: Some(15), ..flow(600, 400) };
        let text = flow_text(&half, "to come");
        assert_eq!(
            text,
            "[========>           ] 600 of 1,000 entries to come (about 300.0 kB), 40 a second, 15 s left"
        );
        assert_eq!(flow_text(&FlowItem { estimated: false, ..flow(3, 0) }, "to go"), "3 entries to go (1.5 kB)");
        assert_eq!(bar(10, 10), format!("[{}]", "=".repeat(PROGRESS_BAR_COLUMNS)));
        assert_eq!(bar(0, 0).len(), PROGRESS_BAR_COLUMNS + 2);
    }

    fn status(pending: u64, entries: u64) -> StatusItem {
        let peer = json!({
            "space": "home", "name": "ben", "device": "D2", "linked": true, "compared": true,
            "incoming": flow(0, 0), "outgoing": flow(entries, 1),
            "collections": [{ "collection": "todos", "incoming": flow(0, 0), "outgoing": flow(entries, 1) }],
        });
        serde_json::from_value(json!({
            "device": "D1", "name": "ada", "pid": 7, "store": "a.fsh", "network": "up", "listening": [],
            "problems": [], "peers": 1,
            "spaces": [{ "space": "home", "unapplied": 0, "waiting": null, "pending": [["ben", pending]] }],
            "progress": { "settled": false, "peers": [peer] },
        }))
        .unwrap()
    }

    #[test]
    fn where_lines_stay_a_state_is_told_once_and_progress_now_and_then() {
        let text = said(|printer| {
            let mut live = Live::default();
            for tenth in 0..100 {
                let at = Duration::from_millis(tenth * 100);
                live.lines(status(1_000 - tenth, 1_000 - tenth), at, printer).unwrap();
            }
            live.lines(status(0, 0), Duration::from_millis(9_950), printer).unwrap();
        });
        assert_eq!(text.matches("ada  D1").count(), 2, "at first, and when all is there:\n{text}");
        assert_eq!(text.matches("todos: [").count(), 2, "at once, and after 5 s:\n{text}");
        assert!(text.contains("1,000 of 1,001 entries to go") && text.contains("950 of 951"), "{text}");
    }

    #[test]
    fn losses_name_document_path_who_when_and_both_values() {
        let item = json!({
            "since_ms": 0, "documents_total": 1, "documents": [], "merged_total": 1,
            "came": [{ "by": "ben", "collection": "todos", "entries": 2, "bytes": 900, "documents": 1, "claimed_ms": [1, 2] }],
            "merged": [{ "collection": "todos", "id": "X1", "by": ["ben"] }],
            "overwritten_total": 3, "unread": 0, "incomplete": false,
            "overwritten": [{
                "collection": "todos", "id": "X1", "path": "title", "outcome": "overwritten", "mine": "a\u{1b}[2J",
                "now": "b", "by": "ben", "time_ms": 1_700_000_000_000_u64,
            }],
            "conflicts_total": 1,
            "conflicts": [{ "collection": "todos", "id": "X1", "path": "n", "outcome": "conflict-hidden", "mine": 1, "now": 2 }],
        });
        let text = said(|printer| since(item, printer).unwrap());
        assert!(
            text.contains("todos X1  title: \"a\\u{1b}[2J\" became \"b\", by ben, 2023-11-14 22:13:20 UTC"),
            "{text}"
        );
        assert!(text.contains("todos X1  n: 1 is hidden by 2\n") && text.contains("and 2 more"), "{text}");
        assert!(text.starts_with("since the beginning\nben wrote to todos: 1 documents, 2 entries, 900 B"), "{text}");
    }

    #[test]
    fn an_event_is_one_line() {
        let item = json!({ "time_ms": 0, "kind": "received", "space": "home", "collection": "todos", "device": "ben",
            "count": 3, "bytes": 1200 });
        let text = said(|printer| event(item, printer).unwrap());
        assert_eq!(text, "1970-01-01 00:00:00 UTC received  home/todos  ben  3 entries  1.2 kB\n");
    }
}
