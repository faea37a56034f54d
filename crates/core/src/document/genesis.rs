//! Containers of keyed documents that are byte-identical wherever they are created.
//!
//! Two devices that create the same key offline would each make their own list under the same field, and after a merge one
//! of the lists, with all that was put into it, would be hidden. So in a keyed document a container at a path of map keys
//! is made by a change of its own that depends on nothing but where it is: the same bytes and hash on every device, and
//! thus the same container. What goes into it is an ordinary change of the device.
//!
//! The rule is written up in `docs/decisions/002-container-genesis.md`.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, Change, ChangeHash, ObjId, ObjType, ReadDoc};

use super::edit::Edit;
use super::path::Step;
use super::{blank, has_change};
use crate::bytes::Writer;
use crate::id::DocumentId;
use crate::limits::EDIT_DEPTH;
use crate::value::Value;

const LABEL: &[u8] = b"farshore genesis";

/// Whether others may create the same document concurrently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenesisScope {
    /// No: the document's id is random. Containers are made by ordinary operations.
    Ordinary,
    /// Yes: its id is derived from a key.
    Keyed {
        /// The document.
        document: DocumentId,
        /// Its generation.
        generation: u32,
    },
}

/// What a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerKind {
    /// A map.
    Map,
    /// A list.
    List,
    /// A text.
    Text,
}

impl ContainerKind {
    /// The kind of container that a value is, if it is one.
    pub(crate) fn of(value: &Value) -> Option<ContainerKind> {
        match value {
            Value::Map(_) => Some(ContainerKind::Map),
            Value::List(_) => Some(ContainerKind::List),
            Value::Text(_) => Some(ContainerKind::Text),
            _ => None,
        }
    }

    /// Automerge's name for it.
    pub(crate) fn object(self) -> ObjType {
        match self {
            ContainerKind::Map => ObjType::Map,
            ContainerKind::List => ObjType::List,
            ContainerKind::Text => ObjType::Text,
        }
    }

    fn byte(self) -> u8 {
        match self {
            ContainerKind::Map => 1,
            ContainerKind::List => 2,
            ContainerKind::Text => 3,
        }
    }
}

/// The actor of the genesis change of one container: the first 16 bytes of blake3 of a label, the document, its generation,
/// the path (a `u32` count, then each key with a `u32` length) and the kind.
pub(crate) fn actor(document: DocumentId, generation: u32, path: &[&str], kind: ContainerKind) -> [u8; 16] {
    let mut input = Writer::new();
    input.raw(LABEL).raw(document.as_bytes()).u32(generation);
    input.u32(u32::try_from(path.len()).expect("paths are capped at 64 levels"));
    for key in path {
        input.text(key);
    }
    input.u8(kind.byte());
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(input.as_slice()).as_bytes()[..16]);
    out
}

/// The genesis change of the container at `path`, whose parents are maps.
///
/// Shape: sequence 1 of its own actor, time 0, no message; depends on the parent's genesis change, or on nothing at the root;
/// its one operation has the path's length as its number, and replaces nothing.
///
/// Cost: one small Automerge document, and one change for each level.
pub(crate) fn change(document: DocumentId, generation: u32, path: &[&str], kind: ContainerKind) -> Change {
    let mut chain = blank();
    let mut parent = automerge::ROOT;
    for depth in 1..=path.len() {
        let kind = if depth == path.len() { kind } else { ContainerKind::Map };
        chain.set_actor(ActorId::from(actor(document, generation, &path[..depth], kind)));
        let mut tx = chain.transaction();
        parent = tx.put_object(&parent, path[depth - 1], kind.object()).expect("a map takes a container");
        tx.commit_with(CommitOptions::default().with_time(0));
    }
    chain.get_last_local_change().expect("a genesis path has at least one key")
}

/// The object that the genesis change of this container makes.
fn object_id(document: DocumentId, generation: u32, path: &[&str], kind: ContainerKind) -> ObjId {
    // The actor's position is only a hint to Automerge.
    ObjId::Id(path.len() as u64, ActorId::from(actor(document, generation, path, kind)), 0)
}

/// Whether `change` is byte for byte the genesis change of some container of this document. `parent` finds a change by its
/// hash, in the document or in the batch that `change` came with.
///
/// Cost: as [`change`], and one look-up for each level.
pub fn is_genesis(
    document: DocumentId,
    generation: u32,
    candidate: &Change,
    parent: &dyn Fn(&ChangeHash) -> Option<Change>,
) -> bool {
    let Some((key, kind)) = made(candidate) else {
        return false;
    };
    let mut keys = vec![key];
    let mut deps = candidate.deps().to_vec();
    while let Some(dep) = deps.pop() {
        let Some((key, ContainerKind::Map)) = parent(&dep).and_then(|change| {
            deps = change.deps().to_vec();
            made(&change)
        }) else {
            return false;
        };
        keys.push(key);
        if keys.len() > EDIT_DEPTH {
            return false;
        }
    }
    let path: Vec<&str> = keys.iter().rev().map(String::as_str).collect();
    change(document, generation, &path, kind).hash() == candidate.hash()
}

/// The key and kind of the container that a change makes, if that is all it does.
fn made(change: &Change) -> Option<(String, ContainerKind)> {
    if change.len() != 1 || change.seq() != 1 || change.deps().len() > 1 {
        return None;
    }
    let op = change.decode().operations.pop()?;
    let kind = match op.action {
        automerge::legacy::OpType::Make(ObjType::Map) => ContainerKind::Map,
        automerge::legacy::OpType::Make(ObjType::List) => ContainerKind::List,
        automerge::legacy::OpType::Make(ObjType::Text) => ContainerKind::Text,
        _ => return None,
    };
    match op.key {
        automerge::legacy::Key::Map(key) => Some((key.to_string(), kind)),
        automerge::legacy::Key::Seq(_) => None,
    }
}

/// A genesis change that a batch of edits needs, and the object that it makes.
pub(crate) struct Needed {
    /// The change.
    pub(crate) change: Change,
    /// Its object.
    pub(crate) object: ObjId,
}

/// The genesis changes that a batch of edits to this document needs, parents first: one for each container that the batch
/// makes at a path of map keys where nothing is visible, unless its genesis change is already in the document.
///
/// The batch may turn out not to use one of them (it made and deleted the field before); that one stays invisible.
pub(crate) fn needed(doc: &Automerge, scope: GenesisScope, edits: &[Edit]) -> Vec<Needed> {
    let GenesisScope::Keyed { document, generation } = scope else {
        return Vec::new();
    };
    let mut scan = Scan { doc, document, generation, found: Vec::new() };
    for edit in edits {
        match edit {
            Edit::Put { path, value, create_parents } => scan.put(path, value, *create_parents),
            Edit::Replace { value } | Edit::Merge { value } => {
                scan.fill(&mut Vec::new(), Seat::Object(automerge::ROOT), value)
            }
            _ => {}
        }
    }
    scan.found.into_iter().map(|found| found.needed).collect()
}

struct Scan<'a> {
    doc: &'a Automerge,
    document: DocumentId,
    generation: u32,
    found: Vec<Found>,
}

struct Found {
    path: Vec<String>,
    kind: ContainerKind,
    needed: Needed,
}

/// A map whose keys may hold genesis containers: the root, or one that has a genesis change itself.
enum Seat {
    /// It is in the document.
    Object(ObjId),
    /// The batch makes it.
    New,
}

impl Scan<'_> {
    fn put(&mut self, path: &[Step], value: &Value, create_parents: bool) {
        let Some(keys) = path.iter().map(Step::key).collect::<Option<Vec<&str>>>() else {
            return;
        };
        let Some((last, parents)) = keys.split_last() else {
            return;
        };
        let mut at = Vec::new();
        let mut seat = Seat::Object(automerge::ROOT);
        for key in parents {
            at.push(*key);
            let next = match self.seat(&seat, &at) {
                None if create_parents => self.make(&seat, &at, ContainerKind::Map),
                there => there,
            };
            match next {
                Some(next) => seat = next,
                None => return,
            }
        }
        at.push(last);
        self.create(&mut at, &seat, value);
    }

    /// The map at `path`, whose parent is `parent`, if it is there and may hold genesis containers.
    fn seat(&self, parent: &Seat, path: &[&str]) -> Option<Seat> {
        if self.found.iter().any(|found| found.path == path && found.kind == ContainerKind::Map) {
            return Some(Seat::New);
        }
        let Seat::Object(parent) = parent else {
            return None;
        };
        let (_, id) = self.doc.get(parent, *path.last()?).ok()??;
        let genesis = object_id(self.document, self.generation, path, ContainerKind::Map);
        (id == genesis).then_some(Seat::Object(id))
    }

    /// Notes what the batch makes when it writes `value` to a key of `parent`.
    fn create<'v>(&mut self, path: &mut Vec<&'v str>, parent: &Seat, value: &'v Value) {
        let Some(kind) = ContainerKind::of(value) else {
            return;
        };
        if let Some(seat) = self.make(parent, path, kind) {
            self.fill(path, seat, value);
        }
    }

    /// Notes what the batch makes when it brings the map at `path` to `value`.
    fn fill<'v>(&mut self, path: &mut Vec<&'v str>, map: Seat, value: &'v Value) {
        let Value::Map(fields) = value else {
            return;
        };
        for (key, value) in fields {
            if ContainerKind::of(value).is_none() {
                continue;
            }
            path.push(key);
            match self.seat(&map, path) {
                Some(seat) => self.fill(path, seat, value),
                None => self.create(path, &map, value),
            }
            path.pop();
        }
    }

    /// Notes a container, if nothing is visible at its place and its genesis change is new. Gives it as a map's seat.
    fn make(&mut self, parent: &Seat, path: &[&str], kind: ContainerKind) -> Option<Seat> {
        if self.found.iter().any(|found| found.path == path) {
            return None;
        }
        if let Seat::Object(parent) = parent
            && self.doc.get(parent, *path.last()?).ok()?.is_some()
        {
            return None;
        }
        let change = change(self.document, self.generation, path, kind);
        if has_change(self.doc, &change.hash()) {
            return None;
        }
        let object = object_id(self.document, self.generation, path, kind);
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        self.found.push(Found { path, kind, needed: Needed { change, object } });
        Some(Seat::New)
    }
}
