//! What passes through a relay: messages, and what sends carry.

use super::Histogram;

/// Counted where messages pass, in plain numbers; all only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Messages that clients sent, and the bytes of their payloads.
    pub received: u64,
    pub received_len: u64,
    /// Messages put on their way, one for each receiver, and the bytes of their payloads.
    pub delivered: u64,
    pub delivered_len: u64,
    /// Frames that one send carries.
    pub batches: Histogram<{ BATCH_BOUNDS.len() + 1 }>,
    /// Microseconds that WebSockets lasted.
    pub durations: Histogram<{ DURATION_BOUNDS.len() + 1 }>,
}

impl Traffic {
    /// A client sent a message of `len` bytes.
    #[inline]
    pub fn receive(&mut self, len: usize) {
        if super::COUNTS {
            self.received += 1;
            self.received_len += len as u64;
        }
    }

    /// A message of `len` bytes goes to so many receivers.
    #[inline]
    pub fn deliver(&mut self, receivers: usize, len: usize) {
        if super::COUNTS {
            self.delivered += receivers as u64;
            self.delivered_len += receivers as u64 * len as u64;
        }
    }
}

/// Frames: powers of two. Below two nothing was saved by waiting for the send in flight.
pub const BATCH_BOUNDS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024];

/// Microseconds: from a visit of a tenth of a second to one of a day.
pub const DURATION_BOUNDS: [u64; 9] = [
    100_000,
    1_000_000,
    10_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    3_600_000_000,
    21_600_000_000,
    86_400_000_000,
];
