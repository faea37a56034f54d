//! Entries of others: validated change by change, then applied to each document in one call.
//!
//! Validation comes first for all entries and stops at the first that breaks a rule, because an entry counts wholly or not at
//! all. Only then does Automerge see anything.

use std::collections::{BTreeMap, BTreeSet};

use automerge::Change;

use super::write::finish;
use super::{Applied, ApplyEntry, ApplyJob, DocSource, Lacking, WorkedDocument};
use crate::change::{self, Admission, AncestorIndex, DecodedChange, Refusal, compact};
use crate::document::{self, derived_actor};
use crate::id::{DocKey, JournalId, SpaceId};
use crate::limits::CHANGE_BYTES;
use crate::payload::{Item, ItemBody, PackedChange};
use crate::record::{OpenDocument, Place};

/// One document on the bench.
struct Slot {
    open: Box<OpenDocument>,
    known: bool,
    /// Generation and index as they will be after the plan.
    generation: u32,
    index: AncestorIndex,
    plan: Vec<Step>,
}

/// What an accepted item does to a document.
enum Step {
    Restart(u32),
    Change { change: Change, chunk: Vec<u8>, place: Place },
    Entomb { heads: Vec<[u8; 32]>, place: Place },
}

type Bench = BTreeMap<DocKey, Slot>;

/// Why an entry is not planned.
enum Refused {
    /// Its author broke a rule.
    Rule(String),
    /// It builds on a change that is not here. Its author may have hidden that, and the change may come in anybody's journal
    /// or never: to reject would make validity a matter of who got what first (I4).
    Lacks(Lacking),
}

impl From<String> for Refused {
    fn from(rule: String) -> Refused {
        Refused::Rule(rule)
    }
}

pub(super) fn run(job: ApplyJob) -> Applied {
    let ApplyJob { space, entries, edit_wins, documents } = job;
    let keys: Vec<DocKey> = documents.iter().map(|(key, _)| *key).collect();
    let mut bench = match lay_out(documents) {
        Ok(bench) => bench,
        Err(reason) => return nothing(keys, Some(reason)),
    };
    let mut count = 0;
    let (mut rejected, mut lacks) = (None, None);
    for entry in &entries {
        match plan_entry(&mut bench, space, entry) {
            Ok(steps) => {
                for (key, step) in steps {
                    if let Some(slot) = bench.get_mut(&key) {
                        slot.plan.push(step);
                    }
                }
                count += 1;
            }
            Err(refused) => {
                match refused {
                    Refused::Rule(reason) => rejected = Some(reason),
                    Refused::Lacks(lacking) => lacks = Some(lacking),
                }
                break;
            }
        }
    }
    let spoiled = rejected.is_some() || lacks.is_some();
    let mut brought = BTreeSet::new();
    let mut worked = Vec::with_capacity(bench.len());
    for (key, slot) in bench {
        match carry_out(key, slot, edit_wins, spoiled, &mut brought) {
            Ok(document) => worked.push(document),
            Err(reason) => return nothing(keys, Some(reason)),
        }
    }
    Applied { count, rejected, lacks, brought, failed: None, documents: worked }
}

fn nothing(keys: Vec<DocKey>, failed: Option<String>) -> Applied {
    let documents = keys.into_iter().map(|key| WorkedDocument { key, document: None, change: None }).collect();
    Applied { count: 0, rejected: None, lacks: None, brought: BTreeSet::new(), failed, documents }
}

fn lay_out(documents: Vec<(DocKey, DocSource)>) -> Result<Bench, String> {
    let mut bench = Bench::new();
    for (key, source) in documents {
        let known = !matches!(source, DocSource::Absent);
        let mut open = source.open(false).map_err(|reason| format!("document {}: {reason}", key.document))?;
        let index = match open.index.take() {
            Some(index) => index,
            None => open.document.ancestors().map_err(|e| format!("document {}: {e}", key.document))?,
        };
        let generation = if known { open.record.generation } else { 0 };
        bench.insert(key, Slot { open: Box::new(open), known, generation, index, plan: Vec::new() });
    }
    Ok(bench)
}

/// Validates one entry against everything planned before it.
///
/// # Errors
/// Why not. The slots' indexes are then spoiled; nothing more is planned in this job.
fn plan_entry(bench: &mut Bench, space: SpaceId, entry: &ApplyEntry) -> Result<Vec<(DocKey, Step)>, Refused> {
    let items = entry.items.as_ref().map_err(Clone::clone)?;
    let place =
        Place { device: entry.journal.device, incarnation: entry.journal.incarnation, position: entry.position };
    let mut steps = Vec::new();
    for item in items {
        let key = DocKey { space, collection: entry.journal.collection, document: item.document };
        let Some(slot) = bench.get_mut(&key) else {
            return Err(Refused::Rule("an item names a document that was not loaded".into()));
        };
        plan_item(key, slot, item, &entry.journal, place, &mut steps).map_err(|refused| match refused {
            Refused::Rule(reason) => Refused::Rule(format!("document {}: {reason}", item.document)),
            lacks => lacks,
        })?;
    }
    Ok(steps)
}

fn plan_item(
    key: DocKey,
    slot: &mut Slot,
    item: &Item,
    journal: &JournalId,
    place: Place,
    steps: &mut Vec<(DocKey, Step)>,
) -> Result<(), Refused> {
    if item.generation == 0 {
        return Err(Refused::Rule("generation 0".into()));
    }
    if item.generation < slot.generation {
        return Ok(()); // A later life of the document has replaced the one this speaks of.
    }
    if item.generation > slot.generation {
        slot.generation = item.generation;
        slot.index = AncestorIndex::new();
        steps.push((key, Step::Restart(item.generation)));
    }
    match &item.body {
        ItemBody::Tombstone { heads } => steps.push((key, Step::Entomb { heads: heads.clone(), place })),
        ItemBody::Changes(changes) => {
            let mut previous = None;
            for packed in changes {
                let decoded = unpack(&key.space, journal, item, packed, previous)?;
                previous = Some(decoded.hash());
                if slot.index.admit(&decoded).map_err(|e| refusal(key, e))? == Admission::Known {
                    continue; // A genesis change that came in another journal too.
                }
                let genesis = matches!(packed, PackedChange::Genesis { .. });
                let chunk = decoded.into_bytes();
                let change =
                    Change::from_bytes(chunk.clone()).map_err(|e| format!("Automerge refuses a change: {e}"))?;
                if genesis && !is_genesis(key, slot, item.generation, steps, &change) {
                    return Err(Refused::Rule("a change claims to be a genesis change and is none".into()));
                }
                steps.push((key, Step::Change { change, chunk, place }));
            }
        }
        ItemBody::Unknown { kind, .. } => return Err(Refused::Rule(format!("item kind {kind} reached application"))),
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

/// Whether a change is the genesis change of some container of this document: only then may it have another actor than its
/// author's. Its parents are in the document or earlier in the same plan.
fn is_genesis(key: DocKey, slot: &Slot, generation: u32, steps: &[(DocKey, Step)], change: &Change) -> bool {
    let planned = slot.plan.iter().chain(steps.iter().filter(|(of, _)| *of == key).map(|(_, step)| step));
    let planned: Vec<&Change> = planned
        .filter_map(|step| match step {
            Step::Change { change, .. } => Some(change),
            _ => None,
        })
        .collect();
    let parent = |hash: &automerge::ChangeHash| {
        let earlier = planned.iter().find(|change| change.hash() == *hash).map(|change| (*change).clone());
        earlier.or_else(|| slot.open.document.change(hash))
    };
    document::genesis::is_genesis(key.document, generation, change, &parent)
}

fn carry_out(
    key: DocKey,
    slot: Slot,
    edit_wins: bool,
    spoiled: bool,
    all_brought: &mut BTreeSet<[u8; 32]>,
) -> Result<WorkedDocument, String> {
    let Slot { mut open, known, index, plan, .. } = slot;
    open.index = (!spoiled).then_some(index);
    if plan.is_empty() {
        return Ok(WorkedDocument { key, document: known.then_some(open), change: None });
    }
    let mut chunks = Vec::new();
    let mut waiting = Vec::new();
    let mut brought = BTreeMap::new();
    for step in plan {
        match step {
            Step::Restart(generation) => {
                waiting.clear();
                chunks.clear();
                brought.clear();
                let index = open.index.take();
                if known || generation > 1 {
                    open.start_generation(generation);
                }
                open.index = index;
            }
            Step::Change { change, chunk, place } => {
                brought.insert(change.hash().0, place);
                all_brought.insert(change.hash().0);
                chunks.push(chunk);
                waiting.push(change);
            }
            Step::Entomb { heads, place } => open.record.entomb(&heads, place),
        }
    }
    if !waiting.is_empty() {
        open.document.apply(waiting).map_err(|e| format!("document {}: {e}", key.document))?;
    }
    open.record.set_heads(&open.document.heads(), &brought);
    let change = finish(&mut open, chunks, edit_wins);
    Ok(WorkedDocument { key, document: Some(open), change: Some(change) })
}
