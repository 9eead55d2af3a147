//! The bounds that hold for every connection of a shard.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::channel::ORIGIN_MEMBER_LEN_MAX;

/// The bounds that hold for every connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest message, in bytes.
    pub message_len_max: u64,
    /// How far a connection may fall behind, in bytes. One message of the largest size always fits.
    pub lag_max: u64,
    /// Between two pings of a client; `None` = it is never pinged.
    pub ping_interval: Option<Duration>,
    /// Messages per second that a client may send, pings and pongs among them; `None` = any number.
    pub message_rate: Option<NonZeroU64>,
    /// Bytes per second that a client may send; `None` = any number.
    pub byte_rate: Option<NonZeroU64>,
}

impl Limits {
    /// These two bounds, and none of the others.
    pub const fn new(message_len_max: u64, lag_max: u64) -> Limits {
        Limits { message_len_max, lag_max, ping_interval: None, message_rate: None, byte_rate: None }
    }

    /// The lag that closes a connection, in bytes: more than the bound, and more than one message as it is delivered.
    pub(super) fn lag_max(&self) -> u64 {
        self.lag_max.max(self.message_len_max + FRAME_HEADER_LEN_MAX + ORIGIN_MEMBER_LEN_MAX as u64)
    }
}

/// Bytes taken in, and made of them, after which a turn ends, however much more there is. A connection is sent more per
/// turn ([`SEND_LEN_MAX`](super::SEND_LEN_MAX)): what comes in can go out, and only who does not read falls behind.
pub const TURN_LEN_MAX: usize = 256 * 1024;

/// The longest header of a frame that the relay sends.
const FRAME_HEADER_LEN_MAX: u64 = 10;
