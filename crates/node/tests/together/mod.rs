//! Two nodes over loopback, for tests.

#![allow(dead_code, reason = "each test file uses some of these")]

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use farshore::{Collection, Node, Role, Space, Value};

/// How long anything here may take on a busy machine. Nothing waits for it when things go well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

pub(crate) async fn open(dir: &Path, name: &str) -> Node {
    let builder = Node::builder(dir.join(name)).name(name).mdns(false).quic(false).listen("/ip4/127.0.0.1/tcp/0");
    builder.open().await.expect("a node")
}

/// Ada's space with a collection, and Ben in it.
pub(crate) async fn pair(ada: &Node, ben: &Node, role: Role) -> (Space, Space) {
    let space = ada.create_space("shared").await.unwrap();
    space.collection::<Value>("notes").await.unwrap();
    let ticket = space.invite(role).open().await.unwrap();
    let joined = ben.join(&ticket, PATIENCE).await.unwrap();
    assert_eq!(joined.id(), space.id());
    (space, joined)
}

/// The collection `notes`, as soon as the device knows it.
pub(crate) async fn notes(space: &Space) -> Collection<Value> {
    collection(space, "notes").await
}

/// A collection, as soon as the device knows it.
pub(crate) async fn collection(space: &Space, name: &str) -> Collection<Value> {
    space.wait_for_collection(name, PATIENCE).await.unwrap()
}

/// Waits until both hold the same `count` documents, and each has every receipt of the other.
pub(crate) async fn converged(one: &Collection<Value>, other: &Collection<Value>, count: usize) {
    within("converging", async {
        let mut changes = (one.watch(), other.watch());
        loop {
            let (a, b) = (one.values(None, 10_000).await.unwrap(), other.values(None, 10_000).await.unwrap());
            if a == b && a.len() == count {
                break;
            }
            tokio::select! {
                _ = changes.0.next() => {}
                _ = changes.1.next() => {}
            }
        }
        for space in [one.space(), other.space()] {
            let id = space.id();
            let mut status = space.node().status_watch().unwrap();
            status.until(|status| status.pending(id).values().all(|missing| *missing == 0)).await.unwrap();
        }
    })
    .await;
}

/// A document with one field.
pub(crate) fn put(field: &str, value: &str) -> Value {
    Value::from([(field, value.into())])
}
