//! Messages of the control socket, from both sides.

use std::fmt::Debug;

use farshore_cli::control::{ClientLine, Greeting, Reply};
use farshore_cli::formats::Typed;
use farshore_cli::path::Path;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Outcome;

/// The first byte picks what the others are: a line of a client, of a server, its greeting, a value or a path.
///
/// Checked: an accepted message is written as one line, and that line says the same.
pub fn control(data: &[u8]) -> Outcome {
    let Some((kind, text)) = data.split_first() else { return Outcome::Refused };
    match kind % 5 {
        0 => line::<ClientLine>(text),
        1 => line::<Reply>(text),
        2 => line::<Greeting>(text),
        3 => line::<Typed>(text),
        _ => path(text),
    }
}

fn line<T: Serialize + DeserializeOwned + Debug>(text: &[u8]) -> Outcome {
    let Ok(message) = serde_json::from_slice::<T>(text) else { return Outcome::Refused };
    let written = serde_json::to_vec(&message).expect("what was read can be written");
    assert!(!written.contains(&b'\n'), "a message is one line");
    let read: T = serde_json::from_slice(&written).expect("what was written can be read");
    // As text, because NaN is not equal to itself.
    assert_eq!(format!("{read:?}"), format!("{message:?}"), "by way of {}", String::from_utf8_lossy(&written));
    Outcome::Accepted
}

fn path(text: &[u8]) -> Outcome {
    let Ok(path) = String::from_utf8_lossy(text).parse::<Path>() else { return Outcome::Refused };
    assert_eq!(path.to_string().parse::<Path>().as_ref(), Ok(&path), "a path reads back as another");
    Outcome::Accepted
}
