//! A token bucket.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How often something may be done: so often a second, after a pause up to [`BURST`]'s worth at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate {
    /// What doing it once takes out of a bucket. Rounded down to a nanosecond, so that rates of more than 10^9 a second,
    /// which nobody reaches, are none.
    cost: Duration,
}

impl Rate {
    pub(super) fn per_second(count: NonZeroU64) -> Rate {
        Rate { cost: Duration::from_nanos(1_000_000_000 / count) }
    }
}

/// The bucket of one address. Its contents are told by the time at which it will be full again: a full one needs no state,
/// and nothing has to refill it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// At most [`BURST`] from now; `None` = it is full, as is one whose time has passed.
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one out.
    ///
    /// # Errors
    /// There is none; the time after which there is one again.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let missing = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)) + rate.cost;
        match missing.checked_sub(BURST) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = Some(now + missing);
                Ok(())
            }
        }
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// What a bucket holds: the worth of this time.
pub(super) const BURST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(count: u64) -> Rate {
        Rate::per_second(NonZeroU64::new(count).unwrap())
    }

    #[test]
    fn a_bucket_holds_five_seconds_worth_and_fills_at_its_rate() {
        let (start, rate, mut bucket) = (Instant::now(), rate(10), Bucket::default());
        for _ in 0..50 {
            assert_eq!(bucket.take(rate, start), Ok(()));
        }
        assert_eq!(bucket.take(rate, start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(60);
        assert_eq!(bucket.take(rate, later), Err(Duration::from_millis(40)), "a refusal takes nothing");
        let later = start + Duration::from_millis(200);
        assert_eq!([(); 3].map(|()| bucket.take(rate, later).is_ok()), [true, true, false]);
        assert!(!bucket.is_full(later) && bucket.is_full(later + BURST));
    }

    #[test]
    fn the_slowest_rate_and_the_fastest_are_rates() {
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        assert_eq!((0..10).filter(|_| bucket.take(rate(1), start).is_ok()).count(), 5);
        assert_eq!(bucket.take(rate(1), start), Err(Duration::from_secs(1)));
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| bucket.take(rate(1 << 40), start).is_ok()));
    }

    proptest! {
        /// In no stretch of time is more let through than a bucket holds and what flows in meanwhile; and who waits as
        /// told is let through.
        #[test]
        fn what_passes_is_bounded_by_the_rate(
            count in 1_u64..2000,
            steps in prop::collection::vec(0_u64..400_000_000, 1..200),
        ) {
            let (start, rate) = (Instant::now(), rate(count));
            let (mut now, mut bucket, mut passed) = (start, Bucket::default(), Vec::new());
            for step in steps {
                now += Duration::from_nanos(step);
                match bucket.take(rate, now) {
                    Ok(()) => passed.push(now),
                    Err(wait) => {
                        let mut waited = bucket;
                        prop_assert!(waited.take(rate, now + wait).is_ok());
                        prop_assert!(waited.take(rate, now + wait).is_err());
                        let mut early = bucket;
                        prop_assert!(early.take(rate, now + wait - Duration::from_nanos(1)).is_err());
                    }
                }
            }
            for (at, first) in passed.iter().enumerate() {
                for (number, last) in passed.iter().enumerate().skip(at) {
                    let most = (*last - *first + BURST).as_nanos() / rate.cost.as_nanos();
                    prop_assert!((number - at + 1) as u128 <= most);
                }
            }
        }
    }
}
