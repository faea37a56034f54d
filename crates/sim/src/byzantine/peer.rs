//! A peer that skips our API: it holds real keys, makes frames and entries by hand, and can say anything.
//!
//! It carries nothing itself: a run gives it links ([`crate::run`]), a test gives it a scene (`tests/hostile`).

use farshore_core::batch::{Boot, CollectionKey};
use farshore_core::bytes::Reader;
use farshore_core::document::derived_actor;
use farshore_core::entropy::Entropy;
use farshore_core::entry::{Entry, Group, Header};
use farshore_core::id::{DeviceId, DocumentId, EpochId, Incarnation, JournalId, Position, StoreId};
use farshore_core::keys::{DeviceCertificate, DeviceKeys, UserKey};
use farshore_core::payload::{self, Item};
use farshore_core::roster::Roster;
use farshore_core::seal::{self, EpochKey};
use farshore_core::time::HybridTime;
use farshore_core::wire::{Handle, Hello, State, auth_message};

/// The label under which a device proves itself: written here a second time, so that a change of it is noticed.
const AUTH_LABEL: &str = "farshore hello v1";

/// Who the peer is and what it knows.
pub struct RawPeer {
    /// The device's keys.
    pub keys: DeviceKeys,
    /// Its certificate.
    pub certificate: Vec<u8>,
    /// The transport's peer id.
    pub transport: Vec<u8>,
    /// Its store.
    pub store: StoreId,
    /// What a member of the space knows; a stranger knows nothing.
    pub access: Option<Access>,
    /// What it says that it knows beyond the first version of the protocol ([`farshore_core::wire::feature`]).
    pub features: u64,
    /// This peer's own journal: its life.
    pub incarnation: Incarnation,
    /// Where that journal ends.
    pub end: Position,
    /// Its chance.
    pub entropy: Entropy,
}

impl std::fmt::Debug for RawPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawPeer").field("device", &self.id()).field("end", &self.end).finish_non_exhaustive()
    }
}

/// A member's knowledge of a space.
pub struct Access {
    /// The space, and the collection that the peer writes in.
    pub key: CollectionKey,
    /// Who is a member.
    pub roster: Roster,
    /// The present key epoch.
    pub epoch: EpochId,
    /// Its key.
    pub secret: EpochKey,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A device's user key, own keys and name, as they lie on its disk. `None` if they do not.
pub fn secrets(boot: &Boot) -> Option<(UserKey, DeviceKeys, String)> {
    let (_, identity) = boot.meta.iter().find(|(name, _)| name == "identity")?;
    let mut r = Reader::new(identity);
    if r.u8("version").ok()? != 1 {
        return None;
    }
    let name = r.text(256, "name").ok()?.to_owned();
    let user = UserKey::from_secret_bytes(r.bytes(128, "user key").ok()?).ok()?;
    let keys = DeviceKeys::from_secret_bytes(r.bytes(128, "device keys").ok()?).ok()?;
    Some((user, keys, name))
}

impl RawPeer {
    /// Nobody: fresh keys that no roster names.
    ///
    /// # Panics
    /// Never: the certificate's name is short enough.
    pub fn stranger(seed: u8) -> RawPeer {
        let mut entropy = Entropy::from_seed(&[seed; 32], "raw peer");
        let (user, keys) = (UserKey::generate(&mut entropy), DeviceKeys::generate(&mut entropy));
        let certificate = DeviceCertificate::issue(&user, &keys, "stranger").expect("a short name").encode();
        let (store, incarnation) = (StoreId(entropy.array()), Incarnation(entropy.array()));
        let transport = entropy.array::<38>().to_vec();
        RawPeer {
            keys,
            certificate,
            transport,
            store,
            access: None,
            features: 0,
            incarnation,
            end: Position::START,
            entropy,
        }
    }

    /// Takes over a device: reads its keys and its space from its disk, as malware would. `None` if it is no member.
    pub fn steal(boot: &Boot, transport: Vec<u8>, key: CollectionKey) -> Option<RawPeer> {
        let (user, keys, name) = secrets(boot)?;
        let space = boot.spaces.iter().find(|space| space.space == key.space)?;
        let roster = Roster::restore(space.roster.iter().map(Vec::as_slice)).ok()?;
        let ring = roster.unlock(&keys);
        let epoch = roster.current_epoch(&ring)?;
        let secret = ring[&epoch].clone();
        let certificate = DeviceCertificate::issue(&user, &keys, &name).ok()?.encode();
        let access = Some(Access { key, roster, epoch, secret });
        Some(RawPeer { certificate, transport, access, keys, ..RawPeer::stranger(name.as_bytes()[name.len() - 1]) })
    }

    /// The device.
    pub fn id(&self) -> DeviceId {
        self.keys.id()
    }

    /// What it knows of the space.
    ///
    /// # Panics
    /// For a stranger: a scenario's mistake.
    pub fn access(&self) -> &Access {
        self.access.as_ref().expect("a member knows its space")
    }

    /// A greeting with a nonce of its own.
    pub fn hello(&mut self) -> Hello {
        let (nonce, store, device) = (self.entropy.array(), self.store, self.id());
        Hello { min_version: 1, max_version: 1, features: self.features, nonce, store, device }
    }

    /// The proof that this peer's device is on the connection on which these greetings were said.
    pub fn proof_for(&self, mine: &Hello, theirs: &Hello, their_peer: &[u8]) -> [u8; 64] {
        self.keys.sign(AUTH_LABEL, &auth_message(&self.transport, their_peer, mine, theirs))
    }

    /// The tag that offers the space on that connection, and the space's handle there.
    pub fn tag_and_handle(&self, mine: &Hello, theirs: &Hello) -> ([u8; 16], Handle) {
        let (secret, mine, theirs) = (&self.access().secret, mine.nonce, theirs.nonce);
        let tag = seal::discovery_tag(secret, &mine.min(theirs), &mine.max(theirs));
        let mut handle = Handle([0; 8]);
        handle.0.copy_from_slice(&tag[..8]);
        (seal::discovery_tag(secret, &mine, &theirs), handle)
    }

    /// A state of this peer; by default one that equals nothing.
    pub fn state(&self, handle: Handle, fresh: bool) -> State {
        let roster = self.access().roster.digest();
        let seen_store = StoreId([0; 16]);
        State { handle, fresh, scope: 0, roster, frontier: [7; 32], few: true, arrival: 1, seen_store, seen: 0 }
    }

    /// The journal that it writes.
    pub fn journal(&self) -> JournalId {
        let collection = self.access().key.collection;
        JournalId { collection, device: self.id(), incarnation: self.incarnation }
    }

    /// Starts a new journal of this peer.
    pub fn new_journal(&mut self) {
        self.incarnation = Incarnation(self.entropy.array());
        self.end = Position::START;
    }

    /// The actor that this peer's changes of a document must have.
    pub fn actor(&self, document: DocumentId, generation: u32) -> [u8; 16] {
        let key = self.access().key;
        derived_actor(key.space, key.collection, self.id(), document, generation, self.incarnation)
    }

    /// The header of the next entry.
    pub fn header(&self) -> Header {
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
    pub fn sign(&self, header: Header, payload: &[u8]) -> Entry {
        let access = self.access();
        let key = seal::content_key(&access.secret, &header.journal.collection);
        let sealed = seal::seal(&key, &header.bound_bytes(), payload);
        Entry::sign(header, &sealed, &self.keys)
    }

    /// The next entry of this peer's journal.
    pub fn entry(&mut self, items: &[Item]) -> Entry {
        self.entry_with(items, |_| {})
    }

    /// The same, with a header that was altered before it was sealed and signed.
    ///
    /// # Panics
    /// When the items do not fit an entry: a scenario's mistake.
    pub fn entry_with(&mut self, items: &[Item], alter: impl FnOnce(&mut Header)) -> Entry {
        let mut header = self.header();
        alter(&mut header);
        let entry = self.sign(header, &payload::encode(items).expect("the items fit an entry"));
        self.end = entry.position();
        entry
    }
}
