//! The signed definition of a collection: what every member must agree on, because views depend on it.

use crate::bytes::{DecodeError, Reader, Writer};
use crate::keys::{is_valid_name, version};
use crate::limits::{DEFINITION_BYTES, NAME_BYTES, SCHEMA_DEPTH, SCHEMA_KEY_BYTES, SCHEMA_STEPS};

const DEFINITION_VERSION: u8 = 1;

/// Declares an enum that is one byte on the wire.
macro_rules! byte_enum {
    ($(#[$doc:meta])* $name:ident, $field:literal, { $($(#[$vdoc:meta])* $variant:ident = $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            fn encode(self, writer: &mut Writer) {
                writer.u8(match self { $($name::$variant => $code),+ });
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match reader.u8($field)? {
                    $($code => Ok($name::$variant),)+
                    _ => Err(DecodeError::Invalid { field: $field }),
                }
            }
        }
    };
}

byte_enum!(
    /// What becomes of a document that is edited on one device and deleted on another at the same time.
    DeletePolicy, "delete policy", {
        /// It is deleted; the edits stay in the history.
        DeleteWins = 1,
        /// It lives on with the edits.
        EditWins = 2,
    }
);

byte_enum!(
    /// How fields are shown that were set to different values at the same time. All values are kept either way, and every
    /// device shows the same one.
    ConflictPolicy, "conflict policy", {
        /// The document is marked as in conflict until somebody sets the field again.
        Flag = 1,
        /// Nothing is marked: for fields where any of the values will do.
        Quiet = 2,
    }
);

byte_enum!(
    /// A container that keyed documents of the collection share.
    ContainerKind, "container kind", {
        /// Keys to values.
        Map = 1,
        /// A sequence of values.
        List = 2,
        /// A sequence of characters.
        Text = 3,
    }
);

/// One container of a collection's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStep {
    /// Keys from the root, at least one. All but the last name maps of earlier steps.
    pub path: Vec<String>,
    /// What stands there.
    pub kind: ContainerKind,
}

/// A collection as its space agreed on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionDefinition {
    /// For people and apps: `orders/region-5`.
    pub name: String,
    /// Concurrent delete and edit.
    pub delete_policy: DeletePolicy,
    /// Concurrent edits of one field.
    pub conflict_policy: ConflictPolicy,
    /// Containers that documents with the same key share from the start. Only ever appended to: a step that was once seen by
    /// a device is part of its documents.
    pub schema_steps: Vec<SchemaStep>,
    /// Raised by 1 with each change, so that the newer of two concurrent definitions is told apart.
    pub version: u32,
}

impl CollectionDefinition {
    /// A definition with the default policies (delete wins, conflicts are flagged), without a schema, in version 1.
    pub fn new(name: &str) -> Self {
        CollectionDefinition {
            name: name.to_owned(),
            delete_policy: DeletePolicy::DeleteWins,
            conflict_policy: ConflictPolicy::Flag,
            schema_steps: Vec::new(),
            version: 1,
        }
    }

    /// The encoded form: format version 1, name, delete policy, conflict policy, version u32, steps (count, then each a path
    /// (count, keys) and a kind).
    ///
    /// # Errors
    /// The caller's: the name, a step or the whole is over its limit, or a step does not fit those before it.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        let mut writer = Writer::new();
        writer.u8(DEFINITION_VERSION).text(&self.name);
        self.delete_policy.encode(&mut writer);
        self.conflict_policy.encode(&mut writer);
        writer.u32(self.version).count(self.schema_steps.len());
        for step in &self.schema_steps {
            writer.count(step.path.len());
            for key in &step.path {
                writer.text(key);
            }
            step.kind.encode(&mut writer);
        }
        over_limit(writer.len(), DEFINITION_BYTES, "collection definition")?;
        Ok(writer.finish())
    }

    /// Reads the encoded form.
    ///
    /// # Errors
    /// The sender's: not in canonical form, over a limit, or from a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        over_limit(bytes.len(), DEFINITION_BYTES, "collection definition")?;
        let mut reader = Reader::new(bytes);
        version(reader.u8("definition version")?, DEFINITION_VERSION, "definition version")?;
        let name = reader.text(NAME_BYTES, "collection name")?.to_owned();
        let delete_policy = DeletePolicy::decode(&mut reader)?;
        let conflict_policy = ConflictPolicy::decode(&mut reader)?;
        let version = reader.u32("definition revision")?;
        let count = reader.count(SCHEMA_STEPS, 8, "schema steps")?;
        let mut schema_steps = Vec::with_capacity(count);
        for _ in 0..count {
            let depth = reader.count(SCHEMA_DEPTH, 5, "schema path")?;
            let mut path = Vec::with_capacity(depth);
            for _ in 0..depth {
                path.push(reader.text(SCHEMA_KEY_BYTES, "schema key")?.to_owned());
            }
            schema_steps.push(SchemaStep { path, kind: ContainerKind::decode(&mut reader)? });
        }
        reader.end()?;
        let definition = CollectionDefinition { name, delete_policy, conflict_policy, schema_steps, version };
        definition.check()?;
        Ok(definition)
    }

    /// Takes over the steps of a concurrent or earlier definition that are missing here. A step that contradicts one that is
    /// here (another kind at the same path, or below something that is no map) is left out: the first one stands.
    pub fn absorb_steps(&mut self, steps: &[SchemaStep]) {
        for step in steps {
            if self.schema_steps.len() < SCHEMA_STEPS && fits(step, &self.schema_steps).is_ok() {
                self.schema_steps.push(step.clone());
            }
        }
    }

    fn check(&self) -> Result<(), DecodeError> {
        if !is_valid_name(&self.name) {
            return Err(DecodeError::Invalid { field: "collection name" });
        }
        over_limit(self.schema_steps.len(), SCHEMA_STEPS, "schema steps")?;
        for (at, step) in self.schema_steps.iter().enumerate() {
            fits(step, &self.schema_steps[..at])?;
        }
        Ok(())
    }
}

/// Whether a step may follow these: bounded, not there yet, and inside a map.
fn fits(step: &SchemaStep, before: &[SchemaStep]) -> Result<(), DecodeError> {
    over_limit(step.path.len(), SCHEMA_DEPTH, "schema path")?;
    for key in &step.path {
        over_limit(key.len(), SCHEMA_KEY_BYTES, "schema key")?;
    }
    let Some((last, parent)) = step.path.split_last() else {
        return Err(DecodeError::Invalid { field: "schema path" });
    };
    let is_map = |path: &[String]| before.iter().any(|s| s.kind == ContainerKind::Map && s.path == path);
    let taken = before.iter().any(|s| s.path == step.path);
    if last.is_empty() || taken || !(parent.is_empty() || is_map(parent)) {
        return Err(DecodeError::Invalid { field: "schema path" });
    }
    Ok(())
}

fn over_limit(value: usize, limit: usize, field: &'static str) -> Result<(), DecodeError> {
    if value > limit {
        return Err(DecodeError::OverLimit { field, value: value as u64, limit: limit as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step(path: &[&str], kind: ContainerKind) -> SchemaStep {
        SchemaStep { path: path.iter().map(|key| (*key).to_owned()).collect(), kind }
    }

    fn orders() -> CollectionDefinition {
        CollectionDefinition {
            schema_steps: vec![
                step(&["lines"], ContainerKind::List),
                step(&["notes"], ContainerKind::Map),
                step(&["notes", "free"], ContainerKind::Text),
            ],
            delete_policy: DeletePolicy::EditWins,
            conflict_policy: ConflictPolicy::Quiet,
            version: 7,
            ..CollectionDefinition::new("orders/region-5")
        }
    }

    #[test]
    fn a_definition_reads_back_what_it_writes_and_nothing_else() {
        let encoded = orders().encode().unwrap();
        assert_eq!(CollectionDefinition::decode(&encoded).unwrap(), orders());
        for cut in 0..encoded.len() {
            assert!(CollectionDefinition::decode(&encoded[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = encoded.clone();
        longer.push(0);
        assert_eq!(CollectionDefinition::decode(&longer), Err(DecodeError::Trailing { extra: 1 }));
        let mut newer = encoded;
        newer[0] = 2;
        assert!(matches!(CollectionDefinition::decode(&newer), Err(DecodeError::Version { .. })));
    }

    #[test]
    fn a_step_outside_any_map_or_said_twice_is_refused() {
        for bad in [
            step(&[], ContainerKind::Map),
            step(&[""], ContainerKind::Map),
            step(&["lines"], ContainerKind::Text),
            step(&["lines", "0"], ContainerKind::Text),
            step(&["absent", "x"], ContainerKind::Text),
            step(&["x"; SCHEMA_DEPTH + 1], ContainerKind::Text),
            step(&[&"x".repeat(SCHEMA_KEY_BYTES + 1)], ContainerKind::Text),
        ] {
            let mut definition = orders();
            definition.schema_steps.push(bad.clone());
            assert!(definition.encode().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_and_counts_over_their_limits_are_refused() {
        for name in ["", "a\u{7}b", &"n".repeat(NAME_BYTES + 1)] {
            assert!(CollectionDefinition::new(name).encode().is_err());
        }
        let mut many = CollectionDefinition::new("many");
        many.schema_steps = (0..=SCHEMA_STEPS).map(|i| step(&[&i.to_string()], ContainerKind::Map)).collect();
        assert!(matches!(many.encode(), Err(DecodeError::OverLimit { field: "schema steps", .. })));
    }

    #[test]
    fn absorbed_steps_never_contradict_those_that_are_there() {
        let mut mine = orders();
        mine.absorb_steps(&[
            step(&["lines"], ContainerKind::Text),
            step(&["lines", "deep"], ContainerKind::Map),
            step(&["tags"], ContainerKind::List),
        ]);
        assert_eq!(mine.schema_steps[3..], [step(&["tags"], ContainerKind::List)]);
        assert!(mine.encode().is_ok());
    }

    proptest! {
        #[test]
        fn bytes_from_strangers_are_refused_or_read_canonically(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(definition) = CollectionDefinition::decode(&bytes) {
                prop_assert_eq!(definition.encode().unwrap(), bytes);
            }
        }
    }
}
