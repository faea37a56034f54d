//! A device process, as its driver sees it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use farshore_bench_device::{Answer, Command, Usage};

/// A device that has not answered for this long will not: the longest honest answers are samod's sync of 4,000 documents, and 6,000
/// keystrokes at ten a second.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// An engine: what its device processes are.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

/// A running device. Killed when dropped.
pub(crate) struct Child {
    process: process::Child,
    input: process::ChildStdin,
    answers: Receiver<String>,
    /// Where strace writes what it sees.
    flushes: Option<PathBuf>,
}

impl Child {
    /// Starts one; with `flushes`, under strace.
    pub(crate) fn start(engine: &Engine, flushes: Option<PathBuf>) -> Result<Child, String> {
        let mut command = match &flushes {
            None => process::Command::new(&engine.program),
            Some(file) => {
                let mut command = process::Command::new("strace");
                command.args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o"]);
                command.arg(file).arg(&engine.program);
                command
            }
        };
        command.args(&engine.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = command.spawn();
        let mut process = started.map_err(|error| format!("cannot start {}: {error}", engine.program.display()))?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let (lines, answers) = channel();
        let reader = std::thread::Builder::new().name("answers".into()).spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        reader.map_err(|error| format!("no thread: {error}"))?;
        Ok(Child { process, input, answers, flushes })
    }

    /// Asks; the answer is taken later.
    pub(crate) fn ask(&mut self, command: &Command) -> Result<(), String> {
        let mut line = serde_json::to_string(command).map_err(|error| error.to_string())?;
        line.push('\n');
        self.input.write_all(line.as_bytes()).map_err(|error| format!("the device is gone: {error}"))
    }

    pub(crate) fn answer(&mut self) -> Result<Answer, String> {
        let line = self.answers.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no answer within {} s", PATIENCE.as_secs()),
            RecvTimeoutError::Disconnected => "the device ended without an answer".to_owned(),
        })?;
        match serde_json::from_str(&line).map_err(|error| format!("not an answer: {error}"))? {
            Answer::Failed(why) => Err(why),
            answer => Ok(answer),
        }
    }

    pub(crate) fn call(&mut self, command: Command) -> Result<Answer, String> {
        self.ask(&command)?;
        self.answer().map_err(|why| {
            let command = format!("{command:?}");
            format!("{}: {why}", command.split([' ', '(', '{']).next().unwrap_or_default())
        })
    }

    pub(crate) fn done(&mut self, command: Command) -> Result<(), String> {
        self.call(command).map(|_| ())
    }

    pub(crate) fn at(&mut self, command: Command) -> Result<u64, String> {
        match self.call(command)? {
            Answer::At(at_ns) => Ok(at_ns),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn text(&mut self, command: Command) -> Result<String, String> {
        match self.call(command)? {
            Answer::Text(text) => Ok(text),
            other => Err(unexpected(&other)),
        }
    }

    /// Ids, and how long it took in nanoseconds.
    pub(crate) fn documents(&mut self, command: Command) -> Result<(Vec<String>, u64), String> {
        written(self.call(command)?)
    }

    /// The same, of a command that was asked before.
    pub(crate) fn written(&mut self) -> Result<(Vec<String>, u64), String> {
        written(self.answer()?)
    }

    /// Sends the process a signal by its name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) -> Result<(), String> {
        let status = process::Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("kill -s {name}: {status}")),
            Err(error) => Err(format!("kill -s {name}: {error}")),
        }
    }

    pub(crate) fn times(&mut self) -> Result<Vec<u64>, String> {
        match self.answer()? {
            Answer::Times(times) => Ok(times),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn usage(&mut self) -> Result<Usage, String> {
        match self.call(Command::Usage)? {
            Answer::Usage(usage) => Ok(usage),
            other => Err(unexpected(&other)),
        }
    }

    /// Disk flushes so far; none unless strace counts them.
    pub(crate) fn flushes(&self) -> Option<u64> {
        let seen = std::fs::read_to_string(self.flushes.as_ref()?).unwrap_or_default();
        Some(seen.lines().filter(|line| line.contains("sync") && !line.contains("resumed>")).count() as u64)
    }

    /// Closes the store in order and waits for the process.
    pub(crate) fn close(mut self) -> Result<(), String> {
        self.done(Command::Close)?;
        self.process.wait().map(|_| ()).map_err(|error| error.to_string())
    }

    /// Ends the process at once, as a crash does.
    pub(crate) fn kill(mut self) -> Result<(), String> {
        self.process.kill().and_then(|()| self.process.wait()).map(|_| ()).map_err(|error| error.to_string())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn written(answer: Answer) -> Result<(Vec<String>, u64), String> {
    match answer {
        Answer::Documents { ids, began_ns, done_ns } => Ok((ids, done_ns - began_ns)),
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn unexpected(answer: &Answer) -> String {
    let mut text = format!("{answer:?}");
    text.truncate(80);
    format!("an unexpected answer: {text}")
}

/// Bytes that a file, or everything in a directory, takes on the medium.
pub(crate) fn medium_bytes(path: &Path) -> u64 {
    #[cfg(unix)]
    fn held(metadata: &std::fs::Metadata) -> u64 {
        std::os::unix::fs::MetadataExt::blocks(metadata) * 512
    }
    #[cfg(not(unix))]
    fn held(metadata: &std::fs::Metadata) -> u64 {
        metadata.len()
    }
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
    held(&metadata) + inside.map(|entry| medium_bytes(&entry.path())).sum::<u64>()
}
