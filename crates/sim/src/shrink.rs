//! Makes a plan that fails small: leaves out actions, then devices, as long as the same oracle still objects.
//!
//! Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002): the algorithm `ddmin`.

use crate::plan::{Plan, Timed};

/// What was tried and what was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest plan found.
    pub plan: Plan,
    /// Plans that were run.
    pub runs: usize,
}

/// Shrinks `plan`, which must fail. `fails` runs a plan and says whether it still does; it is called at most `most_runs` times.
pub fn shrink(plan: &Plan, most_runs: usize, mut fails: impl FnMut(&Plan) -> bool) -> Shrunk {
    let mut budget = Budget { runs: 0, most: most_runs };
    let mut best = plan.clone();
    best.actions = ddmin(best.actions, &mut budget, &mut |actions: &[Timed], budget: &mut Budget| {
        budget.take() && fails(&Plan { setup: plan.setup.clone(), actions: actions.to_vec() })
    });
    fewer_devices(&mut best, &mut budget, &mut fails);
    earlier_end(&mut best, &mut budget, &mut fails);
    Shrunk { plan: best, runs: budget.runs }
}

struct Budget {
    runs: usize,
    most: usize,
}

impl Budget {
    fn take(&mut self) -> bool {
        let left = self.runs < self.most;
        self.runs += usize::from(left);
        left
    }
}

/// Leaves out ever smaller pieces.
fn ddmin(
    mut all: Vec<Timed>,
    budget: &mut Budget,
    fails: &mut impl FnMut(&[Timed], &mut Budget) -> bool,
) -> Vec<Timed> {
    let mut pieces = 2;
    while all.len() >= 2 && budget.runs < budget.most {
        let size = all.len().div_ceil(pieces);
        let smaller = (0..all.len().div_ceil(size)).find_map(|piece| {
            let gap = piece * size..((piece + 1) * size).min(all.len());
            let rest: Vec<Timed> = [&all[..gap.start], &all[gap.end..]].concat();
            fails(&rest, budget).then_some(rest)
        });
        match smaller {
            Some(rest) => {
                all = rest;
                pieces = (pieces - 1).max(2);
            }
            None if size == 1 => break,
            None => pieces = (pieces * 2).min(all.len()),
        }
    }
    all
}

/// Devices at the end that no action names need not be there.
fn fewer_devices(best: &mut Plan, budget: &mut Budget, fails: &mut impl FnMut(&Plan) -> bool) {
    while best.setup.members.len() > 2 {
        let mut smaller = best.clone();
        smaller.setup.members.pop();
        if smaller.check().is_err() || !budget.take() || !fails(&smaller) {
            return;
        }
        *best = smaller;
    }
}

/// Nothing happens after the last action.
fn earlier_end(best: &mut Plan, budget: &mut Budget, fails: &mut impl FnMut(&Plan) -> bool) {
    let last_ms = best.actions.last().map_or(0, |timed| timed.at_ms);
    for end_ms in [last_ms + 1, last_ms + 60_000] {
        let mut smaller = best.clone();
        smaller.setup.end_ms = end_ms;
        if end_ms < best.setup.end_ms && budget.take() && fails(&smaller) {
            *best = smaller;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Profile};

    #[test]
    fn two_actions_that_fail_together_are_found_among_hundreds() {
        let plan = crate::sweep::plan_of(3, Profile::Mixed);
        let dice = |timed: &Timed| match timed.action {
            Action::Act { dice, .. } => Some(dice),
            _ => None,
        };
        let acts: Vec<u64> = plan.actions.iter().filter_map(dice).collect();
        let (one, two) = (acts[17], acts[200]);
        let fails = |plan: &Plan| {
            let left: Vec<u64> = plan.actions.iter().filter_map(dice).collect();
            left.contains(&one) && left.contains(&two)
        };
        let shrunk = shrink(&plan, 2_000, fails);
        assert_eq!(shrunk.plan.actions.len(), 2);
        assert!(shrunk.runs < 200, "{} runs", shrunk.runs);
        assert!(shrunk.plan.setup.end_ms <= plan.setup.end_ms);
        shrunk.plan.check().unwrap();
    }
}
