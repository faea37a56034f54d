//! An app's own documents and rules, tested on simulated devices with everything going wrong: the fuzz harness of a small shop.
//!
//! Run it with `cargo run --release -p farshore-examples --example sim_app`.

use std::error::Error;

use farshore_sim::app::{Act, App, Collection, Shown};
use farshore_sim::plain::{Edit, Plain, keys};
use farshore_sim::plan::Profile;
use farshore_sim::sweep;

/// Goods with a stock that anybody counts up and down, and orders that name goods.
#[derive(Debug)]
struct Shop;

impl App for Shop {
    fn collections(&self) -> Vec<Collection> {
        vec![Collection::new("goods"), Collection::new("orders")]
    }

    fn act(&self, act: &mut Act<'_>) {
        let name = ["milk", "bread", "salt"][act.dice.index(3)];
        match act.dice.below(10) {
            0..2 => {
                // Set once for all: every device that makes it says the same, so they agree.
                act.upsert(name, Plain::map([("name", Plain::Str(name.into())), ("stock", Plain::Counter(0))]));
            }
            2..7 => {
                let Some((id, _)) = act.any_document() else { return };
                let by = act.dice.range(1, 5) as i64;
                act.edit(id, vec![Edit::Increment { path: keys(["stock"]), by }]);
            }
            _ => {
                act.in_collection(1).create(Plain::map([("goods", Plain::Str(name.into())), ("count", Plain::Int(1))]));
            }
        }
    }

    fn check(&self, shown: &Shown) -> Result<(), String> {
        // Stock is only ever added to, on every device, at any time.
        for goods in shown.collections.first().iter().flat_map(|goods| goods.values()) {
            if goods.get("stock").and_then(Plain::as_int).is_none_or(|stock| stock < 0) {
                return Err(format!("goods without a sound stock: {goods}"));
            }
        }
        Ok(())
    }

    fn check_converged(&self, shown: &Shown) -> Result<(), String> {
        let orders = shown.collections.get(1).map_or(0, |orders| orders.len());
        if orders == 0 { Err("a whole run and no order".into()) } else { Ok(()) }
    }
}

/// Runs some seeds; an error names the first that broke a rule of the shop or a guarantee of Farshore.
pub fn run(seeds: std::ops::Range<u64>) -> Result<usize, Box<dyn Error>> {
    Ok(sweep::check(&Shop, seeds, Profile::Mixed)?.len())
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{} seeds, and every rule held", run(0..20)?);
    Ok(())
}
