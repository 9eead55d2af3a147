//! The sockets of a shard and what is in flight on them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::budget::Permit;
use crate::channel::ClientId;
use crate::metrics::Transport;

use super::secure::Secure;

/// One socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub client: ClientId,
    socket: OwnedFd,
    /// Given back when the socket is closed.
    _permit: Permit,
    /// `None` = it is plain.
    pub tls: Option<Box<Secure>>,
    /// A receive is in flight.
    pub receiving: bool,
    /// A send is in flight.
    pub sending: bool,
    /// The client has closed its sending side: there is nothing more to receive.
    pub hung_up: bool,
    /// The relay is done with it: it is closed when nothing is in flight any more.
    pub cutting: bool,
}

impl Connection {
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The socket and its TLS.
    pub(super) fn parts(&mut self) -> (BorrowedFd<'_>, Option<&mut Secure>) {
        (self.socket.as_fd(), self.tls.as_deref_mut())
    }

    fn transport(&self) -> Transport {
        if self.tls.is_some() { Transport::Tls } else { Transport::Plain }
    }

    /// Sends an end-of-stream behind what was sent. A connection that is broken needs none.
    pub(super) fn shut_write(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
    }
}

/// The sockets by slot; the slots are the relay's.
#[derive(Debug, Default)]
pub(super) struct Connections {
    by_slot: Vec<Option<Connection>>,
    /// How many there are, by transport.
    counts: [u64; Transport::ALL.len()],
}

impl Connections {
    pub(super) fn open(&mut self, client: ClientId, socket: OwnedFd, tls: Option<Secure>, permit: Permit) {
        let index = client.slot as usize;
        if index >= self.by_slot.len() {
            self.by_slot.resize_with(index + 1, || None);
        }
        debug_assert!(self.by_slot[index].is_none());
        let idle = Connection {
            client,
            socket,
            _permit: permit,
            tls: tls.map(Box::new),
            receiving: false,
            sending: false,
            hung_up: false,
            cutting: false,
        };
        self.counts[idle.transport() as usize] += 1;
        self.by_slot[index] = Some(idle);
    }

    /// The connection in a slot that is in use.
    pub(super) fn at(&mut self, slot: u32) -> &mut Connection {
        self.by_slot[slot as usize].as_mut().expect("completions and outputs name open connections")
    }

    pub(super) fn close(&mut self, slot: u32) {
        if let Some(closed) = self.by_slot[slot as usize].take() {
            self.counts[closed.transport() as usize] -= 1;
        }
    }

    /// How many there are, by transport.
    pub(super) fn count(&self) -> [u64; Transport::ALL.len()] {
        self.counts
    }
}
