//! Devices, links and time.

use std::collections::BTreeMap;

use farshore_core::batch::CollectionKey;
use farshore_core::catalogue::CollectionDefinition;
use farshore_core::id::{DocumentId, SpaceId};
use farshore_core::input::{Class, DocEdit, Input, LinkId, Now, Request};
use farshore_core::job::WriteError;
use farshore_core::output::{Edited, Reply};
use farshore_core::role::Role;

use crate::device::{Device, Transmission};

/// When the simulated wall clocks start: 2026-01-01.
pub const START_UNIX_MS: u64 = 1_767_225_600_000;

/// One direction of time for all: devices, links, and frames under way.
#[derive(Debug)]
pub struct World {
    /// The devices, by number.
    pub devices: Vec<Device>,
    /// Milliseconds since the start.
    pub clock_ms: u64,
    /// One-way delay of every link, in milliseconds.
    pub latency_ms: u64,
    links: BTreeMap<LinkId, Ends>,
    outside: BTreeMap<LinkId, Outside>,
    last_link: u64,
    under_way: BTreeMap<(u64, u64), Delivery>,
    sent: u64,
    /// Frames delivered so far.
    pub delivered: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    a: usize,
    b: usize,
}

/// What a device said on a link whose other end is not one of the world's devices.
#[derive(Debug, Default)]
pub struct Outside {
    /// The frames that it sent, in order.
    pub frames: Vec<(Class, Vec<u8>)>,
    /// Why it closed the link, once it did.
    pub closed: Option<String>,
}

#[derive(Debug)]
struct Delivery {
    to: usize,
    link: LinkId,
    class: Class,
    bytes: Vec<u8>,
}

impl World {
    /// A world with `count` devices named a, b, c ...
    pub fn new(seed: u64, count: usize) -> World {
        let mut world = World {
            devices: Vec::new(),
            clock_ms: 0,
            latency_ms: 1,
            links: BTreeMap::new(),
            outside: BTreeMap::new(),
            last_link: 0,
            under_way: BTreeMap::new(),
            sent: 0,
            delivered: 0,
        };
        for index in 0..count {
            let name = char::from(b'a' + (index % 26) as u8).to_string();
            world.devices.push(Device::create(device_seed(seed, index as u64, 0), &name, world.now()));
        }
        world
    }

    /// The time, the same for every device.
    pub fn now(&self) -> Now {
        Now { mono_ms: self.clock_ms, wall_ms: START_UNIX_MS + self.clock_ms }
    }

    /// Connects two devices; the first dialled.
    pub fn link(&mut self, a: usize, b: usize) -> LinkId {
        self.last_link += 1;
        let link = LinkId(self.last_link);
        self.links.insert(link, Ends { a, b });
        let now = self.now();
        for (me, other, dialled) in [(a, b, true), (b, a, false)] {
            let peer = self.devices[other].replica.identity().transport_peer();
            let address = format!("/memory/{other}");
            self.devices[me].input(now, Input::LinkUp { link, peer, address, dialled });
        }
        self.collect();
        link
    }

    /// Connects a device with somebody outside the world, who says whatever he likes with [`World::inject`].
    pub fn link_outside(&mut self, device: usize, peer: Vec<u8>) -> LinkId {
        self.last_link += 1;
        let link = LinkId(self.last_link);
        self.outside.insert(link, Outside::default());
        let (now, address) = (self.now(), "/memory/outside".to_owned());
        self.devices[device].input(now, Input::LinkUp { link, peer, address, dialled: false });
        self.collect();
        link
    }

    /// What a device said on such a link; `None` for any other link.
    pub fn outside(&mut self, link: LinkId) -> Option<&mut Outside> {
        self.outside.get_mut(&link)
    }

    /// Cuts a link: frames under way are lost.
    pub fn cut(&mut self, link: LinkId) {
        let Some(ends) = self.links.remove(&link) else { return };
        self.under_way.retain(|_, delivery| delivery.link != link);
        let now = self.now();
        for device in [ends.a, ends.b] {
            self.devices[device].input(now, Input::LinkDown { link });
        }
        self.collect();
    }

    /// Cuts every link.
    pub fn cut_all(&mut self) {
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.cut(link);
        }
    }

    /// Kills a device and starts it again on what its disk holds.
    pub fn restart(&mut self, device: usize, seed: u64) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, ends)| ends.a == device || ends.b == device).map(|(link, _)| *link).collect();
        links.into_iter().for_each(|link| self.cut(link));
        let old = &self.devices[device];
        let fresh = Device::start(old.store.clone(), device_seed(seed, device as u64, 1 + self.clock_ms), self.now());
        self.devices[device] = fresh.expect("a store that a device wrote opens");
        self.collect();
    }

    /// Delivers what is under way, in order of time, until nothing is. Returns the number of frames.
    ///
    /// # Panics
    /// After a million frames: devices that never fall silent.
    pub fn run(&mut self) -> u64 {
        let before = self.delivered;
        self.collect();
        while self.step() {
            assert!(self.delivered - before < 1_000_000, "the devices never fall silent");
        }
        self.delivered - before
    }

    /// Delivers the next frame; false if none is under way.
    pub fn step(&mut self) -> bool {
        self.collect();
        let Some(((at, _), delivery)) = self.under_way.pop_first() else { return false };
        self.clock_ms = self.clock_ms.max(at);
        self.delivered += 1;
        let Delivery { to, link, class, bytes } = delivery;
        let now = self.now();
        self.devices[to].input(now, Input::Frame { link, class, bytes });
        self.collect();
        true
    }

    /// Lets time pass and wakes devices whose time has come.
    pub fn pass(&mut self, ms: u64) {
        self.clock_ms += ms;
        let now = self.now();
        for device in &mut self.devices {
            if device.replica.poll_timeout().is_some_and(|(at, _)| at <= now.mono_ms) {
                device.input(now, Input::Wake);
            }
        }
        self.run();
    }

    /// Puts a frame of one's own making on a link, to the device at its other end.
    pub fn inject(&mut self, link: LinkId, to: usize, class: Class, bytes: Vec<u8>) {
        let now = self.now();
        self.devices[to].input(now, Input::Frame { link, class, bytes });
        self.collect();
    }

    fn collect(&mut self) {
        for from in 0..self.devices.len() {
            for transmission in self.devices[from].transmissions() {
                match transmission {
                    Transmission::Frame { link, class, bytes } => {
                        if let Some(outside) = self.outside.get_mut(&link) {
                            outside.frames.push((class, bytes));
                            continue;
                        }
                        let Some(ends) = self.links.get(&link) else { continue };
                        let to = if ends.a == from { ends.b } else { ends.a };
                        self.sent += 1;
                        let at = self.clock_ms + self.latency_ms;
                        self.under_way.insert((at, self.sent), Delivery { to, link, class, bytes });
                    }
                    Transmission::Close { link, reason } => {
                        if let Some(outside) = self.outside.get_mut(&link) {
                            outside.closed.get_or_insert(reason);
                        }
                        let Some(ends) = self.links.remove(&link) else { continue };
                        let other = if ends.a == from { ends.b } else { ends.a };
                        let now = self.now();
                        self.devices[other].input(now, Input::LinkDown { link });
                    }
                }
            }
        }
    }

    /// Founds a space on a device with one collection, and lets every other device join it with this role.
    ///
    /// # Panics
    /// When a device does not get in: a scenario's mistake, or a defect.
    pub fn found(&mut self, name: &str, collection: &str, role: Role) -> CollectionKey {
        let now = self.now();
        let Reply::Space(space) = self.devices[0].ask(now, Request::CreateSpace { name: name.into() }) else {
            panic!("a space is founded")
        };
        let definition = CollectionDefinition::new(collection);
        let Reply::Collection(tag) = self.devices[0].ask(now, Request::DefineCollection { space, definition }) else {
            panic!("a collection is defined")
        };
        for joiner in 1..self.devices.len() {
            self.join(space, joiner, role);
        }
        CollectionKey { space, collection: tag }
    }

    /// Lets a device join a space of device 0, over a link that is cut again.
    ///
    /// # Panics
    /// When it does not get in.
    pub fn join(&mut self, space: SpaceId, joiner: usize, role: Role) {
        let now = self.now();
        let peer = self.devices[0].replica.identity().transport_peer();
        let expires_unix_s = now.wall_ms / 1000 + 3600;
        let invite = Request::Invite { space, role, expires_unix_s, peer, addresses: vec!["/memory/0".into()] };
        let Reply::Ticket(ticket) = self.devices[0].ask(now, invite) else { panic!("a ticket is given") };
        let request = self.devices[joiner].request(now, Request::Join { ticket });
        let link = self.link(joiner, 0);
        self.run();
        let reply = self.devices[joiner].reply(request).expect("the join is answered");
        assert_eq!(reply, Ok(Reply::Space(space)));
        self.cut(link);
    }

    /// Lets an app edit documents of a collection, as one request; what became of each.
    ///
    /// # Panics
    /// When the request as a whole is refused: a scenario's mistake.
    pub fn edit(&mut self, device: usize, key: CollectionKey, edits: Vec<DocEdit>) -> Vec<Result<Edited, WriteError>> {
        let request = Request::Edit { space: key.space, collection: key.collection, edits };
        let now = self.now();
        let Reply::Edited(results) = self.devices[device].ask(now, request) else { panic!("an edit is answered") };
        results
    }

    /// The same, of edits that are all allowed.
    ///
    /// # Panics
    /// When one is refused: a scenario's mistake.
    pub fn write(&mut self, device: usize, key: CollectionKey, edits: Vec<DocEdit>) {
        let results = self.edit(device, key, edits);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    /// The views that a device shows of a collection.
    pub fn views(&self, device: usize, key: CollectionKey) -> BTreeMap<DocumentId, Vec<u8>> {
        self.devices[device].store.views(key.space, key.collection)
    }
}

fn device_seed(seed: u64, device: u64, life: u64) -> [u8; 32] {
    let mut out = [0; 32];
    out[..8].copy_from_slice(&seed.to_be_bytes());
    out[8..16].copy_from_slice(&device.to_be_bytes());
    out[16..24].copy_from_slice(&life.to_be_bytes());
    out
}
