//! Two people's real typing (editing-traces, `friendsforever`), typed into two devices over loopback that are connected and
//! disconnected meanwhile, ends in the trace's own end on both.
//!
//! The trace is read from where it lies (`FARSHORE_DATA`, or `shared/data` beside or above the repository); it may not be
//! committed. Without it the test says so, and fails where `CI=true`.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use farshore::{Collection, Document, DocumentId, Edit, Node, Role, Value};
use serde::Deserialize;

const FILE: &str = "friendsforever.json.gz";
const PATIENCE: Duration = Duration::from_secs(120);
/// The devices are disconnected for the first this many of every [`PERIOD`] transactions.
const APART: usize = 150;
const PERIOD: usize = 1000;
/// Keystrokes that share a request: what a person types in a second or two.
const BURST: usize = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    end_content: String,
    txns: Vec<Txn>,
}

#[derive(Deserialize)]
struct Txn {
    parents: Vec<usize>,
    agent: usize,
    patches: Vec<(usize, usize, String)>,
}

fn find() -> Option<PathBuf> {
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("shared/data"));
    let named = std::env::var_os("FARSHORE_DATA").map(PathBuf::from);
    named.into_iter().chain(near).map(|dir| dir.join(FILE)).find(|file| file.is_file())
}

fn load(path: &Path) -> Trace {
    let mut json = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// Who had seen how many of whose transactions.
type Seen = [usize; 2];

/// The text as anybody saw it at any time: every character that ever was, in order, with who inserted and deleted it when.
#[derive(Default)]
struct Model {
    characters: Vec<Character>,
}

struct Character {
    is: char,
    inserted: (usize, usize),
    deleted: Vec<(usize, usize)>,
}

impl Character {
    fn visible(&self, seen: Seen) -> bool {
        let known = |(agent, number): (usize, usize)| number < seen[agent];
        known(self.inserted) && !self.deleted.iter().any(|by| known(*by))
    }
}

impl Model {
    fn text(&self, seen: Seen) -> String {
        self.characters.iter().filter(|c| c.visible(seen)).map(|c| c.is).collect()
    }

    /// Carries out what `agent` did as its transaction `number` when it had seen `then`, and tells where that is for
    /// somebody who has seen `now`, which is at least as much.
    fn patch(
        &mut self,
        agent: usize,
        number: usize,
        patch: &(usize, usize, String),
        then: Seen,
        now: Seen,
    ) -> Vec<Edit> {
        let (at, delete, insert) = patch;
        let (mut before_then, mut before_now, mut place) = (0, 0, 0);
        while before_then < *at {
            let character = &self.characters[place];
            before_then += usize::from(character.visible(then));
            before_now += usize::from(character.visible(now));
            place += 1;
        }
        let splice = |at: usize, delete, insert: &str| Edit::Splice {
            path: vec!["text".into()],
            at: at as u64,
            delete,
            insert: insert.to_owned(),
        };
        let mut edits = Vec::new();
        let (mut deleted, mut position, mut next) = (0, before_now, place);
        while deleted < *delete {
            let character = &mut self.characters[next];
            let visible_now = character.visible(now);
            if character.visible(then) {
                // What the other deleted too is gone already.
                if visible_now {
                    edits.push(splice(position, 1, ""));
                }
                character.deleted.push((agent, number));
                deleted += 1;
            } else {
                position += usize::from(visible_now);
            }
            next += 1;
        }
        if !insert.is_empty() {
            edits.push(splice(before_now, 0, insert));
            let new = insert.chars().map(|is| Character { is, inserted: (agent, number), deleted: Vec::new() });
            self.characters.splice(place..place, new);
        }
        edits
    }
}

/// The two devices and what each is known to have.
struct Typing {
    nodes: [Node; 2],
    documents: [Document<Value>; 2],
    model: Model,
    done: Seen,
    /// What each device has for certain: all of its own, and the other's up to the last meeting.
    has: [Seen; 2],
    together: bool,
}

impl Typing {
    async fn part(&mut self) {
        self.meet().await;
        self.nodes[1].suspend().await.unwrap();
        self.together = false;
    }

    /// Waits until both devices have everything.
    async fn meet(&mut self) {
        if !self.together {
            self.nodes[1].resume().await.unwrap();
            self.together = true;
        }
        let expected = self.model.text(self.done);
        for document in &self.documents {
            let arrived = async {
                let mut watch = document.watch();
                while text(document).await != expected {
                    watch.next().await;
                }
            };
            tokio::time::timeout(PATIENCE, arrived).await.expect("the devices meet and merge");
        }
        self.has = [self.done; 2];
    }

    async fn write(&self, agent: usize, edits: Vec<Edit>) {
        for burst in edits.chunks(BURST) {
            self.documents[agent].edit(burst.to_vec()).await.unwrap();
        }
    }
}

async fn text(document: &Document<Value>) -> String {
    let value = document.value().await.unwrap().unwrap_or_default();
    value.get("text").and_then(Value::as_str).unwrap_or_default().to_owned()
}

async fn two_devices(dir: &Path) -> ([Node; 2], [Document<Value>; 2]) {
    let open = async |name: &str| {
        let node = Node::builder(dir.join(name)).name(name).mdns(false).quic(false).listen("/ip4/127.0.0.1/tcp/0");
        node.open().await.unwrap()
    };
    let (ada, ben) = (open("ada").await, open("ben").await);
    let space = ada.create_space("shared").await.unwrap();
    let texts: Collection<Value> = space.collection("texts").await.unwrap();
    let document = texts.insert(Value::from([("text", Value::Text(String::new()))])).await.unwrap();
    let ticket = space.invite(Role::Writer).open().await.unwrap();
    let joined = ben.join(&ticket, PATIENCE).await.unwrap();
    let other = tokio::time::timeout(PATIENCE, shared(&joined, document.id())).await.expect("the document arrives");
    ([ada, ben], [document, other])
}

async fn shared(space: &farshore::Space, id: DocumentId) -> Document<Value> {
    loop {
        if let Ok(texts) = space.existing_collection("texts").await
            && texts.value(id).await.unwrap().is_some()
        {
            return texts.document(id);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_typing_of_two_ends_as_the_trace_does() {
    let Some(path) = find() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{FILE} is missing: set FARSHORE_DATA to its directory");
        // Past the test harness's capture, so that a passing run shows it.
        let _ = writeln!(std::io::stderr(), "left out: {FILE} is not here; set FARSHORE_DATA to its directory");
        return;
    };
    let trace = load(&path);
    let dir = tempfile::tempdir().unwrap();
    let (nodes, documents) = two_devices(dir.path()).await;
    let mut typing =
        Typing { nodes, documents, model: Model::default(), done: [0; 2], has: [[0; 2]; 2], together: true };
    let mut seen: Vec<Seen> = Vec::with_capacity(trace.txns.len());
    let mut waiting: (usize, Vec<Edit>) = (0, Vec::new());
    let mut meetings = 0;
    for (index, txn) in trace.txns.iter().enumerate() {
        let agent = txn.agent;
        let then = txn.parents.iter().fold([0; 2], |most, parent| {
            let parent: Seen = seen[*parent];
            [most[0].max(parent[0]), most[1].max(parent[1])]
        });
        // Together they take turns, because a position means what it meant only while nothing arrives.
        let turn = agent != waiting.0 && typing.together;
        let lacks = typing.has[agent][1 - agent] < then[1 - agent];
        if agent != waiting.0 || lacks || index % PERIOD == 0 {
            typing.write(waiting.0, std::mem::take(&mut waiting.1)).await;
            waiting.0 = agent;
        }
        if lacks || turn {
            typing.meet().await;
            meetings += 1;
        }
        if index % PERIOD == 0 {
            typing.part().await;
        } else if index % PERIOD == APART && !typing.together {
            typing.write(waiting.0, std::mem::take(&mut waiting.1)).await;
            typing.meet().await;
        }
        let (number, now) = (typing.done[agent], typing.has[agent]);
        for patch in &txn.patches {
            waiting.1.extend(typing.model.patch(agent, number, patch, then, now));
        }
        typing.done[agent] += 1;
        typing.has[agent][agent] = typing.done[agent];
        seen.push({
            let mut after = then;
            after[agent] = typing.done[agent];
            after
        });
    }
    typing.write(waiting.0, waiting.1).await;
    typing.meet().await;
    println!("{} transactions, {meetings} meetings", trace.txns.len());
    for document in &typing.documents {
        assert!(text(document).await == trace.end_content, "the text differs from the trace's end");
    }
    for document in &typing.documents {
        assert!(document.conflicts().await.unwrap().is_empty());
    }
}
