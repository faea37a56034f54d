//! A disk in memory that knows what is durable and what is not, and can be cut at any operation.
//!
//! Which faults, and why no more: a power cut may lose, keep or tear (at 512 bytes) every write since the last sync, each by
//! itself, which includes every order in which a disk may have done them; a change of length likewise. Bytes outside
//! a write never change, and what was synced is never lost: these two are what redb, and so Farshore, assumes of a medium.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::{Image, Random};

/// What a disk writes whole or not at all, in bytes. Disks of today write 4096; 512 is the least that any promises.
pub const SECTOR_BYTES: u64 = 512;

/// One operation that changes the disk, or makes changes durable.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// These bytes at this offset.
    Write(u64, Arc<[u8]>),
    /// A new length; what is added is zero.
    SetLen(u64),
    /// Everything before is durable.
    Sync,
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Write(offset, data) => write!(f, "Write({offset}, {} bytes)", data.len()),
            Op::SetLen(length) => write!(f, "SetLen({length})"),
            Op::Sync => f.write_str("Sync"),
        }
    }
}

/// How operations fail from some point on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Writes and growth fail as on a full disk; reads and syncs work.
    Full,
    /// Everything fails.
    Broken,
}

/// What survives a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The process is killed: the system still writes all that it was given.
    Kill,
    /// Power fails: what was not synced survives by chance, in parts.
    Power,
}

/// Which sides a disk keeps: both, or one of them where another disk keeps the other, to copy less.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Sides {
    #[default]
    Both,
    Live,
    Durable,
}

#[derive(Default)]
struct State {
    sides: Sides,
    live: Image,
    durable: Image,
    pending: Vec<Op>,
    recording: Option<Vec<Op>>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    failed: bool,
    bytes_read: u64,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

/// A handle of a [`Disk`] for redb.
#[derive(Clone)]
pub struct DiskBackend {
    disk: Disk,
}

impl fmt::Debug for DiskBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskBackend").field("bytes", &self.disk.state().live.len()).finish()
    }
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Disk::default()
    }

    /// A disk that holds `image`, durably.
    pub fn from_image(image: impl Into<Image>) -> Self {
        let (disk, image) = (Disk::new(), image.into());
        {
            let mut state = disk.state();
            state.durable = image.clone();
            state.live = image;
        }
        disk
    }

    /// A disk that holds `image` and does not keep apart what is durable: for a process whose operations are recorded and
    /// done again on [`Disk::durable`].
    pub fn live(image: impl Into<Image>) -> Self {
        let disk = Disk::new();
        (disk.state().sides, disk.state().live) = (Sides::Live, image.into());
        disk
    }

    /// A disk that holds `image`, durably, and is only ever given operations and cut: nobody reads it.
    pub fn durable(image: impl Into<Image>) -> Self {
        let disk = Disk::new();
        (disk.state().sides, disk.state().durable) = (Sides::Durable, image.into());
        disk
    }

    /// What a reader of the disk sees now.
    pub fn image(&self) -> Image {
        self.state().read()
    }

    /// A backend for `Store::create_backend` or `open_backend`.
    pub fn backend(&self) -> DiskBackend {
        DiskBackend { disk: self.clone() }
    }

    /// Operations so far, failed ones included: the clock of [`Disk::fail_after`].
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.state().bytes_read
    }

    /// Lets operations fail, after `more` have succeeded.
    pub fn fail_after(&self, more: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + more, fault));
    }

    /// Lets operations succeed again.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// Whether an operation failed on purpose since [`Disk::forget_failures`].
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// From here on only new failures count.
    pub fn forget_failures(&self) {
        self.state().failed = false;
    }

    /// Starts to record operations.
    pub fn record(&self) {
        self.state().recording = Some(Vec::new());
    }

    /// How many operations were recorded so far.
    pub fn recorded(&self) -> usize {
        self.state().recording.as_ref().map_or(0, Vec::len)
    }

    /// Ends recording.
    pub fn take_recording(&self) -> Vec<Op> {
        self.state().recording.take().unwrap_or_default()
    }

    /// Does one operation, as recorded from another disk.
    pub fn perform(&self, op: &Op) {
        self.follow(op.clone());
    }

    /// The same, of an operation that nobody else needs.
    pub fn follow(&self, op: Op) {
        self.state().perform(op);
    }

    /// The disk as it is found after a cut at this moment. This one is left as it is.
    pub fn after(&self, loss: Loss, random: &mut Random) -> Disk {
        Disk::from_image(self.image_after(loss, random))
    }

    /// What is on the disk that [`Disk::after`] gives.
    pub fn image_after(&self, loss: Loss, random: &mut Random) -> Image {
        let state = self.state();
        let mut image = match loss {
            Loss::Kill => return state.read(),
            Loss::Power => state.durable.clone(),
        };
        for op in &state.pending {
            match (op, random.below(3)) {
                (Op::Sync, _) | (_, 0) => {}
                (op, 1) | (op @ Op::SetLen(_), _) => change(&mut image, op),
                (Op::Write(offset, data), _) => tear(&mut image, *offset, data, random),
            }
        }
        image
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read(&self) -> Image {
        if self.sides != Sides::Durable {
            return self.live.clone();
        }
        let mut image = self.durable.clone();
        self.pending.iter().for_each(|op| change(&mut image, op));
        image
    }

    fn perform(&mut self, op: Op) {
        if self.sides != Sides::Durable {
            change(&mut self.live, &op);
        }
        match op {
            _ if self.sides == Sides::Live => {}
            Op::Sync => {
                for op in self.pending.drain(..) {
                    change(&mut self.durable, &op);
                }
            }
            op => self.pending.push(op),
        }
    }

    /// Counts an operation, and fails it if it is time.
    fn attempt(&mut self, op: Op) -> io::Result<()> {
        self.operations += 1;
        if let Some((from, fault)) = self.fault
            && self.operations > from
            && (fault, &op) != (Fault::Full, &Op::Sync)
        {
            self.failed = true;
            return match fault {
                Fault::Broken => Err(io::Error::other("the disk is broken, on purpose")),
                Fault::Full => Err(io::ErrorKind::StorageFull.into()),
            };
        }
        match &mut self.recording {
            Some(recording) => {
                recording.push(op.clone());
                self.perform(op);
            }
            None => self.perform(op),
        }
        Ok(())
    }
}

/// Does an operation to an image.
fn change(image: &mut Image, op: &Op) {
    match op {
        Op::Write(offset, data) => image.put(*offset as usize, data),
        Op::SetLen(length) => image.resize(*length as usize),
        Op::Sync => {}
    }
}

/// Writes some of the sectors that `data` covers.
fn tear(image: &mut Image, offset: u64, data: &[u8], random: &mut Random) {
    let mut at = 0;
    while at < data.len() {
        let here = offset + at as u64;
        let rest = (SECTOR_BYTES - here % SECTOR_BYTES) as usize;
        let end = (at + rest).min(data.len());
        if random.below(2) == 0 {
            image.write(here as usize, &data[at..end]);
        }
        at = end;
    }
}

impl StorageBackend for DiskBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some((from, Fault::Broken)) = state.fault
            && state.operations >= from
        {
            state.failed = true;
            return Err(io::Error::other("the disk is broken, on purpose"));
        }
        state.bytes_read += out.len() as u64;
        match usize::try_from(offset).is_ok_and(|start| state.live.read(start, out)) {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.state().attempt(Op::SetLen(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().attempt(Op::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.state().attempt(Op::Write(offset, data.into()))
    }
}
