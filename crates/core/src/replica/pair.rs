//! Pairing: a ticket's secret, proved over the link by both sides, makes a device a member.
//!
//! The inviter commits the new member before it says so, and remembers who used the ticket: a joiner that lost the answer asks
//! again and gets it again, and nobody else does.

use super::Replica;
use super::durable::Effect;
use super::space::Space;
use crate::batch::StoreOp;
use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{DeviceId, SpaceId};
use crate::input::{LinkId, RequestId};
use crate::keys::DeviceCertificate;
use crate::limits::{GRANT_BYTES, INVITATIONS, ROSTER_OPS};
use crate::output::{Event, Output, Reply, RequestError};
use crate::role::Role;
use crate::ticket::{self, Ticket, Transcript};
use crate::wire::Frame;

/// An invitation that this device has given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invitation {
    space: SpaceId,
    role: Role,
    expires_unix_s: u64,
    secret: zeroize::Zeroizing<[u8; 32]>,
    used_by: Option<DeviceId>,
}

/// A join that was asked for and not yet answered.
#[derive(Debug)]
pub(super) struct PendingJoin {
    request: Option<RequestId>,
    ticket: Ticket,
    link: Option<LinkId>,
    welcomed: bool,
    grants: Vec<Vec<u8>>,
    granted_bytes: usize,
    /// Whether the space is founded here, which the disk has yet to confirm.
    founded: bool,
}

impl Invitation {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(1).raw(&self.space.0).u8(self.role.code()).u64(self.expires_unix_s).raw(&*self.secret);
        w.bool(self.used_by.is_some()).raw(&self.used_by.unwrap_or(DeviceId([0; 32])).0);
        w.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Invitation, DecodeError> {
        let mut r = Reader::new(bytes);
        if r.u8("invitation version")? != 1 {
            return Err(DecodeError::Invalid { field: "invitation version" });
        }
        let space = SpaceId(r.array("space")?);
        let role = Role::decode(&mut r)?;
        let expires_unix_s = r.u64("expiry")?;
        let secret = zeroize::Zeroizing::new(r.array("secret")?);
        let used = r.bool("used")?;
        let device = DeviceId(r.array("device")?);
        r.end()?;
        Ok(Invitation { space, role, expires_unix_s, secret, used_by: used.then_some(device) })
    }
}

impl PendingJoin {
    pub(super) fn link_down(&mut self, link: LinkId) {
        if self.link == Some(link) {
            self.link = None;
            self.welcomed = false;
            self.grants.clear();
            self.granted_bytes = 0;
        }
    }

    pub(super) fn peer(&self) -> &[u8] {
        &self.ticket.peer
    }

    pub(super) fn addresses(&self) -> &[String] {
        &self.ticket.addresses
    }
}

impl Replica {
    pub(super) fn invite(
        &mut self,
        id: RequestId,
        space: SpaceId,
        role: Role,
        expires_unix_s: u64,
        peer: Vec<u8>,
        addresses: Vec<String>,
    ) -> Result<(), RequestError> {
        self.require(space, Role::Admin, "invite", Role::can_administer)?;
        if self.space(space)?.sealing_key().is_none() {
            return Err(RequestError::NoKey);
        }
        let now_s = self.now.wall_ms / 1000;
        if expires_unix_s <= now_s {
            return Err(RequestError::Invalid(
                "the invitation would expire before it is given: choose a later time".into(),
            ));
        }
        let open = self.invitations.values().filter(|i| i.used_by.is_none() && i.expires_unix_s >= now_s).count();
        if open >= INVITATIONS {
            let message = format!("{INVITATIONS} invitations are open already; wait until one is used or expires");
            return Err(RequestError::Invalid(message));
        }
        let secret: [u8; 32] = self.entropy.array();
        let ticket =
            Ticket { space, role, secret: secret.into(), expires_unix_s, inviter: self.device(), peer, addresses };
        let text =
            ticket.to_text().map_err(|error| RequestError::Invalid(format!("no ticket can hold this: {error}")))?;
        let text = text.to_string();
        let invitation = Invitation { space, role, expires_unix_s, secret: secret.into(), used_by: None };
        let ops = vec![StoreOp::PutInvitation { ticket: ticket.id(), record: invitation.encode() }];
        self.invitations.insert(ticket.id(), invitation);
        self.store(ops, vec![Effect::Reply(id, Reply::Ticket(text))]);
        Ok(())
    }

    pub(super) fn join(&mut self, id: RequestId, text: &str) -> Result<(), RequestError> {
        let refuse = |why: String| RequestError::Ticket(why);
        let ticket = Ticket::parse(text).map_err(|error| refuse(error.to_string()))?;
        if self.spaces.contains_key(&ticket.space) {
            return Err(refuse("this device is a member of its space already".into()));
        }
        if ticket.inviter == self.device() {
            return Err(refuse("this very device gave it out; use it on another".into()));
        }
        let now_s = self.now.wall_ms / 1000;
        if ticket.is_expired(now_s) {
            let why = format!(
                "it expired {} s ago by this device's clock; ask for a new one, or set the clock right if it is wrong",
                now_s - ticket.expires_unix_s
            );
            return Err(refuse(why));
        }
        let key = ticket.id();
        if self.joins.contains_key(&key) {
            return Err(refuse("it is being used by this device already".into()));
        }
        let inviter = ticket.inviter;
        let join = PendingJoin {
            request: Some(id),
            ticket,
            link: None,
            welcomed: false,
            grants: Vec::new(),
            granted_bytes: 0,
            founded: false,
        };
        self.joins.insert(key, join);
        self.keep_peers();
        let linked: Vec<LinkId> =
            self.links.iter().filter(|(_, state)| state.device == Some(inviter)).map(|(link, _)| *link).collect();
        if let Some(link) = linked.first() {
            self.send_join(*link, key);
        }
        Ok(())
    }

    pub(super) fn cancel_join(&mut self, id: RequestId, text: &str) -> Result<(), RequestError> {
        let ticket = Ticket::parse(text).map_err(|error| RequestError::Ticket(error.to_string()))?;
        if let Some(join) = self.joins.remove(&ticket.id())
            && let Some(request) = join.request
        {
            self.reply(request, Err(RequestError::Cancelled));
        }
        self.keep_peers();
        self.reply(id, Ok(Reply::Done));
        Ok(())
    }

    /// Whether a link is used to join: it may then send more than a stranger.
    pub(super) fn is_joining(&self, link: LinkId) -> bool {
        self.joins.values().any(|join| join.link == Some(link))
    }

    /// A device was proved on a link: if it gave out a ticket that is to be used, use it.
    pub(super) fn joins_on_link(&mut self, link: LinkId, device: DeviceId) {
        let Some(state) = self.links.get(&link) else { return };
        let mut ready = Vec::new();
        let mut impostor = Vec::new();
        for (key, join) in self.joins.iter().filter(|(_, join)| join.link.is_none()) {
            if join.ticket.inviter == device {
                ready.push(*key);
            } else if join.ticket.peer == state.peer {
                impostor.push(*key);
            }
        }
        for key in ready {
            self.send_join(link, key);
        }
        for key in impostor {
            self.end_join(key, Err("the device at its address is not the one that gave it out".into()));
        }
    }

    fn transcript(&self, link: LinkId, space: SpaceId, joiner: DeviceId, certificate: &[u8]) -> Option<Transcript> {
        let state = self.links.get(&link)?;
        let (mine, theirs) = state.nonces()?;
        let (me, other) = (self.identity.transport_peer(), state.peer.clone());
        let device = state.device?;
        let joining = joiner == self.device();
        let (joiner_peer, inviter_peer) = if joining { (me, other) } else { (other, me) };
        let (joiner_nonce, inviter_nonce) = if joining { (mine, theirs) } else { (theirs, mine) };
        let inviter_device = if joining { device } else { self.device() };
        Some(Transcript {
            space,
            joiner_peer,
            inviter_peer,
            joiner_nonce,
            inviter_nonce,
            joiner_device: joiner,
            inviter_device,
            joiner_certificate: certificate.to_vec(),
        })
    }

    fn send_join(&mut self, link: LinkId, key: [u8; 16]) {
        let certificate = self.identity.certificate.encode();
        let Some(space) = self.joins.get(&key).map(|join| join.ticket.space) else { return };
        let Some(transcript) = self.transcript(link, space, self.device(), &certificate) else { return };
        let Some(join) = self.joins.get_mut(&key) else { return };
        join.link = Some(link);
        let mac = ticket::join_mac(&join.ticket.secret, &transcript);
        self.send(link, &Frame::Join { ticket: key, certificate, mac });
    }

    pub(super) fn on_join(&mut self, link: LinkId, key: [u8; 16], certificate: &[u8], mac: &[u8; 32]) {
        match self.admit(link, key, certificate, mac) {
            Ok(()) => {}
            Err(reason) => self.send(link, &Frame::Refuse { ticket: key, reason }),
        }
    }

    /// Checks a joiner and makes it a member.
    ///
    /// # Errors
    /// Why not, for the person at the other end.
    fn admit(&mut self, link: LinkId, key: [u8; 16], bytes: &[u8], mac: &[u8; 32]) -> Result<(), String> {
        let unknown = "this device gave out no such invitation; ask for a new one";
        let device = self.links.get(&link).and_then(|state| state.device).ok_or(unknown)?;
        let invitation = self.invitations.get(&key).cloned().ok_or(unknown)?;
        let transcript = self.transcript(link, invitation.space, device, bytes).ok_or(unknown)?;
        if !ticket::verify_join(&invitation.secret, &transcript, mac) {
            return Err(unknown.into());
        }
        if let Some(user) = invitation.used_by.filter(|user| *user != device) {
            return Err(format!("it was used already, by device {}; ask for a new one", user.short()));
        }
        let certificate =
            DeviceCertificate::decode(bytes).map_err(|error| format!("the device's certificate: {error}"))?;
        if certificate.device != device {
            return Err("the device's certificate is not for the device that asks".into());
        }
        let space = invitation.space;
        let welcome = Effect::Welcome { link, ticket: key, space, certificate: bytes.to_vec() };
        let known = self.spaces.get(&space).ok_or("its space is no longer on this device")?;
        if known.roster.role_of(&device).is_some() {
            self.store(Vec::new(), vec![welcome]);
            return Ok(());
        }
        let now_s = self.now.wall_ms / 1000;
        if invitation.expires_unix_s < now_s {
            let ago = now_s - invitation.expires_unix_s;
            return Err(format!("it expired {ago} s ago by the inviter's clock; ask for a new one"));
        }
        let (keys, wall_ms) = (self.keys(), self.now.wall_ms);
        let known = self.spaces.get(&space).ok_or(unknown)?;
        let ops = known
            .roster
            .add_member(&keys, &known.keys, &certificate, invitation.role, wall_ms, &mut self.entropy)
            .map_err(|error| format!("the inviter can no longer admit anyone: {error}"))?;
        let used = Invitation { used_by: Some(device), ..invitation };
        let record = used.encode();
        self.invitations.insert(key, used);
        let name = certificate.name.clone();
        let invited = Effect::Notify(Event::Invited { space, device, name });
        self.store(vec![StoreOp::PutInvitation { ticket: key, record }], Vec::new());
        self.insert_own_ops(space, ops, vec![welcome, invited]).map_err(|error| error.to_string())
    }

    /// The new member is durable: tell it, and give it the roster.
    pub(super) fn welcome(&mut self, link: LinkId, key: [u8; 16], space: SpaceId, certificate: &[u8]) {
        let Some(device) = self.links.get(&link).and_then(|state| state.device) else { return };
        let Some(invitation) = self.invitations.get(&key) else { return };
        let Some(known) = self.spaces.get(&space) else { return };
        let Some(transcript) = self.transcript(link, space, device, certificate) else { return };
        let mac = ticket::welcome_mac(&invitation.secret, &transcript);
        let mut frames = vec![Frame::Welcome { ticket: key, space, mac }];
        let ops: Vec<Vec<u8>> = known.roster.ops().map(<[u8]>::to_vec).collect();
        let last = ops.len().saturating_sub(1);
        frames.extend(ops.into_iter().enumerate().map(|(index, bytes)| Frame::Grant {
            ticket: key,
            last: index == last,
            bytes,
        }));
        for frame in frames {
            self.send(link, &frame);
        }
        // From now on the link is that of a member.
        let (peer, address) = match self.links.get(&link) {
            Some(state) if state.dialled => (state.peer.clone(), state.address.clone()),
            Some(state) => (state.peer.clone(), String::new()),
            None => return,
        };
        if let Some(known) = self.spaces.get_mut(&space) {
            let known = known.peers.entry(device).or_default();
            (known.peer_id, known.dirty) = (peer, true);
            known.met_at(&address);
        }
        self.peer_changed();
        self.keep_peers();
    }

    pub(super) fn on_welcome(&mut self, link: LinkId, key: [u8; 16], space: SpaceId, mac: &[u8; 32]) {
        let certificate = self.identity.certificate.encode();
        let Some(join) = self.joins.get(&key).filter(|join| join.link == Some(link)) else {
            return self.fault(link, "welcomed a device that did not ask");
        };
        let Some(transcript) = self.transcript(link, join.ticket.space, self.device(), &certificate) else { return };
        let right = space == join.ticket.space && ticket::verify_welcome(&join.ticket.secret, &transcript, mac);
        if !right {
            return self.fault(link, "welcomed this device without knowing the ticket's secret");
        }
        if let Some(join) = self.joins.get_mut(&key) {
            join.welcomed = true;
        }
        // Grants travel on another stream and may have come first.
        self.try_found(link, key);
    }

    pub(super) fn on_refuse(&mut self, link: LinkId, key: [u8; 16], reason: &str) {
        if self.joins.get(&key).is_some_and(|join| join.link == Some(link)) {
            self.end_join(key, Err(reason.to_owned()));
        }
    }

    pub(super) fn on_grant(&mut self, link: LinkId, key: [u8; 16], last: bool, bytes: Vec<u8>) {
        let Some(join) = self.joins.get_mut(&key).filter(|join| join.link == Some(link)) else {
            return self.fault(link, "granted what was not asked");
        };
        join.granted_bytes += bytes.len();
        if join.grants.len() > ROSTER_OPS || join.granted_bytes > GRANT_BYTES {
            return self.fault(link, "granted more of a roster than a space may have");
        }
        join.grants.push(bytes);
        if last {
            join.grants.push(Vec::new()); // Marks the end, so that a later welcome knows.
            self.try_found(link, key);
        }
    }

    /// With the welcome and all grants here, the space can be founded on this device.
    fn try_found(&mut self, link: LinkId, key: [u8; 16]) {
        let Some(join) = self.joins.get_mut(&key) else { return };
        if !join.welcomed || join.grants.last().is_none_or(|last| !last.is_empty()) {
            return;
        }
        join.grants.pop();
        let (ops, expected) = (std::mem::take(&mut join.grants), join.ticket.space);
        if join.founded {
            // Welcomed a second time, on a new link, before the disk was done: the space is at work already, and what it is doing
            // must not be lost. What is new in the roster comes by the exchange.
            return;
        }
        if self.spaces.contains_key(&expected) {
            return self.end_join(key, Err("this device became a member of its space by another ticket".into()));
        }
        let built = super::roster_sync::build(&ops);
        let (roster, mut store) = match built {
            Ok((roster, store)) if roster.space() == expected => (roster, store),
            Ok(_) => return self.end_join(key, Err("the inviter sent the roster of another space".into())),
            Err(error) => return self.end_join(key, Err(format!("the inviter's roster is not valid: {error}"))),
        };
        let mut space = Space::new(expected, roster, &self.identity.keys);
        if space.roster.role_of(&self.device()).is_none() {
            return self.end_join(key, Err("the inviter's roster does not name this device".into()));
        }
        if let (Some(state), Some(join)) = (self.links.get(&link), self.joins.get(&key)) {
            let peer = space.peers.entry(join.ticket.inviter).or_default();
            peer.peer_id.clone_from(&state.peer);
            peer.addresses = join.ticket.addresses.iter().take(crate::limits::PEER_ADDRESSES).cloned().collect();
            // With the roster and not later: a program that ends when it has joined must find the inviter again.
            store.push(StoreOp::PutPeer { space: expected, device: join.ticket.inviter, record: peer.encode() });
        }
        self.spaces.insert(expected, space);
        if let Some(join) = self.joins.get_mut(&key) {
            join.founded = true;
        }
        self.store(store, vec![Effect::Joined { space: expected, ticket: key }]);
    }

    /// The space is durable here.
    pub(super) fn joined(&mut self, space: SpaceId, key: [u8; 16]) {
        self.end_join(key, Ok(space));
        self.notify(Event::RosterChanged { space });
        // Other members heard of this device from the inviter, and may have dialled it before it knew that it is one.
        let proved = self.links.iter().filter(|(_, state)| state.device.is_some());
        let links: Vec<LinkId> = proved.map(|(link, _)| *link).collect();
        links.into_iter().for_each(|link| self.send_tags(link));
    }

    fn end_join(&mut self, key: [u8; 16], result: Result<SpaceId, String>) {
        if let Some(join) = self.joins.remove(&key)
            && let Some(id) = join.request
        {
            let result = result.map(Reply::Space).map_err(RequestError::Ticket);
            self.outputs.push_back(Output::Reply { id, result });
        }
        self.keep_peers();
    }
}
