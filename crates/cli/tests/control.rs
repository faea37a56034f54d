//! The control socket over real sockets, with a fake device behind it.

use farshore_cli::control::{
    Client, DocumentName, Endpoint, Exchange, Executor, ImportedItem, Place, Reply, Request, Server, ServerOptions,
    Session,
};
use farshore_cli::exit::{Exit, Failure};
use farshore_cli::formats::{Row, Typed};
use farshore_cli::limits::{BATCH_ROWS_MAX, BATCHES_UNACKNOWLEDGED_MAX, REQUEST_LINE_LIMIT_BYTES};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// A device that answers by rote.
struct Fake {
    /// Told when a watch begins and when it is dropped.
    events: mpsc::UnboundedSender<&'static str>,
    rows: AtomicU64,
    batches_before_ack: AtomicU64,
}

struct TellOnDrop(mpsc::UnboundedSender<&'static str>);

impl Drop for TellOnDrop {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

impl Executor for Fake {
    fn execute(&self, request: Request, mut exchange: Exchange) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            match request {
                Request::SpaceList {} => {
                    exchange.replies.progress(1, Some(2), "spaces");
                    for name in ["a", "b"] {
                        exchange.replies.item(&json!({ "name": name })).await?;
                    }
                    Ok(())
                }
                Request::SpaceCreate { name } if name == "panic" => panic!("a fault of our own"),
                Request::SpaceCreate { name } => {
                    Err(Failure::new(Exit::Refused, format!("no space {name}")).remedy("ask"))
                }
                Request::Get { document: DocumentName::Key(size), .. } => {
                    exchange.replies.item(&Value::String("x".repeat(size.parse().unwrap()))).await
                }
                Request::Watch { .. } => {
                    let _told = TellOnDrop(self.events.clone());
                    exchange.replies.item(&json!("watching")).await?;
                    let _ = self.events.send("begun");
                    std::future::pending().await
                }
                Request::Import { rows: announced, .. } => {
                    let mut rows = 0;
                    while let Some(batch) = exchange.batches.next().await? {
                        let _ = self.batches_before_ack.fetch_max(batch.number, Ordering::SeqCst);
                        if batch.rows.iter().any(|row| row.key.as_deref() == Some("refused")) {
                            return Err(Failure::data("a row was refused"));
                        }
                        rows += batch.rows.len() as u64;
                        self.rows.fetch_add(batch.rows.len() as u64, Ordering::SeqCst);
                        exchange.replies.ack(&batch, rows).await?;
                    }
                    exchange.replies.item(&ImportedItem { rows: rows.min(announced) }).await
                }
                other => Err(Failure::usage(format!("not in this fake: {other:?}"))),
            }
        }
        .boxed()
    }
}

struct Rig {
    endpoint: Endpoint,
    fake: Arc<Fake>,
    events: mpsc::UnboundedReceiver<&'static str>,
    stop: Option<oneshot::Sender<()>>,
    running: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn start(options: ServerOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::for_store(&directory.path().join("a.fsh")).unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let fake = Arc::new(Fake { events: sender, rows: AtomicU64::new(0), batches_before_ack: AtomicU64::new(0) });
        let server = Server::new(endpoint.claim().unwrap(), Arc::clone(&fake) as Arc<dyn Executor>, "test", options);
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Rig { endpoint, fake, events, stop: Some(stop), running, _directory: directory }
    }

    async fn session(&self) -> Session {
        Session::Remote(Client::connect(&self.endpoint).await.unwrap().expect("a device runs"))
    }

    /// A socket without the client's manners; the greeting is read.
    async fn raw(&self) -> BufReader<UnixStream> {
        let mut stream = BufReader::new(UnixStream::connect(self.endpoint.socket()).await.unwrap());
        let mut greeting = String::new();
        stream.read_line(&mut greeting).await.unwrap();
        assert!(greeting.contains("\"control\":1"), "{greeting}");
        stream
    }

    async fn works(&self) {
        assert_eq!(names(&mut self.session().await).await, ["a", "b"]);
    }
}

async fn names(session: &mut Session) -> Vec<String> {
    let mut replies = session.request(Request::SpaceList {}).await.unwrap();
    let mut names = Vec::new();
    while let Some(reply) = replies.next().await.unwrap() {
        if let Reply::Item(item) = reply {
            names.push(item["name"].as_str().unwrap().to_owned());
        }
    }
    names
}

/// The last reply on a raw socket, which the server then closes.
async fn last_words(mut stream: BufReader<UnixStream>) -> String {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await; // a reset after the words is fine
    text.lines().last().unwrap_or_default().to_owned()
}

fn place() -> Place {
    Place { space: None, collection: "c".into() }
}

fn import(rows: u64) -> Request {
    Request::Import { place: place(), keyed: true, rows }
}

fn watch() -> Request {
    Request::Watch { place: place(), document: None, initial: false }
}

fn row(number: u64) -> Row {
    Row { line: number, key: Some(number.to_string()), fields: vec![("n".into(), Typed::Counter(number as i64))] }
}

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    let rig = Rig::start(ServerOptions::default());
    let mut session = rig.session().await;
    assert_eq!(names(&mut session).await, ["a", "b"]);
    let failure = session.ask::<Value>(Request::SpaceCreate { name: "x".into() }).await.unwrap_err();
    assert_eq!(failure, Failure::new(Exit::Refused, "no space x").remedy("ask"));
    assert_eq!(names(&mut session).await, ["a", "b"]);
}

#[tokio::test]
async fn a_request_gives_the_same_replies_with_and_without_a_running_device() {
    let rig = Rig::start(ServerOptions::default());
    for mut session in [rig.session().await, Session::Local(Arc::clone(&rig.fake) as Arc<dyn Executor>)] {
        let mut replies = session.request(Request::SpaceList {}).await.unwrap();
        let mut all = Vec::new();
        while let Some(reply) = replies.next().await.unwrap() {
            all.push(reply);
        }
        assert_eq!(
            all,
            [
                Reply::Progress { done: 1, total: Some(2), unit: "spaces".into() },
                Reply::Item(json!({"name": "a"})),
                Reply::Item(json!({"name": "b"})),
            ]
        );
        assert!(replies.next().await.unwrap().is_none());
        drop(replies);
        let mut import = session.import(import(3)).await.unwrap();
        for number in 1..=3 {
            import.row(row(number)).await.unwrap();
        }
        assert_eq!(import.finish().await.unwrap(), ImportedItem { rows: 3 });
        let failure = session.ask::<Value>(Request::SpaceCreate { name: "x".into() }).await.unwrap_err();
        assert_eq!(failure.code, Exit::Refused);
        let failure = session.ask::<Value>(Request::SpaceCreate { name: "panic".into() }).await.unwrap_err();
        assert!(failure.message.contains("fault of Farshore's own"), "{failure}");
    }
    rig.works().await;
}

#[tokio::test]
async fn an_import_streams_in_batches_and_counts_only_what_was_acknowledged() {
    let rig = Rig::start(ServerOptions::default());
    let rows = BATCH_ROWS_MAX as u64 * 10 + 7;
    let mut session = rig.session().await;
    let mut import = session.import(import(rows)).await.unwrap();
    let mut sent_batches = 0;
    for number in 1..=rows {
        import.row(row(number)).await.unwrap();
        sent_batches = (number - 1) / BATCH_ROWS_MAX as u64;
        let acknowledged = import.durable_rows() / BATCH_ROWS_MAX as u64;
        assert!(sent_batches - acknowledged <= BATCHES_UNACKNOWLEDGED_MAX as u64);
    }
    assert_eq!(sent_batches, 10);
    assert_eq!(import.finish().await.unwrap().rows, rows);
    assert_eq!(rig.fake.rows.load(Ordering::SeqCst), rows);
}

#[tokio::test]
async fn a_failed_import_says_why_and_leaves_the_connection_usable() {
    let rig = Rig::start(ServerOptions::default());
    for mut session in [rig.session().await, Session::Local(Arc::clone(&rig.fake) as Arc<dyn Executor>)] {
        let mut import = session.import(import(9)).await.unwrap();
        import.row(Row { key: Some("refused".into()), ..row(1) }).await.unwrap();
        let mut result = Ok(());
        for number in 2..(BATCH_ROWS_MAX as u64 * 20) {
            result = import.row(row(number)).await;
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result.unwrap_err(), Failure::data("a row was refused"));
        drop(import);
        assert_eq!(names(&mut session).await, ["a", "b"]);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request_and_no_other() {
    let mut rig = Rig::start(ServerOptions::default());
    let mut other = rig.session().await;
    let mut session = rig.session().await;
    let mut replies = session.request(watch()).await.unwrap();
    assert_eq!(replies.next().await.unwrap(), Some(Reply::Item(json!("watching"))));
    drop(replies);
    drop(session);
    assert_eq!((rig.events.recv().await, rig.events.recv().await), (Some("begun"), Some("dropped")));
    assert_eq!(names(&mut other).await, ["a", "b"]);
    // Likewise in this process.
    let mut local = Session::Local(Arc::clone(&rig.fake) as Arc<dyn Executor>);
    let mut replies = local.request(watch()).await.unwrap();
    replies.next().await.unwrap();
    drop(replies);
    assert_eq!((rig.events.recv().await, rig.events.recv().await), (Some("begun"), Some("dropped")));
}

#[tokio::test]
async fn an_import_whose_client_dies_is_not_taken_for_complete() {
    let rig = Rig::start(ServerOptions::default());
    let mut stream = rig.raw().await;
    let request = json!({"request": {"import": {"place": {"collection": "c"}, "keyed": true, "rows": 2}}});
    let rows = json!({"rows": {"number": 1, "rows": [{"line": 1, "key": "a", "fields": []}]}});
    stream.write_all(format!("{request}\n{rows}\n").as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_line(&mut reply).await.unwrap();
    assert_eq!(reply.trim(), r#"{"ack":{"batch":1,"rows":1}}"#);
    stream.write_all(b"{\"rows\":{\"number\":2,\"ro").await.unwrap();
    drop(stream);
    rig.works().await;
    assert_eq!(rig.fake.rows.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn hostile_lines_are_refused_and_disturb_nobody() {
    let rig = Rig::start(ServerOptions::default());
    let mut other = rig.session().await;
    let deep = "[".repeat(100_000);
    for (line, words) in [
        (&b"garbage\n"[..], "does not understand"),
        (b"\n", "does not understand"),
        (b"\xff\xfe\x00\n", "does not understand"),
        (b"{\"request\":{\"format-disk\":{}}}\n", "does not understand"),
        (b"{\"request\":{\"space-create\":{\"name\":5}}}\n", "does not understand"),
        (
            b"{\"request\":{\"get\":{\"place\":{\"collection\":\"c\"},\"document\":{\"key\":\"k\"},\"path\":[0]}}}\n",
            "begins with a field",
        ),
        (
            format!("{{\"rows\":{{\"number\":1,\"rows\":[{{\"line\":1,\"fields\":[[\"a\",{deep}\n").as_bytes(),
            "recursion",
        ),
    ] {
        let mut stream = rig.raw().await;
        stream.write_all(line).await.unwrap();
        let words_said = last_words(stream).await;
        assert!(words_said.starts_with("{\"error\":") && words_said.contains(words), "{words_said}");
        assert_eq!(names(&mut other).await, ["a", "b"]);
    }
}

#[tokio::test]
async fn an_over_long_line_is_cut_off_at_the_limit() {
    let rig = Rig::start(ServerOptions::default());
    let mut stream = rig.raw().await;
    let chunk = vec![b'x'; 1 << 20];
    let mut sent = 0;
    // The server stops reading at the limit, so an endless line ends in an error of the writer.
    while sent < 100 << 20 && stream.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    assert!(sent <= REQUEST_LINE_LIMIT_BYTES + (8 << 20), "{sent} bytes were taken");
    rig.works().await;
}

#[tokio::test]
async fn a_second_request_before_the_first_is_answered_is_refused() {
    let mut rig = Rig::start(ServerOptions::default());
    let mut stream = rig.raw().await;
    let watch = json!({"request": watch()});
    stream.write_all(format!("{watch}\n{{\"request\":{{\"space-list\":{{}}}}}}\n").as_bytes()).await.unwrap();
    assert!(last_words(stream).await.contains("one request at a time"));
    // Whether or not the watch had begun, nothing of it is left.
    rig.works().await;
    while let Ok(event) = rig.events.try_recv() {
        assert!(matches!(event, "begun" | "dropped"));
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_a_line_is_let_go() {
    let rig = Rig::start(ServerOptions { request_wait: Duration::from_millis(50), ..ServerOptions::default() });
    for text in ["", "{\"request\""] {
        let mut stream = rig.raw().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        let words = last_words(stream).await;
        assert!(words.contains("\"code\":\"timeout\""), "{words}");
    }
}

#[tokio::test]
async fn more_clients_than_allowed_are_told_so() {
    let rig = Rig::start(ServerOptions { clients_max: 2, ..ServerOptions::default() });
    let (mut first, _second) = (rig.session().await, rig.session().await);
    assert_eq!(names(&mut first).await.len(), 2); // so the server has counted both
    let mut third = rig.session().await;
    let failure = third.ask::<Value>(Request::SpaceList {}).await.unwrap_err();
    assert_eq!(failure.code, Exit::Busy, "{failure}");
    assert_eq!(names(&mut first).await, ["a", "b"]);
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody_else() {
    let rig = Rig::start(ServerOptions::default());
    let mut stream = rig.raw().await;
    let request = json!({"request": {"get": {"place": place(), "document": {"key": "20000000"}, "conflicts": false}}});
    stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    // It never reads the 20 MB.
    for _ in 0..3 {
        rig.works().await;
    }
}

#[tokio::test]
async fn a_reader_that_stops_does_not_keep_the_device_from_ending() {
    let mut rig = Rig::start(ServerOptions::default());
    let mut stream = rig.raw().await;
    let request = json!({"request": {"get": {"place": place(), "document": {"key": "20000000"}, "conflicts": false}}});
    stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    rig.works().await; // By now the answer is being written.
    rig.stop.take().unwrap().send(()).unwrap();
    // Without a limit this takes as long as one write to a client may: five minutes.
    tokio::time::timeout(Duration::from_secs(120), rig.running).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn a_result_larger_than_a_line_is_an_error_and_not_a_crash() {
    let rig = Rig::start(ServerOptions::default());
    let mut session = rig.session().await;
    let request = Request::Get {
        place: place(),
        document: DocumentName::Key((65 << 20).to_string()),
        path: None,
        conflicts: false,
    };
    let failure = session.ask::<Value>(request).await.unwrap_err();
    assert!(failure.message.contains("larger than"), "{failure}");
    rig.works().await;
}

#[tokio::test]
async fn a_device_that_stops_tells_its_clients_and_takes_its_socket_away() {
    let mut rig = Rig::start(ServerOptions::default());
    let (mut session, _idle) = (rig.session().await, rig.session().await);
    let mut replies = session.request(watch()).await.unwrap();
    replies.next().await.unwrap();
    rig.stop.take().unwrap().send(()).unwrap();
    let failure = replies.next().await.unwrap_err();
    assert_eq!(failure.code, Exit::Unavailable, "{failure}");
    rig.running.await.unwrap();
    assert!(!rig.endpoint.socket().exists());
    assert!(Client::connect(&rig.endpoint).await.unwrap().is_none());
}

#[tokio::test]
async fn a_socket_that_a_killed_device_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::for_store(&directory.path().join("a.fsh")).unwrap();
    drop(endpoint.claim().unwrap());
    // As kill -9 leaves it: the file is there, and nobody listens.
    drop(std::os::unix::net::UnixListener::bind(endpoint.socket()).unwrap());
    assert!(endpoint.socket().exists());
    assert!(Client::connect(&endpoint).await.unwrap().is_none());
    let _claim = endpoint.claim().unwrap();
}

#[tokio::test]
async fn something_else_on_the_socket_is_recognized() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::for_store(&directory.path().join("a.fsh")).unwrap();
    drop(endpoint.claim().unwrap());
    let listener = tokio::net::UnixListener::bind(endpoint.socket()).unwrap();
    for (greeting, words) in [
        (&b"220 mail ready\n"[..], "not a Farshore device"),
        (b"{\"control\":99,\"pid\":7,\"version\":\"9.0\"}\n", "process 7, 9.0"),
    ] {
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting).await.unwrap();
            stream
        };
        let (client, _stream) = tokio::join!(Client::connect(&endpoint), answer);
        let failure = client.err().expect("it is refused");
        assert!(failure.code == Exit::Unavailable && failure.message.contains(words), "{failure}");
    }
    assert!(Path::new(endpoint.socket()).exists());
}
