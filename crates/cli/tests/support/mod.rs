//! The binary as a shell runs it, with real processes and a directory of its own.

#![expect(
    unreachable_pub,
    reason = "a module of a test is its own crate's, and its items are named as a library's are"
)]
#![allow(dead_code, reason = "each suite uses a part of it")]

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How long anything here may take on a busy machine. Nothing waits for it when things go well.
const LOOKS: u32 = 600;

pub struct Shell {
    pub directory: tempfile::TempDir,
}

/// A running `farshore up`.
pub struct Up {
    child: Child,
    pub item: Value,
}

impl Shell {
    pub fn new() -> Shell {
        Shell { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn command(&self, store: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farshore"));
        command.current_dir(self.directory.path()).env_clear().env("HOME", self.directory.path());
        command.args(["--store", store, "--json"]).stdin(Stdio::null());
        command
    }

    pub fn output(&self, store: &str, arguments: &[&str]) -> Output {
        self.command(store).args(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and gives its items.
    pub fn items(&self, store: &str, arguments: &[&str]) -> Vec<Value> {
        let output = self.output(store, arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.pop(), Some(serde_json::json!({ "done": {} })), "{arguments:?}");
        lines.into_iter().map(|line| line["item"].clone()).collect()
    }

    pub fn item(&self, store: &str, arguments: &[&str]) -> Value {
        let mut items = self.items(store, arguments);
        assert_eq!(items.len(), 1, "{arguments:?}: {items:?}");
        items.remove(0)
    }

    /// Runs a command that must fail, and gives its exit code and its error.
    pub fn failure(&self, store: &str, arguments: &[&str]) -> (i32, Value) {
        let output = self.output(store, arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap_or_else(|| panic!("{arguments:?} said nothing"));
        let last: Value = serde_json::from_str(last).unwrap();
        assert!(last["error"].is_object(), "{arguments:?}: {last}");
        (output.status.code().unwrap(), last["error"].clone())
    }

    pub fn pipe(&self, store: &str, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(store);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// A device on loopback, over TCP alone.
    pub fn up(&self, store: &str) -> Up {
        self.up_with(store, &[])
    }

    /// The same with more options.
    pub fn up_with(&self, store: &str, options: &[&str]) -> Up {
        let mut command = self.command(store);
        command.args(["up", "--listen", "127.0.0.1:0", "--no-mdns", "--no-quic"]).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["item"].is_object(), "{line}");
        Up { child, item: line["item"].clone() }
    }

    /// A store with the space `home`.
    pub fn home(&self, store: &str, name: &str) {
        self.item(store, &["init", "--name", name]);
        self.item(store, &["space", "create", "home"]);
    }
}

impl Up {
    pub fn pid(&self) -> u64 {
        self.item["pid"].as_u64().unwrap()
    }

    /// Where it listens.
    pub fn listening(&self) -> std::net::SocketAddr {
        let address = self.item["listening"][0].as_str().unwrap(); // /ip4/127.0.0.1/tcp/PORT/p2p/...
        let port = address.split('/').nth(4).unwrap().parse().unwrap();
        ([127, 0, 0, 1], port).into()
    }

    /// Ends it as Ctrl-C does, and gives its exit code.
    pub fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until it holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what} did not come about");
}

pub fn airports() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/airports.csv.gz")
}
