//! Clients that read more slowly than they are sent to: what became of them, and how far behind they were.

use super::label::label_values;

label_values! {
    /// What became of a client over its bound.
    SlowAction {
        Disconnect = "disconnect",
        Skip = "skip",
    }
}

/// How far behind clients were when something was done about it, in bytes: a histogram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Behind {
    /// How many were over the bound before and not over this one; the last are over all of them.
    pub counts: [u64; BEHIND_BOUNDS.len() + 1],
    /// Bytes of all of them.
    pub sum: u64,
}

impl Behind {
    /// Counts one client that was this many bytes behind.
    pub fn observe(&mut self, bytes: u64) {
        self.counts[BEHIND_BOUNDS.partition_point(|bound| *bound < bytes)] += 1;
        self.sum = self.sum.saturating_add(bytes);
    }
}

/// Powers of four from 64 KiB to 1 GiB, in bytes: the usual lag bound, 4 MiB, is one of them.
pub const BEHIND_BOUNDS: [u64; 8] = [1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28, 1 << 30];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_what_is_below_it() {
        let mut behind = Behind::default();
        for bytes in [0, 1 << 16, (1 << 16) + 1, 1 << 30, u64::MAX] {
            behind.observe(bytes);
        }
        assert_eq!(behind.counts, [2, 1, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(behind.sum, u64::MAX);
    }
}
