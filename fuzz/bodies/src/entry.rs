//! Entries from a peer, and the payloads of members.

use arbitrary::{Result, Unstructured};
use farshore_core::bytes::Writer;
use farshore_core::change::compact;
use farshore_core::entropy::Entropy;
use farshore_core::entry::{Dep, Entry, Group, Header, SIGNATURE_BYTES};
use farshore_core::id::{
    CollectionTag, DeviceId, EntryHash, EpochId, Incarnation, JournalId, OpHash, Position, SpaceId,
};
use farshore_core::keys::DeviceKeys;
use farshore_core::limits::{CHANGE_BYTES, ENTRY_BYTES, ENTRY_DEPS, ENTRY_ITEMS, ITEM_CHANGES, ROSTER_HEADS};
use farshore_core::payload::{self, ItemBody, PackedChange};
use farshore_core::time::HybridTime;
use farshore_core::wire::Recent;

use crate::Outcome;

/// The first byte picks what the others are: an entry, the fields of a header to be signed, or an opened payload.
///
/// Checked: an accepted entry has one encoding and keeps its limits. A header that we sign is accepted if it is well formed and
/// refused if not, no bit of a signed entry can be changed, and the next one of its journal can go without its place. An accepted
/// payload reads back from what we write of it, and every change in it has one compact form.
pub fn entry(data: &[u8]) -> Outcome {
    match data.split_first() {
        None => Outcome::Refused,
        Some((kind, bytes)) if kind % 3 == 0 => whole(bytes),
        Some((kind, bytes)) if kind % 3 == 1 => signed(&mut Unstructured::new(bytes)).unwrap_or(Outcome::Refused),
        Some((_, bytes)) => opened(bytes),
    }
}

fn whole(bytes: &[u8]) -> Outcome {
    let Ok(entry) = Entry::decode(bytes.to_vec()) else { return Outcome::Refused };
    assert_eq!(entry.as_bytes(), bytes, "an entry is forwarded as it came");
    assert!(bytes.len() <= ENTRY_BYTES, "an entry over its limit was taken");
    let mut header = Writer::new();
    header.raw(&entry.header.bound_bytes()).u32(entry.header.sealed_len).raw(&entry.header.sealed_hash);
    // A newer version's flags and extension are taken and forwarded as they are.
    if !entry.is_newer() {
        assert!(bytes.starts_with(header.as_slice()), "a header has two encodings");
        let parts = header.len() + SIGNATURE_BYTES + entry.sealed().len();
        assert_eq!(bytes.len(), parts, "something lies between the parts");
    }
    assert!(well_formed(&entry.header), "a malformed header was taken: {:?}", entry.header);
    let _ = entry.verify(); // whatever the key and the signature are
    Outcome::Accepted
}

fn signed(u: &mut Unstructured<'_>) -> Result<Outcome> {
    let keys = DeviceKeys::generate(&mut Entropy::from_seed(&[2; 32], "device"));
    let header = header(u, keys.id())?;
    let bit: u16 = u.arbitrary()?;
    let sealed = u.bytes(u.len())?;
    let entry = Entry::sign(header, sealed, &keys);
    let mut bytes = entry.as_bytes().to_vec();
    let read = Entry::decode(bytes.clone());
    assert_eq!(read.is_ok(), well_formed(&entry.header), "{:?}", entry.header);
    let Ok(read) = read else { return Ok(Outcome::Refused) };
    assert_eq!(read, entry);
    assert!(read.verify() && read.sealed() == sealed);
    follows(&entry, &keys, sealed);
    let bit = usize::from(bit) % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    assert!(!Entry::decode(bytes).is_ok_and(|other| other.verify()), "bit {bit} can be changed");
    Ok(Outcome::Accepted)
}

/// The next entry of a journal can go without its place, and is put together again.
fn follows(entry: &Entry, keys: &DeviceKeys, sealed: &[u8]) {
    let Some(seq) = entry.header.seq.checked_add(1) else { return };
    let next = Entry::sign(Header { seq, prev: entry.hash, ..entry.header.clone() }, sealed, keys);
    let mut recent = Recent::default();
    recent.went(entry.as_bytes(), entry.hash);
    let (after, rest) = recent.shorten(next.as_bytes()).expect("it follows");
    assert_eq!(recent.restore(after, &rest).as_deref(), Some(next.as_bytes()));
}

/// Few different values, so that equal ones meet.
fn id<const N: usize>(u: &mut Unstructured<'_>) -> Result<[u8; N]> {
    Ok([u.arbitrary::<u8>()? % 4; N])
}

fn header(u: &mut Unstructured<'_>, device: DeviceId) -> Result<Header> {
    let collection = CollectionTag(id(u)?);
    let journal = JournalId { collection, device, incarnation: Incarnation(id(u)?) };
    let small = |u: &mut Unstructured<'_>| if u.ratio(1, 8)? { u.arbitrary() } else { u.int_in_range(0..=4_u64) };
    let mut roster_heads = Vec::new();
    for _ in 0..u.int_in_range(0..=18_u8)? {
        roster_heads.push(OpHash([u.arbitrary()?; 32]));
    }
    let mut deps = Vec::new();
    for _ in 0..u.int_in_range(0..=4_u8)? {
        let device = if u.ratio(1, 4)? { device } else { DeviceId(id(u)?) };
        let position = Position { seq: small(u)?, hash: EntryHash(id(u)?) };
        deps.push(Dep { device, incarnation: Incarnation(id(u)?), position });
    }
    if u.ratio(7, 8)? {
        roster_heads.sort_unstable();
        roster_heads.dedup();
        deps.sort_unstable();
    }
    Ok(Header {
        space: SpaceId(id(u)?),
        journal,
        seq: small(u)?,
        prev: EntryHash(id(u)?),
        group: Group { first: small(u)?, count: small(u)? as u16 },
        epoch: EpochId(id(u)?),
        time: HybridTime(u.arbitrary()?),
        roster_heads,
        deps,
        sealed_len: 0,
        sealed_hash: [0; 32],
    })
}

/// What `docs/protocol.md` asks of a header, said once more.
fn well_formed(header: &Header) -> bool {
    let Header { seq, group, prev, journal, .. } = header;
    let ascending = |a: &[OpHash]| a.windows(2).all(|pair| pair[0] < pair[1]);
    let journals: Vec<_> = header.deps.iter().map(|dep| (dep.device, dep.incarnation)).collect();
    *seq > 0
        && (*seq == 1) == (prev.0 == [0; 32])
        && group.first > 0
        && group.first <= *seq
        && u128::from(*seq) < u128::from(group.first) + u128::from(group.count)
        && group.first.checked_add(group.count.into()).is_some()
        && (1..=ROSTER_HEADS).contains(&header.roster_heads.len())
        && ascending(&header.roster_heads)
        && header.deps.len() <= ENTRY_DEPS
        && header.deps.iter().all(|dep| dep.position.seq > 0)
        && journals.windows(2).all(|pair| pair[0] < pair[1])
        && !journals.contains(&(journal.device, journal.incarnation))
}

fn opened(bytes: &[u8]) -> Outcome {
    let Ok(items) = payload::decode(bytes) else { return Outcome::Refused };
    assert!((1..=ENTRY_ITEMS).contains(&items.len()));
    let written = payload::encode(&items).expect("what was read can be written");
    assert_eq!(payload::decode(&written).as_ref(), Ok(&items), "a payload reads back as something else");
    for item in &items {
        let ItemBody::Changes(changes) = &item.body else { continue };
        assert!((1..=ITEM_CHANGES).contains(&changes.len()));
        let mut previous = None;
        for change in changes {
            let (actor, form) = match change {
                PackedChange::Derived(form) => ([1; 16], form),
                PackedChange::Genesis { actor, change } => (*actor, change),
            };
            let Ok((hash, chunk)) = compact::restore(form, &actor, previous, CHANGE_BYTES) else { continue };
            assert_eq!(compact::strip(&chunk, previous), Ok((hash, form.clone())), "a change has two compact forms");
            previous = Some(hash);
        }
    }
    Outcome::Accepted
}
