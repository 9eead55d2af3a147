//! What a shard shows of itself in the metrics.

use crate::channel::SlowPolicy;
use crate::driver::Driver;
use crate::metrics::{Closing, SlowAction};
use crate::relay;
use crate::ws::CloseCode;

use super::Shard;

impl<D: Driver> Shard<D> {
    /// Shows what has happened in this turn, and what there is after it.
    pub(super) fn publish(&mut self) {
        let Shard { relay, connections, counts, driver, metrics, .. } = self;
        if let Some(relay::Tally { closes, slow, skipped_len, dead, lost, reclaimed, histories_cut }) =
            relay.take_tally()
        {
            for (code, count) in closes {
                counts.closed[closing(code) as usize] += count;
                counts.rate_limited += if code == CloseCode::RateLimit { count } else { 0 };
            }
            for (policy, behind) in slow {
                let action = match policy {
                    SlowPolicy::Disconnect => SlowAction::Disconnect,
                    SlowPolicy::Skip => SlowAction::Skip,
                };
                counts.slow(action, behind);
            }
            counts.closed[Closing::Lost as usize] += lost + dead;
            counts.skipped += skipped_len;
            counts.dead_peers += dead;
            counts.memory_cuts += reclaimed;
            counts.histories_cut += histories_cut;
        }
        counts.buffers_exhausted = driver.starved();
        counts.clients = connections.count();
        counts.messages = relay.message_count();
        (counts.channels, counts.memory) = (relay.channel_count() as u64, relay.memory_len());
        metrics.publish(counts);
    }
}

fn closing(code: CloseCode) -> Closing {
    match code {
        CloseCode::Empty | CloseCode::Echo(_) => Closing::Client,
        CloseCode::ProtocolError(_) => Closing::ProtocolError,
        CloseCode::InvalidText | CloseCode::BrokenDeflate => Closing::InvalidText,
        CloseCode::MayNotPublish | CloseCode::RateLimit => Closing::PolicyViolation,
        CloseCode::TooLarge => Closing::TooLarge,
        CloseCode::ServiceRestart => Closing::ServiceRestart,
        CloseCode::OutOfMemory => Closing::TryAgainLater,
        CloseCode::TokenExpired => Closing::TokenEnded,
        CloseCode::ChannelDeleted => Closing::ChannelDeleted,
        CloseCode::SlowConsumer => Closing::SlowConsumer,
        CloseCode::ChannelExpired => Closing::ChannelExpired,
    }
}
