//! A whole world of devices, driven by bytes.

use farshore_sim::oracle;
use farshore_sim::run::{Options, run};
use farshore_sim::sweep::plan_of_bytes;

use crate::Outcome;

/// The bytes are the dice that a plan is drawn with: devices, roles, network, users' acts, faults, a device in bad hands.
///
/// Checked: every oracle of the simulator (`farshore-sim list-oracles`), and that nothing panics or goes on without end.
///
/// # Panics
/// An oracle objects, or an assertion of the core or the store fails.
pub fn world(data: &[u8]) -> Outcome {
    let plan = plan_of_bytes(data);
    let outcome = run(&plan, &plan.setup.workload, oracle::all(), Options::default());
    assert!(outcome.violations.is_empty(), "{:?}\n{}", outcome.violations, plan.to_lines());
    if outcome.acknowledged > 0 { Outcome::Accepted } else { Outcome::Refused }
}
