//! Frames on a stream: `u32 BE length | payload`, and on `ctl` one kind byte in front of the payload.
//!
//! ```text
//! live, bulk:  | length: u32 BE, 1 ..= 65536 | payload                       |
//! ctl:         | length: u32 BE, 2 ..= 16385 | 0 | payload                   |   a frame of the upper layer
//!              | length = 9                  | 1 | nonce: u64                |   ping
//!              | length = 9                  | 2 | nonce: u64                |   pong, the same nonce
//! ```
//! A length over the limit, or too small for its kind, is the peer's fault; nothing was allocated by then.

use std::fmt;

use futures::{AsyncRead, AsyncReadExt};
use libp2p::StreamProtocol;

use crate::error::{DownReason, PeerFault};
use crate::limits::{BULK_FRAME_LIMIT, CTL_FRAME_LIMIT, LIVE_FRAME_LIMIT};

/// What a frame is for, which decides its stream, its limit and its priority: `Ctl` before `Live` before `Bulk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Hello, digests, frontiers, credit: small, and everything waits for it.
    Ctl,
    /// Entries just made.
    Live,
    /// Checkpoints, old entries, blobs.
    Bulk,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Class; 3] = [Class::Ctl, Class::Live, Class::Bulk];

    /// The longest payload of one frame, in bytes.
    pub fn frame_limit(self) -> usize {
        match self {
            Class::Ctl => CTL_FRAME_LIMIT,
            Class::Live => LIVE_FRAME_LIMIT,
            Class::Bulk => BULK_FRAME_LIMIT,
        }
    }

    /// The name of the class's substream protocol. A change of the framing is a new number.
    pub(crate) fn protocol(self) -> StreamProtocol {
        StreamProtocol::new(match self {
            Class::Ctl => "/farshore/ctl/1",
            Class::Live => "/farshore/live/1",
            Class::Bulk => "/farshore/bulk/1",
        })
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Bytes that a frame has on the stream beside its payload.
    pub(crate) fn header_len(self) -> usize {
        match self {
            Class::Ctl => 5,
            Class::Live | Class::Bulk => 4,
        }
    }

    /// The largest legal length prefix.
    fn prefix_limit(self) -> usize {
        self.frame_limit() + self.header_len() - 4
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Ctl => "ctl",
            Class::Live => "live",
            Class::Bulk => "bulk",
        })
    }
}

const KIND_FRAME: u8 = 0;
const KIND_PING: u8 = 1;
const KIND_PONG: u8 = 2;
/// Kind byte and nonce.
const PING_LEN: usize = 9;

/// What arrived on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Frame(Vec<u8>),
    Ping(u64),
    Pong(u64),
}

/// Appends a frame of the upper layer. `payload` is within the class's limit: the outbox saw to it.
pub(crate) fn put_frame(out: &mut Vec<u8>, class: Class, payload: &[u8]) {
    let kind = class.header_len() - 4;
    put_length(out, payload.len() + kind);
    if kind == 1 {
        out.push(KIND_FRAME);
    }
    out.extend_from_slice(payload);
}

pub(crate) fn put_ping(out: &mut Vec<u8>, nonce: u64) {
    put_nonce(out, KIND_PING, nonce);
}

pub(crate) fn put_pong(out: &mut Vec<u8>, nonce: u64) {
    put_nonce(out, KIND_PONG, nonce);
}

fn put_nonce(out: &mut Vec<u8>, kind: u8, nonce: u64) {
    put_length(out, PING_LEN);
    out.push(kind);
    out.extend_from_slice(&nonce.to_be_bytes());
}

fn put_length(out: &mut Vec<u8>, bytes: usize) {
    // All lengths are below 64 KiB + 8, see the limits.
    out.extend_from_slice(&(bytes as u32).to_be_bytes());
}

/// Reads one frame; `heard` is told of every byte that arrives, also of an unfinished frame.
///
/// # Errors
/// [`DownReason::Fault`] for a length, kind or ping that is not allowed, before anything is allocated for it;
/// [`DownReason::Closed`] at the end of the stream; [`DownReason::Io`] otherwise.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    class: Class,
    heard: &impl Fn(usize),
) -> Result<Incoming, DownReason> {
    let mut prefix = [0; 4];
    fill(stream, &mut prefix, heard).await?;
    let claimed = u32::from_be_bytes(prefix);
    let limit = class.prefix_limit();
    let length = match usize::try_from(claimed) {
        Ok(length) if length <= limit => length,
        _ => return Err(DownReason::Fault(PeerFault::TooLong { class, bytes: claimed, limit })),
    };
    if length <= class.header_len() - 4 {
        return Err(DownReason::Fault(PeerFault::Empty { class }));
    }
    if class != Class::Ctl {
        return Ok(Incoming::Frame(read_payload(stream, length, heard).await?));
    }
    let mut kind = [0; 1];
    fill(stream, &mut kind, heard).await?;
    match kind[0] {
        KIND_FRAME => Ok(Incoming::Frame(read_payload(stream, length - 1, heard).await?)),
        KIND_PING | KIND_PONG if length != PING_LEN => Err(DownReason::Fault(PeerFault::BadPing(length))),
        kind @ (KIND_PING | KIND_PONG) => {
            let mut nonce = [0; 8];
            fill(stream, &mut nonce, heard).await?;
            let nonce = u64::from_be_bytes(nonce);
            Ok(if kind == KIND_PING { Incoming::Ping(nonce) } else { Incoming::Pong(nonce) })
        }
        unknown => Err(DownReason::Fault(PeerFault::UnknownKind(unknown))),
    }
}

async fn read_payload(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
    heard: &impl Fn(usize),
) -> Result<Vec<u8>, DownReason> {
    let mut payload = vec![0; length];
    fill(stream, &mut payload, heard).await?;
    Ok(payload)
}

/// `read_exact`, but it tells of each part that arrives: on a slow line a frame takes longer than a heartbeat.
async fn fill(
    stream: &mut (impl AsyncRead + Unpin),
    mut buffer: &mut [u8],
    heard: &impl Fn(usize),
) -> Result<(), DownReason> {
    while !buffer.is_empty() {
        match stream.read(buffer).await {
            Ok(0) => return Err(DownReason::Closed),
            Ok(bytes) => {
                heard(bytes);
                buffer = &mut buffer[bytes..];
            }
            Err(error) => return Err(DownReason::Io(error.to_string())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::io::Cursor;

    fn read(class: Class, bytes: &[u8]) -> Result<Incoming, DownReason> {
        block_on(read_frame(&mut Cursor::new(bytes), class, &|_| ()))
    }

    #[test]
    fn what_is_put_is_what_is_read() {
        for class in Class::ALL {
            for length in [1, 2, 1000, class.frame_limit()] {
                let payload = vec![9; length];
                let mut out = Vec::new();
                put_frame(&mut out, class, &payload);
                assert_eq!(out.len(), length + class.header_len());
                assert_eq!(read(class, &out), Ok(Incoming::Frame(payload)));
            }
        }
        let mut out = Vec::new();
        put_ping(&mut out, 7);
        assert_eq!(read(Class::Ctl, &out), Ok(Incoming::Ping(7)));
        out.clear();
        put_pong(&mut out, 8);
        assert_eq!(read(Class::Ctl, &out), Ok(Incoming::Pong(8)));
    }

    #[test]
    fn lengths_over_the_limit_and_of_nothing_are_the_peers_fault() {
        for class in Class::ALL {
            let over = (class.prefix_limit() + 1) as u32;
            for claimed in [over, u32::MAX] {
                let answer = read(class, &claimed.to_be_bytes());
                assert!(matches!(answer, Err(DownReason::Fault(PeerFault::TooLong { bytes, .. })) if bytes == claimed));
            }
            assert_eq!(read(class, &[0; 4]), Err(DownReason::Fault(PeerFault::Empty { class })));
        }
        assert_eq!(read(Class::Ctl, &[0, 0, 0, 1, 0]), Err(DownReason::Fault(PeerFault::Empty { class: Class::Ctl })));
    }

    #[test]
    fn unknown_kinds_and_odd_pings_are_the_peers_fault() {
        assert_eq!(read(Class::Ctl, &[0, 0, 0, 2, 3, 0]), Err(DownReason::Fault(PeerFault::UnknownKind(3))));
        assert_eq!(read(Class::Ctl, &[0, 0, 0, 2, 1, 0]), Err(DownReason::Fault(PeerFault::BadPing(2))));
    }

    #[test]
    fn a_stream_that_ends_in_a_frame_is_closed_not_complete() {
        assert_eq!(read(Class::Live, &[0, 0, 0, 5, 1, 2]), Err(DownReason::Closed));
        assert_eq!(read(Class::Live, &[0, 0]), Err(DownReason::Closed));
    }
}
