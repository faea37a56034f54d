//! Checkpoints by an admin's stolen device: whatever is wrong with one, nothing of it reaches a document.

use farshore_core::batch::{CollectionKey, Load, Loaded};
use farshore_core::checkpoint::chunk::{self, Segment};
use farshore_core::checkpoint::{Attestation, ChunkInfo, Contents, Draft, Manifest, Statement, open_chunk, seal_chunk};
use farshore_core::document::{Edit, Step};
use farshore_core::id::DocumentId;
use farshore_core::input::{Class, DocEdit, DocOp, Request};
use farshore_core::output::{CheckpointMade, Event, Reply};
use farshore_core::payload::PackedChange;
use farshore_core::role::Role;
use farshore_core::seal;
use farshore_core::value::Value;
use farshore_core::wire::{CheckpointPiece, Fetch, Frame, Frontier, Held, Offer};
use farshore_sim::World;

use crate::peer::{InWorld, Line, RawPeer, steal};
use crate::rig::fields;

/// Device 2 knows nothing yet; device 0's keys are stolen, and its checkpoint is known part by part.
struct Scene {
    world: World,
    key: CollectionKey,
    admin: RawPeer,
    parts: Vec<Vec<u8>>,
}

const NEWCOMER: usize = 2;

fn scene(seed: u64) -> Scene {
    let mut world = World::new(seed, 3);
    let key = world.found("home", "texts", Role::Writer);
    let ask = |world: &mut World, op: DocOp| {
        let edits = vec![DocEdit { document: DocumentId([1; 16]), keyed: false, op }];
        let now = world.now();
        world.devices[0].ask(now, Request::Edit { space: key.space, collection: key.collection, edits });
    };
    ask(&mut world, DocOp::Create(fields(&[("text", Value::Text(String::new()))])));
    for at in 0..60 {
        let path = vec![Step::Key("text".into())];
        ask(&mut world, DocOp::Edit(vec![Edit::Splice { path, at, delete: 0, insert: "x".into() }]));
    }
    let now = world.now();
    let request = Request::Checkpoint { space: key.space, collection: key.collection };
    let Reply::Checkpoint(CheckpointMade { chunks, .. }) = world.devices[0].ask(now, request) else { panic!("made") };
    let boot = world.devices[0].store.boot();
    let slot = boot.spaces[0].checkpoints[0].1;
    let part = |part| match world.devices[0].store.load(&Load::Part { slot, part }) {
        Loaded::Part(Some(bytes)) => bytes,
        other => panic!("{other:?}"),
    };
    let parts = (0..=chunks).map(part).collect();
    let admin = steal(&world.devices[0], key);
    Scene { world, key, admin, parts }
}

impl Scene {
    fn content_key(&self) -> seal::ContentKey {
        seal::content_key(&self.admin.access().secret, &self.key.collection)
    }

    fn manifest(&self) -> Manifest {
        Manifest::decode(&self.parts[0]).unwrap()
    }

    fn statement(&self) -> Statement {
        self.manifest().signed.head.statement.clone()
    }

    fn contents(&self) -> Contents {
        self.manifest().open(&self.content_key()).unwrap()
    }

    fn segments(&self) -> Vec<Segment> {
        let plain = open_chunk(&self.content_key(), &self.statement(), 0, &self.parts[1]).unwrap();
        chunk::decode(&plain).unwrap()
    }

    /// Makes another checkpoint of it, properly signed and sealed.
    fn remake(
        &mut self,
        statement: Statement,
        segments: &[Segment],
        closings: Option<Vec<farshore_core::entry::Closing>>,
    ) {
        let (key, head) = (self.content_key(), self.manifest().signed.head.clone());
        let sealed = seal_chunk(&key, &statement, 0, &chunk::encode(segments).unwrap());
        let chunk = ChunkInfo { hash: *blake3::hash(&sealed).as_bytes(), length: sealed.len() as u32 };
        let closings = closings.unwrap_or_else(|| self.contents().closings);
        let contents = Contents { closings, chunks: vec![chunk] };
        let draft = Draft { statement, epoch: head.epoch, time: head.time, entry_bytes: head.entry_bytes };
        let manifest = Manifest::make(draft, &contents, &key, &self.admin.keys).unwrap();
        self.parts = vec![manifest.as_bytes().to_vec(), sealed];
    }

    /// Meets the newcomer, and offers the checkpoint with these words for it.
    fn offer(&mut self, attestations: Vec<Attestation>) -> Line {
        let line = self.admin.meet(&mut self.world, NEWCOMER);
        let state = self.admin.state_on(&line, true);
        line.send(&mut self.world, &Frame::State(state));
        let (handle, head) = (line.handle, self.manifest().signed.as_bytes().to_vec());
        line.send(&mut self.world, &Frame::Checkpoint(Offer { handle, head, attestations }));
        let positions = self.contents().frontier().into_iter().map(Held::from).collect();
        let frontier = Frontier { handle, answer: true, more: false, arrival: 1, positions };
        line.send(&mut self.world, &Frame::Frontier(frontier));
        line
    }

    fn attested(&mut self) -> Line {
        let attestation = Attestation::sign(&self.statement(), &self.admin.keys);
        self.offer(vec![attestation])
    }

    /// What the newcomer asks for.
    fn asked(&mut self, line: &Line) -> Vec<Fetch> {
        let frames = line.received(&mut self.world).into_iter();
        let fetches = frames.filter_map(|frame| match frame {
            Frame::Fetch(fetch) => Some(fetch),
            _ => None,
        });
        fetches.collect()
    }

    fn send(&mut self, line: &Line, part: u32, bytes: &[u8]) {
        let (handle, id) = (line.handle, self.manifest().signed.id);
        let total = bytes.len() as u32;
        let piece = CheckpointPiece { handle, id, part, total, offset: 0, bytes: bytes.to_vec() };
        line.send_bytes(&mut self.world, Class::Bulk, Frame::CheckpointPiece(piece).encode());
    }

    fn send_all(&mut self, line: &Line) {
        for part in 0..self.parts.len() {
            let bytes = self.parts[part].clone();
            self.send(line, part as u32, &bytes);
        }
    }

    fn refused(&self) -> Vec<String> {
        let events = self.world.devices[NEWCOMER].events.iter();
        let reasons = events.filter_map(|event| match event {
            Event::CheckpointRefused { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        reasons.collect()
    }

    /// Nothing of the checkpoint is anywhere; and what device 0 really holds comes all the same.
    fn assert_unharmed(&mut self, line: &Line) {
        assert!(self.world.views(NEWCOMER, self.key).is_empty());
        assert!(self.world.devices[NEWCOMER].store.documents(self.key.space, self.key.collection).is_empty());
        line.hang_up(&mut self.world);
        self.world.link(0, NEWCOMER);
        self.world.run();
        assert_eq!(self.world.views(NEWCOMER, self.key), self.world.views(0, self.key));
        assert_eq!(self.world.views(0, self.key).len(), 1);
    }
}

#[test]
fn a_sound_checkpoint_by_hand_is_taken() {
    let mut scene = scene(80);
    let line = scene.attested();
    assert_eq!(scene.asked(&line).iter().map(|fetch| (fetch.part, fetch.last)).collect::<Vec<_>>(), [(0, 0)]);
    scene.send_all(&line);
    assert_eq!(scene.world.views(NEWCOMER, scene.key), scene.world.views(0, scene.key));
    assert_eq!(scene.refused(), Vec::<String>::new());
}

#[test]
fn a_wrong_chunk_costs_the_link_and_nothing_else() {
    for wrong in [0, 1] {
        let mut scene = scene(81 + wrong as u64);
        let line = scene.attested();
        if wrong == 1 {
            let manifest = scene.parts[0].clone();
            scene.send(&line, 0, &manifest);
        }
        let mut bytes = scene.parts[wrong].clone();
        *bytes.last_mut().unwrap() ^= 1;
        scene.send(&line, wrong as u32, &bytes);
        let reason = line.closed(&mut scene.world).expect("the link is closed");
        assert!(reason.contains("another checkpoint"), "{reason}");
        scene.assert_unharmed(&line);
    }
}

#[test]
fn a_wrong_signature_costs_the_link() {
    let mut scene = scene(83);
    let mut attestation = Attestation::sign(&scene.statement(), &scene.admin.keys);
    attestation.signature[0] ^= 1;
    let line = scene.offer(vec![attestation]);
    let reason = line.closed(&mut scene.world).expect("the link is closed");
    assert!(reason.contains("wrong signature"), "{reason}");
    scene.assert_unharmed(&line);
}

#[test]
fn a_state_root_that_the_documents_do_not_give_is_refused_before_any_document_is_touched() {
    let mut scene = scene(84);
    let (statement, segments) = (scene.statement(), scene.segments());
    scene.remake(Statement { root: [9; 32], ..statement }, &segments, None);
    let line = scene.attested();
    scene.send_all(&line);
    assert!(scene.refused()[0].contains("state root"), "{:?}", scene.refused());
    assert_eq!(line.closed(&mut scene.world), None, "who passes it on need not know");
    assert_eq!(scene.world.devices[NEWCOMER].store.parts(), 0);
    scene.assert_unharmed(&line);
}

#[test]
fn a_change_that_the_validator_refuses_never_reaches_a_document_however_well_it_is_attested() {
    type Spoiler = fn(&mut Vec<Segment>);
    let spoilers: [(Spoiler, &str); 4] = [
        (
            |segments| {
                let PackedChange::Derived(bytes) = &mut segments[0].changes[3] else { panic!("derived") };
                *bytes = vec![1, 0xff, 0xff, 0xff];
            },
            "document",
        ),
        (|segments| segments[0].changes.swap(3, 4), "document"),
        (|segments| segments[0].runs[0].journal = 7, "journal"),
        (|segments| segments[0].runs[2].seq = 1_000_000, "beyond the frontier"),
    ];
    for (at, (spoil, words)) in spoilers.into_iter().enumerate() {
        let mut scene = scene(85 + at as u64);
        let (statement, mut segments) = (scene.statement(), scene.segments());
        spoil(&mut segments);
        scene.remake(statement, &segments, None);
        let line = scene.attested();
        scene.send_all(&line);
        assert!(scene.refused()[0].contains(words), "{at}: {:?}", scene.refused());
        scene.assert_unharmed(&line);
    }
}

#[test]
fn a_frontier_that_its_authors_did_not_sign_is_refused() {
    let mut scene = scene(90);
    let (statement, segments, mut contents) = (scene.statement(), scene.segments(), scene.contents());
    let mut bytes = contents.closings[0].as_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    contents.closings[0] = farshore_core::entry::Closing::decode(&bytes).unwrap();
    scene.remake(statement, &segments, Some(contents.closings));
    let line = scene.attested();
    scene.send_all(&line);
    assert!(scene.refused()[0].contains("not signed by its author"), "{:?}", scene.refused());
    scene.assert_unharmed(&line);
}

#[test]
fn pieces_that_nobody_asked_for_are_dropped_and_their_credit_comes_back() {
    let mut scene = scene(91);
    let line = scene.attested();
    scene.asked(&line);
    // Credit is said when a quarter of the window is due.
    for part in [1, 2, 65_536, 1, 2] {
        scene.send(&line, part, &[7; 60_000]);
    }
    let credited: u64 = line
        .received(&mut scene.world)
        .iter()
        .map(|frame| match frame {
            Frame::Credit { bytes, .. } => u64::from(*bytes),
            _ => 0,
        })
        .sum();
    assert_eq!(credited, 300_000);
    assert_eq!(line.closed(&mut scene.world), None);
    scene.send_all(&line);
    assert_eq!(scene.world.views(NEWCOMER, scene.key), scene.world.views(0, scene.key));
}

#[test]
fn a_peer_that_offers_a_checkpoint_and_sends_nothing_of_it_is_left_for_one_that_has_the_entries() {
    let mut scene = scene(92);
    let line = scene.attested();
    assert_eq!(scene.asked(&line).len(), 1);
    // While it is waited for, nothing is asked twice.
    let honest = scene.world.link(1, NEWCOMER);
    scene.world.run();
    assert!(scene.world.views(NEWCOMER, scene.key).is_empty());
    scene.world.link(0, 1);
    scene.world.run();
    scene.world.pass(31_000);
    scene.world.pass(31_000);
    assert_eq!(scene.world.views(NEWCOMER, scene.key), scene.world.views(0, scene.key));
    assert_eq!(scene.world.views(0, scene.key).len(), 1);
    assert_eq!(line.closed(&mut scene.world), None);
    scene.world.cut(honest);
}
