//! A node on a disk that fails: what was acknowledged stays, what was not is refused with the cause, and work goes on when
//! the disk does.

use std::time::Duration;

use farshore_store::testing::{Disk, Fault};
use farshore_store::{Place, Store, StoreKey};

use super::{new_identity, prepare, start};
use crate::collection::Collection;
use crate::config::Builder;
use crate::error::Error;
use crate::node::Node;
use crate::status::DiskStatus;

const KEY: [u8; 64] = [7; 64];

fn node_on(disk: &Disk) -> Node {
    let builder = Node::builder("in memory").offline(true).name("Ada");
    open(disk, builder).expect("a node on a disk in memory")
}

fn open(disk: &Disk, builder: Builder) -> Result<Node, Error> {
    let key = StoreKey::from_bytes(KEY);
    let mut identity = None;
    let store = if disk.image().is_empty() {
        let new = identity.insert(new_identity(&builder)?);
        Store::create_backend(disk.backend(), &key, new.store, Place::default())?
    } else {
        Store::open_backend(disk.backend(), &key, Place::default())?
    };
    let disk = disk.clone();
    let reopen = Box::new(move || Store::open_backend(disk.backend(), &key, Place::default()));
    start(builder.clone(), prepare(store, reopen, &builder, identity)?)
}

async fn numbers(node: &Node) -> Collection<i64> {
    let space = node.create_space("s").await.unwrap();
    space.collection("numbers").await.unwrap()
}

fn one(number: i64) -> farshore_core::value::Value {
    [("n", number.into())].into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_keeps_what_was_acknowledged_and_goes_on_when_there_is_room() {
    let disk = Disk::new();
    let node = node_on(&disk);
    let documents = numbers(&node).await.typed();
    let kept = documents.insert(one(1)).await.unwrap();
    let mut watch = node.status_watch().unwrap();

    disk.fail_after(0, Fault::Full);
    let refused = documents.insert(one(2)).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    assert!(refused.to_string().contains("free some space"), "{refused}");
    let failing = watch.until(|status| matches!(status.disk, DiskStatus::Failing { .. })).await.unwrap();
    assert_eq!(failing.engine.spaces.len(), 1, "the last known status is still there");
    assert!(matches!(documents.insert(one(3)).await, Err(Error::Disk { .. })));

    disk.heal();
    let written = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            match documents.insert(one(4)).await {
                Ok(document) => return document,
                Err(Error::Disk { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(other) => panic!("{other}"),
            }
        }
    });
    let written = written.await.expect("the node goes on by itself");
    assert_eq!(kept.value().await.unwrap(), Some(one(1)));
    assert_eq!(written.value().await.unwrap(), Some(one(4)));
    node.shutdown().await;

    let again = node_on(&disk);
    let space = again.space("s").await.unwrap();
    let documents = space.existing_collection("numbers").await.unwrap();
    let found: Vec<_> = documents.values(None, 10).await.unwrap().into_iter().map(|(_, value)| value).collect();
    assert!(found.contains(&one(1)) && found.contains(&one(4)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_half_way_is_there_whole_or_not_at_all() {
    for operations in [1, 2, 3, 5, 8] {
        let disk = Disk::new();
        let node = node_on(&disk);
        let documents = numbers(&node).await.typed();
        documents.insert(one(1)).await.unwrap();
        disk.fail_after(operations, Fault::Broken);
        let many = documents.insert_many((2..40).map(one)).await;
        disk.heal();
        node.shutdown().await;
        let again = node_on(&disk);
        let space = again.space("s").await.unwrap();
        let count = space.existing_collection("numbers").await.unwrap().count().await.unwrap();
        match many {
            Ok(_) => assert_eq!(count, 39),
            Err(_) => assert!(count == 1 || count == 39, "{count} documents of an atomic request"),
        }
    }
}
