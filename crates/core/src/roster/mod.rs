//! The roster of a space: a signed, replicated log of who may do what and who holds which key.
//!
//! Operations form a directed acyclic graph, since admins act without each other's knowledge. [`op`] is one operation and
//! its bytes, `dag` how they stand to each other, `evaluate` and `resolve` what a set of them means, `keyring` what
//! can be opened with it, `exchange` how two copies become equal, [`author`] how to write new ones.
//!
//! Everything here is a function of the set of operations: two devices that hold the same ones agree, however they got them.

pub mod author;
mod dag;
mod evaluate;
mod exchange;
mod keyring;
pub mod op;
mod resolve;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

pub use self::author::AuthorError;
pub use self::dag::Seniority;
pub use self::exchange::Frontier;
pub use self::keyring::Keyring;
pub use self::op::{OpBody, ReservedKind, Retained, RosterOp, op_hash};

use self::dag::{Dag, Index, Node, Standing};
use self::evaluate::State;
use self::op::verify_op;
use crate::bytes::DecodeError;
use crate::id::{DeviceId, OpHash, SpaceId, UserId};
use crate::keys::CertificateError;
use crate::limits::{ROSTER_OPS, ROSTER_STATES};
use crate::role::Role;

/// Why an operation was not taken into a roster.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpRefused {
    /// The sender's fault, or a newer version's: not in canonical form.
    #[error("the roster operation is malformed: {0}")]
    Decode(#[from] DecodeError),
    /// The sender's fault: the author did not sign this.
    #[error("the roster operation is not signed by its author {0}")]
    Signature(DeviceId),
    /// The author's fault: a certificate that does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The sender's fault: it belongs elsewhere.
    #[error("the roster operation belongs to another space")]
    OtherSpace,
    /// Nobody's fault: these must come first. Ask for them.
    #[error("{} operations that it builds on have not arrived", .0.len())]
    MissingParents(Vec<OpHash>),
    /// The author's fault: parents that are ancestors of other parents say nothing.
    #[error("the roster operation names a parent that another of its parents builds on")]
    RedundantParents,
    /// The author's fault: it does not continue what the author wrote before.
    #[error("the roster operation does not continue the operations of its author {0}")]
    Chain(DeviceId),
    /// The author's fault: by the operations before it he may not.
    #[error("{author} may not {what}: it is {}", .role.map_or("not a member", Role::name))]
    Unauthorized {
        /// Who.
        author: DeviceId,
        /// What he tried.
        what: &'static str,
        /// What he was.
        role: Option<Role>,
    },
    /// The author's fault: what it acts on is not there, or is there already.
    #[error("the roster operation does not fit: {0}")]
    Unfit(&'static str),
    /// An admin's fault: the space has as many operations as a space may.
    #[error("the space has {ROSTER_OPS} roster operations, which is the limit; found a new space")]
    Full,
}

impl OpRefused {
    /// Whether the peer that sent it misbehaved: it should have refused the operation itself. Not so for operations that came
    /// before their parents, from a newer version, or into a full space.
    pub fn is_peer_fault(&self) -> bool {
        !matches!(self, OpRefused::MissingParents(_) | OpRefused::Full | OpRefused::Decode(DecodeError::Version { .. }))
    }
}

/// What became of an operation that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is in the roster now.
    New(OpHash),
    /// It was there before.
    Known(OpHash),
}

/// The caller's fault: these heads are not in the roster (yet).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} roster heads are not known here", .0.len())]
pub struct UnknownHeads(pub Vec<OpHash>);

/// A live device of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
    /// Its X25519 public key.
    pub kem: [u8; 32],
    /// What it calls itself: a claim.
    pub name: String,
    /// Its user's role.
    pub role: Role,
    /// When it was added; the creator's is the first of all.
    pub since: Seniority,
}

/// Somebody who lost the right to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutSubject {
    /// All devices of a user.
    User(UserId),
    /// One device.
    Device(DeviceId),
}

/// A removal, revocation or demotion that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut<'a> {
    /// The operation.
    pub op: OpHash,
    /// Whom it concerns.
    pub subject: CutSubject,
    /// The prefixes of his journals that stay valid; a journal that is not listed keeps nothing.
    pub retain: &'a [Retained],
}

/// All operations of one space, and what they mean.
#[derive(Debug, Clone)]
pub struct Roster {
    space: SpaceId,
    dag: Dag,
    /// Evaluated states by their heads. Not part of the roster: any of them can be evaluated again.
    states: RefCell<States>,
}

#[derive(Debug, Clone, Default)]
struct States {
    by_heads: BTreeMap<Vec<Index>, (u64, Arc<State>)>,
    uses: u64,
}

impl States {
    fn get(&mut self, heads: &[Index]) -> Option<Arc<State>> {
        self.uses += 1;
        let (used, state) = self.by_heads.get_mut(heads)?;
        *used = self.uses;
        Some(Arc::clone(state))
    }

    fn put(&mut self, heads: Vec<Index>, state: Arc<State>) {
        self.uses += 1;
        self.by_heads.insert(heads, (self.uses, state));
        if self.by_heads.len() > ROSTER_STATES {
            let oldest = self.by_heads.iter().min_by_key(|(_, (used, _))| *used).map(|(heads, _)| heads.clone());
            oldest.and_then(|heads| self.by_heads.remove(&heads));
        }
    }
}

impl Roster {
    /// Starts from a space's genesis.
    ///
    /// # Errors
    /// The sender's: malformed, not signed by its author, or no genesis.
    pub fn found(genesis: &[u8]) -> Result<Roster, OpRefused> {
        Roster::start(genesis, true)
    }

    /// Reads back what [`Roster::ops`] gave, without verifying signatures again: the bytes must come from this device's own
    /// store, where they were put after [`Roster::insert`] had taken them. All other checks are made.
    ///
    /// # Errors
    /// The store's: operations are missing, altered or in another order.
    pub fn restore<'a>(ops: impl IntoIterator<Item = &'a [u8]>) -> Result<Roster, OpRefused> {
        let mut ops = ops.into_iter();
        let mut roster = Roster::start(ops.next().unwrap_or_default(), false)?;
        for op in ops {
            roster.add(op, false)?;
        }
        Ok(roster)
    }

    fn start(genesis: &[u8], verify: bool) -> Result<Roster, OpRefused> {
        let op = RosterOp::decode(genesis)?;
        let OpBody::Genesis { creator, .. } = &op.body else {
            return Err(OpRefused::Unfit("a space starts with its genesis"));
        };
        if verify {
            verify_op(&op, genesis)?;
        }
        let hash = op_hash(genesis);
        let place = Seniority { depth: 0, op: hash };
        let standing = Standing { user_since: place, device_since: place, user: creator.user, needs: Role::Admin };
        let mut dag = Dag::default();
        dag.push(Node { place, parents: Vec::new(), standing, bytes: genesis.to_vec(), op });
        Ok(Roster { space: SpaceId(hash.0), dag, states: RefCell::default() })
    }

    /// Takes in an operation from anywhere, after all checks.
    ///
    /// Cost: 50 microseconds for the signature (150 more with a certificate). Operations that build on all that is known are
    /// evaluated in one step; others by evaluating what is before them, with the last [`ROSTER_STATES`] results kept.
    ///
    /// # Errors
    /// See [`OpRefused`] for whose fault each is. [`OpRefused::MissingParents`] asks for what to fetch first.
    pub fn insert(&mut self, bytes: &[u8]) -> Result<Inserted, OpRefused> {
        self.add(bytes, true)
    }

    fn add(&mut self, bytes: &[u8], verify: bool) -> Result<Inserted, OpRefused> {
        let op = RosterOp::decode(bytes)?;
        let hash = op_hash(bytes);
        let known = self.dag.by_hash.get(&hash).map(|at| self.dag.node(*at));
        if op.space != self.space && known.is_none() {
            return Err(OpRefused::OtherSpace);
        }
        // The hash leaves out the signature: a known operation under other bytes is still checked.
        if verify && known.is_none_or(|known| known.bytes != bytes) {
            verify_op(&op, bytes)?;
        }
        if known.is_some() {
            return Ok(Inserted::Known(hash));
        }
        if self.dag.nodes.len() >= ROSTER_OPS {
            return Err(OpRefused::Full);
        }
        let parents = self.indices(&op.parents).map_err(|UnknownHeads(missing)| OpRefused::MissingParents(missing))?;
        if self.dag.maximal(parents.clone()).len() != parents.len() {
            return Err(OpRefused::RedundantParents);
        }
        self.check_chain(&op, &parents)?;
        let before = self.state_at(&parents);
        let standing = before.authorize(&self.dag, &op)?;
        before.check_subject(&self.dag, &op)?;
        let place = Seniority { depth: self.dag.depth_on(&parents), op: hash };
        self.push(Node { place, parents, op, bytes: bytes.to_vec(), standing }, before);
        Ok(Inserted::New(hash))
    }

    /// Adds a checked operation; `before` is the state at its parents.
    fn push(&mut self, node: Node, before: Arc<State>) {
        let on_top = node.op.parents.iter().eq(&self.dag.heads);
        let parents = node.parents.clone();
        let at = self.dag.push(node);
        if on_top {
            // Moved forward instead of copied: in a long roster that is loaded in order, copies would cost the square of it.
            let states = self.states.get_mut();
            states.by_heads.remove(&parents);
            let mut state = Arc::unwrap_or_clone(before);
            state.apply(&self.dag, at);
            states.put(vec![at], Arc::new(state));
        }
    }

    fn check_chain(&self, op: &RosterOp, parents: &[Index]) -> Result<(), OpRefused> {
        if op.seq == 1 {
            return Ok(());
        }
        let continues = self.dag.by_hash.get(&op.prev).is_some_and(|prev| {
            let before = &self.dag.node(*prev).op;
            before.author == op.author
                && before.seq.checked_add(1) == Some(op.seq)
                && parents.iter().any(|parent| self.dag.is_at_or_before(*prev, *parent))
        });
        if continues { Ok(()) } else { Err(OpRefused::Chain(op.author)) }
    }

    /// The operations with these hashes, ascending and each once.
    fn indices(&self, hashes: &[OpHash]) -> Result<Vec<Index>, UnknownHeads> {
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(hashes.len());
        for hash in hashes {
            match self.dag.by_hash.get(hash) {
                Some(at) => found.push(*at),
                None => missing.push(*hash),
            }
        }
        found.sort_unstable();
        found.dedup();
        if missing.is_empty() { Ok(found) } else { Err(UnknownHeads(missing)) }
    }

    /// The state at these operations, which are ascending by index and do not build on each other.
    fn state_at(&self, heads: &[Index]) -> Arc<State> {
        let mut states = self.states.borrow_mut();
        if let Some(state) = states.get(heads) {
            return state;
        }
        // What follows everything before it needs no new evaluation, only one step: walk down such a tail, then up again.
        let mut tail = Vec::new();
        let mut at = heads.to_vec();
        let mut state = loop {
            if let Some(state) = states.get(&at) {
                break State::clone(&state);
            }
            let parents = match at[..] {
                [only] => &self.dag.node(only).parents,
                _ => break State::at(&self.dag, &at),
            };
            if parents.is_empty() {
                break State::at(&self.dag, &at);
            }
            tail.extend_from_slice(&at);
            at.clone_from(parents);
        };
        for at in tail.into_iter().rev() {
            state.apply(&self.dag, at);
        }
        let state = Arc::new(state);
        states.put(heads.to_vec(), Arc::clone(&state));
        state
    }

    fn now(&self) -> Arc<State> {
        let heads: Vec<OpHash> = self.dag.heads.iter().copied().collect();
        let heads = self.indices(&heads).expect("heads are taken from the operations that are here");
        self.state_at(&heads)
    }

    /// Which space this is.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.dag.nodes.len()
    }

    /// Never: a roster holds at least its genesis.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// A device's role by everything that is known; `None` if it is no member.
    pub fn role_of(&self, device: &DeviceId) -> Option<Role> {
        self.now().role(device)
    }

    /// A device's role by these operations and those before them: what an entry that cites them is judged by. It never
    /// changes, whatever arrives later.
    ///
    /// Cost: a lookup for the last [`ROSTER_STATES`] different heads asked for; else an evaluation of what is before them,
    /// about a microsecond for each operation.
    ///
    /// # Errors
    /// The caller's: heads that are not here yet.
    pub fn role_at(&self, heads: &[OpHash], device: &DeviceId) -> Result<Option<Role>, UnknownHeads> {
        if heads.is_empty() {
            return Ok(None);
        }
        let mut heads = self.indices(heads)?;
        if heads.len() > 1 {
            heads = self.dag.maximal(heads);
            heads.sort_unstable();
        }
        Ok(self.state_at(&heads).role(device))
    }

    /// Whether all these operations are here.
    pub fn knows(&self, heads: &[OpHash]) -> bool {
        heads.iter().all(|head| self.dag.by_hash.contains_key(head))
    }

    /// Whether everything in `earlier` is in `later` or before it: a journal's cites never go back.
    ///
    /// # Errors
    /// The caller's: heads that are not here yet.
    pub fn is_at_or_after(&self, later: &[OpHash], earlier: &[OpHash]) -> Result<bool, UnknownHeads> {
        let (later, earlier) = (self.indices(later)?, self.indices(earlier)?);
        Ok(earlier.iter().all(|e| later.iter().any(|l| self.dag.is_at_or_before(*e, *l))))
    }

    /// The operations that nothing builds on yet, ascending.
    pub fn heads(&self) -> Vec<OpHash> {
        self.dag.heads.iter().copied().collect()
    }

    /// All live devices, the senior first.
    pub fn members(&self) -> Vec<Member> {
        let state = self.now();
        let mut members: Vec<Member> =
            state.devices.keys().filter_map(|device| self.member_in(&state, device)).collect();
        members.sort_unstable_by_key(|member| (member.since, member.device));
        members
    }

    /// One live device.
    pub fn member(&self, device: &DeviceId) -> Option<Member> {
        self.member_in(&self.now(), device)
    }

    fn member_in(&self, state: &State, device: &DeviceId) -> Option<Member> {
        let role = state.role(device)?;
        let entry = state.devices.get(device)?;
        let (OpBody::Genesis { creator: certificate, .. } | OpBody::AddDevice { certificate }) =
            &self.dag.node(entry.added_by).op.body
        else {
            return None;
        };
        Some(Member {
            user: entry.user,
            device: *device,
            kem: certificate.kem,
            name: certificate.name.clone(),
            role,
            since: entry.since,
        })
    }

    /// A user's role by everything that is known; `None` if he is no member.
    pub fn user_role(&self, user: &UserId) -> Option<Role> {
        self.now().user_role(user)
    }

    /// Whether an operation is here and has its effect: removals that others did not know of can void it later.
    pub fn is_in_force(&self, op: &OpHash) -> bool {
        self.dag.by_hash.get(op).is_some_and(|at| !self.now().void.contains(at))
    }

    /// The removals, revocations and demotions in force, in canonical order.
    pub fn cuts(&self) -> Vec<Cut<'_>> {
        let state = self.now();
        let mut cuts = state.cuts.clone();
        self.dag.sort(&mut cuts);
        let cut = |at: Index| {
            let (subject, retain) = match &self.dag.node(at).op.body {
                OpBody::RemoveUser { user, retain } | OpBody::SetRole { user, retain, .. } => {
                    (CutSubject::User(*user), retain)
                }
                OpBody::RevokeDevice { device, retain } => (CutSubject::Device(*device), retain),
                _ => return None,
            };
            Some(Cut { op: self.dag.hash(at), subject, retain })
        };
        cuts.into_iter().filter_map(cut).collect()
    }

    /// An operation that is here.
    pub fn op(&self, hash: &OpHash) -> Option<&RosterOp> {
        self.dag.by_hash.get(hash).map(|at| &self.dag.node(*at).op)
    }

    /// All operations as they were signed, in the order in which they were taken in: parents first, the genesis at the start.
    pub fn ops(&self) -> impl Iterator<Item = &[u8]> {
        self.dag.nodes.iter().map(|node| node.bytes.as_slice())
    }
}
