//! One run of the program: from its arguments to its exit code.

use crate::args::CommandLine;
use crate::commands;
use crate::demo::proxy;
use crate::device;
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
        Task::Ask(request) => commands::ask(request.clone(), &mut device::session(settings).await?, printer).await,
        Task::Invite { request, qr } => {
            commands::invite(request.clone(), *qr, &mut device::session(settings).await?, printer).await
        }
        Task::List { request, columns } => {
            commands::list(request.clone(), columns, &mut device::session(settings).await?, printer).await
        }
        Task::Export(export) => commands::export(export, &mut device::session(settings).await?, printer).await,
        Task::Import(import) => commands::import(import, device::session(settings).boxed(), printer).await,
        Task::DemoProxy(proxy) => {
            proxy::run(proxy.listen, proxy.to, BufReader::new(tokio::io::stdin()), tokio::io::stdout()).await
        }
        // LEAD: init, and the demo's scenario over `device`, `demo::proxy` and `demo::airports`.
        Task::Up(_) | Task::Init { .. } | Task::Demo { .. } => device::open(settings, None).await.map(|_| ()),
    }
}
