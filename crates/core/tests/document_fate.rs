//! What became of own writes after others' changes came: kept, in conflict, overwritten, deleted.

mod devices;
mod generate;

use devices::{actor, copy, merge};
use farshore_core::document::path::keys;
use farshore_core::document::{Document, Edit, Fate, GenesisScope, Outcome, OwnWrite, Path};
use farshore_core::value::Value;

fn put(path: Path, value: impl Into<Value>) -> Edit {
    Edit::Put { path, value: value.into(), create_parents: true }
}

fn edit(document: &mut Document, device: u8, edits: &[Edit]) {
    document.edit(actor(device.into()), GenesisScope::Ordinary, edits).unwrap();
}

fn fate(document: &Document, device: u8, count: usize) -> Fate {
    document.fate(actor(device.into()), count)
}

/// A document of device 1, and a copy for device 2.
fn two(edits: &[Edit]) -> (Document, Document) {
    let mut one = Document::empty();
    edit(&mut one, 1, edits);
    let two = copy(&one);
    (one, two)
}

#[test]
fn a_write_that_nobody_touched_is_kept_and_not_told() {
    let (mut one, mut two) = two(&[put(keys(["a"]), 1), put(keys(["b"]), 1)]);
    edit(&mut one, 1, &[put(keys(["a"]), 2)]);
    edit(&mut two, 2, &[put(keys(["b"]), 3)]);
    assert_eq!(fate(&one, 1, 1), Fate { concurrent: false, writes: vec![] });
    merge(&mut one, &two);
    assert_eq!(fate(&one, 1, 1), Fate { concurrent: true, writes: vec![] });
}

#[test]
fn a_concurrent_write_is_a_conflict_with_both_values_on_both_sides() {
    let (mut one, mut two) = two(&[put(keys(["a"]), 0)]);
    edit(&mut one, 1, &[put(keys(["a"]), 1)]);
    edit(&mut two, 2, &[put(keys(["a"]), 2)]);
    merge(&mut one, &two);
    merge(&mut two, &one);
    let (mine, his) = (fate(&one, 1, 1), fate(&two, 2, 1));
    assert!(mine.concurrent && his.concurrent);
    let conflict = |fate: &Fate| match fate.writes.as_slice() {
        [OwnWrite { outcome: Outcome::Conflict { now, shown, others }, mine, by, path }] => {
            assert_eq!(*path, keys(["a"]));
            (mine.clone(), now.clone(), *shown, others.clone(), *by)
        }
        other => panic!("{other:?}"),
    };
    let (one_shown, two_shown) = (conflict(&mine).2, conflict(&his).2);
    assert!(one_shown != two_shown, "exactly one of them is shown");
    let now: Value = if one_shown { 1.into() } else { 2.into() };
    assert_eq!(conflict(&mine), (1.into(), now.clone(), one_shown, vec![2.into()], Some(actor(2))));
    assert_eq!(conflict(&his), (2.into(), now, two_shown, vec![1.into()], Some(actor(1))));
}

#[test]
fn a_write_that_another_saw_and_replaced_is_overwritten_and_not_concurrent() {
    let (mut one, mut two) = two(&[put(keys(["a"]), 0)]);
    edit(&mut one, 1, &[put(keys(["a"]), 1)]);
    merge(&mut two, &one);
    edit(&mut two, 2, &[put(keys(["a"]), 2)]);
    merge(&mut one, &two);
    let found = fate(&one, 1, 1);
    assert!(!found.concurrent);
    let lost = OwnWrite {
        path: keys(["a"]),
        mine: 1.into(),
        outcome: Outcome::Overwritten { now: 2.into() },
        by: Some(actor(2)),
    };
    assert_eq!(found.writes, [lost]);
    // Of the change before, nothing was there any more when the last one was made.
    assert_eq!(fate(&one, 1, 2).writes.len(), 1);
}

#[test]
fn what_was_written_into_something_that_is_gone_is_deleted() {
    let (mut one, mut two) = two(&[put(keys(["box"]), Value::map()), put(keys(["other"]), Value::map())]);
    edit(&mut one, 1, &[put(keys(["box", "inside"]), 5), put(keys(["other", "x"]), 6)]);
    edit(&mut two, 2, &[Edit::Delete { path: keys(["box"]) }, put(keys(["other"]), 7)]);
    merge(&mut one, &two);
    let found = fate(&one, 1, 1);
    assert!(found.concurrent);
    let deleted = |path, mine: i64, by| OwnWrite { path, mine: mine.into(), outcome: Outcome::Deleted, by };
    let expected =
        [deleted(keys(["box", "inside"]), 5, Some(actor(2))), deleted(keys(["other", "x"]), 6, Some(actor(2)))];
    assert_eq!(found.writes, expected);
}

#[test]
fn a_list_element_is_found_though_it_has_moved_and_missed_when_it_was_deleted() {
    let list = Value::List(vec!["a".into(), "b".into(), "c".into()]);
    let (mut one, mut two) = two(&[put(keys(["list"]), list)]);
    let at = |index: u64| -> Path { vec!["list".into(), index.into()] };
    edit(&mut one, 1, &[put(at(1), "mine"), put(at(2), "doomed")]);
    merge(&mut two, &one);
    edit(&mut two, 2, &[Edit::Delete { path: at(2) }, Edit::Insert { path: at(0), value: "new".into() }]);
    merge(&mut one, &two);
    let found = fate(&one, 1, 1);
    assert_eq!(
        found.writes,
        [OwnWrite { path: at(2), mine: "doomed".into(), outcome: Outcome::Deleted, by: Some(actor(2)) }]
    );
    edit(&mut two, 2, &[put(at(2), "his")]);
    merge(&mut one, &two);
    let outcome = Outcome::Overwritten { now: "his".into() };
    let overwritten = OwnWrite { path: at(1), mine: "mine".into(), outcome, by: Some(actor(2)) };
    assert_eq!(fate(&one, 1, 1).writes[0], overwritten);
}

#[test]
fn own_characters_that_another_deleted_are_told_run_by_run() {
    let (mut one, mut two) = two(&[put(keys(["text"]), Value::Text("....".into()))]);
    let splice = |at, delete, insert: &str| Edit::Splice { path: keys(["text"]), at, delete, insert: insert.into() };
    edit(&mut one, 1, &[splice(1, 0, "abc"), splice(6, 0, "xyz")]);
    merge(&mut two, &one);
    // ".abc..xyz.": "bc" and a dot go, and "y".
    edit(&mut two, 2, &[splice(7, 1, ""), splice(2, 3, "NEW")]);
    merge(&mut one, &two);
    let gone: Vec<Value> = fate(&one, 1, 1).writes.into_iter().map(|write| write.mine).collect();
    assert_eq!(gone, [Value::Text("bc".into()), Value::Text("y".into())]);
    // The dots are of the change before it.
    assert_eq!(fate(&one, 1, 2).writes.len(), 2);
}

#[test]
fn concurrency_is_seen_in_the_middle_of_a_chain_and_not_in_turns() {
    let (mut one, mut two) = two(&[put(keys(["a"]), 0)]);
    for round in 0..3 {
        edit(&mut one, 1, &[put(keys(["a"]), round)]);
        merge(&mut two, &one);
        edit(&mut two, 2, &[put(keys(["b"]), round)]);
        merge(&mut one, &two);
    }
    assert!(!fate(&one, 1, 4).concurrent, "they took turns");
    edit(&mut one, 1, &[put(keys(["a"]), 8)]);
    edit(&mut two, 2, &[put(keys(["b"]), 8)]);
    merge(&mut one, &two);
    edit(&mut one, 1, &[put(keys(["a"]), 9)]);
    assert!(fate(&one, 1, 2).concurrent, "one change before the last was made without knowing");
    assert!(!fate(&one, 1, 1).concurrent, "the last had seen everything");
}
