//! Whose turn it is to be closed while the relay ends.
//!
//! Clients that are all closed at once all come back at once, and hit whoever takes over. So they are dealt out over a
//! time: each gets a part of it, and a place within that part that looks random and follows from its number alone. The
//! first goes at once, so that a relay with a single client does not keep anybody waiting.

use std::time::Duration;

use crate::time::Time;

/// The order and the times of closing.
#[derive(Debug)]
pub(super) struct Departure {
    begun: Time,
    spread: Duration,
    /// Slots of the sessions that there were when it began, each once.
    slots: Vec<u32>,
    /// How many of them have been taken.
    taken: usize,
    /// Shards that close at the same time differ in this.
    seed: u64,
}

impl Departure {
    pub(super) fn new(begun: Time, spread: Duration, slots: Vec<u32>, seed: u64) -> Departure {
        Departure { begun, spread, slots, taken: 0, seed }
    }

    /// When the next is to be closed; `None` = all have been.
    pub(super) fn next_at(&self) -> Option<Time> {
        (self.taken < self.slots.len()).then(|| self.begun + self.delay(self.taken))
    }

    /// Takes the slot of one that is to be closed. Its session may have ended meanwhile.
    pub(super) fn take_due(&mut self, now: Time) -> Option<u32> {
        if self.next_at()? > now {
            return None;
        }
        self.taken += 1;
        Some(self.slots[self.taken - 1])
    }

    /// Less than the spread, and never falling from one index to the next.
    fn delay(&self, index: usize) -> Duration {
        let place = if index == 0 { 0 } else { self.place(index) };
        // Of 2^32 parts of the spread for each.
        let parts = ((index as u128) << 32) + u128::from(place);
        let micros = (self.spread.as_micros() * parts / self.slots.len() as u128) >> 32;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Where in its part of the spread an index stands. Multiples of the golden ratio lie apart however many there are.
    fn place(&self, index: usize) -> u32 {
        ((index as u64).wrapping_add(self.seed).wrapping_mul(GOLDEN_RATIO) >> 32) as u32
    }
}

/// 2^64 divided by the golden ratio.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    const SPREAD: Duration = Duration::from_secs(5);

    fn departure(count: u32, spread: Duration) -> Departure {
        Departure::new(Time::ZERO, spread, (0..count).collect(), 7)
    }

    #[test]
    fn each_part_of_the_spread_closes_its_share() {
        let mut departure = departure(10_000, SPREAD);
        for tenth in 1..=10 {
            let until = Time::ZERO + SPREAD / 10 * tenth;
            let count = std::iter::from_fn(|| departure.take_due(until)).count();
            assert!((990..=1010).contains(&count), "{count} in tenth {tenth}");
        }
        assert_eq!(departure.next_at(), None);
    }

    #[test]
    fn intervals_differ_and_times_never_fall() {
        let departure = departure(1000, SPREAD);
        let delays: Vec<Duration> = (0..1000).map(|index| departure.delay(index)).collect();
        assert!(delays.is_sorted() && delays[999] < SPREAD);
        let intervals: std::collections::BTreeSet<Duration> = delays.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(intervals.first() < intervals.last(), "{intervals:?}");
    }

    #[test]
    fn the_first_goes_at_once_and_without_a_spread_all_do() {
        assert_eq!(departure(1, SPREAD).next_at(), Some(Time::ZERO));
        assert_eq!(departure(0, SPREAD).next_at(), None);
        let mut all = departure(50, Duration::ZERO);
        assert_eq!(std::iter::from_fn(|| all.take_due(Time::ZERO)).count(), 50);
    }

    #[test]
    fn shards_that_close_together_do_not_close_in_step() {
        let other = Departure { seed: 8, ..departure(100, SPREAD) };
        let one = departure(100, SPREAD);
        assert!((1..100).filter(|index| one.delay(*index) == other.delay(*index)).count() < 5);
    }
}
