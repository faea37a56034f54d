//! The target `world` has teeth: mistakes that are made on purpose are found by inputs of its corpus.

use farshore_core::breakage::Breakage;
use farshore_sim::oracle;
use farshore_sim::run::{Options, run_broken};
use farshore_sim::sweep::plan_of_bytes;

/// Mistakes of different kinds: durability, roles, documents, deletions, views.
const MISTAKES: [Breakage; 5] = [
    Breakage::AckBeforeCommit,
    Breakage::SendBeforeCommit,
    Breakage::ForgetTombstone,
    Breakage::StaleView,
    Breakage::LoseReceipt,
];

#[test]
fn some_input_of_the_corpus_finds_each_mistake() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("corpus/world");
    let mut files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for mistake in MISTAKES {
        let found = files.iter().any(|file| {
            let plan = plan_of_bytes(&std::fs::read(file).unwrap());
            let outcome = run_broken(&plan, &plan.setup.workload, oracle::all(), Options::default(), mistake);
            !outcome.violations.is_empty()
        });
        assert!(found, "no input finds {mistake:?}");
    }
}
