//! The transports: QUIC, and TCP with Noise and Yamux; and the two places where libp2p's defaults do not fit.

use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent};
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, TransportError, TransportEvent};
use libp2p::core::{Multiaddr, Transport, upgrade};
use libp2p::identity::Keypair;
use libp2p::{PeerId, Swarm, noise, swarm, tcp, yamux};
use tokio::time::{Sleep, sleep};

use crate::behaviour::Behaviour;
use crate::error::Error;
use crate::limits::*;

/// Builds the swarm. `quic` asks for QUIC where this build has it.
pub(crate) fn swarm(keypair: &Keypair, quic: bool) -> Result<Swarm<Behaviour>, Error> {
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_CONNECTION)
        .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS_LIMIT)
        .with_smart_dial();
    let transport = transport(keypair, quic)?;
    Ok(Swarm::new(transport, Behaviour::new(), keypair.public().to_peer_id(), config))
}

fn transport(keypair: &Keypair, quic: bool) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Error> {
    let noise = noise::Config::new(keypair).map_err(|cause| Error::Transport(cause.to_string()))?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(YAMUX_STREAMS_LIMIT);
    let tcp = FreshPort(tcp::tokio::Transport::new(tcp::Config::default()))
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(CONNECT_DEADLINE)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(HastyClose { muxer, deadline: None })));
    #[cfg(feature = "quic")]
    if quic {
        let quic = libp2p::quic::tokio::Transport::new(quic_config(keypair))
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(HastyClose { muxer, deadline: None })));
        return Ok(quic.or_transport(tcp).map(|either, _| either.into_inner()).boxed());
    }
    let _ = quic; // without the feature there is nothing to ask for
    Ok(tcp.boxed())
}

#[cfg(feature = "quic")]
fn quic_config(keypair: &Keypair) -> libp2p::quic::Config {
    let mut config = libp2p::quic::Config::new(keypair);
    config.handshake_timeout = QUIC_HANDSHAKE;
    config.max_idle_timeout = QUIC_IDLE.as_millis() as u32;
    config.keep_alive_interval = QUIC_KEEP_ALIVE;
    config.max_concurrent_stream_limit = QUIC_STREAMS_LIMIT;
    config.max_stream_data = QUIC_STREAM_DATA;
    config.max_connection_data = QUIC_CONNECTION_DATA;
    config
}

/// Wakes aws-lc's source of randomness, which takes 60 to 160 ms of CPU, on a thread that may block. Else the first
/// QUIC handshake would hold up the task that all links depend on.
pub(crate) async fn warm_up(quic: bool) {
    #[cfg(feature = "quic")]
    if quic {
        let _ = tokio::task::spawn_blocking(|| {
            let mut bytes = [0; 16];
            // If it fails here it fails again in the handshake, where it is reported.
            let _ = aws_lc_rs::rand::fill(&mut bytes);
        })
        .await;
    }
    let _ = quic;
}

/// TCP that always dials from a fresh port. libp2p dials from the listening port, for hole punching; but two nodes
/// that dial each other at once then make *one* TCP connection (a simultaneous open) on which each takes itself for
/// the dialer, and both fail. And a redial would meet its own TIME_WAIT.
#[derive(Debug)]
struct FreshPort<T>(T);

impl<T: Transport + Unpin> Transport for FreshPort<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        self.0.dial(address, DialOpts { port_use: PortUse::New, ..options })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// A muxer that takes its time to close, but not for ever: a peer that reads nothing would keep the socket, the task
/// and the buffers of a connection that was closed on it.
struct HastyClose<M> {
    muxer: M,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<M: StreamMuxer + Unpin> StreamMuxer for HastyClose<M> {
    type Substream = M::Substream;
    type Error = M::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        Pin::new(&mut self.muxer).poll_inbound(cx)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        Pin::new(&mut self.muxer).poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        if let Poll::Ready(done) = Pin::new(&mut self.muxer).poll_close(cx) {
            return Poll::Ready(done);
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(MUXER_CLOSE)));
        deadline.as_mut().poll(cx).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, M::Error>> {
        Pin::new(&mut self.muxer).poll(cx)
    }
}
