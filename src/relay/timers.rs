//! What is to happen when.

use crate::time::Wheel;

/// Something that waits for its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
pub(super) type Timers = Wheel<Timer>;
