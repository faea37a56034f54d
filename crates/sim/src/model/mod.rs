//! What is true, found out without the code that is judged: plain Automerge, plain data, and the ids that name things.
//!
//! - [`actor`]: the names under which changes may stand, computed a second time from `docs/protocol.md`.
//! - [`content`]: a document as plain Automerge reads it from the stored bytes.
//! - [`promises`]: what apps meant, and what they were told became of it.

pub mod actor;
pub mod content;
pub mod promises;
