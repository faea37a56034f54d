//! Farshore at a shell: what the binary `farshore` is made of.
//!
//! A command line is parsed ([`args`]), understood ([`settings`]), and becomes requests of the [`control`] protocol,
//! which the running device or an executor in this process answers.

pub mod args;
pub mod commands;
pub mod control;
pub mod demo;
pub mod device;
pub mod exit;
pub mod formats;
pub mod limits;
pub mod path;
pub mod print;
pub mod progress;
pub mod run;
pub mod settings;
pub mod version;
