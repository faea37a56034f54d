//! Farshore at a shell.
pub mod control;
pub mod demo;
pub mod exit;
pub mod formats;
pub mod limits;
pub mod path;
pub mod print;
pub mod progress;
