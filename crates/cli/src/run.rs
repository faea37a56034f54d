//! One run of the program: from its arguments to its exit code.

use crate::args::CommandLine;
use crate::commands;
use crate::control::{Request, Session};
use crate::demo::{self, proxy};
use crate::device::{self, Network};
use crate::exit::{Exit, Failure};
use crate::print::{Color, Printer, Voice};
use crate::settings::{Settings, Task};
use clap::Parser as _;
use futures::FutureExt as _;
use std::ffi::OsString;
use std::io;
use tokio::io::BufReader;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Does what the arguments say, the program's name first, and gives the exit code.
pub fn run(arguments: Vec<OsString>) -> Exit {
    let json = arguments.iter().any(|argument| argument == "--json");
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => return answer_parser(&error, json),
    };
    let color = line.global.color;
    let early = Voice { json: line.global.json, quiet: line.global.quiet };
    let settings = match Settings::new(line, &mut io::stdin()) {
        Ok(settings) => settings,
        Err(failure) => return fail(&mut Printer::stdio(early, color), &failure),
    };
    let mut printer = Printer::stdio(settings.voice, settings.color);
    match start(&settings, &mut printer) {
        Ok(()) => Exit::Ok,
        Err(failure) => fail(&mut printer, &failure),
    }
}

fn fail(printer: &mut Printer, failure: &Failure) -> Exit {
    printer.failure(failure);
    failure.code
}

/// Help and version go to standard output and are no failure; with `--json` a wrong command line is an envelope too.
fn answer_parser(error: &clap::Error, json: bool) -> Exit {
    if error.use_stderr() && json {
        let text = error.to_string();
        let failure = Failure::usage(text.trim_start_matches("error: ").trim_end());
        return fail(&mut Printer::stdio(Voice { json, quiet: false }, Color::Never), &failure);
    }
    let _ = error.print(); // there is nowhere left to complain
    if error.use_stderr() { Exit::Usage } else { Exit::Ok }
}

fn start(settings: &Settings, printer: &mut Printer) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| {
        Failure::usage(format!("the log filter {:?} cannot be understood: {error}", settings.log))
            .remedy("write --log farshore=debug,warn, for example")
    })?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(anstream::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("start the threads of the program", &error))?;
    let done = runtime.block_on(perform(settings, printer));
    // A thread that waits for standard input would hold the program up.
    runtime.shutdown_background();
    done.and_then(|()| printer.flush())
}

async fn perform(settings: &Settings, printer: &mut Printer) -> Result<(), Failure> {
    let stopped = stop_signals()?;
    if let Task::Up(up) = &settings.task {
        return device::up(settings, up, stopped, printer).await;
    }
    tokio::select! {
        done = task(settings, printer) => done,
        () = stopped => Err(Failure::new(Exit::Interrupted, "interrupted")),
    }
}

/// Ready at Ctrl-C, and at what `kill` and service managers send.
fn stop_signals() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error: io::Error| Failure::io("listen for signals", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn task(settings: &Settings, printer: &mut Printer) -> Result<(), Failure> {
    match &settings.task {
        Task::Ask(_) | Task::Invite { .. } | Task::List { .. } | Task::Export(_) => {
            let mut session = device::session(settings, network(&settings.task)).await?;
            let done = with_session(&settings.task, &mut session, printer).await;
            session.close().await;
            done
        }
        Task::Import(import) => {
            commands::import(import, device::session(settings, Network::Off).boxed(), printer).await
        }
        Task::DemoProxy(proxy) => {
            proxy::run(proxy.listen, proxy.to, BufReader::new(tokio::io::stdin()), tokio::io::stdout()).await
        }
        Task::Init { name } => device::init(settings, name, printer).await,
        Task::Check => device::check(settings, printer).await,
        Task::Demo { keep, documents } => demo::run(keep.as_deref(), *documents, printer).await,
        Task::Up(_) => Ok(()), // it has its own way to end, above
    }
}

/// Whether a task needs peers where no device runs: to join, and to write a ticket that tells where this device will be.
fn network(task: &Task) -> Network {
    match task {
        Task::Invite { .. } | Task::Ask(Request::Join { .. }) => Network::On,
        _ => Network::Off,
    }
}

async fn with_session(task: &Task, session: &mut Session, printer: &mut Printer) -> Result<(), Failure> {
    match task {
        Task::Ask(request) => commands::ask(request.clone(), session, printer).await,
        Task::Invite { request, qr } => commands::invite(request.clone(), *qr, session, printer).await,
        Task::List { request, columns } => commands::list(request.clone(), columns, session, printer).await,
        Task::Export(export) => commands::export(export, session, printer).await,
        _ => Ok(()), // only those above need a session
    }
}
