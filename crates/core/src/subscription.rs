//! What a device wants of a space: which collections, and how urgently. Local state of one device; its peers learn only the
//! collections' tags.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::bytes::{DecodeError, Reader, Writer};
use crate::limits::{NAME_BYTES, SUBSCRIPTIONS};

/// The pattern that stands for all collections.
pub const ALL: &str = "*";

/// How urgently a device wants a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Not at all: nothing of it is taken in.
    None,
    /// Only while the app has asked for it, until the linked devices hold the same.
    Manual,
    /// When nothing more urgent is on its way on a link, and only while the network is not metered.
    Lazy,
    /// Like most.
    #[default]
    Normal,
    /// Before all others.
    Eager,
}

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Priority; 5] =
        [Priority::Eager, Priority::Normal, Priority::Lazy, Priority::Manual, Priority::None];

    /// The word that people type.
    pub fn name(self) -> &'static str {
        match self {
            Priority::None => "none",
            Priority::Manual => "manual",
            Priority::Lazy => "lazy",
            Priority::Normal => "normal",
            Priority::Eager => "eager",
        }
    }

    fn number(self) -> u8 {
        match self {
            Priority::None => 0,
            Priority::Manual => 1,
            Priority::Lazy => 2,
            Priority::Normal => 3,
            Priority::Eager => 4,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Priority::ALL.into_iter().find(|priority| priority.name() == text);
        found.ok_or_else(|| format!("no priority {text:?}; there are eager, normal, lazy, manual and none"))
    }
}

/// Rules by pattern. A pattern is a collection's name, or the beginning of names up to and with a slash (`orders/`), or `*`. Of
/// those that fit a name the longest counts; what none fits is wanted normally.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscriptions {
    rules: BTreeMap<String, Priority>,
}

impl Subscriptions {
    /// The rules, by pattern.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Priority)> {
        self.rules.iter().map(|(pattern, priority)| (pattern.as_str(), *priority))
    }

    /// Sets a rule, or removes it.
    ///
    /// # Errors
    /// The caller's: the pattern is empty or too long, or there are too many rules.
    pub fn set(&mut self, pattern: &str, priority: Option<Priority>) -> Result<(), String> {
        if pattern.is_empty() || pattern.len() > NAME_BYTES {
            return Err(format!("a pattern has 1 to {NAME_BYTES} bytes, this one {}", pattern.len()));
        }
        // Else it would be taken for a name, and the rule would never apply.
        if priority.is_some() && pattern != ALL && pattern.contains(ALL) {
            return Err(format!("`{ALL}` stands alone, for all; names that begin alike are meant by a slash: orders/"));
        }
        match priority {
            None => drop(self.rules.remove(pattern)),
            Some(priority) => {
                if self.rules.len() >= SUBSCRIPTIONS && !self.rules.contains_key(pattern) {
                    return Err(format!("there are {SUBSCRIPTIONS} rules already: remove one, or use a prefix"));
                }
                self.rules.insert(pattern.to_owned(), priority);
            }
        }
        Ok(())
    }

    /// What is said of all collections together.
    pub fn rest(&self) -> Priority {
        self.rules.get(ALL).copied().unwrap_or_default()
    }

    /// How urgently a collection of this name is wanted. Cost: the length of the name.
    pub fn of(&self, name: &str) -> Priority {
        if let Some(exact) = self.rules.get(name) {
            return *exact;
        }
        let slashes = name.rmatch_indices('/').map(|(at, _)| &name[..=at]);
        slashes.filter_map(|prefix| self.rules.get(prefix)).next().copied().unwrap_or_else(|| self.rest())
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.count(self.rules.len());
        for (pattern, priority) in &self.rules {
            w.text(pattern).u8(priority.number());
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Subscriptions, DecodeError> {
        let mut rules = BTreeMap::new();
        for _ in 0..r.count(SUBSCRIPTIONS, 5, "subscriptions")? {
            let pattern = r.text(NAME_BYTES, "pattern")?.to_owned();
            let number = r.u8("priority")?;
            let priority = Priority::ALL.into_iter().find(|priority| priority.number() == number);
            rules.insert(pattern, priority.ok_or(DecodeError::Invalid { field: "priority" })?);
        }
        Ok(Subscriptions { rules })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[(&str, Priority)]) -> Subscriptions {
        let mut out = Subscriptions::default();
        rules.iter().for_each(|(pattern, priority)| out.set(pattern, Some(*priority)).unwrap());
        out
    }

    #[test]
    fn the_longest_pattern_that_fits_counts() {
        let of = rules(&[
            (ALL, Priority::None),
            ("orders/", Priority::Lazy),
            ("orders/north/", Priority::Eager),
            ("orders/north/7", Priority::Manual),
            ("todos", Priority::Normal),
        ]);
        for (name, priority) in [
            ("todos", Priority::Normal),
            ("todos/old", Priority::None),
            ("orders", Priority::None),
            ("orders/south", Priority::Lazy),
            ("orders/north/1", Priority::Eager),
            ("orders/north/7", Priority::Manual),
            ("orders/north/7/x", Priority::Eager),
        ] {
            assert_eq!(of.of(name), priority, "{name}");
        }
        assert_eq!(Subscriptions::default().of("anything"), Priority::Normal);
    }

    #[test]
    fn rules_are_bounded_removed_and_read_back() {
        let mut many = Subscriptions::default();
        for index in 0..SUBSCRIPTIONS {
            many.set(&format!("c{index}"), Some(Priority::Lazy)).unwrap();
        }
        assert!(many.set("one more", Some(Priority::Lazy)).unwrap_err().contains("prefix"));
        many.set("c0", Some(Priority::None)).unwrap();
        many.set("c1", None).unwrap();
        assert_eq!((many.of("c0"), many.of("c1")), (Priority::None, Priority::Normal));
        assert!(many.set("pho*", Some(Priority::Lazy)).unwrap_err().contains("slash"));
        assert!(many.set("", None).is_err() && many.set(&"x".repeat(NAME_BYTES + 1), None).is_err());
        let mut w = Writer::new();
        many.encode(&mut w);
        let bytes = w.finish();
        assert_eq!(Subscriptions::decode(&mut Reader::new(&bytes)).unwrap(), many);
    }
}
