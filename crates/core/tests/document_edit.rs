//! A batch of edits is one change or nothing, and says why it was refused.

mod devices;
mod generate;

use automerge::Change;
use devices::{KEYED, actor, copy};
use farshore_core::document::path::keys;
use farshore_core::document::{Document, Edit, EditError, Expand, GenesisScope, MarkedRange, Path};
use farshore_core::limits::{COUNTER_STEP, EDIT_DEPTH, FIELD_KEY_BYTES, VALUE_BYTES};
use farshore_core::value::Value;

const ORDINARY: GenesisScope = GenesisScope::Ordinary;

fn todo() -> Document {
    let list = Value::List(vec!["a".into(), Value::from([("done", Value::Bool(false))]), "c".into()]);
    let mut doc = Document::empty();
    let fields = [
        ("count", Value::Counter(1)),
        ("list", list),
        ("map", Value::from([("inner", Value::map())])),
        ("text", Value::Text("a🦀é".into())),
        ("title", "milk".into()),
    ];
    doc.edit(actor(0), ORDINARY, &[Edit::Replace { value: Value::from(fields) }]).unwrap();
    doc
}

fn run(doc: &mut Document, edits: &[Edit]) -> Result<usize, EditError> {
    doc.edit(actor(0), ORDINARY, edits).map(|committed| committed.changes.len())
}

fn refusal(edit: Edit) -> String {
    let mut doc = todo();
    let before = (doc.heads(), doc.view(), doc.save());
    let error = run(&mut doc, &[Edit::put(keys(["title"]), "gone again"), edit]).unwrap_err();
    assert_eq!((doc.heads(), doc.view(), doc.save()), before, "{error}");
    error.to_string()
}

fn at(list: &str, index: u64) -> Path {
    vec![list.into(), index.into()]
}

#[test]
fn a_batch_is_one_change_of_the_actor_without_a_time() {
    let mut doc = todo();
    let edits = [
        Edit::put(keys(["title"]), "bread"),
        Edit::Put { path: keys(["x", "y", "z"]), value: Value::Int(1), create_parents: true },
        Edit::Insert { path: at("list", 3), value: Value::List(vec![Value::Null]) },
        Edit::Insert { path: at("list", 0), value: "first".into() },
        Edit::put(vec!["list".into(), 2.into(), "done".into()], true),
        Edit::Delete { path: at("list", 1) },
        Edit::Increment { path: keys(["count"]), by: -3 },
        Edit::Splice { path: keys(["text"]), at: 1, delete: 1, insert: "b".into() },
        Edit::Delete { path: keys(["map"]) },
    ];
    let committed = doc.edit([7; 16], ORDINARY, &edits).unwrap();
    let [change] = &committed.changes[..] else { panic!("{} changes", committed.changes.len()) };
    let parsed = Change::try_from(&change.bytes[..]).unwrap();
    assert_eq!((parsed.actor_id().to_bytes(), parsed.timestamp(), parsed.message()), (&[7; 16][..], 0, None));
    assert_eq!((parsed.hash(), doc.heads()), (change.hash, vec![change.hash]));
    assert_eq!((parsed.max_op(), doc.size().changes), (doc.max_op(), 2));
    let list = vec!["first".into(), Value::from([("done", true.into())]), "c".into(), Value::List(vec![Value::Null])];
    let expected = [
        ("count", Value::Counter(-2)),
        ("list", Value::List(list)),
        ("text", Value::Text("abé".into())),
        ("title", "bread".into()),
        ("x", Value::from([("y", Value::from([("z", Value::Int(1))]))])),
    ];
    assert_eq!(doc.view().value, Value::from(expected));
}

#[test]
fn a_refused_batch_leaves_no_trace_in_later_changes() {
    for scope in [ORDINARY, KEYED] {
        let (mut one, mut two) = (Document::empty(), Document::empty());
        let fields = Value::from([("a", Value::List(vec![Value::Int(1)])), ("b", Value::Text("x".into()))]);
        let refused = [Edit::Replace { value: fields.clone() }, Edit::Delete { path: keys(["nothing"]) }];
        assert!(one.edit(actor(0), scope, &refused).is_err());
        assert_eq!((one.heads(), one.save()), (two.heads(), two.save()));
        let edit = [Edit::Replace { value: fields }];
        assert_eq!(one.edit(actor(1), scope, &edit), two.edit(actor(1), scope, &edit));
    }
}

#[test]
fn an_edit_that_changes_nothing_makes_no_change() {
    let mut doc = todo();
    let same = doc.view().value;
    let edits = [
        Edit::Replace { value: same.clone() },
        Edit::Merge { value: Value::map() },
        Edit::put(keys(["title"]), "milk"),
        Edit::Increment { path: keys(["count"]), by: 0 },
        Edit::UpdateText { path: keys(["text"]), to: "a🦀é".into() },
        Edit::Splice { path: keys(["text"]), at: 3, delete: 0, insert: String::new() },
    ];
    assert_eq!(run(&mut doc, &edits), Ok(0));
    assert_eq!((doc.size().changes, doc.view().value), (1, same));
}

#[test]
fn merge_leaves_other_fields_alone() {
    let mut doc = todo();
    let value = Value::from([("text", "a🦀e".into()), ("map", Value::map())]);
    run(&mut doc, &[Edit::Merge { value }]).unwrap();
    let view = doc.view().value;
    assert_eq!(view.get("text"), Some(&Value::Text("a🦀e".into())));
    assert_eq!(view.get("map"), Some(&Value::map()));
    assert_eq!(view.as_map().unwrap().len(), 5);
}

#[test]
fn a_large_change_stays_uncompressed_and_keeps_its_hash() {
    let text: String =
        (0..100_000u32).map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
    for list in [false, true] {
        let value = Value::Text(text.clone());
        let value = if list { Value::List(vec![value]) } else { value };
        let mut doc = Document::empty();
        let committed = doc.edit(actor(0), ORDINARY, &[Edit::put(keys(["t"]), value.clone())]).unwrap();
        let change = &committed.changes[0];
        assert!(change.bytes.len() > 100_000, "{}", change.bytes.len());
        // Magic (4), checksum (4), then the chunk's type: 1 is a change, 2 a compressed one.
        assert_eq!(change.bytes[8], 1);
        let parsed = Change::try_from(&change.bytes[..]).unwrap();
        assert_eq!((parsed.hash(), parsed.raw_bytes()), (change.hash, &change.bytes[..]));
        // Also when Automerge itself holds a compressed form, as after loading.
        let loaded = Document::load(Some(&doc.save()), &[]).unwrap();
        assert_eq!(loaded.changes()[0].raw_bytes(), &change.bytes[..]);
        assert_eq!(loaded.view().value, Value::from([("t", value)]));
    }
}

#[test]
fn what_automerge_takes_for_the_same_is_still_written() {
    let mut doc = todo();
    run(&mut doc, &[Edit::Increment { path: keys(["count"]), by: 4 }]).unwrap();
    run(&mut doc, &[Edit::put(keys(["count"]), Value::Counter(1))]).unwrap();
    assert_eq!(doc.view().value.get("count"), Some(&Value::Counter(1)));
    run(&mut doc, &[Edit::put(keys(["zero"]), 0.0), Edit::put(keys(["zero"]), -0.0)]).unwrap();
    assert_eq!(doc.view().value.get("zero"), Some(&Value::Float(-0.0)));
    assert!(!doc.view().has_conflicts);
}

#[test]
fn a_counter_never_leaves_64_bits() {
    let mut doc = todo();
    let more = Edit::Increment { path: keys(["count"]), by: COUNTER_STEP };
    run(&mut doc, &vec![more.clone(); 1024]).unwrap();
    let error = run(&mut doc, &[more]).unwrap_err().to_string();
    assert!(error.starts_with("the counter at count is 9223372036854774785; adding"), "{error}");
}

#[test]
fn marks_follow_their_text() {
    let mut doc = todo();
    let mark = |start, end, name: &str, value: &str, expand| Edit::Mark {
        path: keys(["text"]),
        start,
        end,
        name: name.into(),
        value: value.into(),
        expand,
    };
    run(&mut doc, &[mark(1, 3, "bold", "yes", Expand::After), mark(1, 2, "link", "there", Expand::None)]).unwrap();
    let insert = |at, text: &str| Edit::Splice { path: keys(["text"]), at, delete: 0, insert: text.into() };
    run(&mut doc, &[insert(3, "!"), insert(2, "é"), insert(0, "🦀🦀")]).unwrap();
    let range =
        |start, end, name: &str, value: &str| MarkedRange { start, end, name: name.into(), value: value.into() };
    let expected = [range(3, 7, "bold", "yes"), range(3, 4, "link", "there")];
    assert_eq!(doc.marks(&keys(["text"])).unwrap(), expected);
    assert_eq!(copy(&doc).marks(&keys(["text"])).unwrap(), expected);
    let unmark = Edit::Unmark { path: keys(["text"]), start: 4, end: 5, name: "bold".into(), expand: Expand::None };
    run(&mut doc, &[unmark]).unwrap();
    let bold: Vec<_> = doc.marks(&keys(["text"])).unwrap().into_iter().filter(|mark| mark.name == "bold").collect();
    assert_eq!(bold, [range(3, 4, "bold", "yes"), range(5, 7, "bold", "yes")]);
    assert_eq!(doc.view().value.get("text"), Some(&Value::Text("🦀🦀a🦀éé!".into())));
}

#[test]
fn refusals_name_the_place_the_cause_and_the_remedy() {
    let missing = refusal(Edit::put(keys(["map", "x", "y"]), 1));
    assert_eq!(
        missing,
        "no such path: map.x.y ends at map.x; create it first, or ask for missing parents to be created"
    );
    let missing = refusal(Edit::Delete { path: keys(["nothing"]) });
    assert!(missing.starts_with("no such path: nothing"), "{missing}");
    assert_eq!(
        refusal(Edit::Put { path: keys(["title", "x"]), value: Value::Null, create_parents: true }),
        "title is a string; this edit takes a map or list, to go further down"
    );
    assert_eq!(refusal(Edit::put(keys(["list", "x"]), 1)), "list is a list; this edit takes a map, to put a key into");
    assert_eq!(refusal(Edit::put(at("list", 3), 1)), "position 3 is beyond the end of list, which has 3 elements");
    assert!(refusal(Edit::Insert { path: at("list", 4), value: Value::Null }).starts_with("position 4"));
    assert!(refusal(Edit::Insert { path: at("list", u64::MAX), value: Value::Null }).starts_with("position"));
    assert!(refusal(Edit::Insert { path: at("map", 0), value: Value::Null }).starts_with("map is a map"));
    assert!(refusal(Edit::Delete { path: at("list", u64::MAX) }).starts_with("no such path: list["));
    assert_eq!(
        refusal(Edit::Splice { path: keys(["text"]), at: 2, delete: 2, insert: String::new() }),
        "position 4 is beyond the end of text, which has 3 characters"
    );
    let splice = |at, delete| Edit::Splice { path: keys(["text"]), at, delete, insert: String::new() };
    assert!(refusal(splice(u64::MAX, u64::MAX)).starts_with("position 18446744073709551615"));
    assert!(refusal(Edit::put(at("text", 0), "x")).starts_with("text is a text; this edit takes a list"));
    assert_eq!(
        refusal(Edit::UpdateText { path: keys(["title"]), to: String::new() }),
        "title is a string; this edit takes a text"
    );
    assert_eq!(
        refusal(Edit::Increment { path: keys(["title"]), by: 1 }),
        "title is a string; this edit takes a counter"
    );
    assert_eq!(
        refusal(Edit::Increment { path: keys(["count"]), by: COUNTER_STEP + 1 }),
        "9007199254740992 is too much for the counter at count; write or add at most 9007199254740991 either way"
    );
    let list = Value::List(vec![Value::Counter(i64::MIN)]);
    assert!(
        refusal(Edit::put(keys(["c"]), list)).starts_with("-9223372036854775808 is too much for the counter at c[0]")
    );
    assert!(refusal(Edit::put(Path::new(), 1)).starts_with("the document itself cannot be put"));
    assert!(refusal(Edit::Delete { path: Path::new() }).starts_with("the document itself cannot be deleted"));
    assert!(refusal(Edit::Replace { value: Value::Int(1) }).starts_with("the document is an integer"));
    let mark = |start, end, value| {
        let (path, name) = (keys(["text"]), "m".to_owned());
        Edit::Mark { path, start, end, name, value, expand: Expand::None }
    };
    assert!(refusal(mark(1, 1, true.into())).starts_with("the range 1..1 of text is empty"));
    assert!(refusal(mark(1, 4, true.into())).starts_with("position 4 is beyond the end of text"));
    assert!(refusal(mark(0, 1, Value::Null)).starts_with("the mark on text has null as its value"));
}

#[test]
fn limits_are_kept_and_name_the_place() {
    let nested = |levels: usize| (0..levels).fold(Value::Int(1), |inner, _| Value::from([("k", inner)]));
    let mut doc = Document::empty();
    assert!(run(&mut doc, &[Edit::Replace { value: nested(EDIT_DEPTH) }]).is_ok());
    let deepest = doc.view().value;
    assert_eq!(deepest, nested(EDIT_DEPTH));
    let error = refusal(Edit::put(keys(["a"]), nested(EDIT_DEPTH)));
    assert!(error.starts_with("a.k.k.") && error.contains("deeper than 64 levels"), "{error}");
    // One more level below the deepest map, one edit at a time.
    let path: Path = vec!["k".into(); EDIT_DEPTH];
    assert!(matches!(run(&mut doc, &[Edit::put(path, Value::map())]), Err(EditError::TooDeep { .. })));
    let Err(EditError::TooDeep { path, .. }) = run(&mut doc, &[Edit::Replace { value: nested(1000) }]) else {
        panic!()
    };
    assert_eq!(path.len(), EDIT_DEPTH, "the check stops at the first level beyond the limit");
    let large = "x".repeat(VALUE_BYTES + 1);
    for value in [Value::Str(large.clone()), Value::Text(large.clone()), Value::Bytes(large.clone().into_bytes())] {
        let error = refusal(Edit::put(keys(["a"]), Value::List(vec![Value::Null, value])));
        assert_eq!(error, "the value at a[1] has 1048577 bytes, over the limit of 1048576; split it");
    }
    let key = "k".repeat(FIELD_KEY_BYTES + 1);
    let error = refusal(Edit::put(keys(["map"]), Value::from([(key.as_str(), Value::Null)])));
    assert_eq!(error, "a key in map has 1025 bytes, over the limit of 1024; shorten it");
    assert!(refusal(Edit::put(vec!["map".into(), key.into()], 1)).starts_with("a key in map has 1025 bytes"));
}

#[test]
fn a_change_larger_than_peers_take_is_refused_whole() {
    let mut doc = todo();
    let before = (doc.heads(), doc.save());
    let fields: Vec<Edit> =
        (0..5).map(|i| Edit::put(vec![format!("k{i}").into()], "x".repeat(1 << 20).as_str())).collect();
    let error = run(&mut doc, &fields).unwrap_err();
    assert!(matches!(error, EditError::BatchTooLarge { unit: "bytes", .. }), "{error}");
    assert_eq!((doc.heads(), doc.save()), before);
    // Just under the limit it is taken.
    assert_eq!(run(&mut doc, &fields[..3]), Ok(1));
}
