//! Where a store file is: machine, inode and birth time. A copy or a restored backup differs in one of them.

use std::fs::{self, File};
use std::time::UNIX_EPOCH;

use farshore_core::bytes::{DecodeError, Reader, Writer};

use crate::value::Row;

/// Where systems keep an id that is new with every installation.
const MACHINE_ID_FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// What tells one file from a copy of it. A part that the system does not tell is `None`, and then decides nothing.
///
/// A disk image or a virtual machine that is copied whole keeps all three; that is found when the two meet (a fork).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Hash of the machine's installation id (the id itself should stay on the machine).
    pub machine: Option<[u8; 16]>,
    /// The file's inode number.
    pub inode: Option<u64>,
    /// When the file was created, in nanoseconds since 1970.
    pub born_ns: Option<u64>,
}

impl Place {
    /// The place of an open file.
    pub fn of(file: &File) -> Place {
        let metadata = file.metadata().ok();
        let born = metadata.as_ref().and_then(|metadata| metadata.created().ok());
        let since = born.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Place {
            machine: machine(),
            inode: metadata.as_ref().and_then(inode),
            born_ns: since.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        }
    }

    /// Whether a part that both know differs.
    pub fn differs(&self, other: &Place) -> bool {
        fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            matches!((one, other), (Some(one), Some(other)) if one != other)
        }
        differ(self.machine, other.machine) || differ(self.inode, other.inode) || differ(self.born_ns, other.born_ns)
    }
}

fn machine() -> Option<[u8; 16]> {
    let text = MACHINE_ID_FILES.iter().find_map(|path| fs::read_to_string(path).ok())?;
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let hash = blake3::derive_key("farshore store v1 machine id", text.as_bytes());
    let mut out = [0; 16];
    out.copy_from_slice(&hash[..16]);
    Some(out)
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(metadata))
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> Option<u64> {
    None
}

impl Row for Place {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.bool(self.machine.is_some()).raw(&self.machine.unwrap_or_default());
        out.bool(self.inode.is_some()).u64(self.inode.unwrap_or_default());
        out.bool(self.born_ns.is_some()).u64(self.born_ns.unwrap_or_default());
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(bytes);
        let machine = (from.bool("machine known")?, from.array("machine")?);
        let inode = (from.bool("inode known")?, from.u64("inode")?);
        let born = (from.bool("birth known")?, from.u64("birth")?);
        from.end()?;
        Ok(Place {
            machine: machine.0.then_some(machine.1),
            inode: inode.0.then_some(inode.1),
            born_ns: born.0.then_some(born.1),
        })
    }
}
