//! Changes as plain values, encoded as Automerge encodes them, with every field free to be wrong.

use automerge::ChangeHash;
use sha2::{Digest, Sha256};

pub(crate) type Actor = Vec<u8>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) ctr: u64,
    pub(crate) actor: Actor,
}

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{:02x}", self.ctr, self.actor.first().unwrap_or(&0))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Map(String),
    Head,
    Elem(Id),
    /// Neither or both: string and counter as given.
    Wrong(Option<String>, Option<u64>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) obj: Option<Id>,
    pub(crate) key: Key,
    pub(crate) insert: bool,
    pub(crate) action: u64,
    /// Low four bits of the value's metadata.
    pub(crate) kind: u64,
    pub(crate) raw: Vec<u8>,
    pub(crate) preds: Vec<Id>,
    pub(crate) expand: bool,
    pub(crate) mark: Option<String>,
}

impl Op {
    /// `root[key] = value`
    pub(crate) fn put(key: &str, value: &str) -> Self {
        Self {
            obj: None,
            key: Key::Map(key.into()),
            insert: false,
            action: 1,
            kind: 6,
            raw: value.into(),
            preds: vec![],
            expand: false,
            mark: None,
        }
    }

    /// A new element behind `after` in `obj`.
    pub(crate) fn insert(obj: &Id, after: Option<&Id>, value: &str) -> Self {
        let key = after.map_or(Key::Head, |id| Key::Elem(id.clone()));
        Self { obj: Some(obj.clone()), key, insert: true, ..Self::put("", value) }
    }

    /// `root[key] = {}` and the like.
    pub(crate) fn make(key: &str, action: u64) -> Self {
        Self { action, kind: 0, raw: vec![], ..Self::put(key, "") }
    }

    pub(crate) fn mark(obj: &Id, after: Option<&Id>, name: Option<&str>) -> Self {
        let mut op = Self::insert(obj, after, "");
        (op.action, op.kind, op.raw, op.mark) = (7, if name.is_some() { 2 } else { 0 }, vec![], name.map(Into::into));
        op
    }

    pub(crate) fn with_preds(mut self, preds: &[&Id]) -> Self {
        self.preds = preds.iter().map(|id| (*id).clone()).collect();
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawChange {
    pub(crate) deps: Vec<ChangeHash>,
    pub(crate) actor: Actor,
    pub(crate) seq: u64,
    pub(crate) start_op: u64,
    pub(crate) time: i64,
    pub(crate) message: Vec<u8>,
    pub(crate) ops: Vec<Op>,
    /// Listed among the others beside those referred to.
    pub(crate) idle_actors: Vec<Actor>,
    pub(crate) extra: Vec<u8>,
}

/// Actor ids for tests: 16 equal bytes.
pub(crate) fn actor(byte: u8) -> Actor {
    vec![byte; 16]
}

pub(crate) fn id(ctr: u64, by: u8) -> Id {
    Id { ctr, actor: actor(by) }
}

impl RawChange {
    pub(crate) fn first(by: u8, ops: Vec<Op>) -> Self {
        Self {
            deps: vec![],
            actor: actor(by),
            seq: 1,
            start_op: 1,
            time: 0,
            message: vec![],
            ops,
            idle_actors: vec![],
            extra: vec![],
        }
    }

    /// The author's next change after this one.
    pub(crate) fn then(&self, ops: Vec<Op>) -> Self {
        Self {
            deps: vec![self.hash()],
            seq: self.seq + 1,
            start_op: self.start_op + self.ops.len() as u64,
            ops,
            ..Self::first(self.actor[0], vec![])
        }
    }

    /// A change by another author after this one.
    pub(crate) fn then_by(&self, by: u8, ops: Vec<Op>) -> Self {
        Self { actor: actor(by), seq: 1, ..self.then(ops) }
    }

    /// The id of the change's own n-th operation.
    pub(crate) fn id(&self, n: u64) -> Id {
        Id { ctr: self.start_op + n, actor: self.actor.clone() }
    }

    pub(crate) fn other_actors(&self) -> Vec<Actor> {
        let mut others = self.idle_actors.clone();
        for op in &self.ops {
            others.extend(op.obj.iter().map(|id| id.actor.clone()));
            if let Key::Elem(id) = &op.key {
                others.push(id.actor.clone());
            }
            others.extend(op.preds.iter().map(|id| id.actor.clone()));
        }
        others.sort();
        others.dedup();
        if self.idle_actors.is_empty() {
            others.retain(|other| *other != self.actor);
        }
        others
    }

    /// The columns as Automerge writes them: specification and bytes, empty ones left out.
    pub(crate) fn columns(&self) -> Vec<(u64, Vec<u8>)> {
        let others = self.other_actors();
        let number = |actor: &Actor| {
            if *actor == self.actor { 0 } else { others.iter().position(|other| other == actor).unwrap() as u64 + 1 }
        };
        let ops = &self.ops;
        let each = |f: &dyn Fn(&Op) -> Option<u64>| ops.iter().map(f).collect::<Vec<_>>();
        let preds: Vec<&Id> = ops.iter().flat_map(|op| &op.preds).collect();
        let key_ctr = each(&|op| match &op.key {
            Key::Map(_) => None,
            Key::Head => Some(0),
            Key::Elem(id) => Some(id.ctr),
            Key::Wrong(_, ctr) => *ctr,
        });
        let key_str: Vec<_> = ops
            .iter()
            .map(|op| match &op.key {
                Key::Map(key) => Some(key.clone()),
                Key::Wrong(key, _) => key.clone(),
                _ => None,
            })
            .collect();
        let key_actor = each(&|op| if let Key::Elem(id) = &op.key { Some(number(&id.actor)) } else { None });
        let metas = each(&|op| Some((op.raw.len() as u64) << 4 | op.kind));
        let pred_actors: Vec<_> = preds.iter().map(|id| Some(number(&id.actor))).collect();
        let pred_ctrs: Vec<_> = preds.iter().map(|id| Some(id.ctr)).collect();
        let columns = vec![
            (0x01, rle(&each(&|op| op.obj.as_ref().map(|id| number(&id.actor))), unsigned)),
            (0x02, rle(&each(&|op| op.obj.as_ref().map(|id| id.ctr)), unsigned)),
            (0x11, rle(&key_actor, unsigned)),
            (0x13, delta(&key_ctr)),
            (0x15, rle(&key_str, text)),
            (0x34, booleans(ops.iter().map(|op| op.insert))),
            (0x42, rle(&each(&|op| Some(op.action)), unsigned)),
            (0x56, rle(&metas, unsigned)),
            (0x57, ops.iter().flat_map(|op| op.raw.clone()).collect()),
            (0x70, rle(&each(&|op| Some(op.preds.len() as u64)), unsigned)),
            (0x71, rle(&pred_actors, unsigned)),
            (0x73, delta(&pred_ctrs)),
            (0x94, if ops.iter().any(|op| op.expand) { booleans(ops.iter().map(|op| op.expand)) } else { vec![] }),
            (0xa5, rle(&ops.iter().map(|op| op.mark.clone()).collect::<Vec<_>>(), text)),
        ];
        columns.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    pub(crate) fn body_with(&self, columns: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        unsigned(&mut out, self.deps.len() as u64);
        self.deps.iter().for_each(|dep| out.extend(dep.0));
        bytes(&mut out, &self.actor);
        unsigned(&mut out, self.seq);
        unsigned(&mut out, self.start_op);
        signed(&mut out, self.time);
        bytes(&mut out, &self.message);
        let others = self.other_actors();
        unsigned(&mut out, others.len() as u64);
        others.iter().for_each(|other| bytes(&mut out, other));
        unsigned(&mut out, columns.len() as u64);
        for (spec, column) in columns {
            unsigned(&mut out, *spec);
            unsigned(&mut out, column.len() as u64);
        }
        columns.iter().for_each(|(_, column)| out.extend(column));
        out.extend(&self.extra);
        out
    }

    pub(crate) fn chunk(&self) -> Vec<u8> {
        seal(&self.body_with(&self.columns()))
    }

    /// The chunk with one column's bytes exchanged, added, or (if empty) left out.
    pub(crate) fn chunk_with(&self, spec: u64, column: Vec<u8>) -> Vec<u8> {
        let mut columns = self.columns();
        columns.retain(|(other, _)| *other != spec);
        if !column.is_empty() {
            let place = columns.partition_point(|(other, _)| *other < spec);
            columns.insert(place, (spec, column));
        }
        seal(&self.body_with(&columns))
    }

    pub(crate) fn hash(&self) -> ChangeHash {
        hash(&self.body_with(&self.columns()))
    }

    /// Read a chunk that Automerge wrote.
    pub(crate) fn parse(chunk: &[u8]) -> Self {
        let mut at = Parser(&chunk[9..]);
        at.unsigned();
        let deps = (0..at.unsigned()).map(|_| ChangeHash(at.take(32).try_into().unwrap())).collect();
        let actor = at.bytes();
        let (seq, start_op, time) = (at.unsigned(), at.unsigned(), at.signed());
        let message = at.bytes();
        let mut actors = vec![actor.clone()];
        (0..at.unsigned()).for_each(|_| actors.push(at.bytes()));
        let columns: Vec<(u64, u64)> = (0..at.unsigned()).map(|_| (at.unsigned(), at.unsigned())).collect();
        let columns: Vec<(u64, &[u8])> = columns.into_iter().map(|(spec, len)| (spec, at.take(len as usize))).collect();
        let ops = parse_ops(&actors, &columns);
        Self { deps, actor, seq, start_op, time, message, ops, idle_actors: vec![], extra: at.0.to_vec() }
    }
}

fn parse_ops(actors: &[Actor], columns: &[(u64, &[u8])]) -> Vec<Op> {
    let column = |spec| columns.iter().find(|(other, _)| *other == spec).map_or(&[][..], |(_, bytes)| *bytes);
    let numbers = |spec| unrle(column(spec), Parser::unsigned);
    let deltas = |spec| {
        let mut sum = 0_i64;
        unrle(column(spec), Parser::signed)
            .into_iter()
            .map(|delta| {
                delta.map(|delta| {
                    sum += delta;
                    sum as u64
                })
            })
            .collect::<Vec<_>>()
    };
    let texts = |spec| unrle(column(spec), |at| String::from_utf8(at.bytes()).unwrap());
    let id = |actor: u64, ctr: u64| Id { ctr, actor: actors[actor as usize].clone() };
    let at = |list: &[Option<u64>], n: usize| list.get(n).copied().flatten();
    let (obj_actor, obj_ctr) = (numbers(1), numbers(2));
    let (key_actor, key_ctr, key_str) = (numbers(0x11), deltas(0x13), texts(0x15));
    let (insert, expand) = (unbooleans(column(0x34)), unbooleans(column(0x94)));
    let (metas, mut values) = (numbers(0x56), Parser(column(0x57)));
    let (counts, pred_actor, pred_ctr, marks) = (numbers(0x70), numbers(0x71), deltas(0x73), texts(0xa5));
    let mut pred = 0;
    numbers(0x42)
        .into_iter()
        .enumerate()
        .map(|(n, action)| {
            let meta = at(&metas, n).unwrap();
            let preds = (pred..pred + at(&counts, n).unwrap() as usize)
                .map(|p| id(at(&pred_actor, p).unwrap(), at(&pred_ctr, p).unwrap()))
                .collect::<Vec<_>>();
            pred += preds.len();
            let key = match (at(&key_actor, n), at(&key_ctr, n), key_str.get(n).cloned().flatten()) {
                (_, _, Some(text)) => Key::Map(text),
                (Some(actor), Some(ctr), _) => Key::Elem(id(actor, ctr)),
                _ => Key::Head,
            };
            Op {
                obj: at(&obj_actor, n).map(|actor| id(actor, at(&obj_ctr, n).unwrap())),
                key,
                insert: insert[n],
                action: action.unwrap(),
                kind: meta & 15,
                raw: values.take((meta >> 4) as usize).to_vec(),
                preds,
                expand: expand.get(n).copied().unwrap_or(false),
                mark: marks.get(n).cloned().flatten(),
            }
        })
        .collect()
}

/// Put a header with the right checksum before a body.
pub(crate) fn seal(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x85, 0x6f, 0x4a, 0x83];
    out.extend(&hash(body).0[..4]);
    out.push(1);
    unsigned(&mut out, body.len() as u64);
    out.extend(body);
    out
}

fn hash(body: &[u8]) -> ChangeHash {
    let mut head = vec![1];
    unsigned(&mut head, body.len() as u64);
    head.extend(body);
    ChangeHash(Sha256::digest(head).into())
}

/// The body of a chunk.
pub(crate) fn body(chunk: &[u8]) -> &[u8] {
    let mut at = Parser(&chunk[9..]);
    at.unsigned();
    at.0
}

pub(crate) fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn signed(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let byte = value as u8 & 0x7f;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    unsigned(out, value.len() as u64);
    out.extend(value);
}

fn text(out: &mut Vec<u8>, value: String) {
    bytes(out, value.as_bytes());
}

/// Run-length encoding; empty if there is nothing but nulls.
pub(crate) fn rle<T: PartialEq + Clone>(values: &[Option<T>], write: impl Fn(&mut Vec<u8>, T)) -> Vec<u8> {
    let mut out = Vec::new();
    if values.iter().all(Option::is_none) {
        return out;
    }
    let runs: Vec<&[Option<T>]> = values.chunk_by(|a, b| a == b).collect();
    let mut n = 0;
    while n < runs.len() {
        match (&runs[n][0], runs[n].len()) {
            (None, len) => {
                signed(&mut out, 0);
                unsigned(&mut out, len as u64);
                n += 1;
            }
            (Some(value), len @ 2..) => {
                signed(&mut out, len as i64);
                write(&mut out, value.clone());
                n += 1;
            }
            _ => {
                let end =
                    runs[n..].iter().position(|run| run.len() > 1 || run[0].is_none()).map_or(runs.len(), |p| n + p);
                signed(&mut out, -((end - n) as i64));
                runs[n..end].iter().flat_map(|run| run[0].clone()).for_each(|value| write(&mut out, value));
                n = end;
            }
        }
    }
    out
}

fn delta(values: &[Option<u64>]) -> Vec<u8> {
    let mut last = 0_i64;
    let deltas: Vec<Option<i64>> = values
        .iter()
        .map(|value| {
            value.map(|value| {
                let delta = (value as i64).wrapping_sub(last);
                last = value as i64;
                delta
            })
        })
        .collect();
    rle(&deltas, signed)
}

fn booleans(values: impl Iterator<Item = bool>) -> Vec<u8> {
    let values: Vec<bool> = values.collect();
    let mut out = Vec::new();
    if values.first() == Some(&true) {
        out.push(0);
    }
    values.chunk_by(|a, b| a == b).for_each(|run| unsigned(&mut out, run.len() as u64));
    out
}

struct Parser<'a>(&'a [u8]);

impl<'a> Parser<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        head
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.unsigned();
        self.take(len as usize).to_vec()
    }

    fn unsigned(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.take(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }

    fn signed(&mut self) -> i64 {
        let (mut value, mut shift) = (0_i64, 0);
        loop {
            let byte = self.take(1)[0];
            value |= i64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return if shift < 64 && byte & 0x40 != 0 { value | -1 << shift } else { value };
            }
        }
    }
}

fn unrle<'a, T: Clone>(bytes: &'a [u8], read: impl Fn(&mut Parser<'a>) -> T) -> Vec<Option<T>> {
    let (mut at, mut out) = (Parser(bytes), Vec::new());
    while !at.0.is_empty() {
        match at.signed() {
            0 => {
                let nulls = at.unsigned();
                (0..nulls).for_each(|_| out.push(None))
            }
            n @ 1.. => {
                let value = read(&mut at);
                (0..n).for_each(|_| out.push(Some(value.clone())))
            }
            n => (0..-n).for_each(|_| out.push(Some(read(&mut at)))),
        }
    }
    out
}

fn unbooleans(bytes: &[u8]) -> Vec<bool> {
    let (mut at, mut out, mut value) = (Parser(bytes), Vec::new(), false);
    while !at.0.is_empty() {
        (0..at.unsigned()).for_each(|_| out.push(value));
        value = !value;
    }
    out
}
