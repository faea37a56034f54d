//! The contract of `farshore_core::batch`: what goes in comes out, whole and in order.

use farshore_core::batch::{Batch, ContentOp, Load, Loaded, StoreOp, ViewOp};
use farshore_core::id::{
    CollectionTag, DeviceId, DocKey, DocumentId, Incarnation, JournalId, Position, SpaceId, StoreId,
};
use farshore_store::testing::{Disk, Model, Workload};
use farshore_store::{Place, Store, StoreError, StoreKey};
use proptest::prelude::*;

fn key() -> StoreKey {
    StoreKey::from_bytes([7; 64])
}

fn create(disk: &Disk) -> Store {
    Store::create_backend(disk.backend(), &key(), StoreId([1; 16]), Place::default()).unwrap()
}

fn open(disk: &Disk) -> Store {
    Store::open_backend(disk.backend(), &key(), Place::default()).unwrap()
}

const DOC: DocKey =
    DocKey { space: SpaceId([1; 32]), collection: CollectionTag([2; 16]), document: DocumentId([3; 16]) };

fn put(document: DocumentId, view: ViewOp) -> StoreOp {
    let key = DocKey { document, ..DOC };
    StoreOp::PutDocument { key, generation: 1, record: vec![1], content: ContentOp::Append(vec![vec![9; 100]]), view }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_answers_as_the_model_does_and_again_after_reopening(
        seed in any::<u64>(),
        groups in proptest::collection::vec(1_usize..5, 1..12),
    ) {
        let disk = Disk::new();
        let mut store = create(&disk);
        let mut model = Model::default();
        let mut workload = Workload::new(seed, 20);
        for (i, group) in groups.into_iter().enumerate() {
            let batches: Vec<_> = (0..group).map(|_| workload.batch(12)).collect();
            batches.iter().for_each(|batch| model.apply(batch));
            store.apply(&batches).unwrap();
            model.compare(&store.reader()).map_err(TestCaseError::fail)?;
            if i % 3 == 2 {
                drop(store);
                store = open(&disk);
                model.compare(&store.reader()).map_err(TestCaseError::fail)?;
            }
        }
        let report = store.reader().check().unwrap();
        prop_assert!(report.is_sound(), "{:?}", report);
    }
}

#[test]
fn the_batches_of_one_call_become_durable_together() {
    let disk = Disk::new();
    let store = create(&disk);
    // The first write after opening also marks the file as in use, with a sync of its own.
    store.apply(&[Batch { id: 0, ops: vec![put(DOC.document, ViewOp::Keep)] }]).unwrap();
    disk.record();
    let batches: Vec<_> =
        (0..50_u8).map(|i| Batch { id: i.into(), ops: vec![put(DocumentId([i; 16]), ViewOp::Put(vec![i]))] }).collect();
    store.apply(&batches).unwrap();
    let syncs = disk.take_recording().iter().filter(|op| **op == farshore_store::testing::Op::Sync).count();
    assert_eq!(syncs, 2, "a group commit is two syncs, whatever it holds");
    assert_eq!(store.reader().count(&DOC.space, &DOC.collection).unwrap(), 50);
}

#[test]
fn a_refused_batch_leaves_nothing_of_its_call_and_the_store_usable() {
    let disk = Disk::new();
    let store = create(&disk);
    let good = Batch { id: 1, ops: vec![put(DOC.document, ViewOp::Put(vec![5]))] };
    let bad = Batch { id: 2, ops: vec![StoreOp::PutMeta { name: "n".repeat(65), value: vec![] }] };
    assert!(matches!(store.apply(&[good.clone(), bad]), Err(StoreError::OverLimit { limit: 64, .. })));
    assert_eq!(store.reader().view(&DOC).unwrap(), None);
    store.apply(&[good]).unwrap();
    assert_eq!(store.reader().view(&DOC).unwrap(), Some(vec![5]));
}

#[test]
fn a_reader_keeps_reading_while_the_writer_writes_and_sees_only_finished_calls() {
    let disk = Disk::new();
    let store = create(&disk);
    let pair = |value: u8| Batch {
        id: 1,
        ops: vec![
            put(DocumentId([1; 16]), ViewOp::Put(vec![value])),
            put(DocumentId([2; 16]), ViewOp::Put(vec![value])),
        ],
    };
    store.apply(&[pair(0)]).unwrap();
    let reader = store.reader();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let listed = reader.list(&DOC.space, &DOC.collection, None, 10).unwrap();
                assert_eq!(listed[0].1, listed[1].1, "half a batch was seen");
                assert!(listed[0].1[0] >= seen, "an older state was seen after a newer one");
                seen = listed[0].1[0];
            }
            seen
        });
        for value in 1..=40 {
            store.apply(&[pair(value)]).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        watcher.join().unwrap();
    });
    assert_eq!(reader.view(&DocKey { document: DocumentId([1; 16]), ..DOC }).unwrap(), Some(vec![40]));
}

#[test]
fn entries_stop_at_the_byte_limit_but_give_at_least_one() {
    let disk = Disk::new();
    let store = create(&disk);
    let journal =
        JournalId { collection: DOC.collection, device: DeviceId([4; 32]), incarnation: Incarnation([5; 16]) };
    let at = |seq| Position { seq, hash: farshore_core::id::EntryHash([seq as u8; 32]) };
    let ops = (1..=10).map(|seq| StoreOp::PutEntry {
        space: DOC.space,
        journal,
        position: at(seq),
        bytes: vec![seq as u8; 1000],
    });
    store.apply(&[Batch { id: 1, ops: ops.collect() }]).unwrap();
    let load = |from, to, limit_bytes| {
        let skip = Position::START;
        let load = Load::Entries { space: DOC.space, journal, from, to, limit_bytes, skip };
        let Loaded::Entries(entries) = store.load(&load).unwrap() else { panic!("entries were asked for") };
        entries.iter().map(|(position, _)| position.seq).collect::<Vec<_>>()
    };
    assert_eq!(load(3, 9, 2500), [3, 4, 5]);
    assert_eq!(load(3, 9, 0), [3]);
    assert_eq!(load(9, 20, usize::MAX), [9, 10]);
    assert!(load(9, 3, usize::MAX).is_empty());
    assert!(load(11, u64::MAX, usize::MAX).is_empty());
}

#[test]
fn what_was_never_stored_is_absent_and_no_error() {
    let disk = Disk::new();
    let reader = create(&disk).reader();
    assert_eq!(reader.view(&DOC).unwrap(), None);
    assert_eq!(reader.record(&DOC).unwrap(), None);
    assert_eq!(reader.count(&DOC.space, &DOC.collection).unwrap(), 0);
    assert!(reader.list(&DOC.space, &DOC.collection, Some(DOC.document), 5).unwrap().is_empty());
    assert!(reader.rejected(&DOC.space).unwrap().is_empty());
    assert_eq!(reader.meta("incarnation").unwrap(), None);
    assert_eq!(reader.load(&Load::Documents(vec![DOC])).unwrap(), Loaded::Documents(vec![None]));
    assert!(reader.boot().unwrap().spaces.is_empty());
}

#[test]
fn handles_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn cloned<T: Clone>() {}
    shared::<Store>();
    shared::<farshore_store::Reader>();
    cloned::<farshore_store::Reader>();
}
