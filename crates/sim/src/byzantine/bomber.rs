//! Sends well-formed entries that are dear to open or apply.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, AutoCommit, ObjType};
use farshore_core::change::compact;
use farshore_core::id::DocumentId;
use farshore_core::payload::{Item, ItemBody, PackedChange};

use super::hand::{Hand, Mischief};

/// Levels of a nest: the most that a change may make is 128.
const LEVELS: usize = 120;
/// Bytes of a string that deflates to almost nothing.
const STRING: usize = 200_000;
/// A kind of item that this build does not know.
const UNKNOWN_KIND: u8 = 99;

#[derive(Debug, Default)]
pub(super) struct Bomber;

impl Mischief for Bomber {
    fn met(&mut self, hand: &mut Hand<'_>) {
        hand.peer.new_journal();
        let document = hand.document();
        let items = match hand.dice.below(4) {
            // A document as deep as it may be.
            0 => vec![made(hand, document, |doc| {
                let mut parent = automerge::ROOT;
                for _ in 0..LEVELS {
                    parent = doc.put_object(&parent, "in", ObjType::Map)?;
                }
                Ok(())
            })],
            // Strings that deflate to almost nothing.
            1 => {
                let text = "x".repeat(STRING);
                let documents: Vec<DocumentId> = (0..3).map(|_| hand.document()).collect();
                documents.iter().map(|document| hand.titled(*document, &text)).collect()
            }
            // Many keys of one map.
            2 => vec![made(hand, document, |doc| {
                (0..2_000).try_for_each(|key| doc.put(automerge::ROOT, format!("k{key}"), 1))
            })],
            // Items of a kind that nobody knows, which deflate to almost nothing.
            _ => {
                let body = || ItemBody::Unknown { kind: UNKNOWN_KIND, bytes: vec![0; 5 << 20] };
                (0..2).map(|_| Item { document: hand.document(), generation: 1, body: body() }).collect()
            }
        };
        let bomb = hand.peer.entry(&items);
        hand.entry(&bomb);
    }
}

fn made(
    hand: &Hand<'_>,
    document: DocumentId,
    make: impl FnOnce(&mut AutoCommit) -> Result<(), automerge::AutomergeError>,
) -> Item {
    let mut doc = AutoCommit::new();
    doc.set_actor(ActorId::from(hand.peer.actor(document, 1)));
    make(&mut doc).expect("Automerge takes it");
    doc.commit_with(CommitOptions::default().with_time(0));
    let change = doc.get_last_local_change().expect("one change was made");
    let (_, packed) = compact::strip(change.raw_bytes(), None).expect("Automerge's own change");
    Item { document, generation: 1, body: ItemBody::Changes(vec![PackedChange::Derived(packed)]) }
}
