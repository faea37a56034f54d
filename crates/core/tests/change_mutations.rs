//! What passes the validator is safe in Automerge, whatever it is: seeded mutants of real changes and changes made of
//! random operations, each with a right checksum.
//!
//! `FARSHORE_MUTANTS` sets how many (20,000 by default), `FARSHORE_MUTANT_SEED` where the seeds start.

mod change_common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, Change, ChangeHash, ObjId, PatchLog, ROOT, ReadDoc};
use change_common::raw::{self, Id, Key, Op, RawChange};
use change_common::seen::Seen;
use change_common::workload::{Random, document, edit, visible};
use change_common::{accept_all, chunks, replay, sorted};
use farshore_core::change::{AncestorIndex, decode};

/// A document at one point of its history.
struct Base {
    /// Changes up to here, applied and admitted.
    document: Automerge,
    index: AncestorIndex,
    /// The changes after, and the document with them.
    later: Vec<Vec<u8>>,
    whole: Automerge,
    ids: Ids,
}

/// Operations that a mutant may refer to.
#[derive(Default)]
struct Ids {
    seen: Seen,
    actors: Vec<raw::Actor>,
    heads: Vec<ChangeHash>,
    max_op: u64,
}

impl Ids {
    fn of(chunks: &[Vec<u8>], heads: Vec<ChangeHash>, max_op: u64) -> Self {
        let mut ids = Self { heads, max_op, ..Self::default() };
        for chunk in chunks {
            let change = RawChange::parse(chunk);
            ids.actors.push(change.actor.clone());
            for (n, op) in change.ops.iter().enumerate() {
                ids.seen.note(change.id(n as u64), op);
            }
        }
        ids
    }
}

fn bases() -> Vec<Base> {
    let mut bases = Vec::new();
    for seed in 0..12 {
        let all = chunks(&document(1000 + seed, 3, 45, 4));
        let whole = replay(&all);
        for part in [all.len() / 4, all.len() / 2, all.len() * 3 / 4] {
            let (before, later) = all.split_at(part);
            let (document, index) = (replay(before), accept_all(before));
            let ids = Ids::of(before, sorted(document.get_heads()), index.max_op());
            bases.push(Base { document, index, later: later.to_vec(), whole: whole.clone(), ids });
        }
    }
    bases
}

fn some_id(random: &mut Random, ids: &Ids) -> Id {
    match random.below(6) {
        0 => Id { ctr: random.below(ids.max_op as usize + 3) as u64, actor: random.pick(&ids.actors).clone() },
        1 | 2 if !ids.seen.objects.is_empty() => random.pick(&ids.seen.objects).0.clone(),
        3 | 4 if !ids.seen.elements.is_empty() => random.pick(&ids.seen.elements).0.clone(),
        _ if !ids.seen.values.is_empty() => random.pick(&ids.seen.values).0.clone(),
        _ => Id { ctr: 1, actor: random.pick(&ids.actors).clone() },
    }
}

fn some_value(random: &mut Random, op: &mut Op) {
    (op.kind, op.raw) = match random.below(9) {
        0 => (0, vec![]),
        1 => (1 + random.below(2) as u64, vec![]),
        2 => (3, vec![random.below(128) as u8]),
        3 => (4, vec![random.below(128) as u8]),
        4 => (5, [0.5_f64, f64::NAN, -0.0, f64::INFINITY][random.below(4)].to_le_bytes().to_vec()),
        5 => (6, ["", "é", "plain", "👩‍👩‍👧‍👦\n"][random.below(4)].into()),
        6 => (7, vec![1, 2, 255]),
        7 => (8, vec![random.below(128) as u8]),
        _ => (random.below(16) as u64, vec![random.next() as u8; random.below(3)]),
    };
}

/// Change one thing about an operation.
fn mutate_op(random: &mut Random, op: &mut Op, ids: &Ids) {
    match random.below(13) {
        0 => op.action = random.below(9) as u64,
        1 => op.insert = !op.insert,
        2 => some_value(random, op),
        3 => op.obj = if random.below(4) == 0 { None } else { Some(some_id(random, ids)) },
        4 => op.key = Key::Elem(some_id(random, ids)),
        5 => op.key = if random.below(2) == 0 { Key::Head } else { Key::Map(["a", "", "new"][random.below(3)].into()) },
        6 => op.preds.push(some_id(random, ids)),
        7 => drop(op.preds.pop()),
        8 if !ids.seen.values.is_empty() => {
            let (id, obj, key) = random.pick(&ids.seen.values).clone();
            (op.obj, op.key, op.preds, op.insert) = (obj, key, vec![id], false);
        }
        9 if !ids.seen.elements.is_empty() => {
            let (id, obj) = random.pick(&ids.seen.elements).clone();
            (op.obj, op.key, op.preds, op.insert) = (obj, Key::Elem(id), vec![], true);
        }
        10 => op.expand = !op.expand,
        11 => op.mark = if op.mark.is_some() { None } else { Some("bold".into()) },
        _ => op.preds.sort(),
    }
}

/// An operation that is likely to be sound.
fn some_op(random: &mut Random, ids: &Ids) -> Vec<Op> {
    let mut op = Op::put(["a", "b", "title", "items", ""][random.below(5)], "new");
    let lists: Vec<&Id> = ids.seen.objects.iter().filter(|(_, list)| *list).map(|(id, _)| id).collect();
    match random.below(10) {
        8 if !ids.seen.counters.is_empty() => {
            let (id, obj, key) = random.pick(&ids.seen.counters).clone();
            let mut preds = vec![id];
            // Beside the counter, some of the values in conflict with it.
            let others = ids.seen.values.iter().filter(|v| v.1 == obj && v.2 == key && random.below(3) == 0);
            preds.extend(others.map(|v| v.0.clone()));
            preds.sort();
            preds.dedup();
            return vec![Op { obj, key, preds, action: 5, kind: 4, raw: vec![random.below(128) as u8], ..op }];
        }
        9 => (op.kind, op.raw) = (8, vec![random.below(128) as u8]),
        0 => op = Op::make("items", [0, 2, 4][random.below(3)]),
        1 if !ids.seen.values.is_empty() => {
            let (id, obj, key) = random.pick(&ids.seen.values).clone();
            let mut preds = vec![id];
            preds.extend(
                ids.seen
                    .values
                    .iter()
                    .filter(|v| v.1 == obj && v.2 == key && random.below(2) == 0)
                    .map(|v| v.0.clone()),
            );
            preds.sort();
            preds.dedup();
            op = Op { obj, key, preds, ..op };
            op.action = [0, 1, 2, 3, 4, 5][random.below(6)];
            if op.action == 5 {
                (op.kind, op.raw) = (4, vec![1]);
            } else if op.action != 1 {
                (op.kind, op.raw) = (0, vec![]);
            }
        }
        2 if !lists.is_empty() => op = Op::insert(lists[random.below(lists.len())], None, ""),
        3 | 4 if !ids.seen.elements.is_empty() => {
            let (after, obj) = random.pick(&ids.seen.elements).clone();
            op = Op { obj, insert: true, key: Key::Elem(after), ..op };
            op.action = [0, 1, 1, 1, 2, 4][random.below(6)];
            if op.action != 1 {
                (op.kind, op.raw) = (0, vec![]);
            }
        }
        5 | 6 if !ids.seen.elements.is_empty() => {
            let (begin, obj) = random.pick(&ids.seen.elements).clone();
            let same: Vec<&Id> = ids.seen.elements.iter().filter(|(_, o)| *o == obj).map(|(id, _)| id).collect();
            let end = (*random.pick(&same)).clone();
            let obj = obj.unwrap_or_else(|| begin.clone());
            let begin = if random.below(3) == 0 { None } else { Some(&begin) };
            let (mut begin, mut end) = (Op::mark(&obj, begin, Some("bold")), Op::mark(&obj, Some(&end), None));
            (begin.expand, end.expand) = (random.below(2) == 0, random.below(2) == 0);
            return vec![begin, end];
        }
        7 if !ids.seen.objects.is_empty() => op.obj = Some(random.pick(&ids.seen.objects).0.clone()),
        _ => {}
    }
    if op.action == 1 && random.below(2) == 0 {
        some_value(random, &mut op);
    }
    vec![op]
}

fn mutate_bytes(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.next() as u8),
            _ if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            _ => {}
        }
    }
}

/// A mutant, and whether it is by an actor of its own.
fn mutant(random: &mut Random, base: &Base, kind: usize) -> (Vec<u8>, bool) {
    let template = &base.later[random.below(base.later.len().min(3))];
    let mut change = RawChange::parse(template);
    let ids = &base.ids;
    match kind {
        0 => {
            let mut body = raw::body(template).to_vec();
            mutate_bytes(random, &mut body);
            return (raw::seal(&body), false);
        }
        1 => {
            let mut columns = change.columns();
            if !columns.is_empty() {
                let at = random.below(columns.len());
                mutate_bytes(random, &mut columns[at].1);
            }
            return (raw::seal(&change.body_with(&columns)), false);
        }
        2 => {
            for _ in 0..=random.below(2) {
                match random.below(7) {
                    0 => change.start_op += [1, 5, 1_000_000][random.below(3)],
                    1 => change.seq += 1,
                    2 => change.deps = ids.heads.clone(),
                    3 => drop(change.deps.pop()),
                    4 => change.time = -1,
                    5 => change.ops.clear(),
                    _ => change.message = b"other".to_vec(),
                }
            }
        }
        3 | 4 => {
            for _ in 0..=random.below(2) {
                if !change.ops.is_empty() {
                    let at = random.below(change.ops.len());
                    mutate_op(random, &mut change.ops[at], ids);
                }
            }
        }
        kind => {
            let stranger = kind > 5;
            change.deps = ids.heads.clone();
            change.start_op = ids.max_op + 1 + [0, 0, 0, 7][random.below(4)];
            if stranger {
                (change.actor, change.seq) = (vec![random.next() as u8; 16], 1);
            } else {
                change.actor = random.pick(&ids.actors).clone();
                change.seq = base.index.seq(&change.actor) + 1;
            }
            change.ops.clear();
            let mut all = Ids { ..Ids::of(&[], ids.heads.clone(), ids.max_op) };
            all.seen.clone_from(&ids.seen);
            all.actors.clone_from(&ids.actors);
            for _ in 0..=random.below(8) {
                for op in some_op(random, &all) {
                    all.seen.note(change.id(change.ops.len() as u64), &op);
                    change.ops.push(op);
                }
            }
            if random.below(3) == 0 {
                let at = random.below(change.ops.len());
                mutate_op(random, &mut change.ops[at], &all);
            }
            return (change.chunk(), stranger && !ids.actors.contains(&change.actor));
        }
    }
    (change.chunk(), false)
}

fn apply(document: &mut Automerge, chunks: &[Vec<u8>]) {
    let changes: Vec<Change> = chunks.iter().map(|chunk| Change::from_bytes(chunk.clone()).unwrap()).collect();
    let mut log = PatchLog::active();
    document.apply_changes_log_patches(changes, &mut log).unwrap();
    document.make_patches(&mut log);
    assert_eq!(document.get_missing_deps(&[]), vec![], "nothing is left waiting");
}

/// Save and load give the same heads and the same sight.
fn survives_reload(document: &Automerge) -> Automerge {
    let loaded = Automerge::load(&document.save()).unwrap();
    assert_eq!(sorted(loaded.get_heads()), sorted(document.get_heads()));
    assert_eq!(visible(&loaded), visible(document));
    loaded
}

fn is_safe(base: &Base, chunk: &[u8], hash: ChangeHash, stranger: bool, random: &mut Random) {
    let chunk = &[chunk.to_vec()][..];
    let mut document = base.document.clone();
    apply(&mut document, chunk);
    assert!(document.get_change_by_hash(&hash).is_some());
    let mut loaded = survives_reload(&document);
    assert_eq!(loaded.get_change_by_hash(&hash).unwrap().raw_bytes(), chunk[0], "Automerge gives the same bytes back");

    if stranger {
        let mut before = base.document.clone();
        apply(&mut before, chunk);
        apply(&mut before, &base.later);
        let mut after = base.whole.clone();
        apply(&mut after, chunk);
        assert_eq!(sorted(before.get_heads()), sorted(after.get_heads()));
        assert_eq!(visible(&before), visible(&after), "the order of concurrent changes shows");
        survives_reload(&after);
        let mut together = base.document.clone();
        let all: Vec<Vec<u8>> = base.later.iter().chain(chunk).cloned().collect();
        apply(&mut together, &all);
        assert_eq!(visible(&together), visible(&after), "one batch or several show");
    }

    // Editing goes on, on top of whatever came.
    let mut objects: Vec<ObjId> = vec![ROOT];
    objects.extend(base.ids.seen.objects.iter().filter_map(|(id, _)| {
        loaded.import_obj(&format!("{}@{}", id.ctr, automerge::ActorId::from(id.actor.clone()))).ok()
    }));
    let mut tx = loaded.transaction();
    for _ in 0..5 {
        edit(&mut tx, random, &mut objects);
    }
    tx.commit();
    // Heads only: a local increment over a counter, an object and a counter in conflict leaves Automerge 0.12 listing the key
    // twice until the next load, whoever made the conflict.
    let again = Automerge::load(&loaded.save()).unwrap();
    assert_eq!(sorted(again.get_heads()), sorted(loaded.get_heads()));
}

fn describe(seed: u64, change: &RawChange) -> String {
    let mut out = format!("seed {seed}: first {:?}, {} deps\n", change.id(0), change.deps.len());
    for (n, op) in change.ops.iter().enumerate() {
        out += &format!("  {:?} {op:?}\n", change.id(n as u64));
    }
    out
}

/// Make `count` mutants of these kinds and apply those that pass; what passed, by action, in maps and in lists.
fn run(kinds: std::ops::Range<usize>) -> (u64, u64, [[u64; 2]; 8]) {
    let setting = |name, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let (count, start) = (setting("FARSHORE_MUTANTS", 20_000) / 2, setting("FARSHORE_MUTANT_SEED", 0));
    let bases = bases();
    let (mut accepted, mut decoded, mut strangers) = (0_u64, 0_u64, 0_u64);
    let mut failures: Vec<String> = Vec::new();
    let mut seen = [[0_u64; 2]; 8];
    for seed in start..start + count {
        let mut random = Random::new(seed);
        let base = random.pick(&bases);
        let kind = kinds.start + random.below(kinds.len());
        let (chunk, stranger) = mutant(&mut random, base, kind);
        let Ok(change) = decode(&chunk) else { continue };
        decoded += 1;
        let mut index = base.index.clone();
        if index.admit(&change).is_err() {
            continue;
        }
        accepted += 1;
        strangers += u64::from(stranger);
        for op in &RawChange::parse(&chunk).ops {
            seen[op.action as usize][usize::from(!matches!(op.key, Key::Map(_)))] += 1;
        }
        let hash = change.hash();
        if catch_unwind(AssertUnwindSafe(|| is_safe(base, &chunk, hash, stranger, &mut random))).is_err() {
            failures.push(describe(seed, &RawChange::parse(&chunk)));
            if failures.len() >= 3 {
                break;
            }
        }
    }
    eprintln!("{count} mutants: {decoded} decoded, {accepted} accepted, {strangers} of them concurrent; {seen:?}");
    assert!(failures.is_empty(), "accepted but not safe:\n{}", failures.join("\n"));
    (count, accepted, seen)
}

#[test]
fn mutants_of_real_changes_that_pass_apply_and_reload() {
    let (count, accepted, _) = run(0..5);
    assert!(accepted * 50 > count, "too few accepted to mean anything");
}

#[test]
fn random_changes_that_pass_apply_reload_and_converge() {
    let (count, accepted, seen) = run(5..10);
    assert!(accepted * 10 > count, "too few accepted to mean anything");
    for action in [0, 1, 2, 3, 4, 5] {
        assert!(seen[action].iter().all(|n| n * 1000 > count), "action {action} hardly ever passes: {seen:?}");
    }
    assert!(seen[7][1] * 100 > count, "marks hardly ever pass");
}
