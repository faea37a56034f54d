//! Selection, pause and suspension of real nodes over loopback.

mod together;

use farshore::{Collection, NetworkState, Node, Priority, Role, Space, Value};
use together::{collection, open, within};

/// Ada's space with two collections, and Ben in it.
async fn pair(ada: &Node, ben: &Node) -> (Space, Space) {
    let (space, joined) = together::pair(ada, ben, Role::Writer).await;
    space.collection::<Value>("photos").await.unwrap();
    (space, joined)
}

async fn count(collection: &Collection<Value>, wanted: u64) {
    within("documents", async {
        let mut changes = collection.watch();
        while collection.count().await.unwrap() < wanted {
            changes.next().await;
        }
    })
    .await;
}

fn text(bytes: usize, seed: u64) -> Value {
    // Bytes that do not compress, as text.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = String::with_capacity(bytes);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.push(char::from(b'!' + (state % 90) as u8));
    }
    Value::from([("body", Value::Str(out))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_keeps_up_what_it_is_subscribed_to_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben).await;
    let (notes, photos) = (collection(&his, "notes").await, collection(&his, "photos").await);
    his.subscribe("photos", Some(Priority::None)).await.unwrap();
    collection(&hers, "photos").await.insert(text(1_000, 1)).await.unwrap();
    collection(&hers, "notes").await.insert(text(1_000, 2)).await.unwrap();
    count(&notes, 1).await;
    let status = his.status().await.unwrap();
    let kept_up = |name: &str| status.collections.iter().find(|c| c.name.as_deref() == Some(name)).unwrap().kept_up;
    assert_eq!((kept_up("notes"), kept_up("photos")), (true, false));
    assert_eq!(photos.count().await.unwrap(), 0);
    his.subscribe("photos", Some(Priority::Manual)).await.unwrap();
    his.sync_now().await.unwrap();
    count(&photos, 1).await;
    // Paused, nothing comes, and all of it when the pause is over.
    his.pause("ben").await.unwrap();
    assert_eq!(his.status().await.unwrap().paused.unwrap().by, "ben");
    assert!(his.sync_now().await.is_err());
    collection(&hers, "notes").await.insert(text(1_000, 3)).await.unwrap();
    his.resume().await.unwrap();
    count(&notes, 2).await;
    assert_eq!(his.status().await.unwrap().paused, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_in_a_large_transfer_loses_nothing_and_resumes_where_it_was() {
    const DOCUMENTS: u64 = 60;
    const BYTES: usize = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let (ada, ben) = (open(dir.path(), "ada").await, open(dir.path(), "ben").await);
    let (hers, his) = pair(&ada, &ben).await;
    let (from, to) = (collection(&hers, "notes").await, collection(&his, "notes").await);
    within("suspending", ben.suspend()).await.unwrap();
    for seed in 0..DOCUMENTS {
        from.insert(text(BYTES, seed + 1)).await.unwrap();
    }
    // Suspended again and again in the middle: what was there stays there, and each time it goes on.
    let mut held = 0;
    for _ in 0..3 {
        within("resuming", ben.resume()).await.unwrap();
        count(&to, (held + 3).min(DOCUMENTS)).await;
        within("suspending", ben.suspend()).await.unwrap();
        assert_eq!(ben.network().state, NetworkState::Suspended);
        let status = his.status().await.unwrap();
        let entries = status.collections.iter().map(|collection| collection.entries).sum::<u64>();
        assert!(entries >= held, "{entries} entries after {held}");
        assert!(ben.peers().await.unwrap().is_empty());
        held = to.count().await.unwrap();
    }
    within("resuming", ben.resume()).await.unwrap();
    count(&to, DOCUMENTS).await;
    let (hers, his) = (from.values(None, 1_000).await.unwrap(), to.values(None, 1_000).await.unwrap());
    assert!(hers == his, "the documents differ");
}
