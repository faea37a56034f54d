//! Results as a person sees them.

use super::live::{self, Live};
use crate::control::{
    ChangeItem, CheckpointItem, CollectionItem, DigestItem, DocumentItem, LogItem, MemberItem, PeerItem, Priority,
    Request, Role, SpaceItem, SpaceSync, StatusItem, TicketItem, WrittenItem, decode,
};
use crate::exit::{Exit, Failure};
use crate::limits::LIST_ROWS_BUFFERED;
use crate::print::{BOLD, Cell, DIM, GOOD, Line, PLAIN, Printer, Table, WARNING, bytes, clean, count, plain};
use serde_json::Value;

/// How the results of one request are shown.
pub(super) enum View {
    /// Each as a line or a few.
    Each(fn(Value, &mut Printer) -> Result<(), Failure>),
    /// All as one table, with a word for none.
    Table { table: Table, row: fn(Value, &mut Table) -> Result<(), Failure>, none: &'static str },
    /// Documents as a table whose columns follow from them.
    Documents(Documents),
    /// A status again and again.
    Live(Box<Live>),
}

impl View {
    pub(super) fn of(request: &Request, columns: &[String]) -> View {
        let table = |headings: &[&str], row, none| View::Table { table: Table::new(headings), row, none };
        match request {
            Request::Subscribe { .. } | Request::Pause { .. } | Request::Resume { .. } | Request::Sync { .. } => {
                View::Each(|item, printer| printer.styled(&space_line(&decode(item)?)))
            }
            Request::SpaceCreate { .. } | Request::Join { .. } => View::Each(space),
            Request::SpaceList {} => table(
                &["SPACE", "ROLE", ">MEMBERS", ">COLLECTIONS", "SYNC", "ID"],
                space_row,
                "No spaces. Create one with `farshore space create NAME`, or `farshore join TICKET`.",
            ),
            Request::SpaceMembers { .. } => table(&["NAME", "ROLE", "DEVICE"], member_row, "No members."),
            Request::CollectionCreate { .. } => View::Each(collection),
            Request::CollectionList { .. } => table(
                &["COLLECTION", ">DOCUMENTS", ">ENTRIES", "PRIORITY", ">WAITING"],
                collection_row,
                "No collections. `farshore put` and `farshore import` create them.",
            ),
            Request::Invite { .. } => View::Each(ticket),
            Request::Put { .. } | Request::Edit { .. } => View::Each(written),
            Request::Remove { .. } => View::Each(removed),
            Request::Get { .. } => View::Each(document),
            Request::List { .. } | Request::Export { .. } => View::Documents(Documents::new(columns)),
            Request::Watch { .. } => View::Each(change),
            Request::Status { watch: false } => View::Each(status),
            Request::Status { watch: true } => View::Live(Box::default()),
            Request::Events {} => View::Each(live::event),
            Request::Since { .. } => View::Each(live::since),
            Request::Peers {} => table(
                &["NAME", "DEVICE", "ADDRESS", "STATE", ">WANTED", ">SENT", ">RECEIVED"],
                peer_row,
                "No peers. Devices are connected while `farshore up` runs.",
            ),
            Request::Log { .. } => {
                table(&["TIME", "BY", "COLLECTION", ">ENTRY", ">SIZE", "HASH"], log_row, "No entries.")
            }
            Request::Checkpoint { .. } => View::Each(checkpoint),
            Request::Digest { .. } => View::Each(digest),
            Request::Import { .. } => View::Each(|_, _| Ok(())), // the command sums it up itself
        }
    }

    pub(super) fn item(&mut self, item: Value, printer: &mut Printer) -> Result<(), Failure> {
        match self {
            View::Each(show) => show(item, printer),
            View::Table { table, row, .. } => row(item, table),
            View::Documents(documents) => documents.add(decode(item)?, printer),
            View::Live(live) => live.item(item, printer),
        }
    }

    pub(super) fn end(&mut self, printer: &mut Printer) -> Result<(), Failure> {
        match self {
            View::Each(_) | View::Live(_) => Ok(()),
            View::Table { table, none, .. } if table.is_empty() => {
                printer.note(none);
                Ok(())
            }
            View::Table { table, .. } => printer.table(table),
            View::Documents(documents) => documents.end(printer),
        }
    }
}

/// What to know of documents whose collection is not kept up.
const OLD: &str = "This collection is not kept up here, so this may be old; `farshore subscribe` changes that.";

fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Eager => "eager",
        Priority::Normal => "normal",
        Priority::Lazy => "lazy",
        Priority::Manual => "manual",
        Priority::None => "none",
        Priority::Default => "default",
    }
}

/// A time for a person, in UTC.
pub(super) fn time(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => format!("{ms} ms"),
    }
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Writer => "writer",
        Role::Reader => "reader",
        Role::Relay => "relay",
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn space(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let space: SpaceItem = decode(item)?;
    let name = clean(&space.name.unwrap_or_else(|| "(its name has not arrived yet)".to_owned()));
    printer.line(&format!("{BOLD}{name}{BOLD:#}  {}", clean(&space.id)))
}

fn space_row(item: Value, table: &mut Table) -> Result<(), Failure> {
    let space: SpaceItem = decode(item)?;
    table.row([
        Cell::styled(or_dash(space.name), BOLD),
        Cell::from(space.role.map_or("-", role)),
        Cell::from(count(space.members)),
        Cell::from(count(space.collections)),
        match (space.paused.is_some(), space.subscriptions.len()) {
            (true, _) => Cell::styled("paused", WARNING),
            (false, 0) => Cell::from("all"),
            (false, _) => {
                let rules =
                    space.subscriptions.iter().map(|(pattern, wanted)| format!("{pattern} {}", priority(*wanted)));
                Cell::from(rules.collect::<Vec<_>>().join(", "))
            }
        },
        Cell::styled(space.id, DIM),
    ]);
    Ok(())
}

fn member_row(item: Value, table: &mut Table) -> Result<(), Failure> {
    let member: MemberItem = decode(item)?;
    let name = if member.here { format!("{} (this device)", member.name) } else { member.name };
    table.row([Cell::styled(name, BOLD), Cell::from(role(member.role)), Cell::styled(member.device, DIM)]);
    Ok(())
}

fn collection(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let collection: CollectionItem = decode(item)?;
    let name = clean(&or_dash(collection.name));
    printer.line(&format!("{BOLD}{name}{BOLD:#}  {}", clean(&collection.tag)))
}

fn collection_row(item: Value, table: &mut Table) -> Result<(), Failure> {
    let collection: CollectionItem = decode(item)?;
    let waiting = match (collection.unapplied, collection.waiting) {
        (0, _) => Cell::from(""),
        (entries, Some(why)) => Cell::styled(format!("{} ({why})", count(entries)), WARNING),
        (entries, None) => Cell::from(count(entries)),
    };
    table.row([
        Cell::styled(or_dash(collection.name), BOLD),
        Cell::from(count(collection.documents)),
        Cell::from(count(collection.entries)),
        match collection.kept_up {
            true => Cell::from(priority(collection.priority)),
            false => Cell::styled(format!("{} (not kept up)", priority(collection.priority)), WARNING),
        },
        waiting,
    ]);
    Ok(())
}

fn ticket(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let ticket: TicketItem = decode(item)?;
    printer.line(&clean(&ticket.ticket))
}

fn written(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let written: WrittenItem = decode(item)?;
    printer.line(&clean(&written.id))?;
    if !written.changed {
        printer.note("Nothing changed: the document was like that already.");
    }
    Ok(())
}

fn removed(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let removed: WrittenItem = decode(item)?;
    let name = clean(removed.key.as_deref().unwrap_or(&removed.id));
    match removed.changed {
        true => printer.note(&format!("deleted {name}")),
        false => printer.note(&format!("{name} was not there")),
    }
    Ok(())
}

fn document(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let document: DocumentItem = decode(item)?;
    match &document.value {
        Value::String(text) => printer.content(text)?,
        Value::Array(_) | Value::Object(_) => {
            let pretty = serde_json::to_string_pretty(&document.value)
                .map_err(|error| Failure::new(Exit::General, format!("cannot write the document: {error}")))?;
            printer.content(&pretty)?;
        }
        scalar => printer.line(&scalar.to_string())?,
    }
    for conflict in document.conflicts.iter().flatten() {
        let others: Vec<String> = conflict.others.iter().map(|value| clean(&value.to_string())).collect();
        let shown = clean(&conflict.shown.to_string());
        let path = clean(&conflict.path);
        printer
            .line(&format!("{WARNING}conflict{WARNING:#} at {path}: shown is {shown}, also {}", others.join(", ")))?;
    }
    if !document.kept_up {
        printer.note(OLD);
    }
    match document.conflicts {
        Some(conflicts) if conflicts.is_empty() => printer.note("No conflicts."),
        _ => {}
    }
    Ok(())
}

fn change(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let change: ChangeItem = decode(item)?;
    let id = clean(change.id.as_deref().unwrap_or_default());
    match (change.id.is_some(), change.value) {
        (true, Some(value)) => printer.line(&format!("{GOOD}~{GOOD:#} {id} {}", clean(&value.to_string()))),
        (true, None) => printer.line(&format!("{WARNING}-{WARNING:#} {id}")),
        (false, _) => printer.line("* much has changed; read what you need again"),
    }
}

fn status(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let status: StatusItem = decode(item)?;
    let progress = status.progress.iter().flat_map(live::progress_lines);
    status_lines(&status).into_iter().chain(progress).try_for_each(|line| printer.styled(&line))
}

/// The state of a device, line by line.
pub(super) fn status_lines(status: &StatusItem) -> Vec<Line> {
    let pid = status.pid.map_or_else(|| "not running".to_owned(), |pid| format!("process {pid}"));
    let mut lines = vec![
        Line::new(format!("{}  {}  ({pid})", clean(&status.name), clean(&status.device)), BOLD),
        Line::new(format!("store    {}", clean(&status.store)), PLAIN),
    ];
    let (peers, style) = match status.peers {
        0 => ("no peers".to_owned(), WARNING),
        1 => ("1 peer".to_owned(), GOOD),
        peers => (format!("{} peers", count(peers)), GOOD),
    };
    lines.push(Line::new(format!("network  {}, {peers}", clean(&status.network)), style));
    lines.extend(status.listening.iter().map(|address| Line::new(format!("         {}", clean(address)), DIM)));
    lines.extend(status.problems.iter().map(|problem| Line::new(format!("         {}", clean(problem)), WARNING)));
    lines.extend(status.spaces.iter().map(space_line));
    lines
}

fn space_line(space: &SpaceSync) -> Line {
    let mut parts = Vec::new();
    if space.unapplied > 0 {
        let why = space.waiting.as_deref().map_or_else(String::new, |why| format!(": {}", clean(why)));
        parts.push(format!("{} entries not in the documents yet{why}", count(space.unapplied)));
    }
    for (device, entries) in space.pending.iter().filter(|(_, entries)| *entries > 0) {
        parts.push(format!("{} misses {} of this device's entries", clean(device), count(*entries)));
    }
    for document in &space.oversize {
        parts.push(format!("{} is too large for edits here; split or delete it", clean(document)));
    }
    for (device, seq) in &space.forks {
        let device = clean(device);
        parts.push(format!("{device} signed two entries {seq}: its store was copied, or it cheats; ask its owner"));
    }
    if let Some(paused) = &space.paused {
        let (what, by) = (if paused.all { "all spaces are paused" } else { "paused" }, clean(&paused.by));
        parts.push(format!("{what} since {} by `{by}`; `farshore resume` ends it", time(paused.since_ms)));
    }
    if !space.not_kept_up.is_empty() {
        parts.push(format!("not kept up here: {}", clean(&space.not_kept_up.join(", "))));
    }
    let name = clean(&space.space);
    match parts.is_empty() {
        true => Line::new(format!("space    {name}: in sync as far as is known"), GOOD),
        false => Line::new(format!("space    {name}: {}", parts.join("; ")), WARNING),
    }
}

fn peer_row(item: Value, table: &mut Table) -> Result<(), Failure> {
    let peer: PeerItem = decode(item)?;
    table.row([
        Cell::styled(or_dash(peer.name), BOLD),
        Cell::styled(or_dash(peer.device), DIM),
        Cell::from(peer.address),
        Cell::from(peer.phase),
        Cell::from(count(peer.wanted)),
        Cell::from(bytes(peer.sent_bytes)),
        Cell::from(bytes(peer.received_bytes)),
    ]);
    Ok(())
}

fn log_row(item: Value, table: &mut Table) -> Result<(), Failure> {
    let entry: LogItem = decode(item)?;
    let hash: String = entry.hash.chars().take(16).collect();
    table.row([
        Cell::from(time(entry.time_ms)),
        Cell::styled(entry.name.unwrap_or(entry.device), BOLD),
        Cell::from(entry.collection),
        Cell::from(count(entry.seq)),
        Cell::from(bytes(entry.bytes)),
        if entry.applied { Cell::styled(hash, DIM) } else { Cell::styled(format!("{hash} (waits)"), WARNING) },
    ]);
    Ok(())
}

fn checkpoint(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let made: CheckpointItem = decode(item)?;
    printer.line(&format!(
        "{} documents in {}, for entries of {}",
        count(made.documents),
        bytes(made.bytes),
        bytes(made.entry_bytes)
    ))
}

fn digest(item: Value, printer: &mut Printer) -> Result<(), Failure> {
    let digest: DigestItem = decode(item)?;
    printer.line(&format!("documents  {}", count(digest.documents)))?;
    printer.line(&format!("heads      {}", clean(&digest.heads)))?;
    printer.line(&format!("views      {}", clean(&digest.views)))
}

/// A table of documents. The first ones decide about the columns, unless they are chosen.
pub(super) struct Documents {
    chosen: bool,
    columns: Vec<String>,
    waiting: Vec<DocumentItem>,
    table: Option<Table>,
    shown: u64,
    old: bool,
}

impl Documents {
    fn new(columns: &[String]) -> Self {
        Documents {
            chosen: !columns.is_empty(),
            columns: columns.to_vec(),
            waiting: Vec::new(),
            table: None,
            shown: 0,
            old: false,
        }
    }

    fn add(&mut self, document: DocumentItem, printer: &mut Printer) -> Result<(), Failure> {
        self.old |= !document.kept_up;
        self.waiting.push(document);
        if self.waiting.len() < LIST_ROWS_BUFFERED { Ok(()) } else { self.show(printer) }
    }

    fn end(&mut self, printer: &mut Printer) -> Result<(), Failure> {
        self.show(printer)?;
        match self.shown {
            0 => printer.note("No documents."),
            1 => printer.note("1 document"),
            shown => printer.note(&format!("{} documents", count(shown))),
        }
        if self.old {
            printer.note(OLD);
        }
        Ok(())
    }

    fn show(&mut self, printer: &mut Printer) -> Result<(), Failure> {
        let mut table = match self.table.take() {
            Some(table) => table.continued(),
            None => {
                self.choose_columns();
                let names: Vec<String> = self.columns.iter().map(|column| clean(column)).collect();
                let headings: Vec<&str> = std::iter::once("ID").chain(names.iter().map(String::as_str)).collect();
                Table::new(&headings)
            }
        };
        for document in self.waiting.drain(..) {
            let cells =
                self.columns.iter().map(|column| Cell::from(plain(document.value.get(column).unwrap_or(&Value::Null))));
            table.row(std::iter::once(Cell::styled(document.id, DIM)).chain(cells));
            self.shown += 1;
        }
        printer.table(&table)?;
        self.table = Some(table);
        Ok(())
    }

    fn choose_columns(&mut self) {
        if self.chosen {
            return;
        }
        for document in &self.waiting {
            for name in document.value.as_object().into_iter().flat_map(|fields| fields.keys()) {
                if !self.columns.contains(name) && self.columns.len() < crate::limits::LIST_COLUMNS_MAX {
                    self.columns.push(name.clone());
                }
            }
        }
    }
}
