//! Looks at the documents: which are there, which merged, and what became of own writes in those that others touched, too.

use std::collections::BTreeMap;

use farshore_core::batch::{Load, Loaded, StoredDocument};
use farshore_core::document::{Outcome, OwnWrite, derived_actor};
use farshore_core::id::{DeviceId, DocKey, JournalId};
use farshore_core::record::{DocRecord, OpenDocument};
use farshore_core::value::Value;
use farshore_store::Reader;

use super::gather::{Gathered, Own};
use super::{MergedDocument, OwnLoss, SinceReport, TouchedDocument};
use crate::error::Error;
use crate::limits::SINCE_VALUE_BYTES;

/// Who touched a document, and their last claimed time.
type Authors = BTreeMap<DeviceId, u64>;

pub(super) fn judge(reader: &Reader, mut gathered: Gathered, since_ms: u64) -> Result<SinceReport, Error> {
    let mut report = gathered.report(since_ms);
    for (key, authors) in &gathered.theirs {
        let record = reader.record(key)?.map(|bytes| decode(key, &bytes)).transpose()?;
        let exists = reader.view(key)?.is_some();
        let (space, collection, document) = (key.space, key.collection, key.document);
        let by = authors.iter().map(|(device, ms)| (*device, *ms)).collect();
        let conflicts = exists && record.as_ref().is_some_and(|record| record.conflicts);
        report.documents.push(TouchedDocument { space, collection, document, by, exists, conflicts });
        let (Some(record), Some(own)) = (record, gathered.own.get(key)) else { continue };
        if own.deleted {
            continue; // Gone is what it was meant to be.
        }
        if !exists || record.generation != own.generation {
            report.overwritten.push(whole(key, authors, &record));
        }
        if record.generation == own.generation {
            look(reader, key, own, &gathered, authors, exists, &mut report)?;
        }
    }
    Ok(report)
}

/// Looks at a document that both sides touched.
fn look(
    reader: &Reader,
    key: &DocKey,
    own: &Own,
    gathered: &Gathered,
    authors: &Authors,
    exists: bool,
    report: &mut SinceReport,
) -> Result<(), Error> {
    let Some(stored) = load(reader, key)? else { return Ok(()) };
    let open = OpenDocument::load(&stored)
        .map_err(|cause| Error::Damaged { what: format!("document {}", key.document), cause })?;
    let actor_of = |device, incarnation| {
        derived_actor(key.space, key.collection, device, key.document, own.generation, incarnation)
    };
    let journals = gathered.journals.get(&(key.space, key.collection)).map_or(&[][..], Vec::as_slice);
    let devices: BTreeMap<[u8; 16], JournalId> =
        journals.iter().map(|journal| (actor_of(journal.device, journal.incarnation), *journal)).collect();
    let fate = open.document.fate(actor_of(gathered.me, gathered.incarnation), own.changes);
    let (space, collection, document) = (key.space, key.collection, key.document);
    if fate.concurrent {
        report.merged.push(MergedDocument { space, collection, document, with: authors.keys().copied().collect() });
    }
    if !exists {
        return Ok(()); // Told as a whole.
    }
    for OwnWrite { path, mine, outcome, by } in fate.writes {
        let by = by.and_then(|actor| devices.get(&actor)).map(|journal| journal.device);
        let when_ms = by.and_then(|device| authors.get(&device)).copied();
        let conflict = matches!(outcome, Outcome::Conflict { .. });
        let mine = Some(short(mine));
        let loss = OwnLoss { space, collection, document, path, mine, outcome: shorten(outcome), by, when_ms };
        match conflict {
            true => report.conflicts.push(loss),
            false => report.overwritten.push(loss),
        }
    }
    Ok(())
}

/// A document that is gone as a whole.
fn whole(key: &DocKey, authors: &Authors, record: &DocRecord) -> OwnLoss {
    let deleters = record.tombstone.iter().flat_map(|tombstone| &tombstone.places);
    let by = deleters.map(|place| place.device).find(|device| authors.contains_key(device));
    OwnLoss {
        space: key.space,
        collection: key.collection,
        document: key.document,
        path: Vec::new(),
        mine: None,
        outcome: Outcome::Deleted,
        by,
        when_ms: by.and_then(|device| authors.get(&device)).copied(),
    }
}

fn decode(key: &DocKey, bytes: &[u8]) -> Result<DocRecord, Error> {
    DocRecord::decode(bytes).map_err(|error| Error::Damaged {
        what: format!("the record of document {}", key.document),
        cause: error.to_string(),
    })
}

fn load(reader: &Reader, key: &DocKey) -> Result<Option<StoredDocument>, Error> {
    match reader.load(&Load::Documents(vec![*key]))? {
        Loaded::Documents(mut documents) => Ok(documents.pop().flatten()),
        _ => Err(Error::Internal("the store answered a load with something else".into())),
    }
}

fn shorten(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Overwritten { now } => Outcome::Overwritten { now: short(now) },
        Outcome::Conflict { now, shown, others } => {
            Outcome::Conflict { now: short(now), shown, others: others.into_iter().map(short).collect() }
        }
        Outcome::Deleted => Outcome::Deleted,
    }
}

/// A value, or the beginning of its JSON if it is long: a report is for reading, and holds thousands of them.
fn short(value: Value) -> Value {
    let json = serde_json::to_string(&value).unwrap_or_default();
    if json.len() <= SINCE_VALUE_BYTES {
        return value;
    }
    let end = (0..=SINCE_VALUE_BYTES).rev().find(|at| json.is_char_boundary(*at)).unwrap_or(0);
    Value::Str(format!("{}… ({} bytes)", &json[..end], json.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_to_a_text_that_says_how_long_it_was() {
        assert_eq!(short(5.into()), 5.into());
        let long = Value::Text("é".repeat(SINCE_VALUE_BYTES));
        let Value::Str(cut) = short(long) else { panic!("not cut") };
        assert!(cut.ends_with(&format!("… ({} bytes)", 2 * SINCE_VALUE_BYTES + 2)), "{cut}");
        assert!(cut.len() < SINCE_VALUE_BYTES + 40);
    }
}
