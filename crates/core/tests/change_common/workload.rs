//! A seeded random workload of plain Automerge: many actors, every kind of value and object, marks, counters, merges.

use automerge::iter::Span;
use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};

/// xorshift64*: the tests need repeatable numbers, not good ones.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const WORDS: [&str; 9] = ["a", "hello ", "héllo", "日本語", "👩‍👩‍👧‍👦", "e\u{301}", "\n", "🇩🇪🇫🇷", "the quick brown fox "];
const KEYS: [&str; 8] = ["a", "b", "title", "ключ", "items", "x", "🔑", "counter"];

fn word(random: &mut Random) -> &'static str {
    WORDS[random.below(WORDS.len())]
}

pub(crate) fn scalar(random: &mut Random) -> ScalarValue {
    match random.below(12) {
        0 => ScalarValue::Null,
        1 => ScalarValue::Boolean(random.below(2) == 0),
        2 => ScalarValue::Uint(random.next() >> random.below(53)),
        3 => ScalarValue::Uint(u64::MAX),
        4 => ScalarValue::Int((random.next() as i64) >> random.below(53)),
        5 => ScalarValue::Int(*random.pick(&[i64::MIN, i64::MAX, -1, 63, 64, -64, -65])),
        6 => ScalarValue::F64(*random.pick(&[0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE])),
        7 => ScalarValue::Str(word(random).into()),
        8 => ScalarValue::Bytes((0..random.below(20)).map(|n| n as u8).collect()),
        9 => ScalarValue::counter(random.below(100) as i64 - 50),
        10 => ScalarValue::Timestamp(random.next() as i64 - (1 << 52)),
        _ => ScalarValue::Str("".into()),
    }
}

/// Automerge compares marks in a debug assertion, which fails for NaN: not equal to itself.
fn mark_value(random: &mut Random) -> ScalarValue {
    match scalar(random) {
        ScalarValue::F64(value) if value.is_nan() => ScalarValue::Boolean(true),
        value => value,
    }
}

/// One random edit of one random object. Edits that Automerge refuses make no operation.
pub(crate) fn edit<T: Transactable + ReadDoc>(tx: &mut T, random: &mut Random, objects: &mut Vec<ObjId>) {
    let object = random.pick(objects).clone();
    let Ok(kind) = tx.object_type(&object) else { return };
    let made = match kind {
        ObjType::Map | ObjType::Table => edit_map(tx, random, &object),
        ObjType::List => edit_list(tx, random, &object),
        ObjType::Text => edit_text(tx, random, &object),
    };
    objects.extend(made);
}

fn kind(random: &mut Random) -> ObjType {
    *random.pick(&[ObjType::Map, ObjType::List, ObjType::Text])
}

fn edit_map<T: Transactable + ReadDoc>(tx: &mut T, random: &mut Random, object: &ObjId) -> Option<ObjId> {
    let key = *random.pick(&KEYS);
    match random.below(8) {
        0 | 1 => return tx.put_object(object, key, kind(random)).ok(),
        2 => drop(tx.delete(object, key)),
        3 | 4 => drop(tx.increment(object, key, random.below(20) as i64 - 10)),
        5 => drop(tx.put(object, key, ScalarValue::counter(1))),
        _ => drop(tx.put(object, key, scalar(random))),
    }
    None
}

fn edit_list<T: Transactable + ReadDoc>(tx: &mut T, random: &mut Random, object: &ObjId) -> Option<ObjId> {
    let length = tx.length(object);
    let at = random.below(length + 1);
    match random.below(10) {
        0..4 => drop(tx.insert(object, at, scalar(random))),
        4 => return tx.insert_object(object, at, kind(random)).ok(),
        5 => drop(tx.delete(object, at)),
        6 => drop(tx.put(object, at, scalar(random))),
        7 => return tx.put_object(object, at, kind(random)).ok(),
        8 => drop(tx.increment(object, at, 3)),
        _ => drop(tx.splice(
            object,
            at,
            random.below(3).min(length - at.min(length)) as isize,
            [scalar(random), scalar(random), scalar(random)],
        )),
    }
    None
}

/// All that Automerge can do to a text, but for `put` over an element, which the validator refuses.
fn edit_text<T: Transactable + ReadDoc>(tx: &mut T, random: &mut Random, object: &ObjId) -> Option<ObjId> {
    let length = tx.length(object);
    let at = random.below(length + 1);
    match random.below(14) {
        0..6 => drop(tx.splice_text(object, at, 0, word(random))),
        6 | 7 => drop(tx.splice_text(object, at, random.below(4) as isize, word(random))),
        8 | 9 => {
            let end = at + random.below(length - at.min(length) + 1);
            let expand = *random.pick(&[ExpandMark::Both, ExpandMark::None, ExpandMark::Before, ExpandMark::After]);
            let name = (*random.pick(&["bold", "link", "комментарий"])).to_string();
            drop(match random.below(4) {
                0 => tx.unmark(object, &name, at, end, expand),
                _ => tx.mark(object, Mark::new(name, mark_value(random), at, end), expand),
            });
        }
        10 => return tx.split_block(object, at).ok(),
        11 | 12 => drop(tx.insert(object, at, scalar(random))),
        _ => drop(tx.delete(object, at)),
    }
    None
}

/// A document by `actors` replicas that make `changes` changes in all, merging now and then. Each change has 1 to `edits`
/// edits; some have a message or none at all.
pub(crate) fn document(seed: u64, actors: usize, changes: usize, edits: usize) -> Automerge {
    let mut random = Random::new(seed);
    let mut replicas: Vec<(Automerge, Vec<ObjId>)> = (0..actors)
        .map(|actor| {
            let mut id = [actor as u8; 16];
            id[0] = random.next() as u8;
            (Automerge::new().with_actor(ActorId::from(id)), vec![ROOT])
        })
        .collect();
    for number in 0..changes {
        let at = random.below(actors);
        if random.below(4) == 0 {
            let other = random.below(actors);
            if other != at {
                let mut theirs = replicas[other].0.clone();
                replicas[at].0.merge(&mut theirs).unwrap();
                let more = replicas[other].1.clone();
                replicas[at].1.extend(more);
                replicas[at].1.sort_by_key(ToString::to_string);
                replicas[at].1.dedup();
            }
        }
        let (replica, objects) = &mut replicas[at];
        let options = CommitOptions::default().with_time(number as i64 * 1000);
        if random.below(50) == 0 {
            replica.empty_commit(options);
            continue;
        }
        let mut tx = replica.transaction();
        for _ in 0..=random.below(edits) {
            edit(&mut tx, &mut random, objects);
        }
        if random.below(20) == 0 {
            tx.rollback();
            objects.retain(|object| replica.object_type(object).is_ok());
        } else if random.below(10) == 0 {
            tx.commit_with(options.with_message("why: ключ"));
        } else {
            tx.commit_with(options);
        }
    }
    let (mut all, _) = replicas.swap_remove(0);
    for (other, _) in &mut replicas {
        all.merge(other).unwrap();
    }
    all
}

/// Everything visible, for comparison: values with conflicts, texts with marks.
pub(crate) fn visible(document: &Automerge) -> String {
    let mut out = String::new();
    describe(document, &ROOT, 0, &mut out);
    out
}

fn describe(document: &Automerge, object: &ObjId, depth: usize, out: &mut String) {
    use std::fmt::Write;
    if depth > 20 {
        return;
    }
    let mut children = Vec::new();
    match document.object_type(object) {
        Ok(ObjType::Map | ObjType::Table) => {
            for key in document.keys(object) {
                let all = document.get_all(object, key.as_str()).unwrap();
                let _ = writeln!(out, "{object}.{key} = {all:?}");
                children.extend(all);
            }
        }
        Ok(ObjType::List) => {
            for at in 0..document.length(object) {
                let all = document.get_all(object, at).unwrap();
                let _ = writeln!(out, "{object}[{at}] = {all:?}");
                children.extend(all);
            }
        }
        Ok(ObjType::Text) => {
            let _ = writeln!(out, "{object} = {:?} {:?}", document.text(object), document.marks(object));
            for span in document.spans(object).into_iter().flatten() {
                // Blocks hold maps, whose order is random; they are described below, as children.
                let _ = match span {
                    Span::Text { text, marks } => writeln!(out, "{text:?} {marks:?}"),
                    Span::Block(_) => writeln!(out, "block"),
                };
            }
            for at in 0..document.length(object) {
                children.extend(document.get_all(object, at).unwrap_or_default());
            }
            children.dedup_by(|a, b| a.1 == b.1);
        }
        Err(_) => {}
    }
    for (value, id) in children {
        if matches!(value, Value::Object(_)) {
            describe(document, &id, depth + 1, out);
        }
    }
}
