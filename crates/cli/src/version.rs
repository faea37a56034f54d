//! What this binary is: its version, the commit it was built from, and the formats it speaks.

use farshore::{FILE_SCHEMA, PROTOCOL_VERSION};
use std::sync::LazyLock;

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
