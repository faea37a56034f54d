//! Paths into documents: `address.lines[0]."odd key"`.
//!
//! A path is a field, followed by further fields after a dot and positions in brackets. A field that holds anything
//! but letters, digits, `_`, `-`, `$`, `@`, `/` and other characters without a meaning here is quoted as a JSON
//! string, either in place of the name or in brackets: `a."b.c"` and `a["b.c"]` are the same. `tags[]` is the place
//! behind the last element, for insertions.

use crate::exit::Failure;
use crate::limits::{PATH_LIMIT_BYTES, PATH_STEPS_MAX};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Into a map, by name.
    Field(String),
    /// Into a list or a text, by position from 0.
    Index(u64),
    /// Behind the last element of a list.
    End,
}

/// A place in a document. Never empty.
///
/// Shape: as JSON a list of strings, numbers and `null` for the end: `["address","lines",0]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Step>", into = "Vec<Step>")]
pub struct Path {
    steps: Vec<Step>,
}

/// Why a path cannot be read, pointing at the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    path: String,
    /// The character at which it went wrong, from 0.
    column: usize,
    message: String,
}

impl Path {
    /// The steps from the document to the place.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The place without its last step, and that step.
    pub fn split_last(&self) -> (&[Step], &Step) {
        match self.steps.split_last() {
            Some((last, parents)) => (parents, last),
            None => (&[], &Step::End), // not reached: a path has a step
        }
    }

    /// Refuses a path with `[]` in it, for commands that need a place that exists.
    ///
    /// Errors: usage.
    pub fn without_end(self) -> Result<Self, Failure> {
        if self.steps.contains(&Step::End) {
            return Err(Failure::usage(format!("the path {self} names the place behind the last element"))
                .remedy("only `edit insert` can use []; write a position, such as [0]"));
        }
        Ok(self)
    }
}

impl TryFrom<Vec<Step>> for Path {
    type Error = String;

    fn try_from(steps: Vec<Step>) -> Result<Self, String> {
        match steps.len() {
            0 => Err("a path has at least one step".to_owned()),
            n if n > PATH_STEPS_MAX => Err(format!("a path has at most {PATH_STEPS_MAX} steps")),
            _ if steps.iter().any(|step| matches!(step, Step::Field(name) if name.is_empty())) => {
                Err("a field has a name".to_owned())
            }
            _ if !matches!(steps[0], Step::Field(_)) => Err("a path begins with a field".to_owned()),
            _ => Ok(Path { steps }),
        }
    }
}

impl From<Path> for Vec<Step> {
    fn from(path: Path) -> Self {
        path.steps
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Parser { text, at: 0 }.path()
    }
}

/// Characters that end a bare name.
fn is_special(character: char) -> bool {
    matches!(character, '.' | '[' | ']' | '"' | '\'' | '\\') || character.is_whitespace() || character.is_control()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn path(mut self) -> Result<Path, PathError> {
        if self.text.len() > PATH_LIMIT_BYTES {
            return Err(PathError {
                path: String::new(),
                column: 0,
                message: format!("the path is longer than {PATH_LIMIT_BYTES} bytes"),
            });
        }
        let mut steps = vec![Step::Field(self.name("a field name")?)];
        while let Some(next) = self.peek() {
            if steps.len() == PATH_STEPS_MAX {
                return Err(self.error(format!("a path has at most {PATH_STEPS_MAX} steps")));
            }
            match next {
                '.' => {
                    self.at += 1;
                    steps.push(Step::Field(self.name("a field name after the dot")?));
                }
                '[' => {
                    self.at += 1;
                    steps.push(self.bracket()?);
                }
                ']' => return Err(self.error("this ] closes nothing; quote a name that holds one")),
                _ => return Err(self.error("expected a dot or a [ here; quote a name that holds other characters")),
            }
        }
        Ok(Path { steps })
    }

    fn name(&mut self, wanted: &str) -> Result<String, PathError> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let rest = &self.text[self.at..];
        let end = rest.find(is_special).unwrap_or(rest.len());
        if end == 0 {
            return Err(match self.peek() {
                Some('[') => {
                    self.error(format!("expected {wanted}: a document is a map, so a path begins with a field"))
                }
                _ => self.error(format!("expected {wanted}")),
            });
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    /// A name as a JSON string.
    fn quoted(&mut self) -> Result<String, PathError> {
        let start = self.at;
        let mut escaped = false;
        let closing = self.text[start..].char_indices().skip(1).find(|(_, character)| {
            let closes = !escaped && *character == '"';
            escaped = !escaped && *character == '\\';
            closes
        });
        let Some((length, _)) = closing else { return Err(self.error("this quote is not closed")) };
        let quoted = &self.text[start..=start + length];
        let name: String = serde_json::from_str(quoted)
            .map_err(|_| self.error("this is not a string as JSON has it; escapes are \\\" \\\\ \\n \\t \\u0041"))?;
        if name.is_empty() {
            return Err(self.error("a field has a name"));
        }
        self.at = start + quoted.len();
        Ok(name)
    }

    /// What stands behind an opening bracket, with the closing one.
    fn bracket(&mut self) -> Result<Step, PathError> {
        let step = match self.peek() {
            Some('"') => Step::Field(self.quoted()?),
            Some(']') => Step::End,
            Some('0'..='9') => Step::Index(self.index()?),
            Some('-') => {
                return Err(self.error("positions count from 0 at the beginning; [] is behind the last element"));
            }
            _ => return Err(self.error("expected a position, a quoted name, or ] here")),
        };
        if self.peek() != Some(']') {
            return Err(self.error("expected ] here"));
        }
        self.at += 1;
        Ok(step)
    }

    fn index(&mut self) -> Result<u64, PathError> {
        let rest = &self.text[self.at..];
        let digits = &rest[..rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len())];
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(self.error("a position is written without leading zeros"));
        }
        let index = digits.parse().map_err(|_| self.error("this position is larger than any list"))?;
        self.at += digits.len();
        Ok(index)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn error(&self, message: impl Into<String>) -> PathError {
        PathError { path: self.text.to_owned(), column: self.text[..self.at].chars().count(), message: message.into() }
    }
}

impl fmt::Display for PathError {
    /// Shape: the message, the path, and a mark below the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Control characters would move the mark, or the terminal.
        let shown = |text: &str| -> String {
            text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
        };
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        let before: String = self.path.chars().take(self.column).collect();
        let indent = unicode_width::UnicodeWidthStr::width(shown(&before).as_str());
        write!(f, "{} (column {})\n  {}\n  {:indent$}^", self.message, self.column + 1, shown(&self.path), "")
    }
}

impl std::error::Error for PathError {}

impl fmt::Display for Path {
    /// Shape: reads back as the same path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::End => f.write_str("[]")?,
                Step::Field(name) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    if name.contains(is_special) {
                        f.write_str(&serde_json::Value::from(name.as_str()).to_string())?;
                    } else {
                        f.write_str(name)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::strategy::Strategy as _;

    fn field(name: &str) -> Step {
        Step::Field(name.to_owned())
    }

    #[test]
    fn a_path_is_fields_and_positions() {
        for (text, steps) in [
            ("a", vec![field("a")]),
            ("a.b[3].c", vec![field("a"), field("b"), Step::Index(3), field("c")]),
            ("a[0][12][]", vec![field("a"), Step::Index(0), Step::Index(12), Step::End]),
            (r#""x.y"."\"q\""["é\n"]"#, vec![field("x.y"), field("\"q\""), field("é\n")]),
            ("größe-1.$b_@/c:d,e", vec![field("größe-1"), field("$b_@/c:d,e")]),
            (r#"a."\u0041\\""#, vec![field("a"), field("A\\")]),
        ] {
            assert_eq!(text.parse::<Path>().unwrap().steps(), steps, "{text}");
        }
    }

    #[test]
    fn a_wrong_path_is_answered_with_the_place() {
        for (text, column, words) in [
            ("", 0, "expected a field name"),
            ("[0]", 0, "begins with a field"),
            (".a", 0, "expected a field name"),
            ("a.", 2, "after the dot"),
            ("a..b", 2, "after the dot"),
            ("a b", 1, "dot or a ["),
            ("a]", 1, "closes nothing"),
            ("a[", 2, "a position"),
            ("a[x]", 2, "a position"),
            ("a[-1]", 2, "count from 0"),
            ("a[01]", 2, "leading zeros"),
            ("a[1", 3, "expected ]"),
            ("a[99999999999999999999]", 2, "larger than any list"),
            ("é.\"b", 2, "not closed"),
            ("a.\"\\x\"", 2, "as JSON has it"),
            ("a.\"\"", 2, "has a name"),
            ("\"a\"b", 3, "dot or a ["),
        ] {
            let error = text.parse::<Path>().unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(words), "{text}: {error}");
        }
        let error = "größe..x".parse::<Path>().unwrap_err().to_string();
        assert_eq!(error, "expected a field name after the dot (column 7)\n  größe..x\n        ^");
        let deep = "a".to_owned() + &"[0]".repeat(PATH_STEPS_MAX);
        assert!(deep.parse::<Path>().unwrap_err().message.contains("at most"));
        assert!("a".repeat(PATH_LIMIT_BYTES + 1).parse::<Path>().unwrap_err().message.contains("longer"));
    }

    #[test]
    fn the_wire_form_is_checked_like_the_text() {
        let path: Path = "a[3].b[]".parse().unwrap();
        let json = serde_json::to_string(&path).unwrap();
        assert_eq!(json, r#"["a",3,"b",null]"#);
        assert_eq!(serde_json::from_str::<Path>(&json).unwrap(), path);
        for bad in ["[]", "[0]", "[\"\"]", "[\"a\",-1]", "[\"a\",1.5]"] {
            assert!(serde_json::from_str::<Path>(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_path_reads_back_as_it_was_written(
            first in "\\PC{1,4}|[a.\\[\\]\"\\\\ \\n]{1,4}",
            rest in proptest::collection::vec(
                proptest::prop_oneof![
                    "\\PC{1,4}|[a.\\[\\]\"\\\\ \\n]{1,4}".prop_map(Step::Field),
                    proptest::prelude::any::<u64>().prop_map(Step::Index),
                    proptest::prelude::Just(Step::End),
                ],
                0..6,
            )
        ) {
            let path = Path { steps: std::iter::once(Step::Field(first)).chain(rest).collect() };
            proptest::prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[ab.\\[\\]\"\\\\é0-9 -]{0,12}") {
            if let Ok(path) = text.parse::<Path>() {
                proptest::prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
            }
        }
    }
}
