//! Each rule of the validator, shown by a change that is right but for the one thing.

mod change_common;

use automerge::{Automerge, ChangeHash};
use change_common::raw::{Id, Key, Op, RawChange, actor, body, id, rle, seal, unsigned};
use change_common::replay;
use farshore_core::change::{Admission, AncestorIndex, OpFault, Part, Refusal, decode, limits};

fn put() -> Vec<Op> {
    vec![Op::put("k", "v")]
}

fn base() -> RawChange {
    RawChange::first(1, put())
}

#[track_caller]
fn refused(chunk: &[u8]) -> Refusal {
    decode(chunk).expect_err("the change was accepted")
}

/// The fault of the n-th operation of a first change with these operations.
#[track_caller]
fn fault(ops: Vec<Op>) -> (u32, OpFault) {
    fault_of(refused(&RawChange::first(1, ops).chunk()))
}

#[track_caller]
fn fault_of(refusal: Refusal) -> (u32, OpFault) {
    match refusal {
        Refusal::Op { index, fault } => (index, fault),
        other => panic!("refused for another reason: {other}"),
    }
}

fn admit_all(changes: &[&RawChange]) -> AncestorIndex {
    let mut index = AncestorIndex::new();
    for change in changes {
        assert_eq!(index.admit(&decode(&change.chunk()).unwrap()), Ok(Admission::New));
    }
    index
}

/// What the index says to `change` after `before`.
#[track_caller]
fn not_admitted(before: &[&RawChange], change: &RawChange) -> Refusal {
    let mut index = admit_all(before);
    let decoded = decode(&change.chunk()).unwrap();
    let heads: Vec<ChangeHash> = index.heads().collect();
    let refusal = index.admit(&decoded).expect_err("the change was admitted");
    assert_eq!(index.check(&decoded), Err(refusal.clone()), "a refusal leaves the index as it was");
    assert_eq!((index.heads().collect(), index.len()), (heads, before.len()));
    refusal
}

const TEXT: u64 = 4;
const LIST: u64 = 2;
const DELETE: u64 = 3;
const INCREMENT: u64 = 5;

// ---- the frame -------------------------------------------------------------------------------------------------------

#[test]
fn a_sound_change_is_accepted_and_described() {
    let mut change = base();
    (change.time, change.message) = (1234, b"why".to_vec());
    let decoded = decode(&change.chunk()).unwrap();
    assert_eq!(decoded.hash(), change.hash());
    assert_eq!(decoded.actor(), actor(1));
    assert_eq!((decoded.seq(), decoded.start_op(), decoded.op_count(), decoded.max_op()), (1, 1, 1, 1));
    assert_eq!((decoded.time(), decoded.message()), (1234, Some("why")));
    assert_eq!(decoded.bytes(), change.chunk());
    assert_eq!((decoded.deps(), decoded.other_actors().len()), (&[][..], 0));
}

#[test]
fn a_wrong_frame_is_refused() {
    let good = base().chunk();
    let mut chunk = good.clone();
    chunk[0] ^= 1;
    assert_eq!(refused(&chunk), Refusal::Magic);
    chunk = good.clone();
    chunk[5] ^= 1;
    assert_eq!(refused(&chunk), Refusal::Checksum);
    for kind in [0, 2, 3, 4, 255] {
        chunk = good.clone();
        chunk[8] = kind;
        assert_eq!(refused(&chunk), Refusal::ChunkType(kind));
    }
    chunk = good.clone();
    chunk.push(0);
    assert!(matches!(refused(&chunk), Refusal::Length { .. }));
    assert!(matches!(refused(&good[..good.len() - 1]), Refusal::Length { .. }));
    assert_eq!(refused(&good[..5]), Refusal::Truncated(Part::Header));
    assert_eq!(refused(&[]), Refusal::Truncated(Part::Header));
    assert_eq!(refused(&vec![0; limits::CHANGE_BYTES + 1]), Refusal::Size { bytes: limits::CHANGE_BYTES + 1 });
    // The length as an overlong number.
    chunk = good[..9].to_vec();
    chunk.extend([body(&good).len() as u8 | 0x80, 0]);
    chunk.extend(body(&good));
    assert_eq!(refused(&chunk), Refusal::Number(Part::Header));
}

#[test]
fn every_cut_of_a_body_is_refused() {
    let chunk = RawChange { message: b"m".to_vec(), ..base() }.chunk();
    let whole = body(&chunk);
    for len in 0..whole.len() {
        assert!(decode(&seal(&whole[..len])).is_err(), "cut at {len}");
    }
}

// ---- metadata --------------------------------------------------------------------------------------------------------

#[test]
fn wrong_dependencies_are_refused() {
    let deps = |deps: &[u8]| RawChange { deps: deps.iter().map(|d| ChangeHash([*d; 32])).collect(), ..base() }.chunk();
    assert!(decode(&deps(&[1, 2])).is_ok());
    assert_eq!(refused(&deps(&[2, 1])), Refusal::Order(Part::Deps));
    assert_eq!(refused(&deps(&[1, 1])), Refusal::Order(Part::Deps));
    let mut many = Vec::new();
    unsigned(&mut many, limits::CHANGE_DEPS + 1);
    assert!(matches!(refused(&seal(&many)), Refusal::Limit { part: Part::Deps, .. }));
    assert_eq!(refused(&seal(&[5, 1, 2, 3])), Refusal::Truncated(Part::Deps));
}

#[test]
fn values_outside_their_limits_are_refused() {
    let limit = |change: RawChange| match refused(&change.chunk()) {
        Refusal::Limit { part, .. } => part,
        other => panic!("refused for another reason: {other}"),
    };
    assert_eq!(limit(RawChange { actor: vec![], ..base() }), Part::Actor);
    assert_eq!(limit(RawChange { actor: vec![1; 65], ..base() }), Part::Actor);
    assert_eq!(limit(RawChange { seq: 0, ..base() }), Part::Seq);
    assert_eq!(limit(RawChange { seq: 1 << 31, ..base() }), Part::Seq);
    assert_eq!(limit(RawChange { start_op: 0, ..base() }), Part::StartOp);
    assert_eq!(limit(RawChange { start_op: 1 << 31, ..base() }), Part::StartOp);
    let last = RawChange { start_op: (1 << 31) - 1, ..base() };
    assert!(decode(&last.chunk()).is_ok());
    assert_eq!(limit(RawChange { ops: [put(), put()].concat(), ..last }), Part::StartOp);
    assert_eq!(limit(RawChange { time: -1, ..base() }), Part::Time);
    assert_eq!(limit(RawChange { time: i64::MAX, ..base() }), Part::Time);
    assert_eq!(limit(RawChange { message: vec![b'a'; 4097], ..base() }), Part::Message);
    let huge = Op { raw: vec![b'a'; limits::VALUE_BYTES + 1], ..Op::put("k", "") };
    assert_eq!(limit(RawChange::first(1, vec![huge])), Part::Value);
    assert_eq!(limit(RawChange::first(1, vec![Op::put(&"k".repeat(65_537), "")])), Part::Key);
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert_eq!(refused(&RawChange { message: vec![0xff], ..base() }.chunk()), Refusal::Utf8(Part::Message));
    assert_eq!(fault(vec![Op { raw: vec![0xff], ..Op::put("k", "") }]), (0, OpFault::Value));
    assert_eq!(refused(&base().chunk_with(0x15, vec![0x7f, 1, 0xff])), Refusal::Utf8(Part::Key));
}

#[test]
fn a_wrong_list_of_actors_is_refused() {
    let others =
        |others: &[u8]| RawChange { idle_actors: others.iter().map(|o| actor(*o)).collect(), ..base() }.chunk();
    assert_eq!(refused(&others(&[2])), Refusal::IdleActor);
    assert_eq!(refused(&others(&[1])), Refusal::IdleActor, "the author among the others");
    let change = base().then_by(2, vec![Op::put("k", "w").with_preds(&[&id(1, 1)])]);
    let sound = change.chunk();
    assert!(decode(&sound).is_ok());
    // The same body with its one other actor twice.
    let bytes = body(&sound);
    let place = bytes.windows(18).position(|w| w[..2] == [1, 16] && w[2..] == actor(1)).unwrap();
    let twice = [&bytes[..place], &[2], &bytes[place + 1..place + 18], &bytes[place + 1..]].concat();
    assert_eq!(refused(&seal(&twice)), Refusal::Order(Part::OtherActors));
}

#[test]
fn bytes_behind_the_columns_are_refused() {
    // An author footer, as Automerge writes it when told an author.
    let footer = RawChange { extra: vec![0, 5, b'a', b'l', b'i', b'c', b'e'], ..base() };
    assert_eq!(refused(&footer.chunk()), Refusal::Leftover(Part::Columns));
}

// ---- columns ---------------------------------------------------------------------------------------------------------

#[test]
fn wrong_lists_of_columns_are_refused() {
    let change = base();
    let columns = change.columns();
    let with = |columns: &[(u64, Vec<u8>)]| refused(&seal(&change.body_with(columns)));
    let mut swapped = columns.clone();
    swapped.swap(0, 1);
    assert_eq!(with(&swapped), Refusal::Order(Part::Columns));
    let mut doubled = columns.clone();
    doubled.insert(0, columns[0].clone());
    assert_eq!(with(&doubled), Refusal::Order(Part::Columns));
    for spec in [0x03, 0x4a, 0x5e, 0xb5, u64::from(u32::MAX)] {
        assert_eq!(refused(&change.chunk_with(spec, vec![1])), Refusal::UnknownColumn(spec));
    }
    let mut empty = columns.clone();
    empty.insert(0, (1, vec![]));
    assert_eq!(with(&empty), Refusal::Encoding(Part::Columns));
    let sound = change.body_with(&columns);
    assert_eq!(refused(&seal(&sound[..sound.len() - 1])), Refusal::Truncated(Part::Columns));
}

#[test]
fn a_column_encoded_another_way_is_refused() {
    // Two puts under one key: the key column is one run of two.
    let change = RawChange::first(1, [put(), put()].concat());
    assert!(decode(&change.chunk()).is_ok());
    let key = |bytes: &[u8]| refused(&change.chunk_with(0x15, bytes.to_vec()));
    assert_eq!(key(&[0x7e, 1, b'k', 1, b'k']), Refusal::Encoding(Part::Key));
    assert_eq!(key(&[0x7f, 1, b'k', 0x7f, 1, b'k']), Refusal::Encoding(Part::Key));
    assert_eq!(key(&[1, 1, b'k', 1, 1, b'k']), Refusal::Encoding(Part::Key));
    assert_eq!(refused(&change.chunk_with(0x34, vec![1, 0, 1])), Refusal::Encoding(Part::Insert));
    // Columns of nothing but nulls, which Automerge leaves out.
    assert_eq!(refused(&change.chunk_with(0x01, vec![0, 2])), Refusal::Encoding(Part::Object));
    assert_eq!(refused(&change.chunk_with(0x94, vec![2])), Refusal::Encoding(Part::Expand));
    assert_eq!(refused(&change.chunk_with(0xa5, vec![0, 2])), Refusal::Encoding(Part::MarkName));
    // Nulls where there is always a value.
    assert_eq!(refused(&change.chunk_with(0x42, vec![0, 2])), Refusal::Encoding(Part::Action));
}

#[test]
fn columns_of_different_lengths_are_refused() {
    let change = RawChange::first(1, [put(), put()].concat());
    assert_eq!(refused(&change.chunk_with(0x15, vec![3, 1, b'k'])), Refusal::Rows(Part::Key));
    assert_eq!(refused(&change.chunk_with(0x15, vec![0x7f, 1, b'k'])), Refusal::Rows(Part::Key));
    assert_eq!(refused(&change.chunk_with(0x34, vec![1])), Refusal::Rows(Part::Insert));
    assert_eq!(refused(&change.chunk_with(0x34, vec![3])), Refusal::Rows(Part::Insert));
    assert_eq!(refused(&change.chunk_with(0x42, vec![0x7f, 1])), Refusal::Rows(Part::Key));
    assert_eq!(refused(&change.chunk_with(0x42, vec![3, 1])), Refusal::Rows(Part::Key));
    assert_eq!(refused(&change.chunk_with(0x56, vec![0x7f, 0x16])), Refusal::Rows(Part::Value));
    assert_eq!(refused(&change.chunk_with(0x70, vec![3, 0])), Refusal::Rows(Part::Pred));
    assert_eq!(refused(&change.chunk_with(0x70, vec![2, 1])), Refusal::Rows(Part::Pred), "counts without predecessors");
    assert_eq!(refused(&change.chunk_with(0x71, vec![2, 0])), Refusal::Rows(Part::Pred), "predecessors without counts");
    assert_eq!(refused(&change.chunk_with(0x57, b"vvv".to_vec())), Refusal::Leftover(Part::Value));
    assert_eq!(refused(&change.chunk_with(0x57, b"v".to_vec())), Refusal::Truncated(Part::Value));
    assert!(decode(&change.chunk_with(0x42, vec![])).is_err(), "no actions at all");
}

#[test]
fn a_claim_of_endless_operations_costs_nothing() {
    let mut actions = Vec::new();
    change_common::raw::signed(&mut actions, i64::MAX);
    actions.push(1);
    let change = base();
    assert!(matches!(refused(&change.chunk_with(0x42, actions)), Refusal::Limit { part: Part::Action, .. }));
    let mut counts = vec![0x7f];
    unsigned(&mut counts, u64::MAX);
    assert_eq!(refused(&change.chunk_with(0x70, counts)), Refusal::Rows(Part::Pred));
}

// ---- operations ------------------------------------------------------------------------------------------------------

#[test]
fn unknown_actions_and_tables_are_refused() {
    for action in [6, 8, 200] {
        assert_eq!(fault(vec![Op { action, ..Op::make("k", 0) }]), (0, OpFault::Action(action)));
    }
}

#[test]
fn ids_that_are_not_older_are_refused() {
    let own = |n| id(n, 1);
    let list = || Op::make("list", LIST);
    assert_eq!(fault(vec![Op { obj: Some(own(1)), ..Op::put("k", "v") }]), (0, OpFault::ObjectId), "its own object");
    assert_eq!(fault(vec![Op { obj: Some(own(9)), ..Op::put("k", "v") }]), (0, OpFault::ObjectId));
    assert_eq!(fault(vec![Op { obj: Some(own(0)), ..Op::put("k", "v") }]), (0, OpFault::ObjectId));
    assert_eq!(fault(vec![list(), Op::insert(&own(1), Some(&own(2)), "v")]), (1, OpFault::ElementId), "behind itself");
    assert_eq!(fault(vec![Op::put("k", "v").with_preds(&[&own(1)])]), (0, OpFault::PredId), "over itself");
    // Another author's operation beyond this change's start cannot be among its ancestors.
    let change = base().then_by(2, vec![Op::put("k", "w").with_preds(&[&id(2, 1)])]);
    assert_eq!(fault_of(refused(&change.chunk())), (0, OpFault::PredId));
    // Half an object id; an actor that is not listed.
    let change = RawChange::first(1, put());
    assert_eq!(fault_of(refused(&change.chunk_with(0x02, vec![0x7f, 1]))), (0, OpFault::ObjectId));
    let change = RawChange::first(1, vec![Op::make("m", 0), Op { obj: Some(own(1)), ..Op::put("k", "v") }]);
    assert!(decode(&change.chunk()).is_ok());
    assert_eq!(fault_of(refused(&change.chunk_with(0x01, vec![0, 1, 0x7f, 1]))), (1, OpFault::ObjectId));
}

#[test]
fn keys_that_are_neither_or_both_are_refused() {
    let with = |key| fault(vec![Op::make("l", LIST), Op { obj: Some(id(1, 1)), key, ..Op::put("", "v") }]);
    assert_eq!(with(Key::Wrong(None, None)), (1, OpFault::Key));
    assert_eq!(with(Key::Wrong(Some("k".into()), Some(0))), (1, OpFault::Key));
    assert_eq!(with(Key::Wrong(None, Some(1))), (1, OpFault::Key), "an element without an actor");
    assert_eq!(with(Key::Head), (1, OpFault::Key), "an update of the head");
}

#[test]
fn insertions_that_insert_nothing_are_refused() {
    let list = id(1, 1);
    let with = |op: Op| fault(vec![Op::make("l", LIST), Op::insert(&list, None, "a"), op]);
    assert_eq!(with(Op { insert: true, ..Op::put("k", "v") }), (2, OpFault::Insert));
    assert_eq!(with(Op::insert(&list, None, "b").with_preds(&[&id(2, 1)])), (2, OpFault::Insert));
    for action in [DELETE, INCREMENT] {
        assert_eq!(with(Op { action, kind: 0, ..Op::insert(&list, None, "") }), (2, OpFault::Insert));
    }
}

#[test]
fn operations_that_must_supersede_something_are_refused_without() {
    let list = id(1, 1);
    assert_eq!(fault(vec![Op::make("k", DELETE)]), (0, OpFault::NoPred));
    let increment = Op { action: INCREMENT, kind: 4, raw: vec![1], ..Op::put("k", "") };
    assert_eq!(fault(vec![increment]), (0, OpFault::NoPred));
    let update = Op { insert: false, ..Op::insert(&list, Some(&id(2, 1)), "b") };
    assert_eq!(fault(vec![Op::make("l", LIST), Op::insert(&list, None, "a"), update]), (2, OpFault::NoPred));
}

#[test]
fn predecessors_out_of_order_are_refused() {
    let root = base();
    let left = root.then(put());
    let right = root.then_by(2, put());
    let merge = |preds: &[&Id]| {
        let mut deps = vec![left.hash(), right.hash()];
        deps.sort();
        RawChange {
            deps,
            ..root.then_by(3, vec![Op { action: DELETE, kind: 0, ..Op::put("k", "") }.with_preds(preds)])
        }
    };
    let (a, b, c) = (root.id(0), left.id(0), right.id(0));
    let merge = |preds: &[&Id]| RawChange { start_op: 3, ..merge(preds) };
    assert!(decode(&merge(&[&a, &b, &c]).chunk()).is_ok());
    for wrong in [[&b, &a], [&c, &b], [&a, &a]] {
        assert_eq!(fault_of(refused(&merge(&wrong).chunk())), (0, OpFault::PredOrder));
    }
    // The author sorts by its bytes, not as the first of the change's actors.
    let high = root.then_by(5, put());
    let mut deps = vec![high.hash(), right.hash()];
    deps.sort();
    let merge =
        |preds: &[&Id]| RawChange { deps: deps.clone(), ..high.then(vec![Op::put("k", "x").with_preds(preds)]) };
    assert!(decode(&merge(&[&right.id(0), &high.id(0)]).chunk()).is_ok());
    assert_eq!(fault_of(refused(&merge(&[&high.id(0), &right.id(0)]).chunk())), (0, OpFault::PredOrder));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let value = |kind, raw: &[u8]| fault(vec![Op { kind, raw: raw.to_vec(), ..Op::put("k", "") }]);
    let wrong = (0, OpFault::Value);
    assert_eq!(value(0, b"x"), wrong, "null with bytes");
    assert_eq!(value(1, b"x"), wrong, "false with bytes");
    assert_eq!(value(3, &[]), wrong, "a number without bytes");
    assert_eq!(value(3, &[0x80, 0]), wrong, "an overlong number");
    assert_eq!(value(4, &[0xff, 0x7f]), wrong, "an overlong signed number");
    assert_eq!(value(4, &[1, 1]), wrong, "two numbers");
    assert_eq!(value(5, &[0; 7]), wrong, "a short float");
    assert_eq!(value(8, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]), wrong, "a counter beyond 2^53");
    assert_eq!(value(9, &[0x80, 0]), wrong, "an overlong time");
    for kind in 10..16 {
        assert_eq!(value(kind, b"x"), wrong, "an unknown type");
    }
    let counter = Op { kind: 8, raw: vec![1], ..Op::put("k", "") };
    let by = |kind, raw: &[u8]| {
        let op = Op { action: INCREMENT, kind, raw: raw.to_vec(), ..Op::put("k", "") };
        fault(vec![counter.clone(), op.with_preds(&[&id(1, 1)])])
    };
    let wrong = (1, OpFault::Value);
    assert_eq!(by(6, b"x"), wrong, "an increment by a text");
    assert_eq!(by(3, &[1]), wrong, "an increment by an unsigned number");
    assert_eq!(by(4, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f]), wrong, "an increment beyond 2^53");
    let delete = Op { action: DELETE, kind: 2, ..Op::put("k", "") };
    assert_eq!(fault(vec![counter, delete.with_preds(&[&id(1, 1)])]), wrong, "a deletion with a value");
    assert_eq!(fault(vec![Op { kind: 2, ..Op::make("k", 0) }]), (0, OpFault::Value), "an object with a value");
}

#[test]
fn marks_without_their_other_half_are_refused() {
    let text = id(1, 1);
    let with = |ops: &[Op]| fault([&[Op::make("t", TEXT), Op::insert(&text, None, "a")], ops].concat());
    let begin = Op::mark(&text, None, Some("bold"));
    let end = Op::mark(&text, Some(&id(2, 1)), None);
    let sound = [Op::make("t", TEXT), Op::insert(&text, None, "a"), begin.clone(), end.clone()];
    assert!(decode(&RawChange::first(1, sound.to_vec()).chunk()).is_ok());
    assert_eq!(with(std::slice::from_ref(&begin)), (2, OpFault::Mark), "no end");
    assert_eq!(with(std::slice::from_ref(&end)), (2, OpFault::Mark), "no begin");
    assert_eq!(with(&[begin.clone(), begin.clone()]), (3, OpFault::Mark), "two begins");
    assert_eq!(with(&[begin.clone(), Op::insert(&text, None, "b"), end.clone()]), (3, OpFault::Mark), "text between");
    let elsewhere = Op { obj: None, ..end.clone() };
    assert_eq!(with(&[begin.clone(), elsewhere]), (3, OpFault::Mark), "an end in another object");
    assert_eq!(with(&[begin.clone(), Op { kind: 2, ..end.clone() }]), (3, OpFault::Value), "an end with a value");
    assert_eq!(with(&[Op { insert: false, ..begin.clone() }, end]), (2, OpFault::Key), "a mark that is no element");
    assert_eq!(with(&[Op { expand: true, ..Op::insert(&text, None, "b") }]), (2, OpFault::Mark));
    assert_eq!(with(&[Op { mark: Some("bold".into()), ..Op::insert(&text, None, "b") }]), (2, OpFault::Mark));
    let nan = Op { kind: 5, raw: f64::NAN.to_le_bytes().to_vec(), ..begin };
    assert_eq!(with(&[nan]), (2, OpFault::Value), "a mark of NaN");
}

// ---- ancestors -------------------------------------------------------------------------------------------------------

#[test]
fn a_change_that_is_known_is_no_error() {
    let mut index = admit_all(&[&base()]);
    assert_eq!(index.admit(&decode(&base().chunk()).unwrap()), Ok(Admission::Known));
    assert_eq!((index.len(), index.seq(&actor(1)), index.max_op()), (1, 1, 1));
    assert_eq!(index.change_of(&actor(1), 1), Some(base().hash()));
}

#[test]
fn checking_keeps_nothing() {
    let mut index = AncestorIndex::new();
    let change = decode(&base().chunk()).unwrap();
    assert_eq!(index.check(&change), Ok(Admission::New));
    assert!(index.is_empty() && !index.contains(&change.hash()));
    assert_eq!(index.admit(&change), Ok(Admission::New));
    assert!(index.contains(&change.hash()));
}

#[test]
fn a_missing_dependency_is_named() {
    let (first, second) = (base(), base().then(put()));
    assert_eq!(not_admitted(&[], &second), Refusal::MissingDependency(first.hash()));
}

#[test]
fn a_change_that_does_not_follow_its_author_is_refused() {
    let first = base();
    let second = first.then(put());
    assert_eq!(
        not_admitted(&[&first], &RawChange { seq: 3, ..second.clone() }),
        Refusal::Sequence { expected: 2, found: 3 }
    );
    assert_eq!(
        not_admitted(&[&first], &RawChange { deps: vec![], start_op: 2, ..second.clone() }),
        Refusal::Sequence { expected: 1, found: 2 },
        "it does not descend from its author's previous one"
    );
    let again = RawChange { time: 5, ..second.clone() };
    assert_eq!(not_admitted(&[&first, &second], &again), Refusal::Equivocation { seq: 2, other: second.hash() });
}

#[test]
fn a_change_that_starts_too_low_or_too_far_is_refused() {
    let first = base();
    let at = |start_op| RawChange { start_op, ..first.then(put()) };
    assert_eq!(not_admitted(&[&first], &at(1)), Refusal::StartOp { ancestors: 1, found: 1 });
    let far = 2 + limits::OP_GAP;
    admit_all(&[&first, &at(far)]);
    assert_eq!(not_admitted(&[&first], &at(far + 1)), Refusal::StartOp { ancestors: 1, found: far + 1 });
    let empty = RawChange { ops: vec![], ..at(3) };
    assert_eq!(
        not_admitted(&[&first], &empty),
        Refusal::StartOp { ancestors: 1, found: 3 },
        "an empty change with a gap"
    );
    admit_all(&[&first, &RawChange { start_op: 2, ..empty }]);
}

/// A list and a text with an element each, by actor 1, and a map.
fn objects() -> RawChange {
    RawChange::first(
        1,
        vec![
            Op::make("list", LIST),
            Op::insert(&id(1, 1), None, "a"),
            Op::make("text", TEXT),
            Op::insert(&id(3, 1), None, "b"),
            Op::make("map", 0),
        ],
    )
}

#[test]
fn references_to_what_is_not_among_the_ancestors_are_refused() {
    let root = objects();
    let side = root.then(vec![Op::make("late", LIST), Op::insert(&id(6, 1), None, "x"), Op::put("k", "v")]);
    let by_two = |ops| {
        let change = RawChange { start_op: 20, ..root.then_by(2, ops) };
        fault_of(not_admitted(&[&root, &side], &change))
    };
    // All of `side` is here, but not among the ancestors of a change that builds on `root`.
    assert_eq!(by_two(vec![Op::insert(&id(6, 1), None, "y")]), (0, OpFault::NoObject));
    assert_eq!(by_two(vec![Op::insert(&id(1, 1), Some(&id(7, 1)), "y")]), (0, OpFault::NoElement));
    assert_eq!(by_two(vec![Op::put("k", "w").with_preds(&[&id(8, 1)])]), (0, OpFault::NoPredecessor));
    let after_side = RawChange {
        start_op: 20,
        ..side.then_by(2, vec![Op::insert(&id(6, 1), Some(&id(7, 1)), "y"), Op::put("k", "w").with_preds(&[&id(8, 1)])])
    };
    admit_all(&[&root, &side, &after_side]);
    // An actor whose changes are all elsewhere.
    let stranger = RawChange { deps: vec![], ..RawChange::first(3, put()) };
    let change = RawChange { start_op: 20, ..root.then_by(2, vec![Op::put("k", "w").with_preds(&[&id(1, 3)])]) };
    assert_eq!(not_admitted(&[&root, &stranger], &change), Refusal::UnknownActor);
}

#[test]
fn objects_that_are_none_or_of_the_wrong_kind_are_refused() {
    let root = objects();
    let next = |ops| fault_of(not_admitted(&[&root], &root.then(ops)));
    assert_eq!(next(vec![Op { obj: Some(id(2, 1)), ..Op::put("k", "v") }]), (0, OpFault::NoObject), "a plain value");
    assert_eq!(
        next(vec![Op { obj: Some(id(1, 1)), ..Op::put("k", "v") }]),
        (0, OpFault::ObjectKind),
        "a key in a list"
    );
    assert_eq!(next(vec![Op::insert(&id(5, 1), None, "v")]), (0, OpFault::ObjectKind), "an element in a map");
    assert_eq!(next(vec![Op { obj: None, ..Op::insert(&id(5, 1), None, "v") }]), (0, OpFault::ObjectKind));
    let marks = vec![Op::mark(&id(1, 1), None, Some("m")), Op::mark(&id(1, 1), Some(&id(2, 1)), None)];
    assert_eq!(next(marks), (0, OpFault::ObjectKind), "a mark in a list");
}

#[test]
fn objects_nested_too_deeply_are_refused() {
    let depth = u64::from(limits::DEPTH);
    let nest = |n: u64| {
        let inside = |at| Op { obj: (at > 0).then(|| id(at, 1)), ..Op::make("k", 0) };
        RawChange::first(1, (0..n).map(inside).collect())
    };
    admit_all(&[&nest(depth)]);
    let deepest = Automerge::load(&replay(std::slice::from_ref(&nest(depth).chunk())).save()).unwrap();
    assert!(format!("{:?}", deepest.hydrate(None)).len() > depth as usize);
    assert_eq!(fault_of(not_admitted(&[], &nest(depth + 1))), (limits::DEPTH, OpFault::Depth));
}

#[test]
fn elements_of_another_object_are_refused() {
    let root = objects();
    let next = |ops| fault_of(not_admitted(&[&root], &root.then(ops)));
    assert_eq!(next(vec![Op::insert(&id(1, 1), Some(&id(4, 1)), "v")]), (0, OpFault::NoElement));
    assert_eq!(next(vec![Op::insert(&id(1, 1), Some(&id(5, 1)), "v")]), (0, OpFault::NoElement), "a map's id");
    let update = Op { insert: false, ..Op::insert(&id(1, 1), Some(&id(4, 1)), "v") }.with_preds(&[&id(4, 1)]);
    assert_eq!(next(vec![update]), (0, OpFault::NoElement));
}

#[test]
fn predecessors_elsewhere_are_refused() {
    let root = objects();
    let next = |ops| fault_of(not_admitted(&[&root], &root.then(ops)));
    assert_eq!(next(vec![Op::put("k", "v").with_preds(&[&id(5, 1)])]), (0, OpFault::NoPredecessor), "another key");
    let inside = Op { obj: Some(id(5, 1)), ..Op::put("map", "v") };
    assert_eq!(next(vec![inside.with_preds(&[&id(5, 1)])]), (0, OpFault::NoPredecessor), "another object");
    let update = |pred: &Id| Op { insert: false, ..Op::insert(&id(1, 1), Some(&id(2, 1)), "v") }.with_preds(&[pred]);
    assert_eq!(next(vec![update(&id(4, 1))]), (0, OpFault::NoPredecessor), "another list's element");
    let second = vec![Op::insert(&id(1, 1), None, "c"), update(&root.then(vec![]).id(0))];
    assert_eq!(next(second), (1, OpFault::NoPredecessor), "another element of the list");
    // Deletions, increments and marks are not superseded by anything.
    let delete = Op { action: DELETE, kind: 0, ..Op::put("map", "") }.with_preds(&[&id(5, 1)]);
    let over_delete = vec![delete, Op::put("map", "v").with_preds(&[&id(6, 1)])];
    assert_eq!(next(over_delete), (1, OpFault::NoPredecessor));
    let counter = Op { kind: 8, raw: vec![1], ..Op::put("n", "") };
    let increment = Op { action: INCREMENT, kind: 4, raw: vec![1], ..Op::put("n", "") }.with_preds(&[&id(6, 1)]);
    let over_increment = vec![counter, increment, Op::put("n", "v").with_preds(&[&id(7, 1)])];
    assert_eq!(next(over_increment), (2, OpFault::NoPredecessor));
    let text = id(3, 1);
    let over_mark = vec![
        Op::mark(&text, None, Some("m")),
        Op::mark(&text, Some(&id(4, 1)), None),
        Op { action: DELETE, kind: 0, insert: false, ..Op::insert(&text, Some(&id(6, 1)), "") }
            .with_preds(&[&id(6, 1)]),
    ];
    assert_eq!(next(over_mark), (2, OpFault::NoPredecessor));
}

#[test]
fn a_value_over_an_element_of_a_text_is_refused() {
    let root = objects();
    let (text, element) = (id(3, 1), id(4, 1));
    let over = Op { insert: false, ..Op::insert(&text, Some(&element), "B") }.with_preds(&[&element]);
    for op in [over.clone(), Op { action: LIST, kind: 0, raw: vec![], ..over.clone() }] {
        assert_eq!(fault_of(not_admitted(&[&root], &root.then(vec![op]))), (0, OpFault::TextUpdate));
    }
    let counter = Op { kind: 8, raw: vec![1], ..Op::insert(&text, None, "") };
    let increment = Op { action: INCREMENT, kind: 4, raw: vec![1], key: Key::Elem(id(6, 1)), ..over.clone() };
    let increment = increment.with_preds(&[&id(6, 1)]);
    assert_eq!(fault_of(not_admitted(&[&root], &root.then(vec![counter, increment]))), (1, OpFault::TextUpdate));
    let delete = Op { action: DELETE, kind: 0, raw: vec![], ..over };
    admit_all(&[&root, &root.then(vec![delete])]);
}

#[test]
fn an_increment_of_no_counter_is_refused() {
    let root = objects();
    let next = |ops| fault_of(not_admitted(&[&root], &root.then(ops)));
    let increment = |pred: &Id| {
        let op = Op { action: INCREMENT, kind: 4, raw: vec![1], ..Op::put("n", "") };
        op.with_preds(&[pred])
    };
    assert_eq!(next(vec![Op::put("n", "v"), increment(&id(6, 1))]), (1, OpFault::NoCounter));
    let counter = Op { kind: 8, raw: vec![1], ..Op::put("n", "") };
    admit_all(&[&root, &root.then(vec![counter, increment(&id(6, 1))])]);
}

#[test]
fn a_mark_that_ends_before_it_begins_is_refused() {
    let text = id(3, 1);
    let root = objects();
    let marks = |begin: Option<&Id>, end: Option<&Id>| {
        root.then(vec![Op::mark(&text, begin, Some("m")), Op::mark(&text, end, None)])
    };
    let element = id(4, 1);
    admit_all(&[&root, &marks(None, Some(&element))]);
    admit_all(&[&root, &marks(None, Some(&id(6, 1)))]);
    let wrong = (1, OpFault::MarkOrder);
    assert_eq!(fault_of(not_admitted(&[&root], &marks(Some(&element), None))), wrong);
    assert_eq!(
        fault_of(not_admitted(&[&root], &marks(Some(&element), Some(&element)))),
        wrong,
        "behind the same element"
    );
    assert_eq!(fault_of(not_admitted(&[&root], &marks(None, None))), wrong, "both at the head");
}

#[test]
fn a_refused_change_leaves_no_trace() {
    let root = objects();
    let bad = root.then_by(
        2,
        vec![
            Op::make("new", LIST),
            Op::insert(&id(6, 2), None, "x"),
            Op::put("fresh key", "v"),
            Op::insert(&id(9, 9), None, "unknown object"),
        ],
    );
    let bad = RawChange { ops: bad.ops[..3].to_vec(), ..bad };
    let mut worse = bad.clone();
    worse.ops.push(Op::insert(&id(2, 1), None, "into no object"));
    let mut index = admit_all(&[&root]);
    assert!(index.admit(&decode(&worse.chunk()).unwrap()).is_err());
    assert_eq!(index.admit(&decode(&bad.chunk()).unwrap()), Ok(Admission::New), "the same actor, ids and keys again");
    assert_eq!(index.len(), 2);
}

#[test]
fn the_helpers_encode_as_automerge_does() {
    assert_eq!(rle(&[Some(1), Some(1), None, Some(2), Some(3), Some(3)], unsigned), vec![2, 1, 0, 1, 0x7f, 2, 2, 3]);
    for chunk in change_common::chunks(&change_common::workload::document(3, 4, 60, 6)) {
        assert_eq!(RawChange::parse(&chunk).chunk(), chunk);
    }
}
