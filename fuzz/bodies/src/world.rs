//! A whole world of devices, driven by bytes.

use farshore_sim::dice::Dice;
use farshore_sim::oracle;
use farshore_sim::plan::{Plan, Profile, draw};
use farshore_sim::run::{Options, run};

use crate::Outcome;

/// What the devices' keys come from. Chance within the run comes from it too, so that the same bytes do the same.
const SEED: u64 = 1;

/// The bytes are the dice that a plan is drawn with: devices, roles, network, users' acts, faults, a device in bad hands.
///
/// Checked: every oracle of the simulator (`farshore-sim list-oracles`), and that nothing panics or goes on without end.
///
/// # Panics
/// An oracle objects, or an assertion of the core or the store fails.
pub fn world(data: &[u8]) -> Outcome {
    let plan = world_plan(data);
    let outcome = run(&plan, &plan.setup.workload, oracle::all(), Options::default());
    assert!(outcome.violations.is_empty(), "{:?}\n{}", outcome.violations, plan.to_lines());
    if outcome.acknowledged > 0 { Outcome::Accepted } else { Outcome::Refused }
}

/// The plan that bytes stand for.
pub fn world_plan(data: &[u8]) -> Plan {
    draw(&mut Dice::bytes(data), SEED, Profile::Small)
}
