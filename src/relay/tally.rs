//! What happened on a shard, counted for its metrics.

use crate::channel::SlowPolicy;
use crate::ws::CloseCode;

/// What has happened since it was last asked for.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that were closed, by code; in no order. `Empty` is for all that clients closed, and a broken rule is
    /// any.
    pub closes: Vec<(CloseCode, u64)>,
    /// Clients that were further behind than they may be, and by how many bytes they were.
    pub slow: Vec<(SlowPolicy, u64)>,
    /// Messages' bytes that clients were not sent because they were too far behind.
    pub skipped_len: u64,
    /// Clients that left, or whose connections broke, without closing.
    pub lost: u64,
    /// Clients cut because they were silent for two pings.
    pub dead: u64,
    /// Clients closed because the shard's memory was used up.
    pub reclaimed: u64,
    /// Histories given up for the same reason.
    pub histories_cut: u64,
}

impl Tally {
    pub(super) fn closed(&mut self, code: CloseCode) {
        let code = match code {
            CloseCode::Empty | CloseCode::Echo(_) => CloseCode::Empty,
            CloseCode::ProtocolError(_) => CloseCode::ProtocolError(""),
            other => other,
        };
        match self.closes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => self.closes.push((code, 1)),
        }
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        let Tally { closes, slow, skipped_len, dead, lost, reclaimed, histories_cut } = self;
        closes.is_empty()
            && slow.is_empty()
            && [skipped_len, dead, lost, reclaimed, histories_cut].iter().all(|count| **count == 0)
    }
}
