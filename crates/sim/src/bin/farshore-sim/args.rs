//! What can be typed.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use farshore_sim::plan::Profile;
use farshore_sim::run::{Medium, Options, Share};

/// A world of Farshore devices from one seed: the real core and the real store, in virtual time, with everything going wrong.
#[derive(Debug, Parser)]
#[command(
    name = "farshore-sim",
    version,
    max_term_width = 110,
    after_help = "Run a thousand seeds and keep a record, so that it can be stopped and go on:\n  \
        farshore-sim run --seeds 0..1000 --jobs 2 --record seeds.jsonl\n\n\
        Look at one:\n  farshore-sim trace --seed 42 | less\n\n\
        Make one that fails small, and look at that:\n  farshore-sim shrink --seed 42 --out small.plan\n  \
        farshore-sim trace --plan small.plan\n\n\
        Exit codes: 0 nothing was broken; 1 something was, or a range did not cover what it must; 2 the command line or a file \
        is wrong."
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run seeds, and say what was broken and which faults fired
    #[command(after_help = "Example:\n  farshore-sim run --seeds 0..1000 --jobs 2 --record seeds.jsonl\n  \
        farshore-sim run --seed 42 --profile byzantine")]
    Run(Run),
    /// Show one run as a timeline, or write its plan and trace hash to a file
    #[command(
        after_help = "Example:\n  farshore-sim trace --seed 42 | less\n  farshore-sim trace --seed 42 --out 42.plan"
    )]
    Trace(Trace),
    /// Run a file of `trace --out` or `shrink` again, and compare the trace hash if it holds one
    #[command(after_help = "Example:\n  farshore-sim replay small.plan")]
    Replay(Replay),
    /// Find a small plan that still breaks the same guarantee
    #[command(after_help = "Example:\n  farshore-sim shrink --seed 42 --out small.plan")]
    Shrink(Shrink),
    /// Cut the power after every disk operation of small workloads
    #[command(after_help = "Example:\n  farshore-sim powercuts --workloads 0..2")]
    Powercuts(Powercuts),
    /// Sum up the records of the long counts, over all commits, in a table and in a small file
    Counts(Counts),
    /// Name every kind of fault
    ListFaults,
    /// Name every oracle, and what it promises
    ListOracles,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// One seed
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// From the first seed up to the second, which is left out, as in 0..1000
    #[arg(long, value_parser = range, default_value = "0..100")]
    pub(crate) seeds: std::ops::Range<u64>,
    #[command(flatten)]
    pub(crate) long: Long,
    /// One JSON line for each seed, and one for the summary
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The seed
    #[arg(long, required_unless_present = "plan", conflicts_with = "plan")]
    pub(crate) seed: Option<u64>,
    /// A plan from a file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Write the plan and the trace hash here instead of showing a timeline
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write what users did in this run as explicit edits, instead of the dice by which they chose it
    #[arg(long, requires = "out")]
    pub(crate) explicit: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The file
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Shrink {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Where to write the small plan
    #[arg(long, value_name = "FILE", default_value = "small.plan")]
    pub(crate) out: PathBuf,
    /// Run at most so many plans
    #[arg(long, default_value_t = 2_000)]
    pub(crate) runs: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Powercuts {
    /// Which workloads, by seed
    #[arg(long, value_parser = range, default_value = "0..50")]
    pub(crate) workloads: std::ops::Range<u64>,
    #[command(flatten)]
    pub(crate) long: Long,
}

/// How a long count is run: in slices, and as far as it comes.
#[derive(Debug, Args)]
pub(crate) struct Long {
    /// How many to run at a time
    #[arg(long, default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Append one line for each seed to this file, and leave out seeds that it holds, whatever commit they ran on; those that
    /// were broken on other sources run again
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Begin no more seeds after this many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) for_s: Option<u64>,
    /// The commit that the record names
    #[arg(long, default_value = "", requires = "record")]
    pub(crate) commit: String,
    /// A hash of the sources that the record names
    #[arg(long, default_value = "", requires = "record")]
    pub(crate) sources: String,
}

#[derive(Debug, Args)]
pub(crate) struct Counts {
    /// Where the records are: seeds.jsonl, byzantine.jsonl and powercuts.jsonl
    #[arg(long, value_name = "DIRECTORY", default_value = ".prove")]
    pub(crate) dir: PathBuf,
    /// A document with the marks `<!-- counts -->` and `<!-- end of counts -->`: the table goes between them
    #[arg(long, value_name = "FILE", default_value = "docs/simulator.md")]
    pub(crate) into: PathBuf,
    /// What ran on which sources, one line each
    #[arg(long, value_name = "FILE", default_value = "docs/simulator-counts.tsv")]
    pub(crate) out: PathBuf,
}

/// How plans are drawn and run.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct How {
    /// What kind of runs to draw
    #[arg(long, default_value = "mixed", value_parser = profiles())]
    pub(crate) profile: Profile,
    /// What devices keep their data on
    #[arg(long, value_enum, default_value_t = Store::Disk)]
    pub(crate) store: Store,
    /// Check each signature on each device, instead of once for all
    #[arg(long)]
    pub(crate) verify_all: bool,
    /// Do on each device all of its own work, instead of finding out once what an entry holds and makes of a document
    #[arg(long)]
    pub(crate) share_nothing: bool,
    /// Do every commit of every disk as it comes, instead of putting those off that nobody looks at
    #[arg(long)]
    pub(crate) every_commit: bool,
    /// Do everything on one thread, also where a core is free
    #[arg(long)]
    pub(crate) one_thread: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// The real store on a disk in memory
    Disk,
    /// Maps: faster, without the store
    Memory,
}

impl How {
    /// Of one of `jobs` runs at a time.
    pub(crate) fn options(self, keep: bool, jobs: usize) -> Options {
        let medium = match self.store {
            Store::Disk => Medium::Disk,
            Store::Memory => Medium::Memory,
        };
        let share = match (self.share_nothing, self.verify_all) {
            (true, _) => Share::Nothing,
            (false, true) => Share::Work,
            (false, false) => Share::Checks,
        };
        let second_thread = !self.one_thread && 2 * jobs <= cores();
        Options { medium, share, every_commit: self.every_commit, second_thread, keep, record_disk: None }
    }

    /// What else a person must type to repeat a seed.
    pub(crate) fn typed(self) -> String {
        let mut text = String::new();
        if self.profile != Profile::Mixed {
            text.push_str(&format!(" --profile {}", self.profile));
        }
        if self.store == Store::Memory {
            text.push_str(" --store memory");
        }
        if self.every_commit {
            text.push_str(" --every-commit");
        }
        text
    }
}

/// How many threads the machine runs at a time; 1 where it does not say.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Every profile by its name, each with what it is.
fn profiles() -> impl TypedValueParser<Value = Profile> {
    let values = Profile::ALL.map(|profile| PossibleValue::new(profile.name()).help(profile.describe()));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Profile>())
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("give two numbers, as in 0..1000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("`{text}`: {error}"));
    let (from, to) = (number(from)?, number(to)?);
    if from >= to { Err("the second number must be larger than the first".into()) } else { Ok(from..to) }
}
