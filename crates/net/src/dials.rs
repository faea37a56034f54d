//! [`Dials`]: the dials under way, and who waits for which. A dial is one connection attempt over all addresses of a
//! peer; a caller without a peer id gets one attempt an address.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError as SwarmError};
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::oneshot;

use crate::Peer;
use crate::behaviour::Behaviour;
use crate::error::DialError;
use crate::resolve::{needs_resolving, resolve};

/// How a caller hears of the end of his dial.
pub(crate) type Reply = oneshot::Sender<Result<Peer, DialError>>;

/// On whose behalf an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// The peer is wanted.
    Book,
    /// A caller waits.
    Waiter(u64),
}

/// An attempt before it has a connection.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) peer: Option<PeerId>,
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) on_behalf: For,
    /// Names that could not be resolved.
    failures: Vec<String>,
}

#[derive(Debug)]
struct Attempt {
    peer: Option<PeerId>,
    on_behalf: For,
}

#[derive(Debug)]
struct Waiter {
    /// Known from the start, or once a connection is established.
    peer: Option<PeerId>,
    attempts: usize,
    connected: bool,
    errors: Vec<DialError>,
    reply: Reply,
}

/// See the head of the file.
pub(crate) struct Dials {
    attempts: BTreeMap<ConnectionId, Attempt>,
    waiters: BTreeMap<u64, Waiter>,
    next_waiter: u64,
    /// Names being looked up. The caller polls it and calls [`Dials::start`] with what comes out.
    pub(crate) resolving: FuturesUnordered<BoxFuture<'static, Request>>,
}

/// A dial of the book that has failed.
#[derive(Debug)]
pub(crate) struct BookFailure {
    pub(crate) peer: PeerId,
    pub(crate) error: DialError,
}

impl Dials {
    pub(crate) fn new() -> Self {
        Dials {
            attempts: BTreeMap::new(),
            waiters: BTreeMap::new(),
            next_waiter: 0,
            resolving: FuturesUnordered::new(),
        }
    }

    /// Dials for a caller. Addresses may end in `/p2p/...`; those without belong to `peer`, if there is one.
    pub(crate) fn ask(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        reply: Reply,
    ) {
        let mut known: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        let mut anybody = Vec::new();
        for address in addresses {
            let named = match address.iter().last() {
                Some(Protocol::P2p(named)) => Some(named),
                _ => None,
            };
            match peer.or(named) {
                Some(peer) => known.entry(peer).or_default().push(address),
                None => anybody.push(address),
            }
        }
        let requests: Vec<(Option<PeerId>, Vec<Multiaddr>)> = known
            .into_iter()
            .map(|(peer, addresses)| (Some(peer), addresses))
            .chain(anybody.into_iter().map(|address| (None, vec![address])))
            .collect();
        if requests.is_empty() {
            // The caller may have gone; then nobody needs the answer.
            let _ = reply.send(Err(DialError::NoAddress));
            return;
        }
        let id = self.next_waiter;
        self.next_waiter += 1;
        let attempts = requests.len();
        let peer = peer.or(if attempts == 1 { requests[0].0 } else { None });
        self.waiters.insert(id, Waiter { peer, attempts, connected: false, errors: Vec::new(), reply });
        for (peer, addresses) in requests {
            let request = Request { peer, addresses, on_behalf: For::Waiter(id), failures: Vec::new() };
            // A failure for a waiter is kept there; only the book's are handed back.
            let _ = self.begin(swarm, request);
        }
    }

    /// Dials a wanted peer.
    pub(crate) fn dial_wanted(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Option<BookFailure> {
        self.begin(swarm, Request { peer: Some(peer), addresses, on_behalf: For::Book, failures: Vec::new() })
    }

    fn begin(&mut self, swarm: &mut Swarm<Behaviour>, request: Request) -> Option<BookFailure> {
        if !request.addresses.iter().any(needs_resolving) {
            return self.start(swarm, request);
        }
        self.resolving.push(Box::pin(async move {
            let (addresses, failures) = resolve(request.addresses).await;
            Request { addresses, failures, ..request }
        }));
        None
    }

    /// Hands an attempt, its names resolved, to the swarm.
    pub(crate) fn start(&mut self, swarm: &mut Swarm<Behaviour>, request: Request) -> Option<BookFailure> {
        let Request { peer, addresses, on_behalf, failures } = request;
        if addresses.is_empty() && !failures.is_empty() {
            return self.fail(peer, on_behalf, DialError::Unreachable(failures.join("; ")));
        }
        // Whether the peer is linked already was asked before; libp2p's own conditions would also count a
        // connection that is half dead, or still closing.
        let options = match (peer, addresses.first()) {
            (Some(peer), _) => DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses).build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).build(),
            (None, None) => return self.fail(peer, on_behalf, DialError::NoAddress),
        };
        let connection = options.connection_id();
        match swarm.dial(options) {
            Ok(()) => {
                self.attempts.insert(connection, Attempt { peer, on_behalf });
                None
            }
            Err(error) => self.fail(peer, on_behalf, explain(error, peer)),
        }
    }

    /// A connection was established. Tells whether the book's dial made it.
    pub(crate) fn connected(&mut self, connection: ConnectionId, peer: PeerId) -> bool {
        let Some(attempt) = self.attempts.remove(&connection) else { return false };
        match attempt.on_behalf {
            For::Book => true,
            For::Waiter(id) => {
                if let Some(waiter) = self.waiters.get_mut(&id) {
                    waiter.attempts -= 1;
                    waiter.connected = true;
                    waiter.peer = Some(peer);
                }
                false
            }
        }
    }

    /// A connection could not be established.
    pub(crate) fn failed(&mut self, connection: ConnectionId, error: SwarmError) -> Option<BookFailure> {
        let attempt = self.attempts.remove(&connection)?;
        self.fail(attempt.peer, attempt.on_behalf, explain(error, attempt.peer))
    }

    fn fail(&mut self, peer: Option<PeerId>, on_behalf: For, error: DialError) -> Option<BookFailure> {
        match on_behalf {
            For::Book => peer.map(|peer| BookFailure { peer, error }),
            For::Waiter(id) => {
                if let Some(waiter) = self.waiters.get_mut(&id) {
                    waiter.attempts -= 1;
                    waiter.errors.push(error);
                    if waiter.attempts == 0
                        && !waiter.connected
                        && let Some(waiter) = self.waiters.remove(&id)
                    {
                        let _ = waiter.reply.send(Err(summarize(waiter.errors)));
                    }
                }
                None
            }
        }
    }

    /// A peer has a link: everybody who dialled it is answered.
    pub(crate) fn linked(&mut self, peer: PeerId) {
        let done: Vec<u64> =
            self.waiters.iter().filter(|(_, waiter)| waiter.peer == Some(peer)).map(|(id, _)| *id).collect();
        for id in done {
            if let Some(waiter) = self.waiters.remove(&id) {
                let _ = waiter.reply.send(Ok(Peer(peer)));
            }
        }
    }

    /// No connection of a peer will become a link: whoever has no other attempt under way is answered.
    pub(crate) fn hopeless(&mut self, peer: PeerId, cause: &DialError) {
        let is_lost = |waiter: &Waiter| waiter.peer == Some(peer) && waiter.connected && waiter.attempts == 0;
        let lost: Vec<u64> = self.waiters.iter().filter(|(_, w)| is_lost(w)).map(|(id, _)| *id).collect();
        for id in lost {
            if let Some(waiter) = self.waiters.remove(&id) {
                let _ = waiter.reply.send(Err(cause.clone()));
            }
        }
    }

    /// Answers everybody: the network is shut down.
    pub(crate) fn end_all(&mut self) {
        for (_, waiter) in std::mem::take(&mut self.waiters) {
            let _ = waiter.reply.send(Err(DialError::Down));
        }
    }
}

/// One error for several attempts: a wrong peer says the most, then whatever came first.
fn summarize(mut errors: Vec<DialError>) -> DialError {
    if let Some(wrong) = errors.iter().position(|error| matches!(error, DialError::WrongPeer { .. })) {
        return errors.swap_remove(wrong);
    }
    if errors.len() > 1 && errors.iter().all(|error| matches!(error, DialError::Unreachable(_))) {
        let causes: Vec<String> = errors
            .into_iter()
            .filter_map(|error| if let DialError::Unreachable(cause) = error { Some(cause) } else { None })
            .collect();
        return DialError::Unreachable(causes.join("; "));
    }
    errors.into_iter().next().unwrap_or(DialError::NoAddress)
}

fn explain(error: SwarmError, expected: Option<PeerId>) -> DialError {
    match error {
        SwarmError::LocalPeerId { address } => DialError::Ourselves { address },
        SwarmError::NoAddresses => DialError::NoAddress,
        SwarmError::WrongPeerId { obtained, address } => DialError::WrongPeer {
            expected: Peer(expected.unwrap_or(obtained)),
            found: Peer(obtained),
            address: crate::book::without_peer(address),
        },
        SwarmError::Denied { cause } => DialError::Limit(innermost(&cause)),
        SwarmError::DialPeerConditionFalse(_) => DialError::Limit("a dial is already under way".to_owned()),
        SwarmError::Aborted => DialError::Lost("the attempt was aborted".to_owned()),
        SwarmError::Transport(errors) => {
            let causes: Vec<String> =
                errors.iter().map(|(address, error)| format!("{address}: {}", innermost(error))).collect();
            DialError::Unreachable(causes.join("; "))
        }
    }
}

/// The innermost cause, which is the one that says something.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
