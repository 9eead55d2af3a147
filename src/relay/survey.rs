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
        if self.sessions.is_empty() {
            self.lags = Lags::default();
            return Lag::default();
        }
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

    /// When [`lag`](Self::lag) is to be asked for even if nothing happens: as long as somebody was behind, and may have caught up
    /// or left since; `None` = nobody was.
    pub fn next_look(&self) -> Option<Time> {
        let Lags { at, found, last, .. } = &self.lags;
        (found.clients + last.clients > 0).then_some(*at)
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
        open.map_or(0, |session| {
            let flushed = self.flushed_of(session);
            session.later_lag(flushed).unwrap_or_else(|| session.lag(flushed))
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelSpec, Pattern, Rights, SlowPolicy, Token};
    use crate::relay::{Input, Limits, Output, Terms};

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn relay_with(ids: impl IntoIterator<Item = String>, history: u32) -> Relay {
        let mut relay = Relay::new(3, Limits::new(1000, 1 << 20));
        for id in ids {
            let spec = ChannelSpec {
                id: ChannelId::parse(&id).unwrap(),
                token: Token::new("secret"),
                pattern: Pattern::PubSub,
                client_limit: None,
                timeout: None,
                exclude_sender: true,
                history,
                slow_consumers: SlowPolicy::Disconnect,
                permit: None,
            };
            relay.create(at(0), spec).unwrap();
        }
        relay
    }

    fn join(relay: &mut Relay, id: &str) -> ClientId {
        let place = relay.admit(&ChannelId::parse(id).unwrap(), None).unwrap();
        relay.join(at(0), place, b"101", Terms { rights: Rights::ALL, ends_at: None, window: None })
    }

    fn say(relay: &mut Relay, now: Time, client: ClientId, payload: u8) {
        relay.receive(now, client, &mut [0x82, 0x81, 0, 0, 0, 0, payload]);
    }

    /// Completes all sends but those to `silent`.
    fn complete(relay: &mut Relay, now: Time, silent: Option<ClientId>) {
        loop {
            let mut sends = Vec::new();
            relay.drain(now, |output| {
                if let Output::Send(client, pieces) = output {
                    sends.push((client, pieces.iter().map(|piece| piece.len()).sum()));
                }
            });
            sends.retain(|(client, _)| Some(*client) != silent);
            if sends.is_empty() {
                return;
            }
            for (client, len) in sends {
                relay.handle(now, client, Input::Sent(len));
            }
        }
    }

    #[test]
    fn frames_are_counted_once_whichever_send_carries_them() {
        let mut relay = relay_with(["c".to_owned()], 2);
        let [sender, reader, silent] = [0; 3].map(|_| join(&mut relay, "c"));
        complete(&mut relay, at(0), None);
        assert_eq!((relay.traffic().batches.sum, relay.traffic().batches.counts[0]), (3, 3), "three answers");
        say(&mut relay, at(1), sender, b'a');
        complete(&mut relay, at(1), Some(silent));
        for payload in [b'b', b'c'] {
            say(&mut relay, at(2), sender, payload);
        }
        complete(&mut relay, at(2), Some(silent));
        // One each for `a`, and two for the reader; the silent one still has `a` in flight.
        assert_eq!(relay.traffic().batches.sum, 3 + 2 + 2);
        relay.handle(at(3), silent, Input::Sent(3));
        complete(&mut relay, at(3), None);
        assert_eq!(relay.traffic().batches.sum, 3 + 2 + 4);
        // An answer and the history, which is shorter than what was said.
        let late = join(&mut relay, "c");
        complete(&mut relay, at(4), None);
        assert_eq!(relay.traffic().batches.sum, 3 + 2 + 4 + 3);
        say(&mut relay, at(5), late, b'd');
        complete(&mut relay, at(5), None);
        assert_eq!(relay.traffic().batches.sum, 12 + 3);
        assert_eq!((relay.traffic().received, relay.traffic().delivered), (4, 3 * 2 + 3));
        assert_ne!(reader, late);
    }

    #[test]
    fn all_channels_are_looked_at_part_by_part() {
        let mut relay = relay_with((0..2 * PART_LEN).map(|number| format!("c{number:04}")), 0);
        let busy = [format!("c{:04}", 3), format!("c{:04}", PART_LEN + 1)];
        for (id, count) in busy.iter().zip([1, 2]) {
            let client = join(&mut relay, id);
            (0..count).for_each(|_| say(&mut relay, at(1500), client, b'x'));
        }
        complete(&mut relay, at(1500), None);
        let (mut after, mut found, mut parts) = (None, Vec::new(), 0);
        loop {
            let part = relay.busiest(at(2000), after.as_ref(), 1);
            assert!(part.found.len() <= 1);
            found.extend(part.found.into_iter().map(|channel| (channel.id.to_string(), channel.messages_per_second)));
            parts += 1;
            after = part.next;
            if after.is_none() {
                break;
            }
        }
        let [first, second] = busy;
        assert_eq!(found, [(first, 1), (second, 2)]);
        // Behind a part that is full there may be more.
        assert_eq!(parts, 3);
        assert!(relay.busiest(at(2000), None, 0).found.is_empty());
    }

    #[test]
    fn who_does_not_read_is_found_and_the_walk_begins_anew() {
        let mut relay = relay_with(["c".to_owned()], 0);
        let [sender, _reader, silent] = [0; 3].map(|_| join(&mut relay, "c"));
        complete(&mut relay, at(0), None);
        for millis in [1, 2, 3] {
            say(&mut relay, at(millis), sender, b'x');
            complete(&mut relay, at(millis), Some(silent));
        }
        let part = relay.slowest(0, 16);
        let found: Vec<_> = part.found.iter().map(|slow| (slow.client, slow.behind)).collect();
        assert_eq!((found, part.next), (vec![(silent, 9)], None));
        assert!(relay.slowest(usize::MAX, 16).next.is_none());
        assert_eq!(relay.next_look(), None, "nobody is known to be behind");
        assert_eq!(relay.lag(at(1000)), Lag { max: 9, clients: 1 });
        relay.handle(at(1001), silent, Input::Sent(3));
        complete(&mut relay, at(1001), None);
        assert_eq!(relay.lag(at(1001)), Lag { max: 9, clients: 1 }, "not looked at yet");
        // Nothing happens any more.
        assert_eq!(relay.next_look(), Some(at(1100)));
        assert_eq!(relay.lag(at(1100)), Lag::default());
        assert_eq!(relay.next_look(), None);
    }

    #[test]
    fn who_has_left_is_not_behind_any_more() {
        // Two walks of many steps: who was behind is forgotten at the end of the second.
        for others in [0, 2 * PART_LEN] {
            let mut relay = relay_with(["c".to_owned()], 0);
            let [sender, silent] = [0; 2].map(|_| join(&mut relay, "c"));
            let others: Vec<ClientId> = (0..others).map(|_| join(&mut relay, "c")).collect();
            complete(&mut relay, at(0), None);
            for millis in [1, 2] {
                say(&mut relay, at(millis), sender, b'x');
                complete(&mut relay, at(millis), Some(silent));
            }
            let mut now = at(100);
            while relay.lag(now) == Lag::default() {
                now = relay.next_look().expect("somebody is behind");
            }
            assert_eq!(relay.lag(now), Lag { max: 6, clients: 1 });
            for (client, input) in [(sender, Input::Hangup), (silent, Input::SendFailed)] {
                relay.handle(now, client, input);
                relay.drain(now, |output| assert!(matches!(output, Output::Cut(cut) if cut == client), "{output:?}"));
                relay.handle(now, client, Input::Closed);
            }
            if others.is_empty() {
                assert_eq!(relay.lag(now), Lag::default(), "nobody is there");
            }
            let mut looks = 0;
            while let Some(next) = relay.next_look() {
                assert!(next > now, "a look each tenth of a second");
                now = next;
                relay.lag(now);
                looks += 1;
            }
            assert_eq!(relay.lag(now), Lag::default());
            assert!(looks <= 2 * (relay.sessions.capacity() / PART_LEN + 1), "{looks} looks");
        }
    }
}
