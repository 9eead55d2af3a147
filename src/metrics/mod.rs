//! What the relay counts, and how it tells (`GET /metrics`).
//!
//! Counting must cost nothing where messages pass: every thread has a part of its own, in cache lines that no other thread
//! writes to. A [`Front`] counts as it goes; a shard counts in plain numbers, a [`Tally`], and has them [`Shard`] publish
//! once a turn. Whoever asks adds the parts up. No label names a channel, a token or an address: those are without bound,
//! and nobody else's business.

mod closing;
mod counter;
mod front;
mod histogram;
mod label;
mod overview;
mod process;
mod refusal;
mod reload;
mod request;
mod shard;
mod slow;
mod sum;
mod text;
mod thread;
mod traffic;
mod turn;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use closing::Closing;
pub use front::{Front, OpenConnection, Resumption, TlsVersion, Transport};
pub use histogram::Histogram;
pub use overview::Overview;
pub use refusal::Refusal;
pub use reload::{Reload, Reloads};
pub use request::Route;
pub use shard::{Shard, Tally, Turns};
pub use slow::{BEHIND_BOUNDS, Behind, SlowAction};
pub use text::Format;
pub use traffic::{BATCH_BOUNDS, DURATION_BOUNDS, Traffic};
pub use turn::TURN_BOUNDS;

/// Everything that one process counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Locked when a thread starts and when somebody asks, never to count.
    fronts: Mutex<Vec<Arc<Front>>>,
    /// By their index.
    shards: Mutex<Vec<Arc<Shard>>>,
    reloads: Reloads,
}

impl Metrics {
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// A part for one more front.
    pub fn add_front(&self) -> Arc<Front> {
        let front = Arc::new(Front::default());
        lock(&self.fronts).push(front.clone());
        front
    }

    /// A part for the next shard: they are told apart by the order of these calls, from 0 on.
    pub fn add_shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::default());
        lock(&self.shards).push(shard.clone());
        shard
    }

    /// What was read anew while the relay ran.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }
}

/// Whether anything is counted. Only a build that is to be measured against the usual one does not (feature `uncounted`).
const COUNTS: bool = cfg!(not(feature = "uncounted"));

/// A panic while the list was held leaves it as good as before.
fn lock<T>(parts: &Mutex<T>) -> MutexGuard<'_, T> {
    parts.lock().unwrap_or_else(PoisonError::into_inner)
}
