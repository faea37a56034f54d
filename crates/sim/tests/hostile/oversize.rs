//! Documents that merges have made larger than edits may: read-only, alike on every member, until deleted.

use farshore_core::document::{Edit, EditError};
use farshore_core::id::DocumentId;
use farshore_core::input::{DocEdit, DocOp, Request};
use farshore_core::job::WriteError;
use farshore_core::limits::DOCUMENT_BYTES;
use farshore_core::output::Reply;
use farshore_core::value::Value;

use crate::content::{document, first, item, then};
use crate::peer::InWorld;
use crate::raw::{Op, RawChange};
use crate::rig::{ADA, BEN, Rig, fields};

const DOC: u8 = 50;

/// Three values that take nearly 3 MiB.
fn bulk(n: u64) -> Vec<Op> {
    let text = "x".repeat(1_000_000);
    ["a", "b", "c"].iter().map(|key| Op::put(&format!("{key}{n}"), &text)).collect()
}

fn edit(rig: &mut Rig, device: usize, op: DocOp) -> Result<(), WriteError> {
    let now = rig.world.now();
    let edits = vec![DocEdit { document: document(DOC), keyed: false, op }];
    let request = Request::Edit { space: rig.key.space, collection: rig.key.collection, edits };
    let Reply::Edited(results) = rig.world.devices[device].ask(now, request) else { panic!("an answer") };
    rig.world.run();
    results[0].clone().map(drop)
}

fn set(key: &str, bytes: usize) -> DocOp {
    DocOp::Edit(vec![Edit::Merge { value: fields(&[(key, Value::Str("y".repeat(bytes)))]) }])
}

fn oversize(rig: &mut Rig, device: usize) -> Vec<DocumentId> {
    rig.collection(device).oversize
}

#[test]
fn a_document_that_merges_made_too_large_is_read_only_on_every_member_alike_until_deleted() {
    let mut rig = Rig::new(110);
    let mut mallory = rig.mallory();
    let line = mallory.meet(&mut rig.world, ADA);
    let full = DOCUMENT_BYTES / 3_000_000;
    let mut last: Option<RawChange> = None;
    for n in 0..full {
        let change = match &last {
            None => first(&mallory, document(DOC), bulk(n)),
            Some(last) => then(last, bulk(n)),
        };
        let entry = mallory.entry(&[item(document(DOC), std::slice::from_ref(&change))]);
        line.send_entry(&mut rig.world, &entry);
        last = Some(change);
    }
    // Almost full: what fits is taken, what does not is refused before anything is written, and leaves no trace.
    assert_eq!((oversize(&mut rig, ADA), oversize(&mut rig, BEN)), (Vec::new(), Vec::new()));
    assert_eq!(edit(&mut rig, BEN, set("small", 10)), Ok(()));
    let room = DOCUMENT_BYTES - full * 3_000_000;
    let large: Vec<(String, Value)> =
        (0..=room / 1_000_000).map(|n| (format!("large{n}"), Value::Str("z".repeat(1_000_000)))).collect();
    let large = DocOp::Edit(vec![Edit::Merge { value: Value::Map(large.into_iter().collect()) }]);
    let before = rig.value(BEN, document(DOC));
    let refused = edit(&mut rig, BEN, large.clone()).unwrap_err();
    assert!(matches!(refused, WriteError::Edit(EditError::Oversize { .. })), "{refused}");
    assert_eq!(rig.value(BEN, document(DOC)), before);
    assert_eq!(edit(&mut rig, BEN, set("small", 20)), Ok(()));
    // A peer's edit takes it over the limit.
    let change = then(&last.unwrap(), bulk(full));
    let entry = mallory.entry(&[item(document(DOC), &[change])]);
    line.send_entry(&mut rig.world, &entry);
    rig.assert_open(&line);
    for device in [ADA, BEN] {
        assert_eq!(oversize(&mut rig, device), [document(DOC)]);
        let refused = edit(&mut rig, device, set("small", 1)).unwrap_err();
        assert!(refused.to_string().contains("read-only"), "{refused}");
    }
    // Nor is it forgotten in a restart.
    rig.world.restart(BEN, 110);
    rig.honest = rig.world.link(ADA, BEN);
    rig.world.run();
    assert_eq!(oversize(&mut rig, BEN), [document(DOC)]);
    assert!(edit(&mut rig, BEN, set("small", 1)).is_err());
    // Deleting it, and beginning anew, is always possible.
    assert_eq!(edit(&mut rig, BEN, DocOp::Delete), Ok(()));
    assert_eq!((oversize(&mut rig, ADA), oversize(&mut rig, BEN)), (Vec::new(), Vec::new()));
    assert_eq!(edit(&mut rig, ADA, DocOp::Create(fields(&[("n", Value::Int(1))]))), Ok(()));
    assert_eq!(edit(&mut rig, BEN, set("small", 10)), Ok(()));
    rig.assert_undisturbed();
}
