//! DNS names in addresses, by the operating system's resolver. libp2p's own (hickory) would be some thirty crates, and
//! would not see `/etc/hosts`, VPNs' resolvers or `.local` names.

use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::time::timeout;

use crate::limits::{ADDRESSES_PER_PEER_LIMIT, RESOLVE_DEADLINE};

/// Whether an address begins with a name that must be resolved before it is dialled.
pub(crate) fn needs_resolving(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)))
}

/// Replaces names by addresses. What cannot be resolved is left out, and said in the second value.
pub(crate) async fn resolve(addresses: Vec<Multiaddr>) -> (Vec<Multiaddr>, Vec<String>) {
    let (mut resolved, mut failures) = (Vec::new(), Vec::new());
    for address in addresses {
        if !needs_resolving(&address) {
            resolved.push(address);
            continue;
        }
        match lookup(&address).await {
            Ok(found) => resolved.extend(found),
            Err(cause) => failures.push(format!("{address}: {cause}")),
        }
    }
    resolved.truncate(ADDRESSES_PER_PEER_LIMIT);
    (resolved, failures)
}

async fn lookup(address: &Multiaddr) -> Result<Vec<Multiaddr>, String> {
    let mut parts = address.iter();
    let (name, v4, v6) = match parts.next() {
        Some(Protocol::Dns(name)) => (name, true, true),
        Some(Protocol::Dns4(name)) => (name, true, false),
        Some(Protocol::Dns6(name)) => (name, false, true),
        _ => return Ok(vec![address.clone()]),
    };
    let rest: Multiaddr = parts.collect();
    let found = match timeout(RESOLVE_DEADLINE, tokio::net::lookup_host((name.as_ref(), 0))).await {
        Ok(found) => found.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("the resolver gave no answer within {} s", RESOLVE_DEADLINE.as_secs())),
    };
    let dialable: Vec<Multiaddr> = found
        .filter_map(|socket| match socket.ip() {
            IpAddr::V4(ip) => v4.then(|| Multiaddr::from(ip)),
            IpAddr::V6(ip) => v6.then(|| Multiaddr::from(ip)),
        })
        .map(|start| rest.iter().fold(start, |address, part| address.with(part)))
        .collect();
    if dialable.is_empty() { Err("the name has no address of the kind asked for".to_owned()) } else { Ok(dialable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_resolves_without_a_network_and_the_rest_of_the_address_stays() {
        let addresses = vec!["/dns4/localhost/tcp/4001".parse().unwrap(), "/ip4/192.0.2.1/tcp/1".parse().unwrap()];
        let (resolved, failures) = resolve(addresses).await;
        let expected: Vec<Multiaddr> =
            vec!["/ip4/127.0.0.1/tcp/4001".parse().unwrap(), "/ip4/192.0.2.1/tcp/1".parse().unwrap()];
        assert_eq!((resolved, failures), (expected, vec![]));
    }
}
