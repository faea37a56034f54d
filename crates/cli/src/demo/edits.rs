//! What the two devices write: the import, and the edits that each makes while it cannot reach the other.

use super::child::Device;
use super::data::airports;
use crate::control::{Container, DeletePolicy, DocumentName, Edit, ImportedItem, Place, Request, WrittenItem};
use crate::exit::{Exit, Failure};
use crate::formats::{Format, ImportOptions, Row, Rows, Typed, check};
use crate::path::Path;
use crate::print::Printer;
use crate::progress::{Progress, Unit};

/// The space of the demo.
pub(super) const SPACE: &str = "demo";
/// The collection with the airports.
pub(super) const AIRPORTS: &str = "airports";
/// The collection with the text that both edit.
pub(super) const NOTES: &str = "notes";
/// The key of that text.
pub(super) const NOTE: &str = "welcome";
/// Airports whose city both set to something else.
pub(super) const SAME_FIELD: usize = 10;

pub(super) fn place(collection: &str) -> Place {
    Place { space: None, collection: collection.to_owned() }
}

/// Reads the embedded airports.
pub(super) async fn rows(limit: Option<u64>) -> Result<Vec<Row>, Failure> {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let reading = tokio::task::spawn_blocking(move || {
        let source = airports()?;
        let options = ImportOptions { key: Some("icao".into()), ..ImportOptions::new(Format::Csv) };
        let checked = check(&source, &options, &mut |_, _| {})?;
        let mut reader = Rows::open(&source, &checked)?;
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(row) = reader.next_row()?
        {
            rows.push(row);
        }
        Ok(rows)
    });
    reading
        .await
        .map_err(|_| Failure::new(Exit::General, "reading the airports failed by a fault of Farshore's own"))?
}

/// Defines the space's collections, and writes the text.
pub(super) async fn prepare(ada: &mut Device) -> Result<(), Failure> {
    let _: serde_json::Value = ada.ask(Request::SpaceCreate { name: SPACE.to_owned() }).await?;
    for (name, containers) in [(AIRPORTS, Vec::new()), (NOTES, vec![("body".to_owned(), Container::Text)])] {
        let request = Request::CollectionCreate {
            space: None,
            name: name.to_owned(),
            on_delete: DeletePolicy::DeleteWins,
            containers,
        };
        let _: serde_json::Value = ada.ask(request).await?;
    }
    let fields =
        vec![("body".to_owned(), Typed::Text("fly with care".to_owned())), ("reads".to_owned(), Typed::Counter(0))];
    put(ada, NOTES, NOTE, fields).await
}

async fn put(device: &mut Device, collection: &str, key: &str, fields: Vec<(String, Typed)>) -> Result<(), Failure> {
    let document = Some(DocumentName::Key(key.to_owned()));
    let request = Request::Put { place: place(collection), document, fields, replace: false };
    device.ask::<WrittenItem>(request).await.map(|_| ())
}

async fn edit(device: &mut Device, collection: &str, key: &str, edits: Vec<Edit>) -> Result<(), Failure> {
    let document = DocumentName::Key(key.to_owned());
    device.ask::<WrittenItem>(Request::Edit { place: place(collection), document, edits }).await.map(|_| ())
}

/// Stores rows by their keys. They are durable when this returns.
pub(super) async fn import(
    device: &mut Device,
    rows: Vec<Row>,
    label: &str,
    printer: &Printer,
) -> Result<u64, Failure> {
    let total = rows.len() as u64;
    let mut progress = Progress::start(printer, label, Some(total), Unit::Things("documents"));
    let request = Request::Import { place: place(AIRPORTS), keyed: true, rows: total };
    let mut import = device.session()?.import(request).await?;
    for row in rows {
        import.row(row).await?;
        progress.set(import.durable_rows());
    }
    let ImportedItem { rows } = import.finish().await?;
    progress.finish(rows);
    Ok(rows)
}

/// What one of them writes while away from the other.
pub(super) struct Alone<'a> {
    /// The airports as imported.
    pub(super) rows: &'a [Row],
    /// Which part of them gets a visit of this device, in twentieths.
    pub(super) visits: std::ops::Range<usize>,
    /// What it sets the city of the first airports to.
    pub(super) city: &'a str,
    /// What it writes into the text, and before which character.
    pub(super) words: (u64, &'a str),
    /// How often it has read the text.
    pub(super) reads: i64,
}

impl Alone<'_> {
    /// The rows that record this device's visits, in a field of its own.
    fn visits(&self, name: &str) -> Vec<Row> {
        let of = |twentieths: usize| self.rows.len() * twentieths / 20;
        let rows = &self.rows[of(self.visits.start)..of(self.visits.end)];
        let field = format!("visit_{}", name.to_lowercase());
        let visit = |row: &Row| Row {
            line: row.line,
            key: row.key.clone(),
            fields: vec![(field.clone(), Typed::String(format!("{name} was here on flight {}", row.line)))],
        };
        rows.iter().map(visit).collect()
    }

    /// Writes all of it; gives the number of edits.
    pub(super) async fn write(&self, device: &mut Device, printer: &Printer) -> Result<u64, Failure> {
        let name = device.name;
        let mut edits = import(device, self.visits(name), &format!("{name} edits offline"), printer).await?;
        for row in &self.rows[..SAME_FIELD] {
            let key = row.key.clone().unwrap_or_default();
            let value = Typed::String(format!("{} {key}", self.city));
            edit(device, AIRPORTS, &key, vec![Edit::Set { path: path("city")?, value }]).await?;
            edits += 1;
        }
        let (position, words) = self.words;
        let splice = Edit::Splice { path: path("body")?, position, delete: 0, insert: words.to_owned() };
        let count = Edit::Increment { path: path("reads")?, by: self.reads };
        edit(device, NOTES, NOTE, vec![splice, count]).await?;
        // Both create this one, and neither knows of the other's.
        let fields = vec![
            ("name".to_owned(), Typed::String("Farshore Field".to_owned())),
            (format!("opened_by_{}", name.to_lowercase()), Typed::Bool(true)),
        ];
        put(device, AIRPORTS, "FARSHORE", fields).await?;
        Ok(edits + 2)
    }
}

fn path(text: &str) -> Result<Path, Failure> {
    text.parse().map_err(|error: crate::path::PathError| Failure::usage(error.to_string()))
}
