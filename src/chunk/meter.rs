//! How much memory chunks take, and what is noted about them.

use std::cell::Cell;
use std::rc::Rc;

/// A count of the bytes of all chunks and notes that were made under it and still are.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    held: Rc<Cell<u64>>,
}

impl Meter {
    /// Bytes held.
    pub fn held(&self) -> u64 {
        self.held.get()
    }

    pub(super) fn add(&self, len: usize) {
        self.held.set(self.held.get() + len as u64);
    }

    pub(super) fn sub(&self, len: usize) {
        debug_assert!(self.held.get() >= len as u64);
        self.held.set(self.held.get() - len as u64);
    }
}
