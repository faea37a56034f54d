//! [`Peer`]: who is at the other end.

use std::fmt;
use std::str::FromStr;

use libp2p::PeerId;
use libp2p::identity::Keypair;
use zeroize::Zeroizing;

use crate::error::Error;

/// The transport identity of a node: the hash of the public key that its connections prove to hold.
///
/// It is a per-store transport key, not the device key; the upper layer binds the two in its hello.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub(crate) PeerId);

impl Peer {
    /// The peer that holds this Ed25519 seed.
    ///
    /// # Errors
    /// [`Error::Key`] if the seed is not a key, which no 32 bytes are.
    pub fn of_seed(seed: &[u8; 32]) -> Result<Self, Error> {
        Ok(Peer(keypair(seed)?.public().to_peer_id()))
    }

    /// Reads the bytes of [`Peer::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Peer`] if they are not a peer id.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        PeerId::from_bytes(bytes).map(Peer).map_err(|cause| Error::Peer(cause.to_string()))
    }

    /// The peer id as bytes: a multihash, 38 bytes for an Ed25519 key.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.0)
    }
}

impl FromStr for Peer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Peer).map_err(|cause: libp2p::identity::ParseError| Error::Peer(cause.to_string()))
    }
}

/// The key pair of an Ed25519 seed. The copy made on the way is wiped.
pub(crate) fn keypair(seed: &[u8; 32]) -> Result<Keypair, Error> {
    let mut copy = Zeroizing::new(*seed);
    Keypair::ed25519_from_bytes(copy.as_mut_slice()).map_err(|cause| Error::Key(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_survives_bytes_and_text() {
        let peer = Peer::of_seed(&[7; 32]).unwrap();
        assert_eq!(Peer::from_bytes(&peer.to_bytes()).unwrap(), peer);
        assert_eq!(peer.to_string().parse::<Peer>().unwrap(), peer);
        assert!("nobody".parse::<Peer>().is_err());
        assert!(Peer::from_bytes(&[1, 2, 3]).is_err());
    }
}
