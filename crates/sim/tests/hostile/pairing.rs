//! Taking up invitations that one must not.

use farshore_core::input::{LinkId, Request};
use farshore_core::output::{Reply, RequestError};
use farshore_core::role::Role;
use farshore_core::wire::Frame;
use farshore_sim::World;

use crate::peer::{InWorld, Line, RawPeer, steal};
use crate::rig::{ADA, BEN, Rig};

/// What Ada answered to a `Join`: nothing yet, a welcome, or a refusal with its reason.
fn answer(rig: &mut Rig, line: &Line) -> Result<(), String> {
    for frame in line.received(&mut rig.world) {
        match frame {
            Frame::Welcome { .. } => return Ok(()),
            Frame::Refuse { reason, .. } => return Err(reason),
            _ => {}
        }
    }
    panic!("no answer")
}

fn is_member(rig: &mut Rig, peer: &RawPeer) -> bool {
    let status = rig.status(ADA);
    status.spaces[0].members.iter().any(|member| member.device == peer.id())
}

#[test]
fn a_ticket_is_taken_once_by_one_device_and_given_again_to_that_one() {
    let mut rig = Rig::new(70);
    let (_, ticket) = rig.invite(Role::Writer, 3600);
    let mut guest = RawPeer::stranger(70);
    let line = guest.greet(&mut rig.world, ADA);
    let join = guest.join(&rig.world, &line, &ticket);
    line.send(&mut rig.world, &join);
    assert_eq!(answer(&mut rig, &line), Ok(()));
    assert!(is_member(&mut rig, &guest));
    let members = rig.members(ADA, ticket.space);
    line.hang_up(&mut rig.world);
    // The welcome was lost: the same device asks again, even after the ticket's end, and gets it again.
    rig.world.pass(3_700_000);
    let line = guest.greet(&mut rig.world, ADA);
    let join = guest.join(&rig.world, &line, &ticket);
    line.send(&mut rig.world, &join);
    assert_eq!(answer(&mut rig, &line), Ok(()));
    assert_eq!(rig.members(ADA, ticket.space), members);
    // Another device does not.
    let mut second = RawPeer::stranger(71);
    let line = second.greet(&mut rig.world, ADA);
    let join = second.join(&rig.world, &line, &ticket);
    line.send(&mut rig.world, &join);
    assert!(answer(&mut rig, &line).unwrap_err().contains("used already, by device"));
    assert!(!is_member(&mut rig, &second));
    rig.assert_open(&line);
    assert_eq!(rig.members(BEN, ticket.space), members);
    rig.assert_undisturbed();
}

#[test]
fn a_join_without_the_tickets_secret_is_refused_and_uses_nothing_up() {
    let mut rig = Rig::new(72);
    let (_, ticket) = rig.invite(Role::Admin, 3600);
    let mut guest = RawPeer::stranger(72);
    let line = guest.greet(&mut rig.world, ADA);
    let Frame::Join { ticket: id, certificate, mac } = guest.join(&rig.world, &line, &ticket) else { unreachable!() };
    let other = RawPeer::stranger(73).certificate;
    for (id, certificate, mac) in
        [(id, certificate.clone(), [0; 32]), ([9; 16], certificate.clone(), mac), (id, other, mac)]
    {
        line.send(&mut rig.world, &Frame::Join { ticket: id, certificate, mac });
        assert!(answer(&mut rig, &line).unwrap_err().contains("gave out no such invitation"));
    }
    // The right proof, overheard and replayed by another device on another link.
    let mut thief = RawPeer::stranger(74);
    let stolen = thief.greet(&mut rig.world, ADA);
    stolen.send(&mut rig.world, &Frame::Join { ticket: id, certificate: certificate.clone(), mac });
    assert!(answer(&mut rig, &stolen).unwrap_err().contains("gave out no such invitation"));
    assert!(!is_member(&mut rig, &thief) && !is_member(&mut rig, &guest));
    line.send(&mut rig.world, &Frame::Join { ticket: id, certificate, mac });
    assert_eq!(answer(&mut rig, &line), Ok(()));
    rig.assert_undisturbed();
}

#[test]
fn a_joiner_that_knows_the_secret_must_bring_its_own_certificate() {
    let mut rig = Rig::new(75);
    let (_, ticket) = rig.invite(Role::Writer, 3600);
    let (mut guest, other) = (RawPeer::stranger(75), RawPeer::stranger(76));
    let line = guest.greet(&mut rig.world, ADA);
    guest.certificate = other.certificate.clone();
    let join = guest.join(&rig.world, &line, &ticket);
    line.send(&mut rig.world, &join);
    assert!(answer(&mut rig, &line).unwrap_err().contains("certificate is not for the device that asks"));
    *guest.certificate.last_mut().unwrap() ^= 1;
    let join = guest.join(&rig.world, &line, &ticket);
    line.send(&mut rig.world, &join);
    assert!(answer(&mut rig, &line).unwrap_err().contains("certificate"));
    assert!(!is_member(&mut rig, &guest) && !is_member(&mut rig, &other));
    rig.assert_undisturbed();
}

#[test]
fn a_ticket_ends_by_the_inviters_clock_whatever_the_joiners_says() {
    let mut rig = Rig::new(77);
    let (_, ticket) = rig.invite(Role::Writer, 60);
    rig.world.pass(61_000);
    let mut guest = RawPeer::stranger(77);
    let line = guest.greet(&mut rig.world, ADA);
    let join = guest.join(&rig.world, &line, &ticket);
    line.send(&mut rig.world, &join);
    let reason = answer(&mut rig, &line).unwrap_err();
    assert!(reason.contains("expired 1 s ago by the inviter's clock; ask for a new one"), "{reason}");
    assert!(!is_member(&mut rig, &guest));
    rig.assert_undisturbed();
}

fn refused(world: &mut World, device: usize, text: &str) -> String {
    let now = world.now();
    let id = world.devices[device].request(now, Request::Join { ticket: text.to_owned() });
    match world.devices[device].reply(id) {
        Some(Err(RequestError::Ticket(reason))) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ticket_that_cannot_be_used_is_refused_at_once_with_the_reason() {
    let mut rig = Rig::new(78);
    let (text, _) = rig.invite(Role::Writer, 60);
    let mut other = World::new(79, 1);
    let altered = text.replace(char::from(text.as_bytes()[60]), "");
    for (text, words) in [
        ("hello", "not a ticket"),
        (&text[..text.len() / 2], "cut short"),
        (altered.as_str(), "ticket"),
        (&text.replacen('1', "7", 1), "version 7"),
    ] {
        let reason = refused(&mut other, 0, text);
        assert!(reason.contains(words), "{reason}");
    }
    other.clock_ms = 120_000;
    assert!(refused(&mut other, 0, &text).contains("expired 60 s ago by this device's clock"));
    // A member has no use for it, and neither has the inviter.
    assert!(refused(&mut rig.world, BEN, &text).contains("member of its space already"));
    assert!(refused(&mut rig.world, ADA, &text).contains("member of its space already"));
    rig.assert_undisturbed();
}

#[test]
fn a_join_while_the_inviter_is_away_waits_and_can_be_given_up() {
    let mut rig = Rig::new(80);
    let (text, ticket) = rig.invite(Role::Writer, 3600);
    let seed = [80; 32];
    let now = rig.world.now();
    rig.world.devices.push(farshore_sim::Device::create(seed, "late", now));
    let late = rig.world.devices.len() - 1;
    let first = rig.world.devices[late].request(now, Request::Join { ticket: text.clone() });
    rig.world.pass(60_000);
    assert_eq!(rig.world.devices[late].reply(first), None);
    // Asked twice it is one join.
    assert!(refused(&mut rig.world, late, &text).contains("being used by this device already"));
    let now = rig.world.now();
    assert_eq!(rig.world.devices[late].ask(now, Request::CancelJoin { ticket: text.clone() }), Reply::Done);
    assert_eq!(rig.world.devices[late].reply(first), Some(Err(RequestError::Cancelled)));
    // Given up is not used up; Ben, who is there, is not asked in Ada's place.
    let again = rig.world.devices[late].request(now, Request::Join { ticket: text });
    rig.world.link(late, BEN);
    rig.world.run();
    assert_eq!(rig.world.devices[late].reply(again), None);
    rig.world.link(late, ADA);
    rig.world.run();
    assert_eq!(rig.world.devices[late].reply(again), Some(Ok(Reply::Space(ticket.space))));
    rig.assert_undisturbed();
}

/// Hands on what one device said on its link to the other's link, and shows it to `overheard` on the way.
fn hand_on(world: &mut World, from: LinkId, to: (LinkId, usize), overheard: &mut dyn FnMut(&[u8])) -> bool {
    let frames = std::mem::take(&mut world.outside(from).unwrap().frames);
    let any = !frames.is_empty();
    for (class, bytes) in frames {
        overheard(&bytes);
        world.inject(to.0, to.1, class, bytes);
    }
    any
}

#[test]
fn no_frame_of_a_join_holds_the_tickets_secret() {
    // Two honest devices, and somebody between them who hands on and looks at every frame.
    let mut rig = Rig::new(86);
    let (text, ticket) = rig.invite(Role::Writer, 3600);
    let now = rig.world.now();
    rig.world.devices.push(farshore_sim::Device::create([86; 32], "joiner", now));
    let joiner = rig.world.devices.len() - 1;
    let request = rig.world.devices[joiner].request(now, Request::Join { ticket: text.clone() });
    let peers = [ADA, joiner].map(|device| rig.world.devices[device].replica.identity().transport_peer());
    let [of_ada, of_joiner] = peers;
    let at_ada = rig.world.link_outside(ADA, of_joiner);
    let at_joiner = rig.world.link_outside(joiner, of_ada);
    let mut frames = [0; 2];
    let mut overheard = |side: usize, bytes: &[u8]| {
        frames[side] += 1;
        // A part of the secret would be too much, too; and so would the text in which it was handed over.
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(!ticket.secret.chunks(8).any(holds), "the ticket's secret is in {bytes:?}");
        assert!(!text.as_bytes().chunks_exact(16).any(holds), "the ticket's text is in {bytes:?}");
    };
    loop {
        let asked = hand_on(&mut rig.world, at_joiner, (at_ada, ADA), &mut |bytes| overheard(0, bytes));
        let told = hand_on(&mut rig.world, at_ada, (at_joiner, joiner), &mut |bytes| overheard(1, bytes));
        if !asked && !told {
            break;
        }
    }
    assert_eq!(rig.world.devices[joiner].reply(request), Some(Ok(Reply::Space(ticket.space))));
    assert!(frames.iter().all(|frames| *frames > 5), "{frames:?}");
    rig.assert_undisturbed();
}

#[test]
fn a_stranger_may_say_little_and_then_has_to_go() {
    let mut rig = Rig::new(81);
    let mut stranger = RawPeer::stranger(81);
    for frame in [
        Frame::Spaces { tags: vec![[1; 16]; 30] },
        Frame::Join { ticket: [1; 16], certificate: stranger.certificate.clone(), mac: [2; 32] },
        Frame::Credit { class: farshore_core::input::Class::Bulk, bytes: u32::MAX },
    ] {
        let line = stranger.greet(&mut rig.world, ADA);
        let mut sent = 0;
        while line.closed(&mut rig.world).is_none() {
            line.send(&mut rig.world, &frame);
            sent += frame.encode().len();
            assert!(sent < 5_000, "a stranger may say too much");
        }
        rig.assert_faulted(&line, "shares no space and sent too much");
    }
    rig.assert_undisturbed();
}

#[test]
fn nobody_is_welcomed_granted_or_refused_who_did_not_ask() {
    let mut rig = Rig::new(82);
    let space = rig.key.space;
    for frame in [
        Frame::Welcome { ticket: [1; 16], space, mac: [0; 32] },
        Frame::Grant { ticket: [1; 16], last: true, bytes: vec![1, 2, 3] },
    ] {
        let line = RawPeer::stranger(82).greet(&mut rig.world, ADA);
        line.send(&mut rig.world, &frame);
        rig.assert_faulted(&line, "");
    }
    let line = RawPeer::stranger(82).greet(&mut rig.world, ADA);
    line.send(&mut rig.world, &Frame::Refuse { ticket: [1; 16], reason: "no".into() });
    rig.assert_open(&line);
    rig.assert_undisturbed();
}

#[test]
fn an_inviter_that_does_not_know_the_secret_founds_nothing() {
    // The joiner is honest; its inviter's device keys are in hostile hands that never saw the ticket.
    let mut rig = Rig::new(83);
    let (text, ticket) = rig.invite(Role::Writer, 3600);
    let now = rig.world.now();
    rig.world.devices.push(farshore_sim::Device::create([84; 32], "joiner", now));
    let joiner = rig.world.devices.len() - 1;
    let request = rig.world.devices[joiner].request(now, Request::Join { ticket: text });
    let mut impostor = steal(&rig.world.devices[ADA], rig.key);
    let line = impostor.greet(&mut rig.world, joiner);
    let asked = line.received(&mut rig.world);
    assert!(asked.iter().any(|frame| matches!(frame, Frame::Join { .. })), "{asked:?}");
    line.send(&mut rig.world, &Frame::Welcome { ticket: ticket.id(), space: ticket.space, mac: [7; 32] });
    rig.assert_faulted(&line, "without knowing the ticket's secret");
    // Another device at the inviter's address is told apart too, and named.
    let mut other = RawPeer::stranger(85);
    other.transport.clone_from(&ticket.peer);
    other.greet(&mut rig.world, joiner);
    let Some(Err(RequestError::Ticket(reason))) = rig.world.devices[joiner].reply(request) else { panic!("no answer") };
    assert!(reason.contains("is not the one that gave it out"), "{reason}");
    assert!(rig.status(joiner).spaces.is_empty());
    rig.assert_undisturbed();
}
