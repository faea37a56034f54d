//! The loop of a device process.

use std::io::{self, BufRead, Write};

use crate::clock::{cpu_ns, memory_bytes};
use crate::{Answer, Command, Traffic, Usage};

/// An engine's device.
pub trait Device {
    /// Carries out a command, all but [`Command::Usage`].
    ///
    /// # Errors
    /// In words. The driver then gives the run up.
    fn run(&mut self, command: Command) -> Result<Answer, String>;

    /// What was sent and received since the process started.
    fn traffic(&mut self) -> Traffic;
}

/// Takes commands from the standard input until it ends or the device was closed.
///
/// # Errors
/// When the driver is gone.
pub fn serve(mut device: impl Device) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let command: Command = serde_json::from_str(&line?).map_err(io::Error::other)?;
        let last = command == Command::Close;
        let answer = match command {
            Command::Usage => {
                let (memory_bytes, peak_bytes) = memory_bytes();
                Answer::Usage(Usage { cpu_ns: cpu_ns(), memory_bytes, peak_bytes, traffic: device.traffic() })
            }
            command => device.run(command).unwrap_or_else(Answer::Failed),
        };
        serde_json::to_writer(&mut out, &answer).map_err(io::Error::other)?;
        out.write_all(b"\n")?;
        out.flush()?;
        if last {
            break;
        }
    }
    Ok(())
}
