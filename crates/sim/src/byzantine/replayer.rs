//! Sends again what it has heard, to others and later.

use farshore_core::input::Class;
use farshore_core::wire::Frame;

use super::hand::{Hand, Mischief};

/// Frames that it remembers.
const REMEMBERED: usize = 300;
/// Where the space's handle stands in the frames that have one.
const HANDLE: std::ops::Range<usize> = 1..9;

#[derive(Debug, Default)]
pub(super) struct Replayer {
    heard: Vec<(Class, Vec<u8>)>,
}

impl Mischief for Replayer {
    fn met(&mut self, hand: &mut Hand<'_>) {
        for (class, bytes) in self.heard.clone() {
            let mut bytes = bytes;
            // As it was heard it names a space as another link does: half of them are made to fit this one.
            let named = bytes.first().is_some_and(|kind| (0x10..0x20).contains(kind) || *kind >= 0x30);
            if named && bytes.len() >= HANDLE.end && hand.dice.percent(80) {
                bytes[HANDLE].copy_from_slice(&hand.handle.0);
            }
            *hand.misdeeds += 1;
            hand.send_bytes(class, bytes);
        }
        // Whoever hears nothing has nothing to repeat: so it asks.
        let state = hand.peer.state(hand.handle, true);
        hand.send(Class::Ctl, &Frame::State(state));
    }

    fn heard(&mut self, hand: &mut Hand<'_>, class: Class, bytes: &[u8]) {
        if self.heard.len() < REMEMBERED {
            self.heard.push((class, bytes.to_vec()));
        }
        if hand.dice.percent(20) {
            *hand.misdeeds += 1;
            hand.send_bytes(class, bytes.to_vec());
        }
    }
}
