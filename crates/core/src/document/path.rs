//! Where in a document: map keys and list positions from the root.

use std::fmt;

/// One step down from a map or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A key of a map.
    Key(String),
    /// A position in a list, from 0.
    Index(u64),
}

/// A place in a document, from the root; empty for the root itself.
pub type Path = Vec<Step>;

impl Step {
    /// The key, if it is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Step::Key(key) => Some(key),
            Step::Index(_) => None,
        }
    }
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Step::Key(key.to_owned())
    }
}

impl From<u64> for Step {
    fn from(index: u64) -> Self {
        Step::Index(index)
    }
}

/// A path of map keys.
pub fn keys<const N: usize>(keys: [&str; N]) -> Path {
    keys.map(Step::from).into()
}

/// `path`, one step further down.
pub(crate) fn child(path: &[Step], step: impl Into<Step>) -> Path {
    let mut longer = Vec::with_capacity(path.len() + 1);
    longer.extend_from_slice(path);
    longer.push(step.into());
    longer
}

impl From<String> for Step {
    fn from(key: String) -> Self {
        Step::Key(key)
    }
}

/// Prints a path for people: `todos[3].title`, `places["a b"]`, and `the document` for the root.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a [Step]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the document");
        }
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if is_plain(key) && position == 0 => f.write_str(key)?,
                Step::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "[{:?}]", Shortened(key))?,
            }
        }
        Ok(())
    }
}

/// Whether a key reads unambiguously without quotes.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= SHOWN_KEY_BYTES
        && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '$')
        && !key.starts_with(|c: char| c.is_ascii_digit())
}

/// Keys longer than this are cut in messages, so that a message stays readable.
const SHOWN_KEY_BYTES: usize = 64;
/// How much of such a key is shown.
const SHOWN_KEY_CHARS: usize = 48;

struct Shortened<'a>(&'a str);

impl fmt::Debug for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() <= SHOWN_KEY_BYTES {
            true => write!(f, "{:?}", self.0),
            false => write!(f, "{:?}…", self.0.chars().take(SHOWN_KEY_CHARS).collect::<String>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_unambiguously() {
        let path = vec!["todos".into(), 3.into(), "title".into(), "a b".into(), "".into(), "7".into()];
        assert_eq!(Shown(&path).to_string(), r#"todos[3].title["a b"][""]["7"]"#);
        assert_eq!(Shown(&[]).to_string(), "the document");
        let long = Shown(&keys(["é".repeat(500).as_str()])).to_string();
        assert!(long.chars().count() < 60 && long.ends_with("…]"), "{long}");
    }
}
