//! A peer that skips our API: it holds real keys, speaks frames by hand, and can say anything.

use farshore_core::batch::CollectionKey;
use farshore_core::bytes::Reader;
use farshore_core::document::derived_actor;
use farshore_core::entropy::Entropy;
use farshore_core::entry::{Entry, Group, Header};
use farshore_core::id::{DeviceId, DocumentId, EpochId, Incarnation, JournalId, Position, StoreId};
use farshore_core::input::{Class, Input, LinkId};
use farshore_core::keys::{DeviceCertificate, DeviceKeys, UserKey};
use farshore_core::payload::{self, Item};
use farshore_core::roster::Roster;
use farshore_core::seal::{self, EpochKey};
use farshore_core::ticket::{self, Ticket, Transcript};
use farshore_core::time::HybridTime;
use farshore_core::wire::{Frame, Handle, Hello, State, auth_message};
use farshore_sim::{Device, World};

/// The label under which a device proves itself: written here a second time, so that a change of it is noticed.
const AUTH_LABEL: &str = "farshore hello v1";

/// Who the peer is and what it knows.
pub(crate) struct RawPeer {
    pub(crate) keys: DeviceKeys,
    pub(crate) certificate: Vec<u8>,
    pub(crate) transport: Vec<u8>,
    pub(crate) store: StoreId,
    /// What a member of the space knows; a stranger knows nothing.
    pub(crate) access: Option<Access>,
    /// This peer's own journal: its life, and where it ends.
    pub(crate) incarnation: Incarnation,
    pub(crate) end: Position,
    entropy: Entropy,
}

/// A member's knowledge of a space.
pub(crate) struct Access {
    pub(crate) key: CollectionKey,
    pub(crate) roster: Roster,
    pub(crate) epoch: EpochId,
    pub(crate) secret: EpochKey,
}

/// A device's user key, own keys and name, as they lie on its disk.
fn secrets(device: &Device) -> (UserKey, DeviceKeys, String) {
    let boot = device.store.boot();
    let (_, identity) = boot.meta.iter().find(|(name, _)| name == "identity").unwrap();
    let mut r = Reader::new(identity);
    assert_eq!(r.u8("version").unwrap(), 1);
    let name = r.text(256, "name").unwrap().to_owned();
    let user = UserKey::from_secret_bytes(r.bytes(128, "user key").unwrap()).unwrap();
    let keys = DeviceKeys::from_secret_bytes(r.bytes(128, "device keys").unwrap()).unwrap();
    (user, keys, name)
}

/// The keys of a device, stolen from its disk.
pub(crate) fn device_keys(device: &Device) -> DeviceKeys {
    secrets(device).1
}

/// One connection of a raw peer to a device.
pub(crate) struct Line {
    pub(crate) link: LinkId,
    pub(crate) to: usize,
    pub(crate) mine: Hello,
    pub(crate) theirs: Option<Hello>,
    pub(crate) handle: Handle,
}

impl RawPeer {
    /// Nobody: fresh keys that no roster names.
    pub(crate) fn stranger(seed: u8) -> RawPeer {
        let mut entropy = Entropy::from_seed(&[seed; 32], "raw peer");
        let (user, keys) = (UserKey::generate(&mut entropy), DeviceKeys::generate(&mut entropy));
        let certificate = DeviceCertificate::issue(&user, &keys, "stranger").unwrap().encode();
        let (store, incarnation) = (StoreId(entropy.array()), Incarnation(entropy.array()));
        let transport = entropy.array::<38>().to_vec();
        RawPeer { keys, certificate, transport, store, access: None, incarnation, end: Position::START, entropy }
    }

    /// Takes over a device: reads its keys and its space from its disk, as malware would.
    pub(crate) fn steal(device: &Device, key: CollectionKey) -> RawPeer {
        let (boot, (user, keys, name)) = (device.store.boot(), secrets(device));
        let space = boot.spaces.iter().find(|space| space.space == key.space).unwrap();
        let roster = Roster::restore(space.roster.iter().map(Vec::as_slice)).unwrap();
        let ring = roster.unlock(&keys);
        let epoch = roster.current_epoch(&ring).unwrap();
        let secret = ring[&epoch].clone();
        let certificate = DeviceCertificate::issue(&user, &keys, &name).unwrap().encode();
        RawPeer {
            certificate,
            transport: device.replica.identity().transport_peer(),
            access: Some(Access { key, roster, epoch, secret }),
            keys,
            ..RawPeer::stranger(name.as_bytes()[0])
        }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.keys.id()
    }

    pub(crate) fn access(&self) -> &Access {
        self.access.as_ref().unwrap()
    }

    /// Connects, and says nothing yet.
    pub(crate) fn connect(&mut self, world: &mut World, to: usize) -> Line {
        let link = world.link_outside(to, self.transport.clone());
        let mine = self.hello();
        let mut line = Line { link, to, mine, theirs: None, handle: Handle([0; 8]) };
        for frame in line.received(world) {
            if let Frame::Hello(hello) = frame {
                line.theirs = Some(hello);
            }
        }
        line
    }

    pub(crate) fn hello(&mut self) -> Hello {
        let (nonce, store, device) = (self.entropy.array(), self.store, self.id());
        Hello { min_version: 1, max_version: 1, features: 0, nonce, store, device }
    }

    /// The proof that this peer's device is on that connection.
    pub(crate) fn proof(&self, world: &World, line: &Line) -> [u8; 64] {
        let their_peer = world.devices[line.to].replica.identity().transport_peer();
        let theirs = line.theirs.as_ref().unwrap();
        self.keys.sign(AUTH_LABEL, &auth_message(&self.transport, &their_peer, &line.mine, theirs))
    }

    /// Connects and proves the device, as an honest peer does.
    pub(crate) fn greet(&mut self, world: &mut World, to: usize) -> Line {
        let line = self.connect(world, to);
        line.send(world, &Frame::Hello(line.mine.clone()));
        let signature = self.proof(world, &line);
        line.send(world, &Frame::Auth { signature });
        line
    }

    /// Connects, proves the device and finds the space, as an honest member does; entries may follow.
    pub(crate) fn meet(&mut self, world: &mut World, to: usize) -> Line {
        let mut line = self.greet(world, to);
        let secret = &self.access().secret;
        let (mine, theirs) = (line.mine.nonce, line.theirs.as_ref().unwrap().nonce);
        let tag = seal::discovery_tag(secret, &mine.min(theirs), &mine.max(theirs));
        line.handle.0.copy_from_slice(&tag[..8]);
        line.send(world, &Frame::Spaces { tags: vec![seal::discovery_tag(secret, &mine, &theirs)] });
        assert_eq!(line.closed(world), None);
        line
    }

    /// A state of this peer; by default one that equals nothing.
    pub(crate) fn state(&self, line: &Line, fresh: bool) -> State {
        let roster = self.access().roster.digest();
        let seen_store = StoreId([0; 16]);
        State { handle: line.handle, fresh, roster, frontier: [7; 32], few: true, arrival: 1, seen_store, seen: 0 }
    }

    pub(crate) fn journal(&self) -> JournalId {
        let collection = self.access().key.collection;
        JournalId { collection, device: self.id(), incarnation: self.incarnation }
    }

    /// Starts a new journal of this peer.
    pub(crate) fn new_journal(&mut self) {
        self.incarnation = Incarnation(self.entropy.array());
        self.end = Position::START;
    }

    /// The actor that this peer's changes of a document must have.
    pub(crate) fn actor(&self, document: DocumentId, generation: u32) -> [u8; 16] {
        let key = self.access().key;
        derived_actor(key.space, key.collection, self.id(), document, generation, self.incarnation)
    }

    /// The header of the next entry.
    pub(crate) fn header(&self) -> Header {
        let access = self.access();
        Header {
            space: access.key.space,
            journal: self.journal(),
            seq: self.end.seq + 1,
            prev: self.end.hash,
            group: Group { first: self.end.seq + 1, count: 1 },
            epoch: access.epoch,
            time: HybridTime(1),
            roster_heads: access.roster.heads(),
            deps: Vec::new(),
            sealed_len: 0,
            sealed_hash: [0; 32],
        }
    }

    /// Seals a payload as it is and signs the entry with this peer's key, whatever the header says.
    pub(crate) fn sign(&self, header: Header, payload: &[u8]) -> Entry {
        let access = self.access();
        let key = seal::content_key(&access.secret, &header.journal.collection);
        let sealed = seal::seal(&key, &header.bound_bytes(), payload);
        Entry::sign(header, &sealed, &self.keys)
    }

    /// The next entry of this peer's journal.
    pub(crate) fn entry(&mut self, items: &[Item]) -> Entry {
        self.entry_with(items, |_| {})
    }

    /// The same, with a header that was altered before it was sealed and signed.
    pub(crate) fn entry_with(&mut self, items: &[Item], alter: impl FnOnce(&mut Header)) -> Entry {
        let mut header = self.header();
        alter(&mut header);
        let entry = self.sign(header, &payload::encode(items).unwrap());
        self.end = entry.position();
        entry
    }

    /// The frame that takes up an invitation.
    pub(crate) fn join(&self, world: &World, line: &Line, ticket: &Ticket) -> Frame {
        let victim = world.devices[line.to].replica.identity();
        let transcript = Transcript {
            space: ticket.space,
            joiner_peer: self.transport.clone(),
            inviter_peer: victim.transport_peer(),
            joiner_nonce: line.mine.nonce,
            inviter_nonce: line.theirs.as_ref().unwrap().nonce,
            joiner_device: self.id(),
            inviter_device: victim.device,
            joiner_certificate: self.certificate.clone(),
        };
        let mac = ticket::join_mac(&ticket.secret, &transcript);
        Frame::Join { ticket: ticket.id(), certificate: self.certificate.clone(), mac }
    }
}

impl Line {
    /// Sends a frame on the stream where it belongs; entries go on the live one.
    pub(crate) fn send(&self, world: &mut World, frame: &Frame) {
        let class = match frame {
            Frame::RosterOp { .. } | Frame::RosterEnd { .. } | Frame::Grant { .. } => Class::Live,
            Frame::Entry { .. } | Frame::Part { .. } => Class::Live,
            _ => Class::Ctl,
        };
        self.send_bytes(world, class, frame.encode());
    }

    /// Sends any bytes, and lets the world come to rest.
    pub(crate) fn send_bytes(&self, world: &mut World, class: Class, bytes: Vec<u8>) {
        world.inject(self.link, self.to, class, bytes);
        world.run();
    }

    /// Sends an entry, in parts if it is large.
    pub(crate) fn send_entry(&self, world: &mut World, entry: &Entry) {
        let (handle, bytes) = (self.handle, entry.as_bytes());
        if bytes.len() < 60_000 {
            return self.send(world, &Frame::Entry { handle, bytes: bytes.to_vec() });
        }
        let total = bytes.len() as u32;
        for (index, part) in bytes.chunks(60_000).enumerate() {
            let part =
                Frame::Part { handle, hash: entry.hash, total, offset: index as u32 * 60_000, bytes: part.to_vec() };
            self.send_bytes(world, Class::Bulk, part.encode());
        }
    }

    /// Takes the frames that the device sent since the last call.
    pub(crate) fn received(&self, world: &mut World) -> Vec<Frame> {
        let frames = std::mem::take(&mut world.outside(self.link).unwrap().frames);
        frames.iter().map(|(class, bytes)| Frame::decode(*class, bytes).unwrap()).collect()
    }

    /// Why the device closed the connection, if it did.
    pub(crate) fn closed(&self, world: &mut World) -> Option<String> {
        world.outside(self.link).unwrap().closed.clone()
    }

    /// The transport loses the connection.
    pub(crate) fn hang_up(&self, world: &mut World) {
        let now = world.now();
        world.devices[self.to].input(now, Input::LinkDown { link: self.link });
        world.run();
    }
}
