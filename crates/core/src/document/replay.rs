//! A change of another device, made again as its author made it, where that is cheaper than applying it.
//!
//! Automerge's `apply_changes` walks the whole object that a change touches, however little the change does: 21 ms for a text of
//! 100,000 changes, where a transaction, which seeks its places, takes a thirtieth of that. Where a change builds on exactly what
//! the document holds, its author's transaction can be made again under its author's actor: the same calls on the same state give
//! the same change, and its hash proves it. Only splices of texts are made again, because texts are what grows large and is typed
//! in (`docs/decisions/019-changes-made-again.md`).

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{Automerge, Change, Cursor, ObjId, ObjType, ReadDoc, ScalarValue};

use super::{ApplyError, max_op, settle};
use crate::limits::{REPLAY_CHANGES, REPLAY_OPS, REPLAY_PER_OPS};

/// Whether changes are worth making again: the document is large, and they do little.
pub(super) fn worth_it(doc: &Automerge, changes: &[Change]) -> bool {
    let most = (doc.stats().num_ops / REPLAY_PER_OPS).min(REPLAY_CHANGES);
    changes.len() as u64 <= most && changes.iter().map(Change::len).sum::<usize>() <= REPLAY_OPS
}

/// Makes a change again. `false` if it cannot be: the document is as it was then, and the change is to be applied.
///
/// The change must have passed the validator, and is not in the document yet.
///
/// # Errors
/// What was made turned out to be another change and could not be taken back: [`ApplyError::Internal`].
pub(super) fn replay(doc: &mut Automerge, change: &Change) -> Result<bool, ApplyError> {
    let before = doc.get_heads();
    let plain = change.message().is_none() && change.extra_bytes().is_empty() && !change.is_empty();
    let numbered = change.start_op().get() == max_op(doc) + 1;
    if !plain || !numbered || !before.iter().all(|head| change.deps().contains(head)) {
        return Ok(false);
    }
    let Some(splices) = splices(change) else { return Ok(false) };
    doc.set_actor(change.actor_id().clone());
    let mut tx = doc.transaction();
    if !splices.iter().all(|splice| carry_out(&mut tx, splice)) {
        tx.rollback();
        return Ok(false);
    }
    let made = tx.commit_with(CommitOptions::default().with_time(change.timestamp())).0;
    if made == Some(change.hash()) {
        return Ok(true);
    }
    // The author's Automerge chose another place than ours does: none that we know of, but a hostile one may.
    let internal = |error: automerge::AutomergeError| ApplyError::Internal(error.to_string());
    *doc = settle(doc.fork_at(&before).map_err(internal)?);
    Ok(false)
}

/// One call that the author made, or a part of it.
enum Splice {
    Insert { text: ObjId, after: ElementId, insert: String },
    Delete { text: ObjId, element: OpId },
}

/// The splices of one character or more that make up a change; `None` if it does anything else.
fn splices(change: &Change) -> Option<Vec<Splice>> {
    let mut splices: Vec<Splice> = Vec::new();
    // The element that was inserted last, which the next may follow in the same splice.
    let mut last: Option<OpId> = None;
    let ids = change.start_op().get()..;
    for (Op { action, obj, key, insert, .. }, counter) in change.decode().operations.into_iter().zip(ids) {
        let (ObjectId::Id(object), Key::Seq(element)) = (obj, key) else { return None };
        let text = ObjId::Id(object.counter(), object.actor().clone(), 0);
        match (action, element) {
            (OpType::Put(ScalarValue::Str(one)), after) if insert && one.chars().count() == 1 => {
                match splices.last_mut() {
                    Some(Splice::Insert { text: of, insert, .. })
                        if *of == text && last.as_ref() == after.as_opid() =>
                    {
                        insert.push_str(&one);
                    }
                    _ => splices.push(Splice::Insert { text, after, insert: one.to_string() }),
                }
                last = Some(OpId::new(counter, change.actor_id()));
            }
            (OpType::Delete, ElementId::Id(element)) => {
                splices.push(Splice::Delete { text, element });
                last = None;
            }
            _ => return None,
        }
    }
    Some(splices)
}

/// Whether a splice could be carried out where its author did.
fn carry_out(tx: &mut Transaction<'_>, splice: &Splice) -> bool {
    let (Splice::Insert { text, .. } | Splice::Delete { text, .. }) = splice;
    if !matches!(tx.object_type(text), Ok(ObjType::Text)) {
        return false;
    }
    let (at, delete, insert) = match splice {
        Splice::Insert { after: ElementId::Head, insert, .. } => (Some(0), 0, insert.as_str()),
        Splice::Insert { after: ElementId::Id(after), insert, .. } => {
            (shown_at(tx, text, after).map(|at| at + 1), 0, insert.as_str())
        }
        Splice::Delete { element, .. } => (shown_at(tx, text, element), 1, ""),
    };
    at.is_some_and(|at| tx.splice_text(text, at, delete, insert).is_ok())
}

/// Where an element of a text is shown, if it is: what was deleted, and marks, are not.
fn shown_at(tx: &Transaction<'_>, text: &ObjId, element: &OpId) -> Option<usize> {
    let cursor = Cursor::try_from(format!("{}@{}", element.counter(), element.actor()).as_str()).ok()?;
    let at = tx.get_cursor_position(text, &cursor, None).ok()?;
    match tx.get(text, at).ok()?? {
        (_, ObjId::Id(counter, actor, _)) if counter == element.counter() && actor == *element.actor() => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::path::keys;
    use crate::document::{Document, Edit, Expand, GenesisScope};
    use crate::value::Value;

    fn actor(device: usize) -> [u8; 16] {
        [device as u8 + 1; 16]
    }

    fn splice(at: u64, delete: u64, insert: &str) -> Edit {
        Edit::Splice { path: keys(["t"]), at, delete, insert: insert.into() }
    }

    fn mark(start: u64, end: u64, expand: Expand) -> Edit {
        Edit::Mark { path: keys(["t"]), start, end, name: "bold".into(), value: Value::Bool(true), expand }
    }

    /// Edits a document, and gives the change.
    fn edit(doc: &mut Document, device: usize, edits: &[Edit]) -> Option<Change> {
        let made = doc.edit(actor(device), GenesisScope::Ordinary, edits).expect("allowed").changes;
        made.first().map(|made| Change::from_bytes(made.bytes.clone()).expect("our own"))
    }

    /// A text, and a copy of it.
    fn text(of: &str) -> (Document, Document) {
        let mut doc = Document::empty();
        edit(&mut doc, 0, &[Edit::put(keys(["t"]), Value::Text(of.into()))]);
        let copy = doc.clone();
        (doc, copy)
    }

    fn replayed(doc: &mut Document, change: &Change) -> bool {
        doc.replay(change).expect("no fault")
    }

    fn length(doc: &Document) -> u64 {
        match doc.view().value.get("t") {
            Some(Value::Text(text)) => text.chars().count() as u64,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn typing_and_deleting_are_made_again() {
        let (mut author, mut reader) = text("héllo 🦀");
        let edits = [
            vec![splice(0, 0, "x")],
            vec![splice(3, 2, "ab👩‍👩‍👧c")],
            vec![splice(2, 4, "")],
            vec![splice(1, 0, "one"), splice(2, 1, "two"), splice(0, 1, "")],
        ];
        for edits in edits {
            let change = edit(&mut author, 1, &edits).expect("a change");
            assert!(replayed(&mut reader, &change), "{edits:?}");
            assert_eq!((reader.heads(), reader.view()), (author.heads(), author.view()));
        }
        let end = length(&author);
        let change = edit(&mut author, 1, &[splice(end, 0, "end")]).expect("a change");
        assert!(replayed(&mut reader, &change), "a second change of one actor at the end");
    }

    #[test]
    fn what_does_more_or_builds_on_less_is_left_alone() {
        let (mut author, reader) = text("hello");
        let mut there = author.clone();
        let own = edit(&mut there, 2, &[splice(1, 1, "")]).expect("a change");
        let put = edit(&mut author, 1, &[Edit::put(keys(["n"]), Value::Int(1))]).expect("a change");
        let with_put = author.clone();
        let marked = edit(&mut author, 1, &[mark(1, 3, Expand::After)]).expect("a change");
        for (mut doc, change) in [(reader.clone(), &put), (with_put, &marked), (reader.clone(), &own)] {
            let before = (doc.heads(), doc.view(), doc.save());
            let made = replayed(&mut doc, change);
            assert_eq!(made, change.hash() == own.hash());
            assert!(made || (doc.heads(), doc.view(), doc.save()) == before);
        }
        // The author has not seen the reader's own edit.
        let mut reader = reader;
        edit(&mut reader, 3, &[splice(0, 0, "mine ")]).expect("a change");
        let before = (reader.heads(), reader.view());
        assert!(!replayed(&mut reader, &own));
        assert_eq!((reader.heads(), reader.view()), before);
        reader.apply(vec![own]).expect("fits");
        assert_eq!(reader.view().value.get("t"), Some(&Value::Text("mine hllo".into())));
    }

    #[test]
    fn a_change_that_no_transaction_of_ours_would_make_is_taken_back_and_can_be_applied() {
        let (mut author, _) = text("ab");
        edit(&mut author, 0, &[mark(0, 1, Expand::None)]);
        let mut reader = author.clone();
        // Between the letters, our Automerge goes behind the end of the mark; this author goes before it.
        let mut change = edit(&mut author, 1, &[splice(1, 0, "x")]).expect("a change").decode();
        let letter = Key::Seq(ElementId::Id(OpId::new(2, &actor(0).into())));
        assert_ne!(change.operations[0].key, letter);
        change.operations[0].key = letter;
        let change = Change::from(change);
        let before = (reader.heads(), reader.view());
        assert!(!replayed(&mut reader, &change));
        assert_eq!((reader.heads(), reader.view()), before);
        reader.apply(vec![change]).expect("fits");
        assert_eq!(reader.view().value.get("t"), Some(&Value::Text("axb".into())));
    }

    #[test]
    fn a_large_text_takes_a_few_keystrokes_as_their_author_made_them_and_applies_many() {
        // Whose transaction was the last is left in the document.
        let takes = |length: u64, strokes: u64| {
            let (mut author, mut reader) = text(&"a".repeat(length as usize));
            let typed = (0..strokes).filter_map(|at| edit(&mut author, 1, &[splice(at * 2, 0, "x")])).collect();
            reader.apply(typed).expect("fits");
            assert_eq!((reader.heads(), reader.view()), (author.heads(), author.view()));
            *reader.as_automerge().get_actor() == actor(1).into()
        };
        assert!(!takes(REPLAY_PER_OPS - 10, 1), "a small text");
        assert!(takes(REPLAY_PER_OPS, 1) && takes(10 * REPLAY_PER_OPS, 10));
        assert!(!takes(10 * REPLAY_PER_OPS, 11), "more than they are worth");
        assert!(!takes(100 * REPLAY_PER_OPS, REPLAY_CHANGES + 1), "more than are made again at a time");
    }

    #[derive(Debug, Clone)]
    enum Action {
        Type { device: usize, at: u16, delete: u8, insert: String },
        Mark { device: usize, at: u16, length: u8, expand: bool },
        Merge { to: usize, from: usize },
    }

    fn action() -> impl Strategy<Value = Action> {
        let typed = (0..3_usize, any::<u16>(), 0..3_u8, prop::sample::select(vec!["", "a", "bc", "é🦀", "👩‍👧"]));
        prop_oneof![
            6 => typed.prop_map(|(device, at, delete, insert)| Action::Type { device, at, delete, insert: insert.into() }),
            1 => (0..3_usize, any::<u16>(), 1..4_u8, any::<bool>())
                .prop_map(|(device, at, length, expand)| Action::Mark { device, at, length, expand }),
            3 => (0..3_usize, 0..3_usize).prop_map(|(to, from)| Action::Merge { to, from }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whoever makes changes again where it can holds what one holds who applies them, and goes on from there alike.
        #[test]
        fn changes_made_again_are_changes_applied(actions in prop::collection::vec(action(), 1..40)) {
            let (first, _) = text("hello");
            let mut docs = [first.clone(), first.clone(), first];
            for action in actions {
                match action {
                    Action::Type { device, at, delete, insert } => {
                        let length = length(&docs[device]);
                        let at = u64::from(at) % (length + 1);
                        let delete = u64::from(delete).min(length - at);
                        edit(&mut docs[device], device, &[splice(at, delete, &insert)]);
                    }
                    Action::Mark { device, at, length: wide, expand } => {
                        let length = length(&docs[device]);
                        let start = u64::from(at) % (length + 1);
                        let end = (start + u64::from(wide)).min(length);
                        if start < end {
                            let expand = if expand { Expand::Both } else { Expand::None };
                            edit(&mut docs[device], device, &[mark(start, end, expand)]);
                        }
                    }
                    Action::Merge { to, from } => {
                        let changes = docs[from].changes_since(&docs[to].heads());
                        let mut applied = docs[to].clone();
                        applied.apply(changes.clone()).expect("fits");
                        for change in changes {
                            if !docs[to].has_change(&change.hash()) && !replayed(&mut docs[to], &change) {
                                docs[to].apply(vec![change]).expect("fits");
                            }
                        }
                        prop_assert_eq!(docs[to].heads(), applied.heads());
                        prop_assert_eq!(docs[to].view(), applied.view());
                        let marks = |doc: &Document| doc.marks(&keys(["t"])).expect("a text");
                        prop_assert_eq!(marks(&docs[to]), marks(&applied));
                        let saved = Document::load(Some(&docs[to].save()), &[]).expect("our own");
                        prop_assert_eq!(saved.heads(), applied.heads());
                        prop_assert_eq!(saved.view(), applied.view());
                    }
                }
            }
        }
    }
}
