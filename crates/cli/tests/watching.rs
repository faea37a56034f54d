//! `status`, `events` and `since` with the real binary: two devices, apart and together.

mod support;

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use support::{Shell, until};

/// A command that tells without end, line by line.
struct Stream {
    child: Child,
    lines: Receiver<String>,
}

impl Stream {
    #[expect(clippy::disallowed_methods, reason = "a pipe is read with a time limit")]
    fn new(shell: &Shell, store: &str, arguments: &[&str]) -> Stream {
        let mut child = shell.command(store).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Stream { child, lines }
    }

    /// Waits for an item that fits.
    fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line =
                self.lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("{what} did not come"));
            let item = serde_json::from_str::<Value>(&line).unwrap()["item"].clone();
            if fits(&item) {
                return item;
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_happens_between_two_devices_is_told_by_status_events_and_since() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    for number in 0..20 {
        shell.item("a.fsh", &["put", "todos", "--key", &format!("k{number}"), "title=old", "other=x"]);
    }
    shell.item("b.fsh", &["init", "--name", "ben"]);
    let _ada = shell.up("a.fsh");
    let ben = shell.up("b.fsh");
    let ticket = shell.item("a.fsh", &["invite"])["ticket"].as_str().unwrap().to_owned();
    shell.item("b.fsh", &["join", "--sync", &ticket]);
    // `--sync` comes back when everything is there.
    assert_eq!(shell.items("b.fsh", &["list", "todos"]).len(), 20);
    let status = shell.item("b.fsh", &["status"]);
    let progress = &status["progress"];
    assert_eq!((&progress["settled"], &progress["peers"][0]["name"]), (&json!(true), &json!("ada")), "{status}");
    assert_eq!(progress["peers"][0]["incoming"]["entries"], json!(0));
    assert!(status["latency"]["received_to_visible"]["count"].as_u64().unwrap() >= 1, "{status}");

    let first = shell.item("b.fsh", &["since"]);
    assert_eq!((&first["since_ms"], &first["documents_total"]), (&json!(0), &json!(20)), "{first}");
    assert!(shell.items("b.fsh", &["since", "--marker", "read", "--move"]).is_empty(), "nothing to tell at first");

    assert_eq!(ben.stop(), 0);
    shell.item("a.fsh", &["edit", "todos", "k1", "set", "title", "hers"]);
    shell.item("b.fsh", &["edit", "todos", "k1", "set", "title", "his"]);
    shell.item("b.fsh", &["edit", "todos", "k2", "set", "other", "his"]);
    shell.item("a.fsh", &["edit", "todos", "k2", "set", "title", "hers"]);
    let offline = shell.item("a.fsh", &["status"]);
    until("Ada noticing", || shell.item("a.fsh", &["status"])["peers"] == json!(0));
    let stuck = shell.item("a.fsh", &["status"])["progress"]["peers"][0].clone();
    assert_eq!((&stuck["linked"], &stuck["outgoing"]["entries"]), (&json!(false), &json!(2)), "{offline} {stuck}");
    assert!(stuck["obstacles"][0].as_str().unwrap().starts_with("no link"), "{stuck}");

    let events = Stream::new(&shell, "a.fsh", &["events"]);
    let watch = Stream::new(&shell, "a.fsh", &["status", "--watch"]);
    watch.until("the first status", |item| item["progress"]["peers"][0]["linked"] == json!(false));
    let _ben = shell.up("b.fsh");
    let up = events.until("Ben", |item| item["kind"] == json!("peer-up"));
    assert_eq!(up["device"], json!("ben"));
    let conflict = events.until("the conflict", |item| item["kind"] == json!("conflict"));
    assert_eq!((&conflict["space"], &conflict["collection"]), (&json!("home"), &json!("todos")), "{conflict}");
    assert_eq!(conflict["conflicts"][0]["path"], json!("title"));
    watch.until("all there", |item| {
        item["progress"]["settled"] == json!(true) && item["progress"]["peers"][0]["linked"] == json!(true)
    });
    until("Ben's having all", || shell.item("b.fsh", &["status"])["progress"]["settled"] == json!(true));

    let since = shell.item("b.fsh", &["since"]);
    assert_eq!((&since["documents_total"], &since["merged_total"]), (&json!(2), &json!(2)), "{since}");
    assert_eq!((&since["came"][0]["by"], &since["came"][0]["entries"]), (&json!("ada"), &json!(2)));
    assert_eq!((&since["conflicts_total"], &since["overwritten_total"]), (&json!(1), &json!(0)), "{since}");
    let lost = &since["conflicts"][0];
    assert_eq!((&lost["path"], &lost["mine"], &lost["now"]), (&json!("title"), &json!("his"), &json!("hers")));
    assert_eq!(lost["by"], json!("ada"));
    let marked = shell.item("b.fsh", &["since", "--marker", "read", "--move"]);
    assert_eq!(marked["documents_total"], json!(2));
    let again = shell.item("b.fsh", &["since", "--marker", "read"]);
    assert_eq!((&again["documents_total"], again["came"].as_array().unwrap().len()), (&json!(0), 0));
    assert_eq!(shell.failure("b.fsh", &["since", "--marker", "unheard-of"]).0, 2);
}

#[test]
fn watching_needs_a_device_that_runs_and_looking_back_does_not() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    assert_eq!(shell.failure("a.fsh", &["events"]).0, 5);
    assert_eq!(shell.failure("a.fsh", &["status", "--watch"]).0, 5);
    assert_eq!(shell.item("a.fsh", &["since"])["documents_total"], json!(0));
}
