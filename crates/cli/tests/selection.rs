//! `subscribe`, `pause`, `resume` and `sync`, with the real binary.

mod support;

use serde_json::json;
use support::{Shell, until};

#[test]
fn what_a_person_chooses_is_kept_shown_and_undone() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    shell.item("a.fsh", &["put", "photos/2026", "--key", "p1", "title=Sea"]);
    let chosen = shell.item("a.fsh", &["subscribe", "home", "photos/", "none"]);
    assert_eq!(chosen["not_kept_up"], json!(["photos/2026"]));
    let space = shell.item("a.fsh", &["space", "list"]);
    assert_eq!(space["subscriptions"], json!([["photos/", "none"]]));
    let collection = shell.item("a.fsh", &["collection", "list"]);
    assert_eq!((&collection["priority"], &collection["kept_up"]), (&json!("none"), &json!(false)));
    // What is here stays readable, and says that it may be old.
    assert_eq!(shell.item("a.fsh", &["get", "photos/2026", "p1"])["kept_up"], json!(false));
    assert_eq!(shell.item("a.fsh", &["list", "photos/2026"])["kept_up"], json!(false));
    let undone = shell.item("a.fsh", &["subscribe", "home", "photos/", "default"]);
    assert_eq!(undone["not_kept_up"], json!(null));
    assert_eq!(shell.item("a.fsh", &["get", "photos/2026", "p1"])["kept_up"], json!(null));

    let paused = shell.item("a.fsh", &["pause", "home"]);
    assert_eq!((&paused["paused"]["by"], &paused["paused"]["all"]), (&json!("farshore pause"), &json!(false)));
    assert_eq!(shell.item("a.fsh", &["pause"])["paused"]["all"], json!(true));
    let status = shell.item("a.fsh", &["status"]);
    assert_eq!(status["spaces"][0]["paused"]["all"], json!(true));
    assert_eq!(shell.item("a.fsh", &["resume"])["paused"]["all"], json!(false));
    assert_eq!(shell.item("a.fsh", &["resume", "home"])["paused"], json!(null));

    assert_eq!(shell.failure("a.fsh", &["subscribe", "elsewhere", "photos", "lazy"]).0, 3);
    assert_eq!(shell.failure("a.fsh", &["subscribe", "home", "", "lazy"]).0, 6);
    // There is nobody to sync with while no device runs.
    assert_eq!(shell.failure("a.fsh", &["sync"]).0, 5);
}

#[test]
fn a_collection_by_hand_comes_at_sync_and_not_before() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    shell.item("a.fsh", &["put", "photos", "--key", "p1", "title=Sea"]);
    shell.item("a.fsh", &["put", "todos", "--key", "t1", "title=Milk"]);
    let ada = shell.up("a.fsh");
    let ticket = shell.item("a.fsh", &["invite"])["ticket"].as_str().unwrap().to_owned();
    shell.item("b.fsh", &["init", "--name", "ben"]);
    let ben = shell.up("b.fsh");
    shell.item("b.fsh", &["join", &ticket]);
    until("the first documents at Ben", || shell.output("b.fsh", &["get", "photos", "p1"]).status.success());
    shell.item("b.fsh", &["subscribe", "home", "photos", "manual"]);
    shell.item("a.fsh", &["put", "photos", "--key", "p2", "title=Hills"]);
    shell.item("a.fsh", &["put", "todos", "--key", "t2", "title=Bread"]);
    until("what is wanted", || shell.output("b.fsh", &["get", "todos", "t2"]).status.success());
    assert_eq!(shell.failure("b.fsh", &["get", "photos", "p2"]).0, 3);
    shell.item("b.fsh", &["sync", "home"]);
    until("what was asked for", || shell.output("b.fsh", &["get", "photos", "p2"]).status.success());
    assert_eq!((ada.stop(), ben.stop()), (0, 0));
}
