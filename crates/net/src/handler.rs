//! The connection handler: opens or accepts the three streams of a connection, and hands them over. What is said on
//! them is the business of `link.rs`.

use std::array;
use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::iter::Take;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol};
use libp2p::{Stream, StreamProtocol};

use crate::error::PeerFault;
use crate::frame::Class;
use crate::limits::NEGOTIATION_DEADLINE;

/// The behaviour's order to the handler of a connection that we dialled: open the three streams.
#[derive(Debug)]
pub(crate) struct OpenStreams;

/// What the handler tells the behaviour.
#[derive(Debug)]
pub(crate) enum Negotiated {
    /// A stream is open.
    Stream { class: Class, stream: Stream },
    /// The peer did what it must not; its connection is to be closed.
    Fault(PeerFault),
}

/// The handler of one connection. Streams are opened by the connection's dialer only.
#[derive(Debug)]
pub(crate) struct Handler {
    dialed: bool,
    to_open: VecDeque<Class>,
    seen: [bool; 3],
    reports: VecDeque<Negotiated>,
}

impl Handler {
    pub(crate) fn new(dialed: bool) -> Self {
        Handler { dialed, to_open: VecDeque::new(), seen: [false; 3], reports: VecDeque::new() }
    }

    fn opened(&mut self, class: Class, stream: Stream) {
        let seen = &mut self.seen[class.index()];
        let report = if *seen {
            Negotiated::Fault(PeerFault::SecondStream { class })
        } else {
            *seen = true;
            Negotiated::Stream { class, stream }
        };
        // At most three streams and then faults, of which the first one ends the connection.
        if self.reports.len() < 8 {
            self.reports.push_back(report);
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenStreams;
    type ToBehaviour = Negotiated;
    type InboundProtocol = Accept;
    type OutboundProtocol = Open;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Class;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept, ()> {
        SubstreamProtocol::new(Accept { any: !self.dialed }, ()).with_timeout(NEGOTIATION_DEADLINE)
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Open, Class, Negotiated>> {
        if let Some(report) = self.reports.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report));
        }
        if let Some(class) = self.to_open.pop_front() {
            let protocol = SubstreamProtocol::new(Open(class), class).with_timeout(NEGOTIATION_DEADLINE);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        // Both queues are filled from calls of the connection task, which polls again after each.
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, OpenStreams: OpenStreams) {
        self.to_open.extend(Class::ALL);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Accept, Open, (), Class>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (class, stream), .. })
            | ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (class, stream), .. }) => {
                self.opened(class, stream)
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: class, error }) => {
                let cause = match error {
                    StreamUpgradeError::Timeout => {
                        format!("no answer within {} s", Duration::as_secs(&NEGOTIATION_DEADLINE))
                    }
                    StreamUpgradeError::NegotiationFailed => "it does not know the protocol".to_owned(),
                    StreamUpgradeError::Io(error) => error.to_string(),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                if self.reports.len() < 8 {
                    self.reports.push_back(Negotiated::Fault(PeerFault::StreamRefused { class, cause }));
                }
            }
            _ => {}
        }
    }
}

/// Accepts a stream of any class, or none at all on a connection that we dialled ourselves.
#[derive(Debug)]
pub(crate) struct Accept {
    any: bool,
}

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = Take<array::IntoIter<StreamProtocol, 3>>;

    fn protocol_info(&self) -> Self::InfoIter {
        let count = if self.any { 3 } else { 0 };
        Class::ALL.map(Class::protocol).into_iter().take(count)
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Class, Stream);
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        let class = Class::ALL.into_iter().find(|class| class.protocol() == protocol);
        // Only what `protocol_info` offers can be agreed upon, so the fallback is never taken.
        ready(Ok((class.unwrap_or(Class::Bulk), stream)))
    }
}

/// Opens a stream of one class.
#[derive(Debug)]
pub(crate) struct Open(Class);

impl UpgradeInfo for Open {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(self.0.protocol())
    }
}

impl OutboundUpgrade<Stream> for Open {
    type Output = (Class, Stream);
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok((self.0, stream)))
    }
}
