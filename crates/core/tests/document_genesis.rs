//! Devices that create the same keyed document apart lose nothing of each other's containers.

mod devices;
mod generate;

use automerge::Change;
use devices::{KEYED, actor, copy, merge};
use farshore_core::document::genesis::is_genesis;
use farshore_core::document::path::keys;
use farshore_core::document::{Committed, Document, Edit, GenesisScope};
use farshore_core::id::{DocumentId, hex};
use farshore_core::value::Value;

fn fields(who: &str) -> Value {
    Value::from([
        ("name", who.into()),
        ("tags", Value::List(vec![who.into(), Value::from([("by", who.into())])])),
        ("notes", Value::Text(format!("<{who}>"))),
        ("geo", Value::from([(who, Value::Int(1)), ("deep", Value::from([(who, Value::List(vec![who.into()]))]))])),
    ])
}

fn upsert(doc: &mut Document, device: usize, value: Value) -> Committed {
    doc.edit(actor(device), KEYED, &[Edit::Merge { value }]).unwrap()
}

fn edit(doc: &mut Document, device: usize, edits: &[Edit]) -> Committed {
    doc.edit(actor(device), KEYED, edits).unwrap()
}

fn parse(committed: &Committed) -> Vec<Change> {
    committed.changes.iter().map(|change| Change::try_from(&change.bytes[..]).unwrap()).collect()
}

/// Nothing of either is lost, and only the plain field conflicts.
fn assert_both(doc: &Document) {
    let view = doc.view().value;
    let tags = view.get("tags").unwrap().as_list().unwrap();
    assert_eq!(tags.len(), 4);
    for who in ["ann", "bob"] {
        assert!(tags.contains(&who.into()) && tags.contains(&Value::from([("by", who.into())])));
        assert!(view.get("notes").unwrap().as_str().unwrap().contains(&format!("<{who}>")));
        assert_eq!(view.get("geo").unwrap().get(who), Some(&Value::Int(1)));
        let deep = view.get("geo").unwrap().get("deep").unwrap();
        assert_eq!(deep.get(who), Some(&Value::List(vec![who.into()])));
    }
    let conflicts: Vec<_> = doc.conflicts().into_iter().map(|conflict| conflict.path).collect();
    assert_eq!(conflicts, [keys(["name"])]);
}

#[test]
fn two_devices_that_upsert_the_same_key_apart_lose_nothing() {
    let (mut ann, mut bob) = (Document::empty(), Document::empty());
    let by_ann = upsert(&mut ann, 0, fields("ann"));
    let by_bob = upsert(&mut bob, 1, fields("bob"));
    let genesis = |committed: &Committed| -> Vec<Vec<u8>> {
        committed.changes.iter().filter(|change| change.genesis).map(|change| change.bytes.clone()).collect()
    };
    // geo, geo.deep, notes, tags are the same bytes; geo.deep.ann and geo.deep.bob are each one's own.
    assert_eq!((genesis(&by_ann).len(), genesis(&by_bob).len()), (5, 5));
    assert_eq!(genesis(&by_ann).iter().filter(|bytes| genesis(&by_bob).contains(bytes)).count(), 4);
    let mut merged = vec![copy(&ann), copy(&bob), Document::empty(), Document::empty()];
    merge(&mut merged[0], &bob);
    merge(&mut merged[1], &ann);
    merged[2].apply([parse(&by_ann), parse(&by_bob)].concat()).unwrap();
    for change in [parse(&by_bob), parse(&by_ann)].concat() {
        merged[3].apply(vec![change]).unwrap();
    }
    for doc in &merged {
        assert_both(doc);
        assert_eq!(
            (doc.heads(), doc.view(), doc.conflicts()),
            (merged[0].heads(), merged[0].view(), merged[0].conflicts())
        );
    }
}

#[test]
fn a_device_that_gets_only_the_genesis_of_another_loses_nothing() {
    let (mut ann, mut bob) = (Document::empty(), Document::empty());
    let by_ann = parse(&upsert(&mut ann, 0, fields("ann")));
    let (genesis, content) = by_ann.split_at(by_ann.len() - 1);
    let mut late = bob.clone();
    // Bob writes first and gets Ann's genesis later; then her content.
    let by_bob = upsert(&mut bob, 1, fields("bob"));
    bob.apply(genesis.to_vec()).unwrap();
    bob.apply(content.to_vec()).unwrap();
    ann.apply(parse(&by_bob)).unwrap();
    assert_both(&bob);
    assert_eq!((ann.heads(), ann.view()), (bob.heads(), bob.view()));
    // Another gets Ann's genesis first, and writes into her containers before he has their content.
    late.apply(genesis.to_vec()).unwrap();
    let value = Value::List(vec!["bob".into()]);
    let edits = [
        Edit::put(keys(["name"]), "bob"),
        Edit::Insert { path: vec!["tags".into(), 0.into()], value: "bob".into() },
        Edit::Insert { path: vec!["tags".into(), 1.into()], value: Value::from([("by", "bob".into())]) },
        Edit::UpdateText { path: keys(["notes"]), to: "<bob>".into() },
        Edit::put(keys(["geo", "bob"]), 1),
        Edit::put(keys(["geo", "deep", "bob"]), value),
    ];
    let committed = edit(&mut late, 2, &edits);
    assert_eq!(committed.changes.iter().filter(|change| change.genesis).count(), 1, "all but geo.deep.bob are there");
    late.apply(content.to_vec()).unwrap();
    assert_both(&late);
}

#[test]
fn flat_scalars_cost_no_genesis_change() {
    let mut doc = Document::empty();
    let committed =
        upsert(&mut doc, 0, Value::from([("a", Value::Int(1)), ("b", "x".into()), ("c", Value::Counter(3))]));
    assert_eq!(committed.changes.len(), 1);
    assert!(!committed.changes[0].genesis);
    // Nor do containers inside lists, nor those of documents with random ids.
    edit(&mut doc, 0, &[Edit::put(keys(["l"]), Value::List(vec![]))]);
    let nested = Edit::Insert { path: vec!["l".into(), 0.into()], value: fields("x") };
    assert_eq!(edit(&mut doc, 0, &[nested]).changes.len(), 1);
    let replace = [Edit::Replace { value: fields("x") }];
    assert_eq!(Document::empty().edit(actor(0), GenesisScope::Ordinary, &replace).unwrap().changes.len(), 1);
}

#[test]
fn a_container_deleted_and_made_again_is_a_new_one() {
    let mut doc = Document::empty();
    upsert(&mut doc, 0, fields("ann"));
    edit(&mut doc, 0, &[Edit::Delete { path: keys(["tags"]) }, Edit::Delete { path: keys(["geo"]) }]);
    let again = upsert(&mut doc, 0, fields("ann"));
    assert!(again.changes.iter().all(|change| !change.genesis));
    assert_eq!(doc.view().value, fields("ann"));
    // So it is within one batch.
    let list = || Edit::put(keys(["new"]), Value::List(vec![Value::Int(1)]));
    edit(&mut doc, 0, &[list(), Edit::Delete { path: keys(["new"]) }, list()]);
    assert_eq!(doc.view().value.get("new"), Some(&Value::List(vec![Value::Int(1)])));
    assert!(!doc.view().has_conflicts);
    // And others see the same.
    assert_eq!(copy(&doc).view(), doc.view());
}

#[test]
fn edits_before_the_one_that_makes_a_container_do_not_see_it() {
    let mut doc = Document::empty();
    let make = Edit::put(keys(["m"]), Value::from([("x", Value::Int(1))]));
    for early in [Edit::Delete { path: keys(["m"]) }, Edit::put(keys(["m", "y"]), 1)] {
        assert!(doc.edit(actor(0), KEYED, &[early, make.clone()]).is_err());
        assert_eq!(doc.heads(), []);
    }
    let replace = Edit::Replace { value: Value::from([("other", Value::Int(1))]) };
    edit(&mut doc, 0, &[Edit::put(keys(["m"]), 1), replace, make]);
    let expected = [("other", Value::Int(1)), ("m", Value::from([("x", Value::Int(1))]))];
    assert_eq!(doc.view().value, Value::from(expected));
}

#[test]
fn containers_of_different_kinds_are_a_visible_conflict() {
    let (mut ann, mut bob) = (Document::empty(), Document::empty());
    upsert(&mut ann, 0, Value::from([("x", Value::List(vec!["ann".into()]))]));
    upsert(&mut bob, 1, Value::from([("x", Value::Text("bob".into()))]));
    merge(&mut ann, &bob);
    merge(&mut bob, &ann);
    assert_eq!((ann.view(), ann.conflicts()), (bob.view(), bob.conflicts()));
    let values: Vec<Value> = ann.conflicts()[0].values.iter().map(|candidate| candidate.value.clone()).collect();
    assert_eq!(values.len(), 2);
    assert!(values.contains(&Value::List(vec!["ann".into()])) && values.contains(&Value::Text("bob".into())));
}

#[test]
fn a_container_in_the_place_of_a_scalar_is_an_ordinary_one() {
    let mut doc = Document::empty();
    upsert(&mut doc, 0, Value::from([("x", Value::Int(1))]));
    let over = upsert(&mut doc, 0, Value::from([("x", fields("ann"))]));
    assert_eq!(over.changes.len(), 1);
    assert_eq!(doc.view().value, Value::from([("x", fields("ann"))]));
    assert!(!doc.view().has_conflicts);
}

#[test]
fn missing_parents_are_genesis_containers_too() {
    let put = |doc: &mut Document, device, key: &str| {
        let value = Value::List(vec![key.into()]);
        edit(doc, device, &[Edit::Put { path: keys(["a", "b", key]), value, create_parents: true }])
    };
    let (mut ann, mut bob) = (Document::empty(), Document::empty());
    assert_eq!(put(&mut ann, 0, "ann").changes.iter().filter(|change| change.genesis).count(), 3);
    put(&mut bob, 1, "bob");
    merge(&mut ann, &bob);
    let inner = Value::from([("ann", Value::List(vec!["ann".into()])), ("bob", Value::List(vec!["bob".into()]))]);
    assert_eq!(ann.view().value, Value::from([("a", Value::from([("b", inner)]))]));
    assert!(!ann.view().has_conflicts);
}

#[test]
fn genesis_changes_have_the_agreed_form() {
    let mut doc = Document::empty();
    // Many operations first: the numbers of genesis operations do not depend on them.
    upsert(&mut doc, 0, Value::from([("a", Value::Int(1)), ("b", Value::Int(2))]));
    let committed = upsert(&mut doc, 0, Value::from([("geo", Value::from([("deep", Value::List(vec![]))]))]));
    let changes = parse(&committed);
    let [geo, deep] = &changes[..] else { panic!("{} changes", changes.len()) };
    assert!(committed.changes.iter().all(|change| change.genesis), "nothing but containers was written");
    for (depth, change) in [(1, geo), (2, deep)] {
        assert_eq!((change.seq(), change.timestamp(), change.message(), change.len()), (1, 0, None, 1));
        assert_eq!(change.start_op().get(), depth);
        assert!(change.decode().operations[0].pred.is_empty());
    }
    assert_eq!((geo.deps(), deep.deps()), (&[][..], &[geo.hash()][..]));
    const GENESIS: &str = "856f4a831f6ebcba01680193ab1064e4483450ef54db0b406ed41ae0fd471f29a95ec2503e50191925bca0106c087c\
                           d442dd8f2de92bc9e155243d590102000001100b29c713eddc09b959e983fc7b9fd3570701020202150634014202\
                           560270027f017f017f0464656570017f027f007f00";
    // Pinned: every version must make the same bytes, or keyed documents no longer meet.
    assert_eq!(hex(&committed.changes[1].bytes), GENESIS);
}

#[test]
fn only_true_genesis_changes_of_this_document_pass_for_such() {
    let mut doc = Document::empty();
    let committed = upsert(&mut doc, 0, fields("ann"));
    let GenesisScope::Keyed { document, generation } = KEYED else { unreachable!() };
    let parent = |hash: &automerge::ChangeHash| doc.change(hash);
    for (change, new) in parse(&committed).iter().zip(&committed.changes) {
        assert_eq!(is_genesis(document, generation, change, &parent), new.genesis);
        assert!(!is_genesis(document, generation + 1, change, &parent));
        assert!(!is_genesis(DocumentId([0; 16]), generation, change, &parent));
        let none = |_: &automerge::ChangeHash| None;
        assert_eq!(is_genesis(document, generation, change, &none), new.genesis && change.deps().is_empty());
    }
    // A device's own change that makes one container is not one.
    let ordinary =
        Document::empty().edit(actor(0), GenesisScope::Ordinary, &[Edit::put(keys(["m"]), Value::map())]).unwrap();
    assert!(!is_genesis(document, generation, &parse(&ordinary)[0], &parent));
}
