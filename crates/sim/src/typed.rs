//! An app's own types in a simulated world, by the very serde that its real collections have.
//!
//! `farshore::to_value` and `farshore::from_value` take a type to a document's content and back, and choose what merges how (a
//! `farshore::Counter` is a counter). The simulator has no such pair of its own: a second one could differ from what the app
//! writes on real devices. What is here takes and gives the [`Value`] between the two.

use std::collections::BTreeMap;
use std::fmt::Display;

use farshore_core::document::diff::diff;
use farshore_core::document::{Edit as CoreEdit, Path, Step as CoreStep};
use farshore_core::id::DocumentId;
use farshore_core::value::Value;

use crate::app::{Act, Shown};
use crate::convert::{plain_of, value_of};
use crate::plain::{Edit, Plain, Step};

impl From<Value> for Plain {
    fn from(value: Value) -> Plain {
        plain_of(&value)
    }
}

impl Shown {
    /// A collection's documents as the app's own type. `read` is how the app reads one: `from_value::<Order>`. What has not its shape
    /// is left out, as an app leaves out what a member in bad hands wrote: see [`Shown::strange`].
    pub fn read<T, E>(&self, collection: usize, read: impl Fn(&Value) -> Result<T, E>) -> BTreeMap<DocumentId, T> {
        let documents = self.collections.get(collection).into_iter().flatten();
        documents.filter_map(|(id, plain)| Some((*id, read(&value_of(plain)).ok()?))).collect()
    }

    /// A collection's documents that have not the type's shape, each with why and what it holds. Where no device is in bad hands
    /// (profiles other than byzantine and small), there must be none.
    pub fn strange<T, E: Display>(
        &self,
        collection: usize,
        read: impl Fn(&Value) -> Result<T, E>,
    ) -> BTreeMap<DocumentId, String> {
        let documents = self.collections.get(collection).into_iter().flatten();
        let why = |plain: &Plain| Some(format!("{}: {plain}", read(&value_of(plain)).err()?));
        documents.filter_map(|(id, plain)| Some((*id, why(plain)?))).collect()
    }
}

impl Act<'_> {
    /// One of the documents that the device shows of the chosen collection, as the app's own type; `None` also for one that has
    /// not its shape, as an app would not let a user touch it.
    pub fn any<T, E>(&mut self, read: impl Fn(&Value) -> Result<T, E>) -> Option<(DocumentId, T)> {
        let (id, plain) = self.any_document()?;
        Some((id, read(&value_of(plain)).ok()?))
    }

    /// Brings a document that the device shows to this content, by the few edits between the two, as `Document::change` does: what
    /// others write elsewhere in it stays. Does nothing to a document that it does not show.
    ///
    /// # Panics
    /// The content is no map. (A run reports it as a violation.)
    pub fn change(&mut self, document: DocumentId, to: Value) -> &mut Self {
        assert!(matches!(to, Value::Map(_)), "a document's content is a map, not {to:?}");
        let Some(shown) = self.documents().get(&document) else { return self };
        let edits: Vec<Edit> = diff(&value_of(shown), &to).into_iter().map(|edit| edit_of(edit, shown)).collect();
        if edits.is_empty() { self } else { self.edit(document, edits) }
    }
}

/// One edit of a difference between two maps, the first of which is `shown`, as plans hold it.
fn edit_of(edit: CoreEdit, shown: &Plain) -> Edit {
    match edit {
        CoreEdit::Put { path, value, .. } => Edit::Put { path: path_of(path), value: value.into() },
        CoreEdit::Insert { path, value } => Edit::Insert { path: path_of(path), value: value.into() },
        CoreEdit::UpdateText { path, to } => text_edit(path_of(path), shown, to),
        CoreEdit::Increment { path, by } => Edit::Increment { path: path_of(path), by },
        CoreEdit::Delete { path } => Edit::Delete { path: path_of(path) },
        other => unreachable!("no difference between two maps has {other:?}"),
    }
}

/// All between the first and the last character that differ is typed anew. A text within a list is written as a whole: edits before
/// this one may have moved it, so that what is shown at its path is another one.
fn text_edit(path: Vec<Step>, shown: &Plain, to: String) -> Edit {
    let shown = path.iter().try_fold(shown, |plain, step| match step {
        Step::Key(key) => plain.get(key),
        Step::Index(_) => None,
    });
    let Some(from) = shown.and_then(Plain::as_str) else { return Edit::Put { path, value: Plain::Text(to) } };
    let (old, new): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let same = |pairs: &mut dyn Iterator<Item = (&char, &char)>| pairs.take_while(|(one, other)| one == other).count();
    let before = same(&mut old.iter().zip(&new));
    let after = same(&mut old[before..].iter().rev().zip(new[before..].iter().rev()));
    let insert = new[before..new.len() - after].iter().collect();
    Edit::Splice { path, at: before as u64, delete: (old.len() - after - before) as u64, insert }
}

fn path_of(path: Path) -> Vec<Step> {
    let step = |step| match step {
        CoreStep::Key(key) => Step::Key(key),
        CoreStep::Index(index) => Step::Index(index),
    };
    path.into_iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Target;
    use crate::dice::Dice;
    use crate::plain::{Op, keys};

    const ID: DocumentId = DocumentId([7; 16]);

    fn shown() -> Shown {
        let plain = Plain::map([
            ("stock", Plain::Counter(5)),
            ("note", Plain::Text("grün".into())),
            ("tags", Plain::List(vec![Plain::Str("a".into())])),
            ("notes", Plain::List(vec![Plain::Text("one".into())])),
            ("old", Plain::Null),
        ]);
        Shown { collections: vec![BTreeMap::from([(ID, std::sync::Arc::new(plain))])] }
    }

    #[test]
    fn a_changed_document_becomes_the_few_edits_that_each_kind_has() {
        let shown = shown();
        let mut act = Act::new(0, Dice::seeded(1), &shown);
        let to = Value::from([
            ("stock", Value::Counter(8)),
            ("note", Value::Text("graun".into())),
            ("notes", Value::List(vec![Value::Text("two".into())])),
            ("tags", Value::List(vec![Value::Str("a".into()), Value::Str("b".into())])),
            ("new", Value::Bool(true)),
        ]);
        act.change(ID, to);
        let (_, edits) = act.finish();
        let [(Target::Document(ID), Op::Edit(edits))] = &edits[..] else { panic!("{edits:?}") };
        let end = vec![Step::Key("tags".into()), Step::Index(1)];
        for edit in [
            Edit::Increment { path: keys(["stock"]), by: 3 },
            Edit::Splice { path: keys(["note"]), at: 2, delete: 1, insert: "au".into() },
            Edit::Put { path: vec![Step::Key("notes".into()), Step::Index(0)], value: Plain::Text("two".into()) },
            Edit::Insert { path: end, value: Plain::Str("b".into()) },
            Edit::Put { path: keys(["new"]), value: Plain::Bool(true) },
            Edit::Delete { path: keys(["old"]) },
        ] {
            assert!(edits.contains(&edit), "{edit:?} is not in {edits:?}");
        }
        assert_eq!(edits.len(), 6);
    }

    #[test]
    fn what_is_as_it_was_or_not_shown_is_not_edited() {
        let shown = shown();
        let mut act = Act::new(0, Dice::seeded(1), &shown);
        let same = value_of(&shown.collections[0][&ID]);
        act.change(ID, same.clone()).change(DocumentId([8; 16]), same);
        assert_eq!(act.finish().1, []);
    }

    #[test]
    fn a_document_of_another_shape_is_left_out_and_told_with_what_it_holds() {
        let shown = shown();
        let field = |name: &'static str| move |value: &Value| value.get(name).cloned().ok_or(format!("no {name}"));
        assert_eq!(shown.read(0, field("stock")), BTreeMap::from([(ID, Value::Counter(5))]));
        assert_eq!(shown.strange(0, field("stock")), BTreeMap::new());
        assert_eq!(shown.read(0, field("price")), BTreeMap::new());
        let strange = shown.strange(0, field("price"));
        assert!(strange[&ID].contains("no price") && strange[&ID].contains("grün"), "{strange:?}");
        assert_eq!(shown.read(1, field("stock")), BTreeMap::new(), "a collection of which nothing is shown");
    }
}
