//! What runs on top: an app's own documents, its users' actions and what must hold of them.
//!
//! The built-in [`Workload`](crate::workload::Workload) is one; an app team writes its own in some 30 lines
//! (`examples/sim_app.rs`, `docs/simulator.md`), in its own types where it likes ([`typed`](crate::typed)).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use farshore_core::id::DocumentId;

use crate::dice::Dice;
use crate::observe::DeviceNo;
use crate::plain::{Edit, Op, Plain};

/// A collection that the app's space has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its name.
    pub name: String,
    /// Whether a concurrent edit beats a deletion.
    pub edit_wins: bool,
}

impl Collection {
    /// A collection in which deletions win.
    pub fn new(name: &str) -> Collection {
        Collection { name: name.to_owned(), edit_wins: false }
    }
}

/// What a device's app shows: each collection's documents, by the collection's place in [`App::collections`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// One for each collection.
    pub collections: Vec<BTreeMap<DocumentId, Arc<Plain>>>,
}

/// An app and its users.
pub trait App: fmt::Debug + Sync {
    /// The collections of its space, at least one.
    fn collections(&self) -> Vec<Collection>;

    /// A user does one thing on one device. Every choice comes from `act.dice`, so that a run can be repeated.
    fn act(&self, act: &mut Act<'_>);

    /// What must hold of what any device shows, at any time.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&self, shown: &Shown) -> Result<(), String> {
        let _ = shown;
        Ok(())
    }

    /// What must hold once all devices have met and show the same.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check_converged(&self, shown: &Shown) -> Result<(), String> {
        let _ = shown;
        Ok(())
    }
}

/// One thing that a user does: it becomes one request to edit documents of one collection.
#[derive(Debug)]
pub struct Act<'a> {
    /// On which device.
    pub device: DeviceNo,
    /// Every choice.
    pub dice: Dice<'static>,
    shown: &'a Shown,
    collection: usize,
    edits: Vec<(Target, Op)>,
}

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One that nobody has yet.
    New,
    /// The one with this key.
    Key(String),
    /// This one.
    Document(DocumentId),
}

impl<'a> Act<'a> {
    pub(crate) fn new(device: DeviceNo, dice: Dice<'static>, shown: &'a Shown) -> Act<'a> {
        Act { device, dice, shown, collection: 0, edits: Vec::new() }
    }

    pub(crate) fn finish(self) -> (usize, Vec<(Target, Op)>) {
        (self.collection, self.edits)
    }

    /// Chooses the collection, by its place in [`App::collections`]; the first one otherwise. All edits of one act are in one.
    pub fn in_collection(&mut self, collection: usize) -> &mut Self {
        self.collection = collection;
        self
    }

    /// The documents that the device shows of the chosen collection.
    pub fn documents(&self) -> &'a BTreeMap<DocumentId, Arc<Plain>> {
        static NONE: BTreeMap<DocumentId, Arc<Plain>> = BTreeMap::new();
        self.shown.collections.get(self.collection).unwrap_or(&NONE)
    }

    /// One of the documents that the device shows of the chosen collection, if it shows any.
    pub fn any_document(&mut self) -> Option<(DocumentId, &'a Plain)> {
        let documents = self.documents();
        let index = self.dice.index(documents.len());
        documents.iter().nth(index).map(|(id, value)| (*id, &**value))
    }

    /// Creates a document under an id of its own.
    pub fn create(&mut self, value: impl Into<Plain>) -> &mut Self {
        self.push(Target::New, Op::Create(value.into()))
    }

    /// Creates the document with this key or sets these fields of it.
    pub fn upsert(&mut self, key: impl Into<String>, fields: impl Into<Plain>) -> &mut Self {
        self.push(Target::Key(key.into()), Op::Upsert(fields.into()))
    }

    /// Edits a document.
    pub fn edit(&mut self, document: DocumentId, edits: Vec<Edit>) -> &mut Self {
        self.push(Target::Document(document), Op::Edit(edits))
    }

    /// Deletes a document.
    pub fn delete(&mut self, document: DocumentId) -> &mut Self {
        self.push(Target::Document(document), Op::Delete)
    }

    fn push(&mut self, target: Target, op: Op) -> &mut Self {
        self.edits.push((target, op));
        self
    }
}
