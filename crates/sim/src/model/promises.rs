//! What apps meant and what they were told: a small model of the truth, one document at a time.
//!
//! It knows no merging. It says what must hold however edits merge: a field that one edit ever wrote has that value, a counter
//! stands at what was added, a text or list is as long as what was put in and taken out, and a deletion holds.
//! An edit that was never answered may have happened or not, so it widens the bounds.

use std::collections::BTreeMap;

use crate::plain::{Edit, Op, Plain, Step};

/// What became of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is durable and changed something.
    Done,
    /// Nobody knows.
    Unknown,
}

/// Everything that is known of one document.
#[derive(Debug, Default)]
pub struct Promises {
    created: bool,
    /// When the first deletion that is durable was asked for, and whether any may have happened.
    deleted: Option<u64>,
    maybe_deleted: bool,
    /// When the last answer came to an edit that can make the document anew.
    made: Option<u64>,
    /// Whether it was edited, apart from creations.
    edited: bool,
    /// By path of keys, each field that was ever written.
    fields: BTreeMap<Vec<String>, Field>,
}

#[derive(Debug, Default)]
struct Field {
    writes: u32,
    /// What the last write that is durable wrote; meaningful if it was the only one.
    value: Option<Plain>,
    /// What was added to a counter, and what may have been.
    added: i64,
    maybe_added: (i64, i64),
    /// Characters of a text or elements of a list that were put in, that may have been, and that may have been taken out.
    inserted: Amount,
    maybe_inserted: Amount,
    removed: u64,
}

/// How many characters or elements, and which characters.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Amount {
    count: u64,
    characters: BTreeMap<char, u64>,
}

impl Amount {
    fn of_text(text: &str) -> Amount {
        let mut amount = Amount::default();
        amount.add_text(text);
        amount
    }

    fn add_text(&mut self, text: &str) {
        for character in text.chars() {
            self.count += 1;
            *self.characters.entry(character).or_default() += 1;
        }
    }

    /// Whether all of `part` is in this.
    fn covers(&self, part: &Amount) -> bool {
        part.characters.iter().all(|(character, count)| self.characters.get(character) >= Some(count))
    }
}

impl Promises {
    /// Notes an edit whose fate is known. `asked` and `answered` count the events of the run.
    pub fn note(&mut self, op: &Op, fate: Fate, asked: u64, answered: u64) {
        match op {
            Op::Create(value) | Op::Upsert(value) => {
                self.created |= fate == Fate::Done && matches!(op, Op::Create(_));
                self.made = Some(answered);
                if let (Op::Upsert(_), Plain::Map(fields)) = (op, value) {
                    // A field that is set takes the place of what was there, with all that was in it.
                    let maps = fields.iter().filter(|(_, value)| matches!(value, Plain::Map(_)));
                    maps.for_each(|(key, _)| self.fields.entry(vec![key.clone()]).or_default().writes += 1);
                }
                self.write(&mut Vec::new(), value, fate);
            }
            Op::Delete => {
                self.maybe_deleted = true;
                if fate == Fate::Done {
                    self.deleted = Some(self.deleted.map_or(asked, |first| first.min(asked)));
                }
            }
            Op::Edit(edits) => {
                self.edited = true;
                edits.iter().for_each(|edit| self.edit(edit, fate));
            }
        }
    }

    /// A value was written: whatever in it is no map is a write of its own.
    fn write(&mut self, path: &mut Vec<String>, value: &Plain, fate: Fate) {
        match value {
            Plain::Map(map) => {
                for (key, value) in map {
                    path.push(key.clone());
                    self.write(path, value, fate);
                    path.pop();
                }
            }
            value => {
                let field = self.fields.entry(path.clone()).or_default();
                field.writes += 1;
                if fate == Fate::Done {
                    field.value = Some(value.clone());
                }
            }
        }
    }

    fn edit(&mut self, edit: &Edit, fate: Fate) {
        let (Edit::Put { path, .. }
        | Edit::Insert { path, .. }
        | Edit::Splice { path, .. }
        | Edit::Increment { path, .. }
        | Edit::Delete { path }) = edit;
        let keys: Vec<String> = path
            .iter()
            .map_while(|step| match step {
                Step::Key(key) => Some(key.clone()),
                Step::Index(_) => None,
            })
            .collect();
        // What lies inside an element of a list is not followed; what happens to an element of a list itself is.
        let element = keys.len() + 1 == path.len();
        if keys.len() + 1 < path.len() {
            return;
        }
        match edit {
            Edit::Put { value, .. } if !element => {
                // A map that is put replaces what is there: the place itself is written, too.
                if matches!(value, Plain::Map(_)) {
                    self.fields.entry(keys.clone()).or_default().writes += 1;
                }
                self.write(&mut keys.clone(), value, fate);
            }
            Edit::Delete { .. } if !element => self.fields.entry(keys).or_default().writes += 2,
            Edit::Delete { .. } => self.fields.entry(keys).or_default().removed += 1,
            Edit::Insert { .. } if element => self.fields.entry(keys).or_default().put_in(fate).count += 1,
            Edit::Splice { delete, insert, .. } if !element => {
                let field = self.fields.entry(keys).or_default();
                field.removed += delete;
                field.put_in(fate).add_text(insert);
            }
            Edit::Increment { by, .. } if !element => {
                let field = self.fields.entry(keys).or_default();
                match fate {
                    Fate::Done => field.added += by,
                    Fate::Unknown if *by < 0 => field.maybe_added.0 += by,
                    Fate::Unknown => field.maybe_added.1 += by,
                }
            }
            _ => {}
        }
    }

    /// What is wrong with what a device shows of the document, once all have met.
    pub fn broken(&self, shown: Option<&Plain>, edit_wins: bool) -> Option<String> {
        let Some(shown) = shown else {
            let missing = self.created && !self.maybe_deleted;
            return missing.then(|| "it was created, nobody deleted it, and it is not shown".into());
        };
        if let Some(asked) = self.deleted {
            let made_anew = self.made.is_some_and(|answered| answered > asked);
            // Where edits win, one that the deleter had not seen keeps the document.
            let kept = edit_wins && (self.edited || self.made.is_some());
            return (!made_anew && !kept).then(|| "it was deleted, which was acknowledged, and it is shown".into());
        }
        if self.maybe_deleted { None } else { self.wrong_field(shown) }
    }

    fn wrong_field(&self, shown: &Plain) -> Option<String> {
        for (path, field) in &self.fields {
            let Some(written) = field.value.as_ref().filter(|_| field.writes == 1 && self.stands_alone(path)) else {
                continue;
            };
            let found = path.iter().try_fold(shown, |value, key| value.get(key));
            if let Some(what) = field.wrong(written, found) {
                return Some(format!("{}: {what}", path.join("/")));
            }
        }
        None
    }

    /// Whether nobody wrote what this field is in, nor what is in it.
    fn stands_alone(&self, path: &[String]) -> bool {
        let above =
            (0..path.len()).any(|length| self.fields.get(&path[..length]).is_some_and(|field| field.writes > 0));
        let from = std::ops::Bound::Excluded(path.to_vec());
        let below =
            self.fields.range((from, std::ops::Bound::Unbounded)).take_while(|(other, _)| other.starts_with(path));
        !above && below.count() == 0
    }
}

impl Field {
    fn put_in(&mut self, fate: Fate) -> &mut Amount {
        match fate {
            Fate::Done => &mut self.inserted,
            Fate::Unknown => &mut self.maybe_inserted,
        }
    }

    /// What is wrong with what is shown of a field that was written once, and edited as noted.
    fn wrong(&self, written: &Plain, found: Option<&Plain>) -> Option<String> {
        match (written, found) {
            (Plain::Counter(first), Some(Plain::Counter(found))) => {
                let sum = first + self.added;
                let (least, most) = (sum + self.maybe_added.0, sum + self.maybe_added.1);
                let what = format!("the counter stands at {found}, and acknowledged increments make {least} to {most}");
                (!(least..=most).contains(found)).then_some(what)
            }
            (Plain::Text(first), Some(Plain::Text(found))) => {
                self.wrong_sequence(&Amount::of_text(first), &Amount::of_text(found))
            }
            (Plain::List(first), Some(Plain::List(found))) => {
                let amount = |list: &[Plain]| Amount { count: list.len() as u64, ..Amount::default() };
                self.wrong_sequence(&amount(first), &amount(found))
            }
            (written, Some(found)) if written == found => None,
            (written, found) => {
                let found = found.map_or_else(|| "nothing".to_owned(), Plain::to_string);
                Some(format!("the only edit ever wrote {written}, and {found} is shown"))
            }
        }
    }

    fn wrong_sequence(&self, first: &Amount, found: &Amount) -> Option<String> {
        let least = (first.count + self.inserted.count).saturating_sub(self.removed);
        let most = first.count + self.inserted.count + self.maybe_inserted.count;
        if !(least..=most).contains(&found.count) {
            return Some(format!(
                "{} characters or elements are there, and acknowledged edits make {least} to {most}",
                found.count
            ));
        }
        let lost = self.removed == 0 && !(found.covers(first) && found.covers(&self.inserted));
        lost.then(|| "acknowledged insertions are missing, and nobody deleted".to_owned())
    }
}

/// Whether an edit that changes something must have made a change under its author's own actor. One that does nothing but make
/// containers of a keyed document need not: anybody's would be the same.
pub fn writes_under_own_actor(op: &Op) -> bool {
    match op {
        Op::Create(value) | Op::Upsert(value) => holds_more_than_containers(value),
        Op::Edit(edits) => edits.iter().any(|edit| match edit {
            Edit::Put { value, .. } => holds_more_than_containers(value),
            Edit::Insert { .. } | Edit::Splice { .. } | Edit::Increment { .. } | Edit::Delete { .. } => true,
        }),
        Op::Delete => false,
    }
}

fn holds_more_than_containers(value: &Plain) -> bool {
    match value {
        Plain::Map(map) => map.values().any(holds_more_than_containers),
        Plain::List(list) => !list.is_empty(),
        Plain::Text(text) => !text.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::keys;

    fn made(fields: &[(&str, Plain)]) -> Promises {
        let mut promises = Promises::default();
        let value = Plain::Map(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect());
        promises.note(&Op::Create(value), Fate::Done, 1, 2);
        promises
    }

    fn shown(key: &str, value: Plain) -> Plain {
        Plain::Map(BTreeMap::from([(key.to_owned(), value)]))
    }

    #[test]
    fn a_counter_stands_at_the_acknowledged_increments_give_or_take_the_unanswered_ones() {
        let mut promises = made(&[("n", Plain::Counter(10))]);
        let add = |by| Op::Edit(vec![Edit::Increment { path: keys(["n"]), by }]);
        promises.note(&add(5), Fate::Done, 3, 4);
        promises.note(&add(-2), Fate::Unknown, 5, 6);
        promises.note(&add(1), Fate::Unknown, 7, 8);
        let verdict = |n| promises.broken(Some(&shown("n", Plain::Counter(n))), false);
        for n in 13..=16 {
            assert_eq!(verdict(n), None);
        }
        assert!(verdict(12).unwrap().contains("13 to 16"));
        assert!(verdict(17).is_some());
    }

    #[test]
    fn acknowledged_insertions_are_in_a_text_unless_deleted() {
        let mut promises = made(&[("t", Plain::Text("ab".into()))]);
        let splice = |delete, insert: &str| {
            Op::Edit(vec![Edit::Splice { path: keys(["t"]), at: 0, delete, insert: insert.into() }])
        };
        promises.note(&splice(0, "cd"), Fate::Done, 3, 4);
        promises.note(&splice(0, "e"), Fate::Unknown, 3, 4);
        let verdict =
            |promises: &Promises, text: &str| promises.broken(Some(&shown("t", Plain::Text(text.into()))), false);
        assert_eq!(verdict(&promises, "cdab"), None);
        assert_eq!(verdict(&promises, "ecdab"), None);
        assert!(verdict(&promises, "cda").is_some(), "too short");
        assert!(verdict(&promises, "cdabxx").is_some(), "too long");
        assert!(verdict(&promises, "cxab").unwrap().contains("missing"));
        promises.note(&splice(2, ""), Fate::Done, 3, 4);
        assert_eq!(verdict(&promises, "ab"), None);
        assert!(verdict(&promises, "a").is_some());
    }

    #[test]
    fn a_list_is_as_long_as_what_was_put_in_and_taken_out() {
        let mut promises = made(&[("l", Plain::List(vec![Plain::Int(1)]))]);
        let at = vec![Step::Key("l".into()), Step::Index(0)];
        promises.note(&Op::Edit(vec![Edit::Insert { path: at.clone(), value: Plain::Int(2) }]), Fate::Done, 3, 4);
        let verdict = |promises: &Promises, length| {
            promises.broken(Some(&shown("l", Plain::List(vec![Plain::Null; length]))), false)
        };
        assert_eq!(verdict(&promises, 2), None);
        assert!(verdict(&promises, 1).is_some());
        promises.note(&Op::Edit(vec![Edit::Delete { path: at }]), Fate::Done, 5, 6);
        assert_eq!(verdict(&promises, 1), None);
    }

    #[test]
    fn a_field_that_was_written_once_has_that_value() {
        let put = |value| Op::Edit(vec![Edit::Put { path: keys(["x"]), value }]);
        let mut promises = made(&[]);
        promises.note(&put(Plain::Int(1)), Fate::Done, 3, 4);
        assert_eq!(promises.broken(Some(&shown("x", Plain::Int(1))), false), None);
        assert!(promises.broken(Some(&shown("x", Plain::Int(2))), false).is_some());
        assert!(promises.broken(Some(&Plain::map([])), false).unwrap().contains("nothing is shown"));
        // Once it was written twice, either may stand.
        promises.note(&put(Plain::Int(2)), Fate::Unknown, 5, 6);
        assert_eq!(promises.broken(Some(&shown("x", Plain::Int(2))), false), None);
    }

    #[test]
    fn what_is_above_or_below_a_field_may_take_it_away() {
        let mut promises = made(&[("m", Plain::map([("x", Plain::Int(1))]))]);
        assert!(promises.broken(Some(&Plain::map([])), false).is_some());
        promises.note(&Op::Edit(vec![Edit::Delete { path: keys(["m"]) }]), Fate::Unknown, 3, 4);
        assert_eq!(promises.broken(Some(&Plain::map([])), false), None);
    }

    #[test]
    fn an_acknowledged_deletion_holds_until_somebody_makes_the_document_anew() {
        let mut promises = made(&[]);
        let there = Plain::map([]);
        assert!(promises.broken(None, false).unwrap().contains("not shown"));
        promises.note(&Op::Delete, Fate::Done, 5, 6);
        assert_eq!(promises.broken(None, false), None);
        assert!(promises.broken(Some(&there), false).unwrap().contains("deleted"));
        promises.note(&Op::Upsert(Plain::map([])), Fate::Unknown, 7, 8);
        assert_eq!(promises.broken(Some(&there), false), None);
    }

    #[test]
    fn where_edits_win_an_edit_keeps_a_deleted_document() {
        let mut promises = made(&[]);
        promises.note(&Op::Delete, Fate::Done, 5, 6);
        promises.note(&Op::Edit(vec![Edit::Put { path: keys(["x"]), value: Plain::Null }]), Fate::Done, 3, 4);
        assert!(promises.broken(Some(&Plain::map([])), false).is_some());
        assert_eq!(promises.broken(Some(&Plain::map([])), true), None);
    }
}
