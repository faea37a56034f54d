//! Shows different members different entries at one place of its journal.
//!
//! Each branch goes on, so that whoever met one cannot take the other. The branches are about documents of their own.

use farshore_core::entry::Entry;
use farshore_core::id::DocumentId;

use super::FORKED_DOCUMENT;
use super::hand::{Hand, Mischief};

/// Entries of each branch.
const LENGTH: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Equivocator {
    branches: Vec<Vec<Entry>>,
}

impl Mischief for Equivocator {
    fn met(&mut self, hand: &mut Hand<'_>) {
        if self.branches.is_empty() {
            hand.peer.new_journal();
            self.branches = ["one", "two"].map(|title| branch(hand, title)).into();
        }
        let branch = self.branches[hand.meeting as usize % 2].clone();
        branch.iter().for_each(|entry| hand.entry(entry));
    }
}

fn branch(hand: &mut Hand<'_>, title: &str) -> Vec<Entry> {
    hand.peer.end = farshore_core::id::Position::START;
    let entries = (0..LENGTH).map(|index| {
        let mut document = DocumentId([index as u8; 16]);
        document.0[..6].copy_from_slice(&FORKED_DOCUMENT);
        document.0[8..].copy_from_slice(&hand.peer.incarnation.0[..8]);
        let item = hand.titled(document, title);
        hand.peer.entry(&[item])
    });
    entries.collect()
}
