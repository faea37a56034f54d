//! The fuzz harness of a small shop: its own types and rules, on simulated devices with everything going wrong.
//!
//! From seeds: `cargo run --release -p farshore-examples --example sim_app`. From a fuzzer's bytes: a target of libFuzzer is
//! ```text
//! #![no_main]
//! libfuzzer_sys::fuzz_target!(|data: &[u8]| sim_app::fuzz(data));
//! ```
//! and `cargo fuzz run shop` runs it (`fuzz/README.md` says how to do without cargo-fuzz, on stable Rust).

use std::error::Error;

use farshore::{Counter, Value, from_value, to_value};
use farshore_sim::app::{Act, App, Collection, Shown};
use farshore_sim::plan::Profile;
use farshore_sim::sweep;
use serde::{Deserialize, Serialize};

/// Something on a shelf. Anybody counts it up and down, on any device.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Good {
    /// How many are there.
    pub stock: Counter,
    /// How many ever came.
    pub delivered: Counter,
    /// How many ever went.
    pub sold: Counter,
}

impl Good {
    fn deliver(&mut self, count: i64) {
        self.stock.add(count);
        self.delivered.add(count);
    }

    /// As many as there are. Devices that are apart may all sell the last one: then the stock is below zero.
    fn sell(&mut self, count: i64) {
        let count = count.min(self.stock.0).max(0);
        self.stock.add(-count);
        self.sold.add(count);
    }
}

/// Somebody wants some of a good.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The good's id.
    pub good: String,
    /// How many.
    pub count: i64,
}

/// The shop and its users.
#[derive(Debug)]
pub struct Shop;

/// Places in [`Shop::collections`].
pub const GOODS: usize = 0;
/// See [`GOODS`].
pub const ORDERS: usize = 1;

impl App for Shop {
    fn collections(&self) -> Vec<Collection> {
        vec![Collection::new("goods"), Collection::new("orders")]
    }

    fn act(&self, act: &mut Act<'_>) {
        let (what, count) = (act.dice.below(10), act.dice.range(1, 5) as i64);
        let Some((id, mut good)) = act.any(from_value::<Good>).filter(|_| what > 0) else {
            act.create(content(&Good::default()));
            return;
        };
        match what {
            1..4 => good.deliver(count),
            4..7 => good.sell(count),
            _ => {
                act.in_collection(ORDERS).create(content(&Order { good: id.to_string(), count }));
                return;
            }
        }
        act.change(id, content(&good));
    }

    /// A delivery, and a sale, is one change of two counters: no device ever shows half of it.
    fn check(&self, shown: &Shown) -> Result<(), String> {
        let goods = shown.read(GOODS, from_value::<Good>);
        let half = goods.values().find(|good| good.stock.0 != good.delivered.0 - good.sold.0);
        half.map_or(Ok(()), |good| Err(format!("half a delivery or sale: {good:?}")))
    }

    /// Whoever ordered a good saw it: it is everywhere in the end.
    fn check_converged(&self, shown: &Shown) -> Result<(), String> {
        let (goods, orders) = (shown.read(GOODS, from_value::<Good>), shown.read(ORDERS, from_value::<Order>));
        let lost = orders.values().find(|order| !goods.keys().any(|id| id.to_string() == order.good));
        lost.map_or(Ok(()), |order| Err(format!("an order for a good that is not there: {order:?}")))
    }
}

fn content<T: Serialize>(document: &T) -> Value {
    to_value(document).expect("goods and orders hold strings, booleans and integers of 64 bits")
}

/// Runs some seeds; an error names the first that broke a rule of the shop or a guarantee of Farshore, and the call that shows it.
pub fn run(seeds: std::ops::Range<u64>) -> Result<usize, Box<dyn Error>> {
    Ok(sweep::check(&Shop, seeds, Profile::Mixed)?.len())
}

/// Runs the world that a fuzzer's bytes stand for.
///
/// # Panics
/// When it broke a rule of the shop or a guarantee of Farshore: that is what a fuzzer looks for.
pub fn fuzz(data: &[u8]) {
    if let Err(broken) = sweep::check_bytes(&Shop, data) {
        panic!("{broken}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{} seeds, and every rule held", run(0..20)?);
    Ok(())
}
