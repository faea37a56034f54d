//! Listening: the default addresses, and what went wrong in words.

use std::io;
use std::net::{IpAddr, SocketAddr};

use libp2p::core::transport::{ListenerId, TransportError};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Swarm};

use crate::behaviour::Behaviour;
use crate::error::ListenError;
use crate::transport::tcp_port_is_free;

/// QUIC and TCP, IPv4 and IPv6, on one port; port 0 lets the system choose one for each.
pub fn default_addresses(port: u16) -> Vec<Multiaddr> {
    let unspecified = [Protocol::Ip4([0, 0, 0, 0].into()), Protocol::Ip6([0u16; 8].into())];
    let mut addresses = Vec::new();
    if cfg!(feature = "quic") {
        let quic = |ip: &Protocol<'static>| {
            Multiaddr::empty().with(ip.clone()).with(Protocol::Udp(port)).with(Protocol::QuicV1)
        };
        addresses.extend(unspecified.iter().map(quic));
    }
    addresses.extend(unspecified.iter().map(|ip| Multiaddr::empty().with(ip.clone()).with(Protocol::Tcp(port))));
    addresses
}

/// Starts to listen on an address.
///
/// # Errors
/// [`ListenError`], worded for the person who chose the address.
pub(crate) fn listen_on(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Result<ListenerId, ListenError> {
    let socket = socket_of(address);
    if let Some(("TCP", tcp)) = socket
        && tcp.port() != 0
    {
        tcp_port_is_free(tcp).map_err(|error| explain(&error, socket))?;
    }
    swarm.listen_on(address.clone()).map_err(|error| match error {
        TransportError::MultiaddrNotSupported(address) => ListenError::NotSupported(address.to_string()),
        TransportError::Other(error) => explain(&error, socket),
    })
}

fn explain(error: &io::Error, socket: Option<(&'static str, SocketAddr)>) -> ListenError {
    let Some((transport, socket)) = socket else { return ListenError::Other(deepest(error).to_string()) };
    let port = socket.port();
    // QUIC's errors come wrapped; the kind is that of the innermost one.
    match deepest(error).kind() {
        io::ErrorKind::AddrInUse => ListenError::PortInUse { transport, port },
        io::ErrorKind::PermissionDenied => ListenError::Refused { transport, port },
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported => {
            ListenError::NotHere(format!("{socket}: {}", deepest(error)))
        }
        // EAFNOSUPPORT has no kind of its own in the standard library.
        _ if socket.is_ipv6() => ListenError::NotHere(format!("{socket}: {}", deepest(error))),
        _ => ListenError::Other(format!("{socket}: {}", deepest(error))),
    }
}

/// The innermost I/O error of a chain.
fn deepest(error: &io::Error) -> &io::Error {
    let mut found = error;
    let mut source: Option<&(dyn std::error::Error + 'static)> =
        error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            found = io;
            source = io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
            continue;
        }
        source = inner.source();
    }
    found
}

fn socket_of(address: &Multiaddr) -> Option<(&'static str, SocketAddr)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(("TCP", SocketAddr::new(ip, port))),
        Protocol::Udp(port) => Some(("UDP", SocketAddr::new(ip, port))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_error_keeps_its_kind() {
        let inner = io::Error::from(io::ErrorKind::AddrInUse);
        let wrapped = io::Error::other(io::Error::other(inner));
        let socket = Some(("UDP", "0.0.0.0:4001".parse().unwrap()));
        assert_eq!(explain(&wrapped, socket), ListenError::PortInUse { transport: "UDP", port: 4001 });
    }

    #[test]
    fn default_addresses_share_one_port() {
        let addresses = default_addresses(4001);
        assert_eq!(addresses.len(), if cfg!(feature = "quic") { 4 } else { 2 });
        assert!(addresses.iter().all(|address| socket_of(address).unwrap().1.port() == 4001));
    }
}
