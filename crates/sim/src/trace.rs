//! The trace: one hash over everything that went into replicas and came out of them.

use farshore_core::input::{Class, Input, Now};
use farshore_core::output::Output;

use crate::limits::NOTED_BYTES;
use crate::observe::DeviceNo;

/// Grows with every input and output. Two runs with equal hashes did the same.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    /// What is yet to be hashed: much at once takes a fraction of what it takes piece by piece.
    noted: Vec<u8>,
}

impl Trace {
    pub(crate) fn hash(&self) -> [u8; 32] {
        *self.hasher.clone().update(&self.noted).finalize().as_bytes()
    }

    fn note(&mut self, kind: u8, device: DeviceNo, numbers: [u64; 3], bytes: &[u8]) {
        let mut head = [0; 34];
        head[0] = kind;
        head[1] = device as u8;
        for (place, number) in head[2..26].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        head[26..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.noted.extend_from_slice(&head);
        self.noted.extend_from_slice(bytes);
        if self.noted.len() >= NOTED_BYTES {
            self.hasher.update(&self.noted);
            self.noted.clear();
        }
    }

    pub(crate) fn input(&mut self, device: DeviceNo, now: Now, input: &Input) {
        let (kind, number, bytes): (u8, u64, &[u8]) = match input {
            Input::Request { id, .. } => (1, id.0, &[]),
            Input::Stored { batch } => (2, *batch, &[]),
            Input::Loaded { load, .. } => (3, *load, &[]),
            Input::JobDone { job, .. } => (4, *job, &[]),
            Input::LinkUp { link, peer, .. } => (5, link.0, peer),
            Input::Frame { link, class, bytes } => (6 + lane(*class) as u8, link.0, bytes),
            Input::Addresses(_) => (9, 0, &[]),
            Input::Writable { link } => (10, link.0, &[]),
            Input::LinkDown { link } => (11, link.0, &[]),
            Input::Wake => (12, 0, &[]),
        };
        self.note(kind, device, [now.mono_ms, now.wall_ms, number], bytes);
    }

    /// Frames are hashed when they come in; what leaves and never arrives shows by its length.
    pub(crate) fn output(&mut self, device: DeviceNo, output: &Output) {
        let (kind, a, b, bytes): (u8, u64, u64, &[u8]) = match output {
            Output::Store(batch) => (32, batch.id, batch.ops.len() as u64, &[]),
            Output::Load { id, .. } => (33, *id, 0, &[]),
            Output::Job { id, job } => (34, *id, 0, job.name().as_bytes()),
            Output::Send { link, class, frame } => (35 + lane(*class) as u8, link.0, frame.len() as u64, &[]),
            Output::Close { link, reason } => (38, link.0, 0, reason.as_bytes()),
            Output::Reply { id, result } => (39, id.0, u64::from(result.is_ok()), &[]),
            Output::Notify(_) => (40, 0, 0, &[]),
            Output::KeepPeers(peers) => (41, peers.len() as u64, 0, &[]),
        };
        self.note(kind, device, [a, b, 0], bytes);
    }

    /// Disk operations: their order and places are part of what a power cut leaves.
    pub(crate) fn disk(&mut self, device: DeviceNo, operations: u64, ends_ms: u64) {
        self.note(64, device, [operations, ends_ms, 0], &[]);
    }
}

/// A stream's place in a link.
pub(crate) fn lane(class: Class) -> usize {
    match class {
        Class::Ctl => 0,
        Class::Live => 1,
        Class::Bulk => 2,
    }
}
