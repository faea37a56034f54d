//! What entries hold is bounded before it is in memory: a few kilobytes on the wire may inflate to megabytes.

use std::sync::Arc;

use farshore_core::entropy::Entropy;
use farshore_core::entry::{Entry, Group, Header};
use farshore_core::id::{CollectionTag, DocumentId, EntryHash, Incarnation, JournalId, OpHash, SpaceId};
use farshore_core::job::{Content, Job, JobResult, OpenTask};
use farshore_core::keys::DeviceKeys;
use farshore_core::limits::{OPENED_BYTES, PAYLOAD_BYTES};
use farshore_core::payload::{self, Item, ItemBody};
use farshore_core::seal::{self, EpochKey};
use farshore_core::time::HybridTime;

/// The bytes that one entry inflates to, and how many entries come.
const HELD: usize = 4 << 20;
const ENTRIES: u64 = 12;

fn bomb(seq: u64, keys: &DeviceKeys, epoch: &EpochKey) -> Entry {
    let collection = CollectionTag([1; 16]);
    let header = Header {
        space: SpaceId([2; 32]),
        journal: JournalId { collection, device: keys.id(), incarnation: Incarnation([3; 16]) },
        seq,
        prev: EntryHash([u8::from(seq > 1); 32]),
        group: Group { first: seq, count: 1 },
        epoch: epoch.id(),
        time: HybridTime(1),
        roster_heads: vec![OpHash([4; 32])],
        deps: Vec::new(),
        sealed_len: 0,
        sealed_hash: [0; 32],
    };
    let body = ItemBody::Unknown { kind: 200, bytes: vec![0; HELD] };
    let plain = payload::encode(&[Item { document: DocumentId([5; 16]), generation: 1, body }]).unwrap();
    let sealed = seal::seal(&seal::content_key(epoch, &collection), &header.bound_bytes(), &plain);
    Entry::sign(header, &sealed, keys)
}

#[test]
fn an_open_job_holds_no_more_than_its_budget_and_one_entry_and_always_opens_the_first() {
    let mut entropy = Entropy::from_seed(&[7; 32], "open budget");
    let (keys, epoch) = (DeviceKeys::generate(&mut entropy), EpochKey::generate(&mut entropy));
    let entries: Vec<Entry> = (1..=ENTRIES).map(|seq| bomb(seq, &keys, &epoch)).collect();
    assert!(entries.iter().all(|entry| entry.as_bytes().len() < 8 << 10), "they are small on the wire");
    let task = |entry: &Entry| {
        let entry = Arc::new(Entry::decode(entry.as_bytes().to_vec()).unwrap());
        OpenTask { entry, verify: true, key: Some(epoch.clone()) }
    };
    let JobResult::Opened(opened) = Job::Open(entries.iter().map(task).collect()).run() else { panic!("opened") };
    assert!(opened.iter().all(|opened| opened.genuine), "signatures are checked all the same");
    let held: usize =
        opened.iter().map(|opened| if let Content::Items(_, bytes) = opened.content { bytes } else { 0 }).sum();
    assert!(held > OPENED_BYTES / 2 && held <= OPENED_BYTES + PAYLOAD_BYTES, "{held} bytes");
    assert!(matches!(opened[0].content, Content::Items(..)));
    assert_eq!(opened.last().unwrap().content, Content::Unread);
}
