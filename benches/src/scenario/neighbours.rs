//! A peer that stops reading and one that floods: what a third one's edits notice of them, and what they cost in memory.

use std::time::Duration;

use farshore_bench_device::Command;

use super::live::{Typing, typed, typed_beside};
use super::{Lab, Pair};
use crate::record::Values;

/// Edits of the third peer while all is calm, and again while its neighbours misbehave; and the time between them.
const EDITS: u64 = 200;
const EVERY_US: u64 = 10_000;
/// How long the flood may grow before the edits begin.
const SWELL: Duration = Duration::from_millis(300);

/// Four devices, linked with one another. The third peer edits one document, and the hub watches it. Of the two others one is
/// stopped as a process, so that its sockets stay open and nobody reads them. The other floods: it comes back with `flood`
/// documents that it wrote while it was away; and then it writes as many as fast as it can.
///
/// All four share the machine's cores. What the flooder does in the first case is little but sending, so that what is measured
/// is what it does to others; in the second it takes a core for itself.
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
    let (mut written, _) = third.documents(Command::Fill { from: 0, count: 1 })?;
    for other in [&mut hub, &mut stopped, &mut flooder] {
        other.done(Command::Await(written.clone()))?;
    }
    let document = written.first().ok_or("no document")?.clone();
    let mut pair = Pair { ada: third, ben: hub };
    let (mut edits, mut all) = (0, Vec::new());
    let mut next = || {
        edits += EDITS;
        Typing::paced(&document, edits - EDITS, EDITS, EVERY_US)
    };
    for _ in 0..runs {
        let mut values = Values::new();
        let mut keep = |prefix: &str, typed: &Values| {
            for name in ["lag_p50_ms", "lag_p99_ms"] {
                values.insert(format!("{prefix}_{name}"), typed.get(name).copied().unwrap_or(0.0));
            }
        };
        let calm = typed(&mut pair, &next())?;
        keep("calm", &calm);

        flooder.done(Command::Disconnect)?;
        let (away, _) = flooder.documents(Command::Fill { from: written.len() as u32, count: flood })?;
        written.extend(away);
        stopped.signal("STOP")?;
        flooder.done(Command::Connect { in_sync: false })?;
        let returned = typed_beside(&mut pair, &next())?;
        keep("disturbed", &returned);
        let peak_bytes = pair.ben.usage()?.peak_bytes;
        stopped.signal("CONT")?;
        for child in [&mut pair.ben, &mut pair.ada, &mut stopped] {
            child.done(Command::Await(written.clone()))?;
        }

        flooder.ask(&Command::Fill { from: written.len() as u32, count: flood })?;
        std::thread::sleep(SWELL);
        let imported = typed_beside(&mut pair, &next())?;
        keep("import", &imported);
        written.extend(flooder.written()?.0);
        for child in [&mut pair.ben, &mut pair.ada, &mut stopped] {
            child.done(Command::Await(written.clone()))?;
        }
        let over = |typed: &Values| typed.get("lag_p50_ms").zip(calm.get("lag_p50_ms")).map_or(0.0, |(a, b)| a / b);
        values.insert("disturbed_over_calm".into(), over(&returned));
        values.insert("import_over_calm".into(), over(&imported));
        values.insert("hub_peak_mib".into(), super::mib(peak_bytes));
        all.push(values);
    }
    pair.close()?;
    stopped.close()?;
    flooder.close()?;
    Ok(all)
}
