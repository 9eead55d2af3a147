//! epoll, as far as a relay needs it, for where io_uring is refused.
//!
//! Sockets are registered once, edge-triggered and for both directions: nothing is registered anew when a socket is full,
//! and TCP tells of room only after a send has found none. A socket that may have bytes waits in a queue for its turn to
//! be read, a buffer at a time, so that who sends most takes nothing from the others. Sends are tried when they are
//! started; what the socket does not take goes when there is room.
//!
//! What the `unsafe` here relies on, and [`transmit`] for itself: a socket stays open from the start of an operation to
//! its end, as [`Driver`] says.

#![allow(unsafe_code)]

mod socket;
mod transmit;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::time::Timespec;

use crate::chunk::Pieces;
use crate::driver::kernel_tls::APPLICATION_DATA;
use crate::driver::{Arrival, BufferId, Completion, Driver, Size};

use socket::Socket;

/// An epoll instance, its one receive buffer, and the sends that wait for room.
pub struct Epoll {
    epoll: OwnedFd,
    /// By slot. Those of closed connections stay, for the next ones.
    sockets: Vec<Socket>,
    /// Slots of sockets that may have something to receive, or are to be told that receiving has ended; each once
    /// (`Socket::queued`).
    ready: VecDeque<u32>,
    /// What was received last. Filled only when everything in it was taken in.
    buffer: Box<[u8]>,
    /// What is left of that; `None` = nothing.
    left: Option<Arrival>,
    /// Bytes that may be received before the next wait.
    intake_left: usize,
    /// What has ended and was not reaped, oldest first.
    completions: Vec<Completion>,
    /// Empty between waits; kept for its memory.
    events: Vec<Event>,
    /// The kernel had no room for a socket. It is said once.
    has_refused: bool,
}

impl Driver for Epoll {
    const SENDS_AT_ONCE: bool = true;

    /// A wait tells of all that has come, so there is more only if it came since.
    const ROUNDS_MAX: usize = 2;

    fn new(size: Size, eventfd: BorrowedFd<'_>) -> io::Result<Epoll> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // Each write to it is an edge, whatever its count: nobody has to read it.
        epoll::add(&epoll, eventfd, EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
        Ok(Epoll {
            epoll,
            sockets: Vec::new(),
            ready: VecDeque::new(),
            buffer: vec![0; size.buffer_len as usize].into(),
            left: None,
            intake_left: 0,
            completions: Vec::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            has_refused: false,
        })
    }

    fn adopt(&mut self, socket: BorrowedFd<'_>, slot: u32) -> io::Result<()> {
        let index = slot as usize;
        if index >= self.sockets.len() {
            self.sockets.resize_with(index + 1, Socket::default);
        }
        self.sockets[index].adopt(socket);
        let added = epoll::add(&self.epoll, socket, EventData::new_u64(u64::from(slot)), EDGES);
        if let Err(errno) = added
            && !std::mem::replace(&mut self.has_refused, true)
        {
            tracing::warn!(%errno, "a connection is dropped, because epoll takes no more (sysctl fs.epoll.max_user_watches)");
        }
        added.map_err(io::Error::from)
    }

    fn receive(&mut self, _socket: BorrowedFd<'_>, slot: u32) {
        let socket = &mut self.sockets[slot as usize];
        socket.receiving = true;
        if socket.readable {
            socket.queue(slot, &mut self.ready);
        }
    }

    fn cancel_receive(&mut self, slot: u32) {
        let socket = &mut self.sockets[slot as usize];
        if socket.receiving {
            socket.is_cancelled = true;
            socket.queue(slot, &mut self.ready);
        }
    }

    fn send(&mut self, socket: BorrowedFd<'_>, slot: u32, pieces: Pieces) {
        let sent = self.sockets[slot as usize].send(socket, None, pieces);
        self.completions.extend(sent.map(|len| Completion::Sent { slot, len }));
    }

    fn send_sealed(&mut self, socket: BorrowedFd<'_>, slot: u32, content_type: u8, pieces: Pieces) {
        let special = (content_type != APPLICATION_DATA).then_some(content_type);
        let sent = self.sockets[slot as usize].send(socket, special, pieces);
        self.completions.extend(sent.map(|len| Completion::Sent { slot, len }));
    }

    fn cancel_send(&mut self, slot: u32) {
        let cancelled = self.sockets[slot as usize].cancel_send();
        self.completions.extend(cancelled.map(|len| Completion::Sent { slot, len: Some(len) }));
    }

    /// There is nothing that was not begun with.
    fn submit(&mut self) {}

    fn wait(&mut self, timeout: Option<Duration>) {
        let has_work = self.has_completed() || self.has_arrivals();
        self.intake_left = INTAKE_LEN_MAX;
        self.look(if has_work { Some(Duration::ZERO) } else { timeout });
    }

    fn poll(&mut self) -> bool {
        self.look(Some(Duration::ZERO))
    }

    fn has_completed(&mut self) -> bool {
        !self.completions.is_empty()
    }

    fn reap(&mut self, completions: &mut Vec<Completion>) {
        completions.append(&mut self.completions);
    }

    fn has_arrivals(&self) -> bool {
        self.left.is_some() || !self.ready.is_empty()
    }

    fn next_arrival(&mut self) -> Option<Arrival> {
        if self.left.is_some() {
            return self.left.take();
        }
        while self.intake_left > 0
            && let Some(slot) = self.ready.pop_front()
        {
            if let Some(arrival) = self.receive_from(slot) {
                return Some(arrival);
            }
        }
        None
    }

    /// What is left stays in the buffer, and everyone else's in their sockets.
    fn put_back(&mut self, arrival: Arrival) {
        debug_assert!(self.left.is_none());
        self.left = Some(arrival);
    }

    fn received(&mut self, _buffer: &BufferId, part: Range<usize>) -> &mut [u8] {
        &mut self.buffer[part]
    }

    fn give_back(&mut self, _buffer: BufferId) {
        debug_assert!(self.left.is_none());
    }

    /// A buffer is asked for when there is one.
    fn starved(&self) -> u64 {
        0
    }
}

impl Epoll {
    /// Looks what has happened, for this long; `false` = nothing.
    fn look(&mut self, timeout: Option<Duration>) -> bool {
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout.min(WAIT_MAX)).expect("an hour is no overflow"));
        let mut events = std::mem::take(&mut self.events);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            // A signal is no error: what it kept from happening happens with the next call.
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => panic!("epoll_wait failed, although its arguments are right: {errno}"),
        }
        let has_happened = !events.is_empty();
        for event in events.drain(..) {
            match event.data.u64() {
                WAKE => self.completions.push(Completion::Woken),
                slot => self.note(slot as u32, event.flags),
            }
        }
        self.events = events;
        has_happened
    }

    /// Takes in what the kernel says of a socket.
    fn note(&mut self, slot: u32, flags: EventFlags) {
        let socket = &mut self.sockets[slot as usize];
        if flags.intersects(READABLE) {
            socket.readable = true;
            socket.reads_to_the_end |= flags.intersects(ENDS);
            if socket.receiving {
                socket.queue(slot, &mut self.ready);
            }
        }
        if flags.intersects(WRITABLE) {
            let sent = socket.go_on_sending();
            self.completions.extend(sent.map(|len| Completion::Sent { slot, len }));
        }
    }

    /// Receives once from a socket whose turn it is; `None` = there is nothing.
    fn receive_from(&mut self, slot: u32) -> Option<Arrival> {
        let socket = &mut self.sockets[slot as usize];
        socket.queued = false;
        if !socket.receiving {
            return None;
        }
        if socket.is_cancelled {
            (socket.receiving, socket.is_cancelled) = (false, false);
            return Some(Arrival::Ended { slot });
        }
        // SAFETY: `receiving`, so it is open, as the contract of the trait says.
        let fd = unsafe { BorrowedFd::borrow_raw(socket.fd) };
        match rustix::net::recv(fd, &mut *self.buffer, RecvFlags::DONTWAIT) {
            Ok((len @ 1.., _)) => {
                self.intake_left = self.intake_left.saturating_sub(len);
                // What comes from here on is an edge of its own.
                socket.readable = len == self.buffer.len() || socket.reads_to_the_end;
                if socket.readable {
                    socket.queue(slot, &mut self.ready);
                }
                Some(Arrival::Received { slot, buffer: BufferId(0), part: 0..len, more: true })
            }
            Err(Errno::AGAIN) => {
                (socket.readable, socket.reads_to_the_end) = (false, false);
                None
            }
            Err(Errno::INTR) => {
                socket.queue(slot, &mut self.ready);
                None
            }
            Ok((0, _)) | Err(_) => {
                socket.receiving = false;
                Some(Arrival::Hangup { slot })
            }
        }
    }
}

/// What is heard of a socket.
const EDGES: EventFlags = READABLE.union(EventFlags::OUT).union(EventFlags::ET);

const READABLE: EventFlags = EventFlags::IN.union(ENDS);

/// After these a receive that does not fill the buffer was not the last: behind it comes the end, which is no edge any
/// more, or what lies behind urgent data, where receives stop.
const ENDS: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR).union(EventFlags::PRI);

/// On a broken connection a send fails, and that has to be told.
const WRITABLE: EventFlags = EventFlags::OUT.union(EventFlags::HUP).union(EventFlags::ERR);

/// What stands for the eventfd; slots have 32 bits.
const WAKE: u64 = u64::MAX;

/// Sockets that one wait tells of; there is no need for all.
const EVENTS_MAX: usize = 1024;

/// Bytes received in a turn that count for nothing (a relay ends its turn much earlier): those of a connection that is
/// ending must not keep the shard from everything else.
const INTAKE_LEN_MAX: usize = 1 << 20;

/// Longest sleep at once: the kernel takes no timeout of 2^53 milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(3600);
