//! Signs entries that name another member as their author, and changes under another's actor.

use farshore_core::document::derived_actor;
use farshore_core::id::{DeviceId, Incarnation};
use farshore_core::input::Class;
use farshore_core::payload::{ItemBody, PackedChange};
use farshore_core::wire::Frame;

use super::hand::{Hand, Mischief};

#[derive(Debug, Default)]
pub(super) struct Forger;

impl Mischief for Forger {
    fn met(&mut self, hand: &mut Hand<'_>) {
        let me = hand.peer.id();
        let others = hand.peer.access().roster.members().into_iter().map(|member| member.device);
        let others: Vec<DeviceId> = others.filter(|device| *device != me).collect();
        let Some(victim) = hand.dice.pick(&others).copied() else { return };
        let document = hand.document();
        match hand.dice.below(3) {
            // Another's journal, at its beginning or in a life that it never had.
            0 => {
                let incarnation = Incarnation([hand.dice.below(256) as u8; 16]);
                let item = hand.titled(document, "forged");
                let end = hand.peer.end;
                let forged = hand.peer.entry_with(&[item], |header| {
                    (header.journal.device, header.journal.incarnation) = (victim, incarnation);
                    (header.seq, header.prev, header.group.first) = (1, farshore_core::id::Position::START.hash, 1);
                });
                hand.peer.end = end;
                hand.entry(&forged);
            }
            // Its own journal, and a change that says it is the first of a container, under an actor of its choice.
            1 => {
                hand.peer.new_journal();
                let mut item = hand.titled(document, "forged");
                if let ItemBody::Changes(changes) = &mut item.body
                    && let Some(PackedChange::Derived(change)) = changes.pop()
                {
                    let actor = derived_actor(
                        hand.peer.access().key.space,
                        hand.peer.access().key.collection,
                        victim,
                        document,
                        1,
                        Incarnation([1; 16]),
                    );
                    changes.push(PackedChange::Genesis { actor, change });
                }
                let forged = hand.peer.entry(&[item]);
                hand.entry(&forged);
            }
            // A signature that is none.
            _ => {
                hand.peer.new_journal();
                let item = hand.titled(document, "forged");
                let mut bytes = hand.peer.entry(&[item]).into_bytes();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                let handle = hand.handle;
                hand.misbehave(Class::Live, &Frame::Entry { handle, bytes });
            }
        }
    }
}
