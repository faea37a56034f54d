//! How the program ends: the exit codes as a type, and the one error that every command returns.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;

/// What the process tells the shell. The numbers are part of the interface: scripts branch on them.
///
/// Shape: on the control socket and in `--json` the kebab-case name stands for the number (`"not-found"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// Done.
    Ok,
    /// Something failed that has no code of its own.
    General,
    /// The command line cannot be understood.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// Not allowed: by a role, a file permission, a ticket that is used up, or a policy.
    Refused,
    /// The network, a peer or the running device cannot be reached.
    Unavailable,
    /// The data given is malformed.
    Data,
    /// The store file is damaged.
    Damaged,
    /// The store is in use by another process.
    Busy,
    /// It took longer than asked.
    Timeout,
    /// A comparison found a difference.
    Differs,
    /// Stopped by Ctrl-C.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Exit; 12] = [
        Exit::Ok,
        Exit::General,
        Exit::Usage,
        Exit::NotFound,
        Exit::Refused,
        Exit::Unavailable,
        Exit::Data,
        Exit::Damaged,
        Exit::Busy,
        Exit::Timeout,
        Exit::Differs,
        Exit::Interrupted,
    ];

    /// The number given to the shell.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::General => 1,
            Exit::Usage => 2,
            Exit::NotFound => 3,
            Exit::Refused => 4,
            Exit::Unavailable => 5,
            Exit::Data => 6,
            Exit::Damaged => 7,
            Exit::Busy => 8,
            Exit::Timeout => 9,
            Exit::Differs => 10,
            Exit::Interrupted => 130, // 128 + SIGINT, as shells have it
        }
    }

    /// One line for `--help`.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "done",
            Exit::General => "failed for a reason without a code of its own",
            Exit::Usage => "the command line cannot be understood",
            Exit::NotFound => "what was named does not exist",
            Exit::Refused => "not allowed by a role, a permission or a ticket",
            Exit::Unavailable => "network, peer or running device not reachable",
            Exit::Data => "malformed data; with import: nothing was imported",
            Exit::Damaged => "the store file is damaged",
            Exit::Busy => "the store is in use by another process",
            Exit::Timeout => "took longer than asked",
            Exit::Differs => "a comparison found a difference",
            Exit::Interrupted => "stopped by Ctrl-C",
        }
    }

    /// The table of exit codes as `--help` shows it.
    pub fn table() -> String {
        let mut text = String::from("Exit codes:\n");
        for exit in Exit::ALL {
            text.push_str(&format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
        }
        text
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command did not do what was asked: the kind, what happened with its cause, and what to do.
///
/// Shape: `message` is one or more lines without a closing full stop; `remedy` is an instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, which is also the exit code.
    pub code: Exit,
    /// What happened to which thing, and why.
    pub message: String,
    /// What the person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Failure {
    /// A failure without a remedy yet.
    pub fn new(code: Exit, message: impl Into<String>) -> Self {
        Failure { code, message: message.into(), remedy: None }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// A command line that cannot be understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, message)
    }

    /// Data that cannot be read as what it should be.
    pub fn data(message: impl Into<String>) -> Self {
        Failure::new(Exit::Data, message)
    }

    /// A failed operation on a file: `doing` names the operation and the file ("read /tmp/a.csv").
    ///
    /// The code follows the cause: absent is [`Exit::NotFound`], forbidden is [`Exit::Refused`].
    pub fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        let (code, remedy) = match error.kind() {
            io::ErrorKind::NotFound => (Exit::NotFound, Some("check the path")),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                (Exit::Refused, Some("check the owner and the permissions"))
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (Exit::General, Some("free some space and try again; what was reported as done is kept"))
            }
            _ => (Exit::General, None),
        };
        let failure = Failure::new(code, format!("cannot {doing}: {error}"));
        match remedy {
            Some(text) => failure.remedy(text),
            None => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n  {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_its_own_and_documented() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes, vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130]);
        let table = Exit::table();
        for exit in Exit::ALL {
            assert!(table.contains(exit.meaning()), "{exit:?} is missing in {table}");
        }
    }

    #[test]
    fn a_failure_survives_the_socket_unchanged() {
        let failure = Failure::new(Exit::NotFound, "no space \"x\"").remedy("list them: farshore space list");
        let line = serde_json::to_string(&failure).unwrap();
        assert_eq!(
            line,
            r#"{"code":"not-found","message":"no space \"x\"","remedy":"list them: farshore space list"}"#
        );
        assert_eq!(serde_json::from_str::<Failure>(&line).unwrap(), failure);
    }

    #[test]
    fn an_io_error_gets_the_code_of_its_cause() {
        let absent = Failure::io("read /no/file", &io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(absent.code, Exit::NotFound);
        assert!(absent.message.contains("/no/file"));
        let forbidden = Failure::io("read /root/file", &io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(forbidden.code, Exit::Refused);
    }
}
