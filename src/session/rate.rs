//! How much a client may send: token buckets (requirements, section 5).

use std::num::NonZeroU64;

use crate::time::Time;
use crate::ws::HEADER_LEN_MAX;

/// How much every client may send.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Messages, pings and pongs; `None` = any number.
    messages: Option<Rate>,
    /// Bytes; `None` = any number.
    bytes: Option<Rate>,
}

/// What one client may still send of what has a rate.
#[derive(Debug)]
pub struct Allowance {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Rates {
    /// Rates per second; a client that was quiet may send at once what they allow in five seconds, and at least one message
    /// of `message_len_max` bytes. `None` if neither is limited.
    pub fn new(messages: Option<NonZeroU64>, bytes: Option<NonZeroU64>, message_len_max: u64) -> Option<Rates> {
        if messages.is_none() && bytes.is_none() {
            return None;
        }
        let burst_min = message_len_max + HEADER_LEN_MAX as u64;
        let (messages, bytes) = (messages.map(|rate| Rate::new(rate, 1)), bytes.map(|rate| Rate::new(rate, burst_min)));
        Some(Rates { messages, bytes })
    }

    /// What a client may send that has just come.
    pub fn allowance(&self, now: Time) -> Allowance {
        let full = |rate: Rate| Bucket::full(rate, now);
        Allowance { messages: self.messages.map(full), bytes: self.bytes.map(full) }
    }
}

impl Allowance {
    /// Counts one message; `false` = it is one too many.
    pub fn take_message(&mut self, rates: &Rates, now: Time) -> bool {
        take(&mut self.messages, rates.messages, now, 1)
    }

    /// Counts bytes; `false` = they are too many.
    pub fn take_bytes(&mut self, rates: &Rates, now: Time, len: usize) -> bool {
        take(&mut self.bytes, rates.bytes, now, len as u64)
    }
}

fn take(bucket: &mut Option<Bucket>, rate: Option<Rate>, now: Time, tokens: u64) -> bool {
    match (bucket, rate) {
        (Some(bucket), Some(rate)) => bucket.take(rate, now, tokens),
        (None, _) | (_, None) => true,
    }
}

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Tokens per second, which is millionths of a token per microsecond.
    per_second: u64,
    /// Tokens in a full bucket.
    burst: u64,
}

impl Rate {
    /// A rate whose bucket holds what comes in five seconds, and at least `burst_min`.
    fn new(per_second: NonZeroU64, burst_min: u64) -> Rate {
        let per_second = per_second.get();
        Rate { per_second, burst: per_second.saturating_mul(BURST_SECONDS).max(burst_min) }
    }
}

/// What one client may still send.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Millionths of a token; at most the burst.
    level: u64,
    /// When it was that full.
    at: Time,
}

impl Bucket {
    fn full(rate: Rate, now: Time) -> Bucket {
        Bucket { level: rate.burst.saturating_mul(MILLION), at: now }
    }

    /// Takes `tokens` out; `false` = there are not as many, and it is empty.
    fn take(&mut self, rate: Rate, now: Time, tokens: u64) -> bool {
        let elapsed = u64::try_from((now - self.at).as_micros()).unwrap_or(u64::MAX);
        let filled = self.level.saturating_add(elapsed.saturating_mul(rate.per_second));
        self.at = now;
        let left = filled.min(rate.burst.saturating_mul(MILLION)).checked_sub(tokens.saturating_mul(MILLION));
        self.level = left.unwrap_or(0);
        left.is_some()
    }
}

/// What a bucket holds, in seconds of its rate: who was quiet may send a little faster for a while.
const BURST_SECONDS: u64 = 5;

const MILLION: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u64) -> Rate {
        Rate::new(NonZeroU64::new(per_second).unwrap(), 0)
    }

    #[test]
    fn a_bucket_holds_five_seconds_and_fills_at_its_rate() {
        let rate = rate(10);
        let mut bucket = Bucket::full(rate, Time::ZERO);
        assert!((0..50).all(|_| bucket.take(rate, Time::ZERO, 1)));
        assert!(!bucket.take(rate, Time::ZERO, 1));
        let later = Time::ZERO + Duration::from_millis(100);
        assert!(bucket.take(rate, later, 1));
        assert!(!bucket.take(rate, later, 1));
    }

    #[test]
    fn a_bucket_holds_at_least_one_message() {
        let rate = Rate::new(NonZeroU64::MIN, 1 << 20);
        assert!(Bucket::full(rate, Time::ZERO).take(rate, Time::ZERO, 1 << 20));
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_burst_and_the_rate(
            per_second in 1u64..1_000_000, pauses in prop::collection::vec((0u64..2_000_000, 0u64..1000), 1..200),
        ) {
            let rate = rate(per_second);
            let mut bucket = Bucket::full(rate, Time::ZERO);
            let (mut now, mut taken) = (Time::ZERO, 0);
            for (pause, tokens) in pauses {
                now = now + Duration::from_micros(pause);
                if bucket.take(rate, now, tokens) {
                    taken += tokens;
                }
            }
            let micros = (now - Time::ZERO).as_micros() as u64;
            prop_assert!(taken <= per_second * 5 + per_second * micros / 1_000_000 + 1);
        }

        #[test]
        fn no_numbers_overflow(per_second in any::<u64>(), tokens in any::<u64>(), micros in any::<u64>()) {
            let rate = rate(per_second.max(1));
            let mut bucket = Bucket::full(rate, Time::ZERO);
            bucket.take(rate, Time::ZERO + Duration::from_micros(micros), tokens);
            bucket.take(rate, Time::ZERO, tokens);
        }
    }
}
