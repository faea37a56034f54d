//! Verifying a whole store: every tag, and whether the rows fit together.

use std::collections::BTreeMap;

use farshore_core::batch::JournalState;
use farshore_core::id::{JournalId, hex};
use redb::{ReadableTable, ReadableTableMetadata};

use crate::error::StoreError;
use crate::load::Snapshot;
use crate::store::guarded;
use crate::tables::{
    CHECKPOINTS, COLLECTIONS, DOCUMENTS, ENTRIES, INVITATIONS, JOURNALS, META, PARTS, PEERS, REJECTED, ROSTER,
    ROSTER_SEEN, SNAPSHOTS, SPACES, STORE, TAILS, TableSpec, VIEWS, key,
};
use crate::value::{CollectionRow, DocumentRow, JournalRow, Row, SpaceRow};

/// Problems described in a report: beyond, more of the same helps nobody, and the rest is counted.
const PROBLEMS: usize = 1000;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows read, by table.
    pub rows: Vec<(&'static str, u64)>,
    /// Documents with a view.
    pub documents: u64,
    /// Documents without one: deleted.
    pub deleted: u64,
    /// Journals held.
    pub journals: u64,
    /// Entries held.
    pub entries: u64,
    /// What is wrong; empty for a sound store.
    pub problems: Vec<Problem>,
    /// Problems beyond those described.
    pub problems_left_off: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, table: &'static str, key: &[u8], what: impl Into<String>) {
        self.add(Problem { table, key: hex(key), what: what.into() });
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(problem);
        } else {
            self.problems_left_off += 1;
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The table.
    pub table: &'static str,
    /// The key in hexadecimal; empty for a whole table.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// What is gathered from one pass and compared in another.
#[derive(Default)]
struct Seen {
    /// Documents by collection: with a view, as counted.
    counted: BTreeMap<u32, u64>,
    views: u64,
    snapshots: u64,
    tails: u64,
}

/// Checks everything.
pub(crate) fn check(snapshot: Snapshot<'_>) -> Report {
    let mut report = Report::default();
    pass(snapshot, &STORE, &mut report, tag_only);
    pass(snapshot, &META, &mut report, |report, key, _| {
        if key::read_name(key).is_none() {
            report.problem(META.name, key, "the key is not a name");
        }
        Ok(())
    });
    pass(snapshot, &SPACES, &mut report, |_, key, bytes| SpaceRow::read(&SPACES, key, bytes).map(drop));
    pass(snapshot, &ROSTER, &mut report, tag_only);
    pass(snapshot, &ROSTER_SEEN, &mut report, tag_only);
    pass(snapshot, &PEERS, &mut report, tag_only);
    pass(snapshot, &INVITATIONS, &mut report, tag_only);
    pass(snapshot, &REJECTED, &mut report, tag_only);
    pass(snapshot, &CHECKPOINTS, &mut report, tag_only);
    pass(snapshot, &PARTS, &mut report, tag_only);
    journals(snapshot, &mut report);
    documents(snapshot, &mut report);
    roster(&mut report);
    report
}

/// For rows that say nothing beyond their tag.
fn tag_only<const N: usize>(_: &mut Report, _: &[u8; N], _: &[u8]) -> Result<(), StoreError> {
    Ok(())
}

/// Reads a table row by row; a row that does not verify is a problem, and the next row follows. A table whose pages cannot
/// be read ends there.
fn pass<const N: usize>(
    snapshot: Snapshot<'_>,
    spec: &TableSpec<N>,
    report: &mut Report,
    mut each: impl FnMut(&mut Report, &[u8; N], &[u8]) -> Result<(), StoreError>,
) {
    let mut rows = 0;
    let walked = guarded(|| {
        let table = snapshot.table(spec)?;
        for row in table.iter()? {
            let (key, value) = row?;
            rows += 1;
            let key = key.value();
            let read = snapshot.tags.open(spec, key, value.value());
            match read.and_then(|content| each(&mut *report, key, content)) {
                Ok(()) => {}
                Err(StoreError::Corrupt { table, key, detail }) => {
                    report.add(Problem { table, key, what: detail.to_owned() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(table.len()?)
    });
    match walked {
        Ok(expected) if expected != rows => {
            report.problem(spec.name, &[], format!("{rows} rows were found where {expected} are recorded"));
        }
        Ok(_) => {}
        Err(error) => report.problem(spec.name, &[], error.to_string()),
    }
    report.rows.push((spec.name, rows));
}

/// Every journal is held without a gap from its floor to where it says, and ends in the entry that it says.
fn journals(snapshot: Snapshot<'_>, report: &mut Report) {
    let mut held: BTreeMap<u32, Option<(JournalId, JournalState)>> = BTreeMap::new();
    pass(snapshot, &JOURNALS, report, |_, key, bytes| {
        let row = JournalRow::read(&JOURNALS, key, bytes)?;
        held.insert(row.number, row.state.map(|state| (key::read_journal(key), state)));
        Ok(())
    });
    // By journal: the first seq that is missing, and whether the last entry held was met.
    let mut found: BTreeMap<u32, (u64, bool)> = BTreeMap::new();
    pass(snapshot, &ENTRIES, report, |report, key, _| {
        let number = u32::from_be_bytes(key::part(key, 0));
        let position = key::read_position(key);
        let Some(state) = held.get(&number) else {
            report.problem(ENTRIES.name, key, "no journal has this number");
            return Ok(());
        };
        let floor = state.as_ref().map_or(0, |(_, state)| state.floor);
        let (next, met) = found.entry(number).or_insert((floor + 1, false));
        if position.seq == *next {
            *next += 1;
        }
        *met |= state.as_ref().is_some_and(|(_, state)| state.held == position);
        Ok(())
    });
    report.journals = held.values().flatten().count() as u64;
    report.entries = report.rows.last().map_or(0, |(_, rows)| *rows);
    for (number, (journal, state)) in held.iter().filter_map(|(number, held)| Some((number, held.as_ref()?))) {
        let (next, met) = found.get(number).copied().unwrap_or((state.floor + 1, false));
        let key = journal.to_bytes();
        if next <= state.held.seq {
            let what = format!("entry {next} is missing, of {} that are recorded as held", state.held.seq);
            report.problem(JOURNALS.name, &key, what);
        } else if state.held.seq > state.floor && !met {
            report.problem(JOURNALS.name, &key, format!("the last entry, {}, has another hash", state.held.seq));
        }
        if state.floor > state.applied {
            report.problem(JOURNALS.name, &key, "its floor is beyond what is recorded as applied");
        }
        if state.applied > state.held.seq {
            report.problem(JOURNALS.name, &key, "more entries are recorded as applied than as held");
        }
    }
}

/// Every document has the view, snapshot and tail that its row says; nothing is left over; the counts are right.
fn documents(snapshot: Snapshot<'_>, report: &mut Report) {
    let mut seen = Seen::default();
    let tables =
        (|| Ok::<_, StoreError>((snapshot.table(&VIEWS)?, snapshot.table(&SNAPSHOTS)?, snapshot.table(&TAILS)?)))();
    let (views, snapshots, tails) = match tables {
        Ok(tables) => tables,
        Err(error) => return report.problem(DOCUMENTS.name, &[], error.to_string()),
    };
    let (mut with_view, mut without_view) = (0_u64, 0_u64);
    // Rows of one document follow one another, its present life last: of the row before, whose it is, and whether it has a view.
    let mut before: Option<([u8; 20], bool)> = None;
    pass(snapshot, &DOCUMENTS, report, |report, key, bytes| {
        let row = DocumentRow::read(&DOCUMENTS, key, bytes)?;
        let document = key::part(key, 0);
        match before.replace((document, row.has_view)) {
            Some((same, true)) if same == document => {
                report.problem(DOCUMENTS.name, key, "a former life of this document has a view");
            }
            Some((same, false)) if same == document => without_view -= 1,
            _ => {}
        }
        let number = row.number.to_be_bytes();
        let counted = seen.counted.entry(u32::from_be_bytes(key::part(key, 0))).or_default();
        if row.has_view {
            with_view += 1;
            *counted += 1;
            seen.views += 1;
            if views.get(&number)?.is_none() {
                report.problem(DOCUMENTS.name, key, "its view is missing");
            }
        } else {
            without_view += 1;
        }
        if row.has_snapshot {
            seen.snapshots += 1;
            if snapshots.get(&number)?.is_none() {
                report.problem(DOCUMENTS.name, key, "its snapshot is missing");
            }
        }
        seen.tails += u64::from(row.tail);
        let (first, last) = key::range::<12>(&number);
        let mut chunks = 0;
        for chunk in tails.range::<&[u8; 12]>(&first..=&last)? {
            chunk?; // after an error redb's iterator gives errors for ever: to count them would never end
            chunks += 1;
        }
        if chunks != row.tail {
            report.problem(DOCUMENTS.name, key, format!("{chunks} changes where {} are recorded", row.tail));
        }
        Ok(())
    });
    (report.documents, report.deleted) = (with_view, without_view);
    pass(snapshot, &SNAPSHOTS, report, tag_only);
    left_over(report, SNAPSHOTS.name, seen.snapshots);
    pass(snapshot, &TAILS, report, tag_only);
    left_over(report, TAILS.name, seen.tails);
    pass(snapshot, &VIEWS, report, tag_only);
    left_over(report, VIEWS.name, seen.views);
    pass(snapshot, &COLLECTIONS, report, |report, key, bytes| {
        let row = CollectionRow::read(&COLLECTIONS, key, bytes)?;
        let counted = seen.counted.remove(&row.number).unwrap_or_default();
        if counted != row.count {
            let what = format!("{} documents are counted, {counted} are there", row.count);
            report.problem(COLLECTIONS.name, key, what);
        }
        Ok(())
    });
    for number in seen.counted.keys() {
        report.problem(DOCUMENTS.name, &number.to_be_bytes(), "no collection has this number");
    }
}

fn left_over(report: &mut Report, table: &'static str, expected: u64) {
    let rows = report.rows.last().map_or(0, |(_, rows)| *rows);
    if rows != expected {
        report.problem(table, &[], format!("{rows} rows, of which documents name {expected}"));
    }
}

/// Every roster operation is known by its hash, and the other way round.
fn roster(report: &mut Report) {
    let rows = |name| report.rows.iter().find(|(table, _)| *table == name).map_or(0, |(_, rows)| *rows);
    let (kept, known) = (rows(ROSTER.name), rows(ROSTER_SEEN.name));
    if kept != known {
        report.problem(ROSTER.name, &[], format!("{kept} operations, of which {known} are known by their hash"));
    }
}
