//! What can be typed. What is meant by it stands in [`crate::settings`].

#![expect(rustdoc::broken_intra_doc_links, reason = "these comments are the help texts, where tags[0] is a path")]

use crate::control::{DeletePolicy, Priority, Role};
use crate::exit::Exit;
use crate::formats::{Empty, Format};
use crate::print::Color;
use clap::{Args, Parser, Subcommand, ValueHint};
use std::path::PathBuf;

/// How one begins; `--help` shows it before the exit codes.
const FIRST_STEPS: &str = "See two devices work together:\n  farshore demo\n\nBegin with your own:\n  farshore init\n  \
    farshore space create household\n  farshore put todos title=Milk";

/// An offline-first document engine: edit anywhere, sync with anyone, lose nothing.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "farshore",
    version = crate::version::text(),
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = FIRST_STEPS,
    after_long_help = format!("{FIRST_STEPS}\n\n{}", Exit::table()),
)]
pub struct CommandLine {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The store file [default: farshore/store.fsh in the user's data directory]
    #[arg(long, global = true, env = "FARSHORE_STORE", value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub store: Option<PathBuf>,

    /// Write one JSON envelope per line: {"item":…}, then {"done":{}} or {"error":…}
    #[arg(long, global = true)]
    pub json: bool,

    /// No notes and no progress; results and errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// Tell more on standard error; twice for every step
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// What to log, as a filter of tracing-subscriber, such as farshore=debug,libp2p=warn
    #[arg(long, global = true, env = "FARSHORE_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// All commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Create a store: the file with this device's keys and data
    #[command(after_help = "Example:\n  farshore init\n  farshore --store ./todos.fsh init --name ada")]
    Init(Init),

    /// Run the device in the foreground until Ctrl-C; other commands reach it by themselves
    #[command(after_help = "Example:\n  farshore up\n  farshore up --port 4001 --peer /ip4/192.0.2.7/tcp/4001")]
    Up(Up),

    /// Create and list spaces, and show their members
    #[command(subcommand, after_help = "Example:\n  farshore space create household")]
    Space(Space),

    /// Define and list collections
    #[command(subcommand, after_help = "Example:\n  farshore collection create todos --field title:text,tags:list")]
    Collection(Collection),

    /// Choose which collections this device keeps up, and how urgently
    #[command(after_help = "Example:\n  farshore subscribe household 'photos/' lazy\n  \
        farshore subscribe household archive none\n  farshore subscribe household archive default")]
    Subscribe(Subscribe),

    /// Exchange nothing, until it is resumed; also after a restart
    #[command(after_help = "Example:\n  farshore pause\n  farshore pause household")]
    Pause(OfSpace),

    /// End a pause
    #[command(after_help = "Example:\n  farshore resume\n  farshore resume household")]
    Resume(OfSpace),

    /// Compare with all peers now, fetch what is wanted by hand only, and try again what is stuck
    #[command(after_help = "Example:\n  farshore sync\n  farshore sync household")]
    Sync(OfSpace),

    /// Write a ticket that lets another device join a space, once
    #[command(
        after_help = "Example:\n  farshore invite\n  farshore invite --space household --role reader --valid 2h --qr"
    )]
    Invite(Invite),

    /// Join a space with a ticket; the inviting device must be reachable
    #[command(after_help = "Example:\n  farshore join farshore1q2w3e4r\n  farshore join --sync - < ticket.txt")]
    Join(Join),

    /// Create a document, or update the one with a key
    #[command(after_help = "Example:\n  farshore put todos title=Milk done:=false\n  \
        farshore put airports --key KJFK '{\"name\":\"Kennedy\",\"elevation\":13}'\n  \
        farshore put notes --key n1 body:text=Hello visits:counter=0")]
    Put(Put),

    /// Read a document, or a part of it
    #[command(
        after_help = "Example:\n  farshore get airports KJFK\n  farshore get airports KJFK 'runways[0].length'\n  \
        farshore get todos --id 4NgYvzj8wcLwHUS5tBMDXX4mxLt2 --conflicts"
    )]
    Get(Get),

    /// Change a part of a document
    #[command(
        override_usage = "farshore edit <COLLECTION> <KEY|--id <ID>> set|insert|splice|increment|delete ...",
        after_help = "Example:\n  farshore edit todos milk set done true\n  farshore edit notes n1 splice body 0 5 Dear"
    )]
    Edit(Edit),

    /// Delete documents
    #[command(after_help = "Example:\n  farshore rm todos milk bread")]
    Rm(Rm),

    /// List the documents of a collection
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  farshore list todos\n  \
        farshore list airports --where country=CH --where 'elevation>1000' --columns icao,name,elevation --limit 20"
    )]
    List(List),

    /// Import rows of NDJSON, a JSON array or CSV; nothing if a row is malformed, unless --skip-bad
    #[command(after_help = "Example:\n  farshore import airports airports.csv.gz --key icao\n  \
        farshore import airports airports.csv --key icao --types elevation:int,lat:float,lon:float --skip-bad\n  \
        curl -s https://example.org/rows | farshore import rows - --format ndjson")]
    Import(Import),

    /// Export a collection as NDJSON, a JSON array or CSV
    #[command(
        after_help = "Example:\n  farshore export airports airports.csv\n  farshore export todos --format ndjson"
    )]
    Export(Export),

    /// Show changes as they happen, until Ctrl-C
    #[command(after_help = "Example:\n  farshore watch todos\n  farshore --json watch todos milk --initial")]
    Watch(Watch),

    /// Show whether the device is online, in sync, what is to go, how fast, and why it does not move
    #[command(after_help = "Example:\n  farshore status\n  farshore status --watch\n  farshore --json status --watch")]
    Status(Status),

    /// Show what the device does as it happens, until Ctrl-C: writes, syncs, conflicts, peers, errors
    #[command(after_help = "Example:\n  farshore events\n  farshore --json events")]
    Events(Events),

    /// Show what happened since the device was last online: what came, what merged, what became of your own writes
    #[command(after_help = "Example:\n  farshore since\n  farshore since --marker read --move\n  \
        farshore --json since --marker read")]
    Since(Since),

    /// Show the peers of the running device
    #[command(after_help = "Example:\n  farshore peers")]
    Peers(Peers),

    /// Show who wrote when, entry by entry, the newest first
    #[command(after_help = "Example:\n  farshore log\n  farshore log todos --limit 5")]
    Log(Log),

    /// Verify the store: every page, every value, and how they fit together; no device may run on it
    #[command(after_help = "Example:\n  farshore check\n  farshore --store ./copy.fsh check")]
    Check(Check),

    /// Make a checkpoint of a collection, from which devices that join later begin instead of taking every entry
    #[command(after_help = "Example:\n  farshore checkpoint todos")]
    Checkpoint(Checkpoint),

    /// Compute a collection's fingerprints: two devices whose documents and histories are equal get the same ones
    #[command(after_help = "Example:\n  farshore digest todos")]
    Digest(Digest),

    /// Show two devices import, sync, edit offline, survive a kill, and agree
    #[command(after_help = "Example:\n  farshore demo\n  farshore demo --keep ./demo")]
    Demo(Demo),

    /// The counting proxy of the demo, a process of its own
    #[command(hide = true, after_help = "Example:\n  farshore demo-proxy --listen 127.0.0.1:0 --to 127.0.0.1:4001")]
    DemoProxy(DemoProxy),
}

/// The space of a command.
#[derive(Clone, Debug, Args)]
pub struct InSpace {
    /// The space, by name or id; may be left out if there is only one
    #[arg(long, short, value_name = "SPACE", global = true)]
    pub space: Option<String>,
}

/// A document: by key or by id.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false, id = "document")]
pub struct OneDocument {
    /// The document, by its key
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// The document, by its id
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

/// `init`.
#[derive(Clone, Debug, Args)]
pub struct Init {
    /// A name for this device, for the other members [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// `up`.
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// The port for TCP and QUIC on every address [default: the one of last time, or any free one]
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    pub port: Option<u16>,
    /// Where to listen instead, as IP:PORT or a multiaddr; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// What members are told instead of where it listens, as a multiaddr: a forwarded port or a proxy; may be given
    /// several times
    #[arg(long, value_name = "MULTIADDR")]
    pub announce: Vec<String>,
    /// A peer to dial, as a multiaddr; may be given several times
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<String>,
    /// Do not look for devices on the local network
    #[arg(long)]
    pub no_mdns: bool,
    /// Use TCP only
    #[arg(long)]
    pub no_quic: bool,
}

/// `space`.
#[derive(Clone, Debug, Subcommand)]
pub enum Space {
    /// Create a space; this device becomes its admin
    #[command(after_help = "Example:\n  farshore space create household")]
    Create {
        /// A name for it, for people
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the spaces that this device is a member of
    #[command(after_help = "Example:\n  farshore space list")]
    List,
    /// List the members of a space with their roles
    #[command(after_help = "Example:\n  farshore space members household")]
    Members {
        /// The space, by name or id; may be left out if there is only one
        #[arg(value_name = "SPACE")]
        space: Option<String>,
    },
}

/// `collection`.
#[derive(Clone, Debug, Subcommand)]
pub enum Collection {
    /// Define a collection
    #[command(after_help = "Example:\n  farshore collection create todos\n  \
        farshore collection create notes --field body:text,tags:list --on-delete edit-wins")]
    Create {
        /// Its name; parts may be divided by slashes
        #[arg(value_name = "NAME")]
        name: String,
        /// The space.
        #[command(flatten)]
        space: InSpace,
        /// Texts, lists and maps that every keyed document has from its beginning, so that devices that create it at the
        /// same time fill the same ones
        #[arg(long, value_name = "NAME:text|list|map,…", value_delimiter = ',')]
        field: Vec<String>,
        /// What becomes of a document that one device deletes and another edits
        #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
        on_delete: DeletePolicy,
    },
    /// List the collections of a space
    #[command(after_help = "Example:\n  farshore collection list")]
    List {
        /// The space.
        #[command(flatten)]
        space: InSpace,
    },
}

/// `subscribe`.
#[derive(Clone, Debug, Args)]
pub struct Subscribe {
    /// The space, by name or id
    #[arg(value_name = "SPACE")]
    pub space: String,
    /// A collection's name, or what names begin with up to a slash (orders/), or * for all; of those that fit a name the
    /// longest counts
    #[arg(value_name = "PATTERN")]
    pub pattern: String,
    /// How urgently
    #[arg(value_enum, value_name = "PRIORITY")]
    pub priority: Priority,
}

/// `pause`, `resume` and `sync`.
#[derive(Clone, Debug, Args)]
pub struct OfSpace {
    /// The space, by name or id; all if left out
    #[arg(value_name = "SPACE")]
    pub space: Option<String>,
}

/// `invite`.
#[derive(Clone, Debug, Args)]
pub struct Invite {
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// What the new device may do
    #[arg(long, value_enum, default_value = "writer", value_name = "ROLE")]
    pub role: Role,
    /// How long the ticket is good for, such as 30m, 24h or 7d
    #[arg(long, default_value = "24h", value_name = "TIME")]
    pub valid: String,
    /// An address to write into the ticket, as a multiaddr, in place of the device's own; may be given several times
    #[arg(long, value_name = "MULTIADDR")]
    pub address: Vec<String>,
    /// Show the ticket as a QR code too
    #[arg(long)]
    pub qr: bool,
}

/// `join`.
#[derive(Clone, Debug, Args)]
pub struct Join {
    /// The ticket, or - to read it from standard input; spaces and line breaks do not matter
    #[arg(value_name = "TICKET", required = true)]
    pub ticket: Vec<String>,
    /// How long to wait for the inviting device
    #[arg(long, default_value = "60s", value_name = "TIME")]
    pub wait: String,
    /// Wait, too, until everything that the inviting device has is here
    #[arg(long)]
    pub sync: bool,
}

/// `put`.
#[derive(Clone, Debug, Args)]
pub struct Put {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// Fields: NAME=STRING, NAME:=JSON or NAME:TYPE=VALUE; or one JSON object; or - to read it from standard input
    #[arg(value_name = "FIELD", required = true)]
    pub fields: Vec<String>,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// The key of the document, which is created or updated
    #[arg(long, value_name = "KEY", conflicts_with = "id")]
    pub key: Option<String>,
    /// The id of a document, which is updated
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Remove the fields that are not named
    #[arg(long)]
    pub replace: bool,
}

/// `get`.
#[derive(Clone, Debug, Args)]
pub struct Get {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// The document's key, then a path such as address.lines[0]; with --id only the path
    #[arg(value_name = "KEY [PATH]", num_args = 0..=2)]
    pub key_and_path: Vec<String>,
    /// The document, by its id
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// Show the other values where devices wrote at the same time
    #[arg(long)]
    pub conflicts: bool,
}

/// `edit`.
#[derive(Clone, Debug, Args)]
#[command(subcommand_precedence_over_arg = true)]
pub struct Edit {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// Which document.
    #[command(flatten)]
    pub document: OneDocument,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// What to change.
    #[command(subcommand)]
    pub change: Change,
}

/// What `edit` changes.
#[derive(Clone, Debug, Subcommand)]
pub enum Change {
    /// Put a value at a path
    #[command(
        override_usage = "farshore edit <COLLECTION> <KEY|--id <ID>> set <PATH> <VALUE> [--type <TYPE>]",
        after_help = "Example:\n  farshore edit todos milk set title 'Oat milk'\n  \
        farshore edit airports KJFK set '\"odd key\".list[2]' '{\"a\":1}'\n  farshore edit parts p1 set number 00123 --type string"
    )]
    Set {
        /// Where, such as address.lines[0]
        #[arg(value_name = "PATH")]
        path: String,
        /// JSON; what is not JSON is taken as a string
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
        /// Read the value as this type: string, text, int, float, number, bool, counter, timestamp, bytes, json
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
    },
    /// Insert a value into a list: before a position, or at its end with []
    #[command(
        override_usage = "farshore edit <COLLECTION> <KEY|--id <ID>> insert <PATH> <VALUE> [--type <TYPE>]",
        after_help = "Example:\n  farshore edit todos milk insert 'tags[]' urgent\n  farshore edit todos milk insert 'tags[0]' first"
    )]
    Insert {
        /// Where, such as tags[0] or tags[]
        #[arg(value_name = "PATH")]
        path: String,
        /// JSON; what is not JSON is taken as a string
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
        /// Read the value as this type, as for `edit set`
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
    },
    /// Replace characters of a text
    #[command(
        override_usage = "farshore edit <COLLECTION> <KEY|--id <ID>> splice <PATH> <POSITION> <COUNT> [TEXT]",
        after_help = "Example:\n  farshore edit notes n1 splice body 0 5 Dear"
    )]
    Splice {
        /// The text, such as body
        #[arg(value_name = "PATH")]
        path: String,
        /// Before which character, from 0
        #[arg(value_name = "POSITION")]
        position: u64,
        /// How many characters to remove
        #[arg(value_name = "COUNT")]
        delete: u64,
        /// What to put in their place
        #[arg(value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
        text: String,
    },
    /// Add to a counter
    #[command(
        override_usage = "farshore edit <COLLECTION> <KEY|--id <ID>> increment <PATH> [BY]",
        after_help = "Example:\n  farshore edit notes n1 increment visits\n  farshore edit notes n1 increment visits -5"
    )]
    Increment {
        /// The counter, such as visits
        #[arg(value_name = "PATH")]
        path: String,
        /// How much
        #[arg(value_name = "BY", default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
    },
    /// Remove a field or an element
    #[command(
        override_usage = "farshore edit <COLLECTION> <KEY|--id <ID>> delete <PATH>",
        after_help = "Example:\n  farshore edit todos milk delete 'tags[0]'"
    )]
    Delete {
        /// Which, such as tags[0]
        #[arg(value_name = "PATH")]
        path: String,
    },
}

/// `rm`.
#[derive(Clone, Debug, Args)]
pub struct Rm {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// The documents, by their keys
    #[arg(value_name = "KEY", required_unless_present = "id")]
    pub keys: Vec<String>,
    /// A document, by its id; may be given several times
    #[arg(long, value_name = "ID")]
    pub id: Vec<String>,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
}

/// `list`.
#[derive(Clone, Debug, Args)]
pub struct List {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// A condition, such as country=CH, 'elevation>=1000' or done!=true; several must all hold
    #[arg(long = "where", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// How many documents at most
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<u64>,
    /// The fields to show, in this order
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub columns: Vec<String>,
}

/// How a file is read or written.
#[derive(Clone, Debug, Args)]
pub struct FileFormat {
    /// The format [default: by the file's name]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The character between the cells of CSV [default: , and a tab for .tsv]
    #[arg(long, value_name = "CHARACTER")]
    pub delimiter: Option<String>,
    /// JSON with the types that it lacks, such as {"$counter":5}: nothing is lost between export and import
    #[arg(long)]
    pub tagged: bool,
}

/// `import`.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// The collection; it is created if it does not exist
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// The file, which may be compressed with gzip; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// The format.
    #[command(flatten)]
    pub format: FileFormat,
    /// The column that is the key: a row updates the document of its key, so an import can be repeated
    #[arg(long, value_name = "COLUMN")]
    pub key: Option<String>,
    /// Types of columns: string, text, int, float, number, bool, counter, timestamp, bytes, json; others are inferred
    #[arg(long, value_name = "COLUMN:TYPE,…")]
    pub types: Option<String>,
    /// What an empty cell of CSV means
    #[arg(long, value_enum, default_value_t, value_name = "MEANING")]
    pub empty: Empty,
    /// Import the good rows and report the others
    #[arg(long)]
    pub skip_bad: bool,
    /// Only check the file
    #[arg(long)]
    pub dry_run: bool,
}

/// `export`.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// The file, compressed if it ends in .gz; - is standard output
    #[arg(value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// The format.
    #[command(flatten)]
    pub format: FileFormat,
    /// The fields to write, in this order [default: all; in CSV by name]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Write each document's id as a field of this name
    #[arg(long, value_name = "NAME")]
    pub with_id: Option<String>,
}

/// `watch`.
#[derive(Clone, Debug, Args)]
pub struct Watch {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// One document, by its key
    #[arg(value_name = "KEY", conflicts_with = "id")]
    pub key: Option<String>,
    /// One document, by its id
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// First show what there is
    #[arg(long)]
    pub initial: bool,
}

/// `status`.
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// Go on, and show every change
    #[arg(long, short)]
    pub watch: bool,
}

/// `events`.
#[derive(Clone, Debug, Args)]
pub struct Events {}

/// `since`.
#[derive(Clone, Debug, Args)]
pub struct Since {
    /// Since this marker instead, which --move sets
    #[arg(long, value_name = "NAME")]
    pub marker: Option<String>,
    /// Then set the marker here, so that the next time tells what came after
    #[arg(long = "move", requires = "marker")]
    pub moving: bool,
}

/// `peers`.
#[derive(Clone, Debug, Args)]
pub struct Peers {}

/// `log`.
#[derive(Clone, Debug, Args)]
pub struct Log {
    /// Only this collection
    #[arg(value_name = "COLLECTION")]
    pub collection: Option<String>,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
    /// How many at most
    #[arg(long, short = 'n', default_value_t = 20, value_name = "NUMBER")]
    pub limit: u64,
}

/// `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {}

/// `checkpoint`.
#[derive(Clone, Debug, Args)]
pub struct Checkpoint {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
}

/// `digest`.
#[derive(Clone, Debug, Args)]
pub struct Digest {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// The space.
    #[command(flatten)]
    pub space: InSpace,
}

/// `demo`.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// Keep the stores and logs in this directory, which must not exist yet [default: a temporary one, removed]
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub keep: Option<PathBuf>,
    /// Import only so many of the airports
    #[arg(long, value_name = "NUMBER", hide = true, value_parser = clap::value_parser!(u64).range(100..))]
    pub documents: Option<u64>,
}

/// `demo-proxy`.
#[derive(Clone, Debug, Args)]
pub struct DemoProxy {
    /// Where to listen
    #[arg(long, value_name = "IP:PORT")]
    pub listen: std::net::SocketAddr,
    /// Where to pass connections on to
    #[arg(long, value_name = "IP:PORT")]
    pub to: std::net::SocketAddr,
}
