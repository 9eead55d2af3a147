//! The few numbers that say at a glance how a relay is doing.

use super::{Metrics, lock};

/// The whole relay, as its shards last published it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Overview {
    /// WebSockets that are open.
    pub clients: u64,
    /// Channels that there are.
    pub channels: u64,
    /// Messages that clients have sent so far.
    pub messages: u64,
}

impl Metrics {
    pub fn overview(&self) -> Overview {
        lock(&self.shards).iter().map(|shard| shard.read()).fold(Overview::default(), |sum, shard| Overview {
            clients: sum.clients + shard.clients.iter().sum::<u64>(),
            channels: sum.channels + shard.channels,
            messages: sum.messages + shard.messages,
        })
    }
}
