//! How the relay ends: fronts let nobody in, shards close their clients and end, then fronts end. All of it has one deadline.

use std::convert::Infallible;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::front::{FrontHandle, ToFront};
use crate::handoff::ToShard;
use crate::shard::CLOSE_TIMEOUT;

use super::rounds::{Rounds, Woken};
use super::shards::RunningShard;
use super::{FAILED, RunningFronts, join};

/// The ending of a relay, and what goes on meanwhile.
pub(super) struct Ending<'a> {
    rounds: Rounds<'a>,
    /// Over how long clients are closed.
    spread: Duration,
    time_max: Duration,
    deadline: Instant,
}

impl<'a> Ending<'a> {
    /// Begins now.
    pub(super) fn new(rounds: Rounds<'a>, spread: Duration) -> Ending<'a> {
        let time_max = spread + CLOSE_TIMEOUT + MARGIN;
        rounds.manager.stopping(time_max);
        Ending { rounds, spread, time_max, deadline: Instant::now() + time_max }
    }

    /// Has fronts let nobody in, and clients closed; returns when the shards have ended. `gone` tells when they have.
    pub(super) fn drain(&mut self, shards: Vec<RunningShard>, gone: &Receiver<Infallible>, fronts: &[FrontHandle]) {
        for front in fronts {
            front.send(ToFront::Drain);
        }
        for shard in &shards {
            shard.handle.send(ToShard::Shutdown { spread: self.spread });
        }
        self.join(shards.into_iter().map(|shard| shard.thread).collect(), gone);
    }

    /// Has fronts end, and the connections that are still with them; returns when they have.
    pub(super) fn stop(&mut self, fronts: RunningFronts) {
        let (threads, gone) = fronts.stop();
        self.join(threads, &gone);
    }

    /// Waits until `gone` says that these threads have ended. What one of them still does when the time is up is lost.
    fn join(&mut self, threads: Vec<JoinHandle<()>>, gone: &Receiver<Infallible>) {
        loop {
            match self.rounds.wait(gone, Some(self.deadline)) {
                // The second that ends the relay does so elsewhere.
                Woken::Signal(_) => {}
                Woken::Ended => return threads.into_iter().for_each(join),
                Woken::Overdue => {
                    let left = threads.iter().filter(|thread| !thread.is_finished());
                    let names: Vec<&str> = left.filter_map(|thread| thread.thread().name()).collect();
                    if names.is_empty() {
                        // At the last moment.
                        return threads.into_iter().for_each(join);
                    }
                    let (threads, seconds) = (names.join(", "), self.time_max.as_secs());
                    tracing::error!(%threads, "not ended within {seconds} s, and not waited for any more");
                    std::process::exit(FAILED);
                }
            }
        }
    }
}

/// What ending may take beyond the clients' own time: the turns of the shards, the last answers of the fronts, and starving for
/// a core.
const MARGIN: Duration = Duration::from_secs(5);
