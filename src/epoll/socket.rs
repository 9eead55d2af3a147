//! One socket: what is known of it, and what is in flight on it.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::chunk::Pieces;

use super::transmit::{Outcome, transmit};

/// A socket, or the place for one.
#[derive(Debug, Default)]
pub(super) struct Socket {
    /// Open as long as something is in flight.
    pub fd: RawFd,
    /// A receive is in flight.
    pub receiving: bool,
    /// The receive is to end.
    pub is_cancelled: bool,
    /// There may be something to receive.
    pub readable: bool,
    /// Receives go on until there is nothing, however short they are.
    pub reads_to_the_end: bool,
    /// Its slot waits in the queue; one that was closed meanwhile is passed over there.
    pub queued: bool,
    /// `None` = no send is in flight.
    sending: Option<Box<Sending>>,
}

/// A send that waits for room.
#[derive(Debug)]
struct Sending {
    /// What is left.
    pieces: Pieces,
    /// Of the records that the socket is to make of it; `None` = data, or no records.
    content_type: Option<u8>,
    /// Bytes that have gone.
    sent: usize,
}

impl Socket {
    /// Begins anew with another socket.
    pub(super) fn adopt(&mut self, socket: BorrowedFd<'_>) {
        debug_assert!(!self.receiving && self.sending.is_none());
        *self = Socket { fd: socket.as_raw_fd(), queued: self.queued, ..Socket::default() };
    }

    /// Puts its slot into the queue, if it is not there.
    pub(super) fn queue(&mut self, slot: u32, ready: &mut VecDeque<u32>) {
        if !self.queued {
            self.queued = true;
            ready.push_back(slot);
        }
    }

    /// Starts a send; `content_type` is of the records that the socket is to make (`None` = data, or no records). If it has
    /// ended at once: with how many bytes; of those `None` = the connection is broken.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        content_type: Option<u8>,
        mut pieces: Pieces,
    ) -> Option<Option<usize>> {
        assert!(self.sending.is_none(), "one send at a time per socket");
        debug_assert_eq!(self.fd, socket.as_raw_fd());
        match transmit(socket, content_type, &mut pieces) {
            (sent, Outcome::Ended) => Some(Some(sent)),
            (0, Outcome::Broken) => Some(None),
            // What has gone counts; the next send will fail.
            (sent, Outcome::Broken) => Some(Some(sent)),
            (sent, Outcome::Full) => {
                self.sending = Some(Box::new(Sending { pieces, content_type, sent }));
                None
            }
        }
    }

    /// Sends what is left, if there is room. Returns what [`send`](Self::send) does.
    pub(super) fn go_on_sending(&mut self) -> Option<Option<usize>> {
        let Sending { pieces, content_type, sent } = *self.sending.take()?;
        // SAFETY: the send is in flight, so the socket is open, as the contract of the trait says.
        let socket = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let ended = self.send(socket, content_type, pieces);
        match (ended, &mut self.sending) {
            (None, Some(sending)) => {
                sending.sent += sent;
                None
            }
            (ended, _) => ended.map(|len| match len {
                None if sent > 0 => Some(sent),
                len => len.map(|len| len + sent),
            }),
        }
    }

    /// Ends the send in flight: how far it has come. `None` = there is none.
    pub(super) fn cancel_send(&mut self) -> Option<usize> {
        self.sending.take().map(|sending| sending.sent)
    }
}
