//! Waiting for documents, and watching them.

use farshore::{DocumentId, EventKind, EventStream, SyncResult, Value};
use farshore_bench_device::clock::now_ns;
use farshore_bench_device::{Answer, NUMBER, TEXT};
use futures::TryStreamExt;

use super::{State, id, text};

/// When the device and its peer hold the same.
pub(super) async fn in_sync(events: &mut EventStream) -> Result<u64, String> {
    loop {
        let event = events.next().await.ok_or("the node ended")?;
        if matches!(event.kind, EventKind::SyncEnded { result: SyncResult::InSync, .. }) {
            return Ok(now_ns());
        }
    }
}

impl State {
    pub(super) async fn await_documents(&mut self, documents: &[String]) -> Result<Answer, String> {
        let tasks = self.tasks()?.clone();
        let mut watcher = tasks.watch();
        let durable_ns = match self.events.take() {
            Some(mut events) => in_sync(&mut events).await?,
            None => now_ns(),
        };
        while tasks.count().await.map_err(text)? < documents.len() as u64 {
            watcher.next().await.ok_or("the node ended")?;
        }
        let mut read = Vec::with_capacity(documents.len());
        let mut all = std::pin::pin!(tasks.all_values());
        while let Some((document, value)) = all.try_next().await.map_err(text)? {
            count_of(&value).ok_or("a document without content")?;
            read.push(document);
        }
        let readable_ns = now_ns();
        let mut wanted = documents.iter().map(|document| id(document)).collect::<Result<Vec<_>, _>>()?;
        wanted.sort_unstable();
        if read != wanted {
            return Err(format!("{} documents were read, not the {} that were written", read.len(), wanted.len()));
        }
        Ok(Answer::Arrived { durable_ns, readable_ns })
    }

    pub(super) async fn await_number(&self, documents: &[String], number: u64) -> Result<Answer, String> {
        let tasks = self.tasks()?;
        let mut watcher = tasks.watch();
        let mut wanted = documents.iter().map(|document| id(document)).collect::<Result<Vec<_>, _>>()?;
        loop {
            let mut left = Vec::new();
            for document in wanted {
                if self.progress(document).await? < number {
                    left.push(document);
                }
            }
            if left.is_empty() {
                return Ok(Answer::At(now_ns()));
            }
            wanted = left;
            watcher.next().await.ok_or("the node ended")?;
        }
    }

    pub(super) fn watch(&mut self, document: &str) -> Result<Answer, String> {
        let document = id(document)?;
        self.watcher = Some((self.tasks()?.document(document).watch(), document));
        Ok(Answer::Done)
    }

    pub(super) async fn observe(&mut self, from: u64, count: u64) -> Result<Answer, String> {
        let (mut watcher, document) = self.watcher.take().ok_or("nothing is watched")?;
        let mut times = Vec::with_capacity(count as usize);
        while (times.len() as u64) < count {
            watcher.next().await.ok_or("the node ended")?;
            let at = now_ns();
            let seen = self.progress(document).await?.saturating_sub(from).min(count);
            times.resize((seen as usize).max(times.len()), at);
        }
        Ok(Answer::Times(times))
    }

    pub(super) async fn text_length(&self, document: &str) -> Result<Answer, String> {
        self.progress(id(document)?).await.map(Answer::Number)
    }

    /// How far a document has been counted.
    async fn progress(&self, document: DocumentId) -> Result<u64, String> {
        let value = self.tasks()?.value(document).await.map_err(text)?;
        Ok(value.as_ref().and_then(count_of).unwrap_or(0))
    }
}

/// A document's number, or the length of its text.
fn count_of(value: &Value) -> Option<u64> {
    match (value.get(NUMBER), value.get(TEXT)) {
        (Some(Value::Int(number)), _) => u64::try_from(*number).ok(),
        (_, Some(Value::Text(text))) => Some(text.chars().count() as u64),
        _ => None,
    }
}
