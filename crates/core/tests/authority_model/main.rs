//! Who is believed: an exhaustive model of roster, cuts, vouching, forks and settling, with no code of Farshore in it.
//!
//! It exists to find out whether the rules can hold what is asked of them before anything is built on them. The rules as
//! mended are written down in `docs/decisions/001-authority-rules.md`; `rules.rs` and `roster.rs` are the same in code, next
//! to the rules as first stated and to deliberate breakages. Every world up to a size is tried:
//!
//! - `enumerate.rs`: up to 4 entries of 3 devices, with every choice of journal, `prev`, deps and cites, and every position
//!   that a revocation, adoption or settlement may name; `properties.rs`: what must hold of each.
//! - `roster_worlds.rs`: up to 6 operations by 3 admins, with every choice of what each had seen.
//! - `counterexamples.rs`: where the rules as stated fail.
//!
//! `FARSHORE_MODEL_FULL=1` goes to 4 entries everywhere and to 7 operations: some 60 million worlds and rosters, half an hour in the dev profile.

mod counterexamples;
mod enumerate;
mod properties;
mod replica;
mod roster;
mod roster_worlds;
mod rules;
mod world;

use std::io::Write as _;

use crate::enumerate::{Counts, Family, Scenario, scenarios, worlds};
use crate::properties::Property;
use crate::replica::Upkeep;
use crate::roster::RosterRules;
use crate::roster_worlds::RosterProperty;
use crate::rules::Rules;
use crate::world::World;

fn full() -> bool {
    std::env::var_os("FARSHORE_MODEL_FULL").is_some_and(|v| v == "1")
}

/// Past the test harness's capture, so that a passing run shows how much it looked at.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "authority model: {line}");
}

fn check_scenario(scenario: &Scenario) -> Counts {
    let mut total = Counts::default();
    let mut check = |entries, family| {
        let found = worlds(scenario, entries, family, RosterRules::Mended, &mut |world| {
            for property in properties::ALL {
                let holds = property.holds(Rules::Mended, Upkeep::Mended, world);
                assert!(holds, "{property:?} fails in '{}':\n{}", scenario.name, world.draw());
            }
            true
        });
        total.add(found);
    };
    let entries = if full() { scenario.full_entries() } else { scenario.entries };
    (0..=entries).for_each(|n| check(n, Family::All));
    if scenario.narrow_four && entries < 4 {
        check(4, Family::Narrow);
    }
    total
}

#[test]
fn the_mended_rules_hold_in_every_small_world() {
    let mut total = Counts::default();
    for scenario in scenarios() {
        let counts = check_scenario(&scenario);
        say(&format!("{:9} worlds, {}", counts.worlds, scenario.name));
        total.add(counts);
    }
    say(&format!("{total:?}"));
    assert!(total.worlds >= 1_000_000, "{total:?}");
    assert!(total.with_fork >= 500_000, "{total:?}");
    assert!(total.with_removal >= 1_000_000, "{total:?}");
    assert!(total.with_adoption >= 100_000, "{total:?}");
    assert!(total.with_settlement >= 500_000, "{total:?}");
    assert!(total.with_four_entries >= 500_000, "{total:?}");
}

#[test]
fn the_mended_rules_hold_in_every_small_roster() {
    // (admins at the founding, operations after it)
    let ordinary = [(3, 3, 143_791), (2, 3, 47_081), (1, 3, 5_000)];
    let sizes = if full() { [(3, 4, 10_000_000), (2, 4, 1_000_000), (1, 4, 517_751)] } else { ordinary };
    for (admins, more, at_least) in sizes {
        let count = roster_worlds::rosters(admins, more, RosterRules::Mended, &mut |roster| {
            for property in roster_worlds::ALL {
                assert!(property.holds(roster), "{property:?} fails in\n{}", World::new(roster).draw());
            }
            true
        });
        say(&format!("{count:9} rosters of {admins} founding and up to {more} further operations"));
        assert!(count >= at_least, "{count} of at least {at_least}");
    }
}

/// The smallest world, by entries, in which the rules break the property.
fn smallest(rules: Rules, upkeep: Upkeep, property: Property) -> Option<String> {
    (0..=3).find_map(|entries| {
        scenarios().iter().filter(|s| s.entries >= entries).find_map(|scenario| {
            let mut found = None;
            worlds(scenario, entries, Family::All, RosterRules::Mended, &mut |world| {
                if !property.holds(rules, upkeep, world) {
                    found = Some(format!("{entries} entries, {}:\n{}", scenario.name, world.draw()));
                }
                found.is_none()
            });
            found
        })
    })
}

#[test]
fn every_broken_rule_about_entries_is_caught_by_the_property_it_breaks() {
    use Property::*;
    let judged = [
        (Rules::AsStated, ValidIsClosed),
        (Rules::AsStated, RetainedIsKept),
        (Rules::AsStated, LateEntriesStayOut),
        (Rules::AsStated, AdoptedIsKept),
        (Rules::AsStated, SettledIsFinal),
        (Rules::AsStated, InformedWriterIsHeard),
        (Rules::AsStated, NobodyTakesFromOthers),
        (Rules::NoClosure, ValidIsClosed),
        (Rules::AnybodyVouches, LateEntriesStayOut),
        (Rules::NobodyVouches, ValidIsClosed),
        (Rules::CutBindsTheInformed, InformedWriterIsHeard),
        (Rules::NarrowestRetainHolds, RetainedIsKept),
        (Rules::ForkBeatsRetain, RetainedIsKept),
        (Rules::LowestBranchWins, NobodyTakesFromOthers),
        (Rules::ForksIgnored, ForkedTailsStayOut),
        (Rules::SettleClampsLaterOnly, SettledIsFinal),
        (Rules::VoidedGrantStands, LateEntriesStayOut),
        (Rules::OwnRetainReadmits, LateEntriesStayOut),
        (Rules::NamesWithoutHash, LateEntriesStayOut),
        (Rules::LowestHashIsMain, SettledBranchIsMain),
    ];
    let kept = [
        (Upkeep::FirstBranchSeenWins, OrderDoesNotMatter),
        (Upkeep::ForgetsVouchersOnRosterChange, OrderDoesNotMatter),
        (Upkeep::JudgesOnArrivalOnly, OrderDoesNotMatter),
    ];
    let judged = judged.map(|(rules, property)| (rules, Upkeep::Mended, property));
    let kept = kept.map(|(upkeep, property)| (Rules::Mended, upkeep, property));
    for (rules, upkeep, property) in judged.into_iter().chain(kept) {
        let world = smallest(rules, upkeep, property);
        let world = world.unwrap_or_else(|| panic!("{rules:?}, {upkeep:?} got past {property:?}"));
        say(&format!("{rules:?}, {upkeep:?} breaks {property:?} with {}", world.lines().next().unwrap_or_default()));
        println!("{world}");
    }
}

#[test]
fn every_broken_rule_about_the_roster_is_caught_by_the_property_it_breaks() {
    use RosterProperty::*;
    let table = [
        (RosterRules::AsStatedSeniority, ExactlyOneVerdict),
        (RosterRules::AsStatedSeniority, AcknowledgedSettlementStays),
        (RosterRules::DemotionVoidsNothing, LoweredCannotBackdate),
        (RosterRules::DemotionVoidsNothing, SeniorWins),
        (RosterRules::DescentFromVoidIsVoid, UntouchedIsObeyed),
        (RosterRules::VoidedGrantStillGives, VoidGivesNothing),
        (RosterRules::HigherRoleWins, LowerRoleHolds),
    ];
    for (rules, property) in table {
        let mut found = None;
        roster_worlds::rosters(3, 3, rules, &mut |roster| {
            if !property.holds(roster) {
                found = Some(World::new(roster).draw());
            }
            found.is_none()
        });
        let roster = found.unwrap_or_else(|| panic!("{rules:?} got past {property:?}"));
        println!("{rules:?} breaks {property:?}:\n{roster}");
    }
}
