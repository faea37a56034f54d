//! A document as plain Automerge reads it from the bytes that a store keeps.

use std::collections::{BTreeMap, BTreeSet};

use automerge::legacy::{Key, OpType};
use automerge::{Automerge, Change, ObjId, ObjType, ReadDoc, ScalarValueRef, ValueRef};
use farshore_core::id::DocumentId;

use crate::model::actor;
use crate::observe::DocumentSnapshot;
use crate::plain::Plain;

/// Levels of maps and lists that a view shows, the root included; what lies deeper reads as null (`docs/protocol.md`).
const SHOWN_LEVELS: usize = 100;

/// What the bytes hold.
#[derive(Debug)]
pub struct Content {
    /// Automerge's heads.
    pub heads: BTreeSet<[u8; 32]>,
    /// The merged value.
    pub view: Plain,
    /// Whether some key or element has several values.
    pub conflicts: bool,
    /// Every change, by its hash.
    pub changes: BTreeMap<[u8; 32], Made>,
}

/// A change.
#[derive(Debug)]
pub struct Made {
    /// Whose.
    pub actor: Vec<u8>,
    /// What it builds on.
    pub deps: Vec<[u8; 32]>,
    /// If it does nothing but make one container under a key, as the first of its actor: the key, and what it is.
    container: Option<(String, u8)>,
}

impl Content {
    /// Reads the stored bytes. Cost: loads the document.
    ///
    /// # Errors
    /// Automerge's, or that a change lacks what it builds on.
    pub fn read(stored: &DocumentSnapshot) -> Result<Content, String> {
        let mut doc = match &stored.snapshot {
            Some(bytes) => Automerge::load(bytes).map_err(|error| format!("the snapshot does not load: {error}"))?,
            None => Automerge::new(),
        };
        let tail = stored.tail.concat();
        if !tail.is_empty() {
            doc.load_incremental(&tail).map_err(|error| format!("the changes do not load: {error}"))?;
        }
        if !doc.get_missing_deps(&[]).is_empty() {
            return Err("stored changes build on changes that are not stored".into());
        }
        let mut conflicts = false;
        let view = object(&doc, &automerge::ROOT, ObjType::Map, 1, &mut conflicts);
        let changes = doc.get_changes(&[]).into_iter().map(|change| (change.hash().0, Made::of(&change)));
        let changes = changes.collect();
        Ok(Content { heads: doc.get_heads().iter().map(|head| head.0).collect(), view, conflicts, changes })
    }

    /// Whether a change makes nothing but a container of a keyed document, under the one actor that such a change must have.
    pub fn is_container(&self, made: &Made, document: DocumentId, generation: u32) -> bool {
        let Some((key, kind)) = &made.container else { return false };
        let mut keys = vec![key.as_str()];
        let mut at = made;
        while let Some(dep) = at.deps.first() {
            let Some(Made { container: Some((key, 1)), .. }) = self.changes.get(dep) else { return false };
            keys.push(key);
            at = &self.changes[dep];
            if at.deps.len() > 1 || keys.len() > SHOWN_LEVELS {
                return false;
            }
        }
        keys.reverse();
        made.actor == actor::of_container(document, generation, &keys, *kind)
    }
}

impl Made {
    fn of(change: &Change) -> Made {
        Made {
            actor: change.actor_id().to_bytes().to_vec(),
            deps: change.deps().iter().map(|dep| dep.0).collect(),
            container: container(change),
        }
    }
}

fn container(change: &Change) -> Option<(String, u8)> {
    if change.len() != 1 || change.seq() != 1 || change.timestamp() != 0 || change.deps().len() > 1 {
        return None;
    }
    let op = change.decode().operations.pop()?;
    let kind = match op.action {
        OpType::Make(ObjType::Map) => 1,
        OpType::Make(ObjType::List) => 2,
        OpType::Make(ObjType::Text) => 3,
        _ => return None,
    };
    match op.key {
        Key::Map(key) => Some((key.to_string(), kind)),
        Key::Seq(_) => None,
    }
}

fn object(doc: &Automerge, id: &ObjId, kind: ObjType, level: usize, conflicts: &mut bool) -> Plain {
    if kind == ObjType::Text {
        return Plain::Text(doc.text(id).unwrap_or_default());
    }
    if level > SHOWN_LEVELS {
        return Plain::Null;
    }
    if kind == ObjType::List {
        let mut list = Vec::new();
        for item in doc.list_range(id, ..) {
            *conflicts |= item.conflict;
            list.push(value(doc, item.value.clone(), || item.id(), level, conflicts));
        }
        return Plain::List(list);
    }
    let mut map = BTreeMap::new();
    for item in doc.map_range(id, ..) {
        *conflicts |= item.conflict;
        let shown = value(doc, item.value.clone(), || item.id(), level, conflicts);
        map.insert(item.key.clone().into_owned(), shown);
    }
    Plain::Map(map)
}

fn value(doc: &Automerge, value: ValueRef<'_>, id: impl Fn() -> ObjId, level: usize, conflicts: &mut bool) -> Plain {
    let scalar = match value {
        ValueRef::Object(kind) => return object(doc, &id(), kind, level + 1, conflicts),
        ValueRef::Scalar(scalar) => scalar,
    };
    match scalar {
        ScalarValueRef::Null => Plain::Null,
        ScalarValueRef::Boolean(value) => Plain::Bool(value),
        ScalarValueRef::Int(value) => Plain::Int(value),
        ScalarValueRef::Uint(value) => Plain::Uint(value),
        ScalarValueRef::F64(value) => Plain::FloatBits(value.to_bits()),
        ScalarValueRef::Str(text) => Plain::Str(text.into_owned()),
        ScalarValueRef::Counter(value) => Plain::Counter(value),
        ScalarValueRef::Timestamp(value) => Plain::Timestamp(value),
        ScalarValueRef::Bytes(bytes) => Plain::Bytes(bytes.into_owned()),
        ScalarValueRef::Unknown { bytes, .. } => Plain::Bytes(bytes.into_owned()),
    }
}
