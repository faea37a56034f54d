//! Who a device is: its keys, its user's key, this life of its store, and its transport's key.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::durable::Effect;
use super::{OpenError, Replica};
use crate::batch::StoreOp;
use crate::bytes::{DecodeError, Reader, Writer};
use crate::entropy::Entropy;
use crate::id::{DeviceId, Incarnation, StoreId, UserId};
use crate::keys::{DeviceCertificate, DeviceKeys, UserKey};
use crate::limits::{CERTIFICATE_BYTES, NAME_BYTES};
use crate::output::Event;
use crate::time::HybridTime;

const META_IDENTITY: &str = "identity";
const META_INCARNATION: &str = "incarnation";
const META_CLOCK: &str = "clock";
const IDENTITY_VERSION: u8 = 1;
/// No secret of ours is longer.
const SECRET_BYTES: usize = 128;

/// Who this device is. Secrets stay inside and are wiped when dropped.
#[derive(Debug)]
pub struct Identity {
    /// The device.
    pub device: DeviceId,
    /// Its user.
    pub user: UserId,
    /// What it calls itself.
    pub name: String,
    /// This life of the store.
    pub incarnation: Incarnation,
    /// The store.
    pub store: StoreId,
    pub(super) keys: Arc<DeviceKeys>,
    pub(super) user_key: UserKey,
    pub(super) certificate: DeviceCertificate,
    transport_seed: Zeroizing<[u8; 32]>,
}

/// What a new store is given first.
#[derive(Debug)]
pub struct NewIdentity {
    /// The store's id.
    pub store: StoreId,
    /// The operations to apply to the empty store.
    pub ops: Vec<StoreOp>,
}

impl NewIdentity {
    /// Makes a user, a device and a store from fresh randomness.
    ///
    /// # Errors
    /// The name is empty or too long.
    pub fn create(seed: [u8; 32], name: &str) -> Result<NewIdentity, DecodeError> {
        check_name(name)?;
        let mut entropy = Entropy::from_seed(&seed, "farshore v1 identity");
        let (user_key, keys) = (UserKey::generate(&mut entropy), DeviceKeys::generate(&mut entropy));
        let mut identity = Identity::new(user_key, keys, name, entropy.array())?;
        identity.incarnation = Incarnation(entropy.array());
        identity.store = StoreId(entropy.array());
        Ok(NewIdentity { store: identity.store, ops: identity.ops() })
    }
}

impl Identity {
    fn new(user_key: UserKey, keys: DeviceKeys, name: &str, transport_seed: [u8; 32]) -> Result<Identity, DecodeError> {
        let certificate = certify(&user_key, &keys, name)?;
        Ok(Identity {
            device: keys.id(),
            user: user_key.id(),
            name: name.to_owned(),
            incarnation: Incarnation([0; 16]),
            store: StoreId([0; 16]),
            keys: Arc::new(keys),
            user_key,
            certificate,
            transport_seed: Zeroizing::new(transport_seed),
        })
    }

    /// Seed of the Ed25519 key that the transport uses: the store's own, apart from the device key, and rotatable.
    pub fn transport_seed(&self) -> &[u8; 32] {
        &self.transport_seed
    }

    fn ops(&self) -> Vec<StoreOp> {
        let mut w = Writer::new();
        w.u8(IDENTITY_VERSION).text(&self.name);
        w.bytes(&self.user_key.to_secret_bytes()).bytes(&self.keys.to_secret_bytes()).raw(&*self.transport_seed);
        vec![StoreOp::PutMeta { name: META_IDENTITY.into(), value: w.finish() }, self.incarnation_op()]
    }

    fn incarnation_op(&self) -> StoreOp {
        let mut w = Writer::new();
        w.raw(&self.incarnation.0).raw(&self.store.0);
        StoreOp::PutMeta { name: META_INCARNATION.into(), value: w.finish() }
    }

    pub(super) fn read(meta: &[(String, Vec<u8>)]) -> Result<Identity, OpenError> {
        let damaged = |error| OpenError::Damaged { what: "identity", error };
        let mut identity = Self::read_keys(find(meta, META_IDENTITY).ok_or(OpenError::NoIdentity)?).map_err(damaged)?;
        let mut r = Reader::new(find(meta, META_INCARNATION).ok_or(OpenError::NoIdentity)?);
        identity.incarnation = Incarnation(r.array("incarnation").map_err(damaged)?);
        identity.store = StoreId(r.array("store").map_err(damaged)?);
        Ok(identity)
    }

    fn read_keys(bytes: &[u8]) -> Result<Identity, DecodeError> {
        let mut r = Reader::new(bytes);
        let found = r.u8("identity version")?;
        if found != IDENTITY_VERSION {
            let known = IDENTITY_VERSION.into();
            return Err(DecodeError::Version { field: "identity version", found: found.into(), known });
        }
        let name = r.text(CERTIFICATE_BYTES, "name")?.to_owned();
        let user_key = UserKey::from_secret_bytes(r.bytes(SECRET_BYTES, "user key")?)?;
        let keys = DeviceKeys::from_secret_bytes(r.bytes(SECRET_BYTES, "device keys")?)?;
        let transport = r.array("transport key")?;
        r.end()?;
        Identity::new(user_key, keys, &name, transport)
    }

    /// The libp2p peer id of the transport key, as its bytes.
    ///
    /// Source: the libp2p specification of peer ids: the identity multihash of the key's protobuf form.
    pub fn transport_peer(&self) -> Vec<u8> {
        let mut bytes = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
        bytes.extend_from_slice(SigningKey::from_bytes(&self.transport_seed).verifying_key().as_bytes());
        bytes
    }
}

impl Replica {
    /// Starts a new life of the store: from now on this device writes to new journals, with new actors.
    pub(super) fn start_incarnation(&mut self, reason: &str) {
        self.identity.incarnation = Incarnation(self.entropy.array());
        self.identity.store = StoreId(self.entropy.array());
        for peer in self.spaces.values_mut().flat_map(|space| space.peers.values_mut()) {
            peer.receipts.clear();
            peer.dirty = true;
        }
        let event = Event::NewIncarnation { incarnation: self.identity.incarnation, reason: reason.to_owned() };
        let op = self.identity.incarnation_op();
        self.store(vec![op], vec![Effect::Notify(event)]);
        self.peer_changed();
    }

    pub(super) fn rename(&mut self, name: &str, then: Vec<Effect>) -> Result<(), DecodeError> {
        check_name(name)?;
        self.identity.certificate = certify(&self.identity.user_key, &self.identity.keys, name)?;
        self.identity.name = name.to_owned();
        let ops = self.identity.ops();
        self.store(ops, then);
        Ok(())
    }
}

pub(super) fn check_name(name: &str) -> Result<(), DecodeError> {
    if name.trim().is_empty() {
        return Err(DecodeError::Invalid { field: "name" });
    }
    if name.len() > NAME_BYTES {
        return Err(DecodeError::OverLimit { field: "name", value: name.len() as u64, limit: NAME_BYTES as u64 });
    }
    Ok(())
}

pub(super) fn clock_op(last: HybridTime) -> StoreOp {
    StoreOp::PutMeta { name: META_CLOCK.into(), value: last.0.to_be_bytes().to_vec() }
}

/// The last claimed time before the restart; without one the wall clock starts anew.
pub(super) fn read_clock(meta: &[(String, Vec<u8>)]) -> u64 {
    find(meta, META_CLOCK).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

fn find<'a>(meta: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    meta.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
}

fn certify(user: &UserKey, keys: &DeviceKeys, name: &str) -> Result<DeviceCertificate, DecodeError> {
    DeviceCertificate::issue(user, keys, name).map_err(|_| DecodeError::Invalid { field: "name" })
}
