//! A first sync that is interrupted again and again: killed, cut, and stopped. What was committed does not travel twice.
//!
//! Ada is this process, Ben a process of his own (this executable again), and all between them passes a counting proxy. Each
//! interruption falls where the bytes say, not the clock. After each, Ben's committed entries are compared with what the
//! line carried since the one before: a line that carries more than that and one window sends something again that is there.
//!
//! `FARSHORE_INTERRUPTED_DOCUMENTS=4096 FARSHORE_INTERRUPTIONS=50` is the long count (`./prove interrupted`); 128 and 10 otherwise.

#![allow(clippy::disallowed_methods)] // A rig around processes listens to them on threads of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use farshore::{Node, NodeStatus, Role, Value};
use farshore_cli::demo::proxy::Proxy;
use farshore_core::limits::BULK_WINDOW_BYTES;
use rustix::process::{Pid, Signal, kill_process};

const ROLE: &str = "FARSHORE_INTERRUPTED_CHILD";
const PATIENCE: Duration = Duration::from_secs(300);
/// Of each document, incompressible.
const BODY_BYTES: usize = 256 << 10;
/// What a document's entry is larger than its body: header, signature, seal, Automerge's change.
const ENTRY_EXTRA: u64 = 1 << 10;
/// What Noise, Yamux and our frames add to 64 KiB: under 200 bytes; twice that is allowed.
const FRAMING: u64 = 160;
/// What one connection costs before the first entry: handshakes, hello, frontiers.
const CONNECTION_BYTES: u64 = 32 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Kill,
    Cut,
    Stop,
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Bytes that do not compress: blake3 as a stream of them.
fn body(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; BODY_BYTES];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn entries(status: &NodeStatus) -> u64 {
    let collections = status.engine.spaces.iter().flat_map(|space| &space.collections);
    collections.map(|collection| collection.entries).sum()
}

fn multiaddr(address: SocketAddr) -> String {
    format!("/ip4/127.0.0.1/tcp/{}", address.port())
}

/// An address of loopback that was free just now.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Opens a device that others are told to look for at `announce`.
async fn open(path: &Path, listen: SocketAddr, announce: SocketAddr, offline: bool) -> Node {
    let builder = Node::builder(path).name("device").mdns(false).quic(false).listen(multiaddr(listen));
    builder.announce(multiaddr(announce)).offline(offline).open().await.unwrap()
}

/// Ben says that he is where nobody listens, so that nothing passes beside the line.
async fn open_ben(path: &Path, nowhere: SocketAddr, offline: bool) -> Node {
    open(path, ([127, 0, 0, 1], 0).into(), nowhere, offline).await
}

/// Ben's process: says how many entries are committed, whenever that changes. Not a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(store) = std::env::var(ROLE) else { return };
    let nowhere = std::env::var("FARSHORE_INTERRUPTED_NOWHERE").unwrap().parse().unwrap();
    let node = open_ben(&PathBuf::from(store), nowhere, false).await;
    let mut watch = node.status_watch().unwrap();
    let mut last = None;
    while let Some(status) = watch.next().await {
        let now = entries(&status);
        if last.replace(now) != Some(now) {
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nheld {now}").unwrap();
            out.flush().unwrap();
        }
    }
}

struct Ben {
    child: Child,
    held: Arc<AtomicU64>,
}

impl Ben {
    fn start(store: &Path, nowhere: SocketAddr) -> Ben {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, store)
            .env("FARSHORE_INTERRUPTED_NOWHERE", nowhere.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let held = Arc::new(AtomicU64::new(0));
        let (lines, heard) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&held));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(count) = line.strip_prefix("held ") {
                    heard.store(count.parse().unwrap(), Ordering::SeqCst);
                }
            }
        });
        Ben { child, held }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until what came is committed, and Ben has said so; nothing more may come.
    async fn settle(&self, proxy: &Proxy) {
        quiet(proxy).await;
        loop {
            let before = self.held.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
            if self.held.load(Ordering::SeqCst) == before {
                return;
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Ben {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the store at `path` holds, while nobody has it open.
async fn committed(path: &Path, nowhere: SocketAddr) -> u64 {
    let node = open_ben(path, nowhere, true).await;
    let held = entries(&node.status().await.unwrap());
    node.shutdown().await;
    held
}

/// Waits until the line has carried so many bytes to Ben.
async fn carried(proxy: &Proxy, wanted: u64) {
    let reached = async {
        while proxy.counters().bytes_back < wanted {
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("the line never carried {wanted} bytes"));
}

/// Waits until nothing passes for a quarter of a second, and gives what has passed to Ben.
async fn quiet(proxy: &Proxy) -> u64 {
    loop {
        let before = proxy.counters();
        tokio::time::sleep(Duration::from_millis(250)).await;
        if proxy.counters() == before {
            return before.bytes_back;
        }
    }
}

/// Ben's membership, over the proxy, before there is anything to sync.
async fn join(ada: &Node, ben_store: &Path, nowhere: SocketAddr, front: SocketAddr) {
    let ben = open_ben(ben_store, nowhere, false).await;
    let space = ada.space("shared").await.unwrap();
    let ticket = space.invite(Role::Writer).address(multiaddr(front)).open().await.unwrap();
    ben.join(&ticket, PATIENCE).await.unwrap();
    ben.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_sync_that_is_interrupted_again_and_again_carries_nothing_twice_that_was_committed() {
    if std::env::var(ROLE).is_ok() {
        return;
    }
    let documents = environment("FARSHORE_INTERRUPTED_DOCUMENTS", 128);
    let interruptions = environment("FARSHORE_INTERRUPTIONS", 10);
    let dir = tempfile::tempdir().unwrap();
    let (ada_store, ben_store) = (dir.path().join("ada"), dir.path().join("ben"));
    let (nowhere, listen) = (free(), free());
    let proxy = Proxy::start(free(), listen).await.unwrap();
    let ada = open(&ada_store, listen, proxy.address(), false).await;
    let notes = ada.create_space("shared").await.unwrap().collection::<Value>("notes").await.unwrap();
    join(&ada, &ben_store, nowhere, proxy.address()).await;
    for number in 0..documents {
        let value = Value::Map(BTreeMap::from([("body".to_owned(), Value::Bytes(body(number)))]));
        notes.upsert(&number.to_string(), &value).await.unwrap();
    }
    assert_eq!(entries(&ada.status().await.unwrap()), documents, "one entry a document, so that entries count bytes");

    let entry = BODY_BYTES as u64 + ENTRY_EXTRA;
    let framed = |bytes: u64| bytes + bytes.div_ceil(64 << 10) * FRAMING;
    let total = documents * entry;
    let start = quiet(&proxy).await;
    let (mut before, mut held, mut again, mut unsettled) = (start, 0, 0, BTreeMap::new());
    let mut ben = Ben::start(&ben_store, nowhere);
    for round in 0..interruptions {
        // Between a tenth and nine tenths of its part of the way, different each time.
        let part = total / (interruptions + 1);
        carried(&proxy, start + part * round + part * (1 + (round * 7) % 9) / 10 + part / 2).await;
        let how = [How::Kill, How::Cut, How::Stop][(round % 3) as usize];
        match how {
            How::Kill => {
                ben.kill();
                let now = committed(&ben_store, nowhere).await;
                ben = Ben::start(&ben_store, nowhere);
                ben.held.store(now, Ordering::SeqCst);
            }
            How::Cut => {
                proxy.cut();
                ben.settle(&proxy).await;
                proxy.heal();
            }
            How::Stop if round % 6 == 2 => {
                // Nobody hears of it: the line fills up to its window, and goes on afterwards. Nothing is sent anew.
                ben.signal(Signal::STOP);
                quiet(&proxy).await;
                ben.signal(Signal::CONT);
                continue;
            }
            How::Stop => {
                // Long enough for the heartbeat to give the link up.
                ben.signal(Signal::STOP);
                let given_up = async {
                    while !ada.status().await.unwrap().engine.links.is_empty() {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                };
                tokio::time::timeout(PATIENCE, given_up).await.expect("the heartbeat notices");
                // No new link until what came is counted: its bytes would be under way, and not yet held.
                proxy.cut();
                ben.signal(Signal::CONT);
                ben.settle(&proxy).await;
                proxy.heal();
            }
        }
        let now = (ben.held.load(Ordering::SeqCst), proxy.counters().bytes_back);
        let (gained, spent) = (now.0 - held, now.1 - before);
        let most = framed(gained * entry + u64::from(BULK_WINDOW_BYTES)) + CONNECTION_BYTES;
        assert!(spent <= most, "round {round}, {how:?}: {spent} bytes for {gained} entries, at most {most}");
        again += spent.saturating_sub(framed(gained * entry));
        *unsettled.entry(how).or_insert(0_u64) += u64::from(held < documents && now.0 < documents);
        (held, before) = now;
    }

    let done = async {
        while ben.held.load(Ordering::SeqCst) < documents {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.expect("the sync ends");
    let spent = quiet(&proxy).await - start;
    let counters = proxy.counters();
    ben.kill();
    let most =
        framed(total + interruptions * u64::from(BULK_WINDOW_BYTES)) + (counters.connections + 1) * CONNECTION_BYTES;
    println!(
        "{documents} entries of {entry} bytes, {interruptions} interruptions, {} connections: {spent} bytes to Ben, of which \
         {again} were on their way at an interruption; at most {most}; in the middle: {unsettled:?}",
        counters.connections
    );
    assert!(spent <= most, "{spent} bytes, at most {most}");
    assert!(unsettled.values().sum::<u64>() * 10 >= interruptions * 5, "interruptions in the middle: {unsettled:?}");

    let ben = open_ben(&ben_store, nowhere, true).await;
    let at_ben = ben.space("shared").await.unwrap().existing_collection("notes").await.unwrap();
    for number in 0..documents {
        let value: Value = at_ben.get_by_key(&number.to_string()).await.unwrap().expect("every document is there");
        assert_eq!(value.get("body"), Some(&Value::Bytes(body(number))), "document {number}");
    }
    ben.shutdown().await;
    ada.shutdown().await;
}
