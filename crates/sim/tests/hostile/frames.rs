//! Bytes that are no frames, frames out of turn, and devices that are not who they say.

use farshore_core::entropy::Entropy;
use farshore_core::id::EntryHash;
use farshore_core::input::Class;
use farshore_core::limits::{CREDIT_PORTIONS, LIVE_WINDOW_BYTES};
use farshore_core::wire::{Frame, cap};

use crate::content::{document, sound};
use crate::peer::{InWorld, RawPeer};
use crate::rig::{ADA, BEN, Rig};

const CLASSES: [Class; 3] = [Class::Ctl, Class::Live, Class::Bulk];

/// One frame of every kind that a member may send.
fn samples(rig: &mut Rig) -> Vec<(Class, Vec<u8>)> {
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let handle = line.handle;
    let entry = mallory.entry(&[sound(&mallory, document(9), "hello")]);
    let mut frames: Vec<(Class, Vec<u8>)> = [
        Frame::Hello(line.mine.clone()),
        Frame::Auth { signature: mallory.proof(&rig.world, &line) },
        Frame::Spaces { tags: vec![[1; 16], [2; 16]] },
        Frame::Goodbye { reason: "bye".into() },
        Frame::Credit { class: Class::Bulk, bytes: 1 },
        Frame::State(mallory.state_on(&line, true)),
        Frame::Want {
            handle,
            more: false,
            ranges: vec![farshore_core::wire::Range {
                journal: mallory.journal(),
                from: 1,
                to: 9,
                of: farshore_core::wire::Of::Shown,
            }],
        },
        Frame::Receipt { handle, positions: vec![(mallory.journal(), 1)] },
        Frame::Join { ticket: [1; 16], certificate: mallory.certificate.clone(), mac: [2; 32] },
        Frame::Refuse { ticket: [1; 16], reason: "no".into() },
    ]
    .iter()
    .map(|frame| (Class::Ctl, frame.encode()))
    .collect();
    frames.push((Class::Live, Frame::RosterEnd { handle }.encode()));
    frames.push((Class::Live, Frame::Entry { handle, bytes: entry.as_bytes().to_vec() }.encode()));
    frames.push((Class::Live, Frame::Next { handle, after: [9; 4], rest: vec![1, 2] }.encode()));
    frames.push((
        Class::Bulk,
        Frame::Part { handle, hash: EntryHash([9; 32]), total: 9, offset: 0, bytes: vec![1, 2] }.encode(),
    ));
    line.hang_up(&mut rig.world);
    frames
}

#[test]
fn a_truncated_frame_of_any_kind_costs_its_sender_the_link_and_nobody_else_anything() {
    let mut rig = Rig::new(1);
    for (class, bytes) in samples(&mut rig) {
        // Entries, parts and reasons end where the frame ends; they are cut in tests of their own.
        let open_ended = matches!(bytes[0], 0x30..=0x32);
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            if open_ended && cut > 1 {
                continue;
            }
            let mut mallory = rig.mallory();
            let line = mallory.meet(&mut rig.world, ADA);
            line.send_bytes(&mut rig.world, class, bytes[..cut].to_vec());
            rig.assert_faulted(&line, "malformed frame");
        }
    }
    rig.assert_undisturbed();
}

#[test]
fn a_frame_with_bytes_left_over_or_over_its_cap_is_refused_before_it_is_read() {
    let mut rig = Rig::new(2);
    for (class, mut bytes) in samples(&mut rig) {
        if matches!(bytes[0], 0x30..=0x32) {
            continue;
        }
        bytes.push(0);
        let line = rig.mallory().meet(&mut rig.world, ADA);
        line.send_bytes(&mut rig.world, class, bytes);
        rig.assert_faulted(&line, "malformed frame");
    }
    for class in CLASSES {
        for kind in [0x03, 0x30] {
            let line = rig.mallory().meet(&mut rig.world, ADA);
            line.send_bytes(&mut rig.world, class, vec![kind; cap(class) + 1]);
            rig.assert_faulted(&line, "frame length");
        }
    }
    rig.assert_undisturbed();
}

#[test]
fn a_frame_on_the_wrong_stream_is_refused() {
    let mut rig = Rig::new(3);
    for (class, bytes) in samples(&mut rig) {
        let wrong = if class == Class::Ctl { Class::Bulk } else { Class::Ctl };
        let line = rig.mallory().meet(&mut rig.world, ADA);
        line.send_bytes(&mut rig.world, wrong, bytes);
        rig.assert_faulted(&line, "malformed frame");
    }
    rig.assert_undisturbed();
}

#[test]
fn a_peer_of_another_protocol_version_is_told_which_versions_there_are() {
    let mut rig = Rig::new(4);
    let mut mallory = rig.mallory();
    for (min_version, max_version) in [(2, 9), (u16::MAX, u16::MAX)] {
        let mut line = mallory.connect(&mut rig.world, ADA);
        (line.mine.min_version, line.mine.max_version) = (min_version, max_version);
        line.send(&mut rig.world, &Frame::Hello(line.mine.clone()));
        rig.assert_faulted(&line, "update the older one");
    }
    for (min_version, max_version) in [(0, 1), (2, 1)] {
        let mut line = mallory.connect(&mut rig.world, ADA);
        (line.mine.min_version, line.mine.max_version) = (min_version, max_version);
        line.send(&mut rig.world, &Frame::Hello(line.mine.clone()));
        rig.assert_faulted(&line, "version range");
    }
    // One that speaks this version among others is welcome.
    let mut line = mallory.connect(&mut rig.world, ADA);
    line.mine.max_version = 7;
    line.send(&mut rig.world, &Frame::Hello(line.mine.clone()));
    let signature = mallory.proof(&rig.world, &line);
    line.send(&mut rig.world, &Frame::Auth { signature });
    rig.assert_open(&line);
    rig.assert_undisturbed();
}

#[test]
fn thousands_of_random_and_mutated_frames_never_get_past_the_link() {
    let mut rig = Rig::new(5);
    let samples = samples(&mut rig);
    let mut entropy = Entropy::from_seed(&[5; 32], "random frames");
    let mut closed = 0;
    let mut line = rig.mallory().meet(&mut rig.world, ADA);
    for round in 0..6_000_u32 {
        let [choice, place, value, how] = entropy.array::<4>().map(usize::from);
        let (class, mut bytes) = samples[choice % samples.len()].clone();
        match how % 4 {
            0 => {
                bytes = vec![0; place];
                entropy.fill(&mut bytes);
            }
            1 => bytes.truncate(place % bytes.len()),
            _ => {
                let at = (place * 37) % bytes.len();
                bytes[at] ^= value as u8 | 1;
            }
        }
        let class = if how > 250 { CLASSES[place % 3] } else { class };
        if round % 2 == 0 && bytes.len() > 9 && !matches!(bytes[0], 0x01..=0x05 | 0x20..=0x23) {
            bytes[1..9].copy_from_slice(&line.handle.0);
        }
        line.send_bytes(&mut rig.world, class, bytes);
        if line.closed(&mut rig.world).is_some() {
            closed += 1;
            line = rig.mallory().meet(&mut rig.world, ADA);
        }
        if round % 1_000 == 0 {
            rig.assert_undisturbed();
        }
    }
    assert!(closed > 2_000, "only {closed} of the frames were refused");
    assert!(rig.rejected(ADA).is_empty() && rig.rejected(BEN).is_empty());
    rig.assert_undisturbed();
}

#[test]
fn nothing_but_hello_and_auth_is_taken_from_a_device_that_is_not_proved() {
    let mut rig = Rig::new(6);
    for (class, bytes) in samples(&mut rig) {
        if matches!(bytes[0], 0x01 | 0x02 | 0x04) {
            continue;
        }
        for greeted in [false, true] {
            let line = rig.mallory().connect(&mut rig.world, ADA);
            if greeted {
                line.send(&mut rig.world, &Frame::Hello(line.mine.clone()));
            }
            line.send_bytes(&mut rig.world, class, bytes.clone());
            rig.assert_faulted(&line, "before it proved its device");
        }
    }
    let line = rig.mallory().connect(&mut rig.world, ADA);
    line.send(&mut rig.world, &Frame::Auth { signature: [0; 64] });
    rig.assert_faulted(&line, "out of turn");
    rig.assert_undisturbed();
}

#[test]
fn a_device_that_proves_nothing_in_time_is_disconnected() {
    let mut rig = Rig::new(7);
    let line = rig.mallory().connect(&mut rig.world, ADA);
    line.send(&mut rig.world, &Frame::Hello(line.mine.clone()));
    rig.world.pass(9_999);
    assert_eq!(line.closed(&mut rig.world), None);
    rig.world.pass(1);
    rig.assert_faulted(&line, "did not prove its device in time");
    rig.assert_undisturbed();
}

#[test]
fn a_proof_by_another_key_is_refused() {
    let mut rig = Rig::new(8);
    // A stranger who says that he is Mallory, with the stranger's signature and with Mallory's over something else.
    for stolen in [false, true] {
        let (mut stranger, mallory) = (RawPeer::stranger(8), rig.mallory());
        let mut line = stranger.connect(&mut rig.world, ADA);
        line.mine.device = mallory.id();
        line.send(&mut rig.world, &Frame::Hello(line.mine.clone()));
        let signature = if stolen { mallory.proof(&rig.world, &line) } else { stranger.proof(&rig.world, &line) };
        // Mallory's own proof names her transport, not the stranger's: the connection is another one.
        line.send(&mut rig.world, &Frame::Auth { signature });
        rig.assert_faulted(&line, "could not prove the device that it claims to be");
    }
    rig.assert_undisturbed();
}

#[test]
fn a_proof_replayed_on_another_connection_is_refused() {
    let mut rig = Rig::new(9);
    let mut mallory = rig.mallory();
    let first = mallory.connect(&mut rig.world, ADA);
    let signature = mallory.proof(&rig.world, &first);
    let mut second = mallory.connect(&mut rig.world, ADA);
    // Even the nonce of the first hello is replayed.
    second.mine = first.mine.clone();
    second.send(&mut rig.world, &Frame::Hello(second.mine.clone()));
    second.send(&mut rig.world, &Frame::Auth { signature });
    rig.assert_faulted(&second, "could not prove the device that it claims to be");
    // Nor does Ada's own proof, sent back to her, prove anything.
    let mut mirror = mallory.connect(&mut rig.world, ADA);
    mirror.send(&mut rig.world, &Frame::Hello(mirror.mine.clone()));
    let echoed = mirror.received(&mut rig.world).into_iter().find(|frame| matches!(frame, Frame::Auth { .. })).unwrap();
    mirror.send(&mut rig.world, &echoed);
    rig.assert_faulted(&mirror, "could not prove the device that it claims to be");
    mirror = mallory.connect(&mut rig.world, ADA);
    mirror.mine.device = rig.world.devices[ADA].replica.identity().device;
    mirror.send(&mut rig.world, &Frame::Hello(mirror.mine.clone()));
    rig.assert_faulted(&mirror, "its store was copied");
    rig.assert_undisturbed();
}

#[test]
fn a_second_hello_or_proof_is_refused() {
    let mut rig = Rig::new(10);
    let line = rig.mallory().meet(&mut rig.world, ADA);
    line.send(&mut rig.world, &Frame::Hello(line.mine.clone()));
    rig.assert_faulted(&line, "said hello twice");
    let mallory = rig.mallory();
    let line = rig.mallory().meet(&mut rig.world, ADA);
    let signature = mallory.proof(&rig.world, &line);
    line.send(&mut rig.world, &Frame::Auth { signature });
    rig.assert_faulted(&line, "out of turn");
    rig.assert_undisturbed();
}

#[test]
fn frames_about_a_space_that_the_two_do_not_share_change_nothing() {
    let mut rig = Rig::new(11);
    let mut mallory = rig.mallory();
    let mut line = mallory.meet(&mut rig.world, ADA);
    line.received(&mut rig.world);
    line.handle.0 = [0xab; 8];
    let entry = mallory.entry(&[sound(&mallory, document(9), "hello")]);
    line.send(&mut rig.world, &Frame::State(mallory.state_on(&line, true)));
    line.send(&mut rig.world, &Frame::RosterHave { handle: line.handle, more: false, positions: Vec::new() });
    let times = (LIVE_WINDOW_BYTES as usize / CREDIT_PORTIONS as usize).div_ceil(entry.as_bytes().len());
    (0..times).for_each(|_| line.send_entry(&mut rig.world, &entry));
    rig.assert_open(&line);
    // Only the entries' credit came back.
    let frames = line.received(&mut rig.world);
    let due = (times * entry.as_bytes().len()) as u32;
    assert!(matches!(frames[..], [Frame::Credit { bytes, .. }] if bytes == due), "{frames:?}");
    assert_eq!(rig.value(ADA, document(9)), None);
    rig.assert_undisturbed();
}
