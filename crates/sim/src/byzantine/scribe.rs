//! Writes entries though its role is that of a reader.

use super::hand::{Hand, Mischief};

#[derive(Debug, Default)]
pub(super) struct Scribe;

impl Mischief for Scribe {
    fn met(&mut self, hand: &mut Hand<'_>) {
        hand.peer.new_journal();
        let document = hand.document();
        let item = hand.titled(document, "by a reader");
        let entry = hand.peer.entry(&[item]);
        hand.entry(&entry);
    }
}
