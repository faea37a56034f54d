//! Entries of others: validated change by change, then applied to each document in one call.
//!
//! Validation comes first for all entries and stops at the first that breaks a rule, because an entry counts wholly or not at
//! all. Only then does Automerge see anything.
//!
//! Every life of a document is validated and kept on its own, a former one as strictly as the present one: whether an item is
//! sound must not depend on whether this member has heard of a later life (I4). Only the present life makes the view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use automerge::Change;

use super::write::{finish, finish_former};
use super::{Applied, ApplyEntry, ApplyJob, DocSource, Lacking, RestoreJob, Restored, SealedChunk, WorkedDocument};
use crate::change::{self, Admission, AncestorIndex, DecodedChange, Refusal, compact};
use crate::checkpoint::check::{self, Reading};
use crate::checkpoint::chunk::{Run, Segment, Spot};
use crate::document::{self, derived_actor};
use crate::id::{DocKey, JournalId, Position, SpaceId};
use crate::limits::CHANGE_BYTES;
use crate::payload::{Item, ItemBody, PackedChange};
use crate::record::{OpenDocument, Place, Tombstone};

/// One life of a document on the bench.
struct Life {
    /// As the store has it; `None` for one that begins here. That is made only when its turn comes: an empty Automerge document
    /// takes kilobytes in dozens of pieces, and thousands of them at a time made half the work of a first sync the allocator's.
    open: Option<Box<OpenDocument>>,
    keyed: bool,
    /// The index as it will be after the plan.
    index: AncestorIndex,
    plan: Vec<Step>,
}

impl Life {
    /// Whether the store has it.
    fn known(&self) -> bool {
        self.open.is_some()
    }
}

/// What an accepted item does to a life.
enum Step {
    Begin,
    Change {
        change: Change,
        chunk: Vec<u8>,
        place: Place,
    },
    Entomb {
        heads: Vec<[u8; 32]>,
        place: Place,
    },
    /// Says which entries brought heads, and which deleted; of a checkpoint.
    Told {
        heads: BTreeMap<[u8; 32], Place>,
        tombstone: Option<Tombstone>,
    },
}

/// A document and a generation.
type LifeKey = (DocKey, u32);

/// Everything that is worked on.
struct Bench {
    lives: BTreeMap<LifeKey, Life>,
    /// The present generation of each document as it was given; 0 for one that does not exist.
    present: BTreeMap<DocKey, u32>,
    /// Former lives that the store was asked for and does not have.
    absent: BTreeSet<LifeKey>,
}

/// Why an entry is not planned.
enum Refused {
    /// Its author broke a rule.
    Rule(String),
    /// It builds on a change that is not here. Its author may have hidden that, and the change may come in anybody's journal
    /// or never: to reject would make validity a matter of who got what first (I4).
    Lacks(Lacking),
    /// A fault of ours.
    Ours(String),
}

impl From<String> for Refused {
    fn from(rule: String) -> Refused {
        Refused::Rule(rule)
    }
}

pub(super) fn run(job: ApplyJob) -> Applied {
    let ApplyJob { space, entries, edit_wins, documents, former } = job;
    let keys: Vec<DocKey> = documents.iter().map(|(key, _)| *key).collect();
    let mut bench = match lay_out(documents, former) {
        Ok(bench) => bench,
        Err(reason) => return nothing(keys, reason),
    };
    let mut count = 0;
    let (mut rejected, mut lacks) = (None, None);
    for entry in &entries {
        match plan_entry(&mut bench, space, entry) {
            Ok(steps) => {
                for (key, step) in steps {
                    if let Some(life) = bench.lives.get_mut(&key) {
                        life.plan.push(step);
                    }
                }
                count += 1;
                continue;
            }
            Err(Refused::Rule(reason)) => rejected = Some(reason),
            Err(Refused::Lacks(lacking)) => lacks = Some(lacking),
            Err(Refused::Ours(reason)) => return nothing(keys, reason),
        }
        break;
    }
    let spoiled = rejected.is_some() || lacks.is_some();
    let mut brought = BTreeSet::new();
    match carry_out(bench, edit_wins, spoiled, &mut brought) {
        Ok(documents) => Applied { count, rejected, lacks, brought, failed: None, documents },
        Err(reason) => nothing(keys, reason),
    }
}

fn nothing(keys: Vec<DocKey>, reason: String) -> Applied {
    let documents = keys.into_iter().map(WorkedDocument::lost).collect();
    Applied { count: 0, rejected: None, lacks: None, brought: BTreeSet::new(), failed: Some(reason), documents }
}

fn lay_out(documents: Vec<(DocKey, DocSource)>, former: Vec<(DocKey, u32, DocSource)>) -> Result<Bench, String> {
    let mut bench = Bench { lives: BTreeMap::new(), present: BTreeMap::new(), absent: BTreeSet::new() };
    for (key, source) in documents {
        let life = lay_out_one(key, source)?;
        let generation = life.as_ref().and_then(|life| life.open.as_ref()).map(|open| open.record.generation);
        bench.present.insert(key, generation.unwrap_or(0));
        bench.lives.extend(generation.zip(life).map(|(generation, life)| ((key, generation), life)));
    }
    for (key, generation, source) in former {
        match lay_out_one(key, source)? {
            Some(life) => bench.lives.insert((key, generation), life).is_some(),
            None => bench.absent.insert((key, generation)),
        };
    }
    Ok(bench)
}

fn lay_out_one(key: DocKey, source: DocSource) -> Result<Option<Life>, String> {
    if matches!(source, DocSource::Absent) {
        return Ok(None);
    }
    let mut open = source.open(false).map_err(|reason| format!("document {}: {reason}", key.document))?;
    let index = match open.index.take() {
        Some(index) => Arc::unwrap_or_clone(index),
        None => open.document.ancestors().map_err(|e| format!("document {}: {e}", key.document))?,
    };
    let keyed = open.record.keyed;
    Ok(Some(Life { open: Some(Box::new(open)), keyed, index, plan: Vec::new() }))
}

impl Bench {
    /// The life that an item is about, which it may begin.
    fn life(&mut self, key: DocKey, generation: u32) -> Result<&mut Life, Refused> {
        let present = *self.present.get(&key).ok_or_else(|| Refused::Ours("a document was not loaded".into()))?;
        let keyed = self.lives.get(&(key, present)).is_some_and(|life| life.keyed);
        if generation < present
            && !self.lives.contains_key(&(key, generation))
            && !self.absent.contains(&(key, generation))
        {
            return Err(Refused::Ours("a former life of a document was not loaded".into()));
        }
        Ok(self.lives.entry((key, generation)).or_insert_with(|| Life {
            open: None,
            keyed,
            index: AncestorIndex::new(),
            plan: Vec::new(),
        }))
    }
}

/// Brings chunks of a checkpoint into documents. They were checked whole; here their changes go beside those that the documents
/// have already, by the same index.
pub(super) fn restore(job: RestoreJob) -> Restored {
    let RestoreJob { space, collection, chunks, reading, edit_wins, documents, former } = job;
    let keys: Vec<DocKey> = documents.iter().map(|(key, _)| *key).collect();
    let mut brought = BTreeSet::new();
    let worked = lay_out(documents, former).and_then(|mut bench| {
        let mut heads = BTreeMap::new();
        for segment in chunks.iter().map(SealedChunk::open).collect::<Result<Vec<_>, _>>()?.iter().flatten() {
            let key = DocKey { space, collection, document: segment.document };
            plan_segment(&mut bench, key, &reading, segment, &mut heads).map_err(|refused| {
                let reason = match refused {
                    Refused::Rule(reason) | Refused::Ours(reason) => reason,
                    Refused::Lacks(_) => "a change before one of its changes is not here".to_owned(),
                };
                format!("document {}: {reason}", segment.document)
            })?;
        }
        carry_out(bench, edit_wins, false, &mut brought)
    });
    match worked {
        Ok(documents) => Restored { brought, failed: None, documents },
        Err(reason) => {
            let documents = keys.into_iter().map(WorkedDocument::lost).collect();
            Restored { brought: BTreeSet::new(), failed: Some(reason), documents }
        }
    }
}

/// Plans a segment; `heads` are those of the life that its segments are under way of.
fn plan_segment(
    bench: &mut Bench,
    key: DocKey,
    reading: &Reading,
    segment: &Segment,
    heads: &mut BTreeMap<[u8; 32], Run>,
) -> Result<(), Refused> {
    let life = bench.life(key, segment.generation)?;
    if !life.known() && life.plan.is_empty() {
        life.plan.push(Step::Begin);
    }
    for restored in reading.restore(segment)? {
        let (change, run) = (restored.change, restored.run);
        for dep in change.deps() {
            heads.remove(&dep.0);
        }
        heads.insert(change.hash().0, run);
        if life.index.admit(&change).map_err(|error| refusal(key, error))? == Admission::Known {
            continue;
        }
        // Which entry it is, by hash, is told of heads only, at the end.
        let place = reading.place(&Spot { journal: run.journal, seq: run.seq, hash: Position::START.hash })?;
        let chunk = change.into_bytes();
        let change = Change::from_bytes(chunk.clone()).map_err(|e| format!("Automerge refuses a change: {e}"))?;
        life.plan.push(Step::Change { change, chunk, place });
    }
    if let Some(end) = &segment.end {
        let heads = check::heads(reading, &std::mem::take(heads), end)?;
        life.plan.push(Step::Told { heads, tombstone: check::tombstone(reading, end)? });
    }
    Ok(())
}

/// Validates one entry against everything planned before it.
///
/// # Errors
/// Why not. The lives' indexes are then spoiled; nothing more is planned in this job.
fn plan_entry(bench: &mut Bench, space: SpaceId, entry: &ApplyEntry) -> Result<Vec<(LifeKey, Step)>, Refused> {
    let items = entry.items.as_ref().map_err(Clone::clone)?;
    let place =
        Place { device: entry.journal.device, incarnation: entry.journal.incarnation, position: entry.position };
    let mut steps = Vec::new();
    for item in items {
        let key = DocKey { space, collection: entry.journal.collection, document: item.document };
        plan_item(key, bench, item, &entry.journal, place, &mut steps).map_err(|refused| match refused {
            Refused::Rule(reason) => Refused::Rule(format!("document {}: {reason}", item.document)),
            other => other,
        })?;
    }
    Ok(steps)
}

fn plan_item(
    key: DocKey,
    bench: &mut Bench,
    item: &Item,
    journal: &JournalId,
    place: Place,
    steps: &mut Vec<(LifeKey, Step)>,
) -> Result<(), Refused> {
    if item.generation == 0 {
        return Err(Refused::Rule("generation 0".into()));
    }
    let life_key = (key, item.generation);
    let life = bench.life(key, item.generation)?;
    if !life.known() && life.plan.is_empty() && steps.iter().all(|(of, _)| *of != life_key) {
        steps.push((life_key, Step::Begin));
    }
    match &item.body {
        ItemBody::Tombstone { heads } => steps.push((life_key, Step::Entomb { heads: heads.clone(), place })),
        ItemBody::Changes(changes) => {
            let mut previous = None;
            for packed in changes {
                let decoded = unpack(&key.space, journal, item, packed, previous)?;
                previous = Some(decoded.hash());
                let known = life.index.admit(&decoded).map_err(|e| refusal(key, e))? == Admission::Known;
                let genesis = matches!(packed, PackedChange::Genesis { .. });
                if known && !genesis {
                    continue;
                }
                let chunk = decoded.into_bytes();
                let change =
                    Change::from_bytes(chunk.clone()).map_err(|e| format!("Automerge refuses a change: {e}"))?;
                // Known or not: else an entry that passes another's change off as one would be sound for those only who have that.
                if genesis && !is_genesis(life_key, life, steps, &change) {
                    return Err(Refused::Rule("a change claims to be a genesis change and is none".into()));
                }
                if known {
                    continue; // It came in another journal too.
                }
                steps.push((life_key, Step::Change { change, chunk, place }));
            }
        }
        ItemBody::Unknown { kind, .. } => return Err(Refused::Ours(format!("item kind {kind} reached application"))),
    }
    Ok(())
}

fn refusal(key: DocKey, refusal: Refusal) -> Refused {
    match refusal {
        Refusal::MissingDependency(change) => Refused::Lacks(Lacking { document: key.document, change: change.0 }),
        other => Refused::Rule(other.to_string()),
    }
}

/// Rebuilds a change from its compact form, checks its bytes and that its actor is the one it must have.
fn unpack(
    space: &SpaceId,
    journal: &JournalId,
    item: &Item,
    packed: &PackedChange,
    previous: Option<automerge::ChangeHash>,
) -> Result<DecodedChange, String> {
    let derived;
    let (actor, bytes) = match packed {
        PackedChange::Derived(bytes) => {
            let (collection, device, incarnation) = (journal.collection, journal.device, journal.incarnation);
            derived = derived_actor(*space, collection, device, item.document, item.generation, incarnation);
            (&derived, bytes)
        }
        PackedChange::Genesis { actor, change } => (actor, change),
    };
    let (_, chunk) = compact::restore(bytes, actor, previous, CHANGE_BYTES).map_err(|error| error.to_string())?;
    change::decode(&chunk).map_err(|error| error.to_string())
}

fn is_genesis(key: LifeKey, life: &Life, steps: &[(LifeKey, Step)], change: &Change) -> bool {
    let planned = life.plan.iter().chain(steps.iter().filter(|(of, _)| *of == key).map(|(_, step)| step));
    let planned: Vec<&Change> = planned
        .filter_map(|step| match step {
            Step::Change { change, .. } => Some(change),
            _ => None,
        })
        .collect();
    let parent = |hash: &automerge::ChangeHash| {
        let earlier = planned.iter().find(|change| change.hash() == *hash).map(|change| (*change).clone());
        earlier.or_else(|| life.open.as_ref()?.document.change(hash))
    };
    document::genesis::is_genesis(key.0.document, key.1, change, &parent)
}

/// Carries out the plans, and sees which life of each document is the present one now.
fn carry_out(
    bench: Bench,
    edit_wins: bool,
    spoiled: bool,
    brought: &mut BTreeSet<[u8; 32]>,
) -> Result<Vec<WorkedDocument>, String> {
    let Bench { lives, present, .. } = bench;
    let keep_new = super::keeps_new(lives.values().filter(|life| !life.known()).count());
    let mut by_document: BTreeMap<DocKey, Vec<(u32, Life)>> = BTreeMap::new();
    // A life without a plan that the store does not have was named by a refused entry only.
    for ((key, generation), life) in lives.into_iter().filter(|(_, life)| life.known() || !life.plan.is_empty()) {
        by_document.entry(key).or_default().push((generation, life));
    }
    let mut worked = Vec::with_capacity(by_document.len());
    for (key, mut lives) in by_document {
        let Some((generation, last)) = lives.pop() else { continue };
        let shown = present.get(&key).copied().unwrap_or_default();
        let mut changes = Vec::new();
        for (generation, life) in lives {
            let had_view = generation == shown;
            let (mut open, chunks) = carry_out_one(key, generation, life, spoiled, brought)?;
            if chunks.is_some() || had_view {
                changes.push(finish_former(&mut open, chunks.unwrap_or_default(), had_view));
            }
        }
        let keep = last.known() || keep_new;
        let (mut open, chunks) = carry_out_one(key, generation, last, spoiled, brought)?;
        changes.extend(chunks.map(|chunks| finish(&mut open, chunks, edit_wins)));
        worked.push(WorkedDocument::new(key, open, changes, edit_wins, keep));
    }
    Ok(worked)
}

/// A life after its plan, and the chunks that are new; `None` if there was no plan.
type CarriedOut = (Box<OpenDocument>, Option<Vec<Vec<u8>>>);

/// Carries out one life's plan.
fn carry_out_one(
    key: DocKey,
    generation: u32,
    life: Life,
    spoiled: bool,
    all_brought: &mut BTreeSet<[u8; 32]>,
) -> Result<CarriedOut, String> {
    let Life { open, keyed, index, plan } = life;
    let mut open = open.unwrap_or_else(|| Box::new(OpenDocument::fresh(generation, keyed)));
    open.index = (!spoiled).then(|| Arc::new(index));
    if plan.is_empty() {
        return Ok((open, None));
    }
    let (mut chunks, mut waiting) = (Vec::new(), Vec::new());
    let (mut brought, mut told) = (BTreeMap::new(), BTreeMap::new());
    for step in plan {
        match step {
            Step::Begin => {}
            Step::Change { change, chunk, place } => {
                brought.insert(change.hash().0, place);
                all_brought.insert(change.hash().0);
                open.record.count_change(change.len() as u64, chunk.len());
                chunks.push(chunk);
                waiting.push(change);
            }
            Step::Entomb { heads, place } => open.record.entomb(&heads, place),
            Step::Told { heads, tombstone } => {
                told.extend(heads);
                if let Some(Tombstone { heads, places }) = tombstone {
                    places.into_iter().for_each(|place| open.record.entomb(&heads, place));
                }
            }
        }
    }
    if !waiting.is_empty() {
        open.document.apply(waiting).map_err(|e| format!("document {}: {e}", key.document))?;
    }
    open.record.set_heads(&open.document.heads(), &brought);
    for (head, place) in told {
        open.record.heads.entry(head).and_modify(|noted| *noted = place);
    }
    Ok((open, Some(chunks)))
}
