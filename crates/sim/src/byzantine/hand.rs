//! What a kind of misbehaviour is given to act with.

use std::collections::VecDeque;
use std::fmt;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, AutoCommit};
use farshore_core::change::compact;
use farshore_core::entry::Entry;
use farshore_core::id::DocumentId;
use farshore_core::input::{Class, LinkId};
use farshore_core::output::Output;
use farshore_core::payload::{Item, ItemBody, PackedChange};
use farshore_core::wire::{Frame, Handle};

use super::peer::RawPeer;
use crate::dice::Dice;

/// A way to misbehave.
pub(super) trait Mischief: fmt::Debug {
    /// An honest member was met on a link: both have the space.
    fn met(&mut self, hand: &mut Hand<'_>);

    /// It said something.
    fn heard(&mut self, hand: &mut Hand<'_>, class: Class, bytes: &[u8]) {
        let _ = (hand, class, bytes);
    }
}

/// The link to act on, and the means.
#[derive(Debug)]
pub(super) struct Hand<'a> {
    pub(super) peer: &'a mut RawPeer,
    pub(super) link: LinkId,
    pub(super) handle: Handle,
    /// Counts the meetings, from 1.
    pub(super) meeting: u64,
    pub(super) dice: &'a mut Dice<'static>,
    pub(super) outputs: &'a mut VecDeque<Output>,
    pub(super) misdeeds: &'a mut u64,
}

impl Hand<'_> {
    /// Sends a frame that an honest device would not.
    pub(super) fn misbehave(&mut self, class: Class, frame: &Frame) {
        *self.misdeeds += 1;
        self.send(class, frame);
    }

    /// Sends a frame like an honest device.
    pub(super) fn send(&mut self, class: Class, frame: &Frame) {
        self.send_bytes(class, frame.encode());
    }

    /// Sends any bytes.
    pub(super) fn send_bytes(&mut self, class: Class, frame: Vec<u8>) {
        self.outputs.push_back(Output::Send { link: self.link, class, frame });
    }

    /// Sends an entry that an honest device would not, in parts if it is large.
    pub(super) fn entry(&mut self, entry: &Entry) {
        /// Of an entry in one frame: less than the cap of a frame, with room for its own fields.
        const PIECE: usize = 60_000;
        let (handle, bytes) = (self.handle, entry.as_bytes());
        if bytes.len() <= PIECE {
            return self.misbehave(Class::Live, &Frame::Entry { handle, bytes: bytes.to_vec() });
        }
        let total = bytes.len() as u32;
        for (index, piece) in bytes.chunks(PIECE).enumerate() {
            let offset = (index * PIECE) as u32;
            let part = Frame::Part { handle, hash: entry.hash, total, offset, bytes: piece.to_vec() };
            self.misbehave(Class::Bulk, &part);
        }
    }

    /// A document that nobody else has.
    pub(super) fn document(&mut self) -> DocumentId {
        let mut id = [0xb2; 16];
        id[8..].copy_from_slice(&self.dice.next_u64().to_be_bytes());
        DocumentId(id)
    }

    /// A sound item by this peer: it makes a document with this title.
    pub(super) fn titled(&self, document: DocumentId, title: &str) -> Item {
        self.titled_by(self.peer.actor(document, 1), document, title)
    }

    /// The same under any actor.
    pub(super) fn titled_by(&self, actor: [u8; 16], document: DocumentId, title: &str) -> Item {
        let mut doc = AutoCommit::new();
        doc.set_actor(ActorId::from(actor));
        doc.put(automerge::ROOT, "title", title).expect("a map takes a string");
        doc.commit_with(CommitOptions::default().with_time(0));
        let change = doc.get_last_local_change().expect("one change was made");
        let (_, packed) = compact::strip(change.raw_bytes(), None).expect("Automerge's own change");
        let body = ItemBody::Changes(vec![PackedChange::Derived(packed)]);
        Item { document, generation: 1, body }
    }
}
