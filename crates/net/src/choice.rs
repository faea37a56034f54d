//! [`Choice`]: which of a peer's connections carries the link. Pure, so that both ends can be tested against each other.
//!
//! Both ends must come to the same connection without talking about it:
//! 1. direct before relayed;
//! 2. then the one dialled by the peer with the smaller id;
//! 3. then, among connections with the same dialer, that dialer decides: it opens streams on one only, and the other
//!    end follows to wherever streams were opened last.
//!
//! A worse connection whose streams the peer has opened may mean that the peer has lost the better one (it was killed,
//! it changed networks) and we have not noticed: the better one is then checked, and must answer within 2 s.

use crate::event::Direction;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Established, no stream yet.
    Idle,
    /// We dialled, and have asked for the streams.
    Opening,
    /// All streams are open, but the link runs, or just ran, elsewhere.
    Ready,
    /// Carries the link.
    Active,
    /// Over; libp2p will say when it is gone.
    Closing,
}

/// What must be done to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action<C> {
    /// Ask the handler for the three streams.
    Open(C),
    /// Bring the link up on it.
    Activate(C),
    /// End the link on it: a better one is ready. Then close it.
    Replace(C),
    /// Ask whether the link on it is still alive.
    Check(C),
    /// Close it; it carries nothing.
    Close(C),
}

#[derive(Debug, Clone)]
struct Candidate<C> {
    id: C,
    direction: Direction,
    relayed: bool,
    stage: Stage,
    /// Order in which the streams became ready; later is larger.
    ready: u64,
}

/// The connections of one peer.
#[derive(Debug)]
pub(crate) struct Choice<C> {
    /// Whether our id is the smaller one.
    smaller: bool,
    candidates: Vec<Candidate<C>>,
    /// A link has ended but its owner has not heard yet: the next one waits.
    link_ending: bool,
    checking: bool,
    ready_count: u64,
}

impl<C: Copy + Eq> Choice<C> {
    pub(crate) fn new(smaller: bool) -> Self {
        Choice { smaller, candidates: Vec::new(), link_ending: false, checking: false, ready_count: 0 }
    }

    /// Whether there is nothing left to decide about.
    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty() && !self.link_ending
    }

    /// Whether any connection might still become, or is, the link.
    pub(crate) fn is_hopeful(&self) -> bool {
        self.candidates.iter().any(|candidate| candidate.stage != Stage::Closing)
    }

    /// The connection that carries the link.
    pub(crate) fn active(&self) -> Option<C> {
        self.find_active().map(|candidate| candidate.id)
    }

    pub(crate) fn established(&mut self, id: C, direction: Direction, relayed: bool) -> Vec<Action<C>> {
        self.candidates.push(Candidate { id, direction, relayed, stage: Stage::Idle, ready: 0 });
        self.decide()
    }

    /// All three streams of a connection are open.
    pub(crate) fn streams_ready(&mut self, id: C) -> Vec<Action<C>> {
        self.ready_count += 1;
        let ready = self.ready_count;
        if let Some(candidate) = self.get_mut(id).filter(|c| matches!(c.stage, Stage::Idle | Stage::Opening)) {
            candidate.stage = Stage::Ready;
            candidate.ready = ready;
        }
        self.decide()
    }

    /// The link answered a check: what it was doubted for may go.
    pub(crate) fn alive(&mut self) -> Vec<Action<C>> {
        if !std::mem::take(&mut self.checking) {
            return Vec::new();
        }
        let mut actions = Vec::new();
        if let Some(active) = self.find_active().cloned() {
            for index in 0..self.candidates.len() {
                let other = &self.candidates[index];
                let loses = other.id != active.id
                    && matches!(other.stage, Stage::Idle | Stage::Opening | Stage::Ready)
                    && !self.beats(other, &active);
                if loses {
                    self.candidates[index].stage = Stage::Closing;
                    actions.push(Action::Close(self.candidates[index].id));
                }
            }
        }
        actions.extend(self.decide());
        actions
    }

    /// The link on this connection has ended, for whatever reason; its owner will be told.
    pub(crate) fn link_ended(&mut self, id: C) -> Vec<Action<C>> {
        self.link_ending = true;
        self.checking = false;
        let mut actions = Vec::new();
        if let Some(candidate) = self.get_mut(id) {
            candidate.stage = Stage::Closing;
            actions.push(Action::Close(id));
        }
        actions.extend(self.decide());
        actions
    }

    /// The owner has been told of the link's end.
    pub(crate) fn link_gone(&mut self) -> Vec<Action<C>> {
        self.link_ending = false;
        self.decide()
    }

    /// A connection must go: the peer broke the rules on it, or took too long.
    pub(crate) fn give_up(&mut self, id: C) -> Vec<Action<C>> {
        let mut actions = Vec::new();
        if let Some(candidate) = self.get_mut(id).filter(|c| !matches!(c.stage, Stage::Active | Stage::Closing)) {
            candidate.stage = Stage::Closing;
            actions.push(Action::Close(id));
        }
        actions.extend(self.decide());
        actions
    }

    /// A connection is gone. If it carried the link, the link's task notices by itself and `link_ended` follows.
    pub(crate) fn closed(&mut self, id: C) -> Vec<Action<C>> {
        if let Some(candidate) = self.get_mut(id).filter(|candidate| candidate.stage == Stage::Active) {
            candidate.stage = Stage::Closing;
            self.link_ending = true;
            self.checking = false;
        }
        self.candidates.retain(|candidate| candidate.id != id);
        self.decide()
    }

    fn decide(&mut self) -> Vec<Action<C>> {
        let mut actions = Vec::new();
        match self.find_active().cloned() {
            None => self.decide_without_link(&mut actions),
            Some(active) => self.decide_beside(&active, &mut actions),
        }
        actions
    }

    fn decide_without_link(&mut self, actions: &mut Vec<Action<C>>) {
        let best_ready = self.best(|candidate| candidate.stage == Stage::Ready);
        if let Some(best) = best_ready {
            if self.link_ending {
                return;
            }
            self.candidates[best].stage = Stage::Active;
            self.checking = false;
            let active = self.candidates[best].clone();
            actions.push(Action::Activate(active.id));
            self.decide_beside(&active, actions);
            return;
        }
        // Ours is opened unless a better one of theirs is here: it will be opened by them.
        let Some(best) = self.best(|candidate| matches!(candidate.stage, Stage::Idle | Stage::Opening)) else { return };
        let best = &mut self.candidates[best];
        if best.direction == Direction::Out && best.stage == Stage::Idle {
            best.stage = Stage::Opening;
            actions.push(Action::Open(best.id));
        }
    }

    /// With a link up: what is better replaces it or is opened, what is worse is closed or a reason for doubt.
    fn decide_beside(&mut self, active: &Candidate<C>, actions: &mut Vec<Action<C>>) {
        for index in 0..self.candidates.len() {
            let other = self.candidates[index].clone();
            if other.id == active.id {
                continue;
            }
            let better = self.beats(&other, active);
            match (other.stage, other.direction) {
                (Stage::Ready, _) if better => {
                    if let Some(candidate) = self.get_mut(active.id) {
                        candidate.stage = Stage::Closing;
                    }
                    self.link_ending = true;
                    self.checking = false;
                    actions.push(Action::Replace(active.id));
                    return;
                }
                (Stage::Idle, Direction::Out) if better && self.is_bid(&other) => {
                    // It waits for one of ours that is as good and further on; when that fails, its turn comes.
                }
                (Stage::Idle, Direction::Out) if better => {
                    self.candidates[index].stage = Stage::Opening;
                    actions.push(Action::Open(other.id));
                }
                // Both ours: we know best that the older one works.
                (Stage::Idle | Stage::Opening, Direction::Out) if active.direction == Direction::Out => {
                    self.candidates[index].stage = Stage::Closing;
                    actions.push(Action::Close(other.id));
                }
                // Somebody thought it worth a connection although there is a better one: is that one dead?
                (Stage::Ready, _) | (Stage::Idle | Stage::Opening, Direction::Out) if !self.checking => {
                    self.checking = true;
                    actions.push(Action::Check(active.id));
                }
                _ => {}
            }
        }
    }

    /// Whether we have asked for the streams of another one that is no worse: never two, or the other end could not
    /// tell which one we mean.
    fn is_bid(&self, than: &Candidate<C>) -> bool {
        self.candidates.iter().any(|candidate| {
            candidate.direction == Direction::Out
                && matches!(candidate.stage, Stage::Opening | Stage::Ready)
                && !self.beats(than, candidate)
        })
    }

    fn beats(&self, one: &Candidate<C>, other: &Candidate<C>) -> bool {
        match self.rank(one).cmp(&self.rank(other)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            // The same dialer. If it is we, the one in use stays; if it is they, we follow.
            std::cmp::Ordering::Equal => one.direction == Direction::In && one.ready > other.ready,
        }
    }

    /// Smaller is better.
    fn rank(&self, candidate: &Candidate<C>) -> (bool, bool) {
        let dialed_by_smaller = (candidate.direction == Direction::Out) == self.smaller;
        (candidate.relayed, !dialed_by_smaller)
    }

    fn best(&self, eligible: impl Fn(&Candidate<C>) -> bool) -> Option<usize> {
        let mut best: Option<usize> = None;
        for (index, candidate) in self.candidates.iter().enumerate() {
            if eligible(candidate) && best.is_none_or(|best| self.beats(candidate, &self.candidates[best])) {
                best = Some(index);
            }
        }
        best
    }

    fn find_active(&self) -> Option<&Candidate<C>> {
        self.candidates.iter().find(|candidate| candidate.stage == Stage::Active)
    }

    fn get_mut(&mut self, id: C) -> Option<&mut Candidate<C>> {
        self.candidates.iter_mut().find(|candidate| candidate.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// One end of a simulated pair: its choice, and what its link tasks have yet to report.
    struct End {
        choice: Choice<u32>,
        link: Option<u32>,
        reports: VecDeque<(bool, u32)>,
        ups: u32,
    }

    /// Messages between the ends and from the "swarm": each is delivered in order for one connection and one end.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Message {
        Established(u32),
        Ready(u32),
        Closed(u32),
    }

    struct World {
        ends: [End; 2],
        queues: [VecDeque<Message>; 2],
        /// Connections by id: who dialled, and whether it is still there.
        dialer: Vec<usize>,
        open: Vec<bool>,
        seed: u64,
    }

    impl World {
        fn new(seed: u64) -> Self {
            let end = |smaller| End { choice: Choice::new(smaller), link: None, reports: VecDeque::new(), ups: 0 };
            World { ends: [end(true), end(false)], queues: Default::default(), dialer: vec![], open: vec![], seed }
        }

        fn random(&mut self, below: usize) -> usize {
            self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.seed >> 33) as usize % below
        }

        fn dial(&mut self, dialer: usize) {
            let id = self.dialer.len() as u32;
            self.dialer.push(dialer);
            self.open.push(true);
            for end in 0..2 {
                self.queues[end].push_back(Message::Established(id));
            }
        }

        fn act(&mut self, end: usize, actions: Vec<Action<u32>>) {
            for action in actions {
                match action {
                    Action::Open(id) if self.open[id as usize] => {
                        assert_eq!(self.dialer[id as usize], end, "only the dialer opens");
                        self.queues[0].push_back(Message::Ready(id));
                        self.queues[1].push_back(Message::Ready(id));
                    }
                    Action::Activate(id) => {
                        assert_eq!(self.ends[end].link, None, "two links at once");
                        self.ends[end].link = Some(id);
                        self.ends[end].ups += 1;
                    }
                    Action::Replace(id) => self.end_link(end, id),
                    Action::Check(id) => {
                        // Both ends live in this world: the check is always passed while the connection is there.
                        if self.open[id as usize] {
                            self.ends[end].reports.push_back((true, id));
                        }
                    }
                    Action::Close(id) => self.close(id),
                    Action::Open(_) => {}
                }
            }
        }

        fn close(&mut self, id: u32) {
            if std::mem::take(&mut self.open[id as usize]) {
                self.queues[0].push_back(Message::Closed(id));
                self.queues[1].push_back(Message::Closed(id));
            }
        }

        fn end_link(&mut self, end: usize, id: u32) {
            if self.ends[end].link == Some(id) {
                self.ends[end].link = None;
                self.ends[end].reports.push_back((false, id));
            }
        }

        /// Delivers one thing, chosen at random. False when nothing is left.
        fn step(&mut self) -> bool {
            let busy: Vec<(usize, bool)> = (0..2)
                .flat_map(|end| [(end, true), (end, false)])
                .filter(
                    |&(end, message)| {
                        if message { !self.queues[end].is_empty() } else { !self.ends[end].reports.is_empty() }
                    },
                )
                .collect();
            if busy.is_empty() {
                return false;
            }
            let (end, message) = busy[self.random(busy.len())];
            if !message {
                let (alive, id) = self.ends[end].reports.pop_front().unwrap();
                let choice = &mut self.ends[end].choice;
                if alive {
                    let actions = if choice.active() == Some(id) { choice.alive() } else { vec![] };
                    self.act(end, actions);
                } else {
                    let actions = choice.link_ended(id);
                    self.act(end, actions);
                    let actions = self.ends[end].choice.link_gone();
                    self.act(end, actions);
                }
                return true;
            }
            // Order holds within a connection, not between connections.
            let of = |message: &Message| match *message {
                Message::Established(id) | Message::Ready(id) | Message::Closed(id) => id,
            };
            let index = self.random(self.queues[end].len());
            let id = of(&self.queues[end][index]);
            let first = self.queues[end].iter().position(|message| of(message) == id).unwrap();
            let message = self.queues[end].remove(first).unwrap();
            let dialer = self.dialer[id as usize];
            let direction = if dialer == end { Direction::Out } else { Direction::In };
            let choice = &mut self.ends[end].choice;
            match message {
                Message::Established(id) => {
                    let actions = choice.established(id, direction, false);
                    self.act(end, actions);
                }
                Message::Ready(id) => {
                    let actions = choice.streams_ready(id);
                    self.act(end, actions);
                }
                Message::Closed(id) => {
                    let actions = choice.closed(id);
                    self.act(end, actions);
                    self.end_link(end, id);
                }
            }
            true
        }

        fn settle(&mut self) {
            for _ in 0..10_000 {
                if !self.step() {
                    return;
                }
            }
            panic!("never settles");
        }
    }

    #[test]
    fn both_ends_come_to_one_and_the_same_connection_in_whatever_order_they_hear_of_them() {
        for seed in 0..3000 {
            let mut world = World::new(seed);
            for _ in 0..1 + world.random(3) {
                let dialer = world.random(2);
                world.dial(dialer);
                for _ in 0..world.random(6) {
                    world.step();
                }
            }
            world.settle();
            let [one, other] = &world.ends;
            assert!(one.link.is_some(), "seed {seed}: no link");
            assert_eq!(one.link, other.link, "seed {seed}");
            assert_eq!(world.open.iter().filter(|open| **open).count(), 1, "seed {seed}: losers stay open");
        }
    }

    #[test]
    fn whatever_connections_are_lost_both_ends_agree_on_what_is_left() {
        for seed in 0..3000 {
            let mut world = World::new(seed);
            for _ in 0..5 {
                match world.random(3) {
                    0 if !world.open.is_empty() => {
                        let id = world.random(world.open.len());
                        world.close(id as u32);
                    }
                    dialer => world.dial(dialer % 2),
                }
                for _ in 0..world.random(8) {
                    world.step();
                }
            }
            world.settle();
            let open: Vec<u32> = (0..world.open.len() as u32).filter(|id| world.open[*id as usize]).collect();
            assert!(open.len() <= 1, "seed {seed}: {open:?}");
            assert!(world.ends.iter().all(|end| end.link == open.first().copied()), "seed {seed}: {open:?}");
        }
    }

    #[test]
    fn a_simultaneous_dial_ends_on_the_connection_of_the_smaller() {
        for seed in 0..500 {
            let mut world = World::new(seed);
            world.dial(0);
            world.dial(1);
            world.settle();
            assert_eq!(world.ends[0].link, Some(0), "seed {seed}");
            assert!(world.ends.iter().all(|end| end.ups <= 2), "seed {seed}: a link came up more than twice");
        }
    }

    #[test]
    fn a_better_link_that_turns_out_dead_gives_way_to_the_peers_new_connection() {
        let mut choice = Choice::new(true);
        assert_eq!(choice.established(1, Direction::Out, false), [Action::Open(1)]);
        assert_eq!(choice.streams_ready(1), [Action::Activate(1)]);
        // The peer was killed and dials anew, on what is the worse connection by the rule.
        assert_eq!(choice.established(2, Direction::In, false), []);
        assert_eq!(choice.streams_ready(2), [Action::Check(1)]);
        assert_eq!(choice.link_ended(1), [Action::Close(1)]);
        assert_eq!(choice.link_gone(), [Action::Activate(2)]);
    }

    #[test]
    fn a_direct_connection_takes_over_from_a_relayed_one_and_never_the_reverse() {
        let mut choice = Choice::new(false);
        choice.established(1, Direction::Out, true);
        assert_eq!(choice.streams_ready(1), [Action::Activate(1)]);
        assert_eq!(choice.established(2, Direction::Out, false), [Action::Open(2)]);
        assert_eq!(choice.streams_ready(2), [Action::Replace(1)]);
        assert_eq!(choice.link_ended(1), [Action::Close(1)]);
        assert_eq!(choice.link_gone(), [Action::Activate(2)]);
        choice.closed(1);
        assert_eq!(choice.established(3, Direction::Out, true), [Action::Close(3)]);
    }
}
