//! An app team's own rules: one that does not hold is reported with its seed. (`examples/tests/sim_app.rs` has the harness of a whole app.)

use farshore_sim::app::{Act, App, Collection, Shown};
use farshore_sim::plain::{Edit, Plain, keys};
use farshore_sim::plan::Profile;
use farshore_sim::sweep;

/// Counts by reading and writing: two devices that do so apart lose one of the counts, and the last one says so.
#[derive(Debug)]
struct Careless;

impl App for Careless {
    fn collections(&self) -> Vec<Collection> {
        vec![Collection::new("counts")]
    }

    fn act(&self, act: &mut Act<'_>) {
        let Some((id, value)) = act.any_document() else {
            act.upsert("visits", Plain::map([("n", Plain::Int(0)), ("adds", Plain::Counter(0))]));
            return;
        };
        let seen = value.get("n").and_then(Plain::as_int).unwrap_or(0);
        let write = Edit::Put { path: keys(["n"]), value: Plain::Int(seen + 1) };
        act.edit(id, vec![write, Edit::Increment { path: keys(["adds"]), by: 1 }]);
    }

    fn check_converged(&self, shown: &Shown) -> Result<(), String> {
        let documents = shown.collections.first().iter().flat_map(|documents| documents.values()).collect::<Vec<_>>();
        for value in documents {
            let (n, adds) = (value.get("n").and_then(Plain::as_int), value.get("adds").and_then(Plain::as_int));
            if n != adds {
                return Err(format!("{n:?} visits were written, {adds:?} happened"));
            }
        }
        Ok(())
    }
}

#[test]
fn an_app_that_loses_counts_is_found_out_with_the_seed_and_in_its_own_words() {
    let error = sweep::check(&Careless, 0..3, Profile::Mixed).unwrap_err();
    assert!(error.starts_with("seed 0 of profile mixed: app at ") && error.contains("visits were written"), "{error}");
}
