//! One io_uring, as far as a relay needs it: receive on many sockets into shared buffers, send, cancel, sleep.
//!
//! This module is the only place of the relay where `unsafe` stands. What it promises to the rest:
//!
//! - A buffer that the kernel may write to belongs to the [`BufferPool`]; it is lent out as a slice between the
//!   completion that names it and [`Ring::give_back`].
//! - Bytes that the kernel may read belong to the `Send` operation that holds their [`Pieces`], from [`Ring::send`] to
//!   its completion.
//! - An operation names its socket by number, so a socket must stay open until all its operations have completed: after
//!   [`Ring::cancel_receive`] and [`Ring::cancel_send`] wait for what they end.
//!
//! [`BufferPool`]: buffers::BufferPool

#![allow(unsafe_code)]

mod buffers;
pub mod kernel_tls;
mod key;
mod sends;

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

use crate::chunk::Pieces;

use buffers::BufferPool;
use key::{Kind, UserData};
use sends::Sends;

pub use buffers::BufferId;

/// A ring, its receive buffers, and the sends that it holds. To be made on the thread that uses it.
pub struct Ring {
    uring: IoUring,
    sends: Sends,
    buffers: BufferPool,
    /// Where the kernel puts the count of the eventfd.
    wake_count: Box<u64>,
    /// Receives that found no free buffer.
    starved: u64,
    /// How often there were more completions than their queue holds.
    overflowed: u64,
    /// Completions taken off the ring to make room while submitting; older than all that are still on it.
    early: Vec<cqueue::Entry>,
}

/// How large a ring is.
#[derive(Clone, Copy, Debug)]
pub struct RingSize {
    /// Submissions that fit before the kernel is entered.
    pub submissions: u32,
    /// Receive buffers; a power of two, at most 32 768.
    pub buffers: u16,
    /// Size of each, in bytes.
    pub buffer_len: u32,
}

/// Something that the kernel has finished. `slot` is what the operation was started with.
#[derive(Debug)]
pub enum Completion {
    /// Something came from a peer.
    Arrived(Arrival),
    /// A send has ended; `None` = the connection is broken, else the bytes it got rid of.
    Sent { slot: u32, len: Option<usize> },
    /// The eventfd was written to; it is to be [watched](Ring::watch) again.
    Woken,
}

/// What a receive has brought.
#[derive(Debug)]
pub enum Arrival {
    /// Bytes, in this part of a buffer that is to be [given back](Ring::give_back). If not `more`, receiving has ended.
    Received { slot: u32, buffer: BufferId, part: Range<usize>, more: bool },
    /// The peer has closed its side, or the connection is broken. Receiving has ended.
    Hangup { slot: u32 },
    /// Receiving has ended, though there may be more to receive: no buffer was free, or it was cancelled.
    Ended { slot: u32 },
}

impl Ring {
    /// # Errors
    /// The kernel refuses: io_uring is forbidden here, or too old (6.1 is needed).
    pub fn new(size: RingSize) -> io::Result<Ring> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(size.submissions * COMPLETIONS_PER_SUBMISSION)
            .build(size.submissions)?;
        let buffers = BufferPool::register(&uring.submitter(), size.buffers, size.buffer_len)?;
        Ok(Ring {
            uring,
            sends: Sends::default(),
            buffers,
            wake_count: Box::new(0),
            starved: 0,
            overflowed: 0,
            early: Vec::new(),
        })
    }

    /// Starts to receive on `socket`, again and again until a completion says that it has ended.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, slot: u32) {
        let entry = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), buffers::GROUP)
            .build()
            .user_data(UserData::new(Kind::Receive, slot).into());
        self.push(entry);
    }

    /// Ends what [`receive`](Self::receive) started, unless it ends by itself.
    pub fn cancel_receive(&mut self, slot: u32) {
        self.cancel(UserData::new(Kind::Receive, slot));
    }

    /// Sends `pieces` in order. Until it has completed no other send may be started on this socket: two can overtake
    /// each other.
    pub fn send(&mut self, socket: BorrowedFd<'_>, slot: u32, pieces: Pieces) {
        let user_data = UserData::new(Kind::Send, slot);
        let entry = self.sends.start(Fd(socket.as_raw_fd()), slot, pieces).user_data(user_data.into());
        self.push(entry);
    }

    /// The same on a socket that seals what is sent (see [`kernel_tls`]): as records of this content type. Unlike a plain
    /// send it ends when the socket is full, after a part.
    pub fn send_sealed(&mut self, socket: BorrowedFd<'_>, slot: u32, content_type: u8, pieces: Pieces) {
        let user_data = UserData::new(Kind::Send, slot);
        let entry = self.sends.start_sealed(Fd(socket.as_raw_fd()), slot, content_type, pieces);
        self.push(entry.user_data(user_data.into()));
    }

    /// Ends a send early; its completion tells how far it came.
    pub fn cancel_send(&mut self, slot: u32) {
        self.cancel(UserData::new(Kind::Send, slot));
    }

    /// Waits for the next write to `eventfd`.
    pub fn watch(&mut self, eventfd: BorrowedFd<'_>) {
        let target = std::ptr::from_mut(&mut *self.wake_count).cast::<u8>();
        let entry = opcode::Read::new(Fd(eventfd.as_raw_fd()), target, size_of::<u64>() as u32)
            .build()
            .user_data(UserData::new(Kind::Wake, 0).into());
        self.push(entry);
    }

    /// The bytes of a completed receive.
    pub fn received(&mut self, buffer: &BufferId, part: Range<usize>) -> &mut [u8] {
        &mut self.buffers.bytes(buffer, part.end)[part.start..]
    }

    /// Lets the kernel use a buffer again.
    pub fn give_back(&mut self, buffer: BufferId) {
        self.buffers.give_back(buffer);
    }

    /// Submits what was started and sleeps until something completes, at most for `timeout` (`None` = without end).
    pub fn wait(&mut self, timeout: Option<Duration>) {
        if !self.early.is_empty() {
            return self.submit();
        }
        let result = match timeout.map(|timeout| Timespec::from(timeout.min(WAIT_MAX))) {
            Some(timespec) => {
                let args = SubmitArgs::new().timespec(&timespec);
                self.uring.submitter().submit_with_args(1, &args)
            }
            None => self.uring.submit_and_wait(1),
        };
        self.check(result);
    }

    /// Lets the kernel deliver what has arrived meanwhile, without sleeping. `false` = there was nothing.
    pub fn poll(&mut self) -> bool {
        // SAFETY: the ring is read after each push, and its thread is this one.
        if !unsafe { self.uring.submission_shared() }.taskrun() {
            return false;
        }
        // SAFETY: no argument is passed, so the kernel reads none.
        let result = unsafe { self.uring.submitter().enter::<u64>(0, 0, EnterFlags::GETEVENTS.bits(), None) };
        self.check(result);
        true
    }

    /// Takes what has completed, oldest first.
    pub fn reap(&mut self, completions: &mut Vec<Completion>) {
        let Ring { uring, sends, buffers, early, starved, overflowed, .. } = self;
        *overflowed += u64::from(uring.submission().cq_overflow());
        for entry in early.drain(..).chain(uring.completion()) {
            *starved += u64::from(entry.result() == -rustix::io::Errno::NOBUFS.raw_os_error());
            completions.extend(interpret(&entry, sends, buffers));
        }
    }

    /// Receives that found no free buffer since the ring was made; each goes on when there is one.
    pub fn starved(&self) -> u64 {
        self.starved
    }

    /// How often there were more completions than their queue holds; the kernel keeps the rest for later.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    fn cancel(&mut self, user_data: UserData) {
        let entry = opcode::AsyncCancel::new(user_data.into()).build();
        self.push(entry.user_data(UserData::new(Kind::Cancel, 0).into()));
    }

    fn push(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: what the entry points at is owned by this ring (`sends`, `wake_count`) until its completion is
            // reaped, and its socket is kept open as the module's contract says.
            if unsafe { self.uring.submission().push(&entry) }.is_ok() {
                return;
            }
            self.submit();
            let completions = self.uring.completion();
            if completions.len() * 2 > completions.capacity() {
                self.early.extend(completions);
            }
        }
    }

    /// Whether there is something to [reap](Self::reap).
    pub fn has_completed(&mut self) -> bool {
        !self.early.is_empty() || !self.uring.completion().is_empty()
    }

    /// Submits what was started, without sleeping.
    pub fn submit(&mut self) {
        let result = self.uring.submit();
        self.check(result);
    }

    /// A signal, an expired timeout, a full completion queue and a kernel short of memory are no errors: what they kept
    /// from happening happens with the next call.
    fn check(&mut self, result: io::Result<usize>) {
        let Err(error) = result else { return };
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::INTR | rustix::io::Errno::TIME) => {}
            Some(rustix::io::Errno::BUSY) => self.early.extend(self.uring.completion()),
            Some(rustix::io::Errno::AGAIN | rustix::io::Errno::NOMEM) => {
                self.early.extend(self.uring.completion());
                // Nothing but time helps.
                std::thread::sleep(MEMORY_PAUSE);
            }
            _ => panic!("io_uring_enter failed, although its arguments are right: {error}"),
        }
    }
}

impl Drop for Ring {
    /// Closing a ring only begins to cancel what is in flight, and the memory below is freed next: so it is cancelled
    /// first, and waited for. (There is nothing to cancel in the other case.)
    fn drop(&mut self) {
        self.submit();
        let _ = self.uring.submitter().register_sync_cancel(None, CancelBuilder::any());
    }
}

fn interpret(entry: &cqueue::Entry, sends: &mut Sends, buffers: &mut BufferPool) -> Option<Completion> {
    let user_data = UserData::from(entry.user_data());
    let slot = user_data.slot();
    let result = entry.result();
    let more = cqueue::more(entry.flags());
    Some(match user_data.kind() {
        Kind::Receive => match (result, cqueue::buffer_select(entry.flags())) {
            (1.., Some(id)) => {
                let len = result as usize;
                Completion::Arrived(Arrival::Received { slot, buffer: buffers.taken(id), part: 0..len, more })
            }
            (0, id) => {
                // The end of the stream may come with a buffer.
                id.map(|id| buffers.taken(id)).into_iter().for_each(|id| buffers.give_back(id));
                Completion::Arrived(Arrival::Hangup { slot })
            }
            (error, _) if ends_receiving_only(-error) => Completion::Arrived(Arrival::Ended { slot }),
            _ => Completion::Arrived(Arrival::Hangup { slot }),
        },
        Kind::Send => {
            sends.end(slot);
            let cancelled = rustix::io::Errno::CANCELED.raw_os_error();
            let len = if -result == cancelled { Some(0) } else { usize::try_from(result).ok() };
            Completion::Sent { slot, len }
        }
        Kind::Wake => Completion::Woken,
        Kind::Cancel => return None,
    })
}

fn ends_receiving_only(errno: i32) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_raw_os_error(errno), Errno::NOBUFS | Errno::CANCELED | Errno::INTR | Errno::AGAIN)
}

/// Completions outnumber submissions: a receive is submitted once and completes often.
const COMPLETIONS_PER_SUBMISSION: u32 = 4;

/// How long the kernel gets to find memory.
const MEMORY_PAUSE: Duration = Duration::from_millis(1);

/// Longest sleep at once: the kernel takes no timeout of 2^53 milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
