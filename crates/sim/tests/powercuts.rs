//! Power cuts after every disk operation of a few workloads: a slice of `./prove powercuts`.

use farshore_sim::powercut::sweep;

/// Workloads of the ordinary run, and cuts of each.
const WORKLOADS: u64 = 4;
const CUTS: usize = 150;

#[test]
fn whatever_was_promised_is_there_after_a_power_cut_at_any_operation() {
    let mut kept = 0;
    for seed in 0..WORKLOADS {
        let swept = sweep(seed, CUTS);
        assert_eq!(swept.broken, Vec::<String>::new());
        assert!(swept.cuts > CUTS / 2, "{} cuts", swept.cuts);
        kept += swept.kept_unacknowledged;
    }
    assert!(kept > 0, "no cut fell between a commit and its acknowledgement");
}
