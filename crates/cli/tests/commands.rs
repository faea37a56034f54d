//! Commands from words to output, with a store in memory behind the same protocol that a device speaks.

use clap::Parser as _;
use farshore_cli::commands;
use farshore_cli::control::{
    ChangeItem, ConflictItem, DocumentItem, DocumentName, Endpoint, Exchange, Executor, ImportedItem, Request, Server,
    ServerOptions, Session, SpaceItem, StatusItem, TicketItem, WrittenItem,
};
use farshore_cli::exit::{Exit, Failure};
use farshore_cli::formats::{Fields, Typed};
use farshore_cli::print::{Printer, Voice};
use farshore_cli::settings::{Settings, Task};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Documents by key, in memory.
#[derive(Default)]
struct Memory {
    documents: Mutex<BTreeMap<String, Fields>>,
    fail_after_rows: Option<u64>,
}

impl Memory {
    fn take(&self, key: String, fields: Fields) {
        self.documents.lock().unwrap().insert(key, fields);
    }

    fn all(&self) -> Vec<(String, Fields)> {
        self.documents.lock().unwrap().clone().into_iter().collect()
    }
}

impl Executor for Memory {
    fn execute(&self, request: Request, mut exchange: Exchange) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let replies = exchange.replies.clone();
            match request {
                Request::Import { keyed, .. } => {
                    let mut rows = 0;
                    while let Some(batch) = exchange.batches.next().await? {
                        for row in &batch.rows {
                            rows += 1;
                            if self.fail_after_rows.is_some_and(|limit| rows > limit) {
                                return Err(Failure::new(Exit::General, "the disk is full").remedy("free some space"));
                            }
                            assert_eq!(keyed, row.key.is_some());
                            self.take(row.key.clone().unwrap_or_else(|| format!("{rows:08}")), row.fields.clone());
                        }
                        replies.ack(&batch, rows).await?;
                    }
                    replies.item(&ImportedItem { rows }).await
                }
                Request::Export { .. } => {
                    for (id, fields) in self.all() {
                        let value = Typed::Map(fields).to_tagged();
                        replies.item(&DocumentItem { id, value, kept_up: true, conflicts: None }).await?;
                    }
                    Ok(())
                }
                Request::List { .. } => {
                    for (id, fields) in self.all() {
                        let value = Typed::Map(fields).to_json();
                        replies.item(&DocumentItem { id, value, kept_up: true, conflicts: None }).await?;
                    }
                    Ok(())
                }
                Request::Put { document: Some(DocumentName::Key(key)), fields, .. } => {
                    self.take(key.clone(), fields);
                    replies.item(&WrittenItem { id: format!("id-of-{key}"), key: Some(key), changed: true }).await
                }
                Request::Get { document: DocumentName::Key(key), conflicts, .. } => {
                    let fields = self.documents.lock().unwrap().get(&key).cloned();
                    let fields = fields.ok_or_else(|| Failure::new(Exit::NotFound, format!("no document {key}")))?;
                    let conflict = ConflictItem { path: "a".into(), shown: json!(1), others: vec![json!("\u{1b}[2J")] };
                    let conflicts = conflicts.then(|| vec![conflict]);
                    replies
                        .item(&DocumentItem { id: key, value: Typed::Map(fields).to_json(), kept_up: true, conflicts })
                        .await
                }
                Request::Watch { .. } => {
                    replies.item(&ChangeItem { id: Some("d1".into()), value: Some(json!({"a": 1})) }).await?;
                    replies.item(&ChangeItem { id: Some("d2".into()), value: None }).await?;
                    replies.item(&ChangeItem { id: None, value: None }).await
                }
                Request::SpaceList {} => Ok(()),
                Request::Join { .. } => {
                    let space = SpaceItem {
                        id: "S1".into(),
                        name: None,
                        role: None,
                        members: 2,
                        collections: 0,
                        paused: None,
                        subscriptions: vec![],
                    };
                    replies.item(&space).await
                }
                Request::Invite { role, .. } => {
                    let (ticket, space) = ("farshore1abc".into(), "household".into());
                    replies.item(&TicketItem { ticket, space, role, expires_ms: 1_700_000_000_000 }).await
                }
                Request::Status { .. } => {
                    replies
                        .item(&StatusItem {
                            device: "D1".into(),
                            name: "ada".into(),
                            pid: Some(7),
                            store: "a.fsh".into(),
                            network: "up".into(),
                            listening: vec!["/ip4/127.0.0.1/tcp/1".into()],
                            problems: vec![],
                            peers: 1,
                            spaces: vec![],
                            progress: None,
                            latency: None,
                        })
                        .await
                }
                other => Err(Failure::usage(format!("not in this fake: {other:?}"))),
            }
        }
        .boxed()
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a command wrote, without colours.
struct Said {
    out: String,
    err: String,
    result: Result<(), Failure>,
}

async fn say(words: &[&str], session: Session) -> Said {
    let line = std::iter::once("farshore").chain(words.iter().copied());
    let settings = Settings::new(farshore_cli::args::CommandLine::parse_from(line), &mut std::io::empty()).unwrap();
    let (out, err) = (Shared::default(), Shared::default());
    let voice = Voice { json: settings.voice.json, quiet: settings.voice.quiet };
    let mut printer = Printer::new(Box::new(out.clone()), Box::new(err.clone()), voice);
    let mut session = session;
    let result = match settings.task {
        Task::Ask(request) => commands::ask(request, &mut session, &mut printer).await,
        Task::List { request, columns } => commands::list(request, &columns, &mut session, &mut printer).await,
        Task::Invite { request, qr } => commands::invite(request, qr, &mut session, &mut printer).await,
        Task::Import(import) => commands::import(&import, async { Ok(session) }.boxed(), &mut printer).await,
        Task::Export(export) => commands::export(&export, &mut session, &mut printer).await,
        other => panic!("{other:?}"),
    };
    let text = |shared: &Shared| {
        let bytes = shared.0.lock().unwrap().clone();
        anstream::adapter::strip_str(&String::from_utf8(bytes).unwrap()).to_string()
    };
    Said { out: text(&out), err: text(&err), result }
}

fn local(memory: &Arc<Memory>) -> Session {
    Session::Local(Arc::clone(memory) as Arc<dyn Executor>)
}

async fn told(words: &[&str]) -> Said {
    say(words, local(&Arc::default())).await
}

#[tokio::test]
async fn the_airports_go_in_and_come_out_unchanged_with_and_without_a_running_device() {
    let directory = tempfile::tempdir().unwrap();
    let airports = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/airports.csv.gz");
    let (first, second) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
    let endpoint = Endpoint::for_store(&directory.path().join("a.fsh")).unwrap();
    let server = Server::new(
        endpoint.claim().unwrap(),
        Arc::clone(&first) as Arc<dyn Executor>,
        "test",
        ServerOptions::default(),
    );
    let (_stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    let remote = async || {
        Session::Remote(farshore_cli::control::Client::connect(&endpoint).await.unwrap().expect("a device runs"))
    };
    let said = say(&["import", "airports", airports.to_str().unwrap(), "--key", "icao"], remote().await).await;
    said.result.unwrap();
    assert!(said.err.starts_with("imported 28,298 documents in"), "{}", said.err);
    assert_eq!(first.all().len(), 28_298);
    for name in ["a.csv", "a.ndjson", "a.json"] {
        let file = directory.path().join(name);
        let again = directory.path().join(format!("again-{name}"));
        say(&["export", "airports", file.to_str().unwrap()], remote().await).await.result.unwrap();
        second.documents.lock().unwrap().clear();
        say(&["import", "airports", file.to_str().unwrap(), "--key", "icao"], local(&second)).await.result.unwrap();
        say(&["export", "airports", again.to_str().unwrap()], local(&second)).await.result.unwrap();
        let (file, again) = (std::fs::read(file).unwrap(), std::fs::read(again).unwrap());
        assert!(!file.is_empty() && file == again, "{name} differs after import and export");
    }
}

#[tokio::test]
async fn a_malformed_row_imports_nothing_unless_it_is_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.csv");
    std::fs::write(&file, "k,v\na,1\nb\nc,3\n").unwrap();
    let file = file.to_str().unwrap();
    let memory = Arc::new(Memory::default());
    let said = say(&["import", "c", file, "--key", "k"], local(&memory)).await;
    let failure = said.result.unwrap_err();
    assert!(failure.code == Exit::Data && failure.message.contains("line 3"), "{failure}");
    assert!(memory.all().is_empty());
    let said = say(&["import", "c", file, "--key", "k", "--dry-run", "--skip-bad"], local(&memory)).await;
    said.result.unwrap();
    assert!(said.out.contains("2 rows can be imported, 1 cannot") && said.out.contains("--types k:string,v:int"));
    assert!(memory.all().is_empty());
    let said = say(&["import", "c", file, "--key", "k", "--skip-bad"], local(&memory)).await;
    said.result.unwrap();
    assert!(said.err.contains("warning: skipped line 3: has 1 cells"), "{}", said.err);
    assert_eq!(memory.all().len(), 2);
    let said = say(&["import", "c", file, "--key", "k", "--skip-bad", "--json"], local(&memory)).await;
    assert_eq!(
        said.out,
        "{\"item\":{\"skipped\":{\"line\":3,\"message\":\"has 1 cells where the header has 2\"}}}\n\
         {\"item\":{\"imported\":2,\"skipped\":1}}\n{\"done\":{}}\n"
    );
    assert_eq!(said.err, "");
}

#[tokio::test]
async fn an_import_that_stops_says_how_much_is_stored_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.ndjson");
    let text: String = (0..5000).map(|n| format!("{{\"k\":{n}}}\n")).collect();
    std::fs::write(&file, text).unwrap();
    let memory = Arc::new(Memory { fail_after_rows: Some(3000), ..Memory::default() });
    let said = say(&["import", "c", file.to_str().unwrap(), "--key", "k"], local(&memory)).await;
    let failure = said.result.unwrap_err();
    assert!(failure.message.contains("of 5,000 rows are known to be stored: the disk is full"), "{failure}");
    assert_eq!(failure.remedy.as_deref(), Some("free some space"));
}

#[tokio::test]
async fn results_are_shown_for_people_and_as_envelopes() {
    let memory = Arc::new(Memory::default());
    let said = say(&["put", "todos", "--key", "milk", "title=Milk", "n:=5"], local(&memory)).await;
    assert_eq!(said.out, "id-of-milk\n");
    let said = say(&["get", "todos", "milk", "--json"], local(&memory)).await;
    assert_eq!(said.out, "{\"item\":{\"id\":\"milk\",\"value\":{\"title\":\"Milk\",\"n\":5}}}\n{\"done\":{}}\n");
    let said = say(&["get", "todos", "milk", "--conflicts"], local(&memory)).await;
    assert!(said.out.starts_with("{\n  \"title\": \"Milk\",\n  \"n\": 5\n}\nconflict at a: shown is 1, also"));
    assert!(!said.out.contains('\u{1b}'));
    let said = say(&["list", "todos"], local(&memory)).await;
    assert_eq!((said.out.as_str(), said.err.as_str()), ("ID    title  n\nmilk  Milk   5\n", "1 document\n"));
    let said = say(&["list", "todos", "--columns", "n"], local(&memory)).await;
    assert_eq!(said.out, "ID    n\nmilk  5\n");
    let failure = say(&["get", "todos", "bread"], local(&memory)).await.result.unwrap_err();
    assert_eq!(failure.code, Exit::NotFound);
    assert_eq!(told(&["watch", "c"]).await.out, "~ d1 {\"a\":1}\n- d2\n* much has changed; read what you need again\n");
    assert_eq!(told(&["join", "x"]).await.out, "(its name has not arrived yet)  S1\n");
    let said = told(&["space", "list"]).await;
    assert!(said.out.is_empty() && said.err.contains("farshore space create"));
    assert_eq!(told(&["--quiet", "space", "list"]).await.err, "");
    let status = told(&["status"]).await.out;
    assert!(status.starts_with("ada  D1  (process 7)\nstore    a.fsh\nnetwork  up, 1 peer\n"), "{status}");
}

#[tokio::test]
async fn a_ticket_can_be_piped_and_scanned() {
    let said = told(&["invite"]).await;
    assert_eq!(said.out, "farshore1abc\n");
    assert!(said.err.contains("until 2023-11-14 22:13:20 UTC") && said.err.contains("as writer"), "{}", said.err);
    let said = told(&["invite", "--qr"]).await;
    assert!(said.out.lines().count() > 10, "{}", said.out);
    let said = told(&["invite", "--json"]).await;
    assert!(said.out.starts_with("{\"item\":{\"ticket\":\"farshore1abc\""));
}
