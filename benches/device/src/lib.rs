//! One device of a benchmark, as a process of its own: so that the processor time, the memory and the disk flushes of the two
//! sides are told apart, and so that every engine is driven by the same program through the same scenarios.
//!
//! The driver writes one [`Command`] a line to the process's standard input, as JSON; the process answers with one [`Answer`]
//! a line. Times are of the machine's monotonic clock ([`clock::now_ns`]), which all processes share. A line of the standard
//! error is for people.

pub mod clock;
mod command;
mod content;
mod serve;

pub use command::{Answer, Command, Traffic, Usage};
pub use content::{FIELDS, NUMBER, TEXT, task};
pub use serve::{Device, serve};
