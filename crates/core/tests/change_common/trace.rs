//! The real editing traces, from beside the workspace; they may not be committed.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, Change, ObjType, ROOT, ReadDoc};
use serde_json::Value;

/// A trace, or `None` (said aloud) where the data is absent. Panics if it is absent in CI, so that it cannot rot unnoticed.
pub(crate) fn load(name: &str) -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let path = [path.clone(), PathBuf::from("/work/shared/data").join(name)].into_iter().find(|path| path.exists());
    let Some(path) = path else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} is absent");
        eprintln!("SKIPPED: {name} is absent");
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

fn splice(document: &mut Automerge, text: &automerge::ObjId, transactions: &[Value]) {
    let mut transaction = document.transaction();
    for patch in transactions.iter().flat_map(|transaction| transaction["patches"].as_array().unwrap()) {
        let (at, delete) = (patch[0].as_u64().unwrap() as usize, patch[1].as_i64().unwrap() as isize);
        transaction.splice_text(text, at, delete, patch[2].as_str().unwrap()).unwrap();
    }
    transaction.commit_with(CommitOptions::default().with_time(0));
}

/// A text document by one actor with `edits` edits of the trace, `per_change` in one change.
pub(crate) fn sequential(trace: &Value, edits: usize, per_change: usize) -> Automerge {
    let mut document = Automerge::new().with_actor(ActorId::from([1; 16]));
    let mut transaction = document.transaction();
    let text = transaction.put_object(ROOT, "text", ObjType::Text).unwrap();
    transaction.commit();
    let transactions = trace["txns"].as_array().unwrap();
    for group in transactions[..edits.min(transactions.len())].chunks(per_change) {
        splice(&mut document, &text, group);
    }
    document
}

fn parents(transaction: &Value) -> Vec<usize> {
    transaction["parents"].as_array().unwrap().iter().map(|parent| parent.as_u64().unwrap() as usize).collect()
}

/// A text document by all agents of the trace, with its branches and merges, one change a transaction.
pub(crate) fn concurrent(trace: &Value, edits: usize) -> Automerge {
    let agents = trace["numAgents"].as_u64().unwrap();
    let mut genesis = Automerge::new().with_actor(ActorId::from([9; 16]));
    let mut transaction = genesis.transaction();
    let text = transaction.put_object(ROOT, "text", ObjType::Text).unwrap();
    transaction.commit();

    let mut replicas: Vec<Automerge> =
        (0..agents).map(|agent| genesis.fork().with_actor(ActorId::from([agent as u8 + 1; 16]))).collect();
    let transactions = &trace["txns"].as_array().unwrap()[..];
    let transactions = &transactions[..edits.min(transactions.len())];
    // Each agent's replica holds exactly the past of its last transaction; a parent by another agent means fetching that
    // transaction and whatever of its past is missing.
    let mut changes: Vec<Change> = Vec::with_capacity(transactions.len());
    let mut held = vec![vec![false; transactions.len()]; agents as usize];
    for (number, transaction) in transactions.iter().enumerate() {
        let agent = transaction["agent"].as_u64().unwrap() as usize;
        let mut missing = BTreeSet::new();
        let mut wanted = parents(transaction);
        while let Some(parent) = wanted.pop() {
            if !std::mem::replace(&mut held[agent][parent], true) {
                missing.insert(parent);
                wanted.extend(parents(&transactions[parent]));
            }
        }
        if !missing.is_empty() {
            replicas[agent].apply_changes(missing.into_iter().map(|n| changes[n].clone()).collect::<Vec<_>>()).unwrap();
        }
        splice(&mut replicas[agent], &text, std::slice::from_ref(transaction));
        changes.push(replicas[agent].get_last_local_change().unwrap());
        held[agent][number] = true;
    }
    let (first, rest) = replicas.split_at_mut(1);
    for other in rest {
        first[0].merge(other).unwrap();
    }
    if transactions.len() == trace["txns"].as_array().unwrap().len() {
        assert_eq!(first[0].text(&text).unwrap(), trace["endContent"].as_str().unwrap(), "the replay itself is right");
    }
    first[0].clone()
}
