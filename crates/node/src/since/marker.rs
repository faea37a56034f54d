//! Where one stood at some moment, and the two moments that are kept by themselves: the ends of the times online.

use std::collections::{BTreeMap, BTreeSet};

use farshore_core::batch::StoreOp;
use farshore_core::bytes::{DecodeError, Reader, Writer};
use farshore_core::id::{CollectionTag, DeviceId, Incarnation, JournalId, SpaceId};
use farshore_core::limits::JOURNALS;

/// Where the store keeps the ends of the times online.
pub(crate) const ONLINE_META: &str = "node.online";
/// What the names of the app's markers begin with.
pub(crate) const MARKER_META: &str = "node.marker.";

const VERSION: u8 = 1;
/// Spaces in one marker: as many as a store is asked to hold in practice, ten times over.
const MARKER_SPACES: usize = 10_000;

/// How far every journal was in the documents at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Marker {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) applied: BTreeMap<SpaceId, BTreeMap<JournalId, u64>>,
}

impl Marker {
    pub(crate) fn new(at_ms: u64, applied: impl IntoIterator<Item = (SpaceId, JournalId, u64)>) -> Self {
        let mut marker = Marker { at_ms, applied: BTreeMap::new() };
        for (space, journal, seq) in applied {
            marker.applied.entry(space).or_default().insert(journal, seq);
        }
        marker
    }

    /// How far a journal was.
    pub(crate) fn of(&self, space: &SpaceId, journal: &JournalId) -> u64 {
        self.applied.get(space).and_then(|journals| journals.get(journal)).copied().unwrap_or(0)
    }

    /// Whether at the other moment there was more of others than at this one.
    fn is_passed_by(&self, later: &Marker, me: DeviceId) -> bool {
        let spaces = later.applied.iter();
        let mut journals = spaces.flat_map(|(space, journals)| journals.iter().map(move |(id, seq)| (space, id, *seq)));
        journals.any(|(space, id, seq)| id.device != me && self.of(space, id) < seq)
    }

    fn write(&self, w: &mut Writer) {
        w.u64(self.at_ms).u32(self.applied.len() as u32);
        for (space, journals) in &self.applied {
            w.raw(&space.0).u32(journals.len() as u32);
            for (journal, seq) in journals {
                w.raw(&journal.collection.0).raw(&journal.device.0).raw(&journal.incarnation.0).u64(*seq);
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Marker, DecodeError> {
        let mut marker = Marker { at_ms: r.u64("marker time")?, applied: BTreeMap::new() };
        for _ in 0..bounded(r.u32("marker spaces")?, MARKER_SPACES, "marker spaces")? {
            let space = SpaceId(r.array("space")?);
            let journals = marker.applied.entry(space).or_default();
            for _ in 0..bounded(r.u32("marker journals")?, JOURNALS, "marker journals")? {
                let journal = JournalId {
                    collection: CollectionTag(r.array("collection")?),
                    device: DeviceId(r.array("device")?),
                    incarnation: Incarnation(r.array("incarnation")?),
                };
                journals.insert(journal, r.u64("seq")?);
            }
        }
        Ok(marker)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION);
        self.write(&mut w);
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Marker, DecodeError> {
        let mut r = Reader::new(bytes);
        version(&mut r)?;
        let marker = Marker::read(&mut r)?;
        r.end()?;
        Ok(marker)
    }
}

fn version(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    match r.u8("marker version")? {
        VERSION => Ok(()),
        found => Err(DecodeError::Version { field: "marker version", found: found.into(), known: VERSION.into() }),
    }
}

fn bounded(count: u32, limit: usize, field: &'static str) -> Result<u32, DecodeError> {
    match count as usize <= limit {
        true => Ok(count),
        false => Err(DecodeError::OverLimit { field, value: count.into(), limit: limit as u64 }),
    }
}

/// The times online. One ends when the last peer goes; what is told of is the present one or, offline, the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Session {
    /// Where the time online before the one told of had ended.
    base: Marker,
    /// Where the last one ended; `None` while one goes on, and before the first.
    left: Option<Marker>,
    /// Names of the app's markers.
    pub(crate) names: BTreeSet<String>,
    /// Whether the store does not hold it yet.
    pub(crate) unkept: bool,
}

impl Session {
    /// Goes on from what the store holds. A time online that did not end in order ended with what came in it.
    ///
    /// What does not read is as if it had never been: it is about the past, and nothing hangs on it.
    pub(crate) fn boot(meta: &[(String, Vec<u8>)], me: DeviceId, now: Marker) -> Session {
        let mut session = Session::default();
        for (name, value) in meta {
            if name == ONLINE_META {
                match Session::decode(value) {
                    Ok((base, left)) => (session.base, session.left) = (base, Some(left)),
                    Err(error) => tracing::warn!(%error, "when this device was last online is not known any more"),
                }
            }
            session.names.extend(name.strip_prefix(MARKER_META).map(str::to_owned));
        }
        let cut_off = session.left.as_ref().is_some_and(|left| left.is_passed_by(&now, me))
            || (session.left.is_none() && Marker::default().is_passed_by(&now, me));
        if cut_off {
            session.base = session.left.take().unwrap_or_default();
            session.left = Some(now);
        }
        session.unkept = cut_off;
        session
    }

    /// Where what is told of begins.
    pub(crate) fn base(&self) -> &Marker {
        &self.base
    }

    /// The first peer is linked.
    pub(crate) fn online(&mut self) {
        if let Some(left) = self.left.take() {
            self.base = left;
        }
    }

    /// The last peer is gone.
    pub(crate) fn offline(&mut self, now: Marker) {
        self.left = Some(now);
    }

    /// What the store keeps of it; `None` while a time online goes on.
    pub(crate) fn op(&self) -> Option<StoreOp> {
        let left = self.left.as_ref()?;
        let mut w = Writer::new();
        w.u8(VERSION);
        self.base.write(&mut w);
        left.write(&mut w);
        Some(StoreOp::PutMeta { name: ONLINE_META.into(), value: w.finish() })
    }

    fn decode(bytes: &[u8]) -> Result<(Marker, Marker), DecodeError> {
        let mut r = Reader::new(bytes);
        version(&mut r)?;
        let both = (Marker::read(&mut r)?, Marker::read(&mut r)?);
        r.end()?;
        Ok(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: DeviceId = DeviceId([1; 32]);
    const OTHER: DeviceId = DeviceId([2; 32]);

    fn marker(at_ms: u64, mine: u64, others: u64) -> Marker {
        let journal =
            |device| JournalId { collection: CollectionTag([3; 16]), device, incarnation: Incarnation([4; 16]) };
        Marker::new(at_ms, [(SpaceId([5; 32]), journal(ME), mine), (SpaceId([5; 32]), journal(OTHER), others)])
    }

    fn store(session: &Session) -> Vec<(String, Vec<u8>)> {
        let Some(StoreOp::PutMeta { name, value }) = session.op() else { panic!("nothing to keep") };
        vec![(name, value), ("node.marker.seen".into(), marker(0, 0, 0).encode())]
    }

    #[test]
    fn markers_and_sessions_read_back_and_damage_is_an_error() {
        let marker = marker(7, 1, 2);
        assert_eq!(Marker::decode(&marker.encode()), Ok(marker.clone()));
        for length in 0..marker.encode().len() {
            assert!(Marker::decode(&marker.encode()[..length]).is_err());
        }
        let huge = [&[VERSION][..], &[0; 8], &u32::MAX.to_be_bytes()].concat();
        assert!(Marker::decode(&huge).is_err());
    }

    #[test]
    fn what_is_told_of_begins_where_the_time_online_before_ended() {
        let mut session = Session::default();
        session.online();
        session.offline(marker(10, 1, 5));
        assert_eq!(*session.base(), Marker::default(), "the first time online is told of");
        session.online();
        assert_eq!(*session.base(), marker(10, 1, 5), "the second began where the first ended");
        session.offline(marker(20, 2, 9));
        assert_eq!(*session.base(), marker(10, 1, 5), "and is told of until the third begins");
        let again = Session::boot(&store(&session), ME, marker(30, 4, 9));
        assert_eq!((again.base(), again.unkept), (&marker(10, 1, 5), false), "a restart changes nothing");
        assert!(again.names.contains("seen"));
    }

    #[test]
    fn a_time_online_that_was_cut_off_by_a_kill_is_told_of_after_the_restart() {
        let mut session = Session::default();
        session.offline(marker(10, 1, 5));
        let boot = store(&session);
        session.online();
        assert_eq!(session.op(), None);
        let again = Session::boot(&boot, ME, marker(30, 4, 8));
        assert_eq!((again.base(), again.unkept), (&marker(10, 1, 5), true));
        assert_eq!(Session::boot(&store(&again), ME, marker(40, 6, 8)).base(), again.base());
        // The very first one may be cut off, too.
        let first = Session::boot(&[], ME, marker(30, 4, 8));
        assert_eq!((first.base(), first.unkept), (&Marker::default(), true));
        assert!(!Session::boot(&[], ME, marker(30, 4, 0)).unkept);
    }

    #[test]
    fn a_record_that_does_not_read_is_as_if_it_had_never_been() {
        let meta = [(ONLINE_META.to_owned(), vec![9, 9])];
        assert_eq!(*Session::boot(&meta, ME, marker(1, 1, 0)).base(), Marker::default());
    }
}
