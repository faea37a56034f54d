//! [`Query`]: documents by what they contain.
//!
//! There are no indexes yet: a query reads every view of its collection, about a microsecond a kilobyte. What it gives is
//! right whatever the size; what it costs follows the collection.

use std::cmp::Ordering;

use farshore_core::id::DocumentId;
use farshore_core::value::Value;
use futures::TryStreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::collection::{Collection, typed};
use crate::error::Error;
use crate::watch::Watcher;

/// A field of a document, by its name, or by a path of names with dots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    path: Vec<String>,
}

/// Names a field for a [`Filter`]: `field("done")`, `field("address.city")`.
pub fn field(path: &str) -> Field {
    Field { path: path.split('.').map(str::to_owned).collect() }
}

/// A condition on a document.
///
/// Numbers compare by their value whatever their kind, counters and timestamps among them; texts compare with strings. What
/// has no order between it (a string and a number, a missing field) fulfils no comparison but `ne`.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Condition);

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Compare(Field, Comparison, Value),
    Exists(Field),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Field {
    fn compare(self, comparison: Comparison, value: impl Into<Value>) -> Filter {
        Filter(Condition::Compare(self, comparison, value.into()))
    }

    /// Equal to `value`.
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::Equal, value)
    }

    /// Not equal to `value`, or missing.
    pub fn ne(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::Different, value)
    }

    /// Less than `value`.
    pub fn lt(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::Less, value)
    }

    /// Less than or equal to `value`.
    pub fn le(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::AtMost, value)
    }

    /// Greater than `value`.
    pub fn gt(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::Greater, value)
    }

    /// Greater than or equal to `value`.
    pub fn ge(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::AtLeast, value)
    }

    /// There, and not null.
    pub fn exists(self) -> Filter {
        Filter(Condition::Exists(self))
    }

    fn of<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.path.iter().try_fold(document, |value, name| value.get(name))
    }
}

impl Filter {
    /// Both this and `other`.
    pub fn and(self, other: Filter) -> Filter {
        Filter(Condition::All(vec![self.0, other.0]))
    }

    /// This or `other`, or both.
    pub fn or(self, other: Filter) -> Filter {
        Filter(Condition::Any(vec![self.0, other.0]))
    }

    /// Whether a document fulfils it.
    pub fn accepts(&self, document: &Value) -> bool {
        self.0.accepts(document)
    }
}

/// The opposite.
impl std::ops::Not for Filter {
    type Output = Filter;

    fn not(self) -> Filter {
        Filter(Condition::Not(Box::new(self.0)))
    }
}

impl Condition {
    fn accepts(&self, document: &Value) -> bool {
        match self {
            Condition::Compare(field, comparison, value) => {
                let order = field.of(document).and_then(|there| order(there, value));
                match comparison {
                    Comparison::Equal => order == Some(Ordering::Equal),
                    Comparison::Different => order != Some(Ordering::Equal),
                    Comparison::Less => order == Some(Ordering::Less),
                    Comparison::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                    Comparison::Greater => order == Some(Ordering::Greater),
                    Comparison::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
            Condition::Exists(field) => field.of(document).is_some_and(|value| *value != Value::Null),
            Condition::Not(condition) => !condition.accepts(document),
            Condition::All(conditions) => conditions.iter().all(|condition| condition.accepts(document)),
            Condition::Any(conditions) => conditions.iter().any(|condition| condition.accepts(document)),
        }
    }
}

/// The order of two values, where there is one.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::List(a), Value::List(b)) => (a == b).then_some(Ordering::Equal),
        (Value::Map(a), Value::Map(b)) => (a == b).then_some(Ordering::Equal),
        _ => match (one.as_str(), other.as_str()) {
            (Some(a), Some(b)) => Some(a.cmp(b)),
            (None, None) => match (integer(one), integer(other)) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => number(one)?.partial_cmp(&number(other)?),
            },
            _ => None,
        },
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) | Value::Counter(number) | Value::Timestamp(number) => Some((*number).into()),
        Value::Uint(number) => Some((*number).into()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        // Comparison with a float is as exact as floats are.
        other => integer(other).map(|number| number as f64),
    }
}

/// A query that is being put together. It runs with [`Query::run`], again and again with [`Query::watch`].
#[derive(Debug)]
#[must_use = "a query does nothing until it is run"]
pub struct Query<T> {
    collection: Collection<T>,
    filters: Vec<Filter>,
    order: Option<(Field, bool)>,
    limit: usize,
}

impl<T> Clone for Query<T> {
    fn clone(&self) -> Self {
        Query {
            collection: self.collection.clone(),
            filters: self.filters.clone(),
            order: self.order.clone(),
            limit: self.limit,
        }
    }
}

impl<T> Query<T> {
    pub(crate) fn new(collection: Collection<T>) -> Self {
        Query { collection, filters: Vec::new(), order: None, limit: usize::MAX }
    }

    /// Only documents that fulfil this too. Default: all.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// In ascending order of a field; documents without it come first. Default: in the order of ids.
    pub fn order_by(mut self, path: &str) -> Self {
        self.order = Some((field(path), false));
        self
    }

    /// In descending order of a field; documents without it come last.
    pub fn order_by_descending(mut self, path: &str) -> Self {
        self.order = Some((field(path), true));
        self
    }

    /// At most this many documents. Default: no limit.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The documents as plain values, as they are now.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Damaged`].
    ///
    /// # Cost
    /// Reads the whole collection, and with an order keeps all that fulfil the filters until they are sorted.
    pub async fn values(&self) -> Result<Vec<(DocumentId, Value)>, Error> {
        let mut found = Vec::new();
        let mut all = std::pin::pin!(self.collection.all_values());
        while let Some((id, value)) = all.try_next().await? {
            if self.order.is_none() && found.len() >= self.limit {
                break;
            }
            if self.filters.iter().all(|filter| filter.accepts(&value)) {
                found.push((id, value));
            }
        }
        if let Some((field, descending)) = &self.order {
            found.sort_by(|(_, one), (_, other)| {
                let order = sort_order(field.of(one), field.of(other));
                if *descending { order.reverse() } else { order }
            });
        }
        found.truncate(self.limit);
        Ok(found)
    }

    /// How many documents fulfil the filters; the limit is not applied.
    ///
    /// # Errors
    /// As for [`Query::values`].
    pub async fn count(&self) -> Result<u64, Error> {
        if self.filters.is_empty() {
            return self.collection.count().await;
        }
        let mut count = 0;
        let mut all = std::pin::pin!(self.collection.all_values());
        while let Some((_, value)) = all.try_next().await? {
            count += u64::from(self.filters.iter().all(|filter| filter.accepts(&value)));
        }
        Ok(count)
    }

    /// The results now, and again after each change of the collection. Dropping it unsubscribes.
    pub fn watch(&self) -> QueryWatch<T> {
        // Registered before the first run, so that no change falls in between.
        QueryWatch { watcher: self.collection.watch(), query: self.clone(), first: true }
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Query<T> {
    /// The documents, as they are now.
    ///
    /// # Errors
    /// As for [`Query::values`]; [`Error::Type`] when one does not have `T`'s shape.
    ///
    /// # Cost
    /// As for [`Query::values`].
    pub async fn run(&self) -> Result<Vec<(DocumentId, T)>, Error> {
        self.values().await?.into_iter().map(|(id, value)| Ok((id, typed(value)?))).collect()
    }
}

/// The order for sorting, which is total: what is missing, then by kind where kinds have no order between them.
fn sort_order(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    let rank = |value: Option<&Value>| match value {
        None | Some(Value::Null) => 0,
        Some(Value::Bool(_)) => 1,
        Some(Value::Int(_) | Value::Uint(_) | Value::Counter(_) | Value::Timestamp(_) | Value::Float(_)) => 2,
        Some(Value::Str(_) | Value::Text(_)) => 3,
        Some(Value::Bytes(_)) => 4,
        Some(Value::List(_)) => 5,
        Some(Value::Map(_)) => 6,
    };
    rank(one).cmp(&rank(other)).then_with(|| match (one, other) {
        (Some(one), Some(other)) => match (number(one), number(other)) {
            // Integers first by their exact value; a NaN sorts after every number, as `total_cmp` has it.
            (Some(a), Some(b)) => match (integer(one), integer(other)) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.total_cmp(&b),
            },
            _ => order(one, other).unwrap_or(Ordering::Equal),
        },
        _ => Ordering::Equal,
    })
}

/// A query's results as they change.
#[derive(Debug)]
pub struct QueryWatch<T> {
    watcher: Watcher,
    query: Query<T>,
    first: bool,
}

impl<T: Serialize + DeserializeOwned + 'static> QueryWatch<T> {
    /// The results: the first time at once, then after the next change. Changes that come together give one result. `None`
    /// after the node was shut down.
    pub async fn next(&mut self) -> Option<Result<Vec<(DocumentId, T)>, Error>> {
        if !std::mem::take(&mut self.first) {
            self.watcher.next().await?;
        }
        Some(self.query.run().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        Value::from([
            ("title", Value::Text("Milk".into())),
            ("count", Value::Counter(3)),
            ("price", Value::Float(1.5)),
            ("done", Value::Bool(false)),
            ("none", Value::Null),
            ("address", Value::from([("city", Value::from("Oslo"))])),
        ])
    }

    #[test]
    fn filters_compare_across_kinds_and_follow_paths() {
        let document = document();
        for filter in [
            field("title").eq("Milk"),
            field("count").eq(3i64),
            field("count").lt(3.5),
            field("price").gt(1i64),
            field("done").eq(false),
            field("address.city").ge("Oslo"),
            field("missing").ne(1i64),
            field("title").exists(),
            !field("none").exists(),
            field("missing").eq(1i64).or(field("count").le(3i64)),
        ] {
            assert!(filter.accepts(&document), "{filter:?}");
        }
        for filter in [
            field("title").eq(1i64),
            field("title").lt(1i64),
            field("missing").eq(Value::Null),
            field("none").exists(),
            field("address.city.street").exists(),
            field("count").gt(3i64).and(field("done").eq(false)),
        ] {
            assert!(!filter.accepts(&document), "{filter:?}");
        }
    }

    #[test]
    fn the_sort_order_is_total() {
        let mut values = [
            Value::Str("b".into()),
            Value::Float(f64::NAN),
            Value::Int(2),
            Value::Null,
            Value::Text("a".into()),
            Value::Float(1.5),
            Value::Bool(true),
        ];
        values.sort_by(|one, other| sort_order(Some(one), Some(other)));
        let kinds: Vec<String> = values.iter().map(|value| value.to_string()).collect();
        assert_eq!(kinds, ["null", "true", "1.5", "2", "NaN", "\"a\"", "\"b\""]);
    }
}
