//! A run that broke something, once more: told to people, and made small. What an app team calls after a test of its own failed.

use std::fmt;

use crate::app::App;
use crate::oracle::Violation;
use crate::plan::{Plan, Profile};
use crate::run::Options;
use crate::shrink::shrink;
use crate::sweep::{judge, plan_of};
use crate::timeline;

/// Plans that are run at most to find a small one. With so many, the wrong rule in `examples/tests/sim_app.rs` came from 382 actions to
/// 10 in seconds. A search that is cut off leaves a larger plan, which breaks the same.
const SHRINK_RUNS: usize = 500;

/// A run, told.
#[derive(Debug, Clone)]
pub struct Told {
    /// What was run: [`Plan::to_lines`] writes it down, and [`reproduce_plan`] runs it again.
    pub plan: Plan,
    /// What was broken; empty if nothing was.
    pub violations: Vec<Violation>,
    /// What happened, one line an event.
    pub timeline: Vec<String>,
}

/// A run and the smallest one that breaks the same. Printed, it is the small run's story; of a run that breaks nothing, its own.
#[derive(Debug, Clone)]
pub struct Reproduction {
    /// The run itself.
    pub whole: Told,
    /// The smallest run found in which the first of its broken oracles objects; `None` if nothing was broken.
    pub small: Option<Told>,
}

/// Runs a seed once more, tells it, and looks for a small plan that breaks the same.
///
/// Cost: up to 501 runs of the seed if it breaks something, most of them much shorter; else one.
pub fn reproduce(app: &dyn App, seed: u64, profile: Profile) -> Reproduction {
    reproduce_plan(app, &plan_of(seed, profile))
}

/// The same of a plan: one from a fuzzer's bytes ([`plan_of_bytes`](crate::sweep::plan_of_bytes)), or from a file.
pub fn reproduce_plan(app: &dyn App, plan: &Plan) -> Reproduction {
    let whole = tell(app, plan);
    let small = whole.violations.first().map(|first| {
        let fails = |plan: &Plan| {
            let violations = judge(plan, app, Options::default()).violations;
            violations.iter().any(|violation| violation.oracle == first.oracle)
        };
        tell(app, &shrink(plan, SHRINK_RUNS, fails).plan)
    });
    Reproduction { whole, small }
}

fn tell(app: &dyn App, plan: &Plan) -> Told {
    let outcome = judge(plan, app, Options { keep: true, ..Options::default() });
    let timeline = outcome.observed.iter().map(timeline::line).collect();
    Told { plan: plan.clone(), violations: outcome.violations, timeline }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timeline.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        self.violations.iter().try_for_each(|violation| writeln!(f, "broken: {violation}"))
    }
}

impl fmt::Display for Reproduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(small) = &self.small else {
            return writeln!(f, "{}nothing is broken", self.whole);
        };
        let (all, few) = (self.whole.plan.actions.len(), small.plan.actions.len());
        writeln!(
            f,
            "{few} of {all} actions are enough. The plan:\n\n{}\nWhat happens:\n\n{small}",
            small.plan.to_lines()
        )
    }
}
