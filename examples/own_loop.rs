//! Drives two replicas by hand, with no async runtime, no network and no disk: the whole contract of the core in one loop.
//!
//! Run it with `cargo run -p farshore-examples --example own_loop`.

use std::collections::BTreeMap;
use std::error::Error;

use farshore_core::batch::Batch;
use farshore_core::catalogue::CollectionDefinition;
use farshore_core::id::{DocKey, DocumentId};
use farshore_core::input::{DocEdit, DocOp, Input, LinkId, Now, Request, RequestId};
use farshore_core::output::{Output, Reply, RequestError};
use farshore_core::replica::{NewIdentity, Replica};
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::MemoryStore;

const NOW: Now = Now { mono_ms: 0, wall_ms: 1_800_000_000_000 };
const LINK: LinkId = LinkId(1);

/// A replica, its store, and what it has answered.
struct Device {
    replica: Replica,
    store: MemoryStore,
    replies: BTreeMap<RequestId, Result<Reply, RequestError>>,
}

impl Device {
    fn new(seed: u8, name: &str) -> Result<Device, Box<dyn Error>> {
        let mut store = MemoryStore::default();
        store.apply(&Batch { id: 0, ops: NewIdentity::create([seed; 32], name)?.ops });
        let replica = Replica::open(store.boot(), false, [seed + 100; 32], NOW)?;
        Ok(Device { replica, store, replies: BTreeMap::new() })
    }

    /// One thing happens; everything that follows from it on this device is done. What is for the peer comes back.
    fn turn(&mut self, input: Input) -> Vec<Input> {
        let mut for_peer = Vec::new();
        self.replica.handle(NOW, input);
        while let Some(output) = self.replica.poll_output() {
            match output {
                Output::Store(batch) => {
                    self.store.apply(&batch);
                    self.replica.handle(NOW, Input::Stored { batch: batch.id });
                }
                Output::Load { id, load } => {
                    let loaded = self.store.load(&load);
                    self.replica.handle(NOW, Input::Loaded { load: id, loaded });
                }
                Output::Job { id, job } => self.replica.handle(NOW, Input::JobDone { job: id, result: job.run() }),
                Output::Send { link, class, frame } => for_peer.push(Input::Frame { link, class, bytes: frame }),
                Output::Close { link, .. } => for_peer.push(Input::LinkDown { link }),
                Output::Reply { id, result } => {
                    self.replies.insert(id, result);
                }
                Output::Notify(_) | Output::KeepPeers(_) => {}
            }
        }
        for_peer
    }

    /// Asks for something that needs no peer.
    fn ask(&mut self, request: Request) -> Result<Reply, Box<dyn Error>> {
        let id = RequestId(self.replies.len() as u64 + 1);
        self.turn(Input::Request { id, request });
        Ok(self.replies.get(&id).cloned().ok_or("no answer")??)
    }
}

/// Hands what each has for the other back and forth until both are silent.
fn talk(a: &mut Device, b: &mut Device, mut for_a: Vec<Input>, mut for_b: Vec<Input>) {
    while !(for_a.is_empty() && for_b.is_empty()) {
        let (to_a, to_b) = (std::mem::take(&mut for_a), std::mem::take(&mut for_b));
        for_b.extend(to_a.into_iter().flat_map(|input| a.turn(input)));
        for_a.extend(to_b.into_iter().flat_map(|input| b.turn(input)));
    }
}

fn link_up(peer: &Device, dialled: bool) -> Input {
    Input::LinkUp { link: LINK, peer: peer.replica.identity().transport_peer(), address: String::new(), dialled }
}

/// Two devices share a space and a document; returns what the second one reads.
pub fn run() -> Result<Value, Box<dyn Error>> {
    let (mut ada, mut ben) = (Device::new(1, "Ada")?, Device::new(2, "Ben")?);
    let Reply::Space(space) = ada.ask(Request::CreateSpace { name: "Household".into() })? else {
        return Err("space".into());
    };
    let definition = CollectionDefinition::new("todos");
    let Reply::Collection(collection) = ada.ask(Request::DefineCollection { space, definition })? else {
        return Err("collection".into());
    };
    let document = DocumentId([7; 16]);
    let milk = Value::Map(BTreeMap::from([("title".to_owned(), Value::Str("Milk".into()))]));
    let edits = vec![DocEdit { document, keyed: false, op: DocOp::Create(milk) }];
    ada.ask(Request::Edit { space, collection, edits })?;

    let peer = ada.replica.identity().transport_peer();
    let expires_unix_s = NOW.wall_ms / 1000 + 60;
    let invite = Request::Invite { space, role: Role::Writer, expires_unix_s, peer, addresses: Vec::new() };
    let Reply::Ticket(ticket) = ada.ask(invite)? else { return Err("ticket".into()) };
    ben.turn(Input::Request { id: RequestId(99), request: Request::Join { ticket } });

    let for_ben = ada.turn(link_up(&ben, false));
    let for_ada = ben.turn(link_up(&ada, true));
    talk(&mut ada, &mut ben, for_ada, for_ben);

    let key = DocKey { space, collection, document };
    Ok(Value::decode(ben.store.view(&key).ok_or("Ben has no such document")?)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("Ben reads: {:?}", run()?);
    Ok(())
}
