//! The closed loop when each message goes to one receiver: which messages of a publisher are under way, and how far each
//! has come. Any receiver may get any of them, so they arrive in no order of their own.

use std::collections::VecDeque;

/// What an arrival means for the message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Its journey goes on: this was the request, and the reply is due.
    OnItsWay,
    /// Its journey is over.
    Done,
    /// It had arrived before, or was given up as lost.
    Again,
    /// It was never sent.
    NeverSent,
}

/// The messages of all publishers that are under way.
#[derive(Debug)]
pub struct Journeys {
    publishers: Vec<Publisher>,
    /// 0: unlimited.
    window: u64,
    /// Deliveries that a message takes: 1, or 2 with a reply.
    legs: u8,
}

/// `oldest + legs_made.len()` is the message to be sent next.
#[derive(Debug, Default)]
struct Publisher {
    /// The first message whose journey is not over.
    oldest: u64,
    /// The deliveries of each message from `oldest` on.
    legs_made: VecDeque<u8>,
    /// Those of them whose journey is not over: `open <= legs_made.len()`.
    open: u64,
    /// Counts down to the next look for lost messages.
    unexamined: u64,
}

impl Journeys {
    pub fn new(publishers: usize, window: u32, legs: u8) -> Journeys {
        let publishers = (0..publishers).map(|_| Publisher { unexamined: EXAMINE_EVERY, ..Publisher::default() });
        Journeys { publishers: publishers.collect(), window: u64::from(window), legs }
    }

    /// How many messages the publisher may send now.
    pub fn vacancy(&self, publisher: usize) -> u64 {
        self.window.saturating_sub(self.publishers[publisher].open)
    }

    /// The sequence number of the first of `count` messages, which are now under way.
    pub fn send(&mut self, publisher: usize, count: u64) -> u64 {
        let publisher = &mut self.publishers[publisher];
        let first = publisher.next();
        publisher.legs_made.resize(publisher.legs_made.len() + count as usize, 0);
        publisher.open += count;
        first
    }

    /// A message has made its leg `leg`, counted from 0.
    pub fn arrive(&mut self, publisher: usize, sequence: u64, leg: u8) -> Arrival {
        let legs = self.legs;
        let publisher = &mut self.publishers[publisher];
        if sequence < publisher.oldest {
            return Arrival::Again;
        }
        let Some(made) = publisher.legs_made.get_mut((sequence - publisher.oldest) as usize) else {
            return Arrival::NeverSent;
        };
        match (*made).cmp(&leg) {
            std::cmp::Ordering::Less => return Arrival::NeverSent,
            std::cmp::Ordering::Greater => return Arrival::Again,
            std::cmp::Ordering::Equal => *made += 1,
        }
        if *made < legs {
            return Arrival::OnItsWay;
        }
        publisher.close_one(legs);
        Arrival::Done
    }

    /// Whether it is time to look for lost messages of the publisher: not at every delivery, since it looks at all
    /// receivers.
    #[inline(always)]
    pub fn is_due_for_examination(&mut self, publisher: usize) -> bool {
        let unexamined = &mut self.publishers[publisher].unexamined;
        *unexamined -= 1;
        if *unexamined == 0 {
            *unexamined = EXAMINE_EVERY;
            return true;
        }
        false
    }

    /// Ends the journeys that can go no further, and returns how many: `floors` says of each leg which sequence number
    /// is the lowest that may still make it.
    pub fn give_up(&mut self, publisher: usize, floors: [u64; 2]) -> u64 {
        let legs = self.legs;
        let publisher = &mut self.publishers[publisher];
        let mut lost = 0;
        for (sequence, made) in (publisher.oldest..).zip(&mut publisher.legs_made) {
            if *made < legs && sequence < floors[usize::from(*made)] {
                *made = legs;
                lost += 1;
            }
        }
        (0..lost).for_each(|_| publisher.close_one(legs));
        lost
    }

    /// Messages of all publishers whose journey is not over.
    pub fn open_total(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.open).sum()
    }

    /// What all publishers have sent so far.
    pub fn sent_total(&self) -> u64 {
        self.publishers.iter().map(Publisher::next).sum()
    }
}

impl Publisher {
    fn next(&self) -> u64 {
        self.oldest + self.legs_made.len() as u64
    }

    fn close_one(&mut self, legs: u8) {
        debug_assert!(self.open > 0);
        self.open -= 1;
        while self.legs_made.front() == Some(&legs) {
            self.legs_made.pop_front();
            self.oldest += 1;
        }
    }
}

/// Deliveries between two looks for lost messages.
const EXAMINE_EVERY: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_counts_what_is_under_way_whatever_arrives_first() {
        let mut journeys = Journeys::new(2, 3, 1);
        assert_eq!((journeys.send(1, 3), journeys.vacancy(1), journeys.vacancy(0)), (0, 0, 3));
        assert_eq!(journeys.arrive(1, 2, 0), Arrival::Done);
        assert_eq!((journeys.vacancy(1), journeys.send(1, 1)), (1, 3));
        assert_eq!([0, 1, 3].map(|sequence| journeys.arrive(1, sequence, 0)), [Arrival::Done; 3]);
        assert_eq!((journeys.vacancy(1), journeys.open_total(), journeys.sent_total()), (3, 0, 4));
    }

    #[test]
    fn what_comes_twice_or_was_never_sent_is_told_apart() {
        let mut journeys = Journeys::new(1, 4, 1);
        journeys.send(0, 3);
        assert_eq!(journeys.arrive(0, 0, 0), Arrival::Done);
        assert_eq!(journeys.arrive(0, 2, 0), Arrival::Done);
        assert_eq!([0, 2].map(|sequence| journeys.arrive(0, sequence, 0)), [Arrival::Again; 2]);
        assert_eq!(journeys.arrive(0, 3, 0), Arrival::NeverSent);
        assert_eq!(journeys.open_total(), 1);
    }

    #[test]
    fn a_request_is_under_way_until_its_reply_is_there() {
        let mut journeys = Journeys::new(1, 1, 2);
        journeys.send(0, 1);
        assert_eq!(journeys.arrive(0, 0, 1), Arrival::NeverSent, "a reply to a request that nobody got");
        assert_eq!((journeys.arrive(0, 0, 0), journeys.vacancy(0)), (Arrival::OnItsWay, 0));
        assert_eq!(journeys.arrive(0, 0, 0), Arrival::Again);
        assert_eq!((journeys.arrive(0, 0, 1), journeys.vacancy(0)), (Arrival::Done, 1));
    }

    #[test]
    fn what_all_receivers_have_passed_is_given_up_by_leg() {
        let mut journeys = Journeys::new(1, 8, 2);
        journeys.send(0, 6);
        // 0 and 4 wait for their request, 1 and 3 for their reply, 2 is over, 5 is above both floors.
        [1, 2, 3].into_iter().for_each(|sequence| _ = journeys.arrive(0, sequence, 0));
        journeys.arrive(0, 2, 1);
        assert_eq!(journeys.give_up(0, [5, 3]), 3);
        assert_eq!((journeys.open_total(), journeys.vacancy(0)), (2, 6));
        assert_eq!(journeys.arrive(0, 4, 0), Arrival::Again);
        assert_eq!(journeys.arrive(0, 3, 1), Arrival::Done);
        assert_eq!(journeys.send(0, 1), 6);
    }

    #[test]
    fn lost_messages_are_looked_for_now_and_then() {
        let mut journeys = Journeys::new(1, 8, 1);
        let due = (0..EXAMINE_EVERY * 3).filter(|_| journeys.is_due_for_examination(0)).count();
        assert_eq!(due, 3);
    }
}
