//! Verifying a store from end to end, while nothing runs on it.

use std::path::Path;

use farshore_store::{OpenError, Report, Store, load_or_create_key_file};

use crate::error::Error;
use crate::start::fresh_key;

/// Verifies a store whose key lies beside it: the checksum of every page, the tag of every value, and how the rows fit together.
/// Of a store that an older Farshore wrote the schema is brought up to date, as at any opening; else nothing is changed.
///
/// # Errors
/// [`Error::Open`] with [`OpenError::Damaged`] when pages are damaged, and as for [`Node::open`](crate::Node::open); the store must
/// not be in use. Whatever else is found is in the report.
///
/// # Cost
/// Reads the whole file, on the caller's thread.
pub fn check(store: impl AsRef<Path>) -> Result<Report, Error> {
    let path = store.as_ref();
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Err(OpenError::Missing(path.to_owned()).into());
    }
    let key = load_or_create_key_file(path, fresh_key)?; // the store is there, so no key is created
    Ok(Store::open_verified(path, &key)?.reader().check()?)
}
