//! A peer that skips our API, in a scene: it holds real keys, speaks frames by hand, and can say anything.

use farshore_core::batch::CollectionKey;
use farshore_core::entry::Entry;
use farshore_core::input::{Class, Input, LinkId};
use farshore_core::keys::DeviceKeys;
use farshore_core::ticket::{self, Ticket, Transcript};
use farshore_core::wire::{Frame, Handle, Hello, State};
pub(crate) use farshore_sim::byzantine::peer::RawPeer;
use farshore_sim::byzantine::peer::secrets;
use farshore_sim::{Device, World};

/// The keys of a device, stolen from its disk.
pub(crate) fn device_keys(device: &Device) -> DeviceKeys {
    secrets(&device.store.boot()).unwrap().1
}

/// Takes over a device of the world.
pub(crate) fn steal(device: &Device, key: CollectionKey) -> RawPeer {
    RawPeer::steal(&device.store.boot(), device.replica.identity().transport_peer(), key).unwrap()
}

/// One connection of a raw peer to a device.
pub(crate) struct Line {
    pub(crate) link: LinkId,
    pub(crate) to: usize,
    pub(crate) mine: Hello,
    pub(crate) theirs: Option<Hello>,
    pub(crate) handle: Handle,
}

/// What a raw peer does in a world.
pub(crate) trait InWorld {
    /// Connects, and says nothing yet.
    fn connect(&mut self, world: &mut World, to: usize) -> Line;
    /// The proof that this peer's device is on that connection.
    fn proof(&self, world: &World, line: &Line) -> [u8; 64];
    /// Connects and proves the device, as an honest peer does.
    fn greet(&mut self, world: &mut World, to: usize) -> Line;
    /// Connects, proves the device and finds the space, as an honest member does; entries may follow.
    fn meet(&mut self, world: &mut World, to: usize) -> Line;
    /// A state of this peer; by default one that equals nothing.
    fn state_on(&self, line: &Line, fresh: bool) -> State;
    /// The frame that takes up an invitation.
    fn join(&self, world: &World, line: &Line, ticket: &Ticket) -> Frame;
}

impl InWorld for RawPeer {
    fn connect(&mut self, world: &mut World, to: usize) -> Line {
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

    fn proof(&self, world: &World, line: &Line) -> [u8; 64] {
        let their_peer = world.devices[line.to].replica.identity().transport_peer();
        self.proof_for(&line.mine, line.theirs.as_ref().unwrap(), &their_peer)
    }

    fn greet(&mut self, world: &mut World, to: usize) -> Line {
        let line = self.connect(world, to);
        line.send(world, &Frame::Hello(line.mine.clone()));
        let signature = self.proof(world, &line);
        line.send(world, &Frame::Auth { signature });
        line
    }

    fn meet(&mut self, world: &mut World, to: usize) -> Line {
        let mut line = self.greet(world, to);
        let (tag, handle) = self.tag_and_handle(&line.mine, line.theirs.as_ref().unwrap());
        line.handle = handle;
        line.send(world, &Frame::Spaces { tags: vec![tag] });
        assert_eq!(line.closed(world), None);
        line
    }

    fn state_on(&self, line: &Line, fresh: bool) -> State {
        self.state(line.handle, fresh)
    }

    fn join(&self, world: &World, line: &Line, ticket: &Ticket) -> Frame {
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
            Frame::Entry { .. } | Frame::Next { .. } | Frame::Part { .. } => Class::Live,
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
