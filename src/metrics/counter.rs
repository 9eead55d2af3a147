//! A number that one thread writes and others may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// As fast to count with as a plain number: its one writer needs no atomic addition.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// To be called by one thread alone, as `set` and `subtract` are.
    pub(super) fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }

    pub(super) fn subtract(&self, count: u64) {
        debug_assert!(self.get() >= count, "what is given back was taken");
        self.set(self.get().wrapping_sub(count));
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
