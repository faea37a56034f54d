//! Removals, revocations and demotions against what others did without knowing of them.

mod roster_support;

use farshore_core::id::{CollectionTag, EntryHash, Incarnation, JournalId, OpHash, Position};
use farshore_core::role::Role;
use farshore_core::roster::{CutSubject, OpBody, OpRefused, Roster};
use roster_support::*;

fn remove(who: &Person) -> OpBody {
    OpBody::RemoveUser { user: who.user_id(), retain: vec![] }
}

fn add_user(who: &Person, role: Role) -> OpBody {
    OpBody::AddUser { user: who.user_id(), role }
}

fn add_device(who: &Person) -> OpBody {
    OpBody::AddDevice { certificate: who.certificate.clone() }
}

fn set_role(who: &Person, role: Role) -> OpBody {
    OpBody::SetRole { user: who.user_id(), role, retain: vec![] }
}

/// Ada founds; the others are admins, added in this order.
fn admins(count: u8) -> (Vec<Person>, Roster, Vec<OpHash>) {
    let people: Vec<Person> = (1..=count).map(|seed| Person::new(seed, "admin")).collect();
    let mut roster = found(&people[0]);
    for person in &people[1..] {
        add(&mut roster, &people[0], person, Role::Admin);
    }
    let heads = roster.heads();
    (people, roster, heads)
}

fn at(roster: &mut Roster, parents: &[OpHash], by: &Person, body: OpBody) -> OpHash {
    let op = op_on(roster, parents, by, body);
    push(roster, &op, by)
}

#[test]
fn what_a_removed_admin_did_meanwhile_is_void_with_all_that_rests_on_it() {
    let (people, mut roster, base) = admins(3);
    let [ada, _, mallory] = &people[..] else { unreachable!() };
    let (puppet, friend) = (Person::new(50, "puppet"), Person::new(51, "friend"));
    let grant = at(&mut roster, &base, mallory, add_user(&puppet, Role::Admin));
    let device = at(&mut roster, &[grant], mallory, add_device(&puppet));
    let befriend = at(&mut roster, &[device], &puppet, add_user(&friend, Role::Writer));
    assert_eq!(roster.role_of(&puppet.id()), Some(Role::Admin));
    let removal = at(&mut roster, &base, ada, remove(mallory));
    assert_eq!(roster.role_of(&puppet.id()), None);
    assert_eq!(roster.user_role(&friend.user_id()), None);
    assert!([grant, device, befriend].iter().all(|op| !roster.is_in_force(op)) && roster.is_in_force(&removal));
    // By the operations before it, the puppet was an admin: what cites those alone is judged by those alone.
    assert_eq!(roster.role_at(&[befriend], &puppet.id()), Ok(Some(Role::Admin)));
}

#[test]
fn what_was_done_before_a_removal_or_by_others_stays() {
    let (people, mut roster, base) = admins(3);
    let [ada, ben, mallory] = &people[..] else { unreachable!() };
    let (early, late) = (Person::new(50, "early"), Person::new(51, "late"));
    let grant = at(&mut roster, &base, mallory, add_user(&early, Role::Reader));
    let removal = at(&mut roster, &[grant], ada, remove(mallory));
    // Ben knew of Mallory's voided operation and joined it to the rest: his own does not rest on it.
    let void = at(&mut roster, &[grant], mallory, add_user(&late, Role::Reader));
    let joined = at(&mut roster, &[void, removal], ben, set_role(&early, Role::Writer));
    assert_eq!(roster.user_role(&early.user_id()), Some(Role::Writer));
    assert_eq!(roster.user_role(&late.user_id()), None);
    assert!(roster.is_in_force(&joined));
}

#[test]
fn a_role_set_for_a_voided_member_does_not_bring_him_back() {
    let (people, mut roster, base) = admins(3);
    let [ada, ben, mallory] = &people[..] else { unreachable!() };
    let puppet = Person::new(50, "puppet");
    let grant = at(&mut roster, &base, mallory, add_user(&puppet, Role::Reader));
    let raise = at(&mut roster, &[grant], ben, set_role(&puppet, Role::Admin));
    at(&mut roster, &base, ada, remove(mallory));
    assert!(!roster.is_in_force(&raise));
    assert_eq!(roster.user_role(&puppet.user_id()), None);
}

#[test]
fn of_two_admins_who_remove_each_other_the_senior_stays() {
    let (people, mut roster, base) = admins(3);
    let [_, senior, junior] = &people[..] else { unreachable!() };
    let by_junior = at(&mut roster, &base, junior, remove(senior));
    let by_senior = at(&mut roster, &base, senior, remove(junior));
    assert_eq!(roster.role_of(&senior.id()), Some(Role::Admin));
    assert_eq!(roster.role_of(&junior.id()), None);
    assert!(roster.is_in_force(&by_senior) && !roster.is_in_force(&by_junior));
}

#[test]
fn a_juniors_removal_of_a_senior_counts_when_the_senior_did_not_remove_him() {
    let (people, mut roster, base) = admins(4);
    let [ada, _, junior, other] = &people[..] else { unreachable!() };
    let by_ada = at(&mut roster, &base, ada, remove(other));
    at(&mut roster, &base, junior, remove(ada));
    assert_eq!(roster.role_of(&ada.id()), None);
    assert!(!roster.is_in_force(&by_ada));
    assert_eq!(roster.role_of(&other.id()), Some(Role::Admin));
}

#[test]
fn in_a_ring_of_removals_the_seniors_stands_and_the_one_against_him_falls() {
    let (people, mut roster, base) = admins(3);
    let [ada, ben, cleo] = &people[..] else { unreachable!() };
    at(&mut roster, &base, ada, remove(ben));
    at(&mut roster, &base, ben, remove(cleo));
    at(&mut roster, &base, cleo, remove(ada));
    let roles = people.iter().map(|person| roster.role_of(&person.id())).collect::<Vec<_>>();
    assert_eq!(roles, [Some(Role::Admin), None, Some(Role::Admin)]);
}

#[test]
fn a_puppet_made_in_the_dark_cannot_shield_its_maker() {
    let (people, mut roster, base) = admins(2);
    let [ada, mallory] = &people[..] else { unreachable!() };
    // Mallory learns of his removal, and builds on what was before: a new admin, who removes Ada.
    at(&mut roster, &base, ada, remove(mallory));
    let puppet = Person::new(50, "puppet");
    let grant = at(&mut roster, &base, mallory, add_user(&puppet, Role::Admin));
    let device = at(&mut roster, &[grant], mallory, add_device(&puppet));
    let strike = at(&mut roster, &[device], &puppet, remove(ada));
    assert_eq!(roster.role_of(&ada.id()), Some(Role::Admin));
    assert_eq!((roster.role_of(&mallory.id()), roster.role_of(&puppet.id())), (None, None));
    assert!(!roster.is_in_force(&strike));
}

#[test]
fn a_demoted_admin_cannot_go_on_by_building_on_older_operations() {
    let (people, mut roster, base) = admins(3);
    let [ada, _, mallory] = &people[..] else { unreachable!() };
    at(&mut roster, &base, ada, set_role(mallory, Role::Writer));
    let puppet = Person::new(50, "puppet");
    let grant = at(&mut roster, &base, mallory, add_user(&puppet, Role::Admin));
    assert!(!roster.is_in_force(&grant));
    assert_eq!(roster.user_role(&puppet.user_id()), None);
    // What a writer may do, he did.
    let tablet = mallory.second_device(60, "tablet");
    let own = at(&mut roster, &[base[0]], mallory, add_device(&tablet));
    assert!(roster.is_in_force(&own));
    assert_eq!(roster.role_of(&tablet.id()), Some(Role::Writer));
}

#[test]
fn of_two_concurrent_roles_the_lower_holds_until_somebody_decides() {
    let (people, mut roster, base) = admins(3);
    let [ada, ben, cleo] = &people[..] else { unreachable!() };
    let low = at(&mut roster, &base, ada, set_role(cleo, Role::Reader));
    let high = at(&mut roster, &base, ben, set_role(cleo, Role::Writer));
    assert_eq!(roster.role_of(&cleo.id()), Some(Role::Reader));
    at(&mut roster, &[low, high], ben, set_role(cleo, Role::Writer));
    assert_eq!(roster.role_of(&cleo.id()), Some(Role::Writer));
}

#[test]
fn a_device_added_without_knowing_of_its_users_removal_stays_out_when_he_returns() {
    let (people, mut roster, base) = admins(2);
    let [ada, ben] = &people[..] else { unreachable!() };
    let cleo = Person::new(50, "cleo");
    let grant = at(&mut roster, &base, ada, add_user(&cleo, Role::Writer));
    let device = at(&mut roster, &[grant], ada, add_device(&cleo));
    let removal = at(&mut roster, &[grant], ben, remove(&cleo));
    assert_eq!(roster.role_of(&cleo.id()), None);
    let again = at(&mut roster, &[device, removal], ben, add_user(&cleo, Role::Writer));
    assert_eq!(roster.role_of(&cleo.id()), None);
    let fresh = cleo.second_device(60, "new phone");
    at(&mut roster, &[again], ben, add_device(&fresh));
    assert_eq!(roster.role_of(&fresh.id()), Some(Role::Writer));
}

#[test]
fn a_stolen_device_that_revokes_its_owners_others_loses_to_the_older_one() {
    let (people, mut roster, _) = admins(2);
    let phone = &people[1];
    let stolen = phone.second_device(60, "tablet");
    add(&mut roster, phone, &stolen, Role::Reader);
    let base = roster.heads();
    let revoke = |who: &Person| OpBody::RevokeDevice { device: who.id(), retain: vec![] };
    at(&mut roster, &base, &stolen, revoke(phone));
    at(&mut roster, &base, phone, revoke(&stolen));
    assert_eq!((roster.role_of(&phone.id()), roster.role_of(&stolen.id())), (Some(Role::Admin), None));
}

#[test]
fn an_epoch_that_a_removed_writer_began_is_read_but_not_written_under() {
    let (people, mut roster, base) = admins(2);
    let [ada, ben] = &people[..] else { unreachable!() };
    let copy = roster.clone();
    let rotation = copy.rotate_epoch(&ben.keys, &ring(&copy, ben), 1, &mut entropy(7)).unwrap();
    take(&mut roster, &rotation);
    let minted = roster.current_epoch(&ring(&roster, ada)).unwrap();
    at(&mut roster, &base, ada, remove(ben));
    let held = ring(&roster, ada);
    assert!(held.contains_key(&minted), "what was sealed under it before the removal must still open");
    assert_eq!(roster.current_epoch(&held), None);
    let next = roster.rotate_epoch(&ada.keys, &held, 2, &mut entropy(8)).unwrap();
    take(&mut roster, &next);
    let held = ring(&roster, ada);
    assert_ne!(roster.current_epoch(&held), Some(minted));
    // And a newcomer reads it too.
    let cleo = Person::new(50, "cleo");
    add(&mut roster, ada, &cleo, Role::Reader);
    assert_eq!(ring(&roster, &cleo), held);
}

#[test]
fn cuts_name_their_subject_and_what_stays_valid() {
    let (people, mut roster, _) = admins(3);
    let [ada, ben, cleo] = &people[..] else { unreachable!() };
    let journal = JournalId { collection: CollectionTag([1; 16]), device: ben.id(), incarnation: Incarnation([2; 16]) };
    let retain = vec![(journal, Position { seq: 5, hash: EntryHash([3; 32]) })];
    let removal = roster.remove_user(&ada.keys, &ben.user_id(), retain.clone(), 1).unwrap();
    take(&mut roster, &removal);
    let demotion = roster.set_role(&ada.keys, &cleo.user_id(), Role::Reader, vec![], 1).unwrap();
    take(&mut roster, &demotion);
    let promotion = roster.set_role(&ada.keys, &cleo.user_id(), Role::Admin, vec![], 1).unwrap();
    take(&mut roster, &promotion);
    let cuts = roster.cuts();
    let subjects: Vec<CutSubject> = cuts.iter().map(|cut| cut.subject).collect();
    assert_eq!(subjects, [CutSubject::User(ben.user_id()), CutSubject::User(cleo.user_id())]);
    assert_eq!(cuts[0].retain, retain);
}

#[test]
fn nobody_acts_after_a_removal_that_he_knows_of() {
    let (people, mut roster, base) = admins(3);
    let [ada, ben, cleo] = &people[..] else { unreachable!() };
    let removal = at(&mut roster, &base, ada, remove(ben));
    let op = op_on(&roster, &[removal], ben, remove(cleo));
    assert!(matches!(refusal(&mut roster, &op, ben), OpRefused::Unauthorized { role: None, .. }));
}
