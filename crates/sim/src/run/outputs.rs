//! Inputs into replicas, and what they ask for, done in virtual time.

use farshore_core::batch::Load;
use farshore_core::entry::Entry;
use farshore_core::id::{JournalId, Position};
use farshore_core::input::{Class, Input, LinkId};
use farshore_core::job::JobResult;
use farshore_core::output::{Event as CoreEvent, Output};
use farshore_core::wire::Frame;

use super::disk::{Begun, Finished, Stored, Task, documents};
use super::host::Engine;
use super::net::Way;
use super::{Event, Run};
use crate::fault::FaultKind;
use crate::limits::MEASURE_INPUTS;
use crate::observe::{DeviceNo, FrameKind, What};

impl Run<'_> {
    /// Gives a replica an input, unless it is one that must wait for room, and does what it asks for.
    pub(super) fn feed(&mut self, device: DeviceNo, input: Input) {
        let host = &mut self.hosts[device];
        let may_wait = matches!(input, Input::Frame { .. } | Input::Request { .. });
        if may_wait && (!host.has_room() || !host.inbox.is_empty()) && host.replica().is_some() {
            host.inbox.push_back(input);
            return;
        }
        self.handle(device, input);
        self.take_waiting(device);
    }

    /// Takes in what waited for room.
    fn take_waiting(&mut self, device: DeviceNo) {
        while self.hosts[device].has_room() {
            let Some(input) = self.hosts[device].inbox.pop_front() else { return };
            self.handle(device, input);
        }
    }

    fn handle(&mut self, device: DeviceNo, input: Input) {
        let host = &mut self.hosts[device];
        let now = host.now(self.now_ms);
        let replica = match &mut host.engine {
            Engine::Up(replica) => replica,
            Engine::Byzantine(byzantine) => {
                self.trace.input(device, now, &input);
                byzantine.handle(input);
                return self.drain_byzantine(device);
            }
            Engine::Off | Engine::Failed => return,
        };
        self.trace.input(device, now, &input);
        self.outcome.inputs += 1;
        replica.handle(now, input);
        host.inputs += 1;
        if host.inputs.is_multiple_of(MEASURE_INPUTS) {
            self.measure(device);
        }
        self.drain(device);
    }

    /// Takes outputs until there are none, starts the disk, and sets the alarm.
    pub(super) fn drain(&mut self, device: DeviceNo) {
        while let Engine::Up(replica) = &mut self.hosts[device].engine {
            let Some(output) = replica.poll_output() else { break };
            self.trace.output(device, &output);
            self.output(device, output);
        }
        self.work_disk(device);
        let host = &mut self.hosts[device];
        let timeout = host.replica().and_then(|replica| replica.poll_timeout());
        let wake_ms = timeout.map(|(mono_ms, _)| host.world_ms(mono_ms).max(self.now_ms));
        if host.wake_ms != wake_ms {
            host.wake_ms = wake_ms;
            let life = host.life;
            if let Some(at_ms) = wake_ms {
                self.at(at_ms, Event::Wake { device, life });
            }
        }
    }

    fn drain_byzantine(&mut self, device: DeviceNo) {
        while let Engine::Byzantine(byzantine) = &mut self.hosts[device].engine {
            let Some(output) = byzantine.poll_output() else {
                let (kind, misdeeds) = (byzantine.kind(), byzantine.take_misdeeds());
                *self.outcome.misdeeds.entry(kind).or_default() += misdeeds;
                return;
            };
            self.trace.output(device, &output);
            self.output(device, output);
        }
    }

    fn output(&mut self, device: DeviceNo, output: Output) {
        let host = &mut self.hosts[device];
        match output {
            Output::Store(batch) => {
                host.batches += 1;
                let handed = What::Handed { batch: batch.id, documents: documents(&batch) };
                host.disk.push(Task::Batch(batch));
                self.see(device, handed);
            }
            Output::Load { id, load } => self.load(device, id, load),
            Output::Job { id, job } => {
                host.calls += 1;
                let life = host.life;
                let result = Box::new(self.jobs.run(job));
                let (least, most) = self.plan.setup.job_ms;
                let ms = self.dice.range(least, most);
                self.in_ms(ms, Event::Job { device, life, id, result });
            }
            Output::Send { link, class, frame } => self.send(device, link, class, frame),
            Output::Close { link, reason } => self.close(device, link.0, &reason),
            Output::Reply { id, result } => self.reply(device, id, result),
            Output::Notify(event) => self.notify(device, event),
            Output::KeepPeers(peers) => self.keep_peers(device, peers),
        }
    }

    fn load(&mut self, device: DeviceNo, id: u64, load: Load) {
        let host = &mut self.hosts[device];
        host.calls += 1;
        host.disk.push(Task::Load { id, load });
    }

    /// Lets the disk begin what is next.
    pub(super) fn work_disk(&mut self, device: DeviceNo) {
        let host = &mut self.hosts[device];
        let counted = host.crash.is_some();
        let begun = host.disk.begin(self.now_ms, &self.plan.setup.disk, counted, &mut self.dice);
        let Some(Begun { ends_ms, batches, operations }) = begun else { return };
        self.trace.disk(device, batches, ends_ms);
        let life = host.life;
        let slowed = std::mem::take(&mut host.idle_slowness);
        // A planned cut strikes when its count of operations is reached: at its share of the time that they take.
        if let Some(crash) = &mut host.crash {
            if crash.operations < operations {
                let at_operation = Some(crash.operations);
                let share = (ends_ms - self.now_ms) * crash.operations / operations;
                self.at(self.now_ms + share, Event::Crash { device, at_operation });
            } else {
                crash.operations -= operations;
            }
        }
        self.at(ends_ms, Event::Disk { device, life });
        if slowed {
            self.fired(device, FaultKind::SlowDisk);
        }
    }

    pub(super) fn disk_done(&mut self, device: DeviceNo, life: u64) {
        if self.hosts[device].life != life {
            return;
        }
        let Some(Event::Disk { .. }) = self.asleep(device, Event::Disk { device, life }) else { return };
        self.active_ms = self.now_ms;
        match self.hosts[device].disk.finish() {
            None => {}
            Some(Finished::Committed(group)) => {
                self.outcome.commits += 1;
                self.hosts[device].disk_works();
                for Stored { batch, entries, documents } in group {
                    self.see(device, What::Stored { batch, entries, documents });
                    self.hosts[device].batches -= 1;
                    self.feed(device, Input::Stored { batch });
                }
            }
            Some(Finished::Loaded { id, loaded }) => {
                self.hosts[device].calls -= 1;
                self.feed(device, Input::Loaded { load: id, loaded });
            }
            Some(Finished::Failed(failure)) => return self.disk_failed(device, failure),
        }
        self.work_disk(device);
    }

    pub(super) fn job_done(&mut self, device: DeviceNo, life: u64, id: u64, result: Box<JobResult>) {
        if self.hosts[device].life != life {
            return;
        }
        let Some(Event::Job { result, .. }) = self.asleep(device, Event::Job { device, life, id, result }) else {
            return;
        };
        self.active_ms = self.now_ms;
        self.hosts[device].calls -= 1;
        self.feed(device, Input::JobDone { job: id, result: *result });
    }

    pub(super) fn wake(&mut self, device: DeviceNo, life: u64) {
        let host = &mut self.hosts[device];
        if host.life != life || host.wake_ms != Some(self.now_ms) {
            return;
        }
        if host.asleep.is_some() {
            host.wake_ms = None; // It is asked again when the device wakes up.
            return;
        }
        host.wake_ms = None;
        self.feed(device, Input::Wake);
    }

    fn send(&mut self, device: DeviceNo, link: LinkId, class: Class, frame: Vec<u8>) {
        let Some(known) = self.links.links.get_mut(&link.0) else { return };
        let Some(side) = known.side(device).filter(|side| known.known[*side]) else { return };
        let to = known.ends[1 - side];
        self.outcome.frames += 1;
        self.outcome.frame_bytes += frame.len() as u64;
        let kind = FrameKind::of(&frame);
        let entry = entry(&mut known.ways[side], class, kind, &frame);
        let shows = shows(class, kind, &frame, &entry);
        let what = What::Sent { link: link.0, to, class: class.into(), kind, bytes: frame.len(), entry, shows };
        self.see(device, what);
        self.put(device, link.0, side, crate::trace::lane(class), frame);
    }

    fn notify(&mut self, device: DeviceNo, event: CoreEvent) {
        match event {
            CoreEvent::Changed { space, collection, documents, remote } => {
                self.moved_ms = self.now_ms;
                if let Some(number) = self.collections.iter().position(|tag| *tag == collection) {
                    let dirty = documents.iter().map(|document| (number, *document));
                    self.hosts[device].dirty.extend(dirty);
                }
                self.see(device, What::Changed { space, collection, documents, remote });
            }
            CoreEvent::InSync { space, device: peer } => self.see(device, What::InSync { space, peer }),
            CoreEvent::Receipted { space, device: peer, collection, seq, .. } => {
                self.see(device, What::Receipted { space, peer, collection, seq });
            }
            CoreEvent::PeerFault { link, fault } => {
                let peer = self.links.links.get(&link.0).and_then(|known| Some(known.ends[1 - known.side(device)?]));
                self.see(device, What::PeerFault { link: link.0, peer: peer.unwrap_or(device), fault });
            }
            CoreEvent::JournalRejected { journal, seq, reason, .. } => {
                self.see(device, What::JournalRejected { journal, seq, reason });
            }
            CoreEvent::NewIncarnation { incarnation, reason } => {
                self.see(device, What::NewIncarnation { incarnation, reason });
            }
            CoreEvent::RosterChanged { .. } | CoreEvent::PeerUp { .. } | CoreEvent::PeerDown { .. } => {}
            CoreEvent::CheckpointLoaded { .. } => self.outcome.checkpoints_loaded += 1,
            CoreEvent::CheckpointRefused { reason, .. } => {
                self.watch.violate("app", self.now_ms, Some(device), format!("a checkpoint was refused: {reason}"));
            }
            CoreEvent::Invited { .. } => {}
            _ => {}
        }
    }
}

/// The entry that a frame holds whole, or of which it holds the first part: its header is there.
fn entry(way: &mut Way, class: Class, kind: FrameKind, frame: &[u8]) -> Option<(JournalId, Position)> {
    if !matches!(kind, FrameKind::Entry | FrameKind::Part) {
        return None;
    }
    let recent = way.recent.entry(class).or_default();
    let (bytes, whole) = match Frame::decode(class, frame).ok()? {
        Frame::Entry { bytes, .. } => (bytes, true),
        Frame::Next { after, rest, .. } => (recent.restore(after, &rest)?, true),
        Frame::Part { offset: 0, bytes, .. } => (bytes, false),
        _ => return None,
    };
    let (header, hash) = Entry::peek(&bytes)?;
    if whole {
        recent.went(&bytes, hash);
    }
    Some((header.journal, header.position(hash)))
}

/// How far a frame says, or shows by what it holds, that its sender has journals.
fn shows(class: Class, kind: FrameKind, frame: &[u8], entry: &Option<(JournalId, Position)>) -> Vec<(JournalId, u64)> {
    match kind {
        FrameKind::Entry | FrameKind::Part => entry.iter().map(|(journal, at)| (*journal, at.seq)).collect(),
        FrameKind::Frontier | FrameKind::Receipt => match Frame::decode(class, frame) {
            Ok(Frame::Frontier(frontier)) => {
                frontier.positions.iter().map(|held| (held.journal, held.position.seq)).collect()
            }
            Ok(Frame::Receipt { positions, .. }) => positions,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

impl From<Class> for crate::observe::Stream {
    fn from(class: Class) -> Self {
        match class {
            Class::Ctl => crate::observe::Stream::Ctl,
            Class::Live => crate::observe::Stream::Live,
            Class::Bulk => crate::observe::Stream::Bulk,
        }
    }
}
