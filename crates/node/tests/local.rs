//! One device without a network: what it promises about its own documents.

use std::path::Path;
use std::time::Duration;

use farshore::{Changes, Counter, Create, DocumentId, Edit, Error, EventKind, Node, OpenError, Text, Value, field};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Todo {
    title: String,
    notes: Text,
    votes: Counter,
    done: bool,
    tags: Vec<String>,
}

fn todo(title: &str) -> Todo {
    Todo { title: title.into(), notes: "".into(), votes: Counter(0), done: false, tags: Vec::new() }
}

async fn open(path: &Path) -> Node {
    Node::builder(path).offline(true).open().await.expect("a node")
}

/// Opens a store that a dropped node is still closing.
async fn open_soon(path: &Path) -> Node {
    for _ in 0..600 {
        match Node::builder(path).offline(true).open().await {
            Ok(node) => return node,
            Err(error) if error.is_retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the store was never closed")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_and_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("todos.fsh");
    let node = open(&path).await;
    let space = node.create_space("household").await.unwrap();
    let todos = space.collection::<Todo>("todos").await.unwrap();
    let milk = todos.insert(todo("Milk")).await.unwrap();
    assert!(milk.change(|t| t.done = true).await.unwrap());
    assert!(milk.change(|t| t.notes.push_str("two litres")).await.unwrap());
    assert!(milk.change(|t| t.votes.add(3)).await.unwrap());
    assert!(!milk.change(|_| {}).await.unwrap(), "a change that changes nothing");
    let bread = todos.insert(todo("Bread")).await.unwrap();
    bread.delete().await.unwrap();
    assert_eq!(bread.get().await.unwrap(), None);
    assert!(bread.delete().await.is_err());
    node.shutdown().await;
    assert!(matches!(todos.insert(todo("late")).await, Err(Error::Closed)));

    let node = open(&path).await;
    let todos = node.space("household").await.unwrap().collection::<Todo>("todos").await.unwrap();
    let expected = Todo { done: true, notes: "two litres".into(), votes: Counter(3), ..todo("Milk") };
    assert_eq!(todos.get(milk.id()).await.unwrap(), Some(expected));
    assert_eq!(todos.count().await.unwrap(), 1);
    let value = todos.value(milk.id()).await.unwrap().unwrap();
    assert_eq!(value.get("notes"), Some(&Value::Text("two litres".into())));
    assert_eq!(value.get("votes"), Some(&Value::Counter(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_node_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let node = open(&path).await;
    let space = node.create_space("s").await.unwrap();
    let todos = space.collection::<Todo>("todos").await.unwrap();
    let ids = todos.insert_many((0..600).map(|n| todo(&format!("t{n}")))).await.unwrap();
    drop((todos, space, node));
    let node = open_soon(&path).await;
    let todos = node.space("s").await.unwrap().collection::<Todo>("todos").await.unwrap();
    assert_eq!(todos.count().await.unwrap(), 600);
    assert_eq!(todos.get(ids[599]).await.unwrap().unwrap().title, "t599");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_name_documents_and_upserts_leave_other_fields_alone() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir.path().join("store")).await;
    let airports = node.create_space("s").await.unwrap().collection::<Value>("airports").await.unwrap();
    let oslo = airports.upsert("OSL", Value::from([("name", "Oslo".into()), ("runways", 2i64.into())])).await.unwrap();
    airports.upsert("OSL", Value::from([("name", "Oslo lufthavn".into())])).await.unwrap();
    let there = airports.get_by_key("OSL").await.unwrap().unwrap();
    assert_eq!(there, Value::from([("name", "Oslo lufthavn".into()), ("runways", 2i64.into())]));
    assert_eq!(airports.id_of("OSL").await.unwrap(), oslo.id());
    let ids =
        airports.upsert_many((0..300).map(|n| (format!("A{n}"), Value::from([("n", Value::Int(n))])))).await.unwrap();
    assert_eq!(ids.len(), 300);
    assert_eq!(airports.id_of("A299").await.unwrap(), ids[299]);
    assert_eq!(airports.count().await.unwrap(), 301);
    oslo.delete().await.unwrap();
    assert_eq!(airports.get_by_key("OSL").await.unwrap(), None);
    airports.upsert("OSL", Value::from([("again", true.into())])).await.unwrap();
    assert_eq!(airports.get_by_key("OSL").await.unwrap(), Some(Value::from([("again", true.into())])));
    assert!(airports.id_of("").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_hear_of_what_they_watch_and_end_with_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir.path().join("store")).await;
    let space = node.create_space("s").await.unwrap();
    let (todos, others) =
        (space.collection::<Todo>("todos").await.unwrap(), space.collection::<Todo>("others").await.unwrap());
    let mut events = node.events().unwrap();
    let mut watcher = todos.watch();
    let mut open_todos = todos.query().filter(field("done").eq(false)).order_by("title").watch();
    assert!(open_todos.next().await.unwrap().unwrap().is_empty());
    others.insert(todo("elsewhere")).await.unwrap();
    let milk = todos.insert(todo("Milk")).await.unwrap();
    let Some(Changes::Documents(changed)) = watcher.next().await else { panic!("no changes") };
    assert_eq!(changed.into_iter().collect::<Vec<DocumentId>>(), [milk.id()]);
    let shown = open_todos.next().await.unwrap().unwrap();
    assert_eq!(shown.iter().map(|(_, t)| t.title.as_str()).collect::<Vec<_>>(), ["Milk"]);
    let mut of_milk = milk.watch();
    milk.change(|t| t.done = true).await.unwrap();
    assert!(of_milk.next().await.unwrap().concern(milk.id()));
    assert!(open_todos.next().await.unwrap().unwrap().is_empty());
    let changed = async {
        // What the collections' creation said may come first.
        while !matches!(events.next().await.unwrap().kind, EventKind::LocalWrite { .. }) {}
    };
    tokio::time::timeout(Duration::from_secs(60), changed).await.expect("an event for the insertion");
    node.shutdown().await;
    while watcher.next().await.is_some() {}
    while events.next().await.is_some() {}
    assert!(matches!(node.status().await, Err(Error::Closed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn change_touches_only_what_the_type_knows() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir.path().join("store")).await;
    let values = node.create_space("s").await.unwrap().collection::<Value>("todos").await.unwrap();
    let stored = Value::from([
        ("title", Value::Text("Milk".into())),
        ("votes", Value::Counter(1)),
        ("newer", Value::from([("version", Value::Int(2))])),
    ]);
    let document = values.insert(stored).await.unwrap();

    #[derive(Serialize, Deserialize)]
    struct Older {
        title: String,
        votes: i64,
    }
    let older = values.typed::<Older>().document(document.id());
    older
        .change(|todo| {
            todo.title.push('!');
            todo.votes += 1;
        })
        .await
        .unwrap();
    let expected = Value::from([
        ("title", Value::Text("Milk!".into())),
        ("votes", Value::Counter(2)),
        ("newer", Value::from([("version", Value::Int(2))])),
    ]);
    assert_eq!(document.value().await.unwrap(), Some(expected));
    assert!(document.conflicts().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_of_one_program_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir.path().join("store")).await;
    let counts = node.create_space("s").await.unwrap().collection::<Value>("counts").await.unwrap();
    #[derive(Serialize, Deserialize)]
    struct Count {
        n: i64,
    }
    let count = counts.typed::<Count>().insert(Count { n: 0 }).await.unwrap();
    let all = (0..20).map(|_| {
        let count = count.clone();
        tokio::spawn(async move { count.change(|c| c.n += 1).await.unwrap() })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    assert_eq!(count.get().await.unwrap().unwrap().n, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_at_heads_is_refused_once_the_document_has_moved_on() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir.path().join("store")).await;
    let texts = node.create_space("s").await.unwrap().collection::<Value>("texts").await.unwrap();
    let text = texts.insert(Value::from([("body", Value::Text("abc".into()))])).await.unwrap();
    let seen = text.snapshot().await.unwrap().unwrap();
    assert_eq!(seen.value.get("body"), Some(&Value::Text("abc".into())));
    let splice =
        |at, insert: &str| vec![Edit::Splice { path: vec!["body".into()], at, delete: 0, insert: insert.into() }];
    assert!(text.edit_at(seen.heads.clone(), splice(3, "d")).await.unwrap());
    let late = text.edit_at(seen.heads, splice(0, "x")).await.unwrap_err();
    assert!(late.is_retryable(), "{late}");
    assert_eq!(text.value().await.unwrap(), Some(Value::from([("body", Value::Text("abcd".into()))])));
    text.delete().await.unwrap();
    assert_eq!(text.snapshot().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_every_entry_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir.path().join("store")).await;
    let space = node.create_space("s").await.unwrap();
    let values = space.collection::<Value>("c").await.unwrap();
    for n in 0..5i64 {
        values.insert(Value::from([("n", n.into())])).await.unwrap();
    }
    let log = values.log(3).await.unwrap();
    assert_eq!(log.iter().map(|entry| entry.position.seq).collect::<Vec<_>>(), [5, 4, 3]);
    let device = node.device().await.unwrap();
    assert!(log.iter().all(|entry| entry.applied && entry.journal.device == device && entry.bytes > 0));
    assert!(space.rejected().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir.path().join("store")).await;
    let space = node.create_space("s").await.unwrap();
    let values = space.collection::<Value>("c").await.unwrap();
    let document = values.insert(Value::from([("a", 1i64.into())])).await.unwrap();
    let edits = vec![Edit::put(vec!["b".into()], 2i64), Edit::put(vec!["x".into(), "y".into()], 3i64)];
    assert!(matches!(document.edit(edits).await, Err(Error::Write(_))));
    assert_eq!(document.value().await.unwrap(), Some(Value::from([("a", 1i64.into())])));
    assert!(matches!(values.insert(Value::Int(1)).await, Err(Error::Type { .. })));
    assert!(matches!(values.typed::<i64>().insert(1i64).await, Err(Error::Type { .. })));
    let absent = values.document(DocumentId([9; 16]));
    assert!(matches!(absent.edit(vec![Edit::put(vec!["a".into()], 1i64)]).await, Err(Error::Write(_))));
    assert!(matches!(node.space("nowhere").await, Err(Error::NoSpace(_))));
    assert!(matches!(space.existing_collection("nowhere").await, Err(Error::Refused(_))));
    node.create_space("s").await.unwrap();
    assert!(matches!(node.space("s").await, Err(Error::AmbiguousSpace { count: 2, .. })));
    let error = node.join("farshore-not-a-ticket", Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("ticket"), "{error}");
    assert!(matches!(space.invite(farshore::Role::Writer).open().await, Err(Error::NoNetwork(_))));
    assert!(matches!(node.dial("/ip4/127.0.0.1/tcp/1").await, Err(Error::NoNetwork(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_streams_cover_every_document_once() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir.path().join("store")).await;
    let values = node.create_space("s").await.unwrap().collection::<Value>("c").await.unwrap();
    let mut ids = values.insert_many((0..1500).map(|n| Value::from([("n", Value::Int(n))]))).await.unwrap();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = values.list(after, 400).await.unwrap();
        paged.extend(page.iter().map(|(id, _)| *id));
        match page.last() {
            Some((id, _)) => after = Some(*id),
            None => break,
        }
    }
    ids.sort();
    assert_eq!(paged, ids);
    let top = values.query().filter(field("n").ge(10i64)).order_by_descending("n").limit(3).run().await.unwrap();
    let top: Vec<Value> = top.into_iter().map(|(_, value)| value).collect();
    assert_eq!(top, [1499, 1498, 1497].map(|n| Value::from([("n", Value::Int(n))])));
    assert_eq!(values.query().filter(field("n").lt(10i64)).count().await.unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_opened_once_created_once_and_never_by_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let missing = Node::builder(&path).create(Create::Never).open().await.unwrap_err();
    assert!(matches!(&missing, Error::Open(error) if matches!(**error, OpenError::Missing(_))), "{missing}");
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was created, not even a key");
    let node = open(&path).await;
    let second = Node::builder(&path).offline(true).open().await.unwrap_err();
    assert!(matches!(&second, Error::Open(error) if matches!(**error, OpenError::InUse { .. })), "{second}");
    assert!(second.is_retryable() && second.to_string().contains("in use"), "{second}");
    let over = Node::builder(&path).create(Create::New).open().await.unwrap_err();
    assert!(matches!(&over, Error::Open(error) if matches!(**error, OpenError::Exists(_))), "{over}");
    node.shutdown().await;
    open(&path).await;
    std::fs::remove_file(dir.path().join("store.key")).unwrap();
    let keyless = Node::builder(&path).offline(true).open().await.unwrap_err();
    assert!(matches!(keyless, Error::Key(_)), "{keyless}");
}

#[test]
fn opening_outside_a_runtime_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let opened = futures::executor::block_on(Node::open(dir.path().join("store")));
    assert!(matches!(opened, Err(Error::NoRuntime)));
}
