//! What a node says of the time that one was away: what came, what merged, and what became of own writes.

mod together;

use std::path::Path;

use farshore::{Collection, Document, Edit, Node, Outcome, OwnLoss, Role, SinceReport, Value};
use together::{converged, notes, open, pair, put, within};

fn set(field: &str, to: &str) -> Vec<Edit> {
    vec![Edit::Put { path: vec![field.into()], value: to.into(), create_parents: false }]
}

struct Met {
    ada: Node,
    ben: Node,
    hers: Collection<Value>,
    his: Collection<Value>,
}

impl Met {
    /// Ada and Ben hold `count` documents `{title: "old N", text: "", other: "x"}`.
    async fn new(dir: &Path, count: usize) -> (Met, Vec<Document<Value>>) {
        let (ada, ben) = (open(dir, "ada").await, open(dir, "ben").await);
        let (hers, his) = pair(&ada, &ben, Role::Writer).await;
        let (hers, his) = (notes(&hers).await, notes(&his).await);
        let mut documents = Vec::new();
        for number in 0..count {
            let title = format!("old {number}");
            let content = [("title", title.as_str().into()), ("other", "x".into()), ("text", Value::Text(".".into()))];
            documents.push(hers.insert(Value::from(content)).await.unwrap());
        }
        converged(&hers, &his, count).await;
        (Met { ada, ben, hers, his }, documents)
    }

    async fn part(&self) {
        let ben_id = self.ben.device().await.unwrap();
        let mut watch = self.ada.status_watch().unwrap();
        within("suspending", self.ben.suspend()).await.unwrap();
        let gone = watch.until(|status| status.engine.links.iter().all(|link| link.device != Some(ben_id)));
        within("noticing", gone).await.unwrap();
    }

    async fn meet(&self, count: usize) {
        let mut progress = self.ben.progress().unwrap();
        self.ben.resume().await.unwrap();
        within("meeting", progress.until(|progress| progress.peers[0].linked)).await.unwrap();
        converged(&self.hers, &self.his, count).await;
    }

    fn of_ben(&self, document: &Document<Value>) -> Document<Value> {
        self.his.document(document.id())
    }
}

fn losses(listed: &farshore::Listed<OwnLoss>) -> Vec<(String, String, Option<farshore::DeviceId>)> {
    assert_eq!(listed.total, listed.items.len() as u64);
    let text = |loss: &OwnLoss| {
        let path: Vec<String> = loss.path.iter().map(|step| format!("{step:?}")).collect();
        (path.join("."), format!("{:?} -> {:?}", loss.mine, loss.outcome), loss.by)
    };
    listed.items.iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_merged_and_became_of_own_writes_is_told_with_paths_values_and_names() {
    let dir = tempfile::tempdir().unwrap();
    let (met, documents) = Met::new(dir.path(), 6).await;
    let [conflicting, apart, taken_turns, deleted, untouched, typed] = documents.as_slice() else { panic!() };
    let ada_id = met.ada.device().await.unwrap();
    // Seen by her before she replaced it: overwritten, and no conflict.
    met.part().await;
    met.meet(6).await;
    met.part().await;

    conflicting.edit(set("title", "hers")).await.unwrap();
    met.of_ben(conflicting).edit(set("title", "his")).await.unwrap();
    apart.edit(set("title", "hers")).await.unwrap();
    met.of_ben(apart).edit(set("other", "his")).await.unwrap();
    met.hers.delete(deleted.id()).await.unwrap();
    met.of_ben(deleted).edit(set("title", "into the void")).await.unwrap();
    untouched.edit(set("title", "hers")).await.unwrap();
    met.of_ben(taken_turns).edit(set("title", "his")).await.unwrap();
    let splice =
        |at, delete, insert: &str| vec![Edit::Splice { path: vec!["text".into()], at, delete, insert: insert.into() }];
    met.of_ben(typed).edit(splice(1, 0, "Ben")).await.unwrap();
    typed.edit(splice(0, 0, "Ada")).await.unwrap();
    let new = met.hers.insert(put("title", "new")).await.unwrap();
    met.his.insert(put("title", "his own new")).await.unwrap();
    met.meet(7).await;
    taken_turns.edit(set("title", "seen and replaced")).await.unwrap();
    typed.edit(splice(4, 2, "")).await.unwrap();
    converged(&met.hers, &met.his, 7).await;

    let report = met.ben.since_last_online().await.unwrap();
    assert!(!report.incomplete && report.unread == 0 && report.since_ms > 0, "{report:?}");
    assert_eq!(report.came.len(), 1);
    let came = &report.came[0];
    assert_eq!((came.device, came.entries, came.documents), (ada_id, 8, 7), "{came:?}");
    assert!(came.bytes > 8 * 300 && came.claimed_ms.0 <= came.claimed_ms.1);

    assert_eq!(report.documents.total, 7);
    let of = |document: &Document<Value>| report.documents.items.iter().find(|found| found.document == document.id());
    assert!(of(deleted).is_some_and(|found| !found.exists && found.by[0].0 == ada_id));
    assert!(of(conflicting).is_some_and(|found| found.exists && found.conflicts));
    assert!(of(&new).is_some_and(|found| found.exists && !found.conflicts));

    let mut merged: Vec<_> = report.merged.items.iter().map(|merged| (merged.document, merged.with.clone())).collect();
    let mut expected: Vec<_> = [conflicting, apart, typed].map(|document| (document.id(), vec![ada_id])).into();
    merged.sort();
    expected.sort();
    assert_eq!(merged, expected);

    let conflicts = &report.conflicts.items;
    assert_eq!((report.conflicts.total, conflicts.len()), (1, 1), "{conflicts:?}");
    assert_eq!((conflicts[0].document, &conflicts[0].mine), (conflicting.id(), &Some("his".into())));
    let Outcome::Conflict { now, shown, others } = &conflicts[0].outcome else { panic!("{conflicts:?}") };
    assert_eq!((others.as_slice(), *shown), ([Value::from("hers")].as_slice(), *now == "his".into()));
    assert_eq!(conflicts[0].by, Some(ada_id));

    let by_document = |document: &Document<Value>| -> Vec<&OwnLoss> {
        report.overwritten.items.iter().filter(|loss| loss.document == document.id()).collect()
    };
    assert_eq!(report.overwritten.total, 3, "{:?}", losses(&report.overwritten));
    let [replaced] = by_document(taken_turns)[..] else { panic!() };
    assert_eq!(replaced.outcome, Outcome::Overwritten { now: "seen and replaced".into() });
    assert_eq!((replaced.mine.as_ref(), replaced.by), (Some(&"his".into()), Some(ada_id)));
    assert!(replaced.when_ms.is_some_and(|ms| ms > report.since_ms));
    let [whole] = by_document(deleted)[..] else { panic!() };
    assert_eq!((whole.path.len(), &whole.mine, &whole.outcome), (0, &None, &Outcome::Deleted));
    assert_eq!(whole.by, Some(ada_id));
    let [letters] = by_document(typed)[..] else { panic!() };
    assert_eq!((letters.mine.as_ref(), &letters.outcome), (Some(&Value::Text("Be".into())), &Outcome::Deleted));
}

fn numbers(report: &SinceReport) -> (u64, u64, u64, u64) {
    let entries = report.came.iter().map(|came| came.entries).sum();
    (entries, report.documents.total, report.overwritten.total, report.conflicts.total)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_and_a_marker_survive_a_restart_and_a_marker_moves_when_it_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let (met, documents) = Met::new(dir.path(), 2).await;
    met.ben.set_marker("seen").await.unwrap();
    assert_eq!(numbers(&met.ben.since_marker("seen").await.unwrap()), (0, 0, 0, 0));
    met.part().await;
    met.of_ben(&documents[0]).edit(set("title", "his")).await.unwrap();
    documents[0].edit(set("title", "hers")).await.unwrap();
    documents[1].edit(set("title", "hers")).await.unwrap();
    met.meet(2).await;
    let expected = (2, 2, 0, 1);
    assert_eq!(numbers(&met.ben.since_last_online().await.unwrap()), expected);
    assert_eq!(numbers(&met.ben.since_marker("seen").await.unwrap()), expected);
    let before = met.ben.since_last_online().await.unwrap();
    let Met { ada, ben, .. } = met;
    ben.shutdown().await; // While it is online.
    ada.shutdown().await;
    let ben = Node::builder(dir.path().join("ben")).offline(true).open().await.unwrap();
    assert_eq!(ben.since_last_online().await.unwrap(), before);
    assert_eq!(numbers(&ben.since_marker("seen").await.unwrap()), expected);
    ben.set_marker("seen").await.unwrap();
    assert_eq!(numbers(&ben.since_marker("seen").await.unwrap()), (0, 0, 0, 0));
    ben.shutdown().await;
    let ben = Node::builder(dir.path().join("ben")).offline(true).open().await.unwrap();
    assert_eq!(numbers(&ben.since_marker("seen").await.unwrap()), (0, 0, 0, 0));
    assert_eq!(ben.since_last_online().await.unwrap(), before, "and again, with nothing new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_exact_where_lists_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (met, _) = Met::new(dir.path(), 1).await;
    met.part().await;
    met.hers.insert_many((0..1_203).map(|number| put("title", &format!("{number}")))).await.unwrap();
    met.meet(1_204).await;
    let report = met.ben.since_last_online().await.unwrap();
    assert_eq!((report.documents.total, report.documents.items.len()), (1_203, 1_000));
    assert_eq!(report.came[0].documents, 1_203);
    // The first time online had ended before: what came then is not told again.
    met.part().await;
    assert_eq!(met.ben.since_last_online().await.unwrap().documents.total, 1_203, "offline the last time is told of");
    met.meet(1_204).await;
    assert_eq!(met.ben.since_last_online().await.unwrap().documents.total, 0, "a new time online, and nothing came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn markers_are_few_and_their_names_short() {
    let dir = tempfile::tempdir().unwrap();
    let ada = open(dir.path(), "ada").await;
    assert!(ada.since_marker("never set").await.unwrap_err().to_string().contains("set it first"));
    for number in 0..32 {
        ada.set_marker(&format!("marker {number}")).await.unwrap();
    }
    assert!(ada.set_marker("one more").await.unwrap_err().to_string().contains("32"));
    ada.set_marker("marker 7").await.unwrap();
    assert!(ada.set_marker("").await.is_err());
    assert!(ada.set_marker(&"x".repeat(49)).await.is_err());
}
