//! The recorded paper: 259,778 edits of one text, typed through two nodes.

use farshore_bench_device::{Command, clock};

use super::{Lab, mib, ms};
use crate::child::medium_bytes;
use crate::record::Values;

/// Between two of the last edits: ten a second, as it was typed.
const EVERY_US: u64 = 100_000;
/// Edits that may be unacknowledged then: a program that never waits for the last keystroke.
const IN_FLIGHT: usize = 256;

/// All but the last edits at full speed, then the last `rest` at ten a second; and what is left behind.
pub(super) fn typed(lab: &Lab<'_>, rest: u32, _: u32) -> Result<Vec<Values>, String> {
    let path = lab.options.trace.canonicalize().map_err(|error| format!("{}: {error}", lab.options.trace.display()))?;
    let rest = rest as usize;
    let mut pair = lab.pair()?;
    pair.settle()?;
    let before = pair.mark()?;
    let began_ns = clock::now_ns();
    let (ids, typed_ns) = pair.ada.documents(Command::Trace { path: path.clone(), leave: rest })?;
    let document = ids.first().ok_or("no document")?.clone();
    let await_all = |leave| Command::AwaitTrace { document: document.clone(), path: path.clone(), leave };
    let seen_ns = pair.ben.at(await_all(rest))?;
    pair.settle()?;
    let mut values = pair.mark()?.spent(&before);
    let keep = |values: Values, prefix: &str| -> Values {
        values.into_iter().map(|(name, value)| (format!("{prefix}_{name}"), value)).collect()
    };
    values.insert("typed_ms".into(), ms(typed_ns));
    values.insert("seen_ms".into(), ms(seen_ns - began_ns));
    let mut all = keep(values, "full");

    let before = pair.mark()?;
    pair.ada.ask(&Command::TraceRest {
        document: document.clone(),
        path: path.clone(),
        rest,
        every_us: EVERY_US,
        in_flight: IN_FLIGHT,
    })?;
    let times = pair.ada.times()?;
    let seen_ns = pair.ben.at(await_all(0))?;
    pair.settle()?;
    let mut values = pair.mark()?.spent(&before);
    let (first, last) = times.first().copied().zip(times.last().copied()).ok_or("no times")?;
    values.insert("seconds".into(), (last - first) as f64 / 1e9);
    values.insert("last_lag_ms".into(), ms(seen_ns.saturating_sub(last)));
    values.insert("edit_bytes".into(), values.get("bytes").copied().unwrap_or(0.0) / rest as f64);
    all.extend(keep(values, "slow"));
    pair.close()?;

    all.insert("store_mib".into(), mib(medium_bytes(&lab.path("ben").join("store.fsh"))));
    let (child, open_ms) = lab.open("ben", false, None)?;
    child.close()?;
    let (child, read_ms) = lab.open("ben", false, Some(document))?;
    child.close()?;
    all.insert("open_ms".into(), open_ms);
    all.insert("open_and_read_ms".into(), read_ms);
    Ok(vec![all])
}
