//! Durable before visible (I1), with a disk that takes its time: nothing is answered, told or shown of what a crash could undo.

use std::collections::BTreeMap;

use farshore_core::batch::CollectionKey;
use farshore_core::catalogue::CollectionDefinition;
use farshore_core::document::{Edit, Step};
use farshore_core::id::DocumentId;
use farshore_core::input::{Class, DocEdit, DocOp, Input, LinkId, Now, Request, RequestId};
use farshore_core::output::{CollectionStatus, Edited, Output, Reply, RequestError};
use farshore_core::replica::{NewIdentity, Replica};
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::{MemoryStore, World};

const DOCUMENT: DocumentId = DocumentId([7; 16]);
const NOW: Now = Now { mono_ms: 1, wall_ms: 1_767_225_600_000 };

/// A replica whose batches become durable when the test says so.
struct Slow {
    replica: Replica,
    store: MemoryStore,
    unstored: Vec<farshore_core::batch::Batch>,
    replies: BTreeMap<RequestId, Result<Reply, RequestError>>,
    sent: Vec<(LinkId, Class, Vec<u8>)>,
    last_request: u64,
}

impl Slow {
    fn start(store: MemoryStore) -> Slow {
        let replica = Replica::open(store.boot(), false, [3; 32], NOW).unwrap();
        let (unstored, replies, sent) = (Vec::new(), BTreeMap::new(), Vec::new());
        Slow { replica, store, unstored, replies, sent, last_request: 0 }
    }

    fn input(&mut self, input: Input) {
        self.replica.handle(NOW, input);
        while let Some(output) = self.replica.poll_output() {
            match output {
                Output::Store(batch) => self.unstored.push(batch),
                // A load sees every batch asked for before it, durable or not.
                Output::Load { id, load } => {
                    let mut ahead = self.store.clone();
                    self.unstored.iter().for_each(|batch| ahead.apply(batch));
                    self.replica.handle(NOW, Input::Loaded { load: id, loaded: ahead.load(&load) });
                }
                Output::Job { id, job } => self.replica.handle(NOW, Input::JobDone { job: id, result: job.run() }),
                Output::Reply { id, result } => drop(self.replies.insert(id, result)),
                Output::Send { link, class, frame } => self.sent.push((link, class, frame)),
                Output::Close { .. } | Output::Notify(_) | Output::KeepPeers(_) => {}
            }
        }
    }

    fn request(&mut self, request: Request) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.input(Input::Request { id, request });
        id
    }

    fn edit(&mut self, key: CollectionKey, op: DocOp) -> RequestId {
        let edits = vec![DocEdit { document: DOCUMENT, keyed: false, op }];
        self.request(Request::Edit { space: key.space, collection: key.collection, edits })
    }

    /// Lets the disk do all that was asked of it.
    fn settle(&mut self) {
        while !self.unstored.is_empty() {
            let batch = self.unstored.remove(0);
            self.store.apply(&batch);
            self.input(Input::Stored { batch: batch.id });
        }
    }

    fn status(&mut self) -> CollectionStatus {
        let id = self.request(Request::Status);
        let Some(Ok(Reply::Status(status))) = self.replies.remove(&id) else { panic!("a status") };
        status.spaces[0].collections[0].clone()
    }

    fn edited(&self, id: RequestId) -> Option<&Edited> {
        match self.replies.get(&id)? {
            Ok(Reply::Edited(results)) => Some(results[0].as_ref().unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

fn founded() -> (Slow, CollectionKey) {
    let mut store = MemoryStore::default();
    let identity = NewIdentity::create([1; 32], "ada").unwrap();
    store.apply(&farshore_core::batch::Batch { id: 0, ops: identity.ops });
    let mut slow = Slow::start(store);
    let id = slow.request(Request::CreateSpace { name: "home".into() });
    assert_eq!(slow.replies.get(&id), None);
    slow.settle();
    let Some(Ok(Reply::Space(space))) = slow.replies.remove(&id) else { panic!("a space") };
    let id = slow.request(Request::DefineCollection { space, definition: CollectionDefinition::new("todos") });
    slow.settle();
    let Some(Ok(Reply::Collection(collection))) = slow.replies.remove(&id) else { panic!("a collection") };
    (slow, CollectionKey { space, collection })
}

fn milk() -> Value {
    Value::Map(BTreeMap::from([("title".into(), Value::Str("Milk".into()))]))
}

fn done(value: bool) -> DocOp {
    DocOp::Edit(vec![Edit::put(vec![Step::Key("done".into())], Value::Bool(value))])
}

#[test]
fn an_edit_is_answered_when_it_is_durable() {
    let (mut slow, key) = founded();
    let id = slow.edit(key, DocOp::Create(milk()));
    assert_eq!(slow.edited(id), None);
    slow.settle();
    assert!(slow.edited(id).unwrap().entry.is_some());
}

#[test]
fn a_new_name_is_answered_when_it_is_durable() {
    let (mut slow, _) = founded();
    let id = slow.request(Request::SetName { name: "Ada's tablet".into() });
    assert_eq!(slow.replies.get(&id), None);
    slow.settle();
    assert_eq!(slow.replies.get(&id), Some(&Ok(Reply::Done)));
}

/// "It is so already" is a promise too: what the edit was compared with may still be lost.
#[test]
fn an_edit_that_changes_nothing_is_answered_when_what_it_relies_on_is_durable() {
    let (mut slow, key) = founded();
    slow.edit(key, DocOp::Create(milk()));
    slow.settle();
    let first = slow.edit(key, done(true));
    let second = slow.edit(key, done(true));
    assert_eq!((slow.edited(first), slow.edited(second)), (None, None));
    slow.settle();
    assert!(slow.edited(first).unwrap().entry.is_some());
    assert_eq!(slow.edited(second).unwrap().entry, None);
}

#[test]
fn a_refusal_is_answered_when_what_it_relies_on_is_durable() {
    let (mut slow, key) = founded();
    slow.edit(key, DocOp::Create(milk()));
    let again = slow.edit(key, DocOp::Create(milk()));
    assert_eq!(slow.replies.get(&again), None);
    slow.settle();
    let Some(Ok(Reply::Edited(results))) = slow.replies.get(&again) else { panic!("an answer") };
    assert!(results[0].is_err());
}

/// The demo compared two stores as soon as both statuses said that all was applied, and they differed.
#[test]
fn the_status_counts_what_is_durable() {
    let (mut slow, key) = founded();
    slow.edit(key, DocOp::Create(milk()));
    assert_eq!((slow.status().entries, slow.status().unapplied), (0, 0));
    slow.settle();
    assert_eq!((slow.status().entries, slow.status().unapplied), (1, 0));
}

/// The same for entries of others: Ben's disk holds his batches back while Ada sends.
#[test]
fn the_status_says_applied_when_the_documents_are_durable() {
    let mut world = World::new(5, 2);
    let key = world.found("home", "todos", Role::Writer);
    let mut ben = Slow::start(world.devices[1].store.clone());
    let now = world.now();
    let edits = vec![DocEdit { document: DOCUMENT, keyed: false, op: DocOp::Create(milk()) }];
    world.devices[0].ask(now, Request::Edit { space: key.space, collection: key.collection, edits });
    let link = world.link_outside(0, ben.replica.identity().transport_peer());
    let peer = world.devices[0].replica.identity().transport_peer();
    ben.input(Input::LinkUp { link, peer, address: String::new(), dialled: true });
    let mut under_way = 0;
    for _ in 0..40 {
        for (link, class, bytes) in std::mem::take(&mut ben.sent) {
            world.inject(link, 0, class, bytes);
        }
        for (class, bytes) in std::mem::take(&mut world.outside(link).unwrap().frames) {
            ben.input(Input::Frame { link, class, bytes });
        }
        let shown = ben.status();
        assert_eq!(shown.entries - shown.unapplied, ben.store.documents(key.space, key.collection).len() as u64);
        under_way = under_way.max(ben.unstored.len());
        if ben.sent.is_empty() {
            ben.settle();
        }
    }
    assert!(under_way > 0, "nothing was ever on its way to the disk");
    let shown = ben.status();
    assert_eq!((shown.entries, shown.unapplied), (1, 0), "{shown:?}");
}
