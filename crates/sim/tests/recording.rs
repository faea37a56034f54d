//! A recording: what users did in a run, as a plan of explicit edits that runs again without the app that chose them.

use std::sync::Mutex;

use farshore_sim::app::{Act, App, Collection, Shown};
use farshore_sim::plain::Plain;
use farshore_sim::plan::{Action, Plan, Profile, Timed};
use farshore_sim::recording::record;
use farshore_sim::run::{Options, Outcome};
use farshore_sim::sweep::{judge, plan_of};
use farshore_sim::workload::Workload;

/// The built-in workload, or its collections only; keeps what all devices show in the end.
#[derive(Debug)]
struct Ends {
    users: Option<Workload>,
    shown: Mutex<Shown>,
}

impl App for Ends {
    fn collections(&self) -> Vec<Collection> {
        Workload::default().collections()
    }

    fn act(&self, act: &mut Act<'_>) {
        self.users.expect("a recording asks no app what to do").act(act);
    }

    fn check_converged(&self, shown: &Shown) -> Result<(), String> {
        *self.shown.lock().unwrap() = shown.clone();
        Ok(())
    }
}

/// Runs a plan; and each collection's documents in the end, without their ids, in an order of their own.
fn end_of(plan: &Plan, users: Option<Workload>) -> (Outcome, Vec<Vec<Plain>>) {
    let app = Ends { users, shown: Mutex::default() };
    let outcome = judge(plan, &app, Options { keep: true, ..Options::default() });
    assert_eq!(outcome.violations, [], "seed {}", plan.setup.seed);
    let contents = app.shown.into_inner().unwrap().collections.into_iter().map(|documents| {
        let mut contents: Vec<Plain> = documents.into_values().map(|document| (*document).clone()).collect();
        contents.sort();
        contents
    });
    (outcome, contents.collect())
}

/// The recording of a run, from its lines: a file will do.
fn recording(plan: &Plan, outcome: &Outcome) -> Plan {
    let recorded = record(plan, &outcome.observed);
    assert_eq!(recorded.setup, plan.setup);
    let read = Plan::from_lines(&recorded.to_lines()).unwrap();
    assert_eq!(read, recorded);
    read
}

fn without_users(plan: &Plan) -> Vec<&Timed> {
    plan.actions.iter().filter(|timed| !matches!(timed.action, Action::Act { .. } | Action::Edit { .. })).collect()
}

/// Of writes at the same time one wins, by what follows from a document's id, and ids differ: here all edits add up.
#[test]
fn a_recording_without_faults_has_as_many_edits_acknowledged_and_the_same_documents_in_the_end() {
    for seed in 0..3 {
        let mut plan = plan_of(seed, Profile::Quiet);
        let none = Workload {
            upsert: 0,
            set: 0,
            splice: 0,
            insert: 0,
            remove: 0,
            inner: 0,
            delete: 0,
            several: 0,
            ..Workload::default()
        };
        plan.setup.workload = Workload { create: 10, increment: 40, ..none };
        let (run, documents) = end_of(&plan, Some(plan.setup.workload));
        let (again, same) = end_of(&recording(&plan, &run), None);
        assert_eq!((again.edits, again.acknowledged), (run.edits, run.acknowledged));
        assert!(documents.iter().all(|documents| documents.len() > 10), "too few to tell: {documents:?}");
        assert_eq!(same, documents);
    }
}

#[test]
fn a_recording_keeps_every_fault_and_every_promise() {
    for seed in [0, 2] {
        let plan = plan_of(seed, Profile::Mixed);
        let (run, _) = end_of(&plan, Some(plan.setup.workload));
        let recorded = recording(&plan, &run);
        assert_eq!(without_users(&recorded), without_users(&plan));
        let (again, _) = end_of(&recorded, None);
        assert!(run.faults() > 20 && again.faults() > 20, "{} and {}", run.faults(), again.faults());
        // A fault that counts a disk's operations may strike between two others: a few acts meet a device that is off, or one that lives.
        let alike = |one: u64, other: u64| one.abs_diff(other) * 20 <= one;
        assert!(alike(run.edits, again.edits), "{} and {} edits", run.edits, again.edits);
        assert!(alike(run.acknowledged, again.acknowledged), "{} and {}", run.acknowledged, again.acknowledged);
    }
}

/// A recording is a plan like others: recorded once more, it says the same of as many edits.
#[test]
fn a_recording_of_a_recording_has_the_same_edits() {
    let plan = plan_of(1, Profile::Small);
    let (run, _) = end_of(&plan, Some(plan.setup.workload));
    let once = recording(&plan, &run);
    let (again, _) = end_of(&once, None);
    let twice = recording(&once, &again);
    let ops = |plan: &Plan| -> Vec<_> {
        let edits = plan.actions.iter().filter_map(|timed| match &timed.action {
            Action::Edit { device, collection, edits } => Some((timed.at_ms, *device, *collection, edits)),
            _ => None,
        });
        edits
            .map(|(at_ms, device, collection, edits)| {
                (at_ms, device, collection, edits.iter().map(|edit| edit.op.clone()).collect::<Vec<_>>())
            })
            .collect()
    };
    assert!(ops(&once).len() > 5, "{:?}", ops(&once));
    assert_eq!(ops(&twice), ops(&once));
}

#[test]
fn the_line_of_a_recording_in_the_guide_is_one() {
    let guide = include_str!("../../../docs/simulator.md");
    let line = guide.split_once("```json\n").and_then(|(_, rest)| rest.lines().next()).expect("a line of JSON");
    let mut lines = Plan { actions: Vec::new(), ..plan_of(1, Profile::Quiet) }.to_lines();
    lines.push_str(line);
    let plan = Plan::from_lines(&lines).unwrap();
    assert!(
        matches!(&plan.actions[..], [Timed { action: Action::Edit { edits, .. }, .. }] if edits.len() == 1),
        "{line}"
    );
}
