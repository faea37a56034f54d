//! The course of the demo.

use super::child::Device;
use super::edits::{self, AIRPORTS, Alone, NOTE, NOTES, SAME_FIELD, place};
use super::line::{Line, Passed};
use super::report::{Compared, Conflicting, Killed, Report, Step, milliseconds};
use crate::control::{
    CollectionItem, Comparison, DigestItem, DocumentItem, DocumentName, Filter, Request, Role, SpaceItem, StatusItem,
    TicketItem,
};
use crate::exit::{Exit, Failure};
use crate::formats::{Row, Typed};
use crate::limits::{DEMO_KILL_AFTER_BYTES, DEMO_KILL_LOOK_EVERY, DEMO_LOOK_EVERY, DEMO_PATIENCE};
use crate::print::{BOLD, Printer};
use crate::progress::{Progress, Unit};
use std::path::Path;
use std::time::{Duration, Instant};

/// Both devices and the line between them.
struct Demo<'a> {
    line: Line,
    ada: Device,
    ben: Device,
    rows: Vec<Row>,
    steps: Vec<Step>,
    /// Entries that both held before they went apart.
    shared: u64,
    started: Instant,
    printer: &'a mut Printer,
}

/// When a step began, and what had passed by then.
struct Begun {
    at: Instant,
    passed: Passed,
}

#[expect(clippy::disallowed_methods, reason = "the times of the demo are shown to a person and decide nothing")]
fn now() -> Instant {
    Instant::now()
}

/// Plays the demo in a directory.
pub(super) async fn play(base: &Path, documents: Option<u64>, printer: &mut Printer) -> Result<Report, Failure> {
    let started = now();
    let rows = edits::rows(documents).await?;
    let line = Line::start().await?;
    let ada = Device::create("Ada", base, line.to_ada()).await?;
    let ben = Device::create("Ben", base, line.to_ben()).await?;
    line.connect(ada.listening, ben.listening);
    printer.note(&format!(
        "{BOLD}Ada{BOLD:#} is process {}, {BOLD}Ben{BOLD:#} is process {}; all between them goes through a counting proxy.",
        ada.pid, ben.pid
    ));
    let mut demo = Demo { line, ada, ben, rows, steps: Vec::new(), shared: 0, started, printer };
    demo.import().await?;
    demo.join().await?;
    let acknowledged = demo.apart().await?;
    let killed = demo.kill().await?;
    demo.meet(killed, acknowledged).await
}

impl Demo<'_> {
    fn begin(&self) -> Begun {
        Begun { at: now(), passed: self.line.passed() }
    }

    fn end(&mut self, begun: &Begun, what: &str, documents: u64) {
        let passed = self.line.passed().since(begun.passed);
        let step = Step { what: what.to_owned(), documents, milliseconds: milliseconds(begun.at.elapsed()), passed };
        self.printer.note(&format!("  {what}: {:.2} s", step.milliseconds as f64 / 1000.0));
        self.steps.push(step);
    }

    async fn import(&mut self) -> Result<(), Failure> {
        let begun = self.begin();
        edits::prepare(&mut self.ada).await?;
        let imported = edits::import(&mut self.ada, self.rows.clone(), "Ada imports", self.printer).await?;
        self.end(&begun, "Ada imports the airports", imported);
        Ok(())
    }

    async fn join(&mut self) -> Result<(), Failure> {
        let begun = self.begin();
        let address = format!("/ip4/127.0.0.1/tcp/{}", self.line.to_ada().port());
        let valid_ms = milliseconds(DEMO_PATIENCE);
        let request = Request::Invite { space: None, role: Role::Writer, valid_ms, addresses: vec![address] };
        let TicketItem { ticket, .. } = self.ada.ask(request).await?;
        let _: SpaceItem = self.ben.ask(Request::Join { ticket, wait_ms: valid_ms, sync: false }).await?;
        self.end(&begun, "Ben joins with a ticket", 0);
        let begun = self.begin();
        self.shared = entries(&mut self.ada).await?;
        self.until_same("Ben receives", self.shared).await?;
        self.end(&begun, "Ben receives all", self.rows.len() as u64);
        Ok(())
    }

    /// Both go offline and edit. Gives how many visits Ben has acknowledged.
    async fn apart(&mut self) -> Result<u64, Failure> {
        self.line.cut();
        for device in [&mut self.ada, &mut self.ben] {
            wait("lose the line", DEMO_LOOK_EVERY, async || {
                Ok((device.ask::<StatusItem>(Request::Status { watch: false }).await?.peers == 0).then_some(()))
            })
            .await?;
        }
        self.printer.note("The line is cut.");
        let begun = self.begin();
        let hers = Alone { rows: &self.rows, visits: 0..9, city: "Ada's", words: (0, "Ada says: "), reads: 3 };
        let edits = hers.write(&mut self.ada, self.printer).await?;
        self.end(&begun, "Ada edits offline", edits);
        let begun = self.begin();
        let his = Alone { rows: &self.rows, visits: 6..12, city: "Ben's", words: (13, ", says Ben"), reads: 4 };
        let edits = his.write(&mut self.ben, self.printer).await?;
        self.end(&begun, "Ben edits offline", edits);
        visited(&mut self.ben, "visit_ben").await
    }

    /// The two begin to sync, Ben is killed in the middle, and started again while the line is cut.
    async fn kill(&mut self) -> Result<Killed, Failure> {
        let entries_before = entries(&mut self.ben).await?;
        let begun = self.begin();
        self.line.heal();
        wait("begin to sync", DEMO_KILL_LOOK_EVERY, async || {
            Ok((self.line.passed().since(begun.passed).to_ben >= DEMO_KILL_AFTER_BYTES).then_some(()))
        })
        .await?;
        let pid = self.ben.pid;
        self.ben.kill().await?;
        self.line.cut();
        self.printer.note(&format!("Ben (process {pid}) is killed in the middle of the sync."));
        self.end(&begun, "they meet, Ben is killed", 0);
        let begun = self.begin();
        self.ben.start().await?;
        let entries_kept = entries(&mut self.ben).await?;
        self.line.connect(self.ada.listening, self.ben.listening);
        self.end(&begun, "Ben starts again", 0);
        Ok(Killed { pid, pid_after: self.ben.pid, entries_before, entries_kept, entries_in_the_end: 0 })
    }

    async fn meet(mut self, mut killed: Killed, acknowledged: u64) -> Result<Report, Failure> {
        let begun = self.begin();
        let all = entries(&mut self.ada).await? + killed.entries_before - self.shared;
        self.line.heal();
        self.until_same("Ben receives", all).await?;
        self.end(&begun, "they meet again and agree", self.rows.len() as u64);
        let begun = self.begin();
        let mut compared = Vec::new();
        for collection in [AIRPORTS, NOTES] {
            let request = Request::Digest { place: place(collection) };
            let ada: DigestItem = self.ada.ask(request.clone()).await?;
            let ben: DigestItem = self.ben.ask(request).await?;
            compared.push(Compared { collection: collection.to_owned(), ada, ben });
        }
        let mut conflicts = Vec::new();
        for row in &self.rows[..SAME_FIELD] {
            let key = row.key.clone().unwrap_or_default();
            let ada = read(&mut self.ada, AIRPORTS, &key).await?.conflicts.unwrap_or_default();
            let ben = read(&mut self.ben, AIRPORTS, &key).await?.conflicts.unwrap_or_default();
            conflicts.push(Conflicting { key, ada, ben });
        }
        let text = [read(&mut self.ada, NOTES, NOTE).await?.value, read(&mut self.ben, NOTES, NOTE).await?.value];
        let arrived = visited(&mut self.ada, "visit_ben").await?;
        self.end(&begun, "both compute the proof", self.rows.len() as u64);
        killed.entries_in_the_end = entries(&mut self.ben).await?;
        self.ada.stop().await?;
        self.ben.stop().await?;
        Ok(Report {
            entries: killed.entries_in_the_end,
            steps: self.steps,
            killed,
            conflicts,
            text,
            acknowledged: [acknowledged, arrived],
            compared,
            passed: self.line.passed(),
            milliseconds: milliseconds(self.started.elapsed()),
        })
    }

    /// Waits until both hold the same entries and have all of them in their documents.
    async fn until_same(&mut self, label: &str, total: u64) -> Result<(), Failure> {
        let mut progress = Progress::start(self.printer, label, Some(total), Unit::Things("entries"));
        let mut done = 0;
        let same = wait("hold the same", DEMO_LOOK_EVERY, async || {
            let (ada, ben) = (collections(&mut self.ada).await?, collections(&mut self.ben).await?);
            done = ben.iter().map(|collection| collection.entries - collection.unapplied).sum();
            progress.set(done);
            let applied = ada.iter().chain(&ben).all(|collection| collection.unapplied == 0);
            let same = ada.len() == 2
                && ada.iter().all(|collection| {
                    let other = ben.iter().find(|other| other.tag == collection.tag);
                    other.is_some_and(|other| {
                        (other.entries, other.documents) == (collection.entries, collection.documents)
                    })
                });
            Ok((applied && same).then_some(()))
        })
        .await;
        progress.finish(done);
        same
    }
}

/// Looks again and again until there is something, after `most` at the latest.
async fn wait<T>(
    what: &str,
    most: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let looking = async {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(pause).await;
            pause = most.min(pause * 2);
        }
    };
    tokio::time::timeout(DEMO_PATIENCE, looking).await.unwrap_or_else(|_| {
        let seconds = DEMO_PATIENCE.as_secs();
        Err(Failure::new(Exit::Timeout, format!("the devices did not {what} within {seconds} s"))
            .remedy("with --keep DIRECTORY their logs stay"))
    })
}

async fn collections(device: &mut Device) -> Result<Vec<CollectionItem>, Failure> {
    match device.ask_all(Request::CollectionList { space: None }).await {
        Err(failure) if failure.code == Exit::NotFound => Ok(Vec::new()), // the space has not arrived yet
        found => found,
    }
}

async fn entries(device: &mut Device) -> Result<u64, Failure> {
    Ok(collections(device).await?.iter().map(|collection| collection.entries).sum())
}

async fn read(device: &mut Device, collection: &str, key: &str) -> Result<DocumentItem, Failure> {
    let document = DocumentName::Key(key.to_owned());
    device.ask(Request::Get { place: place(collection), document, path: None, conflicts: true }).await
}

/// How many airports have a value in this field.
async fn visited(device: &mut Device, field: &str) -> Result<u64, Failure> {
    let path = field.parse().map_err(|error: crate::path::PathError| Failure::usage(error.to_string()))?;
    let filter = Filter { path, comparison: Comparison::AtLeast, value: Typed::String(String::new()) };
    let request = Request::List { place: place(AIRPORTS), filters: vec![filter], limit: None };
    Ok(device.ask_all::<DocumentItem>(request).await?.len() as u64)
}
