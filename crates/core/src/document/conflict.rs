//! Where several values were written concurrently, and which one the view shows.

use automerge::{ActorId, ObjId, ObjType, Prop, ReadDoc};

use super::path::{Path, child};
use super::view::{Hidden, object, scalar};
use crate::limits::VALUE_DEPTH;
use crate::value::Value;

/// A key or element with several values. Writing to it settles it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Where.
    pub path: Path,
    /// All values, at least two, in ascending order of their operation ids: the same on every device.
    pub values: Vec<Candidate>,
    /// Which of them the view shows.
    pub winner: usize,
}

/// One of several values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The value.
    pub value: Value,
    /// The actor that wrote it.
    pub actor: [u8; 16],
    /// The operation that wrote it, as `counter@actor`.
    pub op: String,
}

/// Lists the conflicts among what the view shows; those inside values that lost are not listed.
pub(crate) fn conflicts(doc: &impl ReadDoc) -> Vec<Conflict> {
    let mut out = Vec::new();
    // What is still to be read; a stack of our own, so that depth costs no stack.
    let mut objects = vec![(automerge::ROOT, ObjType::Map, Path::new())];
    while let Some((id, kind, path)) = objects.pop() {
        if path.len() >= VALUE_DEPTH {
            continue;
        }
        let mut visit = |prop: Prop, conflict: bool, value: automerge::Value<'_>, value_id: ObjId, path: Path| {
            if conflict {
                out.push(Conflict::read(doc, &id, prop, path.clone()));
            }
            if let Some(kind) = value.to_objtype() {
                objects.push((value_id, kind, path));
            }
        };
        match kind {
            ObjType::Text => {}
            ObjType::List => {
                for item in doc.list_range(&id, ..) {
                    let item_path = child(&path, item.index as u64);
                    visit(item.index.into(), item.conflict, item.value.clone().into(), item.id(), item_path);
                }
            }
            ObjType::Map | ObjType::Table => {
                for item in doc.map_range(&id, ..) {
                    let item_path = child(&path, item.key.as_ref());
                    visit(item.key.as_ref().into(), item.conflict, item.value.clone().into(), item.id(), item_path);
                }
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

impl Conflict {
    fn read(doc: &impl ReadDoc, id: &ObjId, prop: Prop, path: Path) -> Conflict {
        let level = path.len() + 1;
        let candidate = |(value, value_id): (automerge::Value<'_>, ObjId)| Candidate {
            value: match &value {
                automerge::Value::Object(kind) => object(doc, &value_id, *kind, level, &Hidden::new(), &mut false),
                automerge::Value::Scalar(value) => scalar(value),
            },
            actor: match &value_id {
                ObjId::Root => [0; 16],
                ObjId::Id(_, actor, _) => actor_bytes(actor),
            },
            op: value_id.to_string(),
        };
        let values: Vec<Candidate> = doc.get_all(id, prop).unwrap_or_default().into_iter().map(candidate).collect();
        // Automerge shows the highest operation id, and gives them in ascending order.
        Conflict { path, winner: values.len().saturating_sub(1), values }
    }
}

/// The actor as 16 bytes: every actor that the validator lets in has that many.
pub(crate) fn actor_bytes(actor: &ActorId) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(actor.to_bytes()) {
        *to = *from;
    }
    out
}
