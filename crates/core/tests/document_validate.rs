//! What is written here passes the validator everywhere.

mod devices;
mod generate;

use devices::{KEYED, actions, play};
use farshore_core::change::{AncestorIndex, decode};
use farshore_core::document::GenesisScope;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_committed_change_passes_the_validator(actions in actions(3, 24), keyed in any::<bool>()) {
        let scope = if keyed { KEYED } else { GenesisScope::Ordinary };
        let (docs, made) = play(3, scope, &actions);
        let mut index = AncestorIndex::new();
        for change in &made {
            let decoded = decode(change.raw_bytes()).unwrap();
            index.admit(&decoded).unwrap();
        }
        for doc in &docs {
            prop_assert!(AncestorIndex::from_document(doc.as_automerge()).is_ok());
        }
    }
}
