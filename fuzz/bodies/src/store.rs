//! Batches of a replica against a plain model, on a disk that fails.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use farshore_core::batch::{Batch, ContentOp, JournalState, StoreOp, ViewOp};
use farshore_core::id::{
    CollectionTag, DeviceId, DocKey, DocumentId, EntryHash, Incarnation, JournalId, OpHash, Position, SpaceId, StoreId,
};
use farshore_store::testing::{Disk, Fault, Loss, Model, Random};
use farshore_store::{Place, Store, StoreError, StoreKey};

use crate::Outcome;

/// Steps of one input: several lives of a store, within a few hundredths of a second.
const STEPS: usize = 24;

/// The bytes are a script: batches in calls of a few, a disk that fills up or breaks after so many operations, the end of the
/// process and of the power.
///
/// Checked: a store answers as the model does. After a failure, a kill or a power cut it holds every acknowledged call, and the
/// one under way wholly or not at all. It is sound by its own check, and a refused batch leaves nothing.
pub fn store(data: &[u8]) -> Outcome {
    let mut u = Unstructured::new(data);
    let mut rig = Rig::new();
    for _ in 0..STEPS {
        if u.is_empty() || rig.step(&mut u).is_err() {
            break;
        }
    }
    rig.disk.heal();
    rig.come_back();
    let report = rig.store().reader().check().expect("a healthy disk is read");
    assert!(report.is_sound(), "{report:?}");
    if rig.acknowledged > 0 { Outcome::Accepted } else { Outcome::Refused }
}

/// What the store should hold, how far its journals are, and which life of each document is the present one.
#[derive(Clone, Default)]
struct Truth {
    model: Model,
    journals: BTreeMap<(SpaceId, JournalId), JournalState>,
    lives: BTreeMap<DocKey, u32>,
}

struct Rig {
    disk: Disk,
    store: Option<Store>,
    truth: Truth,
    calls: u64,
    acknowledged: u64,
}

fn key() -> StoreKey {
    StoreKey::from_bytes([7; 64])
}

impl Rig {
    fn new() -> Rig {
        let disk = Disk::new();
        let store = Store::create_backend(disk.backend(), &key(), StoreId([1; 16]), Place::default());
        let store = Some(store.expect("a store is created on a healthy disk"));
        Rig { disk, store, truth: Truth::default(), calls: 0, acknowledged: 0 }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open between steps")
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15_u8)? {
            0 => {
                let fault = if u.arbitrary()? { Fault::Full } else { Fault::Broken };
                self.disk.fail_after(u.arbitrary::<u8>()?.into(), fault);
            }
            1 => self.disk.heal(),
            2 => {
                self.disk.heal();
                self.come_back();
            }
            3 => {
                let loss = if u.arbitrary()? { Loss::Kill } else { Loss::Power };
                let truth = self.truth.clone();
                self.cut(loss, u.arbitrary()?, std::slice::from_ref(&truth));
            }
            4 => {
                self.store = None;
                self.disk.fail_after(u.arbitrary::<u8>()?.into(), Fault::Broken);
                drop(Store::open_backend(self.disk.backend(), &key(), Place::default()));
                self.disk.heal();
                self.come_back();
            }
            _ => self.call(u)?,
        }
        Ok(())
    }

    fn call(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut next = self.truth.clone();
        let mut batches = Vec::new();
        let mut refused = false;
        for _ in 0..u.int_in_range(1..=3_u8)? {
            self.calls += 1;
            let mut ops = Vec::new();
            for _ in 0..u.int_in_range(1..=6_u8)? {
                operations(u, &mut next.journals, &mut next.lives, &mut ops)?;
            }
            if u.ratio(1, 32)? {
                refused = true;
                ops.push(StoreOp::PutMeta { name: "n".repeat(65), value: vec![] });
            }
            batches.push(Batch { id: self.calls, ops });
        }
        let cut = u.ratio(1, 2)?.then_some(u.arbitrary()?);
        match self.store().apply(&batches) {
            Ok(()) => {
                assert!(!refused, "a name over its limit was taken");
                batches.iter().for_each(|batch| next.model.apply(batch));
                self.truth = next;
                self.acknowledged += 1;
            }
            Err(StoreError::OverLimit { .. }) => assert!(refused),
            Err(StoreError::Full | StoreError::Io(_) | StoreError::Stopped) => {
                batches.iter().for_each(|batch| next.model.apply(batch));
                let either = [self.truth.clone(), next];
                let either = if refused { &either[..1] } else { &either[..] };
                match cut {
                    Some(seed) => self.cut(Loss::Power, seed, either),
                    None => {
                        self.disk.heal();
                        self.reopen(either);
                    }
                }
            }
            Err(other) => panic!("a disk that fails gave: {other}"),
        }
        Ok(())
    }

    /// Opens the store anew; it must hold all that was acknowledged, and no more.
    fn come_back(&mut self) {
        let truth = self.truth.clone();
        self.reopen(std::slice::from_ref(&truth));
    }

    fn cut(&mut self, loss: Loss, seed: u64, either: &[Truth]) {
        let found = self.disk.after(loss, &mut Random::new(seed));
        self.store = None; // what the process would have done after the cut goes to the old disk
        self.disk = found;
        self.reopen(either);
    }

    /// Opens the store anew; it must hold one of these.
    fn reopen(&mut self, either: &[Truth]) {
        self.store = None;
        let store = Store::open_backend(self.disk.backend(), &key(), Place::default());
        let store = store.expect("a store opens on a healthy disk, whatever befell it");
        let reader = store.reader();
        let held: Vec<_> = either.iter().map(|truth| truth.model.compare(&reader)).collect();
        let Some(at) = held.iter().position(std::result::Result::is_ok) else { panic!("{held:?}") };
        self.truth = either[at].clone();
        self.store = Some(store);
    }
}

/// One of few, so that the same rows are written again.
fn few<const N: usize>(u: &mut Unstructured<'_>, count: u8) -> Result<[u8; N]> {
    Ok([u.arbitrary::<u8>()? % count; N])
}

/// Mostly small, sometimes over a page.
fn content(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let (fill, size) = (u.arbitrary()?, u.arbitrary::<u8>()?);
    Ok(vec![fill; if size > 250 { 9000 } else { usize::from(size) }])
}

fn chunks(u: &mut Unstructured<'_>) -> Result<Vec<Vec<u8>>> {
    (0..u.int_in_range(0..=3_u8)?).map(|_| content(u)).collect()
}

/// What a replica asks for: journals without gaps, documents that are made, edited, compacted, deleted and begun anew.
fn operations(
    u: &mut Unstructured<'_>,
    journals: &mut BTreeMap<(SpaceId, JournalId), JournalState>,
    lives: &mut BTreeMap<DocKey, u32>,
    ops: &mut Vec<StoreOp>,
) -> Result<()> {
    let space = SpaceId(few(u, 2)?);
    match u.int_in_range(0..=11_u8)? {
        0 => ops.push(StoreOp::PutMeta { name: format!("name {}", u.arbitrary::<u8>()? % 4), value: content(u)? }),
        1 => ops.push(StoreOp::PutRosterOp { space, hash: OpHash(few(u, 8)?), bytes: content(u)? }),
        2 => ops.push(StoreOp::PutSpace { space, record: content(u)? }),
        3 => ops.push(StoreOp::PutPeer { space, device: DeviceId(few(u, 3)?), record: content(u)? }),
        4 => ops.push(StoreOp::PutInvitation { ticket: few(u, 3)?, record: content(u)? }),
        5..=7 => {
            let (collection, device) = (CollectionTag(few(u, 2)?), DeviceId(few(u, 2)?));
            let journal = JournalId { collection, device, incarnation: Incarnation([1; 16]) };
            let state = journals.entry((space, journal)).or_insert(JournalState::EMPTY);
            let hash = EntryHash(few(u, 250)?);
            if state.held.seq > 0 && u.ratio(1, 6)? {
                // A fork's proof beside the entry that was there first.
                let position = Position { seq: state.held.seq, hash };
                ops.push(StoreOp::PutEntry { space, journal, position, bytes: content(u)? });
                ops.push(StoreOp::PutRejected { space, journal, position, reason: "a fork".to_owned() });
                return Ok(());
            }
            let position = Position { seq: state.held.seq + 1, hash };
            let applied = u.int_in_range(state.applied..=position.seq)?;
            let (arrival, closed, cites) = (state.arrival + 1, u.ratio(1, 16)?, vec![OpHash(few(u, 8)?)]);
            *state = JournalState { held: position, applied, arrival, closed, cites, ..JournalState::EMPTY };
            ops.push(StoreOp::PutEntry { space, journal, position, bytes: content(u)? });
            ops.push(StoreOp::PutJournal { space, journal, state: state.clone() });
        }
        _ => {
            let key = DocKey { space, collection: CollectionTag(few(u, 2)?), document: DocumentId(few(u, 9)?) };
            let present = lives.entry(key).or_insert(1);
            let generation = match u.int_in_range(0..=7_u8)? {
                // The next life begins; the view of the one before goes with the same batch.
                0 => {
                    let (record, content, view) = (content(u)?, ContentOp::Keep, ViewOp::Remove);
                    ops.push(StoreOp::PutDocument { key, generation: *present, record, content, view });
                    *present += 1;
                    *present
                }
                1 => u.int_in_range(1..=*present)?,
                _ => *present,
            };
            let former = generation < *present;
            let content_op = match u.int_in_range(0..=4_u8)? {
                0 => ContentOp::Keep,
                1 => ContentOp::Replace(content(u)?),
                _ => ContentOp::Append(chunks(u)?),
            };
            let view = match u.int_in_range(0..=3_u8)? {
                _ if former => ViewOp::Keep,
                0 => ViewOp::Remove,
                1 => ViewOp::Keep,
                _ => ViewOp::Put(content(u)?),
            };
            ops.push(StoreOp::PutDocument { key, generation, record: content(u)?, content: content_op, view });
        }
    }
    Ok(())
}
