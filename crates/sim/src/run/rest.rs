//! The end of a run: everything is healed, comes to rest, and is looked at.

use std::collections::BTreeMap;

use farshore_core::batch::{BootSpace, Load, Loaded};
use farshore_core::id::{CollectionTag, DocKey, DocumentId};
use farshore_core::record::DocRecord;
use farshore_core::value::Value;

use super::Run;
use crate::convert::plain_of;
use crate::limits::{LONG_QUIET_MS, LONG_QUIET_WORLDS, QUIET_MS, REST_LATENCY_MS, REST_MS};
use crate::observe::{DeviceNo, DocumentSnapshot, JournalSnapshot, Sized, Snapshot, SpaceSnapshot, What};
use crate::oracle::Rest;
use crate::plan::NetworkOptions;

impl Run<'_> {
    /// Heals the world, waits until it is at rest, and asks the oracles.
    pub(super) fn rest(&mut self) {
        self.heal();
        let begun_ms = self.now_ms;
        (self.active_ms, self.moved_ms) = (begun_ms, begun_ms);
        let seed = self.plan.setup.seed;
        let quiet_ms = if seed % LONG_QUIET_WORLDS == LONG_QUIET_WORLDS - 1 { LONG_QUIET_MS } else { QUIET_MS };
        while self.now_ms < self.active_ms + quiet_ms {
            if self.now_ms + QUIET_MS > begun_ms + REST_MS + quiet_ms {
                let what = format!("still busy {} s after the last fault", REST_MS / 1_000);
                self.watch.violate("rests", self.now_ms, None, what);
                break;
            }
            self.until(self.active_ms + quiet_ms);
            if self.watch.violations.iter().any(|violation| violation.oracle == "rests") {
                break;
            }
        }
        let round_trip_ms = 2 * REST_LATENCY_MS;
        self.outcome.rest_round_trips = (self.moved_ms - begun_ms).div_ceil(round_trip_ms);
        self.look_at_everything();
    }

    fn heal(&mut self) {
        self.healed = true;
        self.roads.heal(NetworkOptions { latency_ms: (REST_LATENCY_MS, REST_LATENCY_MS), bytes_per_s: 0 });
        for device in 0..self.hosts.len() {
            self.heal_disk(device);
            self.speed_up_disk(device);
            let host = &mut self.hosts[device];
            host.crash = None;
            host.discovered = host.address;
            if let Some(asleep) = &mut host.asleep {
                asleep.1 = self.now_ms;
                self.awake(device);
            }
        }
        self.leave();
        self.requeue_deferred();
        for device in 0..self.hosts.len() {
            if self.hosts[device].runs() {
                self.redial_all(device);
            } else {
                self.boot(device);
            }
        }
        self.want_everything();
        self.see(0, What::Healed);
    }

    /// What would have waited for a road, a reader or a sleeper that is now back comes at once, in the same order.
    fn requeue_deferred(&mut self) {
        for (at_ms, event) in std::mem::take(&mut self.queue).into_iter().map(|((at_ms, _), event)| (at_ms, event)) {
            let at_ms = match &event {
                super::Event::Sent { .. }
                | super::Event::Arrive { .. }
                | super::Event::Fin { .. }
                | super::Event::Disk { .. }
                | super::Event::Job { .. }
                | super::Event::Reopen { .. } => at_ms.min(self.now_ms + REST_LATENCY_MS),
                super::Event::Boot { .. } | super::Event::Invite { .. } => at_ms.min(self.now_ms),
                _ => at_ms,
            };
            self.at(at_ms, event);
        }
    }

    fn look_at_everything(&mut self) {
        let honest: Vec<DeviceNo> = (0..self.hosts.len()).filter(|device| !self.hosts[*device].turned).collect();
        for device in honest.iter().copied() {
            self.look(device);
            self.measure(device);
            self.miss_answers(device);
        }
        let mut snapshots = Vec::new();
        for device in honest {
            match self.snapshot(device) {
                Ok(snapshot) => snapshots.push(snapshot),
                Err(what) => self.watch.violate("opens", self.now_ms, Some(device), what),
            }
        }
        let rest = Rest::new(&snapshots);
        for oracle in &mut self.watch.oracles {
            if self.watch.silenced.contains(oracle.name()) {
                continue;
            }
            if let Err(violation) = oracle.at_rest(&rest) {
                self.watch.silenced.insert(oracle.name());
                self.watch.violations.push(violation);
            }
        }
        if let Err(what) = self.app.check_converged(&self.hosts[0].shown) {
            self.watch.violate("app", self.now_ms, Some(0), what);
        }
    }

    /// Whoever still waits for an answer now, or to be let in, waits for ever.
    fn miss_answers(&mut self, device: DeviceNo) {
        let host = &self.hosts[device];
        let missing = match host.requests.values().next() {
            Some(asked) => format!("{asked:?} was never answered"),
            None if !host.member => "it was never let in".into(),
            None => return,
        };
        self.watch.violate("answers", self.now_ms, Some(device), missing);
    }

    /// Compares queues and caches with their limits.
    pub(super) fn measure(&mut self, device: DeviceNo) {
        let Some(replica) = self.hosts[device].replica() else { return };
        for size in replica.sizes() {
            self.hosts[device].measured(size.what, size.size, size.limit);
        }
    }

    fn snapshot(&mut self, device: DeviceNo) -> Result<Snapshot, String> {
        let boot = self.hosts[device].disk.boot().map_err(|failure| failure.reason)?;
        let mut documents = Vec::with_capacity(boot.spaces.len());
        for space in &boot.spaces {
            documents.push(self.documents(device, space)?);
        }
        let host = &self.hosts[device];
        let replica = host.replica().ok_or("the device does not run")?;
        let (identity, status) = (replica.identity(), replica.status());
        let mut spaces = BTreeMap::new();
        for (space, documents) in boot.spaces.iter().zip(documents) {
            let pending = status.spaces.iter().find(|known| known.space == space.space);
            let pending = pending.map(|known| known.pending.clone()).unwrap_or_default();
            let roster = replica.roster_digest(&space.space).ok_or("the replica does not know a space of its store")?;
            spaces.insert(space.space, SpaceSnapshot { roster, journals: journals(space), documents, pending });
        }
        let sizes = host.sizes.iter().map(|(what, (size, limit))| Sized { what, size: *size, limit: *limit });
        Ok(Snapshot {
            at_ms: self.now_ms,
            device,
            id: identity.device,
            store: identity.store,
            incarnation: identity.incarnation,
            spaces,
            sizes: sizes.collect(),
        })
    }

    fn documents(
        &mut self,
        device: DeviceNo,
        space: &BootSpace,
    ) -> Result<BTreeMap<(CollectionTag, DocumentId), DocumentSnapshot>, String> {
        let disk = &mut self.hosts[device].disk;
        let mut documents = BTreeMap::new();
        for tag in &self.collections {
            let ids = disk.documents(space.space, *tag).map_err(|failure| failure.reason)?;
            let key = |document: &DocumentId| DocKey { space: space.space, collection: *tag, document: *document };
            let loaded = disk.load(&Load::Documents(ids.iter().map(key).collect()));
            let Loaded::Documents(stored) = loaded.map_err(|failure| failure.reason)? else {
                return Err("documents were asked for and something else came".into());
            };
            for (id, stored) in ids.iter().zip(stored) {
                let stored = stored.ok_or("a document is listed and not there")?;
                let record = DocRecord::decode(&stored.record).map_err(|error| error.to_string())?;
                let view = disk.view(&key(id)).map_err(|failure| failure.reason)?;
                let view = view.map(|bytes| Value::decode(&bytes).map_err(|error| error.to_string())).transpose()?;
                let snapshot = DocumentSnapshot {
                    generation: record.generation,
                    keyed: record.keyed,
                    heads: record.heads.keys().copied().collect(),
                    conflicts: record.conflicts,
                    tombstone: record.tombstone.map(|tombstone| tombstone.heads.into_iter().collect()),
                    snapshot: stored.snapshot,
                    tail: stored.tail,
                    view: view.map(|value| plain_of(&value)),
                };
                documents.insert((*tag, *id), snapshot);
            }
        }
        Ok(documents)
    }
}

fn journals(space: &BootSpace) -> BTreeMap<farshore_core::id::JournalId, JournalSnapshot> {
    let journals = space.journals.iter();
    let journals = journals
        .map(|(id, state)| (*id, JournalSnapshot { held: state.held, applied: state.applied, closed: state.closed }));
    journals.collect()
}
