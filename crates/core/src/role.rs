//! What a member may do.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::bytes::{DecodeError, Reader, Writer};

/// A user's role in a space, from least to most. Each may do all that those below it may; where two concurrent operations
/// disagree, the lower one holds.
///
/// Shape: one byte on the wire, 1 to 4 in this order; 5 is reserved for `archive`, which will stand beside `relay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Stores and forwards sealed entries; gets no key.
    Relay,
    /// Gets the keys and reads; its entries are refused.
    Reader,
    /// Writes documents and mints key epochs.
    Writer,
    /// Decides about members and collections.
    Admin,
}

impl Role {
    /// All roles, from least to most.
    pub const ALL: [Role; 4] = [Role::Relay, Role::Reader, Role::Writer, Role::Admin];

    /// Whether it gets keys and may pass them on to others that may read.
    pub fn can_read(self) -> bool {
        self >= Role::Reader
    }

    /// Whether its entries are valid, and it may mint key epochs.
    pub fn can_write(self) -> bool {
        self >= Role::Writer
    }

    /// Whether it may change members, roles and the catalogue.
    pub fn can_administer(self) -> bool {
        self == Role::Admin
    }

    /// The name that people type.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Relay => "relay",
            Role::Reader => "reader",
            Role::Writer => "writer",
            Role::Admin => "admin",
        }
    }

    /// The byte on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Role::Relay => 1,
            Role::Reader => 2,
            Role::Writer => 3,
            Role::Admin => 4,
        }
    }

    /// Writes the byte.
    pub fn encode(self, writer: &mut Writer) {
        writer.u8(self.code());
    }

    /// Reads the byte.
    ///
    /// # Errors
    /// The sender's fault: cut short, or a role that this build does not know.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Role, DecodeError> {
        let code = reader.u8("role")?;
        Role::ALL.into_iter().find(|role| role.code() == code).ok_or(DecodeError::Invalid { field: "role" })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a role; use admin, writer, reader or relay")]
pub struct ParseRoleError(String);

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Role, ParseRoleError> {
        let refuse = || ParseRoleError(text.chars().take(32).collect());
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_back_what_they_print_and_write() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
            let mut writer = Writer::new();
            role.encode(&mut writer);
            assert_eq!(Role::decode(&mut Reader::new(writer.as_slice())).unwrap(), role);
        }
        assert!("Admin ".parse::<Role>().is_err());
        for code in [0, 5, 255] {
            assert!(Role::decode(&mut Reader::new(&[code])).is_err());
        }
    }

    #[test]
    fn a_relay_cannot_read_and_only_writers_write() {
        assert_eq!(Role::ALL.map(Role::can_read), [false, true, true, true]);
        assert_eq!(Role::ALL.map(Role::can_write), [false, false, true, true]);
        assert_eq!(Role::ALL.map(Role::can_administer), [false, false, false, true]);
    }
}
