//! How to write roster operations. Each builder returns the operations' bytes in the order in which they are inserted, and
//! inserts nothing: the caller makes them durable first.

use thiserror::Error;

use crate::bytes::DecodeError;
use crate::catalogue::CollectionDefinition;
use crate::entropy::Entropy;
use crate::id::{CollectionTag, DeviceId, EpochId, OpHash, SpaceId, UserId};
use crate::keys::{DeviceCertificate, DeviceKeys, is_valid_name};
use crate::limits::{EPOCH_PARENTS, EPOCH_WRAPS, ROSTER_HEADS};
use crate::role::Role;
use crate::roster::keyring::{Keyring, definition_aad, name_aad, name_plaintext};
use crate::roster::op::{EpochWrap, OpBody, ParentEpoch, Retained, RosterOp, op_hash};
use crate::roster::{Member, OpRefused, Roster};
use crate::seal::{EpochKey, collection_tag, roster_key, seal, seal_parent_key, tag_key, wrap, wrap_info};

/// Why an operation was not written. The caller's fault throughout.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorError {
    /// This device's role is too low.
    #[error("this device is {} in the space; to {what} it must be {need}: ask an admin", .have.map_or("no member", Role::name))]
    NotAllowed {
        /// What was asked.
        what: &'static str,
        /// The role that it takes.
        need: Role,
        /// The role that it has.
        have: Option<Role>,
    },
    /// The device or user is in the space already, or was and left it for good.
    #[error("{0} is or was a member of the space; a device that left joins again with new keys")]
    AlreadyMember(DeviceId),
    /// The device or user is not in the space.
    #[error("no such member in the space; `farshore space members` shows those it has")]
    NotMember,
    /// This would leave nobody to administer the space.
    #[error("this would leave the space without an admin; make another member admin first")]
    LastAdmin,
    /// No key to seal under.
    #[error("no current key of the space is here; it comes with the next sync, or by starting a new epoch")]
    NoKey,
    /// A name is empty, too long, or holds control characters.
    #[error("a name takes 1 to 256 bytes without control characters")]
    Name,
    /// A definition does not hold together.
    #[error("the collection's definition is not valid: {0}")]
    Definition(#[from] DecodeError),
    /// A schema step contradicts one that documents were already made with.
    #[error("the collection already has another container at `{0}`; containers can be added, not changed")]
    SchemaConflict(String),
}

/// The state of one author's pen: what the next operation builds on.
struct Pen<'a> {
    keys: &'a DeviceKeys,
    space: SpaceId,
    parents: Vec<OpHash>,
    seq: u64,
    prev: OpHash,
    claimed_ms: u64,
    written: Vec<Vec<u8>>,
}

impl<'a> Pen<'a> {
    fn on(roster: &Roster, keys: &'a DeviceKeys, claimed_ms: u64) -> Self {
        let last = roster.dag.chains.get(&keys.id()).and_then(|chain| chain.ops.last_key_value());
        let (seq, prev) = last.map_or((0, OpHash([0; 32])), |((seq, hash), _)| (*seq, *hash));
        Pen { keys, space: roster.space, parents: merged_heads(roster, &prev), seq, prev, claimed_ms, written: vec![] }
    }

    fn write(&mut self, body: OpBody) {
        let op = RosterOp {
            space: self.space,
            parents: std::mem::take(&mut self.parents),
            author: self.keys.id(),
            seq: self.seq + 1,
            prev: self.prev,
            claimed_ms: self.claimed_ms,
            body,
        };
        let bytes = op.sign(self.keys);
        self.seq = op.seq;
        self.prev = op_hash(&bytes);
        self.parents = vec![self.prev];
        self.written.push(bytes);
    }
}

/// The heads to build on: all of them, or, when there are too many for one operation, some that include one's own last.
fn merged_heads(roster: &Roster, prev: &OpHash) -> Vec<OpHash> {
    let mut heads = roster.heads();
    if heads.len() > ROSTER_HEADS {
        if let Some(prev) = roster.dag.by_hash.get(prev) {
            let leads_to_prev = |head: &OpHash| roster.dag.is_at_or_before(*prev, roster.dag.by_hash[head]);
            heads.sort_by_key(|head| !leads_to_prev(head));
        }
        heads.truncate(ROSTER_HEADS);
        heads.sort_unstable();
    }
    heads
}

/// Founds a space: genesis, first key epoch, name. Returns the roster that holds them, and their bytes.
///
/// # Errors
/// The caller's: an unfit name, or a certificate that is not this device's or does not hold.
pub fn found_space(
    certificate: &DeviceCertificate,
    keys: &DeviceKeys,
    name: &str,
    claimed_ms: u64,
    entropy: &mut Entropy,
) -> Result<(Roster, Vec<Vec<u8>>), AuthorError> {
    if !is_valid_name(name) {
        return Err(AuthorError::Name);
    }
    let device = keys.id();
    let mut pen = Pen {
        keys,
        space: SpaceId([0; 32]),
        parents: Vec::new(),
        seq: 0,
        prev: OpHash([0; 32]),
        claimed_ms,
        written: Vec::new(),
    };
    pen.write(OpBody::Genesis { nonce: entropy.array(), creator: certificate.clone() });
    let mut roster = Roster::found(&pen.written[0]).map_err(unfit_certificate)?;
    pen.space = roster.space;
    let key = EpochKey::generate(entropy);
    let wraps = vec![wrap_for(&pen.space, &key, &device, &certificate.kem, entropy).ok_or(AuthorError::NotMember)?];
    pen.write(OpBody::KeyEpoch { epoch: key.id(), parents: Vec::new(), wraps });
    pen.write(space_info(&pen, &key, name));
    for op in &pen.written[1..] {
        roster.insert(op).map_err(unfit_certificate)?;
    }
    Ok((roster, pen.written))
}

/// The only thing that can be wrong with operations that were just written: the certificate was not this device's.
fn unfit_certificate(_: OpRefused) -> AuthorError {
    AuthorError::NotMember
}

fn space_info(pen: &Pen<'_>, key: &EpochKey, name: &str) -> OpBody {
    let aad = name_aad(&pen.space, &pen.keys.id(), pen.seq + 1);
    OpBody::SpaceInfo { epoch: key.id(), sealed: seal(&roster_key(key), &aad, &name_plaintext(name)) }
}

/// `None` only for a sealing key of low order, which no verified certificate holds.
fn wrap_for(
    space: &SpaceId,
    key: &EpochKey,
    device: &DeviceId,
    kem: &[u8; 32],
    entropy: &mut Entropy,
) -> Option<EpochWrap> {
    let wrap = wrap(kem, &wrap_info(space, &key.id(), device), key, entropy).ok()?;
    Some(EpochWrap { device: *device, wrap })
}

impl Roster {
    fn require(&self, keys: &DeviceKeys, need: Role, what: &'static str) -> Result<(), AuthorError> {
        let have = self.role_of(&keys.id());
        if have.is_some_and(|have| have >= need) { Ok(()) } else { Err(AuthorError::NotAllowed { what, need, have }) }
    }

    /// Adds a device, and its user with `role` where he is no member yet (a member keeps the role that he has). A device that
    /// may read gets the keys of `ring` by shares.
    ///
    /// # Errors
    /// The caller's: not an admin (nor the user himself, for a further device of his), or the device is known already.
    pub fn add_member(
        &self,
        keys: &DeviceKeys,
        ring: &Keyring,
        certificate: &DeviceCertificate,
        role: Role,
        claimed_ms: u64,
        entropy: &mut Entropy,
    ) -> Result<Vec<Vec<u8>>, AuthorError> {
        let have = self.user_role(&certificate.user);
        let own = self.member(&keys.id()).is_some_and(|member| member.user == certificate.user);
        self.require(keys, if own { Role::Relay } else { Role::Admin }, "add a member")?;
        if self.now().devices.contains_key(&certificate.device) {
            return Err(AuthorError::AlreadyMember(certificate.device));
        }
        let mut pen = Pen::on(self, keys, claimed_ms);
        if have.is_none() {
            pen.write(OpBody::AddUser { user: certificate.user, role });
        }
        pen.write(OpBody::AddDevice { certificate: certificate.clone() });
        if have.unwrap_or(role).can_read() {
            self.share(&mut pen, ring, &certificate.device, &certificate.kem, entropy);
        }
        Ok(pen.written)
    }

    /// Gives a member's device the keys of `ring`: one that was added while an epoch began, or that may now read.
    ///
    /// # Errors
    /// The caller's: this device holds nothing to share, or the other may not read.
    pub fn share_keys(
        &self,
        keys: &DeviceKeys,
        ring: &Keyring,
        device: &DeviceId,
        claimed_ms: u64,
        entropy: &mut Entropy,
    ) -> Result<Vec<Vec<u8>>, AuthorError> {
        self.require(keys, Role::Reader, "share keys")?;
        let member = self.member(device).filter(|member| member.role.can_read()).ok_or(AuthorError::NotMember)?;
        if ring.is_empty() {
            return Err(AuthorError::NoKey);
        }
        let mut pen = Pen::on(self, keys, claimed_ms);
        self.share(&mut pen, ring, device, &member.kem, entropy);
        Ok(pen.written)
    }

    fn share(&self, pen: &mut Pen<'_>, ring: &Keyring, device: &DeviceId, kem: &[u8; 32], entropy: &mut Entropy) {
        for epoch in self.tips(ring) {
            let wrap = ring.get(&epoch).and_then(|key| wrap_for(&self.space, key, device, kem, entropy));
            if let Some(wrap) = wrap {
                pen.write(OpBody::KeyShare { epoch, wrap });
            }
        }
    }

    /// Adds or changes a collection's definition. Containers that it already has are kept, and its version is raised by one.
    /// Returns nothing if there is nothing to change.
    ///
    /// # Errors
    /// The caller's: not an admin, no key, or a definition that does not hold together or contradicts the one that is there.
    pub fn define_collection(
        &self,
        keys: &DeviceKeys,
        ring: &Keyring,
        definition: &CollectionDefinition,
        claimed_ms: u64,
    ) -> Result<Vec<Vec<u8>>, AuthorError> {
        self.require(keys, Role::Admin, "define a collection")?;
        definition.encode()?;
        let tag = self.collection_tag(ring, &definition.name).ok_or(AuthorError::NoKey)?;
        let mut merged = definition.clone();
        if let Some(existing) = self.catalogue(ring).remove(&tag) {
            merged.schema_steps.clone_from(&existing.schema_steps);
            merged.absorb_steps(&definition.schema_steps);
            let lost = definition.schema_steps.iter().find(|step| !merged.schema_steps.contains(step));
            if let Some(step) = lost {
                return Err(AuthorError::SchemaConflict(step.path.join("/")));
            }
            merged.version = existing.version;
            if merged == existing {
                return Ok(Vec::new());
            }
            merged.version = existing.version.saturating_add(1);
        }
        let epoch = self.current_epoch(ring).ok_or(AuthorError::NoKey)?;
        let key = ring.get(&epoch).ok_or(AuthorError::NoKey)?;
        let mut pen = Pen::on(self, keys, claimed_ms);
        let aad = definition_aad(&self.space, &keys.id(), pen.seq + 1, &tag);
        let sealed = seal(&roster_key(key), &aad, &merged.encode()?);
        pen.write(OpBody::Catalogue { collection: tag, epoch, sealed });
        Ok(pen.written)
    }

    /// The tag of the collection with this name; `None` without the first epoch's key.
    pub fn collection_tag(&self, ring: &Keyring, name: &str) -> Option<CollectionTag> {
        let first = self.first_epoch().and_then(|epoch| ring.get(&epoch))?;
        Some(collection_tag(&tag_key(first), name))
    }

    /// Names the space anew.
    ///
    /// # Errors
    /// The caller's: not an admin, no key, or an unfit name.
    pub fn set_space_name(
        &self,
        keys: &DeviceKeys,
        ring: &Keyring,
        name: &str,
        claimed_ms: u64,
    ) -> Result<Vec<Vec<u8>>, AuthorError> {
        self.require(keys, Role::Admin, "name the space")?;
        if !is_valid_name(name) {
            return Err(AuthorError::Name);
        }
        let key = self.current_epoch(ring).and_then(|epoch| ring.get(&epoch)).ok_or(AuthorError::NoKey)?;
        let mut pen = Pen::on(self, keys, claimed_ms);
        pen.write(space_info(&pen, key, name));
        Ok(pen.written)
    }

    /// Changes a member's role. Whoever may read from now on gets the keys with [`Roster::share_keys`], whoever may no longer
    /// asks for [`Roster::rotate_epoch`].
    ///
    /// `retain`: when the right to write goes, the prefixes of his journals that stay valid. Ascending by journal.
    ///
    /// # Errors
    /// The caller's: not an admin, no such member, or the last admin.
    pub fn set_role(
        &self,
        keys: &DeviceKeys,
        user: &UserId,
        role: Role,
        retain: Vec<Retained>,
        claimed_ms: u64,
    ) -> Result<Vec<Vec<u8>>, AuthorError> {
        self.require(keys, Role::Admin, "set a role")?;
        self.user_role(user).ok_or(AuthorError::NotMember)?;
        if !role.can_administer() {
            self.require_admin_besides(|member| member.user == *user)?;
        }
        self.write_one(keys, OpBody::SetRole { user: *user, role, retain }, claimed_ms)
    }

    /// Removes a user with all his devices. Follow it with [`Roster::rotate_epoch`].
    ///
    /// `retain`: the prefixes of his journals that stay valid. Ascending by journal.
    ///
    /// # Errors
    /// The caller's: not an admin, no such member, or the last admin.
    pub fn remove_user(
        &self,
        keys: &DeviceKeys,
        user: &UserId,
        retain: Vec<Retained>,
        claimed_ms: u64,
    ) -> Result<Vec<Vec<u8>>, AuthorError> {
        self.require(keys, Role::Admin, "remove a user")?;
        self.user_role(user).ok_or(AuthorError::NotMember)?;
        self.require_admin_besides(|member| member.user == *user)?;
        self.write_one(keys, OpBody::RemoveUser { user: *user, retain }, claimed_ms)
    }

    /// Revokes a device for good: any by an admin, one's own user's by each of his devices. Follow it with
    /// [`Roster::rotate_epoch`].
    ///
    /// `retain`: the prefixes of the device's journals that stay valid. Ascending by journal.
    ///
    /// # Errors
    /// The caller's: not allowed, no such member, or the last admin's last device.
    pub fn revoke_device(
        &self,
        keys: &DeviceKeys,
        device: &DeviceId,
        retain: Vec<Retained>,
        claimed_ms: u64,
    ) -> Result<Vec<Vec<u8>>, AuthorError> {
        let subject = self.member(device).ok_or(AuthorError::NotMember)?;
        let own = self.member(&keys.id()).is_some_and(|member| member.user == subject.user);
        self.require(keys, if own { Role::Relay } else { Role::Admin }, "revoke a device")?;
        self.require_admin_besides(|member| member.device == *device)?;
        self.write_one(keys, OpBody::RevokeDevice { device: *device, retain }, claimed_ms)
    }

    /// Starts a new key epoch for all that may read now. With more than [`EPOCH_WRAPS`] devices the rest gets key shares.
    ///
    /// Cost: about 130 microseconds for each device.
    ///
    /// # Errors
    /// The caller's: not a writer, or none of the keys before it is held.
    pub fn rotate_epoch(
        &self,
        keys: &DeviceKeys,
        ring: &Keyring,
        claimed_ms: u64,
        entropy: &mut Entropy,
    ) -> Result<Vec<Vec<u8>>, AuthorError> {
        self.require(keys, Role::Writer, "start a key epoch")?;
        let key = EpochKey::generate(entropy);
        let parents = self.parent_epochs(ring, &key);
        if parents.is_empty() {
            return Err(AuthorError::NoKey);
        }
        let mut readers: Vec<Member> = self.members().into_iter().filter(|member| member.role.can_read()).collect();
        // The senior first; one's own device always, or this device could not read what it goes on to write.
        readers.sort_by_key(|member| member.device != keys.id());
        let all: Vec<EpochWrap> = readers
            .iter()
            .filter_map(|member| wrap_for(&self.space, &key, &member.device, &member.kem, entropy))
            .collect();
        let (wrapped, shared) = all.split_at(all.len().min(EPOCH_WRAPS));
        let mut wraps = wrapped.to_vec();
        wraps.sort_unstable_by_key(|wrap| wrap.device);
        let epoch = key.id();
        let mut pen = Pen::on(self, keys, claimed_ms);
        pen.write(OpBody::KeyEpoch { epoch, parents, wraps });
        for wrap in shared {
            pen.write(OpBody::KeyShare { epoch, wrap: wrap.clone() });
        }
        Ok(pen.written)
    }

    /// The held epochs to seal under a new one: as few as lead to all the others.
    fn parent_epochs(&self, ring: &Keyring, child: &EpochKey) -> Vec<ParentEpoch> {
        let mut tips: Vec<EpochId> = self.tips(ring);
        tips.truncate(EPOCH_PARENTS);
        tips.sort_unstable();
        let sealed = |epoch: EpochId| {
            let sealed = seal_parent_key(child, ring.get(&epoch)?);
            Some(ParentEpoch { epoch, sealed })
        };
        tips.into_iter().filter_map(sealed).collect()
    }

    fn require_admin_besides(&self, leaves: impl Fn(&Member) -> bool) -> Result<(), AuthorError> {
        let stays = self.members().iter().any(|member| member.role.can_administer() && !leaves(member));
        if stays { Ok(()) } else { Err(AuthorError::LastAdmin) }
    }

    fn write_one(&self, keys: &DeviceKeys, body: OpBody, claimed_ms: u64) -> Result<Vec<Vec<u8>>, AuthorError> {
        let mut pen = Pen::on(self, keys, claimed_ms);
        pen.write(body);
        Ok(pen.written)
    }
}
