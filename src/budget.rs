//! A bound on how many of a thing there are in the whole relay, whichever threads hold them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many there may be, and are.
#[derive(Clone, Debug)]
pub struct Budget {
    taken: Arc<AtomicUsize>,
    max: usize,
}

impl Budget {
    pub fn new(max: usize) -> Budget {
        Budget { taken: Arc::default(), max }
    }

    /// The right to one more; `None` = there are as many as there may be.
    pub fn take(&self) -> Option<Permit> {
        let one_more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Permit { taken: self.taken.clone() })
    }
}

/// The right to one; given back when it is dropped. It goes along with what it is for.
#[derive(Debug)]
pub struct Permit {
    taken: Arc<AtomicUsize>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_allowed_and_what_is_given_back_can_be_taken() {
        let budget = Budget::new(2);
        let (one, two) = (budget.take().unwrap(), budget.clone().take().unwrap());
        assert!(budget.take().is_none());
        drop(one);
        let three = budget.take().unwrap();
        assert!(budget.take().is_none(), "one was given back, and one taken");
        drop((two, three));
        let _all = [budget.take().unwrap(), budget.take().unwrap()];
        assert!(budget.take().is_none());
    }
}
