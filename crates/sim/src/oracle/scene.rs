//! Hand-written histories for the tests of oracles.

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::Transactable;
use automerge::{ActorId, AutoCommit, ReadDoc};
use farshore_core::id::{
    CollectionTag, DeviceId, DocumentId, EntryHash, Incarnation, JournalId, Position, SpaceId, StoreId,
};

use crate::model::actor;
use crate::observe::{
    DeviceNo, DocumentSnapshot, FrameKind, Intended, JournalSnapshot, Observed, Snapshot, SpaceSnapshot, Stream,
    ViewMark, ViewWritten, What, Written,
};
use crate::oracle::{Oracle, Rest};
use crate::plain::{Op, Plain};

pub(crate) const SPACE: SpaceId = SpaceId([1; 32]);
pub(crate) const NOTES: CollectionTag = CollectionTag([2; 16]);
pub(crate) const DOCUMENT: DocumentId = DocumentId([3; 16]);

pub(crate) fn id(device: DeviceNo) -> DeviceId {
    DeviceId([10 + device as u8; 32])
}

pub(crate) fn journal(device: DeviceNo) -> JournalId {
    JournalId { collection: NOTES, device: id(device), incarnation: Incarnation([4; 16]) }
}

pub(crate) fn position(seq: u64) -> Position {
    Position { seq, hash: EntryHash([seq as u8; 32]) }
}

/// A device at rest that holds an empty space.
pub(crate) fn device(device: DeviceNo) -> Snapshot {
    let space = SpaceSnapshot {
        roster: [5; 32],
        journals: BTreeMap::new(),
        documents: BTreeMap::new(),
        pending: BTreeMap::new(),
    };
    Snapshot {
        at_ms: 1_000_000,
        device,
        id: id(device),
        store: StoreId([device as u8; 16]),
        incarnation: Incarnation([4; 16]),
        spaces: BTreeMap::from([(SPACE, space)]),
        sizes: Vec::new(),
    }
}

impl Snapshot {
    pub(crate) fn space(&mut self) -> &mut SpaceSnapshot {
        self.spaces.get_mut(&SPACE).unwrap()
    }

    /// It holds a journal up to here, and all of it is in the documents.
    pub(crate) fn with_journal(mut self, of: DeviceNo, seq: u64) -> Snapshot {
        let held = JournalSnapshot { held: position(seq), applied: seq, closed: false };
        self.space().journals.insert(journal(of), held);
        self
    }

    pub(crate) fn with_document(mut self, document: DocumentSnapshot) -> Snapshot {
        self.space().documents.insert((NOTES, DOCUMENT), document);
        self
    }
}

/// A document whose field `title` these devices set, one after another.
pub(crate) fn document(titles: &[(DeviceNo, &str)]) -> DocumentSnapshot {
    let mut doc = AutoCommit::new();
    for (device, title) in titles {
        doc.set_actor(ActorId::from(actor::of_journal(SPACE, &journal(*device), DOCUMENT, 1)));
        doc.put(automerge::ROOT, "title", *title).unwrap();
        doc.commit();
    }
    stored(&mut doc)
}

/// The same under an actor that is nobody's.
pub(crate) fn foreign_document() -> DocumentSnapshot {
    let mut doc = AutoCommit::new();
    doc.set_actor(ActorId::from([0xbb; 16]));
    doc.put(automerge::ROOT, "title", "mine").unwrap();
    stored(&mut doc)
}

pub(crate) fn stored(doc: &mut AutoCommit) -> DocumentSnapshot {
    let title = doc.get(automerge::ROOT, "title").unwrap().map(|(value, _)| value.as_str().unwrap().to_owned());
    let fields = title.map(|title| ("title".to_owned(), Plain::Str(title)));
    DocumentSnapshot {
        generation: 1,
        keyed: false,
        tombstone: None,
        heads: doc.get_heads().iter().map(|head| head.0).collect::<BTreeSet<_>>(),
        conflicts: false,
        snapshot: None,
        tail: doc.get_changes(&[]).into_iter().map(|change| change.raw_bytes().to_vec()).collect(),
        view: Some(Plain::Map(fields.into_iter().collect())),
    }
}

/// Lets an oracle look at devices at rest; what it says, if it says something.
pub(crate) fn at_rest(oracle: &mut dyn Oracle, snapshots: &[Snapshot]) -> Option<String> {
    oracle.at_rest(&Rest::new(snapshots)).err().map(|violation| {
        assert_eq!(violation.oracle, oracle.name());
        violation.to_string()
    })
}

/// Shows an oracle what happened, a millisecond apart; what it says, if it says something.
pub(crate) fn history(oracle: &mut dyn Oracle, events: &[(DeviceNo, What)]) -> Option<String> {
    let timed: Vec<_> =
        events.iter().enumerate().map(|(ms, (device, what))| (ms as u64, *device, what.clone())).collect();
    timed_history(oracle, &timed)
}

/// The same, with the time of each event.
pub(crate) fn timed_history(oracle: &mut dyn Oracle, events: &[(u64, DeviceNo, What)]) -> Option<String> {
    for (at_ms, device, what) in events {
        if let Err(violation) = oracle.observe(&Observed { at_ms: *at_ms, device: *device, what: what.clone() }) {
            assert_eq!(violation.oracle, oracle.name());
            return Some(violation.to_string());
        }
    }
    None
}

pub(crate) fn joined(device: DeviceNo, may_write: bool) -> (DeviceNo, What) {
    (device, What::Joined { space: SPACE, id: id(device), may_write })
}

pub(crate) fn submitted(device: DeviceNo, request: u64, op: Op) -> (DeviceNo, What) {
    let edits = vec![Intended { document: DOCUMENT, keyed: false, op }];
    (device, What::Submitted { request, space: SPACE, collection: NOTES, edits })
}

/// The one edit of a request is in the device's own entry `seq`.
pub(crate) fn acknowledged(device: DeviceNo, request: u64, seq: u64) -> (DeviceNo, What) {
    (device, What::Acknowledged { request, results: vec![Ok(Some((journal(device), position(seq))))] })
}

pub(crate) fn unchanged(device: DeviceNo, request: u64) -> (DeviceNo, What) {
    (device, What::Acknowledged { request, results: vec![Ok(None)] })
}

pub(crate) fn handed(device: DeviceNo, batch: u64) -> (DeviceNo, What) {
    (device, What::Handed { batch, documents: vec![(NOTES, DOCUMENT)] })
}

/// A batch with an entry, and the view that is marked `mark`.
pub(crate) fn stored_entry(device: DeviceNo, batch: u64, of: DeviceNo, seq: u64, mark: u64) -> (DeviceNo, What) {
    let written = Written { collection: NOTES, document: DOCUMENT, view: ViewWritten::Put(ViewMark(mark)) };
    (device, What::Stored { batch, entries: vec![(journal(of), position(seq))], documents: vec![written] })
}

pub(crate) fn restarted(device: DeviceNo, held: &[(DeviceNo, u64)]) -> (DeviceNo, What) {
    let frontier = held.iter().map(|(of, seq)| ((SPACE, journal(*of)), position(*seq))).collect();
    (device, What::Restarted { id: id(device), incarnation: Incarnation([4; 16]), frontier })
}

pub(crate) fn sent(device: DeviceNo, to: DeviceNo, kind: FrameKind, of: DeviceNo, seq: u64) -> (DeviceNo, What) {
    let entry = (kind == FrameKind::Entry).then(|| (journal(of), position(seq)));
    let shows = vec![(journal(of), seq)];
    (device, What::Sent { link: 1, to, class: Stream::Ctl, kind, bytes: 100, entry, shows })
}

pub(crate) fn title(text: &str) -> Op {
    Op::Create(Plain::map([("title", Plain::Str(text.into()))]))
}
