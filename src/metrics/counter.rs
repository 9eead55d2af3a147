//! A number that one thread writes and others may read.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Histogram;

/// As fast to count with as a plain number: its one writer needs no atomic addition.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// To be called by one thread alone, as `set` and `subtract` are.
    pub(super) fn add(&self, count: u64) {
        if !super::COUNTS {
            return;
        }
        self.set(self.get().wrapping_add(count));
    }

    pub(super) fn subtract(&self, count: u64) {
        if !super::COUNTS {
            return;
        }
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

/// A histogram that one thread writes and others may read.
#[derive(Debug)]
pub(super) struct HistogramCounter<const N: usize> {
    counts: [Counter; N],
    sum: Counter,
}

impl<const N: usize> Default for HistogramCounter<N> {
    fn default() -> HistogramCounter<N> {
        HistogramCounter { counts: std::array::from_fn(|_| Counter::default()), sum: Counter::default() }
    }
}

impl<const N: usize> HistogramCounter<N> {
    /// Counts one value; by the one writer alone. `bounds` ascend.
    pub(super) fn observe(&self, bounds: &[u64], value: u64) {
        debug_assert_eq!(bounds.len() + 1, N);
        self.counts[bounds.partition_point(|bound| *bound < value)].add(1);
        self.sum.add(value);
    }

    pub(super) fn set(&self, histogram: &Histogram<N>) {
        self.counts.iter().zip(histogram.counts).for_each(|(counter, count)| counter.set(count));
        self.sum.set(histogram.sum);
    }

    pub(super) fn get(&self) -> Histogram<N> {
        Histogram { counts: self.counts.each_ref().map(Counter::get), sum: self.sum.get() }
    }
}
