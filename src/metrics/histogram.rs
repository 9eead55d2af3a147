//! How often values fell between bounds.

/// Plain counts, for one thread. `N` is one more than there are bounds, which are the caller's and always the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Histogram<const N: usize> {
    /// How many were over the bound before and not over this one; the last are over all of them.
    pub counts: [u64; N],
    /// Of all values.
    pub sum: u64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Histogram<N> {
        Histogram { counts: [0; N], sum: 0 }
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts one value. `bounds` ascend.
    #[inline]
    pub fn observe(&mut self, bounds: &[u64], value: u64) {
        debug_assert_eq!(bounds.len() + 1, N);
        if super::COUNTS {
            self.counts[bounds.partition_point(|bound| *bound < value)] += 1;
            self.sum = self.sum.saturating_add(value);
        }
    }

    /// Takes what another has counted into this one.
    pub(super) fn add(&mut self, other: &Histogram<N>) {
        self.counts.iter_mut().zip(other.counts).for_each(|(sum, count)| *sum += count);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_what_is_below_it() {
        let mut histogram = Histogram::<4>::default();
        for value in [0, 10, 11, 1000, u64::MAX] {
            histogram.observe(&[10, 100, 1000], value);
        }
        assert_eq!(histogram.counts, [2, 1, 1, 1]);
        assert_eq!(histogram.sum, u64::MAX);
        let mut sum = histogram;
        sum.add(&histogram);
        assert_eq!(sum.counts, [4, 2, 2, 2]);
    }
}
