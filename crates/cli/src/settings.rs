//! What is meant by what was typed: every word of the command line checked and turned into what a command works with.
//!
//! [`crate::args`] knows only how things are spelled. Here the texts become paths, values, times and requests, and a
//! wrong one is answered before anything is opened.

use crate::args::{self, Change, CommandLine, FileFormat, Global};
use crate::control::{Container, DocumentName, Edit, Place, Request};
use crate::exit::{Exit, Failure};
use crate::formats::{ColumnType, ExportOptions, Fields, Format, ImportOptions, Typed, parse_json};
use crate::limits::{FIELDS_TEXT_LIMIT_BYTES, TICKET_TEXT_LIMIT_BYTES};
use crate::path::Path;
use crate::print::{Color, Voice};
use std::io::{self, Read};
use std::path::PathBuf;

mod words;

/// Everything that one run of the program is to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store file.
    pub store: PathBuf,
    /// Whether nobody named it, so that its directory is ours to create.
    pub store_is_default: bool,
    /// How results are written.
    pub voice: Voice,
    /// When colours are used.
    pub color: Color,
    /// What is logged to standard error, as a filter of tracing-subscriber.
    pub log: String,
    /// What is to be done.
    pub task: Task,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Task {
    /// Create a store.
    Init {
        /// The device's name.
        name: String,
    },
    /// Run the device.
    Up(Up),
    /// Send a request, and show its results as they come.
    Ask(Request),
    /// Write a ticket, and show it as a QR code if asked to.
    Invite {
        /// The request.
        request: Request,
        /// Whether to show a QR code.
        qr: bool,
    },
    /// List documents as a table.
    List {
        /// The request.
        request: Request,
        /// The fields to show; all if empty.
        columns: Vec<String>,
    },
    /// Import a file.
    Import(Import),
    /// Export a collection.
    Export(Export),
    /// Verify the store.
    Check,
    /// Run the demo.
    Demo {
        /// Where to keep what it writes.
        keep: Option<PathBuf>,
        /// How many of the airports; all if left out.
        documents: Option<u64>,
    },
    /// Be the demo's proxy.
    DemoProxy(args::DemoProxy),
}

/// How the device runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// The port on every address.
    pub port: Option<u16>,
    /// Multiaddrs to listen on instead.
    pub listen: Vec<String>,
    /// Multiaddrs that members are told instead.
    pub announce: Vec<String>,
    /// Multiaddrs to dial.
    pub peers: Vec<String>,
    /// Whether to look for devices on the local network.
    pub mdns: bool,
    /// Whether to use QUIC beside TCP.
    pub quic: bool,
}

/// An import.
#[derive(Clone, Debug)]
pub struct Import {
    /// Where to.
    pub place: Place,
    /// Where from; `-` is standard input.
    pub file: PathBuf,
    /// How it is read.
    pub options: ImportOptions,
    /// Whether malformed rows are left out.
    pub skip_bad: bool,
    /// Whether nothing is stored.
    pub dry_run: bool,
}

/// An export.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where from.
    pub place: Place,
    /// Where to; `-` is standard output.
    pub file: PathBuf,
    /// How it is written.
    pub options: ExportOptions,
    /// The field that gets each document's id.
    pub with_id: Option<String>,
}

impl Settings {
    /// Checks a command line. `stdin` is read only where the command says `-` for a document or a ticket.
    ///
    /// Errors: usage, naming what cannot be understood and how it is written.
    pub fn new(line: CommandLine, stdin: &mut dyn Read) -> Result<Self, Failure> {
        let Global { store, json, quiet, verbose, log, color } = line.global;
        let log = log.unwrap_or_else(|| {
            match verbose {
                0 => "error",
                1 => "farshore=info,warn",
                2 => "farshore=debug,info",
                _ => "trace",
            }
            .to_owned()
        });
        let task = task(line.command, stdin)?;
        if let (true, Task::Export(Export { file, .. })) = (json, &task)
            && file == std::path::Path::new("-")
        {
            return Err(Failure::usage("with --json standard output is for envelopes, so the rows need a file")
                .remedy("name a file, or leave --json out and write --format ndjson"));
        }
        let store_is_default = store.is_none();
        let store = match store {
            Some(path) if path.as_os_str().is_empty() => {
                return Err(Failure::usage("--store is empty").remedy("name a file, such as --store todos.fsh"));
            }
            Some(path) => path,
            None => default_store(|name| std::env::var_os(name).map(PathBuf::from))?,
        };
        Ok(Settings { store, store_is_default, voice: Voice { json, quiet }, color, log, task })
    }
}

/// The store of who names none: `farshore/store.fsh` in the data directory that XDG defines.
fn default_store(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Failure> {
    let data = variable("XDG_DATA_HOME").filter(|path| path.is_absolute()); // XDG: relative ones are ignored
    let home = variable("HOME").filter(|path| path.is_absolute());
    let data = data.or_else(|| home.map(|home| home.join(".local/share")));
    let data = data.ok_or_else(|| {
        Failure::usage("neither XDG_DATA_HOME nor HOME is set, so there is no place for the store")
            .remedy("name it: --store todos.fsh, or FARSHORE_STORE=todos.fsh")
    })?;
    Ok(data.join("farshore/store.fsh"))
}

fn task(command: args::Command, stdin: &mut dyn Read) -> Result<Task, Failure> {
    Ok(match command {
        args::Command::Init(init) => Task::Init { name: init.name.unwrap_or_else(host_name) },
        args::Command::Up(up) => Task::Up(self::up(up)?),
        args::Command::Space(args::Space::Create { name }) => {
            Task::Ask(Request::SpaceCreate { name: words::name("space", name)? })
        }
        args::Command::Space(args::Space::List) => Task::Ask(Request::SpaceList {}),
        args::Command::Space(args::Space::Members { space }) => Task::Ask(Request::SpaceMembers { space }),
        args::Command::Collection(args::Collection::Create { name, space, field, on_delete }) => {
            Task::Ask(Request::CollectionCreate {
                space: space.space,
                name: words::name("collection", name)?,
                on_delete,
                containers: field.iter().map(|text| container(text)).collect::<Result<_, _>>()?,
            })
        }
        args::Command::Collection(args::Collection::List { space }) => {
            Task::Ask(Request::CollectionList { space: space.space })
        }
        args::Command::Invite(invite) => Task::Invite {
            request: Request::Invite {
                space: invite.space.space,
                role: invite.role,
                valid_ms: words::time_ms("--valid", &invite.valid)?,
                addresses: invite
                    .address
                    .into_iter()
                    .map(|text| words::multiaddr("--address", text))
                    .collect::<Result<_, _>>()?,
            },
            qr: invite.qr,
        },
        args::Command::Join(join) => Task::Ask(Request::Join {
            ticket: ticket(&join.ticket, stdin)?,
            wait_ms: words::time_ms("--wait", &join.wait)?,
            sync: join.sync,
        }),
        args::Command::Put(put) => Task::Ask(self::put(put, stdin)?),
        args::Command::Get(get) => Task::Ask(self::get(get)?),
        args::Command::Edit(edit) => Task::Ask(Request::Edit {
            place: place(edit.space, edit.collection),
            document: one_document(edit.document.key, edit.document.id)?,
            edits: vec![change(edit.change)?],
        }),
        args::Command::Rm(rm) => {
            let keys = rm.keys.into_iter().map(DocumentName::Key);
            let documents = keys.chain(rm.id.into_iter().map(DocumentName::Id)).collect();
            Task::Ask(Request::Remove { place: place(rm.space, rm.collection), documents })
        }
        args::Command::List(list) => Task::List {
            request: Request::List {
                place: place(list.space, list.collection),
                filters: list.conditions.iter().map(|text| words::condition(text)).collect::<Result<_, _>>()?,
                limit: list.limit,
            },
            columns: list.columns,
        },
        args::Command::Import(import) => Task::Import(self::import(import)?),
        args::Command::Export(export) => Task::Export(self::export(export)?),
        args::Command::Watch(watch) => Task::Ask(Request::Watch {
            place: place(watch.space, watch.collection),
            document: maybe_document(watch.key, watch.id),
            initial: watch.initial,
        }),
        args::Command::Status(status) => Task::Ask(Request::Status { watch: status.watch }),
        args::Command::Events(_) => Task::Ask(Request::Events {}),
        args::Command::Since(since) => Task::Ask(Request::Since { marker: since.marker, moving: since.moving }),
        args::Command::Subscribe(args::Subscribe { space, pattern, priority }) => {
            Task::Ask(Request::Subscribe { space, pattern, priority })
        }
        args::Command::Pause(args::OfSpace { space }) => Task::Ask(Request::Pause { space }),
        args::Command::Resume(args::OfSpace { space }) => Task::Ask(Request::Resume { space }),
        args::Command::Sync(args::OfSpace { space }) => Task::Ask(Request::Sync { space }),
        args::Command::Peers(_) => Task::Ask(Request::Peers {}),
        args::Command::Log(log) => {
            Task::Ask(Request::Log { space: log.space.space, collection: log.collection, limit: log.limit })
        }
        args::Command::Check(_) => Task::Check,
        args::Command::Checkpoint(checkpoint) => {
            Task::Ask(Request::Checkpoint { place: place(checkpoint.space, checkpoint.collection) })
        }
        args::Command::Digest(digest) => Task::Ask(Request::Digest { place: place(digest.space, digest.collection) }),
        args::Command::Demo(demo) => Task::Demo { keep: demo.keep, documents: demo.documents },
        args::Command::DemoProxy(proxy) => Task::DemoProxy(proxy),
    })
}

fn up(up: args::Up) -> Result<Up, Failure> {
    Ok(Up {
        port: up.port,
        listen: up.listen.into_iter().map(words::listen).collect::<Result<_, _>>()?,
        announce: up.announce.into_iter().map(|text| words::multiaddr("--announce", text)).collect::<Result<_, _>>()?,
        peers: up.peer.into_iter().map(|text| words::multiaddr("--peer", text)).collect::<Result<_, _>>()?,
        mdns: !up.no_mdns,
        quic: !up.no_quic,
    })
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "device".to_owned() } else { name }
}

fn place(space: args::InSpace, collection: String) -> Place {
    Place { space: space.space, collection }
}

fn maybe_document(key: Option<String>, id: Option<String>) -> Option<DocumentName> {
    key.map(DocumentName::Key).or(id.map(DocumentName::Id))
}

fn one_document(key: Option<String>, id: Option<String>) -> Result<DocumentName, Failure> {
    maybe_document(key, id).ok_or_else(|| Failure::usage("no document is named").remedy("name its key, or its --id"))
}

fn container(text: &str) -> Result<(String, Container), Failure> {
    let parts = text.rsplit_once(':').filter(|(name, _)| !name.is_empty());
    let kind = match parts.map(|(_, kind)| kind) {
        Some("text") => Container::Text,
        Some("list") => Container::List,
        Some("map") => Container::Map,
        _ => {
            return Err(Failure::usage(format!("--field {text:?} is not NAME:text, NAME:list or NAME:map"))
                .remedy("numbers, strings and counters need no declaration"));
        }
    };
    Ok((parts.map(|(name, _)| name.to_owned()).unwrap_or_default(), kind))
}

fn ticket(parts: &[String], stdin: &mut dyn Read) -> Result<String, Failure> {
    let text = match parts {
        [only] if only == "-" => read_all(stdin, TICKET_TEXT_LIMIT_BYTES, "a ticket")?,
        parts => parts.concat(),
    };
    let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    if text.is_empty() {
        return Err(Failure::usage("the ticket is empty").remedy("`farshore invite` on a member's device writes one"));
    }
    Ok(text)
}

/// Reads standard input whole.
fn read_all(stdin: &mut dyn Read, limit_bytes: usize, what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    match stdin.take(limit_bytes as u64 + 1).read_to_string(&mut text) {
        Ok(length) if length > limit_bytes => {
            Err(Failure::data(format!("standard input holds more than the {limit_bytes} bytes of {what}")))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Failure::data("standard input is not UTF-8")),
        Err(error) => Err(Failure::io("read standard input", &error)),
    }
}

fn put(put: args::Put, stdin: &mut dyn Read) -> Result<Request, Failure> {
    let object = match put.fields.as_slice() {
        [only] if only == "-" => Some(read_all(stdin, FIELDS_TEXT_LIMIT_BYTES, "a document")?),
        [only] if only.trim_start().starts_with('{') => Some(only.clone()),
        _ => None,
    };
    let fields = match object {
        Some(text) => match parse_json(&text) {
            Ok(Typed::Map(fields)) => fields,
            Ok(other) => {
                return Err(Failure::data(format!("a document is a JSON object, and this is {}", other.kind())));
            }
            Err(error) => return Err(Failure::data(format!("this is not JSON: {error}"))),
        },
        None => {
            let mut fields = Fields::new();
            for text in &put.fields {
                let (name, value) = words::field(text)?;
                if fields.iter().any(|(earlier, _)| *earlier == name) {
                    return Err(Failure::usage(format!("the field {name:?} is given twice")));
                }
                fields.push((name, value));
            }
            fields
        }
    };
    let document = maybe_document(put.key, put.id);
    if put.replace && document.is_none() {
        return Err(Failure::usage("--replace needs a document to replace").remedy("name it with --key or --id"));
    }
    Ok(Request::Put { place: place(put.space, put.collection), document, fields, replace: put.replace })
}

fn get(get: args::Get) -> Result<Request, Failure> {
    let mut words = get.key_and_path.into_iter();
    let document = match get.id {
        Some(id) => DocumentName::Id(id),
        None => one_document(words.next(), None)?,
    };
    let path = words.next().map(|text| words::path(&text)?.without_end()).transpose()?;
    if let Some(extra) = words.next() {
        return Err(
            Failure::usage(format!("{extra:?} is one word too many")).remedy("with --id only a path may follow")
        );
    }
    Ok(Request::Get { place: place(get.space, get.collection), document, path, conflicts: get.conflicts })
}

fn change(change: Change) -> Result<Edit, Failure> {
    let existing = |text: &str| words::path(text).and_then(Path::without_end);
    Ok(match change {
        Change::Set { path, value, kind } => Edit::Set { path: existing(&path)?, value: words::value(&value, kind)? },
        Change::Insert { path, value, kind } => {
            Edit::Insert { path: words::insert_path(&path)?, value: words::value(&value, kind)? }
        }
        Change::Splice { path, position, delete, text } => {
            Edit::Splice { path: existing(&path)?, position, delete, insert: text }
        }
        Change::Increment { path, by } => Edit::Increment { path: existing(&path)?, by },
        Change::Delete { path } => Edit::Delete { path: existing(&path)? },
    })
}

fn format(format: &FileFormat, file: &std::path::Path) -> Result<Format, Failure> {
    match format.format.or_else(|| Format::of_path(file)) {
        Some(format) => Ok(format),
        None if file == std::path::Path::new("-") => {
            Err(Failure::usage("the format is not known without a file name")
                .remedy("add --format ndjson, json or csv"))
        }
        None => Err(Failure::usage(format!("the name {} does not tell the format", file.display()))
            .remedy("add --format ndjson, json or csv")),
    }
}

fn delimiter(format: &FileFormat, file: &std::path::Path) -> Result<u8, Failure> {
    match format.delimiter.as_deref() {
        None => {
            let name = file.to_string_lossy().to_ascii_lowercase();
            Ok(if name.ends_with(".tsv") || name.ends_with(".tsv.gz") { b'\t' } else { b',' })
        }
        Some("tab" | "\\t" | "\t") => Ok(b'\t'),
        Some(text) => match text.as_bytes() {
            [byte] if (byte.is_ascii_graphic() || *byte == b' ') && *byte != b'"' => Ok(*byte),
            _ => Err(Failure::usage(format!("{text:?} cannot divide cells"))
                .remedy("--delimiter takes one ASCII character that is not a quote, or the word tab")),
        },
    }
}

fn import(import: args::Import) -> Result<Import, Failure> {
    let format = format(&import.format, &import.file)?;
    let types =
        import.types.unwrap_or_default().parse().map_err(|error| Failure::usage(format!("--types: {error}")))?;
    let options = ImportOptions {
        format,
        types,
        empty: import.empty,
        key: import.key,
        delimiter: delimiter(&import.format, &import.file)?,
        tagged: import.format.tagged,
    };
    let place = place(import.space, import.collection);
    Ok(Import { place, file: import.file, options, skip_bad: import.skip_bad, dry_run: import.dry_run })
}

fn export(export: args::Export) -> Result<Export, Failure> {
    let format = format(&export.format, &export.file)?;
    if export.format.tagged && format == Format::Csv {
        return Err(Failure::usage("--tagged is for JSON; CSV has no types").remedy("add --format ndjson"));
    }
    let options = ExportOptions {
        format,
        columns: (!export.columns.is_empty()).then_some(export.columns),
        delimiter: delimiter(&export.format, &export.file)?,
        tagged: export.format.tagged,
    };
    let place = place(export.space, export.collection);
    Ok(Export { place, file: export.file, options, with_id: export.with_id })
}

/// The value of `--type`.
fn column_type(text: &str) -> Result<ColumnType, Failure> {
    text.parse().map_err(|error: String| Failure::new(Exit::Usage, error))
}
