//! The program `farshore-sim`, as a person at a shell meets it.
#![cfg(feature = "cli")]

use std::process::{Command, Output};

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farshore-sim")).args(args).output().expect("the program starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn scratch(name: &str) -> String {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&dir);
    dir.to_string_lossy().into_owned()
}

#[test]
fn one_seed_has_one_trace_in_every_process() {
    let run = || sim(&["run", "--seed", "7"]);
    let (one, two) = (run(), run());
    assert!(one.status.success(), "{}", text(&one));
    let trace = |output: &Output| text(output).lines().find(|line| line.starts_with("trace ")).map(str::to_owned);
    assert!(trace(&one).is_some_and(|line| line.len() == "trace ".len() + 64));
    assert_eq!(trace(&one), trace(&two));
}

#[test]
fn a_recorded_run_replays_to_the_same_trace_and_a_changed_one_is_told_apart() {
    let file = scratch("recorded.plan");
    assert!(sim(&["trace", "--seed", "4", "--profile", "quiet", "--out", &file]).status.success());
    let replayed = sim(&["replay", &file]);
    assert!(replayed.status.success(), "{}", text(&replayed));
    let mut lines: Vec<String> = std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    lines.remove(10);
    std::fs::write(&file, lines.join("\n")).unwrap();
    let changed = sim(&["replay", &file]);
    assert_eq!(changed.status.code(), Some(1));
    assert!(text(&changed).contains("the trace differs"));
}

#[test]
fn a_recording_with_explicit_edits_replays_to_its_own_trace() {
    let file = scratch("explicit.plan");
    let written = sim(&["trace", "--seed", "4", "--profile", "small", "--explicit", "--out", &file]);
    assert!(written.status.success(), "{}", text(&written));
    let lines = std::fs::read_to_string(&file).unwrap();
    assert!(lines.contains("\"edit\":{\"device\"") && !lines.contains("\"act\":"), "{lines}");
    let replayed = sim(&["replay", &file]);
    assert!(replayed.status.success(), "{}", text(&replayed));
    assert_eq!(sim(&["trace", "--seed", "4", "--explicit"]).status.code(), Some(2), "there is nowhere to write it");
}

#[test]
fn a_range_that_was_stopped_goes_on_where_its_record_ends() {
    let record = scratch("seeds.jsonl");
    let run =
        |seeds: &str| sim(&["run", "--seeds", seeds, "--profile", "quiet", "--store", "memory", "--record", &record]);
    assert!(text(&run("0..2")).contains("2 of them run now"));
    let more = text(&run("0..3"));
    assert!(more.contains("3 seeds of profile quiet, 0 broken") && more.contains("1 of them run now"), "{more}");
}

#[test]
fn a_timeline_tells_who_did_what_and_when() {
    let shown = text(&sim(&["trace", "--seed", "2", "--profile", "quiet", "--store", "memory"]));
    for words in ["is a member", "asks #1 in ", "answers #1: entry ", "sends Entry ", "-- everything is healed"] {
        assert!(shown.contains(words), "{words:?} is missing");
    }
}

#[test]
fn what_is_typed_wrong_is_told_and_changes_nothing() {
    for args in
        [&["run", "--seeds", "5..5"][..], &["replay", "/nowhere"], &["trace", "--seed", "1", "--profile", "odd"]]
    {
        assert_eq!(sim(args).status.code(), Some(2), "{args:?}");
    }
    assert!(text(&sim(&["list-faults"])).contains("power-cut"));
    assert!(text(&sim(&["list-oracles"])).contains("converged"));
}
