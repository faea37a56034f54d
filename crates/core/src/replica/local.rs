//! What a device keeps of a space for itself: no other member has it.

use std::collections::BTreeSet;

use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{CollectionTag, DocumentId};
use crate::limits::{NAME_BYTES, OVERSIZE_LISTED};
use crate::output::Paused;
use crate::subscription::Subscriptions;

/// Version of a space's own record in the store.
const RECORD_VERSION: u8 = 1;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Local {
    /// Documents that merges have made larger than local edits may, as many as are listed.
    pub(super) oversize: BTreeSet<(CollectionTag, DocumentId)>,
    pub(super) subscriptions: Subscriptions,
    /// Set while nothing of the space is exchanged.
    pub(super) paused: Option<Paused>,
}

impl Local {
    /// The space's own record as the store keeps it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(RECORD_VERSION).count(self.oversize.len());
        for (collection, document) in &self.oversize {
            w.raw(&collection.0).raw(&document.0);
        }
        self.subscriptions.encode(&mut w);
        w.raw(&encode_paused(self.paused.as_ref()));
        w.finish()
    }

    /// Reads what [`Local::encode`] made; nothing, if nothing was kept.
    pub(super) fn decode(bytes: &[u8]) -> Result<Local, DecodeError> {
        let mut local = Local::default();
        if bytes.is_empty() {
            return Ok(local);
        }
        let mut r = Reader::new(bytes);
        if r.u8("space record version")? != RECORD_VERSION {
            return Err(DecodeError::Invalid { field: "space record version" });
        }
        for _ in 0..r.count(OVERSIZE_LISTED, 16 + 16, "oversize documents")? {
            local.oversize.insert((CollectionTag(r.array("collection")?), DocumentId(r.array("document")?)));
        }
        local.subscriptions = Subscriptions::decode(&mut r)?;
        local.paused = read_paused(&mut r)?;
        r.end()?;
        Ok(local)
    }

    /// Notes whether a document is oversize; says whether the record has changed.
    pub(super) fn list_oversize(&mut self, collection: CollectionTag, document: DocumentId, oversize: bool) -> bool {
        match oversize {
            true if self.oversize.len() < OVERSIZE_LISTED => self.oversize.insert((collection, document)),
            true => false,
            false => self.oversize.remove(&(collection, document)),
        }
    }
}

/// A pause, or none, as the store keeps it: of a space in its record, of the device by itself.
pub(super) fn encode_paused(paused: Option<&Paused>) -> Vec<u8> {
    let mut w = Writer::new();
    w.bool(paused.is_some());
    if let Some(paused) = paused {
        w.text(&paused.by).u64(paused.since_unix_ms);
    }
    w.finish()
}

pub(super) fn read_paused(r: &mut Reader<'_>) -> Result<Option<Paused>, DecodeError> {
    if !r.bool("paused")? {
        return Ok(None);
    }
    Ok(Some(Paused { by: r.text(NAME_BYTES, "who paused")?.to_owned(), since_unix_ms: r.u64("since")? }))
}
