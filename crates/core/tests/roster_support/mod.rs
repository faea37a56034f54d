//! People and devices for the roster's tests. All deterministic: a person is made from a seed.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use farshore_core::entropy::Entropy;
use farshore_core::id::{DeviceId, OpHash, UserId};
use farshore_core::keys::{DeviceCertificate, DeviceKeys, UserKey};
use farshore_core::role::Role;
use farshore_core::roster::{Inserted, Keyring, OpBody, OpRefused, Roster, RosterOp, op_hash};

/// A user with one device.
pub(crate) struct Person {
    pub(crate) user: UserKey,
    pub(crate) keys: DeviceKeys,
    pub(crate) certificate: DeviceCertificate,
}

impl Person {
    pub(crate) fn new(seed: u8, name: &str) -> Self {
        let mut entropy = Entropy::from_seed(&[seed; 32], "test person");
        let user = UserKey::generate(&mut entropy);
        let keys = DeviceKeys::generate(&mut entropy);
        let certificate = DeviceCertificate::issue(&user, &keys, name).unwrap();
        Person { user, keys, certificate }
    }

    /// Another device of the same user, as a person of its own.
    pub(crate) fn second_device(&self, seed: u8, name: &str) -> Self {
        let user = UserKey::from_secret_bytes(&self.user.to_secret_bytes()).unwrap();
        let keys = DeviceKeys::generate(&mut Entropy::from_seed(&[seed; 32], "test device"));
        let certificate = DeviceCertificate::issue(&user, &keys, name).unwrap();
        Person { user, keys, certificate }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.keys.id()
    }

    pub(crate) fn user_id(&self) -> UserId {
        self.user.id()
    }
}

pub(crate) fn entropy(seed: u8) -> Entropy {
    Entropy::from_seed(&[seed; 32], "test entropy")
}

pub(crate) fn found(by: &Person) -> Roster {
    farshore_core::roster::author::found_space(&by.certificate, &by.keys, "household", 1_000, &mut entropy(200))
        .unwrap()
        .0
}

/// Inserts what a builder made.
pub(crate) fn take(roster: &mut Roster, ops: &[Vec<u8>]) {
    for op in ops {
        assert!(matches!(roster.insert(op).unwrap(), Inserted::New(_)));
    }
}

pub(crate) fn add(roster: &mut Roster, by: &Person, who: &Person, role: Role) {
    let ring = roster.unlock(&by.keys);
    let ops = roster.add_member(&by.keys, &ring, &who.certificate, role, 2_000, &mut entropy(201)).unwrap();
    take(roster, &ops);
}

pub(crate) fn ring(roster: &Roster, of: &Person) -> Keyring {
    roster.unlock(&of.keys)
}

/// An operation on top of all that `roster` holds, whatever its author may do.
pub(crate) fn op_on_top(roster: &Roster, by: &Person, body: OpBody) -> RosterOp {
    op_on(roster, &roster.heads(), by, body)
}

/// An operation on chosen parents, in the author's chain as those parents know it.
pub(crate) fn op_on(roster: &Roster, parents: &[OpHash], by: &Person, body: OpBody) -> RosterOp {
    let mine = roster
        .ops()
        .map(|bytes| (op_hash(bytes), RosterOp::decode(bytes).unwrap()))
        .filter(|(hash, op)| op.author == by.id() && roster.is_at_or_after(parents, &[*hash]).unwrap())
        .max_by_key(|(_, op)| op.seq);
    let (seq, prev) = mine.map_or((0, OpHash([0; 32])), |(hash, op)| (op.seq, hash));
    let mut parents = parents.to_vec();
    parents.sort_unstable();
    RosterOp { space: roster.space(), parents, author: by.id(), seq: seq + 1, prev, claimed_ms: 3_000, body }
}

/// Signs and inserts; returns the hash.
pub(crate) fn push(roster: &mut Roster, op: &RosterOp, by: &Person) -> OpHash {
    let bytes = op.sign(&by.keys);
    match roster.insert(&bytes) {
        Ok(Inserted::New(hash)) => hash,
        other => panic!("{}: {other:?}", op.body.name()),
    }
}

pub(crate) fn push_on_top(roster: &mut Roster, by: &Person, body: OpBody) -> OpHash {
    let op = op_on_top(roster, by, body);
    push(roster, &op, by)
}

pub(crate) fn refusal(roster: &mut Roster, op: &RosterOp, by: &Person) -> OpRefused {
    roster.insert(&op.sign(&by.keys)).unwrap_err()
}
