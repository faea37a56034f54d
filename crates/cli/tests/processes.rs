//! What a person at a shell does, with the real binary, real stores and real processes.

mod support;

use serde_json::json;
use support::{Shell, airports, until};

#[test]
fn a_document_is_written_read_edited_listed_and_removed() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    let written = shell.item("a.fsh", &["put", "todos", "--key", "milk", "title=Milk", "done:=false", "tags:=[]"]);
    assert_eq!((&written["key"], &written["changed"]), (&json!("milk"), &json!(true)));
    shell.item("a.fsh", &["edit", "todos", "milk", "set", "done", "true"]);
    shell.item("a.fsh", &["edit", "todos", "milk", "insert", "tags[]", "urgent"]);
    shell.item("a.fsh", &["edit", "todos", "milk", "insert", "tags[]", "cold"]);
    shell.item("a.fsh", &["put", "todos", "--key", "milk", "body:text=whole milk", "count:counter=1"]);
    shell.item("a.fsh", &["edit", "todos", "milk", "splice", "body", "0", "5", "oat"]);
    shell.item("a.fsh", &["edit", "todos", "milk", "increment", "count", "-3"]);
    let milk = shell.item("a.fsh", &["get", "todos", "milk"]);
    assert_eq!(
        milk["value"],
        json!({ "title": "Milk", "done": true, "tags": ["urgent", "cold"], "body": "oat milk", "count": -2 })
    );
    assert_eq!(shell.item("a.fsh", &["get", "todos", "milk", "tags[1]"])["value"], json!("cold"));
    shell.item("a.fsh", &["put", "todos", "title=Bread", "done:=false"]);
    assert_eq!(shell.items("a.fsh", &["list", "todos"]).len(), 2);
    let done = shell.items("a.fsh", &["list", "todos", "--where", "done=true"]);
    assert_eq!((done.len(), &done[0]["id"]), (1, &written["id"]));
    shell.item("a.fsh", &["put", "todos", "--key", "milk", "--replace", "title=Cream"]);
    assert_eq!(shell.item("a.fsh", &["get", "todos", "milk"])["value"], json!({ "title": "Cream" }));
    let log = shell.items("a.fsh", &["log", "todos", "--limit", "3"]);
    assert_eq!((log.len(), &log[0]["name"], &log[0]["applied"]), (3, &json!("ada"), &json!(true)));
    assert!(log[0]["seq"].as_u64() > log[1]["seq"].as_u64(), "the newest first: {log:?}");
    assert_eq!(shell.item("a.fsh", &["rm", "todos", "milk"])["changed"], json!(true));
    assert_eq!(shell.item("a.fsh", &["rm", "todos", "milk"])["changed"], json!(false));
    assert_eq!(shell.failure("a.fsh", &["get", "todos", "milk"]).0, 3);
}

#[test]
fn the_airports_go_in_and_come_out_the_same() {
    let shell = Shell::new();
    for store in ["a.fsh", "b.fsh"] {
        shell.home(store, "ada");
    }
    let file = airports();
    let imported = shell.item("a.fsh", &["import", "airports", file.to_str().unwrap(), "--key", "icao"]);
    assert_eq!(imported["imported"], json!(28_298));
    shell.item("a.fsh", &["export", "airports", "out.ndjson", "--tagged"]);
    shell.item("b.fsh", &["import", "airports", "out.ndjson", "--tagged", "--key", "icao"]);
    shell.item("b.fsh", &["export", "airports", "again.ndjson", "--tagged"]);
    let sorted = |name: &str| {
        let text = std::fs::read_to_string(shell.path(name)).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort(); // ids differ between spaces, and exports are in their order
        lines
    };
    let (first, again) = (sorted("out.ndjson"), sorted("again.ndjson"));
    assert_eq!(first.len(), 28_298);
    assert_eq!(first, again);
    // The same file again changes nothing.
    let before = shell.item("a.fsh", &["digest", "airports"]);
    shell.item("a.fsh", &["import", "airports", file.to_str().unwrap(), "--key", "icao"]);
    assert_eq!(shell.item("a.fsh", &["digest", "airports"]), before);
}

#[test]
fn commands_reach_the_device_that_runs_and_a_second_one_is_told_who_has_the_store() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    let up = shell.up("a.fsh");
    let (code, error) = shell.failure("a.fsh", &["up"]);
    assert_eq!(code, 8);
    assert!(error["message"].as_str().unwrap().contains(&up.pid().to_string()), "{error}");
    shell.item("a.fsh", &["put", "todos", "--key", "milk", "title=Milk"]);
    assert_eq!(shell.item("a.fsh", &["get", "todos", "milk"])["value"], json!({ "title": "Milk" }));
    assert_eq!(shell.item("a.fsh", &["status"])["pid"], up.item["pid"]);
    let rows = "{\"k\":\"x\",\"n\":1}\n{\"k\":\"y\",\"n\":2}\n";
    let piped = shell.pipe("a.fsh", &["import", "rows", "-", "--format", "ndjson", "--key", "k"], rows);
    assert!(piped.status.success(), "{piped:?}");
    assert_eq!(up.stop(), 0);
    assert_eq!(shell.items("a.fsh", &["list", "rows"]).len(), 2);
    assert_eq!(shell.item("a.fsh", &["status"])["pid"], json!(null));
}

#[test]
fn two_running_devices_meet_by_ticket_and_agree_also_after_one_was_killed() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    shell.item("a.fsh", &["put", "todos", "--key", "milk", "title=Milk"]);
    shell.item("b.fsh", &["init", "--name", "ben"]);
    let (ada, ben) = (shell.up("a.fsh"), shell.up("b.fsh"));
    let ticket = shell.item("a.fsh", &["invite", "--valid", "10m"])["ticket"].as_str().unwrap().to_owned();
    let joined = shell.item("b.fsh", &["join", &ticket]);
    assert_eq!((&joined["name"], &joined["role"]), (&json!("home"), &json!("writer")));
    let digest = |store: &str| {
        let output = shell.output(store, &["digest", "todos"]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let agree = || digest("a.fsh").is_some_and(|one| Some(one) == digest("b.fsh"));
    until("agreement", agree);
    shell.item("b.fsh", &["edit", "todos", "milk", "set", "title", "Oat milk"]);
    until("Ben's edit at Ada's", || {
        shell.item("a.fsh", &["get", "todos", "milk"])["value"]["title"] == json!("Oat milk")
    });
    assert_eq!(shell.items("a.fsh", &["space", "members"]).len(), 2);
    assert_eq!(shell.items("a.fsh", &["peers"])[0]["name"], json!("ben"));
    ben.kill();
    shell.item("a.fsh", &["put", "todos", "--key", "bread", "title=Bread"]);
    let ben = shell.up("b.fsh");
    until("agreement after the kill", agree);
    assert_eq!(shell.items("b.fsh", &["list", "todos"]).len(), 2);
    let (code, error) = shell.failure("b.fsh", &["join", &ticket]);
    assert_eq!(code, 4, "{error}");
    assert_eq!((ada.stop(), ben.stop()), (0, 0));
}

#[test]
fn who_joins_without_a_running_device_finds_the_inviter_again_later() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    shell.item("a.fsh", &["put", "todos", "--key", "milk", "title=Milk"]);
    shell.item("b.fsh", &["init", "--name", "ben"]);
    let _ada = shell.up("a.fsh");
    let ticket = shell.item("a.fsh", &["invite", "--role", "reader"])["ticket"].as_str().unwrap().to_owned();
    shell.item("b.fsh", &["join", &ticket]);
    let _ben = shell.up("b.fsh");
    until("Ada's document at Ben's", || shell.output("b.fsh", &["get", "todos", "milk"]).status.success());
    let (code, error) = shell.failure("b.fsh", &["put", "todos", "--key", "x", "a=b"]);
    assert_eq!(code, 4, "{error}");
}

#[test]
fn what_is_wrong_is_said_with_its_own_exit_code() {
    let shell = Shell::new();
    let message = |failure: &(i32, serde_json::Value)| failure.1["message"].as_str().unwrap().to_owned();
    let missing = shell.failure("none.fsh", &["list", "todos"]);
    assert_eq!(missing.0, 3);
    assert!(message(&missing).contains("farshore init"), "{missing:?}");
    assert_eq!(shell.failure("none.fsh", &["up"]).0, 3);
    assert!(!shell.path("none.fsh.run").exists(), "a mistyped path leaves no traces");
    assert_eq!(shell.failure("no/dir.fsh", &["init"]).0, 3);
    assert_eq!(shell.failure(".", &["list", "todos"]).0, 2);
    shell.item("a.fsh", &["init"]);
    assert_eq!(shell.failure("a.fsh", &["init"]).0, 4);
    let no_space = shell.failure("a.fsh", &["list", "todos"]);
    assert_eq!(no_space.0, 3);
    assert!(no_space.1["remedy"].as_str().unwrap().contains("space create"), "{no_space:?}");
    shell.item("a.fsh", &["space", "create", "home"]);
    assert_eq!(shell.failure("a.fsh", &["get", "todos", "milk"]).0, 3);
    shell.item("a.fsh", &["put", "todos", "--key", "milk", "title=Milk"]);
    assert_eq!(shell.failure("a.fsh", &["get", "todos", "milk", "a.b"]).0, 3);
    assert_eq!(shell.failure("a.fsh", &["get", "todos", "--id", "mistyped"]).0, 2);
    assert_eq!(shell.failure("a.fsh", &["edit", "todos", "milk", "increment", "title"]).0, 6);
    assert_eq!(shell.failure("a.fsh", &["edit", "todos", "milk", "insert", "none[]", "1"]).0, 3);
    assert_eq!(shell.failure("a.fsh", &["list", "todos", "--space", "other"]).0, 3);
    assert_eq!(shell.failure("a.fsh", &["watch", "todos"]).0, 5);
    assert_eq!(shell.failure("a.fsh", &["import", "todos", "none.csv"]).0, 3);
    shell.item("a.fsh", &["space", "create", "second"]);
    let two = shell.failure("a.fsh", &["list", "todos"]);
    assert_eq!(two.0, 2);
    assert!(message(&two).contains("home") && message(&two).contains("second"), "{two:?}");
    assert_eq!(shell.failure("a.fsh", &["join", "hello"]).0, 4);
    let ticket = shell.item("a.fsh", &["invite", "--space", "home"])["ticket"].as_str().unwrap().to_owned();
    shell.item("b.fsh", &["init"]);
    let away = shell.failure("b.fsh", &["join", &ticket, "--wait", "1s"]);
    assert_eq!(away.0, 9, "{away:?}");
    let altered = ticket.replace('q', "z");
    assert_eq!(shell.failure("b.fsh", &["join", &altered]).0, 4);
    std::fs::rename(shell.path("b.fsh.key"), shell.path("elsewhere")).unwrap();
    assert_eq!(shell.failure("b.fsh", &["status"]).0, 3);
}

#[test]
fn a_port_in_use_is_named() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, error) = shell.failure("a.fsh", &["up", "--listen", &address.to_string(), "--no-mdns"]);
    assert_eq!(code, 5);
    assert!(error["message"].as_str().unwrap().contains(&address.port().to_string()), "{error}");
}

#[test]
fn the_demo_converges() {
    let shell = Shell::new();
    let report = shell.item("unused.fsh", &["demo", "--documents", "2000", "--keep", "kept"]);
    assert_eq!(report["compared"].as_array().unwrap().len(), 2);
    for compared in report["compared"].as_array().unwrap() {
        assert_eq!(compared["ada"], compared["ben"]);
    }
    assert_eq!(report["compared"][0]["ada"]["documents"], json!(2001));
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 10);
    assert_eq!(report["text"][0]["reads"], json!(7));
    assert_ne!(report["killed"]["pid"], report["killed"]["pid_after"]);
    assert_eq!(shell.items("kept/ben/store.fsh", &["list", "airports"]).len(), 2001);
    assert_eq!(shell.failure("unused.fsh", &["demo", "--keep", "kept"]).0, 4);
}
