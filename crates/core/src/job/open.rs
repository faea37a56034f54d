//! Checking and unsealing entries.

use super::{Content, OpenTask, Opened};
use crate::bytes::DecodeError;
use crate::limits::OPENED_BYTES;
use crate::payload::{self, ItemBody, PackedChange};
use crate::seal;

/// An entry of a few kilobytes may inflate to [`crate::limits::PAYLOAD_BYTES`], and a job takes many: so what they hold is kept up to
/// a budget, and the rest only has its signature checked. The first is always opened, so that there is progress.
pub(super) fn run(tasks: Vec<OpenTask>) -> Vec<Opened> {
    let mut bytes = 0;
    let open = |task: OpenTask| {
        let genuine = !task.verify || task.entry.verify();
        let content = match (genuine, &task.key) {
            (true, _) if task.entry.is_newer() => Content::Newer,
            (true, Some(_)) if bytes >= OPENED_BYTES => Content::Unread,
            (true, Some(key)) => unseal(&task.entry, key),
            _ => Content::NoKey,
        };
        if let Content::Items(_, more) = &content {
            bytes += more;
        }
        Opened { entry: task.entry, genuine, content }
    };
    tasks.into_iter().map(open).collect()
}

pub(super) fn unseal(entry: &crate::entry::Entry, key: &seal::EpochKey) -> Content {
    let key = seal::content_key(key, &entry.header.journal.collection);
    let Ok(plain) = seal::open(&key, &entry.header.bound_bytes(), entry.sealed()) else {
        return Content::Broken("its payload was not sealed under the key that it names".into());
    };
    match payload::decode(&plain) {
        Ok(items) => {
            let bytes = items.iter().map(|item| item_bytes(&item.body)).sum();
            Content::Items(items, bytes)
        }
        Err(DecodeError::Version { .. }) => Content::Newer,
        Err(error) => Content::Broken(format!("its payload is malformed: {error}")),
    }
}

/// Bytes that an item's body takes in memory, roughly: what budgets count.
pub(super) fn item_bytes(body: &ItemBody) -> usize {
    match body {
        ItemBody::Changes(changes) => changes
            .iter()
            .map(|change| match change {
                PackedChange::Derived(bytes) => 48 + bytes.len(),
                PackedChange::Genesis { change, .. } => 64 + change.len(),
            })
            .sum(),
        ItemBody::Tombstone { heads } => 48 + heads.len() * 32,
        ItemBody::Unknown { bytes, .. } => 48 + bytes.len(),
    }
}
