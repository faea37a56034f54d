//! Writes the first inputs of every corpus, from the pinned vectors and real data: `cargo run -p farshore-fuzz --example seeds`.
//! Run it after a format changed; what the fuzzers found since is beside them.

use std::path::Path;

use automerge::Automerge;
use farshore_core::bytes::Writer;
use farshore_core::checkpoint::Manifest;
use farshore_core::entry::Entry;
use farshore_core::id::unhex;

#[allow(dead_code, reason = "a part is used")]
#[path = "../../../crates/core/tests/change_common/workload.rs"]
mod workload;

const ENTRIES: &str = include_str!("../../../crates/core/tests/vectors/entry.txt");
const CHECKPOINT: &str = include_str!("../../../crates/core/tests/vectors/checkpoint.txt");
const FRAMES: &str = include_str!("../../../crates/core/tests/vectors/frames.txt");
const ROSTER: &str = include_str!("../../../crates/core/tests/vectors/roster.txt");

/// One of each message of the control socket that differs in its parts.
const MESSAGES: [(u8, &str); 17] = [
    (0, r#"{"request":{"space-list":{}}}"#),
    (0, r#"{"request":{"status":{"watch":true}}}"#),
    (
        0,
        r#"{"request":{"invite":{"space":"home","role":"writer","valid_ms":60000,"addresses":["/ip4/1.2.3.4/tcp/1"]}}}"#,
    ),
    (
        0,
        r#"{"request":{"put":{"place":{"space":"s","collection":"c"},"document":{"key":"k"},"fields":[["a",{"$counter":5}],["b",{"$text":"t"}]],"replace":false}}}"#,
    ),
    (0, r#"{"request":{"get":{"place":{"collection":"c"},"document":{"id":"4AYZ"},"path":["a",0],"conflicts":true}}}"#),
    (
        0,
        r#"{"request":{"edit":{"place":{"collection":"c"},"document":{"key":"k"},"edits":[{"set":{"path":["a"],"value":1.5}},{"insert":{"path":["l",0],"value":null}},{"splice":{"path":["t"],"position":1,"delete":2,"insert":"x"}},{"increment":{"path":["n"],"by":-1}},{"delete":{"path":["a","b"]}}]}}}"#,
    ),
    (
        0,
        r#"{"request":{"list":{"place":{"collection":"c"},"filters":[{"path":["a"],"comparison":"at-least","value":18446744073709551615}],"limit":5}}}"#,
    ),
    (0, r#"{"request":{"import":{"place":{"collection":"c"},"keyed":true,"rows":2}}}"#),
    (
        0,
        r#"{"rows":{"number":1,"rows":[{"line":2,"key":"a","fields":[["f",{"$float":"NaN"}],["m",{"$map":{"$text":1}}]]}]}}"#,
    ),
    (0, r#"{"end":{}}"#),
    (1, r#"{"item":{"name":"a","list":[1,2.5,null]}}"#),
    (1, r#"{"progress":{"done":1,"total":2,"unit":"rows"}}"#),
    (1, r#"{"ack":{"batch":1,"rows":1024}}"#),
    (1, r#"{"error":{"code":2,"message":"no","remedy":"ask"}}"#),
    (2, r#"{"control":1,"pid":5,"version":"0.1.0"}"#),
    (3, r#"{"a":[{"$bytes":"AP8="},{"$timestamp":1700000000123},{"$float":"-inf"},-5,1e300,true]}"#),
    (4, r#"a.b[0]."odd name"[]"#),
];

/// Files to import: the choice of format and options, and the text.
const FILES: [(u8, &str); 13] = [
    (0, "{\"a\":1,\"b\":[1,{\"c\":null}]}\n{\"a\":2.5,\"d\":\"\\u00e9\"}\n"),
    (12, "{\"a\":{\"$counter\":5},\"b\":{\"$bytes\":\"AP8=\"}}\n"),
    (48, "{\"a\":\"k\",\"b\":true}\n{\"a\":7}\n{\"a\":\"k\"}\n"),
    (96, "{\"a\":1,\"b\":2,\"c\":\"t\",\"d\":3,\"e\":5,\"f\":\"AQI=\",\"h\":true}\n"),
    (1, "[{\"a\":1},\n {\"a\":\"x\\ny\"}]\n"),
    (1, "\u{feff}[]"),
    (2, "a,b,c\n1,2.5,\"x, \"\"y\"\"\"\n2,,\"two\r\nlines\"\r\n"),
    (2, "a,b\n\"\"\"x\",\"one\rtwo\"\n\"\",\"\u{feff}y\"\n"),
    (26, "a;b\n1;x\n;y\n"),
    (50, "a,name\nKJFK,\"Kennedy\"\nEDDF,Frankfurt\nKJFK,again\n"),
    (98, "a,b,c,d,e,f,g,h,i,j\n1,2,t,4,2026-05-01T12:00:00Z,AQI=,\"[1,{\"\"x\"\":null}]\",true,5,s\n"),
    (98, "a,b,c,d,e,f,g,h,i,j\n,0.1234567891,,,2026-05-01T12:00:00.123Z,,,,-1e-300,\n"),
    (12, "{\"a\":{\"$timestamp\":1700000000123},\"b\":0.1234567891,\"c\":{\"$map\":{\"$text\":1}}}\n"),
];

fn bytes(text: &str) -> Vec<u8> {
    let mut out = vec![0; text.len() / 2];
    unhex(text, &mut out).expect("the vectors are hexadecimal");
    out
}

fn pinned(file: &str, name: &str) -> Vec<u8> {
    bytes(file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect("a vector of this name"))
}

fn write(target: &str, name: &str, kind: u8, input: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    std::fs::create_dir_all(&directory).expect("the corpus can be written");
    let input: Vec<u8> = std::iter::once(kind).chain(input.iter().copied()).collect();
    std::fs::write(directory.join(name), input).expect("the corpus can be written");
}

fn formats() {
    for line in FRAMES.lines() {
        let [name, class, frame] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("a frame's line: {line}") };
        let kind = ["ctl", "live", "bulk"].iter().position(|c| *c == class).expect("a class") as u8;
        write("frame", &format!("seed-{name}"), kind, &bytes(frame));
    }
    write("entry", "seed-entry", 0, &pinned(ENTRIES, "entry"));
    write("entry", "seed-payload-plain", 2, &pinned(ENTRIES, "payload-plain"));
    write("entry", "seed-payload-deflated", 2, &pinned(ENTRIES, "payload-deflated"));
    for line in ROSTER.lines().filter(|line| line.starts_with("op-") && !line.contains("-hash ")) {
        let (name, op) = line.split_once(' ').expect("a name and a value");
        write("roster_op", &format!("seed-{name}"), 0, &bytes(op));
    }
    write("roster_op", "seed-definition", 2, &pinned(ROSTER, "definition"));
    let ticket = ROSTER.lines().find_map(|line| line.strip_prefix("ticket ")).expect("a pinned ticket");
    write("ticket", "seed-text", 0, ticket.as_bytes());
    let mut payload = Writer::new();
    payload.u8(1).u16(0).raw(&[1; 32]).u8(2).raw(&[2; 32]).u64(1_800_000_000).raw(&[3; 32]).bytes(&[4; 38]);
    payload.count(2).text("/ip4/192.168.1.7/tcp/4001").text("/ip6/::1/tcp/4001");
    write("ticket", "seed-payload", 1, payload.as_slice());
}

fn checkpoints() {
    let manifest = pinned(CHECKPOINT, "manifest");
    write("checkpoint", "seed-manifest", 0, &manifest);
    let head = manifest.len() - pinned_sealed(&manifest);
    write("checkpoint", "seed-head", 1, &manifest[..head]);
    write("checkpoint", "seed-chunk", 3, &pinned(CHECKPOINT, "chunk-plain"));
    let entry = pinned(CHECKPOINT, "entry-2");
    let sealed = Entry::decode(entry.clone()).expect("a pinned entry").sealed().len();
    let mut contents = Writer::new();
    contents.u32(1).bytes(&entry[..entry.len() - sealed]).u32(2);
    contents.raw(&[5; 32]).u32(70_000).raw(&[6; 32]).u32(1);
    write("checkpoint", "seed-contents", 2, contents.as_slice());
}

/// Length of a manifest's ciphertext.
fn pinned_sealed(manifest: &[u8]) -> usize {
    Manifest::decode(manifest).expect("a pinned manifest").signed.head.sealed_len as usize
}

fn changes() {
    for name in ["genesis-change", "own-change"] {
        write("change", &format!("seed-{name}"), 0, &pinned(ENTRIES, name));
    }
    let document: Automerge = workload::document(7, 3, 60, 6);
    for (at, change) in document.get_changes(&[]).iter().enumerate().filter(|(at, _)| at % 2 == 0) {
        write("change", &format!("seed-{at:02}"), 0, change.raw_bytes());
        write("change", &format!("seed-body-{at:02}"), 1, &change.raw_bytes()[11..]); // two bytes of length
    }
}

/// Scripts have no samples: chance finds the first ones.
fn scripts() {
    let mut random = workload::Random::new(1);
    for target in ["change_automerge", "entry", "roster_op", "store", "ticket", "world"] {
        let kind = match target {
            "entry" | "roster_op" => 1,
            "ticket" => 2,
            _ => random.next() as u8 % 4,
        };
        for at in 0..8 {
            let input: Vec<u8> = (0..100 * (at + 1)).map(|_| random.next() as u8).collect();
            write(target, &format!("seed-script-{at}"), kind, &input);
        }
    }
}

fn main() {
    formats();
    checkpoints();
    changes();
    scripts();
    for (at, (kind, text)) in MESSAGES.into_iter().enumerate() {
        write("control", &format!("seed-{at:02}"), kind, text.as_bytes());
    }
    for (at, (choice, text)) in FILES.into_iter().enumerate() {
        write("import", &format!("seed-{at:02}"), choice, text.as_bytes());
    }
}
