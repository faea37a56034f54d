//! What members of a space rely on: who they are, what they can open, how their rosters become equal.

mod roster_support;

use farshore_core::catalogue::{CollectionDefinition, ContainerKind, DeletePolicy, SchemaStep};
use farshore_core::id::OpHash;
use farshore_core::role::Role;
use farshore_core::roster::author::found_space;
use farshore_core::roster::{AuthorError, Inserted, OpBody, OpRefused, Roster, UnknownHeads};
use roster_support::*;

fn step(key: &str, kind: ContainerKind) -> SchemaStep {
    SchemaStep { path: vec![key.to_owned()], kind }
}

#[test]
fn a_founded_space_has_one_admin_a_key_and_a_name() {
    let ada = Person::new(1, "Ada's phone");
    let (roster, ops) = found_space(&ada.certificate, &ada.keys, "household", 5, &mut entropy(1)).unwrap();
    assert_eq!((ops.len(), roster.len()), (3, 3));
    assert_eq!(roster.role_of(&ada.id()), Some(Role::Admin));
    let members = roster.members();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].name.as_str(), members[0].since.depth), ("Ada's phone", 0));
    let ring = ring(&roster, &ada);
    assert_eq!(ring.len(), 1);
    assert_eq!(roster.current_epoch(&ring), roster.first_epoch());
    assert!(ring.contains_key(&roster.first_epoch().unwrap()));
    assert_eq!(roster.space_name(&ring).as_deref(), Some("household"));
    // Without the key there is no name, and it is not in the bytes.
    assert_eq!(roster.space_name(&Default::default()), None);
    assert!(!ops.iter().any(|op| op.windows(9).any(|window| window == b"household")));
    let other = found_space(&ada.certificate, &ada.keys, "household", 5, &mut entropy(2)).unwrap().0;
    assert_ne!(other.space(), roster.space());
}

#[test]
fn nobody_founds_a_space_with_another_devices_certificate_or_without_a_name() {
    let (ada, ben) = (Person::new(1, "ada"), Person::new(2, "ben"));
    assert!(found_space(&ben.certificate, &ada.keys, "x", 5, &mut entropy(1)).is_err());
    assert_eq!(found_space(&ada.certificate, &ada.keys, "", 5, &mut entropy(1)).unwrap_err(), AuthorError::Name);
}

#[test]
fn members_get_what_their_role_allows_and_a_relay_gets_no_key() {
    let people = [Person::new(1, "ada"), Person::new(2, "ben"), Person::new(3, "cleo"), Person::new(4, "relay")];
    let [ada, ben, cleo, relay] = &people;
    let mut roster = found(ada);
    add(&mut roster, ada, ben, Role::Writer);
    add(&mut roster, ada, cleo, Role::Reader);
    add(&mut roster, ada, relay, Role::Relay);
    let roles = people.each_ref().map(|person| roster.role_of(&person.id()));
    assert_eq!(roles, [Some(Role::Admin), Some(Role::Writer), Some(Role::Reader), Some(Role::Relay)]);
    let full = ring(&roster, ada);
    assert_eq!((ring(&roster, ben), ring(&roster, cleo)), (full.clone(), full));
    assert!(ring(&roster, relay).is_empty());
    assert_eq!(roster.members().iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["ada", "ben", "cleo", "relay"]);
    assert!(matches!(
        roster.add_member(&ada.keys, &ring(&roster, ada), &ben.certificate, Role::Reader, 1, &mut entropy(1)),
        Err(AuthorError::AlreadyMember(_))
    ));
    assert!(matches!(
        roster.set_role(&ben.keys, &cleo.user_id(), Role::Admin, vec![], 1),
        Err(AuthorError::NotAllowed { need: Role::Admin, have: Some(Role::Writer), .. })
    ));
}

#[test]
fn a_users_second_device_is_added_by_his_first_and_gets_the_keys() {
    let (ada, ben) = (Person::new(1, "ada"), Person::new(2, "ben"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Reader);
    let tablet = ben.second_device(5, "ben's tablet");
    add(&mut roster, &ben, &tablet, Role::Admin);
    assert_eq!(roster.role_of(&tablet.id()), Some(Role::Reader), "a second device does not raise its user's role");
    assert_eq!(ring(&roster, &tablet), ring(&roster, &ada));
}

#[test]
fn after_a_rotation_the_removed_are_out_and_newcomers_read_the_history() {
    let (ada, ben, cleo) = (Person::new(1, "ada"), Person::new(2, "ben"), Person::new(3, "cleo"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Writer);
    let before = ring(&roster, &ada);
    let removal = roster.remove_user(&ada.keys, &ben.user_id(), vec![], 9).unwrap();
    take(&mut roster, &removal);
    assert_eq!(roster.role_of(&ben.id()), None);
    assert_eq!(roster.current_epoch(&before), None, "no epoch begun before a removal is fit to seal under");
    let rotation = roster.rotate_epoch(&ada.keys, &before, 10, &mut entropy(7)).unwrap();
    take(&mut roster, &rotation);
    let after = ring(&roster, &ada);
    assert_eq!(after.len(), 2);
    let current = roster.current_epoch(&after).unwrap();
    assert!(!before.contains_key(&current));
    assert!(!ring(&roster, &ben).contains_key(&current));
    add(&mut roster, &ada, &cleo, Role::Reader);
    assert_eq!(ring(&roster, &cleo), after, "one share of the latest key opens all before it");
    assert_eq!(roster.first_epoch().and_then(|epoch| after.get(&epoch)), before.values().next());
}

#[test]
fn the_catalogue_is_the_same_for_all_that_read_and_closed_to_others() {
    let (ada, ben, relay) = (Person::new(1, "ada"), Person::new(2, "ben"), Person::new(4, "relay"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Reader);
    add(&mut roster, &ada, &relay, Role::Relay);
    let mut todos = CollectionDefinition::new("todos");
    todos.schema_steps.push(step("tags", ContainerKind::List));
    let ops = roster.define_collection(&ada.keys, &ring(&roster, &ada), &todos, 1).unwrap();
    take(&mut roster, &ops);
    let catalogue = roster.catalogue(&ring(&roster, &ben));
    assert_eq!(catalogue.values().collect::<Vec<_>>(), [&todos]);
    assert_eq!(catalogue.keys().next().copied(), roster.collection_tag(&ring(&roster, &ben), "todos"));
    assert!(roster.catalogue(&ring(&roster, &relay)).is_empty());
    // The same again changes nothing; another container is added; another kind at the same place is refused.
    assert!(roster.define_collection(&ada.keys, &ring(&roster, &ada), &todos, 1).unwrap().is_empty());
    let mut more = CollectionDefinition::new("todos");
    more.schema_steps.push(step("notes", ContainerKind::Text));
    let ops = roster.define_collection(&ada.keys, &ring(&roster, &ada), &more, 2).unwrap();
    take(&mut roster, &ops);
    let merged = roster.catalogue(&ring(&roster, &ben)).into_values().next().unwrap();
    assert_eq!(merged.schema_steps, [step("tags", ContainerKind::List), step("notes", ContainerKind::Text)]);
    assert_eq!(merged.version, 2);
    let mut other = CollectionDefinition::new("todos");
    other.schema_steps.push(step("tags", ContainerKind::Text));
    let refused = roster.define_collection(&ada.keys, &ring(&roster, &ada), &other, 3);
    assert_eq!(refused, Err(AuthorError::SchemaConflict("tags".to_owned())));
}

#[test]
fn tags_and_definitions_outlive_a_rotation() {
    let ada = Person::new(1, "ada");
    let mut roster = found(&ada);
    let ops =
        roster.define_collection(&ada.keys, &ring(&roster, &ada), &CollectionDefinition::new("todos"), 1).unwrap();
    take(&mut roster, &ops);
    let before = roster.catalogue(&ring(&roster, &ada));
    let rotation = roster.rotate_epoch(&ada.keys, &ring(&roster, &ada), 10, &mut entropy(7)).unwrap();
    take(&mut roster, &rotation);
    assert_eq!(roster.catalogue(&ring(&roster, &ada)), before);
}

#[test]
fn concurrent_definitions_merge_to_the_same_on_both_sides() {
    let (ada, ben) = (Person::new(1, "ada"), Person::new(2, "ben"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Admin);
    let (mut left, mut right) = (roster.clone(), roster);
    let mut by_ada = CollectionDefinition::new("todos");
    by_ada.schema_steps = vec![step("tags", ContainerKind::List), step("x", ContainerKind::Map)];
    let mut by_ben = CollectionDefinition::new("todos");
    by_ben.schema_steps = vec![step("notes", ContainerKind::Text), step("x", ContainerKind::Text)];
    by_ben.delete_policy = DeletePolicy::EditWins;
    by_ben.version = 2;
    let from_ada = left.define_collection(&ada.keys, &ring(&left, &ada), &by_ada, 1).unwrap();
    let from_ben = right.define_collection(&ben.keys, &ring(&right, &ben), &by_ben, 1).unwrap();
    take(&mut left, &from_ada);
    take(&mut right, &from_ben);
    take(&mut left, &from_ben);
    take(&mut right, &from_ada);
    let (a, b) = (left.catalogue(&ring(&left, &ada)), right.catalogue(&ring(&right, &ben)));
    assert_eq!(a, b);
    let merged = a.into_values().next().unwrap();
    assert_eq!((merged.delete_policy, merged.version, merged.schema_steps.len()), (DeletePolicy::EditWins, 2, 3));
}

#[test]
fn a_device_added_while_an_epoch_began_gets_its_key_by_a_share() {
    let (ada, ben, cleo) = (Person::new(1, "ada"), Person::new(2, "ben"), Person::new(3, "cleo"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Writer);
    let (mut left, mut right) = (roster.clone(), roster);
    let rotation = left.rotate_epoch(&ben.keys, &ring(&left, &ben), 1, &mut entropy(7)).unwrap();
    take(&mut left, &rotation);
    add(&mut right, &ada, &cleo, Role::Reader);
    for op in left.ops_missing_from(&right.frontier()) {
        right.insert(op).unwrap();
    }
    let epoch = right.current_epoch(&ring(&right, &ben)).unwrap();
    assert!(!ring(&right, &cleo).contains_key(&epoch));
    let share = right.share_keys(&ben.keys, &ring(&right, &ben), &cleo.id(), 2, &mut entropy(8)).unwrap();
    take(&mut right, &share);
    assert_eq!(ring(&right, &cleo), ring(&right, &ben));
}

#[test]
fn what_a_cited_roster_says_never_changes() {
    let (ada, ben) = (Person::new(1, "ada"), Person::new(2, "ben"));
    let mut roster = found(&ada);
    let alone = roster.heads();
    add(&mut roster, &ada, &ben, Role::Writer);
    let together = roster.heads();
    let removal = roster.remove_user(&ada.keys, &ben.user_id(), vec![], 9).unwrap();
    take(&mut roster, &removal);
    assert_eq!(roster.role_at(&alone, &ben.id()), Ok(None));
    assert_eq!(roster.role_at(&together, &ben.id()), Ok(Some(Role::Writer)));
    assert_eq!(roster.role_at(&roster.heads(), &ben.id()), Ok(None));
    assert_eq!(roster.role_at(&[], &ada.id()), Ok(None));
    let stranger = OpHash([9; 32]);
    assert_eq!(roster.role_at(&[stranger], &ada.id()), Err(UnknownHeads(vec![stranger])));
    assert!(roster.knows(&together) && !roster.knows(&[stranger]));
    assert_eq!(roster.is_at_or_after(&together, &alone), Ok(true));
    assert_eq!(roster.is_at_or_after(&alone, &together), Ok(false));
    assert_eq!(roster.is_at_or_after(&alone, &alone), Ok(true));
    assert!(roster.is_at_or_after(&alone, &[stranger]).is_err());
}

#[test]
fn a_restored_roster_equals_the_one_that_was_stored() {
    let (ada, ben) = (Person::new(1, "ada"), Person::new(2, "ben"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Writer);
    let restored = Roster::restore(roster.ops()).unwrap();
    assert_eq!((restored.digest(), restored.members()), (roster.digest(), roster.members()));
    let ops: Vec<&[u8]> = roster.ops().collect();
    assert!(matches!(Roster::restore(ops[1..].iter().copied()), Err(OpRefused::Unfit(_))));
    assert!(matches!(Roster::restore([ops[0], ops[2]]), Err(OpRefused::MissingParents(_))));
    assert!(Roster::restore([]).is_err());
}

#[test]
fn two_copies_that_diverged_become_equal_by_exchanging_what_the_other_lacks() {
    let people: Vec<Person> = (1..6).map(|seed| Person::new(seed, "someone")).collect();
    let mut left = found(&people[0]);
    add(&mut left, &people[0], &people[1], Role::Admin);
    let mut right = Roster::restore(left.ops()).unwrap();
    add(&mut left, &people[0], &people[2], Role::Writer);
    add(&mut right, &people[1], &people[3], Role::Reader);
    add(&mut right, &people[1], &people[4], Role::Relay);
    assert_ne!(left.digest(), right.digest());
    assert_eq!(left.ops_missing_from(&left.frontier()).len(), 0);
    exchange(&mut left, &mut right);
    assert_eq!((left.digest(), left.frontier(), left.members()), (right.digest(), right.frontier(), right.members()));
    assert_eq!(left.heads().len(), 2);
    // The next operation joins both heads.
    add(&mut left, &people[0], &Person::new(9, "late"), Role::Reader);
    assert_eq!(left.heads().len(), 1);
    // A newcomer gets everything, starting with the genesis.
    let all = left.ops_missing_from(&Default::default());
    assert_eq!(Roster::restore(all.iter().copied()).unwrap().digest(), left.digest());
}

/// One round in both directions.
fn exchange(left: &mut Roster, right: &mut Roster) {
    let (to_right, to_left): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (
        left.ops_missing_from(&right.frontier()).into_iter().map(<[u8]>::to_vec).collect(),
        right.ops_missing_from(&left.frontier()).into_iter().map(<[u8]>::to_vec).collect(),
    );
    for op in to_right {
        right.insert(&op).unwrap();
    }
    for op in to_left {
        left.insert(&op).unwrap();
    }
}

#[test]
fn a_restored_device_that_forks_its_chain_cannot_split_its_peers() {
    let (ada, ben) = (Person::new(1, "ada"), Person::new(2, "ben"));
    let mut left = found(&ada);
    add(&mut left, &ada, &ben, Role::Writer);
    let mut right = left.clone();
    // Ada's backup writes on as if nothing had happened since.
    for (copy, count, first) in [(&mut left, 3, 10), (&mut right, 1, 20)] {
        for seed in first..first + count {
            add(copy, &ada, &Person::new(seed, "someone"), Role::Relay);
        }
    }
    for _ in 0..3 {
        exchange(&mut left, &mut right);
    }
    assert_eq!((left.digest(), left.frontier(), left.members()), (right.digest(), right.frontier(), right.members()));
    assert_eq!(left.members().len(), 6);
    assert_eq!(left.forks().iter().map(|(device, _)| *device).collect::<Vec<_>>(), [ada.id()]);
    let known = left.ops().map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert!(known.iter().all(|op| matches!(left.insert(op), Ok(Inserted::Known(_)))));
    assert!(left.ops_missing_from(&right.frontier()).is_empty());
}

#[test]
fn the_last_admin_cannot_leave_by_mistake() {
    let (ada, ben) = (Person::new(1, "ada"), Person::new(2, "ben"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Writer);
    assert_eq!(roster.remove_user(&ada.keys, &ada.user_id(), vec![], 1), Err(AuthorError::LastAdmin));
    assert_eq!(roster.set_role(&ada.keys, &ada.user_id(), Role::Writer, vec![], 1), Err(AuthorError::LastAdmin));
    assert_eq!(roster.revoke_device(&ada.keys, &ada.id(), vec![], 1), Err(AuthorError::LastAdmin));
    let promotion = roster.set_role(&ada.keys, &ben.user_id(), Role::Admin, vec![], 1).unwrap();
    take(&mut roster, &promotion);
    let removal = roster.remove_user(&ada.keys, &ada.user_id(), vec![], 1).unwrap();
    take(&mut roster, &removal);
    assert_eq!(roster.role_of(&ada.id()), None);
    assert_eq!(roster.members().len(), 1);
}

#[test]
fn a_removed_user_returns_only_with_a_new_device() {
    let (ada, ben) = (Person::new(1, "ada"), Person::new(2, "ben"));
    let mut roster = found(&ada);
    add(&mut roster, &ada, &ben, Role::Writer);
    let removal = roster.remove_user(&ada.keys, &ben.user_id(), vec![], 1).unwrap();
    take(&mut roster, &removal);
    let again = roster.add_member(&ada.keys, &ring(&roster, &ada), &ben.certificate, Role::Writer, 1, &mut entropy(1));
    assert_eq!(again, Err(AuthorError::AlreadyMember(ben.id())));
    let tablet = ben.second_device(5, "ben's tablet");
    add(&mut roster, &ada, &tablet, Role::Reader);
    assert_eq!((roster.role_of(&tablet.id()), roster.role_of(&ben.id())), (Some(Role::Reader), None));
    let body = OpBody::AddDevice { certificate: ben.certificate.clone() };
    let op = op_on_top(&roster, &ada, body);
    assert!(matches!(refusal(&mut roster, &op, &ada), OpRefused::Unfit(_)));
}
