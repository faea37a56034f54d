//! Claims to have written its entries at the end of time.

use farshore_core::time::HybridTime;

use super::hand::{Hand, Mischief};

#[derive(Debug, Default)]
pub(super) struct ClockLiar;

impl Mischief for ClockLiar {
    fn met(&mut self, hand: &mut Hand<'_>) {
        // Always the same journal, so that its entries are valid in all but their time.
        if hand.meeting > 1 {
            return;
        }
        hand.peer.new_journal();
        for _ in 0..3 {
            let document = hand.document();
            let item = hand.titled(document, "from the end of time");
            let time = HybridTime(u64::MAX - hand.dice.below(1_000));
            let entry = hand.peer.entry_with(&[item], |header| header.time = time);
            hand.entry(&entry);
        }
    }
}
