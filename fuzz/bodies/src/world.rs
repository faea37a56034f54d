//! A whole world of devices, driven by bytes.
//!
//! Everything that knows the simulator's [`World`] is in this file, and in it mostly in [`Rig`]: a richer world needs only a
//! richer [`Rig::step`].

use arbitrary::{Result, Unstructured};
use farshore_core::batch::CollectionKey;
use farshore_core::document::{Edit, Step};
use farshore_core::id::DocumentId;
use farshore_core::input::{Class, DocEdit, DocOp, LinkId, Request};
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

use crate::Outcome;

/// Devices: the least with somebody in the middle.
const DEVICES: usize = 3;
/// Steps of one input.
const STEPS: usize = 64;
/// Rounds of meetings in a ring within which all must be equal.
const ROUNDS: usize = 3;

/// The bytes are a script: edits, links up and down, frames delivered one by one, time, kills, and a stranger's frames.
///
/// Checked: nothing panics, nobody talks without end, a stranger's frames cost only its own link, and after meetings in a ring
/// all devices hold the same journals and show the same views.
pub fn world(data: &[u8]) -> Outcome {
    let mut u = Unstructured::new(data);
    let mut rig = Rig::new();
    for _ in 0..STEPS {
        if u.is_empty() || rig.step(&mut u).is_err() {
            break;
        }
    }
    rig.converges();
    if rig.edits > 0 { Outcome::Accepted } else { Outcome::Refused }
}

struct Rig {
    world: World,
    key: CollectionKey,
    links: Vec<LinkId>,
    stranger: Option<(LinkId, usize)>,
    kills: u64,
    edits: u64,
}

impl Rig {
    fn new() -> Rig {
        let mut world = World::new(1, DEVICES);
        let key = world.found("home", "notes", Role::Writer);
        Rig { world, key, links: Vec::new(), stranger: None, kills: 0, edits: 0 }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let device = u.choose_index(DEVICES)?;
        match u.int_in_range(0..=11_u8)? {
            0..=4 => self.edit(u, device)?,
            5 => {
                let other = (device + 1 + u.choose_index(DEVICES - 1)?) % DEVICES;
                self.links.push(self.world.link(device, other));
            }
            6 if !self.links.is_empty() => {
                let link = self.links.swap_remove(u.choose_index(self.links.len())?);
                self.world.cut(link);
            }
            7 => drop(self.world.run()),
            8 => {
                for _ in 0..u.int_in_range(1..=16_u8)? {
                    self.world.step();
                }
            }
            9 => self.world.pass(u.arbitrary::<u16>()?.into()),
            10 => {
                self.kills += 1;
                self.world.restart(device, self.kills);
            }
            _ => self.stranger(u, device)?,
        }
        Ok(())
    }

    fn edit(&mut self, u: &mut Unstructured<'_>, device: usize) -> Result<()> {
        let op = match u.int_in_range(0..=7_u8)? {
            0 => DocOp::Delete,
            1 | 2 => DocOp::Upsert(value(u, 2)?),
            3 => DocOp::Create(value(u, 2)?),
            _ => DocOp::Edit((0..u.int_in_range(1..=3_u8)?).map(|_| change(u)).collect::<Result<_>>()?),
        };
        let edits = vec![DocEdit { document: DocumentId([u.arbitrary::<u8>()? % 4; 16]), keyed: u.ratio(3, 4)?, op }];
        let request = Request::Edit { space: self.key.space, collection: self.key.collection, edits };
        let now = self.world.now();
        let id = self.world.devices[device].request(now, request);
        // An edit that does not fit the document is refused; that it is answered at once is what is promised.
        assert!(self.world.devices[device].reply(id).is_some(), "local work waits for nobody");
        self.edits += 1;
        Ok(())
    }

    /// Somebody who is not a member, on a link of his own.
    fn stranger(&mut self, u: &mut Unstructured<'_>, device: usize) -> Result<()> {
        let (link, to) = *self.stranger.get_or_insert_with(|| (self.world.link_outside(device, vec![9; 38]), device));
        let class = *u.choose(&[Class::Ctl, Class::Live, Class::Bulk])?;
        let length = u.arbitrary::<u8>()?.into();
        let bytes = u.bytes(u.len().min(length))?.to_vec();
        self.world.inject(link, to, class, bytes);
        if self.world.outside(link).is_none_or(|outside| outside.closed.is_some()) {
            self.stranger = None;
        }
        Ok(())
    }

    fn converges(&mut self) {
        self.world.cut_all();
        for _ in 0..ROUNDS {
            for device in 0..DEVICES {
                let link = self.world.link(device, (device + 1) % DEVICES);
                self.world.run();
                self.world.cut(link);
            }
        }
        let (space, stores) = (self.key.space, &self.world.devices);
        for device in 1..DEVICES {
            assert_eq!(self.world.views(device, self.key), self.world.views(0, self.key), "device {device}");
            let held = |device: usize| -> Vec<_> {
                let journals = stores[device].store.journals(space);
                journals.into_iter().map(|(journal, state)| (journal, state.held)).collect()
            };
            assert_eq!(held(device), held(0), "device {device}");
        }
    }
}

const KEYS: [&str; 4] = ["a", "b", "text", "list"];

fn value(u: &mut Unstructured<'_>, depth: u8) -> Result<Value> {
    if depth == 2 {
        let mut fields = std::collections::BTreeMap::new();
        for _ in 0..u.int_in_range(0..=3_u8)? {
            fields.insert((*u.choose(&KEYS)?).to_owned(), value(u, 1)?);
        }
        return Ok(Value::Map(fields));
    }
    Ok(match u.int_in_range(0..=8_u8)? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => Value::Int(u.arbitrary()?),
        3 => Value::Float(u.arbitrary()?),
        4 => Value::Str(u.arbitrary()?),
        5 => Value::Counter(u.arbitrary::<i8>()?.into()),
        6 => Value::Bytes(u.arbitrary()?),
        7 if depth > 0 => Value::List((0..u.int_in_range(0..=3_u8)?).map(|_| value(u, depth - 1)).collect::<Result<_>>()?),
        _ => Value::Text(u.arbitrary()?),
    })
}

fn change(u: &mut Unstructured<'_>) -> Result<Edit> {
    let key = *u.choose(&KEYS)?;
    let path = vec![Step::Key(key.to_owned())];
    let element = |u: &mut Unstructured<'_>| -> Result<Vec<Step>> {
        Ok(vec![Step::Key("list".to_owned()), Step::Index(u.int_in_range(0..=4)?)])
    };
    Ok(match u.int_in_range(0..=6_u8)? {
        0 => Edit::Delete { path },
        1 => Edit::Increment { path, by: u.arbitrary::<i8>()?.into() },
        2 => Edit::Splice {
            path: vec![Step::Key("text".to_owned())],
            at: u.int_in_range(0..=8)?,
            delete: u.int_in_range(0..=3)?,
            insert: u.arbitrary()?,
        },
        3 => Edit::Insert { path: element(u)?, value: value(u, 0)? },
        4 => Edit::Delete { path: element(u)? },
        5 => Edit::UpdateText { path: vec![Step::Key("text".to_owned())], to: u.arbitrary()? },
        _ => Edit::put(path, value(u, 1)?),
    })
}
