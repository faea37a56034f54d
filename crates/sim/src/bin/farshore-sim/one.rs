//! One run: shown, written down, repeated, made small.

use std::fs;
use std::path::Path;

use farshore_core::id::hex;
use farshore_sim::plan::Plan;
use farshore_sim::recording::record;
use farshore_sim::run::Outcome;
use farshore_sim::shrink::shrink as make_small;
use farshore_sim::sweep::{judge, plan_of};
use farshore_sim::timeline;

use crate::args::{How, Replay, Shrink, Trace, Which};

/// Begins the line of a plan's file that holds the trace hash. A plan's own lines begin with `{`.
const TRACE_MARK: &str = "# trace ";

fn read(path: &Path) -> Result<(Plan, Option<String>), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    let (notes, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
    let trace = notes.iter().find_map(|line| line.strip_prefix(TRACE_MARK)).map(str::to_owned);
    let plan = Plan::from_lines(&lines.join("\n")).map_err(|error| format!("`{}`: {error}", path.display()))?;
    Ok((plan, trace))
}

fn write(path: &Path, plan: &Plan, outcome: &Outcome) -> Result<(), String> {
    let mut text = plan.to_lines();
    text.push_str(&format!("{TRACE_MARK}{}\n", hex(&outcome.trace)));
    fs::write(path, text).map_err(|error| format!("`{}`: {error}", path.display()))
}

fn chosen(which: &Which) -> Result<Plan, String> {
    match (&which.plan, which.seed) {
        (Some(path), _) => Ok(read(path)?.0),
        (None, Some(seed)) => Ok(plan_of(seed, which.how.profile)),
        (None, None) => Err("give a seed or a plan".into()),
    }
}

fn run(plan: &Plan, how: How, keep: bool) -> Outcome {
    judge(plan, &plan.setup.workload, how.options(keep, 1))
}

/// Prints what was broken; true if nothing was.
fn verdict(outcome: &Outcome) -> bool {
    for violation in &outcome.violations {
        say!("broken: {violation}");
    }
    outcome.violations.is_empty()
}

pub(crate) fn trace(args: &Trace) -> Result<bool, String> {
    let plan = chosen(&args.which)?;
    let outcome = run(&plan, args.which.how, args.out.is_none() || args.explicit);
    match &args.out {
        Some(path) if args.explicit => return write_recording(path, &plan, &outcome, args.which.how),
        Some(path) => {
            write(path, &plan, &outcome)?;
            say!("{}: {} actions, trace {}", path.display(), plan.actions.len(), hex(&outcome.trace));
        }
        None => outcome.observed.iter().for_each(|observed| say!("{}", timeline::line(observed))),
    }
    Ok(verdict(&outcome))
}

/// Documents have other ids in a recording, so it has a trace of its own, and what it breaks is for a run of its own to say.
fn write_recording(path: &Path, plan: &Plan, outcome: &Outcome, how: How) -> Result<bool, String> {
    let recorded = record(plan, &outcome.observed);
    let again = run(&recorded, how, false);
    write(path, &recorded, &again)?;
    let (actions, trace) = (recorded.actions.len(), hex(&again.trace));
    say!("{}: {actions} actions with explicit edits, trace {trace}", path.display());
    say!(
        "{} of {} edits were acknowledged; in the run itself {} of {}",
        again.acknowledged,
        again.edits,
        outcome.acknowledged,
        outcome.edits
    );
    if again.violations.is_empty() && !outcome.violations.is_empty() {
        say!("the recording breaks nothing, though the run itself does:");
        return Ok(verdict(outcome));
    }
    Ok(verdict(&again))
}

pub(crate) fn replay(args: &Replay) -> Result<bool, String> {
    let (plan, expected) = read(&args.file)?;
    let outcome = run(&plan, args.how, false);
    let trace = hex(&outcome.trace);
    say!("trace {trace}");
    let sound = verdict(&outcome);
    match expected {
        Some(expected) if expected != trace => {
            say!("the trace differs from the recorded one, {expected}: another build, or a defect of the simulator");
            Ok(false)
        }
        _ => Ok(sound),
    }
}

pub(crate) fn shrink(args: &Shrink) -> Result<bool, String> {
    let plan = chosen(&args.which)?;
    let how = args.which.how;
    let Some(violation) = run(&plan, how, false).violations.into_iter().next() else {
        say!("nothing is broken, so there is nothing to make small");
        return Ok(true);
    };
    say!("{} actions break *{}*: {}", plan.actions.len(), violation.oracle, violation.what);
    let mut tried = 0;
    let shrunk = make_small(&plan, args.runs, |plan| {
        tried += 1;
        let fails = run(plan, how, false).violations.iter().any(|other| other.oracle == violation.oracle);
        if fails {
            eprintln!("{tried}: {} actions, {} devices", plan.actions.len(), plan.setup.members.len());
        }
        fails
    });
    let outcome = run(&shrunk.plan, how, false);
    write(&args.out, &shrunk.plan, &outcome)?;
    say!("{} actions are enough, after {} runs; see them with:", shrunk.plan.actions.len(), shrunk.runs);
    say!("  farshore-sim trace --plan {}{}", args.out.display(), how.typed());
    say!("  farshore-sim replay {}{}", args.out.display(), how.typed());
    verdict(&outcome);
    Ok(false)
}
