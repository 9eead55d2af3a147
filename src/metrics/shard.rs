//! What one shard counts.

use super::counter::Counter;
use super::{BEHIND_BOUNDS, Behind, Closing, SlowAction, Transport};

/// The numbers of one shard, as it keeps them: plain, for its thread alone. What is counted only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// WebSockets that have ended, by how.
    pub closed: [u64; Closing::ALL.len()],
    /// Slow clients, by what became of them.
    pub slow: [u64; SlowAction::ALL.len()],
    /// How far behind those were.
    pub behind: Behind,
    /// Clients closed because they sent more than their rate.
    pub rate_limited: u64,
    /// Clients cut because they were silent for two pings.
    pub dead_peers: u64,
    /// Clients closed because the shard's memory was at its budget.
    pub memory_cuts: u64,
    /// Histories halved for the same reason.
    pub histories_cut: u64,
    /// Bytes that slow clients were not sent.
    pub skipped: u64,
    /// Messages that clients have sent.
    pub messages: u64,
    /// Receives that found no buffer (ENOBUFS).
    pub buffers_exhausted: u64,
    /// WebSockets that are open now, by transport.
    pub clients: [u64; Transport::ALL.len()],
    /// Channels that there are now.
    pub channels: u64,
    /// Bytes held for messages now.
    pub memory: u64,
    /// Most bytes that may be.
    pub memory_budget: u64,
}

impl Tally {
    pub fn closed(&mut self, how: Closing) {
        self.closed[how as usize] += 1;
    }

    /// A client was this many bytes behind, and something was done about it.
    pub fn slow(&mut self, action: SlowAction, behind: u64) {
        self.slow[action as usize] += 1;
        self.behind.observe(behind);
    }
}

/// The part of one shard's thread, which alone writes to it, when it has nothing more urgent to do.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    closed: [Counter; Closing::ALL.len()],
    slow: [Counter; SlowAction::ALL.len()],
    behind_counts: [Counter; BEHIND_BOUNDS.len() + 1],
    behind_sum: Counter,
    rate_limited: Counter,
    dead_peers: Counter,
    memory_cuts: Counter,
    histories_cut: Counter,
    skipped: Counter,
    messages: Counter,
    buffers_exhausted: Counter,
    clients: [Counter; Transport::ALL.len()],
    channels: Counter,
    memory: Counter,
    memory_budget: Counter,
}

impl Shard {
    /// Shows these numbers to whoever asks from now on: a store each to memory of the shard's own, once a turn.
    pub fn publish(&self, tally: &Tally) {
        set_all(&self.closed, &tally.closed);
        set_all(&self.slow, &tally.slow);
        set_all(&self.behind_counts, &tally.behind.counts);
        self.behind_sum.set(tally.behind.sum);
        self.rate_limited.set(tally.rate_limited);
        self.dead_peers.set(tally.dead_peers);
        self.memory_cuts.set(tally.memory_cuts);
        self.histories_cut.set(tally.histories_cut);
        self.skipped.set(tally.skipped);
        self.messages.set(tally.messages);
        self.buffers_exhausted.set(tally.buffers_exhausted);
        set_all(&self.clients, &tally.clients);
        self.channels.set(tally.channels);
        self.memory.set(tally.memory);
        self.memory_budget.set(tally.memory_budget);
    }

    /// The numbers last published; each by itself is true, together they may be of two turns.
    pub(super) fn read(&self) -> Tally {
        Tally {
            closed: get_all(&self.closed),
            slow: get_all(&self.slow),
            behind: Behind { counts: get_all(&self.behind_counts), sum: self.behind_sum.get() },
            rate_limited: self.rate_limited.get(),
            dead_peers: self.dead_peers.get(),
            memory_cuts: self.memory_cuts.get(),
            histories_cut: self.histories_cut.get(),
            skipped: self.skipped.get(),
            messages: self.messages.get(),
            buffers_exhausted: self.buffers_exhausted.get(),
            clients: get_all(&self.clients),
            channels: self.channels.get(),
            memory: self.memory.get(),
            memory_budget: self.memory_budget.get(),
        }
    }
}

fn set_all<const N: usize>(counters: &[Counter; N], values: &[u64; N]) {
    for (counter, value) in counters.iter().zip(values) {
        counter.set(*value);
    }
}

fn get_all<const N: usize>(counters: &[Counter; N]) -> [u64; N] {
    counters.each_ref().map(Counter::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_what_is_read() {
        let mut tally = Tally {
            rate_limited: 1,
            dead_peers: 2,
            memory_cuts: 3,
            buffers_exhausted: 4,
            messages: 10,
            ..Tally::default()
        };
        (tally.clients, tally.channels, tally.memory, tally.memory_budget) = ([5, 6], 7, 8, 9);
        tally.closed(Closing::TokenEnded);
        tally.slow(SlowAction::Skip, 1 << 20);
        let shard = Shard::default();
        shard.publish(&tally);
        assert_eq!(shard.read(), tally);
    }
}
