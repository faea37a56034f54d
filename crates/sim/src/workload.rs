//! The built-in app: weighted edits over maps, lists, texts, counters, deletions and keyed documents, as data.

use farshore_core::id::DocumentId;
use serde::{Deserialize, Serialize};

use crate::app::{Act, App, Collection};
use crate::dice::Dice;
use crate::plain::{Edit, Plain, Step, keys};

/// How often each kind of act is done, against the sum of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Makes a document under a random id.
    pub create: u32,
    /// Makes or updates a document under a key that every device uses.
    pub upsert: u32,
    /// Sets a field.
    pub set: u32,
    /// Types into a text, or deletes from it.
    pub splice: u32,
    /// Adds to a counter.
    pub increment: u32,
    /// Inserts into a list.
    pub insert: u32,
    /// Removes an element of a list.
    pub remove: u32,
    /// Sets or removes a key of an inner map.
    pub inner: u32,
    /// Deletes a document.
    pub delete: u32,
    /// Edits several documents in one request.
    pub several: u32,
    /// Of a hundred edits, how many are of a large value (up to 96 kB).
    pub large_percent: u32,
    /// How many keys there are: few make many conflicts.
    pub keys: u32,
}

impl Default for Workload {
    fn default() -> Self {
        Workload {
            create: 8,
            upsert: 14,
            set: 16,
            splice: 22,
            increment: 10,
            insert: 10,
            remove: 4,
            inner: 8,
            delete: 3,
            several: 5,
            large_percent: 1,
            keys: 12,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Create,
    Upsert,
    Set,
    Splice,
    Increment,
    Insert,
    Remove,
    Inner,
    Delete,
    Several,
}

/// Documents that one act of [`Workload::several`] edits at most.
const SEVERAL: u64 = 6;
/// Documents that a collection shows at most; beyond it nothing is created, so that a long run does not drown in documents.
const DOCUMENTS: usize = 200;

impl Workload {
    /// Weights drawn by chance: each kind may be left out or be the favourite, so that runs differ in more than order.
    pub fn draw(dice: &mut Dice<'_>) -> Workload {
        let mut swarm = |usual: u32| match dice.below(6) {
            0 => 0,
            1 => usual * 4,
            _ => usual,
        };
        let usual = Workload::default();
        Workload {
            create: usual.create,
            upsert: usual.upsert,
            set: swarm(usual.set),
            splice: swarm(usual.splice),
            increment: swarm(usual.increment),
            insert: swarm(usual.insert),
            remove: swarm(usual.remove),
            inner: swarm(usual.inner),
            delete: swarm(usual.delete),
            several: swarm(usual.several),
            large_percent: if dice.percent(20) { 3 } else { 0 },
            keys: dice.magnitude(2, 40) as u32,
        }
    }

    fn kinds(&self) -> [(u32, Kind); 10] {
        [
            (self.create, Kind::Create),
            (self.upsert, Kind::Upsert),
            (self.set, Kind::Set),
            (self.splice, Kind::Splice),
            (self.increment, Kind::Increment),
            (self.insert, Kind::Insert),
            (self.remove, Kind::Remove),
            (self.inner, Kind::Inner),
            (self.delete, Kind::Delete),
            (self.several, Kind::Several),
        ]
    }

    fn text(&self, dice: &mut Dice<'_>) -> String {
        let word = dice.word();
        // Each character is an operation: longer texts would spend the run on one document.
        if dice.percent(self.large_percent.into()) { word.repeat(dice.magnitude(50, 500) as usize) } else { word }
    }

    fn fields(&self, dice: &mut Dice<'_>) -> Plain {
        let tags = (0..dice.below(4)).map(|_| Plain::Str(dice.word())).collect();
        Plain::map([
            ("title", Plain::Str(dice.word())),
            ("body", Plain::Text(self.text(dice))),
            ("count", Plain::Counter(0)),
            ("tags", Plain::List(tags)),
            ("inner", Plain::map([("x", Plain::Int(dice.below(10) as i64))])),
        ])
    }

    fn upsert(&self, act: &mut Act<'_>) {
        let key = format!("key {}", act.dice.below(self.keys.max(1).into()));
        let fields = match act.dice.below(3) {
            0 => Plain::map([("title", Plain::Str(act.dice.word()))]),
            1 => Plain::map([("body", Plain::Text(act.dice.word())), ("n", Plain::Int(act.dice.below(9) as i64))]),
            _ => self.fields(&mut act.dice),
        };
        act.upsert(key, fields);
    }

    /// One edit of a document, of this kind if the document allows it.
    fn edit(&self, dice: &mut Dice<'_>, kind: Kind, value: &Plain) -> Edit {
        let set = |dice: &mut Dice<'_>| {
            if dice.percent(self.large_percent.into()) {
                return Edit::Put { path: keys(["blob"]), value: large(dice) };
            }
            let field = dice.pick(&["title", "note", "done", "state"]).copied().unwrap_or("title");
            Edit::Put { path: keys([field]), value: scalar(dice) }
        };
        let at = |list: &str, index: u64| vec![Step::Key(list.to_owned()), Step::Index(index)];
        let length = |field: &str| match value.get(field) {
            Some(Plain::List(list)) => Some(list.len() as u64),
            Some(Plain::Text(text)) => Some(text.chars().count() as u64),
            Some(Plain::Counter(_) | Plain::Map(_)) => Some(0),
            _ => None,
        };
        match kind {
            Kind::Splice => length("body").map(|length| {
                let at = dice.range(0, length);
                let delete = if dice.percent(30) { dice.below(5).min(length - at) } else { 0 };
                Edit::Splice { path: keys(["body"]), at, delete, insert: self.text(dice) }
            }),
            Kind::Increment => {
                let by = dice.below(21) as i64 - 10;
                length("count").map(|_| Edit::Increment { path: keys(["count"]), by })
            }
            Kind::Insert => length("tags")
                .map(|length| Edit::Insert { path: at("tags", dice.range(0, length)), value: Plain::Str(dice.word()) }),
            Kind::Remove => length("tags")
                .filter(|length| *length > 0)
                .map(|length| Edit::Delete { path: at("tags", dice.below(length)) }),
            Kind::Inner => length("inner").map(|_| {
                let key = dice.pick(&["x", "y", "z"]).copied().unwrap_or("x");
                let path = keys(["inner", key]);
                let there = value.get("inner").is_some_and(|inner| inner.get(key).is_some());
                if there && dice.percent(30) { Edit::Delete { path } } else { Edit::Put { path, value: scalar(dice) } }
            }),
            _ => None,
        }
        .unwrap_or_else(|| set(dice))
    }

    fn edit_some(&self, act: &mut Act<'_>, kind: Kind) {
        match act.any_document() {
            Some((id, value)) => {
                let edit = self.edit(&mut act.dice, kind, value);
                act.edit(id, vec![edit]);
            }
            None => self.upsert(act),
        }
    }

    fn several(&self, act: &mut Act<'_>) {
        let documents = act.documents();
        let count = act.dice.range(2, SEVERAL) as usize;
        let from = act.dice.index(documents.len());
        let chosen: Vec<(DocumentId, &Plain)> =
            documents.iter().cycle().skip(from).take(count.min(documents.len())).map(|(id, v)| (*id, &**v)).collect();
        for (id, value) in chosen {
            let kind = act.dice.weighted(&self.kinds()).unwrap_or(Kind::Set);
            let edit = self.edit(&mut act.dice, kind, value);
            act.edit(id, vec![edit]);
        }
        self.upsert(act);
    }
}

/// Bytes that do not compress: from a few frames' worth to one that travels in parts.
fn large(dice: &mut Dice<'_>) -> Plain {
    let mut bytes = Vec::new();
    for _ in 0..dice.magnitude(100, 12_000) {
        bytes.extend_from_slice(&dice.next_u64().to_le_bytes());
    }
    Plain::Bytes(bytes)
}

fn scalar(dice: &mut Dice<'_>) -> Plain {
    match dice.below(8) {
        0 => Plain::Null,
        1 => Plain::Bool(dice.percent(50)),
        2 => Plain::Uint(dice.next_u64() >> 12),
        3 => Plain::FloatBits((dice.below(1_000) as f64 / 8.0).to_bits()),
        4 => Plain::Bytes(vec![dice.below(256) as u8; dice.index(20)]),
        5 => Plain::Timestamp(dice.below(1 << 40) as i64),
        6 => Plain::Int(dice.below(100) as i64 - 50),
        _ => Plain::Str(dice.word()),
    }
}

impl App for Workload {
    fn collections(&self) -> Vec<Collection> {
        vec![Collection::new("notes"), Collection { name: "orders".into(), edit_wins: true }]
    }

    fn act(&self, act: &mut Act<'_>) {
        let collection = usize::from(act.dice.percent(30));
        act.in_collection(collection);
        let mut kind = act.dice.weighted(&self.kinds()).unwrap_or(Kind::Upsert);
        if act.documents().len() >= DOCUMENTS && matches!(kind, Kind::Create) {
            kind = Kind::Set;
        }
        match kind {
            Kind::Create => {
                let fields = self.fields(&mut act.dice);
                act.create(fields);
            }
            Kind::Upsert => self.upsert(act),
            Kind::Several => self.several(act),
            Kind::Delete => match act.any_document() {
                Some((id, _)) => {
                    act.delete(id);
                }
                None => self.upsert(act),
            },
            kind => self.edit_some(act, kind),
        }
    }
}
