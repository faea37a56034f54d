//! The scene of every test: Ada is attacked, Ben is linked with her and must not notice.

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::batch::CollectionKey;
use farshore_core::catalogue::CollectionDefinition;
use farshore_core::entropy::Entropy;
use farshore_core::entry::Entry;
use farshore_core::id::{DocumentId, JournalId, Position, SpaceId};
use farshore_core::input::{DocEdit, DocOp, LinkId, Request};
use farshore_core::output::{CollectionStatus, Event, Reply, Status};
use farshore_core::role::Role;
use farshore_core::roster::Roster;
use farshore_core::ticket::Ticket;
use farshore_core::value::Value;
use farshore_sim::World;

use crate::peer::{InWorld, Line, RawPeer, steal};

/// Device numbers.
pub(crate) const ADA: usize = 0;
pub(crate) const BEN: usize = 1;
pub(crate) const MALLORY: usize = 2;
pub(crate) const RITA: usize = 3;

pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) key: CollectionKey,
    pub(crate) honest: LinkId,
    edits: u64,
}

/// What a device said when it refused to go on with a journal.
pub(crate) type Rejected = (JournalId, u64, String);

impl Rig {
    /// Ada (admin), Ben (writer), Mallory (writer) and Rita (reader) share a space; Ada and Ben are linked and hold some
    /// documents. Mallory's and Rita's devices are off: their keys are for raw peers.
    pub(crate) fn new(seed: u64) -> Rig {
        Rig::with_role(seed, Role::Writer)
    }

    /// The same, with another role for Mallory.
    pub(crate) fn with_role(seed: u64, mallory: Role) -> Rig {
        let mut world = World::new(seed, 4);
        let now = world.now();
        let Reply::Space(space) = world.devices[ADA].ask(now, Request::CreateSpace { name: "home".into() }) else {
            panic!("a space is founded")
        };
        let definition = CollectionDefinition::new("todos");
        let Reply::Collection(collection) =
            world.devices[ADA].ask(now, Request::DefineCollection { space, definition })
        else {
            panic!("a collection is defined")
        };
        world.join(space, BEN, Role::Writer);
        world.join(space, MALLORY, mallory);
        world.join(space, RITA, Role::Reader);
        let honest = world.link(ADA, BEN);
        world.run();
        let mut rig = Rig { world, key: CollectionKey { space, collection }, honest, edits: 0 };
        rig.assert_undisturbed();
        rig
    }

    pub(crate) fn mallory(&self) -> RawPeer {
        steal(&self.world.devices[MALLORY], self.key)
    }

    pub(crate) fn rita(&self) -> RawPeer {
        steal(&self.world.devices[RITA], self.key)
    }

    /// The roster as a device keeps it.
    pub(crate) fn roster(&self, device: usize) -> Roster {
        let boot = self.world.devices[device].store.boot();
        let space = boot.spaces.iter().find(|space| space.space == self.key.space).unwrap();
        Roster::restore(space.roster.iter().map(Vec::as_slice)).unwrap()
    }

    /// Writes a new document on a device; returns its id.
    pub(crate) fn write(&mut self, device: usize) -> DocumentId {
        self.edits += 1;
        let mut id = [0xed; 16];
        id[..8].copy_from_slice(&self.edits.to_be_bytes());
        self.write_to(device, DocumentId(id), DocOp::Create(fields(&[("n", Value::Int(self.edits as i64))])));
        DocumentId(id)
    }

    pub(crate) fn write_to(&mut self, device: usize, document: DocumentId, op: DocOp) {
        self.world.write(device, self.key, vec![DocEdit { document, keyed: false, op }]);
        self.world.run();
    }

    /// Ada and Ben meet again after they were apart.
    pub(crate) fn meet(&mut self) {
        self.honest = self.world.link(ADA, BEN);
        self.world.run();
    }

    /// Mallory sends entries to a device over a line of their own, which does not mind.
    pub(crate) fn send_entries(&mut self, to: usize, entries: &[Entry]) {
        let line = self.mallory().meet(&mut self.world, to);
        for entry in entries {
            line.send_entry(&mut self.world, entry);
        }
        self.assert_open(&line);
        line.hang_up(&mut self.world);
    }

    pub(crate) fn value(&self, device: usize, document: DocumentId) -> Option<Value> {
        self.world.views(device, self.key).get(&document).map(|bytes| Value::decode(bytes).unwrap())
    }

    /// How far a device holds a peer's own journal.
    pub(crate) fn held(&self, device: usize, peer: &RawPeer) -> Position {
        let journals = self.world.devices[device].store.journals(self.key.space);
        journals.get(&peer.journal()).map_or(Position::START, |state| state.held)
    }

    /// Ben noticed nothing: his link is up and at rest, edits go both ways, and all views are equal.
    pub(crate) fn assert_undisturbed(&mut self) {
        let before = self.world.views(ADA, self.key);
        let (one, two) = (self.write(ADA), self.write(BEN));
        self.world.run();
        let views = self.world.views(ADA, self.key);
        assert_eq!(views, self.world.views(BEN, self.key), "Ada and Ben see different documents");
        assert!(views.contains_key(&one) && views.contains_key(&two), "an edit did not arrive");
        assert!(before.keys().all(|document| views.contains_key(document)), "a document is lost");
        for device in [ADA, BEN] {
            let status = self.status(device);
            let link = status.links.iter().find(|link| link.link == self.honest).expect("the honest link is up");
            assert_eq!(link.phase, "in sync", "device {device}");
            assert_eq!(status.unstored_batches, 0);
            let faults = self.world.devices[device].events.iter();
            let faulted: Vec<_> =
                faults.filter(|e| matches!(e, Event::PeerFault { link, .. } if *link == self.honest)).collect();
            assert!(faulted.is_empty(), "{faulted:?}");
        }
        self.assert_same_documents();
    }

    /// Heads, generations and changes, not only views.
    fn assert_same_documents(&self) {
        let of = |device: usize| -> BTreeMap<DocumentId, BTreeSet<Vec<u8>>> {
            let documents = self.world.devices[device].store.documents(self.key.space, self.key.collection);
            documents.into_iter().map(|(id, document)| (id, document.tail.into_iter().collect())).collect()
        };
        assert_eq!(of(ADA), of(BEN));
    }

    pub(crate) fn status(&mut self, device: usize) -> Status {
        let now = self.world.now();
        let Reply::Status(status) = self.world.devices[device].ask(now, Request::Status) else { panic!("a status") };
        *status
    }

    pub(crate) fn collection(&mut self, device: usize) -> CollectionStatus {
        let tag = self.key.collection;
        let status = self.status(device);
        let space = status.spaces.into_iter().find(|space| space.space == self.key.space).unwrap();
        space.collections.into_iter().find(|collection| collection.collection == tag).unwrap()
    }

    /// The device closed this very link, said why to the peer, to the app and to the log, in the same words.
    pub(crate) fn assert_faulted(&mut self, line: &Line, words: &str) {
        let reason = line.closed(&mut self.world).expect("the link is closed");
        assert!(reason.contains(words), "{reason:?} says nothing of {words:?}");
        let event = Event::PeerFault { link: line.link, fault: reason.clone() };
        assert!(self.world.devices[line.to].events.contains(&event));
        let last = line.received(&mut self.world).pop();
        let goodbye = farshore_core::wire::Frame::Goodbye { reason };
        assert_eq!(last, Some(goodbye));
        assert!(self.status(line.to).links.iter().all(|link| link.link != line.link));
    }

    pub(crate) fn assert_open(&mut self, line: &Line) {
        assert_eq!(line.closed(&mut self.world), None);
        assert!(self.status(line.to).links.iter().any(|link| link.link == line.link && link.device.is_some()));
    }

    pub(crate) fn rejected(&self, device: usize) -> Vec<Rejected> {
        let events = self.world.devices[device].events.iter();
        let rejected = events.filter_map(|event| match event {
            Event::JournalRejected { journal, seq, reason, .. } => Some((*journal, *seq, reason.clone())),
            _ => None,
        });
        rejected.collect()
    }

    /// Ada and Ben both closed this journal, at the same place and for the same reason; returns the reason.
    pub(crate) fn assert_rejected(&self, journal: JournalId, seq: u64) -> String {
        let of = |device: usize| -> Vec<Rejected> {
            self.rejected(device).into_iter().filter(|(rejected, ..)| *rejected == journal).collect()
        };
        let [(_, at, reason)] = &of(ADA)[..] else { panic!("Ada closed it {} times", of(ADA).len()) };
        assert_eq!(*at, seq);
        assert_eq!(of(ADA), of(BEN));
        reason.clone()
    }

    pub(crate) fn invite(&mut self, role: Role, expires_in_s: u64) -> (String, Ticket) {
        let now = self.world.now();
        let peer = self.world.devices[ADA].replica.identity().transport_peer();
        let (space, expires_unix_s) = (self.key.space, now.wall_ms / 1000 + expires_in_s);
        let invite = Request::Invite { space, role, expires_unix_s, peer, addresses: vec!["/memory/0".into()] };
        let Reply::Ticket(text) = self.world.devices[ADA].ask(now, invite) else { panic!("a ticket is given") };
        let ticket = Ticket::parse(&text).unwrap();
        (text, ticket)
    }

    pub(crate) fn members(&mut self, device: usize, space: SpaceId) -> usize {
        self.status(device).spaces.iter().find(|known| known.space == space).map_or(0, |known| known.members.len())
    }
}

pub(crate) fn fields(fields: &[(&str, Value)]) -> Value {
    Value::Map(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

/// A value of bytes that nothing compresses.
pub(crate) fn incompressible(length: usize) -> Value {
    let mut bytes = vec![0; length];
    Entropy::from_seed(&[1; 32], "incompressible").fill(&mut bytes);
    Value::Bytes(bytes)
}
