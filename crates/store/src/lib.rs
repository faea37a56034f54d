//! Farshore's store: one encrypted redb file per device, in which every batch of the core is durable wholly or not at all.
//!
//! Reading order: `tables.rs` draws the file; [`apply`](Store::apply) is the only way in and [`Reader`] the only way out;
//! `crypt` and `header` are what lies below redb. `docs/file-format.md` says what is assumed of the medium.
//!
//! No tokio, no clock and no randomness: the key's random bytes come in from the caller.

mod apply;
mod check;
mod crypt;
mod error;
mod header;
mod holder;
mod key;
mod load;
mod migrate;
mod pages;
mod place;
mod reader;
mod store;
mod tables;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod value;
mod xts;

pub use check::{Problem, Report};
pub use error::{Holder, KeyError, KeyOrigin, OpenError, Source, StoreError};
pub use key::{StoreKey, key_path, load_key_file, load_or_create_key_file};
pub use place::Place;
pub use reader::{Reader, Rejected};
pub use store::Store;
pub use tables::META_NAME_BYTES;

/// The schema version that this build writes, for `farshore --version`.
pub const SCHEMA_VERSION: u32 = tables::SCHEMA;
