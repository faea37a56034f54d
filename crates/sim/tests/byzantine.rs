//! Devices in bad hands among honest ones: each kind acts, and the honest devices keep every promise.
//! `./prove byzantine` runs thousands of seeds; these are a few.

use farshore_sim::byzantine::ByzantineKind;
use farshore_sim::plan::{Action, MemberRole, Plan, Profile};
use farshore_sim::run::{Options, Outcome};
use farshore_sim::sweep::{judge, plan_of};

/// A byzantine plan in which everybody in bad hands is of this kind.
fn plan(seed: u64, kind: ByzantineKind) -> Plan {
    let mut plan = plan_of(seed, Profile::Byzantine);
    for timed in &mut plan.actions {
        if let Action::Turn { device, kind: drawn } = &mut timed.action {
            *drawn = kind;
            let reader = kind == ByzantineKind::Scribe;
            plan.setup.members[*device].role = if reader { MemberRole::Reader } else { MemberRole::Writer };
        }
    }
    plan
}

fn run(plan: &Plan) -> Outcome {
    judge(plan, &plan.setup.workload, Options::default())
}

/// The bomber of seed 1 filled a device's memory: entries of a kind that only a newer build knows were kept decoded until an
/// upgrade that might never come, 10 MiB for 10 kB sent, read back from the store past the budget.
#[test]
fn whoever_misbehaves_the_honest_devices_keep_every_promise() {
    for kind in ByzantineKind::ALL.iter().copied() {
        let mut misdeeds = 0;
        for seed in 0..3 {
            let outcome = run(&plan(seed, kind));
            assert_eq!(outcome.violations, [], "{kind}, seed {seed}");
            misdeeds += outcome.misdeeds.get(&kind).copied().unwrap_or(0);
        }
        assert!(misdeeds > 0, "{kind} did nothing");
    }
}

#[test]
fn a_seed_draws_who_falls_into_bad_hands_and_when() {
    let turns = |seed| {
        let plan = plan_of(seed, Profile::Byzantine);
        let turns = plan.actions.into_iter().filter(|timed| matches!(timed.action, Action::Turn { .. }));
        turns.collect::<Vec<_>>()
    };
    assert_eq!(turns(7), turns(7));
    assert!((0..8).all(|seed| !turns(seed).is_empty()));
    assert_ne!(turns(1), turns(2));
    let kinds = (0..200).flat_map(turns).filter_map(|timed| match timed.action {
        Action::Turn { device, kind } => Some((device > 0, kind)),
        _ => None,
    });
    let kinds: std::collections::BTreeSet<(bool, ByzantineKind)> = kinds.collect();
    let all = ByzantineKind::ALL.iter().map(|kind| (true, *kind)).collect();
    assert_eq!(kinds, all, "every kind is drawn, and never for the first device");
}
