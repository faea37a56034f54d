//! The lines of the table: which figure, and what it is held against (`docs/benchmarks.md`).

/// One line.
pub(super) struct Line {
    pub(super) row: &'static str,
    pub(super) what: &'static str,
    pub(super) scenario: &'static str,
    pub(super) case: u32,
    pub(super) figure: Figure,
    pub(super) unit: &'static str,
    pub(super) limit: &'static str,
    pub(super) goal: &'static str,
    pub(super) reached: Goal,
}

/// Where a line's number is.
pub(super) enum Figure {
    /// Under this name.
    Of(&'static str),
    /// Under this name, divided by that of another case.
    Over(u32, &'static str),
}

/// When the goal is reached.
pub(super) enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// There is none, or it is judged by hand.
    None,
}

use Figure::{Of, Over};
use Goal::{AtLeast, AtMost, None};

macro_rules! lines {
    ($($row:literal $what:literal $scenario:literal $case:literal $figure:expr, $unit:literal, $limit:literal, $goal:literal $reached:expr;)*) => {
        /// In the order of the document.
        pub(super) const LINES: &[Line] = &[$(Line {
            row: $row,
            what: $what,
            scenario: $scenario,
            case: $case,
            figure: $figure,
            unit: $unit,
            limit: $limit,
            goal: $goal,
            reached: $reached,
        }),*];
    };
}

lines! {
    "P1" "first sync of 1,000 documents: all readable" "p1" 1000 Of("readable_ms"), "ms", "", "" None;
    "P1" "processor time of both" "p1" 1000 Of("cpu_ms"), "ms", "", "" None;
    "P1" "4,000 documents: all readable" "p1" 4000 Of("readable_ms"), "ms", "", "" None;
    "P1" "processor time of both" "p1" 4000 Of("cpu_ms"), "ms", "", "" None;
    "P1" "10,000 documents: durable" "p1" 10000 Of("durable_ms"), "ms", "43 ms", "300 ms" AtMost(300.0);
    "P1" "10,000 documents: all readable" "p1" 10000 Of("readable_ms"), "ms", "460 ms", "1,000 ms" AtMost(1000.0);
    "P1" "bytes a document (samod: 1,000 documents)" "p1" 10000 Of("document_bytes"), "B", "", "120 B" AtMost(120.0);
    "P1" "frames a document, of 1,000" "p1" 1000 Of("document_frames"), "", "", "" None;
    "P1" "bytes a document, of 1,000" "p1" 1000 Of("document_bytes"), "B", "", "" None;
    "P1" "processor time for 20,000 over 10,000" "p1" 20000 Over(10000, "cpu_ms"), "", "2.0", "2.1" AtMost(2.1);
    "P1" "processor time for 100,000 over 50,000" "p1" 100000 Over(50000, "cpu_ms"), "", "2.0", "2.1" AtMost(2.1);
    "P1" "flushes of the sender, of 1,000" "p1" 1000 Of("ada_flushes"), "", "", "" None;
    "P1" "flushes of the receiver, of 1,000" "p1" 1000 Of("ben_flushes"), "", "", "" None;
    "P2" "reconnect of 1,000, nothing changed: bytes, handshake of the devices (185 B each way) included" "p2" 1000 Of("bytes"), "B", "16 to 32 B each way a space", "200 B each way a space" AtMost(770.0);
    "P2" "frames" "p2" 1000 Of("frames"), "", "2", "" None;
    "P2" "until both know" "p2" 1000 Of("in_sync_ms"), "ms", "", "" None;
    "P2" "processor time of both" "p2" 1000 Of("cpu_ms"), "ms", "", "" None;
    "P2" "10,000: bytes" "p2" 10000 Of("bytes"), "B", "", "as with 1,000" None;
    "P2" "100,000: bytes" "p2" 100000 Of("bytes"), "B", "", "as with 1,000" None;
    "P2" "100,000: bytes over those of 1,000" "p2" 100000 Over(1000, "bytes"), "", "1", "1" AtMost(1.01);
    "P3" "reconnect of 1,000, 10 changed: bytes" "p3" 1000 Of("bytes"), "B", "1.5 kB", "6,000 B" AtMost(6000.0);
    "P3" "frames" "p3" 1000 Of("frames"), "", "", "" None;
    "P3" "until the ten are readable" "p3" 1000 Of("landed_ms"), "ms", "", "" None;
    "P3" "10,000: bytes" "p3" 10000 Of("bytes"), "B", "1.5 kB", "6,000 B" AtMost(6000.0);
    "P3" "100,000: bytes" "p3" 100000 Of("bytes"), "B", "1.5 kB", "6,000 B" AtMost(6000.0);
    "P3" "100,000: until the ten are readable" "p3" 100000 Of("landed_ms"), "ms", "", "" None;
    "P4" "one edit to the peer's watcher, median" "p4" 1 Of("lag_p50_ms"), "ms", "1.6 ms: 2 commits and 0.1", "2 commits (P7: 1 ms each) and 0.3 ms" AtMost(2.3);
    "P4" "99th percentile" "p4" 1 Of("lag_p99_ms"), "ms", "", "4 times the median" None;
    "P4" "beside 1,000 idle documents, median" "p4" 1000 Of("lag_p50_ms"), "ms", "", "" None;
    "P4" "beside 1,000 idle documents, 99th percentile" "p4" 1000 Of("lag_p99_ms"), "ms", "", "" None;
    "P4" "beside 100,000 idle documents, median over that beside none" "p4" 100000 Over(1, "lag_p50_ms"), "", "1", "1.2" AtMost(1.2);
    "P4" "flushes an edit, of the writer" "p4" 1 Of("edit_ada_flushes"), "", "1", "" None;
    "P4" "flushes an edit, of the reader" "p4" 1 Of("edit_ben_flushes"), "", "1", "" None;
    "P5" "text of 100,000 changes, 10 edits a second: lag, median" "p5" 100000 Of("lag_p50_ms"), "ms", "35 ms an apply call", "" None;
    "P5" "lag, 99th percentile" "p5" 100000 Of("lag_p99_ms"), "ms", "", "200 ms" AtMost(200.0);
    "P5" "reader's processor time an edit (goal: 20 % of a core)" "p5" 100000 Of("edit_ben_cpu_ms"), "ms", "35 ms", "20 ms" AtMost(20.0);
    "P5" "writer's processor time an edit" "p5" 100000 Of("edit_ada_cpu_ms"), "ms", "", "" None;
    "P6" "streaming edits of one document, seen by the other" "p6" 1 Of("edits_a_second"), "/s", "50,000/s", "10,000/s" AtLeast(10000.0);
    "P6" "bytes an edit" "p6" 1 Of("edit_bytes"), "B", "5.9 B a change", "60 B" AtMost(60.0);
    "P6" "beside 1,000 idle documents" "p6" 1000 Of("edits_a_second"), "/s", "", "" None;
    "P7" "one writer that waits for each edit" "p7" 20000 Of("alone_edits_a_second"), "/s", "1,300/s with quick repair", "1 commit each" None;
    "P7" "flushes an edit of it (a commit with quick repair flushes twice)" "p7" 20000 Of("alone_edit_flushes"), "", "2", "2" AtMost(2.0);
    "P7" "64 writers at the same time" "p7" 20000 Of("many_edits_a_second"), "/s", "32,000/s", "10,000/s" AtLeast(10000.0);
    "P7" "flushes an edit of them" "p7" 20000 Of("many_edit_flushes"), "", "0.03", "" None;
    "P7" "import" "p7" 20000 Of("import_documents_a_second"), "/s", "", "15,000/s" AtLeast(15000.0);
    "P8" "open 100,000 documents and read one, after a close" "p8" 100000 Of("closed_open_ms"), "ms", "0.33 ms", "20 ms" AtMost(20.0);
    "P8" "the same after kill -9" "p8" 100000 Of("killed_open_ms"), "ms", "1 ms", "20 ms" AtMost(20.0);
    "P8" "memory an idle document" "p8" 100000 Of("document_memory_bytes"), "B", "", "100 B" AtMost(100.0);
    "P12" "store of 100,000 documents, with views, encrypted: a document" "p12" 100000 Of("document_store_bytes"), "B", "289 B a raw change", "1,200 B" AtMost(1200.0);
    "P12" "store of 1,000 documents: a document" "p12" 1000 Of("document_store_bytes"), "B", "", "" None;
    "-" "200 edits of a third peer, all calm: median" "neighbours" 20000 Of("calm_lag_p50_ms"), "ms", "", "" None;
    "-" "while one peer has stopped reading and one comes back with 20,000 documents: median" "neighbours" 20000 Of("disturbed_lag_p50_ms"), "ms", "", "" None;
    "-" "over the calm median of the same run" "neighbours" 20000 Of("disturbed_over_calm"), "", "1", "2" AtMost(2.0);
    "-" "while one imports 20,000 documents on the same two cores: median over the calm one" "neighbours" 20000 Of("import_over_calm"), "", "", "" None;
    "-" "memory of the device that all are linked with, at its highest" "neighbours" 20000 Of("hub_peak_mib"), "MiB", "", "" None;
}
