//! What a meeting costs follows what changed, never what exists: counted in frames, bytes, commits and loads.

use std::collections::BTreeMap;

use farshore_core::batch::CollectionKey;
use farshore_core::document::{Edit, Step};
use farshore_core::id::DocumentId;
use farshore_core::input::{DocEdit, DocOp};
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

const DOCUMENTS: u32 = 28_298;

fn id(index: u32) -> DocumentId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&index.to_be_bytes());
    DocumentId(id)
}

fn fill(world: &mut World, key: CollectionKey, documents: u32) {
    for chunk in (0..documents).collect::<Vec<_>>().chunks(2048) {
        let create = |index: &u32| {
            let fields = [("code", Value::Str(format!("K{index:05}"))), ("elevation", Value::Int((*index).into()))];
            let fields: BTreeMap<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            DocEdit { document: id(*index), keyed: true, op: DocOp::Upsert(Value::Map(fields)) }
        };
        world.write(0, key, chunk.iter().map(create).collect());
    }
}

/// Frames and bytes of both devices from the moment of connecting, with all handshakes, until silence.
fn meeting(world: &mut World) -> (u64, u64) {
    let before: Vec<_> = world.devices.iter().map(|device| device.counts).collect();
    let link = world.link(0, 1);
    world.run();
    world.cut(link);
    let spent = world.devices.iter().zip(before);
    spent.fold((0, 0), |(frames, bytes), (device, before)| {
        (frames + device.counts.frames - before.frames, bytes + device.counts.bytes - before.bytes)
    })
}

#[test]
fn after_ten_edits_in_28298_documents_a_meeting_carries_at_most_6_kb() {
    let mut world = World::new(1, 2);
    let key = world.found("world", "airports", Role::Writer);
    fill(&mut world, key, DOCUMENTS);
    let (_, first) = meeting(&mut world);
    assert_eq!(world.views(1, key).len(), DOCUMENTS as usize);
    assert!(first / u64::from(DOCUMENTS) <= 120, "{first} bytes for {DOCUMENTS} documents");
    for index in 0..10 {
        let edit = Edit::put(vec![Step::Key("elevation".into())], Value::Int(-1));
        let edit = DocEdit { document: id(index * 1_000), keyed: true, op: DocOp::Edit(vec![edit]) };
        world.write(0, key, vec![edit]);
    }
    let (loads, jobs) = (world.devices[1].counts.loads, world.devices[1].counts.jobs);
    let (frames, bytes) = meeting(&mut world);
    assert!(bytes <= 4_900, "{bytes} bytes in {frames} frames");
    assert_eq!(world.views(0, key), world.views(1, key));
    assert!(world.devices[1].counts.loads - loads <= 10 && world.devices[1].counts.jobs - jobs <= 20);
}

#[test]
fn a_meeting_with_nothing_changed_costs_the_same_with_ten_documents_and_with_ten_thousand() {
    let mut costs = Vec::new();
    for documents in [10, 10_000] {
        let mut world = World::new(2, 2);
        let key = world.found("world", "airports", Role::Writer);
        fill(&mut world, key, documents);
        meeting(&mut world);
        costs.push(meeting(&mut world));
    }
    assert_eq!(costs[0], costs[1]);
}
