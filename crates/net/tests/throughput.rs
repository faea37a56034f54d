//! How fast bulk goes over loopback, and how long an edit waits beside it. Not a test of either: run it by hand with
//! `cargo test --release -p farshore-net --test throughput -- --ignored --nocapture`.

mod common;

use common::{Node, config, linked, quic, tcp};
use farshore_net::{Class, Event, SendError};
use tokio::time::Instant;

const MIB: usize = 1024 * 1024;

async fn measure(listen: farshore_net::Multiaddr, total: usize) {
    let label = listen.to_string();
    let (mut one, at_one, mut other, _) =
        linked(Node::start(config(1, vec![listen.clone()])), Node::start(config(2, vec![listen]))).await;
    let start = Instant::now();
    let receiver = tokio::spawn(async move {
        let (mut bulk, mut waits) = (0, Vec::new());
        while bulk < total {
            if let Event::Frame { class, bytes, .. } = other.next().await {
                match class {
                    Class::Bulk => bulk += bytes.len(),
                    _ => {
                        let sent = u64::from_be_bytes(bytes[..8].try_into().unwrap());
                        waits.push(start.elapsed().as_micros() as u64 - sent);
                    }
                }
            }
        }
        (bulk, waits, other)
    });
    let mut sent = 0;
    while sent < total {
        match one.net.send(at_one, Class::Bulk, vec![7; Class::Bulk.frame_limit()]) {
            Ok(()) => sent += Class::Bulk.frame_limit(),
            Err(SendError::Full { .. }) => {
                one.writable(at_one).await;
            }
            Err(error) => panic!("{error}"),
        }
        if sent % MIB == 0 {
            let mut edit = vec![0; 200];
            edit[..8].copy_from_slice(&(start.elapsed().as_micros() as u64).to_be_bytes());
            let _ = one.net.send(at_one, Class::Live, edit);
        }
    }
    let (bulk, mut waits, _other) = receiver.await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    waits.sort_unstable();
    let (median, worst) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    println!(
        "{label}: {:.0} MiB/s; an edit beside it waits {median} us (p50), {worst} us (p99)",
        (bulk / MIB) as f64 / seconds
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn bulk_over_loopback() {
    for _ in 0..3 {
        measure(tcp(), 512 * MIB).await;
        if cfg!(feature = "quic") {
            measure(quic(), 512 * MIB).await;
        }
    }
}
