//! Frames from a peer.

use farshore_core::input::Class;
use farshore_core::keys::DeviceCertificate;
use farshore_core::limits::{
    ADDRESS_BYTES, CERTIFICATE_BYTES, FRAME_PEERS, FRAME_POSITIONS, FRAME_RANGES, FRAME_RECEIPTS,
    FRAME_ROSTER_POSITIONS, PEER_ADDRESSES, PEER_ID_BYTES, REASON_BYTES, ROSTER_OP_BYTES, SPACE_TAGS,
};
use farshore_core::wire::{self, Frame};

use crate::Outcome;

const CLASSES: [Class; 3] = [Class::Ctl, Class::Live, Class::Bulk];

/// The first byte picks the stream, the others are the frame.
///
/// Checked: an accepted frame has one encoding, keeps every limit, and is taken on no stream that it does not belong to. So has a
/// certificate in it.
pub fn frame(data: &[u8]) -> Outcome {
    let Some((class, bytes)) = data.split_first() else { return Outcome::Refused };
    let class = CLASSES[usize::from(*class) % CLASSES.len()];
    let Ok(frame) = Frame::decode(class, bytes) else { return Outcome::Refused };
    assert!(bytes.len() <= wire::cap(class), "a frame over the cap was taken");
    assert_eq!(frame.encode(), bytes, "{frame:?} has two encodings");
    within_limits(&frame);
    for other in CLASSES.into_iter().filter(|other| *other != class) {
        let both_carry_entries = class != Class::Ctl && other != Class::Ctl;
        let on_both =
            both_carry_entries && matches!(frame, Frame::Entry { .. } | Frame::Next { .. } | Frame::Part { .. });
        assert_eq!(Frame::decode(other, bytes).is_ok(), on_both, "{frame:?} on {other:?}");
    }
    Outcome::Accepted
}

fn within_limits(frame: &Frame) {
    let fits = match frame {
        Frame::Hello(hello) => 0 < hello.min_version && hello.min_version <= hello.max_version,
        Frame::Spaces { tags } => tags.len() <= SPACE_TAGS,
        Frame::Goodbye { reason } | Frame::Refuse { reason, .. } => reason.len() <= REASON_BYTES,
        Frame::Credit { class, .. } => *class != Class::Ctl,
        Frame::RosterHave { positions, .. } => positions.len() <= FRAME_ROSTER_POSITIONS,
        Frame::RosterOp { bytes, .. } | Frame::Grant { bytes, .. } => bytes.len() <= ROSTER_OP_BYTES,
        Frame::Frontier(frontier) => {
            frontier.positions.len() <= FRAME_POSITIONS && frontier.positions.iter().all(|held| held.position.seq > 0)
        }
        Frame::Want { ranges, .. } => {
            ranges.len() <= FRAME_RANGES && ranges.iter().all(|range| 0 < range.from && range.from <= range.to)
        }
        Frame::Receipt { positions, .. } => positions.len() <= FRAME_RECEIPTS,
        Frame::Peers { peers, .. } => {
            let short = |address: &String| address.len() <= ADDRESS_BYTES;
            peers.len() <= FRAME_PEERS
                && peers.iter().all(|hint| hint.peer.len() <= PEER_ID_BYTES && hint.addresses.len() <= PEER_ADDRESSES)
                && peers.iter().flat_map(|hint| &hint.addresses).all(short)
        }
        Frame::Join { certificate, .. } => {
            let read = DeviceCertificate::decode_unverified(certificate).ok();
            certificate.len() <= CERTIFICATE_BYTES && read.is_none_or(|read| read.encode() == *certificate)
        }
        _ => true, // fixed in size, or bounded by the cap alone
    };
    assert!(fits, "{frame:?} is over a limit");
}
