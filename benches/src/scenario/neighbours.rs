//! A peer that stops reading and one that floods: what a third one's edits notice of them, and what they cost in memory.

use std::time::Duration;

use farshore_bench_device::{Command, clock};

use super::live::{typed, typed_beside};
use super::{Lab, Pair, ms};
use crate::record::Values;

/// Edits of the third peer while all is calm, and again while its neighbours misbehave; and the time between them.
const EDITS: u64 = 200;
const EVERY_US: u64 = 10_000;
/// How long the flood may grow before the edits begin.
const SWELL: Duration = Duration::from_millis(300);

/// Four devices. The hub is linked with all; the third peer edits one document, and the hub watches it. Of the two others one is
/// stopped as a process, so that its sockets stay open and nobody reads them, and one writes `flood` documents as fast as it can.
pub(super) fn disturbed(lab: &Lab<'_>, flood: u32, runs: u32) -> Result<Vec<Values>, String> {
    let mut hub = lab.open("hub", true, None)?.0;
    hub.done(Command::Found)?;
    let mut guests = Vec::new();
    for name in ["third", "stopped", "flooder"] {
        let mut guest = lab.open(name, true, None)?.0;
        guest.done(Command::Join(hub.text(Command::Invite)?))?;
        guests.push(guest);
    }
    let [mut third, mut stopped, mut flooder] = <[_; 3]>::try_from(guests).map_err(|_| "three guests")?;
    let (ids, _) = third.documents(Command::Fill { from: 0, count: 1 })?;
    for other in [&mut hub, &mut stopped, &mut flooder] {
        other.done(Command::Await(ids.clone()))?;
    }
    let document = ids.first().ok_or("no document")?.clone();
    let mut pair = Pair { ada: third, ben: hub };
    let mut written = ids;
    let mut all = Vec::new();
    for run in 0..runs {
        let from = u64::from(run) * 2 * EDITS;
        let calm = typed(&mut pair, &document, from, EDITS, EVERY_US)?;
        stopped.signal("STOP")?;
        flooder.ask(&Command::Fill { from: 1 + run * flood, count: flood })?;
        std::thread::sleep(SWELL);
        let began_ns = clock::now_ns();
        let disturbed = typed_beside(&mut pair, &document, from + EDITS, EDITS, EVERY_US)?;
        let typed_ns = clock::now_ns() - began_ns;
        let (flooded, done_ns) = flooder.written()?;
        stopped.signal("CONT")?;
        written.extend(flooded);
        for child in [&mut pair.ben, &mut pair.ada, &mut stopped] {
            child.done(Command::Await(written.clone()))?;
        }
        let mut values = Values::new();
        let of = |values: &Values, name: &str| values.get(name).copied().unwrap_or(0.0);
        for name in ["lag_p50_ms", "lag_p99_ms"] {
            values.insert(format!("calm_{name}"), of(&calm, name));
            values.insert(format!("disturbed_{name}"), of(&disturbed, name));
        }
        values.insert("lag_p50_over_calm".into(), of(&disturbed, "lag_p50_ms") / of(&calm, "lag_p50_ms"));
        values.insert("typed_ms".into(), ms(typed_ns));
        values.insert("flood_lasted_ms".into(), ms(done_ns.saturating_sub(began_ns)));
        values.insert("hub_peak_mib".into(), super::mib(pair.ben.usage()?.peak_bytes));
        all.push(values);
    }
    pair.close()?;
    stopped.close()?;
    flooder.close()?;
    Ok(all)
}
