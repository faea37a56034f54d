//! P1, P2, P3: what two devices that meet have to do.

use farshore_bench_device::{Answer, Command, clock};

use super::{Lab, Pair, ms};
use crate::record::Values;

/// Documents that change in P3.
const CHANGED: usize = 10;

/// P1: Ada has N documents, Ben has none; they meet. From the moment at which Ben begins to dial.
pub(super) fn first_sync(lab: &Lab<'_>, documents: u32, _: u32) -> Result<Vec<Values>, String> {
    let mut pair = lab.pair()?;
    pair.ben.done(Command::Disconnect)?;
    let (ids, _) = pair.ada.documents(Command::Fill { from: 0, count: documents })?;
    pair.ada.done(Command::Settle { quiet_ms: 100 })?;
    let before = pair.mark()?;
    let began_ns = clock::now_ns();
    pair.ben.done(Command::Connect { in_sync: false })?;
    let (durable_ns, readable_ns) = match pair.ben.call(Command::Await(ids))? {
        Answer::Arrived { durable_ns, readable_ns } => (durable_ns, readable_ns),
        other => return Err(crate::child::unexpected(&other)),
    };
    pair.settle()?;
    let mut values = pair.mark()?.spent(&before);
    let count = f64::from(documents);
    let each: Vec<(String, f64)> = ["bytes", "frames"]
        .into_iter()
        .map(|name| (format!("document_{name}"), values.get(name).copied().unwrap_or(0.0) / count))
        .collect();
    values.extend(each);
    values.insert("durable_ms".into(), ms(durable_ns - began_ns));
    values.insert("readable_ms".into(), ms(readable_ns - began_ns));
    pair.close()?;
    Ok(vec![values])
}

/// P2: both hold the same N documents; they meet again, as often as there are runs.
pub(super) fn unchanged(lab: &Lab<'_>, documents: u32, runs: u32) -> Result<Vec<Values>, String> {
    let (mut pair, _) = lab.filled_pair(documents)?;
    let mut all = Vec::new();
    for _ in 0..runs {
        disconnect(&mut pair)?;
        let before = pair.mark()?;
        let began_ns = clock::now_ns();
        let in_sync_ns = pair.ben.at(Command::Connect { in_sync: true })?;
        pair.settle()?;
        let mut values = pair.mark()?.spent(&before);
        values.insert("in_sync_ms".into(), ms(in_sync_ns - began_ns));
        all.push(values);
    }
    pair.close()?;
    Ok(all)
}

/// P3: the same after Ada changed ten of them while Ben was away.
pub(super) fn ten_changed(lab: &Lab<'_>, documents: u32, runs: u32) -> Result<Vec<Values>, String> {
    let (mut pair, ids) = lab.filled_pair(documents)?;
    let step = (ids.len() / CHANGED).max(1);
    let changed: Vec<String> = ids.into_iter().step_by(step).take(CHANGED).collect();
    let mut all = Vec::new();
    for run in 0..runs {
        disconnect(&mut pair)?;
        let number = u64::from(run) + 1;
        pair.ada.done(Command::SetNumbers { documents: changed.clone(), number })?;
        let before = pair.mark()?;
        let began_ns = clock::now_ns();
        pair.ben.done(Command::Connect { in_sync: false })?;
        let landed_ns = pair.ben.at(Command::AwaitNumber { documents: changed.clone(), number })?;
        pair.settle()?;
        let mut values = pair.mark()?.spent(&before);
        values.insert("landed_ms".into(), ms(landed_ns - began_ns));
        all.push(values);
    }
    pair.close()?;
    Ok(all)
}

/// Ends the link, and waits until both have got over it.
fn disconnect(pair: &mut Pair) -> Result<(), String> {
    pair.settle()?;
    pair.ben.done(Command::Disconnect)?;
    pair.ada.done(Command::Settle { quiet_ms: super::QUIET_MS })
}
