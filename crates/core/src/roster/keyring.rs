//! What can be opened with a roster and a device's keys: epoch keys, the catalogue, the space's name.

use std::collections::BTreeMap;

use crate::bytes::{Reader, Writer};
use crate::catalogue::CollectionDefinition;
use crate::id::{CollectionTag, DeviceId, EpochId, SpaceId};
use crate::keys::{DeviceKeys, is_valid_name, version};
use crate::limits::NAME_BYTES;
use crate::roster::Roster;
use crate::roster::dag::Index;
use crate::roster::op::{EpochWrap, OpBody, ParentEpoch, RosterOp};
use crate::seal::{EpochKey, collection_tag, open, open_parent_key, roster_key, tag_key, unwrap, wrap_info};

const NAME_VERSION: u8 = 1;

/// The epoch keys that a device holds in one space.
pub type Keyring = BTreeMap<EpochId, EpochKey>;

impl Roster {
    /// All epoch keys that `device`, whose keys these are, can open: wrapped or shared for it, or sealed under a later epoch.
    ///
    /// Epochs of void operations are opened too: entries may have been sealed under them before anybody knew. A wrap that does
    /// not open, or opens to another key than its epoch commits to, is passed over.
    ///
    /// Cost: one pass over the operations, and about 110 microseconds for each epoch that no later one leads to.
    pub fn unlock(&self, keys: &DeviceKeys) -> Keyring {
        let device = keys.id();
        let mut epochs: BTreeMap<EpochId, Vec<Index>> = BTreeMap::new();
        let mut wraps: BTreeMap<EpochId, Vec<&EpochWrap>> = BTreeMap::new();
        for (at, node) in self.dag.nodes.iter().enumerate() {
            match &node.op.body {
                OpBody::KeyEpoch { epoch, wraps: all, .. } => {
                    epochs.entry(*epoch).or_default().push(at);
                    if let Ok(place) = all.binary_search_by_key(&device, |wrap| wrap.device) {
                        wraps.entry(*epoch).or_default().push(&all[place]);
                    }
                }
                OpBody::KeyShare { epoch, wrap } if wrap.device == device => {
                    wraps.entry(*epoch).or_default().push(wrap);
                }
                _ => {}
            }
        }
        // Later epochs first: each opens those before it without another public-key operation.
        let mut latest_first: Vec<_> = epochs.into_iter().collect();
        latest_first
            .sort_unstable_by_key(|(_, ops)| std::cmp::Reverse(ops.iter().map(|at| self.dag.node(*at).place).max()));
        let secret = keys.kem_secret();
        let mut ring = Keyring::new();
        for (epoch, ops) in latest_first {
            if !ring.contains_key(&epoch) {
                let info = wrap_info(&self.space, &epoch, &device);
                let offered = wraps.get(&epoch).into_iter().flatten();
                let key = offered.filter_map(|wrap| unwrap(&secret, &info, &wrap.wrap).ok()).find(|k| k.id() == epoch);
                ring.extend(key.map(|key| (epoch, key)));
            }
            let Some(key) = ring.get(&epoch).cloned() else { continue };
            for parent in ops.iter().flat_map(|at| parents_of(&self.dag.node(*at).op)) {
                if !ring.contains_key(&parent.epoch)
                    && let Ok(opened) = open_parent_key(&key, &parent.epoch, &parent.sealed)
                {
                    ring.insert(parent.epoch, opened);
                }
            }
        }
        ring
    }

    /// The held epochs that no other held epoch leads to: whoever gets these keys gets all of `ring`.
    pub(super) fn tips(&self, ring: &Keyring) -> Vec<EpochId> {
        let mut epochs: Vec<(Index, EpochId)> = Vec::new();
        for (at, node) in self.dag.nodes.iter().enumerate() {
            if let OpBody::KeyEpoch { epoch, .. } = &node.op.body
                && ring.contains_key(epoch)
            {
                epochs.push((at, *epoch));
            }
        }
        epochs.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(self.dag.node(*at).place));
        let mut reached = Keyring::new();
        let mut tips = Vec::new();
        for (at, epoch) in epochs {
            if !reached.contains_key(&epoch) {
                tips.push(epoch);
                reached.extend(ring.get(&epoch).map(|key| (epoch, key.clone())));
            }
            let Some(key) = reached.get(&epoch).cloned() else { continue };
            for parent in parents_of(&self.dag.node(at).op) {
                if let Ok(opened) = open_parent_key(&key, &parent.epoch, &parent.sealed) {
                    reached.insert(parent.epoch, opened);
                }
            }
        }
        tips
    }

    /// The epoch to seal under: held, in force, and begun with knowledge of every removal of a reader; of several, the one
    /// with the longest history, then the lowest operation hash. `None` asks for a new epoch, or for one to arrive.
    pub fn current_epoch(&self, ring: &Keyring) -> Option<EpochId> {
        let state = self.now();
        let knows_all = |at: Index| state.exclusions.iter().all(|gone| self.dag.is_at_or_before(*gone, at));
        let fit = state.epochs.iter().filter(|(epoch, at)| ring.contains_key(epoch) && knows_all(**at));
        let best = fit.max_by_key(|(_, at)| {
            let place = self.dag.node(**at).place;
            (place.depth, std::cmp::Reverse(place.op))
        });
        best.map(|(epoch, _)| *epoch)
    }

    /// The space's first epoch, from whose key names are derived for the space's life; `None` until it arrived.
    pub fn first_epoch(&self) -> Option<EpochId> {
        let state = self.now();
        let founding = |at: &Index| parents_of(&self.dag.node(*at).op).is_empty();
        let first = state.epochs.iter().filter(|(_, at)| founding(at)).min_by_key(|(_, at)| self.dag.node(**at).place);
        first.map(|(epoch, _)| *epoch)
    }

    /// The collections' definitions, as far as they can be opened with these keys.
    ///
    /// Of concurrent definitions of one collection, policies are those of the highest version, then of the lowest operation
    /// hash; schema steps are those of all its definitions ever, in canonical order, without those that contradict an earlier
    /// one. A definition under another name's tag, or one that does not open or decode, is left out.
    pub fn catalogue(&self, ring: &Keyring) -> BTreeMap<CollectionTag, CollectionDefinition> {
        let Some(first) = self.first_epoch().and_then(|epoch| ring.get(&epoch)) else { return BTreeMap::new() };
        let names = tag_key(first);
        let state = self.now();
        let mut catalogue = BTreeMap::new();
        for (tag, ops) in &state.definitions {
            let mut ops = ops.clone();
            self.dag.sort(&mut ops);
            let opened: BTreeMap<Index, CollectionDefinition> = ops
                .iter()
                .filter_map(|at| Some((*at, self.definition(*at, ring)?)))
                .filter(|(_, definition)| collection_tag(&names, &definition.name) == *tag)
                .collect();
            let latest = self.dag.maximal(opened.keys().copied().collect());
            let winner = latest.iter().max_by_key(|at| (opened[*at].version, std::cmp::Reverse(self.dag.hash(**at))));
            let Some(winner) = winner else { continue };
            let mut merged = CollectionDefinition { schema_steps: Vec::new(), ..opened[winner].clone() };
            for definition in ops.iter().filter_map(|at| opened.get(at)) {
                merged.absorb_steps(&definition.schema_steps);
            }
            catalogue.insert(*tag, merged);
        }
        catalogue
    }

    fn definition(&self, at: Index, ring: &Keyring) -> Option<CollectionDefinition> {
        let op = &self.dag.node(at).op;
        let OpBody::Catalogue { collection, epoch, sealed } = &op.body else { return None };
        let aad = definition_aad(&self.space, &op.author, op.seq, collection);
        let plain = open(&roster_key(ring.get(epoch)?), &aad, sealed).ok()?;
        CollectionDefinition::decode(&plain).ok()
    }

    /// The space's name, if it can be opened with these keys. Of several, the one with the longest history, then the lowest
    /// operation hash.
    pub fn space_name(&self, ring: &Keyring) -> Option<String> {
        let state = self.now();
        let named = state.names.iter().filter_map(|at| Some((self.dag.node(*at).place, self.opened_name(*at, ring)?)));
        named.max_by_key(|(place, _)| (place.depth, std::cmp::Reverse(place.op))).map(|(_, name)| name)
    }

    fn opened_name(&self, at: Index, ring: &Keyring) -> Option<String> {
        let op = &self.dag.node(at).op;
        let OpBody::SpaceInfo { epoch, sealed } = &op.body else { return None };
        let plain = open(&roster_key(ring.get(epoch)?), &name_aad(&self.space, &op.author, op.seq), sealed).ok()?;
        let mut reader = Reader::new(&plain);
        version(reader.u8("name version").ok()?, NAME_VERSION, "name version").ok()?;
        let name = reader.text(NAME_BYTES, "space name").ok()?.to_owned();
        reader.end().ok()?;
        is_valid_name(&name).then_some(name)
    }
}

fn parents_of(op: &RosterOp) -> &[ParentEpoch] {
    match &op.body {
        OpBody::KeyEpoch { parents, .. } => parents,
        _ => &[],
    }
}

/// The plaintext of a sealed name: version 1, then the name.
pub(super) fn name_plaintext(name: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u8(NAME_VERSION).text(name);
    writer.finish()
}

/// What a sealed name is bound to: its space and its place in the author's chain.
pub(super) fn name_aad(space: &SpaceId, author: &DeviceId, seq: u64) -> Vec<u8> {
    [b"farshore v1 space name".as_slice(), &space.0, &author.0, &seq.to_be_bytes()].concat()
}

/// What a sealed definition is bound to: its space, its place in the author's chain, its collection.
pub(super) fn definition_aad(space: &SpaceId, author: &DeviceId, seq: u64, collection: &CollectionTag) -> Vec<u8> {
    [b"farshore v1 definition".as_slice(), &space.0, &author.0, &seq.to_be_bytes(), &collection.0].concat()
}
