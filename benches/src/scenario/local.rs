//! P7, P8, P12: one device by itself.

use farshore_bench_device::{Command, clock};

use super::{Lab, mib, ms, values};
use crate::child::{Child, medium_bytes};
use crate::record::Values;

/// Edits of P7's single writer, writers that write at the same time, and edits of each.
const ALONE: u64 = 1_000;
const WRITERS: usize = 64;
const EACH: u64 = 100;

/// P7: one writer that waits for each edit; 64 such writers, each on its own document; an import of N documents.
pub(super) fn writes(lab: &Lab<'_>, documents: u32, _: u32) -> Result<Vec<Values>, String> {
    let (mut ada, _) = lab.open("ada", false, None)?;
    ada.done(Command::Found)?;
    let (ids, import_ns) = ada.documents(Command::Fill { from: 0, count: documents })?;
    let document = ids.first().ok_or("no document")?.clone();
    let start = Step::begin(&mut ada)?;
    ada.done(Command::Count { document, from: 0, count: ALONE, every_us: 0, in_flight: 1 })?;
    let (alone_ns, alone_cpu_ns, alone_flushes) = start.end(&mut ada)?;
    let writers: Vec<String> = ids.into_iter().skip(1).take(WRITERS).collect();
    let edits = writers.len() as f64 * EACH as f64;
    let start = Step::begin(&mut ada)?;
    ada.done(Command::CountMany { documents: writers, each: EACH })?;
    let (many_ns, many_cpu_ns, many_flushes) = start.end(&mut ada)?;
    let a_second = |count: f64, ns: u64| count / (ns as f64 / 1e9);
    let mut values = values([
        ("import_documents_a_second", a_second(f64::from(documents), import_ns)),
        ("alone_edit_ms", ms(alone_ns) / ALONE as f64),
        ("alone_edits_a_second", a_second(ALONE as f64, alone_ns)),
        ("alone_edit_cpu_ms", ms(alone_cpu_ns) / ALONE as f64),
        ("many_edits_a_second", a_second(edits, many_ns)),
        ("many_edit_cpu_ms", ms(many_cpu_ns) / edits),
    ]);
    if let (Some(alone), Some(many)) = (alone_flushes, many_flushes) {
        values.insert("alone_edit_flushes".into(), alone as f64 / ALONE as f64);
        values.insert("many_edit_flushes".into(), many as f64 / edits);
    }
    ada.close()?;
    Ok(vec![values])
}

/// What a device had cost when a step began.
struct Step {
    began_ns: u64,
    cpu_ns: u64,
    flushes: Option<u64>,
}

impl Step {
    fn begin(child: &mut Child) -> Result<Step, String> {
        let (flushes, cpu_ns) = (child.flushes(), child.usage()?.cpu_ns);
        Ok(Step { began_ns: clock::now_ns(), cpu_ns, flushes })
    }

    /// Time, processor time, flushes.
    fn end(self, child: &mut Child) -> Result<(u64, u64, Option<u64>), String> {
        let time_ns = clock::now_ns() - self.began_ns;
        let flushes = child.flushes().zip(self.flushes).map(|(now, then)| now - then);
        Ok((time_ns, child.usage()?.cpu_ns - self.cpu_ns, flushes))
    }
}

/// P8: opening a store with N documents to the first read, after a close in order and after a kill; and what they take in
/// memory while nobody touches them.
pub(super) fn open(lab: &Lab<'_>, documents: u32, runs: u32) -> Result<Vec<Values>, String> {
    let empty = {
        let (mut child, _) = lab.open("empty", true, None)?;
        child.done(Command::Found)?;
        child.close()?;
        memory(lab, "empty", None)?.1
    };
    let (mut ada, _) = lab.open("ada", false, None)?;
    ada.done(Command::Found)?;
    let (ids, _) = ada.documents(Command::Fill { from: 0, count: documents })?;
    ada.close()?;
    let document = ids.last().ok_or("no document")?;
    let mut all = Vec::new();
    for run in 0..runs {
        let (closed_ms, held) = memory(lab, "ada", Some(document))?;
        let (mut killed, _) = lab.open("ada", false, None)?;
        killed.done(Command::SetNumbers { documents: vec![document.clone()], number: u64::from(run) + 1 })?;
        killed.kill()?;
        let (child, killed_ms) = lab.open("ada", false, Some(document.clone()))?;
        child.close()?;
        let grown = held.saturating_sub(empty) as f64;
        all.push(values([
            ("closed_open_ms", closed_ms),
            ("killed_open_ms", killed_ms),
            ("document_memory_bytes", grown / f64::from(documents)),
            ("memory_mib", mib(held)),
        ]));
    }
    Ok(all)
}

/// Opens a store with a network and lets it stand: how long opening took, and how much memory it has then.
fn memory(lab: &Lab<'_>, device: &str, read: Option<&String>) -> Result<(f64, u64), String> {
    let (mut child, open_ms) = lab.open(device, true, read.cloned())?;
    child.done(Command::Settle { quiet_ms: 500 })?;
    let held = child.usage()?.memory_bytes;
    child.close()?;
    Ok((open_ms, held))
}

/// P12: what N documents take on the medium after a close in order.
pub(super) fn size(lab: &Lab<'_>, documents: u32, _: u32) -> Result<Vec<Values>, String> {
    let (mut ada, _) = lab.open("ada", false, None)?;
    ada.done(Command::Found)?;
    ada.documents(Command::Fill { from: 0, count: documents })?;
    ada.close()?;
    let bytes = medium_bytes(&lab.path("ada"));
    Ok(vec![values([("document_store_bytes", bytes as f64 / f64::from(documents)), ("store_mib", mib(bytes))])])
}
