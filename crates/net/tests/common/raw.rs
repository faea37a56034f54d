//! A peer made by hand: libp2p's transport, and on it plain substreams with multistream-select written out, so that it
//! can say whatever a hostile peer might.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use farshore_net::Multiaddr;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::{Endpoint, Transport, upgrade};
use libp2p::identity::Keypair;
use libp2p::{noise, tcp, yamux};
use tokio::task::JoinHandle;

pub struct Raw {
    /// Drives the muxer; ending it drops the connection.
    driver: JoinHandle<()>,
}

impl Raw {
    /// Connects to a node over TCP and opens substreams of these protocols, each answered or not.
    pub async fn connect(seed: u8, address: &Multiaddr, protocols: &[&str]) -> (Raw, Vec<Substream>) {
        let keypair = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(upgrade::Version::V1Lazy)
            .authenticate(noise::Config::new(&keypair).unwrap())
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (_, mut muxer) = transport.dial(address.clone(), options).unwrap().await.unwrap();
        let mut streams = Vec::new();
        for _ in protocols {
            streams.push(poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.unwrap());
        }
        let driver = tokio::spawn(async move {
            // Inbound substreams are taken and forgotten; an error is the end of the connection.
            poll_fn(|cx| {
                while let std::task::Poll::Ready(Ok(_)) = muxer.poll_inbound_unpin(cx) {}
                match muxer.poll_unpin(cx) {
                    std::task::Poll::Ready(Err(_)) => std::task::Poll::Ready(()),
                    _ => std::task::Poll::Pending,
                }
            })
            .await;
        });
        let mut negotiated = Vec::new();
        for (stream, protocol) in streams.into_iter().zip(protocols) {
            negotiated.push(Substream::negotiate(stream, protocol).await);
        }
        (Raw { driver }, negotiated)
    }

    /// The three streams of a well-behaved peer.
    pub async fn farshore(seed: u8, address: &Multiaddr) -> (Raw, Vec<Substream>) {
        Raw::connect(seed, address, &["/farshore/ctl/1", "/farshore/live/1", "/farshore/bulk/1"]).await
    }

    /// Waits until the node has closed the connection.
    pub async fn closed(self) {
        tokio::time::timeout(Duration::from_secs(30), self.driver).await.expect("the node closes").unwrap();
    }
}

pub struct Substream(pub Pin<Box<SubstreamBox>>);

impl Substream {
    async fn negotiate(stream: SubstreamBox, protocol: &str) -> Substream {
        let mut stream = Box::pin(stream);
        let mut hello = b"\x13/multistream/1.0.0\n".to_vec();
        hello.push(protocol.len() as u8 + 1);
        hello.extend(protocol.as_bytes());
        hello.push(b'\n');
        stream.write_all(&hello).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = vec![0; hello.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, hello, "the protocol is spoken");
        Substream(stream)
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        // The node may hang up in the middle, which is what is being tested.
        let _ = self.0.write_all(bytes).await;
        let _ = self.0.flush().await;
    }
}
