//! One io_uring, as far as a relay needs it: receive on many sockets into shared buffers, send, cancel, sleep.
//!
//! What its `unsafe` relies on, and promises to the rest:
//!
//! - A buffer that the kernel may write to belongs to the [`BufferPool`]; it is lent out as a slice between the
//!   completion that names it and [`Ring::give_back`].
//! - Bytes that the kernel may read belong to the `Send` operation that holds their [`Pieces`], from [`Ring::send`] to
//!   its completion.
//! - An operation names its socket by number, so a socket must stay open until all its operations have completed: after
//!   [`Ring::cancel_receive`] and [`Ring::cancel_send`] wait for what they end. The eventfd stays open as long as the ring.
//!
//! [`BufferPool`]: buffers::BufferPool

#![allow(unsafe_code)]

mod buffers;
mod key;
mod refusal;
mod sends;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

use crate::chunk::Pieces;
use crate::driver::{Arrival, BufferId, Completion, Driver, Size};

use buffers::BufferPool;
use key::{Kind, UserData};
use sends::Sends;

pub use refusal::{Refusal, probe};

/// A ring, its receive buffers, and the sends that it holds.
pub struct Ring {
    uring: IoUring,
    sends: Sends,
    buffers: BufferPool,
    /// What has come and is still to be taken in, in order; as many with bytes as there are receive buffers.
    arrived: VecDeque<Arrival>,
    /// What wakes the ring: it is read again and again.
    eventfd: Fd,
    /// Where the kernel puts the count of the eventfd.
    wake_count: Box<u64>,
    /// Receives that found no free buffer.
    starved: u64,
    /// How often there were more completions than their queue holds.
    overflowed: u64,
    /// Completions taken off the ring to make room while submitting; older than all that are still on it.
    early: Vec<cqueue::Entry>,
}

impl Driver for Ring {
    const SENDS_AT_ONCE: bool = false;

    /// With deferred task work the kernel hands over only about twenty completions at a time.
    const ROUNDS_MAX: usize = 5;

    fn new(size: Size, eventfd: BorrowedFd<'_>) -> io::Result<Ring> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(size.submissions * COMPLETIONS_PER_SUBMISSION)
            .build(size.submissions)?;
        let buffers = BufferPool::register(&uring.submitter(), size.buffers, size.buffer_len)?;
        let mut ring = Ring {
            uring,
            sends: Sends::default(),
            buffers,
            arrived: VecDeque::new(),
            eventfd: Fd(eventfd.as_raw_fd()),
            wake_count: Box::new(0),
            starved: 0,
            overflowed: 0,
            early: Vec::new(),
        };
        ring.watch();
        Ok(ring)
    }

    /// The ring knows a socket by its operations alone.
    fn adopt(&mut self, _socket: BorrowedFd<'_>, _slot: u32) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, socket: BorrowedFd<'_>, slot: u32) {
        let entry = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), buffers::GROUP)
            .build()
            .user_data(UserData::new(Kind::Receive, slot).into());
        self.push(entry);
    }

    fn cancel_receive(&mut self, slot: u32) {
        self.cancel(UserData::new(Kind::Receive, slot));
    }

    fn send(&mut self, socket: BorrowedFd<'_>, slot: u32, pieces: Pieces) {
        let user_data = UserData::new(Kind::Send, slot);
        let entry = self.sends.start(Fd(socket.as_raw_fd()), slot, pieces).user_data(user_data.into());
        self.push(entry);
    }

    fn send_sealed(&mut self, socket: BorrowedFd<'_>, slot: u32, content_type: u8, pieces: Pieces) {
        let user_data = UserData::new(Kind::Send, slot);
        let entry = self.sends.start_sealed(Fd(socket.as_raw_fd()), slot, content_type, pieces);
        self.push(entry.user_data(user_data.into()));
    }

    fn cancel_send(&mut self, slot: u32) {
        self.cancel(UserData::new(Kind::Send, slot));
    }

    fn submit(&mut self) {
        let result = self.uring.submit();
        self.check(result);
    }

    fn wait(&mut self, timeout: Option<Duration>) {
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

    /// Lets the kernel deliver what has come meanwhile.
    fn poll(&mut self) -> bool {
        // SAFETY: the ring is read after each push, and its thread is this one.
        if !unsafe { self.uring.submission_shared() }.taskrun() {
            return false;
        }
        // SAFETY: no argument is passed, so the kernel reads none.
        let result = unsafe { self.uring.submitter().enter::<u64>(0, 0, EnterFlags::GETEVENTS.bits(), None) };
        self.check(result);
        true
    }

    fn has_completed(&mut self) -> bool {
        !self.early.is_empty() || !self.uring.completion().is_empty()
    }

    fn reap(&mut self, completions: &mut Vec<Completion>) {
        let Ring { uring, sends, buffers, arrived, early, starved, overflowed, .. } = self;
        *overflowed += u64::from(uring.submission().cq_overflow());
        let mut is_woken = false;
        for entry in early.drain(..).chain(uring.completion()) {
            *starved += u64::from(entry.result() == -rustix::io::Errno::NOBUFS.raw_os_error());
            match UserData::from(entry.user_data()).kind() {
                Kind::Receive => arrived.push_back(arrival(&entry, buffers)),
                Kind::Send => completions.push(sent(&entry, sends)),
                Kind::Wake => {
                    completions.push(Completion::Woken);
                    is_woken = true;
                }
                Kind::Cancel => {}
            }
        }
        if is_woken {
            self.watch();
        }
    }

    fn has_arrivals(&self) -> bool {
        !self.arrived.is_empty()
    }

    fn next_arrival(&mut self) -> Option<Arrival> {
        self.arrived.pop_front()
    }

    /// What is left keeps its buffer, and who sends faster than that is held up by its own socket.
    fn put_back(&mut self, arrival: Arrival) {
        self.arrived.push_front(arrival);
    }

    fn received(&mut self, buffer: &BufferId, part: Range<usize>) -> &mut [u8] {
        &mut self.buffers.bytes(buffer, part.end)[part.start..]
    }

    fn give_back(&mut self, buffer: BufferId) {
        self.buffers.give_back(buffer);
    }

    fn starved(&self) -> u64 {
        self.starved
    }

    /// The kernel keeps what is over for later.
    fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

impl Ring {
    /// Waits for the next write to the eventfd.
    fn watch(&mut self) {
        let target = std::ptr::from_mut(&mut *self.wake_count).cast::<u8>();
        let entry = opcode::Read::new(self.eventfd, target, size_of::<u64>() as u32)
            .build()
            .user_data(UserData::new(Kind::Wake, 0).into());
        self.push(entry);
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

/// What the completion of a receive tells.
fn arrival(entry: &cqueue::Entry, buffers: &mut BufferPool) -> Arrival {
    let slot = UserData::from(entry.user_data()).slot();
    match (entry.result(), cqueue::buffer_select(entry.flags())) {
        (len @ 1.., Some(id)) => Arrival::Received {
            slot,
            buffer: buffers.taken(id),
            part: 0..len as usize,
            more: cqueue::more(entry.flags()),
        },
        (0, id) => {
            // The end of the stream may come with a buffer.
            id.map(|id| buffers.taken(id)).into_iter().for_each(|id| buffers.give_back(id));
            Arrival::Hangup { slot }
        }
        (error, _) if ends_receiving_only(-error) => Arrival::Ended { slot },
        _ => Arrival::Hangup { slot },
    }
}

/// What the completion of a send tells.
fn sent(entry: &cqueue::Entry, sends: &mut Sends) -> Completion {
    let (slot, result) = (UserData::from(entry.user_data()).slot(), entry.result());
    sends.end(slot);
    let cancelled = rustix::io::Errno::CANCELED.raw_os_error();
    let len = if -result == cancelled { Some(0) } else { usize::try_from(result).ok() };
    Completion::Sent { slot, len }
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
