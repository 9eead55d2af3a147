//! What a shard asks of the kernel: to receive on many sockets, to send, to sleep.
//!
//! Two modules do it: `ring` with io_uring, and `epoll` where that is refused. A shard is compiled for each of them, so
//! that having two costs neither anything. The kernel's TLS ([`kernel_tls`]) is there with both.

pub mod kernel_tls;

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::chunk::Pieces;

/// Operations on the sockets of one shard, told apart by slots.
///
/// An operation that was started ends, and says so; until then its socket stays open. [`cancel_receive`] and
/// [`cancel_send`] end those that would take long.
///
/// [`cancel_receive`]: Driver::cancel_receive
/// [`cancel_send`]: Driver::cancel_send
pub trait Driver: Sized {
    /// Sends are tried when they are started, so that most have ended when [`send`](Self::send) returns.
    const SENDS_AT_ONCE: bool;

    /// How often a turn looks for more before it sends.
    const ROUNDS_MAX: usize;

    /// A driver that wakes whenever `eventfd` is written to. That stays open for as long as the driver is there. To be
    /// made on the thread that uses it.
    ///
    /// # Errors
    /// The kernel refuses it.
    fn new(size: Size, eventfd: BorrowedFd<'_>) -> io::Result<Self>;

    /// Takes a socket in, before anything else is done with it; nothing is in flight in its slot.
    ///
    /// # Errors
    /// The kernel has no room for it.
    fn adopt(&mut self, socket: BorrowedFd<'_>, slot: u32) -> io::Result<()>;

    /// Starts to receive, again and again until an arrival says that it has ended.
    fn receive(&mut self, socket: BorrowedFd<'_>, slot: u32);

    /// Ends what [`receive`](Self::receive) started, unless it ends by itself.
    fn cancel_receive(&mut self, slot: u32);

    /// Sends `pieces` in order. Until it has completed no other send may be started on this socket: two can overtake
    /// each other.
    fn send(&mut self, socket: BorrowedFd<'_>, slot: u32, pieces: Pieces);

    /// The same on a socket that seals what is sent (see [`kernel_tls`]): as records of this content type. It may end after
    /// a part.
    fn send_sealed(&mut self, socket: BorrowedFd<'_>, slot: u32, content_type: u8, pieces: Pieces);

    /// Ends a send early; its completion tells how far it came.
    fn cancel_send(&mut self, slot: u32);

    /// Has the kernel begin with what was started, without sleeping.
    fn submit(&mut self);

    /// Has the kernel begin with what was started, and sleeps until there is something to [reap](Self::reap) or to
    /// [take in](Self::next_arrival), at most for `timeout` (`None` = without end).
    fn wait(&mut self, timeout: Option<Duration>);

    /// Looks for what has come meanwhile, without sleeping. `false` = there was nothing.
    fn poll(&mut self) -> bool;

    /// Whether something has completed that was not reaped.
    fn has_completed(&mut self) -> bool;

    /// Takes what has completed, oldest first.
    fn reap(&mut self, completions: &mut Vec<Completion>);

    /// Whether there are arrivals to be taken in.
    fn has_arrivals(&self) -> bool;

    /// What is next of what has come from peers; at first what was [put back](Self::put_back). `None` = there is nothing
    /// more in this turn.
    fn next_arrival(&mut self) -> Option<Arrival>;

    /// Takes back what is left of the last arrival.
    fn put_back(&mut self, arrival: Arrival);

    /// The bytes of the last arrival.
    fn received(&mut self, buffer: &BufferId, part: Range<usize>) -> &mut [u8];

    /// Lets the kernel use a buffer again.
    fn give_back(&mut self, buffer: BufferId);

    /// Receives that found no free buffer since the driver was made; each goes on when there is one.
    fn starved(&self) -> u64;
}

/// The drivers that there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Uring,
    Epoll,
}

impl Kind {
    /// What the kernel calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Uring => "io_uring",
            Kind::Epoll => "epoll",
        }
    }
}

/// How large a driver is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Submissions that fit before the kernel is entered, where there is a queue of them.
    pub submissions: u32,
    /// Most receive buffers; a power of two, at most 32 768.
    pub buffers: u16,
    /// Size of each, in bytes.
    pub buffer_len: u32,
}

/// Something that has ended.
#[derive(Debug)]
pub enum Completion {
    /// A send; `None` = the connection is broken, else the bytes it got rid of.
    Sent { slot: u32, len: Option<usize> },
    /// The eventfd was written to.
    Woken,
}

/// What a receive has brought.
#[derive(Debug)]
pub enum Arrival {
    /// Bytes, in this part of a buffer that is to be [given back](Driver::give_back). If not `more`, receiving has ended.
    Received { slot: u32, buffer: BufferId, part: Range<usize>, more: bool },
    /// The peer has closed its side, or the connection is broken. Receiving has ended.
    Hangup { slot: u32 },
    /// Receiving has ended, though there may be more to receive: no buffer was free, or it was cancelled.
    Ended { slot: u32 },
}

/// A buffer that is filled and lent out. Not `Copy`: it is given back once.
#[derive(Debug)]
pub struct BufferId(pub(crate) u16);

#[cfg(test)]
mod tests;
