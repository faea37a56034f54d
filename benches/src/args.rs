//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures Farshore, alone or beside another engine, in the scenarios of docs/benchmarks.md
///
/// Each device is a process of its own with a fresh store; every write is durable, everything is encrypted, and the two sides
/// talk over loopback. Progress goes to the standard error, results to the standard output.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(after_help = "Examples:
  farshore-bench p1 --documents 1000,10000 --runs 5
  farshore-bench all --json > results.jsonl && farshore-bench doc docs/benchmarks.md results.jsonl
  farshore-bench all --samod benches/peers/target/release/samod-device")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// First sync of N task documents
    P1(Scenario),
    /// Reconnect with nothing changed
    P2(Scenario),
    /// Reconnect with 10 of N documents changed
    P3(Scenario),
    /// One edit to the connected peer's watcher, beside idle documents
    P4(Scenario),
    /// An edit in a text of many changes, remote
    P5(Scenario),
    /// Streaming edits of one document
    P6(Scenario),
    /// Durable local writes
    P7(Scenario),
    /// Open a store
    P8(Scenario),
    /// Size of a store
    P12(Scenario),
    /// Edits beside a peer that stops reading and one that floods
    Neighbours(Scenario),
    /// A recorded paper typed through two nodes
    Paper(Scenario),
    /// All of them but the paper
    All(Scenario),
    /// Write the results of runs into the table of a document
    Doc {
        /// The document; what stands between its markers is replaced
        document: PathBuf,
        /// Files of results, as `--json` prints them
        #[arg(required = true)]
        results: Vec<PathBuf>,
    },
    /// Be a device (what this program starts itself as)
    #[command(hide = true)]
    Device,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Scenario {
    /// How many documents, instead of the scenario's own numbers; for P5, how many changes
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(crate) documents: Vec<u32>,
    /// How often each case is run; the table shows medians
    #[arg(long, default_value_t = 5, value_name = "TIMES")]
    pub(crate) runs: u32,
    /// Print one line of JSON for each run instead of medians
    #[arg(long)]
    pub(crate) json: bool,
    /// Run samod too, in turns, with this device program (see benches/run)
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) samod: Option<PathBuf>,
    /// Leave Farshore out
    #[arg(long, requires = "samod")]
    pub(crate) only_samod: bool,
    /// Count disk flushes with strace, which must be installed; times of such runs are left out of the table
    #[arg(long)]
    pub(crate) flushes: bool,
    /// Where the stores are made; the system's directory for temporary files must not be in memory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
    /// What the nodes talk over: tcp or quic (samod: always TCP)
    #[arg(long, default_value = "tcp", value_parser = ["tcp", "quic"])]
    pub(crate) network: String,
    /// The recorded trace of `paper`
    #[arg(long, value_name = "FILE", default_value = "../shared/data/automerge-paper.json.gz")]
    pub(crate) trace: PathBuf,
}
