//! The connections of one front: how many there are, and how they learn that the front stops.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use slab::Slab;

/// What connections may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Serving,
    /// Every answer is the last of its connection.
    Draining,
    /// Idle connections close; a request under way is answered.
    Ending,
    /// Every connection ends where it is.
    Cut,
}

#[derive(Debug)]
pub(super) struct Live {
    phase: Cell<Phase>,
    /// The tasks of the connections; `None` until its first poll.
    tasks: RefCell<Slab<Option<Waker>>>,
    /// Who waits for the last connection to end.
    waiting: RefCell<Option<Waker>>,
    connections_max: usize,
}

impl Live {
    pub(super) fn new(connections_max: usize) -> Live {
        Live {
            phase: Cell::new(Phase::Serving),
            tasks: RefCell::new(Slab::new()),
            waiting: RefCell::new(None),
            connections_max,
        }
    }

    /// Counts a connection in, or not, if there are as many as there may be.
    pub(super) fn enter(self: &Rc<Live>) -> Option<Entry> {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() >= self.connections_max {
            return None;
        }
        Some(Entry { key: tasks.insert(None), live: self.clone() })
    }

    /// Whether the relay closes.
    pub(super) fn is_draining(&self) -> bool {
        self.phase.get() != Phase::Serving
    }

    /// Whether nobody is waited for any more.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.phase.get(), Phase::Ending | Phase::Cut)
    }

    /// Lets each connection close after its next answer.
    pub(super) fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Lets idle connections close, and the others after the answer they are at.
    pub(super) fn end(&self) {
        self.advance(Phase::Ending);
    }

    /// Ends every connection.
    pub(super) fn cut(&self) {
        self.advance(Phase::Cut);
    }

    fn advance(&self, phase: Phase) {
        self.phase.set(phase);
        for task in self.tasks.borrow().iter().filter_map(|(_, task)| task.as_ref()) {
            task.wake_by_ref();
        }
    }

    /// Returns when there is no connection left.
    pub(super) async fn emptied(&self) {
        poll_fn(|cx| {
            if self.tasks.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A connection that is counted, until it is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    live: Rc<Live>,
    key: usize,
}

impl Entry {
    /// Runs the connection until it ends or the front cuts it. Pinned by the caller: taken by value it would be held
    /// twice, as the argument and as what is pinned.
    pub(super) async fn run(self, mut connection: Pin<&mut impl Future<Output = ()>>) {
        poll_fn(|cx| {
            if self.live.phase.get() == Phase::Cut {
                return Poll::Ready(());
            }
            if let Some(task @ None) = self.live.tasks.borrow_mut().get_mut(self.key) {
                *task = Some(cx.waker().clone());
            }
            connection.as_mut().poll(cx)
        })
        .await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut tasks = self.live.tasks.borrow_mut();
        tasks.remove(self.key);
        if tasks.is_empty()
            && let Some(waiting) = self.live.waiting.borrow_mut().take()
        {
            waiting.wake();
        }
    }
}
