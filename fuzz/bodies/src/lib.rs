//! What Farshore's fuzz targets do with their bytes, as plain functions.
//!
//! One function a target, in the file of its name. It takes any bytes, must not panic or run long, and panics itself where a
//! property does not hold. `fuzz/fuzz_targets` hands it to libFuzzer; `tests/replay.rs` hands it every file of `fuzz/corpus` and
//! `fuzz/artifacts-known` on stable Rust. See `fuzz/README.md`.

mod change;
mod change_automerge;
mod change_script;
mod checkpoint;
mod control;
mod entry;
mod frame;
mod import;
mod roster_op;
mod store;
mod ticket;
mod world;

// The same builders as the core's own tests use.
#[allow(dead_code, reason = "each of their users takes a part")]
#[path = "../../../crates/core/tests/change_common/raw.rs"]
mod raw;
#[path = "../../../crates/core/tests/roster_support/mod.rs"]
mod roster_support;
#[path = "../../../crates/core/tests/change_common/seen.rs"]
mod seen;
#[allow(dead_code, reason = "each of their users takes a part")]
#[path = "../../../crates/core/tests/change_common/workload.rs"]
mod workload;

pub use change::change;
pub use change_automerge::change_automerge;
pub use checkpoint::checkpoint;
pub use control::control;
pub use entry::entry;
pub use frame::frame;
pub use import::import;
pub use roster_op::roster_op;
pub use store::store;
pub use ticket::ticket;
pub use world::world;

/// How far an input came. A corpus of which nothing is accepted tests only the first check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What it stands for was refused, as it may be.
    Refused,
    /// It was taken, and the target's properties held.
    Accepted,
}

/// What a target does with bytes.
pub type Body = fn(&[u8]) -> Outcome;

/// Every target by its name.
pub const TARGETS: &[(&str, Body)] = &[
    ("change", change),
    ("change_automerge", change_automerge),
    ("checkpoint", checkpoint),
    ("control", control),
    ("entry", entry),
    ("frame", frame),
    ("import", import),
    ("roster_op", roster_op),
    ("store", store),
    ("ticket", ticket),
    ("world", world),
];
