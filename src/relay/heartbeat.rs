//! Whose turn it is to be pinged.
//!
//! The slots of a shard are dealt out to the beats of an interval, so that the pings are spread over it evenly, however
//! the clients came; nothing is kept per client, and a beat costs what its own share of them costs.

use std::time::Duration;

use crate::time::Time;

/// The beats of one shard.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// Between two beats.
    period: Duration,
    /// `0..BEATS`
    next: usize,
    next_at: Time,
}

impl Heartbeat {
    /// Beats by which every slot comes up once per `interval`.
    pub(super) fn new(interval: Duration) -> Heartbeat {
        // Time counts in microseconds, and a beat that takes none would never end.
        let period = (interval / BEATS as u32).max(Duration::from_micros(1));
        Heartbeat { period, next: 0, next_at: Time::ZERO + period }
    }

    /// When the next beat is due.
    pub(super) fn next_at(&self) -> Time {
        self.next_at
    }

    /// The slots below `slots` whose beat is due; `None` = no beat is.
    ///
    /// A shard that slept for lack of clients does not make up for the beats that it missed.
    pub(super) fn take_due(&mut self, now: Time, slots: usize) -> Option<impl Iterator<Item = usize> + use<>> {
        if self.next_at > now {
            return None;
        }
        let due = (self.next..slots).step_by(BEATS);
        self.next = (self.next + 1) % BEATS;
        self.next_at = (self.next_at + self.period).max(now);
        Some(due)
    }
}

/// Beats per interval: of 10 000 clients 80 are pinged at once.
const BEATS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_comes_up_once_per_interval() {
        let interval = Duration::from_millis(1280);
        let mut heartbeat = Heartbeat::new(interval);
        let mut counts = vec![0; 1000];
        while heartbeat.next_at() <= Time::ZERO + interval {
            let at = heartbeat.next_at();
            let due: Vec<usize> = heartbeat.take_due(at, counts.len()).unwrap().collect();
            assert!(due.len() <= 8, "{} at once", due.len());
            due.iter().for_each(|slot| counts[*slot] += 1);
            assert!(heartbeat.take_due(at, counts.len()).is_none());
        }
        assert_eq!(counts, [1; 1000]);
    }

    #[test]
    fn missed_beats_are_not_made_up_for() {
        let mut heartbeat = Heartbeat::new(Duration::from_secs(30));
        let late = Time::ZERO + Duration::from_secs(3600);
        assert!(heartbeat.take_due(late, 10).is_some());
        assert!(heartbeat.take_due(late, 10).is_some(), "it is due now");
        assert!(heartbeat.next_at() >= late);
    }
}
