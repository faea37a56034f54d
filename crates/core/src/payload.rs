//! What an entry seals: items for one or more documents, deflated as one block with a declared, capped size.
//!
//! Layout before sealing: inflated length `u32`, codec `u8`, block. Deflate (zlib-rs) because it is already in Automerge's tree and
//! pure Rust; the codec byte leaves room for another. See `docs/decisions/`.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::bytes::{DecodeError, Reader, Writer};
use crate::change::compact;
use crate::id::DocumentId;
use crate::limits::{CHANGE_BYTES, ENTRY_ITEMS, ITEM_CHANGES, PAYLOAD_BYTES, TOMBSTONE_HEADS};

const CODEC_PLAIN: u8 = 0;
const CODEC_DEFLATE: u8 = 1;
/// Below this many bytes deflate rarely gains anything.
const DEFLATE_FROM_BYTES: usize = 64;

// 3 (blob reference), 4 (re-founding) and 5 (restore) are reserved.
const KIND_CHANGES: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;

/// One document's part of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The document.
    pub document: DocumentId,
    /// Which life of it: insert after delete starts the next.
    pub generation: u32,
    /// What happened to it.
    pub body: ItemBody,
}

/// What an item does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemBody {
    /// Automerge changes in causal order; none begins a life that is still empty.
    Changes(Vec<PackedChange>),
    /// The document was deleted by somebody who had seen these heads.
    Tombstone {
        /// Sorted Automerge heads.
        heads: Vec<[u8; 32]>,
    },
    /// A kind, or a form of a known kind, that this build does not know: kept and forwarded, counted as `waiting for upgrade`.
    Unknown {
        /// Its number.
        kind: u8,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// A change without what the receiver computes itself; see [`crate::change::compact`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackedChange {
    /// By the author's own derived actor.
    Derived(Vec<u8>),
    /// By a genesis actor, which is written out.
    Genesis {
        /// The actor.
        actor: [u8; 16],
        /// The compact change.
        change: Vec<u8>,
    },
}

// 2 (carried by a gateway) is reserved.
const ACTOR_DERIVED: u8 = 0;
const ACTOR_GENESIS: u8 = 1;

/// Encodes and deflates items.
///
/// # Errors
/// [`DecodeError::OverLimit`] when the items are more than an entry may hold: the caller splits them.
pub fn encode(items: &[Item]) -> Result<Vec<u8>, DecodeError> {
    let mut w = Writer::new();
    over("items", items.len(), ENTRY_ITEMS)?;
    w.count(items.len());
    for item in items {
        w.raw(&item.document.0).u32(item.generation);
        let (kind, body) = encode_body(&item.body)?;
        w.u8(kind).bytes(&body);
    }
    over("payload", w.len(), PAYLOAD_BYTES)?;
    Ok(deflate(w.as_slice()))
}

fn encode_body(body: &ItemBody) -> Result<(u8, Vec<u8>), DecodeError> {
    let mut w = Writer::new();
    let kind = match body {
        ItemBody::Changes(changes) => {
            // Receivers refuse it, and close the journal: better that the author's own device does.
            if changes.is_empty() {
                return Err(DecodeError::Invalid { field: "changes of an item" });
            }
            over("changes of an item", changes.len(), ITEM_CHANGES)?;
            w.count(changes.len());
            for change in changes {
                match change {
                    PackedChange::Derived(bytes) => w.u8(ACTOR_DERIVED).bytes(bytes),
                    PackedChange::Genesis { actor, change } => w.u8(ACTOR_GENESIS).raw(actor).bytes(change),
                };
            }
            KIND_CHANGES
        }
        ItemBody::Tombstone { heads } => {
            over("tombstone heads", heads.len(), TOMBSTONE_HEADS)?;
            w.count(heads.len());
            for head in heads {
                w.raw(head);
            }
            KIND_TOMBSTONE
        }
        ItemBody::Unknown { kind, bytes } => {
            w.raw(bytes);
            *kind
        }
    };
    Ok((kind, w.finish()))
}

/// Inflates and takes apart a payload.
///
/// # Errors
/// The author's fault: malformed, over a limit, or longer than it declares. [`DecodeError::Version`] is nobody's: a newer codec.
pub fn decode(bytes: &[u8]) -> Result<Vec<Item>, DecodeError> {
    let plain = inflate(bytes)?;
    let mut r = Reader::new(&plain);
    let mut items = Vec::new();
    for _ in 0..r.count(ENTRY_ITEMS, 16 + 4 + 1 + 4, "items")? {
        let document = DocumentId(r.array("document")?);
        let generation = r.u32("generation")?;
        let kind = r.u8("item kind")?;
        let body = r.bytes(PAYLOAD_BYTES, "item")?;
        items.push(Item { document, generation, body: decode_body(kind, body)? });
    }
    r.end()?;
    if items.is_empty() {
        return Err(DecodeError::Invalid { field: "items" });
    }
    Ok(items)
}

fn decode_body(kind: u8, body: &[u8]) -> Result<ItemBody, DecodeError> {
    let mut r = Reader::new(body);
    let out = match kind {
        0 => return Err(DecodeError::Invalid { field: "item kind" }),
        KIND_CHANGES => match decode_changes(&mut r)? {
            Some(changes) => ItemBody::Changes(changes),
            None => return Ok(ItemBody::Unknown { kind, bytes: body.to_vec() }),
        },
        KIND_TOMBSTONE => {
            let mut heads = Vec::new();
            for _ in 0..r.count(TOMBSTONE_HEADS, 32, "tombstone heads")? {
                heads.push(r.array("tombstone head")?);
            }
            if !heads.windows(2).all(|pair| pair[0] < pair[1]) {
                return Err(DecodeError::Invalid { field: "tombstone heads" });
            }
            ItemBody::Tombstone { heads }
        }
        _ => ItemBody::Unknown { kind, bytes: r.take(r.remaining(), "item")?.to_vec() },
    };
    r.end()?;
    Ok(out)
}

/// The changes of an item; `None` if one of them has a form that only a newer version knows. What follows it cannot be read.
fn decode_changes(r: &mut Reader<'_>) -> Result<Option<Vec<PackedChange>>, DecodeError> {
    let mut changes = Vec::new();
    for _ in 0..r.count(ITEM_CHANGES, 1 + 4, "changes of an item")? {
        let actor = match r.u8("actor kind")? {
            ACTOR_DERIVED => None,
            ACTOR_GENESIS => Some(r.array("genesis actor")?),
            _ => return Ok(None),
        };
        let change = r.bytes(CHANGE_BYTES, "change")?.to_vec();
        if compact::is_newer(&change) {
            return Ok(None);
        }
        changes.push(match actor {
            None => PackedChange::Derived(change),
            Some(actor) => PackedChange::Genesis { actor, change },
        });
    }
    Ok(Some(changes))
}

/// A block with its length and codec; what it holds is capped by the caller at [`PAYLOAD_BYTES`].
pub(crate) fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.u32(u32::try_from(plain.len()).expect("a payload is capped at 16 MiB before this"));
    if plain.len() >= DEFLATE_FROM_BYTES {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        // A new encoder each time: one of zlib-rs 0.6 that is reset makes other bytes than a new one, which would let what a device
        // writes depend on what it wrote before (I2), and panics if it was in the middle.
        // Writing to a Vec cannot fail; if a codec ever did, the plain form below is right too.
        if let Ok(block) = encoder.write_all(plain).and_then(|()| encoder.finish())
            && block.len() < plain.len()
        {
            w.u8(CODEC_DEFLATE).raw(&block);
            return w.finish();
        }
    }
    w.u8(CODEC_PLAIN).raw(plain);
    w.finish()
}

/// What [`deflate`] packed, at most [`PAYLOAD_BYTES`].
pub(crate) fn inflate(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut r = Reader::new(bytes);
    let declared = r.u32("payload length")? as usize;
    let codec = r.u8("payload codec")?;
    if codec > CODEC_DEFLATE {
        // Before anything else is judged: a newer codec may have other limits.
        let (found, known) = (codec.into(), CODEC_DEFLATE.into());
        return Err(DecodeError::Version { field: "payload codec", found, known });
    }
    over("payload length", declared, PAYLOAD_BYTES)?;
    let block = r.take(r.remaining(), "payload")?;
    let plain = match codec {
        CODEC_PLAIN => block.to_vec(),
        _ => {
            let mut plain = Vec::new();
            // One byte more than declared is enough to notice a lie, so a bomb costs no more than an honest payload.
            let mut limited = DeflateDecoder::new(block).take(declared as u64 + 1);
            limited.read_to_end(&mut plain).map_err(|_| DecodeError::Invalid { field: "payload" })?;
            plain
        }
    };
    if plain.len() != declared {
        return Err(DecodeError::Invalid { field: "payload length" });
    }
    Ok(plain)
}

fn over(field: &'static str, value: usize, limit: usize) -> Result<(), DecodeError> {
    if value <= limit {
        return Ok(());
    }
    Err(DecodeError::OverLimit { field, value: value as u64, limit: limit as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(length: usize) -> Item {
        let body = ItemBody::Changes(vec![
            PackedChange::Genesis { actor: [9; 16], change: vec![1, 2, 3] },
            PackedChange::Derived(vec![1; length]),
        ]);
        Item { document: DocumentId([3; 16]), generation: 2, body }
    }

    #[test]
    fn a_payload_reads_back_what_was_written() {
        let items =
            vec![item(0), item(5_000), Item { body: ItemBody::Tombstone { heads: vec![[1; 32], [2; 32]] }, ..item(0) }];
        assert_eq!(decode(&encode(&items).unwrap()).unwrap(), items);
    }

    #[test]
    fn a_payload_that_inflates_to_more_than_it_declares_is_refused() {
        let mut bytes = encode(&[item(100_000)]).unwrap();
        bytes[3] ^= 1;
        assert_eq!(decode(&bytes), Err(DecodeError::Invalid { field: "payload length" }));
        bytes[0] = 0xff;
        assert!(matches!(decode(&bytes), Err(DecodeError::OverLimit { .. })));
    }

    #[test]
    fn an_item_of_a_later_version_is_kept_as_it_is() {
        let items = vec![Item { body: ItemBody::Unknown { kind: 9, bytes: vec![1, 2] }, ..item(0) }];
        assert_eq!(decode(&encode(&items).unwrap()).unwrap(), items);
    }
}
