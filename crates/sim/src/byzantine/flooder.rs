//! Sends as much as it can of everything, far beyond its credit.

use farshore_core::id::{EntryHash, Incarnation, JournalId, Position};
use farshore_core::input::Class;
use farshore_core::wire::{Frame, Frontier, Held, Of, Range};

use super::hand::{Hand, Mischief};

/// Frames of a flood.
const FRAMES: u64 = 120;

#[derive(Debug, Default)]
pub(super) struct Flooder;

impl Mischief for Flooder {
    fn met(&mut self, hand: &mut Hand<'_>) {
        let handle = hand.handle;
        let flood = hand.dice.below(5);
        for number in 0..FRAMES {
            let journal =
                |incarnation| JournalId { incarnation: Incarnation([incarnation; 16]), ..hand.peer.journal() };
            let journals: Vec<JournalId> =
                (0..100).map(|n| journal((number as u8).wrapping_mul(100).wrapping_add(n))).collect();
            match flood {
                // Comparisons without end.
                0 => {
                    let state = hand.peer.state(handle, true);
                    hand.misbehave(Class::Ctl, &Frame::State(state));
                }
                // Journals that nobody has.
                1 => {
                    let position = Position { seq: 9, hash: EntryHash([9; 32]) };
                    let positions = journals.iter().map(|journal| Held::from((*journal, position))).collect();
                    let arrival = number + 1;
                    hand.misbehave(
                        Class::Ctl,
                        &Frame::Frontier(Frontier { handle, answer: true, more: false, arrival, positions }),
                    );
                }
                // Questions.
                2 => {
                    let range = |journal: &JournalId| Range { journal: *journal, from: 1, to: u64::MAX, of: Of::Shown };
                    let ranges = journals.iter().map(range).collect();
                    hand.misbehave(Class::Ctl, &Frame::Want { handle, more: false, ranges });
                }
                // Entries beyond its credit, as parts of one that never ends.
                3 => {
                    let (total, offset) = (4 << 20, (number as u32) * 50_000);
                    let (hash, bytes) = (EntryHash([7; 32]), vec![0; 50_000]);
                    hand.misbehave(Class::Bulk, &Frame::Part { handle, hash, total, offset, bytes });
                }
                // Noise.
                _ => {
                    *hand.misdeeds += 1;
                    let noise = (0..1_000).map(|_| hand.dice.below(256) as u8).collect();
                    hand.send_bytes(Class::Ctl, noise);
                }
            }
        }
    }
}
