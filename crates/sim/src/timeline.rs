//! A run as a person reads it: one line an event, with virtual time, device and what happened.

use farshore_core::id::{JournalId, Position};

use crate::observe::{Observed, What};
use crate::plain::{Edit, Op, Step};

/// One line, without its end.
pub fn line(observed: &Observed) -> String {
    let seconds = observed.at_ms / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let millis = observed.at_ms % 1_000;
    format!("{hours}:{minutes:02}:{seconds:02}.{millis:03}  {:>3}  {}", observed.device, told(&observed.what))
}

fn told(what: &What) -> String {
    match what {
        What::Joined { may_write, .. } => format!("is a member, may write: {may_write}"),
        What::Submitted { request, collection, edits, .. } => {
            let edits: Vec<String> = edits.iter().map(|edit| format!("{} {}", edit.document, op(&edit.op))).collect();
            format!("asks #{request} in {}: {}", collection.short(), edits.join("; "))
        }
        What::Acknowledged { request, results } => {
            let result = |result: &Result<Option<(JournalId, Position)>, String>| match result {
                Ok(Some((_, position))) => format!("entry {}", position.seq),
                Ok(None) => "no change".into(),
                Err(why) => format!("refused: {why}"),
            };
            format!("answers #{request}: {}", results.iter().map(result).collect::<Vec<_>>().join("; "))
        }
        What::Refused { request, reason } => format!("refuses #{request}: {reason}"),
        What::Unanswered { request } => format!("dies before it answers #{request}"),
        What::Changed { documents, remote, .. } => {
            let ids: Vec<String> = documents.iter().map(ToString::to_string).collect();
            format!("shows {} changed{}", ids.join(", "), if *remote { ", by others" } else { "" })
        }
        What::Read { document, view, .. } => {
            let view = view.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            format!("reads {document}: {}", short(&view))
        }
        What::Sent { link, to, class, kind, bytes, entry, .. } => {
            let entry = entry.map(|entry| format!(" {}", place(&entry))).unwrap_or_default();
            format!("sends {kind:?}{entry} to {to} on link {link} ({class:?}, {bytes} bytes)")
        }
        What::Handed { batch, .. } => format!("hands batch {batch} to the disk"),
        What::Stored { batch, entries, .. } => {
            let entries: Vec<String> = entries.iter().map(place).collect();
            format!("batch {batch} is durable{}{}", if entries.is_empty() { "" } else { ", with " }, entries.join(", "))
        }
        What::Receipted { peer, seq, .. } => format!("has a receipt of {} for its entry {seq}", peer.short()),
        What::InSync { peer, .. } => format!("is in sync with {}", peer.short()),
        What::Killed { power } => format!("stops{}", if *power { ": the power failed" } else { "" }),
        What::Restarted { frontier, .. } => format!("starts again, with {} journals", frontier.len()),
        What::DiskFailed { reason } => format!("its store failed: {reason}"),
        What::LinkUp { link, peer } => format!("link {link} with {peer} is up"),
        What::LinkDown { link, peer } => format!("link {link} with {peer} is down"),
        What::PeerFault { link, peer, fault } => format!("faults {peer} on link {link}: {fault}"),
        What::JournalRejected { journal, seq, reason } => {
            format!("closes the journal of {} before {seq}: {reason}", journal.device.short())
        }
        What::NewIncarnation { incarnation, reason } => format!("begins incarnation {}: {reason}", incarnation.short()),
        What::Fired { fault } => format!("-- {fault}: {}", fault.describe()),
        What::Defined { collection, edit_wins, .. } => {
            format!("defines {}, where {} win", collection.short(), if *edit_wins { "edits" } else { "deletions" })
        }
        What::Turned { kind } => format!("-- in bad hands from here on: {kind}"),
        What::Healed => "-- everything is healed".into(),
    }
}

fn place((journal, position): &(JournalId, Position)) -> String {
    format!("{}/{}#{}", journal.device.short(), journal.collection.short(), position.seq)
}

fn op(op: &Op) -> String {
    match op {
        Op::Create(value) => format!("create {}", short(&value.to_string())),
        Op::Upsert(value) => format!("upsert {}", short(&value.to_string())),
        Op::Edit(edits) => edits.iter().map(edit).collect::<Vec<_>>().join(", "),
        Op::Delete => "delete".into(),
    }
}

fn edit(edit: &Edit) -> String {
    match edit {
        Edit::Put { path, value } => format!("{} = {}", at(path), short(&value.to_string())),
        Edit::Insert { path, value } => format!("insert at {} {}", at(path), short(&value.to_string())),
        Edit::Splice { path, at: from, delete, insert } => {
            format!("splice {} at {from}, -{delete} +{:?}", at(path), short(insert))
        }
        Edit::Increment { path, by } => format!("{} += {by}", at(path)),
        Edit::Delete { path } => format!("remove {}", at(path)),
    }
}

fn at(path: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    };
    path.iter().map(step).collect::<Vec<_>>().join(".")
}

fn short(text: &str) -> String {
    const MOST: usize = 100;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
