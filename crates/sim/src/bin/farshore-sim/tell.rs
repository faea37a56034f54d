//! Standard output, for people and pipes.

use std::io::{ErrorKind, Write};

/// Prints a line, as `println!` does. Whoever reads may stop, as `head` does: then the program ends, and nothing is wrong.
macro_rules! say {
    ($($arg:tt)*) => { $crate::tell::say(format_args!($($arg)*)) };
}

pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
        let code = if error.kind() == ErrorKind::BrokenPipe { 0 } else { 2 };
        std::process::exit(code);
    }
}
