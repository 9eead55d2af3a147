//! Time as the core sees it: an argument, never a clock; and what waits for its time.

mod wheel;

use std::ops::{Add, Sub};
use std::time::Duration;

pub use wheel::{Key, Wheel};

/// Microseconds since the shard started. The driver reads the clock once per tick; simulations count as they like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(u64);

impl Time {
    pub const ZERO: Time = Time(0);

    pub fn from_start(elapsed: Duration) -> Time {
        Time::ZERO + elapsed
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates: a timeout of 2^53 ms ends after everything else.
    fn add(self, duration: Duration) -> Time {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(micros))
    }
}

impl Sub for Time {
    type Output = Duration;

    /// What lies between an earlier time and this one; zero if it is not earlier.
    fn sub(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
