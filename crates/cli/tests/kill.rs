//! kill -9 on the program itself, under the load of its own commands: after each kill the store is sound, holds every write that
//! a command reported as done, and sync goes on.
//!
//! Two devices run as `farshore up`, and all write to both as fast as they can: `farshore put` one document after another, programs
//! that keep the control socket and so wait for nothing but the commit, and at Ada's, every other time, `farshore import`. One of
//! them, or both, are killed at a moment that follows from the seed. What was said to be done is the ledger. The store of a killed one is read before it runs again: the other device may have what it lost,
//! and would give it back without a word.
//!
//! `FARSHORE_KILLS=200` sets the number of kills (default 6), `FARSHORE_KILL_SEED` the moments.

#![allow(clippy::disallowed_methods)] // Commands are run from threads of their own.

mod support;

use farshore_cli::control::{Client, DocumentName, Endpoint, Place, Request, Session, WrittenItem};
use farshore_cli::formats::Typed;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Shell, Up, until};

/// Rows of one import: at work for longer than the latest moment of a kill.
const ROWS: usize = 8_000;
/// Programs on the control socket of each device.
const PROGRAMS: usize = 3;
/// The earliest and the latest moment of a kill, after the load has begun.
const MOMENTS_US: std::ops::Range<u64> = 30_000..400_000;

/// By key, the number of a write; later writes of a key have higher numbers.
type Contents = BTreeMap<String, u64>;

/// What was asked for, and what was answered.
#[derive(Default)]
struct Ledger {
    last: u64,
    begun: Contents,
    acknowledged: Contents,
    /// What both devices held when they last agreed.
    agreed: Contents,
}

impl Ledger {
    fn begin(&mut self, keys: impl IntoIterator<Item = String>) -> u64 {
        self.last += 1;
        self.begun.extend(keys.into_iter().map(|key| (key, self.last)));
        self.last
    }

    fn acknowledge(&mut self, keys: impl IntoIterator<Item = String>, number: u64) {
        self.acknowledged.extend(keys.into_iter().map(|key| (key, number)));
    }

    /// What a device must hold whoever else there is: what it acknowledged itself, and what was agreed.
    fn owed_by(&self, device: &Device) -> Contents {
        let own = self.acknowledged.iter().filter(|(key, _)| key.starts_with(device.name));
        let mut owed = self.agreed.clone();
        owed.extend(own.map(|(key, number)| (key.clone(), *number)));
        owed
    }

    /// Nothing that is owed is missing or older, and nothing is there that nobody asked for.
    fn compare(&self, when: &str, owed: &Contents, found: &Contents) {
        for (key, number) in owed {
            let there = found.get(key);
            assert!(there >= Some(number), "{when}: {key} was acknowledged at {number}, and is at {there:?}");
        }
        for (key, number) in found {
            let begun = self.begun.get(key);
            assert!(begun >= Some(number), "{when}: {key} is at {number}, and was only asked for up to {begun:?}");
        }
    }
}

struct Device {
    name: &'static str,
    store: &'static str,
    options: Vec<String>,
    up: Mutex<Option<Up>>,
    /// Set when the process is killed, or has had enough: no more commands.
    over: AtomicBool,
}

impl Device {
    fn start(&self, shell: &Shell) {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        *self.up.lock().unwrap() = Some(shell.up_with(self.store, &options));
    }

    fn is_up(&self) -> bool {
        self.up.lock().unwrap().is_some()
    }

    /// SIGKILL. The commands under way go with it at once: one that was about to connect would else open the store itself, before
    /// it is checked.
    fn kill(&self) {
        self.up.lock().unwrap().take().unwrap().kill();
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Ends the commands of both, also where the test fails in between: their threads are waited for.
struct Enough<'a>(&'a [Device; 2]);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|device| device.over.store(true, Ordering::SeqCst));
    }
}

struct Rig {
    shell: Shell,
    devices: [Device; 2],
    ledger: Mutex<Ledger>,
}

impl Rig {
    /// Two running devices with one space. Ada keeps a port, so that two that were killed together find each other again.
    fn new() -> Rig {
        let shell = Shell::new();
        shell.home("a.fsh", "ada");
        shell.item("b.fsh", &["init", "--name", "ben"]);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let device =
            |name, store, options| Device { name, store, options, up: Mutex::new(None), over: AtomicBool::new(false) };
        let devices =
            [device("ada", "a.fsh", vec!["--listen".into(), free.to_string()]), device("ben", "b.fsh", Vec::new())];
        devices.iter().for_each(|device| device.start(&shell));
        shell.item("a.fsh", &["collection", "create", "notes"]);
        let ticket = shell.item("a.fsh", &["invite"])["ticket"].as_str().unwrap().to_owned();
        shell.item("b.fsh", &["join", &ticket]);
        let rig = Rig { shell, devices, ledger: Mutex::default() };
        until("the collection at Ben's", || rig.shell.output("b.fsh", &["digest", "notes"]).status.success());
        rig
    }

    /// What the store holds: by the running device, or else by a command that opens it.
    fn contents(&self, device: &Device) -> Contents {
        let file = format!("{}.ndjson", device.name);
        self.shell.item(device.store, &["export", "notes", &file]);
        let text = std::fs::read_to_string(self.shell.path(&file)).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| (row["key"].as_str().unwrap().to_owned(), row["number"].as_u64().unwrap())).collect()
    }

    /// Puts one document after another until it is over; says whether the last one went unanswered.
    fn write(&self, device: &Device, writer: &str, mut put: impl FnMut(&str, u64) -> bool) -> bool {
        while !device.over.load(Ordering::SeqCst) {
            let (key, number) = {
                let mut ledger = self.ledger.lock().unwrap();
                let turn = ledger.last;
                let again = if turn.is_multiple_of(2) { turn % 16 } else { turn };
                let key = format!("{} {writer} {again}", device.name);
                let number = ledger.begin([key.clone()]);
                (key, number)
            };
            if !put(&key, number) {
                return true;
            }
            self.ledger.lock().unwrap().acknowledge([key], number);
        }
        false
    }

    /// A program that keeps the control socket of the device.
    fn program(&self, device: &Device, number: usize) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let endpoint = Endpoint::for_store(&self.shell.path(device.store)).unwrap();
        let client = runtime.block_on(Client::connect(&endpoint)).unwrap().expect("the device runs");
        let mut session = Session::Remote(client);
        self.write(device, &format!("program {number}"), |key, number| {
            let request = Request::Put {
                place: Place { space: None, collection: "notes".into() },
                document: Some(DocumentName::Key(key.to_owned())),
                fields: vec![
                    ("key".to_owned(), Typed::String(key.to_owned())),
                    ("number".to_owned(), Typed::Int(number as i64)),
                ],
                replace: false,
            };
            runtime.block_on(session.ask::<WrittenItem>(request)).is_ok()
        })
    }

    /// One `farshore put`; says whether it reported that the document is written.
    fn put(&self, device: &Device, key: &str, number: u64) -> bool {
        let mut command = self.shell.command(device.store);
        command.args(["put", "notes", "--key", key, &format!("key={key}"), &format!("number:={number}")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            // Of a device that was not killed, an answer is due.
            if device.over.load(Ordering::SeqCst) && !device.is_up() {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        said.lines().last() == Some(r#"{"done":{}}"#)
    }

    /// One `farshore import` of the same rows with a new number; says whether the device went away in the middle of it.
    fn import(&self, device: &Device) -> bool {
        let keys: Vec<String> = (0..ROWS).map(|row| format!("{} row {row}", device.name)).collect();
        let number = self.ledger.lock().unwrap().begin(keys.clone());
        let mut rows = String::new();
        for key in &keys {
            writeln!(rows, "{}", json!({ "key": key, "number": number, "body": "row ".repeat(40) })).unwrap();
        }
        std::fs::write(self.shell.path("rows.ndjson"), rows).unwrap();
        let output = self.shell.output(device.store, &["import", "notes", "rows.ndjson", "--key", "key"]);
        let said = String::from_utf8(output.stdout).unwrap();
        let said: Value = serde_json::from_str(said.lines().next().expect("an import says how it went")).unwrap();
        let (durable, cut_off) = match &said["item"]["imported"] {
            Value::Number(rows) => (rows.as_u64().unwrap() as usize, false),
            _ => (known_to_be_stored(said["error"]["message"].as_str().unwrap()), true),
        };
        assert!(if cut_off { durable < ROWS } else { durable == ROWS }, "{said}");
        self.ledger.lock().unwrap().acknowledge(keys.into_iter().take(durable), number);
        cut_off
    }

    /// The number of the import that wrote the first row last.
    fn first_row(&self, device: &Device) -> Option<u64> {
        let key = format!("{} row 0", device.name);
        let said =
            String::from_utf8(self.shell.output(device.store, &["get", "notes", &key, "number"]).stdout).unwrap();
        let said: Value = serde_json::from_str(said.lines().next()?).unwrap();
        said["item"]["value"].as_u64()
    }

    /// Kills these devices at that moment of the load; says of each whether it left something undone.
    fn kill_under_load(&self, victims: &[&Device], importing: bool, moment: Duration) -> Vec<bool> {
        let before = self.ledger.lock().unwrap().last;
        let [ada, _] = &self.devices;
        self.devices.iter().for_each(|device| device.over.store(false, Ordering::SeqCst));
        std::thread::scope(|scope| {
            let enough = Enough(&self.devices);
            let writers = self.devices.each_ref().map(|device| {
                let command = move || self.write(device, "command", |key, number| self.put(device, key, number));
                let mut writers = vec![scope.spawn(command)];
                writers.extend((0..PROGRAMS).map(|program| scope.spawn(move || self.program(device, program))));
                writers
            });
            let import = importing.then(|| {
                let import = scope.spawn(|| self.import(ada));
                // A command that finds no device opens the store itself: this one has found it.
                until("the import's first row", || self.first_row(ada) > Some(before));
                import
            });
            std::thread::sleep(moment);
            victims.iter().for_each(|victim| victim.kill());
            drop(enough);
            let cut_off = import.is_some_and(|import| import.join().unwrap());
            let unanswered = writers.map(|writers| writers.into_iter().any(|writer| writer.join().unwrap()));
            for (device, unanswered) in self.devices.iter().zip(unanswered) {
                assert!(!device.is_up() || !unanswered, "{} runs, and did not answer", device.name);
            }
            assert!(!ada.is_up() || !cut_off, "Ada runs, and did not finish the import");
            let undone = [cut_off || unanswered[0], unanswered[1]];
            victims.iter().map(|victim| undone[usize::from(victim.name != ada.name)]).collect()
        })
    }

    /// The killed store, before anything else opens it; says whether it lacked something that the other had acknowledged.
    fn verify(&self, victim: &Device) -> bool {
        let checked = self.shell.item(victim.store, &["check"]); // must end with exit code 0
        assert_eq!((&checked["problems"], &checked["problems_left_off"]), (&json!([]), &json!(0)), "{checked}");
        let found = self.contents(victim);
        let ledger = self.ledger.lock().unwrap();
        ledger.compare("after the kill", &ledger.owed_by(victim), &found);
        ledger.acknowledged.iter().any(|(key, number)| found.get(key) < Some(number))
    }

    /// Waits until both hold the same, which must be all that was ever acknowledged.
    fn agree(&self) {
        let digests = || self.devices.each_ref().map(|device| self.shell.item(device.store, &["digest", "notes"]));
        until("agreement", || {
            let [ada, ben] = digests();
            ada == ben
        });
        let [ada, ben] = self.devices.each_ref().map(|device| self.contents(device));
        assert_eq!(ada, ben);
        let mut ledger = self.ledger.lock().unwrap();
        ledger.compare("after agreement", &ledger.acknowledged, &ada);
        ledger.agreed = ada;
    }
}

/// Of an import that stopped: "the import stopped; 2,048 of 8,000 rows are known to be stored: ...".
fn known_to_be_stored(message: &str) -> usize {
    let (counted, _) = message.split_once(" of ").unwrap_or_else(|| panic!("no count in: {message}"));
    let digits: String = counted.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no count in: {message}"))
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The moment of a kill follows from the seed and the round.
fn moment(seed: u64, round: u64) -> Duration {
    let hash = blake3::hash(format!("{seed}/{round}").as_bytes());
    let number = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap());
    Duration::from_micros(MOMENTS_US.start + number % (MOMENTS_US.end - MOMENTS_US.start))
}

#[test]
fn after_kill_9_of_the_program_its_store_is_sound_and_every_acknowledged_write_is_there_and_sync_goes_on() {
    let (kills, seed) = (environment("FARSHORE_KILLS", 6), environment("FARSHORE_KILL_SEED", 1));
    let rig = Rig::new();
    let [ada, ben] = &rig.devices;
    let choices: [&[&Device]; 3] = [&[ada], &[ben], &[ada, ben]];
    // By what was killed: how often, with a write left undone, and lacking something of the other's.
    let mut histogram: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    let mut killed = 0;
    for round in 0.. {
        if killed >= kills {
            break;
        }
        let victims = choices[(round % 3) as usize];
        let undone = rig.kill_under_load(victims, round % 2 == 0, moment(seed, round));
        for (victim, undone) in victims.iter().zip(undone) {
            let lacking = rig.verify(victim);
            let counts = histogram.entry(victim.name).or_default();
            [1, u64::from(undone), u64::from(lacking)].iter().zip(counts).for_each(|(more, count)| *count += more);
            killed += 1;
        }
        for victim in victims {
            victim.start(&rig.shell);
            let found = rig.contents(victim);
            let ledger = rig.ledger.lock().unwrap();
            ledger.compare("after the restart", &ledger.owed_by(victim), &found);
        }
        rig.agree();
    }
    for device in &rig.devices {
        assert_eq!(device.up.lock().unwrap().take().unwrap().stop(), 0);
        rig.verify(device);
    }

    let ledger = rig.ledger.lock().unwrap();
    println!(
        "{killed} kills of the program, {} writes asked for, {} documents acknowledged and there",
        ledger.last,
        ledger.acknowledged.len()
    );
    for (name, [kills, undone, lacking]) in &histogram {
        println!("  {name}: {kills}, {undone} in a write, {lacking} before it had all of the other's");
    }
    let busy: u64 = histogram.values().map(|[_, undone, _]| undone).sum();
    assert!(busy * 10 >= killed * 9, "only {busy} of {killed} kills landed in a write");
}
