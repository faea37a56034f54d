//! Offers what others lack and sends none of it.

use farshore_core::id::{EntryHash, Position};
use farshore_core::input::Class;
use farshore_core::wire::{Frame, Frontier, Held};

use super::hand::{Hand, Mischief};

#[derive(Debug, Default)]
pub(super) struct Withholder;

impl Mischief for Withholder {
    fn met(&mut self, hand: &mut Hand<'_>) {
        // Asks to compare, to hear what there is.
        let state = hand.peer.state(hand.handle, true);
        hand.send(Class::Ctl, &Frame::State(state));
    }

    fn heard(&mut self, hand: &mut Hand<'_>, class: Class, bytes: &[u8]) {
        let Ok(Frame::Frontier(theirs)) = Frame::decode(class, bytes) else { return };
        // Of every journal it claims to hold some more, and of its own as well.
        let more = |held: Held| {
            let (seq, hash) = (held.position.seq + 3, EntryHash([0x77; 32]));
            Held { position: Position { seq, hash }, ..held }
        };
        let own = Held::from((hand.peer.journal(), Position { seq: 2, hash: EntryHash([0x77; 32]) }));
        let positions = theirs.positions.into_iter().map(more).chain([own]).take(100).collect();
        let (handle, arrival) = (hand.handle, 1_000 + hand.meeting);
        hand.misbehave(
            Class::Ctl,
            &Frame::Frontier(Frontier { handle, answer: true, more: false, arrival, positions }),
        );
    }
}
