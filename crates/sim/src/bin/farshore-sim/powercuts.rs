//! Power cuts after every disk operation of small workloads.

use farshore_sim::powercut::{Sweep, sweep};

use crate::args::Powercuts;
use crate::long;

pub(crate) fn run(args: &Powercuts) -> Result<bool, String> {
    let one = |seed| sweep(seed, usize::MAX);
    let count = long::run(&args.long, args.workloads.clone(), one, |swept: &Sweep, _| {
        let (seed, operations) = (swept.seed, swept.operations);
        say!("workload {seed}: {operations} operations, {} cuts, {} broken", swept.cuts, swept.broken.len());
        swept.broken.iter().for_each(|what| say!("  {what}"));
    })?;
    let sum = |of: fn(&Sweep) -> usize| count.all.values().map(of).sum::<usize>();
    let (cuts, broken) = (sum(|sweep| sweep.cuts), sum(|sweep| sweep.broken.len()));
    say!("{cuts} power cuts over {} workloads, every boundary of each: {broken} broken", count.all.len());
    say!("  {} of them kept a commit that was not yet acknowledged", sum(|sweep| sweep.kept_unacknowledged));
    say!("  {} workloads ran now, in {:.1} s", count.fresh, count.took_s);
    if count.unfinished {
        say!("  the time was up before all workloads had run: go on with the same command");
    }
    Ok(broken == 0)
}
