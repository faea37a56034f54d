//! `farshore-bench`: see `args.rs` for what it does, `docs/benchmarks.md` for what it found.
//!
//! Reading order: `args.rs`, `scenario/mod.rs` (what a scenario has to work with), the scenarios, `child.rs` (the driver's side
//! of a device process), `device/` (Farshore's side), `record.rs`, `table.rs`. `benches/peers` has the device processes of other
//! engines.

mod args;
mod child;
mod device;
mod record;
mod scenario;
mod table;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    let (names, options) = match command {
        Command::Device => {
            let device = device::FarshoreDevice::new()?;
            return farshore_bench_device::serve(device).map_err(|error| error.to_string());
        }
        Command::Doc { document, results } => return table::write(&document, &results),
        Command::P1(options) => (&["p1"][..], options),
        Command::P2(options) => (&["p2"][..], options),
        Command::P3(options) => (&["p3"][..], options),
        Command::P4(options) => (&["p4"][..], options),
        Command::P5(options) => (&["p5"][..], options),
        Command::P6(options) => (&["p6"][..], options),
        Command::P7(options) => (&["p7"][..], options),
        Command::P8(options) => (&["p8"][..], options),
        Command::P12(options) => (&["p12"][..], options),
        Command::Neighbours(options) => (&["neighbours"][..], options),
        Command::Paper(options) => (&["paper"][..], options),
        Command::All(options) => (&["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p12", "neighbours"][..], options),
    };
    scenario::run(names, &options)
}
