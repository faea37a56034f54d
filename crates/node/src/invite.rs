//! [`Invitation`]: how another device gets into a space.

use std::time::Duration;

use farshore_core::id::SpaceId;
use farshore_core::input::Request;
use farshore_core::output::Reply;
use farshore_core::role::Role;

use crate::error::Error;
use crate::limits::{INVITATION_OPEN, TICKET_ADDRESSES};
use crate::net::peer_bytes;
use crate::node::{Node, unexpected};
use crate::os;
use crate::status::{NetworkState, NetworkStatus};

/// How long opening an invitation waits for the network to listen, which takes milliseconds where it works at all.
const LISTENING_WAIT: Duration = Duration::from_secs(2);

/// An invitation that is being prepared; [`Invitation::open`] gives the text to hand over.
///
/// The text is a secret: whoever has it first may join, once. This device must be running and reachable when it is used.
#[derive(Debug, Clone)]
#[must_use = "an invitation is not open until `open` is called"]
pub struct Invitation {
    node: Node,
    space: SpaceId,
    role: Role,
    open_for: Duration,
    addresses: Vec<String>,
}

impl Invitation {
    pub(crate) fn new(node: Node, space: SpaceId, role: Role) -> Self {
        Invitation { node, space, role, open_for: INVITATION_OPEN, addresses: Vec::new() }
    }

    /// How long it can be taken up. Default: 1 hour.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// Names this multiaddr in the ticket instead of those at which this device listens: that of a forwarded port or of a
    /// proxy. May be called several times.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Opens the invitation, durably, and gives the text to hand over.
    ///
    /// # Errors
    /// [`Error::Refused`] when this device may not invite with this role; [`Error::NoNetwork`] when nobody could reach it.
    pub async fn open(self) -> Result<String, Error> {
        let network = self.listening().await?;
        let mut addresses = self.addresses;
        if addresses.is_empty() {
            addresses = for_ticket(&network.listening);
        }
        addresses.truncate(TICKET_ADDRESSES);
        let request = Request::Invite {
            space: self.space,
            role: self.role,
            expires_unix_s: (os::wall_ms() / 1000).saturating_add(self.open_for.as_secs()),
            peer: peer_bytes(&network.peer)?,
            addresses,
        };
        match self.node.ask(request).await? {
            Reply::Ticket(text) => Ok(text),
            other => Err(unexpected(&other)),
        }
    }

    /// The network, once it listens somewhere. One that listens nowhere may still be reached by addresses given here.
    async fn listening(&self) -> Result<NetworkStatus, Error> {
        let mut network = self.node.inner.network.clone();
        let given = !self.addresses.is_empty();
        let ready = |status: &NetworkStatus| match &status.state {
            NetworkState::Up => (given && !status.peer.is_empty()) || !status.listening.is_empty(),
            NetworkState::Failed(_) => true,
            NetworkState::Off | NetworkState::Suspended => false,
        };
        let waited = tokio::time::timeout(LISTENING_WAIT, network.wait_for(ready)).await;
        let status = match waited {
            Ok(Ok(status)) => status.clone(),
            Ok(Err(_)) => return Err(Error::Closed),
            Err(_) => self.node.network(),
        };
        match status.state {
            NetworkState::Up => Ok(status),
            NetworkState::Off => {
                Err(Error::NoNetwork("it was opened offline; open it with a network to invite".into()))
            }
            NetworkState::Suspended => Err(Error::NoNetwork("it is suspended; resume it to invite".into())),
            NetworkState::Failed(cause) => Err(Error::NoNetwork(cause)),
        }
    }
}

/// The addresses that others can use, best first. Loopback only serves when there is nothing else: on another machine it
/// leads to that machine.
fn for_ticket(listening: &[String]) -> Vec<String> {
    let local = |address: &&String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
    let link_local = |address: &&String| address.starts_with("/ip6/fe80"); // A multiaddr has no scope: no dial succeeds.
    let outside: Vec<String> =
        listening.iter().filter(|address| !local(address) && !link_local(address)).cloned().collect();
    if outside.is_empty() {
        listening.iter().filter(|address| !link_local(address)).cloned().collect()
    } else {
        outside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_names_loopback_only_when_there_is_nothing_else() {
        let lan = "/ip4/192.168.1.7/tcp/4001".to_owned();
        let loopback = "/ip4/127.0.0.1/tcp/4001".to_owned();
        let useless = "/ip6/fe80::1/tcp/4001".to_owned();
        assert_eq!(for_ticket(&[loopback.clone(), useless.clone(), lan.clone()]), [lan]);
        assert_eq!(for_ticket(&[useless, loopback.clone()]), [loopback]);
    }
}
