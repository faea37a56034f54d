//! Entries in parts of which the beginning came from one peer and the rest from another.

use farshore_core::id::{DeviceId, EntryHash};
use farshore_core::input::{Class, DocOp};
use farshore_core::limits::{PARTIAL_ENTRIES, RESTS_ASKED};
use farshore_core::wire::Frame;

use crate::content::document;
use crate::peer::InWorld;
use crate::rig::{ADA, BEN, Rig, fields, incompressible};

/// The last entry that Ben wrote, and its hash.
fn bens_last(rig: &Rig) -> (Vec<u8>, EntryHash) {
    let ben: DeviceId = rig.world.devices[BEN].replica.identity().device;
    let store = &rig.world.devices[BEN].store;
    let journals = store.journals(rig.key.space);
    let (journal, state) = journals.iter().find(|(journal, _)| journal.device == ben).unwrap();
    (store.entry(rig.key.space, *journal, state.held.seq).unwrap().to_vec(), state.held.hash)
}

/// Ben wrote a document for each of these lengths while he and Ada were apart.
fn apart(seed: u64, lengths: &[usize]) -> Rig {
    let mut rig = Rig::new(seed);
    rig.world.cut(rig.honest);
    for (n, length) in lengths.iter().enumerate() {
        rig.write_to(BEN, document(9 + n as u8), DocOp::Create(fields(&[("data", incompressible(*length))])));
    }
    rig
}

/// Mallory gives Ada the first 60,000 bytes of an entry, and no more.
fn begin(rig: &mut Rig, bytes: &[u8], hash: EntryHash) {
    let line = rig.mallory().meet(&mut rig.world, ADA);
    let (handle, total) = (line.handle, bytes.len() as u32);
    let part = Frame::Part { handle, hash, total, offset: 0, bytes: bytes[..60_000].to_vec() };
    line.send_bytes(&mut rig.world, Class::Bulk, part.encode());
    line.hang_up(&mut rig.world);
}

/// Bytes that Ben sends when he and Ada meet.
fn sent_when_they_meet(rig: &mut Rig) -> u64 {
    let before = rig.world.devices[BEN].counts.bytes;
    rig.meet();
    rig.world.devices[BEN].counts.bytes - before
}

#[test]
fn a_beginning_that_was_garbage_costs_one_transfer_and_not_the_link_of_who_went_on_with_it() {
    let mut rig = apart(120, &[300_000]);
    let (mut bytes, hash) = bens_last(&rig);
    bytes[50_000] ^= 1; // Within what is sealed: neither the header nor its hash tells.
    begin(&mut rig, &bytes, hash);
    let sent = sent_when_they_meet(&mut rig);
    let (rest, whole) = (bytes.len() as u64 - 60_000, bytes.len() as u64);
    assert!(sent > rest + whole, "{sent} bytes: the rest was never asked for, or the whole never after it");
    assert!(sent < rest + whole + 20_000, "{sent} bytes for {rest} and {whole}");
    assert!(rig.value(ADA, document(9)).is_some());
    rig.assert_undisturbed();
}

#[test]
fn beginnings_of_entries_that_do_not_follow_what_is_held_are_not_kept_and_the_rest_is_never_asked_for() {
    let mut rig = apart(121, &[300_000, 300_001]);
    let (bytes, hash) = bens_last(&rig); // Ada lacks the one before it.
    for _ in 0..PARTIAL_ENTRIES + RESTS_ASKED {
        begin(&mut rig, &bytes, hash);
    }
    let sent = sent_when_they_meet(&mut rig);
    assert!(sent > 2 * bytes.len() as u64, "{sent} bytes: something was taken from somebody else's beginning");
    rig.assert_undisturbed();
}

#[test]
fn a_part_that_names_another_entry_than_it_is_of_costs_its_sender_the_link() {
    let mut rig = apart(122, &[100_000]);
    let (bytes, _) = bens_last(&rig);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    let (handle, total, hash) = (line.handle, bytes.len() as u32, EntryHash([9; 32]));
    for (index, piece) in bytes.chunks(60_000).enumerate() {
        let part = Frame::Part { handle, hash, total, offset: index as u32 * 60_000, bytes: piece.to_vec() };
        line.send_bytes(&mut rig.world, Class::Bulk, part.encode());
    }
    rig.assert_faulted(&line, "another entry than they name");
    rig.meet();
    rig.assert_undisturbed();
}
