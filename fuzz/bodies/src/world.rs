//! A whole world of devices, driven by bytes.
//!
//! Everything that knows the simulator's [`World`] is in this file, and in it mostly in [`Rig`]: a richer world needs only a
//! richer [`Act`] and [`Rig::carry_out`].

use arbitrary::{Result, Unstructured};
use farshore_core::batch::CollectionKey;
use farshore_core::document::{Edit, Step};
use farshore_core::id::{DocumentId, JournalId, Position};
use farshore_core::input::{Class, DocEdit, DocOp, LinkId, Request};
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;

use crate::Outcome;

/// Devices: the least with somebody in the middle.
const DEVICES: usize = 3;
/// Steps of one input, and the replies to its edits.
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
    while !u.is_empty() && rig.done.len() < STEPS {
        match act(&mut u) {
            Ok(act) => rig.carry_out(act),
            Err(_) => break,
        }
    }
    rig.converges();
    if rig.edits > 0 { Outcome::Accepted } else { Outcome::Refused }
}

/// One step of a script.
#[derive(Debug)]
enum Act {
    Edit(usize, DocEdit),
    Link(usize, usize),
    /// One of the links that are up.
    Cut(usize),
    Silence,
    Deliver(u8),
    Pass(u64),
    Kill(usize),
    /// Somebody who is not a member says this to a device.
    Stranger(usize, Class, Vec<u8>),
}

fn act(u: &mut Unstructured<'_>) -> Result<Act> {
    let device = u.choose_index(DEVICES)?;
    Ok(match u.int_in_range(0..=11_u8)? {
        0..=4 => Act::Edit(device, edit(u)?),
        5 => Act::Link(device, (device + 1 + u.choose_index(DEVICES - 1)?) % DEVICES),
        6 => Act::Cut(u.arbitrary::<u8>()?.into()),
        7 => Act::Silence,
        8 => Act::Deliver(u.int_in_range(1..=16)?),
        9 => Act::Pass(u.arbitrary::<u16>()?.into()),
        10 => Act::Kill(device),
        _ => {
            let class = *u.choose(&[Class::Ctl, Class::Live, Class::Bulk])?;
            let length = u.arbitrary::<u8>()?.into();
            Act::Stranger(device, class, u.bytes(u.len().min(length))?.to_vec())
        }
    })
}

fn edit(u: &mut Unstructured<'_>) -> Result<DocEdit> {
    let op = match u.int_in_range(0..=7_u8)? {
        0 => DocOp::Delete,
        1 | 2 => DocOp::Upsert(value(u, 2)?),
        3 => DocOp::Create(value(u, 2)?),
        _ => DocOp::Edit((0..u.int_in_range(1..=3_u8)?).map(|_| change(u)).collect::<Result<_>>()?),
    };
    let document = u.arbitrary::<u8>()? % 5;
    Ok(DocEdit { document: DocumentId([document; 16]), keyed: document > 1, op })
}

/// Views by document, and how far journals are held.
type Sight = (Vec<(DocumentId, Option<Value>)>, Vec<(JournalId, Position)>);

struct Rig {
    world: World,
    key: CollectionKey,
    links: Vec<LinkId>,
    stranger: Option<(LinkId, usize)>,
    edits: u64,
    /// Documents whose id no key gave.
    created: u8,
    /// What was done, for a person who reads a failure.
    done: Vec<String>,
}

impl Rig {
    fn new() -> Rig {
        let mut world = World::new(1, DEVICES);
        let key = world.found("home", "notes", Role::Writer);
        Rig { world, key, links: Vec::new(), stranger: None, edits: 0, created: 0, done: Vec::new() }
    }

    fn carry_out(&mut self, act: Act) {
        self.done.push(format!("{act:?}"));
        match act {
            Act::Edit(device, edit) => self.edit(device, edit),
            Act::Link(a, b) => self.links.push(self.world.link(a, b)),
            Act::Cut(_) if self.links.is_empty() => {}
            Act::Cut(at) => self.world.cut(self.links.swap_remove(at % self.links.len())),
            Act::Silence => drop(self.world.run()),
            Act::Deliver(frames) => drop((0..frames).map(|_| self.world.step()).filter(|more| *more).count()),
            Act::Pass(ms) => self.world.pass(ms),
            Act::Kill(device) => self.world.restart(device, self.done.len() as u64),
            Act::Stranger(device, class, bytes) => self.stranger(device, class, bytes),
        }
    }

    fn edit(&mut self, device: usize, mut edit: DocEdit) {
        if !edit.keyed {
            // An id that no key gave is drawn at random by whoever creates the document: nobody creates it twice.
            self.created += u8::from(matches!(edit.op, DocOp::Create(_)));
            edit.document = DocumentId([0x80 | self.created; 16]);
            if let DocOp::Upsert(value) = edit.op {
                edit.op = DocOp::Edit(vec![Edit::Merge { value }]);
            }
        }
        let request = Request::Edit { space: self.key.space, collection: self.key.collection, edits: vec![edit] };
        let now = self.world.now();
        let id = self.world.devices[device].request(now, request);
        // An edit that does not fit the document is refused; that it is answered at once is what is promised.
        let reply = self.world.devices[device].reply(id).expect("local work waits for nobody");
        self.done.push(format!("  {reply:?}"));
        self.edits += 1;
    }

    fn stranger(&mut self, device: usize, class: Class, bytes: Vec<u8>) {
        let (link, to) = *self.stranger.get_or_insert_with(|| (self.world.link_outside(device, vec![9; 38]), device));
        self.world.inject(link, to, class, bytes);
        if self.world.outside(link).is_none_or(|outside| outside.closed.is_some()) {
            self.stranger = None;
        }
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
        for device in 1..DEVICES {
            let (mine, theirs) = (self.sight(device), self.sight(0));
            assert!(
                mine == theirs,
                "device {device}: {mine:#?}\ndevice 0: {theirs:#?}\nafter\n{}",
                self.done.join("\n")
            );
        }
    }

    /// What a device shows and holds: documents, and how far each journal goes.
    fn sight(&self, device: usize) -> Sight {
        let views = self.world.views(device, self.key).into_iter();
        let journals = self.world.devices[device].store.journals(self.key.space).into_iter();
        let views = views.map(|(document, bytes)| (document, Value::decode(&bytes).ok()));
        (views.collect(), journals.map(|(journal, state)| (journal, state.held)).collect())
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
        7 if depth > 0 => {
            Value::List((0..u.int_in_range(0..=3_u8)?).map(|_| value(u, depth - 1)).collect::<Result<_>>()?)
        }
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
