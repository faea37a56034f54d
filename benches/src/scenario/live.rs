//! P4, P5, P6: edits while both are connected.

use farshore_bench_device::Command;

use super::{Lab, Pair, ms, values};
use crate::record::{Values, percentile};

/// Edits of one run of P4, and the time between them: long enough for each to be alone.
const EDITS: u64 = 200;
const EVERY_US: u64 = 10_000;
/// Edits of one run of P5, ten a second, as a person types.
const TYPED: u64 = 100;
const TYPED_EVERY_US: u64 = 100_000;
/// Edits of one run of P6, and how many are unacknowledged at a time.
const STREAMED: u64 = 20_000;
/// The same for samod, whose app does not wait for the peer and whose messages then repeat each other: it needs 5 s for 2,000,
/// and has not shown 20,000 after 400 s.
const STREAMED_SAMOD: u64 = 2_000;
const STREAMED_OPEN: usize = 256;

/// P4: an edit of one document each 10 ms, beside `idle - 1` others that nobody touches.
pub(super) fn edit(lab: &Lab<'_>, idle: u32, runs: u32) -> Result<Vec<Values>, String> {
    let (mut pair, ids) = lab.filled_pair(idle)?;
    let document = ids.last().ok_or("no document")?.clone();
    let mut all = Vec::new();
    for run in 0..u64::from(runs) {
        all.push(typed(&mut pair, &Typing::paced(&document, run * EDITS, EDITS, EVERY_US))?);
    }
    pair.close()?;
    Ok(all)
}

/// P5: ten edits a second at the end of a text that has this many changes.
pub(super) fn large_text(lab: &Lab<'_>, changes: u32, runs: u32) -> Result<Vec<Values>, String> {
    let mut pair = lab.pair()?;
    let (ids, _) = pair.ada.documents(Command::Text { changes })?;
    pair.ben.done(Command::AwaitNumber { documents: ids.clone(), number: changes.into() })?;
    pair.settle()?;
    let document = ids.first().ok_or("no document")?.clone();
    let mut all = Vec::new();
    for run in 0..u64::from(runs) {
        let from = u64::from(changes) + run * TYPED;
        all.push(typed(&mut pair, &Typing::paced(&document, from, TYPED, TYPED_EVERY_US))?);
    }
    pair.close()?;
    Ok(all)
}

/// P6: edits of one document as fast as they go, beside `idle - 1` others.
pub(super) fn streaming(lab: &Lab<'_>, idle: u32, _: u32) -> Result<Vec<Values>, String> {
    let (mut pair, ids) = lab.filled_pair(idle)?;
    let document = ids.last().ok_or("no document")?.clone();
    let streamed = if lab.engine.name == "samod" { STREAMED_SAMOD } else { STREAMED };
    let typing = Typing { document: &document, from: 0, count: streamed, every_us: 0, in_flight: STREAMED_OPEN };
    let mut values = watched(&mut pair, &typing, |began, acknowledged_ns, seen| {
        let (first, last) = (began[0], seen[seen.len() - 1]);
        values([
            ("edits_a_second", began.len() as f64 / (last - first) as f64 * 1e9),
            ("acknowledged_a_second", began.len() as f64 / (acknowledged_ns - first) as f64 * 1e9),
        ])
    })?;
    each(&mut values, streamed);
    pair.close()?;
    Ok(vec![values])
}

/// Edits of one document, each of which counts it up by one.
pub(super) struct Typing<'a> {
    document: &'a str,
    /// Where it stands.
    from: u64,
    count: u64,
    /// Time from one to the next.
    every_us: u64,
    /// Edits that may be unacknowledged at a time.
    in_flight: usize,
}

impl<'a> Typing<'a> {
    /// Open edits are not waited for: a device that cannot keep up shows it in the times.
    pub(super) fn paced(document: &'a str, from: u64, count: u64, every_us: u64) -> Typing<'a> {
        Typing { document, from, count, every_us, in_flight: count as usize }
    }
}

/// How long until the other's watcher shows each edit.
pub(super) fn typed(pair: &mut Pair, typing: &Typing<'_>) -> Result<Values, String> {
    let mut values = watched(pair, typing, |began, _, seen| lags(began, seen))?;
    each(&mut values, typing.count);
    Ok(values)
}

/// The same while others are busy: nothing settles, and what it costs is not told apart.
pub(super) fn typed_beside(pair: &mut Pair, typing: &Typing<'_>) -> Result<Values, String> {
    let (began, _, seen) = counted(pair, typing)?;
    Ok(lags(&began, &seen))
}

fn lags(began: &[u64], seen: &[u64]) -> Values {
    let mut lags: Vec<f64> = began.iter().zip(seen).map(|(began, seen)| ms(seen.saturating_sub(*began))).collect();
    lags.sort_by(f64::total_cmp);
    values([("lag_p50_ms", percentile(&lags, 50)), ("lag_p99_ms", percentile(&lags, 99))])
}

/// Lets Ada edit and Ben watch; `figures` gets when each edit began, when the last was acknowledged, and when each was seen.
fn watched(
    pair: &mut Pair,
    typing: &Typing<'_>,
    figures: impl FnOnce(&[u64], u64, &[u64]) -> Values,
) -> Result<Values, String> {
    pair.settle()?;
    let before = pair.mark()?;
    let (began, acknowledged_ns, seen) = counted(pair, typing)?;
    pair.settle()?;
    let mut values = pair.mark()?.spent(&before);
    values.extend(figures(&began, acknowledged_ns, &seen));
    Ok(values)
}

/// When each edit began, when the last was acknowledged, and when each was seen.
fn counted(pair: &mut Pair, typing: &Typing<'_>) -> Result<(Vec<u64>, u64, Vec<u64>), String> {
    let Typing { document, from, count, every_us, in_flight } = *typing;
    pair.ben.done(Command::Watch(document.to_owned()))?;
    pair.ben.ask(&Command::Observe { from, count })?;
    pair.ada.ask(&Command::Count { document: document.to_owned(), from, count, every_us, in_flight })?;
    let mut began = pair.ada.times()?;
    let acknowledged_ns = began.pop().ok_or("no times")?;
    let seen = pair.ben.times()?;
    if began.is_empty() || began.len() != seen.len() {
        return Err(format!("{} edits were made and {} seen", began.len(), seen.len()));
    }
    Ok((began, acknowledged_ns, seen))
}

/// Adds what one edit cost.
fn each(values: &mut Values, edits: u64) {
    for (of, name) in [
        ("bytes", "edit_bytes"),
        ("frames", "edit_frames"),
        ("ada_cpu_ms", "edit_ada_cpu_ms"),
        ("ben_cpu_ms", "edit_ben_cpu_ms"),
        ("ada_flushes", "edit_ada_flushes"),
        ("ben_flushes", "edit_ben_flushes"),
    ] {
        if let Some(value) = values.get(of).copied() {
            values.insert(name.to_owned(), value / edits as f64);
        }
    }
}
