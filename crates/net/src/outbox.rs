//! [`Outbox`]: the frames of one link that wait to be written, bounded in bytes for each class.

use std::collections::VecDeque;

use crate::error::SendError;
use crate::frame::{Class, put_frame, put_ping, put_pong};
use crate::limits::{BULK_QUEUE_LIMIT, CTL_QUEUE_LIMIT, FRAME_OVERHEAD, LIVE_QUEUE_LIMIT, STAGING_LIMIT};
use crate::status::Flow;

/// One queue for each class, and a slot each for a ping and a pong, which never queue.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: [Lane; 3],
    ping: Option<u64>,
    /// Only the last ping is answered: a peer that floods us with pings costs one slot.
    pong: Option<u64>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Lane {
    frames: VecDeque<Vec<u8>>,
    /// Payloads, and [`FRAME_OVERHEAD`] for each.
    bytes: usize,
    /// A send was refused, and nobody has been told yet that there is room again.
    refused: bool,
    /// What was taken from it, with the frames' headers.
    taken: Flow,
}

impl Outbox {
    /// Queues a frame.
    ///
    /// # Errors
    /// [`SendError`]: the caller's (empty, too long), the peer's slowness (full), or nobody's (down).
    pub(crate) fn push(&mut self, class: Class, frame: Vec<u8>) -> Result<(), SendError> {
        let limit = class.frame_limit();
        if frame.is_empty() {
            return Err(SendError::Empty);
        }
        if frame.len() > limit {
            return Err(SendError::TooLong { class, bytes: frame.len(), limit });
        }
        if self.closed {
            return Err(SendError::Down);
        }
        let lane = &mut self.lanes[class.index()];
        let cost = frame.len() + FRAME_OVERHEAD;
        if lane.bytes + cost > queue_limit(class) {
            lane.refused = true;
            return Err(SendError::Full { class, frame });
        }
        lane.bytes += cost;
        lane.frames.push_back(frame);
        Ok(())
    }

    pub(crate) fn ping(&mut self, nonce: u64) {
        self.ping = Some(nonce);
    }

    pub(crate) fn pong(&mut self, nonce: u64) {
        self.pong = Some(nonce);
    }

    /// Refuses everything from now on; what is queued may still be taken.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Moves frames of a class, encoded, into `staging` as long as they fit.
    /// Says whether somebody waits to hear that there is room again, and there is: half the queue is free.
    pub(crate) fn stage(&mut self, class: Class, staging: &mut Vec<u8>) -> bool {
        if class == Class::Ctl {
            if let Some(nonce) = self.pong.take() {
                put_pong(staging, nonce);
            }
            if let Some(nonce) = self.ping.take() {
                put_ping(staging, nonce);
            }
        }
        let lane = &mut self.lanes[class.index()];
        while let Some(frame) = lane.frames.front() {
            let room = STAGING_LIMIT - staging.len().min(STAGING_LIMIT);
            // A frame of any legal length fits into an empty buffer; pings leave room for one of `ctl` as well.
            if frame.len() + class.header_len() > room {
                break;
            }
            put_frame(staging, class, frame);
            lane.taken.count(frame.len() + class.header_len());
            lane.bytes -= frame.len() + FRAME_OVERHEAD;
            lane.frames.pop_front();
        }
        lane.refused && lane.bytes <= queue_limit(class) / 2
    }

    /// The classes that refused a frame and have room again, each told once.
    pub(crate) fn take_writable(&mut self) -> Vec<Class> {
        let mut writable = Vec::new();
        for class in Class::ALL {
            let lane = &mut self.lanes[class.index()];
            if lane.refused && lane.bytes <= queue_limit(class) / 2 {
                lane.refused = false;
                writable.push(class);
            }
        }
        writable
    }

    /// Bytes that wait, by class, [`FRAME_OVERHEAD`] for each frame included.
    pub(crate) fn waiting(&self) -> [usize; 3] {
        [self.lanes[0].bytes, self.lanes[1].bytes, self.lanes[2].bytes]
    }

    /// What was taken to be written, by class.
    pub(crate) fn taken(&self) -> [Flow; 3] {
        [self.lanes[0].taken, self.lanes[1].taken, self.lanes[2].taken]
    }
}

/// Bytes of a class that may wait on one link.
pub(crate) fn queue_limit(class: Class) -> usize {
    match class {
        Class::Ctl => CTL_QUEUE_LIMIT,
        Class::Live => LIVE_QUEUE_LIMIT,
        Class::Bulk => BULK_QUEUE_LIMIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_gives_the_frame_back_and_says_once_when_there_is_room() {
        let mut outbox = Outbox::default();
        let mut accepted = 0;
        let refused = loop {
            match outbox.push(Class::Bulk, vec![1; 60_000]) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, SendError::Full { class: Class::Bulk, frame: vec![1; 60_000] });
        assert!(accepted * 60_000 <= BULK_QUEUE_LIMIT);
        assert!(outbox.push(Class::Live, vec![1]).is_ok(), "classes have queues of their own");

        let mut taken = 0;
        loop {
            let mut staging = Vec::new();
            let writable = outbox.stage(Class::Bulk, &mut staging);
            assert!(staging.len() <= STAGING_LIMIT);
            taken += staging.len() / 60_000;
            if writable {
                break;
            }
        }
        assert!(taken >= accepted / 2 && taken < accepted, "{taken} of {accepted}");
        assert_eq!(outbox.take_writable(), [Class::Bulk]);
        assert_eq!(outbox.take_writable(), []);
    }

    #[test]
    fn one_byte_frames_are_not_free() {
        let mut outbox = Outbox::default();
        let accepted = (0..).take_while(|_| outbox.push(Class::Ctl, vec![0]).is_ok()).count();
        assert!(accepted <= CTL_QUEUE_LIMIT / FRAME_OVERHEAD);
    }

    #[test]
    fn the_longest_frame_of_each_class_is_staged_even_behind_pings() {
        for class in Class::ALL {
            let mut outbox = Outbox::default();
            outbox.ping(1);
            outbox.pong(2);
            outbox.push(class, vec![5; class.frame_limit()]).unwrap();
            let mut staging = Vec::new();
            outbox.stage(class, &mut staging);
            assert!(staging.len() >= class.frame_limit() + class.header_len());
            assert_eq!(outbox.waiting(), [0; 3]);
        }
    }

    #[test]
    fn empty_and_overlong_frames_are_the_callers_fault() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(Class::Live, vec![]), Err(SendError::Empty));
        let limit = Class::Ctl.frame_limit();
        let bytes = limit + 1;
        assert_eq!(
            outbox.push(Class::Ctl, vec![0; bytes]),
            Err(SendError::TooLong { class: Class::Ctl, bytes, limit })
        );
        outbox.close();
        assert_eq!(outbox.push(Class::Ctl, vec![0]), Err(SendError::Down));
    }
}
