//! The connections of one front: how many there are, which of them gives way when there are too many, and how they learn
//! that the front stops.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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
    tasks: RefCell<Slab<Connected>>,
    /// Those who wait for a request, by when they began to: whoever waits longest is first.
    idle: RefCell<BTreeMap<u64, Place>>,
    /// The number of the next one to wait.
    next_idle: Cell<u64>,
    /// Who waits for the last connection to end.
    waiting: RefCell<Option<Waker>>,
    connections_max: usize,
}

/// The task of a connection.
#[derive(Debug)]
struct Connected {
    /// `None` until its first poll.
    waker: Option<Waker>,
    /// Its number among the idle; `None` = a request is being served.
    idle: Option<u64>,
    /// It ends, for the sake of one that came.
    gives_way: bool,
}

/// Which of the connections one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(usize);

impl Live {
    pub(super) fn new(connections_max: usize) -> Live {
        Live {
            phase: Cell::new(Phase::Serving),
            tasks: RefCell::new(Slab::new()),
            idle: RefCell::new(BTreeMap::new()),
            next_idle: Cell::new(0),
            waiting: RefCell::new(None),
            connections_max,
        }
    }

    /// Counts a connection in, which is idle. If there are as many as there may be, the one that has been idle longest gives
    /// way; `None` = all are being served.
    pub(super) fn enter(self: &Rc<Live>) -> Option<Entry> {
        let is_full = self.tasks.borrow().len() >= self.connections_max;
        if is_full && !self.give_way() {
            return None;
        }
        let connected = Connected { waker: None, idle: None, gives_way: false };
        let place = Place(self.tasks.borrow_mut().insert(connected));
        self.wait(place);
        Some(Entry { place, live: self.clone() })
    }

    /// Has the connection that has been idle longest end, if one is. It is gone when its task runs next, and counts until then.
    pub(super) fn give_way(&self) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() >= self.connections_max.saturating_add(LEAVING_MAX) {
            return false;
        }
        let Some((_, place)) = self.idle.borrow_mut().pop_first() else { return false };
        let connected = &mut tasks[place.0];
        (connected.idle, connected.gives_way) = (None, true);
        if let Some(waker) = &connected.waker {
            waker.wake_by_ref();
        }
        true
    }

    /// A connection waits for a request: from its begin, or since the last one was answered, until all of the next one is there.
    pub(super) fn wait(&self, place: Place) {
        let number = self.next_idle.replace(self.next_idle.get() + 1);
        let mut tasks = self.tasks.borrow_mut();
        let connected = &mut tasks[place.0];
        if connected.idle.is_none() && !connected.gives_way {
            connected.idle = Some(number);
            self.idle.borrow_mut().insert(number, place);
        }
    }

    /// A connection's request is served.
    pub(super) fn serve(&self, place: Place) {
        if let Some(number) = self.tasks.borrow_mut()[place.0].idle.take() {
            self.idle.borrow_mut().remove(&number);
        }
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
        for waker in self.tasks.borrow().iter().filter_map(|(_, connected)| connected.waker.as_ref()) {
            waker.wake_by_ref();
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
    place: Place,
}

/// How a connection came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    Itself,
    /// The front has cut it at its own end.
    Cut,
    /// Idle, for one that came.
    GaveWay,
}

impl Entry {
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Runs the connection until it ends, gives way or is cut by the front. Pinned by the caller: taken by value it would be
    /// held twice, as the argument and as what is pinned.
    pub(super) async fn run(self, mut connection: Pin<&mut impl Future<Output = ()>>) -> Ended {
        poll_fn(|cx| {
            if self.live.phase.get() == Phase::Cut {
                return Poll::Ready(Ended::Cut);
            }
            if let Some(connected) = self.live.tasks.borrow_mut().get_mut(self.place.0) {
                if connected.gives_way {
                    return Poll::Ready(Ended::GaveWay);
                }
                connected.waker.get_or_insert_with(|| cx.waker().clone());
            }
            connection.as_mut().poll(cx).map(|()| Ended::Itself)
        })
        .await
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.live.serve(self.place);
        let mut tasks = self.live.tasks.borrow_mut();
        tasks.remove(self.place.0);
        if tasks.is_empty()
            && let Some(waiting) = self.live.waiting.borrow_mut().take()
        {
            waiting.wake();
        }
    }
}

/// Connections over the bound that are about to end.
const LEAVING_MAX: usize = 64;
