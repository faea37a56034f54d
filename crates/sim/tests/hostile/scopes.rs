//! Scopes from a hostile member: too many collections, unknown ones, flapping, and what does not hold together.

use farshore_core::catalogue::CollectionDefinition;
use farshore_core::id::CollectionTag;
use farshore_core::input::{Class, Request};
use farshore_core::limits::{
    CREDIT_PORTIONS, FRAME_SCOPES, LIVE_WINDOW_BYTES, SCOPE_TAGS, SCOPES_HEARD, SCOPES_HEARD_MS,
};
use farshore_core::output::Reply;
use farshore_core::subscription::Priority;
use farshore_core::wire::{Frame, Handle, Rank};
use farshore_sim::World;

use crate::content::{document, sound};
use crate::peer::InWorld as _;
use crate::rig::{ADA, Rig};

fn tags(from: usize, count: usize) -> Vec<(CollectionTag, Rank)> {
    let tag = |index: usize| {
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&(index as u64).to_be_bytes());
        CollectionTag(tag)
    };
    (from..from + count).map(|index| (tag(index), Rank::None)).collect()
}

fn scope(handle: Handle, more: bool, ranks: Vec<(CollectionTag, Rank)>) -> Frame {
    Frame::Scope { handle, number: 1, more, rest: Rank::Normal, ranks }
}

fn states(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| matches!(frame, Frame::State(_))).count()
}

#[test]
fn a_scope_of_more_collections_than_a_space_may_have_costs_its_sender_the_link() {
    let mut rig = Rig::new(0x5c01);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    let mut named = 0;
    while named <= SCOPE_TAGS && line.closed(&mut rig.world).is_none() {
        line.send(&mut rig.world, &scope(line.handle, true, tags(named, FRAME_SCOPES)));
        named += FRAME_SCOPES;
    }
    rig.assert_faulted(&line, "named more collections than a space may have");
    rig.assert_undisturbed();
}

#[test]
fn collections_that_nobody_knows_change_nothing_and_are_forgotten_with_the_next_scope() {
    let mut rig = Rig::new(0x5c02);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.received(&mut rig.world);
    line.send(&mut rig.world, &scope(line.handle, true, tags(0, FRAME_SCOPES)));
    assert!(line.received(&mut rig.world).is_empty(), "a part of a scope is not answered");
    line.send(&mut rig.world, &scope(line.handle, false, tags(FRAME_SCOPES, 1)));
    assert_eq!(states(&line.received(&mut rig.world)), 1);
    let named = |world: &World| {
        let sizes = world.devices[ADA].replica.sizes();
        sizes.iter().find(|size| size.what.starts_with("collections")).unwrap().size
    };
    assert_eq!(named(&rig.world), FRAME_SCOPES as u64 + 1);
    line.send(&mut rig.world, &scope(line.handle, false, Vec::new()));
    assert_eq!(named(&rig.world), 0);
    rig.assert_open(&line);
    rig.assert_undisturbed();
}

#[test]
fn a_scope_that_flaps_is_answered_a_bounded_number_of_times() {
    let mut rig = Rig::new(0x5c03);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.received(&mut rig.world);
    let flap = |rig: &mut Rig, times: u32| {
        for index in 0..times {
            line.send(&mut rig.world, &scope(line.handle, false, tags(index as usize % 2, 1)));
        }
    };
    flap(&mut rig, SCOPES_HEARD);
    assert_eq!(states(&line.received(&mut rig.world)), SCOPES_HEARD as usize);
    rig.assert_open(&line);
    // After a minute as often again, and not once more; leaving the space and coming back is no way around it.
    rig.world.pass(SCOPES_HEARD_MS);
    line.received(&mut rig.world);
    flap(&mut rig, SCOPES_HEARD / 2);
    let (tag, _) = rig.mallory().tag_and_handle(&line.mine, line.theirs.as_ref().unwrap());
    line.send(&mut rig.world, &Frame::Spaces { tags: Vec::new() });
    line.send(&mut rig.world, &Frame::Spaces { tags: vec![tag] });
    flap(&mut rig, SCOPES_HEARD / 2 + 1);
    rig.assert_faulted(&line, "changed what it wants over and over");
    rig.assert_undisturbed();
}

#[test]
fn a_scope_with_an_unknown_rank_or_on_another_stream_costs_its_sender_the_link() {
    for (seed, class) in [(0x5c04, Class::Ctl), (0x5c05, Class::Live)] {
        let mut rig = Rig::new(seed);
        let line = rig.mallory().meet(&mut rig.world, ADA);
        let mut bytes = scope(line.handle, false, tags(0, 1)).encode();
        if class == Class::Ctl {
            *bytes.last_mut().unwrap() = 4;
        }
        line.send_bytes(&mut rig.world, class, bytes);
        rig.assert_faulted(&line, "sent a malformed frame");
        rig.assert_undisturbed();
    }
}

#[test]
fn a_state_that_does_not_know_what_this_device_wants_is_not_answered() {
    let mut rig = Rig::new(0x5c06);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.received(&mut rig.world);
    let mut state = rig.mallory().state(line.handle, true);
    state.scope = 1;
    line.send(&mut rig.world, &Frame::State(state));
    assert!(line.received(&mut rig.world).is_empty());
    rig.assert_open(&line);
    rig.assert_undisturbed();
}

#[test]
fn entries_of_a_collection_that_is_not_wanted_are_dropped_and_their_credit_given_back() {
    let mut rig = Rig::new(0x5c07);
    let (now, space) = (rig.world.now(), rig.key.space);
    let definition = CollectionDefinition::new("heavy");
    let reply = rig.world.devices[ADA].ask(now, Request::DefineCollection { space, definition });
    let Reply::Collection(heavy) = reply else { panic!("a collection is defined") };
    let unsubscribe = Request::Subscribe { space, pattern: "heavy".into(), priority: Some(Priority::None) };
    assert!(matches!(rig.world.devices[ADA].ask(now, unsubscribe), Reply::Done));
    rig.world.run();
    let mut mallory = rig.mallory();
    if let Some(access) = &mut mallory.access {
        access.key.collection = heavy;
    }
    let line = mallory.meet(&mut rig.world, ADA);
    // Twice the window: it is over after the first half if nothing is given back.
    let text: String = (0..3_000_u32).map(|n| format!("{:08x}", n.wrapping_mul(0x9e37_79b9))).collect();
    let (mut sent, mut back) = (0, 0);
    while sent < 2 * u64::from(LIVE_WINDOW_BYTES) {
        let entry = mallory.entry(&[sound(&mallory, document(1), &text)]);
        line.send_entry(&mut rig.world, &entry);
        sent += entry.as_bytes().len() as u64;
        for frame in line.received(&mut rig.world) {
            if let Frame::Credit { bytes, class: Class::Live } = frame {
                back += u64::from(bytes);
            }
        }
    }
    assert!(sent - back < u64::from(LIVE_WINDOW_BYTES) / CREDIT_PORTIONS, "{sent} bytes sent, {back} given back");
    rig.assert_open(&line);
    let journals = rig.world.devices[ADA].store.journals(space);
    assert!(journals.keys().all(|journal| journal.collection != heavy), "{journals:?}");
    rig.assert_undisturbed();
}
