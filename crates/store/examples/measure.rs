//! Measures the store on this machine: import rate, bytes a document, opening after a close and after a kill, the cipher.
//!
//! `cargo run --release -p farshore-store --example measure [DIRECTORY]`

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use farshore_core::batch::{Batch, ContentOp, JournalState, StoreOp, ViewOp};
use farshore_core::id::{
    CollectionTag, DeviceId, DocKey, DocumentId, EntryHash, Incarnation, JournalId, Position, SpaceId, StoreId,
};
use farshore_store::testing::Random;
use farshore_store::{Store, StoreKey};

/// The airports.
const DOCUMENTS: u64 = 28_298;
/// Documents of one entry and one call, as an import makes them.
const BATCH: u64 = 256;
/// Measured on the airports: a raw change, a view, a record with one head, an entry's share.
const CHANGE_BYTES: usize = 208;
const VIEW_BYTES: usize = 200;
const RECORD_BYTES: usize = 60;
const ENTRY_BYTES_A_DOCUMENT: usize = 80;

const SPACE: SpaceId = SpaceId([1; 32]);
const COLLECTION: CollectionTag = CollectionTag([2; 16]);

fn key() -> StoreKey {
    StoreKey::from_bytes([7; 64])
}

/// The one clock of this program: it measures, and decides nothing.
#[allow(clippy::disallowed_methods)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn document(n: u64) -> DocKey {
    DocKey { space: SPACE, collection: COLLECTION, document: DocumentId(Random::new(n).array()) }
}

fn batches() -> Vec<Batch> {
    let mut random = Random::new(1);
    let journal = JournalId { collection: COLLECTION, device: DeviceId([3; 32]), incarnation: Incarnation([4; 16]) };
    (0..DOCUMENTS.div_ceil(BATCH))
        .map(|n| {
            let documents = (n * BATCH)..((n + 1) * BATCH).min(DOCUMENTS);
            let position = Position { seq: n + 1, hash: EntryHash(random.array()) };
            let bytes = random.bytes(ENTRY_BYTES_A_DOCUMENT * (documents.end - documents.start) as usize);
            let state = JournalState { held: position, applied: n + 1, arrival: n + 1, ..JournalState::EMPTY };
            let mut ops = vec![
                StoreOp::PutEntry { space: SPACE, journal, position, bytes },
                StoreOp::PutJournal { space: SPACE, journal, state },
            ];
            ops.extend(documents.map(|n| StoreOp::PutDocument {
                key: document(n),
                generation: 1,
                record: random.bytes(RECORD_BYTES),
                content: ContentOp::Append(vec![random.bytes(CHANGE_BYTES)]),
                view: ViewOp::Put(random.bytes(VIEW_BYTES)),
            }));
            Batch { id: n + 1, ops }
        })
        .collect()
}

fn import(path: &Path, batches: &[Batch]) -> Store {
    let store = Store::create(path, &key(), StoreId([9; 16])).expect("create");
    for batch in batches {
        store.apply(std::slice::from_ref(batch)).expect("apply");
    }
    store
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let path = directory.join(format!("farshore-measure-{}.fsh", std::process::id()));
    if let Some(path) = arguments.next() {
        // The child: imports and dies without closing, like a process that is killed.
        let _store = import(Path::new(&path), &batches());
        std::process::abort();
    }
    let batches = batches();
    let (store, took) = timed(|| import(&path, &batches));
    println!(
        "import of {DOCUMENTS} documents, {BATCH} a call: {took:?}, {:.0} a second",
        DOCUMENTS as f64 / took.as_secs_f64()
    );
    size("while open", &path);
    let sizes = farshore_store::testing::sizes(&store).expect("sizes");
    for (name, [content, overhead, left]) in sizes.tables {
        println!("  {name:12} {content:>9} content {overhead:>9} overhead {left:>9} left in pages");
    }
    println!("  pages in use: {} bytes, {} a document", sizes.in_use_bytes, sizes.in_use_bytes / DOCUMENTS);
    let singles: Vec<_> = (0..200_u64)
        .map(|n| {
            let view = ViewOp::Put(vec![1; VIEW_BYTES]);
            let content = ContentOp::Append(vec![vec![1; 40]]);
            let op = StoreOp::PutDocument {
                key: document(n * 7),
                generation: 1,
                record: vec![1; RECORD_BYTES],
                content,
                view,
            };
            timed(|| store.apply(&[Batch { id: n, ops: vec![op] }]).expect("apply")).1
        })
        .collect();
    println!("one edit a call: {:?} at the median", median(singles));
    let reader = store.reader();
    let (_, took) = timed(|| (0..DOCUMENTS).for_each(|n| drop(reader.view(&document(n)).expect("view"))));
    println!("a view by id: {:?}", took / DOCUMENTS as u32);
    let (listed, took) = timed(|| reader.list(&SPACE, &COLLECTION, None, usize::MAX).expect("list").len());
    println!("a list of {listed}: {took:?}");
    let (report, took) = timed(|| reader.check().expect("check"));
    println!("a check of everything: {took:?}, sound: {}", report.is_sound());
    drop((reader, store));
    size("when closed", &path);
    println!("open after a close: {:?}", open(&path));
    std::fs::remove_file(&path).expect("remove");
    let killed = Command::new(std::env::current_exe().expect("exe")).arg(&directory).arg(&path).status();
    println!("a child imported and aborted: {}", killed.expect("child"));
    println!("open after a kill: {:?}", open(&path));
    println!("and again: {:?}", open(&path));
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_file(format!("{}.lock", path.display()));
    let (encrypt, decrypt) = farshore_store::testing::cipher_rates(&key(), |work| timed(work).1);
    println!(
        "AES-256-XTS by pages of 4 KiB: encrypt {encrypt:.0} MB/s, decrypt {decrypt:.0} MB/s; xts-mode: {:.0} MB/s",
        xts_mode_rate()
    );
}

/// The file's length, which grows by doubling, and what of it the medium holds.
fn size(when: &str, path: &Path) {
    let metadata = std::fs::metadata(path).expect("size");
    #[cfg(unix)]
    let held = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    #[cfg(not(unix))]
    let held = metadata.len();
    let length = metadata.len();
    println!("file {when}: {length} bytes long, {held} on the medium, {} a document", held / DOCUMENTS);
}

/// The same pages through the crate that we do not use, in the same run.
fn xts_mode_rate() -> f64 {
    use aes::cipher::KeyInit;
    let cipher = |byte: u8| aes::Aes256::new(&[byte; 32].into());
    let xts = xts_mode::Xts128::new(cipher(1), cipher(2));
    let mut bytes = vec![1; 64 << 20];
    let (_, took) = timed(|| xts.encrypt_area(&mut bytes, 4096, 0, xts_mode::get_tweak_default));
    bytes.len() as f64 / 1e6 / took.as_secs_f64()
}

/// To the first read.
fn open(path: &Path) -> Duration {
    timed(|| {
        let store = Store::open(path, &key()).expect("open");
        assert!(store.reader().view(&document(5)).expect("view").is_some());
        assert!(!store.repaired());
        store
    })
    .1
}
