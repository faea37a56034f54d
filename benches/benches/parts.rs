//! What the parts cost by themselves: `cargo bench -p farshore-bench`. Each works on task documents as the scenarios do; an
//! entry holds as many of them as an import's does.

use divan::Bencher;
use divan::counter::ItemsCount;
use farshore::{CollectionTag, DocumentId, Edit, Incarnation, JournalId, Position, SpaceId, Step, Value};
use farshore_bench_device::{NUMBER, task};
use farshore_core::batch::{Batch, ContentOp, JournalState, StoreOp, ViewOp};
use farshore_core::change::{self, AncestorIndex, compact};
use farshore_core::document::{Document, GenesisScope};
use farshore_core::entropy::Entropy;
use farshore_core::entry::{Entry, Group, Header};
use farshore_core::id::{DocKey, EntryHash, OpHash, StoreId};
use farshore_core::input::Class;
use farshore_core::keys::DeviceKeys;
use farshore_core::limits::BATCH_DOCUMENTS;
use farshore_core::payload::{self, Item, ItemBody, PackedChange};
use farshore_core::seal::{self, ContentKey, EpochKey};
use farshore_core::time::HybridTime;
use farshore_core::wire::Frame;
use farshore_store::{Store, StoreKey};

const ACTOR: [u8; 16] = [3; 16];
const SPACE: SpaceId = SpaceId([1; 32]);
const COLLECTION: CollectionTag = CollectionTag([2; 16]);

fn main() {
    divan::main();
}

fn content(number: u32) -> Value {
    farshore::to_value(&task(number)).expect("a task is a map")
}

/// A new document's only change.
fn chunk(number: u32) -> Vec<u8> {
    let edit = Edit::Replace { value: content(number) };
    let made = Document::empty().edit(ACTOR, GenesisScope::Ordinary, &[edit]).expect("a task is allowed");
    made.changes[0].bytes.clone()
}

fn items() -> Vec<Item> {
    let item = |number: u32| {
        let (_, packed) = compact::strip(&chunk(number), None).expect("our own change");
        let body = ItemBody::Changes(vec![PackedChange::Derived(packed)]);
        Item { document: id(number), generation: 1, body }
    };
    (0..BATCH_DOCUMENTS as u32).map(item).collect()
}

fn id(number: u32) -> DocumentId {
    let mut id = [9; 16];
    id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    DocumentId(id)
}

fn keys() -> (DeviceKeys, ContentKey, Header) {
    let keys = DeviceKeys::generate(&mut Entropy::from_seed(&[5; 32], "bench"));
    let epoch = EpochKey::from_bytes([6; 32]);
    let journal = JournalId { collection: COLLECTION, device: keys.id(), incarnation: Incarnation([4; 16]) };
    let header = Header {
        space: SPACE,
        journal,
        seq: 1,
        prev: EntryHash([0; 32]),
        group: Group { first: 1, count: 1 },
        epoch: epoch.id(),
        time: HybridTime(0),
        roster_heads: vec![OpHash([7; 32])],
        deps: Vec::new(),
        sealed_len: 0,
        sealed_hash: [0; 32],
    };
    (keys, seal::content_key(&epoch, &COLLECTION), header)
}

fn entry() -> Entry {
    let (keys, key, header) = keys();
    let plain = payload::encode(&items()).expect("fits");
    let sealed = seal::seal(&key, &header.bound_bytes(), &plain);
    Entry::sign(header, &sealed, &keys)
}

#[divan::bench]
fn make_a_document(bencher: Bencher<'_, '_>) {
    let edits = [Edit::Replace { value: content(1) }];
    bencher.bench(|| Document::empty().edit(ACTOR, GenesisScope::Ordinary, &edits));
}

#[divan::bench]
fn edit_a_field(bencher: Bencher<'_, '_>) {
    let mut document = Document::empty();
    document.edit(ACTOR, GenesisScope::Ordinary, &[Edit::Replace { value: content(1) }]).expect("allowed");
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        let edit = Edit::put(vec![Step::Key(NUMBER.into())], Value::Int(number));
        document.edit(ACTOR, GenesisScope::Ordinary, &[edit])
    });
}

#[divan::bench]
fn strip_a_change(bencher: Bencher<'_, '_>) {
    let chunk = chunk(1);
    bencher.bench(|| compact::strip(&chunk, None));
}

#[divan::bench]
fn validate_a_change(bencher: Bencher<'_, '_>) {
    let chunk = chunk(1);
    bencher.bench(|| {
        let decoded = change::decode(&chunk).expect("our own change");
        AncestorIndex::new().admit(&decoded)
    });
}

#[divan::bench]
fn apply_a_change_and_make_the_view(bencher: Bencher<'_, '_>) {
    let chunk = chunk(1);
    bencher.bench(|| Document::load(None, &[&chunk]).expect("our own change").view().value.encode());
}

#[divan::bench]
fn pack_256_documents(bencher: Bencher<'_, '_>) {
    let items = items();
    bencher.counter(ItemsCount::new(items.len())).bench(|| payload::encode(&items));
}

#[divan::bench]
fn unpack_256_documents(bencher: Bencher<'_, '_>) {
    let plain = payload::encode(&items()).expect("fits");
    bencher.counter(ItemsCount::new(BATCH_DOCUMENTS)).bench(|| payload::decode(&plain));
}

#[divan::bench]
fn seal_256_documents(bencher: Bencher<'_, '_>) {
    let (_, key, header) = keys();
    let (plain, bound) = (payload::encode(&items()).expect("fits"), header.bound_bytes());
    bencher.counter(ItemsCount::new(BATCH_DOCUMENTS)).bench(|| seal::seal(&key, &bound, &plain));
}

#[divan::bench]
fn open_256_documents(bencher: Bencher<'_, '_>) {
    let (_, key, _) = keys();
    let entry = entry();
    let bound = entry.header.bound_bytes();
    bencher.counter(ItemsCount::new(BATCH_DOCUMENTS)).bench(|| seal::open(&key, &bound, entry.sealed()).expect("ours"));
}

#[divan::bench]
fn sign_an_entry(bencher: Bencher<'_, '_>) {
    let (keys, key, header) = keys();
    let sealed = seal::seal(&key, &header.bound_bytes(), &payload::encode(&items()).expect("fits"));
    bencher.bench(|| Entry::sign(header.clone(), &sealed, &keys));
}

#[divan::bench]
fn decode_and_verify_an_entry(bencher: Bencher<'_, '_>) {
    let bytes = entry().into_bytes();
    bencher.bench(|| Entry::decode(bytes.clone()).expect("ours").verify());
}

#[divan::bench]
fn encode_and_decode_a_frame(bencher: Bencher<'_, '_>) {
    let frame = Frame::Spaces { tags: (0..100).map(|tag| [tag; 16]).collect() };
    bencher.bench(|| Frame::decode(Class::Ctl, &frame.encode()));
}

/// A durable transaction of one edited document, or of an import's batch, on the disk that holds the directory for temporary
/// files.
#[divan::bench(args = [1, 256], sample_count = 50, sample_size = 1)]
fn commit_documents(bencher: Bencher<'_, '_>, documents: u32) {
    let directory = tempfile::tempdir().expect("a directory");
    let key = StoreKey::from_bytes([7; 64]);
    let store = Store::create(&directory.path().join("bench.fsh"), &key, StoreId([9; 16])).expect("a store");
    let (keys, _, _) = keys();
    let journal = JournalId { collection: COLLECTION, device: keys.id(), incarnation: Incarnation([4; 16]) };
    let view = content(1).encode();
    let mut seq = 0;
    bencher.counter(ItemsCount::new(documents)).bench_local(|| {
        seq += 1;
        let position = Position { seq, hash: EntryHash([seq as u8; 32]) };
        let state = JournalState { held: position, applied: seq, arrival: seq, ..JournalState::EMPTY };
        let mut ops = vec![
            StoreOp::PutEntry { space: SPACE, journal, position, bytes: vec![1; 400 + 70 * documents as usize] },
            StoreOp::PutJournal { space: SPACE, journal, state },
        ];
        ops.extend((0..documents).map(|document| StoreOp::PutDocument {
            key: DocKey { space: SPACE, collection: COLLECTION, document: id(seq as u32 * documents + document) },
            generation: 1,
            record: vec![1; 160],
            content: ContentOp::Append(vec![vec![1; 260]]),
            view: ViewOp::Put(view.clone()),
        }));
        store.apply(&[Batch { id: seq, ops }]).expect("a commit");
    });
}

/// A text of so many keystrokes by one device, and a keystroke in its middle by another that has all of them.
fn typed(keystrokes: u32) -> (Document, automerge::Change) {
    let path = vec![Step::Key("text".into())];
    let mut text = Document::empty();
    let edits = [Edit::put(path.clone(), Value::Text(String::new()))];
    text.edit(ACTOR, GenesisScope::Ordinary, &edits).expect("allowed");
    for at in 0..keystrokes {
        // Now and then elsewhere, as people do, so that its operations are not one run.
        let at = if at % 50 == 0 { at / 2 } else { at };
        let edit = Edit::Splice { path: path.clone(), at: u64::from(at), delete: 0, insert: "x".into() };
        text.edit(ACTOR, GenesisScope::Ordinary, &[edit]).expect("allowed");
    }
    let mut other = Document::load(Some(&text.save()), &[]).expect("our own");
    let edit = Edit::Splice { path, at: u64::from(keystrokes / 2), delete: 0, insert: "y".into() };
    let made = other.edit([4; 16], GenesisScope::Ordinary, &[edit]).expect("allowed");
    let change = automerge::Change::from_bytes(made.changes[0].bytes.clone()).expect("our own");
    (text, change)
}

#[divan::bench(args = [100, 1_000, 10_000, 100_000])]
fn take_a_keystroke_into_a_text(bencher: Bencher<'_, '_>, keystrokes: u32) {
    let (text, change) = typed(keystrokes);
    let saved = text.save();
    bencher
        .with_inputs(|| (Document::load(Some(&saved), &[]).expect("our own"), vec![change.clone()]))
        .bench_local_values(|(mut text, change)| {
            text.apply(change).expect("fits");
            text
        });
}

#[divan::bench(args = [100, 1_000, 10_000, 100_000])]
fn automerge_applies_the_keystroke(bencher: Bencher<'_, '_>, keystrokes: u32) {
    let (text, change) = typed(keystrokes);
    let saved = text.save();
    bencher
        .with_inputs(|| (automerge::Automerge::load(&saved).expect("our own"), vec![change.clone()]))
        .bench_local_values(|(mut text, change)| {
            text.apply_changes(change).expect("fits");
            text
        });
}

#[divan::bench(args = [10_000, 100_000])]
fn view_a_text(bencher: Bencher<'_, '_>, keystrokes: u32) {
    let (text, _) = typed(keystrokes);
    bencher.bench_local(|| text.view().value.encode());
}
