//! Farshore at a shell.
pub mod exit;
pub mod formats;
pub mod limits;
