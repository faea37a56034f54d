//! What a reconnection costs on the wire, with real processes: every byte that passes a TCP proxy between them, the
//! handshakes of TCP's users included (multistream, Noise, Yamux, ours).

mod support;

use farshore_cli::demo::proxy::{Counters, Proxy};
use std::time::Duration;
use support::{Shell, airports, until};

/// As many as the airports have.
const DOCUMENTS: usize = 28_298;
/// What issue 2 allows: 6 kB of frames, and the rest for handshakes.
const RECONNECTION_BYTES: u64 = 14_000;
/// A reconnection with nothing changed: handshakes and one digest; 2,088 bytes were measured.
const UNCHANGED_BYTES: u64 = 4_000;

fn total(counters: Counters) -> u64 {
    counters.bytes_there + counters.bytes_back
}

/// Waits until nothing passes for a second: shorter than the time between two pings.
fn quiet(proxy: &Proxy) -> Counters {
    let mut last = proxy.counters();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = proxy.counters();
        if now == last {
            return now;
        }
        last = now;
    }
}

#[test]
fn after_ten_edits_in_28298_documents_a_reconnection_costs_at_most_14_kb_through_the_proxy() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    let file = airports();
    shell.item("a.fsh", &["import", "airports", file.to_str().unwrap(), "--key", "icao"]);
    shell.item("b.fsh", &["init", "--name", "ben"]);

    // Each is known to the other by an address that leads through the proxy, or nowhere: so nothing passes beside it.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = runtime.block_on(Proxy::start("127.0.0.1:0".parse().unwrap(), nowhere)).unwrap();
    let front = format!("/ip4/127.0.0.1/tcp/{}", proxy.address().port());
    let ada = shell.up_with("a.fsh", &["--announce", &front]);
    let ben = shell.up_with("b.fsh", &["--announce", &format!("/ip4/127.0.0.1/tcp/{}", nowhere.port())]);
    proxy.redirect(ada.listening());
    let ticket = shell.item("a.fsh", &["invite", "--address", &front])["ticket"].as_str().unwrap().to_owned();
    shell.item("b.fsh", &["join", &ticket]);
    let digest = |store: &str| shell.item(store, &["digest", "airports"]);
    let wanted = digest("a.fsh");
    assert_eq!(wanted["documents"], DOCUMENTS);
    until("the first sync", || {
        let output = shell.output("b.fsh", &["collection", "list"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.contains(&format!("\"documents\":{DOCUMENTS}")) && digest("b.fsh") == wanted
    });

    for (edits, limit_bytes) in [(0, UNCHANGED_BYTES), (10, RECONNECTION_BYTES)] {
        quiet(&proxy);
        proxy.cut();
        for store in ["a.fsh", "b.fsh"] {
            until("the end of the link", || shell.items(store, &["peers"]).is_empty());
        }
        for key in ["LSZH", "LSGG", "LSZB", "KJFK", "KSFO", "EGLL", "EDDF", "LFPG", "RJTT", "YSSY"].iter().take(edits) {
            shell.item("a.fsh", &["edit", "airports", key, "set", "name", "edited"]);
        }
        let before = proxy.counters();
        proxy.heal();
        let wanted = digest("a.fsh");
        until("agreement", || digest("b.fsh") == wanted);
        let after = quiet(&proxy);
        let spent = total(after) - total(before);
        println!("{spent} bytes in {} connections after {edits} edits", after.connections - before.connections);
        assert_eq!(after.connections - before.connections, 1, "one connection, and no second one beside it");
        assert!(spent <= limit_bytes, "{spent} bytes after {edits} edits, of {before:?} and {after:?}");
    }
    assert_eq!((ben.stop(), ada.stop()), (0, 0));
}
