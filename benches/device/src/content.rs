//! The documents that every engine gets.

use serde_json::{Map, Value, json};

/// The field that edits set: a whole number.
pub const NUMBER: &str = "revision";
/// The field of a text document.
pub const TEXT: &str = "text";
/// Scalar fields of a task document.
pub const FIELDS: usize = 10;

/// A task document: ten scalar fields, 278 bytes as JSON when its number has five digits. Different numbers, different values.
pub fn task(number: u32) -> Map<String, Value> {
    let mixed = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word =
        |at: u32| ["amber", "birch", "coral", "delta", "ember", "fjord", "grove", "heron"][(mixed >> at) as usize & 7];
    let fields = json!({
        "title": format!("Task {number:05}: {} the {} {}", word(3), word(9), word(15)),
        "notes": format!("see {:016x} and ask {} about the {} before {}", mixed, word(21), word(27), word(33)),
        "assignee": format!("{}.{}@example.org", word(39), word(45)),
        "project": format!("{}-{}", word(51), word(57)),
        "done": mixed.is_multiple_of(3),
        "priority": mixed % 5,
        "estimate_h": (mixed % 160) as f64 / 4.0,
        "created": 1_767_225_600 + mixed % 31_536_000,
        "due": 1_798_761_600 + mixed % 31_536_000,
        NUMBER: 0,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_ten_scalar_fields_and_278_bytes_as_json() {
        let tasks: Vec<_> = (10_000..10_200).map(task).collect();
        assert!(
            tasks
                .iter()
                .all(|task| task.len() == FIELDS && task.values().all(|field| !field.is_object() && !field.is_array()))
        );
        let bytes: usize = tasks.iter().map(|task| serde_json::to_vec(task).unwrap().len()).sum();
        assert!((270..=286).contains(&(bytes / tasks.len())), "{} bytes a task", bytes / tasks.len());
    }
}
