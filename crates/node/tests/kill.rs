//! kill -9 on real processes at random moments of import, edit and sync: what was acknowledged is there, and sync completes.
//!
//! The test runs its own executable again as the process to be killed. That process writes a line to a pipe before each
//! write, and, after the reply, the id to a log that it syncs to disk: what stands in the log was acknowledged. The parent kills
//! it without warning, opens the store, and compares.
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

use farshore::{Collection, Node, Role, Value};

const PATIENCE: Duration = Duration::from_secs(120);
const ROLE: &str = "FARSHORE_KILL_CHILD";

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

fn value(text: &str) -> Value {
    Value::Map(BTreeMap::from([("text".to_owned(), Value::Str(text.to_owned()))]))
}

/// Runs in the child: not a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let store = PathBuf::from(std::env::var("FARSHORE_KILL_STORE").unwrap());
    let round = environment("FARSHORE_KILL_ROUND", 0);
    let mut log = File::options().create(true).append(true).open(store.with_extension("log")).unwrap();
    let node = open(&store, role != "sync").await;
    let notes = notes(&node).await;
    let mut out = std::io::stdout();
    writeln!(out, "ready").unwrap();
    if role == "sync" {
        std::future::pending::<()>().await;
    }
    for count in 0_u64.. {
        writeln!(out, "begin").unwrap();
        if role == "import" {
            let keys: Vec<String> = (0..200).map(|row| format!("{round}/{count}/{row}")).collect();
            let rows: Vec<(String, Value)> = keys.iter().map(|key| (key.clone(), value(&"row ".repeat(40)))).collect();
            let results = notes.upsert_many(rows).await.unwrap();
            assert_eq!(results.len(), keys.len());
            writeln!(log, "{}", keys.join("\n")).unwrap();
        } else {
            let key = format!("edited {}", count % 7);
            let text = format!("{round}/{count}");
            notes.upsert(&key, value(&text)).await.unwrap();
            writeln!(log, "{key}={text}").unwrap();
        }
        log.sync_data().unwrap();
        writeln!(out, "done").unwrap();
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

/// Everything in the child's log must be in the store: keys of imports, and for edited keys no older value than logged.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_every_acknowledged_write_is_there_and_sync_completes() {
    if std::env::var(ROLE).is_ok() {
        return;
    }
    let (kills, mut moments) = (environment("FARSHORE_KILLS", 12), Moments(environment("FARSHORE_KILL_SEED", 1)));
    let dir = tempfile::tempdir().unwrap();
    let (ada_store, ben_store) = (dir.path().join("ada"), dir.path().join("ben"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::write(ada_store.with_extension("port"), free.to_string()).unwrap();
    let (ada, ben) = (open(&ada_store, false).await, open(&ben_store, false).await);
    let space = ada.create_space("shared").await.unwrap();
    space.collection::<Value>("notes").await.unwrap();
    let ticket = space.invite(Role::Writer).open().await.unwrap();
    ben.join(&ticket, PATIENCE).await.unwrap();
    tokio::time::timeout(PATIENCE, async {
        while ben.space("shared").await.unwrap().existing_collection("notes").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let ben_device = ben.device().await.unwrap();
    ada.shutdown().await;
    ben.shutdown().await;

    let mut histogram: BTreeMap<(Work, bool), u64> = BTreeMap::new();
    for round in 0..kills {
        let work = [Work::Import, Work::Edit, Work::Sync][(round % 3) as usize];
        let busy = match work {
            Work::Import | Work::Edit => {
                let victim = Victim::start(&ada_store, work, round);
                std::thread::sleep(Duration::from_micros(5_000 + moments.below(300_000)));
                victim.kill()
            }
            Work::Sync => {
                let ada = open(&ada_store, false).await;
                let notes = notes(&ada).await;
                // What cannot be compressed takes its time on the wire: longer than the latest moment of a kill, on a fast machine
                // with nothing else to do.
                let mut row = |row: u64| {
                    let body: String = (0..600).map(|_| format!("{:016x}", moments.below(u64::MAX))).collect();
                    (format!("{round}:{row}"), value(&body))
                };
                let rows: Vec<(String, Value)> = (0..1_600).map(&mut row).collect();
                notes.upsert_many(rows).await.unwrap();
                let victim = Victim::start(&ben_store, work, round);
                let pending = async || {
                    let status = ada.status().await.unwrap();
                    let linked = status.engine.links.iter().any(|link| link.device == Some(ben_device));
                    linked.then(|| status.pending(space.id()).get(&ben_device).copied().unwrap_or(0))
                };
                let linked = async {
                    while pending().await.is_none() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                tokio::time::timeout(PATIENCE, linked).await.expect("Ben finds Ada");
                let deadline = Instant::now() + Duration::from_micros(moments.below(100_000));
                while Instant::now() < deadline && pending().await != Some(0) {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
                let open = pending().await.is_some_and(|pending| pending > 0);
                victim.kill();
                ada.shutdown().await;
                open
            }
        };
        *histogram.entry((work, busy)).or_default() += 1;
        assert_acknowledged(&ada_store).await;
    }

    let acknowledged = assert_acknowledged(&ada_store).await;
    let (ada, ben) = (open(&ada_store, false).await, open(&ben_store, false).await);
    let (at_ada, at_ben) = (notes(&ada).await, notes(&ben).await);
    tokio::time::timeout(PATIENCE, async {
        while ada.status().await.unwrap().pending(space.id()).get(&ben_device) != Some(&0)
            || at_ada.count().await.unwrap() != at_ben.count().await.unwrap()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("sync completes after the kills");
    let all = at_ada.count().await.unwrap() as usize + 1;
    assert_eq!(at_ada.values(None, all).await.unwrap(), at_ben.values(None, all).await.unwrap());

    println!("{kills} kills, {acknowledged} acknowledged writes, all there; documents on both: {}", all - 1);
    for ((work, busy), count) in &histogram {
        println!("  {work:?}, {}: {count}", if *busy { "write or transfer open" } else { "idle" });
    }
    let busy: u64 = histogram.iter().filter(|((_, busy), _)| *busy).map(|(_, count)| count).sum();
    assert!(busy * 10 >= kills * 9, "only {busy} of {kills} kills landed in a write or a transfer");
    ada.shutdown().await;
    ben.shutdown().await;
}
