//! What a set of operations means: a pure function of the set, whatever the order in which it came.
//!
//! 1. An operation counts only if its author had the authority by the operations before it. This never changes, so one
//!    without authority is refused at the door and never stored.
//! 2. A removal or revocation voids what its subject did concurrently with it; a demotion voids of that what the new role
//!    does not allow ([`crate::roster::resolve`]).
//! 3. Operations that depend on voided ones are void.
//! 4. What is left is folded in canonical order into a [`State`]. Concurrent settings of one role meet in the lower one.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{CollectionTag, DeviceId, EpochId, UserId};
use crate::limits::{ROSTER_OPS_NON_ADMIN, USER_DEVICES};
use crate::role::Role;
use crate::roster::OpRefused;
use crate::roster::dag::{Dag, Index, Seniority, Standing};
use crate::roster::op::{OpBody, RosterOp};
use crate::roster::resolve::void_ops;

/// Who is who after some operations.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) users: BTreeMap<UserId, UserState>,
    pub(super) devices: BTreeMap<DeviceId, DeviceState>,
    /// By which operation each epoch began; void ones are absent.
    pub(super) epochs: BTreeMap<EpochId, Index>,
    /// Definitions of each collection, in canonical order.
    pub(super) definitions: BTreeMap<CollectionTag, Vec<Index>>,
    /// Names of the space, in canonical order.
    pub(super) names: Vec<Index>,
    /// Operations that took away the right to write.
    pub(super) cuts: Vec<Index>,
    /// Operations that took away the right to read: only epochs after them are fit to seal under.
    pub(super) exclusions: Vec<Index>,
    /// Operations that have no effect.
    pub(super) void: BTreeSet<Index>,
}

#[derive(Debug, Clone)]
pub(super) struct UserState {
    /// When the user was made a member.
    since: Seniority,
    /// The latest settings of the role: one, or several that are concurrent. `None` is a removal.
    claims: Vec<(Index, Option<Role>)>,
    removals: Vec<Index>,
    devices: usize,
}

#[derive(Debug, Clone)]
pub(super) struct DeviceState {
    pub(super) user: UserId,
    pub(super) since: Seniority,
    /// Where its certificate stands.
    pub(super) added_by: Index,
    pub(super) revoked: bool,
}

impl State {
    /// Evaluates `heads` and everything before them.
    ///
    /// Cost: one step for each operation; with removals that have concurrent operations of their subjects, one more pass for
    /// each of those removals.
    pub(super) fn at(dag: &Dag, heads: &[Index]) -> State {
        let order = dag.past(heads);
        let void = void_ops(dag, &order);
        let mut state = State::fold(dag, order.iter().copied().filter(|at| !void.contains(at)));
        state.void = void;
        state
    }

    /// Applies operations that are all in force, in canonical order.
    pub(super) fn fold(dag: &Dag, ops: impl Iterator<Item = Index>) -> State {
        let mut state = State::default();
        for at in ops {
            state.apply(dag, at);
        }
        state
    }

    pub(super) fn user_role(&self, user: &UserId) -> Option<Role> {
        // `None` orders before every role: a removal is the lowest of all.
        self.users.get(user)?.claims.iter().map(|(_, role)| *role).min()?
    }

    pub(super) fn role(&self, device: &DeviceId) -> Option<Role> {
        let device = self.devices.get(device).filter(|device| !device.revoked)?;
        self.user_role(&device.user)
    }

    fn can_read(&self, device: &DeviceId) -> bool {
        self.role(device).is_some_and(Role::can_read)
    }

    /// Applies one operation that is in force and comes after all that were applied, or is concurrent with them.
    pub(super) fn apply(&mut self, dag: &Dag, at: Index) {
        let node = dag.node(at);
        match &node.op.body {
            OpBody::Genesis { creator, .. } => {
                self.set_role(dag, at, creator.user, Some(Role::Admin));
                self.add_device(dag, at, creator.user, creator.device);
            }
            OpBody::AddUser { user, role } => self.set_role(dag, at, *user, Some(*role)),
            OpBody::AddDevice { certificate } => self.add_device(dag, at, certificate.user, certificate.device),
            OpBody::SetRole { user, role, .. } => {
                let before = self.user_role(user);
                self.set_role(dag, at, *user, Some(*role));
                self.note_loss(at, before, Some(*role));
            }
            OpBody::RemoveUser { user, .. } => {
                let before = self.user_role(user);
                self.set_role(dag, at, *user, None);
                if let Some(state) = self.users.get_mut(user) {
                    state.removals.push(at);
                }
                for device in self.devices.values_mut().filter(|device| device.user == *user) {
                    device.revoked = true;
                }
                self.note_loss(at, before, None);
            }
            OpBody::RevokeDevice { device, .. } => {
                let before = self.role(device);
                if let Some(device) = self.devices.get_mut(device) {
                    device.revoked = true;
                }
                self.note_loss(at, before, None);
            }
            // Two concurrent epochs with one commitment are one key: the first stands for both.
            OpBody::KeyEpoch { epoch, .. } => {
                self.epochs.entry(*epoch).or_insert(at);
            }
            OpBody::Catalogue { collection, .. } => self.definitions.entry(*collection).or_default().push(at),
            OpBody::SpaceInfo { .. } => self.names.push(at),
            OpBody::KeyShare { .. } | OpBody::Reserved { .. } => {}
        }
    }

    fn set_role(&mut self, dag: &Dag, at: Index, user: UserId, role: Option<Role>) {
        let was_member = self.user_role(&user).is_some();
        let since = dag.node(at).place;
        let state = self.users.entry(user).or_insert_with(|| UserState {
            since,
            claims: Vec::new(),
            removals: Vec::new(),
            devices: 0,
        });
        if !was_member && role.is_some() {
            state.since = since;
        }
        state.claims.retain(|(before, _)| !dag.is_at_or_before(*before, at));
        state.claims.push((at, role));
    }

    fn add_device(&mut self, dag: &Dag, at: Index, user: UserId, device: DeviceId) {
        // Of two concurrent additions of one device the first stands: a device that signed certificates of two users.
        if self.devices.contains_key(&device) {
            return;
        }
        let Some(state) = self.users.get_mut(&user) else { return };
        state.devices += 1;
        // A device that the user's removal could not know of is gone with him; only one added after it is new.
        let revoked = state.removals.iter().any(|removal| !dag.is_at_or_before(*removal, at));
        self.devices.insert(device, DeviceState { user, since: dag.node(at).place, added_by: at, revoked });
    }

    fn note_loss(&mut self, at: Index, before: Option<Role>, after: Option<Role>) {
        let lost = |can: fn(Role) -> bool| before.is_some_and(can) && !after.is_some_and(can);
        if lost(Role::can_write) {
            self.cuts.push(at);
        }
        if lost(Role::can_read) {
            self.exclusions.push(at);
        }
    }

    /// Whether the author of `op` has the authority for it after these operations, and who he is.
    ///
    /// # Errors
    /// The author's fault: see [`OpRefused::Unauthorized`].
    pub(super) fn authorize(&self, dag: &Dag, op: &RosterOp) -> Result<Standing, OpRefused> {
        let role = self.role(&op.author);
        let refuse = || OpRefused::Unauthorized { author: op.author, what: op.body.name(), role };
        let (Some(role), Some(device)) = (role, self.devices.get(&op.author)) else { return Err(refuse()) };
        let user = self.users.get(&device.user).ok_or_else(refuse)?;
        let needs = self.needed_role(op, &device.user);
        let founded = match &op.body {
            OpBody::Genesis { .. } => false,
            // These build on the user's being a member: where that is void, so are they.
            OpBody::SetRole { user, .. } => self.user_role(user).is_some(),
            OpBody::AddDevice { certificate } => self.user_role(&certificate.user).is_some(),
            OpBody::KeyEpoch { parents, .. } => !parents.is_empty() || founds_keys(dag, op),
            _ => true,
        };
        let standing = Standing { user_since: user.since, device_since: device.since, user: device.user, needs };
        if founded && role >= needs { Ok(standing) } else { Err(refuse()) }
    }

    /// The table of kinds in `docs/protocol.md`, section 6: the least role that may do this, for an author of this user.
    fn needed_role(&self, op: &RosterOp, author: &UserId) -> Role {
        let own = |own: bool| if own { Role::Relay } else { Role::Admin };
        match &op.body {
            OpBody::AddDevice { certificate } => own(certificate.user == *author),
            OpBody::RevokeDevice { device, .. } => own(self.devices.get(device).is_some_and(|d| d.user == *author)),
            OpBody::KeyEpoch { .. } => Role::Writer,
            OpBody::KeyShare { .. } => Role::Reader,
            OpBody::Genesis { .. }
            | OpBody::AddUser { .. }
            | OpBody::SetRole { .. }
            | OpBody::RemoveUser { .. }
            | OpBody::Catalogue { .. }
            | OpBody::SpaceInfo { .. }
            | OpBody::Reserved { .. } => Role::Admin,
        }
    }

    /// Whether an operation's subject is as it must be. Only asked where the operation is inserted, with everything before it.
    ///
    /// # Errors
    /// The author's fault: see [`OpRefused::Unfit`].
    pub(super) fn check_subject(&self, dag: &Dag, op: &RosterOp) -> Result<(), OpRefused> {
        let require = |fits: bool, why| if fits { Ok(()) } else { Err(OpRefused::Unfit(why)) };
        let is_admin = self.role(&op.author).is_some_and(Role::can_administer);
        require(is_admin || op.seq <= ROSTER_OPS_NON_ADMIN, "the device has written its share of operations")?;
        match &op.body {
            OpBody::AddUser { user, .. } => require(self.user_role(user).is_none(), "the user is a member already"),
            OpBody::RemoveUser { user, .. } => require(self.user_role(user).is_some(), "the user is not a member"),
            OpBody::AddDevice { certificate } => {
                let known = self.devices.contains_key(&certificate.device);
                require(!known, "the device is or was a member: device keys are never readmitted")?;
                let count = self.users.get(&certificate.user).map_or(0, |user| user.devices);
                require(count < USER_DEVICES, "the user has added as many devices as a user may")
            }
            OpBody::RevokeDevice { device, .. } => {
                let live = self.devices.get(device).is_some_and(|device| !device.revoked);
                require(live, "the device is not a member")
            }
            OpBody::KeyEpoch { epoch, parents, wraps } => {
                require(!self.knows_epoch(dag, epoch), "the epoch is there already")?;
                let known = parents.iter().all(|parent| self.knows_epoch(dag, &parent.epoch));
                require(known, "an epoch is built on one that is not there")?;
                require(
                    wraps.iter().all(|wrap| self.can_read(&wrap.device)),
                    "a key is wrapped for one who may not read",
                )
            }
            OpBody::KeyShare { epoch, wrap } => {
                require(self.knows_epoch(dag, epoch), "the key of an unknown epoch is shared")?;
                require(self.can_read(&wrap.device), "a key is wrapped for one who may not read")
            }
            OpBody::Catalogue { epoch, .. } | OpBody::SpaceInfo { epoch, .. } => {
                require(self.epochs.contains_key(epoch), "something is sealed under an unknown epoch")
            }
            OpBody::Genesis { .. } | OpBody::SetRole { .. } | OpBody::Reserved { .. } => Ok(()),
        }
    }

    /// Whether an epoch began, even by an operation that is void: its key may still open entries.
    fn knows_epoch(&self, dag: &Dag, wanted: &EpochId) -> bool {
        let begins = |at: &Index| matches!(&dag.node(*at).op.body, OpBody::KeyEpoch { epoch, .. } if epoch == wanted);
        self.epochs.contains_key(wanted) || self.void.iter().any(begins)
    }
}

/// The space's first epoch, on which all names rest, is the creator's operation right after the genesis: there can be no
/// second one, unless the creator forks his own chain, and then the first in canonical order is meant.
fn founds_keys(dag: &Dag, op: &RosterOp) -> bool {
    dag.nodes.first().is_some_and(|genesis| {
        op.author == genesis.op.author && op.prev == genesis.place.op && op.parents == [genesis.place.op]
    })
}
