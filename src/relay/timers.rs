//! What is to happen when.

use std::collections::BTreeSet;

use crate::time::Time;

/// Something that waits for its time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// The timeout of a channel, by slot.
    Expire(u32),
    /// A look at a channel's memory, by slot.
    Cool(u32),
    /// The end of a client's token, by slot.
    TokenEnd(u32),
    /// The end of a connection's patience, by slot.
    Cut(u32),
}

/// The timers of one shard. Each is taken back when its reason goes, so that there are never more than two per channel
/// and per connection.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pending: BTreeSet<(Time, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Time, timer: Timer) {
        self.pending.insert((at, timer));
    }

    pub(super) fn unset(&mut self, at: Time, timer: Timer) {
        self.pending.remove(&(at, timer));
    }

    /// When the first timer is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.pending.first().map(|(at, _)| *at)
    }

    /// Takes one that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.pending.pop_first().map(|(_, timer)| timer)
    }
}
