//! The smallest worlds in which the rules as first stated fail; drawn in
//! `docs/decisions/001-authority-rules.md` under the same numbers. Each shows the failure and its mending.

use crate::properties::Property;
use crate::replica::Upkeep;
use crate::roster::{Act, Op, Ops, Role, Roster, RosterRules};
use crate::roster_worlds::{RosterProperty, is_final};
use crate::rules::{Rules, main_line};
use crate::world::World;

const A: u8 = 0;
const B: u8 = 1;
const C: u8 = 2;
/// The three founding operations: A founds, B is admin, C writes.
const FOUNDED: Ops = 0b111;

fn set(author: u8, who: u8, role: Role, past: Ops) -> Op {
    Op { author, act: Act::Set { who: 1 << who, role }, past }
}

fn settle(author: u8, past: Ops) -> Op {
    Op { author, act: Act::Settle, past }
}

fn founded_with(more: &[Op]) -> Vec<Op> {
    let mut ops = vec![set(A, A, Role::Admin, 0), set(A, B, Role::Admin, 0b1), set(A, C, Role::Writer, 0b11)];
    ops.extend(more);
    ops
}

fn roster(ops: Vec<Op>, rules: RosterRules) -> Roster {
    Roster::new(ops, [0, 1, 2], rules)
}

fn mended(more: &[Op]) -> Roster {
    roster(founded_with(more), RosterRules::Mended)
}

/// Asserts that the world breaks the property under the stated rules, and none under the mended ones.
fn only_the_stated_rules_break(property: Property, world: &World<'_>) {
    assert!(
        world.hashes_are_acyclic() && (0..world.len).all(|e| world.acceptable(e)),
        "not a world:\n{}",
        world.draw()
    );
    assert!(!property.holds(Rules::AsStated, Upkeep::Mended, world), "no counterexample:\n{}", world.draw());
    for property in crate::properties::ALL {
        assert!(property.holds(Rules::Mended, Upkeep::Mended, world), "{property:?} fails in\n{}", world.draw());
    }
}

fn valid(rules: Rules, world: &World<'_>) -> u8 {
    rules.valid(world, world.all(), world.roster.all())
}

#[test]
fn m1_an_honest_entry_is_not_left_dangling_when_the_voucher_under_it_is_cut() {
    // C's late e0 is vouched for by B's e1; A, who knows of C's removal, sees e0 as valid and builds e2 on it; then B is
    // removed with e1 past his cut.
    let roster = mended(&[set(A, C, Role::Gone, FOUNDED), set(A, B, Role::Gone, 0b1111)]);
    let mut world = World::new(&roster);
    let late = world.append(C, 0, None, 0, FOUNDED);
    world.append(B, 0, None, 1 << late, FOUNDED);
    world.append(A, 0, None, 1 << late, 0b1111);
    only_the_stated_rules_break(Property::ValidIsClosed, &world);
    assert_eq!(valid(Rules::AsStated, &world), 0b100, "as stated A's entry is valid and what it builds on is not");
    assert_eq!(valid(Rules::Mended, &world), 0b101, "A's entry keeps what it builds on; B's stays out");
}

#[test]
fn m1_who_wants_to_launder_cites_a_stale_roster_so_the_informed_lose_nothing_by_vouching() {
    // B knows of C's removal and builds on C's late entry all the same: as stated that does not vouch. But B can say the same
    // in a fresh incarnation that cites the roster before the removal, and nobody can tell it from honest work.
    let roster = mended(&[set(A, C, Role::Gone, FOUNDED)]);
    let launder = |first_of_new_incarnation: Ops| {
        let mut world = World::new(&roster);
        let late = world.append(C, 0, None, 0, FOUNDED);
        world.append(B, 0, None, 0, 0b1111);
        world.append(B, 1, None, 1 << late, first_of_new_incarnation);
        assert!(world.acceptable(2), "a fresh incarnation may cite any roster in which it may write");
        valid(Rules::AsStated, &world) & (1 << late) != 0
    };
    assert!(!launder(0b1111));
    assert!(launder(FOUNDED));
}

#[test]
fn m2_a_device_that_may_write_again_is_heard() {
    let demote = set(A, C, Role::Reader, FOUNDED);
    let roster = mended(&[demote, set(A, C, Role::Writer, 0b1111)]);
    let mut world = World::new(&roster);
    world.append(C, 0, None, 0, 0b11111);
    assert_eq!(valid(Rules::AsStated, &world), 0, "as stated the journal is not listed in the old cut");
    assert_eq!(valid(Rules::Mended, &world), 0b1);
    only_the_stated_rules_break(Property::InformedWriterIsHeard, &world);
}

#[test]
fn m3_a_removed_device_cannot_unsend_what_was_retained_by_forking() {
    let roster = mended(&[set(A, C, Role::Gone, FOUNDED)]);
    let mut world = World::new(&roster);
    let kept = world.append(C, 0, None, 0, FOUNDED);
    world.append(C, 0, None, 0, FOUNDED);
    world.name(3, 1 << kept);
    only_the_stated_rules_break(Property::RetainedIsKept, &world);
    assert_eq!(valid(Rules::Mended, &world), 1 << kept);
}

#[test]
fn m4_what_one_admin_retains_survives_anothers_ignorance() {
    let roster = mended(&[set(A, C, Role::Gone, FOUNDED), set(B, C, Role::Gone, FOUNDED)]);
    let mut world = World::new(&roster);
    let seen_by_b = world.append(C, 0, None, 0, FOUNDED);
    world.name(4, 1 << seen_by_b);
    only_the_stated_rules_break(Property::RetainedIsKept, &world);
}

#[test]
fn m5_of_two_branches_that_honest_devices_built_on_both_stay_and_one_is_main() {
    let roster = mended(&[]);
    let mut world = World::new(&roster);
    let left = world.append(C, 0, None, 0, FOUNDED);
    let right = world.append(C, 0, None, 0, FOUNDED);
    world.append(A, 0, None, 1 << left, FOUNDED);
    let theirs = world.append(B, 0, None, 1 << right, FOUNDED);
    let valid = valid(Rules::Mended, &world);
    assert_eq!(valid, world.all(), "nobody loses work because C forked");
    assert_eq!(main_line(Rules::Mended, &world, valid, FOUNDED, left as usize), 1 << left, "the lower hash is main");
    assert!(!Property::NobodyTakesFromOthers.holds(Rules::LowestBranchWins, Upkeep::Mended, &world));
    assert_eq!(
        Rules::LowestBranchWins.valid(&world, world.all(), FOUNDED) & (1 << theirs),
        0,
        "one branch takes B's work"
    );
}

#[test]
fn m6_a_settlement_holds_against_a_removal_that_had_not_seen_it() {
    let roster = mended(&[settle(B, FOUNDED), set(A, C, Role::Gone, FOUNDED)]);
    let mut world = World::new(&roster);
    let settled = world.append(C, 0, None, 0, FOUNDED);
    world.name(3, 1 << settled);
    only_the_stated_rules_break(Property::SettledIsFinal, &world);
}

#[test]
fn m7_a_settlement_is_final_only_once_every_senior_admin_acknowledged_it() {
    // B settles while A removes B: the settlement is void, so nothing may have been trimmed on its strength.
    let ops = founded_with(&[settle(B, FOUNDED), set(A, B, Role::Gone, FOUNDED)]);
    let roster_1 = roster(ops, RosterRules::Mended);
    assert!(!is_final(&roster_1, 0b1111, 3));
    assert!(roster_1.counted(0b1111) & 0b1000 != 0 && roster_1.counted(0b11111) & 0b1000 == 0);
    // Once A has written anything after it, it is final, and A's later removal of B leaves it.
    let ops = founded_with(&[settle(B, FOUNDED), settle(A, 0b1111), set(A, B, Role::Gone, 0b11111)]);
    let roster_2 = roster(ops, RosterRules::Mended);
    assert!(is_final(&roster_2, 0b11111, 3) && roster_2.counted(0b111111) & 0b1000 != 0);
    // The founder's own is final at once.
    assert!(is_final(&mended(&[settle(A, FOUNDED)]), 0b1111, 3));
}

#[test]
fn m8_a_voided_grant_does_not_let_its_holder_write_for_ever() {
    let ops = vec![
        set(A, A, Role::Admin, 0),
        set(A, B, Role::Admin, 0b1),
        set(B, C, Role::Writer, 0b11),
        set(A, B, Role::Gone, 0b11),
    ];
    let roster = roster(ops, RosterRules::Mended);
    let mut world = World::new(&roster);
    world.append(C, 0, None, 0, 0b111);
    only_the_stated_rules_break(Property::LateEntriesStayOut, &world);
}

/// Three admins, A senior to B senior to C.
fn three_admins(more: &[Op], rules: RosterRules) -> Roster {
    let mut ops = vec![set(A, A, Role::Admin, 0), set(A, B, Role::Admin, 0b1), set(A, C, Role::Admin, 0b11)];
    ops.extend(more);
    roster(ops, rules)
}

#[test]
fn m9_three_admins_who_remove_each_other_in_a_ring_leave_one_answer() {
    let ring = [set(A, B, Role::Gone, FOUNDED), set(B, C, Role::Gone, FOUNDED), set(C, A, Role::Gone, FOUNDED)];
    let stated = three_admins(&ring, RosterRules::AsStatedSeniority);
    assert_eq!(stated.solutions(stated.all()), [], "as stated no verdict agrees with itself");
    let mended = three_admins(&ring, RosterRules::Mended);
    assert_eq!(mended.solutions(mended.all()), [0b101111], "A's and C's count: B's was voided by his senior");
}

#[test]
fn m10_a_demoted_admin_cannot_go_on_by_backdating() {
    let late = [set(A, B, Role::Writer, FOUNDED), set(B, C, Role::Gone, FOUNDED)];
    let property = RosterProperty::LoweredCannotBackdate;
    assert!(!property.holds(&three_admins(&late, RosterRules::DemotionVoidsNothing)));
    assert!(property.holds(&three_admins(&late, RosterRules::Mended)));
}

#[test]
fn m11_an_order_stands_though_it_came_after_a_voided_one() {
    // B writes something; C, having seen it, removes nobody but settles; A, offline, removes B.
    let late = [settle(B, FOUNDED), settle(C, 0b1111), set(A, B, Role::Gone, FOUNDED)];
    let property = RosterProperty::UntouchedIsObeyed;
    assert!(!property.holds(&three_admins(&late, RosterRules::DescentFromVoidIsVoid)));
    let mended = three_admins(&late, RosterRules::Mended);
    assert!(property.holds(&mended));
    assert_eq!(mended.counted(mended.all()), 0b110111, "only B's own operation is void");
}
