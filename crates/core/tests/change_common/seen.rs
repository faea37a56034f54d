//! What the operations of some changes leave to refer to: the mutants of the tests and the scripts of the fuzzer name it.

use super::raw::{Id, Key, Op};

/// A value: the operation that made it, its object, and its key or element.
pub(crate) type Made = (Id, Option<Id>, Key);

/// Operations that another one may refer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Object, and whether it is a list or text.
    pub(crate) objects: Vec<(Id, bool)>,
    pub(crate) values: Vec<Made>,
    /// Those of the values that are counters.
    pub(crate) counters: Vec<Made>,
    /// Inserted element and its object.
    pub(crate) elements: Vec<(Id, Option<Id>)>,
}

impl Seen {
    /// Takes in an operation of this id.
    pub(crate) fn note(&mut self, id: Id, op: &Op) {
        if matches!(op.action, 0 | 2 | 4) {
            self.objects.push((id.clone(), op.action != 0));
        }
        if op.insert {
            self.elements.push((id.clone(), op.obj.clone()));
        }
        if matches!(op.action, 0 | 1 | 2 | 4) {
            let key = if op.insert { Key::Elem(id.clone()) } else { op.key.clone() };
            if op.action == 1 && op.kind == 8 {
                self.counters.push((id.clone(), op.obj.clone(), key.clone()));
            }
            self.values.push((id, op.obj.clone(), key));
        }
    }
}
