//! A recorded editing session, typed again.

use std::io::Read;
use std::path::Path;

use farshore::{DocOp, Value};
use farshore_bench_device::clock::now_ns;
use farshore_bench_device::{Answer, TEXT};
use serde::Deserialize;

use super::write::splice;
use super::{State, id, text};

/// Edits under way while a trace is typed at full speed: what a program that does not wait for each keystroke leaves open.
const IN_FLIGHT: usize = 256;

/// The format of the traces in `editing-traces`: patches are position, characters deleted, text inserted.
#[derive(Deserialize)]
struct Recorded {
    #[serde(rename = "endContent")]
    end: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    patches: Vec<(u64, u64, String)>,
}

fn load(path: &Path) -> Result<Recorded, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut json = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut json).map_err(text)?;
    serde_json::from_str(&json).map_err(text)
}

impl Recorded {
    fn edits(&self) -> impl Iterator<Item = DocOp> + '_ {
        let patches = self.txns.iter().flat_map(|transaction| &transaction.patches);
        patches.map(|(at, delete, insert)| splice(*at, *delete, insert))
    }
}

impl State {
    pub(super) async fn trace(&self, path: &Path, leave: usize) -> Result<Answer, String> {
        let recorded = load(path)?;
        let edits: Vec<DocOp> = recorded.edits().collect();
        let began_ns = now_ns();
        let empty = Value::Map([(TEXT.to_owned(), Value::Text(String::new()))].into());
        let document = self.tasks()?.insert(empty).await.map_err(text)?.id();
        let now = edits.len() - leave.min(edits.len());
        self.paced(edits.into_iter().take(now), document, 0, IN_FLIGHT).await?;
        Ok(Answer::Documents { ids: vec![document.to_string()], began_ns, done_ns: now_ns() })
    }

    pub(super) async fn trace_rest(
        &self,
        document: &str,
        path: &Path,
        rest: usize,
        every_us: u64,
        in_flight: usize,
    ) -> Result<Answer, String> {
        let recorded = load(path)?;
        let edits: Vec<DocOp> = recorded.edits().collect();
        let before = edits.len() - rest.min(edits.len());
        self.paced(edits.into_iter().skip(before), id(document)?, every_us, in_flight).await
    }

    pub(super) async fn await_trace(&self, document: &str, path: &Path, leave: usize) -> Result<Answer, String> {
        let recorded = load(path)?;
        let edits = recorded.edits().count();
        let mut wanted = String::new();
        if leave == 0 {
            wanted = recorded.end;
        } else {
            let mut typed: Vec<char> = Vec::new();
            let patches = recorded.txns.iter().flat_map(|transaction| &transaction.patches);
            for (at, delete, insert) in patches.take(edits - leave.min(edits)) {
                typed.splice(*at as usize..(*at + *delete) as usize, insert.chars());
            }
            wanted.extend(typed);
        }
        let tasks = self.tasks()?;
        let document = tasks.document(id(document)?);
        let mut watcher = document.watch();
        loop {
            let value = document.value().await.map_err(text)?;
            if value.as_ref().and_then(|value| value.get(TEXT)) == Some(&Value::Text(wanted.clone())) {
                return Ok(Answer::At(now_ns()));
            }
            watcher.next().await.ok_or("the node ended")?;
        }
    }
}
