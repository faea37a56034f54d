//! From bytes to changes that are mostly sound and wrong in any one place: what raw bytes would never become.

use arbitrary::{Result, Unstructured};
use automerge::{ActorId, ChangeHash};

use crate::raw::{self, Actor, Id, Key, Op, RawChange, actor};
use crate::seen::{Made, Seen};

/// Names that meet, in maps and on marks.
const KEYS: [&str; 6] = ["a", "b", "title", "items", "", "ключ"];

/// Everything that a next change may refer to.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub(crate) changes: Vec<Node>,
    seen: Seen,
}

/// A change among the others.
#[derive(Clone)]
pub(crate) struct Node {
    hash: ChangeHash,
    actor: Actor,
    seq: u64,
    max_op: u64,
    /// Whether each earlier change, and this one, is itself or an ancestor.
    past: Vec<bool>,
}

impl Known {
    /// Takes in a change that was admitted.
    pub(crate) fn note(&mut self, chunk: &[u8]) {
        let change = RawChange::parse(chunk);
        let mut past = vec![false; self.changes.len() + 1];
        for parent in self.changes.iter().filter(|node| change.deps.contains(&node.hash)) {
            parent.past.iter().zip(&mut past).for_each(|(is, here)| *here |= is);
        }
        past[self.changes.len()] = true;
        let (hash, actor, seq) = (change.hash(), change.actor.clone(), change.seq);
        self.changes.push(Node { hash, actor, seq, max_op: change.start_op + change.ops.len() as u64 - 1, past });
        for (at, op) in change.ops.iter().enumerate() {
            self.seen.note(change.id(at as u64), op);
        }
    }

    /// The objects, as Automerge names them.
    pub(crate) fn objects(&self) -> impl Iterator<Item = String> {
        self.seen.objects.iter().map(|(id, _)| format!("{}@{}", id.ctr, ActorId::from(id.actor.clone())))
    }

    /// Numbers of the changes in another order in which ancestors come first.
    pub(crate) fn another_order(&self, mut seed: u64) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.changes.len() {
            let done = |at: &usize| order.contains(at);
            let ready =
                |at: &usize| !done(at) && (0..*at).all(|before| !self.changes[*at].past[before] || done(&before));
            let all: Vec<usize> = (0..self.changes.len()).filter(ready).collect();
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            order.push(all[(seed >> 33) as usize % all.len()]);
        }
        order
    }

    /// The changes at the ends of what `seen` picks, and the past of it.
    fn part(&self, seen: u32) -> (Vec<&Node>, Vec<bool>) {
        let picked: Vec<&Node> = self
            .changes
            .iter()
            .enumerate()
            .filter(|(at, _)| seen >> (at % 32) & 1 == 1)
            .map(|(_, node)| node)
            .collect();
        let mut past = vec![false; self.changes.len()];
        picked.iter().for_each(|node| node.past.iter().zip(&mut past).for_each(|(is, here)| *here |= is));
        let own = |node: &Node| node.past.len() - 1;
        let covered = |node: &Node| picked.iter().any(|b| own(b) != own(node) && b.past.get(own(node)) == Some(&true));
        (picked.iter().copied().filter(|node| !covered(node)).collect(), past)
    }
}

/// The next change of a script.
pub(crate) fn next(u: &mut Unstructured<'_>, known: &Known) -> Result<Vec<u8>> {
    let seen = if u.ratio(1, 2)? { u32::MAX } else { u.arbitrary()? };
    let (heads, past) = known.part(seen);
    let mut change = RawChange::first(0, vec![]);
    change.deps = heads.iter().map(|node| node.hash).collect();
    change.deps.sort();
    // A few actors of the script's own, and those of the base.
    change.actor = match known.changes.len() {
        count if count > 0 && u.ratio(1, 2)? => known.changes[u.choose_index(count)?].actor.clone(),
        _ => actor(u.int_in_range(1..=5)?),
    };
    let ancestors = || known.changes.iter().zip(&past).filter(|(_, is)| **is).map(|(node, _)| node);
    let own = ancestors().filter(|node| node.actor == change.actor);
    change.seq = own.map(|node| node.seq).max().unwrap_or(0) + 1;
    change.start_op = ancestors().map(|node| node.max_op).max().unwrap_or(0) + 1;
    let mut all = known.clone();
    for _ in 0..u.int_in_range(0..=8_u8)? {
        for op in operations(u, &all)? {
            all.seen.note(change.id(change.ops.len() as u64), &op);
            change.ops.push(op);
        }
    }
    flawed(u, change)
}

/// The chunk, often with one thing about it changed and the checksum made to fit.
fn flawed(u: &mut Unstructured<'_>, mut change: RawChange) -> Result<Vec<u8>> {
    match u.int_in_range(0..=15_u8)? {
        0 => change.start_op = change.start_op.saturating_add_signed(u.arbitrary::<i32>()?.into()),
        1 => change.seq = change.seq.wrapping_add_signed(u.int_in_range(-1..=2)?),
        2 => change.time = u.arbitrary()?,
        3 => change.message = u.arbitrary()?,
        4 => change.extra = u.arbitrary()?,
        5 => change.idle_actors.push(actor(u.arbitrary()?)),
        6 => drop(change.deps.pop()),
        7 | 8 => {
            let mut columns = change.columns();
            if !columns.is_empty() {
                let at = u.choose_index(columns.len())?;
                patch(u, &mut columns[at].1)?;
            }
            return Ok(raw::seal(&change.body_with(&columns)));
        }
        9 => {
            let mut body = change.body_with(&change.columns());
            patch(u, &mut body)?;
            return Ok(raw::seal(&body));
        }
        _ => {}
    }
    Ok(change.chunk())
}

fn patch(u: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> Result<()> {
    for _ in 0..u.int_in_range(1..=3_u8)? {
        let at = u.choose_index(bytes.len() + 1)?;
        match u.int_in_range(0..=2_u8)? {
            0 => bytes.insert(at, u.arbitrary()?),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            _ if at < bytes.len() => bytes[at] = u.arbitrary()?,
            _ => bytes.push(u.arbitrary()?),
        }
    }
    Ok(())
}

fn pick<'a, T>(u: &mut Unstructured<'_>, from: &'a [T]) -> Result<Option<&'a T>> {
    if from.is_empty() { Ok(None) } else { Ok(Some(&from[u.choose_index(from.len())?])) }
}

/// One operation that is likely to be sound, or two that belong together.
fn operations(u: &mut Unstructured<'_>, known: &Known) -> Result<Vec<Op>> {
    let key = *u.choose(&KEYS)?;
    let mut op = Op::put(key, "new");
    match u.int_in_range(0..=13_u8)? {
        0 => op = Op::make(key, *u.choose(&[0, 2, 4, 6])?),
        1 => {
            if let Some((list, _)) = pick(u, &known.seen.objects)? {
                op = Op::insert(list, None, "x");
            }
        }
        2..=5 => {
            if let Some((after, obj)) = pick(u, &known.seen.elements)?.cloned() {
                op = Op { obj, insert: true, key: Key::Elem(after), ..Op::put("", "é") };
                op.action = *u.choose(&[1, 1, 1, 0, 2, 4])?;
            }
        }
        6 | 7 => op = over(u, &known.seen.values, [0, 1, 2, 3, 4, 5])?.unwrap_or(op),
        8 => op = over(u, &known.seen.counters, [5, 5, 5, 3, 1, 0])?.unwrap_or(op),
        9 => (op.kind, op.raw) = (8, vec![u.arbitrary::<u8>()? & 0x7f]),
        10 | 11 => return marked(u, known),
        _ => op.obj = pick(u, &known.seen.objects)?.map(|(id, _)| id.clone()),
    }
    if op.action != 1 {
        (op.kind, op.raw) = if op.action == 5 { (4, vec![u.arbitrary::<u8>()? & 0x7f]) } else { (0, vec![]) };
    } else if u.ratio(1, 4)? {
        (op.kind, op.raw) = (u.int_in_range(0..=15)?, u.bytes(u.len().min(8))?.to_vec());
        op.raw.truncate(u.int_in_range(0..=8)?);
    }
    if u.ratio(1, 8)? {
        bend(u, known, &mut op)?;
    }
    Ok(vec![op])
}

/// An operation over a value and some of those in conflict with it.
fn over(u: &mut Unstructured<'_>, from: &[Made], actions: [u64; 6]) -> Result<Option<Op>> {
    let Some((id, obj, key)) = pick(u, from)?.cloned() else { return Ok(None) };
    let mut preds = vec![id];
    for other in from.iter().filter(|other| other.1 == obj && other.2 == key) {
        if u.ratio(1, 2)? {
            preds.push(other.0.clone());
        }
    }
    preds.sort();
    preds.dedup();
    Ok(Some(Op { obj, key, preds, action: *u.choose(&actions)?, ..Op::put("", "over") }))
}

fn marked(u: &mut Unstructured<'_>, known: &Known) -> Result<Vec<Op>> {
    let Some((begin, Some(text))) = pick(u, &known.seen.elements)?.cloned() else { return Ok(vec![]) };
    let same: Vec<&Id> =
        known.seen.elements.iter().filter(|(_, of)| of.as_ref() == Some(&text)).map(|(id, _)| id).collect();
    let end = same[u.choose_index(same.len())?];
    let begin = if u.ratio(1, 4)? { None } else { Some(&begin) };
    let mut both = vec![Op::mark(&text, begin, Some(*u.choose(&KEYS)?)), Op::mark(&text, Some(end), None)];
    for op in &mut both {
        op.expand = u.arbitrary()?;
    }
    if u.ratio(1, 16)? {
        both.swap(0, 1);
    }
    Ok(both)
}

/// Changes one thing about an operation.
fn bend(u: &mut Unstructured<'_>, known: &Known, op: &mut Op) -> Result<()> {
    let values: Vec<&Id> = known.seen.values.iter().map(|(id, ..)| id).collect();
    let id = match pick(u, &values)? {
        Some(id) if u.ratio(3, 4)? => (*id).clone(),
        _ => Id { ctr: u.int_in_range(0..=40)?, actor: actor(u.int_in_range(1..=5)?) },
    };
    match u.int_in_range(0..=8_u8)? {
        0 => op.action = u.int_in_range(0..=9)?,
        1 => op.insert = !op.insert,
        2 => op.obj = Some(id),
        3 => op.key = Key::Elem(id),
        4 => op.key = if u.arbitrary()? { Key::Head } else { Key::Map((*u.choose(&KEYS)?).to_owned()) },
        5 => op.preds.push(id),
        6 => drop(op.preds.pop()),
        7 => op.expand = !op.expand,
        _ => op.mark = if op.mark.is_some() { None } else { Some("bold".to_owned()) },
    }
    Ok(())
}
