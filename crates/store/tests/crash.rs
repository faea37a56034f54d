//! Crashes: whatever a disk may do to what was not synced, what was acknowledged is there and nothing is there by half.
//!
//! All on the encrypted backend.

use farshore_core::batch::Batch;
use farshore_core::id::StoreId;
use farshore_store::testing::{Disk, Fault, Image, Loss, Model, Op, Random, Workload};
use farshore_store::{OpenError, Place, Store, StoreError, StoreKey};

/// Cut points of the ordinary run.
const CUTS: usize = 2400;

fn key() -> StoreKey {
    StoreKey::from_bytes([7; 64])
}

fn create(disk: &Disk) -> Store {
    Store::create_backend(disk.backend(), &key(), StoreId([1; 16]), Place::default()).unwrap()
}

fn open(disk: &Disk) -> Result<Store, OpenError> {
    Store::open_backend(disk.backend(), &key(), Place::default())
}

/// A run of calls to `apply`: what each should leave, and how many disk operations had been done when it returned.
struct Run {
    image: Image,
    ops: Vec<Op>,
    /// After call i: the model, and the number of operations.
    calls: Vec<(Model, usize)>,
}

/// Two lives of a store: made, written, dropped, opened, written.
fn run(seed: u64, calls: usize) -> Run {
    let disk = Disk::new();
    let mut store = create(&disk);
    let image = disk.image();
    disk.record();
    let (mut model, mut workload, mut random) = (Model::default(), Workload::new(seed, 30), Random::new(seed));
    let mut done = vec![(model.clone(), 0)];
    for call in 0..calls {
        if call == calls / 2 {
            drop(store);
            store = open(&disk).unwrap();
        }
        let batches: Vec<Batch> = (0..=random.below(3)).map(|_| workload.batch(8)).collect();
        batches.iter().for_each(|batch| model.apply(batch));
        store.apply(&batches).unwrap();
        done.push((model.clone(), disk.recorded()));
    }
    let ops = disk.take_recording();
    Run { image, ops, calls: done }
}

impl Run {
    /// Checks a disk as found after a cut that followed `ops` operations. Gives the model that it holds.
    fn check(&self, disk: &Disk, ops: usize) -> Result<(Store, Model), String> {
        let store = open(disk).map_err(|error| error.to_string())?;
        if store.repaired() {
            return Err("opening had to walk the whole file".to_owned());
        }
        let reader = store.reader();
        let step = reader.meta(Workload::step_name()).map_err(|error| error.to_string())?;
        let acknowledged = self.calls.iter().rposition(|(_, at)| *at <= ops).unwrap_or(0);
        // All acknowledged calls, or those and the one that was under way.
        for (model, _) in &self.calls[acknowledged..(acknowledged + 2).min(self.calls.len())] {
            if model.meta(Workload::step_name()) != step.as_deref() {
                continue;
            }
            model.compare(&reader)?;
            let report = reader.check().map_err(|error| error.to_string())?;
            if !report.is_sound() {
                return Err(format!("{report:?}"));
            }
            return Ok((store, model.clone()));
        }
        Err(format!("after {acknowledged} acknowledged calls the store says step {step:?}"))
    }
}

#[test]
fn every_acknowledged_batch_survives_a_cut_at_any_operation() {
    let mut cuts = 0;
    let mut kept_the_unacknowledged = 0;
    for seed in 0.. {
        let run = run(seed, 24);
        let disk = Disk::from_image(run.image.clone());
        let mut random = Random::new(seed ^ 0xc0ffee);
        for (index, op) in run.ops.iter().enumerate() {
            // The operation under way when the power fails may be done, lost or torn like the others since the last sync;
            // a sync under way has not yet promised anything.
            let before = disk.after(Loss::Power, &mut random);
            disk.perform(op);
            let loss = if index % 4 == 0 { Loss::Kill } else { Loss::Power };
            let found = match op {
                Op::Sync if index % 2 == 0 => before,
                _ => disk.after(loss, &mut random),
            };
            let done = if *op == Op::Sync && index % 2 == 0 { index } else { index + 1 };
            let (store, mut model) = run
                .check(&found, done)
                .unwrap_or_else(|error| panic!("seed {seed}, cut after operation {index} ({op:?}), {loss:?}: {error}"));
            kept_the_unacknowledged += usize::from(!run.calls.iter().any(|(kept, at)| *kept == model && *at <= done));
            if cuts % 8 == 0 {
                go_on_and_cut_again(store, &found, &mut model, &mut random);
            }
            cuts += 1;
        }
        if cuts >= CUTS {
            break;
        }
    }
    println!("{cuts} cuts, {kept_the_unacknowledged} of which kept a batch that was not yet acknowledged");
    assert!(kept_the_unacknowledged > 0, "no cut fell between the commit and its acknowledgement");
}

/// The rig has teeth: on a disk that says it has synced and has not, the same cuts find what was lost.
#[test]
fn a_disk_that_lies_about_syncing_is_found_out() {
    let run = run(1, 12);
    let disk = Disk::from_image(run.image.clone());
    let mut random = Random::new(1);
    let caught = run.ops.iter().enumerate().filter(|(index, op)| {
        if **op != Op::Sync {
            disk.perform(op);
        }
        let found = disk.after(Loss::Power, &mut random);
        index % 10 == 0 && run.check(&found, index + 1).is_err()
    });
    assert!(caught.count() > 5);
}

/// A recovered store is as good as any: it takes a batch, and survives being cut in the next one.
fn go_on_and_cut_again(store: Store, disk: &Disk, model: &mut Model, random: &mut Random) {
    let mut workload = Workload::new(random.next_u64(), 10);
    let first = workload.batch(8);
    store.apply(std::slice::from_ref(&first)).unwrap();
    model.apply(&first);
    disk.fail_after(random.below(12), Fault::Broken);
    let second = workload.batch(8);
    let result = store.apply(std::slice::from_ref(&second));
    let found = disk.after(Loss::Power, random);
    drop(store);
    let reopened = open(&found).unwrap();
    let mut next = model.clone();
    next.apply(&second);
    let compared = match result {
        Ok(()) => next.compare(&reopened.reader()),
        Err(_) => model.compare(&reopened.reader()).or_else(|_| next.compare(&reopened.reader())),
    };
    compared.unwrap_or_else(|error| panic!("after a second cut: {error}"));
}

#[test]
fn a_full_disk_loses_nothing_and_half_does_nothing_wherever_it_strikes() {
    let mut struck = 0;
    for after in 0..400 {
        let disk = Disk::new();
        let store = create(&disk);
        let (mut model, mut workload) = (Model::default(), Workload::new(after, 30));
        disk.fail_after(after, Fault::Full);
        let failed = (0..20).find_map(|_| {
            let batch = workload.batch(10);
            match store.apply(std::slice::from_ref(&batch)) {
                Ok(()) => {
                    model.apply(&batch);
                    None
                }
                Err(error) => Some((batch, error)),
            }
        });
        let Some((batch, error)) = failed else { continue };
        struck += 1;
        assert!(matches!(error, StoreError::Full), "{error}");
        assert!(error.is_fatal());
        // Space comes back, but this object knows no longer what is on the disk.
        disk.heal();
        assert!(matches!(store.apply(&[workload.batch(1)]), Err(StoreError::Stopped)));
        drop(store);
        let store = open(&disk).unwrap();
        let mut next = model.clone();
        next.apply(&batch);
        let kept = model.compare(&store.reader()).or_else(|_| next.compare(&store.reader()));
        kept.unwrap_or_else(|error| panic!("full after {after} operations: {error}"));
        store.apply(&[workload.batch(10)]).unwrap();
    }
    assert!(struck > 100, "the disk was full in only {struck} runs");
}

#[test]
fn a_broken_disk_is_an_error_and_reading_what_is_cached_does_not_panic() {
    for after in 0..60 {
        let disk = Disk::new();
        let store = create(&disk);
        let mut workload = Workload::new(after, 30);
        let mut model = Model::default();
        for _ in 0..3 {
            let batch = workload.batch(20);
            store.apply(std::slice::from_ref(&batch)).unwrap();
            model.apply(&batch);
        }
        disk.fail_after(after % 20, Fault::Broken);
        let batch = workload.batch(20);
        match store.apply(std::slice::from_ref(&batch)) {
            Ok(()) => model.apply(&batch),
            Err(StoreError::Io(_)) => assert!(matches!(store.apply(&[]), Ok(()) | Err(StoreError::Stopped))),
            Err(other) => panic!("{other}"),
        }
        match store.reader().boot() {
            Ok(_) | Err(StoreError::Io(_) | StoreError::Stopped) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Quick repair.
#[test]
fn opening_after_a_kill_walks_nothing_and_reads_no_more_of_a_larger_store() {
    let read_by_opening = |calls: usize| {
        let disk = Disk::new();
        let store = create(&disk);
        let mut workload = Workload::new(1, 100 * calls);
        for _ in 0..calls {
            store.apply(&[workload.batch(100)]).unwrap();
        }
        let killed = disk.after(Loss::Kill, &mut Random::new(1));
        let size = killed.image().len() as u64;
        let store = open(&killed).unwrap();
        assert!(store.reader().meta(Workload::step_name()).unwrap().is_some());
        assert!(!store.repaired());
        (size, killed.bytes_read())
    };
    let (small, read_small) = read_by_opening(5);
    let (large, read_large) = read_by_opening(100);
    assert!(large > small * 5, "{large} against {small} bytes of store");
    assert!(read_large <= read_small + (32 << 10), "{read_large} against {read_small} bytes read");
}
