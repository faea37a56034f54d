//! Errors of the node as failures of a command: the exit code by what went wrong; cause and remedy stand in the message.

use crate::exit::{Exit, Failure};
use farshore::{EditError, Error, KeyError, OpenError, RequestError, WriteError};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new(code(&error), error.to_string())
    }
}

fn code(error: &Error) -> Exit {
    match error {
        Error::Open(error) => open(error),
        Error::Key(error) => key(error),
        Error::Replica(_) | Error::Damaged { .. } => Exit::Damaged,
        Error::Invalid(_) | Error::AmbiguousSpace { .. } | Error::Id(_) => Exit::Usage,
        Error::Refused(error) => request(error),
        Error::Write(error) => write(error),
        Error::NoDocument(_) | Error::NoSpace(_) => Exit::NotFound,
        Error::Type { .. } => Exit::Data,
        Error::Timeout { .. } => Exit::Timeout,
        Error::Dial { .. } | Error::NoNetwork(_) | Error::Closed => Exit::Unavailable,
        _ => Exit::General,
    }
}

fn open(error: &OpenError) -> Exit {
    match error {
        OpenError::Missing(_) | OpenError::NoDirectory(_) | OpenError::NotADirectory(_) => Exit::NotFound,
        OpenError::Exists(_) | OpenError::Denied(_) | OpenError::ReadOnly(_) => Exit::Refused,
        OpenError::WrongKey { .. } | OpenError::Newer { .. } => Exit::Refused,
        OpenError::IsDirectory(_) => Exit::Usage,
        OpenError::NotAStore(..) => Exit::Data,
        OpenError::InUse { .. } => Exit::Busy,
        OpenError::Damaged { .. } => Exit::Damaged,
        _ => Exit::General,
    }
}

fn key(error: &KeyError) -> Exit {
    match error {
        KeyError::Missing { .. } => Exit::NotFound,
        KeyError::Exposed { .. } | KeyError::Newer { .. } => Exit::Refused,
        KeyError::Malformed { .. } => Exit::Damaged,
        KeyError::Io { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied => Exit::Refused,
        _ => Exit::General,
    }
}

fn request(error: &RequestError) -> Exit {
    match error {
        RequestError::UnknownSpace(_) | RequestError::UnknownCollection(_) => Exit::NotFound,
        RequestError::NotAllowed { .. } | RequestError::Ticket(_) => Exit::Refused,
        RequestError::NoKey | RequestError::Paused => Exit::Unavailable,
        RequestError::Invalid(_) => Exit::Data,
        RequestError::Cancelled => Exit::Interrupted,
        _ => Exit::General,
    }
}

fn write(error: &WriteError) -> Exit {
    match error {
        WriteError::Exists(_) | WriteError::Barred { .. } => Exit::Refused,
        WriteError::Missing(_) | WriteError::Edit(EditError::NoSuchPath { .. }) => Exit::NotFound,
        WriteError::Edit(EditError::Internal(_)) => Exit::General,
        WriteError::TooLarge { .. } | WriteError::Edit(_) => Exit::Data,
        WriteError::Damaged { .. } => Exit::Damaged,
        _ => Exit::General,
    }
}
