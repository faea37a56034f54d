//! `farshore-sim`: runs seeds, shows one, and makes one that fails small.

#[macro_use]
mod tell;

mod args;
mod counts;
mod long;
mod one;
mod powercuts;
mod range;
mod record;

use std::process::ExitCode;

use args::{Command, CommandLine};
use clap::Parser;
use farshore_sim::fault::FaultKind;
use farshore_sim::oracle;

/// A run allocates and frees all the time: documents, pages, frames. The system's allocator takes twice as long for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Run(run) => range::run(&run),
        Command::Trace(trace) => one::trace(&trace),
        Command::Replay(replay) => one::replay(&replay),
        Command::Shrink(shrink) => one::shrink(&shrink),
        Command::Powercuts(powercuts) => powercuts::run(&powercuts),
        Command::Counts(counts) => counts::run(&counts),
        Command::ListFaults => {
            FaultKind::ALL.iter().for_each(|kind| say!("{:<18}{}", kind.name(), kind.describe()));
            Ok(true)
        }
        Command::ListOracles => {
            oracle::all().iter().for_each(|oracle| say!("{:<18}{}", oracle.name(), oracle.promise()));
            oracle::BUILT_IN.iter().for_each(|(name, promise)| say!("{name:<18}{promise}"));
            Ok(true)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
