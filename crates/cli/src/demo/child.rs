//! A device of the demo: a child process that runs `farshore up`, reached over its control socket as any command would.

use crate::control::{Client, Endpoint, Reply, Request, Session, UpItem, decode};
use crate::exit::{Exit, Failure};
use crate::limits::DEMO_PATIENCE;
use serde::de::DeserializeOwned;
use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A device: its directory, and its process while it runs.
pub(super) struct Device {
    pub(super) name: &'static str,
    directory: PathBuf,
    /// Where the others are told to find it: the proxy in front of it.
    front: SocketAddr,
    process: Option<Child>,
    session: Option<Session>,
    pub(super) pid: u32,
    pub(super) listening: SocketAddr,
}

impl Device {
    /// Creates the device's store in a directory of its own, and starts it.
    pub(super) async fn create(name: &'static str, base: &Path, front: SocketAddr) -> Result<Device, Failure> {
        let directory = base.join(name.to_lowercase());
        std::fs::create_dir(&directory)
            .map_err(|error| Failure::io(format_args!("create {}", directory.display()), &error))?;
        let mut device = Device { name, directory, front, process: None, session: None, pid: 0, listening: front };
        let mut init = device.command()?;
        init.args(["init", "--name", name]).stdout(Stdio::null());
        let status = blocking(move || init.status()).await;
        let status = status.map_err(|error| Failure::io(format_args!("start {name}"), &error))?;
        if !status.success() {
            return Err(device.broken("its store could not be created"));
        }
        device.start().await?;
        Ok(device)
    }

    fn store(&self) -> PathBuf {
        self.directory.join("store.fsh")
    }

    fn command(&self) -> Result<Command, Failure> {
        let program =
            std::env::current_exe().map_err(|error| Failure::io("find the program that is running", &error))?;
        let log = self.directory.join("log");
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file = file.map_err(|error| Failure::io(format_args!("write {}", log.display()), &error))?;
        let mut command = Command::new(program);
        command.arg("--store").arg(self.store()).args(["--json", "--color", "never", "--log", "farshore=info,warn"]);
        command.stdin(Stdio::null()).stderr(file);
        command.env_remove("FARSHORE_STORE").env_remove("FARSHORE_LOG");
        Ok(command)
    }

    /// Starts the process and waits until it answers.
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        let front = format!("/ip4/{}/tcp/{}", self.front.ip(), self.front.port());
        let mut command = self.command()?;
        command.args(["up", "--listen", "127.0.0.1:0", "--no-mdns", "--no-quic", "--announce", &front]);
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::io(format_args!("start {}", self.name), &error))?;
        let stdout = child.stdout.take().ok_or_else(|| self.broken("it has no output"))?;
        self.process = Some(child);
        let first = blocking(move || BufReader::new(stdout).lines().next().transpose());
        let first = tokio::time::timeout(DEMO_PATIENCE, first).await;
        let first = first.map_err(|_| self.broken("it did not start in time"))?;
        let line = first.ok().flatten().ok_or_else(|| self.broken("it ended at once"))?;
        let up: UpItem = match serde_json::from_str(&line) {
            Ok(Reply::Item(item)) => decode(item)?,
            Ok(Reply::Error(failure)) => return Err(failure),
            _ => return Err(self.broken("it said something else than that it runs")),
        };
        self.pid = up.pid;
        let address = up.listening.iter().find_map(|address| socket_address(address));
        self.listening = address.ok_or_else(|| self.broken("it listens at no address"))?;
        let client = Client::connect(&Endpoint::for_store(&self.store())?).await?;
        self.session = Some(Session::Remote(client.ok_or_else(|| self.broken("its control socket is gone"))?));
        Ok(())
    }

    /// Ends the process with SIGKILL: it gets no chance to finish anything.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        self.session = None;
        if let Some(mut child) = self.process.take() {
            child.kill().map_err(|error| Failure::io(format_args!("kill {}", self.name), &error))?;
            let ended = blocking(move || child.wait()).await;
            ended.map_err(|error| Failure::io(format_args!("wait for {}", self.name), &error))?;
        }
        Ok(())
    }

    /// Ends the process in order, so that a store that is kept was closed well.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        self.session = None;
        let Some(mut child) = self.process.take() else { return Ok(()) };
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM); // it may have ended already
        }
        let ended = blocking(move || child.wait());
        match tokio::time::timeout(DEMO_PATIENCE, ended).await {
            Ok(Ok(status)) if ExitStatus::success(&status) => Ok(()),
            Ok(Ok(status)) => Err(self.broken(&format!("it ended with {status}"))),
            Ok(Err(error)) => Err(Failure::io(format_args!("wait for {}", self.name), &error)),
            Err(_) => Err(self.broken("it did not stop in time")),
        }
    }

    /// The way to the running process.
    pub(super) fn session(&mut self) -> Result<&mut Session, Failure> {
        let broken = self.broken("it does not run");
        self.session.as_mut().ok_or(broken)
    }

    /// Asks for one item.
    pub(super) async fn ask<T: DeserializeOwned>(&mut self, request: Request) -> Result<T, Failure> {
        self.session()?.ask(request).await
    }

    /// Asks for all items.
    pub(super) async fn ask_all<T: DeserializeOwned>(&mut self, request: Request) -> Result<Vec<T>, Failure> {
        let mut replies = self.session()?.request(request).await?;
        let mut items = Vec::new();
        while let Some(item) = replies.item().await? {
            items.push(item);
        }
        Ok(items)
    }

    pub(super) fn broken(&self, what: &str) -> Failure {
        let log = self.directory.join("log");
        Failure::new(Exit::General, format!("the device {}: {what}", self.name))
            .remedy(format!("with --keep DIRECTORY its log stays: {}", log.display()))
    }
}

/// Nobody is left running when the demo ends early.
impl Drop for Device {
    fn drop(&mut self) {
        if let Some(child) = &mut self.process {
            let _ = child.kill(); // it may have ended already
            let _ = child.wait();
        }
    }
}

/// Does what waits for another process on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
}

/// The IP and port of a TCP multiaddr.
fn socket_address(multiaddr: &str) -> Option<SocketAddr> {
    let mut parts = multiaddr.split('/').skip(1);
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()?) {
        ("ip4", ip, "tcp", port) => Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_tcp_addresses_are_told_to_the_proxy() {
        let address = super::socket_address("/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo");
        assert_eq!(address, Some("127.0.0.1:4001".parse().unwrap()));
        assert_eq!(super::socket_address("/ip4/127.0.0.1/udp/4001/quic-v1"), None);
    }
}
