//! Which shard owns a channel: a function of its id alone.

use crate::channel::ChannelId;
use crate::handoff::ShardHandle;

/// All shards of the relay, in order.
#[derive(Clone, Debug)]
pub struct Registry {
    shards: Vec<ShardHandle>,
}

impl Registry {
    /// # Panics
    /// If there is no shard.
    pub fn new(shards: Vec<ShardHandle>) -> Registry {
        assert!(!shards.is_empty(), "a relay has at least one shard");
        Registry { shards }
    }

    /// The shard that has, or would have, the channel.
    pub fn owner(&self, id: &ChannelId) -> &ShardHandle {
        &self.shards[(fnv1a(id.as_str().as_bytes()) % self.shards.len() as u64) as usize]
    }

    pub fn shards(&self) -> &[ShardHandle] {
        &self.shards
    }
}

/// FNV-1a, 64 bits: the same on every start, so that logs of two runs can be compared. Who wants to crowd one shard
/// can do so with a single channel, so a keyed hash would protect nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
