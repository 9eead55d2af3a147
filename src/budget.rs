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
        Some(Permit { taken: Some(self.taken.clone()), beside: None })
    }

    /// Whether there is none now.
    pub fn is_untouched(&self) -> bool {
        self.taken.load(Ordering::Relaxed) == 0
    }
}

/// The right to one; given back when it is dropped. It goes along with what it is for.
#[derive(Debug)]
pub struct Permit {
    /// `None` once another permit has taken it over.
    taken: Option<Arc<AtomicUsize>>,
    /// Of a second budget that counts the same thing, such as its address's.
    beside: Option<Arc<AtomicUsize>>,
}

impl Permit {
    /// Both rights in one, for what two budgets count.
    #[must_use]
    pub fn with(mut self, mut other: Permit) -> Permit {
        debug_assert!(self.beside.is_none() && other.beside.is_none(), "a thing is counted by two budgets at most");
        self.beside = other.taken.take();
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for taken in self.taken.iter().chain(&self.beside) {
            taken.fetch_sub(1, Ordering::Relaxed);
        }
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

    #[test]
    fn a_permit_of_two_budgets_is_given_back_to_both() {
        let (all, of_one) = (Budget::new(1), Budget::new(1));
        let permit = all.take().unwrap().with(of_one.take().unwrap());
        assert!(all.take().is_none() && of_one.take().is_none(), "both are taken");
        drop(permit);
        assert!(all.is_untouched() && of_one.is_untouched());
    }
}
