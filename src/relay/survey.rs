//! Who is busy and who is slow on a shard: looked at piece by piece, so that whoever wants to know holds nobody up.

use std::time::Duration;

use crate::channel::{BusyChannel, ChannelId, ClientId, SlowClient, Survey};
use crate::time::Time;

use super::Relay;

/// How far clients are behind, as of the last walk over all of them.
#[derive(Debug, Default)]
pub(super) struct Lags {
    /// Where the walk goes on.
    next: usize,
    /// When.
    at: Time,
    /// What it has found so far.
    found: Lag,
    /// What the last one had found at its end.
    last: Lag,
}

/// What a walk over all clients found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lag {
    /// Bytes that the slowest is behind.
    pub max: u64,
    /// How many are behind at all.
    pub clients: u64,
}

impl Relay {
    /// How far clients are behind. A walk over them takes a step each tenth of a second, if anything happens at all.
    pub fn lag(&mut self, now: Time) -> Lag {
        if now < self.lags.at {
            return self.lags.last;
        }
        self.lags.at = now + LAG_STEP_PAUSE;
        let from = self.lags.next;
        let to = (from + PART_LEN).min(self.sessions.capacity());
        for slot in from..to {
            let behind = self.lag_of(slot);
            self.lags.found.max = self.lags.found.max.max(behind);
            self.lags.found.clients += u64::from(behind > 0);
        }
        self.lags.next = to;
        if to == self.sessions.capacity() {
            self.lags.next = 0;
            self.lags.last = std::mem::take(&mut self.lags.found);
        }
        self.lags.last
    }

    /// The busiest of the first channels behind `after`, at most `max`.
    pub fn busiest(&self, now: Time, after: Option<&ChannelId>, max: usize) -> Survey<BusyChannel, ChannelId> {
        let mut found = Vec::new();
        let (mut count, mut last) = (0, None);
        for room in self.rooms.behind(after).take(PART_LEN) {
            count += 1;
            last = Some(room);
            found.push((room.channel.messages_per_second(now), room));
        }
        keep_largest(&mut found, max, |(rate, room)| (*rate, room.channel.clients()));
        let found = found.into_iter().map(|(_, room)| room.channel.activity(now, self.shard)).collect();
        let next = last.filter(|_| count == PART_LEN).map(|room| room.channel.spec().id.clone());
        Survey { found, next }
    }

    /// The clients that are furthest behind among those in the first slots from `from` on, at most `max`.
    pub fn slowest(&self, from: usize, max: usize) -> Survey<SlowClient, usize> {
        let to = from.saturating_add(PART_LEN).min(self.sessions.capacity());
        let mut found: Vec<(u64, usize)> =
            (from..to).map(|slot| (self.lag_of(slot), slot)).filter(|(behind, _)| *behind > 0).collect();
        keep_largest(&mut found, max, |(behind, _)| *behind);
        let found = found.into_iter().filter_map(|(behind, slot)| {
            let (room, _) = self.sessions.get(slot)?.place?;
            let client = ClientId { shard: self.shard, slot: slot as u32 };
            Some(SlowClient { client, channel: self.rooms[room].channel.spec().id.clone(), behind })
        });
        Survey { found: found.collect(), next: Some(to).filter(|to| *to < self.sessions.capacity()) }
    }

    /// Bytes that the client in a slot was to be sent and has not been; 0 = it is not behind, or there is none.
    fn lag_of(&self, slot: usize) -> u64 {
        let open = self.sessions.get(slot).filter(|session| session.place.is_some());
        open.map_or(0, |session| session.lag(self.flushed_of(session)))
    }
}

/// Drops all but the `max` largest.
fn keep_largest<T, K: Ord>(found: &mut Vec<T>, max: usize, key: impl Fn(&T) -> K) {
    if found.len() > max {
        if max > 0 {
            found.select_nth_unstable_by(max - 1, |one, other| key(other).cmp(&key(one)));
        }
        found.truncate(max);
    }
}

/// What is looked at in one turn: some ten microseconds.
const PART_LEN: usize = 256;

/// Between two steps of the walk that measures lag.
const LAG_STEP_PAUSE: Duration = Duration::from_millis(100);
