//! What one shard counts.

use super::counter::{Counter, HistogramCounter};
use super::thread::Thread;
use super::{
    BATCH_BOUNDS, BEHIND_BOUNDS, Behind, Closing, DURATION_BOUNDS, Histogram, SlowAction, TURN_BOUNDS, Traffic,
    Transport,
};

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
    /// Receives that found no buffer (ENOBUFS).
    pub buffers_exhausted: u64,
    /// How often there were more completions than their queue holds.
    pub completions_overflowed: u64,
    /// Messages, and what sends carry.
    pub traffic: Traffic,
    /// How the loop turns.
    pub turns: Turns,
    /// WebSockets that fronts handed over.
    pub handoffs: u64,
    /// WebSockets that are open now, by transport.
    pub clients: [u64; Transport::ALL.len()],
    /// How far behind its log the slowest client was, in bytes, when all were last looked at.
    pub lag: u64,
    /// How many were behind at all then.
    pub lagging: u64,
    /// Channels that there are now.
    pub channels: u64,
    /// Bytes held for messages now.
    pub memory: u64,
    /// Most bytes that may be.
    pub memory_budget: u64,
}

/// The loop of a shard, and what the kernel did for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turns {
    /// Microseconds that turns took, from waking up to going to sleep.
    pub times: Histogram<{ TURN_BOUNDS.len() + 1 }>,
    /// Receives and sends that have completed, and their bytes: those of TLS as they are on the wire.
    pub receives: u64,
    pub receives_len: u64,
    pub sends: u64,
    pub sends_len: u64,
}

impl Tally {
    pub fn closed(&mut self, how: Closing) {
        self.closed[how as usize] += 1;
    }

    /// A client was this many bytes behind, and something was done about it.
    pub fn slow(&mut self, action: SlowAction, behind: u64) {
        self.slow[action as usize] += 1;
        self.behind.observe(&BEHIND_BOUNDS, behind);
    }
}

impl Turns {
    /// So many bytes of a receive were taken in: one turn may have no room for all.
    #[inline]
    pub fn took_in(&mut self, len: usize) {
        if super::COUNTS {
            self.receives_len += len as u64;
        }
    }

    /// Nothing of a receive is left.
    #[inline]
    pub fn received(&mut self) {
        if super::COUNTS {
            self.receives += 1;
        }
    }

    /// A send has ended after `len` bytes.
    #[inline]
    pub fn sent(&mut self, len: usize) {
        if super::COUNTS {
            self.sends += 1;
            self.sends_len += len as u64;
        }
    }
}

/// The part of one shard's thread, which alone writes to it, when it has nothing more urgent to do.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    /// Asked about from outside, so that it counts nothing of its time itself.
    pub(super) thread: Thread,
    closed: [Counter; Closing::ALL.len()],
    slow: [Counter; SlowAction::ALL.len()],
    behind: HistogramCounter<{ BEHIND_BOUNDS.len() + 1 }>,
    rate_limited: Counter,
    dead_peers: Counter,
    memory_cuts: Counter,
    histories_cut: Counter,
    skipped: Counter,
    buffers_exhausted: Counter,
    completions_overflowed: Counter,
    received: Counter,
    received_len: Counter,
    delivered: Counter,
    delivered_len: Counter,
    batches: HistogramCounter<{ BATCH_BOUNDS.len() + 1 }>,
    durations: HistogramCounter<{ DURATION_BOUNDS.len() + 1 }>,
    turn_times: HistogramCounter<{ TURN_BOUNDS.len() + 1 }>,
    receives: Counter,
    receives_len: Counter,
    sends: Counter,
    sends_len: Counter,
    handoffs: Counter,
    clients: [Counter; Transport::ALL.len()],
    lag: Counter,
    lagging: Counter,
    channels: Counter,
    memory: Counter,
    memory_budget: Counter,
}

impl Shard {
    /// The calling thread is that of the shard.
    pub fn set_thread(&self) {
        self.thread.set_current();
    }

    /// Shows these numbers to whoever asks from now on: a store each to memory of the shard's own, once a turn.
    pub fn publish(&self, tally: &Tally) {
        if !super::COUNTS {
            return;
        }
        let Tally { traffic, turns, .. } = tally;
        set_all(&self.closed, &tally.closed);
        set_all(&self.slow, &tally.slow);
        self.behind.set(&tally.behind);
        self.rate_limited.set(tally.rate_limited);
        self.dead_peers.set(tally.dead_peers);
        self.memory_cuts.set(tally.memory_cuts);
        self.histories_cut.set(tally.histories_cut);
        self.skipped.set(tally.skipped);
        self.buffers_exhausted.set(tally.buffers_exhausted);
        self.completions_overflowed.set(tally.completions_overflowed);
        self.received.set(traffic.received);
        self.received_len.set(traffic.received_len);
        self.delivered.set(traffic.delivered);
        self.delivered_len.set(traffic.delivered_len);
        self.batches.set(&traffic.batches);
        self.durations.set(&traffic.durations);
        self.turn_times.set(&turns.times);
        self.receives.set(turns.receives);
        self.receives_len.set(turns.receives_len);
        self.sends.set(turns.sends);
        self.sends_len.set(turns.sends_len);
        self.handoffs.set(tally.handoffs);
        set_all(&self.clients, &tally.clients);
        self.lag.set(tally.lag);
        self.lagging.set(tally.lagging);
        self.channels.set(tally.channels);
        self.memory.set(tally.memory);
        self.memory_budget.set(tally.memory_budget);
    }

    /// The numbers last published; each by itself is true, together they may be of two turns.
    pub(super) fn read(&self) -> Tally {
        Tally {
            closed: get_all(&self.closed),
            slow: get_all(&self.slow),
            behind: self.behind.get(),
            rate_limited: self.rate_limited.get(),
            dead_peers: self.dead_peers.get(),
            memory_cuts: self.memory_cuts.get(),
            histories_cut: self.histories_cut.get(),
            skipped: self.skipped.get(),
            buffers_exhausted: self.buffers_exhausted.get(),
            completions_overflowed: self.completions_overflowed.get(),
            traffic: Traffic {
                received: self.received.get(),
                received_len: self.received_len.get(),
                delivered: self.delivered.get(),
                delivered_len: self.delivered_len.get(),
                batches: self.batches.get(),
                durations: self.durations.get(),
            },
            turns: Turns {
                times: self.turn_times.get(),
                receives: self.receives.get(),
                receives_len: self.receives_len.get(),
                sends: self.sends.get(),
                sends_len: self.sends_len.get(),
            },
            handoffs: self.handoffs.get(),
            clients: get_all(&self.clients),
            lag: self.lag.get(),
            lagging: self.lagging.get(),
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
        let mut tally =
            Tally { rate_limited: 1, dead_peers: 2, memory_cuts: 3, buffers_exhausted: 4, ..Tally::default() };
        (tally.clients, tally.channels, tally.memory, tally.memory_budget) = ([5, 6], 7, 8, 9);
        (tally.lag, tally.lagging, tally.handoffs, tally.completions_overflowed) = (10, 11, 12, 13);
        tally.closed(Closing::TokenEnded);
        tally.slow(SlowAction::Skip, 1 << 20);
        tally.traffic.receive(14);
        tally.traffic.deliver(15, 16);
        tally.traffic.batches.observe(&BATCH_BOUNDS, 17);
        tally.traffic.durations.observe(&DURATION_BOUNDS, 18);
        tally.turns.times.observe(&TURN_BOUNDS, 19);
        tally.turns.took_in(20);
        tally.turns.received();
        tally.turns.sent(21);
        let shard = Shard::default();
        shard.publish(&tally);
        assert_eq!(shard.read(), tally);
    }
}
