//! Small changes that say a great deal: what the validator lets through must not be worse than its number of operations.
//!
//! `FARSHORE_BOMB_OPS` sets how many operations (20,000 by default; the cap is a million); times are printed, not judged.

mod change_common;

use std::time::Instant;

use automerge::{Automerge, Change, PatchLog};
use change_common::raw::{Id, Key, Op, RawChange, id};
use change_common::{replay, sorted};
use farshore_core::change::{AncestorIndex, decode};

fn bomb(name: &str, ops: Vec<Op>) {
    let change = RawChange::first(1, ops);
    let chunk = change.chunk();
    let count = change.ops.len();
    drop(change);
    #[expect(clippy::disallowed_methods, reason = "printed for people; nothing is judged by it")]
    let now = Instant::now;
    let start = now();
    AncestorIndex::new().admit(&decode(&chunk).unwrap()).unwrap();
    let validated = start.elapsed();
    let start = now();
    let document = replay(std::slice::from_ref(&chunk));
    let applied = start.elapsed();
    let start = now();
    let mut log = PatchLog::active();
    let mut shown = Automerge::new();
    shown.apply_changes_log_patches([Change::from_bytes(chunk.clone()).unwrap()], &mut log).unwrap();
    let patches = shown.make_patches(&mut log).len();
    let patched = start.elapsed();
    let start = now();
    let loaded = Automerge::load(&document.save()).unwrap();
    assert_eq!(sorted(loaded.get_heads()), sorted(document.get_heads()));
    let reloaded = start.elapsed();
    eprintln!(
        "{name}: {count} ops in {} bytes: validate {validated:.1?}, apply {applied:.1?}, \
        with {patches} patches {patched:.1?}, save and load {reloaded:.1?}",
        chunk.len()
    );
}

#[test]
fn bombs_of_every_kind_apply_and_reload() {
    let n: u64 = std::env::var("FARSHORE_BOMB_OPS").ok().map_or(20_000, |text| text.parse().unwrap());
    let list = id(1, 1);
    let element = id(2, 1);
    let with = |first: &[Op], each: &dyn Fn(u64) -> Op| {
        let mut ops = first.to_vec();
        let from = ops.len() as u64;
        ops.extend((from..n).map(|at| each(at + 1)));
        ops
    };
    let own = |ctr| Id { ctr, actor: list.actor.clone() };
    let text = Op::make("t", 4);
    let inserted = Op::insert(&list, None, "a");
    let counter = Op { kind: 8, raw: vec![1], ..Op::put("n", "") };
    let increment = Op { action: 5, kind: 4, raw: vec![1], ..Op::put("n", "") };
    let delete =
        Op { action: 3, kind: 0, insert: false, key: Key::Elem(element.clone()), ..Op::insert(&list, None, "") };

    bomb("typed", with(&[text.clone(), inserted.clone()], &|at| Op::insert(&list, Some(&own(at - 1)), "a")));
    bomb("typed backwards", with(std::slice::from_ref(&text), &|_| Op::insert(&list, None, "a")));
    bomb("all behind one", with(&[text.clone(), inserted.clone()], &|_| Op::insert(&list, Some(&element), "a")));
    bomb("puts in conflict", with(&[], &|_| Op::put("k", "v")));
    bomb("puts in a chain", with(&[Op::put("k", "v")], &|at| Op::put("k", "v").with_preds(&[&own(at - 1)])));
    bomb("puts over the first", with(&[Op::put("k", "v")], &|_| Op::put("k", "v").with_preds(&[&list])));
    bomb("increments", with(&[counter], &|_| increment.clone().with_preds(&[&list])));
    bomb("deletions of one", with(&[text.clone(), inserted.clone()], &|_| delete.clone().with_preds(&[&element])));
    let update = Op { insert: false, ..Op::insert(&list, Some(&element), "b") };
    bomb("updates of one", with(&[Op::make("l", 2), inserted.clone()], &|_| update.clone().with_preds(&[&element])));
    bomb("objects", with(&[], &|_| Op::make("k", 0)));
    let mark = |at: u64| {
        if at % 2 == 1 { Op::mark(&list, None, Some("m")) } else { Op::mark(&list, Some(&own(at - 1)), None) }
    };
    bomb("marks", {
        let mut ops = with(&[text, inserted], &mark);
        ops.truncate(ops.len() / 2 * 2);
        ops
    });
}
