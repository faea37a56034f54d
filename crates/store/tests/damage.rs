//! Damaged files: never a panic, never a wrong content; a check finds what reading cannot.

use std::collections::BTreeMap;
use std::io::Write as _;

use farshore_core::batch::Batch;
use farshore_core::id::StoreId;
use farshore_store::testing::{Disk, Model, Random, Workload};
use farshore_store::{OpenError, Place, Store, StoreError, StoreKey};

fn key() -> StoreKey {
    StoreKey::from_bytes([7; 64])
}

fn sample(seed: u64) -> (Vec<u8>, Model, Workload) {
    let disk = Disk::new();
    let store = Store::create_backend(disk.backend(), &key(), StoreId([1; 16]), Place::default()).unwrap();
    let (mut model, mut workload) = (Model::default(), Workload::new(seed, 40));
    for _ in 0..12 {
        let batch = workload.batch(20);
        store.apply(std::slice::from_ref(&batch)).unwrap();
        model.apply(&batch);
    }
    drop(store);
    (disk.image().to_vec(), model, workload)
}

fn open(image: Vec<u8>) -> Result<Store, OpenError> {
    Store::open_backend(Disk::from_image(image).backend(), &key(), Place::default())
}

/// redb's own panics are caught and become errors; their messages and backtraces would drown those of a failure.
fn silence_redb() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.location().is_none_or(|location| !location.file().contains("redb-")) {
                usual(panic);
            }
        }));
    });
}

/// What became of a damaged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It was not opened.
    Refused,
    /// The check found something.
    Found,
    /// The damage lies in space that holds nothing.
    Silent,
}

/// Opens a file and calls everything. Each call is an answer or an error.
fn exercise(image: Vec<u8>, batches: &[Batch; 2]) -> Outcome {
    let Ok(store) = open(image) else { return Outcome::Refused };
    let reader = store.reader();
    let outcome = match reader.check() {
        Ok(report) if report.is_sound() => Outcome::Silent,
        _ => Outcome::Found,
    };
    let _ = reader.boot();
    let _ = reader.meta("name 1");
    for batch in batches {
        let _ = store.apply(std::slice::from_ref(batch));
    }
    outcome
}

/// As [`exercise`], on a thread that may hang: a loop has no other sign than that nothing comes. The time is no measure, only
/// far beyond what one small file can take (some 10 ms).
fn exercise_watched(label: &str, image: Vec<u8>, batches: [Batch; 2]) -> Outcome {
    let (answer, answers) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || answer.send(exercise(image, &batches)));
    let thread = thread.unwrap();
    match answers.recv_timeout(std::time::Duration::from_secs(120)) {
        Ok(outcome) => outcome,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{label}: the store does not answer"),
        Err(_) => panic!("{label}: a panic came through: {:?}", thread.join()),
    }
}

/// The most memory that this process has had, in KiB, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// Flips bytes all over the file; every call of the API afterwards is an answer or an error, without end of memory or time.
#[test]
fn a_flipped_byte_anywhere_is_an_answer_or_an_error_and_never_a_panic() {
    silence_redb();
    let (image, _, mut workload) = sample(3);
    let mut random = Random::new(5);
    let mut outcomes = BTreeMap::new();
    for round in 0..400 {
        let mut spoilt = image.clone();
        for _ in 0..=random.below(3) {
            // Every second round near the start, where redb's header and the oldest pages are.
            let end = if round % 2 == 0 { 16_384 } else { image.len() as u64 };
            spoilt[random.below(end) as usize] ^= 1 << random.below(8);
        }
        let batches = [workload.batch(10), workload.batch(10)];
        let outcome = exercise_watched(&format!("round {round}"), spoilt, batches);
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    let of = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
    assert!(of(Outcome::Refused) > 0 && of(Outcome::Found) > 50, "{outcomes:?}");
    let peak = peak_kib().unwrap_or(0);
    assert!(peak < 256 << 10, "{peak} KiB of memory for files of {} bytes", image.len());
}

/// Damages every block of 16 bytes of a file in turn: what a flip of any of its bits makes of it differs only in the noise that
/// the block decrypts to. Run by `./prove damage`.
///
/// redb may panic while it unwinds from a panic, which ends the process: so each stretch runs in a child. What ended one must be
/// refused by an opening that verifies the pages, which is what the third start does.
#[test]
fn each_block_of_a_file_damaged_in_turn_is_an_answer_or_an_error_or_is_refused_from_the_third_start_on() {
    if std::env::var_os("FARSHORE_DAMAGE_FULL").is_none() {
        // Past the test harness's capture, so that a passing run shows it.
        let _ = writeln!(std::io::stderr(), "left out: damage to each block of a file in turn; ./prove damage runs it");
        return;
    }
    let (image, _, _) = sample(9);
    let spoil = |at: usize| {
        let mut spoilt = image.clone();
        let mut random = Random::new(at as u64);
        spoilt[at + random.below(16) as usize] ^= 1 << random.below(8);
        spoilt
    };
    if let Ok(from) = std::env::var("FARSHORE_DAMAGE_FROM") {
        return sweep(from.parse().unwrap(), image.len(), spoil);
    }
    let (mut outcomes, mut deaths, mut from) = (BTreeMap::<String, u64>::new(), Vec::new(), 0);
    while from < image.len() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["each_block_of_a_file", "--nocapture"]).env("FARSHORE_DAMAGE_FROM", from.to_string());
        let output = child.stdin(std::process::Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let mut last = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("at ")) {
            let (at, outcome) = line.split_once(' ').unwrap_or((line, "died"));
            last = at.parse().unwrap();
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        for line in text.lines().filter(|line| line.contains("KiB")) {
            println!("from byte {from}: {line}");
        }
        if output.status.success() {
            break;
        }
        // The line of the block that ended it is not complete.
        let died = text.lines().rev().find_map(|line| line.strip_prefix("begin ")).unwrap().parse().unwrap();
        assert!(died >= last && output.status.code().is_none(), "no end by a signal: {output:?}");
        deaths.push(died);
        from = died + 16;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.fsh");
    for at in &deaths {
        std::fs::write(&path, spoil(*at)).unwrap();
        let opened = Store::open_verified(&path, &key());
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "byte {at} ended a process: {opened:?}");
    }
    println!("{} blocks of a file of {} bytes: {outcomes:?}", image.len() / 16, image.len());
    println!("{} ended the process in a write, all of them refused by a verified opening: {deaths:?}", deaths.len());
}

fn sweep(from: usize, to: usize, spoil: impl Fn(usize) -> Vec<u8>) {
    silence_redb();
    let (_, _, mut workload) = sample(9);
    for at in (from..to).step_by(16) {
        println!("begin {at}");
        let batches = [workload.batch(4), workload.batch(4)];
        let outcome = exercise_watched(&format!("byte {at}"), spoil(at), batches);
        println!("at {at} {outcome:?}");
    }
    println!("memory: at most {} KiB", peak_kib().map_or("unknown".into(), |peak| peak.to_string()));
}

/// What ended two processes in a row in a write may be damage: the third looks before it writes.
#[test]
fn after_two_deaths_in_a_write_a_damaged_store_is_refused_in_words_and_a_sound_one_opens() {
    let (image, ..) = sample(3);
    let directory = tempfile::tempdir().unwrap();
    let (path, record) = (directory.path().join("a.fsh"), directory.path().join("a.fsh.lock"));
    let mut refused = 0;
    for at in (4096 + 4096..image.len()).step_by(4096 * 7) {
        let mut spoilt = image.clone();
        spoilt[at + 100] ^= 1;
        std::fs::write(&path, spoilt).unwrap();
        std::fs::write(&record, "1\nw 0\n").unwrap();
        let quick = Store::open(&path, &key()).is_ok(); // what it does on a damaged page is another test's matter
        std::fs::write(&record, "1\nw 1\n").unwrap();
        let verified = Store::open(&path, &key());
        if let Err(OpenError::Damaged { detail, .. }) = &verified
            && quick
        {
            assert!(!detail.is_empty());
            refused += 1;
        }
    }
    assert!(refused > 5, "only {refused} damaged files were refused after two deaths and opened quickly before");
    std::fs::write(&path, &image).unwrap();
    std::fs::write(&record, "1\nw 7\n").unwrap();
    let store = Store::open(&path, &key()).unwrap();
    assert!(store.repaired(), "all pages were read");
    drop(store);
    assert!(!Store::open(&path, &key()).unwrap().repaired(), "a closed store opens quickly again");
}

/// Whatever a damaged store still answers is what was stored: contents are tagged.
#[test]
fn a_damaged_store_never_gives_an_altered_content() {
    silence_redb();
    let (image, model, _) = sample(4);
    let mut random = Random::new(6);
    let mut answered = 0;
    for _ in 0..400 {
        let mut spoilt = image.clone();
        for _ in 0..8 {
            spoilt[4096 + random.below(image.len() as u64 - 4096) as usize] ^= 1 << random.below(8);
        }
        let Ok(store) = open(spoilt) else { continue };
        answered += model.answers_within(&store.reader()).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(answered > 1000, "only {answered} answers");
}

/// The error names the table and the key of a value whose bytes were altered, and the neighbours are readable.
#[test]
fn an_altered_value_is_named() {
    let (image, model, _) = sample(8);
    let mut random = Random::new(1);
    let mut named = std::collections::BTreeSet::new();
    for _ in 0..3000 {
        let mut spoilt = image.clone();
        let at = 4096 + random.below(image.len() as u64 - 4096) as usize;
        spoilt[at] ^= 1;
        let Ok(store) = open(spoilt) else { continue };
        if let Err(StoreError::Corrupt { table, key, detail }) = store.reader().boot() {
            assert!(!key.is_empty() && !detail.is_empty());
            named.insert(table);
        }
        let report = store.reader().check();
        for problem in report.iter().flat_map(|report| &report.problems) {
            named.insert(problem.table);
        }
    }
    for table in ["documents", "views", "tails", "entries", "roster"] {
        assert!(named.contains(table), "no damage in `{table}` was named: {named:?}");
    }
    assert!(model.compare(&open(image).unwrap().reader()).is_ok());
}
