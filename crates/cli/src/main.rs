//! The binary `farshore`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farshore_cli::run::run(std::env::args_os().collect()).into()
}
