//! Whatever the order in which operations arrive, the roster means the same: random histories of several admins who act
//! without knowing of each other, inserted in random causal orders and compared at every head.

mod roster_support;

use farshore_core::entropy::Entropy;
use farshore_core::id::OpHash;
use farshore_core::role::Role;
use farshore_core::roster::{OpBody, Roster, RosterOp, op_hash};
use proptest::prelude::*;
use roster_support::*;

const PEOPLE: u8 = 5;

fn people() -> Vec<Person> {
    (1..=PEOPLE).map(|seed| Person::new(seed, "someone")).collect()
}

/// One step of a history: who, on which heads, does what to whom.
type Step = (usize, u64, u8, usize);

/// Runs a history: each step builds on a random part of what is there. Refused steps (no authority) leave no trace.
fn run(people: &[Person], steps: &[Step]) -> Roster {
    let mut roster = found(&people[0]);
    for person in &people[1..4] {
        add(&mut roster, &people[0], person, Role::Admin);
    }
    add(&mut roster, &people[0], &people[4], Role::Writer);
    let base = roster.heads();
    let mut hashes = vec![base[0]];
    for (count, (who, seen, what, whom)) in steps.iter().enumerate() {
        let (by, subject) = (&people[who % people.len()], &people[whom % people.len()]);
        let parents = maximal(&roster, &hashes, *seen);
        let body = body(&roster, what % 7, by, subject, count as u8);
        let op = op_on(&roster, &parents, by, body);
        let bytes = op.sign(&by.keys);
        if roster.insert(&bytes).is_ok() {
            hashes.push(op_hash(&bytes));
        }
    }
    roster
}

fn body(roster: &Roster, what: u8, by: &Person, subject: &Person, count: u8) -> OpBody {
    let user = subject.user_id();
    let newcomer = Person::new(100 + count, "newcomer");
    match what {
        0 => OpBody::RemoveUser { user, retain: vec![] },
        1 => OpBody::RevokeDevice { device: subject.id(), retain: vec![] },
        2 => OpBody::SetRole { user, role: Role::Admin, retain: vec![] },
        3 => OpBody::SetRole { user, role: Role::Reader, retain: vec![] },
        4 => OpBody::AddUser { user: newcomer.user_id(), role: Role::Admin },
        5 => OpBody::AddDevice { certificate: by.second_device(100 + count, "second").certificate },
        _ => {
            let rotation = roster.rotate_epoch(&by.keys, &ring(roster, by), 1, &mut entropy(count));
            let minted = rotation.ok().and_then(|ops| Some(RosterOp::decode(ops.first()?).unwrap().body));
            minted.unwrap_or(OpBody::AddUser { user, role: Role::Reader })
        }
    }
}

/// The heads of a part of the history that `seen` picks.
fn maximal(roster: &Roster, hashes: &[OpHash], seen: u64) -> Vec<OpHash> {
    let picked: Vec<OpHash> = hashes
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == 0 || seen >> (at % 64) & 1 == 1)
        .map(|(_, hash)| *hash)
        .collect();
    let covered =
        |hash: &OpHash| picked.iter().any(|other| other != hash && roster.is_at_or_after(&[*other], &[*hash]).unwrap());
    picked.iter().filter(|hash| !covered(hash)).copied().take(16).collect()
}

/// The same operations in another order in which parents come first.
fn shuffled(roster: &Roster, seed: u64) -> Vec<Vec<u8>> {
    let mut entropy = Entropy::from_seed(&[seed as u8; 32], "shuffle");
    let mut waiting: Vec<(OpHash, RosterOp, Vec<u8>)> =
        roster.ops().map(|bytes| (op_hash(bytes), RosterOp::decode(bytes).unwrap(), bytes.to_vec())).collect();
    let mut done: Vec<OpHash> = Vec::new();
    let mut out = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<usize> =
            (0..waiting.len()).filter(|at| waiting[*at].1.parents.iter().all(|parent| done.contains(parent))).collect();
        let pick = ready[usize::from(u16::from_le_bytes(entropy.array())) % ready.len()];
        let (hash, _, bytes) = waiting.remove(pick);
        done.push(hash);
        out.push(bytes);
    }
    out
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0..8_usize, any::<u64>(), any::<u8>(), 0..8_usize), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_causal_order_gives_the_same_roster(steps in steps(), seed: u64) {
        let people = people();
        let roster = run(&people, &steps);
        let mut other: Option<Roster> = None;
        for bytes in shuffled(&roster, seed) {
            match &mut other {
                None => other = Some(Roster::found(&bytes).unwrap()),
                Some(other) => {
                    other.insert(&bytes).unwrap();
                }
            }
        }
        let other = other.unwrap();
        prop_assert_eq!(other.digest(), roster.digest());
        prop_assert_eq!(other.members(), roster.members());
        prop_assert_eq!(other.cuts(), roster.cuts());
        prop_assert_eq!(other.frontier(), roster.frontier());
        for person in &people {
            let (mine, theirs) = (ring(&roster, person), ring(&other, person));
            prop_assert_eq!(other.current_epoch(&theirs), roster.current_epoch(&mine));
            prop_assert_eq!(theirs, mine);
        }
        for bytes in roster.ops() {
            let hash = op_hash(bytes);
            prop_assert_eq!(other.is_in_force(&hash), roster.is_in_force(&hash));
            for person in &people {
                prop_assert_eq!(other.role_at(&[hash], &person.id()), roster.role_at(&[hash], &person.id()));
            }
        }
    }

    #[test]
    fn a_part_of_a_roster_says_what_the_whole_says_of_its_heads(steps in steps(), cut: u8) {
        let people = people();
        let roster = run(&people, &steps);
        let keep = 1 + usize::from(cut) % roster.len();
        let part = Roster::restore(roster.ops().take(keep)).unwrap();
        for person in &people {
            prop_assert_eq!(roster.role_at(&part.heads(), &person.id()).unwrap(), part.role_of(&person.id()));
        }
    }

    #[test]
    fn what_is_in_force_rests_on_nothing_void(steps in steps()) {
        let people = people();
        let roster = run(&people, &steps);
        for bytes in roster.ops() {
            let (hash, op) = (op_hash(bytes), RosterOp::decode(bytes).unwrap());
            if !roster.is_in_force(&hash) {
                continue;
            }
            // A removal in force leaves nothing in force that its subject did without knowing of it.
            if let OpBody::RemoveUser { user, .. } = &op.body {
                for other in roster.ops() {
                    let (other_hash, other) = (op_hash(other), RosterOp::decode(other).unwrap());
                    let by_subject = people.iter().any(|p| p.user_id() == *user && p.id() == other.author);
                    let related = roster.is_at_or_after(&[hash], &[other_hash]).unwrap()
                        || roster.is_at_or_after(&[other_hash], &[hash]).unwrap();
                    prop_assert!(!by_subject || related || !roster.is_in_force(&other_hash));
                }
            }
        }
        // The creator's genesis is beyond all of it.
        prop_assert!(roster.is_in_force(&op_hash(roster.ops().next().unwrap())));
    }

    #[test]
    fn any_two_parts_become_equal_by_exchange(steps in steps(), left: u64, right: u64) {
        let people = people();
        let whole = run(&people, &steps);
        let part = |seed: u64, keep: u64| {
            let ops = shuffled(&whole, seed);
            let keep = 1 + keep as usize % ops.len();
            let mut roster = Roster::found(&ops[0]).unwrap();
            for op in &ops[1..keep] {
                roster.insert(op).unwrap();
            }
            roster
        };
        let (mut a, mut b) = (part(left, left >> 8), part(right, right >> 8));
        for _ in 0..4 {
            let to_b: Vec<Vec<u8>> = a.ops_missing_from(&b.frontier()).into_iter().map(<[u8]>::to_vec).collect();
            for op in to_b {
                b.insert(&op).unwrap();
            }
            let to_a: Vec<Vec<u8>> = b.ops_missing_from(&a.frontier()).into_iter().map(<[u8]>::to_vec).collect();
            for op in to_a {
                a.insert(&op).unwrap();
            }
        }
        prop_assert_eq!(a.digest(), b.digest());
        prop_assert_eq!(a.members(), b.members());
        prop_assert!(a.ops_missing_from(&b.frontier()).is_empty());
    }
}

/// The histories that the properties are tried on do hold what they are about.
#[test]
fn random_histories_hold_voids_forks_and_joined_heads() {
    let people = people();
    let (mut void, mut forks, mut heads) = (0, 0, 0);
    let mut entropy = Entropy::from_seed(&[1; 32], "histories");
    for _ in 0..40 {
        let mut step = || {
            let [who, what, whom, _] = entropy.array();
            (usize::from(who % 8), u64::from_le_bytes(entropy.array()), what, usize::from(whom % 8))
        };
        let roster = run(&people, &(0..13).map(|_| step()).collect::<Vec<_>>());
        void += roster.ops().filter(|op| !roster.is_in_force(&op_hash(op))).count();
        forks += roster.forks().len();
        heads += usize::from(roster.heads().len() > 1);
    }
    assert!(void > 40 && forks > 20 && heads > 20, "{void} void, {forks} forks, {heads} with several heads");
}
