//! samod's own TCP framing (`Transport::from_tokio_io`: a length of four bytes in front of each message), counted.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use farshore_bench_device::Traffic;
use farshore_bench_device::clock::now_ns;
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use samod::{DialError, Dialer, Transport};
use tokio::net::TcpStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use url::Url;

/// Messages and bytes, and when the last one was.
#[derive(Default)]
pub struct Counters {
    sent: [AtomicU64; 2],
    received: [AtomicU64; 2],
    last_ns: AtomicU64,
}

impl Counters {
    fn count(&self, [messages, bytes]: &[AtomicU64; 2], payload: usize) {
        messages.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(payload as u64 + 4, Ordering::Relaxed);
        self.last_ns.fetch_max(now_ns(), Ordering::Relaxed);
    }

    pub fn traffic(&self) -> Traffic {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            sent_frames: of(&self.sent[0]),
            sent_bytes: of(&self.sent[1]),
            received_frames: of(&self.received[0]),
            received_bytes: of(&self.received[1]),
        }
    }

    pub fn last_ns(&self) -> u64 {
        self.last_ns.load(Ordering::Relaxed)
    }
}

pub fn transport(io: TcpStream, counters: &Arc<Counters>) -> Transport {
    let codec = LengthDelimitedCodec::builder().max_frame_length(1 << 30).new_codec();
    let (sink, stream) = Framed::new(io, codec).split();
    let (sent, received) = (Arc::clone(counters), Arc::clone(counters));
    let stream = stream.map(move |message| {
        message.map(|bytes| {
            received.count(&received.received, bytes.len());
            bytes.to_vec()
        })
    });
    let sink = sink.with(move |message: Vec<u8>| {
        sent.count(&sent.sent, message.len());
        futures::future::ready(Ok::<_, std::io::Error>(Bytes::from(message)))
    });
    Transport::new(stream, sink)
}

pub struct CountedDialer {
    pub url: Url,
    pub counters: Arc<Counters>,
}

impl Dialer for CountedDialer {
    type Error = Infallible;

    fn url(&self) -> Url {
        self.url.clone()
    }

    fn connect(&self) -> BoxFuture<'static, Result<Transport, DialError<Infallible>>> {
        let address = (self.url.host_str().unwrap_or("127.0.0.1").to_owned(), self.url.port().unwrap_or(0));
        let counters = Arc::clone(&self.counters);
        async move {
            let io = TcpStream::connect(address).await.map_err(DialError::transient)?;
            Ok(transport(io, &counters))
        }
        .boxed()
    }
}
