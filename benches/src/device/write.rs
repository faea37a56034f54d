//! Writing documents, at any pace.

use std::collections::BTreeMap;
use std::time::Duration;

use farshore::{DocEdit, DocOp, DocumentId, Edit, Step, Value};
use farshore_bench_device::clock::now_ns;
use farshore_bench_device::{Answer, NUMBER, TEXT, task};
use futures::{StreamExt, TryStreamExt, stream};

use super::{State, id, text};

/// Edits of one request while a text is made ready, and requests under way.
const TEXT_EDITS: usize = 2048;
const TEXT_REQUESTS: usize = 4;

impl State {
    pub(super) async fn fill(&self, from: u32, count: u32) -> Result<Answer, String> {
        let documents: Vec<Value> = (from..from + count).map(content).collect::<Result<_, _>>()?;
        let began_ns = now_ns();
        let ids = self.tasks()?.insert_many(documents).await.map_err(text)?;
        let done_ns = now_ns();
        Ok(Answer::Documents { ids: ids.iter().map(DocumentId::to_string).collect(), began_ns, done_ns })
    }

    pub(super) async fn text(&self, changes: u32) -> Result<Answer, String> {
        let began_ns = now_ns();
        let empty = Value::Map(BTreeMap::from([(TEXT.to_owned(), Value::Text(String::new()))]));
        let document = self.tasks()?.insert(empty).await.map_err(text)?.id();
        let edits: Vec<DocEdit> =
            (0..u64::from(changes)).map(|at| DocEdit { document, keyed: false, op: type_one(at) }).collect();
        self.apply_in_order(&edits).await?;
        Ok(Answer::Documents { ids: vec![document.to_string()], began_ns, done_ns: now_ns() })
    }

    pub(super) async fn apply_in_order(&self, edits: &[DocEdit]) -> Result<(), String> {
        let tasks = self.tasks()?;
        let requests = stream::iter(edits.chunks(TEXT_EDITS)).map(|chunk| tasks.apply(chunk.to_vec()));
        let mut answers = requests.buffered(TEXT_REQUESTS);
        while let Some(results) = answers.try_next().await.map_err(text)? {
            results.into_iter().collect::<Result<Vec<_>, _>>().map_err(text)?;
        }
        Ok(())
    }

    pub(super) async fn set_numbers(&self, documents: &[String], number: u64) -> Result<Answer, String> {
        for document in documents {
            self.edit(id(document)?, set(number)).await?;
        }
        Ok(Answer::At(now_ns()))
    }

    pub(super) async fn count(
        &self,
        document: &str,
        from: u64,
        count: u64,
        every_us: u64,
        in_flight: usize,
    ) -> Result<Answer, String> {
        let document = id(document)?;
        let content = self.tasks()?.value(document).await.map_err(text)?.ok_or("the document is not there")?;
        let numbered = content.get(NUMBER).is_some();
        let step = move |at: u64| if numbered { set(at + 1) } else { type_one(at) };
        self.paced((from..from + count).map(step), document, every_us, in_flight).await
    }

    /// Makes edits of one document, one each `every_us` or as fast as it goes.
    pub(super) async fn paced(
        &self,
        edits: impl Iterator<Item = DocOp>,
        document: DocumentId,
        every_us: u64,
        in_flight: usize,
    ) -> Result<Answer, String> {
        let start = tokio::time::Instant::now();
        let begin = |(number, op)| async move {
            if every_us > 0 {
                tokio::time::sleep_until(start + Duration::from_micros(every_us * number)).await;
            }
            (now_ns(), op)
        };
        // One after the other begins in its time. Calls that are under way together have no order among them; these do, because
        // each asks at its first poll: the node has room for all of them, and tokio's budget, which would have some of them wait
        // and wakes the last first, is lifted.
        let begun = stream::iter((0u64..).zip(edits)).then(begin);
        let edits = begun.map(|(began_ns, op)| {
            tokio::task::coop::unconstrained(async move { self.edit(document, op).await.map(|()| began_ns) })
        });
        let mut times: Vec<u64> = edits.buffered(in_flight.max(1)).try_collect().await?;
        times.push(now_ns());
        Ok(Answer::Times(times))
    }

    pub(super) async fn count_many(&self, documents: &[String], each: u64) -> Result<Answer, String> {
        let documents = documents.iter().map(|document| id(document)).collect::<Result<Vec<_>, _>>()?;
        let writers = documents.into_iter().map(|document| async move {
            for number in 1..=each {
                self.edit(document, set(number)).await?;
            }
            Ok::<(), String>(())
        });
        futures::future::try_join_all(writers).await?;
        Ok(Answer::At(now_ns()))
    }

    async fn edit(&self, document: DocumentId, op: DocOp) -> Result<(), String> {
        let edit = DocEdit { document, keyed: false, op };
        let results = self.tasks()?.apply(vec![edit]).await.map_err(text)?;
        results.into_iter().collect::<Result<Vec<_>, _>>().map(|_| ()).map_err(text)
    }
}

/// A task document as Farshore's own value.
fn content(number: u32) -> Result<Value, String> {
    farshore::to_value(&task(number)).map_err(text)
}

fn set(number: u64) -> DocOp {
    DocOp::Edit(vec![Edit::put(vec![Step::Key(NUMBER.to_owned())], Value::Int(number as i64))])
}

fn type_one(at: u64) -> DocOp {
    let letter = char::from(b'a' + (at % 26) as u8).to_string();
    splice(at, 0, &letter)
}

/// An edit of a text document.
pub(super) fn splice(at: u64, delete: u64, insert: &str) -> DocOp {
    let path = vec![Step::Key(TEXT.to_owned())];
    DocOp::Edit(vec![Edit::Splice { path, at, delete, insert: insert.to_owned() }])
}
