//! Roster operations from a peer, one by one and as a history.

use arbitrary::{Result, Unstructured};
use farshore_core::catalogue::CollectionDefinition;
use farshore_core::entropy::Entropy;
use farshore_core::id::{CollectionTag, EntryHash, EpochId, Incarnation, JournalId, OpHash, Position};
use farshore_core::keys::DeviceKeys;
use farshore_core::limits::{DEFINITION_BYTES, ROSTER_HEADS, ROSTER_OP_BYTES, SCHEMA_STEPS};
use farshore_core::role::Role;
use farshore_core::roster::op::EpochWrap;
use farshore_core::roster::{Inserted, OpBody, ReservedKind, Roster, RosterOp, op_hash};

use crate::Outcome;
use crate::roster_support::{Person, entropy, found, op_on};

/// Steps of one history: enough for forks and removals that meet, few enough for hundreds of histories a second.
const STEPS: usize = 24;

/// The first byte picks what the others are: one operation, a collection's definition, or the steps of a history.
///
/// Checked: an accepted operation or definition has one encoding and keeps its limits. A history of right and wrong operations, signed by
/// members and strangers on parents of any age, means the same in another order, after a restart, and to its last operation
/// whatever else is known; and a refused operation leaves nothing behind.
pub fn roster_op(data: &[u8]) -> Outcome {
    match data.split_first() {
        None => Outcome::Refused,
        Some((kind, bytes)) if kind % 3 == 0 => one(bytes),
        Some((kind, bytes)) if kind % 3 == 2 => definition(bytes),
        Some((_, bytes)) => history(&mut Unstructured::new(bytes)).unwrap_or(Outcome::Refused),
    }
}

fn one(bytes: &[u8]) -> Outcome {
    let Ok(op) = RosterOp::decode(bytes) else { return Outcome::Refused };
    assert!(bytes.len() <= ROSTER_OP_BYTES && op.parents.len() <= ROSTER_HEADS, "over a limit: {op:?}");
    let signed = op.sign(&DeviceKeys::generate(&mut Entropy::from_seed(&[2; 32], "device")));
    let unsigned = bytes.len() - 64;
    assert!(signed[..unsigned] == bytes[..unsigned], "{op:?} has two encodings");
    assert_eq!(op_hash(&signed), op_hash(bytes), "the hash leaves out the signature alone");
    if let Ok(roster) = Roster::found(bytes) {
        assert_eq!(roster.role_of(&op.author), Some(Role::Admin));
    }
    Outcome::Accepted
}

fn definition(bytes: &[u8]) -> Outcome {
    let Ok(definition) = CollectionDefinition::decode(bytes) else { return Outcome::Refused };
    assert!(bytes.len() <= DEFINITION_BYTES && definition.schema_steps.len() <= SCHEMA_STEPS, "over a limit");
    assert_eq!(definition.encode().as_deref(), Ok(bytes), "{definition:?} has two encodings");
    Outcome::Accepted
}

fn history(u: &mut Unstructured<'_>) -> Result<Outcome> {
    let people: Vec<Person> = (1..=5).map(|seed| Person::new(seed, "somebody")).collect();
    let mut roster = found(&people[0]);
    for _ in 0..STEPS {
        if u.is_empty() {
            break;
        }
        let by = u.choose(&people)?;
        let subject = u.choose(&people)?;
        let parents = parents(u, &roster)?;
        let body = body(u, &roster, by, subject)?;
        let op = op_on(&roster, &parents, by, body);
        let signer = if u.ratio(1, 32)? { subject } else { by };
        let (before, length) = (roster.digest(), roster.len());
        match roster.insert(&op.sign(&signer.keys)) {
            Ok(Inserted::New(_)) => assert_eq!(signer.id(), by.id(), "signed by somebody else"),
            Ok(Inserted::Known(_)) => assert_eq!(roster.len(), length),
            Err(_) => assert_eq!((roster.digest(), roster.len()), (before, length), "a refusal left something behind"),
        }
    }
    let seed = u.arbitrary()?;
    same_in_any_order(&roster, &people, seed);
    Ok(if roster.len() > 3 { Outcome::Accepted } else { Outcome::Refused })
}

/// All heads, or the ends of a part of the history.
fn parents(u: &mut Unstructured<'_>, roster: &Roster) -> Result<Vec<OpHash>> {
    let known: Vec<OpHash> = roster.ops().map(op_hash).collect();
    if u.ratio(1, 2)? {
        return Ok(roster.heads());
    }
    let seen: u32 = u.arbitrary()?;
    let seen: Vec<OpHash> = known
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == 0 || seen >> (at % 32) & 1 == 1)
        .map(|(_, hash)| *hash)
        .collect();
    let before = |a: &OpHash, b: &OpHash| a != b && roster.is_at_or_after(&[*b], &[*a]).unwrap_or(false);
    Ok(seen.iter().filter(|a| !seen.iter().any(|b| before(a, b))).copied().take(ROSTER_HEADS).collect())
}

fn body(u: &mut Unstructured<'_>, roster: &Roster, by: &Person, subject: &Person) -> Result<OpBody> {
    let user = subject.user_id();
    let role = *u.choose(&Role::ALL)?;
    let journal =
        JournalId { collection: CollectionTag([1; 16]), device: subject.id(), incarnation: Incarnation([2; 16]) };
    let position = Position { seq: 1 + u.arbitrary::<u64>()? % 5, hash: EntryHash([3; 32]) };
    let retain = if u.ratio(1, 2)? { vec![(journal, position)] } else { vec![] };
    let epoch = roster.first_epoch().unwrap_or(EpochId([9; 32]));
    let fresh = u.arbitrary()?;
    Ok(match u.int_in_range(0..=10_u8)? {
        0 | 1 => OpBody::AddUser { user, role },
        2 => OpBody::AddDevice { certificate: subject.certificate.clone() },
        3 => OpBody::AddDevice { certificate: subject.second_device(fresh, "second").certificate },
        4 => OpBody::SetRole { user, role, retain },
        5 => OpBody::RemoveUser { user, retain },
        6 => OpBody::RevokeDevice { device: subject.id(), retain },
        7 => OpBody::KeyShare { epoch, wrap: EpochWrap { device: subject.id(), wrap: [fresh; 80] } },
        8 => OpBody::Catalogue { collection: CollectionTag([fresh; 16]), epoch, sealed: vec![fresh; 60] },
        9 => OpBody::Reserved { kind: ReservedKind::Policy, body: vec![fresh] },
        _ => {
            let rotation = roster.rotate_epoch(&by.keys, &roster.unlock(&by.keys), 1, &mut entropy(fresh));
            let begun = rotation.ok().and_then(|ops| RosterOp::decode(ops.first()?).ok());
            begun.map_or(OpBody::AddUser { user, role }, |op| op.body)
        }
    })
}

fn same_in_any_order(roster: &Roster, people: &[Person], seed: u64) {
    let restored = Roster::restore(roster.ops()).expect("what was taken in is read back");
    assert_eq!(restored.digest(), roster.digest());
    let mut other: Option<Roster> = None;
    for bytes in shuffled(roster, seed) {
        match &mut other {
            None => other = Roster::found(&bytes).ok(),
            Some(other) => drop(other.insert(&bytes).expect("what was taken in is taken in in another order")),
        }
    }
    let other = other.expect("the genesis comes first");
    assert_eq!(other.digest(), roster.digest());
    assert_eq!(other.members(), roster.members());
    assert_eq!(other.cuts(), roster.cuts());
    for hash in roster.ops().map(op_hash) {
        assert_eq!(other.is_in_force(&hash), roster.is_in_force(&hash));
        for person in people {
            assert_eq!(other.role_at(&[hash], &person.id()), roster.role_at(&[hash], &person.id()));
        }
    }
}

/// The operations in another order in which parents come first.
fn shuffled(roster: &Roster, mut seed: u64) -> Vec<Vec<u8>> {
    let ops = roster.ops().map(|bytes| (RosterOp::decode(bytes).expect("it was taken in").parents, bytes.to_vec()));
    let mut waiting: Vec<_> = ops.collect();
    let (mut done, mut out) = (Vec::new(), Vec::new());
    while !waiting.is_empty() {
        let ready = |parents: &[OpHash]| parents.iter().all(|parent| done.contains(parent));
        let all: Vec<usize> = (0..waiting.len()).filter(|at| ready(&waiting[*at].0)).collect();
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let (_, bytes) = waiting.remove(all[(seed >> 33) as usize % all.len()]);
        done.push(op_hash(&bytes));
        out.push(bytes);
    }
    out
}
