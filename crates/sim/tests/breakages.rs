//! The oracles bite: each mistake that is made on purpose is caught by the oracle named for it, from a seed that was found by
//! search, while all others are silent. `docs/simulator-oracles.md` has the table.
//!
//! The mistakes are behind the feature `breakages`, which only this crate's own tests ask for (its `Cargo.toml`).

use std::collections::BTreeSet;

use farshore_core::breakage::Breakage;
use farshore_sim::oracle;
use farshore_sim::plan::Profile;
use farshore_sim::run::{Medium, Options, Outcome, run_broken};
use farshore_sim::sweep::plan_of;
use farshore_sim::workload::Workload;

/// A mistake, the oracle that must find it, and the seed.
const TABLE: &[(Breakage, &str, Profile, u64)] = &[
    (Breakage::AckBeforeCommit, "visible", Profile::Mixed, 1),
    (Breakage::SendBeforeCommit, "visible", Profile::Mixed, 1),
    (Breakage::ReceiptBeforeCommit, "visible", Profile::Mixed, 1),
    (Breakage::SkipRoleCheck, "authorized", Profile::Mixed, 1),
    (Breakage::DropFrame, "converged", Profile::Mixed, 3),
    (Breakage::ForgetTombstone, "converged", Profile::Mixed, 1),
    (Breakage::DropDelete, "kept", Profile::Mixed, 0),
    (Breakage::LoseReceipt, "receipted", Profile::Mixed, 0),
    (Breakage::StaleView, "reads-itself", Profile::Mixed, 1),
    (Breakage::StaleHead, "reads-itself", Profile::Mixed, 2),
    (Breakage::SkipDependencyCheck, "converged", Profile::Mixed, 2),
    (Breakage::UnboundedCache, "bounded", Profile::Mixed, 0),
    (Breakage::RepeatFrontiers, "quiet", Profile::Mixed, 1),
    (Breakage::HalfBatch, "durable", Profile::Mixed, 1),
    (Breakage::AskLate, "live", Profile::Mixed, 0),
];

fn broken(breakage: Breakage, profile: Profile, seed: u64) -> Outcome {
    let mut plan = plan_of(seed, profile);
    if breakage == Breakage::UnboundedCache {
        // A cache of 64 MiB does not fill with words: these users write books.
        plan.setup.workload = Workload { large_percent: 40, splice: 100, ..Workload::default() };
    }
    let options = Options { medium: Medium::Disk, ..Options::default() };
    run_broken(&plan, &plan.setup.workload, oracle::all(), options, breakage)
}

/// Who spoke. That the run itself found no rest goes with a world that is not quiet.
fn voices(outcome: &Outcome) -> BTreeSet<&'static str> {
    outcome.violations.iter().map(|violation| violation.oracle).filter(|oracle| *oracle != "rests").collect()
}

#[test]
fn each_mistake_is_caught_by_the_oracle_named_for_it_while_the_others_are_silent() {
    for (breakage, oracle, profile, seed) in TABLE {
        let outcome = broken(*breakage, *profile, *seed);
        assert_eq!(voices(&outcome), BTreeSet::from([*oracle]), "{breakage:?}: {:?}", outcome.violations);
    }
}

/// No oracle sees an order that chance decides, as long as every order is right. Repetition does.
#[test]
fn an_unordered_map_is_caught_because_one_seed_gives_two_traces() {
    let traces: BTreeSet<[u8; 32]> = (0..4)
        .map(|_| {
            let outcome = broken(Breakage::UnorderedMap, Profile::Quiet, 0);
            assert_eq!(outcome.violations, []);
            outcome.trace
        })
        .collect();
    assert!(traces.len() > 1, "four runs of one seed did the same, in spite of a map without order");
}

#[test]
fn every_mistake_is_in_the_table() {
    let mut listed: BTreeSet<Breakage> = TABLE.iter().map(|(breakage, ..)| *breakage).collect();
    listed.insert(Breakage::UnorderedMap);
    assert_eq!(listed, Breakage::ALL.iter().copied().collect());
}

/// How the table's seeds were found: `cargo test -p farshore-sim --test breakages search -- --ignored --nocapture`.
#[test]
#[ignore = "a search, not a test"]
fn search() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    let wanted = std::env::var("BREAKAGE").unwrap_or_default();
    for (breakage, oracle, profile, _) in TABLE.iter().filter(|(one, ..)| format!("{one:?}").contains(&wanted)) {
        for seed in 0..seeds {
            let outcome = broken(*breakage, *profile, seed);
            let voices = voices(&outcome);
            if voices == BTreeSet::from([*oracle]) {
                println!("FOUND {breakage:?} {oracle} {seed}: {}", short(&outcome));
                break;
            }
            if !voices.is_empty() {
                println!("{breakage:?} {seed}: {voices:?} {}", short(&outcome));
            }
        }
    }
}

fn short(outcome: &Outcome) -> String {
    let all: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    all.join(" | ").chars().take(300).collect()
}
