//! What is under way: the gate that keeps every queue behind the driver bounded.

use std::collections::BTreeMap;

use crate::limits::{BATCH_BYTES_IN_FLIGHT, BATCHES_IN_FLIGHT, JOBS_IN_FLIGHT};

/// Batches, loads and jobs of one replica's life that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Flight {
    batches: BTreeMap<u64, usize>,
    bytes: usize,
    jobs: usize,
}

impl Flight {
    pub(super) fn batch(&mut self, id: u64, bytes: usize) {
        self.bytes += bytes;
        self.batches.insert(id, bytes);
    }

    pub(super) fn stored(&mut self, id: u64) {
        if let Some(bytes) = self.batches.remove(&id) {
            self.bytes -= bytes;
        }
    }

    /// A job or a load goes out.
    pub(super) fn job(&mut self) {
        self.jobs += 1;
    }

    /// A job or a load came back.
    pub(super) fn done(&mut self) {
        self.jobs = self.jobs.saturating_sub(1);
    }

    /// Whether a load has no batch before it.
    pub(super) fn no_batches(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether no job and no load is under way.
    pub(super) fn no_jobs(&self) -> bool {
        self.jobs == 0
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.jobs == 0
    }

    /// Whether requests and frames may be taken in. Answers always are: they only make room.
    pub(super) fn has_room(&self) -> bool {
        self.batches.len() < BATCHES_IN_FLIGHT && self.bytes < BATCH_BYTES_IN_FLIGHT && self.jobs < JOBS_IN_FLIGHT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_closes_at_each_limit_and_opens_when_answers_come() {
        let mut flight = Flight::default();
        flight.batch(1, BATCH_BYTES_IN_FLIGHT);
        assert!(!flight.has_room());
        flight.stored(1);
        assert!(flight.has_room() && flight.is_empty());
        (0..BATCHES_IN_FLIGHT as u64).for_each(|id| flight.batch(id, 1));
        assert!(!flight.has_room() && !flight.no_batches());
        flight.stored(0);
        assert!(flight.has_room());
        (0..JOBS_IN_FLIGHT).for_each(|_| flight.job());
        assert!(!flight.has_room());
        flight.done();
        assert!(flight.has_room());
    }
}
