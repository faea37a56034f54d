//! What plain Automerge makes is accepted, every change of it, and comes out of Automerge with the same heads.

mod change_common;

use automerge::{ActorId, Automerge, ROOT, transaction::Transactable};
use change_common::workload::{document, visible};
use change_common::{accept_all, chunks, replay, sorted, trace};
use farshore_core::change::AncestorIndex;

/// Everything of the document passes, applies again in one batch, and the index agrees about the heads.
fn all_pass(document: &Automerge) -> usize {
    let chunks = chunks(document);
    let index = accept_all(&chunks);
    assert_eq!(sorted(index.heads()), sorted(document.get_heads()));
    assert_eq!(index.len(), chunks.len());
    let again = replay(&chunks);
    assert_eq!(sorted(again.get_heads()), sorted(document.get_heads()));
    chunks.len()
}

#[test]
fn the_sequential_trace_is_accepted_edit_by_edit() {
    let Some(trace) = trace::load("automerge-paper.json.gz") else { return };
    assert_eq!(all_pass(&trace::sequential(&trace, 90_000, 1)), 90_001);
}

#[test]
fn the_sequential_trace_is_accepted_whole_in_large_changes() {
    let Some(trace) = trace::load("automerge-paper.json.gz") else { return };
    assert!(all_pass(&trace::sequential(&trace, usize::MAX, 5_000)) > 50);
}

#[test]
fn the_concurrent_trace_is_accepted_edit_by_edit() {
    let Some(trace) = trace::load("friendsforever.json.gz") else { return };
    assert_eq!(all_pass(&trace::concurrent(&trace, 15_000)), 15_001);
}

#[test]
fn random_documents_of_many_actors_are_accepted() {
    let mut accepted = 0;
    for seed in 0..60 {
        accepted += all_pass(&document(seed, 1 + seed as usize % 9, 150, 1 + seed as usize % 12));
    }
    assert!(accepted > 6_000, "{accepted}");
}

#[test]
fn random_documents_come_back_visibly_equal() {
    for seed in 100..110 {
        let original = document(seed, 4, 100, 5);
        let loaded = Automerge::load(&original.save()).unwrap();
        let (ours, theirs) = (visible(&replay(&chunks(&original))), visible(&loaded));
        for (ours, theirs) in ours.lines().zip(theirs.lines()) {
            assert_eq!(ours, theirs, "seed {seed}");
        }
    }
}

#[test]
fn an_index_is_rebuilt_from_a_loaded_document() {
    let original = document(7, 5, 200, 5);
    let loaded = Automerge::load(&original.save()).unwrap();
    let index = AncestorIndex::from_document(&loaded).unwrap();
    assert_eq!(sorted(index.heads()), sorted(original.get_heads()));
    assert_eq!(index.len(), chunks(&original).len());
}

#[test]
fn a_change_of_twenty_thousand_operations_is_accepted() {
    let mut document = Automerge::new().with_actor(ActorId::from([3; 16]));
    let mut tx = document.transaction();
    let text = tx.put_object(ROOT, "text", automerge::ObjType::Text).unwrap();
    tx.splice_text(&text, 0, 0, &"word und 語 ".repeat(2_000)).unwrap();
    tx.commit();
    let mut tx = document.transaction();
    tx.splice_text(&text, 5, 15_000, "").unwrap();
    tx.commit();
    assert_eq!(all_pass(&document), 2);
}
