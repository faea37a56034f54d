//! *receipted*: devices that are linked at rest know of each other that they hold everything: none waits for a receipt.

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::id::DeviceId;

use crate::observe::{DeviceNo, Observed, What};
use crate::oracle::{Oracle, Rest, Violation, broken};

/// See the module.
#[derive(Debug, Default)]
pub struct Receipted {
    /// Links as each device sees them: device and peer, by link.
    links: BTreeMap<(u64, DeviceNo), DeviceNo>,
}

impl Oracle for Receipted {
    fn name(&self) -> &'static str {
        "receipted"
    }

    fn promise(&self) -> &'static str {
        "at rest no device waits for a receipt of a member that it is linked with"
    }

    fn observe(&mut self, observed: &Observed) -> Result<(), Violation> {
        match &observed.what {
            What::LinkUp { link, peer } => drop(self.links.insert((*link, observed.device), *peer)),
            What::LinkDown { link, .. } => drop(self.links.remove(&(*link, observed.device))),
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, rest: &Rest<'_>) -> Result<(), Violation> {
        let ids: BTreeMap<DeviceId, DeviceNo> = rest.snapshots.iter().map(|one| (one.id, one.device)).collect();
        let ends = self.links.iter().map(|((link, device), peer)| (*link, *device, *peer));
        let linked: BTreeSet<(DeviceNo, DeviceNo)> = ends
            .filter(|(link, device, peer)| self.links.get(&(*link, *peer)) == Some(device))
            .map(|(_, device, peer)| (device, peer))
            .collect();
        for snapshot in rest.snapshots {
            for (member, entries) in snapshot.spaces.values().flat_map(|space| &space.pending) {
                let peer = ids.get(member).filter(|peer| linked.contains(&(snapshot.device, **peer)));
                if let (Some(peer), 1..) = (peer, *entries) {
                    let what =
                        format!("waits for receipts of {entries} entries from device {peer}, which it is linked with");
                    return broken(self.name(), snapshot.at_ms, snapshot.device, what);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::scene::{at_rest, device, history, id};

    fn verdict(events: &[(DeviceNo, What)], waiting: u64) -> Option<String> {
        let mut oracle = Receipted::default();
        assert_eq!(history(&mut oracle, events), None);
        let mut first = device(0);
        first.space().pending.insert(id(1), waiting);
        at_rest(&mut oracle, &[first, device(1)])
    }

    #[test]
    fn an_entry_that_a_linked_member_never_receipted_is_found() {
        let up = [(0, What::LinkUp { link: 1, peer: 1 }), (1, What::LinkUp { link: 1, peer: 0 })];
        assert_eq!(verdict(&up, 0), None);
        assert!(verdict(&up, 2).unwrap().contains("receipts of 2 entries"));
        // Receipts are not forwarded: of a member that it has no link with, a device cannot know.
        assert_eq!(verdict(&[], 2), None);
        let down = [&up[..], &[(1, What::LinkDown { link: 1, peer: 0 })]].concat();
        assert_eq!(verdict(&down, 2), None);
    }
}
