//! How busy a channel is, and who is slow in it: what an operator sees of it.

use super::{ChannelId, ClientId, Pattern};
use crate::time::Time;

/// Counts the messages of whole seconds: exact, and without a timer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Activity {
    /// The second that is counted.
    second: u32,
    /// Messages in it so far.
    count: u32,
    /// Messages in the one before.
    before: u32,
}

impl Activity {
    /// A message came.
    #[inline]
    pub(super) fn note(&mut self, now: Time) {
        let second = now.seconds() as u32;
        if second != self.second {
            self.before = if second == self.second.wrapping_add(1) { self.count } else { 0 };
            (self.second, self.count) = (second, 0);
        }
        self.count = self.count.saturating_add(1);
    }

    /// Messages in the last whole second.
    pub(super) fn per_second(&self, now: Time) -> u32 {
        match (now.seconds() as u32).wrapping_sub(self.second) {
            0 => self.before,
            1 => self.count,
            _ => 0,
        }
    }
}

/// A channel among the busiest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BusyChannel {
    pub id: ChannelId,
    pub shard: u16,
    pub pattern: Pattern,
    pub clients: u64,
    /// In the last whole second.
    pub messages_per_second: u32,
}

/// A client among the slowest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlowClient {
    pub client: ClientId,
    pub channel: ChannelId,
    /// Bytes that it was to be sent and has not been.
    pub behind: u64,
}

/// The first of their kind in a part of what there is.
#[derive(Debug)]
pub struct Survey<T, N> {
    /// In no order.
    pub found: Vec<T>,
    /// Where the next part begins; `None` = there is none.
    pub next: Option<N>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn messages_are_told_of_the_last_whole_second() {
        let at = |millis| Time::ZERO + Duration::from_millis(millis);
        let mut activity = Activity::default();
        for millis in [1_000, 1_500, 1_999] {
            activity.note(at(millis));
        }
        assert_eq!(activity.per_second(at(1_999)), 0, "it is not over");
        assert_eq!(activity.per_second(at(2_000)), 3);
        activity.note(at(2_100));
        assert_eq!(activity.per_second(at(2_900)), 3);
        assert_eq!(activity.per_second(at(3_000)), 1);
        assert_eq!(activity.per_second(at(4_000)), 0);
        activity.note(at(9_000));
        assert_eq!(activity.per_second(at(9_001)), 0);
    }
}
