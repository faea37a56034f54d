//! Documents converge: equal changes give equal heads, views and conflicts, in whatever order they come.

mod devices;
mod generate;

use automerge::Change;
use devices::{KEYED, actions, actor, copy, merge, play};
use farshore_core::document::path::keys;
use farshore_core::document::{Document, Edit, GenesisScope};
use farshore_core::value::Value;
use proptest::prelude::*;

/// Changes in an order that keeps each after those it builds on, chosen by `picks`.
fn shuffled(mut waiting: Vec<Change>, picks: &[u16]) -> Vec<Change> {
    let mut out: Vec<Change> = Vec::new();
    let mut picks = picks.iter().cycle();
    waiting.dedup_by_key(|change| change.hash());
    while !waiting.is_empty() {
        let ready: Vec<usize> = (0..waiting.len())
            .filter(|&i| waiting[i].deps().iter().all(|dep| out.iter().any(|done| done.hash() == *dep)))
            .collect();
        let pick = ready[usize::from(*picks.next().unwrap()) % ready.len()];
        out.push(waiting.remove(pick));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_order_of_changes_gives_the_same_document(
        actions in actions(3, 24),
        keyed in any::<bool>(),
        picks in prop::collection::vec(any::<u16>(), 1..40),
        batch in 1usize..8,
    ) {
        let scope = if keyed { KEYED } else { GenesisScope::Ordinary };
        let (docs, made) = play(3, scope, &actions);
        let mut first = Document::empty();
        for doc in &docs {
            merge(&mut first, doc);
        }
        // One by one in the order of making, and in batches in another order.
        let mut second = Document::empty();
        for change in &made {
            second.apply(vec![change.clone()]).unwrap();
        }
        let mut third = Document::empty();
        for changes in shuffled(made, &picks).chunks(batch) {
            third.apply(changes.to_vec()).unwrap();
        }
        for other in [&second, &third] {
            prop_assert_eq!(first.heads(), other.heads());
            prop_assert_eq!(first.view(), other.view());
            prop_assert_eq!(first.conflicts(), other.conflicts());
            prop_assert_eq!(first.max_op(), other.max_op());
        }
    }

    #[test]
    fn a_document_loads_from_any_snapshot_and_tail(actions in actions(2, 16), cut in any::<u16>()) {
        let (mut docs, _) = play(2, KEYED, &actions);
        let (mut doc, other) = (docs.remove(0), docs.remove(0));
        merge(&mut doc, &other);
        let chunks: Vec<Vec<u8>> = doc.changes().iter().map(|change| change.raw_bytes().to_vec()).collect();
        let cut = usize::from(cut) % (chunks.len() + 1);
        let tail = |range: &[Vec<u8>]| range.to_vec();
        let head = tail(&chunks[..cut]);
        let snapshot = Document::load(None, &head.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap().save();
        let rest: Vec<&[u8]> = chunks[cut..].iter().map(Vec::as_slice).collect();
        let loaded = Document::load(Some(&snapshot), &rest).unwrap();
        prop_assert_eq!(loaded.heads(), doc.heads());
        prop_assert_eq!(loaded.view(), doc.view());
        prop_assert_eq!(loaded.conflicts(), doc.conflicts());
    }

    #[test]
    fn the_same_actions_give_the_same_bytes(actions in actions(2, 16)) {
        let bytes = |_| {
            let (docs, made) = play(2, KEYED, &actions);
            let made: Vec<Vec<u8>> = made.iter().map(|change| change.raw_bytes().to_vec()).collect();
            let saved: Vec<Vec<u8>> = docs.iter().map(Document::save).collect();
            (made, saved)
        };
        prop_assert_eq!(bytes(1), bytes(2));
    }
}

fn document(value: impl Into<Value>) -> Document {
    let mut doc = Document::empty();
    doc.edit(actor(0), GenesisScope::Ordinary, &[Edit::Replace { value: value.into() }]).unwrap();
    doc
}

fn edit(doc: &mut Document, device: usize, edit: Edit) {
    doc.edit(actor(device), GenesisScope::Ordinary, &[edit]).unwrap();
}

#[test]
fn concurrent_increments_add_up() {
    let mut here = document([("n", Value::Counter(10))]);
    let mut there = copy(&here);
    edit(&mut here, 1, Edit::Increment { path: keys(["n"]), by: 5 });
    edit(&mut there, 2, Edit::Increment { path: keys(["n"]), by: -2 });
    merge(&mut here, &there);
    assert_eq!(here.view().value, Value::from([("n", Value::Counter(13))]));
    assert!(!here.view().has_conflicts);
}

#[test]
fn concurrent_typing_is_all_kept() {
    let mut here = document([("t", Value::Text("héllo 🦀".into()))]);
    let mut there = copy(&here);
    edit(&mut here, 1, Edit::UpdateText { path: keys(["t"]), to: "héllo, 🦀".into() });
    edit(&mut there, 2, Edit::UpdateText { path: keys(["t"]), to: "hello 🦀!".into() });
    merge(&mut here, &there);
    assert_eq!(here.view().value, Value::from([("t", Value::Text("hello, 🦀!".into()))]));
}

#[test]
fn concurrent_writes_are_a_visible_conflict_until_settled() {
    let mut here = document([("a", Value::Int(0)), ("l", Value::List(vec![Value::Int(0)]))]);
    let mut there = copy(&here);
    let element = || vec!["l".into(), 0.into()];
    edit(&mut here, 1, Edit::put(keys(["a"]), "here"));
    edit(&mut here, 1, Edit::put(element(), "here"));
    edit(&mut there, 2, Edit::put(keys(["a"]), Value::Text("there".into())));
    edit(&mut there, 2, Edit::put(element(), "there"));
    merge(&mut here, &there);
    merge(&mut there, &here);
    assert_eq!(here.conflicts(), there.conflicts());
    let conflicts = here.conflicts();
    let view = here.view();
    assert!(view.has_conflicts);
    assert_eq!(conflicts.iter().map(|conflict| conflict.path.clone()).collect::<Vec<_>>(), [keys(["a"]), element()]);
    for conflict in &conflicts {
        assert_eq!(conflict.values.len(), 2);
        let actors: Vec<_> = conflict.values.iter().map(|candidate| candidate.actor).collect();
        assert_eq!(actors, [actor(1), actor(2)]);
    }
    let winner = |at: usize| &conflicts[at].values[conflicts[at].winner].value;
    assert_eq!(view.value.get("a"), Some(winner(0)));
    assert_eq!(view.value.get("l").unwrap().as_list().unwrap()[0], *winner(1));
    edit(&mut here, 1, Edit::put(keys(["a"]), "settled"));
    edit(&mut here, 1, Edit::put(element(), "settled"));
    assert!(!here.view().has_conflicts);
    assert_eq!(here.conflicts(), []);
}

#[test]
fn changes_are_applied_wholly_once_and_only_on_what_they_build_on() {
    let mut doc = document([("a", Value::Int(1))]);
    edit(&mut doc, 0, Edit::put(keys(["a"]), 2));
    let changes = doc.changes();
    let mut other = Document::empty();
    assert!(other.apply(vec![changes[1].clone()]).is_err());
    assert_eq!(other.heads(), []);
    assert_eq!(other.apply(vec![changes[1].clone(), changes[0].clone(), changes[1].clone()]).unwrap().new, 2);
    assert_eq!(other.apply(changes).unwrap().new, 0);
    assert_eq!(other.heads(), doc.heads());
}

#[test]
fn a_second_change_of_the_same_number_is_refused() {
    let (mut one, two) = (document([("a", Value::Int(1))]), document([("a", Value::Int(2))]));
    let before = (one.heads(), one.view());
    let error = one.apply(two.changes()).unwrap_err();
    assert!(error.to_string().contains("has another change number 1"), "{error}");
    assert_eq!((one.heads(), one.view()), before);
}

#[test]
fn broken_stored_bytes_are_named() {
    assert!(Document::load(Some(&[1, 2, 3]), &[]).unwrap_err().to_string().starts_with("the snapshot does not load"));
    let error = Document::load(None, &[&[1, 2, 3]]).unwrap_err();
    assert!(error.to_string().starts_with("change 0 of the tail does not load"), "{error}");
}
