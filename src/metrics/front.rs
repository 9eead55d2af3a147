//! What one front counts.

use std::sync::Arc;
use std::time::Duration;

use super::Refusal;
use super::counter::Counter;
use super::label::label_values;
use super::request::{REQUEST_BOUNDS, Requests, Route};
use super::thread::Thread;

label_values! {
    /// Whether a connection is encrypted.
    Transport {
        Plain = "no",
        Tls = "yes",
    }
}

label_values! {
    /// The version that a handshake settled on.
    TlsVersion {
        Tls12 = "1.2",
        Tls13 = "1.3",
    }
}

label_values! {
    /// Whether a handshake took up an earlier session.
    Resumption {
        Full = "no",
        Resumed = "yes",
    }
}

/// The part of one front's thread, which alone writes to it. Two cache lines are fetched together, so it begins at a pair.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Front {
    /// Asked about from outside, as a shard's.
    pub(super) thread: Thread,
    pub(super) accepted: Counter,
    /// HTTP connections that are open now, by transport.
    pub(super) open: [Counter; Transport::ALL.len()],
    pub(super) refused: [Counter; Refusal::ALL.len()],
    /// By version, and then by whether they were resumed.
    pub(super) handshakes: [[Counter; Resumption::ALL.len()]; TlsVersion::ALL.len()],
    pub(super) handshakes_failed: Counter,
    pub(super) accept_pauses: Counter,
    pub(super) requests: Requests,
}

impl Front {
    /// The calling thread is that of the front.
    pub fn set_thread(&self) {
        self.thread.set_current();
    }

    /// A connection was accepted, whatever becomes of it.
    pub fn accepted(&self) {
        self.accepted.add(1);
    }

    /// Counts a connection as open until the value is dropped, which has to be on the same thread.
    pub fn open(self: &Arc<Front>, transport: Transport) -> OpenConnection {
        self.open[transport as usize].add(1);
        OpenConnection { front: self.clone(), transport }
    }

    pub fn refused(&self, reason: Refusal) {
        self.refused[reason as usize].add(1);
    }

    pub fn handshake(&self, version: TlsVersion, resumption: Resumption) {
        self.handshakes[version as usize][resumption as usize].add(1);
    }

    pub fn handshake_failed(&self) {
        self.handshakes_failed.add(1);
    }

    /// A request was answered, `taken` after it was there; `None` = it never was.
    pub fn answered(&self, route: Route, status: u16, taken: Option<Duration>) {
        self.requests.count(route, status);
        if let Some(taken) = taken {
            self.requests.times[route as usize].observe(&REQUEST_BOUNDS, taken.as_micros() as u64);
        }
    }

    /// Accepting has stopped for a while: there are no open files left, or no memory.
    pub fn accept_paused(&self) {
        self.accept_pauses.add(1);
    }
}

/// An HTTP connection that is counted as open.
#[derive(Debug)]
pub struct OpenConnection {
    front: Arc<Front>,
    transport: Transport,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.front.open[self.transport as usize].subtract(1);
    }
}
