//! What this binary is: its version, the commit it was built from, and the formats it speaks.

use std::sync::LazyLock;

// LEAD: replace these two by farshore::{FILE_SCHEMA, PROTOCOL_VERSION}.
/// The schema version of store files.
pub const FILE_SCHEMA: u32 = 1;
/// The version of the protocol between devices.
pub const PROTOCOL_VERSION: u32 = 1;

/// The commit, `unknown` where it was built without git.
pub const COMMIT: &str = env!("FARSHORE_COMMIT");

/// The text of `--version` behind the name.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{} (commit {COMMIT}, file schema {FILE_SCHEMA}, protocol {PROTOCOL_VERSION})",
            env!("CARGO_PKG_VERSION")
        )
    });
    &TEXT
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_names_commit_file_schema_and_protocol() {
        let text = super::text();
        assert!(text.starts_with(env!("CARGO_PKG_VERSION")), "{text}");
        for part in ["commit ", "file schema ", "protocol "] {
            assert!(text.contains(part), "{text}");
        }
    }
}
