//! Edits, made and watched.

use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{Automerge, AutomergeError, ROOT, ReadDoc};
use farshore_bench_device::clock::now_ns;
use farshore_bench_device::{Answer, NUMBER, TEXT};
use futures::StreamExt;

use crate::State;
use crate::documents::progress;

impl State {
    pub async fn set_numbers(&mut self, documents: &[String], number: u64) -> Result<Answer, String> {
        for document in documents {
            self.handle(document).await?.with_document(|document| set(document, number))?;
        }
        Ok(Answer::At(now_ns()))
    }

    pub async fn await_number(&mut self, documents: &[String], number: u64) -> Result<Answer, String> {
        for document in documents {
            let handle = self.handle(document).await?;
            let mut changes = handle.changes();
            while progress(&handle) < number {
                changes.next().await.ok_or("the document's actor ended")?;
            }
        }
        Ok(Answer::At(now_ns()))
    }

    pub async fn observe(&mut self, from: u64, count: u64) -> Result<Answer, String> {
        let handle = self.watched.take().ok_or("nothing is watched")?;
        let mut changes = handle.changes();
        let mut times = Vec::with_capacity(count as usize);
        loop {
            let at = now_ns();
            let seen = progress(&handle).saturating_sub(from).min(count);
            times.resize((seen as usize).max(times.len()), at);
            if times.len() as u64 == count {
                return Ok(Answer::Times(times));
            }
            changes.next().await.ok_or("the document's actor ended")?;
        }
    }

    pub async fn count(&mut self, document: &str, from: u64, count: u64, every_us: u64) -> Result<Answer, String> {
        let handle = self.handle(document).await?;
        let start = tokio::time::Instant::now();
        let mut times = Vec::with_capacity(count as usize + 1);
        for step in 0..count {
            if every_us > 0 {
                tokio::time::sleep_until(start + Duration::from_micros(every_us * step)).await;
            }
            times.push(now_ns());
            // On the caller's thread, which is none of the runtime's: this may block.
            handle.with_document(|document| {
                if document.get(ROOT, NUMBER).is_ok_and(|found| found.is_some()) {
                    return set(document, from + step + 1);
                }
                let (_, object) = document.get(ROOT, TEXT).map_err(crate::text)?.ok_or("no text")?;
                let at = document.length(&object);
                transact(document, |tx| tx.splice_text(&object, at, 0, "x"))
            })?;
        }
        times.push(now_ns());
        Ok(Answer::Times(times))
    }
}

fn set(document: &mut Automerge, number: u64) -> Result<(), String> {
    transact(document, |tx| tx.put(ROOT, NUMBER, number as i64))
}

fn transact(
    document: &mut Automerge,
    edit: impl FnOnce(&mut automerge::transaction::Transaction<'_>) -> Result<(), AutomergeError>,
) -> Result<(), String> {
    document.transact(edit).map(|_| ()).map_err(|failure| failure.error.to_string())
}
