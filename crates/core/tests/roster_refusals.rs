//! What is refused at the door, one reason at a time, with operations made by hand.

mod roster_support;

use farshore_core::bytes::DecodeError;
use farshore_core::id::{
    CollectionTag, DeviceId, EntryHash, EpochId, Incarnation, JournalId, OpHash, Position, SpaceId,
};
use farshore_core::limits::{EPOCH_WRAPS, RETAINED_JOURNALS, ROSTER_OP_BYTES};
use farshore_core::role::Role;
use farshore_core::roster::op::{EpochWrap, ParentEpoch};
use farshore_core::roster::{Inserted, OpBody, OpRefused, ReservedKind, Roster, RosterOp, op_hash};
use farshore_core::seal::{EpochKey, wrap, wrap_info};
use proptest::prelude::*;
use roster_support::*;

struct Cast {
    ada: Person,
    ben: Person,
    cleo: Person,
    relay: Person,
    stranger: Person,
    roster: Roster,
}

/// Ada founded; Ben is a writer, Cleo a reader, and a relay stands by.
fn cast() -> Cast {
    let [ada, ben, cleo, relay, stranger] = [1, 2, 3, 4, 5].map(|seed| Person::new(seed, "someone"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Writer);
    add(&mut roster, &ada, &cleo, Role::Reader);
    add(&mut roster, &ada, &relay, Role::Relay);
    Cast { ada, ben, cleo, relay, stranger, roster }
}

fn journal(device: DeviceId) -> (JournalId, Position) {
    let journal = JournalId { collection: CollectionTag([1; 16]), device, incarnation: Incarnation([2; 16]) };
    (journal, Position { seq: 5, hash: EntryHash([3; 32]) })
}

impl Cast {
    fn epoch(&self) -> EpochId {
        self.roster.first_epoch().unwrap()
    }

    fn wrap_of(&self, key: &EpochKey, who: &Person) -> EpochWrap {
        let info = wrap_info(&self.roster.space(), &key.id(), &who.id());
        EpochWrap { device: who.id(), wrap: wrap(&who.keys.kem_public(), &info, key, &mut entropy(9)).unwrap() }
    }

    fn new_epoch(&self) -> OpBody {
        let key = EpochKey::from_bytes([7; 32]);
        let mut wraps = vec![self.wrap_of(&key, &self.ada), self.wrap_of(&key, &self.ben)];
        wraps.sort_by_key(|wrap| wrap.device);
        OpBody::KeyEpoch { epoch: key.id(), parents: vec![ParentEpoch { epoch: self.epoch(), sealed: [1; 72] }], wraps }
    }

    fn share(&self) -> OpBody {
        let held = ring(&self.roster, &self.ada);
        OpBody::KeyShare { epoch: self.epoch(), wrap: self.wrap_of(&held[&self.epoch()], &self.cleo) }
    }

    /// One of each kind that may follow, with the least role that may author it; `None` stands for one's own device.
    fn each_kind(&self) -> Vec<(OpBody, Option<Role>)> {
        let (ben, stranger) = (self.ben.user_id(), self.stranger.user_id());
        let second = self.cleo.second_device(60, "tablet");
        let retain = vec![journal(self.ben.id())];
        let admin = Some(Role::Admin);
        vec![
            (OpBody::AddUser { user: stranger, role: Role::Writer }, admin),
            (OpBody::AddDevice { certificate: second.certificate }, None),
            (OpBody::SetRole { user: ben, role: Role::Reader, retain: retain.clone() }, admin),
            (OpBody::RemoveUser { user: ben, retain: retain.clone() }, admin),
            (OpBody::RevokeDevice { device: self.cleo.id(), retain: vec![] }, None),
            (self.new_epoch(), Some(Role::Writer)),
            (self.share(), Some(Role::Reader)),
            (OpBody::Catalogue { collection: CollectionTag([4; 16]), epoch: self.epoch(), sealed: vec![5; 60] }, admin),
            (OpBody::SpaceInfo { epoch: self.epoch(), sealed: vec![5; 60] }, admin),
            (OpBody::Reserved { kind: ReservedKind::Settle, body: vec![1, 2, 3] }, admin),
            (OpBody::Reserved { kind: ReservedKind::Adopt, body: vec![] }, admin),
            (OpBody::Reserved { kind: ReservedKind::Purge, body: vec![1] }, admin),
            (OpBody::Reserved { kind: ReservedKind::Policy, body: vec![1] }, admin),
            (OpBody::Reserved { kind: ReservedKind::Refound, body: vec![1] }, admin),
        ]
    }
}

#[test]
fn each_kind_is_taken_from_those_who_may_and_refused_from_all_others() {
    let cast = cast();
    let authors = [&cast.ada, &cast.ben, &cast.cleo, &cast.relay, &cast.stranger];
    for (body, least) in cast.each_kind() {
        for author in authors {
            let mut roster = cast.roster.clone();
            let op = op_on_top(&roster, author, body.clone());
            let role = roster.role_of(&author.id());
            let allowed = match least {
                Some(least) => role.is_some_and(|role| role >= least),
                // Cleo's own devices: hers to add and revoke, and an admin's.
                None => author.id() == cast.cleo.id() || role == Some(Role::Admin),
            };
            let result = roster.insert(&op.sign(&author.keys));
            if allowed {
                assert!(matches!(result, Ok(Inserted::New(_))), "{} by {role:?}: {result:?}", body.name());
            } else {
                let refused = result.unwrap_err();
                assert!(matches!(refused, OpRefused::Unauthorized { .. }), "{} by {role:?}: {refused:?}", body.name());
                assert!(refused.is_peer_fault());
                assert_eq!(roster.digest(), cast.roster.digest());
            }
        }
    }
}

#[test]
fn an_operation_changed_in_any_bit_or_cut_anywhere_is_refused() {
    let cast = cast();
    for (body, _) in cast.each_kind() {
        let author = if let OpBody::RevokeDevice { .. } = body { &cast.cleo } else { &cast.ada };
        let bytes = op_on_top(&cast.roster, author, body).sign(&author.keys);
        let mut roster = cast.roster.clone();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(roster.insert(&changed).is_err(), "byte {place} of {} may be changed", bytes.len());
            if place % 7 == 0 {
                assert!(matches!(roster.insert(&bytes[..place]), Err(OpRefused::Decode(_))), "cut at {place}");
            }
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(roster.insert(&longer).is_err());
        assert_eq!(roster.digest(), cast.roster.digest());
        roster.insert(&bytes).unwrap();
        assert_eq!(roster.insert(&bytes), Ok(Inserted::Known(op_hash(&bytes))));
        // Known or not, other bytes for the signature are refused.
        let mut forged = bytes.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(roster.insert(&forged), Err(OpRefused::Signature(author.id())));
    }
}

#[test]
fn a_genesis_changed_in_any_bit_is_refused() {
    let cast = cast();
    let genesis = cast.roster.ops().next().unwrap();
    for place in 0..genesis.len() {
        let mut changed = genesis.to_vec();
        changed[place] ^= 1 << (place % 8);
        assert!(Roster::found(&changed).is_err(), "byte {place} may be changed");
    }
    assert_eq!(cast.roster.clone().insert(genesis), Ok(Inserted::Known(OpHash(cast.roster.space().0))));
    let second = cast.roster.ops().nth(1).unwrap();
    assert!(matches!(Roster::found(second), Err(OpRefused::Unfit(_))));
}

#[test]
fn an_operation_of_another_space_is_refused() {
    let Cast { ada, mut roster, .. } = cast();
    let mut op = op_on_top(&roster, &ada, OpBody::Reserved { kind: ReservedKind::Policy, body: vec![] });
    op.space = SpaceId([9; 32]);
    assert_eq!(refusal(&mut roster, &op, &ada), OpRefused::OtherSpace);
    let other =
        farshore_core::roster::author::found_space(&ada.certificate, &ada.keys, "x", 1, &mut entropy(1)).unwrap().1;
    assert_eq!(roster.insert(&other[0]), Err(OpRefused::OtherSpace));
}

#[test]
fn an_operation_waits_for_its_parents_without_blame() {
    let Cast { ada, mut roster, .. } = cast();
    let mut op = op_on_top(&roster, &ada, OpBody::Reserved { kind: ReservedKind::Policy, body: vec![] });
    op.parents.push(OpHash([255; 32]));
    let refused = refusal(&mut roster, &op, &ada);
    assert_eq!(refused, OpRefused::MissingParents(vec![OpHash([255; 32])]));
    assert!(!refused.is_peer_fault());
}

#[test]
fn an_operation_must_continue_its_authors_chain() {
    let Cast { ada, ben, mut roster, .. } = cast();
    let policy = || OpBody::Reserved { kind: ReservedKind::Policy, body: vec![] };
    let good = op_on_top(&roster, &ada, policy());
    let others = roster.ops().next().map(op_hash).unwrap();
    for (seq, prev) in [(good.seq + 1, good.prev), (good.seq - 1, good.prev), (u64::MAX, good.prev), (good.seq, others)]
    {
        let op = RosterOp { seq, prev, ..good.clone() };
        assert_eq!(refusal(&mut roster, &op, &ada), OpRefused::Chain(ada.id()));
    }
    let theirs = RosterOp { author: ben.id(), ..good.clone() };
    assert_eq!(refusal(&mut roster, &theirs, &ben), OpRefused::Chain(ben.id()));
    // What one wrote must be among what one builds on.
    let genesis = roster.ops().next().map(op_hash).unwrap();
    let op = RosterOp { parents: vec![genesis], ..good };
    assert_eq!(refusal(&mut roster, &op, &ada), OpRefused::Chain(ada.id()));
}

#[test]
fn a_parent_that_another_parent_builds_on_is_refused() {
    let Cast { ada, mut roster, .. } = cast();
    let genesis = roster.ops().next().map(op_hash).unwrap();
    let mut op = op_on_top(&roster, &ada, OpBody::Reserved { kind: ReservedKind::Policy, body: vec![] });
    op.parents.push(genesis);
    op.parents.sort_unstable();
    assert_eq!(refusal(&mut roster, &op, &ada), OpRefused::RedundantParents);
}

#[test]
fn lists_out_of_order_doubled_or_too_long_are_refused() {
    let cast = cast();
    let (one, two) = (journal(cast.ben.id()), journal(cast.cleo.id()));
    let (low, high) = if one < two { (one, two) } else { (two, one) };
    let user = cast.ben.user_id();
    let empty_prefix = (low.0, Position { seq: 0, hash: low.1.hash });
    let key = EpochKey::from_bytes([7; 32]);
    let wrap = cast.wrap_of(&key, &cast.ben);
    let parent = ParentEpoch { epoch: cast.epoch(), sealed: [1; 72] };
    let own = ParentEpoch { epoch: key.id(), sealed: [1; 72] };
    let epoch = |parents: Vec<ParentEpoch>, wraps: Vec<EpochWrap>| OpBody::KeyEpoch { epoch: key.id(), parents, wraps };
    let bodies = [
        OpBody::RemoveUser { user, retain: vec![high, low] },
        OpBody::RemoveUser { user, retain: vec![low, low] },
        OpBody::RemoveUser { user, retain: vec![empty_prefix] },
        OpBody::RevokeDevice { device: cast.ben.id(), retain: vec![journal(cast.cleo.id())] },
        epoch(vec![parent.clone(), parent.clone()], vec![wrap.clone()]),
        epoch(vec![own], vec![wrap.clone()]),
        epoch(vec![parent.clone()], vec![wrap.clone(), wrap.clone()]),
        epoch(vec![parent], vec![wrap; EPOCH_WRAPS + 1]),
        OpBody::SpaceInfo { epoch: cast.epoch(), sealed: vec![0; 400] },
        OpBody::SpaceInfo { epoch: cast.epoch(), sealed: vec![0; 39] },
        OpBody::Catalogue { collection: CollectionTag([1; 16]), epoch: cast.epoch(), sealed: vec![0; 50_000] },
        OpBody::Reserved { kind: ReservedKind::Policy, body: vec![0; ROSTER_OP_BYTES] },
    ];
    let mut roster = cast.roster.clone();
    for body in bodies {
        let op = op_on_top(&roster, &cast.ada, body);
        assert!(matches!(refusal(&mut roster, &op, &cast.ada), OpRefused::Decode(_)), "{:?}", op.body);
    }
}

#[test]
fn what_does_not_fit_its_subject_is_refused() {
    let cast = cast();
    let stranger = cast.stranger.user_id();
    let unknown = EpochId([9; 32]);
    let key = EpochKey::from_bytes([7; 32]);
    let held = ring(&cast.roster, &cast.ada);
    let first = &held[&cast.epoch()];
    let bodies = [
        OpBody::AddUser { user: cast.ben.user_id(), role: Role::Admin },
        OpBody::RemoveUser { user: stranger, retain: vec![] },
        OpBody::AddDevice { certificate: cast.ben.certificate.clone() },
        OpBody::RevokeDevice { device: cast.stranger.id(), retain: vec![] },
        OpBody::KeyEpoch {
            epoch: cast.epoch(),
            parents: vec![ParentEpoch { epoch: unknown, sealed: [0; 72] }],
            wraps: vec![],
        },
        OpBody::KeyEpoch {
            epoch: key.id(),
            parents: vec![ParentEpoch { epoch: unknown, sealed: [0; 72] }],
            wraps: vec![],
        },
        OpBody::KeyEpoch {
            epoch: key.id(),
            parents: vec![ParentEpoch { epoch: cast.epoch(), sealed: [0; 72] }],
            wraps: vec![cast.wrap_of(&key, &cast.relay)],
        },
        OpBody::KeyShare { epoch: unknown, wrap: cast.wrap_of(&key, &cast.ben) },
        OpBody::KeyShare { epoch: cast.epoch(), wrap: cast.wrap_of(first, &cast.relay) },
        OpBody::KeyShare { epoch: cast.epoch(), wrap: cast.wrap_of(first, &cast.stranger) },
        OpBody::Catalogue { collection: CollectionTag([1; 16]), epoch: unknown, sealed: vec![0; 60] },
        OpBody::SpaceInfo { epoch: unknown, sealed: vec![0; 60] },
    ];
    let mut roster = cast.roster.clone();
    for body in bodies {
        let op = op_on_top(&roster, &cast.ada, body);
        assert!(matches!(refusal(&mut roster, &op, &cast.ada), OpRefused::Unfit(_)), "{:?}", op.body);
    }
    // Those that rest on somebody's being a member count as lacking authority.
    for body in [
        OpBody::SetRole { user: stranger, role: Role::Reader, retain: vec![] },
        OpBody::AddDevice { certificate: cast.stranger.certificate.clone() },
        OpBody::KeyEpoch { epoch: key.id(), parents: vec![], wraps: vec![] },
    ] {
        let op = op_on_top(&roster, &cast.ada, body);
        assert!(matches!(refusal(&mut roster, &op, &cast.ada), OpRefused::Unauthorized { .. }), "{:?}", op.body);
    }
}

#[test]
fn a_certificate_that_its_user_did_not_sign_is_refused() {
    let Cast { ada, ben, mut roster, .. } = cast();
    let mut certificate = ben.second_device(60, "tablet").certificate;
    certificate.signature = ada.user.sign("device certificate", b"something else");
    let op = op_on_top(&roster, &ada, OpBody::AddDevice { certificate });
    assert!(matches!(refusal(&mut roster, &op, &ada), OpRefused::Certificate(_)));
}

#[test]
fn a_newer_operation_asks_for_an_update_and_blames_nobody() {
    let Cast { ada, mut roster, .. } = cast();
    let bytes =
        op_on_top(&roster, &ada, OpBody::Reserved { kind: ReservedKind::Refound, body: vec![] }).sign(&ada.keys);
    let kind_at = bytes.len() - 64 - 4 - 1;
    for (place, value, known) in [(0, 2, 1), (1, 2, 1), (kind_at, 16, 15), (kind_at, 255, 15)] {
        let mut newer = bytes.clone();
        newer[place] = value;
        let refused = roster.insert(&newer).unwrap_err();
        assert!(
            matches!(refused, OpRefused::Decode(DecodeError::Version { known: k, .. }) if k == known),
            "{refused:?}"
        );
        assert!(!refused.is_peer_fault() && refused.to_string().contains("update this device"));
    }
    for place in [0, 1, kind_at] {
        let mut nobody = bytes.clone();
        nobody[place] = 0;
        assert!(roster.insert(&nobody).unwrap_err().is_peer_fault());
    }
}

#[test]
fn a_reserved_operation_is_kept_and_passed_on_without_effect() {
    let Cast { ada, mut roster, .. } = cast();
    let before = roster.members();
    let hash = push_on_top(&mut roster, &ada, OpBody::Reserved { kind: ReservedKind::Purge, body: vec![1, 2, 3] });
    assert_eq!(roster.members(), before);
    assert!(roster.is_in_force(&hash));
    let all: Vec<&[u8]> = roster.ops_missing_from(&Default::default());
    assert!(all.iter().any(|op| op_hash(op) == hash));
}

#[test]
fn a_user_cannot_fill_the_roster_with_devices() {
    let Cast { ada, cleo, mut roster, .. } = cast();
    for seed in 0..63 {
        let body = OpBody::AddDevice { certificate: cleo.second_device(100 + seed, "another").certificate };
        push_on_top(&mut roster, &cleo, body);
    }
    let body = OpBody::AddDevice { certificate: cleo.second_device(99, "one too many").certificate };
    for by in [&cleo, &ada] {
        let op = op_on_top(&roster, by, body.clone());
        assert!(matches!(refusal(&mut roster, &op, by), OpRefused::Unfit(_)));
    }
}

#[test]
fn the_longest_lists_fit_one_operation() {
    let Cast { ada, ben, roster, .. } = cast();
    let wrap = |n: usize| {
        let mut device = [0; 32];
        device[..8].copy_from_slice(&(n as u64).to_be_bytes());
        EpochWrap { device: DeviceId(device), wrap: [1; 80] }
    };
    let parent = |n: u8| ParentEpoch { epoch: EpochId([n; 32]), sealed: [0; 72] };
    let body = OpBody::KeyEpoch {
        epoch: EpochId([200; 32]),
        parents: (0..16).map(parent).collect(),
        wraps: (0..EPOCH_WRAPS).map(wrap).collect(),
    };
    let mut op = op_on_top(&roster, &ada, body);
    op.parents = (0..16).map(|n| OpHash([n; 32])).collect();
    let bytes = op.sign(&ada.keys);
    assert!(bytes.len() <= ROSTER_OP_BYTES, "{}", bytes.len());
    assert_eq!(RosterOp::decode(&bytes).unwrap(), op);
    let retained = |n: usize| {
        let (mut journal, position) = journal(ben.id());
        journal.incarnation.0[..8].copy_from_slice(&(n as u64).to_be_bytes());
        (journal, position)
    };
    op.body = OpBody::RemoveUser { user: ben.user_id(), retain: (0..RETAINED_JOURNALS).map(retained).collect() };
    let bytes = op.sign(&ada.keys);
    assert!(bytes.len() <= ROSTER_OP_BYTES, "{}", bytes.len());
    assert_eq!(RosterOp::decode(&bytes).unwrap(), op);
}

proptest! {
    #[test]
    fn bytes_from_strangers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(RosterOp::decode(&bytes).is_err());
        prop_assert!(Roster::found(&bytes).is_err());
    }

    #[test]
    fn damaged_operations_never_panic_and_decode_canonically(kind in 0..14_usize, damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6), cut: u16) {
        let cast = cast();
        let (body, _) = cast.each_kind().swap_remove(kind);
        let mut bytes = op_on_top(&cast.roster, &cast.ada, body).sign(&cast.ada.keys);
        for (place, value) in damage {
            let place = usize::from(place) % bytes.len();
            bytes[place] = value;
        }
        if cut % 4 == 0 {
            bytes.truncate(usize::from(cut) % bytes.len());
        }
        if let Ok(op) = RosterOp::decode(&bytes) {
            let again = op.sign(&cast.ada.keys);
            prop_assert_eq!(&again[..again.len() - 64], &bytes[..bytes.len() - 64]);
        }
        let mut roster = cast.roster.clone();
        let _ = roster.insert(&bytes);
    }
}
