//! Fingerprints of a collection: two devices that hold the same documents compute the same one.

use farshore_core::record::DocRecord;

use crate::collection::Collection;
use crate::error::Error;
use crate::limits::PAGE_DOCUMENTS;

/// A collection's fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Digest {
    /// How many documents there are; deleted ones are not counted.
    pub documents: u64,
    /// blake3 over every document's id, generation and Automerge heads, in the order of ids: the whole history.
    pub heads: [u8; 32],
    /// blake3 over every document's id and view, in the order of ids: what reads show.
    pub views: [u8; 32],
}

impl<T> Collection<T> {
    /// The fingerprints of all documents as they are now. Edits that arrive meanwhile may be in them or not.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`].
    ///
    /// # Cost
    /// Reads every record and view.
    pub async fn digest(&self) -> Result<Digest, Error> {
        let (space, tag, whole) = (self.space().id(), self.tag(), self.typed::<()>());
        self.read(move |reader| {
            let (mut heads, mut views) = (blake3::Hasher::new(), blake3::Hasher::new());
            let (mut documents, mut after) = (0u64, None);
            loop {
                let page = reader.list(&space, &tag, after, PAGE_DOCUMENTS)?;
                for (id, view) in &page {
                    let Some(record) = reader.record(&whole.key(*id))? else { continue };
                    let record = DocRecord::decode(&record)
                        .map_err(|error| Error::Damaged { what: format!("document {id}"), cause: error.to_string() })?;
                    documents += 1;
                    heads.update(&id.0).update(&record.generation.to_be_bytes());
                    heads.update(&(record.heads.len() as u64).to_be_bytes());
                    for head in record.heads.keys() {
                        heads.update(head);
                    }
                    views.update(&id.0).update(&(view.len() as u64).to_be_bytes()).update(view);
                }
                after = page.last().map(|(id, _)| *id);
                if page.len() < PAGE_DOCUMENTS {
                    break;
                }
            }
            Ok(Digest { documents, heads: *heads.finalize().as_bytes(), views: *views.finalize().as_bytes() })
        })
        .await
    }
}
