//! The fuzz harness of the shop does what it says, from seeds and from bytes, and a rule that does not hold is caught by both.

#[path = "../sim_app.rs"]
#[allow(dead_code, unreachable_pub)]
mod sim_app;

use farshore::from_value;
use farshore_sim::app::{Act, App, Collection, Shown};
use farshore_sim::plan::{Plan, Profile};
use farshore_sim::reproduce::Reproduction;
use farshore_sim::run::Options;
use farshore_sim::sweep::{check, check_bytes, judge, plan_of_bytes};
use farshore_sim::{reproduce, reproduce_plan};
use sim_app::{GOODS, Good, ORDERS, Order, Shop};

/// Bytes as a fuzzer makes them: of any kind.
fn noise(seed: u32, length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_add(seed * 7_919).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// The shop with one more rule, which is wrong: two devices that are apart sell the same last good.
#[derive(Debug)]
struct NeverOversold;

impl App for NeverOversold {
    fn collections(&self) -> Vec<Collection> {
        Shop.collections()
    }

    fn act(&self, act: &mut Act<'_>) {
        Shop.act(act);
    }

    fn check(&self, shown: &Shown) -> Result<(), String> {
        let goods = shown.read(GOODS, from_value::<Good>);
        let oversold = goods.values().find(|good| good.stock.0 < 0);
        oversold.map_or(Ok(()), |good| Err(format!("sold what was not there: {good:?}")))
    }
}

/// The shop, in a world in which it writes every document: each must have the shape of its type.
#[derive(Debug)]
struct WellShaped;

impl App for WellShaped {
    fn collections(&self) -> Vec<Collection> {
        Shop.collections()
    }

    fn act(&self, act: &mut Act<'_>) {
        Shop.act(act);
    }

    fn check_converged(&self, shown: &Shown) -> Result<(), String> {
        let (goods, orders) = (shown.read(GOODS, from_value::<Good>), shown.read(ORDERS, from_value::<Order>));
        let strange = (shown.strange(GOODS, from_value::<Good>), shown.strange(ORDERS, from_value::<Order>));
        let sound = strange.0.is_empty() && strange.1.is_empty() && goods.len() > 5 && orders.len() > 5;
        let what = || format!("{} goods, {} orders, {strange:?}", goods.len(), orders.len());
        if sound { Ok(()) } else { Err(what()) }
    }
}

#[test]
fn the_rules_of_the_shop_hold_on_seeds() {
    assert_eq!(sim_app::run(0..2).unwrap(), 2);
}

#[test]
fn the_rules_of_the_shop_hold_on_bytes_of_any_length() {
    for data in [&[][..], &[0xff; 64], &noise(1, 50), &noise(2, 400), &noise(3, 400), &noise(4, 2_000)] {
        sim_app::fuzz(data);
    }
}

#[test]
fn every_document_of_the_shop_has_the_shape_of_its_type() {
    check(&WellShaped, 0..1, Profile::Mixed).unwrap();
}

/// What a reproduction must hold: the whole story, and a small one that breaks the same, again and again.
fn is_told(told: &Reproduction) {
    let small = told.small.as_ref().expect("something is broken");
    assert!(told.whole.plan.actions.len() > small.plan.actions.len() && small.plan.actions.len() < 20, "{told}");
    for run in [&told.whole, small] {
        assert_eq!(run.violations.first().map(|violation| violation.oracle), Some("app"));
        assert!(run.timeline.iter().any(|line| line.contains("asks #1 in ")), "{told}");
    }
    let text = told.to_string();
    assert!(text.contains(&small.plan.to_lines()) && text.contains("broken: app at "), "{text}");
    let again = judge(&Plan::from_lines(&small.plan.to_lines()).unwrap(), &NeverOversold, Options::default());
    assert_eq!(again.violations, small.violations);
}

#[test]
fn a_wrong_rule_is_caught_on_a_seed_and_the_call_in_the_error_tells_a_small_story() {
    let error = check(&NeverOversold, 0..5, Profile::Mixed).unwrap_err();
    let seed: u64 = error.split(' ').nth(1).and_then(|seed| seed.parse().ok()).expect("the seed's number");
    assert!(error.contains("sold what was not there: Good"), "{error}");
    assert!(error.ends_with(&format!("`farshore_sim::reproduce(&app, {seed}, Profile::Mixed)`")), "{error}");
    is_told(&reproduce(&NeverOversold, seed, Profile::Mixed));
}

#[test]
fn a_wrong_rule_is_caught_on_bytes_and_the_call_in_the_error_tells_a_small_story() {
    let broken = |seed| check_bytes(&NeverOversold, &noise(seed, 600)).err().map(|error| (seed, error));
    let (seed, error) = (0..500).find_map(broken).expect("one in a few dozen");
    assert!(
        error.starts_with("600 bytes: app at ") && error.contains("reproduce_plan(&app, &plan_of_bytes(data))"),
        "{error}"
    );
    is_told(&reproduce_plan(&NeverOversold, &plan_of_bytes(&noise(seed, 600))));
}

#[test]
fn a_run_that_breaks_nothing_is_told_as_it_is() {
    let told = reproduce(&Shop, 0, Profile::Small);
    assert!(told.small.is_none() && told.whole.violations.is_empty());
    assert!(told.to_string().ends_with("nothing is broken\n"), "{told}");
}
