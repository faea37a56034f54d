//! kill -9 on real processes at random moments of import, edit and sync: what was acknowledged is there, the store is sound, and
//! sync completes.
//!
//! The test runs its own executable again as the process to be killed. That process writes a line to a pipe before each
//! write, and, after the reply, the id to a log that it syncs to disk: what stands in the log was acknowledged. The parent kills
//! it without warning, checks the store of the killed one before anything else opens it, and compares. Whoever is killed in a
//! sync has acknowledged more than that: the entries that he sent a receipt for. `cli/tests/kill.rs` kills the program itself.
//!
//! `FARSHORE_KILLS=200` sets the number of kills (default 12), `FARSHORE_KILL_SEED` the moments.

#![allow(clippy::disallowed_methods)] // A rig around processes and their moments of death reads the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farshore::{Collection, DeviceId, Node, Role, SpaceId, Value};

const PATIENCE: Duration = Duration::from_secs(120);
const ROLE: &str = "FARSHORE_KILL_CHILD";
/// A few edits in each transfer, and no stream of them that the transfer would have to wait behind.
const BETWEEN_EDITS_IN_A_SYNC: Duration = Duration::from_millis(10);

/// What the process to be killed is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Import,
    Edit,
    Sync,
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Splitmix64: the moments follow from the seed.
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Opens a device. Ada keeps her port, so that Ben finds her again: nothing else tells him where she is.
async fn open(path: &Path, offline: bool) -> Node {
    let port = fs::read_to_string(path.with_extension("port")).unwrap_or_else(|_| "0".into());
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let builder = Node::builder(path).name("device").mdns(false).quic(false).listen(listen);
    builder.offline(offline).open().await.unwrap_or_else(|error| panic!("{} opens: {error}", path.display()))
}

async fn notes(node: &Node) -> Collection<Value> {
    node.space("shared").await.unwrap().existing_collection("notes").await.unwrap()
}

/// Where a device writes what was acknowledged to it.
fn log_of(store: &Path) -> File {
    File::options().create(true).append(true).open(store.with_extension("log")).unwrap()
}

fn value(text: &str) -> Value {
    Value::Map(BTreeMap::from([("text".to_owned(), Value::Str(text.to_owned()))]))
}

/// Runs in the child: not a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let store = PathBuf::from(std::env::var("FARSHORE_KILL_STORE").unwrap());
    let round = environment("FARSHORE_KILL_ROUND", 0);
    let mut log = log_of(&store);
    let node = open(&store, role != "sync").await;
    let notes = notes(&node).await;
    let mut out = std::io::stdout();
    writeln!(out, "ready").unwrap();
    for count in 0_u64.. {
        writeln!(out, "begin").unwrap();
        if role == "import" {
            let keys: Vec<String> = (0..200).map(|row| format!("{round}/{count}/{row}")).collect();
            let rows: Vec<(String, Value)> = keys.iter().map(|key| (key.clone(), value(&"row ".repeat(40)))).collect();
            let results = notes.upsert_many(rows).await.unwrap();
            assert_eq!(results.len(), keys.len());
            writeln!(log, "{}", keys.join("\n")).unwrap();
        } else {
            // Keys of this device alone, or a merge could choose the other's older value.
            let key = format!("{} {}", store.file_name().unwrap().display(), count % 7);
            let text = format!("{round}/{count}");
            notes.upsert(&key, value(&text)).await.unwrap();
            writeln!(log, "{key}={text}").unwrap();
        }
        log.sync_data().unwrap();
        writeln!(out, "done").unwrap();
        if role == "sync" {
            tokio::time::sleep(BETWEEN_EDITS_IN_A_SYNC).await;
        }
    }
}

/// The process to be killed, and whether a write of it was under way when last heard of.
struct Victim {
    child: Child,
    heard: Arc<Mutex<String>>,
}

impl Victim {
    fn start(store: &Path, work: Work, round: u64) -> Victim {
        let role = format!("{work:?}").to_lowercase();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env("FARSHORE_KILL_STORE", store)
            .env("FARSHORE_KILL_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let (lines, last) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&heard));
        std::thread::spawn(move || {
            // The test harness writes on the same pipe, in front of the first word on a line.
            for line in lines.map_while(Result::ok) {
                let word = line.rsplit(' ').next().unwrap_or_default();
                if ["ready", "begin", "done"].contains(&word) {
                    word.clone_into(&mut last.lock().unwrap());
                }
            }
        });
        let victim = Victim { child, heard };
        let begun = Instant::now();
        while victim.heard().is_empty() {
            assert!(begun.elapsed() < PATIENCE, "the child never got ready");
            std::thread::sleep(Duration::from_millis(2));
        }
        victim
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }

    /// SIGKILL; says whether a write was under way.
    fn kill(mut self) -> bool {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::thread::sleep(Duration::from_millis(5)); // The reader drains what was in the pipe.
        self.heard() == "begin"
    }
}

/// Every page, every value and how they fit together, as `farshore check` looks at them, before anything else opens the store.
fn assert_sound(store: &Path) {
    let report = farshore::check(store).unwrap_or_else(|error| panic!("{} is checked: {error}", store.display()));
    assert!(report.is_sound(), "{} is not sound: {:?}", store.display(), report.problems);
    // Killed in his first sync, Ben may have no entry yet; of the space he has rows in any case.
    assert!(report.rows.iter().any(|(_, rows)| *rows > 0), "{} has nothing to check", store.display());
}

/// How far the store holds what `author` wrote in the collection.
async fn held(notes: &Collection<Value>, author: DeviceId) -> u64 {
    let log = notes.log(10_000).await.unwrap();
    let of_author = log.iter().filter(|entry| entry.journal.device == author);
    of_author.map(|entry| entry.position.seq).max().unwrap_or(0)
}

/// Everything in the device's log must be in the store: keys of imports, and for edited keys no older value than logged.
async fn assert_acknowledged(store: &Path) -> usize {
    let log = fs::read_to_string(store.with_extension("log")).unwrap_or_default();
    let node = open(store, true).await;
    let notes = notes(&node).await;
    let mut edited: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    // A torn last line was not synced, so it was not acknowledged.
    for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::trim_end) {
        match line.split_once('=') {
            Some((key, text)) => {
                edited.insert(key, stamp(text));
            }
            None => {
                keys.insert(line);
            }
        }
    }
    let ids = notes.ids_of(keys.iter().map(|key| (*key).to_owned()).collect()).await.unwrap();
    for (key, id) in keys.iter().zip(ids) {
        assert!(notes.value(id).await.unwrap().is_some(), "{key} was acknowledged and is gone");
    }
    for (key, logged) in &edited {
        let found = notes.get_by_key(key).await.unwrap().unwrap_or_else(|| panic!("{key} is gone"));
        let Some(Value::Str(text)) = found.get("text") else { panic!("{key} has no text") };
        assert!(stamp(text) >= *logged, "{key} is at {text}, older than what was acknowledged");
    }
    node.shutdown().await;
    keys.len() + edited.len()
}

fn stamp(text: &str) -> (u64, u64) {
    let (round, count) = text.split_once('/').unwrap();
    (round.parse().unwrap(), count.parse().unwrap())
}

/// Two devices that share a space, both closed.
struct Pair {
    ada_store: PathBuf,
    ben_store: PathBuf,
    space: SpaceId,
    ada: DeviceId,
    ben: DeviceId,
}

impl Pair {
    async fn found(dir: &Path) -> Pair {
        let (ada_store, ben_store) = (dir.join("ada"), dir.join("ben"));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(ada_store.with_extension("port"), free.to_string()).unwrap();
        let (ada, ben) = (open(&ada_store, false).await, open(&ben_store, false).await);
        let space = ada.create_space("shared").await.unwrap();
        space.collection::<Value>("notes").await.unwrap();
        let ticket = space.invite(Role::Writer).open().await.unwrap();
        let his = ben.join(&ticket, PATIENCE).await.unwrap();
        his.wait_for_collection::<Value>("notes", PATIENCE).await.unwrap();
        let pair = Pair {
            space: space.id(),
            ada: ada.device().await.unwrap(),
            ben: ben.device().await.unwrap(),
            ada_store,
            ben_store,
        };
        ada.shutdown().await;
        ben.shutdown().await;
        pair
    }

    /// Entries of Ada's that Ben has sent no receipt for; `None` while they are not linked.
    async fn pending(&self, ada: &Node) -> Option<u64> {
        let status = ada.status().await.unwrap();
        let linked = status.engine.links.iter().any(|link| link.device == Some(self.ben));
        status.pending(self.space).get(&self.ben).copied().filter(|_| linked)
    }

    /// Kills Ada while she writes; says whether a write was under way.
    async fn kill_ada(&self, work: Work, round: u64, moments: &mut Moments) -> bool {
        let victim = Victim::start(&self.ada_store, work, round);
        std::thread::sleep(Duration::from_micros(5_000 + moments.below(300_000)));
        let busy = victim.kill();
        assert_sound(&self.ada_store);
        assert_acknowledged(&self.ada_store).await;
        busy
    }

    /// Kills Ben while he takes in what Ada wrote and writes himself; says whether the transfer was under way.
    async fn kill_ben(&self, round: u64, moments: &mut Moments) -> bool {
        let ada = open(&self.ada_store, false).await;
        let at_ada = notes(&ada).await;
        // What cannot be compressed takes its time on the wire: longer than the latest moment of a kill, on a fast machine
        // with nothing else to do.
        let mut row = |row: u64| {
            let body: String = (0..600).map(|_| format!("{:016x}", moments.below(u64::MAX))).collect();
            (format!("{round}:{row}"), value(&body))
        };
        let rows: Vec<(String, Value)> = (0..1_600).map(&mut row).collect();
        let keys: Vec<String> = rows.iter().map(|(key, _)| key.clone()).collect();
        at_ada.upsert_many(rows).await.unwrap();
        writeln!(log_of(&self.ada_store), "{}", keys.join("\n")).unwrap();
        let written = held(&at_ada, self.ada).await;

        let victim = Victim::start(&self.ben_store, Work::Sync, round);
        let linked = async {
            while self.pending(&ada).await.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, linked).await.expect("Ben finds Ada");
        let deadline = Instant::now() + Duration::from_micros(moments.below(100_000));
        let mut pending = self.pending(&ada).await;
        while Instant::now() < deadline && pending != Some(0) {
            tokio::time::sleep(Duration::from_micros(200)).await;
            pending = self.pending(&ada).await.or(pending);
        }
        victim.kill();
        assert_sound(&self.ben_store);
        assert_acknowledged(&self.ben_store).await;
        // Ada writes nothing meanwhile, so what does not wait for a receipt has one.
        let receipted = written.saturating_sub(pending.unwrap_or(written));
        let ben = open(&self.ben_store, true).await;
        let at_ben = held(&notes(&ben).await, self.ada).await;
        ben.shutdown().await;
        assert!(at_ben >= receipted, "Ben sent receipts up to {receipted} and holds {at_ben} of {written}");

        ada.shutdown().await;
        assert_sound(&self.ada_store);
        assert_acknowledged(&self.ada_store).await;
        at_ben < written
    }

    /// Opens both and waits until they hold the same; gives how many documents.
    async fn completes(&self) -> usize {
        let (ada, ben) = (open(&self.ada_store, false).await, open(&self.ben_store, false).await);
        let (at_ada, at_ben) = (notes(&ada).await, notes(&ben).await);
        let pending = async |from: &Node, of| from.status().await.unwrap().pending(self.space).get(&of) != Some(&0);
        tokio::time::timeout(PATIENCE, async {
            while pending(&ada, self.ben).await
                || pending(&ben, self.ada).await
                || at_ada.count().await.unwrap() != at_ben.count().await.unwrap()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("sync completes after the kills");
        let all = at_ada.count().await.unwrap() as usize;
        assert_eq!(at_ada.values(None, all + 1).await.unwrap(), at_ben.values(None, all + 1).await.unwrap());
        ada.shutdown().await;
        ben.shutdown().await;
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_every_acknowledged_write_is_there_and_sync_completes() {
    if std::env::var(ROLE).is_ok() {
        return;
    }
    let (kills, mut moments) = (environment("FARSHORE_KILLS", 12), Moments(environment("FARSHORE_KILL_SEED", 1)));
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::found(dir.path()).await;
    let mut histogram: BTreeMap<(Work, bool), u64> = BTreeMap::new();
    for round in 0..kills {
        let work = [Work::Import, Work::Edit, Work::Sync][(round % 3) as usize];
        let busy = match work {
            Work::Import | Work::Edit => pair.kill_ada(work, round, &mut moments).await,
            Work::Sync => pair.kill_ben(round, &mut moments).await,
        };
        *histogram.entry((work, busy)).or_default() += 1;
    }
    let documents = pair.completes().await;
    let mut acknowledged = 0;
    for store in [&pair.ada_store, &pair.ben_store] {
        assert_sound(store);
        acknowledged += assert_acknowledged(store).await;
    }

    println!("{kills} kills, {acknowledged} acknowledged writes, all there; documents on both: {documents}");
    for ((work, busy), count) in &histogram {
        println!("  {work:?}, {}: {count}", if *busy { "write or transfer open" } else { "idle" });
    }
    let busy: u64 = histogram.iter().filter(|((_, busy), _)| *busy).map(|(_, count)| count).sum();
    assert!(busy * 10 >= kills * 9, "only {busy} of {kills} kills landed in a write or a transfer");
}
