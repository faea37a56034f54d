//! Whatever the validator admits is safe in Automerge.

use std::sync::OnceLock;

use arbitrary::Unstructured;
use automerge::{Automerge, Change, ChangeHash, ObjId, PatchLog, ROOT, ReadDoc};
use farshore_core::change::{AncestorIndex, decode};
use farshore_core::document::Document;

use crate::Outcome;
use crate::change_script::{self, Known};
use crate::workload::{Random, document, edit, visible};

/// Changes of one input: enough for branches that meet, few enough for hundreds of inputs a second.
const CHANGES: usize = 16;

/// The bytes are a script of changes by several actors on heads of any age, on top of a base. Each is offered to the
/// validator; those that it admits go to Automerge.
///
/// Checked: Automerge takes them and gives the same bytes back; the document saves, loads and is the same; the same changes are
/// admitted and make the same document in another order and in one batch, and when they are made again as their authors made
/// them; local edits go on top; a refusal leaves no trace.
pub fn change_automerge(data: &[u8]) -> Outcome {
    let mut u = Unstructured::new(data);
    let bases = bases();
    let base = usize::from(u.arbitrary::<u8>().unwrap_or(0)) % bases.len();
    let mut history = bases[base].clone();
    let before = history.known.changes.len();
    while !u.is_empty() && history.known.changes.len() < before + CHANGES {
        match change_script::next(&mut u, &history.known) {
            Ok(chunk) => history.offer(&chunk),
            Err(_) => break,
        }
    }
    history.is_sound(data.len() as u64);
    if history.known.changes.len() > before { Outcome::Accepted } else { Outcome::Refused }
}

/// What was admitted so far, in the three places that must agree.
#[derive(Clone, Default)]
struct History {
    document: Automerge,
    /// The same by a device that makes changes again where it can.
    again: Document,
    index: AncestorIndex,
    known: Known,
    chunks: Vec<Vec<u8>>,
}

/// Nothing, and three documents with every kind of object and value.
fn bases() -> &'static [History] {
    static BASES: OnceLock<Vec<History>> = OnceLock::new();
    BASES.get_or_init(|| {
        let changes = |seed: u64| document(seed, 3, 8, 3).get_changes(&[]);
        let base = |chunks: Vec<Change>| {
            let mut history = History::default();
            chunks.iter().for_each(|change| history.offer(change.raw_bytes()));
            assert_eq!(history.chunks.len(), chunks.len(), "a base is plain Automerge");
            history
        };
        std::iter::once(vec![]).chain([1000, 1001, 1002].map(changes)).map(base).collect()
    })
}

impl History {
    fn offer(&mut self, chunk: &[u8]) {
        let Ok(change) = decode(chunk) else { return };
        let before = (self.index.len(), self.index.max_op());
        let checked = self.index.check(&change);
        assert_eq!((self.index.len(), self.index.max_op()), before, "looking changes nothing");
        let admitted = self.index.admit(&change);
        assert_eq!(checked, admitted);
        if admitted.is_err() || self.index.len() == before.0 {
            assert_eq!((self.index.len(), self.index.max_op()), before, "a refusal leaves no trace");
            return;
        }
        apply(&mut self.document, &[chunk.to_vec()]);
        let kept = self.document.get_change_by_hash(&change.hash()).expect("Automerge holds what it applied");
        assert_eq!(kept.raw_bytes(), chunk, "Automerge gives the same bytes back");
        if !self.again.replay(&kept).expect("what was admitted is no fault of ours") {
            self.again.apply(vec![kept]).expect("Automerge applies what was admitted");
        }
        self.known.note(chunk);
        self.chunks.push(chunk.to_vec());
    }

    fn is_sound(&self, seed: u64) {
        let seen = visible(&self.document);
        let heads = sorted(self.index.heads());
        assert_eq!(sorted(self.document.get_heads()), heads, "the index and Automerge agree");
        let mut loaded = Automerge::load(&self.document.save()).expect("what was applied loads");
        same(&loaded, &heads, &seen, "after a reload");
        same(self.again.as_automerge(), &heads, &seen, "made again where it could be");
        let again = Document::load(Some(&self.again.save()), &[]).expect("what was made again loads");
        same(again.as_automerge(), &heads, &seen, "made again, after a reload");
        let rebuilt = AncestorIndex::from_document(&loaded).expect("what was admitted is admitted after a reload");
        assert_eq!((rebuilt.len(), rebuilt.max_op()), (self.index.len(), self.index.max_op()));

        let order = self.known.another_order(seed);
        let chunks: Vec<Vec<u8>> = order.into_iter().map(|at| self.chunks[at].clone()).collect();
        let (mut other, mut index) = (Automerge::new(), AncestorIndex::new());
        for chunk in &chunks {
            index.admit(&decode(chunk).expect("its bytes are the same")).expect("validity does not depend on order");
        }
        apply(&mut other, &chunks);
        same(&other, &heads, &seen, "in one batch and another order");

        let mut random = Random::new(seed);
        let mut objects: Vec<ObjId> = vec![ROOT];
        objects.extend(self.known.objects().filter_map(|id| loaded.import_obj(&id).ok()));
        let mut tx = loaded.transaction();
        (0..4).for_each(|_| edit(&mut tx, &mut random, &mut objects));
        tx.commit();
        // Heads only: over a counter and an object in conflict, a local increment leaves Automerge 0.12 listing the key twice
        // until the next load.
        let again = Automerge::load(&loaded.save()).expect("what was edited loads");
        assert_eq!(sorted(again.get_heads()), sorted(loaded.get_heads()));
    }
}

fn apply(document: &mut Automerge, chunks: &[Vec<u8>]) {
    let parse = |chunk: &Vec<u8>| Change::from_bytes(chunk.clone()).expect("Automerge reads what was admitted");
    let changes: Vec<Change> = chunks.iter().map(parse).collect();
    let mut log = PatchLog::active();
    document.apply_changes_log_patches(changes, &mut log).expect("Automerge applies what was admitted");
    document.make_patches(&mut log);
    assert_eq!(document.get_missing_deps(&[]), vec![], "nothing is left waiting");
}

fn same(document: &Automerge, heads: &[ChangeHash], seen: &str, when: &str) {
    assert_eq!(sorted(document.get_heads()), heads, "{when}");
    assert_eq!(visible(document), seen, "{when}");
}

fn sorted(heads: impl IntoIterator<Item = ChangeHash>) -> Vec<ChangeHash> {
    let mut heads: Vec<_> = heads.into_iter().collect();
    heads.sort();
    heads
}
