//! How long a turn of a shard's loop takes.

/// Microseconds. What a client waits for is its own turn and the one before; over 25 ms something is wrong.
pub const TURN_BOUNDS: [u64; 12] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000];
