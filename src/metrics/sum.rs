//! Sums over all threads, and lists of them, for those who ask for something else than the whole text.

use std::time::Duration;

use super::{Closing, Metrics, Refusal, Tally, lock};

impl Metrics {
    /// How often was refused so far, by [`Refusal::ALL`].
    pub fn refusals(&self) -> [u64; Refusal::ALL.len()] {
        let mut sums = [0; Refusal::ALL.len()];
        for front in lock(&self.fronts).iter() {
            sums.iter_mut().zip(&front.refused).for_each(|(sum, count)| *sum += count.get());
        }
        sums
    }

    /// How many WebSockets have ended so far, by [`Closing::ALL`].
    pub fn closings(&self) -> [u64; Closing::ALL.len()] {
        let mut sums = [0; Closing::ALL.len()];
        for tally in self.tallies() {
            sums.iter_mut().zip(tally.closed).for_each(|(sum, count)| *sum += count);
        }
        sums
    }

    /// What each shard has published last, in their order.
    pub fn tallies(&self) -> Vec<Tally> {
        lock(&self.shards).iter().map(|shard| shard.read()).collect()
    }

    /// How long the thread of each shard has been on a core, in their order; `None` = the kernel does not tell.
    pub fn shard_cpu_times(&self) -> Vec<Option<Duration>> {
        let shards = lock(&self.shards).clone();
        shards.iter().map(|shard| shard.thread.cpu_time()).collect()
    }

    /// The same of fronts, in the order in which they have started.
    pub fn front_cpu_times(&self) -> Vec<Option<Duration>> {
        let fronts = lock(&self.fronts).clone();
        fronts.iter().map(|front| front.thread.cpu_time()).collect()
    }
}
