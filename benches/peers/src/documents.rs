//! Documents: made, waited for, read.

use automerge::transaction::Transactable;
use automerge::{Automerge, AutomergeError, ObjType, ROOT, ReadDoc, ScalarValue, Value};
use farshore_bench_device::clock::now_ns;
use farshore_bench_device::{Answer, NUMBER, TEXT, task};
use futures::{StreamExt, TryStreamExt, stream};
use samod::DocHandle;

use crate::{State, find, id, text};

/// Documents made or looked for at a time.
const AT_A_TIME: usize = 256;

impl State {
    pub async fn fill(&mut self, from: u32, count: u32) -> Result<Answer, String> {
        let contents: Vec<_> = (from..from + count).map(task).collect();
        let repo = self.repo()?.clone();
        let began_ns = now_ns();
        let made = stream::iter(contents).map(|fields| {
            let repo = repo.clone();
            async move {
                let mut document = Automerge::new();
                let put = document.transact::<_, _, AutomergeError>(|tx| {
                    fields.iter().try_for_each(|(key, field)| tx.put(ROOT, key.as_str(), scalar(field)))
                });
                put.map_err(|failure| failure.error.to_string())?;
                repo.create(document).await.map_err(text)
            }
        });
        let handles: Vec<DocHandle> = made.buffered(AT_A_TIME).try_collect().await?;
        let done_ns = now_ns();
        let ids: Vec<String> = handles.iter().map(|handle| handle.document_id().to_string()).collect();
        self.handles.extend(ids.iter().cloned().zip(handles));
        Ok(Answer::Documents { ids, began_ns, done_ns })
    }

    /// The text is typed before the document is handed over: typed through a handle, samod writes a file for each change.
    pub async fn text(&mut self, changes: u32) -> Result<Answer, String> {
        let began_ns = now_ns();
        let mut document = Automerge::new();
        let made = document.transact::<_, _, AutomergeError>(|tx| tx.put_object(ROOT, TEXT, ObjType::Text));
        let object = made.map_err(|failure| failure.error.to_string())?.result;
        for at in 0..changes as usize {
            document
                .transact::<_, _, AutomergeError>(|tx| tx.splice_text(&object, at, 0, "x"))
                .map_err(|failure| failure.error.to_string())?;
        }
        let handle = self.repo()?.create(document).await.map_err(text)?;
        let id = handle.document_id().to_string();
        self.handles.insert(id.clone(), handle);
        Ok(Answer::Documents { ids: vec![id], began_ns, done_ns: now_ns() })
    }

    pub async fn await_documents(&mut self, documents: &[String]) -> Result<Answer, String> {
        let repo = self.repo()?.clone();
        let ids = documents.iter().map(|document| id(document)).collect::<Result<Vec<_>, _>>()?;
        let found = stream::iter(ids).map(|id| {
            let repo = repo.clone();
            async move {
                let handle = find(repo, id).await?;
                let mut changes = handle.changes();
                while fields(&handle) == 0 {
                    changes.next().await.ok_or("the document's actor ended")?;
                }
                Ok::<_, String>(handle)
            }
        });
        let handles: Vec<DocHandle> = found.buffered(AT_A_TIME).try_collect().await?;
        let at_ns = now_ns();
        self.handles.extend(documents.iter().cloned().zip(handles));
        Ok(Answer::Arrived { durable_ns: at_ns, readable_ns: at_ns })
    }
}

fn scalar(field: &serde_json::Value) -> ScalarValue {
    match field {
        serde_json::Value::Bool(value) => (*value).into(),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or(0.0).into(),
        },
        other => other.as_str().unwrap_or_default().into(),
    }
}

/// Reads all fields, as an app would; how many there are.
fn fields(handle: &DocHandle) -> usize {
    handle.with_document(|document| document.map_range(ROOT, ..).filter(|item| !item.key.is_empty()).count())
}

/// A document's number, or the length of its text.
pub fn progress(handle: &DocHandle) -> u64 {
    handle.with_document(|document| {
        if let Ok(Some((Value::Scalar(number), _))) = document.get(ROOT, NUMBER) {
            return number.as_i64().and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        }
        match document.get(ROOT, TEXT) {
            Ok(Some((_, object))) => document.length(object) as u64,
            _ => 0,
        }
    })
}
