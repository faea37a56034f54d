//! A run as a recording: what its users did, as explicit edits, so that the plan says it without the app that chose it.
//!
//! The plan of a seed says *when* a user acts, and the app decides *what*, by dice and by what the device shows then. Leave out
//! one line, and later acts may turn out otherwise. In a recording each act is an [`Action::Edit`] with its documents and edits:
//! a line that is left out or changed changes no other, and whoever reads the file sees what was done.

use std::collections::{BTreeMap, VecDeque};

use crate::observe::{DeviceNo, Intended, Observed, What};
use crate::plan::{Action, Plan, Recorded, Timed};

/// The plan with every user's act as the edits that it came to. `observed` is of a run of `plan` with
/// [`Options::keep`](crate::run::Options::keep); acts that came to nothing in it are left out, and all else stays as it was.
///
/// A document's key is its id in that run, written out. So every document stands for a key here, also those that were made under
/// an id of their own; ids differ from those of the run, and with them the trace.
pub fn record(plan: &Plan, observed: &[Observed]) -> Plan {
    let mut edits = edits(observed);
    let recorded = |timed: &Timed| match timed.action {
        // An act asks for its edits at the time at which its plan has it.
        Action::Act { device, .. } | Action::Edit { device, .. } => {
            let action = edits.get_mut(&(timed.at_ms, device))?.pop_front()?;
            Some(Timed { at_ms: timed.at_ms, action })
        }
        _ => Some(timed.clone()),
    };
    Plan { setup: plan.setup.clone(), actions: plan.actions.iter().filter_map(recorded).collect() }
}

/// What was asked for in a run, by time and device.
fn edits(observed: &[Observed]) -> BTreeMap<(u64, DeviceNo), VecDeque<Action>> {
    let (mut collections, mut edits) = (Vec::new(), BTreeMap::<_, VecDeque<Action>>::new());
    for Observed { at_ms, device, what } in observed {
        match what {
            // They are defined in the order in which the app names them, and before anybody edits.
            What::Defined { collection, .. } => collections.push(*collection),
            What::Submitted { collection, edits: intended, .. } => {
                let Some(collection) = collections.iter().position(|known| known == collection) else { continue };
                let recorded = |edit: &Intended| Recorded { key: edit.document.to_string(), op: edit.op.clone() };
                let action =
                    Action::Edit { device: *device, collection, edits: intended.iter().map(recorded).collect() };
                edits.entry((*at_ms, *device)).or_default().push_back(action);
            }
            _ => {}
        }
    }
    edits
}
