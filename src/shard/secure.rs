//! A connection with TLS: what lies between the relay's plaintext and the driver's bytes.
//!
//! The relay hands over a send as ever and is told when all of it has gone out. In between it is sealed part by part, as
//! the socket takes it: at most eight records, 128 KiB, lie sealed at a time. What is sealed has its place in the peer's
//! count of records, so it goes out whatever happens, and in order.
//!
//! Where the kernel seals, the relay's sends go out as they are ([`Offload`]).

use std::os::fd::BorrowedFd;

use crate::channel::ClientId;
use crate::chunk::{Meter, Piece, Pieces};
use crate::driver::Driver;
use crate::driver::kernel_tls::APPLICATION_DATA;
use crate::relay::{Input, Relay};
use crate::time::Time;
use crate::tls::{Opened, RecordError, Scratch, Session};

use super::Shard;
use super::connections::Connection;
use super::kernel_tls::KernelTls;
use super::offload::{Due, Offload};

impl<D: Driver> Shard<D> {
    /// A send of sealed bytes has ended after `len` of them.
    pub(super) fn sent_sealed(&mut self, now: Time, slot: u32, len: usize) {
        let Shard { relay, driver, connections, scratch, .. } = self;
        let connection = connections.at(slot);
        let (socket, tls) = connection.parts();
        let report = tls.and_then(|tls| tls.sent(socket, len));
        if let Some(len) = report {
            relay.handle(now, connection.client, Input::Sent(len));
        }
        if go_on(connection, driver, scratch).is_err() {
            relay.handle(now, connection.client, Input::SendFailed);
        }
    }

    /// Sends what is due besides data, if something is and nothing is in flight.
    pub(super) fn send_control(&mut self, now: Time, slot: u32) {
        let Shard { relay, driver, connections, scratch, .. } = self;
        let connection = connections.at(slot);
        let is_due = connection.tls.as_ref().is_some_and(|tls| tls.has_control() || tls.is_broken);
        if is_due && !connection.cutting && go_on(connection, driver, scratch).is_err() {
            relay.handle(now, connection.client, Input::SendFailed);
        }
    }
}

/// Sends `pieces` for the relay, behind what has to go first.
///
/// # Errors
/// As [`go_on`].
pub(super) fn send(
    connection: &mut Connection,
    driver: &mut impl Driver,
    scratch: &mut Scratch,
    pieces: Pieces,
) -> Result<(), Broken> {
    let is_idle = !connection.sending;
    let (socket, tls) = connection.parts();
    let Some(tls) = tls else { return Ok(()) };
    if is_idle && tls.starts_offloaded(socket, &pieces) {
        connection.sending = true;
        driver.send_sealed(connection.socket(), connection.client.slot, APPLICATION_DATA, pieces);
        return Ok(());
    }
    tls.send(pieces);
    go_on(connection, driver, scratch)
}

/// Sends what comes next, if nothing is in flight.
///
/// # Errors
/// The session is broken and its alert was sent: the connection is to be cut.
pub(super) fn go_on(
    connection: &mut Connection,
    driver: &mut impl Driver,
    scratch: &mut Scratch,
) -> Result<(), Broken> {
    if connection.sending {
        return Ok(());
    }
    let (socket, tls) = connection.parts();
    let Some(tls) = tls else { return Ok(()) };
    match tls.next(socket, scratch) {
        Next::Send(pieces) => {
            connection.sending = true;
            driver.send(connection.socket(), connection.client.slot, pieces);
        }
        Next::SendSealed(content_type, pieces) => {
            connection.sending = true;
            driver.send_sealed(connection.socket(), connection.client.slot, content_type, pieces);
        }
        Next::Shut => connection.shut_write(),
        Next::Broken => return Err(Broken),
        Next::Nothing => {}
    }
    Ok(())
}

/// A session is broken, and has nothing to send any more.
#[derive(Debug)]
pub(super) struct Broken;

/// Lets the relay take in what sealed `bytes` say. Returns how many are done with, and whether all are that count.
pub(super) fn receive(
    now: Time,
    relay: &mut Relay,
    client: ClientId,
    tls: &mut Secure,
    bytes: &mut [u8],
) -> (usize, bool) {
    let (used, taken) = tls.take_in(now, relay, client, bytes);
    relay.hold_part(client, tls.parted_len());
    match taken {
        Taken::All => (used, true),
        Taken::Full => (used, false),
        // A broken session may wait long for a send in flight, and for its alert behind that: the relay sets it a deadline.
        Taken::Closed | Taken::Broken => {
            relay.handle(now, client, Input::Hangup);
            (used, true)
        }
    }
}

/// The TLS of one connection. Idle it holds no buffers.
#[derive(Debug)]
pub(super) struct Secure {
    session: Box<Session>,
    /// `None` = the session seals.
    offload: Option<Box<Offload>>,
    /// Data that was opened and that the relay has not taken yet.
    opened: Option<Unread>,
    /// What this seals; `None` = nothing is on its way.
    outgoing: Option<Box<Outgoing>>,
    /// The sending side is to be shut behind everything else.
    shuts: bool,
    /// The session is broken: the alert is the last that goes out.
    is_broken: bool,
}

/// Opened data, from the begin of the bytes that are still to be taken in.
#[derive(Debug)]
enum Unread {
    /// In the receive buffer: so many bytes, and behind them so many that are no data.
    InPlace { len: usize, behind: usize },
    /// In the session, there.
    Parted { from: usize, to: usize },
}

/// What is on its way to the peer.
#[derive(Debug, Default)]
struct Outgoing {
    /// Sealed, and not yet sent.
    sealed: Pieces,
    /// Of the relay's send, not yet sealed.
    plain: Pieces,
    /// Of the relay's send, sealed; bytes of plaintext.
    sealed_len: usize,
    /// The relay waits for the end of a send.
    is_awaited: bool,
    /// It does not want the rest of it sent.
    is_cancelled: bool,
}

/// What the driver is to do when nothing is in flight.
#[derive(Debug)]
pub(super) enum Next {
    Send(Pieces),
    /// For the kernel to seal, as records of this content type.
    SendSealed(u8, Pieces),
    /// Nothing is left; the sending side is to be shut now.
    Shut,
    /// Nothing is left and the connection is broken.
    Broken,
    Nothing,
}

/// How far bytes were taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// All of them.
    All,
    /// The relay's turn is full.
    Full,
    /// The peer has closed its side: the rest counts for nothing.
    Closed,
    /// The session is broken, and the rest too.
    Broken,
}

impl Secure {
    /// The kernel is given the sending half, if it can and takes it.
    pub(super) fn new(mut session: Box<Session>, kernel: KernelTls, socket: BorrowedFd<'_>) -> Secure {
        let offload = Offload::begin(kernel, socket, &mut session).map(Box::new);
        Secure { session, offload, opened: None, outgoing: None, shuts: false, is_broken: false }
    }

    /// Whether the peer has closed its side.
    pub(super) fn is_read_closed(&self) -> bool {
        self.session.is_read_closed()
    }

    /// Bytes of memory held for a record of which a part has come.
    pub(super) fn parted_len(&self) -> usize {
        self.session.parted_len()
    }

    /// Forgets that part, and throws away unread what still comes.
    pub(super) fn forget(&mut self) {
        self.opened = None;
        self.session.forget();
    }

    /// Opens `bytes` and gives what they say to `relay`, until its turn is full. Returns how many of `bytes` are done with.
    fn take_in(&mut self, now: Time, relay: &mut Relay, client: ClientId, bytes: &mut [u8]) -> (usize, Taken) {
        let mut used = 0;
        while !self.is_broken {
            match self.opened.take() {
                Some(Unread::InPlace { len, behind }) => {
                    let taken = relay.receive(now, client, &mut bytes[used..used + len]);
                    used += taken;
                    if taken < len {
                        self.opened = Some(Unread::InPlace { len: len - taken, behind });
                        return (used, Taken::Full);
                    }
                    used += behind;
                }
                Some(Unread::Parted { from, to }) => {
                    let taken = relay.receive(now, client, &mut self.session.parted()[from..to]);
                    if from + taken < to {
                        self.opened = Some(Unread::Parted { from: from + taken, to });
                        return (used, Taken::Full);
                    }
                }
                None => {}
            }
            // Records may cost much and say nothing.
            if relay.turn_is_full() && used < bytes.len() {
                return (used, Taken::Full);
            }
            let opened = self.session.open(&mut bytes[used..]);
            relay.charge(self.session.take_toll());
            match opened {
                Ok(Opened::Data { data, end }) => {
                    used += data.start;
                    self.opened = Some(Unread::InPlace { len: data.len(), behind: end - data.end });
                }
                Ok(Opened::Parted { data, end }) => {
                    used += end;
                    self.opened = Some(Unread::Parted { from: data.start, to: data.end });
                }
                Ok(Opened::Nothing) => return (bytes.len(), Taken::All),
                Ok(Opened::Closed) => return (bytes.len(), Taken::Closed),
                Err(error) => self.fail(error),
            }
        }
        (bytes.len(), Taken::Broken)
    }

    /// Whether the kernel seals and can have `plain` at once, nothing being in flight.
    fn starts_offloaded(&mut self, socket: BorrowedFd<'_>, plain: &Pieces) -> bool {
        let Some(offload) = self.offload.as_mut().filter(|_| !self.is_broken) else { return false };
        match offload.starts(&mut self.session, socket, plain) {
            Ok(starts) => starts,
            Err(error) => {
                self.fail(error);
                false
            }
        }
    }

    /// Takes over a send of the relay's.
    pub(super) fn send(&mut self, plain: Pieces) {
        if let Some(offload) = &mut self.offload {
            if !self.is_broken {
                offload.wait(plain);
            }
            return;
        }
        let outgoing = self.outgoing.get_or_insert_default();
        debug_assert!(!outgoing.is_awaited && outgoing.plain.is_empty());
        outgoing.is_awaited = true;
        // Behind an alert nothing can be sent; the relay will be told.
        if !self.is_broken {
            outgoing.plain = plain;
        }
    }

    /// Ends the relay's send early: what is not sealed is not sent.
    pub(super) fn cancel(&mut self) {
        if let Some(offload) = &mut self.offload {
            offload.cancel();
        }
        if let Some(outgoing) = self.outgoing.as_mut().filter(|outgoing| outgoing.is_awaited) {
            outgoing.plain.clear();
            outgoing.is_cancelled = true;
        }
    }

    /// Has the sending side shut when all is sent.
    pub(super) fn shut(&mut self) {
        self.shuts = true;
        self.session.close();
    }

    /// Whether something is to be sent that the relay knows nothing of.
    pub(super) fn has_control(&self) -> bool {
        self.session.has_control()
    }

    /// The send in flight has ended after `len` bytes. If the relay's send has ended with it: how many of its bytes are as
    /// good as sent.
    pub(super) fn sent(&mut self, socket: BorrowedFd<'_>, len: usize) -> Option<usize> {
        let Some(offload) = &mut self.offload else {
            self.sent_sealed(len);
            return self.take_report();
        };
        match offload.sent(&mut self.session, socket, len) {
            Ok(report) => report.filter(|_| !self.is_broken),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    fn sent_sealed(&mut self, mut len: usize) {
        let Some(outgoing) = &mut self.outgoing else { return };
        while len > 0
            && let Some(piece) = outgoing.sealed.first_mut()
        {
            let part = piece.len().min(len);
            piece.skip(part);
            len -= part;
            if piece.is_empty() {
                outgoing.sealed.remove(0);
            }
        }
        debug_assert_eq!(len, 0);
    }

    /// If the relay's send has ended: how many of its bytes are as good as sent.
    fn take_report(&mut self) -> Option<usize> {
        let outgoing = self.outgoing.as_mut().filter(|outgoing| outgoing.is_awaited && !self.is_broken)?;
        let is_over = outgoing.is_cancelled || (outgoing.plain.is_empty() && outgoing.sealed.is_empty());
        is_over.then(|| {
            (outgoing.is_awaited, outgoing.is_cancelled) = (false, false);
            std::mem::take(&mut outgoing.sealed_len)
        })
    }

    /// What comes next, as nothing is in flight. `scratch` is any memory.
    pub(super) fn next(&mut self, socket: BorrowedFd<'_>, scratch: &mut Scratch) -> Next {
        if let Some(offload) = &mut self.offload {
            match offload.next(&mut self.session, socket) {
                Ok(Due::Data(plain)) => return Next::SendSealed(APPLICATION_DATA, plain),
                Ok(Due::Control(control)) => {
                    let message = Piece::new(control.message().to_vec(), &Meter::default());
                    return Next::SendSealed(control.content_type(), [message].into_iter().collect());
                }
                Ok(Due::Nothing) => return self.end(),
                Err(error) => {
                    self.fail(error);
                    return self.next(socket, scratch);
                }
            }
        }
        if self.session.has_control() && self.outgoing.is_none() {
            self.outgoing = Some(Box::default());
        }
        if let Some(outgoing) = &mut self.outgoing {
            if outgoing.sealed.is_empty() {
                debug_assert!(!self.shuts || outgoing.plain.is_empty(), "the relay shuts when all is sent");
                match self.session.seal(&mut outgoing.plain, scratch) {
                    Ok((sealed, len)) => {
                        outgoing.sealed = sealed;
                        outgoing.sealed_len += len;
                    }
                    Err(error) => {
                        self.fail(error);
                        return self.next(socket, scratch);
                    }
                }
            }
            if !outgoing.sealed.is_empty() {
                return Next::Send(outgoing.sealed.clone());
            }
            if !outgoing.is_awaited {
                self.outgoing = None;
            }
        }
        self.end()
    }

    /// What comes when there is nothing to be sent.
    fn end(&mut self) -> Next {
        match (self.is_broken, std::mem::take(&mut self.shuts)) {
            (true, _) => Next::Broken,
            (false, true) if self.offload.as_ref().is_none_or(|offload| offload.may_shut()) => Next::Shut,
            (false, _) => Next::Nothing,
        }
    }

    /// Ends the session; the alert is what is left to be sent.
    fn fail(&mut self, error: RecordError) {
        tracing::debug!(%error, "a TLS session is broken");
        self.is_broken = true;
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.plain.clear();
        }
        if let Some(offload) = &mut self.offload {
            offload.abandon();
        }
    }
}

#[cfg(test)]
mod tests;
