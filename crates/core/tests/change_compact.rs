//! A change comes back from its compact form byte for byte, and only from one.

mod change_common;

use automerge::ChangeHash;
use change_common::raw::{Op, RawChange, actor};
use change_common::workload::document;
use change_common::{chunks, trace};
use farshore_core::change::compact::{RestoreError, StripError, restore, strip};
use farshore_core::change::{Part, Refusal, decode};

const MAX: usize = 4 << 20;

/// Strip and restore a document's changes in order; bytes of both forms.
fn round_trip(chunks: &[Vec<u8>]) -> (usize, usize) {
    let mut previous = None;
    let (mut whole, mut compact) = (0, 0);
    for chunk in chunks {
        let author: [u8; 16] = decode(chunk).unwrap().actor().try_into().unwrap();
        let (hash, small) = strip(chunk, previous).unwrap();
        assert_eq!(restore(&small, &author, previous, MAX), Ok((hash, chunk.clone())));
        assert_eq!(restore(&small, &author, previous, chunk.len()), Ok((hash, chunk.clone())));
        assert!(matches!(restore(&small, &author, previous, chunk.len() - 1), Err(RestoreError::Size { .. })));
        previous = Some(hash);
        (whole, compact) = (whole + chunk.len(), compact + small.len());
    }
    (whole, compact)
}

#[test]
fn every_change_of_random_documents_comes_back() {
    for seed in 0..20 {
        round_trip(&chunks(&document(seed, 1 + seed as usize % 5, 80, 4)));
    }
}

#[test]
fn every_change_of_the_traces_comes_back_and_typing_shrinks_by_half() {
    if let Some(trace) = trace::load("automerge-paper.json.gz") {
        let (whole, compact) = round_trip(&chunks(&trace::sequential(&trace, 5_000, 1)));
        assert!(compact * 2 < whole, "{compact} of {whole}");
    }
    if let Some(trace) = trace::load("friendsforever.json.gz") {
        round_trip(&chunks(&trace::concurrent(&trace, 2_000)));
    }
}

#[test]
fn a_compact_form_that_is_not_the_one_is_refused() {
    let first = RawChange::first(1, vec![Op::put("k", "v")]);
    let second = first.then(vec![Op::put("k", "w").with_preds(&[&first.id(0)])]);
    let author: [u8; 16] = actor(1).try_into().unwrap();
    let previous = Some(first.hash());
    let (_, after) = strip(&second.chunk(), previous).unwrap();
    let (_, spelled) = strip(&second.chunk(), None).unwrap();
    assert_eq!(restore(&spelled, &author, None, MAX).unwrap().1, second.chunk());
    assert_eq!(restore(&spelled, &author, previous, MAX), Err(RestoreError::NotCompact));
    assert_eq!(restore(&after, &author, None, MAX), Err(RestoreError::NoPrevious));
    let mut flagged = after.clone();
    flagged[0] = 2;
    assert_eq!(restore(&flagged, &author, previous, MAX), Err(RestoreError::Flags(2)));
    assert_eq!(restore(&[], &author, previous, MAX), Err(RestoreError::Deps(Refusal::Truncated(Part::Deps))));
    assert_eq!(restore(&[0, 2, 1], &author, None, MAX), Err(RestoreError::Deps(Refusal::Truncated(Part::Deps))));
    let overlong = [0, 0x80, 0];
    assert_eq!(restore(&overlong, &author, None, MAX), Err(RestoreError::Deps(Refusal::Number(Part::Deps))));
    let another = restore(&after, &author, Some(ChangeHash([7; 32])), MAX).unwrap().1;
    assert_ne!(another, second.chunk(), "another previous change is another change");
}

#[test]
fn what_is_no_sound_chunk_by_a_derived_actor_is_not_stripped() {
    let chunk = RawChange::first(1, vec![Op::put("k", "v")]).chunk();
    let mut damaged = chunk.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(strip(&damaged, None), Err(StripError::Refused(Refusal::Checksum)));
    let foreign = RawChange { actor: vec![1; 20], ..RawChange::first(1, vec![]) };
    assert_eq!(strip(&foreign.chunk(), None), Err(StripError::Actor(20)));
}
