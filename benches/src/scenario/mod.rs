//! What scenarios have to work with, and the loop over engines, cases and runs.

mod live;
mod local;
mod neighbours;
mod paper;
mod sync;

use std::path::{Path, PathBuf};
use std::process;

use farshore_bench_device::{Answer, Command, Traffic, Usage};

use crate::args::Scenario;
use crate::child::{Child, Engine};
use crate::record::{Record, Values, print};

/// How long nothing may pass before a link counts as silent: far above a commit, on a busy machine too. Pings do not count.
const QUIET_MS: u64 = 1_000;

/// A scenario: which cases it has, and what one run of one case is. Some give several runs at one setting up.
struct Plan {
    name: &'static str,
    /// What is varied, unless told otherwise.
    cases: &'static [u32],
    /// The cases that samod is put to: larger ones it does not finish.
    samod: &'static [u32],
    run: fn(&Lab<'_>, u32, u32) -> Result<Vec<Values>, String>,
    /// Whether one call gives all runs.
    repeats: bool,
    /// Whether flushes can be counted.
    flushes: bool,
}

const PLANS: &[Plan] = &[
    Plan {
        name: "p1",
        cases: &[1_000, 4_000, 10_000, 20_000, 50_000, 100_000],
        samod: &[1_000, 4_000],
        run: sync::first_sync,
        repeats: false,
        flushes: true,
    },
    Plan {
        name: "p2",
        cases: &[1_000, 10_000, 100_000],
        samod: &[1_000],
        run: sync::unchanged,
        repeats: true,
        flushes: true,
    },
    Plan {
        name: "p3",
        cases: &[1_000, 10_000, 100_000],
        samod: &[1_000],
        run: sync::ten_changed,
        repeats: true,
        flushes: true,
    },
    Plan { name: "p4", cases: &[1, 1_000, 100_000], samod: &[1, 1_000], run: live::edit, repeats: true, flushes: true },
    Plan { name: "p5", cases: &[100_000], samod: &[100_000], run: live::large_text, repeats: true, flushes: true },
    Plan { name: "p6", cases: &[1, 1_000], samod: &[1, 1_000], run: live::streaming, repeats: false, flushes: true },
    Plan { name: "p7", cases: &[20_000], samod: &[], run: local::writes, repeats: false, flushes: true },
    Plan { name: "p8", cases: &[100_000], samod: &[], run: local::open, repeats: true, flushes: false },
    Plan { name: "p12", cases: &[1_000, 100_000], samod: &[1_000], run: local::size, repeats: false, flushes: false },
    Plan {
        name: "neighbours",
        cases: &[20_000],
        samod: &[],
        run: neighbours::disturbed,
        repeats: true,
        flushes: false,
    },
    Plan { name: "paper", cases: &[6_000], samod: &[], run: paper::typed, repeats: false, flushes: false },
];

/// Where one run of a scenario happens.
struct Lab<'a> {
    engine: &'a Engine,
    options: &'a Scenario,
    directory: tempfile::TempDir,
}

/// Runs scenarios, and prints what they gave.
pub(crate) fn run(names: &[&str], options: &Scenario) -> Result<(), String> {
    let engines = engines(options)?;
    let parent = options.directory.clone().unwrap_or_else(std::env::temp_dir);
    if in_memory(&parent) {
        return Err(format!("{} is in memory: name a directory on a disk with --directory", parent.display()));
    }
    let mut records = Vec::new();
    for plan in PLANS.iter().filter(|plan| names.contains(&plan.name) && (plan.flushes || !options.flushes)) {
        let cases = if options.documents.is_empty() { plan.cases } else { &options.documents };
        for case in cases {
            for call in 1..=(if plan.repeats { 1 } else { options.runs }) {
                for engine in &engines {
                    if engine.name != "farshore" && options.documents.is_empty() && !plan.samod.contains(case) {
                        continue;
                    }
                    let directory = tempfile::Builder::new().prefix("farshore-bench-").tempdir_in(&parent);
                    let directory = directory.map_err(|error| format!("{}: {error}", parent.display()))?;
                    let lab = Lab { engine, options, directory };
                    let runs = (plan.run)(&lab, *case, options.runs)
                        .map_err(|why| format!("{} {case} {}: {why}", plan.name, engine.name))?;
                    for (values, run) in runs.into_iter().zip(call..) {
                        let record = record(plan.name, engine, *case, run, options, values);
                        eprintln!("{}", line(&record));
                        if options.json {
                            println!("{}", serde_json::to_string(&record).map_err(|error| error.to_string())?);
                        }
                        records.push(record);
                    }
                }
            }
        }
    }
    if !options.json {
        print(&records);
    }
    Ok(())
}

fn engines(options: &Scenario) -> Result<Vec<Engine>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut engines = Vec::new();
    if !options.only_samod {
        engines.push(Engine { name: "farshore", program: own, arguments: vec!["device".into()] });
    }
    if let Some(program) = &options.samod {
        engines.push(Engine { name: "samod", program: program.clone(), arguments: Vec::new() });
    }
    Ok(engines)
}

/// Whether files there never reach a disk.
fn in_memory(directory: &Path) -> bool {
    let Ok(path) = directory.canonicalize() else { return false };
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((PathBuf::from(words.next()?), words.next()?.to_owned()))
    });
    let holds = mounted.filter(|(at, _)| path.starts_with(at)).max_by_key(|(at, _)| at.as_os_str().len());
    holds.is_some_and(|(_, kind)| kind == "tmpfs" || kind == "ramfs")
}

fn record(scenario: &str, engine: &Engine, case: u32, run: u32, options: &Scenario, values: Values) -> Record {
    Record {
        scenario: scenario.to_owned(),
        engine: engine.name.to_owned(),
        case,
        run,
        network: options.network.clone(),
        flushes: options.flushes,
        commit: git_commit(),
        machine: machine(),
        values,
    }
}

fn line(record: &Record) -> String {
    let values: Vec<String> = record.values.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
    format!("{} {} {} run {}: {}", record.scenario, record.case, record.engine, record.run, values.join(", "))
}

/// The commit, with a mark when something is not committed.
fn git_commit() -> String {
    let git = process::Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]).output();
    git.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default().trim().to_owned()
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {}", model.unwrap_or(std::env::consts::ARCH))
}

/// Two devices that share documents and are connected.
struct Pair {
    ada: Child,
    ben: Child,
}

/// What both devices had cost at some moment.
#[derive(Clone, Copy)]
struct Mark {
    ada: Usage,
    ben: Usage,
    flushes: Option<(u64, u64)>,
}

impl Lab<'_> {
    fn path(&self, device: &str) -> PathBuf {
        self.directory.path().join(device)
    }

    /// Starts a device process. Its store is `device`'s, fresh or not.
    fn device(&self, device: &str) -> Result<Child, String> {
        let path = self.path(device);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let flushes = self.options.flushes.then(|| self.directory.path().join(format!("{device}.strace")));
        Child::start(self.engine, flushes)
    }

    /// Starts a device and opens its store; says how long opening took, to the first read if one is asked for, in milliseconds.
    fn open(&self, device: &str, network: bool, read: Option<String>) -> Result<(Child, f64), String> {
        let mut child = self.device(device)?;
        let network = network.then(|| self.options.network.clone());
        match child.call(Command::Open { path: self.path(device), network, read })? {
            Answer::Opened { began_ns, open_ns, read_ns } => {
                Ok((child, ms(read_ns.unwrap_or(open_ns).saturating_sub(began_ns))))
            }
            other => Err(crate::child::unexpected(&other)),
        }
    }

    fn pair(&self) -> Result<Pair, String> {
        let (mut ada, _) = self.open("ada", true, None)?;
        let (mut ben, _) = self.open("ben", true, None)?;
        ada.done(Command::Found)?;
        let ticket = ada.text(Command::Invite)?;
        ben.done(Command::Join(ticket))?;
        Ok(Pair { ada, ben })
    }

    /// A pair in which both hold these documents, and nothing passes any more.
    fn filled_pair(&self, documents: u32) -> Result<(Pair, Vec<String>), String> {
        let mut pair = self.pair()?;
        let (ids, _) = pair.ada.documents(Command::Fill { from: 0, count: documents })?;
        pair.ben.done(Command::Await(ids.clone()))?;
        pair.settle()?;
        Ok((pair, ids))
    }
}

impl Pair {
    fn settle(&mut self) -> Result<(), String> {
        self.ada.done(Command::Settle { quiet_ms: QUIET_MS })?;
        self.ben.done(Command::Settle { quiet_ms: QUIET_MS })
    }

    fn mark(&mut self) -> Result<Mark, String> {
        let flushes = self.ada.flushes().zip(self.ben.flushes());
        Ok(Mark { ada: self.ada.usage()?, ben: self.ben.usage()?, flushes })
    }

    fn close(self) -> Result<(), String> {
        self.ben.close()?;
        self.ada.close()
    }
}

impl Mark {
    /// What both cost from then to now. Traffic is counted at Ada's end: hers stays up when Ben's is closed.
    fn spent(&self, since: &Mark) -> Values {
        let cpu = |now: Usage, then: Usage| ms(now.cpu_ns - then.cpu_ns);
        let traffic = traffic(self.ada.traffic, since.ada.traffic);
        let mut values = values([
            ("ada_cpu_ms", cpu(self.ada, since.ada)),
            ("ben_cpu_ms", cpu(self.ben, since.ben)),
            ("cpu_ms", cpu(self.ada, since.ada) + cpu(self.ben, since.ben)),
            ("from_ada_bytes", traffic.sent_bytes as f64),
            ("from_ben_bytes", traffic.received_bytes as f64),
            ("bytes", (traffic.sent_bytes + traffic.received_bytes) as f64),
            ("frames", (traffic.sent_frames + traffic.received_frames) as f64),
            ("ada_peak_mib", mib(self.ada.peak_bytes)),
            ("ben_peak_mib", mib(self.ben.peak_bytes)),
        ]);
        if let (Some((ada, ben)), Some((ada_then, ben_then))) = (self.flushes, since.flushes) {
            values.insert("ada_flushes".into(), (ada - ada_then) as f64);
            values.insert("ben_flushes".into(), (ben - ben_then) as f64);
        }
        values
    }
}

fn traffic(now: Traffic, then: Traffic) -> Traffic {
    Traffic {
        sent_frames: now.sent_frames - then.sent_frames,
        sent_bytes: now.sent_bytes - then.sent_bytes,
        received_frames: now.received_frames - then.received_frames,
        received_bytes: now.received_bytes - then.received_bytes,
    }
}

fn values<const N: usize>(of: [(&str, f64); N]) -> Values {
    of.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
