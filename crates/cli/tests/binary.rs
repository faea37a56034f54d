//! The binary itself: exit codes, where things are printed, and the proxy as a process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

fn farshore() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farshore"));
    command.env_remove("FARSHORE_STORE").env_remove("FARSHORE_LOG").stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> (Option<i32>, String, String) {
    let output = farshore().args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn version_and_help_are_answers_and_a_wrong_word_is_a_usage_error() {
    let (code, out, _) = run(&["--version"]);
    assert!(code == Some(0) && out.contains("commit") && out.contains("protocol"), "{out}");
    let (code, out, _) = run(&["import", "--help"]);
    assert!(code == Some(0) && out.contains("Example:"), "{out}");
    let (code, out, err) = run(&["improt"]);
    assert!(code == Some(2) && out.is_empty() && err.contains("import"), "{err}");
    let (code, out, err) = run(&["--json", "improt"]);
    assert!(code == Some(2) && err.is_empty() && out.starts_with("{\"error\":{\"code\":\"usage\""), "{out}");
    let (code, _, err) = run(&["get", "c", "k", "a..b"]);
    assert!(code == Some(2) && err.contains("    ^"), "{err}");
    let (code, _, err) = run(&["--log", "a=b=c", "peers"]);
    assert!(code == Some(2) && err.contains("log filter"), "{err}");
}

#[test]
fn a_file_is_checked_without_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.csv");
    std::fs::write(&file, "a,b\n1,2\n3\n").unwrap();
    let (code, out, err) = run(&["import", "c", file.to_str().unwrap(), "--dry-run"]);
    assert!(code == Some(6) && out.is_empty() && err.contains("line 3"), "{err}");
    let (code, _, err) = run(&["import", "c", "/no/such/file.csv", "--dry-run"]);
    assert!(code == Some(3) && err.contains("/no/such/file.csv"), "{err}");
    let mut child = farshore()
        .args(["--json", "import", "c", "-", "--format", "ndjson", "--dry-run"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"a\":1}\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("{\"item\":{\"good_rows\":1,\"bad_rows\":0"));
}

#[test]
fn the_proxy_runs_as_a_process_and_ends_with_its_parent() {
    let mut child = farshore()
        .args(["demo-proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("{\"listening\":\"127.0.0.1:"));
    let mut orders = child.stdin.take().unwrap();
    orders.write_all(b"count\n").unwrap();
    assert!(lines.next().unwrap().unwrap().starts_with("{\"counters\":{\"connections\":0"));
    drop(orders);
    assert!(child.wait().unwrap().success());
}
