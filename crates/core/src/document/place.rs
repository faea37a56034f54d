//! Finding what is at a path.

use automerge::{ObjId, ObjType, Prop, ReadDoc, ScalarValue};

use super::edit::EditError;
use super::path::{Path, Step};
use super::view::{Hidden, scalar};

/// A document as the edits of a batch see it: without the containers that they have yet to make.
pub(crate) struct Places<'a, R> {
    pub(crate) doc: &'a R,
    pub(crate) hidden: &'a Hidden,
}

/// What is at a place.
pub(crate) enum Found {
    /// A scalar.
    Scalar(ScalarValue),
    /// A map, list or text.
    Object(Container),
}

/// A map, list or text that is there.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) id: ObjId,
    pub(crate) kind: ObjType,
}

impl Found {
    /// Its kind, for a message.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Found::Scalar(value) => scalar(value).kind(),
            Found::Object(container) => container.name(),
        }
    }
}

impl Container {
    /// The document itself.
    pub(crate) const ROOT: Container = Container { id: automerge::ROOT, kind: ObjType::Map };

    /// Its kind, for a message.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            ObjType::Map => "a map",
            ObjType::List => "a list",
            ObjType::Text => "a text",
            ObjType::Table => "a table",
        }
    }
}

impl<R: ReadDoc> Places<'_, R> {
    /// The value at `path`.
    pub(crate) fn find(&self, path: &[Step]) -> Result<Found, EditError> {
        let mut found = Found::Object(Container::ROOT);
        for depth in 0..path.len() {
            found = self.step(&container(found, path, depth)?, path, depth)?;
        }
        Ok(found)
    }

    /// The container that holds the last step of `path`.
    pub(crate) fn parent(&self, path: &[Step]) -> Result<Container, EditError> {
        let depth = path.len().saturating_sub(1);
        match self.find(&path[..depth]) {
            Ok(found) => container(found, path, depth),
            // Say the path that was asked for, not the part of it that was walked.
            Err(EditError::NoSuchPath { missing, .. }) => Err(EditError::NoSuchPath { path: path.to_vec(), missing }),
            Err(other) => Err(other),
        }
    }

    /// The text at `path`.
    pub(crate) fn text(&self, path: &Path) -> Result<ObjId, EditError> {
        match self.find(path)? {
            Found::Object(Container { id, kind: ObjType::Text }) => Ok(id),
            found => Err(EditError::WrongKind { path: path.clone(), found: found.name(), needed: "a text" }),
        }
    }

    /// What is at step number `depth` of `path`, directly in `parent`.
    pub(crate) fn step(&self, parent: &Container, path: &[Step], depth: usize) -> Result<Found, EditError> {
        let wrong = |needed| {
            let (path, found) = (path[..depth].to_vec(), parent.name());
            Err(EditError::WrongKind { path, found, needed })
        };
        match (parent.kind, &path[depth]) {
            (ObjType::Map | ObjType::Table, Step::Key(_)) | (ObjType::List, Step::Index(_)) => {}
            (ObjType::Text, _) => return wrong("a map or list; a text is changed by splices"),
            (_, Step::Key(_)) => return wrong("a map, to find a key in"),
            (_, Step::Index(_)) => return wrong("a list, to find a position in"),
        }
        match self.get(parent, &path[depth])? {
            Some(found) => Ok(found),
            None => Err(EditError::NoSuchPath { path: path.to_vec(), missing: path[..=depth].to_vec() }),
        }
    }

    /// What is in `parent`, if its kind fits the step and something is there.
    pub(crate) fn get(&self, parent: &Container, step: &Step) -> Result<Option<Found>, EditError> {
        // Automerge adds to positions without looking, and panics in a debug build when one is beyond all bounds.
        if matches!(step, Step::Index(index) if *index >= self.doc.length(&parent.id) as u64) {
            return Ok(None);
        }
        Ok(match self.doc.get(&parent.id, prop(step))? {
            Some((_, id)) if self.hidden.contains(&id) => None,
            Some((automerge::Value::Object(kind), id)) => Some(Found::Object(Container { id, kind })),
            Some((automerge::Value::Scalar(value), _)) => Some(Found::Scalar(value.into_owned())),
            None => None,
        })
    }
}

/// The container that was found at the first `depth` steps of `path`.
pub(crate) fn container(found: Found, path: &[Step], depth: usize) -> Result<Container, EditError> {
    match found {
        Found::Object(container) => Ok(container),
        scalar => Err(EditError::WrongKind {
            path: path[..depth].to_vec(),
            found: scalar.name(),
            needed: "a map or list, to go further down",
        }),
    }
}

/// Automerge's form of a step that was found.
pub(crate) fn prop(step: &Step) -> Prop {
    match step {
        Step::Key(key) => Prop::Map(key.clone()),
        Step::Index(index) => Prop::Seq(*index as usize),
    }
}
