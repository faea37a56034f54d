//! `farshore-sim`: runs seeds, and makes one that fails small.

use farshore_sim::dice::Dice;
use farshore_sim::oracle;
use farshore_sim::plan::{Profile, draw};
use farshore_sim::run::{Medium, Options, run};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (from, to): (u64, u64) = (args[0].parse().unwrap(), args[1].parse().unwrap());
    let profile: Profile = args[2].parse().unwrap();
    let medium = if args.iter().any(|a| a == "memory") { Medium::Memory } else { Medium::Disk };
    for seed in from..to {
        let plan = draw(&mut Dice::seeded(seed), seed, profile);
        let out = run(&plan, &plan.setup.workload, oracle::all(), Options { medium, memoize: true, keep: false });
        println!(
            "{seed} {} dev {} edits {} ack {} idle {} faults {} events {} inputs {} frames {} commits {} virtual {}s rest {} verified {} remembered {}",
            farshore_core::id::hex(&out.trace[..4]),
            out.devices,
            out.edits,
            out.acknowledged,
            out.idle_acts,
            out.faults(),
            out.events,
            out.inputs,
            out.frames,
            out.commits,
            out.virtual_ms / 1000,
            out.rest_round_trips,
            out.verified,
            out.remembered
        );
        for v in &out.violations {
            println!("   VIOLATION {}", v.to_string().chars().take(600).collect::<String>());
        }
    }
}
