//! Between the words of the control protocol and those of the node.

use crate::control::{Comparison, Container, DeletePolicy, Edit, Filter, PauseItem, Priority, Role};
use crate::exit::{Exit, Failure};
use crate::formats::{Fields, Typed};
use crate::path::{Path, Step};
use farshore::{Conflict, Value, field};

/// A value for the node.
pub(super) fn value(typed: Typed) -> Value {
    match typed {
        Typed::Null => Value::Null,
        Typed::Bool(value) => Value::Bool(value),
        Typed::Int(value) => Value::Int(value),
        Typed::Uint(value) => Value::Uint(value),
        Typed::Float(value) => Value::Float(value),
        Typed::String(value) => Value::Str(value),
        Typed::Text(value) => Value::Text(value),
        Typed::Counter(value) => Value::Counter(value),
        Typed::Timestamp(ms) => Value::Timestamp(ms),
        Typed::Bytes(bytes) => Value::Bytes(bytes),
        Typed::List(items) => Value::List(items.into_iter().map(value).collect()),
        Typed::Map(fields) => map(fields),
    }
}

/// Fields for the node.
pub(super) fn map(fields: Fields) -> Value {
    Value::Map(fields.into_iter().map(|(name, field)| (name, value(field))).collect())
}

/// A value of the node.
pub(super) fn typed(value: &Value) -> Typed {
    match value {
        Value::Null => Typed::Null,
        Value::Bool(value) => Typed::Bool(*value),
        Value::Int(value) => Typed::Int(*value),
        Value::Uint(value) => Typed::Uint(*value),
        Value::Float(value) => Typed::Float(*value),
        Value::Str(value) => Typed::String(value.clone()),
        Value::Text(value) => Typed::Text(value.clone()),
        Value::Counter(value) => Typed::Counter(*value),
        Value::Timestamp(ms) => Typed::Timestamp(*ms),
        Value::Bytes(bytes) => Typed::Bytes(bytes.clone()),
        Value::List(items) => Typed::List(items.iter().map(typed).collect()),
        Value::Map(fields) => Typed::Map(fields.iter().map(|(name, field)| (name.clone(), typed(field))).collect()),
    }
}

/// A value of the node as plain JSON.
pub(super) fn json(value: &Value) -> serde_json::Value {
    typed(value).to_json()
}

/// The part of a document at a path.
pub(super) fn part<'a>(document: &'a Value, path: &Path) -> Option<&'a Value> {
    path.steps().iter().try_fold(document, |value, step| match step {
        Step::Field(name) => value.get(name),
        Step::Index(index) => value.as_list()?.get(usize::try_from(*index).ok()?),
        Step::End => None,
    })
}

/// A path for the node. The place behind a list's end is a position that only the list's length tells.
pub(super) fn path(path: &Path, document: &Value) -> Result<farshore::Path, Failure> {
    let mut steps = farshore::Path::new();
    let mut place = Some(document);
    for step in path.steps() {
        match step {
            Step::Field(name) => {
                steps.push(farshore::Step::Key(name.clone()));
                place = place.and_then(|value| value.get(name));
            }
            Step::Index(index) => {
                steps.push(farshore::Step::Index(*index));
                let index = usize::try_from(*index).ok();
                place = place.and_then(|value| value.as_list()?.get(index?));
            }
            Step::End => {
                let Some(items) = place.and_then(Value::as_list) else {
                    return Err(Failure::new(Exit::NotFound, format!("there is no list at {path}"))
                        .remedy("create it first: farshore edit COLLECTION KEY set FIELD '[]'"));
                };
                steps.push(farshore::Step::Index(items.len() as u64));
                place = None;
            }
        }
    }
    Ok(steps)
}

/// An edit for the node, of a document that is now `document`.
pub(super) fn edit(edit: Edit, document: &Value) -> Result<farshore::Edit, Failure> {
    Ok(match edit {
        Edit::Set { path: at, value: to } => {
            farshore::Edit::Put { path: path(&at, document)?, value: value(to), create_parents: true }
        }
        Edit::Insert { path: at, value: new } => {
            farshore::Edit::Insert { path: path(&at, document)?, value: value(new) }
        }
        Edit::Splice { path: at, position, delete, insert } => {
            farshore::Edit::Splice { path: path(&at, document)?, at: position, delete, insert }
        }
        Edit::Increment { path: at, by } => farshore::Edit::Increment { path: path(&at, document)?, by },
        Edit::Delete { path: at } => farshore::Edit::Delete { path: path(&at, document)? },
    })
}

/// A condition on documents. It is the node's own comparison, so that a list and an app's query agree.
pub(super) fn condition(filter: Filter) -> impl Fn(&Value) -> bool + Send + Sync {
    const PART: &str = "part";
    let (field, with) = (field(PART), value(filter.value));
    let compared = match filter.comparison {
        Comparison::Equal => field.eq(with),
        Comparison::NotEqual => field.ne(with),
        Comparison::Less => field.lt(with),
        Comparison::AtMost => field.le(with),
        Comparison::Greater => field.gt(with),
        Comparison::AtLeast => field.ge(with),
    };
    move |document| match part(document, &filter.path) {
        Some(found) => compared.accepts(&Value::from([(PART, found.clone())])),
        None => compared.accepts(&Value::map()),
    }
}

/// Where a conflict is, as a path is typed.
pub(super) fn conflict_path(conflict: &Conflict) -> String {
    path_text(&conflict.path)
}

/// A path of the node as it is typed.
pub(super) fn path_text(path: &farshore::Path) -> String {
    let steps: Vec<Step> = path
        .iter()
        .map(|step| match step {
            farshore::Step::Key(name) => Step::Field(name.clone()),
            farshore::Step::Index(index) => Step::Index(*index),
        })
        .collect();
    Path::try_from(steps).map_or_else(|_| "the document".to_owned(), |path| path.to_string())
}

/// Whether a conflict lies in the part of a document at a path.
pub(super) fn lies_in(conflict: &Conflict, path: &Path) -> bool {
    let same = |(step, wanted): (&farshore::Step, &Step)| match (step, wanted) {
        (farshore::Step::Key(name), Step::Field(field)) => name == field,
        (farshore::Step::Index(one), Step::Index(other)) => one == other,
        _ => false,
    };
    conflict.path.len() >= path.steps().len() && conflict.path.iter().zip(path.steps()).all(same)
}

pub(super) fn role_for_node(role: Role) -> farshore::Role {
    match role {
        Role::Admin => farshore::Role::Admin,
        Role::Writer => farshore::Role::Writer,
        Role::Reader => farshore::Role::Reader,
        Role::Relay => farshore::Role::Relay,
    }
}

/// `None` removes the rule.
pub(super) fn priority_for_node(priority: Priority) -> Option<farshore::Priority> {
    match priority {
        Priority::Eager => Some(farshore::Priority::Eager),
        Priority::Normal => Some(farshore::Priority::Normal),
        Priority::Lazy => Some(farshore::Priority::Lazy),
        Priority::Manual => Some(farshore::Priority::Manual),
        Priority::None => Some(farshore::Priority::None),
        Priority::Default => None,
    }
}

pub(super) fn priority(priority: farshore::Priority) -> Priority {
    match priority {
        farshore::Priority::Eager => Priority::Eager,
        farshore::Priority::Normal => Priority::Normal,
        farshore::Priority::Lazy => Priority::Lazy,
        farshore::Priority::Manual => Priority::Manual,
        farshore::Priority::None => Priority::None,
    }
}

pub(super) fn pause(paused: &farshore::Paused, all: bool) -> PauseItem {
    let since_ms = i64::try_from(paused.since_unix_ms).unwrap_or(i64::MAX);
    PauseItem { by: paused.by.clone(), since_ms, all }
}

pub(super) fn role(role: farshore::Role) -> Role {
    match role {
        farshore::Role::Admin => Role::Admin,
        farshore::Role::Writer => Role::Writer,
        farshore::Role::Reader => Role::Reader,
        farshore::Role::Relay => Role::Relay,
    }
}

pub(super) fn definition(
    name: &str,
    on_delete: DeletePolicy,
    containers: Vec<(String, Container)>,
) -> farshore::CollectionDefinition {
    let mut definition = farshore::CollectionDefinition::new(name);
    definition.delete_policy = match on_delete {
        DeletePolicy::DeleteWins => farshore::DeletePolicy::DeleteWins,
        DeletePolicy::EditWins => farshore::DeletePolicy::EditWins,
    };
    let step = |(name, kind): (String, Container)| farshore::SchemaStep {
        path: vec![name],
        kind: match kind {
            Container::Text => farshore::ContainerKind::Text,
            Container::List => farshore::ContainerKind::List,
            Container::Map => farshore::ContainerKind::Map,
        },
    };
    definition.schema_steps = containers.into_iter().map(step).collect();
    definition
}
