//! The sending half of a connection whose records the kernel seals. A send of the relay's is the plain one. What is to be
//! said besides data goes through the ring as well, as a record of its own: so it waits for the send in flight and for
//! room in the socket, like everything else.

use std::os::fd::BorrowedFd;

use zeroize::Zeroizing;

use crate::chunk::Pieces;
use crate::driver::kernel_tls::{read_send_key, unacknowledged};
use crate::tls::{Control, RecordError, Session};

use super::kernel_tls::{KernelTls, give};

/// What is on its way by the kernel's TLS.
#[derive(Debug)]
pub(super) struct Offload {
    /// The kernel takes further keys.
    rekeys: bool,
    /// Bytes of a key, in the kernel's form.
    key_len: usize,
    in_flight: InFlight,
    /// A send of the relay's that waits for a record besides data. Empty = it was cancelled, and the relay is to be told.
    waiting: Option<Box<Pieces>>,
    /// The socket had nearly nothing to send when it was given the alert.
    has_room_for_end: bool,
}

#[derive(Clone, Copy, Debug)]
enum InFlight {
    Nothing,
    Data,
    Control(Control),
}

/// What is to be sent next.
#[derive(Debug)]
pub(super) enum Due {
    Data(Pieces),
    Control(Control),
    Nothing,
}

impl Offload {
    /// Gives the sending half of `session` to the kernel; `None` = it does not take it, and the session goes on sealing.
    pub(super) fn begin(kernel: KernelTls, socket: BorrowedFd<'_>, session: &mut Session) -> Option<Offload> {
        let key_len = kernel.take_over(socket, session)?;
        let in_flight = InFlight::Nothing;
        Some(Offload { rekeys: kernel.rekeys, key_len, in_flight, waiting: None, has_room_for_end: false })
    }

    /// Whether `plain` may go out now: nothing is in flight, and nothing has to go first. Then it is in flight.
    ///
    /// # Errors
    /// The session has ended; an alert is due.
    pub(super) fn starts(
        &mut self,
        session: &mut Session,
        socket: BorrowedFd<'_>,
        plain: &Pieces,
    ) -> Result<bool, RecordError> {
        let len = plain.iter().map(|piece| piece.len()).sum();
        let count = || self.records(socket);
        let is_first = session.control(self.rekeys)?.is_none() && session.may_seal(len, self.rekeys, count)?;
        if is_first {
            self.in_flight = InFlight::Data;
        }
        Ok(is_first)
    }

    /// Has a send of the relay's wait.
    pub(super) fn wait(&mut self, plain: Pieces) {
        debug_assert!(self.waiting.is_none());
        self.waiting = Some(Box::new(plain));
    }

    /// The relay does not want its send any more. One that is in flight ends by itself.
    pub(super) fn cancel(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            waiting.clear();
        }
    }

    /// Lets go of what the relay waits for: the session is broken.
    pub(super) fn abandon(&mut self) {
        self.waiting = None;
    }

    /// What comes next, as nothing is in flight; it is in flight then.
    ///
    /// # Errors
    /// The session has ended; an alert is due.
    pub(super) fn next(&mut self, session: &mut Session, socket: BorrowedFd<'_>) -> Result<Due, RecordError> {
        if let Some(control) = session.control(self.rekeys)? {
            if let Control::Alert(_) = control {
                self.has_room_for_end = unacknowledged(socket).is_ok_and(|len| len <= UNSENT_LEN_MAX);
            }
            self.in_flight = InFlight::Control(control);
            return Ok(Due::Control(control));
        }
        let Some(plain) = self.waiting.take() else { return Ok(Due::Nothing) };
        if self.starts(session, socket, &plain)? {
            return Ok(Due::Data(*plain));
        }
        // A key update is due now.
        self.waiting = Some(plain);
        self.next(session, socket)
    }

    /// What was in flight has ended after `len` bytes. Returns how many the relay is to be told of, if it is.
    ///
    /// # Errors
    /// The session has ended.
    pub(super) fn sent(
        &mut self,
        session: &mut Session,
        socket: BorrowedFd<'_>,
        len: usize,
    ) -> Result<Option<usize>, RecordError> {
        match std::mem::replace(&mut self.in_flight, InFlight::Nothing) {
            InFlight::Data => {
                session.data_sent(len);
                return Ok(Some(len));
            }
            // The kernel takes such a record wholly, or not at all if it was cancelled: then it is still due.
            InFlight::Control(control) if len == control.message().len() => {
                session.control_sent(control, |key| give(socket, key))?;
            }
            InFlight::Control(_) | InFlight::Nothing => {}
        }
        let is_cancelled = self.waiting.take_if(|waiting| waiting.is_empty()).is_some();
        Ok(is_cancelled.then_some(0))
    }

    /// Whether the end of the stream may follow the alert. The kernel may hold back a part of a record for which a full
    /// socket has no room, and an end of the stream would go out before that: then the alert alone has to say it.
    pub(super) fn may_shut(&self) -> bool {
        self.has_room_for_end
    }

    /// How many records the kernel has sealed with its key.
    fn records(&self, socket: BorrowedFd<'_>) -> Option<u64> {
        let mut key = Zeroizing::new(vec![0; self.key_len]);
        read_send_key(socket, &mut key).ok()?;
        key.last_chunk().map(|sequence| u64::from_be_bytes(*sequence))
    }
}

/// Bytes not acknowledged with which no socket is so full that a record and an alert would not go in.
const UNSENT_LEN_MAX: usize = 4096;
