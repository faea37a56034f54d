//! Listening: the default addresses, and what went wrong in words.

use std::io;
use std::net::{IpAddr, SocketAddr};

use libp2p::core::transport::{ListenerId, TransportError};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Swarm};
use socket2::{Domain, Socket, Type};

use crate::behaviour::Behaviour;
use crate::error::ListenError;

const TCP: &str = "TCP";
const UDP: &str = "UDP";

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
    if let Some((transport, socket)) = socket_of(address) {
        can_be_had(transport, socket).map_err(|error| explain(&error, transport, socket))?;
    }
    swarm.listen_on(address.clone()).map_err(|error| match error {
        TransportError::MultiaddrNotSupported(address) => ListenError::NotSupported(address.to_string()),
        TransportError::Other(error) => ListenError::Other(error.to_string()),
    })
}

/// Whether a socket can be bound, asked without `SO_REUSEPORT`. libp2p sets that for TCP, so that two processes of one
/// user share a port without an error, and each gets a part of the connections. Its QUIC hides the error's kind.
fn can_be_had(transport: &str, address: SocketAddr) -> io::Result<()> {
    let tcp = transport == TCP;
    let socket = Socket::new(Domain::for_address(address), if tcp { Type::STREAM } else { Type::DGRAM }, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Else the TIME_WAIT of an earlier run would count as somebody.
    #[cfg(unix)]
    socket.set_reuse_address(tcp)?;
    socket.bind(&address.into())?;
    if tcp { socket.listen(1) } else { Ok(()) }
}

fn explain(error: &io::Error, transport: &'static str, socket: SocketAddr) -> ListenError {
    let port = socket.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::PortInUse { transport, port },
        io::ErrorKind::PermissionDenied => ListenError::Refused { transport, port },
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported => {
            ListenError::NotHere(format!("{socket}: {error}"))
        }
        // EAFNOSUPPORT has no kind of its own in the standard library.
        _ if socket.is_ipv6() => ListenError::NotHere(format!("{socket}: {error}")),
        _ => ListenError::Other(format!("{socket}: {error}")),
    }
}

fn socket_of(address: &Multiaddr) -> Option<(&'static str, SocketAddr)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((TCP, SocketAddr::new(ip, port))),
        Protocol::Udp(port) => Some((UDP, SocketAddr::new(ip, port))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_addresses_share_one_port() {
        let addresses = default_addresses(4001);
        assert_eq!(addresses.len(), if cfg!(feature = "quic") { 4 } else { 2 });
        assert!(addresses.iter().all(|address| socket_of(address).unwrap().1.port() == 4001));
    }
}
